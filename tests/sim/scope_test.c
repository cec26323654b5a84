/*
 * scope_test.c - the rules of scopes, over many seeds and orders.
 *
 * A seed grows a random program: tasks that sleep, yield, lock and fail, in scopes inside scopes,
 * with deadlines, shields and failures that do not matter. On top, the backend cancels scopes at
 * random suspensions. The program itself checks the rules of usher/task.h wherever it is:
 *
 *   no task outlives its scope      a closed scope has no child that runs (family.live)
 *   level-triggered                 after one -ECANCELED or -ETIMEDOUT every call gives the same,
 *                                   until the scope is left
 *   the code says why               -ETIMEDOUT if and only if the reason is a deadline
 *   deadlines nest                  an inner deadline is never later, except in a shield, and
 *                                   no call succeeds after it
 *   shields                         what is around does not reach inside
 *   the first failure is the result and it cancels the siblings, unless the scope keeps going
 *   cancelled is not failed         a task that only echoes the cancellation is no failure
 *
 * A second test cancels one program at its first, second, ... last suspension, so no place in it is
 * left to chance. A third cuts the reading of a stream again and again: no byte may be lost.
 */
#include "../slow.h"
#include "../unit/task/both.h"
#include "explored.h"

enum { SEEDS = 40000, STREAM_SEEDS = 5000, DEPTH_MAX = 3, STREAM_BYTES = 400 };

struct world {
    struct ush_mutex lock;
    struct ush_event never;
    int live;
    int in_lock;
    uint32_t begun; /* tasks; bounds the program */
    bool is_calm;   /* the backend cancels nothing, so every reason has its cause in the program */
};

/* The children of one scope, as its opener sees them. */
struct family {
    struct world *world;
    const struct ush_scope *scope;
    int live, first_failure, depth;
    bool was_cut; /* a child lived when the scope was cancelled */
    bool was_asked;
};

static bool is_cancel_code(int r)
{
    return r == -ECANCELED || r == -ETIMEDOUT;
}

/* Passes the result of a call that may suspend on, after looking at it. */
static int saw(int r)
{
    int code = ush_cancelled();
    if (is_cancel_code(r))
        USH_HOLDS(r == code);
    else
        USH_HOLDS(ush_deadline_ns() >= ush_now_ns() - USH_MS);
    if (code < 0) { /* perhaps set in the very moment in which the call succeeded */
        USH_HOLDS(ush_yield() == code);
        USH_HOLDS(ush_sleep(0) == code);
        USH_HOLDS(ush_cancelled() == code);
    }
    return r;
}

static int act(struct world *w, int depth);

static int child(void *arg)
{
    struct family *f = arg;
    int r = act(f->world, f->depth + 1);
    if (ush_sim_choose(12) == 0)
        r = -EIO;
    bool is_echo = f->scope->reason != USH_CANCEL_NONE && is_cancel_code(r) && r == ush_cancelled();
    if (r < 0 && !is_echo && f->first_failure == 0)
        f->first_failure = r;
    f->was_cut |= f->scope->reason != USH_CANCEL_NONE;
    f->live--;
    f->world->live--;
    return r;
}

static void spawn_children(struct world *w, struct ush_scope *s, struct family *f)
{
    for (uint32_t n = ush_sim_choose(4); n > 0 && w->begun < 40; n--) {
        int before = ush_cancelled();
        int r = ush_spawn(s, child, f);
        USH_HOLDS(r == (before < 0 ? -ECANCELED : 0));
        if (r == 0) {
            w->begun++;
            w->live++;
            f->live++;
        }
    }
}

/* In a run that is calm every cancelled scope has a cause: its own, or one around it that it heeds.
 */
static void explain(const struct family *f, const struct ush_scope *s)
{
    bool is_outers = !s->shield && s->outer && s->outer->reason == s->reason;
    switch ((enum ush_cancel_reason)s->reason) {
    case USH_CANCEL_DEADLINE:
        USH_HOLDS(ush_now_ns() >= s->deadline_ns);
        break;
    case USH_CANCEL_SIBLING:
        USH_HOLDS((f->first_failure < 0 && !s->keep_going) || is_outers);
        break;
    case USH_CANCEL_ASKED:
        USH_HOLDS(f->was_asked || is_outers);
        break;
    default:
        USH_HOLDS(s->reason == USH_CANCEL_NONE);
        USH_HOLDS(s->shield || s->outer->reason == USH_CANCEL_NONE);
    }
}

