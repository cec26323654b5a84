/* Trusted networks, and who is behind a proxy. */
#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "http/parse.h"

static const char trusted_list[] = "127.0.0.0/8, 10.0.0.0/8 ::1 fd00::/8 unix";

static struct ush__networks networks(const char *list)
{
    struct ush__networks n;
    ush_text wrong;
    ck_assert_int_eq(ush__networks_parse(ush_text_of(list), &n, &wrong), 0);
    return n;
}

START_TEST(addresses)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"127.0.0.1", true},
        {"255.255.255.255", true},
        {"::", true},
        {"2001:db8::7", true},
        {"::ffff:192.0.2.7", true},
        {"", false},
        {"127.0.0", false},
        {"127.0.0.256", false},
        {"127.0.0.01", false},
        {"127.1", false},
        {"0x7f.0.0.1", false},
        {"127.0.0.1 ", false},
        {"localhost", false},
        {"[::1]", false},
        {"fe80::1%eth0", false},
        {":::", false},
        {"1:2:3:4:5:6:7:8:9", false},
        {"unknown", false},
        {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", false},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        struct ush__ip ip;
        int r = ush__ip_parse(ush_text_of(cases[i].text), &ip);
        ck_assert_msg(r == (cases[i].valid ? 0 : -EINVAL), "\"%s\": %d", cases[i].text, r);
    }
}
END_TEST

