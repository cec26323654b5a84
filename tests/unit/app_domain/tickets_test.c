/*
 * tickets_test.c - codes as data: what was made is read back, in any form people type it, and
 * nothing that was forged, cut or made for another use is believed.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "domain/fest.h"

static struct keys keys, others;
static const int64_t ids[] = {1LL << 32 | 1, 1LL << 32 | 2, 7LL << 32 | 499,
                              65535LL << 32 | 0xffffff};

static void setup(void)
{
    uint8_t master[32] = {1};
    keys_derive(&keys, master);
    master[31] = 1;
    keys_derive(&others, master);
}

START_TEST(public_ids)
{
    char text[PUBLIC_ID_CHARS + 1];
    int64_t id;
    public_id_format(&keys, ids[_i], text);
    ck_assert_uint_eq(strlen(text), PUBLIC_ID_CHARS);
    ck_assert_int_eq(public_id_parse(&keys, ush_text_of(text), &id), 0);
    ck_assert_int_eq(id, ids[_i]);
    ck_assert_int_eq(public_id_parse(&others, ush_text_of(text), &id), -EINVAL);
    for (size_t i = 0; i < PUBLIC_ID_CHARS; i++) {
        char forged[PUBLIC_ID_CHARS + 1];
        memcpy(forged, text, sizeof forged);
        forged[i] = forged[i] == '4' ? '5' : '4';
        ck_assert_int_eq(public_id_parse(&keys, ush_text_of(forged), &id), -EINVAL);
        ck_assert_int_eq(public_id_parse(&keys, (ush_text){text, i}, &id), -EINVAL);
    }
}
END_TEST

START_TEST(manage_tokens)
{
    char text[MANAGE_TOKEN_CHARS + 1], next[MANAGE_TOKEN_CHARS + 1];
    struct manage_token t;
    manage_token_format(&keys, ids[_i], 1, text);
    ck_assert_uint_eq(strlen(text), MANAGE_TOKEN_CHARS);
    ck_assert_int_eq(manage_token_parse(ush_text_of(text), &t), 0);
    ck_assert_int_eq(t.id, ids[_i]);
    ck_assert(manage_token_fits(&keys, &t, 1));
    ck_assert(!manage_token_fits(&keys, &t, 2));
    ck_assert(!manage_token_fits(&others, &t, 1));
    manage_token_format(&keys, ids[_i], 2, next);
    ck_assert_str_ne(text, next);
    for (size_t i = 0; i < MANAGE_TOKEN_CHARS; i++) {
        char forged[MANAGE_TOKEN_CHARS + 1];
        memcpy(forged, text, sizeof forged);
        forged[i] = forged[i] == '4' ? '5' : '4';
        ck_assert(manage_token_parse(ush_text_of(forged), &t) < 0 ||
                  !manage_token_fits(&keys, &t, 1));
    }
    ck_assert_int_eq(manage_token_parse((ush_text){text, MANAGE_TOKEN_CHARS - 1}, &t), -EINVAL);
    ck_assert_int_eq(manage_token_parse(USH_NONE, &t), -EINVAL);
}
END_TEST

START_TEST(short_codes)
{
    char text[SHORT_CODE_CHARS + 1], typed[32];
    int64_t id;
    short_code_format(&keys, ids[_i], text);
    ck_assert_uint_eq(strlen(text), SHORT_CODE_CHARS);
    ck_assert_int_eq(text[4], '-');
    ck_assert_int_eq(short_code_parse(&keys, ush_text_of(text), &id), 0);
    ck_assert_int_eq(id, ids[_i]);
    snprintf(typed, sizeof typed, " %.4s %s ", text, text + 5);
    for (char *c = typed; *c; c++)
        *c = *c == '0' ? 'o' : *c == '1' ? 'l' : *c >= 'A' ? (char)(*c | 32) : *c;
    ck_assert_int_eq(short_code_parse(&keys, ush_text_of(typed), &id), 0);
    ck_assert_int_eq(id, ids[_i]);
}
END_TEST

/* A permutation: neighbours look unrelated, and no two of many collide. */
START_TEST(short_codes_are_a_permutation)
{
    char before[SHORT_CODE_CHARS + 1] = "", text[SHORT_CODE_CHARS + 1];
    for (int64_t seq = 1; seq <= 20000; seq++) {
        int64_t id, made = registration_make_id(1 + seq % 3, seq);
        short_code_format(&keys, made, text);
        ck_assert_int_eq(short_code_parse(&keys, ush_text_of(text), &id), 0);
        ck_assert_int_eq(id, made);
        ck_assert_str_ne(before, text);
        memcpy(before, text, sizeof before);
    }
    short_code_format(&keys, 65536LL << 32 | 1, text);
    ck_assert_str_eq(text, "");
    short_code_format(&keys, 1LL << 32 | 0x1000000, text);
    ck_assert_str_eq(text, "");
}
END_TEST

