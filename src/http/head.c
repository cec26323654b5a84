/*
 * head.c - the request line and the header fields, strictly (RFC 9112 §2 to §6).
 *
 * Two passes. scan() walks over the bytes once, eight at a time, looking for control bytes only: so
 * it finds the ends of the lines, and a NUL, a bare CR or LF, or a TLS hello on a plain port at
 * once instead of at the time-out. It can stop at any byte and go on later; what it needs for that
 * is packed into *scanned. When it has seen the empty line, split() takes the lines apart.
 *
 * Invariants:
 *  1. The answer does not depend on how the bytes were cut into pieces: the first answer other
 *     than "not complete" equals the answer for the whole. So everything that scan() refuses it
 *     judges by the bytes up to one place, and split() runs only on a head that is complete.
 *  2. Time is linear also when fed byte by byte: no byte is scanned more than twice.
 *  3. No byte behind `bytes` is read. split() has no bounds checks in its loops: every line ends
 *     with a CR that scan() has seen, and CR belongs to none of the classes.
 *  4. What is accepted here, llhttp in strict mode accepts too, with the same lines and the same
 *     body. Where llhttp is stricter than the RFC for a reason of its own, so are we (marked).
 *
 * Deliberate strictness, beyond "400 for what the grammar does not allow":
 *  - Content-Length beside Transfer-Encoding, either of them twice (even if equal), a leading zero,
 *    any coding but "chunked", Transfer-Encoding in HTTP/1.0: refused. All are ways to make two
 *    recipients disagree about where the body ends.
 *  - Content-Type twice: refused, since it decides how the body is read.
 *  - A name with '_' is refused, or dropped behind a proxy (limits.drops_underscores): CGI-like
 *    software reads X_Y as X-Y, so a client could forge what a proxy sets.
 *  - Host must look like a host and a port; user information in a target is refused.
 *  - One empty line before the request is skipped (RFC 9112 §2.2 asks for it), a second is not.
 *
 * Deliberate laxity: bytes above 0x7F in values are opaque data (RFC 9110 §5.5), since browsers
 * send raw UTF-8 in Cookie; and []{}|^` in a target, which the URL Standard leaves unescaped.
 */
#include <endian.h>

#include "http/parse.h"

const struct ush_http_limits ush_http_limits_direct = {
    .request_line_bytes = 8 << 10,
    .header_bytes = 8 << 10,
    .head_bytes = 16 << 10,
    .header_count = 64,
    .body_bytes = 64 << 10,
    .head_ms = 10000,
    .body_gap_ms = 10000,
    .body_bytes_per_s = 1 << 10,
    .write_gap_ms = 15000,
    .idle_ms = 15000,
    .requests_per_connection = 1000,
    .connection_age_ms = 3600 * 1000,
    .connections = 4096,
    .connections_per_address = 64,
    .handlers = 10000,
    .handler_ms = 10000,
};

const struct ush_http_limits ush_http_limits_proxied = {
    .request_line_bytes = 8 << 10,
    .header_bytes = 8 << 10,
    .head_bytes = 32 << 10,
    .header_count = 100,
    .body_bytes = 64 << 10,
    .head_ms = 10000,
    .body_gap_ms = 10000,
    .body_bytes_per_s = 1 << 10,
    .write_gap_ms = 30000,
    .idle_ms = 75000,
    .requests_per_connection = 10000,
    .connection_age_ms = 3600 * 1000,
    .connections = 4096,
    .connections_per_address = 0,
    .handlers = 10000,
    .handler_ms = 10000,
    .drops_underscores = true,
};

/* ---- classes of bytes ----------------------------------------------------------------------- */

enum {
    V = USH__VALUE,
    U = V | USH__TARGET,
    N = V | USH__TOKEN | USH__NAME,
    NU = N | U,
    NUH = NU | USH__HOST,
    DIGIT = NUH | USH__DIGIT | USH__HEX,
};

