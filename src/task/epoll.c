/*
 * epoll.c - the backend for service: descriptors of the kernel, its clock, its signals.
 *
 * A descriptor is added to the kernel's set once, edge-triggered, when it is opened, and leaves it
 * by being closed: a request costs no epoll_ctl. Room to write is asked for only at the first send
 * that finds none, since most descriptors never do and the kernel would report it for nothing.
 * What an event said is kept in the slot (see fd.c).
 *
 * Three kinds do not fit that rule:
 *
 *   shared listeners   other processes wait for the same socket: level-triggered with
 *                      EPOLLEXCLUSIVE, so a connection wakes one process and is not lost with it
 *   foreign            a library's socket, closed by the library without telling: armed for one
 *                      event at each wait, so nothing stale fires twice
 *   the loop's own     an eventfd for wake-ups from threads (never read: each write is an edge), a
 *                      signalfd
 *
 * Invariants:
 *  1. An event carries number and generation; one for an earlier owner of the number is dropped.
 *  2. The eventfd is written only while the loop has announced that it sleeps (loop.c).
 *  3. Of the processes that wait for a shared listener the kernel wakes the one that joined first.
 *     So each leaves and joins again after every 16 connections it has accepted, as nginx does.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "task/fd.h"
#include "task/fiber.h"

enum { EVENTS = 256, SIGNALS = 65, REJOIN_EVERY = 16 };

struct ush__epoll_state {
    int set, wake_fd, signal_fd;
    bool has_pwait2;
    uint32_t accepted; /* from shared listeners */
    sigset_t signals, mask_before;
    struct {
        void (*fn)(void *ctx, int signo);
        void *ctx;
    } on_signal[SIGNALS];
    struct epoll_event events[EVENTS];
};

static int control(int op, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events};
    e.data.u64 = (uint64_t)ush__fd_slot(fd)->generation << 32 | (uint32_t)fd;
    return epoll_ctl(ush__loop->epoll->set, op, fd, &e) < 0 ? -errno : 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_wake_up(void *ctx __attribute__((unused)), unsigned events __attribute__((unused)))
{
}

/* One of the loop's own descriptors: in the set and in its slot. */
static int add_own(int fd, ush_ready_fn fn, void *ctx)
{
    if (fd < 0)
        return -errno;
    struct ush__fd *slot = ush__fd_begin(fd, 0);
    if (!slot)
        return -ENOMEM;
    slot->watch = fn;
    slot->watch_ctx = ctx;
    return control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET);
}

static int epoll_start(struct ush_loop *l, const struct ush_loop_options *o __attribute__((unused)))
{
    struct ush__epoll_state *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    l->epoll = s;
    s->wake_fd = s->signal_fd = -1;
    s->has_pwait2 = !fiber_on_valgrind();
    sigemptyset(&s->signals);
    s->set = epoll_create1(EPOLL_CLOEXEC);
    if (s->set < 0)
        return -errno;
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return add_own(s->wake_fd, on_wake_up, NULL);
}

static void epoll_stop(struct ush_loop *l)
{
    struct ush__epoll_state *s = l->epoll;
    if (!s)
        return;
    if (s->signal_fd >= 0) {
        pthread_sigmask(SIG_SETMASK, &s->mask_before, NULL);
        close(s->signal_fd);
    }
    if (s->wake_fd >= 0)
        close(s->wake_fd);
    if (s->set >= 0)
        close(s->set);
    free(s);
}

static void epoll_wake(struct ush_loop *l)
{
    uint64_t one = 1;
    ssize_t unused __attribute__((unused)) = write(l->epoll->wake_fd, &one, sizeof one);
}

