/*
 * replay.c - runs a fuzz target over a folder, without a fuzzer.
 *
 *     build/tests/fuzz/json_fuzz tests/corpus/json
 *
 * Every file of the folder is given to LLVMFuzzerTestOneInput as it is, cut off at each of its
 * first bytes, and with mutations: bytes changed, dropped, repeated, and pieces of other files put
 * in. The mutations come from a fixed seed, so a run is the same everywhere and a failure comes
 * back. Each input lies in memory of exactly its size, so that AddressSanitizer and Valgrind see
 * one byte too far. On a crash the input is printed in hex; saved into the folder it is a test.
 *
 * tools/fuzz builds the same targets with libFuzzer, which finds new inputs; this finds old faults
 * that came back. A folder without files is an error, not a pass.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../slow.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { FILES_MAX = 4096, INPUT_MAX = 1 << 16, CUTS_MAX = 300, MUTATIONS = 300 };

struct file {
    char *name;  /* owned */
    uint8_t *at; /* owned */
    size_t n;
};

static struct file files[FILES_MAX];
static size_t file_count, inputs;
static uint64_t random_state = 1;

/* What is being run, for on_crash. */
static const char *current_name;
static const uint8_t *current;
static size_t current_n;

static uint32_t next_random(size_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return below ? (uint32_t)((random_state >> 33) % below) : 0;
}

static void say(const char *s)
{
    if (write(2, s, strlen(s)) < 0)
        _exit(1);
}

static void on_crash(int signo)
{
    signal(signo, SIG_DFL);
    say("\nfailed on a form of ");
    say(current_name);
    say(":\n");
    for (size_t i = 0; i < current_n && i < 4096; i++) {
        char hex[3] = {"0123456789abcdef"[current[i] >> 4], "0123456789abcdef"[current[i] & 15]};
        say(hex);
    }
    say("\n");
    raise(signo);
}

static void run(const uint8_t *bytes, size_t n)
{
    uint8_t *exact = malloc(n ? n : 1);
    if (!exact)
        abort();
    memcpy(exact, bytes, n);
    current = exact;
    current_n = n;
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    inputs++;
}

/* Changes the n bytes at b, which has room for INPUT_MAX; returns how many there are then. */
static size_t mutate(uint8_t *b, size_t n)
{
    size_t at = next_random(n), length = next_random(n - at < 16 ? n - at : 16);
    const struct file *other = &files[next_random(file_count)];
    size_t from = next_random(other->n), take = next_random(other->n - from);
    switch (next_random(5)) {
    case 0:
        if (n)
            b[at] ^= (uint8_t)(1u << next_random(8));
        return n;
    case 1:
        if (n)
            b[at] = (uint8_t)next_random(256);
        return n;
    case 2: /* drop */
        memmove(b + at, b + at + length, n - at - length);
        return n - length;
    case 3: /* repeat */
        if (n + length > INPUT_MAX)
            return n;
        memmove(b + at + length, b + at, n - at);
        return n + length;
    default: /* a piece of another file */
        if (n + take > INPUT_MAX)
            return n;
        memmove(b + at + take, b + at, n - at);
        memcpy(b + at, other->at + from, take);
        return n + take;
    }
}

static void run_all_of(const struct file *f, int mutations)
{
    static uint8_t work[INPUT_MAX];
    current_name = f->name;
    run(f->at, f->n);
    for (size_t cut = 0; cut < f->n && cut < CUTS_MAX; cut++)
        run(f->at, cut);
    for (int i = 0; i < mutations; i++) {
        memcpy(work, f->at, f->n);
        size_t n = f->n;
        for (uint32_t k = 1 + next_random(4); k > 0; k--)
            n = mutate(work, n);
        run(work, n);
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static void load(const char *folder, const char *name)
{
    char path[4096];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        perror(path);
        exit(1);
    }
    if (S_ISREG(st.st_mode) && st.st_size <= INPUT_MAX && file_count < FILES_MAX) {
        struct file *f = &files[file_count++];
        f->name = strdup(name);
        f->at = malloc(INPUT_MAX);
        ssize_t n = f->at ? read(fd, f->at, INPUT_MAX) : -1;
        if (!f->name || n < 0) {
            perror(path);
            exit(1);
        }
        f->n = (size_t)n;
    }
    close(fd);
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "usage: %s FOLDER   (a folder of inputs)\n", argv[0]);
        return 1;
    }
    for (struct dirent *e; (e = readdir(folder));)
        if (e->d_name[0] != '.')
            load(argv[1], e->d_name);
    closedir(folder);
    if (file_count == 0) {
        fprintf(stderr, "%s: no inputs\n", argv[1]);
        return 1;
    }
    qsort(files, file_count, sizeof *files, by_name);
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    int mutations = fewer(MUTATIONS);
    for (size_t i = 0; i < file_count; i++)
        run_all_of(&files[i], mutations);
    printf("%zu inputs from %zu files\n", inputs, file_count);
    for (size_t i = 0; i < file_count; i++) {
        free(files[i].name);
        free(files[i].at);
    }
    return 0;
}
