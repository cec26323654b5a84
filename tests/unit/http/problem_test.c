/*
 * problem_test.c - failures as documents and as pages: RFC 9457 members, all faults of a body,
 * and what each kind of bad body is answered with.
 */
#include <jansson.h>

#include "site.h"

#define POINT_FIELDS(F, R)                                                                         \
    F(R, TEXT, name, .max = 5, .doc = "Its name")                                                  \
    F(R, I64, x, .min = 0, .max = 100, .doc = "Metres")
USH_RECORD(point, POINT_FIELDS)
USH_RECORD_DEFINE(point, POINT_FIELDS)

static const struct ush_problem sold_out = {"sold_out", 409, "No places left", "Too late."};
static int calls;

static int sell(struct ush_request *rq)
{
    ush_problem_member(rq, "event", USH_T("\"robo\""));
    ush_problem_member(rq, "limit", USH_T("3"));
    ush_reply_header(rq, "X-Kept", USH_T("yes"));
    return ush_problem(rq, &sold_out, "%s is \"full\"", "Robo");
}
static int take_point(struct ush_request *rq)
{
    const struct point *p = rq->input;
    calls++;
    return ush_reply(rq, 200, "text/plain",
                     ush_arena_printf(rq->arena, "%.*s %lld", USH_PR(p->name), (long long)p->x));
}
static int take_form(struct ush_request *rq)
{
    const struct point *p = rq->input;
    calls++;
    if (!rq->faults)
        return ush_reply(rq, 200, "text/plain", p->name);
    return ush_reply(rq, 422, "text/plain",
                     ush_arena_printf(rq->arena, "%zu faults, name is %.*s", rq->faults->count,
                                      USH_PR(p->name)));
}

static const struct ush_route routes[] = {
    {"GET", "/sell", sell, .doc = "S."},
    {"POST", "/point", take_point, .doc = "P.", .body = &point_record},
    {"GET", "/point", take_point, .doc = "P.", .query = &point_record},
    {"GET", "/page", take_point, .doc = "P.", .query = &point_record, .is_page = true},
    {"POST", "/form", take_form, .doc = "F.", .body = &point_record, .takes_form = true,
     .faults_to_handler = true},
};

static void open_site(struct site *s, const struct ush_http_options *o)
{
    calls = 0;
    site_open(s, routes, USH_COUNT(routes), o);
}

BOTH_TEST(document_has_its_members)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    struct heard *h = ask(c, "GET /sell HTTP/1.1\r\nHost: x\r\nX-Request-Id: r1\r\n\r\n");
    ck_assert_int_eq(h->status, 409);
    ck_assert_str_eq(heard_field(h, "Content-Type"), "application/problem+json");
    ck_assert_str_eq(heard_field(h, "Cache-Control"), "no-store");
    ck_assert_str_eq(heard_field(h, "X-Kept"), "yes");
    ck_assert_str_eq(
        h->body, "{\"type\":\"/docs#problem-sold_out\",\"title\":\"No places left\","
                 "\"status\":409,\"detail\":\"Robo is \\\"full\\\"\",\"instance\":\"/sell\","
                 "\"code\":\"sold_out\",\"request_id\":\"r1\",\"event\":\"robo\",\"limit\":3}\n");
    ush_close(c);
    return site_close(&s);
}

static const struct {
    const char *fields, *body;
    int status;
    const char *code;
} bodies[] = {
    {"Content-Type: application/json", "{\"name\":\"a\",\"x\":1}", 200, NULL},
    {"Content-Type: application/json; charset=utf-8", "{\"name\":\"a\",\"x\":1}", 200, NULL},
    {"Content-Type: application/json", "{\"name\":\"a\",\"x\":1", 400, "malformed_request"},
    {"Content-Type: application/json", "", 400, "malformed_request"},
    {"Content-Type: application/json", "{\"name\":\"abcdef\",\"x\":1}", 422, "validation_error"},
    {"Content-Type: text/plain", "{\"name\":\"a\",\"x\":1}", 415, "unsupported_media_type"},
    {"Content-Type: application/x-www-form-urlencoded", "name=a&x=1", 415,
     "unsupported_media_type"},
    {"A: b", "{\"name\":\"a\",\"x\":1}", 415, "unsupported_media_type"},
    {"Content-Type: application/json\r\nContent-Encoding: gzip", "xx", 415,
     "unsupported_media_type"},
};

