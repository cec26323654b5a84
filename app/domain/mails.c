/*
 * mails.c - the mail jobs: from a row to a message that was taken (transport.c).
 *
 *            file:                            smtp:, https:
 *   compose                             compose
 *      |                                   |
 *   mark 1                              mark 1: recipient and bytes are frozen in the row
 *      |                                   |
 *   temp file, fsync, rename               |
 *      |                                   |
 *    done                               send ... mark 2 ... final dot
 *                                          |        |           |
 *                                        retry    retry    no answer: ambiguous
 *
 * Invariants:
 *  1. All attempts of a job send one Message-ID and one Date: both follow from the row.
 *  2. To a server all attempts send the same bytes, until they may not go out any more: to an old
 *     address, or with the name of somebody who is forgotten (jobs_anew.sql).
 *  3. A mail to a file may be written twice: its name has the Message-ID, so a second run replaces
 *     it.
 *  4. Only an attempt that stored mark 2 and got no answer may become a second copy. An API that
 *     recognises the key makes none of it: it is asked again by the schedule while that holds.
 *  5. A mail counts once against its address's limits, however often it is tried: the commit that
 *     counts it stores mark 1.
 */
#include "domain/mails.h"

#include <stdio.h>

#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(mail_allow, MAIL_ALLOW_FIELDS)

enum { MESSAGE_MAX = 512 << 10, ATTEMPTS_MAX = 55, DEADLINE_MS = 45000, DOT_MS = 600000 };
enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };

const char *const mail_kind_names[MAIL_KINDS] = {
    [MAIL_TICKET] = "ticket",
    [MAIL_WAITLISTED] = "waitlisted",
    [MAIL_PROMOTED] = "promoted",
    [MAIL_CANCELLED] = "cancelled",
    [MAIL_RESEND] = "resend",
    [MAIL_EVENT_CANCELLED] = "event_cancelled",
    [MAIL_EVENT_CHANGED] = "event_changed",
};

struct ush_job_new mail_job(enum mail_kind kind, int64_t registration, int64_t now_ms)
{
    return (struct ush_job_new){
        .has = UINT64_C(1) << ush_job_new_subject,
        .kind = ush_text_of(mail_kind_names[kind]),
        .lane = kind >= MAIL_EVENT_CANCELLED ? USH_T(BULK_LANE) : USH_T(MAIL_LANE),
        .subject = registration,
        .payload = USH_T(""),
        .due_at = now_ms,
        .created_at = now_ms,
    };
}

/* ---- limits per address ---------------------------------------------------------------------- */

#define MAIL_COUNT_FIELDS(F, R)                                                                    \
    F(R, TIME, hour_at) F(R, I64, hour_count) F(R, TIME, day_at) F(R, I64, day_count)
USH_RECORD(mail_count, MAIL_COUNT_FIELDS)
USH_RECORD_DEFINE(mail_count, MAIL_COUNT_FIELDS)

#define MAIL_MARKED_FIELDS(F, R) F(R, I64, mark)
USH_RECORD(mail_marked, MAIL_MARKED_FIELDS)
USH_RECORD_DEFINE(mail_marked, MAIL_MARKED_FIELDS)

/* CHANGE_DONE: counted and marked, or it was before; may go. CHANGE_TOO_SOON: not before `until`.
 */
