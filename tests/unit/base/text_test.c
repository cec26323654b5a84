/*
 * text_test.c - slices, numbers, and UTF-8 against an independent description of it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "usher/base.h"

static bool is(ush_text t, const char *expect)
{
    return expect ? t.at && ush_text_equal(t, ush_text_of(expect)) : !t.at && t.len == 0;
}

START_TEST(comparing)
{
    ck_assert(ush_text_equal(USH_T("a"), USH_T("a")));
    ck_assert(ush_text_equal(USH_T(""), USH_NONE));
    ck_assert(!ush_text_equal(USH_T("a"), USH_T("ab")));
    ck_assert(ush_text_equal_nocase(USH_T("Content-TYPE"), USH_T("content-type")));
    ck_assert(!ush_text_equal_nocase(USH_T("[a"), USH_T("{a"))); /* differ in the case bit only */
    ck_assert(!ush_text_equal_nocase(USH_T("@"), USH_T("`")));
    ck_assert(ush_text_starts(USH_T("/api/v1"), USH_T("/api")));
    ck_assert(ush_text_starts(USH_NONE, USH_NONE));
    ck_assert(!ush_text_starts(USH_T("/ap"), USH_T("/api")));
    ck_assert(ush_text_ends(USH_T("a.csv"), USH_T(".csv")));
    ck_assert(ush_text_ends(USH_T("a"), USH_T("")));
    ck_assert(!ush_text_ends(USH_T("csv"), USH_T(".csv")));
}
END_TEST

START_TEST(trimming_and_cutting)
{
    ck_assert(is(ush_text_trim(USH_T(" \t\r\n a b \n")), "a b"));
    ck_assert(is(ush_text_trim(USH_T(" \t ")), ""));
    ck_assert(is(ush_text_trim(USH_NONE), NULL));
    ush_text rest = USH_T("a,,b");
    ck_assert(is(ush_text_cut(&rest, ','), "a"));
    ck_assert(is(ush_text_cut(&rest, ','), ""));
    ck_assert(is(ush_text_cut(&rest, ','), "b"));
    ck_assert(is(rest, NULL));
    rest = USH_T("a,");
    ck_assert(is(ush_text_cut(&rest, ','), "a"));
    ck_assert(is(rest, ""));
    ck_assert(is(ush_text_cut(&rest, ','), ""));
    ck_assert(is(rest, NULL));
    ck_assert_int_eq(ush_text_find(USH_T("abc"), 'c'), 2);
    ck_assert_int_eq(ush_text_find(USH_T("abc"), 'd'), -1);
    ck_assert_int_eq(ush_text_find(USH_NONE, 'd'), -1);
}
END_TEST

static const struct {
    const char *text;
    int result;
    int64_t value;
} numbers[] = {
    {"0", 0, 0},
    {"-0", 0, 0},
    {"007", 0, 7},
    {"-42", 0, -42},
    {"9223372036854775807", 0, INT64_MAX},
    {"-9223372036854775808", 0, INT64_MIN},
    {"9223372036854775808", -ERANGE, 0},
    {"-9223372036854775809", -ERANGE, 0},
    {"99999999999999999999999999", -ERANGE, 0},
    {"99999999999999999999999999x", -EINVAL, 0},
    {"", -EINVAL, 0},
    {"-", -EINVAL, 0},
    {"+1", -EINVAL, 0},
    {"--1", -EINVAL, 0},
    {" 1", -EINVAL, 0},
    {"1 ", -EINVAL, 0},
    {"1e3", -EINVAL, 0},
    {"0x10", -EINVAL, 0},
};

START_TEST(decimal_numbers)
{
    int64_t value = 4711;
    ck_assert_int_eq(ush_text_i64(ush_text_of(numbers[_i].text), &value), numbers[_i].result);
    ck_assert_int_eq(value, numbers[_i].result ? 4711 : numbers[_i].value);
}
END_TEST

START_TEST(every_code_point_survives)
{
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char bytes[4];
        size_t n = ush_utf8_put(bytes, c);
        ush_text t = {bytes, n};
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        if (ush_utf8_valid(t) == surrogate)
            ck_abort_msg("U+%04X", c);
        if (surrogate)
            continue;
        if (ush_utf8_count(t) != 1 || ush_utf8_next(&t) != (int32_t)c || t.len != 0)
            ck_abort_msg("U+%04X", c);
    }
    ush_text none = USH_NONE;
    ck_assert_int_eq(ush_utf8_next(&none), -1);
}
END_TEST

/* RFC 3629 by its meaning: decode by lead bits, then ask whether this was the shortest form. */
static bool naive_valid(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t more = p[i] < 0x80             ? 0
                      : (p[i] & 0xe0) == 0xc0 ? 1
                      : (p[i] & 0xf0) == 0xe0 ? 2
                      : (p[i] & 0xf8) == 0xf0 ? 3
                                              : 9;
        if (more == 9 || i + more >= n)
            return false;
        uint32_t c = more == 0 ? p[i] : p[i] & (0x3fu >> more);
        for (size_t k = 1; k <= more; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (c < least[more] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        i += more + 1;
    }
    return true;
}

START_TEST(malformed_bytes_are_found)
{
    /* All of one, two and three bytes, and four that begin with a lead of four. */
    for (uint32_t v = 0; v < 1u << 24; v++) {
        unsigned char p[4] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8), (unsigned char)v};
        size_t n = v < 1 << 8 ? 1 : v < 1 << 16 ? 2 : 3;
        const unsigned char *from = p + 3 - n;
        if (ush_utf8_valid((ush_text){(const char *)from, n}) != naive_valid(from, n))
            ck_abort_msg("%06x", v);
    }
    for (uint32_t v = 0; v < 1u << 19; v++) {
        unsigned char p[4] = {(unsigned char)(0xf0 | v >> 16), (unsigned char)(v >> 8),
                              (unsigned char)(0x80 | (v & 0xff) >> 1),
                              (unsigned char)(v & 1 ? 0x80 : 0x7f)};
        if (ush_utf8_valid((ush_text){(const char *)p, 4}) != naive_valid(p, 4))
            ck_abort_msg("%02x %02x %02x %02x", p[0], p[1], p[2], p[3]);
    }
}
END_TEST

START_TEST(a_fault_is_found_at_every_place)
{
    for (size_t length = 0; length < 40; length++)
        for (size_t at = 0; at < length; at++) {
            char bytes[40];
            memset(bytes, 'a', sizeof bytes);
            ck_assert(ush_utf8_valid((ush_text){bytes, length}));
            bytes[at] = (char)0xc3;
            ck_assert(!ush_utf8_valid((ush_text){bytes, length}));
            if (at + 1 < length) {
                bytes[at + 1] = (char)0xa9;
                ck_assert(ush_utf8_valid((ush_text){bytes, length}));
                ck_assert_uint_eq(ush_utf8_count((ush_text){bytes, length}), length - 1);
            }
        }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("text");
    TCase *c = tcase_create("text");
    tcase_add_test(c, comparing);
    tcase_add_test(c, trimming_and_cutting);
    tcase_add_loop_test(c, decimal_numbers, 0, USH_COUNT(numbers));
    tcase_add_test(c, every_code_point_survives);
    tcase_add_test(c, malformed_bytes_are_found);
    tcase_add_test(c, a_fault_is_found_at_every_place);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
