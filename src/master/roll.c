/*
 * roll.c - HUP: new settings reach the workers without a request being refused.
 *
 *   HUP --> trial process judges the settings --bad--> its text is logged, nothing changes
 *                 | good
 *                 v
 *           reload() in the master, generation + 1
 *                 |
 *        +--> a post whose worker is of an older generation: --none left--> done
 *        |        | start a successor
 *        |        v
 *        +--- successor ready: the old one drains      successor dies: the roll stops,
 *                                                      old workers of other posts stay
 *
 * The trial is a process because judging may open files, connect or crash, and the master must not
 * do any of that. It has 30 seconds.
 *
 * A post that is empty when its turn comes needs no step: whoever is started gets the new
 * settings. Roles that are last come last, and the old process ends before the new one starts;
 * what the others ask of it meanwhile waits in its socket.
 *
 * A HUP that comes while a trial or a roll is under way starts over when that is done.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"

static void begin_roll(struct ush__master *m)
{
    if (m->o->reload)
        m->o->reload(m->o->ctx);
    m->generation++;
    m->is_rolling = true;
    ush_info("roll.start", "the workers are replaced one by one");
}

void ush__roll_ask(struct ush__master *m)
{
    if (m->stage != USH__RUNNING)
        return;
    if (m->trial_pid || m->is_rolling) {
        m->hup_again = true;
        return;
    }
    if (!m->o->check) {
        begin_roll(m);
        return;
    }
    int out[2];
    if (pipe2(out, O_CLOEXEC | O_NONBLOCK) < 0) {
        ush_error("roll.refused", "no pipe for the trial: %s", strerror(errno));
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        ush__child_begin(m);
        dup2(out[1], STDOUT_FILENO);
        dup2(out[1], STDERR_FILENO);
        ush_log_set_fd(STDERR_FILENO);
        _exit(m->o->check(m->o->ctx) < 0 ? 1 : 0);
    }
    close(out[1]);
    if (pid < 0) {
        ush_error("roll.refused", "no process for the trial: %s", strerror(errno));
        close(out[0]);
        return;
    }
    m->trial_pid = pid;
    m->trial_out = out[0];
    m->trial_len = 0;
    m->trial_limit_ns = ush_now_ns() + USH__TRIAL_MS * (int64_t)USH_MS;
}

void ush__trial_hear(struct ush__master *m)
{
    for (;;) {
        char rest[512], *to = rest;
        size_t room = sizeof m->trial_text - m->trial_len;
        if (room)
            to = m->trial_text + m->trial_len;
        ssize_t n = read(m->trial_out, to, room ? room : sizeof rest);
        if (n > 0 && room)
            m->trial_len += (size_t)n;
        if (n > 0 || (n < 0 && errno == EINTR))
            continue;
        if (n == 0 || errno != EAGAIN) {
            close(m->trial_out);
            m->trial_out = -1;
        }
        return;
    }
}

bool ush__trial_ended(struct ush__master *m, pid_t pid, int status)
{
    if (pid != m->trial_pid)
        return false;
    if (m->trial_out >= 0)
        ush__trial_hear(m);
    if (m->trial_out >= 0)
        close(m->trial_out);
    m->trial_out = -1;
    m->trial_pid = 0;
    if (m->stage != USH__RUNNING)
        return true;
    ush_text said = {m->trial_text, m->trial_len};
    bool is_good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    while (said.len) {
        ush_text line = ush_text_trim(ush_text_cut(&said, '\n'));
        if (line.len)
            ush_log(is_good ? USH_LOG_INFO : USH_LOG_ERROR, "roll.check", "%.*s", USH_PR(line));
    }
    if (is_good)
        begin_roll(m);
    else if (WIFSIGNALED(status))
        ush_error("roll.refused", "the check of the settings was ended by signal %d (%s)",
                  WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        ush_error("roll.refused", "the settings are not good; everything stays as it was");
    return true;
}

static struct ush__post *next_to_roll(struct ush__master *m)
{
    struct ush__post *last = NULL;
    USH__EACH_POST (m, post) {
        if (!post->place || post->place->generation == m->generation)
            continue;
        if (!post->role->is_last)
            return post;
        last = post;
    }
    return last;
}

/* True while a worker is on its way, or the place of a last one is empty. */
static bool must_wait(struct ush__master *m)
{
    USH__EACH_PLACE (m, p)
        if (p->state == USH__STARTING)
            return true;
    USH__EACH_POST (m, post)
        if (post->role->is_last && !post->place)
            return true;
    return false;
}

static void step(struct ush__master *m)
{
    if (must_wait(m))
        return;
    struct ush__post *post = next_to_roll(m);
    if (!post) {
        m->is_rolling = false;
        ush_info("roll.done", "every worker has the new settings");
    } else if (post->role->is_last) {
        ush__place_leave(m, post->place);
    } else {
        post->successor = ush__place_start(m, post); /* without a place: again a second later */
    }
}

void ush__roll_step(struct ush__master *m)
{
    if (m->trial_pid && ush_now_ns() > m->trial_limit_ns) {
        ush_error("roll.refused", "the check of the settings took more than %d s",
                  USH__TRIAL_MS / 1000);
        m->trial_limit_ns = USH_NEVER;
        kill(m->trial_pid, SIGKILL);
    }
    if (m->stage != USH__RUNNING)
        return;
    if (m->is_rolling)
        step(m);
    if (m->hup_again && !m->trial_pid && !m->is_rolling) {
        m->hup_again = false;
        ush__roll_ask(m);
    }
}
