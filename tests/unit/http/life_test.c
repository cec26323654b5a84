/*
 * life_test.c - deadlines, clients that leave, overload, draining, listening.
 */
#include <unistd.h>

#include "served.h"

/* ---- deadlines, clients that leave, overload ------------------------------------------------ */

BOTH_TEST(deadline_is_503)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    int64_t from = ush_now_ns();
    struct heard *h = ask(c, GET("/short"));
    ck_assert_int_eq(h->status, 503);
    int retry = atoi(heard_field(h, "Retry-After"));
    ck_assert(retry >= 2 && retry <= 8);
    ck_assert_int_eq(cancelled, 1);
    ck_assert_int_ge(ush_now_ns() - from, 20 * USH_MS);
    ck_assert_int_eq(ask(c, GET("/"))->status, 200);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(leaving_client_cancels_get_but_not_post)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s), d = site_connect(&s);
    say(c, GET("/gate"));
    say(d, "POST /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    until_calls(2);
    ush_close(c);
    ush_close(d);
    while (s.stats.handlers > 1)
        ush_sleep(USH_MS);
    settle();
    ck_assert_int_eq(cancelled, 1);
    ck_assert_uint_eq(s.stats.handlers, 1);
    ush_event_set(&gate);
    while (s.stats.handlers > 0)
        ush_sleep(USH_MS);
    ck_assert_int_eq(cancelled, 1);
    return site_close(&s);
}

/* TCP does not tell an end of sending from an end: who waits for a GET is taken for gone. */
BOTH_TEST(half_closed_client_is_gone_for_get_but_hears_its_post)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s), d = site_connect(&s), e = site_connect(&s);
    say(c, GET("/gate"));
    say(d, "POST /gate HTTP/1.1\r\nHost: x\r\n\r\n");
    until_calls(2);
    ck_assert_int_eq(ush_shutdown_write(c), 0);
    ck_assert_int_eq(ush_shutdown_write(d), 0);
    ck_assert(hears_end(c));
    ck_assert_int_eq(cancelled, 1);
    ush_event_set(&gate);
    ck_assert_int_eq(hear(d)->status, 200);
    ck_assert(hears_end(d));
    /* What does not wait is answered. */
    say(e, GET("/loop") GET("/loop"));
    ck_assert_int_eq(ush_shutdown_write(e), 0);
    ck_assert_int_eq(hear(e)->status, 200);
    ck_assert_int_eq(hear(e)->status, 200);
    ck_assert(hears_end(e));
    ck_assert_int_eq(cancelled, 1);
    ush_close(c);
    ush_close(d);
    ush_close(e);
    return site_close(&s);
}

BOTH_TEST(too_many_handlers_is_503_before_a_task)
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.handlers = 2;
    struct site s;
    open_site(&s, &(struct ush_http_options){.limits = &limits});
    int a = site_connect(&s), b = site_connect(&s), c = site_connect(&s);
    say(a, GET("/gate"));
    say(b, GET("/gate"));
    until_calls(2);
    uint32_t tasks = ush_loop_stats().tasks_peak;
    ck_assert_int_eq(ask(c, GET("/"))->status, 503);
    ck_assert_uint_eq(ush_loop_stats().tasks_peak, tasks);
    ck_assert_int_eq(ask(c, GET("/loop"))->status, 200);
    ck_assert_uint_eq(s.stats.shed_total, 1);
    ush_event_set(&gate);
    ck_assert_int_eq(hear(a)->status, 200);
    ck_assert_int_eq(ask(c, GET("/"))->status, 200);
    ush_close(a);
    ush_close(b);
    ush_close(c);
    return site_close(&s);
}

/* ---- draining ------------------------------------------------------------------------------- */

struct drain {
    struct site *s;
    int64_t deadline_ns;
    int result;
    bool is_over;
};

static int run_drain(void *arg)
{
    struct drain *d = arg;
    d->result = ush_http_drain(d->s->http, d->deadline_ns);
    d->is_over = true;
    return 0;
}

BOTH_TEST(drain_ends_idle_and_waits_for_handlers)
{
    struct site s;
    open_site(&s, NULL);
    int idle = site_connect(&s), busy = site_connect(&s), fresh = site_connect(&s);
    ask(idle, GET("/"));
    say(busy, GET("/gate"));
    until_calls(2);
    struct ush_scope scope;
    struct drain d = {.s = &s, .deadline_ns = ush_now_ns() + 60 * USH_SECOND};
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, run_drain, &d);
    ck_assert(hears_end(idle));
    ck_assert(hears_end(fresh));
    ck_assert(!d.is_over);
    ush_event_set(&gate);
    struct heard *h = hear(busy);
    ck_assert_int_eq(h->status, 200);
    ck_assert_str_eq(heard_field(h, "Connection"), "close");
    ck_assert(hears_end(busy));
    ush_close(idle);
    ush_close(busy);
    ush_close(fresh);
    ush_scope_close(&scope);
    ck_assert_int_eq(d.result, 0);
    return 0;
}

