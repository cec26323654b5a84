/*
 * explore_test.c - the explorer finds what is wrong, leaves alone what is right, and tells it well.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../slow.h"
#include "usher/explore.h"

#define SCHEDULES ((uint64_t)fewer(2000))

static struct ush_explore_report report;

static int explore_as(enum ush_explore_strategy strategy, ush_fn scenario, void *arg)
{
    struct ush_explore_options o = {
        .name = "test", .strategy = strategy, .schedules = SCHEDULES, .quiet = true};
    return ush_explore(&o, scenario, arg, &report);
}

static void has(const char *part)
{
    ck_assert_msg(strstr(report.text, part), "no \"%s\" in:\n%s", part, report.text);
}

struct who {
    const char *name;
    ush_fn fn;
};
#define WHO(fn) ((struct who){#fn, fn})

static int spawn_all(const struct who *who, size_t n)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (size_t i = 0; i < n; i++)
        ush_spawn_with(&s, &(struct ush_spawn_options){.name = who[i].name, .site = USH_SITE},
                       who[i].fn, NULL);
    return ush_scope_close(&s);
}

/* ---- an update is lost only if a free lock's call is a place to switch -------------------------
 */

static int count;
static struct ush_semaphore lines;

static int add_one(void *unused __attribute__((unused)))
{
    int seen = count;
    USH_TRY(ush_semaphore_take(&lines)); /* there is always one */
    count = seen + 1;
    ush_semaphore_give(&lines);
    return 0;
}

static int count_to_three(void *unused __attribute__((unused)))
{
    count = 0;
    ush_semaphore_init(&lines, "lines", 9);
    USH_TRY(spawn_all((struct who[]){WHO(add_one), WHO(add_one), WHO(add_one)}, 3));
    USH_HOLDS(count == 3);
    return 0;
}

START_TEST(finds_a_lost_update)
{
    ck_assert_int_eq(explore_as((enum ush_explore_strategy)_i, count_to_three, NULL), 1);
    ck_assert_int_eq(report.fault, USH_EXPLORE_BROKEN);
    ck_assert_uint_le(report.deviations_left, 1);
    ck_assert_uint_le(report.deviations_left, report.deviations);
    has("count == 3");
    has(" is put off at explore_test.c:");
    has(" begins, spawned at explore_test.c:");
    has("-> add_one ");
    has("explore_test.c:");
    has("USH_REPLAY=test:");
}
END_TEST

START_TEST(what_was_found_can_be_replayed)
{
    ck_assert_int_eq(explore_as(USH_EXPLORE_MIX, count_to_three, NULL), 1);
    char schedule[sizeof report.schedule];
    strcpy(schedule, report.schedule);
    struct ush_explore_options o = {.name = "test", .replay = schedule, .quiet = true};
    ck_assert_int_eq(ush_explore(&o, count_to_three, NULL, &report), 1);
    ck_assert_uint_eq(report.schedules, 1);
    ck_assert_str_eq(report.schedule, schedule);
    has("count == 3");

    char wish[sizeof schedule + 8]; /* the same by the environment, for this name only */
    snprintf(wish, sizeof wish, "test:%s", schedule);
    setenv("USH_REPLAY", wish, 1);
    ck_assert_int_eq(explore_as(USH_EXPLORE_MIX, count_to_three, NULL), 1);
    ck_assert_uint_eq(report.schedules, 1);
    setenv("USH_REPLAY", "other:1@", 1);
    ck_assert_int_eq(explore_as(USH_EXPLORE_ALL, count_to_three, NULL), 1);
    ck_assert_uint_gt(report.schedules, 1);
    unsetenv("USH_REPLAY");

    o.replay = "1@";
    ck_assert_int_eq(ush_explore(&o, count_to_three, NULL, &report), 0);
    static const char *const bad[] = {"",     "x@",        "1",      "1@2",  "1@2:0",
                                      "1@:1", "1@3:1,2:1", "1@-1:1", "1x0@", "x1@"};
    for (size_t i = 0; i < USH_COUNT(bad); i++) {
        o.replay = bad[i];
        ck_assert_int_eq(ush_explore(&o, count_to_three, NULL, &report), -EINVAL);
    }
}
END_TEST

START_TEST(the_same_options_explore_the_same)
{
    ck_assert_int_eq(explore_as(USH_EXPLORE_RANDOM, count_to_three, NULL), 1);
    struct ush_explore_report first = report;
    ck_assert_int_eq(explore_as(USH_EXPLORE_RANDOM, count_to_three, NULL), 1);
    ck_assert_str_eq(first.text, report.text);
    ck_assert_uint_eq(first.choices, report.choices);
}
END_TEST

