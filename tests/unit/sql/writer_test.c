/*
 * writer_test.c - the writer as a real process, with real deaths.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include "faulty_vfs.h"
#include "server.h"

/* ---- clients under load --------------------------------------------------------------------- */

enum { CLIENTS = 3, TASKS = 24 };

/* Shared by all processes of a test. */
struct stage {
    _Atomic bool is_over;
    _Atomic int errors; /* results other than 0 */
    _Atomic int again;  /* answers that say "found my earlier effect" */
    int acks[2];        /* a byte for each acknowledged change */
};

struct client {
    struct stage *stage;
    const char *url;
    int64_t next_key;
    struct ush_db *db;
};

static int put_until_over(void *arg)
{
    struct client *c = arg;
    while (!c->stage->is_over) {
        struct note_done done;
        int64_t key = c->next_key++;
        int r = put_note(c->db, key % 2 ? &note_put : &note_put_many, key, NOTE_FINE, &done);
        if (r < 0) {
            fprintf(stderr, "a change ended with %s\n", ush_error_text(r));
            c->stage->errors++;
        } else {
            c->stage->again += done.again;
            ck_assert_int_eq(write(c->stage->acks[1], "a", 1), 1);
        }
    }
    return 0;
}

static int run_client(void *arg)
{
    struct client *c = arg;
    int error = 0;
    c->db = open_as(c->url, USH_DB_WORKER, &error);
    ck_assert(c->db);
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(ush_spawn(&scope, put_until_over, c), 0);
    int r = ush_scope_close(&scope);
    ush_db_close(c->db);
    return r;
}

static int client_process(void *arg)
{
    return in_loop(run_client, arg);
}

static struct stage *stage_new(void)
{
    struct stage *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(s, MAP_FAILED);
    ck_assert_int_eq(pipe(s->acks), 0);
    return s;
}

/* Counts what has been acknowledged by now: what is counted then is the next writer's work. If its
 * death came for that of others, a change could be lost with five of them and be given up. */
static int acks_by_now(struct stage *s)
{
    int counted = 0;
    char bytes[512];
    struct pollfd p = {.fd = s->acks[0], .events = POLLIN};
    for (ssize_t got; poll(&p, 1, 0) == 1 && (got = read(p.fd, bytes, sizeof bytes)) > 0;)
        counted += (int)got;
    return counted;
}

/* Counts n acknowledgements, fewer only when all clients have ended. */
static int count_acks(struct stage *s, int n)
{
    int counted = 0;
    char bytes[512];
    while (counted < n) {
        struct pollfd p = {.fd = s->acks[0], .events = POLLIN};
        ck_assert_msg(poll(&p, 1, (int)allow(20000)) == 1, "nothing was acknowledged for 20 s");
        size_t want = n - counted < (int)sizeof bytes ? (size_t)(n - counted) : sizeof bytes;
        ssize_t got = read(s->acks[0], bytes, want);
        if (got <= 0)
            break;
        counted += (int)got;
    }
    return counted;
}

/*
 * Three processes of 24 tasks each change data without a pause. After a random number of
 * acknowledgements the writer gets the signal, and a new one is started. At the end everything that
 * was acknowledged exists, and nothing else: the clients finish what they have begun.
 */
