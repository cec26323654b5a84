/*
 * places.c - places given back, moved up, added and taken away.
 *
 *   cancel        confirmed: the place goes to the longest waiting, in the same transaction;
 *                 waitlisted: the queue gets shorter. Cancelling twice changes nothing.
 *   seats         capacity, waitlist, open, close. More places are filled from the waitlist at
 *                 once. Fewer than are taken is refused with the number: nobody is ever dropped.
 *   promote       the organiser's button, also after promote_until
 *
 * Invariants:
 *  1. The counters change together with the rows they count.
 *  2. While anybody waits and the waitlist moves, no place stays free: what frees one fills it.
 *  3. A dead registration holds no key: person, team and school may register again. It never
 *     becomes live again.
 */
#include "domain/places.h"

#include "domain/events.h"
#include "domain/mails.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(number, NUMBER_FIELDS)
USH_RECORD_DEFINE(key_row, KEY_ROW_FIELDS)
USH_RECORD_DEFINE(new_participant, NEW_PARTICIPANT_FIELDS)
USH_RECORD_DEFINE(school_more, SCHOOL_MORE_FIELDS)
USH_RECORD_DEFINE(stamp, STAMP_FIELDS)
USH_RECORD_DEFINE(change_result, CHANGE_RESULT_FIELDS)
USH_RECORD_DEFINE(cancel, CANCEL_FIELDS)
USH_RECORD_DEFINE(seats_change, SEATS_CHANGE_FIELDS)
USH_RECORD_DEFINE(promote, PROMOTE_FIELDS)

USH_RECORD_DEFINE(seat_row, SEAT_ROW_FIELDS)

/* ---- shared ---------------------------------------------------------------------------------- */

int row_keep(const struct ush_record *r, void *row, struct ush_arena *arena)
{
    for (size_t i = 0; i < r->count; i++) {
        ush_text *t = (ush_text *)((char *)row + r->fields[i].offset);
        if (r->fields[i].type == USH_TYPE_TEXT && t->at)
            *t = ush_arena_copy(arena, *t);
    }
    return arena->failed ? USH_ELIMIT : 0;
}

int number_read(struct ush_tx *tx, const struct ush_statement *s, int64_t *ret,
                const struct ush_value *values, size_t n)
{
    struct number row = {0};
    USH_TRY(ush_one(tx, s, &number_record, &row, values, n));
    *ret = row.number;
    return 0;
}

int rows_view(struct ush_tx *view, const struct asking *r)
{
    struct ush_rows rows;
    if (r->one) {
        int found = ush_one(view, r->statement, r->record, r->one, r->values, r->value_count);
        return found < 0    ? found
               : found == 0 ? USH_ENOTFOUND
                            : row_keep(r->record, r->one, r->arena);
    }
    USH_TRY(ush_all(view, r->statement, r->record, ASKING_MAX, &rows, r->values, r->value_count));
    char *at = ush_arena_alloc(r->arena, (rows.count + 1) * r->record->bytes);
    if (!at)
        return USH_ELIMIT;
    if (rows.count)
        memcpy(at, rows.at, rows.count * r->record->bytes);
    for (size_t i = 0; i < rows.count; i++)
        USH_TRY(row_keep(r->record, at + i * r->record->bytes, r->arena));
    *r->all = (struct ush_rows){at, rows.count};
    return 0;
}

static int read_view(struct ush_tx *view, void *arg)
{
    return rows_view(view, arg);
}

int rows_read(struct ush_db *db, const struct asking *r)
{
    struct asking copy = *r;
    return ush_read(db, read_view, &copy);
}