/* A scope with children in it, and work of its own beside them. */
static int family_life(struct world *w, int depth)
{
    struct ush_scope_options o = {
        .shield = ush_sim_choose(6) == 0,
        .keep_going = ush_sim_choose(3) == 0,
    };
    if (o.shield || ush_sim_choose(2))
        o.deadline_ns = ush_now_ns() + ush_sim_choose(8) * USH_MS;
    int around = ush_cancelled();
    int64_t outer_deadline = ush_deadline_ns();

    struct ush_scope s;
    struct family f = {.world = w, .scope = &s, .depth = depth};
    ush_scope_open(&s, &o);
    if (!o.shield) {
        USH_HOLDS(ush_deadline_ns() <= outer_deadline);
        if (around < 0)
            USH_HOLDS(ush_cancelled() == around);
    } else if (o.deadline_ns > ush_now_ns()) {
        USH_HOLDS(ush_cancelled() == 0);
    }
    spawn_children(w, &s, &f);
    int mine = act(w, depth + 1);
    if (ush_sim_choose(8) == 0) {
        f.was_asked = s.reason == USH_CANCEL_NONE;
        ush_scope_cancel(&s, USH_CANCEL_ASKED);
    }

    int r = ush_scope_close(&s);
    USH_HOLDS(f.live == 0);
    if (w->is_calm)
        explain(&f, &s);
    if (f.first_failure < 0) {
        USH_HOLDS(r == f.first_failure);
        if (!o.keep_going)
            USH_HOLDS(s.reason != USH_CANCEL_NONE);
    } else if (f.was_cut) {
        USH_HOLDS(r == (s.reason == USH_CANCEL_DEADLINE ? -ETIMEDOUT : -ECANCELED));
    } else {
        USH_HOLDS(r == 0);
    }
    if (around < 0)
        USH_HOLDS(ush_cancelled() == around);
    return ush_sim_choose(3) == 0 ? (r < 0 ? r : mine) : 0;
}

static int locked(struct world *w)
{
    int r = saw(ush_mutex_lock(&w->lock));
    if (r < 0)
        return r;
    USH_HOLDS(w->in_lock++ == 0);
    r = ush_sim_choose(2) ? ush_yield() : ush_sleep(ush_sim_choose(2) * USH_MS);
    USH_HOLDS(--w->in_lock == 0);
    ush_mutex_unlock(&w->lock);
    return r;
}

/* Waits for what does not come, so only the deadline ends it. */
static int wait_in_vain(struct world *w)
{
    struct ush_scope s;
    int64_t deadline = ush_now_ns() + ush_sim_choose(4) * USH_MS;
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = deadline, .name = "in vain"});
    int r = saw(ush_sim_choose(2) ? ush_event_wait(&w->never) : ush_park_until_cancelled());
    USH_HOLDS(is_cancel_code(r));
    USH_HOLDS(ush_scope_close(&s) == 0); /* it had no children that could be cut */
    return 0;
}

static int act(struct world *w, int depth)
{
    for (uint32_t steps = 1 + ush_sim_choose(3); steps > 0; steps--) {
        int r = 0;
        switch (ush_sim_choose(6)) {
        case 0:
            r = saw(ush_yield());
            break;
        case 1:
            r = saw(ush_sleep(ush_sim_choose(4) * USH_MS));
            break;
        case 2:
            r = locked(w);
            break;
        case 3:
            r = wait_in_vain(w);
            break;
        default:
            r = depth < DEPTH_MAX ? family_life(w, depth) : saw(ush_spend(10));
        }
        /* Code that ignores an error meets the next one. */
        if (r < 0 && ush_sim_choose(4) > 0)
            return r;
    }
    return 0;
}

