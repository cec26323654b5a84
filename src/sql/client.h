/*
 * client.h - the worker's side of the connection to the writer process; see client.c.
 */
#ifndef USH_SQL_CLIENT_H
#define USH_SQL_CLIENT_H

#include "usher/sql.h"

struct ush__client; /* opaque */

struct ush__client_options {
    struct ush_address at;
    const struct ush_operation *const *operations; /* borrowed */
    uint32_t queue_max, writer_wait_ms;            /* not 0 */
    struct ush_db_stats *stats;                    /* kept up to date; not NULL */
};

/* Connects in the background. NULL without memory. Never suspends. */
struct ush__client *ush__client_new(const struct ush__client_options *o);
/* See ush_change. May suspend. */
int ush__client_change(struct ush__client *c, const struct ush_operation *op, const void *in,
                       void *ret_out, struct ush_arena *arena);
/* No change may be in progress. May suspend. */
void ush__client_free(struct ush__client *c);

#endif
