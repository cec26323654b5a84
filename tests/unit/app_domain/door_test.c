/*
 * door_test.c - who is let in, and who is forgotten.
 *
 * Of many scans at once exactly one is first; after erasing no row of any table holds a name, an
 * address or a mail.
 */
#include "both.h"
#include "domain/audit.h"
#include "domain/checkin.h"
#include "domain/erase.h"
#include "jobs/jobs.h"

enum { SCANNERS = 50 };

#define IS(t, word) ck_assert_msg(ush_text_equal((t), USH_T(word)), "%.*s", USH_PR(t))

/* ---- the door -------------------------------------------------------------------------------- */

static int64_t enter_with(struct fixture *x, const char *name, const char *email,
                          const struct ush_rows *members)
{
    struct ush_faults faults;
    struct desk_answer a;
    ush_faults_init(&faults, &x->arena);
    const struct desk_request rq = {.event = USH_T("race"),
                                    .team = members ? ush_text_of(email) : USH_NONE,
                                    .members = members ? members->at : NULL,
                                    .member_count = members ? members->count : 0,
                                    .name = ush_text_of(name),
                                    .email = ush_text_of(email),
                                    .school = USH_T("Zanzibar School"),
                                    .phone = USH_T("+91 98765 43210"),
                                    .key = ush_text_of(email),
                                    .source = SOURCE_WEB,
                                    .guardian_ok = true};
    ck_assert_int_eq(desk_submit(&x->fest, &rq, &x->arena, &faults, &a), 0);
    return a.registration;
}

static int64_t enter(struct fixture *x, const char *name, const char *email)
{
    return enter_with(x, name, email, NULL);
}

static void open_race(struct fixture *x)
{
    fixture_open(x);
    fixture_import(x, "[{\"slug\":\"race\",\"title\":\"Race\",\"starts\":\"2031-03-14T10:00:00Z\","
                      "\"opens\":\"2020-01-01T00:00:00Z\",\"capacity\":1,\"waitlist\":5}]");
}

static struct checkin_result scan(struct fixture *x, const char *key, struct checkin in)
{
    struct checkin_result result;
    in.gate = in.gate.at ? in.gate : USH_T("Gate A");
    ck_assert_int_eq(checkin_scan(&x->fest, ush_text_of(key), &in, &result, &x->arena), 0);
    return result;
}

static int door(void *arg)
{
    struct fixture *x = arg;
    struct scan_code code;
    struct ush_rows in_rows, scans;
    char text[TICKET_CHARS + 1];
    open_race(x);
    int64_t asha = enter(x, "Asha", "asha@school.example");
    int64_t ben = enter(x, "Ben", "ben@school.example"); /* waits */
    ticket_format(&x->fest.keys, asha, 1, text);
    ck_assert_int_eq(scan_resolve(&x->fest, ush_text_of(text), &code), 0);
    ck_assert(code.registration == asha && code.ticket_rev == 1);
    text[30] = text[30] == '0' ? '1' : '0';
    ck_assert_int_eq(scan_resolve(&x->fest, ush_text_of(text), &code), USH_ENOTFOUND);
    ck_assert_int_eq(scan_resolve(&x->fest, USH_T("https://evil.example/"), &code), USH_ENOTFOUND);
    char short_code[SHORT_CODE_CHARS + 1];
    short_code_format(&x->fest.keys, asha, short_code);
    ck_assert_int_eq(scan_resolve(&x->fest, ush_text_of(short_code), &code), 0);
    ck_assert(code.registration == asha && code.ticket_rev == 0);

    IS(scan(x, NULL, (struct checkin){.registration = asha, .ticket_rev = 2}).result, "replaced");
    IS(scan(x, NULL, (struct checkin){.registration = asha, .events = USH_T("[7]")}).result,
       "wrong_event");
    IS(scan(x, NULL, (struct checkin){.registration = ben}).result, "waitlisted");
    IS(scan(x, NULL, (struct checkin){.registration = asha + 100}).result, "unknown");
    struct checkin_result first =
        scan(x, "scan-one", (struct checkin){.registration = asha, .position = EVERYBODY});
    IS(first.result, "in");
    ck_assert_int_eq(first.entered, 1);
    struct checkin_result again =
        scan(x, "scan-one", (struct checkin){.registration = asha, .position = EVERYBODY});
    IS(again.result, "in"); /* the same scan, sent again */
    again = scan(x, "scan-two", (struct checkin){.registration = asha, .gate = USH_T("Gate B")});
    IS(again.result, "already");
    ck_assert_int_eq(again.at, first.at);
    IS(again.gate, "Gate A");
    IS(scan(x, NULL, (struct checkin){.registration = asha, .note = USH_T("sister")}).result,
       "anyway");
    IS(scan(x, NULL, (struct checkin){.registration = asha, .undo = 1, .events = USH_T("[7]")})
           .result,
       "wrong_event");
    IS(scan(x, NULL, (struct checkin){.registration = asha}).result, "already");
    IS(scan(x, NULL, (struct checkin){.registration = asha, .undo = 1}).result, "undone");
    IS(scan(x, NULL, (struct checkin){.registration = asha}).result, "in");
    ck_assert_int_eq(attendance_read(&x->fest, asha, &x->arena, &in_rows, &scans), 0);
    ck_assert_int_eq(in_rows.count, 1);
    ck_assert_int_eq(scans.count, 9); /* every scan but the one sent again */
    fixture_close(x);
    return 0;
}

