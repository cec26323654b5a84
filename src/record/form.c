/*
 * form.c - names and values into records: forms, query strings, rows of CSV.
 *
 * The three differ only in how the pairs are cut out. Then the pairs are sorted by name, and the
 * field table is walked: a field looks its name up, a list finds its rows side by side.
 *
 *     members.0.name=Ann & members.0.email=... & members.1.name=Ben       rows of LIST members
 *     leader.name=Ann                                                     a field of ONE leader
 *
 * Sorting needs no hash that a stranger could attack, puts the two of a duplicate next to each
 * other, and makes n pairs cost O(n log n).
 *
 * Invariants
 * 1. Every pair is either taken by a field or reported (unless the name begins with '_', or this
 *    is a query). A name that occurs twice is reported, not resolved.
 * 2. A row number is below the number of pairs, so a list is never longer than what was sent.
 * 3. Decoding of bytes follows the URL standard's parser, which cannot fail: a '%' without two hex
 *    digits stands for itself. What comes out is any bytes; the text rules judge them.
 *
 * multipart/form-data is cut into pairs by http/multipart.c.
 */
#include "record/record.h"

#include <stdlib.h>

enum { PAIRS_MAX = 1000, NAME_ROOM = 256 };

struct pair {
    ush_text name, value; /* decoded; they point into the input or the arena */
    bool used;
};

struct pairs {
    struct pair *at; /* sorted by name */
    size_t count;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t ush__percent_decode(ush_text t, enum ush__plus plus, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i];
        if (c == '+' && plus == USH__PLUS_IS_SPACE) {
            c = ' ';
        } else if (c == '%' && t.len - i > 2) {
            int high = hex_digit(t.at[i + 1]), low = hex_digit(t.at[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (char)(high << 4 | low);
                i += 2;
            }
        }
        out[n++] = c;
    }
    return n;
}

/* The slice itself where there is nothing to decode. */
static ush_text decoded(struct ush_arena *arena, ush_text t)
{
    if (ush_text_find(t, '%') < 0 && ush_text_find(t, '+') < 0)
        return t;
    char *out = ush_arena_alloc(arena, t.len + 1);
    return out ? (ush_text){out, ush__percent_decode(t, USH__PLUS_IS_SPACE, out)} : USH_T("");
}

