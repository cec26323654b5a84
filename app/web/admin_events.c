/*
 * admin_events.c - events: the list, one, its form, its places, and files of many.
 *
 * The form of an event is a row of an import file, and goes the same way: typed local times become
 * instants, every fault is named at its field, and what is stored is what the preview said, or
 * nothing if somebody else changed the event meanwhile (its version is in the form).
 */
#include "web/admin_events.h"

#include <stdio.h>

#include "gen/assets.h"
#include "gen/pages.h"

USH_RECORD_DEFINE(event_form, EVENT_FORM_FIELDS)
USH_RECORD_DEFINE(seats_form, SEATS_FORM_FIELDS)
USH_RECORD_DEFINE(promote_form, PROMOTE_FORM_FIELDS)
USH_RECORD_DEFINE(import_form, IMPORT_FORM_FIELDS)
static_assert(offsetof(struct event_form, questions) == offsetof(struct import_row, questions),
              "event_form begins with a struct import_row");

enum { MINUTE_MS = 60000, EVENTS_BYTES_MAX = 64 << 20 };

int event_of_slug(struct ush_request *rq, struct event_entry *ret)
{
    ush_text slug = ush_param(rq, "slug");
    int r = event_read(web_of(rq)->fest.db, slug, rq->arena, ret);
    if (r == USH_ENOTFOUND)
        return ush_problem(rq, &problem_no_event, "There is no event \"%.*s\".", USH_PR(slug));
    return r;
}

/* ---- the list -------------------------------------------------------------------------------- */

int web_admin_events(struct ush_request *rq)
{
    struct ush_rows all;
    struct ush_arena arena; /* a thousand descriptions may be more than a request's memory holds */
    const struct caller *c = caller_of(rq);
    ush_arena_init(&arena, NULL, 0, EVENTS_BYTES_MAX);
    int r = events_read(web_of(rq)->fest.db, &arena, &all);
    if (r < 0) {
        ush_arena_fini(&arena);
        return r;
    }
    struct event_entry *e = all.at;
    size_t n = 0;
    for (size_t i = 0; i < all.count; i++)
        if (events_allow(c->account.events, e[i].event.id))
            e[n++] = e[i];
    struct admin_frame f = admin_frame_of(rq, USH_T("Events"), "/admin/events");
    struct ush_buf b = PAGE(page_admin_events, &f, e, n, ush_wall_ms());
    ush_arena_fini(&arena);
    return reply_page(rq, 200, b);
}

/* ---- one event ------------------------------------------------------------------------------- */

enum asks { ASKS_NOTHING, ASKS_CANCEL, ASKS_ANNOUNCE };

static int show_event(struct ush_request *rq, enum asks asks)
{
    struct event_entry e;
    struct ush_buf svg;
    USH_TRY(event_of_slug(rq, &e));
    struct event_page_view v = {.event = &e,
                                .now_ms = ush_wall_ms(),
                                .asks_cancel = asks == ASKS_CANCEL,
                                .asks_announce = asks == ASKS_ANNOUNCE};
    USH_TRY(announcement_waiting(web_of(rq)->fest.db, e.event.id, &v.waiting));
    v.mails = e.seats.taken + e.seats.waiting;
    v.link = ush_arena_printf(rq->arena, "%s/e/%.*s", web_of(rq)->settings->base_url,
                              USH_PR(e.event.slug));
    v.message = ush_arena_printf(
        rq->arena, "%.*s\n%.*s (%.*s)%s%.*s\nRegister: %.*s", USH_PR(e.event.title),
        USH_PR(event_when(rq->arena, &e.event, e.event.starts_at)), USH_PR(e.event.tz),
        e.event.venue.len ? ", " : "", USH_PR(e.event.venue), USH_PR(v.link));
    ush_buf_init(&svg, PAGE_BYTES_MAX);
    if (qr_svg(v.link, USH_T("QR code of the link to the event"), &svg) == 0)
        v.svg = ush_buf_text(&svg);
    struct admin_frame f = admin_frame_of(rq, e.event.title, "/admin/events");
    struct ush_buf b = PAGE(page_admin_event, &f, &v);
    ush_buf_fini(&svg);
    return reply_page(rq, 200, b);
}

int web_admin_event(struct ush_request *rq)
{
    return show_event(rq, ASKS_NOTHING);
}

int web_admin_event_cancel_form(struct ush_request *rq)
{
    return show_event(rq, ASKS_CANCEL);
}

int web_admin_event_announce_form(struct ush_request *rq)
{
    return show_event(rq, ASKS_ANNOUNCE);
}

