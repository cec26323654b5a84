/*
 * switch.h - the two ways between the loop's stack and a task's.
 *
 * The work is done in switch_<arch>.S; these jump there without a call (see there why) and tell
 * the compiler which registers a call would have been free to destroy. Both return when somebody
 * switches back.
 */
#ifndef USH_TASK_SWITCH_H
#define USH_TASK_SWITCH_H

#include <stdint.h>

struct ush_task;

/* Lays the first frame of a task under `high`, which is aligned to 16; returns its stack pointer.
 */
void *ush__switch_prepare(void *high, void *task, uint64_t control);
/* The floating point control words in force: mxcsr | x87 << 32, or fpcr. */
uint64_t ush__switch_control(void);
/* Where the trampoline of a new task goes on. */
_Noreturn void ush__task_main(struct ush_task *t);

#if defined(__x86_64__)

#define USH__SWITCH(target)                                                                        \
    "leaq 1f(%%rip), %%rcx\n\t"                                                                    \
    "jmp " target "\n"                                                                             \
    "1:"
#define USH__SWITCH_CLOBBERS                                                                       \
    "rax", "rcx", "r8", "r9", "r10", "r11", "cc", "memory", "xmm0", "xmm1", "xmm2", "xmm3",        \
        "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",        \
        "xmm14", "xmm15"

/* From the loop to a task. */
static inline __attribute__((always_inline)) void ush__switch_in(void **save_sp, void *load_sp,
                                                                 uint64_t control)
{
    __asm__ volatile(USH__SWITCH("ush__switch_in")
                     : "+D"(save_sp), "+S"(load_sp), "+d"(control)
                     :
                     : USH__SWITCH_CLOBBERS);
}

/* From a task to the loop. */
static inline __attribute__((always_inline)) void ush__switch_out(void **save_sp, void *load_sp)
{
    __asm__ volatile(USH__SWITCH("ush__switch_out")
                     : "+D"(save_sp), "+S"(load_sp)
                     :
                     : "rdx", USH__SWITCH_CLOBBERS);
}

#elif defined(__aarch64__)

#define USH__SWITCH(target)                                                                        \
    "adr x3, 1f\n\t"                                                                               \
    "b " target "\n"                                                                               \
    "1:\thint #36" /* bti j */
#define USH__SWITCH_CLOBBERS                                                                       \
    "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",     \
        "x17", "x30", "cc", "memory", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16",       \
        "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", \
        "v30", "v31"

static inline __attribute__((always_inline)) void ush__switch_in(void **save_sp, void *load_sp,
                                                                 uint64_t control)
{
    register void *x0 __asm__("x0") = (void *)save_sp;
    register void *x1 __asm__("x1") = load_sp;
    register uint64_t x2 __asm__("x2") = control;
    __asm__ volatile(USH__SWITCH("ush__switch_in")
                     : "+r"(x0), "+r"(x1), "+r"(x2)
                     :
                     : USH__SWITCH_CLOBBERS);
}

static inline __attribute__((always_inline)) void ush__switch_out(void **save_sp, void *load_sp)
{
    register void *x0 __asm__("x0") = (void *)save_sp;
    register void *x1 __asm__("x1") = load_sp;
    __asm__ volatile(USH__SWITCH("ush__switch_out")
                     : "+r"(x0), "+r"(x1)
                     :
                     : "x2", USH__SWITCH_CLOBBERS);
}

#else
#error "there is no switch for this processor: write src/task/switch_<arch>.S"
#endif

#endif
