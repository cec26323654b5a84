/*
 * reply.c - how answers of the domain become replies: records of the API, links, refusals.
 */
#include "web/web.h"

USH_RECORD_DEFINE(register_body, REGISTER_BODY_FIELDS)
USH_RECORD_DEFINE(register_here, REGISTER_COMMON_FIELDS)
USH_RECORD_DEFINE(ticket_reply, TICKET_REPLY_FIELDS)
USH_RECORD_DEFINE(registration_reply, REGISTRATION_REPLY_FIELDS)

/* `head` and `tail` in one text. On the path of every registration, so without printf. */
static ush_text joined(struct ush_arena *arena, ush_text head, const char *tail)
{
    size_t n = strlen(tail);
    char *at = ush_arena_alloc(arena, head.len + n + 1);
    if (!at)
        return USH_NONE;
    memcpy(at, head.at, head.len);
    memcpy(at + head.len, tail, n);
    return (ush_text){at, head.len + n};
}

ush_text manage_link(struct ush_request *rq, int64_t id, int64_t manage_rev, const char *suffix)
{
    const struct web *w = web_of(rq);
    char path[sizeof "/r/" + MANAGE_TOKEN_CHARS] = "/r/";
    manage_token_format(&w->fest.keys, id, manage_rev, path + 3);
    ush_text link = joined(rq->arena, ush_text_of(w->settings->base_url), path);
    return suffix[0] && link.at ? joined(rq->arena, link, suffix) : link;
}

int registration_reply_fill(struct ush_request *rq, ush_text slug, int64_t id, int64_t status,
                            int64_t position, int64_t manage_rev, int64_t created_at,
                            struct registration_reply *ret)
{
    const struct keys *k = &web_of(rq)->fest.keys;
    char public_id[PUBLIC_ID_CHARS + 1], code[SHORT_CODE_CHARS + 1];
    public_id_format(k, id, public_id);
    *ret = (struct registration_reply){
        .id = ush_arena_copy(rq->arena, ush_text_of(public_id)),
        .event = slug,
        .status = ush_text_of(registration_status_name(status)),
        .seq = registration_seq_of(id),
        .waitlist_position = position,
        .manage_url = manage_link(rq, id, manage_rev, ""),
        .created_at = created_at,
    };
    if (status == REGISTRATION_WAITLISTED && position > 0)
        USH_SET(ret, registration_reply_waitlist_position);
    if (status == REGISTRATION_CONFIRMED) {
        struct ticket_reply *t = USH_NEW(rq->arena, struct ticket_reply);
        if (!t)
            return USH_ELIMIT;
        short_code_format(k, id, code);
        t->short_code = ush_arena_copy(rq->arena, ush_text_of(code));
        t->svg_url = joined(rq->arena, ret->manage_url, "/ticket.svg");
        t->png_url = joined(rq->arena, ret->manage_url, "/ticket.png");
        t->ics_url = joined(rq->arena, ret->manage_url, "/event.ics");
        ret->ticket = t;
    }
    return rq->arena->failed ? USH_ELIMIT : 0;
}

/* ---- refusals ------------------------------------------------------------------------------ */

/* A family or a class may share an address; where that counts as one person, say whom to ask. */
static ush_text already_sentence(struct ush_arena *arena, const struct event *event,
                                 const struct desk_answer *a)
{
    bool by_name = ush_text_equal(event->dedupe, USH_T("email_name"));
    return ush_arena_printf(
        arena, "%s registered for %.*s already. %s%s",
        by_name ? "This name with this address is" : "This address is", USH_PR(event->title),
        a->resent ? "The link to the ticket was mailed to it again."
                  : "The mail with the link to the ticket is in its inbox.",
        by_name ? "" : " If several people share the address, please ask the organisers.");
}

