/*
 * sqlite_loop.c - what the server's registrations on SQLite are compared with: a bare C loop over
 * SQLite's own interface that stores the same rows, without a server, a socket or a second process.
 *
 *     build/bench/sqlite_loop [--batch N] [--total N] [--file PATH] [--schema FOLDER] [--memory]
 *
 * One connection, prepared statements, WAL, synchronous=FULL. A registration is: look for the
 * request key and for the person, read the event's seats, insert registration, participant and mail
 * job, update the seats. With --batch 1 (the default) each is committed alone, as a simple server
 * would do; with --batch 64 sixty-four share a commit and the row of the seats is read and written
 * once for all. The tables are made by the application's own migrations, so the indexes are the
 * same too. --memory leaves the disk out and shows what SQLite itself costs.
 *
 * This program shares no code with what it is compared with. It prints one line of JSON.
 */
#include <dirent.h>
#include <getopt.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static sqlite3 *db;

static void die(const char *what)
{
    fprintf(stderr, "sqlite_loop: %s: %s\n", what, db ? sqlite3_errmsg(db) : "");
    exit(1);
}

static void run(const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql);
}

/* ---- the tables ----------------------------------------------------------------------------- */

static int is_sql(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 4 && strcmp(d->d_name + n - 4, ".sql") == 0;
}

static void run_file(const char *path)
{
    static char text[1 << 16];
    FILE *f = fopen(path, "r");
    if (!f)
        die(path);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    run(text);
}

static void make_tables(const char *folder)
{
    struct dirent **files;
    int n = scandir(folder, &files, is_sql, alphasort);
    if (n <= 0)
        die(folder);
    for (int i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]->d_name);
        run_file(path);
        free(files[i]);
    }
    free(files);
    run("INSERT INTO events (id, slug, title, summary, description, category, venue, starts_at,"
        " ends_at, tz, utc_offset_min, kind, team_min, team_max, dedupe, edit_until, cancel_until,"
        " status, version, created_at, updated_at) VALUES (1, 'robo-race', 'Robo race', '', '', '',"
        " '', 1, 2, 'UTC', 0, 'individual', 1, 1, 'email', 1, 1, 'published', 1, 1, 1);"
        "INSERT INTO event_seats (event_id, capacity, waitlist_capacity, opens_at, closes_at,"
        " promote_until) VALUES (1, NULL, 0, 1, 9000000000000, 1)");
}

/* ---- the statements of a registration ------------------------------------------------------- */

enum { BEGIN, COMMIT, SEATS, REQUEST, PERSON, REGISTER, PARTICIPANT, JOB, UPDATE, STATEMENTS };
static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [SEATS] = "SELECT capacity, waitlist_capacity, taken, waiting, next_seq, opens_at, closes_at"
              " FROM event_seats WHERE event_id = ?1",
    [REQUEST] = "SELECT id FROM registrations WHERE request_key = ?1",
    [PERSON] = "SELECT registration_id FROM participants WHERE dedupe_key = ?1",
    [REGISTER] = "INSERT INTO registrations (id, status, request_key, request_fp, submit_id,"
                 " source, guardian_ok, created_at, updated_at, school)"
                 " VALUES (?1, 1, ?2, ?3, ?4, 1, 0, ?5, ?5, 'Springfield High School')",
    [PARTICIPANT] = "INSERT INTO participants (registration_id, position, name, email, dedupe_key)"
                    " VALUES (?1, 0, 'Lisa Simpson', ?2, ?3)",
    [JOB] = "INSERT INTO jobs (kind, lane, unique_key, subject, payload, due_at, created_at)"
            " VALUES ('mail', 'mail', ?1, ?2, ?3, ?4, ?4)",
    [UPDATE] = "UPDATE event_seats SET taken = ?2, next_seq = ?3 WHERE event_id = ?1",
};
static sqlite3_stmt *statements[STATEMENTS];

