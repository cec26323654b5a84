/*
 * csv_test.c - files as spreadsheets write them, the guard against formulas, rows into records.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "example.h"

EXAMPLE_DEFINE

static struct ush_arena arena;
static struct ush_faults faults;
static struct ush_buf out;

static void setup(void)
{
    ush_arena_init(&arena, NULL, 0, 1 << 20);
    ush_faults_init(&faults, &arena);
    ush_buf_init(&out, 1 << 20);
}

static void teardown(void)
{
    ush_arena_fini(&arena);
    ush_buf_fini(&out);
}

static const struct {
    const char *file;
    const char *rows; /* "line:[cell][cell]" and, at a fault, "!" */
} files[] = {
    {"", ""},
    {"\n\r\n\n", ""},
    {"a,b\r\n1,2\r\n", "1:[a][b]2:[1][2]"},
    {"a,b\n1,2", "1:[a][b]2:[1][2]"},
    {"\xef\xbb\xbf"
     "a;b\n1;2,5\n",
     "1:[a][b]2:[1][2,5]"},
    {"a\tb\n1\t2\n", "1:[a][b]2:[1][2]"},
    {"a\n1\n", "1:[a]2:[1]"},
    {"\"a;b\",c\n", "1:[a;b][c]"}, /* a delimiter in quotes does not count */
    {"a,b\n\n\n1,2\n", "1:[a][b]4:[1][2]"},
    {"a,b\n,,,\n \t,\n1,2\n", "1:[a][b]4:[1][2]"},
    {"a,\"x \"\"y\"\" z\"\n", "1:[a][x \"y\" z]"},
    {"\"\",\"\"\"\"\n", "1:[][\"]"},
    {"a,\"two\r\nlines\"\nb,c\n", "1:[a][two\r\nlines]3:[b][c]"},
    {"a,b,\n1,,\n", "1:[a][b][]2:[1][][]"},
    {"a b, c \n", "1:[a b][ c ]"},
    {"a\"b,c\n", "1:[a\"b][c]"}, /* a quote inside a bare cell is a quote */
    {"a,\"b\n", "!"},
    {"a,\"b\"c\n", "!"},
    {"a,b\n\"1\n2\n3,4\n", "1:[a][b]!"},
    {"\"", "!"},
    {"\"\"", ""},
    {"a\rb\n", "1:[a\rb]"},
    {"a\r", "1:[a]"},
};

START_TEST(reading)
{
    struct ush_csv c;
    struct ush_text *cells;
    size_t count;
    /* In memory of its own size, so that one byte too far is seen. */
    size_t n = strlen(files[_i].file);
    char *exact = malloc(n + !n);
    memcpy(exact, files[_i].file, n);
    ck_assert_int_eq(ush_csv_open(&c, (ush_text){exact, n}), 0);
    int result;
    while ((result = ush_csv_read(&c, &arena, &cells, &count)) > 0) {
        ush_buf_printf(&out, "%zu:", c.line);
        for (size_t i = 0; i < count; i++)
            ush_buf_printf(&out, "[%.*s]", USH_PR(cells[i]));
    }
    if (result == USH_EPROTO)
        ush_buf_add_byte(&out, '!');
    else
        ck_assert_int_eq(result, 0);
    ck_assert_str_eq(ush_buf_text(&out).at, files[_i].rows);
    free(exact);
}
END_TEST

START_TEST(only_utf8_is_read)
{
    struct ush_csv c;
    ck_assert_int_eq(ush_csv_open(&c, USH_T("a,\xff\n")), USH_EINVAL);
    ck_assert_int_eq(ush_csv_open(&c, USH_T("\xff\xfe"
                                            "a\0")),
                     USH_EINVAL);
}
END_TEST

static const char *const guards[][2] = {
    {"Ann", "Ann"},
    {"=1+1", "\"'=1+1\""},
    {"+91 98", "\"'+91 98\""},
    {"-x", "\"'-x\""},
    {"@SUM(A1)", "\"'@SUM(A1)\""},
    {"＝1", "\"'＝1\""},
    {"＋1", "\"'＋1\""},
    {"－1", "\"'－1\""},
    {"＠x", "\"'＠x\""},
    {"'=1", "\"''=1\""}, /* so that reading takes one apostrophe off */
    {"'Ann", "'Ann"},
    {"a=1", "a=1"},
    {"a,b", "\"a,b\""},
    {"a;b", "\"a;b\""},
    {"say \"hi\"", "\"say \"\"hi\"\"\""},
    {"two\nlines", "\"two\nlines\""},
    {"<b>&amp", "<b>&amp"},
};

