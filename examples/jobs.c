/*
 * jobs.c - work after the answer: a job is put in the transaction of its cause, and tried again.
 *
 *     cat migrations/sqlite/000[14]_job*.sql | build/examples/jobs
 *
 * The job's row is committed with the order that it belongs to, or not at all. Here the database
 * lies in memory and the loop is simulated, so that the second attempt need not be waited for; a
 * service has a file, ush_run, and its job workers in processes of their own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "usher/usher.h"

#define ORDER_FIELDS(F, R) F(R, I64, key) F(R, TEXT, book, .max = 100)
USH_RECORD(order, ORDER_FIELDS)
USH_RECORD_DEFINE(order, ORDER_FIELDS)

static const struct ush_statement add = {
    "add", "INSERT INTO orders (key, book) VALUES ($1, $2) ON CONFLICT DO NOTHING"};

static int run_order(struct ush_tx *tx, const void *in, void *out __attribute__((unused)))
{
    const struct order *o = in;
    const struct ush_job_new job = {.kind = USH_T("parcel"),
                                    .lane = USH_T("parcels"),
                                    .payload = o->book,
                                    .due_at = tx->now_ms,
                                    .created_at = tx->now_ms};
    int n = ush_exec(tx, &add, USH_VALUES(o->key, o->book));
    return n <= 0 ? n : ush_jobs_put(tx, &job, 1); /* 0 rows: it was sent again, and is there */
}
static const struct ush_operation op_order = {"order", &order_record, .run = run_order};
static const struct ush_operation *const operations[] = {&op_order, USH_JOBS_OPERATIONS, NULL};

static int send_parcel(struct ush_job *job, void *jobs)
{
    printf("attempt %d: %.*s %s\n", job->attempt, USH_PR(job->payload),
           job->attempt == 1 ? "finds the post office closed" : "is on its way");
    if (job->attempt == 1)
        return -EAGAIN; /* once more, by the schedule */
    ush_job_note(job, "handed over");
    ush_jobs_stop(*(struct ush_jobs **)jobs); /* an example ends; a worker goes on */
    return 0;
}

static int run(void *migration)
{
    int r = 0;
    struct ush_jobs *jobs = NULL;
    struct order book = {.book = USH_T("\"Knots\"")};
    ush_random(&book.key, sizeof book.key);
    const struct ush_migration list[] = {
        {1, "jobs", migration, NULL},
        {2, "orders", "CREATE TABLE orders (key BIGINT PRIMARY KEY, book TEXT)", NULL}};
    const struct ush_db_options o = {
        .url = "sqlite::memory:", .role = USH_DB_LOCAL, .operations = operations};
    struct ush_db *db = ush_db_open(&o, &r);
    if (!db)
        return r;
    r = ush_migrate(db, &(struct ush_migrate_options){.list = list, .count = 2});
    if (r >= 0)
        r = ush_change(db, &op_order, &book, NULL, NULL);
    const uint32_t retry_s[] = {30, 60, 0};
    const char *const lanes[] = {"parcels", NULL};
    const struct ush_job_kind kind = {
        .name = "parcel", .lane = "parcels", .run = send_parcel, .ctx = &jobs, .retry_s = retry_s};
    if (r >= 0)
        r = ush_jobs_run(&(struct ush_jobs_options){.db = db,
                                                    .kinds = &kind,
                                                    .kind_count = 1,
                                                    .lanes = lanes,
                                                    .wake_fd = -1,
                                                    .owner = ush_job_owner()},
                         &jobs);
    ush_db_close(db);
    return r;
}

int main(int argc, char **argv)
{
    static char migration[64 << 10];
    if (argc > 1 || isatty(0) || fread(migration, 1, sizeof migration - 1, stdin) == 0)
        return fprintf(stderr, "usage: cat migrations/sqlite/000[14]_job*.sql | %s\n", argv[0]), 2;
    return ush_sim_run(&(struct ush_sim_options){.seed = 1}, run, migration, NULL) < 0;
}
