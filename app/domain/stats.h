/*
 * stats.h - how the fest stands at this moment, for the dashboard: arrivals by minute, who is in,
 * and the mails. What seats hold is in the list of events (events.h).
 *
 * A reading costs a few milliseconds whatever the size of the fest: arrivals are counted over the
 * newest mails only.
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
/* May suspend. */
int stats_read(struct fest *f, struct ush_arena *arena, struct fest_stats *ret);
/* Of one event; zeros when nothing happened there. */
struct event_stats stats_of(const struct fest_stats *s, int64_t event);
/* When the mails that wait have gone, at the rate of the last minute; 0 = nobody knows. */
int64_t stats_mails_done_at(const struct fest_stats *s);

#endif