int places_lock(struct ush_tx *tx, int64_t event, int64_t registration, struct locked *ret)
{
    ush_text ids = ush_arena_printf(tx->arena, "[%lld]", (long long)event);
    const struct ush_value id_list = USH_V(ids), id = USH_V(event), one = USH_V(registration);
    struct ush_rows seats, events, rows;
    const struct ush_query q[] = {
        {&sql_seats_lock, &seats_record, 1, &seats, &id_list, 1},
        {&sql_event_by_id, &event_record, 1, &events, &id, 1},
        {&sql_registration_seat, &seat_row_record, 1, &rows, &one, 1},
    };
    if (!ids.at)
        return USH_ELIMIT;
    USH_TRY(ush_all_at_once(tx, q, registration ? 3 : 2));
    if (!seats.count || !events.count || (registration && !rows.count))
        return 0;
    ret->seats = *(struct seats *)seats.at;
    ret->event = *(struct event *)events.at;
    ret->row = registration ? *(struct seat_row *)rows.at : (struct seat_row){0};
    return 1;
}

int seats_store(struct ush_tx *tx, const struct seats *s)
{
    return ush_exec_rows_later(tx, &sql_seats_update, &seats_record, s, 1);
}

int event_store(struct ush_tx *tx, struct event *e)
{
    e->version++;
    e->updated_at = tx->now_ms;
    return ush_exec_rows_later(tx, &sql_event_update, &event_record, e, 1);
}

int audit(struct ush_tx *tx, const struct audit_entry *e)
{
    return ush_exec_later(
        tx, &sql_audit_insert,
        USH_VALUES(tx->now_ms, e->actor, e->action, e->event ? ush_value_i64(e->event) : USH_NULL,
                   e->registration ? ush_value_i64(e->registration) : USH_NULL, e->detail));
}

bool waiting_moves(const struct ush_tx *tx, const struct seats *s)
{
    return s->gate != GATE_CANCELLED && tx->now_ms < s->promote_until;
}

int waiting_position(struct ush_tx *tx, int64_t registration, int64_t *ret)
{
    int64_t from = registration_make_id(registration_event_of(registration), 0);
    return number_read(tx, &sql_waiting_before, ret, USH_VALUES(from, registration));
}

int waiting_promote(struct ush_tx *tx, struct seats *s, int64_t most)
{
    int64_t n = seats_promotable(s);
    struct ush_rows rows;
    if (n > most)
        n = most;
    if (n <= 0)
        return 0;
    USH_TRY(ush_all(tx, &sql_waiting_first, &number_record, (size_t)n, &rows,
                    USH_VALUES(registration_make_id(s->event_id, 0),
                               registration_make_id(s->event_id + 1, 0), n)));
    struct ush_job_new *jobs = USH_NEW_N(tx->arena, struct ush_job_new, rows.count);
    struct stamp *promoted = USH_NEW_N(tx->arena, struct stamp, rows.count);
    if (!jobs || !promoted)
        return USH_ELIMIT;
    for (size_t i = 0; i < rows.count; i++) {
        int64_t id = ((struct number *)rows.at)[i].number;
        promoted[i] = (struct stamp){.id = id, .at = tx->now_ms};
        jobs[i] = mail_job(MAIL_PROMOTED, id, tx->now_ms);
    }
    USH_TRY(
        ush_exec_rows_later(tx, &sql_registration_promote, &stamp_record, promoted, rows.count));
    s->taken += (int64_t)rows.count;
    s->waiting -= (int64_t)rows.count;
    USH_TRY(ush_jobs_put(tx, jobs, rows.count));
    return (int)rows.count;
}

/* ---- cancel ---------------------------------------------------------------------------------- */

int place_give_back(struct ush_tx *tx, struct locked *l, int64_t registration, ush_text reason)
{
    int promoted = 0;
    struct seats *s = &l->seats;
    USH_TRY(
        ush_exec_later(tx, &sql_registration_cancel, USH_VALUES(registration, tx->now_ms, reason)));
    USH_TRY(ush_exec_later(tx, &sql_people_release, USH_VALUES(registration)));
    if (l->row.school_key.at && USH_HAS(s, seats_school_limit))
        USH_TRY(ush_exec_later(tx, &sql_school_give, USH_VALUES(USH_BYTES(l->row.school_key))));
    if (l->row.status == REGISTRATION_CONFIRMED)
        s->taken--;
    else
        s->waiting--;
    if (waiting_moves(tx, s))
        USH_TRY(promoted = waiting_promote(tx, s, INT64_MAX));
    USH_TRY(seats_store(tx, s));
    return promoted;
}

