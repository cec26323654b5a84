/*
 * mail.c - `usher mail …`: how the mails stand, holding them back, and sending failed ones again.
 */
#include "cli/cli.h"
#include "domain/mail_status.h"
#include "domain/mails.h"

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
