/*
 * fd_test.c - sockets: the same cases over the kernel's and the simulated ones, and what only the
 * kernel has (foreign descriptors, shared listeners, signals).
 */
#include "both.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "task/fd.h"

enum { BIG = 1 << 20 };

/* An address that nobody else uses: simulated, or an abstract Unix socket of this process. */
static struct ush_address free_address(void)
{
    static unsigned next;
    if (ush_is_sim())
        return ush_sim_address((uint16_t)(8000 + next++));
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int n =
        snprintf(un.sun_path + 1, sizeof un.sun_path - 1, "usher-fd-test-%d-%u", getpid(), next++);
    struct ush_address a = {.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)};
    memcpy(&a.storage, &un, sizeof un);
    return a;
}

static void close_both(int fds[2])
{
    ush_close(fds[0]);
    ush_close(fds[1]);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int echo(void *arg)
{
    int fd = *(int *)arg;
    char bytes[5000];
    for (;;) {
        ssize_t n = ush_recv(fd, bytes, sizeof bytes);
        if (n <= 0)
            return (int)n;
        ck_assert_int_eq(ush_send(fd, bytes, (size_t)n), n);
    }
}

static int send_big(void *arg)
{
    int fd = *(int *)arg;
    char *bytes = malloc(BIG);
    for (size_t i = 0; i < BIG; i++)
        bytes[i] = (char)(i * 7 + i / 1000);
    ck_assert_int_eq(ush_send(fd, bytes, BIG), BIG); /* more than any buffer between: it waits */
    free(bytes);
    return ush_shutdown_write(fd);
}

BOTH_TEST(all_bytes_come_in_order)
{
    int fds[2];
    ck_assert_int_eq(ush_socketpair(fds), 0);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, echo, &fds[1]);
    ush_spawn(&s, send_big, &fds[0]);
    char bytes[3000];
    for (size_t got = 0; got < BIG;) {
        ssize_t n = ush_recv(fds[0], bytes, sizeof bytes);
        ck_assert_int_gt(n, 0);
        int wrong = 0; /* Check's assertions are too slow for a million */
        for (ssize_t i = 0; i < n; i++, got++)
            wrong += bytes[i] != (char)(got * 7 + got / 1000);
        ck_assert_int_eq(wrong, 0);
    }
    ck_assert_int_eq(ush_scope_close(&s), 0);
    close_both(fds);
    return 0;
}

BOTH_TEST(the_end_comes_after_the_bytes)
{
    int fds[2];
    char bytes[10];
    ush_socketpair(fds);
    ck_assert_int_eq(ush_send(fds[0], "last", 4), 4);
    ush_close(fds[0]);
    ck_assert_int_eq(ush_recv(fds[1], bytes, 2), 2);
    ck_assert_int_eq(ush_recv(fds[1], bytes, 10), 2);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ush_recv(fds[1], bytes, 10), 0);
    ck_assert_int_eq(ush_send(fds[1], "x", 1), -EPIPE);
    ush_close(fds[1]);
    return 0;
}

BOTH_TEST(closing_with_unread_bytes_resets)
{
    int fds[2];
    char byte;
    ush_socketpair(fds);
    ck_assert_int_eq(ush_send(fds[0], "unread", 6), 6);
    ush_sleep(5 * USH_MS); /* simulated bytes may be under way for a while */
    ush_close(fds[1]);
    ck_assert_int_eq(ush_recv(fds[0], &byte, 1), -ECONNRESET);
    ush_close(fds[0]);
    return 0;
}

BOTH_TEST(nothing_there_is_not_waited_for)
{
    int fds[2];
    char bytes[10];
    ush_socketpair(fds);
    ck_assert_int_eq(ush_recv_now(fds[0], bytes, 10), -EAGAIN);
    ck_assert_int_eq(ush_send_now(fds[1], "abc", 3), 3);
    ck_assert_int_eq(ush_recv(fds[0], bytes, 10), 3);
    ck_assert_int_eq(ush_recv_now(fds[0], bytes, 10), -EAGAIN);
    size_t sent = 0;
    char some[4096] = {0};
    for (ssize_t n; (n = ush_send_now(fds[1], some, sizeof some)) != -EAGAIN; sent += (size_t)n)
        ck_assert_int_gt(n, 0);
    ck_assert_uint_gt(sent, 1000);
    close_both(fds);
    return 0;
}

