/*
 * json_test.c - JSON into records and back: what is taken, and every fault with its place.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "example.h"

EXAMPLE_DEFINE

static struct ush_arena arena;
static struct ush_faults faults;
static struct ush_buf out;
static struct sample s;

static void setup(void)
{
    ush_arena_init(&arena, NULL, 0, 1 << 20);
    ush_faults_init(&faults, &arena);
    ush_buf_init(&out, 1 << 20);
}

static void teardown(void)
{
    ush_arena_fini(&arena);
    ush_buf_fini(&out);
}

static int decode(const char *json)
{
    return ush_record_decode_json(&sample_record, ush_text_of(json), &arena, &s, &faults);
}

static bool is(ush_text t, const char *expect)
{
    return ush_text_equal(t, ush_text_of(expect));
}

#define REQUIRED "\"name\":\"Ann\",\"kind\":\"solo\",\"count\":7,\"consent\":true"

START_TEST(all_types)
{
    ck_assert_int_eq(
        decode("{" REQUIRED ",\"note\":\" a\\r\\nb \",\"slug\":\"robot-race\","
               "\"phone\":\"+91 (98) 76-54\",\"code\":\"x!y\",\"any\":-9223372036854775808,"
               "\"flag\":false,\"at\":\"2026-03-13T18:00:00+05:30\",\"key\":\"AAH/\","
               "\"answers\":{\"b\":[1,2.5,null],\"a\":\"<\"},"
               "\"members\":[{\"name\":\"Ben\",\"grade\":9},{\"name\":\"Cleo\",\"email\":null}],"
               "\"leader\":{\"name\":\"Dev\",\"email\":\"mailto:dev@example.org\"}}"),
        0);
    ck_assert_uint_eq(s.has, (1u << sample_record.count) - 1);
    ck_assert(is(s.name, "Ann") && is(s.kind, "solo") && is(s.note, "a\nb"));
    ck_assert(is(s.slug, "robot-race") && is(s.phone, "+91 (98) 76-54") && is(s.code, "x!y"));
    ck_assert_int_eq(s.count, 7);
    ck_assert_int_eq(s.any, INT64_MIN);
    ck_assert(s.consent && !s.flag);
    ck_assert_int_eq(s.at, 1773405000000);
    ck_assert(ush_text_equal(s.key, (ush_text){"\0\1\xff", 3}));
    ck_assert(is(s.answers, "{\"b\":[1,2.5,null],\"a\":\"<\"}"));
    ck_assert_uint_eq(s.members.count, 2);
    struct member *m = s.members.at, *leader = s.leader;
    ck_assert(is(m[0].name, "Ben") && USH_HAS(&m[0], member_grade) && m[0].grade == 9);
    ck_assert(is(m[1].name, "Cleo") && !m[1].email.at && !USH_HAS(&m[1], member_grade));
    ck_assert(is(leader->email, "dev@example.org"));

    ush_record_encode_json(&sample_record, &s, &out);
    ck_assert_str_eq(
        out.at, "{\"name\":\"Ann\",\"note\":\"a\\nb\",\"kind\":\"solo\",\"slug\":\"robot-race\","
                "\"phone\":\"+91 (98) 76-54\",\"code\":\"x!y\",\"count\":7,"
                "\"any\":-9223372036854775808,\"consent\":true,\"flag\":false,"
                "\"at\":\"2026-03-13T12:30:00Z\",\"key\":\"AAH/\","
                "\"answers\":{\"b\":[1,2.5,null],\"a\":\"\\u003C\"},"
                "\"members\":[{\"name\":\"Ben\",\"grade\":9},{\"name\":\"Cleo\"}],"
                "\"leader\":{\"name\":\"Dev\",\"email\":\"dev@example.org\"}}");
}
END_TEST

START_TEST(absent_fields_stay_out)
{
    ck_assert_int_eq(decode("{" REQUIRED ",\"note\":null,\"slug\":\"\",\"phone\":\"  \"}"), 0);
    ck_assert(!s.note.at && !s.slug.at && !s.phone.at && !s.leader && !s.members.at);
    ck_assert(!USH_HAS(&s, sample_note) && !USH_HAS(&s, sample_slug));
    ck_assert(USH_HAS(&s, sample_count) && USH_HAS(&s, sample_consent));
    ush_record_encode_json(&sample_record, &s, &out);
    ck_assert_str_eq(out.at, "{" REQUIRED ",\"leader\":null}");
}
END_TEST

static const struct {
    const char *json;
    int result;
    const char *faults; /* "pointer type" lines */
} bad[] = {
    {"{}", USH_EINVAL, "#/name missing\n#/kind missing\n#/count missing\n#/consent missing\n"},
    {"{" REQUIRED ",\"extra\":1,\"a/b~c d\":2}", USH_EINVAL,
     "#/extra extra_forbidden\n#/a~1b~0c%20d extra_forbidden\n"},
    {"{" REQUIRED ",\"at\":\"2026-02-30T00:00:00Z\"}", USH_EINVAL, "#/at datetime_parsing\n"},
    {"{" REQUIRED ",\"key\":\"A\"}", USH_EINVAL, "#/key value_error\n"},
    {"{" REQUIRED ",\"key\":\"AAA=\"}", 0, ""},
    {"{" REQUIRED ",\"key\":\"AAB=\"}", USH_EINVAL, "#/key value_error\n"},
    {"{" REQUIRED ",\"key\":\"A===\"}", USH_EINVAL, "#/key value_error\n"},
    {"{" REQUIRED ",\"key\":\"====\"}", USH_EINVAL, "#/key value_error\n"},
    {"{" REQUIRED ",\"key\":\"AA=A\"}", USH_EINVAL, "#/key value_error\n"},
    {"{" REQUIRED ",\"members\":[{\"name\":\"x\"},{\"grade\":14},3,{\"name\":\"y\",\"zip\":1}]}",
     USH_EINVAL,
     "#/members/1/name missing\n#/members/1/grade less_than_equal\n#/members/2 dict_type\n"
     "#/members/3/zip extra_forbidden\n"},
    {"{" REQUIRED ",\"members\":[{},{},{},{},{}]}", USH_EINVAL, "#/members too_long\n"},
    {"{" REQUIRED ",\"members\":{}}", USH_EINVAL, "#/members list_type\n"},
    {"{" REQUIRED ",\"leader\":[]}", USH_EINVAL, "#/leader dict_type\n"},
    {"{" REQUIRED ",\"leader\":{\"name\":\"x\",\"email\":\"y\"}}", USH_EINVAL,
     "#/leader/email value_error\n"},
    {"{\"name\":1,\"kind\":\"duo\",\"count\":101,\"consent\":\"true\"}", USH_EINVAL,
     "#/name string_type\n#/kind literal_error\n#/count less_than_equal\n#/consent bool_type\n"},
    {"{\"name\":[],\"kind\":\"solo|team\",\"count\":-6,\"consent\":0}", USH_EINVAL,
     "#/name string_type\n#/kind literal_error\n#/count greater_than_equal\n#/consent bool_type\n"},
    {"{\"name\":\"\",\"kind\":null,\"count\":1.0,\"consent\":null}", USH_EINVAL,
     "#/name missing\n#/kind missing\n#/count int_type\n#/consent missing\n"},
    {"{" REQUIRED ",\"name\":\"Ben\"}", USH_EINVAL, "# duplicate\n"},
    {"{" REQUIRED ",\"leader\":{\"name\":\"a\",\"name\":\"b\"}}", USH_EINVAL, "# duplicate\n"},
    {"{" REQUIRED ",\"any\":9223372036854775808}", USH_EINVAL, "# number_too_large\n"},
    {"{" REQUIRED ",\"a\\u0000\":1}", USH_EINVAL, "# value_error\n"},
    {"{" REQUIRED ",\"answers\":\"a\\u0000b\"}", USH_EINVAL, "#/answers value_error\n"},
    {"{" REQUIRED ",\"answers\":{\"\\u0007\":1}}", USH_EINVAL, "#/answers value_error\n"},
    {"{" REQUIRED ",\"answers\":[\"\\udc00\"]}", USH_EINVAL, "#/answers value_error\n"},
    {"{" REQUIRED ",\"answers\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}", 0, ""},
    {"{" REQUIRED ",\"answers\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}", USH_EINVAL, "# json_depth\n"},
    {"{" REQUIRED ",\"note\":\"[[[[[[[[[[[[[[[[[[[[\\\"[[[[[[[\"}", 0, ""},
    {"[]", USH_EINVAL, "# dict_type\n"},
    {"\"text\"", USH_EINVAL, "# dict_type\n"},
    {"null", USH_EINVAL, "# dict_type\n"},
    {"", USH_EPROTO, "# json_invalid\n"},
    {"{", USH_EPROTO, "# json_invalid\n"},
    {"{\"name\":\"a\",}", USH_EPROTO, "# json_invalid\n"},
    {"{'name':'a'}", USH_EPROTO, "# json_invalid\n"},
    {"{\"name\":\"a\"} {}", USH_EPROTO, "# json_invalid\n"},
    {"{\"name\":\"a\nb\"}", USH_EPROTO, "# json_invalid\n"},
    {"{\"name\":NaN}", USH_EPROTO, "# json_invalid\n"},
    {"{\"name\":\"\\ud8\"}", USH_EPROTO, "# json_invalid\n"},
    {"{\"name\":\"\\", USH_EPROTO, "# json_invalid\n"},
    {"{\"name\":\"\\u", USH_EPROTO, "# json_invalid\n"},
    {"\xef\xbb\xbf{}", USH_EPROTO, "# json_invalid\n"},
    {"{\xff}", USH_EPROTO, "# json_invalid\n"},
};

