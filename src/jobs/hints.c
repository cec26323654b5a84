/*
 * hints.c - "there may be jobs", told to workers on any host through a Redis stream.
 *
 *   raise --> send task --XADD--> stream --XREADGROUP--> listen task --> eventfd --> ush_jobs_run
 *             (this host)         (Redis)                (some host)     (its workers)
 *
 * The database row is the truth. A hint says nothing about it, not even which one, so there is
 * nothing in Redis to be lost, doubled, stale or claimed twice: who is woken claims from the table
 * like everybody. That is why this is short. What other queues keep in Redis (pending lists, a
 * sweeper, acknowledgements) repairs losses that cannot happen here.
 *
 * Invariants
 *  1. ush_hints_raise only counts. A slow or dead server delays nobody who puts a job.
 *  2. A hint is handed to one listener (a consumer group), so hosts share the work. Because it may
 *     stand for many jobs, up to FAN_OUT hints are sent for as many raises.
 *  3. The stream is trimmed as it is written: about KEPT entries, whoever reads.
 *  4. When hints may have been lost, that is after every failure and when the group is not there
 *     (a wiped server says NOGROUP), the listener wakes its workers once, unasked.
 *  5. No call is waited for longer than 200 ms beyond what it may block in the server. Then its
 *     connection is closed, and the client backs off.
 *
 * The group is read with NOACK and one consumer name: an entry that was delivered is forgotten.
 * An old snapshot that comes back delivers old hints again; each costs one look at the table.
 */
#include <stdlib.h>
#include <sys/eventfd.h>

#include "jobs/jobs.h"
#include "usher/redis.h"

enum {
    FAN_OUT = 16,      /* hints in one call */
    SLOW_MS = 200,     /* a server that needs longer counts as away */
    BLOCK_MS = 3000,   /* in the server, for a hint */
    PAUSE_MS = 100,    /* between two tries while it is away */
    ARENA = 64 * 1024, /* replies of one call */
};
#define BLOCK "3000"
#define KEPT "1000"
#define GROUP "workers"

struct ush_hints {
    struct ush_hints_options o;
    struct ush_redis *sender, *listener; /* owned */
    struct ush_event raised;
    uint32_t count; /* raised and not sent yet */
    bool is_away;   /* as last logged */
};

struct ush_hints *ush_hints_new(const struct ush_hints_options *o, int *ret_error)
{
    struct ush_hints *h = calloc(1, sizeof *h);
    if (!h) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    h->o = *o;
    h->o.stream = o->stream ? o->stream : "usher:jobs";
    struct ush_redis_options redis = {.url = o->url, .reply_bytes_max = ARENA / 8};
    h->sender = ush_redis_new(&redis, ret_error);
    h->listener = h->sender ? ush_redis_new(&redis, ret_error) : NULL;
    if (!h->listener) {
        ush_hints_free(h);
        return NULL;
    }
    ush_event_init(&h->raised, "hints");
    return h;
}

void ush_hints_free(struct ush_hints *h)
{
    if (!h)
        return;
    ush_redis_free(h->sender);
    ush_redis_free(h->listener);
    free(h);
}

void ush_hints_raise(struct ush_hints *h)
{
    h->count += h->count < FAN_OUT;
    ush_event_set(&h->raised);
}

static void say(struct ush_hints *h, int result)
{
    bool is_away = result < 0;
    if (is_away && !h->is_away)
        ush_warn("hints.away", "no wake-ups over Redis (%s); workers ask each second",
                 ush_error_text(result));
    else if (!is_away && h->is_away)
        ush_info("hints.back", "wake-ups over Redis are there again");
    h->is_away = is_away;
}

/* One call that may block for so long in the server. 1 = it gave something, 0 = nothing, USH_EINVAL
 * = refused: *ret_error is the server's word, in `arena`. */
static int ask(struct ush_redis *r, const struct ush_redis_command *c, size_t n, int64_t block_ms,
               struct ush_arena *arena, ush_text *ret_error)
{
    struct ush_redis_reply replies[FAN_OUT];
    struct ush_scope scope;
    int64_t limit_ns = (block_ms + SLOW_MS) * (int64_t)USH_MS;
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "redis",
                                                       .deadline_ns = ush_now_ns() + limit_ns});
    int result = ush_redis_call(r, c, n, replies, arena);
    ush_scope_close(&scope);
    for (size_t i = 0; result == 0 && i < n; i++)
        if (replies[i].type == USH_REDIS_ERROR) {
            *ret_error = replies[i].text;
            return USH_EINVAL;
        }
    return result < 0 ? result : replies[0].type != USH_REDIS_NIL;
}

int ush_hints_send(void *hints)
{
    struct ush_hints *h = hints;
    struct ush_redis_command add =
        USH_REDIS(USH_T("XADD"), ush_text_of(h->o.stream), USH_T("MAXLEN"), USH_T("~"), USH_T(KEPT),
                  USH_T("*"), USH_T("jobs"), USH_T("1"));
    struct ush_redis_command commands[FAN_OUT];
    for (size_t i = 0; i < FAN_OUT; i++)
        commands[i] = add;
    while (ush_event_wait(&h->raised) == 0) {
        struct ush_arena arena;
        ush_text error;
        ush_arena_init(&arena, NULL, 0, ARENA);
        uint32_t n = h->count;
        h->count = 0;
        ush_event_reset(&h->raised);
        int result = ask(h->sender, commands, n, 0, &arena, &error); /* lost is lost */
        if (ush_cancelled() == 0)
            say(h, result);
        ush_arena_fini(&arena);
    }
    return 0;
}

static int listen_once(struct ush_hints *h, struct ush_arena *arena)
{
    ush_text stream = ush_text_of(h->o.stream), error = USH_NONE;
    struct ush_redis_command read =
        USH_REDIS(USH_T("XREADGROUP"), USH_T("GROUP"), USH_T(GROUP), USH_T("worker"),
                  USH_T("COUNT"), USH_T("1"), USH_T("BLOCK"), USH_T(BLOCK), USH_T("NOACK"),
                  USH_T("STREAMS"), stream, USH_T(">"));
    struct ush_redis_command make = USH_REDIS(USH_T("XGROUP"), USH_T("CREATE"), stream,
                                              USH_T(GROUP), USH_T("$"), USH_T("MKSTREAM"));
    int result = ask(h->listener, &read, 1, BLOCK_MS, arena, &error);
    /* A key that is deleted under a waiting reader is told as UNBLOCKED or NOGROUP, by version. */
    bool is_gone =
        ush_text_starts(error, USH_T("NOGROUP")) || ush_text_starts(error, USH_T("UNBLOCKED"));
    if (result != USH_EINVAL || !is_gone)
        return result;
    result = ask(h->listener, &make, 1, 0, arena, &error);
    if (result == USH_EINVAL && ush_text_starts(error, USH_T("BUSYGROUP")))
        result = 1; /* another listener was first */
    return result;
}

int ush_hints_listen(void *hints)
{
    struct ush_hints *h = hints;
    bool has_failed = false;
    while (ush_cancelled() == 0) {
        struct ush_arena arena;
        ush_arena_init(&arena, NULL, 0, ARENA);
        int result = listen_once(h, &arena);
        ush_arena_fini(&arena);
        if (ush_cancelled() < 0)
            break;
        say(h, result);
        if (result > 0 || (result == 0 && has_failed))
            eventfd_write(h->o.wake_fd, 1); /* a full counter wakes as well */
        has_failed = result < 0;
        if (has_failed)
            ush_sleep(PAUSE_MS * USH_MS);
    }
    return 0;
}
