/*
 * net.h - addresses, listening sockets and accepting.
 *
 * A listening socket is made once, by the master, and inherited by the workers, so a worker's
 * death loses no connection that the kernel has taken. Each worker accepts from it through an
 * acceptor, which keeps the shares even and stops when the worker can hold no more.
 */
#ifndef USHER_NET_H
#define USHER_NET_H

#include "usher/task.h"

/* ---- addresses ------------------------------------------------------------------------------ */

/* "127.0.0.1:8080", "[::1]:80", ":8080" (0.0.0.0; "[::]:8080" is both families),
 * "unix:/run/usher.sock". Numeric hosts only. -EINVAL. Never suspends. */
int ush_address_parse(ush_text t, struct ush_address *ret);
/* The other way. */
void ush_address_format(const struct ush_address *a, char out[128]);
/* The host alone: "127.0.0.1", "::1", "unix". */
void ush_address_host(const struct ush_address *a, char out[64]);

enum { USH_ADDRESSES_MAX = 8 };
/* Resolves a name and a port in the blocking pool (numeric names at once): its addresses in the
 * order in which they are to be tried (RFC 6724 §6); a server may listen on the last of them only.
 * Their number, at most USH_ADDRESSES_MAX; USH_ENOTFOUND, -EAGAIN. Under sim every name is the
 * simulated host. May suspend. */
int ush_resolve(const char *name, uint16_t port, struct ush_address ret[USH_ADDRESSES_MAX]);

/* ---- listening ------------------------------------------------------------------------------ */

enum { USH_BACKLOG = 1024 };

/* A bound, listening, non-blocking, close-on-exec socket; before or outside any loop. A Unix path
 * that nobody serves is replaced, one that is served gives -EADDRINUSE. Negated errno. */
int ush_listen_at(const struct ush_address *at);
/* The listening socket that a service manager has handed over, which outlives this process: see
 * sd_listen_fds(3). -ENOENT when there is none, -EADDRNOTAVAIL when it listens elsewhere than `at`,
 * -EINVAL when it does not listen or is not the only one. Takes the variables out of the
 * environment, so ask once. */
int ush_listen_given(const struct ush_address *at);
/* The port that the kernel chose for ":0"; 0 for a Unix socket. */
int ush_listener_port(int fd);

/* ---- accepting ------------------------------------------------------------------------------ */

struct ush_acceptor_options {
    int listener; /* borrowed; shared with other processes or not */
    /* Owns the descriptor, which is open in the loop. Runs on the loop's stack. */
    void (*accepted)(void *ctx, int fd, const struct ush_address *peer);
    /* Nanoseconds for which this worker should leave connections to others, 0 = none. NULL: it
     * takes what it gets. */
    int64_t (*hold_ns)(void *ctx);
    void *ctx;
};

/* The caller's storage; zero it. Pause it before the memory goes. */
struct ush_acceptor {
    struct ush_acceptor_options o;
    struct ush_alarm alarm; /* set while it holds off */
    int64_t complained_ns;  /* when it last logged that the process is short of descriptors */
    bool is_watching, paused, has_waited;
};

int ush_acceptor_start(struct ush_acceptor *a, const struct ush_acceptor_options *o);
/* Takes all who wait in the backlog now, with no regard to shares, until it is paused by what it
 * takes. */
void ush_acceptor_take_waiting(struct ush_acceptor *a);
/* Takes nothing more until resumed: the worker is full, or ends. Idempotent. */
void ush_acceptor_pause(struct ush_acceptor *a);
void ush_acceptor_resume(struct ush_acceptor *a);

#endif
