/*
 * access.c - the gate (access.h): sessions, roles, own events, and forms of our own only.
 *
 * Invariants:
 *  1. What no row allows is refused: there is no default role.
 *  2. A session is read from the database with every request, so what takes it away (logging out,
 *     another role, a lost phone) counts from the next request on.
 *  3. Whose event it is, is decided here by the name of the path's parameter, so a handler cannot
 *     forget it: {slug} is an event, {registration} the public id of a registration.
 */
#include "web/access.h"

#include <sodium.h>

#define COOKIE "usher_session"
#define HOST_COOKIE "__Host-usher_session"

/* ---- cookies --------------------------------------------------------------------------------- */

static bool is_secure(const struct ush_request *rq)
{
    return rq->is_https ||
           ush_text_starts(ush_text_of(web_of(rq)->settings->base_url), USH_T("https://"));
}

ush_text cookie_token(struct ush_request *rq)
{
    return ush_cookie(rq, is_secure(rq) ? HOST_COOKIE : COOKIE);
}

void cookie_set(struct ush_request *rq, const char *token, int64_t seconds)
{
    bool secure = is_secure(rq);
    ush_reply_header(rq, "Set-Cookie",
                     ush_arena_printf(rq->arena,
                                      "%s=%s; Path=/; Max-Age=%lld; HttpOnly; SameSite=Lax%s",
                                      secure ? HOST_COOKIE : COOKIE, token, (long long)seconds,
                                      secure ? "; Secure" : ""));
}

/* ---- where it comes from --------------------------------------------------------------------- */

bool is_local(ush_text client)
{
    return ush_text_starts(client, USH_T("127.")) || ush_text_equal(client, USH_T("::1")) ||
           ush_text_equal(client, USH_T("unix"));
}

bool is_operator(const struct ush_request *rq)
{
    return is_local(rq->client) && !ush_is_forwarded(rq);
}

ush_text network_of(ush_text client)
{
    int groups = 0;
    for (size_t i = 0; i + 1 < client.len; i++)
        if (client.at[i] == ':' && (++groups == 4 || client.at[i + 1] == ':'))
            return (ush_text){client.at, i};
    return client;
}

int check_origin(struct ush_request *rq)
{
    ush_text site = ush_header(rq, "Sec-Fetch-Site"), origin = ush_header(rq, "Origin");
    if (site.at &&
        (ush_text_equal(site, USH_T("same-origin")) || ush_text_equal(site, USH_T("none"))))
        return 0;
    if (!site.at && !origin.at)
        return 0;
    ush_text host = origin;
    ssize_t at = ush_text_find(origin, '/');
    if (at >= 0 && (size_t)at + 2 <= origin.len)
        host = (ush_text){origin.at + at + 2, origin.len - (size_t)at - 2};
    if (origin.at && ush_text_equal_nocase(host, rq->head->host))
        return 0;
    if (origin.at && ush_text_equal(origin, ush_text_of(web_of(rq)->settings->base_url)))
        return 0;
    return ush_problem(rq, &problem_foreign_origin, "Please use the form on this site.");
}

/* ---- the gate -------------------------------------------------------------------------------- */

int caller_find(struct ush_request *rq, struct caller **ret)
{
    struct fest *f = &web_of(rq)->fest;
    ush_text token = cookie_token(rq);
    uint8_t key[KEY_BYTES];
    char text[2 * KEY_BYTES];
    if (!token.len)
        return USH_ENOTFOUND;
    struct caller *c = USH_NEW(rq->arena, struct caller);
    if (!c)
        return USH_ELIMIT;
    USH_TRY(session_read(f, token, rq->arena, &c->account));
    keys_hash(&f->keys, HASH_FORM, 0, &token, 1, key);
    ush_base32_format(key, sizeof key, text);
    c->role = role_of(c->account.role);
    c->token = token;
    c->form_key = ush_arena_copy(rq->arena, ush_text_of(text));
    c->actor = account_actor(&c->account, rq->arena);
    *ret = c;
    return c->actor.at ? 0 : USH_ELIMIT;
}

static int ask_to_log_in(struct ush_request *rq)
{
    bool reads = rq->head->method == USH_GET || rq->head->method == USH_HEAD;
    if (!reads || !rq->route->is_page)
        return ush_problem(rq, &problem_session_over,
                           "Please log in again; then send this once more.");
    struct ush_buf to;
    ush_buf_init(&to, 4096);
    ush_buf_add(&to, USH_T("/admin/login?next="));
    ush_buf_add_percent(&to, rq->path);
    ush_text link = ush_arena_copy(rq->arena, ush_buf_text(&to));
    ush_buf_fini(&to);
    int r = link.at ? ush_reply_redirect(rq, 303, link) : USH_ELIMIT;
    return r < 0 ? r : 1;
}

