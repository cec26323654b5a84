/*
 * tools/embed: the files in tests/unit/tools/embed as they arrive in a program, and the mistakes
 * that end a build, each with a message that names the file.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "embed/assets.h"
#include "embed/migrations.h"
#include "embed/sql.h"

START_TEST(a_statement_loses_its_comment_and_its_semicolon)
{
    ck_assert_str_eq(sql_both.name, "both");
    ck_assert_str_eq(sql_both.text, "select 'a \"quote\", a \\ and a ?"
                                    "?/ -- no comment'\n"
                                    "  from t -- this comment stays\n"
                                    " where id = $1");
    ck_assert_ptr_null(sql_both.postgresql);
    ck_assert_str_eq(sql_two.name, "two");
    ck_assert_str_eq(sql_two.text, "insert into t default values");
    ck_assert_str_eq(sql_two.postgresql, "insert into t values (default)");
}
END_TEST

START_TEST(a_migration_is_embedded_as_it_is)
{
    ck_assert_int_eq(MIGRATION_COUNT, 2);
    ck_assert_int_eq(migrations[0].number, 1);
    ck_assert_str_eq(migrations[0].name, "first");
    ck_assert_str_eq(migrations[0].sqlite, "create table t (id integer);\n-- in the text\n");
    ck_assert_str_eq(migrations[0].postgresql, "create table t (id bigint);\n");
    ck_assert_int_eq(migrations[1].number, 2);
    ck_assert_str_eq(migrations[1].name, "second");
}
END_TEST

START_TEST(an_asset_has_its_bytes_and_a_name_that_changes_with_them)
{
    ck_assert_int_eq(ASSET_COUNT, 2);
    const struct ush_asset *a = &asset_style_sheet_css;
    char line[] = "p { color: red }\n";
    ck_assert_uint_eq(a->plain.len, 40 * strlen(line));
    ck_assert(memcmp(a->plain.at, line, strlen(line)) == 0);
    unsigned hash;
    int end = 0;
    sscanf(a->path, "/assets/style-sheet.%8x.css%n", &hash, &end);
    ck_assert_int_eq(end, (int)strlen(a->path));
    ck_assert_str_eq(a->content_type, "text/css; charset=utf-8");
    ck_assert(a->is_hashed);
    ck_assert(strlen(a->etag) == 18 && a->etag[0] == '"' && a->etag[17] == '"');

    char plain[1024];
    z_stream z = {.next_in = (unsigned char *)a->gzip.at,
                  .avail_in = (unsigned)a->gzip.len,
                  .next_out = (unsigned char *)plain,
                  .avail_out = sizeof plain};
    ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
    ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    ck_assert(ush_text_equal((ush_text){plain, z.total_out}, a->plain));
    inflateEnd(&z);
}
END_TEST

START_TEST(an_asset_in_root_keeps_its_name)
{
    const struct ush_asset *a = &asset_robots_txt;
    ck_assert_str_eq(a->path, "/robots.txt");
    ck_assert(!a->is_hashed);
    ck_assert(!a->gzip.at); /* it would not be smaller */
    ck_assert(ush_text_equal(a->plain, USH_T("User-agent: *\n")));
    ck_assert_ptr_eq(assets[0], &asset_robots_txt);
    ck_assert_ptr_eq(assets[1], &asset_style_sheet_css);
}
END_TEST

