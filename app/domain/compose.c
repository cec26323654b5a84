/*
 * compose.c - what a mail says.
 *
 * One message per kind, in words for a thirteen-year-old: what happened, the facts of the event,
 * what to do, and why this mail came. Text and HTML say the same. GET links only show, so a mail
 * scanner that follows them changes nothing.
 *
 * Composed when it is sent, from the registration as it is then: a corrected name is in it. A mail
 * that no longer fits (a ticket of a registration that was cancelled meanwhile) is not sent; the
 * mail about what came in between goes out instead.
 */
#include <stdio.h>

#include "domain/ics.h"
#include "domain/mails.h"
#include "domain/mime.h"
#include "domain/people.h"

enum { PART_MAX = 256 << 10 };

struct letter {
    struct fest *fest;
    enum mail_kind kind;
    const struct event *event;
    const struct registration_view *view;
    const char *subject; /* before the event's title */
    bool has_ticket;
    char code[SHORT_CODE_CHARS + 1];
    char link[MANAGE_TOKEN_CHARS + 1];
    char when[40], opening[240];
    struct ush_buf text, html, png, ics, qr;
};

/* What this kind says, given the registration as it is now. False: nothing is to be sent. */
static bool choose_words(struct letter *l)
{
    int64_t status = l->view->registration.status;
    bool confirmed = status == REGISTRATION_CONFIRMED, waits = status == REGISTRATION_WAITLISTED;
    switch (l->kind) {
    case MAIL_TICKET:
        l->subject = "Your place";
        snprintf(l->opening, sizeof l->opening, "You have a place. Here is your ticket.");
        l->has_ticket = true;
        return confirmed;
    case MAIL_PROMOTED:
        l->subject = "Your place";
        snprintf(l->opening, sizeof l->opening,
                 "A place became free, and it is yours. If you cannot come, please give it back: "
                 "others are waiting.");
        l->has_ticket = true;
        return confirmed;
    case MAIL_RESEND:
        l->subject = confirmed ? "Your place" : "Waitlist";
        l->has_ticket = confirmed;
        if (confirmed)
            snprintf(l->opening, sizeof l->opening,
                     "Here are your ticket and your private link again.");
        else
            snprintf(l->opening, sizeof l->opening,
                     "Here is your private link again. You are number %lld on the waitlist.",
                     (long long)l->view->waitlist_position);
        return confirmed || waits;
    case MAIL_WAITLISTED:
        l->subject = "Waitlist";
        snprintf(l->opening, sizeof l->opening,
                 "All places are taken. You are number %lld on the waitlist. If a place becomes "
                 "free you get it automatically, and a mail with your ticket.",
                 (long long)l->view->waitlist_position);
        return waits;
    case MAIL_CANCELLED:
        l->subject = "Cancelled";
        snprintf(l->opening, sizeof l->opening, "Your registration is cancelled.");
        return status == REGISTRATION_CANCELLED;
    case MAIL_EVENT_CANCELLED:
        l->subject = "Does not take place";
        snprintf(l->opening, sizeof l->opening,
                 "This event does not take place. We are sorry. You need not do anything.");
        return confirmed || waits;
    case MAIL_EVENT_CHANGED:
        l->subject = "Please note";
        snprintf(l->opening, sizeof l->opening,
                 "The organisers have changed something about this event. This is how it stands "
                 "now. %s",
                 confirmed ? "Your ticket stays valid." : "You are still on the waitlist.");
        return confirmed || waits;
    default:
        return false;
    }
}

static bool is_over(const struct letter *l)
{
    return l->kind == MAIL_CANCELLED || l->kind == MAIL_EVENT_CANCELLED;
}

/* ---- the two bodies, written side by side ---------------------------------------------------- */

static void paragraph(struct letter *l, const char *fmt, ...) USH_PRINTF(2, 3);
static void paragraph(struct letter *l, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ush_buf_printf(&l->text, "\n%s\n", text);
    ush_buf_add(&l->html, USH_T("<p>"));
    ush_buf_add_html(&l->html, ush_text_of(text));
    ush_buf_add(&l->html, USH_T("</p>\n"));
}

