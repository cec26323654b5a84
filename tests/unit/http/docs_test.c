/*
 * docs_test.c - the OpenAPI document and the page say what the table says: every row, every record
 * once, every reference resolved, every failure.
 */
#include <jansson.h>

#include "site.h"

#define SCHOOL_FIELDS(F, R) F(R, TEXT, city, .doc = "Where <it> is")
USH_RECORD(school, SCHOOL_FIELDS)
USH_RECORD_DEFINE(school, SCHOOL_FIELDS)

#define STUDENT_FIELDS(F, R)                                                                       \
    F(R, TEXT, name, .max = 20, .doc = "What \"people\" call them", .example = "\"Asha\"")         \
    F(R, ONE, school, .of = &school_record, .optional = true, .doc = "The school")
USH_RECORD(student, STUDENT_FIELDS)
USH_RECORD_DEFINE(student, STUDENT_FIELDS)

#define SEARCH_FIELDS(F, R) F(R, I64, page, .min = 1, .max = 99, .optional = true, .doc = "Page")
USH_RECORD(search, SEARCH_FIELDS)
USH_RECORD_DEFINE(search, SEARCH_FIELDS)

static const struct ush_problem sold_out = {"sold_out", 409, "No places left", "Too late."},
                                closed = {"closed", 409, "Closed", "Far too late."};
static const struct ush_problem *const failures[] = {&sold_out, &closed, NULL};

static int handler(struct ush_request *rq)
{
    return ush_reply(rq, 200, NULL, USH_NONE);
}

static const struct ush_route_header headers[] = {
    {"Request-Key", "Any \"text\".", 8, 255}, {"Other", "More."}, {0}};
static const struct ush_route_bearer link_token = {"link", "Of the <link>."},
                                     own_token = {"own", "Another."};

static const struct ush_asset icon = {.path = "/icon", .etag = "\"1\"", .plain = {"i", 1}};
static const struct ush_route routes[] = {
    {"GET", "/students", handler, .doc = "Lists students.", .query = &search_record,
     .reply = &student_record, .group = "students"},
    {"POST", "/students", handler, .doc = "Adds a student.\n\nOnly in March.", .group = "students",
     .body = &student_record, .reply = &student_record, .reply_status = 201, .problems = failures,
     .headers = headers, .bearer = &link_token},
    {"GET", "/students/{id}/marks/{no}", handler, .doc = "A <mark>.", .group = "marks",
     .headers = headers},
    {"DELETE", "/students", handler, .doc = "Ends all.", .bearer = &link_token},
    {"PUT", "/students", handler, .doc = "Begins.", .bearer = &own_token},
    {"GET", "/page", handler, .doc = "For people.", .is_page = true},
    {"GET", "/icon", .doc = "Icon.", .asset = &icon},
    {"GET", "/openapi.json", ush_openapi_handler, .doc = "This.", .is_page = true},
    {"GET", "/docs", ush_docs_handler, .doc = "This.", .is_page = true},
};

static json_t *load(void)
{
    const struct ush_http_options o = {
        .routes = routes, .route_count = USH_COUNT(routes), .title = "T & \"T\"", .version = "2"};
    struct ush_buf b;
    ush_buf_init(&b, 1 << 20);
    ush_openapi(&o, &b);
    json_error_t error;
    json_t *doc = json_loadb(b.at, b.len, JSON_REJECT_DUPLICATES, &error);
    ck_assert_msg(doc != NULL, "%s at %d: %s", error.text, error.position, b.at);
    ush_buf_fini(&b);
    return doc;
}

/* The value at a JSON pointer, or NULL. */
static json_t *at(json_t *doc, const char *pointer)
{
    char key[128];
    while (doc && *pointer++ == '/') {
        size_t n = strcspn(pointer, "/"), k = 0;
        for (size_t i = 0; i < n; i++) { /* "~1" stands for a slash */
            bool is_slash = pointer[i] == '~' && pointer[i + 1] == '1';
            key[k++] = is_slash ? '/' : pointer[i];
            i += is_slash;
        }
        key[k] = 0;
        doc =
            json_is_array(doc) ? json_array_get(doc, (size_t)atoi(key)) : json_object_get(doc, key);
        pointer += n;
    }
    return doc;
}

static const char *text_at(json_t *doc, const char *pointer)
{
    return json_string_value(at(doc, pointer));
}

START_TEST(rows_are_described)
{
    json_t *doc = load();
    ck_assert_pstr_eq(text_at(doc, "/openapi"), "3.1.0");
    ck_assert_pstr_eq(text_at(doc, "/info/title"), "T & \"T\"");
    json_t *paths = at(doc, "/paths");
    ck_assert_uint_eq(json_object_size(paths), 2);
    ck_assert_uint_eq(json_object_size(at(paths, "/~1students")), 4);
    json_t *post = at(paths, "/~1students/post");
    ck_assert_pstr_eq(text_at(post, "/summary"), "Adds a student.");
    ck_assert_pstr_eq(text_at(post, "/description"), "Only in March.");
    ck_assert_pstr_eq(text_at(post, "/tags/0"), "students");
    ck_assert_pstr_eq(text_at(post, "/operationId"), "post_students");
    ck_assert_pstr_eq(text_at(post, "/requestBody/content/application~1json/schema/$ref"),
                      "#/components/schemas/student");
    ck_assert_pstr_eq(text_at(post, "/responses/201/content/application~1json/schema/$ref"),
                      "#/components/schemas/student");
    ck_assert_pstr_eq(text_at(post, "/responses/409/description"), "`sold_out`, `closed`");
    ck_assert_ptr_nonnull(at(post, "/responses/422"));
    ck_assert_ptr_nonnull(at(post, "/responses/503"));
    json_t *marks = at(paths, "/~1students~1{id}~1marks~1{no}/get");
    ck_assert_pstr_eq(text_at(marks, "/parameters/0/name"), "id");
    ck_assert_pstr_eq(text_at(marks, "/parameters/1/name"), "no");
    ck_assert_pstr_eq(text_at(marks, "/operationId"), "get_students_id_marks_no");
    ck_assert_pstr_eq(text_at(paths, "/~1students/get/parameters/0/name"), "page");
    json_decref(doc);
}
END_TEST

