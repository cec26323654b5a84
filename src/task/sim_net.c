/*
 * sim_net.c - stream sockets in memory, for the sim backend.
 *
 * A socket holds the bytes that its peer has sent to it: those that have arrived, and behind them
 * those under way. What is under way is a list of parcels, each with the earliest moment of its
 * arrival; one alarm per socket stands for the first of them, so parcels never overtake each other.
 *
 *     bytes  [ arrived | parcel 1 | parcel 2 | ... ]          parcel = (moment, bytes, is_end)
 *
 * The seed decides how late a parcel is, whether one send becomes several parcels (which is how
 * short reads happen: as in service, a read that gives less than was asked for has emptied the
 * socket), whether a send takes fewer bytes than there is room, and whether an operation finds the
 * connection reset. Everything that a peer notices arrives by an alarm, that is, on the loop's own
 * stack and never inside the call that causes it.
 *
 * As with TCP: closing with unread bytes resets the peer; bytes sent before an orderly close are
 * read before the end; sending to a closed peer gives -EPIPE; a connection waits in the listener's
 * queue until it is accepted, and is refused if there is no listener or its queue is full.
 *
 * Numbers of descriptors are the lowest free, from 1000 on so that they are nobody's by accident.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "task/sim_state.h"

enum {
    FIRST_FD = 1000,
    ROOM_BYTES = 65536, /* what a socket takes before its peer has to wait */
    SPLIT_MAX = 3,      /* parcels of one send */
    EPHEMERAL_PORT = 40000,
};

struct parcel {
    struct ush_link link;
    int64_t at_ns;
    size_t bytes;
    bool is_end;
};

struct sim_socket {
    int fd;
    struct sim_socket *peer; /* NULL: closed, or not a stream */
    struct ush_buf bytes;    /* received; the first `arrived` can be read */
    size_t arrived;
    struct ush_link under_way; /* parcels, in the order of arrival */
    struct ush_alarm arrival;
    struct ush_alarm notice; /* `noticed` becomes known to whoever waits */
    uint32_t noticed;
    bool is_at_end; /* the peer's last byte has arrived */
    bool is_reset;
    bool is_shut;          /* nothing more is sent from here */
    struct ush_address at; /* a listener's own, else the peer's */
    struct ush_link queue; /* listener: connections not yet accepted; else the place among them */
    uint32_t queued, queue_max; /* of a listener; queue_max > 0 tells one */
};

struct ush__sim_net {
    struct sim_socket **sockets; /* owned; index is fd - FIRST_FD */
    uint32_t count, room;
    uint16_t next_port;
};

int ush__sim_net_start(struct ush__sim_state *s)
{
    s->net = calloc(1, sizeof *s->net);
    return s->net ? 0 : -ENOMEM;
}

static void socket_free(struct sim_socket *k)
{
    for (struct ush_link *l; (l = ush_list_pop(&k->under_way));)
        free(USH_CONTAINER(l, struct parcel, link));
    ush_alarm_clear(&k->arrival);
    ush_alarm_clear(&k->notice);
    while (k->queue_max > 0 && ush_list_pop(&k->queue))
        ;
    ush_list_del(&k->queue);
    ush_buf_fini(&k->bytes);
    free(k);
}

void ush__sim_net_stop(struct ush__sim_state *s)
{
    if (!s->net)
        return;
    for (uint32_t i = 0; i < s->net->count; i++)
        if (s->net->sockets[i])
            socket_free(s->net->sockets[i]);
    free(s->net->sockets);
    free(s->net);
}

static struct sim_socket *find(int fd)
{
    struct ush__sim_net *net = ush__loop->sim->net;
    uint32_t i = (uint32_t)(fd - FIRST_FD);
    return fd >= FIRST_FD && i < net->count ? net->sockets[i] : NULL;
}

/* A new socket under the lowest free number, with a slot; NULL without memory. */
static struct sim_socket *socket_new(void)
{
    struct ush__sim_net *net = ush__loop->sim->net;
    uint32_t i = 0;
    while (i < net->count && net->sockets[i])
        i++;
    if (i == net->room) {
        uint32_t room = net->room ? net->room * 2 : 64;
        struct sim_socket **sockets = realloc(net->sockets, room * sizeof(struct sim_socket *));
        if (!sockets)
            return NULL;
        net->sockets = sockets;
        net->room = room;
    }
    struct sim_socket *k = calloc(1, sizeof *k);
    if (!k || !ush__fd_begin(FIRST_FD + (int)i, USH__FD_WRITABLE)) {
        free(k);
        return NULL;
    }
    k->fd = FIRST_FD + (int)i;
    ush_buf_init(&k->bytes, ROOM_BYTES);
    ush_list_init(&k->under_way);
    ush_list_init(&k->queue);
    if (i == net->count)
        net->count++;
    net->sockets[i] = k;
    return k;
}

/* ---- what becomes known, and when ------------------------------------------------------------ */

static void notice_due(struct ush_alarm *a)
{
    struct sim_socket *k = USH_CONTAINER(a, struct sim_socket, notice);
    uint32_t events = k->noticed;
    k->noticed = 0;
    ush__fd_ready(k->fd, events); /* may close k */
}

