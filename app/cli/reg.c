/*
 * reg.c - `usher reg …`: list, show, cancel, export registrations.
 *
 * A registration is named by what people have at hand: the short code (K7QF-2M9D), the id of the
 * API, or the text of the QR code.
 */
#include <fcntl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "domain/events.h"
#include "domain/export.h"
#include "domain/mail_status.h"
#include "domain/people.h"

/* A line of `reg list`. */
#define REG_LINE_FIELDS(F, R)                                                                      \
    F(R, TEXT, code, .doc = "Short code")                                                          \
    F(R, TEXT, event, .doc = "Slug")                                                               \
    F(R, I64, seq, .doc = "Order of arrival")                                                      \
    F(R, TEXT, status, .doc = "confirmed, waitlisted, cancelled")                                  \
    F(R, TEXT, name, .doc = "Lead")                                                                \
    F(R, TEXT, email, .doc = "Lead's address")                                                     \
    F(R, TEXT, school, .doc = "School")                                                            \
    F(R, TEXT, team, .doc = "Team")                                                                \
    F(R, TIME, created_at, .doc = "Arrived")
USH_RECORD(reg_line, REG_LINE_FIELDS)
USH_RECORD_DEFINE(reg_line, REG_LINE_FIELDS)

/* What `reg show` adds to the line. */
#define REG_FULL_FIELDS(F, R)                                                                      \
    F(R, ONE, registration, .of = &reg_line_record, .doc = "As in the list")                       \
    F(R, TEXT, id, .doc = "Id of the API")                                                         \
    F(R, LIST, people, .of = &participant_record, .doc = "Everybody in it")                        \
    F(R, TEXT, phone, .optional = true, .doc = "Phone")                                            \
    F(R, I64, grade, .optional = true, .doc = "Grade")                                             \
    F(R, I64, waitlist_position, .optional = true, .doc = "From 1")                                \
    F(R, TEXT, manage_url, .doc = "The private link")                                              \
    F(R, TEXT, mail, .doc = "State of the newest mail")                                            \
    F(R, TEXT, mail_note, .optional = true, .doc = "The mail server's words")
USH_RECORD(reg_full, REG_FULL_FIELDS)
USH_RECORD_DEFINE(reg_full, REG_FULL_FIELDS)

static ush_text slug_of(struct cli *cli, const struct ush_rows *events, int64_t id)
{
    const struct event_entry *e = events->at;
    for (size_t i = 0; i < events->count; i++)
        if (e[i].event.id == id)
            return e[i].event.slug;
    return ush_arena_printf(cli->arena, "%lld", (long long)id);
}

static struct reg_line line_of(struct cli *cli, const struct registration *r,
                               const struct ush_rows *events)
{
    char code[SHORT_CODE_CHARS + 1];
    short_code_format(&cli->fest.keys, r->id, code);
    struct reg_line l = {
        .code = ush_arena_copy(cli->arena, ush_text_of(code)),
        .event = slug_of(cli, events, registration_event_of(r->id)),
        .seq = registration_seq_of(r->id),
        .status = ush_text_of(registration_status_name(r->status)),
        .name = r->lead_name,
        .email = r->lead_email,
        .school = r->school,
        .team = r->team_name,
        .created_at = r->created_at,
    };
    return l;
}

/* The event named by --event, or 0; a usage error is negative. */
static int64_t event_option(struct cli *cli)
{
    const char *slug = cli_option(cli, "event");
    if (!slug)
        return 0;
    struct event_entry e;
    int r = event_read(cli->db, ush_text_of(slug), cli->arena, &e);
    if (r == USH_ENOTFOUND)
        return -cli_usage("there is no event \"%s\"; usher event list shows them", slug);
    return r < 0 ? r : e.event.id;
}

static int64_t status_option(struct cli *cli)
{
    const char *typed = cli_option(cli, "status");
    if (!typed)
        return 0;
    for (int64_t s = REGISTRATION_CONFIRMED; s <= REGISTRATION_CANCELLED; s++)
        if (!strcmp(typed, registration_status_name(s)))
            return s;
    return -cli_usage("--status takes confirmed, waitlisted or cancelled, not \"%s\"", typed);
}

