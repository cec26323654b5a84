/*
 * reply.c - what a mail server says (RFC 5321 §4.2), out of bytes that come in any pieces.
 *
 *     250-first line
 *     250-second
 *     250 last line
 *
 * Rules
 *  1. A line is three digits, 200 to 599, and then '-' when more lines follow, else a space or
 *     nothing. All lines of a reply have the same code. Anything else is USH_EPROTO, and the
 *     connection is of no more use.
 *  2. The bounds are ours: USH__REPLY_BYTES for a line, USH__REPLY_LINES for a reply. The RFC asks
 *     for 512 bytes.
 *  3. A bare LF ends a line too. There is nothing to smuggle in this direction.
 *  4. How the bytes were split makes no difference.
 *
 * What providers answer to a sender who has sent enough is not laid down anywhere. Some use the
 * codes of RFC 3463 that come near, some only words, some 4xx and some 5xx: a table.
 *
 * The text of the last line is kept for people: what is not printable ASCII becomes '?'.
 */
#include "fetch/fetch.h"

int ush__reply_line(struct ush__reply *r, ush_text line)
{
    int64_t code;
    line = ush_text_trim(line);
    if (line.len < 3 || ush_text_i64((ush_text){line.at, 3}, &code) < 0 || code < 200 || code > 599)
        return USH_EPROTO;
    bool is_last = line.len == 3 || line.at[3] != '-';
    if (r->lines++ && code != r->code)
        return USH_EPROTO;
    if (line.len > 3 && line.at[3] != '-' && line.at[3] != ' ')
        return USH_EPROTO;
    r->code = (int)code;
    size_t n = 0;
    for (; n < line.len && n < sizeof r->text - 1; n++)
        r->text[n] = line.at[n] >= 0x20 && line.at[n] < 0x7f ? line.at[n] : '?';
    r->text[n] = 0;
    if (is_last)
        r->lines = 0;
    return is_last;
}

int ush__reply_take(struct ush__reply *r)
{
    for (;;) {
        char *end = memchr(r->in, '\n', r->len);
        if (!end)
            return r->len == sizeof r->in || r->lines > USH__REPLY_LINES ? USH_EPROTO : 0;
        size_t n = (size_t)(end + 1 - r->in);
        int is_last = ush__reply_line(r, (ush_text){r->in, n});
        memmove(r->in, r->in + n, r->len -= n);
        if (is_last)
            return is_last < 0 ? is_last : r->code;
        if (r->lines > USH__REPLY_LINES)
            return USH_EPROTO;
    }
}

bool ush__reply_is_enough(int code, const char *text)
{
    static const char *const signs[] = {
        " 5.4.5 ",
        " 4.4.5 ",  /* congestion, RFC 3463 §3.5; Gmail's daily limit */
        " 4.7.28 ", /* Gmail: an unusual rate */
        " 4.3.2 ",  /* not accepting now, §3.4; Exchange Online: connections */
        " 5.1.90 ",
        " 5.7.70",            /* Exchange Online: daily limit, the tenant's threshold */
        "Throttling failure", /* Amazon SES: rate and day */
        "credits exceeded",   /* SendGrid */
        "messaging limits",
        "sending quota",
        "sending rate",
    };
    bool is_found = false;
    for (size_t i = 0; i < USH_COUNT(signs) && !is_found; i++)
        is_found = strcasestr(text, signs[i]) != NULL;
    return code >= 400 && is_found;
}
