/*
 * postgres_query.c - statements of the PostgreSQL driver: prepared once per connection, bound, and
 * their rows written into records. Everything travels in the binary format.
 *
 *   struct ush_statement --first use--> PREPARE "name 1" ahead of it in the same flush
 *        |                                       |
 *        +----- a value of another type ---------+--> PREPARE "name 2" ...
 *
 * Values say their types when a statement is prepared: an integer is int8, a text is text, bytes
 * are bytea, and a field of many rows is an array of these. A NULL says nothing: the server infers
 * the type, and when a value comes in its place the statement is prepared once more, for both.
 * Where the server wants another type the SQL has a cast ($1::json).
 *
 *  1. A statement counts as prepared from the moment its PREPARE was written, because whatever
 *     follows comes behind it. When that failed or was skipped, it is prepared again.
 *  2. Values are copied into libpq's buffer by the call, so they are borrowed for the call only.
 *  3. A text with a NUL byte is refused here (USH_EINVAL): the server cannot store it.
 *  4. A walk over many rows is a cursor that is fetched CHUNK rows at a time, so its rows need not
 *     fit into memory and the connection is free between two fetches.
 *  5. In unnamed mode nothing is prepared: the text travels with every use.
 *
 * What does not fit (a column without a field, a type that no field has) is our own mistake: it is
 * logged with the statement's name and ends the process.
 */
#include <endian.h>
#include <stdio.h>

#include "sql/postgres.h"

enum { CHUNK = 500, NAME_MAX = 56 };

/* Types of the server, from its catalogue pg_type. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_JSON = 114,
    OID_BYTEA_ARRAY = 1001,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_VARCHAR = 1043,
    OID_JSONB = 3802,
};

struct ush__pg_prepared {
    struct ush__slot_head head; /* first */
    char name[NAME_MAX];
    bool is_ready; /* invariant 1 */
    uint8_t params, columns;
    Oid types[USH__PG_VALUES];       /* 0: only NULL so far */
    const struct ush_record *record; /* that field_of belongs to; NULL before the first */
    uint8_t field_of[USH__PG_COLUMNS];
};

static void __attribute__((noreturn))
bug(const struct ush_statement *st, const char *what, const char *name)
{
    ush_error("database.bug", "statement %s: %s %s", st->name, what, name);
    abort();
}

static const char *text_of(const struct ush_statement *st)
{
    return st->postgresql ? st->postgresql : st->text;
}

const char *ush__pg_name_of(const struct ush__pg_prepared *p)
{
    return p->head.statement->name;
}

void ush__pg_prepared_is(struct ush__pg_prepared *p, bool is_ready)
{
    p->is_ready = is_ready;
}

static void end(struct ush__slot_head *head)
{
    free(head);
}

void ush__pg_forget(struct ush__pg *s)
{
    ush__slots_fini(&s->prepared, end);
}

/* ---- writing a statement -------------------------------------------------------------------- */

/* Values as libpq takes them. */
struct bound {
    size_t n;
    Oid types[USH__PG_VALUES];
    const char *at[USH__PG_VALUES];
    int lengths[USH__PG_VALUES];
    int64_t numbers[USH__PG_VALUES]; /* in network order; `at` points here */
};
static const int all_binary[USH__PG_VALUES] = {[0 ... USH__PG_VALUES - 1] = 1};

static int find(struct ush__pg *s, const struct ush_statement *st, struct ush__pg_prepared **ret)
{
    struct ush__slot_head **place = ush__slots_place(&s->prepared, st);
    if (!place)
        return -ENOMEM;
    if (!*place) {
        struct ush__pg_prepared *p = calloc(1, sizeof *p);
        if (!p)
            return -ENOMEM;
        p->head.statement = st;
        ush__slots_fill(&s->prepared, place, &p->head);
    }
    *ret = (struct ush__pg_prepared *)*place;
    return 0;
}

/* Makes the statement fit these types: it is to be prepared anew if they are other ones. */
static void fit(struct ush__pg *s, struct ush__pg_prepared *p, const struct bound *b)
{
    bool fits = p->name[0] && p->params == b->n;
    if (p->name[0] && p->params != b->n)
        bug(p->head.statement, "was given another number of values than before", "");
    for (size_t i = 0; i < b->n; i++) {
        if (!b->types[i] || b->types[i] == p->types[i])
            continue;
        if (p->types[i])
            bug(p->head.statement, "was given a value of another type than before", "");
        p->types[i] = b->types[i];
        fits = false;
    }
    if (fits)
        return;
    p->params = (uint8_t)b->n;
    p->is_ready = false;
    snprintf(p->name, sizeof p->name, "%.40s %u", p->head.statement->name, ++s->last_name);
}

