/*
 * map_test.c - the map against a naive model under random work, and the hash's spread.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "usher/base.h"

enum { KEYS = 600 };

static uint64_t random_state;
static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static void compare(const struct ush_map *m, char names[][32], void *const model[])
{
    size_t count = 0, walked = 0, cursor = 0;
    for (int i = 0; i < KEYS; i++) {
        if (ush_map_get(m, ush_text_of(names[i])) != model[i])
            ck_abort_msg("%s", names[i]);
        count += model[i] != NULL;
    }
    ck_assert_uint_eq(m->count, count);
    ush_text key;
    void *value;
    while ((value = ush_map_next(m, &cursor, &key))) {
        if (ush_map_get(m, key) != value)
            ck_abort_msg("%.*s", USH_PR(key));
        walked++;
    }
    ck_assert_uint_eq(walked, count);
}

START_TEST(behaves_as_a_plain_table)
{
    static char names[KEYS][32], values[KEYS];
    void *model[KEYS] = {0};
    size_t count = 0;
    random_state = (uint64_t)_i + 1;
    for (int i = 0; i < KEYS; i++)
        snprintf(names[i], sizeof names[i], "%s%d", i % 2 ? "key-" : "a rather l", i);
    struct ush_map m;
    size_t max = _i % 2 ? 400 : 10000;
    ush_map_init(&m, max, random_state);
    for (int step = 0; step < 20000; step++) {
        uint32_t i = next_random(KEYS);
        ush_text key = ush_text_of(names[i]);
        if (next_random(100) < (step / 4000 % 2 ? 30u : 70u)) {
            void *value = &values[next_random(KEYS)];
            int expect = model[i] || count < max ? 0 : USH_EFULL;
            if (ush_map_set(&m, key, value) != expect)
                ck_abort_msg("set %s", names[i]);
            if (expect == 0) {
                count += model[i] == NULL;
                model[i] = value;
            }
        } else {
            if (ush_map_del(&m, key) != model[i])
                ck_abort_msg("del %s", names[i]);
            count -= model[i] != NULL;
            model[i] = NULL;
        }
        if (step % 500 == 0)
            compare(&m, names, model);
    }
    compare(&m, names, model);
    ush_map_fini(&m);
}
END_TEST

START_TEST(an_empty_map_and_an_empty_key)
{
    struct ush_map m;
    size_t cursor = 0;
    ush_map_init(&m, 1, 0);
    ck_assert_ptr_null(ush_map_get(&m, USH_T("a")));
    ck_assert_ptr_null(ush_map_del(&m, USH_T("a")));
    ck_assert_ptr_null(ush_map_next(&m, &cursor, NULL));
    ck_assert_int_eq(ush_map_set(&m, USH_NONE, &m), 0);
    ck_assert_ptr_eq(ush_map_get(&m, USH_T("")), &m);
    ck_assert_int_eq(ush_map_set(&m, USH_T("b"), &m), USH_EFULL);
    ck_assert_int_eq(ush_map_set(&m, USH_T(""), &cursor), 0);
    ck_assert_ptr_eq(ush_map_get(&m, USH_NONE), &cursor);
    ush_map_fini(&m);
}
END_TEST

START_TEST(similar_keys_spread)
{
    /* 4096 counters into 4096 slots: a random function leaves about e^-1 of them empty. */
    for (uint64_t seed = 0; seed < 20; seed++) {
        static unsigned char used[4096];
        memset(used, 0, sizeof used);
        int slots = 0;
        for (int i = 0; i < 4096; i++) {
            char key[32];
            int n = snprintf(key, sizeof key, "registration-%07d", i * 64);
            size_t slot = ush_hash(key, (size_t)n, seed) & 4095;
            slots += !used[slot];
            used[slot] = 1;
        }
        ck_assert_int_gt(slots, 2450);
        ck_assert_int_lt(slots, 2730);
    }
}
END_TEST

START_TEST(length_and_seed_count)
{
    static const char zeros[64];
    for (size_t n = 0; n < 64; n++)
        for (size_t k = 0; k < n; k++)
            ck_assert(ush_hash(zeros, n, 5) != ush_hash(zeros, k, 5));
    /* A key made of the public constants must depend on the seed like any other. */
    uint64_t constants[] = {0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9};
    ck_assert(ush_hash(constants, 16, 1) != ush_hash(constants, 16, 2));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("map");
    TCase *c = tcase_create("map");
    tcase_add_loop_test(c, behaves_as_a_plain_table, 0, 8);
    tcase_add_test(c, an_empty_map_and_an_empty_key);
    tcase_add_test(c, similar_keys_spread);
    tcase_add_test(c, length_and_seed_count);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
