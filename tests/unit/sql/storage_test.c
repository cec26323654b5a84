/*
 * storage_test.c - what the disk and other processes can do to a database: no space, no right to
 * write, another program's tables, an old view; and what migrations promise.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "faulty_vfs.h"
#include "notes.h"
#include "sql/sql.h"

/* ---- disk full ------------------------------------------------------------------------------ */

/* A way to fill the disk and to free it again. */
struct disk {
    void (*fill)(void);
    void (*free)(void);
};

/* A file system of one mebibyte, filled by another file. Needs a right that root usually has. No
 * other process sees it, and it goes with this one. */
static bool mount_small(void)
{
    scratch_url();
    return unshare(CLONE_NEWNS) == 0 && mount("", "/", "", MS_REC | MS_PRIVATE, "") == 0 &&
           mount("tmpfs", scratch_folder, "tmpfs", 0, "size=1m") == 0;
}
static void fill_small(void)
{
    char path[80], bytes[4096] = {1};
    snprintf(path, sizeof path, "%s/filler", scratch_folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    while (write(fd, bytes, sizeof bytes) > 0)
        ;
    close(fd);
}
static void free_small(void)
{
    char path[80];
    snprintf(path, sizeof path, "%s/filler", scratch_folder);
    ck_assert_int_eq(unlink(path), 0);
}
static void unmount_small(void)
{
    umount2(scratch_folder, MNT_DETACH);
}

/* A limit on the size of files: the same as a quota. */
static void set_limit(rlim_t bytes)
{
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}), 0);
}
static void fill_limit(void)
{
    set_limit(32 << 10);
}
static void free_limit(void)
{
    set_limit(RLIM_INFINITY);
}

static const struct disk disks[] = {{fill_limit, free_limit}, {fill_small, free_small}};

static int refuse_and_recover(void *arg)
{
    const struct disk *disk = arg;
    struct ush_db *db = open_notes(scratch_url());
    struct note_done done;
    int64_t key = 0;
    ck_assert_int_eq(put_note(db, &note_put, key++, NOTE_FINE, &done), 0);
    for (int round = 0; round < 3; round++) {
        int stored = (int)notes_stored(db);
        for (int refused = 0, tries = 0; refused < 5; tries++) {
            disk->fill(); /* again: copying the log into the database may free some of it */
            int r = put_note(db, &note_put, key, NOTE_FINE, &done);
            ck_assert_msg(r == 0 || r == USH_ESTORAGE, "%s", ush_error_text(r));
            ck_assert_int_lt(tries, 1000);
            refused += r < 0;
            stored += r == 0;
            key += r == 0;
            ck_assert_int_eq(notes_stored(db), stored); /* reading goes on */
        }
        disk->free();
        ck_assert_int_eq(put_note(db, &note_put, key++, NOTE_FINE, &done), 0);
        ck_assert(!done.again);
        ck_assert_int_eq(notes_stored(db), stored + 1);
    }
    ck_assert_uint_ge(ush_db_stats(db).refused, 15);
    ush_db_close(db);
    return 0;
}

START_TEST(a_full_disk_refuses_changes_until_there_is_room)
{
    signal(SIGXFSZ, SIG_IGN);
    bool is_mounted = _i == 1 && mount_small();
    if (_i == 1 && !is_mounted)
        return; /* not allowed to mount here; the limit above has gone the same way */
    int r = in_loop(refuse_and_recover, (void *)&disks[_i]);
    if (is_mounted)
        unmount_small();
    ck_assert_int_eq(r, 0);
}
END_TEST

/* ---- durable -------------------------------------------------------------------------------- */

static int put_some(void *arg __attribute__((unused)))
{
    struct ush_db *db = open_notes(scratch_url());
    struct note_done done;
    for (int i = 0; i < 10; i++) {
        int before = faulty->syncs;
        ck_assert_int_eq(put_note(db, &note_put, i, NOTE_FINE, &done), 0);
        ck_assert_int_gt(faulty->syncs, before);
    }
    faulty->fails_sync = true;
    ck_assert_int_eq(put_note(db, &note_put, 10, NOTE_FINE, &done), USH_EUNKNOWN);
    ck_assert_int_eq(put_note(db, &note_put, 11, NOTE_FINE, &done), USH_ESTORAGE);
    faulty->fails_sync = false;
    /* What the failed commit left is found or made anew, and synced either way. */
    ck_assert_int_eq(put_note(db, &note_put, 10, NOTE_FINE, &done), 0);
    ck_assert_int_eq(notes_stored(db), 11);
    ush_db_close(db);
    return 0;
}

