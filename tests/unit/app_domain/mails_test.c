/*
 * mails_test.c - a mail as bytes, a calendar file, and the job that writes it.
 *
 * What must hold for every message is checked as properties over awkward input; what a field must
 * look like is a table.
 */
#include "both.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/announce.h"
#include "domain/ics.h"
#include "domain/mails.h"
#include "domain/mime.h"
#include "jobs/jobs.h"

/* ---- headers --------------------------------------------------------------------------------- */

static const struct header_case {
    const char *value, *expected; /* NULL = refused */
} headers[] = {
    {"Your place", "Subject: Your place\r\n"},
    {"a\r\nBcc: everybody@x.in", NULL},
    {"a\nb", NULL},
    {"a\rb", NULL},
    {"\xff\xfe", NULL},
    {"Robo Race \xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4\xa4\xe0\xa5\x87",
     "Subject: =?utf-8?B?Um9ibyBSYWNlIOCkqOCkruCkuOCljeCkpOClhw==?=\r\n"},
    {"=?utf-8?B?aGk=?=", "Subject: =?utf-8?B?PT91dGYtOD9CP2FHaz0/PQ==?=\r\n"},
    {"Your place: a title that is long enough to need a second line in the header of this mail",
     "Subject: Your place: a title that is long enough to need a second line in\r\n"
     " the header of this mail\r\n"},
    /* There is no space before the word at which the line could be folded. */
    {"Awordxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
     "Subject: =?utf-8?B?QXdvcmR4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4?=\r\n"
     " =?utf-8?B?eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eA==?=\r\n"},
};

START_TEST(header_fields)
{
    const struct header_case *c = &headers[_i];
    struct ush_buf out;
    ush_buf_init(&out, 4096);
    int rc = mime_header(&out, "Subject", ush_text_of(c->value));
    ck_assert_int_eq(rc, c->expected ? 0 : USH_EINVAL);
    if (c->expected)
        ck_assert_str_eq(out.at, c->expected);
    ush_buf_fini(&out);
}
END_TEST

START_TEST(a_nul_in_a_header_is_refused)
{
    struct ush_buf out;
    ush_buf_init(&out, 4096);
    ck_assert_int_eq(mime_header(&out, "Subject", USH_T("a\0b")), USH_EINVAL);
    ush_buf_fini(&out);
}
END_TEST

START_TEST(quoted_printable)
{
    static const char *const cases[][2] = {
        {"plain\n", "plain\r\n"},
        {"no end", "no end\r\n"},
        {"a = b\n", "a =3D b\r\n"},
        {"trailing \nblank\t\n", "trailing=20\r\nblank=09\r\n"},
        {"\xe2\x82\xb9"
         "50\n",
         "=E2=82=B950\r\n"},
        {"a\rb\n", "a=0Db\r\n"},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        struct ush_buf out;
        ush_buf_init(&out, 4096);
        mime_quoted(&out, ush_text_of(cases[i][0]));
        ck_assert_str_eq(out.at, cases[i][1]);
        ush_buf_fini(&out);
    }
}
END_TEST

/* ---- messages -------------------------------------------------------------------------------- */

/* RFC 5322: CRLF line ends only, no line over 76, nothing beyond ASCII. */
static void check_lines(ush_text message)
{
    size_t column = 0;
    for (size_t i = 0; i < message.len; i++) {
        unsigned char c = (unsigned char)message.at[i];
        ck_assert_uint_lt(c, 0x7f);
        ck_assert_msg(c != '\n' || (i > 0 && message.at[i - 1] == '\r'), "a bare LF at %zu", i);
        ck_assert_msg(c != '\r' || (i + 1 < message.len && message.at[i + 1] == '\n'),
                      "a bare CR at %zu", i);
        column = c == '\n' ? 0 : column + 1;
        ck_assert_msg(column <= 77, "a line of more than 76 at %zu", i);
    }
    ck_assert_uint_eq(column, 0);
}

