/* The one form of a path: escapes, dot segments, and what is refused. */
#include <check.h>

#include "guard.h"
#include "http/parse.h"

/* NULL: refused. */
static const struct {
    const char *raw, *want;
} cases[] = {
    {"/", "/"},
    {"/a", "/a"},
    {"/a/", "/a/"},
    {"/a/b/c", "/a/b/c"},
    {"//", "//"},
    {"//a//b", "//a//b"},
    {"/A", "/A"},
    {"/a.b", "/a.b"},
    {"/...", "/..."},
    {"/.a", "/.a"},
    {"/..a", "/..a"},
    {"/a..", "/a.."},
    /* dot segments, the examples of RFC 3986 §5.2.4 among them */
    {"/.", "/"},
    {"/./", "/"},
    {"/./.", "/"},
    {"/a/.", "/a/"},
    {"/a/./", "/a/"},
    {"/a/./b", "/a/b"},
    {"/a/..", "/"},
    {"/a/../", "/"},
    {"/a/../b", "/b"},
    {"/a/b/..", "/a/"},
    {"/a/b/../c", "/a/c"},
    {"/a/b/../../c", "/c"},
    {"/a/b/c/./../../g", "/a/g"},
    {"/a//..", "/a/"},
    {"/a//../b", "/a/b"},
    {"/..", NULL},
    {"/../", NULL},
    {"/../a", NULL},
    {"/a/../..", NULL},
    {"/a/../../b", NULL},
    {"/./..", NULL},
    {"/a/b/../../../c", NULL},
    /* escapes */
    {"/%61", "/a"},
    {"/%41%7a", "/Az"},
    {"/a%20b", "/a b"},
    {"/%e2%9c%93", "/\xe2\x9c\x93"},
    {"/%E2%9C%93", "/\xe2\x9c\x93"},
    {"/%25", "/%"},
    {"/%252e", "/%2e"},
    {"/%252f", "/%2f"},
    {"/%3f", "/?"},
    {"/%23", "/#"},
    {"/a+b", "/a+b"},
    {"/%2e", "/"},
    {"/a/%2e%2e/b", "/b"},
    {"/a/.%2E/b", "/b"},
    {"/%2e%2e/a", NULL},
    {"/a/%2e%2e%2f", NULL},
    {"/%2f", NULL},
    {"/%2F", NULL},
    {"/a%2fb", NULL},
    {"/%5c", NULL},
    {"/a\\b", NULL},
    {"/%00", NULL},
    {"/a%00b", NULL},
    {"/%0a", NULL},
    {"/%0d%0aX:y", NULL},
    {"/%1f", NULL},
    {"/%7f", NULL},
    {"/\x01", NULL},
    {"/\x7f", NULL},
    {"/%", NULL},
    {"/%a", NULL},
    {"/%zz", NULL},
    {"/%4", NULL},
    {"/%4z", NULL},
    {"/%z4", NULL},
    {"/% 1", NULL},
    {"/%+1", NULL},
    {"/%u0041", NULL},
    {"/%%", NULL},
    /* not UTF-8 */
    {"/%ff", NULL},
    {"/%80", NULL},
    {"/%c0%af", NULL},
    {"/%c0%ae%c0%ae", NULL},
    {"/%e2%9c", NULL},
    {"/%ed%a0%80", NULL},
    {"/%f4%90%80%80", NULL},
    {"/%e2%9c/%93", NULL},
    /* no path */
    {"", NULL},
    {"*", NULL},
    {"a", NULL},
    {"./a", NULL},
    {"%2fa", NULL},
};

START_TEST(has_one_form)
{
    struct ush_arena arena;
    ush_arena_init(&arena, NULL, 0, 64 << 10);
    ush_text path = USH_NONE;
    int r = ush_path_normal(guarded(ush_text_of(cases[_i].raw)), &arena, &path);
    if (!cases[_i].want)
        ck_assert_msg(r == USH_EINVAL, "%s: %d \"%.*s\"", cases[_i].raw, r, USH_PR(path));
    else
        ck_assert_msg(r == 0 && ush_text_equal(path, ush_text_of(cases[_i].want)) &&
                          path.at[path.len] == 0,
                      "%s: %d \"%.*s\"", cases[_i].raw, r, USH_PR(path));
    ush_arena_fini(&arena);
}
END_TEST

START_TEST(a_nul_byte_in_the_raw_path_is_refused)
{
    struct ush_arena arena;
    ush_arena_init(&arena, NULL, 0, 64 << 10);
    ush_text path;
    ck_assert_int_eq(ush_path_normal(USH_T("/a\0b"), &arena, &path), USH_EINVAL);
    ush_arena_fini(&arena);
}
END_TEST

START_TEST(a_full_arena_is_said)
{
    struct ush_arena arena;
    ush_arena_init(&arena, NULL, 0, 16);
    ush_text path;
    ck_assert_int_eq(ush_path_normal(USH_T("/a/path/that/is/longer/than/the/arena"), &arena, &path),
                     USH_ELIMIT);
    ush_arena_fini(&arena);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("path");
    TCase *tc = tcase_create("path");
    tcase_add_loop_test(tc, has_one_form, 0, (int)USH_COUNT(cases));
    tcase_add_test(tc, a_nul_byte_in_the_raw_path_is_refused);
    tcase_add_test(tc, a_full_arena_is_said);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
