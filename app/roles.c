/*
 * roles.c - what each process of a server does, from its start to its drain.
 *
 *   web     the routes of app/web on the shared listening socket
 *   writer  (SQLite) the one process that commits
 *   job     claims jobs and sends mails
 *
 * Each opens its own database connections and its own fest; what is shared was made before the
 * forks (server.h). A role says that it is ready once it can do its work, waits for the word to
 * drain, and ends what it began.
 */
#include <sys/resource.h>

#include "domain/erase.h"
#include "domain/mails.h"
#include "server.h"
#include "usher/net.h"

enum { JOB_NICENESS = 15, FORGET_ARENA_MAX = 16 << 20 };
#define FORGET_EVERY_NS (3600 * (int64_t)USH_SECOND)

int server_open_fest(struct server *s, struct fest *f)
{
    int error = 0;
    struct ush_db *db =
        ush_db_open(&(struct ush_db_options){.url = s->settings.database_url,
                                             .role = USH_DB_WORKER,
                                             .operations = fest_operations,
                                             .batch_max = (uint32_t)s->settings.batch_max,
                                             .queue_max = (uint32_t)s->settings.queue_max,
                                             .sync_normal = s->settings.sqlite_sync == 1},
                    &error);
    if (!db)
        return error;
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    int r = fest_open(f, &s->settings, db, &problem);
    if (r < 0) {
        ush_error("fest.open", "%s", ush_buf_text(&problem).at);
        ush_db_close(db);
    }
    f->wake_fd = s->wake_fd;
    fest_share(f, s->shared);
    ush_buf_fini(&problem);
    return r;
}

void server_close_fest(struct fest *f)
{
    struct ush_db *db = f->db;
    fest_close(f);
    ush_db_close(db);
}

/* ---- Redis ----------------------------------------------------------------------------------- */

/* Its address, or NULL. On SQLite there is one host and the eventfd wakes at once. */
static const char *redis_of(const struct server *s)
{
    return s->is_sqlite || !s->settings.redis_url[0] ? NULL : s->settings.redis_url;
}

/* The hints of one web worker, if there is a Redis. */
struct wire {
    struct ush_hints *hints; /* owned; NULL = none */
    struct ush_scope scope;  /* of its task */
};

/* A worker without it does its work; mails are found a little later. */
static void open_wire(struct wire *wire, struct server *s)
{
    int error = 0;
    const char *url = redis_of(s);
    ush_scope_open(&wire->scope, &(struct ush_scope_options){.name = "hints"});
    wire->hints = url ? ush_hints_new(&(struct ush_hints_options){.url = url}, &error) : NULL;
    if (wire->hints)
        error = ush_spawn(&wire->scope, ush_hints_send, wire->hints);
    if (error < 0)
        ush_warn("hints.start", "no hints over Redis: %s", ush_error_text(error));
}

static void close_wire(struct wire *wire)
{
    ush_scope_cancel(&wire->scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&wire->scope);
    ush_hints_free(wire->hints);
}

/* ---- roles ----------------------------------------------------------------------------------- */

static struct ush_http_limits limits_of(const struct settings *s)
{
    struct ush_http_limits l = ush_http_limits_direct;
    l.handler_ms = (uint32_t)s->request_timeout_ms;
    l.connections = (uint32_t)(s->max_connections / s->workers + 1);
    l.body_bytes = (uint32_t)s->max_body;
    return l;
}

/* When no worker comes after: who has connected is answered, who connects from now on is refused
 * and may turn to another host. In the backlog they would be cut off when the last worker leaves.
 */
static int drain_web(struct ush_worker *w, const struct server *s, struct ush_http *http)
{
    int64_t by_ns = ush_worker_wait_drain(w);
    if (ush_worker_is_stopping(w) && !s->is_listener_given) {
        ush_http_accept_waiting(http);
        shutdown(s->listener, SHUT_RDWR);
    }
    return ush_http_drain(http, by_ns);
}

int run_web(struct ush_worker *w, void *ctx)
{
    struct server *s = ctx;
    struct web web = {.settings = &s->settings, .limits = s->limits, .worker = w};
    USH_TRY(server_open_fest(s, &web.fest));
    struct ush_http_limits limits = limits_of(&s->settings);
    struct ush_http_options o = web_http_options(&web);
    o.limits = &limits;
    o.listeners = &s->listener;
    o.listener_count = 1;
    o.stats = ush_worker_shared(w);
    o.siblings = ush_worker_shared_at(w, 0); /* the blocks lie side by side */
    o.sibling_count = USH_PLACES_MAX;
    int r = 0;
    struct wire wire;
    open_wire(&wire, s);
    web.fest.hints = wire.hints;
    struct ush_http *http = ush_http_start(&o, &r);
    if (http) {
        ush_worker_ready(w);
        r = drain_web(w, s, http);
    }
    web.fest.hints = NULL;
    close_wire(&wire);
    ush_arena_fini(&web.stats.arena);
    server_close_fest(&web.fest);
    return r;
}

