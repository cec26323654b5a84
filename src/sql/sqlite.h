/*
 * sqlite.h - what sqlite.c (connection, transactions, errors) and sqlite_query.c (statements)
 * share.
 */
#ifndef USH_SQL_SQLITE_H
#define USH_SQL_SQLITE_H

#include <sqlite3.h>

#include "sql/slots.h"
#include "sql/sql.h"

struct ush__sqlite_session {
    struct ush__session base;
    sqlite3 *db;
    struct ush__slots prepared; /* of struct ush__prepared, owned */
    bool can_write;
    /* The write-ahead log, in pages: now, and when it was checkpointed last. */
    int wal_pages, wal_checkpointed;
    int64_t wal_warned_ns;
};

static inline struct ush__sqlite_session *ush__sqlite_of(struct ush__session *s)
{
    return USH_CONTAINER(s, struct ush__sqlite_session, base);
}

/* The code for a result of SQLite that is not success; keeps the constraint or the trouble. */
int ush__sqlite_error(struct ush__sqlite_session *s, int rc, const char *what);

/* Runs one of the driver's own statements. */
int ush__sqlite_run(struct ush__sqlite_session *s, const struct ush_statement *st);
int ush__sqlite_exec(struct ush_tx *tx, const struct ush_statement *st,
                     const struct ush_value *values, size_t n);
int ush__sqlite_exec_rows(struct ush_tx *tx, const struct ush_statement *st,
                          const struct ush_record *r, const void *rows, size_t n);
int ush__sqlite_query(struct ush_tx *tx, const struct ush__ask *asks, size_t n);
/* Finalizes all. */
void ush__sqlite_forget(struct ush__sqlite_session *s);

#endif
