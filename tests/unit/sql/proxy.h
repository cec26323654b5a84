/*
 * proxy.h - a thread between the driver and a real PostgreSQL that sees every message of the
 * protocol, counts them, and cuts the connection in front of the one that a test names.
 *
 * It listens on a Unix socket in a folder of its own. Messages are passed on whole, one by one, so
 * a cut in front of message k leaves exactly k - 1 of them delivered. Both ends are closed then.
 * Everything that the test sets and reads is atomic; counting begins anew with proxy_arm.
 */
#ifndef TESTS_SQL_PROXY_H
#define TESTS_SQL_PROXY_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "pg.h"

enum { TO_SERVER, TO_CLIENT };
enum { PROXY_LINKS = 16, PROXY_ROOM = 1 << 20 };

struct proxy_link {
    int fd[2]; /* by where the bytes go: that of the server, that of the client; -1 = free */
    char *held[2];
    size_t len[2];
    bool is_started; /* the first message of a client has no type */
};

static struct {
    char folder[80];
    pthread_t thread;
    int listener, stop[2];
    struct proxy_link links[PROXY_LINKS];
    _Atomic int messages[2], syncs, commits; /* since proxy_arm */
    _Atomic int cut_way, cut_at;             /* in front of that message; 0 = never */
    _Atomic bool was_cut, close_all;
} proxy;

static struct sockaddr_un proxy_address(const char *folder)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s/.s.PGSQL.5432", folder);
    return at;
}

static void proxy_close(struct proxy_link *l)
{
    for (int way = 0; way < 2; way++) {
        close(l->fd[way]);
        free(l->held[way]);
    }
    *l = (struct proxy_link){.fd = {-1, -1}};
}

static void proxy_accept(void)
{
    int client = accept(proxy.listener, NULL, NULL), i = 0;
    while (i < PROXY_LINKS && proxy.links[i].fd[0] >= 0)
        i++;
    int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un at = proxy_address(pg.folder);
    if (i == PROXY_LINKS || connect(server, (struct sockaddr *)&at, sizeof at) < 0) {
        close(server);
        close(client);
        return;
    }
    proxy.links[i] = (struct proxy_link){.fd = {server, client},
                                         .held = {malloc(PROXY_ROOM), malloc(PROXY_ROOM)}};
}

/* Counts a message. False: it is not to be delivered. */
static bool proxy_passes(int way, const char *message, bool has_type)
{
    int number = atomic_fetch_add(&proxy.messages[way], 1) + 1;
    if (atomic_load(&proxy.cut_at) == number && atomic_load(&proxy.cut_way) == way) {
        atomic_store(&proxy.cut_at, 0);
        atomic_store(&proxy.was_cut, true);
        return false;
    }
    if (has_type && way == TO_SERVER && message[0] == 'S')
        atomic_fetch_add(&proxy.syncs, 1);
    if (has_type && way == TO_CLIENT && message[0] == 'C' && strcmp(message + 5, "COMMIT") == 0)
        atomic_fetch_add(&proxy.commits, 1);
    return true;
}

/* Takes what has come and passes whole messages on. False when the link is over. */
static bool proxy_pass(struct proxy_link *l, int way)
{
    char *held = l->held[way];
    ssize_t got = recv(l->fd[!way], held + l->len[way], PROXY_ROOM - l->len[way], 0);
    if (got <= 0)
        return false;
    l->len[way] += (size_t)got;
    for (;;) {
        bool has_type = way == TO_CLIENT || l->is_started;
        size_t head = has_type ? 1 : 0;
        uint32_t length;
        if (l->len[way] < head + sizeof length)
            return true;
        memcpy(&length, held + head, sizeof length);
        size_t bytes = head + __builtin_bswap32(length);
        if (l->len[way] < bytes)
            return true;
        if (!proxy_passes(way, held, has_type) ||
            send(l->fd[way], held, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
            return false;
        l->is_started = true;
        l->len[way] -= bytes;
        memmove(held, held + bytes, l->len[way]);
    }
}

static void *proxy_run(void *unused)
{
    for (;;) {
        struct pollfd p[2 + 2 * PROXY_LINKS] = {{proxy.stop[0], POLLIN, 0},
                                                {proxy.listener, POLLIN, 0}};
        for (int i = 0; i < PROXY_LINKS; i++)
            for (int way = 0; way < 2; way++)
                p[2 + 2 * i + way] = (struct pollfd){proxy.links[i].fd[!way], POLLIN, 0};
        if (poll(p, 2 + 2 * PROXY_LINKS, -1) < 0)
            continue;
        char what;
        if (p[0].revents && read(proxy.stop[0], &what, 1) == 1 && what == 'q')
            return unused;
        for (int i = 0; i < PROXY_LINKS; i++) {
            struct proxy_link *l = &proxy.links[i];
            if (l->fd[0] >= 0 && p[0].revents) {
                proxy_close(l); /* told to cut whatever there is */
                continue;
            }
            for (int way = 0; way < 2 && l->fd[0] >= 0; way++)
                if (p[2 + 2 * i + way].revents && !proxy_pass(l, way))
                    proxy_close(l);
        }
        if (p[0].revents)
            atomic_store(&proxy.close_all, false);
        if (p[1].revents)
            proxy_accept();
    }
}

static void proxy_start(void)
{
    snprintf(proxy.folder, sizeof proxy.folder, "%s/proxy", pg.folder);
    ck_assert(mkdir(proxy.folder, 0700) == 0 || errno == EEXIST);
    struct sockaddr_un at = proxy_address(proxy.folder);
    unlink(at.sun_path);
    proxy.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(proxy.listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(proxy.listener, 16), 0);
    ck_assert_int_eq(pipe(proxy.stop), 0);
    for (int i = 0; i < PROXY_LINKS; i++)
        proxy.links[i] = (struct proxy_link){.fd = {-1, -1}};
    ck_assert_int_eq(pthread_create(&proxy.thread, NULL, proxy_run, NULL), 0);
}

static void proxy_stop(void)
{
    ck_assert_int_eq(write(proxy.stop[1], "q", 1), 1);
    pthread_join(proxy.thread, NULL);
    for (int i = 0; i < PROXY_LINKS; i++)
        if (proxy.links[i].fd[0] >= 0)
            proxy_close(&proxy.links[i]);
    close(proxy.listener);
    close(proxy.stop[0]);
    close(proxy.stop[1]);
}

/* Cuts every connection there is, and returns when that is done. */
static void proxy_cut_all(void)
{
    atomic_store(&proxy.close_all, true);
    ck_assert_int_eq(write(proxy.stop[1], "c", 1), 1);
    while (atomic_load(&proxy.close_all))
        sched_yield();
}

/* From now on messages are counted, and number `at` that way (0 = none) is cut off. */
static void proxy_arm(int way, int at)
{
    for (int i = 0; i < 2; i++)
        atomic_store(&proxy.messages[i], 0);
    atomic_store(&proxy.syncs, 0);
    atomic_store(&proxy.commits, 0);
    atomic_store(&proxy.was_cut, false);
    atomic_store(&proxy.cut_way, way);
    atomic_store(&proxy.cut_at, at);
}

static const char *proxy_url(const char *database)
{
    static char url[224];
    snprintf(url, sizeof url, "postgresql:///%s?host=%s&user=postgres", database, proxy.folder);
    return url;
}

#endif
