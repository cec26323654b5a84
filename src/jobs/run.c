/*
 * run.c - the worker: claims what there is room for, keeps the lease, waits for more.
 *
 * One task claims (the caller of ush_jobs_run), one renews the lease, one listens for wake-ups,
 * one deletes old rows, and every running job has one. Slots are made once, at_once of them, so the
 * number of claimed jobs is bounded and a claim allocates only what its rows need.
 *
 * Invariants
 *  1. A slot is in `free`, in `alone` (claimed, waits for an empty worker) or in `held` (its task
 *     runs until the end is stored). What the table says this owner runs is in the last two, or is
 *     the lost answer of a claim, and then the next claim returns it.
 *  2. At most one claim is under way. Its limit is the number of free slots.
 *  3. A job with two crashes runs while nothing else does, so a third crash is its own doing.
 *  4. All leases are renewed by one statement every 15 s. A renewal that was sent at t extends
 *     them to t + 60 s and a claim that was sent at t begins so.
 *
 * Asking. A worker with room asks after a wake-up, when a job has ended and the answer before was
 * as long as it could be, and else once a second, a little earlier or later each time. While less
 * than a quarter of the slots is free it does not ask: so claims, marks and ends travel together
 * and share commits.
 *
 * With a Redis (announce.c, listen.c) a worker that is fed does not ask: it claims by id what was
 * announced to it. Wake-ups by eventfd are left alone then, so that one host does not take
 * everything that its own web workers put.
 *
 * If the database is away, claims fail and are tried each second, renewals too; what runs goes on
 * as long as its lease does.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "jobs/jobs.h"

enum { AT_ONCE = 8, CLAIM_ARENA = 64 << 20, SLOT_ARENA = 8 << 20 };

int64_t ush_job_owner(void)
{
    int64_t owner;
    do {
        ush_random(&owner, sizeof owner);
        owner &= INT64_MAX;
    } while (owner == 0);
    return owner;
}

void ush__jobs_wake(struct ush_jobs *j)
{
    ush_event_set(&j->wake);
    if (j->feed)
        ush_event_set(&j->feed->turn);
}

size_t ush__jobs_room(const struct ush_jobs *j)
{
    bool has_room = j->free_count * 4 >= j->o.at_once && ush_list_is_empty(&j->alone);
    return has_room ? j->free_count : 0;
}

void ush_jobs_stop(struct ush_jobs *j)
{
    if (!j->is_stopping)
        j->stopped_ns = ush_now_ns();
    j->is_stopping = true;
    ush__jobs_wake(j);
}

/* ---- the lease ------------------------------------------------------------------------------ */

/* Cancels what runs on a lease that is about to end. */
static void on_cut(struct ush_alarm *a)
{
    struct ush_jobs *j = USH_CONTAINER(a, struct ush_jobs, cut);
    int64_t now = ush_now_ns(), next = USH_NEVER;
    USH_EACH (&j->held, l) {
        struct ush__slot *s = USH_CONTAINER(l, struct ush__slot, link);
        int64_t at = ush__slot_lease_ns(s) - USH__CUT_MS * (int64_t)USH_MS;
        if (at > now) {
            next = at < next ? at : next;
        } else if (s->scope) {
            ush_warn("job.lease", "job %lld is cut short: its lease could not be renewed",
                     (long long)s->job.id);
            ush_scope_cancel(s->scope, USH_CANCEL_DEADLINE);
        }
    }
    if (next != USH_NEVER)
        ush_alarm_set(&j->cut, next, on_cut);
}

static int keep_lease(void *arg)
{
    struct ush_jobs *j = arg;
    struct ush__jobs_owner in = {.owner = j->o.owner};
    int64_t wait_ms = USH__RENEW_MS;
    while (ush_sleep(wait_ms * USH_MS) >= 0) {
        wait_ms = USH__RENEW_MS;
        if (j->free_count == j->o.at_once)
            continue;
        int64_t sent_ns = ush_now_ns();
        int r = ush__jobs_change(j->o.db, &ush_op_jobs_renew, &in);
        if (r >= 0) {
            j->renewed_ns = sent_ns;
            continue;
        }
        ush_warn("jobs.renew", "the lease is not renewed: %s", ush_error_text(r));
        wait_ms = USH__ASK_MS;
    }
    return 0;
}

