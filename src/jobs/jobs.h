/*
 * jobs.h (internal) - what the files of the job queue share.
 *
 *     ops.c       the table: statements and operations, all that is stored
 *     run.c       the worker: claims, the lease, the wait for work
 *     job.c       one job from claim to end
 *     lanes.c     when a lane rests: pauses and limits
 *     hints.c     who puts jobs says so over Redis
 *     announce.c  one worker of all writes the ids of due rows into streams
 *     listen.c    every worker reads ids from them
 *     talk.c      commands to Redis as text
 *
 * The records are the inputs and outputs of the operations.
 */
#ifndef USH_JOBS_JOBS_H
#define USH_JOBS_JOBS_H

#include "usher/jobs.h"
#include "usher/redis.h"

enum {
    USH__LEASE_MS = 60000,  /* from the claim, or from the renewal */
    USH__RENEW_MS = 15000,  /* between two renewals */
    USH__MARGIN_MS = 15000, /* what must be left of the lease to touch the world */
    USH__CUT_MS = 5000,     /* what is left of it when attempts are cancelled */
    USH__ASK_MS = 1000,     /* between two looks at the table without a wake-up */
    USH__END_MS = 2000,     /* for storing an end while the process stops */
    USH__LAST_MS = 5000,    /* so long after a stop an end is tried whose loss costs nothing */
    USH__NOTE_BYTES = 200,
    USH__LANES_BYTES = 256,
    USH__PURGE_ROWS = 50,         /* looked at by one purge: a rush hardly notices it */
    USH__PURGE_PAUSE_MS = 1000,   /* between two purges that go on */
    USH__PURGE_EVERY_MS = 600000, /* between two walks through the old rows */
    USH__LANES_MAX = 8,
    USH__FEED_MAX = 200, /* announcements of a lane in Redis that nobody has tried to claim */
};

#define USH__JOB_ID_FIELDS(F, R) F(R, I64, id)
USH_RECORD(ush__job_id, USH__JOB_ID_FIELDS)

#define USH__JOB_ROW_FIELDS(F, R)                                                                  \
    F(R, I64, id)                                                                                  \
    F(R, TEXT, kind)                                                                               \
    F(R, TEXT, lane)                                                                               \
    F(R, I64, subject, .optional = true)                                                           \
    F(R, BYTES, payload, .max = USH_JOB_PAYLOAD_MAX)                                               \
    F(R, I64, due_at)                                                                              \
    F(R, I64, claim)                                                                               \
    F(R, I64, mark)                                                                                \
    F(R, I64, failures)                                                                            \
    F(R, I64, crashes)                                                                             \
    F(R, I64, unknowns)                                                                            \
    F(R, I64, created_at)
USH_RECORD(ush__job_row, USH__JOB_ROW_FIELDS)

#define USH__JOBS_CLAIM_FIELDS(F, R)                                                               \
    F(R, I64, owner)                                                                               \
    F(R, TEXT, lanes, .doc = "By comma, in order of preference")                                   \
    F(R, I64, limit, .doc = "Rows at most")                                                        \
    F(R, I64, limit_rest, .doc = "Of these from all lanes but the first")                          \
    F(R, I64, per_minute, .doc = "Claims of all its lanes by all workers; 0 = any number")         \
    F(R, I64, per_day, .doc = "The same")                                                          \
    F(R, LIST, held, .of = &ush__job_id_record, .max = USH_JOBS_AT_ONCE_MAX,                       \
      .doc = "What the owner knows that it holds")                                                 \
    F(R, TEXT, ids, .max = 24 * USH_JOBS_AT_ONCE_MAX, .optional = true,                            \
      .doc = "JSON array: only these rows, of any lane")
USH_RECORD(ush__jobs_claim, USH__JOBS_CLAIM_FIELDS)

