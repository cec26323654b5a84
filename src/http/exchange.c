/*
 * exchange.c - one request and its reply: the handler, its deadline, and what its result means.
 *
 * A request that may wait runs in a task; it comes there in a parcel (http.h).
 *
 *    begin --> admit --no--> its answer, or a problem
 *                 | yes
 *                 v
 *              decode --bad--> problem ----+
 *                 | good                   |
 *                 v                        v
 *              handler --result < 0--> problem --> reply --> bytes --> next request, or the end
 *                 |                        ^          ^
 *                 +-- 0, replied ---------------------+
 *                 +-- 0, nothing said: our fault, 500
 *
 * Invariants:
 *  1. The handler describes its reply, and bytes are made only after it has returned: a failure
 *     at its end still becomes an honest status. Streams are the exception.
 *  2. A handler runs in a scope with its route's deadline. When that has passed, it is -ETIMEDOUT
 *     that it returns, and 503 with Retry-After what the client gets.
 *  3. A stream that ends without ush_stream_end is cut off visibly: no last chunk, and a reset
 *     where the end of the connection would look like the end of the body (HTTP/1.0).
 *  4. On the loop's stack (USH_LOOP, assets, refusals) there is no scope and no waiting.
 */
#include <sys/socket.h>

#include "http/http.h"
#include "usher/sim.h"

/* ---- the beginning -------------------------------------------------------------------------- */

static void believe_proxy(struct ush__exchange *x, const struct ush_head *head)
{
    struct ush__origin origin;
    if (ush__origin_by(x->rq.conn, head, &origin) < 0)
        return;
    x->rq.is_https = origin.is_https;
    if (origin.client.at)
        x->rq.client = origin.client;
}

/* Where every byte of a struct is about to be written: spares the compiler's zeroing (-ftrivial-
 * auto-var-init) of 600 bytes per request. */
#define UNINITIALISED __attribute__((uninitialized))

static void begin(struct ush__exchange *x, struct ush_conn *c, const struct ush_head *head,
                  struct ush_arena *arena)
{
    struct ush_http *h = c->http;
    memset(x, 0, sizeof(*x));
    x->rq.head = head;
    x->rq.arena = arena;
    x->rq.app = h->o.app;
    x->rq.conn = c;
    x->is_head = head->method == USH_HEAD;
    x->keep_alive = head->keep_alive && !c->closing && !c->is_brief &&
                    c->requests < h->limits.requests_per_connection &&
                    ush_now_ns() - c->born_ns < h->limits.connection_age_ms * (int64_t)USH_MS;
    x->last_field = &x->fields;
    x->last_member = &x->members;
    x->rq.client = ush__client_format(c, x->client);
    if (c->is_trusted)
        believe_proxy(x, head);
    if (!h->o.is_minimal)
        ush__request_name(h, head, x->rq.id);
}

static void set_match(struct ush__exchange *x, const struct ush__match *m)
{
    x->row = m->row;
    x->rq.route = m->row->route;
    for (int i = 0; i < USH_PARAMS_MAX && m->row->params[i].at; i++)
        x->rq.params[i] = (ush_text){x->rq.path.at + m->params[i].at, m->params[i].len};
}

