/*
 * smtp_test.c - mail jobs against a real mail server that misbehaves (tests/e2e/smtp_sink.py): what
 * the row says afterwards is what happened, and every second copy is one that the row predicts.
 */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "domain/mail_status.h"
#include "domain/mails.h"

static pid_t sink;
static char address[64], journal[] = "/tmp/usher-smtp-XXXXXX";

static void start_sink(void)
{
    int to[2], from[2];
    close(mkstemp(journal));
    ck_assert(pipe(to) == 0 && pipe(from) == 0);
    sink = fork();
    if (sink == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        dup2(open("/dev/null", O_WRONLY), 2);
        close(to[1]);
        execl("/usr/bin/python3", "python3", "tests/e2e/smtp_sink.py", "--journal", journal, NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    FILE *said = fdopen(from[0], "r");
    ck_assert_msg(fgets(address, sizeof address, said) != NULL, "the mail server did not start");
    address[strcspn(address, "\n")] = 0;
}

static void stop_sink(void)
{
    kill(sink, SIGKILL);
    waitpid(sink, NULL, 0);
    unlink(journal);
}

static const struct smtp_case {
    const char *to;
    int accepted; /* lines in the server's journal */
    enum ush_job_state state;
    const char *note; /* part of it */
    bool pauses;
} cases[] = {
    {"asha@x.in", 1, USH_JOB_DONE, "250", false},
    {"refuse@x.in", 0, USH_JOB_DEAD, "550", false},
    {"late-refuse@x.in", 0, USH_JOB_DEAD, "554", false},
    {"tempfail@x.in", 0, USH_JOB_READY, "451", false},
    {"quota@x.in", 0, USH_JOB_READY, "5.4.5", true},
    {"drop-before-dot@x.in", 0, USH_JOB_READY, "", false},
    /* Once more with the same bytes; then nobody knows, and a person decides. */
    {"drop-after-dot@x.in", 2, USH_JOB_HELD, "", false},
};

#define JOB_FIELDS(F, R)                                                                           \
    F(R, I64, state)                                                                               \
    F(R, I64, tries)                                                                               \
    F(R, TEXT, note)
USH_RECORD(job_seen, JOB_FIELDS)
USH_RECORD_DEFINE(job_seen, JOB_FIELDS)

struct seen {
    int64_t state, tries;
    char note[300];
};

static int see_job(struct ush_tx *view, void *arg)
{
    static const struct ush_statement s = {
        "see_job",
        "SELECT state, failures + unknowns + CASE WHEN state > 1 THEN 1 ELSE 0 END AS tries,"
        " coalesce(note, '') AS note FROM jobs",
        NULL};
    struct seen *seen = arg;
    struct job_seen row = {0};
    int rc = ush_one(view, &s, &job_seen_record, &row, USH_NO_VALUES);
    seen->state = row.state;
    seen->tries = row.tries;
    snprintf(seen->note, sizeof seen->note, "%.*s", USH_PR(row.note));
    return rc;
}

struct worker {
    struct fest *fest;
    struct mailer mailer;
    struct ush_jobs *jobs;
};

static int work(void *arg)
{
    struct worker *w = arg;
    static const char *const lanes[] = {MAIL_LANE, NULL};
    return ush_jobs_run(&(struct ush_jobs_options){.db = w->fest->db,
                                                   .kinds = w->mailer.kinds,
                                                   .kind_count = MAIL_KINDS,
                                                   .lanes = lanes,
                                                   .wake_fd = -1,
                                                   .owner = ush_job_owner()},
                        &w->jobs);
}

static void check_journal(const struct smtp_case *c)
{
    static char text[1 << 18];
    FILE *f = fopen(journal, "r");
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    int lines = 0;
    char *first = text, *second = strchr(text, '\n');
    for (char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    ck_assert_int_eq(lines, c->accepted);
    if (lines != 2)
        return;
    /* From message_id on the two lines are the same: id, Date, boundaries, everything. */
    char *a = strstr(first, "\"message_id\""), *b = strstr(second, "\"message_id\"");
    *second = 0;
    second[strlen(second + 1)] = 0;
    ck_assert_int_eq(strncmp(a, b, strlen(a)), 0);
}

static int number;

static int story(void *arg)
{
    struct fixture *x = arg;
    const struct smtp_case *c = &cases[number];
    static const uint32_t soon[] = {1, 0};
    struct worker w = {.fest = &x->fest};
    struct ush_buf problem;
    struct ush_scope scope;
    struct ush_faults faults;
    struct desk_answer a;
    struct seen seen = {0};
    fixture_open(x);
    ush_buf_init(&problem, 1024);
    x->settings.mail_url = ush_arena_printf(&x->arena, "smtp://%s", address).at;
    x->settings.base_url = "https://fest.example.edu";
    ck_assert_int_eq(mailer_init(&w.mailer, &x->fest, &problem), 0);
    for (size_t i = 0; i < MAIL_KINDS; i++)
        w.mailer.kinds[i].retry_s = soon;
    fixture_import(x, "[{\"slug\":\"quiz\",\"title\":\"Quiz\",\"starts\":\"2030-03-14 10:00\"}]");
    ush_faults_init(&faults, &x->arena);
    const struct desk_request rq = {.event = USH_T("quiz"),
                                    .name = USH_T("Asha"),
                                    .email = ush_text_of(c->to),
                                    .source = SOURCE_WEB};
    ck_assert_int_eq(desk_submit(&x->fest, &rq, &x->arena, &faults, &a), 0);
    ush_scope_open(&scope, NULL);
    ck_assert_int_eq(ush_spawn(&scope, work, &w), 0);
    int64_t until = ush_now_ns() + allow(20000) * USH_MS;
    do {
        ck_assert(ush_sleep(10 * USH_MS) == 0);
        ck_assert_msg(ush_now_ns() < until, "state %d, note %s", (int)seen.state, seen.note);
        ck_assert_int_ge(ush_read(x->fest.db, see_job, &seen), 0);
    } while (seen.state != (int64_t)c->state || !seen.note[0]);
    ck_assert_msg(strstr(seen.note, c->note) != NULL, "%s", seen.note);
    ck_assert_int_eq(seen.tries > 0, !c->pauses);
    struct ush_rows pauses;
    ck_assert_int_eq(mail_pauses(&x->fest, &x->arena, &pauses), 0);
    ck_assert_uint_eq(pauses.count, c->pauses ? 1 : 0);
    if (c->pauses)
        ck_assert(ush_text_starts(((struct mail_pause *)pauses.at)->reason, USH_T("550 5.4.5")));
    ush_jobs_stop(w.jobs);
    ck_assert_int_eq(ush_scope_close(&scope), 0);
    check_journal(c);
    mailer_fini(&w.mailer);
    ush_buf_fini(&problem);
    fixture_close(x);
    return 0;
}

START_TEST(the_row_says_what_happened)
{
    number = _i;
    start_sink();
    fixture_run(story);
    stop_sink();
}
END_TEST

static int urls_story(void *arg)
{
    static const struct {
        const char *url, *server, *user; /* server NULL = refused */
        bool starttls;
    } urls[] = {
        {"smtp://mail.x.in:587", "smtp://mail.x.in:587", NULL, false},
        {"smtp://desk%40x.in@mail.x.in:587?tls=starttls", "smtp://mail.x.in:587", "desk@x.in",
         true},
        {"smtps://desk@mail.x.in", "smtps://mail.x.in", "desk", false},
        {"smtp://mail.x.in?tls=maybe", NULL, NULL, false},
        {"smtp://", NULL, NULL, false},
        {"https://api.x.in/v1/submit", "https://api.x.in/v1/submit", NULL, false},
        {"https://me@api.x.in/", NULL, NULL, false},
        {"https://api.x.in/?key=secret", NULL, NULL, false},
        {"https://", NULL, NULL, false},
    };
    struct fixture *x = arg;
    fixture_open(x);
    for (size_t i = 0; i < USH_COUNT(urls); i++) {
        struct mailer m;
        struct ush_buf problem;
        ush_buf_init(&problem, 1024);
        x->settings.mail_url = urls[i].url;
        int rc = mailer_init(&m, &x->fest, &problem);
        ck_assert_int_eq(rc, urls[i].server ? 0 : -EINVAL);
        if (rc == 0) {
            ck_assert_str_eq(m.transport.url, urls[i].server);
            ck_assert(urls[i].user ? strcmp(m.transport.server.user, urls[i].user) == 0
                                   : !m.transport.server.user);
            ck_assert_int_eq(m.transport.server.starttls, urls[i].starttls);
            mailer_fini(&m);
        } else {
            ck_assert_uint_gt(problem.len, 0);
        }
        ush_buf_fini(&problem);
    }
    fixture_close(x);
    return 0;
}

START_TEST(mail_urls)
{
    fixture_run(urls_story);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("smtp");
    TCase *t = tcase_create("jobs");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, the_row_says_what_happened, 0, (int)USH_COUNT(cases));
    tcase_add_test(t, mail_urls);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
