/*
 * server.c - a server in one worker: starting, taking connections, time-outs, draining.
 *
 * Connections come from slabs and go back to a free list, so taking one costs a pop and an insert.
 * Each hangs in a bucket of its address; walking the bucket counts how many that address has, and
 * walking all buckets finds every connection when the server drains. Addresses of IPv6 count by
 * /64, since that is what one subscriber gets.
 *
 * A time-out is a place in a list of its kind, oldest first, with one alarm per list: starting and
 * stopping one is a few stores (task.h). What each means:
 *
 *     head    the whole head in head_ms        408 if it had begun, else closed in silence
 *     idle    the next request in idle_ms      closed in silence
 *     body    a piece every body_gap_ms        408; a trickle is caught in conn.c
 *     write   progress every write_gap_ms      closed
 *     linger  USH__LINGER_MS                   closed
 *
 *   ush_http_start --> serving --ush_http_drain--> draining --all gone, or cancelled--> freed
 */
#include <stdlib.h>

#include "http/http.h"

enum {
    SLAB_CONNS = 64,
    HOLD_MS = 2,    /* a worker with more than its share leaves connections to others for so long */
    CUT_MS = 5000,  /* for handlers to end once they are cancelled */
    LAST_MS = 1000, /* for a request that is on its way to a connection that lies idle */
};

struct ush__slab {
    struct ush__slab *next;
    struct ush_conn conns[SLAB_CONNS];
};

/* ---- connections ---------------------------------------------------------------------------- */

static struct ush_conn *conn_new(struct ush_http *h)
{
    if (!h->free_conns) {
        struct ush__slab *slab = calloc(1, sizeof(*slab));
        if (!slab)
            return NULL;
        slab->next = h->slabs;
        h->slabs = slab;
        for (int i = SLAB_CONNS - 1; i >= 0; i--) {
            slab->conns[i].next_free = h->free_conns;
            h->free_conns = &slab->conns[i];
        }
    }
    struct ush_conn *c = h->free_conns;
    h->free_conns = c->next_free;
    *c = (struct ush_conn){.http = h, .fd = -1, .state = USH__HEAD};
    ush_list_init(&c->timeout.link);
    ush_list_init(&c->in_bucket);
    return c;
}

void ush__conn_free(struct ush_conn *c)
{
    struct ush_http *h = c->http;
    if (c->has_part)
        ush__output_forget(c);
    ush__output_drop(c);
    ush__input_free(c);
    ush_timeout_stop(&c->timeout);
    ush_list_del(&c->in_bucket);
    ush_close(c->fd);
    c->next_free = h->free_conns;
    h->free_conns = c;
    USH__HOLD(h, connections, -1);
    if (h->is_full && !h->is_draining && h->connections < h->limits.connections * 15ull / 16) {
        h->is_full = false;
        for (size_t i = 0; i < h->o.listener_count; i++)
            ush_acceptor_resume(&h->acceptors[i]);
    }
    ush__http_left(h);
}

/* How many bytes of an address make a subscriber: all of IPv4's, the /64 of IPv6. */
static size_t subscriber_bytes(const struct ush_conn *c)
{
    return c->ip.bytes[0] == 0 ? 16 : 8;
}

/* This machine itself: a proxy or the operator, not a stranger. IPv4 is kept as ::ffff:a.b.c.d. */
static bool is_loopback(const struct ush_conn *c)
{
    static const uint8_t v4[13] = {[10] = 0xff, [11] = 0xff, [12] = 127}, v6[16] = {[15] = 1};
    return memcmp(c->ip.bytes, v4, sizeof v4) == 0 || memcmp(c->ip.bytes, v6, sizeof v6) == 0;
}

/* Hangs the connection in its bucket. How many shares its address has besides it, 0 for the first
 * connections_per_address connections. */
