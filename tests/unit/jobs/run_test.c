/*
 * run_test.c - a worker and its jobs, in virtual time.
 */
#include <sys/eventfd.h>
#include <unistd.h>

#include "queue.h"

#define RUN_TEST(name)                                                                             \
    static int name##_body(void *unused);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){0}, name##_body, NULL, NULL), 0);   \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

enum { S = 1000000000 };

static struct ush_db *db;
static struct ush_scope scope; /* around the worker */
static struct ush_jobs *jobs;
static struct ush_jobs_options o;

/* What the kinds below did. */
static int calls, running, most, most_bulk, bulk;
static int64_t began_ns, at_ns[64];
static int answers[4]; /* of "asked": what to return, by call */
static int last_mark, last_mark_result;

static int64_t now_s(void)
{
    return (ush_now_ns() - began_ns) / S;
}

static void enter(void)
{
    at_ns[calls++] = ush_now_ns() - began_ns;
    running++;
    most = running > most ? running : most;
}

static int quick(struct ush_job *job __attribute__((unused)), void *ctx __attribute__((unused)))
{
    enter();
    running--;
    return 0;
}

/* Takes *ctx seconds. */
static int slow(struct ush_job *job, void *ctx)
{
    enter();
    bool is_bulk = ush_text_equal(job->kind, USH_T("bulk"));
    bulk += is_bulk;
    most_bulk = bulk > most_bulk ? bulk : most_bulk;
    int r = ush_sleep(*(int *)ctx * (int64_t)S);
    bulk -= is_bulk;
    running--;
    return r;
}

static int asked(struct ush_job *job, void *ctx __attribute__((unused)))
{
    enter();
    running--;
    last_mark = job->mark;
    int answer = answers[calls - 1];
    if (answer == USH_EUNKNOWN) {
        ck_assert_int_eq(ush_job_mark(job, 1, USH_T("frozen")), 0);
        ck_assert_int_eq(ush_job_mark(job, 2, USH_NONE), 0);
    }
    return answer;
}

/* Reaches mark 2, then waits until it is cut. */
static int cut_after_mark(struct ush_job *job, void *ctx __attribute__((unused)))
{
    enter();
    int r = ush_job_mark(job, 2, USH_NONE);
    if (r >= 0)
        r = ush_park_until_cancelled();
    running--;
    return r;
}

/* Takes *ctx seconds and then wants to touch the world. */
static int late_mark(struct ush_job *job, void *ctx)
{
    enter();
    int r = ush_sleep(*(int *)ctx * (int64_t)S);
    if (r >= 0)
        r = last_mark_result = ush_job_mark(job, 1, USH_NONE);
    running--;
    return r;
}

static int two_s = 2, ten_s = 10, fifty_s = 50, hundred_s = 100;
static const uint32_t schedule[] = {10, 100, 0};
static const struct ush_job_kind kinds[] = {
    {.name = "quick", .run = quick},
    {.name = "slow", .run = slow, .ctx = &two_s},
    {.name = "ten", .run = slow, .ctx = &ten_s},
    {.name = "bulk", .run = slow, .ctx = &two_s},
    {.name = "long", .run = slow, .ctx = &hundred_s, .deadline_ms = 200000},
    {.name = "asked", .run = asked, .retry_s = schedule, .attempts_max = 3},
    {.name = "resent", .run = asked, .retry_s = schedule, .resend_unknown = true},
    {.name = "cut", .run = cut_after_mark},
    {.name = "late", .run = late_mark, .ctx = &fifty_s, .deadline_ms = 100000},
};
static const char *const lanes[] = {"mail", "bulk", NULL};

static int worker(void *unused __attribute__((unused)))
{
    return ush_jobs_run(&o, &jobs);
}

static void begin(void)
{
    ush_log_init(&(struct ush_log_options){.level = USH_LOG_ERROR});
    db = queue_open();
    calls = running = most = most_bulk = bulk = 0;
    began_ns = ush_now_ns();
    o = (struct ush_jobs_options){
        .db = db,
        .kinds = kinds,
        .kind_count = USH_COUNT(kinds),
        .lanes = lanes,
        .at_once = 8,
        .wake_fd = -1,
        .owner = ush_job_owner(),
    };
}

static void start(void)
{
    ush_scope_open(&scope, NULL);
    ck_assert_int_eq(ush_spawn(&scope, worker, NULL), 0);
}

/* Stops it in order and returns how long that took. */
static int64_t stop(void)
{
    int64_t from = ush_now_ns();
    ush_jobs_stop(jobs);
    ck_assert_int_eq(ush_scope_close(&scope), 0);
    ck_assert_ptr_null(jobs);
    return (ush_now_ns() - from) / S;
}

