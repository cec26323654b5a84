/*
 * pages.h - the pages: what each is given, and how it becomes a reply.
 *
 * A page is a template in app/pages, compiled to a C function that writes escaped HTML. Pages stay
 * under 30 KB, load nothing from elsewhere and need no script.
 */
#ifndef WEB_PAGES_H
#define WEB_PAGES_H

#include "domain/erase.h"
#include "web/web.h"

enum { PAGE_BYTES_MAX = 1 << 20 };
/* What a template makes of its arguments: PAGE(page_find, &f, v). It is for reply_page. */
#define PAGE(template, ...)                                                                        \
    ({                                                                                             \
        struct ush_buf page_;                                                                      \
        ush_buf_init(&page_, PAGE_BYTES_MAX);                                                      \
        template(&page_, __VA_ARGS__);                                                             \
        page_;                                                                                     \
    })

/* What the frame around every page shows. */
struct frame {
    ush_text title;   /* of the page; the fest's name is added */
    const char *fest; /* name of the fest */
    const char *contact;
    const char *sheet; /* path of the style sheet */
    const char *icon;
    ush_text summary;        /* for link previews, or absent */
    ush_text url;            /* the same */
    int refresh_s;           /* the page loads itself again; 0 = never */
    const char *script;      /* path, or NULL; no page needs it */
    bool is_private;         /* not for search engines */
    struct ush_arena *arena; /* for texts made while the page is written */
};

/* Made in the arena, for templates. */
ush_text event_when(struct ush_arena *arena, const struct event *e, int64_t wall_ms);
/* "Open", "Opens Fri 13 Mar 2026, 18:00", "Waitlist", …: a state in words, and its colour class. */
ush_text state_words(struct ush_arena *arena, const struct event_entry *e, int64_t now_ms);
const char *state_class(const struct event_entry *e, int64_t now_ms);
/* Who may enter: "teams of 2 to 3, grades 5 to 12"; absent where everybody may alone. */
ush_text who_words(struct ush_arena *arena, const struct event *e);
/* "many places", "few places", …; empty when that says nothing. */
const char *band_words(const struct event_entry *e, int64_t now_ms);
/* "2 days 3 hours", "5 minutes", "40 seconds": the two largest units, rounded up. */
ush_text span_words(struct ush_arena *arena, int64_t ms);
/* The categories of the list, each once, in its order. */
struct ush_rows categories_of(struct ush_arena *arena, const struct event_list *list);
const char *mail_words(const struct registration_view *r);

#define EVENTS_QUERY_FIELDS(F, R)                                                                  \
    F(R, TEXT, q, .max = 80, .optional = true, .doc = "Part of a title, place or category")        \
    F(R, TEXT, category, .max = 60, .optional = true, .doc = "Only this category")                 \
    F(R, TEXT, status, .choices = EVENT_STATES, .optional = true, .doc = "Only this state")        \
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
    ush_text link;      /* "/r/<token>" */
    const char *notice; /* what has just been done, or NULL */
    ush_text svg;       /* the QR code, while confirmed */
    const char *code;   /* K7QF-2M9D */
    bool asks_cancel;   /* the page that asks before cancelling */
    int64_t now_ms;
};
int reply_ticket(struct ush_request *rq, const struct ticket_view *v);

/* Something that was done with a registration: by whom is somebody else's data, and not in it. */
#define DATA_STEP_FIELDS(F, R)                                                                     \
    F(R, TIME, at, .doc = "When")                                                                  \
    F(R, TEXT, what, .max = 80, .doc = "A scan and its result, or what the audit calls it")        \
    F(R, TEXT, detail, .max = 4096, .optional = true, .doc = "What changed, or why")
USH_RECORD(data_step, DATA_STEP_FIELDS)

/* Everything that is stored about one registration. */
struct data_view {
    const struct event_entry *event; /* NULL when it is not in memory any more */
    const struct registration_view *registration;
    struct ush_rows mails;   /* of struct mail_job_row */
    struct ush_rows history; /* of struct data_step: scans, then the rest, newest first */
    ush_text link;           /* "/r/<token>" */
};
/* As a file to take along, for whoever it is about. May suspend. */
int reply_data_file(struct ush_request *rq, const struct registration_view *reg,
                    const char *file_name);
/* The same of everywhere that an address stands (struct place_of). May suspend. */
int reply_person_file(struct ush_request *rq, const struct ush_rows *places);
int reply_data(struct ush_request *rq, const struct data_view *v);
int reply_delete(struct ush_request *rq, const struct data_view *v);

struct find_view {
    ush_text email; /* as typed */
    ush_text fault; /* what is wrong with it, or absent */
    bool is_done;
};
int reply_find(struct ush_request *rq, const struct find_view *v);

struct privacy_view {
    int64_t retention_days; /* 0 = not erased by itself */
};
int reply_privacy(struct ush_request *rq, const struct privacy_view *v);

struct notice_view {
    const char *title;
    ush_text text;
    ush_text link, link_text; /* where to go from here, or absent */
    int status;
};
/* A page with a sentence. */
int reply_notice(struct ush_request *rq, const struct notice_view *v);

/* GET /assets/{file} */
int web_asset(struct ush_request *rq);

struct outbox_line {
    ush_text file, to, subject;
    int64_t size;
};
int reply_outbox(struct ush_request *rq, const struct outbox_line *lines, size_t n);

/* For ush_http_options.problem_page. */
int reply_problem_page(struct ush_request *rq, const struct ush_problem *p, const char *detail);

#endif
