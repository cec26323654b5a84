/*
 * mail_status.h - how the mails stand: totals by lane, lanes that rest, and those that need
 * a person.
 */
#ifndef DOMAIN_MAIL_STATUS_H
#define DOMAIN_MAIL_STATUS_H

#include "domain/fest.h"

#define MAIL_TOTAL_FIELDS(F, R)                                                                    \
    F(R, TEXT, lane, .max = 20, .doc = "mail, or bulk for what goes to everybody")                 \
    F(R, TEXT, state, .max = 20, .doc = "queued, running, sent, failed, held")                     \
    F(R, I64, mails, .doc = "How many")                                                            \
    F(R, TIME, oldest_due, .optional = true, .doc = "When the oldest was due")                     \
    F(R, TEXT, note, .max = 500, .optional = true, .doc = "Why one of the queued failed before")
USH_RECORD(mail_total, MAIL_TOTAL_FIELDS)

#define MAIL_FAILED_FIELDS(F, R)                                                                   \
    F(R, I64, id, .doc = "For usher mail retry")                                                   \
    F(R, TEXT, kind, .max = 40, .doc = "ticket, promoted, …")                                      \
    F(R, TEXT, state, .max = 20, .doc = "failed, or held: it may have arrived")                    \
    F(R, I64, subject, .doc = "The registration")                                                  \
    F(R, TEXT, code, .max = 9, .doc = "Short code of the registration")                            \
    F(R, I64, failures, .doc = "Attempts that failed")                                             \
    F(R, I64, crashes, .doc = "Workers that died while sending it")                                \
    F(R, TEXT, note, .max = 500, .optional = true, .doc = "What the mail server said")             \
    F(R, TIME, created_at, .doc = "Since when")
USH_RECORD(mail_failed, MAIL_FAILED_FIELDS)

#define MAIL_PAUSE_FIELDS(F, R)                                                                    \
    F(R, TEXT, lane, .max = 20, .doc = "mail or bulk")                                             \
    F(R, TIME, until, .optional = true,                                                            \
      .doc = "When it goes on; absent: when somebody resumes it")                                  \
    F(R, TEXT, reason, .max = 200, .optional = true, .doc = "Why")
USH_RECORD(mail_pause, MAIL_PAUSE_FIELDS)

/* The lanes that are paused now: an array of mail_pause in the arena. May suspend. */
int mail_pauses(struct fest *f, struct ush_arena *arena, struct ush_rows *ret);
/* Arrays of mail_total and mail_failed (at most 1,000, newest first) in the arena. May suspend. */
int mail_status(struct fest *f, struct ush_arena *arena, struct ush_rows *ret_totals,
                struct ush_rows *ret_failed);
/* "queued", "running", "sent", "failed", "held". */
const char *mail_state_name(int64_t state);

#endif
