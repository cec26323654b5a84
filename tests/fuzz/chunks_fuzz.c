/*
 * chunks_fuzz.c - any bytes as a chunked body: whole, cut in two at a place that the first byte
 * chooses, and byte by byte give one answer and the same data; and a body that is taken, llhttp in
 * strict mode takes too, with that data.
 */
#include <stdlib.h>

#include "../unit/http/oracle.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

enum { INPUT_MAX = 64 << 10 };

struct decoded {
    int result;
    size_t used, data;
    char body[INPUT_MAX];
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* Decodes in pieces of `step` bytes. */
static void decode(const char *bytes, size_t n, size_t step, struct decoded *ret)
{
    static char piece[INPUT_MAX];
    struct ush_chunks c;
    ush_chunks_init(&c);
    ret->result = 0;
    ret->used = ret->data = 0;
    for (size_t at = 0; at < n && ret->result == 0; at += step) {
        size_t len = step < n - at ? step : n - at, used, data;
        memcpy(piece, bytes + at, len);
        ret->result = ush_chunks_decode(&c, piece, len, &used, &data);
        MUST(used <= len && data <= used);
        MUST(ret->result != 0 || used == len);
        memcpy(ret->body + ret->data, piece, data);
        ret->used += used;
        ret->data += data;
    }
}

static bool is_same(const struct decoded *a, const struct decoded *b)
{
    if (a->result != b->result)
        return false;
    return a->result < 0 ||
           (a->used == b->used && a->data == b->data && memcmp(a->body, b->body, a->data) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct decoded whole, cut;
    const char *at = (const char *)bytes;
    if (n == 0 || n > INPUT_MAX)
        return 0;
    decode(at, n, n, &whole);
    decode(at, n, 1, &cut);
    MUST(is_same(&whole, &cut));
    decode(at, n, bytes[0] % n + 1, &cut);
    MUST(is_same(&whole, &cut));
    if (whole.result == 1)
        MUST(oracle_body_fault((ush_text){at, n}, whole.used, (ush_text){whole.body, whole.data}) ==
             NULL);
    return 0;
}
