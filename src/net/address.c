/*
 * address.c - addresses as people write them, and the listening socket at one.
 *
 * An address in a setting is always numeric: a name could mean several addresses, or another one
 * tomorrow, and a server must know where it listens. Names belong to clients (resolve.c).
 *
 *   127.0.0.1:8080        IPv4
 *   [::1]:8080            IPv6, in brackets because of its colons (RFC 3986 §3.2.2)
 *   :8080                 0.0.0.0
 *   unix:/run/usher.sock  a path; "@name" is not taken, since anybody may squat an abstract name
 *
 * Listening at a Unix path has one trap: the file of a dead server stays and must be replaced, but
 * replacing the file of a live one would steal its connections silently. A connect tells the two
 * apart: it is refused exactly when nobody listens.
 *
 * A socket that was handed over has no such trap: it was there before this process, and is there
 * after it.
 */
#include "usher/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { GIVEN_FD = 3 }; /* SD_LISTEN_FDS_START */

static int parse_unix(ush_text path, struct ush_address *ret)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    if (path.len == 0 || path.len >= sizeof(un.sun_path) || path.at[0] == '@' ||
        memchr(path.at, 0, path.len))
        return -EINVAL;
    memcpy(un.sun_path, path.at, path.len);
    *ret = (struct ush_address){.len = sizeof(un)};
    memcpy(&ret->storage, &un, sizeof(un));
    return 0;
}

int ush_address_parse(ush_text t, struct ush_address *ret)
{
    if (ush_text_starts(t, USH_T("unix:")))
        return parse_unix((ush_text){t.at + 5, t.len - 5}, ret);

    size_t colon = t.len;
    while (colon > 0 && t.at[colon - 1] != ':')
        colon--;
    int64_t port;
    if (colon == 0 || ush_text_i64((ush_text){t.at + colon, t.len - colon}, &port) < 0 ||
        port < 0 || port > UINT16_MAX)
        return -EINVAL;
    ush_text host = {t.at, colon - 1};
    bool in_brackets = host.len >= 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    if (in_brackets)
        host = (ush_text){host.at + 1, host.len - 2};

    char text[INET6_ADDRSTRLEN] = "0.0.0.0";
    if (host.len >= sizeof(text))
        return -EINVAL;
    if (host.len > 0 || in_brackets) {
        memcpy(text, host.at, host.len);
        text[host.len] = 0;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct ush_address a = {.len = in_brackets ? sizeof(v6) : sizeof(v4)};
    if (inet_pton(in_brackets ? AF_INET6 : AF_INET, text,
                  in_brackets ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr) != 1)
        return -EINVAL;
    memcpy(&a.storage, in_brackets ? (void *)&v6 : (void *)&v4, a.len);
    *ret = a;
    return 0;
}

void ush_address_host(const struct ush_address *a, char out[64])
{
    const struct sockaddr_in *v4 = (const void *)&a->storage;
    const struct sockaddr_in6 *v6 = (const void *)&a->storage;
    const struct in6_addr *six = &v6->sin6_addr;
    if (a->storage.ss_family == AF_INET)
        inet_ntop(AF_INET, &v4->sin_addr, out, 64);
    else if (a->storage.ss_family != AF_INET6)
        strcpy(out, "unix");
    else if (IN6_IS_ADDR_V4MAPPED(six)) /* a listener at [::] shows IPv4 peers so */
        inet_ntop(AF_INET, &six->s6_addr[12], out, 64);
    else
        inet_ntop(AF_INET6, six, out, 64);
}

static uint16_t port_of(const struct ush_address *a)
{
    if (a->storage.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a->storage)->sin_port);
    if (a->storage.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a->storage)->sin6_port);
    return 0;
}

void ush_address_format(const struct ush_address *a, char out[128])
{
    char host[64];
    ush_address_host(a, host);
    if (a->storage.ss_family == AF_UNIX)
        snprintf(out, 128, "unix:%.107s", ((const struct sockaddr_un *)&a->storage)->sun_path);
    else if (strchr(host, ':'))
        snprintf(out, 128, "[%s]:%u", host, port_of(a));
    else
        snprintf(out, 128, "%s:%u", host, port_of(a));
}

/* 0 when nothing is at the path or only a dead server's socket, which is removed. */
static int clear_unix_path(const struct ush_address *at)
{
    const struct sockaddr_un *un = (const void *)&at->storage;
    struct stat st;
    if (lstat(un->sun_path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int error = connect(fd, (const struct sockaddr *)&at->storage, at->len) < 0 ? errno : 0;
    close(fd);
    if (error != ECONNREFUSED)
        return error == EACCES ? -EACCES : -EADDRINUSE;
    return unlink(un->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int set(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int bind_and_listen(int fd, const struct ush_address *at)
{
    int family = at->storage.ss_family;
    if (family != AF_UNIX) {
        USH_TRY(set(fd, SOL_SOCKET, SO_REUSEADDR, 1));
        /* Accepted sockets inherit it, which spares a system call per connection. */
        USH_TRY(set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
    }
    if (family == AF_INET6)
        USH_TRY(set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0));
    if (bind(fd, (const struct sockaddr *)&at->storage, at->len) < 0)
        return -errno;
    return listen(fd, USH_BACKLOG) < 0 ? -errno : 0;
}

int ush_listen_at(const struct ush_address *at)
{
    if (at->storage.ss_family == AF_UNIX)
        USH_TRY(clear_unix_path(at));
    int fd = socket(at->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = bind_and_listen(fd, at);
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

/* How many descriptors are meant for this process. */
static long take_given_count(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
    long n = pid && count && atol(pid) == getpid() ? atol(count) : 0;
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return n;
}

int ush_listen_given(const struct ush_address *at)
{
    long count = take_given_count();
    if (count <= 0)
        return -ENOENT;
    int fd = GIVEN_FD, listens = 0;
    socklen_t len = sizeof listens;
    if (count > 1 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens)
        return -EINVAL;
    struct ush_address is = {.len = sizeof is.storage};
    if (getsockname(fd, (struct sockaddr *)&is.storage, &is.len) < 0)
        return -errno;
    char wanted[128], found[128];
    ush_address_format(at, wanted);
    ush_address_format(&is, found);
    if (strcmp(wanted, found) != 0)
        return -EADDRNOTAVAIL;
    if (is.storage.ss_family != AF_UNIX)
        USH_TRY(set(fd, IPPROTO_TCP, TCP_NODELAY, 1));
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    return fd;
}

int ush_listener_port(int fd)
{
    struct ush_address a = {.len = sizeof(a.storage)};
    if (getsockname(fd, (struct sockaddr *)&a.storage, &a.len) < 0)
        return -errno;
    return port_of(&a);
}
