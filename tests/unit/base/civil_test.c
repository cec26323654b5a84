/*
 * civil_test.c - calendar arithmetic against the C library over wide ranges, and the date texts.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../slow.h"
#include "usher/base.h"

static bool same(struct ush_civil a, const struct tm *b)
{
    return a.year == b->tm_year + 1900 && a.month == b->tm_mon + 1 && a.day == b->tm_mday &&
           a.hour == b->tm_hour && a.minute == b->tm_min && a.second == b->tm_sec &&
           a.weekday == b->tm_wday;
}

static void check_instant(int64_t seconds)
{
    time_t t = seconds;
    struct tm utc;
    int64_t back, ms = seconds * 1000 + (seconds & 511);
    if (!gmtime_r(&t, &utc))
        ck_abort_msg("gmtime_r of %lld", (long long)seconds);
    struct ush_civil c = ush_civil_from_ms(ms, 0);
    if (!same(c, &utc) || c.ms != (int)(seconds & 511))
        ck_abort_msg("%lld s", (long long)seconds);
    if (ush_civil_to_ms(&c, 0, &back) || back != ms || timegm(&utc) != t)
        ck_abort_msg("%lld s and back", (long long)seconds);
}

START_TEST(every_day_of_four_thousand_years)
{
    int64_t day = 86400;
    /* A prime, so that every day of the year and of the week is among fewer of them. */
    int step = fewer(400) < 400 ? 397 : 1;
    for (int64_t d = -719528 - 366; d < 719528 * 2; d += step)
        check_instant(d * day + (d & 0xffff));
}
END_TEST

START_TEST(instants_far_away)
{
    uint64_t x = 3;
    int n = fewer(1000000);
    for (int i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        check_instant((int64_t)x / (1 << (i % 13)) / 1100);
    }
}
END_TEST

START_TEST(the_ends_of_time)
{
    for (int i = 0; i < 3; i++) {
        int64_t ends[] = {INT64_MIN + i, INT64_MAX - i}, back;
        for (int k = 0; k < 2; k++) {
            struct ush_civil c = ush_civil_from_ms(ends[k], 0);
            ck_assert_int_eq(ush_civil_to_ms(&c, 0, &back), 0);
            ck_assert_int_eq(back, ends[k]);
            (void)ush_civil_from_ms(ends[k], 330);
            (void)ush_civil_from_ms(ends[k], -330);
            c.year += k ? 1 : -1;
            ck_assert_int_eq(ush_civil_to_ms(&c, 0, &back), -EINVAL);
        }
    }
}
END_TEST

static const struct ush_civil impossible[] = {
    {.year = 2026, .month = 2, .day = 29},
    {.year = 2100, .month = 2, .day = 29},
    {.year = 2024, .month = 2, .day = 30},
    {.year = 2026, .month = 4, .day = 31},
    {.year = 2026, .month = 0, .day = 1},
    {.year = 2026, .month = 13, .day = 1},
    {.year = 2026, .month = 1, .day = 0},
    {.year = 2026, .month = 1, .day = 32},
    {.year = 2026, .month = 1, .day = 1, .hour = 24},
    {.year = 2026, .month = 1, .day = 1, .minute = 60},
    {.year = 2026, .month = 1, .day = 1, .second = 60},
    {.year = 2026, .month = 1, .day = 1, .ms = 1000},
    {.year = 2026, .month = 1, .day = 1, .ms = -1},
    {.year = 2026, .month = 1, .day = 1, .hour = -1},
};

START_TEST(dates_that_do_not_exist)
{
    int64_t ms = 4711;
    ck_assert_int_eq(ush_civil_to_ms(&impossible[_i], 0, &ms), -EINVAL);
    ck_assert_int_eq(ms, 4711);
}
END_TEST

