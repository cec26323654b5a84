/*
 * head_fuzz.c - any bytes as a request. What must hold: the answer does not depend on the pieces
 * they come in; slices lie inside the bytes; and what is accepted, llhttp in strict mode accepts
 * with the same fields and the same body.
 */
#include <stdlib.h>

#include "../unit/http/oracle.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_inside(ush_text part, ush_text all)
{
    MUST(!part.at || (part.at >= all.at && part.at + part.len <= all.at + all.len));
}

static void check_pieces(ush_text t, int want)
{
    static struct ush_head head;
    size_t scanned = 0, step = 1 + t.len / 64;
    int r = 0;
    for (size_t len = 0; r == 0 && len <= t.len; len += step)
        r = ush_head_parse((ush_text){t.at, len}, &ush_http_limits_direct, &scanned, &head);
    if (r == 0)
        r = ush_head_parse(t, &ush_http_limits_direct, &scanned, &head);
    MUST(r == want);
}

static void check_body(const struct ush_head *head, ush_text rest)
{
    static char body[ORACLE_BYTES];
    struct ush_chunks c;
    size_t used, data;
    if (!head->is_chunked)
        return;
    if (rest.len)
        memcpy(body, rest.at, rest.len);
    ush_chunks_init(&c);
    if (ush_chunks_decode(&c, body, rest.len, &used, &data) == 1)
        MUST(!oracle_body_fault(rest, used, (ush_text){body, data}));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct ush_head head;
    ush_text t = {(const char *)bytes, n};
    size_t scanned = 0;
    if (n > ORACLE_BYTES / 2)
        return 0;
    int r = ush_head_parse(t, &ush_http_limits_direct, &scanned, &head);
    check_pieces(t, r);
    if (r <= 0)
        return 0;
    const ush_text parts[] = {head.method_name, head.target, head.query, head.host};
    for (size_t i = 0; i < USH_COUNT(parts); i++)
        check_inside(parts[i], t);
    for (size_t i = 0; i < head.header_count; i++) {
        check_inside(head.headers[i].name, t);
        check_inside(head.headers[i].value, t);
    }
    MUST(!oracle_head_fault(t, r, &head));
    check_body(&head, (ush_text){t.at + r, n - (size_t)r});
    return 0;
}
