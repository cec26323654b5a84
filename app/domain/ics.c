/*
 * ics.c - a calendar file: RFC 5545 with one VEVENT.
 *
 * SEQUENCE is the event's version, so a calendar takes a later file for a change of the same entry;
 * the UID is the registration's and never changes. Text is escaped (§3.3.11) and lines are folded
 * at 75 octets (§3.1), between characters.
 */
#include "domain/ics.h"

enum { OCTETS = 75 };

static void add_folded(struct ush_buf *out, const char *name, ush_text value)
{
    size_t column = strlen(name) + 1;
    ush_buf_printf(out, "%s:", name);
    while (value.len) {
        ush_text rest = value;
        if (ush_utf8_next(&rest) < 0)
            break;
        size_t n = value.len - rest.len;
        if (column + n > OCTETS) {
            ush_buf_add(out, USH_T("\r\n "));
            column = 1;
        }
        ush_buf_add(out, (ush_text){value.at, n});
        column += n;
        value = rest;
    }
    ush_buf_add(out, USH_T("\r\n"));
}

static void add_escaped(struct ush_buf *out, const char *name, ush_text before, ush_text value)
{
    struct ush_buf escaped;
    ush_buf_init(&escaped, 64 + 2 * (before.len + value.len));
    ush_buf_add(&escaped, before);
    for (size_t i = 0; i < value.len; i++) {
        char c = value.at[i];
        if (c == '\n') {
            ush_buf_add(&escaped, USH_T("\\n"));
            continue;
        }
        if (c == ',' || c == ';' || c == '\\')
            ush_buf_add_byte(&escaped, '\\');
        if ((unsigned char)c >= 0x20)
            ush_buf_add_byte(&escaped, c);
    }
    if (escaped.error)
        out->error = escaped.error;
    else
        add_folded(out, name, ush_buf_text(&escaped));
    ush_buf_fini(&escaped);
}

static void add_time(struct ush_buf *out, const char *name, int64_t wall_ms)
{
    struct ush_civil c = ush_civil_from_ms(wall_ms, 0);
    ush_buf_printf(out, "%s:%04d%02d%02dT%02d%02d%02dZ\r\n", name, c.year, c.month, c.day, c.hour,
                   c.minute, c.second);
}

void ics_write(const struct event *e, const struct ics_entry *entry, struct ush_buf *out)
{
    ush_buf_add(out, USH_T("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Usher//Usher//EN\r\n"
                           "METHOD:PUBLISH\r\nBEGIN:VEVENT\r\n"));
    add_folded(out, "UID", entry->uid);
    add_time(out, "DTSTAMP", entry->stamp_ms);
    add_time(out, "DTSTART", e->starts_at);
    add_time(out, "DTEND", e->ends_at);
    add_escaped(out, "SUMMARY", entry->prefix, e->title);
    if (e->venue.len)
        add_escaped(out, "LOCATION", USH_NONE, e->venue);
    if (e->summary.len)
        add_escaped(out, "DESCRIPTION", USH_NONE, e->summary);
    if (entry->url.len)
        add_folded(out, "URL", entry->url);
    ush_buf_printf(out, "SEQUENCE:%lld\r\nSTATUS:%s\r\n",
                   (long long)e->version - 1 + entry->cancelled,
                   entry->cancelled ? "CANCELLED" : "CONFIRMED");
    ush_buf_add(out, USH_T("END:VEVENT\r\nEND:VCALENDAR\r\n"));
}
