/*
 * ticket.c - the ticket page behind the private link, its pictures and its buttons.
 *
 *   GET  /r/{token}              status in words, QR code, short code, buttons
 *   GET  /r/{token}/ticket.svg   .png, event.ics
 *   GET  /e/{slug}/event.ics     the calendar file of who has no place yet
 *   GET  /r/{token}/cancel       asks once; POST does it
 *   POST /r/{token}/resend
 *   GET  /t/{code}, /T/{CODE}    what a phone's camera opens from the QR code
 *
 * Opening a link never changes anything: mail scanners open links. The page behind the QR code
 * shows no name, since people photograph tickets. Private pages are not cached, not indexed and
 * sent on as no referrer.
 */
#include <stdio.h>

#include "domain/ics.h"
#include "web/admin.h"
#include "web/handlers.h"
#include "web/pages.h"

enum { PICTURE_BYTES_MAX = 256 << 10 };

static void keep_private(struct ush_request *rq)
{
    ush_reply_header(rq, "Referrer-Policy", USH_T("no-referrer"));
    ush_reply_header(rq, "X-Robots-Tag", USH_T("noindex"));
}

int open_link(struct ush_request *rq, struct registration_view *ret)
{
    int r = registration_open(&web_of(rq)->fest, ush_param(rq, "token"), rq->arena, ret);
    if (r == USH_ENOTFOUND || r == -EINVAL)
        return ush_problem(rq, &problem_no_registration,
                           "The link is not complete, or a newer one was sent.");
    keep_private(rq);
    return r;
}

static int show(struct ush_request *rq, struct ticket_view *v, const struct registration_view *reg)
{
    struct event_list *list EVENTS_HELD = NULL;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    v->event = event_find_id(list, registration_event_of(reg->registration.id));
    v->registration = reg;
    v->link = ush_arena_printf(rq->arena, "/r/%.*s", USH_PR(ush_param(rq, "token")));
    v->now_ms = ush_wall_ms();
    return reply_ticket(rq, v);
}

int web_ticket(struct ush_request *rq)
{
    struct registration_view reg;
    struct ticket_view v = {0};
    ush_text done = ush_query(rq, "done");
    USH_TRY(open_link(rq, &reg));
    if (ush_text_equal(done, USH_T("resent")))
        v.notice = "The mail is on its way again.";
    else if (ush_text_equal(done, USH_T("wait")))
        v.notice = "The mail was sent a short while ago. Please wait an hour before asking again.";
    return show(rq, &v, &reg);
}

/* ---- buttons --------------------------------------------------------------------------------- */

int web_ticket_cancel_form(struct ush_request *rq)
{
    struct registration_view reg;
    struct ticket_view v = {.asks_cancel = true};
    USH_TRY(open_link(rq, &reg));
    return show(rq, &v, &reg);
}

int web_ticket_cancel(struct ush_request *rq)
{
    struct registration_view reg;
    struct change_result result;
    USH_TRY(open_link(rq, &reg));
    struct cancel in = {.registration = reg.registration.id,
                        .reason = USH_T("by_student"),
                        .actor = USH_T("student")};
    USH_TRY(fest_change(&web_of(rq)->fest, &op_cancel, &in, &result, rq->arena));
    if (result.outcome == CHANGE_TOO_LATE)
        return ush_problem(rq, &problem_deadline_passed,
                           "It is too late to cancel here. Please tell the organisers.");
    return ush_reply_redirect(
        rq, 303, manage_link(rq, reg.registration.id, reg.registration.manage_rev, ""));
}

int web_ticket_resend(struct ush_request *rq)
{
    struct registration_view reg;
    struct change_result result;
    USH_TRY(open_link(rq, &reg));
    struct resend in = {.registration = reg.registration.id, .actor = USH_T("student")};
    USH_TRY(registration_resend(&web_of(rq)->fest, &in, rq->arena, &result));
    return ush_reply_redirect(
        rq, 303,
        manage_link(rq, reg.registration.id, reg.registration.manage_rev,
                    result.outcome == CHANGE_DONE ? "?done=resent" : "?done=wait"));
}

/* ---- pictures and calendar ------------------------------------------------------------------- */

static int require_ticket(struct ush_request *rq, struct registration_view *reg)
{
    USH_TRY(open_link(rq, reg));
    if (reg->registration.status != REGISTRATION_CONFIRMED)
        return ush_problem(rq, &problem_not_confirmed, "This registration is %s.",
                           registration_status_name(reg->registration.status));
    return 0;
}

/* The host of the base URL, without port: the right side of a calendar entry's UID. */
static ush_text host_of(const struct web *w)
{
    ush_text url = ush_text_of(w->settings->base_url);
    ssize_t at = ush_text_find(url, '/');
    ush_text host = at >= 0 && (size_t)at + 2 < url.len
                        ? (ush_text){url.at + at + 2, url.len - (size_t)at - 2}
                        : USH_T("usher");
    ush_text rest = host;
    host = ush_text_cut(&rest, '/');
    rest = host;
    return ush_text_cut(&rest, ':');
}

static void free_buf(struct ush_buf *b)
{
    ush_buf_fini(b);
}
#define BUF_HELD __attribute__((cleanup(free_buf)))