#define USH__JOBS_CLAIMED_FIELDS(F, R)                                                             \
    F(R, LIST, rows, .of = &ush__job_row_record, .max = USH_JOBS_AT_ONCE_MAX)                      \
    F(R, BOOL, more, .doc = "A limit was reached")
USH_RECORD(ush__jobs_claimed, USH__JOBS_CLAIMED_FIELDS)

#define USH__JOBS_DUE_FIELDS(F, R)                                                                 \
    F(R, TEXT, lanes, .doc = "By comma")                                                           \
    F(R, I64, limit, .doc = "Of each lane")
USH_RECORD(ush__jobs_due, USH__JOBS_DUE_FIELDS)

#define USH__DUE_ROW_FIELDS(F, R)                                                                  \
    F(R, I64, id)                                                                                  \
    F(R, TEXT, lane)
USH_RECORD(ush__due_row, USH__DUE_ROW_FIELDS)

#define USH__DUE_ROWS_FIELDS(F, R)                                                                 \
    F(R, LIST, rows, .of = &ush__due_row_record, .max = USH__LANES_MAX * USH__FEED_MAX)
USH_RECORD(ush__due_rows, USH__DUE_ROWS_FIELDS)

#define USH__JOB_MARK_FIELDS(F, R)                                                                 \
    F(R, I64, id)                                                                                  \
    F(R, I64, claim)                                                                               \
    F(R, I64, mark)                                                                                \
    F(R, BYTES, payload, .max = USH_JOB_PAYLOAD_MAX, .optional = true)
USH_RECORD(ush__job_mark, USH__JOB_MARK_FIELDS)

#define USH__JOB_END_FIELDS(F, R)                                                                  \
    F(R, I64, id)                                                                                  \
    F(R, I64, claim)                                                                               \
    F(R, I64, state, .doc = "enum ush_job_state, not RUNNING")                                     \
    F(R, I64, delay_ms, .doc = "READY: from now until it is due")                                  \
    F(R, I64, failed, .doc = "1 = an attempt is spent")                                            \
    F(R, I64, unknown, .doc = "1 = it may have taken effect")                                      \
    F(R, I64, pause_ms, .doc = "The lanes rest so long; 0 = they go on")                           \
    F(R, TEXT, lanes, .max = USH__LANES_BYTES, .optional = true, .doc = "By comma, for the pause") \
    F(R, TEXT, note, .max = USH__NOTE_BYTES, .optional = true)
USH_RECORD(ush__job_end, USH__JOB_END_FIELDS)

#define USH__JOBS_OWNER_FIELDS(F, R) F(R, I64, owner)
USH_RECORD(ush__jobs_owner, USH__JOBS_OWNER_FIELDS)

#define USH__JOBS_AGAIN_FIELDS(F, R)                                                               \
    F(R, I64, id, .doc = "0: all of the lane")                                                     \
    F(R, TEXT, lane, .max = 20, .optional = true)
USH_RECORD(ush__jobs_again, USH__JOBS_AGAIN_FIELDS)

#define USH__JOB_AGE_FIELDS(F, R)                                                                  \
    F(R, I64, id)                                                                                  \
    F(R, I64, state)                                                                               \
    F(R, I64, ended_at, .optional = true)                                                          \
    F(R, I64, created_at)
USH_RECORD(ush__job_age, USH__JOB_AGE_FIELDS)

#define USH__JOBS_PURGE_FIELDS(F, R)                                                               \
    F(R, I64, after, .doc = "Rows up to this id were looked at")                                   \
    F(R, I64, keep_ms)
USH_RECORD(ush__jobs_purge, USH__JOBS_PURGE_FIELDS)

#define USH__JOBS_PURGED_FIELDS(F, R)                                                              \
    F(R, I64, rows, .doc = "Rows deleted")                                                         \
    F(R, I64, after, .doc = "Where to go on; 0 = that was all for now")
USH_RECORD(ush__jobs_purged, USH__JOBS_PURGED_FIELDS)

