/*
 * callbacks.c - an event loop written by hand: one thread, a ready queue, callbacks.
 *
 * Nobody blocks. A call is begun and the loop goes on with the next student; when the operating
 * system says that a socket is ready, the callback that belongs to it is put into the ready queue.
 * What was four lines in a row is now one function per step, and what a student needs between the
 * steps has to be kept in a record by hand.
 *
 *   begin --connect--> on_connected --write--> on_answer --> done
 */
#include "lab/scenes.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

LAB_SOURCE(callbacks);

struct visit; /* what would be local variables */
typedef void (*step)(struct visit *);

struct visit {
    struct lab *lab;
    uint32_t student;
    int fd;
    step next;
    struct visit *ready; /* behind this one in the ready queue */
};

static int epoll, left;
static struct visit *first, **last = &first;

static void make_ready(struct visit *v)
{
    v->ready = NULL;
    *last = v;
    last = &v->ready;
}

static void done(struct visit *v)
{
    lab_note(v->lab, v->student, LAB_ENDS, 0);
    if (v->fd >= 0)
        close(v->fd);
    left--;
}

static void fail(struct visit *v)
{
    lab_fail(v->lab, "the call", errno ? -errno : -EPIPE);
    done(v);
}

static void wait_for(struct visit *v, uint32_t events, step next)
{
    struct epoll_event e = {.events = events | EPOLLONESHOT, .data.ptr = v};
    lab_note(v->lab, v->student, LAB_WAITS, 0);
    v->next = next;
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, v->fd, &e) < 0 &&
        epoll_ctl(epoll, EPOLL_CTL_ADD, v->fd, &e) < 0)
        fail(v);
}

static void on_answer(struct visit *v)
{
    char answer = 0;
    lab_note(v->lab, v->student, LAB_RUNS, 0);
    if (read(v->fd, &answer, 1) != 1 || lab_mail_verdict(answer) < 0)
        fail(v);
    else
        done(v);
}

static void on_connected(struct visit *v)
{
    lab_note(v->lab, v->student, LAB_RUNS, 0);
    if (write(v->fd, &v->student, sizeof v->student) != sizeof v->student)
        fail(v);
    else
        wait_for(v, EPOLLIN, on_answer);
}

static void begin(struct visit *v)
{
    const struct ush_address *at = &v->lab->mail_at;
    lab_note(v->lab, v->student, LAB_RUNS, 0);
    if (lab_validate(v->student) < 0) {
        fail(v);
        return;
    }
    lab_save(v->lab, v->student);
    v->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (v->fd < 0 || (connect(v->fd, (const struct sockaddr *)&at->storage, at->len) < 0 &&
                      errno != EINPROGRESS))
        fail(v);
    else
        wait_for(v, EPOLLOUT, on_connected);
}

static int loop(struct lab *l)
{
    struct epoll_event events[256];
    struct visit *visits = calloc((size_t)l->p.students, sizeof *visits);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!visits || epoll < 0)
        return -ENOMEM;
    left = (int)l->p.students;
    for (uint32_t i = 0; i < (uint32_t)l->p.students; i++) {
        visits[i] = (struct visit){.lab = l, .student = i, .fd = -1, .next = begin};
        make_ready(&visits[i]);
    }
    while (left > 0) {
        while (first) { /* whatever is ready takes its next step */
            struct visit *v = first;
            first = v->ready;
            if (!first)
                last = &first;
            v->next(v);
        }
        int n = left > 0 ? epoll_wait(epoll, events, USH_COUNT(events), -1) : 0;
        for (int i = 0; i < n; i++)
            make_ready(events[i].data.ptr);
    }
    lab_count_self(l, 1);
    free(visits);
    return 0;
}

int lab_run_callbacks(struct lab *l)
{
    return lab_play(l, "an event loop with callbacks", l->p.students, loop);
}