static void put_n(const char *kind, const char *lane, int n)
{
    struct ush_job_new job = new_job(kind, lane);
    while (n--)
        ck_assert_int_eq(put_job(db, &job), 1);
}

static void wait_state(int64_t id, int64_t state)
{
    for (int i = 0; job_row(db, id).state != state; i++) {
        ck_assert_int_lt(i, 100000);
        ush_sleep(10 * USH_MS);
    }
}

RUN_TEST(runs_all_within_its_bound)
{
    begin();
    put_n("slow", "mail", 20);
    start();
    for (int id = 1; id <= 20; id++)
        wait_state(id, USH_JOB_DONE);
    ck_assert_int_eq(calls, 20);
    ck_assert_int_eq(most, 8);
    ck_assert_int_eq(now_s(), 6); /* three rounds of two seconds, no waiting in between */
    put_n("quick", "mail", 1);
    int64_t from = ush_now_ns();
    wait_state(21, USH_JOB_DONE); /* an idle worker asks each second */
    ck_assert_int_lt((ush_now_ns() - from) / USH_MS, 1300);
    stop();
    ush_db_close(db);
    return 0;
}

RUN_TEST(the_first_lane_does_not_wait)
{
    begin();
    put_n("bulk", "bulk", 40);
    start();
    wait_state(1, USH_JOB_DONE);
    put_n("quick", "mail", 1);
    int64_t from = ush_now_ns();
    wait_state(41, USH_JOB_DONE);
    ck_assert_int_lt((ush_now_ns() - from) / USH_MS, 1300);
    for (int id = 1; id <= 40; id++)
        wait_state(id, USH_JOB_DONE);
    ck_assert_int_eq(most_bulk, 4);
    ck_assert_int_eq(now_s(), 20); /* and that half is always in use */
    stop();
    ush_db_close(db);
    return 0;
}

RUN_TEST(retries_by_schedule_then_dies)
{
    begin();
    put_n("asked", "mail", 1);
    for (int i = 0; i < 3; i++)
        answers[i] = -EAGAIN;
    start();
    wait_state(1, USH_JOB_DEAD);
    ck_assert_int_eq(calls, 3);
    int64_t first = (at_ns[1] - at_ns[0]) / USH_MS, second = (at_ns[2] - at_ns[1]) / USH_MS;
    ck_assert(first >= 7500 && first <= 12500 + 1300);
    ck_assert(second >= 75000 && second <= 125000 + 1300);
    ck_assert_int_eq(job_row(db, 1).failures, 3);
    ck_assert_int_eq(job_row(db, 1).crashes, 0);
    stop();
    ush_db_close(db);
    return 0;
}

/* {kind, what its calls answer, calls, state at the end} */
static const struct {
    const char *kind;
    int answers[4], calls;
    int64_t state, unknowns;
    int mark; /* that the last call found */
} ends[] = {
    {"asked", {USH_EINVAL}, 1, USH_JOB_DEAD, 0, 0},
    {"asked", {-EAGAIN, 5}, 2, USH_JOB_DONE, 0, 0},
    {"asked", {USH_EUNAVAILABLE, USH_EUNAVAILABLE, USH_EUNAVAILABLE, 0}, 4, USH_JOB_DONE, 0, 0},
    {"asked", {USH_EUNKNOWN}, 1, USH_JOB_HELD, 1, 0},
    {"resent", {USH_EUNKNOWN, 0}, 2, USH_JOB_DONE, 1, 2},
    {"resent", {USH_EUNKNOWN, USH_EUNKNOWN}, 2, USH_JOB_HELD, 2, 2},
    {"resent", {USH_EUNKNOWN, -EAGAIN, 0}, 3, USH_JOB_DONE, 1, 1},
};

RUN_TEST(ends_as_its_result_says)
{
    for (size_t i = 0; i < USH_COUNT(ends); i++) {
        begin();
        memcpy(answers, ends[i].answers, sizeof answers);
        put_n(ends[i].kind, "mail", 1);
        start();
        wait_state(1, ends[i].state);
        ck_assert_int_eq(calls, ends[i].calls);
        ck_assert_int_eq(job_row(db, 1).unknowns, ends[i].unknowns);
        ck_assert_int_eq(last_mark, ends[i].mark);
        stop();
        ush_db_close(db);
    }
    return 0;
}

