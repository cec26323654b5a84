/*
 * buf.c - bytes that grow up to a limit.
 *
 * Whatever we send, render or log is built by adding to a buffer. The limit is part of the buffer,
 * so no caller can forget it, and the first addition that fails closes the buffer: nothing is
 * added behind the gap, and one look at `error` at the end tells whether the whole is there.
 *
 * Invariants
 * 1. len <= cap_bytes <= max_bytes; the memory has one byte more, for the NUL.
 * 2. error is 0 until an addition failed and then stays until reset or fini.
 * 3. A buffer that owns nothing (at == NULL) is valid and empty.
 *
 * The memory doubles, so n additions cost O(n). It never shrinks before fini.
 */
#include "usher/base.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BYTES = 240 };

void ush_buf_init(struct ush_buf *b, size_t max_bytes)
{
    /* One below SIZE_MAX: the NUL must be countable too. */
    *b = (struct ush_buf){.max_bytes = max_bytes < SIZE_MAX ? max_bytes : SIZE_MAX - 1};
}

void ush_buf_fini(struct ush_buf *b)
{
    free(b->at);
    *b = (struct ush_buf){0};
}

void ush_buf_reset(struct ush_buf *b)
{
    b->len = 0;
    b->error = 0;
    if (b->at)
        b->at[0] = 0;
}

char *ush_buf_room(struct ush_buf *b, size_t bytes)
{
    if (USH_UNLIKELY(b->error))
        return NULL;
    if (bytes > b->max_bytes - b->len) {
        b->error = USH_ELIMIT;
        return NULL;
    }
    size_t need = b->len + bytes;
    if (need > b->cap_bytes || !b->at) {
        size_t cap = b->cap_bytes ? b->cap_bytes : FIRST_BYTES;
        while (cap < need && cap < b->max_bytes)
            cap = cap <= b->max_bytes / 2 ? cap * 2 : b->max_bytes;
        cap = cap < b->max_bytes ? cap : b->max_bytes;
        char *at = realloc(b->at, cap + 1);
        if (!at) {
            b->error = USH_ELIMIT;
            return NULL;
        }
        b->at = at;
        b->cap_bytes = cap;
    }
    b->at[need] = 0;
    return b->at + b->len;
}

void ush_buf_add(struct ush_buf *b, ush_text t)
{
    if (t.len == 0)
        return;
    char *room = ush_buf_room(b, t.len);
    if (room) {
        memcpy(room, t.at, t.len);
        b->len += t.len;
    }
}

void ush_buf_add_byte(struct ush_buf *b, char c)
{
    char *room = ush_buf_room(b, 1);
    if (room) {
        *room = c;
        b->len++;
    }
}

void ush_buf_add_i64(struct ush_buf *b, int64_t value)
{
    char digits[20], *p = digits + sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        *--p = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--p = '-';
    ush_buf_add(b, (ush_text){p, (size_t)(digits + sizeof digits - p)});
}

void ush_buf_printf(struct ush_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *room = n >= 0 ? ush_buf_room(b, (size_t)n) : NULL;
    if (room) {
        vsnprintf(room, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void ush_buf_drop(struct ush_buf *b, size_t bytes)
{
    assert(bytes <= b->len);
    if (bytes == 0)
        return;
    b->len -= bytes;
    memmove(b->at, b->at + bytes, b->len);
    b->at[b->len] = 0;
}
