/*
 * access.h - who asks, and whether they may: the one gate in front of every handler.
 *
 * Every row of routes.c says in `.access` who may ask; a row that says nothing is for nobody. The
 * gate (web_admit) runs before the body is decoded:
 *
 *   ACCESS_ALL ----------------------------------------------------------------> handler
 *   else: session in the cookie? --no--> the login page (a page that is read), or 401
 *            |yes
 *         one of the row's roles? --no--> 403     a row for the whole fest, an account for some
 *            |yes                                 events? --> 403
 *         {slug} or {registration} of an event of theirs? --no--> 403
 *            |yes
 *         changes something: sent from this site, with the hidden field of its session? --no--> 403
 *            |yes
 *         handler, with caller_of(rq)
 *
 * The cookie is HttpOnly, SameSite=Lax, Secure and __Host- where the site is https. The hidden
 * field `_key` is a keyed hash of the cookie's token: a page of another site knows neither.
 */
#ifndef WEB_ACCESS_H
#define WEB_ACCESS_H

#include "domain/accounts.h"
#include "web/web.h"

enum access {
    ACCESS_OWNER = ROLE_OWNER,
    ACCESS_ORGANISER = ACCESS_OWNER | ROLE_ORGANISER,
    ACCESS_DESK = ACCESS_ORGANISER | ROLE_DESK,
    ACCESS_LOOK = ACCESS_DESK | ROLE_VIEWER,
    ACCESS_SCAN = ACCESS_DESK | ROLE_DEVICE,
    ACCESS_ANY = ACCESS_LOOK | ROLE_DEVICE, /* whoever has a session */
    ACCESS_FEST = 1 << 16,                  /* not with an account for some events only */
    ACCESS_ALL = 1 << 17,                   /* everybody */
};

/* Who has a session. In the request's arena. */
struct caller {
    struct account account;
    enum role role;
    ush_text token;    /* of the cookie */
    ush_text form_key; /* for the hidden field _key */
    ush_text actor;    /* for the audit */
};
/* In a handler whose row is not for everybody: never NULL. */
static inline const struct caller *caller_of(const struct ush_request *rq)
{
    return rq->caller;
}

/* For ush_http_options.admit. */
int web_admit(struct ush_request *rq);

/* Who asks, in a handler that is for everybody. USH_ENOTFOUND without a session. May suspend. */
int caller_find(struct ush_request *rq, struct caller **ret);
/* Sets and takes away the cookie. */
void cookie_set(struct ush_request *rq, const char *token, int64_t seconds);
ush_text cookie_token(struct ush_request *rq);

/* A page of another site may not send our forms; a missing header is an old browser. */
int check_origin(struct ush_request *rq);
/* A connection from this machine is a proxy's or the operator's. */
bool is_local(ush_text client);
/* It is the operator's: nobody elsewhere asks through a proxy of whom the settings know nothing. */
bool is_operator(const struct ush_request *rq);
/* An IPv6 customer has a whole /64: the first four groups, or those before zeros left out. */
ush_text network_of(ush_text client);

/* The rows with their roles as JSON, for tests that walk them. */
void access_dump(struct ush_buf *out);

#endif
