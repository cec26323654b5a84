/*
 * admin_staff.c - who works for the fest, with what, and what they did; mails that failed; and
 * forgetting people.
 *
 * A device's one-time code is shown once, in the answer to the form that made it: it is stored only
 * as a hash. So that answer is a page and not a redirect; a reload makes another device.
 */
#include "web/admin_staff.h"
#include "web/admin_people.h"

#include "gen/pages.h"

USH_RECORD_DEFINE(user_form, USER_FORM_FIELDS)
USH_RECORD_DEFINE(device_form, DEVICE_FORM_FIELDS)
USH_RECORD_DEFINE(id_form, ID_FORM_FIELDS)
USH_RECORD_DEFINE(audit_query, AUDIT_QUERY_FIELDS)
USH_RECORD_DEFINE(person_erase_form, PERSON_ERASE_FIELDS)

enum { HOUR_MS = 3600000 };

/* ---- events as people type them -------------------------------------------------------------- */

/* "quiz, robo-race" as "[1,5]"; "[]" for nothing, which is the whole fest. The first slug that is
 * unknown in ret_unknown. */
static ush_text events_of_slugs(const struct event_list *list, ush_text typed,
                                struct ush_arena *arena, ush_text *ret_unknown)
{
    ush_text ids = USH_T("");
    while (typed.len) {
        ush_text slug = ush_text_trim(ush_text_cut(&typed, ','));
        const struct event_entry *e = slug.len ? event_find(list, slug) : NULL;
        if (slug.len && !e)
            *ret_unknown = slug;
        if (e)
            ids = ush_arena_printf(arena, "%.*s%s%lld", USH_PR(ids), ids.len ? "," : "",
                                   (long long)e->event.id);
    }
    return ush_arena_printf(arena, "[%.*s]", USH_PR(ids));
}

ush_text events_words(const struct event_list *list, ush_text events, struct ush_arena *arena)
{
    ush_text words = USH_T("");
    for (size_t i = 0; events.at && i < list->count; i++)
        if (events_allow(events, list->at[i].event.id))
            words = ush_arena_printf(arena, "%.*s%s%.*s", USH_PR(words), words.len ? ", " : "",
                                     USH_PR(list->at[i].event.slug));
    return words;
}

/* ---- users ----------------------------------------------------------------------------------- */

static int show_users(struct ush_request *rq, int status, const struct user_form *form,
                      const struct ush_faults *faults)
{
    struct fest *fest = &web_of(rq)->fest;
    struct event_list *list EVENTS_HELD = NULL;
    struct ush_rows rows;
    USH_TRY(users_list(fest, rq->arena, &rows));
    USH_TRY(events_take(fest, &list));
    const struct users_view v = {rows.at, rows.count, form, faults, list};
    struct admin_frame f = admin_frame_of(rq, USH_T("Users"), "/admin/users");
    f.trouble = faults ? USH_T("Please look at the marked fields again.") : USH_NONE;
    return reply_page(rq, status, PAGE(page_admin_users, &f, &v));
}

int web_admin_users(struct ush_request *rq)
{
    return show_users(rq, 200, &(struct user_form){.role = USH_T("organiser")}, NULL);
}

/* What is wrong with what was typed, to be added to; NULL: the arena is full. */
static struct ush_faults *faults_so_far(struct ush_request *rq)
{
    struct ush_faults *faults = rq->faults ? rq->faults : USH_NEW(rq->arena, struct ush_faults);
    if (faults && !rq->faults)
        ush_faults_init(faults, rq->arena);
    return faults;
}

static ush_text events_typed(const struct event_list *list, ush_text slugs, struct ush_arena *arena,
                             struct ush_faults *faults)
{
    ush_text unknown = USH_NONE, events = events_of_slugs(list, slugs, arena, &unknown);
    if (unknown.at)
        ush_faults_add(faults, "events", "value_error", "There is no event \"%.*s\"",
                       USH_PR(unknown));
    return events;
}

/* Both forms: a change has the user's id in its path. */
int web_admin_user_post(struct ush_request *rq)
{
    struct fest *fest = &web_of(rq)->fest;
    const struct user_form *in = rq->input;
    struct event_list *list EVENTS_HELD = NULL;
    struct change_result result;
    char hash[PASSWORD_HASH_MAX];
    ush_text id = ush_param(rq, "id");
    struct user_put put = {.name = in->name, .role = in->role, .actor = caller_of(rq)->actor};
    struct ush_faults *faults = faults_so_far(rq);
    if (!faults)
        return USH_ELIMIT;
    USH_TRY(events_take(fest, &list));
    put.events = events_typed(list, in->events, rq->arena, faults);
    if (id.at && (ush_text_i64(id, &put.id) < 0 || !put.id)) /* 0 would be a new one */
        return ush_problem(rq, &ush_problem_not_found, "There is no such user.");
    if (!id.at && (!in->email.len || !in->name.len || !in->password.len))
        ush_faults_add(faults,
                       !in->name.len    ? "name"
                       : !in->email.len ? "email"
                                        : "password",
                       "missing", "Please fill this in");
    if (faults->count)
        return show_users(rq, 422, in, faults);
    if (in->password.len) {
        USH_TRY(hash_in_pool(rq, in->password, hash));
        put.password = ush_text_of(hash);
    }
    if (!id.at)
        put.email = in->email;
    put.is_active = !in->off;
    USH_SET(&put, user_put_is_active);
    USH_TRY(user_store(fest, &put, &result, rq->arena));
    if (result.outcome == CHANGE_REFUSED)
        return reply_done(rq, "/admin/users?done=owner");
    return reply_change(rq, &result, "saved", "/admin/users");
}