static struct mime_mail sample_mail(void)
{
    return (struct mime_mail){
        .from_name = USH_T("Tech \"Fest\", 2026: @home"),
        .from = USH_T("usher@fest.example.edu"),
        .to = USH_T("asha@school.example"),
        .reply_to = USH_T("desk@fest.example.edu"),
        .subject = USH_T("Your place: \xe0\xa4\xb0\xe0\xa5\x8b\xe0\xa4\xac\xe0\xa5\x8b"),
        .message_id = USH_T("ticket.0000000000001@fest.example.edu"),
        .date_ms = 1773405000000,
        .language = USH_T("en"),
        .text = USH_T("Hello\n.\n.dots stay\nFrom here\n"),
        .html = USH_T("<p>Hello <img src=\"cid:qr\"></p>\n"),
        .qr_png = USH_T("\x89PNG not really, but bytes\xff\x00\x01"),
        .calendar = USH_T("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"),
    };
}

START_TEST(a_message_is_well_formed)
{
    struct mime_mail m = sample_mail();
    struct ush_buf a, b;
    ush_buf_init(&a, 1 << 20);
    ush_buf_init(&b, 1 << 20);
    ck_assert_int_eq(mime_write(&m, &a), 0);
    ck_assert_int_eq(mime_write(&m, &b), 0);
    ck_assert(ush_text_equal(ush_buf_text(&a), ush_buf_text(&b)));
    check_lines(ush_buf_text(&a));
    ck_assert_ptr_nonnull(
        strstr(a.at, "From: Tech Fest 2026 home\r\n <usher@fest.example.edu>\r\n"));
    ck_assert_ptr_nonnull(strstr(a.at, "Date: Fri, 13 Mar 2026 12:30:00 +0000\r\n"));
    ck_assert_ptr_nonnull(strstr(a.at, "Message-ID: <ticket.0000000000001@fest.example.edu>\r\n"));
    ck_assert_ptr_nonnull(strstr(a.at, "Auto-Submitted: auto-generated\r\n"));
    ck_assert_ptr_nonnull(strstr(a.at, "Content-ID: <qr>\r\n"));
    ck_assert_ptr_nonnull(strstr(a.at, "method=PUBLISH\r\n"));
    ck_assert_ptr_null(strstr(a.at, "Bcc"));
    /* Every boundary is opened once and closed once. */
    size_t closed = 0, declared = 0;
    for (const char *at = a.at; (at = strstr(at, "boundary=\"")); at++, declared++) {
        char line[64];
        ck_assert_int_eq(sscanf(at, "boundary=\"%50[^\"]\"", line), 1);
        char end[80];
        snprintf(end, sizeof end, "\r\n--%s--\r\n", line);
        closed += strstr(a.at, end) != NULL;
    }
    ck_assert_uint_eq(declared, 3);
    ck_assert_uint_eq(closed, 3);
    ush_buf_fini(&a);
    ush_buf_fini(&b);
}
END_TEST

START_TEST(injection_is_refused_everywhere)
{
    const ush_text evil[] = {USH_T("a@x.in\r\nBcc: b@x.in"),
                             USH_T("a@x.in, b@x.in"),
                             USH_T("<a@x.in>"),
                             USH_T("a@x.in\0"),
                             USH_T("a b@x.in"),
                             USH_T("")};
    struct ush_buf out;
    ush_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < USH_COUNT(evil); i++) {
        struct mime_mail m = sample_mail();
        ush_text *const fields[] = {&m.from, &m.to, &m.message_id, &m.language};
        for (size_t f = 0; f < USH_COUNT(fields); f++) {
            ush_text good = *fields[f];
            *fields[f] = evil[i];
            ck_assert_int_eq(mime_write(&m, &out), USH_EINVAL);
            *fields[f] = good;
        }
        m.from_name = USH_T("a\r\nBcc: b@x.in");
        ck_assert_int_eq(mime_write(&m, &out), USH_EINVAL);
        ush_buf_reset(&out);
    }
    ush_buf_fini(&out);
}
END_TEST

