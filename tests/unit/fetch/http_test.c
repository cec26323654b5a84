/*
 * http_test.c - requests to a server of a few lines in the same loop.
 *
 * What the server does is the path: it answers with the request's own text, slowly, too much,
 * without end, not at all.
 */
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../slow.h"
#include "usher/fetch.h"

#define FETCH_TEST(name)                                                                           \
    static int name##_body(void *unused);                                                          \
    START_TEST(name)                                                                               \
    {                                                                                              \
        struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};                                \
        ck_assert_int_eq(ush_run(&o, name##_body, NULL), 0);                                       \
    }                                                                                              \
    END_TEST                                                                                       \
    static int name##_body(void *unused __attribute__((unused)))

static struct ush_fetch *f;
static struct ush_scope serving;
static int listener, port, connections;

/* ---- the server ----------------------------------------------------------------------------- */

static void say(int fd, const char *s)
{
    ush_send(fd, s, strlen(s));
}

static bool answer(int fd, const char *request, size_t len)
{
    char head[256], path[64];
    sscanf(request, "%*s %63s", path);
    if (strcmp(path, "/slow") == 0)
        ush_sleep(200 * USH_MS);
    if (strcmp(path, "/hang") == 0)
        ush_park_until_cancelled();
    if (strcmp(path, "/close") == 0)
        return false;
    if (strcmp(path, "/garbage") == 0) {
        say(fd, "\x01\x02 what?\r\n\r\n");
        return false;
    }
    if (strcmp(path, "/short") == 0) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nnot a hundred");
        return false;
    }
    if (strcmp(path, "/busy") == 0) {
        say(fd, "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
        return true;
    }
    if (strcmp(path, "/moved") == 0) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
        return true;
    }
    bool has_body = strncmp(request, "HEAD", 4) != 0;
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", len);
    say(fd, head);
    if (has_body)
        ush_send(fd, request, len);
    return true;
}

static int serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buf[70000];
    size_t len = 0;
    for (;;) {
        ssize_t n = ush_recv(fd, buf + len, sizeof buf - 1 - len);
        if (n <= 0)
            break;
        len += (size_t)n;
        buf[len] = 0;
        char *end = strstr(buf, "\r\n\r\n"), *body = strstr(buf, "Content-Length: ");
        size_t whole =
            end ? (size_t)(end + 4 - buf) + (body ? strtoul(body + 16, NULL, 10) : 0) : 0;
        if (!whole || len < whole)
            continue;
        if (!answer(fd, buf, len))
            break;
        len = 0;
    }
    ush_close(fd);
    return 0;
}

static int serve(void *unused __attribute__((unused)))
{
    int fd;
    while ((fd = ush_accept(listener, NULL)) >= 0) {
        connections++;
        ush_spawn(&serving, serve_one, (void *)(intptr_t)fd);
    }
    return 0;
}

static void begin(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct ush_address at = {.len = sizeof in};
    memcpy(&at.storage, &in, sizeof in);
    listener = ush_listen(&at, 100);
    ck_assert_int_ge(listener, 0);
    socklen_t len = sizeof in;
    getsockname(listener, (struct sockaddr *)&in, &len);
    port = ntohs(in.sin_port);
    connections = 0;
    f = ush_fetch_new(&(struct ush_fetch_options){.connections = 50});
    ck_assert_ptr_nonnull(f);
    ush_scope_open(&serving, &(struct ush_scope_options){.name = "server", .keep_going = true});
    ush_spawn(&serving, serve, NULL);
}

static int end(void)
{
    ush_fetch_free(f);
    ush_scope_cancel(&serving, USH_CANCEL_ASKED);
    ush_scope_close(&serving);
    ush_close(listener);
    return 0;
}

static struct ush_fetch_reply reply;

/* Result of a request to the path; the reply is in `reply`. */
static int ask(const char *path, struct ush_fetch_request rq)
{
    char url[100];
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    rq.url = url;
    reply = (struct ush_fetch_reply){0};
    return ush_fetch_http(f, &rq, &reply);
}
#define ask(path, ...) ask(path, (struct ush_fetch_request){__VA_ARGS__})

static bool echoed(const char *text)
{
    return reply.body.at && strstr(reply.body.at, text);
}

/* ---- tests ---------------------------------------------------------------------------------- */

