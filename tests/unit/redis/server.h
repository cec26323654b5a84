/*
 * server.h - a redis-server of the test's own: in a folder under /tmp, on a Unix socket in it and
 * a free port, killed by its process id and with the test.
 */
#ifndef TESTS_REDIS_SERVER_H
#define TESTS_REDIS_SERVER_H

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../slow.h"
#include "usher/redis.h"

#define REDIS_PASSWORD "secret"

static struct {
    char folder[64], port_text[8];
    int port, out; /* out: what it says on standard output */
    pid_t pid;
} redis;

/* Waits until the server says that it is ready; false if it ends without. */
static bool redis_is_ready(void)
{
    char said[8192];
    size_t n = 0;
    struct pollfd p = {.fd = redis.out, .events = POLLIN};
    while (n < sizeof said - 1 && poll(&p, 1, (int)allow(30000)) == 1) {
        ssize_t more = read(redis.out, said + n, sizeof said - 1 - n);
        if (more <= 0)
            return false;
        n += (size_t)more;
        said[n] = 0;
        if (strstr(said, "Ready to accept connections"))
            return true;
    }
    return false;
}

static void redis_stop(void)
{
    kill(redis.pid, SIGKILL);
    waitpid(redis.pid, NULL, 0);
    close(redis.out);
}

static bool redis_try(void)
{
    int out[2];
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    redis.pid = fork();
    if (redis.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(out[1], 1);
        if (chdir(redis.folder) == 0)
            execlp("redis-server", "redis-server", "--port", redis.port_text, "--bind", "127.0.0.1",
                   "--unixsocket", "redis", "--requirepass", REDIS_PASSWORD, "--save", "",
                   "--maxmemory-policy", "noeviction", NULL);
        perror("redis-server");
        _exit(127);
    }
    close(out[1]);
    redis.out = out[0];
    bool is_ready = redis_is_ready();
    if (!is_ready)
        redis_stop();
    return is_ready;
}

/* Starts the server, or starts it again with what is in its folder, and waits until it answers. */
static void redis_run(void)
{
    ck_assert_msg(redis_try(), "redis-server does not start");
}

static void redis_start(void)
{
    snprintf(redis.folder, sizeof redis.folder, "/tmp/usher-redis-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(redis.folder));
    for (int i = 0; i < 5; i++) { /* another program may be faster to take a port */
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof at;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert(bind(fd, (struct sockaddr *)&at, len) == 0 &&
                  getsockname(fd, (struct sockaddr *)&at, &len) == 0);
        close(fd);
        redis.port = ntohs(at.sin_port);
        snprintf(redis.port_text, sizeof redis.port_text, "%d", redis.port);
        if (redis_try())
            return;
    }
    ck_abort_msg("redis-server does not start");
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
