/*
 * form.h (internal) - from what a student typed to what op_register and op_edit are handed.
 */
#ifndef DOMAIN_FORM_H
#define DOMAIN_FORM_H

#include "domain/desk.h"

/* Nothing is sent again to one registration more often than this. */
enum { RESEND_EVERY_MS = 3600000 };

/* Fills the operation's input: texts are borrowed, keys are made in the arena. USH_ELIMIT. */
int form_keys(const struct fest *f, const struct event_entry *e, const struct desk_request *rq,
              struct ush_arena *arena, struct register_in *ret);
/* What this event asks of a request beyond the form of its fields. 0, or USH_EINVAL with faults:
 * those that decoding found (of which no second one is added) and these. */
int form_check(const struct event_entry *e, const struct desk_request *rq,
               const struct register_in *in, struct ush_faults *faults);
/* How a person is known within an event; the first eight bytes are of the address alone.
 * USH_NONE when the event does not compare or there is no address. */
ush_text form_person_key(const struct fest *f, const struct event *e, ush_text name, ush_text email,
                         struct ush_arena *arena);

#endif