static uint32_t join_bucket(struct ush_conn *c)
{
    struct ush_http *h = c->http;
    size_t n = subscriber_bytes(c);
    bool is_free = c->is_unix || c->is_trusted || is_loopback(c);
    uint32_t max = is_free ? 0 : h->limits.connections_per_address, others = 0;
    struct ush_link *bucket =
        &h->buckets[ush_hash(c->ip.bytes, n, h->bucket_seed) % USH__ADDRESS_BUCKETS];
    for (struct ush_link *l = bucket->next; max > 0 && l != bucket; l = l->next)
        if (memcmp(USH_CONTAINER(l, struct ush_conn, in_bucket)->ip.bytes, c->ip.bytes, n) == 0)
            others++;
    ush_list_push(bucket, &c->in_bucket);
    return max > 0 ? others / max : 0;
}

int ush_http_serve(struct ush_http *h, int fd, const struct ush_address *peer)
{
    struct ush_conn *c = conn_new(h);
    if (!c) {
        ush_close(fd);
        return -ENOMEM;
    }
    c->fd = fd;
    c->born_ns = ush_now_ns();
    c->is_unix = !peer || !ush__ip_of(peer, &c->ip);
    c->is_trusted = c->is_unix ? h->trusted.has_unix
                               : h->trusted.count && ush__networks_have(&h->trusted, &c->ip);
    USH__HOLD(h, connections, 1);
    USH__COUNT(h, connections_total, 1);
    uint32_t shares = join_bucket(c);
    c->is_brief = shares > 0;
    ush__conn_enter(c, USH__HEAD);
    int r = ush_fd_watch(fd, ush__conn_ready, c);
    if (r < 0) {
        ush__conn_free(c);
    } else if (shares >= USH_ADDRESS_SHARES) {
        ush__conn_refuse(c, NULL, 429);
        ush__conn_end(c);
        r = USH_ELIMIT;
    }
    return r;
}

static void on_accepted(void *ctx, int fd, const struct ush_address *peer)
{
    struct ush_http *h = ctx;
    ush_http_serve(h, fd, peer);
    if (h->connections < h->limits.connections || h->is_full)
        return;
    h->is_full = true;
    for (size_t i = 0; i < h->o.listener_count; i++)
        ush_acceptor_pause(&h->acceptors[i]);
}

/* A worker that holds clearly more than the mean of all leaves the next ones to the others. */
static int64_t hold_ns(void *ctx)
{
    struct ush_http *h = ctx;
    uint64_t sum = 0, n = 0;
    for (size_t i = 0; i < h->o.sibling_count; i++) {
        const struct ush_http_stats *s = &h->o.siblings[i];
        if (!atomic_load_explicit(&s->serving, memory_order_relaxed))
            continue;
        sum += atomic_load_explicit(&s->connections, memory_order_relaxed);
        n++;
    }
    bool has_much = n > 1 && h->connections * n > sum + sum / 8 + 8 * n;
    return has_much ? HOLD_MS * (int64_t)USH_MS : 0;
}

/* ---- time-outs ------------------------------------------------------------------------------ */

void ush__conn_enter(struct ush_conn *c, enum ush__conn_state state)
{
    struct ush_http *h = c->http;
    struct ush_timeouts *const lists[] = {
        [USH__HEAD] = &h->head_time,     [USH__IDLE] = &h->idle_time,
        [USH__BODY] = &h->body_time,     [USH__HANDLER] = NULL,
        [USH__WRITING] = &h->write_time, [USH__LINGER] = &h->linger_time,
    };
    /* The time for a head is that for all of it, however many pieces it comes in. */
    if (state == USH__HEAD && c->state == USH__HEAD && !ush_list_is_empty(&c->timeout.link))
        return;
    c->state = (uint8_t)state;
    if (state == USH__HANDLER && c->box)
        return;
    ush_timeout_stop(&c->timeout);
    if (lists[state])
        ush_timeout_start(lists[state], &c->timeout);
}

static struct ush_conn *conn_of(struct ush_link *expired)
{
    return USH_CONTAINER(USH_CONTAINER(expired, struct ush_timeout, link), struct ush_conn,
                         timeout);
}

static void on_silent(struct ush_link *expired)
{
    ush__conn_free(conn_of(expired));
}

static void on_unfinished(struct ush_link *expired)
{
    struct ush_conn *c = conn_of(expired);
    if (c->in)
        ush__conn_refuse(c, c->in, 408);
    ush__conn_end(c);
}

