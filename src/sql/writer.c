/*
 * writer.c - the writer process: the one place of the server where SQLite commits.
 *
 *     worker ──┐ requests                                     ┌── answers ──> worker
 *     worker ──┼──> reader tasks ──> commit.c (batches) ──────┼── sender tasks ──> worker
 *     tool   ──┘                                              └──> tool
 *
 * Each connection has a task that reads and one that sends. While a batch is being made durable in
 * the committer's thread, readers take in the next requests; when it is, the answers are put into
 * the buffers of their connections, and each connection is sent one piece.
 *
 *  1. A request is answered once, after its commit, or never: then its worker sends it again.
 *  2. A request lives in an object of its own, from a free list, until its batch is over; so a
 *     connection may end at any time before that.
 *  3. A connection record lives until its reader has ended and nothing of it is in a batch; its
 *     sender frees it.
 *  4. A peer that breaks the protocol, does not take its answers for SEND_WAIT, or belongs to
 *     another user is cut off. That harms only itself.
 *  5. Cancelling the scope of ush_writer_run ends accepting and reading. What has been taken in is
 *     committed and answered; what lies unread in a socket is sent again to the next writer. From
 *     then on a peer has LAST_SEND for a piece and no longer SEND_WAIT: the lock is given back only
 *     after the last answer, and the next writer waits for it with the changes of all workers.
 *
 * The lock is waited for, not fought for: during an upgrade the old writer finishes first, and a
 * command line that migrates holds up the server's writes for that moment.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "sql/frame.h"
#include "sql/sql.h"
#include "usher/sim.h"

enum {
    CONNECTIONS_MAX = 256,
    ANSWERS_MAX = 64 << 20, /* bytes that wait for one connection */
    REQUEST_FIRST = 1536,   /* bytes of a request's arena that are part of the object */
    REQUEST_MAX = 4 * USH__FRAME_MAX,
    WRITER_QUEUE_MAX = 16384, /* requests of all connections */
    SPARES_MAX = 1024,        /* requests kept for use again */
};
#define SEND_WAIT_NS (5 * USH_SECOND)
#define LAST_SEND_NS (500 * (int64_t)USH_MS)
#define LOCK_WAIT_NS (20 * (int64_t)USH_MS)
#define LOCK_SAY_NS (10 * USH_SECOND)
#define ACCEPT_PAUSE_NS (100 * (int64_t)USH_MS)

struct writer {
    const struct ush_writer_options *o;
    struct ush__committer committer;
    struct ush_scope *scope; /* of all connections */
    struct ush_link all;     /* struct connection */
    struct ush_alarm last;   /* while it ends: looks for peers that take nothing */
    struct ush_link spares;  /* struct request, through its batch item */
    uint32_t spare_count, connections;
    struct ush_db_stats own_stats;
};

struct connection {
    struct writer *writer;
    struct ush_link link; /* in writer->all */
    int64_t sending_ns;   /* when the send in progress began; 0 = none */
    int fd;               /* -1 once it is closed */
    bool is_over;         /* nothing more is read */
    uint32_t outstanding; /* requests in a batch or waiting for one */
    struct ush_buf in, out, sending;
    struct ush_event work; /* for the sender */
    size_t known_count;
    bool said_hello;
    const struct ush_operation *known[USH__OPERATIONS_MAX];
};

struct request {
    struct ush__change change;
    struct connection *connection;
    uint64_t id;
    struct ush_arena arena;
    char first[REQUEST_FIRST] __attribute__((aligned(16)));
};

/* ---- requests ------------------------------------------------------------------------------- */

static struct request *request_take(struct writer *w)
{
    struct ush_link *l = ush_list_pop(&w->spares);
    if (l) {
        w->spare_count--;
        return USH_CONTAINER(l, struct request, change.item.link);
    }
    struct request *r = malloc(sizeof *r);
    if (r)
        ush_arena_init(&r->arena, r->first, sizeof r->first, REQUEST_MAX);
    return r;
}

static void request_give(struct writer *w, struct request *r)
{
    if (w->spare_count == SPARES_MAX) {
        ush_arena_fini(&r->arena);
        free(r);
        return;
    }
    ush_arena_reset(&r->arena);
    ush_list_push_front(&w->spares, &r->change.item.link); /* the warmest first */
    w->spare_count++;
}

static void spares_free(struct writer *w)
{
    w->spare_count = SPARES_MAX;
    for (struct ush_link *l; (l = ush_list_pop(&w->spares));)
        request_give(w, USH_CONTAINER(l, struct request, change.item.link));
}

static void answer(struct connection *c, uint64_t id, int result, ush_text body)
{
    if (c->fd < 0)
        return;
    size_t place = ush__frame_begin(&c->out, result, id);
    ush_buf_add(&c->out, body);
    if (ush__frame_end(&c->out, place) < 0) { /* the peer does not read: SEND_WAIT cuts it off */
        place = ush__frame_begin(&c->out, USH_EUNKNOWN, id);
        ush__frame_end(&c->out, place);
    }
    ush_event_set(&c->work);
}

