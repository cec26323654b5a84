/*
 * server.h - a writer in a process of its own, for tests: started, killed, started again, while
 * the listening socket stays with the test as it stays with the master in service.
 */
#ifndef TESTS_SQL_SERVER_H
#define TESTS_SQL_SERVER_H

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "notes.h"

struct server {
    const char *url;
    int listener;
    int ready[2]; /* a byte when a writer serves */
    struct ush_writer_options options;
};

static inline void server_init(struct server *s, const char *url)
{
    *s = (struct server){.url = url};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    ck_assert_int_eq(ush_writer_socket(url, at.sun_path), 0);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(s->listener, 0);
    ck_assert_int_eq(bind(s->listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(s->listener, 64), 0);
    ck_assert_int_eq(pipe(s->ready), 0);
    s->options = (struct ush_writer_options){
        .url = url, .operations = note_operations, .listener = s->listener};
}

static inline void say_ready(void *ctx)
{
    struct server *s = ctx;
    ck_assert_int_eq(write(s->ready[1], "r", 1), 1);
}

static inline void stop_writer(void *ctx, int signo __attribute__((unused)))
{
    ush_scope_cancel(ctx, USH_CANCEL_SHUTDOWN);
}

static inline int run_writer(void *arg)
{
    struct server *s = arg;
    s->options.ready = say_ready;
    s->options.ctx = s;
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    ush_on_signal(SIGTERM, stop_writer, &scope);
    int r = ush_writer_run(&s->options);
    ush_scope_close(&scope);
    return r;
}

/* Waits for a byte, at most 20 s. */
static inline bool has_byte(int fd, int wait_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&p, 1, wait_ms) == 1 && read(fd, &byte, 1) == 1;
}

/* A child of a test must not go on with the test's own story. */
static inline pid_t fork_running(int (*fn)(void *), void *arg)
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        int r = fn(arg);
        if (r < 0)
            fprintf(stderr, "a child ended with %s\n", ush_error_text(r));
        _exit(r < 0 ? 1 : r);
    }
    return pid;
}

static inline int writer_process(void *arg)
{
    return in_loop(run_writer, arg);
}

static inline pid_t server_start(struct server *s)
{
    pid_t pid = fork_running(writer_process, s);
    ck_assert_msg(has_byte(s->ready[0], (int)allow(20000)), "no writer in 20 s");
    return pid;
}

/* Sends the signal and returns how the process ended, as waitpid says. */
static inline int server_stop(pid_t pid, int signo)
{
    int status;
    ck_assert_int_eq(kill(pid, signo), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status;
}

static inline int migrate_notes(void *arg)
{
    ush_db_close(open_notes(arg));
    return 0;
}

static inline int count_notes(void *arg)
{
    struct ush_db *db = open_notes(*(const char **)arg);
    int n = (int)notes_stored(db);
    ush_db_close(db);
    return n;
}

static inline struct ush_db *open_as(const char *url, enum ush_db_role role, int *ret_error)
{
    struct ush_db_options o = {.url = url,
                               .role = role,
                               .operations = note_operations,
                               .writer_wait_ms = (uint32_t)allow(20000)};
    return ush_db_open(&o, ret_error);
}

#endif
