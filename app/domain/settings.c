/*
 * settings.c - the table: every key with its default, bounds and one line of help.
 *
 * Rows stand in the order in which --help shows them. What a row cannot say (one key follows from
 * another, a limit has a form of its own) is checked in settings_check.
 */
#include "domain/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "domain/mime.h"
#include "usher/sql.h"

#define ROW(k, t, field, value, ...)                                                               \
    {                                                                                              \
        .key = k, .type = USH_SET_##t, .offset = offsetof(struct settings, field),                 \
        .initial = value, __VA_ARGS__                                                              \
    }

/* Of one process: half as many mails again are in work there, and USH_JOBS_AT_ONCE_MAX bounds them.
 */
enum { MAIL_CONNECTIONS_MAX = 160 };

const struct ush_setting settings_table[] = {
    ROW("LISTEN", TEXT, listen, "127.0.0.1:8080", .at_start = true,
        .doc = "address to serve on, or unix:PATH"),
    ROW("BASE_URL", TEXT, base_url, "", .doc = "how students reach it; used in mails and QR codes"),
    ROW("DATABASE_URL", TEXT, database_url, "sqlite:usher.db", .secret = true, .at_start = true,
        .doc = "sqlite:FILE or postgresql://..."),
    ROW("WORKERS", INT, workers, "0", .max = 64, .at_start = true,
        .doc = "web workers; 0 = one per core"),
    ROW("MAIL_WORKERS", INT, mail_workers, "1", .max = 16, .at_start = true,
        .doc = "processes that send mail"),
    ROW("REDIS_URL", TEXT, redis_url, "", .secret = true, .at_start = true,
        .doc =
            "gives mails to workers on all hosts: redis://[:password@]host[:port][/db], unix:PATH"),
    ROW("BATCH_MAX", INT, batch_max, "256", .min = 1, .max = 1024,
        .doc = "registrations that may share one commit"),
    ROW("QUEUE_MAX", INT, queue_max, "10000", .min = 1, .max = 1000000,
        .doc = "changes that may wait per worker; beyond them 503"),
    ROW("REQUEST_TIMEOUT_MS", INT, request_timeout_ms, "10000", .min = 100, .max = 600000,
        .doc = "a request that takes longer ends with 503"),
    ROW("MAX_CONNECTIONS", INT, max_connections, "4096", .min = 16, .max = 200000,
        .doc = "connections of all web workers together"),
    ROW("SQLITE_SYNC", CHOICE, sqlite_sync, "full", .choices = "full|normal", .at_start = true,
        .doc = "normal may lose the last registrations when the power fails"),
    ROW("MAIL_URL", TEXT, mail_url, "file:outbox",
        .doc = "file:FOLDER, smtp://user@host:587?tls=starttls, smtps://…, https://host/path"),
    ROW("SMTP_PASSWORD", TEXT, smtp_password, "", .secret = true,
        .doc = "for the user in MAIL_URL"),
    ROW("MAIL_TOKEN", TEXT, mail_token, "", .secret = true, .doc = "bearer token of the mail API"),
    ROW("MAIL_CA_FILE", TEXT, mail_ca_file, "",
        .doc = "certificates by which the mail server is known; default those of the system"),
    ROW("MAIL_CONNECTIONS", INT, mail_connections, "2", .min = 1, .max = 1000,
        .doc = "connections to the mail server, of all mail workers together"),
    ROW("MAIL_KEY_HOURS", INT, mail_key_hours, "23", .max = 720,
        .doc = "how long the mail API surely knows an Idempotency-Key again"),
    ROW("MAIL_FROM", TEXT, mail_from, "", .doc = "sender; default usher@ the host of BASE_URL"),
    ROW("MAIL_REPLY_TO", TEXT, mail_reply_to, "", .doc = "where answers go; default CONTACT"),
    ROW("MAIL_UNCERTAIN", CHOICE, mail_uncertain, "resend", .choices = "resend|hold",
        .doc = "a mail of which nobody knows whether the server took it"),
    ROW("MAIL_PER_HOUR", INT, mail_per_hour, "3", .max = 1000,
        .doc = "mails to one address per hour; 0 = no limit"),
    ROW("MAIL_PER_DAY", INT, mail_per_day, "10", .max = 10000,
        .doc = "mails to one address per day; 0 = no limit"),
    ROW("MAIL_RATE_PER_MIN", INT, mail_rate_per_min, "0", .max = 60000,
        .doc = "mails a minute to the mail server; beyond them mails wait; 0 = no limit"),
    ROW("MAIL_DAILY_CAP", INT, mail_daily_cap, "0", .max = 100000000,
        .doc = "mails a day to the mail server; beyond them mails wait; 0 = no limit"),
    ROW("SECRET_FILE", TEXT, secret_file, "usher.key", .at_start = true,
        .doc = "the fest's secret; made at the first start"),
    ROW("TRUSTED_PROXIES", TEXT, trusted_proxies, "",
        .doc = "networks whose X-Forwarded-For is believed: 127.0.0.1/32,10.0.0.0/8"),
    ROW("LIMIT_EMAIL", TEXT, limit_email, "5/60",
        .doc = "registrations per address and seconds, or off"),
    ROW("LIMIT_BROWSER", TEXT, limit_browser, "20/60",
        .doc = "registrations per browser, by a cookie of the form"),
    ROW("LIMIT_ADDR", TEXT, limit_addr, "600/60",
        .doc = "the same per network address; a school is one address"),
    ROW("PLUS_FOLD", BOOL, plus_fold, "yes", .doc = "a+1@x and a+2@x are one person"),
    ROW("TZ", TEXT, tz, "Asia/Kolkata", .doc = "zone of events that name none"),
    ROW("NAME", TEXT, name, "Tech Fest", .doc = "what the fest is called"),
    ROW("SCHOOLS", TEXT, schools, "",
        .doc = "names that the form suggests for the school, with ';' between them"),
    ROW("UNDO_S", INT, undo_s, "10", .max = 600,
        .doc = "seconds in which a mail to everybody can be taken back"),
    ROW("RETENTION_DAYS", INT, retention_days, "90", .max = 3650,
        .doc = "days after an event until names and addresses are erased; 0 = never"),
    ROW("CONTACT", TEXT, contact, "", .doc = "address shown for questions"),
    ROW("MAX_BODY", BYTES, max_body, "32K", .min = 1024, .max = 1 << 20,
        .doc = "largest body of a registration"),
    ROW("MAX_IMPORT", BYTES, max_import, "5M", .min = 1024, .max = 64 << 20,
        .doc = "largest file for import"),
    ROW("LOG", TEXT, log, "stderr", .at_start = true, .doc = "stderr, or a file that USR1 reopens"),
    ROW("LOG_LEVEL", CHOICE, log_level, "info", .choices = "error|warn|info|debug",
        .doc = "least level that is written"),
    ROW("LOG_FORMAT", CHOICE, log_format, "text", .choices = "text|json", .doc = "form of the log"),
};
const size_t settings_count = USH_COUNT(settings_table);

