/*
 * events.c - the events: as a page for people and as JSON for programs, from memory.
 *
 * Pages ignore query parameters that they do not know (links get "fbclid" added); the API refuses
 * them. Exact numbers of places are not shown: bands are, so a link preview kept for days is not
 * wrong.
 */
#include "web/handlers.h"
#include "web/pages.h"

#define EVENT_REPLY_FIELDS(F, R)                                                                   \
    F(R, TEXT, slug, .doc = "Name in links", .example = "\"robotics-challenge\"")                  \
    F(R, TEXT, title, .doc = "Title")                                                              \
    F(R, TEXT, summary, .max = 300, .optional = true, .doc = "One or two sentences")               \
    F(R, TEXT, description, .max = 20000, .optional = true, .doc = "Plain text")                   \
    F(R, TEXT, category, .optional = true, .doc = "For grouping")                                  \
    F(R, TEXT, venue, .max = 160, .optional = true, .doc = "Where")                                \
    F(R, TIME, starts_at, .doc = "Begins")                                                         \
    F(R, TIME, ends_at, .doc = "Ends")                                                             \
    F(R, TEXT, tz, .doc = "Zone it is shown in")                                                   \
    F(R, TEXT, kind, .choices = "individual|team", .doc = "Who takes a place")                     \
    F(R, I64, team_min, .doc = "People in a team, the lead included")                              \
    F(R, I64, team_max, .doc = "At most")                                                          \
    F(R, TEXT, state, .choices = EVENT_STATES, .doc = "What a newcomer would meet now")            \
    F(R, TEXT, left, .choices = "many|few|last|full", .doc = "Places left, as a band")             \
    F(R, TIME, opens_at, .doc = "Registration opens")                                              \
    F(R, TIME, closes_at, .doc = "Registration closes")
USH_RECORD(event_reply, EVENT_REPLY_FIELDS)
USH_RECORD_DEFINE(event_reply, EVENT_REPLY_FIELDS)

#define EVENTS_REPLY_FIELDS(F, R)                                                                  \
    F(R, LIST, items, .of = &event_reply_record, .doc = "Sorted by start")                         \
    F(R, TEXT, next, .optional = true, .doc = "Cursor of the next page, if there is one")
USH_RECORD(events_reply, EVENTS_REPLY_FIELDS)
USH_RECORD_DEFINE(events_reply, EVENTS_REPLY_FIELDS)

#define AVAILABILITY_FIELDS(F, R)                                                                  \
    F(R, TEXT, state, .choices = EVENT_STATES, .doc = "What a newcomer would meet now")            \
    F(R, TEXT, left, .choices = "many|few|last|full", .doc = "Places left, as a band")             \
    F(R, I64, waiting, .doc = "Length of the waitlist")                                            \
    F(R, TIME, opens_at, .doc = "Registration opens")                                              \
    F(R, TIME, closes_at, .doc = "Registration closes")                                            \
    F(R, TIME, server_time, .doc = "The clock that decides")
USH_RECORD(availability, AVAILABILITY_FIELDS)
USH_RECORD_DEFINE(availability, AVAILABILITY_FIELDS)

USH_RECORD_DEFINE(events_query, EVENTS_QUERY_FIELDS)

enum { PAGE = 50, PAGE_MAX = 200 };

static struct event_reply reply_of(const struct event_entry *e, int64_t now_ms)
{
    const struct event *v = &e->event;
    return (struct event_reply){
        .slug = v->slug,
        .title = v->title,
        .summary = v->summary,
        .description = v->description,
        .category = v->category,
        .venue = v->venue,
        .starts_at = v->starts_at,
        .ends_at = v->ends_at,
        .tz = v->tz,
        .kind = v->kind,
        .team_min = v->team_min,
        .team_max = v->team_max,
        .state = ush_text_of(event_state_name(event_state(e, now_ms))),
        .left = ush_text_of(event_band(&e->seats)),
        .opens_at = e->seats.opens_at,
        .closes_at = e->seats.closes_at,
    };
}

/* ASCII letters without case; other scripts as typed. */
static bool contains(ush_text text, ush_text part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (ush_text_equal_nocase((ush_text){text.at + i, part.len}, part))
            return true;
    return part.len == 0;
}

bool event_matches(const struct event_entry *e, const struct events_query *q, int64_t now_ms)
{
    if (q->category.len && !ush_text_equal_nocase(e->event.category, q->category))
        return false;
    if (q->status.len &&
        !ush_text_equal(ush_text_of(event_state_name(event_state(e, now_ms))), q->status))
        return false;
    return !q->q.len || contains(e->event.title, q->q) || contains(e->event.summary, q->q) ||
           contains(e->event.venue, q->q) || contains(e->event.category, q->q);
}

int web_api_events(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    const struct events_query *q = rq->input;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    size_t limit = q->limit ? (size_t)q->limit : PAGE;
    int64_t now_ms = ush_wall_ms(), from = 0;
    if (q->cursor.len && (ush_text_i64(q->cursor, &from) < 0 || from < 0)) {
        struct ush_faults faults;
        ush_faults_init(&faults, rq->arena);
        faults.in = "query";
        ush_faults_add(&faults, "cursor", "value_error", "This cursor was not made here");
        return ush_problem_faults(rq, &faults);
    }
    struct event_reply *items = USH_NEW_N(rq->arena, struct event_reply, limit);
    struct events_reply reply = {0};
    if (!items)
        return USH_ELIMIT;
    size_t n = 0, i = (size_t)from;
    for (; i < list->count && n < limit; i++)
        if (event_matches(&list->at[i], q, now_ms))
            items[n++] = reply_of(&list->at[i], now_ms);
    reply.items = (struct ush_rows){items, n};
    if (i < list->count)
        reply.next = ush_arena_printf(rq->arena, "%zu", i);
    return ush_reply_json(rq, 200, &events_reply_record, &reply);
}

/* The entry of the path's slug, or an answer that there is none. */
static int find(struct ush_request *rq, struct event_list **ret_list, struct event_entry **ret)
{
    ush_text slug = ush_param(rq, "slug");
    USH_TRY(events_take(&web_of(rq)->fest, ret_list));
    *ret = event_find(*ret_list, slug);
    if (!*ret)
        return ush_problem(rq, &problem_no_event, "There is no event \"%.*s\".", USH_PR(slug));
    return 0;
}

int web_api_event(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct event_entry *e;
    USH_TRY(find(rq, &list, &e));
    struct event_reply reply = reply_of(e, ush_wall_ms());
    return ush_reply_json(rq, 200, &event_reply_record, &reply);
}

int web_api_availability(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct event_entry *e;
    USH_TRY(find(rq, &list, &e));
    int64_t now_ms = ush_wall_ms();
    struct availability reply = {
        .state = ush_text_of(event_state_name(event_state(e, now_ms))),
        .left = ush_text_of(event_band(&e->seats)),
        .waiting = e->seats.waiting,
        .opens_at = e->seats.opens_at,
        .closes_at = e->seats.closes_at,
        .server_time = now_ms,
    };
    return ush_reply_json(rq, 200, &availability_record, &reply);
}

/* ---- pages ----------------------------------------------------------------------------------- */

int web_home(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    struct home_view v = {.list = list, .query = rq->input, .now_ms = ush_wall_ms()};
    return reply_home(rq, &v);
}

int web_event(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct event_entry *e;
    USH_TRY(find(rq, &list, &e));
    struct event_view v = {.event = e, .now_ms = ush_wall_ms()};
    return reply_event(rq, &v);
}
