/*
 * timer.c - moments at which the loop calls a function.
 *
 * Alarms of any kind (sleeps, deadlines of scopes) sit in a 4-ary heap, ordered by their moment.
 * A node of the heap holds the moment beside the pointer, so sifting does not touch the alarms
 * except to write down their new place; that place makes clearing one O(log n) without a search.
 * Four children lie side by side and halve the depth against a binary heap. Most deadlines are
 * cleared before they come, and a deadline set later is mostly later, so in practice both ends of
 * the work are a single step.
 *
 * Many waits of one length (idle connections) do not go into the heap at all: appended to a list
 * they are already in order, and one alarm stands for the whole list.
 *
 * Invariants:
 *  1. heap[i].alarm->place == i for 1 <= i <= count; heap[0] is not used, place 0 means "not set".
 *  2. No node comes before its parent.
 *  3. Alarms of one moment may run in any order; all run on the loop's own stack.
 *  4. An alarm that is set while alarms run does not run in the same turn.
 */
#include <stdlib.h>

#include "task/task.h"

struct ush__timer {
    int64_t at_ns;
    struct ush_alarm *alarm;
};

enum { ARITY = 4 };

static uint32_t parent_of(uint32_t i)
{
    return (i - 2) / ARITY + 1;
}

static uint32_t first_child_of(uint32_t i)
{
    return (i - 1) * ARITY + 2;
}

static void place(struct ush__timers *h, uint32_t i, struct ush__timer one)
{
    h->heap[i] = one;
    one.alarm->place = i;
}

static void sift_up(struct ush__timers *h, uint32_t i, struct ush__timer one)
{
    while (i > 1 && h->heap[parent_of(i)].at_ns > one.at_ns) {
        place(h, i, h->heap[parent_of(i)]);
        i = parent_of(i);
    }
    place(h, i, one);
}

static void sift_down(struct ush__timers *h, uint32_t i, struct ush__timer one)
{
    for (;;) {
        uint32_t child = first_child_of(i), last = child + ARITY - 1, least = child;
        if (child > h->count)
            break;
        if (last > h->count)
            last = h->count;
        for (uint32_t c = child + 1; c <= last; c++)
            if (h->heap[c].at_ns < h->heap[least].at_ns)
                least = c;
        if (h->heap[least].at_ns >= one.at_ns)
            break;
        place(h, i, h->heap[least]);
        i = least;
    }
    place(h, i, one);
}

void ush_alarm_clear(struct ush_alarm *a)
{
    uint32_t i = a->place;
    if (i == 0)
        return;
    struct ush__timers *h = &ush__loop->timers;
    assert(h->heap[i].alarm == a);
    a->place = 0;
    struct ush__timer last = h->heap[h->count--];
    if (last.alarm == a)
        return;
    if (i > 1 && h->heap[parent_of(i)].at_ns > last.at_ns)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

void ush_alarm_set(struct ush_alarm *a, int64_t at_ns, void (*fn)(struct ush_alarm *))
{
    struct ush__timers *h = &ush__loop->timers;
    ush_alarm_clear(a);
    a->at_ns = at_ns;
    a->fn = fn;
    if (at_ns == USH_NEVER)
        return;
    if (h->count + 1 >= h->room) {
        uint32_t room = h->room ? h->room * 2 : 64;
        struct ush__timer *heap = realloc(h->heap, room * sizeof *heap);
        if (!heap)
            ush__panic("no memory for %u timers", room);
        h->heap = heap;
        h->room = room;
    }
    if (at_ns <= h->due_ns)
        at_ns = h->due_ns + 1;
    sift_up(h, ++h->count, (struct ush__timer){at_ns, a});
}

int64_t ush__timers_next(const struct ush__timers *h)
{
    return h->count ? h->heap[1].at_ns : USH_NEVER;
}

void ush__timers_run(struct ush__timers *h, int64_t now_ns)
{
    h->due_ns = now_ns;
    while (h->count && h->heap[1].at_ns <= now_ns) {
        struct ush_alarm *a = h->heap[1].alarm;
        ush_alarm_clear(a);
        a->fn(a);
    }
}

/* ---- lists of one length -------------------------------------------------------------------- */

static void timeouts_due(struct ush_alarm *a)
{
    struct ush_timeouts *t = USH_CONTAINER(a, struct ush_timeouts, alarm);
    int64_t since = ush__loop->now_ns - t->length_ns;
    while (!ush_list_is_empty(&t->waiting)) {
        struct ush_timeout *one = USH_CONTAINER(t->waiting.next, struct ush_timeout, link);
        if (one->since_ns > since) {
            ush_alarm_set(&t->alarm, one->since_ns + t->length_ns, timeouts_due);
            break;
        }
        ush_list_del(&one->link);
        t->fn(&one->link);
    }
}

void ush_timeouts_init(struct ush_timeouts *t, int64_t length_ns, void (*fn)(struct ush_link *))
{
    *t = (struct ush_timeouts){.length_ns = length_ns, .fn = fn};
    ush_list_init(&t->waiting);
}

void ush_timeouts_fini(struct ush_timeouts *t)
{
    ush_alarm_clear(&t->alarm);
    while (ush_list_pop(&t->waiting))
        ;
}

void ush_timeout_start(struct ush_timeouts *t, struct ush_timeout *one)
{
    one->since_ns = ush__loop->now_ns;
    ush_list_push(&t->waiting, &one->link);
    if (t->alarm.place == 0)
        ush_alarm_set(&t->alarm, one->since_ns + t->length_ns, timeouts_due);
}

void ush_timeout_stop(struct ush_timeout *one)
{
    ush_list_del(&one->link);
}