/* `events` become known on k, by the loop, `delay_ns` from now. */
static void notice(struct sim_socket *k, uint32_t events, int64_t delay_ns)
{
    k->noticed |= events;
    if (k->notice.id == 0)
        ush_alarm_set(&k->notice, ush__loop->now_ns + delay_ns, notice_due);
}

static struct parcel *first_parcel(const struct sim_socket *k)
{
    return USH_CONTAINER(k->under_way.next, struct parcel, link);
}

static void arrival_due(struct ush_alarm *a)
{
    struct sim_socket *k = USH_CONTAINER(a, struct sim_socket, arrival);
    struct parcel *p = first_parcel(k);
    uint32_t events = p->is_end ? USH_READABLE | USH_HANGUP : USH_READABLE;
    k->arrived += p->bytes;
    k->is_at_end |= p->is_end;
    ush_list_del(&p->link);
    free(p);
    if (!ush_list_is_empty(&k->under_way))
        ush_alarm_set(&k->arrival, first_parcel(k)->at_ns, arrival_due);
    ush__fd_ready(k->fd, events); /* may close k */
}

static int send_parcel(struct sim_socket *to, size_t bytes, bool is_end)
{
    struct parcel *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    int64_t at_ns = ush__loop->now_ns + ush__decide_delay();
    bool is_first = ush_list_is_empty(&to->under_way);
    *p = (struct parcel){.at_ns = at_ns, .bytes = bytes, .is_end = is_end};
    ush_list_push(&to->under_way, &p->link);
    if (is_first)
        ush_alarm_set(&to->arrival, at_ns, arrival_due);
    return 0;
}

static void reset(struct sim_socket *k)
{
    k->is_reset = true;
    while (!ush_list_is_empty(&k->under_way)) {
        struct parcel *p = first_parcel(k);
        ush_list_del(&p->link);
        free(p);
    }
    ush_alarm_clear(&k->arrival);
    notice(k, USH_HANGUP, ush__decide_delay());
}

/* Whether this operation finds that the connection is gone. */
static bool is_broken(struct sim_socket *k)
{
    uint32_t permille = ush__loop->sim->o.reset_permille;
    if (!k->is_reset && k->peer && ush__sim_chance(USH__DECIDE_RESET, permille)) {
        reset(k->peer);
        reset(k);
    }
    return k->is_reset;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

ssize_t ush__sim_recv_now(int fd, void *ret_bytes, size_t n)
{
    struct sim_socket *k = find(fd);
    if (!k || k->queue_max > 0)
        return k ? -ENOTCONN : -EBADF;
    struct ush__fd *slot = ush__fd_find(fd);
    if (!(slot->flags & USH__FD_READABLE))
        return -EAGAIN;
    if (is_broken(k))
        return -ECONNRESET;
    if (k->arrived == 0 && k->is_at_end)
        return 0;
    if (n > k->arrived)
        n = k->arrived;
    memcpy(ret_bytes, k->bytes.at, n);
    ush_buf_drop(&k->bytes, n);
    k->arrived -= n;
    if (k->arrived == 0 && !k->is_at_end)
        slot->flags &= ~(uint32_t)USH__FD_READABLE;
    if (n == 0)
        return -EAGAIN;
    if (k->peer && !(ush__fd_find(k->peer->fd)->flags & USH__FD_WRITABLE))
        notice(k->peer, USH_WRITABLE, 0);
    return (ssize_t)n;
}

ssize_t ush__sim_send_now(int fd, const void *bytes, size_t n)
{
    struct sim_socket *k = find(fd);
    if (!k || k->queue_max > 0)
        return k ? -ENOTCONN : -EBADF;
    if (is_broken(k))
        return -ECONNRESET;
    if (k->is_shut || !k->peer)
        return -EPIPE;
    uint32_t permille = ush__loop->sim->o.short_permille;
    size_t room = ROOM_BYTES - k->peer->bytes.len;
    if (n > room)
        n = room;
    if (n > 1 && ush__sim_chance(USH__DECIDE_SHORT, permille))
        n = 1 + ush__decide(USH__DECIDE_SHORT, (uint32_t)n);
    if (n == 0) {
        ush__fd_find(fd)->flags &= ~(uint32_t)USH__FD_WRITABLE;
        return -EAGAIN;
    }
    ush_buf_add(&k->peer->bytes, (ush_text){bytes, n});
    size_t left = n;
    for (int i = 1; i < SPLIT_MAX && left > 1 && ush__sim_chance(USH__DECIDE_SHORT, permille);
         i++) {
        size_t part = 1 + ush__decide(USH__DECIDE_SHORT, (uint32_t)left - 1);
        USH_TRY(send_parcel(k->peer, part, false));
        left -= part;
    }
    USH_TRY(send_parcel(k->peer, left, false));
    return (ssize_t)n;
}

int ush__sim_shutdown_write(int fd)
{
    struct sim_socket *k = find(fd);
    if (!k)
        return -EBADF;
    if (k->is_shut || !k->peer)
        return k->is_shut ? 0 : -ENOTCONN;
    k->is_shut = true;
    return send_parcel(k->peer, 0, true);
}

/* ---- opening and closing --------------------------------------------------------------------- */

struct ush_address ush_sim_address(uint16_t port)
{
    struct ush_address a = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&a.storage, &in, sizeof in);
    return a;
}

