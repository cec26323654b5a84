/*
 * The head parser: verdicts over the corpus, what it reads out of a head, the limits, and that
 * neither the cutting into pieces nor the memory behind the bytes makes a difference.
 */
#include <check.h>

#include "guard.h"
#include "http/parse.h"

static const struct ush_http_limits *const direct = &ush_http_limits_direct;

/* All texts of a head as offsets, so that two can be compared by memcmp. */
static void flatten(const struct ush_head *h, const char *base, ush_text *out)
{
    const ush_text all[] = {h->method_name, h->target, h->path, h->query, h->host};
    memcpy(out, all, sizeof all);
    for (size_t i = 0; i < h->header_count; i++) {
        out[5 + 2 * i] = h->headers[i].name;
        out[6 + 2 * i] = h->headers[i].value;
    }
    for (size_t i = 0; i < 5 + 2 * h->header_count; i++)
        if (out[i].at && !ush_text_equal(out[i], USH_T("/"))) /* "/" may be a literal */
            out[i].at -= (intptr_t)base;
        else
            out[i].at = NULL;
}

static bool same_head(const struct ush_head *a, const char *a_base, const struct ush_head *b,
                      const char *b_base)
{
    ush_text x[5 + 2 * USH_HEADERS_MAX], y[5 + 2 * USH_HEADERS_MAX];
    if (a->header_count != b->header_count || a->method != b->method || a->minor != b->minor ||
        a->keep_alive != b->keep_alive || a->expects_continue != b->expects_continue ||
        a->is_chunked != b->is_chunked || a->content_length != b->content_length)
        return false;
    flatten(a, a_base, x);
    flatten(b, b_base, y);
    return memcmp(x, y, (5 + 2 * a->header_count) * sizeof *x) == 0;
}

/* The verdict, with the bytes right before memory that faults. */
static int parse_guarded(ush_text t, size_t *scanned, struct ush_head *head, const char **ret_base)
{
    ush_text g = guarded(t);
    *ret_base = g.at;
    return ush_head_parse(g, direct, scanned, head);
}

static int verdict_of(const char *name, ush_text bytes)
{
    if (strncmp(name, "ok-", 3) == 0)
        return (int)((const char *)memmem(bytes.at + 2, bytes.len - 2, "\r\n\r\n", 4) - bytes.at) +
               4;
    return strncmp(name, "partial-", 8) == 0 ? 0 : -atoi(name);
}

START_TEST(every_file_of_the_corpus_gets_the_verdict_in_its_name)
{
    struct corpus_file *files;
    size_t n = corpus_read("tests/corpus/head", &files);
    ck_assert_uint_ge(n, 300);
    static struct ush_head head;
    for (size_t i = 0; i < n; i++) {
        size_t scanned = 0;
        const char *base;
        int r = parse_guarded(files[i].bytes, &scanned, &head, &base);
        ck_assert_msg(r == verdict_of(files[i].name, files[i].bytes), "%s: %d", files[i].name, r);
    }
}
END_TEST

START_TEST(pieces_make_no_difference)
{
    struct corpus_file *files;
    size_t n = corpus_read("tests/corpus/head", &files);
    static struct ush_head whole, pieces;
    for (size_t i = 0; i < n; i++) {
        ush_text t = files[i].bytes;
        size_t zero = 0;
        int want = ush_head_parse(t, direct, &zero, &whole);
        size_t step = t.len > 2000 ? 97 : 1;
        const char *base;
        for (size_t cut = 0; cut <= t.len; cut += step) {
            size_t scanned = 0;
            int r = parse_guarded((ush_text){t.at, cut}, &scanned, &pieces, &base);
            if (r == 0)
                r = parse_guarded(t, &scanned, &pieces, &base);
            ck_assert_msg(r == want, "%s cut at %zu: %d, not %d", files[i].name, cut, r, want);
            ck_assert(r <= 0 || same_head(&whole, t.at, &pieces, base));
        }
        size_t scanned = 0;
        int r = 0;
        for (size_t len = 1; r == 0 && len <= t.len; len++)
            r = parse_guarded((ush_text){t.at, len}, &scanned, &pieces, &base);
        ck_assert_msg(r == want, "%s byte by byte: %d, not %d", files[i].name, r, want);
        ck_assert(r <= 0 || same_head(&whole, t.at, &pieces, base));
    }
}
END_TEST

