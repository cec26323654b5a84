/*
 * master_test.c - real masters with real workers, seen through their log.
 *
 * Each test forks a master whose log is a pipe, and waits for lines of it, each with a deadline.
 * Workers take part by logging notes ("note: ..."). The test process is the subreaper, so it also
 * sees what becomes of the workers of a master that was killed.
 */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "usher/master.h"

enum { PATIENCE_MS = 15000 };

static struct bench {
    struct ush_role roles[3];
    struct ush_master_options o;
    pid_t master;
    int log; /* read end */
    char buf[1 << 16];
    size_t len;
    char line[4096];
} b;

/* What all processes of a test see. */
static struct shared {
    _Atomic int setting; /* what "the settings file" says */
    _Atomic int starts;
    _Atomic int hang;     /* the worker that takes it hangs */
    _Atomic int hang_how; /* 0: obeys SIGABRT, 1: not */
} * world;

static int loaded; /* the setting as the process took it */

/* ---- the observer --------------------------------------------------------------------------- */

static void begin(void)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    b.log = fds[0];
    b.o.roles = b.roles;
    b.master = fork();
    if (b.master == 0) {
        ush_log_init(&(struct ush_log_options){.fd = fds[1], .level = USH_LOG_DEBUG});
        dup2(fds[1], 2);
        close(fds[0]);
        _exit(-ush_master_run(&b.o));
    }
    close(fds[1]);
}

static bool next_line(int64_t deadline_ns)
{
    for (;;) {
        char *end = memchr(b.buf, '\n', b.len);
        if (end) {
            size_t n = (size_t)(end - b.buf);
            snprintf(b.line, sizeof b.line, "%.*s", (int)n, b.buf);
            b.len -= n + 1;
            memmove(b.buf, end + 1, b.len);
            if (getenv("SHOW"))
                fprintf(stderr, "| %s\n", b.line);
            return true;
        }
        int64_t left = deadline_ns - ush_now_ns();
        struct pollfd p = {.fd = b.log, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)(left / USH_MS) + 1) <= 0)
            return false;
        ssize_t n = read(b.log, b.buf + b.len, sizeof b.buf - b.len);
        if (n <= 0)
            return false; /* every process has ended */
        b.len += (size_t)n;
    }
}

/* The next line that has the text; lines before it are passed over. */
static const char *see(const char *text)
{
    int64_t deadline = ush_now_ns() + PATIENCE_MS * (int64_t)USH_MS;
    while (next_line(deadline))
        if (strstr(b.line, text))
            return b.line;
    ck_abort_msg("'%s' did not come", text);
    return NULL;
}

/* Passes over all lines up to the one with `text` and says whether `other` was among them. */
static bool saw_before(const char *other, const char *text)
{
    int64_t deadline = ush_now_ns() + PATIENCE_MS * (int64_t)USH_MS;
    bool saw = false;
    while (next_line(deadline)) {
        if (strstr(b.line, text))
            return saw;
        saw |= strstr(b.line, other) != NULL;
    }
    ck_abort_msg("'%s' did not come", text);
    return false;
}

/* Process id in "worker.start: web 0 is process 123". */
static pid_t see_start(const char *name)
{
    char text[64];
    snprintf(text, sizeof text, "worker.start: %s is process ", name);
    const char *line = see(text);
    return atoi(strstr(line, text) + strlen(text));
}

/* The status the master ends with; the limit is real time. */
static int end_within(int64_t ms)
{
    int64_t deadline = ush_now_ns() + ms * USH_MS;
    while (next_line(deadline)) /* up to the end of file: nobody lives */
        ;
    ck_assert_msg(ush_now_ns() < deadline, "not ended within %d ms", (int)ms);
    int status;
    ck_assert_int_eq(waitpid(b.master, &status, 0), b.master);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(waitpid(-1, NULL, 0), -1); /* and left nobody behind */
    return WEXITSTATUS(status);
}

