/*
 * postgres.c - the PostgreSQL driver: what is on its way, transactions, errors.
 *
 * A command is written into libpq's buffer and its place is kept in `ways`. Whoever needs a result
 * settles: one Sync and one flush behind all that was written, then the results in their order. So
 * a batch of the desk is two round trips:
 *
 *     BEGIN, lock, look-ups           Sync ==> <== rows of all
 *     inserts, update, COMMIT         Sync ==> <== done, or the first failure
 *
 *   state:   IDLE --begin--> ASKED --first command: BEGIN goes ahead of it--> BEGUN
 *              ^                |                                               |
 *              +----------------+------------- commit, rollback <---------------+
 *
 *  1. A transaction in which nothing was asked costs nothing.
 *  2. After a failure the server skips what lies before the next Sync, and in a transaction it
 *     refuses all until the end of the savepoint or transaction; `failure` keeps what it was, so
 *     nothing is sent in vain. COMMIT is among what is skipped: it never follows a failure.
 *  3. ROLLBACK is sent and not waited for. It has a Sync of its own, so that no failure before it
 *     takes it along. Its result, like those that a cancelled view has left behind, is dropped by
 *     the next settle.
 *  4. A transaction that writes and loses its connection, or is cancelled while a command is on its
 *     way, breaks the session. If COMMIT was among them nobody knows what is stored; pool.c runs
 * the operations again, and they find their own effect.
 *  5. READ COMMITTED for changes: every statement sees what was committed before it began, so what
 *     is looked up behind a lock is up to date. One snapshot (REPEATABLE READ) for views.
 *
 * While it waits a task both reads and flushes, because the server stops reading when nobody takes
 * its answers.
 */
#include <stdio.h>
#include <sys/socket.h>

#include "sql/postgres.h"

/* Places that are kept free among the ways: for BEGIN and its limit, a statement and its PREPARE,
 * ROLLBACK and its own, and Syncs. */
enum { WAYS_SPARE = 16 };

/* ---- errors --------------------------------------------------------------------------------- */

int ush__pg_lost(struct ush__pg *s)
{
    const char *text = PQerrorMessage(s->conn);
    if (!s->base.is_broken)
        snprintf(s->base.trouble, sizeof s->base.trouble, "%.*s", (int)strcspn(text, "\n"), text);
    s->base.is_broken = true;
    return USH_EUNAVAILABLE;
}

int ush__pg_give_up(struct ush__pg *s, int code)
{
    for (uint32_t i = 0; i < s->count; i++)
        s->ways[(s->first + i) % USH__PG_WAYS].is_left = true;
    return code;
}

/* A task that waited is cancelled. */
static int cut(struct ush__pg *s, int code)
{
    ush__pg_give_up(s, code);
    if (s->state == USH__PG_BEGUN && !s->base.is_view) {
        snprintf(s->base.trouble, sizeof s->base.trouble, "no answer in time");
        s->base.is_broken = true;
    }
    return code;
}

static bool is_state(const char *state, const char *any_of)
{
    for (const char *at = any_of; (at = strstr(at, state)); at++) {
        if ((at - any_of) % 6 == 0)
            return true;
    }
    return false;
}

/* "registrations.request_key" for the constraint registrations_request_key of registrations, which
 * is what SQLite calls it; else "table.constraint". */
static void keep_constraint(struct ush__pg *s, const PGresult *result)
{
    const char *table = PQresultErrorField(result, PG_DIAG_TABLE_NAME);
    const char *name = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    size_t n = table ? strlen(table) : 0;
    if (name && n && strncmp(name, table, n) == 0 && name[n] == '_')
        name += n + 1;
    snprintf(s->base.constraint, sizeof s->base.constraint, "%s%s%s", table ? table : "",
             table && name ? "." : "", name ? name : "");
}

