/*
 * arena.c - memory that is given back all at once.
 *
 * A request needs many small pieces that all die together: decoded fields, formatted texts, rows.
 * An arena hands them out by moving a pointer and frees them as a few chunks.
 *
 *     first (the caller's)      chunk              chunk (newest, current)
 *     [used.............]  <-  [hdr|used.....]  <- [hdr|used....|at    end]
 *
 * Invariants
 * 1. `at` is aligned to 16 and at <= end; both point into one chunk, the current one.
 * 2. held_bytes is the size of every chunk together, the caller's included, and after a growth
 *    never above cap_bytes.
 * 3. Every byte handed out is zero.
 * 4. A piece larger than a quarter of the next chunk gets a chunk of its own and the current one
 *    stays current, so one big piece does not waste the rest of it.
 * 5. Rewinding to a mark frees exactly the chunks that were made after it: the list is ordered by
 *    age, and the chunk that was current at the mark is at least as old.
 * 6. Under AddressSanitizer everything not handed out is poisoned, and a gap is left behind each
 *    piece, so running past a piece is reported as with malloc. The caller's chunk is unpoisoned
 *    again by fini, since it is usually a stack.
 *
 * It does not free single pieces, run destructors, or serve two threads.
 */
#include "usher/base.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef __has_feature
#define __has_feature(x) 0 /* gcc says it with a macro of its own */
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define POISON(at, n) ASAN_POISON_MEMORY_REGION(at, n)
#define UNPOISON(at, n) ASAN_UNPOISON_MEMORY_REGION(at, n)
enum { GAP = 16 };
#else
#define POISON(at, n) ((void)(at), (void)(n))
#define UNPOISON(at, n) ((void)(at), (void)(n))
enum { GAP = 0 };
#endif

enum {
    ALIGN = 16,
    CHUNK_MIN = 4096 - 32, /* with malloc's own header below one page */
    CHUNK_MAX = 65536 - 32,
};

struct ush_arena_chunk {
    struct ush_arena_chunk *older; /* owned */
    size_t bytes;                  /* of the whole, header included */
};
static_assert(sizeof(struct ush_arena_chunk) % ALIGN == 0, "pieces behind it stay aligned");

static size_t round_up(size_t n)
{
    return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void set_current(struct ush_arena *a, char *at, char *end)
{
    a->at = at;
    a->end = end;
    if (at)
        POISON(at, (size_t)(end - at));
}

/* Makes the caller's chunk current, or nothing. */
static void start_over(struct ush_arena *a)
{
    char *at = (char *)round_up((size_t)a->first);
    bool has_room = a->first && at < a->first + a->first_bytes;
    set_current(a, has_room ? at : NULL, has_room ? a->first + a->first_bytes : NULL);
}

void ush_arena_init(struct ush_arena *a, void *first, size_t first_bytes, size_t cap_bytes)
{
    *a = (struct ush_arena){.first = first,
                            .first_bytes = first ? first_bytes : 0,
                            .held_bytes = first ? first_bytes : 0,
                            .cap_bytes = cap_bytes};
    start_over(a);
}

static void free_chunks_until(struct ush_arena *a, const struct ush_arena_chunk *stop)
{
    while (a->chunks != stop) {
        struct ush_arena_chunk *c = a->chunks;
        a->chunks = c->older;
        a->held_bytes -= c->bytes;
        free(c);
    }
}

void ush_arena_fini(struct ush_arena *a)
{
    free_chunks_until(a, NULL);
    if (a->first)
        UNPOISON(a->first, a->first_bytes);
    *a = (struct ush_arena){0};
}

void ush_arena_reset(struct ush_arena *a)
{
    free_chunks_until(a, NULL);
    a->failed = false;
    start_over(a);
}

static struct ush_arena_chunk *chunk_new(struct ush_arena *a, size_t bytes)
{
    size_t left = a->cap_bytes > a->held_bytes ? a->cap_bytes - a->held_bytes : 0;
    struct ush_arena_chunk *c = bytes <= left ? malloc(bytes) : NULL;
    if (!c)
        return NULL;
    *c = (struct ush_arena_chunk){.older = a->chunks, .bytes = bytes};
    a->chunks = c;
    a->held_bytes += bytes;
    return c;
}

/* A piece that does not fit the current chunk. `need` is rounded and includes the gap. */
static char *alloc_slow(struct ush_arena *a, size_t need)
{
    size_t header = sizeof(struct ush_arena_chunk);
    size_t next = a->chunks ? a->chunks->bytes * 2 : CHUNK_MIN;
    next = next < CHUNK_MIN ? CHUNK_MIN : next > CHUNK_MAX ? CHUNK_MAX : next;
    struct ush_arena_chunk *c = NULL;
    if (need <= next / 4)
        c = chunk_new(a, next);
    if (c) {
        char *piece = (char *)c + header;
        set_current(a, piece + need, (char *)c + c->bytes);
        return piece;
    }
    /* Its own chunk: it is large, or a full-sized chunk would pass the cap and this may not. */
    c = chunk_new(a, header + need);
    return c ? (char *)c + header : NULL;
}

void *ush_arena_alloc(struct ush_arena *a, size_t bytes)
{
    /* Far above any cap that makes sense, and low enough that nothing below overflows. */
    if (bytes > SIZE_MAX / 4) {
        a->failed = true;
        return NULL;
    }
    size_t need = round_up(bytes ? bytes : 1) + GAP;
    char *piece;
    if (USH_LIKELY(need <= (size_t)(a->end - a->at))) {
        piece = a->at;
        a->at += need;
    } else {
        piece = alloc_slow(a, need);
        if (!piece) {
            a->failed = true;
            return NULL;
        }
    }
    POISON(piece, need);
    UNPOISON(piece, bytes);
    memset(piece, 0, bytes);
    return piece;
}

ush_text ush_arena_copy(struct ush_arena *a, ush_text t)
{
    char *copy = t.at ? ush_arena_alloc(a, t.len + 1) : NULL;
    if (!copy)
        return USH_NONE;
    memcpy(copy, t.at, t.len);
    return (ush_text){copy, t.len};
}

ush_text ush_arena_vprintf(struct ush_arena *a, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    char *text = n >= 0 ? ush_arena_alloc(a, (size_t)n + 1) : NULL;
    if (text)
        vsnprintf(text, (size_t)n + 1, fmt, again);
    va_end(again);
    return text ? (ush_text){text, (size_t)n} : USH_NONE;
}

ush_text ush_arena_printf(struct ush_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ush_text text = ush_arena_vprintf(a, fmt, ap);
    va_end(ap);
    return text;
}

struct ush_arena_mark ush_arena_mark(const struct ush_arena *a)
{
    return (struct ush_arena_mark){a->at, a->end, a->chunks};
}

void ush_arena_rewind(struct ush_arena *a, struct ush_arena_mark mark)
{
    free_chunks_until(a, mark.chunks);
    set_current(a, mark.at, mark.end);
}