/* clang-format off */
const uint8_t ush__byte_class[256] = {
    ['\t'] = V, [' '] = V,
    ['0' ... '9'] = DIGIT,
    ['A' ... 'F'] = NUH | USH__HEX, ['G' ... 'Z'] = NUH,
    ['a' ... 'f'] = NUH | USH__HEX, ['g' ... 'z'] = NUH,
    ['-'] = NUH, ['.'] = NUH, ['~'] = NUH, ['_'] = U | USH__TOKEN | USH__HOST,
    ['!'] = NU, ['$'] = NU, ['%'] = NU, ['&'] = NU, ['\''] = NU, ['*'] = NU, ['+'] = NU,
    ['^'] = NU, ['`'] = NU, ['|'] = NU, ['#'] = N,
    ['('] = U, [')'] = U, [','] = U, ['/'] = U, [':'] = U, [';'] = U, ['='] = U, ['@'] = U,
    ['['] = U, [']'] = U, ['{'] = U, ['}'] = U,
    ['"'] = V, ['<'] = V, ['>'] = V, ['?'] = V, ['\\'] = V,
    [0x80 ... 0xff] = V,
};
/* clang-format on */

ush_text ush__ows_trim(ush_text t)
{
    while (t.len && (t.at[0] == ' ' || t.at[0] == '\t'))
        t.at++, t.len--;
    while (t.len && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
        t.len--;
    return t;
}

ush_text ush__list_next(ush_text *rest)
{
    while (rest->at) {
        ush_text element = ush__ows_trim(ush_text_cut(rest, ','));
        if (element.len)
            return element;
    }
    return USH_NONE;
}

/* ---- first pass: control bytes and the ends of lines ---------------------------------------- */

/* Index of the first control byte other than tab in [at, end), or `end`. */
static inline size_t control_find(const char *b, size_t at, size_t end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    while (at + 8 <= end) {
        uint64_t w, del;
        memcpy(&w, b + at, 8);
        w = le64toh(w);
        del = w ^ 0x7f * ones;
        /* The top bit of a byte is set where it is below 0x20 or was 0x7F. Borrows can set it in
         * a byte above such a one but never below, and only the lowest is looked at. */
        uint64_t hit = (((w - 0x20 * ones) & ~w) | ((del - ones) & ~del)) & 0x80 * ones;
        if (hit) {
            at += (size_t)__builtin_ctzll(hit) / 8;
            if (b[at] != '\t')
                return at;
            at++;
        } else {
            at += 8;
        }
    }
    for (; at < end; at++)
        if (((unsigned char)b[at] < 0x20 && b[at] != '\t') || b[at] == 0x7f)
            return at;
    return end;
}

/* What scan() found. The field lines go whole into head->headers[].value, for split(). */
struct scan {
    ush_text request_line;
    size_t fields; /* may be more than fit */
};

static_assert(sizeof(size_t) == 8, "*scanned holds two offsets");

/* A request line that is too long, of which so much is there: because of its target, or of a
 * method that is none (RFC 9112 §3)? */
static int line_refuse(const char *line, const struct ush_http_limits *limits)
{
    return memchr(line, ' ', limits->request_line_bytes) ? -414 : -400;
}

static int scan(ush_text bytes, const struct ush_http_limits *limits, size_t *scanned,
                struct scan *s, struct ush_head *head)
{
    const char *b = bytes.at;
    size_t end = bytes.len < limits->head_bytes ? bytes.len : limits->head_bytes;
    size_t at = *scanned & UINT32_MAX, line = *scanned >> 32;
    size_t first = bytes.len && b[0] == '\r' ? 2 : 0;
    s->fields = 0;
    for (;;) {
        at = control_find(b, at, end);
        bool is_first = line <= first;
        if (at - line > (is_first ? limits->request_line_bytes : limits->header_bytes))
            return is_first ? line_refuse(b + line, limits) : -431;
        if (at == end || (b[at] == '\r' && at + 1 == end))
            break;
        if (b[at] != '\r' || b[at + 1] != '\n')
            return -400;
        ush_text whole = {b + line, at - line};
        at += 2;
        if (whole.len == 0) {
            if (line == first)
                return -400;
            if (line > first)
                return (int)at;
        } else if (is_first) {
            s->request_line = whole;
        } else {
            if (s->fields < USH_HEADERS_MAX)
                head->headers[s->fields].value = whole;
            s->fields++;
        }
        line = at;
    }
    if (end == limits->head_bytes)
        return -431;
    *scanned = at | line << 32;
    return 0;
}

/* The first byte from `p` on that is in none of the classes; a CR ends it at the latest. Four tests
 * per turn give the branch predictor four places to learn from: 107 instead of 139 ns for a head
 * with five fields. */
static inline const char *past(const char *p, unsigned classes)
{
    for (;; p += 4) {
        if (!ush__is(p[0], classes))
            return p;
        if (!ush__is(p[1], classes))
            return p + 1;
        if (!ush__is(p[2], classes))
            return p + 2;
        if (!ush__is(p[3], classes))
            return p + 3;
    }
}

/* ---- second pass: the request line ---------------------------------------------------------- */

static enum ush_method method_of(ush_text name)
{
#define IS(word) (memcmp(name.at, word, sizeof(word) - 1) == 0)
    switch (name.len) {
    case 3:
        return IS("GET") ? USH_GET : IS("PUT") ? USH_PUT : USH_METHOD_OTHER;
    case 4:
        return IS("POST") ? USH_POST : IS("HEAD") ? USH_HEAD : USH_METHOD_OTHER;
    case 5:
        return IS("PATCH") ? USH_PATCH : USH_METHOD_OTHER;
    case 6:
        return IS("DELETE") ? USH_DELETE : USH_METHOD_OTHER;
    case 7:
        return IS("OPTIONS") ? USH_OPTIONS : USH_METHOD_OTHER;
    default:
        return USH_METHOD_OTHER;
    }
#undef IS
}

/* RFC 3986 §3.2.2 without escapes and sub-delims: a name with those is nobody's. */
bool ush__host_is_valid(ush_text t)
{
    size_t i = 0;
    if (t.len && t.at[0] == '[') {
        for (i = 1; i < t.len && (ush__is(t.at[i], USH__HEX) || t.at[i] == ':' || t.at[i] == '.');)
            i++;
        if (i < 4 || i == t.len || t.at[i] != ']') /* "[::" is the shortest */
            return false;
        i++;
    } else {
        while (i < t.len && ush__is(t.at[i], USH__HOST))
            i++;
        if (i == 0)
            return false;
    }
    if (i == t.len)
        return true;
    uint32_t port = 0;
    size_t digits = t.len - i - 1;
    if (t.at[i] != ':' || digits < 1 || digits > 5)
        return false;
    while (++i < t.len) {
        if (!ush__is(t.at[i], USH__DIGIT))
            return false;
        port = port * 10 + (uint32_t)(t.at[i] - '0');
    }
    return port <= 65535;
}

/* The authority of "http://authority/path?query", and the rest; USH_NONE if it is none. */
static ush_text authority_cut(ush_text *rest)
{
    size_t scheme = 7;
    if (rest->len >= 8 && (rest->at[4] | 0x20) == 's')
        scheme = 8;
    if (rest->len < scheme || !(ush__token_is((ush_text){rest->at, scheme}, "http://", 7) ||
                                ush__token_is((ush_text){rest->at, scheme}, "https://", 8)))
        return USH_NONE;
    size_t end = scheme;
    while (end < rest->len && rest->at[end] != '/' && rest->at[end] != '?')
        end++;
    ush_text authority = {rest->at + scheme, end - scheme};
    *rest = (ush_text){rest->at + end, rest->len - end};
    return authority;
}

/* The four forms of RFC 9112 §3.2; authority-form belongs to CONNECT, which is refused. `host` is
 * the authority of an absolute-form, to be compared with Host later. */
static int target_split(struct ush_head *head)
{
    ush_text rest = head->target;
    head->query = USH_NONE;
    if (rest.at[0] != '/') {
        if (rest.len == 1 && rest.at[0] == '*' && head->method == USH_OPTIONS) {
            head->path = rest;
            return 0;
        }
        head->host = authority_cut(&rest);
        if (!head->host.at || !ush__host_is_valid(head->host))
            return -400;
    }
    const char *mark = rest.at, *end = rest.at + rest.len;
    while (mark < end && *mark != '?')
        mark++;
    head->path = (ush_text){rest.at, (size_t)(mark - rest.at)};
    if (mark < end)
        head->query = (ush_text){mark + 1, (size_t)(end - mark - 1)};
    if (head->path.len == 0)
        head->path = USH_T("/");
    return 0;
}

static int request_line_split(ush_text line, struct ush_head *head)
{
    const char *start = line.at, *p = past(start, USH__TOKEN);
    head->method_name = (ush_text){start, (size_t)(p - start)};
    if (p == start || *p != ' ')
        return -400;
    start = ++p;
    for (p = past(p, USH__TARGET); *p == '?';)
        p = past(p + 1, USH__TARGET);
    head->target = (ush_text){start, (size_t)(p - start)};
    if (p == start || *p != ' ')
        return -400;
    p++;
    if (line.at + line.len - p != 8 || memcmp(p, "HTTP/", 5) != 0 || p[6] != '.' ||
        !ush__is(p[5], USH__DIGIT) || !ush__is(p[7], USH__DIGIT))
        return -400;
    if (p[5] != '1' || p[7] > '1')
        return -505;
    head->minor = (uint8_t)(p[7] - '0');
    head->method = method_of(head->method_name);
    if (head->method == USH_METHOD_OTHER && ush_text_equal(head->method_name, USH_T("CONNECT")))
        return -501;
    return target_split(head);
}

/* ---- second pass: fields -------------------------------------------------------------------- */

enum { SAYS_CLOSE = 1, SAYS_KEEP_ALIVE = 2 };

struct split {
    struct ush_head *head;
    unsigned connection;
    ush_text host; /* of the Host field */
    bool has_type;
};

/* Digits and nothing else, no leading zero, at most 15 of them: nobody reads those differently. */
static int take_content_length(struct ush_head *head, ush_text value)
{
    if (head->content_length >= 0 || value.len == 0 || value.len > 15 ||
        (value.at[0] == '0' && value.len > 1))
        return -400;
    int64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        if (!ush__is(value.at[i], USH__DIGIT))
            return -400;
        n = n * 10 + (value.at[i] - '0');
    }
    head->content_length = n;
    return 0;
}

