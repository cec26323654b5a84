/*
 * limits_test.c - every limit and time-out of struct ush_http_limits: what it refuses, and that
 * what lies just within is served. Times are those of service under sim.
 */
#include "site.h"

static struct ush_event gate;
static char large[65536 + 1];

static int hello(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/plain", USH_T("hello"));
}
static int send_back(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/plain", rq->body);
}
static int wait_gate(struct ush_request *rq)
{
    USH_TRY(ush_event_wait(&gate));
    return ush_reply(rq, 200, "text/plain", USH_T("went through"));
}
static int send_much(struct ush_request *rq)
{
    static char much[4 << 20];
    return ush_reply(rq, 200, "text/plain", (ush_text){much, sizeof(much)});
}

static const struct ush_route routes[] = {
    {"GET", "/", hello, .doc = "Hello."},
    {"POST", "/", send_back, .doc = "Back.", .raw_body = true},
    {"POST", "/small", send_back, .doc = "Back.", .raw_body = true, .body_bytes = 10},
    {"GET", "/gate", wait_gate, .doc = "Waits."},
    {"GET", "/much", send_much, .doc = "Four megabytes."},
};

static void open_site(struct site *s, const struct ush_http_limits *limits)
{
    ush_event_init(&gate, "gate");
    site_open(s, routes, USH_COUNT(routes), &(struct ush_http_options){.limits = limits});
}

/* ---- sizes ---------------------------------------------------------------------------------- */

/* A request with `n` bytes of 'a' in the place of '#', `times` times the line that holds it. */
static size_t build(char *out, size_t max, const char *pattern, size_t n, int times)
{
    size_t len = 0;
    const char *mark = strchr(pattern, '#'), *line = mark;
    while (line > pattern && line[-1] != '\n')
        line--;
    const char *end = strstr(mark, "\r\n") + 2;
    len += (size_t)snprintf(out, max, "%.*s", (int)(line - pattern), pattern);
    for (int i = 0; i < times; i++) {
        len += (size_t)snprintf(out + len, max - len, "%.*s", (int)(mark - line), line);
        ck_assert_uint_lt(len + n + 10, max);
        memset(out + len, 'a', n);
        len += n;
        len += (size_t)snprintf(out + len, max - len, "%.*s", (int)(end - mark - 1), mark + 1);
    }
    return len + (size_t)snprintf(out + len, max - len, "%s", end);
}

static const struct {
    const char *pattern;
    size_t n;
    int times, status;
} sizes[] = {
    {"GET /?# HTTP/1.1\r\nHost: x\r\n\r\n", 8192 - 15, 1, 200},
    {"GET /?# HTTP/1.1\r\nHost: x\r\n\r\n", 8192, 1, 414},
    {"GET /?# HTTP/1.1\r\nHost: x\r\n\r\n", 60000, 1, 414},
    {"GET / HTTP/1.1\r\nHost: x\r\nF: #\r\n\r\n", 8192 - 3, 1, 200},
    {"GET / HTTP/1.1\r\nHost: x\r\nF: #\r\n\r\n", 8192, 1, 431},
    {"GET / HTTP/1.1\r\nHost: x\r\nF: #\r\n\r\n", 1, 63, 200},
    {"GET / HTTP/1.1\r\nHost: x\r\nF: #\r\n\r\n", 1, 64, 431},
    {"GET / HTTP/1.1\r\nHost: x\r\nF: #\r\n\r\n", 8000, 2, 200},
    {"GET / HTTP/1.1\r\nHost: x\r\nF: #\r\n\r\n", 8000, 3, 431},
};

BOTH_TEST(head_sizes)
{
    static char request[70000];
    struct site s;
    open_site(&s, NULL);
    for (size_t i = 0; i < USH_COUNT(sizes); i++) {
        int c = site_connect(&s);
        size_t n = build(request, sizeof(request), sizes[i].pattern, sizes[i].n, sizes[i].times);
        say_bytes(c, request, n);
        int status = hear(c)->status;
        ck_assert_msg(status == sizes[i].status, "case %zu: %d", i, status);
        if (status != 200)
            ck_assert(hears_end(c));
        ush_close(c);
    }
    return site_close(&s);
}