/* ---- what holds ------------------------------------------------------------------------------ */

static struct ush_mutex lock;

static int add_one_locked(void *unused)
{
    USH_TRY(ush_mutex_lock(&lock));
    int r = add_one(unused);
    ush_mutex_unlock(&lock);
    return r;
}

static int count_locked(void *unused __attribute__((unused)))
{
    count = 0;
    ush_semaphore_init(&lines, "lines", 9);
    ush_mutex_init(&lock, "lock");
    USH_TRY(spawn_all((struct who[]){WHO(add_one_locked), WHO(add_one_locked), WHO(add_one_locked)},
                      3));
    USH_HOLDS(count == 3);
    return 0;
}

START_TEST(leaves_alone_what_is_right)
{
    ck_assert_int_eq(explore_as((enum ush_explore_strategy)_i, count_locked, NULL), 0);
    ck_assert_int_eq(report.fault, USH_EXPLORE_HELD);
    ck_assert_str_eq(report.text, "");
    if (_i != USH_EXPLORE_ALL || SCHEDULES < 2000)
        ck_assert_uint_eq(report.schedules, SCHEDULES);
    else
        ck_assert(report.is_complete && report.schedules > 100);
}
END_TEST

/* With two tasks and one switch point each there are so many orders and no more: first a or b; and
 * whether the one that is at its point is put off. */

static char seen_orders[64][8];
static int order_count;
static char order[8];

static int note(const char *name)
{
    strcat(order, name);
    USH_TRY(ush_semaphore_take(&lines));
    strcat(order, name);
    return 0;
}
static int a(void *unused __attribute__((unused)))
{
    return note("a");
}
static int b(void *unused __attribute__((unused)))
{
    return note("b");
}

static int two_words(void *unused __attribute__((unused)))
{
    order[0] = '\0';
    ush_semaphore_init(&lines, "lines", 9);
    int r = spawn_all((struct who[]){WHO(a), WHO(b)}, 2);
    int i = 0;
    while (i < order_count && strcmp(seen_orders[i], order))
        i++;
    if (i == order_count)
        strcpy(seen_orders[order_count++], order);
    return r;
}

START_TEST(all_means_all)
{
    ck_assert_int_eq(explore_as(USH_EXPLORE_ALL, two_words, NULL), 0);
    ck_assert(report.is_complete);
    ck_assert_int_eq(order_count, 6); /* the ways to shuffle aa and bb */
    ck_assert_uint_le(report.schedules, 8);
}
END_TEST

/* ---- other faults ---------------------------------------------------------------------------- */

static struct ush_mutex till, ledger;

static int lock_both(struct ush_mutex *first, struct ush_mutex *second)
{
    USH_TRY(ush_mutex_lock(first));
    int r = ush_mutex_lock(second);
    if (r == 0)
        ush_mutex_unlock(second);
    ush_mutex_unlock(first);
    return r;
}
static int pay(void *unused __attribute__((unused)))
{
    return lock_both(&till, &ledger);
}
static int refund(void *unused __attribute__((unused)))
{
    return lock_both(&ledger, &till);
}
static int embrace(void *unused __attribute__((unused)))
{
    ush_mutex_init(&till, "till");
    ush_mutex_init(&ledger, "ledger");
    int r = spawn_all((struct who[]){WHO(pay), WHO(refund)}, 2);
    return r == -ECANCELED ? 0 : r;
}

START_TEST(finds_a_deadlock)
{
    ck_assert_int_eq(explore_as((enum ush_explore_strategy)_i, embrace, NULL), 1);
    ck_assert_int_eq(report.fault, USH_EXPLORE_STUCK);
    ck_assert_uint_eq(report.deviations_left, 1);
    has("held by");
    has(" is put off at explore_test.c:");
    has("-> refund ");
}
END_TEST

static int forget(void *unused __attribute__((unused)))
{
    USH_TRY(ush_mutex_lock(&till));
    USH_TRY(ush_sleep(USH_MS)); /* cancelled here it keeps the lock */
    ush_mutex_unlock(&till);
    return 0;
}
static int forgetful(void *unused __attribute__((unused)))
{
    ush_mutex_init(&till, "till");
    int r = spawn_all((struct who[]){WHO(forget)}, 1);
    USH_HOLDS(!till.holder);
    return r == -ECANCELED ? 0 : r;
}

