/*
 * reply_test.c - which refusals are about how much the sender sends, by what providers write.
 */
#include <check.h>
#include <stdlib.h>

#include "fetch/fetch.h"

static const struct enough_case {
    int code;
    const char *text;
    bool is_enough;
} cases[] = {
    {550, "550 5.4.5 Daily user sending quota exceeded. abc123 - gsmtp", true},
    {421, "421 4.7.28 Our system has detected an unusual rate of mail", true},
    {432, "432 4.3.2 Concurrent connections limit exceeded", true},
    {550, "550 5.1.90 Your message can't be sent because you've reached your daily limit", true},
    {550, "550 5.7.708 Service unavailable. Access denied, traffic not accepted", true},
    {454, "454 Throttling failure: Maximum sending rate exceeded.", true},
    {454, "454 Throttling failure: Daily message quota exceeded.", true},
    {451, "451 You've exceeded your messaging limits", true},
    {451, "451 Maximum credits exceeded", true},
    {452, "452 4.2.2 The email account that you tried to reach is over quota", false},
    {552, "552 5.2.2 Mailbox full", false},
    {450, "450 4.2.1 The user you are trying to contact is receiving mail too quickly", false},
    {550, "550 5.1.1 no such user", false},
    {451, "451 4.7.1 greylisted, try again later", false},
    {250, "250 2.0.0 sending quota: 3 of 500", false},
};

START_TEST(enough)
{
    const struct enough_case *c = &cases[_i];
    ck_assert_int_eq(ush__reply_is_enough(c->code, c->text), c->is_enough);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fetch/reply");
    TCase *tc = tcase_create("reply");
    tcase_add_loop_test(tc, enough, 0, (int)USH_COUNT(cases));
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
