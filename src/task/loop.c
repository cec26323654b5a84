/*
 * loop.c - ush_run, and the calls that only pass on to the backend.
 *
 *   poll the world and the clock -> alarms -> posts of other threads -> ready tasks -> again
 *
 * The loop waits in poll only when no task is ready, and never past the next alarm. It ends when
 * the root task has ended and the root scope has no children. Before it waits it gives memory of
 * superfluous stacks back; that is the only upkeep.
 *
 * Other threads reach the loop through one list: ush__post pushes with a compare-and-swap, the loop
 * takes all at once. `sleeps` says whether a wake-up call is needed. The loop sets it before it
 * looks at the list for the last time, a poster reads it after its push, both in one total order;
 * so either the loop sees the post or the poster sees the sleeper.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "task/fd.h"
#include "task/fiber.h"

enum {
    TASKS_MAX = 100000,
    STACK_BYTES = 128 << 10,
    STACK_BYTES_MIN = 32 << 10,
};
#define SLICE_NS (USH_MS / 2)

/* ---- posts from other threads ---------------------------------------------------------------- */

void ush__post(struct ush_loop *l, struct ush__post *p)
{
    struct ush__post *head = atomic_load_explicit(&l->posts, memory_order_relaxed);
    do
        p->next = head;
    while (!atomic_compare_exchange_weak(&l->posts, &head, p));
    if (atomic_load(&l->sleeps) && atomic_exchange(&l->sleeps, false))
        l->backend->wake(l);
}

static void run_posts(struct ush_loop *l)
{
    if (USH_LIKELY(!atomic_load_explicit(&l->posts, memory_order_relaxed)))
        return;
    struct ush__post *newest = atomic_exchange(&l->posts, NULL), *oldest = NULL;
    while (newest) {
        struct ush__post *p = newest;
        newest = p->next;
        p->next = oldest;
        oldest = p;
    }
    while (oldest) {
        struct ush__post *p = oldest;
        oldest = p->next; /* fn may free p */
        p->fn(p);
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int turn(struct ush_loop *l)
{
    l->turns++;
    if (l->beat)
        ush__beat_count(l->beat);
    ush__timers_run(&l->timers, l->now_ns);
    run_posts(l);
    ush__run_ready(l);
    if (l->is_root_done && ush_list_is_empty(&l->root.children))
        return 1;
    bool is_busy = !ush_list_is_empty(&l->ready) || !ush_list_is_empty(&l->later);
    int64_t until = is_busy || ush__fds_owes(l) ? 0 : ush__timers_next(&l->timers);
    if (!is_busy && !l->sim) {
        ush__stacks_trim(l->stacks, l->now_ns);
        int64_t trim_at = ush__stacks_trim_at(l->stacks);
        if (trim_at < until)
            until = trim_at;
    }
    int result = l->backend->poll(l, until);
    ush__fds_pay(l);
    return result;
}

static int loop_start(struct ush_loop *l, const struct ush_loop_options *o)
{
    *l = (struct ush_loop){
        .backend = o->backend == USH_BACKEND_SIM ? &ush__sim : &ush__epoll,
        .slice_ns = o->slice_ns ? o->slice_ns : SLICE_NS,
        .tasks_max = o->tasks_max ? o->tasks_max : TASKS_MAX,
        .beat = o->beat,
        .own_fiber = fiber_own(),
        .control = ush__switch_control(),
        .clock_every = 1,
    };
    ush_list_init(&l->ready);
    ush_list_init(&l->later);
    ush__scope_init_root(&l->root);
    size_t stack_bytes = o->stack_bytes ? o->stack_bytes : STACK_BYTES;
    if (stack_bytes < STACK_BYTES_MIN || (stack_bytes & (stack_bytes - 1)) != 0)
        return -EINVAL;
    l->stacks = ush__stacks_new(stack_bytes);
    if (!l->stacks)
        return -ENOMEM;
    USH_TRY(ush__fds_start(l));
    USH_TRY(ush__overflow_start());
    USH_TRY(l->backend->start(l, o));
    l->now_ns = l->backend->now_ns(l);
    return 0;
}

static void loop_stop(struct ush_loop *l)
{
    ush__pools_free(l);
    l->backend->stop(l);
    ush__overflow_stop();
    ush__fds_stop(l);
    if (l->stacks)
        ush__stacks_free(l->stacks);
    ush__timers_fini(&l->timers);
}

int ush_run(const struct ush_loop_options *o, ush_fn fn, void *arg)
{
    if (ush__loop)
        ush__panic("ush_run inside a running loop");
    /* Not on this stack: sanitizers and Valgrind look at it as the thread's own. */
    struct ush_loop *l = aligned_alloc(64, (sizeof *l + 63) & ~(size_t)63);
    if (!l)
        return -ENOMEM;
    ush__loop = l;
    int result = loop_start(l, o);
    if (result == 0) {
        struct ush_spawn_options root = {.name = "root", .site = "ush_run"};
        result = ush_spawn_with(&l->root, &root, fn, arg);
    }
    while (result == 0) {
        result = turn(l);
        if (result == USH_EDEADLOCK && !l->is_stuck) {
            /* It has been reported. Now let everybody clean up, as far as they can. */
            l->is_stuck = true;
            ush__scope_cancel_all(&l->root);
            result = 0;
        }
    }
    if (result == 1)
        result = l->is_stuck ? USH_EDEADLOCK : l->root_result;
    loop_stop(l);
    ush__loop = NULL;
    free(l);
    return result;
}

/* ---- clock and chance ------------------------------------------------------------------------ */

static int64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return t.tv_sec * USH_SECOND + t.tv_nsec;
}

int64_t ush_now_ns(void)
{
    return ush__loop ? ush__loop->now_ns : clock_ns(CLOCK_MONOTONIC);
}

int64_t ush_wall_ms(void)
{
    struct ush_loop *l = ush__loop;
    return l ? l->backend->wall_ms(l) : clock_ns(CLOCK_REALTIME) / USH_MS;
}

void ush_random(void *ret_bytes, size_t n)
{
    struct ush_loop *l = ush__loop;
    if (l && l->sim) {
        l->backend->random(l, ret_bytes, n);
        return;
    }
    char *at = ret_bytes;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno != EINTR)
            ush__panic("getrandom: %s", strerror(errno));
        if (got > 0) {
            at += got;
            n -= (size_t)got;
        }
    }
}

