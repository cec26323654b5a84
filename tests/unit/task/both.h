/*
 * both.h - one test body, every backend.
 *
 *     BOTH_TEST(lock_is_fair)
 *     {
 *         ...                       the body is the root task of a loop
 *         return 0;
 *     }
 *     ...
 *     both_add(tc, lock_is_fair);
 *
 * The body runs once over epoll, once over sim in the order of service and a few times over sim in
 * orders drawn from a seed. So a body may rely on what the contracts promise and on nothing else:
 * a task that is ready before another need not run before it.
 */
#ifndef TESTS_TASK_BOTH_H
#define TESTS_TASK_BOTH_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "usher/sim.h"
#include "usher/task.h"

enum { BOTH_EPOLL, BOTH_SIM_FIFO, BOTH_SIM_RANDOM, BOTH_RUNS = BOTH_SIM_RANDOM + 8 };

/* Runs `body` as root task over the backend with number `run` and returns what it returned. */
static inline int both_run(int run, ush_fn body)
{
    if (run == BOTH_EPOLL) {
        struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};
        return ush_run(&o, body, NULL);
    }
    struct ush_sim_options o = {
        .seed = (uint64_t)run,
        .order = run == BOTH_SIM_FIFO ? USH_SIM_FIFO : USH_SIM_RANDOM,
        .delay_ns_max = run == BOTH_SIM_FIFO ? 0 : USH_MS,
    };
    struct ush_sim_report report;
    int r = ush_sim_run(&o, body, NULL, &report);
    if (report.text[0])
        fprintf(stderr, "sim run %d:\n%s\n", run, report.text);
    return r;
}

#define BOTH_TEST(name)                                                                            \
    static int name##_body(void *unused);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        ck_assert_int_eq(both_run(_i, name##_body), 0);                                            \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

#define both_add(tc, name) tcase_add_loop_test((tc), name, 0, BOTH_RUNS)

/* The main of a test program whose cases all go into one suite. */
static inline int both_main(Suite *s)
{
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
