/*
 * changes.c - ush_change alone: how many registrations per second go from tasks in worker processes
 * through the writer process and back, without HTTP and without the application's rules.
 *
 *     build/bench/changes [--workers N] [--tasks N] [--seconds N] [--file PATH] [--schema FOLDER]
 *
 * Each task registers again and again and waits for the commit each time, so --tasks is the number
 * of students that wait at any moment, over all workers. The rows and statements are those of
 * sqlite_loop.c; beside its figure this one says what group commit brings and the way through the
 * writer costs. Prints one line of JSON.
 */
#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "usher/sql.h"

/* ---- the operation -------------------------------------------------------------------------- */

#define PLACE_NEW_FIELDS(F, R)                                                                     \
    F(R, BYTES, request_key)                                                                       \
    F(R, BYTES, person_key)                                                                        \
    F(R, TEXT, name)                                                                               \
    F(R, TEXT, email)                                                                              \
    F(R, TEXT, school)
USH_RECORD(place_new, PLACE_NEW_FIELDS)
USH_RECORD_DEFINE(place_new, PLACE_NEW_FIELDS)

#define PLACE_FIELDS(F, R) F(R, I64, id)
USH_RECORD(place, PLACE_FIELDS)
USH_RECORD_DEFINE(place, PLACE_FIELDS)

#define SEATS_FIELDS(F, R)                                                                         \
    F(R, I64, capacity)                                                                            \
    F(R, I64, waitlist_capacity)                                                                   \
    F(R, I64, taken)                                                                               \
    F(R, I64, waiting)                                                                             \
    F(R, I64, next_seq)                                                                            \
    F(R, I64, opens_at)                                                                            \
    F(R, I64, closes_at)
USH_RECORD(seats_row, SEATS_FIELDS)
USH_RECORD_DEFINE(seats_row, SEATS_FIELDS)

static const struct ush_statement
    find_seats = {"seats", "SELECT capacity, waitlist_capacity, taken, waiting, next_seq, opens_at,"
                           " closes_at FROM event_seats WHERE event_id = $1"},
    find_request = {"request", "SELECT id FROM registrations WHERE request_key = $1"},
    find_person = {"person",
                   "SELECT registration_id AS id FROM participants WHERE dedupe_key = $1"},
    add_registration = {"registration",
                        "INSERT INTO registrations (id, status, request_key, request_fp, submit_id,"
                        " source, guardian_ok, created_at, updated_at, school)"
                        " VALUES ($1, 1, $2, $3, $4, 1, 0, $5, $5, $6)"},
    add_participant = {"participant",
                       "INSERT INTO participants (registration_id, position, name, email,"
                       " dedupe_key) VALUES ($1, 0, $2, $3, $4)"},
    add_job = {"job", "INSERT INTO jobs (kind, lane, unique_key, subject, payload, due_at,"
                      " created_at) VALUES ('mail', 'mail', $1, $2, $3, $4, $4)"},
    set_seats = {"set seats",
                 "UPDATE event_seats SET taken = $2, next_seq = $3 WHERE event_id = $1"},
    add_event = {"event",
                 "INSERT INTO events (id, slug, title, summary, description, category, venue,"
                 " starts_at, ends_at, tz, utc_offset_min, kind, team_min, team_max, dedupe,"
                 " edit_until, cancel_until, status, version, created_at, updated_at) VALUES"
                 " (1, 'robo-race', 'Robo race', '', '', '', '', 1, 2, 'UTC', 0, 'individual', 1,"
                 " 1, 'email', 1, 1, 'published', 1, 1, 1)"},
    add_seats = {"add seats",
                 "INSERT INTO event_seats (event_id, capacity, waitlist_capacity, opens_at,"
                 " closes_at, promote_until) VALUES (1, NULL, 0, 1, 9000000000000, 1)"};

