/*
 * ops_test.c - the job table, one operation at a time, in virtual time.
 */
#include "queue.h"

#define OPS_TEST(name)                                                                             \
    static int name##_body(void *unused);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){0}, name##_body, NULL, NULL), 0);   \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

static struct ush_db *db;

static void put(const char *kind, const char *lane, int64_t due_in_ms)
{
    struct ush_job_new job = new_job(kind, lane);
    job.due_at += due_in_ms;
    ck_assert_int_eq(put_job(db, &job), 1);
}

struct claim {
    int64_t owner;
    const char *lanes;
    int64_t limit, limit_rest;
    struct ush_rows held;
    const char *ids; /* JSON */
};

/* Claims and returns the ids as digits, in order: jobs here have ids below 10. */
static const char *claim_with(struct claim c)
{
    static char ids[16];
    struct ush__jobs_claim in = {.owner = c.owner ? c.owner : 7,
                                 .lanes = ush_text_of(c.lanes ? c.lanes : "mail"),
                                 .limit = c.limit ? c.limit : 9,
                                 .limit_rest = c.limit_rest,
                                 .held = c.held,
                                 .ids = ush_text_of(c.ids)};
    if (c.ids)
        USH_SET(&in, ush__jobs_claim_ids);
    struct ush__jobs_claimed out;
    int r = ush_change(db, &ush_op_jobs_claim, &in, &out, ush_task_arena());
    ck_assert_int_ge(r, 0);
    const struct ush__job_row *rows = out.rows.at;
    size_t n = 0;
    for (; n < out.rows.count; n++)
        ids[n] = (char)('0' + rows[n].id);
    ids[n] = 0;
    for (size_t i = 0; i + 1 < n; i++) /* rows of one lane come in any order */
        for (size_t k = i + 1; k < n; k++)
            if (ids[k] < ids[i]) {
                char c2 = ids[i];
                ids[i] = ids[k], ids[k] = c2;
            }
    return ids;
}
#define claim(...) claim_with((struct claim){__VA_ARGS__})

static int end(struct ush__job_end in)
{
    return ush__jobs_change(db, &ush_op_job_end, &in);
}

static int mark(int64_t id, int64_t claim, int64_t mark, ush_text payload)
{
    struct ush__job_mark in = {.id = id, .claim = claim, .mark = mark, .payload = payload};
    if (payload.at)
        USH_SET(&in, ush__job_mark_payload);
    return ush__jobs_change(db, &ush_op_job_mark, &in);
}

OPS_TEST(a_key_is_put_once)
{
    db = queue_open();
    struct ush_job_new job = new_job("ticket", "mail");
    job.unique_key = USH_T("ticket:1:0");
    USH_SET(&job, ush_job_new_unique_key);
    ck_assert_int_eq(put_job(db, &job), 1);
    ck_assert_int_eq(put_job(db, &job), 0);
    ck_assert_str_eq(claim(0), "1");
    ck_assert_int_eq(end((struct ush__job_end){.id = 1, .claim = 1, .state = USH_JOB_DONE}), 1);
    ck_assert_int_eq(put_job(db, &job), 0); /* also after it has ended */
    job.has = 0;
    job.unique_key = USH_NONE;
    ck_assert_int_eq(put_job(db, &job), 1); /* without a key any number */
    ck_assert_int_eq(put_job(db, &job), 1);
    ush_db_close(db);
    return 0;
}

OPS_TEST(claims_take_what_is_due_by_lane)
{
    db = queue_open();
    put("a", "bulk", 0);
    put("a", "bulk", 0);
    put("a", "mail", 0);
    put("a", "mail", 5000);
    put("a", "hook", 0);
    put("a", "mail", -1000);
    ck_assert_str_eq(claim(.limit = 1), "6"); /* the one that is due longest */
    ck_assert_str_eq(claim(.owner = 8, .lanes = "mail,bulk", .limit = 9, .limit_rest = 1), "13");
    ck_assert_str_eq(claim(.owner = 9, .lanes = "mail,bulk", .limit = 9, .limit_rest = 9), "2");
    ck_assert_str_eq(
        claim(.owner = 9, .lanes = "mail", .held = {&(struct ush__job_id){.id = 2}, 1}), "");
    ush_sleep(5 * USH_SECOND);
    ck_assert_str_eq(claim(.owner = 10), "4");
    ush_db_close(db);
    return 0;
}

