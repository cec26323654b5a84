/*
 * sql_test.c - the storage layer under seeds: every order of tasks, late and short deliveries,
 * resets of the connection to the writer, and a cancellation at every wait.
 *
 * The model that the runs are compared with is a list of what each task was told. Afterwards the
 * database must say the same: what was acknowledged is stored once, what ended with -ECANCELED,
 * -ETIMEDOUT or a negative operation is not there, and what ended unknown may or may not be.
 */
#include "../slow.h"
#include "../unit/sql/notes.h"

enum { TASKS = 12, ROUNDS = 3 };

struct scene {
    const char *url;
    struct ush_db *db;
    int seed;
};

struct student {
    struct scene *scene;
    int64_t key;
    int result[ROUNDS];
};

static int64_t stored_with_key(struct ush_db *db, int64_t key);

/* Puts ROUNDS notes with keys of its own, each in a scope that may be cancelled. */
static int study(void *arg)
{
    struct student *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        static const enum note_fault faults[] = {NOTE_FINE, NOTE_FINE, NOTE_FINE,
                                                 NOTE_FAILS_AFTER_INSERT, NOTE_CONFLICTS};
        const struct ush_operation *op = ush_sim_choose(2) ? &note_put : &note_put_many;
        struct note_done done;
        struct ush_scope scope;
        ush_scope_open(&scope, &(struct ush_scope_options){.name = "request"});
        s->result[i] = put_note(s->scene->db, op, s->key + i, faults[ush_sim_choose(5)], &done);
        /* Invariants 1 and 2 of sql.h: what was answered is seen by whoever looks afterwards. */
        if (s->result[i] == 0) {
            int64_t n = stored_with_key(s->scene->db, s->key + i);
            ck_assert_msg(n == 1 || n < 0, "key %d: %d rows", (int)(s->key + i), (int)n);
        }
        ush_scope_close(&scope);
        if (i + 1 < ROUNDS && ush_sim_choose(3) == 0)
            ush_yield();
    }
    return 0;
}

struct key_count {
    int64_t key;
    struct count_row row;
};

static int read_key(struct ush_tx *view, void *arg)
{
    struct key_count *k = arg;
    return ush_one(view, &note_count_key, &count_row_record, &k->row, USH_VALUES(k->key));
}

/* Negative if the look itself was cancelled. */
static int64_t stored_with_key(struct ush_db *db, int64_t key)
{
    struct key_count k = {.key = key};
    int r = ush_read(db, read_key, &k);
    return r < 0 ? r : k.row.n;
}

static void check_told(struct scene *scene, const struct student *students)
{
    for (int i = 0; i < TASKS; i++) {
        for (int k = 0; k < ROUNDS; k++) {
            int64_t n = stored_with_key(scene->db, students[i].key + k);
            int told = students[i].result[k];
            bool is_true = told == 0                  ? n == 1
                           : told == USH_EUNAVAILABLE ? n == 0 || n == 1
                                                      : n == 0;
            ck_assert_msg(is_true, "seed %d, key %d: told %d (%s), but stored %d times",
                          scene->seed, (int)students[i].key + k, told, ush_error_text(told),
                          (int)n);
        }
    }
}

static void run_students(struct scene *scene, struct student *students)
{
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.keep_going = true});
    for (int i = 0; i < TASKS; i++) {
        students[i] = (struct student){scene, i * 100, {1, 1, 1}};
        ck_assert_int_eq(ush_spawn(&scope, study, &students[i]), 0);
    }
    ush_scope_close(&scope);
}

/* ---- a database of our own ------------------------------------------------------------------ */

static int local_scene(void *arg)
{
    struct scene scene = {.url = "sqlite::memory:", .seed = *(const int *)arg};
    scene.db = open_notes(scene.url);
    struct student students[TASKS];
    run_students(&scene, students);
    check_told(&scene, students);
    ush_db_close(scene.db);
    return 0;
}

static void assert_run(const struct ush_sim_options *o, ush_fn fn, void *arg)
{
    struct ush_sim_report report;
    int r = ush_sim_run(o, fn, arg, &report);
    ck_assert_msg(r == 0, "seed %llu, cancel at %u: %s\n%s", (unsigned long long)o->seed,
                  o->cancel_at, ush_error_text(r), report.text);
}

