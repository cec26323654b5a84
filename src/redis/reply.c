/*
 * reply.c - bytes become replies: hiredis' reader, which decides where a reply ends, and our own
 * functions, which make the objects.
 *
 *     bytes --feed--> reader's buffer --take--> objects in the caller's arena
 *
 * Everything a server says is a stranger's word, so three things are bounded, per call:
 *
 *  1. The bytes received. The reader's buffer never holds more, whatever length a reply claims:
 *     hiredis allocates for bytes that came, not for bytes that were announced.
 *  2. The items of arrays, which are allocated as announced ("*1000000000"). An item takes at
 *     least three bytes on the wire, so more of them than a third of the bytes allowed cannot come.
 *  3. The objects, by the cap of the arena.
 *
 * Depth is bounded by hiredis (7 arrays in each other). After an error the reader is of no use and
 * the connection goes with it: nobody knows where the next reply begins.
 *
 * hiredis links a child to its parent through the task's `parent`, `idx` and `obj`. Objects are
 * never freed one by one.
 */
#include "redis/redis.h"

enum { ITEM_BYTES_MIN = 3 };

static struct ush__replies *owner(const redisReadTask *task)
{
    return task->privdata;
}

/* The place of the object: an item of the array around it, or one of its own. */
static struct ush_redis_reply *place(const redisReadTask *task)
{
    if (!task->parent) {
        struct ush_redis_reply *reply = USH_NEW(owner(task)->arena, struct ush_redis_reply);
        owner(task)->is_over |= !reply;
        return reply;
    }
    const struct ush_redis_reply *array = task->parent->obj;
    return (struct ush_redis_reply *)&array->items[task->idx];
}

static void *make_text(const redisReadTask *task, char *bytes, size_t n)
{
    struct ush_redis_reply *reply = place(task);
    if (!reply)
        return NULL;
    reply->type = task->type == REDIS_REPLY_STATUS  ? USH_REDIS_STATUS
                  : task->type == REDIS_REPLY_ERROR ? USH_REDIS_ERROR
                                                    : USH_REDIS_STRING;
    reply->text = ush_arena_copy(owner(task)->arena, (ush_text){bytes, n});
    if (!reply->text.at) {
        owner(task)->is_over = true;
        return NULL;
    }
    return reply;
}

static void *make_array(const redisReadTask *task, int count)
{
    struct ush__replies *r = owner(task);
    struct ush_redis_reply *reply = place(task);
    if (!reply)
        return NULL;
    r->items += (size_t)count;
    reply->type = USH_REDIS_ARRAY;
    reply->count = (size_t)count;
    if (r->items <= r->bytes_max / ITEM_BYTES_MIN)
        reply->items = USH_NEW_N(r->arena, struct ush_redis_reply, count ? count : 1);
    if (!reply->items) {
        r->is_over = true;
        return NULL;
    }
    return reply;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    struct ush_redis_reply *reply = place(task);
    if (reply)
        *reply = (struct ush_redis_reply){.type = USH_REDIS_INTEGER, .integer = value};
    return reply;
}

static void *make_nil(const redisReadTask *task)
{
    struct ush_redis_reply *reply = place(task);
    if (reply)
        *reply = (struct ush_redis_reply){.type = USH_REDIS_NIL};
    return reply;
}

static void leave(void *reply)
{
    (void)reply; /* goes with its arena */
}

static redisReplyObjectFunctions functions = {make_text, make_array, make_integer, make_nil, leave};

int ush__replies_open(struct ush__replies *r, size_t bytes_max)
{
    *r = (struct ush__replies){.bytes_max = bytes_max};
    r->reader = redisReaderCreateWithFunctions(&functions);
    if (!r->reader)
        return -ENOMEM;
    r->reader->privdata = r;
    return 0;
}

void ush__replies_close(struct ush__replies *r)
{
    if (r->reader)
        redisReaderFree(r->reader);
    *r = (struct ush__replies){0};
}

void ush__replies_begin(struct ush__replies *r, struct ush_arena *arena)
{
    r->arena = arena;
    r->bytes = r->items = 0;
    r->is_over = false;
}

int ush__replies_feed(struct ush__replies *r, const char *bytes, size_t n)
{
    r->bytes += n;
    if (r->bytes > r->bytes_max)
        return USH_ELIMIT;
    return redisReaderFeed(r->reader, bytes, n) == REDIS_OK ? 0 : -ENOMEM;
}

int ush__replies_take(struct ush__replies *r, struct ush_redis_reply *ret)
{
    void *reply = NULL;
    if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
        return r->is_over ? USH_ELIMIT : USH_EPROTO;
    if (!reply)
        return 0;
    *ret = *(struct ush_redis_reply *)reply;
    return 1;
}

bool ush__replies_has_rest(const struct ush__replies *r)
{
    return r->reader->pos < r->reader->len;
}
