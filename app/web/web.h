/*
 * web.h - the table of contents of app/web: what people and programs see.
 *
 *     routes.c         every address of this program, one row each: start here
 *     register.c       POST /register and its forms: the main job
 *     form.c           what the template of the form asks
 *     events.c         the list of events, one event, availability: pages and API
 *     registrations.c  one registration through the API
 *     ticket.c         the ticket page and its buttons
 *     details.c        what is stored about a student: see, correct, delete it
 *     reply.c          the records of the API, and how domain answers become replies
 *     problems.c       every kind of failure that this application answers with
 *     pages.c          the frame of a page, and the problem page
 *     outbox.c         the mails that were written to files, for trying things out
 *     limits.c         how often somebody may ask
 *     health.c         /healthz, /readyz, /metrics
 *     access.c         who may ask what: sessions and roles
 *     admin.c          the organisers' pages: their frame, and in admin.h what they share
 *     admin_login.c    login, the first owner, pairing a phone
 *     admin_home.c     the dashboard
 *     admin_events.c   events: list, form, places, import
 *     admin_words.c    what those pages say in words
 *     admin_people.c   people: lists, one, corrections, export
 *     admin_scan.c     the door
 *     admin_staff.c    users, devices, audit, mail, privacy
 *
 * A handler is straight-line code: it may wait, and its answer is one call. A handler that fails
 * returns a negative code, which becomes a problem document or a problem page.
 */
#ifndef WEB_WEB_H
#define WEB_WEB_H

#include "domain/desk.h"
#include "domain/events.h"
#include "domain/people.h"
#include "domain/stats.h"
#include "usher/http.h"
#include "usher/master.h"

/* What a worker's handlers share: rq->app. */
struct web {
    struct fest fest;
    const struct settings *settings;
    struct limits *limits; /* shared by all workers; NULL = none */
    const struct ush_worker
        *worker;                /* whose shared blocks hold struct ush_http_stats; may be NULL */
    struct stats_cache stats;   /* of the dashboards that this worker serves */
    struct ush_pool *passwords; /* of this loop, made at the first login */
    int64_t probe_again_ns;     /* /readyz: when to try again whether changes are stored */
    int probe_result;
};

static inline struct web *web_of(const struct ush_request *rq)
{
    return rq->app;
}

/* What all workers of this host did together (health.c). */
struct server_totals {
    uint64_t requests, connections, shed, status[6];
    uint32_t open, handlers;
};
struct server_totals server_totals_of(const struct web *w);

/* What answers the requests of a row. */
typedef int web_handler(struct ush_request *rq);

/* The rows, for the server and for `usher openapi`. */
extern const struct ush_route web_routes[];
extern const size_t web_route_count;
/* Options of the server over the rows; the caller adds listeners and what its process owns. */
struct ush_http_options web_http_options(struct web *w);

/* ---- problems (problems.c) ------------------------------------------------------------------- */

extern const struct ush_problem problem_sold_out, problem_already_registered, problem_team_taken,
    problem_school_limit, problem_not_open, problem_closed, problem_event_cancelled,
    problem_key_reused, problem_key_invalid, problem_no_event, problem_no_registration,
    problem_unauthenticated, problem_deadline_passed, problem_too_soon, problem_not_confirmed,
    problem_foreign_origin, problem_session_over, problem_forbidden;

/* ---- records of the API (reply.c) ------------------------------------------------------------ */

#define MEMBER_DOC "Other people of a team, the lead not among them"
/* What both ways to register take; the event is named in the body or in the path. */
#define REGISTER_COMMON_FIELDS(F, R)                                                               \
    F(R, TEXT, name, .min = 1, .max = 120, .doc = "Name, as its owner writes it",                  \
      .example = "\"Asha Rao\"")                                                                   \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254, .doc = "Where the ticket is mailed",        \
      .example = "\"asha@school.example\"")                                                        \
    F(R, TEXT, school, .max = 160, .optional = true, .doc = "School",                              \
      .example = "\"Green Valley School\"")                                                        \
    F(R, I64, grade, .min = 1, .max = 20, .optional = true, .doc = "Grade", .example = "9")        \
    F(R, TEXT, phone, .format = USH_PHONE, .max = 20, .optional = true, .doc = "Phone")            \
    F(R, TEXT, team, .max = 120, .optional = true, .doc = "Name of the team, for team events")     \
    F(R, LIST, members, .of = &desk_person_record, .max = 19, .optional = true, .doc = MEMBER_DOC) \
    F(R, LIST, answers, .of = &answer_record, .max = 10, .optional = true,                         \
      .doc = "To the questions of the event")                                                      \
    F(R, BOOL, guardian, .optional = true, .doc = "A guardian agrees, where the event asks")
