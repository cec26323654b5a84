/*
 * commit.c - group commit: changes gather while the last batch is made durable.
 *
 *     ush_batch_submit, ush_batch_put ──> struct ush_batch ──> one thread ──> ush__batch_run
 *            ^                                                               |
 *            └────────────── results, after the COMMIT ──────────────────────┘
 *
 * The batch (task/batch.c) runs in the loop and the transaction in a thread of its own, so while
 * the disk works the loop takes in the next changes. No change waits for company: an idle
 * committer begins at once.
 *
 *  1. One thread touches the session. What else needs the connection (migrations, views of a
 *     database in memory) goes through the same thread, between two batches.
 *  2. A result reaches its submitter only after the COMMIT.
 *  3. Cancelling ends no batch: its items are shielded once it has begun.
 *  4. A broken session is never used again, and before anything else is stored the log is copied
 *     into the database and synced (by the driver's open). The writer process ends instead, and
 *     its successor does that. Until then nobody is answered.
 *
 * Trouble with storage that passes (disk full, read-only) is logged once in ten seconds, and once
 * when it is over. Every batch tries anew, so service resumes by itself.
 */
#include <stdlib.h>
#include <unistd.h>

#include "sql/sql.h"

enum { ARENA_FIRST = 256 << 10, ANSWERS_MAX = 64 << 20, THREAD_QUEUE = 16 };
#define TROUBLE_EVERY_NS (10 * USH_SECOND)

/* ---- in the thread -------------------------------------------------------------------------- */

static int open_session(struct ush__committer *c)
{
    struct ush__session_options o = {
        .url = c->o.url,
        .access = c->o.may_create ? USH__CREATE : USH__WRITE,
        .sync_normal = c->o.sync_normal,
    };
    return c->session ? 0 : c->o.driver->open(&o, &c->session, c->trouble);
}

static void close_session(struct ush__committer *c)
{
    if (c->session)
        c->o.driver->close(c->session);
    c->session = NULL;
}

void ush__trouble_note(struct ush__trouble *t, int result, const char *name, const char *why)
{
    if (result != USH_ESTORAGE) {
        if (t->is_on && result >= 0) {
            t->is_on = false;
            ush_info("database.storage", "changes are stored again");
        }
        return;
    }
    int64_t now_ns = ush_now_ns();
    if (t->said_ns && now_ns - t->said_ns < TROUBLE_EVERY_NS)
        return;
    t->is_on = true;
    t->said_ns = now_ns;
    ush_error("database.storage", "changes are refused, %s: %s", name, why);
}

struct batch_job {
    struct ush__committer *c;
    struct ush_batch_item **items;
    size_t n;
};

static int commit_batch(void *arg)
{
    struct batch_job *job = arg;
    struct ush__committer *c = job->c;
    int r = open_session(c);
    if (r == 0) {
        ush_arena_reset(&c->arena);
        struct ush__batch_run run = {c->session, &c->arena, &c->answers, job->items, job->n};
        r = ush__batch_run(&run);
    }
    ush__trouble_note(&c->said, r, c->o.url, c->session ? c->session->trouble : c->trouble);
    if (!c->session)
        return r;
    if (c->session->is_broken) {
        ush_error("database.broken", "%s: %s", c->o.url, c->session->trouble);
        if (c->o.exits_if_broken)
            _exit(USH_WRITER_STORAGE);
        close_session(c);
        return USH_EUNKNOWN;
    }
    if (r == USH_ESTORAGE)
        close_session(c); /* a file that was read-only when it was opened stays so for SQLite */
    else
        c->session->driver->upkeep(c->session);
    return r;
}

struct alone_job {
    struct ush__committer *c;
    int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg);
    void *arg;
};

static int run_alone(void *arg)
{
    struct alone_job *job = arg;
    USH_TRY(open_session(job->c));
    ush_arena_reset(&job->c->arena);
    return job->fn(job->c->session, &job->c->arena, job->arg);
}

static int open_first(void *arg)
{
    return open_session(arg);
}

static int close_last(void *arg)
{
    close_session(arg);
    return 0;
}

/* ---- in the loop ---------------------------------------------------------------------------- */

/* Waits for the thread, deaf to cancellation from around. */
static int offload_shielded(struct ush__committer *c, ush_fn fn, void *arg)
{
    struct ush_scope shield;
    ush_scope_open(&shield, &(struct ush_scope_options){
                                .name = "commit", .shield = true, .deadline_ns = USH_NEVER});
    int r = ush_offload(c->thread, fn, arg);
    ush_scope_close(&shield);
    return r;
}

static int flush(void *ctx, struct ush_batch_item **items, size_t n)
{
    struct ush__committer *c = ctx;
    struct batch_job job = {c, items, n};
    int r = offload_shielded(c, commit_batch, &job);
    struct ush_db_stats *stats = c->o.stats;
    ush__changes_settle(items, n, r, stats);
    stats->changes += n;
    stats->batches++;
    stats->waiting = c->batch.count;
    if (n > stats->batch_largest)
        stats->batch_largest = (uint32_t)n;
    return 0;
}

int ush__committer_alone(struct ush__committer *c,
                         int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg),
                         void *arg)
{
    struct alone_job job = {c, fn, arg};
    return ush_offload(c->thread, run_alone, &job);
}

/* ---- life ----------------------------------------------------------------------------------- */

int ush__committer_open(struct ush__committer *c, const struct ush__committer_options *o,
                        int *ret_holder)
{
    *c = (struct ush__committer){.o = *o, .lock = -1};
    if (ush__sqlite_path(o->url)) {
        USH_TRY(ush__refuse_remote(ush__sqlite_path(o->url)));
        c->lock = ush__lock_take(o->url, ret_holder);
        if (c->lock < 0)
            return c->lock;
    }
    if (o->sync_normal)
        ush_warn("database.sync",
                 "synchronous=NORMAL: a power cut may lose registrations that were confirmed");
    c->arena_first = malloc(ARENA_FIRST);
    ush_arena_init(&c->arena, c->arena_first, c->arena_first ? ARENA_FIRST : 0, USH__TX_ARENA_MAX);
    ush_buf_init(&c->answers, ANSWERS_MAX);
    struct ush_batch_options batch = {
        .name = "commit",
        .max = o->batch_max,
        .queue_max = o->queue_max,
        .flush = flush,
        .ctx = c,
    };
    c->thread = ush_pool_new(
        &(struct ush_pool_options){.name = "commit", .threads = 1, .queue_max = THREAD_QUEUE});
    int r = c->thread ? ush_batch_init(&c->batch, ush_root_scope(), &batch) : -ENOMEM;
    if (r == 0)
        r = ush_offload(c->thread, open_first, c);
    if (r < 0 && r != USH_ESTORAGE) {
        ush__committer_close(c);
        return r;
    }
    return 0;
}

void ush__committer_close(struct ush__committer *c)
{
    if (c->session && offload_shielded(c, close_last, c) < 0)
        close_session(c); /* the thread is idle */
    ush_batch_fini(&c->batch);
    ush_pool_free(c->thread);
    ush_arena_fini(&c->arena);
    free(c->arena_first);
    ush_buf_fini(&c->answers);
    if (c->lock >= 0)
        close(c->lock);
    c->lock = -1;
}