static void on_write_gap(struct ush_link *expired)
{
    struct ush_conn *c = conn_of(expired);
    c->gone = true;
    ush__output_drop(c);
    if (c->state == USH__HANDLER)
        ush__conn_left(c);
    else
        ush__conn_free(c);
}

/* ---- the next turn -------------------------------------------------------------------------- */

static void on_soon(struct ush_alarm *a)
{
    struct ush_http *h = USH_CONTAINER(a, struct ush_http, soon);
    ush__output_flush(h);
    struct ush_link now;
    ush_list_init(&now);
    ush_list_move_all(&now, &h->again);
    for (struct ush_link *l; (l = ush_list_pop(&now));)
        ush__conn_ready(conn_of(l), 0);
}

void ush__http_soon(struct ush_http *h)
{
    if (h->soon.id == 0)
        ush_alarm_set(&h->soon, ush_now_ns(), on_soon);
}

void ush__conn_give_way(struct ush_conn *c)
{
    if (c->state == USH__HANDLER)
        c->state = USH__IDLE;
    ush_timeout_stop(&c->timeout);
    ush_list_push(&c->http->again, &c->timeout.link);
    ush__http_soon(c->http);
}

uint32_t ush__spread(struct ush_http *h, uint32_t n)
{
    return (uint32_t)(ush_hash(&h->id_count, sizeof(h->id_count), ++h->id_seed) % n);
}

/* ---- start ---------------------------------------------------------------------------------- */

static void init_lists(struct ush_http *h)
{
    const struct ush_http_limits *l = &h->limits;
    ush_timeouts_init(&h->head_time, l->head_ms * (int64_t)USH_MS, on_unfinished);
    ush_timeouts_init(&h->idle_time, l->idle_ms * (int64_t)USH_MS, on_silent);
    ush_timeouts_init(&h->body_time, l->body_gap_ms * (int64_t)USH_MS, on_unfinished);
    ush_timeouts_init(&h->write_time, l->write_gap_ms * (int64_t)USH_MS, on_write_gap);
    ush_timeouts_init(&h->linger_time, USH__LINGER_MS * (int64_t)USH_MS, on_silent);
    ush_list_init(&h->again);
    for (size_t i = 0; i < USH__ADDRESS_BUCKETS; i++)
        ush_list_init(&h->buckets[i]);
    ush_event_init(&h->ended, "the last connection");
}

