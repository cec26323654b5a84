/*
 * job.c - one job from claim to stored end.
 *
 *   claimed --may it run?--yes--> function --> decide --> store --> slot free
 *              |                                 ^
 *              +---- unknown kind, stopping, ----+
 *                    ambiguous and not to be repeated
 *
 * What the end is (decide), first line that fits:
 *
 *   the claim was lost                         nothing is stored
 *   kind not known here                        ready in a minute, nothing spent
 *   an earlier attempt is ambiguous and the
 *   kind does not repeat it (any more)         held
 *   the worker stops, or too little lease      ready now, nothing spent
 *   result >= 0                                done
 *   USH_EUNAVAILABLE before mark 2             ready in a second, nothing spent
 *   USH_EINVAL                                 dead
 *   USH_EUNKNOWN, or cut after mark 2          ambiguous: ready if the kind says so, else held
 *   the function wants the lanes to rest       ready, nothing spent, and they do
 *   any other error                            ready by schedule; dead after the last attempt
 *
 * The lease is counted from before the claim or the renewal was sent, on this machine's monotonic
 * clock, so it ends here earlier than in the table. Nothing touches the world with less than 15
 * seconds of it left (ush_job_mark), and 5 seconds before its end what still runs is cancelled.
 *
 * An end that cannot be stored is tried again until the database has answered: stored, or fenced.
 * Until then the job keeps its slot, also beyond its lease: a row that this worker owns and does
 * not know of is one whose claim was never answered, and would be run a second time under one
 * claim.
 *
 * A worker that is asked to stop tries on for as long as it may live only for an end after mark 2:
 * nobody else knows what became of that mail, and without it the job is ambiguous. What any other
 * end says is only that the job is to be run (again), and so says the row when its lease is over:
 * such ends are given up USH__LAST_MS after the stop.
 */
#include <stdio.h>

#include "jobs/jobs.h"

static const uint32_t default_schedule_s[] = {30, 60, 120, 300, 600, 1800, 3600, 0};
enum { ATTEMPTS = 20, DEADLINE_MS = 45000, STRANGER_MS = 60000, SAY_AGAIN_MS = 600000 };

int64_t ush__slot_lease_ns(const struct ush__slot *s)
{
    int64_t renewed = s->job.jobs->renewed_ns;
    int64_t from = s->claimed_ns > renewed ? s->claimed_ns : renewed;
    return from + USH__LEASE_MS * (int64_t)USH_MS;
}

static bool has_margin(const struct ush__slot *s)
{
    return ush__slot_lease_ns(s) - ush_now_ns() >= USH__MARGIN_MS * (int64_t)USH_MS;
}

/* ---- what a function may call --------------------------------------------------------------- */

int ush_job_mark(struct ush_job *job, int mark, ush_text payload)
{
    struct ush__slot *s = USH_CONTAINER(job, struct ush__slot, job);
    if (!has_margin(s))
        s->is_late = true;
    if (s->is_lost || s->is_late)
        return -ECANCELED;
    struct ush__job_mark in = {
        .id = job->id, .claim = job->claim, .mark = mark, .payload = payload};
    if (payload.at)
        USH_SET(&in, ush__job_mark_payload);
    int rows = ush__jobs_change(job->jobs->o.db, &ush_op_job_mark, &in);
    USH_TRY(rows);
    if (rows != 1) {
        s->is_lost = true;
        return -ECANCELED;
    }
    if (!has_margin(s)) { /* storing it took that long */
        s->is_late = true;
        return -ECANCELED;
    }
    s->mark = mark;
    return 0;
}

void ush_job_note(struct ush_job *job, const char *fmt, ...)
{
    struct ush__slot *s = USH_CONTAINER(job, struct ush__slot, job);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->note, sizeof s->note, fmt, ap);
    va_end(ap);
    for (char *c = s->note; *c; c++) /* a stranger's bytes: keep what any database takes */
        if (*c < 0x20 || *c > 0x7e)
            *c = '?';
}

/* ---- the end -------------------------------------------------------------------------------- */

