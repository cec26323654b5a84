/*
 * batch_test.c - group commit: what piles up goes together, in order, at most `max`; who may still
 * withdraw and who has to wait for the truth.
 */
#include "both.h"

enum { ITEMS = 40, MAX = 8 };

struct sale {
    struct ush_batch_item item;
    int number;
    int result;
    int done;
    struct ush_scope *scope;
};

static struct {
    struct ush_batch batch;
    struct ush_semaphore gate; /* a flush takes one permit to go on */
    struct sale sales[ITEMS];
    int flushed[ITEMS];
    size_t sizes[ITEMS];
    size_t flushes, count;
    int fail; /* what a flush returns */
    int doubled;
} x;

static int flush(void *ctx, struct ush_batch_item **items, size_t n)
{
    ck_assert_ptr_eq(ctx, &x);
    ck_assert(n >= 1 && n <= MAX);
    x.sizes[x.flushes++] = n;
    for (size_t i = 0; i < n; i++) {
        struct sale *sale = USH_CONTAINER(items[i], struct sale, item);
        x.flushed[x.count++] = sale->number;
        items[i]->result = sale->number + 1000;
    }
    USH_TRY(ush_semaphore_take(&x.gate));
    return x.fail;
}

static void settle(void)
{
    for (int i = 0; i < 20 * ITEMS; i++)
        ck_assert_int_eq(ush_yield(), 0);
}

static void begin(struct ush_scope *home)
{
    memset(&x, 0, sizeof x);
    ush_semaphore_init(&x.gate, "gate", 100);
    x.gate.free = 0;
    struct ush_batch_options o = {
        .name = "sales", .max = MAX, .queue_max = 20, .flush = flush, .ctx = &x};
    ck_assert_int_eq(ush_batch_init(&x.batch, home, &o), 0);
    for (int i = 0; i < ITEMS; i++)
        x.sales[i] = (struct sale){.number = i, .result = 1};
}

static int buy(void *arg)
{
    struct sale *sale = arg;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    sale->scope = &s;
    sale->result = ush_batch_submit(&x.batch, &sale->item);
    sale->scope = NULL;
    sale->done++;
    ush_scope_close(&s);
    return 0;
}

/* Submits sales first..last, each surely queued before the next. */
static void submit(struct ush_scope *s, int first, int last)
{
    for (int i = first; i <= last; i++) {
        ck_assert_int_eq(ush_spawn(s, buy, &x.sales[i]), 0);
        settle();
    }
}

static void open_gate(int flushes)
{
    while (flushes-- > 0)
        ush_semaphore_give(&x.gate);
}

BOTH_TEST(an_idle_batch_flushes_at_once)
{
    struct ush_scope home, s;
    ush_scope_open(&home, NULL);
    begin(&home);
    ush_scope_open(&s, NULL);
    submit(&s, 0, 0);
    ck_assert_uint_eq(x.flushes, 1);
    ck_assert_int_eq(x.sales[0].done, 0); /* nobody is answered before the commit */
    open_gate(1);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.sales[0].result, 1000);
    /* Nothing waits, so the flushing task has ended and the home can close. */
    ck_assert_int_eq(ush_scope_close(&home), 0);
    ush_batch_fini(&x.batch);
    return 0;
}

BOTH_TEST(what_piles_up_goes_together_in_order)
{
    struct ush_scope home, s;
    ush_scope_open(&home, NULL);
    begin(&home);
    ush_scope_open(&s, NULL);
    submit(&s, 0, 14);
    ck_assert_uint_eq(x.flushes, 1);
    ck_assert_uint_eq(x.batch.count, 14);
    open_gate(1);
    settle();
    ck_assert_uint_eq(x.sizes[1], MAX);
    ck_assert_int_eq(x.sales[0].result, 1000);
    ck_assert_int_eq(x.sales[1].done, 0);
    open_gate(2);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_uint_eq(x.flushes, 3);
    ck_assert_uint_eq(x.sizes[2], 14 - MAX);
    for (int i = 0; i < 15; i++) {
        ck_assert_int_eq(x.flushed[i], i);
        ck_assert_int_eq(x.sales[i].result, 1000 + i);
    }
    ck_assert_uint_eq(x.batch.flushes, 3);
    ck_assert_uint_eq(x.batch.items, 15);
    ush_scope_close(&home);
    ush_batch_fini(&x.batch);
    return 0;
}

BOTH_TEST(a_full_queue_refuses_without_waiting)
{
    struct ush_scope home, s;
    ush_scope_open(&home, NULL);
    begin(&home);
    ush_scope_open(&s, NULL);
    submit(&s, 0, 21); /* one in the flush, twenty in the queue, one too many */
    ck_assert_int_eq(x.sales[21].result, USH_EFULL);
    ck_assert_int_eq(x.sales[20].done, 0);
    open_gate(4);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    for (int i = 0; i < 21; i++)
        ck_assert_int_eq(x.sales[i].result, 1000 + i);
    ush_scope_close(&home);
    ush_batch_fini(&x.batch);
    return 0;
}

