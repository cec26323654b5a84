/*
 * lanes.c - when a lane rests: by hand, because a job was told so, or because enough went out.
 *
 *   ush_jobs_pause ------------------+
 *   a job's end with pause_ms -------+--> job_lanes.paused_until  <-- claims look at it
 *   a claim that reached a limit ----+
 *
 * A pause is a row, so it holds for the workers of all hosts and outlives them. Its jobs stay as
 * they are, ready and due: nothing fails and no attempt is spent.
 *
 * Limits are counted where jobs are taken, not where they are done: a claim asks for no more rows
 * than are left, so no worker holds jobs that may not run, and one row serialises the workers. What
 * a crash or a stop hands back stays counted.
 *
 *   per minute   claims are paid for one interval after the other (GCRA), and may be LATE_MS
 *                behind: workers look once a second. So after a quiet time one and what comes due
 *                in LATE_MS go at once
 *   per day      counted from the first claim after the day before has ended
 *
 * Invariants
 *  1. A pause is only made longer, except by ush_jobs_resume.
 *  2. Who locks rows of jobs does that before it locks one here, and of several here takes them in
 *     the order of the worker's list. So claims and ends cannot deadlock.
 *  3. A pause that is over says nothing: who reads compares with the clock.
 */
#include <stdio.h>

#include "jobs/jobs.h"

USH_RECORD_DEFINE(ush__jobs_rest, USH__JOBS_REST_FIELDS)
USH_RECORD_DEFINE(ush__lane_counts, USH__LANE_COUNTS_FIELDS)

enum { MINUTE_MS = 60000, DAY_MS = 24 * 3600000, LATE_MS = 1500 };

/* ---- pausing -------------------------------------------------------------------------------- */

static const struct ush_statement pause = {
    .name = "jobs_pause",
    .text = "INSERT INTO job_lanes (lane, paused_until, reason) VALUES ($1, $2, $3)"
            " ON CONFLICT (lane) DO UPDATE SET paused_until = excluded.paused_until,"
            " reason = excluded.reason WHERE job_lanes.paused_until < excluded.paused_until",
};
static const struct ush_statement resume = {
    .name = "jobs_resume",
    .text = "UPDATE job_lanes SET paused_until = 0, reason = NULL"
            " WHERE lane = $1 AND paused_until > $2",
};

int ush__lanes_pause(struct ush_tx *tx, ush_text lanes, int64_t until_ms, ush_text reason)
{
    while (lanes.len) {
        ush_text lane = ush_text_cut(&lanes, ',');
        USH_TRY(ush_exec_later(tx, &pause, USH_VALUES(lane, until_ms, reason)));
    }
    return 0;
}

static int run_rest(struct ush_tx *tx, const void *in, void *out)
{
    const struct ush__jobs_rest *i = in;
    int n = i->until ? ush__lanes_pause(tx, i->lane, i->until, i->reason)
                     : ush_exec(tx, &resume, USH_VALUES(i->lane, tx->now_ms));
    ((struct ush__jobs_changed *)out)->rows = n;
    return n;
}

const struct ush_operation ush_op_jobs_rest = {
    .name = "jobs_rest",
    .in = &ush__jobs_rest_record,
    .out = &ush__jobs_changed_record,
    .run = run_rest,
};

int ush_jobs_pause(struct ush_db *db, const struct ush_jobs_pause *what)
{
    return ush__jobs_change(db, &ush_op_jobs_rest,
                            &(struct ush__jobs_rest){.lane = ush_text_of(what->lane),
                                                     .until = what->until_ms,
                                                     .reason = ush_text_of(what->reason)});
}

int ush_jobs_resume(struct ush_db *db, const char *lane)
{
    return ush__jobs_change(db, &ush_op_jobs_rest,
                            &(struct ush__jobs_rest){.lane = ush_text_of(lane)});
}

/* ---- limits --------------------------------------------------------------------------------- */