struct scanner {
    struct fixture *x;
    int64_t registration;
    int in;
};

static int scan_once(void *arg)
{
    struct scanner *s = arg;
    struct checkin_result result;
    struct checkin in = {.registration = s->registration, .gate = USH_T("Gate")};
    USH_TRY(checkin_scan(&s->x->fest, USH_NONE, &in, &result, &s->x->arena));
    s->in = ush_text_equal(result.result, USH_T("in")) && result.entered == 1;
    return 0;
}

static int many_scanners(void *arg)
{
    struct fixture *x = arg;
    struct scanner all[SCANNERS];
    int in = 0;
    open_race(x);
    int64_t id = enter(x, "Asha", "asha@school.example");
    for (int i = 0; i < SCANNERS; i++)
        all[i] = (struct scanner){x, id, 0};
    ck_assert_int_eq(ush_gather(SCANNERS, SCANNERS, scan_once, all, sizeof all[0]), 0);
    for (int i = 0; i < SCANNERS; i++)
        in += all[i].in;
    ck_assert_int_eq(in, 1);
    fixture_close(x);
    return 0;
}

/* ---- forgetting ------------------------------------------------------------------------------ */

#define WORD_FIELDS(F, R) F(R, TEXT, word)
USH_RECORD(word, WORD_FIELDS)
USH_RECORD_DEFINE(word, WORD_FIELDS)

/* Every cell that could hold text about a person, of the tables that there are. */
#define CELLS(payload)                                                                             \
    "SELECT coalesce(name,'') || coalesce(email,'') AS word FROM participants UNION ALL "          \
    "SELECT coalesce(school,'') || coalesce(phone,'') || coalesce(team_name,'') "                  \
    "FROM registrations UNION ALL SELECT " payload " || coalesce(note,'') FROM jobs UNION ALL "    \
    "SELECT actor || action || coalesce(detail,'') FROM audit UNION ALL "                          \
    "SELECT coalesce(note,'') FROM scans"

static int look(struct ush_tx *view, void *arg)
{
    static const struct ush_statement all = {"cells", CELLS("CAST(payload AS TEXT)"),
                                             CELLS("encode(payload, 'escape')")};
    struct ush_rows rows;
    const char *needle = arg;
    int found = 0;
    USH_TRY(ush_all(view, &all, &word_record, 1000, &rows, USH_NO_VALUES));
    for (size_t i = 0; i < rows.count; i++) {
        ush_text t = ((struct word *)rows.at)[i].word;
        found += t.len && memmem(t.at, t.len, needle, strlen(needle)) != NULL;
    }
    return found;
}

static int spoil_run(struct ush_tx *tx, const void *in, void *out)
{
#define SENT(payload)                                                                              \
    "UPDATE jobs SET payload = " payload ", note = 'Asha', state = 1, owner = 5, lease_until = 9"
    static const struct ush_statement sent = {
        "sent", SENT("CAST('To: asha@school.example' AS BLOB)"),
        SENT("convert_to('To: asha@school.example', 'UTF8')")};
    (void)in;
    (void)out;
    return ush_exec(tx, &sent, USH_NO_VALUES);
}
static const struct ush_operation op_spoil = {
    .name = "spoil", .in = &word_record, .run = spoil_run};

