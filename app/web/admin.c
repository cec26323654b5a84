/*
 * admin.c - the frame around the organisers' pages, and how they are sent.
 *
 * Their pages are never stored by a browser or a proxy and are not told to other sites; within the
 * site the referrer stays, because browsers tell the origin of a form only together with it.
 */
#include "web/admin.h"

#include <stdio.h>

#include "gen/assets.h"
#include "gen/pages.h"

const struct menu_entry admin_menu[] = {
    {"/admin", "Dashboard", ACCESS_LOOK},
    {"/admin/events", "Events", ACCESS_LOOK},
    {"/admin/people", "People", ACCESS_DESK | ACCESS_FEST},
    {"/admin/scan", "Check-in", ACCESS_SCAN},
    {"/admin/mail", "Mail", ACCESS_ORGANISER | ACCESS_FEST},
    {"/admin/devices", "Devices", ACCESS_ORGANISER | ACCESS_FEST},
    {"/admin/users", "Users", ACCESS_OWNER | ACCESS_FEST},
    {"/admin/audit", "Audit", ACCESS_ORGANISER | ACCESS_FEST},
    {"/admin/privacy", "Privacy", ACCESS_OWNER | ACCESS_FEST},
};
const size_t admin_menu_count = USH_COUNT(admin_menu);

bool may(const struct caller *c, uint32_t access)
{
    return c && access & c->role && !(access & ACCESS_FEST && c->account.events.at);
}

struct admin_frame admin_frame_of(struct ush_request *rq, ush_text title, const char *here)
{
    const struct settings *s = web_of(rq)->settings;
    struct admin_frame f = {
        .title = title,
        .fest = s->name[0] ? s->name : "Usher",
        .site_sheet = asset_site_css.path,
        .sheet = asset_admin_css.path,
        .icon = asset_icon_svg.path,
        .who = rq->caller,
        .here = here,
        .notice_class = "good",
        .arena = rq->arena,
    };
    ush_text done = ush_query(rq, "done");
    for (size_t i = 0; i < admin_notice_count; i++)
        if (ush_text_equal(done, ush_text_of(admin_notices[i].code))) {
            f.notice = admin_notices[i].words;
            f.notice_class = admin_notices[i].kind;
        }
    return f;
}

int reply_page(struct ush_request *rq, int status, struct ush_buf page)
{
    ush_text body = page.error ? USH_NONE : ush_arena_copy(rq->arena, ush_buf_text(&page));
    ush_buf_fini(&page);
    if (!body.at)
        return USH_ELIMIT;
    ush_reply_header(rq, "Referrer-Policy", USH_T("same-origin"));
    ush_reply_header(rq, "X-Robots-Tag", USH_T("noindex"));
    return ush_reply(rq, status, "text/html; charset=utf-8", body);
}

int reply_done(struct ush_request *rq, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ush_text to = ush_arena_vprintf(rq->arena, fmt, ap);
    va_end(ap);
    return to.at ? ush_reply_redirect(rq, 303, to) : USH_ELIMIT;
}

int reply_change(struct ush_request *rq, const struct change_result *result, const char *done,
                 const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ush_text to = ush_arena_vprintf(rq->arena, fmt, ap);
    va_end(ap);
    return reply_done(rq, "%.*s%cdone=%s", USH_PR(to), ush_text_find(to, '?') < 0 ? '?' : '&',
                      outcome_code(result->outcome, done));
}

ush_text next_choice(ush_text *rest)
{
    return ush_text_cut(rest, '|');
}

ush_text fault_of(const struct ush_faults *faults, const char *name)
{
    const struct ush_fault *fault = faults ? ush_faults_of(faults, name) : NULL;
    return fault ? fault->msg : USH_NONE;
}
