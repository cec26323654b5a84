/*
 * reply_test.c - what the description of a reply becomes: fields, defaults, bodies of all sizes.
 */
#include <signal.h>

#include "site.h"

#define POINT_FIELDS(F, R)                                                                         \
    F(R, TEXT, name, .max = 20, .doc = "Its name")                                                 \
    F(R, I64, x, .optional = true, .doc = "Metres")
USH_RECORD(point, POINT_FIELDS)
USH_RECORD_DEFINE(point, POINT_FIELDS)

static int json(struct ush_request *rq)
{
    struct point p = {.name = USH_T("a \"b\"\n"), .x = 7};
    USH_SET(&p, point_name);
    USH_SET(&p, point_x);
    return ush_reply_json(rq, 201, &point_record, &p);
}
static int redirect(struct ush_request *rq)
{
    return ush_reply_redirect(rq, 303, USH_T("/tickets/7"));
}
static int html(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/html; charset=utf-8", USH_T("<p>"));
}
static int own(struct ush_request *rq)
{
    ush_reply_header(rq, "cache-control", USH_T("private"));
    ush_reply_header(rq, "Referrer-Policy", USH_NONE);
    ush_reply_header(rq, "Content-Security-Policy", USH_T("default-src 'none'"));
    ush_reply_header(rq, "Permissions-Policy", USH_T("camera=(self)"));
    ush_reply_header(rq, "Set-Cookie", USH_T("a=1"));
    ush_reply_header(rq, "Set-Cookie", USH_T("b=2"));
    return ush_reply(rq, 200, "text/html", USH_T("<p>"));
}
static int empty(struct ush_request *rq)
{
    return ush_reply(rq, 204, NULL, USH_NONE);
}
static int twice(struct ush_request *rq)
{
    ush_reply(rq, 200, "text/plain", USH_T("first"));
    return ush_reply(rq, 202, "text/plain", USH_T("second"));
}
static int late(struct ush_request *rq)
{
    ush_reply(rq, 200, "text/plain", USH_T("good"));
    return USH_ENOTFOUND;
}
static int odd(struct ush_request *rq)
{
    return ush_reply(rq, 299, "text/plain", USH_T("odd"));
}
static int large(struct ush_request *rq)
{
    int64_t n = 0;
    ush_text_i64(ush_query(rq, "n"), &n);
    char *at = ush_arena_alloc(rq->arena, (size_t)n + 1);
    for (int64_t i = 0; at && i < n; i++)
        at[i] = (char)('a' + i % 23);
    return at ? ush_reply(rq, 200, "text/plain", (ush_text){at, (size_t)n}) : USH_ELIMIT;
}
static int many_fields(struct ush_request *rq)
{
    static char value[1001];
    int64_t n = 0;
    memset(value, 'v', 1000);
    ush_text_i64(ush_query(rq, "n"), &n);
    for (int64_t i = 0; i < n; i++)
        ush_reply_header(rq, "X-Many", (ush_text){value, 1000});
    return ush_reply(rq, 200, "text/plain", USH_T("ok"));
}
static int inject(struct ush_request *rq)
{
    ush_reply_header(rq, "Location", ush_query(rq, "to"));
    return ush_reply(rq, 303, NULL, USH_NONE);
}

static const struct ush_route routes[] = {
    {"GET", "/json", json, .doc = "J."},
    {"GET", "/redirect", redirect, .doc = "R."},
    {"GET", "/html", html, .doc = "H.", .cache = "public, max-age=60"},
    {"GET", "/own", own, .doc = "O."},
    {"GET", "/empty", empty, .doc = "E."},
    {"GET", "/twice", twice, .doc = "T."},
    {"GET", "/late", late, .doc = "L.", .cache = "public"},
    {"GET", "/odd", odd, .doc = "O."},
    {"GET", "/large", large, .doc = "L."},
    {"GET", "/many", many_fields, .doc = "M."},
    {"GET", "/inject", inject, .doc = "I."},
};

