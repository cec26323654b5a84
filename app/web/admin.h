/*
 * admin.h - the organisers' pages: the frame around them, their handlers, and what they share.
 *
 * A page is complete without JavaScript: links, forms, and a redirect after each change (303), so
 * that a reload repeats nothing. What was done is said by `?done=` in the address that follows.
 */
#ifndef WEB_ADMIN_H
#define WEB_ADMIN_H

#include "web/access.h"
#include "web/pages.h"

/* What the frame around every organiser's page shows. */
struct admin_frame {
    ush_text title;
    const char *fest;
    const char *site_sheet, *sheet, *icon; /* paths */
    const char *script;                    /* path of the page's one script, or NULL */
    const struct caller *who;              /* NULL before login */
    const char *here;                      /* the entry of the menu this page belongs to */
    const char *notice;                    /* what has just been done, or NULL */
    const char *notice_class;              /* "good" or "bad" */
    ush_text trouble;                      /* what could not be done, or absent */
    int refresh_s;                         /* the page loads itself again; 0 = never */
    struct ush_arena *arena;
};

struct menu_entry {
    const char *path, *words;
    uint32_t access;
};
extern const struct menu_entry admin_menu[];
extern const size_t admin_menu_count;
/* Whether this caller sees a link to pages with such access. */
bool may(const struct caller *c, uint32_t access);

/* The frame for a page of the entry `here`, with the notice of `?done=`. */
struct admin_frame admin_frame_of(struct ush_request *rq, ush_text title, const char *here);
/* Sends what was written; takes the buffer. */
int reply_page(struct ush_request *rq, int status, struct ush_buf *page);
/* 303 to "<path><suffix>", path built like printf. */
int reply_done(struct ush_request *rq, const char *fmt, ...) USH_PRINTF(2, 3);

/* ---- admin_login.c --------------------------------------------------------------------------- */

#define LOGIN_FORM_FIELDS(F, R)                                                                    \
    F(R, TEXT, email, .max = 254, .doc = "Address")                                                \
    F(R, TEXT, password, .max = 200, .secret = true, .doc = "Password")                            \
    F(R, TEXT, next, .max = 400, .optional = true, .doc = "Where to go then")
USH_RECORD(login_form, LOGIN_FORM_FIELDS)

#define SETUP_FORM_FIELDS(F, R)                                                                    \
    F(R, TEXT, name, .max = 120, .doc = "Name")                                                    \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254, .doc = "Address")                           \
    F(R, TEXT, password, .min = 10, .max = 200, .secret = true, .doc = "Password")
USH_RECORD(setup_form, SETUP_FORM_FIELDS)

struct login_view {
    const struct login_form *form;
    bool no_users; /* the fest has none yet */
};
struct setup_view {
    const struct setup_form *form;
    const struct ush_faults *faults; /* or NULL */
    ush_text token;
};
/* An input as admin_field.html shows it. */
struct admin_field {
    const char *name, *label, *type, *autocomplete, *hint; /* hint may be NULL */
    ush_text value;
    int64_t max;
    bool required;
    ush_text fault;
};
/* The fault of a field of an organiser's form, or an absent text. */
ush_text fault_of(const struct ush_faults *faults, const char *name);

int web_login(struct ush_request *rq);
int web_login_post(struct ush_request *rq);
int web_logout(struct ush_request *rq);
int web_setup(struct ush_request *rq);
int web_setup_post(struct ush_request *rq);
int web_pair(struct ush_request *rq);
int web_pair_post(struct ush_request *rq);
/* Hashes in the pool of its own; `hash` has room for PASSWORD_HASH_MAX. May suspend. */
int hash_in_pool(struct ush_request *rq, ush_text password, char *hash);

/* ---- admin_home.c ---------------------------------------------------------------------------- */

int web_admin(struct ush_request *rq);

#endif
