/*
 * batch.c - group commit: many tasks append a line each, and share one fsync.
 *
 * A line is submitted and its task waits until the line is on the disk. While one fsync is under
 * way further lines gather; the next fsync is for all of them. A line that comes alone is written
 * at once: no delay is ever added. The desk of the application does the same with registrations.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "usher/usher.h"

enum { CLIENTS = 64, LINES_EACH = 10 };

static struct {
    int fd;
    struct ush_batch batch;
} journal;

struct line {
    struct ush_batch_item item; /* in the memory of the task that waits */
    char text[32];
};

struct lines {
    struct ush_batch_item **items;
    size_t n;
};

/* In a thread, since fsync blocks. */
static int write_lines(void *arg)
{
    const struct lines *l = arg;
    for (size_t i = 0; i < l->n; i++)
        dprintf(journal.fd, "%s\n", USH_CONTAINER(l->items[i], struct line, item)->text);
    return fsync(journal.fd) < 0 ? -errno : 0;
}

static int flush(void *ctx __attribute__((unused)), struct ush_batch_item **items, size_t n)
{
    struct lines l = {items, n};
    return ush_offload(ush_blocking_pool(), write_lines, &l); /* the result of all of them */
}

static int client(void *number)
{
    for (int i = 0; i < LINES_EACH; i++) {
        struct line line;
        snprintf(line.text, sizeof line.text, "client %d line %d", *(int *)number, i);
        USH_TRY(ush_batch_submit(&journal.batch, &line.item));
    }
    return 0;
}

static int run(void *path)
{
    int numbers[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        numbers[i] = i;
    journal.fd = open(path, O_CREAT | O_TRUNC | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    if (journal.fd < 0)
        return -errno;
    const struct ush_batch_options o = {
        .name = "journal", .max = 256, .queue_max = 10000, .flush = flush};
    USH_TRY(ush_batch_init(&journal.batch, ush_root_scope(), &o));
    int r = ush_gather(CLIENTS, 0, client, numbers, sizeof *numbers);
    printf("%llu lines are on the disk after %llu fsyncs\n",
           (unsigned long long)journal.batch.items, (unsigned long long)journal.batch.flushes);
    ush_batch_fini(&journal.batch);
    return r;
}

int main(int argc, char **argv)
{
    return ush_run(&(struct ush_loop_options){0}, run, argc > 1 ? argv[1] : "journal.txt") < 0;
}
