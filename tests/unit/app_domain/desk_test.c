/*
 * desk_test.c - registering, cancelling, changing and correcting, over a real SQLite in memory and
 * over a real PostgreSQL.
 *
 * What happens under interleavings and failures is in tests/sim/app_desk_test.c; here each rule of
 * the catalogue (same person twice, the rush, teams, schools) is one short story.
 */
#include "both.h"
#include "domain/announce.h"
#include "domain/places.h"
#include "jobs/jobs.h"

#include "gen/sql.h"

/* Open now, for a year; capacity and waitlist as given. */
#define EVENT(slug, more)                                                                          \
    "{\"slug\":\"" slug "\",\"title\":\"Title of " slug "\",\"starts\":\"2030-03-14 10:00\"," more \
    "\"tz\":\"Asia/Kolkata\"}"

static struct desk_answer submit(struct fixture *x, const char *event, const char *email,
                                 const char *key)
{
    struct ush_faults faults;
    struct desk_answer a = {0};
    ush_faults_init(&faults, &x->arena);
    const struct desk_request rq = {
        .event = ush_text_of(event),
        .key = ush_text_of(key),
        .name = USH_T("Asha"),
        .email = ush_arena_copy(&x->arena, ush_text_of(email)),
        .school = USH_T("St Mary's"),
        .source = SOURCE_API,
    };
    int rc = desk_submit(&x->fest, &rq, &x->arena, &faults, &a);
    ck_assert_msg(rc == 0, "%s: %s", email, ush_error_text(rc));
    return a;
}

static struct change_result cancel(struct fixture *x, int64_t id)
{
    struct change_result out;
    const struct cancel in = {
        .registration = id, .reason = USH_T("by_student"), .actor = USH_T("student")};
    ck_assert_int_eq(fest_change(&x->fest, &op_cancel, &in, &out, &x->arena), 0);
    return out;
}

static struct change_result set_capacity(struct fixture *x, const char *slug, int64_t capacity)
{
    struct change_result out;
    struct seats_change in = {
        .slug = ush_text_of(slug), .capacity = capacity, .actor = USH_T("test")};
    USH_SET(&in, seats_change_capacity);
    ck_assert_int_eq(fest_change(&x->fest, &op_seats, &in, &out, &x->arena), 0);
    return out;
}

static int64_t status_of(struct fixture *x, int64_t id)
{
    struct registration_view v;
    ck_assert_int_eq(registration_read(x->fest.db, id, &x->arena, &v), 0);
    return v.registration.status;
}

#define STORY(name)                                                                                \
    static int name##_story(void *arg);                                                            \
    START_TEST(name)                                                                               \
    {                                                                                              \
        fixture_on(_i);                                                                            \
        fixture_run(name##_story);                                                                 \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_story(void *arg)

STORY(fills_then_waits_then_refuses)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "\"capacity\":2,\"waitlist\":\"1\",") "]");
    struct desk_answer a = submit(x, "quiz", "a@x.in", "key-a");
    ck_assert_int_eq(a.outcome, SEATS_CONFIRMED);
    ck_assert_int_eq(registration_seq_of(a.registration), 1);
    ck_assert_int_eq(a.status, REGISTRATION_CONFIRMED);
    ck_assert_int_eq(submit(x, "quiz", "b@x.in", NULL).outcome, SEATS_CONFIRMED);
    struct desk_answer c = submit(x, "quiz", "c@x.in", NULL);
    ck_assert_int_eq(c.outcome, SEATS_WAITLISTED);
    ck_assert_int_eq(c.position, 1);
    ck_assert_int_eq(submit(x, "quiz", "d@x.in", NULL).outcome, SEATS_FULL);
    /* The same key after it has filled up: the same place. */
    struct desk_answer again = submit(x, "quiz", "a@x.in", "key-a");
    ck_assert_int_eq(again.outcome, SEATS_REPLAYED);
    ck_assert_int_eq(again.registration, a.registration);
    ck_assert_int_eq(again.created_at, a.created_at);
    ck_assert(!again.key_reused);
    /* The same key with other contents. */
    again = submit(x, "quiz", "z@x.in", "key-a");
    ck_assert_int_eq(again.outcome, SEATS_REPLAYED);
    ck_assert(again.key_reused);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

