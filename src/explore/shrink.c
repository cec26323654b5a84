/*
 * shrink.c - a failing schedule with fewer deviations from the order of service.
 *
 * A random schedule that fails differs from the order of service in dozens of choices, and two or
 * three of them matter. Delta debugging (Zeller, Hildebrandt, TSE'02) finds those: leave out a part
 * of the list, run, and keep what is left if the run fails in the same way; halve the parts until
 * they are single deviations; begin again while anything gets shorter. Two things are peculiar:
 *
 *  - A deviation names its choice by number, and leaving one out may change how many choices come
 *    before the next. So after each success the list is replaced by what the run has really done,
 *    which may be shorter still.
 *  - "In the same way" is the kind of fault, not its text: another line of the same scenario that
 *    breaks is as good an explanation, but a deadlock is not one for a lost update.
 *
 * The number of runs is limited, so the result is short and not always the shortest.
 */
#include <stdlib.h>

#include "explore/explore.h"

enum { FEW = 4 };

struct shrinker {
    struct ush__exploration *x;
    struct ush__plan plan;
    enum ush_explore_fault fault;
    struct ush__deviation *list, *tried; /* `tried` has room for as many */
    size_t n, room;
    uint32_t runs_left;
};

/* Runs the first n of `tried`; keeps what the run did if it fails and is no longer than before. */
static bool is_kept(struct shrinker *s, size_t n)
{
    if (s->runs_left == 0)
        return false;
    s->runs_left--;
    s->plan.played = s->tried;
    s->plan.played_count = n;
    if (ush__explore_run(s->x, &s->plan) != s->fault)
        return false;
    size_t done = 0;
    struct ush__deviation *real = ush__explore_deviations(s->x, &done);
    if (!real || done > n) {
        free(real);
        return false;
    }
    memcpy(s->list, real, done * sizeof *real);
    s->n = done;
    free(real);
    return true;
}

/* Leaves out each part of `part` deviations that can be spared. True if any could. */
static bool leave_out(struct shrinker *s, size_t part)
{
    bool any = false;
    for (size_t end = s->n; end > 0 && s->runs_left > 0;) {
        size_t begin = end > part ? end - part : 0;
        memcpy(s->tried, s->list, begin * sizeof *s->list);
        memcpy(s->tried + begin, s->list + end, (s->n - end) * sizeof *s->list);
        if (is_kept(s, begin + s->n - end))
            any = true;
        end = begin < s->n ? begin : s->n;
    }
    return any;
}

/* What is left may still be a roundabout way: then one other deviation alone may do. */
static void find_one(struct shrinker *s)
{
    size_t end = s->x->script.count;
    for (size_t at = 0; s->n > 1 && at < end && s->runs_left > 0; at++) {
        s->tried[0] = (struct ush__deviation){(uint32_t)at, 1};
        is_kept(s, 1);
    }
}

/* Smaller choices read better: the first other task instead of the fifth. */
static void lower(struct shrinker *s)
{
    for (size_t i = 0; i < s->n && s->runs_left > 0; i++) {
        if (s->list[i].choice == 1)
            continue;
        memcpy(s->tried, s->list, s->n * sizeof *s->list);
        s->tried[i].choice = 1;
        is_kept(s, s->n);
    }
}

size_t ush__shrink(struct ush__exploration *x, const struct ush__plan *plan,
                   struct ush__deviation *list, size_t n)
{
    struct shrinker s = {.x = x,
                         .plan = *plan,
                         .fault = ush__verdict.fault,
                         .list = list,
                         .n = n,
                         .tried = malloc((n + 1) * sizeof *list),
                         .runs_left = x->o.shrink_runs};
    if (!s.tried)
        return n;
    for (size_t part = n; part > 0 && s.runs_left > 0;) {
        bool any = leave_out(&s, part);
        if (part > 1)
            part /= 2;
        else if (!any)
            break;
    }
    if (s.n <= FEW)
        find_one(&s);
    lower(&s);
    free(s.tried);
    return s.n;
}
