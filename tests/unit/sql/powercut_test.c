/*
 * powercut_test.c - the power goes off in the middle of a write, again and again.
 *
 * A file system of SQLite's own kind (a VFS) lies between the driver and the disk and remembers
 * what every write replaced since the last sync of its file. At the n-th write it plays power cut:
 * of what was not synced a random part is put back, by sectors of 512 bytes in no order, and the
 * process ends. Then the database is opened as after a real cut (the log's index, which lives in
 * memory, is gone), and everything that was acknowledged must be there, whole.
 *
 * The runs go on with the same file, so cuts also hit the recovery from the one before.
 */
#include <sqlite3.h>

#include "server.h"
#include "sql/sql.h"

enum { SECTOR = 512, WRITE_MAX = 4096, UNSYNCED_MAX = 4000, KEYS_MAX = 100000, TASKS = 6 };

/* ---- the disk ------------------------------------------------------------------------------- */

static struct unsynced {
    sqlite3_file *file;
    sqlite3_int64 offset;
    int n;
    char before[WRITE_MAX];
} unsynced[UNSYNCED_MAX];
static int unsynced_count, writes_left;
static unsigned chance;

static sqlite3_vfs cut_vfs;
static struct cut_methods {
    const sqlite3_io_methods *real;
    sqlite3_io_methods ours;
} cut_methods[4];

static const sqlite3_io_methods *real_methods(sqlite3_file *file)
{
    return USH_CONTAINER(file->pMethods, struct cut_methods, ours)->real;
}

static void cut_power(void)
{
    for (int i = unsynced_count; i-- > 0;) {
        const struct unsynced *u = &unsynced[i];
        for (int at = 0; at < u->n; at += SECTOR) {
            int n = u->n - at < SECTOR ? u->n - at : SECTOR;
            if (rand_r(&chance) % 2)
                real_methods(u->file)->xWrite(u->file, u->before + at, n, u->offset + at);
        }
    }
    _exit(0);
}

static void forget(sqlite3_file *file)
{
    int kept = 0;
    for (int i = 0; i < unsynced_count; i++) {
        if (unsynced[i].file != file)
            unsynced[kept++] = unsynced[i];
    }
    unsynced_count = kept;
}

static int cut_write(sqlite3_file *file, const void *bytes, int n, sqlite3_int64 offset)
{
    const sqlite3_io_methods *real = real_methods(file);
    ck_assert_int_le(n, WRITE_MAX);
    ck_assert_int_lt(unsynced_count, UNSYNCED_MAX);
    struct unsynced *u = &unsynced[unsynced_count++];
    u->file = file;
    u->offset = offset;
    u->n = n;
    real->xRead(file, u->before, n, offset); /* zeros beyond the end */
    int rc = real->xWrite(file, bytes, n, offset);
    if (--writes_left == 0)
        cut_power();
    return rc;
}

static int cut_sync(sqlite3_file *file, int flags)
{
    if (--writes_left == 0)
        cut_power();
    int rc = real_methods(file)->xSync(file, flags);
    forget(file);
    return rc;
}

static int cut_close(sqlite3_file *file)
{
    forget(file);
    return real_methods(file)->xClose(file);
}

static int cut_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                    int *ret_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    int rc = real->xOpen(real, name, file, flags, ret_flags);
    if (rc != SQLITE_OK || !file->pMethods)
        return rc;
    struct cut_methods *m = cut_methods;
    while (m->real && m->real != file->pMethods)
        m++;
    if (!m->real) {
        m->real = file->pMethods;
        m->ours = *file->pMethods;
        m->ours.xWrite = cut_write;
        m->ours.xSync = cut_sync;
        m->ours.xClose = cut_close;
    }
    file->pMethods = &m->ours;
    return rc;
}

static void install_cut(unsigned seed)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    cut_vfs = *real;
    cut_vfs.zName = "cut";
    cut_vfs.pAppData = real;
    cut_vfs.xOpen = cut_open;
    ck_assert_int_eq(sqlite3_vfs_register(&cut_vfs, 1), SQLITE_OK);
    chance = seed;
    writes_left = 1 + (int)(rand_r(&chance) % 600);
}

