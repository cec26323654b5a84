/*
 * verify_test.c - each check finds the fault it is for: a healthy fest is spoilt by one statement
 * at a time, with the second locks of the database taken off first where they would forbid it.
 */
#include "both.h"

static const struct planted {
    const char *check; /* that must be among the findings; NULL: there is none */
    const char *sql;
    const char *then; /* also */
} faults[] = {
    {"taken", "UPDATE event_seats SET taken = 1"},
    {"waiting", "UPDATE event_seats SET waiting = 0"},
    {"overbooked", "UPDATE event_seats SET capacity = 1, taken = 1"},
    {"sequence", "UPDATE event_seats SET next_seq = 9"},
    {"sequence", "DELETE FROM registrations WHERE id = 4294967297"},
    {"overtaken", "UPDATE registrations SET status = 2 WHERE id = 4294967297"},
    {"idle_place", "UPDATE event_seats SET capacity = 5"},
    {"school", "UPDATE event_school_seats SET taken = 9"},
    {"lead", "DELETE FROM participants WHERE registration_id = 4294967297"},
    {"orphan", "INSERT INTO participants (registration_id, position, name) VALUES (77, 0, 'x')"},
    {"event", "UPDATE registrations SET id = 9 * 4294967296 + 1 WHERE id = 4294967297"},
    {"dead_key", "UPDATE registrations SET status = 3 WHERE id = 4294967297"},
    {"mail", "DELETE FROM jobs WHERE subject = 4294967297"},
    {"mail", "INSERT INTO jobs (kind, lane, subject, payload, due_at, created_at) "
             "SELECT 'ticket', 'mail', 4294967297, payload, 0, 0 FROM jobs LIMIT 1"},
    {"mail", "DELETE FROM jobs WHERE subject = 4294967297",
     "UPDATE registrations SET created_at = created_at - 2505600000"}, /* 29 days */
    {NULL, "DELETE FROM jobs WHERE subject = 4294967297",
     "UPDATE registrations SET created_at = created_at - 2678400000"}, /* 31 */
    {"mail_orphan", "INSERT INTO jobs (kind, lane, subject, payload, due_at, created_at) "
                    "SELECT 'resend', 'mail', 77, payload, 0, 0 FROM jobs LIMIT 1"},
    {"duplicate", "UPDATE participants SET dedupe_key = "
                  "(SELECT request_key FROM registrations WHERE id = 4294967297)"},
};

#define SPOIL_FIELDS(F, R)                                                                         \
    F(R, TEXT, sql, .max = 500)                                                                    \
    F(R, I64, which)
USH_RECORD(spoil, SPOIL_FIELDS)
USH_RECORD_DEFINE(spoil, SPOIL_FIELDS)

static struct ush_statement planted[USH_COUNT(faults)][2];

static int run_spoil(struct ush_tx *tx, const void *in, void *out)
{
    static const struct ush_statement unlock = {"unlock", "DROP INDEX participants_dedupe_key",
                                                NULL};
    const struct spoil *s = in;
    (void)out;
    USH_TRY(ush_exec(tx, &unlock, USH_NO_VALUES));
    if (planted[s->which][1].text)
        USH_TRY(ush_exec(tx, &planted[s->which][1], USH_NO_VALUES));
    return ush_exec(tx, &planted[s->which][0], USH_NO_VALUES);
}
static const struct ush_operation op_spoil = {
    .name = "spoil", .in = &spoil_record, .run = run_spoil};

static int which;

static void enter(struct fixture *x, int i)
{
    struct ush_faults f;
    struct desk_answer a;
    ush_faults_init(&f, &x->arena);
    const struct desk_request rq = {.event = USH_T("robots"),
                                    .name = USH_T("A"),
                                    .school = USH_T("School"),
                                    .email = ush_arena_printf(&x->arena, "s%d@x.in", i),
                                    .source = SOURCE_WEB};
    ck_assert_int_eq(desk_submit(&x->fest, &rq, &x->arena, &f, &a), 0);
}

static int story(void *arg)
{
    struct fixture *x = arg;
    struct verify_result v;
    const struct spoil in = {.sql = USH_T("x"), .which = which};
    const char *check = faults[which].check;
    bool found = !check;
    fixture_open(x);
    fixture_import(x, "[{\"slug\":\"robots\",\"title\":\"R\",\"starts\":\"2030-03-14 10:00\","
                      "\"capacity\":2,\"waitlist\":\"5\",\"school_limit\":9}]");
    for (int i = 0; i < 3; i++)
        enter(x, i);
    ck_assert_str_eq(fixture_verify(x), "");
    ck_assert_int_gt(ush_change(x->fest.db, &op_spoil, &in, NULL, &x->arena), 0);
    ck_assert_int_eq(verify_all(x->fest.db, NULL, &x->arena, &v), 0);
    for (size_t i = 0; i < v.findings.count; i++)
        found = check ? found || ush_text_equal(((struct finding *)v.findings.at)[i].check,
                                                ush_text_of(check))
                      : false;
    ck_assert_msg(found, "%s: %s", check ? check : "nothing", fixture_verify(x));
    fixture_close(x);
    return 0;
}

START_TEST(a_planted_fault_is_found)
{
    which = _i / DATABASES;
    fixture_on(_i % DATABASES);
    fixture_run(story);
}
END_TEST

int main(void)
{
    fixture_operates(&op_spoil);
    for (size_t i = 0; i < USH_COUNT(faults); i++)
        for (int k = 0; k < 2; k++)
            planted[i][k] =
                (struct ush_statement){"planted", k ? faults[i].then : faults[i].sql, NULL};
    Suite *suite = suite_create("verify");
    TCase *t = tcase_create("planted faults");
    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, a_planted_fault_is_found, 0, (int)USH_COUNT(faults) * DATABASES);
    return stories_main(suite);
}
