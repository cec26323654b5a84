/*
 * pool.c - the sessions of a process with a database server, shared by its tasks.
 *
 *     ush_read     --> a place for views ---+
 *                                           +--> a session: idle, or opened now --> transaction
 *     ush_change   --> .run_many: a batch --+                                           |
 *                  \-> .run: at once -------+        <-- given back, or closed if broken
 *
 *   .run_many     calls of one operation that come while its last batch is under way share the next
 *                 transaction (task/batch.c). With .key there are LANES of them, by key, so that
 *                 batches which cannot meet are under way at once
 *   .run          has a transaction of its own, in the task of its caller
 *
 *  1. There are as many sessions as places, and whoever has a place finds a session or opens one:
 *     nobody waits for somebody else's session. Few are better than many: on one hot row a
 *     server with a pool of 2 did 4,130 registrations a second, with 32 it did 2,330.
 *  2. A broken session is closed and another one opened when it is needed. Attempts to open follow
 *     each other by PAUSE_MIN to PAUSE_MAX. While the server is away calls wait for it, but not
 *     longer than wait_ms after it was lost: from then on they fail at once (USH_EUNAVAILABLE). One
 *     that is silent was lost when the change that it did not answer began.
 *  3. A change whose session broke in its first wait_ms is run again, whether COMMIT was under
 *     way or not: it finds its own effect by its keys. So are those that met another transaction:
 *     after a deadlock, RERUNS times and a little later each time; and when a key came into being
 *     meanwhile, which the next run finds.
 *  4. A transaction that has begun is deaf to the cancellation of its caller, but not longer than
 *     CHANGE_MAX: then its session counts as broken.
 *  5. A view may be cancelled at any of its waits.
 */
#include <stdio.h>
#include <stdlib.h>

#include "sql/sql.h"

enum {
    LANES = 2, /* batches of one operation under way at once */
    SESSIONS_FOR_CHANGES = LANES + 1,
    ARENA_FIRST = 64 << 10,
    ANSWERS_MAX = 64 << 20,
    RERUNS = 5,
    RERUNS_CONFLICT = 2,
    STATEMENT_MS = 5000, /* a statement of a process that serves */
};
#define CHANGE_MAX_NS (8 * USH_SECOND) /* with wait_ms behind it: less than a proxy waits, 15 s */
#define REFRESH_MAX_NS (USH_SECOND)
#define PAUSE_MIN_NS (20 * (int64_t)USH_MS)
#define PAUSE_MAX_NS (1 * USH_SECOND)

struct holder {
    struct ush_link link;         /* while idle */
    struct ush__session *session; /* owned */
    struct ush_arena arena;
    struct ush_buf answers;
    char first[ARENA_FIRST] __attribute__((aligned(16)));
};

struct lane {
    struct ush_batch batch;
    struct ush__pool *pool;
};

struct ush__pool {
    struct ush__pool_options o;
    struct ush_link idle; /* used last first */
    struct ush_semaphore reads, changes;
    struct lane (*lanes)[LANES]; /* owned; beside o.operations; those of .run are not used */
    size_t lane_count;
    uint32_t waiting; /* changes of .run */
    /* While the server is away: since when, when to try again, and how long after that. */
    int64_t lost_ns, retry_ns, pause_ns;
    char trouble[USH__TROUBLE_MAX];
    struct ush__trouble storage;
};

/* ---- sessions ------------------------------------------------------------------------------- */

static void holder_free(struct holder *h)
{
    if (h->session)
        h->session->driver->close(h->session);
    ush_arena_fini(&h->arena);
    ush_buf_fini(&h->answers);
    free(h);
}

