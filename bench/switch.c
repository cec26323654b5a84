/*
 * switch.c - what the runtime's smallest steps cost, in nanoseconds.
 *
 *   switch       one way between two stacks (half of a round trip), no scheduler
 *   yield        once through the ready queue, two tasks taking turns
 *   wake         one task wakes another through an event, and waits itself
 *   spawn+join   a task spawned into a scope, run and joined, on a pooled stack
 *   spawn*64     the same for 64 at a time, per task
 *   mutex        lock and unlock, nobody else wants it
 *   sleep        2,000 tasks that sleep once, per task: timer heap and loop
 *
 * Each is run in nine rounds; the table shows the fastest and the median.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "task/task.h"

enum { ROUNDS = 9, MANY = 64, SLEEPERS = 2000 };

static int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * USH_SECOND + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Runs `fn`, which does `steps` steps, and prints what one costs. */
static void measure(const char *name, int64_t steps, void (*fn)(int64_t steps))
{
    double ns[ROUNDS];
    fn(steps / 10 + 1);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = clock_ns();
        fn(steps);
        ns[i] = (double)(clock_ns() - start) / (double)steps;
    }
    qsort(ns, ROUNDS, sizeof ns[0], compare);
    printf("%-12s %8.1f ns  (median %.1f)\n", name, ns[0], ns[ROUNDS / 2]);
}

/* ---- switch: a task jumps to the loop's stack, which is made to jump back at once ------------ */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void switch_steps(int64_t steps)
{
    for (int64_t i = 0; i < steps; i += 2)
        ush_on_loop_stack(nothing, NULL);
}

/* ---- the scheduler --------------------------------------------------------------------------- */

static int64_t yields;

static int yielder(void *arg)
{
    (void)arg;
    while (yields-- > 0)
        ush_yield();
    return 0;
}

static void yield_steps(int64_t steps)
{
    struct ush_scope s;
    yields = steps;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, yielder, NULL);
    ush_spawn(&s, yielder, NULL);
    ush_scope_close(&s);
}

struct side {
    struct ush_event mine, *other;
    int64_t steps;
};

static int ping(void *arg)
{
    struct side *side = arg;
    for (int64_t i = 0; i < side->steps; i++) {
        ush_event_set(side->other);
        ush_event_wait(&side->mine);
        ush_event_reset(&side->mine);
    }
    ush_event_set(side->other);
    return 0;
}

static void wake_steps(int64_t steps)
{
    struct side a = {.steps = steps / 2}, b = {.steps = steps / 2};
    ush_event_init(&a.mine, "a");
    ush_event_init(&b.mine, "b");
    a.other = &b.mine;
    b.other = &a.mine;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, ping, &a);
    ush_spawn(&s, ping, &b);
    ush_scope_close(&s);
}

static void spawn_steps(int64_t steps)
{
    for (int64_t i = 0; i < steps; i++) {
        struct ush_scope s;
        ush_scope_open(&s, NULL);
        ush_spawn(&s, nothing, NULL);
        ush_scope_close(&s);
    }
}

static void spawn_many_steps(int64_t steps)
{
    for (int64_t i = 0; i < steps; i += MANY) {
        struct ush_scope s;
        ush_scope_open(&s, NULL);
        for (int j = 0; j < MANY; j++)
            ush_spawn(&s, nothing, NULL);
        ush_scope_close(&s);
    }
}

static void mutex_steps(int64_t steps)
{
    struct ush_mutex m;
    ush_mutex_init(&m, "bench");
    for (int64_t i = 0; i < steps; i++) {
        if (ush_mutex_lock(&m) == 0)
            ush_mutex_unlock(&m);
    }
}

static int sleeper(void *arg)
{
    (void)arg;
    return ush_sleep(1);
}

static void sleep_steps(int64_t steps)
{
    for (int64_t i = 0; i < steps; i += SLEEPERS) {
        struct ush_scope s;
        ush_scope_open(&s, NULL);
        for (int j = 0; j < SLEEPERS; j++)
            ush_spawn(&s, sleeper, NULL);
        ush_scope_close(&s);
    }
}

static int root(void *arg)
{
    (void)arg;
    measure("switch", 10000000, switch_steps);
    measure("yield", 4000000, yield_steps);
    measure("wake", 4000000, wake_steps);
    measure("spawn+join", 2000000, spawn_steps);
    measure("spawn*64", 2000000, spawn_many_steps);
    measure("mutex", 10000000, mutex_steps);
    measure("sleep", 200000, sleep_steps);
    return 0;
}

int main(void)
{
    struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};
    return ush_run(&o, root, NULL) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
