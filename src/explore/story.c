/*
 * story.c - a schedule told: who ran, who took over, and where in the source that was.
 *
 * The schedule is played once more with the script's callbacks in place. At each suspension point
 * the running task follows its own frame pointers and notes the return addresses: that is where it
 * will be put off, if it is. At each resume one line of the story is written:
 *
 *      3* buy 4        put off at shop.c:21       -> buy 5 begins, shop.c:44
 *
 * A star marks a switch that the schedule forces; the others are what happens anyway when a task
 * waits or ends. A fault that is injected has a line of its own. A long story keeps only what is
 * forced.
 *
 * Addresses become source lines by addr2line, once for the whole story. Of a stack the innermost
 * frame that is not the library's own code is shown, and if all are, the innermost outside of
 * src/task. Without addr2line (package binutils) the story has the spawn sites only.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "explore/explore.h"

enum {
    FRAMES = 10,
    TASKS_MAX = 512,
    LINES_MAX = 400,
    LINES_SHORT = 40, /* a longer story keeps what is forced */
    FORCED_MAX = 60,
    NAME_BYTES = 40,
    PLACE_BYTES = 96,
};

struct place {
    uintptr_t pc[FRAMES];
    uint32_t n;
};

/* A task as last seen. By its id: the task itself may be gone. */
struct seen {
    char name[NAME_BYTES];
    const char *site, *waits; /* waits: NULL unless it has parked */
    struct place at;
    bool has_begun;
};

struct line {
    int64_t at_ns;
    uint32_t from, to; /* ids; from 0: the first */
    const char *why;   /* the one that ran stops */
    struct place from_at, to_at;
    bool is_forced, to_begins;
    enum ush__decision kind; /* USH__DECIDE_NEXT: a switch; else a fault */
    uint32_t choice;
};

static _Thread_local struct story {
    struct seen tasks[TASKS_MAX];
    struct line lines[LINES_MAX];
    uint32_t count, missed, running;
} * story;

static struct seen *seen_of(uint64_t id)
{
    return &story->tasks[id % TASKS_MAX];
}

/* ---- taking notes ---------------------------------------------------------------------------- */

/* Follows frame pointers upwards within the stack of the running task. */
__attribute__((noinline, no_sanitize("address", "thread"))) static void
note_place(struct place *p, const struct ush_task *t)
{
    const uintptr_t *fp = __builtin_frame_address(0);
    p->n = 0;
    while (p->n < FRAMES) {
        if ((const char *)fp < (const char *)t->stack.low ||
            (const char *)(fp + 2) > (const char *)t->stack.high ||
            (uintptr_t)fp % sizeof(uintptr_t) != 0)
            return;
        const uintptr_t *up = (const uintptr_t *)fp[0];
        if (fp[1] == 0)
            return;
        p->pc[p->n++] = fp[1] - 1; /* inside the call */
        if (up <= fp)
            return;
        fp = up;
    }
}

static void on_enter(struct ush__script *s __attribute__((unused)), struct ush_task *t)
{
    struct seen *me = seen_of(t->id);
    me->waits = NULL;
    note_place(&me->at, t);
}

static void on_park(struct ush__script *s __attribute__((unused)), struct ush_task *t)
{
    note_place(&seen_of(t->id)->at, t); /* not all waits are cancellation points */
    seen_of(t->id)->waits = ush__wait_phrases[t->wait];
}

static struct line *add_line(void)
{
    if (story->count == LINES_MAX) {
        story->missed++;
        return NULL;
    }
    struct line *l = &story->lines[story->count++];
    *l = (struct line){.at_ns = ush_now_ns()};
    return l;
}

static void on_deviation(struct ush__script *s __attribute__((unused)), enum ush__decision kind,
                         uint32_t choice)
{
    if (kind == USH__DECIDE_NEXT)
        return; /* on_pick tells */
    struct line *l = add_line();
    if (!l)
        return;
    l->kind = kind;
    l->choice = choice;
    l->is_forced = true;
    l->from = story->running;
    l->from_at = seen_of(l->from)->at;
}

