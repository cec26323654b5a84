/*
 * pg.h - a PostgreSQL of the test's own: made in a folder under /tmp, reached over a Unix socket in
 * it, stopped by its process id.
 *
 * One server per test program, one database per test. PostgreSQL refuses to run as root, so then
 * it runs as the user that Debian's package makes. fsync is on, as in service.
 *
 * A test that stops servers, or wants other settings, makes a copy of its own (pg_clone): a hot
 * standby in a folder inside that of the first, which ends with the test's process.
 */
#ifndef TESTS_SQL_PG_H
#define TESTS_SQL_PG_H

#include <check.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../slow.h"

struct pg_cluster {
    char folder[64], bin[128];
    pid_t pid, owner;
    int port; /* part of the name of the socket too; 0 = 5432 */
};
static struct pg_cluster pg;

static void pg_die(const char *what)
{
    perror(what);
    exit(1);
}

/* Runs one of the server's programs in the background, as a user that is not root. */
static pid_t pg_spawn(const char *const *arguments)
{
    char path[192];
    snprintf(path, sizeof path, "%s/%s", pg.bin, arguments[0]);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    const struct passwd *who = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (who && (setgroups(0, NULL) < 0 || setgid(who->pw_gid) < 0 || setuid(who->pw_uid) < 0))
        pg_die("setuid");
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (chdir(pg.folder) < 0)
        pg_die(pg.folder);
    int fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    const char *words[32] = {path}; /* initdb looks for its kin beside what it was called */
    for (size_t i = 1; arguments[i]; i++) {
        if (i + 1 == sizeof words / sizeof *words)
            pg_die("too many words");
        words[i] = arguments[i];
    }
    execv(path, (char *const *)words);
    pg_die(path);
    return -1;
}

static const char *pg_url(const char *database)
{
    static char url[192];
    snprintf(url, sizeof url, "postgresql:///%s?host=%s&port=%d&user=postgres", database, pg.folder,
             pg.port ? pg.port : 5432);
    return url;
}

/* Whether the server says, in what it adds to its log, that it takes connections. */
static bool pg_is_ready(FILE *log, const char *path)
{
    char line[4096], events[4096];
    int watch = inotify_init1(IN_CLOEXEC), server = pidfd_open(pg.pid, 0);
    bool is_ready = false, goes_on = watch >= 0; /* Valgrind knows no pidfd */
    if (inotify_add_watch(watch, path, IN_MODIFY) < 0)
        pg_die(path);
    while (goes_on && !is_ready) {
        while (!is_ready && fgets(line, sizeof line, log))
            is_ready = strstr(line, "ready to accept") != NULL; /* a standby: read-only ones */
        clearerr(log);
        struct pollfd p[] = {{watch, POLLIN, 0}, {server, POLLIN, 0}};
        if (!is_ready)
            goes_on = poll(p, 2, (int)allow(30000)) > 0 && p[1].revents == 0 &&
                      read(watch, events, sizeof events) > 0;
    }
    close(server);
    close(watch);
    return is_ready;
}

/* Starts the server, or starts it again, and waits until it takes connections. */
static void pg_start(void)
{
    const char *extra = getenv("PG_TEST_SETTINGS");
    char path[96], settings[256];
    snprintf(path, sizeof path, "%s/log", pg.folder);
    snprintf(settings, sizeof settings, "%s", extra ? extra : "log_min_messages=warning");
    const char *const server[] = {"postgres",
                                  "-D",
                                  "data",
                                  "-k",
                                  pg.folder,
                                  "-c",
                                  "max_connections=60",
                                  "-c",
                                  "shared_buffers=64MB",
                                  "-c",
                                  "deadlock_timeout=300ms",
                                  "-c",
                                  "log_line_prefix=%m [%p] ",
                                  "-c",
                                  settings,
                                  NULL};
    FILE *log = fopen(path, "re"); /* initdb has made it */
    if (!log || fseek(log, 0, SEEK_END) < 0)
        pg_die(path);
    pg.pid = pg_spawn(server);
    if (!pg_is_ready(log, path)) {
        fprintf(stderr, "PostgreSQL does not start; see %s\n", path);
        exit(1);
    }
    fclose(log);
}

