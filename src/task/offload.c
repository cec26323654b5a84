/*
 * offload.c - threads for what would hold up the loop: hashing, reading a file, a blocking library.
 *
 * A pool has a bounded number of threads and a bounded queue, both told by its owner. The job is a
 * record on the stack of the task that waits for it, so an offload allocates nothing.
 *
 *   queued --a thread is free--> running --fn returned--> posted --the loop looks--> task woken
 *      |
 *      +--task cancelled--> withdrawn, never run
 *
 *  1. At most o.threads jobs run and at most o.queue_max more wait; the next is refused at once. A
 *     job counts as running until the loop has seen its result.
 *  2. Jobs start in the order they came.
 *  3. ush_offload returns only when fn has returned or will never be called. So arguments may live
 *     on the caller's stack, and a running job makes its task deaf to cancellation.
 *  4. What threads and loop share is under `lock`, except `state`, which is atomic so that a
 *     cancellation need not take the lock of a pool for a job that has already begun. A result
 *     travels to the loop by ush__post, which orders it before the wake-up; after the post the
 *     thread does not touch the job again.
 *  5. Threads are started when there is work for them, block all signals (a signal belongs to the
 *     loop's signalfd) and end only in ush_pool_free, which lets them finish the queue first.
 *  6. A pool outlives every ush_offload on it: `users` counts them, and when ush_pool_free finds
 *     some that have not returned yet, the last of them frees the memory.
 *
 * Under sim there are no threads. A job that begins gets an alarm at a moment the seed chooses;
 * then fn runs on the loop's stack. Bounds, order and cancellation are those of the real pool, so a
 * scenario meets full queues and late results as in service. What fn does to memory that another
 * thread uses is beyond sim: ThreadSanitizer looks for that over the epoll backend.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "task/task.h"

enum {
    BLOCKING_THREADS = 16,
    CPU_QUEUE = 256,
    CPU_NICENESS = 10,
    BLOCKING_QUEUE = 1024,
    SIM_CORES = 4,
};

enum { QUEUED, RUNNING };

struct job {
    struct ush__post post;
    struct ush_link link; /* in pool->queue, under sim afterwards in pool->running */
    struct ush_alarm alarm;
    struct ush_pool *pool; /* borrowed; invariant 6 */
    struct ush_task *task;
    ush_fn fn;
    void *arg;
    int result;
    int64_t queued_ns;
    _Atomic uint8_t state;
};

struct ush_pool {
    struct ush_pool_options o;
    struct ush_loop *loop;
    struct ush_pool *next; /* in loop->pools */
    uint32_t users;        /* calls of ush_offload in progress; the loop's */
    bool is_freed;         /* the loop's */
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct ush_link queue;   /* jobs, oldest first */
    struct ush_link running; /* jobs, under sim only */
    struct ush_pool_stats stats;
    uint32_t started; /* threads */
    bool is_stopping;
    pthread_t threads[];
};

static struct job *job_of_link(struct ush_link *l)
{
    return USH_CONTAINER(l, struct job, link);
}

/* With the lock held; the queue is not empty. */
static struct job *begin_next(struct ush_pool *p)
{
    struct job *job = job_of_link(ush_list_pop(&p->queue));
    int64_t waited_ns = ush_now_ns() - job->queued_ns;
    if (waited_ns > p->stats.wait_ns_max)
        p->stats.wait_ns_max = waited_ns;
    p->stats.waiting--;
    p->stats.running++;
    atomic_store_explicit(&job->state, RUNNING, memory_order_relaxed);
    return job;
}

/* On the loop's stack: the job is over, its task may go on. */
static void settle(struct job *job)
{
    struct ush_pool *p = job->pool;
    pthread_mutex_lock(&p->lock);
    p->stats.running--;
    p->stats.done++;
    pthread_mutex_unlock(&p->lock);
    ush__wake(job->task, job->result);
}

/* ---- threads ------------------------------------------------------------------------------ */

static void deliver(struct ush__post *post)
{
    struct job *job = USH_CONTAINER(post, struct job, post);
    settle(job);
}

static void *serve(void *arg)
{
    struct ush_pool *p = arg;
    if (p->o.niceness > 0) /* behind the loop, wherever that stands */
        setpriority(PRIO_PROCESS, (id_t)gettid(),
                    getpriority(PRIO_PROCESS, (id_t)gettid()) + p->o.niceness);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (ush_list_is_empty(&p->queue) && !p->is_stopping)
            pthread_cond_wait(&p->work, &p->lock);
        if (ush_list_is_empty(&p->queue))
            break;
        struct job *job = begin_next(p);
        pthread_mutex_unlock(&p->lock);
        job->result = job->fn(job->arg);
        ush__post(p->loop, &job->post);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* With the lock held. */
static int start_thread(struct ush_pool *p)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&p->threads[p->started], NULL, serve, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        return -error;
    pthread_setname_np(p->threads[p->started++], p->o.name);
    return 0;
}

/* ---- sim ---------------------------------------------------------------------------------- */

static void finish_simulated(struct ush_alarm *alarm);

static void begin_simulated(struct ush_pool *p)
{
    while (p->stats.running < p->o.threads && !ush_list_is_empty(&p->queue)) {
        struct job *job = begin_next(p);
        ush_list_push(&p->running, &job->link);
        ush_alarm_set(&job->alarm, ush_now_ns() + ush__decide_delay(), finish_simulated);
    }
}