static int64_t retry_delay_ms(const struct ush__slot *s)
{
    const uint32_t *schedule = s->kind->retry_s ? s->kind->retry_s : default_schedule_s;
    size_t n = 0;
    while ((int64_t)n < s->failures && schedule[n + 1])
        n++;
    uint32_t dice;
    ush_random(&dice, sizeof dice);
    int64_t ms = schedule[n] * INT64_C(1000);
    ms = ms * 3 / 4 + (int64_t)(dice % (uint64_t)(ms / 2 + 1));
    return ms > s->job.retry_after_ms ? ms : s->job.retry_after_ms;
}

static struct ush__job_end ready(int64_t delay_ms)
{
    return (struct ush__job_end){.state = USH_JOB_READY, .delay_ms = delay_ms};
}

/* Whether an ambiguous job may be run when so many of its ends were. */
static bool may_repeat(const struct ush__slot *s, int64_t unknowns)
{
    return unknowns <= (s->kind->resend_unknown ? 1 : 0) ||
           ush_wall_ms() < s->job.created_at + s->kind->repeat_ms;
}

static bool is_held_back(const struct ush__slot *s)
{
    return s->job.mark == 2 && !may_repeat(s, s->unknowns);
}

static struct ush__job_end failed(const struct ush__slot *s, bool is_unknown)
{
    int64_t attempts = s->kind->attempts_max ? s->kind->attempts_max : ATTEMPTS;
    struct ush__job_end e = ready(retry_delay_ms(s));
    e.failed = 1;
    e.unknown = is_unknown;
    if (is_unknown && !may_repeat(s, s->unknowns + 1))
        e.state = USH_JOB_HELD;
    else if (s->failures + 1 >= attempts)
        e.state = USH_JOB_DEAD;
    return e;
}

static struct ush__job_end decide(const struct ush__slot *s, int result)
{
    if (result >= 0)
        return (struct ush__job_end){.state = USH_JOB_DONE};
    if (result == USH_EUNAVAILABLE && s->mark < 2)
        return ready(USH__ASK_MS);
    if (result == USH_EINVAL)
        return (struct ush__job_end){.state = USH_JOB_DEAD, .failed = 1};
    bool was_cut = result == -ECANCELED || result == -ETIMEDOUT;
    if (result == USH_EUNKNOWN || (was_cut && s->mark == 2))
        return failed(s, true);
    if (was_cut && (s->is_late || ush_cancelled()))
        return ready(0);
    if (s->job.pause_ms > 0)
        return (struct ush__job_end){.state = USH_JOB_READY, .pause_ms = s->job.pause_ms};
    return failed(s, false);
}

static int call(struct ush__slot *s)
{
    uint32_t deadline_ms = s->kind->deadline_ms ? s->kind->deadline_ms : DEADLINE_MS;
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){
                               .name = s->kind->name,
                               .deadline_ns = ush_now_ns() + deadline_ms * (int64_t)USH_MS,
                           });
    s->scope = &scope;
    int result = s->kind->run(&s->job, s->kind->ctx);
    s->scope = NULL;
    ush_scope_close(&scope);
    if (result < 0 && !s->note[0])
        ush_job_note(&s->job, "%s", ush_error_text(result));
    return result;
}

static struct ush__job_end run(struct ush__slot *s)
{
    if (!s->kind) {
        ush_warn("job.stranger", "job %lld: no function for the kind '%.*s' here",
                 (long long)s->job.id, USH_PR(s->job.kind));
        return ready(STRANGER_MS);
    }
    if (is_held_back(s)) {
        ush_job_note(&s->job, "nobody knows whether it took effect; not run again");
        return (struct ush__job_end){.state = USH_JOB_HELD};
    }
    if (s->job.jobs->is_stopping || ush_cancelled() || !has_margin(s))
        return ready(0);
    return decide(s, call(s));
}

static bool is_given_up(const struct ush__slot *s)
{
    const struct ush_jobs *j = s->job.jobs;
    return j->is_stopping && s->mark < 2 &&
           ush_now_ns() >= j->stopped_ns + USH__LAST_MS * (int64_t)USH_MS;
}