static const struct ush_statement counts = {
    .name = "jobs_lane_counts",
    .text = "SELECT paced_until, day_at, day_count FROM job_lanes WHERE lane = $1",
    .postgresql = "SELECT paced_until, day_at, day_count FROM job_lanes WHERE lane = $1 FOR UPDATE",
};
static const struct ush_statement make = {
    .name = "jobs_lane_make",
    .text = "INSERT INTO job_lanes (lane) VALUES ($1) ON CONFLICT DO NOTHING",
};
static const struct ush_statement spend = {
    .name = "jobs_lane_spend",
    .text = "UPDATE job_lanes SET paced_until = $2, day_at = $3, day_count = $4 WHERE lane = $1",
};

static ush_text first_of(ush_text lanes)
{
    return ush_text_cut(&lanes, ',');
}

struct pace {
    int64_t interval_ms, burst_ms;
    int64_t from_ms; /* the next claim is paid for from then on */
};

static struct pace pace_of(const struct ush__lane_counts *c, int64_t per_minute, int64_t now_ms)
{
    struct pace p = {.interval_ms = (MINUTE_MS + per_minute - 1) / per_minute, .from_ms = now_ms};
    p.burst_ms = p.interval_ms + LATE_MS;
    bool is_ahead = c->paced_until > now_ms + 2 * p.burst_ms; /* the clock was put back */
    if (c->paced_until > now_ms && !is_ahead)
        p.from_ms = c->paced_until;
    return p;
}

/* How many may go now at so many a minute. */
static int64_t pace_room(struct pace p, int64_t per_minute, int64_t now_ms)
{
    return (now_ms + p.burst_ms - p.from_ms) * per_minute / MINUTE_MS;
}

int ush__lanes_allow(struct ush_tx *tx, const struct ush__jobs_claim *in,
                     struct ush__lane_counts *ret_counts, int64_t *ret_allowed)
{
    struct ush__lane_counts c = {0};
    *ret_allowed = in->limit;
    if (!in->per_minute && !in->per_day)
        return 0;
    ush_text lane = first_of(in->lanes);
    int n = ush_one(tx, &counts, &ush__lane_counts_record, &c, USH_VALUES(lane));
    if (n == 0) { /* what is not there cannot be locked */
        USH_TRY(ush_exec(tx, &make, USH_VALUES(lane)));
        n = ush_one(tx, &counts, &ush__lane_counts_record, &c, USH_VALUES(lane));
    }
    USH_TRY(n);
    /* Far before it: the clock was put back. A little before: another host's is behind. */
    if (tx->now_ms >= c.day_at + DAY_MS || tx->now_ms < c.day_at - DAY_MS) {
        c.day_at = tx->now_ms;
        c.day_count = 0;
    }
    int64_t left = in->per_day ? in->per_day - c.day_count : in->limit;
    if (left < *ret_allowed)
        *ret_allowed = left;
    if (in->per_minute)
        left = pace_room(pace_of(&c, in->per_minute, tx->now_ms), in->per_minute, tx->now_ms);
    if (left < *ret_allowed)
        *ret_allowed = left;
    if (*ret_allowed < 0)
        *ret_allowed = 0;
    *ret_counts = c;
    return 0;
}

int ush__lanes_spend(struct ush_tx *tx, const struct ush__jobs_claim *in,
                     struct ush__lane_counts *c, int64_t count)
{
    if (!in->per_minute && !in->per_day)
        return 0;
    int64_t now = tx->now_ms;
    struct pace p = {0};
    c->day_count += count;
    if (in->per_minute) {
        p = pace_of(c, in->per_minute, now);
        p.from_ms += (count * MINUTE_MS + in->per_minute - 1) / in->per_minute;
        c->paced_until = p.from_ms;
    }
    if (count)
        USH_TRY(ush_exec(tx, &spend,
                         USH_VALUES(first_of(in->lanes), c->paced_until, c->day_at, c->day_count)));
    if (in->per_minute && pace_room(p, in->per_minute, now) < 1)
        USH_TRY(ush__lanes_pause(
            tx, in->lanes, p.from_ms - p.burst_ms + p.interval_ms,
            ush_arena_printf(tx->arena, "%lld a minute are allowed", (long long)in->per_minute)));
    if (in->per_day && c->day_count >= in->per_day)
        USH_TRY(ush__lanes_pause(
            tx, in->lanes, c->day_at + DAY_MS,
            ush_arena_printf(tx->arena, "%lld a day are allowed", (long long)in->per_day)));
    return 0;
}
