/*
 * record_check.h - what must hold of every decoder, whatever it was given. The fuzz targets of the
 * record layer share it.
 */
#ifndef FUZZ_RECORD_CHECK_H
#define FUZZ_RECORD_CHECK_H

#include <jansson.h>
#include <stdlib.h>

#include "../unit/record/example.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

/* 0 comes without faults, USH_EINVAL and USH_EPROTO with at least one; each fault can be told to a
 * client as JSON. */
static inline void check_outcome(int result, const struct ush_faults *faults)
{
    MUST(result == 0 || result == USH_EINVAL || result == USH_EPROTO || result == USH_ELIMIT);
    MUST(result == USH_ELIMIT || (result == 0) == (faults->count == 0));
    struct ush_buf out;
    ush_buf_init(&out, 1 << 20);
    ush_faults_json(faults, &out);
    json_t *list = json_loadb(out.at, out.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    MUST(list && json_array_size(list) == faults->count);
    json_decref(list);
    ush_buf_fini(&out);
}

/* What was decoded can be written, read again, and is then written the same. */
static inline void check_round_trip(const struct ush_record *r, const void *value, void *spare,
                                    struct ush_arena *arena)
{
    struct ush_buf first, second;
    struct ush_faults faults;
    ush_buf_init(&first, 1 << 20);
    ush_buf_init(&second, 1 << 20);
    ush_faults_init(&faults, arena);
    ush_record_encode_json(r, value, &first);
    MUST(ush_utf8_valid(ush_buf_text(&first)));
    MUST(ush_record_decode_json(r, ush_buf_text(&first), arena, spare, &faults) == 0);
    ush_record_encode_json(r, spare, &second);
    MUST(ush_text_equal(ush_buf_text(&first), ush_buf_text(&second)));
    ush_buf_reset(&second);
    ush_record_pack(r, value, &second);
    MUST(ush_record_unpack(r, ush_buf_text(&second), arena, spare) == 0);
    ush_buf_fini(&first);
    ush_buf_fini(&second);
}

#endif
