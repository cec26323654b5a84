/*
 * reply_fuzz.c - any bytes as what a mail server says. How they are split makes no difference, the
 * codes are in their range, the text is fit to be shown, and it always comes to an end.
 */
#include <stdlib.h>

#include "fetch/fetch.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { CODES_MAX = 256 };

/* Feeds pieces of at most `piece` bytes; the codes, ended by the error or 0. */
static size_t codes_of(const uint8_t *bytes, size_t n, size_t piece, int codes[CODES_MAX + 1])
{
    struct ush__reply r = {0};
    size_t count = 0;
    for (;;) {
        int code = ush__reply_take(&r);
        MUST(code == 0 || code == USH_EPROTO || (code >= 200 && code <= 599));
        for (const char *c = r.text; *c; c++)
            MUST(*c >= 0x20 && *c < 0x7f);
        codes[count] = code;
        if (code < 0 || count == CODES_MAX || (code == 0 && n == 0))
            return count;
        if (code > 0) {
            count++;
            continue;
        }
        size_t take = n < piece ? n : piece, room = sizeof r.in - r.len;
        MUST(room > 0);
        take = take < room ? take : room;
        memcpy(r.in + r.len, bytes, take);
        r.len += take;
        bytes += take;
        n -= take;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    int whole[CODES_MAX + 1], split[CODES_MAX + 1];
    size_t count = codes_of(bytes, n, n, whole);
    for (size_t piece = 1; piece <= 7; piece += 3) {
        MUST(codes_of(bytes, n, piece, split) == count);
        MUST(memcmp(whole, split, (count + 1) * sizeof *whole) == 0);
    }
    return 0;
}
