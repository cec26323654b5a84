/*
 * jobs.h - work that is done after the answer: rows in the same transaction as their cause.
 *
 * A job exists if and only if the transaction that put it is committed. It is run at least once,
 * by one worker at a time. Each claim raises the row's *claim number*, the fence: marks and the
 * end of a job say "where id and claim number and running", so a worker that was declared dead
 * but lives can change nothing, and is told so.
 *
 *          put                 claim                      done
 *   (none) ----> ready(due) ----------> running(claim n) -----> done
 *                  ^  ^                  |   |     |  \--------> dead  (last attempt, or refused)
 *                  |  +---- retry(due) --+   |     +-----------> held  (ambiguous, for a person)
 *                  +--- worker died (crash count) or lease over
 *
 * The tables are the library's: migrations/.../0001 and 0004. A mail is a job row too: its
 * Message-ID and Date follow from the row's id and time, its marks and the server's reply are
 * columns.
 *
 * A worker that ended is known by its identity (`owner`): the master names it and its claims are
 * released at once. What nobody names is free when its lease of 60 s is over. A job that was
 * running when its worker ended gets a crash counted, not an attempt. One with two crashes is run
 * alone, so that those that only happened to run beside it do not share its third.
 */
#ifndef USHER_JOBS_H
#define USHER_JOBS_H

#include "usher/sql.h"

enum ush_job_state { /* stored: never renumber */
                     USH_JOB_READY = 0,
                     USH_JOB_RUNNING = 1,
                     USH_JOB_DONE = 2,
                     USH_JOB_DEAD = 3,
                     USH_JOB_HELD = 4,
};

/* What a transaction puts. */
#define USH_JOB_NEW_FIELDS(F, R)                                                                   \
    F(R, TEXT, kind, .max = 40, .doc = "Which function runs it; stable")                           \
    F(R, TEXT, lane, .max = 20, .doc = "Which workers take it: mail, bulk")                        \
    F(R, TEXT, unique_key, .max = 80, .optional = true, .doc = "A second job with it is dropped")  \
    F(R, I64, subject, .optional = true, .doc = "The row of the application it is about")          \
    F(R, BYTES, payload, .max = 8192, .doc = "The kind's own input, packed")                       \
    F(R, I64, due_at, .doc = "Not before, ms since 1970")                                          \
    F(R, I64, created_at, .doc = "ms since 1970")
USH_RECORD(ush_job_new, USH_JOB_NEW_FIELDS)

/* Inside an operation: puts n jobs. A unique key that exists already drops that one silently. It is
 * not waited for, as with ush_exec_rows_later: 0 or a negative code. */
int ush_jobs_put(struct ush_tx *tx, const struct ush_job_new *jobs, size_t n);

enum {
    USH_JOB_PAYLOAD_MAX = 1 << 20, /* bytes of a frozen payload */
    USH_JOB_CRASHES_MAX = 3,       /* a job that ended its worker this often is dead */
    USH_JOBS_AT_ONCE_MAX = 256,
};
/* Rows of jobs that are done are deleted when they ended this long ago, a few at a time, and their
 * keys are free again. Dead and held ones wait for a person. */
#define USH_JOBS_KEEP_MS (30 * INT64_C(86400000))

/* A claimed job, as its function sees it. */
struct ush_job {
    int64_t id, claim;
    int64_t subject;        /* 0 when put without one */
    ush_text kind, payload; /* payload as put, or as frozen by ush_job_mark */
    int attempt; /* from 1; attempts that ended with their worker or were handed back not counted */
    int crashes; /* workers that ended while running it */
    int mark;    /* the mark that the attempt before reached, 0 = none; see ush_job_mark */
    int64_t created_at, due_at;
    int64_t retry_after_ms; /* set by the function: a retry is not due before; 0 = by the kind */
    int64_t pause_ms; /* set by the function, with -EAGAIN: it is not this job's fault. All lanes
                         of the worker rest so long, for the reason that was noted, and no
                         attempt is spent */
    struct ush_arena *arena;
    struct ush_jobs *jobs;
};

