/*
 * sql.h - stored data: reads, and operations that change it.
 *
 * A *change* is an operation: a registered function with an input record and an output record that
 * is handed a transaction and touches nothing else. So it can be sent to another process, run in a
 * batch with others, run again after a crash, and explored by a simulator. A *read* is any
 * function that is handed a read-only view.
 *
 * On SQLite one connection in the whole server commits and checkpoints: the writer process. The
 * other processes send it operations over a socket beside the database file and read through
 * read-only connections of their own. On PostgreSQL operations run where they are called. The
 * caller does not see the difference: ush_change is one call that may suspend.
 *
 * Invariants:
 *  1. ush_change returns 0 only after the commit is durable.
 *  2. An operation sees the effects of all operations answered before it was submitted.
 *  3. An operation may be run again if the writer died before answering. Its input carries keys
 *     made before the first try, and it recognises its own earlier effect by them.
 *  4. An operation that returns a negative code leaves no effect (its savepoint is rolled back).
 *     Refusals that a caller expects are values in the output record, with result 0.
 */
#ifndef USHER_SQL_H
#define USHER_SQL_H

#include "usher/record.h"
#include "usher/task.h"

/* ---- statements --------------------------------------------------------------------------- */

/* One SQL statement with parameters $1, $2, …; the text for PostgreSQL is NULL where the same text
 * serves both. Those of the application are files (app/sql/NAME.sql, or NAME.sqlite.sql and
 * NAME.postgresql.sql) that become `const struct ush_statement sql_NAME` at build. */
struct ush_statement {
    const char *name;
    const char *text;
    const char *postgresql;
};

enum ush_value_type { USH_VALUE_NULL, USH_VALUE_I64, USH_VALUE_TEXT, USH_VALUE_BYTES };
struct ush_value {
    enum ush_value_type type;
    union {
        int64_t i64;
        ush_text text;
    };
};
static inline struct ush_value ush_value_i64(int64_t v)
{
    return (struct ush_value){USH_VALUE_I64, .i64 = v};
}
/* An absent text is NULL. */
static inline struct ush_value ush_value_text(ush_text v)
{
    return (struct ush_value){v.at ? USH_VALUE_TEXT : USH_VALUE_NULL, .text = v};
}
static inline struct ush_value ush_value_string(const char *v)
{
    return ush_value_text(ush_text_of(v));
}
static inline struct ush_value ush_value_bytes(ush_text v)
{
    return (struct ush_value){v.at ? USH_VALUE_BYTES : USH_VALUE_NULL, .text = v};
}
static inline struct ush_value ush_value_same(struct ush_value v)
{
    return v;
}
#define USH_NULL ((struct ush_value){.type = USH_VALUE_NULL})
#define USH_BYTES(text) ush_value_bytes(text)
/* Any integer, bool, ush_text, C string or struct ush_value as a parameter. */
#define USH_V(x)                                                                                   \
    _Generic((x), ush_text                                                                         \
             : ush_value_text, char *                                                              \
             : ush_value_string, const char *                                                      \
             : ush_value_string, struct ush_value                                                  \
             : ush_value_same, default                                                             \
             : ush_value_i64)(x)

/* USH_VALUES(a, b, c) is the two arguments (const struct ush_value *)values, count. */
#define USH_V1(a) USH_V(a)
#define USH_V2(a, ...) USH_V(a), USH_V1(__VA_ARGS__)
#define USH_V3(a, ...) USH_V(a), USH_V2(__VA_ARGS__)
#define USH_V4(a, ...) USH_V(a), USH_V3(__VA_ARGS__)
#define USH_V5(a, ...) USH_V(a), USH_V4(__VA_ARGS__)
#define USH_V6(a, ...) USH_V(a), USH_V5(__VA_ARGS__)
#define USH_V7(a, ...) USH_V(a), USH_V6(__VA_ARGS__)
#define USH_V8(a, ...) USH_V(a), USH_V7(__VA_ARGS__)
#define USH_V9(a, ...) USH_V(a), USH_V8(__VA_ARGS__)
#define USH_V10(a, ...) USH_V(a), USH_V9(__VA_ARGS__)
#define USH_V11(a, ...) USH_V(a), USH_V10(__VA_ARGS__)
#define USH_V12(a, ...) USH_V(a), USH_V11(__VA_ARGS__)
#define USH_V_PICK(_1, _2, _3, _4, _5, _6, _7, _8, _9, _10, _11, _12, name, ...) name
#define USH_VALUES(...)                                                                            \
    (const struct ush_value[]){USH_V_PICK(__VA_ARGS__, USH_V12, USH_V11, USH_V10, USH_V9, USH_V8,  \
                                          USH_V7, USH_V6, USH_V5, USH_V4, USH_V3, USH_V2,          \
                                          USH_V1)(__VA_ARGS__)},                                   \
        sizeof((const struct ush_value[]){                                                         \
            USH_V_PICK(__VA_ARGS__, USH_V12, USH_V11, USH_V10, USH_V9, USH_V8, USH_V7, USH_V6,     \
                       USH_V5, USH_V4, USH_V3, USH_V2, USH_V1)(__VA_ARGS__)}) /                    \
            sizeof(struct ush_value)
