/*
 * announce.c - telling everybody who holds a place or waits (announce.h).
 *
 * An announcement is no row of its own: it is the jobs of the lane `bulk` about one event that are
 * not due yet and were never claimed. So taking it back is deleting them, and there is nothing that
 * could disagree with them. (A mail that failed and is to be tried again is not due either, but its
 * announcement has begun.) The event's seats row is locked first, as everywhere, then the jobs in
 * ascending id.
 */
#include "domain/announce.h"

#include "domain/mails.h"
#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(event_cancel, EVENT_CANCEL_FIELDS)

#define WAITING_FIELDS(F, R)                                                                       \
    F(R, I64, mails)                                                                               \
    F(R, I64, begins_at, .optional = true)
USH_RECORD(waiting_row, WAITING_FIELDS)
USH_RECORD_DEFINE(waiting_row, WAITING_FIELDS)

static int waiting(struct ush_tx *tx, int64_t event, int64_t now_ms, struct waiting_row *ret)
{
    *ret = (struct waiting_row){0};
    return ush_one(
        tx, &sql_announce_waiting, &waiting_row_record, ret,
        USH_VALUES(registration_make_id(event, 0), registration_make_id(event + 1, 0), now_ms));
}

/* One mail per live registration, a page of ids at a time so that memory stays bounded. */
static int tell_everybody(struct ush_tx *tx, int64_t event, enum mail_kind kind, int64_t undo_ms)
{
    enum { PAGE = 200 };
    int64_t after = registration_make_id(event, 0), end = registration_make_id(event + 1, 0);
    struct ush_job_new jobs[PAGE];
    for (;;) {
        struct ush_arena_mark mark = ush_arena_mark(tx->arena);
        struct ush_rows rows;
        USH_TRY(ush_all(tx, &sql_event_live, &number_record, PAGE, &rows,
                        USH_VALUES(after, end, PAGE)));
        for (size_t i = 0; i < rows.count; i++) {
            after = ((struct number *)rows.at)[i].number;
            jobs[i] = mail_job(kind, after, tx->now_ms);
            jobs[i].due_at += undo_ms;
        }
        ush_arena_rewind(tx->arena, mark);
        if (rows.count)
            USH_TRY(ush_jobs_put(tx, jobs, rows.count));
        if (rows.count < PAGE)
            return 0;
    }
}

/* Run again: 1 if it is stored already, or 0. */
static int is_done(struct ush_tx *tx, const struct event_cancel *in, const struct locked *l,
                   struct change_result *out)
{
    ush_text unused;
    int before = marked_before(tx, l->event.id, in->once, &unused);
    if (before > 0)
        out->outcome = CHANGE_DONE;
    return before;
}

static int note(struct ush_tx *tx, const struct event_cancel *in, const struct locked *l,
                const char *action)
{
    return audit(tx, &(struct audit_entry){in->actor, action, l->event.id, 0,
                                           marked(tx->arena, USH_NONE, in->once)});
}

/* ---- cancelling ------------------------------------------------------------------------------ */

static int store_status(struct ush_tx *tx, struct locked *l, int64_t gate, const char *status)
{
    l->seats.gate = gate;
    USH_TRY(seats_store(tx, &l->seats));
    l->event.status = ush_text_of(status);
    return event_store(tx, &l->event);
}

static int cancel_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct event_cancel *in = input;
    struct change_result *out = output;
    struct locked l;
    int found = places_find(tx, in->slug, &l);
    USH_TRY(found);
    out->taken = found ? l.seats.taken : 0;
    out->outcome = !found                           ? CHANGE_NOT_FOUND
                   : l.seats.gate == GATE_CANCELLED ? CHANGE_NOTHING
                                                    : CHANGE_DONE;
    if (out->outcome == CHANGE_NOTHING)
        USH_TRY(is_done(tx, in, &l, out));
    if (!found || l.seats.gate == GATE_CANCELLED)
        return 0;
    USH_TRY(store_status(tx, &l, GATE_CANCELLED, "cancelled"));
    USH_TRY(tell_everybody(tx, l.event.id, MAIL_EVENT_CANCELLED, in->undo_ms));
    return note(tx, in, &l, "event_cancel");
}