/*
 * Durable mark within an attempt: 1 = about to touch the world, 2 = past the point of no return.
 * `payload` replaces the stored one when not USH_NONE (to freeze what is sent). Returns after the
 * commit; -ECANCELED when the claim is no longer ours, or too little is left of its lease: stop at
 * once. Any other negative code: not marked, so do not go on either. May suspend.
 *
 * The next attempt finds 2 only if nobody knows whether this one took effect. After an end that is
 * known to have failed it finds 1 if that was reached, so that it can send what was frozen.
 */
int ush_job_mark(struct ush_job *job, int mark, ush_text payload);
/* Inside an operation that the job's function calls: mark 1 as part of that transaction, for what
 * has to happen once per job and not once per attempt. 1 the first time; 0 when this attempt or one
 * before has it, or the claim is no longer the caller's. */
int ush_job_mark_first(struct ush_tx *tx, int64_t id, int64_t claim, ush_text payload);
/* Sets the text stored with the end of the attempt ("250 queued as 4F1A"). */
void ush_job_note(struct ush_job *job, const char *fmt, ...) USH_PRINTF(2, 3);

/*
 * Runs the job. 0 = done. -EAGAIN or any other negative code = retry by the kind's schedule (dead
 * after the last attempt). USH_EUNAVAILABLE = the database is away: again in a second, and no
 * attempt is spent. USH_EINVAL = dead now. USH_EUNKNOWN = ambiguous: retried once if the kind says
 * so, else held. After mark 2 a cancelled or timed-out attempt is ambiguous too.
 *
 * May suspend. Its scope carries the kind's deadline and is cancelled when the worker must stop at
 * once (then the job is handed back and no attempt is spent) or when its lease runs out.
 */
typedef int (*ush_job_fn)(struct ush_job *job, void *ctx);

struct ush_job_kind {
    const char *name;
    const char *lane;
    ush_job_fn run;
    void *ctx;
    uint32_t deadline_ms;    /* of one attempt; 0 = 45 s. Longer ones live on renewed leases */
    uint32_t attempts_max;   /* 0 = 20 */
    const uint32_t *retry_s; /* seconds before attempt 2, 3, …; the last repeats; ended by 0;
                                NULL = 30 s, 1, 2, 5, 10, 30 min, 1 h; each times 0.75 to 1.25 */
    bool resend_unknown;     /* run an ambiguous job once more instead of holding it */
    int64_t repeat_ms;       /* so long after it was put, to run it again takes no effect a second
                                time (the other side knows a key again): then an ambiguous job is
                                run again by the schedule. 0 = never */
};

struct ush_jobs_options {
    struct ush_db *db;
    const struct ush_job_kind *kinds;
    size_t kind_count;
    /* This worker's lanes in order of preference; NULL-terminated. Those behind the first get at
     * most half of at_once, so the first never waits behind them. */
    const char *const *lanes;
    uint32_t at_once; /* jobs running in this process; 0 = 8 */
    /* Jobs of these lanes together that all workers may claim. When so many were, the lanes are
     * paused until more may. 0 = any number. */
    uint32_t per_minute, per_day;
    int wake_fd;           /* eventfd that says "there may be jobs"; -1 = none */
    int64_t owner;         /* identity of this process: from ush_job_owner */
    int64_t keep_ms;       /* how long the row of a job that is done stays; 0 = USH_JOBS_KEEP_MS */
    const char *redis_url; /* see below; NULL = none: workers ask the table */
    const char *redis_prefix; /* as in ush_hints_options */
};
struct ush_jobs; /* opaque */

/*
 * Claims and runs jobs until ush_jobs_stop; then finishes what runs and returns. While the database
 * is away only an end after mark 2 is waited for; other jobs are run again when their lease is
 * over. *ret_jobs is set before it first suspends and good until it returns. A cancellation of the
 * caller's scope cuts running jobs short and hands them back without spending an attempt. 0, or a
 * negative code when cancelled. To be run in a task. May suspend.
 */
