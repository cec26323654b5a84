/*
 * text_test.c - the catalogue of bad input, as far as it concerns text: what is kept as it was
 * typed, what is removed, what is refused; addresses; the form for comparing.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../slow.h"
#include "usher/record.h"

static struct ush_arena arena;

static void setup(void)
{
    ush_arena_init(&arena, NULL, 0, 1 << 20);
}

static void teardown(void)
{
    ush_arena_fini(&arena);
}

/* A mark, eight and nine times. */
#define ACUTE "\xcc\x81"
#define EIGHT ACUTE ACUTE ACUTE ACUTE ACUTE ACUTE ACUTE ACUTE

static const struct {
    enum ush_format format;
    const char *typed;
    const char *clean; /* NULL: refused */
    const char *type;
} rows[] = {
    /* names are what people say they are */
    {USH_LINE, "Ann", "Ann"},
    {USH_LINE, "O'Brien", "O'Brien"},
    {USH_LINE, "Null", "Null"},
    {USH_LINE, "X", "X"},
    {USH_LINE, "Jean-Luc", "Jean-Luc"},
    {USH_LINE, "Ann 😀👩‍👩‍👧🇮🇳", "Ann 😀👩‍👩‍👧🇮🇳"},
    {USH_LINE, "क्‍षमा", "क्‍षमा"}, /* ZWJ is spelling */
    {USH_LINE, "ന്‍", "ന്‍"},                   /* also at the end */
    {USH_LINE, "می‌خواهم", "می‌خواهم"},   /* ZWNJ */
    {USH_LINE, "محمد", "محمد"},
    {USH_LINE, "שלום \u200fA", "שלום \u200fA"}, /* marks of direction are no overrides */
    {USH_LINE, "\u0935\u093e\u0917\u0940\u0936", "\u0935\u093e\u0917\u0940\u0936"},
    /* markup, SQL, formulas are text */
    {USH_LINE, "<script>alert(1)</script>", "<script>alert(1)</script>"},
    {USH_LINE, "Robert'); DROP TABLE students;--", "Robert'); DROP TABLE students;--"},
    {USH_LINE, "%s%n ${x} {{x}}", "%s%n ${x} {{x}}"},
    {USH_LINE, "=HYPERLINK(\"x\")", "=HYPERLINK(\"x\")"},
    {USH_LINE, "@SUM", "@SUM"},
    /* blanks around are not part of it */
    {USH_LINE, "  Ann  Lee \t", "Ann  Lee"},
    {USH_LINE, "\u00a0\u3000Ann\u2003\u200b\ufeff", "Ann"},
    {USH_LINE, "\tAnn", "Ann"},
    /* direction overrides are removed */
    {USH_LINE, "\u202egpj.exe", "gpj.exe"},
    {USH_LINE,
     "a\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
     "b",
     "ab"},
    {USH_LINE, "\u202e \u202e", NULL, "missing"},
    /* control characters and broken bytes */
    {USH_LINE, "a\x01", NULL, "value_error"},
    {USH_LINE, "a\x1b[31m", NULL, "value_error"},
    {USH_LINE, "a\x7f", NULL, "value_error"},
    {USH_LINE, "a\xc2\x85", NULL, "value_error"},
    {USH_LINE, "a\tb", NULL, "value_error"},
    {USH_LINE, "a\xff", NULL, "value_error"},
    {USH_LINE, "a\xc0\x80", NULL, "value_error"},
    {USH_LINE, "a\xed\xa0\x80", NULL, "value_error"},
    {USH_LINE, "a\xe2\x82", NULL, "value_error"},
    /* one line is one line */
    {USH_LINE, "Ann\r\nBcc: all@example.org", NULL, "value_error"},
    {USH_LINE, "Ann\n", NULL, "value_error"},
    {USH_LINE, "Ann\rB", NULL, "value_error"},
    {USH_LINE, "a\u2028b", NULL, "value_error"},
    {USH_LINE, "a\u2029b", NULL, "value_error"},
    /* nothing visible is nothing */
    {USH_LINE, "", NULL, "missing"},
    {USH_LINE, " \t ", NULL, "missing"},
    {USH_LINE, "\u200b\u200c\u200d\u2060\ufeff\u00ad", NULL, "missing"},
    {USH_LINE, "\u3164\u115f\u2800", NULL, "missing"},
    {USH_LINE, ACUTE "\u0941\u20e3\ufe0f", NULL, "missing"},
    /* Zalgo */
    {USH_LINE, "a" EIGHT, "a" EIGHT},
    {USH_LINE, "a" EIGHT "b" EIGHT, "a" EIGHT "b" EIGHT},
    {USH_LINE, "a" EIGHT ACUTE, NULL, "value_error"},
    {USH_LINE, "a" EIGHT "\u200d" ACUTE, NULL, "value_error"}, /* a joiner does not start anew */
    {USH_LINE, "a" EIGHT "\u202a" ACUTE, NULL, "value_error"}, /* nor what is removed */
    /* prose */
    {USH_PROSE, " one\r\ntwo\rthree\n\n\tfour \n", "one\ntwo\nthree\n\n\tfour"},
    {USH_PROSE, "a\x0b", NULL, "value_error"},
    {USH_PROSE, "a\u2028b", "a\u2028b"},
    {USH_PROSE, "\n\r\n", NULL, "missing"},
    /* short names */
    {USH_SLUG, "robot-race-2", "robot-race-2"},
    {USH_SLUG, " a ", "a"},
    {USH_SLUG, "Robot", NULL, "value_error"},
    {USH_SLUG, "-a", NULL, "value_error"},
    {USH_SLUG, "a-", NULL, "value_error"},
    {USH_SLUG, "a_b", NULL, "value_error"},
    {USH_SLUG, "a/b", NULL, "value_error"},
    {USH_SLUG, "é", NULL, "value_error"},
    {USH_SLUG, "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff",
     "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"},
    {USH_SLUG, "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffffff", NULL,
     "string_too_long"},
    /* telephones */
    {USH_PHONE, "+91 (22) 1234-5678", "+91 (22) 1234-5678"},
    {USH_PHONE, "12345", "12345"},
    {USH_PHONE, "1234", NULL, "value_error"},
    {USH_PHONE, "(+) - - -", NULL, "value_error"},
    {USH_PHONE, "12345 ext 6", NULL, "value_error"},
    {USH_PHONE, "+12345678901234567890", NULL, "string_too_long"},
    /* codes */
    {USH_TOKEN, "AbC-1!~", "AbC-1!~"},
    {USH_TOKEN, "a b", NULL, "value_error"},
    {USH_TOKEN, "é", NULL, "value_error"},
};

