/*
 * fest.h - the table of contents of app/domain: what is true, and the operations that change it.
 *
 * A *fest* is one installation: a database, its settings and its secret. An *event* is one
 * competition or workshop with its own places. A *registration* is one place: a person or a team.
 * A *participant* is a person inside it; position 0 is the lead, whose address mail goes to.
 *
 *     fest.c      opening; every operation there is          settings.c  the table of settings
 *     seats.c     who gets a place: one pure function        tickets.c   keys, links, codes
 *     register.c  the operation that registers, in batches   qr.c        QR as SVG and PNG
 *     desk.c      what a web handler calls to register       ics.c       a calendar file
 *     form.c      from what was typed to keys and checks     zone.c      local times
 *     places.c    cancel, promote, capacity, open, close     mails.c     the mail jobs
 *     events.c    the events in memory, once per worker      compose.c   what a mail says
 *     people.c    reading, correcting, sending again         mime.c      a mail as bytes
 *     import.c    events from CSV and JSON                   mail_status.c  how the mails stand
 *     export.c    registrations to CSV and JSON              sample.c    a fest to try things on
 *     verify.c    rows recounted against counters          transport.c  how it leaves
 *     accounts.c  users, sessions, devices                 checkin.c    letting people in
 *     audit.c     what was done, by whom and when          erase.c      forgetting people
 *     stats.c     how the fest stands at this moment       questions.c  what an event asks
 *     announce.c  telling everybody about a change
 *
 * Numbers that can be derived are not stored: a registration's id is (event << 32) | seq, so it is
 * the primary key, the order of arrival and the unique (event, seq) at once. Its public id, its
 * manage link, its ticket and its short code follow from the id, two revisions and the secret.
 *
 * Nothing here knows HTTP or a command line.
 */
#ifndef DOMAIN_FEST_H
#define DOMAIN_FEST_H

#include "domain/settings.h"
#include "domain/tickets.h"
#include "usher/jobs.h"
#include "usher/sql.h"

/* What the workers of one server tell each other, in memory that they share: for each event (by
 * its id modulo the number of counters) how often a registration was made. It is raised before the
 * student is answered, so no worker says "full" from memory to somebody whom another one let in. */
enum { FEST_COUNTERS = 256 };
struct fest_shared {
    _Atomic uint64_t made[FEST_COUNTERS];
    struct ush_times storing; /* until something was stored */
};

/* What one process knows of its fest. Made after the fork; one per loop. */
struct fest {
    struct ush_db *db;               /* borrowed */
    const struct settings *settings; /* borrowed */
    struct keys keys;
    struct events_cache *events; /* owned */
    struct desk *desk;           /* owned */
    struct fest_shared *shared;  /* its own, unless fest_share was called */
    struct fest_shared *alone;   /* owned */
    int wake_fd;             /* eventfd of the job workers, borrowed; -1 = they ask each second */
    struct ush_hints *hints; /* for workers of other hosts, borrowed; NULL = they ask as well */
    int64_t woke_ns;         /* when either was last raised */
};

/* Opens over an open database; loads or makes the secret file. A negative code with a sentence in
 * ret_problem. May suspend. */
int fest_open(struct fest *f, const struct settings *settings, struct ush_db *db,
              struct ush_buf *ret_problem);
void fest_close(struct fest *f);
/* For a worker that is one of several: `shared` is from ush_shared_new(sizeof *shared), made before
 * the fork; borrowed until fest_close. To be called right after fest_open. */
void fest_share(struct fest *f, struct fest_shared *shared);

/* Everything that may be sent to the writer, jobs included: for ush_db_options.operations. */
extern const struct ush_operation *const fest_operations[];
/* For ush_migrate. */
extern const struct ush_migrate_options fest_migrations;

static inline int64_t registration_make_id(int64_t event, int64_t seq)
{
    return event << 32 | seq;
}
static inline int64_t registration_event_of(int64_t id)
{
    return id >> 32;
}
static inline int64_t registration_seq_of(int64_t id)
{
    return id & 0xffffffff;
}

enum registration_status { /* stored: never renumber */
                           REGISTRATION_CONFIRMED = 1,
                           REGISTRATION_WAITLISTED = 2,
                           REGISTRATION_CANCELLED = 3,
};
/* "confirmed", "waitlisted", "cancelled". */
const char *registration_status_name(int64_t status);

enum registration_source { SOURCE_WEB = 1, SOURCE_API = 2, SOURCE_IMPORT = 3, SOURCE_DESK = 4 };

/* ---- changes other than registering ---------------------------------------------------------- */

