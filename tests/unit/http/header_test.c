/* Values of fields: cookies, preferences, media types, entity tags. */
#include <check.h>

#include "guard.h"
#include "http/parse.h"

static const struct {
    const char *field, *name, *want; /* NULL: absent */
} cookies[] = {
    {"a=1", "a", "1"},      {"a=1; b=2", "b", "2"},
    {"a=1;b=2", "b", "2"},  {"a=1 ; b=2", "a", "1"},
    {"a=1; a=2", "a", "1"}, {"a=", "a", ""},
    {"a=b=c", "a", "b=c"},  {"a=\"1\"", "a", "\"1\""},
    {"A=1", "a", NULL},     {"ab=1", "a", NULL},
    {"b=a", "a", NULL},     {"a", "a", NULL},
    {"", "a", NULL},        {";;; a=1", "a", "1"},
    {"=1; a=2", "a", "2"},  {"x=\xc3\xa9; a=1", "a", "1"},
    {"a=1,2", "a", "1,2"},  {"a =1", "a", NULL},
};

START_TEST(finds_a_cookie)
{
    ush_text have = ush__cookie(guarded(ush_text_of(cookies[_i].field)), //
                                ush_text_of(cookies[_i].name));
    const char *want = cookies[_i].want;
    ck_assert_msg(want ? have.at && ush_text_equal(have, ush_text_of(want)) : !have.at,
                  "\"%s\": \"%.*s\"", cookies[_i].field, USH_PR(have));
}
END_TEST

static const struct {
    const char *field, *want;
    int quality;
} qualities[] = {
    {"text/html", "text/html", 1000},
    {"TEXT/HTML", "text/html", 1000},
    {"text/html;q=0.5", "text/html", 500},
    {"text/html; Q=0.05", "text/html", 50},
    {"text/html;q=0.005", "text/html", 5},
    {"text/html;q=0", "text/html", 0},
    {"text/html;q=0.0", "text/html", 0},
    {"text/html;q=1", "text/html", 1000},
    {"text/html;q=1.", "text/html", 1000},
    {"text/html;q=1.000", "text/html", 1000},
    {"text/html;level=1;q=0.4", "text/html", 400},
    {"text/html;q=0.4;ext=1", "text/html", 400},
    {"text/*", "text/html", 1000},
    {"text/*;q=0.3", "text/html", 300},
    {"*/*;q=0.1", "text/html", 100},
    {"*", "gzip", 1000},
    {"gzip;q=0, *", "gzip", 0},
    {"*;q=0, gzip", "gzip", 1000},
    {"text/*;q=0.3, text/html;q=0.7, */*;q=0.9", "text/html", 700},
    {"*/*;q=0.9, text/*;q=0.3", "text/html", 300},
    {"application/json", "text/html", -1},
    {"", "text/html", -1},
    {",,text/html", "text/html", 1000},
    {"tex/*", "text/html", -1},
    {"text/htm", "text/html", -1},
    {"text/html2", "text/html", -1},
    {"text/", "text/html", -1},
    {"/*", "text/html", -1},
    /* what cannot be read counts as absent */
    {"text/html;q=2", "text/html", -1},
    {"text/html;q=1.1", "text/html", -1},
    {"text/html;q=-1", "text/html", -1},
    {"text/html;q=0.1234", "text/html", -1},
    {"text/html;q=,", "text/html", -1},
    {"text/html;q=a", "text/html", -1},
    {"text/html;q=0,5", "text/html", 0},
    {"text/html;q=9, */*;q=0.2", "text/html", 200},
};

START_TEST(weighs_what_is_wanted)
{
    int q =
        ush__quality(guarded(ush_text_of(qualities[_i].field)), ush_text_of(qualities[_i].want));
    ck_assert_msg(q == qualities[_i].quality, "\"%s\": %d", qualities[_i].field, q);
}
END_TEST

START_TEST(tells_browsers_from_programs)
{
    static const struct {
        const char *accept;
        bool html;
    } cases[] = {
        {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true},
        {"text/html,*/*;q=0.5", true},
        {"text/*", true},
        {"application/json", false},
        {"application/json, text/plain, */*", false},
        {"*/*", false},
        {"", false},
        {"application/json, text/html;q=0.9", false},
        {"text/html, application/json", false},
        {"text/html;q=0", false},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++)
        ck_assert_msg(ush__prefers_html(ush_text_of(cases[i].accept)) == cases[i].html, "%s",
                      cases[i].accept);
    ck_assert(!ush__prefers_html(USH_NONE));
    ck_assert(ush__takes_gzip(USH_T("gzip, deflate, br")));
    ck_assert(ush__takes_gzip(USH_T("br;q=1, gzip;q=0.1")));
    ck_assert(!ush__takes_gzip(USH_T("gzip;q=0")));
    ck_assert(!ush__takes_gzip(USH_T("identity")));
    ck_assert(!ush__takes_gzip(USH_NONE));
}
END_TEST

START_TEST(knows_a_media_type)
{
    static const struct {
        const char *field;
        bool is_json;
    } cases[] = {
        {"application/json", true},
        {"Application/JSON", true},
        {" application/json ", true},
        {"application/json;charset=utf-8", true},
        {"application/json; charset=UTF-8", true},
        {"application/json; Charset=\"utf-8\"", true},
        {"application/json; profile=x", true},
        {"application/json;", true},
        {"application/json; charset=latin1", false},
        {"application/json; charset=", false},
        {"application/json; charset", false},
        {"application/json; charset=utf-8; charset=utf-16", false},
        {"application/json, text/plain", false},
        {"application/jsonp", false},
        {"application/problem+json", false},
        {"text/json", false},
        {"application", false},
        {"", false},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++)
        ck_assert_msg(ush__media_type_is(guarded(ush_text_of(cases[i].field)),
                                         USH_T("application/json")) == cases[i].is_json,
                      "%s", cases[i].field);
    ck_assert(!ush__media_type_is(USH_NONE, USH_T("application/json")));
}
END_TEST

START_TEST(finds_an_entity_tag)
{
    static const struct {
        const char *field;
        bool found;
    } cases[] = {
        {"\"a,b\"", true},
        {"W/\"a,b\"", true},
        {"*", true},
        {" * ", true},
        {"\"x\", \"a,b\"", true},
        {"\"x\",W/\"a,b\",\"y\"", true},
        {"\"a,b\" x", true},
        {"\"a\"", false},
        {"a,b", false},
        {"\"a,b", false},
        {"", false},
        {"\"x\", \"y\"", false},
        {"\"\"", false},
        {"\"x*\"", false},
        {"\"A,B\"", false},
        {"\"x\"a,b\"", false},
        {"x\"y\" z\"a,b\"", true},
        {"\"a,b\"\"", true},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++)
        ck_assert_msg(ush__etag_is_listed(guarded(ush_text_of(cases[i].field)), USH_T("\"a,b\"")) ==
                          cases[i].found,
                      "%s", cases[i].field);
    ck_assert(!ush__etag_is_listed(USH_NONE, USH_T("\"a\"")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("header");
    TCase *tc = tcase_create("header");
    tcase_add_loop_test(tc, finds_a_cookie, 0, (int)USH_COUNT(cookies));
    tcase_add_loop_test(tc, weighs_what_is_wanted, 0, (int)USH_COUNT(qualities));
    tcase_add_test(tc, tells_browsers_from_programs);
    tcase_add_test(tc, knows_a_media_type);
    tcase_add_test(tc, finds_an_entity_tag);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
