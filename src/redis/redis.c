/*
 * redis.c - one connection to a Redis server, and calls over it.
 *
 *               call                 logged in
 *   (closed) --------> connecting ------------> good --send--> owed replies
 *      ^   ^               |                    ^  |                |  |
 *      |   +-- failure ----+                    |  |    all n came  |  |
 *      |       (back-off)                       +--|----------------+  |
 *      +--- the server had closed it, or spoke unasked                 |
 *      +--- cut by the scope, lost, a wrong byte, too much ------------+
 *
 * Invariants
 *  1. A connection that is kept owes nothing: as many whole replies came as commands were sent,
 *     and not a byte more. So the next reply on it belongs to the next command.
 *  2. From the first byte sent until the last reply is taken the connection counts as lost; only
 *     the end of that path makes it good again. There is no other way to keep it.
 *  3. While the time after a failure lasts, calls fail at once: nobody waits for a server that was
 *     away a moment ago. One success ends the series of failures. A call that was cut counts as a
 *     failure of the server, which was too slow for it.
 *
 * Commands are formatted by hiredis (redisFormatCommandArgv) and sent in one piece, so a stop of
 * ours in the middle of a pipeline is a stop in the middle of nothing else. What is sent again,
 * after an unknown outcome, is the caller's choice: a command is never repeated here.
 *
 * Deliberately not here: cluster, sentinel, TLS, publish and subscribe (a push would be an unasked
 * byte), RESP3, several connections behind one object.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "redis/redis.h"
#include "usher/net.h"

enum {
    REPLY_BYTES = 1 << 20,
    COMMAND_BYTES = 16 << 20,
    BACK_OFF_MS = 50,
    BACK_OFF_MS_MAX = 2000,
    PIECE_BYTES = 4096, /* received at once: on the stack of the task */
    LOGIN_ARENA = 8192,
};

struct ush_redis {
    struct ush__redis_url url;
    size_t reply_bytes_max;
    struct ush_mutex turn; /* held by the call under way */
    int fd;                /* -1 = closed; owned */
    struct ush__replies replies;
    struct ush_buf out; /* the commands of the call under way */
    uint32_t failures;  /* in a row */
    int64_t retry_ns;   /* not before */
};

struct ush_redis *ush_redis_new(const struct ush_redis_options *o, int *ret_error)
{
    struct ush_redis *r = calloc(1, sizeof *r);
    int error = r ? ush__redis_url_parse(ush_text_of(o->url), &r->url) : -ENOMEM;
    if (error < 0) {
        *ret_error = error;
        free(r);
        return NULL;
    }
    r->fd = -1;
    r->reply_bytes_max = o->reply_bytes_max ? o->reply_bytes_max : REPLY_BYTES;
    ush_mutex_init(&r->turn, "redis");
    ush_buf_init(&r->out, COMMAND_BYTES);
    return r;
}

void ush_redis_close(struct ush_redis *r)
{
    if (r->fd >= 0)
        ush_close(r->fd);
    r->fd = -1;
    ush__replies_close(&r->replies);
}

void ush_redis_free(struct ush_redis *r)
{
    if (!r)
        return;
    ush_redis_close(r);
    ush_buf_fini(&r->out);
    explicit_bzero(&r->url, sizeof r->url);
    free(r);
}

static void fail(struct ush_redis *r)
{
    ush_redis_close(r);
    int64_t ms = BACK_OFF_MS;
    for (uint32_t i = 0; i < r->failures && ms < BACK_OFF_MS_MAX; i++)
        ms *= 2;
    ms = ms < BACK_OFF_MS_MAX ? ms : BACK_OFF_MS_MAX;
    uint32_t dice;
    ush_random(&dice, sizeof dice);
    ms = ms * 3 / 4 + (int64_t)(dice % (uint64_t)(ms / 2 + 1));
    r->retry_ns = ush_now_ns() + ms * USH_MS;
    r->failures++;
}

/* ---- one round trip ------------------------------------------------------------------------- */

static int format(struct ush_redis *r, const struct ush_redis_command *c)
{
    const char **at = calloc(c->count, sizeof *at);
    size_t *len = calloc(c->count, sizeof *len), total = 0;
    char *bytes = NULL;
    int n = at && len ? 0 : -ENOMEM;
    for (size_t i = 0; n == 0 && i < c->count; i++) {
        at[i] = c->args[i].at ? c->args[i].at : "";
        len[i] = c->args[i].len;
        if (c->count > COMMAND_BYTES || len[i] > COMMAND_BYTES || (total += len[i]) > COMMAND_BYTES)
            n = USH_ELIMIT; /* before hiredis counts it in an int */
    }
    if (n == 0) {
        n = redisFormatCommandArgv(&bytes, (int)c->count, at, len);
        n = n < 0 ? -ENOMEM : n;
    }
    if (n > 0)
        ush_buf_add(&r->out, (ush_text){bytes, (size_t)n});
    if (bytes)
        redisFreeCommand(bytes);
    free(at);
    free(len);
    return n < 0 ? n : r->out.error;
}

static int format_all(struct ush_redis *r, const struct ush_redis_command *commands, size_t n)
{
    ush_buf_reset(&r->out);
    for (size_t i = 0; i < n; i++)
        USH_TRY(format(r, &commands[i]));
    return 0;
}

