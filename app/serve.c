/*
 * serve.c - `usher serve` and `usher worker`: puts the parts together and hands them to the master.
 *
 *   master ── listening socket, writer's socket, scoreboard, limits; no client bytes, no database
 *    ├─ writer     (SQLite) the one process that commits
 *    ├─ web 1..N   routes of app/web
 *    └─ job 1..M   sends mails
 *
 * Made before the forks and shared: the listening socket, the writer's socket, the rate limits, and
 * an event counter that wakes the job workers. Everything else each worker makes for itself.
 *
 * `usher worker` is the same master with job workers only, for a server elsewhere; a Redis carries
 * the event counter between them.
 */
#include "serve.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "domain/mails.h"
#include "usher/master.h"
#include "usher/net.h"
#include "web/web.h"

enum { JOB_NICENESS = 10, ORPHANS_MS = 5000 };

struct server {
    struct cli *cli;
    struct settings settings;
    int listener, writer_listener;
    int wake_fd; /* eventfd: "there may be jobs" */
    struct limits *limits;
    struct fest_shared *shared; /* what web workers tell each other */
    bool is_sqlite;
    char address[160];
};

/* The database and the fest on it, for one worker; says why if it fails. */
static int open_fest(struct server *s, struct fest *f)
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

static void close_fest(struct fest *f)
{
    struct ush_db *db = f->db;
    fest_close(f);
    ush_db_close(db);
}

/* ---- wake-ups over Redis --------------------------------------------------------------------- */

/* The connection of one worker, if there is a Redis. */
struct wire {
    struct ush_hints *hints; /* owned; NULL = none */
    struct ush_scope scope;  /* of its task */
};

/* `task` is ush_hints_send or ush_hints_listen. A worker without it does its work, a little later.
 */
static void open_wire(struct wire *wire, struct server *s, ush_fn task)
{
    int error = 0;
    ush_scope_open(&wire->scope, &(struct ush_scope_options){.name = "hints"});
    wire->hints = s->settings.redis_url[0]
                      ? ush_hints_new(&(struct ush_hints_options){.url = s->settings.redis_url,
                                                                  .wake_fd = s->wake_fd},
                                      &error)
                      : NULL;
    if (wire->hints)
        error = ush_spawn(&wire->scope, task, wire->hints);
    if (error < 0)
        ush_warn("hints.start", "no wake-ups over Redis: %s", ush_error_text(error));
}

static void close_wire(struct wire *wire)
{
    ush_scope_cancel(&wire->scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&wire->scope);
    ush_hints_free(wire->hints);
}

/* Before the workers are started: a wrong address is said at once. */
static int check_redis(const struct settings *settings)
{
    int error = 0;
    if (!settings->redis_url[0])
        return CLI_OK;
    struct ush_hints *h =
        ush_hints_new(&(struct ush_hints_options){.url = settings->redis_url}, &error);
    ush_hints_free(h);
    return h ? CLI_OK
             : cli_usage("USHER_REDIS_URL is no address; it takes redis://:password@host:6379/0 "
                         "or unix:/path");
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

static int run_web(struct ush_worker *w, void *ctx)
{
    struct server *s = ctx;
    struct web web = {.settings = &s->settings, .limits = s->limits, .worker = w};
    USH_TRY(open_fest(s, &web.fest));
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
    open_wire(&wire, s, ush_hints_send);
    web.fest.hints = wire.hints;
    struct ush_http *http = ush_http_start(&o, &r);
    if (http) {
        ush_worker_ready(w);
        r = ush_http_drain(http, ush_worker_wait_drain(w));
    }
    web.fest.hints = NULL;
    close_wire(&wire);
    close_fest(&web.fest);
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

static int run_writer(struct ush_worker *w, void *ctx)
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

static int run_job(struct ush_worker *w, void *ctx)
{
    struct server *s = ctx;
    struct fest fest;
    struct mailer mailer;
    struct ush_buf problem;
    /* Making a mail costs a hundred times what a registration costs: the rush goes first. */
    setpriority(PRIO_PROCESS, 0, JOB_NICENESS);
    USH_TRY(open_fest(s, &fest));
    ush_buf_init(&problem, 1024);
    int r = mailer_init(&mailer, &fest, &problem);
    if (r < 0) {
        ush_error("mail.start", "%s", ush_buf_text(&problem).at);
        close_fest(&fest);
        return r;
    }
    static const char *const lanes[] = {MAIL_LANE, BULK_LANE, NULL};
    struct job_worker j = {.options = {.db = fest.db,
                                       .kinds = mailer.kinds,
                                       .kind_count = MAIL_KINDS,
                                       .lanes = lanes,
                                       /* Each file is synced: more at once only take the disk from
                                        * the commits of registrations. */
                                       .at_once = settings_outbox(&s->settings) ? 2 : 0,
                                       .wake_fd = s->wake_fd,
                                       .owner = ush_worker_owner(w)}};
    struct wire wire;
    struct ush_scope scope;
    open_wire(&wire, s, ush_hints_listen);
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "jobs"});
    r = ush_spawn(&scope, run_jobs_inside, &j);
    if (r == 0) {
        ush_worker_ready(w);
        ush_worker_wait_drain(w);
        if (j.jobs)
            ush_jobs_stop(j.jobs);
        else /* told to leave before it began */
            ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    }
    int closed = ush_scope_close(&scope);
    close_wire(&wire);
    mailer_fini(&mailer);
    close_fest(&fest);
    return r < 0 ? r : closed == -ECANCELED ? 0 : closed;
}

