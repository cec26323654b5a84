/*
 * input.c - what a connection holds of its input, and how a request gets from there into a task.
 *
 * Bytes are received into the worker's scratch buffer. What cannot be answered at once is copied
 * out of it before the next connection's turn:
 *
 *     scratch --incomplete request--------> block of the connection --whole--+
 *        |                                                                   v
 *        +-----whole request for a task, small, nothing behind it------> parcel --> task
 *        |                                                                   ^
 *        +-----large, or with others behind it--> block, referred to by -----+
 *
 * A block is a struct ush__input with its bytes behind it, from a pool if it is of the usual size.
 * Slices of a parsed head point into bytes, so a head that moves is moved by ush__head_move.
 */
#include <stdlib.h>

#include "http/http.h"

enum {
    POOLED_BYTES = 1024, /* a block that holds most requests with their parsed head */
    ROOM_MIN = 4096,     /* to receive into, where a request continues */
};

/* ---- input blocks --------------------------------------------------------------------------- */

static struct ush__input *input_new(struct ush_http *h, size_t payload)
{
    size_t total = sizeof(struct ush__input) + payload;
    bool pooled = total <= POOLED_BYTES;
    struct ush__input *in = pooled ? h->free_inputs : NULL;
    if (in)
        h->free_inputs = *(void **)in;
    else
        in = malloc(pooled ? POOLED_BYTES : total);
    if (!in)
        return NULL;
    *in = (struct ush__input){
        .bytes = (char *)(in + 1),
        .cap = (uint32_t)((pooled ? POOLED_BYTES : total) - sizeof(*in)),
        .is_pooled = pooled,
    };
    return in;
}

void ush__input_free(struct ush_conn *c)
{
    struct ush__input *in = c->in;
    c->in = NULL;
    if (in && in->is_pooled) {
        *(void **)in = c->http->free_inputs;
        c->http->free_inputs = in;
    } else {
        free(in);
    }
}

/* Puts what `from` has left into a block of the connection with `room` free bytes behind it. */
int ush__input_hold(struct ush_conn *c, const struct ush__input *from, size_t room)
{
    size_t n = from->len - from->at;
    struct ush__input *in = input_new(c->http, n + room);
    if (!in)
        return -ENOMEM;
    struct ush__input block = *in;
    *in = *from;
    in->bytes = block.bytes;
    in->cap = block.cap;
    in->is_pooled = block.is_pooled;
    in->at = 0;
    in->len = (uint32_t)n;
    in->head = NULL;
    in->head_room = 0;
    memcpy(in->bytes, from->bytes + from->at, n);
    ush__input_free(c);
    c->in = in;
    return 0;
}

/* How many bytes are worth receiving behind what is held. */
static size_t input_wish(const struct ush__input *in)
{
    size_t held = in->len - in->at, whole = in->head_len + (size_t)in->length;
    if (in->head_len > 0 && in->length >= 0 && whole > held)
        return whole - held < ROOM_MIN ? whole - held : held < ROOM_MIN ? ROOM_MIN : held;
    return held < ROOM_MIN ? ROOM_MIN : held;
}

int ush__input_make_room(struct ush_conn *c)
{
    struct ush__input *in = c->in;
    if (in->at > 0) {
        in->len -= in->at;
        memmove(in->bytes, in->bytes + in->at, in->len);
        in->at = 0;
    }
    size_t wish = input_wish(in);
    return in->cap - in->len >= (wish < ROOM_MIN ? wish : ROOM_MIN / 4)
               ? 0
               : ush__input_hold(c, in, wish);
}

void ush__input_next(struct ush__input *in)
{
    in->at += in->used;
    in->head_len = in->body_len = in->used = 0;
    in->since_ns = 0;
    in->asks_first = false;
    in->is_fresh = in->at < in->len;
}

/* ---- heads that move ------------------------------------------------------------------------ */

size_t ush__head_bytes(const struct ush_head *head)
{
    return offsetof(struct ush_head, headers) + head->header_count * sizeof(head->headers[0]);
}

static void shift(ush_text *t, const char *base, size_t n, ptrdiff_t by)
{
    if ((size_t)(t->at - base) <= n) /* else it is absent or a constant */
        t->at += by;
}

/* Copies a head whose slices lie in the n bytes at `base` so that they lie `by` further. `to` need
 * only have room for the fields that there are. */
void ush__head_move(struct ush_head *to, const struct ush_head *from, const char *base, size_t n,
                    ptrdiff_t by)
{
    memmove(to, from, ush__head_bytes(from));
    shift(&to->method_name, base, n, by);
    shift(&to->target, base, n, by);
    shift(&to->path, base, n, by);
    shift(&to->query, base, n, by);
    shift(&to->host, base, n, by);
    for (size_t i = 0; i < to->header_count; i++) {
        shift(&to->headers[i].name, base, n, by);
        shift(&to->headers[i].value, base, n, by);
    }
}

/* The head in the block of the connection, behind the bytes; those in the scratch buffer move into
 * a block first. Pipelined requests use the place for the head again. */
static int input_keep_head(struct ush_conn *c)
{
    struct ush_http *h = c->http;
    struct ush__input *in = h->whole;
    const char *base = in->bytes + in->at;
    size_t n = in->len - in->at, need = (ush__head_bytes(&h->head) + 15) & ~(size_t)15;
    if (in != c->in || in->head_room < need) {
        USH_TRY(ush__input_hold(c, in, need + 16));
        in = c->in;
        in->cap = (uint32_t)((in->cap - need) & ~(size_t)15);
        in->head = (struct ush_head *)(in->bytes + in->cap);
        in->head_room = (uint32_t)need;
    }
    ush__head_move(in->head, &h->head, base, n, in->bytes + in->at - base);
    return 0;
}

const struct ush__parcel *ush__conn_parcel(struct ush_conn *c)
{
    struct ush_http *h = c->http;
    struct ush__input *in = h->whole;
    struct ush__parcel *p = &h->parcel;
    const char *from = in->bytes + in->at;
    size_t head_bytes = ush__head_bytes(&h->head), n = in->head_len + in->body_len;
    p->conn = c;
    p->match = h->match;
    p->here = (char *)p;
    p->bytes = offsetof(struct ush__parcel, room);
    if (!in->asks_first && in->at + in->used == in->len && head_bytes + n <= USH__SMALL_BYTES) {
        char *to = p->room + head_bytes;
        p->head = (struct ush_head *)p->room;
        p->body = (ush_text){to + in->head_len, in->body_len};
        p->bytes += head_bytes + n;
        memcpy(to, from, n);
        ush__head_move((struct ush_head *)p->room, &h->head, from, n, to - from);
        ush__input_free(c);
        return p;
    }
    if (input_keep_head(c) < 0) {
        c->gone = true;
        ush__conn_end(c);
        return NULL;
    }
    in = c->in;
    p->head = in->head;
    p->body =
        in->asks_first ? USH_NONE : (ush_text){in->bytes + in->at + in->head_len, in->body_len};
    return p;
}
