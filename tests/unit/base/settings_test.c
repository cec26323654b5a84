/*
 * settings_test.c - where a setting may come from, who wins, and what each mistake is answered.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "usher/base.h"

struct settings {
    const char *listen, *mail_url, *password;
    int64_t workers, max_body;
    bool metrics;
    int sync;
};

#define AT(field) .offset = offsetof(struct settings, field)
static const struct ush_setting table[] = {
    {"LISTEN", USH_SET_TEXT, AT(listen), "127.0.0.1:8080", .doc = "address", .at_start = true},
    {"MAIL_URL", USH_SET_TEXT, AT(mail_url), .doc = "where mail goes"},
    {"SMTP_PASSWORD", USH_SET_TEXT, AT(password), .doc = "its password", .secret = true},
    {"WORKERS", USH_SET_INT, AT(workers), "4", .min = 1, .max = 64, .doc = "worker processes"},
    {"MAX_BODY", USH_SET_BYTES, AT(max_body), "32K", .doc = "largest request body"},
    {"METRICS", USH_SET_BOOL, AT(metrics), .doc = "serve /metrics"},
    {"SQLITE_SYNC", USH_SET_CHOICE, AT(sync), "full", .choices = "normal|full",
     .doc = "durability"},
};
enum { N = USH_COUNT(table) };

static struct settings s;
static struct ush_buf problem;
static char folder[] = "/tmp/settings-XXXXXX";
static char path[64], secret_path[64];

static void setup(void)
{
    clearenv();
    memset(&s, 0xa5, sizeof s);
    ush_buf_init(&problem, 4096);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/settings", folder);
    snprintf(secret_path, sizeof secret_path, "%s/secret", folder);
}

static void teardown(void)
{
    unlink(path);
    unlink(secret_path);
    rmdir(folder);
    ush_buf_fini(&problem);
}

static void write_file(const char *to, const char *text)
{
    FILE *f = fopen(to, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static int load(const char *file)
{
    return ush_settings_load(table, N, "USHER", file, &s, &problem);
}

START_TEST(defaults)
{
    ck_assert_int_eq(load(NULL), 0);
    ck_assert_str_eq(s.listen, "127.0.0.1:8080");
    ck_assert_str_eq(s.mail_url, "");
    ck_assert_str_eq(s.password, "");
    ck_assert_int_eq(s.workers, 4);
    ck_assert_int_eq(s.max_body, 32 << 10);
    ck_assert(!s.metrics);
    ck_assert_int_eq(s.sync, 1);
    ck_assert_uint_eq(problem.len, 0);
}
END_TEST

START_TEST(the_later_source_wins)
{
    write_file(path, "USHER_LISTEN=file\nUSHER_WORKERS=2\nUSHER_MAIL_URL=file:mails\n");
    setenv("USHER_LISTEN", "environment", 1);
    setenv("USHER_WORKERS", "3", 1);
    ck_assert_int_eq(load(path), 0);
    ck_assert_int_eq(ush_settings_set(table, N, USH_T("listen"), USH_T("option"), &s, &problem), 0);
    ck_assert_str_eq(s.listen, "option");
    ck_assert_int_eq(s.workers, 3);
    ck_assert_str_eq(s.mail_url, "file:mails");
}
END_TEST

static const struct {
    const char *file, *mail_url;
} lines[] = {
    {"USHER_MAIL_URL=plain", "plain"},
    {"USHER_MAIL_URL=plain # not a comment\n", "plain # not a comment"},
    {"\n# comment\n; comment\n  USHER_MAIL_URL = spaced \t\r\n", "spaced"},
    {"USHER_MAIL_URL=\"in quotes \"\n", "in quotes "},
    {"USHER_MAIL_URL='single \\ quotes'\n", "single \\ quotes"},
    {"USHER_MAIL_URL=a\\\nb\n", "ab"},
    {"USHER_MAIL_URL=\"two\nlines\"\nUSHER_WORKERS=2", "two\nlines"},
    {"USHER_MAIL_URL=\"a \\\"b\\\" \\\\\"\n", "a \"b\" \\"},
    {"USHER_MAIL_URL=smtp://u@h:587?tls=starttls\n", "smtp://u@h:587?tls=starttls"},
    {"USHER_MAIL_URL=\n", ""},
    {"USHER_MAIL_URL=''", ""},
    {"USHER_MAIL_URL=first\nUSHER_MAIL_URL=second\n", "second"},
    {"PGPASSWORD=left alone\nUSHER_MAIL_URL=x\n", "x"},
    {"USHER_MAIL_URL=x\\", "x\\"},
    {"", ""},
};

START_TEST(lines_of_the_file)
{
    write_file(path, lines[_i].file);
    ck_assert_msg(load(path) == 0, "%s", ush_buf_text(&problem).at);
    ck_assert_str_eq(s.mail_url, lines[_i].mail_url);
}
END_TEST

static const struct {
    const char *name, *value, *problem; /* an environment variable and the answer */
} mistakes[] = {
    {"USHER_WORKERS", "0", "USHER_WORKERS=0: must be a whole number, from 1 to 64"},
    {"USHER_WORKERS", "65", "USHER_WORKERS=65: must be a whole number, from 1 to 64"},
    {"USHER_WORKERS", "four", "USHER_WORKERS=four: must be a whole number, from 1 to 64"},
    {"USHER_WORKERS", "", "USHER_WORKERS=: must be a whole number, from 1 to 64"},
    {"USHER_WORKERS", "4K", "USHER_WORKERS=4K: must be a whole number, from 1 to 64"},
    {"USHER_MAX_BODY", "-1", "USHER_MAX_BODY=-1: must be a size such as 512K or 5M"},
    {"USHER_MAX_BODY", "5X", "USHER_MAX_BODY=5X: must be a size such as 512K or 5M"},
    {"USHER_MAX_BODY", "K", "USHER_MAX_BODY=K: must be a size such as 512K or 5M"},
    {"USHER_MAX_BODY", "9999999999G",
     "USHER_MAX_BODY=9999999999G: must be a size such as 512K or 5M"},
    {"USHER_METRICS", "perhaps", "USHER_METRICS=perhaps: must be yes or no"},
    {"USHER_SQLITE_SYNC", "off", "USHER_SQLITE_SYNC=off: must be one of normal|full"},
    {"USHER_SQLITE_SYNC", "normal|full",
     "USHER_SQLITE_SYNC=normal|full: must be one of normal|full"},
    {"USHER_WORKER", "4", "USHER_WORKER: there is no such setting; did you mean USHER_WORKERS?"},
    {"USHER_MIAL_URL", "x",
     "USHER_MIAL_URL: there is no such setting; did you mean USHER_MAIL_URL?"},
    {"USHER_XYZZY", "x", "USHER_XYZZY: there is no such setting"},
    {"USHER_LISTEN_FILE", "x", "USHER_LISTEN_FILE: there is no such setting"},
    {"USHER_", "x", "USHER_: there is no such setting"},
    {"USHER_SMTP_PASSWORD_FILE", "/nonexistent",
     "USHER_SMTP_PASSWORD_FILE: cannot read /nonexistent: No such file or directory"},
};