START_TEST(faults_are_all_reported)
{
    ck_assert_int_eq(decode(bad[_i].json), bad[_i].result);
    for (size_t i = 0; i < faults.count; i++) {
        ck_assert(faults.list[i].msg.len > 0);
        ush_buf_printf(&out, "%.*s %s\n", USH_PR(faults.list[i].pointer), faults.list[i].type);
    }
    ck_assert_str_eq(ush_buf_text(&out).at, bad[_i].faults);
}
END_TEST

START_TEST(malformed_json_says_where)
{
    ck_assert_int_eq(decode("{\n  \"name\": \"Ann\",\n  oops\n}"), USH_EPROTO);
    ck_assert_uint_eq(faults.count, 1);
    ck_assert(ush_text_starts(faults.list[0].msg, USH_T("Line 3, column 6: ")));
}
END_TEST

/* §5.3: lone surrogates and broken UTF-8 name their field and are kept for the form. */
static const char *const broken[] = {
    "a\xff",       "\xc0\xaf",    "\xed\xa0\x80", "\xf4\x90\x80\x80",
    "\xe2\x82",    "a\\ud800b",   "\\udfff",      "\\ud83d\\u0041",
    "\\ud83d",     "nul \\u0000", "\\u001b[31m",  "two\\nlines",
    "two\\rlines", "\\u2028",     "c1 \\u0085",   "del \\u007f",
};

