/*
 * jobs_test.c - the job queue while its workers die, hang, are cut off and cancelled.
 *
 * A seed chooses everything: when jobs are put, how long each step of a job takes and how it ends,
 * what happens to which worker and when, which task runs next, and in some modes a cancellation at
 * any suspension. A worker "process" is a scope with a ush_jobs_run in it.
 *
 *   fate      what happens to a worker
 *   STOP      it is asked to stop, ends in order, and a new one starts
 *   QUICK     its scope is cancelled
 *   ZOMBIE    its claims are released as those of a dead process, but it goes on for a while
 *   CUT_OFF   nothing it sends to the database arrives any more, for up to a hundred seconds
 *
 * A trigger in the database keeps the history of every row, in the order of the commits. After the
 * storm a worker that nothing happens to runs what is left. Then the history is held against what
 * the functions of the jobs saw:
 *
 *  1. Every job that was put has one row, and one with the key that all tried to put.
 *  2. Every job ends, and a done one was run to its end by the claim that is written as done.
 *  3. Claims only grow, one at a time, and each is run at most once.
 *  4. A mark that a function was told is stored is in the history under its own claim.
 *  5. The mail server has accepted at most one mail more than the row has ambiguous ends: every
 *     duplicate is announced by a row.
 *  6. Dead rows have three crashes, all attempts spent, or were refused. Nothing is counted twice.
 *  7. An attempt that paused its lanes is not spent, and a limit per minute loses nothing.
 */
#include "../unit/jobs/queue.h"
#include "explored.h"
#include "kept.h"

enum { SEEDS = 10000, PARTS = 10, JOBS = 5, WORKERS = 2, FATES = 4, CLAIMS_MAX = 128 };
enum fate { STOP, QUICK, ZOMBIE, CUT_OFF, FATE_COUNT };

static const char history_schema[] =
    "CREATE TABLE history (n INTEGER PRIMARY KEY, job INTEGER, claim INTEGER, claim_before INTEGER,"
    " state INTEGER, state_before INTEGER, mark INTEGER, crashed INTEGER, failed INTEGER);"
    "CREATE TRIGGER jobs_history AFTER UPDATE ON jobs BEGIN INSERT INTO history"
    " (job, claim, claim_before, state, state_before, mark, crashed, failed) VALUES"
    " (NEW.id, NEW.claim, OLD.claim, NEW.state, OLD.state, NEW.mark,"
    " NEW.crashes - OLD.crashes, NEW.failures - OLD.failures); END;";

#define PAST_FIELDS(F, R)                                                                          \
    F(R, I64, job)                                                                                 \
    F(R, I64, claim)                                                                               \
    F(R, I64, claim_before)                                                                        \
    F(R, I64, state)                                                                               \
    F(R, I64, state_before)                                                                        \
    F(R, I64, mark)                                                                                \
    F(R, I64, crashed)                                                                             \
    F(R, I64, failed)
USH_RECORD(past, PAST_FIELDS)
USH_RECORD_DEFINE(past, PAST_FIELDS)
#define COUNTS_FIELDS(F, R)                                                                        \
    F(R, I64, rows)                                                                                \
    F(R, I64, open)                                                                                \
    F(R, I64, keyed)
USH_RECORD(counts, COUNTS_FIELDS)
USH_RECORD_DEFINE(counts, COUNTS_FIELDS)
static const struct ush_statement
    all_past = {"all_past", "SELECT job, claim, claim_before, state, state_before, mark, crashed,"
                            " failed FROM history ORDER BY n"},
    count = {"count", "SELECT count(*) AS rows, coalesce(sum(state < 2), 0) AS open,"
                      " count(unique_key) AS keyed FROM jobs"};

/* ---- the world ------------------------------------------------------------------------------ */

/* What a job's function saw under one claim. */
struct run {
    bool began, has_returned, was_accepted, paused;
    int marked; /* the highest mark it was told is stored */
    int result;
};

/* A worker's place; the process in it changes. */
struct place {
    struct ush_scope *scope; /* NULL: no process */
    struct ush_jobs *jobs;
    int64_t owner;
};

static struct world {
    struct ush_db *db;
    struct run runs[JOBS + 3][CLAIMS_MAX];
    struct place places[WORKERS];
    int put; /* rows that were stored */
    uint32_t per_minute;
    bool is_over;
} w;

static int pause_up_to_ms(uint32_t ms)
{
    return ush_sleep(ush_sim_choose(ms) * (int64_t)USH_MS);
}

/* ---- the job -------------------------------------------------------------------------------- */

enum { ATTEMPTS = 4 };

