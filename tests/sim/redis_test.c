/*
 * redis_test.c - the Redis client against a peer that follows a script, and under seeds.
 *
 * The scripted peer answers the first bytes of each connection with prepared ones, in full or up
 * to any byte, and then holds the line or cuts it. The echoing peer answers ECHO truly, so that a
 * reply given to the wrong call is seen.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "redis/redis.h"
#include "usher/sim.h"

enum { PORT = 6379, CLIENTS = 6, ROUNDS = 4, PING_BYTES = 14 };

static ush_text said; /* what the scripted peer says */
static bool holds, repeats;
static int connections;

/* ---- peers ---------------------------------------------------------------------------------- */

static int speak(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char bytes[4096];
    ssize_t n, got = 0;
    while ((n = ush_recv(fd, bytes, sizeof bytes)) > 0) {
        got += n;
        if (got < PING_BYTES)
            continue;
        got = 0;
        do {
            if (ush_send(fd, said.at, said.len) < 0)
                break;
        } while (repeats);
        if (!holds)
            break;
    }
    ush_close(fd);
    return 0;
}

/* Answers every command with its last argument. */
static int echo(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct ush__replies in;
    struct ush_redis_reply command;
    struct ush_arena arena;
    struct ush_buf out;
    char bytes[64];
    ssize_t n;
    ush_arena_init(&arena, NULL, 0, 1 << 20);
    ush_buf_init(&out, 1 << 20);
    ck_assert_int_eq(ush__replies_open(&in, 1 << 20), 0);
    ush__replies_begin(&in, &arena);
    while ((n = ush_recv(fd, bytes, sizeof bytes)) > 0) {
        ck_assert_int_eq(ush__replies_feed(&in, bytes, (size_t)n), 0);
        ush_buf_reset(&out);
        while (ush__replies_take(&in, &command) == 1) {
            ush_text last = command.items[command.count - 1].text;
            ush_buf_printf(&out, "$%zu\r\n%.*s\r\n", last.len, USH_PR(last));
        }
        if (ush_send(fd, ush_buf_text(&out).at, out.len) < 0)
            break;
    }
    ush__replies_close(&in);
    ush_arena_fini(&arena);
    ush_buf_fini(&out);
    ush_close(fd);
    return 0;
}

struct peer {
    int listener;
    ush_fn fn;
};

static int accept_all(void *arg)
{
    struct peer *p = arg;
    int fd;
    while ((fd = ush_accept(p->listener, NULL)) >= 0 || fd == -ECONNRESET) {
        connections++;
        if (fd >= 0)
            ck_assert_int_ge(ush_spawn(ush_root_scope(), p->fn, (void *)(intptr_t)fd), 0);
    }
    return 0;
}

/* In the root's scope, which the seed cannot cancel. */
static void open_peer(struct peer *p, ush_fn fn)
{
    struct ush_address at = ush_sim_address(PORT);
    *p = (struct peer){.fn = fn};
    ck_assert_int_ge(p->listener = ush_listen(&at, 100), 0);
    ck_assert_int_ge(ush_spawn(ush_root_scope(), accept_all, p), 0);
}

/* ---- one call ------------------------------------------------------------------------------- */

static struct ush_arena arena;
static struct ush_redis_reply reply;

static struct ush_redis *open_client(const char *url)
{
    int error = 0;
    struct ush_redis *r =
        ush_redis_new(&(struct ush_redis_options){.url = url, .reply_bytes_max = 1000}, &error);
    ck_assert_int_eq(error, 0);
    ush_arena_init(&arena, NULL, 0, 1 << 20);
    return r;
}

static int ask_within(struct ush_redis *r, int64_t ms)
{
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + ms * USH_MS});
    int result = ush_redis_call(r, &USH_REDIS(USH_T("PING")), 1, &reply, &arena);
    ush_scope_close(&scope);
    return result;
}

static void end(struct ush_redis *r, struct peer *p)
{
    ush_redis_free(r);
    ush_close(p->listener);
    ush_arena_fini(&arena);
}

static const struct {
    const char *name, *said;
    int want;
    bool holds, repeats;
} scripts[] = {
    {"a status", "+PONG\r\n", 0, .holds = true},
    {"a refusal", "-ERR no\r\n", 0, .holds = true},
    {"nil", "$-1\r\n", 0, .holds = true},
    {"no array", "*-1\r\n", 0, .holds = true},
    {"an empty array", "*0\r\n", 0, .holds = true},
    {"the end at once", "", USH_EUNKNOWN},
    {"silence", "", USH_EUNKNOWN, .holds = true},
    {"no type", "HTTP/1.1 400 Bad Request\r\n", USH_EPROTO, .holds = true},
    {"no number", ":12a\r\n", USH_EPROTO, .holds = true},
    {"no length", "$x\r\n", USH_EPROTO, .holds = true},
    {"a negative length", "$-2\r\n", USH_EPROTO, .holds = true},
    {"one reply too many", "+PONG\r\n+PONG\r\n", USH_EPROTO, .holds = true},
    {"half a reply too many", "+PONG\r\n+", USH_EPROTO, .holds = true},
    {"a huge array", "*1000000000\r\n", USH_ELIMIT, .holds = true},
    {"arrays of arrays", "*300\r\n*300\r\n*300\r\n", USH_ELIMIT, .holds = true},
    {"too deep", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", USH_EPROTO,
     .holds = true},
    {"a huge string", "$2000000000\r\nabc", USH_EUNKNOWN, .holds = true},
    {"an endless line", "+aaaaaaaaaaaaaaaaaaaaaaa", USH_ELIMIT, .holds = true, .repeats = true},
    {"endless replies", "+PONG\r\n", USH_EPROTO, .holds = true, .repeats = true},
};

