/*
 * import.c - from a file of events to one operation that stores them all or none.
 *
 *   read    CSV or JSON into rows; every fault of every row is kept
 *   build   a row into an event and its seats: times by zone, defaults, what must fit together
 *   plan    beside what is stored: new, changed (which fields), unchanged, error
 *   apply   the same plan again inside the transaction, then the writes
 *
 * Planning is one function over a transaction or a view, so a dry run cannot say anything else
 * than the real one. Nothing is written while any row has an error.
 */
#include "domain/import.h"

#include <jansson.h>
#include <stdlib.h>

#include "domain/events.h"
#include "domain/places.h"
#include "domain/questions.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(import_row, IMPORT_FIELDS)
USH_RECORD_DEFINE(import_report, IMPORT_REPORT_FIELDS)

enum { MINUTE_MS = 60000, HOUR_MS = 3600000, DEPTH_MAX = 16 };

/* A row on its way to the operation. */
#define EVENT_PUT_FIELDS(F, R)                                                                     \
    F(R, I64, line)                                                                                \
    F(R, I64, version, .doc = "-1 = any; 0 = has to be new; else that of the stored event")        \
    F(R, I64, opens_at_once)                                                                       \
    F(R, ONE, event, .of = &event_record) F(R, ONE, seats, .of = &seats_record)
USH_RECORD(event_put, EVENT_PUT_FIELDS)
USH_RECORD_DEFINE(event_put, EVENT_PUT_FIELDS)

#define EVENTS_PUT_FIELDS(F, R)                                                                    \
    F(R, LIST, rows, .of = &event_put_record, .max = 1000)                                         \
    F(R, TEXT, actor, .max = 120)
USH_RECORD(events_put, EVENTS_PUT_FIELDS)
USH_RECORD_DEFINE(events_put, EVENTS_PUT_FIELDS)

#define EVENTS_PUT_OUT_FIELDS(F, R)                                                                \
    F(R, LIST, reports, .of = &import_report_record, .max = 1000)                                  \
    F(R, I64, errors)
USH_RECORD(events_put_out, EVENTS_PUT_OUT_FIELDS)
USH_RECORD_DEFINE(events_put_out, EVENTS_PUT_OUT_FIELDS)

static const char *const action_names[] = {"new", "changed", "unchanged", "error"};

static void report(struct import_report *r, enum import_action action, ush_text text)
{
    r->action = ush_text_of(action_names[action]);
    r->text = text.len ? text : USH_NONE;
}

/* ---- build ----------------------------------------------------------------------------------- */

struct building {
    struct ush_arena *arena;
    struct ush_faults *faults;
    const struct import_row *row;
    struct zone *zone; /* NULL where there is none of that name */
    ush_text zone_name;
};

/* The instant of a column, or `initial` where it is empty. */
static int64_t time_of(struct building *b, const char *column, ush_text typed, int64_t initial)
{
    int64_t ms = initial;
    ush_text problem;
    if (typed.len && b->zone && zone_parse(b->zone, typed, b->arena, &ms, &problem) < 0)
        ush_faults_add(b->faults, column, "value_error", "%.*s", USH_PR(problem));
    return ms;
}

