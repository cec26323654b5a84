/*
 * server.h - a redis-server of the test's own: in a folder under /tmp, on a Unix socket in it and
 * a free port, killed by its process id and with the test.
 */
#ifndef TESTS_REDIS_SERVER_H
#define TESTS_REDIS_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "usher/redis.h"

#define REDIS_PASSWORD "secret"

static struct {
    char folder[64], port_text[8];
    int port;
    pid_t pid;
} redis;

static bool redis_answers(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof at.sun_path, "%s/redis", redis.folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char c;
    bool answers = connect(fd, (struct sockaddr *)&at, sizeof at) == 0 &&
                   write(fd, "PING\r\n", 6) == 6 && read(fd, &c, 1) == 1;
    close(fd);
    return answers;
}

/* Starts the server, or starts it again with what is in its folder, and waits until it answers. */
static void redis_run(void)
{
    redis.pid = fork();
    if (redis.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(open("/dev/null", O_WRONLY), 1);
        if (chdir(redis.folder) == 0)
            execlp("redis-server", "redis-server", "--port", redis.port_text, "--bind", "127.0.0.1",
                   "--unixsocket", "redis", "--enable-debug-command", "local", "--requirepass",
                   REDIS_PASSWORD, "--save", "", "--maxmemory-policy", "noeviction", NULL);
        perror("redis-server");
        _exit(127);
    }
    for (int i = 0; !redis_answers(); i++) {
        ck_assert_msg(i < 3000 && waitpid(redis.pid, NULL, WNOHANG) == 0,
                      "redis-server does not start");
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static void redis_start(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert(bind(fd, (struct sockaddr *)&at, len) == 0 &&
              getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    close(fd);
    redis.port = ntohs(at.sin_port);
    snprintf(redis.port_text, sizeof redis.port_text, "%d", redis.port);
    snprintf(redis.folder, sizeof redis.folder, "/tmp/usher-redis-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(redis.folder));
    redis_run();
}

static void redis_stop(void)
{
    kill(redis.pid, SIGKILL);
    waitpid(redis.pid, NULL, 0);
}

static void redis_remove(void)
{
    redis_stop();
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", redis.folder);
    if (system(command) != 0)
        perror(command);
}

#endif