static bool is_ready(const struct ush_link *queue, uint64_t id)
{
    USH_EACH (queue, l)
        if (USH_CONTAINER(l, struct ush_task, queue)->id == id)
            return true;
    return false;
}

static const char *why_it_stopped(uint32_t id, bool is_forced)
{
    const struct ush_loop *l = ush__loop;
    if (l->sim->kept && l->sim->kept->id == id)
        return is_forced ? "is put off" : "gives way";
    if (is_ready(&l->later, id))
        return "gives way";
    return seen_of(id)->waits || is_ready(&l->ready, id) ? "waits" : "ends";
}

static void on_pick(struct ush__script *s __attribute__((unused)), struct ush_task *t,
                    bool is_forced)
{
    struct seen *me = seen_of(t->id);
    uint32_t before = story->running;
    if (!me->has_begun)
        snprintf(me->name, sizeof me->name, "%s", t->name);
    me->site = t->site;
    story->running = (uint32_t)t->id;
    struct line *l = before == t->id ? NULL : add_line();
    if (l) {
        l->from = before;
        l->to = (uint32_t)t->id;
        l->is_forced = is_forced;
        l->to_begins = !me->has_begun;
        if (before) {
            l->why = why_it_stopped(before, is_forced);
            l->from_at = seen_of(before)->at;
        }
        l->to_at = me->at;
    }
    me->has_begun = true;
    me->waits = NULL;
}

/* ---- source lines ---------------------------------------------------------------------------- */

/* All addresses of the story with their lines, in the order of asking. */
struct atlas {
    uintptr_t *pc;
    char (*line)[PLACE_BYTES];
    size_t n, room;
};

static size_t index_of(const struct atlas *a, uintptr_t pc)
{
    size_t i = 0;
    while (i < a->n && a->pc[i] != pc)
        i++;
    return i;
}

static void collect(struct atlas *a, const struct place *p)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (index_of(a, p->pc[i]) == a->n && a->n < a->room)
            a->pc[a->n++] = p->pc[i];
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Asks addr2line about all addresses of the program itself. */
static void ask(struct atlas *a)
{
    char exe[512], out[1024];
    Dl_info own;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0 || !dladdr(__extension__(void *) ask, &own))
        return;
    exe[n] = '\0';
    struct ush_buf command;
    ush_buf_init(&command, 1 << 20);
    ush_buf_printf(&command, "addr2line -e '%s'", exe);
    for (size_t i = 0; i < a->n; i++) {
        Dl_info of = {0};
        bool is_ours = dladdr((void *)a->pc[i], &of) && of.dli_fbase == own.dli_fbase;
        ush_buf_printf(&command, " 0x%zx",
                       is_ours ? (size_t)(a->pc[i] - (uintptr_t)own.dli_fbase) : 0);
    }
    ush_buf_printf(&command, " 2>/dev/null");
    FILE *f = strchr(exe, '\'') || command.error ? NULL : popen(command.at, "r");
    for (size_t i = 0; f && i < a->n && fgets(out, sizeof out, f); i++) {
        out[strcspn(out, " \n")] = '\0'; /* also " (discriminator 3)" */
        const char *path = strlen(out) < PLACE_BYTES ? out : base_of(out);
        snprintf(a->line[i], PLACE_BYTES, "%.*s", PLACE_BYTES - 1, path[0] == '?' ? "" : path);
    }
    if (f)
        pclose(f);
    ush_buf_fini(&command);
}

static bool is_of(const char *line, const char *const *folders)
{
    for (; *folders; folders++)
        if (strstr(line, *folders))
            return true;
    return false;
}

