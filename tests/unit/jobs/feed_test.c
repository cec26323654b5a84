/*
 * feed_test.c - jobs announced over the real Redis server, which is wiped, given an old snapshot,
 * frozen, slowed down, killed and started anew under those that announce and listen.
 *
 * Two workers share a table in memory, each with connections of its own. What is measured is the
 * time from the put of a job to its run: whatever happens to Redis, none waits for more than two
 * seconds, and none is lost or run twice.
 */
#include "../redis/server.h"
#include "queue.h"

enum { WORKERS = 2, JOBS_MAX = 4000, LATE_MS = 2000 };

static struct ush_db *db;
static struct ush_hints *h;
static struct ush_scope tasks;
static struct ush_jobs *workers[WORKERS];
static char url[128];
static int64_t put_ns[JOBS_MAX], took_ms[JOBS_MAX]; /* by id; -1 = it has not run */
static int runs[JOBS_MAX];
static int by[WORKERS], done, last;
static int64_t work_ms;     /* that a job takes */
static struct ush_event go; /* jobs wait for it */
static struct ush_event one_done;

static int mail(struct ush_job *job, void *ctx __attribute__((unused)))
{
    runs[job->id]++;
    took_ms[job->id] = (ush_now_ns() - put_ns[job->id]) / USH_MS;
    by[job->jobs == workers[1]]++;
    USH_TRY(ush_event_wait(&go));
    if (work_ms)
        USH_TRY(ush_sleep(work_ms * (int64_t)USH_MS));
    done++;
    ush_event_set(&one_done);
    return 0;
}

static const struct ush_job_kind kinds[] = {{.name = "mail", .run = mail}};
static const char *const lanes[] = {"mail", "bulk", NULL};

static int work(void *which)
{
    struct ush_jobs_options o = {.db = db,
                                 .kinds = kinds,
                                 .kind_count = 1,
                                 .lanes = lanes,
                                 .wake_fd = -1,
                                 .owner = ush_job_owner(),
                                 .redis_url = url};
    return ush_jobs_run(&o, which);
}

static void put_in(const char *lane, int n)
{
    for (int i = 0; i < n; i++) {
        struct ush_job_new job = new_job("mail", lane);
        put_ns[++last] = ush_now_ns();
        ck_assert_int_eq(put_job(db, &job), 1);
    }
    ush_hints_raise(h);
}

static void put(int n)
{
    put_in("mail", n);
}

/* Until all have run. The longest that one waited, in ms. */
static int64_t until_done(void)
{
    int64_t longest = 0, limit = ush_now_ns() + allow(20000) * USH_MS;
    while (done < last && ush_now_ns() < limit) {
        struct ush_scope s;
        ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = limit});
        ush_event_wait(&one_done);
        ush_scope_close(&s);
        ush_event_reset(&one_done);
    }
    for (int id = 1; id <= last; id++) {
        ck_assert_msg(runs[id] == 1, "job %d was run %d times", id, runs[id]);
        longest = took_ms[id] > longest ? took_ms[id] : longest;
    }
    return longest;
}

/* One job; the milliseconds it waited. */
static int64_t one(void)
{
    put(1);
    until_done();
    return took_ms[last];
}

/* Back to where a hint finds the announcer at once; each connection comes back by itself. */
static void until_quick(void)
{
    for (int i = 0; one() > allow(200); i++)
        ck_assert_int_lt(i, 20);
}

static bool is_fed(void)
{
    return workers[0]->is_fed && workers[1]->is_fed;
}

/* Every change that is asked for here wakes the worker's listener too. */
static void until(const struct ush_jobs *j, bool (*holds)(const struct ush_jobs *j))
{
    struct ush_scope s;
    ush_scope_open(
        &s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + allow(20000) * USH_MS});
    while (!holds(j))
        ck_assert_int_eq(ush_event_wait(&j->feed->turn), 0);
    ush_scope_close(&s);
}

static bool fed(const struct ush_jobs *j)
{
    return j->is_fed;
}

static bool unfed(const struct ush_jobs *j)
{
    return !j->is_fed;
}

static bool busy(const struct ush_jobs *j)
{
    return ush__jobs_room(j) == 0;
}

static void until_fed(void)
{
    for (int i = 0; i < WORKERS; i++)
        until(workers[i], fed);
}

static struct ush_redis_reply ask(struct ush_redis_command command, struct ush_arena *arena)
{
    int error;
    struct ush_redis_reply reply;
    struct ush_redis *r = ush_redis_new(&(struct ush_redis_options){.url = url}, &error);
    ck_assert_int_eq(ush_redis_do(r, command, &reply, arena), 0);
    ush_redis_free(r);
    return reply;
}

