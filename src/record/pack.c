/*
 * pack.c - the binary form, for processes of one host.
 *
 *     record   has:u64, then each field whose bit is set, in the order of the table
 *     TEXT, BYTES, JSON   length:u32, bytes        I64, TIME   i64        BOOL   u8, 0 or 1
 *     LIST                rows:u32, records        ONE         record
 *
 * Native byte order and no padding. What is packed and unpacked again is the same record, an
 * absent text apart from an empty one included; only `has` comes back complete where whoever
 * filled the record left out bits that it may leave out.
 *
 * Invariants of unpacking
 * 1. Every length is compared with what is left before it is used, and a list's row count with the
 *    least its rows could take, so garbage cannot make it allocate more than a fixed multiple of
 *    its own size.
 * 2. It takes exactly what packing writes: no byte left over, no unknown bit, no bool but 0 and 1,
 *    no text that is not UTF-8, required numbers present.
 * 3. Texts point into the input; only lists and nested records take arena memory.
 *
 * There is no version inside: both ends are the same binary. What outlives a process is stored in
 * the database, not in this form.
 */
#include "record/record.h"

bool ush__is_present(const struct ush_record *r, size_t i, const void *value)
{
    const struct ush_field *f = &r->fields[i];
    const void *at = ush__field(f, value);
    bool has = *(const uint64_t *)value >> i & 1;
    switch (f->type) {
    case USH_TYPE_TEXT:
    case USH_TYPE_BYTES:
    case USH_TYPE_JSON:
        return ((const ush_text *)at)->at != NULL;
    case USH_TYPE_ONE:
        return *(void *const *)at != NULL;
    case USH_TYPE_LIST:
        return has || ((const struct ush_rows *)at)->at != NULL;
    case USH_TYPE_I64:
    case USH_TYPE_TIME:
    case USH_TYPE_BOOL:
        break;
    }
    return has || !f->optional;
}

static void add_raw(struct ush_buf *out, const void *bytes, size_t n)
{
    ush_buf_add(out, (ush_text){bytes, n});
}

static void add_length(struct ush_buf *out, size_t n)
{
    uint32_t length = (uint32_t)n;
    if (n > UINT32_MAX)
        out->error = USH_ELIMIT;
    add_raw(out, &length, sizeof length);
}

static void pack_field(const struct ush_field *f, const void *at, struct ush_buf *out)
{
    switch (f->type) {
    case USH_TYPE_TEXT:
    case USH_TYPE_BYTES:
    case USH_TYPE_JSON: {
        const ush_text *t = at;
        add_length(out, t->len);
        ush_buf_add(out, *t);
        break;
    }
    case USH_TYPE_I64:
    case USH_TYPE_TIME:
        add_raw(out, at, sizeof(int64_t));
        break;
    case USH_TYPE_BOOL:
        add_raw(out, at, sizeof(bool));
        break;
    case USH_TYPE_LIST: {
        const struct ush_rows *rows = at;
        add_length(out, rows->count);
        for (size_t i = 0; i < rows->count; i++)
            ush_record_pack(f->of, (const char *)rows->at + i * f->of->bytes, out);
        break;
    }
    case USH_TYPE_ONE:
        ush_record_pack(f->of, *(void *const *)at, out);
        break;
    }
}

void ush_record_pack(const struct ush_record *r, const void *value, struct ush_buf *out)
{
    assert(r->count <= 64);
    uint64_t has = 0;
    for (size_t i = 0; i < r->count; i++)
        has |= (uint64_t)ush__is_present(r, i, value) << i;
    add_raw(out, &has, sizeof has);
    for (size_t i = 0; i < r->count; i++)
        if (has >> i & 1)
            pack_field(&r->fields[i], ush__field(&r->fields[i], value), out);
}

static int take_raw(ush_text *rest, void *ret, size_t n)
{
    if (rest->len < n)
        return USH_EPROTO;
    memcpy(ret, rest->at, n);
    rest->at += n;
    rest->len -= n;
    return 0;
}

static int take_text(ush_text *rest, ush_text *ret)
{
    uint32_t length;
    USH_TRY(take_raw(rest, &length, sizeof length));
    if (rest->len < length)
        return USH_EPROTO;
    *ret = (ush_text){rest->at, length};
    rest->at += length;
    rest->len -= length;
    return 0;
}

static int take_record(const struct ush_record *r, ush_text *rest, struct ush_arena *arena,
                       void *ret, unsigned depth);

static int take_list(const struct ush_field *f, ush_text *rest, struct ush_arena *arena,
                     struct ush_rows *ret, unsigned depth)
{
    uint32_t count;
    USH_TRY(take_raw(rest, &count, sizeof count));
    if (count > rest->len / sizeof(uint64_t))
        return USH_EPROTO;
    char *rows = ush_arena_alloc_n(arena, f->of->bytes, count);
    if (!rows)
        return USH_ELIMIT;
    *ret = (struct ush_rows){rows, count};
    for (uint32_t i = 0; i < count; i++)
        USH_TRY(take_record(f->of, rest, arena, rows + i * f->of->bytes, depth));
    return 0;
}

static int take_field(const struct ush_field *f, ush_text *rest, struct ush_arena *arena, void *at,
                      unsigned depth)
{
    unsigned char byte;
    switch (f->type) {
    case USH_TYPE_TEXT:
    case USH_TYPE_JSON:
        USH_TRY(take_text(rest, at));
        return ush_utf8_valid(*(ush_text *)at) ? 0 : USH_EPROTO;
    case USH_TYPE_BYTES:
        return take_text(rest, at);
    case USH_TYPE_I64:
    case USH_TYPE_TIME:
        return take_raw(rest, at, sizeof(int64_t));
    case USH_TYPE_BOOL:
        USH_TRY(take_raw(rest, &byte, 1));
        *(bool *)at = byte == 1;
        return byte <= 1 ? 0 : USH_EPROTO;
    case USH_TYPE_LIST:
        return take_list(f, rest, arena, at, depth);
    case USH_TYPE_ONE:
        *(void **)at = ush_arena_alloc(arena, f->of->bytes);
        return *(void **)at ? take_record(f->of, rest, arena, *(void **)at, depth) : USH_ELIMIT;
    }
    return USH_EPROTO;
}

static int take_record(const struct ush_record *r, ush_text *rest, struct ush_arena *arena,
                       void *ret, unsigned depth)
{
    uint64_t has;
    USH_TRY(take_raw(rest, &has, sizeof has));
    if (depth == USH__DEPTH_MAX || (r->count < 64 && has >> r->count))
        return USH_EPROTO;
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *f = &r->fields[i];
        bool is_number =
            f->type == USH_TYPE_I64 || f->type == USH_TYPE_TIME || f->type == USH_TYPE_BOOL;
        if (has >> i & 1)
            USH_TRY(take_field(f, rest, arena, ush__field(f, ret), depth + 1));
        else if (is_number && !f->optional)
            return USH_EPROTO;
    }
    *ush__has(ret) = has;
    return 0;
}

int ush_record_unpack(const struct ush_record *r, ush_text bytes, struct ush_arena *arena,
                      void *ret)
{
    assert(r->count <= 64);
    memset(ret, 0, r->bytes);
    USH_TRY(take_record(r, &bytes, arena, ret, 0));
    return bytes.len ? USH_EPROTO : 0;
}
