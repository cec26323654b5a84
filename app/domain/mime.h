/*
 * mime.h - a mail as bytes (RFC 5322, 2045, 2047, 2387).
 *
 *     multipart/mixed
 *       multipart/alternative
 *         text/plain                    quoted-printable
 *         multipart/related
 *           text/html                   quoted-printable
 *           image/png  Content-ID: <qr> base64, inline
 *       text/calendar; method=PUBLISH   base64, attachment
 *
 * A pure function of its input: boundaries follow from the Message-ID, so composing twice gives the
 * same bytes. Lines end in CRLF and have at most 76 columns. A header value with CR, LF or NUL is
 * refused whatever it was checked for before. No data: images, nothing remote.
 */
#ifndef DOMAIN_MIME_H
#define DOMAIN_MIME_H

#include "usher/base.h"

struct mime_mail {
    ush_text from_name, from; /* display name as typed; bare address in ASCII form */
    ush_text to;
    ush_text reply_to; /* USH_NONE = no such header */
    ush_text subject;
    ush_text message_id; /* without angle brackets */
    int64_t date_ms;
    ush_text language; /* "en" */
    ush_text text, html;
    ush_text qr_png;   /* USH_NONE: html stands alone. The html says <img src="cid:qr"> */
    ush_text calendar; /* USH_NONE: no attachment */
};
/* USH_EINVAL for a header that could be an injection; USH_ELIMIT from the buffer. */
int mime_write(const struct mime_mail *m, struct ush_buf *out);

/* Whether this can be one: a bare address in visible ASCII. */
bool mime_is_address(ush_text t);
/* One header field with encoded words where needed, folded. USH_EINVAL as above. */
int mime_header(struct ush_buf *out, const char *name, ush_text value);
/* Quoted-printable body with CRLF line ends. */
void mime_quoted(struct ush_buf *out, ush_text text);

#endif
