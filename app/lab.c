/*
 * lab.c - `usher lab`: the list of scenes, one scene run and drawn, a race explored, and all scenes
 * on a page.
 *
 * Here is only what belongs to the command line; the scenes are in app/lab.
 */
#include "lab.h"

#include <stdlib.h>

#include "lab/lab.h"

static int list(struct cli *cli)
{
    if (cli->json) {
        struct ush_buf out;
        ush_buf_init(&out, 1 << 20);
        for (const struct lab_scene *s = lab_scenes; s->name; s++) {
            ush_buf_printf(&out, "%s{\"scene\":\"%s\",\"title\":", s == lab_scenes ? "[" : ",",
                           s->name);
            ush_buf_add_json(&out, ush_text_of(s->title));
            ush_buf_add_byte(&out, '}');
        }
        printf("%s]\n", out.at);
        ush_buf_fini(&out);
        return CLI_OK;
    }
    for (const struct lab_scene *s = lab_scenes; s->name; s++)
        printf("  %-20s %s\n", s->name, s->title);
    printf("\nRun one:       usher lab run tasks --students 100 --svg tasks.svg\n"
           "See them all:  usher lab serve\n");
    return CLI_OK;
}

static int64_t number(struct cli *cli, const char *option, int64_t initial, int64_t max)
{
    int64_t n = cli_option_i64(cli, option, initial);
    if (n < 1 || n > max)
        exit(cli_usage("--%s is 1 to %lld, not %lld", option, (long long)max, (long long)n));
    return n;
}

static int write_svg(const char *path, const struct lab *l, const struct lab_scene *s)
{
    struct ush_buf out;
    ush_buf_init(&out, 8 << 20);
    lab_draw_svg(l, s, &out);
    FILE *f = fopen(path, "w");
    bool is_good = f && fwrite(out.at ? out.at : "", 1, out.len, f) == out.len;
    if ((f && fclose(f) != 0) || !is_good)
        fprintf(stderr, "usher: cannot write %s: %s\n", path, strerror(errno));
    ush_buf_fini(&out);
    return is_good ? CLI_OK : CLI_FAILED;
}

static int run(struct cli *cli)
{
    const struct lab_scene *s = lab_scene_find(cli->arguments[0]);
    const char *svg = cli_option(cli, "svg");
    struct lab_params p = lab_defaults;
    if (!s)
        return cli_usage("there is no scene \"%s\"; usher lab lists them", cli->arguments[0]);
    p.students = number(cli, "students", s->students ? s->students : p.students, LAB_STUDENTS_MAX);
    p.mail_ms = number(cli, "mail-ms", p.mail_ms, 60000);
    p.workers = number(cli, "lab-workers", p.workers, 64);
    p.threads = number(cli, "threads", p.threads, 256);
    p.cap = number(cli, "cap", s->cap ? s->cap : p.cap, LAB_STUDENTS_MAX);
    p.scale = number(cli, "scale", s->scale ? s->scale : p.scale, 1000);
    struct lab l;
    struct ush_buf out;
    ush_buf_init(&out, 16 << 20);
    int r = lab_run(&l, s, &p), code = CLI_OK;
    if (cli->json)
        lab_draw_json(&l, s, &out);
    else if (cli_option(cli, "html"))
        lab_draw_html(&l, s, &out);
    else
        lab_draw_text(&l, s, &out);
    fwrite(out.at, 1, out.len, stdout);
    if (svg)
        code = write_svg(svg, &l, s);
    if (r < 0)
        fprintf(stderr, "usher: %s: %s\n", s->name, ush_error_text(r));
    ush_buf_fini(&out);
    lab_fini(&l);
    return r < 0 ? CLI_FAILED : code;
}

static int no_scenario(const char *typed)
{
    fprintf(stderr, "usher: there is no scenario \"%s\"; there are", typed);
    for (size_t i = 0; lab_explorable(i); i++)
        fprintf(stderr, "%s %s", i ? "," : "", lab_explorable(i));
    fprintf(stderr, "\n");
    return CLI_USAGE;
}

static void print_explored(const struct cli *cli, const struct ush_explore_report *r)
{
    struct ush_buf out;
    ush_buf_init(&out, 1 << 20);
    if (!cli->json && r->fault == USH_EXPLORE_HELD)
        printf("%s: holds under %llu schedules%s\n", cli->arguments[0],
               (unsigned long long)r->schedules, r->is_complete ? ", and there are no others" : "");
    if (!cli->json)
        fputs(r->text, stdout);
    if (cli->json) {
        ush_buf_printf(&out, "{\"scenario\":\"%s\",\"schedules\":%llu,\"failed\":%s,\"schedule\":",
                       cli->arguments[0], (unsigned long long)r->schedules,
                       r->fault == USH_EXPLORE_HELD ? "false" : "true");
        ush_buf_add_json(&out, ush_text_of(r->schedule));
        ush_buf_add(&out, USH_T(",\"what\":"));
        ush_buf_add_json(&out, ush_text_of(r->what));
        printf("%s}\n", out.at);
    }
    ush_buf_fini(&out);
}

