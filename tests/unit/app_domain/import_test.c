/*
 * import_test.c - local times, events from CSV and JSON, the sample fest, and the export.
 */
#include "../sql/pg.h"
#include "fixture.h"

#include "domain/export.h"
#include "domain/places.h"
#include "domain/sample.h"

/* ---- local times ----------------------------------------------------------------------------- */

static const struct time_case {
    const char *zone, *typed, *expected; /* RFC 3339 in UTC; NULL = refused */
    const char *choice;                  /* what the refusal offers */
} times[] = {
    {"Asia/Kolkata", "2026-03-14 10:00", "2026-03-14T04:30:00Z"},
    {"Asia/Kolkata", "2026-03-14T10:00:30", "2026-03-14T04:30:30Z"},
    {"Asia/Kolkata", "2026-03-14T10:00:00+01:00", "2026-03-14T09:00:00Z"},
    {"UTC", "2026-03-14 10:00", "2026-03-14T10:00:00Z"},
    {"Europe/London", "2026-03-28 10:00", "2026-03-28T10:00:00Z"},
    {"Europe/London", "2026-03-29 10:00", "2026-03-29T09:00:00Z"},
    {"Europe/London", "2026-03-29 01:30", NULL, "2026-03-29T02:30:00+01:00"},
    {"Europe/London", "2026-10-25 01:30", NULL, "2026-10-25T01:30:00+01:00"},
    {"Europe/London", "2026-10-25 01:30", NULL, "2026-10-25T01:30:00Z"},
    {"Europe/London", "2026-10-25T01:30:00+01:00", "2026-10-25T00:30:00Z"},
    {"America/New_York", "2026-03-08 02:30", NULL, "2026-03-08T03:30:00-04:00"},
    {"America/New_York", "2026-07-04 12:00", "2026-07-04T16:00:00Z"},
    {"Australia/Sydney", "2026-01-10 09:00", "2026-01-09T22:00:00Z"},
    {"Asia/Kolkata", "2026-02-30 10:00", NULL, "2026-03-14 10:00"},
    {"Asia/Kolkata", "14.3.2026 10:00", NULL, "2026-03-14 10:00"},
    {"Asia/Kolkata", "2026-03-14", NULL, "2026-03-14 10:00"},
    {"Europe/London", "2060-07-01 10:00", NULL, "offset"},
    {"Asia/Kolkata", "2060-07-01 10:00", "2060-07-01T04:30:00Z"},
};

START_TEST(local_times)
{
    const struct time_case *c = &times[_i];
    struct ush_arena arena;
    struct zone *zone;
    int64_t ms = 0;
    ush_text problem = USH_NONE;
    ush_arena_init(&arena, NULL, 0, 1 << 20);
    ck_assert_int_eq(zone_load(c->zone, &arena, &zone), 0);
    int rc = zone_parse(zone, ush_text_of(c->typed), &arena, &ms, &problem);
    if (c->expected) {
        char text[32];
        ush_time_format(ms, 0, text);
        ck_assert_msg(rc == 0, "%s: %.*s", c->typed, USH_PR(problem));
        ck_assert_str_eq(text, c->expected);
    } else {
        ck_assert_int_eq(rc, USH_EINVAL);
        ck_assert_msg(memmem(problem.at, problem.len, c->choice, strlen(c->choice)) != NULL, "%.*s",
                      USH_PR(problem));
    }
    ush_arena_fini(&arena);
}
END_TEST

START_TEST(zones_that_are_none)
{
    static const char *const names[] = {"Mars/Olympus",     "",         "/etc/passwd",
                                        "../../etc/passwd", "zone.tab", "Asia"};
    for (size_t i = 0; i < USH_COUNT(names); i++) {
        struct ush_arena arena;
        struct zone *zone;
        ush_arena_init(&arena, NULL, 0, 1 << 20);
        ck_assert_int_eq(zone_load(names[i], &arena, &zone), USH_ENOTFOUND);
        ush_arena_fini(&arena);
    }
}
END_TEST

/* ---- files ----------------------------------------------------------------------------------- */

