/*
 * main.c - the program `usher`. Everything it can do is a command in app/cli.
 */
#include "cli/cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
