/*
 * people.c - reading registrations, correcting them, and sending the private link again.
 *
 * Invariants of a correction:
 *  1. Names are not in the ticket, so the ticket stays good.
 *  2. Person, team and school keys follow the new details in the same transaction. If the new
 *     person or team is registered already, nothing has changed.
 *  3. A new address of the lead raises manage_rev: the link that went to the old one is dead. Mails
 *     that have not gone out yet go to the new one.
 *  4. Who has come in is stored by position and follows the person: whoever leaves a team takes it
 *     away, and whoever takes their position has not come in.
 */
#include "domain/people.h"

#include "domain/checkin.h"
#include "domain/form.h"
#include "domain/mails.h"
#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(participant, PARTICIPANT_FIELDS)
USH_RECORD_DEFINE(registration, REGISTRATION_FIELDS)
USH_RECORD_DEFINE(resend, RESEND_FIELDS)

#define MAIL_ROW_FIELDS(F, R) F(R, I64, state) F(R, TIME, ended_at) F(R, TEXT, note)
USH_RECORD(mail_row, MAIL_ROW_FIELDS)
USH_RECORD_DEFINE(mail_row, MAIL_ROW_FIELDS)

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    int64_t id;
    struct ush_arena *arena;
    struct registration_view *view;
};

static int read_one(struct ush_tx *view, void *arg)
{
    struct reading *r = arg;
    struct registration_view *v = r->view;
    struct ush_rows rows;
    struct mail_row mail;
    int found = ush_one(view, &sql_registration_one, &registration_record, &v->registration,
                        USH_VALUES(r->id));
    if (found <= 0)
        return found < 0 ? found : USH_ENOTFOUND;
    USH_TRY(row_keep(&registration_record, &v->registration, r->arena));
    USH_TRY(ush_all(view, &sql_participants_of, &participant_record, DESK_PEOPLE_MAX, &rows,
                    USH_VALUES(r->id)));
    v->people_count = rows.count;
    v->people = USH_NEW_N(r->arena, struct participant, rows.count + 1);
    if (!v->people)
        return USH_ELIMIT;
    for (size_t i = 0; i < rows.count; i++) {
        v->people[i] = ((struct participant *)rows.at)[i];
        USH_TRY(row_keep(&participant_record, &v->people[i], r->arena));
    }
    if (v->registration.status == REGISTRATION_WAITLISTED)
        USH_TRY(waiting_position(view, r->id, &v->waitlist_position));
    found = ush_one(view, &sql_mail_of, &mail_row_record, &mail, USH_VALUES(r->id));
    USH_TRY(found);
    v->mail_state = -1;
    if (found == 0)
        return 0;
    v->mail_state = mail.state;
    v->mail_at = USH_HAS(&mail, mail_row_ended_at) ? mail.ended_at : 0;
    v->mail_note = mail.note.at ? ush_arena_copy(r->arena, mail.note) : USH_T("");
    return 0;
}

int registration_read(struct ush_db *db, int64_t id, struct ush_arena *arena,
                      struct registration_view *ret)
{
    *ret = (struct registration_view){0};
    struct reading r = {id, arena, ret};
    return ush_read(db, read_one, &r);
}

int registration_open(struct fest *f, ush_text manage_token, struct ush_arena *arena,
                      struct registration_view *ret)
{
    struct manage_token token;
    if (manage_token_parse(manage_token, &token) < 0)
        return USH_ENOTFOUND;
    USH_TRY(registration_read(f->db, token.id, arena, ret));
    return manage_token_fits(&f->keys, &token, ret->registration.manage_rev) ? 0 : USH_ENOTFOUND;
}

/* "%text%" with the wildcards of LIKE escaped; empty for no text. The database puts it into lower
 * case as it does the names: not each knows letters beyond ASCII. */
static ush_text pattern_of(ush_text text, struct ush_arena *arena)
{
    if (!text.len)
        return USH_T("");
    char *at = ush_arena_alloc(arena, 2 * text.len + 3);
    size_t n = 0;
    if (!at)
        return USH_NONE;
    at[n++] = '%';
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '%' || text.at[i] == '_' || text.at[i] == '\\')
            at[n++] = '\\';
        at[n++] = text.at[i];
    }
    at[n++] = '%';
    return (ush_text){at, n};
}

struct listing {
    const struct registration_filter *filter;
    struct ush_arena *arena;
    struct ush_rows *ret;
};

