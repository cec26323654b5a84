/*
 * watch.c - names the task that holds up the loop.
 *
 * One thread cannot serve others while one task computes or sits in a blocking call, and from
 * inside nobody notices: the loop's own clock stands still. So a second thread looks at the beat
 * (see struct ush_beat) a few times per limit. The same count of turns with a task running, for
 * longer than the limit, is a slow slice. The loop itself pays nothing: it reads no clock and takes
 * no lock for this.
 *
 *   in_task, turns unchanged since T,  now - T < limit  ->  wait and see
 *                                      now - T >= limit ->  say so, at most once per quiet_ns;
 *                                                           else count it for the next time
 *
 * What the thread can learn about the task:
 *  1. Its name, from the beat. It is copied byte by byte while the loop may be writing it, and used
 *     only if the turns are still the same afterwards.
 *  2. The kernel says in /proc whether the loop's thread sits in a system call, and in which. Then
 *     that is the answer, and no signal is sent: it would interrupt the call with EINTR.
 *  3. Otherwise a signal makes the loop's thread write down its own return addresses. The handler
 *     follows frame pointers, and only inside the stack of the running task; it calls nothing that
 *     takes a lock or allocates, unlike backtrace(), which has hung servers from signal handlers. A
 *     frame of a library built without frame pointers ends the chain. The addresses are made
 *     readable in this thread, as object+offset: that is what addr2line takes.
 *
 * Durations are as exact as the sampling, a fifth of the limit. A callback on the loop's own stack
 * is not seen here, nor is a loop that waits; a worker that is stuck altogether is its master's
 * duty.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "task/task.h"

enum { LIMIT_MS = 100, QUIET_MS = 10000, SAMPLES_PER_LIMIT = 5, FRAMES = 12, ANSWER_MS = 50 };

static struct {
    struct ush_watchdog_options o;
    const struct ush_beat *beat;
    pid_t tid; /* of the loop's thread */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool is_running, is_stopping;
    /* The slice that is being looked at, and what was said so far. */
    uint64_t turns;
    int64_t since_ns, said_ns;
    uint32_t unsaid;
    bool is_said, is_unsaid; /* this slice; is_unsaid: it is one of the unsaid */
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- where the loop is ---------------------------------------------------------------------- */

static struct {
    sem_t is_ready;
    size_t n;
    uintptr_t pc[FRAMES];
} where;

static int where_signal(void)
{
    return SIGRTMIN + 1;
}

/* On the loop's thread, between any two instructions. Reads memory that other code may be about to
 * change, within the bounds of the task's stack, which the sanitizers need not check. */
__attribute__((no_sanitize("address", "thread", "undefined"))) static void
write_down(int signo __attribute__((unused)), siginfo_t *info __attribute__((unused)),
           void *context)
{
    const ucontext_t *u = context;
#if defined __x86_64__
    uintptr_t pc = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
    uintptr_t fp = (uintptr_t)u->uc_mcontext.gregs[REG_RBP];
    uintptr_t sp = (uintptr_t)u->uc_mcontext.gregs[REG_RSP];
#else
    uintptr_t pc = u->uc_mcontext.pc, fp = u->uc_mcontext.regs[29], sp = u->uc_mcontext.sp;
#endif
    size_t n = 0;
    where.pc[n++] = pc;
    const struct ush_task *t = ush__loop ? ush__loop->running : NULL;
    uintptr_t high = t ? (uintptr_t)t->stack.high : 0;
    if (t && sp >= (uintptr_t)t->stack.low && sp < high) {
        while (n < FRAMES && fp >= sp && fp <= high - 2 * sizeof fp && fp % sizeof fp == 0) {
            const uintptr_t *frame = (const uintptr_t *)fp;
            if (frame[1] == 0)
                break;
            where.pc[n++] = frame[1];
            sp = fp + 1; /* callers lie higher */
            fp = frame[0];
        }
    }
    where.n = n;
    sem_post(&where.is_ready);
}

static void add_address(struct ush_buf *out, uintptr_t pc)
{
    Dl_info info;
    if (dladdr((void *)pc, &info) && info.dli_fname) {
        const char *slash = strrchr(info.dli_fname, '/');
        ush_buf_printf(out, " %s+0x%zx", slash ? slash + 1 : info.dli_fname,
                       (size_t)(pc - (uintptr_t)info.dli_fbase));
    } else {
        ush_buf_printf(out, " 0x%zx", (size_t)pc);
    }
}

/* True if the loop's thread sits in a system call. */
static bool add_system_call(struct ush_buf *out)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)watch.tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (n <= 0 || text[0] < '0' || text[0] > '9')
        return false; /* "running", or the kernel does not tell */
    text[n] = '\0';
    ush_buf_printf(out, " in system call %ld at", strtol(text, NULL, 10));
    const char *last = strrchr(text, ' ');
    add_address(out, last ? strtoull(last, NULL, 16) : 0);
    return true;
}