static int run_writer_inside(void *arg)
{
    return ush_writer_run(arg);
}

static void writer_ready(void *w)
{
    ush_worker_ready(w);
}

int run_writer(struct ush_worker *w, void *ctx)
{
    struct server *s = ctx;
    struct ush_writer_options o = {.url = s->settings.database_url,
                                   .operations = fest_operations,
                                   .listener = s->writer_listener,
                                   .batch_max = (uint32_t)s->settings.batch_max,
                                   .sync_normal = s->settings.sqlite_sync == 1,
                                   .ready = writer_ready,
                                   .ctx = w};
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "writer"});
    int r = ush_spawn(&scope, run_writer_inside, &o);
    if (r == 0)
        ush_worker_wait_drain(w);
    ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    int closed = ush_scope_close(&scope);
    return r < 0 ? r : closed == -ECANCELED ? 0 : closed;
}

struct job_worker {
    struct ush_jobs_options options;
    struct ush_jobs *jobs;
};

static int run_jobs_inside(void *arg)
{
    struct job_worker *j = arg;
    return ush_jobs_run(&j->options, &j->jobs);
}

/* Names and addresses of events that are long over. Every worker may do it: what another has erased
 * is not there any more. */
static int forget(void *arg)
{
    struct fest *f = arg;
    struct ush_arena arena;
    ush_arena_init(&arena, NULL, 0, FORGET_ARENA_MAX);
    for (;;) {
        int n = erase_overdue(f, f->settings->retention_days, USH_T("retention"), &arena);
        ush_arena_reset(&arena);
        if (n > 0)
            ush_info("fest.forgotten", "%d registrations of old events are erased", n);
        else if (n < 0 && n != -ECANCELED)
            ush_warn("fest.forget", "old registrations are not erased yet: %s", ush_error_text(n));
        int r = ush_sleep(FORGET_EVERY_NS);
        if (r < 0) {
            ush_arena_fini(&arena);
            return r;
        }
    }
}

int run_job(struct ush_worker *w, void *ctx)
{
    struct server *s = ctx;
    struct fest fest;
    struct mailer mailer;
    struct ush_buf problem;
    /* Making a mail costs a hundred times what a registration costs: the rush goes first. */
    setpriority(PRIO_PROCESS, 0, JOB_NICENESS);
    USH_TRY(server_open_fest(s, &fest));
    ush_buf_init(&problem, 1024);
    int r = mailer_init(&mailer, &fest, &problem);
    if (r < 0) {
        ush_error("mail.start", "%s", ush_buf_text(&problem).at);
        server_close_fest(&fest);
        return r;
    }
    static const char *const lanes[] = {MAIL_LANE, BULK_LANE, NULL};
    bool has_limits = mailer.transport.kind != TRANSPORT_FILE;
    struct job_worker j = {.options = {.db = fest.db,
                                       .kinds = mailer.kinds,
                                       .kind_count = MAIL_KINDS,
                                       .lanes = lanes,
                                       .at_once = mailer.at_once,
                                       .per_minute = has_limits ? s->settings.mail_rate_per_min : 0,
                                       .per_day = has_limits ? s->settings.mail_daily_cap : 0,
                                       .wake_fd = s->wake_fd,
                                       .owner = ush_worker_owner(w),
                                       .redis_url = redis_of(s)}};
    struct ush_scope scope, aside;
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "jobs"});
    ush_scope_open(&aside, &(struct ush_scope_options){.name = "forget"});
    r = ush_spawn(&scope, run_jobs_inside, &j);
    if (r == 0 && s->settings.retention_days)
        r = ush_spawn(&aside, forget, &fest);
    if (r == 0) {
        ush_worker_ready(w);
        ush_worker_wait_drain(w);
        ush_scope_cancel(&aside, USH_CANCEL_SHUTDOWN);
        if (j.jobs)
            ush_jobs_stop(j.jobs);
        else /* told to leave before it began */
            ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    } else
        ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&aside);
    int closed = ush_scope_close(&scope);
    mailer_fini(&mailer);
    server_close_fest(&fest);
    return r < 0 ? r : closed == -ECANCELED ? 0 : closed;
}

void release_claims(struct ush_worker *w, void *ctx, int64_t owner)
{
    (void)w;
    struct server *s = ctx;
    struct fest fest;
    if (server_open_fest(s, &fest) < 0)
        return;
    int n = ush_jobs_release(fest.db, owner);
    if (n > 0)
        ush_warn("jobs.released", "%d jobs of a dead worker are free again", n);
    server_close_fest(&fest);
}
