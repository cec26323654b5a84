/*
 * announce.c - one worker of all writes the ids of due rows into the streams of their lanes.
 *
 *   others --key expired--> announcer --> look at the streams --> ask the table --> add what is due
 *                            ^    |                                                 and in no
 * stream |    +<--- a hint, or 0.4 s ---- renew the key, raise the epoch --+ | |
 *                            +--- no round for LEASE_MS: the key expires, another takes over <-+
 *
 * So the first announcement of a job, that of a retry that became due, and that again of one that
 * was lost with Redis are one thing: a round. There is no record of what was announced but the
 * streams themselves, so there is none that could be wrong about them.
 *
 * Invariants
 *  1. A row is announced if it is due and no entry of its lane's stream names it. The streams are
 *     looked at before the table: so what is missed is missed twice at most, and what another round
 *     announces meanwhile is doubled at worst. A doubled announcement claims nothing.
 *  2. At most USH__FEED_MAX entries of a lane are untried; beyond, workers have enough. MAXLEN is
 *     the second lock: Redis never holds more, whatever happens here.
 *  3. An entry that was delivered and not acknowledged for IDLE_MS belongs to a worker that died or
 *     hangs. It is dropped, and if its row is still due it is announced anew in the same round.
 *  4. Where more entries were delivered than the group knows of, somebody repaired the group by
 *     hand: all are delivered again.
 *  5. The epoch is raised and the key renewed only by a round that reached the table and Redis. Two
 *     announcers at once (a key that expired under a slow one) do no harm, only work.
 *
 * Key and epoch are those of the workers with the same lanes: one that takes other lanes would not
 * announce for these. A wiped Redis has no group: it is made, from the first entry, in every look.
 * Times are those of Redis' own clock; that of this machine only spaces the rounds.
 */
#include <stdlib.h>

#include "jobs/jobs.h"

enum {
    ROUND_MS = 400,   /* between two rounds without a hint */
    BACKLOG_MS = 20,  /* while there is more than fits into a stream */
    GAP_MS = 5,       /* between two rounds at least: hints of a rush share them */
    LEASE_MS = 1000,  /* of the key */
    REST_MS = 2000,   /* after a failed round: others are tried */
    IDLE_MS = 1000,   /* between delivery and acknowledgement, of a worker that lives */
    IDLE_COUNT = 100, /* such entries in one round */
    STREAM_MAX = 1000,
};
static_assert((int)STREAM_MAX > (int)USH__FEED_MAX, "the second lock");

/* What a look found in a lane's stream. */
struct lane {
    struct ush__entry entries[USH__FEED_MAX], idle[IDLE_COUNT];
    size_t count, idle_count;
    bool is_broken; /* invariant 4 */
};

struct round {
    struct ush__feed *feed;
    struct ush_arena arena;
    struct lane lanes[USH__LANES_MAX];
    char hint[48]; /* the last one seen; those behind it end the wait */
    bool has_more; /* than was announced */
    bool was_said; /* that Redis refuses something */
    int64_t began_ns;
};

static int run(struct round *r, struct ush__talk *t, int64_t block_ms)
{
    return ush__talk_end(t, r->feed->announcer, block_ms);
}

/* USH_EINVAL if that was refused: without rights, by a replica, for want of memory, as unknown. */
static int refused(struct round *r, const struct ush_redis_reply *reply)
{
    if (reply->type != USH_REDIS_ERROR)
        return 0;
    if (!r->was_said)
        ush_warn("jobs.redis",
                 "Redis (it has to be 6.2 or newer) refuses to carry announcements: %s",
                 reply->text.at);
    r->was_said = true;
    return USH_EINVAL;
}

/* 1 = this worker announces, 0 = another one does. */
static int take_key(struct round *r)
{
    struct ush__feed *f = r->feed;
    struct ush__talk t;
    int64_t holder = 0;
    ush__talk_begin(&t, 2);
    ush__talk_say(&t, "SET %s:announcer:%s %lld NX PX %d", f->prefix, f->jobs->lanes,
                  (long long)f->jobs->o.owner, LEASE_MS);
    ush__talk_say(&t, "GET %s:announcer:%s", f->prefix, f->jobs->lanes);
    int result = run(r, &t, 0);
    if (result == 0)
        result = refused(r, &t.replies[0]);
    if (result == 0 && t.replies[1].type == USH_REDIS_STRING)
        ush_text_i64(t.replies[1].text, &holder);
    ush__talk_fini(&t);
    return result < 0 ? result : holder == f->jobs->o.owner;
}

/* ---- the look at the streams ----------------------------------------------------------------- */

static size_t take_entries(const struct ush_redis_reply *from, struct ush__entry *to, size_t most)
{
    size_t n = 0;
    for (size_t i = 0; i < ush__reply_count(from) && n < most; i++)
        n += ush__entry_parse(&from->items[i], &to[n]);
    return n;
}