int settings_limit(const char *text, int64_t *ret_count, int64_t *ret_seconds)
{
    ush_text rest = ush_text_of(text);
    int64_t count, seconds;
    if (ush_text_equal(rest, USH_T("off"))) {
        *ret_count = *ret_seconds = 0;
        return 0;
    }
    ush_text first = ush_text_cut(&rest, '/');
    if (ush_text_i64(first, &count) < 0 || ush_text_i64(rest, &seconds) < 0 || count < 1 ||
        count > 1000000 || seconds < 1 || seconds > 86400)
        return -EINVAL;
    *ret_count = count;
    *ret_seconds = seconds;
    return 0;
}

const char *settings_outbox(const struct settings *s)
{
    return strncmp(s->mail_url, "file:", 5) == 0 ? s->mail_url + 5 : NULL;
}

size_t settings_schools(const struct settings *s)
{
    size_t n = 1;
    for (const char *at = s->schools; *at; at++)
        n += *at == ';';
    return n;
}

int64_t settings_mail_connections(const struct settings *s)
{
    int64_t share = s->mail_workers ? s->mail_connections / s->mail_workers : s->mail_connections;
    return share < 1 ? 1 : share > MAIL_CONNECTIONS_MAX ? MAIL_CONNECTIONS_MAX : share;
}

/* A link that students can follow from the address that is served. Owned for ever. */
static const char *base_url_of(const char *listen)
{
    const char *colon = strrchr(listen, ':');
    char *url;
    if (strncmp(listen, "unix:", 5) == 0 || !colon)
        return "http://localhost";
    bool any =
        colon == listen || strncmp(listen, "0.0.0.0:", 8) == 0 || strncmp(listen, "[::]:", 5) == 0;
    int n = any ? asprintf(&url, "http://localhost%s", colon) : asprintf(&url, "http://%s", listen);
    return n < 0 ? NULL : url;
}

