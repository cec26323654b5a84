/*
 * form_test.c - forms and query strings: percent-encoding, lists by number, duplicates, unknown
 * names, and no read beyond the body.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "generate.h"

EXAMPLE_DEFINE

static struct ush_arena arena;
static struct ush_faults faults;
static struct ush_buf out;
static struct sample s;

static void setup(void)
{
    ush_arena_init(&arena, NULL, 0, 4 << 20);
    ush_faults_init(&faults, &arena);
    ush_buf_init(&out, 1 << 20);
}

static void teardown(void)
{
    ush_arena_fini(&arena);
    ush_buf_fini(&out);
}

static int decode(const char *body)
{
    return ush_record_decode_form(&sample_record, ush_text_of(body), &arena, &s, &faults);
}

static bool is(ush_text t, const char *expect)
{
    return ush_text_equal(t, ush_text_of(expect));
}

#define REQUIRED "name=Ann&kind=solo&count=7&consent=on"

START_TEST(all_types)
{
    ck_assert_int_eq(decode(REQUIRED "&note=a%0D%0Ab+c&any=-3&flag=no&at=2026-03-13T12%3A30%3A00Z"
                                     "&key=AAH%2F&answers=%7B%22a%22%3A+1%7D"
                                     "&members.1.name=Cleo&members.0.name=Ben&members.0.grade=+9+"
                                     "&leader.name=Dev&phone=&slug=++&_csrf=x&_csrf=y"),
                     0);
    ck_assert(is(s.name, "Ann") && is(s.note, "a\nb c"));
    ck_assert_int_eq(s.count, 7);
    ck_assert_int_eq(s.any, -3);
    ck_assert(s.consent && USH_HAS(&s, sample_flag) && !s.flag);
    ck_assert_int_eq(s.at, 1773405000000);
    ck_assert(ush_text_equal(s.key, (ush_text){"\0\1\xff", 3}));
    ck_assert(is(s.answers, "{\"a\":1}"));
    ck_assert_uint_eq(s.members.count, 2);
    struct member *m = s.members.at, *leader = s.leader;
    ck_assert(is(m[0].name, "Ben") && m[0].grade == 9 && is(m[1].name, "Cleo"));
    ck_assert(is(leader->name, "Dev"));
    ck_assert(!s.phone.at && !s.slug.at && !USH_HAS(&s, sample_phone));
}
END_TEST

static const struct {
    const char *body;
    int result;
    const char *faults;
} rows[] = {
    {REQUIRED, 0, ""},
    {"", USH_EINVAL, "#/name missing\n#/kind missing\n#/count missing\n"},
    {"name=Ann&kind=solo&count=7", 0, ""}, /* an unticked box is false */
    {"name=Ann&kind=solo&count=7&consent=maybe", USH_EINVAL, "#/consent bool_parsing\n"},
    {"name=Ann&kind=solo&count=7&consent=", USH_EINVAL, "#/consent missing\n"},
    {"name=+%09&kind=&count=&consent=on", USH_EINVAL,
     "#/name missing\n#/kind missing\n#/count missing\n"},
    {REQUIRED "&name=Ben", USH_EINVAL, "#/name duplicate\n"},
    {REQUIRED "&n%61me=Ann", USH_EINVAL, "#/name duplicate\n"},
    {REQUIRED "&zip=1&Name=x", USH_EINVAL, "#/Name extra_forbidden\n#/zip extra_forbidden\n"},
    {REQUIRED "&=x", USH_EINVAL, "#/ extra_forbidden\n"},
    {REQUIRED "&&&", 0, ""},
    {"&" REQUIRED "&", 0, ""},
    {REQUIRED "&note", 0, ""},
    {REQUIRED "&note=a=b", 0, ""},
    {REQUIRED "&note=a%0", 0, ""}, /* '%' stands for itself */
    {REQUIRED "&note=100%25+%zz+%", 0, ""},
    {REQUIRED "&note=a%00b", USH_EINVAL, "#/note value_error\n"},
    {REQUIRED "&note=a%FFb", USH_EINVAL, "#/note value_error\n"},
    {REQUIRED "&note=%C3%A9", 0, ""},
    {REQUIRED "&count=8", USH_EINVAL, "#/count duplicate\n"},
    {"name=a%0D%0Ab&kind=solo&count=1e3&consent=on", USH_EINVAL,
     "#/name value_error\n#/count int_parsing\n"},
    {"name=a&kind=solo&count=101&consent=on&any=9223372036854775808", USH_EINVAL,
     "#/count less_than_equal\n#/any int_parsing\n"},
    {REQUIRED "&answers=%7B", USH_EINVAL, "#/answers json_invalid\n"},
    {REQUIRED "&answers=null", 0, ""},
    {REQUIRED "&key=!", USH_EINVAL, "#/key value_error\n"},
    /* rows */
    {REQUIRED "&members.0.name=", 0, ""},
    {REQUIRED "&members.0.name=a&members.1.name=&members.1.grade=+&members.2.name=", 0, ""},
    {REQUIRED "&members.0.name=a&members.1.name=&members.2.name=c", USH_EINVAL,
     "#/members/1/name missing\n"},
    {REQUIRED "&members.0.name=a&members.2.name=c", USH_EINVAL, "#/members/1/name missing\n"},
    {REQUIRED "&members.0.grade=15", USH_EINVAL,
     "#/members/0/name missing\n#/members/0/grade less_than_equal\n"},
    {REQUIRED "&members.0.name=a&members.0.zip=1", USH_EINVAL, "#/members/0/zip extra_forbidden\n"},
    {REQUIRED "&members.999999999.name=a", USH_EINVAL,
     "#/members/999999999/name extra_forbidden\n"},
    {REQUIRED "&members.99999999999999999999.name=a", USH_EINVAL,
     "#/members/99999999999999999999/name extra_forbidden\n"},
    {REQUIRED "&members.-1.name=a", USH_EINVAL, "#/members/-1/name extra_forbidden\n"},
    {REQUIRED "&members.00.name=a", USH_EINVAL, "#/members/00/name extra_forbidden\n"},
    {REQUIRED "&members..name=a", USH_EINVAL, "#/members//name extra_forbidden\n"},
    {REQUIRED "&members.0=a", USH_EINVAL, "#/members/0 extra_forbidden\n"},
    {REQUIRED "&members=a", USH_EINVAL, "#/members extra_forbidden\n"},
    {REQUIRED "&members.0.name=a&members.0.name=b", USH_EINVAL, "#/members/0/name duplicate\n"},
    {REQUIRED "&members.0.name=a&members.1.name=a&members.2.name=a&members.3.name=a"
              "&members.4.name=a",
     USH_EINVAL, "#/members too_long\n"},
    {REQUIRED "&leader.name=&leader.email=", 0, ""},
    {REQUIRED "&leader.email=a@b.org", USH_EINVAL, "#/leader/name missing\n"},
    {REQUIRED "&leader=x", USH_EINVAL, "#/leader extra_forbidden\n"},
    {REQUIRED "&leader.name.x=1", USH_EINVAL,
     "#/leader/name missing\n#/leader/name/x extra_forbidden\n"},
};

