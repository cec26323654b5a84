/*
 * reply.c - replies as handlers describe them, and the bytes that they become.
 *
 * A handler only describes: status, type, body, fields. The description lives in the exchange, so
 * it may be made in a thread, replaced by a problem, and thrown away. When the handler has
 * returned, head and body are written side by side into the worker's output buffer (output.c).
 *
 * Most of a head is the same for a second or for ever: status lines stand in a table, the date is
 * made once a second, and the fields that every reply carries are constants. A small reply is a
 * dozen copies and no formatting but its length.
 *
 * Fields that the server adds, each of which a handler can replace (ush_reply_header):
 *
 *     Date, Content-Type, Content-Length or Transfer-Encoding, Connection     always
 *     X-Request-Id, X-Content-Type-Options, Referrer-Policy                   unless is_minimal
 *     Cache-Control    the route's for good answers, else no-store
 *     Content-Security-Policy    for HTML: only our own files, no frames
 *     Strict-Transport-Security  when the proxy says that the client used TLS
 *     Retry-After      for 503 and 429: 2 to 8 s, spread, so that clients do not return together
 */
#include <stdio.h>

#include "http/http.h"

/* ---- tables --------------------------------------------------------------------------------- */

#define STATUSES(S)                                                                                \
    S(200, "OK")                                                                                   \
    S(201, "Created")                                                                              \
    S(202, "Accepted")                                                                             \
    S(204, "No Content")                                                                           \
    S(206, "Partial Content")                                                                      \
    S(301, "Moved Permanently")                                                                    \
    S(302, "Found")                                                                                \
    S(303, "See Other")                                                                            \
    S(304, "Not Modified")                                                                         \
    S(307, "Temporary Redirect")                                                                   \
    S(308, "Permanent Redirect")                                                                   \
    S(400, "Bad Request")                                                                          \
    S(401, "Unauthorized")                                                                         \
    S(403, "Forbidden")                                                                            \
    S(404, "Not Found")                                                                            \
    S(405, "Method Not Allowed")                                                                   \
    S(406, "Not Acceptable")                                                                       \
    S(408, "Request Timeout")                                                                      \
    S(409, "Conflict")                                                                             \
    S(410, "Gone")                                                                                 \
    S(412, "Precondition Failed")                                                                  \
    S(413, "Content Too Large")                                                                    \
    S(414, "URI Too Long")                                                                         \
    S(415, "Unsupported Media Type")                                                               \
    S(417, "Expectation Failed")                                                                   \
    S(422, "Unprocessable Content")                                                                \
    S(428, "Precondition Required")                                                                \
    S(429, "Too Many Requests")                                                                    \
    S(431, "Request Header Fields Too Large")                                                      \
    S(500, "Internal Server Error")                                                                \
    S(501, "Not Implemented")                                                                      \
    S(502, "Bad Gateway")                                                                          \
    S(503, "Service Unavailable")                                                                  \
    S(504, "Gateway Timeout")                                                                      \
    S(505, "HTTP Version Not Supported")

static ush_text status_line(int status)
{
    switch (status) {
#define S(code, reason)                                                                            \
    case code:                                                                                     \
        return USH_T("HTTP/1.1 " #code " " reason "\r\n");
        STATUSES(S)
#undef S
    }
    return USH_NONE;
}

const char *ush__reason(int status)
{
    switch (status) {
#define S(code, reason)                                                                            \
    case code:                                                                                     \
        return reason;
        STATUSES(S)
#undef S
    }
    return "Other";
}

static const struct {
    const char *name;
    uint8_t own;
} own_fields[] = {
    {"Cache-Control", USH__OWN_CACHE},      {"Content-Security-Policy", USH__OWN_CSP},
    {"Referrer-Policy", USH__OWN_REFERRER}, {"X-Content-Type-Options", USH__OWN_NOSNIFF},
    {"Retry-After", USH__OWN_RETRY},        {"Permissions-Policy", USH__OWN_PERMISSIONS},
};

/* ---- what handlers call --------------------------------------------------------------------- */

static bool is_clean(ush_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] == '\r' || t.at[i] == '\n' || t.at[i] == 0)
            return false;
    return true;
}

