/*
 * timer_test.c - alarms in the heap and lists of equal waits.
 */
#include "both.h"

#include "task/task.h"

enum { ALARMS = 500, ROUNDS = 20000 };

struct numbered {
    struct ush_alarm alarm;
    int64_t fired_at;
};

static int64_t last_moment;
static int fired;

static void note(struct ush_alarm *a)
{
    ck_assert_int_ge(a->at_ns, last_moment); /* in order */
    ck_assert_int_ge(ush_now_ns(), a->at_ns);
    ck_assert_uint_eq(a->id, 0);
    last_moment = a->at_ns;
    fired++;
}

/* Set, moved and cleared at random: those that are left come in order, each once. */
static int random_alarms(void *unused)
{
    (void)unused;
    static struct ush_alarm alarms[ALARMS];
    memset(alarms, 0, sizeof alarms);
    int64_t start = ush_now_ns();
    for (int i = 0; i < ROUNDS; i++) {
        struct ush_alarm *a = &alarms[ush_sim_choose(ALARMS)];
        if (ush_sim_choose(3) == 0)
            ush_alarm_clear(a);
        else
            ush_alarm_set(a, start + 1 + ush_sim_choose(1000), note);
        const struct ush__timers *h = &ush__loop->timers;
        ck_assert_int_le(h->count, ALARMS);
    }
    int set = 0;
    for (int i = 0; i < ALARMS; i++)
        set += alarms[i].id != 0;
    ck_assert_int_gt(set, ALARMS / 4);
    fired = 0;
    last_moment = 0;
    ck_assert_int_eq(ush_sleep(2000), 0);
    ck_assert_int_eq(fired, set);
    ck_assert_int_eq(ush__loop->timers.count, 0);
    return 0;
}

START_TEST(heap_keeps_its_order)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct ush_sim_options o = {.seed = seed};
        ck_assert_int_eq(ush_sim_run(&o, random_alarms, NULL, NULL), 0);
    }
}
END_TEST

static int again_count;

static void again(struct ush_alarm *a)
{
    if (++again_count < 100)
        ush_alarm_set(a, a->at_ns, again); /* a moment that has come already */
}

BOTH_TEST(alarm_may_set_itself_again)
{
    struct ush_alarm a = {0};
    again_count = 0;
    ush_alarm_set(&a, ush_now_ns(), again);
    uint64_t before = ush_loop_stats().turns;
    while (again_count < 100)
        ck_assert_int_eq(ush_sleep(1000), 0);
    ck_assert_uint_ge(ush_loop_stats().turns - before, 99); /* never twice in a turn */
    ush_alarm_set(&a, USH_NEVER, again);
    ck_assert_uint_eq(a.id, 0);
    return 0;
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct connection {
    struct ush_timeout idle;
    int expired;
    int64_t since, at;
};

static void expire(struct ush_link *l)
{
    struct connection *c = USH_CONTAINER(l, struct connection, idle.link);
    c->expired++;
    c->at = ush_now_ns();
}

BOTH_TEST(equal_waits_share_an_alarm)
{
    struct ush_timeouts list;
    struct connection c[10] = {0};
    ush_timeouts_init(&list, 5 * USH_MS, expire);
    for (int i = 0; i < 10; i++) {
        c[i].since = ush_now_ns();
        ush_timeout_start(&list, &c[i].idle);
        if (i == 2)
            ush_timeout_stop(&c[0].idle); /* the one for which the alarm is set */
        if (i == 4)
            ush_sleep(2 * USH_MS);
    }
    ush_timeout_stop(&c[7].idle);
    ush_timeout_stop(&c[7].idle); /* harmless */
    ck_assert_int_eq(ush_sleep(20 * USH_MS), 0);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(c[i].expired, i != 0 && i != 7);
        if (c[i].expired)
            ck_assert_int_ge(c[i].at - c[i].since, 5 * USH_MS);
    }
    ush_timeout_start(&list, &c[0].idle); /* also after the list was empty */
    ck_assert_int_eq(ush_sleep(20 * USH_MS), 0);
    ck_assert_int_eq(c[0].expired, 1);
    ush_timeout_start(&list, &c[0].idle);
    ush_timeouts_fini(&list);
    ck_assert_int_eq(ush_sleep(20 * USH_MS), 0);
    ck_assert_int_eq(c[0].expired, 1);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("timer");
    TCase *tc = tcase_create("timer");
    tcase_add_test(tc, heap_keeps_its_order);
    both_add(tc, alarm_may_set_itself_again);
    both_add(tc, equal_waits_share_an_alarm);
    suite_add_tcase(s, tc);
    return both_main(s);
}
