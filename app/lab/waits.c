/*
 * waits.c - several calls of one request: one after another, all at once, with a cap.
 *
 * gather    Ten calls that do not depend on each other. In a row they take twenty seconds, all
 *           together two; with a cap of five, four.
 * fan-out   Each of many students means a call, and all are begun at once. The mail server takes
 *           a quarter of them and refuses the rest: a cap is a courtesy to the peer, and the only
 *           way to get all of them done.
 */
#include <math.h>
#include <stdlib.h>

#include "lab/scenes.h"

LAB_SOURCE(waits);

static struct lab *lab;
static size_t calls, cap; /* cap 0: all at once */

static int call(void *number)
{
    uint32_t n = *(uint32_t *)number;
    lab_note(lab, n, LAB_RUNS, 0);
    lab_note(lab, n, LAB_WAITS, 0);
    int r = lab_mail_task(lab, n);
    if (r < 0 && r != -EBUSY) /* refusals are counted by the peer */
        lab_fail(lab, "the call", r);
    lab_note(lab, n, r < 0 ? LAB_FAILS : LAB_ENDS, 0);
    return 0; /* a failed call does not cancel the others */
}

static int call_all(void *unused __attribute__((unused)))
{
    uint32_t *numbers = calloc(calls, sizeof *numbers);
    if (!numbers)
        return -ENOMEM;
    for (uint32_t i = 0; i < calls; i++)
        numbers[i] = i;
    int r = ush_gather(calls, cap, call, numbers, sizeof *numbers); /* cap 1: one after another */
    free(numbers);
    return r;
}

static int request(struct lab *l)
{
    lab = l;
    l->book->zero_ns = lab_clock_ns();
    int r = ush_run(&(struct ush_loop_options){0}, call_all, NULL);
    l->book->figures[0] = lab_clock_ns() - l->book->zero_ns;
    return r;
}

static int measure(struct lab *l, const char *label, size_t n, size_t at_once, double values[3])
{
    calls = n;
    cap = at_once;
    if (lab_is_too_long(l, label, (int64_t)n, (int64_t)(at_once ? at_once : n))) {
        values[0] = values[1] = values[2] = NAN;
        return 0;
    }
    lab_book_reset(l);
    USH_TRY(lab_mail_start(l));
    int r = lab_process(l, request);
    lab_mail_stop(l);
    if (l->book->failed)
        lab_say(l, "%s: %u did not come about (%s)", label, l->book->failed, l->book->reason);
    values[0] = lab_s(l, l->book->figures[0]);
    values[1] = l->book->at_peer_most;
    values[2] = l->book->refused;
    return r;
}

static int add(struct lab *l, const char *label, size_t n, size_t at_once)
{
    double values[3];
    int r = measure(l, label, n, at_once, values);
    lab_row(l, label, values);
    return r;
}

static const char *const columns[] = {"total, s", "at the peer", "refused"};

int lab_run_gather(struct lab *l)
{
    enum { CALLS = 10 };
    char label[56];
    lab_columns(l, columns, USH_COUNT(columns));
    USH_TRY(add(l, "ten calls, one after another", CALLS, 1));
    USH_TRY(add(l, "ten calls, all at once", CALLS, 0));
    size_t at_once = l->p.cap < CALLS ? (size_t)l->p.cap : CALLS / 2;
    snprintf(label, sizeof label, "ten calls, %zu at once", at_once);
    return add(l, label, CALLS, at_once);
}

int lab_run_fan_out(struct lab *l)
{
    char all[56], capped[56];
    double of_all[3], of_capped[3];
    size_t n = (size_t)l->p.students, at_once = (size_t)l->p.cap;
    l->mail_limit = (int)(n / 4 > 0 ? n / 4 : 1);
    lab_columns(l, columns, USH_COUNT(columns));
    snprintf(all, sizeof all, "%zu calls at once", n);
    snprintf(capped, sizeof capped, "%zu calls, %zu at once", n, at_once);
    USH_TRY(measure(l, capped, n, at_once, of_capped));
    USH_TRY(measure(l, all, n, 0, of_all)); /* the picture is that of the last */
    lab_row(l, all, of_all);
    lab_row(l, capped, of_capped);
    lab_say(l,
            "The mail server takes %d calls at once and refuses what is beyond. The picture is of "
            "the first row.",
            l->mail_limit);
    return 0;
}
