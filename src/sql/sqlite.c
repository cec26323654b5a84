/*
 * sqlite.c - the SQLite driver: connections, transactions, checkpoints and errors.
 *
 * The database is in WAL mode: a commit appends to the log and, with synchronous=FULL, waits for
 * one fsync of it. Readers see the moment at which their transaction began and hold up nobody.
 *
 *  1. Only the writing session commits and checkpoints; its opener holds the lock (lock.c). Readers
 *     open the file read-only, with automatic checkpoints off and none on close.
 *  2. Checkpoints are asked for here, after a commit and never inside one: SQLite's automatic one
 *     swallows its errors, and a failed fsync must not be swallowed.
 *  3. A full disk, a quota, a file-size limit or a read-only file is USH_ESTORAGE: the transaction
 *     is undone and the next one may succeed. Any other input/output error, and a damaged file,
 *     breaks the session. After a failed fsync the kernel may have dropped what was to be written
 *     and call the page clean, so trying again would lie; only reading the file anew tells.
 *  4. Every transaction that writes begins with BEGIN IMMEDIATE, so it never finds out in its
 *     middle that another one was first.
 *  5. No memory map: with several processes it widens the damage a fault can do, and reads here
 *     are small.
 *
 * The log is copied back every WAL_PAGES pages, without waiting for readers. It can begin anew only
 * at a moment when nobody reads from it; when it has grown beyond WAL_BYTES_MAX because there was
 * none, the checkpoint waits for one a little (views that begin meanwhile do not need the log).
 */
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sql/sqlite.h"

enum {
    WAL_PAGES = 4000, /* 16 MiB; copying back every 1,000 costs a tenth more of a busy writer */
    WAL_BYTES_MAX = 64 << 20,
    PAGE_BYTES = 4096,
    BUSY_MS = 5000, /* for the moments in which SQLite recovers its log */
    BUSY_CHECKPOINT_MS = 100,
    STEPS_BETWEEN_LOOKS = 10000, /* of SQLite's machine, about 0.5 ms, between looks at the clock */
};

/* ---- errors --------------------------------------------------------------------------------- */

/* Input/output errors that go away by themselves, by their errno. */
static bool is_passing(int system_error)
{
    return system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG ||
           system_error == EROFS;
}

/* What the system said last about the log or the database; sqlite3_system_errno is not kept by the
 * way on which errors leave a statement. */
static int last_errno(sqlite3 *db)
{
    int error = 0;
    sqlite3_file *log = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
    if (error == 0)
        sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
    return error;
}

static int storage_error(struct ush__sqlite_session *s, int rc)
{
    int kind = rc & 0xff, system_error = last_errno(s->db);
    bool is_io = kind == SQLITE_IOERR || kind == SQLITE_CANTOPEN;
    snprintf(s->base.trouble, sizeof s->base.trouble, "%s (SQLite %d%s%s)", sqlite3_errmsg(s->db),
             rc, is_io && system_error ? ", " : "",
             is_io && system_error ? ush_error_text(-system_error) : "");
    /* SHMSIZE: the index of the log could not grow; it is made anew from the log. */
    if (kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB ||
        (kind == SQLITE_IOERR && rc != SQLITE_IOERR_SHMSIZE && !is_passing(system_error)))
        s->base.is_broken = true;
    return USH_ESTORAGE;
}

int ush__sqlite_error(struct ush__sqlite_session *s, int rc, const char *what)
{
    const char *text = sqlite3_errmsg(s->db);
    switch (rc & 0xff) {
    case SQLITE_CONSTRAINT: {
        /* "UNIQUE constraint failed: registrations.request_key" */
        const char *colon = strstr(text, ": ");
        snprintf(s->base.constraint, sizeof s->base.constraint, "%s", colon ? colon + 2 : text);
        return USH_ECONFLICT;
    }
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_BUSY: /* another program holds the database, for longer than BUSY_MS */
    case SQLITE_LOCKED:
        return storage_error(s, rc);
    case SQLITE_INTERRUPT:
        return -ETIMEDOUT;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
        return USH_ELIMIT;
    default: /* a statement that SQLite does not understand, or a table that is missing */
        ush_error("database.statement", "%s: %s", what, text);
        return USH_EINVAL;
    }
}

/* ---- opening -------------------------------------------------------------------------------- */

static int look_at_clock(void *arg)
{
    struct ush__sqlite_session *s = arg;
    return s->base.deadline_ns && ush_now_ns() > s->base.deadline_ns;
}

static int note_wal(void *arg, sqlite3 *db __attribute__((unused)),
                    const char *name __attribute__((unused)), int pages)
{
    struct ush__sqlite_session *s = arg;
    s->wal_pages = pages;
    return SQLITE_OK;
}

