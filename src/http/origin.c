/*
 * origin.c - who sent a request that came through proxies, and which proxies are believed.
 *
 * Each proxy adds the address of its own peer at the right end of X-Forwarded-For. So from the
 * right: the connection's peer, whom the kernel vouches for; if it is trusted, the last element,
 * which it vouches for; if that is trusted too, the one before; and so on. The first address that
 * is not trusted is the client. What lies left of it, the client may have written itself.
 *
 * X-Forwarded-Proto and -Host have no such chain: a proxy is expected to set, not to add. If they
 * hold several values that differ, somebody in front did not do so, and guessing would let a
 * client choose; that is refused.
 *
 * The Forwarded field (RFC 7239) is not read: proxies that set the X- family pass a client's own
 * Forwarded through, so reading both is the hole, and the X- family is what proxies set.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "http/parse.h"

/* ---- addresses and networks ----------------------------------------------------------------- */

static const unsigned char v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

static void ip_from_v4(const void *four_bytes, struct ush__ip *ret)
{
    memcpy(ret->bytes, v4_prefix, 12);
    memcpy(ret->bytes + 12, four_bytes, 4);
}

static bool is_v4(const struct ush__ip *ip)
{
    return memcmp(ip->bytes, v4_prefix, 12) == 0;
}

int ush__ip_parse(ush_text t, struct ush__ip *ret)
{
    char s[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (t.len == 0 || t.len >= sizeof s || memchr(t.at, 0, t.len))
        return -EINVAL;
    memcpy(s, t.at, t.len);
    s[t.len] = 0;
    if (inet_pton(AF_INET, s, &v4) == 1)
        ip_from_v4(&v4, ret);
    else if (inet_pton(AF_INET6, s, &v6) == 1)
        memcpy(ret->bytes, &v6, 16);
    else
        return -EINVAL;
    return 0;
}

bool ush__ip_of(const struct ush_address *a, struct ush__ip *ret)
{
    if (a->storage.ss_family == AF_INET)
        ip_from_v4(&((const struct sockaddr_in *)&a->storage)->sin_addr, ret);
    else if (a->storage.ss_family == AF_INET6)
        memcpy(ret->bytes, &((const struct sockaddr_in6 *)&a->storage)->sin6_addr, 16);
    else
        return false;
    return true;
}

/* The bits of byte `i` that a prefix covers. */
static unsigned char mask(unsigned prefix, unsigned i)
{
    unsigned bits = prefix > i * 8 ? prefix - i * 8 : 0;
    return bits >= 8 ? 0xff : (unsigned char)(0xff00 >> bits);
}

static int network_parse(ush_text word, struct ush__networks *n)
{
    if (n->count == USH__NETWORKS_MAX)
        return -EINVAL;
    struct ush__ip ip;
    ush_text prefix = word;
    USH_TRY(ush__ip_parse(ush_text_cut(&prefix, '/'), &ip));
    int64_t most = is_v4(&ip) ? 32 : 128, bits = most;
    if (prefix.at && (ush_text_i64(prefix, &bits) < 0 || bits < 0 || bits > most))
        return -EINVAL;
    unsigned all = (unsigned)(bits + 128 - most);
    for (unsigned i = 0; i < 16; i++)
        if (ip.bytes[i] & ~mask(all, i))
            return -EINVAL; /* 10.1.2.3/8 is a slip of the pen, for /32 or for 10.0.0.0 */
    n->list[n->count].ip = ip;
    n->list[n->count++].prefix = (uint8_t)all;
    return 0;
}

int ush__networks_parse(ush_text list, struct ush__networks *ret, ush_text *ret_wrong)
{
    *ret = (struct ush__networks){0};
    for (ush_text part; (part = ush__list_next(&list)).at;) {
        while (part.at) {
            ush_text word = ush_text_cut(&part, ' ');
            if (ush_text_equal(word, USH_T("unix"))) {
                ret->has_unix = true;
            } else if (word.len && network_parse(word, ret) < 0) {
                *ret_wrong = word;
                return -EINVAL;
            }
        }
    }
    return 0;
}

bool ush__networks_have(const struct ush__networks *n, const struct ush__ip *ip)
{
    for (size_t k = 0; k < n->count; k++) {
        unsigned differs = 0;
        for (unsigned i = 0; i < 16; i++)
            differs |= (ip->bytes[i] ^ n->list[k].ip.bytes[i]) & mask(n->list[k].prefix, i);
        if (!differs)
            return true;
    }
    return false;
}

/* ---- forwarded fields ----------------------------------------------------------------------- */

/* Takes the last element off a comma-separated list. */
static ush_text list_pop(ush_text *rest)
{
    size_t i = rest->len;
    while (i > 0 && rest->at[i - 1] != ',')
        i--;
    ush_text last = {rest->at + i, rest->len - i};
    *rest = i > 0 ? (ush_text){rest->at, i - 1} : USH_NONE;
    return ush__ows_trim(last);
}

/* "192.0.2.7", "192.0.2.7:1234", "[2001:db8::7]:1234" without brackets and port. */
static ush_text without_port(ush_text t)
{
    if (t.len && t.at[0] == '[') {
        t = (ush_text){t.at + 1, t.len - 1};
        return ush_text_cut(&t, ']');
    }
    ssize_t colon = ush_text_find(t, ':');
    if (colon >= 0 && !memchr(t.at + colon + 1, ':', t.len - (size_t)colon - 1))
        t.len = (size_t)colon;
    return t;
}

/* Goes from hop to hop leftwards while they are trusted. A hop that is no address ends the chain:
 * then the trusted proxy itself is all that is known. */
static ush_text client_of(const struct ush_head *head, const struct ush__networks *trusted)
{
    ush_text client = USH_NONE;
    for (size_t i = head->header_count; i-- > 0;) {
        if (!ush_text_equal_nocase(head->headers[i].name, USH_T("x-forwarded-for")))
            continue;
        for (ush_text rest = head->headers[i].value; rest.at;) {
            ush_text hop = without_port(list_pop(&rest));
            struct ush__ip ip;
            if (ush__ip_parse(hop, &ip) < 0)
                return client;
            client = hop;
            if (!ush__networks_have(trusted, &ip))
                return client;
        }
    }
    return client;
}

/* The one value of all fields `name`; USH_NONE without any, -400 if they differ. */
static int agreed(const struct ush_head *head, ush_text name, ush_text *ret)
{
    *ret = USH_NONE;
    for (size_t i = 0; i < head->header_count; i++) {
        if (!ush_text_equal_nocase(head->headers[i].name, name))
            continue;
        ush_text list = head->headers[i].value;
        for (ush_text element; (element = ush__list_next(&list)).at;) {
            if (ret->at && !ush_text_equal_nocase(*ret, element))
                return -400;
            *ret = element;
        }
    }
    return 0;
}

int ush__origin_of(const struct ush_head *head, const struct ush__networks *trusted,
                   const struct ush_address *peer, struct ush__origin *ret)
{
    struct ush__ip ip;
    *ret = (struct ush__origin){.host = head->host};
    if (!(ush__ip_of(peer, &ip) ? ush__networks_have(trusted, &ip) : trusted->has_unix))
        return 0;
    ush_text proto, host;
    USH_TRY(agreed(head, USH_T("x-forwarded-proto"), &proto));
    USH_TRY(agreed(head, USH_T("x-forwarded-host"), &host));
    ret->is_https = ush_text_equal_nocase(proto, USH_T("https"));
    if (proto.at && !ret->is_https && !ush_text_equal_nocase(proto, USH_T("http")))
        return -400;
    if (host.at && !ush__host_is_valid(host))
        return -400;
    if (host.at)
        ret->host = host;
    ret->client = client_of(head, trusted);
    return 0;
}
