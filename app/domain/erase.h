/*
 * erase.h - forgetting people: one registration, one person everywhere, or all after the event.
 *
 * Erasing overwrites names, addresses, school, phone, team and what was written to them: the rows
 * of the tables, the mails kept in the job table, and the files of an outbox. The row itself, its
 * times and its attendance stay, so that counts stay true. A place that was live is given back
 * first, and the longest waiting moves up; no mail goes to the address that is being forgotten.
 */
#ifndef DOMAIN_ERASE_H
#define DOMAIN_ERASE_H

#include "domain/fest.h"

#define ERASE_FIELDS(F, R)                                                                         \
    F(R, I64, registration, .doc = "Its id")                                                       \
    F(R, I64, position, .doc = "Of a member who is forgotten alone; -1 = all, as is 0")            \
    F(R, TEXT, email, .max = 254, .optional = true, .doc = "As stored: who it is, instead")        \
    F(R, TEXT, actor, .max = 300, .doc = "Who asks, for the audit")                                \
    F(R, I64, once, .doc = "Random: run again, it erases nothing more and says the same")
USH_RECORD(erase, ERASE_FIELDS)

/* op_erase, with `once` made here. CHANGE_DONE, CHANGE_NOTHING (it was erased before) or
 * CHANGE_NOT_FOUND. Files of an outbox are removed after the commit. May suspend. */
int registration_erase(struct fest *f, const struct erase *in, struct change_result *ret,
                       struct ush_arena *arena);
/* Where an address stands, in all events, however it was typed: array of struct place_of. May
 * suspend. */
#define PLACE_OF_FIELDS(F, R)                                                                      \
    F(R, I64, registration_id) F(R, I64, position) F(R, TEXT, email, .max = 254)
USH_RECORD(place_of, PLACE_OF_FIELDS)
int person_places(struct fest *f, ush_text email, struct ush_arena *arena, struct ush_rows *ret);
/* Everything under an address, in all events: as lead the whole registration, as member the person.
 * How many were erased, or a negative code. May suspend. */
int person_erase(struct fest *f, ush_text email, ush_text actor, struct ush_arena *arena);

/* How many registrations of events that ended more than `days` ago are not erased. May suspend. */
int erase_due(struct fest *f, int64_t days, int64_t *ret);
/* Erases them; how many, or a negative code. May suspend. */
int erase_overdue(struct fest *f, int64_t days, ush_text actor, struct ush_arena *arena);

/* A mail of a registration. */
#define MAIL_JOB_FIELDS(F, R)                                                                      \
    F(R, I64, id)                                                                                  \
    F(R, TEXT, kind, .max = 40)                                                                    \
    F(R, I64, state)                                                                               \
    F(R, TIME, created_at)                                                                         \
    F(R, TIME, ended_at, .optional = true)                                                         \
    F(R, TEXT, note, .max = 500, .optional = true)
USH_RECORD(mail_job_row, MAIL_JOB_FIELDS)
/* Array of struct mail_job_row, newest first. May suspend. */
int registration_mails(struct fest *f, int64_t registration, struct ush_arena *arena,
                       struct ush_rows *ret);

#endif
