/*
 * seats.h - who gets a place.
 *
 * One pure function decides: no I/O, no clock, no randomness. It is handed the seats row of one
 * event, a book of what is known about the keys in question, and applications in the order of
 * their arrival. It writes an outcome for each and brings row and book up to date.
 *
 * The order in which an application is looked at, and why:
 *  1. replay          a request key that made a registration gets that registration, whatever
 *                     else is true by now: a student who sends the form again after the event has
 *                     filled up must see the ticket, not "full";
 *  2. cancelled event, switched off, before opens_at, from closes_at on (only the first of these
 *     at the desk);
 *  3. already registered   one of the persons, or the team's name, is live in this event;
 *  4. place           free and nobody waits: confirmed; else waitlist with room: waitlisted;
 *                     else full;
 *  5. school limit    counts live entries, waitlisted ones included, so promotion need not look.
 *
 * Invariants, checked by asserts here and once more by CHECK constraints of the table:
 *  1. taken <= capacity at every moment; taken, waiting >= 0; waiting <= waitlist_capacity unless
 *     an organiser lowered that later.
 *  2. Nobody is confirmed while waiting > 0: a newcomer never overtakes the waitlist.
 *  3. next_seq rises by one for each registration made, and for nothing else.
 */
#ifndef DOMAIN_SEATS_H
#define DOMAIN_SEATS_H

#include "usher/record.h"

enum seats_gate { GATE_CLOSED = 0, GATE_OPEN = 1, GATE_CANCELLED = 2 }; /* stored */

/* The hot row: all that decides about places of one event, and nothing else. */
#define SEATS_FIELDS(F, R)                                                                         \
    F(R, I64, event_id, .doc = "The event")                                                        \
    F(R, I64, capacity, .optional = true, .doc = "Absent = unlimited")                             \
    F(R, I64, waitlist_capacity, .optional = true, .doc = "0 = none, absent = unlimited")          \
    F(R, I64, taken, .doc = "Confirmed registrations")                                             \
    F(R, I64, waiting, .doc = "Waitlisted registrations")                                          \
    F(R, I64, next_seq, .doc = "The seq of the next registration")                                 \
    F(R, TIME, opens_at, .doc = "From here on")                                                    \
    F(R, TIME, closes_at, .doc = "And before this moment")                                         \
    F(R, I64, gate, .doc = "enum seats_gate")                                                      \
    F(R, I64, school_limit, .optional = true, .doc = "Places per school")                          \
    F(R, TIME, promote_until, .doc = "No automatic promotion from here on")
USH_RECORD(seats, SEATS_FIELDS)

enum seats_outcome {
    SEATS_CONFIRMED,
    SEATS_WAITLISTED,
    SEATS_REPLAYED, /* the request key made a registration before */
    SEATS_ALREADY_REGISTERED,
    SEATS_TEAM_TAKEN, /* another live team has this name */
    SEATS_SCHOOL_LIMIT,
    SEATS_FULL,
    SEATS_NOT_OPEN,
    SEATS_CLOSED,
    SEATS_EVENT_CANCELLED,
    SEATS_OUTCOMES,
};
/* "confirmed", "sold_out", "not_open", …: the stable code used by the API. */
const char *seats_outcome_name(enum seats_outcome o);

#define SEATS_NONE UINT32_MAX
#define SEATS_STORED (UINT32_MAX - 1)

/*
 * What is known about keys, by small numbers that the caller gave them; equal keys have equal
 * numbers. The caller fills it from the database; seats_decide keeps it true for the batch.
 */
struct seats_book {
    uint32_t *requests; /* who made it: SEATS_NONE, SEATS_STORED, or an index of `applications` */
    bool *claims;       /* a person or team name that is live in the event */
    int64_t *schools;   /* live registrations of a school */
};

struct application {
    uint32_t request;       /* number of its request key */
    const uint32_t *claims; /* numbers of its persons' keys; borrowed */
    uint32_t claim_count;   /* persons, plus one when has_team: the team's key is the last */
    bool has_team;
    uint32_t school; /* number of its school, or SEATS_NONE when the event has no limit */
    bool at_desk;    /* entered by an organiser: the window does not bind, the places do */
};

struct seats_decision {
    enum seats_outcome outcome;
    int64_t seq;      /* when made */
    int64_t position; /* waitlisted: from 1 */
    uint32_t made_by; /* replayed: SEATS_STORED or the index of the application that made it */
    uint32_t claim;   /* already registered: which of its claims */
};

/* Decides n applications for one event, oldest first, all at the moment now_ms. O(claims). */
void seats_decide(struct seats *seats, struct seats_book *book, int64_t now_ms,
                  const struct application *applications, size_t n, struct seats_decision *ret);

/* What a stranger without keys would be told now: SEATS_CONFIRMED, WAITLISTED, FULL, NOT_OPEN,
 * CLOSED or EVENT_CANCELLED. Does not change the row. */
enum seats_outcome seats_outlook(const struct seats *seats, int64_t now_ms);

/* How many of the waiting have a free place: min(waiting, capacity - taken). */
int64_t seats_promotable(const struct seats *seats);

#endif