/* ---- one life ------------------------------------------------------------------------------- */

struct life {
    const char *url;
    unsigned seed;
    int acks[2]; /* the keys that were acknowledged */
    int64_t next_key;
    struct ush_db *db;
};

static int put_until_cut(void *arg)
{
    struct life *life = arg;
    char text[6000];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 1000; i++) {
        int64_t key = life->next_key++;
        struct note_new note = {7, key, {text, 1 + (size_t)(key * 7919 % 6000)}, NOTE_FINE};
        struct note_done done;
        struct ush_arena arena;
        ush_arena_init(&arena, NULL, 0, 1 << 20);
        int r = ush_change(life->db, key % 2 ? &note_put : &note_put_many, &note, &done, &arena);
        ush_arena_fini(&arena);
        if (r == 0)
            ck_assert_int_eq(write(life->acks[1], &key, sizeof key), sizeof key);
    }
    return 0;
}

static int live(void *arg)
{
    struct life *life = arg;
    life->db = open_notes(life->url);
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(ush_spawn(&scope, put_until_cut, life), 0);
    return ush_scope_close(&scope);
}

static int live_process(void *arg)
{
    struct life *life = arg;
    install_cut(life->seed);
    in_loop(live, arg);
    return 1; /* the power was to go off before */
}

/* ---- afterwards ----------------------------------------------------------------------------- */

static bool is_acked[KEYS_MAX];

static const struct ush_statement
    check_pages =
        {"check pages",
         "SELECT count(*) AS n FROM pragma_integrity_check WHERE integrity_check <> 'ok'"},
    all_keys = {"all keys", "SELECT key AS n FROM notes"};

static int look(struct ush_tx *view, void *arg __attribute__((unused)))
{
    struct count_row row;
    ck_assert_int_eq(ush_one(view, &check_pages, &count_row_record, &row, USH_NO_VALUES), 1);
    ck_assert_int_eq(row.n, 0);
    struct ush_rows rows;
    int n = ush_all(view, &all_keys, &count_row_record, KEYS_MAX, &rows, USH_NO_VALUES);
    static bool is_stored[KEYS_MAX];
    memset(is_stored, 0, sizeof is_stored);
    for (int i = 0; i < n; i++)
        is_stored[((struct count_row *)rows.at)[i].n] = true;
    for (int i = 0; i < KEYS_MAX; i++)
        ck_assert_msg(!is_acked[i] || is_stored[i], "key %d was acknowledged and is lost", i);
    return n;
}

static int look_after(void *arg)
{
    struct ush_db *db = open_notes(arg);
    int n = ush_read(db, look, NULL);
    ush_db_close(db);
    return n;
}

/* In a process of its own, so that the next life inherits nothing of SQLite. */
static int look_process(void *arg)
{
    return in_loop(look_after, arg) < 0;
}

START_TEST(what_was_acknowledged_survives_a_power_cut)
{
    const char *url = scratch_url_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    char log_index[128];
    snprintf(log_index, sizeof log_index, "%s-shm", ush__sqlite_path(url));
    struct life life = {.url = url};
    int cuts = getenv("TESTS_ARE_SLOW") ? 10 : 40, acks = 0, status;
    for (int i = 1; i <= cuts; i++) {
        life.seed = (unsigned)i;
        ck_assert_int_eq(pipe(life.acks), 0);
        pid_t pid = fork_running(live_process, &life);
        close(life.acks[1]);
        for (int64_t key; read(life.acks[0], &key, sizeof key) == sizeof key; acks++) {
            ck_assert_int_lt(key, KEYS_MAX);
            is_acked[key] = true;
        }
        close(life.acks[0]);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "seed %d: the life ended with status %x", i, status);
        unlink(log_index);
        life.next_key += 600; /* beyond what one life can have begun */
        pid = fork_running(look_process, (void *)url);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_msg(status == 0, "after the cut of seed %d", i);
    }
    fprintf(stderr, "%d cuts, %d acknowledged\n", cuts, acks);
    ck_assert_int_gt(acks, cuts);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sql power cut");
    TCase *tc = tcase_create("cut");
    tcase_add_test(tc, what_was_acknowledged_survives_a_power_cut);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
