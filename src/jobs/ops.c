/*
 * ops.c - the job table: every statement and operation that touches it.
 *
 * Invariants
 *  1. state = 1 (running) if and only if owner and lease_until are set.
 *  2. `claim` only grows. A mark or an end changes the row only where id, claim and state = 1
 *     agree; otherwise it changes nothing and says so.
 *  3. Of `failures`, `crashes` and `unknowns` an attempt raises at most one of the first two, and
 *     none when it was handed back.
 *  4. `mark` after an attempt: 2 only if its effect is unknown; else 1 if that was reached.
 *
 * Every operation may be run twice (the writer may die between the commit and its answer). An end
 * that is run again changes nothing and reports a lost claim, which the worker only logs. A mark
 * and a renewal say the same again. A claim that is run again would take more rows and leave the
 * first ones to nobody: therefore it says which rows its owner knows of, and the rows that the
 * owner has without knowing are its answer before any new one.
 */
#include "jobs/jobs.h"

USH_RECORD_DEFINE(ush_job_new, USH_JOB_NEW_FIELDS)
USH_RECORD_DEFINE(ush__job_id, USH__JOB_ID_FIELDS)
USH_RECORD_DEFINE(ush__job_row, USH__JOB_ROW_FIELDS)
USH_RECORD_DEFINE(ush__jobs_claim, USH__JOBS_CLAIM_FIELDS)
USH_RECORD_DEFINE(ush__jobs_claimed, USH__JOBS_CLAIMED_FIELDS)
USH_RECORD_DEFINE(ush__job_mark, USH__JOB_MARK_FIELDS)
USH_RECORD_DEFINE(ush__job_end, USH__JOB_END_FIELDS)
USH_RECORD_DEFINE(ush__jobs_owner, USH__JOBS_OWNER_FIELDS)
USH_RECORD_DEFINE(ush__jobs_again, USH__JOBS_AGAIN_FIELDS)
USH_RECORD_DEFINE(ush__jobs_changed, USH__JOBS_CHANGED_FIELDS)

/* ---- put ------------------------------------------------------------------------------------ */

static const struct ush_statement put = {
    .name = "jobs_put",
    .text = "INSERT INTO jobs (kind, lane, unique_key, subject, payload, due_at, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
};

int ush_jobs_put(struct ush_tx *tx, const struct ush_job_new *jobs, size_t n)
{
    return n ? ush_exec_rows(tx, &put, &ush_job_new_record, jobs, n) : 0;
}

/* ---- release -------------------------------------------------------------------------------- */

/* What the end of its process does to a running row. $1 is now. */
#define AFTER_A_CRASH                                                                              \
    "UPDATE jobs SET crashes = crashes + 1, owner = NULL, lease_until = NULL, due_at = $1,"        \
    " unknowns = unknowns + CASE WHEN mark = 2 THEN 1 ELSE 0 END,"                                 \
    " state = CASE WHEN crashes >= 2 THEN 3 ELSE 0 END,"                                           \
    " ended_at = CASE WHEN crashes >= 2 THEN $1 ELSE NULL END,"                                    \
    " note = CASE WHEN crashes >= 2 THEN 'its worker ended three times while it ran'"              \
    " ELSE 'its worker ended while it ran' END WHERE state = 1 AND "
static_assert(USH_JOB_CRASHES_MAX == 3, "the text above says 2 and three");

static const struct ush_statement release = {
    .name = "jobs_release",
    .text = AFTER_A_CRASH "owner = $2",
};
static const struct ush_statement release_expired = {
    .name = "jobs_release_expired",
    .text = AFTER_A_CRASH "owner IS NOT NULL AND lease_until <= $1",
};

static int run_release(struct ush_tx *tx, const void *in, void *out)
{
    const struct ush__jobs_owner *i = in;
    int n = ush_exec(tx, &release, USH_VALUES(tx->now_ms, i->owner));
    ((struct ush__jobs_changed *)out)->rows = n;
    return n;
}

const struct ush_operation ush_op_jobs_release = {
    .name = "jobs_release",
    .in = &ush__jobs_owner_record,
    .out = &ush__jobs_changed_record,
    .run = run_release,
};

/* ---- claim ---------------------------------------------------------------------------------- */

#define ROW                                                                                        \
    "jobs.id, kind, lane, subject, payload, due_at, claim, mark, failures, crashes, unknowns,"     \
    " created_at"

