/*
 * tx.c - the calls that a function makes inside a transaction or view.
 *
 * They are the same over every driver: each is the driver's exec or its query with a place for the
 * rows. Rows and their texts are put into the arena of the transaction, so they stay good until the
 * function returns, except in ush_each, which takes the memory of a row back before the next one.
 *
 *  1. A negative result leaves no effect of that statement.
 *  2. Nothing here is kept between two calls but in the session.
 *
 * Statements, binding and columns are the driver's; where the function runs is db.c's concern.
 */
#include "sql/driver.h"

int ush_exec(struct ush_tx *tx, const struct ush_statement *s, const struct ush_value *values,
             size_t n)
{
    return tx->session->driver->exec(tx, s, values, n);
}

int ush_exec_rows(struct ush_tx *tx, const struct ush_statement *s, const struct ush_record *r,
                  const void *rows, size_t n)
{
    return n ? tx->session->driver->exec_rows(tx, s, r, rows, n) : 0;
}

int ush_exec_later(struct ush_tx *tx, const struct ush_statement *s, const struct ush_value *values,
                   size_t n)
{
    USH_TRY(tx->session->driver->exec_later(tx, s, values, n));
    return 0;
}

int ush_exec_rows_later(struct ush_tx *tx, const struct ush_statement *s,
                        const struct ush_record *r, const void *rows, size_t n)
{
    if (n)
        USH_TRY(tx->session->driver->exec_rows_later(tx, s, r, rows, n));
    return 0;
}

/* ---- one row -------------------------------------------------------------------------------- */

struct first {
    struct ush__sink sink;
    int count;
};

static int took_first(struct ush__sink *sink)
{
    USH_CONTAINER(sink, struct first, sink)->count = 1;
    return 0;
}

int ush_one(struct ush_tx *tx, const struct ush_statement *s, const struct ush_record *r, void *ret,
            const struct ush_value *values, size_t n)
{
    struct first first = {.sink = {.record = r, .row = ret, .took = took_first}};
    struct ush__ask ask = {s, values, n, &first.sink};
    USH_TRY(tx->session->driver->query(tx, &ask, 1));
    return first.count;
}

/* ---- all rows ------------------------------------------------------------------------------- */

enum { ROWS_MIN = 16 };

struct all {
    struct ush__sink sink;
    struct ush_arena *arena;
    struct ush_rows rows;
    size_t room, limit;
};

/* Makes a place for one more row; the array doubles, what it leaves behind goes with the arena. */
static int next_place(struct all *a)
{
    size_t bytes = a->sink.record->bytes;
    if (a->rows.count == a->room) {
        size_t room = a->room ? a->room * 2 : ROWS_MIN;
        char *at = ush_arena_alloc(a->arena, room * bytes);
        if (!at)
            return USH_ELIMIT;
        if (a->rows.count > 0)
            memcpy(at, a->rows.at, a->rows.count * bytes);
        a->rows.at = at;
        a->room = room;
    }
    a->sink.row = (char *)a->rows.at + a->rows.count * bytes;
    return 1;
}

static int took_all(struct ush__sink *sink)
{
    struct all *a = USH_CONTAINER(sink, struct all, sink);
    if (a->rows.count == a->limit)
        return USH_ELIMIT;
    a->rows.count++;
    return next_place(a);
}

static int all_init(struct all *a, struct ush_tx *tx, const struct ush_record *r, size_t limit)
{
    *a = (struct all){.sink = {.record = r, .took = took_all}, .arena = tx->arena, .limit = limit};
    return next_place(a);
}

int ush_all(struct ush_tx *tx, const struct ush_statement *s, const struct ush_record *r,
            size_t limit, struct ush_rows *ret, const struct ush_value *values, size_t n)
{
    struct all all;
    struct ush__ask ask = {s, values, n, &all.sink};
    USH_TRY(all_init(&all, tx, r, limit));
    USH_TRY(tx->session->driver->query(tx, &ask, 1));
    *ret = all.rows;
    return (int)all.rows.count;
}

int ush_all_at_once(struct ush_tx *tx, const struct ush_query *queries, size_t n)
{
    struct all all[USH_AT_ONCE_MAX];
    struct ush__ask asks[USH_AT_ONCE_MAX] = {0};
    assert(n <= USH_AT_ONCE_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct ush_query *q = &queries[i];
        USH_TRY(all_init(&all[i], tx, q->record, q->limit));
        asks[i] = (struct ush__ask){q->statement, q->values, q->n, &all[i].sink};
    }
    USH_TRY(tx->session->driver->query(tx, asks, n));
    for (size_t i = 0; i < n; i++)
        *queries[i].ret = all[i].rows;
    return 0;
}

/* ---- row by row ----------------------------------------------------------------------------- */

struct each {
    struct ush__sink sink;
    struct ush_arena *arena;
    struct ush_arena_mark mark;
    int (*fn)(void *ctx, const void *row);
    void *ctx;
};

static int took_each(struct ush__sink *sink)
{
    struct each *e = USH_CONTAINER(sink, struct each, sink);
    int r = e->fn(e->ctx, sink->row);
    ush_arena_rewind(e->arena, e->mark);
    return r < 0 ? r : 1;
}

int ush_each(struct ush_tx *tx, const struct ush_statement *s, const struct ush_record *r,
             int (*fn)(void *ctx, const void *row), void *ctx, const struct ush_value *values,
             size_t n)
{
    void *row = ush_arena_alloc(tx->arena, r->bytes);
    if (!row)
        return USH_ELIMIT;
    struct each each = {
        .sink = {.record = r, .row = row, .took = took_each},
        .arena = tx->arena,
        .mark = ush_arena_mark(tx->arena),
        .fn = fn,
        .ctx = ctx,
    };
    struct ush__ask ask = {s, values, n, &each.sink, .is_walk = true};
    return tx->session->driver->query(tx, &ask, 1);
}

/* ---- the transaction ------------------------------------------------------------------------ */

int ush_savepoint(struct ush_tx *tx, int (*fn)(struct ush_tx *tx, void *arg), void *arg)
{
    struct ush__session *s = tx->session;
    USH_TRY(s->driver->savepoint(s, USH__SET));
    int r = fn(tx, arg);
    if (r < 0 && !s->driver->has_transaction(s))
        return r;
    int end = s->driver->savepoint(s, r < 0 ? USH__UNDO : USH__KEEP);
    return end < 0 && r >= 0 ? end : r;
}

const char *ush_tx_constraint(const struct ush_tx *tx)
{
    return tx->session->constraint;
}