START_TEST(characters_that_cannot_be_stored_name_their_field)
{
    ush_buf_printf(&out, "{" REQUIRED ",\"members\":[{\"name\":\"%s\"}]}", broken[_i]);
    ck_assert_int_eq(decode(out.at), USH_EINVAL);
    ck_assert_uint_eq(faults.count, 1);
    ck_assert_ptr_eq(ush_faults_of(&faults, "members/0/name"), &faults.list[0]);
    ck_assert_str_eq(faults.list[0].type, "value_error");
    ck_assert_ptr_nonnull(((struct member *)s.members.at)[0].name.at);
}
END_TEST

START_TEST(surrogate_pairs_are_one_character)
{
    ck_assert_int_eq(decode("{" REQUIRED ",\"note\":\"\\ud83d\\ude00\"}"), 0);
    ck_assert(is(s.note, "😀"));
}
END_TEST

START_TEST(good_fields_are_filled_beside_bad_ones)
{
    ck_assert_int_eq(
        decode("{\"name\":\" Ann \",\"kind\":\"duo\",\"count\":1000,\"consent\":true}"),
        USH_EINVAL);
    ck_assert(is(s.name, "Ann"));
    ck_assert(is(s.kind, "duo")); /* as typed */
    ck_assert(!USH_HAS(&s, sample_count));
    ck_assert(s.consent && USH_HAS(&s, sample_consent));
}
END_TEST