static void add_where(struct ush_buf *out)
{
    if (add_system_call(out))
        return;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* the clock of sem_timedwait */
    until.tv_nsec += ANSWER_MS * (long)USH_MS;
    until.tv_sec += until.tv_nsec / USH_SECOND;
    until.tv_nsec %= USH_SECOND;
    while (sem_trywait(&where.is_ready) == 0)
        ; /* an answer that came too late last time */
    if (tgkill(getpid(), watch.tid, where_signal()) != 0 ||
        sem_timedwait(&where.is_ready, &until) != 0)
        return;
    ush_buf_printf(out, " at");
    for (size_t i = 0; i < where.n; i++)
        add_address(out, where.pc[i]);
}

/* ---- looking -------------------------------------------------------------------------------- */

/* False if the loop went on meanwhile, and the name may be of two tasks. */
__attribute__((no_sanitize("thread"))) static bool
copy_name(char ret_name[sizeof((struct ush_beat *)0)->task])
{
    const volatile char *from = watch.beat->task;
    for (size_t i = 0; i < sizeof watch.beat->task; i++)
        ret_name[i] = from[i];
    ret_name[sizeof watch.beat->task - 1] = '\0';
    atomic_thread_fence(memory_order_acquire);
    return atomic_load(&watch.beat->turns) == watch.turns;
}

static void say(int64_t now_ns)
{
    char name[sizeof watch.beat->task];
    if (!copy_name(name))
        return;
    struct ush_buf at;
    ush_buf_init(&at, 1024);
    add_where(&at);
    char others[64] = "";
    if (watch.unsaid > watch.is_unsaid)
        snprintf(others, sizeof others, " (%u more since the last warning)",
                 watch.unsaid - watch.is_unsaid);
    ush_warn("task.slow", "task \"%s\" has held the loop for %lld ms%.*s%s", name,
             (long long)((now_ns - watch.since_ns) / USH_MS), USH_PR(ush_buf_text(&at)), others);
    ush_buf_fini(&at);
    watch.said_ns = now_ns;
    watch.unsaid = 0;
    watch.is_said = true;
    watch.is_unsaid = false;
}

static void look(void)
{
    int64_t now_ns = ush_now_ns();
    uint64_t turns = atomic_load(&watch.beat->turns);
    if (turns != watch.turns || !atomic_load(&watch.beat->in_task)) {
        watch.turns = turns;
        watch.since_ns = now_ns;
        watch.is_said = watch.is_unsaid = false;
        return;
    }
    if (now_ns - watch.since_ns < watch.o.limit_ns)
        return;
    if (watch.said_ns == 0 || now_ns - watch.said_ns >= watch.o.quiet_ns) {
        say(now_ns);
    } else if (!watch.is_said && !watch.is_unsaid) {
        watch.is_unsaid = true;
        watch.unsaid++;
    }
}

static void *keep_looking(void *unused)
{
    struct timespec next;
    clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&watch.lock);
    while (!watch.is_stopping) {
        int64_t ns = next.tv_nsec + watch.o.limit_ns / SAMPLES_PER_LIMIT;
        next.tv_sec += ns / USH_SECOND;
        next.tv_nsec = ns % USH_SECOND;
        if (pthread_cond_timedwait(&watch.wake, &watch.lock, &next) == ETIMEDOUT)
            look();
    }
    pthread_mutex_unlock(&watch.lock);
    return unused;
}

/* ---- start and stop ------------------------------------------------------------------------- */

int ush_watchdog_start(const struct ush_watchdog_options *o)
{
    if (ush_is_sim())
        return 0;
    if (!ush__loop || !ush__loop->beat)
        return -EINVAL;
    if (watch.is_running)
        return -EBUSY;
    watch.o.limit_ns = o && o->limit_ns ? o->limit_ns : LIMIT_MS * (int64_t)USH_MS;
    watch.o.quiet_ns = o && o->quiet_ns ? o->quiet_ns : QUIET_MS * (int64_t)USH_MS;
    watch.beat = ush__loop->beat;
    watch.tid = gettid();
    watch.is_stopping = false;
    watch.said_ns = 0;
    watch.unsaid = 0;
    sem_init(&where.is_ready, 0, 0);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&watch.wake, &attr);
    pthread_condattr_destroy(&attr);

    struct sigaction action = {.sa_sigaction = write_down,
                               .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigset_t all, old;
    sigfillset(&action.sa_mask);
    sigaction(where_signal(), &action, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&watch.thread, NULL, keep_looking, NULL);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        return -error;
    pthread_setname_np(watch.thread, "watchdog");
    watch.is_running = true;
    return 0;
}

void ush_watchdog_stop(void)
{
    if (!watch.is_running)
        return;
    pthread_mutex_lock(&watch.lock);
    watch.is_stopping = true;
    pthread_cond_signal(&watch.wake);
    pthread_mutex_unlock(&watch.lock);
    pthread_join(watch.thread, NULL);
    pthread_cond_destroy(&watch.wake);
    signal(where_signal(), SIG_IGN); /* one may still be under way */
    watch.is_running = false;
}
