/*
 * transfer_test.c - the law of locks: several at once are taken in one order everywhere.
 *
 * Four clerks move points between three schools. Each locks the two accounts it needs, the one with
 * the smaller number first, and waits for the ledger in between. Whatever the schedule: it ends,
 * and the sum is what it was. (tests/e2e/test_broken.py swaps the order.)
 */
#include "explored.h"

enum { ACCOUNTS = 3, CLERKS = 4, POINTS = 100 };

static struct account {
    struct ush_mutex lock;
    USH_SHARED(int) points;
} accounts[ACCOUNTS];

static int move_points(struct account *from, struct account *to)
{
    int had = USH_SHARED_READ(from->points), has = USH_SHARED_READ(to->points);
    USH_TRY(ush_sleep(ush_sim_choose(3) * USH_MS)); /* the ledger is written */
    USH_SHARED_WRITE(from->points, had - 1);
    USH_SHARED_WRITE(to->points, has + 1);
    return 0;
}

static int clerk(void *arg)
{
    struct account *from = &accounts[*(int *)arg % ACCOUNTS];
    struct account *to = &accounts[(*(int *)arg + 1) % ACCOUNTS];
    struct account *first = from < to ? from : to, *second = from < to ? to : from;
    USH_TRY(ush_mutex_lock(&first->lock));
    int r = ush_mutex_lock(&second->lock);
    if (r == 0) {
        r = move_points(from, to);
        ush_mutex_unlock(&second->lock);
    }
    ush_mutex_unlock(&first->lock);
    return r;
}

static int busy_day(void *unused __attribute__((unused)))
{
    int numbers[CLERKS] = {0, 1, 2, 3}, sum = 0;
    for (int i = 0; i < ACCOUNTS; i++) {
        ush_mutex_init(&accounts[i].lock, "account");
        accounts[i].points.value = POINTS;
    }
    int r = ush_gather(CLERKS, 0, clerk, numbers, sizeof *numbers);
    USH_HOLDS(r == 0 || r == -ECANCELED || r == -ETIMEDOUT);
    for (int i = 0; i < ACCOUNTS; i++) {
        USH_HOLDS(!accounts[i].lock.holder);
        sum += accounts[i].points.value;
    }
    USH_HOLDS(sum == ACCOUNTS * POINTS);
    return 0;
}

START_TEST(the_sum_stays_and_nobody_waits_for_ever)
{
    const struct ush_explore_options o = {
        .name = "transfer", .schedules = 5000, .sim.cancel_permille = 20};
    explored(&o, busy_day, NULL);
}
END_TEST

START_TEST(nor_under_any_schedule_with_two_deviations)
{
    const struct ush_explore_options o = {.name = "transfer-all",
                                          .strategy = USH_EXPLORE_ALL,
                                          .schedules = 20000,
                                          .deviations_max = 2};
    struct ush_explore_report r = explored(&o, busy_day, NULL);
    ck_assert(r.is_complete || fewer(100) < 100);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim/transfer");
    TCase *t = tcase_create("transfer");
    suite_add_tcase(s, t);
    tcase_add_test(t, the_sum_stays_and_nobody_waits_for_ever);
    tcase_add_test(t, nor_under_any_schedule_with_two_deviations);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