#define HEADER                                                                                     \
    "slug,title,category,venue,starts,ends,tz,opens,closes,kind,team_min,team_max,capacity,"       \
    "waitlist,school_limit,grade_min,grade_max,summary,description\r\n"
#define QUIZ                                                                                       \
    "quiz,Quiz,Fun,Hall,2030-03-14 10:00,2030-03-14 12:00,Asia/Kolkata,,,team,2,3,40,10,2,6,12,"   \
    "\"A quiz, for teams\",\"Two\nlines\"\r\n"
#define RACE "race,Race,,,2030-03-14 14:00,,,,,,,,,,,,,,\r\n"

static struct import_result import(struct fixture *x, const char *file, bool dry_run, int expected)
{
    struct import_result r;
    const struct import_options o = {
        .tz = "Asia/Kolkata", .dry_run = dry_run, .actor = USH_T("test")};
    int rc = import_events(x->fest.db, ush_text_of(file), &o, &x->arena, &r);
    ck_assert_msg(rc == expected, "%s", ush_error_text(rc));
    return r;
}

static const struct import_report *row(const struct import_result *r, size_t i)
{
    ck_assert_uint_lt(i, r->rows.count);
    return (struct import_report *)r->rows.at + i;
}

#define ck_says(report, wanted_action, part)                                                       \
    do {                                                                                           \
        const struct import_report *said_ = (report);                                              \
        ck_assert_msg(ush_text_equal(said_->action, USH_T(wanted_action)), "%.*s: %.*s",           \
                      USH_PR(said_->action), USH_PR(said_->text));                                 \
        ck_assert_msg(memmem(said_->text.at, said_->text.len, part, strlen(part)) != NULL, "%.*s", \
                      USH_PR(said_->text));                                                        \
    } while (0)

static int csv_story(void *arg)
{
    struct fixture *x = arg;
    struct event_entry e;
    fixture_open(x);
    struct import_result r = import(x, "\xef\xbb\xbf" HEADER QUIZ RACE, true, 0);
    ck_assert(!r.applied);
    ck_assert_uint_eq(r.fresh, 2);
    ck_assert_int_eq(event_read(x->fest.db, USH_T("quiz"), &x->arena, &e), USH_ENOTFOUND);
    r = import(x, HEADER QUIZ RACE, false, 0);
    ck_assert(r.applied);
    ck_assert_int_eq(event_read(x->fest.db, USH_T("quiz"), &x->arena, &e), 0);
    ck_assert(ush_text_equal(e.event.description, USH_T("Two\nlines")));
    ck_assert_int_eq(e.event.utc_offset_min, 330);
    ck_assert_int_eq(e.event.team_max, 3);
    ck_assert_int_eq(e.seats.capacity, 40);
    ck_assert_int_eq(e.seats.waitlist_capacity, 10);
    ck_assert_int_eq(e.seats.school_limit, 2);
    ck_assert_int_eq(e.event.version, 1);
    ck_assert_int_eq(event_read(x->fest.db, USH_T("race"), &x->arena, &e), 0);
    ck_assert(!USH_HAS(&e.seats, seats_capacity));
    ck_assert_int_eq(e.seats.closes_at, e.event.starts_at);
    ck_assert_int_eq(e.event.ends_at, e.event.starts_at + 3600000);
    /* The same file again: unchanged. With semicolons too. */
    r = import(x, HEADER QUIZ RACE, false, 0);
    ck_assert_uint_eq(r.unchanged, 2);
    r = import(x, "slug;title;starts\r\nrace;Race;2030-03-14 14:00\r\n", false, 0);
    ck_assert_uint_eq(r.unchanged, 1);
    /* A change names what changes and raises the version. */
    r = import(x, "slug,title,starts,venue\nrace,Great Race,2030-03-14 14:00,Yard\n", true, 0);
    ck_says(row(&r, 0), "changed", "title, venue");
    r = import(x, "slug,title,starts,venue\nrace,Great Race,2030-03-14 14:00,Yard\n", false, 0);
    ck_assert_int_eq(event_read(x->fest.db, USH_T("race"), &x->arena, &e), 0);
    ck_assert_int_eq(e.event.version, 2);
    fixture_close(x);
    return 0;
}

