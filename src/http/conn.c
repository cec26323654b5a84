/*
 * conn.c - the life of a connection: which of its bytes are a request, and what becomes of it.
 *
 * Everything here runs to its end without waiting. An event says that the socket has bytes; the
 * pump receives them into the worker's scratch buffer, takes as many whole requests as there are,
 * answers at once those that need no task, and hands the first one that needs a task over. The
 * same pump runs at the end of that task, on its stack, so a request that was pipelined behind it
 * is served without going back to idle, and the replies of a pipeline leave in one send.
 *
 *     pump:  input there? --no--> socket unread? --no--> flush, settle (IDLE, HEAD or BODY): WAIT
 *              | yes                  | yes
 *              |<------ receive ------+
 *              v
 *            take: head -> admitted? -> body -> whole --> answer here, next
 *                               |                    +--> RUN (needs a task)
 *                               +-- large body: RUN (asks o.admit for it), then body
 *
 * Invariants:
 *  1. A request gets a task only when its body is whole, so a client that sends slowly costs
 *     bytes and never a stack. Its deadline begins then, too. A body larger than usual costs bytes
 *     that count: whoever asks is let in, by a task that ends with that, before they are received.
 *  2. What is refused before its body was read closes the connection (invariant 4 of http.h). The
 *     reply would otherwise be followed by bytes that one side takes for a body and the other for
 *     a request (the "0.CL" family of request smuggling).
 *  3. A connection that floods gives way after RECEIVES rounds, so that others are heard.
 *  4. Before closing on a client that may still be sending, its bytes are read and dropped: closing
 *     with unread input makes the kernel send a reset, which can destroy the reply on its way
 *     (RFC 9112 §9.6).
 */
#include <stdio.h>

#include "http/http.h"

enum {
    RECEIVES = 4,
    LINGER_RECEIVES = 16, /* half a megabyte, and others are heard */
};

/* ---- admission ------------------------------------------------------------------------------ */

/* The path as it is written when nothing in it needs normalising, which is nearly always. */
int ush__path_of(const struct ush_head *head, struct ush_arena *arena, ush_text *ret)
{
    char before = 0;
    for (size_t i = 0; i < head->path.len; i++) {
        char here = head->path.at[i];
        if (here == '%' || (here == '.' && before == '/'))
            return ush_path_normal(head->path, arena, ret);
        before = here;
    }
    *ret = head->path;
    return 0;
}

/* Finds the row of the parsed head. 0 or an HTTP status. */
static int find_row(struct ush_http *h)
{
    if (h->arena.at != h->arena_start) /* of the request before */
        ush_arena_reset(&h->arena);
    h->match.row = ush__route_literal(&h->routes, h->head.method, h->head.path);
    h->path = h->match.row ? h->head.path : USH_NONE;
    if (h->match.row)
        return 0;
    if (h->head.method == USH_METHOD_OTHER)
        return 501;
    if (ush_text_equal(h->head.path, USH_T("*"))) { /* OPTIONS * asks about the whole server */
        h->match.allowed = ~0u;
        return 405;
    }
    if (ush__path_of(&h->head, &h->arena, &h->path) < 0)
        return 400;
    return -ush__route_find(&h->routes, h->head.method, h->path, &h->match);
}

/* Whether a trusted proxy contradicts itself about the client. */
static bool is_contradictory(const struct ush_conn *c)
{
    struct ush__origin origin;
    return c->is_trusted && ush__origin_by(c, &c->http->head, &origin) < 0;
}

static bool needs_task(const struct ush__row *row)
{
    return row->route->runs_on != USH_LOOP && !row->route->asset;
}

/* A body beyond the usual limit is not received before o.admit has let its sender in. */
static bool is_asked_for(const struct ush_http *h, const struct ush__input *in)
{
    const int64_t usual = h->limits.body_bytes;
    return h->o.admit && needs_task(h->match.row) && in->body_max > usual &&
           (in->length < 0 || in->length > usual);
}

