/*
 * output.c - bytes on their way to clients.
 *
 * A worker has one output buffer. Replies gather in it, those of one connection side by side, and
 * leave together: at the end of a request's task, when the buffer or its list of parts is full, and
 * otherwise at the beginning of the next turn, right after the events of this one. So the usual
 * reply costs one send and no memory, sixteen pipelined ones cost one send together, and a reply
 * never waits for the handler of the request behind it. Sending many in a row, after their requests
 * have been handled in a row, keeps each kind of code in the processor's cache: 2 % per request.
 *
 * What a socket does not take goes into a box of the connection: a copy of the bytes, or a
 * reference for what lives for ever (assets). The box empties when the socket has room again, on
 * the loop's stack: a client that reads slowly holds no task. It has to make progress within
 * limits.write_gap_ms.
 *
 *     reply --> worker's buffer --flush--> socket
 *                                   |         ^
 *                                   +--> box -+   room again
 *
 * Invariants:
 *  1. Order: while a connection has a box, everything for it goes behind the box.
 *  2. `tail` of a box is its end: nothing follows until the box is empty, since no further request
 *     is taken up (conn.c) and streams wait for it (stream.c).
 *  3. A box runs the write time-out of its connection, whatever state that is in.
 */
#include <stdlib.h>

#include "http/http.h"

static void restart_time(struct ush_conn *c)
{
    ush_timeout_stop(&c->timeout);
    ush_timeout_start(&c->http->write_time, &c->timeout);
}

static void box_add(struct ush_conn *c, ush_text bytes, const struct ush__output_options *o)
{
    struct ush__box *b = c->box;
    size_t held = b ? b->len - b->at : 0, copied = o->is_static ? 0 : bytes.len;
    assert(!b || b->tail.len == 0);
    if (!b || b->cap - b->len < copied) {
        struct ush__box *more = malloc(sizeof(*more) + held + copied);
        if (!more) {
            c->gone = true;
            return;
        }
        *more = (struct ush__box){.len = (uint32_t)held, .cap = (uint32_t)(held + copied)};
        if (b)
            memcpy(more->bytes, b->bytes + b->at, held);
        else
            restart_time(c);
        free(b);
        c->box = b = more;
    }
    if (o->is_static)
        b->tail = bytes;
    else
        memcpy(b->bytes + b->len, bytes.at, bytes.len);
    b->len += (uint32_t)copied;
}

/* Sends from the front of *bytes until the socket is full. Whether any went. */
static bool send_some(struct ush_conn *c, ush_text *bytes)
{
    size_t before = bytes->len;
    while (bytes->len > 0 && !c->gone) {
        ssize_t n = ush_send_now(c->fd, bytes->at, bytes->len);
        if (n == -EAGAIN)
            break;
        if (n < 0) {
            c->gone = true;
            return false;
        }
        bytes->at += n;
        bytes->len -= (size_t)n;
    }
    return bytes->len < before;
}

static void push(struct ush_conn *c, ush_text bytes, const struct ush__output_options *o)
{
    if (!c->box)
        send_some(c, &bytes);
    if (bytes.len > 0 && !c->gone)
        box_add(c, bytes, o);
}

/* The bytes of a part are on their way. In HANDLER the task looks after its connection. */
static void part_sent(struct ush_conn *c)
{
    if (c->state >= USH__HANDLER)
        return;
    if (c->gone)
        ush__conn_give_way(c);
    else if (c->box)
        ush__conn_enter(c, USH__WRITING);
}

void ush__output_flush(struct ush_http *h)
{
    ush_text rest = {h->output, h->output_len};
    uint32_t n = h->part_count;
    h->part_count = 0;
    h->output_len = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct ush_conn *c = h->parts[i].conn;
        size_t len = h->parts[i].len;
        if (c) {
            c->has_part = false;
            push(c, (ush_text){rest.at, len}, &(struct ush__output_options){0});
            part_sent(c);
        }
        rest.at += len;
    }
}

char *ush__output_room(struct ush_conn *c, size_t n)
{
    struct ush_http *h = c->http;
    assert(n <= USH__OUTPUT_BYTES);
    bool is_last = h->part_count > 0 && h->parts[h->part_count - 1].conn == c;
    bool needs_part = !is_last && (c->has_part || h->part_count == USH__PARTS);
    if (needs_part || h->output_len + n > USH__OUTPUT_BYTES)
        ush__output_flush(h);
    return h->output + h->output_len;
}

void ush__output_add(struct ush_conn *c, size_t n)
{
    struct ush_http *h = c->http;
    if (!c->has_part) {
        h->parts[h->part_count].conn = c;
        h->parts[h->part_count++].len = 0;
        c->has_part = true;
    }
    h->parts[h->part_count - 1].len += (uint32_t)n;
    h->output_len += n;
}

void ush__output_forget(struct ush_conn *c)
{
    struct ush_http *h = c->http;
    for (uint32_t i = 0; i < h->part_count; i++)
        if (h->parts[i].conn == c)
            h->parts[i].conn = NULL;
    c->has_part = false;
}

void ush__output_send(struct ush_conn *c, ush_text bytes, const struct ush__output_options *o)
{
    /* What fits goes along with what is gathered, so that a head never travels alone. */
    struct ush_http *h = c->http;
    size_t fits = c->has_part ? USH__OUTPUT_BYTES - h->output_len : 0;
    fits = fits < bytes.len ? fits : bytes.len;
    if (fits > 0) {
        memcpy(h->output + h->output_len, bytes.at, fits);
        ush__output_add(c, fits);
    }
    ush__output_flush(h);
    push(c, (ush_text){bytes.at + fits, bytes.len - fits}, o);
}

void ush__output_writable(struct ush_conn *c)
{
    struct ush__box *b = c->box;
    ush_text bytes = {b->bytes + b->at, b->len - b->at};
    bool moved = send_some(c, &bytes);
    b->at = b->len - (uint32_t)bytes.len;
    if (bytes.len == 0)
        moved |= send_some(c, &b->tail);
    bool is_empty = bytes.len == 0 && b->tail.len == 0;
    if (is_empty || c->gone)
        ush__output_drop(c);
    else if (moved)
        restart_time(c);
    if (c->x && !c->box)
        ush_event_set(&c->x->drained);
}

void ush__output_drop(struct ush_conn *c)
{
    if (!c->box)
        return;
    ush_timeout_stop(&c->timeout);
    free(c->box);
    c->box = NULL;
}