START_TEST(mistakes_in_the_environment)
{
    setenv(mistakes[_i].name, mistakes[_i].value, 1);
    ck_assert_int_eq(load(NULL), -EINVAL);
    ck_assert_str_eq(ush_buf_text(&problem).at, mistakes[_i].problem);
}
END_TEST

static const struct {
    const char *file, *problem; /* behind the file's name */
} file_mistakes[] = {
    {"\n\nUSHER_WORKERS=x\n", " line 3: USHER_WORKERS=x: must be a whole number, from 1 to 64"},
    {"USHER_LISTEN='a\nb'\nUSHER_LITSEN=x",
     " line 3: USHER_LITSEN: there is no such setting; did you mean USHER_LISTEN?"},
    {"WORKERS=4\n", " line 1: WORKERS: did you mean USHER_WORKERS?"},
    {"# fine\nexport USHER_WORKERS\n", " line 2: neither KEY=value nor a comment"},
    {"USHER_LISTEN=it's\n",
     " line 1: the quote is not closed; a value with ' in it stands in double quotes"},
    {"USHER_SMTP_PASSWORD=a\nUSHER_SMTP_PASSWORD=b\n",
     " line 2: USHER_SMTP_PASSWORD: given twice, or both as itself and as _FILE"},
};

START_TEST(mistakes_in_the_file)
{
    char expect[300];
    write_file(path, file_mistakes[_i].file);
    snprintf(expect, sizeof expect, "%s%s", path, file_mistakes[_i].problem);
    ck_assert_int_eq(load(path), -EINVAL);
    ck_assert_str_eq(ush_buf_text(&problem).at, expect);
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
    ck_assert_int_eq(load("/nonexistent"), -EINVAL);
    ck_assert_str_eq(problem.at,
                     "cannot read the settings in /nonexistent: No such file or directory");
    ush_buf_reset(&problem);
    FILE *f = fopen(path, "w");
    for (int i = 0; i < 7000; i++)
        fputs("# comment\n", f);
    fclose(f);
    ck_assert_int_eq(load(path), -EINVAL);
    ck_assert_ptr_nonnull(strstr(problem.at, "File too large"));
    ush_buf_reset(&problem);
    f = fopen(path, "w");
    fwrite("USHER_LISTEN=a\0b\n", 1, 17, f);
    fclose(f);
    ck_assert_int_eq(load(path), -EINVAL);
}
END_TEST

