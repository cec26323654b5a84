/*
 * sched.c - which task runs, and how one gives way to another.
 *
 * A task leaves the processor in ush__park (until somebody wakes it), in ush__to_the_back (at
 * once again, after the others) or by returning. It always goes to the loop's own stack first; the
 * loop picks the next. That is one switch more than going straight to the next task, and buys
 * one place where everything between two runs happens.
 *
 * Two queues, each first come first served:
 *
 *   ready   tasks whose wait has ended. Finishing what was begun keeps memory and tail latency low.
 *   later   tasks that were spawned, that yielded, or whose budget was used up.
 *
 * A turn runs `ready` and, whenever that is empty, one of `later`, until nothing is ready or
 * the slice (0.5 ms) is over; then the world gets its say. When the slice was used up by `ready`
 * alone, a few of `later` run all the same, so that they are delayed but never starved. The clock
 * is read once per 32 resumes, more often while tasks run for long. A call that completes without
 * waiting charges the task's budget, and 128 of them make it yield: a peer that always has bytes
 * ready cannot own the loop.
 *
 * Invariants: those of task.h, and
 *  1. Only the loop's stack calls ush__switch_in, only a running task ush__switch_out.
 *  2. A task's memory is released on the loop's stack, after the last switch out of it.
 *
 * There is no priority and no preemption: a task that computes for long has to call ush_spend or
 * to go to a pool. The watchdog names one that does not.
 */
#include <stdio.h>
#include <stdlib.h>

#include "task/fiber.h"
#include "task/task.h"

enum {
    BUDGET = 128,             /* operations */
    CLOCK_EVERY_MAX = 32,     /* resumes */
    COPY_BYTES_MAX = 800,     /* of an argument, into the arena's first KiB */
    LATER_SHARE = 8,          /* resumes of `later` after a slice that `ready` used up */
    SIM_TURN = 1024,          /* resumes of a turn whose clock stands still */
    ARENA_BYTES_MAX = 4 << 20 /* per task */
};

_Thread_local struct ush_loop *ush__loop;

const char *const ush__wait_phrases[] = {
#define W(name, phrase) phrase,
    USH__WAITS(W)
#undef W
};

void ush__panic(const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const struct ush_task *t = ush__loop ? ush__loop->running : NULL;
    ush_error("task.bug", "%s (task \"%s\" spawned at %s)", text, ush_task_name(),
              t ? t->site : "-");
    abort();
}

/* ---- leaving and coming back ---------------------------------------------------------------- */

static inline void switch_to_loop(struct ush_loop *l, struct ush_task *t)
{
    fiber_leave(&t->fake_stack, l->own_low, l->own_bytes, l->own_fiber);
    ush__switch_out(&t->sp, l->sp);
    fiber_enter(t->fake_stack);
}

static inline void switch_to_task(struct ush_loop *l, struct ush_task *t)
{
    fiber_leave(&l->fake_stack, t->stack.low, (size_t)(t->stack.high - t->stack.low),
                t->stack.fiber);
    ush__switch_in(&l->sp, t->sp, l->control);
    fiber_enter(l->fake_stack);
}

/* The first frame of every task, called by the trampoline. ThreadSanitizer must not see it begin,
 * because it never ends, and its fiber serves the next task of the stack. */
__attribute__((no_sanitize("thread"))) void ush__task_main(struct ush_task *t)
{
    struct ush_loop *l = ush__loop;
    fiber_start(&l->own_low, &l->own_bytes);
    t->result = t->fn(t->arg);
    t->state = USH__DONE;
    fiber_leave(NULL, l->own_low, l->own_bytes, l->own_fiber);
    ush__switch_out(&t->sp, l->sp);
    __builtin_unreachable();
}

void ush__to_the_back(struct ush_loop *l, struct ush_task *t)
{
    t->state = USH__READY;
    t->wait = USH__WAIT_TURN;
    t->wait_object = NULL;
    t->since_ns = l->now_ns;
    ush_list_push(&l->later, &t->queue);
    switch_to_loop(l, t);
}

static void must_be_task(const struct ush_loop *l)
{
    if (USH_UNLIKELY(!l || !l->running))
        ush__panic("a call that may suspend outside a task");
    if (USH_UNLIKELY(l->no_suspend > 0))
        ush__panic("a suspension inside a no-suspend section");
}

int ush__enter(void)
{
    struct ush_loop *l = ush__loop;
    must_be_task(l);
    struct ush_task *t = l->running;
    if (USH_UNLIKELY(t->scope->reason != USH_CANCEL_NONE)) {
        if (--t->budget <= 0)
            ush__to_the_back(l, t); /* or a loop that ignores errors would own the thread */
        return ush__scope_error(t->scope);
    }
    if (USH_UNLIKELY(l->sim != NULL))
        return ush__sim_enter(t);
    if (USH_LIKELY(--t->budget > 0))
        return 0;
    ush__to_the_back(l, t);
    return ush__scope_error(t->scope);
}

