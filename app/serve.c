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
 * `usher worker` is the same master with job workers only, for servers elsewhere on the same
 * PostgreSQL. With a Redis the ids of jobs travel over it; without, workers ask the database.
 */
#include "serve.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "server.h"
#include "usher/net.h"
#include "web/access.h"

enum { ORPHANS_MS = 5000, LISTEN_MS = 2500, PAUSE_MS = 50 };

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

static bool is_sqlite(const struct settings *settings)
{
    return ush_text_starts(ush_text_of(settings->database_url), USH_T("sqlite:"));
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

/* Brings the tables up to date and looks whether anybody works for the fest. -EBUSY while somebody
 * else has the database. */
static int migrate_once(struct server *s)
{
    int error = 0;
    const char *url = s->settings.database_url;
    struct ush_db *db = ush_db_open(
        &(struct ush_db_options){.url = url, .role = USH_DB_TOOL, .operations = fest_operations},
        &error);
    if (!db)
        return error;
    int r = ush_migrate(db, &fest_migrations);
    if (r >= 0 && (r = users_exist(db)) >= 0)
        s->has_users = r;
    ush_db_close(db);
    return r;
}

/* A server whose master was killed needs a moment to end, and whoever watches over it starts the
 * next one at once: that is waited for. */
static int migrate(struct server *s)
{
    const char *url = s->settings.database_url;
    int64_t give_up_ns = ush_now_ns() + ORPHANS_MS * (int64_t)USH_MS;
    for (;;) {
        int r = migrate_once(s);
        if (r != -EBUSY || master_of(url) || ush_now_ns() > give_up_ns)
            return r;
        USH_TRY(ush_sleep(PAUSE_MS * (int64_t)USH_MS));
    }
}

static int prepare_root(void *arg)
{
    struct server *s = arg;
    const char *name = s->settings.database_name;
    struct ush_buf problem;
    struct keys keys;
    int r = migrate(s);
    if (r == -EBUSY)
        cli_fail("another server runs on %s", name);
    else if (r < 0)
        cli_fail_code(r, "%s cannot be opened and brought up to date", name);
    ush_buf_init(&problem, 1024);
    if (r >= 0 && (r = keys_load(&keys, s->settings.secret_file, &problem)) < 0)
        cli_fail("%s", ush_buf_text(&problem).at);
    if (r >= 0 && !s->has_users)
        setup_token_format(&keys, ush_wall_ms(), s->setup);
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

/* The workers of a killed master hold the address for up to 2 s: that is waited for, as above. */
static int listen_patiently(const struct ush_address *at)
{
    int64_t give_up_ns = ush_now_ns() + LISTEN_MS * (int64_t)USH_MS;
    int fd;
    while ((fd = ush_listen_at(at)) == -EADDRINUSE && ush_now_ns() < give_up_ns)
        poll(NULL, 0, PAUSE_MS);
    return fd;
}

/* The service manager's, if it has one for us: whoever connects while one server has ended and the
 * next has not begun waits in it. */
static int open_listener(struct server *s, const struct ush_address *at)
{
    const char *listen = s->settings.listen;
    s->listener = ush_listen_given(at);
    if (s->listener == -EADDRNOTAVAIL || s->listener == -EINVAL)
        return cli_fail("what the service manager has handed over is not one socket that listens "
                        "at USHER_LISTEN=%s; see ListenStream= of its unit",
                        listen);
    s->is_listener_given = s->listener >= 0;
    if (s->is_listener_given)
        ush_info("listen.given", "%s is the service manager's", listen);
    else
        s->listener = listen_patiently(at);
    if (s->listener == -EADDRINUSE)
        return cli_fail("%s is in use by another program; --listen 127.0.0.1:0 takes a free port",
                        listen);
    if (s->listener < 0)
        return cli_fail_code(s->listener, "%s cannot be listened on", listen);
    return CLI_OK;
}

/* As people reach it. */
static void name_address(struct server *s, const struct ush_address *at)
{
    if (at->storage.ss_family == AF_UNIX) {
        snprintf(s->address, sizeof s->address, "%s", s->settings.listen);
        return;
    }
    char host[64];
    ush_address_host(at, host);
    bool v6 = strchr(host, ':') != NULL;
    snprintf(s->address, sizeof s->address, "http://%s%s%s:%d", v6 ? "[" : "", host, v6 ? "]" : "",
             ush_listener_port(s->listener));
    name_own_port(s);
}

static int open_writer_listener(struct server *s)
{
    char path[108], full[120];
    if (ush_writer_socket(s->settings.database_url, path) < 0)
        return cli_fail("%s: the path is too long for the writer's socket beside it",
                        s->settings.database_name);
    snprintf(full, sizeof full, "unix:%s", path);
    struct ush_address at;
    int r = ush_address_parse(ush_text_of(full), &at);
    mode_t mask = umask(0177);
    s->writer_listener = r < 0 ? r : ush_listen_at(&at);
    umask(mask);
    if (s->writer_listener < 0)
        return cli_fail_code(s->writer_listener, "%s cannot be listened on", path);
    return CLI_OK;
}

static int open_sockets(struct server *s)
{
    struct ush_address at;
    if (ush_address_parse(ush_text_of(s->settings.listen), &at) < 0)
        return cli_usage("USHER_LISTEN=%s is no address; it takes 127.0.0.1:8080 or unix:/path",
                         s->settings.listen);
    int r = open_listener(s, &at);
    if (r != CLI_OK)
        return r;
    name_address(s, &at);
    return s->is_sqlite ? open_writer_listener(s) : CLI_OK;
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
        printf("  database  %s\n", s->settings.database_name);
        printf("  secret    %s (keep a copy: tickets and links follow from it)\n",
               s->settings.secret_file);
        if (outbox)
            printf("  mails     written to %s/, shown at %s/outbox\n", outbox, s->address);
        else
            printf("  mails     sent through %s\n", s->settings.mail_url);
        printf("  API       %s/docs\n", s->address);
        if (s->has_users)
            printf("  organise  %s/admin\n", s->address);
        else
            printf("  set up    %s/admin/setup/%s\n"
                   "            makes the first owner; for half an hour, on this machine only\n",
                   s->address, s->setup);
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
    s.is_sqlite = is_sqlite(&s.settings);
    log_as_set(&s.settings);
    if (check_redis(&s.settings) != CLI_OK)
        return CLI_USAGE;
    if (s.is_sqlite && s.settings.redis_url[0])
        ush_warn("redis.unused", "USHER_REDIS_URL has no use on SQLite: all workers are here and "
                                 "are woken without it");
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
        printf("Usher sends mails for %s; pid %d\n", s->settings.database_name, (int)getpid());
    fflush(stdout);
}

/* Opens what each worker will open, to say at once why it cannot. */
static int try_root(void *ctx)
{
    struct fest fest;
    int r = server_open_fest(ctx, &fest);
    if (r >= 0)
        server_close_fest(&fest);
    return r;
}

static int worker(struct cli *cli)
{
    struct server s = {
        .cli = cli, .settings = cli->settings, .listener = -1, .writer_listener = -1};
    log_as_set(&s.settings);
    if (is_sqlite(&s.settings))
        return cli_fail(
            "usher worker needs PostgreSQL (--database-url postgresql://...); on SQLite "
            "the server sends the mails itself, in USHER_MAIL_WORKERS processes");
    if (check_redis(&s.settings) != CLI_OK)
        return CLI_USAGE;
    if (share(&s) != CLI_OK)
        return CLI_FAILED;
    int r = ush_run(&(struct ush_loop_options){0}, try_root, &s);
    if (r < 0)
        return cli_fail_code(r, "%s cannot be opened", s.settings.database_name);
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
        return cli_fail("no server runs on %s", cli->settings.database_name);
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

static int routes(struct cli *cli)
{
    struct ush_buf b;
    (void)cli;
    ush_buf_init(&b, 1 << 20);
    access_dump(&b);
    fputs(ush_buf_text(&b).at, stdout);
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
     .summary = "send mails for servers that run elsewhere",
     .help =
         "Takes mails from a PostgreSQL database and sends them, in MAIL_WORKERS processes, until\n"
         "stopped. Any number may run on any hosts. Needs the server's DATABASE_URL, SECRET_FILE\n"
         "and MAIL_ settings. It asks the database once a second; with REDIS_URL set here and\n"
         "there the mails are announced to it at once and shared among the hosts.\n\n"
         "  usher worker --database-url postgresql:///usher --redis-url unix:/run/redis/redis.sock",
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
    {.name = "routes",
     .summary = "print every address and who may ask",
     .help = "Prints method, path and roles of every route as JSON.",
     .run = routes},
    {0}};
