/*
 * blocking.c - one process that waits for each mail; and several such processes (pre-fork).
 *
 * The code is as simple as code can be, and while the mail server thinks, the process stands still.
 * With N processes, N students are served at once and the others wait in front of the door: here a
 * pipe, from which whoever is free takes the next, as pre-forked workers take connections from one
 * listening socket.
 */
#include "lab/scenes.h"

#include <unistd.h>

LAB_SOURCE(blocking);

static void register_student(struct lab *l, uint32_t student, uint32_t worker)
{
    lab_note(l, student, LAB_RUNS, worker);
    if (lab_validate(student) < 0)
        return;
    lab_save(l, student);
    lab_note(l, student, LAB_WAITS, worker);
    int r = lab_mail(l, student); /* nothing else happens in this process now */
    if (r < 0)
        lab_fail(l, "the call", r);
    lab_note(l, student, LAB_ENDS, worker);
}

static int one_after_another(struct lab *l)
{
    for (uint32_t i = 0; i < (uint32_t)l->p.students; i++)
        register_student(l, i, 0);
    lab_count_self(l, 1);
    return 0;
}

int lab_run_blocking(struct lab *l)
{
    return lab_play(l, "one blocking process", 1, one_after_another);
}

/* ---- pre-fork -------------------------------------------------------------------------------- */

static int door[2];

static int serve(struct lab *l, int worker)
{
    uint32_t student;
    close(door[1]);
    while (read(door[0], &student, sizeof student) == sizeof student)
        register_student(l, student, (uint32_t)worker);
    lab_count_self(l, 1);
    return 0;
}

static int master(struct lab *l)
{
    if (pipe(door) < 0)
        return -errno;
    for (uint32_t i = 0; i < (uint32_t)l->p.students; i++)
        if (write(door[1], &i, sizeof i) != sizeof i)
            return -EIO;
    /* The end of the queue is seen when nobody holds the writing end any more. */
    int keep = dup(door[0]);
    close(door[1]);
    door[1] = keep;
    int r = lab_fork_each(l, (int)l->p.workers, serve);
    lab_count_self(l, 1);
    return r;
}

int lab_run_workers(struct lab *l)
{
    return lab_play(l, "blocking worker processes", l->p.workers, master);
}
