/*
 * docs.h - what the two documents about a table of routes share: which rows they show, which
 * records and problems occur in them.
 *
 * openapi.c writes the one for programs, docs.c the page for people. Both are functions of the
 * table alone, so what they say is what the server does.
 */
#ifndef USH_HTTP_DOCS_H
#define USH_HTTP_DOCS_H

#include "http/http.h"

enum { USH__RECORDS_MAX = 128, USH__PROBLEMS_MAX = 128 };

/* Everything that the rows of a table mention, each once, in order of appearance. */
struct ush__mentions {
    const struct ush_record *records[USH__RECORDS_MAX]; /* with nested ones */
    size_t record_count;
    const struct ush_problem *problems[USH__PROBLEMS_MAX];
    size_t problem_count;
};
void ush__mentions_of(const struct ush_http_options *o, struct ush__mentions *ret);

/* Rows for people and files are not part of the interface. */
static inline bool ush__is_api(const struct ush_route *r)
{
    return !r->is_page && !r->asset;
}

/* The i-th problem that a row can answer with, the server's own first; NULL behind the last. */
const struct ush_problem *ush__route_problem(const struct ush_route *r, size_t i);
/* The first line of a text, and what lies behind it without blank lines before. */
ush_text ush__first_line(const char *doc);
ush_text ush__further_lines(const char *doc);

void ush__docs_page(const struct ush_http_options *o, struct ush_buf *out);

#endif
