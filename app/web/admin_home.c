/*
 * admin_home.c - the dashboard: how events, mails and the server stand.
 *
 *   GET /admin          the page; without a script it loads itself again
 *   GET /admin/stream   the same numbers as an event stream: the part of the page that changes,
 *                       written by the same template, every two seconds
 *
 * A stream looks at its session each time, so it ends with it. It has memory of its own for each
 * round, because a request's memory goes only with the request.
 */
#include "web/admin_home.h"

#include "gen/assets.h"
#include "gen/pages.h"

enum { EVERY_NS = 2000 * USH_MS, ROUND_BYTES_MAX = 16 << 20, RELOAD_S = 10 };

ush_text bars_svg(struct ush_arena *arena, const int64_t *counts, size_t n)
{
    enum { HEIGHT = 24, STEP = 4 };
    int64_t most = 1, total = 0;
    struct ush_buf b;
    for (size_t i = 0; i < n; i++) {
        most = counts[i] > most ? counts[i] : most;
        total += counts[i];
    }
    ush_buf_init(&b, 16 << 10);
    ush_buf_printf(&b,
                   "<svg class=\"bars\" viewBox=\"0 0 %zu %d\" role=\"img\" aria-label=\"%lld "
                   "registrations in the last %zu minutes, at most %lld in one\">",
                   n * STEP, HEIGHT, (long long)total, n, (long long)(total ? most : 0));
    for (size_t i = 0; i < n; i++) {
        int64_t height = counts[i] ? 1 + counts[i] * (HEIGHT - 1) / most : 0;
        if (height)
            ush_buf_printf(&b, "<rect x=\"%zu\" y=\"%lld\" width=\"%d\" height=\"%lld\"/>",
                           i * STEP, (long long)(HEIGHT - height), STEP - 1, (long long)height);
    }
    ush_buf_add(&b, USH_T("</svg>"));
    ush_text text = ush_arena_copy(arena, ush_buf_text(&b));
    ush_buf_fini(&b);
    return text;
}

int64_t sum_of_last(const int64_t *counts, size_t n, size_t last)
{
    int64_t sum = 0;
    for (size_t i = n - last; i < n; i++)
        sum += counts[i];
    return sum;
}

ush_text mails_words(struct ush_arena *arena, const struct fest_stats *s)
{
    int64_t minutes = (stats_mails_done_at(s) - s->now_ms + 59999) / 60000;
    return ush_arena_printf(arena, "done in about %lld minute%s", (long long)minutes,
                            minutes == 1 ? "" : "s");
}

ush_text duration(struct ush_arena *arena, int64_t us)
{
    return us < 10000     ? ush_arena_printf(arena, "%.1f ms", (double)us / 1e3)
           : us < 1000000 ? ush_arena_printf(arena, "%.0f ms", (double)us / 1e3)
                          : ush_arena_printf(arena, "%.1f s", (double)us / 1e6);
}

/* Reads all and writes it by `write`, which is a template. */
static int render(struct ush_request *rq, struct ush_arena *arena, struct ush_buf *out,
                  void (*write)(struct ush_buf *out, const struct admin_frame *f,
                                const struct home_numbers *v))
{
    struct web *w = web_of(rq);
    struct event_list *list EVENTS_HELD = NULL;
    struct fest_stats stats;
    USH_TRY(events_take(&w->fest, &list));
    USH_TRY(stats_take(&w->fest, &w->stats, arena, &stats));
    struct admin_frame f = admin_frame_of(rq, USH_T("Dashboard"), "/admin");
    f.arena = arena;
    f.refresh_s = RELOAD_S;
    f.script = asset_live_js.path;
    const struct home_numbers v = {
        .list = list,
        .stats = &stats,
        .server = server_totals_of(w),
        .storing = ush_times_last_minute(&w->fest.shared->storing, ush_now_ns()),
        .who = caller_of(rq),
        .now_ms = ush_wall_ms()};
    write(out, &f, &v);
    return out->error ? out->error : arena->failed ? USH_ELIMIT : 0;
}

int web_admin(struct ush_request *rq)
{
    int r;
    struct ush_buf b;
    ush_buf_init(&b, PAGE_BYTES_MAX);
    if ((r = render(rq, rq->arena, &b, page_admin_home)) == 0)
        return reply_page(rq, 200, b);
    ush_buf_fini(&b);
    return r;
}

int web_admin_stream(struct ush_request *rq)
{
    struct fest *f = &web_of(rq)->fest;
    struct ush_arena arena;
    struct account account;
    struct ush_buf b;
    int r = ush_events_begin(rq);
    ush_arena_init(&arena, NULL, 0, ROUND_BYTES_MAX);
    ush_buf_init(&b, PAGE_BYTES_MAX);
    while (r == 0) {
        r = session_read(f, caller_of(rq)->token, &arena, &account);
        if (r == 0)
            r = render(rq, &arena, &b, admin_live);
        if (r == 0)
            r = ush_events_send(rq, "live", ush_buf_text(&b));
        ush_arena_reset(&arena);
        ush_buf_reset(&b);
        if (r == 0)
            r = ush_sleep(EVERY_NS);
    }
    ush_arena_fini(&arena);
    ush_buf_fini(&b);
    return r;
}