static int play(void *arg)
{
    int i = *(int *)arg;
    struct peer p;
    said = ush_text_of(scripts[i].said);
    holds = scripts[i].holds;
    repeats = scripts[i].repeats;
    open_peer(&p, speak);
    struct ush_redis *r = open_client("redis://sim");
    int64_t began = ush_now_ns();
    int result = ask_within(r, 200);
    /* The first may be whole before the second comes: then it is noticed at the next call. */
    bool is_early = scripts[i].want == USH_EPROTO && result == 0 && repeats;
    ck_assert_msg(result == scripts[i].want || is_early, "%s: %d", scripts[i].name, result);
    ck_assert_int_le(ush_now_ns() - began, 201 * USH_MS);
    int before = connections;
    ush_sleep(100 * USH_MS);
    said = USH_T("+GOOD\r\n");
    repeats = false;
    holds = true;
    ck_assert_int_eq(ask_within(r, 200), 0);
    ck_assert_int_eq(connections - before, result == 0 && !is_early ? 0 : 1);
    ck_assert_str_eq(reply.text.at, "GOOD");
    end(r, &p);
    return 0;
}

START_TEST(what_a_peer_may_say)
{
    ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){.seed = 1}, play, &_i, NULL), 0);
}
END_TEST

/* ---- cut at every byte ----------------------------------------------------------------------- */

#define WHOLE "*3\r\n$5\r\na\r\nbc\r\n:-7\r\n*2\r\n$-1\r\n+OK\r\n"

static int cut_at(void *arg)
{
    size_t cut = (size_t) * (int *)arg;
    struct peer p;
    said = (ush_text){WHOLE, cut};
    holds = repeats = false;
    open_peer(&p, speak);
    struct ush_redis *r = open_client("redis://sim");
    int result = ask_within(r, 200);
    ck_assert_int_eq(result, cut == strlen(WHOLE) ? 0 : USH_EUNKNOWN);
    said = USH_T(WHOLE);
    ush_sleep(100 * USH_MS);
    ck_assert_int_eq(ask_within(r, 200), 0);
    ck_assert_int_eq(reply.type, USH_REDIS_ARRAY);
    ck_assert_uint_eq(reply.count, 3);
    ck_assert(ush_text_equal(reply.items[0].text, USH_T("a\r\nbc")));
    ck_assert_int_eq(reply.items[1].integer, -7);
    ck_assert_int_eq(reply.items[2].items[0].type, USH_REDIS_NIL);
    ck_assert_str_eq(reply.items[2].items[1].text.at, "OK");
    end(r, &p);
    return 0;
}

START_TEST(cut_at_every_byte)
{
    struct ush_sim_options o = {.seed = (uint64_t)_i, .short_permille = 500};
    ck_assert_int_eq(ush_sim_run(&o, cut_at, &_i, NULL), 0);
}
END_TEST

/* ---- away, and slow ----------------------------------------------------------------------------
 */

static int away(void *unused __attribute__((unused)))
{
    struct ush_redis *r = open_client("redis://sim");
    for (int i = 0; i < 2000; i++) { /* 20 s */
        int64_t before = ush_now_ns();
        ck_assert_int_eq(ask_within(r, 200), USH_EUNAVAILABLE);
        ck_assert_int_eq(ush_now_ns(), before); /* at once, tried or not */
        ush_sleep(10 * USH_MS);
    }
    struct peer p;
    said = USH_T("+GOOD\r\n");
    holds = true;
    repeats = false;
    open_peer(&p, speak);
    int64_t since = ush_now_ns();
    while (ask_within(r, 200) < 0)
        ush_sleep(10 * USH_MS);
    ck_assert_int_le(ush_now_ns() - since, 3 * USH_SECOND);
    ck_assert_int_eq(connections, 1);
    end(r, &p);
    return 0;
}

START_TEST(comes_back_by_itself)
{
    ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){.seed = 1}, away, NULL, NULL), 0);
}
END_TEST