/* The value of a field in a list of names and values. */
static const struct ush_redis_reply *field(const struct ush_redis_reply *list, const char *name)
{
    for (size_t i = 0; i + 1 < ush__reply_count(list); i += 2)
        if (ush_text_equal(list->items[i].text, ush_text_of(name)))
            return &list->items[i + 1];
    return NULL;
}

static bool is_behind(const struct ush__moment *a, const struct ush__moment *b)
{
    return a->ms != b->ms ? a->ms > b->ms : a->sequence > b->sequence;
}

static bool is_broken(const struct lane *l, const struct ush_redis_reply *groups)
{
    for (size_t i = 0; i < ush__reply_count(groups); i++) {
        const struct ush_redis_reply *g = &groups->items[i];
        const struct ush_redis_reply *name = field(g, "name"), *pending = field(g, "pending"),
                                     *last = field(g, "last-delivered-id");
        struct ush__moment until;
        int64_t delivered = 0;
        if (!name || !pending || !last || !ush_text_equal(name->text, USH_T("workers")) ||
            !ush__entry_moment(last->text, &until))
            continue;
        for (size_t k = 0; k < l->count; k++)
            delivered += !is_behind(&l->entries[k].at, &until);
        return delivered > pending->integer;
    }
    return false;
}

enum { LOOKS = 4 }; /* commands per lane */

static int look(struct round *r)
{
    struct ush__feed *f = r->feed;
    struct ush__talk t;
    ush__talk_begin(&t, f->lane_count * LOOKS + 1);
    for (size_t i = 0; i < f->lane_count; i++) {
        const char *p = f->prefix, *lane = f->lanes[i];
        ush__talk_say(&t, "XGROUP CREATE %s:lane:%s workers 0 MKSTREAM", p, lane);
        ush__talk_say(&t, "XAUTOCLAIM %s:lane:%s workers announcer %d 0-0 COUNT %d", p, lane,
                      IDLE_MS, IDLE_COUNT);
        ush__talk_say(&t, "XINFO GROUPS %s:lane:%s", p, lane);
        ush__talk_say(&t, "XRANGE %s:lane:%s - + COUNT %d", p, lane, USH__FEED_MAX);
    }
    ush__talk_say(&t, "XREVRANGE %s:raised + - COUNT 1", f->prefix);
    int result = run(r, &t, 0);
    for (size_t i = 0; result == 0 && i < f->lane_count; i++) {
        const struct ush_redis_reply *reply = &t.replies[i * LOOKS];
        struct lane *l = &r->lanes[i];
        const struct ush_redis_reply *idle =
            ush__reply_count(&reply[1]) > 1 ? &reply[1].items[1] : NULL;
        for (int k = 1; k < LOOKS && result == 0; k++) /* the first says that the group is there */
            result = refused(r, &reply[k]);
        if (result < 0)
            break;
        l->idle_count = take_entries(idle, l->idle, IDLE_COUNT);
        l->count = take_entries(&reply[3], l->entries, USH__FEED_MAX);
        l->is_broken = is_broken(l, &reply[2]);
    }
    struct ush__entry hint;
    const struct ush_redis_reply *hints = &t.replies[f->lane_count * LOOKS];
    bool has_hint = result == 0 && take_entries(hints, &hint, 1);
    memcpy(r->hint, has_hint ? hint.name : "0-0", has_hint ? sizeof r->hint : 4);
    ush__talk_fini(&t);
    return result;
}

/* ---- the look at the table ------------------------------------------------------------------- */

static bool is_full(const struct lane *l)
{
    return l->count >= USH__FEED_MAX + l->idle_count;
}

static int ask_table(struct round *r, struct ush__due_rows *ret)
{
    struct ush__feed *f = r->feed;
    struct ush_buf lanes;
    *ret = (struct ush__due_rows){0};
    ush_buf_init(&lanes, USH__LANES_BYTES);
    for (size_t i = 0; i < f->lane_count; i++)
        if (!is_full(&r->lanes[i]))
            ush_buf_printf(&lanes, "%s%s", lanes.len ? "," : "", f->lanes[i]);
    struct ush__jobs_due in = {.lanes = ush_buf_text(&lanes), .limit = USH__FEED_MAX};
    int result =
        in.lanes.len ? ush_change(f->jobs->o.db, &ush_op_jobs_due, &in, ret, &r->arena) : 0;
    ush_buf_fini(&lanes);
    return result;
}

static bool is_idle(const struct lane *l, const struct ush__entry *e)
{
    for (size_t i = 0; i < l->idle_count; i++)
        if (strcmp(l->idle[i].name, e->name) == 0)
            return true;
    return false;
}