static int cancel_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct cancel *in = input;
    struct change_result *out = output;
    struct locked l;
    struct seats *s = &l.seats;
    int64_t id = registration_event_of(in->registration);
    int found = places_lock(tx, id, in->registration, &l);
    USH_TRY(found);
    out->outcome = CHANGE_NOT_FOUND;
    if (found == 0)
        return 0;
    out->taken = s->taken;
    out->manage_rev = l.row.manage_rev;
    out->outcome = CHANGE_NOTHING;
    if (l.row.status == REGISTRATION_CANCELLED)
        return 0;
    if (ush_text_equal(in->reason, USH_T("by_student")) && tx->now_ms >= l.event.cancel_until) {
        out->outcome = CHANGE_TOO_LATE;
        out->until = l.event.cancel_until;
        USH_SET(out, change_result_until);
        return 0;
    }
    USH_TRY(out->promoted = place_give_back(tx, &l, in->registration, in->reason));
    struct ush_job_new job = mail_job(MAIL_CANCELLED, in->registration, tx->now_ms);
    USH_TRY(ush_jobs_put(tx, &job, 1));
    out->outcome = CHANGE_DONE;
    out->taken = s->taken;
    return audit(tx, &(struct audit_entry){.actor = in->actor,
                                           .action = "cancel",
                                           .event = id,
                                           .registration = in->registration,
                                           .detail = in->reason});
}

const struct ush_operation op_cancel = {
    .name = "cancel",
    .in = &cancel_record,
    .out = &change_result_record,
    .run = cancel_run,
};

/* ---- capacity, waitlist, open, close --------------------------------------------------------- */

/* Event and seats by slug, behind the gate: 1, or 0 when there is none. A slug never moves to
 * another event, so it may be looked up before. */
int places_find(struct ush_tx *tx, ush_text slug, struct locked *ret)
{
    int found = ush_one(tx, &sql_event_one, &event_record, &ret->event, USH_VALUES(slug));
    return found > 0 ? places_lock(tx, ret->event.id, 0, ret) : found;
}

/* Sets an optional number where -1 means that it is absent. */
static void set_optional(struct seats *s, int position, int64_t *field, int64_t value)
{
    *field = value < 0 ? 0 : value;
    s->has &= ~(UINT64_C(1) << position);
    if (value >= 0)
        USH_SET(s, position);
}

static int seats_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct seats_change *in = input;
    struct change_result *out = output;
    struct locked l;
    int found = places_find(tx, in->slug, &l);
    USH_TRY(found);
    out->outcome = CHANGE_NOT_FOUND;
    if (found == 0)
        return 0;
    struct seats s = l.seats;
    const struct seats before = s;
    out->taken = s.taken;
    out->outcome = CHANGE_DEAD;
    if (s.gate == GATE_CANCELLED)
        return 0;
    if (USH_HAS(in, seats_change_capacity)) {
        out->outcome = CHANGE_BELOW_TAKEN;
        if (in->capacity >= 0 && in->capacity < s.taken)
            return 0;
        set_optional(&s, seats_capacity, &s.capacity, in->capacity);
    }
    if (USH_HAS(in, seats_change_waitlist))
        set_optional(&s, seats_waitlist_capacity, &s.waitlist_capacity, in->waitlist);
    if (in->gate.at)
        s.gate = ush_text_equal(in->gate, USH_T("open")) ? GATE_OPEN : GATE_CLOSED;
    out->outcome = CHANGE_NOTHING;
    if (before.has == s.has && before.capacity == s.capacity && before.gate == s.gate &&
        before.waitlist_capacity == s.waitlist_capacity)
        return 0;
    if (waiting_moves(tx, &s))
        USH_TRY(out->promoted = waiting_promote(tx, &s, INT64_MAX));
    USH_TRY(seats_store(tx, &s));
    /* A form of the event holds these numbers, too: one that is open elsewhere is the old one now.
     */
    if (before.has != s.has || before.capacity != s.capacity ||
        before.waitlist_capacity != s.waitlist_capacity)
        USH_TRY(event_store(tx, &l.event));
    out->outcome = CHANGE_DONE;
    out->taken = s.taken;
    struct ush_buf detail;
    ush_buf_init(&detail, 4096);
    ush_record_encode_json(&seats_change_record, in, &detail);
    int rc = audit(tx, &(struct audit_entry){.actor = in->actor,
                                             .action = "seats",
                                             .event = l.event.id,
                                             .detail = ush_buf_text(&detail)});
    ush_buf_fini(&detail);
    return rc;
}