/* Makes the file, readable by its owner alone (SQLite gives its log and index the same mode), and
 * its directory entry durable. */
static int create_file(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : -errno;
    close(fd); /* nobody can have it open yet, so no lock of SQLite is lost */
    char copy[USH__PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}

/*
 * SQLite gives the log and its index the mode that the database has at that moment. Made by a
 * reader while the database was read-only, they would stay so when it no longer is.
 */
static void match_modes(const char *path)
{
    static const char *const suffixes[] = {"-wal", "-shm"};
    struct stat database, beside;
    char name[USH__PATH_MAX + 8];
    for (size_t i = 0; i < USH_COUNT(suffixes) && stat(path, &database) == 0; i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        mode_t mode = database.st_mode & 0777;
        if (stat(name, &beside) == 0 && (beside.st_mode & 0777) != mode && chmod(name, mode) < 0)
            ush_warn("database.mode", "%s has another mode than its database", name);
    }
}

static int take_first_column(void *arg, int n, char **values, char **names __attribute__((unused)))
{
    char *mode = arg;
    snprintf(mode, 16, "%s", n > 0 && values[0] ? values[0] : "");
    return 0;
}

static int run_script(struct ush__sqlite_session *s, const char *text)
{
    int rc = sqlite3_exec(s->db, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : ush__sqlite_error(s, rc, "script");
}

/*
 * Copies what the log holds into the database, and syncs both, before anything is added. After an
 * fsync that failed, pages of the log may be in memory only and be taken for written; this writes
 * them again. Readers of an older moment can make it impossible; that is waited for, up to BUSY_MS.
 */
static int recover(struct ush__sqlite_session *s)
{
    int rc = sqlite3_wal_checkpoint_v2(s->db, "main", SQLITE_CHECKPOINT_FULL, NULL, NULL);
    if (rc == SQLITE_BUSY)
        ush_warn("database.recover", "readers keep the log from being copied at the start");
    return rc == SQLITE_OK || rc == SQLITE_BUSY ? 0 : ush__sqlite_error(s, rc, "recovering");
}

static int configure_writer(struct ush__sqlite_session *s, const struct ush__session_options *o)
{
    /* Before anything is read: that would make the log's index, read-only too. */
    if (ush__sqlite_path(o->url) && sqlite3_db_readonly(s->db, "main") == 1) {
        snprintf(s->base.trouble, sizeof s->base.trouble, "the file is read-only");
        return USH_ESTORAGE;
    }
    /* Savepoints keep what they may have to undo in memory, not in a temporary file. */
    USH_TRY(run_script(s, "PRAGMA wal_autocheckpoint=0; PRAGMA temp_store=MEMORY;"
                          "PRAGMA cache_size=-65536; PRAGMA journal_size_limit=67108864"));
    USH_TRY(
        run_script(s, o->sync_normal ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL"));
    if (!ush__sqlite_path(o->url))
        return 0;
    char mode[16] = "";
    int rc = sqlite3_exec(s->db, "PRAGMA journal_mode=WAL", take_first_column, mode, NULL);
    if (rc != SQLITE_OK)
        return ush__sqlite_error(s, rc, "opening");
    if (strcmp(mode, "wal") != 0) {
        snprintf(s->base.trouble, sizeof s->base.trouble, "it stays in journal mode %s", mode);
        return USH_ESTORAGE;
    }
    sqlite3_wal_hook(s->db, note_wal, s);
    return recover(s);
}

static int configure(struct ush__sqlite_session *s, const struct ush__session_options *o)
{
    sqlite3_extended_result_codes(s->db, 1);
    sqlite3_busy_timeout(s->db, BUSY_MS);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    if (o->access != USH__READ)
        return configure_writer(s, o);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    sqlite3_progress_handler(s->db, STEPS_BETWEEN_LOOKS, look_at_clock, s);
    return run_script(s, "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-8192");
}

static void sqlite_close(struct ush__session *base)
{
    struct ush__sqlite_session *s = ush__sqlite_of(base);
    ush__sqlite_forget(s);
    sqlite3_close(s->db);
    free(s);
}

static int sqlite_open(const struct ush__session_options *o, struct ush__session **ret,
                       char ret_trouble[USH__TROUBLE_MAX])
{
    const char *path = ush__sqlite_path(o->url);
    if (path) {
        USH_TRY(ush__refuse_remote(path));
        if (o->access == USH__CREATE)
            USH_TRY(create_file(path));
        else if (access(path, F_OK) < 0)
            return errno == ENOENT ? USH_ENOTFOUND : -errno;
        if (o->access != USH__READ)
            match_modes(path);
    }
    struct ush__sqlite_session *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->base.driver = &ush__sqlite;
    s->can_write = o->access != USH__READ;
    /* One thread at a time uses a session, so SQLite need not lock it. */
    int flags = SQLITE_OPEN_NOMUTEX | (s->can_write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    int rc = sqlite3_open_v2(path ? path : ":memory:", &s->db, flags, NULL);
    int r = !s->db ? -ENOMEM : rc != SQLITE_OK ? ush__sqlite_error(s, rc, "opening") : 0;
    if (r == 0)
        r = configure(s, o);
    if (r < 0) {
        memcpy(ret_trouble, s->base.trouble, USH__TROUBLE_MAX);
        sqlite_close(&s->base);
        return r;
    }
    *ret = &s->base;
    return 0;
}

/* ---- transactions --------------------------------------------------------------------------- */

static const struct ush_statement begin_read = {"begin", "BEGIN"},
                                  begin_write = {"begin immediate", "BEGIN IMMEDIATE"},
                                  commit = {"commit", "COMMIT"},
                                  rollback = {"rollback", "ROLLBACK"},
                                  savepoint_set = {"savepoint", "SAVEPOINT s"},
                                  savepoint_keep = {"release", "RELEASE s"},
                                  savepoint_undo = {"rollback to", "ROLLBACK TO s"};

static int sqlite_begin(struct ush__session *base, enum ush__access access)
{
    base->constraint[0] = 0;
    base->is_view = access == USH__READ;
    return ush__sqlite_run(ush__sqlite_of(base), access == USH__READ ? &begin_read : &begin_write);
}

static int sqlite_commit(struct ush__session *base)
{
    return ush__sqlite_run(ush__sqlite_of(base), &commit);
}

static bool sqlite_has_transaction(struct ush__session *base)
{
    return !sqlite3_get_autocommit(ush__sqlite_of(base)->db);
}

static void sqlite_rollback(struct ush__session *base)
{
    /* It may be over already: some errors undo the whole transaction (invariant 1 of driver.h). */
    if (sqlite_has_transaction(base))
        ush__sqlite_run(ush__sqlite_of(base), &rollback);
}

static int sqlite_savepoint(struct ush__session *base, enum ush__savepoint what)
{
    struct ush__sqlite_session *s = ush__sqlite_of(base);
    if (what == USH__SET)
        return ush__sqlite_run(s, &savepoint_set);
    if (what == USH__UNDO)
        USH_TRY(ush__sqlite_run(s, &savepoint_undo));
    return ush__sqlite_run(s, &savepoint_keep);
}

static int sqlite_script(struct ush__session *base, const char *text)
{
    return run_script(ush__sqlite_of(base), text);
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static void checkpoint(struct ush__sqlite_session *s, int mode)
{
    s->wal_checkpointed = s->wal_pages;
    int rc = sqlite3_wal_checkpoint_v2(s->db, "main", mode, NULL, NULL);
    if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
        return; /* readers were in the way: later */
    ush__sqlite_error(s, rc, "checkpoint");
    ush_error("database.checkpoint", "cannot copy the log into the database: %s", s->base.trouble);
}

static void sqlite_upkeep(struct ush__session *base)
{
    struct ush__sqlite_session *s = ush__sqlite_of(base);
    if (s->wal_pages < s->wal_checkpointed)
        s->wal_checkpointed = 0; /* the log began anew */
    if (s->wal_pages - s->wal_checkpointed < WAL_PAGES)
        return;
    if (s->wal_pages < WAL_BYTES_MAX / PAGE_BYTES) {
        checkpoint(s, SQLITE_CHECKPOINT_PASSIVE);
        return;
    }
    int64_t now_ns = ush_now_ns();
    if (now_ns - s->wal_warned_ns > 10 * USH_SECOND) {
        s->wal_warned_ns = now_ns;
        ush_warn("database.wal", "readers have let the log grow to %d MiB",
                 (int)((int64_t)s->wal_pages * PAGE_BYTES >> 20));
    }
    sqlite3_busy_timeout(s->db, BUSY_CHECKPOINT_MS);
    checkpoint(s, SQLITE_CHECKPOINT_RESTART);
    sqlite3_busy_timeout(s->db, BUSY_MS);
}

const struct ush__driver ush__sqlite = {
    .scheme = "sqlite:",
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .savepoint = sqlite_savepoint,
    .has_transaction = sqlite_has_transaction,
    .upkeep = sqlite_upkeep,
    .exec = ush__sqlite_exec,
    .exec_rows = ush__sqlite_exec_rows,
    .exec_later = ush__sqlite_exec,
    .exec_rows_later = ush__sqlite_exec_rows,
    .query = ush__sqlite_query,
    .script = sqlite_script,
};
