/*
 * offload_test.c - thread pools: the loop goes on meanwhile, bounds, withdrawal from the queue,
 * results that beat a cancellation, and pools that end before their users do.
 *
 * What needs two things to happen at the same instant runs over epoll only: under sim a job runs
 * inside the loop, so a job that waits for the loop would wait for ever.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "both.h"

enum { JOBS = 64 };

static struct {
    struct ush_pool *pool;
    sem_t begun, go; /* between jobs and the loop */
    int result[JOBS];
    int ran[JOBS];
    struct ush_scope *scope[JOBS];
    int ended;
} x;

static void begin(uint32_t threads, uint32_t queue_max)
{
    memset(&x, 0, sizeof x);
    sem_init(&x.begun, 0, 0);
    sem_init(&x.go, 0, 0);
    x.pool = ush_pool_new(
        &(struct ush_pool_options){.name = "test", .threads = threads, .queue_max = queue_max});
    ck_assert_ptr_nonnull(x.pool);
    for (int i = 0; i < JOBS; i++)
        x.result[i] = 1;
}

/* ---- jobs, in a thread -------------------------------------------------------------------- */

static int square(void *arg)
{
    int *n = arg;
    *n *= *n;
    return *n;
}

static int wait_for_go(void *arg)
{
    sem_post(&x.begun);
    sem_wait(&x.go);
    x.ran[(intptr_t)arg]++;
    return 100 + (int)(intptr_t)arg;
}

static int note(void *arg)
{
    x.ran[(intptr_t)arg]++;
    return 100 + (int)(intptr_t)arg;
}

/* ---- tasks -------------------------------------------------------------------------------- */

static int offload_square(void *arg)
{
    int n = (int)(intptr_t)arg; /* on this task's stack */
    ck_assert_int_eq(ush_offload(x.pool, square, &n), n);
    x.ended++;
    return n == (int)(intptr_t)arg * (int)(intptr_t)arg ? 0 : -EPROTO;
}

static int in_scope(intptr_t me, ush_fn fn)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    x.scope[me] = &s;
    x.result[me] = ush_offload(x.pool, fn, (void *)me);
    x.scope[me] = NULL;
    x.ended++;
    ush_scope_close(&s);
    return 0;
}

static int offload_wait(void *arg)
{
    return in_scope((intptr_t)arg, wait_for_go);
}

static int offload_note(void *arg)
{
    return in_scope((intptr_t)arg, note);
}

/* Turns the loop until `n` tasks have ended. */
static void until_ended(int n)
{
    while (x.ended < n)
        ck_assert_int_eq(ush_yield(), 0);
}

static void settle(void)
{
    for (int i = 0; i < 10 * JOBS; i++)
        ck_assert_int_eq(ush_yield(), 0);
}

BOTH_TEST(a_job_returns_its_result)
{
    begin(4, JOBS);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (intptr_t i = 0; i < JOBS; i++)
        ck_assert_int_eq(ush_spawn(&s, offload_square, (void *)i), 0);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    struct ush_pool_stats stats = ush_pool_stats(x.pool);
    ck_assert_uint_eq(stats.done, JOBS);
    ck_assert_uint_eq(stats.refused, 0);
    ck_assert_uint_eq(stats.running, 0);
    ck_assert_uint_eq(stats.waiting, 0);
    ush_pool_free(x.pool);
    return 0;
}

BOTH_TEST(no_job_begins_in_a_cancelled_scope)
{
    begin(1, JOBS);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_scope_cancel(&s, USH_CANCEL_ASKED);
    ck_assert_int_eq(ush_offload(x.pool, note, (void *)0), -ECANCELED);
    ush_scope_close(&s);
    ck_assert_int_eq(x.ran[0], 0);
    ush_pool_free(x.pool);
    return 0;
}

