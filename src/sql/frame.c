/*
 * frame.c - packing and checking what travels between workers and the writer. See frame.h.
 *
 *  1. A length is believed only up to USH__FRAME_MAX, and memory for a body is taken as its bytes
 *     arrive, not when it is announced.
 *  2. A head is copied before it is read: a stream knows no alignment.
 *  3. The shape of an operation covers the names and types of all its fields, those of records
 *     inside records too, because that is what the packed form depends on.
 */
#include "sql/frame.h"

enum { RECEIVE_BYTES = 64 << 10 };

int ush__frame_take(ush_text *rest, struct ush__frame *ret, ush_text *ret_body)
{
    struct ush__frame f;
    if (rest->len < sizeof f)
        return 0;
    memcpy(&f, rest->at, sizeof f);
    if (f.bytes > USH__FRAME_MAX)
        return USH_EPROTO;
    if (rest->len - sizeof f < f.bytes)
        return 0;
    *ret = f;
    *ret_body = (ush_text){rest->at + sizeof f, f.bytes};
    *rest = (ush_text){rest->at + sizeof f + f.bytes, rest->len - sizeof f - f.bytes};
    return 1;
}

size_t ush__frame_begin(struct ush_buf *out, int32_t code, uint64_t id)
{
    struct ush__frame f = {.code = code, .id = id};
    size_t place = out->len;
    ush_buf_add(out, (ush_text){(const char *)&f, sizeof f});
    return place;
}

int ush__frame_end(struct ush_buf *out, size_t place)
{
    size_t bytes = out->len - place - sizeof(struct ush__frame);
    if (out->error || bytes > USH__FRAME_MAX) {
        out->error = 0;
        out->len = place;
        return USH_ELIMIT;
    }
    uint32_t length = (uint32_t)bytes;
    memcpy(out->at + place + offsetof(struct ush__frame, bytes), &length, sizeof length);
    return 0;
}

ssize_t ush__frames_receive(int fd, struct ush_buf *in)
{
    char *room = ush_buf_room(in, RECEIVE_BYTES);
    if (!room)
        return USH_EPROTO; /* a whole frame would have fitted and been taken */
    ssize_t n = ush_recv(fd, room, RECEIVE_BYTES);
    if (n > 0)
        in->len += (size_t)n;
    return n;
}

/* ---- HELLO ---------------------------------------------------------------------------------- */

uint64_t ush__fingerprint(uint64_t h, const void *bytes, size_t n)
{
    for (const unsigned char *b = bytes; n > 0; b++, n--)
        h = (h ^ *b) * UINT64_C(0x100000001b3);
    return h;
}

static uint64_t shape_of_record(uint64_t h, const struct ush_record *r)
{
    size_t count = r ? r->count : 0;
    h = ush__fingerprint(h, &count, sizeof count);
    for (size_t i = 0; i < count; i++) {
        const struct ush_field *f = &r->fields[i];
        uint8_t kind[2] = {(uint8_t)f->type, f->optional};
        h = ush__fingerprint(h, f->name, strlen(f->name) + 1);
        h = ush__fingerprint(h, kind, sizeof kind);
        if (f->of)
            h = shape_of_record(h, f->of);
    }
    return h;
}

static uint64_t shape_of(const struct ush_operation *op)
{
    return shape_of_record(shape_of_record(USH__FINGERPRINT_BEGIN, op->in), op->out);
}

void ush__hello_add(struct ush_buf *out, const struct ush_operation *const *operations)
{
    size_t place = ush__frame_begin(out, USH__HELLO, 0);
    for (size_t i = 0; operations[i]; i++) {
        assert(i < USH__OPERATIONS_MAX);
        uint64_t shape = shape_of(operations[i]);
        ush_buf_add(out, (ush_text){(const char *)&shape, sizeof shape});
        ush_buf_add(out, ush_text_of(operations[i]->name));
        ush_buf_add_byte(out, 0);
    }
    ush__frame_end(out, place);
}

static const struct ush_operation *find(const struct ush_operation *const *operations,
                                        ush_text name, uint64_t shape)
{
    for (size_t i = 0; operations[i]; i++) {
        if (ush_text_equal(ush_text_of(operations[i]->name), name))
            return shape_of(operations[i]) == shape ? operations[i] : NULL;
    }
    return NULL;
}

int ush__hello_match(ush_text body, const struct ush_operation *const *operations,
                     const struct ush_operation *ret_known[USH__OPERATIONS_MAX])
{
    int n = 0;
    while (body.len > 0) {
        uint64_t shape;
        if (n == USH__OPERATIONS_MAX || body.len < sizeof shape)
            return USH_EPROTO;
        memcpy(&shape, body.at, sizeof shape);
        body = (ush_text){body.at + sizeof shape, body.len - sizeof shape};
        if (ush_text_find(body, 0) < 1)
            return USH_EPROTO; /* the name does not end, or is empty */
        ret_known[n++] = find(operations, ush_text_cut(&body, 0), shape);
    }
    return n;
}

/* ---- requests ------------------------------------------------------------------------------- */

int ush__request_read(const struct ush__frame *f, ush_text body,
                      const struct ush_operation *const *known, size_t known_count,
                      struct ush_arena *arena, const struct ush_operation **ret_op,
                      const void **ret_in)
{
    if (f->code < 0 || (size_t)f->code >= known_count || !known[f->code])
        return USH_EPROTO;
    const struct ush_operation *op = known[f->code];
    ush_text copy = ush_arena_copy(arena, body);
    void *in = ush_arena_alloc(arena, op->in->bytes);
    if (!copy.at || !in)
        return USH_ELIMIT;
    *ret_op = op;
    *ret_in = in;
    int r = ush_record_unpack(op->in, copy, arena, in);
    return r == USH_EPROTO ? USH_EINVAL : r;
}
