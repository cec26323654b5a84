/*
 * task.h - tasks that read like blocking code and cost nothing while they wait.
 *
 * One loop runs on one thread (a worker process has one). A *task* is a function on its own small
 * stack. When it calls something that waits (marked "May suspend") it parks, and the loop runs
 * others; it is resumed on the same thread, later. A *scope* owns the tasks spawned into it:
 * closing a scope waits for all of them, so no task outlives the block that started it, and a
 * pointer to the opener's stack stays good in its children.
 *
 * Rules that hold everywhere (each is tested over the epoll and the sim backend):
 *  1. A task ends only by returning. There is no way to kill a stack.
 *  2. A call that may suspend is a cancellation point and a scheduling point. Once the innermost
 *     scope, or one around it up to the nearest shield, is cancelled, every such call fails at
 *     once with -ECANCELED, or with -ETIMEDOUT if the reason was a deadline of the scope itself
 *     or of one around it. This goes on until the scope is left ("level-triggered").
 *  3. A call that reports -ECANCELED or -ETIMEDOUT did nothing. If its result and the
 *     cancellation arrive together the result wins; bytes and wake-ups are never lost.
 *  4. No call takes a time-out argument: the scope owns the deadline, and a child's is never
 *     later than its parent's.
 *  5. Between two suspensions a task owns the loop: plain variables need no lock.
 *  6. `errno` is not an output and is not kept over a suspension.
 *
 * Clock, randomness, sockets and the order in which tasks run come from a backend: `epoll` for
 * service, `sim` (see sim.h) for tests, where a seed reproduces every interleaving.
 *
 * Everything here belongs to the thread of its loop unless it says "any thread".
 */
#ifndef USHER_TASK_H
#define USHER_TASK_H

#include <sys/socket.h>

#include "usher/base.h"

struct ush_task; /* opaque; lives at the top of its own stack */
struct ush_loop; /* opaque; one per thread */
typedef int (*ush_fn)(void *arg);

/* ---- the loop ----------------------------------------------------------------------------- */

enum ush_backend { USH_BACKEND_EPOLL, USH_BACKEND_SIM };

struct ush_loop_options {
    enum ush_backend backend;
    const struct ush_sim_options *sim; /* for USH_BACKEND_SIM; borrowed during ush_run */
    struct ush_sim_report *sim_report; /* for USH_BACKEND_SIM; filled at the end; may be NULL */
    uint32_t tasks_max;                /* tasks alive at once; 0 = 100,000 */
    uint32_t stack_bytes;              /* address space per task; 0 = 128 KiB; power of two */
    int64_t slice_ns;                  /* a turn hands over to I/O after this; 0 = 0.5 ms */
    struct ush_beat *beat;             /* where to show life to a watchdog; NULL = nowhere */
};

/*
 * Runs a loop on the calling thread with `fn` as its root task and returns what fn returned, once
 * fn and everything it spawned have ended. -ENOMEM or a negated errno if the loop cannot start;
 * USH_EDEADLOCK (sim only) if nothing can ever run again.
 */
int ush_run(const struct ush_loop_options *o, ush_fn fn, void *arg);

/* What a loop shows to whoever watches it, from another thread or process. One cache line. */
struct ush_beat {
    _Atomic uint64_t turns;   /* raised at every turn of the loop and every resume */
    _Atomic uint32_t in_task; /* 1 while a task runs */
    _Atomic uint32_t tasks;   /* alive */
    char task[48];            /* name of the task that runs or ran last, NUL-terminated */
} __attribute__((aligned(64)));

/* Monotonic nanoseconds (virtual under sim). Cheap: read once per slice check, so up to a few
 * tens of microseconds old inside a slice. Any thread; without a loop it reads the clock. */
int64_t ush_now_ns(void);
/* Milliseconds since 1970 by the wall clock (virtual under sim). Any thread. */
int64_t ush_wall_ms(void);
/* Fills with unpredictable bytes (reproducible under sim). Any thread. */
void ush_random(void *ret_bytes, size_t n);

/* ---- tasks -------------------------------------------------------------------------------- */

/* Name of the running task; "loop" on the loop's own stack; "thread" elsewhere. Never NULL. */
const char *ush_task_name(void);
/* Arena that lives and dies with the running task. Its first KiB is on the task's own first page.
 * NULL outside a task. */
struct ush_arena *ush_task_arena(void);
/* True when called on a task's stack, that is, when calls that may suspend are allowed. */
bool ush_is_task(void);

