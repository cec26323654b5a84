/*
 * stack.c - slabs of stacks, their guards, and giving memory back in idle time.
 *
 * A slab is one mapping of 64 slots without reservation and without huge pages (one touched huge
 * page would cost 2 MiB). Slots of a slab are handed out for the first time in order; a slot that
 * comes back goes to the front of one free list, so the hottest stack is used next and neither
 * taking nor giving makes a system call.
 *
 * Guards. The kernel counts a protected page as a mapping of its own, two for each stack, and
 * limits mappings to vm.max_map_count (65,530): more than 32,000 guarded stacks do not fit. So:
 *
 *   markers   MADV_GUARD_INSTALL (Linux 6.13): in the page table, costs no mapping
 *   mprotect  until this process has spent 45 % of the limit; later slots fall back to
 *   canary    the lowest bytes above the guard are read after every run of the task and have to
 *             be zero still. Fresh memory is: reading it maps the shared zero page, so unlike a
 *             written pattern this costs no memory.
 *
 * Trimming. Every 4 s the most stacks in use since the last time is compared with half of the
 * last target; the larger is the new target. Of the free stacks beyond it, slabs that are wholly
 * free are unmapped and the coldest others give back everything below their first page. Nothing
 * is given back per request: that costs a fault and a shoot-down each time.
 *
 * Invariants:
 *  1. used = slots handed out and not given back; a slab may be unmapped only at used == 0.
 *  2. A slot below slab->fresh that is not used is in the free list, through its task record.
 *  3. The record and the first page of a slot keep their memory as long as the slab exists.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "task/fiber.h"
#include "task/task.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000) /* Linux 6.14; before it the guards are installed one by one */
#endif

enum {
    SLAB_SLOTS = 64,
    COLOURS = 8, /* neighbouring slots start in different cache sets */
    COLOUR_BYTES = 64,
    GUARD_BYTES = 16384, /* libraries built without stack probes may skip a single page */
    CANARY_BYTES = 64,
    KEEP_FREE = SLAB_SLOTS, /* free stacks that trimming leaves alone */
    TRIM_BATCH = 256,       /* stacks trimmed at once: about half a millisecond */
};
#define TRIM_EVERY_NS (4 * USH_SECOND)

struct ush__slab {
    struct ush_link link;
    char *base;
    uint32_t used;
    uint32_t fresh;   /* slots from here on have never been handed out */
    bool has_markers; /* all its guards are there */
};

struct ush__stacks {
    struct ush_link slabs; /* the one that may have fresh slots first */
    struct ush_link free;  /* task->queue, hottest first */
    size_t slot_bytes;
    enum ush__guards guards;
    uint32_t held, used, peak, target;
    uint32_t has_complained; /* logged that there is no address space: once is enough */
    int64_t trim_at;
};

/* Guards made by mprotect in this process, over all its loops. */
static _Atomic long mprotect_left = -1;

/* A slab that the last loop of this thread has left for the next: a test runs thousands. */
static _Thread_local struct {
    struct ush__slab *slab;
    size_t slot_bytes;
    enum ush__guards guards;
} spare;

static long mprotect_budget(void)
{
    long limit = 65530;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    if (f) {
        if (fscanf(f, "%ld", &limit) != 1)
            limit = 65530;
        fclose(f);
    }
    return limit * 45 / 100 / 2; /* two mappings each */
}

static enum ush__guards guards_probe(void)
{
    const char *forced = getenv("USH_GUARDS");
    if (forced && strcmp(forced, "canary") == 0)
        return USH__GUARD_CANARY;
    if (forced && strcmp(forced, "mprotect") == 0)
        return USH__GUARD_MPROTECT;
    if (spare.slab && spare.guards == USH__GUARD_MARKERS)
        return USH__GUARD_MARKERS; /* it has been tried */
    long page = sysconf(_SC_PAGESIZE);
    void *p = mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return USH__GUARD_MPROTECT;
    bool markers = madvise(p, (size_t)page, MADV_GUARD_INSTALL) == 0;
    munmap(p, (size_t)page);
    return markers ? USH__GUARD_MARKERS : USH__GUARD_MPROTECT;
}

/* The record of a slot. It may be read only when the slot has been handed out once. */
static struct ush_task *slot_task(const struct ush__stacks *s, const struct ush__slab *b,
                                  uint32_t index)
{
    char *end = b->base + (index + 1) * s->slot_bytes - (index % COLOURS) * COLOUR_BYTES;
    return (struct ush_task *)(void *)(end - ((sizeof(struct ush_task) + 63) & ~(size_t)63));
}

static void slab_unmap(struct ush__stacks *s, struct ush__slab *b)
{
    for (uint32_t i = 0; i < b->fresh; i++) {
        struct ush_task *t = slot_task(s, b, i);
        fiber_free(t->stack.fiber);
        fiber_deregister(t->stack.valgrind_id);
        if (t->stack.is_guarded && s->guards == USH__GUARD_MPROTECT)
            atomic_fetch_add(&mprotect_left, 1);
    }
    s->held -= b->fresh;
    fiber_unpoison(b->base, s->slot_bytes * SLAB_SLOTS);
    munmap(b->base, s->slot_bytes * SLAB_SLOTS);
    ush_list_del(&b->link);
    free(b);
}