static void finish(void)
{
    if (b.master > 0)
        kill(b.master, SIGKILL);
}

/* ---- workers -------------------------------------------------------------------------------- */

static int spin(void *how)
{
    sigset_t abort_only;
    sigemptyset(&abort_only);
    sigaddset(&abort_only, SIGABRT);
    if (how)
        sigprocmask(SIG_BLOCK, &abort_only, NULL);
    for (;;)
        __asm__ volatile("" ::: "memory");
    return 0;
}

/* Serves until drained, then takes `*(int *)ctx` ms to finish. */
static int web(struct ush_worker *w, void *ctx)
{
    int *slow_ms = ctx;
    world->starts++;
    ush_worker_ready(w);
    if (atomic_exchange(&world->hang, 0)) {
        struct ush_scope s;
        ush_scope_open(&s, NULL);
        ush_spawn_with(&s, &(struct ush_spawn_options){.name = "GET /endless", .site = "here"},
                       spin, world->hang_how ? w : NULL);
        ush_scope_close(&s);
    }
    int64_t by = ush_worker_wait_drain(w);
    ck_assert(ush_worker_is_draining(w));
    ush_info("note", "draining %s", ush_worker_name(w));
    int r = slow_ms ? ush_sleep(*slow_ms * (int64_t)USH_MS) : 0;
    ush_info("note", "finished %s with %d, %s", ush_worker_name(w), r,
             ush_now_ns() < by ? "in time" : "late");
    return 0;
}

static int plain(struct ush_worker *w, void *ctx __attribute__((unused)))
{
    ush_worker_ready(w);
    ush_worker_wait_drain(w);
    ush_info("note", "%s of setting %d drained", ush_worker_name(w), loaded);
    return 0;
}

static int dies_at_once(struct ush_worker *w, void *ctx __attribute__((unused)))
{
    ush_worker_ready(w);
    raise(SIGSEGV);
    return 0;
}

static int refuses(struct ush_worker *w __attribute__((unused)), void *ctx __attribute__((unused)))
{
    return -EACCES;
}

static int by_setting(struct ush_worker *w, void *ctx)
{
    return loaded == 2 ? -EACCES : plain(w, ctx);
}

static int check(void *ctx __attribute__((unused)))
{
    if (world->setting >= 0)
        return 0;
    fprintf(stderr, "the setting is %d\n", world->setting);
    return USH_EINVAL;
}

static void reload(void *ctx __attribute__((unused)))
{
    loaded = world->setting;
}

static void say_ready(void *ctx __attribute__((unused)))
{
    ush_info("note", "all ready");
}

static void say_ended(struct ush_worker *w, void *ctx __attribute__((unused)), int64_t owner)
{
    ush_yield(); /* it is in a task */
    ush_info("note", "%s heard of the end of %lld", ush_worker_name(w), (long long)owner);
}

static void webs(uint32_t n)
{
    memset(&b, 0, sizeof b);
    world = ush_shared_new(sizeof *world);
    loaded = 0;
    b.roles[0] = (struct ush_role){"web", n, .scales = true, .run = web};
    b.o = (struct ush_master_options){.role_count = 1, .ready = say_ready};
}

/* ---- stopping ------------------------------------------------------------------------------- */