static void finish_simulated(struct ush_alarm *alarm)
{
    struct job *job = USH_CONTAINER(alarm, struct job, alarm);
    struct ush_pool *p = job->pool;
    ush_list_del(&job->link);
    job->result = job->fn(job->arg);
    settle(job);
    begin_simulated(p);
}

/* ---- pool --------------------------------------------------------------------------------- */

struct ush_pool *ush_pool_new(const struct ush_pool_options *o)
{
    assert(o->threads > 0);
    struct ush_pool *p = calloc(1, sizeof *p + o->threads * sizeof p->threads[0]);
    if (!p)
        return NULL;
    p->o = *o;
    p->loop = ush__loop;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    ush_list_init(&p->queue);
    ush_list_init(&p->running);
    p->next = p->loop->pools;
    p->loop->pools = p;
    return p;
}

static void release(struct ush_pool *p)
{
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void ush_pool_free(struct ush_pool *p)
{
    if (!p)
        return;
    struct ush_loop *loop = p->loop;
    for (struct ush_pool **at = &loop->pools; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            break;
        }
    }
    if (loop->cpu_pool == p)
        loop->cpu_pool = NULL;
    if (loop->blocking_pool == p)
        loop->blocking_pool = NULL;

    while (!ush_list_is_empty(&p->running)) {
        struct job *job = job_of_link(p->running.next);
        ush_alarm_clear(&job->alarm);
        finish_simulated(&job->alarm);
    }
    pthread_mutex_lock(&p->lock);
    p->is_stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->started; i++)
        pthread_join(p->threads[i], NULL);

    p->is_freed = true;
    if (p->users == 0)
        release(p);
}

void ush__pools_free(struct ush_loop *l)
{
    while (l->pools)
        ush_pool_free(l->pools);
}

struct ush_pool_stats ush_pool_stats(const struct ush_pool *p)
{
    struct ush_pool *pool = (struct ush_pool *)p; /* a lock is not part of the value */
    pthread_mutex_lock(&pool->lock);
    struct ush_pool_stats stats = pool->stats;
    pthread_mutex_unlock(&pool->lock);
    return stats;
}

const char *ush__pool_name(const struct ush_pool *p)
{
    return p->o.name;
}

/* The number of cores is a fact of the machine, and a seed must mean the same everywhere. */
static uint32_t cores(void)
{
    long n = ush_is_sim() ? SIM_CORES : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : (uint32_t)n;
}

struct ush_pool *ush_cpu_pool(void)
{
    struct ush_loop *l = ush__loop;
    if (!l->cpu_pool)
        l->cpu_pool = ush_pool_new(&(struct ush_pool_options){
            .name = "cpu", .threads = cores(), .queue_max = CPU_QUEUE, .niceness = CPU_NICENESS});
    return l->cpu_pool;
}

struct ush_pool *ush_blocking_pool(void)
{
    struct ush_loop *l = ush__loop;
    if (!l->blocking_pool)
        l->blocking_pool = ush_pool_new(&(struct ush_pool_options){
            .name = "blocking", .threads = BLOCKING_THREADS, .queue_max = BLOCKING_QUEUE});
    return l->blocking_pool;
}

/* ---- offload ------------------------------------------------------------------------------ */

/* Queues the job and sees to it that somebody will run it. */
static int queue(struct ush_pool *p, struct job *job)
{
    int r = 0;
    pthread_mutex_lock(&p->lock);
    if (p->stats.waiting + p->stats.running >= p->o.threads + p->o.queue_max) {
        p->stats.refused++;
        r = USH_EFULL;
        goto out;
    }
    ush_list_push(&p->queue, &job->link);
    p->stats.waiting++;
    if (ush_is_sim()) {
        begin_simulated(p);
        goto out;
    }
    if (p->started < p->o.threads && p->started < p->stats.waiting + p->stats.running)
        r = start_thread(p);
    if (r < 0 && p->started == 0) {
        ush_list_del(&job->link);
        p->stats.waiting--;
        goto out;
    }
    r = 0; /* fewer threads than wished for still serve */
    pthread_cond_signal(&p->work);
out:
    pthread_mutex_unlock(&p->lock);
    return r;
}

/* The task is cancelled while it waits. */
static bool leave_queue(struct ush_task *t)
{
    struct job *job = t->wait_data;
    struct ush_pool *p = job->pool;
    if (atomic_load_explicit(&job->state, memory_order_relaxed) != QUEUED)
        return false;
    pthread_mutex_lock(&p->lock);
    bool is_queued = atomic_load_explicit(&job->state, memory_order_relaxed) == QUEUED;
    if (is_queued) {
        ush_list_del(&job->link);
        p->stats.waiting--;
    }
    pthread_mutex_unlock(&p->lock);
    return is_queued;
}

int ush_offload(struct ush_pool *p, ush_fn fn, void *arg)
{
    if (!p)
        return -ENOMEM; /* ush_pool_new found none */
    USH_TRY(ush__enter());
    struct ush_task *self = ush__self();
    struct job job = {
        .post.fn = deliver,
        .pool = p,
        .task = self,
        .fn = fn,
        .arg = arg,
        .queued_ns = ush_now_ns(),
        .state = QUEUED,
    };
    USH_TRY(queue(p, &job));
    p->users++;
    self->wait_data = &job;
    int r = ush__park(USH__WAIT_POOL, p, leave_queue);
    p->users--;
    if (p->is_freed && p->users == 0)
        release(p);
    return r;
}
