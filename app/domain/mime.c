/*
 * mime.c - a mail as bytes; the shape is drawn in mime.h.
 *
 * Nothing here asks a clock, a random source or the database: the same input gives the same bytes,
 * which is what lets an attempt be repeated without becoming a second mail.
 *
 * Two locks against header injection: the fields of a registration cannot hold line ends, and
 * whatever reaches a header is looked at once more here and refused, not repaired.
 *
 *  RFC 5322 §2.1.1  lines of at most 78 characters; we stop at 76
 *  RFC 2047         words beyond ASCII in headers: base64, cut between characters, 75 at most
 *  RFC 2045 §6.7    quoted-printable; §6.8 base64 in lines of 76
 */
#include "domain/mime.h"

#include <stdio.h>

enum {
    COLUMNS = 76,
    FRAME = 12,        /* "=?utf-8?B?" and "?=" */
    WORD_BYTES = 45,   /* 60 in base64 */
    BASE64_BYTES = 57, /* 76 in base64 */
};

static bool is_printable(ush_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] < 0x20 || t.at[i] > 0x7e)
            return false;
    return true;
}

static bool is_injection(ush_text t)
{
    return t.len && (memchr(t.at, '\r', t.len) || memchr(t.at, '\n', t.len) ||
                     memchr(t.at, '\0', t.len) || !ush_utf8_valid(t));
}

/* A bare address or id: visible ASCII, nothing that means something in a header. */
static bool is_plain(ush_text t)
{
    if (!t.len || t.len > 254 || !is_printable(t))
        return false;
    for (size_t i = 0; i < t.len; i++)
        if (strchr(" <>()[],;:\\\"", t.at[i]))
            return false;
    return true;
}

bool mime_is_address(ush_text t)
{
    return is_plain(t) && ush_text_find(t, '@') > 0;
}

/* ---- headers --------------------------------------------------------------------------------- */

/* Encoded words, each on a line of its own behind the first, which is shorter by the name. */
static void add_words(struct ush_buf *out, ush_text t, size_t column)
{
    size_t room = (COLUMNS - FRAME - column) / 4 * 3;
    for (const char *between = ""; t.len; between = "\r\n ", room = WORD_BYTES) {
        ush_text rest = t;
        size_t take = 0;
        while (rest.len && ush_utf8_next(&rest) >= 0 && t.len - rest.len <= room)
            take = t.len - rest.len;
        ush_buf_printf(out, "%s=?utf-8?B?", between);
        ush_buf_add_base64(out, t.at, take);
        ush_buf_add(out, USH_T("?="));
        t = (ush_text){t.at + take, t.len - take};
    }
}

/* ASCII, folded at the spaces before words that would pass the last column. False if one does so
 * without a space before it, or alone. */
static bool add_folded(struct ush_buf *out, ush_text t, size_t column)
{
    while (t.len) {
        size_t n = 0;
        while (n < t.len && (t.at[n] != ' ' || n == 0))
            n++;
        if (n > COLUMNS - 1 || (column + n > COLUMNS && t.at[0] != ' '))
            return false;
        if (column + n > COLUMNS) {
            ush_buf_add(out, USH_T("\r\n"));
            column = 0;
        }
        ush_buf_add(out, (ush_text){t.at, n});
        column += n;
        t = (ush_text){t.at + n, t.len - n};
    }
    return true;
}

int mime_header(struct ush_buf *out, const char *name, ush_text value)
{
    assert(strlen(name) < 40);
    if (is_injection(value))
        return USH_EINVAL;
    value = ush_text_trim(value);
    size_t before = out->len;
    bool is_plain_text = is_printable(value) && !memmem(value.at, value.len, "=?", 2) &&
                         !memmem(value.at, value.len, "  ", 2);
    ush_buf_printf(out, "%s: ", name);
    if (!is_plain_text || !add_folded(out, value, out->len - before)) {
        if (out->error)
            return out->error;
        out->len = before;
        ush_buf_printf(out, "%s: ", name);
        add_words(out, value, strlen(name) + 2);
    }
    ush_buf_add(out, USH_T("\r\n"));
    return out->error;
}

/* From: a display name without what mail filters dislike, at most 75 bytes, then the address. */
static int add_from(struct ush_buf *out, ush_text name, ush_text address)
{
    char kept[80];
    size_t n = 0;
    if (is_injection(name) || !is_plain(address))
        return USH_EINVAL;
    for (ush_text rest = name, c = name; rest.len; c = rest) {
        if (ush_utf8_next(&rest) < 0)
            break;
        size_t bytes = c.len - rest.len;
        if (bytes == 1 && strchr("@:,;\"\\<>()[].", c.at[0]))
            continue;
        if (n + bytes > 75)
            break;
        memcpy(kept + n, c.at, bytes);
        n += bytes;
    }
    ush_text display = ush_text_trim((ush_text){kept, n});
    if (display.len)
        USH_TRY(mime_header(out, "From", display));
    else
        ush_buf_add(out, USH_T("From:\r\n"));
    if (out->error)
        return out->error;
    out->len -= 2; /* the address goes on a line of its own */
    ush_buf_printf(out, "\r\n <%.*s>\r\n", USH_PR(address));
    return out->error;
}

static int add_address(struct ush_buf *out, const char *name, ush_text address)
{
    if (!is_plain(address))
        return USH_EINVAL;
    ush_buf_printf(out, "%s:%s%.*s\r\n", name, address.len > 60 ? "\r\n " : " ", USH_PR(address));
    return out->error;
}