RUN_TEST(stop_lets_jobs_finish)
{
    begin();
    put_n("ten", "mail", 9);
    start();
    ush_sleep(S);
    ck_assert_int_eq(running, 8);
    ck_assert_int_eq(stop(), 9);
    ck_assert_int_eq(calls, 8); /* nothing new was begun */
    for (int id = 1; id <= 8; id++)
        ck_assert_int_eq(job_row(db, id).state, USH_JOB_DONE);
    ck_assert_int_eq(job_row(db, 9).state, USH_JOB_READY);
    ush_db_close(db);
    return 0;
}

RUN_TEST(cancellation_hands_back)
{
    begin();
    put_n("ten", "mail", 1);
    put_n("cut", "mail", 1);
    start();
    ush_sleep(S);
    ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&scope);
    ck_assert_int_eq(now_s(), 1);
    struct row back = job_row(db, 1), unknown = job_row(db, 2);
    ck_assert_int_eq(back.state, USH_JOB_READY);
    ck_assert_int_eq(back.failures + back.crashes + back.unknowns, 0);
    ck_assert_int_eq(unknown.state, USH_JOB_HELD); /* it was past the point of no return */
    ck_assert_int_eq(unknown.unknowns, 1);
    ush_db_close(db);
    return 0;
}

/* A worker whose master was killed is cancelled at any moment, also while it claims. */
RUN_TEST(cancellation_leaves_no_claim)
{
    for (int turns = 0; turns < 40; turns++) {
        begin();
        put_n("ten", "mail", 1);
        start();
        for (int i = 0; i < turns; i++)
            ck_assert_int_eq(ush_yield(), 0);
        ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
        ush_scope_close(&scope);
        struct row back = job_row(db, 1);
        ck_assert_msg(back.state == USH_JOB_READY, "cancelled after %d turns", turns);
        ck_assert_int_eq(back.failures + back.crashes + back.unknowns, 0);
        ush_db_close(db);
    }
    return 0;
}

RUN_TEST(a_suspect_runs_alone)
{
    begin();
    put_n("slow", "mail", 1);
    struct ush__jobs_claim in = {.lanes = USH_T("mail"), .limit = 1};
    struct ush__jobs_claimed out;
    for (in.owner = 1; in.owner <= 2; in.owner++) { /* two workers die of it */
        ck_assert_int_eq(ush_change(db, &ush_op_jobs_claim, &in, &out, ush_task_arena()), 1);
        ck_assert_int_eq(ush_jobs_release(db, in.owner), 1);
    }
    put_n("slow", "mail", 4);
    start();
    for (int id = 1; id <= 5; id++)
        wait_state(id, USH_JOB_DONE);
    ck_assert_int_eq(calls, 5);
    ck_assert_int_eq(now_s(), 4); /* four together, then that one */
    ck_assert_int_eq(job_row(db, 1).crashes, 2);
    stop();
    ush_db_close(db);
    return 0;
}

RUN_TEST(long_jobs_live_on_renewals)
{
    begin();
    put_n("long", "mail", 1);
    start();
    ush_sleep(S);
    /* Another worker asks all the time and never gets it. */
    struct ush__jobs_claim in = {.owner = 5, .lanes = USH_T("mail"), .limit = 1};
    struct ush__jobs_claimed out;
    while (job_row(db, 1).state == USH_JOB_RUNNING) {
        ck_assert_int_eq(ush_change(db, &ush_op_jobs_claim, &in, &out, ush_task_arena()), 0);
        ush_sleep(S);
    }
    ck_assert_int_eq(calls, 1);
    ck_assert_int_eq(job_row(db, 1).state, USH_JOB_DONE);
    stop();
    ush_db_close(db);
    return 0;
}

RUN_TEST(no_lease_no_side_effect)
{
    begin();
    put_n("late", "mail", 1);
    put_n("long", "mail", 1);
    start();
    ush_sleep(S);
    cut_off(db, o.owner); /* no renewal is stored any more; the claim was at 0 s */
    last_mark_result = 0;
    ush_sleep(50 * (int64_t)S);
    ck_assert_int_eq(last_mark_result, -ECANCELED); /* at 50 s less than 15 s were left */
    ck_assert_int_eq(running, 1);
    ush_sleep(5 * (int64_t)S);
    ck_assert_int_eq(running, 0); /* and at 55 s the other is cut short */
    join_again(db, o.owner);
    wait_state(2, USH_JOB_READY); /* handed back, or its lease is over */
    ck_assert_int_eq(job_row(db, 1).failures, 0);
    ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&scope);
    ush_db_close(db);
    return 0;
}

