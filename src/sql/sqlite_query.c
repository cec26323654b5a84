/*
 * sqlite_query.c - statements of the SQLite driver: prepared once, bound, stepped, and their rows
 * written into records.
 *
 * A statement is known by the address of its `struct ush_statement`, which is static in every
 * program, so finding the prepared one is one hash of a pointer (slots.h). Beside it stand two
 * small maps: which value each parameter takes (SQLite numbers "$2" by where it first stands, not
 * by its digit) and which field each column fills (by name, made when a record is first used with
 * it).
 *
 *  1. A prepared statement is reset before the call that used it returns, whatever happened: a
 *     statement left open would hold the reader's moment, and with it the log.
 *  2. A statement that is in use (ush_each calls back) is prepared a second time for the inner use.
 *  3. Values are borrowed for the call only: SQLite copies none of them, and none is read after the
 *     reset.
 *  4. A statement that writes is always stepped to its end, also when one row of its RETURNING is
 *     enough: foreign keys are checked there.
 *
 * What does not fit (a column without a field, a parameter without a value, an integer for a text)
 * is our own mistake: it is logged with the statement's name and ends the process.
 */
#include <stdlib.h>

#include "sql/sqlite.h"

enum { VALUES_MAX = 64, COLUMNS_MAX = 64 };

struct ush__prepared {
    struct ush__slot_head head;      /* first */
    sqlite3_stmt *stmt;              /* owned */
    const struct ush_record *record; /* that field_of belongs to; NULL before the first */
    bool in_use, is_extra, reads;
    uint8_t params, columns;
    uint8_t values;                /* it takes $1 to $values */
    uint8_t value_of[VALUES_MAX];  /* by parameter */
    uint8_t field_of[COLUMNS_MAX]; /* by column */
};

static void __attribute__((noreturn))
bug(const struct ush_statement *st, const char *what, const char *name)
{
    ush_error("database.bug", "statement %s: %s %s", st->name, what, name);
    abort();
}

/* ---- preparing ------------------------------------------------------------------------------ */

static void map_parameters(struct ush__prepared *p)
{
    int params = sqlite3_bind_parameter_count(p->stmt);
    if (params > VALUES_MAX)
        bug(p->head.statement, "has too many", "parameters");
    p->params = (uint8_t)params;
    for (int i = 0; i < params; i++) {
        const char *name = sqlite3_bind_parameter_name(p->stmt, i + 1);
        int64_t number = 0;
        if (!name || name[0] != '$' || ush_text_i64(ush_text_of(name + 1), &number) < 0 ||
            number < 1 || number > VALUES_MAX)
            bug(p->head.statement, "has a parameter that is not $1, $2, …:", name ? name : "?");
        p->value_of[i] = (uint8_t)(number - 1);
        if (number > p->values)
            p->values = (uint8_t)number;
    }
}

static void map_columns(struct ush__prepared *p, const struct ush_record *r)
{
    p->record = r;
    p->columns = (uint8_t)sqlite3_column_count(p->stmt);
    if (sqlite3_column_count(p->stmt) > COLUMNS_MAX)
        bug(p->head.statement, "has too many", "columns");
    for (int i = 0; i < p->columns; i++) {
        const char *name = sqlite3_column_name(p->stmt, i);
        size_t f = 0;
        while (f < r->count && strcmp(r->fields[f].name, name) != 0)
            f++;
        if (f == r->count)
            bug(p->head.statement, "returns a column that its record does not have:", name);
        p->field_of[i] = (uint8_t)f;
    }
}

static int prepare(struct ush__sqlite_session *s, const struct ush_statement *st,
                   struct ush__prepared **ret)
{
    struct ush__prepared *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    const char *rest = "";
    int rc = sqlite3_prepare_v3(s->db, st->text, -1, SQLITE_PREPARE_PERSISTENT, &p->stmt, &rest);
    if (rc != SQLITE_OK) {
        free(p);
        return ush__sqlite_error(s, rc, st->name);
    }
    if (!p->stmt || rest[strspn(rest, " \t\r\n;")])
        bug(st, "is not exactly one:", rest);
    p->head.statement = st;
    p->reads = sqlite3_stmt_readonly(p->stmt);
    map_parameters(p);
    *ret = p;
    return 0;
}