static const struct {
    const char *path, *fields;
    size_t n;
    int status;
} bodies[] = {
    {"/", "Content-Length: 65536", 65536, 200},
    {"/", "Content-Length: 65537", 0, 413},
    {"/", "Content-Length: 999999999999999", 0, 413},
    {"/small", "Content-Length: 10", 10, 200},
    {"/small", "Content-Length: 11", 0, 413},
    {"/small", "Content-Length: 11", 11, 413},
    {"/small", "Transfer-Encoding: chunked", 10, 200},
    {"/small", "Transfer-Encoding: chunked", 11, 413},
    {"/", "Transfer-Encoding: chunked", 65536, 200},
    {"/", "Transfer-Encoding: chunked", 65537, 413},
};

BOTH_TEST(body_sizes)
{
    static char request[70000];
    struct site s;
    open_site(&s, NULL);
    memset(large, 'b', sizeof(large));
    for (size_t i = 0; i < USH_COUNT(bodies); i++) {
        int c = site_connect(&s);
        bool is_chunked = strchr(bodies[i].fields, 'k') != NULL;
        int n = snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n",
                         bodies[i].path, bodies[i].fields);
        if (is_chunked)
            n += snprintf(request + n, 32, "%zx\r\n", bodies[i].n);
        memcpy(request + n, large, bodies[i].n);
        n += (int)bodies[i].n;
        if (is_chunked)
            n += snprintf(request + n, 32, "\r\n0\r\n\r\n");
        say_bytes(c, request, (size_t)n);
        struct heard *h = hear(c);
        ck_assert_msg(h->status == bodies[i].status, "case %zu: %d", i, h->status);
        if (h->status == 200)
            ck_assert_uint_eq(h->body_len, bodies[i].n);
        else
            ck_assert(hears_end(c));
        ush_close(c);
    }
    return site_close(&s);
}

/* The reply to a refused upload arrives although the client goes on sending. */
BOTH_TEST(refused_upload_hears_why)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    say(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n");
    memset(large, 'b', 50000);
    say_bytes(c, large, 50000);
    ck_assert_int_eq(hear(c)->status, 413);
    ck_assert(hears_end(c));
    ush_close(c);
    return site_close(&s);
}

/* ---- times ---------------------------------------------------------------------------------- */

/* Opens the site with a limit that is waited for. */
#define OPEN_FOR(s, limit)                                                                         \
    do {                                                                                           \
        struct ush_http_limits hasty = ush_http_limits_direct;                                     \
        site_hasten(&hasty.limit);                                                                 \
        open_site((s), &hasty);                                                                    \
    } while (0)

/* The connection must end, or answer, this long after `from` and not before; `from` is no later
 * than the moment from which the server counts. How late is the machine's affair, unless time is
 * virtual. */
static void check_time(int64_t from, uint32_t limit_ms)
{
    int64_t took = ush_now_ns() - from, limit = site_ms(limit_ms);
    ck_assert_msg(took >= limit - USH_MS, "after %lld ms", (long long)(took / USH_MS));
    if (ush_is_sim())
        ck_assert_msg(took < limit + 1000 * USH_MS, "after %lld ms", (long long)(took / USH_MS));
}

