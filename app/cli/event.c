/*
 * event.c - `usher event …`: import, list, show, open, close, capacity, cancel.
 *
 * A change goes through the writer of a running server, so it takes effect at once and in order
 * with the registrations that arrive meanwhile.
 */
#include <stdlib.h>

#include "cli/cli.h"
#include "domain/announce.h"
#include "domain/events.h"
#include "domain/import.h"

/* A line of `event list`. Exact numbers: this is the organiser's side. */
#define EVENT_LINE_FIELDS(F, R)                                                                    \
    F(R, TEXT, slug, .doc = "Name in links")                                                       \
    F(R, TEXT, title, .doc = "Title")                                                              \
    F(R, TEXT, state, .doc = "open, waitlist, full, not_open, closed, cancelled, over")            \
    F(R, I64, taken, .doc = "Places taken")                                                        \
    F(R, I64, capacity, .optional = true, .doc = "Places; absent = unlimited")                     \
    F(R, I64, waiting, .doc = "Waitlisted")                                                        \
    F(R, TIME, opens_at, .doc = "Registration opens")                                              \
    F(R, TIME, starts_at, .doc = "Begins")
USH_RECORD(event_line, EVENT_LINE_FIELDS)
USH_RECORD_DEFINE(event_line, EVENT_LINE_FIELDS)

static struct event_line line_of(const struct event_entry *e, int64_t now_ms)
{
    struct event_line l = {
        .slug = e->event.slug,
        .title = e->event.title,
        .state = ush_text_of(event_state_name(event_state(e, now_ms))),
        .taken = e->seats.taken,
        .capacity = e->seats.capacity,
        .waiting = e->seats.waiting,
        .opens_at = e->seats.opens_at,
        .starts_at = e->event.starts_at,
    };
    if (USH_HAS(&e->seats, seats_capacity))
        USH_SET(&l, event_line_capacity);
    return l;
}

static int list(struct cli *cli)
{
    struct ush_rows events;
    USH_TRY(events_read(cli->db, cli->arena, &events));
    const struct event_entry *e = events.at;
    struct event_line *lines = USH_NEW_N(cli->arena, struct event_line, events.count + 1);
    int64_t now_ms = ush_wall_ms();
    for (size_t i = 0; i < events.count; i++)
        lines[i] = line_of(&e[i], now_ms);
    struct ush_rows rows = {lines, events.count};
    cli_print_rows(cli, &event_line_record, &rows);
    return CLI_OK;
}

static int show(struct cli *cli)
{
    struct event_entry e;
    int r = event_read(cli->db, ush_text_of(cli->arguments[0]), cli->arena, &e);
    if (r == USH_ENOTFOUND)
        return cli_fail("there is no event \"%s\"; usher event list shows them", cli->arguments[0]);
    USH_TRY(r);
    if (cli->json) {
        struct ush_buf b;
        ush_buf_init(&b, 1 << 20);
        ush_buf_add(&b, USH_T("{\"event\":"));
        ush_record_encode_json(&event_record, &e.event, &b);
        ush_buf_add(&b, USH_T(",\"seats\":"));
        ush_record_encode_json(&seats_record, &e.seats, &b);
        ush_buf_add(&b, USH_T("}"));
        puts(ush_buf_text(&b).at);
        ush_buf_fini(&b);
        return CLI_OK;
    }
    cli_print_record(cli, &event_record, &e.event);
    printf("\n");
    cli_print_record(cli, &seats_record, &e.seats);
    return CLI_OK;
}

/* ---- import ---------------------------------------------------------------------------------- */

static int import(struct cli *cli)
{
    ush_text file;
    if (cli_read_file(cli, cli->arguments[0], (size_t)cli->settings.max_import, &file) < 0)
        return CLI_FAILED;
    const char *format = cli_option(cli, "format");
    struct import_options o = {.tz = cli->settings.tz, .dry_run = true, .actor = cli_actor(cli)};
    if (format && !strcmp(format, "csv"))
        o.format = IMPORT_CSV;
    else if (format && !strcmp(format, "json"))
        o.format = IMPORT_JSON;
    else if (format)
        return cli_usage("--format takes csv or json, not \"%s\"", format);

    struct import_result result;
    int r = import_events(cli->db, file, &o, cli->arena, &result);
    if (r < 0 && r != USH_EINVAL)
        return r;
    bool apply = !cli_option(cli, "dry-run") && result.errors == 0 && r == 0 &&
                 result.fresh + result.changed > 0;
    if (apply && !cli_option(cli, "yes")) {
        if (!cli->json)
            cli_print_rows(cli, &import_report_record, &result.rows);
        if (!cli_confirm(cli, "Store %zu new and %zu changed events?", result.fresh,
                         result.changed))
            return CLI_FAILED;
    }
    if (apply) {
        o.dry_run = false;
        USH_TRY(import_events(cli->db, file, &o, cli->arena, &result));
    }
    cli_print_rows(cli, &import_report_record, &result.rows);
    cli_say(cli, "%zu new, %zu changed, %zu unchanged, %zu wrong: %s", result.fresh, result.changed,
            result.unchanged, result.errors,
            result.applied                       ? "stored"
            : result.errors                      ? "nothing was stored"
            : result.fresh + result.changed == 0 ? "nothing to store"
                                                 : "a dry run, nothing was stored");
    return result.errors ? CLI_FAILED : CLI_OK;
}

