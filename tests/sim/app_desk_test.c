/*
 * app_desk_test.c - a small fest under seeds: students who register, press again, cancel and are
 * cut off; an organiser who changes capacity and switch; an auditor who recounts meanwhile.
 *
 * Two workers (each with its own memory of the events) stand on one SQLite database in memory. Each
 * student acts in a scope with a short deadline or none; the backend cancels scopes at suspensions;
 * every sixteenth registration is refused by a trigger inside the database, so whole batches are
 * undone and run again one by one. Whatever happens:
 *
 *   - whoever was told "confirmed" or "waitlisted" is in the database, and nobody else is;
 *   - one key makes one registration, and its every later answer is that registration, also when
 *     the event is full or closed by then, from either worker;
 *   - an operation that is sent again, as after the writer's death, gets its first answer;
 *   - verify finds nothing at any moment: counters equal rows, taken <= capacity, nobody overtaken,
 *     no free place beside a waiting student, one first mail for each registration.
 *
 * One test walks 10,000 seeds, in ten programs of a thousand; one cancels programs at their 1st,
 * 2nd, ... last suspension. And one sees that checking a request waits for nobody.
 */
#include "../unit/app_domain/fixture.h"
#include "explored.h"
#include "kept.h"

#include <stdatomic.h>

#include "domain/form.h"
#include "gen/sql.h"
#include "web/web.h"

enum { STUDENTS = 8, TASKS = 7, KEYS = 10, WORKERS = 2 };

static struct world {
    struct fixture x;
    struct fest workers[WORKERS];
    int64_t made[KEYS]; /* the registration that this key was told */
    int64_t cancelled;  /* answered cancellations, for the tally */
    int told, refused, cut, failed, from_memory;
} w;

static bool is_cut(int rc)
{
    return rc == -ECANCELED || rc == -ETIMEDOUT;
}

static bool is_in(const struct desk_answer *a)
{
    return a->outcome == SEATS_CONFIRMED || a->outcome == SEATS_WAITLISTED ||
           a->outcome == SEATS_REPLAYED;
}

/* ---- students -------------------------------------------------------------------------------- */

static struct desk_request request_of(uint32_t key, struct ush_arena *arena)
{
    uint32_t student = key % STUDENTS; /* two keys of one student now and then */
    return (struct desk_request){
        .event = USH_T("robots"),
        .key = ush_arena_printf(arena, "key-%u", key),
        .name = USH_T("Student"),
        .email = ush_arena_printf(arena, "s%u@x.in", student),
        .school = ush_arena_printf(arena, "School %u", student % 3),
        .source = SOURCE_WEB,
    };
}

static void told(uint32_t key, int64_t before, const struct desk_answer *a)
{
    w.from_memory += a->from_memory;
    if (!is_in(a)) {
        USH_HOLDS(before == 0); /* who was told yes before is never told no */
        w.refused++;
        return;
    }
    USH_HOLDS(a->registration != 0);
    USH_HOLDS(w.made[key] == 0 || w.made[key] == a->registration);
    USH_HOLDS(before == 0 || a->outcome == SEATS_REPLAYED);
    USH_HOLDS(!a->key_reused);
    w.made[key] = a->registration;
    w.told++;
}

static void submit(struct ush_arena *arena)
{
    struct ush_faults faults;
    struct desk_answer a = {0};
    uint32_t key = ush_sim_choose(KEYS);
    int64_t before = w.made[key];
    ush_faults_init(&faults, arena);
    const struct desk_request rq = request_of(key, arena);
    int rc = desk_submit(&w.workers[ush_sim_choose(WORKERS)], &rq, arena, &faults, &a);
    w.cut += is_cut(rc);
    w.failed += rc == USH_ECONFLICT;
    USH_HOLDS(rc == 0 || is_cut(rc) || rc == USH_ECONFLICT);
    if (rc == 0)
        told(key, before, &a);
}