void ush_reply_header(struct ush_request *rq, const char *name, ush_text value)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    const ush_text key = ush_text_of(name);
    assert(is_clean(key) && is_clean(value));
    for (size_t i = 0; i < USH_COUNT(own_fields); i++)
        if (ush_text_equal_nocase(key, ush_text_of(own_fields[i].name)))
            x->own |= own_fields[i].own;
    if (!value.at)
        return;
    struct ush__field *f = USH_NEW(rq->arena, struct ush__field);
    x->fields_bytes += (uint32_t)(key.len + value.len + 4);
    if (!f) /* the arena remembers, and ush__reply_write answers 500 */
        return;
    *f = (struct ush__field){.name = key, .value = value};
    *x->last_field = f;
    x->last_field = &f->next;
}

int ush_reply(struct ush_request *rq, int status, const char *content_type, ush_text body)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    assert(x->reply < USH__STREAMING); /* else it has begun to leave */
    x->reply = USH__REPLIED;
    x->status = status;
    x->content_type = ush_text_of(content_type);
    x->body = body;
    x->is_static = false;
    return 0;
}

int ush_reply_json(struct ush_request *rq, int status, const struct ush_record *r,
                   const void *value)
{
    struct ush_buf *text = ush__exchange_text(ush__exchange_of(rq));
    ush_record_encode_json(r, value, text);
    if (text->error < 0)
        return text->error;
    return ush_reply(rq, status, "application/json", ush_buf_text(text));
}

int ush_reply_redirect(struct ush_request *rq, int status, ush_text location)
{
    ush_reply_header(rq, "Location", location);
    return ush_reply(rq, status, NULL, (ush_text){"", 0});
}

/* ---- bytes ---------------------------------------------------------------------------------- */

struct ush_buf *ush__exchange_text(struct ush__exchange *x)
{
    ush_buf_fini(&x->text);
    ush_buf_init(&x->text, USH__TEXT_BYTES);
    return &x->text;
}

const char *ush__date(struct ush_http *h)
{
    int64_t now = ush_now_ns();
    if (now >= h->date_until_ns) {
        int64_t wall = ush_wall_ms();
        memcpy(h->date, "Date: ", 6);
        ush_time_format_http(wall, h->date + 6);
        memcpy(h->date + 35, "\r\n", 3);
        h->date_until_ns = now + (1000 - wall % 1000) * USH_MS;
    }
    return h->date;
}

static inline char *put(char *to, ush_text t)
{
    memcpy(to, t.at, t.len);
    return to + t.len;
}

#define PUT(to, literal) put(to, USH_T(literal))

static char *put_number(char *to, uint64_t n)
{
    char digits[20];
    size_t i = sizeof(digits);
    do
        digits[--i] = (char)('0' + n % 10);
    while (n /= 10);
    return put(to, (ush_text){digits + i, sizeof(digits) - i});
}

static char *put_security(const struct ush__exchange *x, char *to)
{
    to = PUT(to, "X-Request-Id: ");
    to = put(to, ush_text_of(x->rq.id));
    to = PUT(to, "\r\n");
    if (!(x->own & USH__OWN_NOSNIFF))
        to = PUT(to, "X-Content-Type-Options: nosniff\r\n");
    if (!(x->own & USH__OWN_REFERRER))
        to = PUT(to, "Referrer-Policy: no-referrer\r\n");
    bool is_page = ush_text_starts(x->content_type, USH_T("text/html"));
    if (is_page && !(x->own & USH__OWN_PERMISSIONS))
        to = PUT(to, "Permissions-Policy: camera=(), geolocation=(), microphone=()\r\n");
    if (is_page && !(x->own & USH__OWN_CSP))
        to = PUT(to, "Content-Security-Policy: default-src 'self'; frame-ancestors 'none'; "
                     "form-action 'self'; base-uri 'none'\r\n");
    if (x->rq.is_https)
        to = PUT(to, "Strict-Transport-Security: max-age=31536000\r\n");
    return to;
}

