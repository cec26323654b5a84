/*
 * field_fuzz.c - any bytes as the value of a field, to every reader of one: no crash, results in
 * their ranges, slices inside the bytes. The first line is the value, the second what is looked
 * for in it.
 */
#include <stdlib.h>

#include "http/parse.h"

#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_inside(ush_text part, ush_text all)
{
    MUST(!part.at || (part.at >= all.at && part.at + part.len <= all.at + all.len));
}

/* As the fields of a proxy that is trusted. */
static void check_origin(ush_text value)
{
    static const char *const names[] = {"X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host"};
    static struct ush_head head;
    struct ush_address peer = {.storage.ss_family = AF_UNIX};
    struct ush__networks trusted;
    struct ush__origin origin;
    ush_text wrong;
    MUST(ush__networks_parse(USH_T("unix 10.0.0.0/8 ::1"), &trusted, &wrong) == 0);
    for (head.header_count = 0; head.header_count < USH_COUNT(names); head.header_count++)
        head.headers[head.header_count] =
            (struct ush_header){ush_text_of(names[head.header_count]), value};
    for (size_t i = 0; i < USH_COUNT(names); i++) {
        head.headers[0].name = ush_text_of(names[i]);
        int r = ush__origin_of(&head, &trusted, &peer, &origin);
        MUST(r == 0 || r == -400);
        if (r == 0) {
            struct ush__ip ip;
            check_inside(origin.client, value);
            check_inside(origin.host, value);
            MUST(!origin.client.at || ush__ip_parse(origin.client, &ip) == 0);
            MUST(!origin.host.at || ush__host_is_valid(origin.host));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    ush_text wanted = {(const char *)bytes, n};
    ush_text value = ush_text_cut(&wanted, '\n');
    check_inside(ush__cookie(value, wanted), value);
    int q = ush__quality(value, wanted);
    MUST(q >= -1 && q <= 1000);
    ush__prefers_html(value);
    ush__media_type_is(value, wanted);
    ush__etag_is_listed(value, wanted);
    struct ush__networks networks;
    ush_text wrong;
    if (ush__networks_parse(value, &networks, &wrong) == 0)
        MUST(networks.count <= USH__NETWORKS_MAX);
    else
        check_inside(wrong, value);
    check_origin(value);
    return 0;
}
