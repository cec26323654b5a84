/*
 * desk.c - what a web handler calls to register.
 *
 * Checks what this event asks of a request, makes the keys, says "no" from memory where that is
 * certain (desk.h), and sends the rest to op_register.
 *
 * The keys of an event's registrations are kept as the first eight bytes of each, in an open table
 * per event, together with the seq up to which they were read:
 *
 *   absent --first late click--> loading --> complete up to covered_seq --more rows--> loading ...
 *
 * Invariants:
 *  1. A refusal from memory needs covered_seq >= next_seq of a seats row at most a second old: so
 *     no registration of that event is missing from the table.
 *     Whoever lets somebody in raises the event's shared counter before answering, and a view is
 *     used only while that counter is what it was before the view was read.
 *  2. A key that is in the table goes to the database, which decides. Eight equal bytes of two
 *     different keys cost a look-up, never an answer.
 *  3. At most SETS_MAX events and KEYS_MAX keys each are held; beyond that the database answers.
 */
#include "domain/desk.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "domain/form.h"

#include "gen/sql.h"

enum { SETS_MAX = 64, KEYS_MAX = 1 << 19, LATE_MS = 1000 };

struct key_set {
    int64_t event;
    int64_t covered_seq; /* all rows below are in the table */
    uint64_t *slots;     /* owned; 0 = free */
    uint32_t mask, count;
    bool loading, too_many;
    int64_t used_ns;
};

struct desk {
    struct key_set sets[SETS_MAX];
    struct desk_stats stats;
};

struct desk *desk_new(void)
{
    return calloc(1, sizeof(struct desk));
}

void desk_free(struct desk *d)
{
    for (size_t i = 0; d && i < SETS_MAX; i++)
        free(d->sets[i].slots);
    free(d);
}

struct desk_stats desk_stats(const struct fest *f)
{
    return f->desk->stats;
}

/* ---- the table of keys ----------------------------------------------------------------------- */

static uint64_t short_key(ush_text key)
{
    uint64_t k;
    memcpy(&k, key.at, sizeof k);
    return k ? k : 1;
}

static uint64_t *place_of(uint64_t *slots, uint32_t mask, uint64_t key)
{
    uint32_t i = (uint32_t)(key >> 32) & mask;
    while (slots[i] && slots[i] != key)
        i = (i + 1) & mask;
    return &slots[i];
}

static int set_add(struct key_set *s, ush_text key)
{
    if (s->count * 2 >= s->mask) {
        uint32_t mask = s->mask ? s->mask * 2 + 1 : 255;
        uint64_t *slots = mask < 2 * KEYS_MAX ? calloc(mask + 1, sizeof *slots) : NULL;
        if (!slots)
            return USH_ELIMIT;
        for (uint32_t i = 0; s->slots && i <= s->mask; i++)
            if (s->slots[i])
                *place_of(slots, mask, s->slots[i]) = s->slots[i];
        free(s->slots);
        s->slots = slots;
        s->mask = mask;
    }
    uint64_t *place = place_of(s->slots, s->mask, short_key(key));
    s->count += !*place;
    *place = short_key(key);
    return 0;
}

static bool set_has(const struct key_set *s, ush_text key)
{
    return s->slots && *place_of(s->slots, s->mask, short_key(key)) != 0;
}

#define MEMBER_ROW_FIELDS(F, R) F(R, I64, id) F(R, BYTES, request) F(R, BYTES, person)
USH_RECORD(member_row, MEMBER_ROW_FIELDS)
USH_RECORD_DEFINE(member_row, MEMBER_ROW_FIELDS)

struct loading {
    struct key_set *set;
    int64_t next_seq;
};

static int take_member(void *ctx, const void *row)
{
    struct loading *l = ctx;
    const struct member_row *m = row;
    int rc = set_add(l->set, m->request);
    if (rc == 0 && m->person.at)
        rc = set_add(l->set, m->person);
    l->next_seq = registration_seq_of(m->id) + 1;
    return rc;
}

/* In a thread. Nobody else touches a set that is loading. */
static int load_members(struct ush_tx *view, void *arg)
{
    struct loading *l = arg;
    int64_t event = l->set->event;
    return ush_each(view, &sql_members_since, &member_row_record, take_member, l,
                    USH_VALUES(registration_make_id(event, l->next_seq - 1),
                               registration_make_id(event + 1, 0)));
}