int ush__sim_fd_open(int fd)
{
    return find(fd) ? 0 : -EBADF; /* every simulated socket is open from its birth */
}

static int pair_new(struct sim_socket **ret_a, struct sim_socket **ret_b)
{
    struct sim_socket *a = socket_new(), *b = a ? socket_new() : NULL;
    if (!b) {
        if (a)
            ush__sim_close(a->fd);
        return -ENOMEM;
    }
    a->peer = b;
    b->peer = a;
    *ret_a = a;
    *ret_b = b;
    return 0;
}

int ush__sim_socketpair(int ret_fds[2])
{
    struct sim_socket *a, *b;
    USH_TRY(pair_new(&a, &b));
    ret_fds[0] = a->fd;
    ret_fds[1] = b->fd;
    return 0;
}

static struct sim_socket *find_listener(const struct ush_address *at)
{
    struct ush__sim_net *net = ush__loop->sim->net;
    for (uint32_t i = 0; i < net->count; i++) {
        struct sim_socket *k = net->sockets[i];
        if (k && k->queue_max > 0 && k->at.len == at->len &&
            memcmp(&k->at.storage, &at->storage, at->len) == 0)
            return k;
    }
    return NULL;
}

int ush__sim_listen(const struct ush_address *at, int backlog)
{
    if (find_listener(at))
        return -EADDRINUSE;
    struct sim_socket *k = socket_new();
    if (!k)
        return -ENOMEM;
    k->at = *at;
    k->queue_max = backlog > 0 ? (uint32_t)backlog : 1;
    return k->fd;
}

int ush__sim_connect(const struct ush_address *to)
{
    struct sim_socket *listener = find_listener(to), *ours, *theirs;
    if (!listener || listener->queued >= listener->queue_max)
        return -ECONNREFUSED;
    USH_TRY(pair_new(&ours, &theirs));
    ours->at = *to;
    theirs->at =
        ush_sim_address((uint16_t)(EPHEMERAL_PORT + ush__loop->sim->net->next_port++ % 20000));
    ush_list_push(&listener->queue, &theirs->queue);
    listener->queued++;
    int64_t delay_ns = ush__decide_delay();
    notice(listener, USH_READABLE, delay_ns);
    notice(ours, USH_WRITABLE, delay_ns);
    int fd = ours->fd;
    int result = ush__fd_wait(fd, ush__fd_slot(fd), USH_WRITABLE, USH__WAIT_CONNECT);
    if (result >= 0)
        return fd;
    ush__sim_close(fd);
    return result;
}

int ush__sim_accept_now(int listener, struct ush_address *ret_peer)
{
    struct sim_socket *k = find(listener);
    if (!k || k->queue_max == 0)
        return k ? -EINVAL : -EBADF;
    struct ush_link *l = ush_list_pop(&k->queue);
    if (!l) {
        ush__fd_find(listener)->flags &= ~(uint32_t)USH__FD_READABLE;
        return -EAGAIN;
    }
    if (--k->queued > 0)
        notice(k, USH_READABLE, 0); /* a watched listener is level-triggered */
    struct sim_socket *accepted = USH_CONTAINER(l, struct sim_socket, queue);
    if (ret_peer)
        *ret_peer = accepted->at;
    return accepted->fd;
}

static void forget(struct sim_socket *k)
{
    ush__loop->sim->net->sockets[k->fd - FIRST_FD] = NULL;
    ush__fd_end(k->fd);
    socket_free(k);
}

void ush__sim_close(int fd)
{
    struct sim_socket *k = find(fd);
    if (!k)
        return;
    for (struct ush_link *l; k->queue_max > 0 && (l = ush_list_pop(&k->queue));)
        ush__sim_close(USH_CONTAINER(l, struct sim_socket, queue)->fd);
    struct sim_socket *peer = k->peer;
    if (peer) {
        peer->peer = NULL;
        bool has_unread = k->bytes.len > 0;
        if (has_unread)
            reset(peer);
        else if (!k->is_shut && send_parcel(peer, 0, true) < 0)
            reset(peer); /* without memory for an orderly end */
        if (!(ush__fd_find(peer->fd)->flags & USH__FD_WRITABLE))
            notice(peer, USH_WRITABLE, 0); /* whoever waits for room learns that it is over */
    }
    forget(k);
}

int ush__sim_listener_watch(int fd, ush_ready_fn fn, void *ctx)
{
    struct sim_socket *k = find(fd);
    return k && k->queue_max > 0 ? ush__fd_set_watch(fd, fn, ctx) : -EBADF;
}

void ush__sim_listener_unwatch(int fd)
{
    if (find(fd))
        ush__fd_set_watch(fd, NULL, NULL);
}
