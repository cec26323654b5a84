/*
 * listen.c - a worker reads announcements as it has room, and knows when it may rely on them.
 *
 *            room                     claimed, or nothing to claim
 *   empty --XREADGROUP--> heard ------------------------------------> tried --XACK, XDEL--> empty
 *     ^                     |
 *     +---- claim failed ---+   (the announcer repeats them after a second)
 *
 * The group hands an entry to one worker, so hosts share the work. It is acknowledged and deleted
 * when its claim was tried, not when the job has ended: from the claim on the row, its lease and
 * its fence say who runs it, and the stream holds only what nobody has tried yet.
 *
 * Invariants
 *  1. Not more is read than there are free slots, so what waits, waits where others can take it.
 *  2. Nothing is read while something heard has not been tried, nor while claims fail.
 *  3. `is_fed` only while the epoch moves: the announcer raises it once per round, after the
 * round's announcements. So a worker that is fed misses nothing that was due a round ago, and one
 * whose Redis, announcer, or announcer's database is away asks the table itself.
 *  4. An epoch that goes back says that Redis was wiped or given an old snapshot. The worker asks
 *     the table at once; the announcer repeats what the streams lost by looking at them.
 *
 * All workers are one consumer of the group. Its name would only matter for who may take over what
 * was delivered to a worker that died, and that goes by age (announce.c).
 */
#include <stdio.h>
#include <stdlib.h>

#include "jobs/jobs.h"

enum {
    BLOCK_MS = 250,  /* in the server, for an announcement */
    STALE_MS = 1200, /* an epoch that has not moved for so long is nobody's */
    PAUSE_MS = 100,  /* between two tries while Redis is away */
};

struct ush__feed *ush__feed_new(struct ush_jobs *j, int *ret_error)
{
    struct ush__feed *f = calloc(1, sizeof *f);
    struct ush_redis_options o = {.url = j->o.redis_url};
    if (!f) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    f->jobs = j;
    f->prefix = j->o.redis_prefix ? j->o.redis_prefix : USH__REDIS_PREFIX;
    f->lanes = j->o.lanes;
    while (f->lanes[f->lane_count])
        f->lane_count++;
    assert(f->lane_count >= 1 && f->lane_count <= USH__LANES_MAX);
    f->moved_ns = ush_now_ns();
    ush_event_init(&f->turn, "room for jobs");
    f->listener = ush_redis_new(&o, ret_error);
    f->announcer = f->listener ? ush_redis_new(&o, ret_error) : NULL;
    if (f->announcer)
        return f;
    ush__feed_free(f);
    return NULL;
}

void ush__feed_free(struct ush__feed *f)
{
    if (!f)
        return;
    ush_redis_free(f->listener);
    ush_redis_free(f->announcer);
    free(f);
}

/* ---- what the claiming task asks ------------------------------------------------------------- */

size_t ush__feed_ids(const struct ush__feed *f, size_t n, struct ush_buf *to)
{
    size_t waiting = f->heard_count - f->tried;
    n = n < waiting ? n : waiting;
    for (size_t i = 0; i < n; i++) {
        ush_buf_add_byte(to, i ? ',' : '[');
        ush_buf_add_i64(to, f->heard[f->tried + i].job);
    }
    ush_buf_add_byte(to, ']');
    return n;
}