START_TEST(catalogue)
{
    struct ush_field f = {.name = "x", .format = rows[_i].format};
    struct ush_fault fault = {0};
    ush_text clean, again;
    int result = ush_text_clean(ush_text_of(rows[_i].typed), &f, &arena, &clean, &fault);
    if (!rows[_i].clean) {
        ck_assert_int_eq(result, USH_EINVAL);
        ck_assert_str_eq(fault.type, rows[_i].type);
        ck_assert(fault.msg.len > 0);
        return;
    }
    ck_assert_int_eq(result, 0);
    ck_assert_str_eq(clean.at, rows[_i].clean);
    ck_assert_uint_eq(clean.len, strlen(rows[_i].clean));
    ck_assert_int_eq(ush_text_clean(clean, &f, &arena, &again, &fault), 0);
    ck_assert(ush_text_equal(clean, again));
}
END_TEST

START_TEST(a_nul_is_refused)
{
    struct ush_field f = {.name = "x"};
    struct ush_fault fault;
    ush_text clean;
    ck_assert_int_eq(ush_text_clean((ush_text){"a\0b", 3}, &f, &arena, &clean, &fault), USH_EINVAL);
    ck_assert_str_eq(fault.type, "value_error");
}
END_TEST

static const struct {
    int64_t min, max;
    size_t characters;
    const char *type; /* NULL: taken */
    const char *msg;
} lengths[] = {
    {0, 0, 120, NULL},
    {0, 0, 121, "string_too_long", "Please use at most 120 characters; this has 121"},
    {0, 120, 5000, "string_too_long", "Please use at most 120 characters"},
    {2, 3, 1, "string_too_short", "Please use at least 2 characters; this has 1"},
    {2, 3, 2, NULL},
    {2, 3, 3, NULL},
    {2, 3, 4, "string_too_long", "Please use at most 3 characters; this has 4"},
    {2, 0, 120, NULL}, /* only a lower bound: the usual upper one */
};

