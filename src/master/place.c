/*
 * place.c - one worker process from fork to exit, and the posts that are given to them.
 *
 * Invariants
 *  1. A place that is not FREE has a live or unreaped child; only ush__place_ended frees it.
 *  2. post->place is STARTING or SERVING, post->successor is STARTING, and both point back by
 *     place->post. A LEAVING place has no post.
 *  3. The master's end of a control pair is open in the master alone. Every child closes what it
 *     inherited of them, so the end of the master is an end of file in each worker.
 *  4. The post of a role that is_last has one process at a time: the next is not forked before the
 *     one before it is reaped.
 *
 * Back-off. A death waits 0.1 s; each further *early* death (before being ready, or by its own
 * doing within a second after it) doubles that up to 10 s. Five deaths in 30 s make the post
 * degraded: it is said once, counted on the scoreboard, and early deaths then wait 10 s. A worker
 * that served well before it died, or was killed from outside once it served, is replaced after
 * 0.1 s however often that happens: the wait protects the machine from a worker that cannot start,
 * not the world from one that is killed again and again.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/master.h"

const char *ush__place_name(const struct ush__place *p)
{
    static char name[64];
    snprintf(name, sizeof name, "%.40s %d", p->role->name, p->index);
    return name;
}

static int64_t new_owner(void)
{
    int64_t owner = 0;
    while (owner <= 0)
        if (getrandom(&owner, sizeof owner, 0) == sizeof owner)
            owner &= INT64_MAX;
    return owner;
}

static struct ush__place *free_place(struct ush__master *m)
{
    for (struct ush__place *p = m->places; p < m->places + USH_PLACES_MAX; p++)
        if (p->state == USH__FREE)
            return p;
    return NULL;
}

struct ush__place *ush__place_start(struct ush__master *m, struct ush__post *post)
{
    struct ush__place *p = free_place(m);
    int pair[2];
    if (!p || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return NULL;
    struct ush_beat *beat = &m->board->beats[p - m->places];
    int64_t now = ush_now_ns();
    *p = (struct ush__place){
        .state = USH__STARTING,
        .role = post->role,
        .index = post->index,
        .post = post,
        .control = pair[0],
        .owner = new_owner(),
        .generation = m->generation,
        .limit_ns = now + USH__READY_MS * (int64_t)USH_MS,
        .turns = beat->turns,
        .moved_ns = now,
    };
    beat->in_task = 0;
    beat->tasks = 0;
    beat->task[0] = 0;
    fflush(NULL); /* or the child would write the buffers once more */
    p->pid = fork();
    if (p->pid < 0) {
        int error = errno;
        ush_error("worker.fork", "%s cannot be started: %s", ush__place_name(p), strerror(error));
        close(pair[0]);
        close(pair[1]);
        p->state = USH__FREE;
        return NULL;
    }
    if (p->pid == 0) {
        close(pair[0]);
        p->control = -1;
        ush__worker_main(m, p, pair[1]);
    }
    close(pair[1]);
    m->board->started++;
    ush_info("worker.start", "%s is process %d", ush__place_name(p), (int)p->pid);
    return p;
}