static int send_mail(struct ush_job *job, struct run *run)
{
    USH_TRY(pause_up_to_ms(2000));
    USH_HOLDS(job->mark == 0 || ush_text_equal(job->payload, USH_T("the mail")));
    USH_TRY(ush_job_mark(job, 1, job->mark ? USH_NONE : USH_T("the mail")));
    run->marked = 1;
    USH_TRY(pause_up_to_ms(ush_sim_choose(4) ? 5000 : 40000));
    USH_TRY(ush_job_mark(job, 2, USH_NONE));
    run->marked = 2;
    switch (ush_sim_choose(6)) { /* the server's side of the dot */
    case 0:
        /* Enough for now: nobody else is to try. Not for ever, since it costs no attempt. */
        run->paused = job->claim < CLAIMS_MAX / 4 && ush_sim_choose(4) == 0;
        job->pause_ms = run->paused ? 1 + ush_sim_choose(20000) : 0;
        return run->paused || ush_sim_choose(4) ? -EAGAIN : USH_EINVAL;
    case 1:
        run->was_accepted = ush_sim_choose(2); /* and its answer is lost */
        return USH_EUNKNOWN;
    default:
        run->was_accepted = true;
        return pause_up_to_ms(3000);
    }
}

static int mail(struct ush_job *job, void *ctx __attribute__((unused)))
{
    USH_HOLDS(job->id < JOBS + 3 && job->claim < CLAIMS_MAX);
    struct run *run = &w.runs[job->id][job->claim];
    USH_HOLDS(!run->began);
    run->began = true;
    run->result = send_mail(job, run);
    run->has_returned = true;
    return run->result;
}

static const uint32_t schedule[] = {1, 4, 0};
static const struct ush_job_kind kinds[] = {{.name = "mail",
                                             .run = mail,
                                             .deadline_ms = 50000,
                                             .attempts_max = ATTEMPTS,
                                             .retry_s = schedule,
                                             .resend_unknown = true}};

/* ---- processes ------------------------------------------------------------------------------ */

static int work(void *arg)
{
    struct place *p = arg;
    static const char *const lanes[] = {"mail", NULL};
    struct ush_jobs_options o = {.db = w.db,
                                 .kinds = kinds,
                                 .kind_count = 1,
                                 .lanes = lanes,
                                 .at_once = 3,
                                 .per_minute = w.per_minute,
                                 .wake_fd = -1,
                                 .owner = p->owner};
    return w.is_over ? 0 : ush_jobs_run(&o, &p->jobs);
}

/* A process after the other, until all is over. */
static int keep_staffed(void *arg)
{
    struct place *p = arg;
    while (!w.is_over && ush_cancelled() == 0) {
        struct ush_scope scope;
        p->owner = ush_job_owner();
        p->jobs = NULL;
        ush_scope_open(&scope, &(struct ush_scope_options){.name = "process"});
        p->scope = &scope;
        ush_spawn(&scope, work, p);
        ush_scope_close(&scope);
        p->scope = NULL;
    }
    return 0;
}

static void end_it_all(void)
{
    w.is_over = true;
    for (int i = 0; i < WORKERS; i++)
        if (w.places[i].scope && w.places[i].jobs)
            ush_jobs_stop(w.places[i].jobs);
}

static int put_jobs(void *unused __attribute__((unused)))
{
    for (int i = 0; i < JOBS + 2; i++) {
        USH_TRY(pause_up_to_ms(3000));
        struct ush_job_new job = new_job("mail", "mail");
        if (i >= JOBS - 1) { /* three tries to put the same */
            job.unique_key = USH_T("one");
            USH_SET(&job, ush_job_new_unique_key);
        }
        w.put += put_job(w.db, &job) > 0;
    }
    return 0;
}

static int strike(struct place *p)
{
    struct ush__jobs_owner in = {.owner = p->owner};
    switch ((enum fate)ush_sim_choose(FATE_COUNT)) {
    case STOP:
        if (p->jobs)
            ush_jobs_stop(p->jobs);
        return 0;
    case ZOMBIE:
        USH_TRY(ush_jobs_release(w.db, in.owner));
        USH_TRY(pause_up_to_ms(20000));
        break;
    case CUT_OFF:
        USH_TRY(ush__jobs_change(w.db, &op_cut, &in));
        USH_TRY(pause_up_to_ms(100000));
        USH_TRY(ush__jobs_change(w.db, &op_join, &in));
        return 0;
    default:
        break;
    }
    if (p->scope && p->owner == in.owner)
        ush_scope_cancel(p->scope, USH_CANCEL_SHUTDOWN);
    return 0;
}