START_TEST(secrets_come_from_files_and_stay_secret)
{
    write_file(secret_path, "open sesame\r\n");
    setenv("USHER_SMTP_PASSWORD_FILE", secret_path, 1);
    ck_assert_int_eq(load(NULL), 0);
    ck_assert_str_eq(s.password, "open sesame");
    setenv("USHER_SMTP_PASSWORD", "open sesame", 1);
    ck_assert_int_eq(load(NULL), -EINVAL);
    ck_assert_ptr_nonnull(strstr(problem.at, "given twice"));
    ck_assert_ptr_null(strstr(problem.at, "sesame"));
    /* The environment overrides the file, in either spelling. */
    unsetenv("USHER_SMTP_PASSWORD_FILE");
    ush_buf_reset(&problem);
    write_file(path, "USHER_SMTP_PASSWORD_FILE=/dev/null\n");
    ck_assert_int_eq(load(path), 0);
    ck_assert_str_eq(s.password, "open sesame");
}
END_TEST

static const struct {
    const char *key, *value;
    int result;
    const char *problem;
} options[] = {
    {"max-body", "5M", 0, ""},
    {"max_body", "5m", 0, ""},
    {"MAX-BODY", "5242880", 0, ""},
    {"max-body", "much", -EINVAL, "--max-body=much: must be a size such as 512K or 5M"},
    {"max-bdoy", "5M", USH_ENOTFOUND,
     "--max-bdoy: there is no such option; did you mean --max-body?"},
    {"smtp-password", "a\n", 0, ""},
    {"zzz", "1", USH_ENOTFOUND, "--zzz: there is no such option"},
};

START_TEST(settings_from_options)
{
    ck_assert_int_eq(load(NULL), 0);
    ck_assert_int_eq(ush_settings_set(table, N, ush_text_of(options[_i].key),
                                      ush_text_of(options[_i].value), &s, &problem),
                     options[_i].result);
    ck_assert_str_eq(ush_buf_text(&problem).at, options[_i].problem);
    if (options[_i].key[0] != 's' && options[_i].result == 0)
        ck_assert_int_eq(s.max_body, 5 << 20);
}
END_TEST

