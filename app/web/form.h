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
    ush_text refusal;                /* 409: why there is no place, or why nothing is changed */
    const char *refusal_title;
    ush_text pause;            /* 429: for how long, in words */
    ush_text suggestion;       /* "gmail.com" for gmial.com */
    bool asks_update;          /* this tab has a place: change its details? */
    bool is_busy;              /* 503: try again */
    bool is_edit;              /* the details of a registration that exists */
    ush_text ticket_url;       /* for asks_update and is_edit */
    struct ush_rows questions; /* of struct question; reply_form fills it */
    struct ush_rows schools;   /* of ush_text; reply_form fills it */
    int status;
};
int reply_form(struct ush_request *rq, const struct form_view *v);

/* What is stored, as if it had just been typed (details.c). */
int form_of_registration(const struct registration_view *reg, const struct event *e,
                         struct ush_arena *arena, struct register_form *ret);
/* Changes the details of a registration to those of the form, and leads to the ticket; or shows the
 * form again, as `v` says, with what stands against it. */
int change_details(struct ush_request *rq, int64_t registration, int64_t manage_rev,
                   struct form_view *v);

/* ---- for the template ------------------------------------------------------------------------ */

struct field_view {
    const struct form_view *form;
    const char *name, *label, *type, *autocomplete, *hint;
    ush_text value;
    int64_t max;
    bool required;
};
/* What is wrong with the field, or USH_NONE. */
ush_text field_fault(const struct field_view *i);
/* The id of the input that a fault is about, and the fault as a sentence with the field's name. */
ush_text fault_id(struct ush_arena *arena, const struct ush_fault *fault);
ush_text fault_words(struct ush_arena *arena, const struct ush_fault *fault);
/* The names of USHER_SCHOOLS. */
struct ush_rows schools_of(const struct settings *s, struct ush_arena *arena);
ush_text grade_text(struct ush_arena *arena, const struct register_form *f);

enum { MEMBERS_MAX = DESK_PEOPLE_MAX - 1 };
extern const int64_t member_numbers[MEMBERS_MAX]; /* 1, 2, … */
/* How many rows for members: as many as the largest team has beside its lead. */
size_t member_rows(const struct form_view *v);
/* "members.0.name" for number 1. */
const char *member_field(struct ush_arena *arena, int64_t number, const char *part);
ush_text member_name(const struct form_view *v, int64_t number);
/* The parts of question number i: names of its two fields, and what was answered. */
const char *answer_field(struct ush_arena *arena, size_t i, const char *part);
ush_text answer_typed(const struct form_view *v, const struct question *q);
ush_text member_email(const struct form_view *v, int64_t number);

#endif
