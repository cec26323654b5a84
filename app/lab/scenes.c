/*
 * scenes.c - the table of scenes: one idea each.
 */
#include "lab/scenes.h"

enum { MODEL = LAB_STUDENTS | LAB_MAIL };

const struct lab_scene lab_scenes[] = {
    {"blocking", "One blocking process",
     "A worker calls the mail server and stands still for two seconds. The next student\n"
     "waits for all before: the hundredth waits 200 seconds, and the processor has nothing\n"
     "to do.",
     MODEL, lab_source_blocking, 0, NULL, lab_run_blocking},
    {"workers", "Several blocking processes (pre-fork)",
     "Four cashiers serve four customers at once, and each still stands still while it\n"
     "waits. Workers help four times, not a hundred times.",
     MODEL | LAB_WORKERS, lab_source_blocking, 0, "static int door[2];", lab_run_workers},
    {"thread-per-request", "A thread for each request",
     "Simple code, and all wait at once. Each thread costs a stack and a place in the\n"
     "scheduler: look at the memory, and then try ten thousand.",
     MODEL, lab_source_threads, 0, NULL, lab_run_thread_each},
    {"thread-pool", "A pool of threads with a queue",
     "A request borrows a thread and gives it back. What does not find one stands in the\n"
     "queue: with 20 threads the students are served in groups of 20.",
     MODEL | LAB_THREADS, lab_source_threads, 0, "static struct {", lab_run_thread_pool},
    {"event-loop", "An event loop with callbacks",
     "One thread begins every call and waits for none. The operating system says which call\n"
     "is answered, and the callback that belongs to it runs. Fast, small, and hard to read.",
     MODEL, lab_source_callbacks, 0, NULL, lab_run_callbacks},
    {"tasks", "Tasks on one loop",
     "The same loop under code that reads like the blocking model: a wait parks the task,\n"
     "not the thread. A hundred times two seconds take two seconds.",
     MODEL, lab_source_tasks, 0, NULL, lab_run_tasks},
    {"4x250", "Four workers with 250 tasks each",
     "Processes for the cores, tasks for the waits: a thousand students are under way at\n"
     "once. Concurrency and parallelism are two things, and multiply.",
     MODEL | LAB_WORKERS, lab_source_tasks, 1000, "/* Each worker takes", lab_run_task_workers},
    {"models", "All models, one table",
     "The same students, the same mail server, each model with its own mechanism. The\n"
     "timeline is that of the last.",
     MODEL | LAB_WORKERS | LAB_THREADS, lab_source_tasks, 0, NULL, lab_run_models},
    {"ten-thousand", "Ten thousand at once",
     "Nearly all of them wait at any instant, and a wait needs no thread: one loop holds\n"
     "them all. With a thread each it is the same two seconds, and many times the memory.\n"
     "The others would take hours.",
     MODEL | LAB_WORKERS | LAB_THREADS, lab_source_tasks, LAB_STUDENTS_MAX, NULL,
     lab_run_ten_thousand, .scale = 1},
    {"blocked-loop", "Computing on the loop",
     "One thread cannot answer while it computes. Three big requests compute for 200 ms, and\n"
     "every small one that comes meanwhile is late; in the pool or as a job they hurt\n"
     "nobody. The watchdog names the culprit.",
     0, lab_source_loop, 0, NULL, lab_run_blocked_loop},
    {"cook", "Ten dishes, or ten cooks",
     "Waits overlap in one process: a second cook does not make the oven faster. Computing\n"
     "does not overlap: it wants a second cook, and a second processor.",
     0, lab_source_loop, 0, "enum { DISHES", lab_run_cook},
    {"gather", "Ten calls of one request",
     "Calls that do not depend on each other need not wait for each other. In a row they\n"
     "take twenty seconds, together two.",
     LAB_MAIL | LAB_CAP, lab_source_waits, 0, NULL, lab_run_gather},
    {"fan-out", "All at once, without a cap",
     "Every student means a call, and all begin in the same moment. The mail server takes a\n"
     "quarter and refuses the rest. With a cap it takes longer, and all are done.",
     MODEL | LAB_CAP, lab_source_waits, LAB_STUDENTS_MAX, NULL, lab_run_fan_out, .scale = 4,
     .cap = 1000},
    {"lost-update", "100 and 1 and 1 make 101",
     "Two threads read 100, both write 101. It passes every test on a quiet machine, and\n"
     "corrupts the count now and then.",
     0, lab_source_races, 0, NULL, lab_run_lost_update},
    {"await-race", "One thread is not immune",
     "Between a read and a write lies a wait, and the other task runs there. The explorer\n"
     "runs many schedules, finds one that loses, and tells it.",
     0, lab_source_races, 0, "static USH_SHARED(int) account", lab_run_await_race},
    {"deadlock", "Two locks, two orders",
     "Each has what the other wants. One order everywhere, and it cannot happen.", 0,
     lab_source_races, 0, "static int lock_both", lab_run_deadlock},
    {"oversell", "Check, then insert",
     "Two seats, three buyers: each looks whether a seat is free, and then takes it. On a\n"
     "real database, with three defences.",
     0, lab_source_races, 0, "enum { SEATS", lab_run_oversell},
    {"lost-work", "Fire and forget",
     "Answered at once, the mail follows; then the power fails. What was only in memory is\n"
     "gone. What was a row is done afterwards.",
     MODEL, lab_source_lost, 0, NULL, lab_run_lost_work},
    {"swallowed", "Errors that nobody sees",
     "Ten of thirty calls fail. In threads that nobody joins nobody knows; a scope tells\n"
     "whoever opened it.",
     0, lab_source_lost, 0, "enum { CALLS", lab_run_swallowed},
    {0},
};

const struct lab_scene *lab_scene_find(const char *name)
{
    for (const struct lab_scene *s = lab_scenes; s->name; s++)
        if (!strcmp(s->name, name))
            return s;
    return NULL;
}

/* Who would need more than half a minute is not waited for. */
int lab_run_ten_thousand(struct lab *l)
{
    l->real_s_max = 30;
    return lab_run_models(l);
}

int lab_run_models(struct lab *l)
{
    static int (*const models[])(struct lab *) = {
        lab_run_blocking,  lab_run_workers, lab_run_thread_each, lab_run_thread_pool,
        lab_run_callbacks, lab_run_tasks,   lab_run_task_workers};
    for (size_t i = 0; i < USH_COUNT(models); i++)
        USH_TRY(models[i](l));
    return 0;
}