/* The stories are told over each database. */
static void run_over(int database, int (*story)(void *))
{
    if (database == 1)
        fixture_url = pg_url(pg_database());
    fixture_run(story);
}

START_TEST(csv)
{
    run_over(_i, csv_story);
}
END_TEST

static const struct bad_case {
    const char *row, *part;
} bad[] = {
    {"Bad Slug,T,2030-03-14 10:00,,,,,,,", "slug"},
    {"a,,2030-03-14 10:00,,,,,,,", "title"},
    {"a,T,tomorrow,,,,,,,", "not a time"},
    {"a,T,2030-03-31 01:30,,Europe/London,,,,,", "does not exist"},
    {"a,T,2030-10-27 01:30,,Europe/London,,,,,", "happens twice"},
    {"a,T,2030-03-14 10:00,2030-03-14 09:00,,,,,,", "ends before"},
    {"a,T,2030-03-14 10:00,,Mars/Olympus,,,,,", "no zone"},
    {"a,T,2030-03-14 10:00,,,many,,,,", "capacity"},
    {"a,T,2030-03-14 10:00,,,,-3,,,", "waitlist"},
    {"a,T,2030-03-14 10:00,,,,,pair,,", "kind"},
    {"a,T,2030-03-14 10:00,,,,,team,4,3", "team_max"},
    {"a,T,2030-03-14 10:00,,,,,,,3", "Only for kind team"},
};

static int bad_story(void *arg)
{
    struct fixture *x = arg;
    struct event_entry e;
    fixture_open(x);
    for (size_t i = 0; i < USH_COUNT(bad); i++) {
        ush_text file = ush_arena_printf(
            &x->arena,
            "slug,title,starts,ends,tz,capacity,waitlist,kind,team_min,team_max\n%s\n"
            "good,Good,2030-03-14 10:00,,,,,,,\n",
            bad[i].row);
        struct import_result r = import(x, file.at, false, 0);
        ck_says(row(&r, 0), "error", bad[i].part);
        ck_assert(!r.applied);
        /* All or nothing, and the good row is still told what would happen. */
        ck_assert(ush_text_equal(row(&r, 1)->action, USH_T("new")));
        ck_assert_int_eq(row(&r, 0)->line, 2);
        ck_assert_int_eq(event_read(x->fest.db, USH_T("good"), &x->arena, &e), USH_ENOTFOUND);
    }
    import(x, "slug,title\n\"open", false, USH_EINVAL);
    import(x, "slug,title\n\xff\xfe,x\n", false, USH_EINVAL);
    import(x, "", false, USH_EINVAL);
    import(x, "{\"events\": 3}", false, USH_EINVAL);
    import(x, "[{]", false, USH_EINVAL);
    struct import_result r =
        import(x, "[{\"slug\":\"a\",\"title\":\"A\",\"starts\":\"2030-03-14 10:00\",\"color\":1}]",
               false, 0);
    ck_says(row(&r, 0), "error", "color");
    r = import(x,
               "[{\"slug\":\"a\",\"title\":\"A\",\"starts\":\"2030-03-14 10:00\"},"
               "{\"slug\":\"a\",\"title\":\"B\",\"starts\":\"2030-03-14 10:00\"}]",
               false, 0);
    ck_says(row(&r, 1), "error", "same slug");
    r = import(x, "[]", false, 0);
    ck_assert(r.applied);
    fixture_close(x);
    return 0;
}

START_TEST(bad_rows_store_nothing)
{
    run_over(_i, bad_story);
}
END_TEST

/* ---- beside registrations -------------------------------------------------------------------- */

static int64_t enter(struct fixture *x, const char *event, const char *name, const char *email)
{
    struct ush_faults faults;
    struct desk_answer a;
    ush_faults_init(&faults, &x->arena);
    const struct desk_request rq = {.event = ush_text_of(event),
                                    .name = ush_text_of(name),
                                    .email = ush_text_of(email),
                                    .phone = USH_T("+91 98 7654"),
                                    .source = SOURCE_WEB};
    ck_assert_int_eq(desk_submit(&x->fest, &rq, &x->arena, &faults, &a), 0);
    return a.registration;
}