/* The set of an event, complete up to next_seq; NULL when the database had better answer. */
static struct key_set *set_for(struct fest *f, int64_t event, int64_t next_seq)
{
    struct key_set *s = NULL, *oldest = NULL;
    for (size_t i = 0; i < SETS_MAX && !s; i++) {
        struct key_set *at = &f->desk->sets[i];
        if (at->event == event)
            s = at;
        else if (!at->loading && (!oldest || at->used_ns < oldest->used_ns))
            oldest = at;
    }
    if (!s && oldest) {
        free(oldest->slots);
        *oldest = (struct key_set){.event = event, .covered_seq = 1};
        s = oldest;
    }
    if (!s || s->loading || s->too_many)
        return NULL;
    s->used_ns = ush_now_ns();
    if (s->covered_seq >= next_seq)
        return s;
    struct loading l = {s, s->covered_seq};
    s->loading = true;
    int rc = ush_read(f->db, load_members, &l);
    s->loading = false;
    s->too_many = rc == USH_ELIMIT;
    /* A reading that failed half-way has only added keys: the next one goes on from before. */
    if (rc >= 0)
        s->covered_seq = l.next_seq;
    return rc >= 0 && s->covered_seq >= next_seq ? s : NULL;
}

/* ---- refusals from memory -------------------------------------------------------------------- */

static bool is_refusal(enum seats_outcome o)
{
    return o == SEATS_FULL || o == SEATS_NOT_OPEN || o == SEATS_CLOSED ||
           o == SEATS_EVENT_CANCELLED;
}

static _Atomic uint64_t *counter_of(const struct fest *f, int64_t event)
{
    return &f->shared->made[event % FEST_COUNTERS];
}

/* The list still says the truth about who is in. */
static bool is_recent(const struct fest *f, const struct event_list *l, int64_t event)
{
    return ush_now_ns() - l->read_ns < LATE_MS * (int64_t)USH_MS &&
           l->made[event % FEST_COUNTERS] == atomic_load(counter_of(f, event));
}

static bool is_known(const struct key_set *set, const struct register_in *in)
{
    const struct desk_place *people = in->people.at;
    if (set_has(set, in->request_key))
        return true;
    for (size_t i = 0; i < in->people.count; i++)
        if (people[i].dedupe_key.at && set_has(set, people[i].dedupe_key))
            return true;
    return false;
}

static bool refuse_from_memory(struct fest *f, const struct event_list *list,
                               const struct event_entry *e, const struct register_in *in,
                               struct desk_answer *ret)
{
    if (in->source == SOURCE_DESK || !is_refusal(seats_outlook(&e->seats, ush_wall_ms())))
        return false;
    if (!is_recent(f, list, in->event_id)) {
        events_forget(f);
        return false;
    }
    const struct key_set *set = set_for(f, in->event_id, e->seats.next_seq);
    /* Making the set may have suspended: the row may be another one now. */
    int64_t now_ms = ush_wall_ms();
    enum seats_outcome outcome = seats_outlook(&e->seats, now_ms);
    if (!set || !is_recent(f, list, in->event_id) || !is_refusal(outcome) ||
        set->covered_seq < e->seats.next_seq || is_known(set, in))
        return false;
    *ret = (struct desk_answer){.outcome = outcome,
                                .opens_at = e->seats.opens_at,
                                .closes_at = e->seats.closes_at,
                                .school_limit = e->seats.school_limit,
                                .decided_at = now_ms,
                                .from_memory = true};
    return true;
}

/* ---- submit ---------------------------------------------------------------------------------- */

static int ask_database(struct fest *f, const struct event_entry *e, struct register_in *in,
                        struct ush_arena *arena, struct desk_answer *ret)
{
    ush_random(&in->submit_id, sizeof in->submit_id);
    USH_TRY(fest_store(f, &op_register, in, ret, arena));
    if (ret->outcome == SEATS_CONFIRMED || ret->outcome == SEATS_WAITLISTED)
        atomic_fetch_add(counter_of(f, in->event_id), 1);
    if (ret->outcome == SEATS_CONFIRMED || ret->outcome == SEATS_WAITLISTED || ret->resent)
        fest_wake_jobs(f);
    /* The memory does not know yet that it is full: read it anew, so the next can be told there. */
    if (is_refusal(ret->outcome) && !is_refusal(seats_outlook(&e->seats, ush_wall_ms())))
        events_forget(f);
    return 0;
}

static int submit(struct fest *f, const struct desk_request *rq, struct ush_arena *arena,
                  struct ush_faults *faults, struct desk_answer *ret)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct register_in in;
    USH_TRY(events_take(f, &list));
    const struct event_entry *e = event_find(list, rq->event);
    if (!e)
        return USH_ENOTFOUND;
    USH_TRY(form_keys(f, e, rq, arena, &in));
    USH_TRY(form_check(e, rq, &in, faults));
    if (refuse_from_memory(f, list, e, &in, ret))
        f->desk->stats.from_memory++;
    else
        USH_TRY(ask_database(f, e, &in, arena, ret));
    return 0;
}

int desk_submit(struct fest *f, const struct desk_request *rq, struct ush_arena *arena,
                struct ush_faults *faults, struct desk_answer *ret)
{
    USH_TRY(submit(f, rq, arena, faults, ret));
    while (ret->is_outdated) {
        events_forget(f);
        USH_TRY(submit(f, rq, arena, faults, ret));
    }
    f->desk->stats.submitted++;
    f->desk->stats.outcomes[ret->outcome]++;
    return 0;
}
