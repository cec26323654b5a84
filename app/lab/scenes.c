/*
 * scenes.c - the table of scenes: one idea each.
 */
#include "lab/scenes.h"

enum { MODEL = LAB_STUDENTS | LAB_MAIL };

const struct lab_scene lab_scenes[] = {
    {"blocking", "One blocking process",
     "A worker calls the mail server and stands still for two seconds. The next student waits for\n"
     "all before: the hundredth waits 200 seconds, and the processor has nothing to do.",
     MODEL, lab_source_blocking, lab_run_blocking},
    {"workers", "Several blocking processes (pre-fork)",
     "Four cashiers serve four customers at once, and each still stands still while it waits.\n"
     "Workers help four times, not a hundred times.",
     MODEL | LAB_WORKERS, lab_source_blocking, lab_run_workers},
    {"thread-per-request", "A thread for each request",
     "Simple code, and all wait at once. Each thread costs a stack and a place in the scheduler:\n"
     "look at the memory, and then try ten thousand.",
     MODEL, lab_source_threads, lab_run_thread_each},
    {"thread-pool", "A pool of threads with a queue",
     "A request borrows a thread and gives it back. What does not find one stands in the queue:\n"
     "with 20 threads the students are served in groups of 20.",
     MODEL | LAB_THREADS, lab_source_threads, lab_run_thread_pool},
    {"event-loop", "An event loop with callbacks",
     "One thread begins every call and waits for none. The operating system says which call is\n"
     "answered, and the callback that belongs to it runs. Fast, small, and hard to read.",
     MODEL, lab_source_callbacks, lab_run_callbacks},
    {"tasks", "Tasks on one loop",
     "The same loop under code that reads like the blocking model: a wait parks the task, not the\n"
     "thread. A hundred times two seconds take two seconds.",
     MODEL, lab_source_tasks, lab_run_tasks},
    {"4x250", "Four workers with 250 tasks each",
     "Processes for the cores, tasks for the waits: a thousand students are under way at once.\n"
     "Concurrency and parallelism are two things, and multiply.",
     MODEL | LAB_WORKERS, lab_source_tasks, lab_run_task_workers},
    {"models", "All models, one table",
     "The same students, the same mail server, each model with its own mechanism. The timeline is\n"
     "that of the last.",
     MODEL | LAB_WORKERS | LAB_THREADS, lab_source_tasks, lab_run_models},
    {0},
};

const struct lab_scene *lab_scene_find(const char *name)
{
    for (const struct lab_scene *s = lab_scenes; s->name; s++)
        if (!strcmp(s->name, name))
            return s;
    return NULL;
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
