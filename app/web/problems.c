/*
 * problems.c - every kind of failure that this application answers with, beside the library's own.
 *
 * The code is stable and for machines; the title is for people; what happened in a case is said by
 * the handler in `detail`.
 */
#include "web/web.h"

#define PROBLEM(name, code, status, title, doc)                                                    \
    const struct ush_problem problem_##name = {code, status, title, doc}

PROBLEM(sold_out, "sold_out", 409, "No places left",
        "All places are taken, and so is the waitlist if there is one.");
PROBLEM(already_registered, "already_registered", 409, "Already registered",
        "This person has a place in this event. The private link was sent again to the stored "
        "address, at most once an hour (member `resent`).");
PROBLEM(team_taken, "team_taken", 409, "A team of this name is registered",
        "Another team of this event has this name.");
PROBLEM(school_limit, "school_limit", 409, "The school's places are taken",
        "The event limits the places per school (member `limit`).");
PROBLEM(not_open, "not_open", 409, "Registration is not open yet",
        "Members `opens_at` and `server_time` say when it opens.");
PROBLEM(closed, "closed", 409, "Registration is closed", "Member `closed_at` says since when.");
PROBLEM(event_cancelled, "event_cancelled", 410, "The event is cancelled",
        "It will not come back.");
PROBLEM(key_reused, "idempotency_key_reused", 422, "The Idempotency-Key was used before",
        "The same key came with another request. Use a new key for a new request.");
PROBLEM(key_invalid, "idempotency_key_invalid", 400, "The Idempotency-Key is not valid",
        "8 to 255 visible ASCII characters, with or without quotes.");
PROBLEM(no_event, "not_found", 404, "No such event", "There is no event of this name.");
PROBLEM(no_registration, "not_found", 404, "No such registration",
        "There is no such registration, or the link is no longer valid.");
PROBLEM(unauthenticated, "unauthenticated", 401, "The manage token is missing",
        "Send the token of the private link as `Authorization: Bearer`.");
PROBLEM(deadline_passed, "deadline_passed", 409, "It is too late for this",
        "Member `deadline` says until when it was possible.");
PROBLEM(too_soon, "too_soon", 429, "The mail was sent a moment ago",
        "At most one mail an hour; Retry-After says when.");
PROBLEM(not_confirmed, "not_confirmed", 409, "There is no ticket",
        "Only a confirmed registration has a ticket.");
PROBLEM(foreign_origin, "foreign_origin", 403, "This form was sent from another site",
        "Forms are accepted from this site only.");
PROBLEM(session_over, "unauthenticated", 401, "Please log in",
        "The session is over: 12 hours after its last use, or because the account changed.");
PROBLEM(forbidden, "forbidden", 403, "Not allowed", "This account may not do this.");
