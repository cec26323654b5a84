/*
 * both.h - a test over SQLite in memory and over a PostgreSQL of the test program's own.
 *
 * Add the test DATABASES times as often as a loop test, call `fixture_on(_i % DATABASES)` first,
 * and pg_make() in main.
 */
#ifndef TESTS_APP_BOTH_H
#define TESTS_APP_BOTH_H

#include "../sql/pg.h"
#include "fixture.h"

enum { ON_SQLITE, ON_POSTGRESQL, DATABASES };

static inline void fixture_on(int database)
{
    if (database == ON_POSTGRESQL)
        fixture_url = pg_url(pg_database());
}

/* Whether a statement of another session works; it blocks, and nothing in it waits. */
static inline bool other_does(PGconn *other, const char *sql)
{
    PGresult *r = PQexec(other, sql);
    bool is_done = PQresultStatus(r) == PGRES_COMMAND_OK ||
                   (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0);
    PQclear(r);
    return is_done;
}

/* The main of a test program whose cases all go into one suite. */
static inline int stories_main(Suite *suite)
{
    pg_make();
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

#endif