BOTH_TEST(a_failed_flush_fails_all_of_its_items_only)
{
    struct ush_scope home, s;
    ush_scope_open(&home, NULL);
    begin(&home);
    ush_scope_open(&s, NULL);
    submit(&s, 0, 3);
    x.fail = -EIO;
    open_gate(1);
    settle();
    x.fail = 0;
    open_gate(1);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.sales[0].result, -EIO);
    for (int i = 1; i <= 3; i++)
        ck_assert_int_eq(x.sales[i].result, 1000 + i);
    ush_scope_close(&home);
    ush_batch_fini(&x.batch);
    return 0;
}

BOTH_TEST(who_waits_may_withdraw_who_is_taken_waits_for_the_truth)
{
    struct ush_scope home, s;
    ush_scope_open(&home, NULL);
    begin(&home);
    ush_scope_open(&s, NULL);
    submit(&s, 0, 3);
    ush_scope_cancel(x.sales[0].scope, USH_CANCEL_CLIENT); /* taken */
    ush_scope_cancel(x.sales[2].scope, USH_CANCEL_CLIENT); /* in the queue */
    settle();
    ck_assert_int_eq(x.sales[0].done, 0);
    ck_assert_int_eq(x.sales[2].result, -ECANCELED);
    open_gate(2);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.sales[0].result, 1000);
    ck_assert_int_eq(x.sales[1].result, 1001);
    ck_assert_int_eq(x.sales[3].result, 1003);
    ck_assert_uint_eq(x.count, 3);
    for (size_t i = 0; i < x.count; i++)
        ck_assert_int_ne(x.flushed[i], 2);
    ush_scope_close(&home);
    ush_batch_fini(&x.batch);
    return 0;
}

BOTH_TEST(all_withdrawn_leaves_nothing_to_flush)
{
    struct ush_scope home, s;
    ush_scope_open(&home, NULL);
    begin(&home);
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn(&s, buy, &x.sales[0]), 0);
    settle();
    ck_assert_int_eq(ush_spawn(&s, buy, &x.sales[1]), 0);
    settle();
    ush_scope_cancel(x.sales[1].scope, USH_CANCEL_CLIENT);
    open_gate(1);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.sales[1].result, -ECANCELED);
    ck_assert_uint_eq(x.flushes, 1);
    ush_scope_close(&home);
    ush_batch_fini(&x.batch);
    return 0;
}

BOTH_TEST(a_cancelled_home_leaves_no_waiter)
{
    struct ush_scope home, s;
    ush_scope_open(&home, NULL);
    begin(&home);
    ush_scope_open(&s, NULL);
    submit(&s, 0, 12);
    ush_scope_cancel(&home, USH_CANCEL_SHUTDOWN);
    /* Closing inner scopes first is the rule, but the children of `s` are done by now. */
    int r = ush_scope_close(&s);
    ck_assert_int_le(r, 0);
    for (int i = 0; i <= 12; i++)
        ck_assert_int_eq(x.sales[i].result, -ECANCELED);
    ck_assert_int_eq(ush_batch_submit(&x.batch, &x.sales[20].item), -ECANCELED);
    ush_scope_close(&home);
    ck_assert_uint_eq(x.batch.count, 0);
    ush_batch_fini(&x.batch);
    return 0;
}

static void sold(struct ush_batch_item *item, int result)
{
    struct sale *sale = USH_CONTAINER(item, struct sale, item);
    sale->result = result;
    sale->done++;
    /* The item is free again: it may go round once more. */
    if (sale->number == 0 && sale->done == 1)
        ck_assert_int_eq(ush_batch_put(&x.batch, item, sold), 0);
}

BOTH_TEST(put_calls_back_on_the_batch_task)
{
    struct ush_scope home;
    ush_scope_open(&home, NULL);
    begin(&home);
    open_gate(10);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ush_batch_put(&x.batch, &x.sales[i].item, sold), 0);
    ck_assert_uint_eq(x.flushes, 0); /* never inside the call */
    settle();
    ck_assert_int_eq(ush_scope_close(&home), 0);
    ck_assert_uint_eq(x.sizes[0], 3);
    ck_assert_uint_eq(x.sizes[1], 1);
    ck_assert_int_eq(x.sales[0].done, 2);
    for (int i = 1; i < 3; i++) {
        ck_assert_int_eq(x.sales[i].done, 1);
        ck_assert_int_eq(x.sales[i].result, 1000 + i);
    }
    ush_batch_fini(&x.batch);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("batch");
    TCase *tc = tcase_create("batch");
    both_add(tc, an_idle_batch_flushes_at_once);
    both_add(tc, what_piles_up_goes_together_in_order);
    both_add(tc, a_full_queue_refuses_without_waiting);
    both_add(tc, a_failed_flush_fails_all_of_its_items_only);
    both_add(tc, who_waits_may_withdraw_who_is_taken_waits_for_the_truth);
    both_add(tc, all_withdrawn_leaves_nothing_to_flush);
    both_add(tc, a_cancelled_home_leaves_no_waiter);
    both_add(tc, put_calls_back_on_the_batch_task);
    suite_add_tcase(s, tc);
    return both_main(s);
}
