/*
 * frame_fuzz.c - any bytes as what a peer sends to the writer: frames are taken off, HELLO is
 * matched and requests are read as writer.c does it, without a process and a database around.
 */
#include <stdlib.h>

#include "sql/frame.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define FUZZ_IN_FIELDS(F, R)                                                                       \
    F(R, I64, number)                                                                              \
    F(R, TEXT, text, .optional = true)                                                             \
    F(R, BYTES, bytes, .max = 100)                                                                 \
    F(R, BOOL, flag)
USH_RECORD(fuzz_in, FUZZ_IN_FIELDS)
USH_RECORD_DEFINE(fuzz_in, FUZZ_IN_FIELDS)

static const struct ush_operation one = {"one", &fuzz_in_record, NULL},
                                  two = {"two", &fuzz_in_record, &fuzz_in_record};
static const struct ush_operation *const operations[] = {&one, &two, NULL};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static int take_request(const struct ush__frame *f, ush_text body,
                        const struct ush_operation *const *known, size_t count)
{
    struct ush_arena arena;
    char first[256];
    ush_arena_init(&arena, first, sizeof first, 1 << 20);
    const struct ush_operation *op = NULL;
    const void *in = NULL;
    int r = ush__request_read(f, body, known, count, &arena, &op, &in);
    MUST(r == 0 || r == USH_EPROTO || r == USH_EINVAL || r == USH_ELIMIT);
    MUST(arena.held_bytes <= 65536 + 4 * body.len);
    if (r == 0) { /* it is what a worker would have sent */
        struct ush_buf again;
        ush_buf_init(&again, 1 << 20);
        size_t place = ush__frame_begin(&again, f->code, f->id);
        ush_record_pack(op->in, in, &again);
        MUST(ush__frame_end(&again, place) == 0);
        ush_text rest = ush_buf_text(&again), same;
        struct ush__frame head;
        MUST(ush__frame_take(&rest, &head, &same) == 1 && rest.len == 0);
        MUST(memcmp(&head, f, sizeof head) == 0 && ush_text_equal(same, body));
        ush_buf_fini(&again);
    }
    ush_arena_fini(&arena);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const struct ush_operation *known[USH__OPERATIONS_MAX];
    int count = -1; /* no HELLO yet */
    ush_text rest = {(const char *)bytes, n}, body;
    struct ush__frame f;
    int r;
    while ((r = ush__frame_take(&rest, &f, &body)) > 0) {
        if (count >= 0) {
            if (take_request(&f, body, known, (size_t)count) == USH_EPROTO)
                return 0;
            continue;
        }
        if (f.code != USH__HELLO || f.id != 0)
            return 0;
        count = ush__hello_match(body, operations, known);
        if (count < 0)
            return 0;
        MUST(count <= USH__OPERATIONS_MAX);
        for (int i = 0; i < count; i++)
            MUST(!known[i] || known[i] == &one || known[i] == &two);
    }
    MUST(r == 0 || r == USH_EPROTO);
    return 0;
}