struct waiting {
    int fd;
    ssize_t result;
};

static int wait_for_byte(void *arg)
{
    struct waiting *w = arg;
    char byte;
    w->result = ush_recv(w->fd, &byte, 1);
    return 0;
}

BOTH_TEST(closing_wakes_who_waits)
{
    int fds[2];
    ush_socketpair(fds);
    struct waiting w = {.fd = fds[0], .result = 1};
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, wait_for_byte, &w);
    ush_sleep(USH_MS);
    ush_close(fds[0]);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(w.result, -EBADF);
    ck_assert_int_eq(ush_send(fds[0], "x", 1), -EBADF);
    ush_close(fds[1]);
    return 0;
}

BOTH_TEST(cancelled_recv_leaves_the_bytes)
{
    int fds[2];
    char bytes[10];
    ush_socketpair(fds);
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + USH_MS});
    ck_assert_int_eq(ush_recv(fds[0], bytes, 10), -ETIMEDOUT);
    ck_assert_int_eq(ush_send(fds[1], "abc", 3), -ETIMEDOUT);
    ush_scope_close(&s);
    ck_assert_int_eq(ush_send(fds[1], "abc", 3), 3);
    ck_assert_int_eq(ush_recv(fds[0], bytes, 10), 3);
    close_both(fds);
    return 0;
}

/* ---- connections ----------------------------------------------------------------------------- */

struct meeting {
    struct ush_address at;
    int listener;
};

static int call(void *arg)
{
    struct meeting *m = arg;
    int fd = ush_connect(&m->at);
    ck_assert_int_ge(fd, 0);
    char bytes[10];
    ck_assert_int_eq(ush_send(fd, "ping", 4), 4);
    ck_assert_int_eq(ush_recv(fd, bytes, 10), 4);
    ck_assert(memcmp(bytes, "pong", 4) == 0);
    ush_close(fd);
    return 0;
}

static int answer(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char bytes[4];
    for (size_t got = 0; got < 4;) {
        ssize_t n = ush_recv(fd, bytes + got, 4 - got);
        ck_assert_int_gt(n, 0);
        got += (size_t)n;
    }
    ck_assert_int_eq(ush_send(fd, "pong", 4), 4);
    ck_assert_int_eq(ush_recv(fd, bytes, 1), 0);
    ush_close(fd);
    return 0;
}

BOTH_TEST(connect_and_accept)
{
    struct meeting m = {.at = free_address()};
    ck_assert_int_eq(ush_connect(&m.at), -ECONNREFUSED);
    m.listener = ush_listen(&m.at, 16);
    ck_assert_int_ge(m.listener, 0);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (int i = 0; i < 10; i++)
        ush_spawn(&s, call, &m);
    for (int i = 0; i < 10; i++) {
        struct ush_address peer;
        int fd = ush_accept(m.listener, &peer);
        ck_assert_int_ge(fd, 0);
        ush_spawn(&s, answer, (void *)(intptr_t)fd);
    }
    ck_assert_int_eq(ush_accept_now(m.listener, NULL), -EAGAIN);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ush_close(m.listener);
    ck_assert_int_eq(ush_connect(&m.at), -ECONNREFUSED);
    return 0;
}

/* ---- callbacks ------------------------------------------------------------------------------- */

struct watched {
    int fd, calls;
    size_t got;
    bool is_over;
    struct ush_event done;
};

