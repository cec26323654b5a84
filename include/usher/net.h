/*
 * net.h - addresses and listening sockets.
 *
 * A listening socket is made once, by the master, and inherited by the workers, so a worker's
 * death loses no connection that the kernel has taken.
 */
#ifndef USHER_NET_H
#define USHER_NET_H

#include "usher/task.h"

enum { USH_BACKLOG = 1024 };

/* "127.0.0.1:8080", "[::1]:80", ":8080" (all addresses), "unix:/run/usher.sock". Numeric hosts
 * only. -EINVAL. Never suspends. */
int ush_address_parse(ush_text t, struct ush_address *ret);
/* The other way; at most 107 bytes for a Unix path, without a port when `without_port` fits. */
void ush_address_format(const struct ush_address *a, char out[128]);
/* The host alone: "127.0.0.1", "::1", "unix". */
void ush_address_host(const struct ush_address *a, char out[64]);

/* A bound, listening, non-blocking, close-on-exec socket; before or outside any loop. A Unix path
 * that nobody serves is replaced, one that is served gives -EADDRINUSE. Negated errno. */
int ush_listen_at(const struct ush_address *at);
/* The port that the kernel chose for ":0". */
int ush_listener_port(int fd);

/* Resolves "name" and a port in the blocking pool (numeric names at once). The first address.
 * USH_ENOTFOUND, -EAGAIN. May suspend. */
int ush_resolve(const char *name, uint16_t port, struct ush_address *ret);

#endif
