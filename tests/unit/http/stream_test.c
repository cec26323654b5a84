/*
 * stream_test.c - replies that leave as they are written, and event streams.
 */
#include "site.h"

static int written, write_result;
static struct ush_event gate;

static int three_parts(struct ush_request *rq)
{
    USH_TRY(ush_stream_begin(rq, 200, "text/plain"));
    USH_TRY(ush_stream_write(rq, USH_T("one ")));
    USH_TRY(ush_stream_write(rq, USH_T("")));
    USH_TRY(ush_yield());
    USH_TRY(ush_stream_write(rq, USH_T("two ")));
    USH_TRY(ush_stream_write(rq, USH_T("three")));
    return ush_stream_end(rq);
}
static int cut_short(struct ush_request *rq)
{
    USH_TRY(ush_stream_begin(rq, 200, "text/plain"));
    USH_TRY(ush_stream_write(rq, USH_T("only this")));
    return USH_ESTORAGE;
}
static int gated(struct ush_request *rq)
{
    USH_TRY(ush_stream_begin(rq, 200, "text/plain"));
    USH_TRY(ush_stream_write(rq, USH_T("before ")));
    USH_TRY(ush_event_wait(&gate));
    USH_TRY(ush_stream_write(rq, USH_T("after")));
    return ush_stream_end(rq);
}
static int endless(struct ush_request *rq)
{
    static char part[10000];
    memset(part, 'p', sizeof(part));
    USH_TRY(ush_stream_begin(rq, 200, "text/plain"));
    while ((write_result = ush_stream_write(rq, (ush_text){part, sizeof(part)})) == 0)
        written++;
    return write_result;
}
static int large(struct ush_request *rq)
{
    static char part[150000];
    for (size_t i = 0; i < sizeof(part); i++)
        part[i] = (char)('a' + i % 23);
    USH_TRY(ush_stream_begin(rq, 200, "text/plain"));
    USH_TRY(ush_stream_write(rq, (ush_text){part, sizeof(part)}));
    return ush_stream_end(rq);
}
static int events(struct ush_request *rq)
{
    USH_TRY(ush_events_begin(rq));
    USH_TRY(ush_events_send(rq, "seats", USH_T("{\"free\":3}")));
    USH_TRY(ush_events_send(rq, NULL, USH_T("two\nlines")));
    write_result = ush_park_until_cancelled();
    return write_result;
}

static const struct ush_route routes[] = {
    {"GET", "/parts", three_parts, .doc = "P."},
    {"GET", "/cut", cut_short, .doc = "C."},
    {"GET", "/gated", gated, .doc = "G."},
    {"GET", "/endless", endless, .doc = "E.", .deadline_ms = 3600000},
    {"GET", "/large", large, .doc = "L."},
    {"GET", "/events", events, .doc = "E.", .deadline_ms = 50},
};

static void open_site_with(struct site *s, const struct ush_http_limits *limits)
{
    written = write_result = 0;
    ush_event_init(&gate, "gate");
    site_open(s, routes, USH_COUNT(routes), &(struct ush_http_options){.limits = limits});
}

static void open_site(struct site *s)
{
    open_site_with(s, NULL);
}

BOTH_TEST(stream_is_chunked)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    struct heard *h = ask(c, GET("/parts") GET("/parts"));
    ck_assert_str_eq(heard_field(h, "Transfer-Encoding"), "chunked");
    ck_assert_str_eq(h->body, "one two three");
    ck_assert(h->is_whole);
    ck_assert_str_eq(hear(c)->body, "one two three");
    say(c, "HEAD /parts HTTP/1.1\r\nHost: x\r\n\r\n" GET("/parts"));
    ck_assert_int_eq(hear_head(c)->status, 200);
    ck_assert_str_eq(hear(c)->body, "one two three");
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(http_1_0_gets_bytes_until_the_end)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    struct heard *h = ask(c, "GET /parts HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ck_assert_ptr_null(heard_field(h, "Transfer-Encoding"));
    ck_assert_str_eq(heard_field(h, "Connection"), "close");
    ck_assert_str_eq(h->body, "one two three");
    ck_assert(h->is_whole);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(parts_arrive_before_the_end)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    say(c, GET("/gated"));
    char line[64];
    do
        ck_assert(hear_line(c, line, sizeof(line)));
    while (*line);
    ck_assert(hear_line(c, line, sizeof(line)));
    ck_assert_str_eq(line, "7");
    ck_assert(hear_line(c, line, sizeof(line)));
    ck_assert_str_eq(line, "before ");
    ush_event_set(&gate);
    static const char *const rest[] = {"5", "after", "0", ""};
    for (int i = 0; i < 4; i++) {
        ck_assert(hear_line(c, line, sizeof(line)));
        ck_assert_str_eq(line, rest[i]);
    }
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(stream_cut_short_is_seen)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    struct heard *h = ask(c, GET("/cut"));
    ck_assert_str_eq(h->body, "only this");
    ck_assert(!h->is_whole);
    ck_assert(hears_end(c));
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(large_part_is_whole)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    struct heard *h = ask(c, GET("/large"));
    ck_assert_uint_eq(h->body_len, 150000);
    for (int k = 0; k < 150000; k++)
        if (h->body[k] != (char)('a' + k % 23))
            ck_abort_msg("byte %d is wrong", k);
    ush_close(c);
    return site_close(&s);
}