int ush__park(enum ush__wait wait, void *object, ush__leave_fn leave)
{
    struct ush_loop *l = ush__loop;
    must_be_task(l);
    struct ush_task *t = l->running;
    t->state = USH__PARKED;
    t->wait = (uint8_t)wait;
    t->wait_object = object;
    t->leave = leave;
    t->since_ns = l->now_ns;
    if (USH_UNLIKELY(l->sim != NULL))
        ush__sim_parked(t);
    if (USH_UNLIKELY(t->scope->reason != USH_CANCEL_NONE))
        ush__cancel_wait(t); /* cancelled between ush__enter and here */
    switch_to_loop(l, t);
    return t->result;
}

bool ush__never_leave(struct ush_task *t __attribute__((unused)))
{
    return false;
}

bool ush__wake(struct ush_task *t, int result)
{
    if (t->state != USH__PARKED)
        return false;
    t->state = USH__READY;
    t->result = result;
    ush_list_del(&t->queue);
    ush_list_push(&ush__loop->ready, &t->queue);
    return true;
}

void ush__cancel_wait(struct ush_task *t)
{
    if (t->state == USH__PARKED && (!t->leave || t->leave(t)))
        ush__wake(t, ush__scope_error(t->scope));
}

/* ---- turns ---------------------------------------------------------------------------------- */

static void beat_start(struct ush_beat *b, const struct ush_task *t)
{
    size_t n = strnlen(t->name, sizeof b->task - 1);
    memcpy(b->task, t->name, n);
    b->task[n] = '\0';
    atomic_store_explicit(&b->in_task, 1, memory_order_relaxed);
    ush__beat_count(b);
}

static void finish(struct ush_loop *l, struct ush_task *t)
{
    struct ush_scope *home = t->home;
    int result = t->result;
    if (t->scope != home) /* the open scope lay on the stack and is gone */
        ush__panic("task \"%s\" spawned at %s returned with a scope open", t->name, t->site);
    if (t->id == 1) {
        l->root_result = result;
        l->is_root_done = true;
    }
    ush_arena_fini(&t->arena);
    ush_list_del(&t->sibling);
    ush__stack_give(l->stacks, t);
    l->tasks--;
    if (l->beat)
        atomic_store_explicit(&l->beat->tasks, l->tasks, memory_order_relaxed);
    ush__scope_child_ended(home, result);
}

/* Inline: a return from it would be predicted from the calls that the task has made. */
static inline __attribute__((always_inline)) void resume(struct ush_loop *l, struct ush_task *t)
{
    t->state = USH__RUNNING;
    t->wait = USH__WAIT_NOTHING;
    t->budget = BUDGET;
    l->running = t;
    l->resumes++;
    if (l->beat)
        beat_start(l->beat, t);
    switch_to_task(l, t);
    while (USH_UNLIKELY(l->call_fn != NULL)) {
        ush_fn fn = l->call_fn;
        l->call_fn = NULL;
        l->running = NULL;
        l->call_result = fn(l->call_arg);
        l->running = t;
        switch_to_task(l, t);
    }
    l->running = NULL;
    if (l->beat)
        atomic_store_explicit(&l->beat->in_task, 0, memory_order_relaxed);
    if (USH_UNLIKELY(!t->stack.is_guarded))
        ush__stack_check(t);
    if (t->state == USH__DONE)
        finish(l, t);
}

static struct ush_task *pop(struct ush_link *queue)
{
    struct ush_link *l = ush_list_pop(queue);
    return l ? USH_CONTAINER(l, struct ush_task, queue) : NULL;
}

static struct ush_task *next(struct ush_loop *l, bool *ret_is_later)
{
    if (USH_UNLIKELY(l->sim != NULL))
        return ush__sim_next(l);
    struct ush_task *t = pop(&l->ready);
    if (t)
        return t;
    *ret_is_later = true;
    return pop(&l->later);
}

/* Reads the clock, and sets how many resumes there are to the next time: four to eight readings a
 * slice, whether tasks run for a microsecond or for a millisecond. */
static void look_at_clock(struct ush_loop *l)
{
    int64_t before = l->now_ns;
    l->now_ns = l->backend->now_ns(l);
    if (l->now_ns - before > l->slice_ns / 4)
        l->clock_every = l->clock_every > 4 ? l->clock_every / 4 : 1;
    else if (l->now_ns - before < l->slice_ns / 8 && l->clock_every < CLOCK_EVERY_MAX)
        l->clock_every *= 2;
}