START_TEST(tickets)
{
    char text[TICKET_CHARS + 1], forged[TICKET_CHARS + 1];
    int64_t id, rev;
    ticket_format(&keys, ids[_i], 300, text);
    ck_assert_uint_eq(strlen(text), TICKET_CHARS);
    ck_assert_int_eq(ticket_parse(&keys, ush_text_of(text), &id, &rev), 0);
    ck_assert_int_eq(id, ids[_i]);
    ck_assert_int_eq(rev, 300);
    ck_assert_int_eq(ticket_parse(&others, ush_text_of(text), &id, &rev), -EINVAL);
    for (size_t i = 0; i < TICKET_CHARS; i++) {
        memcpy(forged, text, sizeof forged);
        forged[i] = forged[i] == '4' ? '5' : '4';
        ck_assert_int_eq(ticket_parse(&keys, ush_text_of(forged), &id, &rev), -EINVAL);
    }
    for (size_t n = 0; n < TICKET_CHARS; n++)
        ck_assert_int_eq(ticket_parse(&keys, (ush_text){text, n}, &id, &rev), -EINVAL);
}
END_TEST

START_TEST(ticket_links)
{
    struct ush_buf link;
    int64_t id, rev;
    ush_buf_init(&link, 4096);
    ticket_link(&keys, "https://fest.example.edu/t/x", ids[0], 1, &link);
    ck_assert(ush_text_starts(ush_buf_text(&link), USH_T("HTTPS://FEST.EXAMPLE.EDU/T/X/T/")));
    ck_assert_int_eq(ticket_parse(&keys, ush_buf_text(&link), &id, &rev), 0);
    ck_assert_int_eq(id, ids[0]);
    for (size_t i = 0; i < link.len; i++)
        link.at[i] = link.at[i] >= 'A' && link.at[i] <= 'Z' ? (char)(link.at[i] | 32) : link.at[i];
    ck_assert_int_eq(ticket_parse(&keys, ush_buf_text(&link), &id, &rev), 0);
    ck_assert_int_eq(ticket_parse(&keys, USH_T("https://example.com/"), &id, &rev), -EINVAL);
    ck_assert_int_eq(ticket_parse(&keys, USH_T("WIFI:T:WPA;S:school;;"), &id, &rev), -EINVAL);
    ush_buf_fini(&link);
}
END_TEST

