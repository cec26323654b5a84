/*
 * multipart_fuzz.c - any bytes as a form with a file: the first line is the Content-Type, the rest
 * the body. What is read lies inside the body, part behind part, and sending the same parts again
 * leads to the same parts.
 */
#include <stdio.h>
#include <stdlib.h>

#include "http/parse.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_inside(ush_text t, ush_text whole)
{
    MUST(t.at >= whole.at && t.at + t.len <= whole.at + whole.len);
}

/* Writes the part as a browser would. */
static void add_part(struct ush_buf *out, const char *boundary, const struct ush_part *p)
{
    ush_buf_printf(out, "--%s\r\nContent-Disposition: form-data; name=\"%.*s\"", boundary,
                   USH_PR(p->name));
    if (p->filename.at)
        ush_buf_printf(out, "; filename=\"%.*s\"", USH_PR(p->filename));
    ush_buf_add(out, USH_T("\r\n\r\n"));
    ush_buf_add(out, p->content);
    ush_buf_add(out, USH_T("\r\n"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    ush_text body = {(const char *)bytes, n};
    ush_text type = ush_text_cut(&body, '\n');
    struct ush_multipart m, again;
    struct ush_part p, same;
    struct ush_buf out;
    if (ush_multipart_open(&m, type, body) < 0)
        return 0;
    ush_buf_init(&out, 4 << 20);
    const char *boundary = m.delimiter + 3, *behind = body.at;
    char content_type[160];
    snprintf(content_type, sizeof content_type, "multipart/form-data; boundary=\"%s\"", boundary);
    int r;
    while ((r = ush_multipart_next(&m, &p)) == 1) {
        MUST(p.name.len && p.name.at > behind && p.content.at > p.name.at);
        check_inside(p.name, body);
        check_inside(p.content, body);
        if (p.filename.at)
            check_inside(p.filename, body);
        behind = p.content.at + p.content.len;
        add_part(&out, boundary, &p);
    }
    ush_buf_printf(&out, "--%s--", boundary);
    if (r == 0) {
        MUST(ush_multipart_open(&m, type, body) == 0);
        MUST(ush_multipart_open(&again, ush_text_of(content_type), ush_buf_text(&out)) == 0);
        while ((r = ush_multipart_next(&m, &p)) == 1) {
            /* A longer field of the part may leave no room for a quote more: only then refused. */
            if (ush_multipart_next(&again, &same) < 0)
                break;
            MUST(ush_text_equal(p.name, same.name) && ush_text_equal(p.content, same.content));
        }
    }
    ush_buf_fini(&out);
    return 0;
}
