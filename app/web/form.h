/*
 * form.h - the registration form as it is sent, and as it is shown again with what was typed.
 */
#ifndef WEB_FORM_H
#define WEB_FORM_H

#include "web/web.h"

#define REGISTER_FORM_FIELDS(F, R)                                                                 \
    REGISTER_COMMON_FIELDS(F, R)                                                                   \
    F(R, TEXT, rid, .max = 64, .format = USH_TOKEN, .optional = true, .doc = "Key of this form")   \
    F(R, BOOL, update, .optional = true, .doc = "Change the details of the place I have")          \
    F(R, TEXT, checked_email, .max = 254, .optional = true,                                        \
      .doc = "The address I was asked about")                                                      \
    F(R, TEXT, website, .max = 200, .optional = true, .doc = "Left empty by people")
USH_RECORD(register_form, REGISTER_FORM_FIELDS)

struct form_view {
    const struct event_entry *event;
    const struct register_form *form;
    const struct ush_faults *faults; /* 422: shown in a summary and at each field; or NULL */
    ush_text refusal;                /* 409: why there is no place */
    ush_text suggestion;             /* "gmail.com" for gmial.com */
    bool asks_update;                /* this tab has a place: change its details? */
    bool is_busy;                    /* 503: try again */
    ush_text ticket_url;             /* for asks_update */
    int status;
};
int reply_form(struct ush_request *rq, const struct form_view *v);

#endif
