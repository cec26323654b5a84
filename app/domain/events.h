/*
 * events.h - the events, as stored and as every worker keeps them in memory.
 *
 * Pages and the API answer from memory: a worker reads events and seats at most once per second,
 * and only while somebody asks. Texts are read again only when a version changed; the seats rows
 * are brought up to date in place. So what is shown is at most a second old, and what is decided
 * never comes from here, except one kind of "no" (see desk.h).
 */
#ifndef DOMAIN_EVENTS_H
#define DOMAIN_EVENTS_H

#include "domain/fest.h"
#include "domain/seats.h"

#define EVENT_FIELDS(F, R)                                                                         \
    F(R, I64, id, .doc = "Number of the event")                                                    \
    F(R, TEXT, slug, .format = USH_SLUG, .max = 60, .doc = "Name in links; never used again")      \
    F(R, TEXT, title, .max = 120, .doc = "What people call it")                                    \
    F(R, TEXT, summary, .max = 300, .doc = "One or two sentences")                                 \
    F(R, TEXT, description, .format = USH_PROSE, .max = 20000, .doc = "Plain text")                \
    F(R, TEXT, category, .max = 60, .doc = "For grouping the list")                                \
    F(R, TEXT, venue, .max = 160, .doc = "Where")                                                  \
    F(R, TIME, starts_at, .doc = "Begins")                                                         \
    F(R, TIME, ends_at, .doc = "Ends")                                                             \
    F(R, TEXT, tz, .max = 60, .doc = "IANA name of the zone it is shown in")                       \
    F(R, I64, utc_offset_min, .doc = "Offset of that zone when the event starts")                  \
    F(R, TEXT, kind, .choices = "individual|team", .doc = "Who takes a place")                     \
    F(R, I64, team_min, .doc = "People in a team, the lead included")                              \
    F(R, I64, team_max, .doc = "At most 20")                                                       \
    F(R, TEXT, dedupe, .choices = "email|email_name|none", .doc = "What makes two people one")     \
    F(R, I64, grade_min, .optional = true, .doc = "Who may enter")                                 \
    F(R, I64, grade_max, .optional = true, .doc = "Who may enter")                                 \
    F(R, TIME, edit_until, .doc = "Students may correct details before")                           \
    F(R, TIME, cancel_until, .doc = "Students may cancel before")                                  \
    F(R, TEXT, status, .choices = "published|cancelled", .doc = "State")                           \
    F(R, I64, version, .doc = "Raised by every change of these fields")                            \
    F(R, TIME, created_at, .doc = "First stored")                                                  \
    F(R, TIME, updated_at, .doc = "Last change")                                                   \
    F(R, TEXT, questions, .format = USH_PROSE, .max = 4000, .doc = "A line each (questions.h)")
USH_RECORD(event, EVENT_FIELDS)

struct event_entry {
    struct event event; /* texts live as long as the list */
    struct seats seats; /* as of `list->read_ns`; brought up to date in place */
};

/* What memory holds; counted. Sorted by starts_at, then slug. */
struct event_list {
    struct event_entry *at;
    struct event_entry **by_id; /* ascending */
    size_t count;
    int64_t read_ns;              /* ush_now_ns of the last reading */
    uint64_t made[FEST_COUNTERS]; /* the shared counters, from before that reading */
    uint32_t holders;
    struct ush_map by_slug;
    struct ush_arena arena;
};

struct events_cache; /* opaque; one per fest */
struct events_cache *events_cache_new(struct ush_db *db);
void events_cache_free(struct events_cache *c);

/* The list, at most a second old (older only when the database is away and there is an older one).
 * Hold it as long as its texts are used, over suspensions too, then give it back. May suspend. */
int events_take(struct fest *f, struct event_list **ret);
void events_give(struct event_list *l);
static inline void events_give_at(struct event_list **l)
{
    if (*l)
        events_give(*l);
}
/* struct event_list *l EVENTS_HELD = NULL; gives it back at the end of the block. */
#define EVENTS_HELD __attribute__((cleanup(events_give_at)))
/* The next events_take reads anew. */
void events_forget(struct fest *f);

struct event_entry *event_find(const struct event_list *l, ush_text slug);
struct event_entry *event_find_id(const struct event_list *l, int64_t id);

enum event_state {
    EVENT_NOT_OPEN,
    EVENT_OPEN,     /* a place is free */
    EVENT_WAITLIST, /* full, the waitlist has room */
    EVENT_FULL,
    EVENT_CLOSED,
    EVENT_CANCELLED,
    EVENT_OVER, /* ends_at has passed */
};
enum event_state event_state(const struct event_entry *e, int64_t now_ms);
/* Their names, in this order. */
#define EVENT_STATES "not_open|open|waitlist|full|closed|cancelled|over"
const char *event_state_name(enum event_state s);
/* "many", "few" (a fifth or less), "last" (one in twenty, or up to three), "full". Exact numbers
 * are for organisers only. */
const char *event_band(const struct seats *s);
/* "Sat 14 Mar 2026, 10:00" in the event's own zone; the zone's name is event.tz. */
void event_time_format(const struct event *e, int64_t wall_ms, char out[40]);

/* One event and its seats row, straight from the database, into the arena. USH_ENOTFOUND. For
 * tools; May suspend. */
int event_read(struct ush_db *db, ush_text slug, struct ush_arena *arena, struct event_entry *ret);
/* All of them, array of struct event_entry. May suspend. */
int events_read(struct ush_db *db, struct ush_arena *arena, struct ush_rows *ret);

#endif
