/*
 * arena_test.c - pieces are zeroed, aligned and disjoint; marks rewind; the cap holds; and under
 * AddressSanitizer unused space is poisoned.
 */
#include <check.h>
#include <stdlib.h>

#include "usher/base.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

/* One check for many bytes: a ck_assert each would take minutes. */
static bool all_are(const unsigned char *p, size_t n, unsigned char value)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != value)
            return false;
    return true;
}

static uint64_t random_state = 1;
static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

START_TEST(pieces_are_zeroed_aligned_and_keep_their_bytes)
{
    enum { N = 3000 };
    static struct {
        unsigned char *at;
        size_t n;
    } piece[N];
    static char first[700];
    struct ush_arena a;
    ush_arena_init(&a, first + 3, sizeof first - 3, 64 << 20);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            size_t n = next_random(100) == 0 ? next_random(40000) : next_random(200);
            unsigned char *p = ush_arena_alloc(&a, n);
            ck_assert_ptr_nonnull(p);
            ck_assert_uint_eq((uintptr_t)p % 16, 0);
            ck_assert(all_are(p, n, 0));
            memset(p, i & 0xff, n);
            piece[i].at = p;
            piece[i].n = n;
        }
        for (int i = 0; i < N; i++)
            ck_assert(all_are(piece[i].at, piece[i].n, i & 0xff));
        ck_assert_uint_le(a.held_bytes, a.cap_bytes);
        ush_arena_reset(&a);
        ck_assert_uint_eq(a.held_bytes, sizeof first - 3);
    }
    ush_arena_fini(&a);
    memset(first, 1, sizeof first); /* not poisoned any more */
}
END_TEST

START_TEST(small_pieces_stay_in_the_callers_chunk)
{
    char first[1024];
    struct ush_arena a;
    ush_arena_init(&a, first, sizeof first, 1 << 20);
    for (int i = 0; i < 10; i++) {
        char *p = ush_arena_alloc(&a, 40);
        ck_assert(p >= first && p + 40 <= first + sizeof first);
    }
    ck_assert_ptr_null(a.chunks);
    ush_arena_fini(&a);
}
END_TEST

START_TEST(the_cap_holds_and_failure_is_remembered)
{
    struct ush_arena a;
    ush_arena_init(&a, NULL, 0, 20000);
    ck_assert_ptr_null(ush_arena_alloc(&a, 20001));
    ck_assert(a.failed);
    ush_arena_reset(&a);
    ck_assert(!a.failed);
    size_t total = 0;
    while (ush_arena_alloc(&a, 100))
        total += 100;
    ck_assert(a.failed);
    ck_assert_uint_gt(total, 10000);
    ck_assert_uint_le(a.held_bytes, 20000);
    ck_assert_ptr_null(ush_arena_alloc(&a, SIZE_MAX));
    ck_assert_ptr_null(ush_arena_alloc(&a, SIZE_MAX - 40));
    ck_assert_ptr_null(USH_NEW_N(&a, uint64_t, SIZE_MAX / 4));
    ck_assert_ptr_null(ush_arena_copy(&a, (ush_text){"", 30000}).at);
    ush_arena_fini(&a);
}
END_TEST

START_TEST(a_mark_gives_back_what_came_after_it)
{
    struct ush_arena a;
    ush_arena_init(&a, NULL, 0, 16 << 20);
    struct ush_arena_mark empty = ush_arena_mark(&a);
    char *before = ush_arena_alloc(&a, 64);
    memset(before, 'x', 64);
    for (int round = 0; round < 200; round++) {
        struct ush_arena_mark mark = ush_arena_mark(&a);
        size_t held = a.held_bytes;
        char *next = ush_arena_alloc(&a, 1);
        for (uint32_t i = next_random(50); i > 0; i--)
            ck_assert_ptr_nonnull(ush_arena_alloc(&a, next_random(20000)));
        ush_arena_rewind(&a, mark);
        ck_assert_uint_eq(a.held_bytes, held);
        ck_assert_ptr_eq(ush_arena_alloc(&a, 1), next);
        ush_arena_rewind(&a, mark);
    }
    for (int i = 0; i < 64; i++)
        ck_assert_int_eq(before[i], 'x');
    ush_arena_rewind(&a, empty);
    ck_assert_uint_eq(a.held_bytes, 0);
    ush_arena_fini(&a);
}
END_TEST

START_TEST(texts_are_copied_with_a_nul)
{
    struct ush_arena a;
    ush_arena_init(&a, NULL, 0, 1 << 20);
    ush_text t = ush_arena_copy(&a, (ush_text){"abcdef", 3});
    ck_assert_str_eq(t.at, "abc");
    ck_assert_uint_eq(t.len, 3);
    ck_assert_ptr_null(ush_arena_copy(&a, USH_NONE).at);
    t = ush_arena_copy(&a, USH_T(""));
    ck_assert_ptr_nonnull(t.at);
    ck_assert_uint_eq(t.len, 0);
    t = ush_arena_printf(&a, "%s-%d", "seat", 42);
    ck_assert_str_eq(t.at, "seat-42");
    ck_assert_uint_eq(t.len, 7);
    ck_assert(!a.failed);
    ush_arena_fini(&a);
}
END_TEST

#if defined(__SANITIZE_ADDRESS__)
START_TEST(unused_space_is_poisoned)
{
    char first[512];
    struct ush_arena a;
    ush_arena_init(&a, first, sizeof first, 1 << 20);
    struct ush_arena_mark mark = ush_arena_mark(&a);
    for (size_t n = 1; n < 100; n++) {
        char *p = ush_arena_alloc(&a, n);
        ck_assert(!__asan_address_is_poisoned(p));
        ck_assert(!__asan_address_is_poisoned(p + n - 1));
        ck_assert(__asan_address_is_poisoned(p + n));
        ush_arena_rewind(&a, mark);
        if (p >= first && p < first + sizeof first)
            ck_assert(__asan_address_is_poisoned(p));
    }
    ush_arena_fini(&a);
    ck_assert_ptr_null(__asan_region_is_poisoned(first, sizeof first));
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("arena");
    TCase *c = tcase_create("arena");
    tcase_add_test(c, pieces_are_zeroed_aligned_and_keep_their_bytes);
    tcase_add_test(c, small_pieces_stay_in_the_callers_chunk);
    tcase_add_test(c, the_cap_holds_and_failure_is_remembered);
    tcase_add_test(c, a_mark_gives_back_what_came_after_it);
    tcase_add_test(c, texts_are_copied_with_a_nul);
#if defined(__SANITIZE_ADDRESS__)
    tcase_add_test(c, unused_space_is_poisoned);
#endif
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
