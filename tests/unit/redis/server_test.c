/*
 * server_test.c - the Redis client and the real server: login, pipelines, blocking, and a server
 * that is stopped, frozen or started anew. Each test has a server of its own.
 */
#include "../../slow.h"
#include "server.h"

static struct ush_redis *r;
static struct ush_arena arena;
static struct ush_redis_reply reply;

static struct ush_redis *open_client(const char *login, const char *rest)
{
    char url[160];
    int error = 0;
    snprintf(url, sizeof url, "unix:%s%s/%s", login, redis.folder, rest);
    struct ush_redis *client = ush_redis_new(&(struct ush_redis_options){.url = url}, &error);
    ck_assert_int_eq(error, 0);
    return client;
}

#define REDIS_TEST(name)                                                                           \
    static int name##_body(void *unused);                                                          \
    static int name##_run(void *unused)                                                            \
    {                                                                                              \
        ush_arena_init(&arena, NULL, 0, 64 << 20);                                                 \
        r = open_client("//:" REDIS_PASSWORD "@", "redis?db=3");                                   \
        int result = name##_body(unused);                                                          \
        ush_redis_free(r);                                                                         \
        ush_arena_fini(&arena);                                                                    \
        return result;                                                                             \
    }                                                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        redis_start();                                                                             \
        ck_assert_int_eq(ush_run(&(struct ush_loop_options){0}, name##_run, NULL), 0);             \
        redis_remove();                                                                            \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

static int ask_within(int64_t ms, struct ush_redis_command c)
{
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + ms * USH_MS});
    int result = ush_redis_do(r, c, &reply, &arena);
    ush_scope_close(&scope);
    return result;
}

/* Until the client, which backs off, is there again. */
static int ask_again(struct ush_redis_command c)
{
    int64_t end = ush_now_ns() + allow(20000) * USH_MS;
    int result;
    while ((result = ask_within(allow(5000), c)) == USH_EUNAVAILABLE && ush_now_ns() < end)
        ush_sleep(10 * USH_MS);
    return result;
}

#define PING USH_REDIS(USH_T("PING"))

REDIS_TEST(any_bytes_go_there_and_back)
{
    static const char bytes[] = "a\r\nb\0c$5\r\n";
    ush_text value = {bytes, sizeof bytes - 1};
    struct ush_redis_reply replies[5];
    ck_assert_int_eq(ush_redis_call(r,
                                    (struct ush_redis_command[]){
                                        USH_REDIS(USH_T("SET"), USH_T(""), value),
                                        USH_REDIS(USH_T("GET"), USH_T("")),
                                        USH_REDIS(USH_T("NO SUCH")),
                                        USH_REDIS(USH_T("STRLEN"), USH_T("")),
                                        USH_REDIS(USH_T("MGET"), USH_T(""), USH_T("none")),
                                    },
                                    5, replies, &arena),
                     0);
    ck_assert_int_eq(replies[0].type, USH_REDIS_STATUS);
    ck_assert(ush_text_equal(replies[1].text, value));
    ck_assert_int_eq(replies[2].type, USH_REDIS_ERROR);
    ck_assert(ush_text_starts(replies[2].text, USH_T("ERR ")));
    ck_assert_int_eq(replies[3].integer, (int64_t)value.len);
    ck_assert_uint_eq(replies[4].count, 2);
    ck_assert_int_eq(replies[4].items[1].type, USH_REDIS_NIL);
    ck_assert_int_eq(ush_redis_do(r, USH_REDIS(USH_T("GET")), &reply, &arena), USH_EINVAL);
    ck_assert_int_eq(ush_redis_do(r, PING, &reply, &arena), 0);
    return 0;
}

REDIS_TEST(ten_thousand_commands_in_one_call)
{
    enum { N = 10000 };
    struct ush_redis_command *commands = USH_NEW_N(&arena, struct ush_redis_command, N);
    struct ush_redis_reply *replies = USH_NEW_N(&arena, struct ush_redis_reply, N);
    struct ush_redis_command incr = USH_REDIS(USH_T("INCR"), USH_T("n"));
    for (int i = 0; i < N; i++)
        commands[i] = incr;
    ck_assert_int_eq(ush_redis_call(r, commands, N, replies, &arena), 0);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(replies[i].integer, i + 1);
    return 0;
}

REDIS_TEST(login_and_database)
{
    static const struct {
        const char *login, *rest;
        int want;
    } cases[] = {
        {"//:wrong@", "redis", -EACCES},
        {"//nobody:" REDIS_PASSWORD "@", "redis", -EACCES},
        {"//default:" REDIS_PASSWORD "@", "redis", 0},
        {"//:" REDIS_PASSWORD "@", "redis?db=15", 0},
        {"//:" REDIS_PASSWORD "@", "redis?db=16", -EACCES}, /* it has 16 */
        {"", "redis", USH_EINVAL},                          /* NOAUTH is a reply */
        {"", "elsewhere", USH_EUNAVAILABLE},
    };
    ck_assert_int_eq(
        ush_redis_do(r, USH_REDIS(USH_T("SET"), USH_T("k"), USH_T("v")), &reply, &arena), 0);
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        struct ush_redis *other = open_client(cases[i].login, cases[i].rest);
        int result = ush_redis_do(other, USH_REDIS(USH_T("GET"), USH_T("k")), &reply, &arena);
        ck_assert_msg(result == cases[i].want, "case %zu: %d", i, result);
        if (result == 0)
            ck_assert_int_eq(reply.type, USH_REDIS_NIL); /* it is in database 3 */
        ush_redis_free(other);
    }
    return 0;
}