static void pg_stop(int signo)
{
    kill(pg.pid, signo);
    waitpid(pg.pid, NULL, 0);
}

static void pg_remove(void)
{
    if (getpid() != pg.owner)
        return;
    pg_stop(SIGQUIT);
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", pg.folder);
    if (system(command) != 0)
        perror(command);
}

/* A folder of the user that the server runs as. */
static void pg_own(const char *path)
{
    const struct passwd *who = getuid() == 0 ? getpwnam("postgres") : NULL;
    if (who && chown(path, who->pw_uid, who->pw_gid) < 0)
        pg_die(path);
}

/* Adds lines to the settings of the cluster, before it is started. */
static void pg_configure(const char *lines)
{
    char path[96];
    snprintf(path, sizeof path, "%s/data/postgresql.conf", pg.folder);
    FILE *f = fopen(path, "a");
    if (!f || fprintf(f, "%s\n", lines) < 0 || fclose(f) != 0)
        pg_die(path);
}

/* To be called once, by main, before the tests are run. */
static void pg_make(void)
{
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) != 0)
        pg_die("no PostgreSQL in /usr/lib/postgresql");
    snprintf(pg.bin, sizeof pg.bin, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    strcpy(pg.folder, "/tmp/usher-pg-XXXXXX");
    if (!mkdtemp(pg.folder))
        pg_die(pg.folder);
    pg_own(pg.folder);
    static const char *const initdb[] = {
        "initdb",           "-D", "data", "-A", "trust", "-U", "postgres", "--no-sync",
        "--locale=C.UTF-8", NULL};
    int status;
    if (waitpid(pg_spawn(initdb), &status, 0) < 0 || status != 0)
        pg_die("initdb");
    pg.owner = getpid();
    atexit(pg_remove);
    pg_configure("listen_addresses = ''");
    pg_start();
}

/* Makes a hot standby of the cluster, which `pg` is from then on; the first one is returned. More
 * settings are added to it, and the port, unless that is 0. Only in the process of a test. */
__attribute__((unused)) static struct pg_cluster pg_clone(const char *settings, int port)
{
    struct pg_cluster first = pg;
    const char *const copy[] = {"pg_basebackup", "-h", first.folder, "-U",   "postgres",  "-D",
                                "data",          "-R", "-c",         "fast", "--no-sync", NULL};
    int status;
    strncat(pg.folder, "/standby", sizeof pg.folder - strlen(pg.folder) - 1);
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", pg.folder);
    if (system(command) != 0 || mkdir(pg.folder, 0755) < 0)
        pg_die(pg.folder);
    pg_own(pg.folder);
    if (waitpid(pg_spawn(copy), &status, 0) < 0 || status != 0)
        pg_die("pg_basebackup");
    pg_configure("fsync = off"); /* what is asked of it is not what a power cut leaves */
    pg_configure(settings);
    pg.port = port;
    pg_start();
    return first;
}

/* Runs a statement as the administrator and returns the first value of its result, or "". */
static const char *pg_ask(const char *database, const char *sql)
{
    static char value[256];
    PGconn *conn = PQconnectdb(pg_url(database));
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    ck_assert_msg(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, "%s: %s", sql,
                  PQerrorMessage(conn));
    snprintf(value, sizeof value, "%s", PQntuples(result) ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(conn);
    return value;
}

/* The name of an empty database of this test, which runs in a process of its own. */
static const char *pg_database(void)
{
    static char name[32];
    if (!name[0]) {
        char sql[64];
        snprintf(name, sizeof name, "t%d", (int)getpid());
        snprintf(sql, sizeof sql, "CREATE DATABASE %s", name);
        pg_ask("postgres", sql);
    }
    return name;
}

#endif
