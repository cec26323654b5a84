/*
 * server_test.c - the life of connections and requests: methods, keep-alive, pipelines, bodies,
 * 100-continue, deadlines, clients that leave, overload, draining.
 */
#include "site.h"

/* ---- the site ------------------------------------------------------------------------------- */

static int calls, cancelled; /* of the handlers, in the running test */
static struct ush_event gate;

static int hello(struct ush_request *rq)
{
    calls++;
    return ush_reply(rq, 200, "text/plain", USH_T("hello"));
}

static int send_back(struct ush_request *rq)
{
    calls++;
    return ush_reply(rq, 200, "text/plain", rq->body);
}

/* Waits until the gate opens. */
static int wait_gate(struct ush_request *rq)
{
    calls++;
    int r = ush_event_wait(&gate);
    if (r < 0)
        cancelled++;
    USH_TRY(r);
    return ush_reply(rq, 200, "text/plain", USH_T("went through"));
}

static int say_who(struct ush_request *rq)
{
    ush_text name = ush_param(rq, "name"), q = ush_query(rq, "q"), c = ush_cookie(rq, "c");
    return ush_reply(rq, 200, "text/plain",
                     ush_arena_printf(rq->arena, "%.*s|%.*s|%.*s|%.*s|%.*s", USH_PR(name),
                                      USH_PR(q), USH_PR(c), USH_PR(ush_header(rq, "X-Some")),
                                      USH_PR(rq->client)));
}

static int say_thread(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/plain",
                     ush_arena_copy(rq->arena, ush_text_of(ush_task_name())));
}

static int fails(struct ush_request *rq)
{
    int64_t code = 0;
    ush_text_i64(ush_param(rq, "code"), &code);
    return (int)code;
}

static const struct ush_route routes[] = {
    {"GET", "/", hello, .doc = "Hello."},
    {"GET", "/loop", hello, USH_LOOP, "Hello on the loop."},
    {"POST", "/", send_back, .doc = "Back.", .raw_body = true},
    {"POST", "/loop", send_back, USH_LOOP, "Back on the loop.", .raw_body = true},
    {"GET", "/gate", wait_gate, .doc = "Waits.", .deadline_ms = 60000},
    {"POST", "/gate", wait_gate, .doc = "Waits.", .deadline_ms = 60000},
    {"GET", "/short", wait_gate, .doc = "Waits, not long.", .deadline_ms = 20},
    {"GET", "/who/{name}", say_who, .doc = "Who."},
    {"GET", "/thread", say_thread, USH_THREAD, "Where."},
    {"GET", "/fail/{code}", fails, .doc = "Fails."},
};

static void open_site(struct site *s, const struct ush_http_options *o)
{
    calls = cancelled = 0;
    ush_event_init(&gate, "gate");
    site_open(s, routes, USH_COUNT(routes), o);
}

/* Lets everything that can run do so. */
static void settle(void)
{
    ush_sleep(ush_is_sim() ? 10 * USH_MS : 2 * USH_MS);
}

static void until_calls(int n)
{
    while (calls < n)
        ush_sleep(USH_MS);
}

/* ---- requests ------------------------------------------------------------------------------- */

BOTH_TEST(get_is_answered)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    struct heard *h = ask(c, GET("/"));
    ck_assert_int_eq(h->status, 200);
    ck_assert_str_eq(h->body, "hello");
    ck_assert_str_eq(heard_field(h, "Content-Type"), "text/plain");
    ck_assert_ptr_nonnull(heard_field(h, "Date"));
    ck_assert_uint_eq(s.stats.requests_total, 1);
    ck_assert_uint_eq(s.stats.status_total[2], 1);
    ush_close(c);
    return site_close(&s);
}