START_TEST(calendar)
{
    struct event e = {
        .title =
            USH_T("Quiz, part 1; the \\ \xe0\xa4\xa8\xe0\xa4\xae\xe0\xa4\xb8\xe0\xa5\x8d\xe0\xa4"
                  "\xa4\xe0\xa5\x87 with a title that goes on until the line must be folded"),
        .venue = USH_T("Hall"),
        .summary = USH_T("line one\nline two\r\nX-EVIL:1"),
        .starts_at = 1773405000000,
        .ends_at = 1773408600000,
        .version = 3,
    };
    struct ush_buf out;
    ush_buf_init(&out, 8192);
    ics_write(&e, &(struct ics_entry){.uid = USH_T("ID@fest"), .stamp_ms = 1773405000000}, &out);
    ck_assert_int_eq(out.error, 0);
    ck_assert_ptr_nonnull(strstr(out.at, "METHOD:PUBLISH\r\n"));
    ck_assert_ptr_nonnull(strstr(out.at, "DTSTART:20260313T123000Z\r\n"));
    ck_assert_ptr_nonnull(strstr(out.at, "SUMMARY:Quiz\\, part 1\\; the \\\\ "));
    ck_assert_ptr_nonnull(strstr(out.at, "DESCRIPTION:line one\\nline two\\nX-EVIL:1\r\n"));
    ck_assert_ptr_nonnull(strstr(out.at, "SEQUENCE:2\r\nSTATUS:CONFIRMED\r\n"));
    ush_text rest = ush_buf_text(&out);
    while (rest.len) {
        ush_text line = ush_text_cut(&rest, '\n');
        ck_assert_uint_le(line.len, 76); /* 75 and the CR */
        ck_assert(ush_utf8_valid(line)); /* never cut inside a character */
        ck_assert_int_eq(line.at[line.len - 1], '\r');
    }
    ush_buf_reset(&out);
    ics_write(&e, &(struct ics_entry){.uid = USH_T("ID@fest"), .cancelled = true}, &out);
    ck_assert_ptr_nonnull(strstr(out.at, "SEQUENCE:3\r\nSTATUS:CANCELLED\r\n"));
    ush_buf_fini(&out);
}
END_TEST

/* ---- the job --------------------------------------------------------------------------------- */

struct box {
    char folder[64];
    size_t count;
    ush_text last; /* arena */
    char last_name[300];
};

static void look_into(struct box *b, struct ush_arena *arena)
{
    DIR *d = opendir(b->folder);
    struct dirent *e;
    b->count = 0;
    ck_assert_ptr_nonnull(d);
    while ((e = readdir(d))) {
        char path[512];
        if (e->d_name[0] == '.')
            continue;
        b->count++;
        snprintf(path, sizeof path, "%s/%s", b->folder, e->d_name);
        snprintf(b->last_name, sizeof b->last_name, "%s", e->d_name);
        FILE *f = fopen(path, "r");
        char *text = ush_arena_alloc(arena, 256 << 10);
        b->last = (ush_text){text, fread(text, 1, 255 << 10, f)};
        fclose(f);
    }
    closedir(d);
}

static void empty(struct box *b)
{
    DIR *d = opendir(b->folder);
    struct dirent *e;
    while ((e = readdir(d))) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", b->folder, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
}

struct drain {
    struct ush_jobs *jobs;
    struct mailer *mailer;
    struct fest *fest;
};

static int work(void *arg)
{
    struct drain *d = arg;
    static const char *const lanes[] = {MAIL_LANE, BULK_LANE, NULL};
    return ush_jobs_run(&(struct ush_jobs_options){.db = d->fest->db,
                                                   .kinds = d->mailer->kinds,
                                                   .kind_count = MAIL_KINDS,
                                                   .lanes = lanes,
                                                   .wake_fd = -1,
                                                   .owner = ush_job_owner()},
                        &d->jobs);
}

#define BUSY_FIELDS(F, R) F(R, I64, number)
USH_RECORD(busy, BUSY_FIELDS)
USH_RECORD_DEFINE(busy, BUSY_FIELDS)

