/*
 * json.c - JSON into records.
 *
 *     body -> screen -> jansson -> field table -> struct
 *
 * jansson parses; what it cannot do for us is done before and after it. The screen walks the bytes
 * once, with eyes only for strings and brackets:
 *
 * 1. It measures the depth. jansson recurses per level and allows 2,048; on a task's small stack
 *    that is an overflow, so anything deeper than USH__DEPTH_MAX never reaches it.
 * 2. Bytes inside a string that are not UTF-8, and lone surrogates such as \ud800, become DEL.
 *    jansson would refuse the whole body without saying where; a DEL is refused by the text rules
 *    with the name of its field.
 *
 * Both sides agree on where strings begin and end for as long as the input is JSON, and jansson
 * stops at the first byte that is not.
 *
 * Then the field table is walked against the tree. Texts are copied to the arena, the tree is
 * freed before the decoder returns. A number that jansson cannot hold, a duplicate key and a NUL
 * in a key are faults; only what is not JSON at all is USH_EPROTO.
 */
#include "record/record.h"

#include <jansson.h>

#include "base/base.h"

/* The code unit of "\uXXXX" at i, or -1. */
static int code_unit(ush_text t, size_t i)
{
    int value = 0;
    if (t.len - i < 6 || t.at[i] != '\\' || t.at[i + 1] != 'u')
        return -1;
    for (size_t k = i + 2; k < i + 6; k++) {
        char c = t.at[k] | 0x20;
        int digit = t.at[k] >= '0' && t.at[k] <= '9' ? t.at[k] - '0'
                    : c >= 'a' && c <= 'f'           ? c - 'a' + 10
                                                     : -1;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

struct screen {
    ush_text body;           /* the input, or a copy with its broken characters as DEL */
    struct ush_arena *arena; /* NULL: only measured */
    char *copy;              /* NULL while nothing had to be changed */
};

static void replace(struct screen *s, size_t at, const char *with, size_t n)
{
    if (!s->copy) {
        s->copy = s->arena ? (char *)ush_arena_copy(s->arena, s->body).at : NULL;
        if (!s->copy)
            return;
        s->body.at = s->copy;
    }
    memcpy(s->copy + at, with, n);
}

/* Takes an escape inside a string at i; returns its length. */
static size_t screen_escape(struct screen *s, size_t i)
{
    int unit = code_unit(s->body, i);
    if (unit < 0xd800 || unit > 0xdfff)
        return 2;
    int low = i + 6 < s->body.len ? code_unit(s->body, i + 6) : -1;
    if (unit < 0xdc00 && low >= 0xdc00 && low <= 0xdfff)
        return 12;
    replace(s, i, "\\u007f", 6);
    return 6;
}

/* Takes a character outside ASCII at i; returns its length. */
static size_t screen_wide(struct screen *s, size_t i)
{
    ush_text rest = {s->body.at + i, s->body.len - i};
    bool broken = ush__utf8_step(&rest) < 0;
    size_t n = s->body.len - i - rest.len;
    if (broken)
        replace(s, i, "\x7f\x7f\x7f", n);
    return n;
}

/* Returns the depth. */
static unsigned screen(struct screen *s)
{
    unsigned depth = 0, deepest = 0;
    bool in_string = false;
    for (size_t i = 0; i < s->body.len;) {
        unsigned char c = (unsigned char)s->body.at[i];
        size_t n = 1;
        if (c == '"') {
            in_string = !in_string;
        } else if (in_string && c == '\\') {
            n = screen_escape(s, i);
        } else if (in_string && c >= 0x80) {
            n = screen_wide(s, i);
        } else if (!in_string && (c == '{' || c == '[')) {
            depth++;
            deepest = depth > deepest ? depth : deepest;
        } else if (!in_string && (c == '}' || c == ']') && depth > 0) {
            depth--;
        }
        i += n;
    }
    return deepest;
}

unsigned ush_json_depth(ush_text json)
{
    return screen(&(struct screen){.body = json});
}

/* Parses text into a tree. Without one adds a fault and returns NULL and the decoder's result. */
static json_t *load(struct ush__decoder *d, const struct ush__place *place, ush_text text,
                    int *ret_result)
{
    struct screen s = {.body = text, .arena = d->arena};
    *ret_result = USH_EINVAL;
    if (screen(&s) > USH__DEPTH_MAX) {
        ush__fault(d, place, "json_depth", "Please nest values at most %d deep", USH__DEPTH_MAX);
        return NULL;
    }
    json_error_t e;
    json_t *root = json_loadb(s.body.at ? s.body.at : "", s.body.len,
                              JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY, &e);
    if (root)
        return root;
    const char *type = "json_invalid", *what = e.text;
    switch (json_error_code(&e)) {
    case json_error_duplicate_key:
        type = "duplicate";
        break;
    case json_error_numeric_overflow:
        type = "number_too_large";
        break;
    case json_error_null_byte_in_key:
        type = "value_error";
        break;
    case json_error_out_of_memory:
        d->arena->failed = true;
        break;
    default:
        *ret_result = USH_EPROTO;
        if (text.len == 0)
            what = "the body is empty";
    }
    ush__fault(d, place, type, "Line %d, column %d: %s", e.line, e.column, what);
    return NULL;
}

static bool decode_value(struct ush__decoder *d, const struct ush__place *place,
                         const struct ush_field *f, json_t *from, void *value);

static void decode_object(struct ush__decoder *d, const struct ush__place *place,
                          const struct ush_record *r, json_t *from, void *value)
{
    const char *key;
    json_t *member;
    json_object_foreach(from, key, member) if (!ush__find_field(r, ush_text_of(key)))
        ush__fault(d, &(struct ush__place){place, ush_text_of(key), 0}, "extra_forbidden",
                   "There is no such field");
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *f = &r->fields[i];
        struct ush__place here = {place, ush_text_of(f->name), 0};
        member = json_object_get(from, f->name);
        if (!member || json_is_null(member)) {
            if (!f->optional)
                ush__fault_missing(d, &here, f);
        } else if (decode_value(d, &here, f, member, value)) {
            *ush__has(value) |= UINT64_C(1) << i;
        }
    }
}

static bool decode_list(struct ush__decoder *d, const struct ush__place *place,
                        const struct ush_field *f, json_t *from, struct ush_rows *ret)
{
    size_t n = json_array_size(from);
    if (!ush__check_rows(d, place, f, n))
        return false;
    char *rows = ush_arena_alloc_n(d->arena, f->of->bytes, n);
    if (!rows)
        return false;
    *ret = (struct ush_rows){rows, n};
    for (size_t i = 0; i < n; i++) {
        struct ush__place here = {place, USH_NONE, i};
        json_t *row = json_array_get(from, i);
        if (json_is_object(row))
            decode_object(d, &here, f->of, row, rows + i * f->of->bytes);
        else
            ush__fault(d, &here, "dict_type", "Please use an object");
    }
    return true;
}

static bool is_storable_text(ush_text t)
{
    while (t.len) {
        int32_t c = ush__utf8_step(&t);
        if (c < 0 || (c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
            return false;
    }
    return true;
}

/* No text anywhere inside that a database could not store. */
static bool is_storable(json_t *v)
{
    size_t i;
    const char *key;
    json_t *inner;
    if (json_is_string(v))
        return is_storable_text((ush_text){json_string_value(v), json_string_length(v)});
    json_array_foreach(v, i, inner) if (!is_storable(inner)) return false;
    json_object_foreach(v, key, inner) if (!is_storable_text(ush_text_of(key)) ||
                                           !is_storable(inner)) return false;
    return true;
}

static bool decode_any(struct ush__decoder *d, const struct ush__place *place,
                       const struct ush_field *f, json_t *from, ush_text *ret)
{
    int64_t min, max;
    ush__limits(f, &min, &max);
    enum { FLAGS = JSON_COMPACT | JSON_ENCODE_ANY };
    size_t n = json_dumpb(from, NULL, 0, FLAGS);
    if (!is_storable(from)) {
        ush__fault(d, place, "value_error", "Please remove the characters that cannot be shown");
    } else if ((int64_t)n > max) {
        ush__fault(d, place, "too_long", "Please use at most %lld bytes", (long long)max);
    } else {
        char *text = ush_arena_alloc(d->arena, n + 1);
        if (text)
            *ret = (ush_text){text, json_dumpb(from, text, n, FLAGS)};
        return text != NULL;
    }
    return false;
}

/* What a value should have been, for the types whose JSON is not text. */
static bool wrong_type(struct ush__decoder *d, const struct ush__place *place, const char *type,
                       const char *wanted)
{
    ush__fault(d, place, type, "Please use %s", wanted);
    return false;
}

static bool decode_value(struct ush__decoder *d, const struct ush__place *place,
                         const struct ush_field *f, json_t *from, void *value)
{
    void *at = ush__field(f, value);
    switch (f->type) {
    case USH_TYPE_TEXT:
    case USH_TYPE_BYTES:
    case USH_TYPE_TIME:
        if (json_is_string(from))
            return ush__decode_typed(
                d, place, f, (ush_text){json_string_value(from), json_string_length(from)}, value);
        return wrong_type(d, place, "string_type", "a text");
    case USH_TYPE_I64:
        if (json_is_integer(from))
            return ush__decode_i64(d, place, f, json_integer_value(from), value);
        return wrong_type(d, place, "int_type", "a whole number");
    case USH_TYPE_BOOL:
        *(bool *)at = json_is_true(from);
        return json_is_boolean(from) || wrong_type(d, place, "bool_type", "true or false");
    case USH_TYPE_JSON:
        return decode_any(d, place, f, from, at);
    case USH_TYPE_LIST:
        if (json_is_array(from))
            return decode_list(d, place, f, from, at);
        return wrong_type(d, place, "list_type", "a list");
    case USH_TYPE_ONE:
        if (!json_is_object(from))
            return wrong_type(d, place, "dict_type", "an object");
        *(void **)at = ush_arena_alloc(d->arena, f->of->bytes);
        if (*(void **)at)
            decode_object(d, place, f->of, from, *(void **)at);
        return *(void **)at != NULL;
    }
    return false;
}

bool ush__decode_json_text(struct ush__decoder *d, const struct ush__place *place,
                           const struct ush_field *f, ush_text json, void *value)
{
    int result;
    json_t *tree = load(d, place, json, &result);
    bool has = false;
    if (tree && !json_is_null(tree))
        has = decode_value(d, place, f, tree, value);
    else if (tree && !f->optional)
        ush__fault_missing(d, place, f);
    json_decref(tree);
    return has;
}

int ush_record_decode_json(const struct ush_record *r, ush_text body, struct ush_arena *arena,
                           void *ret, struct ush_faults *faults)
{
    struct ush__decoder d = ush__decode_begin(r, arena, ret, faults);
    const struct ush__place top = {0};
    int result;
    json_t *tree = load(&d, &top, body, &result);
    if (!tree)
        return arena->failed ? USH_ELIMIT : result;
    if (json_is_object(tree))
        decode_object(&d, &top, r, tree, ret);
    else
        ush__fault(&d, &top, "dict_type", "Please send a JSON object");
    json_decref(tree);
    return ush__decode_end(&d);
}
