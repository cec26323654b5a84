/*
 * The chunk decoder: what a body decodes to, what is refused and where, and that neither the
 * cutting into pieces nor the memory behind the bytes makes a difference.
 */
#include <check.h>

#include "guard.h"
#include "http/parse.h"

static const struct {
    const char *body, *data; /* data NULL: refused */
    bool partial;            /* more is to come after this */
} cases[] = {
    {"0\r\n\r\n", ""},
    {"1\r\na\r\n0\r\n\r\n", "a"},
    {"4\r\nMira\r\n5\r\n, Ray\r\n0\r\n\r\n", "Mira, Ray"},
    {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
    {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
    {"0a\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
    {"000000000000001\r\na\r\n000000000000000\r\n\r\n", "a"},
    {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"},
    {"5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"},
    /* extensions */
    {"1;a\r\nx\r\n0\r\n\r\n", "x"},
    {"1;a=b\r\nx\r\n0\r\n\r\n", "x"},
    {"1;a;b;c\r\nx\r\n0\r\n\r\n", "x"},
    {"1;a=b;c=d\r\nx\r\n0\r\n\r\n", "x"},
    {"1;a=\"b c\\\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a=\"\"\r\nx\r\n0\r\n\r\n", "x"},
    {"1;a=\"b;\t c\xff\";d\r\nx\r\n0\r\n\r\n", "x"},
    {"1\r\nx\r\n0;last\r\n\r\n", "x"},
    {"1;\r\nx\r\n0\r\n\r\n", NULL},
    {"1;;a\r\nx\r\n0\r\n\r\n", NULL},
    {"1;=b\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a=\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a==b\r\nx\r\n0\r\n\r\n", NULL},
    {"1 ;a\r\nx\r\n0\r\n\r\n", NULL},
    {"1; a\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a =b\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a=\"b\r\n\"\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a=\"b\"c\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a=\"b\\\"\"\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a\nb\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a\rb\r\nx\r\n0\r\n\r\n", NULL},
    {"1;a\x7f\r\nx\r\n0\r\n\r\n", NULL},
    /* sizes */
    {"\r\n", NULL},
    {"g\r\n", NULL},
    {"+1\r\nx\r\n0\r\n\r\n", NULL},
    {"-1\r\nx\r\n0\r\n\r\n", NULL},
    {"0x1\r\nx\r\n0\r\n\r\n", NULL},
    {"1_0\r\n", NULL},
    {"1.0\r\n", NULL},
    {" 1\r\nx\r\n0\r\n\r\n", NULL},
    {"1 \r\nx\r\n0\r\n\r\n", NULL},
    {"1\t\r\nx\r\n0\r\n\r\n", NULL},
    {"1,1\r\nx\r\n0\r\n\r\n", NULL},
    {"1h\r\nx\r\n0\r\n\r\n", NULL},
    {"0000000000000001\r\nx\r\n0\r\n\r\n", NULL},
    {"ffffffffffffffff\r\n", NULL},
    {"fffffffffffffff\r\n", "", .partial = true},
    {"fffffffffffffff0001\r\n", NULL},
    /* line ends */
    {"1\nx\r\n0\r\n\r\n", NULL},
    {"1\rx\r\n0\r\n\r\n", NULL},
    {"1\r\r\nx\r\n0\r\n\r\n", NULL},
    {"1\r\nx\n0\r\n\r\n", NULL},
    {"1\r\nx\r0\r\n\r\n", NULL},
    {"1\r\nx0\r\n\r\n", NULL},
    {"1\r\nx\r00\r\n\r\n", NULL},
    {"1\r\nxy\r\n0\r\n\r\n", NULL},
    {"2\r\nx\r\n0\r\n\r\n", NULL},
    {"1\r\nx\r\n\r\n0\r\n\r\n", NULL},
    {"0\n\r\n", NULL},
    {"0\r\n\n", NULL},
    {"0\r\n\rx", NULL},
    /* trailers */
    {"0\r\nX: y\r\n\r\n", ""},
    {"0\r\nX:\r\nY-Z: \ta\xff b\r\n\r\n", ""},
    {"0\r\nHosts: a\r\n\r\n", ""},
    {"0\r\nServer-Timing: a\r\n\r\n", ""},
    {"0\r\nHost: a\r\n\r\n", NULL},
    {"0\r\nhOSt: a\r\n\r\n", NULL},
    {"0\r\nContent-Length: 5\r\n\r\n", NULL},
    {"0\r\nTransfer-Encoding: chunked\r\n\r\n", NULL},
    {"0\r\nX: y\r\ntransfer-encoding: x\r\n\r\n", NULL},
    {"0\r\nAuthorization: x\r\n\r\n", NULL},
    {"0\r\nCookie: a=b\r\n\r\n", NULL},
    {"0\r\nConnection: close\r\n\r\n", NULL},
    {"0\r\nX-Forwarded-For: 1.1.1.1\r\n\r\n", NULL},
    {"0\r\nX_Y: z\r\n\r\n", NULL},
    {"0\r\nX : y\r\n\r\n", NULL},
    {"0\r\n: y\r\n\r\n", NULL},
    {"0\r\nX\r\n\r\n", NULL},
    {"0\r\n X: y\r\n\r\n", NULL},
    {"0\r\nX: y\r\n z\r\n\r\n", NULL},
    {"0\r\nX: y\n\r\n", NULL},
    {"0\r\nX: y\rz\r\n\r\n", NULL},
    {"0\r\nX: \x01\r\n\r\n", NULL},
    {"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", NULL},
    /* not complete */
    {"", "", .partial = true},
    {"1", "", .partial = true},
    {"1\r", "", .partial = true},
    {"1\r\n", "", .partial = true},
    {"1\r\nx", "x", .partial = true},
    {"1\r\nx\r\n", "x", .partial = true},
    {"1\r\nx\r\n0\r\n", "x", .partial = true},
    {"1\r\nx\r\n0\r\n\r", "x", .partial = true},
    {"1\r\nx\r\n0\r\nX: y\r\n", "x", .partial = true},
};

struct outcome {
    int r;
    size_t used, data_len;
    char data[256];
};

/* Decodes pieces of [0, cut), [cut, cut + step), ... each in guarded memory. */
static void decode(ush_text body, size_t cut, size_t step, struct outcome *o)
{
    struct ush_chunks c;
    ush_chunks_init(&c);
    *o = (struct outcome){0};
    for (size_t at = 0, n = cut; o->r == 0 && at < body.len; at += n, n = step) {
        n = n < body.len - at ? n : body.len - at;
        ush_text piece = guarded((ush_text){body.at + at, n});
        size_t used, data;
        o->r = ush_chunks_decode(&c, (char *)piece.at, n, &used, &data);
        memcpy(o->data + o->data_len, piece.at, data);
        o->data_len += data;
        o->used += used;
        ck_assert(o->r != 0 || used == n);
        ck_assert_uint_le(data, used);
    }
    size_t used, data;
    char more[] = "1\r\nx";
    if (o->r != 0) { /* it stays so, and takes no more */
        ck_assert_int_eq(ush_chunks_decode(&c, more, 4, &used, &data), o->r);
        ck_assert_uint_eq(used, 0);
        ck_assert_uint_eq(data, 0);
    }
}

START_TEST(decodes_or_refuses)
{
    static char text[512];
    size_t len = strlen(cases[_i].body);
    memcpy(text, cases[_i].body, len);
    memcpy(text + len, "GET /", 5); /* what follows the body is not touched */
    ush_text body = {text, len}, more = {text, len + 5};
    bool is_whole = cases[_i].data && !cases[_i].partial;
    struct outcome whole, o;
    decode(is_whole ? more : body, is_whole ? more.len : len, 1, &whole);
    int want = !cases[_i].data ? -400 : cases[_i].partial ? 0 : 1;
    ck_assert_msg(whole.r == want, "%s: %d", cases[_i].body, whole.r);
    if (cases[_i].data) {
        ck_assert_uint_eq(whole.used, len);
        ck_assert(
            ush_text_equal((ush_text){whole.data, whole.data_len}, ush_text_of(cases[_i].data)));
    }
    for (size_t cut = 0; cut <= len; cut++) {
        for (size_t step = 1; step <= 7; step += 6) {
            decode(body, cut, step, &o);
            ck_assert_msg(o.r == whole.r && o.used == whole.used && o.data_len == whole.data_len &&
                              memcmp(o.data, whole.data, o.data_len) == 0,
                          "%s: cut at %zu, then by %zu", cases[_i].body, cut, step);
        }
    }
}
END_TEST

/* `n` bytes of filling between two texts, all at once. */
static int filled(const char *before, size_t n, const char *behind, int times)
{
    static char text[GUARD_BYTES];
    struct ush_chunks c;
    ush_chunks_init(&c);
    int r = 0;
    for (int i = 0; r == 0 && i < times; i++) {
        size_t a = strlen(before), b = strlen(behind), used, data;
        memcpy(text, before, a);
        memset(text + a, 'a', n);
        memcpy(text + a + n, behind, b);
        r = ush_chunks_decode(&c, text, a + n + b, &used, &data);
    }
    return r;
}

START_TEST(extensions_and_trailers_are_bounded)
{
    /* 255 of the name and the CR behind it. */
    ck_assert_int_eq(filled("1;", 255, "\r\nx\r\n0\r\n\r\n", 1), 1);
    ck_assert_int_eq(filled("1;", 256, "\r\nx\r\n0\r\n\r\n", 1), -400);
    /* In total, not each. */
    ck_assert_int_eq(filled("1;", 127, "\r\nx\r\n", 2), 0);
    ck_assert_int_eq(filled("1;", 127, "\r\nx\r\n", 3), -400);
    ck_assert_int_eq(filled("0\r\nX:", 4000, "\r\n\r\n", 1), 1);
    ck_assert_int_eq(filled("0\r\nX:", 4096, "\r\n\r\n", 1), -400);
    ck_assert_int_eq(filled("0\r\n", 5000, "", 1), -400);
}
END_TEST

START_TEST(a_large_chunk_comes_through_in_place)
{
    enum { N = 100000, HEAD = 7 };
    static char text[N + 32];
    memcpy(text, "186a0\r\n", HEAD);
    for (size_t i = 0; i < N; i++)
        text[HEAD + i] = (char)(i * 7 + i / 251);
    memcpy(text + HEAD + N, "\r\n0\r\n\r\n", 7);
    struct ush_chunks c;
    ush_chunks_init(&c);
    size_t used, data;
    ck_assert_int_eq(ush_chunks_decode(&c, text, HEAD + N + 7, &used, &data), 1);
    ck_assert_uint_eq(used, HEAD + N + 7);
    ck_assert_uint_eq(data, N);
    for (size_t i = 0; i < N; i++)
        ck_assert(text[i] == (char)(i * 7 + i / 251));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("chunks");
    TCase *tc = tcase_create("chunks");
    tcase_add_loop_test(tc, decodes_or_refuses, 0, (int)USH_COUNT(cases));
    tcase_add_test(tc, extensions_and_trailers_are_bounded);
    tcase_add_test(tc, a_large_chunk_comes_through_in_place);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
