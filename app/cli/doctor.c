/*
 * doctor.c - `usher doctor`: looks at a set-up before students do, and says what to change.
 *
 * One line per check. `ok` says what was found. `warn` is a set-up that works and may be meant:
 * mails into files, a listening address without a proxy. `error` is one that fails students or
 * loses data; only then the exit code is 1.
 *
 *  1. Nothing is changed: no table, file or folder is made that stays. Storing is tried with the
 *     row that /readyz uses, the disk's flush time with a file that is removed again.
 *  2. Nothing is checked twice over: the database by opening it as every command does, the mail
 *     server by beginning a mail as a job worker would. That mail is from the sender to itself and
 *     ends before its final dot, so it never exists (RFC 5321 §4.1.1.4).
 *  3. It may run beside the server, whose writer then stores the row. What follows from who runs it
 *     (limits, rights to files) is told about this process: it should be run as the server's user.
 *
 * "Public" below is a server that others than this machine are meant to reach: it listens to them,
 * is behind a proxy, or has a base URL with a name of its own. A default set-up, for trying things
 * out, is not; what would be wrong with it in service is no finding there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "domain/mails.h"

USH_RECORD_DEFINE(diagnosis, DIAGNOSIS_FIELDS)

enum {
    MAIL_S = 10,
    FILES_BESIDE = 64,       /* descriptors of a worker that are no connections */
    EARLIEST_S = 1767225600, /* 2026: before it no clock can be right */
};

const char OK[] = "ok", WARN[] = "warn", ERROR[] = "error";

void doctor_say(struct doctor *d, const char *check, const char *level, const char *fmt, ...)
{
    assert(d->count < DIAGNOSES_MAX);
    va_list ap;
    va_start(ap, fmt);
    d->found[d->count++] = (struct diagnosis){.check = ush_text_of(check),
                                              .level = ush_text_of(level),
                                              .text = ush_arena_vprintf(d->cli->arena, fmt, ap)};
    va_end(ap);
    d->errors += level == ERROR;
}

/* ---- addresses ------------------------------------------------------------------------------ */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static bool is_unix(const struct settings *s)
{
    return begins(s->listen, "unix:");
}

static bool listens_to_others(const struct settings *s)
{
    return !is_unix(s) && !begins(s->listen, "127.") && !begins(s->listen, "[::1]");
}

/* "http://127.0.0.1:8080", "https://localhost". */
static bool is_own_url(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t n = strcspn(host, ":/");
    return begins(host, "127.") || begins(host, "[::1]") || (n == 9 && begins(host, "localhost"));
}

static void check_proxies(struct doctor *d)
{
    const struct settings *s = d->s;
    bool believes_socket = false, ok = true;
    for (ush_text rest = ush_text_of(s->trusted_proxies); rest.len > 0;) {
        size_t n = 0;
        while (n < rest.len && rest.at[n] != ' ' && rest.at[n] != ',')
            n++;
        ush_text word = {rest.at, n}, prefix = word, host = ush_text_cut(&prefix, '/');
        rest = n < rest.len ? (ush_text){rest.at + n + 1, rest.len - n - 1} : USH_NONE;
        believes_socket |= ush_text_equal(word, USH_T("unix"));
        int64_t bits = 128, wide = ush_text_find(host, ':') >= 0 ? 16 : 8;
        if (prefix.at && ush_text_i64(prefix, &bits) == 0 && bits < wide) {
            doctor_say(
                d, "proxies", ERROR,
                "USHER_TRUSTED_PROXIES has %.*s: nearly everybody is believed about who they are; "
                "name your proxy's address alone",
                USH_PR(word));
            ok = false;
        }
    }
    if (is_unix(s) && !believes_socket)
        doctor_say(
            d, "proxies", WARN,
            "USHER_LISTEN is a Unix socket and USHER_TRUSTED_PROXIES has no \"unix\": all students "
            "look like this machine, and the limit by address does not hold");
    else if (!is_unix(s) && !*s->trusted_proxies && begins(s->base_url, "https:"))
        doctor_say(
            d, "proxies", WARN,
            "USHER_BASE_URL is https, so a proxy is in front, and USHER_TRUSTED_PROXIES names "
            "none: "
            "all students look like the proxy");
    else if (ok)
        doctor_say(d, "proxies", OK, "%s%s",
                   *s->trusted_proxies ? "believed: " : "nobody is believed", s->trusted_proxies);
}