static void build_event(struct building *b, struct event *e)
{
    const struct import_row *r = b->row;
    bool team = ush_text_equal(r->kind, USH_T("team"));
    *e = (struct event){
        .slug = r->slug,
        .title = r->title,
        .summary = r->summary.at ? r->summary : USH_T(""),
        .description = r->description.at ? r->description : USH_T(""),
        .category = r->category.at ? r->category : USH_T(""),
        .venue = r->venue.at ? r->venue : USH_T(""),
        .tz = r->tz,
        .kind = team ? USH_T("team") : USH_T("individual"),
        .dedupe = r->dedupe.at ? r->dedupe : USH_T("email"),
        .status = USH_T("published"),
        .questions = r->questions.at ? r->questions : USH_T(""),
        .grade_min = r->grade_min,
        .grade_max = r->grade_max,
    };
    e->team_min = r->team_min ? r->team_min : team ? 2 : 1;
    e->team_max = r->team_max ? r->team_max : e->team_min;
    if (USH_HAS(r, import_row_grade_min))
        USH_SET(e, event_grade_min);
    if (USH_HAS(r, import_row_grade_max))
        USH_SET(e, event_grade_max);
    e->starts_at = time_of(b, "starts", r->starts, 0);
    e->ends_at = time_of(b, "ends", r->ends, e->starts_at + HOUR_MS);
    e->edit_until = e->cancel_until = e->starts_at;
    e->utc_offset_min = b->zone ? zone_offset_min(b->zone, e->starts_at) : 0;
    const char *problem;
    struct ush_rows questions;
    if (questions_parse(e->questions, b->arena, &questions, &problem) == USH_EINVAL)
        ush_faults_add(b->faults, "questions", "value_error", "%s", problem);
    if (e->ends_at < e->starts_at)
        ush_faults_add(b->faults, "ends", "value_error", "It ends before it starts");
    if (e->team_max < e->team_min)
        ush_faults_add(b->faults, "team_max", "value_error", "It is less than the smallest team");
    if (!team && e->team_max > 1)
        ush_faults_add(b->faults, "team_max", "value_error", "Only for kind team");
    if (r->grade_min && r->grade_max && r->grade_max < r->grade_min)
        ush_faults_add(b->faults, "grade_max", "value_error", "It is less than the lowest grade");
}

static void build_seats(struct building *b, const struct event *e, struct seats *s)
{
    const struct import_row *r = b->row;
    bool endless = ush_text_equal_nocase(r->waitlist, USH_T("unlimited"));
    *s = (struct seats){.gate = GATE_OPEN, .next_seq = 1};
    s->capacity = r->capacity;
    s->school_limit = r->school_limit;
    if (USH_HAS(r, import_row_capacity))
        USH_SET(s, seats_capacity);
    if (USH_HAS(r, import_row_school_limit))
        USH_SET(s, seats_school_limit);
    if (!endless)
        USH_SET(s, seats_waitlist_capacity);
    if (r->waitlist.len && !endless &&
        (ush_text_i64(r->waitlist, &s->waitlist_capacity) < 0 || s->waitlist_capacity < 0 ||
         s->waitlist_capacity > 10000000))
        ush_faults_add(b->faults, "waitlist", "value_error", "A number, or \"unlimited\"");
    s->opens_at = time_of(b, "opens", r->opens, 0);
    s->closes_at = time_of(b, "closes", r->closes, e->starts_at);
    s->promote_until = e->starts_at - 3 * HOUR_MS;
    if (r->opens.len && s->opens_at && s->closes_at && s->closes_at <= s->opens_at)
        ush_faults_add(b->faults, "closes", "value_error", "Registration closes before it opens");
}

static void build(struct building *b, const char *tz, struct import_row *row, struct event_put *put)
{
    struct event *e = USH_NEW(b->arena, struct event);
    struct seats *s = USH_NEW(b->arena, struct seats);
    if (!row->tz.len)
        row->tz = ush_text_of(tz);
    b->row = row;
    ush_text name = ush_arena_copy(b->arena, row->tz);
    if (!e || !s || !name.at)
        return;
    if (!ush_text_equal(name, b->zone_name)) {
        b->zone_name = name;
        if (zone_load(name.at, b->arena, &b->zone) < 0)
            b->zone = NULL;
    }
    if (!b->zone)
        ush_faults_add(b->faults, "tz", "value_error",
                       "There is no zone \"%s\"; write it as Asia/Kolkata", name.at);
    build_event(b, e);
    build_seats(b, e, s);
    put->opens_at_once = row->opens.len == 0;
    put->event = e;
    put->seats = s;
}