static int write_bound(struct ush__pg *s, const struct ush_statement *st, const struct bound *b,
                       const struct ush__pg_way *way)
{
    struct ush__pg_way mine = *way;
    struct ush__pg_prepared *p;
    USH_TRY(find(s, st, &p));
    mine.prepared = p;
    fit(s, p, b);
    int n = (int)b->n, sent;
    if (!s->is_unnamed && !p->is_ready) {
        if (!PQsendPrepare(s->conn, p->name, text_of(st), n, p->types))
            return ush__pg_lost(s);
        ush__pg_push(s, &(struct ush__pg_way){.kind = USH__PG_PREPARE, .prepared = p});
        p->is_ready = true;
    }
    if (s->is_unnamed)
        sent =
            PQsendQueryParams(s->conn, text_of(st), n, p->types, b->at, b->lengths, all_binary, 1);
    else
        sent = PQsendQueryPrepared(s->conn, p->name, n, b->at, b->lengths, all_binary, 1);
    if (!sent)
        return ush__pg_lost(s);
    ush__pg_push(s, &mine);
    return 0;
}

int ush__pg_write(struct ush__pg *s, const struct ush_statement *st, const struct ush__pg_way *way)
{
    struct bound none = {.n = 0};
    return write_bound(s, st, &none, way);
}

/* ---- binding values ------------------------------------------------------------------------- */

static Oid type_of(enum ush_value_type type)
{
    static const Oid types[] = {[USH_VALUE_NULL] = 0,
                                [USH_VALUE_I64] = OID_INT8,
                                [USH_VALUE_TEXT] = OID_TEXT,
                                [USH_VALUE_BYTES] = OID_BYTEA};
    return types[type];
}

static bool has_nul(const struct ush_value *v)
{
    return v->type == USH_VALUE_TEXT && memchr(v->text.at, 0, v->text.len);
}

static int bind_values(const struct ush_statement *st, struct bound *b,
                       const struct ush_value *values, size_t n)
{
    if (n > USH__PG_VALUES)
        bug(st, "has too many", "parameters");
    b->n = n;
    for (size_t i = 0; i < n; i++) {
        const struct ush_value *v = &values[i];
        b->types[i] = type_of(v->type);
        b->at[i] = NULL;
        b->lengths[i] = 0;
        if (v->type == USH_VALUE_I64) {
            b->numbers[i] = (int64_t)htobe64((uint64_t)v->i64);
            b->at[i] = (const char *)&b->numbers[i];
            b->lengths[i] = sizeof b->numbers[i];
        } else if (v->type != USH_VALUE_NULL) {
            if (has_nul(v))
                return USH_EINVAL;
            if (v->text.len > INT32_MAX)
                return USH_ELIMIT;
            b->at[i] = v->text.at;
            b->lengths[i] = (int)v->text.len;
        }
    }
    return 0;
}

/* ---- binding fields of many rows ------------------------------------------------------------ */

static enum ush_value_type value_type_of(const struct ush_statement *st, const struct ush_field *f)
{
    switch (f->type) {
    case USH_TYPE_I64:
    case USH_TYPE_TIME:
    case USH_TYPE_BOOL:
        return USH_VALUE_I64;
    case USH_TYPE_TEXT:
    case USH_TYPE_JSON:
        return USH_VALUE_TEXT;
    case USH_TYPE_BYTES:
        return USH_VALUE_BYTES;
    case USH_TYPE_LIST:
    case USH_TYPE_ONE:
        break;
    }
    bug(st, "cannot take a record inside a record:", f->name);
}

static struct ush_value value_of_field(const struct ush_statement *st, const struct ush_record *r,
                                       size_t field, const void *row)
{
    const struct ush_field *f = &r->fields[field];
    const void *at = (const char *)row + f->offset;
    bool is_absent = f->optional && !(*(const uint64_t *)row >> field & 1);
    switch (value_type_of(st, f)) {
    case USH_VALUE_I64:
        if (is_absent)
            return USH_NULL;
        return ush_value_i64(f->type == USH_TYPE_BOOL ? *(const bool *)at : *(const int64_t *)at);
    case USH_VALUE_BYTES:
        return ush_value_bytes(*(const ush_text *)at);
    default:
        return ush_value_text(*(const ush_text *)at);
    }
}