/* The code for an error of the server. */
static int code_of(struct ush__pg *s, const struct ush__pg_way *way, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *said = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *what = way->prepared ? ush__pg_name_of(way->prepared) : "a statement";
    if (!state || PQstatus(s->conn) == CONNECTION_BAD)
        return ush__pg_lost(s);
    if (strncmp(state, "23", 2) == 0) {
        keep_constraint(s, result);
        s->base.is_race = is_state(state, "23505 23P01"); /* the rows of another transaction */
        return USH_ECONFLICT;
    }
    /* Deadlock, and what only REPEATABLE READ and stricter see. */
    if (is_state(state, "40001 40P01")) {
        s->base.is_race = s->must_rerun = true;
        return -EDEADLK;
    }
    if (is_state(state, "57014 55P03"))
        return -ETIMEDOUT;
    snprintf(s->base.trouble, sizeof s->base.trouble, "%s (%s)", said ? said : "?", state);
    if (is_state(state, "53100 58030 XX001 XX002"))
        return USH_ESTORAGE;
    if (is_state(state, "25006") && !s->base.is_view) {
        s->base.is_broken = true; /* it has become a standby: look for the primary */
        return USH_ESTORAGE;
    }
    /* It shuts down; or a transaction was left open for too long; or the table was changed, or a
     * pooler has changed the server, under statements that were prepared. */
    if (is_state(state, "57P01 57P02 57P03 25P03 0A000 26000")) {
        s->base.is_broken = true;
        if (is_state(state, "26000"))
            ush_error("database.prepared", "%s; behind a pooler add ?unnamed=1 to the URL", said);
        return USH_EUNAVAILABLE;
    }
    if (is_state(state, "53200"))
        return -ENOMEM;
    ush_error("database.statement", "%s: %s (%s)", what, said ? said : "?", state);
    return USH_EINVAL;
}

/* ---- what is on its way --------------------------------------------------------------------- */

void ush__pg_push(struct ush__pg *s, const struct ush__pg_way *way)
{
    assert(s->count < USH__PG_WAYS);
    s->ways[(s->first + s->count++) % USH__PG_WAYS] = *way;
    s->is_unsynced = way->kind != USH__PG_SYNC;
}

static void pop(struct ush__pg *s)
{
    s->first = (s->first + 1) % USH__PG_WAYS;
    s->count--;
}

static int sync_up(struct ush__pg *s)
{
    if (!s->is_unsynced)
        return 0;
    if (!PQpipelineSync(s->conn))
        return ush__pg_lost(s);
    ush__pg_push(s, &(struct ush__pg_way){.kind = USH__PG_SYNC});
    return 0;
}

/* Until a result can be taken without waiting. */
static int wait_for_result(struct ush__pg *s)
{
    for (;;) {
        int unsent = PQflush(s->conn);
        if (unsent < 0)
            return ush__pg_lost(s);
        if (!PQisBusy(s->conn))
            return 0;
        int r = ush_wait_fd(PQsocket(s->conn), unsent ? USH_READABLE | USH_WRITABLE : USH_READABLE);
        if (r < 0)
            return cut(s, r);
        if (!PQconsumeInput(s->conn))
            return ush__pg_lost(s);
    }
}

/* The command tag: "INSERT 0 5", "COMMIT". A SELECT changes nothing. */
static int changed_by(PGresult *result)
{
    int64_t n = 0;
    if (strncmp(PQcmdStatus(result), "SELECT", 6) == 0 ||
        ush_text_i64(ush_text_of(PQcmdTuples(result)), &n) < 0)
        return 0;
    return (int)n;
}

/* 0 or the failure of this command, unless nobody waits for it. Takes over the result. */
static int take_result(struct ush__pg *s, const struct ush__pg_way *way, PGresult *result)
{
    int r = 0;
    switch (PQresultStatus(result)) {
    case PGRES_PIPELINE_SYNC:
        assert(way->kind == USH__PG_SYNC);
        s->skips_for = 0;
        break;
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (way->kind == USH__PG_PREPARE)
            ush__pg_prepared_is(way->prepared, true);
        else if (way->is_left)
            break;
        else if (way->is_commit && strcmp(PQcmdStatus(result), "COMMIT") != 0)
            r = USH_EINVAL; /* "ROLLBACK": somebody went on after a failure */
        else if (way->changed)
            *way->changed += changed_by(result);
        else if (way->keep) {
            *way->keep = result;
            return 0;
        } else if (way->sink)
            r = ush__pg_take_rows(s, way, result);
        break;
    default:
        if (way->kind == USH__PG_PREPARE)
            ush__pg_prepared_is(way->prepared, false);
        if (PQresultStatus(result) != PGRES_PIPELINE_ABORTED)
            s->skips_for = code_of(s, way, result);
        r = s->skips_for; /* that one may be left, but a COMMIT that was skipped has failed */
        if (!way->is_left)
            s->failure = r;
    }
    PQclear(result);
    return way->is_left ? 0 : r;
}