STORY(one_person_one_place)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "") "," EVENT("race", "\"dedupe\":\"none\",") "," EVENT(
                          "class", "\"dedupe\":\"email_name\",") "]");
    ck_assert_int_eq(submit(x, "quiz", "Asha@School.in", NULL).outcome, SEATS_CONFIRMED);
    struct desk_answer twice = submit(x, "quiz", "asha+2@school.IN", NULL);
    ck_assert_int_eq(twice.outcome, SEATS_ALREADY_REGISTERED);
    ck_assert(twice.resent);
    /* At most once an hour. */
    ck_assert(!submit(x, "quiz", "asha@school.in", NULL).resent);
    /* Another event, and an event that does not compare. */
    ck_assert_int_eq(submit(x, "race", "asha@school.in", NULL).outcome, SEATS_CONFIRMED);
    ck_assert_int_eq(submit(x, "race", "asha@school.in", NULL).outcome, SEATS_CONFIRMED);
    /* A class that shares one address: the name tells them apart. */
    ck_assert_int_eq(submit(x, "class", "asha@school.in", NULL).outcome, SEATS_CONFIRMED);
    ck_assert_int_eq(submit(x, "class", "asha@school.in", NULL).outcome, SEATS_ALREADY_REGISTERED);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

static int mails_again_of(struct ush_tx *view, void *arg)
{
    static const struct ush_statement of = {
        "of", "SELECT subject AS number FROM jobs WHERE kind = 'resend' ORDER BY subject"};
    int64_t *ret = arg;
    struct ush_rows rows;
    int n = ush_all(view, &of, &number_record, 100, &rows, USH_NO_VALUES);
    for (int i = 0; i < n; i++)
        ret[i] = ((struct number *)rows.at)[i].number;
    return n;
}

STORY(a_lost_link_goes_out_for_every_event)
{
    struct fixture *x = arg;
    int64_t again[100];
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "") "," EVENT("race", "\"dedupe\":\"none\",") "," EVENT(
                          "class", "\"dedupe\":\"email_name\",") "," EVENT("chess", "") "]");
    static const char *const events[] = {"quiz", "race", "class", "chess"};
    int64_t ids[2][4];
    for (size_t i = 0; i < 4; i++) {
        ids[0][i] = submit(x, events[i], "asha@school.in", NULL).registration;
        ids[1][i] = submit(x, events[i], "ravi@school.in", NULL).registration;
    }
    cancel(x, ids[0][3]);
    /* Not of the event that does not compare, not of the place that was given back, and hourly. */
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(registrations_resend_to(&x->fest, USH_T("ASHA@school.in"), &x->arena), 0);
    ck_assert_int_eq(ush_read(x->fest.db, mails_again_of, again), 2);
    ck_assert(again[0] == ids[0][0] && again[1] == ids[0][2]);
    ck_assert_int_eq(registrations_resend_to(&x->fest, USH_T("nobody@x.in"), &x->arena), 0);
    ck_assert_int_eq(registrations_resend_to(&x->fest, USH_T("ravi@school.in"), &x->arena), 0);
    ck_assert_int_eq(ush_read(x->fest.db, mails_again_of, again), 5);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

