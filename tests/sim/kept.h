/*
 * kept.h - one database in memory for all schedules of a test.
 *
 * Of a schedule of the desk four fifths went into making its database: migrations, and statements
 * prepared for the hundredth time. So the test makes one database beforehand, with kept_make, and
 * every later "sqlite::memory:" begins as a copy of it. The driver does not know: the four calls of
 * SQLite with which it opens, closes, prepares and finalizes are answered here instead (a program's
 * own functions come before those of a shared library).
 *
 *   kept_make     the pages as they were when `make` closed its database; a connection to a copy
 *   open          the pages are copied back, the connection is lent
 *   close         what is under way is undone, the connection stays
 *   finalize      the statement is reset, and lent to whoever prepares the same text next
 *
 *  1. A schedule sees the same whether it is the first of a process or the thousandth; a schedule
 *     that is replayed alone takes the same way.
 *  2. Copying back gives the file a change counter that it cannot have reached, so SQLite drops the
 *     pages it remembers. The schema's own counter is that of the copy: statements stay valid,
 *     and are prepared anew by SQLite itself if a schedule has changed the schema.
 *  3. A second database in memory at the same time is an ordinary one.
 *
 * Only for one thread, which is what `sim` has.
 */
#ifndef TESTS_SIM_KEPT_H
#define TESTS_SIM_KEPT_H

#include <check.h>
#include <dlfcn.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "usher/sim.h"

enum { KEPT_STATEMENTS_MAX = 512, HEADER_CHANGES = 24, HEADER_VALID_FOR = 92 };
enum { COMMITS_MAX = 1 << 16 }; /* of a schedule; each counts one further */

static struct {
    bool is_wanted, is_lent;
    sqlite3 *db;
    unsigned char *pages; /* owned */
    sqlite3_int64 bytes;
    uint32_t changes;
    struct {
        sqlite3_stmt *stmt;
        bool is_lent;
    } statements[KEPT_STATEMENTS_MAX];
    size_t count;
} kept;

/* SQLite's own function of that name. */
#define KEPT_REAL(name) ((__typeof__(&(name)))kept_real(#name))
static void *kept_real(const char *name)
{
    void *real = dlsym(RTLD_NEXT, name);
    ck_assert_msg(real != NULL, "there is no %s", name);
    return real;
}

/* Keeps the pages of a database that is about to be closed. */
static void kept_take(sqlite3 *db)
{
    kept.is_wanted = false;
    kept.pages = sqlite3_serialize(db, "main", &kept.bytes, 0);
    unsigned char *copy = sqlite3_malloc64((sqlite3_uint64)kept.bytes);
    ck_assert(kept.pages && copy);
    memcpy(copy, kept.pages, (size_t)kept.bytes);
    ck_assert_int_eq(KEPT_REAL(sqlite3_open_v2)(":memory:", &kept.db,
                                                SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE, NULL),
                     SQLITE_OK);
    ck_assert_int_eq(
        sqlite3_deserialize(kept.db, "main", copy, kept.bytes, kept.bytes,
                            SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_RESIZEABLE),
        SQLITE_OK);
}

static void kept_restore(void)
{
    sqlite3_int64 bytes;
    unsigned char *at = sqlite3_serialize(kept.db, "main", &bytes, SQLITE_SERIALIZE_NOCOPY);
    ck_assert(at && bytes >= kept.bytes);
    memcpy(at, kept.pages, (size_t)kept.bytes);
    uint32_t changes = htobe32(kept.changes += COMMITS_MAX);
    memcpy(at + HEADER_CHANGES, &changes, sizeof changes);
    memcpy(at + HEADER_VALID_FOR, &changes, sizeof changes);
}

int sqlite3_open_v2(const char *path, sqlite3 **ret, int flags, const char *vfs)
{
    if (!kept.db || kept.is_lent || strcmp(path, ":memory:") != 0)
        return KEPT_REAL(sqlite3_open_v2)(path, ret, flags, vfs);
    kept_restore();
    kept.is_lent = true;
    *ret = kept.db;
    return SQLITE_OK;
}

int sqlite3_close(sqlite3 *db)
{
    if (kept.is_wanted)
        kept_take(db);
    if (!db || db != kept.db)
        return KEPT_REAL(sqlite3_close)(db);
    if (!sqlite3_get_autocommit(db))
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    kept.is_lent = false;
    return SQLITE_OK;
}

int sqlite3_prepare_v3(sqlite3 *db, const char *text, int len, unsigned flags, sqlite3_stmt **ret,
                       const char **ret_rest)
{
    for (size_t i = 0; db == kept.db && i < kept.count; i++) {
        if (kept.statements[i].is_lent || strcmp(sqlite3_sql(kept.statements[i].stmt), text) != 0)
            continue;
        kept.statements[i].is_lent = true;
        *ret = kept.statements[i].stmt;
        *ret_rest = text + strlen(text);
        return SQLITE_OK;
    }
    int rc = KEPT_REAL(sqlite3_prepare_v3)(db, text, len, flags, ret, ret_rest);
    if (rc == SQLITE_OK && db == kept.db && kept.count < KEPT_STATEMENTS_MAX && !**ret_rest) {
        kept.statements[kept.count].is_lent = true;
        kept.statements[kept.count++].stmt = *ret;
    }
    return rc;
}

int sqlite3_finalize(sqlite3_stmt *stmt)
{
    for (size_t i = 0; i < kept.count; i++) {
        if (kept.statements[i].stmt != stmt)
            continue;
        kept.statements[i].is_lent = false;
        sqlite3_clear_bindings(stmt);
        return sqlite3_reset(stmt);
    }
    return KEPT_REAL(sqlite3_finalize)(stmt);
}

/* Runs `make`, which opens a database in memory, fills it and closes it; once in a process. */
static inline void kept_make(ush_fn make)
{
    if (kept.db)
        return;
    kept.is_wanted = true;
    ck_assert_int_eq(ush_sim_run(&(struct ush_sim_options){.seed = 1}, make, NULL, NULL), 0);
    ck_assert(kept.db != NULL);
}

#endif
