/*
 * admin_people.c - the people: lists with search and paging, one with its history and what can be
 * done about it, corrections, and export.
 *
 *   GET  /admin/people, /admin/events/{slug}/people     search, filter, next page
 *   GET  /admin/people/{registration}                   details, door, mails, history
 *   POST /admin/people/{registration}/ACTION            cancel, resend, reissue, edit, erase
 *   GET, POST /admin/events/{slug}/entry                somebody at the desk: the window does not
 *                                                       bind, the number of places does
 *   GET, POST /admin/events/{slug}/export               asks for a reason, which the audit keeps
 *
 * What cannot be taken back asks first: GET /admin/people/{registration}?ask=cancel shows the
 * button that does it.
 */
#include "web/admin_people.h"

#include "gen/pages.h"
#include "web/form.h"

USH_RECORD_DEFINE(people_query, PEOPLE_QUERY_FIELDS)
USH_RECORD_DEFINE(person_form, PERSON_FORM_FIELDS)
USH_RECORD_DEFINE(export_form, EXPORT_FORM_FIELDS)

enum { EXPORT_BYTES_MAX = 256 << 20 };

const size_t people_numbers[20] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,
                                   10, 11, 12, 13, 14, 15, 16, 17, 18, 19};

ush_text short_code_of(const struct fest *f, int64_t id, struct ush_arena *arena)
{
    char code[SHORT_CODE_CHARS + 1];
    short_code_format(&f->keys, id, code);
    return ush_arena_copy(arena, ush_text_of(code));
}

ush_text public_id_of(const struct fest *f, int64_t id, struct ush_arena *arena)
{
    char text[PUBLIC_ID_CHARS + 1];
    public_id_format(&f->keys, id, text);
    return ush_arena_copy(arena, ush_text_of(text));
}

ush_text moment(struct ush_arena *arena, const struct event_entry *e, int64_t wall_ms)
{
    static const struct event utc;
    return event_when(arena, e ? &e->event : &utc, wall_ms);
}

static int64_t status_of(ush_text name)
{
    for (int64_t s = REGISTRATION_CONFIRMED; s <= REGISTRATION_CANCELLED; s++)
        if (ush_text_equal(name, ush_text_of(registration_status_name(s))))
            return s;
    return 0;
}

/* ---- lists ----------------------------------------------------------------------------------- */

int web_admin_people(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    const struct people_query *q = rq->input;
    struct event_entry event;
    struct ush_rows rows;
    struct people_view v = {.query = q, .path = rq->path};
    if (ush_param(rq, "slug").at) {
        USH_TRY(event_of_slug(rq, &event));
        v.event = &event;
    }
    const struct registration_filter filter = {.event = v.event ? event.event.id : 0,
                                               .status = status_of(q->status),
                                               .text = q->q,
                                               .after_id = q->after,
                                               .limit = PEOPLE_PER_PAGE};
    USH_TRY(registrations_list(w->fest.db, &filter, rq->arena, &rows));
    v.at = rows.at;
    v.count = rows.count;
    if (rows.count == PEOPLE_PER_PAGE) {
        struct ush_buf b;
        ush_buf_init(&b, 4096);
        ush_buf_printf(&b, "%.*s?after=%lld&status=%.*s&q=", USH_PR(v.path),
                       (long long)v.at[v.count - 1].id, USH_PR(q->status));
        ush_buf_add_percent(&b, q->q);
        v.next = ush_arena_copy(rq->arena, ush_buf_text(&b));
        ush_buf_fini(&b);
    }
    struct admin_frame f = admin_frame_of(rq, v.event ? event.event.title : USH_T("People"),
                                          v.event ? "/admin/events" : "/admin/people");
    return reply_page(rq, 200, PAGE(page_admin_people, &f, &v, &w->fest));
}

/* ---- one ------------------------------------------------------------------------------------- */

/* The registration of the path, or the answer that there is none. */
static int open_person(struct ush_request *rq, struct registration_view *ret)
{
    struct fest *f = &web_of(rq)->fest;
    int64_t id;
    int r = public_id_parse(&f->keys, ush_param(rq, "registration"), &id);
    if (r == 0)
        r = registration_read(f->db, id, rq->arena, ret);
    if (r == -EINVAL || r == USH_ENOTFOUND)
        return ush_problem(rq, &problem_no_registration, "There is no such registration.");
    return r;
}

static ush_text path_of(struct ush_request *rq)
{
    return ush_arena_printf(rq->arena, "/admin/people/%.*s", USH_PR(ush_param(rq, "registration")));
}

