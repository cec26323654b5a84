/*
 * handlers.h - the handlers that the table in routes.c names, by the file they live in.
 */
#ifndef WEB_HANDLERS_H
#define WEB_HANDLERS_H

#include "web/web.h"

/* register.c */
int web_register(struct ush_request *rq);
int web_register_here(struct ush_request *rq);
int web_form(struct ush_request *rq);
int web_form_post(struct ush_request *rq);

/* events.c, with the records of its replies */
extern const struct ush_record event_reply_record, events_reply_record, availability_record;
int web_home(struct ush_request *rq);
int web_event(struct ush_request *rq);
int web_api_events(struct ush_request *rq);
int web_api_event(struct ush_request *rq);
int web_api_availability(struct ush_request *rq);

/* registrations.c */
int web_api_registration(struct ush_request *rq);
int web_api_cancel(struct ush_request *rq);
int web_api_resend(struct ush_request *rq);

/* ticket.c */
int web_ticket(struct ush_request *rq);
int web_ticket_svg(struct ush_request *rq);
int web_ticket_png(struct ush_request *rq);
int web_ticket_ics(struct ush_request *rq);
int web_event_ics(struct ush_request *rq);
int web_ticket_cancel_form(struct ush_request *rq);
int web_ticket_cancel(struct ush_request *rq);
int web_ticket_resend(struct ush_request *rq);
int web_ticket_scan(struct ush_request *rq);

/* What every page behind a private link begins with: the registration that the path names, or an
 * answer that there is none. */
int open_link(struct ush_request *rq, struct registration_view *ret);

/* details.c, with the record of its form */
#define FIND_FORM_FIELDS(F, R)                                                                     \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254, .doc = "Address that was registered")
USH_RECORD(find_form, FIND_FORM_FIELDS)
int web_edit(struct ush_request *rq);
int web_edit_post(struct ush_request *rq);
int web_data(struct ush_request *rq);
int web_data_json(struct ush_request *rq);
int web_delete(struct ush_request *rq);
int web_delete_post(struct ush_request *rq);
int web_find(struct ush_request *rq);
int web_find_post(struct ush_request *rq);
int web_privacy(struct ush_request *rq);

/* health.c */
int web_healthz(struct ush_request *rq);
int web_readyz(struct ush_request *rq);
int web_metrics(struct ush_request *rq);

/* outbox.c */
int web_outbox(struct ush_request *rq);
int web_outbox_mail(struct ush_request *rq);

#endif