START_TEST(length_is_counted_in_characters)
{
    static const char *const letters[] = {"a", "é", "न", "😀"};
    for (size_t l = 0; l < USH_COUNT(letters); l++) {
        struct ush_field f = {.name = "x", .min = lengths[_i].min, .max = lengths[_i].max};
        struct ush_buf typed;
        ush_buf_init(&typed, 1 << 20);
        for (int k = 0; k < 100; k++)
            ush_buf_add(&typed, USH_T(" ")); /* blanks around do not count */
        for (size_t k = 0; k < lengths[_i].characters; k++)
            ush_buf_add(&typed, ush_text_of(letters[l]));
        struct ush_fault fault = {0};
        ush_text clean;
        int result = ush_text_clean(ush_buf_text(&typed), &f, &arena, &clean, &fault);
        ck_assert_int_eq(result, lengths[_i].type ? USH_EINVAL : 0);
        if (lengths[_i].type) {
            ck_assert_str_eq(fault.type, lengths[_i].type);
            ck_assert(ush_text_starts(fault.msg, ush_text_of(lengths[_i].msg)));
        } else {
            ck_assert_uint_eq(ush_utf8_count(clean), lengths[_i].characters);
        }
        ush_buf_fini(&typed);
    }
}
END_TEST

START_TEST(long_texts_take_linear_time)
{
    static const char *const fill[] = {" ", "\t", "\n", "\u200b", "a ", "\u202e"};
    struct ush_field f = {.name = "x", .format = USH_PROSE, .max = 4 << 20};
    for (size_t k = 0; k < USH_COUNT(fill); k++) {
        struct ush_buf typed;
        struct ush_fault fault;
        ush_text clean;
        ush_buf_init(&typed, 4 << 20);
        ush_buf_add_byte(&typed, 'a');
        for (int i = 0; i < 1000000; i++)
            ush_buf_add(&typed, ush_text_of(fill[k]));
        ush_arena_fini(&arena);
        ush_arena_init(&arena, NULL, 0, 8 << 20);
        ck_assert_int_eq(ush_text_clean(ush_buf_text(&typed), &f, &arena, &clean, &fault), 0);
        ush_buf_fini(&typed);
    }
}
END_TEST

START_TEST(any_bytes_are_cleaned_or_refused)
{
    uint64_t x = 1;
    struct ush_fault fault;
    ush_text clean, again;
    int rounds = fewer(100000);
    for (int round = 0; round < rounds; round++) {
        char bytes[24];
        struct ush_field f = {.name = "x", .format = (enum ush_format)(round % 6)};
        size_t n = (size_t)round / 6 % sizeof bytes;
        for (size_t i = 0; i < n; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            static const char likely[] = "a@. -\xe2\x80\xae\xcc\x81\r\n\t";
            bytes[i] = x >> 62 ? likely[(x >> 40) % (sizeof likely - 1)] : (char)(x >> 50);
        }
        if (ush_text_clean((ush_text){bytes, n}, &f, &arena, &clean, &fault) == 0) {
            if (!ush_utf8_valid(clean) || clean.len == 0 || clean.len > n || clean.at[clean.len] ||
                ush_text_clean(clean, &f, &arena, &again, &fault) || !ush_text_equal(clean, again))
                ck_abort_msg("round %d", round);
        }
        ush_arena_reset(&arena);
    }
}
END_TEST

#define A60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

