/*
 * peers_test.c - who speaks with the writer: garbage, the deaf, strangers, other builds, and
 * records of every length.
 */
#include <sys/stat.h>

#include "server.h"
#include "sql/frame.h"

static int dial(const char *url)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    ush_writer_socket(url, at.sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void send_frame(int fd, uint32_t bytes, int32_t code, uint64_t id, const char *body,
                       size_t n)
{
    char whole[64];
    struct ush__frame f = {bytes, code, id};
    memcpy(whole, &f, sizeof f);
    memcpy(whole + sizeof f, body, n);
    ck_assert_int_eq(write(fd, whole, sizeof f + n), sizeof f + n);
}

static int put_and_count(void *arg)
{
    int error = 0;
    struct note_done done;
    struct ush_db *db = open_as(arg, USH_DB_WORKER, &error);
    ck_assert_int_eq(put_note(db, &note_put, 1, NOTE_FINE, &done), 0);
    int n = (int)notes_stored(db);
    ush_db_close(db);
    return n;
}

START_TEST(garbage_closes_only_its_connection)
{
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    pid_t writer = server_start(&server);
    struct ush_buf hello;
    ush_buf_init(&hello, 1 << 20);
    ush__hello_add(&hello, note_operations);
    for (int kind = 0; kind < 6; kind++) {
        int fd = dial(url);
        bool says_hello = kind >= 3;
        if (says_hello)
            ck_assert_int_eq(write(fd, hello.at, hello.len), hello.len);
        switch (kind) {
        case 0:
            ck_assert_int_eq(write(fd, "GET / HTTP/1.1\r\n\r\n", 18), 18);
            break;
        case 1: /* a request before HELLO */
            send_frame(fd, 0, 0, 1, "", 0);
            break;
        case 2: /* a HELLO that breaks off in a name */
            send_frame(fd, 10, USH__HELLO, 0, "12345678ab", 10);
            break;
        case 3: /* an operation beyond the list */
            send_frame(fd, 0, 2, 1, "", 0);
            break;
        case 4:
            send_frame(fd, 0, -1, 1, "", 0);
            break;
        case 5: /* longer than any frame */
            send_frame(fd, UINT32_MAX, 0, 1, "abc", 3);
            break;
        }
        char bytes[256];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        ssize_t n;
        do
            ck_assert_msg(poll(&p, 1, (int)allow(20000)) == 1, "kind %d: not cut off", kind);
        while ((n = read(fd, bytes, sizeof bytes)) > 0);
        close(fd);
    }
    ush_buf_fini(&hello);
    ck_assert_int_eq(in_loop(put_and_count, (void *)url), 1);
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
}
END_TEST

static int connect_as_nobody(void *arg)
{
    enum { NOBODY = 65534 };
    char byte;
    ck_assert_int_eq(setuid(NOBODY), 0);
    return read(dial(arg), &byte, 1) == 0 ? 0 : 1; /* cut off without a word */
}

/* Says hello and sends changes that are refused at once, until their answers fill the socket. */
static int dial_and_read_nothing(const char *url)
{
    enum { FRAMES = 40000 };
    int fd = dial(url);
    struct ush_buf out;
    ush_buf_init(&out, 2 << 20);
    ush__hello_add(&out, note_operations);
    for (uint64_t id = 1; id <= FRAMES; id++)
        ush__frame_end(&out, ush__frame_begin(&out, 0, id));
    ck_assert_int_eq(out.error, 0);
    for (size_t at = 0; at < out.len;) {
        ssize_t n = send(fd, out.at + at, out.len - at, MSG_NOSIGNAL);
        ck_assert_int_gt(n, 0);
        at += (size_t)n;
    }
    ush_buf_fini(&out);
    return fd;
}

START_TEST(a_peer_that_reads_nothing_holds_up_no_end)
{
    const char *url = scratch_url();
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    struct server server;
    server_init(&server, url);
    pid_t writer = server_start(&server);
    int deaf = dial_and_read_nothing(url);
    int64_t before_ns = ush_now_ns();
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
    ck_assert_int_lt(ush_now_ns() - before_ns, allow(4000) * USH_MS); /* SEND_WAIT is five */
    close(deaf);
}
END_TEST

START_TEST(another_user_is_refused)
{
    if (geteuid() != 0)
        return; /* only root can be two users */
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    char path[108];
    ush_writer_socket(url, path);
    ck_assert_int_eq(chmod(path, 0777), 0); /* as if somebody had opened it to all */
    ck_assert_int_eq(chmod(scratch_folder, 0755), 0);
    pid_t writer = server_start(&server), guest = fork_running(connect_as_nobody, (void *)url);
    int status;
    ck_assert_int_eq(waitpid(guest, &status, 0), guest);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
}
END_TEST

static int put_bad_text(void *arg)
{
    int error = 0;
    struct ush_db *db = open_as(arg, USH_DB_WORKER, &error);
    struct note_new note = {7, 1, USH_T("\xff"), NOTE_FINE};
    struct note_done done;
    ck_assert_int_eq(ush_change(db, &note_put, &note, &done, ush_task_arena()), USH_EINVAL);
    ck_assert_int_eq(put_note(db, &note_put, 2, NOTE_FINE, &done), 0);
    ck_assert_int_eq(notes_stored(db), 1);
    ush_db_close(db);
    return 0;
}

START_TEST(a_bad_input_harms_only_its_change)
{
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    pid_t writer = server_start(&server);
    ck_assert_int_eq(in_loop(put_bad_text, (void *)url), 0);
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
}
END_TEST

/* An upgrade: the writer is of another build, in which one operation has other fields. */
static const struct ush_operation other_put = {"note put", &note_new_record, &count_row_record,
                                               .run = note_put_run};
static const struct ush_operation *const other_operations[] = {&note_put_many, &other_put, NULL};

static int speak_to_other_build(void *arg)
{
    int error = 0;
    struct note_done done;
    struct ush_db *db = open_as(arg, USH_DB_WORKER, &error);
    ck_assert_int_eq(put_note(db, &note_put, 1, NOTE_FINE, &done), USH_EUNAVAILABLE);
    ck_assert_int_eq(put_note(db, &note_put_many, 2, NOTE_FINE, &done), 0);
    ck_assert_int_eq(notes_stored(db), 1);
    ush_db_close(db);
    return 0;
}

START_TEST(a_writer_of_another_build_runs_what_both_know)
{
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    server.options.operations = other_operations;
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    pid_t writer = server_start(&server);
    ck_assert_int_eq(in_loop(speak_to_other_build, (void *)url), 0);
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
}
END_TEST

static int put_long_ones(void *arg)
{
    int error = 0;
    struct ush_db *db = open_as(arg, USH_DB_WORKER, &error);
    static const size_t lengths[] = {0, 1, 70000, 3 << 20, 9 << 20};
    for (size_t i = 0; i < USH_COUNT(lengths); i++) {
        char *text = malloc(lengths[i] + 1);
        memset(text, 'x', lengths[i]);
        struct note_new note = {7, (int64_t)i, {text, lengths[i]}, NOTE_FINE};
        struct note_done done = {0};
        struct ush_arena arena;
        ush_arena_init(&arena, NULL, 0, 32 << 20);
        int r = ush_change(db, &note_put, &note, &done, &arena);
        ck_assert_int_eq(r, lengths[i] > 8 << 20 ? USH_ELIMIT : 0);
        if (r == 0)
            ck_assert(ush_text_equal(done.echo, note.body));
        ush_arena_fini(&arena);
        free(text);
    }
    ush_db_close(db);
    return 0;
}

START_TEST(long_records_travel_and_too_long_ones_are_refused)
{
    const char *url = scratch_url();
    struct server server;
    server_init(&server, url);
    ck_assert_int_eq(in_loop(migrate_notes, (void *)url), 0);
    pid_t writer = server_start(&server);
    ck_assert_int_eq(in_loop(put_long_ones, (void *)url), 0);
    ck_assert_int_eq(server_stop(writer, SIGTERM), 0);
}
END_TEST

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    Suite *s = suite_create("sql peers");
    TCase *tc = tcase_create("peers");
    tcase_add_test(tc, garbage_closes_only_its_connection);
    tcase_add_test(tc, a_peer_that_reads_nothing_holds_up_no_end);
    tcase_add_test(tc, another_user_is_refused);
    tcase_add_test(tc, a_bad_input_harms_only_its_change);
    tcase_add_test(tc, a_writer_of_another_build_runs_what_both_know);
    tcase_add_test(tc, long_records_travel_and_too_long_ones_are_refused);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
