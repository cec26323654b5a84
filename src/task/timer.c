/*
 * timer.c - moments at which the loop calls a function.
 *
 * Alarms of any kind (sleeps, deadlines of scopes) sit in a 4-ary heap, ordered by their moment.
 * Four children lie side by side and halve the depth against a binary heap. Most deadlines are
 * cleared before they come, and a deadline set later is mostly later, so in practice both ends of
 * the work are a single step.
 *
 * An alarm lies in its owner, often on a stack that nobody has looked at for seconds. Sifting does
 * not touch it: a node of the heap holds the moment and a number, and a table beside the heap knows
 * for each number the alarm and its place. So ten thousand due sleeps cost ten thousand cold cache
 * lines and not seven times as many; clearing one is O(log n) without a search.
 *
 * Many waits of one length (idle connections) do not go into the heap at all: appended to a list
 * they are already in order, and one alarm stands for the whole list.
 *
 * Invariants:
 *  1. slots[heap[i].id].place == i and slots[heap[i].id].alarm->id == heap[i].id for
 *     1 <= i <= count. heap[0] and slots[0] are not used: id 0 means "not set".
 *  2. No node comes before its parent.
 *  3. Alarms of one moment may run in any order; all run on the loop's own stack.
 *  4. An alarm that is set while alarms run does not run in the same turn.
 */
#include <stdlib.h>

#include "task/task.h"

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
    h->slots[one.id].place = i;
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
    if (a->id == 0)
        return;
    struct ush__timers *h = &ush__loop->timers;
    struct ush__timer_slot *slot = &h->slots[a->id];
    uint32_t i = slot->place;
    assert(slot->alarm == a);
    *slot = (struct ush__timer_slot){.place = h->free_id};
    h->free_id = a->id;
    a->id = 0;
    struct ush__timer last = h->heap[h->count--];
    if (i == h->count + 1)
        return;
    if (i > 1 && h->heap[parent_of(i)].at_ns > last.at_ns)
        sift_up(h, i, last);
    else
        sift_down(h, i, last);
}

/* Room for one alarm more; its number comes from the free ones. */
static uint32_t id_take(struct ush__timers *h)
{
    if (h->free_id == 0) {
        uint32_t from = h->room ? h->room : 1, room = h->room ? h->room * 2 : 64;
        h->heap = realloc(h->heap, room * sizeof *h->heap);
        h->slots = realloc(h->slots, room * sizeof *h->slots);
        if (!h->heap || !h->slots)
            ush__panic("no memory for %u timers", room);
        for (uint32_t id = from; id < room; id++)
            h->slots[id] = (struct ush__timer_slot){.place = id + 1 < room ? id + 1 : 0};
        h->free_id = from;
        h->room = room;
    }
    uint32_t id = h->free_id;
    h->free_id = h->slots[id].place;
    return id;
}

void ush_alarm_set(struct ush_alarm *a, int64_t at_ns, void (*fn)(struct ush_alarm *))
{
    struct ush__timers *h = &ush__loop->timers;
    ush_alarm_clear(a);
    a->at_ns = at_ns;
    a->fn = fn;
    if (at_ns == USH_NEVER)
        return;
    a->id = id_take(h);
    h->slots[a->id].alarm = a;
    if (at_ns <= h->due_ns)
        at_ns = h->due_ns + 1;
    sift_up(h, ++h->count, (struct ush__timer){at_ns, a->id});
}

void ush__timers_fini(struct ush__timers *h)
{
    free(h->heap);
    free(h->slots);
}

int64_t ush__timers_next(const struct ush__timers *h)
{
    return h->count ? h->heap[1].at_ns : USH_NEVER;
}

void ush__timers_run(struct ush__timers *h, int64_t now_ns)
{
    h->due_ns = now_ns;
    while (h->count && h->heap[1].at_ns <= now_ns) {
        struct ush_alarm *a = h->slots[h->heap[1].id].alarm;
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
    if (t->alarm.id == 0)
        ush_alarm_set(&t->alarm, one->since_ns + t->length_ns, timeouts_due);
}

void ush_timeout_stop(struct ush_timeout *one)
{
    ush_list_del(&one->link);
}