static int read_list(struct ush_tx *view, void *arg)
{
    struct listing *l = arg;
    const struct registration_filter *f = l->filter;
    int64_t from = f->event ? registration_make_id(f->event, 0) : 0;
    int64_t end = f->event ? registration_make_id(f->event + 1, 0) : INT64_MAX;
    int64_t limit = f->limit ? (int64_t)f->limit : 200;
    ush_text pattern = pattern_of(f->text, view->arena);
    struct ush_rows rows;
    if (f->after_id > from)
        from = f->after_id;
    USH_TRY(ush_all(view, &sql_registrations_some, &registration_record, (size_t)limit, &rows,
                    USH_VALUES(from, end, f->status, pattern, limit)));
    struct registration *at = USH_NEW_N(l->arena, struct registration, rows.count + 1);
    if (!at)
        return USH_ELIMIT;
    for (size_t i = 0; i < rows.count; i++) {
        at[i] = ((struct registration *)rows.at)[i];
        USH_TRY(row_keep(&registration_record, &at[i], l->arena));
    }
    *l->ret = (struct ush_rows){at, rows.count};
    return (int)rows.count;
}

int registrations_list(struct ush_db *db, const struct registration_filter *filter,
                       struct ush_arena *arena, struct ush_rows *ret)
{
    struct listing l = {filter, arena, ret};
    return ush_read(db, read_list, &l);
}

/* ---- corrections ----------------------------------------------------------------------------- */

#define EDIT_FIELDS(F, R)                                                                          \
    F(R, I64, registration)                                                                        \
    F(R, ONE, form, .of = &register_in_record)                                                     \
    F(R, BOOL, by_organiser)                                                                       \
    F(R, TEXT, actor, .max = 120)                                                                  \
    F(R, I64, once, .doc = "Random: run again, it changes nothing more")
USH_RECORD(edit, EDIT_FIELDS)
USH_RECORD_DEFINE(edit, EDIT_FIELDS)

struct correction {
    int64_t registration;
    const struct register_in *form;
    const struct seat_row *row;
    const struct seats *seats;
    struct ush_rows old; /* of struct participant: the people as they are stored */
    int64_t manage_rev;
    struct change_result *out;
};

/* Moves the count from the old school to the new one. USH_ECONFLICT when that one is full. */
static int move_school(struct ush_tx *tx, const struct correction *c)
{
    ush_text old = c->row->school_key, new = c->form->school_key;
    struct ush_rows rows;
    if (!USH_HAS(c->seats, seats_school_limit) || ush_text_equal(old, new))
        return 0;
    if (old.at)
        USH_TRY(ush_exec_later(tx, &sql_school_give, USH_VALUES(USH_BYTES(old))));
    if (!new.at)
        return 0;
    const struct school_more more = {.key = new, .event_id = c->seats->event_id, .more = 1};
    USH_TRY(ush_exec_rows_later(tx, &sql_school_take, &school_more_record, &more, 1));
    USH_TRY(ush_all(tx, &sql_schools_known, &key_row_record, 1, &rows, USH_VALUES(USH_BYTES(new))));
    const struct key_row *known = rows.at;
    if (rows.count && known->id <= c->seats->school_limit)
        return 0;
    c->out->outcome = CHANGE_REFUSED;
    c->out->text = USH_T("This school has no place left in the event");
    USH_SET(c->out, change_result_text);
    return USH_ECONFLICT;
}

/* By what somebody is known to have been in the registration before; the surest first. */
enum known_by { BY_BOTH, BY_ADDRESS, BY_NAME, BY_POSITION, KNOWN_BY };

static bool is_known(enum known_by by, const struct participant *old, const struct desk_place *new)
{
    bool has_two = old->email.len && new->email.len;
    bool same_name = ush_text_equal(old->name, new->name);
    bool same_address = has_two && ush_text_equal_nocase(old->email, new->email);
    switch (by) {
    case BY_BOTH:
        return same_name && (same_address || (!old->email.len && !new->email.len));
    case BY_ADDRESS:
        return same_address;
    case BY_NAME:
        return same_name;
    default: /* the name is corrected; who was erased is nobody */
        return old->name.len && !has_two;
    }
}

/* Finds for each of the people who of those stored it is, or NULL. */
static void recognise(const struct correction *c, const struct participant **ret)
{
    const struct desk_place *new = c->form->people.at;
    const struct participant *old = c->old.at;
    bool is_taken[DESK_PEOPLE_MAX] = {false};
    for (enum known_by by = 0; by < KNOWN_BY; by++)
        for (size_t i = 0; i < c->form->people.count; i++)
            for (size_t k = 0; k < c->old.count && !ret[i]; k++)
                if (!is_taken[k] && is_known(by, &old[k], &new[i]) &&
                    (by != BY_POSITION || old[k].position == (int64_t)i)) {
                    ret[i] = &old[k];
                    is_taken[k] = true;
                }
}

