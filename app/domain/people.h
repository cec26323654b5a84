/*
 * people.h - registrations as people see them: reading one, listing many, correcting details,
 * sending the private link again.
 *
 * Whoever holds the manage token, or is an organiser, may call these; who that is, is checked on
 * the floor above.
 */
#ifndef DOMAIN_PEOPLE_H
#define DOMAIN_PEOPLE_H

#include "domain/desk.h"
#include "domain/fest.h"

#define PARTICIPANT_FIELDS(F, R)                                                                   \
    F(R, I64, position, .doc = "0 = the lead")                                                     \
    F(R, TEXT, name, .max = 120, .doc = "Name")                                                    \
    F(R, TEXT, email, .max = 254, .optional = true, .doc = "Address")
USH_RECORD(participant, PARTICIPANT_FIELDS)

#define REGISTRATION_FIELDS(F, R)                                                                  \
    F(R, I64, id, .doc = "(event << 32) | seq")                                                    \
    F(R, I64, status, .doc = "enum registration_status")                                           \
    F(R, I64, ticket_rev, .doc = "Raised when a ticket is made anew")                              \
    F(R, I64, manage_rev, .doc = "Raised when the private link is made anew")                      \
    F(R, TEXT, team_name, .max = 120, .optional = true, .doc = "Team")                             \
    F(R, TEXT, school, .max = 160, .optional = true, .doc = "School")                              \
    F(R, TEXT, phone, .max = 20, .optional = true, .doc = "Phone")                                 \
    F(R, I64, grade, .optional = true, .doc = "Grade")                                             \
    F(R, I64, guardian_ok, .doc = "1 = the box was ticked")                                        \
    F(R, I64, source, .doc = "enum registration_source")                                           \
    F(R, TIME, created_at, .doc = "Arrived")                                                       \
    F(R, TIME, updated_at, .doc = "Last correction")                                               \
    F(R, TIME, promoted_at, .optional = true, .doc = "Moved up from the waitlist")                 \
    F(R, TIME, cancelled_at, .optional = true, .doc = "Cancelled")                                 \
    F(R, TEXT, cancel_reason, .max = 40, .optional = true, .doc = "Why")                           \
    F(R, TIME, resent_at, .optional = true, .doc = "The link was last sent again")                 \
    F(R, TIME, erased_at, .optional = true, .doc = "Names and addresses were overwritten")         \
    F(R, TEXT, answers, .max = 5000, .optional = true, .doc = "To the event's questions")          \
    F(R, TEXT, lead_name, .max = 120, .optional = true, .doc = "Name of position 0, in lists")     \
    F(R, TEXT, lead_email, .max = 254, .optional = true, .doc = "Address of position 0, in lists")
USH_RECORD(registration, REGISTRATION_FIELDS)

struct registration_view {
    struct registration registration;
    struct participant *people; /* position order */
    size_t people_count;
    int64_t waitlist_position; /* from 1 while waitlisted, else 0 */
    int64_t mail_state;        /* enum ush_job_state of the newest mail, -1 = none */
    int64_t mail_at;           /* when that was done, 0 = not yet */
    ush_text mail_note;        /* the server's words, or empty */
};

/* Everything about one registration, into the arena. USH_ENOTFOUND. May suspend. */
int registration_read(struct ush_db *db, int64_t id, struct ush_arena *arena,
                      struct registration_view *ret);
/* The same behind a manage token; USH_ENOTFOUND also for a token that does not fit. */
int registration_open(struct fest *f, ush_text manage_token, struct ush_arena *arena,
                      struct registration_view *ret);

struct registration_filter {
    int64_t event;    /* id; 0 = all */
    int64_t status;   /* 0 = all */
    ush_text text;    /* part of a name, school, team or address; '%' and '_' mean themselves */
    int64_t after_id; /* paging: ids above; 0 = from the start */
    size_t limit;     /* 0 = 200 */
};
/* Array of struct registration in order of arrival, with lead_name and lead_email. May suspend. */
int registrations_list(struct ush_db *db, const struct registration_filter *filter,
                       struct ush_arena *arena, struct ush_rows *ret);

/* ---- corrections ----------------------------------------------------------------------------- */

/* The details as a whole, as they are to be. */
struct edit_request {
    int64_t registration;
    struct desk_request form; /* event, key and source are not looked at */
    bool by_organiser;        /* not bound by edit_until */
    ush_text actor;
};
/*
 * CHANGE_DONE: the ticket stays good (it carries no names). A new address of the lead raises
 * manage_rev, so the link that went to the old one dies, and the mail goes out again. Results and
 * faults as desk_submit. May suspend.
 */
int registration_edit(struct fest *f, const struct edit_request *rq, struct ush_arena *arena,
                      struct ush_faults *faults, struct change_result *ret);

/* Sends ticket and private link again to the stored address, at most once an hour. */
#define RESEND_FIELDS(F, R)                                                                        \
    F(R, I64, registration, .doc = "Its id")                                                       \
    F(R, I64, new_link, .doc = "1 = raise manage_rev: the old link dies")                          \
    F(R, I64, new_ticket, .doc = "1 = raise ticket_rev: the old QR code dies")                     \
    F(R, I64, force, .doc = "1 = an organiser asks: not bound by the hour")                        \
    F(R, I64, once, .doc = "Random: run again, it sends nothing more and says the same")           \
    F(R, TEXT, actor, .max = 120, .doc = "Who asks, for the audit")
USH_RECORD(resend, RESEND_FIELDS)
/* op_resend, with `once` made here. May suspend. */
int registration_resend(struct fest *f, struct resend *in, struct ush_arena *arena,
                        struct change_result *ret);

/* "Lost your ticket?": the link of every live registration of an address goes out again, each at
 * most hourly. Says nothing about whether there are any. May suspend. */
int registrations_resend_to(struct fest *f, ush_text email, struct ush_arena *arena);

#endif
