/*
 * cli.h - the command line: one table of commands, one way to read options, to open the database
 * and to print.
 *
 *     cli.c     finds the command, reads options, opens      event.c   usher event ...
 *     print.c   sentences, records, tables, progress         reg.c     usher reg ...
 *     store.c   init, migrate, verify, version               mail.c    usher mail ...
 *     doctor.c, doctor_store.c, doctor_redis.c               admin.c   usher admin ...
 *               usher doctor
 *
 * A command is a row in the table of cli.c. Its options are the row's own, `--json`, and every
 * setting of the program (`--database-url`, `--workers`, …), which override the environment. A
 * command prints through cli_print_*, so that `--json` works everywhere in the same way: what goes
 * to standard output is either lines for people or one JSON document, never both.
 *
 * Exit codes: 0 done, 1 it failed or `verify` found something, 2 the command was typed wrongly.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdio.h>

#include "domain/fest.h"

enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct cli_option {
    const char *name;     /* without "--" */
    const char *argument; /* "N", or NULL for a switch */
    const char *doc;
};

enum { CLI_OPTIONS_MAX = 8, CLI_ARGUMENTS_MAX = 8 };

struct cli {
    const struct cli_command *command;
    struct settings settings;
    const char *config_file; /* --config, or NULL */
    char **words;            /* what was typed behind the command, without --config */
    int word_count;
    bool json;
    const char *values[CLI_OPTIONS_MAX]; /* of the command's own options; a switch is "" */
    char *arguments[CLI_ARGUMENTS_MAX];
    int argument_count;
    struct ush_db *db; /* for commands with .needs_db */
    struct fest fest;  /* the same */
    struct ush_arena *arena;
    /* The progress line; set from any thread, shown by a task of its own. */
    const char *_Atomic progress_what;
    _Atomic size_t progress_done, progress_total;
};

struct cli_command {
    const char *name;      /* "event import" */
    const char *arguments; /* "FILE"; shown in the help */
    const char *summary;   /* one line */
    const char *help;      /* paragraphs and an example */
    int min_arguments, max_arguments;
    struct cli_option options[CLI_OPTIONS_MAX + 1]; /* ended by a NULL name */
    bool needs_db; /* runs in a loop with cli->db open: through a running server's writer, or alone
                    */
    int (*run)(struct cli *cli); /* an exit code */
};

/* The groups of commands, one file each, ended by a NULL name. */
extern const struct cli_command cli_event_commands[], cli_reg_commands[], cli_mail_commands[],
    cli_store_commands[], cli_doctor_commands[], cli_admin_commands[];

/* Runs what argv says. `first` is the group of the floor above (serve, openapi), which help shows
 * first. An exit code. */
int cli_main(int argc, char **argv, const struct cli_command *first);

/* The settings as file, environment and options say now; the file may have changed. -EINVAL after
 * saying why on standard error. */
int cli_settings_again(const struct cli *cli, struct settings *ret);

/* The value of an option of the command, or NULL when it was not given. */
const char *cli_option(const struct cli *cli, const char *name);
/* The same as a number; `initial` when not given. Ends the program with a usage error otherwise. */
int64_t cli_option_i64(const struct cli *cli, const char *name, int64_t initial);

/* Who is at the keyboard, for the audit: "cli:name". */
ush_text cli_actor(struct cli *cli);

/* Prints one sentence "usher: …" on standard error and returns CLI_FAILED or CLI_USAGE. */
int cli_fail(const char *fmt, ...) USH_PRINTF(1, 2);
int cli_usage(const char *fmt, ...) USH_PRINTF(1, 2);
/* For a negative code from the library: what was tried, and why it failed. */
int cli_fail_code(int code, const char *fmt, ...) USH_PRINTF(2, 3);

/* A line for people; nothing under --json. */
void cli_say(const struct cli *cli, const char *fmt, ...) USH_PRINTF(2, 3);
/* One record as `name  value` lines, or as a JSON object. */
void cli_print_record(const struct cli *cli, const struct ush_record *r, const void *value);
/* Records as an aligned table with the field names as headings, or as a JSON array. */
void cli_print_rows(const struct cli *cli, const struct ush_record *r, const struct ush_rows *rows);
/* How far a command is: on a terminal, once it takes over a second, a line `what 1200 of 5000` is
 * kept up to date. `total` 0 when that is not known. Any thread; cheap. */
void cli_progress(struct cli *cli, const char *what, size_t done, size_t total);
/* Shows it until its scope is cancelled; a task beside the command. `arg` is the cli. */
int cli_progress_show(void *arg);

/* Asks "… [y/N]" unless `--yes` was given. Without a terminal the answer is no, and says so. */
bool cli_confirm(const struct cli *cli, const char *fmt, ...) USH_PRINTF(2, 3);

/* A whole file into the arena ("-": standard input). Negative code after saying why. */
int cli_read_file(struct cli *cli, const char *path, size_t max_bytes, ush_text *ret);

#endif
