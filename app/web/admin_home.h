/*
 * admin_home.h - what the dashboard shows, once as a page and then again and again as a stream.
 */
#ifndef WEB_ADMIN_HOME_H
#define WEB_ADMIN_HOME_H

#include "domain/stats.h"
#include "web/admin_events.h"

struct home_numbers {
    const struct event_list *list;
    const struct fest_stats *stats;
    struct server_totals server;
    struct ush_times_told storing;
    const struct caller *who;
    int64_t now_ms;
};
/* "Registrations by minute": a picture of bars that says its numbers in words too. */
ush_text bars_svg(struct ush_arena *arena, const int64_t *counts, size_t n);
int64_t sum_of_last(const int64_t *counts, size_t n, size_t last);
/* "done in about 6 minutes", where stats_mails_done_at knows. */
ush_text mails_words(struct ush_arena *arena, const struct fest_stats *s);
ush_text duration(struct ush_arena *arena, int64_t us); /* "0.8 ms" */

#endif