/* What a worker does when the writer died before it answered: the same input once more. */
static void submit_twice(struct ush_arena *arena)
{
    struct fest *f = &w.workers[0];
    struct event_list *list EVENTS_HELD = NULL;
    struct register_in in;
    struct desk_answer first = {0}, second = {0};
    uint32_t key = ush_sim_choose(KEYS);
    const struct desk_request rq = request_of(key, arena);
    if (events_take(f, &list) < 0)
        return;
    const struct event_entry *e = event_find(list, rq.event);
    USH_HOLDS(form_keys(f, e, &rq, arena, &in) == 0);
    ush_random(&in.submit_id, sizeof in.submit_id);
    int64_t before = w.made[key];
    int rc = ush_change(f->db, &op_register, &in, &first, arena);
    if (rc < 0 || first.outcome > SEATS_REPLAYED)
        return;
    USH_HOLDS(before == 0 || first.registration == before);
    USH_HOLDS(w.made[key] == 0 || w.made[key] == first.registration);
    w.made[key] = first.registration;
    atomic_fetch_add(&f->shared->made[in.event_id % FEST_COUNTERS], 1);
    rc = ush_change(f->db, &op_register, &in, &second, arena);
    if (rc < 0)
        return;
    USH_HOLDS(second.registration == first.registration);
    /* A cancellation or promotion in between shows; "replayed" does not appear by itself. */
    USH_HOLDS(second.outcome == first.outcome || second.status != first.status);
    USH_HOLDS(second.outcome != SEATS_REPLAYED || first.outcome == SEATS_REPLAYED ||
              second.status == REGISTRATION_CANCELLED);
}

static void cancel_one(struct ush_arena *arena)
{
    uint32_t key = ush_sim_choose(KEYS);
    struct change_result out;
    if (!w.made[key])
        return;
    const struct cancel in = {
        .registration = w.made[key], .reason = USH_T("by_student"), .actor = USH_T("student")};
    int rc = fest_change(&w.workers[ush_sim_choose(WORKERS)], &op_cancel, &in, &out, arena);
    USH_HOLDS(rc == 0 || is_cut(rc));
    if (rc == 0) {
        USH_HOLDS(out.outcome == CHANGE_DONE || out.outcome == CHANGE_NOTHING);
        w.cancelled += out.outcome == CHANGE_DONE;
    }
}

static void correct_one(struct ush_arena *arena)
{
    uint32_t key = ush_sim_choose(KEYS);
    struct ush_faults faults;
    struct change_result out;
    if (!w.made[key])
        return;
    ush_faults_init(&faults, arena);
    const struct edit_request rq = {
        .registration = w.made[key],
        .form = {.name = USH_T("Corrected"),
                 .email = ush_arena_printf(arena, "s%u@x.in", ush_sim_choose(STUDENTS + 2)),
                 .school = ush_arena_printf(arena, "School %u", ush_sim_choose(3))},
        .actor = USH_T("student"),
    };
    int rc = registration_edit(&w.workers[0], &rq, arena, &faults, &out);
    USH_HOLDS(rc == 0 || is_cut(rc));
}

static void change_seats(struct ush_arena *arena)
{
    struct seats_change in = {.slug = USH_T("robots"), .actor = USH_T("organiser")};
    struct change_result out;
    switch (ush_sim_choose(4)) {
    case 0:
        in.gate = ush_sim_choose(3) ? USH_T("open") : USH_T("closed");
        USH_SET(&in, seats_change_gate);
        break;
    case 1:
        in.waitlist = ush_sim_choose(4);
        USH_SET(&in, seats_change_waitlist);
        break;
    default:
        in.capacity = 1 + ush_sim_choose(6);
        USH_SET(&in, seats_change_capacity);
    }
    int rc = fest_change(&w.workers[ush_sim_choose(WORKERS)], &op_seats, &in, &out, arena);
    USH_HOLDS(rc == 0 || is_cut(rc));
    if (rc == 0)
        USH_HOLDS(out.outcome == CHANGE_DONE || out.outcome == CHANGE_NOTHING ||
                  out.outcome == CHANGE_BELOW_TAKEN);
}

static void promote_some(struct ush_arena *arena)
{
    struct promote in = {.slug = USH_T("robots"), .count = 1, .actor = USH_T("organiser")};
    ush_random(&in.once, sizeof in.once);
    struct change_result out;
    int rc = fest_change(&w.workers[0], &op_promote, &in, &out, arena);
    USH_HOLDS(rc == 0 || is_cut(rc));
}

static void look(struct ush_arena *arena)
{
    struct verify_result v;
    int rc = verify_all(w.x.fest.db, NULL, arena, &v);
    USH_HOLDS(rc == 0 || is_cut(rc));
    if (rc == 0)
        USH_HOLDS(v.findings.count == 0);
}

