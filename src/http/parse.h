/*
 * parse.h - the pure readers of the protocol: what head.c, chunks.c, path.c, header.c and origin.c
 * share, and what the rest of src/http takes from them beside the functions in usher/http.h.
 *
 * Everything here is a function of its arguments: no allocation, no state, no clock, no socket.
 * Texts that go in may hold any bytes; texts that come out are slices of them. So each of these is
 * tested by tables, by every split of its input, and by fuzzing, without a server.
 *
 * The rule they share: where two recipients could read the same bytes differently, we refuse them.
 */
#ifndef USH_HTTP_PARSE_H
#define USH_HTTP_PARSE_H

#include "usher/http.h"

/* ---- classes of bytes (head.c) -------------------------------------------------------------- */

enum {
    USH__TOKEN = 1,  /* tchar of RFC 9110 §5.6.2 */
    USH__NAME = 2,   /* tchar without '_': a field name that nobody reads as another (see head.c) */
    USH__TARGET = 4, /* part of a request target, '?' aside */
    USH__HOST = 8,   /* part of a host name */
    USH__VALUE = 16, /* part of a field value: VCHAR, SP, HTAB, obs-text */
    USH__DIGIT = 32,
    USH__HEX = 64,
};
extern const uint8_t ush__byte_class[256];

static inline bool ush__is(char c, unsigned classes)
{
    return ush__byte_class[(unsigned char)c] & classes;
}

/* Whether `t` is the word `lower`, which is written in lower case. For tokens: a byte that is not
 * one may compare equal to a letter. */
static inline bool ush__token_is(ush_text t, const char *lower, size_t len)
{
    if (t.len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((t.at[i] | 0x20) != lower[i])
            return false;
    return true;
}
#define USH__TOKEN_IS(t, literal) ush__token_is((t), "" literal, sizeof(literal) - 1)

/* Without spaces and tabs at both ends (OWS). */
ush_text ush__ows_trim(ush_text t);
/* The next element of a comma-separated list, trimmed; USH_NONE at the end. Empty elements are
 * skipped (RFC 9110 §5.6.1.2). */
ush_text ush__list_next(ush_text *rest);

/* uri-host [ ":" port ], narrowed to what names a host on the internet (head.c). */
bool ush__host_is_valid(ush_text t);

/* ---- chunks (chunks.c) ---------------------------------------------------------------------- */

/* Bytes of data still to come of the chunk that has begun; 0 between chunks. */
uint64_t ush__chunks_left(const struct ush_chunks *c);

/* ---- values of fields (header.c) ------------------------------------------------------------ */

/* The value of the first cookie `name` in one Cookie field, as received; USH_NONE without one. */
ush_text ush__cookie(ush_text field, ush_text name);

/*
 * How much an Accept or Accept-Encoding field wants `want`, in thousandths: 0 is "not at all". The
 * most specific range decides: the thing itself, then "type/" with a star, then a star alone.
 * -1 when nothing in the list speaks of it. A malformed element is skipped. RFC 9110 §12.4.2.
 */
int ush__quality(ush_text field, ush_text want);
/* A browser: it wants text/html more than application/json. Not "*" + "/" + "*", not no Accept. */
bool ush__prefers_html(ush_text accept);
bool ush__takes_gzip(ush_text accept_encoding);

/* Whether a Content-Type is `type` ("application/json"), in UTF-8 if it names a charset. */
bool ush__media_type_is(ush_text field, ush_text type);

/* Whether If-None-Match names `etag` (quoted, strong): the weak comparison of RFC 9110 §13.1.2. */
bool ush__etag_is_listed(ush_text field, ush_text etag);

/* ---- who is behind a proxy (origin.c) ------------------------------------------------------- */

/* An address of either family; IPv4 is kept as ::ffff:a.b.c.d, so one peer has one form. */
struct ush__ip {
    unsigned char bytes[16];
};
int ush__ip_parse(ush_text t, struct ush__ip *ret); /* 0 or -EINVAL */
/* False for an address that is none of IP: a Unix socket. */
bool ush__ip_of(const struct ush_address *a, struct ush__ip *ret);

enum { USH__NETWORKS_MAX = 32 };
struct ush__networks {
    size_t count;
    bool has_unix; /* peers on Unix sockets */
    struct {
        struct ush__ip ip;
        uint8_t prefix; /* bits, of 128 */
    } list[USH__NETWORKS_MAX];
};
/* Reads "127.0.0.0/8 ::1, unix". -EINVAL and the word that is wrong: no address, a prefix that is
 * too long or cuts the address, or one network too many. */
int ush__networks_parse(ush_text list, struct ush__networks *ret, ush_text *ret_wrong);
bool ush__networks_have(const struct ush__networks *n, const struct ush__ip *ip);

struct ush__origin {
    ush_text client; /* slice of X-Forwarded-For; USH_NONE: the peer itself */
    ush_text host;   /* without X-Forwarded-Host that of the head */
    bool is_https;
};
/*
 * Who sent the request that came from `peer`. What an untrusted peer forwards is ignored. Otherwise
 * the client is the right-most hop of X-Forwarded-For that is not trusted, as everything left of it
 * may be invented. -400 when X-Forwarded-Proto or -Host contradict themselves or make no sense.
 */
int ush__origin_of(const struct ush_head *head, const struct ush__networks *trusted,
                   const struct ush_address *peer, struct ush__origin *ret);

#endif
