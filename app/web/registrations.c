/*
 * registrations.c - one registration through the API.
 *
 * Who holds the token of the private link may read, cancel and ask for the mail again. The token
 * goes in `Authorization: Bearer`; the path names the registration by its public id, and both must
 * belong together. An unknown id and a wrong token get the same answer.
 */
#include "web/handlers.h"
#include "web/web.h"

/* The registration that the path names, for the holder of its token; else an answer. */
static int authorise(struct ush_request *rq, struct registration_view *ret)
{
    struct web *w = web_of(rq);
    ush_text bearer = ush_header(rq, "Authorization");
    int64_t id;
    if (bearer.len < 8 || !ush_text_equal_nocase((ush_text){bearer.at, 7}, USH_T("Bearer "))) {
        ush_reply_header(rq, "WWW-Authenticate", USH_T("Bearer"));
        return ush_problem(rq, &problem_unauthenticated,
                           "The token is the last part of the private link.");
    }
    ush_text token = ush_text_trim((ush_text){bearer.at + 7, bearer.len - 7});
    int r = public_id_parse(&w->fest.keys, ush_param(rq, "id"), &id);
    if (r == 0)
        r = registration_open(&w->fest, token, rq->arena, ret);
    if (r == USH_ENOTFOUND || r == -EINVAL || (r == 0 && ret->registration.id != id))
        return ush_problem(rq, &problem_no_registration,
                           "There is no such registration, or the token does not fit.");
    return r;
}

static int reply_registration(struct ush_request *rq, int status, const struct registration_view *v)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct registration_reply reply;
    const struct registration *r = &v->registration;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    const struct event_entry *e = event_find_id(list, registration_event_of(r->id));
    USH_TRY(registration_reply_fill(rq, e ? e->event.slug : USH_T(""), r->id, r->status,
                                    v->waitlist_position, r->manage_rev, r->created_at, &reply));
    return ush_reply_json(rq, status, &registration_reply_record, &reply);
}

int web_api_registration(struct ush_request *rq)
{
    struct registration_view v;
    USH_TRY(authorise(rq, &v));
    return reply_registration(rq, 200, &v);
}

int web_api_cancel(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    struct registration_view v;
    struct change_result result;
    USH_TRY(authorise(rq, &v));
    struct cancel in = {.registration = v.registration.id,
                        .reason = USH_T("by_student"),
                        .actor = USH_T("student")};
    USH_TRY(fest_change(&w->fest, &op_cancel, &in, &result, rq->arena));
    if (result.outcome == CHANGE_TOO_LATE) {
        char until[32];
        ush_time_format(result.until, 0, until);
        ush_problem_member(rq, "deadline", ush_arena_printf(rq->arena, "\"%s\"", until));
        return ush_problem(rq, &problem_deadline_passed, "It could be cancelled until %s.", until);
    }
    USH_TRY(registration_read(w->fest.db, v.registration.id, rq->arena, &v));
    return reply_registration(rq, 200, &v);
}

int web_api_resend(struct ush_request *rq)
{
    struct registration_view v;
    struct change_result result;
    USH_TRY(authorise(rq, &v));
    struct resend in = {.registration = v.registration.id, .actor = USH_T("student")};
    USH_TRY(registration_resend(&web_of(rq)->fest, &in, rq->arena, &result));
    if (result.outcome == CHANGE_TOO_SOON) {
        reply_retry_after(rq, result.until - ush_wall_ms());
        return ush_problem(rq, &problem_too_soon, "The mail goes out at most once an hour.");
    }
    if (result.outcome != CHANGE_DONE)
        return ush_problem(rq, &problem_not_confirmed, "This registration is cancelled.");
    return reply_registration(rq, 202, &v);
}
