/*
 * guard.h - bytes that end where memory ends, so that reading one byte too many faults; and the
 * files of a corpus.
 */
#ifndef TESTS_HTTP_GUARD_H
#define TESTS_HTTP_GUARD_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "usher/base.h"

enum { GUARD_BYTES = 128 << 10 }; /* the longest text that fits */

/* A copy of `t` right before a page that cannot be touched. One at a time: the next call reuses
 * the memory. */
static inline ush_text guarded(ush_text t)
{
    static char *end;
    if (!end) {
        char *at = mmap(NULL, GUARD_BYTES + 4096, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert(at != MAP_FAILED);
        end = at + GUARD_BYTES;
        int r = mprotect(end, 4096, PROT_NONE);
        assert(r == 0);
    }
    assert(t.len <= GUARD_BYTES);
    char *at = end - t.len;
    if (t.len)
        memcpy(at, t.at, t.len);
    return (ush_text){at, t.len};
}

struct corpus_file {
    char name[256];
    ush_text bytes;
};

/* All files of a folder, in the order of their names. The number; aborts when there is none. */
static inline size_t corpus_read(const char *folder, struct corpus_file **ret_files)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    struct corpus_file *files = calloc(n > 0 ? (size_t)n : 1, sizeof *files);
    size_t count = 0;
    for (int i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        FILE *f = entries[i]->d_name[0] == '.' ? NULL : fopen(path, "rb");
        if (f) {
            char *bytes = malloc(GUARD_BYTES);
            size_t len = fread(bytes, 1, GUARD_BYTES, f);
            snprintf(files[count].name, sizeof files[count].name, "%s", entries[i]->d_name);
            files[count++].bytes = (ush_text){bytes, len};
            fclose(f);
        }
        free(entries[i]);
    }
    free(entries);
    if (count == 0) {
        fprintf(stderr, "no files in %s (run from the top of the tree)\n", folder);
        abort();
    }
    *ret_files = files;
    return count;
}

/* A small generator for seeded mutations (xorshift64*): the same everywhere, unlike rand(). */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

#endif