START_TEST(bytes_that_were_scanned_are_not_looked_at_again)
{
    char text[] = "GET / HTTP/1.1\r\nHost: example.org\r\nX: some value that goes on";
    static struct ush_head head;
    size_t scanned = 0, len = sizeof text - 1;
    ck_assert_int_eq(ush_head_parse((ush_text){text, len - 1}, direct, &scanned, &head), 0);
    /* The first byte says whether an empty line came before; the others are settled. */
    memset(text + 1, 0, len - 2);
    ck_assert_int_eq(ush_head_parse((ush_text){text, len}, direct, &scanned, &head), 0);
    scanned = 0;
    ck_assert_int_eq(ush_head_parse((ush_text){text, len}, direct, &scanned, &head), -400);
}
END_TEST

struct reading {
    const char *text, *target, *path, *query, *host; /* "-" for absent */
    enum ush_method method;
    int64_t length;
    bool closes, is_chunked, expects;
    uint8_t minor;
};

#define FIELDS(...) " HTTP/1.1\r\nHost: a\r\n" __VA_ARGS__ "\r\n"
static const struct reading readings[] = {
    {"GET /" FIELDS(), "/", "/", "-", "a", USH_GET, -1, .minor = 1},
    {"HEAD /x?" FIELDS(), "/x?", "/x", "", "a", USH_HEAD, -1, .minor = 1},
    {"PUT /x?y?z" FIELDS(), "/x?y?z", "/x", "y?z", "a", USH_PUT, -1, .minor = 1},
    {"PATCH /" FIELDS(), "/", "/", "-", "a", USH_PATCH, -1, .minor = 1},
    {"DELETE /" FIELDS(), "/", "/", "-", "a", USH_DELETE, -1, .minor = 1},
    {"POST /" FIELDS("Content-Length: 12\r\n"), "/", "/", "-", "a", USH_POST, 12, .minor = 1},
    {"POST /" FIELDS("content-length:0\r\n"), "/", "/", "-", "a", USH_POST, 0, .minor = 1},
    {"POST /" FIELDS("Transfer-Encoding: chunked\r\nExpect: 100-Continue\r\n"), "/", "/", "-", "a",
     USH_POST, -1, .is_chunked = true, .expects = true, .minor = 1},
    {"POST /" FIELDS("Expect: 100-continue\r\n"), "/", "/", "-", "a", USH_POST, -1, .minor = 1},
    {"POST /" FIELDS("Expect: 100-continue\r\nContent-Length: 0\r\n"), "/", "/", "-", "a", USH_POST,
     0, .minor = 1},
    {"OPTIONS *" FIELDS(), "*", "*", "-", "a", USH_OPTIONS, -1, .minor = 1},
    {"options /" FIELDS(), "/", "/", "-", "a", USH_METHOD_OTHER, -1, .minor = 1},
    {"PROPFIND /" FIELDS(), "/", "/", "-", "a", USH_METHOD_OTHER, -1, .minor = 1},
    {"GET http://a" FIELDS(), "http://a", "/", "-", "a", USH_GET, -1, .minor = 1},
    {"GET http://a?q" FIELDS(), "http://a?q", "/", "q", "a", USH_GET, -1, .minor = 1},
    {"GET HttpS://A/p?q" FIELDS(), "HttpS://A/p?q", "/p", "q", "a", USH_GET, -1, .minor = 1},
    {"GET //b/p" FIELDS(), "//b/p", "//b/p", "-", "a", USH_GET, -1, .minor = 1},
    {"GET /" FIELDS("Connection: close\r\n"), "/", "/", "-", "a", USH_GET, -1, .closes = true,
     .minor = 1},
    {"GET /" FIELDS("Connection: keep-alive,\t Close \r\n"), "/", "/", "-", "a", USH_GET, -1,
     .closes = true, .minor = 1},
    {"GET /" FIELDS("Connection: x\r\nConnection: close\r\n"), "/", "/", "-", "a", USH_GET, -1,
     .closes = true, .minor = 1},
    {"GET /" FIELDS("Connection: closed, \"close\"\r\n"), "/", "/", "-", "a", USH_GET, -1,
     .minor = 1},
    {"GET / HTTP/1.0\r\n\r\n", "/", "/", "-", "-", USH_GET, -1, .closes = true},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", "/", "-", "-", USH_GET, -1},
    {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "/", "/", "-", "-", USH_GET, -1,
     .closes = true},
    {"GET http://b:8/ HTTP/1.0\r\n\r\n", "http://b:8/", "/", "-", "b:8", USH_GET, -1,
     .closes = true},
    {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", "/", "/", "-", "-",
     USH_POST, 1, .closes = true},
    {"\r\nGET / HTTP/1.1\r\nhost:a:65535\r\n\r\n", "/", "/", "-", "a:65535", USH_GET, -1,
     .minor = 1},
};

