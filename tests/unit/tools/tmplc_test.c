/*
 * tools/tmplc: what the templates in tests/unit/tools/pages print, with hostile values in every
 * place where a value may stand, and the mistakes that end a build.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gen/test_pages.h"

static struct ush_buf out;

static void setup(void)
{
    ush_buf_init(&out, 64 << 10);
}

static void teardown(void)
{
    ush_buf_fini(&out);
}

static void assert_printed(const char *want)
{
    ck_assert_int_eq(out.error, 0);
    ck_assert_str_eq(out.at ? out.at : "", want);
}

START_TEST(a_hostile_value_is_escaped_in_every_place)
{
    static const struct {
        const char *value, *html, *url, *percent;
    } cases[] = {
        {"plain", "plain", "#", "plain"},
        {"/a?b=c", "/a?b=c", "/a?b=c", "%2Fa%3Fb%3Dc"},
        {"<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;", "#",
         "%3Cscript%3Ealert%281%29%3C%2Fscript%3E"},
        {"\" onclick=\"x", "&quot; onclick=&quot;x", "#", "%22%20onclick%3D%22x"},
        {"' onclick='x", "&#39; onclick=&#39;x", "#", "%27%20onclick%3D%27x"},
        {"/\"><b>'", "/&quot;&gt;&lt;b&gt;&#39;", "/&quot;&gt;&lt;b&gt;&#39;",
         "%2F%22%3E%3Cb%3E%27"},
        {"a&amp;b", "a&amp;amp;b", "#", "a%26amp%3Bb"},
        {"javascript:alert(1)", "javascript:alert(1)", "#", "javascript%3Aalert%281%29"},
        {" javascript:x", " javascript:x", "#", "%20javascript%3Ax"},
        {"JaVaScRiPt:x", "JaVaScRiPt:x", "#", "JaVaScRiPt%3Ax"},
        {"data:text/html,x", "data:text/html,x", "#", "data%3Atext%2Fhtml%2Cx"},
        {"https://a/?b&c", "https://a/?b&amp;c", "https://a/?b&amp;c",
         "https%3A%2F%2Fa%2F%3Fb%26c"},
        {"{{x}}{{{x}}}", "{{x}}{{{x}}}", "#", "%7B%7Bx%7D%7D%7B%7B%7Bx%7D%7D%7D"},
        {"%s%n", "%s%n", "#", "%25s%25n"},
        {"\xc3\xa9", "\xc3\xa9", "#", "%C3%A9"},
        {"", "", "#", ""},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        const char *v = cases[i].value, *h = cases[i].html, *u = cases[i].url,
                   *p = cases[i].percent;
        char want[4096];
        snprintf(want, sizeof want,
                 "text %s %s\n"
                 "<p title=\"%s\" class='a %s'>both quotes</p>\n"
                 "<a href=\"%s\">start of a link</a>\n"
                 "<a href=\"/e/%s/y?z=%s#%s\">later in a link</a>\n"
                 "<img alt=\"%s\" src='%s'>\n"
                 "<form action=\"%s\"></form>\n"
                 "<a href=\"%s\">escaped only</a>\n"
                 "<textarea name=\"t\">%s</textarea>\n"
                 "raw %s\n",
                 h, h, h, h, u, p, p, p, h, u, u, h, h, v);
        ush_buf_reset(&out);
        contexts(&out, ush_text_of(v), v);
        assert_printed(want);
    }
}
END_TEST

START_TEST(blocks_take_their_ways)
{
    const struct view_row rows[] = {{USH_T("a<b"), "/x", true},
                                    {USH_T("c"), "javascript:x", false}};
    struct view v = {.title = USH_T("T&T"),
                     .word = NULL,
                     .array = "arr<",
                     .number = 4,
                     .small = 200,
                     .rows = rows,
                     .count = 2};
    blocks(&out, &v);
    assert_printed("few, small 200\n"
                   "<ul>\n"
                   "  <li class=\"chosen\">0: a&lt;b</li>\n"
                   "  <li>1: c</li>\n"
                   "</ul>\n"
                   "<a href=\"/x\">a&lt;b</a><a href=\"#\">c</a>\n"
                   "8 arr&lt; \n"
                   "[T&amp;T]\n"
                   "<option value=\"a\" selected>\n"
                   "<a href=\"/x#\">start on one way</a>\n"
                   "<!-- a comment with <tags> and \"quotes\" -->\n"
                   "<script>if (a < b && c) { \"not html\" }</script>\n"
                   "<style>p > a { color: red }</style>\n"
                   "end\n");
    ush_buf_reset(&out);
    v = (struct view){.title = USH_T("/t"), .word = "w"};
    blocks(&out, &v);
    ck_assert_ptr_nonnull(strstr(out.at, "none\n<ul>\n  <li>nothing</li>\n</ul>\n\n0  w\n[/t]\n"
                                         "<option value=\"b\">\n<a href=\"/t\">"));
    ush_buf_reset(&out);
    v.number = 10;
    blocks(&out, &v);
    ck_assert(strncmp(out.at, "many\n<ul>", 9) == 0);
}
END_TEST

START_TEST(a_layout_surrounds_a_page)
{
    struct view v = {.title = USH_T("<T>")};
    framed(&out, &v);
    assert_printed("<!DOCTYPE html>\n<html lang=\"e&lt;n\">\n<title>&lt;T&gt;</title>\n"
                   "\n<h1>&lt;T&gt;</h1>\n"
                   "<p>e&lt;n</p>\n</html>\n");
    ush_buf_reset(&out);
    empty(&out);
    assert_printed("");
}
END_TEST

START_TEST(a_full_buffer_is_said_once)
{
    struct ush_buf small;
    ush_buf_init(&small, 20);
    contexts(&small, USH_T("x"), "y");
    ck_assert_int_eq(small.error, USH_ELIMIT);
    ush_buf_fini(&small);
}
END_TEST

static const struct {
    const char *text, *message;
} mistakes[] = {
    {"<p>", "page.html:1: {{page NAME(PARAMETERS)}} or {{layout NAME(PARAMETERS)}} comes first"},
    {"x\n{{page p()}}\n", "text before the end of the heading"},
    {"{{page p}}\n", "is the form"},
    {"{{page p()}}{{page q()}}\n", "once, is the form"},
    {"{{page p()}}\n{{x", "page.html:2: braces that do not end"},
    {"{{page p()}}\n{{}}", "page.html:2: empty braces"},
    {"{{page p()}}\n\n{{#if x}}\n", "page.html:4: the block of line 3 does not end"},
    {"{{page p()}}\n{{/if}}", "page.html:2: an end without its beginning"},
    {"{{page p()}}\n{{#if x}}{{/each}}", "an end without its beginning"},
    {"{{page p()}}\n{{#each i in a : n}}{{/if}}", "an end without its beginning"},
    {"{{page p()}}\n{{else}}", "an {{else}} without"},
    {"{{page p()}}\n{{#if x}}{{else}}{{else}}{{/if}}", "an {{else}} without"},
    {"{{page p()}}\n{{#if x}}{{else}}{{else if y}}{{/if}}", "an {{else}} without"},
    {"{{page p()}}\n{{#each i in a}}{{/each}}", "{{#each NAME in ARRAY : COUNT}} is the form"},
    {"{{page p()}}\n{{#each a : n}}{{/each}}", "{{#each NAME in ARRAY : COUNT}} is the form"},
    {"{{page p()}}\n{{/foreach}}", "there is no {{/foreach}}"},
    {"{{page p()}}\n{{body}}", "{{body}} stands once in a layout"},
    {"{{layout p()}}\n{{body}}{{body}}", "{{body}} stands once in a layout"},
    {"{{layout p()}}\n{{#if x}}{{body}}{{/if}}", "{{body}} stands once in a layout"},
    {"{{layout p()}}\n<p {{body}}>", "{{body}} stands once in a layout"},
    {"{{layout p()}}\n", "a layout without {{body}}"},
    {"{{page p()}}{{in site}}\n", "\"site\" is no call"},
    {"{{page p()}}\n{{> part}}\n", "\"part\" is no call"},
    /* where no value may stand */
    {"{{page p()}}\n<script>var x = {{x}}</script>", "may stand in text and in quoted"},
    {"{{page p()}}\n<style>p { color: {{x}} }</style>", "may stand in text and in quoted"},
    {"{{page p()}}\n<SCRIPT>{{x}}</SCRIPT>", "may stand in text and in quoted"},
    {"{{page p()}}\n<script src=\"/a\">{{html x}}</script>", "may stand in text and in quoted"},
    {"{{page p()}}\n<!-- {{x}} -->", "may stand in text and in quoted"},
    {"{{page p()}}\n<{{x}}>", "may stand in text and in quoted"},
    {"{{page p()}}\n<p {{x}}>", "may stand in text and in quoted"},
    {"{{page p()}}\n<p {{x}}=\"y\">", "may stand in text and in quoted"},
    {"{{page p()}}\n<p title={{x}}>", "may stand in text and in quoted"},
    {"{{page p()}}\n<p onclick=\"f('{{x}}')\">", "in the attribute onclick"},
    {"{{page p()}}\n<p OnClick=\"{{html x}}\">", "in the attribute onclick"},
    {"{{page p()}}\n<p style='{{x}}'>", "in the attribute style"},
    {"{{page p()}}\n<iframe srcdoc=\"{{x}}\">", "in the attribute srcdoc"},
    /* HTML that cannot be followed */
    {"{{page p()}}\n\n<p title=x>", "page.html:3: an attribute value without quotes"},
    {"{{page p()}}\n<p title = \"x\">", "a '=' without an attribute before it"},
    {"{{page p()}}\na < b", "a '<' that begins no tag"},
    {"{{page p()}}\n<p title=\"x\n", "a tag, comment or script does not end"},
    {"{{page p()}}\n<script>", "a tag, comment or script does not end"},
    {"{{page p()}}\n{{#if x}}<p title=\"{{/if}}", "the ways through the block of line 2 end in"},
    {"{{page p()}}\n<p title={{#if x}}\"a{{else}}'a{{/if}}", "the ways through the block"},
    {"{{page p()}}\n<a {{#if x}}href=\"{{else}}title=\"{{/if}}{{y}}\">", "the ways through"},
    {"{{page p()}}\n{{#each i in a : n}}<p title=\"{{/each}}", "the ways through the block"},
    {"{{page p()}}\n{{#if x}}<script>{{/if}}", "the ways through the block"},
};