/* ---- plan ------------------------------------------------------------------------------------ */

/* Set by operations, or following from other fields. */
static const char *const no_columns[] = {
    "id",         "status",       "version",        "created_at",   "updated_at",
    "edit_until", "cancel_until", "utc_offset_min", "event_id",     "taken",
    "waiting",    "next_seq",     "gate",           "promote_until"};

/* Adds "title, venue" for the fields that differ. */
static void list_changes(const struct ush_record *r, const void *old, const void *new,
                         struct ush_buf *out)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *f = &r->fields[i];
        const char *a = (const char *)old + f->offset, *b = (const char *)new + f->offset;
        bool has_a = *(const uint64_t *)old >> i & 1, has_b = *(const uint64_t *)new >> i & 1;
        bool same = f->type == USH_TYPE_TEXT
                        ? ush_text_equal(*(const ush_text *)a, *(const ush_text *)b)
                    : (f->optional && has_a != has_b) ? false
                                                      : *(const int64_t *)a == *(const int64_t *)b;
        for (size_t k = 0; k < USH_COUNT(no_columns); k++)
            same |= strcmp(no_columns[k], f->name) == 0;
        ush_text name = ush_text_of(f->name); /* as in a file: opens_at, waitlist_capacity */
        name.len -= ush_text_ends(name, USH_T("_at"))         ? 3
                    : ush_text_ends(name, USH_T("_capacity")) ? 9
                                                              : 0;
        if (!same)
            ush_buf_printf(out, "%s%.*s", out->len ? ", " : "", USH_PR(name));
    }
}

/* What is stored under the slug. */
struct stored {
    struct event event;
    struct seats seats;
    bool is_there;
};

static int find_stored(struct ush_tx *tx, ush_text slug, struct stored *ret)
{
    int found = ush_one(tx, &sql_event_one, &event_record, &ret->event, USH_VALUES(slug));
    USH_TRY(found);
    ret->is_there = found > 0;
    if (!found)
        return 0;
    found = ush_one(tx, &sql_seats_one, &seats_record, &ret->seats, USH_VALUES(ret->event.id));
    return found > 0 ? 0 : found < 0 ? found : USH_ENOTFOUND;
}

/* The places of a row. Without a time in the file registration opens when the event is stored
 * first, and reading the file again does not move that moment. */
static struct seats seats_to_store(const struct ush_tx *tx, const struct event_put *put,
                                   const struct stored *old)
{
    struct seats s = *(struct seats *)put->seats;
    /* A form shows minutes: one that was not touched does not move the moment by seconds. */
    int64_t then = old->seats.opens_at;
    bool untouched = put->version > 0 && s.opens_at == then - then % MINUTE_MS;
    if (old->is_there && (put->opens_at_once || untouched))
        s.opens_at = then;
    else if (put->opens_at_once)
        s.opens_at = tx->now_ms < s.closes_at ? tx->now_ms : s.closes_at;
    return s;
}

