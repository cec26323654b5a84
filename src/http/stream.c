/*
 * stream.c - replies whose length nobody knows yet, and server-sent events.
 *
 * A stream leaves as it is written: each part goes to the socket at once. What the socket does not
 * take waits in the connection's box, and the next write waits until the box is empty; so a stream
 * holds at most one part beyond what the kernel holds, however slow its reader, and a reader that
 * makes no progress for limits.write_gap_ms ends it (-EPIPE).
 *
 * HTTP/1.1 gets chunks (RFC 9112 §7.1), HTTP/1.0 bytes until the connection closes. An end without
 * ush_stream_end is seen by the client as cut short (exchange.c).
 *
 * Events (WHATWG HTML §9.2): a field per line, an empty line between events. Their stream has no
 * deadline; it ends when the client leaves or the worker drains, and clients come back by
 * themselves to another worker.
 */
#include <stdio.h>

#include "http/http.h"

enum { PART_BYTES = 16384 }; /* of one chunk */

/* Waits until the socket has taken everything written so far. */
static int wait_drained(struct ush__exchange *x)
{
    struct ush_conn *c = x->rq.conn;
    while (c->box && !c->gone) {
        ush_event_reset(&x->drained);
        USH_TRY(ush_event_wait(&x->drained));
    }
    return c->gone ? -EPIPE : 0;
}

int ush_stream_begin(struct ush_request *rq, int status, const char *content_type)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    struct ush_conn *c = rq->conn;
    assert(ush_is_task() && x->reply < USH__STREAMING);
    x->reply = USH__STREAMING;
    x->status = status;
    x->content_type = ush_text_of(content_type);
    x->is_chunked = rq->head->minor > 0;
    x->keep_alive &= x->is_chunked;
    char *room = ush__output_room(c, ush__reply_head_max(x));
    ush__output_add(c, (size_t)(ush__reply_head(x, -1, room) - room));
    ush__output_flush(c->http);
    return c->gone ? -EPIPE : 0;
}

static void send_part(struct ush__exchange *x, ush_text part)
{
    struct ush_conn *c = x->rq.conn;
    char size[16];
    int n = x->is_chunked ? snprintf(size, sizeof(size), "%zx\r\n", part.len) : 0;
    char *to = ush__output_room(c, (size_t)n + part.len + 2);
    memcpy(to, size, (size_t)n);
    memcpy(to + n, part.at, part.len);
    if (x->is_chunked)
        memcpy(to + n + part.len, "\r\n", 2);
    ush__output_add(c, (size_t)n + part.len + (x->is_chunked ? 2 : 0));
    ush__output_flush(c->http);
}

int ush_stream_write(struct ush_request *rq, ush_text part)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    assert(x->reply == USH__STREAMING);
    USH_TRY(ush_spend(1)); /* a cancelled stream ends also when its reader is fast */
    while (part.len > 0 && !x->is_head) {
        USH_TRY(wait_drained(x));
        size_t n = part.len < PART_BYTES ? part.len : PART_BYTES;
        send_part(x, (ush_text){part.at, n});
        part.at += n;
        part.len -= n;
    }
    return wait_drained(x);
}

int ush_stream_end(struct ush_request *rq)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    assert(x->reply == USH__STREAMING);
    USH_TRY(wait_drained(x));
    x->reply = USH__STREAMED;
    if (x->is_chunked && !x->is_head) {
        memcpy(ush__output_room(rq->conn, 5), "0\r\n\r\n", 5);
        ush__output_add(rq->conn, 5);
    }
    return 0;
}

/* ---- events --------------------------------------------------------------------------------- */

int ush_events_begin(struct ush_request *rq)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    ush_scope_lift_deadline(x->scope);
    x->is_event_stream = true;
    ush_reply_header(rq, "Cache-Control", USH_T("no-store"));
    ush_reply_header(rq, "X-Accel-Buffering", USH_T("no")); /* nginx would hold events back */
    USH_TRY(ush_stream_begin(rq, 200, "text/event-stream"));
    if (rq->conn->http->is_draining)
        ush_scope_cancel(x->scope, USH_CANCEL_SHUTDOWN);
    return 0;
}

int ush_events_send(struct ush_request *rq, const char *event, ush_text data)
{
    struct ush_buf *text = ush__exchange_text(ush__exchange_of(rq));
    if (event)
        ush_buf_printf(text, "event: %s\n", event);
    do {
        ush_text line = ush_text_cut(&data, '\n');
        ush_buf_add(text, USH_T("data: "));
        ush_buf_add(text, line);
        ush_buf_add_byte(text, '\n');
    } while (data.at);
    ush_buf_add_byte(text, '\n');
    if (text->error < 0)
        return text->error;
    return ush_stream_write(rq, ush_buf_text(text));
}
