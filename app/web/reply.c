/*
 * reply.c - how answers of the domain become replies: records of the API, links, refusals.
 */
#include "web/web.h"

USH_RECORD_DEFINE(register_body, REGISTER_BODY_FIELDS)
USH_RECORD_DEFINE(register_here, REGISTER_COMMON_FIELDS)
USH_RECORD_DEFINE(ticket_reply, TICKET_REPLY_FIELDS)
USH_RECORD_DEFINE(registration_reply, REGISTRATION_REPLY_FIELDS)

ush_text manage_link(struct ush_request *rq, int64_t id, int64_t manage_rev, const char *suffix)
{
    const struct web *w = web_of(rq);
    char token[MANAGE_TOKEN_CHARS + 1];
    manage_token_format(&w->fest.keys, id, manage_rev, token);
    return ush_arena_printf(rq->arena, "%s/r/%s%s", w->settings->base_url, token, suffix);
}

int registration_reply_fill(struct ush_request *rq, ush_text slug, int64_t id, int64_t status,
                            int64_t position, int64_t manage_rev, int64_t created_at,
                            struct registration_reply *ret)
{
    const struct keys *k = &web_of(rq)->fest.keys;
    char public_id[PUBLIC_ID_CHARS + 1], code[SHORT_CODE_CHARS + 1];
    public_id_format(k, id, public_id);
    *ret = (struct registration_reply){
        .has = UINT64_MAX,
        .id = ush_arena_copy(rq->arena, ush_text_of(public_id)),
        .event = slug,
        .status = ush_text_of(registration_status_name(status)),
        .seq = registration_seq_of(id),
        .waitlist_position = position,
        .manage_url = manage_link(rq, id, manage_rev, ""),
        .created_at = created_at,
    };
    if (status != REGISTRATION_WAITLISTED || position <= 0)
        ret->has &= ~(UINT64_C(1) << registration_reply_waitlist_position);
    if (status == REGISTRATION_CONFIRMED) {
        struct ticket_reply *t = USH_NEW(rq->arena, struct ticket_reply);
        if (!t)
            return USH_ELIMIT;
        short_code_format(k, id, code);
        t->has = UINT64_MAX;
        t->short_code = ush_arena_copy(rq->arena, ush_text_of(code));
        t->svg_url = manage_link(rq, id, manage_rev, "/ticket.svg");
        t->png_url = manage_link(rq, id, manage_rev, "/ticket.png");
        t->ics_url = manage_link(rq, id, manage_rev, "/event.ics");
        ret->ticket = t;
    }
    return rq->arena->failed ? USH_ELIMIT : 0;
}

static void member_time(struct ush_request *rq, const char *name, int64_t ms)
{
    char text[32];
    ush_time_format(ms, 0, text);
    ush_problem_member(rq, name, ush_arena_printf(rq->arena, "\"%s\"", text));
}

static void member_i64(struct ush_request *rq, const char *name, int64_t value)
{
    ush_problem_member(rq, name, ush_arena_printf(rq->arena, "%lld", (long long)value));
}

static int refuse_not_open(struct ush_request *rq, const struct event *event,
                           const struct desk_answer *a)
{
    char opens[40], now[40];
    int64_t wait_s = (a->opens_at - a->decided_at + 999) / 1000;
    event_time_format(event, a->opens_at, opens);
    event_time_format(event, a->decided_at, now);
    member_time(rq, "opens_at", a->opens_at);
    member_time(rq, "server_time", a->decided_at);
    if (wait_s > 0)
        ush_reply_header(rq, "Retry-After",
                         ush_arena_printf(rq->arena, "%lld", (long long)wait_s));
    return ush_problem(rq, &problem_not_open, "%.*s opens %s (%.*s); it is %s now.",
                       USH_PR(event->title), opens, USH_PR(event->tz), now);
}

int reply_refusal(struct ush_request *rq, const struct event *event, const struct desk_answer *a)
{
    char slug[96];
    snprintf(slug, sizeof slug, "\"%.*s\"", USH_PR(event->slug));
    ush_problem_member(rq, "event", ush_arena_copy(rq->arena, ush_text_of(slug)));
    switch (a->outcome) {
    case SEATS_FULL:
        ush_problem_member(rq, "waitlist", USH_T("false"));
        return ush_problem(rq, &problem_sold_out, "%.*s is full and its waitlist is closed.",
                           USH_PR(event->title));
    case SEATS_ALREADY_REGISTERED:
        ush_problem_member(rq, "resent", a->resent ? USH_T("true") : USH_T("false"));
        if (a->person > 0)
            return ush_problem(rq, &problem_already_registered,
                               "Member %zu of the team is registered for %.*s already.", a->person,
                               USH_PR(event->title));
        return ush_problem(rq, &problem_already_registered,
                           a->resent
                               ? "This address is registered for %.*s already; the link to the "
                                 "ticket was mailed again."
                               : "This address is registered for %.*s already; the mail with the "
                                 "link to the ticket was sent to it.",
                           USH_PR(event->title));
    case SEATS_TEAM_TAKEN:
        return ush_problem(rq, &problem_team_taken,
                           "Another team of %.*s has this name. Please choose another one.",
                           USH_PR(event->title));
    case SEATS_SCHOOL_LIMIT:
        member_i64(rq, "limit", a->school_limit);
        return ush_problem(rq, &problem_school_limit,
                           "%.*s takes %lld registrations per school, and your school has them.",
                           USH_PR(event->title), (long long)a->school_limit);
    case SEATS_NOT_OPEN:
        return refuse_not_open(rq, event, a);
    case SEATS_EVENT_CANCELLED:
        return ush_problem(rq, &problem_event_cancelled, "%.*s is cancelled.",
                           USH_PR(event->title));
    default:
        member_time(rq, "closed_at", a->closes_at);
        return ush_problem(rq, &problem_closed, "Registration for %.*s is closed.",
                           USH_PR(event->title));
    }
}