RUN_TEST(an_end_waits_for_the_database)
{
    begin();
    put_n("ten", "mail", 1);
    start();
    ush_sleep(S);
    cut_off(db, o.owner);
    ush_sleep(20 * (int64_t)S);
    ck_assert_int_eq(running, 0);
    ck_assert_int_eq(job_row(db, 1).state, USH_JOB_RUNNING);
    join_again(db, o.owner);
    ush_sleep(2 * (int64_t)S);
    ck_assert_int_eq(job_row(db, 1).state, USH_JOB_DONE);
    ck_assert_int_eq(calls, 1);
    stop();
    ush_db_close(db);
    return 0;
}

static int64_t rows_left(void)
{
    int64_t n = 0;
    for (int64_t id = 1; id <= 60; id++)
        n += job_row(db, id).id == id;
    return n;
}

RUN_TEST(rows_of_done_jobs_are_deleted_when_old)
{
    begin();
    o.keep_ms = 3600 * 1000;
    answers[0] = USH_EINVAL;
    put_n("asked", "mail", 1);
    put_n("quick", "mail", 57); /* more than one purge looks at */
    start();
    wait_state(1, USH_JOB_DEAD);
    wait_state(58, USH_JOB_DONE);
    ush_sleep(3000 * (int64_t)S);
    put_n("quick", "mail", 1);
    put_n("elsewhere", "mail", 1);
    wait_state(59, USH_JOB_DONE);
    ck_assert_int_eq(rows_left(), 60);
    ush_sleep((600 + USH__PURGE_EVERY_MS / 1000) * (int64_t)S);
    ck_assert_int_eq(job_row(db, 1).state, USH_JOB_DEAD);
    ck_assert_int_eq(rows_left(), 3);
    ush_sleep(3600 * (int64_t)S);
    ck_assert_int_eq(job_row(db, 59).id, 0);
    ck_assert_int_eq(rows_left(), 2); /* what needs a person, and what waits */
    stop();
    ush_db_close(db);
    return 0;
}

RUN_TEST(an_unknown_kind_is_left_to_others)
{
    begin();
    put_n("newer", "mail", 1);
    start();
    ush_sleep(5 * (int64_t)S);
    struct row row = job_row(db, 1);
    ck_assert_int_eq(row.state, USH_JOB_READY);
    ck_assert_int_eq(row.claim, 1);
    ck_assert_int_eq(row.failures, 0);
    ck_assert_int_gt(row.due_at, ush_wall_ms() + 50000);
    stop();
    ush_db_close(db);
    return 0;
}

/* Real time and a real eventfd. */
static int wake_body(void *unused __attribute__((unused)))
{
    begin();
    o.wake_fd = eventfd(0, EFD_CLOEXEC);
    start();
    ush_sleep(50 * USH_MS); /* it has asked and found nothing */
    for (int id = 1; id <= 3; id++) {
        int64_t from = ush_now_ns();
        put_n("quick", "mail", 1);
        ck_assert_int_eq(write(o.wake_fd, &(uint64_t){1}, 8), 8);
        while (job_row(db, id).state != USH_JOB_DONE)
            ck_assert_int_eq(ush_yield(), 0);
        ck_assert_int_lt((ush_now_ns() - from) / USH_MS, allow(300));
    }
    stop();
    ush_db_close(db);
    close(o.wake_fd);
    return 0;
}

START_TEST(a_wake_up_is_heard)
{
    struct ush_loop_options epoll = {.backend = USH_BACKEND_EPOLL};
    ck_assert_int_eq(ush_run(&epoll, wake_body, NULL), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("jobs/run");
    TCase *tc = tcase_create("run");
    tcase_add_test(tc, runs_all_within_its_bound);
    tcase_add_test(tc, the_first_lane_does_not_wait);
    tcase_add_test(tc, retries_by_schedule_then_dies);
    tcase_add_test(tc, ends_as_its_result_says);
    tcase_add_test(tc, stop_lets_jobs_finish);
    tcase_add_test(tc, cancellation_hands_back);
    tcase_add_test(tc, cancellation_leaves_no_claim);
    tcase_add_test(tc, a_suspect_runs_alone);
    tcase_add_test(tc, long_jobs_live_on_renewals);
    tcase_add_test(tc, no_lease_no_side_effect);
    tcase_add_test(tc, an_end_waits_for_the_database);
    tcase_add_test(tc, an_unknown_kind_is_left_to_others);
    tcase_add_test(tc, rows_of_done_jobs_are_deleted_when_old);
    tcase_add_test(tc, a_wake_up_is_heard);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
