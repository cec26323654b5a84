/*
 * explore.c - which schedules are run, and what each run's verdict is.
 *
 * Every run goes through the sim backend with a script beside it (sim_state.h) that writes down
 * each choice. RANDOM, PCT and CUT let the seed make the choices. ALL plays lists of deviations
 * from the natural order: it begins with the empty list and appends, to every schedule that held,
 * each deviation that is possible behind its last one. A list is the only way to a schedule, so no
 * schedule is run twice; the queue is worked off breadth first, so the lists grow longer one by
 * one, and the first that fails has as few deviations as any.
 *
 *     ""  ->  1@0:1  1@2:1  1@2:2  1@5:1 ...  ->  1@0:1,2:1  1@0:1,4:1 ...
 *
 * A failure, whoever found it, is turned into such a list, shrunk, told and printed.
 *
 * Invariants
 *  1. A run is decided by its plan (seed, order, calm or not, cut, list), the options and, for PCT,
 *     the length of the runs before: nothing that differs from one exploration to the next.
 *  2. What is told is what the shrunk list does, not what was found first.
 *  3. A schedule that takes two ways is a failure of its own kind and is not shrunk: nothing that
 *     follows from it could be trusted.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "explore/explore.h"

enum {
    SCHEDULES = 10000,
    STEPS_MAX = 1000000,
    TWICE_EVERY = 16,
    SHRINK_RUNS = 1000,
    PCT_DEPTH = 3,
    DEVIATIONS_MAX = 3,
    CALM_EVERY = 4,
    FEW = 3, /* of a choice among many, ALL tries the first few and the last */
};

/* ---- one run --------------------------------------------------------------------------------- */

enum ush_explore_fault ush__explore_run(struct ush__exploration *x, const struct ush__plan *plan)
{
    struct ush__script *script = &x->script;
    struct ush_sim_options sim = x->o.sim;
    sim.seed = x->seed = plan->seed;
    sim.order = plan->plays ? USH_SIM_RANDOM : plan->order;
    sim.pct_depth = plan->pct_depth;
    sim.pct_steps = (uint32_t)x->pct_steps;
    sim.cancel_at = plan->cancel_at;
    if (plan->is_calm)
        sim.cancel_permille = sim.reset_permille = sim.short_permille = 0;
    script->plays = plan->plays;
    script->played = plan->played;
    script->played_count = plan->played_count;
    script->played_next = script->count = 0;
    sim.script = script;

    struct ush__verdict *v = &ush__verdict;
    v->run++;
    v->is_exploring = true;
    v->fault = USH_EXPLORE_HELD;
    v->what[0] = '\0';
    int result = ush_sim_run(&sim, x->scenario, x->arg, &x->sim);
    v->is_exploring = false;
    x->result = result;
    if (result == USH_EDEADLOCK)
        ush__verdict_set(USH_EXPLORE_STUCK, "%.*s", (int)strcspn(x->sim.text, "\n"), x->sim.text);
    else if (result < 0)
        ush__verdict_set(USH_EXPLORE_RETURNED, "the scenario returned %d: %s", result,
                         ush_error_text(result));
    return v->fault;
}

struct ush__deviation *ush__explore_deviations(const struct ush__exploration *x, size_t *ret_n)
{
    const struct ush__script *script = &x->script;
    size_t end = script->count < script->room ? script->count : script->room, n = 0;
    for (size_t i = 0; i < end; i++)
        n += script->choices[i].choice > 0;
    struct ush__deviation *list = calloc(n + 1, sizeof *list);
    if (!list)
        return NULL;
    n = 0;
    for (size_t i = 0; i < end; i++)
        if (script->choices[i].choice > 0)
            list[n++] = (struct ush__deviation){(uint32_t)i, script->choices[i].choice};
    *ret_n = n;
    return list;
}

/* Counts the run as one of the exploration's, and every k-th of them runs a second time. */
static enum ush_explore_fault run_counted(struct ush__exploration *x, const struct ush__plan *plan)
{
    enum ush_explore_fault fault = ush__explore_run(x, plan);
    x->runs++;
    x->choices += x->script.count;
    if (fault != USH_EXPLORE_HELD || x->runs % x->o.twice_every != 0)
        return fault;
    uint64_t hash = x->sim.hash, count = x->script.count;
    fault = ush__explore_run(x, plan);
    if (fault == USH_EXPLORE_HELD && x->sim.hash == hash)
        return fault;
    ush__verdict.fault = USH_EXPLORE_UNSTABLE;
    snprintf(
        ush__verdict.what, sizeof ush__verdict.what,
        "one schedule ran in two ways, with %llu and then %zu choices: the scenario depends on "
        "something outside the loop, or on a run before",
        (unsigned long long)count, x->script.count);
    return USH_EXPLORE_UNSTABLE;
}