START_TEST(faults_as_json)
{
    decode("{" REQUIRED ",\"leader\":{\"name\":\"x\",\"e\\\"<\\u00e9/\":1}}");
    ush_faults_add(&faults, "members/12/email", "taken", "%s", "In use");
    ush_faults_add(&faults, "", "closed", "Not now");
    ush_faults_json(&faults, &out);
    ck_assert_str_eq(
        out.at,
        "[{\"pointer\":\"#/leader/e%22%3C%C3%A9~1\",\"loc\":[\"body\",\"leader\","
        "\"e\\\"\\u003Cé/\"],\"msg\":\"There is no such field\",\"type\":\"extra_forbidden\"},"
        "{\"pointer\":\"#/members/12/email\",\"loc\":[\"body\",\"members\",12,\"email\"],"
        "\"msg\":\"In use\",\"type\":\"taken\"},"
        "{\"pointer\":\"#\",\"loc\":[\"body\"],\"msg\":\"Not now\",\"type\":\"closed\"}]");
    ck_assert_str_eq(ush_faults_of(&faults, "members/12/email")->type, "taken");
    ck_assert_str_eq(ush_faults_of(&faults, "")->type, "closed");
    ck_assert_ptr_null(ush_faults_of(&faults, "members/12"));
}
END_TEST

START_TEST(a_hostile_body_gets_a_small_answer)
{
    ush_buf_add(&out, USH_T("{"));
    for (int i = 0; i < 2000; i++)
        ush_buf_printf(&out, "\"%060d%d\":1,", 0, i);
    ush_buf_add(&out, USH_T("\"x\":0}"));
    ck_assert_int_eq(decode(out.at), USH_EINVAL);
    ck_assert_uint_eq(faults.count, USH_FAULTS_MAX);
    ck_assert(faults.more);
    ush_buf_reset(&out);
    ush_faults_json(&faults, &out);
    ck_assert_uint_lt(out.len, 20000);
}
END_TEST

START_TEST(a_full_arena_is_an_error_of_its_own)
{
    static char body[6000];
    snprintf(body, sizeof body, "{" REQUIRED ",\"note\":\"%0200d\"}", 0);
    ush_arena_fini(&arena);
    for (size_t cap = 0; cap < 1500; cap += 10) {
        ush_arena_init(&arena, NULL, 0, cap);
        ush_faults_init(&faults, &arena);
        int result = decode(body);
        ck_assert(result == USH_ELIMIT || (result == 0 && is(s.name, "Ann") && s.note.len == 200));
        ush_arena_fini(&arena);
    }
    ush_arena_init(&arena, NULL, 0, 1 << 20);
    ush_faults_init(&faults, &arena);
    ck_assert_int_eq(decode(body), 0);
}
END_TEST

START_TEST(deep_nesting_does_not_recurse)
{
    for (int i = 0; i < 400000; i++)
        ush_buf_add_byte(&out, '[');
    ck_assert_int_eq(decode(out.at), USH_EINVAL);
    ck_assert_str_eq(faults.list[0].type, "json_depth");
}
END_TEST