#define REGISTER_BODY_FIELDS(F, R)                                                                 \
    F(R, TEXT, event, .format = USH_SLUG, .min = 1, .max = 60, .doc = "Slug of the event",         \
      .example = "\"robotics-challenge\"")                                                         \
    REGISTER_COMMON_FIELDS(F, R)
USH_RECORD(register_body, REGISTER_BODY_FIELDS)
USH_RECORD(register_here, REGISTER_COMMON_FIELDS)

#define TICKET_REPLY_FIELDS(F, R)                                                                  \
    F(R, TEXT, short_code, .doc = "For typing at the door", .example = "\"K7QF-2M9D\"")            \
    F(R, TEXT, svg_url, .max = 400, .doc = "The QR code as SVG")                                   \
    F(R, TEXT, png_url, .max = 400, .doc = "The QR code as PNG")                                   \
    F(R, TEXT, ics_url, .max = 400, .doc = "A calendar file")
USH_RECORD(ticket_reply, TICKET_REPLY_FIELDS)

#define REGISTRATION_REPLY_FIELDS(F, R)                                                            \
    F(R, TEXT, id, .doc = "Public id")                                                             \
    F(R, TEXT, event, .doc = "Slug of the event")                                                  \
    F(R, TEXT, status, .choices = "confirmed|waitlisted|cancelled", .doc = "State, as it is now")  \
    F(R, I64, seq, .doc = "Running number of the event: the order of arrival")                     \
    F(R, I64, waitlist_position, .optional = true, .doc = "From 1, while waitlisted")              \
    F(R, ONE, ticket, .of = &ticket_reply_record, .optional = true,                                \
      .doc = "For confirmed registrations, else null")                                             \
    F(R, TEXT, manage_url, .max = 400, .doc = "The private link: view, correct, cancel")           \
    F(R, TIME, created_at, .doc = "When it arrived")
USH_RECORD(registration_reply, REGISTRATION_REPLY_FIELDS)

/* Fills the reply of a registration; links start with the configured base URL. */
int registration_reply_fill(struct ush_request *rq, ush_text slug, int64_t id, int64_t status,
                            int64_t position, int64_t manage_rev, int64_t created_at,
                            struct registration_reply *ret);
/* Answers a refusal of the desk as a problem document or page. Returns USH_EPROBLEM. */
int reply_refusal(struct ush_request *rq, const struct event *event, const struct desk_answer *a);
/* Which kind it is, and its sentence, for a page. */
const struct ush_problem *refusal_problem(const struct desk_answer *a);
ush_text refusal_sentence(struct ush_request *rq, const struct event *event,
                          const struct desk_answer *a);
/* Adds Retry-After in whole seconds, at least 1. */
void reply_retry_after(struct ush_request *rq, int64_t wait_ms);
/* "<base>/r/<token>" and "<base>/r/<token><suffix>", in the request's arena. */
ush_text manage_link(struct ush_request *rq, int64_t id, int64_t manage_rev, const char *suffix);

/* ---- limits (limits.c) ----------------------------------------------------------------------- */

enum limit_kind {
    LIMIT_EMAIL,
    LIMIT_BROWSER,
    LIMIT_ADDRESS,
    LIMIT_LOGIN, /* by account */
    LIMIT_LOGIN_ADDRESS,
    LIMIT_KINDS
};
struct limits;
/* In memory shared by the workers, made before they are. NULL without memory. */
struct limits *limits_new(const struct settings *s);
/* Takes new rates, for all workers at once. */
void limits_set(struct limits *l, const struct settings *s);
/* Spends one of what `who` may do. 0, or the milliseconds after which it may be tried again. */
int64_t limits_spend(struct limits *l, enum limit_kind kind, ush_text who, int64_t now_ms);
/* The same question without spending. */
int64_t limits_ask(struct limits *l, enum limit_kind kind, ush_text who, int64_t now_ms);
/* Answers 429 with Retry-After. Returns USH_EPROBLEM. */
int reply_limited(struct ush_request *rq, int64_t wait_ms);

#endif