/* "chunked" is all we decode. Other codings before it are well-formed and merely unknown to us
 * (501, RFC 9112 §6.1); anything else leaves the end of the body in doubt. */
static int take_transfer_encoding(struct ush_head *head, ush_text value)
{
    if (head->is_chunked || head->minor == 0)
        return -400;
    if (USH__TOKEN_IS(value, "chunked")) {
        head->is_chunked = true;
        return 0;
    }
    bool ends = false;
    int others = 0;
    for (ush_text rest = value, coding; (coding = ush__list_next(&rest)).at; others += !ends) {
        if (ends)
            return -400;
        for (size_t i = 0; i < coding.len; i++)
            if (!ush__is(coding.at[i], USH__TOKEN))
                return -400;
        ends = USH__TOKEN_IS(coding, "chunked");
    }
    return ends && others ? -501 : -400;
}

static int take_connection(struct split *s, ush_text value)
{
    for (ush_text token; (token = ush__list_next(&value)).at;) {
        if (USH__TOKEN_IS(token, "close"))
            s->connection |= SAYS_CLOSE;
        else if (USH__TOKEN_IS(token, "keep-alive"))
            s->connection |= SAYS_KEEP_ALIVE;
    }
    return 0;
}

/* The few fields that decide about the message itself. Their lengths tell them apart. */
static int take_field(struct split *s, const struct ush_header *h, ush_text line)
{
    switch (h->name.len) {
    case 4:
        if (!USH__TOKEN_IS(h->name, "host"))
            return 0;
        if (s->host.at || !ush__host_is_valid(h->value))
            return -400;
        s->host = h->value;
        return 0;
    case 6:
        if (!USH__TOKEN_IS(h->name, "expect"))
            return 0;
        if (!USH__TOKEN_IS(h->value, "100-continue"))
            return -417;
        s->head->expects_continue = true;
        return 0;
    case 10:
        return USH__TOKEN_IS(h->name, "connection") ? take_connection(s, h->value) : 0;
    case 12:
        /* Of two, the one that checks a request and the one that decodes it may take another. */
        if (!USH__TOKEN_IS(h->name, "content-type"))
            return 0;
        if (s->has_type)
            return -400;
        s->has_type = true;
        return 0;
    case 14:
        if (!USH__TOKEN_IS(h->name, "content-length"))
            return 0;
        /* llhttp takes no tab behind a length or a coding, and no honest sender writes one. */
        return memchr(line.at, '\t', line.len) ? -400 : take_content_length(s->head, h->value);
    case 17:
        if (!USH__TOKEN_IS(h->name, "transfer-encoding"))
            return 0;
        return memchr(line.at, '\t', line.len) ? -400 : take_transfer_encoding(s->head, h->value);
    default:
        return 0;
    }
}

