/*
 * postgres.h - what the files of the PostgreSQL driver share.
 *
 *     postgres_connect.c   from a URL to a connection, over several hosts
 *     postgres.c           the session: what is on its way, transactions, errors
 *     postgres_query.c     statements: prepared once, bound, and their rows
 *
 * A session is one connection of libpq in pipeline mode. Commands are written into libpq's buffer
 * and remembered in `ways`, oldest first; ush__pg_settle sends them with one Sync behind them and
 * takes the results, which come in the same order. So a round trip is one call of settle, however
 * many commands it carries.
 */
#ifndef USH_SQL_POSTGRES_H
#define USH_SQL_POSTGRES_H

#include <libpq-fe.h>

#include "sql/slots.h"
#include "sql/sql.h"

enum {
    USH__PG_WAYS = 256,   /* commands on their way; beyond that they are settled */
    USH__PG_VALUES = 64,  /* of one statement */
    USH__PG_COLUMNS = 64, /* the same */
};

struct ush__pg_prepared;

enum ush__pg_kind {
    USH__PG_PREPARE, /* makes `prepared` ready */
    USH__PG_RUN,     /* adds the rows changed to *changed */
    USH__PG_ASK,     /* gives its rows to `sink`, or the whole result to *keep */
    USH__PG_SYNC,
};

/* A command whose result is to come. */
struct ush__pg_way {
    enum ush__pg_kind kind;
    bool is_left; /* nobody waits for it any more: its result, also a failure, is dropped */
    bool is_commit;
    struct ush__pg_prepared *prepared; /* borrowed; NULL for text of ours that is sent as it is */
    int *changed;                      /* borrowed until it is settled or left; may be NULL */
    struct ush__sink *sink;            /* the same */
    PGresult **keep;                   /* the same; instead of sink */
};

struct ush__pg {
    struct ush__session base;
    PGconn *conn;    /* owned */
    bool is_unnamed; /* behind a pooler: the server keeps nothing between two transactions */
    int64_t limit_ms;

    enum { USH__PG_IDLE, USH__PG_ASKED, USH__PG_BEGUN } state; /* ASKED: BEGIN goes with the next */
    uint32_t depth;                                            /* savepoints */
    int failure; /* the server takes nothing more before the end of the savepoint or transaction */
    int skips_for;   /* the failure for which the server skips what lies before the next Sync */
    bool must_rerun; /* the transaction is lost through no fault of its own */

    struct ush__pg_way ways[USH__PG_WAYS];
    uint32_t first, count;
    bool is_unsynced;        /* commands were written behind the last Sync */
    struct ush_arena *arena; /* of the query that is being settled */
    uint64_t round_trips;

    struct ush__slots prepared; /* of struct ush__pg_prepared, owned */
    uint32_t last_name, last_cursor;
    struct ush_buf scratch; /* arrays that are being bound */
};

static inline struct ush__pg *ush__pg_of(struct ush__session *s)
{
    return USH_CONTAINER(s, struct ush__pg, base);
}

/* ---- postgres_connect.c --------------------------------------------------------------------- */

struct ush__pg_link {
    PGconn *conn;    /* owned by the caller from now on; in pipeline mode */
    bool is_unnamed; /* ?unnamed=1 */
};
/* Tries the hosts in turn. USH_EUNAVAILABLE and why; USH_EINVAL for a URL that cannot be read;
 * -ECANCELED, -ETIMEDOUT. May suspend. */
int ush__pg_connect(const struct ush__session_options *o, struct ush__pg_link *ret,
                    char ret_trouble[USH__TROUBLE_MAX]);

/* Whether the URL can be one of a server, without asking any: 0, or USH_EINVAL and why, in words
 * that show nothing of a password. Never suspends. */
int ush__pg_judge(const char *url, char ret_trouble[USH__TROUBLE_MAX]);

/* ---- postgres.c ----------------------------------------------------------------------------- */

/* The first line of what libpq says, into base.trouble; the session is broken. USH_EUNAVAILABLE. */
int ush__pg_lost(struct ush__pg *s);
/* To be called before a command is written: a transaction that was asked for begins; makes room
 * among the ways. May suspend. */
int ush__pg_ready(struct ush__pg *s);
/* A command was written to libpq. */
void ush__pg_push(struct ush__pg *s, const struct ush__pg_way *way);
/* Nobody waits any more for what is on its way, whose places are going. Returns `code`. */
int ush__pg_give_up(struct ush__pg *s, int code);
/* Sends what was written and takes all results. 0, or the first failure among them. May suspend. */
int ush__pg_settle(struct ush__pg *s);

/* ---- postgres_query.c ----------------------------------------------------------------------- */

/* Writes one of the driver's own statements, without parameters. */
int ush__pg_write(struct ush__pg *s, const struct ush_statement *st, const struct ush__pg_way *way);
/* A result of a query has come: its rows go to the sink. 0 or what the sink said. */
int ush__pg_take_rows(struct ush__pg *s, const struct ush__pg_way *way, const PGresult *result);
/* What became of a PREPARE. */
void ush__pg_prepared_is(struct ush__pg_prepared *p, bool is_ready);
const char *ush__pg_name_of(const struct ush__pg_prepared *p);
void ush__pg_forget(struct ush__pg *s);

int ush__pg_exec(struct ush_tx *tx, const struct ush_statement *st, const struct ush_value *values,
                 size_t n);
int ush__pg_exec_rows(struct ush_tx *tx, const struct ush_statement *st, const struct ush_record *r,
                      const void *rows, size_t n);
int ush__pg_exec_later(struct ush_tx *tx, const struct ush_statement *st,
                       const struct ush_value *values, size_t n);
int ush__pg_exec_rows_later(struct ush_tx *tx, const struct ush_statement *st,
                            const struct ush_record *r, const void *rows, size_t n);
int ush__pg_query(struct ush_tx *tx, const struct ush__ask *asks, size_t n);

#endif
