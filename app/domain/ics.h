/*
 * ics.h - a calendar file for one registration or event (RFC 5545, METHOD:PUBLISH).
 *
 * PUBLISH and not REQUEST: with REQUEST a calendar shows Accept and Decline, and a student believes
 * that Decline gave the place back. Times are UTC with Z, so there is no zone block to get wrong.
 */
#ifndef DOMAIN_ICS_H
#define DOMAIN_ICS_H

#include "domain/events.h"

struct ics_entry {
    ush_text uid;    /* stable for the registration: "<public id>@host" */
    ush_text url;    /* USH_NONE = none */
    ush_text prefix; /* before the title: "Waitlist: ", or USH_NONE */
    int64_t stamp_ms;
    bool cancelled;
};
/* Lines end in CRLF and are folded at 75 octets, never inside a character. */
void ics_write(const struct event *e, const struct ics_entry *entry, struct ush_buf *out);

#endif