static int count_busy(struct ush_tx *view, void *arg)
{
    static const struct ush_statement s = {
        "busy",
        "SELECT count(*) AS number FROM jobs WHERE state = 1 OR (state = 0 AND due_at <= $1)",
        NULL};
    struct busy row = {0};
    int rc = ush_one(view, &s, &busy_record, &row, USH_VALUES(view->now_ms + 1000));
    *(int64_t *)arg = row.number;
    return rc;
}

/* Runs all jobs that are due and waits until none is. */
static void run_jobs(struct fixture *x, struct mailer *m)
{
    struct drain d = {.mailer = m, .fest = &x->fest};
    struct ush_scope scope;
    int64_t busy = 0;
    ush_scope_open(&scope, NULL);
    ck_assert_int_eq(ush_spawn(&scope, work, &d), 0);
    int64_t until = ush_now_ns() + allow(20000) * USH_MS;
    do {
        ck_assert(ush_sleep(5 * USH_MS) == 0 && ush_now_ns() < until);
        ck_assert_int_ge(ush_read(x->fest.db, count_busy, &busy), 0);
    } while (busy > 0);
    ush_jobs_stop(d.jobs);
    ck_assert_int_eq(ush_scope_close(&scope), 0);
}

static struct desk_answer submit(struct fixture *x, const char *email)
{
    struct ush_faults faults;
    struct desk_answer a;
    ush_faults_init(&faults, &x->arena);
    const struct desk_request rq = {.event = USH_T("robots"),
                                    .name =
                                        USH_T("Asha <b>\xe0\xa4\x86\xe0\xa4\xb6\xe0\xa4\xbe</b>"),
                                    .email = ush_text_of(email),
                                    .source = SOURCE_WEB};
    ck_assert_int_eq(desk_submit(&x->fest, &rq, &x->arena, &faults, &a), 0);
    return a;
}

static int mails_story(void *arg)
{
    struct fixture *x = arg;
    struct box box = {.folder = "/tmp/usher-box-XXXXXX"};
    struct mailer m;
    struct ush_buf problem;
    struct change_result out;
    ck_assert_ptr_nonnull(mkdtemp(box.folder));
    fixture_open(x);
    ush_buf_init(&problem, 1024);
    x->settings.mail_url = ush_arena_printf(&x->arena, "file:%s", box.folder).at;
    x->settings.base_url = "https://fest.example.edu";
    x->settings.contact = "desk@fest.example.edu";
    ck_assert_int_eq(mailer_init(&m, &x->fest, &problem), 0);
    fixture_import(x,
                   "[{\"slug\":\"robots\",\"title\":\"Robo Race\",\"starts\":\"2030-03-14 10:00\","
                   "\"capacity\":1,\"waitlist\":\"1\",\"venue\":\"Hall & yard\"}]");
    struct desk_answer a = submit(x, "asha@school.example");
    run_jobs(x, &m);
    look_into(&box, &x->arena);
    ck_assert_uint_eq(box.count, 1);
    check_lines(box.last);
    ck_assert_int_eq(strncmp(box.last_name, "ticket.", 7), 0);
    ck_assert_ptr_nonnull(strstr(box.last.at, "Subject: Your place: Robo Race"));
    ck_assert_ptr_nonnull(strstr(box.last.at, "To: asha@school.example\r\n"));
    ck_assert_ptr_nonnull(strstr(box.last.at, "https://fest.example.edu/r/"));
    ck_assert_ptr_nonnull(strstr(box.last.at, "&lt;b&gt;"));
    ck_assert_ptr_nonnull(strstr(box.last.at, "Content-ID: <qr>"));
    ck_assert_int_lt((int)box.last.len, 60 << 10);
    empty(&box);
    submit(x, "bela@school.example");
    const struct cancel c = {
        .registration = a.registration, .reason = USH_T("by_student"), .actor = USH_T("student")};
    run_jobs(x, &m);
    look_into(&box, &x->arena);
    ck_assert_ptr_nonnull(strstr(box.last.at, "Subject: Waitlist: Robo Race"));
    ck_assert_ptr_null(strstr(box.last.at, "cid:qr"));
    empty(&box);
    ck_assert_int_eq(fest_change(&x->fest, &op_cancel, &c, &out, &x->arena), 0);
    run_jobs(x, &m);
    look_into(&box, &x->arena);
    ck_assert_uint_eq(box.count, 2); /* cancelled to one, promoted to the other */
    /* At most three an hour to one address; what an organiser causes goes all the same. */
    empty(&box);
    struct resend again = {
        .registration = registration_make_id(1, 2), .force = 1, .actor = USH_T("organiser")};
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(registration_resend(&x->fest, &again, &x->arena, &out), 0);
    run_jobs(x, &m);
    look_into(&box, &x->arena);
    ck_assert_uint_eq(box.count, 2);
    empty(&box);
    const struct event_cancel off = {.slug = USH_T("robots"), .actor = USH_T("organiser")};
    ck_assert_int_eq(fest_change(&x->fest, &op_announce, &off, &out, &x->arena), 0);
    run_jobs(x, &m);
    look_into(&box, &x->arena);
    ck_assert_uint_eq(box.count, 1);
    ck_assert_ptr_nonnull(strstr(box.last.at, "Subject: Please note: Robo Race"));
    empty(&box);
    ck_assert_int_eq(fest_change(&x->fest, &op_event_cancel, &off, &out, &x->arena), 0);
    run_jobs(x, &m);
    look_into(&box, &x->arena);
    ck_assert_uint_eq(box.count, 1);
    ck_assert_ptr_nonnull(strstr(box.last.at, "Subject: Does not take place: Robo Race"));
    ck_assert_str_eq(fixture_verify(x), "");
    empty(&box);
    rmdir(box.folder);
    mailer_fini(&m);
    ush_buf_fini(&problem);
    fixture_close(x);
    return 0;
}

