/*
 * cli.c - finds the command, reads its options, prepares what it needs and runs it.
 *
 * The tables of the groups (store.c, event.c, reg.c, mail.c, and the floor above) are searched in
 * order; a command of two words ("event import") is looked for before one of one word. What is
 * typed wrongly gets the nearest known word.
 *
 * A command that needs the database runs as the root task of a loop, because reads and changes may
 * suspend; the loop ends with the command.
 */
#include "cli/cli.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cli_command *groups[] = {
    NULL, /* the floor above */
    cli_store_commands,
    cli_doctor_commands,
    cli_event_commands,
    cli_reg_commands,
    cli_mail_commands,
    cli_admin_commands,
};

enum { ARENA_BYTES = 512 << 20, WORDS_MAX = 64, OPTION_NAME_MAX = 40 };

static const struct cli_command *find(const char *name)
{
    for (size_t g = 0; g < USH_COUNT(groups); g++)
        for (const struct cli_command *c = groups[g]; c->name; c++)
            if (!strcmp(c->name, name))
                return c;
    return NULL;
}

static bool is_group(const char *word)
{
    size_t n = strlen(word);
    for (size_t g = 0; g < USH_COUNT(groups); g++)
        for (const struct cli_command *c = groups[g]; c->name; c++)
            if (!strncmp(c->name, word, n) && c->name[n] == ' ')
                return true;
    return false;
}

/* ---- help ------------------------------------------------------------------------------- */

static void help_all(void)
{
    printf(
        "usher takes a rush of registrations: each is answered at once and truthfully, no seat is\n"
        "given twice, and no confirmation mail is forgotten.\n\n"
        "usage: usher COMMAND [ARGUMENT...] [--OPTION...]\n");
    for (size_t g = 0; g < USH_COUNT(groups); g++) {
        printf("\n");
        for (const struct cli_command *c = groups[g]; c->name; c++)
            printf("  %-16s %s\n", c->name, c->summary);
    }
    printf("\nTo try it:          usher init && usher serve\n"
           "Help on a command:  usher COMMAND --help\n"
           "Settings:           usher serve --help lists them; each is an option, a variable\n"
           "                    (USHER_…) or a line of the file named by --config.\n"
           "Every command takes --json.\n");
}

static void help_group(const char *word)
{
    size_t n = strlen(word);
    printf("usage: usher %s COMMAND\n\n", word);
    for (size_t g = 0; g < USH_COUNT(groups); g++)
        for (const struct cli_command *c = groups[g]; c->name; c++)
            if (!strncmp(c->name, word, n) && c->name[n] == ' ')
                printf("  %-16s %s\n", c->name + n + 1, c->summary);
    printf("\nHelp on one: usher %s COMMAND --help\n", word);
}

static void help_command(const struct cli_command *c)
{
    printf("usage: usher %s%s%s%s\n\n%s\n", c->name, c->arguments ? " " : "",
           c->arguments ? c->arguments : "", c->options[0].name ? " [--OPTION...]" : "", c->help);
    printf("\nOptions:\n");
    for (const struct cli_option *o = c->options; o->name; o++) {
        char left[40];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        printf("  %-26s %s\n", left, o->doc);
    }
    printf("  %-26s %s\n", "--json", "print JSON for programs");
    printf("  %-26s %s\n", "--config FILE", "read settings from a file of KEY=value lines");
    if (!strcmp(c->name, "serve")) {
        struct ush_buf text;
        ush_buf_init(&text, 64 << 10);
        ush_settings_help(settings_table, settings_count, SETTINGS_PREFIX, &text);
        printf("\nSettings, as options or variables:\n%s", ush_buf_text(&text).at);
        ush_buf_fini(&text);
    } else {
        printf("  %-26s %s\n", "--SETTING VALUE",
               "any setting (usher serve --help), such as --database-url");
    }
}

/* ---- options ------------------------------------------------------------------------------ */

