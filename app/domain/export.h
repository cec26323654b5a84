/*
 * export.h - registrations as CSV and JSON, one row at a time through a callback, so an export of
 * any size needs the memory of one row and a buffer.
 */
#ifndef DOMAIN_EXPORT_H
#define DOMAIN_EXPORT_H

#include "domain/fest.h"

/* A line of the export. Members are one text, "Name <address>; …". */
#define EXPORT_FIELDS(F, R)                                                                        \
    F(R, TEXT, event, .max = 60, .doc = "Slug")                                                    \
    F(R, I64, seq, .doc = "Order of arrival")                                                      \
    F(R, TEXT, code, .max = 9, .doc = "Short code")                                                \
    F(R, TEXT, status, .max = 20, .doc = "confirmed, waitlisted, cancelled")                       \
    F(R, TEXT, name, .max = 120, .doc = "Lead")                                                    \
    F(R, TEXT, email, .max = 254, .doc = "Lead's address")                                         \
    F(R, TEXT, school, .max = 160, .optional = true, .doc = "School")                              \
    F(R, I64, grade, .optional = true, .doc = "Grade")                                             \
    F(R, TEXT, phone, .max = 20, .optional = true, .doc = "Phone")                                 \
    F(R, TEXT, team, .max = 120, .optional = true, .doc = "Team")                                  \
    F(R, TEXT, members, .max = 10000, .optional = true, .doc = "Other members")                    \
    F(R, TEXT, answers, .max = 5000, .optional = true, .doc = "To the event's questions")          \
    F(R, TEXT, consent, .max = 5, .optional = true, .doc = "given: of age, or with a parent's")    \
    F(R, TIME, created_at, .doc = "Arrived")                                                       \
    F(R, TIME, promoted_at, .optional = true, .doc = "Moved up")                                   \
    F(R, TIME, cancelled_at, .optional = true, .doc = "Cancelled")
USH_RECORD(export_row, EXPORT_FIELDS)

enum export_format { EXPORT_CSV, EXPORT_JSON };
struct export_options {
    enum export_format format;
    int64_t event;  /* id; 0 = all */
    int64_t status; /* 0 = all */
};
/* Calls `write` with pieces of about 32 KiB, in a thread on SQLite: it must not suspend. A negative
 * result stops. CSV begins with a byte-order mark. Returns the number of rows. May suspend. */
int export_registrations(struct fest *f, const struct export_options *o,
                         int (*write)(void *ctx, ush_text piece), void *ctx);

#endif