/* Nobody reads: the writer stops instead of filling memory, and ends when no progress is made. */
BOTH_TEST(stream_waits_for_its_reader)
{
    struct ush_http_limits limits = ush_http_limits_direct;
    site_hasten(&limits.write_gap_ms);
    struct site s;
    open_site_with(&s, &limits);
    int c = site_connect(&s);
    say(c, GET("/endless"));
    if (ush_is_sim()) { /* else the gap may be over already */
        ush_sleep(2 * USH_SECOND);
        ck_assert_int_gt(written, 0);
        ck_assert_uint_eq(s.stats.handlers, 1);
    }
    while (s.stats.connections > 0)
        ush_sleep(site_ms(100));
    ck_assert_int_gt(written, 0);
    ck_assert_int_lt(written, 200);
    ck_assert(write_result < 0);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(stream_ends_when_its_reader_leaves)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    say(c, GET("/endless"));
    static char part[30000];
    for (int i = 0; i < 5; i++)
        ck_assert_int_gt(ush_recv(c, part, sizeof(part)), 0);
    ush_close(c);
    while (s.stats.connections > 0 || s.stats.handlers > 0)
        ush_sleep(USH_MS);
    ck_assert(write_result < 0);
    return site_close(&s);
}

static void hear_two_events(int c)
{
    static const char *const lines[] = {"event: seats", "data: {\"free\":3}", "",
                                        "data: two",    "data: lines",        ""};
    char text[256] = "", want[256] = "", line[128];
    do
        ck_assert(hear_line(c, line, sizeof(line)));
    while (*line);
    for (int i = 0; i < 2; i++) { /* a chunk each */
        ck_assert(hear_line(c, line, sizeof(line)));
        size_t n = strtoul(line, NULL, 16), have = strlen(text);
        for (size_t k = 0; k < n; k++)
            ck_assert(hear_byte(c, &text[have + k]));
        ck_assert(hear_line(c, line, sizeof(line)));
    }
    for (size_t i = 0; i < USH_COUNT(lines); i++)
        snprintf(want + strlen(want), sizeof(want) - strlen(want), "%s\n", lines[i]);
    ck_assert_str_eq(text, want);
}

BOTH_TEST(events_outlive_the_deadline)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    say(c, GET("/events"));
    hear_two_events(c);
    ush_sleep(100 * USH_MS);
    ck_assert_uint_eq(s.stats.handlers, 1);
    ush_close(c);
    while (s.stats.connections > 0 || s.stats.handlers > 0)
        ush_sleep(USH_MS);
    ck_assert_int_eq(write_result, -ECANCELED);
    return site_close(&s);
}

BOTH_TEST(drain_ends_event_streams)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    say(c, GET("/events"));
    hear_two_events(c);
    int64_t from = ush_now_ns();
    ck_assert_int_eq(ush_http_drain(s.http, from + 60 * USH_SECOND), 0);
    ck_assert_int_lt(ush_now_ns() - from, 30 * USH_SECOND);
    ck_assert_int_eq(write_result, -ECANCELED);
    ck_assert(hears_end(c));
    ush_close(c);
    return 0;
}

/* A reader that has stopped is not waited for once the end has come. */
BOTH_TEST(drain_ends_a_stream_that_nobody_reads)
{
    struct site s;
    open_site(&s);
    int c = site_connect(&s);
    say(c, GET("/endless"));
    for (int before = -1; before < written || written == 0; ush_sleep(20 * USH_MS))
        before = written;
    ck_assert_int_eq(ush_http_drain(s.http, ush_now_ns()), -ETIMEDOUT);
    ck_assert_int_eq(write_result, -ECANCELED);
    ck_assert_uint_eq(s.stats.handlers, 0);
    ck_assert_uint_eq(s.stats.connections, 0);
    ush_close(c);
    return 0;
}

int main(void)
{
    Suite *s = suite_create("stream");
    TCase *tc = tcase_create("stream");
    both_add(tc, stream_is_chunked);
    both_add(tc, http_1_0_gets_bytes_until_the_end);
    both_add(tc, parts_arrive_before_the_end);
    both_add(tc, stream_cut_short_is_seen);
    both_add(tc, large_part_is_whole);
    both_add(tc, stream_waits_for_its_reader);
    both_add(tc, stream_ends_when_its_reader_leaves);
    both_add(tc, events_outlive_the_deadline);
    both_add(tc, drain_ends_event_streams);
    both_add(tc, drain_ends_a_stream_that_nobody_reads);
    suite_add_tcase(s, tc);
    return both_main(s);
}