#define USH__JOBS_CHANGED_FIELDS(F, R) F(R, I64, rows, .doc = "Rows changed")
USH_RECORD(ush__jobs_changed, USH__JOBS_CHANGED_FIELDS)

#define USH__JOBS_REST_FIELDS(F, R)                                                                \
    F(R, TEXT, lane, .max = 20)                                                                    \
    F(R, I64, until, .doc = "ms since 1970; 0 = it goes on")                                       \
    F(R, TEXT, reason, .max = USH__NOTE_BYTES, .optional = true)
USH_RECORD(ush__jobs_rest, USH__JOBS_REST_FIELDS)

#define USH__LANE_COUNTS_FIELDS(F, R)                                                              \
    F(R, I64, paced_until)                                                                         \
    F(R, I64, day_at)                                                                              \
    F(R, I64, day_count)
USH_RECORD(ush__lane_counts, USH__LANE_COUNTS_FIELDS)

/* Runs an operation whose output is a number of rows. That, or a negative code. May suspend. */
int ush__jobs_change(struct ush_db *db, const struct ush_operation *op, const void *in);

/* ---- inside an operation (lanes.c) ---------------------------------------------------------- */

/* All of the list, by comma, rest until then, unless they rest for longer. */
int ush__lanes_pause(struct ush_tx *tx, ush_text lanes, int64_t until_ms, ush_text reason);
/* How many jobs a claim may take by its limits, and locks what they are counted in. */
int ush__lanes_allow(struct ush_tx *tx, const struct ush__jobs_claim *in,
                     struct ush__lane_counts *ret_counts, int64_t *ret_allowed);
/* Counts what it took. */
int ush__lanes_spend(struct ush_tx *tx, const struct ush__jobs_claim *in,
                     struct ush__lane_counts *c, int64_t count);

/* ---- a worker's own state ------------------------------------------------------------------- */

struct ush_jobs {
    struct ush_jobs_options o;
    char lanes[USH__LANES_BYTES]; /* by comma */
    struct ush__slot *slots;      /* owned: o.at_once of them */
    struct ush_link free;         /* slots */
    struct ush_link held;         /* slots: claimed, their end is not stored yet */
    struct ush_link alone;        /* slots to be run one at a time; claimed too */
    uint32_t free_count;          /* slots in `free` */
    uint32_t running, rest;       /* tasks; of these not of the first lane */
    bool is_stopping;
    int64_t stopped_ns;     /* since when */
    bool is_hinted;         /* a wake-up came */
    bool has_more;          /* the last claim reached a limit */
    bool has_change;        /* a job has ended since */
    bool is_away;           /* the last claim failed */
    bool is_failing;        /* a job failed and none has succeeded since; said once */
    int64_t paused_ns;      /* until when the lanes rest for what a job was told; said once */
    bool is_fed;            /* what is due is announced: no need to ask the table */
    struct ush__feed *feed; /* owned; NULL = no Redis */
    int64_t ask_ns;         /* when to look without a wake-up */
    int64_t renewed_ns;     /* when the renewal that succeeded last was sent */
    struct ush_alarm cut;   /* at the end of the shortest lease */
    struct ush_event wake;
    struct ush_scope scope; /* of all jobs */
};

/* One claimed job. */
struct ush__slot {
    struct ush_job job; /* what its function sees */
    struct ush_link link;
    const struct ush_job_kind *kind; /* NULL: not known here */
    int64_t claimed_ns;              /* when the claim was sent */
    int64_t failures, unknowns;      /* before this attempt */
    int mark;                        /* reached by this attempt */
    bool is_rest;                    /* not of the first lane */
    bool is_lost;                    /* the claim is no longer ours */
    bool is_late;                    /* too little was left of the lease to go on */
    struct ush_scope *scope;         /* around the function; NULL before and after */
    struct ush_arena arena;          /* of the row and of the function */
    char note[USH__NOTE_BYTES];
};

