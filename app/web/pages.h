/*
 * pages.h - the pages: what each is given, and how it becomes a reply.
 *
 * A page is a template in app/pages, compiled to a C function that writes escaped HTML. Pages stay
 * under 30 KB, load nothing from elsewhere and need no script.
 */
#ifndef WEB_PAGES_H
#define WEB_PAGES_H

#include "web/web.h"

enum { PAGE_BYTES_MAX = 256 << 10 };

#define EVENTS_QUERY_FIELDS(F, R)                                                                  \
    F(R, TEXT, q, .max = 80, .optional = true, .doc = "Part of a title, place or category")        \
    F(R, TEXT, category, .max = 60, .optional = true, .doc = "Only this category")                 \
    F(R, TEXT, status, .max = 20, .optional = true, .doc = "Only this state, such as open")        \
    F(R, TEXT, cursor, .max = 20, .optional = true, .doc = "`next` of the page before")            \
    F(R, I64, limit, .min = 1, .max = 200, .optional = true, .doc = "Items per page")
USH_RECORD(events_query, EVENTS_QUERY_FIELDS)

bool event_matches(const struct event_entry *e, const struct events_query *q, int64_t now_ms);

struct home_view {
    const struct event_list *list;
    const struct events_query *query; /* NULL = everything */
    int64_t now_ms;
};
int reply_home(struct ush_request *rq, const struct home_view *v);

struct event_view {
    const struct event_entry *event;
    int64_t now_ms;
};
int reply_event(struct ush_request *rq, const struct event_view *v);

struct ticket_view {
    const struct event_entry *event; /* NULL when it is not in memory any more */
    const struct registration_view *registration;
    ush_text link;      /* "<base>/r/<token>" */
    const char *notice; /* what has just been done, or NULL */
    bool asks_cancel;   /* the page that asks before cancelling */
    int64_t now_ms;
};
int reply_ticket(struct ush_request *rq, const struct ticket_view *v);

struct notice_view {
    const char *title;
    ush_text text;
    ush_text link, link_text; /* where to go from here, or absent */
    int status;
};
/* A page with a sentence. */
int reply_notice(struct ush_request *rq, const struct notice_view *v);

struct outbox_line {
    ush_text file, to, subject;
    int64_t size;
};
int reply_outbox(struct ush_request *rq, const struct outbox_line *lines, size_t n);

/* For ush_http_options.problem_page. */
int reply_problem_page(struct ush_request *rq, const struct ush_problem *p, const char *detail);

#endif