/* Answers each command after half a second. */
static int dawdle(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char bytes[256];
    while (ush_recv(fd, bytes, sizeof bytes) > 0)
        if (ush_sleep(USH_SECOND / 2) < 0 || ush_send(fd, said.at, said.len) < 0)
            break;
    ush_close(fd);
    return 0;
}

static int late(void *unused __attribute__((unused)))
{
    struct peer p;
    said = USH_T("+FIRST\r\n");
    open_peer(&p, dawdle);
    struct ush_redis *r = open_client("redis://sim");
    ck_assert_int_eq(ask_within(r, 200), USH_EUNKNOWN);
    ck_assert_int_eq(ask_within(r, 200), USH_EUNAVAILABLE);
    ush_sleep(400 * USH_MS); /* the late reply has come meanwhile */
    said = USH_T("+SECOND\r\n");
    ck_assert_int_eq(ask_within(r, 600), 0);
    ck_assert_str_eq(reply.text.at, "SECOND");
    ck_assert_int_eq(connections, 2);
    end(r, &p);
    return 0;
}

START_TEST(a_late_reply_is_nobodys)
{
    ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){.seed = 1}, late, NULL, NULL), 0);
}
END_TEST

static int refused(void *unused __attribute__((unused)))
{
    struct peer p;
    said = USH_T("-WRONGPASS no\r\n");
    holds = true;
    open_peer(&p, speak);
    struct ush_redis *r = open_client("redis://:secret@sim");
    ck_assert_int_eq(ask_within(r, 200), -EACCES);
    ck_assert_int_eq(ask_within(r, 200), USH_EUNAVAILABLE);
    end(r, &p);
    return 0;
}

START_TEST(a_refused_login_is_told)
{
    ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){.seed = 1}, refused, NULL, NULL), 0);
}
END_TEST

/* ---- under seeds ------------------------------------------------------------------------------
 */

struct client {
    struct ush_redis *redis;
    int number, good;
};

static int chat(void *arg)
{
    struct client *c = arg;
    for (int round = 0; round < ROUNDS; round++) {
        char key[2][64];
        struct ush_redis_reply replies[2];
        struct ush_arena own;
        struct ush_scope scope;
        for (int i = 0; i < 2; i++)
            snprintf(key[i], sizeof key[i], "client %d, %d.%d", c->number, round, i);
        ush_arena_init(&own, NULL, 0, 1 << 16);
        ush_scope_open(&scope,
                       &(struct ush_scope_options){.deadline_ns = ush_now_ns() + 500 * USH_MS});
        int r = ush_redis_call(c->redis,
                               (struct ush_redis_command[]){
                                   USH_REDIS(USH_T("ECHO"), ush_text_of(key[0])),
                                   USH_REDIS(USH_T("ECHO"), ush_text_of(key[1])),
                               },
                               2, replies, &own);
        ush_scope_close(&scope);
        ck_assert_msg(r == 0 || r == USH_EUNKNOWN || r == USH_EUNAVAILABLE || r == -ECANCELED ||
                          r == -ETIMEDOUT,
                      "%d", r);
        for (int i = 0; r == 0 && i < 2; i++)
            ck_assert_str_eq(replies[i].text.at, key[i]);
        c->good += r == 0;
        ush_arena_fini(&own);
        ush_sleep((int64_t)ush_sim_choose(200) * USH_MS);
    }
    return 0;
}

static int all_chat(void *arg)
{
    int *good = arg;
    struct peer p;
    open_peer(&p, echo);
    struct ush_redis *r = open_client("redis://sim");
    struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct client){.redis = r, .number = i};
    ush_gather(CLIENTS, 0, chat, clients, sizeof *clients);
    for (int i = 0; i < CLIENTS; i++)
        *good += clients[i].good;
    end(r, &p);
    return 0;
}

START_TEST(each_gets_its_own_reply)
{
    int good = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        struct ush_sim_report report;
        struct ush_sim_options o = {.seed = seed,
                                    .order = USH_SIM_RANDOM,
                                    .cancel_permille = seed % 3 * 2,
                                    .reset_permille = seed % 2 * 3,
                                    .short_permille = 200,
                                    .delay_ns_max = 5 * USH_MS};
        int r = ush_sim_run(&o, all_chat, &good, &report);
        ck_assert_msg(r == 0, "seed %d: %s\n%s", (int)seed, ush_error_text(r), report.text);
    }
    ck_assert_int_gt(good, 150 * CLIENTS * ROUNDS / 4); /* it was not idle */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis under sim");
    TCase *t = tcase_create("peers");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, what_a_peer_may_say, 0, USH_COUNT(scripts));
    tcase_add_loop_test(t, cut_at_every_byte, 0, (int)strlen(WHOLE) + 1);
    tcase_add_test(t, comes_back_by_itself);
    tcase_add_test(t, a_late_reply_is_nobodys);
    tcase_add_test(t, a_refused_login_is_told);
    tcase_add_test(t, each_gets_its_own_reply);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
