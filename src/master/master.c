/*
 * master.c - the run: waits for signals, exits and words of the workers, and does what is due.
 *
 *   FIRST_START --all ready--> RUNNING --TERM, QUIT--> DRAINING --empty--> return 0
 *        |                        |                        |
 *        +---- INT, failed -------+-------- INT -----------+--> STOPPING --empty--> return
 *
 * Signals are blocked and read from a descriptor, so nothing here runs at an arbitrary moment and
 * every system call sees whole state. After any event all the step functions run; each looks at
 * the state and does what is due or nothing.
 *
 * The order of a stop: the roles that are not last are asked to leave; when none of their
 * processes is left, the last ones are. A last one that dies before that is started again, because
 * the others still need it to finish.
 *
 * The master does not exit while a worker lives, and it never exits on its own account after the
 * first start.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"

static const int handled[] = {SIGTERM, SIGQUIT, SIGINT,  SIGHUP, SIGUSR1,
                              SIGTTIN, SIGTTOU, SIGCHLD, SIGPIPE};

void *ush_shared_new(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

/* ---- stages --------------------------------------------------------------------------------- */

static bool is_any_left(struct ush__master *m, bool is_last)
{
    USH__EACH_PLACE (m, p)
        if (p->role->is_last == is_last)
            return true;
    return false;
}

static void begin_stop(struct ush__master *m, enum ush__stage how)
{
    if (how <= m->stage)
        return;
    atomic_store(&m->board->is_stopping, true);
    m->stage = how;
    m->is_rolling = false;
    m->stop_by_ns = ush_now_ns() + m->o->drain_ms * (int64_t)USH_MS;
    if (how == USH__DRAINING)
        ush_info("master.drain", "workers finish what they have begun, at most %u s",
                 m->o->drain_ms / 1000);
    else
        ush_info("master.stop", "fast");
    USH__EACH_PLACE (m, p)
        if (!p->role->is_last && (p->post || how == USH__STOPPING))
            ush__place_leave(m, p);
}

/* True when nothing is left. */
static bool stop_step(struct ush__master *m)
{
    if (m->stage < USH__DRAINING || is_any_left(m, false))
        return false;
    USH__EACH_POST (m, post)
        post->role = NULL; /* nobody is started any more */
    USH__EACH_PLACE (m, p)
        if (p->post || (m->stage == USH__STOPPING && !p->is_hurried))
            ush__place_leave(m, p);
    return !is_any_left(m, true);
}

static void first_start_step(struct ush__master *m)
{
    if (m->stage != USH__FIRST_START)
        return;
    USH__EACH_POST (m, post)
        if (!post->place || post->place->state != USH__SERVING)
            return;
    m->stage = USH__RUNNING;
    if (m->o->ready)
        m->o->ready(m->o->ctx);
}

/* ---- events --------------------------------------------------------------------------------- */

static void reopen_log(struct ush__master *m)
{
    if (m->log_fd < 0)
        return;
    int fd = open(m->o->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    if (fd < 0) {
        ush_error("log.reopen", "%s: %s; the old file stays in use", m->o->log_file,
                  strerror(errno));
        return;
    }
    dup3(fd, m->log_fd, O_CLOEXEC);
    close(fd);
}

static void tell_all(struct ush__master *m, enum ush__word word)
{
    USH__EACH_PLACE (m, p)
        ush__place_tell(p, word, 0);
}

static void scale(struct ush__master *m, int by)
{
    for (size_t i = 0; i < m->o->role_count && m->stage == USH__RUNNING; i++) {
        const struct ush_role *role = &m->o->roles[i];
        if (!role->scales)
            continue;
        bool done = by > 0 ? ush__post_add(m, role) : ush__post_drop(m, role);
        if (done)
            ush_info("master.scale", "one '%s' worker %s", role->name, by > 0 ? "more" : "less");
        else
            ush_warn("master.scale", "the number of '%s' workers stays: it is 1 to %d", role->name,
                     USH_WORKERS_MAX);
    }
}

static void reap(struct ush__master *m)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (!ush__trial_ended(m, pid, status))
            ush__place_ended(m, pid, status);
}

static void on_signal(struct ush__master *m, int signo)
{
    switch (signo) {
    case SIGTERM:
    case SIGQUIT:
        begin_stop(m, m->stage >= USH__DRAINING ? USH__STOPPING : USH__DRAINING);
        break;
    case SIGINT:
        begin_stop(m, USH__STOPPING);
        break;
    case SIGHUP:
        reopen_log(m);
        tell_all(m, USH__REOPEN);
        ush__roll_ask(m);
        break;
    case SIGUSR1:
        reopen_log(m);
        tell_all(m, USH__DUMP);
        break;
    case SIGTTIN:
        scale(m, +1);
        break;
    case SIGTTOU:
        scale(m, -1);
        break;
    case SIGCHLD:
        reap(m);
        break;
    }
}