/* Lets every other ready task run once. May suspend. 0, -ECANCELED, -ETIMEDOUT. */
int ush_yield(void);
/* Waits. May suspend. 0 after the time, -ECANCELED, -ETIMEDOUT. */
int ush_sleep(int64_t ns);
/* Waits until the scope is cancelled; always negative. May suspend. */
int ush_park_until_cancelled(void);
/* Charges `cost` operations to the task's budget and yields when it is used up. For loops that
 * compute between waits. May suspend. */
int ush_spend(unsigned cost);

/* Between these two a suspension is a bug and ends the process with the name of the task. Nests.
 * Third-party callbacks run inside. */
void ush_no_suspend_begin(void);
void ush_no_suspend_end(void);

/* ---- alarms ------------------------------------------------------------------------------- */

/* A single moment at which fn runs on the loop's own stack. Embed, zero, start again at any time;
 * clear it before its memory goes. */
struct ush_alarm {
    int64_t at_ns;
    void (*fn)(struct ush_alarm *);
    uint32_t id; /* private: number of its timer, 0 = not set */
};
void ush_alarm_set(struct ush_alarm *a, int64_t at_ns, void (*fn)(struct ush_alarm *));
void ush_alarm_clear(struct ush_alarm *a);

/* ---- scopes ------------------------------------------------------------------------------- */

enum ush_cancel_reason {
    USH_CANCEL_NONE,
    USH_CANCEL_DEADLINE, /* the scope's own deadline, or one around it */
    USH_CANCEL_ASKED,    /* ush_scope_cancel */
    USH_CANCEL_SIBLING,  /* a child failed */
    USH_CANCEL_CLIENT,   /* the client went away */
    USH_CANCEL_SHUTDOWN, /* the process drains */
};

struct ush_scope_options {
    int64_t deadline_ns; /* on the clock of ush_now_ns; 0 = none of its own; passed = cancelled */
    const char *name;    /* for dumps; NULL = "scope"; borrowed while open */
    bool shield;         /* ignores cancellation from around it; needs a deadline_ns */
    bool keep_going;     /* a failed child does not cancel its siblings */
};

/* The caller's storage, usually on its stack. All fields are private. */
struct ush_scope {
    struct ush_link children; /* tasks */
    struct ush_link inner;    /* scopes opened inside this one, over all its tasks */
    struct ush_link in_outer;
    struct ush_scope *outer; /* borrowed; NULL for the root's */
    struct ush_task *opener, *closer;
    const char *name;
    int64_t deadline_ns;    /* effective: the smallest of its own and those around it */
    struct ush_alarm alarm; /* set while its own deadline is the effective one */
    int first_error;
    uint32_t failed; /* children that failed */
    uint8_t reason;  /* enum ush_cancel_reason */
    bool shield, keep_going, is_open;
    bool was_cut; /* cancelled while it had children */
};

/* Opens a scope in the running task. Never suspends, never fails. Scopes close in the reverse
 * order of opening, by the task that opened them. `o` may be NULL. */
void ush_scope_open(struct ush_scope *s, const struct ush_scope_options *o);
/* Waits for all children, then leaves. Suspends while children live (that wait itself is not
 * cancellable: it is how cancellation is collected). Returns the first failure of a child, else
 * -ETIMEDOUT / -ECANCELED if the scope was cancelled while it had children, else 0. A child that
 * ends with the code of the cancelled scope is an echo of the cancellation, not a failure. */
int ush_scope_close(struct ush_scope *s);
/* Cancels the scope and everything inside up to shields. Idempotent; never suspends. */
void ush_scope_cancel(struct ush_scope *s, enum ush_cancel_reason reason);
/* Takes the scope's own deadline back: from now on those around it count. For streams, whose end
 * nobody knows beforehand. Only while nothing is open inside. Never suspends. */
void ush_scope_lift_deadline(struct ush_scope *s);
/* 0 while the running task's scope is not cancelled, else the code that waits would return. */
int ush_cancelled(void);
/* Effective deadline of the running task, USH_NEVER if none. */
int64_t ush_deadline_ns(void);
/* Nanoseconds until then, at least 0. */
int64_t ush_remaining_ns(void);

