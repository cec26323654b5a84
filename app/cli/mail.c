/*
 * mail.c - `usher mail …`: how the mails stand, and sending failed ones again.
 */
#include "cli/cli.h"
#include "domain/mail_status.h"
#include "domain/mails.h"

static int status(struct cli *cli)
{
    struct ush_rows totals, failed;
    USH_TRY(mail_status(&cli->fest, cli->arena, &totals, &failed));
    if (cli->json) {
        struct ush_buf b;
        ush_buf_init(&b, 4 << 20);
        ush_buf_add(&b, USH_T("{\"totals\":"));
        ush_record_encode_json_list(&mail_total_record, totals.at, totals.count, &b);
        ush_buf_add(&b, USH_T(",\"failed\":"));
        ush_record_encode_json_list(&mail_failed_record, failed.at, failed.count, &b);
        ush_buf_add(&b, USH_T("}"));
        puts(ush_buf_text(&b).at);
        ush_buf_fini(&b);
        return CLI_OK;
    }
    cli_print_rows(cli, &mail_total_record, &totals);
    if (failed.count) {
        printf("\nThese need a person (usher mail retry ID, or --all):\n");
        cli_print_rows(cli, &mail_failed_record, &failed);
    }
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
         "Counts mails by lane and state, and lists those that need a person: failed for good,\n"
         "or held because nobody can know whether they arrived.",
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
    {0}};
