/*
 * events.c - the events in memory, once per worker.
 *
 *   events_take --fresh?--> the list as it is
 *        |no
 *        +--> one task reads (others wait for it): seats rows, and the texts if a version changed
 *                 versions equal: seats are brought up to date in the list that is there
 *                 else:           a new list takes its place; the old one goes with its last holder
 *
 * Invariants:
 *  1. A list's texts never change while anybody holds it; its seats rows may, between suspensions.
 *  2. Reading happens at most once per second, and only when somebody asks.
 *  3. events_forget counts an epoch: a reading that began before it does not count as fresh.
 *  4. When the database is away the last list stays in use; read_ns says how old it is.
 */
#include "domain/events.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(event, EVENT_FIELDS)

enum { EVENTS_MAX = 5000, FRESH_MS = 1000, LIST_BYTES_MAX = 64 << 20 };

/* A seats row and the version of its event's texts. */
#define SEATS_ROW_FIELDS(F, R)                                                                     \
    SEATS_FIELDS(F, R)                                                                             \
    F(R, I64, version)
USH_RECORD(seats_row, SEATS_ROW_FIELDS)
USH_RECORD_DEFINE(seats_row, SEATS_ROW_FIELDS)
static_assert(offsetof(struct seats_row, promote_until) == offsetof(struct seats, promote_until),
              "seats_row begins with a struct seats");

struct events_cache {
    struct ush_db *db;
    struct event_list *list; /* held by the cache; NULL before the first reading */
    struct ush_mutex reading;
    uint64_t epoch, read_epoch;
    int64_t tried_ns; /* the last reading, successful or not */
};