/* Until the stream of mails has so many entries, or more. */
static void until_length(int64_t n, struct ush_arena *arena)
{
    int64_t limit = ush_now_ns() + allow(20000) * USH_MS, have;
    do {
        ck_assert_int_lt(ush_now_ns(), limit);
        have = ask(USH_REDIS(USH_T("XLEN"), USH_T("usher:jobs:lane:mail")), arena).integer;
    } while (n ? have < n : have > 0);
}

static int body(void *test)
{
    int error = 0;
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    snprintf(url, sizeof url, "unix://:" REDIS_PASSWORD "@%s/redis", redis.folder);
    ush_event_init(&one_done, "a job");
    ush_event_init(&go, "go");
    ush_event_set(&go);
    db = queue_open();
    h = ush_hints_new(&(struct ush_hints_options){.url = url}, &error);
    ck_assert_int_eq(error, 0);
    ush_scope_open(&tasks, NULL);
    ck_assert_int_eq(ush_spawn(&tasks, ush_hints_send, h), 0);
    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_eq(ush_spawn(&tasks, work, &workers[i]), 0);
    while (!workers[WORKERS - 1])
        ush_yield();
    until_fed();
    struct ush_arena arena;
    ush_arena_init(&arena, NULL, 0, 1 << 20);
    ((void (*)(struct ush_arena *))test)(&arena);
    ush_arena_fini(&arena);
    int64_t began = ush_now_ns();
    ush_scope_cancel(&tasks, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&tasks);
    ck_assert_int_lt(ush_now_ns() - began, allow(1000) * USH_MS); /* whatever the server does */
    ush_hints_free(h);
    ush_db_close(db);
    return 0;
}