/* Decides on the head alone whether the request is taken. 0 or an HTTP status. */
static int admit(struct ush_conn *c, struct ush__input *in)
{
    struct ush_http *h = c->http;
    int status = find_row(h);
    if (is_contradictory(c))
        status = 400;
    in->asks_first = false;
    in->length = h->head.is_chunked ? -1 : h->head.content_length > 0 ? h->head.content_length : 0;
    if (in->length != 0 && status == 0) {
        status = ush__body_check(h->match.row, &h->head);
        in->body_max = h->match.row->body_bytes;
        ush_chunks_init(&in->chunks);
        in->asks_first = is_asked_for(h, in);
    }
    if (status == 0 && needs_task(h->match.row) && h->handlers >= h->limits.handlers) {
        USH__COUNT(h, shed_total, 1);
        status = 503;
    }
    return status;
}

/* Answers instead of a handler. The body, if any, is not read, nor is anything behind a 400: who
 * sends an unreadable path may mean something else by the bytes behind it, too. */
static void answer_refused(struct ush_conn *c, struct ush__input *in, int status)
{
    if (in->length != 0 || status == 400)
        c->closing = c->linger = true;
    in->used = in->head_len;
    ush__exchange_inline(c, in, &c->http->match, ush__problem_of_status(status));
    ush__input_next(in);
}

static bool is_too_slow(const struct ush_http *h, const struct ush__input *in)
{
    int64_t free_ns = 5 * USH_SECOND, took_ns = ush_now_ns() - in->since_ns;
    return took_ns > free_ns &&
           in->body_len < (took_ns - free_ns) / USH_SECOND * (int64_t)h->limits.body_bytes_per_s;
}

/* ---- taking requests ------------------------------------------------------------------------ */

/* Parses the head at the front again, for a request whose body came later. */
static void parse_again(struct ush_http *h, struct ush__input *in)
{
    size_t scanned = 0;
    int n = ush_head_parse((ush_text){in->bytes + in->at, in->head_len}, &h->limits, &scanned,
                           &h->head);
    assert(n == (int)in->head_len);
    int status = find_row(h);
    assert(status == 0);
}

/* False when bytes are missing. A request that is refused but leaves the connection open is passed:
 * then head_len is 0 again. */
static bool take_head(struct ush_conn *c, struct ush__input *in)
{
    struct ush_http *h = c->http;
    int n = ush_head_parse((ush_text){in->bytes + in->at, in->len - in->at}, &h->limits,
                           &in->scanned, &h->head);
    if (n == 0)
        return false;
    in->scanned = 0;
    if (n < 0) {
        ush__conn_refuse(c, in, -n);
        return true;
    }
    in->head_len = (uint32_t)n;
    c->requests++;
    USH__COUNT(h, requests_total, 1);
    int status = admit(c, in);
    if (status != 0)
        answer_refused(c, in, status);
    return true;
}

/* The body behind it; false when bytes are missing. */
static bool take_body(struct ush_conn *c, struct ush__input *in)
{
    struct ush_http *h = c->http;
    if (in->length == 0) {
        in->used = in->head_len;
        return true;
    }
    int r = ush__body_take(in);
    if (r == 0 && in->since_ns != 0 && is_too_slow(h, in))
        r = -408;
    if (r < 0)
        ush__conn_refuse(c, in, -r);
    if (r != 0)
        return true;
    bool is_new = in->since_ns == 0;
    if (is_new)
        in->since_ns = ush_now_ns();
    if (is_new && h->head.expects_continue && h->head.minor > 0 &&
        in->len == in->at + in->head_len) {
        static const ush_text go_on = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
        memcpy(ush__output_room(c, go_on.len), go_on.at, go_on.len);
        ush__output_add(c, go_on.len);
    }
    return false;
}

/* Answers what can be answered here. RUN: a whole request for a task is at the front. */
static enum ush__step take(struct ush_conn *c, struct ush__input *in)
{
    struct ush_http *h = c->http;
    while (in->at < in->len && !c->closing && !c->box) {
        bool is_new = in->head_len == 0;
        in->is_fresh = false;
        if (is_new && !take_head(c, in))
            return USH__WAIT;
        if (c->closing || in->head_len == 0) /* refused */
            continue;
        if (in->asks_first)
            return USH__RUN;
        if (!is_new && in->since_ns == 0) /* it has asked; meanwhile others were parsed */
            parse_again(h, in);
        if (!take_body(c, in))
            return USH__WAIT;
        if (c->closing)
            continue;
        if (!is_new)
            parse_again(h, in);
        if (needs_task(h->match.row))
            return USH__RUN;
        ush__exchange_inline(c, in, &h->match, NULL);
        ush__input_next(in);
    }
    return USH__WAIT;
}

