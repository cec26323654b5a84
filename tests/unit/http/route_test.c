/*
 * route_test.c - from paths to rows, and the faults of a table that a start refuses.
 */
#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "http/http.h"

static int handler(struct ush_request *rq __attribute__((unused)))
{
    return 0;
}

#define ROW(m, p)                                                                                  \
    {                                                                                              \
        .method = m, .path = p, .handler = handler, .doc = "Does."                                 \
    }

static const struct ush_route rows[] = {
    ROW("GET", "/"),
    ROW("GET", "/events"),
    ROW("POST", "/events"),
    ROW("GET", "/events/{slug}"),
    ROW("DELETE", "/events/{slug}"),
    ROW("POST", "/events/new"),
    ROW("GET", "/events/{slug}/places/{n}"),
    ROW("GET", "/events/new/places"),
    ROW("HEAD", "/own-head"),
    ROW("GET", "/own-head"),
    ROW("PUT", "/a/{b}/c"),
    ROW("PUT", "/a/x/d"),
};

static const struct {
    enum ush_method method;
    const char *path;
    int result;
    int row;               /* index when found */
    const char *params[2]; /* in order */
    const char *allow;     /* when 405 */
} cases[] = {
    {USH_GET, "/", 0, 0},
    {USH_HEAD, "/", 0, 0},
    {USH_GET, "/events", 0, 1},
    {USH_POST, "/events", 0, 2},
    {USH_GET, "/events/robo", 0, 3, {"robo"}},
    {USH_DELETE, "/events/robo", 0, 4, {"robo"}},
    {USH_POST, "/events/new", 0, 5},
    /* A literal that cannot do it gives way to a parameter that can. */
    {USH_GET, "/events/new", 0, 3, {"new"}},
    {USH_GET, "/events/robo/places/12", 0, 6, {"robo", "12"}},
    {USH_GET, "/events/new/places", 0, 7},
    {USH_GET, "/events/new/places/1", 0, 6, {"new", "1"}},
    {USH_HEAD, "/own-head", 0, 8},
    {USH_GET, "/own-head", 0, 9},
    {USH_PUT, "/a/x/c", 0, 10, {"x"}},
    {USH_PUT, "/a/x/d", 0, 11},
    {USH_PUT, "/a/y/d", -404},
    {USH_GET, "/nothing", -404},
    {USH_GET, "/events/", -404},
    {USH_GET, "/events/robo/", -404},
    {USH_GET, "//", -404},
    {USH_GET, "", -404},
    {USH_GET, "events", -404},
    {USH_DELETE, "/events", -405, 0, {0}, "GET, HEAD, POST, OPTIONS"},
    {USH_PATCH, "/events/new", -405, 0, {0}, "GET, HEAD, POST, DELETE, OPTIONS"},
    {USH_OPTIONS, "/a/x/c", -405, 0, {0}, "PUT, OPTIONS"},
};

START_TEST(path_finds_its_row)
{
    struct ush__routes r;
    struct ush__match m;
    ck_assert_int_eq(ush__routes_init(&r, rows, USH_COUNT(rows), &ush_http_limits_direct), 0);
    ush_text path = ush_text_of(cases[_i].path);
    int found = ush__route_find(&r, cases[_i].method, path, &m);
    ck_assert_int_eq(found, cases[_i].result);
    if (found == 0)
        ck_assert_ptr_eq(m.row, &r.rows[cases[_i].row]);
    for (int k = 0; k < 2 && found == 0 && cases[_i].params[k]; k++) {
        ush_text got = {path.at + m.params[k].at, m.params[k].len};
        ck_assert(ush_text_equal(got, ush_text_of(cases[_i].params[k])));
    }
    if (found == -405) {
        char allow[64];
        ush__allow_format(m.allowed, allow);
        ck_assert_str_eq(allow, cases[_i].allow);
    }
    ush__routes_fini(&r);
}
END_TEST

START_TEST(row_has_its_defaults_and_name)
{
    static const struct ush_route own[] = {
        ROW("GET", "/a"),
        {"POST", "/b/{c}", handler, .doc = "B.", .deadline_ms = 7, .body_bytes = 9},
    };
    struct ush__routes r;
    ck_assert_int_eq(ush__routes_init(&r, own, 2, &ush_http_limits_direct), 0);
    ck_assert_uint_eq(r.rows[0].deadline_ms, 10000);
    ck_assert_uint_eq(r.rows[0].body_bytes, 65536);
    ck_assert_uint_eq(r.rows[1].deadline_ms, 7);
    ck_assert_uint_eq(r.rows[1].body_bytes, 9);
    ck_assert_str_eq(r.rows[1].name, "POST /b/{c}");
    ck_assert(ush_text_equal(r.rows[1].params[0], USH_T("c")));
    ush__routes_fini(&r);
}
END_TEST

/* A path of many segments is decided without trying every combination of literal and parameter. */
START_TEST(deep_path_is_cheap)
{
    static char path[60001];
    memset(path, '/', 60000);
    struct ush__routes r;
    struct ush__match m;
    ck_assert_int_eq(ush__routes_init(&r, rows, USH_COUNT(rows), &ush_http_limits_direct), 0);
    ck_assert_int_eq(ush__route_find(&r, USH_GET, (ush_text){path, 60000}, &m), -404);
    ush__routes_fini(&r);
}
END_TEST

static const struct ush_route faults[][2] = {
    {ROW("GET", "/a"), ROW("GET", "/a")},
    {ROW("GET", "/a/{b}"), ROW("PUT", "/a/{c}")},
    {ROW("GET", "/a"), {"GET", "/b", handler}},
    {ROW("GET", "/a"), {"GET", "/b", .doc = "No handler."}},
    {ROW("GET", "/a"), ROW("BREW", "/b")},
    {ROW("GET", "/a"), ROW("GET", "b")},
};

START_TEST(fault_in_the_table_asserts)
{
    struct ush__routes r;
    ush_log_init(&(struct ush_log_options){.fd = -1});
    ush__routes_init(&r, faults[_i], 2, &ush_http_limits_direct);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("route");
    TCase *tc = tcase_create("route");
    tcase_add_loop_test(tc, path_finds_its_row, 0, USH_COUNT(cases));
    tcase_add_test(tc, row_has_its_defaults_and_name);
    tcase_add_test(tc, deep_path_is_cheap);
    tcase_add_loop_test_raise_signal(tc, fault_in_the_table_asserts, SIGABRT, 0, USH_COUNT(faults));
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
