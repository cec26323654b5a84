/*
 * dump.c - the tree of scopes and tasks as text, and who waits for whom in a circle.
 *
 *     deadlock: task 4 "pay" waits for mutex "till" held by
 *               task 5 "refund", which waits for mutex "ledger" held by task 4
 *     scope "root"
 *       task 1 "main" app.c:10 waits for the children of scope "rush" for 2.113 s
 *         scope "rush" deadline in 0.887 s
 *           task 4 "pay" app.c:31 waits for mutex "till" held by task 5 "refund" for 2.100 s
 *
 * Scopes hang under the task that opened them, tasks under the scope they were spawned into, so the
 * text has the shape of the program. It is made from the records alone: nothing is kept for it
 * while tasks run, and it changes nothing but the mark of each task, which is put back.
 *
 * Who waits for whom is a graph: a task that waits for a mutex points to the holder, one that
 * closes a scope points to every child. A waiter needs all it points to, so each circle is a real
 * deadlock (unless a deadline cuts it). Each circle is found by a depth-first search and written at
 * the top, where a report that has to be cut still shows it. Other waits point to nobody: who will
 * give back a permit or send a message is not known to the runtime.
 *
 * The walk recurses as deep as tasks are nested, therefore it runs on the loop's stack, and below
 * DEPTH_MAX levels it says so and stops.
 */
#include <inttypes.h>

#include "task/task.h"

enum { DEPTH_MAX = 2000 };

static struct ush_task *task_of_sibling(struct ush_link *l)
{
    return USH_CONTAINER(l, struct ush_task, sibling);
}

static void add_seconds(struct ush_buf *out, int64_t ns)
{
    ns = ns < 0 ? 0 : ns;
    ush_buf_printf(out, "%" PRId64 ".%03d s", ns / USH_SECOND, (int)(ns % USH_SECOND / USH_MS));
}

static void add_name(struct ush_buf *out, const struct ush_task *t)
{
    ush_buf_printf(out, "task %" PRIu64 " \"%s\"", t->id, t->name);
}

/* ---- what a task waits for ---------------------------------------------------------------- */

static void add_object(struct ush_buf *out, const struct ush_task *t)
{
    const void *object = t->wait_object;
    switch ((enum ush__wait)t->wait) {
    case USH__WAIT_CHILDREN:
        ush_buf_printf(out, " scope \"%s\"", ((const struct ush_scope *)object)->name);
        break;
    case USH__WAIT_READ:
    case USH__WAIT_WRITE:
    case USH__WAIT_ACCEPT:
    case USH__WAIT_CONNECT:
    case USH__WAIT_FD:
        ush_buf_printf(out, " descriptor %d", ush__fd_of_object(object));
        break;
    case USH__WAIT_MUTEX: {
        const struct ush_mutex *m = object;
        ush_buf_printf(out, " \"%s\" held by ", m->name);
        add_name(out, m->holder);
        break;
    }
    case USH__WAIT_SEMAPHORE: {
        const struct ush_semaphore *s = object;
        ush_buf_printf(out, " \"%s\" (%u of %u free)", s->name, s->free, s->limit);
        break;
    }
    case USH__WAIT_EVENT:
        ush_buf_printf(out, " \"%s\"", ((const struct ush_event *)object)->name);
        break;
    case USH__WAIT_SEND:
    case USH__WAIT_RECV: {
        const struct ush_channel *c = object;
        ush_buf_printf(out, " \"%s\" (%u of %u full)", c->name, c->count, c->capacity);
        break;
    }
    case USH__WAIT_BATCH: {
        const struct ush_batch *b = object;
        ush_buf_printf(out, " \"%s\" (%u waiting)", b->o.name, b->count);
        break;
    }
    case USH__WAIT_POOL: {
        struct ush_pool_stats stats = ush_pool_stats(object);
        ush_buf_printf(out, " pool \"%s\" (%u running, %u waiting)", ush__pool_name(object),
                       stats.running, stats.waiting);
        break;
    }
    case USH__WAIT_TIME:
        ush_buf_printf(out, " in ");
        add_seconds(out, ((const struct ush_alarm *)object)->at_ns - ush_now_ns());
        break;
    case USH__WAIT_NOTHING:
    case USH__WAIT_TURN:
    case USH__WAIT_CANCEL:
        break;
    }
}

static void add_wait(struct ush_buf *out, const struct ush_task *t)
{
    ush_buf_printf(out, "waits for %s", ush__wait_phrases[t->wait]);
    add_object(out, t);
}

/* ---- the tree ----------------------------------------------------------------------------- */

static void add_scope(struct ush_buf *out, const struct ush_scope *s, int depth);

/* The scopes that `t` has open, the outermost first. */
static void add_scopes_of(struct ush_buf *out, const struct ush_task *t, const struct ush_scope *s,
                          int depth)
{
    if (s == t->home)
        return;
    add_scopes_of(out, t, s->outer, depth - 1);
    add_scope(out, s, depth);
}