static void under_fire(int signo, int deaths, unsigned seed)
{
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    struct stage *stage = stage_new();
    pid_t writer = server_start(&server);
    pid_t clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        struct client c = {stage, url, (int64_t)i << 32, NULL};
        clients[i] = fork_running(client_process, &c);
    }
    close(stage->acks[1]);
    int acks = 0;
    for (int i = 0; i < deaths; i++) {
        acks += count_acks(stage, 1 + (int)(rand_r(&seed) % 400));
        for (volatile unsigned spin = rand_r(&seed) % 1000000; spin > 0; spin--)
            ; /* so that it is hit in the middle of a commit too */
        server_stop(writer, signo);
        acks += acks_by_now(stage);
        writer = server_start(&server);
    }
    acks += count_acks(stage, 100);
    stage->is_over = true;
    acks += count_acks(stage, INT32_MAX);
    for (int i = 0; i < CLIENTS; i++) {
        int status;
        ck_assert_int_eq(waitpid(clients[i], &status, 0), clients[i]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
    fprintf(stderr, "%d deaths, %d acknowledged, %d of them found already stored\n", deaths, acks,
            (int)stage->again);
    ck_assert_int_eq(stage->errors, 0);
    ck_assert_int_eq(in_loop(count_notes, &url), acks);
}

START_TEST(a_killed_writer_loses_and_doubles_nothing)
{
    under_fire(SIGKILL, getenv("TESTS_ARE_SLOW") ? 8 : 40, 1);
}
END_TEST

START_TEST(a_stopped_writer_finishes_and_the_next_goes_on)
{
    under_fire(SIGTERM, getenv("TESTS_ARE_SLOW") ? 4 : 20, 2);
}
END_TEST

/* ---- one writer at a time ------------------------------------------------------------------- */

START_TEST(a_second_writer_waits_for_the_first)
{
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    pid_t first = server_start(&server);
    pid_t second = fork_running(writer_process, &server);
    ck_assert(!has_byte(server.ready[0], 200)); /* nothing to wait for: it must stay silent */
    server_stop(first, SIGKILL);
    ck_assert(has_byte(server.ready[0], (int)allow(20000)));
    ck_assert_int_eq(server_stop(second, SIGTERM), 0);
}
END_TEST

static int try_roles(void *arg)
{
    struct server *s = arg;
    struct ush_migrate_options m = {notes_migrations, 1};
    struct note_done done;
    int error = 0;
    /* Nobody runs: a tool takes the lock and may do everything. */
    close(s->listener);
    struct ush_db *tool = open_as(s->url, USH_DB_TOOL, &error);
    ck_assert(tool);
    ck_assert_int_eq(ush_migrate(tool, &m), 1);
    ck_assert_int_eq(put_note(tool, &note_put, 1, NOTE_FINE, &done), 0);
    ck_assert_uint_eq(ush_db_stats(tool).batches, 1);
    ck_assert(!open_as(s->url, USH_DB_LOCAL, &error));
    ck_assert_int_eq(error, -EBUSY);
    ush_db_close(tool);
    return 0;
}

static int try_roles_beside_writer(void *arg)
{
    struct server *s = arg;
    struct ush_migrate_options m = {notes_migrations, 1};
    struct note_done done;
    int error = 0;
    ck_assert(!open_as(s->url, USH_DB_LOCAL, &error));
    ck_assert_int_eq(error, -EBUSY);
    struct ush_db *tool = open_as(s->url, USH_DB_TOOL, &error);
    ck_assert(tool);
    ck_assert_int_eq(put_note(tool, &note_put, 1, NOTE_FINE, &done), 0);
    ck_assert(done.again);
    ck_assert_int_eq(put_note(tool, &note_put, 2, NOTE_FINE, &done), 0);
    ck_assert_int_eq(notes_stored(tool), 2);
    ck_assert_int_eq(ush_migrate(tool, &m), -EBUSY);
    m.check_only = true;
    ck_assert_int_eq(ush_migrate(tool, &m), 0);
    ush_db_close(tool);
    return 0;
}

START_TEST(a_tool_goes_through_the_writer_or_takes_the_lock)
{
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    ck_assert_int_eq(in_loop(try_roles, &server), 0);
    char path[108];
    ush_writer_socket(url, path);
    unlink(path);
    server_init(&server, url);
    pid_t writer = server_start(&server);
    ck_assert_int_eq(in_loop(try_roles_beside_writer, &server), 0);
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
}
END_TEST

/* ---- waiting for a writer ------------------------------------------------------------------- */

static int ask_nobody(void *arg)
{
    const char *url = arg;
    struct note_done done;
    int error = 0;
    struct ush_db_options o = {
        .url = url, .role = USH_DB_WORKER, .operations = note_operations, .writer_wait_ms = 30};
    struct ush_db *db = ush_db_open(&o, &error);
    int64_t before_ns = ush_now_ns();
    ck_assert_int_eq(put_note(db, &note_put, 1, NOTE_FINE, &done), USH_EUNAVAILABLE);
    ck_assert_int_ge(ush_now_ns() - before_ns, 30 * USH_MS);
    ush_db_close(db);
    db = open_as(url, USH_DB_WORKER, &error); /* one that waits for longer than we do */
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + 5 * USH_MS});
    ck_assert_int_eq(put_note(db, &note_put, 1, NOTE_FINE, &done), -ETIMEDOUT);
    ush_scope_close(&scope);
    ck_assert_uint_eq(ush_db_stats(db).waiting, 0);
    ush_db_close(db);
    return 0;
}

START_TEST(without_a_writer_a_change_gives_up_in_time)
{
    const char *url = scratch_url();
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    if (_i == 1) { /* the master listens, the writer is dead */
        struct server server;
        server_init(&server, url);
    }
    ck_assert_int_eq(in_loop(ask_nobody, (void *)url), 0);
}
END_TEST

struct hung {
    struct server server;
    pid_t writer;
};

