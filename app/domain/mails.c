/*
 * mails.c - the mail jobs: from a row to a message that was taken.
 *
 *            file:                               smtp:
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
 *  2. Over SMTP all attempts send the same bytes.
 *  3. A mail to a file may be written twice: its name has the Message-ID, so a second run replaces
 *     it.
 *  4. Only an attempt that stored mark 2 and got no answer may become a second copy.
 *  5. A mail counts once against its address's limits, however often it is tried: the commit that
 *     counts it stores mark 1.
 */
#include "domain/mails.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(mail_allow, MAIL_ALLOW_FIELDS)

enum { MESSAGE_MAX = 512 << 10, ATTEMPTS_MAX = 55, DEADLINE_MS = 45000 };
enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS };
enum { LOGIN_PAUSE_MS = 5 * MINUTE_MS };

const char *const mail_kind_names[MAIL_KINDS] = {
    [MAIL_TICKET] = "ticket",     [MAIL_WAITLISTED] = "waitlisted",
    [MAIL_PROMOTED] = "promoted", [MAIL_CANCELLED] = "cancelled",
    [MAIL_RESEND] = "resend",     [MAIL_EVENT_CANCELLED] = "event_cancelled",
};

struct ush_job_new mail_job(enum mail_kind kind, int64_t registration, int64_t now_ms)
{
    return (struct ush_job_new){
        .has = UINT64_C(1) << ush_job_new_subject,
        .kind = ush_text_of(mail_kind_names[kind]),
        .lane = kind == MAIL_EVENT_CANCELLED ? USH_T(BULK_LANE) : USH_T(MAIL_LANE),
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
    int first = ush_job_mark_first(tx, in->job, in->claim, in->payload);
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
    return kind != MAIL_PROMOTED && kind != MAIL_EVENT_CANCELLED;
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

/* ---- to a file ------------------------------------------------------------------------------- */

struct file_write {
    const char *folder, *name;
    ush_text bytes;
};

/* In a thread. A reader sees the whole message or none, and a crash leaves at most a temp file. */
static int write_file(void *arg)
{
    const struct file_write *w = arg;
    char path[PATH_MAX], temp[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%s.eml", w->folder, w->name) >= sizeof path ||
        (size_t)snprintf(temp, sizeof temp, "%s/.%s.tmp", w->folder, w->name) >= sizeof temp)
        return -ENAMETOOLONG;
    int fd = open(temp, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600), rc = 0;
    if (fd < 0)
        return -errno;
    for (size_t at = 0; at < w->bytes.len && rc == 0;) {
        ssize_t n = write(fd, w->bytes.at + at, w->bytes.len - at);
        if (n > 0)
            at += (size_t)n;
        else if (errno != EINTR)
            rc = -errno;
    }
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    close(fd);
    if (rc == 0 && rename(temp, path) < 0)
        rc = -errno;
    if (rc < 0)
        unlink(temp);
    /* The rename itself has to last before the row says done. */
    int folder = rc == 0 ? open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (rc == 0 && (folder < 0 || fsync(folder) < 0))
        rc = -errno;
    if (folder >= 0)
        close(folder);
    return rc;
}

static int to_file(struct mailer *m, struct ush_job *job, enum mail_kind kind, ush_text bytes)
{
    char id[PUBLIC_ID_CHARS + 1];
    mail_id_format(&m->fest->keys, job->id, job->created_at, id);
    ush_text name = ush_arena_printf(job->arena, "%s.%s", mail_kind_names[kind], id);
    if (!name.at)
        return USH_ELIMIT;
    struct file_write w = {.folder = m->folder, .name = name.at, .bytes = bytes};
    int rc = ush_offload(ush_blocking_pool(), write_file, &w);
    if (rc == 0)
        ush_job_note(job, "written to %.*s.eml", USH_PR(name));
    else
        ush_job_note(job, "%s: %s", m->folder, ush_error_text(rc));
    return rc;
}

/* ---- over SMTP ------------------------------------------------------------------------------- */

static int mark_before_dot(void *ctx)
{
    return ush_job_mark(ctx, 2, USH_NONE);
}

/* `frozen` is the recipient's address, a line end, and the message. */
static int to_server(struct mailer *m, struct ush_job *job, ush_text frozen)
{
    struct ush_mail_reply reply = {0};
    ush_text bytes = frozen, to = ush_text_cut(&bytes, '\n');
    const struct ush_mail_message message = {
        .from = ush_text_of(m->from),
        .to = to,
        .bytes = bytes,
        .before_dot = mark_before_dot,
        .ctx = job,
    };
    int rc = ush_fetch_mail(m->fetch, &m->server, &message, &reply);
    ush_job_note(job, "%s", reply.text);
    /* Not this mail's fault, and the next one would hear the same. */
    if (rc == -EACCES)
        job->pause_ms = LOGIN_PAUSE_MS;
    else if (rc < 0 && reply.has_enough)
        job->pause_ms = reply.code / 100 == 5 ? HOUR_MS : MINUTE_MS;
    return rc;
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
    if (rc == USH_EINVAL) {
        ush_job_note(job, "not sent: it no longer fits");
        return 0;
    }
    USH_TRY(rc);
    if (!m->folder) {
        ush_buf_add(frozen, to);
        ush_buf_add_byte(frozen, '\n');
        ush_buf_add(frozen, ush_buf_text(message));
        if (frozen->error)
            return USH_EINVAL;
    }
    rc = begin(m, job, kind, to, m->folder ? USH_NONE : ush_buf_text(frozen));
    if (rc <= 0)
        return rc;
    return m->folder ? to_file(m, job, kind, ush_buf_text(message))
                     : to_server(m, job, ush_buf_text(frozen));
}

static int run(struct ush_job *job, void *ctx)
{
    struct mailer *m = ctx;
    enum mail_kind kind = kind_of(job->kind);
    struct ush_buf message, frozen;
    if (kind == MAIL_KINDS)
        return USH_EINVAL;
    /* Frozen bytes from before a change of MAIL_URL go where mail goes now. */
    if (job->mark > 0 && !m->folder && job->payload.len) {
        USH_TRY(ush_job_mark(job, 1, USH_NONE));
        return to_server(m, job, job->payload);
    }
    ush_buf_init(&message, MESSAGE_MAX);
    ush_buf_init(&frozen, MESSAGE_MAX);
    int rc = send_new(m, job, kind, &message, &frozen);
    ush_buf_fini(&message);
    ush_buf_fini(&frozen);
    return rc;
}

/* ---- the mailer ------------------------------------------------------------------------------ */

static char *decode_percent(ush_text t)
{
    char *out = malloc(t.len + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < t.len; i++) {
        unsigned value;
        if (t.at[i] == '%' && i + 2 < t.len && sscanf(t.at + i + 1, "%2x", &value) == 1) {
            out[n++] = (char)value;
            i += 2;
        } else {
            out[n++] = t.at[i];
        }
    }
    if (out)
        out[n] = '\0';
    return out;
}

/* smtp://user@host:587?tls=starttls */
static int parse_server(struct mailer *m, const char *url, struct ush_buf *ret_problem)
{
    ush_text rest = ush_text_of(url), scheme = ush_text_cut(&rest, ':');
    ush_text query = rest, where = ush_text_cut(&query, '?');
    const char *at = memrchr(where.at, '@', where.len);
    where = (ush_text){where.at + 2, where.len - 2}; /* "//" */
    if (at) {
        m->user = decode_percent((ush_text){where.at, (size_t)(at - where.at)});
        where = (ush_text){at + 1, where.len - (size_t)(at + 1 - where.at)};
    }
    if (asprintf(&m->url, "%.*s://%.*s", USH_PR(scheme), USH_PR(where)) < 0 || (at && !m->user)) {
        m->url = NULL;
        return -ENOMEM;
    }
    m->server = (struct ush_mail_server){
        .url = m->url,
        .user = m->user,
        .password = m->user ? m->fest->settings->smtp_password : NULL,
        .starttls = ush_text_equal(query, USH_T("tls=starttls")),
    };
    if (where.len && (!query.len || m->server.starttls || ush_text_equal(query, USH_T("tls=none"))))
        return 0;
    ush_buf_printf(ret_problem, "USHER_MAIL_URL: after the host only ?tls=starttls or ?tls=none");
    return -EINVAL;
}

static int set_sender(struct mailer *m)
{
    const struct settings *s = m->fest->settings;
    ush_text host = mail_host(s);
    if (*s->mail_from)
        m->from = strdup(s->mail_from);
    else if (asprintf(&m->from, "usher@%.*s", USH_PR(host)) < 0)
        m->from = NULL;
    return m->from ? 0 : -ENOMEM;
}

int mailer_init(struct mailer *m, struct fest *f, struct ush_buf *ret_problem)
{
    const struct settings *s = f->settings;
    *m = (struct mailer){.fest = f, .folder = settings_outbox(s)};
    for (size_t i = 0; i < MAIL_KINDS; i++)
        m->kinds[i] = (struct ush_job_kind){
            .name = mail_kind_names[i],
            .lane = i == MAIL_EVENT_CANCELLED ? BULK_LANE : MAIL_LANE,
            .run = run,
            .ctx = m,
            .deadline_ms = DEADLINE_MS,
            .attempts_max = ATTEMPTS_MAX,
            .resend_unknown = s->mail_uncertain == 0,
        };
    if (m->folder) {
        if (mkdir(m->folder, 0700) == 0 || errno == EEXIST)
            return 0;
        int rc = -errno;
        ush_buf_printf(ret_problem, "the folder for mails %s cannot be made: %s", m->folder,
                       ush_error_text(rc));
        return rc;
    }
    int rc = parse_server(m, s->mail_url, ret_problem);
    if (rc == 0)
        rc = set_sender(m);
    if (rc == 0 && !(m->fetch = ush_fetch_new(&(struct ush_fetch_options){.connections = 2})))
        rc = -ENOMEM;
    if (rc < 0)
        mailer_fini(m);
    return rc;
}

void mailer_fini(struct mailer *m)
{
    if (m->fetch)
        ush_fetch_free(m->fetch);
    free(m->url);
    free(m->user);
    free(m->from);
    *m = (struct mailer){0};
}
