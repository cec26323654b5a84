/*
 * register.c - the main job: a registration arrives and is answered.
 *
 *   POST /register                               JSON with the event's slug in the body
 *   POST /api/v1/events/{slug}/registrations     JSON
 *   GET  /e/{slug}/register                      the form
 *   POST /e/{slug}/register                      the form as a browser sends it
 *
 * The body is decoded and checked before a handler runs. The handler makes one call (desk_submit,
 * which waits for the desk's batch) and answers with what was decided.
 *
 * The same request twice: the API has Idempotency-Key, the form a hidden field `rid` that was made
 * with the page; double click, back and "send again?" all repeat it. Only what was stored is
 * remembered: a refusal may be followed by success with the same key.
 */
#include "web/access.h"
#include "web/form.h"
#include "web/handlers.h"
#include "web/pages.h"

/* Random, until the browser is closed; says nothing about who it is. A school's phones share one
 * address and are told apart by it. */
#define BROWSER_COOKIE "usher_browser"

enum { KEY_MIN = 8, KEY_MAX = 255, RID_BYTES = 16, RID_CHARS = 26 };

/* 0, or for how many milliseconds this student has to wait. */
static int64_t spend_limits(struct ush_request *rq, ush_text email)
{
    struct limits *l = web_of(rq)->limits;
    int64_t now_ms = ush_wall_ms(), wait_ms = limits_ask(l, LIMIT_EMAIL, email, now_ms);
    ush_text browser = ush_cookie(rq, BROWSER_COOKIE);
    if (wait_ms == 0 && browser.len > 0)
        wait_ms = limits_spend(l, LIMIT_BROWSER, browser, now_ms);
    if (wait_ms == 0 && !is_local(rq->client))
        wait_ms = limits_spend(l, LIMIT_ADDRESS, network_of(rq->client), now_ms);
    return wait_ms;
}

/* The key of draft-ietf-httpapi-idempotency-key-header-07, with or without its quotes. */
static int read_key(struct ush_request *rq, ush_text *ret)
{
    ush_text key = ush_header(rq, "Idempotency-Key");
    *ret = USH_NONE;
    if (!key.at)
        return 0;
    if (key.len >= 2 && key.at[0] == '"' && key.at[key.len - 1] == '"')
        key = (ush_text){key.at + 1, key.len - 2};
    bool good = key.len >= KEY_MIN && key.len <= KEY_MAX;
    for (size_t i = 0; good && i < key.len; i++)
        good = key.at[i] > ' ' && key.at[i] < 0x7f;
    if (!good)
        return ush_problem(rq, &problem_key_invalid,
                           "It must be %d to %d visible ASCII characters.", KEY_MIN, KEY_MAX);
    *ret = key;
    return 0;
}

/* Asks the desk; counts what only a stranger or a script does often. */
static int submit(struct ush_request *rq, const struct desk_request *dr, struct ush_faults *faults,
                  struct desk_answer *a)
{
    struct web *w = web_of(rq);
    int r = desk_submit(&w->fest, dr, rq->arena, faults, a);
    if (r == 0 && a->outcome == SEATS_ALREADY_REGISTERED)
        limits_spend(w->limits, LIMIT_EMAIL, dr->email, ush_wall_ms());
    return r;
}

/* What decoding found wrong with the body, for the desk to add to. */
static struct ush_faults *faults_of(struct ush_request *rq)
{
    struct ush_faults *faults = rq->faults;
    if (!faults && (faults = USH_NEW(rq->arena, struct ush_faults)) != NULL)
        ush_faults_init(faults, rq->arena);
    return faults;
}

static bool has_place(const struct desk_answer *a)
{
    return a->outcome == SEATS_CONFIRMED || a->outcome == SEATS_WAITLISTED ||
           a->outcome == SEATS_REPLAYED;
}

static int refuse(struct ush_request *rq, ush_text slug, const struct desk_answer *a)
{
    struct event_list *list EVENTS_HELD = NULL;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    const struct event_entry *e = event_find(list, slug);
    if (!e)
        return ush_problem(rq, &problem_no_event, "There is no event \"%.*s\".", USH_PR(slug));
    return reply_refusal(rq, &e->event, a);
}

/* ---- API ------------------------------------------------------------------------------------ */

