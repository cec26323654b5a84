/*
 * fixture.h - a fest for tests of the application's lower floor.
 *
 * A body runs inside a loop with an open database, all migrations applied and a fixed secret. The
 * database is SQLite in memory, so nothing touches the disk, or the one that the test names.
 */
#ifndef TESTS_APP_FIXTURE_H
#define TESTS_APP_FIXTURE_H

#include <check.h>
#include <stdlib.h>

#include "../../slow.h"
#include "domain/desk.h"
#include "domain/fest.h"
#include "domain/import.h"
#include "domain/people.h"
#include "domain/verify.h"
#include "usher/sim.h"

struct fixture {
    struct fest fest;
    struct settings settings;
    struct ush_arena arena;
};

/* Under sim the seed may cancel a scope inside the database's own waits; what a fixture does is
 * then done again. */
static inline bool fixture_again(int rc)
{
    return rc == -ECANCELED || rc == -ETIMEDOUT;
}

/* For a test with operations of its own. */
static const struct ush_operation *const *fixture_operations;
static const char *fixture_url = "sqlite::memory:";
static bool fixture_is_migrated; /* by what the database begins with */

/* All operations of a fest, and one of the test's own. */
static inline void fixture_operates(const struct ush_operation *own)
{
    static const struct ush_operation *operations[64];
    size_t n = 0;
    for (; fest_operations[n]; n++)
        operations[n] = fest_operations[n];
    operations[n] = own;
    fixture_operations = operations;
}

static inline void fixture_open(struct fixture *x)
{
    const struct ush_db_options options = {.url = fixture_url,
                                           .role = USH_DB_LOCAL,
                                           .operations = fixture_operations ? fixture_operations
                                                                            : fest_operations};
    const uint8_t master[32] = {7};
    struct ush_buf problem;
    int error = 0;
    *x = (struct fixture){0};
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_WARN});
    ush_buf_init(&problem, 1024);
    ush_arena_init(&x->arena, NULL, 0, 256 << 20);
    ck_assert_int_eq(ush_settings_load(settings_table, settings_count, SETTINGS_PREFIX, NULL,
                                       &x->settings, &problem),
                     0);
    ck_assert_int_eq(settings_check(&x->settings, &problem), 0);
    ush_buf_fini(&problem);
    x->fest = (struct fest){.settings = &x->settings, .wake_fd = -1};
    do
        x->fest.db = ush_db_open(&options, &error);
    while (!x->fest.db && fixture_again(error));
    ck_assert_msg(x->fest.db != NULL, "open: %s", ush_error_text(error));
    do
        error = fixture_is_migrated ? 0 : ush_migrate(x->fest.db, &fest_migrations);
    while (fixture_again(error));
    ck_assert_int_ge(error, 0);
    keys_derive(&x->fest.keys, master);
    x->fest.events = events_cache_new(x->fest.db);
    x->fest.desk = desk_new();
    x->fest.shared = x->fest.alone = calloc(1, sizeof *x->fest.alone);
}

static inline void fixture_close(struct fixture *x)
{
    ush_db_close(x->fest.db);
    fest_close(&x->fest);
    ush_arena_fini(&x->arena);
}

/* Stores events given as JSON; a fault ends the test with the report. */
static inline void fixture_import(struct fixture *x, const char *json)
{
    struct import_result result;
    const struct import_options options = {
        .format = IMPORT_JSON, .tz = "Asia/Kolkata", .actor = USH_T("test")};
    int rc;
    do
        rc = import_events(x->fest.db, ush_text_of(json), &options, &x->arena, &result);
    while (fixture_again(rc));
    const struct import_report *r = result.rows.at;
    for (size_t i = 0; i < result.rows.count; i++)
        ck_assert_msg(!ush_text_equal(r[i].action, USH_T("error")), "%.*s", USH_PR(r[i].text));
    ck_assert_int_eq(rc, 0);
    ck_assert(result.applied);
    events_forget(&x->fest);
}

/* The findings of verify as one text; empty when all is well. */
static inline const char *fixture_verify(struct fixture *x)
{
    struct verify_result v;
    int rc;
    do
        rc = verify_all(x->fest.db, NULL, &x->arena, &v);
    while (fixture_again(rc));
    ush_text all = USH_T("");
    if (rc < 0)
        return ush_error_text(rc);
    for (size_t i = 0; i < v.findings.count; i++) {
        const struct finding *f = (struct finding *)v.findings.at + i;
        all = ush_arena_printf(&x->arena, "%.*s%.*s (%.*s): %.*s\n", USH_PR(all), USH_PR(f->check),
                               USH_PR(f->subject), USH_PR(f->text));
    }
    return all.at;
}

/* Runs `body` in an epoll loop. */
static inline void fixture_run(int (*body)(void *))
{
    struct fixture x;
    ck_assert_int_eq(ush_run(&(struct ush_loop_options){.backend = USH_BACKEND_EPOLL}, body, &x),
                     0);
}

#endif