static void fact(struct letter *l, const char *name, ush_text value)
{
    if (!value.len)
        return;
    ush_buf_printf(&l->text, "%-7s%.*s\n", name, USH_PR(value));
    ush_buf_printf(&l->html, "<tr><th align=\"left\">%s</th><td>", name);
    ush_buf_add_html(&l->html, value);
    ush_buf_add(&l->html, USH_T("</td></tr>\n"));
}

static ush_text names_of(const struct registration_view *v, struct ush_arena *arena)
{
    ush_text all = v->people[0].name;
    for (size_t i = 1; i < v->people_count; i++)
        all = ush_arena_printf(arena, "%.*s, %.*s", USH_PR(all), USH_PR(v->people[i].name));
    return all;
}

static void write_facts(struct letter *l, struct ush_arena *arena)
{
    const struct event *e = l->event;
    ush_buf_printf(&l->text, "\n%.*s\n", USH_PR(e->title));
    ush_buf_add(&l->html, USH_T("<table cellpadding=\"4\">\n"));
    fact(l, "When", ush_arena_printf(arena, "%s (%.*s)", l->when, USH_PR(e->tz)));
    fact(l, "Where", e->venue);
    fact(l, "Team", l->view->registration.team_name);
    fact(l, "Who", names_of(l->view, arena));
    if (l->has_ticket)
        fact(l, "Code", ush_text_of(l->code));
    ush_buf_add(&l->html, USH_T("</table>\n"));
}

