/*
 * stats.c - the numbers of the dashboard (stats.h), from one view of the database.
 */
#include "domain/stats.h"

#include "domain/mail_status.h"
#include "domain/places.h"
#include "gen/sql.h"

enum { MINUTE_MS = 60000, FRESH_NS = 2000 * USH_MS, FRESH_READINGS = 50, READING_MAX = 4 << 20 };

#define COUNT_ROW_FIELDS(F, R) F(R, I64, event) F(R, I64, minute) F(R, I64, n)
USH_RECORD(count_row, COUNT_ROW_FIELDS)
USH_RECORD_DEFINE(count_row, COUNT_ROW_FIELDS)

struct reading {
    struct ush_arena *arena;
    struct fest_stats *stats;
    size_t room;
};

/* The entry of an event, made at its place in the order if there is none; NULL without memory. */
static struct event_stats *entry(struct reading *r, int64_t event)
{
    struct fest_stats *s = r->stats;
    size_t i = s->count;
    while (i > 0 && s->at[i - 1].event > event)
        i--;
    if (i > 0 && s->at[i - 1].event == event)
        return &s->at[i - 1];
    if (s->count == r->room)
        return NULL;
    memmove(&s->at[i + 1], &s->at[i], (s->count - i) * sizeof *s->at);
    s->at[i] = (struct event_stats){.event = event};
    s->count++;
    return &s->at[i];
}

static int read_stats(struct ush_tx *view, void *arg)
{
    struct reading *r = arg;
    struct fest_stats *s = r->stats;
    struct ush_rows arrivals, in;
    int64_t first = view->now_ms / MINUTE_MS - STATS_MINUTES + 1;
    s->now_ms = view->now_ms;
    USH_TRY(ush_all(view, &sql_arrivals, &count_row_record, ASKING_MAX, &arrivals,
                    USH_VALUES(first * MINUTE_MS)));
    USH_TRY(
        ush_all(view, &sql_attendance_counts, &count_row_record, ASKING_MAX, &in, USH_NO_VALUES));
    USH_TRY(number_read(view, &sql_mails_sent_since, &s->mails_last_minute,
                        USH_VALUES(view->now_ms - MINUTE_MS)));
    r->room = arrivals.count + in.count;
    s->at = USH_NEW_N(r->arena, struct event_stats, r->room + 1);
    if (!s->at)
        return USH_ELIMIT;
    for (size_t i = 0; i < r->room; i++) {
        bool arrived = i < arrivals.count;
        const struct count_row *row = arrived ? (struct count_row *)arrivals.at + i
                                              : (struct count_row *)in.at + i - arrivals.count;
        struct event_stats *e = entry(r, row->event);
        int64_t minute = row->minute - first;
        if (!e)
            return USH_ELIMIT;
        if (!arrived)
            e->checked_in = row->n;
        else if (minute >= 0 && minute < STATS_MINUTES)
            e->arrivals[minute] = row->n;
    }
    return 0;
}

static int read_all(struct fest *f, struct ush_arena *arena, struct fest_stats *ret)
{
    struct reading r = {.arena = arena, .stats = ret};
    struct ush_rows totals, failed;
    *ret = (struct fest_stats){0};
    USH_TRY(ush_read(f->db, read_stats, &r));
    USH_TRY(mail_status(f, arena, &totals, &failed));
    const struct mail_total *t = totals.at;
    for (size_t i = 0; i < totals.count; i++) {
        bool waits = ush_text_equal(t[i].state, USH_T("queued")) ||
                     ush_text_equal(t[i].state, USH_T("running"));
        *(waits                                       ? &ret->mails_waiting
          : ush_text_equal(t[i].state, USH_T("sent")) ? &ret->mails_sent
                                                      : &ret->mails_failed) += t[i].mails;
    }
    return 0;
}

static int renew(struct fest *f, struct stats_cache *c)
{
    int64_t from_ns = ush_now_ns();
    if (from_ns < c->fresh_until_ns)
        return 0;
    ush_arena_reset(&c->arena);
    c->fresh_until_ns = 0;
    USH_TRY(read_all(f, &c->arena, &c->stats));
    int64_t now_ns = ush_now_ns(), rest_ns = (now_ns - from_ns) * FRESH_READINGS;
    c->fresh_until_ns = now_ns + (rest_ns > FRESH_NS ? rest_ns : FRESH_NS);
    return 0;
}

int stats_take(struct fest *f, struct stats_cache *c, struct ush_arena *arena,
               struct fest_stats *ret)
{
    if (!c->arena.cap_bytes) {
        ush_mutex_init(&c->lock, "statistics");
        ush_arena_init(&c->arena, NULL, 0, READING_MAX);
    }
    USH_TRY(ush_mutex_lock(&c->lock));
    int r = renew(f, c);
    if (r == 0) {
        *ret = c->stats;
        ret->at = USH_NEW_N(arena, struct event_stats, ret->count + 1);
        if (ret->at && ret->count)
            memcpy(ret->at, c->stats.at, ret->count * sizeof *ret->at);
    }
    ush_mutex_unlock(&c->lock);
    return r < 0 || ret->at ? r : USH_ELIMIT;
}

struct event_stats stats_of(const struct fest_stats *s, int64_t event)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->at[i].event == event)
            return s->at[i];
    return (struct event_stats){.event = event};
}

int64_t stats_mails_done_at(const struct fest_stats *s)
{
    if (!s->mails_waiting || !s->mails_last_minute)
        return 0;
    return s->now_ms + s->mails_waiting * MINUTE_MS / s->mails_last_minute;
}
