/*
 * header.c - reading the values of fields: cookies, preferences, media types, entity tags.
 *
 * A field that a client got wrong is not worth refusing a request for here (unlike in head.c, where
 * it decides about framing): an element that cannot be read counts as absent, and the answer is
 * what a client without it would get.
 */
#include "http/parse.h"

ush_text ush__cookie(ush_text field, ush_text name)
{
    while (field.at) {
        ush_text value = ush__ows_trim(ush_text_cut(&field, ';'));
        ush_text have = ush_text_cut(&value, '=');
        if (value.at && ush_text_equal(have, name))
            return value;
    }
    return USH_NONE;
}

/* ---- preferences ---------------------------------------------------------------------------- */

/* qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in thousandths; -1 for others. */
static int weight(ush_text t)
{
    if (t.len == 0 || t.len > 5 || (t.len > 1 && t.at[1] != '.'))
        return -1;
    int q = 0;
    for (size_t i = 0; i < 5; i++) {
        char digit = i < t.len ? t.at[i] : '0';
        if (i == 1)
            continue;
        if (!ush__is(digit, USH__DIGIT))
            return -1;
        q = q * 10 + (digit - '0');
    }
    return q <= 1000 ? q : -1;
}

/* 3 for the thing itself, 2 for its "type" with a star, 1 for the star alone, 0 for no match. */
static int specificity(ush_text range, ush_text want)
{
    if (ush_text_equal_nocase(range, want))
        return 3;
    if (ush_text_equal(range, USH_T("*")) || ush_text_equal(range, USH_T("*/*")))
        return 1;
    if (range.len < 3 || range.len - 1 > want.len || !ush_text_ends(range, USH_T("/*")))
        return 0;
    range.len--;
    return ush_text_equal_nocase(range, (ush_text){want.at, range.len}) ? 2 : 0;
}

int ush__quality(ush_text field, ush_text want)
{
    int best = 0, quality = -1;
    for (ush_text element; (element = ush__list_next(&field)).at;) {
        ush_text range = ush__ows_trim(ush_text_cut(&element, ';'));
        int q = 1000;
        while (element.at) {
            ush_text value = ush__ows_trim(ush_text_cut(&element, ';'));
            if (USH__TOKEN_IS(ush_text_cut(&value, '='), "q"))
                q = weight(value);
        }
        int s = specificity(range, want);
        if (q >= 0 && s > best) {
            best = s;
            quality = q;
        }
    }
    return quality;
}

bool ush__prefers_html(ush_text accept)
{
    int html = ush__quality(accept, USH_T("text/html"));
    return html > 0 && html > ush__quality(accept, USH_T("application/json"));
}

bool ush__takes_gzip(ush_text accept_encoding)
{
    return ush__quality(accept_encoding, USH_T("gzip")) > 0;
}

/* ---- media types and entity tags ------------------------------------------------------------ */

bool ush__media_type_is(ush_text field, ush_text type)
{
    if (!ush_text_equal_nocase(ush__ows_trim(ush_text_cut(&field, ';')), type))
        return false;
    while (field.at) {
        ush_text value = ush__ows_trim(ush_text_cut(&field, ';'));
        if (!USH__TOKEN_IS(ush_text_cut(&value, '='), "charset"))
            continue;
        if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
            value = (ush_text){value.at + 1, value.len - 2};
        if (!ush_text_equal_nocase(value, USH_T("utf-8")))
            return false;
    }
    return true;
}

bool ush__etag_is_listed(ush_text field, ush_text etag)
{
    field = ush__ows_trim(field);
    if (ush_text_equal(field, USH_T("*")))
        return true;
    /* Cut at quotes, not at commas: a tag may contain those. */
    for (;;) {
        ush_text_cut(&field, '"');
        if (!field.at)
            return false;
        const char *start = field.at - 1;
        ush_text inner = ush_text_cut(&field, '"');
        if (!field.at)
            return false;
        if (ush_text_equal((ush_text){start, inner.len + 2}, etag))
            return true;
    }
}