/* The bytes have to outlive the buffer: they go to the request's arena. */
static int reply_buf(struct ush_request *rq, const char *content_type, const struct ush_buf *b)
{
    ush_text body = ush_arena_copy(rq->arena, ush_buf_text(b));
    return body.at ? ush_reply(rq, 200, content_type, body) : USH_ELIMIT;
}

int web_ticket_svg(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    struct registration_view reg;
    struct ush_buf link BUF_HELD, out BUF_HELD;
    char code[SHORT_CODE_CHARS + 1], label[64];
    ush_buf_init(&link, 2048);
    ush_buf_init(&out, PICTURE_BYTES_MAX);
    USH_TRY(require_ticket(rq, &reg));
    ticket_link(&w->fest.keys, w->settings->base_url, reg.registration.id,
                reg.registration.ticket_rev, &link);
    short_code_format(&w->fest.keys, reg.registration.id, code);
    snprintf(label, sizeof label, "QR code of ticket %s", code);
    USH_TRY(qr_svg(ush_buf_text(&link), ush_text_of(label), &out));
    return reply_buf(rq, "image/svg+xml", &out);
}

int web_ticket_png(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    struct registration_view reg;
    struct ush_buf link BUF_HELD, out BUF_HELD;
    ush_buf_init(&link, 2048);
    ush_buf_init(&out, PICTURE_BYTES_MAX);
    USH_TRY(require_ticket(rq, &reg));
    ticket_link(&w->fest.keys, w->settings->base_url, reg.registration.id,
                reg.registration.ticket_rev, &link);
    USH_TRY(qr_png(ush_buf_text(&link), 0, &out));
    return reply_buf(rq, "image/png", &out);
}

static int reply_calendar(struct ush_request *rq, const struct event *e,
                          const struct ics_entry *entry)
{
    struct ush_buf out BUF_HELD;
    ush_buf_init(&out, PICTURE_BYTES_MAX);
    ics_write(e, entry, &out);
    ush_reply_header(rq, "Content-Disposition", USH_T("attachment; filename=\"event.ics\""));
    return reply_buf(rq, "text/calendar; charset=utf-8", &out);
}

int web_ticket_ics(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    struct registration_view reg;
    struct event_list *list EVENTS_HELD = NULL;
    char public_id[PUBLIC_ID_CHARS + 1];
    USH_TRY(open_link(rq, &reg));
    USH_TRY(events_take(&w->fest, &list));
    const struct event_entry *e = event_find_id(list, registration_event_of(reg.registration.id));
    if (!e)
        return ush_problem(rq, &problem_no_event, "The event is not listed any more.");
    public_id_format(&w->fest.keys, reg.registration.id, public_id);
    const struct ics_entry entry = {
        .uid = ush_arena_printf(rq->arena, "%s@%.*s", public_id, USH_PR(host_of(w))),
        .url = manage_link(rq, reg.registration.id, reg.registration.manage_rev, ""),
        .prefix =
            reg.registration.status == REGISTRATION_WAITLISTED ? USH_T("Waitlist: ") : USH_NONE,
        .stamp_ms = reg.registration.updated_at,
        .cancelled = reg.registration.status == REGISTRATION_CANCELLED,
    };
    return reply_calendar(rq, &e->event, &entry);
}

/* The event itself, for whoever has no place in it (yet). */
int web_event_ics(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    struct event_list *list EVENTS_HELD = NULL;
    ush_text slug = ush_param(rq, "slug");
    USH_TRY(events_take(&w->fest, &list));
    const struct event_entry *e = event_find(list, slug);
    if (!e)
        return ush_problem(rq, &problem_no_event, "There is no event \"%.*s\".", USH_PR(slug));
    const struct ics_entry entry = {
        .uid = ush_arena_printf(rq->arena, "%.*s@%.*s", USH_PR(slug), USH_PR(host_of(w))),
        .url = ush_arena_printf(rq->arena, "%s/e/%.*s", w->settings->base_url, USH_PR(slug)),
        .stamp_ms = e->event.updated_at,
        .cancelled = e->seats.gate == GATE_CANCELLED,
    };
    return reply_calendar(rq, &e->event, &entry);
}

/* What a camera opens: says what the ticket is for, and nothing about whose it is. At the door it
 * leads to the page that lets in. */
int web_ticket_scan(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    struct caller *c;
    int64_t id, rev;
    keep_private(rq);
    if (caller_find(rq, &c) == 0 && may(c, ACCESS_SCAN))
        return reply_done(rq, "/admin/scan/%.*s", USH_PR(ush_param(rq, "ticket")));
    if (ticket_parse(&w->fest.keys, ush_param(rq, "ticket"), &id, &rev) < 0)
        return ush_problem(rq, &problem_no_registration, "This is not a ticket of this fest.");
    struct event_list *list EVENTS_HELD = NULL;
    USH_TRY(events_take(&w->fest, &list));
    const struct event_entry *e = event_find_id(list, registration_event_of(id));
    struct notice_view v = {.title = "Ticket", .status = 200};
    v.text = ush_arena_printf(rq->arena, "A ticket for %.*s. Show it at the entrance.",
                              USH_PR(e ? e->event.title : USH_T("an event of this fest")));
    return reply_notice(rq, &v);
}
