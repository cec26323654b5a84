/*
 * pages.c - how a page becomes a reply: the frame, the words, the templates of app/pages.
 *
 * A template is a C function that writes escaped HTML into a buffer (docs/templates.md). What it
 * prints more than once, or needs a decision for, is a function here, so that templates stay
 * templates.
 */
#include "web/pages.h"

#include <stdio.h>

#include "gen/assets.h"
#include "gen/pages.h"

enum { REFRESH_WAITING_S = 60, REFRESH_BEFORE_OPENING_S = 60 };

static struct frame frame_of(struct ush_request *rq, ush_text title)
{
    const struct settings *s = web_of(rq)->settings;
    return (struct frame){
        .title = title,
        .fest = s->name[0] ? s->name : "Usher",
        .contact = s->contact,
        .sheet = asset_site_css.path,
        .icon = asset_icon_svg.path,
        .arena = rq->arena,
    };
}

/* Sends what was written; the buffer lives until the reply has been taken. */
static int send_page(struct ush_request *rq, int status, struct ush_buf page)
{
    ush_text body = page.error ? USH_NONE : ush_arena_copy(rq->arena, ush_buf_text(&page));
    ush_buf_fini(&page);
    if (!body.at)
        return USH_ELIMIT;
    return ush_reply(rq, status, "text/html; charset=utf-8", body);
}

/* ---- words ----------------------------------------------------------------------------------- */

ush_text event_when(struct ush_arena *arena, const struct event *e, int64_t wall_ms)
{
    char text[40];
    event_time_format(e, wall_ms, text);
    return ush_arena_copy(arena, ush_text_of(text));
}

ush_text state_words(struct ush_arena *arena, const struct event_entry *e, int64_t now_ms)
{
    char text[40];
    switch (event_state(e, now_ms)) {
    case EVENT_NOT_OPEN:
        event_time_format(&e->event, e->seats.opens_at, text);
        return ush_arena_printf(arena, "Opens %s", text);
    case EVENT_OPEN:
        return USH_T("Open");
    case EVENT_WAITLIST:
        return USH_T("Waitlist");
    case EVENT_FULL:
        return USH_T("Full");
    case EVENT_CLOSED:
        return USH_T("Closed");
    case EVENT_CANCELLED:
        return USH_T("Cancelled");
    case EVENT_OVER:
        event_time_format(&e->event, e->event.starts_at, text);
        return ush_arena_printf(arena, "Took place %s", text);
    }
    return USH_T("");
}

const char *state_class(const struct event_entry *e, int64_t now_ms)
{
    switch (event_state(e, now_ms)) {
    case EVENT_OPEN:
        return "good";
    case EVENT_NOT_OPEN:
    case EVENT_WAITLIST:
        return "wait";
    default:
        return "bad";
    }
}

static ush_text range_words(struct ush_arena *arena, const char *what, int64_t min, int64_t max)
{
    long long from = min, to = max;
    return !from && !to ? USH_NONE
           : !to        ? ush_arena_printf(arena, "%s from %lld", what, from)
           : !from      ? ush_arena_printf(arena, "%s up to %lld", what, to)
           : from == to ? ush_arena_printf(arena, "%s %lld", what, to)
                        : ush_arena_printf(arena, "%s %lld to %lld", what, from, to);
}

ush_text who_words(struct ush_arena *arena, const struct event *e)
{
    ush_text grades = range_words(arena, "grades", e->grade_min, e->grade_max);
    if (!ush_text_equal(e->kind, USH_T("team")))
        return grades;
    ush_text teams = range_words(arena, "teams of", e->team_min, e->team_max);
    return ush_arena_printf(arena, "%.*s%s%.*s", USH_PR(teams), grades.len ? ", " : "",
                            USH_PR(grades));
}

const char *band_words(const struct event_entry *e, int64_t now_ms)
{
    if (event_state(e, now_ms) != EVENT_OPEN)
        return "";
    const char *band = event_band(&e->seats);
    return !strcmp(band, "last")  ? "the last places"
           : !strcmp(band, "few") ? "few places left"
                                  : "";
}