const char *cli_option(const struct cli *cli, const char *name)
{
    for (int i = 0; cli->command->options[i].name; i++)
        if (!strcmp(cli->command->options[i].name, name))
            return cli->values[i];
    assert(!"an option that the command does not declare");
    return NULL;
}

int64_t cli_option_i64(const struct cli *cli, const char *name, int64_t initial)
{
    const char *typed = cli_option(cli, name);
    int64_t value;
    if (!typed)
        return initial;
    if (ush_text_i64(ush_text_of(typed), &value) < 0)
        exit(cli_usage("--%s takes a whole number, not \"%s\"", name, typed));
    return value;
}

static int set_setting(struct cli *cli, const char *key, const char *value)
{
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    int r = ush_settings_set(settings_table, settings_count, ush_text_of(key), ush_text_of(value),
                             &cli->settings, &problem);
    if (r < 0)
        r = cli_usage("%s", ush_buf_text(&problem).at);
    ush_buf_fini(&problem);
    return r;
}

/* "--database-url" for DATABASE_URL. */
static void option_name(const struct ush_setting *s, char out[OPTION_NAME_MAX])
{
    size_t n = 0;
    for (; s->key[n] && n + 1 < OPTION_NAME_MAX; n++)
        out[n] = s->key[n] == '_' ? '-' : (char)(s->key[n] | 32);
    out[n] = '\0';
}

static const char *nearest_option(const struct cli *cli, const char *typed)
{
    static char names[WORDS_MAX][OPTION_NAME_MAX];
    const char *words[WORDS_MAX + CLI_OPTIONS_MAX + 4] = {"json", "help", "config"};
    size_t n = 3;
    for (int i = 0; cli->command->options[i].name; i++)
        words[n++] = cli->command->options[i].name;
    for (size_t i = 0; i < settings_count && i < WORDS_MAX; i++) {
        option_name(&settings_table[i], names[i]);
        words[n++] = names[i];
    }
    return ush_nearest(ush_text_of(typed), words);
}

