/*
 * gather_test.c - ush_gather: all together, the cap, the first failure, cancellation from outside.
 */
#include "both.h"

struct item {
    int in, out;
};

static struct {
    int running, most, calls, meeting;
    struct ush_event all_here;
} seen;

static int wait_a_moment(void *arg)
{
    struct item *it = arg;
    seen.calls++;
    if (++seen.running > seen.most)
        seen.most = seen.running;
    int r = ush_sleep(it->in * (int64_t)USH_MS / 10);
    seen.running--;
    it->out = it->in * 2;
    return r;
}

static void fill(struct item *items, int n)
{
    memset(&seen, 0, sizeof seen);
    ush_event_init(&seen.all_here, "all here");
    for (int i = 0; i < n; i++)
        items[i] = (struct item){.in = i + 1};
}

/* Ends only if all of the others have begun. */
static int meet(void *arg)
{
    if (++seen.calls == seen.meeting)
        ush_event_set(&seen.all_here);
    USH_TRY(ush_event_wait(&seen.all_here));
    return wait_a_moment(arg);
}

BOTH_TEST(all_items_are_called_once_and_together)
{
    struct item items[20];
    fill(items, 20);
    seen.meeting = 20;
    ck_assert_int_eq(ush_gather(20, 0, meet, items, sizeof *items), 0);
    ck_assert_int_eq(seen.calls, 40);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(items[i].out, 2 * (i + 1));
    return 0;
}

BOTH_TEST(the_cap_is_kept_and_used)
{
    struct item items[20];
    fill(items, 20);
    seen.meeting = 3;
    ck_assert_int_eq(ush_gather(20, 3, meet, items, sizeof *items), 0);
    ck_assert_int_eq(seen.calls, 40);
    ck_assert_int_eq(seen.most, 3);
    return 0;
}

BOTH_TEST(nothing_to_do_is_done_at_once)
{
    ck_assert_int_eq(ush_gather(0, 0, wait_a_moment, NULL, 0), 0);
    ck_assert_int_eq(ush_gather(0, 7, wait_a_moment, NULL, 0), 0);
    return 0;
}

static int third_fails(void *arg)
{
    struct item *it = arg;
    seen.calls++;
    if (it->in == 3)
        return -EIO;
    int r = ush_sleep(10 * USH_SECOND);
    it->out = r;
    return r;
}

BOTH_TEST(the_first_failure_cancels_the_rest)
{
    struct item items[20];
    fill(items, 20);
    int64_t start = ush_now_ns();
    ck_assert_int_eq(ush_gather(20, 5, third_fails, items, sizeof *items), -EIO);
    ck_assert(ush_now_ns() - start < 9 * USH_SECOND);
    ck_assert_int_le(seen.calls, 5);
    for (int i = 0; i < 20; i++)
        ck_assert(items[i].out == 0 || items[i].out == -ECANCELED);
    return 0;
}

static int fifth_fails_and_none_waits(void *arg)
{
    struct item *it = arg;
    it->out = seen.calls; /* calls that failed before this one began */
    if (it->in != 5)
        return 0;
    seen.calls++;
    return -EIO;
}

BOTH_TEST(nothing_begins_after_a_failure)
{
    struct item items[20];
    fill(items, 20);
    ck_assert_int_eq(ush_gather(20, 3, fifth_fails_and_none_waits, items, sizeof *items), -EIO);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(items[i].out, 0);
    return 0;
}

BOTH_TEST(a_deadline_around_it_ends_it)
{
    struct item items[4];
    fill(items, 4);
    items[2].in = 1000000;
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + 5 * USH_MS});
    ck_assert_int_eq(ush_gather(4, 0, wait_a_moment, items, sizeof *items), -ETIMEDOUT);
    ck_assert_int_eq(seen.running, 0);
    /* Level-triggered: the next one does not even begin. */
    seen.calls = 0;
    ck_assert_int_eq(ush_gather(4, 0, wait_a_moment, items, sizeof *items), -ETIMEDOUT);
    ck_assert_int_eq(seen.calls, 0);
    ush_scope_close(&s);
    return 0;
}

static struct ush_scope *around;

static int last_one_cancels(void *arg)
{
    struct item *it = arg;
    if (it->in == 4)
        ush_scope_cancel(around, USH_CANCEL_ASKED);
    it->out = 1;
    return 0;
}

BOTH_TEST(finished_work_is_a_success_though_cancelled)
{
    struct item items[4];
    fill(items, 4);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    around = &s;
    ck_assert_int_eq(ush_gather(4, 1, last_one_cancels, items, sizeof *items), 0);
    ck_assert_int_eq(items[3].out, 1);
    ck_assert_int_eq(ush_cancelled(), -ECANCELED);
    ush_scope_close(&s);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("gather");
    TCase *tc = tcase_create("gather");
    both_add(tc, all_items_are_called_once_and_together);
    both_add(tc, the_cap_is_kept_and_used);
    both_add(tc, nothing_to_do_is_done_at_once);
    both_add(tc, the_first_failure_cancels_the_rest);
    both_add(tc, nothing_begins_after_a_failure);
    both_add(tc, a_deadline_around_it_ends_it);
    both_add(tc, finished_work_is_a_success_though_cancelled);
    suite_add_tcase(s, tc);
    return both_main(s);
}
