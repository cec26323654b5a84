/*
 * limits.c - how often somebody may ask: GCRA in memory shared by all workers.
 *
 * For each key one number is kept: the moment at which its bucket would be empty again (the
 * "theoretical arrival time" of the generic cell rate algorithm, ITU-T I.371). Asking costs one
 * interval; who is more than a whole bucket ahead of the clock has to wait. There is nothing to
 * refill and nothing to clean up: a moment in the past is a full bucket.
 *
 * The table has a fixed size. A key lives in one of PLACES slots next to its hash; if all are
 * taken the one whose moment lies furthest back is reused. So a stranger who makes up keys can at
 * worst make the limits forget, never refuse somebody else. Keys are hashed with a seed of this
 * start. A lost race between two workers costs one uncounted request.
 *
 * A school is one address (hundreds of phones behind one router): the limit by address is wide,
 * and does not hold for this machine itself, where a proxy or the operator sits.
 */
#include <stdatomic.h>

#include "usher/master.h"
#include "web/web.h"

enum { SLOTS = 1 << 16, PLACES = 8 };

struct slot {
    _Atomic uint64_t key;
    _Atomic int64_t empty_at_ms;
};

struct limits {
    uint64_t seed;
    struct rate {
        int64_t interval_ms; /* between two; 0 = no limit */
        int64_t ahead_ms;    /* a whole bucket */
    } rates[LIMIT_KINDS];
    struct slot slots[SLOTS];
};

void limits_set(struct limits *l, const struct settings *s)
{
    const char *texts[LIMIT_KINDS] = {s->limit_email, s->limit_browser, s->limit_addr, "5/60",
                                      "50/60"};
    for (int i = 0; i < LIMIT_KINDS; i++) {
        int64_t count = 0, seconds = 0;
        settings_limit(texts[i], &count, &seconds);
        l->rates[i] = (struct rate){count ? seconds * 1000 / count : 0, seconds * 1000};
    }
}

struct limits *limits_new(const struct settings *s)
{
    struct limits *l = ush_shared_new(sizeof *l);
    if (!l)
        return NULL;
    ush_random(&l->seed, sizeof l->seed);
    limits_set(l, s);
    return l;
}

static struct slot *find_slot(struct limits *l, uint64_t key)
{
    struct slot *oldest = NULL;
    for (int i = 0; i < PLACES; i++) {
        struct slot *s = &l->slots[(key + (uint64_t)i) % SLOTS];
        if (s->key == key)
            return s;
        if (!oldest || s->empty_at_ms < oldest->empty_at_ms)
            oldest = s;
    }
    oldest->key = key;
    oldest->empty_at_ms = 0;
    return oldest;
}

static int64_t check(struct limits *l, enum limit_kind kind, ush_text who, int64_t now_ms,
                     int64_t spend)
{
    if (!l || !l->rates[kind].interval_ms)
        return 0;
    const struct rate *r = &l->rates[kind];
    struct slot *s = find_slot(l, ush_hash(who.at, who.len, l->seed + (uint64_t)kind) | 1);
    int64_t seen = s->empty_at_ms;
    int64_t from = seen > now_ms ? seen : now_ms;
    int64_t next = from + r->interval_ms;
    if (next - now_ms > r->ahead_ms)
        return next - now_ms - r->ahead_ms;
    if (spend)
        atomic_compare_exchange_strong(&s->empty_at_ms, &seen, next);
    return 0;
}

int64_t limits_spend(struct limits *l, enum limit_kind kind, ush_text who, int64_t now_ms)
{
    return check(l, kind, who, now_ms, 1);
}

int64_t limits_ask(struct limits *l, enum limit_kind kind, ush_text who, int64_t now_ms)
{
    return check(l, kind, who, now_ms, 0);
}

int reply_limited(struct ush_request *rq, int64_t wait_ms)
{
    reply_retry_after(rq, wait_ms);
    return ush_problem(rq, &ush_problem_rate_limited, "Please try again in %lld seconds.",
                       (long long)(wait_ms + 999) / 1000);
}
