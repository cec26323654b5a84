/*
 * erase.c - forgetting people (erase.h).
 *
 * Invariants:
 *  1. One transaction overwrites all that the tables hold about a registration. Whatever sends a
 *     mail about it at that moment loses its claim by the same statement: it can store nothing.
 *  2. Erasing twice changes nothing.
 *  3. Files follow from job rows, which stay, so a removal that was cut short can be done again.
 *
 * Not reached from here: a database's own log and backups, which `docs/operate.md` speaks of.
 */
#include "domain/erase.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "domain/mails.h"
#include "domain/people.h"
#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(erase, ERASE_FIELDS)
USH_RECORD_DEFINE(mail_job_row, MAIL_JOB_FIELDS)

USH_RECORD_DEFINE(place_of, PLACE_OF_FIELDS)

enum { DAY_MS = 86400000, AT_ONCE = 500 };

/* ---- the operation --------------------------------------------------------------------------- */

/* Where the address stands at this moment: a correction may have moved it since it was looked for.
 * -1 when it is nowhere. */
static int position_of(struct ush_tx *tx, const struct erase *in, int64_t *ret)
{
    struct ush_rows rows;
    USH_TRY(ush_all(tx, &sql_participants_of, &participant_record, DESK_PEOPLE_MAX, &rows,
                    USH_VALUES(in->registration)));
    const struct participant *p = rows.at;
    *ret = -1;
    for (size_t i = rows.count; i-- > 0;)
        if (p[i].email.len && ush_text_equal(p[i].email, in->email))
            *ret = p[i].position;
    return 0;
}

static int erase_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct erase *in = input;
    struct change_result *out = output;
    struct locked l;
    int64_t position = in->position;
    int64_t event = registration_event_of(in->registration);
    int found = places_lock(tx, event, in->registration, &l);
    USH_TRY(found);
    int before = found ? marked_on(tx, in->registration, in->once) : 0;
    USH_TRY(before);
    out->outcome = !found                       ? CHANGE_NOT_FOUND
                   : l.row.erased_at && !before ? CHANGE_NOTHING
                                                : CHANGE_DONE;
    if (before || out->outcome != CHANGE_DONE)
        return 0;
    if (in->email.at)
        USH_TRY(position_of(tx, in, &position));
    if (in->email.at && position < 0) {
        out->outcome = CHANGE_NOTHING;
        return 0;
    }
    bool one = position > 0;
    if (!one && l.row.status != REGISTRATION_CANCELLED)
        USH_TRY(out->promoted = place_give_back(tx, &l, in->registration, USH_T("erased")));
    USH_TRY(ush_exec_later(tx, &sql_participants_erase,
                           USH_VALUES(in->registration, one ? position : -1)));
    /* A mail of the lead may name a member; one that has not gone out does so without the name. */
    if (one)
        USH_TRY(
            ush_exec_later(tx, &sql_jobs_anew, USH_VALUES(in->registration, (int64_t)MAILS_ALL)));
    else
        USH_TRY(ush_exec_later(tx, &sql_jobs_erase,
                               USH_VALUES(in->registration, tx->now_ms, USH_BYTES(USH_T("")))));
    USH_TRY(ush_exec_later(tx, &sql_scans_erase, USH_VALUES(in->registration)));
    if (!one)
        USH_TRY(
            ush_exec_later(tx, &sql_registration_erase, USH_VALUES(in->registration, tx->now_ms)));
    out->taken = l.seats.taken;
    ush_text what = one ? USH_T("a member") : USH_T("");
    return audit(tx, &(struct audit_entry){in->actor, "erase", event, in->registration,
                                           marked(tx->arena, what, in->once)});
}

const struct ush_operation op_erase = {
    .name = "erase",
    .in = &erase_record,
    .out = &change_result_record,
    .run = erase_run,
};

/* ---- files ----------------------------------------------------------------------------------- */

struct removal {
    const struct fest *fest;
    const char *folder;
    const struct mail_job_row *mails;
    size_t count;
};

