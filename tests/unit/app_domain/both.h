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

#endif
