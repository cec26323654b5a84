/*
 * sync_test.c - random programs over mutex, semaphore, channel, batch and offload, under seeds.
 *
 * A program is a handful of tasks, each doing some operations drawn from the seed, some inside a
 * scope with a short deadline, some cancelling each other; the backend adds its own cancellations
 * at suspensions. Whatever happens, at the end the books must balance:
 *
 *   mutex      one inside at a time; nobody holds it afterwards
 *   semaphore  at most `limit` inside; all permits are back
 *   channel    sent = received + left over, each message once; one sender's messages in order
 *   batch      an item is flushed at most once, and its submitter has the answer of that flush;
 *              who reports cancelled or full was not flushed; put items go in order; never > max
 *   offload    a job ran once if its result is there, never if cancelled or refused
 *   all        no queue holds a waiter, no run hangs, a seed gives the same hash each time
 *
 * One test walks seeds (random cancellation), one cancels programs at their 1st, 2nd, ... last
 * suspension.
 */
#include <stdio.h>

#include "explored.h"

enum { TASKS_MAX = 7, OPS_MAX = 20, MESSAGES = 256, PUTS = 128, CAPACITY_MAX = 3 };

struct sale {
    struct ush_batch_item item;
    int answer, flushed;
};

static struct world {
    struct ush_mutex mutex;
    int in_mutex;
    struct ush_semaphore semaphore;
    uint32_t in_semaphore;
    struct ush_channel channel;
    uint16_t slots[CAPACITY_MAX];
    uint16_t sent_count;                       /* numbers given out */
    int8_t sender_of[MESSAGES];                /* by number */
    int8_t sent[MESSAGES], received[MESSAGES]; /* times */
    struct ush_batch batch;
    struct sale puts[PUTS];
    int put_count, put_done, put_flushed; /* puts[0] to puts[put_flushed - 1] were flushed */
    int flushing;
    struct ush_pool *pool;
    struct ush_pool_options pool_options;
    struct ush_scope *victims[TASKS_MAX]; /* scopes that another task may cancel */
} w;

static bool is_cancel(int r)
{
    return r == -ECANCELED || r == -ETIMEDOUT;
}

static void pause_a_little(void)
{
    if (ush_sim_choose(2))
        (void)ush_sleep(ush_sim_choose(3 * USH_MS));
    else
        (void)ush_yield();
}

/* ---- operations --------------------------------------------------------------------------- */

static void use_mutex(int me)
{
    (void)me;
    int r = ush_mutex_lock(&w.mutex);
    USH_HOLDS(r == 0 || is_cancel(r));
    if (r < 0)
        return;
    USH_HOLDS(++w.in_mutex == 1);
    pause_a_little();
    w.in_mutex--;
    ush_mutex_unlock(&w.mutex);
}

static void use_semaphore(int me)
{
    (void)me;
    int r = -ECANCELED;
    if (ush_sim_choose(5))
        r = ush_semaphore_take(&w.semaphore);
    else if (ush_semaphore_try(&w.semaphore))
        r = 0;
    USH_HOLDS(r == 0 || is_cancel(r));
    if (r < 0)
        return;
    USH_HOLDS(++w.in_semaphore <= w.semaphore.limit);
    pause_a_little();
    w.in_semaphore--;
    ush_semaphore_give(&w.semaphore);
}

static void send_message(int me)
{
    if (w.sent_count == MESSAGES)
        return;
    uint16_t number = w.sent_count++;
    w.sender_of[number] = (int8_t)me;
    bool was_closed = w.channel.is_closed;
    int r = ush_sim_choose(4) ? ush_channel_send(&w.channel, &number)
                              : ush_channel_send_now(&w.channel, &number);
    USH_HOLDS(is_cancel(r) || r == -EPIPE || ((r == 0 || r == -EAGAIN) && !was_closed));
    w.sent[number] = r == 0;
}

static void receive_messages(int me)
{
    (void)me;
    int last[TASKS_MAX];
    memset(last, -1, sizeof last);
    for (uint32_t i = 1 + ush_sim_choose(4); i > 0; i--) {
        uint16_t number = UINT16_MAX;
        int r = ush_channel_recv(&w.channel, &number);
        USH_HOLDS(r == 1 || r == 0 || is_cancel(r));
        USH_HOLDS((number != UINT16_MAX) == (r == 1));
        if (r != 1)
            return;
        USH_HOLDS(number < w.sent_count && number > last[w.sender_of[number]]);
        last[w.sender_of[number]] = number;
        w.received[number]++;
    }
}

