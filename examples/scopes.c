/*
 * scopes.c - who waits for whom: the first answer of two, a deadline, and tidying up in spite of
 * it.
 *
 * A scope owns the tasks that are spawned into it, and closing it waits for all of them. So nothing
 * is left running behind a function that has returned, and pointers to its variables stay good.
 */
#include <stdio.h>

#include "usher/usher.h"

struct ask {
    const char *name;
    int64_t takes_ns;
    struct ush_scope *scope; /* of all that were asked the same */
    const char **answer;
};

static int ask_mirror(void *arg)
{
    struct ask *a = arg;
    int r = ush_sleep(a->takes_ns);
    if (r < 0) {
        printf("  %s: %s\n", a->name, r == -ECANCELED ? "no longer needed" : "too late");
        return r;
    }
    if (!*a->answer)
        *a->answer = a->name;
    ush_scope_cancel(a->scope, USH_CANCEL_ASKED); /* the others need not go on */
    return 0;
}

/* The first of two mirrors that answers, within `patience_ns`. */
static int ask_both(int64_t near_ns, int64_t far_ns, int64_t patience_ns)
{
    struct ush_scope scope;
    const char *answer = NULL;
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "mirrors",
                                                       .deadline_ns = ush_now_ns() + patience_ns});
    struct ask near = {"near", near_ns, &scope, &answer}, far = {"far", far_ns, &scope, &answer};
    int r = ush_spawn(&scope, ask_mirror, &near);
    if (r == 0)
        r = ush_spawn(&scope, ask_mirror, &far);
    int closed = ush_scope_close(&scope); /* waits for both, whatever happened */
    printf("answer: %s\n", answer ? answer : ush_error_text(r < 0 ? r : closed));
    return r;
}

/* Once a scope is cancelled every wait in it fails at once. A shield lets the last words through.
 */
static int leave_in_order(void *unused __attribute__((unused)))
{
    int r = ush_park_until_cancelled();
    struct ush_scope shield;
    ush_scope_open(&shield,
                   &(struct ush_scope_options){.name = "goodbye",
                                               .shield = true,
                                               .deadline_ns = ush_now_ns() + 100 * USH_MS});
    printf("goodbye: %s\n", ush_sleep(5 * USH_MS) == 0 ? "said" : "cut short");
    ush_scope_close(&shield);
    return r;
}

static int run(void *unused __attribute__((unused)))
{
    USH_TRY(ask_both(10 * USH_MS, 10 * USH_SECOND, USH_SECOND));
    USH_TRY(ask_both(10 * USH_SECOND, 10 * USH_SECOND, 20 * USH_MS));
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    int r = ush_spawn(&scope, leave_in_order, NULL);
    ush_yield(); /* it starts, and waits */
    ush_scope_cancel(&scope, USH_CANCEL_SHUTDOWN);
    ush_scope_close(&scope);
    return r;
}

int main(void)
{
    return ush_run(&(struct ush_loop_options){0}, run, NULL) < 0;
}