STORY(cancelling_promotes_the_longest_waiting)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "\"capacity\":1,\"waitlist\":\"unlimited\",") "]");
    struct desk_answer a = submit(x, "quiz", "a@x.in", "key-a");
    struct desk_answer b = submit(x, "quiz", "b@x.in", NULL);
    struct desk_answer c = submit(x, "quiz", "c@x.in", NULL);
    ck_assert_int_eq(c.position, 2);
    struct change_result out = cancel(x, a.registration);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(out.promoted, 1);
    ck_assert_int_eq(out.taken, 1);
    ck_assert_int_eq(status_of(x, b.registration), REGISTRATION_CONFIRMED);
    ck_assert_int_eq(status_of(x, c.registration), REGISTRATION_WAITLISTED);
    ck_assert_int_eq(cancel(x, a.registration).outcome, CHANGE_NOTHING);
    ck_assert_int_eq(cancel(x, registration_make_id(1, 99)).outcome, CHANGE_NOT_FOUND);
    ck_assert_int_eq(cancel(x, registration_make_id(9, 1)).outcome, CHANGE_NOT_FOUND);
    /* The same person may come again, at the end; the old key still shows the old place. */
    ck_assert_int_eq(submit(x, "quiz", "a@x.in", "key-a").status, REGISTRATION_CANCELLED);
    struct desk_answer again = submit(x, "quiz", "a@x.in", "key-b");
    ck_assert_int_eq(again.outcome, SEATS_WAITLISTED);
    ck_assert_int_eq(again.position, 2);
    /* A waiting one leaves: the others move up one number. */
    ck_assert_int_eq(cancel(x, c.registration).promoted, 0);
    struct registration_view v;
    ck_assert_int_eq(registration_read(x->fest.db, again.registration, &x->arena, &v), 0);
    ck_assert_int_eq(v.waitlist_position, 1);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

STORY(capacity_promotes_and_never_drops)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "\"capacity\":1,\"waitlist\":\"5\",") "]");
    for (int i = 0; i < 4; i++)
        submit(x, "quiz", ush_arena_printf(&x->arena, "s%d@x.in", i).at, NULL);
    struct change_result out = set_capacity(x, "quiz", 3);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(out.promoted, 2);
    ck_assert_int_eq(out.taken, 3);
    ck_assert_int_eq(set_capacity(x, "quiz", 3).outcome, CHANGE_NOTHING);
    out = set_capacity(x, "quiz", 2);
    ck_assert_int_eq(out.outcome, CHANGE_BELOW_TAKEN);
    ck_assert_int_eq(out.taken, 3);
    ck_assert_int_eq(set_capacity(x, "nothing", 2).outcome, CHANGE_NOT_FOUND);
    ck_assert_int_eq(set_capacity(x, "quiz", -1).promoted, 1);
    ck_assert_int_eq(submit(x, "quiz", "new@x.in", NULL).outcome, SEATS_CONFIRMED);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