static int tell(struct ush_request *rq, const struct ush_operation *op, const char *done)
{
    struct change_result result;
    struct event_cancel in = {.slug = ush_param(rq, "slug"),
                              .undo_ms = web_of(rq)->settings->undo_s * 1000,
                              .actor = caller_of(rq)->actor};
    USH_TRY(announcement_change(&web_of(rq)->fest, op, &in, rq->arena, &result));
    return reply_change(rq, &result, done, "/admin/events/%.*s", USH_PR(in.slug));
}

int web_admin_event_cancel(struct ush_request *rq)
{
    return tell(rq, &op_event_cancel, "cancelled");
}

int web_admin_event_announce(struct ush_request *rq)
{
    return tell(rq, &op_announce, "announced");
}

int web_admin_event_undo(struct ush_request *rq)
{
    return tell(rq, &op_announce_undo, "undone");
}

/* A number typed into a form, -1 for `endless`; an empty field is `empty`. */
static int number_of(ush_text typed, const char *endless, int64_t empty, int64_t *ret)
{
    typed = ush_text_trim(typed);
    bool is_endless = ush_text_equal_nocase(typed, ush_text_of(endless));
    *ret = is_endless ? -1 : empty;
    if (!typed.len || is_endless)
        return 0;
    return ush_text_i64(typed, ret) < 0 || *ret < 0 || *ret > 10000000 ? -EINVAL : 0;
}

int web_admin_seats(struct ush_request *rq)
{
    const struct seats_form *in = rq->input;
    struct change_result result;
    struct seats_change change = {
        .slug = ush_param(rq, "slug"), .gate = in->gate, .actor = caller_of(rq)->actor};
    if (!in->gate.at) {
        if (number_of(in->capacity, "", -1, &change.capacity) < 0 ||
            number_of(in->waitlist, "unlimited", 0, &change.waitlist) < 0)
            return reply_done(rq, "/admin/events/%.*s?done=number", USH_PR(change.slug));
        USH_SET(&change, seats_change_capacity);
        USH_SET(&change, seats_change_waitlist);
    }
    USH_TRY(fest_change(&web_of(rq)->fest, &op_seats, &change, &result, rq->arena));
    return reply_change(rq, &result, "saved", "/admin/events/%.*s", USH_PR(change.slug));
}

int web_admin_promote(struct ush_request *rq)
{
    const struct promote_form *in = rq->input;
    struct change_result result;
    struct promote change = {
        .slug = ush_param(rq, "slug"), .count = in->count, .actor = caller_of(rq)->actor};
    ush_random(&change.once, sizeof change.once);
    USH_TRY(fest_change(&web_of(rq)->fest, &op_promote, &change, &result, rq->arena));
    return reply_change(rq, &result, "promoted", "/admin/events/%.*s/people?status=waitlisted",
                        USH_PR(change.slug));
}

/* ---- the form -------------------------------------------------------------------------------- */

static const struct {
    const char *name, *label, *type, *hint, *choices;
    bool required;
} inputs[EVENT_FIELDS_SHOWN] = {
    {"title", "Title", "text", NULL, NULL, true},
    {"slug", "Name in the link", "text",
     "Small letters, digits and hyphens: robo-race. It stays for ever.", NULL, true},
    {"category", "Category", "text", NULL, NULL, false},
    {"venue", "Where", "text", NULL, NULL, false},
    {"tz", "Time zone", "text", "Such as Asia/Kolkata. All times below are local to it.", NULL,
     false},
    {"starts", "Begins", "datetime-local", NULL, NULL, true},
    {"ends", "Ends", "datetime-local", "Default: an hour later.", NULL, false},
    {"opens", "Registration opens", "datetime-local", "Default: at once.", NULL, false},
    {"closes", "Registration closes", "datetime-local", "Default: when it begins.", NULL, false},
    {"kind", "Who takes a place", "select", NULL, "individual|team", false},
    {"team_min", "People in a team, at least", "number", "Only for teams, the lead included.", NULL,
     false},
    {"team_max", "People in a team, at most", "number", NULL, NULL, false},
    {"capacity", "Places", "number", "Empty: as many as come.", NULL, false},
    {"waitlist", "Places on the waitlist", "text", "A number, or: unlimited. Empty: none.", NULL,
     false},
    {"school_limit", "Places per school", "number", NULL, NULL, false},
    {"grade_min", "Lowest grade", "number", NULL, NULL, false},
    {"grade_max", "Highest grade", "number", NULL, NULL, false},
    {"summary", "Summary", "text", "One or two sentences, also shown where the link is shared.",
     NULL, false},
    {"description", "Description", "area", NULL, NULL, false},
    {"questions", "Further questions", "area",
     "One a line, at most ten. \"T-shirt size: S | M | L\" gives a choice; \"Allergies "
     "(optional)\" "
     "may be left out.",
     NULL, false},
};
const size_t event_form_numbers[EVENT_FIELDS_SHOWN] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
                                                       10, 11, 12, 13, 14, 15, 16, 17, 18, 19};