START_TEST(networks_hold_what_they_cover)
{
    static const struct {
        const char *list, *ip;
        bool has;
    } cases[] = {
        {"127.0.0.0/8", "127.255.0.1", true},
        {"127.0.0.0/8", "128.0.0.1", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.0/31", "192.0.2.1", true},
        {"192.0.2.0/31", "192.0.2.2", false},
        {"172.16.0.0/12", "172.31.255.255", true},
        {"172.16.0.0/12", "172.32.0.0", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::1", "::1", true},
        {"::1", "127.0.0.1", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8 192.0.2.0/24", "192.0.2.9", true},
        {"", "127.0.0.1", false},
        {"unix", "127.0.0.1", false},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        struct ush__networks n = networks(cases[i].list);
        struct ush__ip ip;
        ck_assert_int_eq(ush__ip_parse(ush_text_of(cases[i].ip), &ip), 0);
        ck_assert_msg(ush__networks_have(&n, &ip) == cases[i].has, "%s in %s", cases[i].ip,
                      cases[i].list);
    }
}
END_TEST

START_TEST(a_wrong_network_is_named)
{
    static const char *const cases[][2] = {
        {"127.0.0.1 nonsense ::1", "nonsense"},
        {"10.0.0.0/33", "10.0.0.0/33"},
        {"10.0.0.0/-1", "10.0.0.0/-1"},
        {"10.0.0.0/", "10.0.0.0/"},
        {"10.0.0.0/8/8", "10.0.0.0/8/8"},
        {"::/129", "::/129"},
        {"10.1.2.3/8", "10.1.2.3/8"},
        {"2001:db8::1/32", "2001:db8::1/32"},
        {"UNIX", "UNIX"},
        {"/8", "/8"},
    };
    for (size_t i = 0; i < USH_COUNT(cases); i++) {
        struct ush__networks n;
        ush_text wrong = USH_NONE;
        ck_assert_int_eq(ush__networks_parse(ush_text_of(cases[i][0]), &n, &wrong), -EINVAL);
        ck_assert_msg(ush_text_equal(wrong, ush_text_of(cases[i][1])), "%s: %.*s", cases[i][0],
                      USH_PR(wrong));
    }
    char many[USH__NETWORKS_MAX * 12 + 12] = "";
    for (int i = 0; i <= USH__NETWORKS_MAX; i++)
        strcat(many, "127.0.0.1 ");
    struct ush__networks n;
    ush_text wrong;
    ck_assert_int_eq(ush__networks_parse(ush_text_of(many), &n, &wrong), -EINVAL);
}
END_TEST

static struct ush_address peer_of(const char *ip)
{
    struct ush_address a = {.storage.ss_family = AF_UNIX, .len = sizeof(sa_family_t)};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a.storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a.storage;
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1)
        v4->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1)
        v6->sin6_family = AF_INET6;
    return a;
}

/* Who `fields` say is there, seen from `peer`: "client host scheme" or the refusal. */
static const struct {
    const char *peer, *fields, *want;
} origins[] = {
    {"192.0.2.1", "", "- a http"},
    {"192.0.2.1", "X-Forwarded-For: 8.8.8.8|X-Forwarded-Proto: https|X-Forwarded-Host: b",
     "- a http"},
    {"192.0.2.1", "X-Forwarded-Proto: nonsense", "- a http"},
    {"127.0.0.1", "", "- a http"},
    {"127.0.0.1", "X-Forwarded-For: 8.8.8.8", "8.8.8.8 a http"},
    {"unix", "x-forwarded-for: 8.8.8.8", "8.8.8.8 a http"},
    {"::1", "X-Forwarded-For: 8.8.8.8", "8.8.8.8 a http"},
    {"::ffff:127.0.0.1", "X-Forwarded-For: 8.8.8.8", "8.8.8.8 a http"},
    {"127.0.0.1", "X-Forwarded-For: 1.1.1.1, 8.8.8.8", "8.8.8.8 a http"},
    {"127.0.0.1", "X-Forwarded-For: 1.1.1.1, 8.8.8.8, 10.0.0.3", "8.8.8.8 a http"},
    {"127.0.0.1", "X-Forwarded-For: 1.1.1.1|X-Forwarded-For: 8.8.8.8,10.0.0.3", "8.8.8.8 a http"},
    {"127.0.0.1", "X-Forwarded-For: 8.8.8.8|X-Forwarded-For: 10.0.0.3", "8.8.8.8 a http"},
    {"127.0.0.1", "X-Forwarded-For: 10.0.0.2, 10.0.0.3", "10.0.0.2 a http"},
    {"127.0.0.1", "X-Forwarded-For: 8.8.8.8:1234", "8.8.8.8 a http"},
    {"127.0.0.1", "X-Forwarded-For: 2001:db8::7", "2001:db8::7 a http"},
    {"127.0.0.1", "X-Forwarded-For: [2001:db8::7]:99", "2001:db8::7 a http"},
    {"127.0.0.1", "X-Forwarded-For: [2001:db8::7]", "2001:db8::7 a http"},
    {"127.0.0.1", "X-Forwarded-For: unknown", "- a http"},
    {"127.0.0.1", "X-Forwarded-For: 8.8.8.8, unknown", "- a http"},
    {"127.0.0.1", "X-Forwarded-For: unknown, 10.0.0.3", "10.0.0.3 a http"},
    {"127.0.0.1", "X-Forwarded-For: 8.8.8.8,", "- a http"},
    {"127.0.0.1", "X-Forwarded-For:", "- a http"},
    {"127.0.0.1", "Forwarded: for=8.8.8.8;proto=https;host=b", "- a http"},
    {"127.0.0.1", "X-Forwarded-Proto: https", "- a https"},
    {"127.0.0.1", "X-Forwarded-Proto: HTTPS", "- a https"},
    {"127.0.0.1", "X-Forwarded-Proto: http", "- a http"},
    {"127.0.0.1", "X-Forwarded-Proto: https, https", "- a https"},
    {"127.0.0.1", "X-Forwarded-Proto: https, http", "400"},
    {"127.0.0.1", "X-Forwarded-Proto: https|X-Forwarded-Proto: http", "400"},
    {"127.0.0.1", "X-Forwarded-Proto: wss", "400"},
    {"127.0.0.1", "X-Forwarded-Host: fest.example.org:8443", "- fest.example.org:8443 http"},
    {"127.0.0.1", "X-Forwarded-Host: b, B", "- B http"},
    {"127.0.0.1", "X-Forwarded-Host: b, c", "400"},
    {"127.0.0.1", "X-Forwarded-Host: b/c", "400"},
    {"127.0.0.1", "X-Forwarded-Host: u@b", "400"},
};

START_TEST(the_rightmost_hop_that_is_not_trusted_is_the_client)
{
    char text[512];
    int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n%s%s", origins[_i].fields,
                     origins[_i].fields[0] ? "\r\n\r\n" : "\r\n");
    for (char *bar; (bar = strchr(text, '|'));) {
        memmove(bar + 2, bar + 1, strlen(bar));
        memcpy(bar, "\r\n", 2);
        n++;
    }
    static struct ush_head head;
    size_t scanned = 0;
    ck_assert_int_eq(
        ush_head_parse((ush_text){text, (size_t)n}, &ush_http_limits_proxied, &scanned, &head), n);
    struct ush__networks trusted = networks(trusted_list);
    struct ush_address peer = peer_of(origins[_i].peer);
    struct ush__origin o;
    int r = ush__origin_of(&head, &trusted, &peer, &o);
    char have[256];
    if (r < 0)
        snprintf(have, sizeof have, "%d", -r);
    else
        snprintf(have, sizeof have, "%.*s %.*s %s", USH_PR(o.client.at ? o.client : USH_T("-")),
                 USH_PR(o.host), o.is_https ? "https" : "http");
    ck_assert_msg(strcmp(have, origins[_i].want) == 0, "%s from %s: %s, not %s", origins[_i].fields,
                  origins[_i].peer, have, origins[_i].want);
}
END_TEST

START_TEST(nobody_is_trusted_by_default)
{
    struct ush__networks none = networks("");
    static struct ush_head head;
    ush_text t = USH_T("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 8.8.8.8\r\n\r\n");
    size_t scanned = 0;
    ck_assert_int_eq(ush_head_parse(t, &ush_http_limits_direct, &scanned, &head), (int)t.len);
    static const char *const peers[] = {"127.0.0.1", "::1", "unix"};
    for (size_t i = 0; i < USH_COUNT(peers); i++) {
        struct ush_address peer = peer_of(peers[i]);
        struct ush__origin o;
        ck_assert_int_eq(ush__origin_of(&head, &none, &peer, &o), 0);
        ck_assert_ptr_null(o.client.at);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("origin");
    TCase *tc = tcase_create("origin");
    tcase_add_test(tc, addresses);
    tcase_add_test(tc, networks_hold_what_they_cover);
    tcase_add_test(tc, a_wrong_network_is_named);
    tcase_add_loop_test(tc, the_rightmost_hop_that_is_not_trusted_is_the_client, 0,
                        (int)USH_COUNT(origins));
    tcase_add_test(tc, nobody_is_trusted_by_default);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
