/*
 * url_test.c - addresses of Redis servers: what is taken, what is refused.
 */
#include <check.h>

#include "redis/redis.h"

static const struct {
    const char *url;
    struct ush__redis_url want;
} good[] = {
    {"redis://localhost", {.host = "localhost", .port = 6379}},
    {"redis://localhost/", {.host = "localhost", .port = 6379}},
    {"redis://10.0.0.1:7000/3", {.host = "10.0.0.1", .port = 7000, .db = "3"}},
    {"redis://h/0", {.host = "h", .port = 6379}},
    {"redis://:pass@h", {.host = "h", .port = 6379, .password = "pass"}},
    {"redis://jobs:p%40s%2Fs@h:1/2",
     {.host = "h", .port = 1, .user = "jobs", .password = "p@s/s", .db = "2"}},
    {"redis://:a@b@h", {.host = "h", .port = 6379, .password = "a@b"}},
    {"redis://:a:b@h", {.host = "h", .port = 6379, .password = "a:b"}},
    {"redis://[::1]:9", {.host = "::1", .port = 9}},
    {"redis://[::1]/4", {.host = "::1", .port = 6379, .db = "4"}},
    {"unix:/run/redis.sock", {.path = "/run/redis.sock"}},
    {"unix:///run/redis.sock", {.path = "/run/redis.sock"}},
    {"unix:///run/a%20b?db=7", {.path = "/run/a b", .db = "7"}},
    {"unix://:secret@/run/r@1", {.path = "/run/r@1", .password = "secret"}},
};

static const char *const bad[] = {
    "",
    "redis:",
    "redis://",
    "redis:///1",
    "rediss://h",
    "http://h",
    "localhost:6379",
    "redis://h:",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:1x",
    "redis://h/x",
    "redis://h/-1",
    "redis://h/10000",
    "redis://pass@h",
    "redis://user:@h",
    "redis://:%4@h",
    "redis://:%zz@h",
    "redis://:a%00b@h",
    "redis://[::1",
    "redis://[::1]x",
    "unix:",
    "unix:run/redis",
    "unix://host",
    "unix:///r?db=",
    "unix:///r?timeout=5",
};

START_TEST(takes_what_others_take)
{
    struct ush__redis_url u;
    ck_assert_int_eq(ush__redis_url_parse(ush_text_of(good[_i].url), &u), 0);
    ck_assert_str_eq(u.host, good[_i].want.host);
    ck_assert_str_eq(u.path, good[_i].want.path);
    ck_assert_str_eq(u.user, good[_i].want.user);
    ck_assert_str_eq(u.password, good[_i].want.password);
    ck_assert_str_eq(u.db, good[_i].want.db);
    ck_assert_int_eq(u.port, good[_i].want.port);
}
END_TEST

START_TEST(refuses_the_rest)
{
    struct ush__redis_url u;
    ck_assert_msg(ush__redis_url_parse(ush_text_of(bad[_i]), &u) == -EINVAL, "%s", bad[_i]);
}
END_TEST

START_TEST(cuts_nothing_silently)
{
    char url[600];
    struct ush__redis_url u;
    memset(url, 'x', sizeof url);
    memcpy(url, "redis://", 8);
    ck_assert_int_eq(ush__redis_url_parse((ush_text){url, 8 + 255}, &u), 0);
    ck_assert_int_eq(ush__redis_url_parse((ush_text){url, 8 + 256}, &u), -EINVAL);
    memset(url, 'x', sizeof url);
    memcpy(url, "unix:/", 6);
    ck_assert_int_eq(ush__redis_url_parse((ush_text){url, 5 + 107}, &u), 0);
    ck_assert_int_eq(ush__redis_url_parse((ush_text){url, 5 + 108}, &u), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis url");
    TCase *t = tcase_create("url");
    tcase_add_loop_test(t, takes_what_others_take, 0, USH_COUNT(good));
    tcase_add_loop_test(t, refuses_the_rest, 0, USH_COUNT(bad));
    tcase_add_test(t, cuts_nothing_silently);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