static void on_ready(void *ctx, unsigned events)
{
    struct watched *w = ctx;
    ck_assert(!ush_is_task());
    w->calls++;
    ck_assert(events & (USH_READABLE | USH_HANGUP));
    char bytes[100];
    ssize_t n;
    while ((n = ush_recv_now(w->fd, bytes, sizeof bytes)) > 0)
        w->got += (size_t)n;
    if (n == 0) {
        w->is_over = true;
        ush_event_set(&w->done);
    }
}

BOTH_TEST(watch_is_called_until_the_end)
{
    int fds[2];
    ush_socketpair(fds);
    struct watched w = {.fd = fds[0]};
    ush_event_init(&w.done, "end");
    ck_assert_int_eq(ush_fd_watch(fds[0], on_ready, &w), 0);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(ush_send(fds[1], "0123456789", 10), 10);
        ush_sleep(USH_MS);
    }
    ck_assert_int_eq(ush_shutdown_write(fds[1]), 0);
    ck_assert_int_eq(ush_event_wait(&w.done), 0);
    ck_assert_uint_eq(w.got, 50);
    ck_assert_int_le(w.calls, 8);
    close_both(fds);
    return 0;
}

/* Edges that came before the watch was set are not lost. */
BOTH_TEST(watch_hears_of_what_was_there)
{
    int fds[2];
    char byte;
    ush_socketpair(fds);
    ush_send(fds[1], "0123456789", 10);
    ck_assert_int_eq(ush_recv(fds[0], &byte, 1), 1);
    struct watched w = {.fd = fds[0]};
    ush_event_init(&w.done, "end");
    ck_assert_int_eq(ush_fd_watch(fds[0], on_ready, &w), 0);
    ck_assert_int_eq(w.calls, 0); /* never from inside ush_fd_watch */
    for (int i = 0; i < 100 && w.got < 9; i++)
        ush_sleep(USH_MS);
    ck_assert_uint_eq(w.got, 9);
    ush_close(fds[1]);
    ck_assert_int_eq(ush_event_wait(&w.done), 0);
    ck_assert_uint_eq(w.got, 9);
    ck_assert_int_eq(ush_fd_watch(fds[0], NULL, NULL), 0);
    ush_close(fds[0]);
    ck_assert_int_eq(ush_fd_watch(fds[0], on_ready, &w), -EBADF);
    return 0;
}

/* A task that waits comes before the watch. */
BOTH_TEST(task_comes_before_watch)
{
    int fds[2];
    char bytes[10];
    ush_socketpair(fds);
    struct watched w = {.fd = fds[0]};
    ush_event_init(&w.done, "end");
    ush_fd_watch(fds[0], on_ready, &w);
    struct waiting task = {.fd = fds[0]};
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, wait_for_byte, &task);
    ush_sleep(USH_MS);
    ck_assert_int_eq(ush_send(fds[1], "x", 1), 1);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(task.result, 1);
    ck_assert_int_eq(w.calls, 0);
    ck_assert_int_eq(ush_recv_now(fds[0], bytes, 10), -EAGAIN);
    close_both(fds);
    return 0;
}

/* ---- only with a kernel ---------------------------------------------------------------------- */

#define KERNEL_TEST(name)                                                                          \
    static int name##_body(void *unused);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        ck_assert_int_eq(both_run(BOTH_EPOLL, name##_body), 0);                                    \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

KERNEL_TEST(tcp_with_a_real_port)
{
    struct ush_address at = ush_sim_address(0);
    struct meeting m = {.listener = ush_listen(&at, 16)};
    ck_assert_int_ge(m.listener, 0);
    m.at.len = sizeof m.at.storage;
    getsockname(m.listener, (struct sockaddr *)&m.at.storage, &m.at.len);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, call, &m);
    int fd = ush_accept(m.listener, NULL);
    ck_assert_int_ge(fd, 0);
    ush_spawn(&s, answer, (void *)(intptr_t)fd);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ush_close(m.listener);
    ck_assert_int_eq(ush_connect(&m.at), -ECONNREFUSED);
    return 0;
}