/* Finds the stored rows and says what will happen. */
static int plan_row(struct ush_tx *tx, const struct event_put *put, struct stored *old,
                    struct import_report *ret)
{
    struct event *e = put->event;
    USH_TRY(find_stored(tx, e->slug, old));
    const struct seats s = seats_to_store(tx, put, old);
    struct ush_buf changes;
    ush_buf_init(&changes, 1024);
    if (old->is_there) {
        list_changes(&event_record, &old->event, e, &changes);
        list_changes(&seats_record, &old->seats, &s, &changes);
    }
    /* What is stored just so may be our own doing, whose answer was lost. */
    bool is_same = old->is_there && !changes.len;
    ush_text text = ush_arena_copy(tx->arena, ush_buf_text(&changes));
    ush_buf_fini(&changes);
    if (!is_same && put->version >= 0 && put->version != (old->is_there ? old->event.version : 0)) {
        report(ret, IMPORT_ERROR,
               !old->is_there      ? USH_T("this event is not there any more")
               : put->version == 0 ? USH_T("there is an event with this name in its link already")
                                   : USH_T("somebody else changed this event meanwhile"));
        return 0;
    }
    if (!old->is_there)
        report(ret, IMPORT_NEW, USH_NONE);
    else if (is_same)
        report(ret, IMPORT_UNCHANGED, USH_NONE);
    else if (old->seats.gate == GATE_CANCELLED)
        report(ret, IMPORT_ERROR, USH_T("this event was cancelled; use another slug"));
    else if (USH_HAS(&s, seats_capacity) && s.capacity < old->seats.taken)
        report(ret, IMPORT_ERROR,
               ush_arena_printf(tx->arena, "capacity %lld is below the %lld places taken",
                                (long long)s.capacity, (long long)old->seats.taken));
    else if (old->seats.next_seq > 1 && (!ush_text_equal(e->dedupe, old->event.dedupe) ||
                                         !ush_text_equal(e->kind, old->event.kind)))
        report(ret, IMPORT_ERROR,
               USH_T("kind and dedupe cannot change once somebody is registered"));
    else
        report(ret, IMPORT_CHANGED, text);
    return 0;
}

/* Plans all rows; two rows with one slug are an error of the second. */
static int plan(struct ush_tx *tx, const struct ush_rows *rows, struct import_report *reports,
                struct stored *old, int64_t *ret_errors)
{
    const struct event_put *puts = rows->at;
    *ret_errors = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct event *e = puts[i].event;
        reports[i] = (struct import_report){.line = puts[i].line, .slug = e->slug};
        USH_TRY(plan_row(tx, &puts[i], &old[i], &reports[i]));
        for (size_t k = 0; k < i; k++)
            if (ush_text_equal(((const struct event *)puts[k].event)->slug, e->slug))
                report(&reports[i], IMPORT_ERROR,
                       ush_arena_printf(tx->arena, "line %lld has the same slug",
                                        (long long)puts[k].line));
        *ret_errors += ush_text_equal(reports[i].action, USH_T("error"));
    }
    return 0;
}

/* ---- apply ----------------------------------------------------------------------------------- */

static int insert_event(struct ush_tx *tx, struct event *e, struct seats *s)
{
    USH_TRY(number_read(tx, &sql_event_next_id, &e->id, USH_NO_VALUES));
    e->version = 1;
    e->created_at = e->updated_at = tx->now_ms;
    s->event_id = e->id;
    USH_TRY(ush_exec_rows_later(tx, &sql_event_insert, &event_record, e, 1));
    return ush_exec_rows_later(tx, &sql_seats_insert, &seats_record, s, 1);
}

static int update_event(struct ush_tx *tx, struct event *e, struct seats *s,
                        const struct stored *old)
{
    const struct seats *now = &old->seats;
    e->id = old->event.id;
    e->version = old->event.version + 1;
    e->created_at = old->event.created_at;
    e->updated_at = tx->now_ms;
    bool limits_now = USH_HAS(s, seats_school_limit), did = USH_HAS(now, seats_school_limit);
    s->event_id = e->id;
    s->taken = now->taken;
    s->waiting = now->waiting;
    s->next_seq = now->next_seq;
    s->gate = now->gate;
    if (limits_now && !did) {
        USH_TRY(ush_exec_later(tx, &sql_schools_forget, USH_VALUES(e->id)));
        USH_TRY(ush_exec_later(
            tx, &sql_schools_count,
            USH_VALUES(e->id, registration_make_id(e->id, 0), registration_make_id(e->id + 1, 0))));
    }
    if (waiting_moves(tx, s))
        USH_TRY(waiting_promote(tx, s, INT64_MAX));
    USH_TRY(ush_exec_rows_later(tx, &sql_event_update, &event_record, e, 1));
    return seats_store(tx, s);
}

