/*
 * threads.c - a thread for each student; and a fixed pool of threads with a queue.
 *
 * The code blocks as before, and the operating system switches between threads. A thread each: all
 * wait at once, and each costs a stack and its share of the scheduler. A pool: a student borrows a
 * thread, and when all are lent the next one waits in the queue.
 */
#include "lab/scenes.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

LAB_SOURCE(threads);

static struct lab *lab;

static void register_student(uint32_t student, uint32_t thread)
{
    lab_note(lab, student, LAB_RUNS, thread);
    if (lab_validate(student) < 0)
        return;
    lab_save(lab, student);
    lab_note(lab, student, LAB_WAITS, thread);
    int r = lab_mail(lab, student); /* this thread sleeps; others run */
    if (r < 0)
        lab_fail(lab, "the call", r);
    lab_note(lab, student, LAB_ENDS, thread);
}

static void *run_one(void *student)
{
    register_student((uint32_t)(uintptr_t)student, (uint32_t)(uintptr_t)student);
    return NULL;
}

static int thread_each(struct lab *l)
{
    uint32_t n = (uint32_t)l->p.students, started = 0;
    pthread_t *threads = calloc(n, sizeof *threads);
    int r = threads ? 0 : ENOMEM;
    lab = l;
    while (r == 0 && started < n)
        if ((r = pthread_create(&threads[started], NULL, run_one, (void *)(uintptr_t)started)) == 0)
            started++;
    for (uint32_t i = started; i < n; i++)
        lab_fail(l, "no further thread", -r);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    lab_count_self(l, started + 1);
    return 0;
}

int lab_run_thread_each(struct lab *l)
{
    return lab_play(l, "a thread for each student", l->p.students, thread_each);
}

/* ---- a pool ---------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t next, end; /* students in the queue: next to end - 1 */
    bool is_closed;
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool take(uint32_t *ret_student)
{
    pthread_mutex_lock(&queue.lock);
    while (queue.next == queue.end && !queue.is_closed)
        pthread_cond_wait(&queue.changed, &queue.lock);
    bool is_one = queue.next < queue.end;
    *ret_student = is_one ? queue.next++ : 0;
    pthread_mutex_unlock(&queue.lock);
    return is_one;
}

static void *work(void *number)
{
    for (uint32_t student; take(&student);)
        register_student(student, (uint32_t)(uintptr_t)number);
    return NULL;
}

static int pool(struct lab *l)
{
    uint32_t n = (uint32_t)l->p.threads, started = 0;
    pthread_t threads[256];
    lab = l;
    while (started < n && started < USH_COUNT(threads) &&
           pthread_create(&threads[started], NULL, work, (void *)(uintptr_t)started) == 0)
        started++;
    pthread_mutex_lock(&queue.lock);
    queue.end = (uint32_t)l->p.students; /* all press the button */
    queue.is_closed = true;
    pthread_cond_broadcast(&queue.changed);
    pthread_mutex_unlock(&queue.lock);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    lab_count_self(l, started + 1);
    return started ? 0 : -EAGAIN;
}

int lab_run_thread_pool(struct lab *l)
{
    return lab_play(l, "a pool of threads", l->p.threads, pool);
}
