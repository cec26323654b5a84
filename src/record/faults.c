/*
 * faults.c - what is wrong with an input, and where.
 *
 * A fault names its place as a JSON pointer in URI fragment form (RFC 6901 §6), such as
 * "#/members/0/email". Names that strangers sent may stand in it, so a name's '~' and '/' are
 * escaped, then everything outside RFC 3986's "unreserved" is percent-encoded, and names are cut
 * at NAME_MAX_BYTES. FastAPI's `loc` is derived from the pointer when the list is written.
 *
 * Invariants
 * 1. At most USH_FAULTS_MAX are kept, the first ones; `more` says that there were others. The
 *    answer to a hostile body is therefore small.
 * 2. A pointer is never absent: without memory it is "#", and the arena remembers the failure.
 *
 * Also here: how every decoder begins and ends.
 */
#include "record/record.h"

enum { NAME_MAX_BYTES = 64 };

void ush_faults_init(struct ush_faults *f, struct ush_arena *arena)
{
    f->arena = arena;
    f->in = "body";
    f->count = 0;
    f->more = false;
}

/* Adds "/name" to a pointer. */
static void add_name(struct ush_buf *pointer, ush_text name)
{
    name.len = name.len < NAME_MAX_BYTES ? name.len : NAME_MAX_BYTES;
    ush_buf_add_byte(pointer, '/');
    for (size_t i = 0; i < name.len; i++) {
        if (name.at[i] == '~')
            ush_buf_add(pointer, USH_T("~0"));
        else if (name.at[i] == '/')
            ush_buf_add(pointer, USH_T("~1"));
        else
            ush_buf_add_percent(pointer, (ush_text){name.at + i, 1});
    }
}

static void add_place(struct ush_buf *pointer, const struct ush__place *place)
{
    if (!place || !place->up)
        return;
    add_place(pointer, place->up);
    if (place->name.at) {
        add_name(pointer, place->name);
    } else {
        ush_buf_add_byte(pointer, '/');
        ush_buf_add_i64(pointer, (int64_t)place->index);
    }
}

static void add_fault(struct ush_faults *f, struct ush_buf *pointer, const char *type,
                      const char *fmt, va_list ap) USH_PRINTF(4, 0);

/* Takes the pointer's memory. */
static void add_fault(struct ush_faults *f, struct ush_buf *pointer, const char *type,
                      const char *fmt, va_list ap)
{
    if (f->count == USH_FAULTS_MAX) {
        f->more = true;
    } else {
        struct ush_fault *fault = &f->list[f->count++];
        fault->pointer = ush_arena_copy(f->arena, ush_buf_text(pointer));
        if (!fault->pointer.at)
            fault->pointer = USH_T("#");
        fault->type = type;
        fault->msg = ush_arena_vprintf(f->arena, fmt, ap);
    }
    ush_buf_fini(pointer);
}

void ush__fault(struct ush__decoder *d, const struct ush__place *place, const char *type,
                const char *fmt, ...)
{
    struct ush_buf pointer;
    ush_buf_init(&pointer, 16 << 10);
    ush_buf_add_byte(&pointer, '#');
    add_place(&pointer, place);
    va_list ap;
    va_start(ap, fmt);
    add_fault(d->faults, &pointer, type, fmt, ap);
    va_end(ap);
}

void ush_faults_add(struct ush_faults *f, const char *path, const char *type, const char *fmt, ...)
{
    struct ush_buf pointer;
    ush_buf_init(&pointer, 16 << 10);
    ush_buf_add_byte(&pointer, '#');
    for (ush_text rest = *path ? ush_text_of(path) : USH_NONE; rest.at;)
        add_name(&pointer, ush_text_cut(&rest, '/'));
    va_list ap;
    va_start(ap, fmt);
    add_fault(f, &pointer, type, fmt, ap);
    va_end(ap);
}

void ush__fault_missing(struct ush__decoder *d, const struct ush__place *place,
                        const struct ush_field *f)
{
    if (f->type != USH_TYPE_TEXT) {
        ush__fault(d, place, "missing", "This is required");
        return;
    }
    char label[64];
    size_t n = 0;
    for (; f->name[n] && n + 1 < sizeof label; n++)
        label[n] = f->name[n] == '_' ? ' ' : f->name[n];
    label[n] = 0;
    ush__fault(d, place, "missing", "Please enter %s %s", strchr("aeiou", label[0]) ? "an" : "a",
               label);
}

const struct ush_fault *ush_faults_of(const struct ush_faults *f, const char *path)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < f->count; i++) {
        ush_text p = f->list[i].pointer;
        ush_text behind = p.len > 2 ? (ush_text){p.at + 2, p.len - 2} : USH_T("");
        if (ush_text_equal(behind, (ush_text){path, length}))
            return &f->list[i];
    }
    return NULL;
}

/* One segment of a pointer as an element of loc: rows are numbers. */
static void add_loc(struct ush_buf *out, ush_text segment)
{
    char name[3 * 2 * NAME_MAX_BYTES];
    int64_t row;
    if (segment.len > sizeof name)
        segment.len = sizeof name;
    if (segment.len && segment.at[0] != '-' && ush_text_i64(segment, &row) == 0) {
        ush_buf_add_i64(out, row);
        return;
    }
    size_t n = ush__percent_decode(segment, USH__PLUS_IS_PLUS, name), kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (name[i] == '~' && i + 1 < n)
            name[kept++] = name[++i] == '1' ? '/' : '~';
        else
            name[kept++] = name[i];
    }
    ush_buf_add_json(out, (ush_text){name, kept});
}

void ush_faults_json(const struct ush_faults *f, struct ush_buf *out)
{
    ush_buf_add_byte(out, '[');
    for (size_t i = 0; i < f->count; i++) {
        const struct ush_fault *fault = &f->list[i];
        ush_buf_add(out, i ? USH_T(",{\"pointer\":") : USH_T("{\"pointer\":"));
        ush_buf_add_json(out, fault->pointer);
        ush_buf_add(out, USH_T(",\"loc\":["));
        ush_buf_add_json(out, ush_text_of(f->in));
        ush_text rest = fault->pointer;
        (void)ush_text_cut(&rest, '/');
        while (rest.at) {
            ush_buf_add_byte(out, ',');
            add_loc(out, ush_text_cut(&rest, '/'));
        }
        ush_buf_add(out, USH_T("],\"msg\":"));
        ush_buf_add_json(out, fault->msg);
        ush_buf_add(out, USH_T(",\"type\":"));
        ush_buf_add_json(out, ush_text_of(fault->type));
        ush_buf_add_byte(out, '}');
    }
    ush_buf_add_byte(out, ']');
}

struct ush__decoder ush__decode_begin(const struct ush_record *r, struct ush_arena *arena,
                                      void *ret, struct ush_faults *faults)
{
    assert(r->count <= 64);
    memset(ret, 0, r->bytes);
    return (struct ush__decoder){
        .arena = arena, .faults = faults, .faults_before = faults->count + faults->more};
}

int ush__decode_end(const struct ush__decoder *d)
{
    if (d->arena->failed)
        return USH_ELIMIT;
    return d->faults->count + d->faults->more > d->faults_before ? USH_EINVAL : 0;
}
