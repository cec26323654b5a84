/*
 * hints_test.c - wake-ups over the real Redis server, which is wiped, frozen, killed and started
 * anew under those that send and listen.
 */
#include <sys/eventfd.h>

#include "../redis/server.h"
#include "usher/jobs.h"

static struct ush_hints *h;
static struct ush_scope tasks;
static int wake_fd;
static char url[128];

/* Raises again and again until a hint comes through; the milliseconds, or -1 after 20 s. */
static int64_t until_heard(void)
{
    int64_t began = ush_now_ns();
    eventfd_t count;
    while (ush_now_ns() - began < 20 * USH_SECOND) {
        ush_hints_raise(h);
        ush_sleep(10 * USH_MS);
        if (eventfd_read(wake_fd, &count) == 0)
            return (ush_now_ns() - began) / USH_MS;
    }
    return -1;
}

/* Takes what is under way; true when nothing comes for 300 ms. */
static bool is_quiet(void)
{
    eventfd_t count;
    ush_sleep(300 * USH_MS);
    eventfd_read(wake_fd, &count);
    ush_sleep(300 * USH_MS);
    return eventfd_read(wake_fd, &count) < 0;
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

static int body(void *test)
{
    int error = 0;
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    snprintf(url, sizeof url, "unix://:" REDIS_PASSWORD "@%s/redis", redis.folder);
    wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    h = ush_hints_new(&(struct ush_hints_options){.url = url, .wake_fd = wake_fd}, &error);
    ck_assert_int_eq(error, 0);
    ush_scope_open(&tasks, NULL);
    ck_assert_int_eq(ush_spawn(&tasks, ush_hints_send, h), 0);
    ck_assert_int_eq(ush_spawn(&tasks, ush_hints_listen, h), 0);
    struct ush_arena arena;
    ush_arena_init(&arena, NULL, 0, 1 << 16);
    ((void (*)(struct ush_arena *))test)(&arena);
    ush_arena_fini(&arena);
    int64_t began = ush_now_ns();
    ush_scope_cancel(&tasks, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&tasks);
    ck_assert_int_lt(ush_now_ns() - began, USH_SECOND); /* at once, whatever the server does */
    ush_hints_free(h);
    close(wake_fd);
    return 0;
}

#define HINTS_TEST(name)                                                                           \
    static void name##_body(struct ush_arena *arena);                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        redis_start();                                                                             \
        ck_assert_int_eq(ush_run(&(struct ush_loop_options){0}, body, (void *)name##_body), 0);    \
        redis_remove();                                                                            \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(struct ush_arena *arena __attribute__((unused)))

HINTS_TEST(a_hint_is_heard_once)
{
    ck_assert_int_ge(until_heard(), 0);
    ck_assert(is_quiet());
    ush_hints_raise(h);
    ck_assert_int_eq(ush_wait_fd(wake_fd, USH_READABLE), USH_READABLE);
    ck_assert(is_quiet());
}

HINTS_TEST(a_million_raises_are_few_entries)
{
    ck_assert_int_ge(until_heard(), 0);
    ck_assert(is_quiet());
    int64_t before = ask(USH_REDIS(USH_T("XLEN"), USH_T("usher:jobs")), arena).integer;
    for (int i = 0; i < 1000000; i++)
        ush_hints_raise(h);
    ck_assert_int_eq(ush_wait_fd(wake_fd, USH_READABLE), USH_READABLE);
    ck_assert(is_quiet());
    int64_t after = ask(USH_REDIS(USH_T("XLEN"), USH_T("usher:jobs")), arena).integer;
    ck_assert_int_le(after - before, 16);
}

HINTS_TEST(a_wiped_server_wakes_and_goes_on)
{
    ck_assert_int_ge(until_heard(), 0);
    ck_assert(is_quiet());
    ask(USH_REDIS(USH_T("FLUSHALL")), arena);
    /* Nobody raised: the loss itself wakes. */
    ck_assert_int_eq(ush_wait_fd(wake_fd, USH_READABLE), USH_READABLE);
    ck_assert(is_quiet());
    ck_assert_int_ge(until_heard(), 0);
}

HINTS_TEST(a_frozen_server_delays_nobody)
{
    ck_assert_int_ge(until_heard(), 0);
    ck_assert(is_quiet());
    kill(redis.pid, SIGSTOP);
    int64_t began = ush_now_ns();
    for (int i = 0; i < 1000; i++)
        ush_hints_raise(h);
    ck_assert_int_lt(ush_now_ns() - began, 50 * USH_MS);
    ush_sleep(500 * USH_MS);
    kill(redis.pid, SIGCONT);
    ck_assert_int_ge(until_heard(), 0);
    kill(redis.pid, SIGSTOP); /* and the tasks end beside a server that does not answer */
}

HINTS_TEST(a_new_server_is_found)
{
    ck_assert_int_ge(until_heard(), 0);
    ck_assert(is_quiet());
    redis_stop();
    ush_sleep(300 * USH_MS);
    redis_run();
    ck_assert_int_eq(ush_wait_fd(wake_fd, USH_READABLE), USH_READABLE); /* unasked */
    ck_assert(is_quiet());
    ck_assert_int_ge(until_heard(), 0);
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
    Suite *s = suite_create("jobs/hints");
    TCase *t = tcase_create("hints");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, a_hint_is_heard_once);
    tcase_add_test(t, a_million_raises_are_few_entries);
    tcase_add_test(t, a_wiped_server_wakes_and_goes_on);
    tcase_add_test(t, a_frozen_server_delays_nobody);
    tcase_add_test(t, a_new_server_is_found);
    tcase_add_test(t, a_bad_address_is_refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
