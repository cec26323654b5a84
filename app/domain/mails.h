/*
 * mails.h - the mail jobs.
 *
 * A mail is a job row that was put in the transaction of its cause. Its function composes the
 * message once, from the row's id and time and the registration as it is now; mark 1 freezes those
 * bytes, so every later attempt sends the same; mark 2 is stored just before the final dot. Only a
 * new address, and a member who is forgotten, have it composed anew.
 *
 *   attempt finds   what is certain                     and does
 *   mark 0          nothing has left                    compose, mark 1, send
 *   mark 1          the server cannot have taken it     send the frozen bytes
 *   mark 2          it may have                         once more with the same Message-ID, or
 *                                                       hold, by USHER_MAIL_UNCERTAIN
 *
 * To "file:FOLDER" a mail is written by temp file, fsync and rename, and its name follows from the
 * job's row: a second run replaces the file, so that way it is exactly once.
 */
#ifndef DOMAIN_MAILS_H
#define DOMAIN_MAILS_H

#include "domain/fest.h"
#include "domain/transport.h"
#include "usher/jobs.h"

enum mail_kind {
    MAIL_TICKET,
    MAIL_WAITLISTED,
    MAIL_PROMOTED,
    MAIL_CANCELLED,
    MAIL_RESEND,
    MAIL_EVENT_CANCELLED, /* these two in lane bulk */
    MAIL_EVENT_CHANGED,
    MAIL_KINDS,
};
extern const char *const mail_kind_names[MAIL_KINDS]; /* "ticket", …: job kinds */
#define MAIL_LANE "mail"
#define BULK_LANE "bulk"

/* Inside an operation: a mail about a registration, to be put by ush_jobs_put. */
struct ush_job_new mail_job(enum mail_kind kind, int64_t registration, int64_t now_ms);

/* The second parameter of jobs_anew.sql: whose text is forgotten. */
enum mails_anew { MAILS_UNSENT, MAILS_ALL };

struct mailer {
    struct fest *fest; /* borrowed */
    struct transport transport;
    uint32_t at_once; /* jobs at once in this process */
    struct ush_job_kind kinds[MAIL_KINDS];
};
/* For a job worker: reads the settings, makes the outbox folder. -EINVAL with a sentence. */
int mailer_init(struct mailer *m, struct fest *f, struct ush_buf *ret_problem);
void mailer_fini(struct mailer *m);

/* The host that mails come from: of base_url, without port. Borrowed from the settings. */
ush_text mail_host(const struct settings *s);

/* The whole message as it would be sent now, and the bare address in ret_to. USH_ENOTFOUND
 * when there is nothing to send (the registration is gone or has no address); USH_EINVAL when it
 * cannot be written (mime.h). May suspend. */
int mail_compose(struct fest *f, enum mail_kind kind, int64_t job_id, int64_t created_at,
                 int64_t registration, struct ush_arena *arena, struct ush_buf *out,
                 ush_text *ret_to);

/* op_mail_allow: counts a mail to an address and stores mark 1 of its job with what is sent, or
 * says that it may not go yet: at most so many per hour and per day. A job is counted once. */
#define MAIL_ALLOW_FIELDS(F, R)                                                                    \
    F(R, BYTES, address_key, .max = 16, .doc = "Keyed hash of the address")                        \
    F(R, I64, per_hour, .doc = "Limit")                                                            \
    F(R, I64, per_day, .doc = "Limit")                                                             \
    F(R, I64, job, .doc = "0: none, and it is counted each time")                                  \
    F(R, I64, claim)                                                                               \
    F(R, BYTES, payload, .max = USH_JOB_PAYLOAD_MAX, .optional = true)
USH_RECORD(mail_allow, MAIL_ALLOW_FIELDS)

#endif
