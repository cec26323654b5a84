/*
 * url_test.c - what a database's URL selects, how much of it may be shown, and which can never be
 * one.
 */
#include <check.h>
#include <stdlib.h>

#include "sql/sql.h"

static const struct name_case {
    const char *url, *name;
} names[] = {
    {"sqlite:usher.db", "sqlite:usher.db"},
    {"sqlite:/srv/a b=c@d/usher.db", "sqlite:/srv/a b=c@d/usher.db"},
    {"sqlite::memory:", "sqlite::memory:"},
    {"postgresql://db/fest", "postgresql://db/fest"},
    {"postgresql:///fest?host=/run/postgresql&password=hush", "postgresql:///fest"},
    {"postgresql://usher:hush@db:5432/fest?connect_timeout=2", "postgresql://usher@db:5432/fest"},
    {"postgres://usher:hush@a,b:5433/fest", "postgres://usher@a,b:5433/fest"},
    {"postgresql://usher@db/fest", "postgresql://usher@db/fest"},
    {"postgresql://:hush@db/fest", "postgresql://@db/fest"},
    /* Passwords that nobody escaped. */
    {"postgresql://usher:hu@sh@db/fest", "postgresql://usher@db/fest"},
    {"postgresql://usher:hu/sh@db/fest", "postgresql://usher@db/fest"},
    {"postgresql://usher:hu?sh@db/fest", "postgresql://usher@db/fest"},
    {"postgresql://usher:hu/sh?hush@db/fest", "postgresql://usher@db/fest"},
    /* What we do not know may hold one all the same. */
    {"mysql://usher:hush@db/fest", "mysql://usher@db/fest"},
    {"password=hush host=db", "password"},
    {"usher:hush@db", "usher"},
    {"postgresql:usher:hush@db", "postgresql"},
    /* A password without a host behind it stands where a port would. */
    {"postgresql://usher:hush/fest", "postgresql://usher"},
    {"postgresql://usher:hush", "postgresql://usher"},
    {"postgresql://usher:54hush/fest", "postgresql://usher"},
    {"postgresql://usher:543210/fest", "postgresql://usher"},
    {"postgresql://usher:hu?sh/fest", "postgresql://usher"},
    {"postgresql://a:5432,usher:hush/fest", "postgresql://a:5432,usher"},
    {"postgresql://[::1:hush/fest", "postgresql://["},
    {"postgresql://usher@db:hush/fest", "postgresql://usher@db"},
    {"postgresql://usher:hush@db:hush/fest", "postgresql://usher@db"},
    {"postgresql://a,b:5433,[::1]:5434/fest?user=u", "postgresql://a,b:5433,[::1]:5434/fest"},
    {"postgresql:///fest?host=/run,@abstract&port=1,2", "postgresql:///fest"},
};

START_TEST(a_name_shows_no_password)
{
    char name[64];
    ush_database_name(names[_i].url, name, sizeof name);
    ck_assert_str_eq(name, names[_i].name);
}
END_TEST

START_TEST(a_name_is_cut_to_its_room)
{
    char name[16];
    ush_database_name("postgresql://usher:hush@db/fest", name, sizeof name);
    ck_assert_str_eq(name, "postgresql://us");
}
END_TEST

static const struct scheme_case {
    const char *url;
    const struct ush__driver *driver;
} schemes[] = {
    {"sqlite:usher.db", &ush__sqlite},
    {"postgresql://db/fest", &ush__postgres},
    {"postgres://db/fest", &ush__postgres},
    {"sqlite:", NULL},
    {"postgres", NULL},
    {"mysql://db/fest", NULL},
    {"", NULL},
};

START_TEST(a_scheme_selects_the_driver)
{
    ck_assert_ptr_eq(ush__driver_of(schemes[_i].url), schemes[_i].driver);
}
END_TEST

/* `words` are in what is said; NULL where there is nothing to say before a server is asked. */
static const struct judged_case {
    const char *url, *words;
} judged[] = {
    {"postgresql://", NULL},
    {"postgresql://db/fest", NULL},
    {"postgresql://usher:hu%40sh@db.invalid:5433/fest?sslmode=require", NULL},
    {"postgresql://a,b:5433,[::1]/fest?unnamed=1", NULL},
    {"postgresql:///fest?host=/run/postgresql,@abstract&port=1,2", NULL},
    {"postgresql://db?hostaddr=10.0.0.1&connect_timeout=3", NULL},
    {"postgresql://db/fest?sslmod=require", "invalid URI query parameter"},
    {"postgresql://db/fest?sslmode=hush", "invalid sslmode value: \"...\""},
    {"postgresql://db:hush/fest", "invalid integer value \"...\" for connection option \"port\""},
    {"postgresql://db:99999/fest", "invalid port number"},
    {"postgresql://usher:hush@[::1/fest", "matching"},
    {"postgresql://usher:hush%zz@db/fest", "percent-encoded"},
    {"postgresql://usher:hu@hush@db/fest", "%40"},
    {"postgresql:///fest?host=a,b,c&port=1,2", "one length"},
    {"postgresql://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q/fest", "more than 16"},
};

static int judge(void *arg)
{
    const struct judged_case *c = arg;
    char said[USH__TROUBLE_MAX] = "";
    int r = ush__postgres.judge(c->url, said);
    ck_assert_msg(r == (c->words ? USH_EINVAL : 0), "%s: %d %s", c->url, r, said);
    ck_assert_msg(!c->words || strstr(said, c->words), "%s: %s", c->url, said);
    ck_assert_msg(!strstr(said, "hush"), "%s: %s", c->url, said);
    return 0;
}

START_TEST(what_can_never_be_a_server_is_known_without_asking)
{
    struct judged_case c = judged[_i];
    ck_assert_int_eq(ush_run(&(struct ush_loop_options){.backend = USH_BACKEND_SIM}, judge, &c), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("database URLs");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, a_name_shows_no_password, 0, USH_COUNT(names));
    tcase_add_test(t, a_name_is_cut_to_its_room);
    tcase_add_loop_test(t, a_scheme_selects_the_driver, 0, USH_COUNT(schemes));
    tcase_add_loop_test(t, what_can_never_be_a_server_is_known_without_asking, 0,
                        USH_COUNT(judged));
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
