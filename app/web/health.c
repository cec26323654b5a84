/*
 * health.c - is it alive, does it serve, how much does it do.
 *
 *   /healthz   this process runs its loop; touches nothing else
 *   /readyz    the database answers reads and stores changes: it is written to, at most once a
 *              second and worker, since a full disk shows in nothing else
 *   /metrics   counters of all workers in Prometheus' text format, from this machine only
 *
 * The counters lie in memory shared by the workers, so whichever worker is asked tells the sum.
 */
#include "domain/verify.h"
#include "web/access.h"
#include "web/handlers.h"
#include "web/web.h"

static int no_rows(struct ush_tx *view, void *arg)
{
    (void)view;
    (void)arg;
    return 0;
}

int web_healthz(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/plain; charset=utf-8", USH_T("ok\n"));
}

int web_readyz(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    int r = ush_read(w->fest.db, no_rows, NULL);
    if (r >= 0 && ush_now_ns() >= w->probe_again_ns) {
        w->probe_again_ns = ush_now_ns() + USH_SECOND;
        w->probe_result = verify_storing(w->fest.db, rq->arena);
    }
    if (r >= 0)
        r = w->probe_result;
    if (r < 0)
        return ush_problem(rq, &ush_problem_unavailable, "The database: %s.", ush_error_text(r));
    return ush_reply(rq, 200, "text/plain; charset=utf-8", USH_T("ready\n"));
}

static void counter(struct ush_buf *b, const char *name, const char *type, const char *help,
                    uint64_t value)
{
    ush_buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,
                   (unsigned long long)value);
}

struct server_totals server_totals_of(const struct web *w)
{
    struct server_totals t = {0};
    for (uint32_t i = 0; w->worker && i < USH_PLACES_MAX; i++) {
        const struct ush_http_stats *s = ush_worker_shared_at(w->worker, i);
        t.requests += s->requests_total;
        t.connections += s->connections_total;
        t.shed += s->shed_total;
        t.open += s->connections;
        t.handlers += s->handlers;
        for (int k = 1; k < 6; k++)
            t.status[k] += s->status_total[k];
    }
    return t;
}

int web_metrics(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    if (!is_operator(rq))
        return ush_problem(rq, &ush_problem_not_found, "Metrics are shown to this machine only.");
    const struct server_totals t = server_totals_of(w);
    struct ush_master_counts workers =
        w->worker ? ush_worker_counts(w->worker) : (struct ush_master_counts){0};
    struct ush_buf b;
    ush_buf_init(&b, 64 << 10);
    counter(&b, "usher_http_requests_total", "counter", "Requests.", t.requests);
    counter(&b, "usher_http_connections_total", "counter", "Connections accepted.", t.connections);
    counter(&b, "usher_http_shed_total", "counter", "Requests refused as overload.", t.shed);
    counter(&b, "usher_http_connections", "gauge", "Connections open.", t.open);
    counter(&b, "usher_http_in_flight", "gauge", "Requests in handlers.", t.handlers);
    ush_buf_printf(&b, "# HELP usher_http_responses_total Answers by class.\n"
                       "# TYPE usher_http_responses_total counter\n");
    for (int k = 1; k < 6; k++)
        ush_buf_printf(&b, "usher_http_responses_total{code=\"%dxx\"} %llu\n", k,
                       (unsigned long long)t.status[k]);
    counter(&b, "usher_workers", "gauge", "Workers that serve.", workers.serving);
    counter(&b, "usher_worker_deaths_total", "counter", "Workers that died.", workers.died);
    const struct ush_times_told s = ush_times_last_minute(&w->fest.shared->storing, ush_now_ns());
    ush_buf_printf(&b,
                   "# HELP usher_store_seconds Until something was stored, in the last minute.\n"
                   "# TYPE usher_store_seconds gauge\n"
                   "usher_store_seconds{quantile=\"0.5\"} %.6f\n"
                   "usher_store_seconds{quantile=\"0.99\"} %.6f\n"
                   "usher_store_seconds{quantile=\"1\"} %.6f\n",
                   (double)s.half_us / 1e6, (double)s.most_us / 1e6, (double)s.all_us / 1e6);
    ush_buf_printf(&b,
                   "# HELP usher_build_info Version.\n# TYPE usher_build_info gauge\n"
                   "usher_build_info{version=\"%s\"} 1\n",
                   USHER_VERSION);
    ush_text body = ush_arena_copy(rq->arena, ush_buf_text(&b));
    ush_buf_fini(&b);
    return body.at ? ush_reply(rq, 200, "text/plain; version=0.0.4; charset=utf-8", body)
                   : USH_ELIMIT;
}
