/*
 * master.h - one master and its worker processes.
 *
 * The master owns what must survive a worker: listening sockets, the shared scoreboard, the log.
 * It reads no client's bytes, opens no database and starts no thread or loop. It forks one process
 * per post (the n-th worker of a role), watches them by their exit and by the beat of their loops,
 * and starts a new one when one ends.
 *
 *   starting --ready--> serving --drain--> leaving --exit--> (place free)
 *      |                   |                  +--limit over--> killed
 *      +---- exit, signal, no beat for 20 s ----> wait (0.1 s to 10 s) --> starting
 *
 * Signals to the master:
 *
 *   TERM, QUIT   drain: workers finish what they have begun, at most drain_ms; exit 0
 *   INT, or a second TERM or QUIT   stop fast: waits are cancelled, 2 s, then SIGKILL; exit 0
 *   HUP          reopens the log, checks the settings in a trial process, and if they are good
 *                rolls: per post a new worker becomes ready before the old one drains
 *   USR1         reopens the log and has every worker write the list of its tasks to it
 *   TTIN, TTOU   one worker more or less in the roles that scale, 1 to 64
 *
 * TERM to a worker drains that one, and its post gets a new one; the last role (is_last) ignores
 * it, so that a signal to the whole group drains in order. Other signals to workers are the
 * master's affair; a terminal's Ctrl-C reaches them and is ignored.
 *
 * A worker whose master is gone ends by itself: at once in order, after a second by force.
 *
 * Everything that holds state (loop, pool, thread, connection, seed) is made after the fork.
 */
#ifndef USHER_MASTER_H
#define USHER_MASTER_H

#include "usher/task.h"

enum { USH_WORKERS_MAX = 64, USH_PLACES_MAX = 2 * USH_WORKERS_MAX };

struct ush_worker; /* what a worker process knows of itself; opaque */

struct ush_role {
    const char *name; /* "web", "job", "writer" */
    uint32_t count;
    bool scales; /* TTIN and TTOU act on it */
    /* The role that the others need and that only one process may play at a time (the writer): is
     * ready before the others start, drains after they have ended, and in a roll the old one ends
     * before the new one starts. */
    bool is_last;
    /* Runs in the child, as the root task of its loop; returns when drained. A negative result is
     * a failure: exit status 1. */
    int (*run)(struct ush_worker *w, void *ctx);
    /* Called in a task of one ready worker of this role when a worker of any role has ended, with
     * its identity, so that what it had claimed is free at once. May suspend. May be NULL. */
    void (*ended)(struct ush_worker *w, void *ctx, int64_t owner);
};

struct ush_master_options {
    const struct ush_role *roles; /* at most 96 workers altogether; one that is last has one */
    size_t role_count;
    void *ctx;
    /* Checks settings anew for HUP, in a trial process: a negative result keeps everything. The
     * text it writes to standard error is logged. May be NULL. */
    int (*check)(void *ctx);
    /* Called in the master before workers are started anew by HUP: takes the new settings. */
    void (*reload)(void *ctx);
    /* Called in the master once all workers of the first start are ready. */
    void (*ready)(void *ctx);
    const char *log_file; /* reopened on USR1 and HUP; NULL = leave the log where it is */
    size_t shared_bytes;  /* of each place's block: ush_worker_shared */
    uint32_t drain_ms;    /* 0 = 75,000 */
    uint32_t hang_ms;     /* a loop that does not move for this long is replaced; 0 = 20,000 */
};

/*
 * Runs until stopped. 0 after a graceful or fast stop; -ECHILD when a worker of the first start
 * ended before it was ready (the log says how); a negated errno when there is no memory or
 * descriptor. Blocking; not to be called in a loop. Reaps every child of the calling process.
 * Where NOTIFY_SOCKET says so, systemd hears when it is ready, reloads and stops, and that it
 * lives.
 */
int ush_master_run(const struct ush_master_options *o);

/* ---- for the worker ------------------------------------------------------------------------ */

const char *ush_worker_name(const struct ush_worker *w); /* "web 2" */
int ush_worker_index(const struct ush_worker *w);        /* from 0, within its role */
/* Identity of this process: random, positive, never used again. For claims in the database. */
int64_t ush_worker_owner(const struct ush_worker *w);
/* Says that this worker serves; the master goes on with starting or rolling. */
void ush_worker_ready(struct ush_worker *w);
/* Waits until the worker should drain, and returns the moment (ush_now_ns) at which it must be
 * done: then everything that still waits is cancelled. At a fast stop that moment is now. May
 * suspend. */
int64_t ush_worker_wait_drain(struct ush_worker *w);
bool ush_worker_is_draining(const struct ush_worker *w);
/* True when all workers leave and nobody comes after them: who still waits is for this one. */
bool ush_worker_is_stopping(const struct ush_worker *w);

/* ---- the scoreboard ------------------------------------------------------------------------ */

/* Memory that all processes share, zeroed; to be made before ush_master_run. NULL without. */
void *ush_shared_new(size_t bytes);
/* The block of `shared_bytes` of this worker's place. It is not cleared when a place is taken
 * again, so counters in it go on. */
void *ush_worker_shared(const struct ush_worker *w);
/* The block of any place, 0 to USH_PLACES_MAX - 1, to add up over all processes. They lie side by
 * side, each rounded up to 64 bytes. */
void *ush_worker_shared_at(const struct ush_worker *w, uint32_t place);

/* Totals since the master started, and what is true now. */
struct ush_master_counts {
    uint64_t started, died, hung; /* workers; hung are among the died */
    uint32_t serving, degraded;   /* workers that serve; posts that fail again and again */
};
struct ush_master_counts ush_worker_counts(const struct ush_worker *w);

#endif
