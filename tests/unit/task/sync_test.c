/*
 * sync_test.c - mutex, semaphore, event and channel: exclusion, order of service, hand-over, and
 * what happens when a cancellation meets a wake-up.
 *
 * `settle` gives the loop away so often that every other task has come to its next wait, in
 * whatever order the backend runs them: that is how a test knows who came first.
 */
#include "both.h"

enum { CROWD = 12 };

static struct {
    struct ush_mutex mutex;
    struct ush_semaphore semaphore;
    struct ush_event event;
    struct ush_channel channel;
    int slots[4];
    int served[CROWD];
    int services, inside, most, total;
    int result[CROWD];
    struct ush_scope *scope[CROWD];
} x;

static void settle(void)
{
    for (int i = 0; i < 40 * CROWD; i++)
        ck_assert_int_eq(ush_yield(), 0);
}

static void begin(void)
{
    memset(&x, 0, sizeof x);
    ush_mutex_init(&x.mutex, "door");
    ush_semaphore_init(&x.semaphore, "seats", 3);
    ush_event_init(&x.event, "whistle");
    ush_channel_init(&x.channel, "pipe", x.slots, sizeof x.slots[0], USH_COUNT(x.slots));
    for (int i = 0; i < CROWD; i++)
        x.result[i] = 1;
}

static void enter(void)
{
    if (++x.inside > x.most)
        x.most = x.inside;
    x.total++;
}

/* Spawns fn(number) CROWD times in a scope and waits for all. */
static int crowd(ush_fn fn)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (intptr_t i = 0; i < CROWD; i++)
        ck_assert_int_eq(ush_spawn(&s, fn, (void *)i), 0);
    return ush_scope_close(&s);
}

/* Opens a scope with n tasks of fn(number), each of which waits before the next arrives. */
static void queue_up(struct ush_scope *s, ush_fn fn, int n)
{
    ush_scope_open(s, NULL);
    for (intptr_t i = 0; i < n; i++) {
        ck_assert_int_eq(ush_spawn(s, fn, (void *)i), 0);
        settle();
    }
}

/* ---- mutex -------------------------------------------------------------------------------- */

static int add_one(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        USH_TRY(ush_mutex_lock(&x.mutex));
        enter();
        int before = x.services;
        USH_TRY(ush_yield());
        x.services = before + 1;
        x.inside--;
        ush_mutex_unlock(&x.mutex);
    }
    return 0;
}

BOTH_TEST(mutex_makes_read_and_write_one_step)
{
    begin();
    ck_assert_int_eq(crowd(add_one), 0);
    ck_assert_int_eq(x.services, 20 * CROWD);
    ck_assert_int_eq(x.most, 1);
    return 0;
}

static int lock_in_order(void *arg)
{
    USH_TRY(ush_mutex_lock(&x.mutex));
    x.served[x.services++] = (int)(intptr_t)arg;
    USH_TRY(ush_yield());
    ush_mutex_unlock(&x.mutex);
    return 0;
}

BOTH_TEST(mutex_serves_in_order_of_arrival)
{
    begin();
    ck_assert_int_eq(ush_mutex_lock(&x.mutex), 0);
    struct ush_scope s;
    queue_up(&s, lock_in_order, CROWD);
    ush_mutex_unlock(&x.mutex);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(x.served[i], i);
    return 0;
}

/* Waits for the mutex inside a scope of its own that the test may cancel. */
static int lock_in_scope(void *arg)
{
    int me = (int)(intptr_t)arg;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    x.scope[me] = &s;
    x.result[me] = ush_mutex_lock(&x.mutex);
    x.scope[me] = NULL;
    if (x.result[me] == 0) {
        x.served[x.services++] = me;
        ush_mutex_unlock(&x.mutex);
    }
    ush_scope_close(&s);
    return 0;
}

BOTH_TEST(mutex_waiter_that_is_cancelled_leaves_the_queue)
{
    begin();
    struct ush_scope s;
    ck_assert_int_eq(ush_mutex_lock(&x.mutex), 0);
    queue_up(&s, lock_in_scope, 3);
    ush_scope_cancel(x.scope[1], USH_CANCEL_ASKED);
    settle();
    ck_assert_int_eq(x.result[1], -ECANCELED);
    ush_mutex_unlock(&x.mutex);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.services, 2);
    ck_assert_int_eq(x.served[0], 0);
    ck_assert_int_eq(x.served[1], 2);
    ck_assert_ptr_null(x.mutex.holder);
    return 0;
}