static void spare_use(struct ush__stacks *s)
{
    struct ush__slab *b = spare.slab;
    if (!b || spare.slot_bytes != s->slot_bytes || spare.guards != s->guards)
        return;
    spare.slab = NULL;
    ush_list_push(&s->slabs, &b->link);
    for (uint32_t i = 0; i < b->fresh; i++)
        ush_list_push(&s->free, &slot_task(s, b, i)->queue);
    s->held = b->fresh;
}

struct ush__stacks *ush__stacks_new(size_t slot_bytes)
{
    struct ush__stacks *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    ush_list_init(&s->slabs);
    ush_list_init(&s->free);
    s->slot_bytes = slot_bytes;
    s->guards = guards_probe();
    s->trim_at = USH_NEVER;
    long unset = -1;
    if (s->guards == USH__GUARD_MPROTECT && atomic_load(&mprotect_left) < 0)
        atomic_compare_exchange_strong(&mprotect_left, &unset, mprotect_budget());
    spare_use(s);
    return s;
}

/* Stacks may be in use still: those of tasks that a sim run has proved to be stuck for ever. */
void ush__stacks_free(struct ush__stacks *s)
{
    USH_EACH_SAFE (&s->slabs, l) {
        struct ush__slab *b = USH_CONTAINER(l, struct ush__slab, link);
        if (FIBERS_ARE_THREADS || spare.slab || b->used > 0) {
            slab_unmap(s, b);
            continue;
        }
        spare.slab = b;
        spare.slot_bytes = s->slot_bytes;
        spare.guards = s->guards;
    }
    free(s);
}

/* The guards of a whole slab in one system call, which Valgrind does not know: half the cost of one
 * for each. */
static bool mark_all(const struct ush__stacks *s, const struct ush__slab *b)
{
    if (fiber_on_valgrind())
        return false;
    struct iovec guards[SLAB_SLOTS];
    for (uint32_t i = 0; i < SLAB_SLOTS; i++)
        guards[i] = (struct iovec){b->base + i * s->slot_bytes, GUARD_BYTES};
    return syscall(SYS_process_madvise, PIDFD_SELF, guards, SLAB_SLOTS, MADV_GUARD_INSTALL, 0) ==
           (long)SLAB_SLOTS * GUARD_BYTES;
}

static struct ush__slab *slab_add(struct ush__stacks *s)
{
    struct ush__slab *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    size_t bytes = s->slot_bytes * SLAB_SLOTS;
    b->base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (b->base == MAP_FAILED) {
        if (!s->has_complained++)
            ush_error(
                "task.stacks",
                "no address space for 64 stacks (%zu bytes): %s; lower the number of tasks or "
                "raise the limit on address space or vm.overcommit",
                bytes, strerror(errno));
        free(b);
        return NULL;
    }
    madvise(b->base, bytes, MADV_NOHUGEPAGE);
    if (s->guards == USH__GUARD_MARKERS)
        b->has_markers = mark_all(s, b);
    ush_list_push_front(&s->slabs, &b->link);
    return b;
}

static bool guard_install(struct ush__stacks *s, const struct ush__slab *b, char *at)
{
    if (s->guards == USH__GUARD_MARKERS)
        return b->has_markers || madvise(at, GUARD_BYTES, MADV_GUARD_INSTALL) == 0;
    if (s->guards == USH__GUARD_CANARY)
        return false;
    if (atomic_fetch_sub(&mprotect_left, 1) <= 0 || mprotect(at, GUARD_BYTES, PROT_NONE) < 0) {
        atomic_fetch_add(&mprotect_left, 1);
        return false;
    }
    return true;
}

/* A slot for the first time. */
static struct ush_task *take_fresh(struct ush__stacks *s)
{
    struct ush__slab *b = USH_CONTAINER(s->slabs.next, struct ush__slab, link);
    if (ush_list_is_empty(&s->slabs) || b->fresh == SLAB_SLOTS)
        b = slab_add(s);
    if (!b)
        return NULL;
    uint32_t index = b->fresh++;
    struct ush_task *t = slot_task(s, b, index);
    char *base = b->base + index * s->slot_bytes;
    t->stack = (struct ush__stack){
        .slab = b,
        .low = base + GUARD_BYTES,
        .high = (char *)t - USH__ARENA_FIRST_BYTES,
        .index = index,
        .is_guarded = guard_install(s, b, base),
        .fiber = fiber_new(),
    };
    t->stack.valgrind_id = fiber_register(t->stack.low, t->stack.high);
    s->held++;
    return t;
}

struct ush_task *ush__stack_take(struct ush__stacks *s)
{
    struct ush_link *l = ush_list_pop(&s->free);
    struct ush_task *t = l ? USH_CONTAINER(l, struct ush_task, queue) : take_fresh(s);
    if (!t)
        return NULL;
    fiber_unpoison(t->stack.low, (size_t)((char *)t - t->stack.low));
    t->stack.is_trimmed = false;
    t->stack.slab->used++;
    if (++s->used > s->peak)
        s->peak = s->used;
    return t;
}

