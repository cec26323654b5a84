/*
 * lab.h - the commands of the lab, for main.c.
 */
#ifndef APP_LAB_H
#define APP_LAB_H

#include "cli/cli.h"

extern const struct cli_command lab_commands[]; /* ended by a NULL name */

#endif