static void write_bodies(struct letter *l, struct ush_arena *arena)
{
    const struct settings *s = l->fest->settings;
    ush_buf_add(&l->html, USH_T("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                                "<title>"));
    ush_buf_add_html(&l->html, l->event->title);
    ush_buf_add(&l->html, USH_T("</title></head>\n<body style=\"font-family:sans-serif;"
                                "max-width:36em;margin:1em auto;line-height:1.5\">\n<h1>"));
    ush_buf_add_html(&l->html, l->event->title);
    ush_buf_add(&l->html, USH_T("</h1>\n"));
    paragraph(l, "%s", l->opening);
    if (l->has_ticket)
        ush_buf_printf(&l->html,
                       "<p><img src=\"cid:qr\" width=\"280\" height=\"280\" "
                       "alt=\"QR code of your ticket, code %s\"></p>\n",
                       l->code);
    write_facts(l, arena);
    if (l->has_ticket)
        paragraph(l, "Show the QR code or the code at the entrance.");
    if (!is_over(l)) {
        paragraph(l, "Your private page: see your ticket, correct details, or give the place back. "
                     "Whoever has this link can do that too, so keep it to yourself.");
        ush_buf_printf(&l->text, "%s/r/%s\n", s->base_url, l->link);
        ush_buf_add(&l->html, USH_T("<p><a href=\""));
        ush_buf_add_html(&l->html, ush_text_of(s->base_url));
        ush_buf_printf(&l->html, "/r/%s\">Open your private page</a></p>\n", l->link);
    }
    paragraph(l, "You get this mail because somebody registered for %s with this address.%s%s%s",
              s->name,
              is_over(l) ? "" : " If it was not you, please give the place back on that page.",
              *s->contact ? " Questions: " : "", s->contact);
    ush_buf_add(&l->html, USH_T("</body></html>\n"));
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* The host of a link, without port; "localhost" where it is a number, which no mail comes from. */
ush_text mail_host(const struct settings *s)
{
    ush_text t = ush_text_of(s->base_url);
    char *slashes = strstr(t.at, "://");
    if (slashes)
        t = ush_text_of(slashes + 3);
    t = ush_text_cut(&t, '/');
    if (t.len && t.at[0] == '[')
        return USH_T("localhost");
    t = ush_text_cut(&t, ':');
    for (size_t i = 0; i < t.len; i++)
        if ((t.at[i] < '0' || t.at[i] > '9') && t.at[i] != '.')
            return t;
    return USH_T("localhost");
}

static int write_parts(struct letter *l, int64_t job_id, int64_t created_at, ush_text to,
                       struct ush_arena *arena, struct ush_buf *out)
{
    const struct settings *s = l->fest->settings;
    char id[PUBLIC_ID_CHARS + 1], public_id[PUBLIC_ID_CHARS + 1];
    const struct registration *r = &l->view->registration;
    ush_text host = mail_host(s);
    ush_text from = *s->mail_from ? ush_text_of(s->mail_from)
                                  : ush_arena_printf(arena, "usher@%.*s", USH_PR(host));
    ush_text reply_to = ush_text_of(*s->mail_reply_to ? s->mail_reply_to : s->contact);
    public_id_format(&l->fest->keys, r->id, public_id);
    mail_id_format(&l->fest->keys, job_id, created_at, id);
    if (l->has_ticket) {
        ticket_link(&l->fest->keys, s->base_url, r->id, r->ticket_rev, &l->qr);
        USH_TRY(qr_png(ush_buf_text(&l->qr), 0, &l->png));
    }
    if (l->has_ticket || is_over(l) || l->kind == MAIL_EVENT_CHANGED)
        ics_write(l->event,
                  &(struct ics_entry){
                      .uid = ush_arena_printf(arena, "%s@%.*s", public_id, USH_PR(host)),
                      .stamp_ms = created_at,
                      .cancelled = is_over(l),
                  },
                  &l->ics);
    write_bodies(l, arena);
    if (l->text.error || l->html.error || l->ics.error || arena->failed)
        return USH_ELIMIT;
    struct mime_mail m = {
        .from_name = ush_text_of(s->name),
        .from = from,
        .to = to,
        .reply_to = mime_is_address(reply_to) ? reply_to : USH_NONE,
        .subject =
            ush_arena_printf(arena, "%s: %.*s, %s", l->subject, USH_PR(l->event->title), l->when),
        .message_id =
            ush_arena_printf(arena, "%s.%s@%.*s", mail_kind_names[l->kind], id, USH_PR(host)),
        .date_ms = created_at,
        .language = USH_T("en"),
        .text = ush_buf_text(&l->text),
        .html = ush_buf_text(&l->html),
        .qr_png = l->has_ticket ? ush_buf_text(&l->png) : USH_NONE,
        .calendar = l->ics.len ? ush_buf_text(&l->ics) : USH_NONE,
    };
    return arena->failed ? USH_ELIMIT : mime_write(&m, out);
}

int mail_compose(struct fest *f, enum mail_kind kind, int64_t job_id, int64_t created_at,
                 int64_t registration, struct ush_arena *arena, struct ush_buf *out,
                 ush_text *ret_to)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct registration_view view;
    int rc = registration_read(f->db, registration, arena, &view);
    if (rc == USH_ENOTFOUND || (rc >= 0 && (!view.people_count || !view.people[0].email.at)))
        return USH_ENOTFOUND;
    USH_TRY(rc);
    if (kind == MAIL_EVENT_CHANGED)
        events_forget(f);
    USH_TRY(events_take(f, &list));
    const struct event_entry *e = event_find_id(list, registration_event_of(registration));
    if (!e) { /* the list may be a second old, and the event younger */
        events_give(list);
        list = NULL;
        events_forget(f);
        USH_TRY(events_take(f, &list));
        e = event_find_id(list, registration_event_of(registration));
    }
    if (!e)
        return -EAGAIN; /* the database is away again, so the list is the old one */
    struct letter l = {.fest = f, .kind = kind, .event = &e->event, .view = &view};
    if (!choose_words(&l))
        return USH_ENOTFOUND;
    ush_text to = ush_email_ascii(view.people[0].email, arena);
    if (!to.at)
        return USH_ELIMIT;
    struct ush_buf *const parts[] = {&l.text, &l.html, &l.png, &l.ics, &l.qr};
    for (size_t i = 0; i < USH_COUNT(parts); i++)
        ush_buf_init(parts[i], PART_MAX);
    short_code_format(&f->keys, registration, l.code);
    manage_token_format(&f->keys, registration, view.registration.manage_rev, l.link);
    event_time_format(&e->event, e->event.starts_at, l.when);
    rc = write_parts(&l, job_id, created_at, to, arena, out);
    for (size_t i = 0; i < USH_COUNT(parts); i++)
        ush_buf_fini(parts[i]);
    *ret_to = to;
    return rc;
}