START_TEST(no_change_is_answered_before_a_sync)
{
    faulty_vfs_prepare();
    faulty_vfs_install();
    ck_assert_int_eq(in_loop(put_some, NULL), 0);
}
END_TEST

static int64_t log_bytes(const char *url)
{
    char path[128];
    struct stat file;
    snprintf(path, sizeof path, "%s-wal", ush__sqlite_path(url));
    return stat(path, &file) == 0 ? file.st_size : 0;
}

enum { EACH = 1 << 20 };

static void write_megabytes(struct ush_db *db, int64_t key, int n)
{
    char *text = malloc(EACH);
    memset(text, 'x', EACH);
    for (int i = 0; i < n; i++) {
        struct note_new note = {7, key + i, {text, EACH}, NOTE_FINE};
        ck_assert_int_eq(ush_change(db, &note_put, &note, NULL, ush_task_arena()), 0);
    }
    free(text);
}

static const char *url_without_disk(void)
{
    return scratch_url_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static int write_much(void *arg __attribute__((unused)))
{
    const char *url = url_without_disk();
    struct ush_db *db = open_notes(url);
    int64_t largest = 0;
    for (int i = 0; i < 80; i++) {
        write_megabytes(db, i, 1);
        ck_assert_int_eq(notes_stored(db), i + 1); /* with a reader that keeps its connection */
        if (log_bytes(url) > largest)
            largest = log_bytes(url);
    }
    ck_assert_int_gt(largest, 10 << 20);
    ck_assert_int_lt(largest, 24 << 20);
    ush_db_close(db);
    return 0;
}

START_TEST(the_log_is_copied_back_before_it_grows)
{
    ck_assert_int_eq(in_loop(write_much, NULL), 0);
}
END_TEST

/* ---- read-only ------------------------------------------------------------------------------ */

static int refuse_while_read_only(void *arg __attribute__((unused)))
{
    const char *url = scratch_url(), *path = ush__sqlite_path(url);
    ush_db_close(open_notes(url));
    ck_assert_int_eq(chmod(path, 0400), 0);
    struct note_done done;
    int error = 0;
    struct ush_db_options o = {url, USH_DB_LOCAL, note_operations};
    struct ush_db *db = ush_db_open(&o, &error);
    ck_assert(db); /* it can be read, and may be made writable while we run */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(put_note(db, &note_put, 1, NOTE_FINE, &done), USH_ESTORAGE);
    ck_assert_int_eq(notes_stored(db), 0);
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(put_note(db, &note_put, 1, NOTE_FINE, &done), 0);
    ck_assert_int_eq(notes_stored(db), 1);
    ush_db_close(db);
    return 0;
}

START_TEST(a_read_only_file_refuses_changes_until_it_is_writable)
{
    scratch_url();
    if (geteuid() == 0) { /* root may write everything: be somebody else */
        enum { NOBODY = 65534 };
        ck_assert_int_eq(chown(scratch_folder, NOBODY, NOBODY), 0);
        ck_assert_int_eq(seteuid(NOBODY), 0);
    }
    int r = in_loop(refuse_while_read_only, NULL);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(r, 0);
}
END_TEST

START_TEST(network_file_systems_are_refused)
{
    static const struct {
        long type;
        bool is_remote;
    } cases[] = {
        {0x6969, true},      {0x517b, true},      {0xff534d42, true},  {(int)0xff534d42, true},
        {0x01021997, true},  {0xef53, false},     {0x01021994, false}, {0x58465342, false},
        {0x794c7630, false}, {0x9123683e, false},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++)
        ck_assert_int_eq(ush__is_remote(cases[i].type), cases[i].is_remote);
    ck_assert_int_eq(ush__refuse_remote("t.db"), 0);
    ck_assert_int_eq(ush__refuse_remote("/no/such/folder/t.db"), -ENOENT);
}
END_TEST

static int try_wrong_urls(void *arg __attribute__((unused)))
{
    static const struct {
        const char *url;
        enum ush_db_role role;
        int error;
    } cases[] = {
        {"usher.db", USH_DB_LOCAL, USH_EINVAL},
        {"sqlite:", USH_DB_LOCAL, USH_EINVAL},
        {"oracle://x", USH_DB_WORKER, USH_EINVAL},
        {"sqlite::memory:", USH_DB_WORKER, USH_EINVAL},
        {"sqlite::memory:", USH_DB_TOOL, USH_EINVAL},
        {"sqlite:/no/such/folder/t.db", USH_DB_LOCAL, -ENOENT},
        {"sqlite:/proc/t.db", USH_DB_LOCAL, -ENOENT},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        int error = 0;
        struct ush_db_options o = {cases[i].url, cases[i].role, note_operations};
        ck_assert_ptr_null(ush_db_open(&o, &error));
        ck_assert_msg(error == cases[i].error, "%s: %s", cases[i].url, ush_error_text(error));
    }
    return 0;
}

START_TEST(what_cannot_be_opened_says_so)
{
    ck_assert_int_eq(in_loop(try_wrong_urls, NULL), 0);
}
END_TEST

/* ---- views ---------------------------------------------------------------------------------- */

/* A view in a thread that reports its beginning and waits to be let go on. */
struct moment {
    struct ush_db *db;
    int talk[2]; /* [0] the loop's end, [1] the view's */
    int64_t before, after;
};

static int look_twice(struct ush_tx *view, void *arg)
{
    struct moment *m = arg;
    struct count_row row;
    char byte = 'b';
    ck_assert_int_eq(ush_one(view, &note_count, &count_row_record, &row, USH_NO_VALUES), 1);
    m->before = row.n;
    ck_assert_int_eq(write(m->talk[1], &byte, 1), 1);
    ck_assert_int_eq(read(m->talk[1], &byte, 1), 1);
    ck_assert_int_eq(ush_one(view, &note_count, &count_row_record, &row, USH_NO_VALUES), 1);
    m->after = row.n;
    return 0;
}

static int view_twice(void *arg)
{
    struct moment *m = arg;
    return ush_read(m->db, look_twice, m);
}

static int change_between_looks(void *arg __attribute__((unused)))
{
    struct moment m = {.db = open_notes(scratch_url())};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, m.talk), 0);
    ck_assert_int_eq(ush_fd_open(m.talk[0]), 0);
    struct note_done done;
    char byte;
    ck_assert_int_eq(put_note(m.db, &note_put, 1, NOTE_FINE, &done), 0);
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    ck_assert_int_eq(ush_spawn(&scope, view_twice, &m), 0);
    ck_assert_int_eq(ush_recv(m.talk[0], &byte, 1), 1);
    ck_assert_int_eq(put_note(m.db, &note_put, 2, NOTE_FINE, &done), 0);
    ck_assert_int_eq(notes_stored(m.db), 2); /* another view, of now */
    ck_assert_int_eq(ush_send(m.talk[0], &byte, 1), 1);
    ck_assert_int_eq(ush_scope_close(&scope), 0);
    ck_assert_int_eq(m.before, 1);
    ck_assert_int_eq(m.after, 1);
    ush_close(m.talk[0]);
    ush_db_close(m.db);
    return 0;
}