BOTH_TEST(mutex_handed_over_before_the_cancellation_is_held)
{
    begin();
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_mutex_lock(&x.mutex), 0);
    ck_assert_int_eq(ush_spawn(&s, lock_in_scope, (void *)0), 0);
    settle();
    ush_mutex_unlock(&x.mutex);
    ush_scope_cancel(x.scope[0], USH_CANCEL_ASKED);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.result[0], 0);
    ck_assert_ptr_null(x.mutex.holder);
    return 0;
}

BOTH_TEST(mutex_released_after_the_cancellation_goes_to_the_next)
{
    begin();
    struct ush_scope s;
    ck_assert_int_eq(ush_mutex_lock(&x.mutex), 0);
    queue_up(&s, lock_in_scope, 2);
    ush_scope_cancel(x.scope[0], USH_CANCEL_ASKED);
    ush_mutex_unlock(&x.mutex);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.result[0], -ECANCELED);
    ck_assert_int_eq(x.result[1], 0);
    return 0;
}

BOTH_TEST(every_wait_fails_at_once_in_a_cancelled_scope)
{
    begin();
    int n = 7;
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = 1});
    while (ush_cancelled() == 0)
        ush_yield();
    ush_event_set(&x.event);
    ck_assert_int_eq(ush_channel_send_now(&x.channel, &n), 0);
    /* All could be had without waiting. */
    ck_assert_int_eq(ush_mutex_lock(&x.mutex), -ETIMEDOUT);
    ck_assert_int_eq(ush_semaphore_take(&x.semaphore), -ETIMEDOUT);
    ck_assert_int_eq(ush_event_wait(&x.event), -ETIMEDOUT);
    ck_assert_int_eq(ush_channel_send(&x.channel, &n), -ETIMEDOUT);
    ck_assert_int_eq(ush_channel_recv(&x.channel, &n), -ETIMEDOUT);
    ck_assert_ptr_null(x.mutex.holder);
    ck_assert_int_eq(x.semaphore.free, 3);
    ck_assert_int_eq(x.channel.count, 1);
    ush_scope_close(&s);
    return 0;
}

/* ---- semaphore ---------------------------------------------------------------------------- */

static int sit(void *arg)
{
    USH_TRY(ush_semaphore_take(&x.semaphore));
    x.served[x.services++] = (int)(intptr_t)arg;
    enter();
    USH_TRY(ush_sleep(USH_MS / 10));
    x.inside--;
    ush_semaphore_give(&x.semaphore);
    return 0;
}

static int sit_often(void *arg)
{
    for (int i = 0; i < 3; i++) {
        x.services = 0;
        USH_TRY(sit(arg));
    }
    return 0;
}

BOTH_TEST(semaphore_lets_in_as_many_as_it_has)
{
    begin();
    ck_assert_int_eq(crowd(sit_often), 0);
    ck_assert_int_eq(x.most, 3);
    ck_assert_int_eq(x.total, 3 * CROWD);
    ck_assert_int_eq(x.semaphore.free, 3);
    return 0;
}

BOTH_TEST(semaphore_serves_in_order_of_arrival)
{
    begin();
    x.semaphore.free = x.semaphore.limit = 1;
    ck_assert_int_eq(ush_semaphore_take(&x.semaphore), 0);
    struct ush_scope s;
    queue_up(&s, sit, CROWD);
    ush_semaphore_give(&x.semaphore);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(x.served[i], i);
    return 0;
}

static int take_in_scope(void *arg)
{
    int me = (int)(intptr_t)arg;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    x.scope[me] = &s;
    x.result[me] = ush_semaphore_take(&x.semaphore);
    x.scope[me] = NULL;
    ush_scope_close(&s);
    return 0;
}