START_TEST(a_mistake_ends_the_build_and_its_line_is_named)
{
    char here[4096], folder[] = "/tmp/tmplc-XXXXXX", command[8192], said[4096];
    const char *build = getenv("TESTED_BUILD");
    ck_assert(getcwd(here, sizeof here) && mkdtemp(folder) && chdir(folder) == 0);
    FILE *f = fopen("page.html", "w");
    ck_assert(f && fputs(mistakes[_i].text, f) >= 0 && fclose(f) == 0);
    snprintf(command, sizeof command, "%s/%s/tools/tmplc out page.html 2>&1", here,
             build ? build : "build");
    FILE *p = popen(command, "r");
    said[fread(said, 1, sizeof said - 1, p)] = 0;
    int code = pclose(p);
    ck_assert(access("out.c", F_OK) != 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert(chdir(here) == 0 && system(command) == 0);
    ck_assert_int_ne(code, 0);
    ck_assert_msg(strstr(said, mistakes[_i].message), "it said: %s", said);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tmplc");
    TCase *tc = tcase_create("tmplc");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, a_hostile_value_is_escaped_in_every_place);
    tcase_add_test(tc, blocks_take_their_ways);
    tcase_add_test(tc, a_layout_surrounds_a_page);
    tcase_add_test(tc, a_full_buffer_is_said_once);
    tcase_add_loop_test(tc, a_mistake_ends_the_build_and_its_line_is_named, 0,
                        (int)USH_COUNT(mistakes));
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