/* ---- strategies by chance -------------------------------------------------------------------- */

/* The order of service first; then by turns. Different depths find different bugs, and no order
 * finds all. */
static struct ush__plan plan_of(const struct ush_explore_options *o, uint64_t i)
{
    struct ush__plan p = {
        .seed = o->seed + i, .order = USH_SIM_RANDOM, .is_calm = i % CALM_EVERY == CALM_EVERY - 1};
    if (o->strategy == USH_EXPLORE_MIX && i == 0)
        return (struct ush__plan){.seed = o->seed, .plays = true};
    if (o->strategy == USH_EXPLORE_PCT || (o->strategy == USH_EXPLORE_MIX && i % 2 == 1)) {
        p.order = USH_SIM_PCT;
        p.pct_depth = o->strategy == USH_EXPLORE_PCT ? o->pct_depth : 2 + (uint32_t)(i / 2 % 2);
        p.is_calm = i / 2 % CALM_EVERY == CALM_EVERY - 1;
    }
    return p;
}

static enum ush_explore_fault walk(struct ush__exploration *x, struct ush__plan *ret_plan)
{
    for (uint64_t i = 0; i < x->o.schedules; i++) {
        *ret_plan = plan_of(&x->o, i);
        enum ush_explore_fault fault = run_counted(x, ret_plan);
        if (fault != USH_EXPLORE_HELD)
            return fault;
        if (i % 64 == 0 || x->sim.picks > x->pct_steps)
            x->pct_steps = x->sim.picks;
    }
    return USH_EXPLORE_HELD;
}

/* Each seed's walk whole, and then cut at each of its suspensions, or at as many of them, evenly
 * spread, as there are schedules left. */