/* Where a person would say that the task is. */
static const char *line_of(const struct atlas *a, const struct place *p)
{
    static const char *const task[] = {"src/task/", "src/explore/", NULL};
    static const char *const library[] = {"src/base/", "src/task/", "src/explore/", "src/net/",
                                          "src/http/", "src/sql/",  "src/jobs/",    NULL};
    const char *second = "";
    for (uint32_t i = 0; i < p->n; i++) {
        size_t k = index_of(a, p->pc[i]);
        const char *line = k < a->n ? a->line[k] : "";
        if (!line[0])
            continue;
        if (!is_of(line, library))
            return base_of(line);
        if (!second[0] && !is_of(line, task))
            second = line;
    }
    return base_of(second);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_fault(const struct line *l, const char *where, struct ush_buf *out)
{
    static const char *const texts[] = {
        [USH__DECIDE_CANCEL] = "the scope is cancelled", [USH__DECIDE_DELAY] = "it arrives late",
        [USH__DECIDE_SHORT] = "fewer bytes move",        [USH__DECIDE_RESET] = "the peer resets",
        [USH__DECIDE_USER] = "the scenario chooses",
    };
    ush_buf_printf(out, "* %s %u: %s", seen_of(l->from)->name, l->from, texts[l->kind]);
    if (l->kind == USH__DECIDE_USER || l->kind == USH__DECIDE_DELAY)
        ush_buf_printf(out, " %u", l->choice);
    ush_buf_printf(out, "%s%s\n", where[0] ? " at " : "", where);
}

static void write_line(const struct atlas *a, const struct line *l, struct ush_buf *out)
{
    const char *from_at = line_of(a, &l->from_at), *to_at = line_of(a, &l->to_at);
    ush_buf_printf(out, "%9.3f ms ", (double)(l->at_ns - USH_SECOND) / USH_MS);
    if (l->kind != USH__DECIDE_NEXT) {
        write_fault(l, from_at, out);
        return;
    }
    char left[160] = "";
    if (l->from && strcmp(l->why, "ends") == 0)
        snprintf(left, sizeof left, "%s %u ends", seen_of(l->from)->name, l->from);
    else if (l->from)
        snprintf(left, sizeof left, "%s %u %s%s%s", seen_of(l->from)->name, l->from, l->why,
                 from_at[0] ? " at " : "", from_at);
    const struct seen *to = seen_of(l->to);
    ush_buf_printf(out, "%c %-34s -> %s %u", l->is_forced ? '*' : ' ', left, to->name, l->to);
    if (l->to_begins)
        ush_buf_printf(out, " begins%s%s\n", strchr(to->site, ':') ? ", spawned at " : "",
                       strchr(to->site, ':') ? base_of(to->site) : "");
    else
        ush_buf_printf(out, " goes on%s%s\n", to_at[0] ? " behind " : "", to_at);
}

static void write_story(struct ush_buf *out)
{
    struct atlas a = {.room = (size_t)2 * LINES_MAX * FRAMES};
    a.pc = calloc(a.room, sizeof *a.pc);
    a.line = calloc(a.room, sizeof *a.line);
    if (!a.pc || !a.line)
        goto out;
    for (uint32_t i = 0; i < story->count; i++) {
        collect(&a, &story->lines[i].from_at);
        collect(&a, &story->lines[i].to_at);
    }
    ask(&a);
    bool is_short = story->count <= LINES_SHORT;
    uint32_t forced = 0;
    for (uint32_t i = 0; i < story->count; i++) {
        const struct line *l = &story->lines[i];
        if ((is_short || l->is_forced) && forced++ < FORCED_MAX)
            write_line(&a, l, out);
    }
    if (!is_short)
        ush_buf_printf(out,
                       "  (of %u switches; those that the schedule does not force are left "
                       "out)\n",
                       story->count + story->missed);
out:
    free(a.pc);
    free(a.line);
}

void ush__story(struct ush__exploration *x, const struct ush__plan *plan, struct ush_buf *out)
{
    struct ush__script *s = &x->script;
    story = calloc(1, sizeof *story);
    if (!story)
        return;
    s->on_deviation = on_deviation;
    s->on_enter = on_enter;
    s->on_park = on_park;
    s->on_pick = on_pick;
    ush__explore_run(x, plan);
    s->on_deviation = NULL;
    s->on_enter = NULL;
    s->on_park = NULL;
    s->on_pick = NULL;
    write_story(out);
    free(story);
    story = NULL;
}