static const struct {
    const char *path;
    int status;
    const char *body;
    struct {
        const char *name, *value; /* NULL: absent */
    } fields[6];
} replies[] = {
    {"/json",
     201,
     "{\"name\":\"a \\\"b\\\"\\n\",\"x\":7}",
     {{"Content-Type", "application/json"},
      {"Cache-Control", "no-store"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Content-Security-Policy", NULL}}},
    {"/redirect", 303, "", {{"Location", "/tickets/7"}, {"Content-Length", "0"}}},
    {"/html",
     200,
     "<p>",
     {{"Cache-Control", "public, max-age=60"},
      {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
      {"Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; form-action 'self'; "
                                  "base-uri 'none'"}}},
    {"/own",
     200,
     "<p>",
     {{"Cache-Control", "private"},
      {"Referrer-Policy", NULL},
      {"Set-Cookie", "a=1"},
      {"Permissions-Policy", "camera=(self)"},
      {"Content-Security-Policy", "default-src 'none'"},
      {"Strict-Transport-Security", NULL}}},
    {"/empty", 204, "", {{"Content-Length", NULL}, {"Content-Type", NULL}}},
    {"/twice", 202, "second", {{"Content-Length", "6"}}},
    {"/late", 404, NULL, {{"Cache-Control", "no-store"}}},
    {"/odd", 299, "odd", {{"Content-Length", "3"}}},
};

BOTH_TEST(reply_has_its_fields)
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), NULL);
    int c = site_connect(&s);
    for (size_t i = 0; i < USH_COUNT(replies); i++) {
        static struct heard h;
        char request[128];
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", replies[i].path);
        say(c, request);
        hear_into(c, &h, false);
        ck_assert_msg(h.status == replies[i].status, "%s: %d", replies[i].path, h.status);
        if (replies[i].body)
            ck_assert_str_eq(h.body, replies[i].body);
        for (int k = 0; k < 5 && replies[i].fields[k].name; k++) {
            const char *value = heard_field(&h, replies[i].fields[k].name);
            if (replies[i].fields[k].value)
                ck_assert_pstr_eq(value, replies[i].fields[k].value);
            else
                ck_assert_ptr_null(value);
        }
    }
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(both_cookies_are_sent)
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), NULL);
    int c = site_connect(&s);
    struct heard *h = ask(c, GET("/own"));
    ck_assert_ptr_nonnull(strstr(h->head, "\r\nSet-Cookie: a=1\r\n"));
    ck_assert_ptr_nonnull(strstr(h->head, "\r\nSet-Cookie: b=2\r\n"));
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(request_id_is_kept_or_made)
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), NULL);
    int c = site_connect(&s);
    struct heard *h = ask(c, "GET /json HTTP/1.1\r\nHost: x\r\nX-Request-Id: abc-1.2_3\r\n\r\n");
    ck_assert_str_eq(heard_field(h, "X-Request-Id"), "abc-1.2_3");
    static const char *const bad[] = {"a\"b", "abc{}", "123456789012345678901234567", ""};
    char last[1024] = "";
    for (size_t i = 0; i < USH_COUNT(bad); i++) {
        char request[128];
        snprintf(request, sizeof(request),
                 "GET /json HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\n\r\n", bad[i]);
        const char *id = heard_field(ask(c, request), "X-Request-Id");
        ck_assert_uint_eq(strlen(id), 26);
        ck_assert_str_ne(id, last);
        snprintf(last, sizeof(last), "%s", id);
    }
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(tls_at_the_proxy_asks_for_tls)
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), &(struct ush_http_options){.trusted_proxies = "unix"});
    int c = site_connect(&s);
    struct heard *h = ask(c, "GET /json HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: https\r\n\r\n");
    ck_assert_ptr_nonnull(heard_field(h, "Strict-Transport-Security"));
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(minimal_leaves_out_what_it_can)
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), &(struct ush_http_options){.is_minimal = true});
    int c = site_connect(&s);
    struct heard *h = ask(c, GET("/twice"));
    ck_assert_ptr_null(heard_field(h, "X-Request-Id"));
    ck_assert_ptr_null(heard_field(h, "Cache-Control"));
    ck_assert_ptr_nonnull(heard_field(h, "Date"));
    ush_close(c);
    return site_close(&s);
}

/* Around the sizes at which a body leaves the common buffer, and far beyond. */
BOTH_TEST(bodies_of_all_sizes)
{
    static const int sizes[] = {0, 1, 13, 30000, 31000, 31744, 32768, 64000, 65536, 66000, 190000};
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), NULL);
    int c = site_connect(&s);
    for (size_t i = 0; i < USH_COUNT(sizes); i++) {
        char request[256];
        snprintf(request, sizeof(request), "GET /large?n=%d HTTP/1.1\r\nHost: x\r\n\r\n%s",
                 sizes[i], GET("/twice"));
        struct heard *h = ask(c, request);
        ck_assert_uint_eq(h->body_len, sizes[i]);
        for (int k = 0; k < sizes[i]; k++)
            if (h->body[k] != (char)('a' + k % 23))
                ck_abort_msg("byte %d of %d is wrong", k, sizes[i]);
        ck_assert_str_eq(hear(c)->body, "second");
    }
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(fields_have_a_limit)
{
    ush_log_init(&(struct ush_log_options){.fd = -1});
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), NULL);
    int c = site_connect(&s);
    ck_assert_int_eq(ask(c, GET("/many?n=17"))->status, 500);
    ck_assert_int_eq(ask(c, GET("/many?n=3"))->status, 200);
    ush_close(c);
    return site_close(&s);
}

/* CR and LF in a field would let a client write replies for others. */
static int inject_body(void *arg __attribute__((unused)))
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), NULL);
    int c = site_connect(&s);
    ask(c, GET("/inject?to=%0d%0aSet-Cookie:%20x=1"));
    return 0;
}
START_TEST(line_breaks_in_fields_assert)
{
    both_run(_i, inject_body);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reply");
    TCase *tc = tcase_create("reply");
    both_add(tc, reply_has_its_fields);
    both_add(tc, both_cookies_are_sent);
    both_add(tc, request_id_is_kept_or_made);
    both_add(tc, tls_at_the_proxy_asks_for_tls);
    both_add(tc, minimal_leaves_out_what_it_can);
    both_add(tc, bodies_of_all_sizes);
    both_add(tc, fields_have_a_limit);
    tcase_add_loop_test_raise_signal(tc, line_breaks_in_fields_assert, SIGABRT, 0, 2);
    suite_add_tcase(s, tc);
    return both_main(s);
}