START_TEST(spellings_of_yes_and_no)
{
    static const char *const yes[] = {"1", "yes", "on", "true", "TRUE"}, *const no[] = {
                                                                             "0", "no", "off",
                                                                             "false", "Off"};
    ck_assert_int_eq(load(NULL), 0);
    for (size_t i = 0; i < USH_COUNT(yes); i++) {
        ck_assert_int_eq(
            ush_settings_set(table, N, USH_T("metrics"), ush_text_of(yes[i]), &s, &problem), 0);
        ck_assert(s.metrics);
        ck_assert_int_eq(
            ush_settings_set(table, N, USH_T("metrics"), ush_text_of(no[i]), &s, &problem), 0);
        ck_assert(!s.metrics);
    }
}
END_TEST

START_TEST(a_reload_that_needs_a_restart_is_noticed)
{
    struct settings loaded;
    ck_assert_int_eq(load(NULL), 0);
    setenv("USHER_WORKERS", "9", 1);
    ck_assert_int_eq(ush_settings_load(table, N, "USHER", NULL, &loaded, &problem), 0);
    ck_assert_ptr_null(ush_settings_needs_restart(table, N, &s, &loaded));
    setenv("USHER_LISTEN", "[::1]:80", 1);
    ck_assert_int_eq(ush_settings_load(table, N, "USHER", NULL, &loaded, &problem), 0);
    ck_assert_str_eq(ush_settings_needs_restart(table, N, &s, &loaded), "LISTEN");
}
END_TEST

START_TEST(help_names_everything)
{
    struct ush_buf help;
    ush_buf_init(&help, 8192);
    ush_settings_help(table, N, "USHER", &help);
    ck_assert_ptr_nonnull(strstr(help.at,
                                 "  --listen=TEXT\n      address\n      USHER_LISTEN, default "
                                 "127.0.0.1:8080, read at start only\n"));
    ck_assert_ptr_nonnull(strstr(help.at, "USHER_SMTP_PASSWORD[_FILE]\n"));
    ck_assert_ptr_nonnull(strstr(help.at, "--sqlite-sync=normal|full\n"));
    ush_buf_fini(&help);
}
END_TEST

START_TEST(nearest_words)
{
    static const char *const words[] = {"serve", "migrate", "event", "mail", NULL};
    ck_assert_str_eq(ush_nearest(USH_T("sevre"), words), "serve");
    ck_assert_str_eq(ush_nearest(USH_T("events"), words), "event");
    ck_assert_str_eq(ush_nearest(USH_T("MAIL"), words), "mail");
    ck_assert_ptr_null(ush_nearest(USH_T("banana"), words));
    ck_assert_ptr_null(ush_nearest(USH_NONE, words));
    char longest[500];
    memset(longest, 'x', sizeof longest);
    ck_assert_ptr_null(ush_nearest((ush_text){longest, sizeof longest}, words));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *c = tcase_create("settings");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, defaults);
    tcase_add_test(c, the_later_source_wins);
    tcase_add_loop_test(c, lines_of_the_file, 0, USH_COUNT(lines));
    tcase_add_loop_test(c, mistakes_in_the_environment, 0, USH_COUNT(mistakes));
    tcase_add_loop_test(c, mistakes_in_the_file, 0, USH_COUNT(file_mistakes));
    tcase_add_test(c, files_that_cannot_be_read);
    tcase_add_test(c, secrets_come_from_files_and_stay_secret);
    tcase_add_loop_test(c, settings_from_options, 0, USH_COUNT(options));
    tcase_add_test(c, spellings_of_yes_and_no);
    tcase_add_test(c, a_reload_that_needs_a_restart_is_noticed);
    tcase_add_test(c, help_names_everything);
    tcase_add_test(c, nearest_words);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
