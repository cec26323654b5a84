/*
 * worker.c - the child's side: what happens between the fork and the role's function.
 *
 * The role runs as root task of an epoll loop, inside a scope that the master's words cancel:
 *
 *   DRAIN(by) --> the event that ush_worker_wait_drain waits for; at `by` the scope is cancelled
 *   QUIT      --> the scope is cancelled now
 *   end of file on the control pair (the master is gone) --> as QUIT, and SIGALRM ends the
 *                 process a second later whatever it does
 *
 * The words are read by a callback on the loop's stack, so a worker spends no task on its master.
 *
 * A loop that hangs reads nothing. For it the kernel sends SIGHUP when the master dies; its
 * handler starts the same alarm. A SIGHUP while the master lives comes from a terminal that was
 * closed and is for the master to judge.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "master/master.h"

enum { LAST_SECONDS = 1, DUMP_MAX_BYTES = 1 << 20 };

struct ush_worker {
    const struct ush_master_options *o;
    const struct ush_role *role;
    struct ush__board *board;
    uint32_t place;
    int index;
    int64_t owner;
    char name[48];
    int control;
    int log_fd; /* -1 without a log file */
    int64_t beat_ns;
    struct ush_scope scope; /* around everything the role does */
    struct ush_event drain;
    int64_t done_by_ns;
    bool is_ready, is_quick;
    struct ush_alarm beat, limit;
    struct ush_channel peers; /* identities of ended processes, for role->ended */
    int64_t peer_slots[USH__ENDED];
};

/* ---- the end of the master ------------------------------------------------------------------ */

static pid_t master_pid;

static void on_hangup(int signo __attribute__((unused)))
{
    if (getppid() != master_pid)
        alarm(LAST_SECONDS);
}

