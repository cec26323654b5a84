/*
 * storing.c - times of changes, counted and told (storing.h).
 *
 *   step of t us:   0 1 2 3 | 4 5 6 7 | 8-9 10-11 12-13 14-15 | 16-19 ...
 *                   below 4 each; from there four steps to each doubling
 *
 * Every number here is one relaxed atomic: nothing else depends on them.
 */
#include "domain/storing.h"

#include "domain/fest.h"

enum { SLOT_S = 10, MINUTE_SLOTS = 6 };
#define SLOT_NS (SLOT_S * (int64_t)USH_SECOND)

static size_t step_of(uint64_t us)
{
    if (us < 4)
        return us;
    unsigned octave = 63 - (unsigned)__builtin_clzll(us);
    size_t step = 4 * (octave - 1) + (us >> (octave - 2) & 3);
    return step < STORING_STEPS ? step : STORING_STEPS - 1;
}

/* The largest time of a step. */
static int64_t end_of(size_t step)
{
    return step < 4 ? (int64_t)step : (int64_t)((5 + step % 4) << (step / 4 - 1)) - 1;
}

void storing_add(struct storing *s, int64_t now_ns, int64_t took_ns)
{
    int64_t turn = now_ns / SLOT_NS;
    size_t at = (size_t)(turn % STORING_SLOTS);
    int64_t old = atomic_load_explicit(&s->slots[at].turn, memory_order_relaxed);
    if (old != turn && atomic_compare_exchange_strong(&s->slots[at].turn, &old, turn))
        for (size_t i = 0; i < STORING_STEPS; i++)
            atomic_store_explicit(&s->slots[at].counts[i], 0, memory_order_relaxed);
    size_t step = step_of(took_ns < 0 ? 0 : (uint64_t)took_ns / 1000);
    atomic_fetch_add_explicit(&s->slots[at].counts[step], 1, memory_order_relaxed);
}

struct storing_times storing_last_minute(const struct storing *s, int64_t now_ns)
{
    uint64_t counts[STORING_STEPS] = {0}, sum = 0;
    struct storing_times t = {0};
    int64_t turn = now_ns / SLOT_NS;
    for (size_t k = 0; k < STORING_SLOTS; k++) {
        int64_t of = atomic_load_explicit(&s->slots[k].turn, memory_order_relaxed);
        for (size_t i = 0; i < STORING_STEPS && of > turn - MINUTE_SLOTS && of <= turn; i++)
            counts[i] += atomic_load_explicit(&s->slots[k].counts[i], memory_order_relaxed);
    }
    for (size_t i = 0; i < STORING_STEPS; i++)
        t.count += counts[i];
    for (size_t i = 0; i < STORING_STEPS; i++) {
        if (!counts[i])
            continue;
        t.half_us = sum * 2 < t.count ? end_of(i) : t.half_us;
        t.most_us = sum * 100 < t.count * 99 ? end_of(i) : t.most_us;
        t.all_us = end_of(i);
        sum += counts[i];
    }
    return t;
}

int storing_change(struct fest *f, const struct ush_operation *op, const void *in, void *ret,
                   struct ush_arena *arena)
{
    int64_t from_ns = ush_now_ns();
    int r = ush_change(f->db, op, in, ret, arena);
    int64_t now_ns = ush_now_ns();
    storing_add(&f->shared->storing, now_ns, now_ns - from_ns);
    return r;
}
