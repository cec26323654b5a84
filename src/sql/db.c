/*
 * db.c - a database as a program sees it: ush_read and ush_change, whatever is behind them.
 *
 *                     ush_read                          ush_change
 *                        |                                  |
 *     in a file    a reader, in the blocking pool    LOCAL: commit.c in this process
 *     in memory    the committing session            WORKER: client.c to the writer
 *                                                    TOOL: either, decided when it is opened
 *     on a server  pool.c, in the caller's task      pool.c
 *
 *  1. What lies in memory has one session and one thread: views and transactions take turns there.
 *  2. A reader is used by one view at a time; `readers` bounds how many there are. They are opened
 *     when first needed, used again, and closed after an error of storage.
 *  3. A view of a worker ends after VIEW_MAX at the latest, because an old view keeps the log from
 *     being copied back; a tool may take its time.
 *  4. ush_db_close waits until nothing is in progress.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include "sql/sql.h"
#include "usher/sim.h"

enum {
    READERS = 4,
    READERS_OF_SERVER = 2, /* connections cost a process each at the other end */
    WRITER_WAIT_MS = 5000,
    VIEW_FIRST = 64 << 10, /* bytes of memory that a reader keeps */
};
#define VIEW_MAX_NS (10 * USH_SECOND)
#define TOOL_PAUSE_NS (20 * (int64_t)USH_MS)

struct reader {
    struct ush_link link;
    struct ush__session *session; /* owned; NULL until first used */
    struct ush_arena arena;
    char first[VIEW_FIRST] __attribute__((aligned(16)));
};

struct ush_db {
    struct ush_db_options o;
    char url[USH__URL_MAX], name[USH__URL_MAX];
    const struct ush__driver *driver;
    struct ush__client *client;       /* one of these three is set */
    struct ush__committer *committer; /* owned */
    struct ush__pool *pool;
    struct ush_semaphore reader_places;
    struct ush_link idle_readers;
    uint32_t in_progress;
    struct ush_event idle;
    struct ush_db_stats stats;
};

static bool is_of(const char *url, const char *scheme)
{
    return scheme && ush_text_starts(ush_text_of(url), ush_text_of(scheme)) && url[strlen(scheme)];
}

const struct ush__driver *ush__driver_of(const char *url)
{
    static const struct ush__driver *const drivers[] = {&ush__sqlite, &ush__postgres};
    for (size_t i = 0; i < USH_COUNT(drivers); i++)
        if (is_of(url, drivers[i]->scheme) || is_of(url, drivers[i]->scheme_too))
            return drivers[i];
    char name[USH__URL_MAX];
    ush_database_name(url, name, sizeof name);
    ush_error("database.url",
              "\"%s\" is no database: use sqlite:FILE or postgresql://HOST/DATABASE", name);
    return NULL;
}

/* The end of what may be shown of "host:port,[address]:port/…": behind a ':' without a port there
 * may be a password, of a URL in which the host was forgotten. */
static const char *end_of_hosts(const char *host)
{
    for (;; host++) {
        if (*host == '[') {
            size_t address = strspn(host + 1, "0123456789abcdefABCDEF:.");
            host += host[1 + address] == ']' ? address + 2 : 0;
        }
        host += strcspn(host, ":,/?");
        if (*host == ':') {
            size_t digits = strspn(host + 1, "0123456789");
            if (digits > 5 || !strchr(",/?", host[1 + digits]))
                return host;
            host += 1 + digits;
        }
        if (*host != ',')
            return host + strlen(host);
    }
}

/* Rather too little than a password: whoever forgets to escape a '/' or '?' in one gets a strange
 * name. What is no URL may be a list of parameters, and then its first word is all that shows. */
