/*
 * doctor_store.c - `usher doctor` about where registrations are kept, and whether they stay there.
 *
 *     both         it opens, its tables are there, a row can be stored, the secret is its own
 *     SQLite       synchronous; room on the disk; how long a flush takes
 *     PostgreSQL   fsync, full_page_writes, synchronous_commit; standbys; connections; its clock;
 *                  how long a commit takes
 *
 *  1. What loses a confirmed registration when a machine fails is an error, whatever it speeds up.
 *  2. PostgreSQL's settings are those of a session of ours, so what a role, a database or the URL
 *     says about them counts, not only the server's file.
 *  3. A standby is judged by what the set-up promises: a URL with several hosts means that one is
 * to take over from the other, and then every commit must be on both.
 *  4. Nothing is asked that hangs: where commits wait for a standby that is not there, no row is
 *     stored to try it out.
 */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "domain/form.h"
#include "domain/verify.h"
#include "gen/sql.h"

enum {
    FLUSHES = 9,
    FLUSH_BYTES = 4096,
    FLUSH_SLOW_US = 20000, /* a commit takes one flush; beyond it answers feel slow */
    FLUSH_IDLE_US = 15,    /* below it nothing can have reached a disk */
    FREE_LEAST_MIB = 128,  /* the write-ahead log alone may take 64 */
    FREE_GOOD_MIB = 1024,
    APART_MS = 500,        /* clocks: what people notice */
    APART_MOST_MS = 20000, /* a job's lease is 60 s, and is judged by both ends */
    SESSIONS = 5,          /* of a worker, as src/sql/pool.c has them */
};

#define SERVER_FIELDS(F, R)                                                                        \
    F(R, TEXT, fsync, .max = 20)                                                                   \
    F(R, TEXT, full_page_writes, .max = 20)                                                        \
    F(R, TEXT, synchronous_commit, .max = 20)                                                      \
    F(R, TEXT, standby_names, .max = 300)                                                          \
    F(R, I64, standbys, .doc = "Connected ones")                                                   \
    F(R, I64, connections, .doc = "For others than its administrators")                            \
    F(R, I64, clock_ms)
USH_RECORD(server, SERVER_FIELDS)
USH_RECORD_DEFINE(server, SERVER_FIELDS)

/* Not in app/sql: it has no sense on SQLite. */
static const struct ush_statement server_one = {
    .name = "doctor_server",
    .postgresql = "SELECT current_setting('fsync') AS fsync,"
                  " current_setting('full_page_writes') AS full_page_writes,"
                  " current_setting('synchronous_commit') AS synchronous_commit,"
                  " current_setting('synchronous_standby_names') AS standby_names,"
                  " (SELECT count(*) FROM pg_stat_replication) AS standbys,"
                  " current_setting('max_connections')::bigint"
                  "   - current_setting('superuser_reserved_connections')::bigint AS connections,"
                  " (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms"};

#define PERSON_FIELDS(F, R)                                                                        \
    F(R, I64, id, .doc = "Of the event")                                                           \
    F(R, TEXT, dedupe, .max = 20)                                                                  \
    F(R, TEXT, name, .max = 200)                                                                   \
    F(R, TEXT, email, .max = 320)                                                                  \
    F(R, BYTES, dedupe_key, .max = 16)
USH_RECORD(person, PERSON_FIELDS)
USH_RECORD_DEFINE(person, PERSON_FIELDS)

/* NULL unless the database is a file of ours. */
static const char *file_of(const struct settings *s)
{
    return strncmp(s->database_url, "sqlite:", 7) == 0 ? s->database_url + 7 : NULL;
}

