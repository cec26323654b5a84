/*
 * watch.c - the watchdog: it looks at the workers from outside.
 *
 * Every loop raises the number of turns in its beat when it turns, and an alarm in the worker sees
 * to it that an idle loop turns too (worker.c). So a number that stands still for hang_ms means a
 * task that computes or blocks without giving way, and the beat has its name: it goes to the log,
 * SIGABRT makes the process say where it stands (crash.c), and five seconds later SIGKILL ends
 * what is left. The post is given anew as after any death.
 *
 * The beat costs the worker no clock and no system call: a store per resume to a cache line of its
 * own.
 *
 * If the master itself did not look for more than five seconds, the machine was suspended or
 * starved, and the workers are given a fresh start: this round proves nothing.
 */
#include <signal.h>

#include "master/master.h"

static void look(struct ush__master *m, struct ush__place *p, int64_t now)
{
    struct ush_beat *beat = &m->board->beats[p - m->places];
    uint64_t turns = beat->turns;
    if (turns != p->turns) {
        p->turns = turns;
        p->moved_ns = now;
        return;
    }
    if (now - p->moved_ns < m->hang_ns || p->is_aborted)
        return;
    p->is_aborted = true;
    m->board->hung++;
    ush_error("worker.hung", "%s (%d) has not moved for %.1f s %s '%.47s'; it is replaced",
              ush__place_name(p), (int)p->pid, (double)(now - p->moved_ns) / 1e9,
              beat->in_task ? "in the task" : "after the task", beat->task);
    kill(p->pid, SIGABRT);
    ush__sooner(&p->limit_ns, now + USH__ABORT_MS * (int64_t)USH_MS);
}

static void enforce_limit(struct ush__place *p)
{
    ush_error("worker.kill", "%s (%d) %s: SIGKILL", ush__place_name(p), (int)p->pid,
              p->is_aborted               ? "did not end after SIGABRT"
              : p->state == USH__STARTING ? "was not ready in time"
                                          : "did not leave in time");
    ush__place_kill(p);
}

void ush__watch(struct ush__master *m)
{
    int64_t now = ush_now_ns(), gap = now - m->looked_ns;
    USH__EACH_PLACE (m, p)
        if (now >= p->limit_ns && !p->is_killed)
            enforce_limit(p);

    if (gap < USH__SAMPLE_MS * (int64_t)USH_MS && gap < m->hang_ns / 4)
        return;
    m->looked_ns = now;
    bool has_slept = gap > USH__GAP_MS * (int64_t)USH_MS;
    USH__EACH_PLACE (m, p) {
        if (has_slept)
            p->moved_ns = now;
        else if (p->state != USH__STARTING && !p->is_killed)
            look(m, p, now);
        struct ush__post *post = p->post;
        if (post && post->is_degraded && p->state == USH__SERVING &&
            now - p->ready_ns > USH__DEATHS_MS * (int64_t)USH_MS) {
            post->is_degraded = false;
            m->board->degraded--;
            ush_info("worker.recovered", "%s serves again", ush__place_name(p));
        }
    }
}
