/*
 * redis_fuzz.c - any bytes as what a Redis server says. How they are split makes no difference,
 * what is made of them is whole, and no announced size makes it hold more than it may.
 */
#include <stdlib.h>

#include "redis/redis.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { BYTES_MAX = 1 << 16, ARENA = 1 << 22, DEPTH_MAX = 8 };

/* Touches everything; a number that follows from it. */
static uint64_t weigh(const struct ush_redis_reply *r, int depth)
{
    MUST(depth <= DEPTH_MAX && r->type <= USH_REDIS_ARRAY);
    uint64_t sum = ush_hash(r->text.at ? r->text.at : "", r->text.len, r->type + 7U);
    MUST(!r->text.at || r->text.at[r->text.len] == 0);
    MUST(r->type == USH_REDIS_ARRAY || r->count == 0);
    for (size_t i = 0; i < r->count; i++)
        sum = sum * 31 + weigh(&r->items[i], depth + 1);
    return sum * 31 + (uint64_t)r->integer;
}

/* The replies in pieces of at most `piece` bytes, as a number; *ret_end is how it ended. */
static uint64_t weigh_all(const uint8_t *bytes, size_t n, size_t piece, int *ret_end)
{
    struct ush__replies r;
    struct ush_redis_reply reply;
    struct ush_arena arena;
    uint64_t sum = 0;
    int whole = 0;
    ush_arena_init(&arena, NULL, 0, ARENA);
    MUST(ush__replies_open(&r, BYTES_MAX) == 0);
    ush__replies_begin(&r, &arena);
    for (size_t at = 0; at < n && whole >= 0;) {
        size_t take = n - at < piece ? n - at : piece;
        MUST(ush__replies_feed(&r, (const char *)bytes + at, take) == 0);
        at += take;
        while ((whole = ush__replies_take(&r, &reply)) == 1)
            sum = sum * 31 + weigh(&reply, 0);
    }
    MUST(whole == 0 || whole == USH_EPROTO || whole == USH_ELIMIT);
    ush__replies_close(&r);
    ush_arena_fini(&arena);
    *ret_end = whole;
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    if (n > BYTES_MAX)
        return 0;
    int end, split_end;
    uint64_t sum = weigh_all(bytes, n, n ? n : 1, &end);
    for (size_t piece = 1; piece <= 7; piece += 3) {
        MUST(weigh_all(bytes, n, piece, &split_end) == sum);
        MUST(split_end == end);
    }
    return 0;
}
