/*
 * explore.h (internal) - what the files of the explorer share.
 *
 *     explore.c   which schedules are run; one run and its verdict
 *     shrink.c    a failing schedule with fewer deviations
 *     story.c     a failing schedule told: switches, names, source lines
 *     shared.c    promises, and cells that know who read them
 */
#ifndef USH_EXPLORE_EXPLORE_H
#define USH_EXPLORE_EXPLORE_H

#include "task/sim_state.h"
#include "usher/explore.h"

enum {
    USH__CHOICES_MAX = 1 << 18, /* of a run, that are remembered */
    USH__WHAT_BYTES = 512,
};

/* What the run of this thread has broken so far. */
struct ush__verdict {
    uint64_t run;      /* counts the runs of the process; a cell of another run is fresh */
    bool is_exploring; /* else a broken promise ends the program */
    enum ush_explore_fault fault;
    char what[USH__WHAT_BYTES];
};
extern _Thread_local struct ush__verdict ush__verdict;
/* Notes the first fault of a run; later ones are its consequences. */
void ush__verdict_set(enum ush_explore_fault fault, const char *fmt, ...) USH_PRINTF(2, 3);

/* How to make one run. */
struct ush__plan {
    enum ush_sim_order order; /* if it does not play */
    uint32_t pct_depth;
    uint64_t seed;
    uint32_t cancel_at; /* cancels at the n-th suspension; 0 = not */
    bool plays, is_calm;
    const struct ush__deviation *played; /* borrowed */
    size_t played_count;
};

struct ush__exploration {
    struct ush_explore_options o;
    ush_fn scenario;
    void *arg;
    struct ush__script script;
    struct ush_sim_report sim; /* of the last run */
    int result;
    uint64_t pct_steps; /* of a typical run */
    uint64_t seed;      /* of the run under way */
    uint64_t runs, choices;
    bool is_complete;
};

/* Runs once; the verdict is in ush__verdict. */
enum ush_explore_fault ush__explore_run(struct ush__exploration *x, const struct ush__plan *plan);
/* The deviations of the last run; memory from malloc, NULL without memory. */
struct ush__deviation *ush__explore_deviations(const struct ush__exploration *x, size_t *ret_n);

/* Makes the list of `plan`, which plays and fails, shorter in place. Returns the new length. */
size_t ush__shrink(struct ush__exploration *x, const struct ush__plan *plan,
                   struct ush__deviation *list, size_t n);

/* Runs `plan`, which plays, once more and writes its switches. */
void ush__story(struct ush__exploration *x, const struct ush__plan *plan, struct ush_buf *out);

#endif