static void add_u32(struct ush_buf *b, uint32_t n)
{
    uint32_t in_order = htobe32(n);
    ush_buf_add(b, (ush_text){(const char *)&in_order, sizeof in_order});
}

static int add_value(struct ush_buf *b, const struct ush_value *v)
{
    if (v->type == USH_VALUE_NULL) {
        add_u32(b, UINT32_MAX);
    } else if (v->type == USH_VALUE_I64) {
        int64_t in_order = (int64_t)htobe64((uint64_t)v->i64);
        add_u32(b, sizeof in_order);
        ush_buf_add(b, (ush_text){(const char *)&in_order, sizeof in_order});
    } else if (has_nul(v)) {
        return USH_EINVAL;
    } else {
        add_u32(b, (uint32_t)v->text.len);
        ush_buf_add(b, v->text);
    }
    return 0;
}

/* One field of all rows, as array_recv of the server reads it: dimensions, whether there are NULLs,
 * type, length and first index; then each element. */
static int add_array(struct ush_buf *b, const struct ush_statement *st, const struct ush_record *r,
                     size_t field, const void *rows, size_t n)
{
    add_u32(b, 1);
    add_u32(b, 1);
    add_u32(b, type_of(value_type_of(st, &r->fields[field])));
    add_u32(b, (uint32_t)n);
    add_u32(b, 1);
    for (size_t i = 0; i < n; i++) {
        struct ush_value v = value_of_field(st, r, field, (const char *)rows + i * r->bytes);
        USH_TRY(add_value(b, &v));
    }
    return b->error;
}