static int allow_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct mail_allow *in = input;
    struct change_result *out = output;
    struct mail_count c = {0};
    const struct ush_value key = USH_BYTES(in->address_key);
    /* There is a row to lock: two workers at one address would both read the old count. */
    USH_TRY(ush_exec_later(tx, &sql_mail_count_start, &key, 1));
    USH_TRY(ush_one(tx, &sql_mail_count_one, &mail_count_record, &c, &key, 1));
    if (tx->now_ms >= c.hour_at + HOUR_MS) {
        c.hour_at = tx->now_ms;
        c.hour_count = 0;
    }
    if (tx->now_ms >= c.day_at + DAY_MS) {
        c.day_at = tx->now_ms;
        c.day_count = 0;
    }
    bool day = in->per_day && c.day_count >= in->per_day;
    out->outcome = CHANGE_DONE;
    if (day || (in->per_hour && c.hour_count >= in->per_hour)) {
        struct mail_marked m = {0}; /* run again, it meets the limit that it reached itself */
        USH_TRY(ush_one(tx, &sql_mail_marked, &mail_marked_record, &m, USH_VALUES(in->job)));
        if (m.mark > 0)
            return 0;
        out->outcome = CHANGE_TOO_SOON;
        out->until = day ? c.day_at + DAY_MS : c.hour_at + HOUR_MS;
        USH_SET(out, change_result_until);
        return 0;
    }
    int first = in->job ? ush_job_mark_first(tx, in->job, in->claim, in->payload) : 1;
    if (first <= 0)
        return first;
    return ush_exec_later(tx, &sql_mail_count_put,
                          USH_VALUES(key, c.hour_at, c.hour_count + 1, c.day_at, c.day_count + 1));
}

const struct ush_operation op_mail_allow = {
    .name = "mail_allow",
    .in = &mail_allow_record,
    .out = &change_result_record,
    .run = allow_run,
};

/* Limits keep strangers from being flooded; what an organiser or a free place causes always goes.
 */
static bool is_limited(enum mail_kind kind)
{
    return kind != MAIL_PROMOTED && kind < MAIL_EVENT_CANCELLED;
}

/* Counts and marks the job. 1 = go on; 0 = the job has ended; -EAGAIN = later. `frozen` is USH_NONE
 * for what goes to a file, which needs the mark only to be counted once. */
static int begin(struct mailer *m, struct ush_job *job, enum mail_kind kind, ush_text to,
                 ush_text frozen)
{
    const struct settings *s = m->fest->settings;
    uint8_t key[KEY_BYTES];
    struct change_result out;
    if (job->mark > 0 || !is_limited(kind) || (!s->mail_per_hour && !s->mail_per_day)) {
        int r = frozen.at ? ush_job_mark(job, 1, frozen) : 0;
        return r < 0 ? r : 1;
    }
    ush_text folded =
        ush_email_key(to, &(struct ush_email_options){.fold_plus = s->plus_fold}, job->arena);
    keys_hash(&m->fest->keys, HASH_ADDRESS, 0, &folded, 1, key);
    struct mail_allow in = {.address_key = {(char *)key, sizeof key},
                            .per_hour = s->mail_per_hour,
                            .per_day = s->mail_per_day,
                            .job = job->id,
                            .claim = job->claim,
                            .payload = frozen};
    if (frozen.at)
        USH_SET(&in, mail_allow_payload);
    USH_TRY(ush_change(m->fest->db, &op_mail_allow, &in, &out, job->arena));
    if (out.outcome == CHANGE_DONE)
        return 1;
    ush_job_note(job, "%s: this address has had its mails for the hour or day",
                 kind == MAIL_RESEND ? "not sent" : "held back");
    if (kind == MAIL_RESEND)
        return 0;
    job->retry_after_ms = out.until - ush_wall_ms();
    return -EAGAIN;
}

/* ---- sending --------------------------------------------------------------------------------- */

static int mark_before_dot(void *ctx)
{
    return ush_job_mark(ctx, 2, USH_NONE);
}

static int send_out(struct mailer *m, struct ush_job *job, enum mail_kind kind, ush_text to,
                    ush_text bytes)
{
    char id[PUBLIC_ID_CHARS + 1];
    struct transport_reply reply;
    mail_id_format(&m->fest->keys, job->id, job->created_at, id);
    const struct transport_mail mail = {
        .id = ush_arena_printf(job->arena, "%s.%s", mail_kind_names[kind], id),
        .to = to,
        .bytes = bytes,
        .before_dot = mark_before_dot,
        .ctx = job,
    };
    if (!mail.id.at)
        return USH_ELIMIT;
    int rc = transport_send(&m->transport, &mail, &reply);
    ush_job_note(job, "%s", reply.text);
    job->retry_after_ms = reply.retry_after_ms;
    job->pause_ms = reply.pause_ms;
    return rc;
}