ush_text refusal_sentence(struct ush_request *rq, const struct event *event,
                          const struct desk_answer *a)
{
    struct ush_arena *arena = rq->arena;
    char opens[40], now[40];
    ush_text title = event->title;
    switch (a->outcome) {
    case SEATS_FULL:
        return ush_arena_printf(arena, "%.*s is full, and its waitlist is closed.", USH_PR(title));
    case SEATS_ALREADY_REGISTERED:
        if (a->person > 0)
            return ush_arena_printf(arena, "Member %zu is registered for %.*s already.", a->person,
                                    USH_PR(title));
        return already_sentence(arena, event, a);
    case SEATS_TEAM_TAKEN:
        return ush_arena_printf(arena, "Another team of %.*s has this name. Please choose another.",
                                USH_PR(title));
    case SEATS_SCHOOL_LIMIT:
        return ush_arena_printf(arena, "%.*s takes %lld registrations per school; yours has them.",
                                USH_PR(title), (long long)a->school_limit);
    case SEATS_NOT_OPEN:
        event_time_format(event, a->opens_at, opens);
        event_time_format(event, a->decided_at, now);
        return ush_arena_printf(arena, "%.*s opens %s (%.*s). It is %s now.", USH_PR(title), opens,
                                USH_PR(event->tz), now);
    case SEATS_EVENT_CANCELLED:
        return ush_arena_printf(arena, "%.*s is cancelled.", USH_PR(title));
    default:
        return ush_arena_printf(arena, "Registration for %.*s is closed.", USH_PR(title));
    }
}

static void member_time(struct ush_request *rq, const char *name, int64_t ms)
{
    char text[32];
    ush_time_format(ms, 0, text);
    ush_problem_member(rq, name, ush_arena_printf(rq->arena, "\"%s\"", text));
}

const struct ush_problem *refusal_problem(const struct desk_answer *a)
{
    static const struct ush_problem *const kinds[] = {
        [SEATS_FULL] = &problem_sold_out,
        [SEATS_ALREADY_REGISTERED] = &problem_already_registered,
        [SEATS_TEAM_TAKEN] = &problem_team_taken,
        [SEATS_SCHOOL_LIMIT] = &problem_school_limit,
        [SEATS_NOT_OPEN] = &problem_not_open,
        [SEATS_EVENT_CANCELLED] = &problem_event_cancelled,
    };
    size_t i = (size_t)a->outcome;
    return i < USH_COUNT(kinds) && kinds[i] ? kinds[i] : &problem_closed;
}

/* The members that programs want. */
static void add_members(struct ush_request *rq, const struct desk_answer *a)
{
    const struct ush_problem *p = refusal_problem(a);
    if (p == &problem_sold_out)
        ush_problem_member(rq, "waitlist", USH_T("false"));
    if (p == &problem_already_registered)
        ush_problem_member(rq, "resent", a->resent ? USH_T("true") : USH_T("false"));
    if (p == &problem_school_limit)
        ush_problem_member(rq, "limit",
                           ush_arena_printf(rq->arena, "%lld", (long long)a->school_limit));
    if (p == &problem_closed)
        member_time(rq, "closed_at", a->closes_at);
    if (p == &problem_not_open) {
        member_time(rq, "opens_at", a->opens_at);
        member_time(rq, "server_time", a->decided_at);
        reply_retry_after(rq, a->opens_at - a->decided_at);
    }
}

int reply_refusal(struct ush_request *rq, const struct event *event, const struct desk_answer *a)
{
    /* Slugs need no escaping. */
    ush_problem_member(rq, "event", ush_arena_printf(rq->arena, "\"%.*s\"", USH_PR(event->slug)));
    ush_text why = refusal_sentence(rq, event, a);
    add_members(rq, a);
    return ush_problem(rq, refusal_problem(a), "%.*s", USH_PR(why));
}

void reply_retry_after(struct ush_request *rq, int64_t wait_ms)
{
    int64_t seconds = (wait_ms + 999) / 1000;
    ush_reply_header(rq, "Retry-After",
                     ush_arena_printf(rq->arena, "%lld", (long long)(seconds > 0 ? seconds : 1)));
}
