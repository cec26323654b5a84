/*
 * places.h (internal) - what the operations of this folder share: the locked seats row of one
 * event, moving up from the waitlist, and the audit.
 *
 * Order within every transaction: the seats row first (it is the gate to all that belongs to the
 * event), then registrations, then jobs and audit. So two operations never wait in a circle.
 */
#ifndef DOMAIN_PLACES_H
#define DOMAIN_PLACES_H

#include "domain/fest.h"
#include "domain/seats.h"

#define NUMBER_FIELDS(F, R) F(R, I64, number)
USH_RECORD(number, NUMBER_FIELDS)

/* What changing one registration needs to know of it. */
#define SEAT_ROW_FIELDS(F, R)                                                                      \
    F(R, I64, id)                                                                                  \
    F(R, I64, status)                                                                              \
    F(R, BYTES, school_key) F(R, I64, ticket_rev) F(R, I64, manage_rev) F(R, TIME, resent_at)
USH_RECORD(seat_row, SEAT_ROW_FIELDS)

/* A person, team or school that is known: id is the registration, or a school's count. */
#define KEY_ROW_FIELDS(F, R) F(R, BYTES, key) F(R, I64, id) F(R, I64, position)
USH_RECORD(key_row, KEY_ROW_FIELDS)

/* Copies the texts of a row out of the memory of its view. 0 or USH_ELIMIT. */
int row_keep(const struct ush_record *r, void *row, struct ush_arena *arena);
/* The first column, named number, of the first row; 0 when there is none. 0 or a negative code. */
int number_read(struct ush_tx *tx, const struct ush_statement *s, int64_t *ret,
                const struct ush_value *values, size_t n);

/* 1 with the row, locked; 0 when there is no such event. */
int seats_lock(struct ush_tx *tx, int64_t event, struct seats *ret);
int seats_store(struct ush_tx *tx, const struct seats *s);

/* Moves up to `most` of the longest waiting into free places, with their mails. `s` is locked and
 * is to be stored by the caller. The number moved. */
int waiting_promote(struct ush_tx *tx, struct seats *s, int64_t most);
/* True while the waitlist moves by itself. */
bool waiting_moves(const struct ush_tx *tx, const struct seats *s);
/* Place in the waitlist, from 1. */
int waiting_position(struct ush_tx *tx, int64_t registration, int64_t *ret);

struct audit_entry {
    ush_text actor;
    const char *action;          /* "cancel", "capacity", … */
    int64_t event, registration; /* 0 = none */
    ush_text detail;
};
/* 0 or a negative code. */
int audit(struct ush_tx *tx, const struct audit_entry *e);

#endif
