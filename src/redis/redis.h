/*
 * redis.h (internal) - what the files of the Redis client share.
 *
 *     url.c    the address of a server as text
 *     reply.c  hiredis' reader, with replies made in an arena and bounded
 *     redis.c  the connection and the calls
 */
#ifndef USH_REDIS_REDIS_H
#define USH_REDIS_REDIS_H

#include <hiredis/hiredis.h>

#include "usher/redis.h"

/* ---- where to (url.c) ------------------------------------------------------------------------ */

struct ush__redis_url {
    char host[256]; /* name or number; empty for a Unix socket */
    uint16_t port;
    char path[108]; /* of a Unix socket; else empty */
    char user[128]; /* empty = none, as before Redis 6 */
    char password[256];
    char db[8]; /* a number as text; empty = 0 */
};
/* 0 or -EINVAL. Never suspends. */
int ush__redis_url_parse(ush_text url, struct ush__redis_url *ret);

/* ---- replies (reply.c) ----------------------------------------------------------------------- */

/* The bytes of one connection. Zero is closed. */
struct ush__replies {
    redisReader *reader;     /* owned */
    struct ush_arena *arena; /* of the call that is under way; borrowed */
    size_t bytes_max, bytes; /* received by the call that is under way */
    size_t items;            /* of arrays, by the same */
    bool is_over;            /* it wanted more than it may */
};

/* 0 or -ENOMEM. */
int ush__replies_open(struct ush__replies *r, size_t bytes_max);
void ush__replies_close(struct ush__replies *r);
/* A new call begins. */
void ush__replies_begin(struct ush__replies *r, struct ush_arena *arena);
/* Takes received bytes in. 0, USH_ELIMIT, -ENOMEM. */
int ush__replies_feed(struct ush__replies *r, const char *bytes, size_t n);
/* The next whole reply: 1; 0 while it is not there; USH_EPROTO; USH_ELIMIT. */
int ush__replies_take(struct ush__replies *r, struct ush_redis_reply *ret);
/* True when bytes were fed that belong to no reply taken so far. */
bool ush__replies_has_rest(const struct ush__replies *r);

#endif