START_TEST(faults_are_all_reported)
{
    int result = decode(rows[_i].body);
    for (size_t i = 0; i < faults.count; i++)
        ush_buf_printf(&out, "%.*s %s\n", USH_PR(faults.list[i].pointer), faults.list[i].type);
    ck_assert_str_eq(ush_buf_text(&out).at, rows[_i].faults);
    ck_assert_int_eq(result, rows[_i].result);
}
END_TEST

START_TEST(a_required_list_and_record)
{
    struct team t;
    ck_assert_int_eq(
        ush_record_decode_form(&team_record, USH_T("members.0.name="), &arena, &t, &faults),
        USH_EINVAL);
    ck_assert_ptr_nonnull(ush_faults_of(&faults, "members"));
    ck_assert_ptr_nonnull(ush_faults_of(&faults, "leader/name"));
}
END_TEST

START_TEST(what_was_typed_is_kept)
{
    ck_assert_int_eq(decode("name=a%0Ab&kind=duo&count=x"), USH_EINVAL);
    ck_assert(is(s.name, "a\nb") && is(s.kind, "duo"));
    ck_assert(!USH_HAS(&s, sample_count));
}
END_TEST

START_TEST(queries_ignore_what_they_do_not_know)
{
    struct member m;
    ck_assert_int_eq(ush_record_decode_query(&member_record, USH_T("fbclid=1&name=Ann&fbclid=2"),
                                             &arena, &m, &faults),
                     0);
    ck_assert_int_eq(ush_record_decode_query(&member_record, USH_T("grade=0"), &arena, &m, &faults),
                     USH_EINVAL);
    ush_faults_json(&faults, &out);
    ck_assert_ptr_nonnull(strstr(out.at, "\"loc\":[\"query\",\"grade\"]"));
    ck_assert_int_eq(ush_record_decode_query(&member_record, USH_NONE, &arena, &m, &faults),
                     USH_EINVAL);
}
END_TEST

