/*
 * The parts of a form with a file: what browsers send is read, and whatever two readers could read
 * in two ways is refused.
 */
#include <check.h>
#include <stdlib.h>

#include "guard.h"
#include "http/parse.h"

#define TYPE "multipart/form-data; boundary="
#define NAMED(name) "Content-Disposition: form-data; name=\"" name "\"\r\n"

static const struct {
    const char *type, *body;
    const char *parts; /* "name=content|name(file)=content"; NULL: refused */
} cases[] = {
    /* what Chromium, Firefox, curl and Python send */
    {TYPE "----WebKitFormBoundaryAb12",
     "------WebKitFormBoundaryAb12\r\n" NAMED(
         "_key") "\r\nk1\r\n"
                 "------WebKitFormBoundaryAb12\r\nContent-Disposition: form-data; name=\"upload\"; "
                 "filename=\"fest 1.csv\"\r\nContent-Type: "
                 "text/csv\r\n\r\nslug,title\r\na,b\r\n\r\n"
                 "------WebKitFormBoundaryAb12--\r\n",
     "_key=k1|upload(fest 1.csv)=slug,title\r\na,b\r\n"},
    {TYPE "x",
     "--x\r\nContent-Disposition: form-data; name=\"u\"; filename=\"\"\r\n"
     "Content-Type: application/octet-stream\r\n\r\n\r\n--x--\r\n",
     "u()="},
    {TYPE "x", "--x\r\ncontent-disposition:FORM-DATA;NAME=u;FileName=a.csv\r\n\r\n1\r\n--x--",
     "u(a.csv)=1"},
    {TYPE "\"a'()+_,-./:=?b\"", "--a'()+_,-./:=?b\r\n" NAMED("u") "\r\n1\r\n--a'()+_,-./:=?b--",
     "u=1"},
    {"Multipart/Form-Data; charset=utf-8; Boundary=x",
     "--x\r\n" NAMED("u") "X-More: yes\r\n\r\n1\r\n--x--", "u=1"},
    {TYPE "x", "--x\r\n" NAMED("ü") "\r\n\xff\r\n--x--", "ü=\xff"},
    {TYPE "x",
     "--x\r\nContent-Disposition: form-data; name=\"u\"; filename=\"C:\\a;b=c.csv\"\r\n\r\n"
     "1\r\n--x--",
     "u(C:\\a;b=c.csv)=1"},
    {TYPE "x", "--x--", ""},
    {TYPE "x", "--x--\r\n", ""},
    /* content that looks like a boundary, and is none */
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n-\r\n-x\r\n--y\r\n\r\n--\n--y--\r\n--x--",
     "u=-\r\n-x\r\n--y\r\n\r\n--\n--y--"},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\na\r\n\r\n\r\n--x--", "u=a\r\n\r\n"},
    /* the type */
    {"multipart/form-data", "--x--", NULL},
    {TYPE, "--x--", NULL},
    {TYPE "\"\"", "----", NULL},
    {TYPE "\"x", "--x--", NULL},
    {TYPE "x y", "--x--", NULL},
    {TYPE "\"x y\"", "--x y--", NULL},
    {TYPE "x; boundary=x", "--x--", NULL},
    {TYPE "x; boundary=y", "--y--", NULL},
    {TYPE "x;", "--x--", NULL},
    {TYPE "x; =1", "--x--", NULL},
    {TYPE "\"\r\n\"", "--\r\n--", NULL},
    {TYPE "1234567890123456789012345678901234567890123456789012345678901234567890",
     "--1234567890123456789012345678901234567890123456789012345678901234567890--", ""},
    {TYPE "12345678901234567890123456789012345678901234567890123456789012345678901",
     "--12345678901234567890123456789012345678901234567890123456789012345678901--", NULL},
    /* the frame */
    {TYPE "x", "", NULL},
    {TYPE "x", "--x", NULL},
    {TYPE "x", "--x-", NULL},
    {TYPE "x", "--x\r\n", NULL},
    {TYPE "x", "--x \r\n" NAMED("u") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--xy\r\n" NAMED("u") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\n" NAMED("u") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "before\r\n--x\r\n" NAMED("u") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "\r\n--x\r\n" NAMED("u") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1\r\n--x--behind", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1\r\n--x--\r\n\r\n", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1\r\n", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1\r\n--x", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1\r\n--x\r\n", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1\n--x\r\n2\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n--x\r\n" NAMED("v") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") "\r\n1\r\n--xx\r\n--x--", NULL},
    /* the fields of a part */
    {TYPE "x", "--x\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\nContent-Type: text/csv\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("u") NAMED("u") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\\\"b") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\\b") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\"; name=\"b") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\"; filename*=\"UTF-8''b") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\"; size=\"1") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\" filename=\"b") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\";") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\nContent-Disposition: form-data; name=a b\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\nContent-Disposition: form-data; name\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\nContent-Disposition: form-datax; name=a\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a") " more\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a") "no colon\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a") ": empty\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a") "X : 1\r\n\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\x01") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a\nb") "\r\n1\r\n--x--", NULL},
    {TYPE "x", "--x\r\n" NAMED("a") "Content-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--x--", NULL},
};