static int list(struct cli *cli)
{
    struct registration_filter filter = {.event = event_option(cli), .status = status_option(cli)};
    if (filter.event < 0 || filter.status < 0)
        return CLI_USAGE;
    filter.text = ush_text_of(cli_option(cli, "search"));
    size_t limit = (size_t)cli_option_i64(cli, "limit", 200);
    struct ush_rows events, part;
    USH_TRY(events_read(cli->db, cli->arena, &events));
    struct reg_line *lines = USH_NEW_N(cli->arena, struct reg_line, limit + 1);
    if (!lines)
        return cli_fail("--limit %zu is more than fits into memory; reg export streams", limit);
    size_t n = 0;
    do {
        filter.limit = limit - n < 1000 ? limit - n : 1000;
        USH_TRY(registrations_list(cli->db, &filter, cli->arena, &part));
        const struct registration *r = part.at;
        for (size_t i = 0; i < part.count; i++) {
            lines[n++] = line_of(cli, &r[i], &events);
            filter.after_id = r[i].id;
        }
        cli_progress(cli, "read", n, 0);
    } while (part.count > 0 && n < limit);
    struct ush_rows rows = {lines, n};
    cli_print_rows(cli, &reg_line_record, &rows);
    if (n == limit)
        cli_say(cli, "the first %zu; --limit N shows more", n);
    return CLI_OK;
}

/* The id behind what was typed, or a negative code after saying so. */
static int64_t read_id(struct cli *cli)
{
    ush_text typed = ush_text_of(cli->arguments[0]);
    int64_t id, rev;
    if (public_id_parse(&cli->fest.keys, typed, &id) == 0 ||
        short_code_parse(&cli->fest.keys, typed, &id) == 0 ||
        ticket_parse(&cli->fest.keys, typed, &id, &rev) == 0)
        return id;
    cli_fail("\"%s\" is no short code, id or ticket of this fest", cli->arguments[0]);
    return -EINVAL;
}

static int show(struct cli *cli)
{
    int64_t id = read_id(cli);
    if (id < 0)
        return CLI_FAILED;
    struct registration_view v;
    int r = registration_read(cli->db, id, cli->arena, &v);
    if (r == USH_ENOTFOUND)
        return cli_fail("there is no registration %s", cli->arguments[0]);
    USH_TRY(r);
    struct ush_rows events;
    USH_TRY(events_read(cli->db, cli->arena, &events));
    if (v.people_count > 0) {
        v.registration.lead_name = v.people[0].name;
        v.registration.lead_email = v.people[0].email;
    }
    struct reg_line line = line_of(cli, &v.registration, &events);
    char public_id[PUBLIC_ID_CHARS + 1], token[MANAGE_TOKEN_CHARS + 1];
    public_id_format(&cli->fest.keys, id, public_id);
    manage_token_format(&cli->fest.keys, id, v.registration.manage_rev, token);
    struct reg_full full = {
        .registration = &line,
        .id = ush_text_of(public_id),
        .people = {v.people, v.people_count},
        .phone = v.registration.phone,
        .grade = v.registration.grade,
        .waitlist_position = v.waitlist_position,
        .manage_url = ush_arena_printf(cli->arena, "%s/r/%s", cli->settings.base_url, token),
        .mail = v.mail_state < 0 ? USH_T("none") : ush_text_of(mail_state_name(v.mail_state)),
        .mail_note = v.mail_note,
    };
    if (USH_HAS(&v.registration, registration_grade))
        USH_SET(&full, reg_full_grade);
    if (v.waitlist_position)
        USH_SET(&full, reg_full_waitlist_position);
    if (!v.mail_note.len)
        full.mail_note = USH_NONE;
    if (cli->json) {
        cli_print_record(cli, &reg_full_record, &full);
        return CLI_OK;
    }
    cli_print_record(cli, &reg_line_record, &line);
    full.registration = NULL;
    full.people.count = 0;
    cli_print_record(cli, &reg_full_record, &full);
    printf("\n");
    cli_print_rows(cli, &participant_record, &(struct ush_rows){v.people, v.people_count});
    return CLI_OK;
}