OPS_TEST(what_was_announced_is_claimed_if_it_is_due)
{
    db = queue_open();
    put("a", "mail", 0);
    put("a", "bulk", 0);
    put("a", "mail", 5000);
    put("a", "hook", 0);
    put("a", "mail", 0);
    put("a", "mail", 0);
    ck_assert_str_eq(claim(.ids = "[1,2,3,77,-1,0]"), "12");
    ck_assert_str_eq(claim(.owner = 8, .ids = "[1,2,3]"), ""); /* they are somebody's */
    ck_assert_str_eq(claim(.owner = 8, .ids = "[5,6]", .limit = 1), "5");
    ck_assert_int_eq(
        ush_jobs_pause(
            db, &(struct ush_jobs_pause){.lane = "mail", .until_ms = USH_JOBS_UNTIL_RESUMED}),
        0);
    ck_assert_str_eq(claim(.owner = 9, .ids = "[6,4]"), "4");
    ck_assert_int_eq(ush_jobs_resume(db, "mail"), 1);
    ush_sleep(5 * USH_SECOND);
    ck_assert_str_eq(claim(.owner = 10, .ids = "[3,3,6]"), "36");
    ck_assert_int_eq(job_row(db, 3).claim, 1);
    ush_db_close(db);
    return 0;
}

OPS_TEST(a_lost_answer_is_claimed_again)
{
    db = queue_open();
    put("a", "mail", 0);
    put("a", "mail", 0);
    put("a", "mail", 0);
    ck_assert_str_eq(claim(.limit = 2), "12");
    /* It knows of 1 only: the answer that named 2 never came. */
    struct ush__job_id held = {.id = 1};
    ck_assert_str_eq(claim(.held = {&held, 1}), "23");
    ck_assert_int_eq(job_row(db, 2).claim, 1); /* the same claim */
    ck_assert_int_eq(job_row(db, 3).claim, 1);
    ush_db_close(db);
    return 0;
}

OPS_TEST(a_stale_claim_changes_nothing)
{
    db = queue_open();
    put("a", "mail", 0);
    ck_assert_str_eq(claim(.owner = 7), "1");
    ck_assert_int_eq(ush_jobs_release(db, 7), 1);
    ck_assert_str_eq(claim(.owner = 8), "1");
    struct row before = job_row(db, 1);
    ck_assert_int_eq(before.claim, 2);
    ck_assert_int_eq(before.crashes, 1);
    ck_assert_int_eq(mark(1, 1, 2, USH_T("stale")), 0);
    for (int state = 0; state <= USH_JOB_HELD; state++)
        if (state != USH_JOB_RUNNING)
            ck_assert_int_eq(end((struct ush__job_end){.id = 1, .claim = 1, .state = state}), 0);
    ck_assert_int_eq(ush_jobs_release(db, 7), 0);
    struct row after = job_row(db, 1);
    ck_assert_mem_eq(&before, &after, sizeof before);
    ck_assert_int_eq(end((struct ush__job_end){.id = 1, .claim = 2, .state = USH_JOB_DONE}), 1);
    ck_assert_int_eq(end((struct ush__job_end){.id = 1, .claim = 2, .state = USH_JOB_DEAD}), 0);
    ck_assert_int_eq(job_row(db, 1).state, USH_JOB_DONE);
    ush_db_close(db);
    return 0;
}

OPS_TEST(a_lease_ends_and_is_renewed)
{
    db = queue_open();
    put("a", "mail", 0);
    ck_assert_str_eq(claim(.owner = 7), "1");
    ush_sleep(59 * USH_SECOND);
    ck_assert_str_eq(claim(.owner = 8), "");
    struct ush__jobs_owner owner = {.owner = 7};
    ck_assert_int_eq(ush__jobs_change(db, &ush_op_jobs_renew, &owner), 1);
    ush_sleep(59 * USH_SECOND);
    ck_assert_str_eq(claim(.owner = 8), "");
    ush_sleep(USH_SECOND);
    ck_assert_str_eq(claim(.owner = 8), "1");
    ck_assert_int_eq(job_row(db, 1).crashes, 1);
    ck_assert_int_eq(job_row(db, 1).failures, 0);
    ush_db_close(db);
    return 0;
}

