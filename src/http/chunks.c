/*
 * chunks.c - the chunked coding, decoded in place, byte after byte (RFC 9112 §7.1).
 *
 *          size line                    data                      trailers
 *   SIZE -> MORE_SIZE --CR--> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ...
 *              |  ^              |
 *              ;  |              +--0--> LINE -> NAME -> VALUE -> VALUE_LF -> LINE ... -> END_LF
 *              v  |CR                     (a trailer)                            (CR) -> DONE
 *          EXT -> EXT_NAME -> EXT_EQUALS -> EXT_VALUE | EXT_QUOTED -> EXT_QUOTED_END
 *
 * Invariants:
 *  1. The answer and the data do not depend on how the bytes were cut into pieces.
 *  2. A decoder that has refused or is done stays so: further calls take nothing.
 *  3. Memory is this struct; what is no data is counted and thrown away.
 *  4. Never more lenient than llhttp in strict mode, which takes no white space around extensions
 *     and no backslash in quoted ones.
 *
 * A size has 1 to 15 hexadecimal digits, so it cannot overflow and nobody can read it as negative.
 * Extensions may have 256 bytes in one body and trailers 4 KiB, so a body cannot be made of them.
 * Trailers are dropped; one whose name would have meant something to framing, routing or rights is
 * refused, since somebody before us may have merged it into the head (RFC 9110 §6.5.1).
 */
#include "http/parse.h"

enum { DIGITS_MAX = 15, EXTENSION_BYTES_MAX = 256, EXTRA_BYTES_MAX = 4096 };

enum state {
    SIZE,      /* first digit of a size */
    MORE_SIZE, /* further digits; line_bytes counts them */
    SIZE_LF,
    EXT, /* behind ';': first byte of a name */
    EXT_NAME,
    EXT_EQUALS, /* behind '=': first byte of a value */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_END,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE, /* first byte of a trailer, or CR */
    NAME, /* `left` holds the hash of what was read of it */
    VALUE,
    VALUE_LF,
    END_LF,
    DONE,
    REFUSED,
};

static const char *const forbidden_trailers[] = {
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "max-forwards",
    "origin",
    "proxy-connection",
    "proxy-authorization",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-http-method-override",
};

/* FNV-1a over the lower-case name, fed byte by byte, so that no name need be kept. Two names that
 * collide would only get a harmless trailer refused. */
#define HASH_START UINT64_C(0xcbf29ce484222325)

static uint64_t hash_more(uint64_t hash, char c)
{
    c = c >= 'A' && c <= 'Z' ? c | 0x20 : c;
    return (hash ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}

static bool is_forbidden(uint64_t name_hash)
{
    for (size_t i = 0; i < USH_COUNT(forbidden_trailers); i++) {
        uint64_t h = HASH_START;
        for (const char *p = forbidden_trailers[i]; *p; p++)
            h = hash_more(h, *p);
        if (h == name_hash)
            return true;
    }
    return false;
}

void ush_chunks_init(struct ush_chunks *c)
{
    *c = (struct ush_chunks){.state = SIZE};
}

static enum state size_digit(struct ush_chunks *c, char ch)
{
    if (++c->line_bytes > DIGITS_MAX)
        return REFUSED;
    c->left = c->left << 4 | (uint64_t)(ch <= '9' ? ch - '0' : (ch | 0x20) - 'a' + 10);
    return MORE_SIZE;
}

/* What may follow a complete extension, or a size without one. */
static enum state extension_end(char ch)
{
    return ch == ';' ? EXT : ch == '\r' ? SIZE_LF : REFUSED;
}

static enum state size_line(struct ush_chunks *c, char ch)
{
    bool is_quotable = ush__is(ch, USH__VALUE) && ch != '\\';
    switch ((enum state)c->state) {
    case SIZE:
        c->left = 0;
        c->line_bytes = 0;
        return ush__is(ch, USH__HEX) ? size_digit(c, ch) : REFUSED;
    case MORE_SIZE:
        return ush__is(ch, USH__HEX) ? size_digit(c, ch) : extension_end(ch);
    case EXT:
        return ush__is(ch, USH__TOKEN) ? EXT_NAME : REFUSED;
    case EXT_NAME:
        return ush__is(ch, USH__TOKEN) ? EXT_NAME : ch == '=' ? EXT_EQUALS : extension_end(ch);
    case EXT_EQUALS:
        return ush__is(ch, USH__TOKEN) ? EXT_VALUE : ch == '"' ? EXT_QUOTED : REFUSED;
    case EXT_VALUE:
        return ush__is(ch, USH__TOKEN) ? EXT_VALUE : extension_end(ch);
    case EXT_QUOTED:
        return ch == '"' ? EXT_QUOTED_END : is_quotable ? EXT_QUOTED : REFUSED;
    case EXT_QUOTED_END:
        return extension_end(ch);
    case SIZE_LF:
        return ch != '\n' ? REFUSED : c->left ? DATA : LINE;
    default:
        return REFUSED;
    }
}

static enum state trailer(struct ush_chunks *c, char ch)
{
    switch ((enum state)c->state) {
    case LINE:
        if (ch == '\r')
            return END_LF;
        c->left = HASH_START;
        /* fall through */
    case NAME:
        if (ush__is(ch, USH__NAME)) {
            c->left = hash_more(c->left, ch);
            return NAME;
        }
        return ch == ':' && c->state == NAME && !is_forbidden(c->left) ? VALUE : REFUSED;
    case VALUE:
        return ush__is(ch, USH__VALUE) ? VALUE : ch == '\r' ? VALUE_LF : REFUSED;
    case VALUE_LF:
        return ch == '\n' ? LINE : REFUSED;
    case END_LF:
        return ch == '\n' ? DONE : REFUSED;
    default:
        return REFUSED;
    }
}

/* One byte that is not data. */
static enum state step(struct ush_chunks *c, char ch)
{
    enum state s = (enum state)c->state;
    if (s == DATA_CR)
        return ch == '\r' ? DATA_LF : REFUSED;
    if (s == DATA_LF)
        return ch == '\n' ? SIZE : REFUSED;
    if (s >= EXT && s <= EXT_QUOTED_END && ++c->extra_bytes > EXTENSION_BYTES_MAX)
        return REFUSED;
    if (s >= LINE && ++c->extra_bytes > EXTRA_BYTES_MAX)
        return REFUSED;
    return s < DATA ? size_line(c, ch) : trailer(c, ch);
}

uint64_t ush__chunks_left(const struct ush_chunks *c)
{
    return c->state == DATA ? c->left : 0;
}

int ush_chunks_decode(struct ush_chunks *c, char *bytes, size_t n, size_t *ret_used,
                      size_t *ret_data)
{
    size_t at = 0, data = 0;
    while (at < n && c->state < DONE) {
        if (c->state == DATA) {
            size_t part = n - at < c->left ? n - at : c->left;
            memmove(bytes + data, bytes + at, part);
            at += part;
            data += part;
            c->left -= part;
            if (c->left == 0)
                c->state = DATA_CR;
        } else {
            c->state = (uint8_t)step(c, bytes[at]);
            at += c->state != REFUSED;
        }
    }
    *ret_used = at;
    *ret_data = data;
    return c->state == DONE ? 1 : c->state == REFUSED ? -400 : 0;
}
