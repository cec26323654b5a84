/*
 * chunks_fuzz.c - any bytes as a chunked body: the same data and the same end in whatever pieces
 * they come, never more than was put in, and never more lenient than llhttp in strict mode.
 */
#include <stdlib.h>

#include "../unit/http/oracle.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

struct decoded {
    int r;
    size_t used, len;
    char data[ORACLE_BYTES];
};

static void decode(ush_text t, size_t step, struct decoded *d)
{
    static char piece[ORACLE_BYTES];
    struct ush_chunks c;
    ush_chunks_init(&c);
    d->r = 0;
    d->used = d->len = 0;
    for (size_t at = 0; d->r == 0 && at < t.len; at += step) {
        size_t used, data, n = step < t.len - at ? step : t.len - at;
        memcpy(piece, t.at + at, n);
        d->r = ush_chunks_decode(&c, piece, n, &used, &data);
        MUST(used <= n && data <= used && (d->r != 0 || used == n));
        memcpy(d->data + d->len, piece, data);
        d->used += used;
        d->len += data;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct decoded whole, pieces;
    ush_text t = {(const char *)bytes, n};
    if (n > ORACLE_BYTES / 2)
        return 0;
    decode(t, n ? n : 1, &whole);
    for (size_t step = 1; step <= 5; step += 2) {
        decode(t, step, &pieces);
        MUST(pieces.r == whole.r && pieces.used == whole.used && pieces.len == whole.len);
        MUST(memcmp(pieces.data, whole.data, whole.len) == 0);
    }
    if (whole.r == 1)
        MUST(!oracle_body_fault(t, whole.used, (ush_text){whole.data, whole.len}));
    return 0;
}
