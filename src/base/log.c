/*
 * log.c - one line, one write(2).
 *
 *     2026-03-13T12:30:00.123Z info  web 2[4711] worker.start: listens on 127.0.0.1:8080
 *     {"time":"2026-03-13T12:30:00.123Z","level":"info","role":"web 2","pid":4711,
 *      "event":"worker.start","message":"listens on 127.0.0.1:8080"}           (one line)
 *
 * The first form is for a terminal, the second for whatever collects logs.
 *
 * Invariants
 * 1. A line is one write of at most LINE_MAX_BYTES, below PIPE_BUF, so lines of several processes
 *    on one pipe or appended file never mix.
 * 2. A line has no control byte but its own newline: whatever a client sent, it cannot forge a
 *    second line or drive a terminal. Malformed UTF-8 becomes U+FFFD.
 * 3. Nothing is allocated and no lock is taken. A log that cannot be written is not an error of
 *    the caller: the line is lost.
 *
 * The buffers belong to the thread and not to the stack: a task's stack is small, and one log line
 * must not make a waiting request hold a page more. A task cannot suspend inside.
 *
 * The time of day is read from the kernel directly and not through the runtime's door: a log line
 * says when something was really seen, also when a simulation runs in a time of its own.
 */
#include "base/base.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048, TAIL_BYTES = 8 /* the ellipsis, a quote, a brace, the newline */ };

static struct {
    _Atomic int fd, level;
    _Atomic bool json;
    const char *_Atomic role;
} to = {.fd = 2, .level = USH_LOG_INFO, .role = "usher"};

static const char *const level_names[] = {"error", "warn", "info", "debug"};

void ush_log_init(const struct ush_log_options *o)
{
    to.fd = o->fd ? o->fd : 2;
    to.level = o->level;
    to.json = o->json;
    to.role = o->role ? o->role : "usher";
}

void ush_log_set_fd(int fd)
{
    to.fd = fd;
}

void ush_log_set_role(const char *role)
{
    to.role = role;
}

struct line {
    size_t len;
    char at[LINE_MAX_BYTES];
};

/* Adds t, escaped so that it is safe in a JSON string and on a terminal. What does not fit is cut
 * between characters and marked. */
static void add(struct line *l, ush_text t, bool json)
{
    while (t.len) {
        char piece[8];
        size_t n;
        int32_t c = ush__utf8_step(&t);
        /* C1 controls drive some terminals as escape sequences do. */
        if ((c >= 0 && c < 0x20) || (c >= 0x7f && c < 0xa0))
            n = (size_t)snprintf(piece, sizeof piece, "\\u%04x", (unsigned)c);
        else if (json && (c == '"' || c == '\\'))
            n = (size_t)snprintf(piece, sizeof piece, "\\%c", (char)c);
        else
            n = ush_utf8_put(piece, c < 0 ? 0xfffd : (uint32_t)c);
        if (l->len + n > LINE_MAX_BYTES - TAIL_BYTES) {
            memcpy(l->at + l->len, "…", 3);
            l->len += 3;
            return;
        }
        memcpy(l->at + l->len, piece, n);
        l->len += n;
    }
}

/* Our own text of known, small size. */
static void add_plain(struct line *l, const char *s)
{
    size_t n = strlen(s);
    assert(l->len + n <= LINE_MAX_BYTES);
    memcpy(l->at + l->len, s, n);
    l->len += n;
}

void ush_log_v(enum ush_log_level level, const char *event, const char *fmt, va_list ap)
{
    if ((int)level > to.level)
        return;
    static _Thread_local char message[LINE_MAX_BYTES];
    static _Thread_local struct line l;
    int n = vsnprintf(message, sizeof message, fmt, ap);
    size_t length = n < 0 ? 0 : (size_t)n < sizeof message ? (size_t)n : sizeof message - 1;

    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char when[32];
    size_t date = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(when + date, sizeof when - date, ".%03dZ", (int)(now.tv_nsec / 1000000));

    bool json = to.json;
    l.len = 0;
    char head[160];
    snprintf(head, sizeof head,
             json ? "{\"time\":\"%s\",\"level\":\"%s\",\"role\":\"%.40s\",\"pid\":%d,\"event\":\""
                  : "%s %-5s %.40s[%d] ",
             when, level_names[level], to.role, (int)getpid());
    add_plain(&l, head);
    add(&l, (ush_text){event, strnlen(event, 100)}, json);
    add_plain(&l, json ? "\",\"message\":\"" : ": ");
    add(&l, (ush_text){message, length}, json);
    add_plain(&l, json ? "\"}\n" : "\n");
    ssize_t written;
    do
        written = write(to.fd, l.at, l.len);
    while (written < 0 && errno == EINTR);
}

void ush_log(enum ush_log_level level, const char *event, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ush_log_v(level, event, fmt, ap);
    va_end(ap);
}