static int holder_new(struct ush__pool *p, struct holder **ret)
{
    struct holder *h = malloc(sizeof *h);
    if (!h)
        return -ENOMEM;
    h->session = NULL;
    ush_arena_init(&h->arena, h->first, sizeof h->first, USH__TX_ARENA_MAX);
    ush_buf_init(&h->answers, ANSWERS_MAX);
    struct ush__session_options o = {.url = p->o.url,
                                     .access = USH__WRITE,
                                     .limit_ms = p->o.role == USH_DB_TOOL ? 0 : STATEMENT_MS};
    int r = p->o.driver->open(&o, &h->session, p->trouble);
    if (r < 0) {
        holder_free(h);
        return r;
    }
    *ret = h;
    return 0;
}

/* What the last user has left behind is waited for, but not for long. */
static bool refresh(struct holder *h)
{
    struct ush_scope scope;
    ush_scope_open(&scope,
                   &(struct ush_scope_options){.name = "refresh",
                                               .shield = true,
                                               .deadline_ns = ush_now_ns() + REFRESH_MAX_NS});
    h->session->driver->upkeep(h->session);
    ush_scope_close(&scope);
    return !h->session->is_broken;
}

static void note_lost(struct ush__pool *p)
{
    int64_t now_ns = ush_now_ns();
    if (!p->lost_ns) {
        p->lost_ns = now_ns;
        p->pause_ns = PAUSE_MIN_NS;
        ush_warn("database.lost", "%s: %s", p->o.name, p->trouble);
    }
    uint32_t dice;
    ush_random(&dice, sizeof dice);
    p->retry_ns = now_ns + p->pause_ns / 2 + dice % (uint64_t)(p->pause_ns / 2 + 1);
    p->pause_ns = p->pause_ns * 2 < PAUSE_MAX_NS ? p->pause_ns * 2 : PAUSE_MAX_NS;
}

/* A server that took a change and said nothing for so long is away since then, and what else is
 * connected to it is worth no more: the next one finds out with a connection of its own. */
static void note_silent(struct ush__pool *p, int64_t since_ns)
{
    for (struct ush_link *l; (l = ush_list_pop(&p->idle));)
        holder_free(USH_CONTAINER(l, struct holder, link));
    snprintf(p->trouble, sizeof p->trouble, "no answer in time");
    note_lost(p);
    p->lost_ns = since_ns < p->lost_ns ? since_ns : p->lost_ns;
}

static void note_found(struct ush__pool *p)
{
    if (p->lost_ns)
        ush_info("database.back", "%s answers again", p->o.name);
    p->lost_ns = p->retry_ns = 0;
}

/* A session that is whole. USH_EUNAVAILABLE if there is none by invariant 2. May suspend. */
static int take(struct ush__pool *p, struct holder **ret)
{
    for (;;) {
        struct ush_link *l = ush_list_pop(&p->idle);
        if (l) {
            *ret = USH_CONTAINER(l, struct holder, link);
            if (refresh(*ret))
                return 0;
            holder_free(*ret);
            continue;
        }
        int64_t now_ns = ush_now_ns();
        if (now_ns < p->retry_ns) {
            if (now_ns - p->lost_ns >= (int64_t)p->o.wait_ms * USH_MS)
                return USH_EUNAVAILABLE;
            USH_TRY(ush_sleep(p->retry_ns - now_ns));
            continue;
        }
        int r = holder_new(p, ret);
        if (r == 0)
            note_found(p);
        if (r != USH_EUNAVAILABLE)
            return r;
        note_lost(p);
    }
}

static void give(struct ush__pool *p, struct holder *h)
{
    ush_arena_reset(&h->arena);
    if (h->session->is_broken) {
        ush_warn("database.broken", "a connection is replaced: %s", h->session->trouble);
        holder_free(h);
    } else {
        ush_list_push_front(&p->idle, &h->link);
    }
}

/* ---- reading -------------------------------------------------------------------------------- */

int ush__pool_read(struct ush__pool *p, const struct ush__view *view)
{
    struct holder *h;
    USH_TRY(ush_semaphore_take(&p->reads));
    int r = take(p, &h);
    if (r == 0) {
        r = ush__view_run(h->session, &h->arena, view);
        give(p, h);
    }
    ush_semaphore_give(&p->reads);
    return r;
}