static int compare_names(ush_text a, ush_text b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.at, b.at, shared) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_pairs(const void *a, const void *b)
{
    return compare_names(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

/* The first pair whose name is not below `name`. */
static size_t lower_bound(const struct pairs *p, ush_text name)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (compare_names(p->at[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static ush_text join(char room[NAME_ROOM], ush_text prefix, ush_text name, const char *behind)
{
    size_t tail = strlen(behind);
    assert(prefix.len + name.len + tail <= NAME_ROOM);
    memcpy(room, prefix.at, prefix.len);
    memcpy(room + prefix.len, name.at, name.len);
    memcpy(room + prefix.len + name.len, behind, tail);
    return (ush_text){room, prefix.len + name.len + tail};
}

/* The pair of a name, marked as used; a fault if there are several, and then the first. */
static struct pair *take(struct ush__decoder *d, const struct ush__place *place, struct pairs *p,
                         ush_text name)
{
    size_t first = lower_bound(p, name), i = first;
    for (; i < p->count && ush_text_equal(p->at[i].name, name); i++)
        p->at[i].used = true;
    if (i - first > 1)
        ush__fault(d, place, "duplicate", "This was sent %zu times", i - first);
    return i > first ? &p->at[first] : NULL;
}

static bool is_blank(ush_text t)
{
    return ush_text_trim(t).len == 0;
}

static bool has_prefix(const struct pairs *p, size_t i, ush_text prefix)
{
    return i < p->count && ush_text_starts(p->at[i].name, prefix);
}

static void ignore_all(struct pairs *p, ush_text prefix)
{
    for (size_t i = lower_bound(p, prefix); has_prefix(p, i, prefix); i++)
        p->at[i].used = true;
}

/* Rows of a list: one more than the highest number that has a value that is not blank. Marks blank
 * pairs behind them as used. `prefix` ends with a dot. */
static size_t count_rows(struct pairs *p, ush_text prefix)
{
    size_t rows = 0, first = lower_bound(p, prefix);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = first; has_prefix(p, i, prefix); i++) {
            ush_text rest = {p->at[i].name.at + prefix.len, p->at[i].name.len - prefix.len};
            ush_text number = ush_text_cut(&rest, '.');
            int64_t row;
            bool plain = number.len && (number.at[0] != '0' || number.len == 1) &&
                         number.at[0] != '-' && ush_text_i64(number, &row) == 0;
            if (!rest.at || !plain || (size_t)row >= p->count)
                continue; /* stays unused and is reported */
            if (pass == 0 && !is_blank(p->at[i].value) && (size_t)row >= rows)
                rows = (size_t)row + 1;
            if (pass == 1 && (size_t)row >= rows)
                p->at[i].used = true;
        }
    return rows;
}

static void decode_pairs(struct ush__decoder *d, const struct ush__place *place, struct pairs *p,
                         const struct ush_record *r, ush_text prefix, void *value);

static bool decode_list(struct ush__decoder *d, const struct ush__place *place, struct pairs *p,
                        const struct ush_field *f, ush_text prefix, struct ush_rows *ret)
{
    size_t n = count_rows(p, prefix);
    if (n == 0 && f->optional)
        return false;
    if (!ush__check_rows(d, place, f, n)) {
        ignore_all(p, prefix); /* one fault says it */
        return false;
    }
    char *rows = ush_arena_alloc_n(d->arena, f->of->bytes, n);
    if (!rows)
        return false;
    *ret = (struct ush_rows){rows, n};
    for (size_t i = 0; i < n; i++) {
        struct ush__place here = {place, USH_NONE, i};
        char digits[24], room[NAME_ROOM];
        struct ush_buf number = {.at = digits, .cap_bytes = 23, .max_bytes = 23};
        ush_buf_add_i64(&number, (int64_t)i);
        decode_pairs(d, &here, p, f->of, join(room, prefix, ush_buf_text(&number), "."),
                     rows + i * f->of->bytes);
    }
    return true;
}

/* A nested record. An optional one whose fields are all blank is absent. */
static bool decode_one(struct ush__decoder *d, const struct ush__place *place, struct pairs *p,
                       const struct ush_field *f, ush_text prefix, void **ret)
{
    bool blank = true;
    for (size_t i = lower_bound(p, prefix); has_prefix(p, i, prefix); i++)
        blank &= is_blank(p->at[i].value);
    if (blank && f->optional) {
        ignore_all(p, prefix);
        return false;
    }
    *ret = ush_arena_alloc(d->arena, f->of->bytes);
    if (*ret)
        decode_pairs(d, place, p, f->of, prefix, *ret);
    return *ret != NULL;
}

static bool decode_field(struct ush__decoder *d, const struct ush__place *place, struct pairs *p,
                         const struct ush_field *f, ush_text prefix, void *value)
{
    char room[NAME_ROOM];
    ush_text name = join(room, prefix, ush_text_of(f->name), "");
    bool nested = f->type == USH_TYPE_LIST || f->type == USH_TYPE_ONE;
    struct pair *pair = !nested || d->nested_as_json ? take(d, place, p, name) : NULL;
    if (nested && pair && !is_blank(pair->value))
        return ush__decode_json_text(d, place, f, pair->value, value);
    if (nested) {
        name = join(room, prefix, ush_text_of(f->name), ".");
        return f->type == USH_TYPE_LIST ? decode_list(d, place, p, f, name, ush__field(f, value))
                                        : decode_one(d, place, p, f, name, ush__field(f, value));
    }
    if (pair)
        return ush__decode_typed(d, place, f, pair->value, value);
    if (f->type == USH_TYPE_BOOL && !f->optional)
        return true; /* false: browsers do not send a box without its tick */
    if (!f->optional)
        ush__fault_missing(d, place, f);
    return false;
}

static void decode_pairs(struct ush__decoder *d, const struct ush__place *place, struct pairs *p,
                         const struct ush_record *r, ush_text prefix, void *value)
{
    for (size_t i = 0; i < r->count; i++) {
        struct ush__place here = {place, ush_text_of(r->fields[i].name), 0};
        if (decode_field(d, &here, p, &r->fields[i], prefix, value))
            *ush__has(value) |= UINT64_C(1) << i;
    }
}

/* Reports a pair that no field took: "members.0.zip" as #/members/0/zip. */
static void report_unknown(struct ush__decoder *d, const struct ush__place *place, ush_text rest)
{
    struct ush__place here = {place, ush_text_cut(&rest, '.'), 0};
    unsigned depth = 0;
    for (const struct ush__place *up = place; up; up = up->up)
        depth++;
    if (rest.at && depth < USH__DEPTH_MAX)
        report_unknown(d, &here, rest);
    else
        ush__fault(d, &here, "extra_forbidden", "There is no such field");
}

static int decode_sorted(struct ush__decoder *d, struct pairs *p, const struct ush_record *r,
                         void *ret)
{
    const struct ush__place top = {0};
    qsort(p->at, p->count, sizeof *p->at, compare_pairs);
    decode_pairs(d, &top, p, r, USH_T(""), ret);
    for (size_t i = 0; i < p->count && !d->ignore_unknown; i++)
        if (!p->at[i].used && !ush_text_starts(p->at[i].name, USH_T("_")))
            report_unknown(d, &top, p->at[i].name);
    return ush__decode_end(d);
}

static int decode_urlencoded(struct ush__decoder *d, const struct ush_record *r, ush_text body,
                             void *ret)
{
    const struct ush__place top = {0};
    size_t room = 1;
    for (size_t i = 0; i < body.len; i++)
        room += body.at[i] == '&';
    if (room > PAIRS_MAX) {
        ush__fault(d, &top, "too_long", "Please send at most %d fields", PAIRS_MAX);
        return ush__decode_end(d);
    }
    struct pairs p = {.at = USH_NEW_N(d->arena, struct pair, room)};
    if (!p.at)
        return USH_ELIMIT;
    for (ush_text rest = body; rest.at;) {
        ush_text value = ush_text_cut(&rest, '&'), name = ush_text_cut(&value, '=');
        if (name.len || value.at)
            p.at[p.count++] =
                (struct pair){.name = decoded(d->arena, name),
                              .value = value.at ? decoded(d->arena, value) : USH_T("")};
    }
    return decode_sorted(d, &p, r, ret);
}

int ush_record_decode_form(const struct ush_record *r, ush_text body, struct ush_arena *arena,
                           void *ret, struct ush_faults *faults)
{
    struct ush__decoder d = ush__decode_begin(r, arena, ret, faults);
    return decode_urlencoded(&d, r, body, ret);
}

int ush_record_decode_pairs(const struct ush_record *r, const struct ush_pair *pairs, size_t n,
                            struct ush_arena *arena, void *ret, struct ush_faults *faults)
{
    struct ush__decoder d = ush__decode_begin(r, arena, ret, faults);
    struct pairs p = {.at = USH_NEW_N(arena, struct pair, n + 1), .count = n};
    if (!p.at)
        return USH_ELIMIT;
    for (size_t i = 0; i < n; i++)
        p.at[i] = (struct pair){.name = pairs[i].name, .value = pairs[i].value};
    return decode_sorted(&d, &p, r, ret);
}

int ush_record_decode_query(const struct ush_record *r, ush_text query, struct ush_arena *arena,
                            void *ret, struct ush_faults *faults)
{
    struct ush__decoder d = ush__decode_begin(r, arena, ret, faults);
    d.ignore_unknown = true;
    faults->in = "query";
    return decode_urlencoded(&d, r, query, ret);
}

/* A column's title as a field's name: "School Limit" is school_limit. */
static ush_text column_name(struct ush_arena *arena, ush_text title)
{
    ush_text name = ush_arena_copy(arena, ush_text_trim(title));
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        ((char *)name.at)[i] = c == ' ' || c == '-'   ? '_'
                               : c >= 'A' && c <= 'Z' ? (char)(c | 0x20)
                                                      : c;
    }
    return name.at ? name : USH_T("");
}

int ush_record_decode_csv(const struct ush_record *r, const ush_text *header, size_t header_count,
                          const ush_text *cells, size_t count, struct ush_arena *arena, void *ret,
                          struct ush_faults *faults)
{
    struct ush__decoder d = ush__decode_begin(r, arena, ret, faults);
    const struct ush__place top = {0};
    d.nested_as_json = true;
    struct pairs p = {
        .at = USH_NEW_N(arena, struct pair, (count < header_count ? count : header_count) + 1)};
    if (!p.at)
        return USH_ELIMIT;
    for (size_t i = 0; i < count; i++) {
        ush_text cell = cells[i];
        if (cell.len && cell.at[0] == '\'' && ush__is_formula(cell)) {
            cell.at++;
            cell.len--;
        }
        if (i < header_count)
            p.at[p.count++] = (struct pair){.name = column_name(arena, header[i]), .value = cell};
        else if (!is_blank(cell))
            ush__fault(&d, &top, "too_long", "This row has %zu cells, but the header has %zu",
                       count, header_count);
    }
    return decode_sorted(&d, &p, r, ret);
}