static int bad_luck(void *unused __attribute__((unused)))
{
    for (int i = 0; i < FATES; i++) {
        USH_TRY(pause_up_to_ms(15000));
        struct place *p = &w.places[ush_sim_choose(WORKERS)];
        if (p->scope)
            USH_TRY(strike(p));
    }
    return 0;
}

/* ---- the run -------------------------------------------------------------------------------- */

static int read_counts(struct ush_tx *view, void *arg)
{
    return ush_one(view, &count, &counts_record, arg, USH_NO_VALUES);
}

static bool is_any_open(void)
{
    struct counts c = {0};
    return ush_read(w.db, read_counts, &c) < 0 || c.open > 0;
}

/* A strike that was cancelled has left its worker cut off, which then never comes to an end. This
 * may be cancelled itself, with the scope that it runs in. */
static void join_all(void)
{
    int r;
    do {
        struct ush_scope shield;
        ush_scope_open(&shield, &(struct ush_scope_options){
                                    .name = "join", .shield = true, .deadline_ns = USH_NEVER});
        r = ush__jobs_change(w.db, &op_join, &(struct ush__jobs_owner){0});
        ush_scope_close(&shield);
    } while (r < 0);
}

static void storm(void)
{
    struct ush_scope world, inner;
    ush_scope_open(&world, &(struct ush_scope_options){.name = "world", .keep_going = true});
    for (int i = 0; i < WORKERS; i++)
        ush_spawn(&world, keep_staffed, &w.places[i]);
    ush_scope_open(&inner, &(struct ush_scope_options){.name = "storm", .keep_going = true});
    ush_spawn(&inner, put_jobs, NULL);
    ush_spawn(&inner, bad_luck, NULL);
    ush_scope_close(&inner);
    join_all();
    end_it_all();
    ush_scope_close(&world);
}

/* Even here the seed may cancel a worker now and then. */
static void calm(void)
{
    int64_t limit = ush_now_ns() + 7200 * USH_SECOND;
    while (is_any_open()) {
        USH_HOLDS(ush_now_ns() < limit);
        struct ush_scope s;
        ush_scope_open(&s, &(struct ush_scope_options){.name = "calm", .keep_going = true});
        w.is_over = false;
        ush_spawn(&s, keep_staffed, &w.places[0]);
        for (int i = 0; i < 20 && is_any_open(); i++)
            if (ush_sleep(5 * USH_SECOND) < 0)
                break;
        end_it_all();
        ush_scope_close(&s);
    }
}

/* ---- the reckoning -------------------------------------------------------------------------- */

static void check_change(const struct past *p)
{
    const struct run *run = &w.runs[p->job][p->claim];
    bool is_claim = p->state_before == USH_JOB_READY && p->state == USH_JOB_RUNNING;
    USH_HOLDS(is_claim || p->state_before == USH_JOB_RUNNING);
    USH_HOLDS(p->claim == p->claim_before + is_claim);
    USH_HOLDS(p->crashed + p->failed <= 1 && p->crashed >= 0 && p->failed >= 0);
    if (p->state != USH_JOB_RUNNING && !p->crashed) /* an end, which the function has decided */
        USH_HOLDS(run->has_returned || (p->state != USH_JOB_DONE && !p->failed));
    if (p->state == USH_JOB_DONE)
        USH_HOLDS(run->result >= 0);
    if (p->failed)
        USH_HOLDS(run->result < 0 && !run->paused);
}

static void check_job(int64_t id, const struct past *past, size_t n)
{
    struct row row = job_row(w.db, id);
    int64_t failed = 0, crashed = 0, claims = 0, accepted = 0;
    int marks[CLAIMS_MAX] = {0};
    const struct past *last = NULL;
    for (size_t i = 0; i < n; i++) {
        if (past[i].job != id)
            continue;
        last = &past[i];
        check_change(last);
        failed += last->failed;
        crashed += last->crashed;
        claims += last->claim - last->claim_before;
        if (last->state == USH_JOB_RUNNING && last->mark > marks[last->claim])
            marks[last->claim] = (int)last->mark;
    }
    for (int64_t c = 0; c < CLAIMS_MAX; c++) {
        const struct run *run = &w.runs[id][c];
        USH_HOLDS(!run->began || c <= row.claim);
        USH_HOLDS(run->marked <= marks[c]);
        accepted += run->was_accepted;
    }
    USH_HOLDS(row.claim == claims && row.failures == failed && row.crashes == crashed);
    USH_HOLDS(row.failures <= ATTEMPTS && row.crashes <= USH_JOB_CRASHES_MAX);
    USH_HOLDS(accepted <= 1 + row.unknowns);
    USH_HOLDS(last && last->state == row.state);
    if (row.state == USH_JOB_DONE)
        USH_HOLDS(w.runs[id][row.claim].was_accepted);
    if (row.state == USH_JOB_HELD)
        USH_HOLDS(row.unknowns == 2);
    if (row.state == USH_JOB_DEAD)
        USH_HOLDS(row.crashes == USH_JOB_CRASHES_MAX || row.failures == ATTEMPTS ||
                  w.runs[id][row.claim].result == USH_EINVAL);
}

