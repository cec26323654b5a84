/*
 * mail.c - `usher mail …`: how the mails stand, holding them back, sending failed ones again, and
 * trying the way out.
 */
#include "cli/cli.h"
#include "domain/mail_status.h"
#include "domain/mails.h"
#include "domain/mime.h"

enum { TEST_S = 60 };

static int status(struct cli *cli)
{
    struct ush_rows totals, failed, pauses;
    USH_TRY(mail_status(&cli->fest, cli->arena, &totals, &failed));
    USH_TRY(mail_pauses(&cli->fest, cli->arena, &pauses));
    if (cli->json) {
        struct ush_buf b;
        ush_buf_init(&b, 4 << 20);
        ush_buf_add(&b, USH_T("{\"paused\":"));
        ush_record_encode_json_list(&mail_pause_record, pauses.at, pauses.count, &b);
        ush_buf_add(&b, USH_T(",\"totals\":"));
        ush_record_encode_json_list(&mail_total_record, totals.at, totals.count, &b);
        ush_buf_add(&b, USH_T(",\"failed\":"));
        ush_record_encode_json_list(&mail_failed_record, failed.at, failed.count, &b);
        ush_buf_add(&b, USH_T("}"));
        puts(ush_buf_text(&b).at);
        ush_buf_fini(&b);
        return CLI_OK;
    }
    cli_print_rows(cli, &mail_total_record, &totals);
    if (pauses.count) {
        printf("\nThese are paused until then, or until usher mail resume:\n");
        cli_print_rows(cli, &mail_pause_record, &pauses);
    }
    if (failed.count) {
        printf("\nThese need a person (usher mail retry ID, or --all):\n");
        cli_print_rows(cli, &mail_failed_record, &failed);
    }
    return CLI_OK;
}

/* ---- test ------------------------------------------------------------------------------------ */

#define MAIL_TEST_FIELDS(F, R)                                                                     \
    F(R, TEXT, result, .choices = "taken|written|refused|settings|later|unknown")                  \
    F(R, TEXT, through, .max = 1000, .doc = "The mail server, API or folder")                      \
    F(R, TEXT, answer, .max = 200, .doc = "What was answered, or what went wrong")                 \
    F(R, TEXT, message_id, .max = 300)
USH_RECORD(mail_test, MAIL_TEST_FIELDS)
USH_RECORD_DEFINE(mail_test, MAIL_TEST_FIELDS)

static int may_go(void *unused __attribute__((unused)))
{
    return 0;
}

/* What came of it, as a word and in words. */
static const char *in_words(int rc, enum transport_kind kind, const char **ret_words)
{
    switch (rc) {
    case 0:
        *ret_words = kind == TRANSPORT_FILE
                         ? "The mail lies in the folder; with file: nothing is sent to anybody."
                         : "It was taken. Now look into the mailbox, and into its spam folder.";
        return kind == TRANSPORT_FILE ? "written" : "taken";
    case USH_EINVAL:
        *ret_words = "It was refused for good: a student's mail would be listed as failed.";
        return "refused";
    case -EACCES:
        *ret_words = "Nothing is taken with these settings: check USHER_MAIL_URL, and user and "
                     "USHER_SMTP_PASSWORD, or USHER_MAIL_TOKEN.";
        return "settings";
    case USH_EUNKNOWN:
        *ret_words = "Nobody knows whether it was taken: there was no answer at the end.";
        return "unknown";
    default:
        *ret_words = "It was not taken now: a student's mail would be tried again later.";
        return "later";
    }
}

static int compose_test(const struct settings *s, ush_text from, ush_text to, ush_text message_id,
                        struct ush_buf *out)
{
    return mime_write(&(struct mime_mail){.from_name = ush_text_of(s->name),
                                          .from = from,
                                          .to = to,
                                          .subject = USH_T("A test of the registration's mails"),
                                          .message_id = message_id,
                                          .date_ms = ush_wall_ms(),
                                          .language = USH_T("en"),
                                          .text = USH_T("Mails of the registration arrive here.\n"),
                                          .html = USH_T("<p>Mails of the registration arrive "
                                                        "here.</p>\n")},
                      out);
}

