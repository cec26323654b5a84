/*
 * admin_login.c - logging in and out, the first owner, and pairing a phone.
 *
 *   GET, POST /admin/login           address and password; then back to the page asked for
 *   POST      /admin/logout
 *   GET, POST /admin/setup/{token}   the first owner, from a link of this machine's console
 *   GET, POST /admin/pair/{code}     a phone becomes a device; the GET only asks, because whoever
 *                                    shows a preview of a link opens it
 *
 * Passwords are compared in a pool of one thread and a short queue: whoever floods the login finds
 * it busy and delays nobody else. An unknown address costs the same time and gets the same answer
 * as a wrong password. Attempts are limited by account and by network.
 */
#include <sodium.h>

#include "gen/pages.h"
#include "web/admin.h"

USH_RECORD_DEFINE(login_form, LOGIN_FORM_FIELDS)
USH_RECORD_DEFINE(setup_form, SETUP_FORM_FIELDS)

/* ---- passwords ------------------------------------------------------------------------------- */

struct hashing {
    ush_text password, hash;
    char *out; /* to be made, or NULL: to be compared */
    bool fits;
};

static int hash_now(void *arg)
{
    struct hashing *h = arg;
    if (h->out)
        return password_hash(h->password, h->out);
    h->fits = password_fits(h->password, h->hash);
    return 0;
}

static int in_pool(struct ush_request *rq, struct hashing *h)
{
    struct web *w = web_of(rq);
    if (!w->passwords)
        w->passwords = ush_pool_new(&(struct ush_pool_options){
            .name = "password", .threads = 1, .queue_max = 8, .niceness = 5});
    return ush_offload(w->passwords, hash_now, h);
}

int hash_in_pool(struct ush_request *rq, ush_text password, char *hash)
{
    struct hashing h = {.password = password, .out = hash};
    return in_pool(rq, &h);
}

/* ---- login ----------------------------------------------------------------------------------- */

static int show_login(struct ush_request *rq, int status, const struct login_form *form,
                      ush_text trouble)
{
    struct login_view v = {.form = form};
    struct ush_rows users;
    USH_TRY(users_list(&web_of(rq)->fest, rq->arena, &users));
    v.no_users = users.count == 0;
    struct admin_frame f =
        admin_frame_of(rq, trouble.at ? USH_T("Error: Log in") : USH_T("Log in"), "/admin/login");
    f.trouble = trouble;
    return reply_page(rq, status, PAGE(page_admin_login, &f, &v));
}

int web_login(struct ush_request *rq)
{
    const struct login_form empty = {.next = ush_query(rq, "next")};
    return show_login(rq, 200, &empty, USH_NONE);
}

/* Only pages of this site: "/admin..." and the tickets that a camera opens. */
static ush_text next_of(ush_text next)
{
    bool ours = ush_text_starts(next, USH_T("/admin")) || ush_text_starts(next, USH_T("/t/")) ||
                ush_text_starts(next, USH_T("/T/"));
    for (size_t i = 0; ours && i < next.len; i++)
        ours = next.at[i] > ' ' && next.at[i] < 0x7f && next.at[i] != '\\';
    return ours ? next : USH_T("/admin");
}

static int64_t spend_login(struct ush_request *rq, ush_text email)
{
    struct limits *l = web_of(rq)->limits;
    int64_t now = ush_wall_ms(), wait = limits_spend(l, LIMIT_LOGIN, email, now);
    return wait ? wait : limits_spend(l, LIMIT_LOGIN_ADDRESS, network_of(rq->client), now);
}