int ush__pool_alone(struct ush__pool *p,
                    int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg),
                    void *arg)
{
    struct holder *h;
    USH_TRY(ush_semaphore_take(&p->changes));
    int r = take(p, &h);
    if (r == 0) {
        r = fn(h->session, &h->arena, arg);
        give(p, h);
    }
    ush_semaphore_give(&p->changes);
    return r;
}

/* ---- changing ------------------------------------------------------------------------------- */

struct attempts {
    int64_t give_up_ns; /* a broken session is no reason any more to run it again */
    uint32_t lost, races, conflicts;
};

/* Whether the batch is to be run again after this. Waits a little first. */
static bool is_to_rerun(struct attempts *a, const struct ush__session *s,
                        struct ush__change *change, size_t n, int result)
{
    int64_t now_ns = ush_now_ns();
    if (s->is_broken) {
        return a->lost++ < RERUNS && now_ns < a->give_up_ns;
    }
    if (result >= 0 && n == 1)
        result = change->result;
    if (!s->is_race || result >= 0)
        return false;
    /* The other one has committed, so what it has stored can be seen at once. */
    if (result == USH_ECONFLICT)
        return a->conflicts++ < RERUNS_CONFLICT;
    uint32_t dice;
    ush_random(&dice, sizeof dice);
    ush_sleep((1 + dice % (2u << a->races)) * (int64_t)USH_MS);
    return a->races++ < RERUNS;
}

/* Runs n changes in one transaction, again where that may help, and settles them. */
static void run_together(struct ush__pool *p, struct ush_batch_item **items, size_t n)
{
    struct attempts a = {.give_up_ns = ush_now_ns() + (int64_t)p->o.wait_ms * USH_MS};
    struct ush__change *first = ush__change_of(items[0]);
    bool again;
    int r;
    do {
        struct holder *h;
        r = take(p, &h);
        if (r < 0)
            break;
        int64_t begun_ns = ush_now_ns(), by_ns = begun_ns + CHANGE_MAX_NS;
        struct ush_scope limit;
        ush_scope_open(&limit,
                       &(struct ush_scope_options){.name = "transaction", .deadline_ns = by_ns});
        struct ush__batch_run run = {h->session, &h->arena, &h->answers, items, n};
        r = ush__batch_once(&run);
        ush_scope_close(&limit);
        p->o.stats->batches++;
        again = is_to_rerun(&a, h->session, first, n, r);
        if (!again && r >= 0)
            ush__changes_settle(items, n, 0, p->o.stats);
        ush__trouble_note(&p->storage, r < 0 ? r : first->result, p->o.name, h->session->trouble);
        if (h->session->is_broken && ush_now_ns() >= by_ns)
            note_silent(p, begun_ns);
        give(p, h);
    } while (again);
    if (r == USH_ECONFLICT && n > 1) {
        for (size_t i = 0; i < n; i++) /* a constraint that is checked late: each alone */
            run_together(p, &items[i], 1);
    } else if (r < 0) {
        bool is_ours = r == USH_ESTORAGE || r == USH_ECONFLICT || r == USH_ELIMIT;
        ush__changes_settle(items, n, is_ours ? r : USH_EUNAVAILABLE, p->o.stats);
    }
}

/* The whole of a batch, deaf to the cancellation of the task. */
static void run_shielded(struct ush__pool *p, struct ush_batch_item **items, size_t n)
{
    struct ush_scope shield;
    ush_scope_open(&shield, &(struct ush_scope_options){
                                .name = "change", .shield = true, .deadline_ns = USH_NEVER});
    struct ush_db_stats *stats = p->o.stats;
    stats->changes += n;
    if (n > stats->batch_largest)
        stats->batch_largest = (uint32_t)n;
    run_together(p, items, n);
    ush_scope_close(&shield);
}

