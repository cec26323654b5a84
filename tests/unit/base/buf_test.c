/*
 * buf_test.c - growth, the limit, and the NUL behind the bytes.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "usher/base.h"

START_TEST(additions_come_out_in_order)
{
    struct ush_buf b;
    ush_buf_init(&b, 1 << 20);
    ck_assert_str_eq(ush_buf_text(&b).at, "");
    ush_buf_add(&b, USH_T("seat "));
    ush_buf_add_i64(&b, -7);
    ush_buf_add_byte(&b, ' ');
    ush_buf_add_i64(&b, INT64_MIN);
    ush_buf_add(&b, USH_NONE);
    ush_buf_printf(&b, " of %03d", 12);
    ck_assert_int_eq(b.error, 0);
    ck_assert_str_eq(b.at, "seat -7 -9223372036854775808 of 012");
    ush_buf_drop(&b, 5);
    ck_assert_str_eq(b.at, "-7 -9223372036854775808 of 012");
    ush_buf_drop(&b, b.len);
    ck_assert_str_eq(b.at, "");
    ush_buf_reset(&b);
    ush_buf_add_i64(&b, 0);
    ck_assert_str_eq(b.at, "0");
    ush_buf_fini(&b);
}
END_TEST

START_TEST(the_limit_is_exact_for_every_size)
{
    for (size_t max = 0; max < 700; max += max < 20 ? 1 : 37) {
        struct ush_buf b;
        ush_buf_init(&b, max);
        for (size_t i = 0; i < max; i++)
            ush_buf_add_byte(&b, (char)('a' + i % 26));
        ck_assert_int_eq(b.error, 0);
        ck_assert_uint_eq(b.len, max);
        for (size_t i = 0; i < max; i++)
            ck_assert_int_eq(b.at[i], (char)('a' + i % 26));
        ush_buf_add_byte(&b, '!');
        ck_assert_int_eq(b.error, USH_ELIMIT);
        ck_assert_uint_eq(b.len, max);
        ush_buf_fini(&b);
    }
}
END_TEST

START_TEST(a_failed_addition_closes_the_buffer)
{
    struct ush_buf b;
    ush_buf_init(&b, 10);
    ush_buf_add(&b, USH_T("12345"));
    ush_buf_add(&b, USH_T("too long a piece"));
    ush_buf_add(&b, USH_T("6"));
    ush_buf_printf(&b, "%d", 7);
    ck_assert_ptr_null(ush_buf_room(&b, 1));
    ck_assert_str_eq(b.at, "12345");
    ck_assert_int_eq(b.error, USH_ELIMIT);
    ush_buf_reset(&b);
    ck_assert_ptr_null(ush_buf_room(&b, SIZE_MAX));
    ush_buf_reset(&b);
    ush_buf_add(&b, USH_T("1234567890"));
    ck_assert_int_eq(b.error, 0);
    ck_assert_str_eq(b.at, "1234567890");
    ush_buf_fini(&b);
}
END_TEST

START_TEST(room_is_committed_by_hand)
{
    struct ush_buf b;
    ush_buf_init(&b, SIZE_MAX);
    for (int i = 0; i < 100; i++) {
        char *room = ush_buf_room(&b, 1000);
        ck_assert_ptr_nonnull(room);
        memset(room, 'r', 1000);
        b.len += 1000;
    }
    ck_assert_uint_eq(b.len, 100000);
    ck_assert_uint_eq(strlen(b.at), 100000);
    ush_buf_fini(&b);
}
END_TEST

START_TEST(errors_have_sentences)
{
    ck_assert_str_eq(ush_error_text(USH_EFULL), "a bounded queue is full");
    ck_assert_str_eq(ush_error_text(-EAGAIN), "Resource temporarily unavailable");
    ck_assert_str_eq(ush_error_text(0), "no error");
    ck_assert_ptr_nonnull(ush_error_text(5));
    ck_assert_ptr_nonnull(ush_error_text(-4000));
    ck_assert_ptr_nonnull(ush_error_text(INT32_MIN));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("buf");
    TCase *c = tcase_create("buf");
    tcase_add_test(c, additions_come_out_in_order);
    tcase_add_test(c, the_limit_is_exact_for_every_size);
    tcase_add_test(c, a_failed_addition_closes_the_buffer);
    tcase_add_test(c, room_is_committed_by_hand);
    tcase_add_test(c, errors_have_sentences);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