/* Finds or prepares the statement and marks it as used. */
static int take(struct ush__sqlite_session *s, const struct ush_statement *st, size_t n,
                struct ush__prepared **ret)
{
    struct ush__slot_head **slot = ush__slots_place(&s->prepared, st);
    if (!slot)
        return -ENOMEM;
    struct ush__prepared *p = (struct ush__prepared *)*slot;
    if (!p) {
        USH_TRY(prepare(s, st, &p));
        ush__slots_fill(&s->prepared, slot, &p->head);
    } else if (p->in_use) {
        USH_TRY(prepare(s, st, &p));
        p->is_extra = true;
    }
    if (p->values != n)
        bug(st, "was given another number of values than it has", "parameters");
    if (s->base.is_view && !p->reads)
        bug(st, "changes data inside", "a view");
    p->in_use = true;
    *ret = p;
    return 0;
}

static void finalize(struct ush__slot_head *head)
{
    struct ush__prepared *p = (struct ush__prepared *)head;
    sqlite3_finalize(p->stmt);
    free(p);
}

/* Resets the statement (invariant 1) and turns what it ended with into a result. */
static int give(struct ush__sqlite_session *s, struct ush__prepared *p, int rc, int result)
{
    if (rc != SQLITE_OK && rc != SQLITE_ROW && rc != SQLITE_DONE)
        result = ush__sqlite_error(s, rc, p->head.statement->name);
    sqlite3_reset(p->stmt);
    p->in_use = false;
    if (p->is_extra)
        finalize(&p->head);
    return result;
}

void ush__sqlite_forget(struct ush__sqlite_session *s)
{
    ush__slots_fini(&s->prepared, finalize);
}

/* ---- binding -------------------------------------------------------------------------------- */

static int bind_value(sqlite3_stmt *stmt, int i, const struct ush_value *v)
{
    switch (v->type) {
    case USH_VALUE_I64:
        return sqlite3_bind_int64(stmt, i, v->i64);
    case USH_VALUE_TEXT:
        return sqlite3_bind_text64(stmt, i, v->text.at, v->text.len, SQLITE_STATIC, SQLITE_UTF8);
    case USH_VALUE_BYTES:
        return sqlite3_bind_blob64(stmt, i, v->text.at, v->text.len, SQLITE_STATIC);
    case USH_VALUE_NULL:
        break;
    }
    return sqlite3_bind_null(stmt, i);
}

static int bind_values(struct ush__prepared *p, const struct ush_value *values)
{
    int rc = SQLITE_OK;
    for (int i = 0; i < p->params && rc == SQLITE_OK; i++)
        rc = bind_value(p->stmt, i + 1, &values[p->value_of[i]]);
    return rc;
}

static struct ush_value value_of_field(const struct ush__prepared *p, const struct ush_record *r,
                                       size_t field, const void *row)
{
    const struct ush_field *f = &r->fields[field];
    const void *at = (const char *)row + f->offset;
    bool is_absent = f->optional && !(*(const uint64_t *)row >> field & 1);
    switch (f->type) {
    case USH_TYPE_I64:
    case USH_TYPE_TIME:
        return is_absent ? USH_NULL : ush_value_i64(*(const int64_t *)at);
    case USH_TYPE_BOOL:
        return is_absent ? USH_NULL : ush_value_i64(*(const bool *)at);
    case USH_TYPE_TEXT:
    case USH_TYPE_JSON:
        return ush_value_text(*(const ush_text *)at);
    case USH_TYPE_BYTES:
        return ush_value_bytes(*(const ush_text *)at);
    case USH_TYPE_LIST:
    case USH_TYPE_ONE:
        break;
    }
    bug(p->head.statement, "cannot take a record inside a record:", f->name);
}

/* ---- rows ----------------------------------------------------------------------------------- */

static int copy_text(struct ush_arena *arena, const void *at, int len, ush_text *ret)
{
    /* SQLite returns NULL for a blob without bytes. */
    ush_text copy = ush_arena_copy(arena, (ush_text){at ? at : "", (size_t)len});
    if (!copy.at)
        return USH_ELIMIT;
    *ret = copy;
    return 0;
}

static int read_column(const struct ush__prepared *p, int column, const struct ush_field *f,
                       void *row, struct ush_arena *arena)
{
    static const int expected[] = {
        [USH_TYPE_TEXT] = SQLITE_TEXT,
        [USH_TYPE_JSON] = SQLITE_TEXT,
        [USH_TYPE_BYTES] = SQLITE_BLOB,
        [USH_TYPE_I64] = SQLITE_INTEGER,
        [USH_TYPE_BOOL] = SQLITE_INTEGER,
        [USH_TYPE_TIME] = SQLITE_INTEGER,
        [USH_TYPE_LIST] = 0,
        [USH_TYPE_ONE] = 0,
    };
    if (sqlite3_column_type(p->stmt, column) != expected[f->type])
        bug(p->head.statement, "returns another type than the field has:", f->name);
    void *at = (char *)row + f->offset;
    switch (expected[f->type]) {
    case SQLITE_TEXT: {
        const void *text = sqlite3_column_text(p->stmt, column);
        return copy_text(arena, text, sqlite3_column_bytes(p->stmt, column), at);
    }
    case SQLITE_BLOB: {
        const void *bytes = sqlite3_column_blob(p->stmt, column);
        return copy_text(arena, bytes, sqlite3_column_bytes(p->stmt, column), at);
    }
    default:
        if (f->type == USH_TYPE_BOOL)
            *(bool *)at = sqlite3_column_int64(p->stmt, column) != 0;
        else
            *(int64_t *)at = sqlite3_column_int64(p->stmt, column);
        return 0;
    }
}

