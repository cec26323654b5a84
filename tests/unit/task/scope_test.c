/*
 * scope_test.c - what a scope promises, one case each, over every backend. The same rules over
 * random programs are in tests/sim/scope_test.c.
 */
#include "../../slow.h"
#include "both.h"

#include <signal.h>

static int sleep_ms(void *arg)
{
    return ush_sleep((intptr_t)arg * USH_MS);
}

static int fail_with(void *arg)
{
    (void)ush_yield();
    return (int)(intptr_t)arg;
}

struct count {
    int begun, ended, code;
};

static int wait_for_cancel(void *arg)
{
    struct count *c = arg;
    c->begun++;
    c->code = ush_park_until_cancelled();
    c->ended++;
    return c->code;
}

BOTH_TEST(close_waits_for_all)
{
    struct ush_scope s;
    int64_t start = ush_now_ns();
    ush_scope_open(&s, NULL);
    for (intptr_t i = 0; i < 20; i++)
        ck_assert_int_eq(ush_spawn(&s, sleep_ms, (void *)i), 0);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_ge(ush_now_ns() - start, 19 * USH_MS);
    ck_assert_int_eq(ush_loop_stats().tasks, 1);
    return 0;
}

BOTH_TEST(first_failure_cancels_siblings)
{
    struct ush_scope s;
    struct count c = {0};
    ush_scope_open(&s, NULL);
    ush_spawn(&s, wait_for_cancel, &c);
    ush_yield(); /* so that it waits before the failure */
    ush_spawn(&s, fail_with, (void *)(intptr_t)-EIO);
    ck_assert_int_eq(ush_scope_close(&s), -EIO);
    ck_assert_int_eq(c.begun, c.ended);
    if (c.begun)
        ck_assert_int_eq(c.code, -ECANCELED);
    return 0;
}

BOTH_TEST(keep_going_lets_siblings_live)
{
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.keep_going = true});
    ush_spawn(&s, fail_with, (void *)(intptr_t)-EIO);
    ush_spawn(&s, sleep_ms, (void *)5);
    ck_assert_int_eq(ush_sleep(2 * USH_MS), 0); /* the opener is not disturbed either */
    ck_assert_int_eq(ush_scope_close(&s), -EIO);
    ck_assert_uint_eq(s.failed, 1);
    return 0;
}

BOTH_TEST(deadline_ends_all_waits)
{
    struct ush_scope s;
    struct count c = {0};
    int64_t start = ush_now_ns();
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = start + 5 * USH_MS});
    ck_assert_int_eq(ush_deadline_ns(), start + 5 * USH_MS);
    ck_assert_int_le(ush_remaining_ns(), 5 * USH_MS);
    ush_spawn(&s, wait_for_cancel, &c);
    ck_assert_int_eq(ush_sleep(USH_SECOND), -ETIMEDOUT);
    ck_assert_int_eq(ush_sleep(0), -ETIMEDOUT);
    ck_assert_int_eq(ush_yield(), -ETIMEDOUT);
    ck_assert_int_eq(ush_spawn(&s, sleep_ms, NULL), -ECANCELED);
    ck_assert_int_eq(ush_scope_close(&s), -ETIMEDOUT);
    ck_assert_int_eq(c.code, c.begun ? -ETIMEDOUT : 0);
    ck_assert_int_eq(ush_cancelled(), 0);
    ck_assert_int_lt(ush_now_ns() - start, allow(500) * USH_MS);
    return 0;
}

BOTH_TEST(deadline_that_has_passed)
{
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns()});
    ck_assert_int_eq(ush_cancelled(), -ETIMEDOUT);
    ck_assert_int_eq(ush_yield(), -ETIMEDOUT);
    ck_assert_int_eq(ush_remaining_ns(), 0);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    return 0;
}

BOTH_TEST(inner_deadline_is_never_later)
{
    struct ush_scope outer, inner;
    int64_t start = ush_now_ns();
    ush_scope_open(&outer, &(struct ush_scope_options){.deadline_ns = start + 5 * USH_MS});
    ush_scope_open(&inner, &(struct ush_scope_options){.deadline_ns = start + USH_SECOND});
    ck_assert_int_eq(ush_deadline_ns(), start + 5 * USH_MS);
    ck_assert_int_eq(ush_sleep(USH_SECOND), -ETIMEDOUT);
    ck_assert_int_eq(ush_scope_close(&inner), 0);
    ck_assert_int_eq(ush_cancelled(), -ETIMEDOUT);
    ck_assert_int_eq(ush_scope_close(&outer), 0);
    return 0;
}

BOTH_TEST(lifted_deadline_does_not_come)
{
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + 2 * USH_MS});
    ush_scope_lift_deadline(&s);
    ck_assert_int_eq(ush_deadline_ns(), USH_NEVER);
    ck_assert_int_eq(ush_sleep(5 * USH_MS), 0);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    return 0;
}