static int register_json(struct ush_request *rq, struct desk_request *dr)
{
    struct desk_answer a;
    struct registration_reply reply;
    struct ush_faults *faults = faults_of(rq);
    if (!faults)
        return USH_ELIMIT;
    USH_TRY(read_key(rq, &dr->key));
    dr->source = SOURCE_API;
    int64_t wait_ms = spend_limits(rq, dr->email);
    if (wait_ms)
        return reply_limited(rq, wait_ms);
    int r = submit(rq, dr, faults, &a);
    if (r == USH_EINVAL || (r == USH_ENOTFOUND && faults->count > 0))
        return ush_problem_faults(rq, faults);
    if (r == USH_ENOTFOUND)
        return ush_problem(rq, &problem_no_event, "There is no event \"%.*s\".", USH_PR(dr->event));
    USH_TRY(r);
    if (!has_place(&a))
        return refuse(rq, dr->event, &a);
    if (a.key_reused)
        return ush_problem(rq, &problem_key_reused,
                           "This key came with another request before; it keeps its place.");
    USH_TRY(registration_reply_fill(rq, dr->event, a.registration, a.status, a.position,
                                    a.manage_rev, a.created_at, &reply));
    ush_reply_header(rq, "Location",
                     ush_arena_printf(rq->arena, "/api/v1/registrations/%.*s", USH_PR(reply.id)));
    if (a.outcome == SEATS_REPLAYED)
        ush_reply_header(rq, "Idempotent-Replayed", USH_T("true"));
    return ush_reply_json(rq, 201, &registration_reply_record, &reply);
}

#define DESK_REQUEST_OF(b, slug)                                                                   \
    (struct desk_request)                                                                          \
    {                                                                                              \
        .event = (slug), .name = (b)->name, .email = (b)->email, .school = (b)->school,            \
        .phone = (b)->phone, .grade = (b)->grade, .team = (b)->team, .members = (b)->members.at,   \
        .member_count = (b)->members.count, .answers = (b)->answers.at,                            \
        .answer_count = (b)->answers.count, .guardian_ok = (b)->guardian                           \
    }

int web_register(struct ush_request *rq)
{
    const struct register_body *b = rq->input;
    struct desk_request dr = DESK_REQUEST_OF(b, b->event);
    return register_json(rq, &dr);
}

int web_register_here(struct ush_request *rq)
{
    const struct register_here *b = rq->input;
    struct desk_request dr = DESK_REQUEST_OF(b, ush_param(rq, "slug"));
    return register_json(rq, &dr);
}

/* ---- form ------------------------------------------------------------------------------------ */

USH_RECORD_DEFINE(register_form, REGISTER_FORM_FIELDS)

/* Finds the event or answers 404. */
static int find_event(struct ush_request *rq, struct event_list **ret_list,
                      struct event_entry **ret)
{
    ush_text slug = ush_param(rq, "slug");
    USH_TRY(events_take(&web_of(rq)->fest, ret_list));
    *ret = event_find(*ret_list, slug);
    if (!*ret)
        return ush_problem(rq, &problem_no_event, "There is no event \"%.*s\".", USH_PR(slug));
    return 0;
}

static ush_text new_rid(struct ush_request *rq)
{
    uint8_t bytes[RID_BYTES];
    char text[RID_CHARS + 1];
    ush_random(bytes, sizeof bytes);
    ush_base32_format(bytes, sizeof bytes, text);
    return ush_arena_copy(rq->arena, ush_text_of(text));
}

int web_form(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct event_entry *e;
    USH_TRY(find_event(rq, &list, &e));
    if (event_state(e, ush_wall_ms()) == EVENT_CANCELLED)
        return ush_problem(rq, &problem_event_cancelled, "%.*s is cancelled.",
                           USH_PR(e->event.title));
    struct register_form empty = {.rid = new_rid(rq)};
    struct form_view v = {.event = e, .form = &empty, .status = 200};
    if (!ush_cookie(rq, BROWSER_COOKIE).len)
        ush_reply_header(rq, "Set-Cookie",
                         ush_arena_printf(rq->arena, "%s=%.*s; Path=/; HttpOnly; SameSite=Lax",
                                          BROWSER_COOKIE, USH_PR(new_rid(rq))));
    return reply_form(rq, &v);
}

/* An address like gmial.com is asked about once; the second time it is taken as it is. */
static bool asks_about_address(const struct register_form *f, ush_text *ret_suggestion)
{
    *ret_suggestion = ush_email_suggestion(f->email);
    return ret_suggestion->at && !ush_text_equal(f->checked_email, f->email);
}

