/*
 * shared.c - promises, and shared cells that know who read them.
 *
 * A read-modify-write over a wait is the one race that a single thread still has, and nothing in
 * memory shows it: each of the three steps is right by itself. A cell therefore counts its writes
 * (`version`) and remembers which version each task has seen last. A write is stale when
 *
 *     the writer has read the cell, and     somebody else has written since.
 *
 * The writer's own write counts as its newest read. A task that has never read may write anything:
 * that is an overwrite on purpose. So a report is always about something the task has looked at and
 * that was no longer true; whether it mattered, the author decides by reading again or not.
 *
 * Cells outlive runs (they are often static): the number of the run in the cell says whether what
 * it remembers is of this one. Outside a loop, and on pool threads, cells are plain variables.
 */
#include <stdio.h>
#include <stdlib.h>

#include "explore/explore.h"

_Thread_local struct ush__verdict ush__verdict;

/* ---- promises -------------------------------------------------------------------------------- */

USH_PRINTF(2, 0) static void verdict_set(enum ush_explore_fault fault, const char *fmt, va_list ap)
{
    struct ush__verdict *v = &ush__verdict;
    if (v->fault != USH_EXPLORE_HELD)
        return;
    v->fault = fault;
    vsnprintf(v->what, sizeof v->what, fmt, ap);
}

void ush__verdict_set(enum ush_explore_fault fault, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    verdict_set(fault, fmt, ap);
    va_end(ap);
}

void ush_broken(const char *site, const char *fmt, ...)
{
    char text[USH__WHAT_BYTES];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!ush__verdict.is_exploring) {
        ush_error("promise.broken", "%s: does not hold: %s (task \"%s\")", site, text,
                  ush_task_name());
        abort();
    }
    ush__verdict_set(USH_EXPLORE_BROKEN, "%s: does not hold: %s", site, text);
}

bool ush_is_broken(void)
{
    return ush__verdict.fault != USH_EXPLORE_HELD;
}

/* ---- cells ----------------------------------------------------------------------------------- */

/* The running task, with the cell made fresh if it remembers another run; NULL outside a task. */
static const struct ush_task *user_of(struct ush_shared *c)
{
    if (!ush_is_task())
        return NULL;
    if (c->run != ush__verdict.run)
        *c = (struct ush_shared){.run = ush__verdict.run};
    return ush__self();
}

static void saw(struct ush_shared *c, uint64_t task, const char *site)
{
    uint32_t i = 0;
    while (i < USH_SHARED_READERS && c->readers[i].task != task)
        i++;
    if (i == USH_SHARED_READERS)
        i = c->next++ % USH_SHARED_READERS;
    c->readers[i].task = task;
    c->readers[i].version = c->version;
    c->readers[i].at = site;
}

void ush_shared_read(struct ush_shared *c, const char *site)
{
    const struct ush_task *t = user_of(c);
    if (t)
        saw(c, t->id, site);
}

static void report(const struct ush_shared *c, const char *name, const char *site, const char *seen)
{
    static const char form[] = "%s: \"%s\" writes %s, which it read at %s; \"%s\" has written it "
                               "since, at %s: that update is lost";
    if (ush__verdict.is_exploring)
        ush__verdict_set(USH_EXPLORE_STALE, form, site, ush_task_name(), name, seen, c->writer_name,
                         c->written_at);
    else
        ush_warn("shared.stale", form, site, ush_task_name(), name, seen, c->writer_name,
                 c->written_at);
}

void ush_shared_write(struct ush_shared *c, const char *name, const char *site)
{
    const struct ush_task *t = user_of(c);
    if (!t)
        return;
    for (uint32_t i = 0; i < USH_SHARED_READERS; i++)
        if (c->readers[i].task == t->id && c->readers[i].version < c->version)
            report(c, name, site, c->readers[i].at);
    c->version++;
    c->written_at = site;
    snprintf(c->writer_name, sizeof c->writer_name, "%s", t->name);
    saw(c, t->id, site);
}