static int forgetting(void *arg)
{
    struct fixture *x = arg;
    struct change_result result;
    static const char *const words[] = {"Asha", "asha@", "Zanzibar", "98765"};
    open_race(x);
    int64_t asha = enter(x, "Asha", "Asha@B\u00dcCHER.example");
    scan(x, NULL, (struct checkin){.registration = asha, .note = USH_T("Asha has a cold")});
    ck_assert_int_gt(ush_change(x->fest.db, &op_spoil, &(struct word){0}, NULL, &x->arena), 0);
    for (size_t i = 0; i < USH_COUNT(words); i++)
        ck_assert_int_gt(ush_read(x->fest.db, look, (void *)(uintptr_t)words[i]), 0);
    ck_assert_int_eq(
        person_erase(&x->fest, USH_T(" ASHA@xn--bcher-kva.example"), USH_T("test"), &x->arena), 1);
    for (size_t i = 0; i < USH_COUNT(words); i++)
        ck_assert_msg(ush_read(x->fest.db, look, (void *)(uintptr_t)words[i]) == 0, "%s is there",
                      words[i]);
    ck_assert_str_eq(fixture_verify(x), "");
    const struct erase in = {.registration = asha, .actor = USH_T("test")};
    ck_assert_int_eq(registration_erase(&x->fest, &in, &result, &x->arena), 0);
    ck_assert_int_eq(result.outcome, CHANGE_NOTHING);
    fixture_close(x);
    return 0;
}

static int erasing_moves_the_waitlist(void *arg)
{
    struct fixture *x = arg;
    struct change_result result;
    struct registration_view v;
    int64_t due;
    open_race(x);
    int64_t asha = enter(x, "Asha", "asha@school.example");
    int64_t ben = enter(x, "Ben", "ben@school.example");
    const struct erase in = {.registration = asha, .position = EVERYBODY, .actor = USH_T("test")};
    ck_assert_int_eq(registration_erase(&x->fest, &in, &result, &x->arena), 0);
    ck_assert_int_eq(result.promoted, 1);
    ck_assert_int_eq(registration_read(x->fest.db, ben, &x->arena, &v), 0);
    ck_assert_int_eq(v.registration.status, REGISTRATION_CONFIRMED);
    /* Retention counts from the end of the event, which is to come. */
    ck_assert_int_eq(erase_due(&x->fest, 90, &due), 0);
    ck_assert_int_eq(due, 0);
    ck_assert_int_eq(erase_due(&x->fest, -20000, &due), 0);
    ck_assert_int_eq(due, 1);
    ck_assert_int_eq(erase_overdue(&x->fest, -20000, USH_T("test"), &x->arena), 1);
    ck_assert_int_eq(erase_due(&x->fest, -20000, &due), 0);
    ck_assert_int_eq(due, 0);
    fixture_close(x);
    return 0;
}

/* Takes the one mail there is and freezes `bytes` in it; unless `stays`, it failed and waits. */
static void try_mail(struct fixture *x, const char *bytes, bool stays)
{
    struct ush__jobs_claimed claimed;
    const struct ush__jobs_claim in = {
        .owner = 1, .lanes = USH_T("mail"), .limit = 1, .limit_rest = 1};
    ck_assert_int_eq(ush_change(x->fest.db, &ush_op_jobs_claim, &in, &claimed, &x->arena), 1);
    const struct ush__job_row *row = claimed.rows.at;
    struct ush__job_mark mark = {
        .id = row->id, .claim = row->claim, .mark = 1, .payload = ush_text_of(bytes)};
    USH_SET(&mark, ush__job_mark_payload);
    ck_assert_int_eq(ush__jobs_change(x->fest.db, &ush_op_job_mark, &mark), 1);
    const struct ush__job_end end = {
        .id = row->id, .claim = row->claim, .state = USH_JOB_READY, .failed = 1};
    if (!stays)
        ck_assert_int_eq(ush__jobs_change(x->fest.db, &ush_op_job_end, &end), 1);
}

/* How many mails about a registration are still to be sent. */
static int to_be_sent(struct fixture *x, int64_t registration)
{
    struct ush_rows rows;
    int n = 0;
    ck_assert_int_eq(registration_mails(&x->fest, registration, &x->arena, &rows), 0);
    for (size_t i = 0; i < rows.count; i++)
        n += ((struct mail_job_row *)rows.at)[i].state == USH_JOB_READY;
    return n;
}

static enum attempt { NOT_TRIED, FAILED, UNDER_WAY } attempt; /* of the mail, in this story */

