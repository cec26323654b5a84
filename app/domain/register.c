/*
 * register.c - the operation that registers: one transaction for all that wait.
 *
 *   number the keys of the batch   equal keys get equal numbers: the batch knows its own repeats
 *   lock the seats rows, in ascending id, and behind that look the keys up   ==> first round trip
 *   seats_decide, event by event   in order of arrival
 *   insert rows and mail jobs as sets, update the seats rows                 ==> with the COMMIT
 *
 * On PostgreSQL that is two round trips and one commit, whatever the size of the batch and whatever
 * is decided: each look-up begins when the lock is held, so it sees all that was decided before;
 * and nothing that is written is waited for before the COMMIT. One more is made for the first to
 * come into an event: until then its kind, and what makes two people one, may change.
 *
 * Invariants:
 *  1. Every registration made here has its participants, its seat and its one mail job in the same
 *     transaction.
 *  2. One request key makes at most one registration. An operation that is sent again because the
 *     writer died before answering finds its own row: the submit_id is equal, so the answer is
 *     the first one's and not a replay.
 *  3. Row order is arrival order: id = (event << 32) | seq.
 *  4. The first in an event was checked by the event as it is, and whoever is in it by the same
 *     rules: an import does not change them any more.
 *  5. Refusals write nothing, except that the private link of somebody who is registered already
 *     goes out again, at most once an hour.
 *
 * Keys are 16-byte keyed hashes made by the caller, so this file needs no secret, and their first
 * bytes serve as hash values as they are.
 */
#include "domain/form.h"

#include <stdlib.h>

#include "domain/mails.h"
#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(desk_person, DESK_PERSON_FIELDS)
USH_RECORD_DEFINE(desk_place, DESK_PLACE_FIELDS)
USH_RECORD_DEFINE(register_in, REGISTER_FIELDS)
USH_RECORD_DEFINE(desk_answer, DESK_ANSWER_FIELDS)

/* ---- rows ------------------------------------------------------------------------------------ */

#define REQUEST_ROW_FIELDS(F, R)                                                                   \
    F(R, BYTES, key)                                                                               \
    F(R, I64, id)                                                                                  \
    F(R, I64, status)                                                                              \
    F(R, BYTES, request_fp)                                                                        \
    F(R, I64, submit_id)                                                                           \
    F(R, I64, ticket_rev) F(R, I64, manage_rev) F(R, TIME, created_at) F(R, I64, position)
USH_RECORD(request_row, REQUEST_ROW_FIELDS)
USH_RECORD_DEFINE(request_row, REQUEST_ROW_FIELDS)

#define NEW_REGISTRATION_FIELDS(F, R)                                                              \
    F(R, I64, id)                                                                                  \
    F(R, I64, status)                                                                              \
    F(R, BYTES, request_key)                                                                       \
    F(R, BYTES, request_fp)                                                                        \
    F(R, I64, submit_id)                                                                           \
    F(R, I64, source)                                                                              \
    F(R, I64, guardian_ok)                                                                         \
    F(R, TIME, created_at)                                                                         \
    F(R, I64, grade, .optional = true)                                                             \
    F(R, TEXT, school)                                                                             \
    F(R, BYTES, school_key)                                                                        \
    F(R, TEXT, phone)                                                                              \
    F(R, TEXT, team_name)                                                                          \
    F(R, BYTES, team_key)                                                                          \
    F(R, TEXT, answers)
USH_RECORD(new_registration, NEW_REGISTRATION_FIELDS)
USH_RECORD_DEFINE(new_registration, NEW_REGISTRATION_FIELDS)

/* ---- numbers for keys ------------------------------------------------------------------------ */

/* Equal keys get equal numbers, from 0, in order of appearance. */
struct numbers {
    char *keys;      /* arena: 16 bytes per number, one behind the other */
    uint32_t *slots; /* arena: number + 1, 0 = free */
    uint32_t mask, count;
};

