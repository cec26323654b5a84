/*
 * site.h - a server and its clients in one loop, over any backend.
 *
 *     BOTH_TEST(get_is_answered)
 *     {
 *         struct site s;
 *         site_open(&s, routes, USH_COUNT(routes), NULL);
 *         int c = site_connect(&s);
 *         say(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
 *         struct heard h = hear(c);
 *         ck_assert_int_eq(h.status, 200);
 *         ...
 *         return site_close(&s);
 *     }
 *
 * A client is one end of a socket pair, so nothing outside the process is involved. Time limits are
 * those of service. A test that waits for one of them hastens that one over epoll, and only that
 * one: the others are there for a machine that stands still for a while.
 */
#ifndef TESTS_HTTP_SITE_H
#define TESTS_HTTP_SITE_H

#include "../task/both.h"
#include "usher/http.h"
#include "usher/net.h"

struct site {
    struct ush_http *http;
    struct ush_http_limits limits;
    struct ush_http_stats stats;
    struct ush_http_options o;
};

static inline int64_t site_ms(uint32_t ms)
{
    return (ush_is_sim() ? ms : (ms + 99) / 100) * (int64_t)USH_MS;
}

/* The limit that a test waits for: of service under sim, a hundredth in real time. */
static inline void site_hasten(uint32_t *limit_ms)
{
    if (!ush_is_sim())
        *limit_ms = (*limit_ms + 99) / 100;
}

/* `o` may be NULL: further options; routes, limits and stats are filled in. */
static inline void site_open(struct site *s, const struct ush_route *routes, size_t n,
                             const struct ush_http_options *o)
{
    memset(s, 0, sizeof(*s));
    if (o)
        s->o = *o;
    s->limits = s->o.limits ? *s->o.limits : ush_http_limits_direct;
    s->o.routes = routes;
    s->o.route_count = n;
    s->o.limits = &s->limits;
    s->o.stats = &s->stats;
    int error = 0;
    s->http = ush_http_start(&s->o, &error);
    ck_assert_msg(s->http != NULL, "start: %s", ush_error_text(error));
}

/* Ends the server at once and checks that nothing is left. */
static inline int site_close(struct site *s)
{
    ck_assert_int_eq(ush_http_drain(s->http, ush_now_ns() + 10 * USH_SECOND), 0);
    ck_assert_uint_eq(s->stats.connections, 0);
    ck_assert_uint_eq(s->stats.handlers, 0);
    return 0;
}

/* A client from an address; NULL: of a Unix socket. */
static inline int site_connect_from(struct site *s, const char *address)
{
    int fds[2];
    struct ush_address peer;
    ck_assert_int_eq(ush_socketpair(fds), 0);
    if (address)
        ck_assert_int_eq(ush_address_parse(ush_text_of(address), &peer), 0);
    ush_http_serve(s->http, fds[1], address ? &peer : NULL);
    return fds[0];
}

static inline int site_connect(struct site *s)
{
    return site_connect_from(s, NULL);
}

static inline void say_bytes(int fd, const char *bytes, size_t n)
{
    ssize_t r = n > 0 ? ush_send(fd, bytes, n) : 0;
    ck_assert_msg(r == (ssize_t)n, "say: %s", r < 0 ? ush_error_text((int)r) : "short");
}

static inline void say(int fd, const char *text)
{
    say_bytes(fd, text, strlen(text));
}

struct heard {
    int status;        /* 0: the connection ended before a reply */
    char head[4096];   /* with the empty line */
    char body[200000]; /* decoded from chunks, NUL-terminated */
    size_t body_len;
    bool is_whole; /* false: the connection ended within the reply */
};

static inline bool hear_byte(int fd, char *ret)
{
    return ush_recv(fd, ret, 1) == 1;
}

/* A line without its CRLF; false at the end of the connection. */
static inline bool hear_line(int fd, char *out, size_t max)
{
    size_t n = 0;
    char c;
    while (hear_byte(fd, &c)) {
        if (c == '\n' && n > 0 && out[n - 1] == '\r') {
            out[n - 1] = 0;
            return true;
        }
        if (n + 1 >= max) /* ck_assert would write to a file for every byte */
            ck_abort_msg("a line of the reply is too long");
        out[n++] = c;
    }
    return false;
}

/* Value of a field of the reply, or NULL. */
static inline const char *heard_field(const struct heard *h, const char *name)
{
    static _Thread_local char value[1024];
    size_t n = strlen(name);
    for (const char *line = strchr(h->head, '\n'); line && line[1]; line = strchr(line + 1, '\n'))
        if (strncasecmp(line + 1, name, n) == 0 && line[1 + n] == ':') {
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + n + 3, "\r"), line + n + 3);
            return value;
        }
    return NULL;
}

static inline bool hear_exactly(int fd, struct heard *h, size_t n)
{
    ck_assert_uint_lt(h->body_len + n, sizeof(h->body));
    for (size_t got = 0; got < n;) {
        ssize_t r = ush_recv(fd, h->body + h->body_len, n - got);
        if (r <= 0)
            return false;
        got += (size_t)r;
        h->body_len += (size_t)r;
    }
    return true;
}

static inline void hear_chunks(int fd, struct heard *h)
{
    char line[64];
    while (hear_line(fd, line, sizeof(line))) {
        size_t n = strtoul(line, NULL, 16);
        if (n > 0 && !hear_exactly(fd, h, n))
            return;
        if (!hear_line(fd, line, sizeof(line)))
            return;
        if (n == 0) {
            h->is_whole = true;
            return;
        }
    }
}

/* One reply. `to_head`: the request was HEAD, no body follows. */
static inline struct heard *hear_into(int fd, struct heard *h, bool to_head)
{
    memset(h, 0, offsetof(struct heard, body) + 1);
    h->body_len = 0;
    h->is_whole = false;
    size_t n = 0;
    char line[2048];
    while (hear_line(fd, line, sizeof(line))) {
        n += (size_t)snprintf(h->head + n, sizeof(h->head) - n, "%s\r\n", line);
        if (*line)
            continue;
        ck_assert_int_eq(sscanf(h->head, "HTTP/1.1 %d ", &h->status), 1);
        const char *length = heard_field(h, "Content-Length");
        if (to_head || h->status < 200 || h->status == 204 || h->status == 304) {
            h->is_whole = true;
        } else if (length) {
            h->is_whole = hear_exactly(fd, h, strtoul(length, NULL, 10));
        } else if (heard_field(h, "Transfer-Encoding")) {
            hear_chunks(fd, h);
        } else { /* until the end of the connection */
            ssize_t r = 1;
            while (r > 0 && h->body_len + 1 < sizeof(h->body)) {
                r = ush_recv(fd, h->body + h->body_len, sizeof(h->body) - 1 - h->body_len);
                h->body_len += r > 0 ? (size_t)r : 0;
            }
            h->is_whole = r == 0;
        }
        break;
    }
    h->body[h->body_len] = 0;
    return h;
}

/* One reply, in memory that the next call uses again. */
static inline struct heard *hear(int fd)
{
    static struct heard h;
    return hear_into(fd, &h, false);
}
static inline struct heard *hear_head(int fd)
{
    static struct heard h;
    return hear_into(fd, &h, true);
}

/* Whether the server has closed without a further byte. */
static inline bool hears_end(int fd)
{
    char c;
    ssize_t r = ush_recv(fd, &c, 1);
    return r == 0 || r == -ECONNRESET;
}

/* Sends and hears one reply. */
static inline struct heard *ask(int fd, const char *request)
{
    say(fd, request);
    return hear(fd);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

#endif
