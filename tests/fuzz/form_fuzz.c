/*
 * form_fuzz.c - any bytes as a form and as a query string.
 */
#include "record_check.h"

EXAMPLE_DEFINE

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ush_arena arena;
    struct ush_faults faults;
    struct sample value, spare;
    ush_text body = {(const char *)bytes, n};
    ush_arena_init(&arena, NULL, 0, 4 << 20);
    ush_faults_init(&faults, &arena);
    int result = ush_record_decode_form(&sample_record, body, &arena, &value, &faults);
    check_outcome(result, &faults);
    if (result == 0)
        check_round_trip(&sample_record, &value, &spare, &arena);
    ush_faults_init(&faults, &arena);
    result = ush_record_decode_query(&sample_record, body, &arena, &value, &faults);
    check_outcome(result, &faults);
    ush_arena_fini(&arena);
    return 0;
}