BOTH_TEST(silent_connection_ends)
{
    struct site s;
    OPEN_FOR(&s, head_ms);
    int64_t from = ush_now_ns();
    int c = site_connect(&s);
    ck_assert(hears_end(c));
    check_time(from, 10000);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(slow_head_is_408)
{
    struct site s;
    OPEN_FOR(&s, head_ms);
    int64_t from = ush_now_ns();
    int c = site_connect(&s);
    /* A byte now and then does not help: the limit is on the whole head. */
    static const char head[] = "GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n";
    uint32_t tasks = ush_loop_stats().tasks;
    for (int i = 0; i < (ush_is_sim() ? 9 : 1); i++) {
        say_bytes(c, head + i, 1);
        ush_sleep(site_ms(1000));
        ck_assert_uint_eq(ush_loop_stats().tasks, tasks);
    }
    ck_assert_int_eq(hear(c)->status, 408);
    ck_assert(hears_end(c));
    check_time(from, 10000);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(idle_connection_ends)
{
    struct site s;
    OPEN_FOR(&s, idle_ms);
    int c = site_connect(&s);
    int64_t from = ush_now_ns();
    ask(c, GET("/"));
    ck_assert(hears_end(c));
    check_time(from, 15000);
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(gap_in_a_body_is_408)
{
    struct site s;
    OPEN_FOR(&s, body_gap_ms);
    int c = site_connect(&s);
    uint32_t tasks = ush_loop_stats().tasks;
    int64_t from = ush_now_ns();
    say(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    ush_sleep(site_ms(2000));
    ck_assert_uint_eq(ush_loop_stats().tasks, tasks);
    ck_assert_int_eq(hear(c)->status, 408);
    ck_assert(hears_end(c));
    check_time(from, 10000);
    ush_close(c);
    return site_close(&s);
}

/* Without a gap, but slower than 1 KiB/s after the first 5 s. Only in virtual time. */
BOTH_TEST(trickled_body_is_408)
{
    if (!ush_is_sim())
        return 0;
    struct site s;
    open_site(&s, NULL);
    static const int per_s[] = {500, 2000};
    for (int i = 0; i < 2; i++) {
        int c = site_connect(&s);
        say(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n");
        int64_t from = ush_now_ns();
        memset(large, 'b', 2000);
        for (int sent = 0; sent < 20000 && s.stats.refused_total == 0; sent += per_s[1 - i]) {
            ush_sleep(USH_SECOND);
            say_bytes(c, large, (size_t)per_s[1 - i]);
        }
        ck_assert_int_eq(hear(c)->status, i ? 408 : 200);
        int64_t took = ush_now_ns() - from;
        ck_assert(i ? took < 20 * USH_SECOND : took >= 9 * USH_SECOND);
        ush_close(c);
    }
    return site_close(&s);
}

BOTH_TEST(reader_that_stops_is_closed)
{
    struct site s;
    OPEN_FOR(&s, write_gap_ms);
    int c = site_connect(&s);
    int64_t from = ush_now_ns();
    say(c, GET("/much"));
    uint32_t tasks = ush_loop_stats().tasks;
    while (s.stats.status_total[2] < 1)
        ush_sleep(USH_MS);
    ush_sleep(USH_MS);
    ck_assert_uint_eq(ush_loop_stats().tasks, tasks); /* it holds bytes and no stack */
    while (s.stats.connections > 0)
        ush_sleep(site_ms(100));
    check_time(from, 15000);
    ush_close(c);
    return site_close(&s);
}

/* One that reads slowly but steadily gets everything. */
BOTH_TEST(slow_reader_gets_all)
{
    struct site s;
    open_site(&s, NULL);
    int c = site_connect(&s);
    say(c, "GET /much HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    static char part[400000];
    size_t got = 0;
    for (;;) {
        ssize_t n = ush_recv(c, part, sizeof(part));
        if (n <= 0)
            break;
        got += (size_t)n;
        ush_sleep(site_ms(100));
    }
    ck_assert_uint_gt(got, 4 << 20);
    ush_close(c);
    return site_close(&s);
}

/* ---- numbers -------------------------------------------------------------------------------- */

BOTH_TEST(requests_per_connection)
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.requests_per_connection = 3;
    struct site s;
    open_site(&s, &limits);
    int c = site_connect(&s);
    say(c, GET("/") GET("/") GET("/") GET("/"));
    for (int i = 0; i < 3; i++) {
        struct heard *h = hear(c);
        ck_assert_int_eq(h->status, 200);
        ck_assert(!!heard_field(h, "Connection") == (i == 2));
    }
    ck_assert(hears_end(c));
    ush_close(c);
    return site_close(&s);
}

BOTH_TEST(connection_age)
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.connection_age_ms = 5000;
    site_hasten(&limits.connection_age_ms);
    struct site s;
    open_site(&s, &limits);
    int c = site_connect(&s);
    if (ush_is_sim()) /* else it may have aged already */
        ck_assert_ptr_null(heard_field(ask(c, GET("/")), "Connection"));
    ush_sleep(site_ms(5500));
    ck_assert_str_eq(heard_field(ask(c, GET("/")), "Connection"), "close");
    ck_assert(hears_end(c));
    ush_close(c);
    return site_close(&s);
}

/* A school is one address: those beyond its share are served, but keep no connection. */
BOTH_TEST(connections_per_address)
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.connections_per_address = 2;
    struct site s;
    open_site(&s, &limits);
    static const struct {
        const char *from;
        bool is_brief;
    } who[] = {
        {"192.0.2.1:1", false},
        {"192.0.2.1:2", false},
        {"192.0.2.2:1", false},
        {"192.0.2.1:3", true},
        {"[2001:db8::1]:1", false},
        {"[2001:db8::2]:1", false},
        {"[2001:db8::3]:1", true},
        {"[2001:db8:0:1::]:1", false},
        {"127.0.0.1:1", false},
        {"127.0.0.1:2", false},
        {"127.0.0.1:3", false},
        {"[::1]:1", false},
        {"[::1]:2", false},
        {"[::1]:3", false},
        {NULL, false},
        {NULL, false},
        {NULL, false},
    };
    int c[USH_COUNT(who)];
    for (size_t i = 0; i < USH_COUNT(who); i++) {
        c[i] = site_connect_from(&s, who[i].from);
        struct heard *h = ask(c[i], GET("/"));
        ck_assert_msg(h->status == 200, "%s: %d", who[i].from, h->status);
        const char *connection = heard_field(h, "Connection");
        ck_assert_msg((connection != NULL) == who[i].is_brief, "%s: %s", who[i].from, connection);
        if (who[i].is_brief)
            ck_assert(hears_end(c[i]));
    }
    ush_close(c[0]); /* a place becomes free */
    while (s.stats.connections >= USH_COUNT(who) - 2)
        ush_sleep(USH_MS);
    c[0] = site_connect_from(&s, "192.0.2.1:4");
    ck_assert_ptr_null(heard_field(ask(c[0], GET("/")), "Connection"));
    for (size_t i = 0; i < USH_COUNT(who); i++)
        ush_close(c[i]);
    return site_close(&s);
}

BOTH_TEST(connections_per_address_have_an_end)
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.connections_per_address = 1;
    struct site s;
    open_site(&s, &limits);
    int c[USH_ADDRESS_SHARES + 1];
    for (size_t i = 0; i < USH_COUNT(c); i++)
        c[i] = site_connect_from(&s, "192.0.2.1:1");
    ck_assert_int_eq(hear(c[USH_ADDRESS_SHARES])->status, 429);
    ck_assert(hears_end(c[USH_ADDRESS_SHARES]));
    for (size_t i = 0; i < USH_ADDRESS_SHARES; i++)
        ck_assert_int_eq(ask(c[i], GET("/"))->status, 200);
    for (size_t i = 0; i < USH_COUNT(c); i++)
        ush_close(c[i]);
    return site_close(&s);
}

/* ---- large bodies are asked for first ------------------------------------------------------- */

static int times_asked, times_asked_first;

/* Who says who they are is let in, and the answer takes its time. */
static int let_in(struct ush_request *rq)
{
    times_asked++;
    times_asked_first += !rq->body.at;
    if (ush_param(rq, "who").len)
        USH_TRY(ush_event_wait(&gate));
    ush_text who = ush_header(rq, "X-Who");
    if (ush_text_equal(who, USH_T("answered")))
        return ush_reply(rq, 303, NULL, USH_NONE) < 0 ? -EIO : 1;
    return who.at ? 0 : ush_problem(rq, &ush_problem_not_found, "Not for you.");
}

static int say_length(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/plain", ush_arena_printf(rq->arena, "%zu", rq->body.len));
}

enum { LARGE_MAX = 300000 };
static const struct ush_route large_routes[] = {
    {"GET", "/", hello, .doc = "Hello."},
    {"POST", "/large", say_length, .doc = "Large.", .raw_body = true, .body_bytes = LARGE_MAX},
    {"POST", "/{who}", say_length, .doc = "Large.", .raw_body = true, .body_bytes = LARGE_MAX},
};
#define ANNOUNCE(path, fields) "POST " path " HTTP/1.1\r\nHost: x\r\n" fields "\r\n"

static void open_asking(struct site *s)
{
    times_asked = times_asked_first = 0;
    ush_event_init(&gate, "gate");
    site_open(s, large_routes, USH_COUNT(large_routes),
              &(struct ush_http_options){.admit = let_in});
}

static const struct {
    const char *head;
    size_t body, more; /* bytes of the body that are sent with it, and after its "100 Continue" */
    int status, asked, asked_first;
} asking[] = {
    {ANNOUNCE("/large", "Content-Length: 65537\r\n"), 0, 0, 404, 1, 1},
    {ANNOUNCE("/large", "Content-Length: 65537\r\n"), 65537, 0, 404, 1, 1},
    {ANNOUNCE("/large", "Content-Length: 300000\r\nExpect: 100-continue\r\n"), 0, 0, 404, 1, 1},
    {ANNOUNCE("/large", "Transfer-Encoding: chunked\r\n"), 0, 0, 404, 1, 1},
    {ANNOUNCE("/large", "X-Who: answered\r\nContent-Length: 300000\r\n"), 9, 0, 303, 1, 1},
    {ANNOUNCE("/large", "X-Who: a\r\nContent-Length: 300000\r\n"), 300000, 0, 200, 2, 1},
    {ANNOUNCE("/large", "X-Who: a\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n"), 0,
     300000, 200, 2, 1},
    {ANNOUNCE("/large", "X-Who: a\r\nContent-Length: 300000\r\nExpect: 100-continue\r\n"), 10, 0, 0,
     1, 1},
    {ANNOUNCE("/large", "X-Who: a\r\nContent-Length: 300001\r\n"), 0, 0, 413, 0, 0},
    {ANNOUNCE("/large", "X-Who: a\r\nContent-Length: 65536\r\n"), 65536, 0, 200, 1, 0},
    {ANNOUNCE("/large", "Content-Length: 65536\r\n"), 65536, 0, 404, 1, 0},
    {ANNOUNCE("/large", "X-Who: a\r\nContent-Length: 0\r\n"), 0, 0, 200, 1, 0},
};

BOTH_TEST(large_body_is_asked_for_first)
{
    static char body[LARGE_MAX];
    struct site s;
    open_asking(&s);
    for (size_t i = 0; i < USH_COUNT(asking); i++) {
        int c = site_connect(&s);
        times_asked = times_asked_first = 0;
        say(c, asking[i].head);
        say_bytes(c, body, asking[i].body);
        if (asking[i].more) {
            ck_assert_int_eq(hear(c)->status, 100);
            say_bytes(c, body, asking[i].more);
        }
        if (asking[i].status) {
            ck_assert_msg(hear(c)->status == asking[i].status, "case %zu", i);
            if (asking[i].status != 200 && asking[i].asked_first)
                ck_assert(hears_end(c));
        } else {
            while (!times_asked)
                ush_yield();
        }
        ck_assert_msg(times_asked == asking[i].asked, "case %zu: asked %d times", i, times_asked);
        ck_assert_int_eq(times_asked_first, asking[i].asked_first);
        ush_close(c);
    }
    return site_close(&s);
}

/* While one is asked about, others are parsed, and what follows its body is another request. */
BOTH_TEST(large_bodies_among_others)
{
    static char body[LARGE_MAX];
    struct site s;
    open_asking(&s);
    int slow = site_connect(&s), other = site_connect(&s);
    say(slow, ANNOUNCE("/slow", "X-Who: me\r\nTransfer-Encoding: chunked\r\n"));
    while (times_asked == 0)
        ush_yield();
    ck_assert_int_eq(ask(other, "GET / HTTP/1.1\r\nHost: x\r\nX-Who: b\r\n\r\n")->status, 200);
    ush_event_set(&gate);
    say(slow, "20000\r\n");
    say_bytes(slow, body, 0x20000);
    say(slow, "\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nX-Who: c\r\n\r\n");
    struct heard *h = hear(slow);
    ck_assert_int_eq(h->status, 200);
    ck_assert_str_eq(h->body, "131072");
    ck_assert_str_eq(hear(slow)->body, "hello");
    ck_assert_int_eq(times_asked_first, 1);
    ush_close(slow);
    ush_close(other);
    return site_close(&s);
}

/* Who is let in as the server ends has come too late: the body is not waited for. */
BOTH_TEST(large_body_is_not_asked_for_at_the_end)
{
    struct site s;
    open_asking(&s);
    int c = site_connect(&s);
    say(c, ANNOUNCE("/large", "X-Who: a\r\nContent-Length: 300000\r\n"));
    while (s.stats.handlers == 0 && times_asked == 0)
        ush_yield();
    ck_assert_int_eq(ush_http_drain(s.http, ush_now_ns()), -ETIMEDOUT);
    ck_assert_uint_eq(s.stats.connections, 0);
    ck_assert(hears_end(c));
    ush_close(c);
    return 0;
}

/* Half-open requests in number: none of them costs a task. */
BOTH_TEST(slow_clients_hold_no_stack)
{
    struct site s;
    open_site(&s, NULL);
    static const char *const halves[] = {
        "",
        "G",
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nHost: x",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab",
        ("POST / HTTP/1.1\r\nHost: x\r\n"
         "Transfer-Encoding: chunked\r\n\r\n5\r\nabc")};
    enum { EACH = 10, KINDS = 7 };
    int c[EACH * KINDS];
    uint32_t tasks = ush_loop_stats().tasks, peak = ush_loop_stats().tasks_peak;
    for (int i = 0; i < EACH * KINDS; i++) {
        c[i] = site_connect(&s);
        say(c[i], halves[i % KINDS]);
    }
    ush_sleep(site_ms(1000));
    ck_assert_uint_eq(s.stats.connections, EACH * KINDS);
    ck_assert_uint_eq(ush_loop_stats().tasks, tasks);
    ck_assert_uint_eq(ush_loop_stats().tasks_peak, peak);
    for (int i = 0; i < EACH * KINDS; i++)
        ush_close(c[i]);
    return site_close(&s);
}

int main(void)
{
    Suite *s = suite_create("limits");
    TCase *tc = tcase_create("limits");
    both_add(tc, head_sizes);
    both_add(tc, body_sizes);
    both_add(tc, refused_upload_hears_why);
    both_add(tc, silent_connection_ends);
    both_add(tc, slow_head_is_408);
    both_add(tc, idle_connection_ends);
    both_add(tc, gap_in_a_body_is_408);
    both_add(tc, trickled_body_is_408);
    both_add(tc, reader_that_stops_is_closed);
    both_add(tc, slow_reader_gets_all);
    both_add(tc, requests_per_connection);
    both_add(tc, connection_age);
    both_add(tc, connections_per_address);
    both_add(tc, connections_per_address_have_an_end);
    both_add(tc, slow_clients_hold_no_stack);
    both_add(tc, large_body_is_asked_for_first);
    both_add(tc, large_bodies_among_others);
    both_add(tc, large_body_is_not_asked_for_at_the_end);
    suite_add_tcase(s, tc);
    return both_main(s);
}
