/*
 * checkin.h - letting people in: who is in, and who was first.
 *
 * A scan names a registration and one of its people, or all of a team. One statement decides: it
 * inserts the row of attendance, whose primary key lets exactly one of any number of scans at the
 * same moment succeed. The others read that row and say since when and at which gate.
 *
 * A scan carries a key made by whoever shows the page. A scan that is sent again gets the answer
 * of the first time, so a reload or a lost reply never says "already in" about oneself.
 *
 *   code typed or scanned --> scan_resolve --> registration --> op_checkin --> result in words
 */
#ifndef DOMAIN_CHECKIN_H
#define DOMAIN_CHECKIN_H

#include "domain/fest.h"
#include "domain/people.h"

/* "ask": the people are others than on the page; nothing was done. */
#define SCAN_RESULTS                                                                               \
    "in|already|cancelled|waitlisted|wrong_event|replaced|unknown|undone|anyway|ask"

/* What was typed or read: a ticket link, a bare ticket, or a short code. A forged or foreign one is
 * refused without the database, with USH_ENOTFOUND. */
struct scan_code {
    int64_t registration;
    int64_t ticket_rev; /* 0 for a short code, which has none */
};
int scan_resolve(const struct fest *f, ush_text typed, struct scan_code *ret);

enum { EVERYBODY = -1 }; /* instead of a position: all who are not in yet */

#define CHECKIN_FIELDS(F, R)                                                                       \
    F(R, BYTES, scan_key, .max = 16, .doc = "Of this scan")                                        \
    F(R, I64, registration, .doc = "Its id")                                                       \
    F(R, I64, position, .min = -1, .max = 19, .doc = "Who; -1 = everybody")                        \
    F(R, I64, ticket_rev, .doc = "Of the ticket; 0 = not known")                                   \
    F(R, TIME, seen_at, .doc = "updated_at of the registration that the page shows; 0 = none")     \
    F(R, I64, undo, .doc = "1 = takes it back")                                                    \
    F(R, TEXT, events, .max = 4000, .optional = true, .doc = "Where this gate lets in")            \
    F(R, TEXT, gate, .max = 300, .doc = "Who scans, for the log")                                  \
    F(R, TEXT, note, .max = 300, .optional = true, .doc = "Why, if let in anyway")
USH_RECORD(checkin, CHECKIN_FIELDS)

#define CHECKIN_RESULT_FIELDS(F, R)                                                                \
    F(R, TEXT, result, .choices = SCAN_RESULTS)                                                    \
    F(R, I64, entered, .doc = "How many came in by this scan")                                     \
    F(R, TIME, at, .optional = true, .doc = "When the first scan was")                             \
    F(R, TEXT, gate, .max = 300, .optional = true, .doc = "And where")
USH_RECORD(checkin_result, CHECKIN_RESULT_FIELDS)

/* Records the scan and says what it did. The key is made from `scan` (what the page carries, 8 to
 * 64 characters, or absent: a new one). May suspend. */
int checkin_scan(struct fest *f, ush_text scan, struct checkin *in, struct checkin_result *ret,
                 struct ush_arena *arena);

/* Who of a registration is in, and what was scanned. */
#define ATTENDANCE_FIELDS(F, R) F(R, I64, position) F(R, TIME, at) F(R, TEXT, gate, .max = 300)
USH_RECORD(attendance, ATTENDANCE_FIELDS)
#define SCAN_FIELDS(F, R)                                                                          \
    F(R, TIME, at)                                                                                 \
    F(R, I64, position)                                                                            \
    F(R, TEXT, result, .max = 20)                                                                  \
    F(R, TEXT, gate, .max = 300)                                                                   \
    F(R, TEXT, note, .max = 300, .optional = true)
USH_RECORD(scan, SCAN_FIELDS)
/* Arrays of struct attendance by position and of struct scan, newest first. May suspend. */
int attendance_read(struct fest *f, int64_t registration, struct ush_arena *arena,
                    struct ush_rows *ret_in, struct ush_rows *ret_scans);

#endif
