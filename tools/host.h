/*
 * host.h - what the tools that run at build time share: they read files, write C, and stop with
 * "FILE: what is wrong" at the first mistake. They run for a moment and free nothing.
 */
#ifndef TOOLS_HOST_H
#define TOOLS_HOST_H

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes {
    char *at; /* followed by a NUL byte */
    size_t len;
};

static inline void __attribute__((noreturn, format(printf, 2, 3)))
die(const char *file, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s: ", file);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    exit(1);
}

static inline void *must(void *memory)
{
    if (!memory)
        die("tools", "out of memory");
    return memory;
}

static inline char *__attribute__((format(printf, 1, 2))) format(const char *fmt, ...)
{
    char *s;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&s, fmt, ap) < 0)
        die("tools", "out of memory");
    va_end(ap);
    return s;
}

static inline bool try_read(const char *path, struct bytes *ret)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    struct bytes b = {must(malloc(1)), 0};
    size_t room = 0, n;
    do {
        room = room * 2 + 4096;
        b.at = must(realloc(b.at, room + 1));
        n = fread(b.at + b.len, 1, room - b.len, f);
        b.len += n;
    } while (b.len == room);
    b.at[b.len] = 0;
    bool good = !ferror(f);
    fclose(f);
    *ret = b;
    return good;
}

static inline struct bytes read_file(const char *path)
{
    struct bytes b;
    if (!try_read(path, &b))
        die(path, "cannot be read");
    return b;
}

static inline void write_file(const char *path, struct bytes b)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(b.at, 1, b.len, f) != b.len || fclose(f) != 0)
        die(path, "cannot be written");
}

static inline void write_if_changed(const char *path, struct bytes b)
{
    struct bytes old;
    if (!try_read(path, &old) || old.len != b.len || memcmp(old.at, b.at, b.len) != 0)
        write_file(path, b);
}

/* A file that is written to memory first, so that a failed run leaves nothing half done. */
struct out {
    FILE *f;
    struct bytes text;
};

static inline struct bytes out_close(struct out *o)
{
    if (fclose(o->f) != 0)
        die("tools", "out of memory");
    return o->text;
}

/* A C string literal. Octal escapes have three digits, so nothing can run into the next byte. */
static inline void put_literal(FILE *f, struct bytes b)
{
    fputc('"', f);
    for (size_t i = 0; i < b.len; i++) {
        unsigned char c = (unsigned char)b.at[i];
        if (c == '\n')
            fputs(i + 1 < b.len ? "\\n\"\n    \"" : "\\n", f);
        else if (c < 0x20 || c >= 0x7f || c == '?')
            fprintf(f, "\\%03o", c);
        else
            fprintf(f, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    fputc('"', f);
}

static inline const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static inline char *folder_name(const char *path)
{
    const char *end = strrchr(path, '/');
    if (!end)
        return format(".");
    const char *start = end;
    while (start > path && start[-1] != '/')
        start--;
    return format("%.*s", (int)(end - start), start);
}

/* Where OUT.h is found by an #include: "gen/sql" for "build/gen/sql". */
static inline char *include_name(const char *out)
{
    return format("%s/%s.h", folder_name(out), base_name(out));
}

static inline void out_open(struct out *o)
{
    o->f = must(open_memstream(&o->text.at, &o->text.len));
}

/* OUT.c and OUT.h with their first lines. */
static inline void pair_open(const char *out, const char *needs, struct out *c, struct out *h)
{
    out_open(c);
    out_open(h);
    fprintf(c->f, "/* Made at build time. */\n#include \"%s\"\n", include_name(out));
    fprintf(h->f, "/* Made at build time. */\n#pragma once\n#include \"%s\"\n\n", needs);
}

#endif