int web_admin_person(struct ush_request *rq)
{
    struct fest *fest = &web_of(rq)->fest;
    struct registration_view reg;
    struct event_list *list EVENTS_HELD = NULL;
    ush_text ask = ush_query(rq, "ask");
    USH_TRY(open_person(rq, &reg));
    USH_TRY(events_take(fest, &list));
    int64_t id = reg.registration.id;
    struct person_view v = {.registration = &reg, .path = path_of(rq)};
    v.event = event_find_id(list, registration_event_of(id));
    v.code = short_code_of(fest, id, rq->arena).at;
    v.asks = ush_text_equal(ask, USH_T("cancel"))  ? "cancel"
             : ush_text_equal(ask, USH_T("erase")) ? "erase"
                                                   : NULL;
    USH_TRY(attendance_read(fest, id, rq->arena, &v.in, &v.scans));
    USH_TRY(registration_mails(fest, id, rq->arena, &v.mails));
    const struct audit_filter filter = {.registration = id, .limit = 200};
    USH_TRY(audit_read(fest, &filter, rq->arena, &v.audit));
    struct admin_frame f =
        admin_frame_of(rq, ush_arena_printf(rq->arena, "Registration %s", v.code), "/admin/people");
    return reply_page(rq, 200, PAGE(page_admin_person, &f, &v));
}

int web_admin_person_cancel(struct ush_request *rq)
{
    struct registration_view reg;
    struct change_result result;
    USH_TRY(open_person(rq, &reg));
    const struct cancel in = {.registration = reg.registration.id,
                              .reason = USH_T("by_organiser"),
                              .actor = caller_of(rq)->actor};
    USH_TRY(fest_change(&web_of(rq)->fest, &op_cancel, &in, &result, rq->arena));
    return reply_change(rq, &result, "cancelled", "%.*s", USH_PR(path_of(rq)));
}

static int send_again(struct ush_request *rq, const struct resend *options, const char *done)
{
    struct registration_view reg;
    struct change_result result;
    struct resend in = *options;
    USH_TRY(open_person(rq, &reg));
    in.registration = reg.registration.id;
    in.force = 1;
    in.actor = caller_of(rq)->actor;
    USH_TRY(registration_resend(&web_of(rq)->fest, &in, rq->arena, &result));
    return reply_change(rq, &result, done, "%.*s", USH_PR(path_of(rq)));
}

int web_admin_person_resend(struct ush_request *rq)
{
    return send_again(rq, &(struct resend){0}, "resent");
}

int web_admin_person_reissue(struct ush_request *rq)
{
    return send_again(rq, &(struct resend){.new_link = 1, .new_ticket = 1}, "reissued");
}

int note_export(struct ush_request *rq, int64_t registration)
{
    const struct audit_note note = {.actor = caller_of(rq)->actor,
                                    .action = USH_T("export_person"),
                                    .event_id = registration_event_of(registration),
                                    .registration_id = registration};
    return audit_write(&web_of(rq)->fest, &note, rq->arena);
}

/* What the law calls access (GDPR, article 15): handed on to whom it is about. */
int web_admin_person_export(struct ush_request *rq)
{
    struct registration_view reg;
    USH_TRY(open_person(rq, &reg));
    int64_t id = reg.registration.id;
    USH_TRY(note_export(rq, id)); /* no copy without a trace */
    return reply_data_file(rq, &reg, short_code_of(&web_of(rq)->fest, id, rq->arena).at);
}

int web_admin_person_erase(struct ush_request *rq)
{
    struct registration_view reg;
    struct change_result result;
    USH_TRY(open_person(rq, &reg));
    const struct erase in = {
        .registration = reg.registration.id, .position = EVERYBODY, .actor = caller_of(rq)->actor};
    USH_TRY(registration_erase(&web_of(rq)->fest, &in, &result, rq->arena));
    return reply_change(rq, &result, "erased", "%.*s", USH_PR(path_of(rq)));
}

/* ---- corrections ----------------------------------------------------------------------------- */

struct admin_field member_input(const struct person_form_view *v, size_t i, const char *part,
                                struct ush_arena *arena)
{
    const struct desk_person *m = v->form->members.at;
    bool is_name = part[0] == 'n';
    struct admin_field f = {.label = is_name ? "Name" : "Email address",
                            .type = is_name ? "text" : "email",
                            .autocomplete = "off",
                            .max = is_name ? 120 : 254};
    f.name = ush_arena_printf(arena, "members.%zu.%s", i, part).at;
    if (i < v->form->members.count)
        f.value = is_name ? m[i].name : m[i].email;
    f.fault = fault_of(v->faults, ush_arena_printf(arena, "members/%zu/%s", i, part).at);
    return f;
}