/* On PostgreSQL other workers may claim at the same moment: rows they have locked are skipped. The
 * select is materialised because the planner may run a plain sub-select with a limit again and
 * claim more rows than asked for. On SQLite one writer runs all claims. */
#define PICK                                                                                       \
    "SELECT id FROM jobs WHERE state = 0 AND lane = $3 AND due_at <= $4"                           \
    " ORDER BY due_at, id LIMIT $5"
#define TAKE "UPDATE jobs SET state = 1, claim = claim + 1, owner = $1, lease_until = $2"

static const struct ush_statement claim = {
    .name = "jobs_claim",
    .text = TAKE " WHERE id IN (" PICK ") RETURNING " ROW,
    .postgresql = "WITH picked AS MATERIALIZED (" PICK " FOR UPDATE SKIP LOCKED) " TAKE
                  " FROM picked WHERE jobs.id = picked.id RETURNING " ROW,
};
static const struct ush_statement mine = {
    .name = "jobs_mine",
    .text = "SELECT " ROW " FROM jobs WHERE state = 1 AND owner = $1",
};

static bool is_held(const struct ush__jobs_claim *in, int64_t id)
{
    const struct ush__job_id *held = in->held.at;
    for (size_t i = 0; i < in->held.count; i++)
        if (held[i].id == id)
            return true;
    return false;
}

static size_t add(struct ush__job_row *to, size_t count, size_t limit, const struct ush_rows *rows,
                  const struct ush__jobs_claim *but_not)
{
    const struct ush__job_row *row = rows->at;
    for (size_t i = 0; i < rows->count && count < limit; i++)
        if (!but_not || !is_held(but_not, row[i].id))
            to[count++] = row[i];
    return count;
}

static int run_claim(struct ush_tx *tx, const void *in, void *out)
{
    const struct ush__jobs_claim *i = in;
    struct ush__jobs_claimed *o = out;
    if (i->limit < 1 || i->limit > USH_JOBS_AT_ONCE_MAX)
        return USH_EINVAL;
    size_t limit = (size_t)i->limit, count = 0;
    USH_TRY(ush_exec(tx, &release_expired, USH_VALUES(tx->now_ms)));
    struct ush__job_row *found = USH_NEW_N(tx->arena, struct ush__job_row, limit);
    if (!found)
        return -ENOMEM;
    struct ush_rows rows;
    USH_TRY(ush_all(tx, &mine, &ush__job_row_record, USH_JOBS_AT_ONCE_MAX, &rows,
                    USH_VALUES(i->owner)));
    count = add(found, 0, limit, &rows, i);

    int64_t until = tx->now_ms + USH__LEASE_MS;
    size_t want = limit - count;
    for (ush_text rest = i->lanes; rest.len;) {
        ush_text lane = ush_text_cut(&rest, ',');
        o->more = o->more || want == 0;
        if (want == 0)
            break;
        USH_TRY(ush_all(tx, &claim, &ush__job_row_record, want, &rows,
                        USH_VALUES(i->owner, until, lane, tx->now_ms, (int64_t)want)));
        count = add(found, count, limit, &rows, NULL);
        o->more = o->more || rows.count == want;
        want = limit - count;
        if (want > (size_t)i->limit_rest)
            want = (size_t)i->limit_rest;
    }
    o->rows = (struct ush_rows){found, count};
    return (int)count;
}

const struct ush_operation ush_op_jobs_claim = {
    .name = "jobs_claim",
    .in = &ush__jobs_claim_record,
    .out = &ush__jobs_claimed_record,
    .run = run_claim,
};

/* ---- mark, end ------------------------------------------------------------------------------ */

static const struct ush_statement mark = {
    .name = "job_mark",
    .text = "UPDATE jobs SET mark = $3, payload = coalesce($4, payload)"
            " WHERE id = $1 AND claim = $2 AND state = 1",
};

static int run_marks(struct ush_tx *tx, struct ush_call *calls, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const struct ush__job_mark *i = calls[k].in;
        int rows = ush_exec(tx, &mark, USH_VALUES(i->id, i->claim, i->mark, USH_BYTES(i->payload)));
        USH_TRY(rows);
        ((struct ush__jobs_changed *)calls[k].out)->rows = calls[k].result = rows;
    }
    return 0;
}

const struct ush_operation ush_op_job_mark = {
    .name = "job_mark",
    .in = &ush__job_mark_record,
    .out = &ush__jobs_changed_record,
    .run_many = run_marks,
};