const struct ush_operation op_event_cancel = {
    .name = "event_cancel",
    .in = &event_cancel_record,
    .out = &change_result_record,
    .run = cancel_run,
};

/* ---- a change -------------------------------------------------------------------------------- */

static int announce_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct event_cancel *in = input;
    struct change_result *out = output;
    struct locked l;
    struct waiting_row w;
    int found = places_find(tx, in->slug, &l);
    USH_TRY(found);
    out->outcome = !found                               ? CHANGE_NOT_FOUND
                   : l.seats.gate == GATE_CANCELLED     ? CHANGE_DEAD
                   : !l.seats.taken && !l.seats.waiting ? CHANGE_NOTHING
                                                        : CHANGE_DONE;
    if (out->outcome != CHANGE_DONE)
        return 0;
    out->taken = l.seats.taken;
    int before = is_done(tx, in, &l, out);
    if (before != 0)
        return before < 0 ? before : 0;
    USH_TRY(waiting(tx, l.event.id, tx->now_ms, &w));
    if (w.mails) {
        out->outcome = CHANGE_TOO_SOON;
        out->until = w.begins_at;
        USH_SET(out, change_result_until);
        return 0;
    }
    USH_TRY(tell_everybody(tx, l.event.id, MAIL_EVENT_CHANGED, in->undo_ms));
    return note(tx, in, &l, "announce");
}

const struct ush_operation op_announce = {
    .name = "announce",
    .in = &event_cancel_record,
    .out = &change_result_record,
    .run = announce_run,
};

/* ---- taking back ----------------------------------------------------------------------------- */

static int undo_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct event_cancel *in = input;
    struct change_result *out = output;
    struct locked l;
    struct waiting_row w;
    int found = places_find(tx, in->slug, &l);
    USH_TRY(found);
    out->outcome = found ? CHANGE_TOO_LATE : CHANGE_NOT_FOUND;
    if (!found)
        return 0;
    out->taken = l.seats.taken;
    USH_TRY(waiting(tx, l.event.id, tx->now_ms, &w));
    if (!w.mails) {
        int before = is_done(tx, in, &l, out);
        return before < 0 ? before : 0;
    }
    int64_t after = registration_make_id(l.event.id, 0);
    USH_TRY(ush_exec(tx, &sql_announce_undo,
                     USH_VALUES(after, registration_make_id(l.event.id + 1, 0), tx->now_ms)));
    if (l.seats.gate == GATE_CANCELLED) {
        /* Places that were given back meanwhile were left empty: nobody moves up into what is off.
         */
        l.seats.gate = GATE_CLOSED;
        if (waiting_moves(tx, &l.seats))
            USH_TRY(out->promoted = waiting_promote(tx, &l.seats, INT64_MAX));
        out->taken = l.seats.taken;
        USH_TRY(store_status(tx, &l, GATE_CLOSED, "published"));
    }
    out->outcome = CHANGE_DONE;
    return note(tx, in, &l, "undo");
}

const struct ush_operation op_announce_undo = {
    .name = "announce_undo",
    .in = &event_cancel_record,
    .out = &change_result_record,
    .run = undo_run,
};

int announcement_change(struct fest *f, const struct ush_operation *op, struct event_cancel *in,
                        struct ush_arena *arena, struct change_result *ret)
{
    ush_random(&in->once, sizeof in->once);
    return fest_change(f, op, in, ret, arena);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct look {
    int64_t event;
    struct waiting_row row;
};

static int look_run(struct ush_tx *view, void *arg)
{
    struct look *look = arg;
    return waiting(view, look->event, ush_wall_ms(), &look->row);
}

int announcement_waiting(struct ush_db *db, int64_t event, struct announcement *ret)
{
    struct look look = {.event = event};
    USH_TRY(ush_read(db, look_run, &look));
    *ret = (struct announcement){.mails = look.row.mails, .begins_ms = look.row.begins_at};
    return 0;
}
