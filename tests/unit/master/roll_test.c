/*
 * roll_test.c - replacing workers one by one, scaling, the log, the scoreboard.
 */
#include "watched.h"

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
    int64_t deadline = ush_now_ns() + PATIENCE_MS * USH_MS;
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
    Suite *s = suite_create("roll");
    TCase *tc = tcase_create("roll");
    tcase_add_checked_fixture(tc, NULL, finish);
    tcase_set_timeout(tc, 30);
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
