/*
 * driver_test.c - what every driver owes to sql.h, run over each of them: a database in a file and
 * one in memory (the latter has one connection for views and changes).
 */
#include <signal.h>

#include "notes.h"

static const char *url_of(int driver)
{
    return driver == 0 ? scratch_url() : "sqlite::memory:";
}
enum { DRIVERS = 2 };

#define DRIVER_TEST(name)                                                                          \
    static int name##_body(void *arg);                                                             \
    START_TEST(name)                                                                               \
    {                                                                                              \
        ck_assert_int_eq(in_loop(name##_body, (void *)url_of(_i)), 0);                             \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *arg)

/* ---- values --------------------------------------------------------------------------------- */

#define EVERY_FIELDS(F, R)                                                                         \
    F(R, TEXT, t, .optional = true)                                                                \
    F(R, BYTES, b, .optional = true)                                                               \
    F(R, I64, i, .optional = true)                                                                 \
    F(R, BOOL, f, .optional = true)                                                                \
    F(R, TIME, m, .optional = true)                                                                \
    F(R, JSON, j, .optional = true)
USH_RECORD(every, EVERY_FIELDS)
USH_RECORD_DEFINE(every, EVERY_FIELDS)

static const struct ush_statement
    every_make = {"every make", "CREATE TABLE every (t TEXT, b BLOB, i INTEGER, f INTEGER,"
                                " m INTEGER, j TEXT) STRICT"},
    every_add = {"every add", "INSERT INTO every (t, b, i, f, m, j) VALUES ($1,$2,$3,$4,$5,$6)"},
    every_clear = {"every clear", "DELETE FROM every"},
    every_all = {"every all", "SELECT t, b, i, f, m, j FROM every ORDER BY rowid"},
    every_mixed = {"every mixed", "INSERT INTO every (i, t, m) VALUES ($2, $1, $2)"};

static const struct every every_rows[] = {
    {.has = 0},
    {.has = 63, USH_T("Zoë"), USH_T("\0\xff"), 1, true, 2, USH_T("{\"a\":1}")},
    {.has = 63, USH_T(""), USH_T(""), 0, false, 0, USH_T("null")},
    {.has = 63, USH_T("NUL\0in it"), USH_T("x"), INT64_MIN, true, INT64_MAX, USH_T("[]")},
    {.has = 4, .i = -1},
};

static void assert_same_text(ush_text a, ush_text b)
{
    ck_assert_int_eq(a.at == NULL, b.at == NULL);
    ck_assert(ush_text_equal(a, b));
}

static void assert_same(const struct every *a, const struct every *b)
{
    ck_assert_uint_eq(a->has, b->has);
    assert_same_text(a->t, b->t);
    assert_same_text(a->b, b->b);
    assert_same_text(a->j, b->j);
    ck_assert_int_eq(a->i, b->i);
    ck_assert_int_eq(a->f, b->f);
    ck_assert_int_eq(a->m, b->m);
}

static int check_every(struct ush_tx *tx)
{
    struct ush_rows rows;
    int n = ush_all(tx, &every_all, &every_record, 100, &rows, USH_NO_VALUES);
    ck_assert_int_eq(n, USH_COUNT(every_rows));
    for (int i = 0; i < n; i++)
        assert_same(&((struct every *)rows.at)[i], &every_rows[i]);
    return 0;
}

static int every_run(struct ush_tx *tx, const void *in __attribute__((unused)),
                     void *out __attribute__((unused)))
{
    ck_assert_int_eq(ush_exec(tx, &every_make, USH_NO_VALUES), 0);
    int n = ush_exec_rows(tx, &every_add, &every_record, every_rows, USH_COUNT(every_rows));
    ck_assert_int_eq(n, USH_COUNT(every_rows));
    check_every(tx);
    ck_assert_int_eq(ush_exec(tx, &every_clear, USH_NO_VALUES), USH_COUNT(every_rows));

    /* The same, value by value: USH_V takes what a C program has. */
    for (size_t i = 0; i < USH_COUNT(every_rows); i++) {
        const struct every *e = &every_rows[i];
        ck_assert_int_eq(
            ush_exec(tx, &every_add,
                     USH_VALUES(e->t, USH_BYTES(e->b),
                                USH_HAS(e, every_i) ? ush_value_i64(e->i) : USH_NULL,
                                USH_HAS(e, every_f) ? ush_value_i64(e->f) : USH_NULL,
                                USH_HAS(e, every_m) ? ush_value_i64(e->m) : USH_NULL, e->j)),
            1);
    }
    check_every(tx);
    ush_exec(tx, &every_clear, USH_NO_VALUES);

    /* $1 and $2 in another order, one of them twice. */
    const char *text = "first";
    ck_assert_int_eq(ush_exec(tx, &every_mixed, USH_VALUES(text, 2)), 1);
    struct every row;
    ck_assert_int_eq(ush_one(tx, &every_all, &every_record, &row, USH_NO_VALUES), 1);
    assert_same(&row, &(struct every){.has = 1 | 4 | 16, .t = USH_T("first"), .i = 2, .m = 2});
    return 0;
}

static const struct ush_operation every_op = {"every", &count_row_record, NULL, .run = every_run};

DRIVER_TEST(every_type_and_null_goes_in_and_comes_out)
{
    static const struct ush_operation *const operations[] = {&every_op, NULL};
    int error = 0;
    struct ush_db *db =
        ush_db_open(&(struct ush_db_options){arg, USH_DB_LOCAL, operations}, &error);
    ck_assert_int_eq(ush_change(db, &every_op, &(struct count_row){1, 1}, NULL, ush_task_arena()),
                     0);
    ush_db_close(db);
    return 0;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static const struct ush_statement
    numbers = {"numbers", "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE"
                          " n < $1) SELECT n FROM c"},
    twins = {"twins", "SELECT n, n AS m FROM (SELECT 1 AS n)"},
    words = {"words", "SELECT 'one' AS n"}, nothing = {"nothing", "SELECT 1 AS n WHERE 0"},
    two = {"two", "SELECT 1 AS n; SELECT 2 AS n"}, wrong = {"wrong", "SELEKT 1 AS n"};

static int stop_at_three(void *ctx, const void *row)
{
    int64_t *seen = ctx;
    *seen = ((const struct count_row *)row)->n;
    return *seen == 3 ? -EPIPE : 0;
}

struct nested {
    struct ush_tx *tx;
    int64_t sum;
};

static int ask_again(void *ctx, const void *row)
{
    struct nested *nested = ctx;
    struct ush_rows rows;
    int64_t n = ((const struct count_row *)row)->n;
    /* The statement that is being walked through is used again inside the walk. */
    ck_assert_int_eq(ush_all(nested->tx, &numbers, &count_row_record, 10, &rows, USH_VALUES(n)), n);
    nested->sum += (int64_t)rows.count;
    return 0;
}

static int look_at_rows(struct ush_tx *view, void *arg __attribute__((unused)))
{
    struct count_row row = {.n = 77};
    ck_assert_int_eq(ush_one(view, &nothing, &count_row_record, &row, USH_NO_VALUES), 0);
    ck_assert_int_eq(ush_one(view, &numbers, &count_row_record, &row, USH_VALUES(5)), 1);
    ck_assert_int_eq(row.n, 1);
    struct ush_rows rows;
    ck_assert_int_eq(ush_all(view, &numbers, &count_row_record, 1000, &rows, USH_VALUES(1000)),
                     1000);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(((struct count_row *)rows.at)[i].n, i + 1);
    ck_assert_int_eq(ush_all(view, &numbers, &count_row_record, 999, &rows, USH_VALUES(1000)),
                     USH_ELIMIT);
    int64_t seen = 0;
    ck_assert_int_eq(
        ush_each(view, &numbers, &count_row_record, stop_at_three, &seen, USH_VALUES(1000)),
        -EPIPE);
    ck_assert_int_eq(seen, 3);
    struct nested nested = {view, 0};
    ck_assert_int_eq(ush_each(view, &numbers, &count_row_record, ask_again, &nested, USH_VALUES(4)),
                     0);
    ck_assert_int_eq(nested.sum, 10);
    ck_assert_int_eq(ush_one(view, &wrong, &count_row_record, &row, USH_NO_VALUES), USH_EINVAL);
    return 42;
}

DRIVER_TEST(rows_come_one_all_or_each)
{
    struct ush_db *db = open_notes(arg);
    ck_assert_int_eq(ush_read(db, look_at_rows, NULL), 42);
    ush_db_close(db);
    return 0;
}

/* ---- our own mistakes end the process ------------------------------------------------------- */

static int read_twins(struct ush_tx *view, void *arg __attribute__((unused)))
{
    struct count_row row;
    return ush_one(view, &twins, &count_row_record, &row, USH_NO_VALUES);
}
static int read_words(struct ush_tx *view, void *arg __attribute__((unused)))
{
    struct count_row row;
    return ush_one(view, &words, &count_row_record, &row, USH_NO_VALUES);
}
static int read_too_few(struct ush_tx *view, void *arg __attribute__((unused)))
{
    struct count_row row;
    return ush_one(view, &numbers, &count_row_record, &row, USH_NO_VALUES);
}
static int read_two(struct ush_tx *view, void *arg __attribute__((unused)))
{
    struct count_row row;
    return ush_one(view, &two, &count_row_record, &row, USH_NO_VALUES);
}
static int write_in_view(struct ush_tx *view, void *arg __attribute__((unused)))
{
    return ush_exec(view, &note_add, USH_VALUES(1, USH_T("body"), 1));
}
static int (*const mistakes[])(struct ush_tx *, void *) = {read_twins, read_words, read_too_few,
                                                           read_two, write_in_view};

static int make_mistake(void *arg)
{
    struct ush_db *db = open_notes("sqlite::memory:");
    return ush_read(db, *(int (*const *)(struct ush_tx *, void *))arg, NULL);
}

START_TEST(a_statement_that_does_not_fit_is_a_bug)
{
    in_loop(make_mistake, (void *)&mistakes[_i]);
}
END_TEST

/* ---- operations ----------------------------------------------------------------------------- */

DRIVER_TEST(a_change_is_stored_and_answers)
{
    struct ush_db *db = open_notes(arg);
    struct note_done first, again;
    ck_assert_int_eq(put_note(db, &note_put, 7, NOTE_FINE, &first), 0);
    ck_assert_int_eq(put_note(db, &note_put, 7, NOTE_FINE, &again), 0);
    ck_assert(!first.again && again.again);
    ck_assert_int_eq(first.id, again.id);
    ck_assert_int_eq(notes_stored(db), 1);
    ush_db_close(db);
    return 0;
}

/* Invariant 4 of sql.h, for both forms of an operation and alone or in company. */
struct put {
    struct ush_db *db;
    const struct ush_operation *op;
    int64_t key;
    enum note_fault fault;
    int result;
};

static int put_one(void *arg)
{
    struct put *p = arg;
    struct note_done done;
    p->result = put_note(p->db, p->op, p->key, p->fault, &done);
    return 0;
}

static int expected_result(enum note_fault fault)
{
    return fault == NOTE_FAILS_AFTER_INSERT ? USH_EINVAL
           : fault == NOTE_CONFLICTS        ? USH_ECONFLICT
                                            : 0;
}

DRIVER_TEST(a_negative_operation_leaves_no_effect)
{
    struct ush_db *db = open_notes(arg);
    enum { N = 64 };
    static const enum note_fault faults[] = {NOTE_FINE, NOTE_FAILS_AFTER_INSERT, NOTE_CONFLICTS,
                                             NOTE_SWALLOWS};
    struct put puts[N];
    int64_t expected = 0;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < N; i++) {
            /* Runs of one operation of various lengths, with faults at their beginnings too. */
            const struct ush_operation *op = (i / (round + 1)) % 2 ? &note_put : &note_put_many;
            enum note_fault fault = faults[(i * 7 + round) % 4];
            puts[i] = (struct put){db, op, round * N + i, fault, 1};
            expected += expected_result(fault) == 0;
        }
        ck_assert_int_eq(ush_gather(N, 0, put_one, puts, sizeof *puts), 0);
        for (int i = 0; i < N; i++)
            ck_assert_int_eq(puts[i].result, expected_result(puts[i].fault));
        ck_assert_int_eq(notes_stored(db), expected);
    }
    struct ush_db_stats stats = ush_db_stats(db);
    ck_assert_uint_eq(stats.changes, 4 * N);
    ck_assert_uint_eq(stats.conflicts, N);
    ush_db_close(db);
    return 0;
}

DRIVER_TEST(concurrent_changes_share_commits)
{
    struct ush_db *db = open_notes(arg);
    enum { N = 400 };
    static struct put puts[N];
    note_many_largest = note_many_calls = 0;
    for (int i = 0; i < N; i++)
        puts[i] = (struct put){db, &note_put_many, i, NOTE_FINE, 1};
    ck_assert_int_eq(ush_gather(N, 0, put_one, puts, sizeof *puts), 0);
    ck_assert_int_eq(notes_stored(db), N);
    struct ush_db_stats stats = ush_db_stats(db);
    ck_assert_uint_eq(stats.changes, N);
    ck_assert_uint_le(stats.batches, 8); /* 256 per batch: two would do */
    ck_assert_uint_eq(stats.batches, note_many_calls);
    ck_assert_uint_eq(stats.batch_largest, note_many_largest);
    ush_db_close(db);
    return 0;
}

DRIVER_TEST(one_bad_input_makes_the_others_run_one_by_one)
{
    struct ush_db *db = open_notes(arg);
    enum { N = 20 };
    struct put puts[N];
    note_many_largest = note_many_calls = 0;
    for (int i = 0; i < N; i++)
        puts[i] =
            (struct put){db, &note_put_many, i, i == 11 ? NOTE_FAILS_AFTER_INSERT : NOTE_FINE, 1};
    ush_gather(N, 0, put_one, puts, sizeof *puts);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(puts[i].result, i == 11 ? USH_EINVAL : 0);
    ck_assert_uint_eq(note_many_largest, N);
    ck_assert_uint_eq(note_many_calls, 1 + N);
    ck_assert_int_eq(notes_stored(db), N - 1);
    ush_db_close(db);
    return 0;
}

/* ---- savepoints and constraints inside an operation ----------------------------------------- */

static const struct ush_statement reply_add = {"reply add",
                                               "INSERT INTO replies (note, body) VALUES ($1, $2)"};

static int add_two_and_fail(struct ush_tx *tx, void *arg)
{
    int64_t key = *(int64_t *)arg;
    ck_assert_int_eq(ush_exec(tx, &note_add, USH_VALUES(key, USH_T("a"), tx->now_ms)), 1);
    ck_assert_int_eq(ush_exec(tx, &note_add, USH_VALUES(key + 1, USH_T("b"), tx->now_ms)), 1);
    return key % 2 ? -EIO : 5;
}

static int savepoints_run(struct ush_tx *tx, const void *in __attribute__((unused)),
                          void *out __attribute__((unused)))
{
    int64_t odd = 1, even = 10;
    ck_assert_int_eq(ush_savepoint(tx, add_two_and_fail, &odd), -EIO);
    ck_assert_int_eq(ush_savepoint(tx, add_two_and_fail, &even), 5);
    struct count_row row;
    ck_assert_int_eq(ush_one(tx, &note_count, &count_row_record, &row, USH_NO_VALUES), 1);
    ck_assert_int_eq(row.n, 2);
    ck_assert_int_eq(ush_exec(tx, &reply_add, USH_VALUES(999, USH_T("to nobody"))), USH_ECONFLICT);
    return 3;
}

static const struct ush_operation savepoints = {"savepoints", &count_row_record, NULL,
                                                .run = savepoints_run};

DRIVER_TEST(a_savepoint_undoes_only_what_is_in_it)
{
    static const struct ush_operation *const operations[] = {&savepoints, NULL};
    int error = 0;
    struct ush_db_options o = {arg, USH_DB_LOCAL, operations};
    struct ush_db *db = ush_db_open(&o, &error);
    ck_assert_int_eq(ush_migrate(db, &(struct ush_migrate_options){notes_migrations, 1}), 1);
    ck_assert_int_eq(ush_change(db, &savepoints, &(struct count_row){1, 1}, NULL, ush_task_arena()),
                     3);
    ck_assert_int_eq(notes_stored(db), 2);
    ush_db_close(db);
    return 0;
}

/* A constraint that is looked at only by COMMIT fails one operation, not its batch. */
static const struct ush_migration deferred[] = {
    {1, "deferred",
     "CREATE TABLE parents (id INTEGER PRIMARY KEY);"
     "CREATE TABLE notes (key BIGINT UNIQUE, parent BIGINT REFERENCES parents"
     " DEFERRABLE INITIALLY DEFERRED); INSERT INTO parents VALUES (1)"}};
static const struct ush_statement orphan_add = {"orphan add",
                                                "INSERT INTO notes (key, parent) VALUES ($1, $2)"};

static int orphan_run(struct ush_tx *tx, const void *in, void *out __attribute__((unused)))
{
    const struct count_row *row = in;
    return ush_exec(tx, &orphan_add, USH_VALUES(row->n, row->n % 5 == 0 ? 999 : 1));
}
static const struct ush_operation orphan_put = {"orphan", &count_row_record, NULL,
                                                .run = orphan_run};

static int put_orphan(void *arg)
{
    struct put *p = arg;
    struct count_row row = {1, p->key};
    p->result = ush_change(p->db, &orphan_put, &row, NULL, ush_task_arena());
    return 0;
}

DRIVER_TEST(a_conflict_at_commit_is_its_own_operations)
{
    static const struct ush_operation *const operations[] = {&orphan_put, NULL};
    int error = 0;
    struct ush_db *db =
        ush_db_open(&(struct ush_db_options){arg, USH_DB_LOCAL, operations}, &error);
    ck_assert_int_eq(ush_migrate(db, &(struct ush_migrate_options){deferred, 1}), 1);
    struct put puts[20];
    for (int i = 0; i < 20; i++)
        puts[i] = (struct put){.db = db, .key = i};
    ush_gather(20, 0, put_orphan, puts, sizeof *puts);
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(puts[i].result, i % 5 == 0 ? USH_ECONFLICT : 1);
    ck_assert_int_eq(notes_stored(db), 16);
    ush_db_close(db);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("sql driver");
    TCase *tc = tcase_create("over every driver");
    tcase_add_loop_test(tc, every_type_and_null_goes_in_and_comes_out, 0, DRIVERS);
    tcase_add_loop_test(tc, rows_come_one_all_or_each, 0, DRIVERS);
    tcase_add_loop_test(tc, a_change_is_stored_and_answers, 0, DRIVERS);
    tcase_add_loop_test(tc, a_negative_operation_leaves_no_effect, 0, DRIVERS);
    tcase_add_loop_test(tc, concurrent_changes_share_commits, 0, DRIVERS);
    tcase_add_loop_test(tc, one_bad_input_makes_the_others_run_one_by_one, 0, DRIVERS);
    tcase_add_loop_test(tc, a_savepoint_undoes_only_what_is_in_it, 0, DRIVERS);
    tcase_add_loop_test(tc, a_conflict_at_commit_is_its_own_operations, 0, DRIVERS);
    suite_add_tcase(s, tc);
    tc = tcase_create("mistakes");
    tcase_add_loop_test_raise_signal(tc, a_statement_that_does_not_fit_is_a_bug, SIGABRT, 0,
                                     USH_COUNT(mistakes));
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
