/*
 * questions_test.c - lines of questions and lines of answers.
 */
#include <check.h>

#include "domain/questions.h"

#define ck_assert_text_eq(t, s)                                                                    \
    ck_assert_msg(ush_text_equal((t), ush_text_of(s)), "%.*s is not %s", USH_PR(t), (s))

static struct ush_arena arena;

static void open_arena(void)
{
    ush_arena_init(&arena, NULL, 0, 1 << 20);
}

static void close_arena(void)
{
    ush_arena_fini(&arena);
}

static const struct {
    const char *line, *text, *choices; /* joined by ',' */
    bool is_optional;
} lines[] = {
    {"Name of your robot", "Name of your robot", "", false},
    {"  Allergies (optional) ", "Allergies", "", true},
    {"T-shirt size: S | M | L", "T-shirt size", "S,M,L", false},
    {"Meal: veg|non-veg (optional)", "Meal", "veg,non-veg", true},
    {"Round 2: which day: Sat | Sun", "Round 2: which day", "Sat,Sun", false},
    {"Time 10:30 or 11:30?", "Time 10:30 or 11:30?", "", false},
    {"Note: bring a laptop", "Note: bring a laptop", "", false},
    {"आकार: छोटा | बड़ा", "आकार", "छोटा,बड़ा", false},
    {"Size: | S || M |", "Size", "S,M", false},
};

START_TEST(a_line_is_a_question)
{
    struct ush_rows rows;
    ck_assert_int_eq(questions_parse(ush_text_of(lines[_i].line), &arena, &rows, NULL), 0);
    ck_assert_uint_eq(rows.count, 1);
    const struct question *q = rows.at;
    struct ush_buf choices;
    ush_buf_init(&choices, 1000);
    for (size_t i = 0; i < q->choice_count; i++)
        ush_buf_printf(&choices, "%s%.*s", i ? "," : "", USH_PR(q->choices[i]));
    ck_assert_text_eq(q->text, lines[_i].text);
    ck_assert_text_eq(ush_buf_text(&choices), lines[_i].choices);
    ck_assert_int_eq(q->is_optional, lines[_i].is_optional);
    ush_buf_fini(&choices);
}
END_TEST

static const struct {
    const char *lines, *problem;
} bad[] = {
    {"Size: M |", "A single choice is none; write at least two"},
    {": S | M", "A line has choices and no question"},
    {"a\nb\n\na", "A question is asked twice"},
    {"1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11", "An event asks at most 10 questions"},
    {"n: 1|2|3|4|5|6|7|8|9|10|11|12|13|14|15|16|17|18|19|20|21",
     "A question has at most 20 choices"},
};

START_TEST(what_is_wrong_is_said)
{
    struct ush_rows rows;
    const char *problem;
    ck_assert_int_eq(questions_parse(ush_text_of(bad[_i].lines), &arena, &rows, &problem),
                     USH_EINVAL);
    ck_assert_str_eq(problem, bad[_i].problem);
}
END_TEST

START_TEST(answers_are_found_by_their_question)
{
    const ush_text stored = USH_T("Size: M\nSize of hat: 57\nMeal: veg: no onions");
    ck_assert_text_eq(answer_kept(stored, USH_T("Size")), "M");
    ck_assert_text_eq(answer_kept(stored, USH_T("Size of hat")), "57");
    ck_assert_text_eq(answer_kept(stored, USH_T("Meal")), "veg: no onions");
    ck_assert_ptr_null(answer_kept(stored, USH_T("Hat")).at);
    ck_assert_ptr_null(answer_kept(USH_NONE, USH_T("Size")).at);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("questions");
    TCase *c = tcase_create("questions");
    tcase_add_checked_fixture(c, open_arena, close_arena);
    tcase_add_loop_test(c, a_line_is_a_question, 0, USH_COUNT(lines));
    tcase_add_loop_test(c, what_is_wrong_is_said, 0, USH_COUNT(bad));
    tcase_add_test(c, answers_are_found_by_their_question);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
