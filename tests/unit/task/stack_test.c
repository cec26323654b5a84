/*
 * stack_test.c - overflow is caught and named under each kind of guard, a waiting task costs one
 * page, stacks are used again, and superfluous ones are given back.
 */
#include "both.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "task/fiber.h"
#include "task/task.h"

#if defined USH__ASAN || defined USH__TSAN
enum { SANITIZED = 1 }; /* it catches an overflow itself, and adds memory */
#else
enum { SANITIZED = 0 };
#endif

/* ---- overflow -------------------------------------------------------------------------------- */

static __attribute__((noinline)) int dig(int depth)
{
    volatile char bytes[512];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(depth + 1);
    if (depth == 0)
        return bytes[0];
    return dig(depth - 1) + bytes[100];
}

static int deep(void *arg)
{
    return dig((int)(intptr_t)arg) < 0 ? 0 : 1;
}

static int spawn_deep(void *depth)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    struct ush_spawn_options o = {.name = "digger", .site = "mine.c:7"};
    ush_spawn_with(&s, &o, deep, depth);
    return ush_scope_close(&s);
}

/* Runs `depth` frames in a task in a child process. Returns its wait status and what it said. */
static int in_a_child(const char *guards, int depth, char *ret_said, size_t room)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], 2);
        setenv("USH_GUARDS", guards, 1);
        struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};
        _exit(ush_run(&o, spawn_deep, (void *)(intptr_t)depth) == 0 ? 0 : 9);
    }
    close(fds[1]);
    size_t len = 0;
    for (ssize_t n; (n = read(fds[0], ret_said + len, room - 1 - len)) > 0;)
        len += (size_t)n;
    ret_said[len] = '\0';
    close(fds[0]);
    int status;
    waitpid(pid, &status, 0);
    return status;
}

static const char *const guards[] = {"markers", "mprotect", "canary"};

START_TEST(overflow_names_the_task)
{
    char said[4096];
    /* Deep, but inside: nothing is said. */
    ck_assert_int_eq(in_a_child(guards[_i], 100, said, sizeof said), 0);
    ck_assert_str_eq(said, "");
    /* A little too deep: into the guard, not beyond it. */
    int frames = (128 << 10) / 560;
    int status = in_a_child(guards[_i], frames, said, sizeof said);
    ck_assert_msg(WIFSIGNALED(status), "ended with %x: %s", (unsigned)status, said);
    ck_assert_int_eq(WTERMSIG(status), strcmp(guards[_i], "canary") == 0 ? SIGABRT : SIGSEGV);
    ck_assert_msg(strstr(said, "stack overflow in task \"digger\" spawned at mine.c:7"), "%s",
                  said);
}
END_TEST

/* ---- memory ---------------------------------------------------------------------------------- */

enum { MANY = 2000 };

