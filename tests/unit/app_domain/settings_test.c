/*
 * settings_test.c - what no single key shows: limits, links and mail targets that must make sense.
 */
#include <check.h>
#include <stdlib.h>

#include "domain/settings.h"

static struct settings defaults(void)
{
    struct settings s = {0};
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    ck_assert_int_eq(
        ush_settings_load(settings_table, settings_count, SETTINGS_PREFIX, NULL, &s, &problem), 0);
    ush_buf_fini(&problem);
    return s;
}

START_TEST(defaults_work)
{
    struct settings s = defaults();
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    ck_assert_int_eq(settings_check(&s, &problem), 0);
    ck_assert_str_eq(s.base_url, "http://127.0.0.1:8080");
    ck_assert_str_eq(settings_outbox(&s), "outbox");
    ck_assert_int_ge(s.workers, 1);
    ush_buf_fini(&problem);
}
END_TEST

static const struct check_case {
    const char *key, *value, *base_url; /* base_url NULL = refused */
} cases[] = {
    {"listen", "0.0.0.0:80", "http://localhost:80"},
    {"listen", ":8080", "http://localhost:8080"},
    {"listen", "unix:/run/usher.sock", "http://localhost"},
    {"base-url", "https://fest.example.edu/", "https://fest.example.edu"},
    {"base-url", "fest.example.edu", NULL},
    {"mail-url", "smtp://host:25", "http://127.0.0.1:8080"},
    {"mail-url", "file:", NULL},
    {"mail-url", "https://host/path", "http://127.0.0.1:8080"},
    {"mail-url", "ftp://host", NULL},
    {"mail-url", "smtp://me@x.in@[::1]:587?tls=starttls", "http://127.0.0.1:8080"},
    {"mail-url", "smtp://me:hush@host:25", NULL}, /* it is shown at the start */
    {"mail-url", "smtp://me:hush", NULL},
    {"mail-url", "https://me:hush@host/path", NULL},
    {"mail-from", "fest@school.example", "http://127.0.0.1:8080"},
    {"mail-from", "Fest <fest@school.example>", NULL},
    {"mail-reply-to", "fest@school.example\r\nBcc: x@y.example", NULL},
    {"name", "Fest\nBcc: x@y.example", NULL},
    {"contact", "Robotics Club <club@school.example>", "http://127.0.0.1:8080"},
    {"limit-email", "off", "http://127.0.0.1:8080"},
    {"limit-email", "5", NULL},
    {"limit-addr", "0/60", NULL},
    {"limit-browser", "5/60/2", NULL},
};

START_TEST(keys_are_checked_together)
{
    const struct check_case *c = &cases[_i];
    struct settings s = defaults();
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    ck_assert_int_eq(ush_settings_set(settings_table, settings_count, ush_text_of(c->key),
                                      ush_text_of(c->value), &s, &problem),
                     0);
    ck_assert_int_eq(settings_check(&s, &problem), c->base_url ? 0 : -EINVAL);
    if (c->base_url)
        ck_assert_str_eq(s.base_url, c->base_url);
    else
        ck_assert(problem.len > 0 && !strstr(problem.at, "hush"));
    ush_buf_fini(&problem);
}
END_TEST

START_TEST(a_typo_names_the_nearest_key)
{
    struct settings s = {0};
    struct ush_buf problem;
    ush_buf_init(&problem, 1024);
    setenv("USHER_LISTNE", "127.0.0.1:1", 1);
    ck_assert_int_eq(
        ush_settings_load(settings_table, settings_count, SETTINGS_PREFIX, NULL, &s, &problem),
        -EINVAL);
    ck_assert_ptr_nonnull(strstr(problem.at, "USHER_LISTEN"));
    ush_buf_fini(&problem);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *t = tcase_create("check");
    suite_add_tcase(suite, t);
    tcase_add_test(t, defaults_work);
    tcase_add_loop_test(t, keys_are_checked_together, 0, (int)USH_COUNT(cases));
    tcase_add_test(t, a_typo_names_the_nearest_key);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
