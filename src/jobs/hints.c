/*
 * hints.c - "jobs were put", told over Redis to whoever announces them.
 *
 *   raise --> send task --XADD prefix:raised--> the one worker that announces (announce.c)
 *   (after the commit)                          looks at the table at once
 *
 * The database row is the truth and the table the queue: a hint names no job, so there is nothing
 * here to be queued, lost or doubled. Without it the announcer looks a little later by itself.
 *
 * Invariants
 *  1. ush_hints_raise only sets a flag: the queue of this process is one hint long. A slow or dead
 *     server delays nobody who puts a job, and what does not fit is what would say the same.
 *  2. The stream holds one entry: the next replaces it.
 *
 * Deliberately not here: ids. The ids of rows are known only when their INSERT is answered, and a
 * registration's batch does not wait for that (it goes with the COMMIT). The announcer reads them
 * once for all processes, so that no id is announced twice either.
 */
#include <stdlib.h>

#include "jobs/jobs.h"

struct ush_hints {
    const char *prefix;
    struct ush_redis *redis; /* owned */
    struct ush_event raised;
    bool is_away; /* as last logged */
};

struct ush_hints *ush_hints_new(const struct ush_hints_options *o, int *ret_error)
{
    struct ush_hints *h = calloc(1, sizeof *h);
    if (!h) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    h->prefix = o->prefix ? o->prefix : USH__REDIS_PREFIX;
    h->redis = ush_redis_new(&(struct ush_redis_options){.url = o->url}, ret_error);
    if (!h->redis) {
        free(h);
        return NULL;
    }
    ush_event_init(&h->raised, "hints");
    return h;
}

void ush_hints_free(struct ush_hints *h)
{
    if (!h)
        return;
    ush_redis_free(h->redis);
    free(h);
}

void ush_hints_raise(struct ush_hints *h)
{
    ush_event_set(&h->raised);
}

static int send_one(struct ush_hints *h)
{
    struct ush__talk t;
    ush__talk_begin(&t, 1);
    ush__talk_say(&t, "XADD %s:raised MAXLEN 1 * jobs 1", h->prefix);
    int r = ush__talk_end(&t, h->redis, 0);
    if (r == 0 && t.replies[0].type == USH_REDIS_ERROR)
        r = USH_EINVAL;
    ush__talk_fini(&t);
    return r;
}

int ush_hints_send(void *hints)
{
    struct ush_hints *h = hints;
    while (ush_event_wait(&h->raised) == 0) {
        ush_event_reset(&h->raised);
        int r = send_one(h); /* lost is lost */
        if (ush_cancelled() < 0)
            break;
        if (r < 0 && !h->is_away)
            ush_warn("hints.away", "no hints over Redis (%s); jobs are found in the database",
                     ush_error_text(r));
        else if (r >= 0 && h->is_away)
            ush_info("hints.back", "hints over Redis are there again");
        h->is_away = r < 0;
    }
    return 0;
}
