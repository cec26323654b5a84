/*
 * store.c - commands about the database as a whole: init, migrate, verify, version.
 */
#include "cli/cli.h"
#include "domain/events.h"
#include "domain/sample.h"
#include "domain/verify.h"

/* Opens the database without a fest: the tables may not be there yet. */
struct bare {
    struct cli *cli;
    int (*run)(struct cli *cli);
    bool may_be_new;
};

static int bare_root(void *arg)
{
    struct bare *b = arg;
    int error = 0;
    struct cli *cli = b->cli;
    cli->db = ush_db_open(&(struct ush_db_options){.url = cli->settings.database_url,
                                                   .role = USH_DB_TOOL,
                                                   .operations = fest_operations},
                          &error);
    if (!cli->db)
        return cli_fail_code(error, "%s cannot be opened", cli->settings.database_name);
    int code = b->run(cli);
    ush_db_close(cli->db);
    return code;
}

static int in_loop(struct cli *cli, int (*run)(struct cli *cli))
{
    struct bare b = {.cli = cli, .run = run};
    return ush_run(&(struct ush_loop_options){0}, bare_root, &b);
}

/* ---- migrate --------------------------------------------------------------------------------- */

static int migrate_now(struct cli *cli)
{
    struct ush_migrate_options o = fest_migrations;
    bool check = cli->command->options[0].name && !strcmp(cli->command->options[0].name, "check") &&
                 cli_option(cli, "check");
    o.check_only = check;
    int n = ush_migrate(cli->db, &o);
    if (n == -EBUSY)
        return cli_fail("a server is running on %s; stop it before migrating",
                        cli->settings.database_name);
    if (n < 0)
        return cli_fail_code(n, "%s cannot be migrated", cli->settings.database_name);
    if (cli->json)
        printf("{\"%s\":%d}\n", check ? "missing" : "applied", n);
    else if (check)
        printf("%d migrations are missing\n", n);
    else
        printf("%s: %d migrations applied\n", cli->settings.database_name, n);
    return check && n > 0 ? CLI_FAILED : CLI_OK;
}

static int migrate(struct cli *cli)
{
    return in_loop(cli, migrate_now);
}

/* ---- init ------------------------------------------------------------------------------------ */

static int init_now(struct cli *cli)
{
    struct ush_migrate_options o = fest_migrations;
    int n = ush_migrate(cli->db, &o);
    if (n < 0 && n != -EBUSY)
        return cli_fail_code(n, "%s cannot be migrated", cli->settings.database_name);
    struct ush_rows events;
    USH_TRY(events_read(cli->db, cli->arena, &events));
    if (events.count > 0) {
        cli_say(cli, "%s holds %zu events already; left as it is", cli->settings.database_name,
                events.count);
        if (cli->json)
            printf("{\"created\":0,\"events\":%zu}\n", events.count);
        return CLI_OK;
    }
    struct import_result result;
    USH_TRY(sample_fest(cli->db, cli->settings.tz, cli->arena, &result));
    if (cli->json) {
        printf("{\"created\":%zu,\"events\":%zu}\n", result.fresh, result.fresh);
        return CLI_OK;
    }
    printf("A sample fest is in %s:\n", cli->settings.database_name);
    const struct import_report *row = result.rows.at;
    for (size_t i = 0; i < result.rows.count; i++)
        printf("  %.*s\n", USH_PR(row[i].slug));
    return CLI_OK;
}

static int init(struct cli *cli)
{
    return in_loop(cli, init_now);
}

/* ---- verify ---------------------------------------------------------------------------------- */

static void checked(void *ctx, size_t done, size_t total)
{
    cli_progress(ctx, "checked", done, total);
}

static int verify(struct cli *cli)
{
    struct verify_result v;
    struct verify_options o = {.progress = checked, .ctx = cli};
    USH_TRY(verify_all(cli->db, &o, cli->arena, &v));
    if (cli->json) {
        struct ush_buf b;
        ush_buf_init(&b, 4 << 20);
        ush_buf_printf(&b,
                       "{\"clean\":%s,\"events\":%lld,\"registrations\":%lld,\"participants\":%lld,"
                       "\"mails\":%lld,\"mails_waiting\":%lld,\"mails_dead\":%lld,"
                       "\"mails_held\":%lld,\"oldest_mail_ms\":%lld,\"findings\":",
                       v.findings.count ? "false" : "true", (long long)v.events,
                       (long long)v.registrations, (long long)v.participants, (long long)v.mails,
                       (long long)v.mails_waiting, (long long)v.mails_dead, (long long)v.mails_held,
                       (long long)v.oldest_mail_ms);
        ush_record_encode_json_list(&finding_record, v.findings.at, v.findings.count, &b);
        ush_buf_add(&b, USH_T("}"));
        puts(ush_buf_text(&b).at);
        ush_buf_fini(&b);
    } else {
        if (v.findings.count)
            cli_print_rows(cli, &finding_record, &v.findings);
        printf("%lld events, %lld registrations, %lld participants, %lld mails (%lld waiting, "
               "%lld failed, %lld held): %s\n",
               (long long)v.events, (long long)v.registrations, (long long)v.participants,
               (long long)v.mails, (long long)v.mails_waiting, (long long)v.mails_dead,
               (long long)v.mails_held, v.findings.count ? "NOT CLEAN" : "clean");
    }
    return v.findings.count ? CLI_FAILED : CLI_OK;
}

static int version(struct cli *cli)
{
    printf(cli->json ? "{\"version\":\"%s\"}\n" : "usher %s\n", USHER_VERSION);
    return CLI_OK;
}

const struct cli_command cli_store_commands[] = {
    {.name = "init",
     .summary = "make the database with a sample fest",
     .help = "Makes the tables and stores a sample fest to try things on: a coding competition, a\n"
             "robotics challenge with few places and a waitlist, a quiz for teams, and an event\n"
             "that opens later. A database that holds events is left as it is.",
     .run = init},
    {.name = "migrate",
     .summary = "make or update the tables",
     .help = "Applies the migrations that the database lacks, each in a transaction.",
     .options = {{"check", NULL, "only count them; exit code 1 if any is missing"}},
     .run = migrate},
    {.name = "verify",
     .summary = "recount everything; exit code 1 on a finding",
     .help =
         "Recounts rows against counters: places taken and waiting, capacity, order of arrival,\n"
         "people registered twice, registrations without a mail and mails without a\n"
         "registration. Reads one view, so it may run beside a server. For cron: the exit code\n"
         "is 0 when all is clean, 1 when something was found.",
     .needs_db = true,
     .run = verify},
    {.name = "version",
     .summary = "print the version",
     .help = "Prints the version.",
     .run = version},
    {0}};
