/*
 * lanes_test.c - lanes that rest: paused by hand, by what a job was told, and by limits that two
 * workers share. In virtual time, so a day takes no longer than a minute.
 */
#include "queue.h"

enum { S = 1000000000, DAY_S = 86400, JOBS_MAX = 400 };

#define LANES_TEST(name)                                                                           \
    static int name##_body(void *unused);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){0}, name##_body, NULL, NULL), 0);   \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

static struct ush_db *db;
static struct ush_scope scope; /* around the workers */
static struct ush_jobs *jobs[2];
static struct ush_jobs_options o;
static int64_t began_ns;
static int calls;
static int64_t at_ms[JOBS_MAX];
static int quota_left; /* jobs that may go before a quota is over; -1 = no quota */

static int send_one(struct ush_job *job, void *ctx __attribute__((unused)))
{
    if (quota_left == 0) {
        job->pause_ms = 600 * 1000;
        ush_job_note(job, "550 5.4.5 enough for today");
        return -EAGAIN;
    }
    quota_left -= quota_left > 0;
    ck_assert_int_lt(calls, JOBS_MAX);
    at_ms[calls++] = (ush_now_ns() - began_ns) / USH_MS;
    return 0;
}

static const struct ush_job_kind kinds[] = {{.name = "mail", .run = send_one}};
static const char *const lanes[] = {"mail", "bulk", NULL};

static int worker(void *which)
{
    struct ush_jobs_options mine = o;
    mine.owner = ush_job_owner();
    return ush_jobs_run(&mine, which);
}

/* `more` is SQL behind the migrations. */
static void begin_with(const char *more)
{
    ush_log_init(&(struct ush_log_options){.level = USH_LOG_ERROR});
    db = queue_open_with(more);
    calls = 0;
    quota_left = -1;
    began_ns = ush_now_ns();
    o = (struct ush_jobs_options){
        .db = db, .kinds = kinds, .kind_count = 1, .lanes = lanes, .at_once = 8, .wake_fd = -1};
}

static void begin(void)
{
    begin_with("");
}

static void put(const char *lane, int n)
{
    for (int i = 0; i < n; i++) {
        struct ush_job_new job = new_job("mail", lane);
        ck_assert_int_eq(put_job(db, &job), 1);
    }
}

static void start(void)
{
    ush_scope_open(&scope, NULL);
    for (size_t i = 0; i < USH_COUNT(jobs); i++)
        ck_assert_int_eq(ush_spawn(&scope, worker, &jobs[i]), 0);
}

static void end_workers(void)
{
    for (size_t i = 0; i < USH_COUNT(jobs); i++)
        ush_jobs_stop(jobs[i]);
    ck_assert_int_eq(ush_scope_close(&scope), 0);
}

static void stop(void)
{
    end_workers();
    ush_db_close(db);
}

static void sleep_s(int64_t s)
{
    ck_assert_int_eq(ush_sleep(s * S), 0);
}

/* Long times pass without workers, which would ask each second. */
static void restart_after_s(int64_t s)
{
    end_workers();
    sleep_s(s);
    start();
    sleep_s(10);
}

static void pause_for(const char *lane, int64_t s)
{
    ck_assert_int_eq(
        ush_jobs_pause(db, &(struct ush_jobs_pause){.lane = lane,
                                                    .until_ms = ush_wall_ms() + s * 1000,
                                                    .reason = "for a test"}),
        0);
}

LANES_TEST(a_pause_holds_a_lane_and_ends)
{
    begin();
    pause_for("mail", 100);
    pause_for("mail", 10); /* does not make it shorter */
    put("mail", 3);
    put("bulk", 2);
    start();
    sleep_s(5);
    ck_assert_int_eq(calls, 2);
    sleep_s(90);
    ck_assert_int_eq(calls, 2);
    sleep_s(10);
    ck_assert_int_eq(calls, 5);
    stop();
    return 0;
}