/* ---- changes --------------------------------------------------------------------------------- */

static int say_outcome(struct cli *cli, const struct change_result *result, const char *done)
{
    const char *slug = cli->arguments[0];
    switch ((enum change_outcome)result->outcome) {
    case CHANGE_DONE:
    case CHANGE_NOTHING:
        if (cli->json)
            cli_print_record(cli, &change_result_record, result);
        else if (result->outcome == CHANGE_NOTHING)
            printf("%s: it is so already\n", slug);
        else if (result->promoted)
            printf("%s: %s; %lld moved up from the waitlist\n", slug, done,
                   (long long)result->promoted);
        else
            printf("%s: %s\n", slug, done);
        return CLI_OK;
    case CHANGE_NOT_FOUND:
        return cli_fail("there is no event \"%s\"; usher event list shows them", slug);
    case CHANGE_BELOW_TAKEN:
        return cli_fail(
            "%s: %lld places are taken, the capacity cannot be lower; nobody is dropped", slug,
            (long long)result->taken);
    case CHANGE_DEAD:
        return cli_fail("%s is cancelled", slug);
    case CHANGE_TOO_LATE:
        return cli_fail("%s: no mail waits that could be taken back; they have begun to go out, "
                        "or were taken back before",
                        slug);
    case CHANGE_TOO_SOON:
        return cli_fail("%s: mails about it wait already; usher event undo takes them back", slug);
    default:
        return cli_fail("%s: %.*s", slug,
                        USH_PR(result->text.at ? result->text : USH_T("it was refused")));
    }
}

static int change_seats(struct cli *cli, struct seats_change *in, const char *done)
{
    struct change_result result;
    in->slug = ush_text_of(cli->arguments[0]);
    in->actor = cli_actor(cli);
    USH_TRY(ush_change(cli->db, &op_seats, in, &result, cli->arena));
    return say_outcome(cli, &result, done);
}

static int open_gate(struct cli *cli)
{
    struct seats_change in = {.gate = USH_T("open")};
    return change_seats(cli, &in, "registration is open");
}

static int close_gate(struct cli *cli)
{
    struct seats_change in = {.gate = USH_T("closed")};
    return change_seats(cli, &in, "registration is closed");
}

/* A number, or "unlimited" as -1. */
static int64_t read_places(const char *typed)
{
    int64_t n;
    if (!strcmp(typed, "unlimited"))
        return -1;
    if (ush_text_i64(ush_text_of(typed), &n) < 0 || n < 0 || n > 10000000)
        exit(
            cli_usage("a number from 0 to 10000000 or \"unlimited\" is wanted, not \"%s\"", typed));
    return n;
}

static int capacity(struct cli *cli)
{
    struct seats_change in = {0};
    if (cli->argument_count > 1) {
        in.capacity = read_places(cli->arguments[1]);
        USH_SET(&in, seats_change_capacity);
    }
    const char *waitlist = cli_option(cli, "waitlist");
    if (waitlist) {
        in.waitlist = read_places(waitlist);
        USH_SET(&in, seats_change_waitlist);
    }
    if (!in.has)
        return cli_usage("usher event capacity needs a number, or --waitlist N");
    return change_seats(cli, &in, "stored");
}

static int announce_with(struct cli *cli, const struct ush_operation *op, const char *done)
{
    struct event_cancel in = {.slug = ush_text_of(cli->arguments[0]),
                              .undo_ms = cli->settings.undo_s * 1000,
                              .actor = cli_actor(cli)};
    struct change_result result;
    USH_TRY(announcement_change(&cli->fest, op, &in, cli->arena, &result));
    return say_outcome(cli, &result, done);
}