static void answer_change(struct ush_batch_item *item, int result)
{
    struct ush__change *change = ush__change_of(item);
    struct request *r = USH_CONTAINER(change, struct request, change);
    struct connection *c = r->connection;
    if (result == -ECANCELED || result == -ETIMEDOUT)
        result = USH_EUNAVAILABLE; /* for the worker these two mean its own scope */
    answer(c, r->id, result, result < 0 ? USH_NONE : change->answer);
    c->outstanding--;
    ush_event_set(&c->work);
    request_give(c->writer, r);
}

static int take_request(struct connection *c, const struct ush__frame *f, ush_text body)
{
    struct writer *w = c->writer;
    struct request *r = request_take(w);
    if (!r) {
        answer(c, f->id, -ENOMEM, USH_NONE);
        return 0;
    }
    r->connection = c;
    r->id = f->id;
    r->change = (struct ush__change){0};
    int error = ush__request_read(f, body, c->known, c->known_count, &r->arena, &r->change.op,
                                  &r->change.in);
    if (error == 0) {
        error = ush_batch_put(&w->committer.batch, &r->change.item, answer_change);
        if (error == 0) {
            c->outstanding++;
            return 0;
        }
    }
    request_give(w, r);
    if (error == USH_EPROTO)
        return error;
    bool is_told = error == USH_EFULL || error == USH_ELIMIT || error == USH_EINVAL;
    answer(c, f->id, is_told ? error : USH_EUNAVAILABLE, USH_NONE);
    return 0;
}

static int take_hello(struct connection *c, const struct ush__frame *f, ush_text body)
{
    if (f->code != USH__HELLO || f->id != 0)
        return USH_EPROTO;
    int n = ush__hello_match(body, c->writer->o->operations, c->known);
    USH_TRY(n);
    c->known_count = (size_t)n;
    c->said_hello = true;
    char known[USH__OPERATIONS_MAX];
    for (int i = 0; i < n; i++)
        known[i] = c->known[i] != NULL;
    answer(c, 0, USH__HELLO, (ush_text){known, (size_t)n});
    return 0;
}

/* ---- connections ---------------------------------------------------------------------------- */

static int take_frames(struct connection *c)
{
    ush_text rest = ush_buf_text(&c->in), body;
    struct ush__frame f;
    int r;
    while ((r = ush__frame_take(&rest, &f, &body)) > 0)
        USH_TRY(c->said_hello ? take_request(c, &f, body) : take_hello(c, &f, body));
    ush_buf_drop(&c->in, c->in.len - rest.len);
    return r;
}

static int read_requests(void *arg)
{
    struct connection *c = arg;
    ssize_t n;
    while (c->fd >= 0 && (n = ush__frames_receive(c->fd, &c->in)) > 0) {
        if (take_frames(c) < 0) {
            ush_warn("writer.garbage", "a peer broke the protocol and is cut off");
            break;
        }
    }
    c->is_over = true;
    ush_event_set(&c->work);
    return 0;
}

static void connection_close(struct connection *c)
{
    if (c->fd >= 0)
        ush_close(c->fd);
    c->fd = -1;
}

static void connection_free(struct connection *c)
{
    connection_close(c);
    ush_buf_fini(&c->in);
    ush_buf_fini(&c->out);
    ush_buf_fini(&c->sending);
    ush_list_del(&c->link);
    c->writer->connections--;
    free(c);
}

/* Sends what has gathered, in one piece. */
static int send_gathered(struct connection *c)
{
    struct ush_buf full = c->out;
    c->out = c->sending;
    c->sending = full;
    struct ush_scope limit;
    ush_scope_open(&limit, &(struct ush_scope_options){.name = "answers",
                                                       .shield = true,
                                                       .deadline_ns = ush_now_ns() + SEND_WAIT_NS});
    c->sending_ns = ush_now_ns();
    ssize_t n = ush_send(c->fd, c->sending.at, c->sending.len);
    c->sending_ns = 0;
    ush_scope_close(&limit);
    ush_buf_reset(&c->sending);
    return n < 0 ? (int)n : 0;
}

static int send_answers(void *arg)
{
    struct connection *c = arg;
    while (!c->is_over || c->outstanding > 0 || (c->out.len > 0 && c->fd >= 0)) {
        if (c->out.len == 0 || c->fd < 0) {
            ush_event_reset(&c->work);
            ush__wait_shielded(&c->work); /* invariant 5 */
        } else if (send_gathered(c) < 0) {
            connection_close(c); /* ends its reader too */
        }
    }
    connection_free(c);
    return 0;
}