START_TEST(jobs_write_each_mail_once)
{
    fixture_on(_i);
    fixture_run(mails_story);
}
END_TEST

static int64_t allow_once(struct fixture *x, const struct ush__job_row *row)
{
    struct change_result out;
    const struct mail_allow in = {.address_key = USH_T("0123456789abcdef"),
                                  .per_hour = 1,
                                  .job = row->id,
                                  .claim = row->claim};
    ck_assert_int_ge(ush_change(x->fest.db, &op_mail_allow, &in, &out, &x->arena), 0);
    return out.outcome;
}

static int run_due(struct ush_tx *tx, const void *in, void *out)
{
    static const struct ush_statement s = {
        "due", "UPDATE jobs SET due_at = 0 WHERE state = 0 AND due_at > $1", NULL};
    (void)out;
    return ush_exec(tx, &s, USH_VALUES(((const struct busy *)in)->number));
}
static const struct ush_operation op_due = {.name = "due", .in = &busy_record, .run = run_due};

/* With one mail per hour to an address: the attempt that is counted fails, or its worker dies. */
static int counting_story(void *arg)
{
    struct fixture *x = arg;
    struct box box = {.folder = "/tmp/usher-box-XXXXXX"};
    struct mailer m;
    struct ush_buf problem;
    ck_assert_ptr_nonnull(mkdtemp(box.folder));
    fixture_open(x);
    ush_buf_init(&problem, 1024);
    x->settings.mail_url = ush_arena_printf(&x->arena, "file:%s", box.folder).at;
    x->settings.mail_per_hour = 1;
    ck_assert_int_eq(mailer_init(&m, &x->fest, &problem), 0);
    fixture_import(
        x, "[{\"slug\":\"robots\",\"title\":\"Robo Race\",\"starts\":\"2030-03-14 10:00\"}]");
    submit(x, "asha@school.example");
    rmdir(box.folder);
    run_jobs(x, &m);
    ck_assert_int_eq(mkdir(box.folder, 0700), 0);
    const struct busy at = {.number = ush_wall_ms()};
    ck_assert_int_eq(ush_change(x->fest.db, &op_due, &at, NULL, &x->arena), 1);
    run_jobs(x, &m);
    look_into(&box, &x->arena);
    ck_assert_uint_eq(box.count, 1);

    submit(x, "bela@school.example");
    submit(x, "chandra@school.example");
    const struct ush__jobs_claim in = {.owner = 7, .lanes = USH_T(MAIL_LANE), .limit = 2};
    struct ush__jobs_claimed out;
    ck_assert_int_eq(ush_change(x->fest.db, &ush_op_jobs_claim, &in, &out, &x->arena), 2);
    const struct ush__job_row *rows = out.rows.at;
    ck_assert_int_eq(allow_once(x, &rows[0]), CHANGE_DONE);
    ck_assert_int_eq(allow_once(x, &rows[0]), CHANGE_DONE); /* the writer died before it answered */
    ck_assert_int_eq(allow_once(x, &rows[1]), CHANGE_TOO_SOON);
    ck_assert_int_eq(ush_jobs_release(x->fest.db, 7), 2);
    ck_assert_int_eq(ush_change(x->fest.db, &ush_op_jobs_claim, &in, &out, &x->arena), 2);
    rows = out.rows.at;
    ck_assert_int_eq(rows[0].mark + rows[1].mark, 1);
    empty(&box);
    rmdir(box.folder);
    mailer_fini(&m);
    ush_buf_fini(&problem);
    fixture_close(x);
    return 0;
}

