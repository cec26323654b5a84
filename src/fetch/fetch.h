/*
 * fetch.h (internal) - what the files of the client share.
 *
 *     multi.c   libcurl's multi interface in our loop: a transfer as one call that waits
 *     http.c    requests
 *     mail.c    messages
 *     reply.c   what a mail server says
 */
#ifndef USH_FETCH_FETCH_H
#define USH_FETCH_FETCH_H

#include <curl/curl.h>

#include "usher/fetch.h"

struct ush_fetch {
    CURLM *multi;
    int epoll; /* owned by the loop; libcurl's sockets are in it */
    struct ush_alarm alarm;
    struct ush_semaphore places; /* exchanges at once */
    char *ca_file;               /* owned; NULL = the system's */
    struct ush_link sessions;    /* mail connections that wait for the next message, oldest first */
};

/* What libcurl does for one task: a request, or the making of a connection. */
struct ush__transfer {
    CURL *easy;             /* owned */
    struct ush_event event; /* it is done */
    bool keeps;             /* its connection is used on by the task: CURLOPT_CONNECT_ONLY */
    bool is_added, is_done;
    CURLcode code; /* once done */
    char error[CURL_ERROR_SIZE];
};

/* With the settings that all have. 0 or -ENOMEM. */
int ush__transfer_open(struct ush_fetch *f, struct ush__transfer *t);
/* Closes a kept connection too. Never suspends. */
void ush__transfer_close(struct ush_fetch *f, struct ush__transfer *t);
/* Runs it to its end; t->code says how that was. -ECANCELED or -ETIMEDOUT when the scope says so:
 * it can only be closed then. May suspend. */
int ush__transfer_run(struct ush_fetch *f, struct ush__transfer *t);
/* The errno of a transfer that got no reply. */
int ush__transfer_error(const struct ush__transfer *t);

/* Closes the mail connections that wait: all, or those idle for too long. */
void ush__sessions_close(struct ush_fetch *f, int64_t idle_since_ns);

/* ---- replies of a mail server (reply.c) ------------------------------------------------------ */

enum { USH__REPLY_BYTES = 2048, USH__REPLY_LINES = 100 };

/* Bytes are received at in + len, and whole replies taken off the front. */
struct ush__reply {
    int code;       /* of the line taken last; 0 = none yet */
    int lines;      /* of the reply that is not whole yet */
    char text[200]; /* that line: printable ASCII */
    size_t len;
    char in[USH__REPLY_BYTES];
};

/* Takes in one line, with or without its line end: 1 when it ends a reply, 0 when more lines
 * follow, USH_EPROTO. */
int ush__reply_line(struct ush__reply *r, ush_text line);
/* The code of the next whole reply, 200 to 599; 0 when its end has not been received; USH_EPROTO
 * for what is no reply and for one that is too long. */
int ush__reply_take(struct ush__reply *r);

/* Whether a refusal is about how much this sender sends, and not about the message. */
bool ush__reply_is_enough(int code, const char *text);

/* True when it has no byte that could end a line or a header. */
bool ush__is_one_line(const char *s);

#endif
