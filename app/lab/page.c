/*
 * page.c - the lab in a browser.
 *
 *   GET /                      all scenes; the script runs those that come into view
 *   GET /scene/{name}?...      one scene, run with these parameters; with part=1 only its result
 *
 * A run is a process of its own: `usher lab run NAME --html`. So nothing that happens in a scene
 * touches the server, and what is measured is not the server.
 *
 *  1. One run at a time, because two would measure each other; who comes meanwhile waits in the
 *     semaphore's queue, and the page stays quick.
 *  2. Whoever closes the page leaves the queue, or ends the run (the handler is cancelled, and the
 *     processes of a run end with the one that began it). So nothing piles up behind him.
 *  3. A run that takes longer than RUN_S is ended, too.
 */
#include "lab/page.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gen/assets.h"
#include "gen/pages.h"

/* On the page a scene is over in seconds; --scale says otherwise. */
enum { PAGE_SCALE = 20 };
enum { RESULT_BYTES = 4 << 20, RUN_S = 150, QUEUE_S = 1800, SCENES_MAX = 32, WORDS = 24 };

static struct ush_semaphore stage;

/* ---- a run ----------------------------------------------------------------------------------- */

struct order {
    char *words[WORDS];
    struct ush_buf out;
};

/* A child that writes into `to`. */
static int start(struct order *o, int to, pid_t *ret_pid)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to, STDOUT_FILENO);
    int r = -posix_spawn(ret_pid, "/proc/self/exe", &actions, NULL, o->words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* Starts the program and keeps what it prints. */
static int play(struct order *o)
{
    int fds[2], status = 0;
    char part[16384];
    ssize_t n = 1;
    pid_t pid;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    int r = start(o, fds[1], &pid);
    close(fds[1]);
    if (r < 0 || (n = ush_fd_open(fds[0])) < 0)
        close(fds[0]);
    while (r == 0 && n >= 0 && (n = ush_recv(fds[0], part, sizeof part)) > 0)
        ush_buf_add(&o->out, (ush_text){part, (size_t)n});
    if (r < 0)
        return r;
    ush_close(fds[0]);
    if (n < 0)
        kill(pid, SIGKILL); /* nobody waits for it any more */
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return n < 0 ? (int)n : status != 0 ? -EIO : o->out.error;
}

static const char *const parameters[] = {"students", "mail-ms", "lab-workers",
                                         "threads",  "cap",     "scale"};

static int run_scene(struct ush_request *rq, const struct lab_scene *s, struct ush_buf *out)
{
    struct order o = {.words = {"usher", "lab", "run", (char *)s->name, "--html"}};
    size_t n = 5;
    for (size_t i = 0; i < USH_COUNT(parameters); i++) {
        ush_text value = ush_query(rq, parameters[i]);
        int64_t number;
        if (!value.len || ush_text_i64(value, &number) < 0)
            continue;
        o.words[n++] = (char *)ush_arena_printf(rq->arena, "--%s", parameters[i]).at;
        o.words[n++] = (char *)ush_arena_printf(rq->arena, "%lld", (long long)number).at;
    }
    USH_TRY(ush_semaphore_take(&stage));
    struct ush_scope scope;
    ush_buf_init(&o.out, RESULT_BYTES);
    ush_scope_open(&scope,
                   &(struct ush_scope_options){.deadline_ns = ush_now_ns() + RUN_S * USH_SECOND});
    int r = play(&o);
    (void)ush_scope_close(&scope);
    ush_semaphore_give(&stage);
    if (r == -ETIMEDOUT)
        ush_buf_printf(out,
                       "<p>This run was ended after %d seconds. With a larger number of times "
                       "faster it is over sooner.</p>\n",
                       RUN_S);
    else if (r < 0 && r != -ECANCELED)
        ush_buf_printf(out, "<p>This run failed: %s. Are the numbers within their limits?</p>\n",
                       ush_error_text(r));
    else
        ush_buf_add(out, ush_buf_text(&o.out));
    ush_buf_fini(&o.out);
    return r == -ECANCELED ? r : 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* Behind the essay, from where this scene begins. A part that has moved
 * shows the whole of the file. */
static const char *code_of(const struct lab_scene *s)
{
    const char *at = strstr(s->source, "LAB_SOURCE(");
    at = at ? strchr(at, '\n') : NULL;
    if (!at)
        return s->source;
    const char *part = s->begin ? strstr(at, s->begin) : NULL;
    return part ? part : at + strspn(at, "\n");
}

static int reply_scenes(struct ush_request *rq, const struct lab_scene *only, const char *result)
{
    struct lab_scene_view scenes[SCENES_MAX];
    struct lab_view v = {.sheet = asset_site_css.path,
                         .lab_sheet = asset_lab_css.path,
                         .icon = asset_icon_svg.path,
                         .script = asset_lab_js.path,
                         .p = lab_defaults,
                         .scenes = scenes};
    v.p.scale = PAGE_SCALE;
    for (const struct lab_scene *s = lab_scenes; s->name && v.count < SCENES_MAX; s++)
        if (!only || s == only)
            scenes[v.count++] = (struct lab_scene_view){s, code_of(s), only ? result : ""};
    int64_t *const fields[] = {&v.p.students, &v.p.mail_ms, &v.p.workers,
                               &v.p.threads,  &v.p.cap,     &v.p.scale};
    if (only && only->students)
        v.p.students = only->students;
    if (only && only->scale)
        v.p.scale = only->scale;
    if (only && only->cap)
        v.p.cap = only->cap;
    for (size_t i = 0; i < USH_COUNT(parameters); i++)
        (void)ush_text_i64(ush_query(rq, parameters[i]), fields[i]);
    struct ush_buf out;
    ush_buf_init(&out, 2 * RESULT_BYTES);
    lab_page(&out, &v);
    int r = ush_reply(rq, 200, "text/html; charset=utf-8",
                      ush_arena_copy(rq->arena, ush_buf_text(&out)));
    ush_buf_fini(&out);
    return r;
}

static int show_all(struct ush_request *rq)
{
    return reply_scenes(rq, NULL, "");
}

static int show_one(struct ush_request *rq)
{
    ush_text name = ush_param(rq, "name");
    const struct lab_scene *s = lab_scene_find(ush_arena_copy(rq->arena, name).at);
    struct ush_buf result;
    if (!s)
        return ush_problem(rq, &ush_problem_not_found, "there is no scene %.*s", USH_PR(name));
    ush_buf_init(&result, RESULT_BYTES);
    int r = run_scene(rq, s, &result);
    ush_text html = ush_arena_copy(rq->arena, ush_buf_text(&result));
    ush_buf_fini(&result);
    USH_TRY(r);
    if (ush_query(rq, "part").len)
        return ush_reply(rq, 200, "text/html; charset=utf-8", html);
    return reply_scenes(rq, s, html.at ? html.at : "");
}

static int reply_file(struct ush_request *rq)
{
    for (size_t i = 0; i < ASSET_COUNT; i++)
        if (ush_text_equal(rq->path, ush_text_of(assets[i]->path)))
            return ush_reply_asset(rq, assets[i]);
    return ush_problem(rq, &ush_problem_not_found, "there is no such file");
}

static const struct ush_route routes[] = {
    {"GET", "/", show_all, .doc = "All scenes.", .is_page = true},
    {"GET", "/scene/{name}", show_one, .doc = "A scene, run now.", .is_page = true,
     .deadline_ms = QUEUE_S * 1000},
    {"GET", "/assets/{file}", reply_file, .doc = "Style sheets and script.", .is_page = true},
};

static int serve(void *listener)
{
    int r = 0;
    struct ush_http_options o = {.title = "Usher's lab",
                                 .version = USHER_VERSION,
                                 .routes = routes,
                                 .route_count = USH_COUNT(routes),
                                 .listeners = listener,
                                 .listener_count = 1};
    ush_semaphore_init(&stage, "stage", 1);
    return ush_http_start(&o, &r) ? ush_park_until_cancelled() : r;
}

int lab_serve(int listener)
{
    return ush_run(&(struct ush_loop_options){0}, serve, &listener);
}