static int numbers_init(struct numbers *n, struct ush_arena *arena, size_t max)
{
    uint32_t slots = 16;
    while (slots < 2 * max)
        slots *= 2;
    *n = (struct numbers){.keys = ush_arena_alloc(arena, KEY_BYTES * (max + 1)),
                          .slots = USH_NEW_N(arena, uint32_t, slots),
                          .mask = slots - 1};
    return n->keys && n->slots ? 0 : USH_ELIMIT;
}

/* The slot of a key: holding its number + 1, or free. */
static uint32_t *slot_of(const struct numbers *n, ush_text key)
{
    uint32_t hash;
    memcpy(&hash, key.at, sizeof hash);
    for (uint32_t i = hash & n->mask;; i = (i + 1) & n->mask) {
        uint32_t number = n->slots[i];
        if (!number || memcmp(n->keys + (number - 1) * KEY_BYTES, key.at, KEY_BYTES) == 0)
            return &n->slots[i];
    }
}

static uint32_t number_of(struct numbers *n, ush_text key)
{
    assert(key.len == KEY_BYTES);
    uint32_t *slot = slot_of(n, key);
    if (!*slot) {
        memcpy(n->keys + n->count * KEY_BYTES, key.at, KEY_BYTES);
        *slot = ++n->count;
    }
    return *slot - 1;
}

static struct ush_value packed(const struct numbers *n)
{
    return USH_BYTES(((ush_text){n->keys, n->count * KEY_BYTES}));
}

/* ---- a batch --------------------------------------------------------------------------------- */

struct entry {
    const struct register_in *in;
    struct ush_call *call;
    uint32_t arrival;                /* place in the batch */
    uint8_t person[DESK_PEOPLE_MAX]; /* by claim: which of its people */
};

struct batch {
    struct ush_tx *tx;
    size_t n;
    struct entry *entries;            /* by event, then arrival */
    struct application *applications; /* beside entries */
    struct seats_decision *decisions; /* beside entries */
    struct ush_rows seats;            /* of struct seats, ascending */
    struct ush_rows changed;          /* those of which a place was taken */
    struct numbers requests, claims, schools;
    struct seats_book book;
    const struct request_row **stored; /* by request number */
    struct key_row **holders;          /* by claim number: who has it, if stored */
    int64_t *school_taken_before;      /* by school number */
    /* To be written; room for one each of every entry. */
    struct ush_job_new *jobs;
    struct stamp *resent;
    size_t job_count, resent_count;
};

static int by_event(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->in->event_id != y->in->event_id)
        return x->in->event_id < y->in->event_id ? -1 : 1;
    return x->arrival < y->arrival ? -1 : 1;
}

static struct desk_place *people_of(const struct register_in *in)
{
    return in->people.at;
}

static int sort_calls(struct batch *b, struct ush_call *calls)
{
    b->entries = USH_NEW_N(b->tx->arena, struct entry, b->n);
    if (!b->entries)
        return USH_ELIMIT;
    for (size_t i = 0; i < b->n; i++)
        b->entries[i] = (struct entry){calls[i].in, &calls[i], (uint32_t)i, {0}};
    if (b->n > 1)
        qsort(b->entries, b->n, sizeof *b->entries, by_event);
    return 0;
}