static const struct {
    const char *in;
    int result;
    int offset_min;  /* to format with */
    const char *out; /* NULL: same as in */
} rfc3339[] = {
    {"2026-03-13T12:30:00Z", 0, 0, NULL},
    {"2026-03-13T18:00:00+05:30", 0, 330, NULL},
    {"2026-03-13T18:00:00+05:30", 0, 0, "2026-03-13T12:30:00Z"},
    {"2026-03-13T00:00:00-11:59", 0, -719, NULL},
    {"1969-12-31T23:59:59.999Z", 0, 0, NULL},
    {"2026-03-13T12:30:00.5Z", 0, 0, "2026-03-13T12:30:00.500Z"},
    {"2026-03-13T12:30:00.1239999999999Z", 0, 0, "2026-03-13T12:30:00.123Z"},
    {"2026-03-13t12:30:00z", 0, 0, "2026-03-13T12:30:00Z"},
    {"2024-02-29T00:00:00-00:00", 0, 0, "2024-02-29T00:00:00Z"},
    {"0000-01-01T00:00:00Z", 0, 0, NULL},
    {"9999-12-31T23:59:59.999Z", 0, 0, NULL},
    {"2026-03-13T12:30:00", -EINVAL},
    {"2026-03-13 12:30:00Z", -EINVAL},
    {"2026-03-13T12:30Z", -EINVAL},
    {"2026-03-13", -EINVAL},
    {"2026-02-29T12:30:00Z", -EINVAL},
    {"2026-03-13T24:00:00Z", -EINVAL},
    {"2026-03-13T23:59:60Z", -EINVAL},
    {"2026-03-13T12:30:00.Z", -EINVAL},
    {"2026-03-13T12:30:00,5Z", -EINVAL},
    {"2026-03-13T12:30:00+5:30", -EINVAL},
    {"2026-03-13T12:30:00+0530", -EINVAL},
    {"2026-03-13T12:30:00+24:00", -EINVAL},
    {"2026-03-13T12:30:00+05:60", -EINVAL},
    {"2026-03-13T12:30:00Z ", -EINVAL},
    {" 2026-03-13T12:30:00Z", -EINVAL},
    {"+2026-03-13T12:30:00Z", -EINVAL},
    {"26-03-13T12:30:00Z", -EINVAL},
    {"2026-3-13T12:30:00Z", -EINVAL},
    {"", -EINVAL},
};

START_TEST(rfc_3339)
{
    int64_t ms;
    char out[32];
    ck_assert_int_eq(ush_time_parse(ush_text_of(rfc3339[_i].in), &ms), rfc3339[_i].result);
    if (rfc3339[_i].result)
        return;
    ush_time_format(ms, rfc3339[_i].offset_min, out);
    ck_assert_str_eq(out, rfc3339[_i].out ? rfc3339[_i].out : rfc3339[_i].in);
}
END_TEST

START_TEST(years_beyond_four_digits_are_written_as_the_nearest)
{
    char out[32];
    ush_time_format(INT64_MAX, 1439, out);
    ck_assert_str_eq(out, "9999-12-31T23:59:59.999+23:59");
    ush_time_format(INT64_MIN, -1439, out);
    ck_assert_str_eq(out, "0000-01-01T00:00:00-23:59");
    ush_time_format_http(INT64_MAX, out);
    ck_assert_str_eq(out, "Fri, 31 Dec 9999 23:59:59 GMT");
    ush_time_format_http(INT64_MIN, out);
    ck_assert_str_eq(out, "Sat, 01 Jan 0000 00:00:00 GMT");
}
END_TEST

static const struct {
    const char *in;
    int64_t seconds; /* -1: refused */
} http[] = {
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},
    {"Wed Nov 16 08:49:37 1994", 784975777},
    {"Thursday, 01-Jan-70 00:00:00 GMT", 0},
    {"Thursday, 01-Jan-26 00:00:00 GMT", 1767225600},
    {"Sun, 06 Nov 1994 08:49:37 UTC", -1},
    {"Sun, 06 Nov 1994 08:49:37", -1},
    {"Sun, 06 Nov 1994 08:49:37 GMT ", -1},
    {"Mon, 06 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 31 Nov 1994 08:49:37 GMT", -1},
    {"Sun, 6 Nov 1994 08:49:37 GMT", -1},
    {"sun, 06 nov 1994 08:49:37 GMT", -1},
    {"Sun Nov 6 08:49:37 1994", -1},
    {"", -1},
};

START_TEST(http_dates)
{
    int64_t ms = -4711;
    int result = ush_time_parse_http(ush_text_of(http[_i].in), &ms);
    ck_assert_int_eq(result, http[_i].seconds < 0 ? -EINVAL : 0);
    ck_assert_int_eq(ms, http[_i].seconds < 0 ? -4711 : http[_i].seconds * 1000);
}
END_TEST

START_TEST(http_dates_read_back)
{
    for (int64_t s = -3000000000; s < 9000000000; s += 999983) {
        char out[30];
        int64_t ms;
        ush_time_format_http(s * 1000, out);
        if (ush_time_parse_http(ush_text_of(out), &ms) || ms != s * 1000)
            ck_abort_msg("%s", out);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("civil");
    TCase *c = tcase_create("civil");
    tcase_add_test(c, every_day_of_four_thousand_years);
    tcase_add_test(c, instants_far_away);
    tcase_add_test(c, the_ends_of_time);
    tcase_add_loop_test(c, dates_that_do_not_exist, 0, USH_COUNT(impossible));
    tcase_add_loop_test(c, rfc_3339, 0, USH_COUNT(rfc3339));
    tcase_add_test(c, years_beyond_four_digits_are_written_as_the_nearest);
    tcase_add_loop_test(c, http_dates, 0, USH_COUNT(http));
    tcase_add_test(c, http_dates_read_back);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
