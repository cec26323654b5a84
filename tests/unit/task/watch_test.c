/*
 * watch_test.c - the watchdog names a task that computes, one that blocks, and nobody else.
 *
 * The log goes into a pipe. A task that has to be slow stays slow until its warning is in there.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../slow.h"
#include "both.h"

static struct {
    int log[2];
    int pipe[2];
    struct ush_beat beat;
    struct ush_watchdog_options o;
    char line[4096];
    int64_t slow_ns;
} x;

/* The next warning, if one is there within `ms`. */
static bool next_line(int ms)
{
    struct pollfd p = {.fd = x.log[0], .events = POLLIN};
    if (poll(&p, 1, ms) != 1)
        return false;
    ssize_t n = read(x.log[0], x.line, sizeof x.line - 1);
    ck_assert_int_gt(n, 0);
    x.line[n] = '\0';
    return true;
}

static int64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * USH_SECOND + t.tv_nsec;
}

static int spin(void *arg)
{
    (void)arg;
    int64_t start = clock_now();
    int pause_ms = getenv("TESTS_ARE_SLOW") ? 1 : 0; /* Valgrind runs one thread until it waits */
    while (!next_line(pause_ms))
        ck_assert_int_lt(clock_now() - start, allow(30000) * USH_MS);
    x.slow_ns = clock_now() - start;
    return 0;
}

static int spin_shortly(void *arg)
{
    (void)arg;
    int64_t start = clock_now();
    while (clock_now() - start < 10 * x.o.limit_ns)
        poll(NULL, 0, 0); /* so that Valgrind runs the watching thread too */
    return 0;
}

static int block(void *arg)
{
    (void)arg;
    char c;
    ck_assert_int_eq(read(x.pipe[0], &c, 1), 1);
    return 0;
}

static int run(void *arg)
{
    ck_assert_int_eq(ush_watchdog_start(&x.o), 0);
    ck_assert_int_eq(ush_watchdog_start(&x.o), -EBUSY);
    int r = ((ush_fn)arg)(NULL);
    ush_watchdog_stop();
    ush_watchdog_stop();
    return r;
}

static void open_pipes(void)
{
    ck_assert_int_eq(pipe2(x.log, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(x.pipe, O_CLOEXEC), 0);
    ush_log_set_fd(x.log[1]);
}

static void watched(ush_fn fn)
{
    struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL, .beat = &x.beat};
    ck_assert_int_eq(ush_run(&o, run, (void *)fn), 0);
}

#define says(part) ck_assert_msg(strstr(x.line, (part)) != NULL, "no \"%s\" in: %s", (part), x.line)

/* The number behind a part of the line: at least that much, for a machine may be slow. */
static int number_behind(const char *part)
{
    says(part);
    return atoi(strstr(x.line, part) + strlen(part));
}

static int in_a_child(ush_fn fn, const char *name)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn_with(&s, &(struct ush_spawn_options){.name = name}, fn, NULL), 0);
    return ush_scope_close(&s);
}

static int spin_in_a_child(void *unused)
{
    (void)unused;
    return in_a_child(spin, "hash a password");
}

START_TEST(a_task_that_computes_is_named)
{
    watched(spin_in_a_child);
    says("task.slow");
    ck_assert_int_ge(number_behind("task \"hash a password\" has held the loop for "), 100);
    ck_assert_int_ge(x.slow_ns, 100 * USH_MS);
}
END_TEST

static void *write_when_logged(void *unused)
{
    ck_assert(next_line((int)allow(30000)));
    ck_assert_int_eq(write(x.pipe[1], "x", 1), 1);
    return unused;
}

static int block_in_a_child(void *unused)
{
    (void)unused;
    return in_a_child(block, "read a file");
}

START_TEST(a_task_that_blocks_is_named_with_its_system_call)
{
    x.o.limit_ns = allow(50) * USH_MS; /* within it the loop has come to its call */
    pthread_t helper;
    ck_assert_int_eq(pthread_create(&helper, NULL, write_when_logged, NULL), 0);
    watched(block_in_a_child);
    pthread_join(helper, NULL);
    says("task \"read a file\" has held the loop for ");
    char call[32];
    snprintf(call, sizeof call, "in system call %d at ", SYS_read);
    says(call);
}
END_TEST

static int only_wait(void *unused)
{
    (void)unused;
    return ush_sleep(4 * x.o.limit_ns);
}

START_TEST(a_loop_that_waits_is_left_alone)
{
    x.o.limit_ns = allow(300) * USH_MS; /* longer than the machine may forget us */
    watched(only_wait);
    ck_assert(!next_line(0));
}
END_TEST

static int three_times(void *unused)
{
    (void)unused;
    USH_TRY(in_a_child(spin, "first"));
    says("\"first\"");
    USH_TRY(in_a_child(spin_shortly, "second"));
    USH_TRY(in_a_child(spin, "third"));
    says("\"third\"");
    says(" more since the last warning)");
    return 0;
}

START_TEST(warnings_are_rare_and_the_rest_is_counted)
{
    x.o.limit_ns = 30 * USH_MS;
    x.o.quiet_ns = allow(2000) * USH_MS;
    watched(three_times);
    ck_assert(!next_line(0));
}
END_TEST

static int start_without_beat(void *unused)
{
    (void)unused;
    return ush_watchdog_start(NULL);
}

START_TEST(a_loop_without_a_beat_cannot_be_watched)
{
    struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};
    ck_assert_int_eq(ush_run(&o, start_without_beat, NULL), -EINVAL);
    ck_assert_int_eq(both_run(BOTH_SIM_FIFO, start_without_beat), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("watch");
    TCase *tc = tcase_create("watch");
    tcase_add_checked_fixture(tc, open_pipes, NULL);
    tcase_add_test(tc, a_task_that_computes_is_named);
    tcase_add_test(tc, a_task_that_blocks_is_named_with_its_system_call);
    tcase_add_test(tc, a_loop_that_waits_is_left_alone);
    tcase_add_test(tc, warnings_are_rare_and_the_rest_is_counted);
    tcase_add_test(tc, a_loop_without_a_beat_cannot_be_watched);
    suite_add_tcase(s, tc);
    return both_main(s);
}
