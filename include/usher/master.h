/*
 * master.h - one master and its worker processes.
 *
 * The master owns what must survive a worker: listening sockets, the shared scoreboard, the log.
 * It reads no client's bytes and opens no database. It forks one process per place of each role,
 * watches them by their exit and by the beat of their loops, and starts a new one when one ends.
 *
 *   starting --ready--> running --drain--> draining --exit--> (place free)
 *      |                   |                  +--limit over--> killed
 *      +---- exit, signal, no beat for 20 s ----> wait (0.1 s to 10 s) --> starting
 *
 * Signals to the master: TERM and QUIT drain; INT or a second TERM stop fast; HUP rolls the
 * workers one by one (new one ready first, then the old one drains); USR1 reopens the log and asks
 * every worker for a dump; TTIN and TTOU change the number of web workers by one.
 *
 * Everything that holds state (loop, pool, thread, connection, seed) is made after the fork.
 */
#ifndef USHER_MASTER_H
#define USHER_MASTER_H

#include "usher/task.h"

enum { USH_WORKERS_MAX = 64, USH_PLACES_MAX = 128 };

struct ush_worker; /* what a worker process knows of itself; opaque */

struct ush_role {
    const char *name; /* "web", "job", "writer" */
    uint32_t count;
    bool scales;  /* TTIN and TTOU act on it */
    bool is_last; /* drained after all other roles have ended (the writer) */
    /* Runs in the child, as the root task of its loop; returns when drained. The exit status of
     * the process is 0 for >= 0. */
    int (*run)(struct ush_worker *w, void *ctx);
};

struct ush_master_options {
    const struct ush_role *roles;
    size_t role_count;
    void *ctx;
    /* Checks settings anew for HUP, in a trial process: a negative result keeps everything. The
     * text it writes to standard error is logged. May be NULL. */
    int (*check)(void *ctx);
    /* Called in the master before workers are started anew by HUP: takes the new settings. */
    void (*reload)(void *ctx);
    /* Called in the master when a worker has ended, with its pid and identity. */
    void (*ended)(void *ctx, const char *role, int64_t owner);
    /* Called in the master once all workers of the first start are ready. */
    void (*ready)(void *ctx);
    const char *log_file; /* reopened on USR1; NULL = standard error */
    uint32_t drain_ms;    /* 0 = 75,000 */
    uint32_t hang_ms;     /* a loop that does not move for this long is replaced; 0 = 20,000 */
};

/* Runs until stopped. 0 after a graceful or fast stop; negative if the start failed. Blocking; not
 * to be called in a loop. */
int ush_master_run(const struct ush_master_options *o);

/* ---- for the worker ------------------------------------------------------------------------ */

int ush_worker_index(const struct ush_worker *w); /* from 0, within its role */
/* Says that this worker serves; the master goes on with starting or rolling. */
void ush_worker_ready(struct ush_worker *w);
/* Waits until the worker should drain, and returns the moment (ush_now_ns) at which it must be
 * done. May suspend. */
int64_t ush_worker_wait_drain(struct ush_worker *w);
bool ush_worker_is_draining(const struct ush_worker *w);
/* Memory shared by all processes, for statistics: one block of `bytes` per place, made before the
 * forks. The block of this worker. */
void *ush_worker_shared(struct ush_worker *w, size_t bytes);

/* ---- for every process ------------------------------------------------------------------------
 */

/* An anonymous shared mapping, zeroed; to be made before ush_master_run. NULL without memory. */
void *ush_shared_new(size_t bytes);

#endif
