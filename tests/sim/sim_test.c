/*
 * sim_test.c - what the simulation promises about itself: virtual time, one hash per seed, the wait
 * graph of a deadlock, an end for what has none, and orders that find a race.
 */
#include "../slow.h"
#include "../unit/task/both.h"

#include <time.h>

static int64_t real_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * USH_SECOND + t.tv_nsec;
}

/* ---- time ------------------------------------------------------------------------------------ */

static int call_the_mail_server(void *arg)
{
    int r = ush_sleep(2 * USH_SECOND);
    ++*(int *)arg;
    return r;
}

static int hundred_students(void *arg)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (int i = 0; i < 100; i++)
        ush_spawn(&s, call_the_mail_server, arg);
    return ush_scope_close(&s);
}

START_TEST(waiting_takes_no_time)
{
    int answered = 0;
    struct ush_sim_report report;
    int64_t start = real_ns();
    struct ush_sim_options o = {.seed = 1, .order = USH_SIM_RANDOM};
    ck_assert_int_eq(ush_sim_run(&o, hundred_students, &answered, &report), 0);
    ck_assert_int_eq(answered, 100);
    ck_assert_int_eq(report.virtual_ns, 2 * USH_SECOND);
    ck_assert_int_lt(real_ns() - start, allow(1000) * USH_MS);
}
END_TEST

static int ask_the_clocks(void *unused)
{
    (void)unused;
    int64_t wall = ush_wall_ms(), now = ush_now_ns();
    ck_assert_int_eq(wall, INT64_C(1773405000000)); /* 2026-03-13T12:30:00Z */
    ck_assert_int_eq(ush_sleep(3600 * USH_SECOND), 0);
    ck_assert_int_eq(ush_wall_ms() - wall, 3600 * 1000);
    ck_assert_int_eq(ush_now_ns() - now, 3600 * USH_SECOND);
    ck_assert(ush_is_sim());
    return 0;
}

START_TEST(clocks_agree)
{
    ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){0}, ask_the_clocks, NULL, NULL), 0);
}
END_TEST

/* ---- one seed, one run ----------------------------------------------------------------------- */

static int mixture(void *arg)
{
    uint64_t *chance = arg;
    int fds[2];
    ush_random(chance, sizeof *chance);
    ush_socketpair(fds);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    int answered = 0;
    for (int i = 0; i < 10; i++)
        ush_spawn(&s, call_the_mail_server, &answered);
    char bytes[100];
    ush_send(fds[0], bytes, sizeof bytes);
    while (ush_recv(fds[1], bytes, sizeof bytes) > 0 && ush_sim_choose(4) > 0)
        ush_send(fds[0], bytes, sizeof bytes);
    return ush_scope_close(&s);
}

START_TEST(a_seed_repeats_itself)
{
    struct ush_sim_options o = {.order = (enum ush_sim_order)_i,
                                .short_permille = 200,
                                .reset_permille = 20,
                                .cancel_permille = 5,
                                .delay_ns_max = USH_MS};
    uint64_t hashes[50];
    for (o.seed = 0; o.seed < 50; o.seed++) {
        struct ush_sim_report first, second;
        uint64_t a, b;
        int r = ush_sim_run(&o, mixture, &a, &first);
        ck_assert_int_eq(ush_sim_run(&o, mixture, &b, &second), r);
        ck_assert_uint_eq(a, b);
        ck_assert_mem_eq(&first, &second, offsetof(struct ush_sim_report, text));
        hashes[o.seed] = first.hash;
        for (uint64_t i = 0; i < o.seed && o.order != USH_SIM_FIFO; i++) /* that has few choices */
            ck_assert_uint_ne(hashes[i], first.hash);
    }
}
END_TEST

/* ---- runs that cannot end -------------------------------------------------------------------- */

static struct ush_mutex till, ledger;

static int lock_both(struct ush_mutex *first, struct ush_mutex *second)
{
    USH_TRY(ush_mutex_lock(first));
    ush_sleep(USH_MS);
    int r = ush_mutex_lock(second);
    if (r == 0)
        ush_mutex_unlock(second);
    ush_mutex_unlock(first);
    return r;
}

static int pay(void *unused)
{
    (void)unused;
    return lock_both(&till, &ledger);
}