static int flush(void *ctx, struct ush_batch_item **items, size_t n)
{
    USH_HOLDS(ctx == &w);
    USH_HOLDS(n >= 1 && n <= w.batch.o.max);
    USH_HOLDS(++w.flushing == 1);
    bool fails = ush_sim_choose(4) == 0;
    int all = 0;
    for (size_t i = 0; i < n; i++) {
        struct sale *sale = USH_CONTAINER(items[i], struct sale, item);
        USH_HOLDS(++sale->flushed == 1);
        if (!sale->item.waiter)
            USH_HOLDS(sale == &w.puts[w.put_flushed++]);
        sale->answer = (int)ush_sim_choose(1000);
        items[i]->result = sale->answer;
    }
    if (ush_sim_choose(4))
        all = ush_sleep(ush_sim_choose(2 * USH_MS));
    if (fails)
        all = -EIO;
    for (size_t i = 0; i < n && all < 0; i++)
        USH_CONTAINER(items[i], struct sale, item)->answer = all;
    w.flushing--;
    return all;
}

static void submit_item(int me)
{
    (void)me;
    struct sale sale = {0};
    int r = ush_batch_submit(&w.batch, &sale.item);
    if (sale.flushed)
        USH_HOLDS(r == sale.answer);
    else
        USH_HOLDS(is_cancel(r) || r == USH_EFULL);
}

static void put_is_done(struct ush_batch_item *item, int r)
{
    struct sale *sale = USH_CONTAINER(item, struct sale, item);
    USH_HOLDS(sale->flushed == 1 && sale->answer == r);
    w.put_done++;
}

static void put_item(int me)
{
    (void)me;
    if (w.put_count == PUTS)
        return;
    int r = ush_batch_put(&w.batch, &w.puts[w.put_count].item, put_is_done);
    USH_HOLDS(r == 0 || r == USH_EFULL || is_cancel(r));
    w.put_count += r == 0;
}

static int job(void *arg)
{
    int *ran = arg;
    ++*ran;
    return 5;
}

static void offload_job(int me)
{
    (void)me;
    int ran = 0;
    struct ush_pool_stats stats = ush_pool_stats(w.pool);
    USH_HOLDS(stats.running <= w.pool_options.threads && stats.waiting <= w.pool_options.queue_max);
    int r = ush_offload(w.pool, job, &ran);
    USH_HOLDS(ran ? ran == 1 && r == 5 : is_cancel(r) || r == USH_EFULL);
}

static int count_to_two(void *arg)
{
    int *n = arg;
    ++*n;
    pause_a_little();
    if (ush_sim_choose(20) == 0)
        return -EIO;
    int cancelled = ush_cancelled();
    if (cancelled == 0)
        ++*n;
    return cancelled;
}

static void gather_some(int me)
{
    (void)me;
    int calls[5] = {0};
    int r = ush_gather(USH_COUNT(calls), ush_sim_choose(4), count_to_two, calls, sizeof calls[0]);
    USH_HOLDS(r == 0 || r == -EIO || is_cancel(r));
    for (size_t i = 0; i < USH_COUNT(calls); i++)
        USH_HOLDS(calls[i] >= 0 && calls[i] <= 2 && (r < 0 || calls[i] == 2));
}

static void cancel_somebody(int me)
{
    (void)me;
    struct ush_scope *s = w.victims[ush_sim_choose(TASKS_MAX)];
    if (s)
        ush_scope_cancel(s, USH_CANCEL_ASKED);
}

/* ---- programs ----------------------------------------------------------------------------- */

static void (*const operations[])(int me) = {
    use_mutex,   use_semaphore, send_message, receive_messages, submit_item,
    submit_item, put_item,      offload_job,  gather_some,      cancel_somebody,
};

