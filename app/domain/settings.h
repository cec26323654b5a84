/*
 * settings.h - the settings of the application: one struct, one table.
 *
 * The table yields USHER_KEY in the environment, --key as an option, KEY=value lines in a file and
 * the text of `usher serve --help`. A key that the table does not know is an error.
 */
#ifndef DOMAIN_SETTINGS_H
#define DOMAIN_SETTINGS_H

#include "usher/base.h"

struct settings {
    const char *listen;
    const char *base_url; /* without a '/' at its end; never empty after settings_check */
    const char *database_url;
    char database_name[512]; /* the same as it may be shown; filled in by settings_check */
    int64_t workers;         /* 0 = as many as cores, at least 1 */
    int64_t mail_workers;    /* job workers */
    const char *redis_url;   /* "" = no wake-ups between hosts */
    int64_t batch_max;
    int64_t queue_max;
    int64_t request_timeout_ms;
    int64_t max_connections;
    int sqlite_sync; /* 0 = full, 1 = normal */

    const char *mail_url; /* "file:FOLDER", "smtp://user@host:587?tls=starttls", "https://…" */
    const char *smtp_password, *mail_token;
    const char *mail_ca_file;                  /* "" = those of the system */
    int64_t mail_connections;                  /* of all mail workers together */
    int64_t mail_key_hours;                    /* how long an API knows a key again */
    const char *mail_from;                     /* an address; "" = usher@ the host of base_url */
    const char *mail_reply_to;                 /* "" = contact */
    int mail_uncertain;                        /* 0 = resend, 1 = hold */
    int64_t mail_per_hour, mail_per_day;       /* to one address; 0 = no limit */
    int64_t mail_rate_per_min, mail_daily_cap; /* all together; 0 = no limit */

    const char *secret_file;
    const char *trusted_proxies;                          /* CIDR list */
    const char *limit_email, *limit_browser, *limit_addr; /* "5/60" or "off" */
    bool plus_fold;
    const char *tz, *name, *contact;
    const char *schools;    /* names with ';' between them */
    int64_t retention_days; /* 0 = never erased by itself */
    int64_t undo_s;
    int64_t max_body, max_import;
    const char *log; /* "stderr" or a file */
    int log_level;   /* enum ush_log_level */
    int log_format;  /* 0 = text, 1 = json */
};

enum { SCHOOLS_MAX = 300, SCHOOLS_BYTES_MAX = 6000 }; /* each page of the form has them all */

extern const struct ush_setting settings_table[];
extern const size_t settings_count;
#define SETTINGS_PREFIX "USHER"

/* Checks what no single key shows and fills in what follows from others (base_url from listen).
 * To be called once after loading. -EINVAL with a sentence. */
int settings_check(struct settings *s, struct ush_buf *ret_problem);

/* The folder of a "file:" mail_url, else NULL. */
const char *settings_outbox(const struct settings *s);

/* How many names `schools` can have. */
size_t settings_schools(const struct settings *s);

/* Connections to the mail server of one of the mail workers. */
int64_t settings_mail_connections(const struct settings *s);

/* A limit of the form "5/60": *ret_count in *ret_seconds; count 0 for "off". -EINVAL. */
int settings_limit(const char *text, int64_t *ret_count, int64_t *ret_seconds);

#endif
