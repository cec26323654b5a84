/*
 * audit.c - reading what was done, and noting what changed nothing.
 *
 * It deliberately knows no names of students: a row says which registration, and who may see that
 * one finds the name there, as long as it is kept.
 */
#include "domain/audit.h"

#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(audit_row, AUDIT_ROW_FIELDS)
USH_RECORD_DEFINE(audit_note, AUDIT_NOTE_FIELDS)

/* What an operation that is run again knows itself by says nothing to people. */
static void hide_mark(ush_text *detail)
{
    enum { MARK = 18 }; /* "[0123456789abcdef]" */
    size_t n = detail->len;
    if (n >= MARK && detail->at[n - 1] == ']' && detail->at[n - MARK] == '[')
        *detail = ush_text_trim((ush_text){detail->at, n - MARK});
}

int audit_read(struct fest *f, const struct audit_filter *filter, struct ush_arena *arena,
               struct ush_rows *ret)
{
    int64_t limit = filter->limit ? (int64_t)filter->limit : 100;
    const struct ush_value values[] = {USH_V(filter->registration), USH_V(filter->before_id),
                                       USH_V(limit)};
    const struct asking r = {
        &sql_audit_some, &audit_row_record, values, USH_COUNT(values), arena, NULL, ret};
    USH_TRY(rows_read(f->db, &r));
    for (size_t i = 0; i < ret->count; i++)
        hide_mark(&((struct audit_row *)ret->at)[i].detail);
    return 0;
}

static int note_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct audit_note *in = input;
    (void)output;
    ush_text action = ush_arena_copy(tx->arena, in->action);
    return action.at ? audit(tx, &(struct audit_entry){in->actor, action.at, in->event_id,
                                                       in->registration_id, in->detail})
                     : USH_ELIMIT;
}

const struct ush_operation op_audit_note = {
    .name = "audit_note",
    .in = &audit_note_record,
    .run = note_run,
};

int audit_write(struct fest *f, const struct audit_note *note, struct ush_arena *arena)
{
    return ush_change(f->db, &op_audit_note, note, NULL, arena);
}
