/*
 * watched.h - real masters with real workers, seen through their log.
 *
 * Each test forks a master whose log is a pipe, and waits for lines of it, each with a deadline.
 * Workers take part by logging notes ("note: ..."). The test process is the subreaper, so it also
 * sees what becomes of the workers of a master that was killed.
 */
#ifndef TESTS_MASTER_WATCHED_H
#define TESTS_MASTER_WATCHED_H

/* One test program uses some of these, another the rest. */
#pragma GCC diagnostic ignored "-Wunused-function"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../slow.h"
#include "usher/master.h"

#define PATIENCE_MS allow(15000)

static struct bench {
    struct ush_role roles[3];
    struct ush_master_options o;
    pid_t master;
    int log; /* read end */
    char buf[1 << 16];
    size_t len;
    char line[4096];
} b;

/* What all processes of a test see. */
static struct shared {
    _Atomic int setting; /* what "the settings file" says */
    _Atomic int starts;
    _Atomic int hang;     /* the worker that takes it hangs */
    _Atomic int hang_how; /* 0: obeys SIGABRT, 1: not */
    _Atomic int forgets;  /* who hears of an end first does nothing */
} * world;

static int loaded; /* the setting as the process took it */

/* ---- the observer --------------------------------------------------------------------------- */

static void begin(void)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    b.log = fds[0];
    b.o.roles = b.roles;
    b.master = fork();
    if (b.master == 0) {
        ush_log_init(&(struct ush_log_options){.fd = fds[1], .level = USH_LOG_DEBUG});
        dup2(fds[1], 2);
        close(fds[0]);
        _exit(-ush_master_run(&b.o));
    }
    close(fds[1]);
}

static bool next_line(int64_t deadline_ns)
{
    for (;;) {
        char *end = memchr(b.buf, '\n', b.len);
        if (end) {
            size_t n = (size_t)(end - b.buf);
            snprintf(b.line, sizeof b.line, "%.*s", (int)n, b.buf);
            b.len -= n + 1;
            memmove(b.buf, end + 1, b.len);
            if (getenv("SHOW"))
                fprintf(stderr, "| %s\n", b.line);
            return true;
        }
        int64_t left = deadline_ns - ush_now_ns();
        struct pollfd p = {.fd = b.log, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)(left / USH_MS) + 1) <= 0)
            return false;
        ssize_t n = read(b.log, b.buf + b.len, sizeof b.buf - b.len);
        if (n <= 0)
            return false; /* every process has ended */
        b.len += (size_t)n;
    }
}

/* The next line that has the text; lines before it are passed over. */
static const char *see(const char *text)
{
    int64_t deadline = ush_now_ns() + PATIENCE_MS * USH_MS;
    while (next_line(deadline))
        if (strstr(b.line, text))
            return b.line;
    ck_abort_msg("'%s' did not come", text);
    return NULL;
}

/* Passes over all lines up to the one with `text` and says whether `other` was among them. */
static bool saw_before(const char *other, const char *text)
{
    int64_t deadline = ush_now_ns() + PATIENCE_MS * USH_MS;
    bool saw = false;
    while (next_line(deadline)) {
        if (strstr(b.line, text))
            return saw;
        saw |= strstr(b.line, other) != NULL;
    }
    ck_abort_msg("'%s' did not come", text);
    return false;
}

/* Process id in "worker.start: web 0 is process 123". */
static pid_t see_start(const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "worker.start: %s is process ", name);
    const char *line = see(text);
    return atoi(strstr(line, text) + strlen(text));
}

/* The status the master ends with; the limit is real time. */
static int end_within(int64_t ms)
{
    int64_t deadline = ush_now_ns() + allow(ms) * USH_MS;
    while (next_line(deadline)) /* up to the end of file: nobody lives */
        ;
    ck_assert_msg(ush_now_ns() < deadline, "not ended within %d ms", (int)ms);
    int status;
    ck_assert_int_eq(waitpid(b.master, &status, 0), b.master);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(waitpid(-1, NULL, 0), -1); /* and left nobody behind */
    return WEXITSTATUS(status);
}