/* ---- passing on ------------------------------------------------------------------------------ */

static const struct ush__backend *door(void)
{
    return ush__loop->backend;
}

int ush_fd_open(int fd)
{
    return door()->fd_open(fd);
}

void ush_close(int fd)
{
    door()->fd_close(fd);
}

ssize_t ush_recv(int fd, void *ret_bytes, size_t n)
{
    USH_TRY(ush__enter());
    return door()->recv(fd, ret_bytes, n);
}

ssize_t ush_send(int fd, const void *bytes, size_t n)
{
    USH_TRY(ush__enter());
    return door()->send(fd, bytes, n);
}

int ush_accept(int listener, struct ush_address *ret_peer)
{
    USH_TRY(ush__enter());
    return door()->accept(listener, ret_peer);
}

int ush_connect(const struct ush_address *to)
{
    USH_TRY(ush__enter());
    return door()->connect(to);
}

int ush_wait_fd(int fd, unsigned events)
{
    USH_TRY(ush__enter());
    return door()->wait_fd(fd, events);
}

int ush_listen(const struct ush_address *at, int backlog)
{
    return door()->listen(at, backlog);
}

int ush_socketpair(int ret_fds[2])
{
    return door()->socketpair(ret_fds);
}

int ush_shutdown_write(int fd)
{
    return door()->shutdown_write(fd);
}

ssize_t ush_recv_now(int fd, void *ret_bytes, size_t n)
{
    return door()->recv_now(fd, ret_bytes, n);
}

ssize_t ush_send_now(int fd, const void *bytes, size_t n)
{
    return door()->send_now(fd, bytes, n);
}

int ush_accept_now(int listener, struct ush_address *ret_peer)
{
    return door()->accept_now(listener, ret_peer);
}

int ush_fd_watch(int fd, ush_ready_fn fn, void *ctx)
{
    return door()->fd_watch(fd, fn, ctx);
}

int ush_listener_watch(int fd, ush_ready_fn fn, void *ctx)
{
    return door()->listener_watch(fd, fn, ctx);
}

void ush_listener_unwatch(int fd)
{
    door()->listener_unwatch(fd);
}

int ush_on_signal(int signo, void (*fn)(void *ctx, int signo), void *ctx)
{
    return door()->on_signal(signo, fn, ctx);
}

struct ush_scope *ush_root_scope(void)
{
    return &ush__loop->root;
}

struct ush_loop_stats ush_loop_stats(void)
{
    const struct ush_loop *l = ush__loop;
    return (struct ush_loop_stats){
        .turns = l->turns,
        .resumes = l->resumes,
        .spawned = l->spawned,
        .tasks = l->tasks,
        .tasks_peak = l->tasks_peak,
        .stacks_held = ush__stacks_held(l->stacks),
        .guards = ush__stacks_guards(l->stacks),
    };
}