static int64_t clock_us(clockid_t clock)
{
    struct timespec t; /* not ush_now_ns: that stands still within a turn of the loop */
    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t median(int64_t *values, size_t n)
{
    qsort(values, n, sizeof *values, compare_i64);
    return values[n / 2];
}

/* ---- PostgreSQL ----------------------------------------------------------------------------- */

struct look {
    struct ush_arena *arena;
    struct server server;
    int64_t apart_ms; /* its clock before ours; at most half a round trip wrong */
};

/* On PostgreSQL a view runs in this task, so `arg` may be filled without a copy. */
static int look_at_server(struct ush_tx *tx, void *arg)
{
    struct look *l = arg;
    int64_t from_us = clock_us(CLOCK_REALTIME);
    int r = ush_one(tx, &server_one, &server_record, &l->server, USH_NO_VALUES);
    int64_t middle_us = (from_us + clock_us(CLOCK_REALTIME)) / 2;
    l->apart_ms = l->server.clock_ms - middle_us / 1000;
    ush_text *texts[] = {&l->server.fsync, &l->server.full_page_writes,
                         &l->server.synchronous_commit, &l->server.standby_names};
    for (size_t i = 0; i < USH_COUNT(texts); i++)
        *texts[i] = ush_arena_copy(l->arena, *texts[i]);
    return r;
}

static void check_commits(struct doctor *d, const struct server *v)
{
    const char *text = NULL;
    if (ush_text_equal(v->fsync, USH_T("off")))
        text =
            "fsync is off: when that machine fails, all of the database may be lost; set fsync = "
            "on in postgresql.conf and reload";
    else if (ush_text_equal(v->full_page_writes, USH_T("off")))
        text = "full_page_writes is off: a power cut may tear pages that nothing mends; set "
               "full_page_writes = on in postgresql.conf and reload";
    else if (ush_text_equal(v->synchronous_commit, USH_T("off")))
        text = "synchronous_commit is off: a crash takes registrations that were confirmed; set it "
               "to on, for the server, the database and the role";
    if (text)
        doctor_say(d, "durability", ERROR, "%s", text);
    else
        doctor_say(d, "durability", OK,
                   "each commit is flushed (fsync, full_page_writes; synchronous_commit is %.*s)",
                   USH_PR(v->synchronous_commit));
}

static void check_standbys(struct doctor *d, const struct server *v, const char *name)
{
    bool named = v->standby_names.len > 0;
    if (!named && strchr(name, ','))
        doctor_say(d, "standby", ERROR,
                   "USHER_DATABASE_URL names several hosts and synchronous_standby_names is empty: "
                   "when one takes over, the last registrations are lost; name the standby there");
    else if (!named)
        doctor_say(
            d, "standby", OK,
            "none waits for a commit (synchronous_standby_names is empty): what is lost with "
            "this server's disk is what came after its last backup");
    else if (v->standbys == 0)
        doctor_say(
            d, "standby", ERROR,
            "synchronous_standby_names is \"%.*s\" and no standby is connected: every commit "
            "waits; start it, or clear the setting until it is back",
            USH_PR(v->standby_names));
    else if (ush_text_equal(v->synchronous_commit, USH_T("local")))
        doctor_say(
            d, "standby", ERROR,
            "synchronous_commit is local, so no commit waits for the standby and a take-over "
            "loses the last registrations; set it to on");
    else if (ush_text_equal(v->synchronous_commit, USH_T("remote_write")))
        doctor_say(d, "standby", WARN,
                   "synchronous_commit is remote_write: lost if both machines fail at once; on "
                   "waits for the standby's flush");
    else
        doctor_say(d, "standby", OK, "each commit waits for \"%.*s\", %lld connected",
                   USH_PR(v->standby_names), (long long)v->standbys);
}

static void check_connections(struct doctor *d, const struct server *v)
{
    int64_t need = (d->s->workers + d->s->mail_workers) * SESSIONS;
    bool enough = need < v->connections;
    doctor_say(d, "connections", enough ? OK : WARN,
               "the server takes %lld and the workers of this host open up to %lld%s",
               (long long)v->connections, (long long)need,
               enough ? "" : "; raise max_connections, or have fewer workers");
}

static void check_its_clock(struct doctor *d, int64_t apart_ms)
{
    int64_t by_ms = apart_ms < 0 ? -apart_ms : apart_ms;
    doctor_say(d, "database_clock",
               by_ms > APART_MOST_MS ? ERROR
               : by_ms > APART_MS    ? WARN
                                     : OK,
               "%lld ms %s this host's%s", (long long)by_ms, apart_ms < 0 ? "behind" : "before",
               by_ms > APART_MS
                   ? "; events open and close, and jobs of lost workers are taken over, "
                     "by the clocks of all hosts: keep them right (timedatectl set-ntp "
                     "true)"
                   : "");
}

/* False when nothing should be stored to try it out. */
static bool check_postgres(struct doctor *d, struct ush_db *db, const char *name)
{
    struct look l = {.arena = d->cli->arena};
    int r = ush_read(db, look_at_server, &l);
    if (r <= 0) {
        doctor_say(d, "durability", ERROR, "its settings cannot be read: %s", ush_error_text(r));
        return true;
    }
    check_commits(d, &l.server);
    check_standbys(d, &l.server, name);
    check_connections(d, &l.server);
    check_its_clock(d, l.apart_ms);
    return l.server.standby_names.len == 0 || l.server.standbys > 0;
}

/* ---- either database ------------------------------------------------------------------------ */

static void say_flush(struct doctor *d, int64_t us, const char *of)
{
    doctor_say(d, "flush", us > FLUSH_SLOW_US ? WARN : OK, "%.1f ms for %s%s", (double)us / 1000,
               of, us > FLUSH_SLOW_US ? "; each answer waits for one, so use a faster disk" : "");
}

static void check_storing(struct doctor *d, struct ush_db *db, const char *name)
{
    int64_t took_us[FLUSHES];
    size_t times = file_of(d->s) ? 1 : FLUSHES; /* a file's disk is measured without SQLite */
    for (size_t i = 0; i < times; i++) {
        int64_t from_us = clock_us(CLOCK_MONOTONIC);
        int r = verify_storing(db, d->cli->arena);
        if (r < 0) {
            doctor_say(d, "storing", ERROR, "nothing can be stored in %s: %s", name,
                       ush_error_text(r));
            return;
        }
        took_us[i] = clock_us(CLOCK_MONOTONIC) - from_us;
    }
    doctor_say(d, "storing", OK, "a row was stored and synced");
    if (times > 1)
        say_flush(d, median(took_us, times), "a commit, with the way to the server and back");
}

struct reading {
    struct ush_arena *arena;
    struct person person;
};

static int read_person(struct ush_tx *tx, void *arg)
{
    struct reading *q = arg;
    int r = ush_one(tx, &sql_doctor_person, &person_record, &q->person, USH_NO_VALUES);
    ush_text *texts[] = {&q->person.dedupe, &q->person.name, &q->person.email,
                         &q->person.dedupe_key};
    for (size_t i = 0; r > 0 && i < USH_COUNT(texts); i++)
        *texts[i] = ush_arena_copy(q->arena, *texts[i]);
    return r;
}

/* A second host with a secret of its own makes links that the first one refuses. Nothing is said
 * where nobody has registered, or there is no secret yet. */
static void check_same_secret(struct doctor *d, struct ush_db *db)
{
    struct reading q = {.arena = d->cli->arena};
    struct fest fest = {.settings = d->s};
    struct ush_buf problem;
    if (access(d->s->secret_file, R_OK) < 0 || ush_read(db, read_person, &q) <= 0)
        return;
    ush_buf_init(&problem, 1024);
    int r = keys_load(&fest.keys, d->s->secret_file, &problem);
    ush_buf_fini(&problem);
    if (r < 0)
        return; /* the check of the file says why */
    struct event event = {.id = q.person.id, .dedupe = q.person.dedupe};
    ush_text key = form_person_key(&fest, &event, q.person.name, q.person.email, q.arena);
    if (!ush_text_equal(key, q.person.dedupe_key))
        doctor_say(d, "secret_fits", ERROR,
                   "%s is not the secret that this fest's registrations were made with, so no link "
                   "or ticket of theirs holds here: copy the file from the host that made them",
                   d->s->secret_file);
    else
        doctor_say(d, "secret_fits", OK, "the registrations were made with this secret");
}

static void check_open_database(struct doctor *d, struct ush_db *db, const char *name)
{
    struct ush_migrate_options o = fest_migrations;
    o.check_only = true;
    int missing = ush_migrate(db, &o);
    if (missing < 0) {
        doctor_say(d, "database", ERROR, "%s: %s", name,
                   missing == USH_ECONFLICT
                       ? "of another version than this program, perhaps a newer one"
                       : ush_error_text(missing));
        return;
    }
    doctor_say(d, "database", OK, "%s can be read", name);
    bool may_store = file_of(d->s) || check_postgres(d, db, name);
    if (missing > 0) {
        doctor_say(d, "migrations", WARN,
                   "%d are missing; usher migrate applies them, and so does the next start of the "
                   "server",
                   missing);
        return;
    }
    doctor_say(d, "migrations", OK, "all are applied");
    check_same_secret(d, db);
    if (may_store)
        check_storing(d, db, name);
}

static void check_database(struct doctor *d)
{
    const struct settings *s = d->s;
    const char *file = file_of(s);
    char name[PATH_MAX];
    int error = 0;
    ush_database_name(s->database_url, name, sizeof name);
    if (file && access(file, F_OK) < 0 && errno == ENOENT) {
        doctor_say(d, "database", WARN,
                   "there is no %s yet; usher migrate makes it, and so does the server's first "
                   "start",
                   file);
        return;
    }
    struct ush_db *db = ush_db_open(&(struct ush_db_options){.url = s->database_url,
                                                             .role = USH_DB_TOOL,
                                                             .operations = fest_operations},
                                    &error);
    if (!db && error == -EREMOTE)
        doctor_say(d, "database", ERROR,
                   "%s lies on a network file system, where locks are not reliable: move it to a "
                   "local disk",
                   name);
    else if (!db)
        doctor_say(d, "database", ERROR, "%s cannot be opened: %s", name, ush_error_text(error));
    if (!db)
        return;
    check_open_database(d, db, name);
    ush_db_close(db);
}

/* ---- SQLite and its disk -------------------------------------------------------------------- */

static void check_sqlite(struct doctor *d)
{
    if (d->s->sqlite_sync)
        doctor_say(d, "durability", WARN,
                   "USHER_SQLITE_SYNC=normal: a power cut may take registrations that were "
                   "confirmed; full keeps them");
    else
        doctor_say(d, "durability", OK,
                   "each commit is synced (synchronous=FULL); SQLite %s, where one process commits",
                   sqlite3_libversion());
}

/* Median time in microseconds of a small write and its flush in that folder; a negated errno.
 * Blocks, which holds up nobody: this program has nothing else to do. */
static int64_t flush_time(const char *folder)
{
    char block[FLUSH_BYTES] = {1}, path[PATH_MAX];
    int64_t took_us[FLUSHES], r = 0;
    snprintf(path, sizeof path, "%.4000s/.usher-flush-XXXXXX", folder);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (int i = 0; i < FLUSHES && r == 0; i++) {
        int64_t from_us = clock_us(CLOCK_MONOTONIC);
        ssize_t n = pwrite(fd, block, sizeof block, (off_t)i * FLUSH_BYTES);
        if (n < 0 || fsync(fd) < 0)
            r = -errno;
        else if (n < FLUSH_BYTES)
            r = -ENOSPC;
        took_us[i] = clock_us(CLOCK_MONOTONIC) - from_us;
    }
    close(fd);
    unlink(path);
    return r < 0 ? r : median(took_us, FLUSHES);
}

static void check_disk(struct doctor *d)
{
    char copy[PATH_MAX];
    struct statvfs fs;
    snprintf(copy, sizeof copy, "%s", file_of(d->s));
    const char *folder = dirname(copy);
    if (statvfs(folder, &fs) < 0) {
        doctor_say(d, "disk", ERROR, "the folder %s of the database: %s", folder, strerror(errno));
        return;
    }
    uint64_t free_mib = (uint64_t)fs.f_bavail * fs.f_frsize >> 20;
    doctor_say(d, "disk",
               free_mib < FREE_LEAST_MIB  ? ERROR
               : free_mib < FREE_GOOD_MIB ? WARN
                                          : OK,
               "%llu MiB are free in %s%s", (unsigned long long)free_mib, folder,
               free_mib < FREE_GOOD_MIB ? "; when it is full, students get 503: make room" : "");
    int64_t us = flush_time(folder);
    if (us < 0)
        doctor_say(d, "flush", ERROR, "nothing can be written in %s: %s", folder,
                   ush_error_text((int)us));
    else if (us < FLUSH_IDLE_US)
        doctor_say(
            d, "flush", WARN,
            "%lld us: no disk is that quick, so this is memory, or a disk that says \"done\" "
            "too early; a power cut takes what it held",
            (long long)us);
    else
        say_flush(d, us, "a write and its flush");
}

void doctor_check_store(struct doctor *d)
{
    check_database(d);
    if (!file_of(d->s))
        return;
    check_sqlite(d);
    check_disk(d);
}
