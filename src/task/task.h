/*
 * task.h - what the files of the task module share: the task record, the loop, park and wake,
 * and the table that a backend fills. Not public; include/usher/task.h is.
 *
 *     loop.c   ush_run: poll, alarms, posts, ready tasks   gather.c   n calls, cap at once
 *     sched.c  which task runs; park and wake              sync.c     mutex, semaphore, channel
 *     scope.c  who waits for whom; cancelling              batch.c    items flushed together
 *     stack.c  slabs of stacks; switch_*.S                 offload.c  threads for what blocks
 *     timer.c  alarms                                      watch.c    names what holds the loop
 *     fd.c     who waits for a descriptor                  dump.c     the tree of tasks as text
 *     epoll.c  the backend for service                     sim.c, sim_net.c  the seed's backend
 *
 * A task is in one of four states, and these are all the edges:
 *
 *            spawn                  the loop picks it
 *   (free) ---------> READY ---------------------------> RUNNING
 *     ^                 ^                                 |  |  |
 *     |                 +------------ yield --------------+  |  |
 *     |                 |                                    |  |
 *     |                 +---- wake ---- PARKED <--- park ----+  |
 *     +------------------------ fn returned --------------------+
 *
 * Invariants:
 *  1. At most one task of a loop is RUNNING; `loop->running` is NULL on the loop's own stack.
 *  2. A task is in at most one queue: the ready queue while READY, the waiters of one object while
 *     PARKED (or none). Both use `task->queue`.
 *  3. The first wake decides the result of a wait. A wake of a task that is not PARKED is ignored,
 *     so a result and a cancellation that meet never overwrite each other.
 *  4. Cancellation takes a task out of the queue it waits in before it makes it READY, so nobody
 *     hands anything to a task that has already given up.
 *  5. Every call that may suspend begins with ush__enter(): there the cancelled state of the scope
 *     is seen, the budget is charged, and under sim the seed decides.
 *
 * How a primitive is written (see ush_mutex_lock in sync.c):
 *
 *     USH_TRY(ush__enter());
 *     if (<it can be had now>)
 *         return <take it>;
 *     ush_list_push(&object->waiters, &ush__self()->queue);
 *     return ush__park(USH__WAIT_..., object, NULL);
 *
 * and the other side: pop a link, give the thing to its task, ush__wake(task, 0).
 */
#ifndef USH_TASK_TASK_H
#define USH_TASK_TASK_H

#include <stdatomic.h>

#include "task/stack.h"
#include "task/switch.h"
#include "usher/sim.h"
#include "usher/task.h"

/* ---- what a task waits for ----------------------------------------------------------------- */

/* name, phrase for a dump ("waits for ..."), what task->wait_object points to. */
#define USH__WAITS(W)                                                                              \
    W(NOTHING, "nothing")          /* running or ready */                                          \
    W(TURN, "its turn")            /* NULL: it yielded */                                          \
    W(TIME, "a moment")            /* the struct ush_alarm */                                      \
    W(CANCEL, "cancellation")      /* NULL */                                                      \
    W(CHILDREN, "the children of") /* the struct ush_scope */                                      \
    W(READ, "bytes on")            /* the descriptor as a pointer: ush__fd_of_object */            \
    W(WRITE, "room on")            /* the same */                                                  \
    W(ACCEPT, "a connection on")   /* the same */                                                  \
    W(CONNECT, "the peer of")      /* the same */                                                  \
    W(FD, "foreign")               /* the same */                                                  \
    W(MUTEX, "mutex")              /* the struct ush_mutex */                                      \
    W(SEMAPHORE, "semaphore")      /* the struct ush_semaphore */                                  \
    W(EVENT, "event")              /* the struct ush_event */                                      \
    W(SEND, "room in channel")     /* the struct ush_channel */                                    \
    W(RECV, "a message from")      /* the struct ush_channel */                                    \
    W(BATCH, "the flush of")       /* the struct ush_batch */                                      \
    W(POOL, "a thread of")         /* the struct ush_pool */

enum ush__wait {
#define W(name, phrase) USH__WAIT_##name,
    USH__WAITS(W)
#undef W
};
extern const char *const ush__wait_phrases[];

static inline void *ush__object_of_fd(int fd)
{
    return (void *)(intptr_t)fd;
}
static inline int ush__fd_of_object(const void *object)
{
    return (int)(intptr_t)object;
}

/* ---- task ----------------------------------------------------------------------------------- */

enum ush__state { USH__READY, USH__RUNNING, USH__PARKED, USH__DONE };

/*
 * Asked when a parked task is to be cancelled: takes the task out of whatever would wake it and
 * returns true, or returns false when the result can no longer be stopped, and then the task stays
 * parked until that result wakes it.
 */
typedef bool (*ush__leave_fn)(struct ush_task *t);

