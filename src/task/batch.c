/*
 * batch.c - group commit: items submitted one by one are flushed together.
 *
 * The first item of an idle batch spawns a task into the batch's home scope. That task takes what
 * waits (at most o.max, oldest first), calls o.flush with it, settles each item, and goes round
 * until nothing waits; then it ends, so an idle batch holds no task and its home can close. No
 * timer is involved: under load a flush is as large as what arrived during the one before it, alone
 * it is one item at once.
 *
 *   item:   waiting --taken by a flush--> taken --flush returns--> settled: woken, or done()
 *              |
 *              +--cancelled--> withdrawn, never flushed
 *
 *  1. Order: items are taken in the order of their arrival, and settled in it.
 *  2. A waiting item may be withdrawn (its submitter was cancelled); a taken one may not, because
 *     its effect may already be on the disk: the submitter stays parked until the flush has told.
 *  3. An item that was accepted is flushed or withdrawn. The flushing task does not stop when its
 *     home is cancelled: it goes on calling o.flush, whose own waits then fail, and so every waiter
 *     gets an answer. When the task cannot be spawned at all, the item is not accepted.
 *  4. `is_flushing` is true from the spawn until the task's last look at the queue. Between that
 *     look and the end of the task nothing suspends: no item falls between two flushing tasks.
 *  5. The item of a submitter lives on its stack; after its wake-up it is not touched again.
 *
 * The task does not yield between two flushes: those who were just answered run while the next
 * flush waits for its disk, not before. A flush that never waits should call ush_spend itself.
 */
#include <stdlib.h>

#include "task/task.h"

enum { WAITING = 1, TAKEN };

int ush_batch_init(struct ush_batch *b, struct ush_scope *home, const struct ush_batch_options *o)
{
    assert(o->max > 0 && o->queue_max > 0 && o->flush);
    *b = (struct ush_batch){.o = *o, .home = home};
    ush_list_init(&b->waiting);
    b->taken = calloc(o->max, sizeof(struct ush_batch_item *));
    return b->taken ? 0 : -ENOMEM;
}

void ush_batch_fini(struct ush_batch *b)
{
    assert(b->count == 0 && !b->is_flushing);
    free(b->taken);
    b->taken = NULL;
}

static size_t take(struct ush_batch *b)
{
    size_t n = 0;
    while (n < b->o.max && b->count > 0) {
        struct ush_link *l = ush_list_pop(&b->waiting);
        struct ush_batch_item *item = USH_CONTAINER(l, struct ush_batch_item, link);
        b->count--;
        item->state = TAKEN;
        item->result = 0;
        b->taken[n++] = item;
    }
    return n;
}

static void settle(struct ush_batch *b, size_t n, int all)
{
    for (size_t i = 0; i < n; i++) {
        struct ush_batch_item *item = b->taken[i];
        int result = all < 0 ? all : item->result;
        if (item->waiter)
            ush__wake(item->waiter, result);
        else
            item->done(item, result);
    }
}

static int flush_what_waits(void *arg)
{
    struct ush_batch *b = arg;
    while (b->count > 0) {
        size_t n = take(b);
        b->flushes++;
        b->items += n;
        settle(b, n, b->o.flush(b->o.ctx, b->taken, n));
    }
    b->is_flushing = false;
    return 0;
}

static int add(struct ush_batch *b, struct ush_batch_item *item)
{
    if (b->count >= b->o.queue_max)
        return USH_EFULL;
    if (!b->is_flushing) {
        struct ush_spawn_options o = {.name = b->o.name, .site = USH_SITE};
        USH_TRY(ush_spawn_with(b->home, &o, flush_what_waits, b));
        b->is_flushing = true;
    }
    item->state = WAITING;
    ush_list_push(&b->waiting, &item->link);
    b->count++;
    return 0;
}

/* The submitter is cancelled while it waits. */
static bool withdraw(struct ush_task *t)
{
    struct ush_batch *b = t->wait_object;
    struct ush_batch_item *item = t->wait_data;
    if (item->state != WAITING)
        return false;
    ush_list_del(&item->link);
    b->count--;
    return true;
}

int ush_batch_submit(struct ush_batch *b, struct ush_batch_item *item)
{
    USH_TRY(ush__enter());
    struct ush_task *self = ush__self();
    item->waiter = self;
    USH_TRY(add(b, item));
    self->wait_data = item;
    return ush__park(USH__WAIT_BATCH, b, withdraw);
}

int ush_batch_put(struct ush_batch *b, struct ush_batch_item *item,
                  void (*done)(struct ush_batch_item *, int result))
{
    item->waiter = NULL;
    item->done = done;
    return add(b, item);
}