static void correct(struct fixture *x, int64_t id, struct desk_request form)
{
    struct ush_faults faults;
    struct change_result out;
    const struct edit_request rq = {
        .registration = id, .form = form, .by_organiser = true, .actor = USH_T("test")};
    ush_faults_init(&faults, &x->arena);
    ck_assert_int_eq(registration_edit(&x->fest, &rq, &x->arena, &faults, &out), 0);
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
}

static int mail_follows_a_correction(void *arg)
{
    struct fixture *x = arg;
    open_race(x);
    int64_t asha = enter(x, "Asha", "old@school.example");
    try_mail(x, "old@school.example\nTo: old@school.example", attempt == UNDER_WAY);
    correct(x, asha, (struct desk_request){.name = USH_T("Asha"), .email = USH_T("new@x.example")});
    ck_assert_int_eq(ush_read(x->fest.db, look, (void *)(uintptr_t) "old@"), 0);
    ck_assert_int_eq(to_be_sent(x, asha), 2);
    fixture_close(x);
    return 0;
}

static int64_t enter_team(struct fixture *x)
{
    struct desk_person ravi = {.name = USH_T("Ravi"), .email = USH_T("ravi@school.example")};
    fixture_open(x);
    fixture_import(x, "[{\"slug\":\"race\",\"title\":\"Race\",\"kind\":\"team\","
                      "\"team_min\":1,\"team_max\":2,\"starts\":\"2031-03-14T10:00:00Z\"}]");
    return enter_with(x, "Asha", "asha@school.example", &(struct ush_rows){&ravi, 1});
}

/* The lead still gets the ticket, without the member's name. */
static int forgetting_a_member(void *arg)
{
    struct fixture *x = arg;
    struct change_result result;
    int64_t id = enter_team(x);
    if (attempt)
        try_mail(x, "asha@school.example\nWho: Asha, Ravi", attempt == UNDER_WAY);
    const struct erase in = {.registration = id, .position = 1, .actor = USH_T("test")};
    ck_assert_int_eq(registration_erase(&x->fest, &in, &result, &x->arena), 0);
    ck_assert_int_eq(ush_read(x->fest.db, look, (void *)(uintptr_t) "Ravi"), 0);
    ck_assert_int_eq(to_be_sent(x, id), 1);
    fixture_close(x);
    return 0;
}

/* ---- who has come in, when the team is corrected --------------------------------------------- */

static const struct team_case {
    const char *before, *in, *after, *in_after; /* "name/address, name": all but the lead */
} team_cases[] = {
    {"Ravi/r@x.in, Mia/m@x.in, Noor/n@x.in", "Mia", "Mia/m@x.in, Noor/n@x.in", "Mia"},
    {"Ravi, Mia, Noor", "Ravi, Mia", "Mia, Noor", "Mia"},
    {"Ravi, Mia, Noor", "Noor", "Noor", "Noor"},
    {"Ravi, Mia", "Ravi", "Mia, Ravi", "Ravi"},
    {"Ravi", "Ravi", "", ""},
    /* Corrected, also while somebody leaves. */
    {"Ravi, Mia", "Ravi", "Ravee, Mia", "Ravee"},
    {"Ravi/r@x.in, Mia/m@x.in", "Mia", "Mia/mia@x.in", "Mia"},
    {"Ravi/r@x.in, Mia/m@x.in", "Mia", "Mya/M@x.in", "Mya"},
    {"Ravi, Mia", "Mia", "Ravi/r@x.in, Mia/m@x.in", "Mia"},
    /* Two of one family. */
    {"Ravi/f@x.in, Mia/f@x.in", "Mia", "Mia/f@x.in", "Mia"},
    /* Somebody else takes the position. */
    {"Ravi/r@x.in, Mia/m@x.in", "Ravi, Mia", "Noor/n@x.in, Mia/m@x.in", "Mia"},
    {"Ravi, Mia", "Ravi, Mia", "Mia, Noor", "Mia"},
};

static struct ush_rows team_of(struct fixture *x, const char *list)
{
    struct desk_person *people = USH_NEW_N(&x->arena, struct desk_person, 4);
    size_t n = 0;
    for (ush_text rest = ush_text_of(list); rest.len; n++) {
        ush_text email = ush_text_trim(ush_text_cut(&rest, ','));
        people[n].name = ush_text_cut(&email, '/');
        people[n].email = email;
    }
    return (struct ush_rows){people, n};
}

/* Whether the member is among them; the lead always is. */
static bool is_in(const struct ush_rows *team, size_t position, const struct ush_rows *in)
{
    const struct desk_person *of = team->at, *at = in->at;
    for (size_t i = 0; i < in->count && position > 0; i++)
        if (ush_text_equal(of[position - 1].name, at[i].name))
            return true;
    return position == 0;
}

