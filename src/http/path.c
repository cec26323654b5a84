/*
 * path.c - the one form of a path that routes are compared with.
 *
 * Percent escapes are decoded once, then dot segments are removed (RFC 3986 §5.2.4), in this order,
 * since "%2e%2e" is ".." (§6.2.2.3). Nothing is decoded twice: "%252e" stays "%2e".
 *
 * Refused is whatever another recipient might take for another path: bad escapes, control bytes
 * and NUL, an encoded slash or backslash, bytes that are not UTF-8 (so no overlong slash either),
 * and ".." above the root. Kept are double slashes, a slash at the end and the case of letters:
 * "//a" and "/A" are paths of their own, which no route has.
 */
#include "http/parse.h"

static int hex(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* Takes one byte of the path at raw.at[*at], decoded; negative for one that may not be there. */
static int byte_next(ush_text raw, size_t *at)
{
    int c = (unsigned char)raw.at[(*at)++];
    if (c == '%') {
        if (raw.len - *at < 2 || !ush__is(raw.at[*at], USH__HEX) ||
            !ush__is(raw.at[*at + 1], USH__HEX))
            return USH_EINVAL;
        c = hex(raw.at[*at]) << 4 | hex(raw.at[*at + 1]);
        *at += 2;
        if (c == '/')
            return USH_EINVAL;
    }
    return c < 0x20 || c == 0x7f || c == '\\' ? USH_EINVAL : c;
}

int ush_path_normal(ush_text raw, struct ush_arena *arena, ush_text *ret_path)
{
    if (raw.len == 0 || raw.at[0] != '/')
        return USH_EINVAL;
    char *out = ush_arena_alloc(arena, raw.len + 1);
    if (!out)
        return USH_ELIMIT;
    size_t n = 0;
    for (size_t at = 0; at < raw.len;) {
        size_t start = n;
        out[n++] = raw.at[at++]; /* the slash */
        while (at < raw.len && raw.at[at] != '/') {
            int c = byte_next(raw, &at);
            if (c < 0)
                return c;
            out[n++] = (char)c;
        }
        ush_text segment = {out + start + 1, n - start - 1};
        bool is_parent = ush_text_equal(segment, USH_T(".."));
        if (!is_parent && !ush_text_equal(segment, USH_T(".")))
            continue;
        /* The segment goes, and for ".." the one before it; a slash stays if it was the last. */
        n = start;
        if (is_parent) {
            if (n == 0)
                return USH_EINVAL;
            while (out[--n] != '/')
                ;
        }
        n += at == raw.len;
    }
    out[n] = 0;
    *ret_path = (ush_text){out, n};
    return ush_utf8_valid(*ret_path) ? 0 : USH_EINVAL;
}
