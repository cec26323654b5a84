/*
 * url_test.c - what a database's URL selects, and how much of it may be shown.
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
    {"usher:hush@db", "usher:hush"}, /* nothing says that this is one */
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

int main(void)
{
    Suite *suite = suite_create("database URLs");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, a_name_shows_no_password, 0, USH_COUNT(names));
    tcase_add_test(t, a_name_is_cut_to_its_room);
    tcase_add_loop_test(t, a_scheme_selects_the_driver, 0, USH_COUNT(schemes));
    suite_add_tcase(suite, t);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