static int show_form(struct ush_request *rq, int status, struct person_form_view *v,
                     ush_text trouble)
{
    struct admin_frame f =
        admin_frame_of(rq, v->is_new ? USH_T("Enter somebody") : USH_T("Correct the details"),
                       v->is_new ? "/admin/events" : "/admin/people");
    v->rows = (size_t)v->event->event.team_max - 1;
    f.trouble = trouble;
    return reply_page(rq, status, PAGE(page_admin_person_form, &f, v));
}

static int show_edit(struct ush_request *rq, int status, const struct registration_view *reg,
                     const struct person_form *form, const struct ush_faults *faults,
                     ush_text trouble)
{
    struct event_list *list EVENTS_HELD = NULL;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    struct person_form_view v = {.form = form, .faults = faults, .back = path_of(rq)};
    v.path = ush_arena_printf(rq->arena, "%.*s/edit", USH_PR(v.back));
    v.event = event_find_id(list, registration_event_of(reg->registration.id));
    if (!v.event)
        return ush_problem(rq, &problem_no_event, "The event is not there any more.");
    return show_form(rq, status, &v, trouble);
}

/* The registration of the path and its details as stored. */
static int open_details(struct ush_request *rq, struct registration_view *reg,
                        struct register_form *ret)
{
    struct event_list *list EVENTS_HELD = NULL;
    USH_TRY(open_person(rq, reg));
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    const struct event_entry *e = event_find_id(list, registration_event_of(reg->registration.id));
    if (!e)
        return ush_problem(rq, &problem_no_event, "The event is not there any more.");
    struct event event = e->event;
    event.questions = ush_arena_copy(rq->arena, event.questions);
    return form_of_registration(reg, &event, rq->arena, ret);
}

int web_admin_person_edit(struct ush_request *rq)
{
    struct registration_view reg;
    struct register_form stored;
    USH_TRY(open_details(rq, &reg, &stored));
    const struct person_form form = {.name = stored.name,
                                     .email = stored.email,
                                     .school = stored.school,
                                     .grade = stored.grade,
                                     .phone = stored.phone,
                                     .team = stored.team,
                                     .members = stored.members};
    return show_edit(rq, 200, &reg, &form, NULL, USH_NONE);
}

int web_admin_person_edit_post(struct ush_request *rq)
{
    struct registration_view reg;
    struct register_form stored; /* its answers stay as they are */
    struct change_result result;
    const struct person_form *in = rq->input;
    struct ush_faults *faults = rq->faults ? rq->faults : USH_NEW(rq->arena, struct ush_faults);
    const ush_text look = USH_T("Please look at the marked fields again.");
    USH_TRY(open_details(rq, &reg, &stored));
    if (!faults)
        return USH_ELIMIT;
    if (rq->faults)
        return show_edit(rq, 422, &reg, in, faults, look);
    ush_faults_init(faults, rq->arena);
    const struct edit_request edit = {.registration = reg.registration.id,
                                      .form = {.name = in->name,
                                               .email = in->email,
                                               .school = in->school,
                                               .phone = in->phone,
                                               .grade = in->grade,
                                               .team = in->team,
                                               .members = in->members.at,
                                               .member_count = in->members.count,
                                               .answers = stored.answers.at,
                                               .answer_count = stored.answers.count,
                                               .guardian_ok = reg.registration.guardian_ok,
                                               .source = SOURCE_DESK},
                                      .by_organiser = true,
                                      .actor = caller_of(rq)->actor};
    int r = registration_edit(&web_of(rq)->fest, &edit, rq->arena, faults, &result);
    if (r == USH_EINVAL)
        return show_edit(rq, 422, &reg, in, faults, look);
    USH_TRY(r);
    if (result.outcome == CHANGE_DUPLICATE)
        return show_edit(rq, 409, &reg, in, NULL,
                         USH_T("One of these people, or the team's name, is registered already."));
    return reply_change(rq, &result, "saved", "%.*s", USH_PR(path_of(rq)));
}

/* ---- somebody at the desk -------------------------------------------------------------------- */