START_TEST(a_mail_counts_once)
{
    fixture_on(_i);
    fixture_run(counting_story);
}
END_TEST

static int composing_story(void *arg)
{
    struct fixture *x = arg;
    struct ush_buf one, two;
    ush_text to;
    fixture_open(x);
    ush_buf_init(&one, 1 << 20);
    ush_buf_init(&two, 1 << 20);
    fixture_import(
        x, "[{\"slug\":\"robots\",\"title\":\"Robo Race\",\"starts\":\"2030-03-14 10:00\"}]");
    struct desk_answer a = submit(x, "asha@sch\xc3\xb6n.example");
    ck_assert_int_eq(
        mail_compose(&x->fest, MAIL_TICKET, 7, 1773405000000, a.registration, &x->arena, &one, &to),
        0);
    ck_assert_int_eq(
        mail_compose(&x->fest, MAIL_TICKET, 7, 1773405000000, a.registration, &x->arena, &two, &to),
        0);
    ck_assert(ush_text_equal(ush_buf_text(&one), ush_buf_text(&two)));
    ck_assert(ush_text_starts(to, USH_T("asha@xn--sch")));
    check_lines(ush_buf_text(&one));
    /* What no longer fits is not sent. */
    ck_assert_int_eq(mail_compose(&x->fest, MAIL_WAITLISTED, 7, 1773405000000, a.registration,
                                  &x->arena, &two, &to),
                     USH_ENOTFOUND);
    ck_assert_int_eq(mail_compose(&x->fest, MAIL_TICKET, 7, 1773405000000,
                                  registration_make_id(1, 99), &x->arena, &two, &to),
                     USH_ENOTFOUND);
    ush_buf_fini(&one);
    ush_buf_fini(&two);
    fixture_close(x);
    return 0;
}

START_TEST(composing_twice_gives_the_same_bytes)
{
    fixture_on(_i);
    fixture_run(composing_story);
}
END_TEST

int main(void)
{
    fixture_operates(&op_due);
    Suite *suite = suite_create("mails");
    TCase *t = tcase_create("bytes");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, header_fields, 0, (int)USH_COUNT(headers));
    tcase_add_test(t, a_nul_in_a_header_is_refused);
    tcase_add_test(t, quoted_printable);
    tcase_add_test(t, a_message_is_well_formed);
    tcase_add_test(t, injection_is_refused_everywhere);
    tcase_add_test(t, calendar);
    tcase_add_loop_test(t, a_mail_counts_once, 0, DATABASES);
    tcase_add_loop_test(t, composing_twice_gives_the_same_bytes, 0, DATABASES);
    tcase_add_loop_test(t, jobs_write_each_mail_once, 0, DATABASES);
    return stories_main(suite);
}