/* The registration's row is locked, so nobody comes in meanwhile. */
static int move_attendance(struct ush_tx *tx, const struct correction *c)
{
    const struct participant *was[DESK_PEOPLE_MAX] = {NULL};
    struct ush_rows in;
    USH_TRY(ush_all(tx, &sql_attendance_of, &attendance_record, DESK_PEOPLE_MAX, &in,
                    USH_VALUES(c->registration)));
    const struct attendance *a = in.at;
    if (!in.count)
        return 0;
    recognise(c, was);
    USH_TRY(ush_exec_later(tx, &sql_attendance_delete, USH_VALUES(c->registration, EVERYBODY)));
    for (size_t i = 0; i < c->form->people.count; i++)
        for (size_t k = 0; k < in.count; k++)
            if (was[i] && was[i]->position == a[k].position)
                USH_TRY(
                    ush_exec_later(tx, &sql_attendance_insert,
                                   USH_VALUES(c->registration, (int64_t)i, a[k].at, a[k].gate)));
    return 0;
}

static int write_correction(struct ush_tx *tx, void *arg)
{
    const struct correction *c = arg;
    const struct register_in *f = c->form;
    const struct desk_place *p = f->people.at;
    struct new_participant persons[DESK_PEOPLE_MAX];
    assert(f->people.count <= DESK_PEOPLE_MAX);
    for (size_t i = 0; i < f->people.count; i++)
        persons[i] = (struct new_participant){.registration_id = c->registration,
                                              .position = (int64_t)i,
                                              .name = p[i].name,
                                              .email = p[i].email,
                                              .dedupe_key = p[i].dedupe_key};
    USH_TRY(move_school(tx, c));
    USH_TRY(ush_exec_later(
        tx, &sql_registration_edit,
        USH_VALUES(c->registration, f->school, USH_BYTES(f->school_key), f->phone,
                   USH_HAS(f, register_in_grade) ? ush_value_i64(f->grade) : USH_NULL, f->team_name,
                   USH_BYTES(f->team_key), c->manage_rev, tx->now_ms, f->answers)));
    USH_TRY(ush_exec_later(tx, &sql_participants_delete, USH_VALUES(c->registration)));
    USH_TRY(ush_exec_rows_later(tx, &sql_participant_insert, &new_participant_record, persons,
                                f->people.count));
    return move_attendance(tx, c);
}

/* Reads what a change of one registration needs: 1, or 0 with the outcome in `out`. */
static int find(struct ush_tx *tx, int64_t registration, struct locked *ret,
                struct change_result *out)
{
    int found = places_lock(tx, registration_event_of(registration), registration, ret);
    USH_TRY(found);
    out->outcome = found == 0                                  ? CHANGE_NOT_FOUND
                   : ret->row.status == REGISTRATION_CANCELLED ? CHANGE_DEAD
                                                               : CHANGE_DONE;
    out->manage_rev = found ? ret->row.manage_rev : 0;
    out->taken = found ? ret->seats.taken : 0;
    return out->outcome == CHANGE_DONE;
}

/* The lead's address differs from the stored one. */
static bool address_changes(const struct correction *c)
{
    const struct desk_place *lead = c->form->people.at;
    const struct participant *stored = c->old.at;
    return !c->old.count || !ush_text_equal(stored->email, lead->email);
}

static int edit_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct edit *in = input;
    struct change_result *out = output;
    struct locked l;
    int go = find(tx, in->registration, &l, out);
    if (go <= 0)
        return go;
    int before = marked_on(tx, in->registration, in->once);
    if (before != 0)
        return before < 0 ? before : 0;
    if (!in->by_organiser && tx->now_ms >= l.event.edit_until) {
        out->outcome = CHANGE_TOO_LATE;
        out->until = l.event.edit_until;
        USH_SET(out, change_result_until);
        return 0;
    }
    struct correction c = {in->registration, in->form, &l.row, &l.seats, .out = out};
    USH_TRY(ush_all(tx, &sql_participants_of, &participant_record, DESK_PEOPLE_MAX, &c.old,
                    USH_VALUES(in->registration)));
    bool moved = address_changes(&c);
    c.manage_rev = l.row.manage_rev + moved;
    int rc = ush_savepoint(tx, write_correction, &c);
    if (rc == USH_ECONFLICT) {
        if (out->outcome != CHANGE_REFUSED)
            out->outcome = CHANGE_DUPLICATE;
        return 0;
    }
    USH_TRY(rc);
    out->manage_rev = c.manage_rev;
    if (moved) {
        /* A mail that is tried again goes to the new address. */
        USH_TRY(ush_exec_later(tx, &sql_jobs_anew,
                               USH_VALUES(in->registration, (int64_t)MAILS_UNSENT)));
        struct ush_job_new job = mail_job(MAIL_RESEND, in->registration, tx->now_ms);
        USH_TRY(ush_jobs_put(tx, &job, 1));
    }
    ush_text what = moved ? USH_T("address") : USH_T("");
    return audit(tx, &(struct audit_entry){in->actor, "edit", l.event.id, in->registration,
                                           marked(tx->arena, what, in->once)});
}