REDIS_TEST(over_tcp_by_name)
{
    char url[160];
    snprintf(url, sizeof url, "redis://:" REDIS_PASSWORD "@localhost:%d/3", redis.port);
    int error;
    struct ush_redis *other = ush_redis_new(&(struct ush_redis_options){.url = url}, &error);
    ck_assert_int_eq(ush_redis_do(other, PING, &reply, &arena), 0);
    ck_assert_str_eq(reply.text.at, "PONG");
    ush_redis_free(other);
    return 0;
}

REDIS_TEST(a_connection_closed_meanwhile_is_noticed_before_sending)
{
    ck_assert_int_eq(ush_redis_do(r, PING, &reply, &arena), 0);
    struct ush_redis *other = open_client("//:" REDIS_PASSWORD "@", "redis");
    struct ush_redis_command kill_others =
        USH_REDIS(USH_T("CLIENT"), USH_T("KILL"), USH_T("TYPE"), USH_T("normal"));
    ck_assert_int_eq(ush_redis_do(other, kill_others, &reply, &arena), 0);
    ck_assert_int_eq(reply.integer, 1);
    ush_sleep(20 * USH_MS); /* a turn of the loop, in which the end arrives */
    ck_assert_int_eq(ush_redis_do(r, PING, &reply, &arena), 0);
    ush_redis_free(other);
    return 0;
}

REDIS_TEST(a_cut_wait_leaves_nothing_behind)
{
    struct ush_redis_command wait = USH_REDIS(USH_T("BLPOP"), USH_T("list"), USH_T("0"));
    ck_assert_int_eq(ask_again(PING), 0); /* so that it is sent at once */
    ck_assert_int_eq(ask_within(allow(100), wait), USH_EUNKNOWN);
    /* The server has seen the end: what comes now is not taken by the dead waiter. */
    ck_assert_int_eq(ask_again(USH_REDIS(USH_T("RPUSH"), USH_T("list"), USH_T("job"))), 0);
    ck_assert_int_eq(reply.integer, 1);
    ck_assert_int_eq(ask_within(allow(5000), wait), 0);
    ck_assert_str_eq(reply.items[1].text.at, "job");
    return 0;
}

REDIS_TEST(a_frozen_server_holds_nobody_up)
{
    ck_assert_int_eq(ask_within(allow(5000), PING), 0);
    kill(redis.pid, SIGSTOP);
    int64_t began = ush_now_ns();
    ck_assert_int_eq(ask_within(allow(200), PING), USH_EUNKNOWN);
    ck_assert_int_lt(ush_now_ns() - began, allow(2000) * USH_MS);
    ck_assert_int_eq(ask_within(200, PING), USH_EUNAVAILABLE);
    kill(redis.pid, SIGCONT);
    ck_assert_int_eq(ask_again(PING), 0);
    return 0;
}

REDIS_TEST(a_killed_server_that_comes_back_is_used_again)
{
    ck_assert_int_eq(ask_within(allow(5000), PING), 0);
    redis_stop();
    int result = ask_within(allow(5000), PING);
    ck_assert_msg(result == USH_EUNKNOWN || result == USH_EUNAVAILABLE, "%d", result);
    ck_assert_int_eq(ask_within(allow(5000), PING), USH_EUNAVAILABLE);
    redis_run();
    ck_assert_int_eq(ask_again(PING), 0);
    return 0;
}

REDIS_TEST(more_than_is_allowed_is_refused)
{
    static char big[2 << 20];
    memset(big, 'x', sizeof big);
    ck_assert_int_eq(
        ask_within(allow(5000), USH_REDIS(USH_T("SET"), USH_T("k"), ((ush_text){big, sizeof big}))),
        0);
    ck_assert_int_eq(ask_within(allow(5000), USH_REDIS(USH_T("GET"), USH_T("k"))), USH_ELIMIT);
    ush_text huge = {big, SIZE_MAX / 2};
    ck_assert_int_eq(ask_again(PING), 0);
    ck_assert_int_eq(ask_within(allow(5000), USH_REDIS(USH_T("ECHO"), huge)), USH_ELIMIT);
    ck_assert_int_eq(ask_within(allow(5000), PING), 0); /* nothing was sent: no back-off */
    return 0;
}

int main(void)
{
    Suite *s = suite_create("redis server");
    TCase *t = tcase_create("server");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, any_bytes_go_there_and_back);
    tcase_add_test(t, ten_thousand_commands_in_one_call);
    tcase_add_test(t, login_and_database);
    tcase_add_test(t, over_tcp_by_name);
    tcase_add_test(t, a_connection_closed_meanwhile_is_noticed_before_sending);
    tcase_add_test(t, a_cut_wait_leaves_nothing_behind);
    tcase_add_test(t, a_frozen_server_holds_nobody_up);
    tcase_add_test(t, a_killed_server_that_comes_back_is_used_again);
    tcase_add_test(t, more_than_is_allowed_is_refused);
    suite_add_tcase(s, t);
    SRunner *runner = srunner_create(s);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