static int receive(struct ush_redis *r, size_t n, struct ush_redis_reply *ret)
{
    char piece[PIECE_BYTES];
    for (size_t taken = 0; taken < n;) {
        int whole = ush__replies_take(&r->replies, &ret[taken]);
        USH_TRY(whole);
        taken += (size_t)whole;
        if (whole)
            continue;
        ssize_t got = ush_recv(r->fd, piece, sizeof piece);
        if (got <= 0)
            return USH_EUNKNOWN;
        USH_TRY(ush__replies_feed(&r->replies, piece, (size_t)got));
    }
    return ush__replies_has_rest(&r->replies) ? USH_EPROTO : 0;
}

/* Sends what was formatted. The connection is good when it returns 0, and of no use otherwise,
 * except if the scope was over before the first byte. */
static int exchange(struct ush_redis *r, size_t n, struct ush_redis_reply *ret,
                    struct ush_arena *arena)
{
    USH_TRY(ush_cancelled());
    ush__replies_begin(&r->replies, arena);
    int sent = (int)ush_send(r->fd, r->out.at, r->out.len);
    int result = sent < 0 ? USH_EUNKNOWN : receive(r, n, ret);
    if (result < 0) {
        fail(r);
        return result == -ENOMEM ? USH_EUNKNOWN : result;
    }
    r->failures = 0;
    return 0;
}

/* ---- the connection -------------------------------------------------------------------------- */

/* The number of addresses where it may be, or an error. */
static int find(const struct ush_redis *r, struct ush_address ret[USH_ADDRESSES_MAX])
{
    if (!r->url.path[0])
        return ush_resolve(r->url.host, r->url.port, ret);
    struct sockaddr_un *un = (struct sockaddr_un *)&ret->storage;
    *ret = (struct ush_address){.len = sizeof *un};
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, r->url.path, sizeof un->sun_path);
    return 1;
}

/* A descriptor that is connected to the first that takes it, or why the last did not. */
static int reach(const struct ush_redis *r)
{
    struct ush_address at[USH_ADDRESSES_MAX];
    int n = find(r, at), fd = n;
    for (int i = 0; i < n; i++) {
        fd = ush_connect(&at[i]);
        if (fd >= 0 || ush_cancelled() < 0)
            break;
    }
    return fd;
}

/* AUTH and SELECT, in one round trip. */
static int log_in(struct ush_redis *r)
{
    struct ush_redis_command commands[2];
    struct ush_redis_reply replies[2];
    ush_text password = ush_text_of(r->url.password);
    ush_text auth[] = {USH_T("AUTH"), ush_text_of(r->url.user), password};
    ush_text select[] = {USH_T("SELECT"), ush_text_of(r->url.db)};
    size_t n = 0;
    if (!r->url.user[0])
        auth[1] = password;
    if (password.len)
        commands[n++] = (struct ush_redis_command){auth, r->url.user[0] ? 3 : 2};
    if (r->url.db[0])
        commands[n++] = (struct ush_redis_command){select, 2};
    if (n == 0)
        return 0;
    struct ush_arena arena;
    ush_arena_init(&arena, NULL, 0, LOGIN_ARENA);
    int result = format_all(r, commands, n);
    result = result < 0 ? result : exchange(r, n, replies, &arena);
    for (size_t i = 0; result == 0 && i < n; i++)
        if (replies[i].type == USH_REDIS_ERROR)
            result = -EACCES;
    ush_arena_fini(&arena);
    return result;
}

/* Nothing of the caller's was sent yet, so a failure is that of a server that is away. */
static int connect_to(struct ush_redis *r)
{
    if (ush_now_ns() < r->retry_ns)
        return USH_EUNAVAILABLE;
    uint32_t failures = r->failures;
    int result = r->fd = reach(r);
    if (result >= 0)
        result = ush__replies_open(&r->replies, r->reply_bytes_max);
    if (result >= 0)
        result = log_in(r);
    if (result >= 0) {
        r->failures = failures; /* a login is no success yet */
        return 0;
    }
    r->failures = failures;
    fail(r);
    if (result == -ENOMEM || result == -EACCES)
        return result;
    int cut = ush_cancelled();
    return cut < 0 ? cut : USH_EUNAVAILABLE;
}

/* True while a kept connection is quiet, as it should be. */
static bool is_quiet(const struct ush_redis *r)
{
    char c;
    return ush_recv_now(r->fd, &c, 1) == -EAGAIN;
}

static int call(struct ush_redis *r, const struct ush_redis_command *commands, size_t n,
                struct ush_redis_reply *ret, struct ush_arena *arena)
{
    if (r->fd >= 0 && !is_quiet(r))
        ush_redis_close(r);
    if (r->fd < 0)
        USH_TRY(connect_to(r));
    USH_TRY(format_all(r, commands, n));
    return exchange(r, n, ret, arena);
}

int ush_redis_call(struct ush_redis *r, const struct ush_redis_command *commands, size_t n,
                   struct ush_redis_reply *ret_replies, struct ush_arena *arena)
{
    USH_TRY(ush_mutex_lock(&r->turn));
    int result = n ? call(r, commands, n, ret_replies, arena) : 0;
    ush_mutex_unlock(&r->turn);
    return result;
}

int ush_redis_do(struct ush_redis *r, struct ush_redis_command command,
                 struct ush_redis_reply *ret_reply, struct ush_arena *arena)
{
    USH_TRY(ush_redis_call(r, &command, 1, ret_reply, arena));
    return ret_reply->type == USH_REDIS_ERROR ? USH_EINVAL : 0;
}
