/*
 * roundtrip_test.c - what goes out comes in again: binary, JSON and CSV, over random records; and
 * the binary reader refuses everything that the writer does not write.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../slow.h"
#include "generate.h"

EXAMPLE_DEFINE

static struct ush_arena arena;
static struct ush_faults faults;
static struct ush_buf out;

static void setup(void)
{
    ush_arena_init(&arena, NULL, 0, 16 << 20);
    ush_faults_init(&faults, &arena);
    ush_buf_init(&out, 1 << 20);
}

static void teardown(void)
{
    ush_arena_fini(&arena);
    ush_buf_fini(&out);
}

static void start_round(int round)
{
    random_state = (uint64_t)round * 7919 + 1;
    ush_arena_reset(&arena);
    ush_buf_reset(&out);
    ush_faults_init(&faults, &arena);
}

static const char *why(void)
{
    static char text[300];
    if (faults.count)
        snprintf(text, sizeof text, "%.*s %.*s in %.200s", USH_PR(faults.list[0].pointer),
                 USH_PR(faults.list[0].msg), out.at);
    return text;
}

START_TEST(binary)
{
    struct sample a, b;
    for (int round = 0, n = fewer(20000); round < n; round++) {
        start_round(round);
        fill(&arena, &sample_record, &a);
        ush_record_pack(&sample_record, &a, &out);
        if (ush_record_unpack(&sample_record, ush_buf_text(&out), &arena, &b) ||
            !same(&sample_record, &a, &b))
            ck_abort_msg("round %d", round);
    }
}
END_TEST

START_TEST(binary_without_the_bits_that_may_be_left_out)
{
    struct sample a, b;
    for (int round = 0, n = fewer(2000); round < n; round++) {
        start_round(round);
        fill(&arena, &sample_record, &a);
        uint64_t full = a.has, keep = 0;
        USH_SET(&a, sample_any), USH_SET(&a, sample_flag), USH_SET(&a, sample_at);
        for (int i = 0; i < 15; i++)
            if (i == sample_any || i == sample_flag || i == sample_at)
                keep |= UINT64_C(1) << i;
        a.has = full & keep;
        ush_record_pack(&sample_record, &a, &out);
        ck_assert_int_eq(ush_record_unpack(&sample_record, ush_buf_text(&out), &arena, &b), 0);
        a.has = full;
        if (!same(&sample_record, &a, &b))
            ck_abort_msg("round %d", round);
    }
}
END_TEST

START_TEST(binary_tells_absent_from_empty)
{
    struct sample a = {.name = USH_T(""), .note = USH_T("")}, b;
    ush_record_pack(&sample_record, &a, &out);
    ck_assert_int_eq(ush_record_unpack(&sample_record, ush_buf_text(&out), &arena, &b), 0);
    ck_assert(b.name.at && b.note.at && !b.kind.at && !b.slug.at);
}
END_TEST

START_TEST(json)
{
    struct sample a, b;
    for (int round = 0, n = fewer(20000); round < n; round++) {
        start_round(round);
        fill(&arena, &sample_record, &a);
        ush_record_encode_json(&sample_record, &a, &out);
        if (strchr(out.at, '<'))
            ck_abort_msg("%s", out.at);
        if (ush_record_decode_json(&sample_record, ush_buf_text(&out), &arena, &b, &faults) ||
            !same(&sample_record, &a, &b))
            ck_abort_msg("round %d: %s", round, why());
    }
}
END_TEST

START_TEST(csv)
{
    struct sample a, b;
    for (int round = 0, n = fewer(20000); round < n; round++) {
        start_round(round);
        fill(&arena, &sample_record, &a);
        ush_record_csv_header(&sample_record, &out);
        ush_record_csv_row(&sample_record, &a, &out);
        struct ush_csv reader;
        struct ush_text *header, *cells;
        size_t columns, count;
        ck_assert_int_eq(ush_csv_open(&reader, ush_buf_text(&out)), 0);
        ck_assert_int_eq(ush_csv_read(&reader, &arena, &header, &columns), 1);
        ck_assert_int_eq(ush_csv_read(&reader, &arena, &cells, &count), 1);
        if (count != columns ||
            ush_record_decode_csv(&sample_record, header, columns, cells, count, &arena, &b,
                                  &faults) ||
            !same(&sample_record, &a, &b))
            ck_abort_msg("round %d: %s", round, why());
        ck_assert_int_eq(ush_csv_read(&reader, &arena, &cells, &count), 0);
    }
}
END_TEST

START_TEST(every_shorter_packet_is_refused)
{
    struct sample a, b;
    for (int round = 0, rounds = fewer(50); round < rounds; round++) {
        start_round(round);
        fill(&arena, &sample_record, &a);
        ush_record_pack(&sample_record, &a, &out);
        for (size_t n = 0; n < out.len; n++) {
            /* In memory of its own size, so that one byte too far is seen. */
            char *exact = malloc(n + !n);
            memcpy(exact, out.at, n);
            int result = ush_record_unpack(&sample_record, (ush_text){exact, n}, &arena, &b);
            free(exact);
            if (result != USH_EPROTO)
                ck_abort_msg("round %d, %zu of %zu bytes: %d", round, n, out.len, result);
        }
        ush_buf_add_byte(&out, 0);
        ck_assert_int_eq(ush_record_unpack(&sample_record, ush_buf_text(&out), &arena, &b),
                         USH_EPROTO);
    }
}
END_TEST

START_TEST(garbage_is_refused_or_means_what_it_says)
{
    struct sample a, b;
    struct ush_buf again;
    ush_buf_init(&again, 1 << 20);
    for (int round = 0, n = fewer(100000); round < n; round++) {
        start_round(round / 16);
        fill(&arena, &sample_record, &a);
        ush_record_pack(&sample_record, &a, &out);
        random_state += (uint64_t)round;
        for (uint32_t k = 1 + next_random(3); k > 0; k--)
            out.at[next_random((uint32_t)out.len)] = (char)next_random(256);
        int result = ush_record_unpack(&sample_record, ush_buf_text(&out), &arena, &b);
        if (result == 0) {
            ush_buf_reset(&again);
            ush_record_pack(&sample_record, &b, &again);
            if (!ush_text_equal(ush_buf_text(&again), ush_buf_text(&out)))
                ck_abort_msg("round %d: read what is not written", round);
        } else if (result != USH_EPROTO) {
            ck_abort_msg("round %d: %d", round, result);
        }
    }
    ush_buf_fini(&again);
}
END_TEST

START_TEST(a_short_packet_cannot_ask_for_much_memory)
{
    /* A list of four billion rows in a few bytes. */
    struct team b;
    uint64_t has = 1;
    uint32_t rows = UINT32_MAX;
    ush_buf_add(&out, (ush_text){(char *)&has, sizeof has});
    ush_buf_add(&out, (ush_text){(char *)&rows, sizeof rows});
    ush_buf_add(&out, (ush_text){(char[64]){0}, 64});
    ck_assert_int_eq(ush_record_unpack(&team_record, ush_buf_text(&out), &arena, &b), USH_EPROTO);
    ck_assert_uint_eq(arena.held_bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("roundtrip");
    TCase *c = tcase_create("roundtrip");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, binary);
    tcase_add_test(c, binary_without_the_bits_that_may_be_left_out);
    tcase_add_test(c, binary_tells_absent_from_empty);
    tcase_add_test(c, json);
    tcase_add_test(c, csv);
    tcase_add_test(c, every_shorter_packet_is_refused);
    tcase_add_test(c, garbage_is_refused_or_means_what_it_says);
    tcase_add_test(c, a_short_packet_cannot_ask_for_much_memory);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
