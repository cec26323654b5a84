/*
 * queue.h - a job queue in memory for tests, and what they look at in it.
 */
#ifndef TESTS_JOBS_QUEUE_H
#define TESTS_JOBS_QUEUE_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../slow.h"
#include "jobs/jobs.h"
#include "usher/sim.h"

#define ROW_FIELDS(F, R)                                                                           \
    F(R, I64, id)                                                                                  \
    F(R, I64, state)                                                                               \
    F(R, I64, due_at)                                                                              \
    F(R, I64, claim)                                                                               \
    F(R, I64, owner, .optional = true)                                                             \
    F(R, I64, mark)                                                                                \
    F(R, I64, failures)                                                                            \
    F(R, I64, crashes)                                                                             \
    F(R, I64, unknowns)                                                                            \
    F(R, I64, size)
USH_RECORD(row, ROW_FIELDS)
USH_RECORD_DEFINE(row, ROW_FIELDS)

static const struct ush_statement row_of = {
    "row_of", "SELECT id, state, due_at, claim, owner, mark, failures, crashes, unknowns,"
              " length(payload) AS size FROM jobs WHERE id = $1"};

struct row_arg {
    int64_t id;
    struct row row;
};

static inline int read_row(struct ush_tx *view, void *arg)
{
    struct row_arg *a = arg;
    return ush_one(view, &row_of, &row_record, &a->row, USH_VALUES(a->id));
}

/* The row of a job as it is now; all zero if there is none. */
static inline struct row job_row(struct ush_db *db, int64_t id)
{
    struct row_arg a = {.id = id};
    ck_assert_int_ge(ush_read(db, read_row, &a), 0);
    return a.row;
}

static inline int run_put(struct ush_tx *tx, const void *in, void *out)
{
    static const struct ush_statement count = {"count", "SELECT count(*) AS rows FROM jobs"};
    struct ush__jobs_changed before, after;
    USH_TRY(ush_one(tx, &count, &ush__jobs_changed_record, &before, USH_NO_VALUES));
    USH_TRY(ush_jobs_put(tx, in, 1));
    USH_TRY(ush_one(tx, &count, &ush__jobs_changed_record, &after, USH_NO_VALUES));
    ((struct ush__jobs_changed *)out)->rows = after.rows - before.rows;
    return 0;
}
static const struct ush_operation op_put = {
    .name = "put", .in = &ush_job_new_record, .out = &ush__jobs_changed_record, .run = run_put};

/*
 * A worker that is cut off: nothing it sends to the database arrives any more, while others go on
 * and see its leases end. Its statements fail, which is what it would see.
 */
static const char cut_off_schema[] =
    "CREATE TABLE cut_off (owner INTEGER PRIMARY KEY);"
    "CREATE TRIGGER jobs_cut_off BEFORE UPDATE ON jobs WHEN EXISTS (SELECT 1 FROM cut_off"
    " WHERE owner = NEW.owner OR (owner = OLD.owner AND NEW.crashes = OLD.crashes))"
    " BEGIN SELECT RAISE(ABORT, 'cut off'); END;";
static const struct ush_statement cut = {"cut", "INSERT OR IGNORE INTO cut_off VALUES ($1)"},
                                  join = {"join", "DELETE FROM cut_off WHERE owner = $1 OR $1 = 0"};

static inline int run_cut(struct ush_tx *tx, const void *in, void *out __attribute__((unused)))
{
    return ush_exec(tx, &cut, USH_VALUES(((const struct ush__jobs_owner *)in)->owner));
}
static inline int run_join(struct ush_tx *tx, const void *in, void *out __attribute__((unused)))
{
    return ush_exec(tx, &join, USH_VALUES(((const struct ush__jobs_owner *)in)->owner));
}
static const struct ush_operation op_cut = {.name = "cut",
                                            .in = &ush__jobs_owner_record,
                                            .run = run_cut},
                                  op_join = {.name = "join",
                                             .in = &ush__jobs_owner_record,
                                             .run = run_join};

static inline void cut_off(struct ush_db *db, int64_t owner)
{
    struct ush__jobs_owner in = {.owner = owner};
    ck_assert_int_ge(ush__jobs_change(db, &op_cut, &in), 0);
}

static inline void join_again(struct ush_db *db, int64_t owner)
{
    struct ush__jobs_owner in = {.owner = owner};
    ck_assert_int_ge(ush__jobs_change(db, &op_join, &in), 0);
}

static bool queue_is_made; /* by what the database begins with */

/* `more` is SQL that is run behind the migration. */
static inline struct ush_db *queue_open_with(const char *more)
{
    static const struct ush_operation *const operations[] = {USH_JOBS_OPERATIONS, &op_put, &op_cut,
                                                             &op_join, NULL};
    static char script[16384];
    if (!script[0]) {
        static const char *const files[] = {"migrations/sqlite/0001_jobs.sql",
                                            "migrations/sqlite/0004_job_lanes.sql"};
        size_t n = 0;
        for (size_t i = 0; i < USH_COUNT(files); i++) {
            FILE *f = fopen(files[i], "r");
            ck_assert_msg(f != NULL, "run the tests in the top folder");
            n += fread(script + n, 1, sizeof script - 1 - n, f);
            fclose(f);
        }
        snprintf(script + n, sizeof script - n, "%s%s", cut_off_schema, more);
    }
    int error;
    struct ush_db *db = ush_db_open(
        &(struct ush_db_options){
            .url = "sqlite::memory:", .role = USH_DB_LOCAL, .operations = operations},
        &error);
    ck_assert_ptr_nonnull(db);
    struct ush_migration m = {1, "jobs", script, NULL};
    if (!queue_is_made)
        ck_assert_int_eq(ush_migrate(db, &(struct ush_migrate_options){.list = &m, .count = 1}), 1);
    return db;
}

static inline struct ush_db *queue_open(void)
{
    return queue_open_with("");
}

static inline struct ush_job_new new_job(const char *kind, const char *lane)
{
    return (struct ush_job_new){
        .kind = ush_text_of(kind),
        .lane = ush_text_of(lane),
        .payload = USH_T("payload"),
        .due_at = ush_wall_ms(),
        .created_at = ush_wall_ms(),
    };
}

/* Puts it; 1, or 0 if its key is taken. */
static inline int put_job(struct ush_db *db, const struct ush_job_new *job)
{
    return ush__jobs_change(db, &op_put, job);
}

#endif