void ush__stack_give(struct ush__stacks *s, struct ush_task *t)
{
    fiber_poison(t->stack.low, (size_t)((char *)t - t->stack.low));
    ush_list_push_front(&s->free, &t->queue);
    t->stack.slab->used--;
    s->used--;
    if (s->trim_at == USH_NEVER && s->held > KEEP_FREE)
        s->trim_at = 0; /* at the next idle moment the interval begins */
}

/* ---- trimming ------------------------------------------------------------------------------ */

int64_t ush__stacks_trim_at(const struct ush__stacks *s)
{
    return s->trim_at;
}

void ush__stacks_trim(struct ush__stacks *s, int64_t now_ns)
{
    if (now_ns < s->trim_at)
        return;
    if (s->trim_at == 0) {
        s->trim_at = now_ns + TRIM_EVERY_NS;
        return;
    }
    s->target = s->peak > s->target / 2 ? s->peak : s->target / 2;
    s->peak = s->used;
    uint32_t keep = s->target + KEEP_FREE;
    USH_EACH_SAFE (&s->slabs, l) {
        struct ush__slab *b = USH_CONTAINER(l, struct ush__slab, link);
        if (s->held < keep + SLAB_SLOTS)
            break;
        if (b->used > 0 || b->fresh < SLAB_SLOTS)
            continue;
        for (uint32_t i = 0; i < SLAB_SLOTS; i++)
            ush_list_del(&slot_task(s, b, i)->queue);
        slab_unmap(s, b);
    }
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uint32_t idle = s->held - s->used, batch = TRIM_BATCH;
    for (struct ush_link *l = s->free.prev; l != &s->free && batch > 0; l = l->prev) {
        struct ush_task *t = USH_CONTAINER(l, struct ush_task, queue);
        if (s->used + idle <= keep)
            break;
        idle--;
        if (t->stack.is_trimmed)
            continue;
        uintptr_t first_page = ((uintptr_t)t + sizeof *t - 1) & ~(page - 1);
        madvise(t->stack.low, first_page - (uintptr_t)t->stack.low, MADV_DONTNEED);
        t->stack.is_trimmed = true;
        batch--;
    }
    bool settled = batch > 0 && s->target <= s->used + KEEP_FREE;
    s->trim_at = settled ? USH_NEVER : now_ns + TRIM_EVERY_NS;
}

uint32_t ush__stacks_held(const struct ush__stacks *s)
{
    return s->held;
}

const char *ush__stacks_guards(const struct ush__stacks *s)
{
    static const char *const names[] = {"markers", "mprotect", "canary"};
    return names[s->guards];
}

/* ---- overflow ------------------------------------------------------------------------------ */

/* Written with write(2) from a signal handler: no formatting, no locks. */
static void overflow_report(const struct ush_task *t)
{
    const char *const parts[] = {"usher: stack overflow in task \"", t->name, "\" spawned at ",
                                 t->site, "\n"};
    for (size_t i = 0; i < USH_COUNT(parts); i++)
        if (write(STDERR_FILENO, parts[i], strlen(parts[i])) < 0)
            return;
}

void ush__stack_check(const struct ush_task *t)
{
    if (t->stack.is_guarded)
        return;
    uint64_t lowest[CANARY_BYTES / sizeof(uint64_t)], any = 0;
    memcpy(lowest, t->stack.low, sizeof lowest);
    for (size_t i = 0; i < USH_COUNT(lowest); i++)
        any |= lowest[i];
    if (USH_LIKELY(any == 0 && (char *)t->sp > t->stack.low))
        return;
    overflow_report(t);
    abort();
}

static struct sigaction before_us;

static void on_fault(int signo, siginfo_t *info, void *context)
{
    struct ush_loop *l = ush__loop;
    struct ush_task *t = l ? l->running : NULL;
    char *at = info->si_addr;
    if (t && t->stack.is_guarded && at >= t->stack.low - GUARD_BYTES && at < t->stack.low)
        overflow_report(t);
    if (before_us.sa_flags & SA_SIGINFO)
        before_us.sa_sigaction(signo, info, context);
    else
        signal(signo, SIG_DFL); /* the fault comes again and ends the process with a core */
}

static void install(void)
{
    struct sigaction ours = {.sa_flags = SA_SIGINFO | SA_ONSTACK, .sa_sigaction = on_fault};
    sigemptyset(&ours.sa_mask);
    sigaction(SIGSEGV, &ours, &before_us);
}

static _Thread_local stack_t alternate, alternate_before;

int ush__overflow_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    alternate = (stack_t){.ss_size = 65536};
    alternate.ss_sp = malloc(alternate.ss_size);
    if (!alternate.ss_sp)
        return -ENOMEM;
    sigaltstack(&alternate, &alternate_before);
    pthread_once(&once, install);
    return 0;
}

void ush__overflow_stop(void)
{
    if (!alternate.ss_sp)
        return;
    sigaltstack(&alternate_before, NULL);
    free(alternate.ss_sp);
    alternate.ss_sp = NULL;
}
