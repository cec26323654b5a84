/*
 * Our parsers beside llhttp in strict mode: over the corpus, and over mutations of it under seeds.
 * What we accept, llhttp accepts with the same method, target, fields and body.
 */
#include <check.h>

#include "../../slow.h"
#include "guard.h"
#include "oracle.h"

enum { MUTATIONS_PER_FILE = 1500 };

/* Words that decide something; a mutation puts one anywhere. */
static const char *const words[] = {
    "\r\n",
    "\r",
    "\n",
    "\r\n\r\n",
    " ",
    "\t",
    "\0",
    ":",
    ",",
    ";",
    "chunked",
    "close",
    "keep-alive",
    "Content-Length: 1",
    "HTTP/1.0",
    "Upgrade",
    "0",
    "Host: a",
    "http://a",
    "[",
    "\x80",
    "_",
    "\"",
    "identity",
    "\r\nX: y",
    "-",
    "?",
    "/",
    "Transfer-Encoding: chunked",
    "Connection: upgrade",
    "Proxy-Connection: close",
};

/* Changes `t` in one of a few ways; a third of the time twice. */
static size_t mutate(char *t, size_t len, size_t room, uint64_t *seed)
{
    do {
        uint64_t r = next_random(seed);
        size_t at = len ? (r >> 8) % len : 0, n = (r >> 40) % 8;
        const char *word = words[(r >> 48) % USH_COUNT(words)];
        size_t word_len = word[0] ? strlen(word) : 1;
        switch (r % 5) {
        case 0: /* another byte */
            if (len)
                t[at] = (char)(r >> 32);
            break;
        case 1: /* some bytes less */
            n = n < len - at ? n : len - at;
            memmove(t + at, t + at + n, len - at - n);
            len -= n;
            break;
        case 2: /* some bytes twice */
            n = n < len - at ? n : len - at;
            if (len + n > room)
                break;
            memmove(t + at + n, t + at, len - at);
            len += n;
            break;
        default: /* a word more */
            if (len + word_len > room)
                break;
            memmove(t + at + word_len, t + at, len - at);
            memcpy(t + at, word, word_len);
            len += word_len;
            break;
        }
    } while (next_random(seed) % 3 == 0);
    return len;
}

/* What is wrong with our reading of `t`, or NULL; *ret_accepted counts heads that we accept. */
static const char *fault_of(ush_text t, size_t *accepted)
{
    static struct ush_head head, pieces;
    size_t scanned = 0;
    t = guarded(t);
    int r = ush_head_parse(t, &ush_http_limits_direct, &scanned, &head);
    scanned = 0;
    int again = 0;
    for (size_t len = t.len / 3; again == 0 && len <= t.len; len = len * 2 + 1)
        again = ush_head_parse((ush_text){t.at, len < t.len ? len : t.len}, &ush_http_limits_direct,
                               &scanned, &pieces);
    if (again == 0)
        again = ush_head_parse(t, &ush_http_limits_direct, &scanned, &pieces);
    if (again != r)
        return "pieces make a difference";
    if (r <= 0)
        return NULL;
    ++*accepted;
    const char *fault = oracle_head_fault(t, r, &head);
    if (fault || !head.is_chunked)
        return fault;
    static char body[GUARD_BYTES];
    size_t left = t.len - (size_t)r, used, data;
    if (left)
        memcpy(body, t.at + r, left);
    struct ush_chunks c;
    ush_chunks_init(&c);
    if (ush_chunks_decode(&c, body, left, &used, &data) != 1)
        return NULL;
    return oracle_body_fault((ush_text){t.at + r, left}, used, (ush_text){body, data});
}

START_TEST(never_more_lenient_over_the_corpus)
{
    struct corpus_file *files;
    size_t n = corpus_read("tests/corpus/head", &files), accepted = 0;
    for (size_t i = 0; i < n; i++) {
        const char *fault = fault_of(files[i].bytes, &accepted);
        ck_assert_msg(!fault, "%s: %s", files[i].name, fault);
    }
    ck_assert_uint_ge(accepted, 90);
}
END_TEST

START_TEST(never_more_lenient_over_mutations)
{
    struct corpus_file *files;
    size_t n = corpus_read("tests/corpus/head", &files), accepted = 0;
    static char t[GUARD_BYTES];
    int mutations = fewer(MUTATIONS_PER_FILE);
    for (size_t i = 0; i < n; i++) {
        if (files[i].bytes.len > 4096)
            continue;
        uint64_t seed = 0x9E3779B97F4A7C15 ^ ((uint64_t)_i << 32) ^ (i + 1);
        for (int k = 0; k < mutations; k++) {
            memcpy(t, files[i].bytes.at, files[i].bytes.len);
            size_t len = mutate(t, files[i].bytes.len, sizeof t, &seed);
            const char *fault = fault_of((ush_text){t, len}, &accepted);
            ck_assert_msg(!fault, "%s, seed %d, mutation %d: %s\n%.*s", files[i].name, _i, k, fault,
                          (int)len, t);
        }
    }
    /* Mutations that break everything would test nothing. */
    ck_assert_uint_ge(accepted, n * (size_t)mutations / 20);
}
END_TEST

/* A judge that says yes to everything would be no judge. */
START_TEST(the_oracle_objects)
{
    static struct ush_head head;
    ush_text t = USH_T("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\n\r\n");
    size_t scanned = 0;
    int n = ush_head_parse(t, &ush_http_limits_direct, &scanned, &head);
    ck_assert_ptr_null(oracle_head_fault(t, n, &head));
    ck_assert_ptr_nonnull(oracle_head_fault(t, n - 1, &head));
    head.content_length = 6;
    ck_assert_ptr_nonnull(oracle_head_fault(t, n, &head));
    head.content_length = -1;
    ck_assert_ptr_nonnull(oracle_head_fault(t, n, &head));
    head.content_length = 5;
    head.headers[2].value = USH_T("z");
    ck_assert_ptr_nonnull(oracle_head_fault(t, n, &head));
    head.headers[2].value = USH_T("y");
    ck_assert_ptr_null(oracle_head_fault(t, n, &head));
    head.header_count--;
    ck_assert_ptr_nonnull(oracle_head_fault(t, n, &head));
    ush_text body = USH_T("1\r\nx\r\n0\r\n\r\n");
    ck_assert_ptr_null(oracle_body_fault(body, body.len, USH_T("x")));
    ck_assert_ptr_nonnull(oracle_body_fault(body, body.len, USH_T("y")));
    ck_assert_ptr_nonnull(oracle_body_fault(body, body.len - 1, USH_T("x")));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("oracle");
    TCase *tc = tcase_create("oracle");
    tcase_add_test(tc, the_oracle_objects);
    tcase_add_test(tc, never_more_lenient_over_the_corpus);
    tcase_add_loop_test(tc, never_more_lenient_over_mutations, 0, 4);
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