START_TEST(qr_codes)
{
    struct ush_buf link, svg, png;
    ush_buf_init(&link, 4096);
    ush_buf_init(&svg, 1 << 20);
    ush_buf_init(&png, 1 << 20);
    ticket_link(&keys, "https://fest.example.edu", ids[0], 1, &link);
    ck_assert_int_eq(qr_svg(ush_buf_text(&link), USH_T("Code K7QF-2M9D & <more>"), &svg), 0);
    /* Alphanumeric mode: version 6 at level M is 41 modules and 8 of quiet zone. */
    ck_assert_ptr_nonnull(strstr(svg.at, "viewBox=\"0 0 49 49\""));
    ck_assert_ptr_nonnull(strstr(svg.at, "aria-label=\"Code K7QF-2M9D &amp; &lt;more&gt;\""));
    ck_assert_int_lt((int)svg.len, 16 * 1024);
    ck_assert_int_eq(qr_png(ush_buf_text(&link), 0, &png), 0);
    ck_assert_int_eq(memcmp(png.at, "\x89PNG\r\n\x1a\n", 8), 0);
    ck_assert_int_eq(memcmp(png.at + 16, "\0\0\x01\x88\0\0\x01\x88\x01", 9), 0); /* 392, 1 bit */
    ck_assert_int_lt((int)png.len, 4096);
    char long_text[5000];
    memset(long_text, 'A', sizeof long_text);
    ck_assert_int_eq(qr_svg((ush_text){long_text, sizeof long_text}, USH_T(""), &svg), USH_ELIMIT);
    ush_buf_fini(&link);
    ush_buf_fini(&svg);
    ush_buf_fini(&png);
}
END_TEST

START_TEST(hashes_keep_parts_apart)
{
    uint8_t a[KEY_BYTES], b[KEY_BYTES];
    const ush_text one[] = {USH_T("ab"), USH_T("c")}, two[] = {USH_T("a"), USH_T("bc")};
    keys_hash(&keys, HASH_PERSON, 1, one, 2, a);
    keys_hash(&keys, HASH_PERSON, 1, two, 2, b);
    ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
    keys_hash(&keys, HASH_PERSON, 2, one, 2, b);
    ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
    keys_hash(&keys, HASH_TEAM, 1, one, 2, b);
    ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
    keys_hash(&keys, HASH_PERSON, 1, one, 2, b);
    ck_assert_int_eq(memcmp(a, b, sizeof a), 0);
    keys_hash(&keys, HASH_PERSON, 1, (ush_text[]){USH_NONE}, 1, a);
    keys_hash(&keys, HASH_PERSON, 1, (ush_text[]){USH_T("")}, 1, b);
    ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
}
END_TEST

START_TEST(secret_file)
{
    char folder[] = "/tmp/usher-keys-XXXXXX", path[64];
    struct ush_buf problem;
    struct stat st;
    struct keys first, second;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/usher.key", folder);
    ush_buf_init(&problem, 1024);
    ck_assert_int_eq(keys_load(&first, path, &problem), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_eq(keys_load(&second, path, &problem), 0);
    ck_assert_int_eq(memcmp(&first, &second, sizeof first), 0);
    ck_assert_int_eq(chmod(path, 0644), 0);
    ck_assert_int_eq(keys_load(&second, path, &problem), -EPERM);
    ck_assert_ptr_nonnull(strstr(problem.at, "chmod 600"));
    ck_assert_int_eq(chmod(path, 0600), 0);
    ck_assert_int_eq(truncate(path, 20), 0);
    ck_assert_int_eq(keys_load(&second, path, &problem), -EINVAL);
    unlink(path);
    rmdir(folder);
    ck_assert_int_eq(keys_load(&second, "/nonexistent/usher.key", &problem), -ENOENT);
    ush_buf_fini(&problem);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tickets");
    TCase *t = tcase_create("codes");
    suite_add_tcase(suite, t);
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_loop_test(t, public_ids, 0, (int)USH_COUNT(ids));
    tcase_add_loop_test(t, manage_tokens, 0, (int)USH_COUNT(ids));
    tcase_add_loop_test(t, short_codes, 0, (int)USH_COUNT(ids));
    tcase_add_test(t, short_codes_are_a_permutation);
    tcase_add_loop_test(t, tickets, 0, (int)USH_COUNT(ids));
    tcase_add_test(t, ticket_links);
    tcase_add_test(t, qr_codes);
    tcase_add_test(t, hashes_keep_parts_apart);
    tcase_add_test(t, secret_file);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
