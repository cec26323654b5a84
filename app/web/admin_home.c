/*
 * admin_home.c - the dashboard: how the events and the mails stand.
 */
#include "gen/pages.h"
#include "web/admin.h"

int web_admin(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct admin_frame f = admin_frame_of(rq, USH_T("Dashboard"), "/admin");
    struct ush_buf b;
    USH_TRY(events_take(&web_of(rq)->fest, &list));
    ush_buf_init(&b, PAGE_BYTES_MAX);
    page_admin_home(&b, &f, list);
    return reply_page(rq, 200, &b);
}