static int bind_arrays(struct ush__pg *s, const struct ush_statement *st,
                       const struct ush_record *r, struct bound *b, const void *rows, size_t n)
{
    static const Oid arrays[] = {[USH_VALUE_I64] = OID_INT8_ARRAY,
                                 [USH_VALUE_TEXT] = OID_TEXT_ARRAY,
                                 [USH_VALUE_BYTES] = OID_BYTEA_ARRAY};
    if (r->count > USH__PG_VALUES)
        bug(st, "has too many", "parameters");
    size_t from[USH__PG_VALUES];
    ush_buf_reset(&s->scratch);
    b->n = r->count;
    for (size_t f = 0; f < r->count; f++) {
        from[f] = s->scratch.len;
        USH_TRY(add_array(&s->scratch, st, r, f, rows, n));
        b->types[f] = arrays[value_type_of(st, &r->fields[f])];
        b->lengths[f] = (int)(s->scratch.len - from[f]);
    }
    for (size_t f = 0; f < r->count; f++)
        b->at[f] = s->scratch.at + from[f]; /* it no longer moves */
    return 0;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void map_columns(struct ush__pg_prepared *p, const struct ush_record *r,
                        const PGresult *result)
{
    int columns = PQnfields(result);
    if (columns > USH__PG_COLUMNS)
        bug(p->head.statement, "has too many", "columns");
    p->record = r;
    p->columns = (uint8_t)columns;
    for (int i = 0; i < columns; i++) {
        const char *name = PQfname(result, i);
        size_t f = 0;
        while (f < r->count && strcmp(r->fields[f].name, name) != 0)
            f++;
        if (f == r->count)
            bug(p->head.statement, "returns a column that its record does not have:", name);
        p->field_of[i] = (uint8_t)f;
    }
}

static bool read_number(Oid type, const char *at, int64_t *ret)
{
    uint64_t b8;
    uint32_t b4;
    uint16_t b2;
    switch (type) {
    case OID_INT8:
        memcpy(&b8, at, sizeof b8);
        *ret = (int64_t)be64toh(b8);
        return true;
    case OID_INT4:
        memcpy(&b4, at, sizeof b4);
        *ret = (int32_t)be32toh(b4);
        return true;
    case OID_INT2:
        memcpy(&b2, at, sizeof b2);
        *ret = (int16_t)be16toh(b2);
        return true;
    case OID_BOOL:
        *ret = *at != 0;
        return true;
    default:
        return false;
    }
}

static bool is_text(Oid type)
{
    return type == OID_TEXT || type == OID_VARCHAR || type == OID_NAME || type == OID_JSON ||
           type == OID_JSONB;
}

static int copy(struct ush_arena *arena, ush_text t, ush_text *ret)
{
    ush_text mine = ush_arena_copy(arena, t);
    if (!mine.at)
        return USH_ELIMIT;
    *ret = mine;
    return 0;
}

static int read_value(const struct ush__pg_prepared *p, const struct ush_field *f, Oid type,
                      ush_text value, void *row, struct ush_arena *arena)
{
    void *at = (char *)row + f->offset;
    int64_t number;
    switch (f->type) {
    case USH_TYPE_TEXT:
    case USH_TYPE_JSON:
        if (!is_text(type))
            break;
        if (type == OID_JSONB) /* begins with the number of its version */
            value = (ush_text){value.at + 1, value.len - 1};
        return copy(arena, value, at);
    case USH_TYPE_BYTES:
        if (type != OID_BYTEA)
            break;
        return copy(arena, value, at);
    case USH_TYPE_I64:
    case USH_TYPE_TIME:
        if (!read_number(type, value.at, at))
            break;
        return 0;
    case USH_TYPE_BOOL:
        if (!read_number(type, value.at, &number))
            break;
        *(bool *)at = number != 0;
        return 0;
    case USH_TYPE_LIST:
    case USH_TYPE_ONE:
        break;
    }
    bug(p->head.statement, "returns another type than the field has:", f->name);
}

static int read_row(const struct ush__pg_prepared *p, const PGresult *result, int nth, void *row,
                    struct ush_arena *arena)
{
    const struct ush_record *r = p->record;
    memset(row, 0, r->bytes);
    uint64_t has = 0;
    for (int i = 0; i < p->columns; i++) {
        if (PQgetisnull(result, nth, i))
            continue;
        size_t field = p->field_of[i];
        ush_text value = {PQgetvalue(result, nth, i), (size_t)PQgetlength(result, nth, i)};
        USH_TRY(read_value(p, &r->fields[field], PQftype(result, i), value, row, arena));
        has |= UINT64_C(1) << field;
    }
    *(uint64_t *)row = has;
    return 0;
}

/* 1 when the sink wants more. */
static int give_rows(struct ush__pg_prepared *p, const PGresult *result, struct ush__sink *sink,
                     struct ush_arena *arena)
{
    if (p->record != sink->record || p->columns != PQnfields(result))
        map_columns(p, sink->record, result);
    int r = 1;
    for (int i = 0, n = PQntuples(result); i < n && r > 0; i++) {
        r = read_row(p, result, i, sink->row, arena);
        if (r == 0)
            r = sink->took(sink);
    }
    return r;
}

int ush__pg_take_rows(struct ush__pg *s, const struct ush__pg_way *way, const PGresult *result)
{
    int r = give_rows(way->prepared, result, way->sink, s->arena);
    return r < 0 ? r : 0;
}

/* ---- the calls of the driver ---------------------------------------------------------------- */

static int write_values(struct ush__pg *s, const struct ush_statement *st,
                        const struct ush_value *values, size_t n, const struct ush__pg_way *way)
{
    struct bound b;
    USH_TRY(bind_values(st, &b, values, n));
    USH_TRY(ush__pg_ready(s));
    return write_bound(s, st, &b, way);
}

int ush__pg_exec_later(struct ush_tx *tx, const struct ush_statement *st,
                       const struct ush_value *values, size_t n)
{
    return write_values(ush__pg_of(tx->session), st, values, n,
                        &(struct ush__pg_way){.kind = USH__PG_RUN});
}

int ush__pg_exec(struct ush_tx *tx, const struct ush_statement *st, const struct ush_value *values,
                 size_t n)
{
    struct ush__pg *s = ush__pg_of(tx->session);
    int changed = 0;
    USH_TRY(write_values(s, st, values, n,
                         &(struct ush__pg_way){.kind = USH__PG_RUN, .changed = &changed}));
    USH_TRY(ush__pg_settle(s));
    return changed;
}

static int write_rows(struct ush__pg *s, const struct ush_statement *st, const struct ush_record *r,
                      const void *rows, size_t n, int *changed)
{
    struct ush__pg_way way = {.kind = USH__PG_RUN, .changed = changed};
    if (st->postgresql) {
        struct bound b;
        USH_TRY(bind_arrays(s, st, r, &b, rows, n));
        USH_TRY(ush__pg_ready(s));
        return write_bound(s, st, &b, &way);
    }
    for (size_t i = 0; i < n; i++) {
        struct ush_value values[USH__PG_VALUES];
        for (size_t f = 0; f < r->count && f < USH__PG_VALUES; f++)
            values[f] = value_of_field(st, r, f, (const char *)rows + i * r->bytes);
        USH_TRY(write_values(s, st, values, r->count, &way));
    }
    return 0;
}

int ush__pg_exec_rows_later(struct ush_tx *tx, const struct ush_statement *st,
                            const struct ush_record *r, const void *rows, size_t n)
{
    return write_rows(ush__pg_of(tx->session), st, r, rows, n, NULL);
}

int ush__pg_exec_rows(struct ush_tx *tx, const struct ush_statement *st, const struct ush_record *r,
                      const void *rows, size_t n)
{
    struct ush__pg *s = ush__pg_of(tx->session);
    int changed = 0, error = write_rows(s, st, r, rows, n, &changed);
    if (error < 0)
        return ush__pg_give_up(s, error);
    USH_TRY(ush__pg_settle(s));
    return changed;
}

/* ---- walks (invariant 4) -------------------------------------------------------------------- */

static int write_text(struct ush__pg *s, const char *text, const struct bound *b,
                      const struct ush__pg_way *way)
{
    USH_TRY(ush__pg_ready(s));
    if (!PQsendQueryParams(s->conn, text, (int)b->n, b->types, b->at, b->lengths, all_binary, 1))
        return ush__pg_lost(s);
    ush__pg_push(s, way);
    return 0;
}

static int declare(struct ush__pg *s, uint32_t cursor, const struct ush__ask *ask,
                   struct ush__pg_prepared *p)
{
    struct bound b;
    USH_TRY(bind_values(ask->statement, &b, ask->values, ask->n));
    ush_buf_reset(&s->scratch);
    ush_buf_printf(&s->scratch, "DECLARE c%u NO SCROLL CURSOR FOR %s", cursor,
                   text_of(ask->statement));
    USH_TRY(s->scratch.error);
    return write_text(s, s->scratch.at, &b,
                      &(struct ush__pg_way){.kind = USH__PG_RUN, .prepared = p});
}

static int walk(struct ush_tx *tx, const struct ush__ask *ask)
{
    struct ush__pg *s = ush__pg_of(tx->session);
    struct ush__pg_prepared *p;
    struct bound none = {.n = 0};
    uint32_t cursor = ++s->last_cursor;
    char fetch[48];
    snprintf(fetch, sizeof fetch, "FETCH %d FROM c%u", CHUNK, cursor);
    USH_TRY(find(s, ask->statement, &p));
    USH_TRY(declare(s, cursor, ask, p));
    for (int r = 1, n = CHUNK; r > 0 && n == CHUNK;) {
        PGresult *chunk = NULL;
        USH_TRY(
            write_text(s, fetch, &none,
                       &(struct ush__pg_way){.kind = USH__PG_ASK, .keep = &chunk, .prepared = p}));
        r = ush__pg_settle(s);
        if (r == 0) {
            n = PQntuples(chunk);
            r = give_rows(p, chunk, ask->sink, tx->arena);
        }
        PQclear(chunk);
        USH_TRY(r);
    }
    char close[32];
    snprintf(close, sizeof close, "CLOSE c%u", cursor);
    return write_text(s, close, &none, &(struct ush__pg_way){.kind = USH__PG_RUN});
}

int ush__pg_query(struct ush_tx *tx, const struct ush__ask *asks, size_t n)
{
    struct ush__pg *s = ush__pg_of(tx->session);
    if (n == 1 && asks->is_walk)
        return walk(tx, asks);
    s->arena = tx->arena;
    for (size_t i = 0; i < n; i++) {
        struct ush__pg_way way = {.kind = USH__PG_ASK, .sink = asks[i].sink};
        int r = write_values(s, asks[i].statement, asks[i].values, asks[i].n, &way);
        if (r < 0)
            return ush__pg_give_up(s, r);
    }
    return ush__pg_settle(s);
}
