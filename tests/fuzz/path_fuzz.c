/*
 * path_fuzz.c - any bytes as a path: what is accepted is one path in one form. It begins with a
 * slash, has no dot segment, control byte or malformed character, and encoding it again leads to
 * the same path.
 */
#include <stdlib.h>

#include "http/parse.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_segments(ush_text path)
{
    for (ush_text rest = path; rest.at;) {
        ush_text segment = ush_text_cut(&rest, '/');
        MUST(!ush_text_equal(segment, USH_T(".")) && !ush_text_equal(segment, USH_T("..")));
    }
    for (size_t i = 0; i < path.len; i++)
        MUST((unsigned char)path.at[i] >= 0x20 && path.at[i] != 0x7f && path.at[i] != '\\');
    MUST(ush_utf8_valid(path));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ush_arena arena;
    ush_text path, again;
    ush_arena_init(&arena, NULL, 0, 4 << 20);
    if (ush_path_normal((ush_text){(const char *)bytes, n}, &arena, &path) == 0) {
        MUST(path.len >= 1 && path.len <= n && path.at[0] == '/');
        check_segments(path);
        struct ush_buf b;
        ush_buf_init(&b, 4 << 20);
        for (ush_text rest = {path.at + 1, path.len - 1}; rest.at;) {
            ush_buf_add_byte(&b, '/');
            ush_buf_add_percent(&b, ush_text_cut(&rest, '/'));
        }
        MUST(ush_path_normal(ush_buf_text(&b), &arena, &again) == 0);
        MUST(ush_text_equal(path, again));
        ush_buf_fini(&b);
    }
    ush_arena_fini(&arena);
    return 0;
}