static int refund(void *unused)
{
    (void)unused;
    return lock_both(&ledger, &till);
}

static int embrace(void *arg)
{
    ush_mutex_init(&till, "till");
    ush_mutex_init(&ledger, "ledger");
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, pay, NULL);
    ush_spawn(&s, refund, NULL);
    *(int *)arg = ush_scope_close(&s);
    return 0;
}

START_TEST(deadlock_shows_who_waits_for_whom)
{
    int closed = 0;
    struct ush_sim_report report;
    struct ush_sim_options o = {.order = (enum ush_sim_order)_i};
    ck_assert_int_eq(ush_sim_run(&o, embrace, &closed, &report), USH_EDEADLOCK);
    ck_assert_int_eq(closed, -ECANCELED); /* then everybody could clean up */
    static const char *const parts[] = {"deadlock:", "\"pay\"",    "\"refund\"",
                                        "\"till\"",  "\"ledger\"", "held by"};
    for (size_t i = 0; i < USH_COUNT(parts); i++)
        ck_assert_msg(strstr(report.text, parts[i]), "%s is not in:\n%s", parts[i], report.text);
}
END_TEST

static int wait_for_nobody(void *arg)
{
    struct ush_event never;
    ush_event_init(&never, "godot");
    *(int *)arg = ush_event_wait(&never);
    return 0;
}

START_TEST(waiting_for_nobody_is_a_deadlock)
{
    int result = 0;
    struct ush_sim_report report;
    ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){0}, wait_for_nobody, &result, &report),
                     USH_EDEADLOCK);
    ck_assert_int_eq(result, -ECANCELED);
    ck_assert_ptr_nonnull(strstr(report.text, "godot"));
}
END_TEST

static int spin_for_ever(void *arg)
{
    bool is_deaf = *(bool *)arg;
    while (ush_yield() == 0 || is_deaf)
        ;
    return 0;
}

START_TEST(an_endless_run_is_ended)
{
    bool is_deaf = _i; /* even if it does not listen */
    struct ush_sim_report report;
    struct ush_sim_options o = {.order = USH_SIM_RANDOM, .steps_max = 5000};
    ck_assert_int_eq(ush_sim_run(&o, spin_for_ever, &is_deaf, &report), USH_EDEADLOCK);
    ck_assert_ptr_nonnull(strstr(report.text, "does not end"));
    ck_assert_uint_le(report.decisions, 5002);
}
END_TEST

/* ---- finding a race -------------------------------------------------------------------------- */

struct account {
    int balance;
};

/* Read, wait, write: what a single thread does not protect from. */
static int deposit(void *arg)
{
    struct account *a = arg;
    int balance = a->balance;
    USH_TRY(ush_yield());
    a->balance = balance + 1;
    return 0;
}

static int two_deposits(void *arg)
{
    struct account *a = arg;
    a->balance = 0;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, deposit, a);
    ush_spawn(&s, deposit, a);
    return ush_scope_close(&s);
}

START_TEST(orders_find_the_lost_update)
{
    struct account a;
    int lost = 0, kept = 0;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct ush_sim_options o = {.seed = seed, .order = (enum ush_sim_order)_i};
        ck_assert_int_eq(ush_sim_run(&o, two_deposits, &a, NULL), 0);
        a.balance == 2 ? kept++ : lost++;
    }
    ck_assert_int_gt(lost, 20);
    ck_assert_int_gt(kept, 20);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim/sim");
    TCase *tc = tcase_create("sim");
    tcase_add_test(tc, waiting_takes_no_time);
    tcase_add_test(tc, clocks_agree);
    tcase_add_loop_test(tc, a_seed_repeats_itself, USH_SIM_FIFO, USH_SIM_PCT + 1);
    tcase_add_loop_test(tc, deadlock_shows_who_waits_for_whom, USH_SIM_FIFO, USH_SIM_PCT + 1);
    tcase_add_test(tc, waiting_for_nobody_is_a_deadlock);
    tcase_add_loop_test(tc, an_endless_run_is_ended, 0, 2);
    tcase_add_loop_test(tc, orders_find_the_lost_update, USH_SIM_RANDOM, USH_SIM_PCT + 1);
    suite_add_tcase(s, tc);
    return both_main(s);
}