/* A worker died: what it had claimed is free at once, not after its lease. */
static void release_claims(struct ush_worker *w, void *ctx, int64_t owner)
{
    (void)w;
    struct server *s = ctx;
    struct fest fest;
    if (open_fest(s, &fest) < 0)
        return;
    int n = ush_jobs_release(fest.db, owner);
    if (n > 0)
        ush_warn("jobs.released", "%d jobs of a dead worker are free again", n);
    close_fest(&fest);
}

/* ---- start ----------------------------------------------------------------------------------- */

/* The master of the server that runs on this database, 0 without: it opened the writer's socket,
 * and the kernel tells who opened it. */
static pid_t master_of(const char *url)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (ush_writer_socket(url, at.sun_path) < 0)
        return 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    bool found = connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                 getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
                 (kill(peer.pid, 0) == 0 || errno == EPERM);
    close(fd);
    return found ? peer.pid : 0;
}

/* Brings the tables up to date. -EBUSY while somebody else has the database. */
static int migrate_once(const char *url)
{
    int error = 0;
    struct ush_db *db = ush_db_open(
        &(struct ush_db_options){.url = url, .role = USH_DB_TOOL, .operations = fest_operations},
        &error);
    if (!db)
        return error;
    int r = ush_migrate(db, &fest_migrations);
    ush_db_close(db);
    return r;
}

/* A server whose master was killed needs a moment to end, and whoever watches over it starts the
 * next one at once: that is waited for. */
static int migrate(const char *url)
{
    int64_t give_up_ns = ush_now_ns() + ORPHANS_MS * (int64_t)USH_MS;
    for (;;) {
        int r = migrate_once(url);
        if (r != -EBUSY || master_of(url) || ush_now_ns() > give_up_ns)
            return r;
        USH_TRY(ush_sleep(50 * (int64_t)USH_MS));
    }
}

static int prepare_root(void *arg)
{
    struct server *s = arg;
    const char *url = s->settings.database_url;
    struct ush_buf problem;
    struct keys keys;
    int r = migrate(url);
    if (r == -EBUSY)
        cli_fail("another server runs on %s", url);
    else if (r < 0)
        cli_fail_code(r, "%s cannot be opened and brought up to date", url);
    ush_buf_init(&problem, 1024);
    if (r >= 0 && (r = keys_load(&keys, s->settings.secret_file, &problem)) < 0)
        cli_fail("%s", ush_buf_text(&problem).at);
    ush_buf_fini(&problem);
    return r;
}

/* ---- HUP ----------------------------------------------------------------------------------- */

/* In a process of its own. */
static int check_settings(void *ctx)
{
    const struct server *s = ctx;
    struct settings fresh;
    USH_TRY(cli_settings_again(s->cli, &fresh));
    const char *fixed =
        ush_settings_needs_restart(settings_table, settings_count, &s->settings, &fresh);
    if (fixed)
        fprintf(stderr, SETTINGS_PREFIX "_%s cannot change while the server runs\n", fixed);
    return fixed ? -EINVAL : 0;
}

static void log_as_set(const struct settings *settings)
{
    ush_log_init(&(struct ush_log_options){.fd = 2,
                                           .level = (enum ush_log_level)settings->log_level,
                                           .json = settings->log_format == 1,
                                           .role = "master"});
}

/* Links need the port that the kernel chose for ":0". */
static void name_own_port(struct server *s)
{
    if (ush_text_ends(ush_text_of(s->settings.base_url), USH_T(":0")))
        s->settings.base_url = s->address;
}

/* In the master: workers that are started from now on get the new settings. The texts of the old
 * ones stay, workers may still be on their way with them. */
static void take_settings(void *ctx)
{
    struct server *s = ctx;
    struct settings fresh;
    if (cli_settings_again(s->cli, &fresh) < 0)
        return; /* it changed since the trial; the next HUP judges it */
    s->settings = fresh;
    name_own_port(s);
    limits_set(s->limits, &s->settings);
    log_as_set(&s->settings);
}