/* The event that the path is about: 0 when it is about none, or about one that does not exist,
 * which is for the handler to say. */
static int event_of_path(struct ush_request *rq, int64_t *ret)
{
    struct fest *f = &web_of(rq)->fest;
    ush_text slug = ush_param(rq, "slug"), registration = ush_param(rq, "registration");
    struct event_entry e;
    int64_t id;
    *ret = 0;
    if (registration.at && public_id_parse(&f->keys, registration, &id) == 0)
        *ret = registration_event_of(id);
    if (!slug.at)
        return 0;
    int r = event_read(f->db, slug, rq->arena, &e);
    if (r == 0)
        *ret = e.event.id;
    return r == USH_ENOTFOUND ? 0 : r;
}

/* The value of the hidden field, which needs no decoding. */
static ush_text form_key(const struct ush_request *rq)
{
    struct ush_multipart m;
    struct ush_part part;
    ush_text body = rq->body;
    if (rq->route->takes_files &&
        ush_multipart_open(&m, ush_header(rq, "Content-Type"), body) == 0) {
        while (ush_multipart_next(&m, &part) == 1)
            if (ush_text_equal(part.name, USH_T("_key")))
                return part.content;
        return USH_NONE;
    }
    while (body.at) {
        ush_text value = ush_text_cut(&body, '&');
        if (ush_text_equal(ush_text_cut(&value, '='), USH_T("_key")))
            return value;
    }
    return USH_NONE;
}

static int check_form(struct ush_request *rq, const struct caller *c)
{
    USH_TRY(check_origin(rq));
    if (!rq->body.at) /* a large one, asked for before it is received: it will be looked at then */
        return 0;
    ush_text key = form_key(rq);
    if (key.len == c->form_key.len && sodium_memcmp(key.at, c->form_key.at, key.len) == 0)
        return 0;
    return ush_problem(rq, &problem_foreign_origin,
                       "The form is from an earlier login. Please load its page again.");
}

static int check_caller(struct ush_request *rq, const struct caller *c)
{
    uint32_t access = rq->route->access;
    int64_t event = 0;
    if (!(access & c->role))
        return ush_problem(rq, &problem_forbidden, "This is for %s.",
                           access & ROLE_ORGANISER ? "organisers" : "other roles");
    if (!c->account.events.at)
        return 0;
    if (access & ACCESS_FEST)
        return ush_problem(rq, &problem_forbidden, "This concerns the whole fest.");
    USH_TRY(event_of_path(rq, &event));
    if (event && !events_allow(c->account.events, event))
        return ush_problem(rq, &problem_forbidden, "This event belongs to others.");
    return 0;
}

int web_admit(struct ush_request *rq)
{
    struct caller *c;
    if (rq->route->access & ACCESS_ALL)
        return 0;
    int r = caller_find(rq, &c);
    if (r == USH_ENOTFOUND)
        return ask_to_log_in(rq);
    USH_TRY(r);
    USH_TRY(check_caller(rq, c));
    if (rq->head->method != USH_GET && rq->head->method != USH_HEAD)
        USH_TRY(check_form(rq, c));
    r = session_touch(&web_of(rq)->fest, c->token, &c->account, rq->arena);
    if (r == -ECANCELED || r == -ETIMEDOUT) /* any other failure costs only the time of last use */
        return r;
    rq->caller = c;
    return 0;
}

/* ---- for tests ------------------------------------------------------------------------------- */

void access_dump(struct ush_buf *out)
{
    static const char *const roles[] = {"owner", "organiser", "desk", "viewer", "device"};
    ush_buf_add(out, USH_T("["));
    for (size_t i = 0; i < web_route_count; i++) {
        const struct ush_route *r = &web_routes[i];
        ush_buf_printf(out,
                       "%s\n{\"method\":\"%s\",\"path\":\"%s\",\"page\":%s,\"all\":%s,"
                       "\"fest\":%s,\"roles\":[",
                       i ? "," : "", r->method, r->path, r->is_page ? "true" : "false",
                       r->access & ACCESS_ALL ? "true" : "false",
                       r->access & ACCESS_FEST ? "true" : "false");
        int n = 0;
        for (size_t k = 0; k < USH_COUNT(roles); k++)
            if (r->access >> k & 1)
                ush_buf_printf(out, "%s\"%s\"", n++ ? "," : "", roles[k]);
        ush_buf_add(out, USH_T("]}"));
    }
    ush_buf_add(out, USH_T("\n]\n"));
}