void ush__run_ready(struct ush_loop *l)
{
    int64_t end = l->now_ns + l->slice_ns;
    bool was_later = false;
    uint32_t resumed = 0, unread = 0;
    for (struct ush_task *t; (t = next(l, &was_later)) != NULL;) {
        resume(l, t);
        resumed++;
        if (++unread < l->clock_every)
            continue;
        unread = 0;
        look_at_clock(l);
        if (l->now_ns >= end || (l->sim && resumed >= SIM_TURN))
            break;
    }
    if (l->sim || was_later)
        return;
    for (int i = 0; i < LATER_SHARE && !ush_list_is_empty(&l->later); i++)
        resume(l, pop(&l->later));
}

/* ---- what tasks call ------------------------------------------------------------------------ */

int ush_spawn_with(struct ush_scope *s, const struct ush_spawn_options *o, ush_fn fn, void *arg)
{
    struct ush_loop *l = ush__loop;
    assert(s->is_open);
    if (s->reason != USH_CANCEL_NONE)
        return -ECANCELED;
    if (l->tasks >= l->tasks_max)
        return USH_EFULL;
    struct ush_task *t = ush__stack_take(l->stacks);
    if (!t)
        return -ENOMEM;
    *t = (struct ush_task){
        .scope = s,
        .home = s,
        .state = USH__READY,
        .wait = USH__WAIT_TURN,
        .since_ns = l->now_ns,
        .fn = fn,
        .arg = arg,
        .name = o && o->name ? o->name : "task",
        .site = o && o->site ? o->site : "-",
        .id = ++l->spawned,
        .stack = t->stack,
    };
    ush_arena_init(&t->arena, t->stack.high, USH__ARENA_FIRST_BYTES, ARENA_BYTES_MAX);
    if (o && o->copy_bytes > 0) {
        assert(o->copy_bytes <= COPY_BYTES_MAX); /* so that it fits the first chunk */
        t->arg = memcpy(ush_arena_alloc(&t->arena, o->copy_bytes), arg, o->copy_bytes);
    }
    t->sp = ush__switch_prepare(t->stack.high, t, l->control);
    ush_list_push(&s->children, &t->sibling);
    ush_list_push(&l->later, &t->queue);
    if (++l->tasks > l->tasks_peak)
        l->tasks_peak = l->tasks;
    if (l->beat)
        atomic_store_explicit(&l->beat->tasks, l->tasks, memory_order_relaxed);
    return 0;
}

int ush_yield(void)
{
    USH_TRY(ush__enter());
    struct ush_loop *l = ush__loop;
    ush__to_the_back(l, l->running);
    return ush__scope_error(ush__self()->scope);
}

int ush_spend(unsigned cost)
{
    USH_TRY(ush__enter());
    struct ush_task *t = ush__self();
    if (cost < (unsigned)t->budget) {
        t->budget = (int16_t)(t->budget - (int)cost);
        return 0;
    }
    ush__to_the_back(ush__loop, t);
    return ush__scope_error(t->scope);
}

struct sleeper {
    struct ush_alarm alarm;
    struct ush_task *task;
};

static void sleep_over(struct ush_alarm *a)
{
    ush__wake(USH_CONTAINER(a, struct sleeper, alarm)->task, 0);
}

int ush_sleep(int64_t ns)
{
    USH_TRY(ush__enter());
    struct ush_loop *l = ush__loop;
    struct sleeper s = {.task = l->running};
    int64_t now = l->backend->now_ns(l); /* l->now_ns may be old: a sleep is never too short */
    ush_alarm_set(&s.alarm, ns < USH_NEVER - now ? now + ns : USH_NEVER, sleep_over);
    int result = ush__park(USH__WAIT_TIME, &s.alarm, NULL);
    ush_alarm_clear(&s.alarm);
    return result;
}

int ush_park_until_cancelled(void)
{
    USH_TRY(ush__enter());
    return ush__park(USH__WAIT_CANCEL, NULL, NULL);
}

int ush_on_loop_stack(ush_fn fn, void *arg)
{
    struct ush_loop *l = ush__loop;
    if (!l || !l->running)
        return fn(arg);
    l->call_fn = fn;
    l->call_arg = arg;
    switch_to_loop(l, l->running);
    return l->call_result;
}

void ush_no_suspend_begin(void)
{
    if (ush__loop)
        ush__loop->no_suspend++;
}

void ush_no_suspend_end(void)
{
    if (!ush__loop)
        return;
    assert(ush__loop->no_suspend > 0);
    ush__loop->no_suspend--;
}

const char *ush_task_name(void)
{
    const struct ush_loop *l = ush__loop;
    if (!l)
        return "thread";
    return l->running ? l->running->name : "loop";
}

struct ush_arena *ush_task_arena(void)
{
    return ush_is_task() ? &ush__self()->arena : NULL;
}

bool ush_is_task(void)
{
    return ush__loop && ush__loop->running;
}
