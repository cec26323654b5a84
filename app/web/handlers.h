/*
 * handlers.h - the handlers that the table in routes.c names, by the file they live in.
 */
#ifndef WEB_HANDLERS_H
#define WEB_HANDLERS_H

#include "web/web.h"

/* register.c */
web_handler web_register, web_register_here, web_form, web_form_post;

/* events.c, with the records of its replies */
extern const struct ush_record event_reply_record, events_reply_record, availability_record;
web_handler web_home, web_event, web_api_events, web_api_event, web_api_availability;

/* registrations.c */
web_handler web_api_registration, web_api_cancel, web_api_resend;

/* ticket.c */
web_handler web_ticket, web_ticket_svg, web_ticket_png, web_ticket_ics, web_event_ics,
    web_ticket_cancel_form, web_ticket_cancel, web_ticket_resend, web_ticket_scan;

/* What every page behind a private link begins with: the registration that the path names, or an
 * answer that there is none. */
int open_link(struct ush_request *rq, struct registration_view *ret);

/* details.c, with the record of its form */
#define FIND_FORM_FIELDS(F, R)                                                                     \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254, .doc = "Address that was registered")
USH_RECORD(find_form, FIND_FORM_FIELDS)
web_handler web_edit, web_edit_post, web_data, web_data_json, web_delete, web_delete_post, web_find,
    web_find_post, web_privacy;

/* health.c */
web_handler web_healthz, web_readyz, web_metrics;

/* outbox.c */
web_handler web_outbox, web_outbox_mail;

#endif
