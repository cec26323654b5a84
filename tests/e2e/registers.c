/*
 * registers.c - what a task had in its registers before a wait, it has behind it.
 *
 * Tasks that take turns each keep more whole numbers and fractions alive over the switch than there
 * are registers for them to share, so the compiler has to leave some of each in registers that a
 * call must keep (AAPCS64 §6.1: x19-x28, d8-d15). Another task's value in one of them changes the
 * sums. A deep recursion shows that a task has a stack of its own. For test_aarch64.py.
 */
#include <stdio.h>

#include "usher/usher.h"

enum { TASKS = 50, TURNS = 200, DEPTH = 500 };

#define MANY(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9)
#define DECLARE(i)                                                                                 \
    long whole##i = start + (i);                                                                   \
    double part##i = 0.5 * (double)(start + (i));
#define CHANGE(i)                                                                                  \
    whole##i = whole##i * 3 % 10007;                                                               \
    part##i = part##i * 0.75 + (double)(i);
#define ADD(i)                                                                                     \
    whole += whole##i;                                                                             \
    part += part##i;

struct sums {
    long start, whole;
    double part;
    bool waits;
};

static int add_up(void *arg)
{
    struct sums *s = arg;
    long start = s->start, whole = 0;
    double part = 0;
    MANY(DECLARE)
    for (int turn = 0; turn < TURNS; turn++) {
        if (s->waits)
            USH_TRY(ush_yield());
        MANY(CHANGE)
    }
    MANY(ADD)
    s->whole = whole;
    s->part = part;
    return 0;
}

static int depth(int n)
{
    volatile char room[64];
    room[n % 64] = (char)n;
    if (n == 0)
        return ush_yield();
    int below = depth(n - 1);
    return below < 0 ? below : below + (room[n % 64] == (char)n);
}

static int dive(void *ret)
{
    *(int *)ret = depth(DEPTH);
    return 0;
}

static int root(void *unused __attribute__((unused)))
{
    struct sums sums[TASKS];
    int depths[TASKS], wrong = 0;
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    for (int i = 0; i < TASKS; i++) {
        sums[i] = (struct sums){.start = i * 100, .waits = true};
        ush_spawn(&scope, add_up, &sums[i]);
        ush_spawn(&scope, dive, &depths[i]);
    }
    USH_TRY(ush_scope_close(&scope));
    for (int i = 0; i < TASKS; i++) {
        struct sums alone = {.start = i * 100};
        add_up(&alone);
        wrong += alone.whole != sums[i].whole || alone.part != sums[i].part || depths[i] != DEPTH;
    }
    printf("%d tasks, %d wrong\n", TASKS, wrong);
    return wrong;
}

int main(void)
{
    return ush_run(&(struct ush_loop_options){0}, root, NULL);
}