static const struct {
    const char *request;
    int status;
    bool closes;
    const char *allow;
} methods[] = {
    {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", 200},
    {"HEAD /loop HTTP/1.1\r\nHost: x\r\n\r\n", 200},
    {"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", 204, .allow = "GET, HEAD, POST, OPTIONS"},
    {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 204},
    {"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, .allow = "GET, HEAD, POST, OPTIONS"},
    {"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 501},
    {"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404},
    {"GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, .closes = true},
    {"GET /../x HTTP/1.1\r\nHost: x\r\n\r\n", 400, .closes = true},
    {"HEAD * HTTP/1.1\r\nHost: x\r\n\r\n", 400, .closes = true},
    {"GET /./ HTTP/1.1\r\nHost: x\r\n\r\n", 200},
    {"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 200},
    {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, .closes = true},
    {"GET / HTTP/1.1\r\n\r\n", 400, .closes = true},
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400, true},
    {"GET / HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n", 417, .closes = true},
    {"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 404, .closes = true},
    {"DELETE / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 405, true,
     "GET, HEAD, POST, OPTIONS"},
    {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200, .closes = true},
    {"GET / HTTP/1.0\r\n\r\n", 200, .closes = true},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200},
    {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200},
    {"\x16\x03\x01\x02", 400, .closes = true},
};

/* Each of them on one connection each, and whether that stays open behind it. */
BOTH_TEST(methods_and_framing)
{
    struct site s;
    open_site(&s, NULL);
    for (size_t i = 0; i < USH_COUNT(methods); i++) {
        int c = site_connect(&s);
        say(c, methods[i].request);
        struct heard *h = strncmp(methods[i].request, "HEAD", 4) ? hear(c) : hear_head(c);
        ck_assert_msg(h->status == methods[i].status, "%s: %d", methods[i].request, h->status);
        if (methods[i].allow)
            ck_assert_str_eq(heard_field(h, "Allow"), methods[i].allow);
        if (methods[i].closes) {
            ck_assert_str_eq(heard_field(h, "Connection"), "close");
            ck_assert_msg(hears_end(c), "%s", methods[i].request);
        } else {
            ck_assert_int_eq(ask(c, GET("/loop"))->status, 200);
        }
        ush_close(c);
    }
    return site_close(&s);
}

BOTH_TEST(head_has_no_body)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    say(c, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    ck_assert_str_eq(heard_field(hear_head(c), "Content-Length"), "5");
    ck_assert_str_eq(ask(c, GET("/"))->body, "hello");
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(parts_of_a_request)
{
    struct site s;
    open_site(&s, &(struct ush_http_options){.trusted_proxies = "10.0.0.0/8"});
    int c = site_connect_from(&s, "192.0.2.7:1000");
    struct heard *h =
        ask(c, "GET /who/J%C3%BCrgen?a=1&q=x%20y+z HTTP/1.1\r\nHost: x\r\n"
               "Cookie: b=1; c=2\r\nx-some: thing\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n");
    ck_assert_str_eq(h->body, "J\xc3\xbcrgen|x y z|2|thing|192.0.2.7");
    ush_close(c);
    /* A trusted proxy is believed, one that contradicts itself is not served. */
    c = site_connect_from(&s, "10.1.2.3:1000");
    h = ask(c, "GET /who/x HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\r\n\r\n");
    ck_assert_str_eq(h->body, "x||||1.2.3.4");
    h = ask(c, "GET /who/x HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: http, https\r\n\r\n");
    ck_assert_int_eq(h->status, 400);
    ush_close(c);
    c = site_connect_from(&s, "[2001:db8::7]:1000");
    ck_assert_str_eq(ask(c, GET("/who/x"))->body, "x||||2001:db8::7");
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(thread_runs_outside_the_loop)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    const char *name = ask(c, GET("/thread"))->body;
    if (!ush_is_sim())
        ck_assert_str_eq(name, "thread");
    ush_close(c);
    return site_close(&s);
}

static const struct {
    int code, status;
} failures[] = {
    {0, 500},         {-5, 500},           {USH_ENOTFOUND, 404}, {USH_EINVAL, 400},
    {USH_EFULL, 503}, {USH_ESTORAGE, 503}, {USH_ELIMIT, 413},    {USH_EPROBLEM, 500},
};

BOTH_TEST(negative_result_is_a_problem)
{
    struct site s;
    open_site(&s, NULL);
    ush_log_init(&(struct ush_log_options){.fd = -1});
    int c = site_connect(&s);
    for (size_t i = 0; i < USH_COUNT(failures); i++) {
        char request[128];
        snprintf(request, sizeof(request), "GET /fail/%d HTTP/1.1\r\nHost: x\r\n\r\n",
                 failures[i].code);
        struct heard *h = ask(c, request);
        ck_assert_msg(h->status == failures[i].status, "%d: %d", failures[i].code, h->status);
        ck_assert_str_eq(heard_field(h, "Content-Type"), "application/problem+json");
        ck_assert(!!heard_field(h, "Retry-After") == (h->status == 503));
    }
    ush_close(c);
    return site_close(&s);
}

/* ---- bodies --------------------------------------------------------------------------------- */

static const struct {
    const char *path, *request, *body;
} bodies[] = {
    {"", "Content-Length: 5\r\n\r\nhello", "hello"},
    {"", "Content-Length: 0\r\n\r\n", ""},
    {"", "\r\n", ""},
    {"", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", ""},
    {"", "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nT: v\r\n\r\n", "hello"},
    {"loop", "Content-Length: 5\r\n\r\nhello", "hello"},
    {"loop", "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", "hello"},
};

/* Cut at every byte into two pieces, that arrive apart; with another request glued behind. */
BOTH_TEST(body_split_at_every_byte)
{
    struct site s;
    open_site(&s, NULL);
    for (size_t i = 0; i < USH_COUNT(bodies); i++) {
        char request[512];
        int n = snprintf(request, sizeof(request), "POST /%s HTTP/1.1\r\nHost: x\r\n%s%s",
                         bodies[i].path, bodies[i].request, GET("/loop"));
        int c = site_connect(&s);
        for (int cut = 0; cut <= n; cut++) {
            say_bytes(c, request, (size_t)cut);
            if (!ush_is_sim())
                ush_yield();
            else
                ush_sleep(2 * USH_MS);
            say_bytes(c, request + cut, (size_t)(n - cut));
            struct heard *h = hear(c);
            ck_assert_msg(h->status == 200, "%s at %d: %d", request, cut, h->status);
            ck_assert_str_eq(h->body, bodies[i].body);
            ck_assert_str_eq(hear(c)->body, "hello");
        }
        ush_close(c);
    }
    return site_close(&s);
}

/* A byte at a time: every state of the machine is entered with nothing else. */
BOTH_TEST(body_byte_by_byte)
{
    struct site s;
    open_site(&s, NULL);
    for (size_t i = 0; i < USH_COUNT(bodies); i++) {
        char request[512];
        int n = snprintf(request, sizeof(request), "POST /%s HTTP/1.1\r\nHost: x\r\n%s",
                         bodies[i].path, bodies[i].request);
        int c = site_connect(&s);
        for (int k = 0; k < n; k++) {
            say_bytes(c, request + k, 1);
            ush_yield();
        }
        ck_assert_str_eq(hear(c)->body, bodies[i].body);
        ck_assert_int_eq(ask(c, GET("/loop"))->status, 200);
        ush_close(c);
    }
    return site_close(&s);
}

BOTH_TEST(large_bodies_come_back)
{
    static char request[60000], want[50001];
    struct site s;
    open_site(&s, NULL);
    for (size_t i = 0; i < sizeof(want) - 1; i++)
        want[i] = (char)('a' + i % 23);
    int n = snprintf(request, sizeof(request),
                     "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
                     sizeof(want) - 1, want);
    int c = site_connect(&s);
    for (int round = 0; round < 3; round++) {
        say_bytes(c, request, (size_t)n);
        ck_assert_str_eq(hear(c)->body, want);
    }
    /* The same in chunks of 777 bytes. */
    n = snprintf(request, sizeof(request),
                 "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < sizeof(want) - 1; at += 777) {
        size_t part = sizeof(want) - 1 - at < 777 ? sizeof(want) - 1 - at : 777;
        n += snprintf(request + n, sizeof(request) - (size_t)n, "%zx\r\n%.*s\r\n", part, (int)part,
                      want + at);
    }
    n += snprintf(request + n, sizeof(request) - (size_t)n, "0\r\n\r\n");
    say_bytes(c, request, (size_t)n);
    ck_assert_str_eq(hear(c)->body, want);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(continue_only_for_an_accepted_body)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    /* Accepted: 100 first, the reply after the body. */
    say(c, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    ck_assert_int_eq(hear(c)->status, 100);
    ck_assert_int_eq(calls, 0);
    ck_assert_str_eq(ask(c, "ok")->body, "ok");
    /* The body is there already: no 100. */
    say(c, "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok");
    ck_assert_int_eq(hear(c)->status, 200);
    /* HTTP/1.0 does not know it. */
    say(c, "POST / HTTP/1.0\r\nExpect: 100-continue\r\nConnection: keep-alive\r\n"
           "Content-Length: 2\r\n\r\n");
    settle();
    ck_assert_int_eq(ask(c, "ok")->status, 200);
    /* Refused: the final status at once, and the connection closes without reading the body. */
    static const char *const refused[] = {
        "POST /nothing HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999\r\n\r\n",
    };
    for (int i = 0; i < 2; i++) {
        int other = site_connect(&s);
        ck_assert_int_eq(ask(other, refused[i])->status, i ? 413 : 404);
        ck_assert(hears_end(other));
        ush_close(other);
    }
    ush_close(c);
    return site_close(&s);
}

/* ---- keep-alive and pipelines --------------------------------------------------------------- */

BOTH_TEST(pipeline_is_answered_in_order)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    char all[4096] = "";
    for (int i = 0; i < 16; i++)
        snprintf(all + strlen(all), sizeof(all) - strlen(all),
                 "GET %s%d HTTP/1.1\r\nHost: x\r\n\r\n", i % 3 ? "/who/" : "/nothing/", i);
    say(c, all);
    for (int i = 0; i < 16; i++) {
        char want[32];
        snprintf(want, sizeof(want), "%d||||unix", i);
        struct heard *h = hear(c);
        ck_assert_int_eq(h->status, i % 3 ? 200 : 404);
        if (i % 3)
            ck_assert_str_eq(h->body, want);
    }
    ush_close(c);
    return site_close(&s);
}

/* A reply does not wait for the handler of the request behind it. */
BOTH_TEST(reply_before_a_waiting_request)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    say(c, GET("/") GET("/gate") GET("/loop"));
    ck_assert_str_eq(hear(c)->body, "hello");
    until_calls(2);
    ush_event_set(&gate);
    ck_assert_str_eq(hear(c)->body, "went through");
    ck_assert_str_eq(hear(c)->body, "hello");
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(nothing_behind_close_is_answered)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    say(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" GET("/loop"));
    ck_assert_int_eq(hear(c)->status, 200);
    ck_assert(hears_end(c));
    ck_assert_int_eq(calls, 1);
    ush_close(c);
    return site_close(&s);
}

/* The client's last byte ends nothing that it has asked for before. */
BOTH_TEST(half_closed_client_is_answered)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    say(c, GET("/loop") GET("/loop"));
    ush_shutdown_write(c);
    ck_assert_int_eq(hear(c)->status, 200);
    ck_assert_int_eq(hear(c)->status, 200);
    ck_assert(hears_end(c));
    ush_close(c);
    return site_close(&s);
}

/* ---- deadlines, clients that leave, overload ------------------------------------------------ */

BOTH_TEST(deadline_is_503)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    int64_t from = ush_now_ns();
    struct heard *h = ask(c, GET("/short"));
    ck_assert_int_eq(h->status, 503);
    int retry = atoi(heard_field(h, "Retry-After"));
    ck_assert(retry >= 2 && retry <= 8);
    ck_assert_int_eq(cancelled, 1);
    ck_assert_int_ge(ush_now_ns() - from, 20 * USH_MS);
    ck_assert_int_eq(ask(c, GET("/"))->status, 200);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(leaving_client_cancels_get_but_not_post)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s), d = site_connect(&s);
    say(c, GET("/gate"));
    say(d, "POST /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    until_calls(2);
    ush_close(c);
    ush_close(d);
    while (s.stats.handlers > 1)
        ush_sleep(USH_MS);
    settle();
    ck_assert_int_eq(cancelled, 1);
    ck_assert_uint_eq(s.stats.handlers, 1);
    ush_event_set(&gate);
    while (s.stats.handlers > 0)
        ush_sleep(USH_MS);
    ck_assert_int_eq(cancelled, 1);
    return site_close(&s);
}

BOTH_TEST(too_many_handlers_is_503_before_a_task)
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.handlers = 2;
    struct site s;
    open_site(&s, &(struct ush_http_options){.limits = &limits});
    int a = site_connect(&s), b = site_connect(&s), c = site_connect(&s);
    say(a, GET("/gate"));
    say(b, GET("/gate"));
    until_calls(2);
    uint32_t tasks = ush_loop_stats().tasks_peak;
    ck_assert_int_eq(ask(c, GET("/"))->status, 503);
    ck_assert_uint_eq(ush_loop_stats().tasks_peak, tasks);
    ck_assert_int_eq(ask(c, GET("/loop"))->status, 200);
    ck_assert_uint_eq(s.stats.shed_total, 1);
    ush_event_set(&gate);
    ck_assert_int_eq(hear(a)->status, 200);
    ck_assert_int_eq(ask(c, GET("/"))->status, 200);
    ush_close(a);
    ush_close(b);
    ush_close(c);
    return site_close(&s);
}

/* ---- draining ------------------------------------------------------------------------------- */

struct drain {
    struct site *s;
    int64_t deadline_ns;
    int result;
    bool is_over;
};

static int run_drain(void *arg)
{
    struct drain *d = arg;
    d->result = ush_http_drain(d->s->http, d->deadline_ns);
    d->is_over = true;
    return 0;
}

BOTH_TEST(drain_ends_idle_and_waits_for_handlers)
{
    struct site s;
    open_site(&s, NULL);
    int idle = site_connect(&s), busy = site_connect(&s), fresh = site_connect(&s);
    ask(idle, GET("/"));
    say(busy, GET("/gate"));
    until_calls(2);
    struct ush_scope scope;
    struct drain d = {.s = &s, .deadline_ns = ush_now_ns() + 60 * USH_SECOND};
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, run_drain, &d);
    ck_assert(hears_end(idle));
    ck_assert(hears_end(fresh));
    ck_assert(!d.is_over);
    ush_event_set(&gate);
    struct heard *h = hear(busy);
    ck_assert_int_eq(h->status, 200);
    ck_assert_str_eq(heard_field(h, "Connection"), "close");
    ck_assert(hears_end(busy));
    ush_close(idle);
    ush_close(busy);
    ush_close(fresh);
    ush_scope_close(&scope);
    ck_assert_int_eq(d.result, 0);
    return 0;
}

BOTH_TEST(drain_cancels_what_does_not_end)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s), half = site_connect(&s);
    say(c, GET("/gate"));
    say(half, "GET / HT");
    until_calls(1);
    ck_assert_int_eq(ush_http_drain(s.http, ush_now_ns() + 5 * USH_MS), -ETIMEDOUT);
    ck_assert_int_eq(cancelled, 1);
    ck_assert_int_eq(hear(c)->status, 503);
    ck_assert(hears_end(c));
    ck_assert(hears_end(half));
    ush_close(c);
    ush_close(half);
    return 0;
}

/* ---- listening ------------------------------------------------------------------------------ */

BOTH_TEST(listener_is_served)
{
    struct ush_address at = ush_sim_address(80);
    int listener;
    if (!ush_is_sim()) {
        ck_assert_int_eq(ush_address_parse(USH_T("127.0.0.1:0"), &at), 0);
        listener = ush_listen_at(&at);
        char text[32];
        snprintf(text, sizeof(text), "127.0.0.1:%d", ush_listener_port(listener));
        ush_address_parse(ush_text_of(text), &at);
    } else {
        listener = ush_listen(&at, 16);
    }
    ck_assert_int_ge(listener, 0);
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.connections = 4;
    limits.connections_per_address = 0;
    struct site s;
    open_site(&s, &(struct ush_http_options){
                      .listeners = &listener, .listener_count = 1, .limits = &limits});
    int c[6];
    for (int i = 0; i < 6; i++)
        ck_assert_int_ge((c[i] = ush_connect(&at)), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(ask(c[i], GET("/"))->status, 200);
    /* Two beyond the limit wait in the backlog until others leave. */
    ck_assert_uint_eq(s.stats.connections, 4);
    say(c[4], GET("/"));
    say(c[5], GET("/"));
    settle();
    ck_assert_uint_eq(s.stats.connections, 4);
    for (int i = 0; i < 4; i++)
        ush_close(c[i]);
    ck_assert_int_eq(hear(c[4])->status, 200);
    ck_assert_int_eq(hear(c[5])->status, 200);
    ush_close(c[4]);
    ush_close(c[5]);
    site_close(&s);
    ush_close(listener);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("server");
    TCase *tc = tcase_create("server");
    both_add(tc, get_is_answered);
    both_add(tc, methods_and_framing);
    both_add(tc, head_has_no_body);
    both_add(tc, parts_of_a_request);
    both_add(tc, thread_runs_outside_the_loop);
    both_add(tc, negative_result_is_a_problem);
    both_add(tc, body_split_at_every_byte);
    both_add(tc, body_byte_by_byte);
    both_add(tc, large_bodies_come_back);
    both_add(tc, continue_only_for_an_accepted_body);
    both_add(tc, pipeline_is_answered_in_order);
    both_add(tc, reply_before_a_waiting_request);
    both_add(tc, nothing_behind_close_is_answered);
    both_add(tc, half_closed_client_is_answered);
    both_add(tc, deadline_is_503);
    both_add(tc, leaving_client_cancels_get_but_not_post);
    both_add(tc, too_many_handlers_is_503_before_a_task);
    both_add(tc, drain_ends_idle_and_waits_for_handlers);
    both_add(tc, drain_cancels_what_does_not_end);
    both_add(tc, listener_is_served);
    suite_add_tcase(s, tc);
    return both_main(s);
}