START_TEST(many_pairs_are_refused_and_quick)
{
    for (int i = 0; i < 200000; i++)
        ush_buf_add(&out, USH_T("a&"));
    ck_assert_int_eq(decode(out.at), USH_EINVAL);
    ck_assert_str_eq(faults.list[0].type, "too_long");
    ush_buf_reset(&out);
    ush_faults_init(&faults, &arena);
    for (int i = 0; i < 990; i++)
        ush_buf_printf(&out, "members.%d.name=a&", i);
    ck_assert_int_eq(decode(out.at), USH_EINVAL);
    ck_assert_ptr_nonnull(ush_faults_of(&faults, "members"));
}
END_TEST

START_TEST(round_trip_of_a_list)
{
    for (int round = 0; round < 5000; round++) {
        struct team a, b;
        random_state = (uint64_t)round + 1;
        ush_arena_reset(&arena);
        ush_buf_reset(&out);
        ush_faults_init(&faults, &arena);
        fill(&arena, &team_record, &a);
        struct member *rows_of = a.members.at;
        for (size_t i = 0; i <= a.members.count; i++) {
            struct member *m = i < a.members.count ? &rows_of[i] : a.leader;
            char prefix[32] = "leader";
            if (i < a.members.count)
                snprintf(prefix, sizeof prefix, "members.%zu", i);
            ush_buf_printf(&out, "%s%s.name=", i ? "&" : "", prefix);
            ush_buf_add_percent(&out, m->name);
            if (m->email.at) {
                ush_buf_printf(&out, "&%s.email=", prefix);
                ush_buf_add_percent(&out, m->email);
            }
            if (USH_HAS(m, member_grade))
                ush_buf_printf(&out, "&%s.grade=%d", prefix, (int)m->grade);
        }
        if (ush_record_decode_form(&team_record, ush_buf_text(&out), &arena, &b, &faults) ||
            !same(&team_record, &a, &b))
            ck_abort_msg("%s", out.at);
    }
}
END_TEST

START_TEST(any_bytes_decode_without_a_read_beyond)
{
    static const char *const parts[] = {"name",  "=", "&",  "%",      "+",      "members.", "0",
                                        ".name", ".", "%4", "%C3%A9", "leader", "\xff",     "kind"};
    random_state = 11;
    for (int round = 0; round < 50000; round++) {
        char body[64];
        size_t n = 0;
        for (uint32_t k = next_random(8); k > 0; k--) {
            const char *p = parts[next_random(USH_COUNT(parts))];
            memcpy(body + n, p, strlen(p));
            n += strlen(p);
        }
        char *exact = malloc(n + !n);
        memcpy(exact, body, n);
        ush_arena_reset(&arena);
        ush_faults_init(&faults, &arena);
        int result =
            ush_record_decode_form(&sample_record, (ush_text){exact, n}, &arena, &s, &faults);
        free(exact);
        if (result != USH_EINVAL || faults.count == 0)
            ck_abort_msg("round %d: %d", round, result);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("form");
    TCase *c = tcase_create("form");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, all_types);
    tcase_add_loop_test(c, faults_are_all_reported, 0, USH_COUNT(rows));
    tcase_add_test(c, a_required_list_and_record);
    tcase_add_test(c, what_was_typed_is_kept);
    tcase_add_test(c, queries_ignore_what_they_do_not_know);
    tcase_add_test(c, many_pairs_are_refused_and_quick);
    tcase_add_test(c, round_trip_of_a_list);
    tcase_add_test(c, any_bytes_decode_without_a_read_beyond);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