/* $3 state, $4 due, $5 failed, $6 unknown, $7 note, $8 now */
static const struct ush_statement end = {
    .name = "job_end",
    .text =
        "UPDATE jobs SET state = $3, due_at = $4, failures = failures + $5,"
        " unknowns = unknowns + $6, note = coalesce($7, note), owner = NULL, lease_until = NULL,"
        " mark = CASE WHEN mark = 2 AND $6 = 0 AND $3 = 0 THEN 1 ELSE mark END,"
        " ended_at = CASE WHEN $3 = 0 THEN NULL ELSE $8 END"
        " WHERE id = $1 AND claim = $2 AND state = 1",
};

static int run_ends(struct ush_tx *tx, struct ush_call *calls, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        const struct ush__job_end *i = calls[k].in;
        int rows = ush_exec(tx, &end,
                            USH_VALUES(i->id, i->claim, i->state, tx->now_ms + i->delay_ms,
                                       i->failed, i->unknown, i->note, tx->now_ms));
        USH_TRY(rows);
        ((struct ush__jobs_changed *)calls[k].out)->rows = calls[k].result = rows;
    }
    return 0;
}

const struct ush_operation ush_op_job_end = {
    .name = "job_end",
    .in = &ush__job_end_record,
    .out = &ush__jobs_changed_record,
    .run_many = run_ends,
};

/* ---- renew, retry --------------------------------------------------------------------------- */

static const struct ush_statement renew = {
    .name = "jobs_renew",
    .text = "UPDATE jobs SET lease_until = $2 WHERE state = 1 AND owner = $1",
};

static int run_renew(struct ush_tx *tx, const void *in, void *out)
{
    const struct ush__jobs_owner *i = in;
    int n = ush_exec(tx, &renew, USH_VALUES(i->owner, tx->now_ms + USH__LEASE_MS));
    ((struct ush__jobs_changed *)out)->rows = n;
    return n;
}

const struct ush_operation ush_op_jobs_renew = {
    .name = "jobs_renew",
    .in = &ush__jobs_owner_record,
    .out = &ush__jobs_changed_record,
    .run = run_renew,
};

/* What nobody knows stays counted: a second copy is announced for ever. */
#define AGAIN                                                                                      \
    "UPDATE jobs SET state = 0, due_at = $1, failures = 0, crashes = 0,"                           \
    " mark = CASE WHEN mark = 2 THEN 1 ELSE mark END, ended_at = NULL WHERE state IN (3, 4) AND "
static const struct ush_statement again_one = {
    .name = "jobs_again_one",
    .text = AGAIN "id = $2",
};
static const struct ush_statement again_lane = {
    .name = "jobs_again_lane",
    .text = AGAIN "lane = $2",
};

static int run_again(struct ush_tx *tx, const void *in, void *out)
{
    const struct ush__jobs_again *i = in;
    int n = i->id ? ush_exec(tx, &again_one, USH_VALUES(tx->now_ms, i->id))
                  : ush_exec(tx, &again_lane, USH_VALUES(tx->now_ms, i->lane));
    ((struct ush__jobs_changed *)out)->rows = n;
    return n;
}

const struct ush_operation ush_op_jobs_retry = {
    .name = "jobs_retry",
    .in = &ush__jobs_again_record,
    .out = &ush__jobs_changed_record,
    .run = run_again,
};

/* ---- as calls ------------------------------------------------------------------------------- */

int ush__jobs_change(struct ush_db *db, const struct ush_operation *op, const void *in)
{
    char room[256];
    struct ush_arena arena;
    struct ush__jobs_changed out = {0};
    ush_arena_init(&arena, room, sizeof room, 64 << 10);
    int r = ush_change(db, op, in, &out, &arena);
    ush_arena_fini(&arena);
    return r < 0 ? r : (int)out.rows;
}

int ush_jobs_release(struct ush_db *db, int64_t owner)
{
    return ush__jobs_change(db, &ush_op_jobs_release, &(struct ush__jobs_owner){.owner = owner});
}

int ush_jobs_retry(struct ush_db *db, const struct ush_jobs_retry *what)
{
    struct ush__jobs_again in = {.id = what->id, .lane = ush_text_of(what->lane)};
    if (in.lane.at)
        USH_SET(&in, ush__jobs_again_lane);
    return ush__jobs_change(db, &ush_op_jobs_retry, &in);
}