static int add_headers(const struct mime_mail *m, struct ush_buf *out)
{
    char date[30];
    if (!is_plain(m->message_id) || !is_plain(m->language))
        return USH_EINVAL;
    ush_time_format_http(m->date_ms, date);
    USH_TRY(add_from(out, m->from_name, m->from));
    USH_TRY(add_address(out, "To", m->to));
    if (m->reply_to.len)
        USH_TRY(add_address(out, "Reply-To", m->reply_to));
    USH_TRY(mime_header(out, "Subject", m->subject));
    ush_buf_printf(out, "Date: %.25s +0000\r\n", date);
    ush_buf_printf(out, "Message-ID:%s<%.*s>\r\n", m->message_id.len > 62 ? "\r\n " : " ",
                   USH_PR(m->message_id));
    ush_buf_printf(out, "Content-Language: %.*s\r\n", USH_PR(m->language));
    /* RFC 3834, and what Exchange looks at: nobody's holiday notice answers a ticket. */
    ush_buf_add(out, USH_T("Auto-Submitted: auto-generated\r\n"
                           "X-Auto-Response-Suppress: All\r\n"
                           "MIME-Version: 1.0\r\n"));
    return out->error;
}

/* ---- bodies ---------------------------------------------------------------------------------- */

void mime_quoted(struct ush_buf *out, ush_text t)
{
    size_t column = 0;
    for (size_t i = 0; i < t.len; i++) {
        unsigned char c = (unsigned char)t.at[i];
        if (c == '\n') {
            ush_buf_add(out, USH_T("\r\n"));
            column = 0;
            continue;
        }
        bool ends_line = i + 1 == t.len || t.at[i + 1] == '\n';
        bool plain =
            (c >= 0x21 && c <= 0x7e && c != '=') || ((c == ' ' || c == '\t') && !ends_line);
        size_t width = plain ? 1 : 3;
        /* The last column belongs to the '=' that joins lines. */
        if (column + width > COLUMNS - 1) {
            ush_buf_add(out, USH_T("=\r\n"));
            column = 0;
        }
        if (plain)
            ush_buf_add_byte(out, (char)c);
        else
            ush_buf_printf(out, "=%02X", c);
        column += width;
    }
    if (column)
        ush_buf_add(out, USH_T("\r\n"));
}

static void add_base64_lines(struct ush_buf *out, ush_text t)
{
    for (size_t at = 0; at < t.len; at += BASE64_BYTES) {
        size_t n = t.len - at < BASE64_BYTES ? t.len - at : BASE64_BYTES;
        ush_buf_add_base64(out, t.at + at, n);
        ush_buf_add(out, USH_T("\r\n"));
    }
}

/* "=_" cannot occur in quoted-printable, nor '=' inside base64 lines: no boundary meets content. */
struct boundary {
    char text[40];
};
static struct boundary boundary_of(const struct mime_mail *m, const char *part)
{
    struct boundary b;
    snprintf(b.text, sizeof b.text, "=_%s_%016llx", part,
             (unsigned long long)ush_hash(m->message_id.at, m->message_id.len, 0));
    return b;
}

static void begin(struct ush_buf *out, const char *type, const struct boundary *b)
{
    ush_buf_printf(out, "Content-Type: multipart/%s;\r\n boundary=\"%s\"\r\n\r\n", type, b->text);
}

static void next(struct ush_buf *out, const struct boundary *b)
{
    ush_buf_printf(out, "--%s\r\n", b->text);
}

static void end(struct ush_buf *out, const struct boundary *b)
{
    ush_buf_printf(out, "--%s--\r\n", b->text);
}

static void add_text(struct ush_buf *out, const char *type, ush_text t)
{
    ush_buf_printf(out,
                   "Content-Type: text/%s; charset=utf-8\r\n"
                   "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
                   type);
    mime_quoted(out, t);
}

static void add_html(const struct mime_mail *m, struct ush_buf *out)
{
    if (!m->qr_png.len) {
        add_text(out, "html", m->html);
        return;
    }
    struct boundary related = boundary_of(m, "related");
    begin(out, "related; type=\"text/html\"", &related);
    next(out, &related);
    add_text(out, "html", m->html);
    next(out, &related);
    ush_buf_add(out, USH_T("Content-Type: image/png\r\n"
                           "Content-Transfer-Encoding: base64\r\n"
                           "Content-ID: <qr>\r\n"
                           "Content-Disposition: inline; filename=\"ticket.png\"\r\n\r\n"));
    add_base64_lines(out, m->qr_png);
    end(out, &related);
}

int mime_write(const struct mime_mail *m, struct ush_buf *out)
{
    struct boundary mixed = boundary_of(m, "mixed"), alternative = boundary_of(m, "alternative");
    USH_TRY(add_headers(m, out));
    begin(out, "mixed", &mixed);
    next(out, &mixed);
    begin(out, "alternative", &alternative);
    next(out, &alternative);
    add_text(out, "plain", m->text);
    next(out, &alternative);
    add_html(m, out);
    end(out, &alternative);
    if (m->calendar.len) {
        next(out, &mixed);
        ush_buf_add(out, USH_T("Content-Type: text/calendar; charset=utf-8; method=PUBLISH\r\n"
                               "Content-Transfer-Encoding: base64\r\n"
                               "Content-Disposition: attachment; filename=\"event.ics\"\r\n\r\n"));
        add_base64_lines(out, m->calendar);
    }
    end(out, &mixed);
    return out->error;
}
