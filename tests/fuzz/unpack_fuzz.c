/*
 * unpack_fuzz.c - any bytes as a packed record: refused, or exactly what packing would write.
 */
#include "record_check.h"

EXAMPLE_DEFINE

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static const struct ush_record *const records[] = {&sample_record, &team_record,
                                                       &member_record};
    ush_text packed = {(const char *)bytes, n};
    for (size_t i = 0; i < USH_COUNT(records); i++) {
        union {
            struct sample sample;
            struct team team;
            struct member member;
        } value;
        struct ush_arena arena;
        ush_arena_init(&arena, NULL, 0, 16 << 20);
        int result = ush_record_unpack(records[i], packed, &arena, &value);
        MUST(result == 0 || result == USH_EPROTO || result == USH_ELIMIT);
        MUST(arena.held_bytes <= 65536 + 100 * n);
        if (result == 0) {
            struct ush_buf again;
            ush_buf_init(&again, n);
            ush_record_pack(records[i], &value, &again);
            MUST(again.error == 0 && ush_text_equal(ush_buf_text(&again), packed));
            ush_buf_fini(&again);
        }
        ush_arena_fini(&arena);
    }
    return 0;
}
