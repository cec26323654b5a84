/*
 * checkin.c - one scan: who comes in, or why not.
 *
 *   scan known? --yes--> the answer of the first time
 *      |no
 *   exists, for this gate, newest ticket, has a place? --no--> says which, records the scan
 *      |yes
 *   as on the page that was shown? --no--> asks again
 *      |yes
 *   INSERT attendance ... ON CONFLICT DO NOTHING --rows--> in;   --none--> already, since when
 *
 * Invariants:
 *  1. Of any number of scans of one person exactly one finds "in", until it is undone.
 *  2. Every scan leaves a row, whatever it found; an unknown code does not, as it names nobody.
 *  3. Only a confirmed registration gets in.
 *  4. Nobody gets in while the registration is corrected or cancelled: its row is locked first.
 */
#include "domain/checkin.h"

#include "domain/accounts.h"
#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(checkin, CHECKIN_FIELDS)
USH_RECORD_DEFINE(checkin_result, CHECKIN_RESULT_FIELDS)
USH_RECORD_DEFINE(attendance, ATTENDANCE_FIELDS)
USH_RECORD_DEFINE(scan, SCAN_FIELDS)

#define SCAN_KNOWN_FIELDS(F, R) F(R, TEXT, result) F(R, I64, entered)
USH_RECORD(scan_known, SCAN_KNOWN_FIELDS)
USH_RECORD_DEFINE(scan_known, SCAN_KNOWN_FIELDS)

int scan_resolve(const struct fest *f, ush_text typed, struct scan_code *ret)
{
    *ret = (struct scan_code){0};
    typed = ush_text_trim(typed);
    if (ticket_parse(&f->keys, typed, &ret->registration, &ret->ticket_rev) == 0)
        return 0;
    ret->ticket_rev = 0;
    return short_code_parse(&f->keys, typed, &ret->registration) < 0 ? USH_ENOTFOUND : 0;
}

/* What speaks against it, or NULL. */
static const char *objection(const struct checkin *in, const struct seat_row *row)
{
    if (!events_allow(in->events, registration_event_of(in->registration)))
        return "wrong_event";
    if (in->ticket_rev && in->ticket_rev != row->ticket_rev)
        return "replaced";
    return row->status == REGISTRATION_CONFIRMED    ? NULL
           : row->status == REGISTRATION_WAITLISTED ? "waitlisted"
                                                    : "cancelled";
}

/* Since when and where the person asked about, or the first of a team, is in. */
static int tell_when(struct ush_tx *tx, const struct checkin *in, struct checkin_result *out)
{
    struct ush_rows rows;
    USH_TRY(ush_all(tx, &sql_attendance_of, &attendance_record, DESK_PEOPLE_MAX, &rows,
                    USH_VALUES(in->registration)));
    const struct attendance *a = rows.at;
    for (size_t i = 0; i < rows.count; i++) {
        if (in->position != EVERYBODY && a[i].position != in->position)
            continue;
        out->at = a[i].at;
        out->gate = a[i].gate;
        USH_SET(out, checkin_result_at);
        return 0;
    }
    return 0;
}

static int decide(struct ush_tx *tx, const struct checkin *in, const struct seat_row *row,
                  struct checkin_result *out)
{
    const char *why = objection(in, row);
    int n = 0;
    bool is_here = events_allow(in->events, registration_event_of(in->registration));
    bool is_stale = in->seen_at && in->seen_at != row->updated_at;
    if (is_stale && is_here && (in->undo || !why)) { /* a position may be somebody else's */
        out->result = USH_T("ask");
        return 0;
    }
    if (in->undo && is_here) { /* whatever has become of the ticket since */
        why = "undone";
        n = ush_exec(tx, &sql_attendance_delete, USH_VALUES(in->registration, in->position));
    } else if (!why) {
        n = ush_exec(tx, &sql_attendance_insert,
                     USH_VALUES(in->registration, in->position, tx->now_ms, in->gate));
        why = n > 0 ? "in" : "already";
        out->entered = n;
    }
    USH_TRY(n);
    if (in->note.len && !in->undo && n == 0)
        why = "anyway";
    out->result = ush_text_of(why);
    return 0;
}

static int checkin_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct checkin *in = input;
    struct checkin_result *out = output;
    struct seat_row row;
    struct scan_known known;
    int found = ush_one(tx, &sql_scan_known, &scan_known_record, &known,
                        USH_VALUES(USH_BYTES(in->scan_key)));
    USH_TRY(found);
    if (found) {
        out->result = known.result;
        out->entered = known.entered;
        return tell_when(tx, in, out);
    }
    found = ush_one(tx, &sql_registration_at_door, &seat_row_record, &row,
                    USH_VALUES(in->registration));
    USH_TRY(found);
    out->result = USH_T("unknown");
    if (!found)
        return 0;
    USH_TRY(decide(tx, in, &row, out));
    USH_TRY(ush_exec(tx, &sql_scan_insert,
                     USH_VALUES(USH_BYTES(in->scan_key), tx->now_ms, in->registration, in->position,
                                out->result, out->entered, in->gate, in->note)));
    return tell_when(tx, in, out);
}

const struct ush_operation op_checkin = {
    .name = "checkin",
    .in = &checkin_record,
    .out = &checkin_result_record,
    .run = checkin_run,
};

int checkin_scan(struct fest *f, ush_text scan, struct checkin *in, struct checkin_result *ret,
                 struct ush_arena *arena)
{
    uint8_t key[KEY_BYTES];
    if (scan.len)
        keys_hash(&f->keys, HASH_SCAN, in->registration, &scan, 1, key);
    else
        ush_random(key, sizeof key);
    in->scan_key = (ush_text){(const char *)key, sizeof key};
    return fest_store(f, &op_checkin, in, ret, arena);
}

struct door {
    struct asking in, scans;
};

static int read_door(struct ush_tx *view, void *arg)
{
    const struct door *d = arg;
    USH_TRY(rows_view(view, &d->in));
    return rows_view(view, &d->scans);
}

int attendance_read(struct fest *f, int64_t registration, struct ush_arena *arena,
                    struct ush_rows *ret_in, struct ush_rows *ret_scans)
{
    const struct ush_value values[] = {USH_V(registration)};
    struct door d = {
        {&sql_attendance_of, &attendance_record, values, 1, arena, NULL, ret_in},
        {&sql_scans_of, &scan_record, values, 1, arena, NULL, ret_scans},
    };
    return ush_read(f->db, read_door, &d);
}