struct ush_task {
    void *sp;                /* saved stack pointer while not RUNNING */
    struct ush_link queue;   /* invariant 2 */
    struct ush_scope *scope; /* innermost scope it has opened, else the one it was spawned into */
    int result;              /* of the wait that ended last; of fn once DONE */
    int16_t budget;          /* operations left before it has to yield */
    uint8_t state;           /* enum ush__state */
    uint8_t wait;            /* enum ush__wait */
    uint8_t mark;            /* of a dump's search for cycles; 0 between dumps */
    void *wait_object;       /* see USH__WAITS */
    void *wait_data;         /* while PARKED: what the waker or `leave` needs of this task */
    ush__leave_fn leave;     /* while PARKED */
    int64_t since_ns;        /* when it was spawned or last parked */
    ush_fn fn;
    void *arg;
    struct ush_scope *home;  /* the scope it was spawned into */
    struct ush_link sibling; /* in home->children */
    const char *name, *site; /* borrowed; never NULL */
    uint64_t id;             /* counts from 1 in the order of spawning */
    uint32_t priority;       /* of the sim scheduler */
    struct ush_arena arena;
    void *fake_stack;        /* of AddressSanitizer */
    struct ush__stack stack; /* where it stands; kept while the slot is free */
};

/* The running task; the caller knows that there is one. */
static inline struct ush_task *ush__self(void);

/*
 * The beginning of every call that may suspend: -ECANCELED or -ETIMEDOUT if the scope is cancelled,
 * else charges the budget, yields if it is used up, and returns 0. Asserts that the caller is a
 * task outside a no-suspend section.
 */
int ush__enter(void) USH_MUST_CHECK;

/*
 * Parks the running task until ush__wake and returns the result given there, or the code of the
 * cancelled scope. `object` is what the dump shows. With leave NULL a cancellation unlinks
 * task->queue; ush__never_leave makes the wait deaf. The caller has done ush__enter() and has
 * linked itself where the waker finds it.
 */
int ush__park(enum ush__wait wait, void *object, ush__leave_fn leave);
bool ush__never_leave(struct ush_task *t);

/* Makes a parked task ready; unlinks task->queue. Ignored (false) unless it is PARKED. */
bool ush__wake(struct ush_task *t, int result);

/* -ECANCELED or -ETIMEDOUT for a cancelled scope, 0 for one that is not. */
static inline int ush__scope_error(const struct ush_scope *s)
{
    if (USH_LIKELY(s->reason == USH_CANCEL_NONE))
        return 0;
    return s->reason == USH_CANCEL_DEADLINE ? -ETIMEDOUT : -ECANCELED;
}
/* Gives a task that may be PARKED in a cancelled scope the chance to leave its wait. */
void ush__cancel_wait(struct ush_task *t);
/* A child's function has returned. */
void ush__scope_child_ended(struct ush_scope *s, int result);
void ush__scope_init_root(struct ush_scope *s);
/* Cancels through shields as well: for a run that cannot go on. */
void ush__scope_cancel_all(struct ush_scope *s);

/* Logs a mistake of the program, with the name of the running task, and ends the process. */
_Noreturn void ush__panic(const char *fmt, ...) USH_PRINTF(1, 2);

/* ---- decisions of the seed ------------------------------------------------------------------- */

enum ush__decision {
    USH__DECIDE_NEXT,   /* which ready task runs */
    USH__DECIDE_CANCEL, /* whether a suspension is cancelled */
    USH__DECIDE_DELAY,  /* how late something arrives */
    USH__DECIDE_SHORT,  /* how many bytes move */
    USH__DECIDE_RESET,  /* whether the peer resets */
    USH__DECIDE_USER,   /* ush_sim_choose */
};
/* 0 to n-1 chosen by the seed; 0, the natural choice, outside sim and for n < 2. */
uint32_t ush__decide(enum ush__decision kind, uint32_t n);
/* How much later than at once something arrives: 0 to delay_ns_max by the seed; 0 outside sim. */
int64_t ush__decide_delay(void);

/* What the sim backend does at the beginning of a call that may suspend, after a task has parked,
 * and when the loop wants the next task (NULL: none is ready). */
int ush__sim_enter(struct ush_task *t);
void ush__sim_parked(struct ush_task *t);
struct ush_task *ush__sim_next(struct ush_loop *l);

/* ---- loop ------------------------------------------------------------------------------------ */

/* A call from another thread, run on the loop's stack. Embed it in what it is about. */
struct ush__post {
    struct ush__post *next;
    void (*fn)(struct ush__post *);
};
/* Any thread, while the loop runs. Wakes the loop only if it sleeps. */
void ush__post(struct ush_loop *l, struct ush__post *p);

/* A pool that exists is looked after here, so that ush_run can wait for it. */
struct ush_pool;
/* Frees the pools of the running loop; called as the loop ends (offload.c). */
void ush__pools_free(struct ush_loop *l);
const char *ush__pool_name(const struct ush_pool *p);

/* Where the readiness backends keep a descriptor; see fd.c. */
struct ush__fd;

