/*
 * redis.h - commands to a Redis server (5 to 7, RESP2) as calls that look blocking. The running
 * scope's deadline is the time-out of a call, with connecting and logging in.
 *
 * Several commands travel in one call: they are sent in one piece and answered in one piece, so n
 * of them cost one round trip. One object is one connection, made by the first call that needs it
 * and kept. Calls of several tasks take turns; a command that blocks in the server (XREADGROUP ...
 * BLOCK) holds up the others, so it wants an object of its own. One object belongs to one loop;
 * sockets may be simulated.
 *
 * What a server cannot do to us: it cannot make us hold more than `reply_bytes_max`, wait longer
 * than the scope allows, or take the reply of one command for that of another. A connection that
 * gave a wrong byte, or on which a call was cut, is closed.
 */
#ifndef USHER_REDIS_H
#define USHER_REDIS_H

#include "usher/task.h"

struct ush_redis; /* opaque */

struct ush_redis_options {
    /*
     * "redis://[[user]:password@]host[:port][/db]" or "unix://[[user]:password@]/path[?db=n]", also
     * "unix:/path". User and password may be percent-encoded; [::1] is an IPv6 host. Copied.
     */
    const char *url;
    size_t reply_bytes_max; /* received in one call; 0 = 1 MiB */
};

/* Connects to nobody yet. NULL with *ret_error -EINVAL (the URL) or -ENOMEM. Never suspends. */
struct ush_redis *ush_redis_new(const struct ush_redis_options *o, int *ret_error);
/* No call may be under way. Never suspends. */
void ush_redis_free(struct ush_redis *r);
/* Closes the connection, if there is one; the next call makes another. Never suspends. */
void ush_redis_close(struct ush_redis *r);

struct ush_redis_command {
    const ush_text *args; /* borrowed during the call; any bytes */
    size_t count;         /* at least 1 */
};
/* USH_REDIS(USH_T("SET"), key, value): a command of the block around it. */
#define USH_REDIS(...)                                                                             \
    ((struct ush_redis_command){(const ush_text[]){__VA_ARGS__},                                   \
                                sizeof((ush_text[]){__VA_ARGS__}) / sizeof(ush_text)})

enum ush_redis_type {
    USH_REDIS_NIL,
    USH_REDIS_STATUS,  /* text: "OK" */
    USH_REDIS_ERROR,   /* text: "ERR unknown command"; the first word is the code */
    USH_REDIS_INTEGER, /* integer */
    USH_REDIS_STRING,  /* text: any bytes */
    USH_REDIS_ARRAY,   /* items, count */
};
struct ush_redis_reply {
    enum ush_redis_type type;
    int64_t integer;
    ush_text text; /* followed by a NUL byte */
    const struct ush_redis_reply *items;
    size_t count;
};

/*
 * Sends n commands and waits for their n replies. Replies live in `arena`. That a command was
 * refused is a reply too (USH_REDIS_ERROR) and says nothing about those behind it.
 *
 *   0                 all replies are there
 *   USH_EUNAVAILABLE  no connection, or the last failure was too short ago to try (50 ms, doubled
 *                     with each failure up to 2 s, each times 0.75 to 1.25): nothing was sent
 *   -EACCES           the login or the database was refused: nothing was sent
 *   -ECANCELED, -ETIMEDOUT   before anything was sent
 *   USH_EUNKNOWN      lost, or cut by the scope, after the first byte: each command ran or not
 *   USH_EPROTO        what came is no reply, or one too many; each command ran or not
 *   USH_ELIMIT        more than reply_bytes_max or the arena's cap came; or, with nothing sent,
 *                     the commands are longer than 16 MiB
 *   -ENOMEM           nothing was sent
 *
 * After any of these the connection is closed, except if nothing was sent on one that was good.
 * A connection that the server closed between two calls is noticed before sending. May suspend.
 */
int ush_redis_call(struct ush_redis *r, const struct ush_redis_command *commands, size_t n,
                   struct ush_redis_reply *ret_replies, struct ush_arena *arena);

/* One command. A refusal is USH_EINVAL here, with the reply filled. May suspend. */
int ush_redis_do(struct ush_redis *r, struct ush_redis_command command,
                 struct ush_redis_reply *ret_reply, struct ush_arena *arena);

#endif