const struct ush_operation op_edit = {
    .name = "edit",
    .in = &edit_record,
    .out = &change_result_record,
    .run = edit_run,
};

int registration_edit(struct fest *f, const struct edit_request *rq, struct ush_arena *arena,
                      struct ush_faults *faults, struct change_result *ret)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct register_in form;
    USH_TRY(events_take(f, &list));
    const struct event_entry *e = event_find_id(list, registration_event_of(rq->registration));
    if (!e)
        return USH_ENOTFOUND;
    USH_TRY(form_keys(f, e, &rq->form, arena, &form));
    USH_TRY(form_check(e, &rq->form, &form, faults));
    struct edit in = {.registration = rq->registration,
                      .form = &form,
                      .by_organiser = rq->by_organiser,
                      .actor = rq->actor};
    ush_random(&in.once, sizeof in.once);
    return fest_change(f, &op_edit, &in, ret, arena);
}

/* ---- sending again --------------------------------------------------------------------------- */

static int resend_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct resend *in = input;
    struct change_result *out = output;
    struct locked l;
    int go = find(tx, in->registration, &l, out);
    if (go <= 0)
        return go;
    int64_t next = USH_HAS(&l.row, seat_row_resent_at) ? l.row.resent_at + RESEND_EVERY_MS : 0;
    if (tx->now_ms < next) {
        int before = marked_on(tx, in->registration, in->once);
        if (before != 0)
            return before < 0 ? before : 0;
    }
    if (!in->force && tx->now_ms < next) {
        out->outcome = CHANGE_TOO_SOON;
        out->until = next;
        USH_SET(out, change_result_until);
        return 0;
    }
    out->manage_rev += in->new_link != 0;
    USH_TRY(ush_exec_later(
        tx, &sql_registration_resend,
        USH_VALUES(in->registration, tx->now_ms, out->manage_rev, (int64_t)(in->new_ticket != 0))));
    struct ush_job_new job = mail_job(MAIL_RESEND, in->registration, tx->now_ms);
    USH_TRY(ush_jobs_put(tx, &job, 1));
    ush_text what = in->new_ticket ? USH_T("new ticket")
                    : in->new_link ? USH_T("new link")
                                   : USH_T("");
    return audit(tx, &(struct audit_entry){in->actor, "resend", l.event.id, in->registration,
                                           marked(tx->arena, what, in->once)});
}

const struct ush_operation op_resend = {
    .name = "resend",
    .in = &resend_record,
    .out = &change_result_record,
    .run = resend_run,
};

int registration_resend(struct fest *f, struct resend *in, struct ush_arena *arena,
                        struct change_result *ret)
{
    ush_random(&in->once, sizeof in->once);
    return fest_change(f, &op_resend, in, ret, arena);
}

enum { FOUND_MAX = 100 };
struct finding_people {
    ush_text low, high; /* per event the first and the last key of the address, 16 bytes each */
    int64_t found[FOUND_MAX];
    int count;
};

static int find_people(struct ush_tx *view, void *arg)
{
    struct finding_people *f = arg;
    struct ush_rows rows;
    f->count = ush_all(view, &sql_people_of_address, &number_record, FOUND_MAX, &rows,
                       USH_VALUES(USH_BYTES(f->low), USH_BYTES(f->high), FOUND_MAX));
    for (int i = 0; i < f->count; i++)
        f->found[i] = ((struct number *)rows.at)[i].number;
    return f->count;
}

int registrations_resend_to(struct fest *f, ush_text email, struct ush_arena *arena)
{
    struct event_list *list EVENTS_HELD = NULL;
    USH_TRY(events_take(f, &list));
    char *low = ush_arena_alloc(arena, list->count * KEY_BYTES + 1);
    char *high = ush_arena_alloc(arena, list->count * KEY_BYTES + 1);
    size_t n = 0;
    if (!low || !high)
        return USH_ELIMIT;
    for (size_t i = 0; i < list->count; i++) {
        ush_text key = form_person_key(f, &list->at[i].event, USH_T(""), email, arena);
        if (!key.at)
            continue;
        memset(memcpy(low + n, key.at, KEY_BYTES) + KEY_BYTES / 2, 0, KEY_BYTES / 2);
        memset(memcpy(high + n, key.at, KEY_BYTES) + KEY_BYTES / 2, 0xff, KEY_BYTES / 2);
        n += KEY_BYTES;
    }
    struct finding_people found = {.low = {low, n}, .high = {high, n}};
    USH_TRY(n ? ush_read(f->db, find_people, &found) : 0);
    for (int i = 0; i < found.count; i++) {
        struct resend in = {.registration = found.found[i], .actor = USH_T("find")};
        struct change_result out;
        USH_TRY(registration_resend(f, &in, arena, &out));
    }
    return 0;
}
