/*
 * fetch.h - talking to other servers: HTTP requests, and mail by SMTP, as calls that look blocking.
 * The running scope's deadline is the time-out of the whole exchange.
 *
 * Underneath is libcurl's multi interface, on the loop's own stack; a task only waits. For mail
 * libcurl makes the connection, with TLS and login, and the message is handed over by our own few
 * lines, because everything depends on what is known about the final dot. Connections are kept and
 * used again. One object belongs to one loop. Over real sockets only, not under sim.
 */
#ifndef USHER_FETCH_H
#define USHER_FETCH_H

#include "usher/task.h"

struct ush_fetch; /* opaque */
struct ush_fetch_options {
    uint32_t connections; /* at once in total; further calls wait; 0 = 64 */
    const char *ca_file;  /* NULL = the system's */
};
struct ush_fetch *ush_fetch_new(const struct ush_fetch_options *o);
void ush_fetch_free(struct ush_fetch *f);

struct ush_fetch_request {
    const char *method;         /* NULL = GET, or POST with a body */
    const char *url;            /* http or https */
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    ush_text body;
    size_t reply_max_bytes; /* 0 = 1 MiB */
};
struct ush_fetch_reply {
    int status;
    struct ush_buf body;    /* owned by the caller: ush_buf_fini */
    int64_t retry_after_ms; /* -1 when absent */
    bool was_sent;          /* the server may have got the request or a part of it; set also when
                               there was no reply */
};
/* 0 with any HTTP status; a negative errno when there was no reply (-ETIMEDOUT, -ECONNREFUSED,
 * USH_EPROTO for TLS and protocol faults, USH_ELIMIT for a longer reply). May suspend. */
int ush_fetch_http(struct ush_fetch *f, const struct ush_fetch_request *rq,
                   struct ush_fetch_reply *ret);

struct ush_mail_server {
    const char *url;             /* "smtp://host:587" or "smtps://host:465" */
    const char *user, *password; /* NULL = no login */
    bool starttls;               /* required, not only tried */
    const char *ca_file;
};
struct ush_mail_message {
    ush_text from, to; /* bare addresses, ASCII */
    ush_text bytes;    /* the whole message, CRLF lines; dots are stuffed here */
    /* Called once when everything but the final dot has been handed to the connection: the last
     * moment at which the server certainly has not accepted the message. May suspend (it stores a
     * mark). A negative result aborts before the dot. */
    int (*before_dot)(void *ctx);
    void *ctx;
};
struct ush_mail_reply {
    int code;      /* SMTP reply code of the last answer; 0 = none came */
    bool past_dot; /* the final dot may have reached the server */
    /* Two reasons that have nothing to do with the message; the next one would fail as well: */
    bool no_session; /* no connection with TLS and login came about */
    bool has_enough; /* -EAGAIN: the server takes no more from this sender for now: a quota, a rate
                      */
    char text[200];  /* the reply or the reason, one line */
};
/*
 * Hands one message to a server (RFC 5321).
 *
 *   0              accepted: 250 after the dot
 *   USH_EINVAL     refused for good (5xx), or not fit to be sent: a bare CR or LF, a bad address
 *   -EAGAIN        later: 4xx, a full mailbox (5.2.2), a sender's quota even when it is said as a
 *                  5xx (see has_enough), no connection, lost before the dot
 *   -EACCES        the login was refused
 *   USH_EUNKNOWN   lost or cancelled after the dot without an answer
 *   -ECANCELED, -ETIMEDOUT   before the dot: nothing has happened
 *   anything else  what before_dot returned
 *
 * The time limit after the dot is the scope's; RFC 5321 §4.5.3.2.6 asks for ten minutes. May
 * suspend.
 */
int ush_fetch_mail(struct ush_fetch *f, const struct ush_mail_server *server,
                   const struct ush_mail_message *m, struct ush_mail_reply *ret);

#endif