KERNEL_TEST(foreign_descriptors)
{
    for (int round = 0; round < 3; round++) { /* the numbers come again after the close */
        int fds[2];
        char byte;
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
        ck_assert_int_eq(ush_wait_fd(fds[0], USH_WRITABLE), USH_WRITABLE);
        struct ush_scope s;
        ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + USH_MS});
        ck_assert_int_eq(ush_wait_fd(fds[0], USH_READABLE), -ETIMEDOUT);
        ush_scope_close(&s);
        ck_assert_int_eq(write(fds[1], "ab", 2), 2);
        for (int i = 0; i < 3; i++) /* level-triggered: as long as bytes lie there */
            ck_assert(ush_wait_fd(fds[0], USH_READABLE) & USH_READABLE);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        ck_assert(ush_wait_fd(fds[0], USH_READABLE | USH_WRITABLE) & USH_READABLE);
        ck_assert_int_eq(read(fds[0], &byte, 1), 1);
        close(fds[1]);
        ck_assert(ush_wait_fd(fds[0], USH_READABLE) & USH_HANGUP);
        close(fds[0]); /* without telling */
    }
    ck_assert_int_eq(ush_wait_fd(-1, USH_READABLE), -EBADF);
    return 0;
}

/* A read that gave less than was asked for has emptied the socket: the kernel is not asked again.
 */
KERNEL_TEST(short_read_means_drained)
{
    int fds[2];
    char bytes[10];
    ush_socketpair(fds);
    ck_assert_int_eq(ush_send(fds[1], "abcdef", 6), 6);
    ck_assert_int_eq(ush_recv(fds[0], bytes, 3), 3);
    ck_assert(ush__fd_find(fds[0])->flags & USH__FD_READABLE);
    ck_assert_int_eq(ush_recv(fds[0], bytes, 10), 3);
    ck_assert(!(ush__fd_find(fds[0])->flags & USH__FD_READABLE));
    ck_assert_int_eq(write(fds[1], "x", 1), 1);
    ck_assert_int_eq(ush_recv_now(fds[0], bytes, 10), -EAGAIN); /* nobody has said so yet */
    ck_assert_int_eq(ush_recv(fds[0], bytes, 10), 1);
    close_both(fds);
    return 0;
}

/* Two are ready in one batch; the callback of one closes the other and opens a third, which gets
 * the number of the second. The event for the second is not for the third. */
struct stale {
    int pairs[2][2], new_pair[2];
    int calls, new_calls;
};

static void on_new(void *ctx, unsigned events __attribute__((unused)))
{
    ++((struct stale *)ctx)->new_calls;
}

static void on_either(void *ctx, unsigned events __attribute__((unused)))
{
    struct stale *s = ctx;
    if (s->calls++ > 0)
        return;
    /* Whichever came first, the other's event lies in the same batch. */
    char byte;
    int mine = ush_recv_now(s->pairs[0][0], &byte, 1) == 1 ? 0 : 1;
    int number = s->pairs[1 - mine][0];
    ush_close(number);
    ck_assert_int_eq(ush_socketpair(s->new_pair), 0);
    ck_assert_int_eq(s->new_pair[0], number);
    ck_assert_int_eq(ush_fd_watch(number, on_new, s), 0);
}

KERNEL_TEST(event_for_an_earlier_owner_is_dropped)
{
    struct stale s = {0};
    for (int i = 0; i < 2; i++) {
        ush_socketpair(s.pairs[i]);
        ush_fd_watch(s.pairs[i][0], on_either, &s);
        ck_assert_int_eq(write(s.pairs[i][1], "x", 1), 1);
    }
    for (int i = 0; i < 100 && s.calls == 0; i++)
        ush_sleep(USH_MS);
    ush_sleep(USH_MS);
    ck_assert_int_eq(s.calls, 1);
    ck_assert_int_eq(s.new_calls, 0);
    return 0;
}

struct shared {
    int listener, accepted;
    struct ush_event done;
};

