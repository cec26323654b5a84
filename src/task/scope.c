/*
 * scope.c - who waits for whom, and how "stop" reaches everyone concerned.
 *
 * Scopes and tasks form one tree. A scope has two kinds of children: the tasks spawned into it,
 * and the scopes opened inside it (by its opener after it, or by its tasks). A task's innermost
 * scope is the last one it opened, else the one it was spawned into (its home).
 *
 *              root
 *               |  child
 *             task A ---- opened ----> scope "batch"
 *                                        |   |  children
 *                                   task B   task C ---- opened ----> scope "call"
 *
 * Cancelling walks the tree down, stops at shields and at what is cancelled already, marks each
 * scope with its reason and makes the tasks whose innermost scope it is leave their waits. So the
 * question "am I cancelled?" is one load, asked at the beginning of every call that may suspend,
 * and the answer stays yes until the scope is left.
 *
 *   open ----cancel / deadline / failed child / outer cancelled----> open, reason set
 *    |                                                                   |
 *    +---------------- close: waits until it has no children ------------+---> closed
 *
 * Invariants:
 *  1. Scopes of a task close in the reverse order of opening, by that task, and all of them before
 *     it returns. Violations end the process: they would leave pointers to dead stacks.
 *  2. deadline_ns = min(own, outer's) except in a shield; the alarm is set only while its own is
 *     the smaller, so a request with ten nested calls arms one.
 *  3. reason is set once and never changes.
 *  4. A scope whose outer scope is cancelled is cancelled too, unless it is a shield.
 *
 * A failure is a negative result of a child. That a child ends with the code of its own cancelled
 * scope is an echo, not a failure.
 */
#include "task/task.h"

static void on_deadline(struct ush_alarm *a)
{
    ush_scope_cancel(USH_CONTAINER(a, struct ush_scope, alarm), USH_CANCEL_DEADLINE);
}

static void scope_init(struct ush_scope *s, const char *name)
{
    *s = (struct ush_scope){.name = name, .deadline_ns = USH_NEVER, .is_open = true};
    ush_list_init(&s->children);
    ush_list_init(&s->inner);
    ush_list_init(&s->in_outer);
}

void ush__scope_init_root(struct ush_scope *s)
{
    scope_init(s, "root");
    s->keep_going = true;
}

void ush_scope_open(struct ush_scope *s, const struct ush_scope_options *o)
{
    static const struct ush_scope_options plain = {0};
    if (!ush_is_task())
        ush__panic("a scope opened outside a task");
    struct ush_task *t = ush__self();
    if (!o)
        o = &plain;
    assert(!o->shield || o->deadline_ns != 0); /* or clean-up could hang a shutdown for ever */
    scope_init(s, o->name ? o->name : "scope");
    s->outer = t->scope;
    s->opener = t;
    s->shield = o->shield;
    s->keep_going = o->keep_going;
    ush_list_push(&s->outer->inner, &s->in_outer);
    t->scope = s;
    if (!s->shield) {
        s->deadline_ns = s->outer->deadline_ns;
        s->reason = s->outer->reason;
    }
    if (o->deadline_ns == 0 || o->deadline_ns >= s->deadline_ns || s->reason != USH_CANCEL_NONE)
        return;
    s->deadline_ns = o->deadline_ns;
    if (o->deadline_ns <= ush__loop->now_ns)
        s->reason = USH_CANCEL_DEADLINE;
    else
        ush_alarm_set(&s->alarm, o->deadline_ns, on_deadline);
}

int ush_scope_close(struct ush_scope *s)
{
    struct ush_task *t = ush__self();
    if (!s->is_open || s->opener != t || t->scope != s)
        ush__panic("scope \"%s\" closed out of order or by another task; innermost is \"%s\"",
                   s->name, t->scope->name);
    while (!ush_list_is_empty(&s->children)) {
        s->closer = t;
        ush__park(USH__WAIT_CHILDREN, s, ush__never_leave);
        s->closer = NULL;
    }
    assert(ush_list_is_empty(&s->inner));
    ush_alarm_clear(&s->alarm);
    ush_list_del(&s->in_outer);
    t->scope = s->outer;
    s->is_open = false;
    if (s->first_error < 0)
        return s->first_error;
    return s->was_cut ? ush__scope_error(s) : 0;
}

void ush_scope_cancel(struct ush_scope *s, enum ush_cancel_reason reason)
{
    assert(reason != USH_CANCEL_NONE);
    if (s->reason != USH_CANCEL_NONE || !s->is_open)
        return;
    s->reason = (uint8_t)reason;
    s->was_cut = !ush_list_is_empty(&s->children);
    ush_alarm_clear(&s->alarm);
    if (s->opener && s->opener->scope == s)
        ush__cancel_wait(s->opener);
    USH_EACH (&s->children, l) {
        struct ush_task *t = USH_CONTAINER(l, struct ush_task, sibling);
        if (t->scope == s)
            ush__cancel_wait(t);
    }
    USH_EACH (&s->inner, l) {
        struct ush_scope *inner = USH_CONTAINER(l, struct ush_scope, in_outer);
        if (!inner->shield)
            ush_scope_cancel(inner, reason);
    }
}

void ush__scope_cancel_all(struct ush_scope *s)
{
    ush_scope_cancel(s, USH_CANCEL_ASKED);
    USH_EACH (&s->inner, l)
        ush__scope_cancel_all(USH_CONTAINER(l, struct ush_scope, in_outer));
}

void ush_scope_lift_deadline(struct ush_scope *s)
{
    assert(s->is_open && !s->shield && ush_list_is_empty(&s->inner));
    ush_alarm_clear(&s->alarm);
    s->deadline_ns = s->outer->deadline_ns;
}

void ush__scope_child_ended(struct ush_scope *s, int result)
{
    bool is_echo = s->reason != USH_CANCEL_NONE && result == ush__scope_error(s);
    if (result < 0 && !is_echo) {
        s->failed++;
        if (s->first_error == 0)
            s->first_error = result;
        if (!s->keep_going)
            ush_scope_cancel(s, USH_CANCEL_SIBLING);
    }
    if (s->closer && ush_list_is_empty(&s->children))
        ush__wake(s->closer, 0);
}

int ush_cancelled(void)
{
    return ush_is_task() ? ush__scope_error(ush__self()->scope) : 0;
}

int64_t ush_deadline_ns(void)
{
    return ush_is_task() ? ush__self()->scope->deadline_ns : USH_NEVER;
}

int64_t ush_remaining_ns(void)
{
    int64_t deadline = ush_deadline_ns();
    if (deadline == USH_NEVER)
        return USH_NEVER;
    int64_t now = ush_now_ns();
    return deadline > now ? deadline - now : 0;
}