static void correct_a_team(struct fixture *x, const struct team_case *c, const char *email)
{
    struct ush_rows before = team_of(x, c->before), after = team_of(x, c->after);
    struct ush_rows in = team_of(x, c->in), in_after = team_of(x, c->in_after), rows, scans;
    struct checkin_result entered = {0};
    int64_t id = enter_with(x, "Asha", email, &before);
    size_t n = 0;
    for (size_t i = 0; i <= before.count; i++)
        if (is_in(&before, i, &in))
            entered = scan(x, NULL, (struct checkin){.registration = id, .position = (int64_t)i});
    correct(x, id,
            (struct desk_request){.name = USH_T("Asha"),
                                  .email = ush_text_of(email),
                                  .team = ush_text_of(email),
                                  .members = after.at,
                                  .member_count = after.count});
    ck_assert_int_eq(attendance_read(&x->fest, id, &x->arena, &rows, &scans), 0);
    const struct attendance *a = rows.at;
    for (size_t i = 0; i <= after.count; i++) {
        if (!is_in(&after, i, &in_after))
            continue;
        ck_assert_msg(n < rows.count && a[n].position == (int64_t)i, "%s -> %s: %zu is not in",
                      c->before, c->after, i);
        IS(a[n].gate, "Gate A");
        ck_assert_int_le(a[n++].at, entered.at);
    }
    ck_assert_msg(rows.count == n, "%s -> %s: %zu are in", c->before, c->after, rows.count);
}

static int a_team_is_corrected(void *arg)
{
    struct fixture *x = arg;
    fixture_open(x);
    fixture_import(x, "[{\"slug\":\"race\",\"title\":\"Race\",\"kind\":\"team\",\"team_min\":1,"
                      "\"team_max\":4,\"dedupe\":\"none\",\"starts\":\"2031-03-14T10:00:00Z\"}]");
    for (size_t i = 0; i < USH_COUNT(team_cases); i++)
        correct_a_team(x, &team_cases[i], ush_arena_printf(&x->arena, "lead-%zu@x.in", i).at);
    fixture_close(x);
    return 0;
}

/* Who takes the place of a member that left has not come in. */
static int a_member_is_replaced(void *arg)
{
    struct fixture *x = arg;
    const struct desk_person mia = {.name = USH_T("Mia")};
    struct desk_request form = {.name = USH_T("Asha"),
                                .email = USH_T("asha@school.example"),
                                .team = USH_T("Sparks"),
                                .members = &mia};
    int64_t id = enter_team(x);
    ck_assert_int_eq(
        scan(x, NULL, (struct checkin){.registration = id, .position = EVERYBODY}).entered, 2);
    for (; form.member_count < 2; form.member_count++)
        correct(x, id, form);
    IS(scan(x, NULL, (struct checkin){.registration = id, .position = 1}).result, "in");
    fixture_close(x);
    return 0;
}

struct late_scan {
    struct fixture *x;
    int64_t registration;
    struct checkin_result result;
    bool is_over;
};

static int scan_late(void *arg)
{
    struct late_scan *s = arg;
    s->result = scan(s->x, NULL, (struct checkin){.registration = s->registration});
    s->is_over = true;
    return 0;
}

/* A ticket that is being cancelled lets nobody in. */
static int a_scan_waits_for_a_change(void *arg)
{
    struct fixture *x = arg;
    struct ush_scope scope;
    open_race(x);
    struct late_scan s = {x, enter(x, "Asha", "asha@school.example")};
    if (strncmp(fixture_url, "postgresql:", 11) == 0) {
        PGconn *other = PQconnectdb(fixture_url);
        ck_assert(other_does(other, "BEGIN"));
        ck_assert(other_does(other, "UPDATE registrations SET status = 3"));
        ush_scope_open(&scope, NULL);
        ck_assert_int_eq(ush_spawn(&scope, scan_late, &s), 0);
        while (!s.is_over && !other_does(other, "SELECT 1 FROM pg_locks WHERE NOT granted"))
            ck_assert_int_eq(ush_sleep(USH_MS), 0);
        ck_assert(other_does(other, "COMMIT"));
        PQfinish(other);
        ck_assert_int_eq(ush_scope_close(&scope), 0);
        IS(s.result.result, "cancelled");
    }
    fixture_close(x);
    return 0;
}

