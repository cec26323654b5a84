/*
 * late_test.c - what was looked up or checked, and is something else when it comes to storing.
 *
 * A handler looks before it asks for a change, and others may be faster: the operation goes by what
 * it finds, and whoever was checked by an older rule is checked again.
 */
#include "both.h"
#include "domain/erase.h"

static int submit(struct fixture *x, const char *name, const char *email,
                  const struct ush_rows *members, struct desk_answer *ret)
{
    struct ush_faults faults;
    const struct desk_request rq = {.event = USH_T("race"),
                                    .name = ush_text_of(name),
                                    .email = ush_text_of(email),
                                    .team = members ? ush_text_of(name) : USH_NONE,
                                    .members = members ? members->at : NULL,
                                    .member_count = members ? members->count : 0,
                                    .source = SOURCE_API};
    ush_faults_init(&faults, &x->arena);
    *ret = (struct desk_answer){0};
    return desk_submit(&x->fest, &rq, &x->arena, &faults, ret);
}

/* ---- forgetting a member --------------------------------------------------------------------- */

static int a_member_moved_since(void *arg)
{
    struct fixture *x = arg;
    struct desk_person team[] = {{.name = USH_T("Ravi"), .email = USH_T("ravi@x.in")},
                                 {.name = USH_T("Mia"), .email = USH_T("Mia@x.in")},
                                 {.name = USH_T("Noor"), .email = USH_T("noor@x.in")}};
    struct ush_faults faults;
    struct ush_rows found;
    struct desk_answer a;
    struct change_result out;
    struct registration_view v;
    fixture_open(x);
    fixture_import(x, "[{\"slug\":\"race\",\"title\":\"Race\",\"kind\":\"team\",\"team_min\":1,"
                      "\"team_max\":4,\"starts\":\"2031-03-14T10:00:00Z\"}]");
    ck_assert_int_eq(submit(x, "Asha", "asha@x.in", &(struct ush_rows){team, 3}, &a), 0);
    ck_assert_int_eq(person_places(&x->fest, USH_T("mia@X.IN"), &x->arena, &found), 0);
    ck_assert_int_eq(found.count, 1);
    const struct place_of *place = found.at;
    ck_assert_int_eq(place->position, 2);
    const struct edit_request leaves = {.registration = a.registration,
                                        .form = {.name = USH_T("Asha"),
                                                 .email = USH_T("asha@x.in"),
                                                 .team = USH_T("Asha"),
                                                 .members = team + 1,
                                                 .member_count = 2},
                                        .actor = USH_T("test")};
    ush_faults_init(&faults, &x->arena);
    ck_assert_int_eq(registration_edit(&x->fest, &leaves, &x->arena, &faults, &out), 0);
    const struct erase in = {
        .registration = a.registration, .email = place->email, .actor = USH_T("test")};
    ck_assert_int_eq(registration_erase(&x->fest, &in, &out, &x->arena), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(registration_read(x->fest.db, a.registration, &x->arena, &v), 0);
    ck_assert_int_eq(v.people_count, 3);
    ck_assert(v.people[1].name.len == 0 && v.people[2].name.len > 0 && v.people[0].name.len > 0);
    /* Nobody has the address any more, so nobody is forgotten. */
    ck_assert_int_eq(registration_erase(&x->fest, &in, &out, &x->arena), 0);
    ck_assert_int_eq(out.outcome, CHANGE_NOTHING);
    fixture_close(x);
    return 0;
}

/* ---- the rules of an event ------------------------------------------------------------------- */

/* Changes the event as another server does: this one's memory is the old one for a second. */
static void change_elsewhere(struct fixture *x, const char *more)
{
    struct import_result result;
    const struct import_options options = {
        .format = IMPORT_JSON, .tz = "Asia/Kolkata", .actor = USH_T("test")};
    ush_text file = ush_arena_printf(&x->arena,
                                     "[{\"slug\":\"race\",\"title\":\"Race\",%s"
                                     "\"starts\":\"2031-03-14T10:00:00Z\"}]",
                                     more);
    ck_assert_int_eq(import_events(x->fest.db, file, &options, &x->arena, &result), 0);
    ck_assert(result.applied);
}

static int a_rule_changed_since(void *arg)
{
    struct fixture *x = arg;
    struct event_list *list;
    struct desk_person ravi = {.name = USH_T("Ravi")};
    struct ush_rows members = {&ravi, 1};
    struct desk_answer a;
    fixture_open(x);
    fixture_import(x, "[{\"slug\":\"race\",\"title\":\"Race\",\"dedupe\":\"none\","
                      "\"starts\":\"2031-03-14T10:00:00Z\"}]");
    /* For single people, and now for teams. */
    ck_assert_int_eq(events_take(&x->fest, &list), 0);
    events_give(list);
    change_elsewhere(x, "\"kind\":\"team\",\"dedupe\":\"none\",");
    ck_assert_int_eq(submit(x, "Asha", "asha@x.in", NULL, &a), USH_EINVAL);
    /* An address any number of times, and now once. */
    change_elsewhere(x, "\"kind\":\"team\",\"dedupe\":\"email\",");
    ck_assert_int_eq(submit(x, "Asha", "asha@x.in", &members, &a), 0);
    ck_assert_int_eq(a.outcome, SEATS_CONFIRMED);
    ck_assert_int_eq(submit(x, "Asha too", "asha@x.in", &members, &a), 0);
    ck_assert_int_eq(a.outcome, SEATS_ALREADY_REGISTERED);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

static int (*const stories[])(void *) = {a_member_moved_since, a_rule_changed_since};

START_TEST(story)
{
    fixture_on(_i % DATABASES);
    fixture_run(stories[_i / DATABASES]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("late");
    TCase *t = tcase_create("stories");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, story, 0, (int)USH_COUNT(stories) * DATABASES);
    return stories_main(suite);
}