/* Bytes from the socket, behind what is held or into the scratch buffer. NULL when there are none;
 * then unread, closing or gone say why. */
static struct ush__input *receive(struct ush_conn *c)
{
    struct ush_http *h = c->http;
    struct ush__input *in = &h->scratch;
    if (c->in) {
        if (ush__input_make_room(c) < 0) {
            c->gone = true;
            return NULL;
        }
        in = c->in;
    } else {
        in->at = in->len = in->head_len = in->body_len = in->used = 0;
        in->scanned = 0;
        in->since_ns = 0;
    }
    size_t room = in->cap - in->len;
    ssize_t n = ush_recv_now(c->fd, in->bytes + in->len, room);
    if (n > 0) {
        c->unread = (size_t)n == room || c->hung_up;
        in->len += (uint32_t)n;
        return in;
    }
    c->unread = false;
    if (n == 0)
        c->closing = true;
    else if (n != -EAGAIN)
        c->gone = true;
    return NULL;
}

/* Nothing more can be done now: into the state that says what is awaited. */
static void settle(struct ush_conn *c)
{
    if (c->box)
        ush__conn_enter(c, USH__WRITING);
    else if (!c->in)
        ush__conn_enter(c, c->requests > 0 ? USH__IDLE : USH__HEAD);
    else
        ush__conn_enter(c, c->in->head_len > 0 ? USH__BODY : USH__HEAD);
}

enum ush__step ush__conn_pump(struct ush_conn *c)
{
    struct ush_http *h = c->http;
    for (int receives = 0;;) {
        struct ush__input *in = c->in;
        if (c->gone || c->closing || h->is_cut) {
            ush__conn_end(c);
            return USH__GONE;
        }
        if (c->box || ((!in || !in->is_fresh) && !c->unread)) {
            if (c->has_part && c->state == USH__HANDLER) {
                ush__output_flush(h);
                continue;
            }
            if (c->has_part)
                ush__http_soon(h);
            settle(c);
            return USH__WAIT;
        }
        if (!in || !in->is_fresh) {
            if (receives++ == RECEIVES) {
                ush__conn_give_way(c);
                return USH__WAIT;
            }
            in = receive(c);
            if (!in)
                continue;
        }
        if (take(c, in) == USH__RUN) {
            h->whole = in;
            return USH__RUN;
        }
        if (in->at == in->len && in == c->in)
            ush__input_free(c);
        else if (in->at < in->len && in != c->in && !c->closing)
            c->gone |= ush__input_hold(c, in, 0) < 0;
    }
}

void ush__conn_go_on(struct ush_conn *c)
{
    struct ush_http *h = c->http;
    const struct ush__parcel *p = ush__conn_pump(c) == USH__RUN ? ush__conn_parcel(c) : NULL;
    if (!p)
        return;
    if (c->has_part)
        ush__http_soon(h);
    ush__conn_enter(c, USH__HANDLER);
    const struct ush_spawn_options o = {
        .name = p->match.row->name, .site = "route", .copy_bytes = p->bytes};
    if (ush_spawn_with(ush_root_scope(), &o, ush__exchange_main, (void *)p) < 0) {
        USH__COUNT(h, shed_total, 1);
        ush__conn_refuse(c, c->in, 503);
        ush__conn_end(c);
        return;
    }
    USH__HOLD(h, handlers, 1);
}

/* ---- events and ends ------------------------------------------------------------------------ */

/* In LINGER, which begins anew when the connection has given way: so it may take twice as long. */
static void read_out(struct ush_conn *c)
{
    for (int i = 0; i < LINGER_RECEIVES; i++) {
        ssize_t n = ush_recv_now(c->fd, c->http->scratch_bytes, USH__SCRATCH_BYTES);
        if (n == -EAGAIN && ush_list_is_empty(&c->timeout.link))
            ush__conn_enter(c, USH__LINGER);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            ush__conn_free(c);
            return;
        }
    }
    if (ush_now_ns() - c->linger_ns < USH__LINGER_MS * (int64_t)USH_MS)
        ush__conn_give_way(c);
    else
        ush__conn_free(c);
}

