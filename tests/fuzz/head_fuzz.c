/*
 * head_fuzz.c - any bytes as the beginning of a request: our head parser beside llhttp in strict
 * mode (tests/unit/http/oracle.h), whole and in pieces. A chunked body behind the head is decoded
 * and compared too.
 *
 * Not in the two pieces that a fuzzer would choose: in many that grow, so that every state in which
 * the scan can stop is gone through. What is accepted, llhttp accepts too, with the same parts.
 */
#include <stdlib.h>

#include "../unit/http/oracle.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { INPUT_MAX = 128 << 10 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Byte by byte while it is short, then in steps that grow. */
static int parse_in_pieces(ush_text t, struct ush_head *head)
{
    size_t scanned = 0;
    for (size_t len = 0; len < t.len; len += len / 64 + 1) {
        int r = ush_head_parse((ush_text){t.at, len}, &ush_http_limits_direct, &scanned, head);
        if (r != 0)
            return r;
    }
    return ush_head_parse(t, &ush_http_limits_direct, &scanned, head);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct ush_head head, pieces;
    static char body[INPUT_MAX];
    ush_text t = {n ? (const char *)bytes : "", n};
    size_t scanned = 0, used, data;
    if (n > INPUT_MAX)
        return 0;
    int r = ush_head_parse(t, &ush_http_limits_direct, &scanned, &head);
    MUST(parse_in_pieces(t, &pieces) == r);
    if (r <= 0)
        return 0;
    MUST((size_t)r <= n && pieces.header_count == head.header_count);
    MUST(oracle_head_fault(t, r, &head) == NULL);
    if (!head.is_chunked)
        return 0;
    ush_text rest = {t.at + r, n - (size_t)r};
    memcpy(body, rest.at, rest.len);
    struct ush_chunks c;
    ush_chunks_init(&c);
    if (ush_chunks_decode(&c, body, rest.len, &used, &data) == 1)
        MUST(oracle_body_fault(rest, used, (ush_text){body, data}) == NULL);
    return 0;
}
