/*
 * verify.c - rows recounted against counters.
 *
 * One table: each check is a statement that returns a row per fault, with its subject, what was
 * expected and what was found. All are asked in one view, so a server that is taking registrations
 * meanwhile is no source of false findings.
 */
#include "domain/verify.h"

#include "domain/places.h"

#include "gen/sql.h"

USH_RECORD_DEFINE(finding, FINDING_FIELDS)

enum { FINDINGS_MAX = 1000 };

#define FAULT_ROW_FIELDS(F, R) F(R, TEXT, subject) F(R, I64, expected) F(R, I64, found)
USH_RECORD(fault_row, FAULT_ROW_FIELDS)
USH_RECORD_DEFINE(fault_row, FAULT_ROW_FIELDS)

#define TOTALS_FIELDS(F, R)                                                                        \
    F(R, I64, events)                                                                              \
    F(R, I64, registrations)                                                                       \
    F(R, I64, participants)                                                                        \
    F(R, I64, mails)                                                                               \
    F(R, I64, mails_waiting)                                                                       \
    F(R, I64, mails_dead) F(R, I64, mails_held) F(R, TIME, oldest_due, .optional = true)
USH_RECORD(totals, TOTALS_FIELDS)
USH_RECORD_DEFINE(totals, TOTALS_FIELDS)

static_assert(USH_JOBS_KEEP_MS == 2592000000, "sql/verify_mail.sql counts on it");

static const struct check {
    const char *name;
    const struct ush_statement *statement;
    const char *text; /* with %lld for expected, then found */
    bool asks_time;   /* $1 is now */
} checks[] = {
    {"taken", &sql_verify_taken, "taken says %lld, confirmed registrations are %lld"},
    {"waiting", &sql_verify_waiting, "waiting says %lld, waitlisted registrations are %lld"},
    {"overbooked", &sql_verify_overbooked, "%lld places, %lld confirmed registrations"},
    {"sequence", &sql_verify_sequence, "%lld registrations were numbered, %lld are there"},
    {"overtaken", &sql_verify_overtaken,
     "number %lld still waits, and number %lld came later and was confirmed at once"},
    {"idle_place", &sql_verify_idle, "%lld places are free while %lld wait", true},
    {"school", &sql_verify_school, "a school's counter says %lld, its live registrations are %lld"},
    {"lead", &sql_verify_lead, "%lld lead is expected, %lld are there"},
    {"orphan", &sql_verify_orphan,
     "a participant of a registration that is not there (%lld, %lld)"},
    {"event", &sql_verify_event, "a registration of event %lld, which is not there (%lld)"},
    {"duplicate", &sql_verify_duplicate, "one person in %lld registration expected, found in %lld"},
    {"dead_key", &sql_verify_dead_key, "a cancelled registration holds %lld keys; found %lld"},
    {"mail", &sql_verify_mail, "%lld first mail is expected, %lld are there", true},
    {"mail_orphan", &sql_verify_mail_orphan,
     "a mail about a registration that is not there (%lld, %lld)"},
};

struct verifying {
    const struct verify_options *o;
    struct ush_arena *arena;
    struct verify_result *ret;
};

static int run_check(struct ush_tx *view, const struct check *c, struct verifying *v)
{
    struct ush_rows rows;
    struct verify_result *ret = v->ret;
    USH_TRY(ush_all(view, c->statement, &fault_row_record, FINDINGS_MAX, &rows,
                    &(struct ush_value){USH_VALUE_I64, .i64 = view->now_ms}, c->asks_time));
    for (size_t i = 0; i < rows.count && ret->findings.count < FINDINGS_MAX; i++) {
        const struct fault_row *row = (struct fault_row *)rows.at + i;
        struct finding *f = (struct finding *)ret->findings.at + ret->findings.count++;
        f->check = ush_text_of(c->name);
        f->subject = ush_arena_copy(v->arena, row->subject);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        f->text =
            ush_arena_printf(v->arena, c->text, (long long)row->expected, (long long)row->found);
#pragma GCC diagnostic pop
    }
    return v->arena->failed ? USH_ELIMIT : 0;
}

static int verify_view(struct ush_tx *view, void *arg)
{
    struct verifying *v = arg;
    struct verify_result *ret = v->ret;
    struct totals t = {0};
    USH_TRY(ush_one(view, &sql_verify_totals, &totals_record, &t, USH_VALUES(view->now_ms)));
    ret->events = t.events;
    ret->registrations = t.registrations;
    ret->participants = t.participants;
    ret->mails = t.mails;
    ret->mails_waiting = t.mails_waiting;
    ret->mails_dead = t.mails_dead;
    ret->mails_held = t.mails_held;
    ret->oldest_mail_ms = USH_HAS(&t, totals_oldest_due) ? view->now_ms - t.oldest_due : 0;
    for (size_t i = 0; i < USH_COUNT(checks); i++) {
        USH_TRY(run_check(view, &checks[i], v));
        if (v->o && v->o->progress)
            v->o->progress(v->o->ctx, i + 1, USH_COUNT(checks));
    }
    return 0;
}

int verify_all(struct ush_db *db, const struct verify_options *o, struct ush_arena *arena,
               struct verify_result *ret)
{
    *ret = (struct verify_result){0};
    ret->findings.at = USH_NEW_N(arena, struct finding, FINDINGS_MAX);
    if (!ret->findings.at)
        return USH_ELIMIT;
    struct verifying v = {o, arena, ret};
    return ush_read(db, verify_view, &v);
}

/* ---- can it store? ----------------------------------------------------------------------------
 */

static int probe_run(struct ush_tx *tx, const void *in, void *out)
{
    (void)in, (void)out;
    USH_TRY(ush_exec(tx, &sql_probe, USH_VALUES(tx->now_ms)));
    return 0;
}

const struct ush_operation op_probe = {
    .name = "probe",
    .in = &number_record,
    .out = &number_record,
    .run = probe_run,
};

int verify_storing(struct ush_db *db, struct ush_arena *arena)
{
    const struct number in = {0};
    struct number out;
    return ush_change(db, &op_probe, &in, &out, arena);
}