static int read_past(struct ush_tx *view, void *arg __attribute__((unused)))
{
    struct ush_rows rows;
    int n = ush_all(view, &all_past, &past_record, 100000, &rows, USH_NO_VALUES);
    struct ush_rows *out = arg;
    *out = (struct ush_rows){malloc((size_t)n * sizeof(struct past) + 1), rows.count};
    memcpy(out->at, rows.at, rows.count * sizeof(struct past));
    return n;
}

static void check(void)
{
    struct counts c = {0};
    USH_HOLDS(ush_read(w.db, read_counts, &c) == 1);
    USH_HOLDS(c.rows == w.put && c.keyed <= 1 && c.open == 0);
    struct ush_rows past;
    USH_HOLDS(ush_read(w.db, read_past, &past) >= 0);
    for (int64_t id = 1; id <= c.rows; id++)
        check_job(id, past.at, past.count);
    free(past.at);
}

static int make_database(void *unused __attribute__((unused)))
{
    ush_db_close(queue_open_with(history_schema));
    return 0;
}

static void begin(void)
{
    kept_make(make_database);
    queue_is_made = true;
}

static int scenario(void *unused __attribute__((unused)))
{
    memset(&w, 0, sizeof w);
    w.per_minute = ush_sim_choose(3) ? 0 : 30;
    w.db = queue_open_with(history_schema);
    storm();
    calm();
    check();
    ush_db_close(w.db);
    return 0;
}

START_TEST(no_job_is_lost_or_doubled)
{
    ush_log_init(&(struct ush_log_options){.level = (enum ush_log_level) - 1});
    const struct ush_explore_options o = {.name = "jobs",
                                          .schedules = SEEDS / PARTS,
                                          .seed = 1 + (uint64_t)_i * (SEEDS / PARTS),
                                          .sim.cancel_permille = 3};
    explored(&o, scenario, NULL);
}
END_TEST

START_TEST(nor_when_cut_at_every_suspension)
{
    ush_log_init(&(struct ush_log_options){.level = (enum ush_log_level) - 1});
    const struct ush_explore_options o = {
        .name = "jobs-cut", .strategy = USH_EXPLORE_CUT, .schedules = 4000};
    explored(&o, scenario, NULL);
}
END_TEST

/* ---- an end that cannot be stored before its lease is over ----------------------------------- */

static int runs_of[3][8]; /* job, claim */

static int count_run(struct ush_job *job, void *ctx __attribute__((unused)))
{
    USH_HOLDS(job->claim < 8 && ++runs_of[job->id][job->claim] == 1);
    return ush_sleep(4 * USH_SECOND);
}

static int work_alone(void *arg)
{
    static const char *const lanes[] = {"mail", NULL};
    static const struct ush_job_kind kind = {.name = "mail", .run = count_run};
    struct place *p = arg;
    struct ush_jobs_options o = {.db = w.db,
                                 .kinds = &kind,
                                 .kind_count = 1,
                                 .lanes = lanes,
                                 .wake_fd = -1,
                                 .owner = p->owner};
    return ush_jobs_run(&o, &p->jobs);
}

/* The worker is cut off while two jobs run, and comes back when the lease of the first is over: it
 * renews what it has, and that must not be a job it has given up. */
static int late_end(void *unused __attribute__((unused)))
{
    struct place p = {.owner = ush_job_owner()};
    struct ush_job_new job = new_job("mail", "mail");
    struct ush_scope scope;
    memset(runs_of, 0, sizeof runs_of);
    w.db = queue_open_with(history_schema);
    USH_HOLDS(put_job(w.db, &job) == 1);
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, work_alone, &p);
    USH_TRY(ush_sleep(USH_SECOND));
    USH_HOLDS(put_job(w.db, &job) == 1);
    USH_TRY(ush_sleep(2 * USH_SECOND));
    USH_HOLDS(runs_of[1][1] == 1 && runs_of[2][1] == 1);
    cut_off(w.db, p.owner);
    USH_TRY(ush_sleep(56 * USH_SECOND));
    USH_TRY(pause_up_to_ms(5000));
    join_again(w.db, p.owner);
    USH_TRY(ush_sleep(10 * USH_SECOND));
    USH_HOLDS(job_row(w.db, 1).state == USH_JOB_DONE && job_row(w.db, 2).state == USH_JOB_DONE);
    ush_jobs_stop(p.jobs);
    int r = ush_scope_close(&scope);
    ush_db_close(w.db);
    return r;
}