static int number_keys(struct batch *b)
{
    struct ush_arena *arena = b->tx->arena;
    size_t people = 0;
    for (size_t i = 0; i < b->n; i++)
        people += b->entries[i].in->people.count + 1;
    b->applications = USH_NEW_N(arena, struct application, b->n);
    b->decisions = USH_NEW_N(arena, struct seats_decision, b->n);
    if (!b->applications || !b->decisions)
        return USH_ELIMIT;
    USH_TRY(numbers_init(&b->requests, arena, b->n));
    USH_TRY(numbers_init(&b->claims, arena, people));
    USH_TRY(numbers_init(&b->schools, arena, b->n));
    for (size_t i = 0; i < b->n; i++) {
        const struct register_in *in = b->entries[i].in;
        uint32_t *claims = USH_NEW_N(arena, uint32_t, in->people.count + 1), count = 0;
        if (!claims || in->people.count > DESK_PEOPLE_MAX)
            return USH_ELIMIT;
        for (size_t p = 0; p < in->people.count; p++) {
            if (!people_of(in)[p].dedupe_key.at)
                continue;
            b->entries[i].person[count] = (uint8_t)p;
            claims[count++] = number_of(&b->claims, people_of(in)[p].dedupe_key);
        }
        bool has_team = in->team_key.at != NULL;
        if (has_team)
            claims[count++] = number_of(&b->claims, in->team_key);
        b->applications[i] = (struct application){
            .request = number_of(&b->requests, in->request_key),
            .claims = claims,
            .claim_count = count,
            .has_team = has_team,
            .at_desk = in->source == SOURCE_DESK,
            .school = in->school_key.at ? number_of(&b->schools, in->school_key) : SEATS_NONE,
        };
    }
    return 0;
}

/* "[3,17]": the events of the batch, whose number is put into *ret_count. */
static ush_text events_of(const struct batch *b, size_t *ret_count)
{
    struct ush_buf ids;
    ush_buf_init(&ids, 64 + 24 * b->n);
    ush_buf_add_byte(&ids, '[');
    *ret_count = 0;
    for (size_t i = 0; i < b->n; i++) {
        int64_t event = b->entries[i].in->event_id;
        if (i > 0 && event == b->entries[i - 1].in->event_id)
            continue;
        if ((*ret_count)++)
            ush_buf_add_byte(&ids, ',');
        ush_buf_add_i64(&ids, event);
    }
    ush_buf_add_byte(&ids, ']');
    ush_text text = ids.error ? USH_NONE : ush_arena_copy(b->tx->arena, ush_buf_text(&ids));
    ush_buf_fini(&ids);
    return text;
}

static int make_book(struct batch *b)
{
    struct ush_arena *arena = b->tx->arena;
    b->book.requests = USH_NEW_N(arena, uint32_t, b->requests.count);
    b->book.claims = USH_NEW_N(arena, bool, b->claims.count + 1);
    b->book.schools = USH_NEW_N(arena, int64_t, b->schools.count + 1);
    b->school_taken_before = USH_NEW_N(arena, int64_t, b->schools.count + 1);
    b->stored = USH_NEW_N(arena, const struct request_row *, b->requests.count);
    b->holders = USH_NEW_N(arena, struct key_row *, b->claims.count + 1);
    b->jobs = USH_NEW_N(arena, struct ush_job_new, b->n);
    b->resent = USH_NEW_N(arena, struct stamp, b->n);
    if (arena->failed)
        return USH_ELIMIT;
    memset(b->book.requests, 0xff, b->requests.count * sizeof(uint32_t)); /* SEATS_NONE */
    return 0;
}

/* Marks the claims that are stored as live. */
static void note_claims(struct batch *b, const struct ush_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct key_row *row = (struct key_row *)rows->at + i;
        uint32_t number = number_of(&b->claims, row->key);
        b->book.claims[number] = true;
        b->holders[number] = row;
    }
}

static void note_requests(struct batch *b, const struct ush_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct request_row *row = (struct request_row *)rows->at + i;
        uint32_t number = number_of(&b->requests, row->key);
        b->book.requests[number] = SEATS_STORED;
        b->stored[number] = row;
    }
}

static void note_schools(struct batch *b, const struct ush_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct key_row *row = (struct key_row *)rows->at + i;
        uint32_t number = number_of(&b->schools, row->key);
        b->book.schools[number] = b->school_taken_before[number] = row->id;
    }
}

