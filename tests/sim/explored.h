/*
 * explored.h - a scenario that must hold under every schedule that a test can afford.
 *
 * Under sanitizers and Valgrind those are fewer (slow.h). A failure prints the schedule and the
 * command that replays it: see docs/explore.md.
 *
 * With EXPLORE_AS="NAME STRATEGY SCHEDULES" in the environment the scenario of that name is
 * explored in that way, and what came of it is one line: tests/e2e/test_broken.py asks so.
 */
#ifndef TESTS_SIM_EXPLORED_H
#define TESTS_SIM_EXPLORED_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../slow.h"
#include "usher/explore.h"

static inline void explore_as(const char *wish, const struct ush_explore_options *o,
                              ush_fn scenario, void *arg)
{
    static const char *const names[] = {"mix", "random", "pct", "all", "cut"};
    struct ush_explore_options options = *o;
    struct ush_explore_report report;
    char name[64], strategy[16];
    unsigned long long schedules;
    if (sscanf(wish, "%63s %15s %llu", name, strategy, &schedules) != 3 || strcmp(name, o->name))
        return;
    for (size_t i = 0; i < USH_COUNT(names); i++)
        if (strcmp(strategy, names[i]) == 0)
            options.strategy = (enum ush_explore_strategy)i;
    options.schedules = schedules;
    options.seed = 1;
    options.shrink_runs = 10; /* how long it takes to be found is what is asked */
    int r = ush_explore(&options, scenario, arg, &report);
    printf("explored: %d after %llu, %u of %u choices left: %s\n", r,
           (unsigned long long)report.schedules, report.deviations_left, report.deviations,
           report.what);
    fflush(stdout);
    _exit(0);
}

static inline struct ush_explore_report explored(const struct ush_explore_options *o,
                                                 ush_fn scenario, void *arg)
{
    static struct ush_explore_report report;
    struct ush_explore_options options = *o;
    const char *wish = getenv("EXPLORE_AS");
    if (wish) {
        explore_as(wish, o, scenario, arg);
        return report; /* it is about another one */
    }
    options.schedules = (uint64_t)fewer((int)o->schedules);
    options.quiet = true;
    int r = ush_explore(&options, scenario, arg, &report);
    if (r == 1) /* longer than Check's messages may be */
        fprintf(stderr, "%s\n", report.text);
    ck_assert_msg(r == 0, "%.200s", r == 1 ? report.what : ush_error_text(r));
    return report;
}

#endif