static void finish(void)
{
    if (b.master > 0)
        kill(b.master, SIGKILL);
}

/* ---- workers -------------------------------------------------------------------------------- */

static int spin(void *how)
{
    sigset_t abort_only;
    sigemptyset(&abort_only);
    sigaddset(&abort_only, SIGABRT);
    if (how)
        sigprocmask(SIG_BLOCK, &abort_only, NULL);
    for (;;)
        __asm__ volatile("" ::: "memory");
    return 0;
}

/* Serves until drained, then takes `*(int *)ctx` ms to finish. */
static int web(struct ush_worker *w, void *ctx)
{
    int *slow_ms = ctx;
    world->starts++;
    ush_worker_ready(w);
    if (atomic_exchange(&world->hang, 0)) {
        struct ush_scope s;
        ush_scope_open(&s, NULL);
        ush_spawn_with(&s, &(struct ush_spawn_options){.name = "GET /endless", .site = "here"},
                       spin, world->hang_how ? w : NULL);
        ush_scope_close(&s);
    }
    int64_t by = ush_worker_wait_drain(w);
    ck_assert(ush_worker_is_draining(w));
    ush_info("note", "draining %s", ush_worker_name(w));
    int r = slow_ms ? ush_sleep(*slow_ms * (int64_t)USH_MS) : 0;
    ush_info("note", "finished %s with %d, %s", ush_worker_name(w), r,
             ush_now_ns() < by ? "in time" : "late");
    return 0;
}

static int plain(struct ush_worker *w, void *ctx __attribute__((unused)))
{
    ush_worker_ready(w);
    ush_worker_wait_drain(w);
    ush_info("note", "%s of setting %d drained", ush_worker_name(w), loaded);
    return 0;
}

static int dies_at_once(struct ush_worker *w, void *ctx __attribute__((unused)))
{
    ush_worker_ready(w);
    raise(SIGSEGV);
    return 0;
}

static int refuses(struct ush_worker *w __attribute__((unused)), void *ctx __attribute__((unused)))
{
    return -EACCES;
}

static int by_setting(struct ush_worker *w, void *ctx)
{
    return loaded == 2 ? -EACCES : plain(w, ctx);
}

static int check(void *ctx __attribute__((unused)))
{
    if (world->setting >= 0)
        return 0;
    fprintf(stderr, "the setting is %d\n", world->setting);
    return USH_EINVAL;
}

static void reload(void *ctx __attribute__((unused)))
{
    loaded = world->setting;
}

static void say_ready(void *ctx __attribute__((unused)))
{
    ush_info("note", "all ready");
}

static void say_ended(struct ush_worker *w, void *ctx __attribute__((unused)), int64_t owner)
{
    ush_yield(); /* it is in a task */
    ush_info("note", "%s heard of the end of %lld", ush_worker_name(w), (long long)owner);
}

/* The first of all that hears of an end does not come to see to it. */
static void see_to_it(struct ush_worker *w, void *ctx __attribute__((unused)), int64_t owner)
{
    ush_info("note", "%s hears of %lld", ush_worker_name(w), (long long)owner);
    if (atomic_exchange(&world->forgets, 0)) {
        ush_info("note", "%s forgets it in process %d", ush_worker_name(w), (int)getpid());
        ush_sleep(60 * USH_SECOND);
    }
    ush_info("note", "%s has seen to %lld", ush_worker_name(w), (long long)owner);
}

static void webs(uint32_t n)
{
    memset(&b, 0, sizeof b);
    world = ush_shared_new(sizeof *world);
    loaded = 0;
    b.roles[0] = (struct ush_role){"web", n, .scales = true, .run = web};
    b.o = (struct ush_master_options){.role_count = 1, .ready = say_ready};
}

#endif