void ush_database_name(const char *url, char *ret_name, size_t room)
{
    const char *authority = strstr(url, "://");
    if (!authority) {
        bool is_file = is_of(url, ush__sqlite.scheme);
        snprintf(ret_name, room, "%.*s", (int)(is_file ? strlen(url) : strcspn(url, ":=@ ")), url);
        return;
    }
    /* Of "scheme://user:password@host/…": the last '@' before the path, the first ':' before it. */
    authority += 3;
    const char *at = memrchr(authority, '@', strcspn(authority, "/"));
    const char *hosts = at ? at + 1 : authority;
    at = at ? at : strrchr(authority, '@');
    const char *colon = at ? memchr(authority, ':', (size_t)(at - authority)) : NULL;
    const char *rest = colon ? at : authority, *end = end_of_hosts(colon ? at + 1 : hosts);
    snprintf(ret_name, room, "%.*s%.*s", (int)((colon ? colon : authority) - url), url,
             (int)(end - rest), rest);
    ret_name[strcspn(ret_name, "?")] = 0; /* parameters may hold a password too */
}

/* ---- reading -------------------------------------------------------------------------------- */

struct view_job {
    struct ush_db *db;
    struct reader *reader;
    struct ush__view view;
};

int ush__view_run(struct ush__session *s, struct ush_arena *arena, const struct ush__view *view)
{
    struct ush_tx tx = {.arena = arena, .session = s, .now_ms = ush_wall_ms()};
    s->deadline_ns = view->deadline_ns;
    USH_TRY(s->driver->begin(s, USH__READ));
    int r = view->fn(&tx, view->arg);
    s->driver->rollback(s);
    s->deadline_ns = 0;
    return r;
}

static int view_in_memory(struct ush__session *s, struct ush_arena *arena, void *arg)
{
    return ush__view_run(s, arena, arg);
}

static int view_in_file(void *arg)
{
    const struct view_job *job = arg;
    struct reader *reader = job->reader;
    const struct ush__driver *driver = job->db->driver;
    int r = 0;
    if (!reader->session) {
        char trouble[USH__TROUBLE_MAX];
        struct ush__session_options o = {.url = job->db->url, .access = USH__READ};
        r = driver->open(&o, &reader->session, trouble);
        if (r == USH_ESTORAGE)
            ush_error("database.read", "%s: %s", o.url, trouble);
    }
    if (r == 0)
        r = ush__view_run(reader->session, &reader->arena, &job->view);
    if (reader->session && (r == USH_ESTORAGE || reader->session->is_broken)) {
        ush_error("database.read", "%s: %s", job->db->url, reader->session->trouble);
        driver->close(reader->session);
        reader->session = NULL;
    }
    ush_arena_reset(&reader->arena);
    return r;
}

static struct reader *reader_take(struct ush_db *db)
{
    struct ush_link *l = ush_list_pop(&db->idle_readers);
    if (l)
        return USH_CONTAINER(l, struct reader, link);
    struct reader *r = malloc(sizeof *r);
    if (r) {
        r->session = NULL;
        ush_arena_init(&r->arena, r->first, sizeof r->first, USH__TX_ARENA_MAX);
    }
    return r;
}

static void begin_use(struct ush_db *db)
{
    db->in_progress++;
    ush_event_reset(&db->idle);
}

static void end_use(struct ush_db *db)
{
    if (--db->in_progress == 0)
        ush_event_set(&db->idle);
}

static int read_file(struct ush_db *db, struct view_job *job)
{
    USH_TRY(ush_semaphore_take(&db->reader_places));
    job->reader = reader_take(db);
    int r = job->reader ? ush_offload(ush_blocking_pool(), view_in_file, job) : -ENOMEM;
    if (job->reader)
        ush_list_push_front(&db->idle_readers, &job->reader->link);
    ush_semaphore_give(&db->reader_places);
    return r;
}

