/*
 * encode.c - records as JSON.
 *
 * The field table is walked once and written straight into the buffer; there is no tree in
 * between. Texts are escaped by ush_buf_add_json, so the result is well-formed whatever a text
 * holds, and may stand inside a script element. A JSON field is written as it is stored, but with
 * '<' as \u003C: in JSON text it can only occur inside a string.
 *
 * Absent: an optional field that is absent is left out. A ONE is always written, as an object or
 * null, because readers ask for it by name. A required text that is NULL is our own mistake and
 * written as "", so that the shape promised by the schema holds.
 */
#include "record/record.h"

static void encode_raw_json(ush_text json, struct ush_buf *out)
{
    if (json.len == 0)
        ush_buf_add(out, USH_T("null"));
    while (json.at) {
        ush_buf_add(out, ush_text_cut(&json, '<'));
        if (json.at)
            ush_buf_add(out, USH_T("\\u003C"));
    }
}

static void encode_time(int64_t wall_ms, struct ush_buf *out)
{
    char text[32];
    ush_time_format(wall_ms, 0, text);
    ush_buf_add_json(out, ush_text_of(text));
}

static void encode_field(const struct ush_field *f, const void *at, struct ush_buf *out)
{
    switch (f->type) {
    case USH_TYPE_TEXT:
        ush_buf_add_json(out, *(const ush_text *)at);
        break;
    case USH_TYPE_BYTES:
        ush_buf_add_byte(out, '"');
        ush_buf_add_base64(out, ((const ush_text *)at)->at, ((const ush_text *)at)->len);
        ush_buf_add_byte(out, '"');
        break;
    case USH_TYPE_I64:
        ush_buf_add_i64(out, *(const int64_t *)at);
        break;
    case USH_TYPE_BOOL:
        ush_buf_add(out, *(const bool *)at ? USH_T("true") : USH_T("false"));
        break;
    case USH_TYPE_TIME:
        encode_time(*(const int64_t *)at, out);
        break;
    case USH_TYPE_JSON:
        encode_raw_json(*(const ush_text *)at, out);
        break;
    case USH_TYPE_LIST: {
        const struct ush_rows *rows = at;
        ush_record_encode_json_list(f->of, rows->at, rows->count, out);
        break;
    }
    case USH_TYPE_ONE:
        if (*(void *const *)at)
            ush_record_encode_json(f->of, *(void *const *)at, out);
        else
            ush_buf_add(out, USH_T("null"));
        break;
    }
}

void ush_record_encode_json(const struct ush_record *r, const void *value, struct ush_buf *out)
{
    char before = '{';
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *f = &r->fields[i];
        if (f->optional && f->type != USH_TYPE_ONE && !ush__is_present(r, i, value))
            continue;
        ush_buf_add_byte(out, before);
        ush_buf_add_json(out, ush_text_of(f->name));
        ush_buf_add_byte(out, ':');
        encode_field(f, ush__field(f, value), out);
        before = ',';
    }
    ush_buf_add(out, before == '{' ? USH_T("{}") : USH_T("}"));
}

void ush_record_encode_json_list(const struct ush_record *r, const void *values, size_t n,
                                 struct ush_buf *out)
{
    ush_buf_add_byte(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            ush_buf_add_byte(out, ',');
        ush_record_encode_json(r, (const char *)values + i * r->bytes, out);
    }
    ush_buf_add_byte(out, ']');
}
