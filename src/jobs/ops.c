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
 *
 * On PostgreSQL transactions meet here. A claim waits for no row of jobs: it skips those that are
 * locked. Everything else locks the rows that it changes in ascending id before it changes the
 * first, so nobody waits in a circle.
 */
#include "jobs/jobs.h"

USH_RECORD_DEFINE(ush_job_new, USH_JOB_NEW_FIELDS)
USH_RECORD_DEFINE(ush__job_id, USH__JOB_ID_FIELDS)
USH_RECORD_DEFINE(ush__job_row, USH__JOB_ROW_FIELDS)
USH_RECORD_DEFINE(ush__jobs_claim, USH__JOBS_CLAIM_FIELDS)
USH_RECORD_DEFINE(ush__jobs_claimed, USH__JOBS_CLAIMED_FIELDS)
USH_RECORD_DEFINE(ush__jobs_due, USH__JOBS_DUE_FIELDS)
USH_RECORD_DEFINE(ush__due_row, USH__DUE_ROW_FIELDS)
USH_RECORD_DEFINE(ush__due_rows, USH__DUE_ROWS_FIELDS)
USH_RECORD_DEFINE(ush__job_mark, USH__JOB_MARK_FIELDS)
USH_RECORD_DEFINE(ush__job_end, USH__JOB_END_FIELDS)
USH_RECORD_DEFINE(ush__jobs_owner, USH__JOBS_OWNER_FIELDS)
USH_RECORD_DEFINE(ush__jobs_again, USH__JOBS_AGAIN_FIELDS)
USH_RECORD_DEFINE(ush__job_age, USH__JOB_AGE_FIELDS)
USH_RECORD_DEFINE(ush__jobs_purge, USH__JOBS_PURGE_FIELDS)
USH_RECORD_DEFINE(ush__jobs_purged, USH__JOBS_PURGED_FIELDS)
USH_RECORD_DEFINE(ush__jobs_changed, USH__JOBS_CHANGED_FIELDS)

/* ---- put ------------------------------------------------------------------------------------ */

#define COLUMNS "kind, lane, unique_key, subject, payload, due_at, created_at"

static const struct ush_statement put = {
    .name = "jobs_put",
    .text = "INSERT INTO jobs (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7)"
            " ON CONFLICT DO NOTHING",
    .postgresql = "INSERT INTO jobs (" COLUMNS ") SELECT * FROM unnest($1::text[], $2::text[],"
                  " $3::text[], $4::bigint[], $5::bytea[], $6::bigint[], $7::bigint[])"
                  " ON CONFLICT DO NOTHING",
};

int ush_jobs_put(struct ush_tx *tx, const struct ush_job_new *jobs, size_t n)
{
    return ush_exec_rows_later(tx, &put, &ush_job_new_record, jobs, n);
}

/* ---- release -------------------------------------------------------------------------------- */

/* What the end of its process does to a running row. $1 is now. */
#define CRASHED                                                                                    \
    "UPDATE jobs SET crashes = crashes + 1, owner = NULL, lease_until = NULL, due_at = $1,"        \
    " unknowns = unknowns + CASE WHEN mark = 2 THEN 1 ELSE 0 END,"                                 \
    " state = CASE WHEN crashes >= 2 THEN 3 ELSE 0 END,"                                           \
    " ended_at = CASE WHEN crashes >= 2 THEN $1 ELSE NULL END,"                                    \
    " note = CASE WHEN crashes >= 2 THEN 'its worker ended three times while it ran'"              \
    " ELSE 'its worker ended while it ran' END"
static_assert(USH_JOB_CRASHES_MAX == 3, "the text above says 2 and three");

/* An update of the rows that `where` finds; on PostgreSQL of those that could be locked so. The
 * select is materialised because the planner may run a plain sub-select with a limit again and
 * change more rows than asked for; and its ids are handed on as an array, because for a join the
 * planner may read the whole table when it believes that they are many. */
#define LOCKED(where, how, change)                                                                 \
    "WITH picked AS MATERIALIZED (SELECT id FROM jobs WHERE " where " " how ") " change            \
    " WHERE jobs.id = ANY (ARRAY (SELECT id FROM picked))"
