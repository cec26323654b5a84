/*
 * schema.c - a record as JSON Schema 2020-12, as OpenAPI 3.1 takes it.
 *
 * What the decoders enforce and a schema can say is said: types, lengths, bounds, patterns,
 * choices, required fields and that there are no others. What it cannot say (no control
 * characters, at most eight marks in a row) stays with the decoders: a value that fits the schema
 * may still be refused with 422, one that does not fit always is.
 *
 * A nested record is a reference; whoever writes the document adds each record once.
 */
#include "record/record.h"

static void add_key_text(struct ush_buf *out, const char *key, const char *text)
{
    ush_buf_printf(out, ",\"%s\":", key);
    ush_buf_add_json(out, ush_text_of(text));
}

static void add_bounds(const struct ush_field *f, const char *low, const char *high,
                       struct ush_buf *out)
{
    int64_t min, max;
    ush__limits(f, &min, &max);
    /* A text that must be there is not blank. */
    if (f->type == USH_TYPE_TEXT && min < 1)
        min = f->optional ? 0 : 1;
    if (min != INT64_MIN && !(min == 0 && f->type != USH_TYPE_I64))
        ush_buf_printf(out, ",\"%s\":%lld", low, (long long)min);
    if (max != INT64_MAX)
        ush_buf_printf(out, ",\"%s\":%lld", high, (long long)max);
}

static void add_choices(const struct ush_field *f, struct ush_buf *out)
{
    char before = '[';
    ush_buf_add(out, USH_T(",\"enum\":"));
    for (ush_text rest = ush_text_of(f->choices); rest.at; before = ',') {
        ush_buf_add_byte(out, before);
        ush_buf_add_json(out, ush_text_cut(&rest, '|'));
    }
    ush_buf_add(out, f->optional ? USH_T(",null]") : USH_T("]"));
}

static void add_text(const struct ush_field *f, struct ush_buf *out)
{
    static const char *const patterns[] = {
        [USH_LINE] = NULL,
        [USH_PROSE] = NULL,
        [USH_EMAIL] = NULL,
        [USH_SLUG] = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$",
        [USH_PHONE] = "^[0-9 +()-]*$",
        [USH_TOKEN] = "^[!-~]*$",
    };
    add_bounds(f, "minLength", "maxLength", out);
    if (f->format == USH_EMAIL)
        add_key_text(out, "format", "email");
    else if (patterns[f->format])
        add_key_text(out, "pattern", patterns[f->format]);
    if (f->choices)
        add_choices(f, out);
}

/* The type and what belongs to it. JSON fields take anything and have none. */
static void add_type(const struct ush_field *f, struct ush_buf *out)
{
    static const char *const types[] = {
        [USH_TYPE_TEXT] = "string",  [USH_TYPE_BYTES] = "string", [USH_TYPE_I64] = "integer",
        [USH_TYPE_BOOL] = "boolean", [USH_TYPE_TIME] = "string",  [USH_TYPE_LIST] = "array",
        [USH_TYPE_ONE] = NULL,
    };
    const char *type = types[f->type];
    if (type)
        ush_buf_printf(out, f->optional ? ",\"type\":[\"%s\",\"null\"]" : ",\"type\":\"%s\"", type);
    switch (f->type) {
    case USH_TYPE_TEXT:
        add_text(f, out);
        break;
    case USH_TYPE_BYTES:
        add_key_text(out, "contentEncoding", "base64");
        break;
    case USH_TYPE_I64:
        add_key_text(out, "format", "int64");
        add_bounds(f, "minimum", "maximum", out);
        break;
    case USH_TYPE_TIME:
        add_key_text(out, "format", "date-time");
        break;
    case USH_TYPE_LIST:
        add_bounds(f, "minItems", "maxItems", out);
        ush_buf_printf(out, ",\"items\":{\"$ref\":\"#/components/schemas/%s\"}", f->of->name);
        break;
    case USH_TYPE_ONE:
        ush_buf_printf(out,
                       f->optional ? ",\"anyOf\":[{\"$ref\":\"#/components/schemas/%s\"},"
                                     "{\"type\":\"null\"}]"
                                   : ",\"$ref\":\"#/components/schemas/%s\"",
                       f->of->name);
        break;
    case USH_TYPE_BOOL:
    case USH_TYPE_JSON:
        break;
    }
}

void ush_record_schema(const struct ush_record *r, struct ush_buf *out)
{
    ush_buf_add(out, USH_T("{\"type\":\"object\",\"properties\":{"));
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *f = &r->fields[i];
        if (i)
            ush_buf_add_byte(out, ',');
        ush_buf_add_json(out, ush_text_of(f->name));
        ush_buf_add(out, USH_T(":{\"description\":"));
        ush_buf_add_json(out, ush_text_of(f->doc ? f->doc : ""));
        add_type(f, out);
        if (f->secret)
            ush_buf_add(out, USH_T(",\"writeOnly\":true"));
        else if (f->example)
            ush_buf_printf(out, ",\"examples\":[%s]", f->example);
        ush_buf_add_byte(out, '}');
    }
    ush_buf_add(out, USH_T("},\"required\":["));
    const char *before = "";
    for (size_t i = 0; i < r->count; i++)
        if (!r->fields[i].optional) {
            ush_buf_printf(out, "%s\"%s\"", before, r->fields[i].name);
            before = ",";
        }
    ush_buf_add(out, USH_T("],\"additionalProperties\":false}"));
}