ush_text span_words(struct ush_arena *arena, int64_t ms)
{
    static const struct {
        const char *name;
        int64_t seconds;
    } units[] = {{"day", 86400}, {"hour", 3600}, {"minute", 60}, {"second", 1}};
    int64_t left = ms > 0 ? (ms + 999) / 1000 : 0;
    size_t i = 0;
    while (i + 1 < USH_COUNT(units) && left < units[i].seconds)
        i++;
    int64_t n = left / units[i].seconds, rest = left % units[i].seconds;
    ush_text words =
        ush_arena_printf(arena, "%lld %s%s", (long long)n, units[i].name, n == 1 ? "" : "s");
    if (i + 1 == USH_COUNT(units) || (n = rest / units[i + 1].seconds) == 0)
        return words;
    return ush_arena_printf(arena, "%.*s %lld %s%s", USH_PR(words), (long long)n, units[i + 1].name,
                            n == 1 ? "" : "s");
}

struct ush_rows categories_of(struct ush_arena *arena, const struct event_list *list)
{
    ush_text *names = USH_NEW_N(arena, ush_text, list->count + 1);
    size_t n = 0;
    for (size_t i = 0; names && i < list->count; i++) {
        ush_text name = list->at[i].event.category;
        bool is_new = name.len > 0;
        for (size_t k = 0; is_new && k < n; k++)
            is_new = !ush_text_equal_nocase(names[k], name);
        if (is_new)
            names[n++] = name;
    }
    return (struct ush_rows){names, n};
}

const char *mail_words(const struct registration_view *r)
{
    switch (r->mail_state) {
    case USH_JOB_DONE:
        return "sent";
    case USH_JOB_DEAD:
        return "could not be delivered; is the address right?";
    case USH_JOB_HELD:
        return "may have been delivered";
    case -1:
        return "none";
    default:
        return "on its way";
    }
}

/* ---- pages ----------------------------------------------------------------------------------- */

int reply_home(struct ush_request *rq, const struct home_view *v)
{
    struct frame f = frame_of(rq, USH_T("Events"));
    f.url = ush_arena_printf(rq->arena, "%s/", web_of(rq)->settings->base_url);
    ush_reply_header(rq, "Cache-Control", USH_T("no-cache"));
    return send_page(rq, 200, PAGE(page_home, &f, v));
}

int reply_event(struct ush_request *rq, const struct event_view *v)
{
    const struct event *e = &v->event->event;
    struct frame f = frame_of(rq, e->title);
    f.summary = e->summary;
    f.url =
        ush_arena_printf(rq->arena, "%s/e/%.*s", web_of(rq)->settings->base_url, USH_PR(e->slug));
    if (event_state(v->event, v->now_ms) == EVENT_NOT_OPEN) {
        int64_t left_s = (v->event->seats.opens_at - v->now_ms) / 1000 + 1;
        f.refresh_s = left_s < REFRESH_BEFORE_OPENING_S ? (int)left_s : REFRESH_BEFORE_OPENING_S;
        f.script = asset_countdown_js.path;
    }
    ush_reply_header(rq, "Cache-Control", USH_T("no-cache"));
    int status = event_state(v->event, v->now_ms) == EVENT_CANCELLED ? 410 : 200;
    return send_page(rq, status, PAGE(page_event, &f, v));
}

int reply_form(struct ush_request *rq, const struct form_view *v)
{
    struct form_view full = *v;
    const struct event *e = &v->event->event;
    bool is_wrong = v->faults || v->refusal.at;
    USH_TRY(questions_parse(e->questions, rq->arena, &full.questions, NULL));
    full.schools = schools_of(web_of(rq)->settings, rq->arena);
    struct frame f =
        frame_of(rq, ush_arena_printf(rq->arena, "%sRegister for %.*s", is_wrong ? "Error: " : "",
                                      USH_PR(v->event->event.title)));
    if (v->is_busy) /* spread, so that all who were turned away do not come back together */
        reply_retry_after(rq, 2000 + (int64_t)(ush_now_ns() / 1000 % 6000));
    /* May be kept for the back button, which has to bring back the same rid; never shared, and
     * whoever follows a link gets a fresh one. */
    ush_reply_header(rq, "Cache-Control", USH_T("private, no-cache"));
    /* Without a referrer browsers hide the origin too, which the form is checked by. */
    ush_reply_header(rq, "Referrer-Policy", USH_T("same-origin"));
    if (event_state(v->event, ush_wall_ms()) == EVENT_NOT_OPEN)
        f.script = asset_countdown_js.path;
    return send_page(rq, v->status, PAGE(page_form, &f, &full));
}