START_TEST(drain_lets_a_slow_task_finish)
{
    webs(2);
    static int slow_ms = 300;
    b.o.ctx = &slow_ms;
    begin();
    see("all ready");
    kill(b.master, _i ? SIGQUIT : SIGTERM);
    see("finished web");
    ck_assert_ptr_nonnull(strstr(b.line, "with 0, in time"));
    see("finished web");
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

START_TEST(drain_ends_at_its_limit)
{
    webs(1);
    static int slow_ms = 60000;
    b.o.ctx = &slow_ms;
    b.o.drain_ms = 200;
    begin();
    see("all ready");
    kill(b.master, SIGTERM);
    see("finished web 0 with -125, late");
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

START_TEST(int_and_second_term_are_fast)
{
    webs(3);
    static int slow_ms = 60000;
    b.o.ctx = &slow_ms;
    begin();
    see("all ready");
    if (_i == 0) {
        kill(b.master, SIGTERM);
        see("note: draining");
        kill(b.master, SIGTERM);
    } else {
        kill(b.master, SIGINT);
    }
    ck_assert_int_eq(end_within(2000), 0);
}
END_TEST

START_TEST(fast_stop_kills_a_hung_worker)
{
    webs(1);
    world->hang = 1;
    begin();
    see("all ready");
    kill(b.master, SIGINT);
    see("worker.kill: web 0");
    ck_assert_int_eq(end_within(4000), 0);
}
END_TEST

START_TEST(last_role_serves_the_others_to_the_end)
{
    webs(2);
    static int slow_ms = 500;
    b.o.ctx = &slow_ms;
    b.roles[1] = (struct ush_role){"writer", 1, .is_last = true, .run = plain};
    b.o.role_count = 2;
    begin();
    pid_t writer = see_start("writer 0");
    ck_assert(!saw_before("worker.start: web", "worker.ready: writer 0")); /* it is first, too */
    see("all ready");
    kill(b.master, SIGTERM);
    see("note: draining");
    kill(writer, SIGKILL); /* the draining ones still need it */
    writer = see_start("writer 0");
    see("note: finished web");
    ck_assert(!saw_before("writer 0 of setting", "note: finished web"));
    see("writer 0 of setting 0 drained");
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

static int count_children(void)
{
    int n = 0;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        n++;
    return n;
}

START_TEST(killed_master_takes_its_workers_along)
{
    webs(4);
    world->hang = 1; /* one cannot hear of it by itself */
    begin();
    see("all ready");
    int64_t start = ush_now_ns();
    kill(b.master, SIGKILL);
    while (next_line(start + 5 * USH_SECOND)) /* the pipe ends with the last of them */
        ;
    ck_assert_int_lt((ush_now_ns() - start) / USH_MS, 2000);
    int seen = 0;
    while (seen < 5 && ush_now_ns() < start + 5 * USH_SECOND)
        seen += count_children();
    ck_assert_int_eq(seen, 5);
}
END_TEST

/* ---- dying and starting --------------------------------------------------------------------- */

START_TEST(killed_worker_is_replaced)
{
    webs(3);
    b.roles[0].ended = say_ended;
    begin();
    pid_t first = see_start("web 0");
    see("all ready");
    int64_t start = ush_now_ns();
    kill(first, SIGKILL);
    see("worker.exit: web 0");
    ck_assert_ptr_nonnull(strstr(b.line, "signal 9 (Killed)"));
    see("heard of the end of ");
    ck_assert_int_ne(see_start("web 0"), first);
    see("worker.ready: web 0");
    ck_assert_int_lt((ush_now_ns() - start) / USH_MS, 1000);
    kill(b.master, SIGTERM);
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

START_TEST(replacement_backs_off)
{
    webs(1);
    b.roles[1] = (struct ush_role){"bad", 1, .run = dies_at_once};
    b.o.role_count = 2;
    begin();
    int64_t at[5];
    for (int i = 0; i < 5; i++) {
        see("bad 0 is process");
        at[i] = ush_now_ns();
        see("worker.exit: bad 0");
    }
    see("worker.degraded: bad 0");
    int64_t wait_ms = 100;
    for (int i = 1; i < 5; i++, wait_ms *= 2) {
        ck_assert_int_ge((at[i] - at[i - 1]) / USH_MS, wait_ms * 9 / 10);
        ck_assert_int_lt((at[i] - at[i - 1]) / USH_MS, wait_ms * 2 + 500);
    }
    kill(b.master, SIGTERM); /* the master goes on all the time */
    see("note: finished web 0");
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

START_TEST(first_start_fails_aloud)
{
    webs(2);
    b.roles[1] = (struct ush_role){"bad", 1, .run = refuses};
    b.o.role_count = 2;
    begin();
    see("worker.failed: bad 0: ");
    see("master.start: bad 0 ended before it was ready");
    ck_assert_int_eq(end_within(5000), ECHILD);
}
END_TEST

START_TEST(hung_worker_is_named_and_replaced)
{
    webs(2);
    world->hang = 1;
    world->hang_how = _i;
    b.o.hang_ms = 400;
    begin();
    see("all ready");
    see("worker.hung:");
    ck_assert_ptr_nonnull(strstr(b.line, "in the task 'GET /endless'"));
    if (_i) {
        see("worker.kill:");
        see("signal 9");
    } else {
        see("worker.crash: web ");
        ck_assert_ptr_nonnull(strstr(b.line, "in the task 'GET /endless'"));
        see("(+0x"); /* the backtrace says where */
        see("signal 6");
    }
    see("worker.ready: web");
    /* Those that only wait are left alone: nothing more hangs for five times the limit. */
    ck_assert(_i || !next_line(ush_now_ns() + 5 * 400 * (int64_t)USH_MS));
    kill(b.master, SIGTERM);
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

START_TEST(term_to_a_worker_replaces_it)
{
    webs(2);
    static int slow_ms = 200;
    b.o.ctx = &slow_ms;
    begin();
    pid_t first = see_start("web 0");
    see("all ready");
    kill(first, SIGTERM);
    ck_assert_int_ne(see_start("web 0"), first); /* while the old one drains */
    see("finished web 0 with 0");
    kill(b.master, SIGTERM);
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

/* ---- rolling and scaling -------------------------------------------------------------------- */

static void rollers(void)
{
    webs(3);
    b.roles[0].run = by_setting;
    b.roles[1] = (struct ush_role){"writer", 1, .is_last = true, .run = plain};
    b.o.role_count = 2;
    b.o.check = check;
    b.o.reload = reload;
    world->setting = 0;
    begin();
    see("all ready");
}

START_TEST(hup_rolls_one_by_one)
{
    rollers();
    world->setting = 1;
    kill(b.master, SIGHUP);
    for (int i = 0; i < 3; i++) {
        char ready[64], drained[64];
        snprintf(ready, sizeof ready, "worker.ready: web %d", i);
        snprintf(drained, sizeof drained, "web %d of setting 0 drained", i);
        ck_assert(!saw_before(drained, ready));
    }
    see("worker.exit: writer 0"); /* which must be alone: it goes before the new one */
    see_start("writer 0");
    see("roll.done");
    kill(b.master, SIGTERM);
    for (int i = 0; i < 3; i++)
        see("of setting 1 drained");
    see("writer 0 of setting 1 drained");
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

START_TEST(hup_with_bad_settings_changes_nothing)
{
    rollers();
    world->setting = -7;
    kill(b.master, SIGHUP);
    see("roll.check: the setting is -7");
    see("roll.refused");
    kill(b.master, SIGTERM);
    for (int i = 0; i < 3; i++)
        see("of setting 0 drained");
    ck_assert_int_eq(end_within(5000), 0);
    ck_assert_int_eq(world->starts, 0);
}
END_TEST

START_TEST(hup_stops_when_a_new_worker_fails)
{
    rollers();
    world->setting = 2; /* the check lets it pass, the worker does not live with it */
    kill(b.master, SIGHUP);
    ck_assert(!saw_before("drained", "roll.stop"));
    kill(b.master, SIGTERM);
    for (int i = 0; i < 3; i++)
        see("of setting 0 drained");
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

START_TEST(ttin_and_ttou_within_bounds)
{
    webs(1);
    begin();
    see("all ready");
    kill(b.master, SIGTTIN);
    see("worker.ready: web 1");
    kill(b.master, SIGTTOU);
    see("note: finished web 1");
    kill(b.master, SIGTTOU);
    see("master.scale: the number of 'web' workers stays");
    for (int i = 1; i < USH_WORKERS_MAX; i++) {
        kill(b.master, SIGTTIN);
        see("worker.ready: web");
    }
    kill(b.master, SIGTTIN);
    see("master.scale: the number of 'web' workers stays");
    kill(b.master, SIGTERM);
    ck_assert_int_eq(end_within(10000), 0);
}
END_TEST

/* ---- looking inside ------------------------------------------------------------------------- */

START_TEST(usr1_reopens_the_log_and_dumps)
{
    webs(1);
    char file[] = "/tmp/usher-master-XXXXXX", old[64];
    close(mkstemp(file));
    snprintf(old, sizeof old, "%s.1", file);
    b.o.log_file = file;
    begin();
    char wanted[] = "worker.ready";
    int64_t deadline = ush_now_ns() + PATIENCE_MS * (int64_t)USH_MS;
    for (const char *name = file;;) {
        static char text[1 << 16];
        int fd = open(name, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
        if (fd >= 0)
            close(fd);
        text[n > 0 ? n : 0] = 0;
        ck_assert_msg(ush_now_ns() < deadline, "no '%s' in %s: %s", wanted, name, text);
        if (!strstr(text, wanted)) {
            sched_yield();
            continue;
        }
        if (strcmp(wanted, "dump: ") == 0)
            break;
        ck_assert_int_eq(rename(file, old), 0);
        kill(b.master, SIGUSR1);
        strcpy(wanted, "dump: ");
    }
    unlink(file);
    unlink(old);
    kill(b.master, SIGTERM);
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

static int counts(struct ush_worker *w, void *ctx __attribute__((unused)))
{
    uint64_t *mine = ush_worker_shared(w), sum = 0;
    *mine += 100;
    ush_worker_ready(w);
    ush_worker_wait_drain(w);
    for (uint32_t i = 0; i < USH_PLACES_MAX; i++)
        sum += *(uint64_t *)ush_worker_shared_at(w, i);
    struct ush_master_counts c = ush_worker_counts(w);
    ush_info("note", "sum %d of %d started", (int)sum, (int)c.started);
    return 0;
}

START_TEST(scoreboard_adds_up)
{
    webs(3);
    b.roles[0].run = counts;
    b.o.shared_bytes = sizeof(uint64_t);
    begin();
    see("all ready");
    kill(b.master, SIGTERM);
    see("note: sum 300 of 3 started");
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("master");
    TCase *tc = tcase_create("master");
    tcase_add_checked_fixture(tc, NULL, finish);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, drain_lets_a_slow_task_finish, 0, 2);
    tcase_add_test(tc, drain_ends_at_its_limit);
    tcase_add_loop_test(tc, int_and_second_term_are_fast, 0, 2);
    tcase_add_test(tc, fast_stop_kills_a_hung_worker);
    tcase_add_test(tc, last_role_serves_the_others_to_the_end);
    tcase_add_test(tc, killed_master_takes_its_workers_along);
    tcase_add_test(tc, killed_worker_is_replaced);
    tcase_add_test(tc, replacement_backs_off);
    tcase_add_test(tc, first_start_fails_aloud);
    tcase_add_loop_test(tc, hung_worker_is_named_and_replaced, 0, 2);
    tcase_add_test(tc, term_to_a_worker_replaces_it);
    tcase_add_test(tc, hup_rolls_one_by_one);
    tcase_add_test(tc, hup_with_bad_settings_changes_nothing);
    tcase_add_test(tc, hup_stops_when_a_new_worker_fails);
    tcase_add_test(tc, ttin_and_ttou_within_bounds);
    tcase_add_test(tc, usr1_reopens_the_log_and_dumps);
    tcase_add_test(tc, scoreboard_adds_up);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