/* An option as typed: the command's own, --json, or a setting. 0 or an exit code. */
static int take_option(struct cli *cli, const char *name, const char *value, bool *ret_took_next)
{
    if (!strcmp(name, "json")) {
        cli->json = true;
        return 0;
    }
    for (int i = 0; cli->command->options[i].name; i++) {
        const struct cli_option *o = &cli->command->options[i];
        if (strcmp(o->name, name))
            continue;
        if (o->argument && !value)
            return cli_usage("--%s needs %s", name, o->argument);
        cli->values[i] = o->argument ? value : "";
        *ret_took_next = o->argument != NULL;
        return 0;
    }
    for (size_t i = 0; i < settings_count; i++) {
        char setting[OPTION_NAME_MAX];
        option_name(&settings_table[i], setting);
        if (strcmp(setting, name) != 0)
            continue;
        if (!value)
            return cli_usage("--%s needs a value", name);
        *ret_took_next = true;
        return set_setting(cli, name, value);
    }
    const char *near = nearest_option(cli, name);
    return cli_usage("usher %s has no option --%s%s%s%s", cli->command->name, name,
                     near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

/* Reads what follows the command's words. 0 or an exit code. */
static int read_arguments(struct cli *cli, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        char *word = argv[i];
        if (!strcmp(word, "-w"))
            word = "--workers"; /* as Gunicorn's users type it */
        if (word[0] != '-' || !word[1]) {
            if (cli->argument_count == cli->command->max_arguments)
                return cli_usage("usher %s takes %s, \"%s\" is too much", cli->command->name,
                                 cli->command->arguments ? cli->command->arguments : "no argument",
                                 word);
            cli->arguments[cli->argument_count++] = word;
            continue;
        }
        char name[64];
        char *equals = strchr(word, '=');
        size_t n = equals ? (size_t)(equals - word) - 2 : strlen(word) - 2;
        if (word[1] != '-' || n == 0 || n >= sizeof name)
            return cli_usage("\"%s\" is not an option", word);
        snprintf(name, sizeof name, "%.*s", (int)n, word + 2);
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool took_next = false;
        int r = take_option(cli, name, equals ? equals + 1 : next, &took_next);
        if (r)
            return r;
        if (took_next && !equals)
            i++;
    }
    if (cli->argument_count < cli->command->min_arguments)
        return cli_usage("usher %s needs %s; see usher %s --help", cli->command->name,
                         cli->command->arguments, cli->command->name);
    return 0;
}

/* The value of --config wherever it stands, and takes it out of argv. */
static const char *take_config(int *argc, char **argv)
{
    for (int i = 0; i < *argc; i++) {
        bool joined = !strncmp(argv[i], "--config=", 9);
        if (!joined && (strcmp(argv[i], "--config") != 0 || i + 1 == *argc))
            continue;
        const char *file = joined ? argv[i] + 9 : argv[i + 1];
        int words = joined ? 1 : 2;
        memmove(argv + i, argv + i + words, (size_t)(*argc - i - words) * sizeof *argv);
        *argc -= words;
        return file;
    }
    return NULL;
}

/* Settings from file, environment and options, in this order, and the command's own options and
 * arguments. 0, or an exit code after saying what is wrong. */
static int read_settings(struct cli *cli)
{
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    int r = ush_settings_load(settings_table, settings_count, SETTINGS_PREFIX, cli->config_file,
                              &cli->settings, &problem);
    if (r < 0)
        r = cli_usage("%s", ush_buf_text(&problem).at);
    if (r == 0)
        r = read_arguments(cli, cli->word_count, cli->words);
    if (r == 0 && settings_check(&cli->settings, &problem) < 0)
        r = cli_usage("%s", ush_buf_text(&problem).at);
    ush_buf_fini(&problem);
    return r;
}

int cli_settings_again(const struct cli *cli, struct settings *ret)
{
    struct cli again = {.command = cli->command,
                        .config_file = cli->config_file,
                        .words = cli->words,
                        .word_count = cli->word_count};
    if (read_settings(&again))
        return -EINVAL;
    *ret = again.settings;
    return 0;
}

/* ---- running -------------------------------------------------------------------------------- */

/* A command that asks something does not make the database it asks. */
static bool is_missing(const char *url)
{
    return !strncmp(url, "sqlite:", 7) && url[7] != ':' && access(url + 7, F_OK) < 0 &&
           errno == ENOENT;
}

/* The tables are those of this program: 0, or an exit code after saying what to do. */
static int check_tables(struct cli *cli)
{
    struct ush_migrate_options o = fest_migrations;
    o.check_only = true;
    int missing = ush_migrate(cli->db, &o);
    if (missing < 0)
        return cli_fail_code(missing, "%s cannot be read", cli->settings.database_name);
    if (missing > 0)
        return cli_fail("%s lacks %d migrations; usher migrate applies them",
                        cli->settings.database_name, missing);
    return 0;
}

static int with_fest(struct cli *cli)
{
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    int code = check_tables(cli);
    if (code == 0 && fest_open(&cli->fest, &cli->settings, cli->db, &problem) < 0)
        code = cli_fail("%s", ush_buf_text(&problem).at);
    ush_buf_fini(&problem);
    if (code)
        return code;
    struct ush_scope beside;
    ush_scope_open(&beside, &(struct ush_scope_options){.name = "progress"});
    ush_spawn(&beside, cli_progress_show, cli);
    code = cli->command->run(cli);
    ush_scope_cancel(&beside, USH_CANCEL_ASKED);
    ush_scope_close(&beside);
    fest_close(&cli->fest);
    return code;
}

static int with_database(void *arg)
{
    struct cli *cli = arg;
    int error = 0;
    const char *name = cli->settings.database_name;
    if (is_missing(cli->settings.database_url))
        return cli_fail("there is no database %s; usher init makes one with a sample fest, usher "
                        "migrate an empty one",
                        name);
    cli->db = ush_db_open(&(struct ush_db_options){.url = cli->settings.database_url,
                                                   .role = USH_DB_TOOL,
                                                   .operations = fest_operations},
                          &error);
    if (!cli->db)
        return cli_fail_code(error, "%s cannot be opened", name);
    int code = with_fest(cli);
    ush_db_close(cli->db);
    return code;
}

static int run(struct cli *cli)
{
    struct ush_arena arena;
    ush_arena_init(&arena, NULL, 0, ARENA_BYTES);
    cli->arena = &arena;
    int code = cli->command->needs_db ? ush_run(&(struct ush_loop_options){0}, with_database, cli)
                                      : cli->command->run(cli);
    ush_arena_fini(&arena);
    if (code < 0)
        code = cli_fail_code(code, "usher %s", cli->command->name);
    if (fflush(stdout) != 0)
        return cli_fail("standard output cannot be written");
    return code;
}

ush_text cli_actor(struct cli *cli)
{
    const char *name = getenv("SUDO_USER");
    if (!name)
        name = getenv("USER");
    return ush_arena_printf(cli->arena, "cli:%.60s", name ? name : "unknown");
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            return true;
    return false;
}

/* A word that is no command, and the one behind it or NULL: they may be "evnt list" or "sreve". */
static int unknown(const char *word, const char *next)
{
    const char *words[WORDS_MAX + 1] = {0};
    char typed[128];
    size_t n = 0;
    for (size_t g = 0; g < USH_COUNT(groups); g++)
        for (const struct cli_command *c = groups[g]; c->name && n < WORDS_MAX; c++)
            words[n++] = c->name;
    snprintf(typed, sizeof typed, "%s%s%s", word, next ? " " : "", next ? next : "");
    const char *near = ush_nearest(ush_text_of(typed), words), *shown = typed;
    if (!near && !is_group(word))
        near = ush_nearest(ush_text_of(shown = word), words);
    return cli_usage("there is no command \"%s\"%s%s%s; usher --help lists them", shown,
                     near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

int cli_main(int argc, char **argv, const struct cli_command *first)
{
    groups[0] = first;
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_WARN, .role = "usher"});
    argc--, argv++;
    bool wants_help = argc > 1 && !strcmp(argv[0], "help");
    if (wants_help)
        argc--, argv++;
    if (argc == 0 || !strcmp(argv[0], "help") || !strcmp(argv[0], "--help") ||
        !strcmp(argv[0], "-h")) {
        help_all();
        return argc == 0 ? CLI_USAGE : CLI_OK;
    }
    if (!strcmp(argv[0], "--version"))
        argv[0] = "version";
    if (argv[0][0] == '-')
        return cli_usage("the command comes first, and %s behind it; usher --help lists commands",
                         argv[0]);
    struct cli cli = {0};
    int words = 1;
    if (argc > 1) {
        char two[64];
        snprintf(two, sizeof two, "%s %s", argv[0], argv[1]);
        cli.command = find(two);
        words = cli.command ? 2 : 1;
    }
    if (!cli.command)
        cli.command = find(argv[0]);
    if (!cli.command && is_group(argv[0])) {
        wants_help |= asks_for_help(argc, argv);
        if (argc > 1 && !wants_help)
            return unknown(argv[0], argv[1]);
        help_group(argv[0]);
        return wants_help ? CLI_OK : CLI_USAGE;
    }
    if (!cli.command)
        return unknown(argv[0], argc > 1 ? argv[1] : NULL);
    argc -= words, argv += words;
    if (wants_help || asks_for_help(argc, argv)) {
        help_command(cli.command);
        return CLI_OK;
    }
    cli.config_file = take_config(&argc, argv);
    cli.words = argv;
    cli.word_count = argc;
    int r = read_settings(&cli);
    return r ? r : run(&cli);
}