/* `frozen` is the recipient's address, a line end, and the message. */
static int send_frozen(struct mailer *m, struct ush_job *job, enum mail_kind kind, ush_text frozen)
{
    ush_text bytes = frozen, to = ush_text_cut(&bytes, '\n');
    return send_out(m, job, kind, to, bytes);
}

/* ---- the job --------------------------------------------------------------------------------- */

static enum mail_kind kind_of(ush_text name)
{
    size_t i = 0;
    while (i < MAIL_KINDS && !ush_text_equal(name, ush_text_of(mail_kind_names[i])))
        i++;
    return (enum mail_kind)i;
}

static int send_new(struct mailer *m, struct ush_job *job, enum mail_kind kind,
                    struct ush_buf *message, struct ush_buf *frozen)
{
    ush_text to;
    int rc = mail_compose(m->fest, kind, job->id, job->created_at, job->subject, job->arena,
                          message, &to);
    if (rc == USH_ENOTFOUND) {
        ush_job_note(job, "not sent: it no longer fits");
        return 0;
    }
    if (rc == USH_EINVAL)
        ush_job_note(job, "it cannot be written: an address or USHER_NAME cannot be a header");
    USH_TRY(rc);
    bool is_file = m->transport.kind == TRANSPORT_FILE;
    if (!is_file) {
        ush_buf_add(frozen, to);
        ush_buf_add_byte(frozen, '\n');
        ush_buf_add(frozen, ush_buf_text(message));
        if (frozen->error)
            return USH_EINVAL;
    }
    rc = begin(m, job, kind, to, is_file ? USH_NONE : ush_buf_text(frozen));
    if (rc <= 0)
        return rc;
    return is_file ? send_out(m, job, kind, to, ush_buf_text(message))
                   : send_frozen(m, job, kind, ush_buf_text(frozen));
}

static int run(struct ush_job *job, void *ctx)
{
    struct mailer *m = ctx;
    enum mail_kind kind = kind_of(job->kind);
    struct ush_buf message, frozen;
    if (kind == MAIL_KINDS)
        return USH_EINVAL;
    /* Frozen bytes from before a change of MAIL_URL go where mail goes now. */
    if (job->mark > 0 && m->transport.kind != TRANSPORT_FILE && job->payload.len) {
        USH_TRY(ush_job_mark(job, 1, USH_NONE));
        return send_frozen(m, job, kind, job->payload);
    }
    ush_buf_init(&message, MESSAGE_MAX);
    ush_buf_init(&frozen, MESSAGE_MAX);
    int rc = send_new(m, job, kind, &message, &frozen);
    ush_buf_fini(&message);
    ush_buf_fini(&frozen);
    return rc;
}

/* ---- the mailer ------------------------------------------------------------------------------ */

int mailer_init(struct mailer *m, struct fest *f, struct ush_buf *ret_problem)
{
    const struct settings *s = f->settings;
    *m = (struct mailer){.fest = f};
    USH_TRY(transport_open(&m->transport, s, ret_problem));
    bool is_smtp = m->transport.kind == TRANSPORT_SMTP, is_api = m->transport.kind == TRANSPORT_API;
    for (size_t i = 0; i < MAIL_KINDS; i++)
        m->kinds[i] = (struct ush_job_kind){
            .name = mail_kind_names[i],
            .lane = i >= MAIL_EVENT_CANCELLED ? BULK_LANE : MAIL_LANE,
            .run = run,
            .ctx = m,
            .deadline_ms = is_smtp ? DEADLINE_MS + DOT_MS : DEADLINE_MS,
            .attempts_max = ATTEMPTS_MAX,
            .resend_unknown = s->mail_uncertain == 0,
            .repeat_ms = is_api ? s->mail_key_hours * (int64_t)HOUR_MS : 0,
        };
    /* Each file is synced: more at once only take the disk from the commits of registrations. For
     * a server some are composed while others are on their way. */
    int64_t connections = settings_mail_connections(s), more = connections + connections / 2;
    m->at_once = !is_smtp && !is_api ? 2 : more < 8 ? 8 : (uint32_t)more;
    return 0;
}

void mailer_fini(struct mailer *m)
{
    transport_close(&m->transport);
    *m = (struct mailer){0};
}