BOTH_TEST(shared_pools_are_made_once)
{
    int n = 3;
    ck_assert_ptr_eq(ush_cpu_pool(), ush_cpu_pool());
    ck_assert_ptr_eq(ush_blocking_pool(), ush_blocking_pool());
    ck_assert_ptr_ne(ush_cpu_pool(), ush_blocking_pool());
    ck_assert_int_eq(ush_offload(ush_cpu_pool(), square, &n), 9);
    ck_assert_int_eq(ush_offload(ush_blocking_pool(), square, &n), 81);
    return 0; /* the loop frees them */
}

static int cancel_self(void *arg)
{
    ush_scope_cancel(arg, USH_CANCEL_ASKED);
    return 7;
}

static int cancelled_by_its_job(void *unused)
{
    (void)unused;
    begin(1, JOBS);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    /* Under sim a job runs on the loop's stack and may do this: the worst moment there is. */
    ck_assert_int_eq(ush_offload(x.pool, cancel_self, &s), 7);
    ck_assert_int_eq(ush_cancelled(), -ECANCELED);
    ush_scope_close(&s);
    ush_pool_free(x.pool);
    return 0;
}

START_TEST(a_result_beats_the_cancellation)
{
    struct ush_sim_options o = {.seed = (uint64_t)_i, .delay_ns_max = USH_MS};
    ck_assert_int_eq(ush_sim_run(&o, cancelled_by_its_job, NULL, NULL), 0);
}
END_TEST

/* ---- over epoll: with real threads -------------------------------------------------------- */

#define EPOLL_TEST(name)                                                                           \
    static int name##_body(void *unused);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        ck_assert_int_eq(both_run(BOTH_EPOLL, name##_body), 0);                                    \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

EPOLL_TEST(the_loop_goes_on_while_a_job_runs)
{
    begin(1, 1);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn(&s, offload_wait, (void *)5), 0);
    while (sem_trywait(&x.begun) != 0)
        ck_assert_int_eq(ush_sleep(USH_MS / 20), 0);
    ck_assert_int_eq(x.ended, 0);
    sem_post(&x.go);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.result[5], 105);
    ush_pool_free(x.pool);
    return 0;
}

EPOLL_TEST(beyond_threads_and_queue_a_job_is_refused_at_once)
{
    begin(2, 3);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (intptr_t i = 0; i < 7; i++)
        ck_assert_int_eq(ush_spawn(&s, offload_wait, (void *)i), 0);
    until_ended(2);
    ck_assert_int_eq(x.result[5], USH_EFULL);
    ck_assert_int_eq(x.result[6], USH_EFULL);
    for (int i = 0; i < 5; i++)
        sem_post(&x.go);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(x.result[i], 100 + i);
    struct ush_pool_stats stats = ush_pool_stats(x.pool);
    ck_assert_uint_eq(stats.done, 5);
    ck_assert_uint_eq(stats.refused, 2);
    ck_assert_int_gt(stats.wait_ns_max, 0);
    ush_pool_free(x.pool);
    return 0;
}

EPOLL_TEST(queued_jobs_may_withdraw_running_ones_tell_the_truth)
{
    begin(1, JOBS);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn(&s, offload_wait, (void *)0), 0);
    while (sem_trywait(&x.begun) != 0)
        ush_yield();
    for (intptr_t i = 1; i <= 3; i++)
        ck_assert_int_eq(ush_spawn(&s, offload_note, (void *)i), 0);
    settle();
    ck_assert_uint_eq(ush_pool_stats(x.pool).waiting, 3);
    ush_scope_cancel(x.scope[2], USH_CANCEL_ASKED);
    ush_scope_cancel(x.scope[0], USH_CANCEL_ASKED);
    until_ended(1);
    ck_assert_int_eq(x.result[2], -ECANCELED);
    ck_assert_uint_eq(ush_pool_stats(x.pool).waiting, 2);
    sem_post(&x.go);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(x.result[0], 100);
    ck_assert_int_eq(x.result[1], 101);
    ck_assert_int_eq(x.result[3], 103);
    ck_assert_int_eq(x.ran[2], 0);
    ush_pool_free(x.pool);
    return 0;
}

