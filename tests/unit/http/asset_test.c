/*
 * asset_test.c - embedded files: entity tags, conditional GET, compression, caching, slow readers.
 */
#include "site.h"

static char big[3 << 20];
static struct ush_asset assets[] = {
    {"/site.abc123.css", "text/css", "\"abc123\"", {"plain css", 9}, {"GZ", 2}, true},
    {"/icon.svg", "image/svg+xml", "\"i1\"", {"<svg/>", 6}, {NULL, 0}, false},
    {"/big", "application/octet-stream", "\"b\"", {big, sizeof(big)}, {NULL, 0}, false},
};

static const struct ush_route routes[] = {
    {"GET", "/site.abc123.css", .doc = "C.", .asset = &assets[0]},
    {"GET", "/icon.svg", .doc = "I.", .asset = &assets[1]},
    {"GET", "/big", .doc = "B.", .asset = &assets[2]},
};

static const struct {
    const char *method, *path, *fields;
    int status;
    const char *body, *tag, *coding, *cache;
} cases[] = {
    {"GET", "/site.abc123.css", "", 200, "plain css", "\"abc123\"", NULL,
     "public, max-age=31536000, immutable"},
    {"GET", "/site.abc123.css", "Accept-Encoding: br, gzip\r\n", 200, "GZ", "\"abc123-gz\"", "gzip",
     "public, max-age=31536000, immutable"},
    {"GET", "/site.abc123.css", "Accept-Encoding: gzip;q=0\r\n", 200, "plain css", "\"abc123\"",
     NULL, NULL},
    {"HEAD", "/site.abc123.css", "", 200, "", "\"abc123\"", NULL, NULL},
    {"GET", "/site.abc123.css", "If-None-Match: \"abc123\"\r\n", 304, "", "\"abc123\"", NULL, NULL},
    {"GET", "/site.abc123.css", "If-None-Match: \"x\", W/\"abc123-gz\"\r\n", 304, "", "\"abc123\"",
     NULL, NULL},
    {"GET", "/site.abc123.css", "If-None-Match: *\r\n", 304, "", "\"abc123\"", NULL, NULL},
    {"GET", "/site.abc123.css", "If-None-Match: \"other\"\r\n", 200, "plain css", "\"abc123\"",
     NULL, NULL},
    {"GET", "/icon.svg", "Accept-Encoding: gzip\r\n", 200, "<svg/>", "\"i1\"", NULL, "no-cache"},
};

BOTH_TEST(asset_is_served)
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), NULL);
    int c = site_connect(&s);
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        char request[256];
        snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: x\r\n%s\r\n", cases[i].method,
                 cases[i].path, cases[i].fields);
        say(c, request);
        struct heard *h = cases[i].method[0] == 'H' ? hear_head(c) : hear(c);
        ck_assert_msg(h->status == cases[i].status, "case %zu: %d", i, h->status);
        ck_assert_str_eq(h->body, cases[i].body);
        ck_assert_pstr_eq(heard_field(h, "ETag"), cases[i].tag);
        ck_assert_pstr_eq(heard_field(h, "Content-Encoding"),
                          h->status == 304 ? NULL : cases[i].coding);
        if (cases[i].cache)
            ck_assert_pstr_eq(heard_field(h, "Cache-Control"), cases[i].cache);
        if (i < 4)
            ck_assert_pstr_eq(heard_field(h, "Vary"), "Accept-Encoding");
    }
    ush_close(c);
    return site_close(&s);
}

/* Three megabytes to a reader that takes its time; then the connection goes on. */
BOTH_TEST(big_asset_needs_no_task)
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes), NULL);
    for (size_t i = 0; i < sizeof(big); i++)
        big[i] = (char)('a' + i % 23);
    int c = site_connect(&s);
    uint32_t tasks = ush_loop_stats().tasks, peak = ush_loop_stats().tasks_peak;
    say(c, GET("/big") GET("/icon.svg"));
    char line[256];
    do
        ck_assert(hear_line(c, line, sizeof(line)));
    while (*line);
    static char part[100000];
    for (size_t got = 0; got < sizeof(big);) {
        size_t left = sizeof(big) - got;
        ssize_t n = ush_recv(c, part, left < sizeof(part) ? left : sizeof(part));
        ck_assert_int_gt(n, 0);
        for (ssize_t k = 0; k < n; k++)
            if (part[k] != (char)('a' + (got + (size_t)k) % 23))
                ck_abort_msg("byte %zu is wrong", got + (size_t)k);
        got += (size_t)n;
        ush_yield();
    }
    ck_assert_str_eq(hear(c)->body, "<svg/>");
    ck_assert_uint_eq(ush_loop_stats().tasks, tasks);
    ck_assert_uint_eq(ush_loop_stats().tasks_peak, peak);
    ush_close(c);
    return site_close(&s);
}

int main(void)
{
    Suite *s = suite_create("asset");
    TCase *tc = tcase_create("asset");
    both_add(tc, asset_is_served);
    both_add(tc, big_asset_needs_no_task);
    suite_add_tcase(s, tc);
    return both_main(s);
}