STORY(closing_and_cancelling_an_event)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "\"capacity\":1,\"waitlist\":\"5\",") "," EVENT(
                          "later", "\"opens\":\"2030-01-01 00:00\",") "]");
    ck_assert_int_eq(submit(x, "later", "a@x.in", NULL).outcome, SEATS_NOT_OPEN);
    struct desk_answer a = submit(x, "quiz", "a@x.in", "key-a");
    submit(x, "quiz", "b@x.in", NULL);
    struct seats_change in = {
        .slug = USH_T("quiz"), .gate = USH_T("closed"), .actor = USH_T("test")};
    USH_SET(&in, seats_change_gate);
    struct change_result out;
    ck_assert_int_eq(fest_change(&x->fest, &op_seats, &in, &out, &x->arena), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(submit(x, "quiz", "c@x.in", NULL).outcome, SEATS_CLOSED);
    ck_assert_int_eq(submit(x, "quiz", "a@x.in", "key-a").registration, a.registration);
    struct event_cancel off = {.slug = USH_T("quiz"), .actor = USH_T("test")};
    ck_assert_int_eq(announcement_change(&x->fest, &op_event_cancel, &off, &x->arena, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(announcement_change(&x->fest, &op_event_cancel, &off, &x->arena, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_NOTHING);
    ck_assert_int_eq(submit(x, "quiz", "c@x.in", NULL).outcome, SEATS_EVENT_CANCELLED);
    ck_assert_int_eq(fest_change(&x->fest, &op_seats, &in, &out, &x->arena), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DEAD);
    /* Nobody moves up into an event that does not take place. */
    ck_assert_int_eq(cancel(x, a.registration).promoted, 0);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

static int submit_team(struct fixture *x, const char *team, const char *lead,
                       const char *const *members, struct ush_faults *faults,
                       struct desk_answer *ret)
{
    struct desk_person people[DESK_PEOPLE_MAX] = {0};
    size_t n = 0;
    for (; members[n]; n++)
        people[n] = (struct desk_person){.name = USH_T("Member"), .email = ush_text_of(members[n])};
    ush_faults_init(faults, &x->arena);
    const struct desk_request rq = {.event = USH_T("robots"),
                                    .name = USH_T("Lead"),
                                    .email = ush_text_of(lead),
                                    .team = ush_text_of(team),
                                    .members = people,
                                    .member_count = n,
                                    .source = SOURCE_WEB};
    return desk_submit(&x->fest, &rq, &x->arena, faults, ret);
}

static int bulk_jobs(struct ush_tx *view, void *arg __attribute__((unused)))
{
    static const struct ush_statement of = {
        "bulk", "SELECT count(*) AS number FROM jobs WHERE lane = 'bulk'"};
    int64_t n;
    int r = number_read(view, &of, &n, USH_NO_VALUES);
    return r < 0 ? r : (int)n;
}

static int64_t tell(struct fixture *x, const struct ush_operation *op, int64_t once,
                    int64_t undo_ms)
{
    struct change_result out;
    const struct event_cancel in = {
        .slug = USH_T("quiz"), .undo_ms = undo_ms, .once = once, .actor = USH_T("test")};
    ck_assert_int_eq(fest_change(&x->fest, op, &in, &out, &x->arena), 0);
    return out.outcome;
}

/* An operation is run again when its COMMIT came through and the word of it did not. */
STORY(an_announcement_run_again_tells_nobody_twice)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "") "]");
    for (int i = 0; i < 3; i++)
        submit(x, "quiz", ush_arena_printf(&x->arena, "s%d@x.in", i).at, NULL);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(tell(x, &op_announce, 1, 0), CHANGE_DONE);
        ck_assert_int_eq(ush_read(x->fest.db, bulk_jobs, NULL), 3);
    }
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(tell(x, &op_announce, 2, 600000), CHANGE_DONE);
    ck_assert_int_eq(tell(x, &op_announce, 3, 600000), CHANGE_TOO_SOON);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(tell(x, &op_announce_undo, 4, 0), CHANGE_DONE);
    ck_assert_int_eq(tell(x, &op_announce_undo, 5, 0), CHANGE_TOO_LATE);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(tell(x, &op_event_cancel, 6, 600000), CHANGE_DONE);
    ck_assert_int_eq(tell(x, &op_event_cancel, 7, 600000), CHANGE_NOTHING);
    ck_assert_int_eq(ush_read(x->fest.db, bulk_jobs, NULL), 6);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

/* While an event is off nobody moves up; when it is on again, the place given back is filled. */
STORY(a_place_given_back_meanwhile_is_filled)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "\"capacity\":1,\"waitlist\":\"5\",") "]");
    struct desk_answer a = submit(x, "quiz", "a@x.in", NULL), b = submit(x, "quiz", "b@x.in", NULL);
    ck_assert_int_eq(tell(x, &op_event_cancel, 1, 600000), CHANGE_DONE);
    ck_assert_int_eq(cancel(x, a.registration).promoted, 0);
    ck_assert_int_eq(tell(x, &op_announce_undo, 2, 0), CHANGE_DONE);
    ck_assert_int_eq(status_of(x, b.registration), REGISTRATION_CONFIRMED);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

/* Two were told that the event is off; the mail to the third is to be tried again later. */
STORY(what_has_begun_is_not_taken_back)
{
    struct fixture *x = arg;
    struct announcement a;
    struct ush__jobs_claimed claimed;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "") "]");
    for (int i = 0; i < 3; i++)
        submit(x, "quiz", ush_arena_printf(&x->arena, "s%d@x.in", i).at, NULL);
    ck_assert_int_eq(tell(x, &op_event_cancel, 1, 0), CHANGE_DONE);
    const struct ush__jobs_claim in = {
        .owner = 1, .lanes = USH_T("bulk"), .limit = 10, .limit_rest = 10};
    ck_assert_int_eq(ush_change(x->fest.db, &ush_op_jobs_claim, &in, &claimed, &x->arena), 3);
    ck_assert_uint_eq(claimed.rows.count, 3);
    for (size_t i = 0; i < 3; i++) {
        const struct ush__job_row *row = (struct ush__job_row *)claimed.rows.at + i;
        const struct ush__job_end end = {.id = row->id,
                                         .claim = row->claim,
                                         .state = i < 2 ? USH_JOB_DONE : USH_JOB_READY,
                                         .failed = i == 2,
                                         .delay_ms = 60000};
        ck_assert_int_eq(ush__jobs_change(x->fest.db, &ush_op_job_end, &end), 1);
    }
    ck_assert_int_eq(announcement_waiting(x->fest.db, 1, &a), 0);
    ck_assert_int_eq(a.mails, 0);
    ck_assert_int_eq(tell(x, &op_announce_undo, 2, 0), CHANGE_TOO_LATE);
    ck_assert_int_eq(tell(x, &op_event_cancel, 3, 0), CHANGE_NOTHING); /* it is off */
    ck_assert_int_eq(ush_read(x->fest.db, bulk_jobs, NULL), 3);
    fixture_close(x);
    return 0;
}