BOTH_TEST(drain_cancels_what_does_not_end)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s), half = site_connect(&s);
    say(c, GET("/gate"));
    say(half, "GET / HT");
    until_calls(1);
    ck_assert_int_eq(ush_http_drain(s.http, ush_now_ns() + 5 * USH_MS), -ETIMEDOUT);
    ck_assert_int_eq(cancelled, 1);
    ck_assert_int_eq(hear(c)->status, 503);
    ck_assert(hears_end(c));
    ck_assert(hears_end(half));
    ush_close(c);
    ush_close(half);
    return 0;
}

/* What the end comes upon before its handler has begun, and what follows in the same pipeline, is
 * cancelled like the others. */
BOTH_TEST(drain_cancels_what_has_not_begun)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    say(c, GET("/gate") GET("/gate"));
    while (s.stats.handlers == 0)
        ush_yield();
    ck_assert_int_eq(ush_http_drain(s.http, ush_now_ns()), -ETIMEDOUT);
    ck_assert_uint_eq(s.stats.handlers, 0);
    ck_assert_uint_eq(s.stats.connections, 0);
    ck_assert_int_eq(hear(c)->status, 503);
    ck_assert(hears_end(c));
    ush_close(c);
    return 0;
}

/* ---- listening ------------------------------------------------------------------------------ */

BOTH_TEST(listener_is_served)
{
    struct ush_address at = ush_sim_address(80);
    int listener;
    if (!ush_is_sim()) {
        ck_assert_int_eq(ush_address_parse(USH_T("127.0.0.1:0"), &at), 0);
        listener = ush_listen_at(&at);
        char text[32];
        snprintf(text, sizeof(text), "127.0.0.1:%d", ush_listener_port(listener));
        ush_address_parse(ush_text_of(text), &at);
    } else {
        listener = ush_listen(&at, 16);
    }
    ck_assert_int_ge(listener, 0);
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.connections = 4;
    limits.connections_per_address = 0;
    struct site s;
    open_site(&s, &(struct ush_http_options){
                      .listeners = &listener, .listener_count = 1, .limits = &limits});
    int c[6];
    for (int i = 0; i < 6; i++)
        ck_assert_int_ge((c[i] = ush_connect(&at)), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(ask(c[i], GET("/"))->status, 200);
    /* Two beyond the limit wait in the backlog until others leave. */
    ck_assert_uint_eq(s.stats.connections, 4);
    say(c[4], GET("/"));
    say(c[5], GET("/"));
    settle();
    ck_assert_uint_eq(s.stats.connections, 4);
    for (int i = 0; i < 4; i++)
        ush_close(c[i]);
    ck_assert_int_eq(hear(c[4])->status, 200);
    ck_assert_int_eq(hear(c[5])->status, 200);
    ush_close(c[4]);
    ush_close(c[5]);
    site_close(&s);
    ush_close(listener);
    return 0;
}

/* What a refused client still sends is read, however fast it comes: else the answer is lost. */
static int upload(void *at)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n";
    static char body[8000000], reply[13];
    const struct ush_address *to = at;
    int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = -1;
    if (connect(c, (const struct sockaddr *)&to->storage, to->len) == 0 &&
        send(c, head, sizeof head - 1, MSG_NOSIGNAL) > 0 &&
        send(c, body, sizeof body, MSG_NOSIGNAL) == (ssize_t)sizeof body &&
        recv(c, reply, 12, MSG_WAITALL) == 12)
        r = atoi(reply + 9);
    close(c);
    return r;
}

BOTH_TEST(refused_upload_over_tcp_hears_why)
{
    if (ush_is_sim())
        return 0;
    struct ush_address at;
    char text[32];
    ck_assert_int_eq(ush_address_parse(USH_T("127.0.0.1:0"), &at), 0);
    int listener = ush_listen_at(&at);
    snprintf(text, sizeof(text), "127.0.0.1:%d", ush_listener_port(listener));
    ush_address_parse(ush_text_of(text), &at);
    struct site s;
    open_site(&s, &(struct ush_http_options){.listeners = &listener, .listener_count = 1});
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(ush_offload(ush_blocking_pool(), upload, &at), 413);
    site_close(&s);
    ush_close(listener);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("life");
    TCase *tc = tcase_create("life");
    both_add(tc, deadline_is_503);
    both_add(tc, leaving_client_cancels_get_but_not_post);
    both_add(tc, half_closed_client_is_gone_for_get_but_hears_its_post);
    both_add(tc, too_many_handlers_is_503_before_a_task);
    both_add(tc, drain_ends_idle_and_waits_for_handlers);
    both_add(tc, drain_cancels_what_does_not_end);
    both_add(tc, drain_cancels_what_has_not_begun);
    both_add(tc, refused_upload_over_tcp_hears_why);
    both_add(tc, listener_is_served);
    suite_add_tcase(s, tc);
    return both_main(s);
}
