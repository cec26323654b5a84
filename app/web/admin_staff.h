/*
 * admin_staff.h - the records and views of users, devices, audit, mail and privacy.
 */
#ifndef WEB_ADMIN_STAFF_H
#define WEB_ADMIN_STAFF_H

#include "domain/audit.h"
#include "domain/mail_status.h"
#include "web/admin_people.h"

/* A new user, or changes of one: what is blank stays. */
#define USER_FORM_FIELDS(F, R)                                                                     \
    F(R, TEXT, name, .max = 120, .optional = true)                                                 \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254, .optional = true)                           \
    F(R, TEXT, role, .choices = ROLE_NAMES)                                                        \
    F(R, TEXT, events, .max = 1000, .optional = true, .doc = "Slugs; blank = the whole fest")      \
    F(R, TEXT, password, .min = 10, .max = 200, .optional = true, .secret = true)                  \
    F(R, BOOL, off, .optional = true, .doc = "Cannot log in")
USH_RECORD(user_form, USER_FORM_FIELDS)
struct users_view {
    const struct user *at;
    size_t count;
    const struct user_form *form; /* of the new one, as typed */
    const struct ush_faults *faults;
    const struct event_list *list;
};
/* The events of an account as slugs; "" for the whole fest. */
ush_text events_words(const struct event_list *list, ush_text events, struct ush_arena *arena);

#define DEVICE_FORM_FIELDS(F, R)                                                                   \
    F(R, TEXT, name, .max = 60)                                                                    \
    F(R, TEXT, events, .max = 1000, .optional = true, .doc = "Slugs; blank = every event")         \
    F(R, I64, hours, .min = 1, .max = 1000, .doc = "How long it may be used")
USH_RECORD(device_form, DEVICE_FORM_FIELDS)
#define ID_FORM_FIELDS(F, R)                                                                       \
    F(R, I64, id, .optional = true)                                                                \
    F(R, TEXT, lane, .choices = "mail|bulk", .optional = true)
USH_RECORD(id_form, ID_FORM_FIELDS)
struct devices_view {
    const struct device *at;
    size_t count;
    const struct event_list *list;
    ush_text link, svg;             /* of the one just made, or absent: shown once */
    const struct device_form *form; /* as typed; with what is wrong, or NULL */
    const struct ush_faults *faults;
    int64_t now_ms;
};

#define AUDIT_QUERY_FIELDS(F, R)                                                                   \
    F(R, I64, before, .optional = true, .doc = "Paging: rows below this id")
USH_RECORD(audit_query, AUDIT_QUERY_FIELDS)
struct audit_view {
    const struct audit_row *at;
    size_t count;
    int64_t before; /* of the next page; 0 = none */
    const struct event_list *list;
    const struct fest *fest;
};

struct mail_view {
    struct ush_rows totals, failed, pauses;
};

#define PERSON_ERASE_FIELDS(F, R)                                                                  \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254)                                             \
    F(R, BOOL, sure, .optional = true)
USH_RECORD(person_erase_form, PERSON_ERASE_FIELDS)
struct erasing_view {
    int64_t days, due; /* registrations that are due for erasure */
    const struct person_erase_form *form;
    const struct ush_faults *faults;
    int64_t erased; /* -1 = nothing was asked */
};

#endif