START_TEST(lists_of_records)
{
    struct member two[2] = {{.name = USH_T("a")}, {.name = USH_T("b"), .grade = 2}};
    USH_SET(&two[1], member_grade);
    ush_record_encode_json_list(&member_record, two, 2, &out);
    ck_assert_str_eq(out.at, "[{\"name\":\"a\"},{\"name\":\"b\",\"grade\":2}]");
    ush_buf_reset(&out);
    ush_record_encode_json_list(&member_record, NULL, 0, &out);
    ck_assert_str_eq(out.at, "[]");
}
END_TEST

START_TEST(schema_is_json_and_says_what_is_enforced)
{
    ush_record_schema(&sample_record, &out);
    json_error_t e;
    json_t *schema = json_loadb(out.at, out.len, JSON_REJECT_DUPLICATES, &e);
    ck_assert_msg(schema != NULL, "%s in %s", e.text, out.at);
    json_t *p = json_object_get(schema, "properties");
    ck_assert_uint_eq(json_object_size(p), sample_record.count);
    ck_assert(json_is_false(json_object_get(schema, "additionalProperties")));
    ck_assert_uint_eq(json_array_size(json_object_get(schema, "required")), 4);
    static const struct {
        const char *field, *json;
    } expect[] = {
        {"name", "{\"description\":\"Full name\",\"type\":\"string\",\"minLength\":1,"
                 "\"maxLength\":120,\"examples\":[\"Ann\"]}"},
        {"kind", "{\"description\":\"How they take part\",\"type\":\"string\",\"minLength\":1,"
                 "\"maxLength\":120,\"enum\":[\"solo\",\"team\"]}"},
        {"code", "{\"description\":\"Code\",\"type\":[\"string\",\"null\"],\"maxLength\":120,"
                 "\"pattern\":\"^[!-~]*$\",\"writeOnly\":true}"},
        {"count", "{\"description\":\"How many\",\"type\":\"integer\",\"format\":\"int64\","
                  "\"minimum\":-5,\"maximum\":100}"},
        {"any", "{\"description\":\"Any number\",\"type\":[\"integer\",\"null\"],"
                "\"format\":\"int64\"}"},
        {"at", "{\"description\":\"When\",\"type\":[\"string\",\"null\"],"
               "\"format\":\"date-time\"}"},
        {"answers", "{\"description\":\"Free answers\"}"},
        {"members", "{\"description\":\"The team\",\"type\":[\"array\",\"null\"],\"maxItems\":4,"
                    "\"items\":{\"$ref\":\"#/components/schemas/member\"}}"},
        {"leader", "{\"description\":\"Who leads\",\"anyOf\":[{\"$ref\":"
                   "\"#/components/schemas/member\"},{\"type\":\"null\"}]}"},
    };
    for (size_t i = 0; i < USH_COUNT(expect); i++) {
        char *text = json_dumps(json_object_get(p, expect[i].field), JSON_COMPACT);
        ck_assert_str_eq(text, expect[i].json);
        free(text);
    }
    json_decref(schema);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("json");
    TCase *c = tcase_create("json");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, all_types);
    tcase_add_test(c, absent_fields_stay_out);
    tcase_add_loop_test(c, faults_are_all_reported, 0, USH_COUNT(bad));
    tcase_add_test(c, malformed_json_says_where);
    tcase_add_loop_test(c, characters_that_cannot_be_stored_name_their_field, 0, USH_COUNT(broken));
    tcase_add_test(c, surrogate_pairs_are_one_character);
    tcase_add_test(c, good_fields_are_filled_beside_bad_ones);
    tcase_add_test(c, faults_as_json);
    tcase_add_test(c, a_hostile_body_gets_a_small_answer);
    tcase_add_test(c, a_full_arena_is_an_error_of_its_own);
    tcase_add_test(c, deep_nesting_does_not_recurse);
    tcase_add_test(c, lists_of_records);
    tcase_add_test(c, schema_is_json_and_says_what_is_enforced);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