/* ---- old rows ------------------------------------------------------------------------------- */

static int purge(void *arg)
{
    struct ush_jobs *j = arg;
    struct ush__jobs_purge in = {.keep_ms = j->o.keep_ms};
    for (int64_t wait_ms = USH__PURGE_PAUSE_MS; ush_sleep(wait_ms * USH_MS) >= 0;) {
        char room[64];
        struct ush_arena arena;
        struct ush__jobs_purged out = {0};
        ush_arena_init(&arena, room, sizeof room, 64 << 10);
        int r = ush_change(j->o.db, &ush_op_jobs_purge, &in, &out, &arena);
        ush_arena_fini(&arena);
        in.after = r < 0 ? 0 : out.after; /* the next walk begins anew, so it needs no care */
        wait_ms = in.after ? USH__PURGE_PAUSE_MS : USH__PURGE_EVERY_MS;
    }
    return 0;
}

/* ---- slots ---------------------------------------------------------------------------------- */

static void start(struct ush_jobs *j, struct ush__slot *s)
{
    ush_list_push(&j->held, &s->link);
    j->running++;
    j->rest += s->is_rest;
    struct ush_spawn_options o = {.name = s->kind ? s->kind->name : "job", .site = USH_SITE};
    on_cut(&j->cut);
    if (ush_spawn_with(&j->scope, &o, ush__slot_run, s) < 0)
        ush__slot_run(s); /* the worker is cancelled, so this only hands it back; or no memory */
}

void ush__slot_give(struct ush__slot *s)
{
    struct ush_jobs *j = s->job.jobs;
    ush_list_del(&s->link);
    ush_arena_fini(&s->arena);
    j->running--;
    j->rest -= s->is_rest;
    ush_list_push(&j->free, &s->link);
    j->free_count++;
    j->has_change = true;
    ush__jobs_wake(j);
}

static const struct ush_job_kind *kind_of(const struct ush_jobs *j, ush_text name)
{
    for (size_t i = 0; i < j->o.kind_count; i++)
        if (ush_text_equal(ush_text_of(j->o.kinds[i].name), name))
            return &j->o.kinds[i];
    return NULL;
}

/* A row becomes a slot. Without memory for its texts it waits for its lease like a lost one. */
static void take(struct ush_jobs *j, const struct ush__job_row *row, int64_t sent_ns)
{
    struct ush_link *l = ush_list_pop(&j->free);
    assert(l);
    j->free_count--;
    struct ush__slot *s = USH_CONTAINER(l, struct ush__slot, link);
    *s = (struct ush__slot){
        .kind = kind_of(j, row->kind),
        .claimed_ns = sent_ns,
        .failures = row->failures,
        .unknowns = row->unknowns,
        .is_rest = !ush_text_equal(row->lane, ush_text_of(j->o.lanes[0])),
    };
    ush_list_init(&s->link);
    ush_arena_init(&s->arena, NULL, 0, SLOT_ARENA);
    s->job = (struct ush_job){
        .id = row->id,
        .claim = row->claim,
        .subject = row->subject,
        .kind = ush_arena_copy(&s->arena, row->kind),
        .payload = ush_arena_copy(&s->arena, row->payload),
        .attempt = (int)row->failures + 1,
        .crashes = (int)row->crashes,
        .mark = (int)row->mark,
        .created_at = row->created_at,
        .due_at = row->due_at,
        .arena = &s->arena,
        .jobs = j,
    };
    if (row->crashes >= USH_JOB_CRASHES_MAX - 1)
        ush_list_push(&j->alone, &s->link);
    else
        start(j, s);
}

/* Starts the next job that has to be alone, if nothing runs; all of them when there is nothing to
 * run any more, because then they only hand back. */