static int wait_for_events(struct ush__epoll_state *s, int64_t ns)
{
    if (s->has_pwait2) {
        struct timespec t = {.tv_sec = ns / USH_SECOND, .tv_nsec = ns % USH_SECOND};
        int n = epoll_pwait2(s->set, s->events, EVENTS, ns == USH_NEVER ? NULL : &t, NULL);
        if (n >= 0 || (errno != ENOSYS && errno != EPERM))
            return n;
        s->has_pwait2 = false;
    }
    int64_t ms = ns == USH_NEVER ? -1 : (ns + USH_MS - 1) / USH_MS;
    return epoll_wait(s->set, s->events, EVENTS, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

static int epoll_poll(struct ush_loop *l, int64_t until_ns)
{
    struct ush__epoll_state *s = l->epoll;
    int64_t ns = 0;
    if (until_ns == USH_NEVER)
        ns = USH_NEVER;
    else if (until_ns > l->now_ns && until_ns > (l->now_ns = l->backend->now_ns(l)))
        ns = until_ns - l->now_ns;
    if (ns > 0) {
        atomic_store(&l->sleeps, true);
        if (atomic_load(&l->posts))
            ns = 0;
    }
    int n = wait_for_events(s, ns), error = n < 0 ? errno : 0;
    atomic_store_explicit(&l->sleeps, false, memory_order_relaxed);
    l->now_ns = l->backend->now_ns(l);
    if (n < 0)
        return error == EINTR ? 0 : -error;
    for (int i = 0; i < n; i++) {
        uint32_t e = s->events[i].events;
        int fd = (int)(uint32_t)s->events[i].data.u64;
        if (ush__fd_slot(fd)->generation != (uint32_t)(s->events[i].data.u64 >> 32))
            continue;
        uint32_t events = (e & EPOLLIN ? USH_READABLE : 0u) | (e & EPOLLOUT ? USH_WRITABLE : 0u) |
                          (e & (EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? USH_HANGUP : 0u);
        ush__fd_ready(fd, events);
    }
    return 0;
}

static int64_t read_clock(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return t.tv_sec * USH_SECOND + t.tv_nsec;
}

static int64_t epoll_now_ns(struct ush_loop *l __attribute__((unused)))
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t epoll_wall_ms(struct ush_loop *l __attribute__((unused)))
{
    return read_clock(CLOCK_REALTIME) / USH_MS;
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* Registers a non-blocking descriptor that is ours now. */
static int adopt(int fd, uint32_t flags, uint32_t events)
{
    if (!ush__fd_begin(fd, flags))
        return -ENOMEM;
    int result = control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLRDHUP | EPOLLET | events);
    if (result < 0)
        ush__fd_end(fd);
    return result;
}

/* The same; closes it when that fails. */
static int adopt_or_close(int fd, uint32_t flags, uint32_t events)
{
    int result = adopt(fd, flags, events);
    if (result < 0)
        close(fd);
    return result < 0 ? result : fd;
}

static int epoll_fd_open(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0))
        return -errno;
    return adopt(fd, USH__FD_WRITABLE, 0);
}

static void epoll_fd_close(int fd)
{
    if (!ush__fd_find(fd))
        return;
    ush__fd_end(fd);
    close(fd);
}

static ssize_t epoll_recv_now(int fd, void *ret_bytes, size_t n)
{
    struct ush__fd *slot = ush__fd_find(fd);
    if (!slot)
        return -EBADF;
    if (!(slot->flags & USH__FD_READABLE))
        return -EAGAIN;
    ssize_t got;
    do {
        got = recv(fd, ret_bytes, n, MSG_DONTWAIT);
        if (got < 0 && errno == ENOTSOCK)
            got = read(fd, ret_bytes, n);
    } while (got < 0 && errno == EINTR);
    int error = got < 0 ? errno : 0;
    bool is_short = got > 0 && (size_t)got < n && !(slot->flags & USH__FD_HANGUP);
    if (is_short || error == EAGAIN)
        slot->flags &= ~(uint32_t)USH__FD_READABLE;
    return got < 0 ? -error : got;
}

static ssize_t epoll_send_now(int fd, const void *bytes, size_t n)
{
    struct ush__fd *slot = ush__fd_find(fd);
    if (!slot)
        return -EBADF;
    if (!(slot->flags & USH__FD_WRITABLE))
        return -EAGAIN;
    ssize_t sent;
    do {
        sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == ENOTSOCK)
            sent = write(fd, bytes, n);
    } while (sent < 0 && errno == EINTR);
    if (sent >= 0)
        return sent;
    int error = errno;
    if (error != EAGAIN)
        return -error;
    slot->flags &= ~(uint32_t)USH__FD_WRITABLE;
    if (!(slot->flags & USH__FD_OUT)) {
        /* Changing the set reports what has become ready meanwhile, so no edge is missed. */
        slot->flags |= USH__FD_OUT;
        USH_TRY(control(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET));
    }
    return -EAGAIN;
}