static int show_entry(struct ush_request *rq, int status, const struct event_entry *e,
                      const struct person_form *form, ush_text trouble)
{
    uint8_t bytes[KEY_BYTES];
    char key[2 * KEY_BYTES];
    ush_random(bytes, sizeof bytes);
    ush_base32_format(bytes, sizeof bytes, key);
    struct person_form_view v = {
        .event = e, .form = form, .faults = rq->faults, .is_new = true, .path = rq->path};
    v.key = form->rid.len ? form->rid : ush_arena_copy(rq->arena, ush_text_of(key));
    v.back = ush_arena_printf(rq->arena, "/admin/events/%.*s", USH_PR(e->event.slug));
    return show_form(rq, status, &v, trouble);
}

int web_admin_entry(struct ush_request *rq)
{
    struct event_entry e;
    USH_TRY(event_of_slug(rq, &e));
    return show_entry(rq, 200, &e, &(struct person_form){0}, USH_NONE);
}

int web_admin_entry_post(struct ush_request *rq)
{
    struct fest *fest = &web_of(rq)->fest;
    const struct person_form *in = rq->input;
    struct event_entry e;
    struct desk_answer a;
    const ush_text look = USH_T("Please look at the marked fields again.");
    USH_TRY(event_of_slug(rq, &e));
    if (rq->faults)
        return show_entry(rq, 422, &e, in, look);
    if (!(rq->faults = USH_NEW(rq->arena, struct ush_faults)))
        return USH_ELIMIT;
    ush_faults_init(rq->faults, rq->arena);
    const struct desk_request dr = {.event = e.event.slug,
                                    .key = in->rid,
                                    .name = in->name,
                                    .email = in->email,
                                    .school = in->school,
                                    .phone = in->phone,
                                    .grade = in->grade,
                                    .team = in->team,
                                    .members = in->members.at,
                                    .member_count = in->members.count,
                                    .guardian_ok = true,
                                    .source = SOURCE_DESK};
    int r = desk_submit(fest, &dr, rq->arena, rq->faults, &a);
    if (r == USH_EINVAL)
        return show_entry(rq, 422, &e, in, look);
    USH_TRY(r);
    bool has_place = a.outcome == SEATS_CONFIRMED || a.outcome == SEATS_WAITLISTED ||
                     a.outcome == SEATS_REPLAYED;
    if (!has_place)
        return show_entry(rq, 409, &e, in, refusal_sentence(rq, &e.event, &a));
    ush_text id = public_id_of(fest, a.registration, rq->arena);
    const struct audit_note note = {.actor = caller_of(rq)->actor,
                                    .action = USH_T("entry"),
                                    .event_id = e.event.id,
                                    .registration_id = a.registration};
    USH_TRY(audit_write(fest, &note, rq->arena));
    return reply_done(rq, "/admin/people/%.*s?done=saved", USH_PR(id));
}

/* ---- export ---------------------------------------------------------------------------------- */

int web_admin_export(struct ush_request *rq)
{
    struct event_entry e;
    USH_TRY(event_of_slug(rq, &e));
    struct admin_frame f = admin_frame_of(rq, USH_T("Export"), "/admin/events");
    return reply_page(rq, 200, PAGE(page_admin_export, &f, &e));
}

static int add_piece(void *ctx, ush_text piece)
{
    struct ush_buf *b = ctx;
    ush_buf_add(b, piece);
    return b->error;
}

int web_admin_export_post(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    const struct export_form *in = rq->input;
    struct event_entry e;
    struct ush_buf out;
    USH_TRY(event_of_slug(rq, &e));
    bool json = ush_text_equal(in->format, USH_T("json"));
    const struct export_options o = {.format = json ? EXPORT_JSON : EXPORT_CSV,
                                     .event = e.event.id,
                                     .status = status_of(in->status)};
    const struct audit_note note = {.actor = caller_of(rq)->actor,
                                    .action = USH_T("export"),
                                    .event_id = e.event.id,
                                    .detail = in->reason};
    USH_TRY(audit_write(&w->fest, &note, rq->arena)); /* before it: no copy without a trace */
    ush_reply_header(rq, "Content-Disposition",
                     ush_arena_printf(rq->arena, "attachment; filename=\"%.*s.%s\"",
                                      USH_PR(e.event.slug), json ? "json" : "csv"));
    /* The database's view is not held while a slow client reads: all is gathered first. */
    ush_buf_init(&out, EXPORT_BYTES_MAX);
    int r = export_registrations(&w->fest, &o, add_piece, &out);
    if (r >= 0)
        r = ush_stream_begin(rq, 200, json ? "application/json" : "text/csv; charset=utf-8");
    if (r >= 0)
        r = ush_stream_write(rq, ush_buf_text(&out));
    if (r >= 0)
        r = ush_stream_end(rq);
    ush_buf_fini(&out);
    return r;
}