/* One import at a time, and nothing happens in its events meanwhile: the plan stays true, and so do
 * the ids of new events. */
static int lock_for(struct ush_tx *tx, const struct ush_rows *rows)
{
    const struct event_put *puts = rows->at;
    struct ush_rows turn, locked;
    struct ush_buf slugs;
    ush_buf_init(&slugs, 64 + 64 * rows->count);
    ush_buf_add_byte(&slugs, '[');
    for (size_t i = 0; i < rows->count; i++)
        ush_buf_printf(&slugs, "%s\"%.*s\"", i ? "," : "",
                       USH_PR(((const struct event *)puts[i].event)->slug));
    ush_buf_add_byte(&slugs, ']');
    const struct ush_value list = USH_V(ush_buf_text(&slugs));
    const struct ush_query q[] = {
        {&sql_import_turn, &number_record, 1, &turn, USH_NO_VALUES},
        {&sql_seats_lock_slugs, &number_record, rows->count + 1, &locked, &list, 1},
    };
    int r = slugs.error ? slugs.error : ush_all_at_once(tx, q, USH_COUNT(q));
    ush_buf_fini(&slugs);
    return r;
}

static int put_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct events_put *in = input;
    struct events_put_out *out = output;
    struct import_report *reports = USH_NEW_N(tx->arena, struct import_report, in->rows.count + 1);
    struct stored *old = USH_NEW_N(tx->arena, struct stored, in->rows.count + 1);
    if (!reports || !old)
        return USH_ELIMIT;
    USH_TRY(lock_for(tx, &in->rows));
    USH_TRY(plan(tx, &in->rows, reports, old, &out->errors));
    out->reports = (struct ush_rows){reports, in->rows.count};
    if (out->errors)
        return 0;
    for (size_t i = 0; i < in->rows.count; i++) {
        const struct event_put *put = (struct event_put *)in->rows.at + i;
        if (ush_text_equal(reports[i].action, USH_T("unchanged")))
            continue;
        /* The input belongs to the caller, who may send it again: change copies. */
        struct event e = *(struct event *)put->event;
        struct seats s = seats_to_store(tx, put, &old[i]);
        USH_TRY(old[i].is_there ? update_event(tx, &e, &s, &old[i]) : insert_event(tx, &e, &s));
        USH_TRY(audit(tx, &(struct audit_entry){in->actor, "import", e.id, 0, reports[i].text}));
    }
    return 0;
}

const struct ush_operation op_events_put = {
    .name = "events_put",
    .in = &events_put_record,
    .out = &events_put_out_record,
    .run = put_run,
};

struct dry_run {
    const struct events_put *in;
    struct ush_arena *arena;
    struct events_put_out *out;
};

static int plan_view(struct ush_tx *view, void *arg)
{
    struct dry_run *d = arg;
    size_t n = d->in->rows.count;
    struct import_report *reports = USH_NEW_N(d->arena, struct import_report, n + 1);
    struct stored *old = USH_NEW_N(view->arena, struct stored, n + 1);
    if (!reports || !old)
        return USH_ELIMIT;
    USH_TRY(plan(view, &d->in->rows, reports, old, &d->out->errors));
    for (size_t i = 0; i < n; i++)
        reports[i].text = reports[i].text.at ? ush_arena_copy(d->arena, reports[i].text) : USH_NONE;
    d->out->reports = (struct ush_rows){reports, n};
    return 0;
}

/* ---- read ------------------------------------------------------------------------------------ */

struct reading {
    const struct import_options *o;
    struct ush_arena *arena;
    struct import_report *reports; /* one per row of the file, in order */
    struct event_put *puts;        /* the rows without a fault */
    size_t count, good;
    struct building last; /* most rows are in the zone of the row before */
};