static int epoll_accept_now(int listener, struct ush_address *ret_peer)
{
    struct ush__fd *slot = ush__fd_find(listener);
    if (!slot)
        return -EBADF;
    if (!(slot->flags & (USH__FD_READABLE | USH__FD_LISTENER)))
        return -EAGAIN;
    struct ush_address peer = {.len = sizeof peer.storage};
    int fd;
    do
        fd = accept4(listener, (struct sockaddr *)&peer.storage, &peer.len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
    while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0) {
        if (errno == EAGAIN)
            slot->flags &= ~(uint32_t)USH__FD_READABLE;
        return -errno;
    }
    if ((slot->flags & USH__FD_LISTENER) && ++ush__loop->epoll->accepted % REJOIN_EVERY == 0) {
        control(EPOLL_CTL_DEL, listener, 0);
        control(EPOLL_CTL_ADD, listener, EPOLLIN | EPOLLEXCLUSIVE);
    }
    if (ret_peer)
        *ret_peer = peer;
    return adopt_or_close(fd, USH__FD_WRITABLE, 0);
}

static void no_delay(int fd, int family)
{
    int on = 1;
    if (family != AF_UNIX) /* accepted connections inherit it from their listener */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* Starts connecting: 0 when it is connected, -EINPROGRESS, or why not. */
static int begin_connect(int fd, const struct ush_address *to)
{
    for (;;) {
        if (connect(fd, (const struct sockaddr *)&to->storage, to->len) == 0)
            return 0;
        if (errno != EAGAIN)
            return -errno;
        USH_TRY(ush_sleep(USH_MS)); /* the queue of a Unix listener is full, and nothing tells */
    }
}

static int epoll_connect(const struct ush_address *to)
{
    int family = to->storage.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    no_delay(fd, family);
    /* A socket counts as hung up until it connects, so it joins the set only afterwards. */
    int result = begin_connect(fd, to);
    if (result == 0)
        return adopt_or_close(fd, USH__FD_WRITABLE, 0);
    if (result != -EINPROGRESS) {
        close(fd);
        return result;
    }
    USH_TRY(adopt_or_close(fd, USH__FD_OUT, EPOLLOUT));
    result = ush__fd_wait(fd, ush__fd_slot(fd), USH_WRITABLE, USH__WAIT_CONNECT);
    if (result >= 0) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        result = -error;
    }
    if (result < 0)
        epoll_fd_close(fd);
    return result < 0 ? result : fd;
}

/* A socket file that nobody listens on any more would make bind fail. */
static void remove_old(const struct sockaddr_un *at)
{
    struct stat st;
    if (at->sun_path[0] != '\0' && stat(at->sun_path, &st) == 0 && S_ISSOCK(st.st_mode))
        unlink(at->sun_path);
}

static int epoll_listen(const struct ush_address *at, int backlog)
{
    int family = at->storage.ss_family, on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (family == AF_UNIX)
        remove_old((const struct sockaddr_un *)&at->storage);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    no_delay(fd, family);
    if (bind(fd, (const struct sockaddr *)&at->storage, at->len) < 0 || listen(fd, backlog) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return adopt_or_close(fd, 0, 0);
}

static int epoll_socketpair(int ret_fds[2])
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int first = adopt_or_close(fds[0], USH__FD_WRITABLE, 0);
    int second = adopt_or_close(fds[1], USH__FD_WRITABLE, 0);
    if (first < 0 || second < 0) {
        epoll_fd_close(first);
        epoll_fd_close(second);
        return first < 0 ? first : second;
    }
    ret_fds[0] = first;
    ret_fds[1] = second;
    return 0;
}