static struct seats seats_of(const struct seats_row *row)
{
    struct seats s;
    memcpy(&s, row, sizeof s);
    s.has &= ~(UINT64_C(1) << seats_row_version);
    return s;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_free(struct event_list *l)
{
    ush_map_fini(&l->by_slug);
    ush_arena_fini(&l->arena);
    free(l);
}

void events_give(struct event_list *l)
{
    assert(l->holders > 0);
    if (--l->holders == 0)
        list_free(l);
}

/* A list of the events that have a seats row, which all have. `rows` ascend by event. */
static struct event_list *list_new(const struct ush_rows *events, const struct ush_rows *rows)
{
    struct event_list *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    ush_arena_init(&l->arena, NULL, 0, LIST_BYTES_MAX);
    ush_map_init(&l->by_slug, EVENTS_MAX, 0);
    l->at = USH_NEW_N(&l->arena, struct event_entry, events->count + 1);
    l->by_id = USH_NEW_N(&l->arena, struct event_entry *, rows->count + 1);
    for (size_t i = 0; l->at && l->by_id && i < events->count; i++) {
        struct event_entry *e = &l->at[l->count];
        e->event = ((struct event *)events->at)[i];
        for (size_t k = 0; k < rows->count; k++) {
            const struct seats_row *row = (struct seats_row *)rows->at + k;
            if (row->event_id != e->event.id)
                continue;
            e->seats = seats_of(row);
            l->by_id[k] = e;
            l->count++;
            if (row_keep(&event_record, &e->event, &l->arena) < 0 ||
                ush_map_set(&l->by_slug, e->event.slug, e) < 0)
                break;
        }
    }
    if (!l->arena.failed && l->by_slug.count == l->count && l->count == rows->count)
        return l;
    list_free(l);
    return NULL;
}

struct event_entry *event_find(const struct event_list *l, ush_text slug)
{
    return ush_map_get(&l->by_slug, slug);
}

struct event_entry *event_find_id(const struct event_list *l, int64_t id)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (l->by_id[middle]->event.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < l->count && l->by_id[low]->event.id == id ? l->by_id[low] : NULL;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
    const struct event_list *old; /* may be NULL */
    struct event_list *fresh;     /* made when a version differs */
    struct seats *seats;          /* malloc; else, in the order of old->by_id */
    size_t count;
};

static bool same_versions(const struct event_list *l, const struct ush_rows *rows)
{
    if (!l || l->count != rows->count)
        return false;
    for (size_t i = 0; i < rows->count; i++) {
        const struct seats_row *row = (struct seats_row *)rows->at + i;
        const struct event *e = &l->by_id[i]->event;
        if (row->event_id != e->id || row->version != e->version)
            return false;
    }
    return true;
}

/* In a thread: sees one moment, touches only `arg`. */
static int read_view(struct ush_tx *view, void *arg)
{
    struct reading *r = arg;
    struct ush_rows rows, events;
    USH_TRY(ush_all(view, &sql_seats_all, &seats_row_record, EVENTS_MAX, &rows, USH_NO_VALUES));
    if (!same_versions(r->old, &rows)) {
        USH_TRY(ush_all(view, &sql_events_all, &event_record, EVENTS_MAX, &events, USH_NO_VALUES));
        r->fresh = list_new(&events, &rows);
        return r->fresh ? 0 : -ENOMEM;
    }
    r->count = rows.count;
    r->seats = malloc((rows.count + 1) * sizeof *r->seats);
    if (!r->seats)
        return -ENOMEM;
    for (size_t i = 0; i < rows.count; i++)
        r->seats[i] = seats_of((struct seats_row *)rows.at + i);
    return 0;
}

static int read_anew(struct fest *f)
{
    struct events_cache *c = f->events;
    struct reading r = {.old = c->list};
    uint64_t epoch = c->epoch, made[FEST_COUNTERS];
    for (size_t i = 0; i < FEST_COUNTERS; i++)
        made[i] = atomic_load(&f->shared->made[i]);
    int64_t began = ush_now_ns();
    c->tried_ns = began;
    int rc = ush_read(c->db, read_view, &r);
    if (rc >= 0) {
        if (r.fresh) {
            r.fresh->holders = 1;
            if (c->list)
                events_give(c->list);
            c->list = r.fresh;
            r.fresh = NULL;
        }
        for (size_t i = 0; i < r.count; i++)
            c->list->by_id[i]->seats = r.seats[i];
        memcpy(c->list->made, made, sizeof made);
        c->list->read_ns = began;
        c->read_epoch = epoch;
    }
    if (r.fresh)
        list_free(r.fresh);
    free(r.seats);
    return rc;
}

static bool is_fresh(const struct events_cache *c)
{
    return c->list && c->read_epoch == c->epoch &&
           ush_now_ns() - c->list->read_ns < FRESH_MS * (int64_t)USH_MS;
}

int events_take(struct fest *f, struct event_list **ret)
{
    struct events_cache *c = f->events;
    if (!is_fresh(c)) {
        USH_TRY(ush_mutex_lock(&c->reading));
        /* A database that is away is asked once per second, not once per request. */
        bool rest = c->list && c->read_epoch == c->epoch &&
                    ush_now_ns() - c->tried_ns < FRESH_MS * (int64_t)USH_MS;
        int rc = is_fresh(c) || rest ? 0 : read_anew(f);
        ush_mutex_unlock(&c->reading);
        if (rc < 0 && (!c->list || rc == -ECANCELED || rc == -ETIMEDOUT))
            return rc;
    }
    c->list->holders++;
    *ret = c->list;
    return 0;
}

void events_forget(struct fest *f)
{
    f->events->epoch++;
}

struct events_cache *events_cache_new(struct ush_db *db)
{
    struct events_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->db = db;
    ush_mutex_init(&c->reading, "events");
    return c;
}

void events_cache_free(struct events_cache *c)
{
    if (c && c->list)
        events_give(c->list);
    free(c);
}

/* ---- for tools ------------------------------------------------------------------------------- */

struct all_events {
    ush_text slug; /* USH_NONE = all */
    struct ush_arena *arena;
    struct event_entry *at;
    size_t count;
};

static int read_entries(struct ush_tx *view, void *arg)
{
    struct all_events *a = arg;
    struct ush_rows events, rows;
    USH_TRY(ush_all(view, &sql_events_all, &event_record, EVENTS_MAX, &events, USH_NO_VALUES));
    USH_TRY(ush_all(view, &sql_seats_all, &seats_row_record, EVENTS_MAX, &rows, USH_NO_VALUES));
    a->at = USH_NEW_N(a->arena, struct event_entry, events.count + 1);
    if (!a->at)
        return USH_ELIMIT;
    for (size_t i = 0; i < events.count; i++) {
        const struct event *e = (struct event *)events.at + i;
        for (size_t k = 0; k < rows.count; k++) {
            const struct seats_row *row = (struct seats_row *)rows.at + k;
            if (row->event_id != e->id || (a->slug.at && !ush_text_equal(a->slug, e->slug)))
                continue;
            a->at[a->count] = (struct event_entry){*e, seats_of(row)};
            USH_TRY(row_keep(&event_record, &a->at[a->count++].event, a->arena));
        }
    }
    return 0;
}

int event_read(struct ush_db *db, ush_text slug, struct ush_arena *arena, struct event_entry *ret)
{
    struct all_events a = {.slug = slug, .arena = arena};
    USH_TRY(ush_read(db, read_entries, &a));
    if (!a.count)
        return USH_ENOTFOUND;
    *ret = a.at[0];
    return 0;
}

int events_read(struct ush_db *db, struct ush_arena *arena, struct ush_rows *ret)
{
    struct all_events a = {.arena = arena};
    USH_TRY(ush_read(db, read_entries, &a));
    *ret = (struct ush_rows){a.at, a.count};
    return 0;
}

/* ---- words ----------------------------------------------------------------------------------- */

enum event_state event_state(const struct event_entry *e, int64_t now_ms)
{
    switch (seats_outlook(&e->seats, now_ms)) {
    case SEATS_EVENT_CANCELLED:
        return EVENT_CANCELLED;
    case SEATS_NOT_OPEN:
        return EVENT_NOT_OPEN;
    case SEATS_CONFIRMED:
        return EVENT_OPEN;
    case SEATS_WAITLISTED:
        return EVENT_WAITLIST;
    case SEATS_FULL:
        return EVENT_FULL;
    default:
        return now_ms >= e->event.ends_at ? EVENT_OVER : EVENT_CLOSED;
    }
}

const char *event_state_name(enum event_state s)
{
    static const char *const names[] = {"not_open", "open",      "waitlist", "full",
                                        "closed",   "cancelled", "over"};
    assert((size_t)s < USH_COUNT(names));
    return names[s];
}

const char *event_band(const struct seats *s)
{
    if (!USH_HAS(s, seats_capacity))
        return s->waiting ? "full" : "many";
    int64_t left = s->capacity - s->taken;
    if (left <= 0 || s->waiting > 0)
        return "full";
    if (left <= 3 || left * 20 <= s->capacity)
        return "last";
    return left * 5 <= s->capacity ? "few" : "many";
}

void event_time_format(const struct event *e, int64_t wall_ms, char out[40])
{
    static const char days[] = "SunMonTueWedThuFriSat",
                      months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct ush_civil c = ush_civil_from_ms(wall_ms, (int)e->utc_offset_min);
    snprintf(out, 40, "%.3s %d %.3s %d, %02d:%02d", days + 3 * c.weekday, c.day,
             months + 3 * (c.month - 1), c.year, c.hour, c.minute);
}
