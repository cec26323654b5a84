/*
 * gather.c - n calls, at most `cap` at once, and back when all have ended.
 *
 * Not a task per item but min(n, cap) tasks that each take the next item until there is none: a
 * thousand items with a cap of ten cost ten stacks. The state is one struct on the caller's stack,
 * which stays good because the scope around the tasks closes before the caller goes on.
 *
 *  1. Items are started in order, each exactly once or not at all.
 *  2. At most `cap` calls of fn are in progress at any moment.
 *  3. The first failure cancels the scope: calls in progress fail at their next wait, and no
 *     further item is started. That failure is the result.
 *  4. When every item was called and none failed the result is 0, also if the scope around was
 *     cancelled just then: the work is done and the answer is the truth.
 *
 * When the loop has no room for more tasks (tasks_max) the ones that could be started do all the
 * work; only if not even one could be is that an error. Results of single calls are not collected:
 * fn writes them into its item.
 */
#include "usher/task.h"

struct gather {
    ush_fn fn; /* borrowed, as are the items */
    char *items;
    size_t item_bytes;
    size_t n, next, ended_well;
};

static int work(void *arg)
{
    struct gather *g = arg;
    while (g->next < g->n) {
        USH_TRY(ush_spend(1)); /* a checkpoint for calls that never wait */
        if (g->next == g->n)
            break; /* another took the last one meanwhile */
        char *item = g->items + g->item_bytes * g->next++;
        USH_TRY(g->fn(item));
        g->ended_well++;
    }
    return 0;
}

int ush_gather(size_t n, size_t cap, ush_fn fn, void *items, size_t item_bytes)
{
    USH_TRY(ush_cancelled());
    struct gather g = {.fn = fn, .items = items, .item_bytes = item_bytes, .n = n};
    size_t workers = cap == 0 || cap > n ? n : cap;
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "gather"});
    int spawned = 0;
    for (size_t i = 0; i < workers && spawned == 0; i++)
        spawned = ush_spawn_with(
            &scope, &(struct ush_spawn_options){.name = "gather", .site = USH_SITE}, work, &g);
    int closed = ush_scope_close(&scope);
    if (g.ended_well == n)
        return 0;
    return closed ? closed : spawned;
}