static int act(void *arg)
{
    (void)arg;
    for (uint32_t left = 1 + ush_sim_choose(4); left > 0 && !ush_is_broken(); left--) {
        struct ush_scope scope;
        struct ush_scope_options o = {0};
        if (ush_sim_choose(3) == 0)
            o.deadline_ns = ush_now_ns() + 1 + ush_sim_choose(2 * USH_MS);
        if (ush_sim_choose(2))
            (void)ush_sleep(ush_sim_choose(2 * USH_MS));
        if (ush_sim_choose(10) == 0)
            (void)ush_sleep(USH_SECOND);
        ush_scope_open(&scope, &o);
        uint32_t what = ush_sim_choose(16);
        if (what < 9)
            submit(ush_task_arena());
        else if (what < 10)
            submit_twice(ush_task_arena());
        else if (what < 12)
            cancel_one(ush_task_arena());
        else if (what < 13)
            correct_one(ush_task_arena());
        else if (what < 15)
            change_seats(ush_task_arena());
        else if (ush_sim_choose(2))
            promote_some(ush_task_arena());
        else
            look(ush_task_arena());
        (void)ush_scope_close(&scope);
    }
    return 0;
}

/* ---- a run ----------------------------------------------------------------------------------- */

#define SCRIPT_FIELDS(F, R) F(R, I64, nothing)
USH_RECORD(script, SCRIPT_FIELDS)
USH_RECORD_DEFINE(script, SCRIPT_FIELDS)

/* Every sixteenth registration fails inside the database. */
static int add_trigger(struct ush_tx *tx, const void *in, void *out)
{
    static const struct ush_statement s = {
        "add_trigger",
        "CREATE TRIGGER fault BEFORE INSERT ON registrations WHEN NEW.submit_id % 16 = 0 "
        "BEGIN SELECT RAISE(ABORT, 'a fault on purpose'); END",
        NULL};
    (void)in, (void)out;
    return ush_exec(tx, &s, USH_NO_VALUES);
}
static const struct ush_operation op_add_trigger = {
    .name = "add_trigger", .in = &script_record, .run = add_trigger};

static const struct ush_operation *operations[64];
static void list_operations(void)
{
    size_t n = 0;
    for (; fest_operations[n]; n++)
        operations[n] = fest_operations[n];
    operations[n] = &op_add_trigger;
    fixture_operations = operations;
}

static int count_rows(struct ush_tx *view, void *arg)
{
    struct ush_rows rows;
    int rc = ush_all(view, &sql_registrations_some, &registration_record, 1000, &rows,
                     USH_VALUES(0, INT64_MAX, 0, USH_T(""), 1000));
    for (size_t i = 0; rc >= 0 && i < rows.count; i++) {
        int64_t id = ((struct registration *)rows.at)[i].id;
        bool known = false;
        for (size_t k = 0; k < KEYS; k++)
            known |= w.made[k] == id;
        USH_HOLDS(known); /* nobody is in who was not told so */
    }
    *(size_t *)arg = rc < 0 ? 0 : rows.count;
    return rc;
}

static int make_database(void *unused __attribute__((unused)))
{
    struct script none = {0};
    fixture_open(&w.x);
    int rc = ush_change(w.x.fest.db, &op_add_trigger, &none, NULL, &w.x.arena);
    fixture_close(&w.x);
    return rc < 0 ? rc : 0;
}

static void begin(void)
{
    kept_make(make_database);
    fixture_is_migrated = true;
}

static int told_all, refused_all, cut_all, failed_all, cancelled_all, from_memory_all;

static int scenario(void *unused __attribute__((unused)))
{
    struct ush_scope scope;
    size_t rows = 0, known = 0;
    int rc;
    w = (struct world){0};
    fixture_open(&w.x);
    /* In one run of four the event begins so soon that the waitlist no longer moves by itself. */
    fixture_import(&w.x,
                   ush_arena_printf(&w.x.arena,
                                    "[{\"slug\":\"robots\",\"title\":\"Robots\","
                                    "\"starts\":\"%s\",\"capacity\":2,"
                                    "\"waitlist\":\"2\",\"school_limit\":4}]",
                                    ush_sim_choose(4) ? "2030-03-14 10:00" : "2026-03-13T14:00:00Z")
                       .at);
    w.workers[0] = w.workers[1] = w.x.fest;
    w.workers[1].events = events_cache_new(w.x.fest.db);
    w.workers[1].desk = desk_new();
    ush_scope_open(&scope, &(struct ush_scope_options){.keep_going = true});
    for (int i = 0; i < TASKS; i++)
        (void)ush_spawn(&scope, act, NULL);
    (void)ush_scope_close(&scope);
    do
        rc = ush_read(w.x.fest.db, count_rows, &rows);
    while (fixture_again(rc));
    USH_HOLDS(rc >= 0);
    for (size_t k = 0; k < KEYS; k++) {
        bool first = w.made[k] != 0;
        for (size_t other = 0; other < k; other++)
            first &= w.made[other] != w.made[k];
        known += first;
    }
    USH_HOLDS(rows == known);
    const char *findings = fixture_verify(&w.x);
    if (*findings)
        ush_broken(USH_SITE, "%s", findings);
    told_all += w.told;
    refused_all += w.refused;
    cut_all += w.cut;
    failed_all += w.failed;
    from_memory_all += w.from_memory;
    cancelled_all += (int)w.cancelled;
    events_cache_free(w.workers[1].events);
    desk_free(w.workers[1].desk);
    fixture_close(&w.x);
    return 0;
}

