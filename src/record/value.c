/*
 * value.c - one typed text into one field.
 *
 * Forms, queries and CSV cells have only text; JSON has text where a field is a text, a time or
 * bytes. All of them meet here, so that a rule is written once.
 *
 * What was typed into a text field is kept even when it is at fault, so that a page can show the
 * form again as it was. Other types have nowhere to keep it.
 */
#include "record/record.h"

const struct ush_field *ush__find_field(const struct ush_record *r, ush_text name)
{
    for (size_t i = 0; i < r->count; i++)
        if (ush_text_equal(name, ush_text_of(r->fields[i].name)))
            return &r->fields[i];
    return NULL;
}

bool ush__decode_i64(struct ush__decoder *d, const struct ush__place *place,
                     const struct ush_field *f, int64_t number, void *value)
{
    int64_t min, max;
    ush__limits(f, &min, &max);
    if (number < min)
        ush__fault(d, place, "greater_than_equal", "Please use a number from %lld up",
                   (long long)min);
    else if (number > max)
        ush__fault(d, place, "less_than_equal", "Please use a number up to %lld", (long long)max);
    else
        *(int64_t *)ush__field(f, value) = number;
    return number >= min && number <= max;
}

static void decode_text(struct ush__decoder *d, const struct ush__place *place,
                        const struct ush_field *f, ush_text typed, ush_text *ret)
{
    struct ush_fault fault;
    int result = ush_text_clean(typed, f, d->arena, ret, &fault);
    if (result != USH_EINVAL)
        return; /* clean, or the arena is full and remembers it */
    if (strcmp(fault.type, "missing") == 0) {
        if (!f->optional)
            ush__fault_missing(d, place, f);
        return;
    }
    ush__fault(d, place, fault.type, "%.*s", USH_PR(fault.msg));
    *ret = ush_arena_copy(d->arena, typed);
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* RFC 4648 §4, padded, no line ends, left-over bits zero. */
static bool decode_base64(struct ush_arena *arena, ush_text t, ush_text *ret)
{
    if (t.len == 0 || t.len % 4 != 0)
        return false;
    size_t pad = t.at[t.len - 1] == '=' ? 1 + (t.at[t.len - 2] == '=') : 0;
    unsigned char *out = ush_arena_alloc(arena, t.len / 4 * 3 + 1);
    uint32_t bits = 0;
    size_t len = 0;
    unsigned have = 0;
    for (size_t i = 0; out && i < t.len - pad; i++) {
        int digit = base64_digit(t.at[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[len++] = (unsigned char)(bits >> have);
        }
    }
    if (!out || (bits & ((1u << have) - 1)))
        return false;
    *ret = (ush_text){(const char *)out, len};
    return true;
}

static bool decode_bytes(struct ush__decoder *d, const struct ush__place *place,
                         const struct ush_field *f, ush_text typed, ush_text *ret)
{
    int64_t min, max;
    ush__limits(f, &min, &max);
    ush_text bytes = USH_NONE;
    if (!decode_base64(d->arena, typed, &bytes))
        ush__fault(d, place, "value_error", "Please use base 64 with padding");
    else if ((int64_t)bytes.len > max)
        ush__fault(d, place, "too_long", "Please use at most %lld bytes", (long long)max);
    else if ((int64_t)bytes.len < min)
        ush__fault(d, place, "too_short", "Please use at least %lld bytes", (long long)min);
    else
        *ret = bytes;
    return ret->at != NULL;
}

static bool decode_bool(struct ush__decoder *d, const struct ush__place *place, ush_text typed,
                        bool *ret)
{
    static const char *const words[] = {"false", "true", "0", "1", "off", "on", "no", "yes"};
    for (size_t i = 0; i < USH_COUNT(words); i++)
        if (ush_text_equal_nocase(typed, ush_text_of(words[i]))) {
            *ret = i & 1;
            return true;
        }
    ush__fault(d, place, "bool_parsing", "Please answer true or false");
    return false;
}

bool ush__decode_typed(struct ush__decoder *d, const struct ush__place *place,
                       const struct ush_field *f, ush_text typed, void *value)
{
    void *at = ush__field(f, value);
    if (f->type == USH_TYPE_TEXT) {
        decode_text(d, place, f, typed, at);
        return ((ush_text *)at)->at != NULL;
    }
    typed = ush_text_trim(typed);
    int64_t number;
    if (typed.len == 0) {
        if (!f->optional)
            ush__fault_missing(d, place, f);
        return false;
    }
    switch (f->type) {
    case USH_TYPE_I64:
        if (ush_text_i64(typed, &number) == 0)
            return ush__decode_i64(d, place, f, number, value);
        ush__fault(d, place, "int_parsing", "Please use a whole number");
        return false;
    case USH_TYPE_TIME:
        if (ush_time_parse(typed, at) == 0)
            return true;
        ush__fault(d, place, "datetime_parsing",
                   "Please use a date and time with offset, such as 2026-03-13T18:00:00+05:30");
        return false;
    case USH_TYPE_BOOL:
        return decode_bool(d, place, typed, at);
    case USH_TYPE_BYTES:
        return decode_bytes(d, place, f, typed, at);
    case USH_TYPE_JSON:
        return ush__decode_json_text(d, place, f, typed, value);
    case USH_TYPE_TEXT:
    case USH_TYPE_LIST:
    case USH_TYPE_ONE:
        break;
    }
    return false;
}

bool ush__check_rows(struct ush__decoder *d, const struct ush__place *place,
                     const struct ush_field *f, size_t n)
{
    int64_t min, max;
    ush__limits(f, &min, &max);
    if (n < (size_t)(min < 0 ? 0 : min))
        ush__fault(d, place, "too_short", "Please give at least %lld of these", (long long)min);
    else if (n > (size_t)max)
        ush__fault(d, place, "too_long", "Please give at most %lld of these", (long long)max);
    else
        return true;
    return false;
}
