/*
 * openapi.c - a table of routes as an OpenAPI 3.1 document.
 *
 * Paths with the same pattern are gathered from all rows. Records are written once under
 * components and referred to; a parameter of a query refers to the property of its record, which
 * JSON Schema 2020-12 allows, so a field's limits stand in one place. Every row's failures are
 * listed by status: those it names, and those that the server answers by itself for its kind.
 */
#include "http/docs.h"

/* ---- what occurs ---------------------------------------------------------------------------- */

static void mention_record(struct ush__mentions *m, const struct ush_record *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < m->record_count; i++)
        if (m->records[i] == r)
            return;
    assert(m->record_count < USH__RECORDS_MAX);
    m->records[m->record_count++] = r;
    for (size_t i = 0; i < r->count; i++)
        mention_record(m, r->fields[i].of);
}

static void mention_problem(struct ush__mentions *m, const struct ush_problem *p)
{
    for (size_t i = 0; i < m->problem_count; i++)
        if (m->problems[i] == p)
            return;
    assert(m->problem_count < USH__PROBLEMS_MAX);
    m->problems[m->problem_count++] = p;
}

void ush__mentions_of(const struct ush_http_options *o, struct ush__mentions *ret)
{
    *ret = (struct ush__mentions){0};
    for (size_t i = 0; i < o->route_count; i++) {
        const struct ush_route *r = &o->routes[i];
        if (!ush__is_api(r))
            continue;
        mention_record(ret, r->body);
        mention_record(ret, r->query);
        mention_record(ret, r->reply);
        const struct ush_problem *p;
        for (size_t k = 0; (p = ush__route_problem(r, k)); k++)
            mention_problem(ret, p);
    }
}

const struct ush_problem *ush__route_problem(const struct ush_route *r, size_t i)
{
    static const struct ush_problem *const for_body[] = {
        &ush_problem_malformed, &ush_problem_too_large, &ush_problem_media_type,
        &ush_problem_validation};
    static const struct ush_problem *const for_query[] = {&ush_problem_validation};
    static const struct ush_problem *const for_all[] = {&ush_problem_internal,
                                                        &ush_problem_overloaded};
    size_t n = r->body ? USH_COUNT(for_body) : r->query ? USH_COUNT(for_query) : 0;
    size_t own = n + USH_COUNT(for_all);
    if (i < n)
        return r->body ? for_body[i] : for_query[i];
    if (i < own)
        return for_all[i - n];
    /* A row may name one of the server's problems too; it is listed once. */
    for (size_t k = 0, at = own; r->problems && r->problems[k]; k++) {
        bool known = false;
        for (size_t m = 0; m < own; m++)
            known |= ush__route_problem(r, m) == r->problems[k];
        if (!known && at++ == i)
            return r->problems[k];
    }
    return NULL;
}

ush_text ush__first_line(const char *doc)
{
    ush_text rest = ush_text_of(doc);
    return ush_text_cut(&rest, '\n');
}

ush_text ush__further_lines(const char *doc)
{
    ush_text rest = ush_text_of(doc);
    ush_text_cut(&rest, '\n');
    return ush_text_trim(rest);
}

/* ---- one operation -------------------------------------------------------------------------- */

static void add_member(struct ush_buf *b, const char *name, ush_text value)
{
    ush_buf_printf(b, "\"%s\":", name);
    ush_buf_add_json(b, value);
}

/* "get_events_slug" for GET /events/{slug}. */
static void add_operation_id(const struct ush_route *r, struct ush_buf *b)
{
    ush_buf_add(b, USH_T(",\"operationId\":\""));
    for (const char *c = r->method; *c; c++)
        ush_buf_add_byte(b, (char)(*c | 0x20));
    bool gap = false;
    for (const char *c = r->path; *c; c++) {
        bool is_word = ush__is(*c, USH__TOKEN) && *c != '-' && *c != '.';
        if (is_word && gap)
            ush_buf_add_byte(b, '_');
        if (is_word)
            ush_buf_add_byte(b, *c);
        gap = !is_word;
    }
    ush_buf_add_byte(b, '"');
}