START_TEST(an_end_is_tried_beyond_the_lease)
{
    ush_log_init(&(struct ush_log_options){.level = (enum ush_log_level) - 1});
    explored(&(struct ush_explore_options){.name = "late-end", .schedules = 500}, late_end, NULL);
}
END_TEST

/* ---- a stop while the database is away ------------------------------------------------------- */

/* The first job has no mark; the second is behind the dot, or not, as `ctx` says. */
static int mark_and_wait(struct ush_job *job, void *ctx)
{
    runs_of[job->id][job->claim]++;
    if (job->id == 2 && *(const bool *)ctx)
        USH_TRY(ush_job_mark(job, 2, USH_NONE));
    return ush_sleep(4 * USH_SECOND);
}

static bool is_past_the_dot;

static int work_marked(void *arg)
{
    static const char *const lanes[] = {"mail", NULL};
    static const struct ush_job_kind kind = {
        .name = "mail", .run = mark_and_wait, .ctx = &is_past_the_dot};
    struct place *p = arg;
    struct ush_jobs_options o = {.db = w.db,
                                 .kinds = &kind,
                                 .kind_count = 1,
                                 .lanes = lanes,
                                 .wake_fd = -1,
                                 .owner = p->owner};
    return ush_jobs_run(&o, &p->jobs);
}

/* Ends that only say "run me (again)" do not hold a worker up that is asked to stop; one that tells
 * what nobody else knows does, until it is stored. */
static int stop_while_away(void *unused __attribute__((unused)))
{
    struct place p = {.owner = ush_job_owner()}, next = {.owner = ush_job_owner()};
    struct ush_job_new job = new_job("mail", "mail");
    struct ush_scope scope;
    memset(runs_of, 0, sizeof runs_of);
    is_past_the_dot = ush_sim_choose(2);
    w.db = queue_open();
    USH_HOLDS(put_job(w.db, &job) == 1 && put_job(w.db, &job) == 1);
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, work_marked, &p);
    USH_TRY(ush_sleep(2 * USH_SECOND));
    USH_HOLDS(runs_of[1][1] == 1 && runs_of[2][1] == 1);
    cut_off(w.db, p.owner);
    USH_TRY(pause_up_to_ms(4000)); /* while it runs, or when its end is being tried */
    int64_t stopped_ns = ush_now_ns();
    ush_jobs_stop(p.jobs);
    if (is_past_the_dot) {
        USH_TRY(ush_sleep(40 * USH_SECOND));
        USH_HOLDS(p.jobs);
        join_again(w.db, p.owner);
    }
    USH_TRY(ush_scope_close(&scope));
    USH_HOLDS(ush_now_ns() - stopped_ns <= (is_past_the_dot ? 45 : 10) * USH_SECOND);
    USH_HOLDS(job_row(w.db, 2).state == (is_past_the_dot ? USH_JOB_DONE : USH_JOB_RUNNING));
    USH_HOLDS(job_row(w.db, 1).state == USH_JOB_RUNNING);
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, work_marked, &next);
    USH_TRY(ush_sleep(70 * USH_SECOND));
    USH_HOLDS(job_row(w.db, 1).state == USH_JOB_DONE && runs_of[1][2] == 1);
    USH_HOLDS(job_row(w.db, 2).state == USH_JOB_DONE && runs_of[2][2] == !is_past_the_dot);
    ush_jobs_stop(next.jobs);
    int r = ush_scope_close(&scope);
    ush_db_close(w.db);
    return r;
}

START_TEST(a_stop_waits_only_for_what_nobody_else_knows)
{
    ush_log_init(&(struct ush_log_options){.level = (enum ush_log_level) - 1});
    explored(&(struct ush_explore_options){.name = "stop-away", .schedules = 500}, stop_while_away,
             NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim/jobs");
    TCase *tc = tcase_create("jobs");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, begin, NULL);
    tcase_add_loop_test(tc, no_job_is_lost_or_doubled, 0, PARTS);
    tcase_add_test(tc, an_end_is_tried_beyond_the_lease);
    tcase_add_test(tc, a_stop_waits_only_for_what_nobody_else_knows);
    tcase_add_test(tc, nor_when_cut_at_every_suspension);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
