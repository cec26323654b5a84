/*
 * import.h - events from a file.
 *
 * CSV or JSON (an array, or {"events": [...]}) with the columns of IMPORT_FIELDS. Times are local
 * to `tz` ("2026-03-14 10:00") or carry an offset; a local time that does not exist or exists
 * twice is refused with the choices. An event is known by its slug: running a file twice says
 * "unchanged" the second time. All or nothing: one bad row and nothing is stored.
 *
 *   import_parse (rows, faults) -> import_plan (new, changed, unchanged, error) -> import_apply
 */
#ifndef DOMAIN_IMPORT_H
#define DOMAIN_IMPORT_H

#include "domain/events.h"

enum { IMPORT_ROWS_MAX = 1000 };

/* A row as it is typed. */
#define IMPORT_FIELDS(F, R)                                                                        \
    F(R, TEXT, slug, .format = USH_SLUG, .min = 1, .max = 60, .doc = "Name in links")              \
    F(R, TEXT, title, .min = 1, .max = 120, .doc = "What people call it")                          \
    F(R, TEXT, category, .max = 60, .optional = true, .doc = "For grouping the list")              \
    F(R, TEXT, venue, .max = 160, .optional = true, .doc = "Where")                                \
    F(R, TEXT, starts, .min = 1, .max = 40, .doc = "2026-03-14 10:00, local to tz")                \
    F(R, TEXT, ends, .max = 40, .optional = true, .doc = "Default: an hour later")                 \
    F(R, TEXT, tz, .max = 60, .optional = true, .doc = "IANA zone; default USHER_TZ")              \
    F(R, TEXT, opens, .max = 40, .optional = true, .doc = "Registration; default: at once")        \
    F(R, TEXT, closes, .max = 40, .optional = true, .doc = "Default: when it starts")              \
    F(R, TEXT, kind, .choices = "individual|team", .optional = true, .doc = "Default individual")  \
    F(R, I64, team_min, .min = 1, .max = 20, .optional = true, .doc = "Default 2 for teams")       \
    F(R, I64, team_max, .min = 1, .max = 20, .optional = true, .doc = "Default team_min")          \
    F(R, I64, capacity, .min = 0, .max = 10000000, .optional = true, .doc = "Empty = unlimited")   \
    F(R, TEXT, waitlist, .max = 10, .optional = true,                                              \
      .doc = "A number, or 'unlimited'; default 0")                                                \
    F(R, I64, school_limit, .min = 1, .max = 10000, .optional = true, .doc = "Places per school")  \
    F(R, I64, grade_min, .min = 1, .max = 20, .optional = true, .doc = "Who may enter")            \
    F(R, I64, grade_max, .min = 1, .max = 20, .optional = true, .doc = "Who may enter")            \
    F(R, TEXT, summary, .max = 300, .optional = true, .doc = "One or two sentences")               \
    F(R, TEXT, description, .format = USH_PROSE, .max = 20000, .optional = true, .doc = "Text")    \
    F(R, TEXT, dedupe, .choices = "email|email_name|none", .optional = true,                       \
      .doc = "What makes two people one; default email")                                           \
    F(R, TEXT, questions, .format = USH_PROSE, .max = 4000, .optional = true,                      \
      .doc = "What the form asks beyond name and school, a line each: 'Size: S | M | L'")
USH_RECORD(import_row, IMPORT_FIELDS)

enum import_action { IMPORT_NEW, IMPORT_CHANGED, IMPORT_UNCHANGED, IMPORT_ERROR };

#define IMPORT_REPORT_FIELDS(F, R)                                                                 \
    F(R, I64, line, .doc = "Line of the file, or number of the entry")                             \
    F(R, TEXT, slug, .max = 200, .doc = "The event")                                               \
    F(R, TEXT, action, .choices = "new|changed|unchanged|error", .doc = "What will happen or did") \
    F(R, TEXT, text, .max = 2000, .optional = true, .doc = "What changes, or what is wrong")
USH_RECORD(import_report, IMPORT_REPORT_FIELDS)

struct import_result {
    struct ush_rows rows; /* of import_report, in the order of the file; arena */
    size_t fresh, changed, unchanged, errors;
    bool applied;
};

enum import_format { IMPORT_GUESS, IMPORT_CSV, IMPORT_JSON };
struct import_options {
    enum import_format format;
    const char *tz; /* for rows without one */
    bool dry_run;
    ush_text actor;
};
/* Reads a whole file, plans, and applies unless dry_run or a row is wrong. USH_EINVAL only when
 * the file cannot be read as a table at all (one report row says why). May suspend. */
int import_events(struct ush_db *db, ush_text file, const struct import_options *o,
                  struct ush_arena *arena, struct import_result *ret);

/* One event as an organiser's form has it. */
struct event_save {
    struct import_row row;
    int64_t version; /* of the event it was made from; 0 = it has to be new */
    const char *tz;  /* where the row names none */
    bool dry_run;
    ush_text actor;
};
/* The same steps for one event: faults by field (USH_EINVAL), what will happen or did in ret_report
 * ("error" when somebody else changed it meanwhile), and the event as it is to be. May suspend. */
int event_save(struct ush_db *db, const struct event_save *s, struct ush_arena *arena,
               struct ush_faults *faults, struct import_report *ret_report, struct event *ret_event,
               struct seats *ret_seats);

/* ---- local times (zone.c) -------------------------------------------------------------------- */

struct zone; /* opaque */
/* Reads /usr/share/zoneinfo/NAME into the arena. USH_ENOTFOUND. Blocking (a small file). */
int zone_load(const char *name, struct ush_arena *arena, struct zone **ret);
int zone_offset_min(const struct zone *z, int64_t wall_ms);
/* "2026-03-14 10:00[:00]", with 'T' or a blank, or RFC 3339 with an offset. USH_EINVAL with a
 * sentence in *ret_problem that gives the choices where a local time has none or two instants. */
int zone_parse(const struct zone *z, ush_text t, struct ush_arena *arena, int64_t *ret_wall_ms,
               ush_text *ret_problem);

#endif
