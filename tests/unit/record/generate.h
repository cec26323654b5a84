/*
 * generate.h - random records for the round trips: every type, absent and present, with texts that
 * are legal but unkind (quotes, line ends in prose, formulas, emoji, joiners).
 */
#ifndef RECORD_GENERATE_H
#define RECORD_GENERATE_H

#include "example.h"

static uint64_t random_state = 1;
static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

static ush_text some_text(struct ush_arena *arena, const struct ush_field *f)
{
    static const char *const pieces[] = {"a",
                                         "Z",
                                         "0",
                                         "'",
                                         "\"",
                                         "=",
                                         "+",
                                         "-",
                                         "@",
                                         "＝",
                                         ",",
                                         ";",
                                         "<",
                                         ">",
                                         "&",
                                         "%s",
                                         "\\",
                                         "é",
                                         "ß",
                                         "नि",
                                         "क्‍ष",
                                         "😀",
                                         "👩‍👩‍👧",
                                         "/",
                                         "~",
                                         "x y",
                                         "\t",
                                         "\n"};
    static const char *const by_format[] = {[USH_EMAIL] = "a.b+c@example.org",
                                            [USH_SLUG] = "robot-race-2",
                                            [USH_PHONE] = "+91 (22) 5-5",
                                            [USH_TOKEN] = "=SUM(1)!\"x\""};
    if (f->choices)
        return next_random(2) ? USH_T("solo") : USH_T("team");
    if (f->format < USH_COUNT(by_format) && by_format[f->format])
        return ush_text_of(by_format[f->format]);
    char text[400];
    size_t len = 0, pieces_left = 1 + next_random(7);
    while (pieces_left--) {
        /* Tabs and line ends only in prose. */
        const char *p = pieces[next_random(USH_COUNT(pieces) - (f->format == USH_PROSE ? 0 : 2))];
        memcpy(text + len, p, strlen(p));
        len += strlen(p);
    }
    text[len++] = 'e'; /* visible, and nothing to trim */
    ush_text t = {text, len};
    while (ush_text_trim(t).len != t.len)
        t.at++, t.len--;
    return ush_arena_copy(arena, t);
}

static void fill(struct ush_arena *arena, const struct ush_record *r, void *value)
{
    memset(value, 0, r->bytes);
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *f = &r->fields[i];
        void *at = (char *)value + f->offset;
        if (f->optional && next_random(2))
            continue;
        *(uint64_t *)value |= UINT64_C(1) << i;
        switch (f->type) {
        case USH_TYPE_TEXT:
            *(ush_text *)at = some_text(arena, f);
            break;
        case USH_TYPE_BYTES: {
            size_t n = 1 + next_random(40);
            char *bytes = ush_arena_alloc(arena, n);
            for (size_t k = 0; k < n; k++)
                bytes[k] = (char)next_random(256);
            *(ush_text *)at = (ush_text){bytes, n};
            break;
        }
        case USH_TYPE_I64:
            *(int64_t *)at = f->max > f->min ? f->min + next_random((uint32_t)(f->max - f->min + 1))
                                             : (int64_t)random_state;
            break;
        case USH_TYPE_TIME:
            *(int64_t *)at = (int64_t)next_random(1u << 31) * 1000 + next_random(1000);
            break;
        case USH_TYPE_BOOL:
            *(bool *)at = next_random(2);
            break;
        case USH_TYPE_JSON:
            *(ush_text *)at = next_random(2) ? USH_T("{\"a\":[1,\"<b>\",true]}") : USH_T("-5");
            break;
        case USH_TYPE_LIST: {
            struct ush_rows *rows = at;
            rows->count = 1 + next_random(3);
            rows->at = ush_arena_alloc(arena, rows->count * f->of->bytes);
            for (size_t k = 0; k < rows->count; k++)
                fill(arena, f->of, (char *)rows->at + k * f->of->bytes);
            break;
        }
        case USH_TYPE_ONE:
            *(void **)at = ush_arena_alloc(arena, f->of->bytes);
            fill(arena, f->of, *(void **)at);
            break;
        }
    }
}

static bool same(const struct ush_record *r, const void *a, const void *b)
{
    if (*(const uint64_t *)a != *(const uint64_t *)b)
        return false;
    for (size_t i = 0; i < r->count; i++) {
        const struct ush_field *f = &r->fields[i];
        const void *x = (const char *)a + f->offset, *y = (const char *)b + f->offset;
        bool equal = true;
        switch (f->type) {
        case USH_TYPE_TEXT:
        case USH_TYPE_BYTES:
        case USH_TYPE_JSON:
            equal = ush_text_equal(*(const ush_text *)x, *(const ush_text *)y) &&
                    !((const ush_text *)x)->at == !((const ush_text *)y)->at;
            break;
        case USH_TYPE_I64:
        case USH_TYPE_TIME:
            equal = *(const int64_t *)x == *(const int64_t *)y;
            break;
        case USH_TYPE_BOOL:
            equal = *(const bool *)x == *(const bool *)y;
            break;
        case USH_TYPE_LIST: {
            const struct ush_rows *m = x, *n = y;
            equal = m->count == n->count;
            for (size_t k = 0; equal && k < m->count; k++)
                equal = same(f->of, (const char *)m->at + k * f->of->bytes,
                             (const char *)n->at + k * f->of->bytes);
            break;
        }
        case USH_TYPE_ONE:
            equal = !*(void *const *)x == !*(void *const *)y &&
                    (!*(void *const *)x || same(f->of, *(void *const *)x, *(void *const *)y));
            break;
        }
        if (!equal)
            return false;
    }
    return true;
}

#endif