START_TEST(a_view_sees_one_moment_and_holds_up_nobody)
{
    ck_assert_int_eq(in_loop(change_between_looks, NULL), 0);
}
END_TEST

/* An old view keeps the log from beginning anew; when it has gone the log is short again. */
static int write_beside_old_view(void *arg __attribute__((unused)))
{
    const char *url = url_without_disk();
    struct moment m = {.db = open_notes(url)};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, m.talk), 0);
    ck_assert_int_eq(ush_fd_open(m.talk[0]), 0);
    char byte;
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    ck_assert_int_eq(ush_spawn(&scope, view_twice, &m), 0);
    ck_assert_int_eq(ush_recv(m.talk[0], &byte, 1), 1);
    write_megabytes(m.db, 0, 90);
    ck_assert_int_gt(log_bytes(url), 80 << 20);
    ck_assert_int_eq(ush_send(m.talk[0], &byte, 1), 1);
    ck_assert_int_eq(ush_scope_close(&scope), 0);
    ck_assert_int_eq(m.after, 0);
    write_megabytes(m.db, 90, 40);
    ck_assert_int_le(log_bytes(url), 65 << 20);
    ck_assert_int_eq(notes_stored(m.db), 130);
    ush_close(m.talk[0]);
    ush_db_close(m.db);
    return 0;
}

START_TEST(an_old_view_lets_the_log_grow_only_while_it_lasts)
{
    if (!getenv("TESTS_ARE_SLOW"))
        ck_assert_int_eq(in_loop(write_beside_old_view, NULL), 0);
}
END_TEST

static const struct ush_statement endless = {
    "endless", "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c)"
               " SELECT count(*) AS n FROM c"};

