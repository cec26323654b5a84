/*
 * crowd.c - many connections at once: one request on each, then silence.
 *
 *     build/bench/crowd --port 8080 --connections 10000 --path '/wait?ms=2000'
 *
 * Opens all connections first, then sends one GET on each, all together, and waits for the whole
 * answers. Events are lines on standard output, each flushed, so that a script can look at the
 * server's memory at the right moment:
 *
 *     connected 10000
 *     sent 10000 0.041        all requests are on their way, after so many seconds
 *     answered 10000 2.052    all answers are there, counted from the first sending
 *     errors 0
 *
 * With --hold the connections stay open and idle until standard input ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_S = 60 };

struct one {
    int fd;
    bool connected, answered;
    uint32_t got, want; /* want 0: the head is not whole yet */
    char head[512];
};

static struct {
    int port, connections;
    const char *path;
    bool hold;
} opt = {.port = 8080, .connections = 1000, .path = "/"};

static struct one *all;
static int poll_fd, connected, answered, errors;
static char request[512];
static int request_len;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(struct one *o)
{
    close(o->fd);
    o->fd = -1;
    errors++;
}

static void open_one(struct one *o)
{
    o->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)opt.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (o->fd < 0 ||
        (connect(o->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)) {
        perror("crowd: connect");
        exit(1);
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = o};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, o->fd, &e);
}

/* Reads what is there; counts the answer once all of it has come. */
static void read_one(struct one *o)
{
    char rest[4096];
    while (o->fd >= 0 && !o->answered) {
        char *to = o->want ? rest : o->head + o->got;
        size_t room = o->want ? sizeof rest : sizeof o->head - 1 - o->got;
        ssize_t n = recv(o->fd, to, room, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            fail(o);
            return;
        }
        o->got += (uint32_t)n;
        if (o->want == 0) {
            o->head[o->got] = '\0';
            char *end = strstr(o->head, "\r\n\r\n");
            char *length = strcasestr(o->head, "\r\ncontent-length:");
            if (!end)
                continue;
            if (!length || strncmp(o->head, "HTTP/1.1 200", 12) != 0) {
                fail(o);
                return;
            }
            o->want = (uint32_t)(end + 4 - o->head) + (uint32_t)atoi(length + 17);
        }
        if (o->got >= o->want) {
            o->answered = true;
            answered++;
        }
    }
}

static void poll_once(int wait_ms)
{
    struct epoll_event events[1024];
    int n = epoll_wait(poll_fd, events, 1024, wait_ms);
    for (int i = 0; i < n; i++) {
        struct one *o = events[i].data.ptr;
        if (o->fd < 0)
            continue;
        if (events[i].events & (EPOLLERR | EPOLLHUP)) {
            fail(o);
            continue;
        }
        if (!o->connected && (events[i].events & EPOLLOUT)) {
            o->connected = true;
            connected++;
        }
        if (events[i].events & EPOLLIN)
            read_one(o);
    }
}

static void say(const char *word, int n, double since)
{
    printf("%s %d %.3f\n", word, n, now_s() - since);
    fflush(stdout);
}

static int run(void)
{
    double start = now_s();
    for (int i = 0; i < opt.connections; i++) {
        open_one(&all[i]);
        /* Never more at once than a listening queue holds. */
        while (i + 1 - connected - errors > 500 && now_s() - start < LIMIT_S)
            poll_once(10);
    }
    while (connected + errors < opt.connections && now_s() - start < LIMIT_S)
        poll_once(10);
    say("connected", connected, start);

    start = now_s();
    for (int i = 0; i < opt.connections; i++) {
        if (all[i].fd >= 0 && send(all[i].fd, request, (size_t)request_len, MSG_NOSIGNAL) < 0)
            fail(&all[i]);
        if (i % 64 == 0)
            poll_once(0);
    }
    say("sent", opt.connections, start);
    /* It never sleeps while answers come: to wake a sleeper on another core is work for the one who
     * sends, here the server, and real clients do not sleep on the server's machine. */
    while (answered + errors < opt.connections && now_s() - start < LIMIT_S)
        poll_once(0);
    say("answered", answered, start);
    printf("errors %d\n", opt.connections - answered);
    fflush(stdout);
    if (opt.hold) {
        char c;
        while (read(0, &c, 1) > 0)
            ;
    }
    return answered == opt.connections ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", 1, 0, 'p'},
                                            {"connections", 1, 0, 'c'},
                                            {"path", 1, 0, 'u'},
                                            {"hold", 0, 0, 'h'},
                                            {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == 'p')
            opt.port = atoi(optarg);
        else if (o == 'c')
            opt.connections = atoi(optarg);
        else if (o == 'u')
            opt.path = optarg;
        else if (o == 'h')
            opt.hold = true;
        else {
            fprintf(stderr, "usage: crowd --port P --connections N --path PATH [--hold]\n");
            return 2;
        }
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    request_len =
        snprintf(request, sizeof request,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: crowd\r\n\r\n", opt.path);
    all = calloc((size_t)opt.connections, sizeof *all);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!all || poll_fd < 0) {
        perror("crowd");
        return 1;
    }
    return run();
}
