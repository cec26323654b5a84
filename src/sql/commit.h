/*
 * commit.h - the group commit that the writer process and a database opened for itself share.
 *
 *     ops.c       a batch of changes in one transaction: savepoints, run_many, undoing
 *     commit.c    who waits for which batch; the thread it runs in; the lock; a broken session
 */
#ifndef USH_SQL_COMMIT_H
#define USH_SQL_COMMIT_H

#include "sql/driver.h"

enum {
    USH__BATCH_MAX = 256,
    USH__QUEUE_MAX = 10000,
    USH__TX_ARENA_MAX = 64 << 20, /* what a transaction or view may hold in memory */
};

/* One operation on its way through a batch. The submitter's storage. */
struct ush__change {
    struct ush_batch_item item;
    const struct ush_operation *op; /* borrowed for ever */
    const void *in;                 /* borrowed until it is settled */
    void *ret_out;                  /* the submitter's, or NULL to leave it packed in `answer` */
    struct ush_arena *arena;        /* of ret_out */
    int result;                     /* of the operation */
    void *out;                      /* in the arena of the batch */
    ush_text answer;                /* *out packed; good until the next batch begins */
};

/* ---- ops.c ---------------------------------------------------------------------------------- */

struct ush__batch_run {
    struct ush__session *session;
    struct ush_arena *arena;       /* for rows and output records */
    struct ush_buf *answers;       /* holds the packed output records */
    struct ush_batch_item **items; /* each inside a struct ush__change */
    size_t n;
};
/* Runs n changes in one transaction and sets result and answer of each. 0, or a negative code for
 * all: then nothing was stored, or, if the session is broken, nobody knows. Blocks. */
int ush__batch_run(struct ush__batch_run *b);

static inline struct ush__change *ush__change_of(struct ush_batch_item *item)
{
    return USH_CONTAINER(item, struct ush__change, item);
}

/* ---- commit.c ------------------------------------------------------------------------------- */

struct ush__committer_options {
    const char *url;
    const struct ush__driver *driver;
    uint32_t batch_max, queue_max; /* not 0 */
    bool sync_normal;
    bool may_create;            /* the database file */
    bool exits_if_broken;       /* the process, instead of opening a new session */
    struct ush_db_stats *stats; /* kept up to date; not NULL */
};

struct ush__committer {
    struct ush__committer_options o;
    struct ush__session *session; /* owned; NULL while it could not be opened */
    int lock;                     /* descriptor; -1 for a database in memory */
    struct ush_pool *thread;      /* exactly one: it alone touches session, arena and answers */
    struct ush_batch batch;
    struct ush_arena arena;
    void *arena_first; /* owned */
    struct ush_buf answers;
    char trouble[USH__TROUBLE_MAX]; /* why it could not be opened */
    int64_t trouble_ns;             /* of the last line in the log about storage */
    bool in_trouble;
};

/* Takes the lock and opens. -EWOULDBLOCK and the holder's process id if another process commits.
 * A full disk or a read-only file is no failure: changes are refused until that is over. May
 * suspend. */
int ush__committer_open(struct ush__committer *c, const struct ush__committer_options *o,
                        int *ret_holder);
/* Nothing is in progress any more. May suspend. */
void ush__committer_close(struct ush__committer *c);
/* Runs one change and waits for its commit; see ush_change. May suspend. */
int ush__committer_change(struct ush__committer *c, struct ush__change *change);
/* The same without waiting: `done` is called in the task of the batch, with change->answer good. */
int ush__committer_put(struct ush__committer *c, struct ush__change *change,
                       void (*done)(struct ush_batch_item *, int result));
/* Runs fn alone with the session, between two batches. May suspend. */
int ush__committer_alone(struct ush__committer *c,
                         int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg),
                         void *arg);

#endif
