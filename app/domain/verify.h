/*
 * verify.h - the rows recounted against the counters.
 *
 * Reads everything in one view and lists what does not fit: the promises of this program, checked
 * from outside the code that keeps them.
 */
#ifndef DOMAIN_VERIFY_H
#define DOMAIN_VERIFY_H

#include "domain/fest.h"

#define FINDING_FIELDS(F, R)                                                                       \
    F(R, TEXT, check, .max = 40, .doc = "taken, waiting, overbooked, sequence, …")                 \
    F(R, TEXT, subject, .max = 200, .doc = "The event or registration")                            \
    F(R, TEXT, text, .max = 500, .doc = "What was expected and what was found")
USH_RECORD(finding, FINDING_FIELDS)

struct verify_result {
    struct ush_rows findings;                           /* of finding; arena; at most 1,000 */
    int64_t events, registrations, participants, mails; /* how much was looked at */
    int64_t mails_waiting, mails_dead, mails_held;
    int64_t oldest_mail_ms; /* age of the oldest mail that is due and unsent; 0 = none */
};
struct verify_options {
    /* Called in the reading thread after each check; may be NULL. */
    void (*progress)(void *ctx, size_t done, size_t total);
    void *ctx;
};
/* 0 also when there are findings. `o` may be NULL. May suspend. */
int verify_all(struct ush_db *db, const struct verify_options *o, struct ush_arena *arena,
               struct verify_result *ret);

/* Stores one row that means nothing: 0, or why no change can be stored now. May suspend. */
int verify_storing(struct ush_db *db, struct ush_arena *arena);

#endif