/* ---- sockets ------------------------------------------------------------------------------- */

static int open_sockets(struct server *s)
{
    struct ush_address at;
    const char *listen = s->settings.listen;
    if (ush_address_parse(ush_text_of(listen), &at) < 0)
        return cli_usage("USHER_LISTEN=%s is no address; it takes 127.0.0.1:8080 or unix:/path",
                         listen);
    s->listener = ush_listen_at(&at);
    if (s->listener == -EADDRINUSE)
        return cli_fail("%s is in use by another program; --listen 127.0.0.1:0 takes a free port",
                        listen);
    if (s->listener < 0)
        return cli_fail_code(s->listener, "%s cannot be listened on", listen);
    if (at.storage.ss_family == AF_UNIX)
        snprintf(s->address, sizeof s->address, "%s", listen);
    else {
        char host[64];
        ush_address_host(&at, host);
        bool v6 = strchr(host, ':') != NULL;
        snprintf(s->address, sizeof s->address, "http://%s%s%s:%d", v6 ? "[" : "", host,
                 v6 ? "]" : "", ush_listener_port(s->listener));
        name_own_port(s);
    }
    if (!s->is_sqlite)
        return 0;
    char path[108], full[120];
    if (ush_writer_socket(s->settings.database_url, path) < 0)
        return cli_fail("%s: the path is too long for the writer's socket beside it",
                        s->settings.database_url);
    snprintf(full, sizeof full, "unix:%s", path);
    int r = ush_address_parse(ush_text_of(full), &at);
    mode_t mask = umask(0177);
    s->writer_listener = r < 0 ? r : ush_listen_at(&at);
    umask(mask);
    if (s->writer_listener < 0)
        return cli_fail_code(s->writer_listener, "%s cannot be listened on", path);
    return 0;
}

static void say_ready(void *ctx)
{
    const struct server *s = ctx;
    const char *outbox = settings_outbox(&s->settings);
    struct cli *cli = s->cli;
    if (cli->json) {
        printf("{\"address\":\"%s\",\"pid\":%d}\n", s->address, (int)getpid());
    } else {
        printf("Usher serves on %s\n", s->address);
        printf("  database  %s\n", s->settings.database_url);
        printf("  secret    %s (keep a copy: tickets and links follow from it)\n",
               s->settings.secret_file);
        if (outbox)
            printf("  mails     written to %s/, shown at %s/outbox\n", outbox, s->address);
        else
            printf("  mails     sent through %s\n", s->settings.mail_url);
        printf("  API       %s/docs\n", s->address);
        printf("  workers   %lld web, %lld mail; pid %d\n", (long long)s->settings.workers,
               (long long)s->settings.mail_workers, (int)getpid());
        printf("Ctrl-C stops it; kill -TERM %d lets running requests finish first.\n",
               (int)getpid());
    }
    fflush(stdout);
}

/* What all processes share. */
static int share(struct server *s)
{
    s->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->limits = limits_new(&s->settings);
    s->shared = ush_shared_new(sizeof *s->shared);
    return s->wake_fd < 0 || !s->limits || !s->shared ? CLI_FAILED : CLI_OK;
}

static int serve(struct cli *cli)
{
    struct server s = {
        .cli = cli, .settings = cli->settings, .listener = -1, .writer_listener = -1};
    s.is_sqlite = ush_text_starts(ush_text_of(s.settings.database_url), USH_T("sqlite:"));
    log_as_set(&s.settings);
    if (check_redis(&s.settings) != CLI_OK)
        return CLI_USAGE;
    if (ush_run(&(struct ush_loop_options){0}, prepare_root, &s) < 0)
        return CLI_FAILED;
    int r = open_sockets(&s);
    if (r)
        return r;
    if (share(&s) != CLI_OK)
        return CLI_FAILED;
    const struct ush_role roles[] = {
        {.name = "web", .count = (uint32_t)s.settings.workers, .scales = true, .run = run_web},
        {.name = "job",
         .count = (uint32_t)s.settings.mail_workers,
         .run = run_job,
         .ended = release_claims},
        {.name = "writer", .count = s.is_sqlite ? 1 : 0, .is_last = true, .run = run_writer},
    };
    struct ush_master_options o = {
        .roles = roles,
        .role_count = USH_COUNT(roles),
        .ctx = &s,
        .check = check_settings,
        .reload = take_settings,
        .ready = say_ready,
        .log_file = strcmp(s.settings.log, "stderr") ? s.settings.log : NULL,
        .shared_bytes = sizeof(struct ush_http_stats),
    };
    r = ush_master_run(&o);
    char path[108];
    if (s.is_sqlite && ush_writer_socket(s.settings.database_url, path) == 0)
        unlink(path);
    return r < 0 ? cli_fail_code(r, "the server cannot run") : CLI_OK;
}

