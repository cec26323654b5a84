/*
 * batch.c - what the meeting places of tasks cost: mutex, channel, batch and offload, without any
 * work in them.
 *
 *     build/bench/batch
 *
 * Prints nanoseconds per operation. "batch, n tasks" is n tasks that each submit again and again
 * to a batch whose flush only yields: the cost that group commit adds to a registration. "offload"
 * is a thread pool's round trip for a function that returns at once, which is two context switches
 * of the kernel when one task waits at a time, and less when many do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "usher/task.h"

enum { OPERATIONS = 400000 };

static struct {
    struct ush_mutex mutex;
    struct ush_channel channel;
    uint64_t slots[64];
    struct ush_batch batch;
    struct ush_pool *pool;
    int each; /* operations per task */
} x;

static int lock_often(void *unused)
{
    (void)unused;
    for (int i = 0; i < x.each; i++) {
        USH_TRY(ush_mutex_lock(&x.mutex));
        ush_mutex_unlock(&x.mutex);
    }
    return 0;
}

static int send_often(void *unused)
{
    (void)unused;
    for (uint64_t i = 0; i < (uint64_t)x.each; i++)
        USH_TRY(ush_channel_send(&x.channel, &i));
    ush_channel_close(&x.channel);
    return 0;
}

static int receive_all(void *unused)
{
    uint64_t message;
    int r;
    (void)unused;
    while ((r = ush_channel_recv(&x.channel, &message)) == 1)
        ;
    return r;
}

static int flush(void *ctx, struct ush_batch_item **items, size_t n)
{
    (void)ctx, (void)items, (void)n;
    return ush_yield();
}

static int submit_often(void *unused)
{
    (void)unused;
    for (int i = 0; i < x.each; i++) {
        struct ush_batch_item item;
        USH_TRY(ush_batch_submit(&x.batch, &item));
    }
    return 0;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int offload_often(void *unused)
{
    (void)unused;
    for (int i = 0; i < x.each; i++)
        USH_TRY(ush_offload(x.pool, nothing, NULL));
    return 0;
}

static int measure(const char *what, int tasks, int operations, ush_fn fn, ush_fn other)
{
    x.each = operations / tasks;
    USH_TRY(ush_yield());
    int64_t start_ns = ush_now_ns();
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (int i = 0; i < tasks; i++)
        if (ush_spawn(&s, fn, NULL) < 0)
            return -ENOMEM;
    if (other && ush_spawn(&s, other, NULL) < 0)
        return -ENOMEM;
    USH_TRY(ush_scope_close(&s));
    USH_TRY(ush_sleep(0)); /* a turn of the loop reads the clock */
    double ns = (double)(ush_now_ns() - start_ns) / (x.each * tasks);
    printf("%-28s %4d task%s %8.1f ns\n", what, tasks, tasks == 1 ? " " : "s", ns);
    return 0;
}

static int run(void *unused)
{
    (void)unused;
    struct ush_scope home;
    ush_scope_open(&home, NULL);
    ush_mutex_init(&x.mutex, "mutex");
    ush_channel_init(&x.channel, "channel", x.slots, sizeof x.slots[0], USH_COUNT(x.slots));
    struct ush_batch_options batch = {
        .name = "batch", .max = 256, .queue_max = 4096, .flush = flush};
    USH_TRY(ush_batch_init(&x.batch, &home, &batch));
    x.pool =
        ush_pool_new(&(struct ush_pool_options){.name = "bench", .threads = 2, .queue_max = 4096});
    if (!x.pool)
        return -ENOMEM;
    USH_TRY(measure("mutex, free", 1, OPERATIONS, lock_often, NULL));
    USH_TRY(measure("channel of 64", 1, OPERATIONS, send_often, receive_all));
    USH_TRY(measure("batch", 1, OPERATIONS, submit_often, NULL));
    USH_TRY(measure("batch", 64, OPERATIONS, submit_often, NULL));
    USH_TRY(measure("batch", 1024, OPERATIONS, submit_often, NULL));
    USH_TRY(measure("offload", 1, OPERATIONS / 10, offload_often, NULL));
    USH_TRY(measure("offload", 64, OPERATIONS / 10, offload_often, NULL));
    ush_pool_free(x.pool);
    int closed = ush_scope_close(&home);
    ush_batch_fini(&x.batch);
    return closed;
}

int main(void)
{
    struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};
    int r = ush_run(&o, run, NULL);
    if (r < 0)
        fprintf(stderr, "batch: %s\n", ush_error_text(r));
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
