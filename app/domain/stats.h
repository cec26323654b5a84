/*
 * stats.h - how the fest stands at this moment, for the dashboard: arrivals by minute, who is in,
 * and the mails. What seats hold is in the list of events (events.h).
 *
 * Arrivals are counted over the newest mails only, but mails by their state over all: 53 ms for
 * 100,000 of them. So whoever looks gets the reading that another look has made a moment ago, and
 * reading takes at most a fiftieth of the time: a worker with many dashboards costs what one does.
 */
#ifndef DOMAIN_STATS_H
#define DOMAIN_STATS_H

#include "domain/events.h"

enum { STATS_MINUTES = 30 };

struct event_stats {
    int64_t event;
    int64_t checked_in;
    int64_t arrivals[STATS_MINUTES]; /* by minute, the newest last */
};
struct fest_stats {
    struct event_stats *at; /* of the events that anything happened in, ascending; arena */
    size_t count;
    int64_t mails_waiting, mails_sent, mails_failed; /* all lanes; failed and held */
    int64_t mails_last_minute;
    int64_t now_ms;
};
/* The newest reading of a process, zeroed at first. */
struct stats_cache {
    struct ush_mutex lock;  /* one reads, the others wait for it */
    struct ush_arena arena; /* of `stats`; ush_arena_fini at the end */
    struct fest_stats stats;
    int64_t fresh_until_ns;
};
/* At most two seconds old, or as old as fifty readings take. May suspend. */
int stats_take(struct fest *f, struct stats_cache *c, struct ush_arena *arena,
               struct fest_stats *ret);
/* Of one event; zeros when nothing happened there. */
struct event_stats stats_of(const struct fest_stats *s, int64_t event);
/* When the mails that wait have gone, at the rate of the last minute; 0 = nobody knows. */
int64_t stats_mails_done_at(const struct fest_stats *s);

#endif