/* ---- `usher worker` ------------------------------------------------------------------------- */
static void say_works(void *ctx)
{
    const struct server *s = ctx;
    if (s->cli->json)
        printf("{\"pid\":%d}\n", (int)getpid());
    else
        printf("Usher sends mails for %s; pid %d\n", s->settings.database_url, (int)getpid());
    fflush(stdout);
}

/* Opens what each worker will open, to say at once why it cannot. */
static int try_root(void *ctx)
{
    struct fest fest;
    int r = open_fest(ctx, &fest);
    if (r >= 0)
        close_fest(&fest);
    return r;
}

static int worker(struct cli *cli)
{
    struct server s = {
        .cli = cli, .settings = cli->settings, .listener = -1, .writer_listener = -1};
    log_as_set(&s.settings);
    if (check_redis(&s.settings) != CLI_OK)
        return CLI_USAGE;
    if (share(&s) != CLI_OK)
        return CLI_FAILED;
    int r = ush_run(&(struct ush_loop_options){0}, try_root, &s);
    if (r < 0)
        return cli_fail_code(r, "%s cannot be opened", s.settings.database_url);
    const struct ush_role role = {
        .name = "job",
        .count = s.settings.mail_workers ? (uint32_t)s.settings.mail_workers : 1,
        .run = run_job,
        .ended = release_claims};
    struct ush_master_options o = {
        .roles = &role,
        .role_count = 1,
        .ctx = &s,
        .check = check_settings,
        .reload = take_settings,
        .ready = say_works,
        .log_file = strcmp(s.settings.log, "stderr") ? s.settings.log : NULL,
        .shared_bytes = sizeof(struct ush_http_stats),
    };
    r = ush_master_run(&o);
    return r < 0 ? cli_fail_code(r, "the workers cannot run") : CLI_OK;
}

/* ---- the other commands ---------------------------------------------------------------------- */

static int dump(struct cli *cli)
{
    if (strncmp(cli->settings.database_url, "sqlite:", 7) != 0)
        return cli_fail(
            "only a server on SQLite can be found this way; send SIGUSR1 to its master");
    pid_t master = master_of(cli->settings.database_url);
    if (!master)
        return cli_fail("no server runs on %s", cli->settings.database_url);
    if (kill(master, SIGUSR1) < 0)
        return cli_fail("process %d: %s", (int)master, strerror(errno));
    if (cli->json)
        printf("{\"pid\":%d}\n", (int)master);
    else
        printf("Every worker of process %d writes its tasks to the server's log.\n", (int)master);
    return CLI_OK;
}

static int openapi(struct cli *cli)
{
    struct web w = {.settings = &cli->settings};
    struct ush_http_options o = web_http_options(&w);
    struct ush_buf b;
    ush_buf_init(&b, 4 << 20);
    ush_openapi(&o, &b);
    puts(ush_buf_text(&b).at);
    ush_buf_fini(&b);
    return CLI_OK;
}

const struct cli_command serve_commands[] = {
    {.name = "serve",
     .summary = "serve pages and API, send mails",
     .help = "Serves until stopped. Makes or updates the tables first. -w N is --workers N.\n\n"
             "  usher serve --workers 4 --listen 127.0.0.1:8080\n\n"
             "Signals to the printed pid: TERM or QUIT finish what runs, then stop; INT stops at\n"
             "once; HUP checks the settings and replaces the workers one by one; USR1 reopens the\n"
             "log and writes all tasks to it; TTIN and TTOU add and take away a web worker.",
     .run = serve},
    {.name = "worker",
     .summary = "send mails for a server that runs elsewhere",
     .help =
         "Takes mails from the database and sends them, in MAIL_WORKERS processes, until\n"
         "stopped. Needs the server's DATABASE_URL, SECRET_FILE and MAIL_ settings; on SQLite it\n"
         "runs on the server's machine and stores through the server. It asks the database once\n"
         "a second; with REDIS_URL set here and there it is woken at once.\n\n"
         "  usher worker --redis-url unix:/run/redis/redis.sock",
     .run = worker},
    {.name = "dump",
     .summary = "have a running server write what its tasks wait for",
     .help =
         "Asks every worker of the server on this database to write its tasks to the log: name,\n"
         "what it waits for, and since when.",
     .run = dump},
    {.name = "openapi",
     .summary = "print the API as OpenAPI 3.1",
     .help = "Prints the document that the server shows at /openapi.json.",
     .run = openapi},
    {0}};
