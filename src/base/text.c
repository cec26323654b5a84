/*
 * text.c - slices of bytes: comparing, cutting, numbers, UTF-8.
 *
 * Functions on ush_text treat bytes as bytes; only ush_utf8_... know about characters, and only
 * ush_utf8_valid (and ush__utf8_step under it) accept bytes that may be anything. The others are
 * for text that has passed it.
 *
 * Well-formed UTF-8 is the table of RFC 3629 §4: no overlong form, no surrogate, nothing above
 * U+10FFFF. In a malformed place the step reports the "maximal subpart" (Unicode 15, §3.9): the
 * bytes that could have begun a character. Replacing each by one U+FFFD is what browsers do, and
 * it never swallows a byte that begins something else.
 */
#include "base/base.h"

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool ush_text_equal_nocase(ush_text a, ush_text b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower((unsigned char)a.at[i]) != lower((unsigned char)b.at[i]))
            return false;
    return true;
}

bool ush_text_starts(ush_text t, ush_text prefix)
{
    return t.len >= prefix.len && ush_text_equal((ush_text){t.at, prefix.len}, prefix);
}

bool ush_text_ends(ush_text t, ush_text suffix)
{
    return t.len >= suffix.len &&
           (suffix.len == 0 || memcmp(t.at + t.len - suffix.len, suffix.at, suffix.len) == 0);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

ush_text ush_text_trim(ush_text t)
{
    while (t.len && is_blank(t.at[0]))
        t.at++, t.len--;
    while (t.len && is_blank(t.at[t.len - 1]))
        t.len--;
    return t;
}

ssize_t ush_text_find(ush_text t, char c)
{
    const char *found = t.len ? memchr(t.at, c, t.len) : NULL;
    return found ? found - t.at : -1;
}

ush_text ush_text_cut(ush_text *rest, char sep)
{
    ush_text all = *rest;
    ssize_t i = ush_text_find(all, sep);
    if (i < 0) {
        *rest = USH_NONE;
        return all;
    }
    size_t before = (size_t)i;
    *rest = (ush_text){all.at + before + 1, all.len - before - 1};
    return (ush_text){all.at, before};
}

int ush_text_i64(ush_text t, int64_t *ret_value)
{
    bool negative = t.len && t.at[0] == '-';
    size_t i = negative;
    if (i == t.len)
        return -EINVAL;
    /* Counted downwards: the negative range is one longer. */
    int64_t value = 0;
    bool too_large = false;
    for (; i < t.len; i++) {
        int digit = t.at[i] - '0';
        if (digit < 0 || digit > 9)
            return -EINVAL;
        too_large |= __builtin_mul_overflow(value, 10, &value) ||
                     __builtin_sub_overflow(value, digit, &value);
    }
    if (too_large || (!negative && value == INT64_MIN))
        return -ERANGE;
    *ret_value = negative ? value : -value;
    return 0;
}

/* Bytes of the character that starts with `c`, 0 if none does. */
static unsigned lead_length(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

int32_t ush__utf8_step(ush_text *rest)
{
    const unsigned char *p = (const unsigned char *)rest->at;
    size_t have = rest->len, used = 1;
    unsigned length = lead_length(p[0]);
    int32_t code = length < 2 ? p[0] : p[0] & (0x7f >> length);
    for (; used < length && used < have; used++) {
        /* The second byte carries the bounds against overlong forms, surrogates and the end. */
        unsigned char low = 0x80, high = 0xbf;
        if (used == 1) {
            low = p[0] == 0xe0 ? 0xa0 : p[0] == 0xf0 ? 0x90 : 0x80;
            high = p[0] == 0xed ? 0x9f : p[0] == 0xf4 ? 0x8f : 0xbf;
        }
        if (p[used] < low || p[used] > high)
            break;
        code = code << 6 | (p[used] & 0x3f);
    }
    rest->at += used;
    rest->len -= used;
    return used == length ? code : -1;
}

bool ush_utf8_valid(ush_text t)
{
    while (t.len) {
        uint64_t eight;
        while (t.len >= sizeof eight) {
            memcpy(&eight, t.at, sizeof eight);
            if (eight & UINT64_C(0x8080808080808080))
                break;
            t.at += sizeof eight;
            t.len -= sizeof eight;
        }
        if (t.len && ush__utf8_step(&t) < 0)
            return false;
    }
    return true;
}

size_t ush_utf8_count(ush_text t)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++)
        n += ((unsigned char)t.at[i] & 0xc0) != 0x80;
    return n;
}

int32_t ush_utf8_next(ush_text *rest)
{
    return rest->len ? ush__utf8_step(rest) : -1;
}

size_t ush_utf8_put(char out[4], uint32_t code_point)
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    size_t n = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code_point >>= 6)
        out[i] = (char)(0x80 | (code_point & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | code_point);
    return n;
}