int ush_read(struct ush_db *db, int (*fn)(struct ush_tx *view, void *arg), void *arg)
{
    struct ush__view view = {.fn = fn, .arg = arg};
    if (db->o.role == USH_DB_WORKER)
        view.deadline_ns = ush_now_ns() + VIEW_MAX_NS;
    if (ush_deadline_ns() != USH_NEVER &&
        (!view.deadline_ns || ush_deadline_ns() < view.deadline_ns))
        view.deadline_ns = ush_deadline_ns();
    begin_use(db);
    int r;
    if (db->pool)
        r = ush__pool_read(db->pool, &view);
    else if (ush__sqlite_path(db->url))
        r = read_file(db, &(struct view_job){.db = db, .view = view});
    else
        r = ush__committer_alone(db->committer, view_in_memory, &view);
    end_use(db);
    return r;
}

/* ---- changing ------------------------------------------------------------------------------- */

static bool is_registered(const struct ush_db *db, const struct ush_operation *op)
{
    for (size_t i = 0; db->o.operations && db->o.operations[i]; i++) {
        if (db->o.operations[i] == op)
            return true;
    }
    return false;
}

int ush_change(struct ush_db *db, const struct ush_operation *op, const void *in, void *ret_out,
               struct ush_arena *arena)
{
    begin_use(db);
    int r;
    if (db->client) {
        r = ush__client_change(db->client, op, in, ret_out, arena);
    } else {
        assert(is_registered(db, op)); /* it would not be in the writer either */
        struct ush__change change = {.op = op, .in = in, .ret_out = ret_out, .arena = arena};
        r = db->pool ? ush__pool_change(db->pool, &change)
                     : ush_batch_submit(&db->committer->batch, &change.item);
    }
    end_use(db);
    return r;
}

int ush__db_alone(struct ush_db *db,
                  int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg), void *arg)
{
    if (db->client)
        return -EBUSY;
    begin_use(db);
    int r = db->pool ? ush__pool_alone(db->pool, fn, arg)
                     : ush__committer_alone(db->committer, fn, arg);
    end_use(db);
    return r;
}