/* field-line = field-name ":" OWS field-value OWS. A fold begins with white space, so its name is
 * empty here. */
static int fields_split(struct split *s, size_t count, const struct ush_http_limits *limits)
{
    struct ush_header *out = s->head->headers;
    for (size_t i = 0; i < count; i++) {
        ush_text line = s->head->headers[i].value;
        const char *p = past(line.at, USH__NAME), *end = line.at + line.len;
        bool is_dropped = *p == '_' && limits->drops_underscores;
        if (is_dropped)
            p = past(p, USH__TOKEN);
        out->name = (ush_text){line.at, (size_t)(p - line.at)};
        if (p == line.at || *p != ':')
            return -400;
        p++;
        while (*p == ' ' || *p == '\t')
            p++;
        while (end > p && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        out->value = (ush_text){p, (size_t)(end - p)};
        if (is_dropped)
            continue;
        USH_TRY(take_field(s, out, line));
        out++;
    }
    s->head->header_count = (size_t)(out - s->head->headers);
    return 0;
}

static int split(const struct scan *lines, const struct ush_http_limits *limits,
                 struct ush_head *head)
{
    struct split s = {.head = head};
    head->host = USH_NONE;
    head->content_length = -1;
    head->is_chunked = false;
    head->expects_continue = false;
    USH_TRY(request_line_split(lines->request_line, head));
    USH_TRY(fields_split(&s, lines->fields, limits));

    if (head->is_chunked && head->content_length >= 0)
        return -400;
    if (!s.host.at && head->minor == 1)
        return -400;
    if (head->host.at && s.host.at && !ush_text_equal_nocase(head->host, s.host))
        return -400;
    if (s.host.at)
        head->host = s.host;
    /* Without content, or from a client too old to know it, there is nothing to be continued. */
    if (head->minor == 0 || (!head->is_chunked && head->content_length <= 0))
        head->expects_continue = false;
    head->keep_alive =
        !(s.connection & SAYS_CLOSE) && (head->minor == 1 || (s.connection & SAYS_KEEP_ALIVE));
    return 0;
}

int ush_head_parse(ush_text bytes, const struct ush_http_limits *limits, size_t *scanned,
                   struct ush_head *ret)
{
    assert(limits->header_count <= USH_HEADERS_MAX && limits->head_bytes <= INT32_MAX);
    struct scan lines;
    bool is_resumed = *scanned != 0;
    int n = scan(bytes, limits, scanned, &lines, ret);
    /* The lines that an earlier call passed were not kept; now that all are here, once more. */
    if (n > 0 && is_resumed) {
        size_t from = 0;
        n = scan(bytes, limits, &from, &lines, ret);
    }
    if (n <= 0)
        return n;
    if (lines.fields > limits->header_count)
        return -431;
    USH_TRY(split(&lines, limits, ret));
    return n;
}