int web_login_post(struct ush_request *rq)
{
    struct fest *f = &web_of(rq)->fest;
    const struct login_form *in = rq->input;
    char token[SESSION_TOKEN_CHARS + 1];
    struct user u = {0};
    USH_TRY(check_origin(rq));
    if (rq->faults)
        return show_login(rq, 422, in, USH_T("Please enter address and password."));
    int64_t wait =
        spend_login(rq, ush_email_key(in->email, &(struct ush_email_options){0}, rq->arena));
    if (wait) {
        reply_retry_after(rq, wait);
        return show_login(rq, 429, in,
                          USH_T("Too many attempts. Please wait a minute and try again."));
    }
    int r = user_by_email(f, in->email, rq->arena, &u);
    if (r < 0 && r != USH_ENOTFOUND)
        return r;
    struct hashing h = {.password = in->password, .hash = r == 0 ? u.password : USH_NONE};
    USH_TRY(in_pool(rq, &h));
    r = h.fits ? session_open(f, &u, cookie_token(rq), token, rq->arena) : USH_ENOTFOUND;
    if (r == USH_ENOTFOUND) {
        ush_info("login.refused", "a wrong password, or no such user");
        return show_login(rq, 403, in, USH_T("Address or password is wrong."));
    }
    USH_TRY(r);
    cookie_set(rq, ush_arena_copy(rq->arena, ush_text_of(token)).at, SESSION_MS / 1000);
    return ush_reply_redirect(rq, 303, next_of(in->next));
}

int web_logout(struct ush_request *rq)
{
    USH_TRY(session_close(&web_of(rq)->fest, caller_of(rq)->token, rq->arena));
    cookie_set(rq, "", 0);
    return reply_done(rq, "/admin/login?done=out");
}

/* ---- the first owner ------------------------------------------------------------------------- */

static int check_setup(struct ush_request *rq)
{
    struct ush_rows users;
    struct fest *f = &web_of(rq)->fest;
    if (!is_operator(rq) || !setup_token_fits(&f->keys, ush_param(rq, "token"), ush_wall_ms()))
        return ush_problem(rq, &ush_problem_not_found,
                           "The link works for half an hour, on the machine that printed it.");
    USH_TRY(users_list(f, rq->arena, &users));
    return users.count ? ush_problem(rq, &ush_problem_not_found, "There is an owner already.") : 0;
}

static int show_setup(struct ush_request *rq, int status, const struct setup_form *form)
{
    const struct setup_view v = {form, rq->faults, ush_param(rq, "token")};
    struct admin_frame f = admin_frame_of(rq, USH_T("The first owner"), "/admin/setup");
    return reply_page(rq, status, PAGE(page_admin_setup, &f, &v));
}

int web_setup(struct ush_request *rq)
{
    USH_TRY(check_setup(rq));
    return show_setup(rq, 200, &(struct setup_form){0});
}

int web_setup_post(struct ush_request *rq)
{
    const struct setup_form *in = rq->input;
    struct change_result result;
    char hash[PASSWORD_HASH_MAX];
    USH_TRY(check_origin(rq));
    USH_TRY(check_setup(rq));
    if (rq->faults)
        return show_setup(rq, 422, in);
    USH_TRY(hash_in_pool(rq, in->password, hash));
    struct user_put put = {.email = in->email,
                           .name = in->name,
                           .role = USH_T("owner"),
                           .password = ush_text_of(hash),
                           .is_first = 1,
                           .actor = USH_T("setup")};
    USH_TRY(user_store(&web_of(rq)->fest, &put, &result, rq->arena));
    return reply_done(rq, "/admin/login");
}

/* ---- a phone at the door --------------------------------------------------------------------- */

int web_pair(struct ush_request *rq)
{
    struct admin_frame f = admin_frame_of(rq, USH_T("Use this phone for check-in"), "/admin/pair");
    return reply_page(rq, 200, PAGE(page_admin_pair, &f, ush_param(rq, "code")));
}

int web_pair_post(struct ush_request *rq)
{
    char token[SESSION_TOKEN_CHARS + 1];
    USH_TRY(check_origin(rq));
    int r = device_pair(&web_of(rq)->fest, ush_param(rq, "code"), token, rq->arena);
    if (r == USH_ENOTFOUND)
        return ush_problem(rq, &ush_problem_not_found,
                           "The code was used already, or is older than a quarter of an hour.");
    USH_TRY(r);
    cookie_set(rq, ush_arena_copy(rq->arena, ush_text_of(token)).at, 365 * 86400);
    return reply_done(rq, "/admin/scan");
}