struct ush_db_stats ush_db_stats(const struct ush_db *db)
{
    return db->stats;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int writer_address(const struct ush_db *db, struct ush_address *ret)
{
    if (db->o.writer) {
        *ret = *db->o.writer;
        return 0;
    }
    struct sockaddr_un *un = (struct sockaddr_un *)&ret->storage;
    *ret = (struct ush_address){.len = sizeof *un};
    un->sun_family = AF_UNIX;
    return ush_writer_socket(db->url, un->sun_path);
}

static int open_client(struct ush_db *db)
{
    static const struct ush_operation *const none[] = {NULL};
    struct ush__client_options o = {
        .operations = db->o.operations ? db->o.operations : none,
        .queue_max = db->o.queue_max,
        .writer_wait_ms = db->o.writer_wait_ms,
        .stats = &db->stats,
    };
    USH_TRY(writer_address(db, &o.at));
    db->client = ush__client_new(&o);
    return db->client ? 0 : -ENOMEM;
}

static int open_committer(struct ush_db *db, int *ret_holder)
{
    struct ush__committer_options o = {
        .url = db->url,
        .driver = db->driver,
        .batch_max = db->o.batch_max,
        .queue_max = db->o.queue_max,
        .sync_normal = db->o.sync_normal,
        .may_create = true,
        .stats = &db->stats,
    };
    db->committer = calloc(1, sizeof *db->committer);
    if (!db->committer)
        return -ENOMEM;
    int r = ush__committer_open(db->committer, &o, ret_holder);
    if (r < 0) {
        free(db->committer);
        db->committer = NULL;
    }
    return r;
}

/* Through a writer if one listens, else with its lock; for a while one may be coming or going. */
static int open_tool(struct ush_db *db, int *ret_holder)
{
    struct ush_address at;
    int64_t give_up_ns = ush_now_ns() + (int64_t)db->o.writer_wait_ms * USH_MS;
    for (;;) {
        if (writer_address(db, &at) == 0) {
            int fd = ush_connect(&at);
            if (fd >= 0) {
                ush_close(fd);
                return open_client(db);
            }
        }
        int r = open_committer(db, ret_holder);
        if (r != -EWOULDBLOCK || ush_now_ns() >= give_up_ns)
            return r;
        USH_TRY(ush_sleep(TOOL_PAUSE_NS));
    }
}

static int open_pool(struct ush_db *db)
{
    return ush__pool_open(
        &(struct ush__pool_options){
            .url = db->url,
            .name = db->name,
            .driver = db->driver,
            .role = db->o.role,
            .operations = db->o.operations,
            .readers = db->o.readers,
            .batch_max = db->o.batch_max,
            .queue_max = db->o.queue_max,
            .wait_ms = db->o.writer_wait_ms,
            .stats = &db->stats,
        },
        &db->pool);
}

static int open_role(struct ush_db *db)
{
    int holder = 0, r = USH_EINVAL;
    if (db->driver != &ush__sqlite)
        return open_pool(db);
    bool is_file = ush__sqlite_path(db->url) != NULL;
    switch (db->o.role) {
    case USH_DB_WORKER:
        r = is_file ? open_client(db) : USH_EINVAL;
        break;
    case USH_DB_TOOL:
        r = is_file ? open_tool(db, &holder) : USH_EINVAL;
        break;
    case USH_DB_LOCAL:
        r = open_committer(db, &holder);
        break;
    }
    if (r == -EWOULDBLOCK) {
        ush_error("database.busy", "process %d has %s open for writing", holder, db->url);
        return -EBUSY;
    }
    if (r < 0)
        ush_error("database.open", "%s: %s", db->name, ush_error_text(r));
    return r;
}

struct ush_db *ush_db_open(const struct ush_db_options *o, int *ret_error)
{
    struct ush_db *db = calloc(1, sizeof *db);
    int r = db ? 0 : -ENOMEM;
    if (db && strlen(o->url) >= sizeof db->url)
        r = -ENAMETOOLONG;
    if (r == 0) {
        db->o = *o;
        strcpy(db->url, o->url);
        ush_database_name(o->url, db->name, sizeof db->name);
        db->o.url = db->url;
        db->o.batch_max = o->batch_max ? o->batch_max : USH__BATCH_MAX;
        db->o.queue_max = o->queue_max ? o->queue_max : USH__QUEUE_MAX;
        db->o.writer_wait_ms = o->writer_wait_ms ? o->writer_wait_ms : WRITER_WAIT_MS;
        db->driver = ush__driver_of(o->url);
        bool is_sqlite = db->driver == &ush__sqlite;
        db->o.readers = o->readers ? o->readers : is_sqlite ? READERS : READERS_OF_SERVER;
        ush_list_init(&db->idle_readers);
        ush_semaphore_init(&db->reader_places, "readers", db->o.readers);
        ush_event_init(&db->idle, "the database to be idle");
        ush_event_set(&db->idle);
        r = db->driver ? open_role(db) : USH_EINVAL;
    }
    if (r < 0) {
        free(db);
        *ret_error = r;
        return NULL;
    }
    return db;
}

static int close_readers(void *arg)
{
    struct ush_db *db = arg;
    for (struct ush_link *l; (l = ush_list_pop(&db->idle_readers));) {
        struct reader *r = USH_CONTAINER(l, struct reader, link);
        if (r->session)
            db->driver->close(r->session);
        ush_arena_fini(&r->arena);
        free(r);
    }
    return 0;
}

void ush_db_close(struct ush_db *db)
{
    if (!db)
        return;
    ush__wait_shielded(&db->idle);
    if (ush_offload(ush_blocking_pool(), close_readers, db) < 0)
        close_readers(db); /* cancelled: it takes a moment, but it must be done */
    if (db->client)
        ush__client_free(db->client);
    if (db->pool)
        ush__pool_close(db->pool);
    if (db->committer)
        ush__committer_close(db->committer);
    free(db->committer);
    free(db);
}