static int register_one(struct ush_tx *tx, const struct place_new *in, struct place *out,
                        struct seats_row *seats)
{
    int r = ush_one(tx, &find_request, &place_record, out, USH_VALUES(USH_BYTES(in->request_key)));
    if (r == 0)
        r = ush_one(tx, &find_person, &place_record, out, USH_VALUES(USH_BYTES(in->person_key)));
    if (r != 0)
        return r;
    int64_t id = (INT64_C(1) << 32) | seats->next_seq++, submit;
    memcpy(&submit, in->request_key.at, sizeof submit);
    seats->taken++;
    char key[48];
    size_t key_len = (size_t)snprintf(key, sizeof key, "ticket-%lld-1", (long long)id);
    char payload[24] = {1};
    USH_TRY(ush_exec(tx, &add_registration,
                     USH_VALUES(id, USH_BYTES(in->request_key), USH_BYTES(in->person_key),
                                submit & INT64_MAX, tx->now_ms, in->school)));
    USH_TRY(ush_exec(tx, &add_participant,
                     USH_VALUES(id, in->name, in->email, USH_BYTES(in->person_key))));
    USH_TRY(ush_exec(tx, &add_job,
                     USH_VALUES(((ush_text){key, key_len}), id,
                                USH_BYTES(((ush_text){payload, sizeof payload})), tx->now_ms)));
    out->id = id;
    return 0;
}

static int register_many(struct ush_tx *tx, struct ush_call *calls, size_t n)
{
    struct seats_row seats;
    USH_TRY(ush_one(tx, &find_seats, &seats_row_record, &seats, USH_VALUES(1)));
    for (size_t i = 0; i < n; i++)
        USH_TRY(register_one(tx, calls[i].in, calls[i].out, &seats));
    return ush_exec(tx, &set_seats, USH_VALUES(1, seats.taken, seats.next_seq));
}

static int open_event(struct ush_tx *tx, const void *in __attribute__((unused)),
                      void *out __attribute__((unused)))
{
    USH_TRY(ush_exec(tx, &add_event, USH_NO_VALUES));
    return ush_exec(tx, &add_seats, USH_NO_VALUES);
}

static const struct ush_operation op_register = {"register", &place_new_record, &place_record,
                                                 .run_many = register_many},
                                  op_open = {"open", &place_record, NULL, .run = open_event};
static const struct ush_operation *const operations[] = {&op_register, &op_open, NULL};

/* ---- the stage ------------------------------------------------------------------------------ */

static int workers = 1, tasks = 64, seconds = 3;
static const char *file = "changes.db", *schema = "migrations/sqlite";
static char url[300];
static int listener;
static struct shared {
    _Atomic bool is_ready, is_over;
    _Atomic uint64_t done, failed;
    _Atomic int64_t writer_cpu_us, worker_cpu_us;
    struct ush_db_stats writer;
} * shared;

static int64_t cpu_us(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

static int is_sql(const struct dirent *d)
{
    return ush_text_ends(ush_text_of(d->d_name), USH_T(".sql"));
}

static int make_tables(void *unused __attribute__((unused)))
{
    static struct ush_migration list[64];
    static char texts[64][1 << 14];
    struct dirent **files;
    int n = scandir(schema, &files, is_sql, alphasort), error = 0;
    for (int i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", schema, files[i]->d_name);
        FILE *f = fopen(path, "r");
        texts[i][fread(texts[i], 1, sizeof texts[i] - 1, f)] = 0;
        fclose(f);
        list[i] = (struct ush_migration){i + 1, files[i]->d_name, texts[i]};
    }
    struct ush_db *db =
        ush_db_open(&(struct ush_db_options){url, USH_DB_LOCAL, operations}, &error);
    if (!db)
        return error;
    error = ush_migrate(db, &(struct ush_migrate_options){list, n > 0 ? (size_t)n : 0});
    if (error >= 0)
        error = ush_change(db, &op_open, &(struct place){0}, NULL, ush_task_arena());
    ush_db_close(db);
    return error;
}

/* ---- workers -------------------------------------------------------------------------------- */

static int register_again_and_again(void *arg)
{
    struct ush_db *db = arg;
    while (!shared->is_over) {
        uint64_t keys[4];
        char email[64];
        ush_random(keys, sizeof keys);
        size_t n =
            (size_t)snprintf(email, sizeof email, "student%u@example.org", (unsigned)keys[0]);
        struct place_new in = {.request_key = {(char *)keys, 16},
                               .person_key = {(char *)(keys + 2), 16},
                               .name = USH_T("Lisa Simpson"),
                               .email = {email, n},
                               .school = USH_T("Springfield High School")};
        struct place place;
        struct ush_arena arena;
        char first[512];
        ush_arena_init(&arena, first, sizeof first, 65536);
        int r = ush_change(db, &op_register, &in, &place, &arena);
        ush_arena_fini(&arena);
        if (r < 0)
            shared->failed++;
        else
            shared->done++;
    }
    return 0;
}

static int work(void *unused __attribute__((unused)))
{
    int error = 0;
    struct ush_db *db =
        ush_db_open(&(struct ush_db_options){url, USH_DB_WORKER, operations}, &error);
    if (!db)
        return error;
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    for (int i = 0; i < tasks / workers; i++)
        USH_TRY(ush_spawn(&scope, register_again_and_again, db));
    int r = ush_scope_close(&scope);
    ush_db_close(db);
    shared->worker_cpu_us += cpu_us();
    return r;
}

static void set_ready(void *ctx __attribute__((unused)))
{
    shared->is_ready = true;
}

static void stop(void *ctx, int signo __attribute__((unused)))
{
    ush_scope_cancel(ctx, USH_CANCEL_SHUTDOWN);
}

static int write_all(void *unused __attribute__((unused)))
{
    struct ush_writer_options o = {.url = url,
                                   .operations = operations,
                                   .listener = listener,
                                   .ready = set_ready,
                                   .stats = &shared->writer};
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    ush_on_signal(SIGTERM, stop, &scope);
    int r = ush_writer_run(&o);
    ush_scope_close(&scope);
    shared->writer_cpu_us = cpu_us();
    return r;
}

static pid_t start(ush_fn fn)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    int r = ush_run(&(struct ush_loop_options){.backend = USH_BACKEND_EPOLL}, fn, NULL);
    if (r < 0)
        fprintf(stderr, "changes: %s\n", ush_error_text(r));
    _exit(r < 0);
}