STORY(teams)
{
    struct fixture *x = arg;
    struct ush_faults faults;
    struct desk_answer a;
    fixture_open(x);
    fixture_import(x, "[" EVENT("robots", "\"kind\":\"team\",\"team_min\":2,\"team_max\":3,") "]");
    ck_assert_int_eq(
        submit_team(x, "Bolts", "a@x.in", (const char *[]){"b@x.in", NULL}, &faults, &a), 0);
    ck_assert_int_eq(a.outcome, SEATS_CONFIRMED);
    ck_assert_int_eq(
        submit_team(x, "BOLTS", "c@x.in", (const char *[]){"d@x.in", NULL}, &faults, &a), 0);
    ck_assert_int_eq(a.outcome, SEATS_TEAM_TAKEN);
    ck_assert_int_eq(
        submit_team(x, "Nuts", "c@x.in", (const char *[]){"d@x.in", "b@x.in", NULL}, &faults, &a),
        0);
    ck_assert_int_eq(a.outcome, SEATS_ALREADY_REGISTERED);
    ck_assert_uint_eq(a.person, 2);
    ck_assert(!a.resent); /* only the lead has a link */
    ck_assert_int_eq(submit_team(x, NULL, "c@x.in", (const char *[]){NULL}, &faults, &a),
                     USH_EINVAL);
    ck_assert_ptr_nonnull(ush_faults_of(&faults, "team"));
    ck_assert_ptr_nonnull(ush_faults_of(&faults, "members"));
    ck_assert_int_eq(
        submit_team(x, "N", "c@x.in", (const char *[]){"d@x.in", "D@x.in", NULL}, &faults, &a),
        USH_EINVAL);
    ck_assert_ptr_nonnull(ush_faults_of(&faults, "members/1/email"));
    ck_assert_int_eq(submit_team(x, "N", "c@x.in",
                                 (const char *[]){"d@x.in", "e@x.in", "f@x.in", NULL}, &faults, &a),
                     USH_EINVAL);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

STORY(schools)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(
        x, "[" EVENT("quiz", "\"capacity\":1,\"waitlist\":\"9\",\"school_limit\":2,") "," EVENT(
               "open", "") "]");
    struct desk_answer a = submit(x, "quiz", "a@x.in", NULL);
    ck_assert_int_eq(submit(x, "quiz", "b@x.in", NULL).outcome, SEATS_WAITLISTED);
    ck_assert_int_eq(submit(x, "quiz", "c@x.in", NULL).outcome, SEATS_SCHOOL_LIMIT);
    ck_assert_int_eq(cancel(x, a.registration).promoted, 1);
    ck_assert_int_eq(submit(x, "quiz", "c@x.in", NULL).outcome, SEATS_WAITLISTED);
    /* A limit that comes later counts who is there already. */
    for (int i = 0; i < 3; i++)
        submit(x, "open", ush_arena_printf(&x->arena, "s%d@x.in", i).at, NULL);
    fixture_import(x, "[" EVENT("open", "\"school_limit\":3,") "]");
    ck_assert_int_eq(submit(x, "open", "late@x.in", NULL).outcome, SEATS_SCHOOL_LIMIT);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

static int count_all(struct ush_tx *view, void *arg)
{
    struct totals_row {
        uint64_t has;
        int64_t number;
    } row;
    static const struct ush_field field = {"number", USH_TYPE_I64,
                                           offsetof(struct totals_row, number)};
    static const struct ush_record record = {"totals_row", sizeof row, &field, 1};
    static const struct ush_statement s = {"count_all", "SELECT count(*) AS number FROM jobs",
                                           NULL};
    int rc = ush_one(view, &s, &record, &row, USH_NO_VALUES);
    *(int64_t *)arg = row.number;
    return rc;
}

STORY(late_clicks_are_answered_from_memory)
{
    struct fixture *x = arg;
    int64_t before, after;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "\"capacity\":2,") "]");
    struct desk_answer a = submit(x, "quiz", "a@x.in", "key-a");
    submit(x, "quiz", "b@x.in", NULL);
    ck_assert(!submit(x, "quiz", "c@x.in", NULL).from_memory);
    struct desk_answer d = submit(x, "quiz", "d@x.in", NULL);
    ck_assert(d.from_memory);
    ck_assert_int_eq(d.outcome, SEATS_FULL);
    /* Who is registered reaches the database all the same. */
    ck_assert_int_eq(submit(x, "quiz", "a@x.in", "key-a").registration, a.registration);
    ck_assert_int_eq(submit(x, "quiz", "b@x.in", NULL).outcome, SEATS_ALREADY_REGISTERED);
    ush_read(x->fest.db, count_all, &before);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(submit(x, "quiz", "late@x.in", NULL).outcome, SEATS_FULL);
    ush_read(x->fest.db, count_all, &after);
    ck_assert_int_eq(before, after);
    ck_assert_uint_gt(desk_stats(&x->fest).from_memory, 900);
    /* A change in this process is seen at once. */
    cancel(x, a.registration);
    ck_assert_int_eq(submit(x, "quiz", "late@x.in", NULL).outcome, SEATS_CONFIRMED);
    ck_assert_int_eq(submit(x, "quiz", "late2@x.in", NULL).outcome, SEATS_FULL);
    ck_assert_int_eq(submit(x, "quiz", "late@x.in", NULL).outcome, SEATS_ALREADY_REGISTERED);
    fixture_close(x);
    return 0;
}