static void handle(int signo, void (*fn)(int))
{
    struct sigaction sa = {.sa_handler = fn, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(signo, &sa, NULL);
}

static void arrange_signals(const struct ush_worker *w)
{
    static const int masters_affair[] = {SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2,
                                         SIGTTIN, SIGTTOU, SIGPIPE};
    for (size_t i = 0; i < USH_COUNT(masters_affair); i++)
        handle(masters_affair[i], SIG_IGN);
    handle(SIGALRM, SIG_DFL);
    handle(SIGHUP, on_hangup);
    prctl(PR_SET_PDEATHSIG, SIGHUP);
    if (getppid() != master_pid) /* it died before the line above */
        _exit(1);
    ush__crash_watch(w->name, &w->board->beats[w->place], w->log_fd < 0 ? 2 : w->log_fd);
}

/* ---- words of the master -------------------------------------------------------------------- */

static void quit(struct ush_worker *w)
{
    w->is_quick = true;
    w->done_by_ns = ush_now_ns();
    ush_event_set(&w->drain);
    ush_scope_cancel(&w->scope, USH_CANCEL_SHUTDOWN);
}

static void on_limit(struct ush_alarm *a)
{
    struct ush_worker *w = USH_CONTAINER(a, struct ush_worker, limit);
    ush_warn("worker.limit", "not done in time; what still waits is cancelled");
    quit(w);
}

static void drain(struct ush_worker *w, int64_t by_ns)
{
    if (w->drain.is_set)
        return;
    w->done_by_ns = by_ns;
    ush_event_set(&w->drain);
    ush_alarm_set(&w->limit, by_ns, on_limit);
}

static void reopen_log(struct ush_worker *w)
{
    if (w->log_fd < 0)
        return;
    int fd = open(w->o->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0)
        return; /* the master has said it */
    dup3(fd, w->log_fd, O_CLOEXEC);
    close(fd);
}

static void dump(void)
{
    struct ush_buf text;
    ush_buf_init(&text, DUMP_MAX_BYTES);
    ush_dump(&text);
    ush_text rest = ush_buf_text(&text);
    while (rest.len) {
        ush_text line = ush_text_cut(&rest, '\n');
        ush_info("dump", "%.*s", USH_PR(line));
    }
    if (text.error)
        ush_warn("dump", "longer than %d bytes and cut", DUMP_MAX_BYTES);
    ush_buf_fini(&text);
}

static void obey(struct ush_worker *w, const struct ush__message *msg)
{
    switch (msg->word) {
    case USH__DRAIN:
        drain(w, msg->value);
        break;
    case USH__QUIT:
        quit(w);
        break;
    case USH__DUMP:
        reopen_log(w);
        dump();
        break;
    case USH__REOPEN:
        reopen_log(w);
        break;
    case USH__PEER: /* one too many is left to its lease */
        ush_channel_send_now(&w->peers, &msg->value);
        break;
    }
}

static void on_control(void *ctx, unsigned events __attribute__((unused)))
{
    struct ush_worker *w = ctx;
    for (;;) {
        struct ush__message msg;
        ssize_t n = ush_recv_now(w->control, &msg, sizeof msg);
        if (n == -EAGAIN)
            return;
        if (n != (ssize_t)sizeof msg)
            break;
        obey(w, &msg);
    }
    ush_fd_watch(w->control, NULL, NULL);
    ush_warn("worker.orphan", "the master is gone");
    alarm(LAST_SECONDS);
    quit(w);
}

static void tell_master(struct ush_worker *w, enum ush__word word, int64_t value)
{
    struct ush__message msg = {word, value};
    ush_send_now(w->control, &msg, sizeof msg);
}

/* A TERM to the whole process group must not take the last role from those that need it: that one
 * leaves when the master says so. */
static void on_term(void *ctx, int signo __attribute__((unused)))
{
    struct ush_worker *w = ctx;
    if (!w->role->is_last)
        tell_master(w, USH__LEAVE, 0);
}

/* ---- the loop ------------------------------------------------------------------------------- */

static void on_beat(struct ush_alarm *a)
{
    struct ush_worker *w = USH_CONTAINER(a, struct ush_worker, beat);
    ush_alarm_set(a, ush_now_ns() + w->beat_ns, on_beat); /* the turn itself is the beat */
}

static int hear_of_peers(void *arg)
{
    struct ush_worker *w = arg;
    int64_t owner;
    while (ush_channel_recv(&w->peers, &owner) > 0) {
        w->role->ended(w, w->o->ctx, owner);
        if (ush_cancelled() == 0)
            tell_master(w, USH__SETTLED, owner);
    }
    return 0;
}

static int root(void *arg)
{
    struct ush_worker *w = arg;
    ush_scope_open(&w->scope, &(struct ush_scope_options){.name = w->name, .keep_going = true});
    ush_event_init(&w->drain, "drain");
    ush_channel_init(&w->peers, "ended peers", w->peer_slots, sizeof *w->peer_slots, USH__ENDED);
    int r = ush_fd_open(w->control);
    if (r >= 0)
        r = ush_fd_watch(w->control, on_control, w);
    if (r >= 0)
        r = ush_on_signal(SIGTERM, on_term, w);
    if (r >= 0 && w->role->ended)
        r = ush_spawn(&w->scope, hear_of_peers, w);
    on_beat(&w->beat);
    if (ush_watchdog_start(NULL) < 0) /* a help for people, not a condition of service */
        ush_warn("watchdog.start", "%s: slow tasks will not be named", w->name);
    if (r >= 0)
        r = w->role->run(w, (void *)w->o->ctx);
    if (r < 0 && !w->is_quick)
        ush_error("worker.failed", "%s: %s", w->name, ush_error_text(r));

    ush_scope_cancel(&w->scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&w->scope);
    ush_watchdog_stop();
    ush_alarm_clear(&w->beat);
    ush_alarm_clear(&w->limit);
    ush_close(w->control);
    return w->is_quick ? 0 : r;
}

void ush__worker_main(struct ush__master *m, struct ush__place *p, int control)
{
    master_pid = m->pid;
    static struct ush_worker w; /* one per process; the handlers outlive every frame */
    w = (struct ush_worker){
        .o = m->o,
        .role = p->role,
        .board = m->board,
        .place = (uint32_t)(p - m->places),
        .index = p->index,
        .owner = p->owner,
        .control = control,
        .log_fd = m->log_fd,
        .beat_ns = m->hang_ns / 4,
    };
    snprintf(w.name, sizeof w.name, "%s", ush__place_name(p));
    ush__child_begin(m);
    arrange_signals(&w);
    prctl(PR_SET_NAME, w.name);
    ush_log_set_role(w.name);
    struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL, .beat = &m->board->beats[w.place]};
    int r = ush_run(&o, root, &w);
    fflush(NULL);
    _exit(r < 0 ? 1 : 0);
}

/* ---- what a role asks ----------------------------------------------------------------------- */

const char *ush_worker_name(const struct ush_worker *w)
{
    return w->name;
}

int ush_worker_index(const struct ush_worker *w)
{
    return w->index;
}

int64_t ush_worker_owner(const struct ush_worker *w)
{
    return w->owner;
}

void ush_worker_ready(struct ush_worker *w)
{
    if (w->is_ready)
        return;
    w->is_ready = true;
    if (w->index == 0)
        ush_info("worker.stacks", "an overflow is caught by %s", ush_loop_stats().guards);
    tell_master(w, USH__SERVES, 0);
}

int64_t ush_worker_wait_drain(struct ush_worker *w)
{
    int r = ush_event_wait(&w->drain);
    return r < 0 ? ush_now_ns() : w->done_by_ns;
}

bool ush_worker_is_draining(const struct ush_worker *w)
{
    return w->drain.is_set;
}

bool ush_worker_is_stopping(const struct ush_worker *w)
{
    return w->board->is_stopping;
}

void *ush_worker_shared_at(const struct ush_worker *w, uint32_t place)
{
    return w->board->blocks + place * w->board->block_bytes;
}

void *ush_worker_shared(const struct ush_worker *w)
{
    return ush_worker_shared_at(w, w->place);
}

struct ush_master_counts ush_worker_counts(const struct ush_worker *w)
{
    const struct ush__board *b = w->board;
    return (struct ush_master_counts){b->started, b->died, b->hung, b->serving, b->degraded};
}
