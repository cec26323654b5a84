/*
 * migrate.c - bringing the tables of a database to where the program expects them.
 *
 * Migrations go forward only and are numbered. The table usher_migrations says which have been
 * applied, with a fingerprint of each script, so an edited one is noticed instead of half applied.
 *
 *  1. A migration and its row are one transaction: it is applied as a whole or not at all.
 *  2. Everything applied must be in the list with the same fingerprint, otherwise nothing is done.
 *  3. Foreign keys are not enforced while a script runs, so that a table can be made anew, but all
 *     of them must hold before the transaction ends.
 *  4. It runs where changes run. On SQLite that is under the writer's lock, so no writer works on
 *     tables in flux. On PostgreSQL an advisory lock makes programs that migrate at the same time
 *     take turns; each looks again what is missing once it has it.
 *  5. Readers of a running server see the old tables until the commit, the new ones after it.
 */
#include <stdlib.h>

#include "sql/frame.h"
#include "sql/sql.h"

#define MIGRATION_ROW_FIELDS(F, R)                                                                 \
    F(R, I64, number)                                                                              \
    F(R, TEXT, name)                                                                               \
    F(R, I64, fingerprint)
USH_RECORD(migration_row, MIGRATION_ROW_FIELDS)
USH_RECORD_DEFINE(migration_row, MIGRATION_ROW_FIELDS)

#define ONE_NUMBER_FIELDS(F, R) F(R, I64, n)
USH_RECORD(one_number, ONE_NUMBER_FIELDS)
USH_RECORD_DEFINE(one_number, ONE_NUMBER_FIELDS)

enum { MIGRATIONS_MAX = 1000 };

static const char make_table[] = "CREATE TABLE usher_migrations ("
                                 " number INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                                 " fingerprint BIGINT NOT NULL, applied_at BIGINT NOT NULL)";
static const struct ush_statement
    has_table = {"migrations: table",
                 "SELECT count(*) AS n FROM sqlite_schema WHERE name = 'usher_migrations'",
                 "SELECT count(to_regclass('usher_migrations')) AS n"},
    list_applied = {"migrations: applied",
                    "SELECT number, name, fingerprint FROM usher_migrations ORDER BY number"},
    add_applied = {"migrations: add", "INSERT INTO usher_migrations (number, name, fingerprint,"
                                      " applied_at) VALUES ($1, $2, $3, $4)"},
    one_at_a_time = {"migrations: lock", "SELECT pg_advisory_xact_lock(7310017)"},
    count_broken = {"migrations: foreign keys",
                    "SELECT count(*) AS n FROM pragma_foreign_key_check", "SELECT 0 AS n"};

static const char *script_of(const struct ush__session *s, const struct ush_migration *m)
{
    return s->driver == &ush__sqlite ? m->sqlite : m->postgresql;
}

static int64_t fingerprint_of(const char *script)
{
    return (int64_t)ush__fingerprint(USH__FINGERPRINT_BEGIN, script, strlen(script));
}

/* The number of migrations applied, which are the first ones of the list. */
static int count_applied(struct ush_tx *tx, const struct ush_migrate_options *o)
{
    struct one_number table;
    USH_TRY(ush_one(tx, &has_table, &one_number_record, &table, USH_NO_VALUES));
    if (table.n == 0)
        return 0;
    struct ush_rows rows;
    USH_TRY(
        ush_all(tx, &list_applied, &migration_row_record, MIGRATIONS_MAX, &rows, USH_NO_VALUES));
    const struct migration_row *row = rows.at;
    for (size_t i = 0; i < rows.count; i++) {
        if (i >= o->count || o->list[i].number != row[i].number) {
            ush_error("database.newer",
                      "migration %d (%.*s) has been applied, but this program does not have it",
                      (int)row[i].number, USH_PR(row[i].name));
            return USH_ECONFLICT;
        }
        if (fingerprint_of(script_of(tx->session, &o->list[i])) != row[i].fingerprint) {
            ush_error("database.edited", "migration %d (%s) was edited after it had been applied",
                      o->list[i].number, o->list[i].name);
            return USH_ECONFLICT;
        }
    }
    return (int)rows.count;
}

static int run_script(struct ush_tx *tx, const struct ush_migration *m, bool is_first)
{
    struct ush__session *s = tx->session;
    if (is_first)
        USH_TRY(s->driver->script(s, make_table));
    const char *script = script_of(s, m);
    USH_TRY(s->driver->script(s, script));
    USH_TRY(
        ush_exec(tx, &add_applied,
                 USH_VALUES(m->number, (const char *)m->name, fingerprint_of(script), tx->now_ms)));
    struct one_number broken;
    USH_TRY(ush_one(tx, &count_broken, &one_number_record, &broken, USH_NO_VALUES));
    return broken.n == 0 ? 0 : USH_ECONFLICT;
}

/* Applies the first that is missing: 1, or 0 if none is. */
static int apply_next(struct ush_tx *tx, const struct ush_migrate_options *o)
{
    struct ush__session *s = tx->session;
    if (s->driver == &ush__postgres)
        USH_TRY(ush_exec(tx, &one_at_a_time, USH_NO_VALUES));
    int applied = count_applied(tx, o);
    if (applied < 0 || (size_t)applied == o->count)
        return applied < 0 ? applied : 0;
    const struct ush_migration *m = &o->list[applied];
    int r = run_script(tx, m, applied == 0);
    if (r < 0) {
        ush_error("database.migration", "migration %d (%s) failed: %s", m->number, m->name,
                  ush_error_text(r));
        return r;
    }
    USH_TRY(s->driver->commit(s));
    ush_info("database.migration", "applied %d (%s)", m->number, m->name);
    return 1;
}

static int check(struct ush_tx *view, void *arg)
{
    const struct ush_migrate_options *o = arg;
    int applied = count_applied(view, o);
    return applied < 0 ? applied : (int)o->count - applied;
}

static int apply_missing(struct ush__session *s, struct ush_arena *arena, void *arg)
{
    struct ush_tx tx = {.arena = arena, .session = s};
    bool is_sqlite = s->driver == &ush__sqlite;
    int r, applied = 0;
    if (is_sqlite)
        USH_TRY(s->driver->script(s, "PRAGMA foreign_keys=OFF"));
    do {
        USH_TRY(s->driver->begin(s, USH__WRITE));
        tx.now_ms = ush_wall_ms();
        r = apply_next(&tx, arg);
        s->driver->rollback(s); /* of one that applied nothing */
        applied += r > 0;
    } while (r > 0);
    if (is_sqlite)
        USH_TRY(s->driver->script(s, "PRAGMA foreign_keys=ON"));
    return r < 0 ? r : applied;
}

int ush_migrate(struct ush_db *db, const struct ush_migrate_options *o)
{
    for (size_t i = 1; i < o->count; i++)
        assert(o->list[i - 1].number < o->list[i].number);
    struct ush_migrate_options copy = *o;
    return o->check_only ? ush_read(db, check, &copy) : ush__db_alone(db, apply_missing, &copy);
}
