/*
 * tcp.c - a protocol of its own: whoever connects gets his lines back in capitals.
 *
 *     build/examples/tcp 127.0.0.1:7000, then: nc 127.0.0.1 7000
 *
 * A task per connection, which reads like blocking code. A connection that says nothing for ten
 * seconds ends: each line has a scope with a deadline, and no call takes a time-out of its own.
 */
#include <ctype.h>
#include <stdio.h>

#include "usher/usher.h"

enum { LINE_MAX_BYTES = 1024, CONNECTIONS_MAX = 1000 };

static struct ush_semaphore places;

/* Bytes up to a line's end, at most `max`. The number, 0 at the end, or negative. */
static ssize_t read_line(int fd, char *line, size_t max)
{
    struct ush_scope scope;
    ssize_t n = 0, len = 0;
    ush_scope_open(&scope, &(struct ush_scope_options){
                               .name = "line", .deadline_ns = ush_now_ns() + 10 * USH_SECOND});
    while ((size_t)len < max && (len == 0 || line[len - 1] != '\n') &&
           (n = ush_recv(fd, line + len, max - (size_t)len)) > 0)
        len += n;
    ush_scope_close(&scope);
    return n < 0 ? n : len;
}

static int serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char line[LINE_MAX_BYTES];
    for (ssize_t n; (n = read_line(fd, line, sizeof line)) > 0;) {
        for (ssize_t i = 0; i < n; i++)
            line[i] = (char)toupper((unsigned char)line[i]);
        if (ush_send(fd, line, (size_t)n) < 0)
            break;
    }
    ush_close(fd);
    ush_semaphore_give(&places);
    return 0;
}

static int serve(void *address)
{
    struct ush_scope scope; /* one client that fails does not concern the others */
    int listener = ush_listen(address, USH_BACKLOG);
    if (listener < 0)
        return listener;
    printf("tcp: serves on port %d\n", ush_listener_port(listener));
    fflush(stdout);
    ush_semaphore_init(&places, "places", CONNECTIONS_MAX);
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "clients", .keep_going = true});
    int r;
    while ((r = ush_semaphore_take(&places)) == 0 && (r = ush_accept(listener, NULL)) >= 0) {
        int fd = r;
        if ((r = ush_spawn(&scope, serve_one, (void *)(intptr_t)fd)) < 0) {
            ush_close(fd);
            ush_semaphore_give(&places);
        }
    }
    ush_close(listener);
    ush_scope_close(&scope);
    return r;
}

int main(int argc, char **argv)
{
    struct ush_address at;
    int r = ush_address_parse(ush_text_of(argc > 1 ? argv[1] : "127.0.0.1:7000"), &at);
    if (r == 0)
        r = ush_run(&(struct ush_loop_options){0}, serve, &at);
    return fprintf(stderr, "tcp: %s\n", ush_error_text(r)), 1;
}
