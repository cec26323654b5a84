/*
 * escape_test.c - every escaper against what the reader of its context makes of the result.
 */
#include <check.h>
#include <stdlib.h>

#include <jansson.h>

#include "usher/base.h"

static struct ush_buf b;

static const struct {
    const char *text, *html, *json, *percent;
} rows[] = {
    {"", "", "\"\"", ""},
    {"O'Brien & <b>", "O&#39;Brien &amp; &lt;b&gt;", "\"O'Brien & \\u003Cb>\"",
     "O%27Brien%20%26%20%3Cb%3E"},
    {"say \"hi\"\n\t\\", "say &quot;hi&quot;\n\t\\", "\"say \\\"hi\\\"\\n\\t\\\\\"",
     "say%20%22hi%22%0A%09%5C"},
    {"ÄÖ😀", "ÄÖ😀", "\"ÄÖ😀\"", "%C3%84%C3%96%F0%9F%98%80"},
    {"\xff"
     "a\xe2\x82",
     "\xef\xbf\xbd"
     "a\xef\xbf\xbd",
     "\"\xef\xbf\xbd"
     "a\xef\xbf\xbd\"",
     "%FFa%E2%82"},
    {"\x01\x1f\x7f\b\f\r", "\x01\x1f\x7f\b\f\r", "\"\\u0001\\u001F\\u007F\\b\\f\\r\"",
     "%01%1F%7F%08%0C%0D"},
    {"a-b_c.d~e/f", "a-b_c.d~e/f", "\"a-b_c.d~e/f\"", "a-b_c.d~e%2Ff"},
};

START_TEST(known_answers)
{
    ush_text t = ush_text_of(rows[_i].text);
    ush_buf_init(&b, 1000);
    ush_buf_add_html(&b, t);
    ck_assert_str_eq(ush_buf_text(&b).at, rows[_i].html);
    ush_buf_reset(&b);
    ush_buf_add_json(&b, t);
    ck_assert_str_eq(b.at, rows[_i].json);
    ush_buf_reset(&b);
    ush_buf_add_percent(&b, t);
    ck_assert_str_eq(b.at, rows[_i].percent);
    ush_buf_fini(&b);
}
END_TEST

START_TEST(a_nul_is_text_too)
{
    ush_buf_init(&b, 1000);
    ush_buf_add_html(&b, (ush_text){"a\0b", 3});
    ck_assert_str_eq(b.at, "a\xef\xbf\xbd"
                           "b");
    ush_buf_reset(&b);
    ush_buf_add_json(&b, (ush_text){"a\0b", 3});
    ck_assert_str_eq(b.at, "\"a\\u0000b\"");
    ush_buf_fini(&b);
}
END_TEST

static uint64_t random_state = 7;
static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % below;
}

START_TEST(json_reads_back_and_cannot_leave_a_script)
{
    ush_buf_init(&b, 10000);
    for (int round = 0; round < 20000; round++) {
        char text[64];
        size_t n = 0;
        while (n < 50)
            if (next_random(4))
                text[n++] = (char)next_random(128);
            else
                n += ush_utf8_put(text + n, 0xa0 + next_random(0xd000));
        ush_buf_reset(&b);
        ush_buf_add_json(&b, (ush_text){text, n});
        json_t *back = json_loadb(b.at, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if (!back || json_string_length(back) != n || memcmp(json_string_value(back), text, n) ||
            strchr(b.at, '<'))
            ck_abort_msg("%s", b.at);
        json_decref(back);
    }
    ush_buf_fini(&b);
}
END_TEST

START_TEST(html_and_json_of_any_bytes_are_utf8)
{
    ush_buf_init(&b, 10000);
    for (int round = 0; round < 50000; round++) {
        char text[24];
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)(next_random(2) ? next_random(256) : 0xc0 + next_random(64));
        ush_buf_reset(&b);
        ush_buf_add_html(&b, (ush_text){text, sizeof text});
        ush_buf_add_json(&b, (ush_text){text, sizeof text});
        if (b.error || !ush_utf8_valid(ush_buf_text(&b)) || strlen(b.at) != b.len)
            ck_abort_msg("round %d", round);
    }
    ush_buf_fini(&b);
}
END_TEST

START_TEST(base64_of_the_rfc)
{
    static const char *const vectors[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                          "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t n = 0; n < USH_COUNT(vectors); n++) {
        ush_buf_init(&b, 100);
        ush_buf_add_base64(&b, "foobar", n);
        ck_assert_str_eq(ush_buf_text(&b).at, vectors[n]);
        ush_buf_fini(&b);
    }
    ush_buf_init(&b, 100);
    ush_buf_add_base64(&b, "\xfb\xff\xbf", 3);
    ck_assert_str_eq(b.at, "+/+/");
    ush_buf_fini(&b);
}
END_TEST

START_TEST(base32_round_trip)
{
    for (size_t n = 0; n <= 20; n++)
        for (int round = 0; round < 2000; round++) {
            unsigned char in[20], out[20];
            char text[40], typed[80];
            for (size_t i = 0; i < n; i++)
                in[i] = (unsigned char)next_random(256);
            ush_base32_format(in, n, text);
            if (strlen(text) != (n * 8 + 4) / 5)
                ck_abort_msg("length of %s", text);
            /* As a person types it from paper. */
            size_t k = 0;
            for (const char *p = text; *p; p++) {
                if (next_random(4) == 0)
                    typed[k++] = next_random(2) ? '-' : ' ';
                char c = *p;
                if (c == '0' && next_random(2))
                    c = 'o';
                else if (c == '1' && next_random(2))
                    c = next_random(2) ? 'l' : 'I';
                else if (c >= 'A' && next_random(2))
                    c |= 0x20;
                typed[k++] = c;
            }
            if (ush_base32_parse((ush_text){typed, k}, out, n) || memcmp(in, out, n))
                ck_abort_msg("%s typed %.*s", text, (int)k, typed);
        }
}
END_TEST

static const struct {
    const char *text;
    size_t n;
    int result;
} codes[] = {
    {"ZZ", 1, -EINVAL}, /* left-over bits set */
    {"ZW", 1, 0},
    {"zw", 1, 0},
    {"Z", 1, -EINVAL},
    {"ZWW", 1, -EINVAL},
    {"ZU", 1, -EINVAL}, /* no U in the alphabet */
    {"Z!", 1, -EINVAL},
    {"", 0, 0},
    {"0", 0, -EINVAL},
    {"- -", 0, 0},
    {"00000000", 5, 0},
    {"0000000", 5, -EINVAL},
    {"000000000", 5, -EINVAL},
};

START_TEST(base32_refuses_what_it_would_not_write)
{
    unsigned char out[8];
    ck_assert_int_eq(ush_base32_parse(ush_text_of(codes[_i].text), out, codes[_i].n),
                     codes[_i].result);
    ck_assert_int_eq(ush_base32_parse((ush_text){"Z\0", 2}, out, 1), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("escape");
    TCase *c = tcase_create("escape");
    tcase_add_loop_test(c, known_answers, 0, USH_COUNT(rows));
    tcase_add_test(c, a_nul_is_text_too);
    tcase_add_test(c, json_reads_back_and_cannot_leave_a_script);
    tcase_add_test(c, html_and_json_of_any_bytes_are_utf8);
    tcase_add_test(c, base64_of_the_rfc);
    tcase_add_test(c, base32_round_trip);
    tcase_add_loop_test(c, base32_refuses_what_it_would_not_write, 0, USH_COUNT(codes));
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
