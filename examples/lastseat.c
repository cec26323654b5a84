/*
 * lastseat.c - a handler with a race, for docs/explore.md. Try to see it before you run it.
 *
 * Students register for an event with two seats. Each gets a printed badge, and there are printers
 * enough for all. Run as a server this passes every test: with a printer free nobody waits between
 * the look at the counter and the change of it. The explorer asks what else may happen there.
 *
 *     build/examples/lastseat           explores the handler, and fails
 *     build/examples/lastseat fixed     explores the same handler behind a lock
 */
#include <stdio.h>

#include "usher/usher.h"

enum { SEATS = 2, STUDENTS = 3, PRINTERS = 4 };

static USH_SHARED(int) taken;
static int badges;
static struct ush_semaphore printers;
static struct ush_mutex desk;

/* The handler: 0 when the event is full, 1 with a badge. */
static int register_student(void)
{
    int seen = USH_SHARED_READ(taken);
    if (seen == SEATS)
        return 0;
    USH_TRY(ush_semaphore_take(&printers));
    USH_SHARED_WRITE(taken, seen + 1);
    int r = ush_sleep(20 * USH_MS); /* the printer hums */
    ush_semaphore_give(&printers);
    return r < 0 ? r : 1;
}

static int register_locked(void)
{
    USH_TRY(ush_mutex_lock(&desk));
    int r = register_student();
    ush_mutex_unlock(&desk);
    return r;
}

static int student(void *is_fixed)
{
    int got = *(bool *)is_fixed ? register_locked() : register_student();
    USH_TRY(got);
    badges += got;
    return 0;
}

/* The scenario: three students at once. At the end nobody has a badge without a seat. */
static int rush(void *is_fixed)
{
    struct ush_scope scope;
    taken.value = badges = 0;
    ush_semaphore_init(&printers, "printers", PRINTERS);
    ush_mutex_init(&desk, "desk");
    ush_scope_open(&scope, NULL);
    for (int i = 0; i < STUDENTS; i++)
        ush_spawn(&scope, student, is_fixed);
    USH_TRY(ush_scope_close(&scope));
    USH_HOLDS(badges <= SEATS);
    return 0;
}

int main(int argc, char **argv)
{
    bool is_fixed = argc > 1 && strcmp(argv[1], "fixed") == 0;
    static struct ush_explore_report report;
    struct ush_explore_options o = {.name = "lastseat", .quiet = true};
    if (ush_explore(&o, rush, &is_fixed, &report) == 0)
        printf("lastseat: holds under %llu schedules\n", (unsigned long long)report.schedules);
    fputs(report.text, stdout);
    return report.fault != USH_EXPLORE_HELD;
}