#define FEED_TEST(name)                                                                            \
    static void name##_body(struct ush_arena *arena);                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        redis_start();                                                                             \
        ck_assert_int_eq(ush_run(&(struct ush_loop_options){0}, body, (void *)name##_body), 0);    \
        redis_remove();                                                                            \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(struct ush_arena *arena __attribute__((unused)))

/* A worker that only asks each second finds a job 0.5 s late on average. */
FEED_TEST(a_job_is_run_at_once_and_leaves_nothing)
{
    for (int i = 0; i < 10; i++)
        ck_assert_int_lt(one(), allow(400));
    ck_assert(is_fed());
    until_length(0, arena);
}

FEED_TEST(work_is_shared_and_lanes_too)
{
    work_ms = 20;
    put_in("bulk", 60);
    put_in("mail", 60);
    until_done();
    ck_assert_int_gt(by[0], 20);
    ck_assert_int_gt(by[1], 20);
    int64_t mails = 0, bulk = 0;
    for (int id = 1; id <= 60; id++) {
        bulk += took_ms[id];
        mails += took_ms[60 + id];
    }
    ck_assert_int_lt(mails, bulk); /* the first lane does not wait for the second */
}

FEED_TEST(a_rush_is_bounded_in_redis)
{
    for (int i = 0; i < 3; i++) {
        put(1000);
        int64_t n = ask(USH_REDIS(USH_T("XLEN"), USH_T("usher:jobs:lane:mail")), arena).integer;
        ck_assert_int_le(n, 1100);
    }
    until_done();
}

FEED_TEST(a_wiped_server_loses_nothing)
{
    for (int i = 0; i < 5; i++) {
        put(20);
        ask(USH_REDIS(USH_T("FLUSHALL")), arena);
        put(20);
        ck_assert_int_lt(until_done(), allow(LATE_MS));
    }
    until_fed();
    until_quick();
}

FEED_TEST(an_old_snapshot_loses_nothing)
{
    ush_event_reset(&go);
    put(40);
    ask(USH_REDIS(USH_T("SAVE")), arena);
    ush_event_set(&go);
    until_done(); /* now the snapshot announces jobs that are done, at an epoch of long ago */
    for (int i = 0; i < 5; i++)
        one();
    int64_t before = done;
    redis_stop();
    put(10);
    redis_run();
    put(10);
    until_done();
    for (int id = (int)before + 1; id <= last; id++)
        ck_assert_int_lt(took_ms[id], allow(LATE_MS + 500)); /* with the outage */
    until_fed();
    until_quick();
}

FEED_TEST(a_frozen_server_delays_nobody)
{
    kill(redis.pid, SIGSTOP);
    int64_t began = ush_now_ns();
    for (int i = 0; i < 1000; i++)
        ush_hints_raise(h);
    ck_assert_int_lt(ush_now_ns() - began, allow(50) * USH_MS);
    for (int i = 0; i < 4; i++)
        ck_assert_int_lt(one(), allow(LATE_MS));
    ck_assert(!is_fed());
    kill(redis.pid, SIGCONT);
    until_fed();
    until_quick();
    kill(redis.pid, SIGSTOP); /* and the tasks end beside a server that does not answer */
}

FEED_TEST(a_slow_server_delays_by_what_it_takes)
{
    for (int i = 0; i < 6; i++) {
        ask(USH_REDIS(USH_T("CLIENT"), USH_T("PAUSE"), ush_text_of(i % 2 ? "150" : "700")), arena);
        ck_assert_int_lt(one(), allow(LATE_MS));
    }
}

FEED_TEST(a_new_server_is_found)
{
    redis_stop();
    ck_assert_int_lt(one(), allow(LATE_MS));
    for (int i = 0; i < WORKERS; i++)
        until(workers[i], unfed);
    ck_assert_int_lt(one(), allow(LATE_MS));
    redis_run();
    until_fed();
    until_quick();
}

FEED_TEST(strangers_in_the_streams_do_no_harm)
{
    ush_text lane = USH_T("usher:jobs:lane:mail");
    put(1);
    until_done();
    ask(USH_REDIS(USH_T("XADD"), lane, USH_T("*"), USH_T("job"), USH_T("1")), arena); /* done */
    ask(USH_REDIS(USH_T("XADD"), lane, USH_T("*"), USH_T("job"), USH_T("99999")), arena);
    ask(USH_REDIS(USH_T("XADD"), lane, USH_T("*"), USH_T("job"), USH_T("-1")), arena);
    ask(USH_REDIS(USH_T("XADD"), lane, USH_T("*"), USH_T("a"), USH_T("b"), USH_T("c"), USH_T("d")),
        arena);
    ck_assert_int_lt(one(), allow(400));
    ask(USH_REDIS(USH_T("DEL"), lane), arena);
    ask(USH_REDIS(USH_T("SET"), lane, USH_T("no stream")), arena);
    ck_assert_int_lt(one(), allow(LATE_MS + 500));
    ask(USH_REDIS(USH_T("DEL"), lane), arena);
    until_fed();
    until_quick();
}

/* An entry that was delivered to nobody: a worker died, or a group was moved by hand. */
FEED_TEST(what_nobody_tries_is_announced_again)
{
    ush_text lane = USH_T("usher:jobs:lane:mail");
    for (int i = 0; i < 2; i++) {
        ush_event_reset(&go);
        put(16);
        for (int k = 0; k < WORKERS; k++)
            until(workers[k], busy);
        put(4);
        until_length(4, arena);
        if (i)
            ask(USH_REDIS(USH_T("XGROUP"), USH_T("SETID"), lane, USH_T("workers"), USH_T("$")),
                arena);
        else
            ask(USH_REDIS(USH_T("XREADGROUP"), USH_T("GROUP"), USH_T("workers"), USH_T("dead"),
                          USH_T("STREAMS"), lane, USH_T(">")),
                arena);
        ush_event_set(&go);
        ck_assert_int_lt(until_done(), allow(LATE_MS + 700));
    }
}

FEED_TEST(a_lane_that_rests_is_not_announced)
{
    ck_assert_int_eq(
        ush_jobs_pause(
            db, &(struct ush_jobs_pause){.lane = "mail", .until_ms = USH_JOBS_UNTIL_RESUMED}),
        0);
    put(3);
    put_in("bulk", 1);
    ck_assert_int_eq(ush_event_wait(&one_done), 0);
    ck_assert_int_eq(ask(USH_REDIS(USH_T("XLEN"), USH_T("usher:jobs:lane:mail")), arena).integer,
                     0);
    ck_assert_int_eq(done, 1);
    ck_assert_int_eq(ush_jobs_resume(db, "mail"), 1);
    until_done();
}

START_TEST(a_bad_address_is_refused)
{
    int error = 0;
    ck_assert_ptr_null(ush_hints_new(&(struct ush_hints_options){.url = "localhost"}, &error));
    ck_assert_int_eq(error, -EINVAL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("jobs/feed");
    TCase *t = tcase_create("feed");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_job_is_run_at_once_and_leaves_nothing);
    tcase_add_test(t, work_is_shared_and_lanes_too);
    tcase_add_test(t, a_rush_is_bounded_in_redis);
    tcase_add_test(t, a_wiped_server_loses_nothing);
    tcase_add_test(t, an_old_snapshot_loses_nothing);
    tcase_add_test(t, a_frozen_server_delays_nobody);
    tcase_add_test(t, a_slow_server_delays_by_what_it_takes);
    tcase_add_test(t, a_new_server_is_found);
    tcase_add_test(t, strangers_in_the_streams_do_no_harm);
    tcase_add_test(t, what_nobody_tries_is_announced_again);
    tcase_add_test(t, a_lane_that_rests_is_not_announced);
    tcase_add_test(t, a_bad_address_is_refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
