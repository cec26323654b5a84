/*
 * server_test.c - requests, bodies and pipelines of a running server.
 */
#include "served.h"

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
    suite_add_tcase(s, tc);
    return both_main(s);
}