static void check_addresses(struct doctor *d)
{
    const struct settings *s = d->s;
    if (listens_to_others(s) && !begins(s->base_url, "https:"))
        doctor_say(
            d, "listen", WARN,
            "%s is open to the network without TLS: put nginx in front (deploy/nginx.conf) and "
            "listen on 127.0.0.1 or a Unix socket",
            s->listen);
    else if (listens_to_others(s))
        doctor_say(
            d, "listen", WARN,
            "%s is open to the network beside the proxy, without TLS: listen on 127.0.0.1 or a "
            "Unix "
            "socket unless the proxy runs elsewhere",
            s->listen);
    else
        doctor_say(d, "listen", OK, "%s", s->listen);

    if (d->is_public && is_own_url(s->base_url))
        doctor_say(
            d, "base_url", ERROR,
            "the links in mails and QR codes lead to %s, which is the student's own machine: set "
            "USHER_BASE_URL to the public address",
            s->base_url);
    else if (d->is_public && begins(s->base_url, "http:"))
        doctor_say(d, "base_url", WARN,
                   "%s has no TLS: names, addresses and private links can be read on the way",
                   s->base_url);
    else
        doctor_say(d, "base_url", OK, "%s", s->base_url);
    check_proxies(d);
}

/* ---- secret, clock, files ------------------------------------------------------------------- */

static void check_secret(struct doctor *d)
{
    const char *path = d->s->secret_file;
    struct stat st;
    if (stat(path, &st) < 0 && errno == ENOENT)
        doctor_say(
            d, "secret", WARN,
            "there is no %s; the first start makes it. If this fest has sent links before, put its "
            "copy back: they follow from it",
            path);
    else if (access(path, R_OK) < 0)
        doctor_say(d, "secret", ERROR, "%s cannot be read: %s", path, strerror(errno));
    else if (st.st_mode & 077)
        doctor_say(d, "secret", ERROR, "others may read %s, and forge tickets: chmod 600 %s", path,
                   path);
    else
        doctor_say(d, "secret", OK, "%s; keep a copy elsewhere: without it no link or ticket holds",
                   path);
}

static void check_clock(struct doctor *d)
{
    struct timex t = {0};
    int state = adjtimex(&t);
    if (ush_wall_ms() / 1000 < EARLIEST_S)
        doctor_say(d, "clock", ERROR,
                   "it shows a time before this program was written: events open and close by it");
    else if (state < 0 || state == TIME_ERROR || (t.status & STA_UNSYNC))
        doctor_say(
            d, "clock", WARN,
            "nothing keeps it right, and events open and close by it: timedatectl set-ntp true");
    else
        doctor_say(d, "clock", OK, "synchronised");
}

static void check_files(struct doctor *d)
{
    struct rlimit have;
    int64_t need = d->s->max_connections / d->s->workers + 1 + FILES_BESIDE;
    if (getrlimit(RLIMIT_NOFILE, &have) < 0)
        return;
    bool enough = have.rlim_cur == RLIM_INFINITY || (int64_t)have.rlim_cur >= need;
    doctor_say(d, "files", enough ? OK : WARN,
               "a worker may open %lld files and needs up to %lld for its share of "
               "USHER_MAX_CONNECTIONS%s",
               (long long)have.rlim_cur, (long long)need,
               enough ? ""
                      : ": ulimit -n, or LimitNOFILE= of the unit (this is the limit of who asks)");
}

/* ---- mail ----------------------------------------------------------------------------------- */

enum { SEEN_ENOUGH = -EALREADY };

static int stop_here(void *ctx __attribute__((unused)))
{
    return SEEN_ENOUGH;
}

