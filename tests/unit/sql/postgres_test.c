/*
 * postgres_test.c - what only the PostgreSQL driver owes: servers that go and come, several hosts,
 * TLS, deadlines that the server keeps, and a pooler in between. Over real servers.
 */
#include <netinet/in.h>
#include <sys/un.h>

#include "../../slow.h"
#include "notes.h"
#include "pg.h"

#define PG_TEST(name)                                                                              \
    static int name##_body(void *arg);                                                             \
    START_TEST(name)                                                                               \
    {                                                                                              \
        pg_database();                                                                             \
        ck_assert_int_eq(in_loop(name##_body, NULL), 0);                                           \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *arg __attribute__((unused)))

/* What starts a server holds the loop up: afterwards it has to look at its clock. */
static struct pg_cluster clone(const char *settings, int port)
{
    struct pg_cluster first = pg_clone(settings, port);
    ush_yield();
    return first;
}

/* As a process that serves has it. */
static struct ush_db *open_worker(const char *url)
{
    int error = 0;
    struct ush_db_options o = {
        .url = url, .role = USH_DB_WORKER, .operations = note_operations, .writer_wait_ms = 20000};
    struct ush_db *db = ush_db_open(&o, &error);
    ck_assert_msg(db, "open: %s", ush_error_text(error));
    return db;
}

static int put(struct ush_db *db, int64_t key)
{
    struct note_done done;
    return put_note(db, &note_put, key, NOTE_FINE, &done);
}

#define SAID_FIELDS(F, R) F(R, TEXT, said)
USH_RECORD(said, SAID_FIELDS)
USH_RECORD_DEFINE(said, SAID_FIELDS)

struct asking {
    const struct ush_statement *statement;
    char said[64];
};

static int ask_view(struct ush_tx *view, void *arg)
{
    struct asking *a = arg;
    struct said row = {0};
    int r = ush_one(view, a->statement, &said_record, &row, USH_NO_VALUES);
    snprintf(a->said, sizeof a->said, "%.*s", USH_PR(row.said));
    return r;
}

/* What the server says in a view of the driver. */
static const char *ask(struct ush_db *db, const struct ush_statement *s)
{
    static struct asking a;
    a = (struct asking){.statement = s};
    ck_assert_int_eq(ush_read(db, ask_view, &a), 1);
    return a.said;
}

static const struct ush_statement
    my_pid = {"my pid", "SELECT pg_backend_pid()::text AS said"},
    my_tls = {"my tls", "SELECT ssl::text AS said FROM pg_stat_ssl WHERE pid = pg_backend_pid()"},
    my_address = {"my address", "SELECT host(inet_server_addr()) AS said"},
    too_long = {"too long", "SELECT pg_sleep(60)::text AS said"};

/* ---- a server that goes and comes ------------------------------------------------------------ */

PG_TEST(a_connection_that_the_server_ended_is_replaced)
{
    struct ush_db *db = open_notes(pg_url(pg_database()));
    ck_assert_int_eq(put(db, 1), 0);
    for (int64_t key = 2; key < 6; key++) {
        pg_ask("postgres", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                           " WHERE application_name = 'usher'");
        ck_assert_int_eq(put(db, key), 0);
    }
    ck_assert_int_eq(notes_stored(db), 5);
    ush_db_close(db);
    return 0;
}

PG_TEST(a_server_that_was_restarted_is_found_again)
{
    clone("", 0);
    pg_ask("postgres", "SELECT pg_promote()");
    ush_db_close(open_notes(pg_url(pg_database())));
    struct ush_db *db = open_worker(pg_url(pg_database()));
    static const int ways[] = {SIGINT, SIGQUIT}; /* in order, and on the spot */
    int64_t key = 0;
    for (size_t i = 0; i < USH_COUNT(ways); i++) {
        ck_assert_int_eq(put(db, key++), 0);
        ck_assert_int_eq(notes_stored(db), key); /* the connection of the views as well */
        pg_stop(ways[i]);
        pg_start();
        ush_yield();
        ck_assert_int_eq(put(db, key++), 0);
        ck_assert_int_eq(notes_stored(db), key);
    }
    ush_db_close(db);
    pg_stop(SIGQUIT);
    return 0;
}

PG_TEST(a_server_that_stays_away_is_said_in_time)
{
    int error = 0;
    clone("", 0);
    struct ush_db_options o = {.url = pg_url(pg_database()),
                               .role = USH_DB_WORKER,
                               .operations = note_operations,
                               .writer_wait_ms = 300};
    struct ush_db *db = ush_db_open(&o, &error);
    ck_assert_ptr_nonnull(ask(db, &my_pid));
    pg_stop(SIGQUIT);
    int64_t before_ns = ush_now_ns();
    ck_assert_int_eq(put(db, 1), USH_EUNAVAILABLE);
    ck_assert_int_lt(ush_now_ns() - before_ns, allow(5000) * USH_MS);
    before_ns = ush_now_ns();
    ck_assert_int_eq(put(db, 1), USH_EUNAVAILABLE); /* it is known by now */
    ck_assert_int_lt(ush_now_ns() - before_ns, allow(1000) * USH_MS);
    ush_db_close(db);
    return 0;
}

/* ---- several hosts --------------------------------------------------------------------------- */

PG_TEST(a_standby_is_passed_over_until_it_is_promoted)
{
    char url[256];
    ush_db_close(open_notes(pg_url(pg_database())));
    struct pg_cluster first = clone("", 0), standby = pg;
    snprintf(url, sizeof url, "postgresql:///%s?host=%s,%s&user=postgres", pg_database(),
             standby.folder, first.folder);
    struct ush_db *db = open_worker(url);
    ck_assert_int_eq(put(db, 1), 0);
    /* The first takes no writes any more, the other one does; both are there. */
    pg = first;
    pg_ask("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    pg_ask("postgres", "SELECT pg_reload_conf()");
    ck_assert_int_eq(put(db, 2), 0); /* the standby has it */
    pg_ask("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    pg_ask("postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    pg_ask("postgres", "SELECT pg_reload_conf()");
    pg = standby;
    ck_assert_str_eq(pg_ask("postgres", "SELECT pg_promote()"), "t");
    pg = first;
    pg_ask("postgres", "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                       " WHERE application_name = 'usher'");
    ck_assert_int_eq(put(db, 3), 0);
    ck_assert_int_eq(notes_stored(db), 3);
    pg = standby;
    ck_assert_str_eq(pg_ask(pg_database(), "SELECT count(*) FROM notes"), "3");
    pg = first;
    ck_assert_str_eq(pg_ask(pg_database(), "SELECT count(*) FROM notes"), "2");
    pg_ask("postgres", "ALTER SYSTEM RESET default_transaction_read_only");
    pg_ask("postgres", "SELECT pg_reload_conf()");
    ush_db_close(db);
    return 0;
}

PG_TEST(a_host_without_a_port_of_its_own_has_the_usual_one)
{
    char url[256];
    snprintf(url, sizeof url, "postgresql:///%s?host=%s,/nowhere&port=,1&user=postgres",
             pg_database(), pg.folder);
    struct ush_db *db = open_worker(url);
    ck_assert_ptr_nonnull(ask(db, &my_pid));
    ush_db_close(db);
    return 0;
}

/* ---- TCP and TLS ----------------------------------------------------------------------------- */

/* As free_port of tests/e2e/private.py, by the same rules: beside the range from which the kernel
 * gives ports, and held by name for as long as this process lives. */
static int free_port(void)
{
    int above = 0;
    FILE *range = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
    ck_assert(range && fscanf(range, "%d", &above) == 1);
    fclose(range);
    for (;;) {
        uint32_t dice;
        ush_random(&dice, sizeof dice);
        int port = 10000 + (int)(dice % (uint32_t)(above > 20000 ? above - 10000 : 10000));
        struct sockaddr_in at = {.sin_family = AF_INET,
                                 .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        int n = snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "usher-test-port-%d", port);
        int held = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool is_ours =
            bind(held, (struct sockaddr *)&name,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) == 0 &&
            bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
        close(fd);
        if (is_ours)
            return port; /* `held` stays open */
        close(held);
    }
}

/* A certificate for "localhost", and for nothing else. */
static void make_certificate(void)
{
    char command[512];
    snprintf(command, sizeof command,
             "cd '%s' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
             " -keyout tls.key -out tls.crt -days 2 -subj /CN=localhost"
             " -addext subjectAltName=DNS:localhost 2>openssl.log && chmod 600 tls.key",
             pg.folder);
    ck_assert_int_eq(system(command), 0);
    snprintf(command, sizeof command, "%s/tls.key", pg.folder);
    pg_own(command);
}

PG_TEST(tls_and_names_work_without_blocking)
{
    char settings[512], url[512];
    int port = free_port(), error = 0;
    struct pg_cluster first = pg;
    make_certificate();
    snprintf(settings, sizeof settings,
             "port = %d\nlisten_addresses = '127.0.0.1'\nssl = on\nssl_cert_file = '%s/tls.crt'\n"
             "ssl_key_file = '%s/tls.key'",
             port, first.folder, first.folder);
    clone(settings, port);
    static const struct {
        const char *host, *more;
        bool works;
    } cases[] = {
        {"localhost", "sslmode=require", true},
        /* The address came from us, and the certificate is checked for the name all the same. */
        {"localhost", "sslmode=verify-full", true},
        {"127.0.0.1", "sslmode=verify-full", false},
        {"no-such-host.invalid", "sslmode=require", false},
        {"no-such-host.invalid,localhost", "sslmode=require&target_session_attrs=any", true},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        snprintf(url, sizeof url, "postgresql://postgres@%s:%d/%s?%s&sslrootcert=%s/tls.crt",
                 cases[i].host, port, pg_database(), cases[i].more, first.folder);
        struct ush_db *db =
            ush_db_open(&(struct ush_db_options){.url = url, .role = USH_DB_TOOL}, &error);
        ck_assert_msg((db != NULL) == cases[i].works, "%s", url);
        if (!db) {
            ck_assert_int_eq(error, USH_EUNAVAILABLE);
            continue;
        }
        ck_assert_str_eq(ask(db, &my_tls), "true");
        ck_assert_str_eq(ask(db, &my_address), "127.0.0.1");
        ush_db_close(db);
    }
    pg_stop(SIGQUIT);
    return 0;
}

/* ---- deadlines ------------------------------------------------------------------------------- */

PG_TEST(a_statement_beyond_its_deadline_is_ended_and_the_connection_stays)
{
    struct ush_db *db = open_worker(pg_url(pg_database()));
    char pid[64], sql[128];
    snprintf(pid, sizeof pid, "%s", ask(db, &my_pid));
    struct asking a = {.statement = &too_long};
    int64_t before_ns = ush_now_ns();
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.deadline_ns = before_ns + 300 * USH_MS});
    int r = ush_read(db, ask_view, &a);
    ush_scope_close(&scope);
    ck_assert_int_eq(r, -ETIMEDOUT);
    ck_assert_int_lt(ush_now_ns() - before_ns, allow(2000) * USH_MS);
    ck_assert_str_eq(ask(db, &my_pid), pid); /* the same connection, and it works */
    snprintf(sql, sizeof sql, "SELECT state FROM pg_stat_activity WHERE pid = %s", pid);
    ck_assert_str_ne(pg_ask("postgres", sql), "active");
    ush_db_close(db);
    return 0;
}

/* ---- a pooler in between --------------------------------------------------------------------- */

struct load {
    struct ush_db *db;
    int64_t key;
    int result;
};

static int put_and_read(void *arg)
{
    struct load *l = arg;
    l->result = put(l->db, l->key);
    return l->result < 0 ? l->result : (int)(notes_stored(l->db) < 1);
}

/* pgbouncer gives each transaction one of two connections, whichever is free. */
static pid_t start_pooler(int port)
{
    char path[160];
    snprintf(path, sizeof path, "%s/pooler.ini", pg.folder);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f,
            "[databases]\n* = host=%s user=postgres\n[pgbouncer]\nlisten_addr = "
            "127.0.0.1\nlisten_port = %d\n"
            "unix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
            "default_pool_size = 2\nlogfile = %s/pooler.log\n"
            "ignore_startup_parameters = extra_float_digits\n",
            pg.folder, port, pg.folder);
    fclose(f);
    pid_t pid = fork();
    if (pid > 0)
        return pid;
    const struct passwd *who = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (who && (setgroups(0, NULL) < 0 || setgid(who->pw_gid) < 0 || setuid(who->pw_uid) < 0))
        pg_die("setuid");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (chdir(pg.folder) < 0)
        pg_die(pg.folder);
    execlp("/usr/sbin/pgbouncer", "pgbouncer", "-q", "pooler.ini", (char *)NULL);
    pg_die("pgbouncer");
    return -1;
}

PG_TEST(behind_a_pooler_with_unnamed_statements)
{
    enum { TASKS = 12, ROUNDS = 20 };
    char url[256];
    int port = free_port();
    ush_db_close(open_notes(pg_url(pg_database())));
    pid_t pooler = start_pooler(port);
    snprintf(url, sizeof url, "postgresql://postgres@127.0.0.1:%d/%s?unnamed=1", port,
             pg_database());
    /* Two processes' worth of connections share two of the server's. */
    struct ush_db *db[2] = {open_worker(url), open_worker(url)};
    struct load l[TASKS];
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < TASKS; i++)
            l[i] = (struct load){db[i % 2], round * TASKS + i, 0};
        ck_assert_int_eq(ush_gather(TASKS, 0, put_and_read, l, sizeof *l), 0);
    }
    ck_assert_int_eq(notes_stored(db[0]), TASKS * ROUNDS);
    ck_assert_int_le(atoi(pg_ask("postgres", "SELECT count(*) FROM pg_stat_activity"
                                             " WHERE backend_type = 'client backend'"
                                             " AND pid <> pg_backend_pid()")),
                     2);
    ush_db_close(db[0]);
    ush_db_close(db[1]);
    kill(pooler, SIGTERM);
    waitpid(pooler, NULL, 0);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("sql/postgres");
    TCase *tc = tcase_create("postgres");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_connection_that_the_server_ended_is_replaced);
    tcase_add_test(tc, a_server_that_was_restarted_is_found_again);
    tcase_add_test(tc, a_server_that_stays_away_is_said_in_time);
    tcase_add_test(tc, a_standby_is_passed_over_until_it_is_promoted);
    tcase_add_test(tc, a_host_without_a_port_of_its_own_has_the_usual_one);
    tcase_add_test(tc, tls_and_names_work_without_blocking);
    tcase_add_test(tc, a_statement_beyond_its_deadline_is_ended_and_the_connection_stays);
    tcase_add_test(tc, behind_a_pooler_with_unnamed_statements);
    suite_add_tcase(s, tc);
    pg_make();
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