const struct ush_operation op_seats = {
    .name = "seats",
    .in = &seats_change_record,
    .out = &change_result_record,
    .run = seats_run,
};

#define DETAIL_FIELDS(F, R) F(R, TEXT, detail)
USH_RECORD(detail, DETAIL_FIELDS)
USH_RECORD_DEFINE(detail, DETAIL_FIELDS)

ush_text marked(struct ush_arena *arena, ush_text what, int64_t once)
{
    return ush_arena_printf(arena, "%.*s%s[%016llx]", USH_PR(what), what.len ? " " : "",
                            (unsigned long long)once);
}

int marked_before(struct ush_tx *tx, int64_t event, int64_t once, ush_text *ret)
{
    struct detail row;
    ush_text mark = ush_arena_printf(tx->arena, "%%[%016llx]", (unsigned long long)once);
    int found = ush_one(tx, &sql_marked_before, &detail_record, &row, USH_VALUES(event, mark));
    if (found > 0)
        *ret = row.detail;
    return found;
}

int marked_on(struct ush_tx *tx, int64_t registration, int64_t once)
{
    int64_t found = 0;
    ush_text mark = ush_arena_printf(tx->arena, "%%[%016llx]", (unsigned long long)once);
    USH_TRY(number_read(tx, &sql_marked_on, &found, USH_VALUES(registration, mark)));
    return found > 0;
}

static int promote_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct promote *in = input;
    struct change_result *out = output;
    struct locked l;
    int found = places_find(tx, in->slug, &l);
    USH_TRY(found);
    out->outcome = !found                           ? CHANGE_NOT_FOUND
                   : l.seats.gate == GATE_CANCELLED ? CHANGE_DEAD
                                                    : CHANGE_NOTHING;
    if (out->outcome != CHANGE_NOTHING)
        return 0;
    out->taken = l.seats.taken;
    ush_text detail;
    found = marked_before(tx, l.event.id, in->once, &detail);
    if (found != 0) {
        out->outcome = CHANGE_DONE;
        return found < 0 ? found : ush_text_i64(ush_text_cut(&detail, ' '), &out->promoted);
    }
    USH_TRY(out->promoted = waiting_promote(tx, &l.seats, in->count));
    out->taken = l.seats.taken;
    if (!out->promoted)
        return 0;
    out->outcome = CHANGE_DONE;
    USH_TRY(seats_store(tx, &l.seats));
    detail = ush_arena_printf(tx->arena, "%lld moved up", (long long)out->promoted);
    detail = marked(tx->arena, detail, in->once);
    return audit(tx, &(struct audit_entry){in->actor, "promote", l.event.id, 0, detail});
}

const struct ush_operation op_promote = {
    .name = "promote",
    .in = &promote_record,
    .out = &change_result_record,
    .run = promote_run,
};
