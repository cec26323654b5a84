/*
 * announce.h - telling everybody who holds a place or waits: an event has changed, or does not take
 * place.
 *
 * The mails go into the lane `bulk`, so no ticket ever waits behind them, and begin `undo_ms`
 * later: until then all of them can be taken back as one. Who is written to is decided when the
 * mail is sent: whoever has cancelled meanwhile hears nothing.
 */
#ifndef DOMAIN_ANNOUNCE_H
#define DOMAIN_ANNOUNCE_H

#include "domain/fest.h"

/* op_event_cancel: event_cancel -> change_result. Cancels an event for good: closes it and writes
 * to everybody. CHANGE_DONE, CHANGE_NOTHING (it was cancelled before), CHANGE_NOT_FOUND. */
#define EVENT_CANCEL_FIELDS(F, R)                                                                  \
    F(R, TEXT, slug, .format = USH_SLUG, .max = 60, .doc = "The event")                            \
    F(R, I64, undo_ms, .min = 0, .max = 600000, .doc = "How long it can be taken back")            \
    F(R, I64, once, .doc = "Random: run again, it tells nobody twice and says the same")           \
    F(R, TEXT, actor, .max = 120, .doc = "Who asks, for the audit")
USH_RECORD(event_cancel, EVENT_CANCEL_FIELDS)

/* op_announce: event_cancel -> change_result. Writes to everybody how the event stands now.
 * CHANGE_DONE; CHANGE_NOTHING (nobody holds a place); CHANGE_DEAD (cancelled); CHANGE_TOO_SOON
 * (mails about it wait already; `until` says how long); CHANGE_NOT_FOUND. */

/* op_announce_undo: event_cancel -> change_result. Takes the last of either back while none of its
 * mails has begun. A cancelled event is there again, with its registration closed. CHANGE_DONE;
 * CHANGE_TOO_LATE; CHANGE_NOT_FOUND. */

/* One of the three, with `once` made here. May suspend. */
int announcement_change(struct fest *f, const struct ush_operation *op, struct event_cancel *in,
                        struct ush_arena *arena, struct change_result *ret);

/* What can still be taken back. */
struct announcement {
    int64_t mails, begins_ms; /* 0 mails: nothing */
};
/* May suspend. */
int announcement_waiting(struct ush_db *db, int64_t event, struct announcement *ret);

#endif
