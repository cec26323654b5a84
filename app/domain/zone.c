/*
 * zone.c - local times, from the system's zone files (RFC 8536).
 *
 * Read here rather than by localtime(): that knows one zone per process, and setting it is not safe
 * beside threads. Debian's files list every change of offset up to 2037; a later instant in a zone
 * that still changes is refused rather than guessed.
 *
 *   local time -> instant: each offset in force around it is tried; one fits: that is it.
 *   None fits: the clock was put forward over it. Two fit: it was put back. Both are refused with
 *   the instants that could be meant, written with their offsets, so that one can be copied.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/import.h"

enum { FILE_MAX = 64 << 10, HEAD_BYTES = 44, DAY_S = 86400 };

struct zone {
    const uint8_t *times; /* n instants of change, 8 bytes each, seconds */
    const uint8_t *kinds; /* n indexes of `types` */
    const uint8_t *types; /* 6 bytes each: offset in seconds (4), is summer time, name */
    size_t n, type_count;
    bool goes_on; /* the zone still changes after the last instant */
};

static int64_t number(const uint8_t *at, int bytes)
{
    uint64_t v = at[0] & 0x80 ? ~UINT64_C(0) : 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | at[i];
    return (int64_t)v;
}

/* Bytes of the block behind a head; `width` is that of an instant. */
static size_t block_bytes(const uint8_t *head, size_t width)
{
    size_t count[6];
    for (size_t i = 0; i < 6; i++)
        count[i] = (size_t)(uint32_t)number(head + 20 + 4 * i, 4);
    size_t total = count[0] + count[1] + count[2] * (width + 4) + count[3] * (width + 1) +
                   count[4] * 6 + count[5];
    return count[3] > FILE_MAX || count[4] > 256 || total > FILE_MAX ? FILE_MAX + 1 : total;
}

/* Reads /usr/share/zoneinfo/NAME into the arena. The number of bytes or a negative code. */
static ssize_t read_zone_file(const char *name, struct ush_arena *arena, uint8_t **ret)
{
    char path[200];
    ush_text t = ush_text_of(name);
    if (!t.len || t.len > 60 || t.at[0] == '/' || t.at[0] == '.' || memmem(t.at, t.len, "..", 2))
        return USH_ENOTFOUND;
    for (size_t i = 0; i < t.len; i++)
        if (!strchr("/_+-", t.at[i]) && (t.at[i] < '0' || t.at[i] > '9') &&
            ((t.at[i] | 32) < 'a' || (t.at[i] | 32) > 'z'))
            return USH_ENOTFOUND;
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return USH_ENOTFOUND;
    struct stat st;
    bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILE_MAX;
    *ret = is_file ? ush_arena_alloc(arena, (size_t)st.st_size) : NULL;
    ssize_t n = *ret ? read(fd, *ret, (size_t)st.st_size) : -1;
    close(fd);
    return n < 0 ? USH_ENOTFOUND : n;
}

int zone_load(const char *name, struct ush_arena *arena, struct zone **ret)
{
    uint8_t *bytes;
    struct zone *z = USH_NEW(arena, struct zone);
    if (!z)
        return USH_ELIMIT;
    ssize_t n = read_zone_file(name, arena, &bytes);
    if (n < HEAD_BYTES || memcmp(bytes, "TZif", 4) != 0 || bytes[4] < '2')
        return USH_ENOTFOUND;
    /* The first block is for readers of 32 bits; the second one has the same shape in 64. */
    const uint8_t *end = bytes + n, *head = bytes + HEAD_BYTES + block_bytes(bytes, 4);
    if (head + HEAD_BYTES > end || memcmp(head, "TZif", 4) != 0)
        return USH_ENOTFOUND;
    size_t body = block_bytes(head, 8);
    if ((size_t)(end - head) < HEAD_BYTES + body)
        return USH_ENOTFOUND;
    z->n = (size_t)number(head + 32, 4);
    z->type_count = (size_t)number(head + 36, 4);
    z->times = head + HEAD_BYTES;
    z->kinds = z->times + 8 * z->n;
    z->types = z->kinds + z->n;
    for (size_t i = 0; i < z->n; i++)
        if (z->kinds[i] >= z->type_count)
            return USH_ENOTFOUND;
    /* The rule at the end: with a comma it says when summer time begins and ends. */
    const uint8_t *rule = head + HEAD_BYTES + body;
    z->goes_on = memchr(rule, ',', (size_t)(end - rule)) != NULL;
    *ret = z;
    return z->type_count ? 0 : USH_ENOTFOUND;
}

int zone_offset_min(const struct zone *z, int64_t wall_ms)
{
    int64_t second = wall_ms / 1000;
    size_t low = 0, high = z->n; /* the first change after it */
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (number(z->times + 8 * middle, 8) <= second)
            low = middle + 1;
        else
            high = middle;
    }
    const uint8_t *type = z->types + 6 * (low ? z->kinds[low - 1] : 0);
    return (int)(number(type, 4) / 60);
}

/* "2026-03-14 10:00[:00]", 'T' or blank between. */
static int parse_local(ush_text t, struct ush_civil *ret)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd";
    int64_t part[6] = {0};
    size_t n = 0;
    if (t.len != 16 && t.len != 19)
        return -EINVAL;
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i] == 'T' && i == 10 ? ' ' : t.at[i];
        if (form[i] != 'd') {
            n++;
            if (c != form[i])
                return -EINVAL;
        } else if (c < '0' || c > '9') {
            return -EINVAL;
        } else {
            part[n] = part[n] * 10 + c - '0';
        }
    }
    *ret = (struct ush_civil){.year = (int)part[0],
                              .month = (int)part[1],
                              .day = (int)part[2],
                              .hour = (int)part[3],
                              .minute = (int)part[4],
                              .second = (int)part[5]};
    return 0;
}

int zone_parse(const struct zone *z, ush_text t, struct ush_arena *arena, int64_t *ret_wall_ms,
               ush_text *ret_problem)
{
    struct ush_civil c;
    int64_t as_utc, instant[2];
    char text[2][32];
    size_t fit = 0;
    t = ush_text_trim(t);
    if (ush_time_parse(t, ret_wall_ms) == 0)
        return 0;
    if (parse_local(t, &c) < 0 || ush_civil_to_ms(&c, 0, &as_utc) < 0) {
        *ret_problem = ush_arena_printf(
            arena, "\"%.*s\" is not a time; write it as 2026-03-14 10:00", USH_PR(t));
        return USH_EINVAL;
    }
    if (z->goes_on && z->n && as_utc / 1000 > number(z->times + 8 * (z->n - 1), 8) - DAY_S) {
        *ret_problem = USH_T("this zone's summer time is not known so far ahead; write the time "
                             "with its offset, as 2040-03-14T10:00:00+01:00");
        return USH_EINVAL;
    }
    int around[2] = {zone_offset_min(z, as_utc - DAY_S * 1000),
                     zone_offset_min(z, as_utc + DAY_S * 1000)};
    for (size_t i = 0; i < (around[0] == around[1] ? 1 : 2); i++) {
        int64_t at = as_utc - around[i] * 60000;
        ush_time_format(at, zone_offset_min(z, at), text[i]);
        if (zone_offset_min(z, at) == around[i])
            instant[fit++] = at;
    }
    if (fit == 1) {
        *ret_wall_ms = instant[0];
        return 0;
    }
    *ret_problem =
        ush_arena_printf(arena, "%.*s %s here, because the clocks change; write %s or %s",
                         USH_PR(t), fit ? "happens twice" : "does not exist", text[0], text[1]);
    return USH_EINVAL;
}