static void assert_text(const char *what, size_t i, ush_text have, const char *want)
{
    bool is_absent = strcmp(want, "-") == 0;
    ck_assert_msg((is_absent && !have.at) ||
                      (!is_absent && have.at && ush_text_equal(have, ush_text_of(want))),
                  "reading %zu: %s is \"%.*s\", not \"%s\"", i, what, USH_PR(have), want);
}

START_TEST(reads_what_a_head_says)
{
    const struct reading *w = &readings[_i];
    static struct ush_head h;
    size_t scanned = 0, i = (size_t)_i;
    int r = ush_head_parse(ush_text_of(w->text), direct, &scanned, &h);
    ck_assert_int_eq(r, (int)strlen(w->text));
    assert_text("target", i, h.target, w->target);
    assert_text("path", i, h.path, w->path);
    assert_text("query", i, h.query, w->query);
    assert_text("host", i, h.host, w->host);
    ck_assert_int_eq(h.method, w->method);
    ck_assert_int_eq(h.content_length, w->length);
    ck_assert_int_eq(h.minor, w->minor);
    ck_assert_int_eq(h.keep_alive, !w->closes);
    ck_assert_int_eq(h.is_chunked, w->is_chunked);
    ck_assert_int_eq(h.expects_continue, w->expects);
}
END_TEST

START_TEST(fields_keep_their_order_and_lose_their_padding)
{
    static struct ush_head h;
    size_t scanned = 0;
    ush_text t = USH_T("GET / HTTP/1.1\r\nB:\t b  c \t\r\nHost: a\r\na:\r\nB: \r\nA:x\r\n\r\n");
    ck_assert_int_eq(ush_head_parse(t, direct, &scanned, &h), (int)t.len);
    static const char *const want[][2] = {
        {"B", "b  c"}, {"Host", "a"}, {"a", ""}, {"B", ""}, {"A", "x"}};
    ck_assert_uint_eq(h.header_count, USH_COUNT(want));
    for (size_t i = 0; i < USH_COUNT(want); i++) {
        assert_text("name", i, h.headers[i].name, want[i][0]);
        assert_text("value", i, h.headers[i].value, want[i][1]);
    }
}
END_TEST

START_TEST(behind_a_proxy_names_with_underscores_are_dropped)
{
    static struct ush_head h;
    size_t scanned = 0;
    ush_text t = USH_T("GET / HTTP/1.1\r\n_: x\r\nContent_Length: 4\r\nHost: a\r\nX_Y_: z\r\n\r\n");
    ck_assert_int_eq(ush_head_parse(t, &ush_http_limits_proxied, &scanned, &h), (int)t.len);
    ck_assert_uint_eq(h.header_count, 1);
    assert_text("host", 0, h.host, "a");
    ck_assert_int_eq(h.content_length, -1);
    scanned = 0;
    ck_assert_int_eq(ush_head_parse(t, direct, &scanned, &h), -400);
    t = USH_T("GET / HTTP/1.1\r\nHost: a\r\nX_ Y: z\r\n\r\n");
    scanned = 0;
    ck_assert_int_eq(ush_head_parse(t, &ush_http_limits_proxied, &scanned, &h), -400);
}
END_TEST

/* A head whose request line has `line` bytes and whose field X has `field` bytes, `count` times;
 * a number of 0 leaves that part as short as it can be. */
static ush_text sized(size_t line, size_t field, size_t count)
{
    static char text[GUARD_BYTES];
    static char as[10000];
    memset(as, 'a', sizeof as);
    int fill = line > 14 ? (int)line - 14 : 0;
    int n = sprintf(text, "GET /%.*s HTTP/1.1\r\nHost: a\r\n", fill, as);
    for (size_t i = 0; i < count; i++)
        n += sprintf(text + n, "X: %.*s\r\n", field > 3 ? (int)field - 3 : 0, as);
    n += sprintf(text + n, "\r\n");
    return (ush_text){text, (size_t)n};
}

