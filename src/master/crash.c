/*
 * crash.c - the last words of a process that got a fatal signal.
 *
 * SIGSEGV and its kin, and SIGABRT (a failed assert, or the master's watchdog), write one line
 * with the name of the worker and of the task, and a backtrace, to the log; then the signal does
 * what it does by default, so there is a core where those are wanted and the master sees the true
 * reason of the death.
 *
 * Rules
 * 1. Only calls that are safe in a signal handler: write, and the unwinder, which is loaded at the
 *    start because its first use allocates. No lock, no malloc, no stdio.
 * 2. The handler has a stack of its own: the fault may be that a task's stack is used up.
 * 3. A fault inside the handler ends the process at once: the handler is installed for one shot.
 *
 * The backtrace has addresses for addr2line, and names only of functions that are exported.
 *
 * The task's name comes from the beat, which lies in shared memory and is written before a task
 * is resumed. What the other tasks wait for is written only when the watchdog sent the signal: that
 * process hangs but is not damaged, the buffer is there already, and if the walk over its tasks
 * does go wrong, SIGKILL is on its way.
 */
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "master/master.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#ifndef HAS_SANITIZER
#define HAS_SANITIZER 0
#endif

enum { FRAMES_MAX = 64, STACK_BYTES = 64 * 1024, TASKS_BYTES = 256 * 1024 };

static const char *who = "worker";
static const struct ush_beat *life;
static int out = 2;
static char stack[STACK_BYTES] __attribute__((aligned(16)));

static void say(const char *s)
{
    ssize_t written = write(out, s, strlen(s));
    (void)written;
}

static void say_number(uint64_t n, unsigned base)
{
    char digits[24], *at = digits + sizeof digits;
    *--at = 0;
    do
        *--at = "0123456789abcdef"[n % base];
    while (n /= base);
    say(at);
}

/* Costs no memory until then: its pages are not touched. */
static void say_tasks(void)
{
    static char at[TASKS_BYTES + 1];
    struct ush_buf text = {.at = at, .cap_bytes = TASKS_BYTES, .max_bytes = TASKS_BYTES};
    ush_dump(&text);
    say(at);
}

static void last_words(int signo, siginfo_t *info, void *context __attribute__((unused)))
{
    bool is_watchdog = signo == SIGABRT && info->si_code == SI_USER && info->si_pid == getppid();
    say("worker.crash: ");
    say(who);
    say(" got signal ");
    say_number((uint64_t)signo, 10);
    if (signo != SIGABRT) {
        say(" at address 0x");
        say_number((uint64_t)(uintptr_t)info->si_addr, 16);
    }
    say(life->in_task ? " in the task '" : " on the loop's stack, after the task '");
    say(life->task);
    say("'\n");
    void *frames[FRAMES_MAX];
    backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), out);
    if (is_watchdog && !HAS_SANITIZER) /* which cannot follow from the handler's stack */
        say_tasks();
    /* Blocked while this handler runs, so it strikes on return, and then by default. It has to be
     * sent again because a SIGABRT from outside would otherwise be used up; and the disposition
     * set because another handler (of stack overflows) may have called this one. */
    signal(signo, SIG_DFL);
    raise(signo);
}

void ush__crash_watch(const char *name, const struct ush_beat *beat, int log_fd)
{
    out = log_fd;
    who = name;
    life = beat;
    void *frame;
    backtrace(&frame, 1);

    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    struct sigaction sa = {.sa_sigaction = last_words,
                           .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGABRT, &sa, NULL);
    if (HAS_SANITIZER)
        return; /* they tell more, and have handlers of their own */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    for (size_t i = 0; i < USH_COUNT(faults); i++)
        sigaction(faults[i], &sa, NULL);
}