FETCH_TEST(sends_what_it_is_told)
{
    begin();
    const char *const headers[] = {"Authorization: Bearer x", "Idempotency-Key: 7", NULL};
    ck_assert_int_eq(ask("/a?b=c", .headers = headers), 0);
    ck_assert_int_eq(reply.status, 200);
    ck_assert_int_eq(reply.retry_after_ms, -1);
    ck_assert(echoed("GET /a?b=c HTTP/1.1\r\n"));
    ck_assert(echoed("\r\nIdempotency-Key: 7\r\n"));
    ush_buf_fini(&reply.body);

    ck_assert_int_eq(ask("/", .body = USH_T("{\"x\":1}")), 0);
    ck_assert(echoed("POST / HTTP/1.1\r\n") && echoed("\r\n\r\n{\"x\":1}"));
    ck_assert(!echoed("Expect"));
    ush_buf_fini(&reply.body);

    ck_assert_int_eq(ask("/", .method = "PUT", .body = USH_T("")), 0);
    ck_assert(echoed("PUT / HTTP/1.1\r\n"));
    ush_buf_fini(&reply.body);

    ck_assert_int_eq(ask("/", .method = "HEAD"), 0);
    ck_assert_uint_eq(reply.body.len, 0);
    ush_buf_fini(&reply.body);

    static char large[60000];
    memset(large, 'x', sizeof large - 1);
    ck_assert_int_eq(ask("/", .body = ush_text_of(large)), 0);
    ck_assert_uint_gt(reply.body.len, sizeof large);
    ush_buf_fini(&reply.body);
    ck_assert_int_eq(connections, 1); /* all on one */
    return end();
}

FETCH_TEST(any_status_is_a_reply)
{
    begin();
    ck_assert_int_eq(ask("/busy"), 0);
    ck_assert_int_eq(reply.status, 429);
    ck_assert_int_eq(reply.retry_after_ms, 7000);
    ush_buf_fini(&reply.body);
    ck_assert_int_eq(ask("/moved"), 0);
    ck_assert_int_eq(reply.status, 302); /* and nobody goes there */
    ush_buf_fini(&reply.body);
    return end();
}

FETCH_TEST(no_reply_is_an_error)
{
    begin();
    ck_assert_int_eq(ask("/close"), -ECONNRESET);
    ck_assert(reply.was_sent);
    ck_assert_int_eq(ask("/short"), -ECONNRESET);
    ck_assert_int_eq(ask("/garbage"), USH_EPROTO);
    ck_assert_int_eq(ask("/", .body = USH_T("0123456789"), .reply_max_bytes = 20), USH_ELIMIT);
    const char *const bad[] = {"X: a\r\nInjected: yes", NULL};
    ck_assert_int_eq(ask("/", .headers = bad), USH_EINVAL);
    ck_assert_int_eq(ask("/", .method = "GET /x HTTP/1.1\r\nA: b\r\n\r\n"), USH_EINVAL);
    struct ush_fetch_request file = {.url = "file:///etc/passwd"};
    ck_assert_int_eq(ush_fetch_http(f, &file, &reply), USH_EINVAL);
    port = 1;
    ck_assert_int_eq(ask("/"), -ECONNREFUSED);
    ck_assert(!reply.was_sent);
    return end();
}

FETCH_TEST(the_scope_owns_the_time)
{
    begin();
    for (int i = 0; i < 3; i++) {
        int64_t start = ush_now_ns();
        struct ush_scope s;
        ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = start + allow(100) * USH_MS});
        ck_assert_int_eq(ask("/hang"), -ETIMEDOUT);
        ck_assert(reply.was_sent);
        ush_scope_close(&s);
        ck_assert_int_lt((ush_now_ns() - start) / USH_MS, allow(10000));
    }
    ck_assert_int_eq(ask("/"), 0); /* and the next one is fine */
    ush_buf_fini(&reply.body);
    return end();
}

static int ask_slow(void *unused __attribute__((unused)))
{
    char url[100];
    struct ush_fetch_reply r;
    snprintf(url, sizeof url, "http://127.0.0.1:%d/slow", port);
    USH_TRY(ush_fetch_http(f, &(struct ush_fetch_request){.url = url}, &r));
    int status = r.status;
    ush_buf_fini(&r.body);
    return status == 200 ? 0 : -EINVAL;
}

FETCH_TEST(many_at_once_wait_together)
{
    begin();
    char items[100];
    int64_t start = ush_now_ns();
    ck_assert_int_eq(ush_gather(100, 0, ask_slow, items, 1), 0);
    int64_t ms = (ush_now_ns() - start) / USH_MS;
    ck_assert_int_ge(ms, 400);          /* fifty at a time */
    ck_assert_int_lt(ms, allow(10000)); /* one by one would take 20 s */
    ck_assert_int_le(connections, 50);
    return end();
}

int main(void)
{
    Suite *s = suite_create("fetch/http");
    TCase *tc = tcase_create("http");
    tcase_add_test(tc, sends_what_it_is_told);
    tcase_add_test(tc, any_status_is_a_reply);
    tcase_add_test(tc, no_reply_is_an_error);
    tcase_add_test(tc, the_scope_owns_the_time);
    tcase_add_test(tc, many_at_once_wait_together);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