START_TEST(promises_hold_under_seeds)
{
    enum { N = 1000 };
    const struct ush_explore_options o = {
        .name = "desk", .schedules = N, .seed = 1 + (uint64_t)_i * N, .sim.cancel_permille = 20};
    told_all = refused_all = cut_all = failed_all = cancelled_all = from_memory_all = 0;
    if (explored(&o, scenario, NULL).schedules < N)
        return;
    /* The walk has seen what it is for. */
    ck_assert_int_gt(told_all, N);
    ck_assert_int_gt(refused_all, N / 4);
    ck_assert_int_gt(cut_all, N / 20);
    ck_assert_int_gt(failed_all, N / 20);
    ck_assert_int_gt(cancelled_all, N / 10);
    ck_assert_int_gt(from_memory_all, N / 50);
}
END_TEST

START_TEST(promises_hold_when_cut_at_every_suspension)
{
    const struct ush_explore_options o = {
        .name = "desk-cut", .strategy = USH_EXPLORE_CUT, .schedules = 5000};
    explored(&o, scenario, NULL);
}
END_TEST

/* ---- what does not wait ---------------------------------------------------------------------- */

static int passes;

static int pass_by(void *is_over)
{
    while (!*(bool *)is_over) {
        passes++;
        USH_TRY(ush_yield());
    }
    return 0;
}

/* Decoding, checking and refusing a request give way to nobody; storing one does. */
static int check_requests(void *unused __attribute__((unused)))
{
    const ush_text bad = USH_T("{\"event\":\"robots\",\"name\":\"\",\"email\":\"nobody\",\"n\":1}");
    struct ush_scope scope;
    struct ush_faults faults;
    struct register_body body;
    struct desk_answer a = {0};
    bool is_over = false;
    fixture_open(&w.x);
    struct ush_arena *arena = &w.x.arena;
    fixture_import(&w.x, "[{\"slug\":\"robots\",\"title\":\"Robots\","
                         "\"starts\":\"2030-03-14 10:00\",\"school_limit\":4}]");
    struct desk_request good = request_of(1, arena), rude = request_of(2, arena);
    rude.school = USH_T("");
    ush_faults_init(&faults, arena);
    (void)desk_submit(&w.x.fest, &good, arena, &faults, &a); /* the trigger may refuse it */
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, pass_by, &is_over);
    for (int i = 0; i < 100; i++) {
        ush_faults_init(&faults, arena);
        ck_assert_int_eq(ush_record_decode_json(&register_body_record, bad, arena, &body, &faults),
                         USH_EINVAL);
        ck_assert_int_eq(desk_submit(&w.x.fest, &rude, arena, &faults, &a), USH_EINVAL);
    }
    ck_assert_int_eq(passes, 0);
    good = request_of(3, arena);
    ush_faults_init(&faults, arena);
    (void)desk_submit(&w.x.fest, &good, arena, &faults, &a);
    ck_assert_int_gt(passes, 0);
    is_over = true;
    ush_scope_close(&scope);
    fixture_close(&w.x);
    return 0;
}

START_TEST(checking_a_request_waits_for_nobody)
{
    ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){.seed = 1}, check_requests, NULL, NULL),
                     0);
}
END_TEST

int main(void)
{
    list_operations();
    Suite *suite = suite_create("desk under seeds");
    TCase *t = tcase_create("seeds");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 120);
    tcase_add_checked_fixture(t, begin, NULL);
    tcase_add_loop_test(t, promises_hold_under_seeds, 0, 10);
    tcase_add_test(t, promises_hold_when_cut_at_every_suspension);
    tcase_add_test(t, checking_a_request_waits_for_nobody);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