/* The one report of a file that is no table. */
static int refuse(struct reading *r, int64_t line, const char *text)
{
    r->count = 1;
    r->good = 0;
    r->reports[0] = (struct import_report){.line = line, .slug = USH_T("")};
    report(&r->reports[0], IMPORT_ERROR, ush_text_of(text));
    return USH_EINVAL;
}

static int add_row(struct reading *r, int64_t line, struct import_row *row,
                   struct ush_faults *faults)
{
    if (r->count == IMPORT_ROWS_MAX)
        return refuse(r, line, "here begins the 1,001st event; import them in several files");
    struct import_report *ret = &r->reports[r->count++];
    struct event_put *put = &r->puts[r->good];
    *ret = (struct import_report){.line = line, .slug = row->slug.at ? row->slug : USH_T("")};
    *put = (struct event_put){.line = line, .version = -1};
    if (!faults->count) {
        r->last.faults = faults;
        build(&r->last, r->o->tz, row, put);
    }
    if (r->arena->failed)
        return USH_ELIMIT;
    if (!faults->count) {
        r->good++;
        return 0;
    }
    struct ush_buf text;
    ush_buf_init(&text, 16 << 10);
    for (size_t i = 0; i < faults->count; i++) {
        ush_text at = faults->list[i].pointer;
        if (ush_text_starts(at, USH_T("#/")))
            at = (ush_text){at.at + 2, at.len - 2};
        ush_buf_printf(&text, "%s%.*s: %.*s", i ? "; " : "", USH_PR(at),
                       USH_PR(faults->list[i].msg));
    }
    report(ret, IMPORT_ERROR, ush_arena_copy(r->arena, ush_buf_text(&text)));
    ush_buf_fini(&text);
    return 0;
}

static int read_csv(struct reading *r, ush_text file)
{
    struct ush_csv csv;
    ush_text *header, *cells;
    size_t columns, n;
    if (ush_csv_open(&csv, file) < 0)
        return refuse(r, 1, "the file is not UTF-8; save it as \"CSV UTF-8\"");
    if (ush_csv_read(&csv, r->arena, &header, &columns) <= 0)
        return refuse(r, 1, "the file has no header row of at most 1,000 columns");
    for (;;) {
        struct ush_faults faults;
        struct import_row row;
        int got = ush_csv_read(&csv, r->arena, &cells, &n);
        if (got == 0)
            return 0;
        if (got < 0)
            return refuse(r, (int64_t)csv.line,
                          "a quote is opened and not closed, or here are more than 1,000 cells");
        ush_faults_init(&faults, r->arena);
        int rc = ush_record_decode_csv(&import_row_record, header, columns, cells, n, r->arena,
                                       &row, &faults);
        if (rc < 0 && rc != USH_EINVAL)
            return rc;
        USH_TRY(add_row(r, (int64_t)csv.line, &row, &faults));
    }
}

/* The waitlist is a number or a word; in JSON it may be written as either. */
static void number_as_text(json_t *object, const char *name)
{
    const json_t *n = json_object_get(object, name);
    if (json_is_integer(n))
        json_object_set_new(object, name,
                            json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(n)));
}