static int epoll_shutdown_write(int fd)
{
    if (!ush__fd_find(fd))
        return -EBADF;
    return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

/* ---- foreign descriptors --------------------------------------------------------------------- */

static int epoll_wait_fd(int fd, unsigned events)
{
    struct ush__fd *slot = fd < 0 ? NULL : ush__fd_slot(fd);
    if (!slot)
        return fd < 0 ? -EBADF : -ENOMEM;
    assert(!(slot->flags & USH__FD_OPEN)); /* an open one is waited for by ush_recv and ush_send */
    bool in = (events & USH_READABLE) || slot->reader,
         out = (events & USH_WRITABLE) || slot->writer;
    uint32_t want = (in ? EPOLLIN | EPOLLRDHUP : 0u) | (out ? EPOLLOUT : 0u) | EPOLLONESHOT;
    bool is_known = slot->flags & USH__FD_FOREIGN;
    int result = control(is_known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, want);
    if (result == -ENOENT || result == -EEXIST) /* closed and opened again behind our back */
        result = control(is_known ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, want);
    if (result < 0)
        return result;
    slot->flags |= USH__FD_FOREIGN;
    result = ush__fd_wait(fd, slot, events, USH__WAIT_FD);
    /* One event disarms it for the other direction as well; the other waiter is armed again. */
    if (slot->reader || slot->writer)
        control(EPOLL_CTL_MOD, fd,
                (slot->reader ? EPOLLIN | EPOLLRDHUP : 0u) | (slot->writer ? EPOLLOUT : 0u) |
                    EPOLLONESHOT);
    return result;
}

/* ---- shared listeners ------------------------------------------------------------------------ */

static int epoll_listener_watch(int fd, ush_ready_fn fn, void *ctx)
{
    struct ush__fd *slot = ush__fd_begin(fd, USH__FD_LISTENER);
    if (!slot)
        return -ENOMEM;
    slot->watch = fn;
    slot->watch_ctx = ctx;
    int result = control(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE);
    if (result < 0)
        ush__fd_end(fd);
    return result;
}

static void epoll_listener_unwatch(int fd)
{
    if (!ush__fd_find(fd))
        return;
    epoll_ctl(ush__loop->epoll->set, EPOLL_CTL_DEL, fd, NULL);
    ush__fd_end(fd); /* not closed: it belongs to the master */
}

/* ---- signals --------------------------------------------------------------------------------- */

static void read_signals(void *ctx, unsigned events __attribute__((unused)))
{
    struct ush__epoll_state *s = ctx;
    struct signalfd_siginfo info;
    while (read(s->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
        if (s->on_signal[info.ssi_signo].fn)
            s->on_signal[info.ssi_signo].fn(s->on_signal[info.ssi_signo].ctx, (int)info.ssi_signo);
}

static int epoll_on_signal(int signo, void (*fn)(void *ctx, int signo), void *ctx)
{
    struct ush__epoll_state *s = ush__loop->epoll;
    if (signo <= 0 || signo >= SIGNALS)
        return -EINVAL;
    s->on_signal[signo].fn = fn;
    s->on_signal[signo].ctx = ctx;
    sigaddset(&s->signals, signo);
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &s->signals, &before);
    if (s->signal_fd >= 0)
        return signalfd(s->signal_fd, &s->signals, 0) < 0 ? -errno : 0;
    s->mask_before = before;
    s->signal_fd = signalfd(-1, &s->signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return add_own(s->signal_fd, read_signals, s);
}

const struct ush__backend ush__epoll = {
    .name = "epoll",
    .start = epoll_start,
    .stop = epoll_stop,
    .poll = epoll_poll,
    .now_ns = epoll_now_ns,
    .wall_ms = epoll_wall_ms,
    .recv = ush__fd_recv,
    .send = ush__fd_send,
    .accept = ush__fd_accept,
    .connect = epoll_connect,
    .wait_fd = epoll_wait_fd,
    .fd_open = epoll_fd_open,
    .fd_close = epoll_fd_close,
    .recv_now = epoll_recv_now,
    .send_now = epoll_send_now,
    .accept_now = epoll_accept_now,
    .listen = epoll_listen,
    .socketpair = epoll_socketpair,
    .shutdown_write = epoll_shutdown_write,
    .fd_watch = ush__fd_set_watch,
    .listener_watch = epoll_listener_watch,
    .listener_unwatch = epoll_listener_unwatch,
    .on_signal = epoll_on_signal,
    .wake = epoll_wake,
};