static int look_for_ever(struct ush_tx *view, void *arg __attribute__((unused)))
{
    struct count_row row;
    return ush_one(view, &endless, &count_row_record, &row, USH_NO_VALUES);
}

static int read_under_deadline(void *arg __attribute__((unused)))
{
    struct ush_db *db = open_notes(scratch_url());
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + 20 * USH_MS});
    ck_assert_int_eq(ush_read(db, look_for_ever, NULL), -ETIMEDOUT);
    ush_scope_close(&scope);
    ck_assert_int_eq(notes_stored(db), 0); /* the reader is as good as new */
    ush_db_close(db);
    return 0;
}

START_TEST(a_view_ends_at_the_deadline)
{
    ck_assert_int_eq(in_loop(read_under_deadline, NULL), 0);
}
END_TEST

/* ---- migrations ----------------------------------------------------------------------------- */

static int migrate_step(struct ush_db *db, const struct ush_migration *list, size_t n)
{
    struct ush_migrate_options check = {list, n, .check_only = true}, apply = {list, n};
    int missing = ush_migrate(db, &check);
    int applied = ush_migrate(db, &apply);
    if (missing >= 0 && applied >= 0)
        ck_assert_int_eq(missing, applied);
    return applied;
}

static int migrate_in_steps(void *arg __attribute__((unused)))
{
    const struct ush_migration
        good[] = {{1, "one", "CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1)"},
                  {2, "two",
                   "CREATE TABLE b (a BIGINT REFERENCES a (id)); INSERT INTO b VALUES (1)"},
                  {7, "seven",
                   "DROP TABLE a; CREATE TABLE a (id INTEGER PRIMARY KEY, n BIGINT);"
                   "INSERT INTO a VALUES (1, 2)"}},
        edited[] = {{1, "one", "CREATE TABLE a (id INTEGER PRIMARY KEY)"}},
        renumbered[] = {{1, "one", good[0].sqlite}, {3, "two", good[1].sqlite}},
        broken[] = {good[0], good[1], good[2], {8, "eight", "CREATE TABLE c (n BIGINT); SELEKT 1"}},
        orphaning[] = {good[0], good[1], good[2], {8, "eight", "DELETE FROM a"}};
    struct ush_db *db;
    int error = 0;
    struct ush_db_options o = {scratch_url(), USH_DB_LOCAL, note_operations};
    db = ush_db_open(&o, &error);
    ck_assert_int_eq(migrate_step(db, good, 2), 2);
    ck_assert_int_eq(migrate_step(db, good, 2), 0);
    ck_assert_int_eq(migrate_step(db, edited, 1), USH_ECONFLICT);
    ck_assert_int_eq(migrate_step(db, good, 1), USH_ECONFLICT); /* newer than the program */
    ck_assert_int_eq(migrate_step(db, renumbered, 2), USH_ECONFLICT);
    ck_assert_int_eq(migrate_step(db, good, 3), 1);
    for (int i = 0; i < 2; i++) { /* nothing of it stays */
        ck_assert_int_eq(migrate_step(db, broken, 4), USH_EINVAL);
        ck_assert_int_eq(migrate_step(db, orphaning, 4), USH_ECONFLICT);
    }
    ck_assert_int_eq(migrate_step(db, good, 3), 0);
    ush_db_close(db);
    return 0;
}

START_TEST(migrations_are_applied_once_in_order_and_whole)
{
    ck_assert_int_eq(in_loop(migrate_in_steps, NULL), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sql storage");
    TCase *tc = tcase_create("disk");
    tcase_add_loop_test(tc, a_full_disk_refuses_changes_until_there_is_room, 0, USH_COUNT(disks));
    tcase_add_test(tc, no_change_is_answered_before_a_sync);
    tcase_add_test(tc, the_log_is_copied_back_before_it_grows);
    tcase_add_test(tc, a_read_only_file_refuses_changes_until_it_is_writable);
    tcase_add_test(tc, network_file_systems_are_refused);
    tcase_add_test(tc, what_cannot_be_opened_says_so);
    suite_add_tcase(s, tc);
    tc = tcase_create("views and migrations");
    tcase_add_test(tc, a_view_sees_one_moment_and_holds_up_nobody);
    tcase_add_test(tc, an_old_view_lets_the_log_grow_only_while_it_lasts);
    tcase_add_test(tc, a_view_ends_at_the_deadline);
    tcase_add_test(tc, migrations_are_applied_once_in_order_and_whole);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
