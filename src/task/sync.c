/*
 * sync.c - mutex, semaphore, event and channel between the tasks of one loop.
 *
 * Nothing here is atomic: two tasks of a loop never run at the same instant, so every operation is
 * plain code between two suspensions. What is left to get right is the order of service and what
 * happens when a wake-up and a cancellation meet.
 *
 *  1. Hand-over. Whoever gives something up while others wait gives it to the longest waiting, in
 *     the same step: the mutex changes its holder, the permit its owner, the message its place,
 *     before the receiver has run. Nobody can overtake, and "free" is never seen in between.
 *  2. So waiters imply that there is nothing to have: a mutex with waiters has a holder, a
 *     semaphore with waiters has no free permit, a channel with senders waiting is full, one with
 *     receivers waiting is empty and has no sender waiting.
 *  3. A task in a queue here has not been cancelled, for cancellation takes it out (ush__park).
 *     What is handed over therefore always has a new owner who knows about it: no permit and no
 *     message is lost, and a call that reports -ECANCELED has changed nothing.
 *  4. A call that could be served at once is still a place where a task may be cancelled, charged
 *     and, under sim, interrupted: each begins with ush__enter().
 *
 * Giving (unlock, give, set, send_now, close) never suspends and may be done from a callback on the
 * loop's stack. There is no condition variable: an event or a channel says the same with less, and
 * a scope is the wait group.
 */
#include "task/task.h"

/* Queues up behind the others. `data` is what the other side needs from this task. */
static int wait_in(struct ush_link *waiters, enum ush__wait wait, void *object, void *data)
{
    struct ush_task *self = ush__self();
    self->wait_data = data;
    ush_list_push(waiters, &self->queue);
    return ush__park(wait, object, NULL);
}

/* NULL when nobody waits. Stays in the queue until ush__wake takes it out. */
static struct ush_task *longest_waiting(const struct ush_link *waiters)
{
    if (ush_list_is_empty(waiters))
        return NULL;
    return USH_CONTAINER(waiters->next, struct ush_task, queue);
}

static void wake_all(struct ush_link *waiters, int result)
{
    for (struct ush_task *t; (t = longest_waiting(waiters));)
        ush__wake(t, result);
}

/* ---- mutex -------------------------------------------------------------------------------- */

void ush_mutex_init(struct ush_mutex *m, const char *name)
{
    *m = (struct ush_mutex){.name = name};
    ush_list_init(&m->waiters);
}

int ush_mutex_lock(struct ush_mutex *m)
{
    assert(m->holder != ush__self());
    USH_TRY(ush__enter());
    if (m->holder)
        return wait_in(&m->waiters, USH__WAIT_MUTEX, m, NULL);
    m->holder = ush__self();
    return 0;
}

void ush_mutex_unlock(struct ush_mutex *m)
{
    assert(m->holder && m->holder == ush__self());
    struct ush_task *next = longest_waiting(&m->waiters);
    m->holder = next;
    if (next)
        ush__wake(next, 0);
}

/* ---- semaphore ---------------------------------------------------------------------------- */

void ush_semaphore_init(struct ush_semaphore *s, const char *name, uint32_t limit)
{
    *s = (struct ush_semaphore){.name = name, .free = limit, .limit = limit};
    ush_list_init(&s->waiters);
}

bool ush_semaphore_try(struct ush_semaphore *s)
{
    if (s->free == 0)
        return false;
    s->free--;
    return true;
}

int ush_semaphore_take(struct ush_semaphore *s)
{
    USH_TRY(ush__enter());
    if (ush_semaphore_try(s))
        return 0;
    return wait_in(&s->waiters, USH__WAIT_SEMAPHORE, s, NULL);
}

void ush_semaphore_give(struct ush_semaphore *s)
{
    struct ush_task *next = longest_waiting(&s->waiters);
    if (next) {
        ush__wake(next, 0);
        return;
    }
    assert(s->free < s->limit);
    s->free++;
}

/* ---- event -------------------------------------------------------------------------------- */

void ush_event_init(struct ush_event *e, const char *name)
{
    *e = (struct ush_event){.name = name};
    ush_list_init(&e->waiters);
}

int ush_event_wait(struct ush_event *e)
{
    USH_TRY(ush__enter());
    if (e->is_set)
        return 0;
    return wait_in(&e->waiters, USH__WAIT_EVENT, e, NULL);
}

void ush_event_set(struct ush_event *e)
{
    e->is_set = true;
    wake_all(&e->waiters, 0);
}

void ush_event_reset(struct ush_event *e)
{
    e->is_set = false;
}

/* ---- channel ------------------------------------------------------------------------------ */

void ush_channel_init(struct ush_channel *c, const char *name, void *slots, size_t message_bytes,
                      uint32_t capacity)
{
    assert(capacity > 0);
    *c = (struct ush_channel){
        .name = name, .slots = slots, .message_bytes = message_bytes, .capacity = capacity};
    ush_list_init(&c->senders);
    ush_list_init(&c->receivers);
}

static char *slot(const struct ush_channel *c, uint32_t nth)
{
    return c->slots + c->message_bytes * (((uint64_t)c->first + nth) % c->capacity);
}

static void put(struct ush_channel *c, const void *message)
{
    memcpy(slot(c, c->count), message, c->message_bytes);
    c->count++;
}

int ush_channel_send_now(struct ush_channel *c, const void *message)
{
    if (c->is_closed)
        return -EPIPE;
    struct ush_task *receiver = longest_waiting(&c->receivers);
    if (receiver) {
        memcpy(receiver->wait_data, message, c->message_bytes);
        ush__wake(receiver, 1);
        return 0;
    }
    if (c->count == c->capacity)
        return -EAGAIN;
    put(c, message);
    return 0;
}

int ush_channel_send(struct ush_channel *c, const void *message)
{
    USH_TRY(ush__enter());
    int r = ush_channel_send_now(c, message);
    if (r != -EAGAIN)
        return r;
    return wait_in(&c->senders, USH__WAIT_SEND, c, (void *)message);
}

int ush_channel_recv(struct ush_channel *c, void *ret_message)
{
    USH_TRY(ush__enter());
    if (c->count == 0)
        return c->is_closed ? 0 : wait_in(&c->receivers, USH__WAIT_RECV, c, ret_message);
    memcpy(ret_message, slot(c, 0), c->message_bytes);
    c->first = (c->first + 1) % c->capacity;
    c->count--;
    struct ush_task *sender = longest_waiting(&c->senders);
    if (sender) {
        put(c, sender->wait_data);
        ush__wake(sender, 0);
    }
    return 1;
}

void ush_channel_close(struct ush_channel *c)
{
    c->is_closed = true;
    wake_all(&c->senders, -EPIPE);
    wake_all(&c->receivers, 0);
}