static int explore(struct cli *cli)
{
    static const char *const strategies[] = {"mix", "random", "pct", "all", "cut"};
    static struct ush_explore_report report;
    const char *strategy = cli_option(cli, "strategy");
    struct ush_explore_options o = {.name = cli->arguments[0],
                                    .schedules = (uint64_t)number(cli, "schedules", 1000, 1000000),
                                    .seed = (uint64_t)number(cli, "seed", 1, INT64_MAX),
                                    .replay = cli_option(cli, "replay"),
                                    .quiet = true};
    size_t i = 0;
    while (strategy && i < USH_COUNT(strategies) && strcmp(strategies[i], strategy) != 0)
        i++;
    if (i == USH_COUNT(strategies))
        return cli_usage("--strategy is mix, random, pct, all or cut, not \"%s\"", strategy);
    o.strategy = (enum ush_explore_strategy)i;
    int r = lab_explore(&o, &report);
    if (r == USH_ENOTFOUND)
        return no_scenario(o.name);
    if (r == -EINVAL)
        return cli_usage("\"%s\" is no schedule; a failure prints one", o.replay ? o.replay : "");
    print_explored(cli, &report);
    return r == 0 ? CLI_OK : CLI_FAILED;
}

static int serve(struct cli *cli)
{
    const char *typed = cli_option(cli, "on");
    struct ush_address at;
    int r = ush_address_parse(ush_text_of(typed ? typed : "127.0.0.1:8081"), &at);
    int listener = r < 0 ? r : ush_listen_at(&at);
    if (listener < 0) {
        fprintf(stderr, "usher: cannot listen on %s: %s\n", typed ? typed : "127.0.0.1:8081",
                ush_error_text(listener));
        return CLI_FAILED;
    }
    printf("The lab is at http://127.0.0.1:%d\nStop it with Ctrl-C.\n",
           ush_listener_port(listener));
    fflush(stdout);
    return lab_serve(listener) < 0 ? CLI_FAILED : CLI_OK;
}

const struct cli_command lab_commands[] = {
    {.name = "lab",
     .summary = "ways to serve a rush, run and measured side by side",
     .help = "Lists the scenes. Each shows one idea in a real run: usher lab run SCENE.",
     .run = list},
    {.name = "lab run",
     .arguments = "SCENE",
     .summary = "run a scene: table, timeline, and what it shows",
     .help =
         "Runs the scene with real processes, threads and tasks, prints what was measured, and\n"
         "draws the timeline from what the run wrote down.\n\n"
         "Example: usher lab run workers --students 100 --lab-workers 4 --scale 100",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = {{"students", "N", "who press the button at once (100)"},
                 {"mail-ms", "N", "how long the mail server takes (2000)"},
                 {"lab-workers", "N", "processes, where a scene has several (4)"},
                 {"threads", "N", "of the pool (20)"},
                 {"cap", "N", "calls at once, where a scene has a cap (10)"},
                 {"scale", "N", "so many times faster in real time (10)"},
                 {"svg", "FILE", "write the timeline as SVG"},
                 {"html", NULL, "print picture and table as the page shows them"}},
     .run = run},
    {.name = "lab explore",
     .arguments = "SCENARIO",
     .summary = "run a scenario under many schedules until one breaks it",
     .help =
         "Explores one of the races, await-race, deadlock or oversell, or one of its defences:\n"
         "await-race-late-read, await-race-locked, deadlock-ordered, oversell-statement,\n"
         "oversell-transaction, oversell-locked. A failure is shrunk, told switch by switch,\n"
         "and comes with its schedule. How to read it: docs/explore.md.\n\n"
         "Example: usher lab explore deadlock --strategy all",
     .min_arguments = 1,
     .max_arguments = 1,
     .options = {{"strategy", "NAME", "mix (the default), random, pct, all or cut"},
                 {"schedules", "N", "at most (1000)"},
                 {"seed", "N", "of the first schedule (1)"},
                 {"replay", "SCHEDULE", "only this one, as a failure printed it"}},
     .run = explore},
    {.name = "lab serve",
     .summary = "all scenes on a page, run again with your numbers",
     .help =
         "Serves the lab's page until it is stopped. Each picture on it is drawn from a run that\n"
         "has just taken place on this machine, so it is for one reader and not for the world.",
     .options = {{"on", "ADDRESS", "where to listen (127.0.0.1:8081)"}},
     .run = serve},
    {0},
};