BOTH_TEST(shield_keeps_cancellation_out)
{
    struct ush_scope outer, shield;
    ush_scope_open(&outer, NULL);
    ush_scope_cancel(&outer, USH_CANCEL_ASKED);
    ck_assert_int_eq(ush_sleep(0), -ECANCELED);
    ush_scope_open(&shield, &(struct ush_scope_options){.shield = true, .deadline_ns = USH_NEVER});
    ck_assert_int_eq(ush_sleep(USH_MS), 0);
    ck_assert_int_eq(ush_scope_close(&shield), 0);
    int64_t deadline = ush_now_ns() + 5 * USH_MS;
    ush_scope_open(&shield, &(struct ush_scope_options){.shield = true, .deadline_ns = deadline});
    ck_assert_int_eq(ush_sleep(USH_SECOND), -ETIMEDOUT); /* not for ever */
    ck_assert_int_eq(ush_scope_close(&shield), 0);
    ck_assert_int_eq(ush_sleep(0), -ECANCELED);
    ck_assert_int_eq(ush_scope_close(&outer), 0);
    return 0;
}

static int open_and_wait(void *arg)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    struct count *c = arg;
    ush_spawn(&s, wait_for_cancel, c);
    int r = ush_scope_close(&s);
    ck_assert_int_eq(s.reason, c->begun || r ? USH_CANCEL_CLIENT : s.reason);
    return r;
}

BOTH_TEST(cancel_reaches_nested_scopes)
{
    struct ush_scope s;
    struct count c = {0};
    ush_scope_open(&s, NULL);
    ush_spawn(&s, open_and_wait, &c);
    for (int i = 0; c.begun == 0 && i < 1000; i++)
        ush_yield();
    ck_assert_int_eq(c.begun, 1);
    ush_scope_cancel(&s, USH_CANCEL_CLIENT);
    ush_scope_cancel(&s, USH_CANCEL_SHUTDOWN); /* the first reason stays */
    ck_assert_int_eq(s.reason, USH_CANCEL_CLIENT);
    ck_assert_int_eq(ush_scope_close(&s), -ECANCELED);
    ck_assert_int_eq(c.ended, 1);
    return 0;
}

/* A result and a cancellation that arrive together: the result wins. */
static int set_and_cancel(void *arg)
{
    struct {
        struct ush_event e;
        struct ush_scope *s;
    } *both = arg;
    while (ush_list_is_empty(&both->e.waiters))
        ush_yield();
    ush_event_set(&both->e);
    ush_scope_cancel(both->s, USH_CANCEL_ASKED);
    return 0;
}

BOTH_TEST(result_wins_over_cancellation)
{
    struct {
        struct ush_event e;
        struct ush_scope *s;
    } both;
    struct ush_scope outer, inner;
    ush_event_init(&both.e, "result");
    both.s = &inner;
    ush_scope_open(&outer, NULL);
    ush_scope_open(&inner, NULL);
    ush_spawn(&outer, set_and_cancel, &both);
    ck_assert_int_eq(ush_event_wait(&both.e), 0);
    ck_assert_int_eq(ush_event_wait(&both.e), -ECANCELED); /* from now on */
    ck_assert_int_eq(ush_scope_close(&inner), 0);
    ck_assert_int_eq(ush_scope_close(&outer), 0);
    return 0;
}

static int spawn_into(void *arg)
{
    return ush_spawn(arg, sleep_ms, (void *)3);
}

BOTH_TEST(child_may_spawn_siblings)
{
    struct ush_scope s;
    int64_t start = ush_now_ns();
    ush_scope_open(&s, NULL);
    ush_spawn(&s, spawn_into, &s);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_ge(ush_now_ns() - start, 3 * USH_MS);
    return 0;
}

/* ---- bugs that end the process --------------------------------------------------------------- */

static int close_in_wrong_order(void *unused)
{
    (void)unused;
    struct ush_scope outer, inner;
    ush_scope_open(&outer, NULL);
    ush_scope_open(&inner, NULL);
    return ush_scope_close(&outer);
}

START_TEST(wrong_order_of_closing_is_a_bug)
{
    both_run(BOTH_EPOLL, close_in_wrong_order);
}
END_TEST

static int leave_open(void *unused)
{
    (void)unused;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    return 0;
}

START_TEST(returning_with_an_open_scope_is_a_bug)
{
    both_run(BOTH_EPOLL, leave_open);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("scope");
    TCase *tc = tcase_create("scope");
    both_add(tc, close_waits_for_all);
    both_add(tc, first_failure_cancels_siblings);
    both_add(tc, keep_going_lets_siblings_live);
    both_add(tc, deadline_ends_all_waits);
    both_add(tc, deadline_that_has_passed);
    both_add(tc, inner_deadline_is_never_later);
    both_add(tc, lifted_deadline_does_not_come);
    both_add(tc, shield_keeps_cancellation_out);
    both_add(tc, cancel_reaches_nested_scopes);
    both_add(tc, result_wins_over_cancellation);
    both_add(tc, child_may_spawn_siblings);
    tcase_add_test_raise_signal(tc, wrong_order_of_closing_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, returning_with_an_open_scope_is_a_bug, SIGABRT);
    suite_add_tcase(s, tc);
    return both_main(s);
}