/* ---- devices --------------------------------------------------------------------------------- */

static int show_devices(struct ush_request *rq, struct devices_view *v)
{
    static const struct device_form blank = {.hours = 12};
    struct fest *fest = &web_of(rq)->fest;
    struct event_list *list EVENTS_HELD = NULL;
    struct ush_rows rows;
    USH_TRY(devices_list(fest, rq->arena, &rows));
    USH_TRY(events_take(fest, &list));
    v->at = rows.at;
    v->count = rows.count;
    v->list = list;
    v->now_ms = ush_wall_ms();
    v->form = v->faults ? v->form : &blank;
    struct admin_frame f = admin_frame_of(rq, USH_T("Devices"), "/admin/devices");
    f.trouble = v->faults ? USH_T("Please look at the marked fields again.") : USH_NONE;
    return reply_page(rq, v->faults ? 422 : 200, PAGE(page_admin_devices, &f, v));
}

int web_admin_devices(struct ush_request *rq)
{
    return show_devices(rq, &(struct devices_view){0});
}

int web_admin_device_post(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    const struct device_form *in = rq->input;
    struct event_list *list EVENTS_HELD = NULL;
    struct devices_view v = {.form = in};
    struct ush_buf svg;
    char code[SESSION_TOKEN_CHARS + 1];
    struct ush_faults *faults = faults_so_far(rq);
    if (!faults)
        return USH_ELIMIT;
    USH_TRY(events_take(&w->fest, &list));
    ush_text events = events_typed(list, in->events, rq->arena, faults);
    if (faults->count) {
        v.faults = faults;
        return show_devices(rq, &v);
    }
    const struct device_new d = {.name = in->name,
                                 .events = ush_text_equal(events, USH_T("[]")) ? USH_NONE : events,
                                 .expires_at = ush_wall_ms() + in->hours * HOUR_MS,
                                 .actor = caller_of(rq)->actor};
    USH_TRY(device_add(&w->fest, &d, code, rq->arena));
    v.link = ush_arena_printf(rq->arena, "%s/admin/pair/%s", w->settings->base_url, code);
    ush_buf_init(&svg, PAGE_BYTES_MAX);
    if (qr_svg(v.link, USH_T("QR code that pairs a phone"), &svg) == 0)
        v.svg = ush_buf_text(&svg);
    int r = show_devices(rq, &v);
    ush_buf_fini(&svg);
    return r;
}

int web_admin_device_revoke(struct ush_request *rq)
{
    const struct id_form *in = rq->input;
    struct change_result result;
    if (!in->id) /* would be a new one */
        return ush_problem(rq, &ush_problem_not_found, "There is no such device.");
    USH_TRY(device_revoke(&web_of(rq)->fest, in->id, caller_of(rq)->actor, &result, rq->arena));
    return reply_change(rq, &result, "revoked", "/admin/devices");
}

/* ---- audit ----------------------------------------------------------------------------------- */

int web_admin_audit(struct ush_request *rq)
{
    enum { PER_PAGE = 100 };
    struct fest *fest = &web_of(rq)->fest;
    const struct audit_query *q = rq->input;
    const struct audit_filter filter = {.before_id = q->before, .limit = PER_PAGE};
    struct event_list *list EVENTS_HELD = NULL;
    struct ush_rows rows;
    USH_TRY(audit_read(fest, &filter, rq->arena, &rows));
    USH_TRY(events_take(fest, &list));
    struct audit_view v = {rows.at, rows.count, 0, list, fest};
    if (rows.count == PER_PAGE)
        v.before = v.at[rows.count - 1].id;
    struct admin_frame f = admin_frame_of(rq, USH_T("Audit"), "/admin/audit");
    return reply_page(rq, 200, PAGE(page_admin_audit, &f, &v));
}

/* ---- mail ------------------------------------------------------------------------------------ */