static const struct {
    const char *typed;
    const char *clean; /* NULL: refused */
    const char *ascii; /* NULL: as clean */
    const char *key;   /* with "+tag" folded; NULL: as ascii */
} addresses[] = {
    {"ann@example.org", "ann@example.org"},
    {"a@b.co", "a@b.co"},
    {" ann@example.org ", "ann@example.org"},
    {"ann@example.org.", "ann@example.org"},
    {"mailto:ann@example.org", "ann@example.org"},
    {"MAILTO: ann@example.org", "ann@example.org"},
    {"\u202eann@example.org", "ann@example.org"},
    {"Ann.Lee@Example.ORG", "Ann.Lee@Example.ORG", "Ann.Lee@example.org", "ann.lee@example.org"},
    {"ann+fest@example.org", "ann+fest@example.org", NULL, "ann@example.org"},
    {"+ann@example.org", "+ann@example.org"},
    {"!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~@example.org", NULL,
     "!#$%&'*@example.org"},
    {"user@münchen.de", "user@münchen.de", "user@xn--mnchen-3ya.de"},
    {"User@MÜNCHEN.de", "User@MÜNCHEN.de", "User@xn--mnchen-3ya.de", "user@xn--mnchen-3ya.de"},
    {"a@xn--mnchen-3ya.de", "a@xn--mnchen-3ya.de"},
    {"a@उदाहरण.परीक्षा", "a@उदाहरण.परीक्षा", "a@xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"},
    {"a@例え。テスト", "a@例え。テスト", "a@xn--r8jz45g.xn--zckzah"},
    {"a@παράδειγμα.δοκιμή", "a@παράδειγμα.δοκιμή", "a@xn--hxajbheg2az3al.xn--jxalpdlp"},
    {"a@bücher.example", "a@bücher.example", "a@xn--bcher-kva.example"},
    {"a@faß.de", "a@faß.de", "a@xn--fa-hia.de"},
    {"a@sub.domain.example.co.in", "a@sub.domain.example.co.in"},
    {"a@1und1.de", "a@1und1.de"},
    {"a@b-c.example", "a@b-c.example"},
    {A60 "@example.org", A60 "@example.org"},
    /* refused */
    {""},
    {"ann"},
    {"ann@"},
    {"@example.org"},
    {"ann@example"},
    {"ann@localhost"},
    {"ann@@example.org"},
    {"ann@b@example.org"},
    {"a@b.org, c@d.org"},
    {"a@b.org; c@d.org"},
    {"a@b.org c@d.org"},
    {"Ann <ann@example.org>"},
    {"ann@example.org..\u200b"},
    {"ann@.example.org"},
    {"ann@example..org"},
    {"ann@-example.org"},
    {"ann@example-.org"},
    {"ann@exa_mple.org"},
    {"ann@exam ple.org"},
    {".ann@example.org"},
    {"ann.@example.org"},
    {"a..b@example.org"},
    {"\"a b\"@example.org"},
    {"\"a\"@example.org"},
    {"a(comment)@example.org"},
    {"ann@[127.0.0.1]"},
    {"ann@[IPv6:::1]"},
    {"ann@127.0.0.1"},
    {"ann@example.123"},
    {"jürgen@example.org"},
    {"ann@example.org\r\nBcc: x@example.org"},
    {"ann@exam\u200dple.org"},
    {"ann@mu\u0308nchen.de"}, /* letter and accent apart: would encode to another name */
    {"ann@xn--.de\u00fc"},
    {"ann@ab--\u00fc.de"},
    {"ann@ex\u2010ample.org"},
    {"ann@\u0941a.org"},
    {A60 "abcde@example.org"},
    {"a@" A60 "abcd.org"},
    {"a@" A60 "." A60 "." A60 "." A60 "." A60 ".org"},
};

START_TEST(email_addresses)
{
    struct ush_field f = {.name = "email", .format = USH_EMAIL};
    struct ush_fault fault = {0};
    ush_text clean;
    int result = ush_text_clean(ush_text_of(addresses[_i].typed), &f, &arena, &clean, &fault);
    ck_assert_msg(result == (addresses[_i].clean ? 0 : USH_EINVAL), "%s: %.*s", addresses[_i].typed,
                  USH_PR(fault.msg));
    if (result)
        return;
    ck_assert_str_eq(clean.at, addresses[_i].clean);
    const char *ascii = addresses[_i].ascii ? addresses[_i].ascii : addresses[_i].clean;
    ck_assert_str_eq(ush_email_ascii(clean, &arena).at, ascii);
    struct ush_email_options fold = {.fold_plus = true};
    ck_assert_str_eq(ush_email_key(clean, &fold, &arena).at,
                     addresses[_i].key ? addresses[_i].key : ascii);
    if (strchr(clean.at, '+')) /* and it stays where it is not asked for */
        ck_assert_ptr_nonnull(strchr(ush_email_key(clean, NULL, &arena).at, '+'));
}
END_TEST

