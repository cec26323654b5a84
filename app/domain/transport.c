/*
 * transport.c - hands a message over and says what became of it; the table is in transport.h.
 *
 * A file is written beside its name, synced and renamed, and the folder is synced: a reader sees
 * the whole message or none, a second run replaces it, and what was reported stays.
 *
 * To a mail server everything up to the final dot has ATTEMPT_MS. The answer to the dot has what
 * the job's own deadline leaves, ten minutes: RFC 5321 §4.5.3.2.6 asks for that, because who gives
 * up earlier and comes again makes a second copy.
 *
 * What is not this mail's fault (no connection, a wrong login, a quota) says for how long no other
 * needs to be tried. So while a server is away only a few knock, and when it is back all go out.
 *
 * An API is asked with a key, so it needs no such patience. But whether the repetition is
 * recognised is the provider's word, so what got no answer is called unknown here, and the job's
 * kind says for how long that word holds (settings: MAIL_KEY_HOURS).
 */
#include "domain/transport.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/mails.h"

enum { ATTEMPT_MS = 45000, MINUTE_MS = 60000, HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS };
enum {
    AWAY_PAUSE_MS = 15000,
    SETTINGS_PAUSE_MS = 5 * MINUTE_MS,
    REQUEST_MAX = 1 << 20,
    REPLY_MAX = 256 << 10
};

#define ENVELOPE_FIELDS(F, R) F(R, TEXT, from, .max = 254) F(R, JSON, to)
USH_RECORD(envelope, ENVELOPE_FIELDS)
USH_RECORD_DEFINE(envelope, ENVELOPE_FIELDS)
#define API_MAIL_FIELDS(F, R)                                                                      \
    F(R, ONE, envelope, .of = &envelope_record)                                                    \
    F(R, BYTES, raw, .max = REQUEST_MAX)
USH_RECORD(api_mail, API_MAIL_FIELDS)
USH_RECORD_DEFINE(api_mail, API_MAIL_FIELDS)

/* ---- to a file ------------------------------------------------------------------------------- */

struct file_write {
    const char *folder;
    ush_text name, bytes;
};