/* One worker that can act on it is told of each process that has ended. */
static void tell_ended(struct ush__master *m)
{
    bool is_due = false, wants = false;
    for (size_t i = 0; i < m->ended_count; i++)
        is_due |= !m->ended[i].told;
    if (!is_due)
        return;
    for (size_t i = 0; i < m->o->role_count; i++)
        wants |= m->o->roles[i].ended != NULL;
    USH__EACH_PLACE (m, p)
        if (p->role->ended && p->state == USH__SERVING) {
            for (size_t i = 0; i < m->ended_count; i++)
                if (!m->ended[i].told) {
                    ush__place_tell(p, USH__PEER, m->ended[i].owner);
                    m->ended[i].told = p->pid;
                }
            return;
        }
    if (!wants)
        m->ended_count = 0;
}

/* ---- the wait ------------------------------------------------------------------------------- */

static int poll_timeout_ms(struct ush__master *m)
{
    int64_t now = ush_now_ns(), sample = USH__SAMPLE_MS * (int64_t)USH_MS;
    int64_t until = m->looked_ns + (m->hang_ns / 4 < sample ? m->hang_ns / 4 : sample);
    USH__EACH_PLACE (m, p)
        ush__sooner(&until, p->limit_ns);
    USH__EACH_POST (m, post)
        if (!post->place && post->retry_ns > now)
            ush__sooner(&until, post->retry_ns);
    if (m->notify.next_ping_ns > now)
        ush__sooner(&until, m->notify.next_ping_ns);
    return until <= now ? 0 : (int)((until - now) / USH_MS) + 1;
}

static void wait_and_hear(struct ush__master *m)
{
    struct pollfd fds[USH_PLACES_MAX + 2];
    struct ush__place *of[USH_PLACES_MAX + 2];
    nfds_t n = 0;
    fds[n++] = (struct pollfd){.fd = m->signals, .events = POLLIN};
    fds[n++] = (struct pollfd){.fd = m->trial_out, .events = POLLIN}; /* -1 is passed over */
    USH__EACH_PLACE (m, p) {
        of[n] = p;
        fds[n++] = (struct pollfd){.fd = p->control, .events = POLLIN};
    }
    if (poll(fds, n, poll_timeout_ms(m)) <= 0)
        return;
    for (nfds_t i = 2; i < n; i++)
        if (fds[i].revents)
            ush__place_hear(m, of[i]);
    if (fds[1].revents)
        ush__trial_hear(m);
    struct signalfd_siginfo info;
    while (fds[0].revents && read(m->signals, &info, sizeof info) == (ssize_t)sizeof info)
        on_signal(m, (int)info.ssi_signo);
}

/* ---- the run -------------------------------------------------------------------------------- */

void ush__child_begin(struct ush__master *m)
{
    USH__EACH_PLACE (m, p)
        if (p->control >= 0)
            close(p->control);
    if (m->trial_out >= 0)
        close(m->trial_out);
    close(m->signals);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int start(struct ush__master *m, sigset_t *ret_old_mask)
{
    const struct ush_master_options *o = m->o;
    size_t block = (o->shared_bytes + 63) & ~(size_t)63;
    m->board = ush_shared_new(sizeof *m->board + block * USH_PLACES_MAX);
    if (!m->board)
        return -ENOMEM;
    m->board->block_bytes = block;
    for (size_t i = 0; i < o->role_count; i++)
        for (uint32_t n = 0; n < o->roles[i].count; n++)
            if (!ush__post_add(m, &o->roles[i]))
                return -EINVAL;
    if (o->log_file) {
        m->log_fd = open(o->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (m->log_fd < 0)
            return -errno;
        ush_log_set_fd(m->log_fd);
    }
    sigset_t mask;
    sigemptyset(&mask);
    for (size_t i = 0; i < USH_COUNT(handled); i++)
        sigaddset(&mask, handled[i]);
    sigprocmask(SIG_BLOCK, &mask, ret_old_mask);
    m->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    return m->signals < 0 ? -errno : 0;
}

static void run(struct ush__master *m)
{
    for (;;) {
        if (m->result < 0)
            begin_stop(m, USH__STOPPING);
        ush__watch(m);
        first_start_step(m);
        ush__roll_step(m);
        ush__posts_staff(m);
        tell_ended(m);
        ush__notify(m);
        if (stop_step(m))
            return;
        wait_and_hear(m);
    }
}

int ush_master_run(const struct ush_master_options *given)
{
    struct ush_master_options o = *given;
    o.drain_ms = o.drain_ms ? o.drain_ms : 75000;
    o.hang_ms = o.hang_ms ? o.hang_ms : 20000;
    struct ush__master *m = calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->o = &o;
    m->pid = getpid();
    m->hang_ns = o.hang_ms * (int64_t)USH_MS;
    m->looked_ns = ush_now_ns();
    m->signals = m->log_fd = m->trial_out = -1;
    ush__notify_init(m);
    sigset_t old_mask;
    sigprocmask(SIG_SETMASK, NULL, &old_mask);
    ush_log_set_role("master");
    m->result = start(m, &old_mask);
    if (m->result == 0) {
        run(m);
        ush_info("master.exit", "all workers have ended");
    }
    if (m->trial_pid)
        kill(m->trial_pid, SIGKILL);
    if (m->signals >= 0)
        close(m->signals);
    if (m->board)
        munmap(m->board, sizeof *m->board + m->board->block_bytes * USH_PLACES_MAX);
    sigprocmask(SIG_SETMASK, &old_mask, NULL);
    int result = m->result;
    free(m); /* the log goes on in its file until the process ends */
    return result;
}