/* The event of a connection; also called in the next turn for one that gave way. */
void ush__conn_ready(void *ctx, unsigned events)
{
    struct ush_conn *c = ctx;
    c->hung_up |= (events & USH_HANGUP) != 0;
    c->unread |= (events & (USH_READABLE | USH_HANGUP)) != 0;
    if (c->box && (events & (USH_WRITABLE | USH_HANGUP)))
        ush__output_writable(c);
    switch ((enum ush__conn_state)c->state) {
    case USH__HEAD:
    case USH__IDLE:
    case USH__BODY:
        if (c->unread || c->gone)
            ush__conn_go_on(c);
        return;
    case USH__HANDLER:
        if (c->hung_up || c->gone)
            ush__conn_left(c);
        return;
    case USH__WRITING:
        if (c->gone || !c->box)
            ush__conn_go_on(c);
        return;
    case USH__LINGER:
        read_out(c);
        return;
    }
}

/*
 * The client has ended its side. It may still read (shutdown(2) of one direction), but over TCP
 * that looks like leaving, and clients and proxies that wait for a reply keep their side open: so a
 * GET that waits is cancelled, as by nginx and by Go. Anything else runs to its end, and is
 * answered.
 */
void ush__conn_left(struct ush_conn *c)
{
    struct ush__exchange *x = c->x;
    if (!x)
        return;
    ush_event_set(&x->drained);
    if (x->scope && (x->rq.head->method == USH_GET || x->rq.head->method == USH_HEAD))
        ush_scope_cancel(x->scope, USH_CANCEL_CLIENT);
}

void ush__conn_refuse(struct ush_conn *c, const struct ush__input *in, int status)
{
    /* Whatever is wrong with it: the answer to a HEAD has no content (RFC 9110 §9.3.2). */
    bool is_head = in && in->len - in->at > 5 && memcmp(in->bytes + in->at, "HEAD ", 5) == 0;
    c->closing = c->linger = true;
    USH__COUNT(c->http, refused_total, 1);
    USH__COUNT(c->http, status_total[status / 100], 1);
    const struct ush_problem *p = ush__problem_of_status(status);
    char body[256];
    int n = snprintf(body, sizeof(body),
                     "{\"type\":\"" USH_PROBLEM_BASE "%s\",\"title\":\"%s\",\"status\":%d,"
                     "\"code\":\"%s\"}\n",
                     p->code, p->title, p->status, p->code);
    char head[256];
    int m = snprintf(head, sizeof(head),
                     "HTTP/1.1 %d %s\r\nContent-Type: application/problem+json\r\n%s"
                     "Content-Length: %d\r\nConnection: close\r\n%s\r\n",
                     p->status, ush__reason(p->status), ush__date(c->http), n,
                     p->status == 503 ? "Retry-After: 5\r\n" : "");
    size_t sent = (size_t)(is_head ? 0 : n);
    char *to = ush__output_room(c, (size_t)m + sent);
    memcpy(to, head, (size_t)m);
    memcpy(to + m, body, sent);
    ush__output_add(c, (size_t)m + sent);
}

void ush__conn_end(struct ush_conn *c)
{
    c->closing = true;
    if (c->has_part) {
        c->state = USH__LINGER; /* so that the flush leaves it to us */
        ush__output_flush(c->http);
    }
    if (c->http->is_cut && c->box) /* a slow reader is not waited for any more */
        c->gone = true;
    bool more = c->linger || c->unread || (c->in && c->in->at < c->in->len);
    ush__input_free(c);
    if (c->gone) {
        ush__conn_free(c);
    } else if (c->box) {
        c->linger = more;
        ush__conn_enter(c, USH__WRITING);
    } else if (more && !c->hung_up && ush_shutdown_write(c->fd) == 0) {
        c->linger_ns = ush_now_ns();
        ush__conn_enter(c, USH__LINGER);
        read_out(c);
    } else {
        ush__conn_free(c);
    }
}