/* In a thread. */
static int write_file(void *arg)
{
    const struct file_write *w = arg;
    char path[PATH_MAX], temp[PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s/%.*s.eml", w->folder, USH_PR(w->name)) >=
            sizeof path ||
        (size_t)snprintf(temp, sizeof temp, "%s/.%.*s.tmp", w->folder, USH_PR(w->name)) >=
            sizeof temp)
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

static int to_file(const struct transport *t, const struct transport_mail *m,
                   struct transport_reply *ret)
{
    struct file_write w = {.folder = t->folder, .name = m->id, .bytes = m->bytes};
    int rc = ush_offload(ush_blocking_pool(), write_file, &w);
    if (rc == 0)
        snprintf(ret->text, sizeof ret->text, "written to %.*s.eml", USH_PR(m->id));
    else
        snprintf(ret->text, sizeof ret->text, "%s: %s", t->folder, ush_error_text(rc));
    return rc;
}

/* ---- to a mail server ------------------------------------------------------------------------ */

struct before_dot {
    const struct transport_mail *mail;
    struct ush_scope scope;
};

static int at_the_dot(void *ctx)
{
    struct before_dot *d = ctx;
    USH_TRY(d->mail->before_dot(d->mail->ctx));
    ush_scope_lift_deadline(&d->scope);
    return 0;
}

static int to_server(struct transport *t, const struct transport_mail *m,
                     struct transport_reply *ret)
{
    struct ush_mail_reply reply = {0};
    struct before_dot d = {.mail = m};
    const struct ush_mail_message message = {.from = ush_text_of(t->from),
                                             .to = m->to,
                                             .bytes = m->bytes,
                                             .before_dot = at_the_dot,
                                             .ctx = &d};
    ush_scope_open(&d.scope,
                   &(struct ush_scope_options){
                       .name = "smtp", .deadline_ns = ush_now_ns() + ATTEMPT_MS * (int64_t)USH_MS});
    int rc = ush_fetch_mail(t->fetch, &t->server, &message, &reply);
    ush_scope_close(&d.scope);
    memcpy(ret->text, reply.text, sizeof ret->text);
    if (rc == -EACCES)
        ret->pause_ms = SETTINGS_PAUSE_MS;
    else if (rc < 0 && reply.no_session)
        ret->pause_ms = AWAY_PAUSE_MS;
    else if (rc < 0 && reply.has_enough)
        ret->pause_ms = reply.code / 100 == 5 ? HOUR_MS : MINUTE_MS;
    return rc;
}

/* ---- to an API ------------------------------------------------------------------------------- */

static int judge(int status, int64_t retry_after_ms, struct transport_reply *ret)
{
    int64_t wait = retry_after_ms > DAY_MS ? DAY_MS : retry_after_ms > 0 ? retry_after_ms : 0;
    if (status / 100 == 2)
        return 0;
    switch (status) {
    case 401: /* the login */
    case 402: /* the bill */
    case 403:
    case 404: /* the address of the API */
    case 405:
    case 410:
        ret->pause_ms = SETTINGS_PAUSE_MS;
        return -EACCES;
    case 429:
        ret->pause_ms = wait ? wait : MINUTE_MS;
        return -EAGAIN;
    case 408:
    case 409: /* the attempt before is still under way there */
    case 425:
    case 503:
        ret->retry_after_ms = wait;
        return -EAGAIN;
    default:
        if (status / 100 == 3)
            ret->pause_ms = SETTINGS_PAUSE_MS;
        return status / 100 == 3 ? -EACCES : status / 100 == 4 ? USH_EINVAL : USH_EUNKNOWN;
    }
}

/* The status, and what a person may want to read of the body. */
static void describe(const struct ush_fetch_reply *reply, struct transport_reply *ret)
{
    ush_text body = ush_text_trim(ush_buf_text(&reply->body));
    int n = body.len < 160 ? (int)body.len : 160;
    snprintf(ret->text, sizeof ret->text, "%d %.*s", reply->status, n, body.len ? body.at : "");
    for (char *c = ret->text; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = *c == '\n' || *c == '\r' ? ' ' : '?';
}

static int post(struct transport *t, const struct transport_mail *m, ush_text body,
                struct transport_reply *ret)
{
    const char *token = t->settings->mail_token;
    char key[128], login[1024] = "";
    struct ush_fetch_reply reply = {0};
    if ((size_t)snprintf(key, sizeof key, "Idempotency-Key: %.*s", USH_PR(m->id)) >= sizeof key ||
        (size_t)snprintf(login, sizeof login, "Authorization: Bearer %s", token) >= sizeof login)
        return USH_EINVAL;
    const char *const headers[] = {"Content-Type: application/json", key, *token ? login : NULL,
                                   NULL};
    USH_TRY(m->before_dot(m->ctx));
    int rc = ush_fetch_http(
        t->fetch,
        &(struct ush_fetch_request){
            .url = t->url, .headers = headers, .body = body, .reply_max_bytes = REPLY_MAX},
        &reply);
    if (rc < 0) {
        snprintf(ret->text, sizeof ret->text, "%s: %s", t->url, ush_error_text(rc));
        ret->pause_ms = reply.was_sent ? 0 : AWAY_PAUSE_MS;
        return reply.was_sent ? USH_EUNKNOWN : -EAGAIN;
    }
    describe(&reply, ret);
    ush_buf_fini(&reply.body);
    return judge(reply.status, reply.retry_after_ms, ret);
}

static int to_api(struct transport *t, const struct transport_mail *m, struct transport_reply *ret)
{
    struct ush_buf to, body;
    ush_buf_init(&to, 1024);
    ush_buf_init(&body, REQUEST_MAX);
    ush_buf_add_byte(&to, '[');
    ush_buf_add_json(&to, m->to);
    ush_buf_add_byte(&to, ']');
    struct envelope envelope = {.from = ush_text_of(t->from), .to = ush_buf_text(&to)};
    struct api_mail mail = {.envelope = &envelope, .raw = m->bytes};
    ush_record_encode_json(&api_mail_record, &mail, &body);
    int rc = to.error || body.error ? USH_EINVAL : post(t, m, ush_buf_text(&body), ret);
    if (rc == USH_EINVAL && !ret->text[0])
        snprintf(ret->text, sizeof ret->text, "too long for a request");
    ush_buf_fini(&to);
    ush_buf_fini(&body);
    return rc;
}

int transport_send(struct transport *t, const struct transport_mail *m, struct transport_reply *ret)
{
    *ret = (struct transport_reply){0};
    switch (t->kind) {
    case TRANSPORT_FILE:
        return to_file(t, m, ret);
    case TRANSPORT_SMTP:
        return to_server(t, m, ret);
    default:
        return to_api(t, m, ret);
    }
}

/* ---- opening --------------------------------------------------------------------------------- */

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
static int parse_server(struct transport *t, ush_text rest, struct ush_buf *ret_problem)
{
    ush_text scheme = ush_text_cut(&rest, ':');
    ush_text query = rest, where = ush_text_cut(&query, '?');
    const char *at = memrchr(where.at, '@', where.len);
    where = (ush_text){where.at + 2, where.len - 2}; /* "//" */
    if (at) {
        t->user = decode_percent((ush_text){where.at, (size_t)(at - where.at)});
        where = (ush_text){at + 1, where.len - (size_t)(at + 1 - where.at)};
    }
    if (asprintf(&t->url, "%.*s://%.*s", USH_PR(scheme), USH_PR(where)) < 0 || (at && !t->user)) {
        t->url = NULL;
        return -ENOMEM;
    }
    t->server = (struct ush_mail_server){
        .url = t->url,
        .user = t->user,
        .password = t->user ? t->settings->smtp_password : NULL,
        .starttls = ush_text_equal(query, USH_T("tls=starttls")),
        .ca_file = *t->settings->mail_ca_file ? t->settings->mail_ca_file : NULL,
    };
    if (where.len && (!query.len || t->server.starttls || ush_text_equal(query, USH_T("tls=none"))))
        return 0;
    ush_buf_printf(ret_problem, "USHER_MAIL_URL: after the host only ?tls=starttls or ?tls=none");
    return -EINVAL;
}

/* What is secret has a setting of its own, so the address can be shown. */
static int parse_api(struct transport *t, const char *url, struct ush_buf *ret_problem)
{
    const char *host = strstr(url, "://") + 3;
    if (!*host || strpbrk(host, "@?# ")) {
        ush_buf_printf(ret_problem,
                       "USHER_MAIL_URL: of an API only https://host/path; a token goes "
                       "into USHER_MAIL_TOKEN");
        return -EINVAL;
    }
    t->url = strdup(url);
    return t->url ? 0 : -ENOMEM;
}

static int set_sender(struct transport *t)
{
    const struct settings *s = t->settings;
    ush_text host = mail_host(s);
    if (*s->mail_from)
        t->from = strdup(s->mail_from);
    else if (asprintf(&t->from, "usher@%.*s", USH_PR(host)) < 0)
        t->from = NULL;
    return t->from ? 0 : -ENOMEM;
}

static int open_folder(struct transport *t, struct ush_buf *ret_problem)
{
    if (mkdir(t->folder, 0700) == 0 || errno == EEXIST)
        return 0;
    int rc = -errno;
    ush_buf_printf(ret_problem, "the folder for mails %s cannot be made: %s", t->folder,
                   ush_error_text(rc));
    return rc;
}

int transport_open(struct transport *t, const struct settings *s, struct ush_buf *ret_problem)
{
    *t = (struct transport){.settings = s, .folder = settings_outbox(s)};
    if (t->folder)
        return open_folder(t, ret_problem);
    ush_text url = ush_text_of(s->mail_url);
    t->kind = ush_text_starts(url, USH_T("smtp")) ? TRANSPORT_SMTP : TRANSPORT_API;
    int rc = t->kind == TRANSPORT_SMTP ? parse_server(t, url, ret_problem)
                                       : parse_api(t, s->mail_url, ret_problem);
    if (rc == 0)
        rc = set_sender(t);
    if (rc == 0) {
        t->fetch = ush_fetch_new(
            &(struct ush_fetch_options){.connections = (uint32_t)settings_mail_connections(s),
                                        .ca_file = *s->mail_ca_file ? s->mail_ca_file : NULL});
        rc = t->fetch ? 0 : -ENOMEM;
    }
    if (rc < 0)
        transport_close(t);
    return rc;
}

void transport_close(struct transport *t)
{
    ush_fetch_free(t->fetch);
    free(t->url);
    free(t->user);
    free(t->from);
    *t = (struct transport){0};
}