#define USH_NO_VALUES NULL, 0

/* ---- inside a transaction or view --------------------------------------------------------- */

struct ush_tx {
    struct ush_arena *arena;      /* rows live here; gone when the function returns */
    int64_t now_ms;               /* the one clock for everything decided here */
    struct ush__session *session; /* private */
};

/*
 * Rows changed, or a negative code (USH_ECONFLICT for a constraint; ush_tx_constraint names it).
 * After a negative code of this and the calls below the function ends with it, unless it made the
 * call under ush_savepoint: PostgreSQL takes no further statement otherwise.
 */
int ush_exec(struct ush_tx *tx, const struct ush_statement *s, const struct ush_value *values,
             size_t n);
/* The first row into *ret (columns are matched to fields by name; NULL columns leave `has` unset;
 * a column without a field is a bug and asserts). 1; 0 when there is none. */
int ush_one(struct ush_tx *tx, const struct ush_statement *s, const struct ush_record *r, void *ret,
            const struct ush_value *values, size_t n);
/* All rows into an array in the arena. The number of rows; USH_ELIMIT beyond `limit`. */
int ush_all(struct ush_tx *tx, const struct ush_statement *s, const struct ush_record *r,
            size_t limit, struct ush_rows *ret, const struct ush_value *values, size_t n);
/* Calls fn per row, which sees one row at a time in memory: for exports. fn < 0 stops. */
int ush_each(struct ush_tx *tx, const struct ush_statement *s, const struct ush_record *r,
             int (*fn)(void *ctx, const void *row), void *ctx, const struct ush_value *values,
             size_t n);
/* Several questions that do not wait for each other's answers, as ush_all each, in order: one round
 * trip on PostgreSQL. 0 or a negative code, and then no *ret is written. */
enum { USH_AT_ONCE_MAX = 8 };
struct ush_query {
    const struct ush_statement *statement;
    const struct ush_record *record;
    size_t limit;
    struct ush_rows *ret;
    const struct ush_value *values; /* USH_VALUES(…) gives these two */
    size_t n;
};
int ush_all_at_once(struct ush_tx *tx, const struct ush_query *queries, size_t n);
/*
 * Runs the statement for each row of `rows`, the record's fields being $1, $2, … in order. Where
 * the statement has a text of its own for PostgreSQL, that text gets each field as an array of all
 * rows
 * (`unnest($1::bigint[], …)`) and runs once. An absent text is NULL, and so is an optional number
 * without its `has` bit, as in ush_record_pack. The total of rows changed.
 */
int ush_exec_rows(struct ush_tx *tx, const struct ush_statement *s, const struct ush_record *r,
                  const void *rows, size_t n);
/*
 * The same as ush_exec and ush_exec_rows for a caller who does not need the number of rows: 0 or a
 * negative code. On PostgreSQL the statement goes out with the next one whose result is waited for,
 * or with the COMMIT, so it costs no round trip of its own; if it fails, that one fails in its
 * place, or the end of the savepoint, or the operation.
 */
int ush_exec_later(struct ush_tx *tx, const struct ush_statement *s, const struct ush_value *values,
                   size_t n);
int ush_exec_rows_later(struct ush_tx *tx, const struct ush_statement *s,
                        const struct ush_record *r, const void *rows, size_t n);
/* Runs fn under a savepoint: a negative result undoes what it did, the transaction goes on. */
int ush_savepoint(struct ush_tx *tx, int (*fn)(struct ush_tx *tx, void *arg), void *arg);
/* After USH_ECONFLICT: text naming the constraint ("registrations.request_key"), for the log and
 * for telling them apart. */
const char *ush_tx_constraint(const struct ush_tx *tx);

/* ---- operations --------------------------------------------------------------------------- */

struct ush_call {
    const void *in; /* record op->in */
    void *out;      /* record op->out, zeroed; texts must live in tx->arena */
    int result;     /* set by run_many; 0 before; negative only if it left no effect */
};

struct ush_operation {
    const char *name;                  /* stable; travels to the writer */
    const struct ush_record *in, *out; /* out may be NULL */
    int (*run)(struct ush_tx *tx, const void *in, void *out);
    /* Instead of run: many at once, oldest first. A negative return value undoes all of them; they
     * are then run again one by one. */
    int (*run_many)(struct ush_tx *tx, struct ush_call *calls, size_t n);
    /* With run_many, may be NULL: what a call is about. Calls with equal keys are never in two
     * batches of this process at once; others may be, where more than one transaction can be. */
    int64_t (*key)(const void *in);
};

/* ---- a database --------------------------------------------------------------------------- */

struct ush_db; /* opaque */