static long resident_bytes(void)
{
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    ck_assert_int_eq(fscanf(f, "%ld %ld", &size, &resident), 2);
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

static int wait_shallow(void *arg)
{
    return ush_event_wait(arg);
}

static int measure(void *unused)
{
    (void)unused;
    struct ush_event go;
    struct ush_scope s;
    ush_event_init(&go, "go");
    ush_scope_open(&s, NULL);
    long before = resident_bytes();
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(ush_spawn(&s, wait_shallow, &go), 0);
    ush_sleep(USH_MS);
    long each = (resident_bytes() - before) / MANY;
    ck_assert_msg(each <= 4096 + 300, "%ld bytes per waiting task", each); /* and page tables */
    ck_assert_uint_eq(ush_loop_stats().stacks_held, MANY + 1);
    ush_event_set(&go);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    /* The same stacks serve the next ones. */
    for (int i = 0; i < MANY; i++) {
        ush_scope_open(&s, NULL);
        ush_spawn(&s, wait_shallow, &go);
        ck_assert_int_eq(ush_scope_close(&s), 0);
    }
    ck_assert_uint_eq(ush_loop_stats().stacks_held, MANY + 1);
    return 0;
}

START_TEST(waiting_task_costs_a_page)
{
    ck_assert_int_eq(both_run(BOTH_EPOLL, measure), 0);
}
END_TEST

/* ---- the pool by itself ---------------------------------------------------------------------- */

START_TEST(superfluous_stacks_are_given_back)
{
    struct ush__stacks *s = ush__stacks_new(128 << 10);
    static struct ush_task *taken[MANY];
    long before = resident_bytes();
    for (int i = 0; i < MANY; i++) {
        taken[i] = ush__stack_take(s);
        memset(taken[i]->stack.low, 1, (size_t)(taken[i]->stack.high - taken[i]->stack.low));
        for (int j = 0; i % 100 == 0 && j < i; j++)
            ck_assert(taken[j]->stack.low >= taken[i]->stack.high ||
                      taken[i]->stack.low >= taken[j]->stack.high);
    }
    bool counts = !SANITIZED && !fiber_on_valgrind();
    if (counts)
        ck_assert_int_gt(resident_bytes() - before, (long)MANY * 100 * 1024);
    for (int i = 0; i < MANY; i++)
        ush__stack_give(s, taken[i]);
    ck_assert_int_eq(ush__stacks_trim_at(s), 0); /* there is something to do */

    /* Nothing goes while the peak is fresh; then half of it per interval, down to a few. */
    int64_t now = USH_SECOND;
    ush__stacks_trim(s, now);
    ck_assert_uint_eq(ush__stacks_held(s), MANY);
    int intervals = 0;
    for (; ush__stacks_trim_at(s) != USH_NEVER && intervals < 100; intervals++) {
        uint32_t held = ush__stacks_held(s);
        ck_assert_int_gt(ush__stacks_trim_at(s), now);
        now = ush__stacks_trim_at(s);
        ush__stacks_trim(s, now - 1); /* too early */
        ck_assert_uint_eq(ush__stacks_held(s), held);
        ush__stacks_trim(s, now);
        ck_assert_uint_ge(ush__stacks_held(s) + 200, held / 2);
    }
    ck_assert_int_lt(intervals, 20);
    ck_assert_uint_le(ush__stacks_held(s), 256);
    if (counts)
        ck_assert_int_lt(resident_bytes() - before, 40 << 20);

    /* What is left still works. */
    for (int i = 0; i < MANY; i++) {
        taken[i] = ush__stack_take(s);
        memset(taken[i]->stack.low, 2, (size_t)(taken[i]->stack.high - taken[i]->stack.low));
    }
    for (int i = 0; i < MANY; i++)
        ush__stack_give(s, taken[i]);
    ush__stacks_free(s);
}
END_TEST

START_TEST(slabs_in_use_give_back_what_is_free)
{
    struct ush__stacks *s = ush__stacks_new(128 << 10);
    static struct ush_task *taken[MANY];
    long before = resident_bytes();
    for (int i = 0; i < MANY; i++) {
        taken[i] = ush__stack_take(s);
        memset(taken[i]->stack.low, 1, (size_t)(taken[i]->stack.high - taken[i]->stack.low));
    }
    for (int i = 0; i < MANY; i++)
        if (i % 60 != 0) /* so that no slab becomes free */
            ush__stack_give(s, taken[i]);
    int64_t now = USH_SECOND;
    for (int i = 0; i < 100 && ush__stacks_trim_at(s) != USH_NEVER; i++) {
        ush__stacks_trim(s, now);
        now = ush__stacks_trim_at(s);
    }
    ck_assert_uint_eq(ush__stacks_held(s), MANY);
    for (int i = 0; i < MANY; i += 60) { /* what is in use is untouched */
        const char *low = taken[i]->stack.low;
        for (const char *at = low; at < taken[i]->stack.high; at += 1000)
            ck_assert_int_eq(*at, 1);
    }
    if (!SANITIZED && !fiber_on_valgrind())
        ck_assert_int_lt(resident_bytes() - before, (long)MANY * 30 * 1024);
    for (int i = 0; i < MANY; i += 60)
        ush__stack_give(s, taken[i]);
    ush__stacks_free(s);
}
END_TEST

#ifdef USH__ASAN
static int *left_behind;

static int leave_pointer(void *arg)
{
    int local = (int)(intptr_t)arg;
    left_behind = &local;
    return 0;
}

static int use_after_end(void *unused)
{
    (void)unused;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, leave_pointer, NULL);
    ush_scope_close(&s);
    return *(volatile int *)left_behind;
}

START_TEST(asan_sees_a_dead_stack)
{
    both_run(BOTH_EPOLL, use_after_end);
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("stack");
    TCase *tc = tcase_create("stack");
    if (!SANITIZED)
        tcase_add_loop_test(tc, overflow_names_the_task, 0, USH_COUNT(guards));
    if (!SANITIZED && !fiber_on_valgrind())
        tcase_add_test(tc, waiting_task_costs_a_page);
#ifdef USH__ASAN
    tcase_add_test_raise_signal(tc, asan_sees_a_dead_stack, SIGABRT);
#endif
    tcase_add_test(tc, superfluous_stacks_are_given_back);
    tcase_add_test(tc, slabs_in_use_give_back_what_is_free);
    suite_add_tcase(s, tc);
    return both_main(s);
}