int reply_ticket(struct ush_request *rq, const struct ticket_view *v)
{
    struct web *w = web_of(rq);
    const struct registration *r = &v->registration->registration;
    struct ticket_view full = *v;
    struct ush_buf b, link, svg;
    char code[SHORT_CODE_CHARS + 1];
    struct frame f = frame_of(rq, v->event ? v->event->event.title : USH_T("Your registration"));
    f.is_private = true;
    f.refresh_s = r->status == REGISTRATION_WAITLISTED && !v->asks_cancel ? REFRESH_WAITING_S : 0;
    short_code_format(&w->fest.keys, r->id, code);
    full.code = code;
    ush_buf_init(&link, 2048);
    ush_buf_init(&svg, PAGE_BYTES_MAX);
    ush_buf_init(&b, PAGE_BYTES_MAX);
    if (r->status == REGISTRATION_CONFIRMED) {
        char label[64];
        snprintf(label, sizeof label, "QR code of ticket %s", code);
        ticket_link(&w->fest.keys, w->settings->base_url, r->id, r->ticket_rev, &link);
        if (qr_svg(ush_buf_text(&link), ush_text_of(label), &svg) == 0)
            full.svg = ush_buf_text(&svg);
    }
    page_ticket(&b, &f, &full);
    ush_buf_fini(&link);
    ush_buf_fini(&svg);
    return send_page(rq, 200, b);
}

int reply_data(struct ush_request *rq, const struct data_view *v)
{
    struct frame f = frame_of(rq, USH_T("What is stored about you"));
    f.is_private = true;
    return send_page(rq, 200, PAGE(page_data, &f, v));
}

int reply_delete(struct ush_request *rq, const struct data_view *v)
{
    struct frame f = frame_of(rq, USH_T("Delete?"));
    f.is_private = true;
    return send_page(rq, 200, PAGE(page_delete, &f, v));
}

int reply_find(struct ush_request *rq, const struct find_view *v)
{
    struct frame f =
        frame_of(rq, v->fault.len ? USH_T("Error: Lost your ticket?") : USH_T("Lost your ticket?"));
    return send_page(rq, v->fault.len ? 422 : 200, PAGE(page_find, &f, v));
}

int reply_privacy(struct ush_request *rq, const struct privacy_view *v)
{
    struct frame f = frame_of(rq, USH_T("What happens to what you type"));
    return send_page(rq, 200, PAGE(page_privacy, &f, v));
}

int reply_notice(struct ush_request *rq, const struct notice_view *v)
{
    struct frame f = frame_of(rq, ush_text_of(v->title));
    f.is_private = true;
    return send_page(rq, v->status, PAGE(page_notice, &f, v));
}

int reply_outbox(struct ush_request *rq, const struct outbox_line *lines, size_t n)
{
    struct frame f = frame_of(rq, USH_T("Outbox"));
    f.is_private = true;
    return send_page(rq, 200, PAGE(page_outbox, &f, lines, n));
}

int reply_problem_page(struct ush_request *rq, const struct ush_problem *p, const char *detail)
{
    struct notice_view v = {.title = p->title,
                            .text = ush_text_of(detail && detail[0] ? detail : p->doc),
                            .link = USH_T("/"),
                            .link_text = USH_T("All events"),
                            .status = p->status};
    return reply_notice(rq, &v);
}

int web_asset(struct ush_request *rq)
{
    for (size_t i = 0; i < ASSET_COUNT; i++)
        if (ush_text_equal(rq->path, ush_text_of(assets[i]->path)))
            return ush_reply_asset(rq, assets[i]);
    return ush_problem(rq, &ush_problem_not_found, "There is no such file.");
}