START_TEST(what_is_told_is_what_is_stored)
{
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    for (int seed = 1; seed <= fewer(1000); seed++) {
        struct ush_sim_options o = {
            .seed = (uint64_t)seed, .order = USH_SIM_RANDOM, .delay_ns_max = USH_MS};
        if (_i == 1)
            o.order = USH_SIM_PCT;
        assert_run(&o, local_scene, &seed);
    }
}
END_TEST

START_TEST(a_change_that_is_cancelled_before_it_is_taken_is_not_stored)
{
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    for (int seed = 1; seed <= fewer(1000); seed++) {
        struct ush_sim_options o = {.seed = (uint64_t)seed,
                                    .order = USH_SIM_RANDOM,
                                    .delay_ns_max = USH_MS,
                                    .cancel_permille = 50};
        assert_run(&o, local_scene, &seed);
    }
}
END_TEST

/* ---- through the writer --------------------------------------------------------------------- */

enum { WRITER_PORT = 7 };

static int run_writer(void *arg)
{
    const struct ush_writer_options *o = arg;
    return ush_writer_run(o);
}

static int writer_scene(void *arg)
{
    struct scene *scene = arg;
    ush_db_close(open_notes(scene->url));
    struct ush_address at = ush_sim_address(WRITER_PORT);
    struct ush_writer_options writer = {.url = scene->url,
                                        .operations = note_operations,
                                        .listener = ush_listen(&at, 8),
                                        .batch_max = 8};
    ck_assert_int_ge(writer.listener, 0);
    struct ush_scope around;
    ush_scope_open(&around, &(struct ush_scope_options){.name = "writer", .keep_going = true});
    /* A writer that is cancelled has ended well; its successor takes over. */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(ush_spawn(&around, run_writer, &writer), 0);

    int error = 0;
    struct ush_db_options o = {.url = scene->url,
                               .role = USH_DB_WORKER,
                               .operations = note_operations,
                               .writer_wait_ms = 60000,
                               .writer = &at};
    scene->db = ush_db_open(&o, &error);
    ck_assert(scene->db);
    struct student students[TASKS];
    run_students(scene, students);
    ush_db_close(scene->db);
    ush_scope_cancel(&around, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&around);
    ush_close(writer.listener);
    scene->db = open_notes(scene->url);
    check_told(scene, students);
    ush_db_close(scene->db);
    return 0;
}

START_TEST(answers_survive_resets_of_the_connection)
{
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    char url[128];
    for (int seed = 1; seed <= fewer(300); seed++) {
        /* In memory, if there is a file system there: nothing here depends on the disk. */
        const char *folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(url, sizeof url, "%s-%d", scratch_url_in(folder), seed);
        struct scene scene = {.url = url, .seed = seed};
        struct ush_sim_options o = {.seed = (uint64_t)seed,
                                    .order = USH_SIM_RANDOM,
                                    .delay_ns_max = 2 * USH_MS,
                                    .short_permille = 200,
                                    .reset_permille = _i == 1 ? 20 : 0,
                                    .cancel_permille = _i == 2 ? 5 : 0};
        assert_run(&o, writer_scene, &scene);
    }
}
END_TEST

START_TEST(a_seed_makes_the_same_decisions_again)
{
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    uint64_t hash[2];
    for (int i = 0; i < 2; i++) {
        struct ush_sim_options o = {.seed = 77, .order = USH_SIM_RANDOM, .delay_ns_max = USH_MS};
        struct ush_sim_report report;
        int seed = 77;
        ck_assert_int_eq(ush_sim_run(&o, local_scene, &seed, &report), 0);
        hash[i] = report.hash;
    }
    ck_assert_uint_eq(hash[0], hash[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sql under seeds");
    TCase *tc = tcase_create("seeds");
    tcase_add_loop_test(tc, what_is_told_is_what_is_stored, 0, 2);
    tcase_add_test(tc, a_change_that_is_cancelled_before_it_is_taken_is_not_stored);
    tcase_add_loop_test(tc, answers_survive_resets_of_the_connection, 0, 3);
    tcase_add_test(tc, a_seed_makes_the_same_decisions_again);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