static int check_references(json_t *doc, json_t *part)
{
    int found = 0;
    const char *key;
    json_t *value;
    size_t i;
    json_object_foreach(part, key, value)
    {
        if (strcmp(key, "$ref") == 0) {
            const char *target = json_string_value(value);
            ck_assert_msg(target && *target == '#' && at(doc, target + 1), "%s", target);
            found++;
        }
        found += check_references(doc, value);
    }
    if (json_is_array(part))
        json_array_foreach(part, i, value) found += check_references(doc, value);
    return found;
}

START_TEST(headers_and_tokens_are_described)
{
    json_t *doc = load();
    json_t *post = at(doc, "/paths/~1students/post");
    ck_assert_uint_eq(json_array_size(at(post, "/parameters")), 2);
    ck_assert_pstr_eq(text_at(post, "/parameters/0/name"), "Request-Key");
    ck_assert_pstr_eq(text_at(post, "/parameters/0/in"), "header");
    ck_assert(json_is_false(at(post, "/parameters/0/required")));
    ck_assert_pstr_eq(text_at(post, "/parameters/0/description"), "Any \"text\".");
    ck_assert_int_eq(json_integer_value(at(post, "/parameters/0/schema/minLength")), 8);
    ck_assert_int_eq(json_integer_value(at(post, "/parameters/0/schema/maxLength")), 255);
    ck_assert_pstr_eq(text_at(post, "/parameters/1/name"), "Other");
    ck_assert_ptr_null(at(post, "/parameters/1/schema/minLength"));
    ck_assert_ptr_nonnull(at(post, "/security/0/link"));
    json_t *marks = at(doc, "/paths/~1students~1{id}~1marks~1{no}/get");
    ck_assert_pstr_eq(text_at(marks, "/parameters/2/name"), "Request-Key");
    ck_assert_ptr_null(at(marks, "/security"));
    json_t *schemes = at(doc, "/components/securitySchemes");
    ck_assert_uint_eq(json_object_size(schemes), 2);
    ck_assert_pstr_eq(text_at(schemes, "/link/type"), "http");
    ck_assert_pstr_eq(text_at(schemes, "/link/scheme"), "bearer");
    ck_assert_pstr_eq(text_at(schemes, "/link/description"), "Of the <link>.");
    json_decref(doc);
}
END_TEST

START_TEST(references_lead_somewhere)
{
    json_t *doc = load();
    ck_assert_int_gt(check_references(doc, doc), 10);
    ck_assert_ptr_nonnull(at(doc, "/components/schemas/school/properties/city"));
    ck_assert_uint_eq(json_object_size(at(doc, "/components/schemas")), 5);
    json_decref(doc);
}
END_TEST

BOTH_TEST(documents_are_served)
{
    struct site s;
    site_open(&s, routes, USH_COUNT(routes),
              &(struct ush_http_options){.title = "T & T", .version = "2"});
    int c = site_connect(&s);
    for (int i = 0; i < 2; i++) { /* made once, served twice */
        struct heard *h = ask(c, GET("/openapi.json"));
        json_t *doc = json_loads(h->body, 0, NULL);
        ck_assert_ptr_nonnull(doc);
        json_decref(doc);
        h = ask(c, GET("/docs"));
        ck_assert_int_eq(h->status, 200);
        static const char *const parts[] = {
            "<title>T &amp; T</title>", "/students/{id}/marks/{no}", "A &lt;mark&gt;.",
            "id=\"record-school\"",     "id=\"problem-sold_out\"",   "Where &lt;it&gt; is",
            "<h2>marks</h2>",           "<code>Request-Key</code>",  "Of the &lt;link&gt;.",
        };
        for (size_t k = 0; k < USH_COUNT(parts); k++)
            ck_assert_msg(strstr(h->body, parts[k]) != NULL, "%s", parts[k]);
        ck_assert_ptr_null(strstr(h->body, "<script"));
        ck_assert_ptr_null(strstr(h->body, "For people."));
        ck_assert_ptr_nonnull(strstr(heard_field(h, "Content-Security-Policy"), "style-src"));
    }
    ush_close(c);
    return site_close(&s);
}

int main(void)
{
    Suite *s = suite_create("docs");
    TCase *tc = tcase_create("docs");
    tcase_add_test(tc, rows_are_described);
    tcase_add_test(tc, headers_and_tokens_are_described);
    tcase_add_test(tc, references_lead_somewhere);
    both_add(tc, documents_are_served);
    suite_add_tcase(s, tc);
    return both_main(s);
}
