/*
 * url.c - the address of a Redis server: who, where, which database.
 *
 *     redis://[[user]:password@]host[:port][/db]
 *     unix://[[user]:password@]/path[?db=n]         unix:/path
 *
 * These are the forms that other clients take, so an operator can paste what he has. A user
 * without a password is refused: it is nearly always a password whose colon was forgotten, and it
 * would go over the wire as a name. rediss:// (TLS) is refused too: there is none here.
 *
 * Bytes behind a '%' are decoded in user, password and path only. A NUL byte is refused anywhere,
 * and so is what does not fit: nothing is cut silently.
 */
#include <stdio.h>

#include "redis/redis.h"

enum { PORT = 6379, DB_MAX = 9999 };

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int decode(ush_text t, char *out, size_t out_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < t.len; i++) {
        int c = (unsigned char)t.at[i];
        if (c == '%') {
            int high = i + 2 < t.len ? hex(t.at[i + 1]) : -1;
            int low = i + 2 < t.len ? hex(t.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return -EINVAL;
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || n + 1 >= out_bytes)
            return -EINVAL;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return 0;
}

/* Takes "user:password@" off the front of what lies before the first '/'. */
static int take_login(ush_text *rest, struct ush__redis_url *u)
{
    ssize_t slash = ush_text_find(*rest, '/');
    size_t end = slash < 0 ? rest->len : (size_t)slash, at = end;
    while (at > 0 && rest->at[at - 1] != '@')
        at--;
    if (at == 0)
        return 0;
    ush_text password = {rest->at, at - 1};
    ush_text user = ush_text_cut(&password, ':');
    if (password.len == 0)
        return -EINVAL;
    USH_TRY(decode(user, u->user, sizeof u->user));
    USH_TRY(decode(password, u->password, sizeof u->password));
    *rest = (ush_text){rest->at + at, rest->len - at};
    return 0;
}

static int take_number(ush_text t, int64_t min, int64_t max, int64_t *ret)
{
    if (ush_text_i64(t, ret) < 0 || *ret < min || *ret > max)
        return -EINVAL;
    return 0;
}

static int take_db(ush_text t, struct ush__redis_url *u)
{
    int64_t db;
    USH_TRY(take_number(t, 0, DB_MAX, &db));
    if (db)
        snprintf(u->db, sizeof u->db, "%d", (int)db);
    return 0;
}

static int parse_unix(ush_text rest, struct ush__redis_url *u)
{
    if (ush_text_starts(rest, USH_T("//"))) {
        rest = (ush_text){rest.at + 2, rest.len - 2};
        USH_TRY(take_login(&rest, u));
    }
    ush_text path = ush_text_cut(&rest, '?');
    if (!ush_text_starts(path, USH_T("/")))
        return -EINVAL;
    USH_TRY(decode(path, u->path, sizeof u->path));
    if (!rest.at)
        return 0;
    if (!ush_text_starts(rest, USH_T("db=")))
        return -EINVAL;
    return take_db((ush_text){rest.at + 3, rest.len - 3}, u);
}

static int parse_tcp(ush_text rest, struct ush__redis_url *u)
{
    USH_TRY(take_login(&rest, u));
    ush_text place = ush_text_cut(&rest, '/'), host;
    if (ush_text_starts(place, USH_T("["))) {
        place = (ush_text){place.at + 1, place.len - 1};
        host = ush_text_cut(&place, ']');
        if (!place.at || (place.len && place.at[0] != ':'))
            return -EINVAL;
        if (place.len)
            place = (ush_text){place.at + 1, place.len - 1};
        else
            place = USH_NONE;
    } else {
        host = ush_text_cut(&place, ':');
    }
    if (host.len == 0 || host.len >= sizeof u->host || memchr(host.at, 0, host.len))
        return -EINVAL;
    memcpy(u->host, host.at, host.len);
    int64_t port = PORT;
    if (place.at)
        USH_TRY(take_number(place, 1, UINT16_MAX, &port));
    u->port = (uint16_t)port;
    return rest.len ? take_db(rest, u) : 0;
}

int ush__redis_url_parse(ush_text url, struct ush__redis_url *ret)
{
    struct ush__redis_url u = {0};
    if (ush_text_starts(url, USH_T("redis://")))
        USH_TRY(parse_tcp((ush_text){url.at + 8, url.len - 8}, &u));
    else if (ush_text_starts(url, USH_T("unix:")))
        USH_TRY(parse_unix((ush_text){url.at + 5, url.len - 5}, &u));
    else
        return -EINVAL;
    *ret = u;
    return 0;
}
