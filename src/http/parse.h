/*
 * parse.h - the pure readers of the protocol: what head.c, chunks.c, path.c and header.c share, and
 * what the rest of src/http takes from them beside the three functions in usher/http.h.
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

/* ---- classes of bytes (head.c) --------------------------------------------------------------- */

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

#endif
