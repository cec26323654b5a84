/*
 * request.c - what a handler asks of its request by name, and the names that we give to a request.
 *
 * Nothing is indexed beforehand: a head has a dozen fields and a handler asks for one or two, so a
 * walk over them is cheaper than any table. Values come out as they were received, except for
 * query values, which are decoded; whoever uses one decides what it may contain.
 */
#include <arpa/inet.h>

#include "http/http.h"

ush_text ush__head_get(const struct ush_head *head, const char *name)
{
    ush_text wanted = ush_text_of(name);
    for (size_t i = 0; i < head->header_count; i++)
        if (head->headers[i].name.len == wanted.len &&
            ush_text_equal_nocase(head->headers[i].name, wanted))
            return head->headers[i].value;
    return USH_NONE;
}

ush_text ush_header(const struct ush_request *rq, const char *name)
{
    return ush__head_get(rq->head, name);
}

ush_text ush_param(const struct ush_request *rq, const char *name)
{
    const struct ush__row *row = ush__exchange_of(rq)->row;
    ush_text wanted = ush_text_of(name);
    for (int i = 0; row && i < USH_PARAMS_MAX && row->params[i].at; i++)
        if (ush_text_equal(row->params[i], wanted))
            return rq->params[i];
    return USH_NONE;
}

ush_text ush_cookie(const struct ush_request *rq, const char *name)
{
    ush_text wanted = ush_text_of(name), found = USH_NONE;
    for (size_t i = 0; i < rq->head->header_count && !found.at; i++)
        if (ush_text_equal_nocase(rq->head->headers[i].name, USH_T("cookie")))
            found = ush__cookie(rq->head->headers[i].value, wanted);
    return found;
}

bool ush_is_forwarded(const struct ush_request *rq)
{
    return !rq->conn->is_trusted &&
           (ush_header(rq, "X-Forwarded-For").at || ush_header(rq, "Forwarded").at);
}

bool ush_wants_html(const struct ush_request *rq)
{
    return ush__prefers_html(ush_header(rq, "accept"));
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* As forms encode: '+' is a space; an escape that is none stays as it is. */
static ush_text form_decoded(ush_text raw, struct ush_arena *arena)
{
    char *out = ush_arena_alloc(arena, raw.len + 1);
    if (!out)
        return USH_NONE;
    size_t n = 0;
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.at[i];
        if (c == '%' && i + 2 < raw.len && hex(raw.at[i + 1]) >= 0 && hex(raw.at[i + 2]) >= 0) {
            c = (char)(hex(raw.at[i + 1]) << 4 | hex(raw.at[i + 2]));
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        out[n++] = c;
    }
    return (ush_text){out, n};
}

ush_text ush_query(struct ush_request *rq, const char *name)
{
    ush_text rest = rq->head->query, wanted = ush_text_of(name);
    while (rest.at) {
        ush_text value = ush_text_cut(&rest, '&'), key = ush_text_cut(&value, '=');
        if (ush_text_equal(key, wanted))
            return value.at ? form_decoded(value, rq->arena) : (ush_text){"", 0};
    }
    return USH_NONE;
}

/* ---- names ---------------------------------------------------------------------------------- */

ush_text ush__client_format(const struct ush_conn *c, char out[46])
{
    struct ush_http *h = c->http;
    if (c->is_unix)
        return USH_T("unix");
    if (memcmp(&h->client_ip, &c->ip, sizeof(c->ip)) != 0) { /* else the same proxy again */
        static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
        bool is_v4 = memcmp(c->ip.bytes, mapped, sizeof(mapped)) == 0;
        inet_ntop(is_v4 ? AF_INET : AF_INET6, c->ip.bytes + (is_v4 ? 12 : 0), h->client,
                  sizeof(h->client));
        h->client_ip = c->ip;
        h->client_len = (char)strlen(h->client);
    }
    memcpy(out, h->client, sizeof(h->client));
    return (ush_text){out, (size_t)h->client_len};
}

int ush__origin_by(const struct ush_conn *c, const struct ush_head *head, struct ush__origin *ret)
{
    struct ush_address peer = {.storage.ss_family = c->is_unix ? AF_UNIX : AF_INET6};
    if (!c->is_unix)
        memcpy(&((struct sockaddr_in6 *)&peer.storage)->sin6_addr, c->ip.bytes, 16);
    return ush__origin_of(head, &c->http->trusted, &peer, ret);
}

static bool is_sane_id(ush_text id)
{
    for (size_t i = 0; i < id.len; i++)
        if (!ush__is(id.at[i], USH__TOKEN) || strchr("!#$%&'*+^`|~", id.at[i]))
            return false;
    return id.len >= 1 && id.len <= 26;
}

void ush__request_name(struct ush_http *h, const struct ush_head *head, char out[27])
{
    ush_text given = ush__head_get(head, "x-request-id");
    if (is_sane_id(given)) {
        memcpy(out, given.at, given.len);
        out[given.len] = 0;
        return;
    }
    /* Unique: a random number of the worker and a count. The mixing only makes it look so. */
    uint64_t id[2] = {h->id_seed, (++h->id_count + h->id_seed) * UINT64_C(0x9E3779B97F4A7C15)};
    ush_base32_format(id, sizeof(id), out);
}
