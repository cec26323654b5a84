/*
 * audit.h - what was done, by whom and when: reading the append-only tables.
 *
 * Rows are written by the operations themselves (`audit` in places.h), in their transaction: what
 * happened is in the list, and what is in the list happened. A row names people who work for the
 * fest and numbers of registrations, never the people registered.
 */
#ifndef DOMAIN_AUDIT_H
#define DOMAIN_AUDIT_H

#include "domain/fest.h"

#define AUDIT_ROW_FIELDS(F, R)                                                                     \
    F(R, I64, id, .doc = "In the order of happening")                                              \
    F(R, TIME, at, .doc = "When")                                                                  \
    F(R, TEXT, actor, .max = 300, .doc = "Who")                                                    \
    F(R, TEXT, action, .max = 60, .doc = "What")                                                   \
    F(R, I64, event_id, .optional = true)                                                          \
    F(R, I64, registration_id, .optional = true)                                                   \
    F(R, TEXT, detail, .max = 4096, .optional = true, .doc = "What changed")
USH_RECORD(audit_row, AUDIT_ROW_FIELDS)

struct audit_filter {
    int64_t registration; /* 0 = all */
    int64_t before_id;    /* paging: ids below; 0 = from the newest */
    size_t limit;         /* 0 = 100 */
};
/* Array of struct audit_row, newest first. May suspend. */
int audit_read(struct fest *f, const struct audit_filter *filter, struct ush_arena *arena,
               struct ush_rows *ret);

/* Records something that changed nothing in the tables: an export. May suspend. */
#define AUDIT_NOTE_FIELDS(F, R)                                                                    \
    F(R, TEXT, actor, .max = 300)                                                                  \
    F(R, TEXT, action, .max = 60)                                                                  \
    F(R, I64, event_id) F(R, I64, registration_id) F(R, TEXT, detail, .max = 500, .optional = true)
USH_RECORD(audit_note, AUDIT_NOTE_FIELDS)
int audit_write(struct fest *f, const struct audit_note *note, struct ush_arena *arena);

#endif