EPOLL_TEST(a_freed_pool_ends_its_jobs_first)
{
    begin(1, JOBS);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn(&s, offload_wait, (void *)0), 0);
    for (intptr_t i = 1; i <= 3; i++)
        ck_assert_int_eq(ush_spawn(&s, offload_note, (void *)i), 0);
    while (sem_trywait(&x.begun) != 0)
        ush_yield();
    settle();
    sem_post(&x.go);
    ush_pool_free(x.pool);
    for (int i = 0; i <= 3; i++)
        ck_assert_int_eq(x.ran[i], 1);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    for (int i = 0; i <= 3; i++)
        ck_assert_int_eq(x.result[i], 100 + i);
    return 0;
}

static int unblocked_signals(void *arg)
{
    (void)arg;
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    int unblocked = 0;
    for (int sig = 1; sig < 32; sig++)
        if (sig != SIGKILL && sig != SIGSTOP && !sigismember(&now, sig))
            unblocked++;
    return unblocked;
}

EPOLL_TEST(threads_take_no_signals)
{
    begin(1, 1);
    ck_assert_int_eq(ush_offload(x.pool, unblocked_signals, NULL), 0);
    ck_assert_int_gt(unblocked_signals(NULL), 0);
    ush_pool_free(x.pool);
    return 0;
}

static int name_is_thread(void *arg)
{
    (void)arg;
    return strcmp(ush_task_name(), "thread") == 0 && !ush_is_task() ? 0 : -EPROTO;
}

EPOLL_TEST(a_job_is_not_on_the_loop)
{
    begin(1, 1);
    ck_assert_int_eq(ush_offload(x.pool, name_is_thread, NULL), 0);
    ush_pool_free(x.pool);
    return 0;
}

static int many(void *arg)
{
    for (int i = 0; i < 200; i++) {
        int n = i;
        if (ush_offload(x.pool, square, &n) != i * i)
            return -EPROTO;
    }
    (void)arg;
    return 0;
}

EPOLL_TEST(many_jobs_from_many_tasks)
{
    begin(8, JOBS);
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (intptr_t i = 0; i < JOBS; i++)
        ck_assert_int_eq(ush_spawn(&s, many, NULL), 0);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_uint_eq(ush_pool_stats(x.pool).done, 200 * JOBS);
    ush_pool_free(x.pool);
    return 0;
}

static int niceness(void *arg __attribute__((unused)))
{
    return getpriority(PRIO_PROCESS, (id_t)gettid());
}

/* What computes stands back behind the loop, what waits for a disk or a resolver does not. */
BOTH_TEST(computing_stands_back)
{
    int own = niceness(NULL), cpu = ush_offload(ush_cpu_pool(), niceness, NULL);
    ck_assert_int_eq(cpu, ush_is_sim() ? own : own + 10 > 19 ? 19 : own + 10);
    ck_assert_int_eq(ush_offload(ush_blocking_pool(), niceness, NULL), own);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("offload");
    TCase *tc = tcase_create("offload");
    both_add(tc, computing_stands_back);
    both_add(tc, a_job_returns_its_result);
    both_add(tc, no_job_begins_in_a_cancelled_scope);
    both_add(tc, shared_pools_are_made_once);
    tcase_add_loop_test(tc, a_result_beats_the_cancellation, 1, 9);
    tcase_add_test(tc, the_loop_goes_on_while_a_job_runs);
    tcase_add_test(tc, beyond_threads_and_queue_a_job_is_refused_at_once);
    tcase_add_test(tc, queued_jobs_may_withdraw_running_ones_tell_the_truth);
    tcase_add_test(tc, a_freed_pool_ends_its_jobs_first);
    tcase_add_test(tc, threads_take_no_signals);
    tcase_add_test(tc, a_job_is_not_on_the_loop);
    tcase_add_test(tc, many_jobs_from_many_tasks);
    suite_add_tcase(s, tc);
    return both_main(s);
}
