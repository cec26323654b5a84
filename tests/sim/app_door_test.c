/*
 * app_door_test.c - several gates, the same tickets, and scans that are sent again.
 *
 * Three students have places. Gates of two workers scan their tickets in any order, some scans are
 * sent twice because a reply was lost (same key), some are cut off, and one student cancels in
 * between. Whatever the schedule:
 *
 *   - of all scans of one person exactly one is told "in", and all others "already";
 *   - a scan that is sent again is told what it was told the first time;
 *   - nobody is let in after the cancellation was answered;
 *   - who was told "in" has the row of attendance, and nobody else has.
 */
#include "../unit/app_domain/fixture.h"
#include "domain/checkin.h"
#include "domain/places.h"
#include "explored.h"
#include "kept.h"

enum { STUDENTS = 3, GATES = 4, SCANS = 4, KEYS = 6 };

static struct world {
    struct fixture x;
    struct fest workers[2];
    int64_t ids[STUDENTS];
    int entered[STUDENTS];         /* told "in" by different scans */
    bool is_cancelled[STUDENTS];   /* answered */
    char told[STUDENTS][KEYS][16]; /* by scan key; empty: not told yet */
} w;

static bool is_cut(int rc)
{
    return rc == -ECANCELED || rc == -ETIMEDOUT;
}

static void scan_one(struct fest *f)
{
    uint32_t who = ush_sim_choose(STUDENTS), key = ush_sim_choose(KEYS);
    bool was_cancelled = w.is_cancelled[who], was_in = w.entered[who] > 0;
    struct checkin in = {.registration = w.ids[who], .gate = USH_T("Gate")};
    struct checkin_result result;
    struct ush_arena *arena = ush_task_arena();
    int rc = checkin_scan(f, ush_arena_printf(arena, "scan-%u", key), &in, &result, arena);
    USH_HOLDS(rc == 0 || is_cut(rc));
    if (rc < 0)
        return;
    char *told = w.told[who][key], now[16];
    snprintf(now, sizeof now, "%.*s", USH_PR(result.result));
    bool is_first = !told[0];
    USH_HOLDS(is_first || strcmp(told, now) == 0);
    strcpy(told, now);
    if (!is_first)
        return;
    bool is_in = strcmp(now, "in") == 0;
    USH_HOLDS(!is_in || (result.entered == 1 && !was_cancelled && !was_in));
    USH_HOLDS(is_in || strcmp(now, "already") == 0 || strcmp(now, "cancelled") == 0);
    USH_HOLDS(!was_in || was_cancelled || !is_in);
    w.entered[who] += is_in;
    USH_HOLDS(w.entered[who] <= 1);
}

static void cancel_one(struct fest *f)
{
    struct change_result out;
    const struct cancel in = {
        .registration = w.ids[0], .reason = USH_T("by_organiser"), .actor = USH_T("test")};
    int rc = fest_change(f, &op_cancel, &in, &out, ush_task_arena());
    USH_HOLDS(rc == 0 || is_cut(rc));
    if (rc == 0)
        w.is_cancelled[0] = true;
}

static int gate(void *unused __attribute__((unused)))
{
    for (int i = 0; i < SCANS && !ush_is_broken(); i++) {
        struct ush_scope scope;
        struct fest *f = &w.workers[ush_sim_choose(2)];
        if (ush_sim_choose(2))
            (void)ush_sleep(ush_sim_choose(3) * USH_MS);
        ush_scope_open(&scope, NULL);
        if (ush_sim_choose(12) == 0)
            cancel_one(f);
        else
            scan_one(f);
        (void)ush_scope_close(&scope);
    }
    return 0;
}

static void enter(int who)
{
    struct ush_faults faults;
    struct desk_answer a;
    int rc;
    ush_faults_init(&faults, &w.x.arena);
    const struct desk_request rq = {
        .event = USH_T("robots"),
        .key = ush_arena_printf(&w.x.arena, "key-%d", who),
        .name = USH_T("Student"),
        .email = ush_arena_printf(&w.x.arena, "s%d@x.in", who),
        .school = USH_T("School"),
        .source = SOURCE_WEB,
    };
    do
        rc = desk_submit(&w.x.fest, &rq, &w.x.arena, &faults, &a);
    while (fixture_again(rc));
    USH_HOLDS(rc == 0 && a.registration != 0);
    w.ids[who] = a.registration;
}

static int rows_of(int who)
{
    struct ush_rows in, scans;
    int rc;
    do
        rc = attendance_read(&w.x.fest, w.ids[who], &w.x.arena, &in, &scans);
    while (fixture_again(rc));
    USH_HOLDS(rc == 0);
    return (int)in.count;
}

static int make_database(void *unused __attribute__((unused)))
{
    fixture_open(&w.x);
    fixture_close(&w.x);
    return 0;
}

static void begin(void)
{
    kept_make(make_database);
    fixture_is_migrated = true;
}

static int scenario(void *unused __attribute__((unused)))
{
    struct ush_scope scope;
    w = (struct world){0};
    fixture_open(&w.x);
    fixture_import(&w.x, "[{\"slug\":\"robots\",\"title\":\"Robots\","
                         "\"starts\":\"2030-03-14 10:00\",\"capacity\":5}]");
    w.workers[0] = w.workers[1] = w.x.fest;
    for (int i = 0; i < STUDENTS; i++)
        enter(i);
    ush_scope_open(&scope, &(struct ush_scope_options){.keep_going = true});
    for (int i = 0; i < GATES; i++)
        ush_spawn(&scope, gate, NULL);
    (void)ush_scope_close(&scope);
    for (int i = 0; i < STUDENTS && !ush_is_broken(); i++)
        USH_HOLDS(rows_of(i) == w.entered[i]);
    fixture_close(&w.x);
    return 0;
}

START_TEST(everybody_is_let_in_once)
{
    const struct ush_explore_options o = {
        .name = "door", .schedules = 5000, .sim.cancel_permille = 20};
    explored(&o, scenario, NULL);
}
END_TEST

START_TEST(also_when_cut_at_each_suspension)
{
    const struct ush_explore_options o = {
        .name = "door-cut", .strategy = USH_EXPLORE_CUT, .schedules = 3000};
    explored(&o, scenario, NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("the door under seeds");
    TCase *t = tcase_create("door");
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, begin, NULL);
    tcase_add_test(t, everybody_is_let_in_once);
    tcase_add_test(t, also_when_cut_at_each_suspension);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