void ush__place_tell(struct ush__place *p, enum ush__word word, int64_t value)
{
    if (p->control < 0)
        return;
    struct ush__message msg = {word, value};
    /* A worker that does not read is a case for the watchdog. */
    ssize_t sent = send(p->control, &msg, sizeof msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent;
}

void ush__place_kill(struct ush__place *p)
{
    p->is_killed = true;
    p->limit_ns = USH_NEVER;
    kill(p->pid, SIGKILL);
}

static void count_serving(struct ush__master *m)
{
    uint32_t n = 0;
    USH__EACH_PLACE (m, p)
        n += p->state == USH__SERVING;
    m->board->serving = n;
}

void ush__place_leave(struct ush__master *m, struct ush__place *p)
{
    int64_t now = ush_now_ns(), fast = USH__FAST_MS * (int64_t)USH_MS;
    if (m->stage == USH__STOPPING) {
        p->is_hurried = true;
        ush__place_tell(p, USH__QUIT, 0);
        if (!p->is_killed)
            p->limit_ns = now + fast;
    } else {
        int64_t by = m->stage == USH__DRAINING && !p->role->is_last
                         ? m->stop_by_ns
                         : now + m->o->drain_ms * (int64_t)USH_MS;
        ush__place_tell(p, USH__DRAIN, by);
        p->limit_ns = by + fast;
    }
    if (p->post && p->post->place == p)
        p->post->place = NULL;
    if (p->post && p->post->successor == p)
        p->post->successor = NULL;
    p->post = NULL;
    p->state = USH__LEAVING;
    count_serving(m);
}

static void became_ready(struct ush__master *m, struct ush__place *p)
{
    if (p->state != USH__STARTING)
        return;
    p->state = USH__SERVING;
    p->ready_ns = p->moved_ns = ush_now_ns();
    p->limit_ns = USH_NEVER;
    ush_info("worker.ready", "%s serves", ush__place_name(p));
    struct ush__post *post = p->post;
    if (post->successor == p) {
        struct ush__place *old = post->place;
        post->place = p;
        post->successor = NULL;
        if (old)
            ush__place_leave(m, old);
    }
    count_serving(m);
}

static void ended_settled(struct ush__master *m, int64_t owner)
{
    size_t kept = 0;
    for (size_t i = 0; i < m->ended_count; i++)
        if (m->ended[i].owner != owner)
            m->ended[kept++] = m->ended[i];
    m->ended_count = kept;
}

void ush__place_hear(struct ush__master *m, struct ush__place *p)
{
    struct ush__message msg;
    for (;;) {
        ssize_t n = recv(p->control, &msg, sizeof msg, MSG_DONTWAIT);
        if (n == (ssize_t)sizeof msg) {
            if (msg.word == USH__SERVES)
                became_ready(m, p);
            else if (msg.word == USH__LEAVE && p->state != USH__LEAVING)
                ush__place_leave(m, p);
            else if (msg.word == USH__SETTLED)
                ended_settled(m, msg.value);
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        close(p->control); /* it has ended, or is about to */
        p->control = -1;
        return;
    }
}

/* ---- the end of one ------------------------------------------------------------------------- */

static void say_how_it_ended(const struct ush__master *m, const struct ush__place *p, int status)
{
    char how[96];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof how, "killed by signal %d (%s)%s", WTERMSIG(status),
                 strsignal(WTERMSIG(status)), WCOREDUMP(status) ? ", core dumped" : "");
    else
        snprintf(how, sizeof how, "exit status %d", WEXITSTATUS(status));
    const struct ush_beat *beat = &m->board->beats[p - m->places];
    bool was_asked = p->state == USH__LEAVING || m->stage >= USH__DRAINING;
    bool is_fine = was_asked && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    ush_log(is_fine ? USH_LOG_INFO : USH_LOG_ERROR, "worker.exit", "%s (%d): %s%s%.47s%s",
            ush__place_name(p), (int)p->pid, how,
            is_fine         ? ""
            : beat->in_task ? ", in the task '"
                            : ", last in the task '",
            is_fine ? "" : beat->task, is_fine ? "" : "'");
}

/* Counts the death and sets when the post may be given again. */
static void back_off(struct ush__master *m, struct ush__post *post, const struct ush__place *p,
                     int status)
{
    int64_t now = ush_now_ns();
    bool by_others = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    bool was_early =
        !p->ready_ns || (!by_others && now - p->ready_ns < USH__EARLY_MS * (int64_t)USH_MS);
    post->early = was_early ? post->early + 1 : 0;
    post->deaths_ns[post->death_count++ % USH__DEATHS] = now;
    int64_t oldest = post->deaths_ns[post->death_count % USH__DEATHS];
    bool is_degraded =
        post->death_count >= USH__DEATHS && now - oldest < USH__DEATHS_MS * (int64_t)USH_MS;
    if (is_degraded != post->is_degraded) {
        m->board->degraded += is_degraded ? 1 : -1U;
        post->is_degraded = is_degraded;
        if (is_degraded)
            ush_error("worker.degraded", "%s died %d times within %d s", ush__place_name(p),
                      USH__DEATHS, USH__DEATHS_MS / 1000);
    }
    int64_t wait_ms = USH__RETRY_MS;
    if (post->early >= USH__DEATHS)
        wait_ms = USH__RETRY_MAX_MS;
    else if (post->early)
        wait_ms <<= post->early - 1;
    post->retry_ns = now + wait_ms * USH_MS;
}

/* In the first start nobody is served yet: a worker that says it cannot start (a setting, the
 * database) is better heard at once. */
static void fail_start(struct ush__master *m, const struct ush__place *p)
{
    ush_error("master.start", "%s ended before it was ready: giving up", ush__place_name(p));
    m->result = -ECHILD;
}

bool ush__place_ended(struct ush__master *m, pid_t pid, int status)
{
    struct ush__place *p = NULL;
    USH__EACH_PLACE (m, each)
        if (each->pid == pid)
            p = each;
    if (!p)
        return false;
    if (p->control >= 0) /* its last words may still lie there */
        ush__place_hear(m, p);
    say_how_it_ended(m, p, status);
    if (p->control >= 0)
        close(p->control);
    for (size_t i = 0; i < m->ended_count; i++)
        if (m->ended[i].told == pid) /* it may not have come to it */
            m->ended[i].told = 0;
    if (m->ended_count == USH__ENDED) /* the lease will do */
        ended_settled(m, m->ended[0].owner);
    m->ended[m->ended_count].owner = p->owner;
    m->ended[m->ended_count++].told = 0;

    struct ush__post *post = p->post;
    if (post) {
        m->board->died++;
        back_off(m, post, p, status);
        if (m->stage == USH__FIRST_START && (WIFEXITED(status) || post->early >= USH__DEATHS))
            fail_start(m, p);
        if (post->place == p)
            post->place = NULL;
        if (post->successor == p) {
            post->successor = NULL;
            m->is_rolling = false;
            ush_error("roll.stop", "the new %s did not become ready; the old workers stay",
                      ush__place_name(p));
        }
        if (!post->place && post->successor) {
            post->place = post->successor;
            post->successor = NULL;
        }
    }
    p->state = USH__FREE;
    count_serving(m);
    return true;
}

/* ---- posts ---------------------------------------------------------------------------------- */

static bool someone_does(struct ush__master *m, const struct ush__post *post)
{
    USH__EACH_PLACE (m, p)
        if (p->role == post->role && p->index == post->index)
            return true;
    return false;
}

static bool last_roles_serve(struct ush__master *m)
{
    USH__EACH_POST (m, post)
        if (post->role->is_last && (!post->place || post->place->state != USH__SERVING))
            return false;
    return true;
}

static bool may_be_given(struct ush__master *m, const struct ush__post *post)
{
    if (post->role->is_last)
        return m->stage != USH__STOPPING && !someone_does(m, post);
    return m->stage == USH__RUNNING || (m->stage == USH__FIRST_START && last_roles_serve(m));
}

void ush__posts_staff(struct ush__master *m)
{
    int64_t now = ush_now_ns();
    USH__EACH_POST (m, post)
        if (!post->place && now >= post->retry_ns && may_be_given(m, post)) {
            post->place = ush__place_start(m, post);
            if (!post->place)
                post->retry_ns = now + USH__RETRY_MAX_MS * (int64_t)USH_MS / 10;
        }
}

bool ush__post_add(struct ush__master *m, const struct ush_role *role)
{
    int index = 0;
    struct ush__post *empty = NULL;
    for (struct ush__post *p = m->posts; p < m->posts + USH__POSTS_MAX; p++)
        if (p->role == role)
            index++; /* posts of a role are numbered without a gap */
        else if (!p->role && !empty)
            empty = p;
    if (index >= USH_WORKERS_MAX || !empty || (role->is_last && index))
        return false;
    *empty = (struct ush__post){.role = role, .index = index};
    return true;
}

bool ush__post_drop(struct ush__master *m, const struct ush_role *role)
{
    struct ush__post *last = NULL;
    USH__EACH_POST (m, p)
        if (p->role == role && (!last || p->index > last->index))
            last = p;
    if (!last || last->index == 0)
        return false;
    if (last->is_degraded)
        m->board->degraded--;
    if (last->successor)
        ush__place_leave(m, last->successor);
    if (last->place)
        ush__place_leave(m, last->place);
    last->role = NULL;
    return true;
}