/* A backend is the door to the world. The table's calls belong to the thread of the loop. */
struct ush__backend {
    const char *name;
    int (*start)(struct ush_loop *l, const struct ush_loop_options *o);
    void (*stop)(struct ush_loop *l);
    /* Reports what has happened in the world, waiting for it until `until_ns` at the latest (a
     * moment that has passed: only looks), and leaves the clock in l->now_ns. 0, or USH_EDEADLOCK
     * if nothing can ever happen. */
    int (*poll)(struct ush_loop *l, int64_t until_ns);
    int64_t (*now_ns)(struct ush_loop *l);
    int64_t (*wall_ms)(struct ush_loop *l);
    void (*random)(struct ush_loop *l, void *ret_bytes, size_t n);

    /* Operations on descriptors: the public calls of the same names after ush__enter(). */
    ssize_t (*recv)(int fd, void *ret_bytes, size_t n);
    ssize_t (*send)(int fd, const void *bytes, size_t n);
    int (*accept)(int listener, struct ush_address *ret_peer);
    int (*connect)(const struct ush_address *to);
    int (*wait_fd)(int fd, unsigned events);

    int (*fd_open)(int fd);
    void (*fd_close)(int fd);
    ssize_t (*recv_now)(int fd, void *ret_bytes, size_t n);
    ssize_t (*send_now)(int fd, const void *bytes, size_t n);
    int (*accept_now)(int listener, struct ush_address *ret_peer);
    int (*listen)(const struct ush_address *at, int backlog);
    int (*socketpair)(int ret_fds[2]);
    int (*shutdown_write)(int fd);
    int (*fd_watch)(int fd, ush_ready_fn fn, void *ctx);
    int (*listener_watch)(int fd, ush_ready_fn fn, void *ctx);
    void (*listener_unwatch)(int fd);
    int (*on_signal)(int signo, void (*fn)(void *ctx, int signo), void *ctx);
    void (*wake)(struct ush_loop *l); /* any thread: ends a poll that waits */
};
extern const struct ush__backend ush__epoll, ush__sim;

struct ush__timer {
    int64_t at_ns;
    uint32_t id; /* of its slot */
};
struct ush__timer_slot {
    struct ush_alarm *alarm; /* NULL = free */
    uint32_t place;          /* in the heap; of a free slot: the next free one, 0 = none */
};
struct ush__timers {
    struct ush__timer *heap;       /* owned */
    struct ush__timer_slot *slots; /* owned; as many as the heap has room for */
    uint32_t count, room, free_id;
    int64_t due_ns; /* moments up to here have been served */
};
void ush__timers_fini(struct ush__timers *h);
int64_t ush__timers_next(const struct ush__timers *h);
void ush__timers_run(struct ush__timers *h, int64_t now_ns);

struct ush_loop {
    struct ush_task *running;
    void *sp;         /* of the loop's own stack while a task runs */
    uint64_t control; /* floating point control words of the loop's stack and of new tasks */
    int64_t now_ns;
    const struct ush__backend *backend;
    struct ush__sim_state *sim;     /* NULL outside sim */
    struct ush__epoll_state *epoll; /* NULL outside epoll */
    struct ush_link ready;          /* woken tasks, oldest first: what was begun is finished */
    struct ush_link later;          /* spawned tasks and such that yielded */
    uint32_t no_suspend;            /* depth of no-suspend sections */
    int64_t slice_ns;
    uint32_t clock_every; /* resumes between two looks at the clock */
    struct ush__timers timers;
    struct ush_scope root; /* keep_going; holds the root task and what callbacks spawn */
    int root_result;
    bool is_root_done;
    bool is_stuck; /* sim reported a deadlock or an endless run; the tasks are being ended */
    struct ush_beat *beat;  /* borrowed; may be NULL */
    struct ush_pool *pools; /* list kept by offload.c */
    struct ush_pool *cpu_pool, *blocking_pool;
    ush_fn call_fn; /* a task's request to the loop's stack */
    void *call_arg;
    int call_result;
    uint32_t tasks, tasks_max, tasks_peak;
    uint64_t turns, resumes, spawned;
    struct ush__stacks *stacks;
    struct ush__fds *fds;
    /* Written by other threads. */
    _Atomic(struct ush__post *) posts __attribute__((aligned(64)));
    _Atomic bool sleeps; /* about to wait, or waiting, in poll */
    /* For the sanitizers: the loop's own stack. */
    void *fake_stack, *own_fiber;
    const void *own_low;
    size_t own_bytes;
};

/* Only the loop writes it, so this need not be a locked instruction. */
static inline void ush__beat_count(struct ush_beat *b)
{
    uint64_t turns = atomic_load_explicit(&b->turns, memory_order_relaxed);
    atomic_store_explicit(&b->turns, turns + 1, memory_order_relaxed);
}

/* One turn's worth of ready tasks. */
void ush__run_ready(struct ush_loop *l);
/* Puts the running task behind all that are ready, and runs them. */
void ush__to_the_back(struct ush_loop *l, struct ush_task *t);

/* The loop of this thread, NULL if none runs. */
extern _Thread_local struct ush_loop *ush__loop;

static inline struct ush_task *ush__self(void)
{
    return ush__loop->running;
}

#endif