/* What a field of the form holds, as text. */
static ush_text typed_in(const struct event_form *form, const char *name, int64_t *ret_max,
                         struct ush_arena *arena)
{
    const struct ush_record *r = &event_form_record;
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *field = &r->fields[i];
        const char *at = (const char *)form + field->offset;
        if (strcmp(field->name, name) != 0)
            continue;
        *ret_max = field->type == USH_TYPE_TEXT ? field->max : 10;
        return field->type == USH_TYPE_TEXT
                   ? *(const ush_text *)at
                   : optional_number(arena, form->has >> i & 1, *(const int64_t *)at);
    }
    return USH_NONE;
}

struct admin_field event_form_field(const struct event_form_view *v, size_t i,
                                    struct ush_arena *arena)
{
    struct admin_field f = {.name = inputs[i].name,
                            .label = inputs[i].label,
                            .type = inputs[i].type,
                            .hint = inputs[i].hint,
                            .choices = inputs[i].choices,
                            .autocomplete = "off",
                            .required = inputs[i].required,
                            .fault = fault_of(v->faults, inputs[i].name)};
    f.value = typed_in(v->form, f.name, &f.max, arena);
    f.fixed = v->slug.at && !strcmp(f.name, "slug");
    return f;
}

/* "2026-03-14T10:00" as the input of a browser wants it. */
static ush_text local_time(const struct zone *z, int64_t wall_ms, struct ush_arena *arena)
{
    char text[32];
    ush_time_format(wall_ms - wall_ms % MINUTE_MS, zone_offset_min(z, wall_ms), text);
    return ush_arena_copy(arena, (ush_text){text, 16});
}

/* The form of a stored event. */
static int form_of(const struct event_entry *entry, struct ush_arena *arena, struct event_form *ret)
{
    const struct event *e = &entry->event;
    const struct seats *s = &entry->seats;
    struct zone *z;
    ush_text tz = ush_arena_copy(arena, e->tz);
    bool endless = !USH_HAS(s, seats_waitlist_capacity);
    USH_TRY(tz.at ? zone_load(tz.at, arena, &z) : USH_ELIMIT);
    *ret = (struct event_form){
        .slug = e->slug,
        .title = e->title,
        .category = e->category,
        .venue = e->venue,
        .tz = e->tz,
        .kind = e->kind,
        .dedupe = e->dedupe,
        .summary = e->summary,
        .description = e->description,
        .questions = e->questions,
        .capacity = s->capacity,
        .team_min = e->team_min,
        .team_max = e->team_max,
        .school_limit = s->school_limit,
        .grade_min = e->grade_min,
        .grade_max = e->grade_max,
        .version = e->version,
        .starts = local_time(z, e->starts_at, arena),
        .ends = local_time(z, e->ends_at, arena),
        .opens = local_time(z, s->opens_at, arena),
        .closes = local_time(z, s->closes_at, arena),
        .waitlist =
            endless ? USH_T("unlimited") : optional_number(arena, true, s->waitlist_capacity),
    };
    if (USH_HAS(s, seats_capacity))
        USH_SET(ret, event_form_capacity);
    if (USH_HAS(s, seats_school_limit))
        USH_SET(ret, event_form_school_limit);
    if (e->grade_min)
        USH_SET(ret, event_form_grade_min);
    if (e->grade_max)
        USH_SET(ret, event_form_grade_max);
    USH_SET(ret, event_form_team_min);
    USH_SET(ret, event_form_team_max);
    return 0;
}

static int show_form(struct ush_request *rq, int status, struct event_form_view *v,
                     ush_text trouble)
{
    v->now_ms = ush_wall_ms();
    struct admin_frame f =
        admin_frame_of(rq,
                       v->slug.at ? ush_arena_printf(rq->arena, "Edit %.*s", USH_PR(v->form->title))
                                  : USH_T("New event"),
                       "/admin/events");
    f.trouble = trouble;
    return reply_page(rq, status, PAGE(page_admin_event_form, &f, v));
}

int web_admin_event_new(struct ush_request *rq)
{
    const struct event_form empty = {.tz = ush_text_of(web_of(rq)->settings->tz)};
    struct event_form_view v = {.form = &empty};
    return show_form(rq, 200, &v, USH_NONE);
}

