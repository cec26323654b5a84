/*
 * race.c - finding a race by its seed: two tasks, one counter, and a wait between read and write.
 *
 * One thread does not mean no races. Between the read and the write lies a wait, and the other task
 * runs there. In the order of service it may never happen on a laptop. The simulated loop tries
 * other orders, and a seed repeats the one that failed; and where every task waits for another, it
 * says who for whom.
 */
#include <stdio.h>

#include "usher/usher.h"

enum { SEEDS = 1000 };

static struct {
    int count;
    bool uses_lock;
    struct ush_mutex lock, second;
} till;

static int add_one(void *unused __attribute__((unused)))
{
    if (till.uses_lock)
        USH_TRY(ush_mutex_lock(&till.lock));
    int seen = till.count;
    USH_TRY(ush_yield()); /* a query, a mail, any wait */
    till.count = seen + 1;
    if (till.uses_lock)
        ush_mutex_unlock(&till.lock);
    return 0;
}

static int run(void *uses_lock)
{
    till.count = 0;
    till.uses_lock = *(bool *)uses_lock;
    ush_mutex_init(&till.lock, "till");
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, add_one, NULL);
    ush_spawn(&scope, add_one, NULL);
    USH_TRY(ush_scope_close(&scope));
    return till.count;
}

/* How many of the seeds lose an update. */
static int count_losses(bool uses_lock)
{
    int lost = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct ush_sim_options o = {.seed = seed, .order = USH_SIM_RANDOM};
        lost += ush_sim_run(&o, run, &uses_lock, NULL) != 2;
    }
    return lost;
}

static int lock_both(void *in_order)
{
    bool forward = *(bool *)in_order;
    USH_TRY(ush_mutex_lock(forward ? &till.lock : &till.second));
    USH_TRY(ush_yield());
    return ush_mutex_lock(forward ? &till.second : &till.lock); /* the other way round */
}

static int run_crossed(void *unused __attribute__((unused)))
{
    bool orders[] = {true, false};
    ush_mutex_init(&till.lock, "till");
    ush_mutex_init(&till.second, "ledger");
    return ush_gather(2, 0, lock_both, orders, sizeof *orders);
}

int main(void)
{
    struct ush_sim_report report;
    printf("without a lock: an update is lost under %s\n",
           count_losses(false) > 0 ? "some seeds" : "no seed");
    printf("with a lock:    an update is lost under %s\n",
           count_losses(true) > 0 ? "some seeds" : "no seed");
    int r = ush_sim_run(&(struct ush_sim_options){.seed = 1}, run_crossed, NULL, &report);
    printf("locks in two orders: %s\n%s", ush_error_text(r), report.text);
    return r != USH_EDEADLOCK;
}
