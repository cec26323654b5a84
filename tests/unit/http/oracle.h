/*
 * oracle.h - llhttp in strict mode as the judge of our parser: oracle_head_fault() and
 * oracle_body_fault() say in words where we are more lenient, or read the same bytes differently.
 *
 * Where the two are known to differ although we are right:
 *  - llhttp knows a fixed list of methods and refuses others; RFC 9110 §9 has any token. A method
 *    that we call OTHER is replaced by one that llhttp knows and that means nothing special.
 *  - llhttp keeps the white space behind a value; we trim it, as RFC 9112 §5.1 says.
 *  - llhttp also obeys Proxy-Connection, which no standard has ever defined, and does not see a
 *    token of Connection that is followed by a tab.
 *  - llhttp 8.1.0 refuses a second chunk extension behind `name=token`, a slip in its grammar.
 */
#ifndef TESTS_HTTP_ORACLE_H
#define TESTS_HTTP_ORACLE_H

#include <llhttp.h>
#include <stdio.h>

#include "http/parse.h"

static_assert(LLHTTP_STRICT_MODE == 1, "the loose grammar is no judge");

struct oracle {
    ush_text url;
    size_t header_count;
    struct ush_header headers[USH_HEADERS_MAX + 1];
    bool in_value; /* the last piece was one of a value */
    bool head_done, message_done, stop_at_head;
    char *body; /* where body bytes are gathered */
    size_t body_len;
};

static inline void oracle_piece(ush_text *whole, const char *at, size_t n)
{
    *whole = whole->at ? (ush_text){whole->at, whole->len + n} : (ush_text){at, n};
}

static inline int oracle_url(llhttp_t *p, const char *at, size_t n)
{
    oracle_piece(&((struct oracle *)p->data)->url, at, n);
    return 0;
}

static inline int oracle_name(llhttp_t *p, const char *at, size_t n)
{
    struct oracle *o = p->data;
    if (o->head_done)
        return 0;
    if (o->header_count == 0 || o->in_value) {
        if (o->header_count == USH_COUNT(o->headers))
            return -1;
        o->headers[o->header_count++] = (struct ush_header){{at, 0}, {NULL, 0}};
        o->in_value = false;
    }
    o->headers[o->header_count - 1].name.len += n;
    return 0;
}

static inline int oracle_value(llhttp_t *p, const char *at, size_t n)
{
    struct oracle *o = p->data;
    if (o->head_done)
        return 0;
    oracle_piece(&o->headers[o->header_count - 1].value, at, n);
    o->in_value = true;
    return 0;
}

static inline int oracle_value_end(llhttp_t *p)
{
    struct oracle *o = p->data;
    o->in_value = true; /* also behind an empty value, which has no piece */
    return 0;
}

static inline int oracle_head_end(llhttp_t *p)
{
    struct oracle *o = p->data;
    o->head_done = true;
    return o->stop_at_head ? HPE_PAUSED : 0;
}

static inline int oracle_body(llhttp_t *p, const char *at, size_t n)
{
    struct oracle *o = p->data;
    memcpy(o->body + o->body_len, at, n);
    o->body_len += n;
    return 0;
}

static inline int oracle_message_end(llhttp_t *p)
{
    ((struct oracle *)p->data)->message_done = true;
    return HPE_PAUSED;
}

/* Lets llhttp read `bytes`. The number of bytes up to where it paused, or -1 if it refused them;
 * 0 when it wants more. */
static inline ssize_t oracle_run(llhttp_t *p, struct oracle *o, ush_text bytes)
{
    static const llhttp_settings_t settings = {
        .on_url = oracle_url,
        .on_header_field = oracle_name,
        .on_header_value = oracle_value,
        .on_header_value_complete = oracle_value_end,
        .on_headers_complete = oracle_head_end,
        .on_body = oracle_body,
        .on_message_complete = oracle_message_end,
    };
    llhttp_init(p, HTTP_REQUEST, &settings);
    p->data = o;
    llhttp_errno_t e = llhttp_execute(p, bytes.at, bytes.len);
    if (e == HPE_OK)
        return 0;
    if (e != HPE_PAUSED && e != HPE_PAUSED_UPGRADE)
        return -1;
    return llhttp_get_error_pos(p) - bytes.at;
}