/* Its answer was lost and it was run again: the same answer, and one line about it. */
static int erasing_is_run_again(void *arg)
{
    struct fixture *x = arg;
    struct change_result out;
    struct ush_rows rows;
    int64_t id = enter_team(x);
    struct erase in = {.registration = id, .position = 1, .actor = USH_T("test")};
    for (in.once = 1; in.once <= 2; in.once++) {
        for (int tries = 0; tries < 3; tries++) {
            ck_assert_int_eq(ush_change(x->fest.db, &op_erase, &in, &out, &x->arena), 0);
            ck_assert_int_eq(out.outcome, CHANGE_DONE);
        }
        in.position = EVERYBODY;
    }
    const struct audit_filter filter = {.registration = id};
    ck_assert_int_eq(audit_read(&x->fest, &filter, &x->arena, &rows), 0);
    ck_assert_int_eq(rows.count, 2);
    IS(((struct audit_row *)rows.at)[0].detail, "");
    IS(((struct audit_row *)rows.at)[1].detail, "a member");
    fixture_close(x);
    return 0;
}

struct erasing {
    struct fixture *x;
    int64_t registration;
};

static int erase_it(void *arg)
{
    struct erasing *e = arg;
    struct change_result result;
    const struct erase in = {
        .registration = e->registration, .position = EVERYBODY, .actor = USH_T("test")};
    return registration_erase(&e->x->fest, &in, &result, &e->x->arena);
}

/* Whoever locks several jobs does so in ascending id, whatever moved them about in the table. */
static int erasing_waits_in_order(void *arg)
{
    struct fixture *x = arg;
    struct ush_scope scope;
    struct change_result result;
    open_race(x);
    struct erasing e = {x, enter(x, "Asha", "asha@school.example")};
    if (strncmp(fixture_url, "postgresql:", 11) == 0) {
        struct resend again = {.registration = e.registration, .actor = USH_T("test")};
        ck_assert_int_eq(registration_resend(&x->fest, &again, &x->arena, &result), 0);
        PGconn *other = PQconnectdb(fixture_url);
        /* The first job lies behind the second now, also in the index. */
        ck_assert(other_does(other, "UPDATE jobs SET state = 3, claim = 1 WHERE id = 1"));
        ck_assert(other_does(other, "BEGIN"));
        ck_assert(other_does(other, "SELECT 1 FROM jobs WHERE id = 1 FOR UPDATE"));
        ush_scope_open(&scope, NULL);
        ck_assert_int_eq(ush_spawn(&scope, erase_it, &e), 0);
        while (!other_does(other, "SELECT 1 FROM pg_locks WHERE NOT granted"))
            ck_assert_int_eq(ush_sleep(USH_MS), 0);
        ck_assert(other_does(other, "SELECT 1 FROM jobs WHERE id = 2 FOR UPDATE NOWAIT"));
        ck_assert(other_does(other, "COMMIT"));
        PQfinish(other);
        ck_assert_int_eq(ush_scope_close(&scope), 0);
    }
    ck_assert_int_eq(erase_it(&e), 0);
    fixture_close(x);
    return 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

static const struct story {
    const char *name;
    int (*body)(void *);
    enum attempt attempt;
} stories[] = {
    {"the door", door},
    {"many scanners", many_scanners},
    {"forgetting", forgetting},
    {"a team is corrected", a_team_is_corrected},
    {"a member is replaced", a_member_is_replaced},
    {"a scan waits for a change", a_scan_waits_for_a_change},
    {"a correction, a mail that failed", mail_follows_a_correction, FAILED},
    {"a correction, a mail under way", mail_follows_a_correction, UNDER_WAY},
    {"forgetting a member, no mail yet", forgetting_a_member, NOT_TRIED},
    {"forgetting a member, a mail under way", forgetting_a_member, UNDER_WAY},
    {"erasing is run again", erasing_is_run_again},
    {"erasing moves the waitlist", erasing_moves_the_waitlist},
    {"erasing waits in order", erasing_waits_in_order},
};

START_TEST(story)
{
    fixture_on(_i % DATABASES);
    attempt = stories[_i / DATABASES].attempt;
    fixture_run(stories[_i / DATABASES].body);
}
END_TEST

int main(void)
{
    fixture_operates(&op_spoil);
    Suite *suite = suite_create("door");
    TCase *t = tcase_create("stories");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, story, 0, (int)USH_COUNT(stories) * DATABASES);
    return stories_main(suite);
}