/* Locks the seats, then asks for all keys: the first round trip. */
static int lock_and_look_up(struct batch *b)
{
    USH_TRY(make_book(b));
    size_t events, n = 0;
    ush_text ids = events_of(b, &events);
    if (!ids.at)
        return USH_ELIMIT;
    struct ush_rows requests = {0}, people = {0}, teams = {0}, schools = {0};
    const struct ush_value id_list = USH_V(ids), request_keys = packed(&b->requests),
                           claim_keys = packed(&b->claims), school_keys = packed(&b->schools);
    const struct ush_record *key = &key_row_record;
    size_t claims = b->claims.count;
    bool any_team = false;
    for (size_t i = 0; i < b->n; i++)
        any_team |= b->applications[i].has_team;
    struct ush_query q[5];
    q[n++] = (struct ush_query){&sql_seats_lock, &seats_record, events, &b->seats, &id_list, 1};
    q[n++] = (struct ush_query){&sql_requests_known, &request_row_record, b->n,
                                &requests,           &request_keys,       1};
    if (claims)
        q[n++] = (struct ush_query){&sql_people_known, key, claims, &people, &claim_keys, 1};
    if (any_team)
        q[n++] = (struct ush_query){&sql_teams_known, key, claims, &teams, &claim_keys, 1};
    if (b->schools.count)
        q[n++] = (struct ush_query){&sql_schools_known, key,          b->schools.count,
                                    &schools,           &school_keys, 1};
    USH_TRY(ush_all_at_once(b->tx, q, n));
    note_requests(b, &requests);
    note_claims(b, &people);
    note_claims(b, &teams);
    note_schools(b, &schools);
    return 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static int64_t status_of(enum seats_outcome o)
{
    return o == SEATS_CONFIRMED ? REGISTRATION_CONFIRMED : REGISTRATION_WAITLISTED;
}

/* A request key that is stored: the registration as it is now. */
static void answer_stored(const struct register_in *in, const struct request_row *row,
                          struct desk_answer *out)
{
    out->registration = row->id;
    out->status = row->status;
    out->ticket_rev = row->ticket_rev;
    out->manage_rev = row->manage_rev;
    out->created_at = row->created_at;
    out->key_reused = !ush_text_equal(row->request_fp, in->request_fp);
    if (row->submit_id == in->submit_id && row->status != REGISTRATION_CANCELLED)
        out->outcome = row->status == REGISTRATION_CONFIRMED ? SEATS_CONFIRMED : SEATS_WAITLISTED;
    out->position = row->position;
}

static void answer_known(struct batch *b, const struct entry *e, const struct application *a,
                         const struct seats_decision *d, struct desk_answer *out)
{
    out->person = e->person[d->claim];
    struct key_row *holder = b->holders[a->claims[d->claim]];
    int64_t now_ms = b->tx->now_ms;
    /* Only the lead has the private link; a holder in this very batch has its mail under way. */
    if (!holder || holder->position != 0 || holder->resent_at > now_ms - RESEND_EVERY_MS)
        return;
    holder->resent_at = now_ms;
    b->resent[b->resent_count++] = (struct stamp){.id = holder->id, .at = now_ms};
    b->jobs[b->job_count++] = mail_job(MAIL_RESEND, holder->id, now_ms);
    out->resent = true;
}

/* `first` is the entry of the same event that the decisions of this event count from. */
static void answer(struct batch *b, size_t i, size_t first, const struct seats *seats)
{
    const struct entry *e = &b->entries[i];
    const struct seats_decision *d = &b->decisions[i];
    struct desk_answer *out = e->call->out;
    *out = (struct desk_answer){.outcome = d->outcome,
                                .opens_at = seats->opens_at,
                                .closes_at = seats->closes_at,
                                .school_limit = seats->school_limit,
                                .decided_at = b->tx->now_ms};
    switch (d->outcome) {
    case SEATS_CONFIRMED:
    case SEATS_WAITLISTED:
        out->registration = registration_make_id(e->in->event_id, d->seq);
        out->status = status_of(d->outcome);
        out->position = d->position;
        out->ticket_rev = out->manage_rev = 1;
        out->created_at = b->tx->now_ms;
        break;
    case SEATS_REPLAYED:
        if (d->made_by == SEATS_STORED) {
            answer_stored(e->in, b->stored[b->applications[i].request], out);
            break;
        }
        *out = *(struct desk_answer *)b->entries[first + d->made_by].call->out;
        out->outcome = SEATS_REPLAYED;
        out->key_reused =
            !ush_text_equal(b->entries[first + d->made_by].in->request_fp, e->in->request_fp);
        break;
    case SEATS_ALREADY_REGISTERED:
        answer_known(b, e, &b->applications[i], d, out);
        break;
    default:
        break;
    }
}

/* Nobody is in the event of entries `from` to `end`, so its rules may not be those by which they
 * were checked. 1 if so: they are sent back. */
static int are_outdated(struct batch *b, size_t from, size_t end)
{
    struct event e = {0};
    bool is_other = false;
    USH_TRY(ush_one(b->tx, &sql_event_by_id, &event_record, &e,
                    USH_VALUES(b->entries[from].in->event_id)));
    for (size_t i = from; i < end; i++)
        is_other |= b->entries[i].in->version != e.version;
    for (size_t i = from; i < end && is_other; i++) {
        struct desk_answer *out = b->entries[i].call->out;
        out->outcome = b->decisions[i].outcome = SEATS_CLOSED;
        out->is_outdated = true;
    }
    return is_other;
}

static int decide(struct batch *b)
{
    b->changed.at = USH_NEW_N(b->tx->arena, struct seats, b->seats.count + 1);
    if (!b->changed.at)
        return USH_ELIMIT;
    const struct seats *end = (struct seats *)b->seats.at + b->seats.count;
    struct seats *seats = b->seats.at;
    for (size_t i = 0, next; i < b->n; i = next) {
        int64_t event = b->entries[i].in->event_id;
        for (next = i + 1; next < b->n && b->entries[next].in->event_id == event;)
            next++;
        while (seats < end && seats->event_id < event)
            seats++;
        if (seats == end || seats->event_id != event) {
            for (size_t k = i; k < next; k++) {
                b->entries[k].call->result = USH_ENOTFOUND;
                b->decisions[k].outcome = SEATS_CLOSED;
            }
            continue;
        }
        int64_t before = seats->next_seq;
        int outdated = before == 1 ? are_outdated(b, i, next) : 0;
        USH_TRY(outdated);
        if (outdated)
            continue;
        if (!USH_HAS(seats, seats_school_limit))
            for (size_t k = i; k < next; k++)
                b->applications[k].school = SEATS_NONE;
        seats_decide(seats, &b->book, b->tx->now_ms, b->applications + i, next - i,
                     b->decisions + i);
        for (size_t k = i; k < next; k++)
            answer(b, k, i, seats);
        if (seats->next_seq != before)
            ((struct seats *)b->changed.at)[b->changed.count++] = *seats;
    }
    return 0;
}

/* ---- rows of a batch ------------------------------------------------------------------------- */

static bool is_made(const struct seats_decision *d)
{
    return d->outcome == SEATS_CONFIRMED || d->outcome == SEATS_WAITLISTED;
}

static struct new_registration registration_row(const struct entry *e,
                                                const struct seats_decision *d, int64_t now_ms)
{
    const struct register_in *in = e->in;
    struct new_registration r = {
        .id = registration_make_id(in->event_id, d->seq),
        .status = status_of(d->outcome),
        .request_key = in->request_key,
        .request_fp = in->request_fp,
        .submit_id = in->submit_id,
        .source = in->source,
        .guardian_ok = in->guardian_ok,
        .created_at = now_ms,
        .grade = in->grade,
        .school = in->school,
        .school_key = in->school_key,
        .phone = in->phone,
        .team_name = in->team_name,
        .team_key = in->team_key,
        .answers = in->answers,
    };
    if (USH_HAS(in, register_in_grade))
        USH_SET(&r, new_registration_grade);
    return r;
}

static int insert(struct batch *b)
{
    struct ush_arena *arena = b->tx->arena;
    size_t made = 0, people = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (!is_made(&b->decisions[i]))
            continue;
        made++;
        people += b->entries[i].in->people.count;
    }
    if (!made)
        return 0;
    struct new_registration *rows = USH_NEW_N(arena, struct new_registration, made);
    struct new_participant *persons = USH_NEW_N(arena, struct new_participant, people);
    if (!rows || !persons)
        return USH_ELIMIT;
    made = people = 0;
    for (size_t i = 0; i < b->n; i++) {
        const struct seats_decision *d = &b->decisions[i];
        if (!is_made(d))
            continue;
        const struct register_in *in = b->entries[i].in;
        rows[made] = registration_row(&b->entries[i], d, b->tx->now_ms);
        b->jobs[b->job_count++] =
            mail_job(d->outcome == SEATS_CONFIRMED ? MAIL_TICKET : MAIL_WAITLISTED, rows[made].id,
                     b->tx->now_ms);
        for (size_t p = 0; p < in->people.count; p++)
            persons[people++] = (struct new_participant){
                .registration_id = rows[made].id,
                .position = (int64_t)p,
                .name = people_of(in)[p].name,
                .email = people_of(in)[p].email,
                .dedupe_key = people_of(in)[p].dedupe_key,
            };
        made++;
    }
    USH_TRY(
        ush_exec_rows_later(b->tx, &sql_registration_insert, &new_registration_record, rows, made));
    return ush_exec_rows_later(b->tx, &sql_participant_insert, &new_participant_record, persons,
                               people);
}