static int program(void *arg)
{
    struct world *w = arg;
    *w = (struct world){.is_calm = w->is_calm};
    ush_mutex_init(&w->lock, "lock");
    ush_event_init(&w->never, "never");
    family_life(w, 0);
    USH_HOLDS(w->live == 0);
    USH_HOLDS(w->lock.holder == NULL);
    USH_HOLDS(ush_loop_stats().tasks == 1);
    return 0;
}

/* True while the backend cancels nothing. */
static bool is_calm;

static int fresh_program(void *unused __attribute__((unused)))
{
    struct world w = {.is_calm = is_calm};
    return program(&w);
}

/* Calm runs, in which every reason has its cause in the program, and stormy ones. */
START_TEST(rules_hold_over_seeds)
{
    is_calm = _i == 0;
    const struct ush_explore_options o = {.name = is_calm ? "scope-calm" : "scope",
                                          .schedules = is_calm ? SEEDS / 3 : SEEDS * 2 / 3,
                                          .sim.cancel_permille = is_calm ? 0 : 60};
    struct ush_explore_report report = explored(&o, fresh_program, NULL);
    /* The test would be worth nothing if the programs were all trivial. */
    ck_assert_uint_gt(report.choices, report.schedules * 10);
}
END_TEST

START_TEST(cancelled_at_each_suspension)
{
    is_calm = false;
    const struct ush_explore_options o = {
        .name = "scope-cut", .strategy = USH_EXPLORE_CUT, .schedules = SEEDS};
    explored(&o, fresh_program, NULL);
}
END_TEST

/* ---- a stream that is read under one deadline after the other -------------------------------- */

static char byte_at(size_t i)
{
    return (char)(i * 31 + i / 256);
}

static int writer(void *arg)
{
    int fd = *(int *)arg;
    char bytes[STREAM_BYTES];
    for (size_t i = 0; i < STREAM_BYTES; i++)
        bytes[i] = byte_at(i);
    for (size_t sent = 0; sent < STREAM_BYTES;) {
        size_t part = 1 + ush_sim_choose(60);
        if (part > STREAM_BYTES - sent)
            part = STREAM_BYTES - sent;
        USH_HOLDS(ush_send(fd, bytes + sent, part) == (ssize_t)part);
        sent += part;
        ush_sleep(ush_sim_choose(3) * USH_MS);
    }
    return ush_shutdown_write(fd);
}

static int reader(void *arg)
{
    (void)arg;
    int fds[2];
    USH_HOLDS(ush_socketpair(fds) == 0);
    struct ush_scope all;
    ush_scope_open(&all, NULL);
    ush_spawn(&all, writer, &fds[1]);
    size_t got = 0;
    for (ssize_t n = -1; n != 0;) {
        struct ush_scope some;
        int64_t deadline = ush_now_ns() + (3 - ush_sim_choose(4)) * (int64_t)USH_MS / 2;
        ush_scope_open(&some, &(struct ush_scope_options){.deadline_ns = deadline});
        char bytes[50];
        n = ush_recv(fds[0], bytes, 1 + ush_sim_choose(sizeof bytes));
        ush_scope_close(&some);
        for (ssize_t i = 0; i < n; i++)
            USH_HOLDS(bytes[i] == byte_at(got++));
        if (n < 0) {
            USH_HOLDS(n == -ETIMEDOUT);
            ush_sleep(USH_MS / 4); /* or deadlines that have passed already never let time go on */
        }
    }
    USH_HOLDS(got == STREAM_BYTES);
    USH_HOLDS(ush_scope_close(&all) == 0);
    ush_close(fds[0]);
    ush_close(fds[1]);
    return 0;
}

START_TEST(no_byte_is_lost)
{
    const struct ush_explore_options o = {
        .name = "stream",
        .schedules = STREAM_SEEDS,
        .sim = {.short_permille = 300, .delay_ns_max = 2 * USH_MS},
    };
    explored(&o, reader, NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim/scope");
    TCase *tc = tcase_create("scope");
    tcase_add_loop_test(tc, rules_hold_over_seeds, 0, 2);
    tcase_add_test(tc, cancelled_at_each_suspension);
    tcase_add_test(tc, no_byte_is_lost);
    suite_add_tcase(s, tc);
    return both_main(s);
}
