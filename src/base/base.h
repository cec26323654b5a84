/*
 * base.h (internal) - the table of contents of src/base, and what its files share.
 *
 *     arena.c     memory given back at once        civil.c     calendar, RFC 3339, HTTP dates
 *     buf.c       bytes that grow up to a limit    log.c       one line, one write
 *     text.c      slices, numbers, UTF-8           settings.c  file, environment, options
 *     escape.c    HTML, JSON, percent, base 64/32  error.c     a sentence for each code
 *     map.c       text to pointer                  nearest.c   "did you mean"
 *     times.c     how long it took lately
 *
 * Nothing here includes anything of another folder.
 */
#ifndef USHER_BASE_BASE_H
#define USHER_BASE_BASE_H

#include "usher/base.h"

/* Takes one character off non-empty, arbitrary bytes and returns it; for bytes that begin none
 * takes the maximal malformed part and returns -1. */
int32_t ush__utf8_step(ush_text *rest);

/* Slips of the pen between two words, case aside; UINT32_MAX for long ones. */
unsigned ush__distance(ush_text a, ush_text b);

#endif