static enum ush_explore_fault cut(struct ush__exploration *x, struct ush__plan *ret_plan)
{
    for (uint64_t seed = x->o.seed; x->runs < x->o.schedules; seed++) {
        uint64_t suspensions = 1, step = 1;
        *ret_plan = (struct ush__plan){.seed = seed, .order = USH_SIM_RANDOM};
        for (; ret_plan->cancel_at <= suspensions && x->runs < x->o.schedules;
             ret_plan->cancel_at += (uint32_t)step) {
            enum ush_explore_fault fault = run_counted(x, ret_plan);
            if (fault != USH_EXPLORE_HELD)
                return fault;
            if (ret_plan->cancel_at == 0) {
                suspensions = x->sim.suspensions;
                step = suspensions / (x->o.schedules - x->runs + 1) + 1;
            }
        }
    }
    return USH_EXPLORE_HELD;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* A schedule that waits to be run: that of its parent and one deviation more. */
struct node {
    uint32_t parent, depth;
    struct ush__deviation last;
};

struct queue {
    struct node *nodes; /* owned */
    size_t count, room;
    bool is_cut; /* something found no room */
};

static void add_node(struct queue *q, uint32_t parent, uint32_t at, uint32_t choice)
{
    if (q->count == q->room) {
        q->is_cut = true;
        return;
    }
    q->nodes[q->count++] =
        (struct node){.parent = parent, .depth = q->nodes[parent].depth + 1, .last = {at, choice}};
}

/* What can be appended to the schedule that has just run. */
static void add_children(struct ush__exploration *x, struct queue *q, uint32_t me)
{
    const struct node *node = &q->nodes[me];
    size_t end = x->script.count;
    if (node->depth == x->o.deviations_max)
        return;
    if (end > x->script.room) {
        end = x->script.room;
        q->is_cut = true;
    }
    for (size_t at = node->depth ? node->last.at + 1 : 0; at < end; at++) {
        uint32_t n = x->script.choices[at].n;
        for (uint32_t c = 1; c < n; c++)
            if (c <= FEW || c == n - 1)
                add_node(q, me, (uint32_t)at, c);
            else
                c = n - 2; /* with the next step, the last */
        if (q->count == q->room)
            return;
    }
}

static size_t list_of(const struct queue *q, uint32_t me, struct ush__deviation *ret_list)
{
    size_t n = q->nodes[me].depth;
    for (size_t i = n; i > 0; i--, me = q->nodes[me].parent)
        ret_list[i - 1] = q->nodes[me].last;
    return n;
}

/* ret_plan->played is `list`, with room for deviations_max. */
static enum ush_explore_fault search(struct ush__exploration *x, struct ush__plan *ret_plan,
                                     struct ush__deviation *list)
{
    struct queue q = {
        .nodes = calloc(x->o.schedules, sizeof(struct node)), .count = 1, .room = x->o.schedules};
    enum ush_explore_fault fault = USH_EXPLORE_HELD;
    if (!q.nodes)
        return fault;
    for (uint32_t i = 0; i < q.count && fault == USH_EXPLORE_HELD; i++) {
        *ret_plan = (struct ush__plan){
            .seed = x->o.seed, .plays = true, .played = list, .played_count = list_of(&q, i, list)};
        fault = run_counted(x, ret_plan);
        add_children(x, &q, i);
    }
    x->is_complete = fault == USH_EXPLORE_HELD && !q.is_cut;
    free(q.nodes);
    return fault;
}

/* ---- schedules as text: SEED[c]@AT:CHOICE,AT:CHOICE -------------------------------------------
 */

static void format(const struct ush__plan *p, char *out, size_t n)
{
    size_t len =
        (size_t)snprintf(out, n, "%llu%s", (unsigned long long)p->seed, p->is_calm ? "c" : "");
    if (p->cancel_at)
        len += (size_t)snprintf(out + len, n - len, "x%u", p->cancel_at);
    len += (size_t)snprintf(out + len, n - len, "@");
    for (size_t i = 0; i < p->played_count && len < n; i++)
        len += (size_t)snprintf(out + len, n - len, "%s%u:%u", i ? "," : "", p->played[i].at,
                                p->played[i].choice);
    if (len >= n)
        out[0] = '\0';
}

static int parse(const char *text, struct ush__plan *ret_plan, struct ush__deviation **ret_list)
{
    ush_text rest = ush_text_of(text), cut_at = ush_text_cut(&rest, '@');
    ush_text seed = ush_text_cut(&cut_at, 'x');
    int64_t value, cancel_at = 0;
    bool is_calm = ush_text_ends(seed, USH_T("c"));
    seed.len -= is_calm;
    if (!rest.at || ush_text_i64(seed, &value) < 0 ||
        (cut_at.at && (ush_text_i64(cut_at, &cancel_at) < 0 || cancel_at < 1)))
        return -EINVAL;
    struct ush__deviation *list = calloc(rest.len + 1, sizeof *list);
    if (!list)
        return -ENOMEM;
    size_t n = 0;
    while (rest.len) {
        ush_text choice = ush_text_cut(&rest, ','), at = ush_text_cut(&choice, ':');
        int64_t a, c;
        if (ush_text_i64(at, &a) < 0 || ush_text_i64(choice, &c) < 0 || a < 0 || c < 1 ||
            a > UINT32_MAX || c > UINT32_MAX || (n && a <= list[n - 1].at)) {
            free(list);
            return -EINVAL;
        }
        list[n++] = (struct ush__deviation){(uint32_t)a, (uint32_t)c};
    }
    *ret_plan = (struct ush__plan){.seed = (uint64_t)value,
                                   .plays = true,
                                   .is_calm = is_calm,
                                   .cancel_at = (uint32_t)cancel_at,
                                   .played = list,
                                   .played_count = n};
    *ret_list = list;
    return 0;
}

/* ---- a failure ------------------------------------------------------------------------------- */

static const char *strategy_text(const struct ush__plan *p)
{
    if (p->order == USH_SIM_PCT)
        return "by random priorities (PCT)";
    if (p->cancel_at)
        return "by a random walk that is cut";
    if (p->plays)
        return p->played_count ? "by trying all" : "in the order of service";
    return "by a random walk";
}

/* As a shell reads it. */
static void command_line(struct ush_buf *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+=:,@%";
    char text[1024] = "";
    FILE *f = fopen("/proc/self/cmdline", "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    for (const char *word = text; word < text + n; word += strlen(word) + 1) {
        bool is_plain = word[0] && !word[strspn(word, plain)];
        ush_buf_add(out, is_plain ? USH_T(" ") : USH_T(" '"));
        for (const char *c = word; *c; c++)
            ush_buf_add(out, *c == '\'' ? USH_T("'\\''") : (ush_text){c, 1});
        ush_buf_add(out, is_plain ? USH_T("") : USH_T("'"));
    }
}

static const char *choices_text(unsigned n)
{
    return n == 1 ? "choice" : "choices";
}

/* `found` is the plan that failed; `plan` plays what is left of it: the same one in a replay. */
static void tell(struct ush__exploration *x, const struct ush__plan *found,
                 const struct ush__plan *plan, struct ush_explore_report *r)
{
    struct ush_buf text;
    ush_buf_init(&text, sizeof r->text * 4);
    if (r->fault == USH_EXPLORE_UNSTABLE) {
        ush_buf_printf(&text, "%s: not stable (seed %llu, schedule %llu)\n  %s\n", x->o.name,
                       (unsigned long long)found->seed, (unsigned long long)r->schedules, r->what);
    } else if (found == plan) {
        bool is_held = r->fault == USH_EXPLORE_HELD;
        ush_buf_printf(&text, "%s: replayed with seed %llu, %s%s%s\n", x->o.name,
                       (unsigned long long)found->seed, is_held ? "" : "it fails:\n  ", r->what,
                       is_held ? " now" : "");
        ush_buf_printf(&text, "it differs from the order of service in %u %s:\n", r->deviations,
                       choices_text(r->deviations));
    } else {
        ush_buf_printf(&text, "%s: schedule %llu fails, found %s with seed %llu\n  %s\n", x->o.name,
                       (unsigned long long)r->schedules, strategy_text(found),
                       (unsigned long long)found->seed, r->what);
        ush_buf_printf(&text,
                       "it differs from the order of service in %u %s, %u after shrinking:\n",
                       r->deviations, choices_text(r->deviations), r->deviations_left);
    }
    if (r->fault != USH_EXPLORE_UNSTABLE) {
        ush__story(x, plan, &text);
        if (r->fault == USH_EXPLORE_STUCK)
            ush_buf_printf(&text, "%s", x->sim.text);
    }
    if (r->schedule[0]) {
        ush_buf_printf(&text, "to see it again:\n  USH_REPLAY=%s:%s", x->o.name, r->schedule);
        command_line(&text);
        ush_buf_add_byte(&text, '\n');
    }
    snprintf(r->text, sizeof r->text, "%.*s", USH_PR(ush_buf_text(&text)));
    ush_buf_fini(&text);
    if (!x->o.quiet)
        fputs(r->text, stderr);
}

static int explain(struct ush__exploration *x, const struct ush__plan *found,
                   struct ush_explore_report *r)
{
    struct ush__plan plan = *found;
    size_t n = 0;
    r->fault = ush__verdict.fault;
    r->strategy = found->order == USH_SIM_PCT ? USH_EXPLORE_PCT
                  : found->cancel_at          ? USH_EXPLORE_CUT
                  : found->plays              ? USH_EXPLORE_ALL
                                              : USH_EXPLORE_RANDOM;
    r->seed = found->seed;
    memcpy(r->what, ush__verdict.what, sizeof r->what);
    struct ush__deviation *list = ush__explore_deviations(x, &n);
    if (!list)
        return -ENOMEM;
    r->deviations = (uint32_t)n;
    plan.plays = true;
    plan.played = list;
    if (r->fault != USH_EXPLORE_UNSTABLE) {
        n = ush__shrink(x, &plan, list, n);
        plan.played_count = n;
        ush__explore_run(x, &plan);
        memcpy(r->what, ush__verdict.what, sizeof r->what);
    }
    plan.played_count = n;
    r->deviations_left = (uint32_t)n;
    r->result = x->result;
    format(&plan, r->schedule, sizeof r->schedule);
    tell(x, found, &plan, r);
    free(list);
    return 1;
}

/* ---- a crash --------------------------------------------------------------------------------- */

static const struct ush__exploration *_Atomic exploring; /* NULL: none */
static const int deadly[] = {SIGABRT, SIGSEGV};
static struct sigaction before[USH_COUNT(deadly)];

/* A crash of the program under test ends it: the least is to say in which schedule. The loop has
 * given this thread a stack for it. */
static void on_crash(int signo __attribute__((unused)), siginfo_t *info __attribute__((unused)),
                     void *context __attribute__((unused)))
{
    const struct ush__exploration *x = exploring;
    char line[256];
    int n = 0;
    if (x)
        n = snprintf(line, sizeof line, "%s: schedule %llu ends the program, seed %llu\n",
                     x->o.name, (unsigned long long)x->runs + 1, (unsigned long long)x->seed);
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        n = 0;
    for (size_t i = 0; i < USH_COUNT(deadly); i++)
        sigaction(deadly[i], &before[i], NULL); /* it comes again, and ends the process */
}

static void watch_crashes(void)
{
    const struct sigaction a = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    for (size_t i = 0; i < USH_COUNT(deadly); i++)
        sigaction(deadly[i], &a, &before[i]);
}

/* ---- public ---------------------------------------------------------------------------------- */

/* The schedule that the caller or the environment wants for this scenario; NULL: explore. */
static const char *wanted(const struct ush_explore_options *o)
{
    const char *text = getenv("USH_REPLAY");
    size_t n = strlen(o->name);
    if (!o->replay && text && strncmp(text, o->name, n) == 0 && text[n] == ':')
        return text + n + 1;
    return o->replay;
}

static int replay(struct ush__exploration *x, const char *text, struct ush_explore_report *r)
{
    struct ush__plan plan;
    struct ush__deviation *list = NULL;
    USH_TRY(parse(text, &plan, &list));
    enum ush_explore_fault fault = run_counted(x, &plan);
    r->schedules = 1;
    r->choices = x->choices;
    r->fault = fault;
    r->strategy = USH_EXPLORE_ALL;
    r->seed = plan.seed;
    r->result = x->result;
    r->deviations = r->deviations_left = (uint32_t)plan.played_count;
    memcpy(r->what, ush__verdict.what, sizeof r->what);
    format(&plan, r->schedule, sizeof r->schedule);
    if (fault == USH_EXPLORE_HELD)
        snprintf(r->what, sizeof r->what, "this schedule holds");
    tell(x, &plan, &plan, r);
    free(list);
    return fault != USH_EXPLORE_HELD;
}

static int explore(struct ush__exploration *x, struct ush_explore_report *r)
{
    const char *text = wanted(&x->o);
    if (text)
        return replay(x, text, r);
    struct ush__plan plan = {0};
    struct ush__deviation *list = calloc(x->o.deviations_max, sizeof *list);
    if (!list)
        return -ENOMEM;
    enum ush_explore_fault fault = x->o.strategy == USH_EXPLORE_ALL   ? search(x, &plan, list)
                                   : x->o.strategy == USH_EXPLORE_CUT ? cut(x, &plan)
                                                                      : walk(x, &plan);
    r->schedules = x->runs;
    r->choices = x->choices;
    r->is_complete = x->is_complete;
    int result = fault == USH_EXPLORE_HELD ? 0 : explain(x, &plan, r);
    free(list);
    return result;
}

static void fill_in(struct ush_explore_options *o)
{
    o->schedules = o->schedules ? o->schedules : SCHEDULES;
    o->seed = o->seed ? o->seed : 1;
    o->pct_depth = o->pct_depth ? o->pct_depth : PCT_DEPTH;
    o->deviations_max = o->deviations_max ? o->deviations_max : DEVIATIONS_MAX;
    o->twice_every = o->twice_every ? o->twice_every : TWICE_EVERY;
    o->shrink_runs = o->shrink_runs ? o->shrink_runs : SHRINK_RUNS;
    o->sim.steps_max = o->sim.steps_max ? o->sim.steps_max : STEPS_MAX;
}

int ush_explore(const struct ush_explore_options *o, ush_fn scenario, void *arg,
                struct ush_explore_report *ret_report)
{
    struct ush__exploration x = {.o = *o, .scenario = scenario, .arg = arg};
    if (!o->name || !*o->name || ush__loop || o->schedules > UINT32_MAX)
        return -EINVAL;
    fill_in(&x.o);
    struct ush_explore_report *r = calloc(1, sizeof *r);
    x.script.room = USH__CHOICES_MAX;
    x.script.choices = malloc(x.script.room * sizeof *x.script.choices);
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_crashes);
    exploring = &x;
    int result = r && x.script.choices ? explore(&x, r) : -ENOMEM;
    exploring = NULL;
    if (r && ret_report)
        *ret_report = *r;
    free(x.script.choices);
    free(r);
    return result;
}
