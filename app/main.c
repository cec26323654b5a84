/*
 * main.c - the program `usher`. What it does is in the table of commands (app/cli) and, for
 * serving and for the lab, in serve.c and lab.c beside this file.
 */
#include "lab.h"
#include "serve.h"

int main(int argc, char **argv)
{
    struct cli_command commands[32];
    size_t n = 0;
    for (const struct cli_command *c = serve_commands; c->name; c++)
        commands[n++] = *c;
    for (const struct cli_command *c = lab_commands; c->name; c++)
        commands[n++] = *c;
    assert(n < USH_COUNT(commands));
    commands[n] = (struct cli_command){0};
    return cli_main(argc, argv, commands);
}