int web_admin_mail(struct ush_request *rq)
{
    struct fest *fest = &web_of(rq)->fest;
    struct mail_view v;
    USH_TRY(mail_status(fest, rq->arena, &v.totals, &v.failed));
    USH_TRY(mail_pauses(fest, rq->arena, &v.pauses));
    struct admin_frame f = admin_frame_of(rq, USH_T("Mail"), "/admin/mail");
    return reply_page(rq, 200, PAGE(page_admin_mail, &f, &v, fest));
}

/* Notes who did something to the mails. */
static int note_mail(struct ush_request *rq, const char *action, ush_text detail)
{
    const struct audit_note note = {
        .actor = caller_of(rq)->actor, .action = ush_text_of(action), .detail = detail};
    return audit_write(&web_of(rq)->fest, &note, rq->arena);
}

int web_admin_mail_retry(struct ush_request *rq)
{
    struct fest *fest = &web_of(rq)->fest;
    const struct id_form *in = rq->input;
    const struct ush_jobs_retry what = {
        .id = in->id, .lane = ush_text_equal(in->lane, USH_T("bulk")) ? "bulk" : "mail"};
    int n = ush_jobs_retry(fest->db, &what);
    USH_TRY(n);
    USH_TRY(note_mail(rq, "mail_retry", ush_arena_printf(rq->arena, "%d mails", n)));
    fest_wake_jobs(fest);
    return reply_done(rq, "/admin/mail?done=%s", n ? "retried" : "nothing");
}

int web_admin_mail_pause(struct ush_request *rq)
{
    struct fest *fest = &web_of(rq)->fest;
    const struct id_form *in = rq->input;
    ush_text reason = ush_arena_printf(rq->arena, "paused by %.*s", USH_PR(caller_of(rq)->actor));
    ush_text lane = ush_arena_copy(rq->arena, in->lane.len ? in->lane : USH_T("mail"));
    const struct ush_jobs_pause what = {
        .lane = lane.at, .until_ms = USH_JOBS_UNTIL_RESUMED, .reason = reason.at};
    USH_TRY(ush_jobs_pause(fest->db, &what));
    USH_TRY(note_mail(rq, "mail_pause", lane));
    return reply_done(rq, "/admin/mail?done=paused");
}

int web_admin_mail_resume(struct ush_request *rq)
{
    struct fest *fest = &web_of(rq)->fest;
    const struct id_form *in = rq->input;
    ush_text lane = ush_arena_copy(rq->arena, in->lane.len ? in->lane : USH_T("mail"));
    USH_TRY(ush_jobs_resume(fest->db, lane.at));
    USH_TRY(note_mail(rq, "mail_resume", lane));
    fest_wake_jobs(fest);
    return reply_done(rq, "/admin/mail?done=resumed");
}

/* ---- forgetting ------------------------------------------------------------------------------ */

static int show_privacy(struct ush_request *rq, int status, struct erasing_view *v)
{
    struct web *w = web_of(rq);
    v->days = w->settings->retention_days;
    if (v->days)
        USH_TRY(erase_due(&w->fest, v->days, &v->due));
    struct admin_frame f = admin_frame_of(rq, USH_T("Privacy"), "/admin/privacy");
    return reply_page(rq, status, PAGE(page_admin_privacy, &f, v));
}

int web_admin_privacy(struct ush_request *rq)
{
    return show_privacy(
        rq, 200, &(struct erasing_view){.form = &(struct person_erase_form){0}, .erased = -1});
}

int web_admin_privacy_person(struct ush_request *rq)
{
    const struct person_erase_form *in = rq->input;
    struct erasing_view v = {.form = in, .faults = rq->faults, .erased = -1};
    if (rq->faults || !in->sure)
        return show_privacy(rq, 422, &v);
    int n = person_erase(&web_of(rq)->fest, in->email, caller_of(rq)->actor, rq->arena);
    USH_TRY(n);
    const struct person_erase_form empty = {0};
    v.form = &empty;
    v.erased = n;
    return show_privacy(rq, 200, &v);
}

/* Everything about an address, as a file; each registration's history says that it was taken. */
int web_admin_privacy_export(struct ush_request *rq)
{
    struct fest *fest = &web_of(rq)->fest;
    const struct person_erase_form *in = rq->input;
    struct erasing_view v = {.form = in, .faults = rq->faults, .erased = -1};
    struct ush_rows rows;
    if (rq->faults)
        return show_privacy(rq, 422, &v);
    USH_TRY(person_places(fest, in->email, rq->arena, &rows));
    for (size_t i = 0; i < rows.count; i++)
        USH_TRY(note_export(rq, ((const struct place_of *)rows.at)[i].registration_id));
    return reply_person_file(rq, &rows);
}

int web_admin_privacy_due(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    if (w->settings->retention_days)
        USH_TRY(
            erase_overdue(&w->fest, w->settings->retention_days, caller_of(rq)->actor, rq->arena));
    return reply_done(rq, "/admin/privacy?done=erased");
}
