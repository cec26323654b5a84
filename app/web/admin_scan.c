/*
 * admin_scan.c - the door: one page for all ways to scan.
 *
 *   camera of this page   where the browser can decode (scan.js), which fills in the form
 *   camera app            opens the ticket's link, which leads here with the code filled in
 *   hand scanner          types into the form's first field and presses Enter
 *   search                by name, school, team; a button beside each
 *
 * The answer to a scan is the page itself with the result on top, not a redirect: the key in the
 * form makes a reload harmless. The page never opens an address that was scanned.
 */
#include <stdio.h>

#include "gen/assets.h"
#include "gen/pages.h"
#include "web/admin_people.h"

USH_RECORD_DEFINE(scan_query, SCAN_QUERY_FIELDS)
USH_RECORD_DEFINE(scan_form, SCAN_FORM_FIELDS)

enum { SCAN_KEY_BYTES = 16, HITS_MAX = 30 };

static const struct {
    const char *result;
    struct scan_words words;
} results[] = {
    {"in", {"Welcome", "good", "✔"}},
    {"anyway", {"Let in anyway", "wait", "✔"}},
    {"already", {"Already in", "wait", "!"}},
    {"cancelled", {"Cancelled", "bad", "✖"}},
    {"waitlisted", {"Only on the waitlist", "bad", "✖"}},
    {"wrong_event", {"Another event", "wait", "→"}},
    {"replaced", {"Replaced by a newer ticket", "bad", "✖"}},
    {"undone", {"Taken back", "wait", "↺"}},
    {"ask", {"Who is here?", "wait", "☐"}},
    {"not_a_ticket", {"Not a ticket", "bad", "✖"}},
    {"unknown", {"Unknown: please ask the desk", "bad", "✖"}},
};

struct scan_words scan_words_of(ush_text result)
{
    for (size_t i = 0; i < USH_COUNT(results); i++)
        if (ush_text_equal(result, ush_text_of(results[i].result)))
            return results[i].words;
    return results[USH_COUNT(results) - 1].words;
}

const struct attendance *came_in(const struct ush_rows *in, int64_t position)
{
    const struct attendance *a = in->at;
    for (size_t i = 0; i < in->count; i++)
        if (a[i].position == position)
            return &a[i];
    return NULL;
}

static int show_scan(struct ush_request *rq, struct scan_view *v)
{
    struct web *w = web_of(rq);
    struct event_list *list EVENTS_HELD = NULL;
    uint8_t bytes[SCAN_KEY_BYTES];
    char key[2 * SCAN_KEY_BYTES];
    USH_TRY(events_take(&w->fest, &list));
    ush_random(bytes, sizeof bytes);
    ush_base32_format(bytes, sizeof bytes, key);
    v->scan = ush_arena_copy(rq->arena, ush_text_of(key));
    v->list = list;
    v->fest = &w->fest;
    if (v->registration)
        v->event = event_find_id(list, registration_event_of(v->registration->registration.id));
    struct admin_frame f = admin_frame_of(rq, USH_T("Check-in"), "/admin/scan");
    f.script = asset_scan_js.path;
    ush_reply_header(rq, "Permissions-Policy", USH_T("camera=(self)"));
    return reply_page(rq, 200, PAGE(page_admin_scan, &f, v));
}

/* The chosen event as a list of one id; the caller's own events without a choice. */
static int events_here(struct ush_request *rq, ush_text at, ush_text *ret)
{
    struct event_list *list EVENTS_HELD = NULL;
    *ret = caller_of(rq)->account.events;
    if (!at.len)
        return 0;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    const struct event_entry *e = event_find(list, at);
    if (e && events_allow(*ret, e->event.id))
        *ret = ush_arena_printf(rq->arena, "[%lld]", (long long)e->event.id);
    return 0;
}