/* "name(file)=content|..." of a body that lies in front of forbidden memory; false if refused. */
static bool read_parts(const char *type, ush_text body, struct ush_buf *out)
{
    struct ush_multipart m;
    struct ush_part p;
    const char *separator = "";
    int r = ush_multipart_open(&m, ush_text_of(type), body);
    while (r == 0 && (r = ush_multipart_next(&m, &p)) == 1) {
        ush_buf_printf(out, "%s%.*s", separator, USH_PR(p.name));
        if (p.filename.at)
            ush_buf_printf(out, "(%.*s)", USH_PR(p.filename));
        ush_buf_printf(out, "=%.*s", USH_PR(p.content));
        separator = "|";
        r = 0;
    }
    return r == 0;
}

START_TEST(bodies)
{
    const char *type = cases[_i].type, *body = cases[_i].body;
    struct ush_buf out;
    ush_buf_init(&out, 1 << 16);
    size_t n = strlen(body);
    bool good = read_parts(type, guarded((ush_text){body, n}), &out);
    ck_assert_msg(good == (cases[_i].parts != NULL), "%s", body);
    ush_buf_add_byte(&out, 0);
    if (good)
        ck_assert_str_eq(out.at, cases[_i].parts);
    ush_buf_fini(&out);
}
END_TEST

/* A whole body that is cut anywhere gives no part of which something is missing. */
START_TEST(cut_bodies_are_refused)
{
    const char *body = cases[0].body;
    for (size_t n = 0; n < strlen(body) - 2; n++) {
        struct ush_buf out;
        ush_buf_init(&out, 1 << 16);
        ck_assert_msg(!read_parts(cases[0].type, guarded((ush_text){body, n}), &out), "%zu", n);
        ck_assert(n < strlen(body) - 30 || out.len < strlen(cases[0].parts) + 1);
        ush_buf_fini(&out);
    }
}
END_TEST

static const struct {
    const char *what;
    size_t fields_bytes, parts;
    bool good;
} limits[] = {
    {"fields that fit", 1024, 1, true},
    {"fields that do not", 1025, 1, false},
    {"a thousand parts", 60, 1000, true},
    {"one more", 60, 1001, false},
};

START_TEST(what_can_grow_has_a_limit)
{
    struct ush_buf body, out;
    ush_buf_init(&body, 1 << 20);
    ush_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < limits[_i].parts; i++) {
        size_t pad = limits[_i].fields_bytes - strlen(NAMED("u")) - strlen("X:\r\n\r\n");
        ush_buf_add(&body, USH_T("--x\r\n" NAMED("u") "X:"));
        for (size_t k = 0; k < pad; k++)
            ush_buf_add_byte(&body, 'a');
        ush_buf_add(&body, USH_T("\r\n\r\n1\r\n"));
    }
    ush_buf_add(&body, USH_T("--x--"));
    bool good = read_parts(TYPE "x", ush_buf_text(&body), &out);
    ck_assert_msg(good == limits[_i].good, "%s", limits[_i].what);
    ush_buf_fini(&body);
    ush_buf_fini(&out);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("multipart");
    TCase *tc = tcase_create("multipart");
    tcase_add_loop_test(tc, bodies, 0, USH_COUNT(cases));
    tcase_add_test(tc, cut_bodies_are_refused);
    tcase_add_loop_test(tc, what_can_grow_has_a_limit, 0, USH_COUNT(limits));
    suite_add_tcase(s, tc);
    SRunner *sr = srunner_create(s);
    srunner_run_all(sr, CK_ENV);
    int failed = srunner_ntests_failed(sr);
    srunner_free(sr);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