static int read_row(const struct ush__prepared *p, void *row, struct ush_arena *arena)
{
    const struct ush_record *r = p->record;
    memset(row, 0, r->bytes);
    uint64_t has = 0;
    for (int i = 0; i < p->columns; i++) {
        if (sqlite3_column_type(p->stmt, i) == SQLITE_NULL)
            continue;
        USH_TRY(read_column(p, i, &r->fields[p->field_of[i]], row, arena));
        has |= UINT64_C(1) << p->field_of[i];
    }
    *(uint64_t *)row = has;
    return 0;
}

/* ---- the calls of the driver ---------------------------------------------------------------- */

/* Steps over the rows that are left, if any. */
static int finish(struct ush__prepared *p)
{
    int rc;
    do
        rc = sqlite3_step(p->stmt);
    while (rc == SQLITE_ROW);
    return rc;
}

static int changes(struct ush__sqlite_session *s, const struct ush__prepared *p)
{
    return p->reads ? 0 : sqlite3_changes(s->db);
}

int ush__sqlite_exec(struct ush_tx *tx, const struct ush_statement *st,
                     const struct ush_value *values, size_t n)
{
    struct ush__sqlite_session *s = ush__sqlite_of(tx->session);
    struct ush__prepared *p;
    USH_TRY(take(s, st, n, &p));
    int rc = bind_values(p, values);
    if (rc == SQLITE_OK)
        rc = finish(p);
    return give(s, p, rc, changes(s, p));
}

int ush__sqlite_run(struct ush__sqlite_session *s, const struct ush_statement *st)
{
    struct ush__prepared *p;
    USH_TRY(take(s, st, 0, &p));
    return give(s, p, sqlite3_step(p->stmt), 0);
}

int ush__sqlite_exec_rows(struct ush_tx *tx, const struct ush_statement *st,
                          const struct ush_record *r, const void *rows, size_t n)
{
    struct ush__sqlite_session *s = ush__sqlite_of(tx->session);
    struct ush__prepared *p;
    USH_TRY(take(s, st, r->count, &p));
    int total = 0, rc = SQLITE_OK;
    for (size_t i = 0; i < n && rc == SQLITE_OK; i++) {
        const char *row = (const char *)rows + i * r->bytes;
        struct ush_value values[VALUES_MAX];
        for (size_t f = 0; f < r->count; f++)
            values[f] = value_of_field(p, r, f, row);
        rc = bind_values(p, values);
        if (rc == SQLITE_OK)
            rc = finish(p);
        if (rc == SQLITE_DONE) {
            total += changes(s, p);
            rc = sqlite3_reset(p->stmt);
        }
    }
    return give(s, p, rc, total);
}

static int query(struct ush_tx *tx, const struct ush__ask *ask)
{
    struct ush__sqlite_session *s = ush__sqlite_of(tx->session);
    struct ush__sink *sink = ask->sink;
    struct ush__prepared *p;
    USH_TRY(take(s, ask->statement, ask->n, &p));
    int rc = bind_values(p, ask->values), r = 1;
    if (rc == SQLITE_OK)
        rc = sqlite3_step(p->stmt);
    /* Looked at after the first step, which prepares the statement anew if the schema changed. */
    if (rc == SQLITE_ROW &&
        (p->record != sink->record || p->columns != sqlite3_column_count(p->stmt)))
        map_columns(p, sink->record);
    while (rc == SQLITE_ROW && r > 0) {
        r = read_row(p, sink->row, tx->arena);
        if (r == 0)
            r = sink->took(sink);
        if (r > 0)
            rc = sqlite3_step(p->stmt);
    }
    if (rc == SQLITE_ROW && r >= 0 && !p->reads)
        rc = finish(p); /* invariant 4 */
    return give(s, p, rc, r < 0 ? r : 0);
}

int ush__sqlite_query(struct ush_tx *tx, const struct ush__ask *asks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        USH_TRY(query(tx, &asks[i]));
    return 0;
}
