/*
 * transport.h - the ways by which a mail leaves: a folder, a mail server, a provider's HTTP API.
 *
 *     USHER_MAIL_URL
 *     file:FOLDER              one .eml file per mail, named after its id
 *     smtp://user@host:587     a mail server (RFC 5321); smtps:// with TLS from the start
 *     https://host/path        an API that takes a mail per request; http:// for one on this host
 *
 * The request to an API, the same for every attempt of a mail:
 *
 *     POST /path
 *     Authorization: Bearer TOKEN               USHER_MAIL_TOKEN, when there is one
 *     Idempotency-Key: ticket.0D5XK6T2...       the mail's id
 *     Content-Type: application/json
 *
 *     {"envelope":{"from":"desk@fest.example","to":["asha@school.example"]},"raw":"<base64>"}
 *
 * `raw` is the whole message (RFC 5322), so its Message-ID is the same too. What the answers mean:
 *
 *     2xx                                 taken
 *     401 402 403, 3xx 404 405 410        not our turn: login, payment, wrong address; nothing is
 *                                         taken until somebody changes that
 *     429                                 enough for now, Retry-After says until when
 *     408 409 425 503                     later
 *     other 4xx                           refused for good
 *     other 5xx, no answer                nobody knows; asking again with the key tells
 */
#ifndef DOMAIN_TRANSPORT_H
#define DOMAIN_TRANSPORT_H

#include "domain/settings.h"
#include "usher/fetch.h"
#include "usher/record.h"

enum transport_kind { TRANSPORT_FILE, TRANSPORT_SMTP, TRANSPORT_API };

struct transport {
    enum transport_kind kind;
    const struct settings *settings; /* borrowed */
    const char *folder;              /* file: */
    struct ush_fetch *fetch;         /* owned; NULL for file: */
    struct ush_mail_server server;   /* smtp: */
    char *url;                       /* owned; without user and query: may be shown */
    char *user, *from;               /* owned */
};

/* By the settings; makes the folder. -EINVAL, or a negative errno, with a sentence. */
int transport_open(struct transport *t, const struct settings *s, struct ush_buf *ret_problem);
void transport_close(struct transport *t);

struct transport_mail {
    ush_text id;    /* "ticket.0D5XK6T2...": the Message-ID up to the @, a file's name */
    ush_text to;    /* bare address, ASCII */
    ush_text bytes; /* the message */
    /* As ush_mail_message.before_dot: the last moment at which certainly nothing has been taken.
     * Not for files. */
    int (*before_dot)(void *ctx);
    void *ctx;
};
struct transport_reply {
    char text[200];         /* what was answered, or what went wrong: one line */
    int64_t retry_after_ms; /* of this mail; 0 = not said */
    int64_t pause_ms;       /* no other mail would be taken before; 0 = that is not so */
};
/*
 * Hands it over. 0 taken; USH_EINVAL refused for good; -EAGAIN later; -EACCES nothing is taken with
 * these settings; USH_EUNKNOWN perhaps taken; else what before_dot returned, or -ECANCELED and
 * -ETIMEDOUT before it. May suspend.
 */
int transport_send(struct transport *t, const struct transport_mail *m,
                   struct transport_reply *ret);

#endif