static void on_connection(void *ctx, unsigned events __attribute__((unused)))
{
    struct shared *s = ctx;
    int fd = ush_accept_now(s->listener, NULL); /* one at a time: level-triggered */
    ck_assert_int_ge(fd, 0);
    ush_close(fd);
    if (++s->accepted == 40)
        ush_event_set(&s->done);
}

/* As inherited from a master: bound and listening before there is a loop. */
KERNEL_TEST(shared_listener)
{
    struct ush_address at = free_address();
    struct shared s = {.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    ck_assert_int_eq(bind(s.listener, (struct sockaddr *)&at.storage, at.len), 0);
    ck_assert_int_eq(listen(s.listener, 64), 0);
    ush_event_init(&s.done, "40 connections");
    ck_assert_int_eq(ush_listener_watch(s.listener, on_connection, &s), 0);
    for (int i = 0; i < 40; i++)
        ush_close(ush_connect(&at));
    ck_assert_int_eq(ush_event_wait(&s.done), 0);
    ush_listener_unwatch(s.listener);
    int fd = ush_connect(&at);
    ck_assert_int_ge(fd, 0); /* it waits in the queue for another process */
    ush_sleep(2 * USH_MS);
    ck_assert_int_eq(s.accepted, 40);
    ck_assert_int_eq(ush_listener_watch(s.listener, on_connection, &s), 0);
    for (int i = 0; i < 100 && s.accepted == 40; i++)
        ush_sleep(USH_MS);
    ck_assert_int_eq(s.accepted, 41);
    ush_listener_unwatch(s.listener);
    ush_close(fd);
    close(s.listener);
    return 0;
}

static void on_signal(void *ctx, int signo)
{
    ck_assert_int_eq(signo, SIGUSR1);
    ush_event_set(ctx);
}

KERNEL_TEST(signals_come_to_the_loop)
{
    struct ush_event heard;
    ush_event_init(&heard, "signal");
    ck_assert_int_eq(ush_on_signal(SIGUSR1, on_signal, &heard), 0);
    ck_assert_int_eq(ush_on_signal(1000, on_signal, &heard), -EINVAL);
    for (int i = 0; i < 3; i++) {
        kill(getpid(), SIGUSR1);
        ck_assert_int_eq(ush_event_wait(&heard), 0);
        ush_event_reset(&heard);
    }
    return 0;
}

KERNEL_TEST(pipes_can_be_opened)
{
    int fds[2];
    char bytes[10];
    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(ush_fd_open(fds[0]), 0);
    ck_assert_int_eq(ush_fd_open(fds[1]), 0);
    ck_assert_int_eq(ush_send(fds[1], "abc", 3), 3);
    ck_assert_int_eq(ush_recv(fds[0], bytes, 10), 3);
    ush_close(fds[1]);
    ck_assert_int_eq(ush_recv(fds[0], bytes, 10), 0);
    ush_close(fds[0]);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("fd");
    TCase *tc = tcase_create("fd");
    both_add(tc, all_bytes_come_in_order);
    both_add(tc, the_end_comes_after_the_bytes);
    both_add(tc, closing_with_unread_bytes_resets);
    both_add(tc, nothing_there_is_not_waited_for);
    both_add(tc, closing_wakes_who_waits);
    both_add(tc, cancelled_recv_leaves_the_bytes);
    both_add(tc, connect_and_accept);
    both_add(tc, watch_is_called_until_the_end);
    both_add(tc, watch_hears_of_what_was_there);
    both_add(tc, task_comes_before_watch);
    tcase_add_test(tc, tcp_with_a_real_port);
    tcase_add_test(tc, foreign_descriptors);
    tcase_add_test(tc, short_read_means_drained);
    tcase_add_test(tc, event_for_an_earlier_owner_is_dropped);
    tcase_add_test(tc, shared_listener);
    tcase_add_test(tc, signals_come_to_the_loop);
    tcase_add_test(tc, pipes_can_be_opened);
    suite_add_tcase(s, tc);
    return both_main(s);
}