int change_details(struct ush_request *rq, int64_t registration, int64_t manage_rev,
                   struct form_view *v)
{
    struct web *w = web_of(rq);
    struct ush_faults *faults = faults_of(rq);
    struct change_result result;
    if (!faults)
        return USH_ELIMIT;
    const struct edit_request edit = {.registration = registration,
                                      .form = DESK_REQUEST_OF(v->form, v->event->event.slug),
                                      .actor = USH_T("student")};
    int r = registration_edit(&w->fest, &edit, rq->arena, faults, &result);
    if (r == USH_EINVAL) {
        v->status = 422;
        v->faults = faults;
        return reply_form(rq, v);
    }
    USH_TRY(r);
    if (result.outcome == CHANGE_DONE || result.outcome == CHANGE_NOTHING)
        return ush_reply_redirect(
            rq, 303,
            manage_link(rq, registration, result.manage_rev ? result.manage_rev : manage_rev, ""));
    v->status = 409;
    v->faults = NULL;
    v->refusal_title = "The details stay as they were";
    v->refusal = result.outcome == CHANGE_DUPLICATE
                     ? USH_T("One of these people, or the team's name, is registered already.")
                 : result.outcome == CHANGE_TOO_LATE
                     ? USH_T("It is too late to change the details.")
                     : USH_T("The details cannot be changed any more.");
    return reply_form(rq, v);
}

/* The same tab sends other details: the place exists, so offer to change them. */
static int offer_update(struct ush_request *rq, const struct register_form *f,
                        const struct event_entry *e, const struct desk_answer *a)
{
    if (!f->update) {
        struct form_view v = {.event = e,
                              .form = f,
                              .status = 200,
                              .asks_update = true,
                              .ticket_url = manage_link(rq, a->registration, a->manage_rev, "")};
        return reply_form(rq, &v);
    }
    struct form_view v = {.event = e, .form = f, .status = 422};
    return change_details(rq, a->registration, a->manage_rev, &v);
}

/* A refusal in the form's own page: what was typed stays. */
static int refuse_form(struct ush_request *rq, const struct register_form *f,
                       const struct event_entry *e, const struct desk_answer *a)
{
    struct form_view v = {.event = e, .form = f, .status = 409};
    v.refusal = refusal_sentence(rq, &e->event, a);
    v.refusal_title = refusal_problem(a)->title;
    if (a->outcome == SEATS_EVENT_CANCELLED)
        v.status = 410;
    return reply_form(rq, &v);
}

int web_form_post(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct event_entry *e;
    struct register_form *f = rq->input;
    struct ush_faults *faults = faults_of(rq);
    struct desk_answer a;
    if (!faults)
        return USH_ELIMIT;
    USH_TRY(check_origin(rq));
    USH_TRY(find_event(rq, &list, &e));
    struct form_view v = {.event = e, .form = f, .status = 422};
    if (!f->rid.at || f->rid.len < KEY_MIN)
        f->rid = new_rid(rq);
    if (f->website.len > 0) /* a field that people do not see: a script filled it */
        return ush_reply_redirect(rq, 303, USH_T("/"));
    if (faults->count == 0 && asks_about_address(f, &v.suggestion)) {
        f->checked_email = f->email;
        return reply_form(rq, &v);
    }
    struct desk_request dr = DESK_REQUEST_OF(f, e->event.slug);
    dr.key = f->rid;
    dr.source = SOURCE_WEB;
    int64_t wait_ms = spend_limits(rq, dr.email);
    if (wait_ms) { /* everything typed stays */
        v.status = 429;
        v.pause = span_words(rq->arena, wait_ms);
        reply_retry_after(rq, wait_ms);
        return reply_form(rq, &v);
    }
    int r = submit(rq, &dr, faults, &a);
    if (r == USH_EINVAL) {
        v.faults = faults;
        return reply_form(rq, &v);
    }
    if (r == USH_EFULL || r == USH_EUNAVAILABLE || r == USH_ESTORAGE || r == -ETIMEDOUT) {
        /* Busy: the same form again, with everything typed and the same rid. */
        v.status = 503;
        v.is_busy = true;
        return reply_form(rq, &v);
    }
    USH_TRY(r);
    if (!has_place(&a))
        return refuse_form(rq, f, e, &a);
    if (a.key_reused)
        return offer_update(rq, f, e, &a);
    return ush_reply_redirect(rq, 303, manage_link(rq, a.registration, a.manage_rev, ""));
}