static const struct {
    const char *kind;
    const char *files[3][2]; /* path, text */
    const char *message;     /* a part of it */
} mistakes[] = {
    {"sql", {{"a.txt", "select 1"}}, "a.txt: its name does not end in .sql"},
    {"sql", {{"A.sql", "select 1"}}, "A.sql: \"A\" is no C name"},
    {"sql", {{"a-b.sql", "select 1"}}, "\"a-b\" is no C name"},
    {"sql", {{"a.mysql.sql", "select 1"}}, "\"a.mysql\" is no C name"},
    {"sql", {{"a.sql", "-- nothing\n\n"}}, "a.sql: there is no statement in it"},
    {"sql", {{"a.sql", " ; \n"}}, "a.sql: there is no statement in it"},
    {"sql", {{"a.sqlite.sql", "select 1"}}, "a.sqlite.sql: a.postgresql.sql is missing"},
    {"sql", {{"a.postgresql.sql", "select 1"}}, "a.sqlite.sql is missing"},
    {"sql",
     {{"a.sql", "select 1"}, {"a.sqlite.sql", "select 1"}, {"a.postgresql.sql", "select 1"}},
     "is the same statement for one database"},
    {"sql", {{"x/a.sql", "select 1"}, {"y/a.sql", "select 1"}}, "x/a.sql is the same statement"},
    {"migrations", {{"sqlite/1_a.sql", "x"}}, "a migration is called NNNN_name.sql"},
    {"migrations", {{"sqlite/0001-a.sql", "x"}}, "a migration is called NNNN_name.sql"},
    {"migrations", {{"sqlite/0000_a.sql", "x"}}, "numbers begin at 0001"},
    {"migrations", {{"mysql/0001_a.sql", "x"}}, "a folder sqlite or postgresql"},
    {"migrations",
     {{"sqlite/0001_a.sql", "x"}, {"sqlite/0001_b.sql", "x"}},
     "sqlite/0001_a.sql has the same number"},
    {"migrations",
     {{"sqlite/0001_a.sql", "x"}, {"postgresql/0001_b.sql", "x"}},
     "has the same number and another name"},
    {"migrations",
     {{"sqlite/0001_a.sql", "x"}, {"sqlite/0002_b.sql", "x"}, {"postgresql/0001_a.sql", "x"}},
     "0002_b.sql: its counterpart for PostgreSQL is missing"},
    {"assets", {{"a.exe", "x"}}, "a.exe: no content type is known"},
    {"assets", {{"a", "x"}}, "a: no content type is known"},
    {"nonsense", {{"a", "x"}}, "usage: embed"},
};

/* Runs the tool in a new folder; what it said. *ret_code is its exit code. */
static const char *run(int i, int *ret_code)
{
    static char said[4096];
    char here[4096], folder[] = "/tmp/embed-XXXXXX", command[16384];
    const char *build = getenv("TESTED_BUILD");
    ck_assert(getcwd(here, sizeof here) && mkdtemp(folder) && chdir(folder) == 0);
    int n = snprintf(command, sizeof command, "%s/%s/tools/embed %s out", here,
                     build ? build : "build", mistakes[i].kind);
    for (int k = 0; k < 3 && mistakes[i].files[k][0]; k++) {
        char path[64], *slash;
        snprintf(path, sizeof path, "%s", mistakes[i].files[k][0]);
        n += snprintf(command + n, sizeof command - (size_t)n, " %s", path);
        if ((slash = strchr(path, '/'))) {
            *slash = 0;
            mkdir(path, 0700);
            *slash = '/';
        }
        FILE *f = fopen(path, "w");
        ck_assert(f && fputs(mistakes[i].files[k][1], f) >= 0 && fclose(f) == 0);
    }
    strcat(command, " 2>&1");
    FILE *p = popen(command, "r");
    said[fread(said, 1, sizeof said - 1, p)] = 0;
    *ret_code = pclose(p);
    ck_assert(access("out.c", F_OK) != 0);
    snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert(chdir(here) == 0 && system(command) == 0);
    return said;
}

START_TEST(a_mistake_ends_the_build_and_is_named)
{
    int code;
    const char *said = run(_i, &code);
    ck_assert_int_ne(code, 0);
    ck_assert_msg(strstr(said, mistakes[_i].message), "it said: %s", said);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("embed");
    TCase *tc = tcase_create("embed");
    tcase_add_test(tc, a_statement_loses_its_comment_and_its_semicolon);
    tcase_add_test(tc, a_migration_is_embedded_as_it_is);
    tcase_add_test(tc, an_asset_has_its_bytes_and_a_name_that_changes_with_them);
    tcase_add_test(tc, an_asset_in_root_keeps_its_name);
    tcase_add_loop_test(tc, a_mistake_ends_the_build_and_is_named, 0, (int)USH_COUNT(mistakes));
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
