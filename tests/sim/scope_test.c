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

enum { SEEDS = 40000, STREAM_SEEDS = 5000, DEPTH_MAX = 3, STREAM_BYTES = 400 };

/* Check writes to a file at each of its own assertions, also when it holds: here a million. */
#define must(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            ck_abort_msg("seed %llu: %s", (unsigned long long)seed_now, #condition);               \
    } while (0)
static uint64_t seed_now;

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
        must(r == code);
    else
        must(ush_deadline_ns() >= ush_now_ns() - USH_MS);
    if (code < 0) { /* perhaps set in the very moment in which the call succeeded */
        must(ush_yield() == code);
        must(ush_sleep(0) == code);
        must(ush_cancelled() == code);
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
        must(r == (before < 0 ? -ECANCELED : 0));
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
        must(ush_now_ns() >= s->deadline_ns);
        break;
    case USH_CANCEL_SIBLING:
        must((f->first_failure < 0 && !s->keep_going) || is_outers);
        break;
    case USH_CANCEL_ASKED:
        must(f->was_asked || is_outers);
        break;
    default:
        must(s->reason == USH_CANCEL_NONE);
        must(s->shield || s->outer->reason == USH_CANCEL_NONE);
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
        must(ush_deadline_ns() <= outer_deadline);
        if (around < 0)
            must(ush_cancelled() == around);
    } else if (o.deadline_ns > ush_now_ns()) {
        must(ush_cancelled() == 0);
    }
    spawn_children(w, &s, &f);
    int mine = act(w, depth + 1);
    if (ush_sim_choose(8) == 0) {
        f.was_asked = s.reason == USH_CANCEL_NONE;
        ush_scope_cancel(&s, USH_CANCEL_ASKED);
    }

    int r = ush_scope_close(&s);
    must(f.live == 0);
    if (w->is_calm)
        explain(&f, &s);
    if (f.first_failure < 0) {
        must(r == f.first_failure);
        if (!o.keep_going)
            must(s.reason != USH_CANCEL_NONE);
    } else if (f.was_cut) {
        must(r == (s.reason == USH_CANCEL_DEADLINE ? -ETIMEDOUT : -ECANCELED));
    } else {
        must(r == 0);
    }
    if (around < 0)
        must(ush_cancelled() == around);
    return ush_sim_choose(3) == 0 ? (r < 0 ? r : mine) : 0;
}

static int locked(struct world *w)
{
    int r = saw(ush_mutex_lock(&w->lock));
    if (r < 0)
        return r;
    must(w->in_lock++ == 0);
    r = ush_sim_choose(2) ? ush_yield() : ush_sleep(ush_sim_choose(2) * USH_MS);
    must(--w->in_lock == 0);
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
    must(is_cancel_code(r));
    must(ush_scope_close(&s) == 0); /* it had no children that could be cut */
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
    must(w->live == 0);
    must(w->lock.holder == NULL);
    must(ush_loop_stats().tasks == 1);
    return 0;
}

static struct ush_sim_options options_of(uint64_t seed)
{
    static const uint32_t permille[] = {0, 10, 100};
    return (struct ush_sim_options){
        .seed = seed,
        .order = (enum ush_sim_order)(seed % 3),
        .cancel_permille = permille[seed / 3 % 3],
    };
}

static void run_once(const struct ush_sim_options *o, ush_fn fn, struct ush_sim_report *ret)
{
    seed_now = o->seed;
    struct world w = {.is_calm = o->cancel_permille == 0 && o->cancel_at == 0};
    int r = ush_sim_run(o, fn, &w, ret);
    if (r != 0 || ret->text[0])
        ck_abort_msg("seed %llu: %d %s", (unsigned long long)o->seed, r, ret->text);
}

START_TEST(rules_hold_over_seeds)
{
    uint64_t suspensions = 0, distinct = 0, last = 0;
    for (uint64_t seed = 1; seed <= (uint64_t)fewer(SEEDS); seed++) {
        struct ush_sim_options o = options_of(seed);
        struct ush_sim_report report, again;
        run_once(&o, program, &report);
        suspensions += report.suspensions;
        distinct += report.hash != last;
        last = report.hash;
        if (seed % 16 != 0)
            continue;
        run_once(&o, program, &again);
        ck_assert_msg(report.hash == again.hash && report.decisions == again.decisions,
                      "seed %llu is not reproducible", (unsigned long long)seed);
    }
    /* The test would be worth nothing if the programs were all trivial. */
    ck_assert_uint_gt(suspensions, (uint64_t)fewer(SEEDS) * 10);
    ck_assert_uint_gt(distinct, (uint64_t)fewer(SEEDS) * 9 / 10);
}
END_TEST

START_TEST(cancelled_at_each_suspension)
{
    for (uint64_t seed = 1; seed <= (uint64_t)fewer(500); seed++) {
        struct ush_sim_options o = {.seed = seed * 7919, .order = USH_SIM_RANDOM};
        struct ush_sim_report report;
        run_once(&o, program, &report);
        /* A cancelled run may have fewer or more of them: until the place is beyond the end. */
        for (o.cancel_at = 1; o.cancel_at <= report.suspensions; o.cancel_at++)
            run_once(&o, program, &report);
    }
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
        must(ush_send(fd, bytes + sent, part) == (ssize_t)part);
        sent += part;
        ush_sleep(ush_sim_choose(3) * USH_MS);
    }
    return ush_shutdown_write(fd);
}

static int reader(void *arg)
{
    (void)arg;
    int fds[2];
    must(ush_socketpair(fds) == 0);
    struct ush_scope all;
    ush_scope_open(&all, NULL);
    ush_spawn(&all, writer, &fds[1]);
    size_t got = 0;
    for (ssize_t n = -1; n != 0;) {
        struct ush_scope some;
        int64_t deadline = ush_now_ns() + ush_sim_choose(4) * USH_MS / 2;
        ush_scope_open(&some, &(struct ush_scope_options){.deadline_ns = deadline});
        char bytes[50];
        n = ush_recv(fds[0], bytes, 1 + ush_sim_choose(sizeof bytes));
        ush_scope_close(&some);
        for (ssize_t i = 0; i < n; i++)
            must(bytes[i] == byte_at(got++));
        if (n < 0) {
            must(n == -ETIMEDOUT);
            ush_sleep(USH_MS / 4); /* or deadlines that have passed already never let time go on */
        }
    }
    must(got == STREAM_BYTES);
    must(ush_scope_close(&all) == 0);
    ush_close(fds[0]);
    ush_close(fds[1]);
    return 0;
}

START_TEST(no_byte_is_lost)
{
    for (uint64_t seed = 1; seed <= (uint64_t)fewer(STREAM_SEEDS); seed++) {
        struct ush_sim_options o = {
            .seed = seed,
            .order = (enum ush_sim_order)(seed % 3),
            .short_permille = 300,
            .delay_ns_max = 2 * USH_MS,
        };
        struct ush_sim_report report;
        run_once(&o, reader, &report);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim/scope");
    TCase *tc = tcase_create("scope");
    tcase_add_test(tc, rules_hold_over_seeds);
    tcase_add_test(tc, cancelled_at_each_suspension);
    tcase_add_test(tc, no_byte_is_lost);
    suite_add_tcase(s, tc);
    return both_main(s);
}