static void check_server(struct doctor *d, struct transport *m)
{
    struct ush_mail_reply reply = {0};
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){
                               .name = "mail", .deadline_ns = ush_now_ns() + MAIL_S * USH_SECOND});
    ush_text self = ush_text_of(m->from);
    int r = ush_fetch_mail(m->fetch, &m->server,
                           &(struct ush_mail_message){.from = self,
                                                      .to = self,
                                                      .bytes = USH_T("Subject: probe\r\n\r\n"),
                                                      .before_dot = stop_here},
                           &reply);
    ush_scope_close(&scope);
    if (r == SEEN_ENOUGH)
        doctor_say(d, "mail", OK, "%s takes mail from %s", m->url, m->from);
    else if (r == -EACCES)
        doctor_say(
            d, "mail", ERROR,
            "%s refuses the login of %s (%s): check USHER_SMTP_PASSWORD; many providers want a "
            "password made for programs",
            m->url, m->user ? m->user : "nobody", reply.text);
    else if (r == USH_EINVAL)
        doctor_say(d, "mail", ERROR, "%s refuses mail from %s: %s; check USHER_MAIL_FROM", m->url,
                   m->from, reply.text);
    else
        doctor_say(d, "mail", ERROR, "%s takes no mail: %s", m->url,
                   reply.text[0] ? reply.text : ush_error_text(r));
}

static void check_mail(struct doctor *d)
{
    const char *folder = settings_outbox(d->s), *url = d->s->mail_url;
    bool hides_proxy = !is_unix(d->s) && !listens_to_others(d->s) && !*d->s->trusted_proxies;
    if (folder && d->is_public && hides_proxy) {
        doctor_say(
            d, "mail", ERROR,
            "mails are written to %s/, and every student can read them at /outbox, since all look "
            "like this machine: set USHER_MAIL_URL and USHER_TRUSTED_PROXIES",
            folder);
        return;
    }
    if (folder) {
        doctor_say(d, "mail", d->is_public ? WARN : OK,
                   "mails are written to %s/ and sent to nobody%s", folder,
                   d->is_public ? ": set USHER_MAIL_URL to your mail server" : "");
        return;
    }
    const char *at = strrchr(url, '@');
    if (begins(url, "smtp:") && !strstr(url, "tls=starttls") && (at || !is_own_url(url)))
        doctor_say(d, "mail_tls", WARN,
                   "mails and the password go to the server unencrypted: add ?tls=starttls, or use "
                   "smtps://");
    if (begins(url, "http:") && !is_own_url(url))
        doctor_say(d, "mail_tls", WARN,
                   "mails and the token go to the API unencrypted: use https://");
    struct transport transport;
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    if (transport_open(&transport, d->s, &problem) < 0) {
        doctor_say(d, "mail", ERROR, "%.*s", USH_PR(ush_buf_text(&problem)));
    } else {
        if (transport.kind == TRANSPORT_SMTP)
            check_server(d, &transport);
        else
            doctor_say(
                d, "mail", *d->s->mail_token ? OK : WARN,
                "mails are posted to %s%s; usher mail test ADDRESS tries it", transport.url,
                *d->s->mail_token ? "" : " without a token: set USHER_MAIL_TOKEN if it wants one");
        transport_close(&transport);
    }
    ush_buf_fini(&problem);
}

/* ---- the command ---------------------------------------------------------------------------- */

static int examine(void *arg)
{
    struct cli *cli = arg;
    struct doctor d = {.cli = cli, .s = &cli->settings};
    d.is_public = listens_to_others(d.s) || is_unix(d.s) || *d.s->trusted_proxies ||
                  !is_own_url(d.s->base_url);
    doctor_check_store(&d);
    doctor_check_redis(&d);
    check_secret(&d);
    check_clock(&d);
    check_files(&d);
    check_addresses(&d);
    check_mail(&d);
    cli_print_rows(cli, &diagnosis_record, &(struct ush_rows){d.found, d.count});
    return d.errors > 0 ? CLI_FAILED : CLI_OK;
}

static int doctor(struct cli *cli)
{
    return ush_run(&(struct ush_loop_options){0}, examine, cli);
}

const struct cli_command cli_doctor_commands[] = {
    {.name = "doctor",
     .summary = "check the set-up and say what to change",
     .help =
         "Checks database, disk, secret file, clock, limits, addresses and mail server with the\n"
         "settings that serve would use, and says what to change. Run it as the server's user,\n"
         "before the server starts or beside it:\n\n"
         "  usher doctor --config /etc/usher/usher.env\n\n"
         "The exit code is 1 when there is an error; a warning leaves it 0.",
     .run = doctor},
    {0}};
