/*
 * times.c - how long something took in the last minute, counted by many processes at once.
 *
 * A slot counts ten seconds. Whoever finds a slot of a minute ago empties it; what another process
 * counts in that instant may be lost, which nobody notices in a picture of a minute. Every number
 * is one relaxed atomic: nothing else depends on them, and there is no lock that a killed process
 * could leave behind.
 *
 *   step of t us:   0 1 2 3 | 4 5 6 7 | 8-9 10-11 12-13 14-15 | 16-19 ...
 *                   below 4 each; from there four steps to each doubling, so a time is told too
 *                   high by at most a quarter
 */
#include <stdatomic.h>

#include "usher/base.h"

enum { SLOT_S = 10, MINUTE_SLOTS = 6 };
#define SLOT_NS (SLOT_S * (int64_t)1000 * USH_MS)

static size_t step_of(uint64_t us)
{
    if (us < 4)
        return us;
    unsigned octave = 63 - (unsigned)__builtin_clzll(us);
    size_t step = 4 * (octave - 1) + (us >> (octave - 2) & 3);
    return step < USH_TIMES_STEPS ? step : USH_TIMES_STEPS - 1;
}

/* The largest time of a step. */
static int64_t end_of(size_t step)
{
    return step < 4 ? (int64_t)step : (int64_t)((5 + step % 4) << (step / 4 - 1)) - 1;
}

void ush_times_add(struct ush_times *s, int64_t now_ns, int64_t took_ns)
{
    int64_t turn = now_ns / SLOT_NS;
    size_t at = (size_t)(turn % USH_TIMES_SLOTS);
    int64_t old = atomic_load_explicit(&s->slots[at].turn, memory_order_relaxed);
    if (old != turn && atomic_compare_exchange_strong(&s->slots[at].turn, &old, turn))
        for (size_t i = 0; i < USH_TIMES_STEPS; i++)
            atomic_store_explicit(&s->slots[at].counts[i], 0, memory_order_relaxed);
    size_t step = step_of(took_ns < 0 ? 0 : (uint64_t)took_ns / 1000);
    atomic_fetch_add_explicit(&s->slots[at].counts[step], 1, memory_order_relaxed);
}

struct ush_times_told ush_times_last_minute(const struct ush_times *s, int64_t now_ns)
{
    uint64_t counts[USH_TIMES_STEPS] = {0}, sum = 0;
    struct ush_times_told t = {0};
    int64_t turn = now_ns / SLOT_NS;
    for (size_t k = 0; k < USH_TIMES_SLOTS; k++) {
        int64_t of = atomic_load_explicit(&s->slots[k].turn, memory_order_relaxed);
        for (size_t i = 0; i < USH_TIMES_STEPS && of > turn - MINUTE_SLOTS && of <= turn; i++)
            counts[i] += atomic_load_explicit(&s->slots[k].counts[i], memory_order_relaxed);
    }
    for (size_t i = 0; i < USH_TIMES_STEPS; i++)
        t.count += counts[i];
    for (size_t i = 0; i < USH_TIMES_STEPS; i++) {
        if (!counts[i])
            continue;
        t.half_us = sum * 2 < t.count ? end_of(i) : t.half_us;
        t.most_us = sum * 100 < t.count * 99 ? end_of(i) : t.most_us;
        t.all_us = end_of(i);
        sum += counts[i];
    }
    return t;
}