static char *put_cache(const struct ush__exchange *x, char *to)
{
    bool is_good = x->status < 400;
    const char *cache = is_good && x->rq.route ? x->rq.route->cache : NULL;
    if (x->own & USH__OWN_CACHE)
        return to;
    to = PUT(to, "Cache-Control: ");
    to = put(to, ush_text_of(cache ? cache : "no-store"));
    return PUT(to, "\r\n");
}

static char *put_framing(const struct ush__exchange *x, int64_t length, char *to)
{
    if (length >= 0 && x->status != 204 && x->status != 304) {
        to = PUT(to, "Content-Length: ");
        to = put_number(to, (uint64_t)length);
        to = PUT(to, "\r\n");
    } else if (x->is_chunked) {
        to = PUT(to, "Transfer-Encoding: chunked\r\n");
    }
    if (!x->keep_alive)
        return PUT(to, "Connection: close\r\n");
    return x->rq.head->minor == 0 ? PUT(to, "Connection: keep-alive\r\n") : to;
}

size_t ush__reply_head_max(const struct ush__exchange *x)
{
    return 1024 + x->fields_bytes + x->content_type.len;
}

char *ush__reply_head(struct ush__exchange *x, int64_t length, char *to)
{
    struct ush_http *h = x->rq.conn->http;
    ush_text line = status_line(x->status);
    x->keep_alive &= !h->is_draining;
    if (line.at)
        to = put(to, line);
    else
        to += sprintf(to, "HTTP/1.1 %03d Other\r\n", x->status);
    to = put(to, (ush_text){ush__date(h), 37});
    if (x->content_type.at) {
        to = PUT(to, "Content-Type: ");
        to = put(to, x->content_type);
        to = PUT(to, "\r\n");
    }
    to = put_framing(x, length, to);
    if (!h->o.is_minimal) {
        to = put_security(x, to);
        to = put_cache(x, to);
    }
    if (USH_UNLIKELY(x->status == 503 || x->status == 429) && !(x->own & USH__OWN_RETRY)) {
        to = PUT(to, "Retry-After: ");
        to = put_number(to, 2 + ush__spread(h, 7));
        to = PUT(to, "\r\n");
    }
    for (const struct ush__field *f = x->fields; f; f = f->next) {
        to = put(to, f->name);
        to = PUT(to, ": ");
        to = put(to, f->value);
        to = PUT(to, "\r\n");
    }
    if (x->status >= 100 && x->status < 600)
        USH__COUNT(h, status_total[x->status / 100], 1);
    return PUT(to, "\r\n");
}

void ush__reply_write(struct ush__exchange *x)
{
    struct ush_conn *c = x->rq.conn;
    if (x->fields_bytes > USH__FIELDS_BYTES || x->rq.arena->failed) {
        ush_error("http.too_large",
                  "the reply of %s has too many fields, or its request needs "
                  "more memory than its cap",
                  x->row ? x->row->name : "a refusal");
        x->fields = NULL;
        x->fields_bytes = 0;
        ush_reply(&x->rq, 500, NULL, (ush_text){"", 0});
    }
    bool has_body = !x->is_head && x->status != 204 && x->status != 304;
    size_t head_max = ush__reply_head_max(x), length = x->body.len;
    size_t together = has_body && length + head_max <= USH__OUTPUT_BYTES / 2 ? length : 0;
    char *room = ush__output_room(c, head_max + together);
    char *end = ush__reply_head(x, (int64_t)length, room);
    if (together > 0)
        memcpy(end, x->body.at, together);
    ush__output_add(c, (size_t)(end - room) + together);
    if (has_body && together < length)
        ush__output_send(c, x->body, &(struct ush__output_options){.is_static = x->is_static});
}