/* People whose name, school or team has the words in it; only of events that this gate lets in. */
static int search(struct ush_request *rq, ush_text events, struct scan_view *v)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct registration *hits = USH_NEW_N(rq->arena, struct registration, HITS_MAX);
    if (!hits)
        return USH_ELIMIT;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    for (size_t i = 0; i < list->count && v->hit_count < HITS_MAX; i++) {
        int64_t id = list->at[i].event.id;
        struct ush_rows rows;
        if (!events_allow(events, id))
            continue;
        const struct registration_filter filter = {
            .event = id, .text = v->q, .limit = HITS_MAX - v->hit_count};
        USH_TRY(registrations_list(web_of(rq)->fest.db, &filter, rq->arena, &rows));
        memcpy(hits + v->hit_count, rows.at, rows.count * sizeof *hits);
        v->hit_count += rows.count;
    }
    v->hits = hits;
    return 0;
}

int web_admin_scan(struct ush_request *rq)
{
    const struct scan_query *q = rq->input;
    struct scan_view v = {.at = q->at, .q = ush_text_trim(q->q)};
    ush_text events;
    USH_TRY(events_here(rq, q->at, &events));
    if (v.q.len)
        USH_TRY(search(rq, events, &v));
    return show_scan(rq, &v);
}

/* Registration, people and who of them is in. */
static int read_person(struct ush_request *rq, int64_t id, struct registration_view *reg,
                       struct scan_view *v)
{
    struct ush_rows scans;
    struct fest *f = &web_of(rq)->fest;
    int r = registration_read(f->db, id, rq->arena, reg);
    if (r == USH_ENOTFOUND)
        return 0;
    USH_TRY(r);
    v->registration = reg;
    return attendance_read(f, id, rq->arena, &v->in, &scans);
}

/* From a ticket's link: changes nothing, shows whose it is and the button. */
int web_admin_scan_code(struct ush_request *rq)
{
    struct scan_view v = {.code = ush_param(rq, "ticket"), .result = USH_T("ask")};
    struct registration_view reg;
    struct scan_code code;
    if (scan_resolve(&web_of(rq)->fest, v.code, &code) < 0)
        v.result = USH_T("not_a_ticket");
    else if (!events_allow(caller_of(rq)->account.events, registration_event_of(code.registration)))
        v.result = USH_T("wrong_event");
    else
        USH_TRY(read_person(rq, code.registration, &reg, &v));
    if (!v.registration && ush_text_equal(v.result, USH_T("ask")))
        v.result = USH_T("unknown");
    return show_scan(rq, &v);
}

int web_admin_scan_post(struct ush_request *rq)
{
    const struct scan_form *in = rq->input;
    const struct caller *c = caller_of(rq);
    struct scan_view v = {.at = in->at, .code = in->code};
    struct registration_view reg;
    struct checkin_result found;
    struct scan_code code;
    struct fest *f = &web_of(rq)->fest;
    struct checkin scan = {.position = USH_HAS(in, scan_form_who) ? in->who : EVERYBODY,
                           .seen_at = in->seen_at,
                           .undo = in->undo,
                           .gate = c->actor};
    if (rq->faults || scan_resolve(f, in->code, &code) < 0) {
        v.result = USH_T("not_a_ticket");
        return show_scan(rq, &v);
    }
    USH_TRY(events_here(rq, in->at, &scan.events));
    scan.registration = code.registration;
    scan.ticket_rev = code.ticket_rev;
    if (in->note.len && may(c, ACCESS_ORGANISER))
        scan.note = in->note;
    USH_TRY(read_person(rq, code.registration, &reg, &v));
    bool asks = v.registration && reg.people_count > 1 && !USH_HAS(in, scan_form_who) &&
                reg.registration.status == REGISTRATION_CONFIRMED &&
                events_allow(scan.events, registration_event_of(code.registration));
    if (asks) {
        v.result = USH_T("ask");
        return show_scan(rq, &v);
    }
    USH_TRY(checkin_scan(f, in->scan, &scan, &found, rq->arena));
    v.result = found.result;
    v.found = &found;
    if (!events_allow(c->account.events, registration_event_of(code.registration)))
        v.registration = NULL; /* whose it is, is not for this gate */
    else
        USH_TRY(read_person(rq, code.registration, &reg, &v));
    return show_scan(rq, &v);
}
