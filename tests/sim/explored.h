/*
 * explored.h - a scenario that must hold under every schedule that a test can afford.
 *
 * Under sanitizers and Valgrind those are fewer (slow.h). A failure prints the schedule and the
 * command that replays it: see docs/explore.md.
 */
#ifndef TESTS_SIM_EXPLORED_H
#define TESTS_SIM_EXPLORED_H

#include <check.h>
#include <stdlib.h>

#include "../slow.h"
#include "usher/explore.h"

static inline struct ush_explore_report explored(const struct ush_explore_options *o,
                                                 ush_fn scenario, void *arg)
{
    static struct ush_explore_report report;
    struct ush_explore_options options = *o;
    options.schedules = (uint64_t)fewer((int)o->schedules);
    options.quiet = true;
    int r = ush_explore(&options, scenario, arg, &report);
    ck_assert_msg(r == 0, "%s", r == 1 ? report.text : ush_error_text(r));
    return report;
}

#endif
