/*
 * desk.h - registering.
 *
 * A handler calls desk_submit and waits. Here the keys are made (who is the same person, which
 * request is a repetition), here a "no" may come from memory; everything else is decided by
 * op_register, in batches, in the writer.
 *
 *   desk_submit --> checked, keys made --> refused from memory? --no--> op_register --> answer
 *                                             |yes: full, closed, not open
 *                                             +--> answer, database untouched
 *
 * Refusals from memory are truthful. They need
 *  - a view of the seats row that is at most a second old and says that any newcomer is refused,
 *  - the set of all request and person keys of that event, read up to that row's next_seq, in which
 *    this student's keys do not occur,
 *  - and that no worker of this server has let anybody into the event since that view was read
 *    (struct fest_shared). Servers on other hosts are seen with the next view.
 * So who is registered reaches the database and gets the ticket again.
 */
#ifndef DOMAIN_DESK_H
#define DOMAIN_DESK_H

#include "domain/events.h"
#include "domain/fest.h"
#include "domain/questions.h"
#include "domain/seats.h"

enum { DESK_PEOPLE_MAX = 20 };

/* A member of a team other than the lead; the address may be absent. */
#define DESK_PERSON_FIELDS(F, R)                                                                   \
    F(R, TEXT, name, .min = 1, .max = 120, .doc = "Name as the person writes it")                  \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254, .optional = true, .doc = "Own address")
USH_RECORD(desk_person, DESK_PERSON_FIELDS)

/* All texts are in stored form (record decoding has cleaned and checked them) and borrowed. */
struct desk_request {
    ush_text event; /* slug */
    ush_text key;   /* Idempotency-Key or the form's rid; USH_NONE = none */
    ush_text name, email;
    ush_text school; /* USH_NONE = not said */
    ush_text phone;
    int64_t grade; /* 0 = not said */
    ush_text team; /* name of the team */
    const struct desk_person *members;
    size_t member_count;
    const struct answer *answers; /* to the event's questions, in any order */
    size_t answer_count;
    bool guardian_ok;
    enum registration_source source;
};

/* What op_register answers. `registration` and what belongs to it are of the one that was made or
 * replayed; the rest explains a refusal. */
#define DESK_ANSWER_FIELDS(F, R)                                                                   \
    F(R, I64, outcome, .doc = "enum seats_outcome")                                                \
    F(R, I64, registration, .doc = "Its id")                                                       \
    F(R, I64, status, .doc = "enum registration_status, as it is now")                             \
    F(R, I64, position, .doc = "Waitlisted: place in the queue, from 1")                           \
    F(R, I64, ticket_rev, .doc = "Revision")                                                       \
    F(R, I64, manage_rev, .doc = "Revision")                                                       \
    F(R, TIME, created_at, .doc = "Of the registration")                                           \
    F(R, BOOL, key_reused, .doc = "Replayed, but the first request said something else")           \
    F(R, BOOL, resent, .doc = "Already registered: the private link went out again")               \
    F(R, I64, person, .doc = "Already registered: which of the people, 0 = the lead")              \
    F(R, I64, school_limit, .doc = "The event's")                                                  \
    F(R, TIME, opens_at, .doc = "The event's")                                                     \
    F(R, TIME, closes_at, .doc = "The event's")                                                    \
    F(R, TIME, decided_at, .doc = "By the clock that decided")                                     \
    F(R, BOOL, from_memory, .doc = "Refused without asking the database")                          \
    F(R, BOOL, is_outdated, .doc = "Checked by rules of before: nothing was decided")
USH_RECORD(desk_answer, DESK_ANSWER_FIELDS)

/*
 * Registers. 0 with an answer, which may be a refusal; USH_ENOTFOUND (no such event); USH_EINVAL
 * with faults for what this event asks of a request (team size, a team's name, grade, an address
 * that cannot be mailed); else what ush_change returns: USH_EFULL is overload. `faults` may hold
 * what decoding has found: then nothing is submitted, and the event's are added, so that a student
 * hears all at once. Faults name the fields of the API: "team", "members/0/email", "grade". May
 * suspend.
 */
int desk_submit(struct fest *f, const struct desk_request *rq, struct ush_arena *arena,
                struct ush_faults *faults, struct desk_answer *ret);

struct desk *desk_new(void);
void desk_free(struct desk *d);

struct desk_stats {
    uint64_t submitted, from_memory;
    uint64_t outcomes[SEATS_OUTCOMES];
};
struct desk_stats desk_stats(const struct fest *f);

/* ---- the operation -------------------------------------------------------------------------- */

#define DESK_PLACE_FIELDS(F, R)                                                                    \
    F(R, TEXT, name, .max = 120, .doc = "Name")                                                    \
    F(R, TEXT, email, .max = 254, .optional = true, .doc = "Address")                              \
    F(R, BYTES, dedupe_key, .max = 16, .optional = true, .doc = "Who it is; absent: not compared")
USH_RECORD(desk_place, DESK_PLACE_FIELDS)

#define REGISTER_FIELDS(F, R)                                                                      \
    F(R, I64, event_id, .doc = "The event")                                                        \
    F(R, I64, version, .doc = "Of the event by which this was checked")                            \
    F(R, BYTES, request_key, .max = 16, .doc = "From the client's key, or random")                 \
    F(R, BYTES, request_fp, .max = 16, .doc = "Hash of what is asked")                             \
    F(R, I64, submit_id, .doc = "Random; tells a resent operation from a repeated request")        \
    F(R, LIST, people, .of = &desk_place_record, .max = 20, .doc = "The lead first")               \
    F(R, TEXT, school, .max = 160, .optional = true, .doc = "School")                              \
    F(R, BYTES, school_key, .max = 16, .optional = true,                                           \
      .doc = "Present where schools are limited")                                                  \
    F(R, TEXT, phone, .max = 20, .optional = true, .doc = "Phone")                                 \
    F(R, I64, grade, .optional = true, .doc = "Grade")                                             \
    F(R, TEXT, team_name, .max = 120, .optional = true, .doc = "Team")                             \
    F(R, BYTES, team_key, .max = 16, .optional = true, .doc = "Folded name, hashed")               \
    F(R, I64, guardian_ok, .doc = "1 = the box was ticked")                                        \
    F(R, I64, source, .doc = "enum registration_source")                                           \
    F(R, TEXT, answers, .max = 5000, .optional = true, .doc = "Lines (questions.h)")
USH_RECORD(register_in, REGISTER_FIELDS)

#endif
