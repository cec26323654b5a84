/*
 * bare_loop.c - the least that an epoll server can do: the yardstick for the cost of a request.
 *
 *     build/bench/bare_loop --port 8080
 *
 * One process, one loop. It counts empty lines and sends the same reply for each: no parsing, no
 * routing, no time-outs, no limits. What a real server needs beyond this loop's CPU time per
 * request is what all of that costs. The reply has the bytes of examples/waits' GET /plain.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char reply[] = "HTTP/1.1 200 OK\r\n"
                            "Date: Fri, 13 Mar 2026 12:30:00 GMT\r\n"
                            "Content-Type: text/plain\r\n"
                            "Content-Length: 13\r\n"
                            "\r\n"
                            "Hello, World!";

enum { REPLY_BYTES = sizeof(reply) - 1, PIPELINE_MAX = 512, EVENTS = 256 };

static char in[32768], out[REPLY_BYTES * PIPELINE_MAX];

/* Answers what is there. A request cut in two is not expected from a load generator. */
static void serve(int fd)
{
    ssize_t n = recv(fd, in, sizeof(in), 0);
    if (n <= 0) {
        if (n == 0)
            close(fd);
        return;
    }
    size_t requests = 0;
    for (char *at = in, *end = in + n; (at = memmem(at, (size_t)(end - at), "\r\n\r\n", 4));
         at += 4)
        requests++;
    requests = requests < PIPELINE_MAX ? requests : PIPELINE_MAX;
    if (send(fd, out, requests * REPLY_BYTES, MSG_NOSIGNAL) < 0)
        close(fd);
}

int main(int argc, char **argv)
{
    int port = argc == 3 && strcmp(argv[1], "--port") == 0 ? atoi(argv[2]) : 8080, on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), set = epoll_create1(0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listener, 1024) < 0) {
        perror("bare_loop");
        return 1;
    }
    socklen_t len = sizeof(at);
    getsockname(listener, (struct sockaddr *)&at, &len);
    printf("bare_loop: http://127.0.0.1:%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (int i = 0; i < PIPELINE_MAX; i++)
        memcpy(out + i * REPLY_BYTES, reply, REPLY_BYTES);
    epoll_ctl(set, EPOLL_CTL_ADD, listener,
              &(struct epoll_event){.events = EPOLLIN, .data.fd = listener});
    for (;;) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(set, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                serve(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
                epoll_ctl(set, EPOLL_CTL_ADD, fd,
                          &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.fd = fd});
        }
    }
}
