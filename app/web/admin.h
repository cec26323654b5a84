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
int reply_page(struct ush_request *rq, int status, struct ush_buf page);
/* 303 to the path built like printf. */
int reply_done(struct ush_request *rq, const char *fmt, ...) USH_PRINTF(2, 3);
/* The same with the outcome of a change in `?done=`: `done` when it was done. */
int reply_change(struct ush_request *rq, const struct change_result *result, const char *done,
                 const char *fmt, ...) USH_PRINTF(4, 5);

/* ---- admin_words.c --------------------------------------------------------------------------- */

struct notice {
    const char *code, *kind, *words; /* kind is a class of the style sheet */
};
extern const struct notice admin_notices[];
extern const size_t admin_notice_count;
const char *outcome_code(int64_t outcome, const char *done);

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
    const char *choices; /* of a select: "a|b" */
    bool fixed;          /* shown, not to be changed */
};
/* The choice at *rest, which is advanced; absent at the end. */
ush_text next_choice(ush_text *rest);
/* The fault of a field of an organiser's form, or an absent text. */
ush_text fault_of(const struct ush_faults *faults, const char *name);

web_handler web_login, web_login_post, web_logout, web_setup, web_setup_post, web_pair,
    web_pair_post;
/* Hashes in the pool of its own; `hash` has room for PASSWORD_HASH_MAX. May suspend. */
int hash_in_pool(struct ush_request *rq, ush_text password, char *hash);

/* ---- admin_events.c -------------------------------------------------------------------------- */

/* The event of {slug} from the database, or the answer that there is none. */
int event_of_slug(struct ush_request *rq, struct event_entry *ret);
extern const struct ush_record event_form_record, seats_form_record, promote_form_record,
    import_form_record;
web_handler web_admin_events, web_admin_event, web_admin_event_cancel_form, web_admin_event_cancel,
    web_admin_event_announce_form, web_admin_event_announce, web_admin_event_undo, web_admin_seats,
    web_admin_promote, web_admin_event_new, web_admin_event_edit, web_admin_event_post,
    web_admin_import, web_admin_import_post;

/* ---- admin_people.c, admin_scan.c ------------------------------------------------------------ */

extern const struct ush_record people_query_record, person_form_record, export_form_record,
    scan_query_record, scan_form_record;
web_handler web_admin_people, web_admin_person, web_admin_person_cancel, web_admin_person_resend,
    web_admin_person_reissue, web_admin_person_export, web_admin_person_erase,
    web_admin_person_edit, web_admin_person_edit_post, web_admin_entry, web_admin_entry_post,
    web_admin_export, web_admin_export_post, web_admin_scan, web_admin_scan_code,
    web_admin_scan_post;

/* ---- admin_staff.c --------------------------------------------------------------------------- */

extern const struct ush_record user_form_record, device_form_record, id_form_record,
    audit_query_record, person_erase_form_record;
web_handler web_admin_users, web_admin_user_post, web_admin_devices, web_admin_device_post,
    web_admin_device_revoke, web_admin_audit, web_admin_mail, web_admin_mail_retry,
    web_admin_mail_pause, web_admin_mail_resume, web_admin_privacy, web_admin_privacy_person,
    web_admin_privacy_due, web_admin_privacy_export;

/* ---- admin_home.c ---------------------------------------------------------------------------- */

web_handler web_admin, web_admin_stream;

#endif