/* ---- the run -------------------------------------------------------------------------------- */

static void remove_files(void)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock", "-writer"};
    for (size_t i = 0; i < USH_COUNT(suffixes); i++) {
        char name[512];
        snprintf(name, sizeof name, "%s%s", file, suffixes[i]);
        unlink(name);
    }
}

static int listen_at_writer(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (ush_writer_socket(url, at.sun_path) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 64) < 0 ? -1 : fd;
}

static void measure(void)
{
    pid_t writer = start(write_all), pids[64];
    while (!shared->is_ready)
        usleep(1000);
    for (int i = 0; i < workers; i++)
        pids[i] = start(work);
    usleep(300000); /* until all have connected and the caches are warm */
    struct ush_db_stats w = shared->writer;
    uint64_t before = shared->done;
    int64_t begin_ns = ush_now_ns();
    sleep((unsigned)seconds);
    double took = (double)(ush_now_ns() - begin_ns) / 1e9;
    uint64_t done = shared->done - before;
    double per_batch = (double)(shared->writer.changes - w.changes) /
                       (double)(shared->writer.batches - w.batches + 1);
    shared->is_over = true;
    for (int i = 0; i < workers; i++)
        waitpid(pids[i], NULL, 0);
    kill(writer, SIGTERM);
    waitpid(writer, NULL, 0);
    double each = (double)shared->done;
    printf("{\"bench\": \"changes\", \"workers\": %d, \"tasks\": %d, \"per_second\": %.0f,"
           " \"per_commit\": %.1f, \"failed\": %llu, \"writer_cpu_us_each\": %.1f,"
           " \"worker_cpu_us_each\": %.1f}\n",
           workers, tasks, (double)done / took, per_batch, (unsigned long long)shared->failed,
           (double)shared->writer_cpu_us / each, (double)shared->worker_cpu_us / each);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"workers", required_argument, NULL, 'w'}, {"tasks", required_argument, NULL, 't'},
        {"seconds", required_argument, NULL, 'n'}, {"file", required_argument, NULL, 'f'},
        {"schema", required_argument, NULL, 's'},  {0}};
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'w':
            workers = atoi(optarg);
            break;
        case 't':
            tasks = atoi(optarg);
            break;
        case 'n':
            seconds = atoi(optarg);
            break;
        case 'f':
            file = optarg;
            break;
        case 's':
            schema = optarg;
            break;
        default:
            return 2;
        }
    }
    if (workers < 1 || workers > 64 || tasks < workers)
        return 2;
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    snprintf(url, sizeof url, "sqlite:%s", file);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    remove_files();
    int r = ush_run(&(struct ush_loop_options){.backend = USH_BACKEND_EPOLL}, make_tables, NULL);
    listener = listen_at_writer();
    if (r < 0 || listener < 0) {
        fprintf(stderr, "changes: cannot make %s: %s\n", file, ush_error_text(r));
        return 1;
    }
    measure();
    remove_files();
    return 0;
}