static void start_alone(struct ush_jobs *j)
{
    while (!ush_list_is_empty(&j->alone) && (j->running == 0 || j->is_stopping)) {
        struct ush_link *l = ush_list_pop(&j->alone);
        start(j, USH_CONTAINER(l, struct ush__slot, link));
    }
}

/* ---- claiming ------------------------------------------------------------------------------- */

static size_t list_held(struct ush_jobs *j, struct ush__job_id *ret)
{
    size_t n = 0;
    USH_EACH (&j->held, l)
        ret[n++].id = USH_CONTAINER(l, struct ush__slot, link)->job.id;
    USH_EACH (&j->alone, l)
        ret[n++].id = USH_CONTAINER(l, struct ush__slot, link)->job.id;
    return n;
}

/* Claims for the free slots: what was announced, or else from the lanes. */
static void claim(struct ush_jobs *j)
{
    struct ush_arena arena;
    struct ush_buf ids;
    ush_arena_init(&arena, NULL, 0, CLAIM_ARENA);
    ush_buf_init(&ids, 64 << 10);
    int announced = j->feed ? (int)ush__feed_ids(j->feed, j->free_count, &ids) : 0;
    uint32_t half = (j->o.at_once + 1) / 2;
    struct ush__job_id *held = USH_NEW_N(&arena, struct ush__job_id, j->o.at_once);
    struct ush__jobs_claim in = {
        .owner = j->o.owner,
        .lanes = ush_text_of(j->lanes),
        .limit = j->free_count,
        .limit_rest = j->rest < half ? half - j->rest : 0,
        .per_minute = j->o.per_minute,
        .per_day = j->o.per_day,
        .held = {held, held ? list_held(j, held) : 0},
    };
    struct ush__jobs_claimed out = {0};
    if (announced) {
        in.ids = ush_buf_text(&ids);
        USH_SET(&in, ush__jobs_claim_ids);
    }
    int64_t sent_ns = ush_now_ns();
    int r = held ? ush_change(j->o.db, &ush_op_jobs_claim, &in, &out, &arena) : -ENOMEM;
    if (r < 0 && r != -ECANCELED && r != -ETIMEDOUT && !j->is_away)
        ush_warn("jobs.claim", "no jobs can be claimed: %s", ush_error_text(r));
    else if (r >= 0 && j->is_away)
        ush_info("jobs.claim", "jobs can be claimed again");
    if (j->is_away && r >= 0)
        ush__jobs_wake(j); /* announcements are read again */
    j->is_away = r < 0;
    const struct ush__job_row *rows = out.rows.at;
    for (size_t i = 0; r >= 0 && i < out.rows.count; i++)
        take(j, &rows[i], sent_ns);
    if (announced)
        ush__feed_tried(j->feed, r < 0 ? r : announced);
    else
        j->has_more = r >= 0 && out.more;
    ush_buf_fini(&ids);
    ush_arena_fini(&arena);
}

static int wait_until(struct ush_jobs *j, int64_t at_ns)
{
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.name = "wait for jobs", .deadline_ns = at_ns});
    int r = ush_event_wait(&j->wake);
    ush_scope_close(&s);
    ush_event_reset(&j->wake);
    return r == -ETIMEDOUT ? ush_cancelled() : r == -ECANCELED ? ush_cancelled() : 0;
}

static int64_t next_ask_ns(void)
{
    uint32_t dice;
    ush_random(&dice, sizeof dice);
    int64_t ms = USH__ASK_MS * 3 / 4 + dice % (USH__ASK_MS / 2);
    return ush_now_ns() + ms * USH_MS;
}

/* When to look at the table without being told. What is announced need not be looked for, unless a
 * claim failed: its rows may be ours without our knowing. */
static int64_t look_ns(const struct ush_jobs *j)
{
    return j->is_fed && !j->is_away ? USH_NEVER : j->ask_ns;
}

