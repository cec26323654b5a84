/*
 * docs.c - the page of /docs, and the handlers of both documents.
 *
 * The page is plain HTML from the same rows that serve requests: it works without script, on a
 * school network without the internet, and under a strict content policy. Its style sheet is part
 * of it. Each problem has an anchor, which is what the `type` of a problem document points to.
 *
 * Both documents are made on first use and kept by the server.
 */
#include "http/docs.h"

enum { DOCUMENT_BYTES = 4 << 20 };

static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1f24;background:#fff}"
    "h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #d0d7de}"
    "section{margin:1.5rem 0}h3{font:600 1rem/1.5 ui-monospace,monospace;margin:0}"
    "h3 b{display:inline-block;min-width:4.5rem}"
    "table{border-collapse:collapse;margin:.5rem 0;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0;"
    "border-top:1px solid #eaeef2}"
    "code{font-family:ui-monospace,monospace}p{margin:.3rem 0}"
    "@media(max-width:48rem){table{display:block;overflow-x:auto}}h3{overflow-wrap:anywhere}"
    "@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}"
    "h2,td,th{border-color:#30363d}a{color:#58a6ff}}";

static void add(struct ush_buf *b, const char *html)
{
    ush_buf_add(b, ush_text_of(html));
}

static void add_text(struct ush_buf *b, const char *text)
{
    ush_buf_add_html(b, ush_text_of(text ? text : ""));
}

static const char *type_name(const struct ush_field *f)
{
    static const char *const names[] = {
        [USH_TYPE_TEXT] = "text",           [USH_TYPE_BYTES] = "bytes, base64",
        [USH_TYPE_I64] = "whole number",    [USH_TYPE_BOOL] = "true or false",
        [USH_TYPE_TIME] = "time, RFC 3339", [USH_TYPE_JSON] = "any",
        [USH_TYPE_LIST] = "list of ",       [USH_TYPE_ONE] = "",
    };
    return names[f->type];
}

static void add_fields(struct ush_buf *b, const char *title, const struct ush_record *r)
{
    if (!r)
        return;
    ush_buf_printf(b, "<p>%s <a href=\"#record-%s\"><code>%s</code></a></p>", title, r->name,
                   r->name);
}

static void add_record(struct ush_buf *b, const struct ush_record *r)
{
    ush_buf_printf(b, "<section id=\"record-%s\"><h3>%s</h3><table>", r->name, r->name);
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *f = &r->fields[i];
        ush_buf_printf(b, "<tr><td><code>%s</code><td>%s", f->name, type_name(f));
        if (f->of)
            ush_buf_printf(b, "<a href=\"#record-%s\">%s</a>", f->of->name, f->of->name);
        add(b, f->optional ? "<td>optional<td>" : "<td>required<td>");
        add_text(b, f->doc);
        if (f->choices) {
            add(b, " One of ");
            add_text(b, f->choices);
            add(b, ".");
        }
        if (f->example && !f->secret) {
            add(b, " Example: <code>");
            add_text(b, f->example);
            add(b, "</code>");
        }
    }
    add(b, "</table></section>");
}

static void add_route(struct ush_buf *b, const struct ush_route *r)
{
    ush_buf_printf(b, "<section><h3><b>%s</b> ", r->method);
    add_text(b, r->path);
    add(b, "</h3><p>");
    ush_buf_add_html(b, ush__first_line(r->doc));
    ush_text more = ush__further_lines(r->doc);
    if (more.len > 0) {
        add(b, "<p>");
        ush_buf_add_html(b, more);
    }
    for (const struct ush_route_header *h = r->headers; h && h->name; h++) {
        ush_buf_printf(b, "<p>Header <code>%s</code>: ", h->name);
        add_text(b, h->doc);
    }
    if (r->bearer) {
        add(b, "<p>Header <code>Authorization: Bearer</code>: ");
        add_text(b, r->bearer->doc);
    }
    add_fields(b, r->takes_form ? "Form:" : "Takes", r->body);
    add_fields(b, "Query:", r->query);
    add_fields(b, "Answers with", r->reply);
    add(b, "<p>Can fail with");
    const struct ush_problem *p;
    for (size_t i = 0; (p = ush__route_problem(r, i)); i++)
        ush_buf_printf(b, "%s <a href=\"#problem-%s\">%s</a>", i ? "," : "", p->code, p->code);
    add(b, ".</section>");
}

static bool same_group(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* A heading per group, in the order in which groups first appear. */
static void add_groups(struct ush_buf *b, const struct ush_http_options *o)
{
    for (size_t i = 0; i < o->route_count; i++) {
        bool is_first = ush__is_api(&o->routes[i]);
        for (size_t k = 0; k < i && is_first; k++)
            is_first =
                !ush__is_api(&o->routes[k]) || !same_group(o->routes[k].group, o->routes[i].group);
        if (!is_first)
            continue;
        add(b, "<h2>");
        add_text(b, o->routes[i].group ? o->routes[i].group : "Routes");
        add(b, "</h2>");
        for (size_t k = i; k < o->route_count; k++)
            if (ush__is_api(&o->routes[k]) && same_group(o->routes[k].group, o->routes[i].group))
                add_route(b, &o->routes[k]);
    }
}

void ush__docs_page(const struct ush_http_options *o, struct ush_buf *out)
{
    struct ush__mentions m;
    ush__mentions_of(o, &m);
    add(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width\"><title>");
    add_text(out, o->title);
    add(out, "</title><style>");
    add(out, style);
    add(out, "</style><h1>");
    add_text(out, o->title);
    add(out, " ");
    add_text(out, o->version);
    add(out, "</h1><p>For programs: <a href=\"/openapi.json\">openapi.json</a></p>");
    add_groups(out, o);
    if (m.record_count > 0)
        add(out, "<h2>Records</h2>");
    for (size_t i = 0; i < m.record_count; i++)
        add_record(out, m.records[i]);
    add(out, "<h2>Problems</h2><table>");
    for (size_t i = 0; i < m.problem_count; i++) {
        const struct ush_problem *p = m.problems[i];
        bool is_first = true; /* of its code: links lead there */
        for (size_t k = 0; k < i && is_first; k++)
            is_first = strcmp(m.problems[k]->code, p->code) != 0;
        if (is_first)
            ush_buf_printf(out, "<tr id=\"problem-%s\">", p->code);
        else
            add(out, "<tr>");
        ush_buf_printf(out, "<td>%d<td><code>%s</code><td>", p->status, p->code);
        add_text(out, p->title);
        add(out, ". ");
        add_text(out, p->doc);
    }
    add(out, "</table>\n");
}

/* ---- handlers ------------------------------------------------------------------------------- */

static int reply_document(struct ush_request *rq, struct ush_buf *kept, const char *type,
                          void (*make)(const struct ush_http_options *, struct ush_buf *))
{
    if (kept->max_bytes == 0) {
        ush_buf_init(kept, DOCUMENT_BYTES);
        make(&rq->conn->http->o, kept);
    }
    return kept->error < 0 ? kept->error : ush_reply(rq, 200, type, ush_buf_text(kept));
}

int ush_openapi_handler(struct ush_request *rq)
{
    return reply_document(rq, &rq->conn->http->openapi, "application/json", ush_openapi);
}

int ush_docs_handler(struct ush_request *rq)
{
    ush_reply_header(
        rq, "Content-Security-Policy",
        USH_T("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"));
    return reply_document(rq, &rq->conn->http->docs, "text/html; charset=utf-8", ush__docs_page);
}