BOTH_TEST(each_bad_body_has_its_status)
{
    struct site s;
    open_site(&s, NULL);
    int good = 0;
    for (size_t i = 0; i < USH_COUNT(bodies); i++) {
        int c = site_connect(&s);
        char request[512];
        snprintf(request, sizeof(request),
                 "POST /point HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %zu\r\n\r\n%s",
                 bodies[i].fields, strlen(bodies[i].body), bodies[i].body);
        struct heard *h = ask(c, request);
        ck_assert_msg(h->status == bodies[i].status, "case %zu: %d", i, h->status);
        if (bodies[i].code)
            ck_assert_ptr_nonnull(strstr(h->body, bodies[i].code));
        good += h->status == 200;
        ck_assert_int_eq(calls, good);
        ush_close(c);
    }
    return site_close(&s);
}

BOTH_TEST(all_faults_at_once)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    struct heard *h =
        ask(c, "POST /point HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
               "Content-Length: 34\r\n\r\n{\"name\":\"abcdef\",\"x\":101,\"y\":true}");
    ck_assert_int_eq(h->status, 422);
    json_t *doc = json_loads(h->body, 0, NULL);
    json_t *errors = json_object_get(doc, "errors");
    ck_assert_uint_eq(json_array_size(errors), 3);
    json_t *first = NULL;
    for (size_t i = 0; i < 3; i++)
        if (strcmp(json_string_value(json_object_get(json_array_get(errors, i), "pointer")),
                   "#/name") == 0)
            first = json_array_get(errors, i);
    ck_assert_ptr_nonnull(first);
    ck_assert_str_eq(json_string_value(json_array_get(json_object_get(first, "loc"), 1)), "name");
    ck_assert_ptr_nonnull(json_string_value(json_object_get(first, "msg")));
    ck_assert_str_eq(json_string_value(json_object_get(first, "type")), "string_too_long");
    ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(doc, "detail")), "3 fields"));
    json_decref(doc);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(query_records)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    ck_assert_str_eq(ask(c, GET("/point?name=a%20b&x=7"))->body, "a b 7");
    ck_assert_int_eq(ask(c, GET("/point?name=a"))->status, 422);
    ck_assert_int_eq(ask(c, GET("/point"))->status, 422);
    /* A program that mistypes a name is told; links to pages get names added on their way. */
    ck_assert_int_eq(ask(c, GET("/point?name=a&x=7&fbclid=1"))->status, 422);
    ck_assert_str_eq(ask(c, GET("/page?name=a&x=7&fbclid=1"))->body, "a 7");
    ck_assert_int_eq(calls, 2);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(form_with_faults_goes_to_its_handler)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    static const char *const forms[][2] = {{"name=abc&x=1", "abc"},
                                           {"name=abcdefgh&x=x", "2 faults, name is abcdefgh"}};
    for (int i = 0; i < 2; i++) {
        char request[256];
        snprintf(request, sizeof(request),
                 "POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded"
                 "\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(forms[i][0]), forms[i][0]);
        ck_assert_str_eq(ask(c, request)->body, forms[i][1]);
    }
    ush_close(c);
    return site_close(&s);
}

static int page(struct ush_request *rq, const struct ush_problem *p, const char *detail)
{
    return ush_reply(rq, p->status, "text/html",
                     ush_arena_printf(rq->arena, "<h1>%s</h1>%s", p->title, detail ? detail : ""));
}

/* A page for people, also for what never reaches a handler. */
BOTH_TEST(browsers_get_a_page)
{
    struct site s;
    open_site(&s, &(struct ush_http_options){.problem_page = page});
    int c = site_connect(&s);
    struct heard *h = ask(c, "GET /sell HTTP/1.1\r\nHost: x\r\n"
                             "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\r\n");
    ck_assert_int_eq(h->status, 409);
    ck_assert_str_eq(h->body, "<h1>No places left</h1>Robo is \"full\"");
    h = ask(c, "GET /nowhere HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n");
    ck_assert_int_eq(h->status, 404);
    ck_assert_str_eq(h->body, "<h1>There is nothing here</h1>");
    h = ask(c, "GET /sell HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n");
    ck_assert_str_eq(heard_field(h, "Content-Type"), "application/problem+json");
    ush_close(c);
    return site_close(&s);
}

int main(void)
{
    Suite *s = suite_create("problem");
    TCase *tc = tcase_create("problem");
    both_add(tc, document_has_its_members);
    both_add(tc, each_bad_body_has_its_status);
    both_add(tc, all_faults_at_once);
    both_add(tc, query_records);
    both_add(tc, form_with_faults_goes_to_its_handler);
    both_add(tc, browsers_get_a_page);
    suite_add_tcase(s, tc);
    return both_main(s);
}
