/*
 * tasks.c - tasks that read like blocking code, on one loop; and on the loops of several workers.
 *
 * register_student is line for line the blocking model's. But ush_connect and ush_recv park the
 * task instead of the thread: its stack stays as it is, and the loop runs the next student. So a
 * step need not become a callback, and a local variable may live across a wait.
 */
#include "lab/scenes.h"

LAB_SOURCE(tasks);

static struct lab *lab;
static uint32_t worker, worker_count;

int lab_mail_task(const struct lab *l, uint32_t student)
{
    char answer = 0;
    int fd = ush_connect(&l->mail_at);
    USH_TRY(fd);
    ssize_t n = ush_send(fd, &student, sizeof student);
    if (n > 0)
        n = ush_recv(fd, &answer, 1); /* two seconds; others run */
    ush_close(fd);
    return n == 1 ? lab_mail_verdict(answer) : n < 0 ? (int)n : -EPIPE;
}

static int register_student(void *arg)
{
    uint32_t student = (uint32_t)(uintptr_t)arg;
    lab_note(lab, student, LAB_RUNS, worker);
    USH_TRY(lab_validate(student));
    lab_save(lab, student);
    lab_note(lab, student, LAB_WAITS, worker);
    int r = lab_mail_task(lab, student);
    if (r < 0)
        lab_fail(lab, "the call", r);
    lab_note(lab, student, LAB_ENDS, worker);
    return 0;
}

/* Each worker takes its share of the students: 0, 4, 8, ... 1, 5, 9, ... */
static int rush(void *unused __attribute__((unused)))
{
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    for (uintptr_t i = worker; i < (uintptr_t)lab->p.students; i += worker_count)
        if (ush_spawn(&scope, register_student, (void *)i) < 0)
            break;
    return ush_scope_close(&scope);
}

static int run_loop(struct lab *l, int number)
{
    lab = l;
    worker = (uint32_t)number;
    int r = ush_run(&(struct ush_loop_options){0}, rush, NULL);
    lab_count_self(l, 1);
    return r;
}

static int one_loop(struct lab *l)
{
    worker_count = 1;
    return run_loop(l, 0);
}

int lab_run_tasks(struct lab *l)
{
    return lab_play(l, "tasks on one loop", l->p.students, one_loop);
}

static int several_loops(struct lab *l)
{
    worker_count = (uint32_t)l->p.workers;
    int r = lab_fork_each(l, (int)worker_count, run_loop);
    lab_count_self(l, 1);
    return r;
}

int lab_run_task_workers(struct lab *l)
{
    char label[56];
    snprintf(label, sizeof label, "%lld workers with %lld tasks each", (long long)l->p.workers,
             (long long)((l->p.students + l->p.workers - 1) / l->p.workers));
    return lab_play(l, label, l->p.students, several_loops);
}
