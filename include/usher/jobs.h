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
 * The table is the library's: migrations/.../0001. A mail is a job row too: its Message-ID and
 * Date follow from the row's id and time, its marks and the server's reply are columns.
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

/* What a transaction puts. Bound to the table's columns in order by ush_jobs_put. */
#define USH_JOB_NEW_FIELDS(F, R)                                                                   \
    F(R, TEXT, kind, .max = 40, .doc = "Which function runs it; stable")                           \
    F(R, TEXT, lane, .max = 20, .doc = "Which workers take it: mail, bulk")                        \
    F(R, TEXT, unique_key, .max = 80, .optional = true, .doc = "A second job with it is dropped")  \
    F(R, I64, subject, .optional = true, .doc = "The row of the application it is about")          \
    F(R, BYTES, payload, .max = 8192, .doc = "The kind's own input, packed")                       \
    F(R, I64, due_at, .doc = "Not before, ms since 1970")                                          \
    F(R, I64, created_at, .doc = "ms since 1970")
USH_RECORD(ush_job_new, USH_JOB_NEW_FIELDS)

/* Inside an operation: puts n jobs. A unique key that exists already drops that one silently. The
 * number put. */
int ush_jobs_put(struct ush_tx *tx, const struct ush_job_new *jobs, size_t n);

/* A claimed job, as its function sees it. */
struct ush_job {
    int64_t id, claim, subject;
    ush_text kind, payload; /* payload as put, or as frozen by ush_job_mark */
    int attempt;            /* from 1 */
    int crashes;            /* workers that died while running it */
    int mark;               /* the mark that an earlier attempt reached, 0 = none */
    int64_t created_at, due_at;
    struct ush_arena *arena;
    struct ush_jobs *jobs;
};

/* Durable mark within an attempt: 1 = about to touch the world, 2 = past the point of no return.
 * `payload` replaces the stored one when not USH_NONE (to freeze what is sent). Returns after the
 * commit; -ECANCELED when the claim is no longer ours: stop at once. May suspend. */
int ush_job_mark(struct ush_job *job, int mark, ush_text payload);
/* Sets the text stored with the end of the attempt ("250 queued as 4F1A"). */
void ush_job_note(struct ush_job *job, const char *fmt, ...) USH_PRINTF(2, 3);

/*
 * Runs the job. 0 = done. -EAGAIN or any other negative code = retry by the kind's schedule (dead
 * after the last attempt). USH_EINVAL = dead now. USH_EUNKNOWN = ambiguous: retried once if the
 * kind says so, else held. May suspend; its scope carries the kind's deadline and is cancelled
 * when the worker must stop.
 */
typedef int (*ush_job_fn)(struct ush_job *job, void *ctx);

struct ush_job_kind {
    const char *name;
    const char *lane;
    ush_job_fn run;
    void *ctx;
    uint32_t deadline_ms;    /* of one attempt; below the lease of 60 s */
    uint32_t attempts_max;   /* 0 = 20 */
    const uint32_t *retry_s; /* seconds before attempt 2, 3, …; the last repeats; ended by 0;
                                NULL = 30 s, 1, 2, 5, 10, 30 min, 1 h; each times 0.75 to 1.25 */
    bool resend_unknown;     /* run an ambiguous job once more instead of holding it */
};

enum { USH_JOB_CRASHES_MAX = 3 }; /* a job that killed its worker this often is dead */

struct ush_jobs_options {
    struct ush_db *db;
    const struct ush_job_kind *kinds;
    size_t kind_count;
    const char *const *lanes; /* this worker's lanes in order of preference; NULL-terminated */
    uint32_t at_once;         /* jobs running in this process; 0 = 8 */
    int wake_fd;              /* eventfd that says "there may be jobs"; -1 = only ask each second */
    int64_t owner;            /* identity of this process: from ush_job_owner */
};
struct ush_jobs; /* opaque */

/* Claims and runs jobs until ush_jobs_stop; then finishes or hands back what runs without spending
 * an attempt. To be run in a task. May suspend. */
int ush_jobs_run(const struct ush_jobs_options *o, struct ush_jobs **ret_jobs);
void ush_jobs_stop(struct ush_jobs *j);
/* An identity that no other process had or will have: from boot id, pid and start time. */
int64_t ush_job_owner(void);
/* Releases every claim of a process that is known to be dead, counting a crash on each. The number
 * released. May suspend. */
int ush_jobs_release(struct ush_db *db, int64_t owner);

/* The operations behind all this, to be listed in ush_db_options.operations. */
extern const struct ush_operation ush_op_jobs_claim, ush_op_job_mark, ush_op_job_end,
    ush_op_jobs_renew, ush_op_jobs_release, ush_op_job_retry;
#define USH_JOBS_OPERATIONS                                                                        \
    &ush_op_jobs_claim, &ush_op_job_mark, &ush_op_job_end, &ush_op_jobs_renew,                     \
        &ush_op_jobs_release, &ush_op_job_retry

#endif
