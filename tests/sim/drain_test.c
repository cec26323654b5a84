/*
 * drain_test.c - a server that drains while requests come: answered if and only if run.
 *
 * Clients keep their connections and send one request after another, in pieces and with pauses. At
 * a moment that the schedule chooses the server drains, with time enough for all. Whatever the
 * schedule:
 *
 *   - a request whose handler has run gets its whole reply, and no other status than 200;
 *   - a request that gets no reply was not run, so its client may send it again elsewhere;
 *   - the drain comes to its end with nothing left.
 */
#include "../unit/http/site.h"
#include "explored.h"

enum { CLIENTS = 4, REQUESTS = 4, IDS = CLIENTS * REQUESTS };

static uint8_t ran[IDS];
static struct site site;
static bool is_drained;

static int answer(struct ush_request *rq)
{
    int64_t id = -1;
    ush_text_i64(ush_param(rq, "id"), &id);
    USH_TRY(ush_sleep(ush_sim_choose(20) * USH_MS)); /* may still be cancelled without an effect */
    ran[id]++;
    return ush_reply(rq, 200, "text/plain", USH_T("done"));
}

static int answer_on_loop(struct ush_request *rq)
{
    int64_t id = -1;
    ush_text_i64(ush_param(rq, "id"), &id);
    ran[id]++;
    return ush_reply(rq, 200, "text/plain", USH_T("done"));
}

static const struct ush_route routes[] = {
    {"GET", "/task/{id}", answer, .doc = "In a task."},
    {"GET", "/loop/{id}", answer_on_loop, USH_LOOP, "On the loop."},
};

/* In one or two pieces. False when the connection is at its end. */
static bool send_request(int c, int id)
{
    char text[80];
    int n = snprintf(text, sizeof text, "GET /%s/%d HTTP/1.1\r\nHost: x\r\n\r\n",
                     ush_sim_choose(2) ? "loop" : "task", id);
    size_t first = ush_sim_choose(3) ? (size_t)n : 1 + ush_sim_choose((uint32_t)n - 1);
    if (ush_send(c, text, first) < 0)
        return false;
    if (first == (size_t)n)
        return true;
    (void)ush_sleep(ush_sim_choose(10) * USH_MS);
    return ush_send(c, text + first, (size_t)n - first) >= 0;
}

static int client(void *arg)
{
    static struct heard heard[CLIENTS];
    int me = *(int *)arg, c = site_connect(&site);
    struct heard *h = &heard[me];
    for (int i = 0; i < REQUESTS; i++) {
        int id = me * REQUESTS + i;
        bool is_sent = send_request(c, id);
        hear_into(c, h, false);
        USH_HOLDS(h->is_whole || h->status == 0); /* never half a reply */
        USH_HOLDS(!h->is_whole || (h->status == 200 && is_sent));
        USH_HOLDS(ran[id] == h->is_whole);
        if (!h->is_whole)
            break;
        (void)ush_sleep(ush_sim_choose(10) * USH_MS);
    }
    ush_close(c);
    return 0;
}

static int drain(void *unused __attribute__((unused)))
{
    (void)ush_sleep(ush_sim_choose(100) * USH_MS);
    USH_HOLDS(ush_http_drain(site.http, ush_now_ns() + 30 * USH_SECOND) == 0);
    is_drained = true;
    return 0;
}

static int scenario(void *unused __attribute__((unused)))
{
    struct ush_scope scope;
    int numbers[CLIENTS] = {0, 1, 2, 3};
    memset(ran, 0, sizeof ran);
    is_drained = false;
    site_open(&site, routes, USH_COUNT(routes), NULL);
    ush_scope_open(&scope, NULL);
    for (int i = 0; i < CLIENTS; i++)
        ush_spawn(&scope, client, &numbers[i]);
    (void)ush_yield(); /* all are connected */
    (void)ush_sleep(USH_MS);
    ush_spawn(&scope, drain, NULL);
    USH_TRY(ush_scope_close(&scope));
    USH_HOLDS(is_drained && site.stats.connections == 0 && site.stats.handlers == 0);
    return 0;
}

START_TEST(answered_if_and_only_if_run)
{
    ush_log_init(&(struct ush_log_options){.level = (enum ush_log_level) - 1});
    const struct ush_explore_options o = {
        .name = "drain",
        .schedules = 5000,
        .sim = {.short_permille = 50, .delay_ns_max = 3 * USH_MS}};
    explored(&o, scenario, NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim/drain");
    TCase *t = tcase_create("drain");
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, answered_if_and_only_if_run);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
