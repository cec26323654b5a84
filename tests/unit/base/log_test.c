/*
 * log_test.c - a log line is one line whatever it is given.
 */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include <jansson.h>

#include "usher/base.h"

static int pipe_fds[2];
static char got[16384];

static void begin(bool json, enum ush_log_level level)
{
    ck_assert_int_eq(pipe(pipe_fds), 0);
    ush_log_init(&(struct ush_log_options){
        .fd = pipe_fds[1], .level = level, .json = json, .role = "web 2"});
}

/* What one write put into the pipe. */
static size_t take(void)
{
    ssize_t n = read(pipe_fds[0], got, sizeof got - 1);
    ck_assert_int_gt(n, 0);
    got[n] = 0;
    return (size_t)n;
}

START_TEST(a_line_for_people)
{
    begin(false, USH_LOG_INFO);
    ush_info("worker.start", "listens on %s", "127.0.0.1:8080");
    take();
    char expect[100];
    snprintf(expect, sizeof expect, "info  web 2[%d] worker.start: listens on 127.0.0.1:8080\n",
             (int)getpid());
    ck_assert_str_eq(got + 25, expect);
    ck_assert_int_eq(got[4], '-');
    ck_assert_int_eq(got[23], 'Z');
}
END_TEST

START_TEST(levels_above_are_dropped)
{
    begin(false, USH_LOG_WARN);
    ush_debug("a", "x");
    ush_info("b", "x");
    ush_warn("c", "x");
    ush_error("d", "x");
    take();
    ck_assert_ptr_nonnull(strstr(got, " c: x\n"));
    ck_assert_ptr_nonnull(strstr(got, " d: x\n"));
    ck_assert_ptr_null(strstr(got, " b: x\n"));
}
END_TEST

static const char *const nasty[] = {
    "two\nlines",
    "bell\a and \x1b[31mred",
    "quote \" and \\ back",
    "broken \xff\xc3 text",
    "c1 \xc2\x9b",
    "fine é 😀",
    "",
};

START_TEST(a_client_cannot_forge_a_line)
{
    for (int json = 0; json < 2; json++) {
        begin(json, USH_LOG_INFO);
        ush_info("x.y", "%s", nasty[_i]);
        size_t n = take();
        for (size_t i = 0; i + 1 < n; i++)
            ck_assert((unsigned char)got[i] >= 0x20 && got[i] != 0x7f);
        ck_assert_int_eq(got[n - 1], '\n');
        ck_assert(ush_utf8_valid((ush_text){got, n}));
        if (!json)
            continue;
        json_t *line = json_loads(got, JSON_REJECT_DUPLICATES, NULL);
        ck_assert_ptr_nonnull(line);
        ck_assert_str_eq(json_string_value(json_object_get(line, "level")), "info");
        ck_assert_str_eq(json_string_value(json_object_get(line, "event")), "x.y");
        ck_assert_int_eq(json_integer_value(json_object_get(line, "pid")), getpid());
        if (ush_utf8_valid(ush_text_of(nasty[_i])))
            ck_assert_str_eq(json_string_value(json_object_get(line, "message")), nasty[_i]);
        json_decref(line);
    }
}
END_TEST

START_TEST(a_long_line_is_cut_and_still_whole)
{
    static const char *const fill[] = {"a", "\n", "😀", "\"", "\xff"};
    for (size_t f = 0; f < USH_COUNT(fill); f++) {
        static char text[9000];
        text[0] = 0;
        for (int i = 0; i < 2000; i++)
            strcat(text, fill[f]);
        begin(true, USH_LOG_INFO);
        ush_info("long", "%s", text);
        size_t n = take();
        ck_assert_uint_le(n, 2048);
        json_t *line = json_loads(got, 0, NULL);
        ck_assert_ptr_nonnull(line);
        json_decref(line);
    }
}
END_TEST

START_TEST(a_closed_descriptor_harms_nobody)
{
    begin(false, USH_LOG_INFO);
    close(pipe_fds[1]);
    ush_info("x", "lost");
    ush_log_set_fd(2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *c = tcase_create("log");
    tcase_add_test(c, a_line_for_people);
    tcase_add_test(c, levels_above_are_dropped);
    tcase_add_loop_test(c, a_client_cannot_forge_a_line, 0, USH_COUNT(nasty));
    tcase_add_test(c, a_long_line_is_cut_and_still_whole);
    tcase_add_test(c, a_closed_descriptor_harms_nobody);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
