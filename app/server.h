/*
 * server.h - what one server's processes are made of: the parts that all share, and their roles.
 *
 * serve.c makes a `struct server` before the forks; roles.c is what each process does with it.
 */
#ifndef SERVER_H
#define SERVER_H

#include "cli/cli.h"
#include "domain/accounts.h"
#include "usher/master.h"
#include "web/web.h"

struct server {
    struct cli *cli;
    struct settings settings;
    int listener, writer_listener;
    int wake_fd; /* eventfd: "there may be jobs" */
    struct limits *limits;
    struct fest_shared *shared; /* what web workers tell each other */
    bool is_sqlite;
    bool is_listener_given; /* it outlives us, and whoever comes waits for the next server */
    char address[160];
    bool has_users;                    /* somebody may log in */
    char setup[SETUP_TOKEN_CHARS + 1]; /* of the link for the first one */
};

/* The database and the fest on it, for one worker; says why if it fails. May suspend. Close what
 * was opened with the other. */
int server_open_fest(struct server *s, struct fest *f);
void server_close_fest(struct fest *f);

/* Roles for the master; `ctx` is the server. Each returns once it is told to drain and has done so,
 * 0 or a negative error. */
int run_web(struct ush_worker *w, void *ctx);
int run_writer(struct ush_worker *w, void *ctx);
int run_job(struct ush_worker *w, void *ctx);

/* A job worker died: what it had claimed is free at once, not after its lease. */
void release_claims(struct ush_worker *w, void *ctx, int64_t owner);

#endif
