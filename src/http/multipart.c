/*
 * multipart.c - the parts of a form that may carry a file: multipart/form-data (RFC 7578).
 *
 *     body      = "--" boundary CRLF part *( CRLF "--" boundary CRLF part )
 *                 CRLF "--" boundary "--" [ CRLF ]
 *     part      = 1*( field-name ":" value CRLF ) CRLF content
 *     one of the fields: Content-Disposition: form-data; name="..." [ ; filename="..." ]
 *
 * That is what browsers send, and a narrow part of what RFC 2046 allows. The whole body is there;
 * a part is three slices of it, and nothing is copied or decoded.
 *
 * Invariants:
 *  1. Whatever two readers could take for different parts is refused: text before the first
 *     boundary or behind the last, a boundary that goes on as another word, one behind a bare LF
 *     or right behind the fields (is that line's end its own?), a line that continues, a
 *     parameter twice or one that we do not know ("filename*"), a name with a backslash (is it an
 *     escape?), Content-Transfer-Encoding (RFC 7578 §4.7 deprecates it).
 *  2. A body that ends before its last boundary gives no part that could be cut short: the part in
 *     which it ends is refused.
 *  3. The fields of a part are bounded, and so is the number of parts. Time is O(n): each byte of
 *     content is searched once.
 *  4. The name of a file is somebody's word: nothing here or above makes a path of it.
 */
#include "http/parse.h"

enum { FIELDS_BYTES_MAX = 1024, PARTS_MAX = 1000, BOUNDARY_MAX = 70 };
static_assert(sizeof((struct ush_multipart){0}.delimiter) >= 3 + BOUNDARY_MAX, "LF -- boundary");

/* Takes `prefix` from the front, if it is there. */
static bool skip(ush_text *t, ush_text prefix)
{
    if (!ush_text_starts(*t, prefix))
        return false;
    *t = (ush_text){t->at + prefix.len, t->len - prefix.len};
    return true;
}

/* What lies before the first `mark`, which is taken too; USH_NONE without one. */
static ush_text until(ush_text *t, ush_text mark)
{
    const char *found = memmem(t->at, t->len, mark.at, mark.len);
    if (!found)
        return USH_NONE;
    ush_text before = {t->at, (size_t)(found - t->at)};
    *t = (ush_text){found + mark.len, t->len - before.len - mark.len};
    return before;
}

static bool consists_of(ush_text t, unsigned classes)
{
    for (size_t i = 0; i < t.len; i++)
        if (!ush__is(t.at[i], classes))
            return false;
    return true;
}

/* The next `; name=value` of a field. 1, 0 at the end, USH_EPROTO. */
static int next_parameter(ush_text *rest, ush_text *ret_name, ush_text *ret_value)
{
    *rest = ush__ows_trim(*rest);
    if (!rest->len)
        return 0;
    if (!skip(rest, USH_T(";")))
        return USH_EPROTO;
    *rest = ush__ows_trim(*rest);
    *ret_name = until(rest, USH_T("="));
    if (!ret_name->len || !consists_of(*ret_name, USH__TOKEN))
        return USH_EPROTO;
    if (skip(rest, USH_T("\""))) {
        *ret_value = until(rest, USH_T("\""));
        return ret_value->at ? 1 : USH_EPROTO;
    }
    size_t n = 0;
    while (n < rest->len && ush__is(rest->at[n], USH__TOKEN))
        n++;
    *ret_value = (ush_text){rest->at, n};
    *rest = (ush_text){rest->at + n, rest->len - n};
    return n ? 1 : USH_EPROTO;
}

/* The characters of RFC 2046 §5.1.1 without the space. */
static bool is_boundary(ush_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (!((t.at[i] >= '0' && t.at[i] <= '9') ||
              ((t.at[i] | 0x20) >= 'a' && (t.at[i] | 0x20) <= 'z') ||
              (t.at[i] && strchr("'()+_,-./:=?", t.at[i]))))
            return false;
    return t.len > 0 && t.len <= BOUNDARY_MAX;
}

int ush_multipart_open(struct ush_multipart *m, ush_text content_type, ush_text body)
{
    ush_text rest = content_type, name, value, boundary = USH_NONE;
    int r;
    while (rest.len && *rest.at != ';')
        rest = (ush_text){rest.at + 1, rest.len - 1};
    while ((r = next_parameter(&rest, &name, &value)) == 1) {
        if (!ush_text_equal_nocase(name, USH_T("boundary")))
            continue;
        if (boundary.at)
            return USH_EPROTO;
        boundary = value;
    }
    if (r < 0 || !is_boundary(boundary))
        return USH_EPROTO;
    *m = (struct ush_multipart){.rest = body, .len = 3 + boundary.len, .delimiter = "\n--"};
    memcpy(m->delimiter + 3, boundary.at, boundary.len);
    return skip(&m->rest, (ush_text){m->delimiter + 1, m->len - 1}) ? 0 : USH_EPROTO;
}

static int read_disposition(ush_text value, struct ush_part *part)
{
    ush_text name, is;
    int r;
    if (part->name.at || value.len < 9 ||
        !ush_text_equal_nocase((ush_text){value.at, 9}, USH_T("form-data")))
        return USH_EPROTO;
    value = (ush_text){value.at + 9, value.len - 9};
    while ((r = next_parameter(&value, &name, &is)) == 1) {
        bool is_name = ush_text_equal_nocase(name, USH_T("name"));
        ush_text *to = is_name ? &part->name : &part->filename;
        if (to->at || (!is_name && !ush_text_equal_nocase(name, USH_T("filename"))))
            return USH_EPROTO;
        *to = is;
    }
    return r == 0 && part->name.len && ush_text_find(part->name, '\\') < 0 ? 0 : USH_EPROTO;
}

static int read_fields(ush_text *rest, struct ush_part *part)
{
    const char *start = rest->at;
    for (;;) {
        ush_text value = until(rest, USH_T("\r\n"));
        if (!value.at || rest->at - start > FIELDS_BYTES_MAX || !consists_of(value, USH__VALUE))
            return USH_EPROTO;
        if (!value.len)
            return part->name.at ? 0 : USH_EPROTO;
        ush_text name = until(&value, USH_T(":"));
        if (!name.len || !consists_of(name, USH__TOKEN) ||
            ush_text_equal_nocase(name, USH_T("Content-Transfer-Encoding")))
            return USH_EPROTO;
        if (ush_text_equal_nocase(name, USH_T("Content-Disposition")))
            USH_TRY(read_disposition(ush__ows_trim(value), part));
    }
}

int ush_multipart_next(struct ush_multipart *m, struct ush_part *ret)
{
    struct ush_part part = {.name = USH_NONE};
    if (skip(&m->rest, USH_T("--")))
        return m->rest.len == 0 || ush_text_equal(m->rest, USH_T("\r\n")) ? 0 : USH_EPROTO;
    if (m->count++ == PARTS_MAX || !skip(&m->rest, USH_T("\r\n")))
        return USH_EPROTO;
    USH_TRY(read_fields(&m->rest, &part));
    if (ush_text_starts(m->rest, (ush_text){m->delimiter + 1, m->len - 1}))
        return USH_EPROTO;
    part.content = until(&m->rest, (ush_text){m->delimiter, m->len});
    if (!part.content.len || part.content.at[--part.content.len] != '\r')
        return USH_EPROTO;
    *ret = part;
    return 1;
}