static void add_parameters(const struct ush_route *r, struct ush_buf *b)
{
    const char *before = ",\"parameters\":[";
    for (ush_text rest = ush_text_of(r->path); rest.at;) {
        ush_text segment = ush_text_cut(&rest, '/');
        if (segment.len < 3 || segment.at[0] != '{')
            continue;
        ush_buf_printf(b,
                       "%s{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,"
                       "\"schema\":{\"type\":\"string\"}}",
                       before, (int)segment.len - 2, segment.at + 1);
        before = ",";
    }
    for (size_t i = 0; r->query && i < r->query->count; i++) {
        const struct ush_field *f = &r->query->fields[i];
        ush_buf_printf(b,
                       "%s{\"name\":\"%s\",\"in\":\"query\",\"required\":%s,"
                       "\"schema\":{\"$ref\":\"#/components/schemas/%s/properties/%s\"}}",
                       before, f->name, f->optional ? "false" : "true", r->query->name, f->name);
        before = ",";
    }
    for (const struct ush_route_header *h = r->headers; h && h->name; h++) {
        ush_buf_printf(b, "%s{\"name\":\"%s\",\"in\":\"header\",\"required\":false,", before,
                       h->name);
        add_member(b, "description", ush_text_of(h->doc));
        ush_buf_add(b, USH_T(",\"schema\":{\"type\":\"string\""));
        if (h->min)
            ush_buf_printf(b, ",\"minLength\":%u", h->min);
        if (h->max)
            ush_buf_printf(b, ",\"maxLength\":%u", h->max);
        ush_buf_add(b, USH_T("}}"));
        before = ",";
    }
    if (*before == ',' && before[1] == 0)
        ush_buf_add_byte(b, ']');
    if (r->bearer)
        ush_buf_printf(b, ",\"security\":[{\"%s\":[]}]", r->bearer->name);
}

static void add_body(const struct ush_route *r, struct ush_buf *b)
{
    if (r->body)
        ush_buf_printf(b,
                       ",\"requestBody\":{\"required\":true,\"content\":{\"%s\":"
                       "{\"schema\":{\"$ref\":\"#/components/schemas/%s\"}}}}",
                       r->takes_form ? "application/x-www-form-urlencoded" : "application/json",
                       r->body->name);
    else if (r->raw_body)
        ush_buf_add(b, USH_T(",\"requestBody\":{\"content\":{\"*/*\":{}}}"));
}

static void add_failures(const struct ush_route *r, struct ush_buf *b)
{
    const struct ush_problem *p, *q;
    for (size_t i = 0; (p = ush__route_problem(r, i)); i++) {
        bool is_first = true;
        for (size_t k = 0; k < i; k++)
            is_first &= ush__route_problem(r, k)->status != p->status;
        if (!is_first)
            continue;
        ush_buf_printf(b, ",\"%d\":{\"description\":\"", p->status);
        const char *before = "";
        for (size_t k = i; (q = ush__route_problem(r, k)); k++)
            if (q->status == p->status) {
                ush_buf_printf(b, "%s`%s`", before, q->code);
                before = ", ";
            }
        ush_buf_add(b, USH_T("\",\"content\":{\"application/problem+json\":{\"schema\":{\"$ref\":"
                             "\"#/components/schemas/Problem\"}}}}"));
    }
}

static void add_operation(const struct ush_route *r, struct ush_buf *b)
{
    ush_buf_add_byte(b, '"');
    for (const char *c = r->method; *c; c++)
        ush_buf_add_byte(b, (char)(*c | 0x20));
    ush_buf_add(b, USH_T("\":{"));
    add_member(b, "summary", ush__first_line(r->doc));
    ush_text more = ush__further_lines(r->doc);
    if (more.len > 0) {
        ush_buf_add_byte(b, ',');
        add_member(b, "description", more);
    }
    if (r->group) {
        ush_buf_add(b, USH_T(",\"tags\":["));
        ush_buf_add_json(b, ush_text_of(r->group));
        ush_buf_add_byte(b, ']');
    }
    add_operation_id(r, b);
    add_parameters(r, b);
    add_body(r, b);
    int status = r->reply_status ? r->reply_status : 200;
    ush_buf_printf(b, ",\"responses\":{\"%d\":{\"description\":\"%s\"", status,
                   ush__reason(status));
    if (r->reply)
        ush_buf_printf(b,
                       ",\"content\":{\"application/json\":{\"schema\":"
                       "{\"$ref\":\"#/components/schemas/%s\"}}}",
                       r->reply->name);
    ush_buf_add_byte(b, '}');
    add_failures(r, b);
    ush_buf_add(b, USH_T("}}"));
}