int ush_jobs_run(const struct ush_jobs_options *o, struct ush_jobs **ret_jobs);
/* Never suspends. */
void ush_jobs_stop(struct ush_jobs *j);
/* A new random identity, for a process without a master; a worker has ush_worker_owner. */
int64_t ush_job_owner(void);
/* Releases every claim of a process that is known to be dead, counting a crash on each. The number
 * released. May suspend. */
int ush_jobs_release(struct ush_db *db, int64_t owner);
/* Makes a dead or held job ready again, or all of a lane. Failures and crashes are counted anew;
 * ambiguous ends are not forgotten, so another one is held at once. */
struct ush_jobs_retry {
    int64_t id;       /* 0: all of the lane */
    const char *lane; /* NULL with an id */
};
/* The number made ready. May suspend. */
int ush_jobs_retry(struct ush_db *db, const struct ush_jobs_retry *what);

/* ---- pauses --------------------------------------------------------------------------------- */

/*
 * A lane that is paused gives no worker of any host a job until then; what runs goes on. The pause
 * is a row: it outlives all processes, and ends by itself. Jobs lose nothing by it.
 */
#define USH_JOBS_UNTIL_RESUMED INT64_C(253402300799000) /* the end of the year 9999 */
struct ush_jobs_pause {
    const char *lane;
    int64_t until_ms;   /* since 1970 */
    const char *reason; /* for people; NULL = none */
};
/* A pause that lasts longer stays. 0. May suspend. */
int ush_jobs_pause(struct ush_db *db, const struct ush_jobs_pause *what);
/* Ends the pause of a lane, whoever began it. 1; 0 when there was none. May suspend. */
int ush_jobs_resume(struct ush_db *db, const char *lane);

/* ---- several hosts: Redis -------------------------------------------------------------------- */

/*
 * With a Redis (6.2 or newer) workers do not ask the table. One of them, whichever holds a key that
 * expires, *announces*: it writes the ids of due rows into a stream per lane. All of them read ids
 * from there as they have room, claim those rows by id, and delete the entry.
 *
 *   put, commit --hint--> announcer --id--> stream of the lane --id--> some worker --> claim by id
 *                            |    ^
 *                            +----+ and every 0.4 s: what is due and in no stream
 *
 * The rows stay the truth, and an announcement only says "try this one". So one that is lost is
 * made again by the next round, and one that is doubled, stale, or of an old snapshot claims
 * nothing. A worker that did not see the announcer at work for 1.2 s, whatever the reason, asks
 * the table each second like one without a Redis.
 *
 * What puts jobs raises a hint after its commit; it waits for nothing.
 */
struct ush_hints; /* opaque; one per loop */
struct ush_hints_options {
    const char *url;    /* see redis.h; copied */
    const char *prefix; /* of all keys: one per database; NULL = "usher:jobs"; borrowed */
};
/* Connects to nobody yet. NULL with *ret_error -EINVAL (the URL) or -ENOMEM. Never suspends. */
struct ush_hints *ush_hints_new(const struct ush_hints_options *o, int *ret_error);
/* Its task has ended. */
void ush_hints_free(struct ush_hints *h);
/* After the commit of a job. Never suspends: the task sends, and what is raised meanwhile is one
 * hint. */
void ush_hints_raise(struct ush_hints *h);
/* The task of `hints`: returns only when cancelled. A server that is away comes back by itself. May
 * suspend. */
int ush_hints_send(void *hints);

/* The operations behind all this, to be listed in ush_db_options.operations. */
extern const struct ush_operation ush_op_jobs_claim, ush_op_job_mark, ush_op_job_end,
    ush_op_jobs_renew, ush_op_jobs_release, ush_op_jobs_retry, ush_op_jobs_rest, ush_op_jobs_purge,
    ush_op_jobs_due;
#define USH_JOBS_OPERATIONS                                                                        \
    &ush_op_jobs_claim, &ush_op_job_mark, &ush_op_job_end, &ush_op_jobs_renew,                     \
        &ush_op_jobs_release, &ush_op_jobs_retry, &ush_op_jobs_rest, &ush_op_jobs_purge,           \
        &ush_op_jobs_due

#endif