LANES_TEST(a_pause_without_end_is_ended_by_hand)
{
    begin();
    ck_assert_int_eq(
        ush_jobs_pause(
            db, &(struct ush_jobs_pause){.lane = "mail", .until_ms = USH_JOBS_UNTIL_RESUMED}),
        0);
    put("mail", 3);
    start();
    sleep_s(5);
    restart_after_s(400 * DAY_S);
    ck_assert_int_eq(calls, 0);
    ck_assert_int_eq(ush_jobs_resume(db, "bulk"), 0);
    ck_assert_int_eq(ush_jobs_resume(db, "mail"), 1);
    ck_assert_int_eq(ush_jobs_resume(db, "mail"), 0);
    sleep_s(3);
    ck_assert_int_eq(calls, 3);
    stop();
    return 0;
}

LANES_TEST(what_a_job_is_told_holds_for_all_and_costs_no_attempt)
{
    begin();
    quota_left = 5;
    put("mail", 30);
    put("bulk", 5);
    start();
    sleep_s(550);
    ck_assert_int_eq(calls, 5);
    for (int64_t id = 1; id <= 35; id++) {
        struct row row = job_row(db, id);
        ck_assert_int_eq(row.failures + row.crashes + row.unknowns, 0);
        ck_assert(row.state == USH_JOB_DONE || row.state == USH_JOB_READY);
        ck_assert_int_le(row.claim, 2); /* nobody tries in between */
    }
    quota_left = -1;
    sleep_s(60);
    ck_assert_int_eq(calls, 35);
    stop();
    return 0;
}

LANES_TEST(a_rate_is_kept_by_all_workers_together)
{
    static const struct {
        uint32_t per_minute;
        int jobs;
    } rates[] = {{120, 300}, {40, 100}, {6, 20}, {1, 3}};
    for (size_t r = 0; r < USH_COUNT(rates); r++) {
        begin();
        o.per_minute = rates[r].per_minute;
        put("mail", rates[r].jobs);
        start();
        int64_t minutes = (int64_t)rates[r].jobs / rates[r].per_minute + 2;
        sleep_s(minutes * 60);
        ck_assert_int_eq(calls, rates[r].jobs);
        int spare = (int)rates[r].per_minute * 3 / 120 + 1; /* the burst after a quiet time */
        for (int first = 0, i = 0; i < calls; i++) {
            while (at_ms[i] - at_ms[first] >= 60000)
                first++;
            ck_assert_int_le(i - first + 1, (int)rates[r].per_minute + spare);
        }
        /* Nor is it much slower. */
        ck_assert_int_le(at_ms[calls - 1] * rates[r].per_minute / 60000, calls + calls / 20 + 1);
        stop();
    }
    return 0;
}

LANES_TEST(a_cap_survives_a_restart_and_begins_anew)
{
    begin();
    o.per_day = 7;
    put("bulk", 4);
    put("mail", 13);
    start();
    sleep_s(100);
    ck_assert_int_eq(calls, 7);
    ck_assert_int_eq(job_row(db, 1).claim, 0); /* the first lane went first */
    restart_after_s(DAY_S / 2);
    ck_assert_int_eq(calls, 7);
    ck_assert_int_eq(ush_jobs_resume(db, "mail"), 1);
    sleep_s(10);
    ck_assert_int_eq(calls, 7); /* by hand does not make it more a day */
    restart_after_s(DAY_S / 2);
    ck_assert_int_eq(calls, 14);
    restart_after_s(DAY_S);
    ck_assert_int_eq(calls, 17);
    for (int64_t id = 1; id <= 17; id++)
        ck_assert_int_eq(job_row(db, id).failures, 0);
    stop();
    return 0;
}

LANES_TEST(a_clock_that_was_put_back_holds_nothing)
{
    begin_with(
        "INSERT INTO job_lanes VALUES ('mail', 0, NULL, 9000000000000, 9000000000000, 100);");
    o.per_minute = 600;
    o.per_day = 100;
    put("mail", 10);
    start();
    sleep_s(5);
    ck_assert_int_eq(calls, 10);
    stop();
    return 0;
}

int main(void)
{
    Suite *suite = suite_create("jobs/lanes");
    TCase *t = tcase_create("lanes");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_pause_holds_a_lane_and_ends);
    tcase_add_test(t, a_pause_without_end_is_ended_by_hand);
    tcase_add_test(t, what_a_job_is_told_holds_for_all_and_costs_no_attempt);
    tcase_add_test(t, a_rate_is_kept_by_all_workers_together);
    tcase_add_test(t, a_cap_survives_a_restart_and_begins_anew);
    tcase_add_test(t, a_clock_that_was_put_back_holds_nothing);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