void ush__feed_tried(struct ush__feed *f, int n)
{
    if (n < 0)
        f->heard_count = f->tried; /* not acknowledged */
    else
        f->tried += (size_t)n;
    ush_event_set(&f->turn);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* How many may come of each lane, and which lanes are read: a read gives that many of each. */
struct share {
    size_t first, count; /* lanes */
    size_t each;
};

static struct share share_of(struct ush__feed *f, size_t room)
{
    const struct ush_jobs *j = f->jobs;
    uint32_t half = (j->o.at_once + 1) / 2;
    size_t rest = j->rest < half ? half - j->rest : 0, others = f->lane_count - 1;
    struct share s = {.count = 1, .each = room};
    if (others == 0 || rest == 0)
        return s;
    if (room >= f->lane_count && rest >= others) {
        s.count = f->lane_count;
        s.each = room / s.count < rest / others ? room / s.count : rest / others;
    } else { /* for one job: the lanes take turns */
        s.first = f->reads++ % f->lane_count;
        s.each = 1;
    }
    return s;
}

static void say_read(struct ush__feed *f, struct ush__talk *t, const struct share *s)
{
    char lanes[USH__LANES_MAX * 48] = "", ids[USH__LANES_MAX * 2 + 1] = "";
    size_t n = 0;
    for (size_t i = s->first; i < s->first + s->count; i++) {
        n += (size_t)snprintf(lanes + n, sizeof lanes - n, " %s:lane:%s", f->prefix, f->lanes[i]);
        strcat(ids, " >");
    }
    /* When lanes take turns, the others are not kept waiting. */
    int block = s->count == 1 && s->each == 1 && f->lane_count > 1 ? BLOCK_MS / 10 : BLOCK_MS;
    ush__talk_say(t, "XREADGROUP GROUP workers worker COUNT %zu BLOCK %d STREAMS%s%s", s->each,
                  block, lanes, ids);
}

static size_t lane_of(const struct ush__feed *f, const struct ush_redis_reply *key)
{
    for (size_t i = 0; i < f->lane_count; i++)
        if (ush_text_ends(key->text, ush_text_of(f->lanes[i])))
            return i;
    return 0;
}

/* [[key, [[id, [field, value]], ...]], ...] */
static void hear(struct ush__feed *f, const struct ush_redis_reply *streams)
{
    for (size_t s = 0; s < ush__reply_count(streams); s++) {
        const struct ush_redis_reply *stream = &streams->items[s];
        if (ush__reply_count(stream) != 2)
            continue;
        const struct ush_redis_reply *entries = &stream->items[1];
        for (size_t i = 0; i < ush__reply_count(entries); i++) {
            struct ush__entry *e = &f->heard[f->heard_count];
            if (f->heard_count == USH_COUNT(f->heard) || !ush__entry_parse(&entries->items[i], e))
                break;
            e->lane = lane_of(f, &stream->items[0]);
            f->heard_count++;
        }
    }
    if (f->heard_count)
        ush__jobs_wake(f->jobs);
}

static int64_t epoch_of(const struct ush_redis_reply *r)
{
    int64_t epoch = 0;
    if (r->type == USH_REDIS_STRING)
        ush_text_i64(r->text, &epoch);
    return epoch;
}

/* ---- whether to rely on it ------------------------------------------------------------------- */

static void look_at_table(struct ush_jobs *j)
{
    j->is_hinted = true;
    ush__jobs_wake(j);
}

static void see_epoch(struct ush__feed *f, int64_t epoch)
{
    if (epoch == f->epoch)
        return;
    if (epoch < f->epoch) {
        ush_warn(
            "jobs.redis_lost",
            "Redis was wiped or given an old snapshot (epoch %lld after %lld); nothing is lost",
            (long long)epoch, (long long)f->epoch);
        look_at_table(f->jobs);
    }
    f->epoch = epoch;
    f->moved_ns = ush_now_ns();
}

static void judge(struct ush__feed *f, int result)
{
    struct ush_jobs *j = f->jobs;
    bool is_stale = ush_now_ns() - f->moved_ns >= STALE_MS * (int64_t)USH_MS;
    bool was_fed = j->is_fed;
    j->is_fed = result >= 0 && f->epoch && !is_stale;
    if (is_stale && !f->was_said)
        ush_warn("jobs.unfed", "no announcements over Redis (%s); this worker asks each second",
                 result < 0 ? ush_error_text(result) : "nobody makes them");
    else if (j->is_fed && f->was_said)
        ush_info("jobs.fed", "announcements over Redis are there again");
    f->was_said = (f->was_said || is_stale) && !j->is_fed;
    if (was_fed && !j->is_fed)
        look_at_table(j);
    else if (j->is_fed && !was_fed)
        ush__jobs_wake(j); /* it waits for another moment now */
}

/* Acknowledges what was tried and reads what there is room for. */
static int exchange(struct ush__feed *f, size_t room)
{
    struct ush__talk t;
    ush__talk_begin(&t, 2 * f->tried + 2);
    for (size_t i = 0; i < f->tried; i++) {
        const struct ush__entry *e = &f->heard[i];
        const char *lane = f->lanes[e->lane];
        ush__talk_say(&t, "XACK %s:lane:%s workers %s", f->prefix, lane, e->name);
        ush__talk_say(&t, "XDEL %s:lane:%s %s", f->prefix, lane, e->name);
    }
    size_t at = t.count;
    f->heard_count = f->tried = 0; /* an acknowledgement that is lost is repaired like a death */
    if (room) {
        struct share s = share_of(f, room);
        say_read(f, &t, &s);
        ush__talk_say(&t, "GET %s:epoch:%s", f->prefix, f->jobs->lanes);
    }
    int r = ush__talk_end(&t, f->listener, room ? BLOCK_MS : 0);
    /* Without a group (nobody announced yet, or Redis was wiped) the read is refused. */
    if (r == 0 && room && t.replies[at].type == USH_REDIS_ERROR)
        r = USH_EINVAL;
    if (r == 0 && room) {
        see_epoch(f, epoch_of(&t.replies[at + 1]));
        hear(f, &t.replies[at]);
    }
    ush__talk_fini(&t);
    return r;
}

int ush__feed_listen(void *feed)
{
    struct ush__feed *f = feed;
    while (ush_cancelled() == 0 && !f->jobs->is_stopping) {
        ush_event_reset(&f->turn);
        size_t room = f->jobs->is_away ? 0 : ush__jobs_room(f->jobs);
        if (f->tried < f->heard_count || (f->tried == 0 && room == 0)) {
            ush_event_wait(&f->turn);
            continue;
        }
        int r = exchange(f, room);
        if (ush_cancelled() < 0)
            break;
        if (room)
            judge(f, r);
        if (r < 0)
            ush_sleep(PAUSE_MS * (int64_t)USH_MS);
    }
    f->jobs->is_fed = false; /* nobody listens any more */
    ush__jobs_wake(f->jobs);
    return 0;
}
