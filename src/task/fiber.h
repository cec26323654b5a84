/*
 * fiber.h - what AddressSanitizer, ThreadSanitizer and Valgrind have to be told about stacks.
 *
 * Each of them keeps an idea of "the stack of this thread" that our switch would break. In a plain
 * build the calls are empty (Valgrind's is a few no-op instructions per slab slot, once, and only
 * if its header was there at build time). All are inline, because ThreadSanitizer must not see a
 * function entered on one fiber and left on another.
 *
 *   leaving S for T:   fiber_leave(&S.fake, T.low, T.bytes, T.fiber)   just before the switch
 *   back on S:         fiber_enter(S.fake)                             just after
 *
 * A stack that is left for good passes NULL as `fake`, so that its fake stack is freed.
 */
#ifndef USH_TASK_FIBER_H
#define USH_TASK_FIBER_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define USH__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define USH__ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define USH__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define USH__TSAN 1
#endif
#endif

/* ThreadSanitizer counts fibers among the threads, and a process with threads may not start any
 * more after a fork: then no stack may outlive its loop. */
#ifdef USH__TSAN
enum { FIBERS_ARE_THREADS = 1 };
#else
enum { FIBERS_ARE_THREADS = 0 };
#endif

#ifdef USH__ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef USH__TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define USH__VALGRIND 1
#endif
#endif

static inline __attribute__((always_inline)) void fiber_leave(void **save_fake, const void *low,
                                                              size_t bytes, void *fiber)
{
    (void)save_fake, (void)low, (void)bytes, (void)fiber;
#ifdef USH__ASAN
    __sanitizer_start_switch_fiber(save_fake, low, bytes);
#endif
#ifdef USH__TSAN
    __tsan_switch_to_fiber(fiber, 0);
#endif
}

static inline __attribute__((always_inline)) void fiber_enter(void *fake)
{
    (void)fake;
#ifdef USH__ASAN
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

/* First thing on a new stack: tells where the stack lies from which it was entered. */
static inline __attribute__((always_inline)) void fiber_start(const void **low, size_t *bytes)
{
    (void)low, (void)bytes;
#ifdef USH__ASAN
    __sanitizer_finish_switch_fiber(NULL, low, bytes);
#endif
}

static inline void *fiber_new(void)
{
#ifdef USH__TSAN
    return __tsan_create_fiber(0);
#else
    return NULL;
#endif
}

static inline void fiber_free(void *fiber)
{
    (void)fiber;
#ifdef USH__TSAN
    __tsan_destroy_fiber(fiber);
#endif
}

/* The fiber of the thread itself. */
static inline void *fiber_own(void)
{
#ifdef USH__TSAN
    return __tsan_get_current_fiber();
#else
    return NULL;
#endif
}

/* A stack that nobody uses: touching it is reported until it is made usable again. */
static inline void fiber_poison(void *low, size_t bytes)
{
    (void)low, (void)bytes;
#ifdef USH__ASAN
    __asan_poison_memory_region(low, bytes);
#endif
}

static inline void fiber_unpoison(void *low, size_t bytes)
{
    (void)low, (void)bytes;
#ifdef USH__ASAN
    __asan_unpoison_memory_region(low, bytes);
#endif
}

/* Valgrind takes big jumps of the stack pointer for growth unless it knows both stacks. */
static inline unsigned fiber_register(void *low, void *high)
{
    (void)low, (void)high;
#ifdef USH__VALGRIND
    return VALGRIND_STACK_REGISTER(low, high);
#else
    return 0;
#endif
}

static inline void fiber_deregister(unsigned id)
{
    (void)id;
#ifdef USH__VALGRIND
    VALGRIND_STACK_DEREGISTER(id);
#endif
}

static inline int fiber_on_valgrind(void)
{
#ifdef USH__VALGRIND
    return RUNNING_ON_VALGRIND;
#else
    return 0;
#endif
}

#endif
