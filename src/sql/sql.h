/*
 * sql.h - the table of contents of src/sql, and what its files share.
 *
 *     db.c             ush_read and ush_change: which way they go
 *     client.c         the way to the writer process          frame.c   what is said on it
 *     writer.c         the writer process
 *     commit.c         changes gather while the last batch is made durable
 *     ops.c            a batch of operations in one transaction
 *     migrate.c        the tables are brought to where the program expects them
 *     tx.c             what a function can ask inside a transaction
 *     lock.c           the files beside a database; who may commit to it
 *     pool.c           sessions with a server, shared by the tasks of a process
 *     ------------------------- driver.h: struct ush__driver -------------------------
 *     sqlite.c, sqlite_query.c            postgres.c, postgres_connect.c, postgres_query.c
 *
 * The life of a change in a server on SQLite:
 *
 *     handler --> db.c --> client.c == socket ==> writer.c --> commit.c --> ops.c --> sqlite.c
 *                                                                  |   BEGIN, savepoints, COMMIT
 *     handler <-- db.c <-- client.c <== socket == writer.c <-------+   of up to 256 together
 *
 * And on PostgreSQL:
 *
 *     handler --> db.c --> pool.c --> ops.c --> postgres.c == server
 */
#ifndef USH_SQL_SQL_H
#define USH_SQL_SQL_H

#include "sql/driver.h"

enum {
    USH__BATCH_MAX = 256,
    USH__QUEUE_MAX = 10000,
    USH__TX_ARENA_MAX = 64 << 20, /* what a transaction or view may hold in memory */
    USH__URL_MAX = 1024,
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
/* The same, but USH_ECONFLICT of the COMMIT is the result of all. */
int ush__batch_once(struct ush__batch_run *b);

/* Gives each of a batch its result: `all` if that is negative, else its own, with the output record
 * unpacked for the submitter. */
void ush__changes_settle(struct ush_batch_item **items, size_t n, int all,
                         struct ush_db_stats *stats);

static inline struct ush__change *ush__change_of(struct ush_batch_item *item)
{
    return USH_CONTAINER(item, struct ush__change, item);
}

/* ---- commit.c ------------------------------------------------------------------------------- */

/* What was said in the log about storage: trouble once in ten seconds, its end once. */
struct ush__trouble {
    int64_t said_ns;
    bool is_on;
};
/* After each batch. `why` counts for USH_ESTORAGE. */
void ush__trouble_note(struct ush__trouble *t, int result, const char *name, const char *why);

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
    struct ush_batch batch;       /* of struct ush__change: submit or put them here */
    struct ush_arena arena;
    void *arena_first; /* owned */
    struct ush_buf answers;
    char trouble[USH__TROUBLE_MAX]; /* why it could not be opened */
    struct ush__trouble said;
};

/* Takes the lock and opens. -EWOULDBLOCK and the holder's process id if another process commits.
 * A full disk or a read-only file is no failure: changes are refused until that is over. May
 * suspend. */
int ush__committer_open(struct ush__committer *c, const struct ush__committer_options *o,
                        int *ret_holder);
/* Nothing is in progress any more. May suspend. */
void ush__committer_close(struct ush__committer *c);
/* Runs fn alone with the session, between two batches. May suspend. */
int ush__committer_alone(struct ush__committer *c,
                         int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg),
                         void *arg);

/* ---- pool.c --------------------------------------------------------------------------------- */

struct ush__view {
    int (*fn)(struct ush_tx *view, void *arg);
    void *arg;
    int64_t deadline_ns; /* 0 = none */
};

struct ush__pool; /* opaque */

struct ush__pool_options {
    const char *url, *name; /* borrowed; the name has no password and is for messages */
    const struct ush__driver *driver;
    enum ush_db_role role;
    const struct ush_operation *const *operations;   /* borrowed; may be NULL */
    uint32_t readers, batch_max, queue_max, wait_ms; /* not 0 */
    struct ush_db_stats *stats;                      /* kept up to date; not NULL */
};

/* A worker's opens its sessions when they are needed; for others one is opened now. A line in the
 * log says why if it cannot be, or if the URL can never be one (USH_EINVAL). May suspend. */
int ush__pool_open(const struct ush__pool_options *o, struct ush__pool **ret);
/* Nothing is in progress any more. */
void ush__pool_close(struct ush__pool *p);
/* See ush_read. May suspend. */
int ush__pool_read(struct ush__pool *p, const struct ush__view *view);
/* See ush_change. May suspend. */
int ush__pool_change(struct ush__pool *p, struct ush__change *change);
/* Runs fn with a session of its own. May suspend. */
int ush__pool_alone(struct ush__pool *p,
                    int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg),
                    void *arg);

/* ---- client.c ------------------------------------------------------------------------------- */

struct ush__client; /* opaque */

struct ush__client_options {
    struct ush_address at;
    const struct ush_operation *const *operations; /* borrowed */
    uint32_t queue_max, writer_wait_ms;            /* not 0 */
    struct ush_db_stats *stats;                    /* kept up to date; not NULL */
};

/* Connects in the background. NULL without memory. Never suspends. */
struct ush__client *ush__client_new(const struct ush__client_options *o);
/* See ush_change. May suspend. */
int ush__client_change(struct ush__client *c, const struct ush_operation *op, const void *in,
                       void *ret_out, struct ush_arena *arena);
/* No change may be in progress. May suspend. */
void ush__client_free(struct ush__client *c);

/* ---- db.c ----------------------------------------------------------------------------------- */

/* Waits until the event is set, whatever is cancelled meanwhile. May suspend. */
static inline void ush__wait_shielded(struct ush_event *e)
{
    while (!e->is_set) {
        struct ush_scope shield;
        struct ush_scope_options o = {.name = e->name, .shield = true, .deadline_ns = USH_NEVER};
        ush_scope_open(&shield, &o);
        ush_event_wait(e);
        ush_scope_close(&shield);
    }
}

/* One view of one moment. Blocks, or suspends, as the driver does. */
int ush__view_run(struct ush__session *s, struct ush_arena *arena, const struct ush__view *view);
/* Runs fn alone with the session that commits; -EBUSY if that is another process's. May suspend. */
int ush__db_alone(struct ush_db *db,
                  int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg), void *arg);

/* ---- lock.c --------------------------------------------------------------------------------- */

enum { USH__PATH_MAX = 512 };
/* "usher.db" of "sqlite:usher.db"; NULL for a database in memory. */
const char *ush__sqlite_path(const char *url);
/* Refuses file systems whose locks do not reach every process: -EREMOTE, with a line in the log. */
int ush__refuse_remote(const char *path);
/* True for the f_type of statfs(2) of such a file system. */
bool ush__is_remote(long f_type);
/*
 * The lock on "usher.db-lock", which every process that commits holds. A descriptor to close; or
 * -EWOULDBLOCK with the process id of the holder in *ret_holder (0 if it is not known).
 */
int ush__lock_take(const char *url, int *ret_holder);

#endif