START_TEST(an_overlong_address_is_refused_before_it_is_read)
{
    struct ush_field f = {.name = "email", .format = USH_EMAIL};
    struct ush_fault fault;
    ush_text clean;
    size_t n = 50 << 20;
    char *huge = malloc(n);
    memset(huge, '.', n);
    huge[0] = 'a', huge[n / 2] = '@';
    ck_assert_int_eq(ush_text_clean((ush_text){huge, n}, &f, &arena, &clean, &fault), USH_EINVAL);
    ck_assert_str_eq(fault.type, "string_too_long");
    free(huge);
}
END_TEST

static const char *const suggestions[][2] = {
    {"a@gmial.com", "gmail.com"},
    {"a@gmail.con", "gmail.com"},
    {"a@GMAI.com", "gmail.com"},
    {"a@gamil.com", "gmail.com"},
    {"a@yaho.com", "yahoo.com"},
    {"a@hotmial.com", "hotmail.com"},
    {"a@outlok.com", "outlook.com"},
    {"a@gmail.com", NULL},
    {"a@Gmail.com", NULL},
    {"a@mail.com", NULL},
    {"a@ymail.com", NULL},
    {"a@yahoo.co.uk", NULL},
    {"a@example.org", NULL},
    {"a@school.edu", NULL},
    {"a", NULL},
};

START_TEST(slips_in_well_known_domains)
{
    ush_text t = ush_email_suggestion(ush_text_of(suggestions[_i][0]));
    if (suggestions[_i][1])
        ck_assert_str_eq(t.at, suggestions[_i][1]);
    else
        ck_assert_ptr_null(t.at);
}
END_TEST

static const char *const folds[][2] = {
    {"ST. MARYS", "st marys"},
    {"St Mary's", "st marys"},
    {"  St.\u00a0Mary\u2019s ", "st marys"},
    {"St-Mary's", "st marys"},
    {"S.M.V. School", "smv school"},
    {"École Élémentaire", "école élémentaire"},
    {"ΣΧΟΛΕΊΟ", "σχολείο"},
    {"ШКОЛА №5", "школа №5"},
    {"केन्द्रीय विद्यालय", "केन्द्रीय विद्यालय"},
    {"A\u200bB", "ab"},
    {"(A) & [B]", "a b"},
    {"---", ""},
    {"", ""},
    {"broken \xff", "broken \xef\xbf\xbd"},
};

/* Bytes that are no UTF-8 grow to three each: what is typed may be folded before it is refused. */
START_TEST(broken_bytes_fold_within_their_memory)
{
    static char bytes[1000];
    memset(bytes, 0xff, sizeof bytes);
    ush_text t = ush_text_fold((ush_text){bytes, sizeof bytes}, &arena);
    const char *behind = ush_arena_alloc(&arena, 16);
    ck_assert_uint_eq(t.len, 3 * sizeof bytes);
    ck_assert(behind >= t.at + t.len);
}
END_TEST

START_TEST(look_alikes_fold_together)
{
    ush_text t = ush_text_fold(ush_text_of(folds[_i][0]), &arena);
    ck_assert_str_eq(t.at, folds[_i][1]);
    ck_assert_uint_eq(t.len, strlen(folds[_i][1]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("text");
    TCase *c = tcase_create("text");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, catalogue, 0, USH_COUNT(rows));
    tcase_add_test(c, a_nul_is_refused);
    tcase_add_loop_test(c, length_is_counted_in_characters, 0, USH_COUNT(lengths));
    tcase_add_test(c, long_texts_take_linear_time);
    tcase_add_test(c, any_bytes_are_cleaned_or_refused);
    tcase_add_loop_test(c, email_addresses, 0, USH_COUNT(addresses));
    tcase_add_test(c, an_overlong_address_is_refused_before_it_is_read);
    tcase_add_loop_test(c, slips_in_well_known_domains, 0, USH_COUNT(suggestions));
    tcase_add_test(c, broken_bytes_fold_within_their_memory);
    tcase_add_loop_test(c, look_alikes_fold_together, 0, USH_COUNT(folds));
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