struct ush_spawn_options {
    const char *name; /* for dumps and the watchdog; borrowed until the task ends */
    const char *site; /* "file.c:12" */
    /* Not 0: arg points to so many bytes (at most 800), and fn gets a copy of them in the task's
     * own memory, so that they need live no longer than this call. */
    size_t copy_bytes;
};
/* Starts fn(arg) as a child of an open scope. It runs later, never inside this call. Any task may
 * spawn into any scope of its loop. 0; USH_EFULL beyond tasks_max; -ENOMEM; -ECANCELED if the
 * scope is cancelled. Never suspends. A negative return of fn is the child's failure. */
int ush_spawn_with(struct ush_scope *s, const struct ush_spawn_options *o, ush_fn fn, void *arg);
#define USH_SITE_2(line) __FILE__ ":" #line
#define USH_SITE_1(line) USH_SITE_2(line)
#define USH_SITE USH_SITE_1(__LINE__)
#define ush_spawn(scope, fn, arg)                                                                  \
    ush_spawn_with((scope), &(struct ush_spawn_options){.name = #fn, .site = USH_SITE}, (fn), (arg))

/*
 * Calls fn on each of n items, at most `cap` at a time (0 = all), in tasks of their own, and
 * returns when all have ended. `items` is an array of n elements of `item_bytes`. The first
 * failure cancels the rest and is returned; otherwise 0, also when the scope around was cancelled
 * as the last one ended. May suspend.
 */
int ush_gather(size_t n, size_t cap, ush_fn fn, void *items, size_t item_bytes);

/* ---- sockets ------------------------------------------------------------------------------ */

/*
 * A descriptor belongs to the loop between ush_fd_open and ush_close; both directions may be
 * waited for by one task each. Sockets from ush_accept, ush_connect and ush_socketpair are open.
 * Under sim the descriptors are names of simulated sockets and mean nothing to the kernel.
 */
struct ush_address {
    struct sockaddr_storage storage;
    socklen_t len;
};

int ush_fd_open(int fd);
/* Gives up the descriptor and closes it. Tasks that wait for it fail with -EBADF. Never suspends.
 */
void ush_close(int fd);
/* Up to n bytes. 0 at the end of the stream. May suspend. */
ssize_t ush_recv(int fd, void *ret_bytes, size_t n);
/* All n bytes, or a negative error with an unknown part sent. May suspend. */
ssize_t ush_send(int fd, const void *bytes, size_t n);
/* A connected, non-blocking socket. `ret_peer` may be NULL. May suspend. */
int ush_accept(int listener, struct ush_address *ret_peer);
int ush_connect(const struct ush_address *to);
/* A listening socket, not shared with other processes. For "unix:" an old file is replaced. */
int ush_listen(const struct ush_address *at, int backlog);
int ush_socketpair(int ret_fds[2]);
int ush_shutdown_write(int fd);

enum { USH_READABLE = 1, USH_WRITABLE = 2, USH_HANGUP = 4 };
/* Waits until a foreign descriptor (a library's socket) is ready; level-triggered; needs no
 * ush_fd_open. Returns the ready set. Not under sim. May suspend. */
int ush_wait_fd(int fd, unsigned events);

/* The same without waiting: -EAGAIN when they would have to, and only after that the descriptor
 * becomes ready again (a send that moved fewer bytes may well go on). Allowed on the loop's stack.
 */
ssize_t ush_recv_now(int fd, void *ret_bytes, size_t n);
ssize_t ush_send_now(int fd, const void *bytes, size_t n);
int ush_accept_now(int listener, struct ush_address *ret_peer);

/* ---- callbacks on the loop's own stack ---------------------------------------------------- */

/*
 * For protocol code that must hold no stack while it waits. Callbacks run on the loop's stack,
 * must not suspend and should be short. They may spawn.
 */
typedef void (*ush_ready_fn)(void *ctx, unsigned events);
/* `fn` runs when fd becomes ready and no task waits for that direction. Edge-triggered: read until
 * -EAGAIN or a short read. What was ready before is told as well, later. fn NULL stops it. The fd
 * must be open. */
int ush_fd_watch(int fd, ush_ready_fn fn, void *ctx);
/* The same for a listening socket inherited from the master and shared with other processes:
 * level-triggered, one process is woken per connection. */
int ush_listener_watch(int fd, ush_ready_fn fn, void *ctx);
void ush_listener_unwatch(int fd);
/* Spawning from a callback needs a scope that outlives it: */
struct ush_scope *ush_root_scope(void);

/* Many waits of one length cost two pointers each and no heap: a FIFO list per length. */
struct ush_timeouts {
    int64_t length_ns;
    void (*fn)(struct ush_link *expired); /* already unlinked */
    struct ush_link waiting;              /* oldest first */
    struct ush_alarm alarm;
};
struct ush_timeout {
    struct ush_link link;
    int64_t since_ns;
};
void ush_timeouts_init(struct ush_timeouts *t, int64_t length_ns, void (*fn)(struct ush_link *));
void ush_timeouts_fini(struct ush_timeouts *t);
void ush_timeout_start(struct ush_timeouts *t, struct ush_timeout *one);
void ush_timeout_stop(struct ush_timeout *one);

/* Runs fn(arg) on the loop's big stack and returns its result, for leaf code that needs depth.
 * Never suspends; fn must not. */
int ush_on_loop_stack(ush_fn fn, void *arg);

/* ---- mutex, semaphore, event, channel ------------------------------------------------------ */

/* All are plain memory of one loop, first come first served; a waiter that is cancelled leaves the
 * queue before its call returns. Zero is not initialised: use the init call or macro. */
struct ush_mutex {
    struct ush_link waiters;
    struct ush_task *holder;
    const char *name; /* for the wait graph; borrowed */
};
void ush_mutex_init(struct ush_mutex *m, const char *name);
/* May suspend. 0, -ECANCELED, -ETIMEDOUT. Taking it twice is a bug and asserts. */
int ush_mutex_lock(struct ush_mutex *m) USH_MUST_CHECK;
/* Hands over to the longest waiting. Never suspends. */
void ush_mutex_unlock(struct ush_mutex *m);

struct ush_semaphore {
    struct ush_link waiters;
    uint32_t free, limit;
    const char *name;
};
void ush_semaphore_init(struct ush_semaphore *s, const char *name, uint32_t limit);
int ush_semaphore_take(struct ush_semaphore *s) USH_MUST_CHECK; /* may suspend */
bool ush_semaphore_try(struct ush_semaphore *s);
void ush_semaphore_give(struct ush_semaphore *s);

/* Waits until somebody says so. */
struct ush_event {
    struct ush_link waiters;
    bool is_set;
    const char *name;
};
void ush_event_init(struct ush_event *e, const char *name);
int ush_event_wait(struct ush_event *e); /* until set; may suspend */
void ush_event_set(struct ush_event *e); /* wakes all; stays set */
void ush_event_reset(struct ush_event *e);

/* A bounded queue of fixed-size messages in the caller's memory; `capacity` is at least 1. */
struct ush_channel {
    struct ush_link senders, receivers;
    char *slots; /* borrowed: capacity * message_bytes */
    size_t message_bytes;
    uint32_t capacity, count, first;
    bool is_closed;
    const char *name;
};
void ush_channel_init(struct ush_channel *c, const char *name, void *slots, size_t message_bytes,
                      uint32_t capacity);
/* May suspend while full. 0; -EPIPE once closed; -ECANCELED; -ETIMEDOUT. */
int ush_channel_send(struct ush_channel *c, const void *message);
/* May suspend while empty. 1 with a message; 0 when closed and empty; or negative. */
int ush_channel_recv(struct ush_channel *c, void *ret_message);
/* 0; -EAGAIN when full; -EPIPE when closed. */
int ush_channel_send_now(struct ush_channel *c, const void *message);
/* Senders fail from now on, receivers drain what is left. */
void ush_channel_close(struct ush_channel *c);

/* ---- batch: group commit ------------------------------------------------------------------ */

/*
 * Items are submitted one by one and flushed together: while one flush is in progress new items
 * pile up, and the next flush takes all of them, at most `max`. An item that arrives at an idle
 * batch is flushed at once: no delay is ever added. This is how many registrations share one
 * commit.
 *
 *   idle --item--> flushing --done, none wait--> idle
 *                     ^  |
 *                     +--+ done, some wait: take up to max
 */
struct ush_batch_item {
    struct ush_link link;
    struct ush_task *waiter;                           /* set by ush_batch_submit */
    void (*done)(struct ush_batch_item *, int result); /* set by the caller of ush_batch_put */
    int result;
    uint8_t state;
};

struct ush_batch_options {
    const char *name;
    uint32_t max;       /* items per flush */
    uint32_t queue_max; /* items waiting beyond the flush in progress */
    /*
     * Called in the batch's own task with 1 to max items, oldest first; may suspend. Sets
     * item->result of each; a negative return value becomes the result of all instead.
     */
    int (*flush)(void *ctx, struct ush_batch_item **items, size_t n);
    void *ctx;
};

struct ush_batch {
    struct ush_batch_options o;
    struct ush_link waiting;
    uint32_t count;                /* waiting */
    struct ush_scope *home;        /* where the flushing task lives; borrowed */
    struct ush_batch_item **taken; /* owned: o.max pointers */
    bool is_flushing;
    uint64_t flushes, items; /* totals, for the metrics */
};

/* `home` outlives the batch. 0 or -ENOMEM. */
int ush_batch_init(struct ush_batch *b, struct ush_scope *home, const struct ush_batch_options *o);
void ush_batch_fini(struct ush_batch *b); /* nothing may be waiting */
/* Adds an item in the caller's storage and waits for its flush. May suspend. Returns the item's
 * result; USH_EFULL without waiting if queue_max are waiting; -ECANCELED or -ETIMEDOUT only while
 * the item has not been taken by a flush: afterwards the call waits for the truth. */
int ush_batch_submit(struct ush_batch *b, struct ush_batch_item *item);
/* The same without waiting: item->done is called on the batch's task. Never suspends. */
int ush_batch_put(struct ush_batch *b, struct ush_batch_item *item,
                  void (*done)(struct ush_batch_item *, int result));

/* ---- offload ------------------------------------------------------------------------------ */

/* Threads for what would hold up the loop. */
struct ush_pool; /* opaque */
struct ush_pool_options {
    const char *name;   /* "cpu", "blocking" */
    uint32_t threads;   /* started on first use */
    uint32_t queue_max; /* jobs waiting for a thread */
    int niceness;       /* 0 to 19: how far its threads stand back behind the loop */
};
struct ush_pool_stats {
    uint64_t done, refused;
    uint32_t running, waiting;
    int64_t wait_ns_max; /* longest wait in the queue so far */
};
/* Belongs to the running loop; NULL without memory. Under sim a job runs inside the loop and ends
 * at a moment that the seed chooses. */
struct ush_pool *ush_pool_new(const struct ush_pool_options *o);
/* Holds up the loop until the jobs that run and wait in its queue have ended. Tasks that wait for
 * them get their results afterwards. */
void ush_pool_free(struct ush_pool *p);
/* Runs fn(arg) in a thread and returns its result. Returns only when fn has returned, so arg may
 * live on the caller's stack; a cancellation is seen only while the job still waits in the queue.
 * USH_EFULL at once when the queue is full; -ENOMEM when p is NULL. fn must call nothing that may
 * suspend. May suspend. */
int ush_offload(struct ush_pool *p, ush_fn fn, void *arg);
struct ush_pool_stats ush_pool_stats(const struct ush_pool *p);
/* The loop's shared pools, made on first use: "cpu" has as many threads as cores, "blocking" 16. */
struct ush_pool *ush_cpu_pool(void);
struct ush_pool *ush_blocking_pool(void);

/* ---- looking inside ----------------------------------------------------------------------- */

/* Writes the tree of scopes and tasks of the running loop as text: name, spawn site, state, what
 * each waits for and since when, and who holds it. Never suspends. */
void ush_dump(struct ush_buf *out);

/*
 * A thread that watches the loop of the calling task by its ush_beat (which ush_run was given) and
 * warns in the log when one task holds it for too long: "task.slow" with the name, for how long,
 * where (addresses for addr2line), and the system call if it sits in one. One per process.
 */
struct ush_watchdog_options {
    int64_t limit_ns; /* how long a task may run without a suspension; 0 = 100 ms */
    int64_t quiet_ns; /* between two warnings; others are counted in the next; 0 = 10 s */
};
/* 0; -EINVAL if the loop shows no beat; -EBUSY if one watches already; or a negated errno. Does
 * nothing under sim, where running takes no time. */
int ush_watchdog_start(const struct ush_watchdog_options *o);
/* By the thread that started it; a no-op when none runs. */
void ush_watchdog_stop(void);

/* Asks a signal (for example SIGUSR1) to be delivered to `fn` on the loop's stack. The epoll
 * backend uses a signalfd; at most one handler per signal. 0 or a negated errno. */
int ush_on_signal(int signo, void (*fn)(void *ctx, int signo), void *ctx);

struct ush_loop_stats {
    uint64_t turns, resumes, spawned;
    uint32_t tasks, tasks_peak;
    uint32_t stacks_held; /* slots in mapped slabs */
    const char *guards;   /* "markers", "mprotect" or "canary" */
};
struct ush_loop_stats ush_loop_stats(void);

#endif