/* In a thread. */
static int remove_files(void *arg)
{
    const struct removal *r = arg;
    for (size_t i = 0; i < r->count; i++) {
        char id[PUBLIC_ID_CHARS + 1], path[PATH_MAX];
        mail_id_format(&r->fest->keys, r->mails[i].id, r->mails[i].created_at, id);
        if ((size_t)snprintf(path, sizeof path, "%s/%.*s.%s.eml", r->folder,
                             USH_PR(r->mails[i].kind), id) < sizeof path &&
            unlink(path) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

int registration_mails(struct fest *f, int64_t registration, struct ush_arena *arena,
                       struct ush_rows *ret)
{
    const struct ush_value values[] = {USH_V(registration)};
    const struct asking a = {&sql_jobs_of, &mail_job_row_record, values, 1, arena, NULL, ret};
    return rows_read(f->db, &a);
}

int registration_erase(struct fest *f, const struct erase *in, struct change_result *ret,
                       struct ush_arena *arena)
{
    struct ush_rows mails;
    const char *folder = settings_outbox(f->settings);
    struct erase asked = *in;
    ush_random(&asked.once, sizeof asked.once);
    USH_TRY(fest_change(f, &op_erase, &asked, ret, arena));
    if (!folder || ret->outcome == CHANGE_NOT_FOUND)
        return 0;
    USH_TRY(registration_mails(f, in->registration, arena, &mails));
    struct removal r = {f, folder, mails.at, mails.count};
    return ush_offload(ush_blocking_pool(), remove_files, &r);
}

/* ---- many ------------------------------------------------------------------------------------ */

static ush_text key_of(ush_text email, struct ush_arena *arena)
{
    return ush_email_key(email, &(struct ush_email_options){0}, arena);
}

/* Databases fold the case of ASCII at best, so domains are compared here: an address is stored as
 * it was typed, and a domain can be typed in several ways. */
int person_places(struct fest *f, ush_text email, struct ush_arena *arena, struct ush_rows *ret)
{
    ush_text key = key_of(ush_text_trim(email), arena);
    const ush_text start = {key.at, (size_t)(ush_text_find(key, '@') + 1)};
    const struct ush_value values[] = {USH_V(start)};
    const struct asking a = {&sql_people_of_email, &place_of_record, values, 1, arena, NULL, ret};
    *ret = (struct ush_rows){0};
    if (!key.at)
        return 0;
    USH_TRY(rows_read(f->db, &a));
    struct place_of *p = ret->at;
    size_t n = 0;
    for (size_t i = 0; i < ret->count; i++)
        if (ush_text_equal(key_of(p[i].email, arena), key))
            p[n++] = p[i];
    ret->count = n;
    return 0;
}

int person_erase(struct fest *f, ush_text email, ush_text actor, struct ush_arena *arena)
{
    struct ush_rows rows;
    struct change_result result;
    int n = 0;
    USH_TRY(person_places(f, email, arena, &rows));
    for (size_t i = 0; i < rows.count; i++) {
        const struct place_of *p = (const struct place_of *)rows.at + i;
        const struct erase in = {
            .registration = p->registration_id, .email = p->email, .actor = actor};
        USH_TRY(registration_erase(f, &in, &result, arena));
        n += result.outcome == CHANGE_DONE;
    }
    return n;
}

struct due {
    int64_t before_ms, count;
    struct ush_arena *arena; /* NULL: only counts */
    struct ush_rows rows;
};

static int read_due(struct ush_tx *view, void *arg)
{
    struct due *d = arg;
    const struct ush_value values[] = {USH_V(d->before_ms), USH_V(AT_ONCE)};
    const struct asking a = {&sql_erase_due, &number_record, values, 2, d->arena, NULL, &d->rows};
    return d->arena ? rows_view(view, &a)
                    : number_read(view, &sql_erase_due_count, &d->count, USH_VALUES(d->before_ms));
}

int erase_due(struct fest *f, int64_t days, int64_t *ret)
{
    struct due d = {.before_ms = ush_wall_ms() - days * DAY_MS};
    USH_TRY(ush_read(f->db, read_due, &d));
    *ret = d.count;
    return 0;
}

int erase_overdue(struct fest *f, int64_t days, ush_text actor, struct ush_arena *arena)
{
    struct change_result result;
    int n = 0;
    for (;;) {
        struct ush_arena_mark mark = ush_arena_mark(arena);
        struct due d = {.before_ms = ush_wall_ms() - days * DAY_MS, .arena = arena};
        USH_TRY(ush_read(f->db, read_due, &d));
        for (size_t i = 0; i < d.rows.count; i++) {
            const struct erase in = {.registration = ((struct number *)d.rows.at)[i].number,
                                     .actor = actor};
            USH_TRY(registration_erase(f, &in, &result, arena));
            n += result.outcome == CHANGE_DONE;
        }
        ush_arena_rewind(arena, mark);
        if (d.rows.count < AT_ONCE)
            return n;
    }
}