static void add_task(struct ush_buf *out, const struct ush_task *t, int depth)
{
    ush_buf_printf(out, "%*s", 2 * depth, "");
    add_name(out, t);
    ush_buf_printf(out, " %s ", t->site);
    if (t->state == USH__PARKED)
        add_wait(out, t);
    else
        ush_buf_printf(out, "%s", t->state == USH__RUNNING ? "runs" : "is ready");
    ush_buf_printf(out, " for ");
    add_seconds(out, ush_now_ns() - t->since_ns);
    ush_buf_add_byte(out, '\n');
    int open = 0;
    for (const struct ush_scope *s = t->scope; s != t->home; s = s->outer)
        open++;
    add_scopes_of(out, t, t->scope, depth + open);
}

static const char *reason_text(const struct ush_scope *s)
{
    static const char *const texts[] = {
        [USH_CANCEL_NONE] = "",
        [USH_CANCEL_DEADLINE] = " cancelled: deadline",
        [USH_CANCEL_ASKED] = " cancelled: asked",
        [USH_CANCEL_SIBLING] = " cancelled: a child failed",
        [USH_CANCEL_CLIENT] = " cancelled: the client went away",
        [USH_CANCEL_SHUTDOWN] = " cancelled: shutdown",
    };
    return texts[s->reason];
}

static void add_scope(struct ush_buf *out, const struct ush_scope *s, int depth)
{
    ush_buf_printf(out, "%*sscope \"%s\"%s%s", 2 * depth, "", s->name, s->shield ? " shield" : "",
                   reason_text(s));
    if (s->deadline_ns != USH_NEVER && s->reason == USH_CANCEL_NONE) {
        ush_buf_printf(out, " deadline in ");
        add_seconds(out, s->deadline_ns - ush_now_ns());
    }
    ush_buf_add_byte(out, '\n');
    if (depth > DEPTH_MAX) {
        ush_buf_printf(out, "%*s...\n", 2 * depth, "");
        return;
    }
    USH_EACH (&s->children, l)
        add_task(out, task_of_sibling(l), depth + 1);
}

/* ---- circles ------------------------------------------------------------------------------ */

enum mark { UNSEEN, ON_PATH, SEEN };

/* One step of the path that the search is on; the steps lie on the stack of the search. */
struct step {
    struct ush_task *task;
    const struct step *before;
    int depth;
};

/* `first` is on the path that ends in `last`, and last waits for it. */
static void add_circle(struct ush_buf *out, const struct step *last, const struct ush_task *first)
{
    const struct step *from = last;
    while (from->task != first)
        from = from->before;
    ush_buf_printf(out, "deadlock: ");
    /* The path is linked backwards; a circle reads in the direction of the waits. */
    for (int depth = from->depth; depth <= last->depth; depth++) {
        const struct step *s = last;
        while (s->depth > depth)
            s = s->before;
        add_name(out, s->task);
        ush_buf_add_byte(out, ' ');
        add_wait(out, s->task);
        ush_buf_printf(out, "%s", depth < last->depth ? ";\n          " : "\n");
    }
}

static void search(struct ush_buf *out, struct ush_task *t, const struct step *before)
{
    if (t->state != USH__PARKED || t->mark == SEEN || (before && before->depth > DEPTH_MAX))
        return;
    if (t->mark == ON_PATH) {
        add_circle(out, before, t);
        return;
    }
    t->mark = ON_PATH;
    struct step here = {t, before, before ? before->depth + 1 : 0};
    if (t->wait == USH__WAIT_MUTEX) {
        search(out, ((struct ush_mutex *)t->wait_object)->holder, &here);
    } else if (t->wait == USH__WAIT_CHILDREN) {
        USH_EACH (&((struct ush_scope *)t->wait_object)->children, l)
            search(out, task_of_sibling(l), &here);
    }
    t->mark = SEEN;
}

/* Calls fn on every task below the scope: its children, and what lives in the scopes inside. */
static void each_task(struct ush_scope *s, void (*fn)(struct ush_buf *, struct ush_task *),
                      struct ush_buf *out, int depth)
{
    if (depth > DEPTH_MAX)
        return;
    USH_EACH (&s->children, l)
        fn(out, task_of_sibling(l));
    USH_EACH (&s->inner, l)
        each_task(USH_CONTAINER(l, struct ush_scope, in_outer), fn, out, depth + 1);
}

static void search_from(struct ush_buf *out, struct ush_task *t)
{
    search(out, t, NULL);
}

static void unmark(struct ush_buf *out, struct ush_task *t)
{
    (void)out;
    t->mark = UNSEEN;
}

/* ---- all ---------------------------------------------------------------------------------- */

static int dump(void *arg)
{
    struct ush_buf *out = arg;
    struct ush_scope *root = &ush__loop->root;
    each_task(root, search_from, out, 0);
    each_task(root, unmark, out, 0);
    add_scope(out, root, 0);
    return 0;
}

void ush_dump(struct ush_buf *out)
{
    if (ush__loop)
        ush_on_loop_stack(dump, out);
}