/* ---- the document --------------------------------------------------------------------------- */

static const char problem_schema[] =
    "\"Problem\":{\"type\":\"object\",\"description\":\"RFC 9457\",\"properties\":{"
    "\"type\":{\"type\":\"string\",\"format\":\"uri-reference\"},\"title\":{\"type\":\"string\"},"
    "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"
    "\"instance\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},"
    "\"request_id\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":"
    "{\"$ref\":\"#/components/schemas/Fault\"}}},\"required\":[\"type\",\"title\",\"status\","
    "\"code\"]},"
    "\"Fault\":{\"type\":\"object\",\"properties\":{\"pointer\":{\"type\":\"string\"},"
    "\"loc\":{\"type\":\"array\",\"items\":{\"type\":[\"string\",\"integer\"]}},"
    "\"msg\":{\"type\":\"string\"},\"type\":{\"type\":\"string\"}},\"required\":[\"pointer\","
    "\"loc\",\"msg\",\"type\"]}";

static void add_path(const struct ush_http_options *o, size_t first, struct ush_buf *b)
{
    const char *before = "";
    ush_buf_add_json(b, ush_text_of(o->routes[first].path));
    ush_buf_add(b, USH_T(":{"));
    for (size_t i = first; i < o->route_count; i++) {
        const struct ush_route *r = &o->routes[i];
        if (!ush__is_api(r) || strcmp(r->path, o->routes[first].path) != 0)
            continue;
        ush_buf_printf(b, "%s", before);
        add_operation(r, b);
        before = ",";
    }
    ush_buf_add_byte(b, '}');
}

/* Each kind of token once. */
static void add_security(const struct ush_http_options *o, struct ush_buf *b)
{
    const char *before = ",\"securitySchemes\":{", *after = "";
    for (size_t i = 0; i < o->route_count; i++) {
        const struct ush_route_bearer *t = o->routes[i].bearer;
        bool is_first = t && ush__is_api(&o->routes[i]);
        for (size_t k = 0; k < i && is_first; k++)
            is_first = !ush__is_api(&o->routes[k]) || o->routes[k].bearer != t;
        if (!is_first)
            continue;
        ush_buf_printf(b, "%s\"%s\":{\"type\":\"http\",\"scheme\":\"bearer\",", before, t->name);
        add_member(b, "description", ush_text_of(t->doc));
        ush_buf_add_byte(b, '}');
        before = ",", after = "}";
    }
    ush_buf_add(b, ush_text_of(after));
}

void ush_openapi(const struct ush_http_options *o, struct ush_buf *out)
{
    struct ush__mentions m;
    ush__mentions_of(o, &m);
    ush_buf_add(out, USH_T("{\"openapi\":\"3.1.0\",\"info\":{"));
    add_member(out, "title", ush_text_of(o->title ? o->title : "API"));
    ush_buf_add_byte(out, ',');
    add_member(out, "version", ush_text_of(o->version ? o->version : "1"));
    ush_buf_add(out, USH_T("},\"paths\":{"));
    const char *before = "";
    for (size_t i = 0; i < o->route_count; i++) {
        bool is_first = ush__is_api(&o->routes[i]);
        for (size_t k = 0; k < i && is_first; k++)
            is_first =
                !ush__is_api(&o->routes[k]) || strcmp(o->routes[k].path, o->routes[i].path) != 0;
        if (!is_first)
            continue;
        ush_buf_printf(out, "%s", before);
        add_path(o, i, out);
        before = ",";
    }
    ush_buf_add(out, USH_T("},\"components\":{\"schemas\":{"));
    ush_buf_add(out, ush_text_of(problem_schema));
    for (size_t i = 0; i < m.record_count; i++) {
        ush_buf_printf(out, ",\"%s\":", m.records[i]->name);
        ush_record_schema(m.records[i], out);
    }
    ush_buf_add_byte(out, '}');
    add_security(o, out);
    ush_buf_add(out, USH_T("}}\n"));
}