int web_admin_event_edit(struct ush_request *rq)
{
    struct event_entry e;
    struct event_form form;
    USH_TRY(event_of_slug(rq, &e));
    USH_TRY(form_of(&e, rq->arena, &form));
    struct event_form_view v = {.form = &form, .slug = e.event.slug};
    return show_form(rq, 200, &v, USH_NONE);
}

/* Both forms: a new event has no slug in its path. */
int web_admin_event_post(struct ush_request *rq)
{
    struct event_form *in = rq->input;
    struct ush_faults *faults = rq->faults ? rq->faults : USH_NEW(rq->arena, struct ush_faults);
    struct import_report report;
    struct event planned;
    struct seats planned_seats;
    struct event_form_view v = {.form = in, .slug = ush_param(rq, "slug"), .faults = faults};
    if (!faults)
        return USH_ELIMIT;
    if (!rq->faults)
        ush_faults_init(faults, rq->arena);
    if (v.slug.at)
        in->slug = v.slug;
    const ush_text look = USH_T("Please look at the marked fields again.");
    if (faults->count)
        return show_form(rq, 422, &v, look);
    bool saves = ush_text_equal(in->step, USH_T("save"));
    struct event_save save = {.version = v.slug.at ? in->version : 0,
                              .tz = web_of(rq)->settings->tz,
                              .dry_run = !saves,
                              .actor = caller_of(rq)->actor};
    memcpy(&save.row, in, sizeof save.row);
    /* Bits behind those of a row are the form's own. */
    save.row.has &= (UINT64_C(1) << event_form_version) - 1;
    struct fest *fest = &web_of(rq)->fest;
    int r = event_save(fest->db, &save, rq->arena, faults, &report, &planned, &planned_seats);
    if (r == USH_EINVAL)
        return show_form(rq, 422, &v, look);
    USH_TRY(r);
    events_forget(fest);
    if (ush_text_equal(report.action, USH_T("error")))
        return show_form(
            rq, 409, &v,
            ush_arena_printf(rq->arena, "Nothing is stored: %.*s.", USH_PR(report.text)));
    if (saves)
        return reply_done(rq, "/admin/events/%.*s?done=saved", USH_PR(in->slug));
    v.planned = &planned;
    v.planned_seats = &planned_seats;
    v.report = &report;
    return show_form(rq, 200, &v, USH_NONE);
}

/* ---- files of many --------------------------------------------------------------------------- */

enum { IMPORT_PAGE_MAX = 32 << 20 }; /* the text of the file in it, escaped */

static int show_import(struct ush_request *rq, int status, const struct import_view *v,
                       ush_text trouble)
{
    struct admin_frame f = admin_frame_of(rq, USH_T("Import events"), "/admin/events");
    f.trouble = trouble;
    struct ush_buf b;
    ush_buf_init(&b, IMPORT_PAGE_MAX);
    page_admin_import(&b, &f, v);
    return reply_page(rq, status, b);
}

int web_admin_import(struct ush_request *rq)
{
    return show_import(rq, 200, &(struct import_view){0}, USH_NONE);
}

int web_admin_import_post(struct ush_request *rq)
{
    const struct import_form *in = rq->input;
    struct import_result result;
    struct import_view v = {.file = in->file};
    ush_text wrong = fault_of(rq->faults, in->upload.len ? "upload" : "file");
    if (wrong.len)
        return show_import(rq, 422, &v,
                           ush_arena_printf(rq->arena,
                                            "This cannot be read as CSV or JSON in UTF-8: %.*s. "
                                            "Spreadsheets save it as \"CSV UTF-8\".",
                                            USH_PR(wrong)));
    if (in->upload.len)
        v.file = in->upload;
    if (rq->faults || !v.file.len)
        return show_import(rq, 422, &v, USH_T("Please choose a file, or paste its text."));
    /* What is stored has been checked before: a file that is chosen only now has not. */
    const struct import_options o = {.tz = web_of(rq)->settings->tz,
                                     .dry_run = in->upload.len ||
                                                !ush_text_equal(in->step, USH_T("apply")),
                                     .actor = caller_of(rq)->actor};
    struct fest *fest = &web_of(rq)->fest;
    int r = import_events(fest->db, v.file, &o, rq->arena, &result);
    if (r < 0 && r != USH_EINVAL)
        return r;
    events_forget(fest);
    if (result.applied)
        return reply_done(rq, "/admin/events?done=imported");
    v.result = &result;
    return show_import(rq, result.errors ? 422 : 200, &v,
                       result.errors ? USH_T("Nothing is stored while a row is wrong.") : USH_NONE);
}