static int cancel_event(struct cli *cli)
{
    if (!cli_confirm(cli, "Cancel %s and mail everybody who holds a place?", cli->arguments[0]))
        return CLI_FAILED;
    return announce_with(
        cli, &op_event_cancel,
        "cancelled; the mails go out in a moment, until then usher event undo takes it back");
}

static int announce(struct cli *cli)
{
    if (!cli_confirm(cli, "Mail everybody who holds a place in %s or waits?", cli->arguments[0]))
        return CLI_FAILED;
    return announce_with(cli, &op_announce,
                         "the mails go out in a moment, until then usher event undo stops them");
}

static int undo(struct cli *cli)
{
    return announce_with(cli, &op_announce_undo, "taken back; no mail was sent");
}

const struct cli_command cli_event_commands[] = {
    {.name = "event import",
     .arguments = "FILE",
     .summary = "store events from a CSV or JSON file",
     .help =
         "Reads events from FILE (\"-\" is standard input), shows what is new, changed, unchanged "
         "or\n"
         "wrong, asks, and stores all of them or none. An event is known by its slug, so running "
         "a\n"
         "file twice changes nothing the second time.\n\n"
         "Columns: slug, title, category, venue, starts, ends, tz, opens, closes, kind, team_min,\n"
         "team_max, capacity, waitlist, school_limit, grade_min, grade_max, summary, description,\n"
         "dedupe, questions. Needed are slug, title and starts. Times are local to tz "
         "(\"2026-03-14\n"
         "10:00\") or carry an offset. JSON is an array of objects with the same names.\n\n"
         "  usher event import fest.csv --dry-run",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = {{"dry-run", NULL, "show what would happen and store nothing"},
                 {"yes", NULL, "do not ask"},
                 {"format", "csv|json", "when the file does not show it"}},
     .needs_db = true,
     .run = import},
    {.name = "event list",
     .summary = "all events with their places",
     .help = "Lists all events with places taken, capacity and waitlist.",
     .needs_db = true,
     .run = list},
    {.name = "event show",
     .arguments = "SLUG",
     .summary = "everything about one event",
     .help = "Shows an event's description and its places.",
     .min_arguments = 1,
     .max_arguments = 1,
     .needs_db = true,
     .run = show},
    {.name = "event open",
     .arguments = "SLUG",
     .summary = "switch registration on",
     .help = "Switches registration on. The times opens and closes still hold.",
     .min_arguments = 1,
     .max_arguments = 1,
     .needs_db = true,
     .run = open_gate},
    {.name = "event close",
     .arguments = "SLUG",
     .summary = "switch registration off",
     .help = "Switches registration off at once. Who has a place keeps it.",
     .min_arguments = 1,
     .max_arguments = 1,
     .needs_db = true,
     .run = close_gate},
    {.name = "event capacity",
     .arguments = "SLUG [N]",
     .summary = "change the number of places",
     .help = "Sets the places of an event to N (or \"unlimited\"). More places go to the waitlist\n"
             "first, in order. Fewer than are taken is refused: nobody is dropped silently.\n\n"
             "  usher event capacity robotics 60 --waitlist 20",
     .min_arguments = 1,
     .max_arguments = 2,
     .options = {{"waitlist", "N", "places on the waitlist, or \"unlimited\""}},
     .needs_db = true,
     .run = capacity},
    {.name = "event cancel",
     .arguments = "SLUG",
     .summary = "cancel an event and tell everybody",
     .help = "Closes an event for good and mails everybody who holds a place or waits for one.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = {{"yes", NULL, "do not ask"}},
     .needs_db = true,
     .run = cancel_event},
    {.name = "event announce",
     .arguments = "SLUG",
     .summary = "mail everybody how an event stands now",
     .help = "After a change of place or time: writes to everybody who has a place or waits. The\n"
             "mails begin after UNDO_S seconds and never delay a ticket.\n\n"
             "  usher event announce robo-race",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = {{"yes", NULL, "do not ask"}},
     .needs_db = true,
     .run = announce},
    {.name = "event undo",
     .arguments = "SLUG",
     .summary = "take back an announcement or a cancellation",
     .help = "While none of its mails has begun. A cancelled event is there again, with its\n"
             "registration closed.\n\n"
             "  usher event undo robo-race",
     .min_arguments = 1,
     .max_arguments = 1,
     .needs_db = true,
     .run = undo},
    {0}};