static int flush(void *ctx, struct ush_batch_item **items, size_t n)
{
    struct lane *lane = ctx;
    struct ush__pool *p = lane->pool;
    struct ush_scope shield;
    ush_scope_open(&shield, &(struct ush_scope_options){
                                .name = "batch", .shield = true, .deadline_ns = USH_NEVER});
    int r = ush_semaphore_take(&p->changes);
    ush_scope_close(&shield);
    USH_TRY(r);
    run_shielded(p, items, n);
    ush_semaphore_give(&p->changes);
    return 0;
}

static int change_alone(struct ush__pool *p, struct ush__change *change)
{
    if (p->waiting >= p->o.queue_max)
        return USH_EFULL;
    p->waiting++;
    int r = ush_semaphore_take(&p->changes);
    p->waiting--;
    USH_TRY(r);
    struct ush_batch_item *item = &change->item;
    run_shielded(p, &item, 1);
    ush_semaphore_give(&p->changes);
    return change->item.result;
}

int ush__pool_change(struct ush__pool *p, struct ush__change *change)
{
    const struct ush_operation *op = change->op;
    for (size_t i = 0; i < p->lane_count; i++) {
        if (p->o.operations[i] != op)
            continue;
        if (!op->run_many)
            return change_alone(p, change);
        size_t lane = op->key ? (uint64_t)op->key(change->in) % LANES : 0;
        return ush_batch_submit(&p->lanes[i][lane].batch, &change->item);
    }
    assert(!"an operation that is not in ush_db_options.operations");
    return USH_EINVAL;
}

/* ---- life ----------------------------------------------------------------------------------- */

static int make_lanes(struct ush__pool *p)
{
    while (p->o.operations && p->o.operations[p->lane_count])
        p->lane_count++;
    p->lanes = calloc(p->lane_count + 1, sizeof *p->lanes);
    if (!p->lanes)
        return -ENOMEM;
    for (size_t i = 0; i < p->lane_count; i++) {
        const struct ush_operation *op = p->o.operations[i];
        for (size_t k = 0; op->run_many && k < (op->key ? LANES : 1); k++) {
            struct lane *lane = &p->lanes[i][k];
            lane->pool = p;
            USH_TRY(ush_batch_init(&lane->batch, ush_root_scope(),
                                   &(struct ush_batch_options){
                                       .name = op->name,
                                       .max = p->o.batch_max,
                                       .queue_max = p->o.queue_max,
                                       .flush = flush,
                                       .ctx = lane,
                                   }));
        }
    }
    return 0;
}

/* Who does not serve is told at once what is wrong. */
static int try_out(struct ush__pool *p)
{
    struct holder *h;
    int r = holder_new(p, &h);
    if (r == USH_EUNAVAILABLE)
        ush_error("database.open", "%s: %s", p->o.name, p->trouble);
    USH_TRY(r);
    give(p, h);
    return 0;
}

int ush__pool_open(const struct ush__pool_options *o, struct ush__pool **ret)
{
    struct ush__pool *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->o = *o;
    ush_list_init(&p->idle);
    ush_semaphore_init(&p->reads, "views", o->readers);
    ush_semaphore_init(&p->changes, "changes", SESSIONS_FOR_CHANGES);
    int r = o->driver->judge(o->url, p->trouble);
    if (r == USH_EINVAL)
        ush_error("database.url", "%s: %s", o->name, p->trouble);
    if (r == 0)
        r = make_lanes(p);
    if (r == 0 && o->role != USH_DB_WORKER)
        r = try_out(p);
    if (r < 0) {
        ush__pool_close(p);
        return r;
    }
    *ret = p;
    return 0;
}

void ush__pool_close(struct ush__pool *p)
{
    for (struct ush_link *l; (l = ush_list_pop(&p->idle));)
        holder_free(USH_CONTAINER(l, struct holder, link));
    for (size_t i = 0; p->lanes && i < p->lane_count * LANES; i++) {
        struct lane *lane = &p->lanes[i / LANES][i % LANES];
        if (lane->batch.taken)
            ush_batch_fini(&lane->batch);
    }
    free(p->lanes);
    free(p);
}