START_TEST(a_cancellation_is_told)
{
    struct ush_explore_options o = {.name = "test",
                                    .strategy = (enum ush_explore_strategy)_i,
                                    .schedules = SCHEDULES,
                                    .quiet = true,
                                    .sim.cancel_permille = _i == USH_EXPLORE_CUT ? 0 : 50};
    ck_assert_int_eq(ush_explore(&o, forgetful, NULL, &report), 1);
    ck_assert_uint_eq(report.deviations_left, _i != USH_EXPLORE_CUT);
    has("forget 2: the scope is cancelled at explore_test.c:");
    o.replay = strcpy((char[sizeof report.schedule]){0}, report.schedule);
    ck_assert_int_eq(ush_explore(&o, forgetful, NULL, &report), 1);
    has("forget 2: the scope is cancelled at explore_test.c:");
}
END_TEST

static int unstable(void *arg)
{
    int *n = arg;
    if (++*n % 2)
        ush_sim_choose(2);
    return ush_sleep(0);
}

START_TEST(notices_what_is_not_repeatable)
{
    int n = 0;
    ck_assert_int_eq(explore_as(USH_EXPLORE_RANDOM, unstable, &n), 1);
    ck_assert_int_eq(report.fault, USH_EXPLORE_UNSTABLE);
    has("in two ways");
}
END_TEST

static int refuse(void *unused __attribute__((unused)))
{
    return USH_EFULL;
}

START_TEST(a_failed_scenario_is_a_failure)
{
    ck_assert_int_eq(explore_as(USH_EXPLORE_MIX, refuse, NULL), 1);
    ck_assert_int_eq(report.fault, USH_EXPLORE_RETURNED);
    ck_assert_int_eq(report.result, USH_EFULL);
    ck_assert_uint_eq(report.schedules, 1);
    ck_assert_int_eq(ush_explore(&(struct ush_explore_options){0}, refuse, NULL, NULL), -EINVAL);
}
END_TEST

/* ---- shared cells ---------------------------------------------------------------------------- */

static USH_SHARED(int) cell;
enum { READ_LINE = __LINE__ + 4, WRITE_LINE = READ_LINE + 2 };

static int add_to_cell(void *unused __attribute__((unused)))
{
    int seen = USH_SHARED_READ(cell);
    USH_TRY(ush_semaphore_take(&lines));
    USH_SHARED_WRITE(cell, seen + 1);
    return 0;
}
static int look_again(void *unused __attribute__((unused)))
{
    (void)USH_SHARED_READ(cell);
    USH_TRY(ush_semaphore_take(&lines));
    USH_SHARED_WRITE(cell, USH_SHARED_READ(cell) + 1);
    return 0;
}
static int overwrite(void *unused __attribute__((unused)))
{
    USH_TRY(ush_semaphore_take(&lines));
    USH_SHARED_WRITE(cell, 7);
    return 0;
}
static int three_in_a_cell(void *who)
{
    struct who *f = who;
    cell.value = 0;
    ush_semaphore_init(&lines, "lines", 9);
    return spawn_all((struct who[]){*f, *f, *f}, 3);
}

START_TEST(a_stale_write_is_reported_with_both_places)
{
    char at[64];
    struct who who = WHO(add_to_cell);
    ck_assert_int_eq(explore_as(USH_EXPLORE_MIX, three_in_a_cell, &who), 1);
    ck_assert_int_eq(report.fault, USH_EXPLORE_STALE);
    snprintf(at, sizeof at, "explore_test.c:%d: \"add_to_cell\" writes cell", WRITE_LINE);
    has(at);
    snprintf(at, sizeof at, "explore_test.c:%d;", READ_LINE);
    has(at);
    who = WHO(look_again);
    ck_assert_int_eq(explore_as(USH_EXPLORE_MIX, three_in_a_cell, &who), 0);
    who = WHO(overwrite);
    ck_assert_int_eq(explore_as(USH_EXPLORE_MIX, three_in_a_cell, &who), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("explore");
    TCase *t = tcase_create("explore");
    suite_add_tcase(s, t);
    tcase_add_loop_test(t, finds_a_lost_update, USH_EXPLORE_MIX, USH_EXPLORE_CUT + 1);
    tcase_add_test(t, what_was_found_can_be_replayed);
    tcase_add_test(t, the_same_options_explore_the_same);
    tcase_add_loop_test(t, leaves_alone_what_is_right, USH_EXPLORE_MIX, USH_EXPLORE_ALL + 1);
    tcase_add_test(t, all_means_all);
    tcase_add_loop_test(t, finds_a_deadlock, USH_EXPLORE_MIX, USH_EXPLORE_CUT + 1);
    tcase_add_loop_test(t, a_cancellation_is_told, USH_EXPLORE_MIX, USH_EXPLORE_CUT + 1);
    tcase_add_test(t, notices_what_is_not_repeatable);
    tcase_add_test(t, a_failed_scenario_is_a_failure);
    tcase_add_test(t, a_stale_write_is_reported_with_both_places);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
