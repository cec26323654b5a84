/*
 * driver.h - what a database has to be able to do: a session and one table of functions.
 *
 * A session is one connection. It runs one transaction at a time and is used by one thread (or
 * task) at a time. Everything above knows it only through this table, so a second database is one
 * more table and nothing else.
 *
 * States of a session, and who moves it:
 *
 *     open --> IDLE --begin--> IN TRANSACTION --commit, rollback--> IDLE --> close
 *                                 |     ^
 *                                 +-----+ query, exec, savepoint
 *
 *  1. A negative result of query or exec undoes that statement alone, unless has_transaction says
 *     afterwards that the whole transaction is gone.
 *  2. After a negative result of commit the caller rolls back. Nothing is stored then, except when
 *     `is_broken` is set: then nobody knows.
 *  3. `is_broken` never goes back: the session can only be closed.
 *  4. What exec_later and exec_rows_later were given has been looked at when the next query or
 * exec, the end of the savepoint, or commit returns; its failure is theirs. A driver whose
 * statements cost no round trip runs it at once.
 *  5. The calls of SQLite block; db.c and commit.c make them in threads. Those of PostgreSQL
 * suspend; pool.c makes them in tasks. In a view a wait may be cancelled, and the view ends with
 * that; in a transaction that writes it breaks the session.
 */
#ifndef USH_SQL_DRIVER_H
#define USH_SQL_DRIVER_H

#include "usher/sql.h"

enum { USH__TROUBLE_MAX = 128 };

struct ush__session {
    const struct ush__driver *driver;
    int64_t deadline_ns; /* a statement that runs beyond ends with -ETIMEDOUT; 0 = none */
    bool is_view;        /* the transaction only reads */
    bool is_broken;      /* invariant 3; trouble says why */
    bool is_race; /* the last negative result may be the doing of another transaction, and a new one
                     may fare better. Set by drivers on which transactions meet */
    char constraint[USH__TROUBLE_MAX]; /* of the last USH_ECONFLICT */
    char trouble[USH__TROUBLE_MAX];    /* of the last USH_ESTORAGE, or why it is broken */
};

enum ush__access {
    USH__READ,   /* changes are refused; never checkpoints */
    USH__WRITE,  /* the one connection that commits; the caller holds the lock */
    USH__CREATE, /* the same, and the database may be made */
};

struct ush__session_options {
    const char *url;
    enum ush__access access;
    bool sync_normal;
    int64_t limit_ms; /* PostgreSQL: a statement may run so long; 0 = for ever */
};

enum ush__savepoint { USH__SET, USH__KEEP, USH__UNDO }; /* of the innermost one */

/* Where the rows of a query go. */
struct ush__sink {
    const struct ush_record *record;
    void *row;                           /* the next one is written here: record->bytes */
    int (*took)(struct ush__sink *sink); /* it is: 1 = go on, 0 = enough, negative = fail so */
};

struct ush__ask {
    const struct ush_statement *statement;
    const struct ush_value *values;
    size_t n;
    struct ush__sink *sink;
    bool
        is_walk; /* there may be more rows than memory, and sink->took may use the session: alone */
};

struct ush__driver {
    const char *scheme, *scheme_too; /* of the URL, with the colon; scheme_too may be NULL */
    /* Of a database on a server: what is wrong with the URL itself and never gets better, before
     * anybody is asked. 0, or USH_EINVAL and why. */
    int (*judge)(const char *url, char ret_trouble[USH__TROUBLE_MAX]);
    /* On USH_ESTORAGE and USH_EUNAVAILABLE ret_trouble says why. */
    int (*open)(const struct ush__session_options *o, struct ush__session **ret,
                char ret_trouble[USH__TROUBLE_MAX]);
    void (*close)(struct ush__session *s);

    int (*begin)(struct ush__session *s, enum ush__access access);
    int (*commit)(struct ush__session *s);
    void (*rollback)(struct ush__session *s);
    int (*savepoint)(struct ush__session *s, enum ush__savepoint what);
    bool (*has_transaction)(struct ush__session *s);
    /* What is due between two transactions: a checkpoint, or to find out whether the server is
     * still there. */
    void (*upkeep)(struct ush__session *s);

    /* Rows changed. */
    int (*exec)(struct ush_tx *tx, const struct ush_statement *st, const struct ush_value *values,
                size_t n);
    int (*exec_rows)(struct ush_tx *tx, const struct ush_statement *st, const struct ush_record *r,
                     const void *rows, size_t n);
    /* Invariant 4. Not negative, but without a meaning. */
    int (*exec_later)(struct ush_tx *tx, const struct ush_statement *st,
                      const struct ush_value *values, size_t n);
    int (*exec_rows_later)(struct ush_tx *tx, const struct ush_statement *st,
                           const struct ush_record *r, const void *rows, size_t n);
    /* Texts of rows live in tx->arena. */
    int (*query)(struct ush_tx *tx, const struct ush__ask *asks, size_t n);
    /* Many statements in one text, without parameters: migrations. */
    int (*script)(struct ush__session *s, const char *text);
};

extern const struct ush__driver ush__sqlite, ush__postgres;

/* The driver of a URL, or NULL with a line in the log. */
const struct ush__driver *ush__driver_of(const char *url);

#endif
