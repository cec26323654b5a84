/*
 * master_test.c - stopping, dying, hanging: what a master does when workers end.
 */
#include "watched.h"

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
    static int slow_ms; /* longer than another writer takes to start */
    slow_ms = (int)allow(500);
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
#ifndef __SANITIZE_THREAD__ /* it keeps a signal back until the next system call */
    world->hang = 1;        /* one cannot hear of it by itself */
#endif
    begin();
    see("all ready");
    int64_t start = ush_now_ns();
    kill(b.master, SIGKILL);
    int64_t end = start + allow(5000) * USH_MS;
    while (next_line(end)) /* the pipe ends with the last of them */
        ;
    ck_assert_int_lt((ush_now_ns() - start) / USH_MS, allow(2000));
    int seen = 0;
    while (seen < 5 && ush_now_ns() < end)
        seen += count_children();
    ck_assert_int_eq(seen, 5);
}
END_TEST

/* ---- dying and starting --------------------------------------------------------------------- */

START_TEST(an_end_is_seen_to_though_who_was_told_dies_too)
{
    webs(3);
    b.roles[0].ended = see_to_it;
    b.o.drain_ms = 200;
    begin();
    pid_t first = see_start("web 0");
    see("all ready");
    world->forgets = 1;
    kill(first, SIGKILL);
    long long owner = atoll(strstr(see("hears of "), "hears of ") + 9);
    kill(atoi(strstr(see("in process "), "in process ") + 11), SIGKILL);
    char text[64];
    snprintf(text, sizeof text, "has seen to %lld", owner);
    see(text);
    kill(b.master, SIGTERM);
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

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
    pid_t second = 0;
    for (bool is_told = false, is_ready = false; !is_told || !is_ready;) { /* in any order */
        const char *line = see(""), *its = strstr(line, "worker.start: web 0 is process ");
        second = its ? atoi(strrchr(its, ' ')) : second;
        is_told |= strstr(line, "heard of the end of ") != NULL;
        is_ready |= strstr(line, "worker.ready: web 0") != NULL;
    }
    ck_assert(second > 0 && second != first);
    ck_assert_int_lt((ush_now_ns() - start) / USH_MS, allow(1000));
    kill(b.master, SIGTERM);
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

/* When the line was written, in ms of its day: who reads it may have been held up. */
static int64_t written_ms(const char *line)
{
    int hour, minute, second, ms;
    ck_assert_int_eq(sscanf(line, "%*d-%*d-%*dT%d:%d:%d.%d", &hour, &minute, &second, &ms), 4);
    return ((hour * 60 + minute) * 60 + second) * INT64_C(1000) + ms;
}

START_TEST(replacement_backs_off)
{
    webs(1);
    b.roles[1] = (struct ush_role){"bad", 1, .run = dies_at_once};
    b.o.role_count = 2;
    begin();
    int64_t began[5], ended[5], wait_ms = 100;
    for (int i = 0; i < 5; i++) {
        began[i] = written_ms(see("bad 0 is process"));
        ended[i] = written_ms(see("worker.exit: bad 0"));
    }
    see("worker.degraded: bad 0");
    for (int i = 1; i < 5; i++, wait_ms *= 2) {
        int64_t waited = (began[i] - ended[i - 1] + 86400000) % 86400000;
        ck_assert_int_ge(waited, wait_ms * 9 / 10);
        ck_assert_int_lt(waited, wait_ms * 2 + allow(500));
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
    b.o.hang_ms = (uint32_t)allow(400);
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
#ifndef __SANITIZE_ADDRESS__
#ifndef __SANITIZE_THREAD__
        see("\"GET /endless\" here runs"); /* and the tree of tasks, who waits for it */
#endif
#endif
        see("signal 6");
    }
    see("worker.ready: web");
    /* Those that only wait are left alone: nothing more hangs for five times the limit. */
    ck_assert(_i || !next_line(ush_now_ns() + 5 * allow(400) * USH_MS));
    kill(b.master, SIGTERM);
    ck_assert_int_eq(end_within(5000), 0);
}
END_TEST

START_TEST(term_to_a_worker_replaces_it)
{
    webs(2);
    static int slow_ms;
    slow_ms = (int)allow(200);
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
    tcase_add_test(tc, an_end_is_seen_to_though_who_was_told_dies_too);
    tcase_add_test(tc, killed_worker_is_replaced);
    tcase_add_test(tc, replacement_backs_off);
    tcase_add_test(tc, first_start_fails_aloud);
    tcase_add_loop_test(tc, hung_worker_is_named_and_replaced, 0, 2);
    tcase_add_test(tc, term_to_a_worker_replaces_it);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
