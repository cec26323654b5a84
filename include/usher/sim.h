/*
 * sim.h - the backend in which a seed decides everything.
 *
 * The same scheduler, scopes, protocol code and handlers run as in service; only the door to the
 * world is another. Time is virtual and jumps to the next timer when no task is ready, so waiting
 * costs nothing. Sockets are in memory. At every suspension the seed chooses which ready task
 * runs next, how late a completion arrives, whether a read is short, a peer resets, or a scope is
 * cancelled. Two runs of one seed make the same decisions: `hash` says so.
 *
 * A state in which no task is ready and no timer is set is a deadlock: the run ends with
 * USH_EDEADLOCK and `report` holds the wait graph with the names of the tasks.
 */
#ifndef USHER_SIM_H
#define USHER_SIM_H

#include "usher/task.h"

enum ush_sim_order {
    USH_SIM_FIFO,   /* no shuffling: the order of service */
    USH_SIM_RANDOM, /* a ready task is chosen evenly */
    USH_SIM_PCT,    /* random priorities with a few change points (Burckhardt et al., ASPLOS'10) */
};

/* Chances are out of 1,000 at each opportunity. */
struct ush_sim_options {
    uint64_t seed;
    enum ush_sim_order order;
    uint32_t pct_depth;         /* for PCT; 0 = 3 */
    uint32_t pct_steps;         /* for PCT: length of such a run (report.picks); 0 = not known */
    uint32_t cancel_permille;   /* cancel the innermost scope (that has an outer one) at a wait */
    uint32_t cancel_at;         /* n > 0: cancel exactly at the n-th suspension of the run */
    uint32_t reset_permille;    /* a socket operation finds the connection reset */
    uint32_t short_permille;    /* recv and send move fewer bytes than they could */
    int64_t delay_ns_max;       /* bytes and pool results arrive up to this much later */
    int64_t start_wall_ms;      /* the wall clock at the beginning; 0 = 2026-03-13T12:30:00Z */
    uint64_t steps_max;         /* decisions before the run counts as endless; 0 = 10 million */
    struct ush__script *script; /* private: the explorer's; see explore.h */
};

struct ush_sim_report {
    uint64_t hash; /* of every decision: (kind, choices, choice, virtual time) */
    uint64_t decisions;
    uint64_t suspensions;
    uint64_t picks;     /* times a task was resumed */
    int64_t virtual_ns; /* elapsed */
    char text[4096];    /* the wait graph after a deadlock or an endless run; else empty */
};

/* ush_run over the sim backend. `ret_report` may be NULL. */
int ush_sim_run(const struct ush_sim_options *o, ush_fn fn, void *arg,
                struct ush_sim_report *ret_report);
/* True while the running loop is simulated. */
bool ush_is_sim(void);
/* A choice of the seed for the scenario's own use: 0 to n-1. 0 outside sim. Never suspends. */
uint32_t ush_sim_choose(uint32_t n);
/* Address of a simulated listener for ush_listen and ush_connect. */
struct ush_address ush_sim_address(uint16_t port);

#endif
