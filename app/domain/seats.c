/*
 * seats.c - the decision about places: see seats.h for the order of questions and the invariants.
 *
 * Everything is plain arithmetic over one row and three arrays, so that it can be checked against a
 * naive model over many thousand random sequences (tests/unit/app_domain/seats_test.c) and is the
 * same function under SQLite, PostgreSQL and the simulator.
 *
 * It deliberately does not know ids, keys, names or the database, and keeps nothing between calls.
 */
#include "domain/seats.h"

USH_RECORD_DEFINE(seats, SEATS_FIELDS)

const char *seats_outcome_name(enum seats_outcome o)
{
    static const char *const names[SEATS_OUTCOMES] = {
        [SEATS_CONFIRMED] = "confirmed",   [SEATS_WAITLISTED] = "waitlisted",
        [SEATS_REPLAYED] = "replayed",     [SEATS_ALREADY_REGISTERED] = "already_registered",
        [SEATS_TEAM_TAKEN] = "team_taken", [SEATS_SCHOOL_LIMIT] = "school_limit",
        [SEATS_FULL] = "sold_out",         [SEATS_NOT_OPEN] = "not_open",
        [SEATS_CLOSED] = "closed",         [SEATS_EVENT_CANCELLED] = "event_cancelled",
    };
    assert((size_t)o < SEATS_OUTCOMES);
    return names[o];
}

static bool has_free_place(const struct seats *s)
{
    return !USH_HAS(s, seats_capacity) || s->taken < s->capacity;
}

static bool has_waitlist_room(const struct seats *s)
{
    return !USH_HAS(s, seats_waitlist_capacity) || s->waiting < s->waitlist_capacity;
}

/* What the number of places says alone. */
static enum seats_outcome places_outlook(const struct seats *s)
{
    if (s->waiting == 0 && has_free_place(s))
        return SEATS_CONFIRMED;
    return has_waitlist_room(s) ? SEATS_WAITLISTED : SEATS_FULL;
}

enum seats_outcome seats_outlook(const struct seats *s, int64_t now_ms)
{
    if (s->gate == GATE_CANCELLED)
        return SEATS_EVENT_CANCELLED;
    if (s->gate != GATE_OPEN || now_ms >= s->closes_at)
        return SEATS_CLOSED;
    if (now_ms < s->opens_at)
        return SEATS_NOT_OPEN;
    return places_outlook(s);
}

int64_t seats_promotable(const struct seats *s)
{
    int64_t left = USH_HAS(s, seats_capacity) ? s->capacity - s->taken : s->waiting;
    return left < s->waiting ? left : s->waiting;
}

static bool is_claimed(const struct seats_book *book, const struct application *a,
                       struct seats_decision *ret)
{
    for (uint32_t i = 0; i < a->claim_count; i++) {
        if (!book->claims[a->claims[i]])
            continue;
        ret->claim = i;
        ret->outcome =
            a->has_team && i == a->claim_count - 1 ? SEATS_TEAM_TAKEN : SEATS_ALREADY_REGISTERED;
        return true;
    }
    return false;
}

/* Writes a registration into row and book. */
static void make(struct seats *s, struct seats_book *book, const struct application *a,
                 uint32_t index, struct seats_decision *ret)
{
    book->requests[a->request] = index;
    for (uint32_t i = 0; i < a->claim_count; i++)
        book->claims[a->claims[i]] = true;
    if (a->school != SEATS_NONE)
        book->schools[a->school]++;
    ret->seq = s->next_seq++;
    if (ret->outcome == SEATS_CONFIRMED)
        s->taken++;
    else
        ret->position = ++s->waiting;
    assert(!USH_HAS(s, seats_capacity) || s->taken <= s->capacity);
}

void seats_decide(struct seats *seats, struct seats_book *book, int64_t now_ms,
                  const struct application *applications, size_t n, struct seats_decision *ret)
{
    for (size_t i = 0; i < n; i++) {
        const struct application *a = &applications[i];
        struct seats_decision *d = &ret[i];
        *d = (struct seats_decision){.made_by = book->requests[a->request]};
        if (d->made_by != SEATS_NONE) {
            d->outcome = SEATS_REPLAYED;
            continue;
        }
        bool opens_itself = a->at_desk && seats->gate != GATE_CANCELLED;
        enum seats_outcome outlook =
            opens_itself ? places_outlook(seats) : seats_outlook(seats, now_ms);
        bool is_shut = outlook == SEATS_EVENT_CANCELLED || outlook == SEATS_CLOSED ||
                       outlook == SEATS_NOT_OPEN;
        if (!is_shut && is_claimed(book, a, d))
            continue;
        d->outcome = outlook;
        if (is_shut || outlook == SEATS_FULL)
            continue;
        if (a->school != SEATS_NONE && USH_HAS(seats, seats_school_limit) &&
            book->schools[a->school] >= seats->school_limit) {
            d->outcome = SEATS_SCHOOL_LIMIT;
            continue;
        }
        make(seats, book, a, (uint32_t)i, d);
    }
}