#define IN_ORDER "ORDER BY id FOR UPDATE"
#define UPDATE(where, change)                                                                      \
    .text = change " WHERE " where, .postgresql = LOCKED(where, IN_ORDER, change)

#define EXPIRED "state = 1 AND owner IS NOT NULL AND lease_until <= $1"
static const struct ush_statement release = {.name = "jobs_release",
                                             UPDATE("state = 1 AND owner = $2", CRASHED)};
static const struct ush_statement release_expired = {
    .name = "jobs_release_expired",
    .text = CRASHED " WHERE " EXPIRED,
    .postgresql = LOCKED(EXPIRED, "FOR UPDATE SKIP LOCKED", CRASHED),
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

/* Due, and of a lane that does not rest (lanes.c). */
#define DUE(lane, now)                                                                             \
    "state = 0 AND due_at <= " now " AND NOT EXISTS (SELECT 1 FROM job_lanes l"                    \
    " WHERE l.lane = " lane " AND l.paused_until > " now ")"
#define READY "lane = $3 AND " DUE("$3", "$4")
#define FIRST "ORDER BY due_at, id LIMIT $5"
#define TAKE "UPDATE jobs SET state = 1, claim = claim + 1, owner = $1, lease_until = $2"

static const struct ush_statement claim = {
    .name = "jobs_claim",
    .text = TAKE " WHERE id IN (SELECT id FROM jobs WHERE " READY " " FIRST ") RETURNING " ROW,
    .postgresql = LOCKED(READY, FIRST " FOR UPDATE SKIP LOCKED", TAKE) " RETURNING " ROW,
};
/* What was announced may be claimed, done or not due again since: then it is not among these. The
 * sums keep the planner away from jobs_ready: while it does not know how long the queue is it would
 * read all of it (45 ms with 100,000 jobs, against 0.1 ms by id). */
#define THESE(ids)                                                                                 \
    "id " ids " AND state + 0 = 0 AND due_at + 0 <= $4 AND NOT EXISTS"                             \
    " (SELECT 1 FROM job_lanes l WHERE l.lane = jobs.lane AND l.paused_until > $4)"
static const struct ush_statement claim_ids = {
    .name = "jobs_claim_ids",
    .text = TAKE " WHERE id IN (SELECT id FROM jobs WHERE " THESE(
        "IN (SELECT value FROM json_each($3))") " " FIRST ") RETURNING " ROW,
    .postgresql =
        LOCKED(THESE("= ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text($3::json)))"),
               FIRST " FOR UPDATE SKIP LOCKED", TAKE) " RETURNING " ROW,
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

/* Adds from the lanes, in order of preference, up to `limit`. 1 when there may be more. */
static int claim_lanes(struct ush_tx *tx, const struct ush__jobs_claim *i,
                       struct ush__job_row *found, size_t limit, size_t *count)
{
    size_t want = limit - *count;
    bool more = false;
    for (ush_text rest = i->lanes; rest.len;) {
        ush_text lane = ush_text_cut(&rest, ',');
        more = more || want == 0;
        if (want == 0)
            break;
        struct ush_rows rows;
        USH_TRY(ush_all(
            tx, &claim, &ush__job_row_record, want, &rows,
            USH_VALUES(i->owner, tx->now_ms + USH__LEASE_MS, lane, tx->now_ms, (int64_t)want)));
        *count = add(found, *count, limit, &rows, NULL);
        more = more || rows.count == want;
        want = limit - *count;
        if (want > (size_t)i->limit_rest)
            want = (size_t)i->limit_rest;
    }
    return more;
}

static int run_claim(struct ush_tx *tx, const void *in, void *out)
{
    const struct ush__jobs_claim *i = in;
    struct ush__jobs_claimed *o = out;
    if (i->limit < 1 || i->limit > USH_JOBS_AT_ONCE_MAX)
        return USH_EINVAL;
    size_t limit = (size_t)i->limit, count = 0;
    USH_TRY(ush_exec_later(tx, &release_expired, USH_VALUES(tx->now_ms)));
    struct ush__job_row *found = USH_NEW_N(tx->arena, struct ush__job_row, limit);
    if (!found)
        return -ENOMEM;
    struct ush_rows rows;
    USH_TRY(ush_all(tx, &mine, &ush__job_row_record, USH_JOBS_AT_ONCE_MAX, &rows,
                    USH_VALUES(i->owner)));
    count = add(found, 0, limit, &rows, i);

    struct ush__lane_counts counts;
    int64_t allowed;
    USH_TRY(ush__lanes_allow(tx, i, &counts, &allowed));
    size_t mine_count = count, want = limit - count;
    bool is_limited = want > (size_t)allowed;
    if (is_limited)
        limit = count + (want = (size_t)allowed);
    if (!i->ids.at) {
        int more = claim_lanes(tx, i, found, limit, &count);
        USH_TRY(more);
        o->more = more && !is_limited; /* then there is no sense in asking at once */
    } else if (want) {                 /* those without room are announced again */
        USH_TRY(ush_all(
            tx, &claim_ids, &ush__job_row_record, want, &rows,
            USH_VALUES(i->owner, tx->now_ms + USH__LEASE_MS, i->ids, tx->now_ms, (int64_t)want)));
        count = add(found, count, limit, &rows, NULL);
    }
    USH_TRY(ush__lanes_spend(tx, i, &counts, (int64_t)(count - mine_count)));
    o->rows = (struct ush_rows){found, count};
    return (int)count;
}

const struct ush_operation ush_op_jobs_claim = {
    .name = "jobs_claim",
    .in = &ush__jobs_claim_record,
    .out = &ush__jobs_claimed_record,
    .run = run_claim,
};

/* ---- due ------------------------------------------------------------------------------------ */

static const struct ush_statement due = {
    .name = "jobs_due",
    .text = "SELECT id, lane FROM jobs WHERE lane = $1 AND " DUE(
        "$1", "$2") " ORDER BY due_at, id LIMIT $3",
};

/* What could be claimed: for who announces. */
static int run_due(struct ush_tx *tx, const void *in, void *out)
{
    const struct ush__jobs_due *i = in;
    if (i->limit < 1 || i->limit > USH__FEED_MAX)
        return USH_EINVAL;
    USH_TRY(ush_exec_later(tx, &release_expired, USH_VALUES(tx->now_ms)));
    size_t room = (size_t)(i->limit * USH__LANES_MAX), count = 0;
    struct ush__due_row *found = USH_NEW_N(tx->arena, struct ush__due_row, room);
    if (!found)
        return -ENOMEM;
    for (ush_text rest = i->lanes; rest.len;) {
        struct ush_rows rows;
        USH_TRY(ush_all(tx, &due, &ush__due_row_record, (size_t)i->limit, &rows,
                        USH_VALUES(ush_text_cut(&rest, ','), tx->now_ms, i->limit)));
        if (rows.count > room - count)
            return USH_EINVAL;
        memcpy(found + count, rows.at, rows.count * sizeof *found);
        count += rows.count;
    }
    ((struct ush__due_rows *)out)->rows = (struct ush_rows){found, count};
    return (int)count;
}

const struct ush_operation ush_op_jobs_due = {
    .name = "jobs_due",
    .in = &ush__jobs_due_record,
    .out = &ush__due_rows_record,
    .run = run_due,
};

/* ---- mark, end ------------------------------------------------------------------------------ */

#define RUNNING_FIELDS(F, R) F(R, I64, id) F(R, I64, claim)
USH_RECORD(running, RUNNING_FIELDS)
USH_RECORD_DEFINE(running, RUNNING_FIELDS)

/* $1 is a list of ids as JSON. */
static const struct ush_statement running = {
    .name = "jobs_running",
    .text =
        "SELECT id, claim FROM jobs WHERE id IN (SELECT value FROM json_each($1)) AND state = 1",
    .postgresql = "SELECT id, claim FROM jobs WHERE id = ANY (ARRAY (SELECT value::bigint"
                  " FROM json_array_elements_text($1::json))) AND state = 1 " IN_ORDER,
};

/* Locks the running ones among n jobs. The inputs of the calls begin with an id. */
static int lock_running(struct ush_tx *tx, const struct ush_call *calls, size_t n,
                        int64_t (*id_of)(const void *in), struct ush_rows *ret)
{
    struct ush_buf ids;
    ush_buf_init(&ids, 64 + 24 * n);
    for (size_t k = 0; k < n; k++) {
        ush_buf_add_byte(&ids, k ? ',' : '[');
        ush_buf_add_i64(&ids, id_of(calls[k].in));
    }
    ush_buf_add_byte(&ids, ']');
    int r = ids.error
                ? ids.error
                : ush_all(tx, &running, &running_record, n, ret, USH_VALUES(ush_buf_text(&ids)));
    ush_buf_fini(&ids);
    return r;
}

/* 1 if the claim is good, and then for nobody else of this batch; else 0. */
static int use_claim(const struct ush_rows *locked, int64_t id, int64_t number)
{
    struct running *r = locked->at;
    for (size_t i = 0; i < locked->count; i++) {
        if (r[i].id != id || r[i].claim != number)
            continue;
        r[i].claim = -1;
        return 1;
    }
    return 0;
}

/* The fields of ush__job_mark. */
static const struct ush_statement mark = {
    .name = "job_mark",
    .text = "UPDATE jobs SET mark = $3, payload = coalesce($4, payload)"
            " WHERE id = $1 AND claim = $2",
    .postgresql = "UPDATE jobs SET mark = n.mark, payload = coalesce(n.payload, jobs.payload)"
                  " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[])"
                  " AS n (id, claim, mark, payload)"
                  " WHERE jobs.id = ANY ($1::bigint[]) AND jobs.id = n.id",
};

static const struct ush_statement mark_first = {
    .name = "job_mark_first",
    .text = "UPDATE jobs SET mark = 1, payload = coalesce($3, payload)"
            " WHERE id = $1 AND claim = $2 AND state = 1 AND mark = 0",
};

int ush_job_mark_first(struct ush_tx *tx, int64_t id, int64_t number, ush_text payload)
{
    return ush_exec(tx, &mark_first, USH_VALUES(id, number, USH_BYTES(payload)));
}

static int64_t id_of_mark(const void *in)
{
    return ((const struct ush__job_mark *)in)->id;
}

static int run_marks(struct ush_tx *tx, struct ush_call *calls, size_t n)
{
    struct ush_rows locked;
    struct ush__job_mark *marks = USH_NEW_N(tx->arena, struct ush__job_mark, n);
    size_t count = 0;
    if (!marks)
        return USH_ELIMIT;
    USH_TRY(lock_running(tx, calls, n, id_of_mark, &locked));
    for (size_t k = 0; k < n; k++) {
        const struct ush__job_mark *i = calls[k].in;
        int rows = use_claim(&locked, i->id, i->claim);
        if (rows)
            marks[count++] = *i;
        ((struct ush__jobs_changed *)calls[k].out)->rows = calls[k].result = rows;
    }
    return ush_exec_rows_later(tx, &mark, &ush__job_mark_record, marks, count);
}

const struct ush_operation ush_op_job_mark = {
    .name = "job_mark",
    .in = &ush__job_mark_record,
    .out = &ush__jobs_changed_record,
    .run_many = run_marks,
};

#define ENDED_FIELDS(F, R)                                                                         \
    F(R, I64, id)                                                                                  \
    F(R, I64, state)                                                                               \
    F(R, TIME, due_at) F(R, I64, failed) F(R, I64, unknown) F(R, TEXT, note) F(R, TIME, now)
USH_RECORD(ended, ENDED_FIELDS)
USH_RECORD_DEFINE(ended, ENDED_FIELDS)

#define END(state, due, failed, unknown, a_note, now)                                              \
    "UPDATE jobs SET state = " state ", due_at = " due ", failures = failures + " failed ","       \
    " unknowns = unknowns + " unknown ", note = coalesce(" a_note ", jobs.note), owner = NULL,"    \
    " lease_until = NULL,"                                                                         \
    " mark = CASE WHEN mark = 2 AND " unknown " = 0 AND " state " = 0 THEN 1 ELSE mark END,"       \
    " ended_at = CASE WHEN " state " = 0 THEN NULL ELSE " now " END"
static const struct ush_statement end = {
    .name = "job_end",
    .text = END("$2", "$3", "$4", "$5", "$6", "$7") " WHERE id = $1",
    .postgresql = END(
        "n.state", "n.due_at", "n.failed", "n.unknown", "n.note",
        "n.now") " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], "
                 "$5::bigint[],"
                 " $6::text[], $7::bigint[]) AS n (id, state, due_at, failed, unknown, note, now)"
                 " WHERE jobs.id = ANY ($1::bigint[]) AND jobs.id = n.id",
};

static int64_t id_of_end(const void *in)
{
    return ((const struct ush__job_end *)in)->id;
}

static int run_ends(struct ush_tx *tx, struct ush_call *calls, size_t n)
{
    struct ush_rows locked;
    struct ended *ends = USH_NEW_N(tx->arena, struct ended, n);
    size_t count = 0;
    if (!ends)
        return USH_ELIMIT;
    USH_TRY(lock_running(tx, calls, n, id_of_end, &locked));
    for (size_t k = 0; k < n; k++) {
        const struct ush__job_end *i = calls[k].in;
        int rows = use_claim(&locked, i->id, i->claim);
        if (rows)
            ends[count++] = (struct ended){.id = i->id,
                                           .state = i->state,
                                           .due_at = tx->now_ms + i->delay_ms,
                                           .failed = i->failed,
                                           .unknown = i->unknown,
                                           .note = i->note,
                                           .now = tx->now_ms};
        ((struct ush__jobs_changed *)calls[k].out)->rows = calls[k].result = rows;
    }
    USH_TRY(ush_exec_rows_later(tx, &end, &ended_record, ends, count));
    for (size_t k = 0; k < n; k++) { /* behind all jobs: rule 2 of lanes.c */
        const struct ush__job_end *i = calls[k].in;
        if (i->pause_ms > 0 && calls[k].result == 1)
            USH_TRY(ush__lanes_pause(tx, i->lanes, tx->now_ms + i->pause_ms, i->note));
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
    UPDATE("state = 1 AND owner = $1", "UPDATE jobs SET lease_until = $2"),
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
    " mark = CASE WHEN mark = 2 THEN 1 ELSE mark END, ended_at = NULL"
static const struct ush_statement again_one = {
    .name = "jobs_again_one",
    UPDATE("state IN (3, 4) AND id = $2", AGAIN),
};
static const struct ush_statement again_lane = {
    .name = "jobs_again_lane",
    UPDATE("state IN (3, 4) AND lane = $2", AGAIN),
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

/* ---- purge ---------------------------------------------------------------------------------- */

static const struct ush_statement oldest = {
    .name = "jobs_oldest",
    .text = "SELECT id, state, ended_at, created_at FROM jobs WHERE id > $1 ORDER BY id LIMIT $2",
};
static const struct ush_statement drop = {
    .name = "jobs_drop",
    .text = "DELETE FROM jobs WHERE id = $1 AND state = 2",
    .postgresql = "DELETE FROM jobs WHERE id = ANY ($1::bigint[]) AND state = 2",
};

/* Walks along the ids, which are in the order of putting, as far as rows can be old enough. So it
 * needs no index, and when nothing is old it reads one row. */
static int run_purge(struct ush_tx *tx, const void *in, void *out)
{
    const struct ush__jobs_purge *i = in;
    struct ush__jobs_purged *o = out;
    struct ush_rows rows;
    struct ush__job_id ids[USH__PURGE_ROWS];
    size_t n = 0;
    int64_t horizon = tx->now_ms - i->keep_ms;
    USH_TRY(ush_all(tx, &oldest, &ush__job_age_record, USH__PURGE_ROWS, &rows,
                    USH_VALUES(i->after, USH__PURGE_ROWS)));
    const struct ush__job_age *row = rows.at;
    size_t k = 0;
    for (; k < rows.count && row[k].created_at <= horizon; k++)
        if (row[k].state == USH_JOB_DONE && row[k].ended_at <= horizon)
            ids[n++].id = row[k].id;
    o->after = k == USH__PURGE_ROWS ? row[k - 1].id : 0;
    int r = n ? ush_exec_rows(tx, &drop, &ush__job_id_record, ids, n) : 0;
    o->rows = r;
    return r;
}

const struct ush_operation ush_op_jobs_purge = {
    .name = "jobs_purge",
    .in = &ush__jobs_purge_record,
    .out = &ush__jobs_purged_record,
    .run = run_purge,
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
