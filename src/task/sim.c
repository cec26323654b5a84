/*
 * sim.c - the backend in which time is virtual and a seed makes every choice.
 *
 * A loop has one thread and its tasks never move, so all that is uncertain about a run is: which
 * ready task goes next, when something arrives and with what result, and what the clock says. Here
 * all of it is drawn from the seed, through ush__decide, and each draw goes into the hash. The
 * scheduler, the scopes and everything above are the code that runs in service.
 *
 *   next task   FIFO: as in service. RANDOM: evenly among the first 64 that are ready. PCT: the
 *               one with the highest priority; priorities are random, and at a few random moments
 *               the one in front falls behind all. After 4,096 picks PCT goes on as RANDOM, because
 *               a task in front that waits for another by yielding would never end.
 *   time        stands still while a task is ready and then jumps to the next alarm. (A turn of
 *               1,024 resumes moves it by a slice: even a busy loop reaches its deadline.)
 *   suspension  every call that may suspend is one when it begins, and a second one if it parks.
 *               At each, the innermost scope may be cancelled; when it begins under RANDOM and
 *               PCT the task goes back among the ready ones, even if it need not wait.
 *
 * No ready task and no alarm: nothing will ever happen again. The dump goes into the report as the
 * wait graph, and the run ends with USH_EDEADLOCK after all tasks have been cancelled, so that
 * they free what they hold. The same when the number of decisions passes its limit.
 *
 * What it does not do: simulate threads (a pool's job runs inside the loop), files or signals.
 */
#include <stdio.h>
#include <stdlib.h>

#include "task/sim_state.h"

#define START_NS USH_SECOND                        /* 0 means "none" in deadlines */
#define START_WALL_MS (INT64_C(1773405000) * 1000) /* 2026-03-13T12:30:00Z */