enum ush_db_role {
    USH_DB_WORKER, /* changes go to the writer; waits for it to come (back) */
    USH_DB_TOOL,   /* a command line: through the writer if one runs, else with the writer's lock */
    USH_DB_LOCAL,  /* changes run in this process: the writer itself, tests, sim */
};

struct ush_db_options {
    const char *url; /* "sqlite:usher.db", "sqlite::memory:" (LOCAL only), "postgresql://…" */
    enum ush_db_role role;
    const struct ush_operation *const *operations; /* NULL-terminated */
    uint32_t batch_max;                            /* operations per transaction; 0 = 256 */
    uint32_t queue_max; /* operations waiting in this process; 0 = 10,000: USH_EFULL beyond */
    uint32_t readers;   /* views at once; 0 = 4, on PostgreSQL 2 beside 3 for changes */
    bool sync_normal;   /* SQLite synchronous=NORMAL: loses commits on power loss */
    uint32_t
        writer_wait_ms; /* how long a change waits for a writer, or for the server; 0 = 5,000 */
    /* Where the writer listens; NULL = at ush_writer_socket(). For tests and sim. */
    const struct ush_address *writer;
};

/* Opens. In a loop; may suspend. NULL and *ret_error otherwise, with a log line saying why. */
struct ush_db *ush_db_open(const struct ush_db_options *o, int *ret_error);
/* Ends reads and changes in progress first. May suspend. */
void ush_db_close(struct ush_db *db);

/* Runs fn with a read-only view of one moment, in the blocking pool on SQLite: fn must not suspend,
 * and everything it returns it copies into memory the caller handed it in `arg`. Its result, or a
 * negative code. May suspend. */
int ush_read(struct ush_db *db, int (*fn)(struct ush_tx *view, void *arg), void *arg);

/*
 * Runs a registered operation in a transaction and returns its result after the commit is durable.
 * Texts of *ret_out live in `arena`. USH_EFULL when queue_max are waiting; USH_ESTORAGE when the
 * disk is full or the file read-only (nothing was stored); USH_EUNAVAILABLE when no writer came in
 * time (nothing was stored, or it will be found by its keys); -ETIMEDOUT / -ECANCELED only before
 * the operation was sent. After that the call stays for the truth when its scope ends, on SQLite at
 * most two seconds longer: if the writer hangs it is USH_EUNAVAILABLE then. May suspend.
 */
int ush_change(struct ush_db *db, const struct ush_operation *op, const void *in, void *ret_out,
               struct ush_arena *arena);

/* The URL as it may be shown: without password and parameters, and without what stands behind a ':'
 * and is no port, which is a password where the host was forgotten. */
void ush_database_name(const char *url, char *ret_name, size_t room);

/* Of this process. `batches` counts transactions where changes are run, else sends to the writer.
 */
struct ush_db_stats {
    uint64_t changes, batches;
    uint64_t conflicts; /* operations that ended with USH_ECONFLICT */
    uint64_t refused;   /* operations that ended with USH_ESTORAGE */
    uint32_t waiting;
    uint32_t batch_largest;
};
struct ush_db_stats ush_db_stats(const struct ush_db *db);

/* ---- the writer process (SQLite) ---------------------------------------------------------- */

struct ush_writer_options {
    const char *url;
    const struct ush_operation *const *operations; /* NULL-terminated */
    int listener;       /* bound at ush_writer_socket() by the master; stays open; mode 0600 */
    uint32_t batch_max; /* operations per transaction; 0 = 256 */
    bool sync_normal;
    void (*ready)(void *ctx); /* called once when it serves; may be NULL */
    void *ctx;
    struct ush_db_stats *stats; /* kept up to date, may be shared memory; may be NULL */
};
/*
 * Serves until its scope is cancelled; then finishes what has arrived, answers and returns 0. While
 * another process holds the writer's lock it waits for it. A failed fsync or a damaged file ends
 * the process on the spot (status USH_WRITER_STORAGE), for the master to start a new one. Negative
 * if it cannot start. May suspend.
 */
int ush_writer_run(const struct ush_writer_options *o);
enum { USH_WRITER_STORAGE = 71 };
/* "usher.db-writer" for "sqlite:usher.db". Returns -ENAMETOOLONG beyond a Unix address's limit. */
int ush_writer_socket(const char *url, char out[108]);

/* ---- migrations --------------------------------------------------------------------------- */

struct ush_migration {
    int number;
    const char *name;
    const char *sqlite, *postgresql; /* scripts */
};
struct ush_migrate_options {
    const struct ush_migration *list; /* in ascending order of number */
    size_t count;
    bool check_only;
};
/*
 * Applies what is missing, each in a transaction, in order, and returns the number applied; with
 * check_only changes nothing and returns the number missing. USH_ECONFLICT, with a line in the log,
 * if an applied one differs from the list or is not in it (the database is newer than the program).
 * -EBUSY while a writer runs: it needs the lock, so role TOOL without one, or LOCAL; check_only
 * works in every role. May suspend.
 */
int ush_migrate(struct ush_db *db, const struct ush_migrate_options *o);

#endif