static int by_job(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* The jobs that entries name, sorted. */
static size_t carried(const struct lane *l, int64_t *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < l->count; i++)
        if (!is_idle(l, &l->entries[i]))
            ret[n++] = l->entries[i].job;
    qsort(ret, n, sizeof *ret, by_job);
    return n;
}

/* ---- announcing ------------------------------------------------------------------------------ */

static void say_lane(struct round *r, struct ush__talk *t, size_t i, const struct ush_rows *due)
{
    struct ush__feed *f = r->feed;
    struct lane *l = &r->lanes[i];
    const char *p = f->prefix, *lane = f->lanes[i];
    const struct ush__due_row *rows = due->at;
    int64_t known[USH__FEED_MAX];
    size_t n = carried(l, known), added = 0;
    for (size_t k = 0; k < l->idle_count; k++) {
        ush__talk_say(t, "XACK %s:lane:%s workers %s", p, lane, l->idle[k].name);
        ush__talk_say(t, "XDEL %s:lane:%s %s", p, lane, l->idle[k].name);
    }
    if (l->is_broken) {
        ush_warn("jobs.redis_group", "announcements of %s were taken from their group", lane);
        ush__talk_say(t, "XGROUP SETID %s:lane:%s workers 0", p, lane);
    }
    for (size_t k = 0; k < due->count; k++) {
        if (!ush_text_equal(rows[k].lane, ush_text_of(lane)) ||
            bsearch(&rows[k].id, known, n, sizeof *known, by_job))
            continue;
        if (n + added >= USH__FEED_MAX) {
            r->has_more = true;
            break;
        }
        ush__talk_say(t, "XADD %s:lane:%s MAXLEN ~ %d * job %lld", p, lane, STREAM_MAX,
                      (long long)rows[k].id);
        added++;
    }
    r->has_more = r->has_more || n + added >= USH__FEED_MAX;
}

static int announce(struct round *r, const struct ush_rows *due)
{
    struct ush__feed *f = r->feed;
    struct ush__talk t;
    ush__talk_begin(&t, f->lane_count * (USH__FEED_MAX + 2 * IDLE_COUNT + 1) + 2);
    r->has_more = false;
    for (size_t i = 0; i < f->lane_count; i++)
        say_lane(r, &t, i, due);
    ush__talk_say(&t, "PEXPIRE %s:announcer:%s %d", f->prefix, f->jobs->lanes, LEASE_MS);
    ush__talk_say(&t, "INCR %s:epoch:%s", f->prefix, f->jobs->lanes);
    int result = run(r, &t, 0);
    for (size_t i = 0; i < t.count && result == 0; i++)
        result = refused(r, &t.replies[i]);
    r->was_said = r->was_said && result < 0;
    ush__talk_fini(&t);
    return result;
}

static int go_round(struct round *r)
{
    struct ush__due_rows due;
    r->began_ns = ush_now_ns();
    int result = look(r);
    if (result < 0)
        return result;
    ush_arena_init(&r->arena, NULL, 0, 4 << 20);
    result = ask_table(r, &due);
    if (result >= 0)
        result = announce(r, &due.rows);
    ush_arena_fini(&r->arena);
    return result;
}

/* Until there is a hint that the round has not seen, or it is time. */
static int wait_for_hint(struct round *r)
{
    struct ush__talk t;
    int64_t ms = r->has_more ? BACKLOG_MS : ROUND_MS;
    ush__talk_begin(&t, 1);
    ush__talk_say(&t, "XREAD COUNT 1 BLOCK %lld STREAMS %s:raised %s", (long long)ms,
                  r->feed->prefix, r->hint);
    int result = run(r, &t, ms);
    bool was_refused = result == 0 && t.replies[0].type == USH_REDIS_ERROR; /* wiped meanwhile */
    ush__talk_fini(&t);
    int64_t rest_ns = r->began_ns + GAP_MS * (int64_t)USH_MS - ush_now_ns();
    if (result == 0 && (rest_ns > 0 || was_refused))
        ush_sleep(was_refused ? ROUND_MS * (int64_t)USH_MS / 4 : rest_ns);
    return result;
}

int ush__feed_announce(void *feed)
{
    struct ush__feed *f = feed;
    struct round *r = calloc(1, sizeof *r);
    if (!r)
        return -ENOMEM;
    r->feed = f;
    while (ush_cancelled() == 0) {
        int result = take_key(r);
        if (result == 0) {
            ush_sleep(ROUND_MS * (int64_t)USH_MS);
            continue;
        }
        bool is_mine = result > 0;
        if (is_mine)
            result = go_round(r);
        if (result >= 0)
            result = wait_for_hint(r);
        if (result < 0 && ush_cancelled() == 0)
            ush_sleep((is_mine ? REST_MS : ROUND_MS) * (int64_t)USH_MS);
    }
    free(r);
    return 0;
}