/* One try, which a stop of the worker does not cut short. */
static int try_store(struct ush__slot *s, const struct ush__job_end *end)
{
    struct ush_scope shield;
    ush_scope_open(&shield, &(struct ush_scope_options){
                                .name = "job end",
                                .shield = true,
                                .deadline_ns = ush_now_ns() + USH__END_MS * (int64_t)USH_MS,
                            });
    int rows = ush__jobs_change(s->job.jobs->o.db, &ush_op_job_end, end);
    ush_scope_close(&shield);
    if (rows == 0)
        ush_warn("job.fenced", "job %lld: claim %lld is no longer ours; its result is dropped",
                 (long long)s->job.id, (long long)s->job.claim);
    return rows;
}

static void store(struct ush__slot *s, struct ush__job_end *end)
{
    end->id = s->job.id;
    end->claim = s->job.claim;
    if (s->note[0]) {
        end->note = ush_text_of(s->note);
        USH_SET(end, ush__job_end_note);
    }
    if (end->pause_ms) {
        end->lanes = ush_text_of(s->job.jobs->lanes);
        USH_SET(end, ush__job_end_lanes);
    }
    for (bool is_said = false;;) {
        int r = try_store(s, end);
        if (r >= 0)
            return;
        bool is_over = ush_now_ns() >= ush__slot_lease_ns(s);
        bool gives_up = is_given_up(s) || ush_sleep(USH__ASK_MS * (int64_t)USH_MS) < 0;
        if (gives_up || (is_over && !is_said))
            ush_error("job.end", "job %lld: its end cannot be stored%s: %s", (long long)s->job.id,
                      gives_up ? "" : " and is tried on", ush_error_text(r));
        is_said |= is_over;
        if (gives_up)
            return; /* its lease, or the end of this process, makes it ready again */
    }
}

/* A mail server that is away fails thousands of jobs: it is said once, and once that it is over.
 * The reason may name people and stays in the row. */
static void say_failing(struct ush__slot *s, const struct ush__job_end *end)
{
    struct ush_jobs *jobs = s->job.jobs;
    bool fails = end->state == USH_JOB_READY && end->failed && !s->job.retry_after_ms;
    if (fails && !jobs->is_failing)
        ush_warn("jobs.failing",
                 "job %lld (%.*s) failed and is tried again later; its row says why",
                 (long long)s->job.id, USH_PR(s->job.kind));
    else if (end->state == USH_JOB_DONE && jobs->is_failing)
        ush_info("jobs.failing", "jobs succeed again");
    jobs->is_failing = fails || (jobs->is_failing && end->state != USH_JOB_DONE);
}

/* Those that ran beside it are told the same; it is said once. */
static void say_paused(struct ush__slot *s, const struct ush__job_end *end)
{
    struct ush_jobs *jobs = s->job.jobs;
    if (!end->pause_ms || ush_now_ns() < jobs->paused_ns)
        return;
    jobs->paused_ns = ush_now_ns() + SAY_AGAIN_MS * (int64_t)USH_MS;
    ush_warn("jobs.paused", "%s: paused for %lld s after job %lld (%.*s); its row says why",
             jobs->lanes, (long long)(end->pause_ms + 999) / 1000, (long long)s->job.id,
             USH_PR(s->job.kind));
}

int ush__slot_run(void *slot)
{
    struct ush__slot *s = slot;
    struct ush__job_end end = run(s);
    say_failing(s, &end);
    say_paused(s, &end);
    if (s->is_lost)
        ush_warn("job.fenced", "job %lld: claim %lld is no longer ours", (long long)s->job.id,
                 (long long)s->job.claim);
    else
        store(s, &end);
    if (end.state == USH_JOB_DEAD || end.state == USH_JOB_HELD)
        ush_error(end.state == USH_JOB_DEAD ? "job.dead" : "job.held",
                  "job %lld (%.*s): its row says why", (long long)s->job.id, USH_PR(s->job.kind));
    ush__slot_give(s);
    return 0;
}