/* Sends to an address that was checked, and says what happened. An exit code. */
static int send_test(struct cli *cli, struct transport *t, ush_text to)
{
    uint64_t number;
    ush_random(&number, sizeof number);
    ush_text host = mail_host(&cli->settings);
    ush_text id = ush_arena_printf(cli->arena, "test.%016llx", (unsigned long long)number);
    struct mail_test said = {
        .message_id = ush_arena_printf(cli->arena, "%.*s@%.*s", USH_PR(id), USH_PR(host)),
        .through = ush_text_of(t->folder ? t->folder : t->url)};
    struct ush_buf bytes;
    struct ush_scope scope;
    struct transport_reply reply = {.text = "the message cannot be written"};
    const char *words;
    ush_buf_init(&bytes, 64 << 10);
    int rc = compose_test(&cli->settings, ush_text_of(t->from ? t->from : "usher@localhost"), to,
                          said.message_id, &bytes);
    const struct transport_mail mail = {
        .id = id, .to = to, .bytes = ush_buf_text(&bytes), .before_dot = may_go};
    ush_scope_open(&scope, &(struct ush_scope_options){
                               .name = "test", .deadline_ns = ush_now_ns() + TEST_S * USH_SECOND});
    if (rc == 0)
        rc = transport_send(t, &mail, &reply);
    ush_scope_close(&scope);
    ush_buf_fini(&bytes);
    said.result = ush_text_of(in_words(rc, t->kind, &words));
    said.answer = ush_text_of(reply.text);
    cli_print_record(cli, &mail_test_record, &said);
    cli_say(cli, "\n%s", words);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

static int test_inside(void *arg)
{
    struct cli *cli = arg;
    static const struct ush_field field = {.name = "ADDRESS", .format = USH_EMAIL};
    struct ush_fault fault;
    struct transport transport;
    struct ush_buf problem;
    ush_text to;
    if (ush_text_clean(ush_text_of(cli->arguments[0]), &field, cli->arena, &to, &fault) < 0)
        return cli_usage("\"%s\" is no address: %.*s", cli->arguments[0], USH_PR(fault.msg));
    ush_buf_init(&problem, 1024);
    int r = transport_open(&transport, &cli->settings, &problem);
    if (r < 0)
        r = cli_fail("%.*s", USH_PR(ush_buf_text(&problem)));
    ush_buf_fini(&problem);
    if (r)
        return r;
    r = send_test(cli, &transport, ush_email_ascii(to, cli->arena));
    transport_close(&transport);
    return r;
}

static int test(struct cli *cli)
{
    return ush_run(&(struct ush_loop_options){0}, test_inside, cli);
}

/* ---- pause and resume ------------------------------------------------------------------------ */

/* The lanes that were meant: the one that was typed, or both. 0 or an exit code. */
static int choose_lanes(const struct cli *cli, const char *ret[3])
{
    const char *typed = cli->argument_count ? cli->arguments[0] : NULL;
    if (typed && strcmp(typed, MAIL_LANE) && strcmp(typed, BULK_LANE))
        return cli_usage("\"%s\" is no lane; it is " MAIL_LANE " or " BULK_LANE, typed);
    ret[0] = typed ? typed : MAIL_LANE;
    ret[1] = typed ? NULL : BULK_LANE;
    ret[2] = NULL;
    return 0;
}

/* "90s", "30m", "2h", "3d"; -1 for anything else. */
static int64_t duration_ms(const char *typed)
{
    static const char units[] = "smhd";
    static const int64_t ms[] = {1000, 60000, 3600000, 86400000};
    size_t n = strlen(typed);
    const char *unit = n ? strchr(units, typed[n - 1]) : NULL;
    int64_t count;
    if (!unit || ush_text_i64((ush_text){typed, n - 1}, &count) < 0 || count < 1 || count > 100000)
        return -1;
    return count * ms[unit - units];
}

static int pause_lanes(struct cli *cli)
{
    const char *lanes[3], *length = cli_option(cli, "for"), *reason = cli_option(cli, "reason");
    int64_t for_ms = length ? duration_ms(length) : 0;
    int code = choose_lanes(cli, lanes);
    if (code)
        return code;
    if (for_ms < 0)
        return cli_usage("--for takes a time such as 90s, 30m, 2h or 3d, not \"%s\"", length);
    struct ush_jobs_pause what = {.until_ms =
                                      for_ms ? ush_wall_ms() + for_ms : USH_JOBS_UNTIL_RESUMED,
                                  .reason = reason ? reason : "paused by hand"};
    for (size_t i = 0; lanes[i]; i++) {
        what.lane = lanes[i];
        USH_TRY(ush_jobs_pause(cli->db, &what));
    }
    struct ush_rows pauses;
    USH_TRY(mail_pauses(&cli->fest, cli->arena, &pauses));
    cli_say(cli, "What is being sent is finished, then these wait:");
    cli_print_rows(cli, &mail_pause_record, &pauses);
    return CLI_OK;
}

static int resume(struct cli *cli)
{
    const char *lanes[3];
    int code = choose_lanes(cli, lanes), n = 0;
    if (code)
        return code;
    for (size_t i = 0; lanes[i]; i++) {
        int r = ush_jobs_resume(cli->db, lanes[i]);
        USH_TRY(r);
        n += r;
    }
    if (cli->json)
        printf("{\"resumed\":%d}\n", n);
    else
        puts(n ? "mails go out again" : "nothing was paused");
    return CLI_OK;
}

static int retry(struct cli *cli)
{
    struct ush_jobs_retry what = {.lane = MAIL_LANE};
    bool all = cli_option(cli, "all") != NULL;
    if (all == (cli->argument_count == 1))
        return cli_usage("usher mail retry takes the id of a mail, or --all");
    if (!all && (ush_text_i64(ush_text_of(cli->arguments[0]), &what.id) < 0 || what.id <= 0))
        return cli_usage("\"%s\" is no id; usher mail status shows them", cli->arguments[0]);
    int n = ush_jobs_retry(cli->db, &what);
    if (n >= 0 && all) {
        what.lane = BULK_LANE;
        int more = ush_jobs_retry(cli->db, &what);
        n = more < 0 ? more : n + more;
    }
    if (n < 0)
        return n;
    if (n == 0 && !all)
        return cli_fail("mail %s has not failed, or there is none", cli->arguments[0]);
    if (cli->json)
        printf("{\"retried\":%d}\n", n);
    else
        printf("%d mails are queued again\n", n);
    return CLI_OK;
}

const struct cli_command cli_mail_commands[] = {
    {.name = "mail status",
     .summary = "queued, sent and failed mails",
     .help =
         "Counts mails by lane and state, says which lanes are paused, until when and why, and\n"
         "lists the mails that need a person: failed for good, or held because nobody can know\n"
         "whether they arrived.",
     .needs_db = true,
     .run = status},
    {.name = "mail retry",
     .arguments = "[ID]",
     .summary = "send failed or held mails again",
     .help = "Queues a failed or held mail again, or all of them with --all. It keeps its\n"
             "Message-ID, so a mailbox that has it already can tell.",
     .max_arguments = 1,
     .options = {{"all", NULL, "every failed or held mail"}},
     .needs_db = true,
     .run = retry},
    {.name = "mail test",
     .arguments = "ADDRESS",
     .summary = "send one mail and say what happened",
     .help =
         "Sends a mail to the address at once, by the way that USHER_MAIL_URL and its companions\n"
         "name, and says what was answered. It waits behind no other mail, needs no server and no\n"
         "database, and is not counted. The exit code is 1 when it was not taken.",
     .min_arguments = 1,
     .max_arguments = 1,
     .run = test},
    {.name = "mail pause",
     .arguments = "[LANE]",
     .summary = "hold mails back",
     .help =
         "Holds back the lane mail (tickets, waitlist), bulk (what goes to everybody) or, without\n"
         "a name, both, on all hosts, until usher mail resume. Mails stay queued and lose no\n"
         "attempt. What is being sent at this moment is finished.\n\n"
         "  usher mail pause bulk --for 2h --reason \"wrong event\"",
     .max_arguments = 1,
     .options = {{"for", "TIME", "resume by itself: 90s, 30m, 2h, 3d"},
                 {"reason", "TEXT", "shown by usher mail status"}},
     .needs_db = true,
     .run = pause_lanes},
    {.name = "mail resume",
     .arguments = "[LANE]",
     .summary = "let paused mails go on",
     .help =
         "Ends a pause, whoever began it: a person, the mail server's answer, or a limit of the\n"
         "settings. If the reason is still there, the next mail meets it and pauses again.",
     .max_arguments = 1,
     .needs_db = true,
     .run = resume},
    {0}};