static int put_while_hung(void *arg)
{
    struct hung *h = arg;
    struct note_done done;
    int error = 0, status;
    struct ush_db *db = open_as(h->server.url, USH_DB_WORKER, &error);
    ck_assert_int_eq(put_note(db, &note_put, 1, NOTE_FINE, &done), 0);
    ck_assert_int_eq(kill(h->writer, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(h->writer, &status, WUNTRACED), h->writer);
    struct ush_scope scope;
    ush_scope_open(&scope,
                   &(struct ush_scope_options){.deadline_ns = ush_now_ns() + allow(200) * USH_MS});
    ck_assert_int_eq(put_note(db, &note_put, 2, NOTE_FINE, &done), USH_EUNAVAILABLE);
    ush_scope_close(&scope);
    ck_assert_uint_eq(ush_db_stats(db).waiting, 0);
    /* When it goes on, its late answer disturbs nobody, and the change is found by its key. */
    ck_assert_int_eq(kill(h->writer, SIGCONT), 0);
    ck_assert_int_eq(put_note(db, &note_put, 3, NOTE_FINE, &done), 0);
    ck_assert_int_eq(put_note(db, &note_put, 2, NOTE_FINE, &done), 0);
    ck_assert(done.again);
    ck_assert_int_eq(notes_stored(db), 3);
    ush_db_close(db);
    return 0;
}

START_TEST(a_hung_writer_holds_no_change_long_beyond_its_deadline)
{
    struct hung h;
    const char *url = scratch_url();
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    server_init(&h.server, url);
    h.writer = server_start(&h.server);
    ck_assert_int_eq(in_loop(put_while_hung, &h), 0);
    ck_assert_int_eq(server_stop(h.writer, SIGTERM), 0);
}
END_TEST

struct queued {
    struct ush_db *db;
    int64_t key;
    int result;
};

static int put_queued(void *arg)
{
    struct queued *q = arg;
    struct note_done done;
    q->result = put_note(q->db, &note_put, q->key, NOTE_FINE, &done);
    return 0;
}

static int fill_queue(void *arg)
{
    int error = 0;
    struct ush_db_options o = {.url = arg,
                               .role = USH_DB_WORKER,
                               .operations = note_operations,
                               .queue_max = 4,
                               .writer_wait_ms = 50};
    struct ush_db *db = ush_db_open(&o, &error);
    struct queued puts[6];
    int refused = 0, given_up = 0;
    for (int i = 0; i < 6; i++)
        puts[i] = (struct queued){db, i, 0};
    ush_gather(6, 0, put_queued, puts, sizeof *puts);
    for (int i = 0; i < 6; i++) {
        refused += puts[i].result == USH_EFULL;
        given_up += puts[i].result == USH_EUNAVAILABLE;
    }
    ck_assert_int_eq(refused, 2);
    ck_assert_int_eq(given_up, 4);
    ush_db_close(db);
    return 0;
}

START_TEST(a_full_queue_refuses)
{
    const char *url = scratch_url();
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    ck_assert_int_eq(in_loop(fill_queue, (void *)url), 0);
}
END_TEST

/* ---- a disk that fails ---------------------------------------------------------------------- */

static int faulty_writer_process(void *arg)
{
    faulty_vfs_install();
    return in_loop(run_writer, arg);
}

static int put_key_one(void *arg)
{
    int error = 0;
    struct note_done done;
    struct ush_db *db = open_as(arg, USH_DB_WORKER, &error);
    int r = put_note(db, &note_put, 1, NOTE_FINE, &done);
    ush_db_close(db);
    return r < 0 ? r : 10 + done.again;
}

static int put_process(void *arg)
{
    return in_loop(put_key_one, arg);
}

START_TEST(a_failed_fsync_ends_the_writer_and_is_not_answered)
{
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    faulty_vfs_prepare();
    pid_t writer = fork_running(faulty_writer_process, &server);
    ck_assert(has_byte(server.ready[0], (int)allow(20000)));
    faulty->fails_sync = true;
    pid_t client = fork_running(put_process, (void *)url);
    int status;
    ck_assert_int_eq(waitpid(writer, &status, 0), writer);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), USH_WRITER_STORAGE);
    ck_assert_int_eq(waitpid(client, &status, WNOHANG), 0); /* still waits for the truth */
    faulty->fails_sync = false;
    writer = server_start(&server);
    ck_assert_int_eq(waitpid(client, &status, 0), client);
    ck_assert_int_ge(WEXITSTATUS(status), 10); /* acknowledged, found or made anew */
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
    ck_assert_int_eq(in_loop(count_notes, &url), 1);
}
END_TEST

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    Suite *s = suite_create("sql writer");
    TCase *tc = tcase_create("processes");
    tcase_add_test(tc, a_killed_writer_loses_and_doubles_nothing);
    tcase_add_test(tc, a_stopped_writer_finishes_and_the_next_goes_on);
    tcase_add_test(tc, a_second_writer_waits_for_the_first);
    tcase_add_test(tc, a_tool_goes_through_the_writer_or_takes_the_lock);
    tcase_add_loop_test(tc, without_a_writer_a_change_gives_up_in_time, 0, 2);
    tcase_add_test(tc, a_hung_writer_holds_no_change_long_beyond_its_deadline);
    tcase_add_test(tc, a_full_queue_refuses);
    suite_add_tcase(s, tc);
    tc = tcase_create("disk");
    tcase_add_test(tc, a_failed_fsync_ends_the_writer_and_is_not_answered);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