static void http_free(struct ush_http *h)
{
    for (struct ush__slab *s = h->slabs, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    for (void *p = h->free_inputs, *next; p; p = next) {
        next = *(void **)p;
        free(p);
    }
    ush_alarm_clear(&h->soon);
    ush_timeouts_fini(&h->head_time);
    ush_timeouts_fini(&h->idle_time);
    ush_timeouts_fini(&h->body_time);
    ush_timeouts_fini(&h->write_time);
    ush_timeouts_fini(&h->linger_time);
    for (size_t i = 0; h->acceptors && i < h->o.listener_count; i++)
        ush_acceptor_pause(&h->acceptors[i]);
    free(h->acceptors);
    ush_buf_fini(&h->openapi);
    ush_buf_fini(&h->docs);
    ush__routes_fini(&h->routes);
    ush_arena_fini(&h->arena);
    free(h);
}

static int start(struct ush_http *h)
{
    ush_text wrong;
    if (h->o.trusted_proxies &&
        ush__networks_parse(ush_text_of(h->o.trusted_proxies), &h->trusted, &wrong) < 0) {
        ush_error("http.proxies", "\"%.*s\" in the list of trusted proxies is no network",
                  USH_PR(wrong));
        return -EINVAL;
    }
    USH_TRY(ush__routes_init(&h->routes, h->o.routes, h->o.route_count, &h->limits));
    h->acceptors = calloc(h->o.listener_count + 1, sizeof(*h->acceptors));
    if (!h->acceptors)
        return -ENOMEM;
    for (size_t i = 0; i < h->o.listener_count; i++)
        USH_TRY(ush_acceptor_start(
            &h->acceptors[i],
            &(struct ush_acceptor_options){.listener = h->o.listeners[i],
                                           .accepted = on_accepted,
                                           .hold_ns = h->o.sibling_count > 1 ? hold_ns : NULL,
                                           .ctx = h}));
    return 0;
}

struct ush_http *ush_http_start(const struct ush_http_options *o, int *ret_error)
{
    struct ush_http *h = aligned_alloc(_Alignof(struct ush_http), sizeof(*h));
    if (!h) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    memset(h, 0, sizeof(*h));
    h->o = *o;
    h->limits = o->limits ? *o->limits : ush_http_limits_direct;
    h->stats = o->stats ? o->stats : &h->own_stats;
    atomic_store(&h->stats->connections, 0); /* a worker that died here may have left some */
    atomic_store(&h->stats->handlers, 0);
    h->scratch = (struct ush__input){.bytes = h->scratch_bytes, .cap = USH__SCRATCH_BYTES};
    ush_arena_init(&h->arena, h->arena_first, sizeof(h->arena_first), 1 << 20);
    h->arena_start = h->arena.at;
    ush_random(&h->id_seed, sizeof(h->id_seed));
    ush_random(&h->bucket_seed, sizeof(h->bucket_seed));
    init_lists(h);
    int r = start(h);
    if (r >= 0) {
        atomic_store(&h->stats->serving, 1);
        return h;
    }
    http_free(h);
    *ret_error = r;
    return NULL;
}

/* ---- drain ---------------------------------------------------------------------------------- */

static bool is_empty(const struct ush_http *h)
{
    return h->connections == 0 && h->handlers == 0;
}

void ush__http_left(struct ush_http *h)
{
    if (h->is_draining && is_empty(h))
        ush_event_set(&h->ended);
}

enum ending { STREAMS, QUIET, ALL };

/* Ends event streams, which have no end of their own; then what waits for nothing; then the rest,
 * whose handlers are cancelled. One that has not begun yet sees is_cut. */
static void end_connections(struct ush_http *h, enum ending what)
{
    ush__output_flush(h);
    h->is_cut = what == ALL;
    for (size_t i = 0; i < USH__ADDRESS_BUCKETS; i++)
        USH_EACH_SAFE (&h->buckets[i], l) {
            struct ush_conn *c = USH_CONTAINER(l, struct ush_conn, in_bucket);
            bool is_quiet = c->state == USH__IDLE || (c->state == USH__HEAD && !c->in);
            if (c->state != USH__HANDLER) {
                if (what == ALL || (what == QUIET && is_quiet))
                    ush__conn_free(c);
            } else if (c->x && c->x->scope && (what == ALL || c->x->is_event_stream)) {
                ush_scope_cancel(c->x->scope, USH_CANCEL_SHUTDOWN);
            }
        }
}

static int wait_until(struct ush_http *h, int64_t deadline_ns)
{
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){
                           .name = "drain", .deadline_ns = deadline_ns, .shield = true});
    int r = is_empty(h) ? 0 : ush_event_wait(&h->ended);
    ush_scope_close(&s);
    return r;
}

void ush_http_accept_waiting(struct ush_http *h)
{
    for (size_t i = 0; i < h->o.listener_count; i++)
        ush_acceptor_take_waiting(&h->acceptors[i]);
}

int ush_http_drain(struct ush_http *h, int64_t deadline_ns)
{
    h->is_draining = true;
    atomic_store(&h->stats->serving, 0);
    for (size_t i = 0; i < h->o.listener_count; i++)
        ush_acceptor_pause(&h->acceptors[i]);
    end_connections(h, STREAMS);
    /* Closing an idle connection now would break a request that its client has just sent: it is
     * answered, and told to be the last. */
    int64_t last_ns = ush_now_ns() + LAST_MS * (int64_t)USH_MS;
    wait_until(h, last_ns < deadline_ns ? last_ns : deadline_ns);
    end_connections(h, QUIET);
    int r = wait_until(h, deadline_ns);
    if (r < 0) {
        end_connections(h, ALL);
        if (wait_until(h, ush_now_ns() + CUT_MS * (int64_t)USH_MS) < 0)
            return -ETIMEDOUT; /* a handler does not end: its memory must stay */
    }
    http_free(h);
    return r;
}