STORY(corrections)
{
    struct fixture *x = arg;
    struct change_result out;
    struct ush_faults faults;
    struct registration_view v;
    char token[MANAGE_TOKEN_CHARS + 1];
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "") "]");
    struct desk_answer a = submit(x, "quiz", "a@x.in", NULL);
    submit(x, "quiz", "b@x.in", NULL);
    ush_faults_init(&faults, &x->arena);
    struct edit_request rq = {.registration = a.registration,
                              .form = {.name = USH_T("Asha Rao"),
                                       .email = USH_T("a@x.in"),
                                       .school = USH_T("Other School")},
                              .actor = USH_T("student")};
    ck_assert_int_eq(registration_edit(&x->fest, &rq, &x->arena, &faults, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(out.manage_rev, 1);
    manage_token_format(&x->fest.keys, a.registration, 1, token);
    ck_assert_int_eq(registration_open(&x->fest, ush_text_of(token), &x->arena, &v), 0);
    ck_assert(ush_text_equal(v.people[0].name, USH_T("Asha Rao")));
    ck_assert(ush_text_equal(v.registration.school, USH_T("Other School")));
    /* Somebody else's address: nothing changes. */
    rq.form.email = USH_T("B@x.in");
    ck_assert_int_eq(registration_edit(&x->fest, &rq, &x->arena, &faults, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DUPLICATE);
    /* A new address: the old link is dead. */
    rq.form.email = USH_T("new@x.in");
    ck_assert_int_eq(registration_edit(&x->fest, &rq, &x->arena, &faults, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(out.manage_rev, 2);
    ck_assert_int_eq(registration_open(&x->fest, ush_text_of(token), &x->arena, &v), USH_ENOTFOUND);
    ck_assert_int_eq(submit(x, "quiz", "a@x.in", NULL).outcome, SEATS_CONFIRMED);
    /* Sending again: hourly, unless an organiser asks. */
    struct resend again = {.registration = a.registration, .actor = USH_T("student")};
    ck_assert_int_eq(registration_resend(&x->fest, &again, &x->arena, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(registration_resend(&x->fest, &again, &x->arena, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_TOO_SOON);
    again.force = again.new_link = 1;
    ck_assert_int_eq(registration_resend(&x->fest, &again, &x->arena, &out), 0);
    ck_assert_int_eq(out.manage_rev, 3);
    cancel(x, a.registration);
    ck_assert_int_eq(registration_edit(&x->fest, &rq, &x->arena, &faults, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DEAD);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

STORY(lists_and_searches)
{
    struct fixture *x = arg;
    struct ush_rows rows;
    fixture_open(x);
    fixture_import(x, "[" EVENT("quiz", "") "," EVENT("race", "") "]");
    for (int i = 0; i < 5; i++)
        submit(x, i < 3 ? "quiz" : "race", ush_arena_printf(&x->arena, "s_%d@x.in", i).at, NULL);
    struct registration_filter f = {.event = 1};
    ck_assert_int_eq(registrations_list(x->fest.db, &f, &x->arena, &rows), 3);
    ck_assert(ush_text_equal(((struct registration *)rows.at)[0].lead_email, USH_T("s_0@x.in")));
    f = (struct registration_filter){.text = USH_T("S_4")};
    ck_assert_int_eq(registrations_list(x->fest.db, &f, &x->arena, &rows), 1);
    f.text = USH_T("s%4");
    ck_assert_int_eq(registrations_list(x->fest.db, &f, &x->arena, &rows), 0);
    struct change_result out;
    struct ush_faults faults;
    ush_faults_init(&faults, &x->arena);
    const struct edit_request rq = {.registration = ((INT64_C(1) << 32) | 1),
                                    .form = {.name = USH_T("Élodie"), .email = USH_T("s_0@x.in")},
                                    .by_organiser = true,
                                    .actor = USH_T("test")};
    ck_assert_int_eq(registration_edit(&x->fest, &rq, &x->arena, &faults, &out), 0);
    f.text = USH_T("Élo"); /* as it is written */
    ck_assert_int_eq(registrations_list(x->fest.db, &f, &x->arena, &rows), 1);
    f = (struct registration_filter){.limit = 2};
    ck_assert_int_eq(registrations_list(x->fest.db, &f, &x->arena, &rows), 2);
    f.after_id = ((struct registration *)rows.at)[1].id;
    f.limit = 0;
    ck_assert_int_eq(registrations_list(x->fest.db, &f, &x->arena, &rows), 3);
    f = (struct registration_filter){.status = REGISTRATION_CANCELLED};
    ck_assert_int_eq(registrations_list(x->fest.db, &f, &x->arena, &rows), 0);
    fixture_close(x);
    return 0;
}

int main(void)
{
    Suite *suite = suite_create("desk");
    TCase *t = tcase_create("stories");
    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, fills_then_waits_then_refuses, 0, DATABASES);
    tcase_add_loop_test(t, one_person_one_place, 0, DATABASES);
    tcase_add_loop_test(t, a_lost_link_goes_out_for_every_event, 0, DATABASES);
    tcase_add_loop_test(t, cancelling_promotes_the_longest_waiting, 0, DATABASES);
    tcase_add_loop_test(t, capacity_promotes_and_never_drops, 0, DATABASES);
    tcase_add_loop_test(t, closing_and_cancelling_an_event, 0, DATABASES);
    tcase_add_loop_test(t, an_announcement_run_again_tells_nobody_twice, 0, DATABASES);
    tcase_add_loop_test(t, a_place_given_back_meanwhile_is_filled, 0, DATABASES);
    tcase_add_loop_test(t, what_has_begun_is_not_taken_back, 0, DATABASES);
    tcase_add_loop_test(t, teams, 0, DATABASES);
    tcase_add_loop_test(t, schools, 0, DATABASES);
    tcase_add_loop_test(t, late_clicks_are_answered_from_memory, 0, DATABASES);
    tcase_add_loop_test(t, corrections, 0, DATABASES);
    tcase_add_loop_test(t, lists_and_searches, 0, DATABASES);
    return stories_main(suite);
}
