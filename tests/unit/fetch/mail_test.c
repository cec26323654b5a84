/*
 * mail_test.c - messages to a real mail server (tests/e2e/smtp_sink.py) that misbehaves on demand.
 *
 * The recipient's local part says what the server does. Its journal says what it has accepted.
 */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../slow.h"
#include "usher/fetch.h"

#define MAIL_TEST(name)                                                                            \
    static int name##_body(void *unused);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};                                \
        begin();                                                                                   \
        ck_assert_int_eq(ush_run(&o, name##_body, NULL), 0);                                       \
        end();                                                                                     \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

static pid_t sink;
static int sink_stdin;
static char url[64], journal[] = "/tmp/usher-mail-XXXXXX";
static struct ush_fetch *f;
static struct ush_mail_server server = {.url = url};
static struct ush_mail_reply reply;

/* Further arguments of the server end with NULL. */
static void begin_with(const char *scheme, const char *const *more)
{
    int to[2], from[2];
    const char *args[16] = {"python3", "tests/e2e/smtp_sink.py", "--journal", journal};
    for (int i = 0; more[i]; i++)
        args[4 + i] = more[i];
    close(mkstemp(journal));
    ck_assert(pipe(to) == 0 && pipe(from) == 0);
    sink = fork();
    if (sink == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        dup2(open("/dev/null", O_WRONLY), 2); /* it complains about our misbehaviour */
        close(to[1]);
        execv("/usr/bin/python3", (char *const *)args);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    sink_stdin = to[1];
    char address[32];
    FILE *said = fdopen(from[0], "r");
    ck_assert_msg(fgets(address, sizeof address, said) != NULL, "the mail server did not start");
    address[strcspn(address, "\n")] = 0;
    snprintf(url, sizeof url, "%s://%s", scheme, address);
}

static void begin(void)
{
    begin_with("smtp", (const char *const[]){"--notes", NULL});
}

static void end(void)
{
    kill(sink, SIGKILL);
    waitpid(sink, NULL, 0);
    unlink(journal);
}

/* The whole journal; static storage. */
static const char *journalled(void)
{
    static char text[1 << 18];
    FILE *file = fopen(journal, "r");
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = 0;
    return text;
}

static void forget(void)
{
    ck_assert_int_eq(truncate(journal, 0), 0);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

static int until_hung_up(void)
{
    while (!strstr(journalled(), "has hung up"))
        USH_TRY(ush_sleep(5 * USH_MS));
    return 0;
}

static int asked, answer; /* before_dot: how often, and what it says */
static bool is_cut_off;   /* the server hangs up before the dot */

static int before_dot(void *unused __attribute__((unused)))
{
    asked++;
    USH_TRY(ush_sleep(20 * USH_MS)); /* a mark takes a while */
    if (is_cut_off)
        return until_hung_up();
    ck_assert_str_eq(journalled(), "");
    return answer;
}

static const char bytes[] =
    "Message-ID: <1@test>\r\nSubject: x\r\n\r\nhello\r\n.\r\n..two\r\nend\r\n";

static int send_to(const char *to)
{
    asked = 0;
    is_cut_off = strncmp(to, "drop-before-dot", 15) == 0;
    struct ush_mail_message m = {.from = USH_T("desk@example.org"),
                                 .to = ush_text_of(to),
                                 .bytes = ush_text_of(bytes),
                                 .before_dot = before_dot};
    return ush_fetch_mail(f, &server, &m, &reply);
}

/* ---- tests ---------------------------------------------------------------------------------- */

MAIL_TEST(an_accepted_mail_arrives_as_it_is)
{
    f = ush_fetch_new(&(struct ush_fetch_options){0});
    ck_assert_int_eq(send_to("a@example.org"), 0);
    ck_assert_int_eq(reply.code, 250);
    ck_assert(reply.past_dot);
    ck_assert_int_eq(strncmp(reply.text, "250 2.0.0 queued as ", 20), 0);
    ck_assert_int_eq(asked, 1);
    ck_assert_ptr_nonnull(strstr(journalled(), "\"to\": [\"a@example.org\"]"));
    ck_assert_ptr_nonnull(
        strstr(journalled(), "\\r\\n\\r\\nhello\\r\\n.\\r\\n..two\\r\\nend\\r\\n\""));
    ush_fetch_free(f);
    return 0;
}

static const struct {
    const char *to;
    int result, code;
    int asked; /* -1: 0 or 1, as it may learn of the end before or after it asks */
    bool past_dot;
} answers[] = {
    {"refuse@example.org", USH_EINVAL, 550, 0, false},
    {"tempfail@example.org", -EAGAIN, 451, 0, false},
    {"quota@example.org", -EAGAIN, 550, 1, true},
    {"late-refuse@example.org", USH_EINVAL, 554, 1, true},
    {"late-tempfail@example.org", -EAGAIN, 452, 1, true},
    {"drop-before-dot@example.org", -EAGAIN, 354, -1, false},
    {"drop-after-dot@example.org", USH_EUNKNOWN, 0, 1, true},
    {"a@example.org\r\nRCPT TO:<b@example.org>", USH_EINVAL, 0, 0, false},
    {"a@exam ple.org", USH_EINVAL, 0, 0, false},
    {"", USH_EINVAL, 0, 0, false},
};

MAIL_TEST(each_answer_has_its_result)
{
    f = ush_fetch_new(&(struct ush_fetch_options){0});
    for (size_t i = 0; i < USH_COUNT(answers); i++) {
        int r = send_to(answers[i].to);
        ck_assert_msg(r == answers[i].result, "%s: %d %d %s", answers[i].to, r, reply.code,
                      reply.text);
        ck_assert_int_eq(reply.code, answers[i].code);
        ck_assert_int_eq(reply.past_dot, answers[i].past_dot);
        if (answers[i].asked >= 0)
            ck_assert_int_eq(asked, answers[i].asked);
        ck_assert(reply.text[0]);
        ck_assert(!reply.no_session);
        ck_assert_int_eq(reply.has_enough, strncmp(answers[i].to, "quota", 5) == 0);
        if (is_cut_off) /* also when it was noticed before the mark */
            ck_assert_int_eq(until_hung_up(), 0);
        forget();
    }
    ush_fetch_free(f);
    return 0;
}

MAIL_TEST(a_mark_that_is_not_stored_stops_it)
{
    f = ush_fetch_new(&(struct ush_fetch_options){0});
    answer = -ECANCELED;
    ck_assert_int_eq(send_to("a@example.org"), -ECANCELED);
    ck_assert(!reply.past_dot);
    answer = 0;
    ck_assert_int_eq(send_to("b@example.org"), 0);
    ck_assert_int_eq(count(journalled(), "\"message_id\""), 1); /* the second alone */
    ush_fetch_free(f);
    return 0;
}

MAIL_TEST(silence_after_the_dot_is_unknown)
{
    f = ush_fetch_new(&(struct ush_fetch_options){0});
    struct ush_scope s;
    ush_scope_open(&s,
                   &(struct ush_scope_options){.deadline_ns = ush_now_ns() + allow(1000) * USH_MS});
    ck_assert_int_eq(send_to("hang@example.org"), USH_EUNKNOWN);
    ush_scope_close(&s);
    ck_assert(reply.past_dot);
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + 10 * USH_MS});
    ck_assert_int_eq(send_to("a@example.org"), -ETIMEDOUT); /* in before_dot at the latest */
    ush_scope_close(&s);
    ck_assert(!reply.past_dot);
    ck_assert_str_eq(journalled(), "");
    ush_fetch_free(f);
    return 0;
}

MAIL_TEST(what_might_smuggle_is_refused)
{
    static const char *const bad[] = {"a\nb\r\n", "a\rb\r\n", "a\r\n.\n\r\n", "a", "a\r", "\n", ""};
    f = ush_fetch_new(&(struct ush_fetch_options){0});
    for (size_t i = 0; i < USH_COUNT(bad); i++) {
        struct ush_mail_message m = {.from = USH_T("a@example.org"),
                                     .to = USH_T("b@example.org"),
                                     .bytes = ush_text_of(bad[i])};
        ck_assert_int_eq(ush_fetch_mail(f, &server, &m, &reply), USH_EINVAL);
    }
    ck_assert_str_eq(journalled(), "");
    ush_fetch_free(f);
    return 0;
}

MAIL_TEST(without_starttls_nothing_is_sent)
{
    f = ush_fetch_new(&(struct ush_fetch_options){0});
    server.starttls = true;
    ck_assert_int_eq(send_to("a@example.org"), -EAGAIN);
    ck_assert_int_eq(asked, 0);
    ck_assert(reply.no_session);
    snprintf(url, sizeof url, "smtp://127.0.0.1:1");
    server.starttls = false;
    ck_assert_int_eq(send_to("a@example.org"), -EAGAIN);
    ck_assert_int_eq(reply.code, 0);
    ush_fetch_free(f);
    return 0;
}

MAIL_TEST(connections_are_kept_and_stale_ones_replaced)
{
    f = ush_fetch_new(&(struct ush_fetch_options){0});
    for (int i = 0; i < 3; i++) {
        forget();
        ck_assert_int_eq(send_to("a@example.org"), 0);
        ck_assert_ptr_nonnull(strstr(journalled(), "\"connection\": 1,"));
    }
    forget();
    ck_assert_int_eq(send_to("goodbye@example.org"), 0);
    ck_assert_int_eq(until_hung_up(), 0);
    forget();
    ck_assert_int_eq(send_to("a@example.org"), 0);
    ck_assert_ptr_nonnull(strstr(journalled(), "\"connection\": 2,"));
    ush_fetch_free(f);
    return 0;
}

static int send_slow(void *item)
{
    char to[64];
    struct ush_mail_reply r;
    snprintf(to, sizeof to, "delay+%d@example.org", *(int *)item);
    struct ush_mail_message m = {
        .from = USH_T("desk@example.org"), .to = ush_text_of(to), .bytes = ush_text_of(bytes)};
    return ush_fetch_mail(f, &server, &m, &r);
}

MAIL_TEST(many_at_once_wait_together)
{
    int items[40];
    f = ush_fetch_new(&(struct ush_fetch_options){.connections = 20});
    for (int i = 0; i < 40; i++)
        items[i] = i;
    int64_t start = ush_now_ns();
    ck_assert_int_eq(ush_gather(40, 0, send_slow, items, sizeof *items), 0);
    int64_t ms = (ush_now_ns() - start) / USH_MS;
    ck_assert_int_ge(ms, 600); /* twenty at a time, 0.3 s each */
    ck_assert_int_lt(ms, allow(4000));
    ck_assert_int_eq(count(journalled(), "\"message_id\""), 40);
    ck_assert_int_eq(count(journalled(), "delay+17@"), 1);
    ush_fetch_free(f);
    return 0;
}

/* ---- with TLS and a login ------------------------------------------------------------------- */

static char cert[] = "/tmp/usher-cert-XXXXXX";

static int log_in(void *unused __attribute__((unused)))
{
    f = ush_fetch_new(&(struct ush_fetch_options){0});
    server.user = "desk";
    server.password = "sesame";
    ck_assert_int_eq(send_to("a@example.org"), -EAGAIN); /* the certificate is nobody's */
    ck_assert_int_eq(asked, 0);
    server.ca_file = cert;
    ck_assert_int_eq(send_to("a@example.org"), 0);
    forget();
    ck_assert_int_eq(send_to("b@example.org"), 0); /* and again, over the same */
    server.password = "wrong";
    server.user = "desk2";
    ck_assert_int_eq(send_to("a@example.org"), -EACCES);
    ck_assert_int_eq(reply.code, 535);
    ush_fetch_free(f);
    return 0;
}

START_TEST(tls_and_login)
{
    char make[512];
    close(mkstemp(cert));
    snprintf(make, sizeof make,
             "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1"
             " -addext subjectAltName=IP:127.0.0.1 -keyout %s.key -out %s.crt 2>/dev/null"
             " && cat %s.key %s.crt >%s && rm %s.key %s.crt",
             cert, cert, cert, cert, cert, cert, cert);
    ck_assert_int_eq(system(make), 0);
    server.starttls = _i == 0;
    begin_with(_i ? "smtps" : "smtp",
               (const char *const[]){"--cert", cert, "--login", "desk:sesame",
                                     _i ? "--smtps" : NULL, NULL});
    struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};
    ck_assert_int_eq(ush_run(&o, log_in, NULL), 0);
    end();
    unlink(cert);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fetch/mail");
    TCase *tc = tcase_create("mail");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, an_accepted_mail_arrives_as_it_is);
    tcase_add_test(tc, each_answer_has_its_result);
    tcase_add_test(tc, a_mark_that_is_not_stored_stops_it);
    tcase_add_test(tc, silence_after_the_dot_is_unknown);
    tcase_add_test(tc, what_might_smuggle_is_refused);
    tcase_add_test(tc, without_starttls_nothing_is_sent);
    tcase_add_test(tc, connections_are_kept_and_stale_ones_replaced);
    tcase_add_test(tc, many_at_once_wait_together);
    tcase_add_loop_test(tc, tls_and_login, 0, 2);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