/* It is shown, so it may hold nothing that would not be shown of a database's URL. */
static int check_mail_url(const struct settings *s, struct ush_buf *ret_problem)
{
    char shown[sizeof s->database_name];
    ush_text url = ush_text_of(s->mail_url);
    if (settings_outbox(s) && *settings_outbox(s))
        return 0;
    if (!ush_text_starts(url, USH_T("smtp://")) && !ush_text_starts(url, USH_T("smtps://")) &&
        !ush_text_starts(url, USH_T("http://")) && !ush_text_starts(url, USH_T("https://"))) {
        ush_buf_printf(ret_problem,
                       "USHER_MAIL_URL is not file:FOLDER, smtp://HOST, smtps://HOST or "
                       "https://HOST/PATH");
        return -EINVAL;
    }
    ush_database_name(s->mail_url, shown, sizeof shown);
    if (strlen(shown) == strcspn(s->mail_url, "?"))
        return 0;
    ush_buf_printf(ret_problem,
                   "USHER_MAIL_URL: behind a ':' stands the port; a password goes into "
                   "USHER_SMTP_PASSWORD, a token into USHER_MAIL_TOKEN");
    return -EINVAL;
}

/* What no header can hold would fail with each mail. */
static int check_sender(const struct settings *s, struct ush_buf *ret_problem)
{
    const struct {
        const char *key, *value;
    } addresses[] = {{"MAIL_FROM", s->mail_from}, {"MAIL_REPLY_TO", s->mail_reply_to}};
    for (size_t i = 0; i < USH_COUNT(addresses); i++) {
        if (!*addresses[i].value || mime_is_address(ush_text_of(addresses[i].value)))
            continue;
        ush_buf_printf(ret_problem,
                       "USHER_%s is \"%s\"; write the bare address, as fest@school.example",
                       addresses[i].key, addresses[i].value);
        return -EINVAL;
    }
    if (!strpbrk(s->name, "\r\n") && ush_utf8_valid(ush_text_of(s->name)))
        return 0;
    ush_buf_printf(ret_problem, "USHER_NAME is \"%s\"; it is one line of UTF-8", s->name);
    return -EINVAL;
}

int settings_check(struct settings *s, struct ush_buf *ret_problem)
{
    const struct {
        const char *key, *value;
    } limits[] = {{"LIMIT_EMAIL", s->limit_email},
                  {"LIMIT_BROWSER", s->limit_browser},
                  {"LIMIT_ADDR", s->limit_addr}};
    for (size_t i = 0; i < USH_COUNT(limits); i++) {
        int64_t count, seconds;
        if (settings_limit(limits[i].value, &count, &seconds) == 0)
            continue;
        ush_buf_printf(ret_problem, "USHER_%s is \"%s\"; write it as 5/60 (5 in 60 seconds) or off",
                       limits[i].key, limits[i].value);
        return -EINVAL;
    }
    if (strlen(s->schools) > SCHOOLS_BYTES_MAX || settings_schools(s) > SCHOOLS_MAX) {
        ush_buf_printf(ret_problem,
                       "USHER_SCHOOLS has %zu names in %zu bytes; every form carries them, so at "
                       "most %d in %d",
                       settings_schools(s), strlen(s->schools), SCHOOLS_MAX, SCHOOLS_BYTES_MAX);
        return -EINVAL;
    }
    USH_TRY(check_sender(s, ret_problem));
    ush_database_name(s->database_url, s->database_name, sizeof s->database_name);
    if (!*s->base_url)
        s->base_url = base_url_of(s->listen);
    if (!s->base_url)
        return -ENOMEM;
    ush_text url = ush_text_of(s->base_url);
    if (!ush_text_starts(url, USH_T("http://")) && !ush_text_starts(url, USH_T("https://"))) {
        ush_buf_printf(ret_problem, "USHER_BASE_URL is \"%s\"; it begins with https:// or http://",
                       s->base_url);
        return -EINVAL;
    }
    while (url.len && url.at[url.len - 1] == '/')
        url.len--;
    if (s->base_url[url.len] && !(s->base_url = strndup(url.at, url.len)))
        return -ENOMEM;
    USH_TRY(check_mail_url(s, ret_problem));
    if (s->workers == 0) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        s->workers = cores < 1 ? 1 : cores > 64 ? 64 : cores;
    }
    return 0;
}