static int run_operations(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (uint32_t i = 1 + ush_sim_choose(OPS_MAX); i > 0; i--) {
        void (*operation)(int) = operations[ush_sim_choose(USH_COUNT(operations))];
        if (ush_sim_choose(3)) {
            operation(me);
            continue;
        }
        struct ush_scope_options o = {0};
        if (ush_sim_choose(2))
            o.deadline_ns = ush_now_ns() + ush_sim_choose(4 * USH_MS);
        struct ush_scope s;
        ush_scope_open(&s, &o);
        w.victims[me] = &s;
        operation(me);
        w.victims[me] = NULL;
        ush_scope_close(&s);
    }
    return 0;
}

static void begin(struct ush_scope *home)
{
    w = (struct world){0};
    ush_mutex_init(&w.mutex, "mutex");
    ush_semaphore_init(&w.semaphore, "semaphore", 1 + ush_sim_choose(3));
    ush_channel_init(&w.channel, "channel", w.slots, sizeof w.slots[0],
                     1 + ush_sim_choose(CAPACITY_MAX));
    struct ush_batch_options batch = {.name = "batch",
                                      .max = 1 + ush_sim_choose(4),
                                      .queue_max = 1 + ush_sim_choose(5),
                                      .flush = flush,
                                      .ctx = &w};
    USH_HOLDS(ush_batch_init(&w.batch, home, &batch) == 0);
    w.pool_options = (struct ush_pool_options){
        .name = "pool", .threads = 1 + ush_sim_choose(2), .queue_max = ush_sim_choose(3)};
    w.pool = ush_pool_new(&w.pool_options);
    USH_HOLDS(w.pool != NULL);
}

static void balance_the_books(void)
{
    USH_HOLDS(w.mutex.holder == NULL && ush_list_is_empty(&w.mutex.waiters));
    USH_HOLDS(w.semaphore.free == w.semaphore.limit && ush_list_is_empty(&w.semaphore.waiters));
    USH_HOLDS(ush_list_is_empty(&w.channel.senders) && ush_list_is_empty(&w.channel.receivers));
    for (uint32_t i = 0; i < w.channel.count; i++)
        w.received[w.slots[(w.channel.first + i) % w.channel.capacity]]++;
    for (int i = 0; i < MESSAGES; i++)
        USH_HOLDS(w.sent[i] == w.received[i]);
    USH_HOLDS(w.batch.count == 0 && !w.batch.is_flushing && ush_list_is_empty(&w.batch.waiting));
    USH_HOLDS(w.put_done == w.put_count && w.put_flushed == w.put_count);
    struct ush_pool_stats stats = ush_pool_stats(w.pool);
    USH_HOLDS(stats.running == 0 && stats.waiting == 0);
}

/* The deadline is what ends receivers to whom nobody sends anything. */
static int program(void *unused)
{
    (void)unused;
    struct ush_scope home, work;
    ush_scope_open(&home, &(struct ush_scope_options){.name = "home", .keep_going = true});
    begin(&home);
    ush_scope_open(&work, &(struct ush_scope_options){.name = "work",
                                                      .deadline_ns = ush_now_ns() + USH_SECOND,
                                                      .keep_going = true});
    for (intptr_t i = 1 + ush_sim_choose(TASKS_MAX); i > 0; i--)
        ush_spawn(&work, run_operations, (void *)(i - 1));
    if (ush_sim_choose(2)) {
        (void)ush_sleep(10 * USH_MS);
        ush_channel_close(&w.channel);
    }
    ush_scope_close(&work);
    ush_scope_close(&home);
    balance_the_books();
    ush_batch_fini(&w.batch);
    ush_pool_free(w.pool);
    return 0;
}

/* ---- tests -------------------------------------------------------------------------------- */

START_TEST(the_books_balance_under_every_seed)
{
    const struct ush_explore_options o = {
        .name = "sync",
        .schedules = 10000,
        .twice_every = 10,
        .sim = {.cancel_permille = 25, .delay_ns_max = 2 * USH_MS},
    };
    explored(&o, program, NULL);
}
END_TEST

START_TEST(cancelled_at_each_suspension_in_turn)
{
    const struct ush_explore_options o = {
        .name = "sync-cut",
        .strategy = USH_EXPLORE_CUT,
        .schedules = 10000,
        .sim.delay_ns_max = USH_MS,
    };
    explored(&o, program, NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim/sync");
    TCase *tc = tcase_create("programs");
    tcase_add_test(tc, the_books_balance_under_every_seed);
    tcase_add_test(tc, cancelled_at_each_suspension_in_turn);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