/* The moment at which the lease of a slot is over, on the clock of ush_now_ns. */
int64_t ush__slot_lease_ns(const struct ush__slot *s);
/* Runs a slot to its stored end: the function of its task. */
int ush__slot_run(void *slot);
/* Gives a slot back whose job has ended. */
void ush__slot_give(struct ush__slot *s);
/* Something happened that the claiming task, or the one that listens, may have waited for. */
void ush__jobs_wake(struct ush_jobs *j);
/* The free slots, if it is worth while to fill them now; else 0. */
size_t ush__jobs_room(const struct ush_jobs *j);

/* ---- several commands to Redis (talk.c) ----------------------------------------------------- */

#define USH__REDIS_PREFIX "usher:jobs"

struct ush__talk {
    struct ush_arena arena;
    struct ush_redis_command *commands;
    struct ush_redis_reply *replies; /* good until ush__talk_fini */
    size_t count, most;
    int error;
};
/* For at most so many commands. */
void ush__talk_begin(struct ush__talk *t, size_t most);
/* One more command; its arguments are what stands between the spaces. */
void ush__talk_say(struct ush__talk *t, const char *fmt, ...) USH_PRINTF(2, 3);
/* Sends them and waits for as many replies: what ush_redis_call returns. May suspend. */
int ush__talk_end(struct ush__talk *t, struct ush_redis *redis, int64_t block_ms);
void ush__talk_fini(struct ush__talk *t);

/* The place of an entry in its stream: Redis' clock, and a number within the millisecond. */
struct ush__moment {
    int64_t ms, sequence;
};
struct ush__entry {
    char name[48]; /* "1700000000000-0" */
    struct ush__moment at;
    int64_t job;
    size_t lane; /* set by the caller */
};
/* The items of an array; an error, nil or anything else has none. */
size_t ush__reply_count(const struct ush_redis_reply *r);
/* [name, [field, value]]; false for anything whose name is not two numbers. */
bool ush__entry_parse(const struct ush_redis_reply *r, struct ush__entry *ret);
bool ush__entry_moment(ush_text name, struct ush__moment *ret);

/* ---- announcements (announce.c, listen.c) ---------------------------------------------------- */

/*
 * Keys of Redis, all behind one prefix:
 *
 *     :lane:mail             a stream of announcements ("job 4711"), with the group "workers". An
 *                            entry is deleted when its claim was tried, so what is in it was not
 *     :raised                a stream of one entry: jobs were put
 *     :announcer:mail,bulk   who announces for workers of these lanes; expires
 *     :epoch:mail,bulk       raised by each round of the announcer
 */
struct ush__feed {
    struct ush_jobs *jobs;
    const char *prefix;
    const char *const *lanes; /* lane_count of them, in order of preference */
    size_t lane_count;
    struct ush_redis *listener, *announcer; /* owned */

    /* listen.c: entries that were delivered. The first `tried` need no claim any more. */
    struct ush__entry heard[USH_JOBS_AT_ONCE_MAX];
    size_t heard_count, tried;
    struct ush_event turn;
    uint32_t reads;
    int64_t epoch, moved_ns; /* as last seen; when it was seen to move */
    bool was_said;           /* that it does not move */
};
/* NULL with *ret_error -EINVAL (the URL) or -ENOMEM. Never suspends. */
struct ush__feed *ush__feed_new(struct ush_jobs *j, int *ret_error);
void ush__feed_free(struct ush__feed *f);
int ush__feed_listen(void *feed);   /* a task; may suspend */
int ush__feed_announce(void *feed); /* a task; may suspend */
/* Writes at most n ids that wait to be claimed as a JSON array; how many there are. */
size_t ush__feed_ids(const struct ush__feed *f, size_t n, struct ush_buf *to);
/* A claim was tried for the first n of them; negative = the claim failed. */
void ush__feed_tried(struct ush__feed *f, int n);

#endif
