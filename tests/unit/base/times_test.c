/*
 * How long it took: what is told about times that are known.
 */
#include <check.h>
#include <stdlib.h>

#include "usher/task.h"

#define NOW (1000 * (int64_t)USH_SECOND)

static const struct {
    struct {
        int64_t us, times, ago_s;
    } added[3];
    struct ush_times_told told;
} cases[] = {
    {{{0}}, {0, 0, 0, 0}},
    {{{0, 1}}, {1, 0, 0, 0}},
    {{{3, 1}}, {1, 3, 3, 3}},
    {{{4, 1}}, {1, 4, 4, 4}},
    {{{7, 1}}, {1, 7, 7, 7}},
    {{{8, 1}}, {1, 9, 9, 9}},
    {{{1000, 2}}, {2, 1023, 1023, 1023}},
    {{{1024, 1}}, {1, 1279, 1279, 1279}},
    {{{50000, 1}}, {1, 57343, 57343, 57343}},
    {{{-5, 1}}, {1, 0, 0, 0}},
    {{{INT64_MAX / 1000, 1}}, {1, 134217727, 134217727, 134217727}},
    /* half, most, all */
    {{{2, 50}, {1000, 50}}, {100, 2, 1023, 1023}},
    {{{2, 49}, {1000, 51}}, {100, 1023, 1023, 1023}},
    {{{2, 99}, {1000, 1}}, {100, 2, 2, 1023}},
    {{{2, 98}, {1000, 1}, {50000, 1}}, {100, 2, 1023, 57343}},
    /* the last minute and no more */
    {{{2, 1}, {1000, 1, 50}}, {2, 2, 1023, 1023}},
    {{{2, 1}, {1000, 1, 60}}, {1, 2, 2, 2}},
    {{{2, 1}, {1000, 1, 70}}, {1, 2, 2, 2}},
    {{{1000, 5, 140}}, {0, 0, 0, 0}},
};

START_TEST(times_of_a_minute)
{
    static struct ush_times s;
    for (int k = 2; k >= 0; k--) /* the oldest first */
        for (int64_t i = 0; i < cases[_i].added[k].times; i++)
            ush_times_add(&s, NOW - cases[_i].added[k].ago_s * (int64_t)USH_SECOND,
                          cases[_i].added[k].us * 1000);
    struct ush_times_told told = ush_times_last_minute(&s, NOW);
    ck_assert_uint_eq(told.count, cases[_i].told.count);
    ck_assert_int_eq(told.half_us, cases[_i].told.half_us);
    ck_assert_int_eq(told.most_us, cases[_i].told.most_us);
    ck_assert_int_eq(told.all_us, cases[_i].told.all_us);
}
END_TEST

/* Every time lies in its step, and is told too high by a quarter at most. */
START_TEST(no_time_is_told_too_low)
{
    for (int64_t us = 1; us < 100000000; us += us / 7 + 1) {
        struct ush_times s = {0};
        ush_times_add(&s, NOW, us * 1000);
        int64_t told = ush_times_last_minute(&s, NOW).all_us;
        ck_assert_msg(told >= us && told <= us + us / 4, "%lld us told as %lld", (long long)us,
                      (long long)told);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("times");
    TCase *tc = tcase_create("times");
    tcase_add_loop_test(tc, times_of_a_minute, 0, USH_COUNT(cases));
    tcase_add_test(tc, no_time_is_told_too_low);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