/* Whether llhttp may close for a reason that is none to us. */
static inline bool oracle_close_is_odd(const struct oracle *o)
{
    for (size_t i = 0; i < o->header_count; i++)
        if (ush_text_equal_nocase(o->headers[i].name, USH_T("proxy-connection")) ||
            (ush_text_equal_nocase(o->headers[i].name, USH_T("connection")) &&
             ush_text_find(o->headers[i].value, '\t') >= 0))
            return true;
    return false;
}

/* Room for a request whose method was replaced. */
enum { ORACLE_BYTES = 256 << 10 };

/* `bytes` with the method that llhttp may not know replaced; *ret_shift is what that adds. */
static inline ush_text oracle_known(ush_text bytes, const struct ush_head *head, ssize_t *ret_shift)
{
    static char copy[ORACLE_BYTES];
    *ret_shift = 0;
    if (head->method != USH_METHOD_OTHER)
        return bytes;
    size_t before = (size_t)(head->method_name.at - bytes.at);
    size_t behind = before + head->method_name.len;
    assert(bytes.len + 6 <= sizeof copy);
    memcpy(copy, bytes.at, before);
    memcpy(copy + before, "REPORT", 6);
    memcpy(copy + before + 6, bytes.at + behind, bytes.len - behind);
    *ret_shift = 6 - (ssize_t)head->method_name.len;
    return (ush_text){copy, (size_t)((ssize_t)bytes.len + *ret_shift)};
}

/* What is wrong with `head`, which we read as the first `n` of `bytes`; NULL if nothing. */
static inline const char *oracle_head_fault(ush_text bytes, int n, const struct ush_head *head)
{
    static struct oracle o;
    o = (struct oracle){.stop_at_head = true};
    ssize_t shift;
    ush_text known = oracle_known(bytes, head, &shift);
    llhttp_t p;
    ssize_t stop = oracle_run(&p, &o, known);
    if (stop < 0)
        return llhttp_get_error_reason(&p);
    if (!o.head_done || stop != n + shift)
        return "the head ends elsewhere";
    if (!ush_text_equal(o.url, head->target))
        return "the target differs";
    if (head->method != USH_METHOD_OTHER &&
        !ush_text_equal(ush_text_of(llhttp_method_name((llhttp_method_t)p.method)),
                        head->method_name))
        return "the method differs";
    if (p.http_major != 1 || p.http_minor != head->minor)
        return "the version differs";
    if (o.header_count != head->header_count)
        return "the number of fields differs";
    for (size_t i = 0; i < o.header_count; i++)
        if (!ush_text_equal(o.headers[i].name, head->headers[i].name) ||
            !ush_text_equal(ush__ows_trim(o.headers[i].value), head->headers[i].value))
            return "a field differs";
    if (!!(p.flags & F_CHUNKED) != head->is_chunked)
        return "chunked or not differs";
    if (!!(p.flags & F_TRANSFER_ENCODING) != head->is_chunked)
        return "there is another coding";
    if (!!(p.flags & F_CONTENT_LENGTH) != (head->content_length >= 0))
        return "there is a length or not";
    if (head->content_length >= 0 && (uint64_t)head->content_length != p.content_length)
        return "the length differs";
    if (head->keep_alive && !llhttp_should_keep_alive(&p) && !oracle_close_is_odd(&o))
        return "llhttp would close";
    return NULL;
}

/* The same for a chunked body that we read as the first `n` of `bytes`, with `data` in it. */
static inline const char *oracle_body_fault(ush_text bytes, size_t n, ush_text data)
{
    static const char head[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    static char request[ORACLE_BYTES], body[ORACLE_BYTES];
    size_t before = sizeof head - 1;
    assert(before + bytes.len <= sizeof request);
    memcpy(request, head, before);
    memcpy(request + before, bytes.at, bytes.len);
    static struct oracle o;
    o = (struct oracle){.body = body};
    llhttp_t p;
    ssize_t stop = oracle_run(&p, &o, (ush_text){request, before + bytes.len});
    if (llhttp_get_errno(&p) == HPE_INVALID_CHUNK_SIZE && llhttp_get_error_pos(&p)[-1] == ';')
        return NULL; /* the second extension, see above */
    if (stop < 0)
        return llhttp_get_error_reason(&p);
    if (!o.message_done || (size_t)stop != before + n)
        return "the body ends elsewhere";
    if (!ush_text_equal((ush_text){body, o.body_len}, data))
        return "the data differs";
    return NULL;
}

#endif