enum {
    STEPS_MAX = 10000000,
    WINDOW = 64,      /* ready tasks among which the next is chosen */
    PCT_PICKS = 4096, /* then RANDOM */
    PCT_DEPTH = 3,
    FIFO_TURN = 1024, /* picks */
    FIFO_SHARE = 8,
    DELAY_STEPS = 16, /* few distinct delays, so that things also arrive together */
    KEPT_MAX =
        128, /* suspension points a task passes before it gives way, as its budget in service */
    LAST_TURNS = 200, /* of a stuck run, to end its tasks */
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* splitmix64 */
static uint64_t draw(struct ush__sim_state *s, int stream)
{
    return mix(s->stream[stream] += UINT64_C(0x9e3779b97f4a7c15));
}

static void record(struct ush__sim_state *s, enum ush__decision kind, uint64_t n, uint64_t choice)
{
    if (ush__loop->is_stuck)
        return; /* the run is over; what is left is clean-up */
    s->decisions++;
    s->hash = mix(s->hash ^ (n << 8 | (uint64_t)kind)) + choice;
    s->hash = mix(s->hash ^ (uint64_t)s->now_ns);
}

static int stream_of(enum ush__decision kind)
{
    switch (kind) {
    case USH__DECIDE_NEXT:
        return SIM_STREAM_ORDER;
    case USH__DECIDE_DELAY:
        return SIM_STREAM_DELAY;
    case USH__DECIDE_USER:
        return SIM_STREAM_USER;
    case USH__DECIDE_CANCEL:
    case USH__DECIDE_SHORT:
    case USH__DECIDE_RESET:
        break;
    }
    return SIM_STREAM_FAULT;
}

/* What the explorer's schedule has at this place, if it plays one. */
static uint32_t played(struct ush__script *script, uint32_t n)
{
    if (script->played_next == script->played_count ||
        script->played[script->played_next].at != script->count)
        return 0;
    uint32_t choice = script->played[script->played_next++].choice;
    return choice < n ? choice : n - 1;
}

/* A choice among n >= 2: the one that was drawn, unless a schedule is played. */
static uint32_t settle(struct ush__sim_state *s, enum ush__decision kind, uint32_t n,
                       uint32_t choice)
{
    struct ush__script *script = s->o.script;
    if (USH_UNLIKELY(script != NULL)) {
        if (script->plays)
            choice = played(script, n);
        if (script->count < script->room)
            script->choices[script->count] = (struct ush__choice){n, choice};
        script->count++;
        if (choice > 0 && script->on_deviation)
            script->on_deviation(script, kind, choice);
    }
    record(s, kind, n, choice);
    return choice;
}

uint32_t ush__decide(enum ush__decision kind, uint32_t n)
{
    struct ush__sim_state *s = ush__loop ? ush__loop->sim : NULL;
    if (!s || n < 2 || ush__loop->is_stuck)
        return 0;
    return settle(s, kind, n, (uint32_t)((draw(s, stream_of(kind)) >> 32) * n >> 32));
}

int64_t ush__decide_delay(void)
{
    const struct ush__sim_state *s = ush__loop ? ush__loop->sim : NULL;
    if (!s || s->o.delay_ns_max <= 0)
        return 0;
    return s->o.delay_ns_max * ush__decide(USH__DECIDE_DELAY, DELAY_STEPS) / (DELAY_STEPS - 1);
}

bool ush__sim_chance(enum ush__decision kind, uint32_t permille)
{
    struct ush__sim_state *s = ush__loop->sim;
    if (permille == 0 || ush__loop->is_stuck)
        return false;
    uint64_t drawn = (draw(s, stream_of(kind)) >> 32) * 1000 >> 32;
    return settle(s, kind, 2, drawn < permille) != 0;
}

/* ---- which task ------------------------------------------------------------------------------ */

static struct ush_task *task_of(struct ush_link *l)
{
    return USH_CONTAINER(l, struct ush_task, queue);
}

/* The first tasks of both queues, in the order of service; before them the one that only passed a
 * suspension point, which in service would have gone on. */
static uint32_t candidates(struct ush_loop *l, struct ush_task *ret[WINDOW])
{
    struct ush_task *kept = l->sim->kept;
    uint32_t n = 0;
    if (kept)
        ret[n++] = kept;
    for (struct ush_link *t = l->ready.next; t != &l->ready && n < WINDOW; t = t->next)
        ret[n++] = task_of(t);
    for (struct ush_link *t = l->later.next; t != &l->later && n < WINDOW; t = t->next)
        if (task_of(t) != kept)
            ret[n++] = task_of(t);
    return n;
}

static uint32_t pick_by_priority(struct ush__sim_state *s, struct ush_task *const *tasks,
                                 uint32_t n)
{
    uint32_t first = 0, depth = s->o.pct_depth;
    for (uint32_t i = 0; i < n; i++) {
        if (tasks[i]->priority == 0)
            tasks[i]->priority = depth + 1 + (uint32_t)(draw(s, SIM_STREAM_ORDER) >> 33);
        if (tasks[i]->priority > tasks[first]->priority)
            first = i;
    }
    for (uint32_t c = 0; c + 1 < depth && n > 1; c++) {
        if (s->pct_change[c] != s->picks)
            continue;
        tasks[first]->priority = c + 1;
        s->picks++;
        return pick_by_priority(s, tasks, n);
    }
    return first;
}

static uint32_t pick(struct ush_loop *l, struct ush_task *const *tasks, uint32_t n)
{
    struct ush__sim_state *s = l->sim;
    if (n == 1 || l->is_stuck) {
        record(s, USH__DECIDE_NEXT, n, tasks[0]->id);
        return 0;
    }
    if (s->o.order == USH_SIM_PCT && s->picks < PCT_PICKS)
        return settle(s, USH__DECIDE_NEXT, n, pick_by_priority(s, tasks, n));
    return ush__decide(USH__DECIDE_NEXT, n);
}

struct ush_task *ush__sim_next(struct ush_loop *l)
{
    struct ush__sim_state *s = l->sim;
    struct ush_task *tasks[WINDOW];
    if (s->decisions >= s->o.steps_max && !l->is_stuck)
        return NULL;
    uint32_t n = candidates(l, tasks), choice = 0;
    if (n == 0)
        return NULL;
    s->picks++;
    struct ush_task *t = tasks[0];
    if (s->o.order != USH_SIM_FIFO) {
        choice = pick(l, tasks, n);
        t = tasks[choice];
    } else {
        if (s->picks % FIFO_TURN < FIFO_SHARE && !ush_list_is_empty(&l->later))
            t = task_of(l->later.next); /* what the end of a slice does in service */
        record(s, USH__DECIDE_NEXT, n, t->id);
    }
    if (USH_UNLIKELY(s->o.script && s->o.script->on_pick))
        s->o.script->on_pick(s->o.script, t, choice > 0);
    s->kept_in_a_row = t == s->kept ? s->kept_in_a_row + 1 : 0;
    s->kept = NULL;
    ush_list_del(&t->queue);
    return t;
}

/* ---- suspensions ----------------------------------------------------------------------------- */

static void maybe_cancel(struct ush__sim_state *s, struct ush_task *t)
{
    s->suspensions++;
    struct ush_scope *scope = t->scope;
    if (!scope->outer || scope->reason != USH_CANCEL_NONE)
        return;
    bool is_the_one = s->suspensions == s->o.cancel_at;
    if (!is_the_one && !ush__sim_chance(USH__DECIDE_CANCEL, s->o.cancel_permille))
        return;
    if (is_the_one && s->o.script && s->o.script->on_deviation)
        s->o.script->on_deviation(s->o.script, USH__DECIDE_CANCEL, 1);
    /* A deadline may always have passed, if there is one. */
    bool is_late = scope->deadline_ns != USH_NEVER && ush__decide(USH__DECIDE_CANCEL, 2) == 1;
    ush_scope_cancel(scope, is_late ? USH_CANCEL_DEADLINE : USH_CANCEL_ASKED);
}

int ush__sim_enter(struct ush_task *t)
{
    struct ush_loop *l = ush__loop;
    struct ush__sim_state *s = l->sim;
    if (USH_UNLIKELY(s->o.script && s->o.script->on_enter))
        s->o.script->on_enter(s->o.script, t);
    maybe_cancel(s, t);
    USH_TRY(ush__scope_error(t->scope));
    if (s->o.order != USH_SIM_FIFO) {
        s->kept = s->kept_in_a_row < KEPT_MAX ? t : NULL;
        ush__to_the_back(l, t);
    } else if (--t->budget <= 0) {
        ush__to_the_back(l, t);
    }
    return ush__scope_error(t->scope);
}

void ush__sim_parked(struct ush_task *t)
{
    struct ush__sim_state *s = ush__loop->sim;
    if (USH_UNLIKELY(s->o.script && s->o.script->on_park))
        s->o.script->on_park(s->o.script, t);
    maybe_cancel(s, t);
}

/* ---- the backend ----------------------------------------------------------------------------- */

static void choose_changes(struct ush__sim_state *s)
{
    if (s->o.pct_depth == 0)
        s->o.pct_depth = PCT_DEPTH;
    if (s->o.pct_depth > USH_COUNT(s->pct_change))
        s->o.pct_depth = USH_COUNT(s->pct_change);
    /* How long the run will be is not known, so its magnitude is drawn, rather small than large. */
    uint64_t one = draw(s, SIM_STREAM_ORDER) % 10, other = draw(s, SIM_STREAM_ORDER) % 10;
    uint64_t length = s->o.pct_steps ? s->o.pct_steps : UINT64_C(4) << (one < other ? one : other);
    for (uint32_t i = 0; i < s->o.pct_depth; i++)
        s->pct_change[i] = 1 + draw(s, SIM_STREAM_ORDER) % length;
}

static int sim_start(struct ush_loop *l, const struct ush_loop_options *o)
{
    struct ush__sim_state *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    l->sim = s;
    if (o->sim)
        s->o = *o->sim;
    s->report = o->sim_report;
    if (s->report)
        *s->report = (struct ush_sim_report){0};
    for (int i = 0; i < SIM_STREAMS; i++)
        s->stream[i] = mix(s->o.seed + UINT64_C(0x632be59bd9b4e019) * (uint64_t)(i + 1));
    s->now_ns = START_NS;
    if (s->o.start_wall_ms == 0)
        s->o.start_wall_ms = START_WALL_MS;
    if (s->o.steps_max == 0)
        s->o.steps_max = STEPS_MAX;
    choose_changes(s);
    return ush__sim_net_start(s);
}

static void sim_stop(struct ush_loop *l)
{
    struct ush__sim_state *s = l->sim;
    if (!s)
        return;
    if (s->report) {
        s->report->hash = s->hash;
        s->report->decisions = s->decisions;
        s->report->suspensions = s->suspensions;
        s->report->picks = s->picks;
        s->report->virtual_ns = s->now_ns - START_NS;
    }
    ush__sim_net_stop(s);
    free(s);
}

/* Nothing can happen any more, or it does not come to an end. */
static int stuck(struct ush_loop *l, const char *why)
{
    struct ush_sim_report *r = l->sim->report;
    if (l->is_stuck || !r)
        return USH_EDEADLOCK;
    struct ush_buf text;
    ush_buf_init(&text, sizeof r->text * 16);
    ush_dump(&text);
    snprintf(r->text, sizeof r->text, "%s\n%.*s", why, USH_PR(ush_buf_text(&text)));
    ush_buf_fini(&text);
    return USH_EDEADLOCK;
}

static int sim_poll(struct ush_loop *l, int64_t until_ns)
{
    struct ush__sim_state *s = l->sim;
    bool is_busy = !ush_list_is_empty(&l->ready) || !ush_list_is_empty(&l->later);
    if (l->is_stuck && --s->o.steps_max == 0)
        return USH_EDEADLOCK;
    if (!l->is_stuck && s->decisions >= s->o.steps_max) {
        int result = stuck(l, "the run does not end: its decisions are used up");
        s->o.steps_max = LAST_TURNS;
        return result;
    }
    if (until_ns == USH_NEVER) {
        int result = stuck(l, "no task is ready and no alarm is set");
        s->o.steps_max = LAST_TURNS;
        return result;
    }
    if (is_busy)
        s->now_ns += l->slice_ns;
    else if (until_ns > s->now_ns)
        s->now_ns = until_ns;
    l->now_ns = s->now_ns;
    return 0;
}

static int64_t sim_now_ns(struct ush_loop *l)
{
    return l->sim->now_ns;
}

static int64_t sim_wall_ms(struct ush_loop *l)
{
    return l->sim->o.start_wall_ms + (l->sim->now_ns - START_NS) / USH_MS;
}

static void sim_random(struct ush_loop *l, void *ret_bytes, size_t n)
{
    for (char *at = ret_bytes; n > 0;) {
        uint64_t bytes = draw(l->sim, SIM_STREAM_BYTES);
        size_t part = n < sizeof bytes ? n : sizeof bytes;
        memcpy(at, &bytes, part);
        at += part;
        n -= part;
    }
}

static int no_wait_fd(int fd __attribute__((unused)), unsigned events __attribute__((unused)))
{
    return -ENOTSUP; /* a foreign descriptor is one of the kernel's */
}

static int no_signal(int signo __attribute__((unused)),
                     void (*fn)(void *, int) __attribute__((unused)),
                     void *ctx __attribute__((unused)))
{
    return 0; /* none will ever come */
}

static void no_wake(struct ush_loop *l __attribute__((unused)))
{
}

const struct ush__backend ush__sim = {
    .name = "sim",
    .start = sim_start,
    .stop = sim_stop,
    .poll = sim_poll,
    .now_ns = sim_now_ns,
    .wall_ms = sim_wall_ms,
    .random = sim_random,
    .recv = ush__fd_recv,
    .send = ush__fd_send,
    .accept = ush__fd_accept,
    .connect = ush__sim_connect,
    .wait_fd = no_wait_fd,
    .fd_open = ush__sim_fd_open,
    .fd_close = ush__sim_close,
    .recv_now = ush__sim_recv_now,
    .send_now = ush__sim_send_now,
    .accept_now = ush__sim_accept_now,
    .listen = ush__sim_listen,
    .socketpair = ush__sim_socketpair,
    .shutdown_write = ush__sim_shutdown_write,
    .fd_watch = ush__fd_set_watch,
    .listener_watch = ush__sim_listener_watch,
    .listener_unwatch = ush__sim_listener_unwatch,
    .on_signal = no_signal,
    .wake = no_wake,
};

/* ---- public ---------------------------------------------------------------------------------- */

int ush_sim_run(const struct ush_sim_options *o, ush_fn fn, void *arg,
                struct ush_sim_report *ret_report)
{
    struct ush_loop_options options = {
        .backend = USH_BACKEND_SIM, .sim = o, .sim_report = ret_report};
    return ush_run(&options, fn, arg);
}

bool ush_is_sim(void)
{
    return ush__loop && ush__loop->sim;
}

uint32_t ush_sim_choose(uint32_t n)
{
    return ush__decide(USH__DECIDE_USER, n);
}
