/*
 * places.h (internal) - what the operations of this folder share: the locked seats row of one
 * event, moving up from the waitlist, and the audit.
 *
 * Order of locks within every transaction, so that two never wait in a circle:
 *
 *   1. the turn of imports                 import.c only; that of users, accounts.c, stands alone
 *   2. seats rows, in ascending event id   the gate to all that belongs to an event: whoever
 *                                          changes its registrations, participants, schools or
 *                                          its row in events holds this first
 *   3. what lies behind that gate          in any order: nobody else is there
 *   4. jobs and audit                      inserted here, or deleted before they are due, in
 *                                          ascending id; who runs jobs touches no gate
 *
 * What decides is read behind the gate, never before it: another host may have changed it.
 */
#ifndef DOMAIN_PLACES_H
#define DOMAIN_PLACES_H

#include "domain/events.h"
#include "domain/fest.h"
#include "domain/seats.h"

#define NUMBER_FIELDS(F, R) F(R, I64, number)
USH_RECORD(number, NUMBER_FIELDS)

/* What changing one registration needs to know of it. */
#define SEAT_ROW_FIELDS(F, R)                                                                      \
    F(R, I64, id)                                                                                  \
    F(R, I64, status)                                                                              \
    F(R, BYTES, school_key)                                                                        \
    F(R, I64, ticket_rev)                                                                          \
    F(R, I64, manage_rev)                                                                          \
    F(R, TIME, resent_at) F(R, TIME, erased_at) F(R, TIME, updated_at, .doc = "Only for the door")
USH_RECORD(seat_row, SEAT_ROW_FIELDS)

/* A person, team or school that is known: id is the registration, or a school's count. */
#define KEY_ROW_FIELDS(F, R)                                                                       \
    F(R, BYTES, key) F(R, I64, id) F(R, I64, position) F(R, TIME, resent_at)
USH_RECORD(key_row, KEY_ROW_FIELDS)

/* What participant_insert.sql and school_take.sql are given, a row each. */
#define NEW_PARTICIPANT_FIELDS(F, R)                                                               \
    F(R, I64, registration_id)                                                                     \
    F(R, I64, position) F(R, TEXT, name) F(R, TEXT, email) F(R, BYTES, dedupe_key)
USH_RECORD(new_participant, NEW_PARTICIPANT_FIELDS)
#define SCHOOL_MORE_FIELDS(F, R) F(R, BYTES, key) F(R, I64, event_id) F(R, I64, more)
USH_RECORD(school_more, SCHOOL_MORE_FIELDS)
/* A registration, and when something happened to it. */
#define STAMP_FIELDS(F, R) F(R, I64, id) F(R, TIME, at)
USH_RECORD(stamp, STAMP_FIELDS)

/* Copies the texts of a row out of the memory of its view. 0 or USH_ELIMIT. */
int row_keep(const struct ush_record *r, void *row, struct ush_arena *arena);
/* One statement that asks, and where its rows go, copied out of their view. */
struct asking {
    const struct ush_statement *statement;
    const struct ush_record *record;
    const struct ush_value *values;
    size_t value_count;
    struct ush_arena *arena;
    void *one;            /* the first row, or */
    struct ush_rows *all; /* all of them */
};
enum { ASKING_MAX = 10000 };
/* 0; USH_ENOTFOUND when there is no row for `one`. May suspend. */
int rows_read(struct ush_db *db, const struct asking *r);
/* The same inside a view. */
int rows_view(struct ush_tx *view, const struct asking *r);
/* The first column, named number, of the first row; 0 when there is none. 0 or a negative code. */
int number_read(struct ush_tx *tx, const struct ush_statement *s, int64_t *ret,
                const struct ush_value *values, size_t n);

/* An event behind its gate, and one of its registrations. */
struct locked {
    struct event event;
    struct seats seats;
    struct seat_row row;
};
/* Locks and reads: 1, or 0 when there is no such event or registration (0 = none is wanted). */
int places_lock(struct ush_tx *tx, int64_t event, int64_t registration, struct locked *ret);
/* The same for an event by its slug. */
int places_find(struct ush_tx *tx, ush_text slug, struct locked *ret);
/* Not waited for, as are the audit and the promotions: 0 or a negative code. */
int seats_store(struct ush_tx *tx, const struct seats *s);
/* The same for an event, as its next version. */
int event_store(struct ush_tx *tx, struct event *e);

/* Gives the place of a live registration back, in the name of `reason`, and stores the seats. The
 * number of those who moved up, or a negative code. */
int place_give_back(struct ush_tx *tx, struct locked *l, int64_t registration, ush_text reason);
/* Moves up to `most` of the longest waiting into free places, with their mails. `s` is locked and
 * is to be stored by the caller. The number moved. */
int waiting_promote(struct ush_tx *tx, struct seats *s, int64_t most);
/* True while the waitlist moves by itself. */
bool waiting_moves(const struct ush_tx *tx, const struct seats *s);
/* Place in the waitlist, from 1. */
int waiting_position(struct ush_tx *tx, int64_t registration, int64_t *ret);

/* Run again, because its COMMIT came through and the word of it did not, an operation knows itself
 * by a random number that its entry in the audit ends with. That text; `what` may be empty. */
ush_text marked(struct ush_arena *arena, ush_text what, int64_t once);
/* 1 with the text of the event's entry with this mark, or 0. */
int marked_before(struct ush_tx *tx, int64_t event, int64_t once, ush_text *ret);
/* 1 when a registration has an entry with this mark, or 0. */
int marked_on(struct ush_tx *tx, int64_t registration, int64_t once);

struct audit_entry {
    ush_text actor;
    const char *action;          /* "cancel", "capacity", … */
    int64_t event, registration; /* 0 = none */
    ush_text detail;
};
/* 0 or a negative code. */
int audit(struct ush_tx *tx, const struct audit_entry *e);

#endif