/* Steps a bound statement to its end. */
static void finish(int which)
{
    int rc;
    while ((rc = sqlite3_step(statements[which])) == SQLITE_ROW)
        ;
    if (rc != SQLITE_DONE)
        die(texts[which]);
    sqlite3_reset(statements[which]);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static int64_t taken, next_seq;

static void read_seats(void)
{
    sqlite3_bind_int64(statements[SEATS], 1, 1);
    if (sqlite3_step(statements[SEATS]) != SQLITE_ROW)
        die("no seats");
    taken = sqlite3_column_int64(statements[SEATS], 2);
    next_seq = sqlite3_column_int64(statements[SEATS], 4);
    sqlite3_reset(statements[SEATS]);
}

static void write_seats(void)
{
    sqlite3_bind_int64(statements[UPDATE], 1, 1);
    sqlite3_bind_int64(statements[UPDATE], 2, taken);
    sqlite3_bind_int64(statements[UPDATE], 3, next_seq);
    finish(UPDATE);
}

static void add_one(int64_t number)
{
    uint64_t request[2] = {mix((uint64_t)number), mix(~(uint64_t)number)};
    uint64_t person[2] = {mix(request[0] + 1), mix(request[1] + 1)};
    int64_t id = (INT64_C(1) << 32) | next_seq++, now_ms = 1763683200000 + number;
    char email[64], key[48], payload[64] = {1};
    int email_len = snprintf(email, sizeof email, "student%lld@example.org", (long long)number);
    int key_len = snprintf(key, sizeof key, "ticket-%lld-1", (long long)id);
    taken++;

    sqlite3_bind_blob(statements[REQUEST], 1, request, 16, SQLITE_STATIC);
    finish(REQUEST);
    sqlite3_bind_blob(statements[PERSON], 1, person, 16, SQLITE_STATIC);
    finish(PERSON);

    sqlite3_bind_int64(statements[REGISTER], 1, id);
    sqlite3_bind_blob(statements[REGISTER], 2, request, 16, SQLITE_STATIC);
    sqlite3_bind_blob(statements[REGISTER], 3, person, 16, SQLITE_STATIC);
    sqlite3_bind_int64(statements[REGISTER], 4, (int64_t)(request[0] >> 1));
    sqlite3_bind_int64(statements[REGISTER], 5, now_ms);
    finish(REGISTER);

    sqlite3_bind_int64(statements[PARTICIPANT], 1, id);
    sqlite3_bind_text(statements[PARTICIPANT], 2, email, email_len, SQLITE_STATIC);
    sqlite3_bind_blob(statements[PARTICIPANT], 3, person, 16, SQLITE_STATIC);
    finish(PARTICIPANT);

    sqlite3_bind_text(statements[JOB], 1, key, key_len, SQLITE_STATIC);
    sqlite3_bind_int64(statements[JOB], 2, id);
    sqlite3_bind_blob(statements[JOB], 3, payload, 24, SQLITE_STATIC);
    sqlite3_bind_int64(statements[JOB], 4, now_ms);
    finish(JOB);
}

static void add_batch(int64_t first, int n)
{
    finish(BEGIN);
    read_seats();
    for (int i = 0; i < n; i++)
        add_one(first + i);
    write_seats();
    finish(COMMIT);
}

/* ---- the run -------------------------------------------------------------------------------- */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void remove_files(const char *path)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[512];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"batch", required_argument, NULL, 'b'}, {"total", required_argument, NULL, 't'},
        {"file", required_argument, NULL, 'f'},  {"schema", required_argument, NULL, 's'},
        {"memory", no_argument, NULL, 'm'},      {0}};
    int batch = 1, total = 0, in_memory = 0, c;
    const char *file = "sqlite_loop.db", *schema = "migrations/sqlite";
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 'b':
            batch = atoi(optarg);
            break;
        case 't':
            total = atoi(optarg);
            break;
        case 'f':
            file = optarg;
            break;
        case 's':
            schema = optarg;
            break;
        case 'm':
            in_memory = 1;
            break;
        default:
            return 2;
        }
    }
    if (batch < 1)
        batch = 1;
    if (total <= 0)
        total = batch == 1 ? 20000 : 200000;
    remove_files(file);
    if (sqlite3_open(in_memory ? ":memory:" : file, &db) != SQLITE_OK)
        die(file);
    run("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON");
    make_tables(schema);
    for (int i = 0; i < STATEMENTS; i++) {
        if (sqlite3_prepare_v3(db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &statements[i], NULL))
            die(texts[i]);
    }
    double before = now_s(), cpu_before = cpu_s();
    for (int done = 0; done < total; done += batch)
        add_batch(done, total - done < batch ? total - done : batch);
    double seconds = now_s() - before, cpu = cpu_s() - cpu_before;
    printf("{\"bench\": \"sqlite_loop\", \"batch\": %d, \"memory\": %s, \"registrations\": %d,"
           " \"per_second\": %.0f, \"us_each\": %.1f, \"cpu_us_each\": %.1f}\n",
           batch, in_memory ? "true" : "false", total, total / seconds, seconds / total * 1e6,
           cpu / total * 1e6);
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(statements[i]);
    sqlite3_close(db);
    remove_files(file);
    return 0;
}
