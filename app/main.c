/*
 * main.c - the program `usher`. What it does is in the table of commands (app/cli) and, for
 * serving, in serve.c beside this file.
 */
#include "serve.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv, serve_commands);
}