/* A parcel has arrived in the task's memory: what points into it moves along. */
static void unpack(struct ush__parcel *p)
{
    ptrdiff_t by = (char *)p - p->here;
    if ((const char *)p->head != p->here + offsetof(struct ush__parcel, room))
        return;
    p->head = (struct ush_head *)p->room;
    ush__head_move((struct ush_head *)p->room, p->head, p->here, p->bytes, by);
    p->body.at += by;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Makes sure that a body whose end is the end of the connection is not taken for whole. */
static void abort_connection(struct ush_conn *c)
{
    const struct linger none = {.l_onoff = 1};
    if (!ush_is_sim())
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
    c->gone = true;
}

static void finish_stream(struct ush__exchange *x)
{
    struct ush_conn *c = x->rq.conn;
    if (!x->keep_alive || x->reply == USH__STREAMING)
        c->closing = true;
    if (x->reply == USH__STREAMING && !x->is_chunked && !x->is_head)
        abort_connection(c);
}

/* Turns the handler's result into bytes, or into the end of the connection. */
static void finish(struct ush__exchange *x, int result)
{
    struct ush_conn *c = x->rq.conn;
    if (x->reply >= USH__STREAMING) {
        finish_stream(x);
    } else if (result == -ECANCELED && (c->hung_up || c->gone)) {
        c->closing = true; /* nobody is there to be told */
    } else {
        if (result >= 0 && x->reply == USH__NO_REPLY)
            ush_error("http.silent", "%s returned without a reply", x->row->name);
        if (result < 0 || x->reply == USH__NO_REPLY) {
            if (result != USH_EPROBLEM || !x->problem)
                x->problem = ush__problem_of(result);
            if (x->problem == &ush_problem_internal && result < 0)
                ush_error("http.failed", "%s: %s [%s]", x->row->name, ush_error_text(result),
                          x->rq.id);
            ush__problem_reply(x);
        }
        ush__reply_write(x);
        if (!x->keep_alive)
            c->closing = true;
    }
    if (x->text.at)
        ush_buf_fini(&x->text);
}

/* ---- in a task ------------------------------------------------------------------------------ */

static int call_in_thread(void *arg)
{
    struct ush__exchange *x = arg;
    return x->rq.route->handler(&x->rq);
}

/* The gate before the body is looked at: 0, 1 when it has answered, or a negative code. */
static int admit(struct ush__exchange *x)
{
    int (*gate)(struct ush_request *) = x->rq.conn->http->o.admit;
    return gate ? gate(&x->rq) : 0;
}

static int call_handler(struct ush__exchange *x)
{
    int r = admit(x);
    if (r == 0)
        r = ush__body_decode(x);
    if (r != 0)
        return r;
    if (x->rq.route->runs_on == USH_THREAD)
        r = ush_offload(ush_blocking_pool(), call_in_thread, x);
    else
        r = x->rq.route->handler(&x->rq);
    return r;
}

/* A large body has been asked for. Welcome: the connection goes on to receive it. Refused: it is
 * answered and closed, because the body is on its way. */
static void answer_asking(struct ush__exchange *x, int result)
{
    struct ush_conn *c = x->rq.conn;
    c->in->asks_first = false;
    if (result == 0) {
        c->in->is_fresh = true;
        return;
    }
    x->keep_alive = false;
    c->linger = true;
    finish(x, result);
    c->in->used = c->in->head_len;
    ush__input_next(c->in);
}

/* A large body in the memory of its request: decoded, cleaned, cut into rows, shown again. */
enum { LARGE_BODY_COPIES = 12 };

static void serve_one(struct ush__parcel *p, struct ush_arena *arena)
{
    struct ush_conn *c = p->conn;
    struct ush__exchange x UNINITIALISED;
    struct ush_scope scope UNINITIALISED;
    const struct ush__row *row = p->match.row;
    const struct ush_scope_options o = {
        .name = row->name,
        .deadline_ns = ush_now_ns() + row->deadline_ms * (int64_t)USH_MS,
    };
    const bool asks = !p->body.at;
    const size_t cap_bytes = arena->cap_bytes;
    unpack(p);
    if (p->body.len > c->http->limits.body_bytes) /* only the gate lets that much come here */
        arena->cap_bytes += LARGE_BODY_COPIES * p->body.len;
    begin(&x, c, p->head, arena);
    ush__path_of(p->head, arena, &x.rq.path);
    x.rq.body = p->body;
    set_match(&x, &p->match);
    ush_event_init(&x.drained, "a slow client");
    ush_scope_open(&scope, &o);
    x.scope = &scope;
    c->x = &x;
    if (c->http->is_cut)
        ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    int result = asks ? admit(&x) : call_handler(&x);
    x.scope = NULL;
    int cut = ush_cancelled();
    ush_scope_close(&scope);
    /* Whatever the handler made of it: a deadline that has passed is the reason. */
    if (result < 0 && cut == -ETIMEDOUT)
        result = -ETIMEDOUT;
    if (asks)
        answer_asking(&x, result);
    else
        finish(&x, result);
    c->x = NULL;
    if (c->in && !asks)
        ush__input_next(c->in);
    arena->cap_bytes = cap_bytes;
}

int ush__exchange_main(void *arg)
{
    struct ush__parcel *first = arg, *p = first;
    const size_t held = first->bytes;
    struct ush_conn *c = p->conn;
    struct ush_http *h = c->http;
    struct ush_arena *arena = ush_task_arena();
    const struct ush_arena_mark mark = ush_arena_mark(arena);
    for (;;) {
        serve_one(p, arena);
        ush_arena_rewind(arena, mark);
        USH__HOLD(h, handlers, -1);
        const struct ush__parcel *next = ush__conn_pump(c) == USH__RUN ? ush__conn_parcel(c) : NULL;
        if (!next)
            break;
        /* The request behind it, with the same stack. It may wait long, so what has been answered
         * does not wait for it. */
        USH__HOLD(h, handlers, 1);
        ush__http_soon(h);
        struct ush__parcel *room =
            next->bytes <= held ? first : ush_arena_alloc(arena, next->bytes);
        if (!room) {
            ush__conn_refuse(c, c->in, 503);
            ush__conn_end(c);
            USH__HOLD(h, handlers, -1);
            break;
        }
        p = memcpy(room, next, next->bytes);
        (void)ush_spend(1);
    }
    ush__http_left(h);
    return 0;
}

/* ---- on the loop's stack -------------------------------------------------------------------- */

/* 405 says what would be allowed, and so does OPTIONS. */
static int name_allowed(struct ush__exchange *x, uint32_t allowed)
{
    char text[64];
    ush__allow_format(allowed, text);
    ush_reply_header(&x->rq, "Allow", ush_arena_copy(x->rq.arena, ush_text_of(text)));
    if (x->rq.head->method != USH_OPTIONS)
        return USH_EPROBLEM;
    return ush_reply(&x->rq, 204, NULL, USH_NONE);
}

void ush__exchange_inline(struct ush_conn *c, struct ush__input *in, const struct ush__match *match,
                          const struct ush_problem *problem)
{
    struct ush_http *h = c->http;
    struct ush__exchange x UNINITIALISED;
    begin(&x, c, &h->head, &h->arena);
    x.rq.path = h->path;
    x.rq.body = (ush_text){in->bytes + in->at + in->head_len, in->body_len};
    int result = USH_EPROBLEM;
    if (problem) {
        x.problem = problem;
        if (problem->status == 405)
            result = name_allowed(&x, match->allowed);
    } else {
        set_match(&x, match);
        if (x.rq.route->asset)
            result = ush_reply_asset(&x.rq, x.rq.route->asset);
        else if ((result = admit(&x)) == 0 && (result = ush__body_decode(&x)) == 0)
            result = x.rq.route->handler(&x.rq);
    }
    finish(&x, result);
}