START_TEST(limits_hold_to_the_byte)
{
    static const struct {
        size_t line, field, count;
        int want; /* 1: accepted */
    } cases[] = {
        {8192, 0, 0, 1},  {8193, 0, 0, -414}, {0, 8192, 1, 1}, {0, 8193, 1, -431},    {0, 3, 63, 1},
        {0, 3, 64, -431}, {0, 3, 200, -431},  {0, 8000, 2, 1}, {8192, 8192, 1, -431},
    };
    static struct ush_head h;
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        ush_text t = sized(cases[i].line, cases[i].field, cases[i].count);
        size_t scanned = 0;
        int r = ush_head_parse(t, direct, &scanned, &h);
        int want = cases[i].want == 1 ? (int)t.len : cases[i].want;
        ck_assert_msg(r == want, "case %zu (%zu bytes): %d, not %d", i, t.len, r, want);
    }
}
END_TEST

START_TEST(a_head_may_fill_its_limit_exactly)
{
    static struct ush_head h;
    ush_text t = sized(0, 8000, 2);
    struct ush_http_limits exact = *direct;
    exact.head_bytes = (uint32_t)t.len;
    size_t scanned = 0;
    ck_assert_int_eq(ush_head_parse(t, &exact, &scanned, &h), (int)t.len);
    exact.head_bytes--;
    scanned = 0;
    ck_assert_int_eq(ush_head_parse(t, &exact, &scanned, &h), -431);
}
END_TEST

START_TEST(a_full_buffer_without_an_end_is_refused_at_once)
{
    /* A caller whose buffer has the size of the limit could not read on. */
    static struct ush_head h;
    ush_text t = sized(0, 8000, 3);
    size_t scanned = 0;
    t.len = direct->head_bytes - 1;
    ck_assert_int_eq(ush_head_parse(t, direct, &scanned, &h), 0);
    t.len = direct->head_bytes;
    ck_assert_int_eq(ush_head_parse(t, direct, &scanned, &h), -431);
}
END_TEST

START_TEST(a_full_hundred_of_fields_behind_a_proxy)
{
    static struct ush_head h;
    for (size_t n = 99; n <= 101; n++) {
        ush_text t = sized(0, 5, n);
        size_t scanned = 0;
        int r = ush_head_parse(t, &ush_http_limits_proxied, &scanned, &h);
        ck_assert_int_eq(r, n == 99 ? (int)t.len : -431);
    }
}
END_TEST

/* Every byte at every place of a small head: what is accepted has no control byte in its lines. */
START_TEST(any_single_byte_changed)
{
    static const char text[] =
        "POST /a?b HTTP/1.1\r\nHost: a\r\nX-Y: z\r\nContent-Length: 1\r\n\r\n";
    static struct ush_head h;
    char copy[sizeof text];
    for (size_t i = 0; i < sizeof text - 1; i++) {
        for (int c = 0; c < 256; c++) {
            memcpy(copy, text, sizeof text);
            copy[i] = (char)c;
            size_t scanned = 0;
            const char *base;
            int r = parse_guarded((ush_text){copy, sizeof text - 1}, &scanned, &h, &base);
            if ((c < 0x20 && c != '\t') || c == 0x7f)
                ck_assert_msg(r < 0 || text[i] == c, "byte %d at %zu: %d", c, i, r);
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("head");
    TCase *tc = tcase_create("head");
    tcase_add_test(tc, every_file_of_the_corpus_gets_the_verdict_in_its_name);
    tcase_add_test(tc, pieces_make_no_difference);
    tcase_add_test(tc, bytes_that_were_scanned_are_not_looked_at_again);
    tcase_add_loop_test(tc, reads_what_a_head_says, 0, (int)USH_COUNT(readings));
    tcase_add_test(tc, fields_keep_their_order_and_lose_their_padding);
    tcase_add_test(tc, behind_a_proxy_names_with_underscores_are_dropped);
    tcase_add_test(tc, limits_hold_to_the_byte);
    tcase_add_test(tc, a_head_may_fill_its_limit_exactly);
    tcase_add_test(tc, a_full_buffer_without_an_end_is_refused_at_once);
    tcase_add_test(tc, a_full_hundred_of_fields_behind_a_proxy);
    tcase_add_test(tc, any_single_byte_changed);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