enum change_outcome {
    CHANGE_DONE,
    CHANGE_NOTHING,     /* it is so already */
    CHANGE_NOT_FOUND,   /* no such registration or event */
    CHANGE_TOO_LATE,    /* after edit_until or cancel_until; `until` says when that was */
    CHANGE_TOO_SOON,    /* sent again within the hour; `until` says from when on */
    CHANGE_BELOW_TAKEN, /* capacity under the number taken; `taken` says how many */
    CHANGE_DUPLICATE,   /* the new person or team is registered already */
    CHANGE_DEAD,        /* the registration or event is cancelled */
    CHANGE_REFUSED,     /* `text` says why */
};

#define CHANGE_RESULT_FIELDS(F, R)                                                                 \
    F(R, I64, outcome, .doc = "enum change_outcome")                                               \
    F(R, I64, promoted, .doc = "How many moved up from the waitlist")                              \
    F(R, I64, taken, .doc = "Places taken after the change")                                       \
    F(R, I64, manage_rev, .doc = "Of the registration, after the change")                          \
    F(R, TIME, until, .optional = true, .doc = "The moment that decided")                          \
    F(R, TEXT, text, .max = 500, .optional = true, .doc = "A sentence")
USH_RECORD(change_result, CHANGE_RESULT_FIELDS)

/* Cancels a registration; the longest waiting moves up in the same transaction. Cancelling twice
 * is CHANGE_NOTHING. */
#define CANCEL_FIELDS(F, R)                                                                        \
    F(R, I64, registration, .doc = "Its id")                                                       \
    F(R, TEXT, reason, .choices = "by_student|by_organiser|event_cancelled", .doc = "Why")         \
    F(R, TEXT, actor, .max = 120, .doc = "Who asks, for the audit")
USH_RECORD(cancel, CANCEL_FIELDS)

/* Changes what decides about places. Fields that are absent stay; CAPACITY -1 is unlimited.
 * Raising a number promotes. */
#define SEATS_CHANGE_FIELDS(F, R)                                                                  \
    F(R, TEXT, slug, .format = USH_SLUG, .max = 60, .doc = "The event")                            \
    F(R, I64, capacity, .min = -1, .max = 10000000, .optional = true, .doc = "Places; -1 = any")   \
    F(R, I64, waitlist, .min = -1, .max = 10000000, .optional = true, .doc = "0 none; -1 = any")   \
    F(R, TEXT, gate, .choices = "open|closed", .optional = true, .doc = "The switch")              \
    F(R, TEXT, actor, .max = 120, .doc = "Who asks, for the audit")
USH_RECORD(seats_change, SEATS_CHANGE_FIELDS)

/* Promotes up to `count` waiting students into free places, also after promote_until. */
#define PROMOTE_FIELDS(F, R)                                                                       \
    F(R, TEXT, slug, .format = USH_SLUG, .max = 60, .doc = "The event")                            \
    F(R, I64, count, .min = 1, .max = 10000, .doc = "At most")                                     \
    F(R, I64, once, .doc = "Random: run again, it promotes nobody more")                           \
    F(R, TEXT, actor, .max = 120, .doc = "Who asks, for the audit")
USH_RECORD(promote, PROMOTE_FIELDS)

extern const struct ush_operation op_register;     /* desk.h */
extern const struct ush_operation op_cancel;       /* cancel -> change_result */
extern const struct ush_operation op_seats;        /* seats_change -> change_result */
extern const struct ush_operation op_promote;      /* promote -> change_result */
extern const struct ush_operation op_event_cancel; /* announce.h, as are the next two */
extern const struct ush_operation op_announce, op_announce_undo;
extern const struct ush_operation op_events_put; /* import.h */
extern const struct ush_operation op_edit;       /* people.h */
extern const struct ush_operation op_resend;     /* people.h */
extern const struct ush_operation op_mail_allow; /* mails.h */
extern const struct ush_operation op_probe;      /* verify.h */
extern const struct ush_operation op_user_put;   /* accounts.h */
extern const struct ush_operation op_session;    /* accounts.c */
extern const struct ush_operation op_device;     /* accounts.c */
extern const struct ush_operation op_checkin;    /* checkin.h */
extern const struct ush_operation op_audit_note; /* audit.h */
extern const struct ush_operation op_erase;      /* erase.h */

/* Tells the job workers that a transaction may have put a mail. To be called after its commit. At
 * most once in WAKE_EVERY_MS; what that leaves out is found by asking, a second later at most.
 * Never suspends. */
void fest_wake_jobs(struct fest *f);

/* ush_change whose time counts: from the moment a handler asks to the moment it knows, so with the
 * wait for the writer, the batch and the disk. */
int fest_store(struct fest *f, const struct ush_operation *op, const void *in, void *ret,
               struct ush_arena *arena);

/* fest_store for the operations of this floor from a process that serves: what it knows in memory
 * about the events is read anew afterwards. The same results as ush_change. May suspend. */
int fest_change(struct fest *f, const struct ush_operation *op, const void *in,
                struct change_result *ret, struct ush_arena *arena);

#endif