START_TEST(writing_guards_against_formulas)
{
    struct member m = {.name = ush_text_of(guards[_i][0])}, back;
    ush_record_csv_row(&member_record, &m, &out);
    char expect[100];
    snprintf(expect, sizeof expect, "%s,,\r\n", guards[_i][1]);
    ck_assert_str_eq(out.at, expect);

    struct ush_csv c;
    struct ush_text *cells, header[] = {USH_T("name"), USH_T("email"), USH_T("grade")};
    size_t count;
    ck_assert_int_eq(ush_csv_open(&c, ush_buf_text(&out)), 0);
    c.delimiter = ',';
    ck_assert_int_eq(ush_csv_read(&c, &arena, &cells, &count), 1);
    ck_assert_uint_eq(count, 3);
    int result =
        ush_record_decode_csv(&member_record, header, 3, cells, count, &arena, &back, &faults);
    ck_assert_int_eq(result, strchr(guards[_i][0], '\n') ? USH_EINVAL : 0);
    ck_assert_str_eq(back.name.at, guards[_i][0]);
}
END_TEST

START_TEST(tabs_and_line_ends_in_front_are_guarded)
{
    static const char *const first[] = {"\tx", "\rx", "\nx"};
    for (size_t i = 0; i < USH_COUNT(first); i++) {
        struct member m = {.name = ush_text_of(first[i])};
        ush_buf_reset(&out);
        ush_record_csv_row(&member_record, &m, &out);
        ck_assert_int_eq(out.at[1], '\'');
    }
}
END_TEST

START_TEST(numbers_are_numbers)
{
    struct sample s = {.name = USH_T("x"), .kind = USH_T("solo"), .count = -5, .consent = true};
    s.at = 1500;
    USH_SET(&s, sample_at);
    s.key = (ush_text){"\xfb\xff", 2};
    s.answers = USH_T("-1");
    ush_record_csv_header(&sample_record, &out);
    ush_record_csv_row(&sample_record, &s, &out);
    ck_assert_str_eq(out.at,
                     "name,note,kind,slug,phone,code,count,any,consent,flag,at,key,answers,"
                     "members,leader\r\n"
                     "x,,solo,,,,-5,,true,,1970-01-01T00:00:01.500Z,\"'+/8=\",\"'-1\",,\r\n");
}
END_TEST

START_TEST(rows_by_their_header)
{
    struct ush_text header[] = {USH_T(" Name "), USH_T("GRADE"), USH_T("_note")};
    struct ush_text cells[] = {USH_T("Ann"), USH_T(" 9 "), USH_T("ignored"), USH_T(" "),
                               USH_T("x")};
    struct member m;
    ck_assert_int_eq(
        ush_record_decode_csv(&member_record, header, 3, cells, 2, &arena, &m, &faults), 0);
    ck_assert_int_eq(m.grade, 9);
    ck_assert_int_eq(
        ush_record_decode_csv(&member_record, header, 3, cells, 4, &arena, &m, &faults), 0);
    ck_assert_int_eq(
        ush_record_decode_csv(&member_record, header, 3, cells, 5, &arena, &m, &faults),
        USH_EINVAL);
    ck_assert_str_eq(faults.list[0].type, "too_long");
    ush_faults_init(&faults, &arena);
    struct ush_text wrong[] = {USH_T("name"), USH_T("Name"), USH_T("zip")};
    ck_assert_int_eq(ush_record_decode_csv(&member_record, wrong, 3, cells, 3, &arena, &m, &faults),
                     USH_EINVAL);
    ck_assert_str_eq(faults.list[0].type, "duplicate");
    ck_assert_ptr_nonnull(ush_faults_of(&faults, "zip"));
}
END_TEST

START_TEST(lists_in_cells_are_json)
{
    struct ush_text header[] = {USH_T("members"), USH_T("leader")};
    struct ush_text good[] = {USH_T("[{\"name\":\"Ann\"}]"), USH_T("{\"name\":\"Ben\"}")};
    struct ush_text bad[] = {USH_T("[{\"name\":\"Ann\",\"grade\":99}]"), USH_T("Ben")};
    struct team t;
    ck_assert_int_eq(ush_record_decode_csv(&team_record, header, 2, good, 2, &arena, &t, &faults),
                     0);
    ck_assert_uint_eq(t.members.count, 1);
    ck_assert_int_eq(ush_record_decode_csv(&team_record, header, 2, bad, 2, &arena, &t, &faults),
                     USH_EINVAL);
    ck_assert_ptr_nonnull(ush_faults_of(&faults, "members/0/grade"));
    ck_assert_str_eq(ush_faults_of(&faults, "leader")->type, "json_invalid");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("csv");
    TCase *c = tcase_create("csv");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, reading, 0, USH_COUNT(files));
    tcase_add_test(c, only_utf8_is_read);
    tcase_add_loop_test(c, writing_guards_against_formulas, 0, USH_COUNT(guards));
    tcase_add_test(c, tabs_and_line_ends_in_front_are_guarded);
    tcase_add_test(c, numbers_are_numbers);
    tcase_add_test(c, rows_by_their_header);
    tcase_add_test(c, lists_in_cells_are_json);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