static void connection_open(struct writer *w, int fd)
{
    struct connection *c = calloc(1, sizeof *c);
    if (!c) {
        ush_close(fd);
        return;
    }
    c->writer = w;
    c->fd = fd;
    ush_buf_init(&c->in, 2 * (sizeof(struct ush__frame) + USH__FRAME_MAX));
    ush_buf_init(&c->out, ANSWERS_MAX);
    ush_buf_init(&c->sending, ANSWERS_MAX);
    ush_event_init(&c->work, "answers");
    ush_list_push(&w->all, &c->link);
    w->connections++;
    if (ush_spawn(w->scope, send_answers, c) < 0)
        connection_free(c);
    else if (ush_spawn(w->scope, read_requests, c) < 0)
        c->is_over = true; /* the sender, which has not begun yet, frees it */
}

/* Who may connect may change everything: the same user, or root. */
static bool is_welcome(int fd)
{
    if (ush_is_sim())
        return true;
    struct ucred peer;
    socklen_t n = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
           (peer.uid == 0 || peer.uid == geteuid());
}

static int accept_all(struct writer *w, int listener)
{
    for (;;) {
        int fd = ush_accept(listener, NULL);
        if (fd == -ECANCELED || fd == -ETIMEDOUT || fd == -EBADF)
            return fd;
        if (fd < 0) {
            ush_warn("writer.accept", "cannot accept: %s", ush_error_text(fd));
            USH_TRY(ush_sleep(ACCEPT_PAUSE_NS));
        } else if (w->connections == CONNECTIONS_MAX || !is_welcome(fd)) {
            ush_warn("writer.refused", "a peer is refused: %s",
                     w->connections == CONNECTIONS_MAX ? "too many connections"
                                                       : "it belongs to another user");
            ush_close(fd);
        } else {
            connection_open(w, fd);
        }
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static int open_committer(struct writer *w)
{
    const struct ush_writer_options *o = w->o;
    struct ush__committer_options options = {
        .url = o->url,
        .driver = ush__driver_of(o->url),
        .batch_max = o->batch_max ? o->batch_max : USH__BATCH_MAX,
        .queue_max = WRITER_QUEUE_MAX,
        .sync_normal = o->sync_normal,
        .exits_if_broken = true,
        .stats = o->stats ? o->stats : &w->own_stats,
    };
    if (options.driver != &ush__sqlite || !ush__sqlite_path(o->url))
        return USH_EINVAL;
    for (int64_t say_ns = 0;;) {
        int holder = 0;
        int r = ush__committer_open(&w->committer, &options, &holder);
        if (r != -EWOULDBLOCK)
            return r;
        if (ush_now_ns() >= say_ns) {
            ush_info("writer.waits", "process %d holds the lock of %s", holder, o->url);
            say_ns = ush_now_ns() + LOCK_SAY_NS;
        }
        USH_TRY(ush_sleep(LOCK_WAIT_NS));
    }
}

/* Cuts off who holds up the end. Its sender then ends by itself. */
static void cut_slow_peers(struct ush_alarm *alarm)
{
    struct writer *w = USH_CONTAINER(alarm, struct writer, last);
    int64_t now_ns = ush_now_ns();
    USH_EACH (&w->all, l) {
        struct connection *c = USH_CONTAINER(l, struct connection, link);
        if (c->sending_ns && now_ns - c->sending_ns >= LAST_SEND_NS)
            connection_close(c);
    }
    ush_alarm_set(alarm, now_ns + LAST_SEND_NS, cut_slow_peers);
}

/* The listener stays the caller's: under sim it is used as it is, else through a duplicate. */
static int serve(struct writer *w)
{
    int listener = w->o->listener;
    if (!ush_is_sim()) {
        listener = fcntl(w->o->listener, F_DUPFD_CLOEXEC, 0);
        if (listener < 0)
            return -errno;
        int r = ush_fd_open(listener);
        if (r < 0) {
            close(listener);
            return r;
        }
    }
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "connections", .keep_going = true});
    w->scope = &scope;
    if (w->o->ready)
        w->o->ready(w->o->ctx);
    int r = accept_all(w, listener);
    if (!ush_is_sim())
        ush_close(listener);
    cut_slow_peers(&w->last);
    ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&scope);
    ush_alarm_clear(&w->last);
    return r == -EBADF ? r : 0;
}

int ush_writer_run(const struct ush_writer_options *o)
{
    if (!ush_is_sim())
        signal(SIGXFSZ, SIG_IGN); /* a file-size limit is an error of write(2), not a death */
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    w->o = o;
    ush_list_init(&w->spares);
    ush_list_init(&w->all);
    int r = open_committer(w);
    if (r == 0) {
        r = serve(w);
        ush__committer_close(&w->committer);
    }
    spares_free(w);
    free(w);
    return r == -ECANCELED || r == -ETIMEDOUT ? 0 : r;
}