int ush__pg_settle(struct ush__pg *s)
{
    int failure = 0;
    if (s->is_unsynced)
        s->round_trips++;
    USH_TRY(sync_up(s));
    while (s->count > 0) {
        USH_TRY(wait_for_result(s));
        PGresult *result = PQgetResult(s->conn);
        if (!result)
            continue; /* the end of one command's results */
        struct ush__pg_way way = s->ways[s->first];
        pop(s);
        int r = take_result(s, &way, result);
        if (r < 0 && failure == 0)
            failure = r;
        if (s->base.is_broken)
            return failure < 0 ? failure : USH_EUNAVAILABLE;
    }
    return failure;
}

/* ---- transactions --------------------------------------------------------------------------- */

static const struct ush_statement begin_read = {"begin read",
                                                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
                                  begin_write = {"begin write",
                                                 "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"},
                                  commit = {"commit", "COMMIT"},
                                  rollback = {"rollback", "ROLLBACK"},
                                  savepoint_set = {"savepoint", "SAVEPOINT s"},
                                  savepoint_keep = {"release", "RELEASE s"},
                                  savepoint_undo = {"rollback to", "ROLLBACK TO s"};

static const struct ush__pg_way plain = {.kind = USH__PG_RUN};

/* The limit of a statement, where it is not that of the session. */
static int write_limit(struct ush__pg *s)
{
    int64_t ms = s->limit_ms;
    if (s->base.deadline_ns) {
        int64_t left_ms = (s->base.deadline_ns - ush_now_ns()) / USH_MS;
        if (left_ms <= 0)
            return -ETIMEDOUT;
        if (ms == 0 || left_ms < ms)
            ms = left_ms;
    }
    if (ms == s->limit_ms && !s->is_unnamed)
        return 0;
    char text[64];
    snprintf(text, sizeof text, "SET LOCAL statement_timeout = %lld", (long long)ms);
    if (!PQsendQueryParams(s->conn, text, 0, NULL, NULL, NULL, NULL, 1))
        return ush__pg_lost(s);
    ush__pg_push(s, &plain);
    return 0;
}

int ush__pg_ready(struct ush__pg *s)
{
    if (s->base.is_broken)
        return USH_EUNAVAILABLE;
    if (s->failure < 0)
        return s->failure;
    if (s->count + WAYS_SPARE > USH__PG_WAYS)
        USH_TRY(ush__pg_settle(s));
    if (s->state != USH__PG_ASKED)
        return 0;
    s->state = USH__PG_BEGUN;
    USH_TRY(ush__pg_write(s, s->base.is_view ? &begin_read : &begin_write, &plain));
    return write_limit(s);
}

static int pg_begin(struct ush__session *base, enum ush__access access)
{
    struct ush__pg *s = ush__pg_of(base);
    base->constraint[0] = 0;
    base->is_view = access == USH__READ;
    base->is_race = s->must_rerun = false;
    s->failure = 0;
    s->depth = 0;
    s->state = USH__PG_ASKED;
    return base->is_broken ? USH_EUNAVAILABLE : 0;
}

static int pg_commit(struct ush__session *base)
{
    struct ush__pg *s = ush__pg_of(base);
    if (s->state == USH__PG_BEGUN) {
        USH_TRY(ush__pg_ready(s));
        USH_TRY(ush__pg_write(s, &commit,
                              &(struct ush__pg_way){.kind = USH__PG_RUN, .is_commit = true}));
        USH_TRY(ush__pg_settle(s));
    }
    s->state = USH__PG_IDLE;
    return 0;
}

static void pg_rollback(struct ush__session *base)
{
    struct ush__pg *s = ush__pg_of(base);
    if (s->state == USH__PG_BEGUN && !base->is_broken) {
        if (sync_up(s) == 0 && ush__pg_write(s, &rollback, &plain) == 0 && sync_up(s) == 0)
            ush__pg_give_up(s, 0); /* invariant 3 */
        else
            base->is_broken = true; /* or the next one would find itself in this transaction */
    }
    s->state = USH__PG_IDLE;
    s->failure = 0;
}

static bool pg_has_transaction(struct ush__session *base)
{
    struct ush__pg *s = ush__pg_of(base);
    return s->state != USH__PG_IDLE && !base->is_broken && !s->must_rerun &&
           !(base->is_race && s->depth == 0);
}

static int release(struct ush__pg *s)
{
    USH_TRY(ush__pg_ready(s));
    USH_TRY(ush__pg_write(s, &savepoint_keep, &plain));
    return ush__pg_settle(s);
}

static int pg_savepoint(struct ush__session *base, enum ush__savepoint what)
{
    struct ush__pg *s = ush__pg_of(base);
    if (what == USH__SET) {
        /* What was written before it must not fail behind it. */
        USH_TRY(ush__pg_ready(s));
        if (s->is_unsynced)
            USH_TRY(ush__pg_settle(s));
        s->depth++;
        return ush__pg_write(s, &savepoint_set, &plain);
    }
    if (what == USH__KEEP) {
        int r = release(s);
        if (r == 0)
            s->depth--;
        if (r == 0 || !pg_has_transaction(base))
            return r;
        pg_savepoint(base, USH__UNDO); /* a statement that was not waited for has failed */
        return r;
    }
    if (s->count > 0)
        ush__pg_settle(s); /* it may fail: it is undone */
    s->failure = 0;
    base->is_race = false;
    USH_TRY(ush__pg_ready(s));
    USH_TRY(ush__pg_write(s, &savepoint_undo, &plain));
    s->depth--;
    return release(s);
}

/* Many statements at once travel by the simple protocol, which pipeline mode does not speak. */
static int pg_script(struct ush__session *base, const char *text)
{
    struct ush__pg *s = ush__pg_of(base);
    USH_TRY(ush__pg_ready(s));
    USH_TRY(ush__pg_settle(s));
    if (!PQexitPipelineMode(s->conn) || !PQsendQuery(s->conn, text))
        return ush__pg_lost(s);
    int failure = 0;
    for (PGresult *result;; PQclear(result)) {
        USH_TRY(wait_for_result(s));
        result = PQgetResult(s->conn);
        if (!result)
            break;
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_FATAL_ERROR && failure == 0)
            failure = s->failure = code_of(s, &plain, result);
    }
    return PQenterPipelineMode(s->conn) ? failure : ush__pg_lost(s);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void pg_close(struct ush__session *base)
{
    struct ush__pg *s = ush__pg_of(base);
    ush__pg_forget(s);
    PQfinish(s->conn);
    ush_buf_fini(&s->scratch);
    free(s);
}

static int pg_open(const struct ush__session_options *o, struct ush__session **ret,
                   char ret_trouble[USH__TROUBLE_MAX])
{
    enum { SCRATCH_MAX = 64 << 20, OLDEST = 130000 };
    struct ush__pg_link link = {0};
    USH_TRY(ush__pg_connect(o, &link, ret_trouble));
    int version = PQserverVersion(link.conn);
    struct ush__pg *s = version >= OLDEST ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        PQfinish(link.conn);
        snprintf(ret_trouble, USH__TROUBLE_MAX, "PostgreSQL %d is too old, 13 is needed",
                 version / 10000);
        return version >= OLDEST ? -ENOMEM : USH_EUNAVAILABLE;
    }
    s->base.driver = &ush__postgres;
    s->conn = link.conn;
    s->is_unnamed = link.is_unnamed;
    s->limit_ms = o->limit_ms;
    ush_buf_init(&s->scratch, SCRATCH_MAX);
    *ret = &s->base;
    return 0;
}

/* Takes what the last one has left behind, and finds out whether the server is still there: a
 * connection that it has ended can be read from, and so can one on which it says why. */
static void pg_upkeep(struct ush__session *base)
{
    struct ush__pg *s = ush__pg_of(base);
    char byte;
    if (s->count > 0 && (!PQconsumeInput(s->conn) || ush__pg_settle(s) < 0)) {
        base->is_broken = true;
        return;
    }
    if (recv(PQsocket(s->conn), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
        return;
    for (int i = 0; i < 2; i++) { /* what it says, and the end behind it */
        if (!PQconsumeInput(s->conn)) {
            ush__pg_lost(s);
            return;
        }
    }
}

const struct ush__driver ush__postgres = {
    .scheme = "postgresql:",
    .scheme_too = "postgres:",
    .judge = ush__pg_judge,
    .open = pg_open,
    .close = pg_close,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .savepoint = pg_savepoint,
    .has_transaction = pg_has_transaction,
    .upkeep = pg_upkeep,
    .exec = ush__pg_exec,
    .exec_rows = ush__pg_exec_rows,
    .exec_later = ush__pg_exec_later,
    .exec_rows_later = ush__pg_exec_rows_later,
    .query = ush__pg_query,
    .script = pg_script,
};