static int update_schools(struct batch *b)
{
    struct school_more *rows = USH_NEW_N(b->tx->arena, struct school_more, b->n);
    size_t count = 0;
    if (!rows)
        return USH_ELIMIT;
    for (size_t i = 0; i < b->n; i++) {
        const struct application *a = &b->applications[i];
        if (a->school == SEATS_NONE)
            continue;
        int64_t more = b->book.schools[a->school] - b->school_taken_before[a->school];
        if (more <= 0)
            continue;
        rows[count++] = (struct school_more){.key = b->entries[i].in->school_key,
                                             .event_id = b->entries[i].in->event_id,
                                             .more = more};
        b->school_taken_before[a->school] += more;
    }
    return ush_exec_rows_later(b->tx, &sql_school_take, &school_more_record, rows, count);
}

/* Travels with the COMMIT: the second round trip. */
static int write_all(struct batch *b)
{
    USH_TRY(insert(b));
    USH_TRY(update_schools(b));
    USH_TRY(ush_exec_rows_later(b->tx, &sql_registration_resent, &stamp_record, b->resent,
                                b->resent_count));
    USH_TRY(ush_jobs_put(b->tx, b->jobs, b->job_count));
    return ush_exec_rows_later(b->tx, &sql_seats_update, &seats_record, b->changed.at,
                               b->changed.count);
}

static int register_many(struct ush_tx *tx, struct ush_call *calls, size_t n)
{
    struct batch b = {.tx = tx, .n = n};
    USH_TRY(sort_calls(&b, calls));
    USH_TRY(number_keys(&b));
    USH_TRY(lock_and_look_up(&b));
    USH_TRY(decide(&b));
    return write_all(&b);
}

/* Two batches about one event would wait for each other at its gate. */
static int64_t event_of_call(const void *in)
{
    return ((const struct register_in *)in)->event_id;
}

const struct ush_operation op_register = {
    .name = "register",
    .in = &register_in_record,
    .out = &desk_answer_record,
    .run_many = register_many,
    .key = event_of_call,
};
