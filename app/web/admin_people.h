/*
 * admin_people.h - the records and views of the pages about people: list, one, corrections, door.
 */
#ifndef WEB_ADMIN_PEOPLE_H
#define WEB_ADMIN_PEOPLE_H

#include "domain/audit.h"
#include "domain/checkin.h"
#include "domain/erase.h"
#include "domain/export.h"
#include "domain/mail_status.h"
#include "web/admin_events.h"

#define PEOPLE_QUERY_FIELDS(F, R)                                                                  \
    F(R, TEXT, q, .max = 80, .optional = true, .doc = "Part of a name, school, team or address")   \
    F(R, TEXT, status, .choices = "confirmed|waitlisted|cancelled", .optional = true,              \
      .doc = "Only these")                                                                         \
    F(R, I64, after, .optional = true, .doc = "Paging: behind this one")                           \
    F(R, TEXT, done, .max = 20, .optional = true, .doc = "What has just been done")
USH_RECORD(people_query, PEOPLE_QUERY_FIELDS)

enum { PEOPLE_PER_PAGE = 100 };
struct people_view {
    const struct event_entry *event; /* NULL = all events */
    const struct people_query *query;
    const struct registration *at;
    size_t count;
    ush_text path, next; /* of this list; the address of its next page or absent */
};
/* Notes that everything about a registration is handed on. May suspend. */
int note_export(struct ush_request *rq, int64_t registration);
/* "Gate B" of "device:Gate B", an address of "user:...". */
static inline ush_text gate_words(ush_text gate)
{
    ush_text rest = gate;
    ush_text_cut(&rest, ':');
    return rest.at ? rest : gate;
}

struct person_view {
    const struct event_entry *event; /* NULL when it is not there */
    const struct registration_view *registration;
    ush_text path; /* /admin/people/<public id> */
    const char *code;
    struct ush_rows in, scans, mails, audit;
    const char *asks; /* "cancel", "erase" or NULL */
};

/* A correction by an organiser: the whole of the details, as they are to be. */
#define PERSON_FORM_FIELDS(F, R)                                                                   \
    F(R, TEXT, name, .min = 1, .max = 120)                                                         \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254)                                             \
    F(R, TEXT, school, .max = 160, .optional = true)                                               \
    F(R, I64, grade, .min = 1, .max = 20, .optional = true)                                        \
    F(R, TEXT, phone, .format = USH_PHONE, .max = 20, .optional = true)                            \
    F(R, TEXT, team, .max = 120, .optional = true)                                                 \
    F(R, LIST, members, .of = &desk_person_record, .max = 19, .optional = true)                    \
    F(R, TEXT, rid, .max = 64, .optional = true, .doc = "Of a new one: the same again is no other")
USH_RECORD(person_form, PERSON_FORM_FIELDS)
struct person_form_view {
    const struct event_entry *event;
    const struct person_form *form;
    const struct ush_faults *faults; /* or NULL */
    ush_text path, back;             /* where the form goes, and the page before */
    bool is_new;                     /* somebody who stands at the desk */
    ush_text key;                    /* of the request, for a new one */
    size_t rows;                     /* for members */
};
/* The input of a member: `part` is "name" or "email". */
struct admin_field member_input(const struct person_form_view *v, size_t i, const char *part,
                                struct ush_arena *arena);
extern const size_t people_numbers[20]; /* 0 to 19 */

#define EXPORT_FORM_FIELDS(F, R)                                                                   \
    F(R, TEXT, reason, .min = 3, .max = 200, .doc = "For the audit")                               \
    F(R, TEXT, format, .choices = "csv|json")                                                      \
    F(R, TEXT, status, .choices = "confirmed|waitlisted|cancelled", .optional = true)
USH_RECORD(export_form, EXPORT_FORM_FIELDS)

/* ---- the door -------------------------------------------------------------------------------- */

#define SCAN_QUERY_FIELDS(F, R)                                                                    \
    F(R, TEXT, at, .format = USH_SLUG, .max = 60, .optional = true, .doc = "Only this event")      \
    F(R, TEXT, q, .max = 80, .optional = true, .doc = "Part of a name, school or team")
USH_RECORD(scan_query, SCAN_QUERY_FIELDS)

#define SCAN_FORM_FIELDS(F, R)                                                                     \
    F(R, TEXT, code, .max = 400, .doc = "What was read or typed")                                  \
    F(R, TEXT, scan, .max = 64, .optional = true, .doc = "Key of this scan")                       \
    F(R, TEXT, at, .format = USH_SLUG, .max = 60, .optional = true, .doc = "Only this event")      \
    F(R, I64, who, .min = -1, .max = 19, .optional = true, .doc = "Of a team; -1 = everybody")     \
    F(R, I64, seen_at, .optional = true, .doc = "Of what version the page is")                     \
    F(R, BOOL, undo, .optional = true)                                                             \
    F(R, TEXT, note, .max = 200, .optional = true, .doc = "Why somebody is let in anyway")
USH_RECORD(scan_form, SCAN_FORM_FIELDS)

struct scan_view {
    ush_text at; /* slug of the chosen event, or absent */
    const struct event_list *list;
    ush_text scan;   /* the key of the next scan */
    ush_text code;   /* what was read, or absent */
    ush_text result; /* of SCAN_RESULTS, "not_a_ticket", "ask", or absent */
    const struct checkin_result *found;
    const struct event_entry *event; /* of the registration, or NULL */
    const struct registration_view *registration;
    struct ush_rows in; /* who is in */
    ush_text q;         /* the search, with */
    const struct registration *hits;
    size_t hit_count;
    struct fest *fest;
};
/* "Welcome", "Already in", …: word, class and icon of a result. */
struct scan_words {
    const char *word, *kind, *icon;
};
struct scan_words scan_words_of(ush_text result);
/* When this person came in; NULL = not yet. */
const struct attendance *came_in(const struct ush_rows *in, int64_t position);
ush_text short_code_of(const struct fest *f, int64_t id, struct ush_arena *arena);
ush_text public_id_of(const struct fest *f, int64_t id, struct ush_arena *arena);
/* "Sat 14 Mar 2026, 10:00" in the zone of the event, or UTC without one. */
ush_text moment(struct ush_arena *arena, const struct event_entry *e, int64_t wall_ms);

#endif