static int cancel_one(struct cli *cli)
{
    int64_t id = read_id(cli);
    if (id < 0)
        return CLI_FAILED;
    if (!cli_confirm(cli, "Cancel registration %s? Its place goes to the next in line.",
                     cli->arguments[0]))
        return CLI_FAILED;
    struct cancel in = {
        .registration = id, .reason = USH_T("by_organiser"), .actor = cli_actor(cli)};
    struct change_result result;
    USH_TRY(ush_change(cli->db, &op_cancel, &in, &result, cli->arena));
    if (result.outcome == CHANGE_NOT_FOUND)
        return cli_fail("there is no registration %s", cli->arguments[0]);
    if (result.outcome != CHANGE_DONE && result.outcome != CHANGE_NOTHING)
        return cli_fail("%s: %.*s", cli->arguments[0],
                        USH_PR(result.text.at ? result.text : USH_T("it was refused")));
    if (cli->json)
        cli_print_record(cli, &change_result_record, &result);
    else
        printf("%s: %s%s\n", cli->arguments[0],
               result.outcome == CHANGE_DONE ? "cancelled" : "it is cancelled already",
               result.promoted ? "; the next in line has the place" : "");
    return CLI_OK;
}

/* ---- export ---------------------------------------------------------------------------------- */

struct export
{
    struct cli *cli;
    int fd;
    size_t bytes;
};

static int write_piece(void *ctx, ush_text piece)
{
    struct export *e = ctx;
    e->bytes += piece.len;
    cli_progress(e->cli, "KiB written:", e->bytes >> 10, 0);
    while (piece.len > 0) {
        ssize_t n = write(e->fd, piece.at, piece.len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            piece = (ush_text){piece.at + n, piece.len - (size_t)n};
    }
    return 0;
}

static int export(struct cli *cli)
{
    const char *format = cli_option(cli, "format"), *path = cli_option(cli, "output");
    struct export_options o = {.format = cli->json ? EXPORT_JSON : EXPORT_CSV,
                               .event = event_option(cli),
                               .status = status_option(cli)};
    if (o.event < 0 || o.status < 0)
        return CLI_USAGE;
    if (format && strcmp(format, "csv") && strcmp(format, "json"))
        return cli_usage("--format takes csv or json, not \"%s\"", format);
    if (format)
        o.format = strcmp(format, "csv") ? EXPORT_JSON : EXPORT_CSV;
    int fd = 1;
    if (path) {
        /* Readable by its owner only: it holds names and addresses of minors. */
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0)
            return cli_fail("%s: %s", path, strerror(errno));
    }
    struct export e = {cli, fd, 0};
    int n = export_registrations(&cli->fest, &o, write_piece, &e);
    if (path && (fsync(fd) < 0 || close(fd) < 0) && n >= 0)
        n = -errno;
    if (n < 0)
        return cli_fail_code(n, "%s", path ? path : "the export");
    if (path)
        fprintf(stderr, "%d registrations written to %s\n", n, path);
    return CLI_OK;
}

#define FILTERS                                                                                    \
    {"event", "SLUG", "only this event"},                                                          \
    {                                                                                              \
        "status", "S", "confirmed, waitlisted or cancelled"                                        \
    }

const struct cli_command cli_reg_commands[] = {
    {.name = "reg list",
     .summary = "registrations, in order of arrival",
     .help = "Lists registrations. --search looks in names, addresses, schools and teams.",
     .options = {FILTERS,
                 {"search", "TEXT", "only those that contain it"},
                 {"limit", "N", "at most so many (200)"}},
     .needs_db = true,
     .run = list},
    {.name = "reg show",
     .arguments = "CODE",
     .summary = "everything about one registration",
     .help =
         "Shows one registration with its people and its private link. CODE is the short code,\n"
         "the id of the API, or the text of the QR code.",
     .min_arguments = 1,
     .max_arguments = 1,
     .needs_db = true,
     .run = show},
    {.name = "reg cancel",
     .arguments = "CODE",
     .summary = "cancel one; the next in line moves up",
     .help = "Cancels a registration and mails its lead. If it held a place, the longest waiting\n"
             "moves up in the same transaction.",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = {{"yes", NULL, "do not ask"}},
     .needs_db = true,
     .run = cancel_one},
    {.name = "reg export",
     .summary = "write registrations as CSV or JSON",
     .help = "Writes registrations to standard output or a file, one row at a time. Cells that a\n"
             "spreadsheet would take for a formula are guarded in CSV; JSON is exact.\n\n"
             "  usher reg export --event robotics --output robotics.csv",
     .options = {FILTERS,
                 {"format", "csv|json", "csv unless --json"},
                 {"output", "FILE", "instead of standard output"}},
     .needs_db = true,
     .run = export},
    {0}};
