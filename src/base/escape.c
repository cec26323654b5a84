/*
 * escape.c - text made safe for the place where it will stand.
 *
 * Text is stored as it was typed and escaped at output, once, by the context it goes to: element
 * content and quoted attributes, JSON, a URL's path or query. Each escaper takes any bytes and
 * copies the long harmless runs whole; only a byte marked in the context's table is looked at.
 *
 * Invariants
 * 1. The output is well-formed UTF-8: malformed input becomes U+FFFD.
 * 2. JSON output may stand inside a <script> element as it is: '<' is written \u003c there, so
 *    neither "</script" nor "<!--" can appear. It is still the same string to any JSON reader.
 * 3. Base 32 is one to one: a text with bits left over that are not zero is refused, so a code
 *    cannot be spelled in two ways apart from case, hyphens and look-alike letters.
 *
 * Not here: attributes without quotes, CSS, and text inside a script other than JSON. Templates
 * have no such place.
 */
#include "base/base.h"

static const char hex[] = "0123456789ABCDEF";

/* Adds t; `piece` writes the replacement of one character (-1: malformed) to out and returns its
 * size, or 0 to keep the character. `special` says which ASCII bytes are offered to it. */
static void add_escaped(struct ush_buf *b, ush_text t, const bool special[128],
                        size_t (*piece)(int32_t c, char out[8]))
{
    const char *run = t.at;
    while (t.len) {
        unsigned char c = (unsigned char)*t.at;
        if (c < 0x80 && !special[c]) {
            t.at++, t.len--;
            continue;
        }
        const char *here = t.at;
        int32_t code = ush__utf8_step(&t);
        char out[8];
        size_t n = code < 0 ? ush_utf8_put(out, 0xfffd) : piece(code, out);
        if (n) {
            ush_buf_add(b, (ush_text){run, (size_t)(here - run)});
            ush_buf_add(b, (ush_text){out, n});
            run = t.at;
        }
    }
    ush_buf_add(b, (ush_text){run, (size_t)(t.at - run)});
}

static size_t html_piece(int32_t c, char out[8])
{
    const char *s = c == '&'    ? "&amp;"
                    : c == '<'  ? "&lt;"
                    : c == '>'  ? "&gt;"
                    : c == '"'  ? "&quot;"
                    : c == '\'' ? "&#39;"
                    : c == 0    ? "\xef\xbf\xbd" /* HTML has no NUL, not even escaped */
                                : "";
    size_t n = strlen(s);
    memcpy(out, s, n);
    return n;
}

void ush_buf_add_html(struct ush_buf *b, ush_text t)
{
    static const bool special[128] = {
        ['&'] = true, ['<'] = true, ['>'] = true, ['"'] = true, ['\''] = true, [0] = true};
    add_escaped(b, t, special, html_piece);
}

static size_t json_piece(int32_t c, char out[8])
{
    if (c >= 0x80)
        return 0;
    static const char short_form[128] = {['"'] = '"',  ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r',
                                         ['\t'] = 't', ['\b'] = 'b',  ['\f'] = 'f'};
    out[0] = '\\';
    out[1] = short_form[c];
    if (out[1])
        return 2;
    memcpy(out + 1, "u00", 3);
    out[4] = hex[c >> 4];
    out[5] = hex[c & 15];
    return 6;
}

void ush_buf_add_json(struct ush_buf *b, ush_text t)
{
    static const bool special[128] = {
        [0 ... 0x1f] = true, ['"'] = true, ['\\'] = true, ['<'] = true, [0x7f] = true};
    ush_buf_add_byte(b, '"');
    add_escaped(b, t, special, json_piece);
    ush_buf_add_byte(b, '"');
}

void ush_buf_add_percent(struct ush_buf *b, ush_text t)
{
    static const bool unreserved[256] = {
        ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['0' ... '9'] = true, ['-'] = true,
        ['.'] = true,         ['_'] = true,         ['~'] = true};
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];
        if (unreserved[c])
            ush_buf_add_byte(b, (char)c);
        else
            ush_buf_add(b, (ush_text){(char[]){'%', hex[c >> 4], hex[c & 15]}, 3});
    }
}

void ush_buf_add_base64(struct ush_buf *b, const void *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = bytes;
    for (; n > 0; p += 3) {
        size_t take = n < 3 ? n : 3;
        uint32_t v =
            (uint32_t)p[0] << 16 | (take > 1 ? (uint32_t)p[1] << 8 : 0) | (take > 2 ? p[2] : 0);
        char out[4] = {digits[v >> 18], digits[v >> 12 & 63], take > 1 ? digits[v >> 6 & 63] : '=',
                       take > 2 ? digits[v & 63] : '='};
        ush_buf_add(b, (ush_text){out, 4});
        n -= take;
    }
}

static const char crockford[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void ush_base32_format(const void *bytes, size_t n, char *out)
{
    const unsigned char *p = bytes;
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < n || have > 0;) {
        if (have < 5 && i < n) {
            bits = bits << 8 | p[i++];
            have += 8;
        } else if (have < 5) {
            bits <<= 5 - have;
            have = 5;
        }
        have -= 5;
        *out++ = crockford[bits >> have & 31];
    }
    *out = 0;
}

static int base32_value(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - 'a' + 'A');
    if (c == 'O')
        return 0;
    if (c == 'I' || c == 'L')
        return 1;
    const char *found = c ? strchr(crockford, c) : NULL;
    return found ? (int)(found - crockford) : -1;
}

int ush_base32_parse(ush_text t, void *ret_bytes, size_t n)
{
    unsigned char *out = ret_bytes;
    uint32_t bits = 0;
    unsigned have = 0;
    size_t done = 0, digits = 0;
    for (size_t i = 0; i < t.len; i++) {
        if (t.at[i] == '-' || t.at[i] == ' ')
            continue;
        int value = base32_value(t.at[i]);
        if (value < 0 || ++digits > (n * 8 + 4) / 5)
            return -EINVAL;
        bits = bits << 5 | (uint32_t)value;
        have += 5;
        if (have >= 8) {
            have -= 8;
            out[done++] = (unsigned char)(bits >> have);
        }
    }
    return digits == (n * 8 + 4) / 5 && (bits & ((1u << have) - 1)) == 0 ? 0 : -EINVAL;
}