static int read_json(struct reading *r, ush_text file)
{
    json_error_t error;
    if (ush_json_depth(file) > DEPTH_MAX)
        return refuse(r, 1, "the values are nested too deep to be events");
    json_t *root = json_loadb(file.at, file.len, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        return refuse(r, error.line, "the file is not JSON");
    json_t *list = json_is_object(root) ? json_object_get(root, "events") : root;
    int rc = json_is_array(list)
                 ? 0
                 : refuse(r, 1, "JSON must be an array of events, or {\"events\": [...]}");
    for (size_t i = 0; rc == 0 && i < json_array_size(list); i++) {
        struct ush_faults faults;
        struct import_row row;
        number_as_text(json_array_get(list, i), "waitlist");
        char *text = json_dumps(json_array_get(list, i), JSON_ENCODE_ANY | JSON_COMPACT);
        ush_faults_init(&faults, r->arena);
        ush_text kept = text ? ush_arena_copy(r->arena, ush_text_of(text)) : USH_NONE;
        free(text);
        rc = kept.at ? ush_record_decode_json(&import_row_record, kept, r->arena, &row, &faults)
                     : USH_ELIMIT;
        if (rc == USH_EPROTO)
            row = (struct import_row){0};
        if (rc == 0 || rc == USH_EINVAL || rc == USH_EPROTO)
            rc = add_row(r, (int64_t)i + 1, &row, &faults);
    }
    json_decref(root);
    return rc;
}

static bool looks_like_json(ush_text file)
{
    file = ush_text_trim(file);
    return file.len && (file.at[0] == '[' || file.at[0] == '{');
}

/* Puts what the plan says about the good rows beside what reading said about the others. */
static void merge(struct reading *r, const struct ush_rows *planned, struct import_result *ret)
{
    const struct import_report *p = planned->at;
    for (size_t i = 0, k = 0; i < r->count; i++) {
        struct import_report *to = &r->reports[i];
        if (!to->action.at && k < planned->count)
            *to = p[k++];
        ret->fresh += ush_text_equal(to->action, USH_T("new"));
        ret->changed += ush_text_equal(to->action, USH_T("changed"));
        ret->unchanged += ush_text_equal(to->action, USH_T("unchanged"));
        ret->errors += ush_text_equal(to->action, USH_T("error"));
    }
    ret->rows = (struct ush_rows){r->reports, r->count};
}

int import_events(struct ush_db *db, ush_text file, const struct import_options *o,
                  struct ush_arena *arena, struct import_result *ret)
{
    struct reading r = {.o = o, .arena = arena, .last = {.arena = arena}};
    struct events_put_out out = {0};
    *ret = (struct import_result){0};
    r.reports = USH_NEW_N(arena, struct import_report, IMPORT_ROWS_MAX);
    r.puts = USH_NEW_N(arena, struct event_put, IMPORT_ROWS_MAX);
    if (!r.reports || !r.puts)
        return USH_ELIMIT;
    bool json = o->format == IMPORT_JSON || (o->format == IMPORT_GUESS && looks_like_json(file));
    int rc = json ? read_json(&r, file) : read_csv(&r, file);
    if (rc == USH_EINVAL)
        merge(&r, &out.reports, ret);
    USH_TRY(rc);
    const struct events_put in = {.rows = {r.puts, r.good}, .actor = o->actor};
    bool apply = !o->dry_run && r.good == r.count;
    struct dry_run dry = {&in, arena, &out};
    USH_TRY(apply ? ush_change(db, &op_events_put, &in, &out, arena)
                  : ush_read(db, plan_view, &dry));
    merge(&r, &out.reports, ret);
    ret->applied = apply && !out.errors;
    return 0;
}

int event_save(struct ush_db *db, const struct event_save *s, struct ush_arena *arena,
               struct ush_faults *faults, struct import_report *ret_report, struct event *ret_event,
               struct seats *ret_seats)
{
    struct import_row row = s->row;
    struct event_put put = {.line = 1, .version = s->version};
    struct events_put_out out = {0};
    struct building b = {.arena = arena, .faults = faults};
    build(&b, s->tz, &row, &put);
    if (faults->count)
        return USH_EINVAL;
    if (!put.seats || arena->failed)
        return USH_ELIMIT;
    const struct events_put in = {.rows = {&put, 1}, .actor = s->actor};
    struct dry_run dry = {&in, arena, &out};
    USH_TRY(s->dry_run ? ush_read(db, plan_view, &dry)
                       : ush_change(db, &op_events_put, &in, &out, arena));
    *ret_report = *(struct import_report *)out.reports.at;
    *ret_event = *(struct event *)put.event;
    *ret_seats = *(struct seats *)put.seats;
    return 0;
}
