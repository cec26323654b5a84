/*
 * stack.h - stacks for tasks: taken and given back without a system call.
 *
 * A stack lies in a slot of a slab. From the highest address down, a slot holds
 *
 *   colour gap | struct ush_task | first chunk of the task's arena | stack, growing down | guard
 *
 * so a task that waits in shallow code has touched one page in all. The record stays readable
 * while the slot is free: the free list runs through it.
 */
#ifndef USH_TASK_STACK_H
#define USH_TASK_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ush_task;
struct ush__stacks;
struct ush__slab;

enum { USH__ARENA_FIRST_BYTES = 1024 };

/* What a slot keeps of itself inside the task record. */
struct ush__stack {
    struct ush__slab *slab;
    char *low;            /* lowest usable byte, above the guard */
    char *high;           /* one past the highest; the arena's first chunk begins here */
    void *fiber;          /* of ThreadSanitizer */
    uint32_t index;       /* of the slot in its slab */
    uint32_t valgrind_id; /* of the registered stack */
    bool is_guarded;      /* false: only the canary */
    bool is_trimmed;      /* pages below the first were given back since it was last used */
};

/* How an overflow is caught. USH_GUARDS=markers|mprotect|canary forces one (for tests). */
enum ush__guards { USH__GUARD_MARKERS, USH__GUARD_MPROTECT, USH__GUARD_CANARY };

/* `slot_bytes` is a power of two, at least 32 KiB. NULL without memory. */
struct ush__stacks *ush__stacks_new(size_t slot_bytes);
void ush__stacks_free(struct ush__stacks *s);

/* A record of which only `stack` is filled, or NULL without memory. */
struct ush_task *ush__stack_take(struct ush__stacks *s);
void ush__stack_give(struct ush__stacks *s, struct ush_task *t);

/* Gives memory of stacks that have not been needed for a while back to the system; a no-op before
 * the moment that ush__stacks_trim_at returns (USH_NEVER: nothing is superfluous). */
void ush__stacks_trim(struct ush__stacks *s, int64_t now_ns);
int64_t ush__stacks_trim_at(const struct ush__stacks *s);

/* After `t` has run: ends the process if its unguarded stack has overflowed. */
void ush__stack_check(const struct ush_task *t);

uint32_t ush__stacks_held(const struct ush__stacks *s);
const char *ush__stacks_guards(const struct ush__stacks *s);

/* Installs the handler that names the task when a guard is hit, with an alternate stack for the
 * calling thread; and takes the alternate stack away again. */
int ush__overflow_start(void);
void ush__overflow_stop(void);

#endif