static int later_story(void *arg)
{
    struct fixture *x = arg;
    struct event_entry e;
    fixture_open(x);
    import(x, "slug,title,starts,capacity,waitlist\nrace,Race,2030-03-14 10:00,2,9\n", false, 0);
    for (int i = 0; i < 4; i++)
        enter(x, "race", "A", ush_arena_printf(&x->arena, "s%d@x.in", i).at);
    struct import_result r = import(
        x, "slug,title,starts,capacity,waitlist\nrace,Race,2030-03-14 10:00,1,9\n", false, 0);
    ck_says(row(&r, 0), "error", "below the 2 places taken");
    r = import(x,
               "slug,title,starts,capacity,waitlist,dedupe\nrace,Race,2030-03-14 10:00,2,9,none\n",
               false, 0);
    ck_says(row(&r, 0), "error", "cannot change");
    /* More places by import move the waitlist too. */
    r = import(x, "slug,title,starts,capacity,waitlist\nrace,Race,2030-03-14 10:00,3,9\n", false,
               0);
    ck_assert(r.applied);
    ck_assert_int_eq(event_read(x->fest.db, USH_T("race"), &x->arena, &e), 0);
    ck_assert_int_eq(e.seats.taken, 3);
    ck_assert_int_eq(e.seats.waiting, 1);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

START_TEST(import_beside_registrations)
{
    run_over(_i, later_story);
}
END_TEST

static int sample_story(void *arg)
{
    struct fixture *x = arg;
    struct import_result r;
    struct event_entry e;
    fixture_open(x);
    ck_assert_int_eq(sample_fest(x->fest.db, "Asia/Kolkata", &x->arena, &r), 0);
    ck_assert(r.applied);
    ck_assert_uint_ge(r.fresh, 4);
    ck_assert_int_eq(event_read(x->fest.db, USH_T("robotics-challenge"), &x->arena, &e), 0);
    ck_assert_int_eq(event_state(&e, ush_wall_ms()), EVENT_OPEN);
    ck_assert_int_lt(e.seats.capacity, 20);
    ck_assert_int_eq(event_read(x->fest.db, USH_T("tech-quiz"), &x->arena, &e), 0);
    ck_assert(ush_text_equal(e.event.kind, USH_T("team")));
    ck_assert_int_eq(event_read(x->fest.db, USH_T("drone-workshop"), &x->arena, &e), 0);
    ck_assert_int_eq(event_state(&e, ush_wall_ms()), EVENT_NOT_OPEN);
    ck_assert_int_eq(sample_fest(x->fest.db, "Asia/Kolkata", &x->arena, &r), 0);
    ck_assert_uint_eq(r.rows.count, 0);
    fixture_close(x);
    return 0;
}

START_TEST(sample)
{
    run_over(_i, sample_story);
}
END_TEST

static ush_text save(struct fixture *x, const char *title, int64_t version)
{
    struct ush_faults faults;
    struct import_report report;
    struct event event;
    struct seats seats;
    const struct event_save s = {.row = {.slug = USH_T("race"),
                                         .title = ush_text_of(title),
                                         .starts = USH_T("2030-03-14 10:00")},
                                 .version = version,
                                 .tz = "Asia/Kolkata",
                                 .actor = USH_T("test")};
    ush_faults_init(&faults, &x->arena);
    ck_assert_int_eq(event_save(x->fest.db, &s, &x->arena, &faults, &report, &event, &seats), 0);
    return report.action;
}

/* A form is stored from the version that it was made of; run again it finds what it did. */
static int saving_story(void *arg)
{
    struct fixture *x = arg;
    fixture_open(x);
    ck_assert(ush_text_equal(save(x, "Race", 0), USH_T("new")));
    ck_assert(ush_text_equal(save(x, "Race", 0), USH_T("unchanged")));
    ck_assert(ush_text_equal(save(x, "Another race", 0), USH_T("error")));
    ck_assert(ush_text_equal(save(x, "Robo Race", 1), USH_T("changed")));
    ck_assert(ush_text_equal(save(x, "Robo Race", 1), USH_T("unchanged")));
    ck_assert(ush_text_equal(save(x, "Race of robots", 1), USH_T("error")));
    ck_assert(ush_text_equal(save(x, "Race of robots", 2), USH_T("changed")));
    /* Places that somebody set meanwhile are not what this form says. */
    struct change_result out;
    struct seats_change places = {.slug = USH_T("race"), .capacity = 9, .actor = USH_T("test")};
    USH_SET(&places, seats_change_capacity);
    ck_assert_int_eq(fest_change(&x->fest, &op_seats, &places, &out, &x->arena), 0);
    ck_assert(ush_text_equal(save(x, "Robots", 3), USH_T("error")));
    ck_assert(ush_text_equal(save(x, "Robots", 4), USH_T("changed")));
    fixture_close(x);
    return 0;
}

START_TEST(a_form_run_again_finds_what_it_did)
{
    run_over(_i, saving_story);
}
END_TEST

static int collect(void *ctx, ush_text piece)
{
    ush_buf_add(ctx, piece);
    return 0;
}

static int export_story(void *arg)
{
    struct fixture *x = arg;
    struct ush_buf out;
    char code[SHORT_CODE_CHARS + 1];
    fixture_open(x);
    ush_buf_init(&out, 1 << 20);
    import(x, "slug,title,starts\nrace,Race,2030-03-14 10:00\nrun,Run,2030-03-14 10:00\n", false,
           0);
    int64_t id = enter(x, "race", "=HYPERLINK(\"x\"), Asha", "asha@x.in");
    enter(x, "run", "Bela \xe0\xa4\x86", "bela@x.in");
    struct export_options o = {.format = EXPORT_CSV};
    ck_assert_int_eq(export_registrations(&x->fest, &o, collect, &out), 2);
    short_code_format(&x->fest.keys, id, code);
    ck_assert_int_eq(strncmp(out.at,
                             "\xef\xbb\xbf"
                             "event,seq,code,status,name,",
                             29),
                     0);
    ck_assert_ptr_nonnull(strstr(out.at, "\"'=HYPERLINK(\"\"x\"\"), Asha\""));
    ck_assert_ptr_nonnull(strstr(out.at, code));
    ck_assert_ptr_nonnull(strstr(out.at, "Bela \xe0\xa4\x86"));
    ush_buf_reset(&out);
    o = (struct export_options){.format = EXPORT_JSON, .event = 1};
    ck_assert_int_eq(export_registrations(&x->fest, &o, collect, &out), 1);
    ck_assert_ptr_nonnull(strstr(out.at, "\"name\":\"=HYPERLINK(\\\"x\\\"), Asha\""));
    ck_assert_int_eq(out.at[0], '[');
    ck_assert_str_eq(out.at + out.len - 3, "\n]\n");
    ush_buf_reset(&out);
    o = (struct export_options){.format = EXPORT_JSON, .status = REGISTRATION_CANCELLED};
    ck_assert_int_eq(export_registrations(&x->fest, &o, collect, &out), 0);
    ck_assert_str_eq(out.at, "[\n]\n");
    ush_buf_fini(&out);
    fixture_close(x);
    return 0;
}

START_TEST(exports)
{
    run_over(_i, export_story);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("import");
    TCase *t = tcase_create("files");
    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, local_times, 0, (int)USH_COUNT(times));
    tcase_add_test(t, zones_that_are_none);
    tcase_add_loop_test(t, csv, 0, 2);
    tcase_add_loop_test(t, bad_rows_store_nothing, 0, 2);
    tcase_add_loop_test(t, import_beside_registrations, 0, 2);
    tcase_add_loop_test(t, sample, 0, 2);
    tcase_add_loop_test(t, a_form_run_again_finds_what_it_did, 0, 2);
    tcase_add_loop_test(t, exports, 0, 2);
    pg_make();
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
