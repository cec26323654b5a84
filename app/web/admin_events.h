/*
 * admin_events.h - the records and views of the pages about events.
 */
#ifndef WEB_ADMIN_EVENTS_H
#define WEB_ADMIN_EVENTS_H

#include "domain/announce.h"
#include "domain/import.h"
#include "web/admin.h"

/* The form of an event: a row of an import file, from which event it was made, and which button. */
#define EVENT_FORM_FIELDS(F, R)                                                                    \
    IMPORT_FIELDS(F, R)                                                                            \
    F(R, I64, version, .optional = true, .doc = "Of the event it was made from")                   \
    F(R, TEXT, step, .choices = "preview|save", .doc = "Which button")
USH_RECORD(event_form, EVENT_FORM_FIELDS)

#define SEATS_FORM_FIELDS(F, R)                                                                    \
    F(R, TEXT, capacity, .max = 10, .optional = true, .doc = "Empty = unlimited")                  \
    F(R, TEXT, waitlist, .max = 10, .optional = true, .doc = "A number or unlimited; empty = 0")   \
    F(R, TEXT, gate, .choices = "open|closed", .optional = true, .doc = "The switch")
USH_RECORD(seats_form, SEATS_FORM_FIELDS)

#define PROMOTE_FORM_FIELDS(F, R)                                                                  \
    F(R, I64, count, .min = 1, .max = 10000, .doc = "How many may move up")
USH_RECORD(promote_form, PROMOTE_FORM_FIELDS)

enum { IMPORT_CHARS_MAX = 5000000 };
#define IMPORT_FORM_FIELDS(F, R)                                                                   \
    F(R, TEXT, file, .format = USH_PROSE, .max = IMPORT_CHARS_MAX, .optional = true,               \
      .doc = "CSV or JSON as text")                                                                \
    F(R, TEXT, upload, .format = USH_PROSE, .max = IMPORT_CHARS_MAX, .optional = true,             \
      .doc = "The same as a chosen file, which counts for more")                                   \
    F(R, TEXT, step, .choices = "check|apply", .doc = "Which button")
USH_RECORD(import_form, IMPORT_FORM_FIELDS)

struct event_form_view {
    const struct event_form *form;
    const struct ush_faults *faults; /* or NULL */
    ush_text slug;                   /* absent = a new event */
    const struct event *planned;     /* what it would be; NULL before the preview */
    const struct seats *planned_seats;
    const struct import_report *report;
    int64_t now_ms;
};
struct event_page_view {
    const struct event_entry *event;
    int64_t now_ms;
    ush_text link, message, svg; /* for sharing */
    int64_t mails;               /* that a cancellation or an announcement would send */
    struct announcement waiting; /* what can still be taken back */
    bool asks_cancel, asks_announce;
};
struct import_view {
    ush_text file;                      /* its text, for the form */
    const struct import_result *result; /* NULL before the first check */
};

/* The inputs of the form, in order, with what was typed. */
enum { EVENT_FIELDS_SHOWN = 20 };
struct admin_field event_form_field(const struct event_form_view *v, size_t i,
                                    struct ush_arena *arena);
extern const size_t event_form_numbers[EVENT_FIELDS_SHOWN];
/* "Saturday 14 March 2026, 10:00 (Asia/Kolkata), in 3 days". */
ush_text time_words(struct ush_arena *arena, const struct event *e, int64_t wall_ms,
                    int64_t now_ms);
/* "12 of 40", "12 (unlimited)". */
ush_text seats_words(struct ush_arena *arena, const struct seats *s);
/* A number for an input; empty where it is absent. */
ush_text optional_number(struct ush_arena *arena, bool is_there, int64_t value);

#endif
