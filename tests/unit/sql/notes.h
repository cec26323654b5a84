/*
 * notes.h - a small application for the tests of the storage layer: one table, three operations.
 *
 * A note has a key made by whoever asks for it. An operation that finds its key stored knows that
 * it has run before and says so (`again`), as invariant 3 of sql.h asks. Column `tries` counts how
 * often the operation reached the insert, so a test can see what an undone attempt would leave.
 */
#ifndef TESTS_SQL_NOTES_H
#define TESTS_SQL_NOTES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "usher/sim.h"
#include "usher/sql.h"

/* ---- records -------------------------------------------------------------------------------- */

enum note_fault { NOTE_FINE, NOTE_FAILS_AFTER_INSERT, NOTE_CONFLICTS, NOTE_SWALLOWS, NOTE_SLOW };

#define NOTE_NEW_FIELDS(F, R)                                                                      \
    F(R, I64, key)                                                                                 \
    F(R, TEXT, body, .max = 100000)                                                                \
    F(R, I64, fault)
USH_RECORD(note_new, NOTE_NEW_FIELDS)
USH_RECORD_DEFINE(note_new, NOTE_NEW_FIELDS)

#define NOTE_DONE_FIELDS(F, R)                                                                     \
    F(R, I64, id)                                                                                  \
    F(R, BOOL, again)                                                                              \
    F(R, TEXT, echo)
USH_RECORD(note_done, NOTE_DONE_FIELDS)
USH_RECORD_DEFINE(note_done, NOTE_DONE_FIELDS)

#define COUNT_FIELDS(F, R) F(R, I64, n)
USH_RECORD(count_row, COUNT_FIELDS)
USH_RECORD_DEFINE(count_row, COUNT_FIELDS)

/* ---- statements ----------------------------------------------------------------------------- */

static const char notes_schema[] =
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, key BIGINT NOT NULL CONSTRAINT one_key UNIQUE,"
    " body TEXT NOT NULL, at BIGINT NOT NULL);"
    "CREATE TABLE replies (note BIGINT NOT NULL REFERENCES notes (id), body TEXT NOT NULL)";
static const struct ush_migration notes_migrations[] = {{1, "notes", notes_schema, notes_schema}};

static const struct ush_statement
    note_find = {"note find", "SELECT id, 1 AS again FROM notes WHERE key = $1"},
    note_add = {"note add",
                "INSERT INTO notes (key, body, at) VALUES ($1, $2, $3) RETURNING id, 0 AS again"},
    note_count = {"note count", "SELECT count(*) AS n FROM notes"},
    note_count_key = {"note count key", "SELECT count(*) AS n FROM notes WHERE key = $1"};

/* ---- operations ----------------------------------------------------------------------------- */

static int note_put_run(struct ush_tx *tx, const void *in, void *out)
{
    const struct note_new *note = in;
    struct note_done *done = out;
    int r = ush_one(tx, &note_find, &note_done_record, done, USH_VALUES(note->key));
    if (r == 0)
        r = ush_one(tx, &note_add, &note_done_record, done,
                    USH_VALUES(note->key, note->body, tx->now_ms));
    USH_TRY(r);
    if (note->fault == NOTE_FAILS_AFTER_INSERT)
        return USH_EINVAL;
    if (note->fault == NOTE_CONFLICTS || note->fault == NOTE_SWALLOWS) {
        r = ush_one(tx, &note_add, &note_done_record, done,
                    USH_VALUES(note->key, note->body, tx->now_ms));
        ck_assert_int_eq(r, USH_ECONFLICT);
        ck_assert_str_eq(ush_tx_constraint(tx), "notes.key");
        if (note->fault == NOTE_CONFLICTS)
            return r;
    }
    done->echo = note->body;
    USH_SET(done, note_done_echo);
    return 0;
}

/* How many calls run_many got at once, the most so far and in total. */
static size_t note_many_largest, note_many_calls;

static int note_put_many_run(struct ush_tx *tx, struct ush_call *calls, size_t n)
{
    note_many_calls++;
    if (n > note_many_largest)
        note_many_largest = n;
    for (size_t i = 0; i < n; i++)
        USH_TRY(note_put_run(tx, calls[i].in, calls[i].out));
    return 0;
}

static const struct ush_operation note_put = {"note put", &note_new_record, &note_done_record,
                                              .run = note_put_run},
                                  note_put_many = {"note put many", &note_new_record,
                                                   &note_done_record,
                                                   .run_many = note_put_many_run};
static const struct ush_operation *const note_operations[] = {&note_put, &note_put_many, NULL};

/* ---- asking --------------------------------------------------------------------------------- */

static int read_count(struct ush_tx *view, void *arg)
{
    return ush_one(view, &note_count, &count_row_record, arg, USH_NO_VALUES);
}

static inline int64_t notes_stored(struct ush_db *db)
{
    struct count_row row = {0};
    ck_assert_int_eq(ush_read(db, read_count, &row), 1);
    return row.n;
}

/* Puts a note; the result of the operation. */
static inline int put_note(struct ush_db *db, const struct ush_operation *op, int64_t key,
                           enum note_fault fault, struct note_done *ret_done)
{
    struct note_new note = {.key = key, .body = USH_T("body"), .fault = fault};
    note.has = 7;
    struct ush_arena arena;
    char first[512];
    ush_arena_init(&arena, first, sizeof first, 1 << 20);
    int r = ush_change(db, op, &note, ret_done, &arena);
    if (r >= 0 && ret_done)
        ck_assert(ush_text_equal(ret_done->echo, note.body));
    ush_arena_fini(&arena);
    return r;
}

/* ---- databases ------------------------------------------------------------------------------ */

static char scratch_folder[64];

static void scratch_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", scratch_folder);
    if (scratch_folder[0] && system(command) != 0)
        perror(command);
}

/* "sqlite:/tmp/.../t.db", a new one per test process, removed at its end. */
static inline const char *scratch_url_in(const char *folder)
{
    static char url[96];
    if (!scratch_folder[0]) {
        snprintf(scratch_folder, sizeof scratch_folder, "%s/usher-sql-XXXXXX", folder);
        ck_assert_ptr_nonnull(mkdtemp(scratch_folder));
        atexit(scratch_remove);
    }
    snprintf(url, sizeof url, "sqlite:%s/t.db", scratch_folder);
    return url;
}

static inline const char *scratch_url(void)
{
    return scratch_url_in("/tmp");
}

static inline struct ush_db *open_notes(const char *url)
{
    int error = 0;
    struct ush_db_options o = {.url = url, .role = USH_DB_LOCAL, .operations = note_operations};
    struct ush_db *db = ush_db_open(&o, &error);
    ck_assert_msg(db, "open: %s", ush_error_text(error));
    struct ush_migrate_options m = {notes_migrations, USH_COUNT(notes_migrations)};
    int r = ush_migrate(db, &m);
    ck_assert_msg(r >= 0, "migrate: %s", ush_error_text(r));
    return db;
}

/* Runs `body` as the root task of a loop over epoll. */
static inline int in_loop(ush_fn body, void *arg)
{
    return ush_run(&(struct ush_loop_options){.backend = USH_BACKEND_EPOLL}, body, arg);
}

#endif