BOTH_TEST(semaphore_permit_meets_cancellation)
{
    begin();
    struct ush_scope s;
    x.semaphore.free = x.semaphore.limit = 1;
    ck_assert(ush_semaphore_try(&x.semaphore));
    ck_assert(!ush_semaphore_try(&x.semaphore));
    queue_up(&s, take_in_scope, 3);
    /* 0 is cancelled before the permit comes, 1 after it got it; 2 stays in the queue. */
    ush_scope_cancel(x.scope[0], USH_CANCEL_ASKED);
    ush_semaphore_give(&x.semaphore);
    ush_scope_cancel(x.scope[1], USH_CANCEL_ASKED);
    settle();
    ck_assert_int_eq(x.result[0], -ECANCELED);
    ck_assert_int_eq(x.result[1], 0);
    ck_assert_int_eq(x.result[2], 1);
    ck_assert_int_eq(x.semaphore.free, 0);
    ush_semaphore_give(&x.semaphore); /* for 1 */
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.result[2], 0);
    ush_semaphore_give(&x.semaphore); /* for 2 */
    ck_assert_int_eq(x.semaphore.free, 1);
    return 0;
}

/* ---- event -------------------------------------------------------------------------------- */

static int wait_for_whistle(void *arg)
{
    int me = (int)(intptr_t)arg;
    x.result[me] = ush_event_wait(&x.event);
    x.services++;
    return x.result[me];
}

BOTH_TEST(event_wakes_all_and_stays_set_until_reset)
{
    begin();
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (intptr_t i = 0; i < CROWD - 1; i++)
        ck_assert_int_eq(ush_spawn(&s, wait_for_whistle, (void *)i), 0);
    settle();
    ck_assert_int_eq(x.services, 0);
    ush_event_set(&x.event);
    ck_assert_int_eq(ush_event_wait(&x.event), 0);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.services, CROWD - 1);

    ush_event_reset(&x.event);
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + USH_MS});
    ck_assert_int_eq(ush_event_wait(&x.event), -ETIMEDOUT);
    ush_scope_close(&s);
    ck_assert(ush_list_is_empty(&x.event.waiters));
    return 0;
}

/* ---- channel ------------------------------------------------------------------------------ */

enum { MESSAGES = 40 };

static int produce(void *arg)
{
    (void)arg;
    for (int i = 0; i < MESSAGES; i++) {
        USH_TRY(ush_channel_send(&x.channel, &i));
        if (x.channel.count > USH_COUNT(x.slots))
            return -EOVERFLOW;
    }
    ush_channel_close(&x.channel);
    return 0;
}

BOTH_TEST(channel_keeps_order_and_drains_after_close)
{
    begin();
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn(&s, produce, NULL), 0);
    int got = -1;
    for (int i = 0; i < MESSAGES; i++) {
        ck_assert_int_eq(ush_channel_recv(&x.channel, &got), 1);
        ck_assert_int_eq(got, i);
        if (i % 7 == 0)
            settle(); /* the sender runs into the bound */
    }
    ck_assert_int_eq(ush_channel_recv(&x.channel, &got), 0);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    return 0;
}

static int send_some(void *arg)
{
    for (int i = 0; i < 5; i++)
        USH_TRY(ush_channel_send(&x.channel, &(int){100 * (int)(intptr_t)arg + i}));
    return 0;
}

static int receive_all(void *arg)
{
    int got, last[CROWD], r;
    for (int i = 0; i < CROWD; i++)
        last[i] = -1;
    while ((r = ush_channel_recv(&x.channel, &got)) == 1) {
        /* One receiver sees the messages of one sender in the order they were sent. */
        if (got % 100 <= last[got / 100])
            return -EPROTO;
        last[got / 100] = got % 100;
        x.total++;
    }
    x.result[(intptr_t)arg] = r;
    return r;
}

BOTH_TEST(channel_many_to_many_loses_and_doubles_nothing)
{
    begin();
    struct ush_scope readers;
    ush_scope_open(&readers, NULL);
    for (intptr_t i = 0; i < 3; i++)
        ck_assert_int_eq(ush_spawn(&readers, receive_all, (void *)i), 0);
    ck_assert_int_eq(crowd(send_some), 0);
    ush_channel_close(&x.channel);
    ck_assert_int_eq(ush_scope_close(&readers), 0);
    ck_assert_int_eq(x.total, 5 * CROWD);
    return 0;
}

static int send_one(void *arg)
{
    int me = (int)(intptr_t)arg;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    x.scope[me] = &s;
    x.result[me] = ush_channel_send(&x.channel, &me);
    x.scope[me] = NULL;
    ush_scope_close(&s);
    return 0;
}

