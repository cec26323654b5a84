/*
 * mail_status.c - how the mails stand, read from the job table in one view.
 */
#include "domain/mail_status.h"

#include "gen/sql.h"

USH_RECORD_DEFINE(mail_total, MAIL_TOTAL_FIELDS)
USH_RECORD_DEFINE(mail_failed, MAIL_FAILED_FIELDS)
USH_RECORD_DEFINE(mail_pause, MAIL_PAUSE_FIELDS)

#define TOTAL_ROW_FIELDS(F, R)                                                                     \
    F(R, TEXT, lane)                                                                               \
    F(R, I64, state)                                                                               \
    F(R, I64, mails)                                                                               \
    F(R, TIME, oldest_due, .optional = true)                                                       \
    F(R, TEXT, note, .optional = true)
USH_RECORD(mail_total_row, TOTAL_ROW_FIELDS)
USH_RECORD_DEFINE(mail_total_row, TOTAL_ROW_FIELDS)

#define FAILED_ROW_FIELDS(F, R)                                                                    \
    F(R, I64, id)                                                                                  \
    F(R, TEXT, kind)                                                                               \
    F(R, I64, state)                                                                               \
    F(R, I64, subject)                                                                             \
    F(R, I64, failures)                                                                            \
    F(R, I64, crashes)                                                                             \
    F(R, TEXT, note, .optional = true)                                                             \
    F(R, TIME, created_at)
USH_RECORD(mail_failed_row, FAILED_ROW_FIELDS)
USH_RECORD_DEFINE(mail_failed_row, FAILED_ROW_FIELDS)

#define PAUSE_ROW_FIELDS(F, R)                                                                     \
    F(R, TEXT, lane)                                                                               \
    F(R, TIME, paused_until)                                                                       \
    F(R, TEXT, reason, .optional = true)
USH_RECORD(mail_pause_row, PAUSE_ROW_FIELDS)
USH_RECORD_DEFINE(mail_pause_row, PAUSE_ROW_FIELDS)

enum { TOTALS_MAX = 20, FAILED_MAX = 1000 };

const char *mail_state_name(int64_t state)
{
    switch (state) {
    case USH_JOB_READY:
        return "queued";
    case USH_JOB_RUNNING:
        return "running";
    case USH_JOB_DONE:
        return "sent";
    case USH_JOB_DEAD:
        return "failed";
    default:
        return "held";
    }
}

struct reading {
    struct fest *fest;
    struct ush_arena *arena;
    struct ush_rows *totals, *failed;
};

static int read_totals(struct ush_tx *view, struct reading *r)
{
    struct ush_rows rows;
    USH_TRY(
        ush_all(view, &sql_mail_totals, &mail_total_row_record, TOTALS_MAX, &rows, USH_NO_VALUES));
    struct mail_total *to = USH_NEW_N(r->arena, struct mail_total, rows.count + 1);
    const struct mail_total_row *from = rows.at;
    for (size_t i = 0; to && i < rows.count; i++) {
        to[i] = (struct mail_total){.lane = ush_arena_copy(r->arena, from[i].lane),
                                    .state = ush_text_of(mail_state_name(from[i].state)),
                                    .mails = from[i].mails,
                                    .oldest_due = from[i].oldest_due};
        if (from[i].state == USH_JOB_READY)
            USH_SET(&to[i], mail_total_oldest_due);
        if (from[i].note.at)
            to[i].note = ush_arena_copy(r->arena, from[i].note);
    }
    *r->totals = (struct ush_rows){to, rows.count};
    return 0;
}

static int read_failed(struct ush_tx *view, struct reading *r)
{
    struct ush_rows rows;
    USH_TRY(
        ush_all(view, &sql_mail_failed, &mail_failed_row_record, FAILED_MAX, &rows, USH_NO_VALUES));
    struct mail_failed *to = USH_NEW_N(r->arena, struct mail_failed, rows.count + 1);
    const struct mail_failed_row *from = rows.at;
    for (size_t i = 0; to && i < rows.count; i++) {
        char code[SHORT_CODE_CHARS + 1];
        short_code_format(&r->fest->keys, from[i].subject, code);
        to[i] = (struct mail_failed){.id = from[i].id,
                                     .kind = ush_arena_copy(r->arena, from[i].kind),
                                     .state = ush_text_of(mail_state_name(from[i].state)),
                                     .subject = from[i].subject,
                                     .code = ush_arena_copy(r->arena, ush_text_of(code)),
                                     .failures = from[i].failures,
                                     .crashes = from[i].crashes,
                                     .created_at = from[i].created_at};
        if (from[i].note.at)
            to[i].note = ush_arena_copy(r->arena, from[i].note);
    }
    *r->failed = (struct ush_rows){to, rows.count};
    return 0;
}

static int read_status(struct ush_tx *view, void *arg)
{
    struct reading *r = arg;
    USH_TRY(read_totals(view, r));
    USH_TRY(read_failed(view, r));
    return r->arena->failed ? USH_ELIMIT : 0;
}

int mail_status(struct fest *f, struct ush_arena *arena, struct ush_rows *ret_totals,
                struct ush_rows *ret_failed)
{
    struct reading r = {f, arena, ret_totals, ret_failed};
    return ush_read(f->db, read_status, &r);
}

static int read_pauses(struct ush_tx *view, void *arg)
{
    struct reading *r = arg;
    struct ush_rows rows;
    USH_TRY(ush_all(view, &sql_mail_pauses, &mail_pause_row_record, TOTALS_MAX, &rows,
                    USH_VALUES(view->now_ms)));
    struct mail_pause *to = USH_NEW_N(r->arena, struct mail_pause, rows.count + 1);
    const struct mail_pause_row *from = rows.at;
    for (size_t i = 0; to && i < rows.count; i++) {
        to[i] = (struct mail_pause){.lane = ush_arena_copy(r->arena, from[i].lane),
                                    .until = from[i].paused_until};
        if (from[i].paused_until < USH_JOBS_UNTIL_RESUMED)
            USH_SET(&to[i], mail_pause_until);
        if (from[i].reason.at)
            to[i].reason = ush_arena_copy(r->arena, from[i].reason);
    }
    *r->totals = (struct ush_rows){to, rows.count};
    return r->arena->failed ? USH_ELIMIT : 0;
}

int mail_pauses(struct fest *f, struct ush_arena *arena, struct ush_rows *ret)
{
    struct reading r = {.fest = f, .arena = arena, .totals = ret};
    return ush_read(f->db, read_pauses, &r);
}