static int claim_until_stopped(struct ush_jobs *j)
{
    int r = 0;
    while (!j->is_stopping && r >= 0) {
        int64_t now = ush_now_ns();
        bool has_room = ush__jobs_room(j) > 0;
        bool is_told = j->feed && j->feed->tried < j->feed->heard_count;
        bool has_reason =
            j->is_hinted || is_told || now >= look_ns(j) || (j->has_more && j->has_change);
        if (has_room && has_reason) {
            /* Announcements first; a hint about the table is kept for the next time. */
            j->is_hinted = j->is_hinted && is_told;
            j->has_change = false;
            j->ask_ns = next_ask_ns();
            claim(j);
            continue;
        }
        start_alone(j);
        r = ush_cancelled();
        if (r >= 0 && !j->is_stopping)
            r = wait_until(j, has_room ? look_ns(j) : USH_NEVER);
    }
    return r;
}

static int listen_for_hints(void *arg)
{
    struct ush_jobs *j = arg;
    while (ush_wait_fd(j->o.wake_fd, USH_READABLE) >= 0) {
        uint64_t count;
        if (read(j->o.wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
            break;
        if (j->is_fed)
            continue;
        j->is_hinted = true;
        ush__jobs_wake(j);
    }
    return 0;
}

/* ---- the run -------------------------------------------------------------------------------- */

static int init(struct ush_jobs *j, const struct ush_jobs_options *o)
{
    *j = (struct ush_jobs){.o = *o};
    j->o.at_once = o->at_once ? o->at_once : AT_ONCE;
    j->o.keep_ms = o->keep_ms ? o->keep_ms : USH_JOBS_KEEP_MS;
    assert(j->o.at_once <= USH_JOBS_AT_ONCE_MAX);
    struct ush_buf lanes;
    ush_buf_init(&lanes, sizeof j->lanes - 1);
    for (const char *const *lane = o->lanes; *lane; lane++)
        ush_buf_printf(&lanes, "%s%s", lane == o->lanes ? "" : ",", *lane);
    int r = lanes.error;
    memcpy(j->lanes, ush_buf_text(&lanes).at, lanes.len);
    ush_buf_fini(&lanes);
    j->slots = calloc(j->o.at_once, sizeof *j->slots);
    if (r < 0 || !j->slots)
        return r < 0 ? r : -ENOMEM;
    ush_list_init(&j->free);
    ush_list_init(&j->held);
    ush_list_init(&j->alone);
    for (uint32_t i = 0; i < j->o.at_once; i++)
        ush_list_push(&j->free, &j->slots[i].link);
    j->free_count = j->o.at_once;
    ush_event_init(&j->wake, "jobs");
    if (o->redis_url && o->redis_url[0])
        j->feed = ush__feed_new(j, &r);
    return r;
}

int ush_jobs_run(const struct ush_jobs_options *o, struct ush_jobs **ret_jobs)
{
    struct ush_jobs j;
    int r = init(&j, o);
    if (r < 0)
        goto out;
    *ret_jobs = &j;
    ush_scope_open(&j.scope, &(struct ush_scope_options){.name = "jobs", .keep_going = true});
    r = ush_spawn(&j.scope, keep_lease, &j);
    if (r >= 0)
        r = ush_spawn(&j.scope, purge, &j);
    if (r >= 0 && o->wake_fd >= 0) {
        fcntl(o->wake_fd, F_SETFL, fcntl(o->wake_fd, F_GETFL) | O_NONBLOCK);
        r = ush_spawn(&j.scope, listen_for_hints, &j);
    }
    if (r >= 0 && j.feed) {
        r = ush_spawn(&j.scope, ush__feed_listen, j.feed);
        if (r >= 0)
            r = ush_spawn(&j.scope, ush__feed_announce, j.feed);
    }
    if (r >= 0)
        r = claim_until_stopped(&j);
    ush_jobs_stop(&j);
    start_alone(&j);
    while (j.running && r >= 0)
        r = wait_until(&j, USH_NEVER);
    /* Either nothing runs any more or the caller's scope is cancelled and so is every job. */
    ush_scope_cancel(&j.scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&j.scope);
    ush_alarm_clear(&j.cut);
    *ret_jobs = NULL;
out:
    ush__feed_free(j.feed);
    free(j.slots);
    return r;
}