BOTH_TEST(channel_close_fails_waiting_senders)
{
    begin();
    struct ush_scope s;
    queue_up(&s, send_one, 6);
    int got = 9;
    ck_assert_int_eq(ush_channel_send_now(&x.channel, &got), -EAGAIN);
    ush_channel_close(&x.channel);
    ck_assert_int_eq(ush_channel_send_now(&x.channel, &got), -EPIPE);
    ck_assert_int_eq(ush_channel_send(&x.channel, &got), -EPIPE);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    for (int i = 0; i < 6; i++)
        ck_assert_int_eq(x.result[i], i < 4 ? 0 : -EPIPE);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(ush_channel_recv(&x.channel, &got), 1);
        ck_assert_int_eq(got, i);
    }
    ck_assert_int_eq(ush_channel_recv(&x.channel, &got), 0);
    return 0;
}

BOTH_TEST(channel_sender_that_is_cancelled_takes_its_message_along)
{
    begin();
    struct ush_scope s;
    queue_up(&s, send_one, 7);
    int got;
    ush_scope_cancel(x.scope[5], USH_CANCEL_ASKED);
    /* Receiving makes room for 4, which is thereby sent; the cancellation comes too late. */
    ck_assert_int_eq(ush_channel_recv(&x.channel, &got), 1);
    if (x.scope[4])
        ush_scope_cancel(x.scope[4], USH_CANCEL_ASKED);
    ck_assert_int_eq(got, 0);
    settle();
    static const int expected[] = {1, 2, 3, 4, 6};
    for (size_t i = 0; i < USH_COUNT(expected); i++) {
        ck_assert_int_eq(ush_channel_recv(&x.channel, &got), 1);
        ck_assert_int_eq(got, expected[i]);
    }
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.result[4], 0);
    ck_assert_int_eq(x.result[5], -ECANCELED);
    ck_assert_int_eq(x.channel.count, 0);
    return 0;
}

static int receive_in_scope(void *arg)
{
    int me = (int)(intptr_t)arg;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    x.scope[me] = &s;
    x.result[me] = ush_channel_recv(&x.channel, &x.served[me]);
    x.scope[me] = NULL;
    ush_scope_close(&s);
    return 0;
}

BOTH_TEST(channel_message_that_meets_the_cancellation_is_received)
{
    begin();
    struct ush_scope s;
    queue_up(&s, receive_in_scope, 3);
    ush_scope_cancel(x.scope[0], USH_CANCEL_ASKED);
    ck_assert_int_eq(ush_channel_send_now(&x.channel, &(int){41}), 0);
    ush_scope_cancel(x.scope[1], USH_CANCEL_ASKED);
    ck_assert_int_eq(ush_channel_send_now(&x.channel, &(int){42}), 0);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.result[0], -ECANCELED);
    ck_assert_int_eq(x.result[1], 1);
    ck_assert_int_eq(x.served[1], 41);
    ck_assert_int_eq(x.result[2], 1);
    ck_assert_int_eq(x.served[2], 42);
    return 0;
}

BOTH_TEST(channel_close_wakes_waiting_receivers)
{
    begin();
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (intptr_t i = 0; i < 3; i++)
        ck_assert_int_eq(ush_spawn(&s, receive_in_scope, (void *)i), 0);
    settle();
    ush_channel_close(&x.channel);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(x.result[i], 0);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("sync");
    TCase *tc = tcase_create("sync");
    both_add(tc, mutex_makes_read_and_write_one_step);
    both_add(tc, mutex_serves_in_order_of_arrival);
    both_add(tc, mutex_waiter_that_is_cancelled_leaves_the_queue);
    both_add(tc, mutex_handed_over_before_the_cancellation_is_held);
    both_add(tc, mutex_released_after_the_cancellation_goes_to_the_next);
    both_add(tc, every_wait_fails_at_once_in_a_cancelled_scope);
    both_add(tc, semaphore_lets_in_as_many_as_it_has);
    both_add(tc, semaphore_serves_in_order_of_arrival);
    both_add(tc, semaphore_permit_meets_cancellation);
    both_add(tc, event_wakes_all_and_stays_set_until_reset);
    both_add(tc, channel_keeps_order_and_drains_after_close);
    both_add(tc, channel_many_to_many_loses_and_doubles_nothing);
    both_add(tc, channel_close_fails_waiting_senders);
    both_add(tc, channel_sender_that_is_cancelled_takes_its_message_along);
    both_add(tc, channel_message_that_meets_the_cancellation_is_received);
    both_add(tc, channel_close_wakes_waiting_receivers);
    suite_add_tcase(s, tc);
    return both_main(s);
}
