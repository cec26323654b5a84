/*
 * explore.h - runs a scenario under many schedules, finds the one that breaks it, and tells why.
 *
 * A scenario is the body of a run over the sim backend (see sim.h): it spawns tasks, lets them do
 * their work and says with USH_HOLDS what must be true. The explorer runs it again and again, each
 * time with another order of the tasks, other cancellations and other faults:
 *
 *   strategy   which schedules
 *   ALL        every schedule that differs from the order of service in at most 1, 2, 3, ...
 *              choices (delay-bounded search; Emmi, Qadeer, Rakamaric, POPL'11), each exactly
 *              once, so the first failure is one with the fewest differences
 *   RANDOM     at every choice any of what is possible, evenly: a random walk
 *   PCT        random priorities with a few change points (Burckhardt et al., ASPLOS'10): finds
 *              a bug of depth d among k tasks and n steps with probability >= 1 / (k * n^(d-1))
 *   CUT        a random walk, and the same walk cancelled at its first, second, ... suspension
 *   MIX        takes turns: the order of service, RANDOM, and PCT of depth 2 and 3
 *
 * A schedule fails when a promise does not hold, when the scenario returns a negative number, when
 * nothing can run any more (a deadlock), when a cell marked with USH_SHARED is written on the
 * ground of a stale read, or when the same schedule run twice takes two ways. The failing schedule
 * is shrunk: choices go back to the order of service as long as it fails in the same way. What is
 * left is printed, each switch with the names of the tasks and their source lines, beside the
 * command that replays it:
 *
 *     USH_REPLAY=shop:1@9:1 build/examples/shop
 *
 * With USH_REPLAY=NAME:SCHEDULE in the environment an exploration of that name runs only that
 * schedule; others run as usual.
 *
 * The same options explore the same schedules, on every machine. What the explorer does not see:
 * data races between threads (ThreadSanitizer's task), and whatever a scenario takes from outside
 * the loop (files, real clocks, addresses): keep those out, or every k-th schedule will say so.
 */
#ifndef USHER_EXPLORE_H
#define USHER_EXPLORE_H

#include "usher/sim.h"

enum ush_explore_strategy {
    USH_EXPLORE_MIX,
    USH_EXPLORE_RANDOM,
    USH_EXPLORE_PCT,
    USH_EXPLORE_ALL,
    USH_EXPLORE_CUT,
};

struct ush_explore_options {
    const char *name; /* of the scenario; letters, digits, '-' and '_' */
    enum ush_explore_strategy strategy;
    uint64_t schedules;      /* at most; 0 = 10,000 */
    uint64_t seed;           /* of the first schedule, the next has the next; 0 = 1 */
    uint32_t pct_depth;      /* for PCT; 0 = 3 */
    uint32_t deviations_max; /* for ALL: differences from the order of service; 0 = 3 */
    uint32_t twice_every;    /* the n-th, 2n-th, ... schedule is run twice; 0 = 16 */
    uint32_t shrink_runs;    /* at most so many to make a failing schedule shorter; 0 = 1,000 */
    const char *replay;      /* run only this schedule (ush_explore_report.schedule) */
    bool quiet;              /* print nothing; the report has the text */
    /* Faults: cancel_permille, reset_permille, short_permille, delay_ns_max, and steps_max of a
     * run (0 = 1 million). One schedule of four runs without faults. Seed and order are ignored. */
    struct ush_sim_options sim;
};

enum ush_explore_fault {
    USH_EXPLORE_HELD,     /* no schedule failed */
    USH_EXPLORE_BROKEN,   /* a promise of USH_HOLDS or ush_broken */
    USH_EXPLORE_STALE,    /* a USH_SHARED cell was written after a stale read */
    USH_EXPLORE_RETURNED, /* the scenario returned a negative number */
    USH_EXPLORE_STUCK,    /* a deadlock, or a run without an end */
    USH_EXPLORE_UNSTABLE, /* one schedule, two ways */
};

struct ush_explore_report {
    uint64_t schedules; /* run until the first failure, it included; without those for shrinking */
    uint64_t choices;   /* made in all of them */
    bool is_complete;   /* ALL: there was no other schedule within deviations_max */
    /* The rest is about the failure; zero if there was none. */
    enum ush_explore_fault fault;
    enum ush_explore_strategy strategy; /* that found it: never MIX */
    uint64_t seed;
    int result;               /* of the scenario */
    uint32_t deviations;      /* from the order of service, as found */
    uint32_t deviations_left; /* after shrinking */
    char what[512];           /* one line: what failed, and where */
    char schedule[4096];      /* for options.replay and USH_REPLAY; empty if it is longer */
    char text[16384];         /* everything, as printed */
};

/*
 * Explores on the calling thread, which runs no loop. 0 if the scenario held under every schedule
 * that was run; 1 if one failed (it is in the report, and printed to standard error); -EINVAL for
 * options or a schedule to replay that make no sense; -ENOMEM. `ret_report` may be NULL.
 *
 * The scenario is called once per schedule with the same `arg` and sets up all it needs.
 */
int ush_explore(const struct ush_explore_options *o, ush_fn scenario, void *arg,
                struct ush_explore_report *ret_report);

/* ---- promises ---------------------------------------------------------------------------------
 */

/* Says what must be true at this point. A promise that does not hold fails the schedule (the first
 * one counts; the scenario goes on and should come to its end) and ends a program that does not
 * explore. */
#define USH_HOLDS(condition) ((condition) ? (void)0 : ush_broken(USH_SITE, "%s", #condition))
void ush_broken(const char *site, const char *fmt, ...) USH_PRINTF(2, 3);
/* True once a promise of this run is broken. */
bool ush_is_broken(void);

/* ---- shared cells -----------------------------------------------------------------------------
 */

/*
 * A value that several tasks read and write, with a memory of who read what:
 *
 *     static USH_SHARED(int) left = {.value = 1};
 *
 *     int seen = USH_SHARED_READ(left);
 *     ...a wait...
 *     USH_SHARED_WRITE(left, seen - 1);
 *
 * A task that writes after another has written since this task's own last read overwrites what it
 * has not seen: a lost update. Under the explorer that fails the schedule, with both places and the
 * write in between; in service and in other tests it warns in the log ("shared.stale"). To be
 * right, read again after the wait, or hold a mutex around both, or do not wait in between.
 *
 * Cells belong to one loop (zero a cell that is to serve another). They remember the last eight
 * tasks that read.
 */
#define USH_SHARED(type)                                                                           \
    struct {                                                                                       \
        type value;                                                                                \
        struct ush_shared cell;                                                                    \
    }
#define USH_SHARED_READ(x) (*(ush_shared_read(&(x).cell, USH_SITE), &(x).value))
#define USH_SHARED_WRITE(x, new_value)                                                             \
    do {                                                                                           \
        __typeof__((x).value) ush_value_ = (new_value); /* it may read, and reads come first */    \
        ush_shared_write(&(x).cell, #x, USH_SITE);                                                 \
        (x).value = ush_value_;                                                                    \
    } while (0)

enum { USH_SHARED_READERS = 8 };
/* All private. Zero is a fresh cell. */
struct ush_shared {
    uint64_t run, version;
    const char *written_at;
    char writer_name[32];
    uint32_t next;
    struct {
        uint64_t task, version;
        const char *at;
    } readers[USH_SHARED_READERS];
};
void ush_shared_read(struct ush_shared *c, const char *site);
void ush_shared_write(struct ush_shared *c, const char *name, const char *site);

#endif
