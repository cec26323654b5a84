/*
 * talk.c - several commands to Redis, written as text, in one round trip.
 *
 *     begin --> say "XACK %s workers %s" --> say ... --> end --> replies --> fini
 *
 * A command is formatted and cut at its spaces, so it reads here as in Redis' manual. Nothing that
 * is said contains a space of its own: keys are a prefix from the program and names of lanes, the
 * rest are numbers.
 *
 *  1. No call is waited for longer than SLOW_MS beyond what it may block in the server. Then its
 *     connection is closed, and the client backs off.
 *  2. A refused command is a reply and says nothing about those beside it; who asks looks.
 */
#include "jobs/jobs.h"

enum { SLOW_MS = 200, ARENA = 4 << 20, ARGUMENTS_MAX = 16 };

void ush__talk_begin(struct ush__talk *t, size_t most)
{
    *t = (struct ush__talk){.most = most};
    ush_arena_init(&t->arena, NULL, 0, ARENA);
    t->commands = USH_NEW_N(&t->arena, struct ush_redis_command, most);
    t->replies = USH_NEW_N(&t->arena, struct ush_redis_reply, most);
    t->error = t->commands && t->replies ? 0 : -ENOMEM;
}

void ush__talk_say(struct ush__talk *t, const char *fmt, ...)
{
    va_list ap;
    if (t->error < 0)
        return;
    assert(t->count < t->most);
    va_start(ap, fmt);
    ush_text rest = ush_arena_vprintf(&t->arena, fmt, ap);
    va_end(ap);
    ush_text *args = USH_NEW_N(&t->arena, ush_text, ARGUMENTS_MAX);
    if (!args || !rest.at) {
        t->error = -ENOMEM;
        return;
    }
    size_t n = 0;
    while (rest.len) {
        assert(n < ARGUMENTS_MAX);
        args[n++] = ush_text_cut(&rest, ' ');
    }
    t->commands[t->count++] = (struct ush_redis_command){args, n};
}

int ush__talk_end(struct ush__talk *t, struct ush_redis *redis, int64_t block_ms)
{
    struct ush_scope scope;
    if (t->error < 0)
        return t->error;
    int64_t limit_ns = (block_ms + SLOW_MS) * (int64_t)USH_MS;
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "redis",
                                                       .deadline_ns = ush_now_ns() + limit_ns});
    int r = ush_redis_call(redis, t->commands, t->count, t->replies, &t->arena);
    ush_scope_close(&scope);
    return r;
}

void ush__talk_fini(struct ush__talk *t)
{
    ush_arena_fini(&t->arena);
}

/* ---- entries of streams ---------------------------------------------------------------------- */

size_t ush__reply_count(const struct ush_redis_reply *r)
{
    return r && r->type == USH_REDIS_ARRAY ? r->count : 0;
}

bool ush__entry_parse(const struct ush_redis_reply *r, struct ush__entry *ret)
{
    *ret = (struct ush__entry){0};
    if (ush__reply_count(r) < 1 || r->items[0].text.len >= sizeof ret->name ||
        !ush__entry_moment(r->items[0].text, &ret->at))
        return false;
    memcpy(ret->name, r->items[0].text.at, r->items[0].text.len);
    /* Whoever wrote something else gets it acknowledged like an announcement of nothing. */
    const struct ush_redis_reply *fields = r->count > 1 ? &r->items[1] : NULL;
    if (ush__reply_count(fields) == 2)
        ush_text_i64(fields->items[1].text, &ret->job);
    return true;
}

bool ush__entry_moment(ush_text name, struct ush__moment *ret)
{
    ush_text ms = ush_text_cut(&name, '-');
    *ret = (struct ush__moment){0};
    return ush_text_i64(ms, &ret->ms) == 0 && ush_text_i64(name, &ret->sequence) == 0;
}
