/*
 * serve.h - the commands of the topmost floor: serve, dump, openapi.
 */
#ifndef SERVE_H
#define SERVE_H

#include "cli/cli.h"

extern const struct cli_command serve_commands[];

#endif
