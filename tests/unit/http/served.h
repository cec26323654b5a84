/*
 * served.h - the handlers and routes that the tests of a running server ask.
 */
#ifndef TESTS_HTTP_SERVED_H
#define TESTS_HTTP_SERVED_H

#include "site.h"

/* One test program uses some of these, another the rest. */
#pragma GCC diagnostic ignored "-Wunused-function"

/* ---- the site ------------------------------------------------------------------------------- */

static int calls, cancelled; /* of the handlers, in the running test */
static struct ush_event gate;

static int hello(struct ush_request *rq)
{
    calls++;
    return ush_reply(rq, 200, "text/plain", USH_T("hello"));
}

static int send_back(struct ush_request *rq)
{
    calls++;
    return ush_reply(rq, 200, "text/plain", rq->body);
}

/* Waits until the gate opens. */
static int wait_gate(struct ush_request *rq)
{
    calls++;
    int r = ush_event_wait(&gate);
    if (r < 0)
        cancelled++;
    USH_TRY(r);
    return ush_reply(rq, 200, "text/plain", USH_T("went through"));
}

static int say_who(struct ush_request *rq)
{
    ush_text name = ush_param(rq, "name"), q = ush_query(rq, "q"), c = ush_cookie(rq, "c");
    return ush_reply(rq, 200, "text/plain",
                     ush_arena_printf(rq->arena, "%.*s|%.*s|%.*s|%.*s|%.*s", USH_PR(name),
                                      USH_PR(q), USH_PR(c), USH_PR(ush_header(rq, "X-Some")),
                                      USH_PR(rq->client)));
}

static int say_thread(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/plain",
                     ush_arena_copy(rq->arena, ush_text_of(ush_task_name())));
}

static int fails(struct ush_request *rq)
{
    int64_t code = 0;
    ush_text_i64(ush_param(rq, "code"), &code);
    return (int)code;
}

static const struct ush_route routes[] = {
    {"GET", "/", hello, .doc = "Hello."},
    {"GET", "/loop", hello, USH_LOOP, "Hello on the loop."},
    {"POST", "/", send_back, .doc = "Back.", .raw_body = true},
    {"POST", "/loop", send_back, USH_LOOP, "Back on the loop.", .raw_body = true},
    {"GET", "/gate", wait_gate, .doc = "Waits.", .deadline_ms = 60000},
    {"POST", "/gate", wait_gate, .doc = "Waits.", .deadline_ms = 60000},
    {"GET", "/short", wait_gate, .doc = "Waits, not long.", .deadline_ms = 20},
    {"GET", "/who/{name}", say_who, .doc = "Who."},
    {"GET", "/thread", say_thread, USH_THREAD, "Where."},
    {"GET", "/fail/{code}", fails, .doc = "Fails."},
};

static void open_site(struct site *s, const struct ush_http_options *o)
{
    calls = cancelled = 0;
    ush_event_init(&gate, "gate");
    site_open(s, routes, USH_COUNT(routes), o);
}

/* Lets everything that can run do so. */
static void settle(void)
{
    ush_sleep(ush_is_sim() ? 10 * USH_MS : 2 * USH_MS);
}

static void until_calls(int n)
{
    while (calls < n)
        ush_sleep(USH_MS);
}

#endif