OPS_TEST(three_crashes_are_the_end)
{
    db = queue_open();
    put("a", "mail", 0);
    for (int i = 1; i <= 3; i++) {
        ck_assert_str_eq(claim(.owner = 6 + i), "1");
        ck_assert_int_eq(mark(1, i, 2, USH_NONE), 1);
        ck_assert_int_eq(ush_jobs_release(db, 6 + i), 1);
        ck_assert_int_eq(job_row(db, 1).crashes, i);
    }
    ck_assert_int_eq(job_row(db, 1).state, USH_JOB_DEAD);
    ck_assert_str_eq(claim(.owner = 10), "");
    ck_assert_int_eq(ush_jobs_retry(db, &(struct ush_jobs_retry){.id = 2}), 0);
    ck_assert_int_eq(ush_jobs_retry(db, &(struct ush_jobs_retry){.lane = "mail"}), 1);
    ck_assert_str_eq(claim(.owner = 10), "1");
    ck_assert_int_eq(job_row(db, 1).crashes, 0);
    ck_assert_int_eq(job_row(db, 1).unknowns, 3); /* a second copy is announced for ever */
    ush_db_close(db);
    return 0;
}

/* {marks in the attempt, how it ends (-1: its worker does), mark and unknowns then} */
static const struct {
    int marks;
    struct ush__job_end end;
    int mark, unknowns, failures;
} marks[] = {
    {0, {.state = USH_JOB_READY, .failed = 1}, 0, 0, 1},
    {1, {.state = USH_JOB_READY, .failed = 1}, 1, 0, 1},
    {2, {.state = USH_JOB_READY, .failed = 1}, 1, 0, 1}, /* refused after the dot: certain */
    {2, {.state = USH_JOB_READY, .failed = 1, .unknown = 1}, 2, 1, 1},
    {2, {.state = USH_JOB_HELD, .failed = 1, .unknown = 1}, 2, 1, 1},
    {2, {.state = USH_JOB_DONE}, 2, 0, 0},
    {1, {.state = -1}, 1, 0, 0},
    {2, {.state = -1}, 2, 1, 0},
};

OPS_TEST(marks_say_what_is_certain)
{
    db = queue_open();
    for (size_t i = 0; i < USH_COUNT(marks); i++) {
        int64_t id = (int64_t)i + 1;
        put("a", "mail", 0);
        claim(.owner = 20 + id);
        for (int m = 1; m <= marks[i].marks; m++)
            ck_assert_int_eq(mark(id, 1, m, m == 1 ? USH_T("frozen bytes") : USH_NONE), 1);
        struct ush__job_end e = marks[i].end;
        e.id = id, e.claim = 1;
        e.delay_ms = 1000000;
        ck_assert_int_eq(e.state < 0 ? ush_jobs_release(db, 20 + id) : end(e), 1);
        struct row row = job_row(db, id);
        ck_assert_int_eq(row.mark, marks[i].mark);
        ck_assert_int_eq(row.unknowns, marks[i].unknowns);
        ck_assert_int_eq(row.failures, marks[i].failures);
        ck_assert_int_eq(row.size, marks[i].marks ? strlen("frozen bytes") : strlen("payload"));
        if (e.state < 0) /* out of the way of the next */
            claim(.owner = 99, .held = {NULL, 0});
    }
    ush_db_close(db);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("jobs/ops");
    TCase *tc = tcase_create("ops");
    tcase_add_test(tc, a_key_is_put_once);
    tcase_add_test(tc, claims_take_what_is_due_by_lane);
    tcase_add_test(tc, what_was_announced_is_claimed_if_it_is_due);
    tcase_add_test(tc, a_lost_answer_is_claimed_again);
    tcase_add_test(tc, a_stale_claim_changes_nothing);
    tcase_add_test(tc, a_lease_ends_and_is_renewed);
    tcase_add_test(tc, three_crashes_are_the_end);
    tcase_add_test(tc, marks_say_what_is_certain);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
