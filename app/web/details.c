/*
 * details.c - what is stored about a student, for the student: see it, take it, correct it, delete
 * it; and what is said about all that.
 *
 *   GET /r/{token}/edit        the form with the stored details; POST changes them
 *   GET /r/{token}/data        everything in words; data.json for taking along
 *   GET /r/{token}/delete      asks; POST erases, and the link is dead
 *   GET /find                  "lost your ticket?"; POST has the private links mailed again
 *   GET /privacy
 *
 * Whoever has the private link may do all this. /find gives the same answer for every address:
 * nobody learns there who is registered.
 */
#include "domain/audit.h"
#include "domain/checkin.h"
#include "domain/erase.h"
#include "web/access.h"
#include "web/form.h"
#include "web/handlers.h"
#include "web/pages.h"

/* ---- correcting ------------------------------------------------------------------------------ */

int form_of_registration(const struct registration_view *reg, const struct event *e,
                         struct ush_arena *arena, struct register_form *ret)
{
    const struct registration *r = &reg->registration;
    size_t members = 0;
    struct desk_person *people = USH_NEW_N(arena, struct desk_person, reg->people_count + 1);
    if (!people)
        return USH_ELIMIT;
    for (size_t i = 1; i < reg->people_count; i++)
        if (reg->people[i].name.len) /* else erased: an empty row could not be saved */
            people[members++] =
                (struct desk_person){.name = reg->people[i].name, .email = reg->people[i].email};
    struct ush_rows rows = {0};
    USH_TRY(questions_parse(e->questions, arena, &rows, NULL));
    const struct question *questions = rows.at;
    struct answer *answers = USH_NEW_N(arena, struct answer, rows.count + 1);
    if (!answers)
        return USH_ELIMIT;
    for (size_t i = 0; i < rows.count; i++)
        answers[i] = (struct answer){.question = questions[i].text,
                                     .answer = answer_kept(r->answers, questions[i].text)};
    *ret = (struct register_form){.school = r->school,
                                  .grade = r->grade,
                                  .phone = r->phone,
                                  .team = r->team_name,
                                  .members = {people, members},
                                  .answers = {answers, rows.count},
                                  .guardian = r->guardian_ok};
    if (reg->people_count) {
        ret->name = reg->people[0].name;
        ret->email = reg->people[0].email;
    }
    return 0;
}

static ush_text own_link(struct ush_request *rq)
{
    return ush_arena_printf(rq->arena, "/r/%.*s", USH_PR(ush_param(rq, "token")));
}

/* The view of the form for the registration behind the link, or an answer. */
static int open_details(struct ush_request *rq, struct event_list **list,
                        struct registration_view *reg, struct form_view *ret)
{
    USH_TRY(open_link(rq, reg));
    USH_TRY(events_take(&web_of(rq)->fest, list));
    const struct event_entry *e = event_find_id(*list, registration_event_of(reg->registration.id));
    if (!e)
        return ush_problem(rq, &problem_no_event, "The event is not listed any more.");
    if (reg->registration.status == REGISTRATION_CANCELLED)
        return ush_problem(rq, &problem_no_registration, "This registration is cancelled.");
    if (ush_wall_ms() >= e->event.edit_until)
        return ush_problem(rq, &problem_deadline_passed,
                           "It is too late to change the details. Please tell the organisers.");
    *ret =
        (struct form_view){.event = e, .status = 200, .is_edit = true, .ticket_url = own_link(rq)};
    return 0;
}

int web_edit(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct registration_view reg;
    struct register_form stored;
    struct form_view v;
    USH_TRY(open_details(rq, &list, &reg, &v));
    USH_TRY(form_of_registration(&reg, &v.event->event, rq->arena, &stored));
    v.form = &stored;
    return reply_form(rq, &v);
}

int web_edit_post(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct registration_view reg;
    struct form_view v;
    USH_TRY(check_origin(rq));
    USH_TRY(open_details(rq, &list, &reg, &v));
    v.form = rq->input;
    return change_details(rq, reg.registration.id, reg.registration.manage_rev, &v);
}

/* ---- seeing and taking ----------------------------------------------------------------------- */

enum { HISTORY_MAX = 1000 };

USH_RECORD_DEFINE(data_step, DATA_STEP_FIELDS)

static int read_history(struct ush_request *rq, int64_t registration, struct ush_rows *ret)
{
    struct fest *f = &web_of(rq)->fest;
    struct ush_rows in, scans, audit;
    const struct audit_filter filter = {.registration = registration, .limit = HISTORY_MAX};
    USH_TRY(attendance_read(f, registration, rq->arena, &in, &scans));
    USH_TRY(audit_read(f, &filter, rq->arena, &audit));
    struct data_step *steps = USH_NEW_N(rq->arena, struct data_step, scans.count + audit.count + 1);
    if (!steps)
        return USH_ELIMIT;
    const struct scan *s = scans.at;
    const struct audit_row *a = audit.at;
    size_t n = 0;
    for (size_t i = 0; i < scans.count; i++)
        steps[n++] = (struct data_step){
            .at = s[i].at,
            .what = ush_arena_printf(rq->arena, "scan: %.*s", USH_PR(s[i].result)),
            .detail = s[i].note};
    for (size_t i = 0; i < audit.count; i++)
        steps[n++] = (struct data_step){.at = a[i].at, .what = a[i].action, .detail = a[i].detail};
    *ret = (struct ush_rows){steps, n};
    return 0;
}

static int read_data(struct ush_request *rq, struct event_list **list,
                     const struct registration_view *reg, struct data_view *ret)
{
    struct fest *f = &web_of(rq)->fest;
    int64_t id = reg->registration.id;
    USH_TRY(events_take(f, list));
    *ret = (struct data_view){.event = event_find_id(*list, registration_event_of(id)),
                              .registration = reg};
    USH_TRY(read_history(rq, id, &ret->history));
    return registration_mails(f, id, rq->arena, &ret->mails);
}

int web_data(struct ush_request *rq)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct registration_view reg;
    struct data_view v;
    USH_TRY(open_link(rq, &reg));
    USH_TRY(read_data(rq, &list, &reg, &v));
    v.link = own_link(rq);
    return reply_data(rq, &v);
}

#define OWN_DATA_FIELDS(F, R)                                                                      \
    F(R, TEXT, event, .doc = "Slug of the event")                                                  \
    F(R, ONE, registration, .of = &registration_record, .doc = "The registration")                 \
    F(R, LIST, people, .of = &participant_record, .doc = "Who comes")                              \
    F(R, LIST, mails, .of = &mail_job_row_record, .doc = "What was mailed")                        \
    F(R, LIST, history, .of = &data_step_record, .doc = "What was done")
USH_RECORD(own_data, OWN_DATA_FIELDS)
USH_RECORD_DEFINE(own_data, OWN_DATA_FIELDS)

/* A member (of a position above 0) is told about the member: what the lead typed besides, and the
 * mails to the lead, are the lead's. */
static int own_data_of(struct ush_request *rq, const struct registration_view *reg,
                       int64_t position, struct own_data *ret)
{
    struct event_list *list EVENTS_HELD = NULL;
    struct registration *r = USH_NEW(rq->arena, struct registration);
    struct data_view v;
    if (!r)
        return USH_ELIMIT;
    *r = reg->registration;
    USH_TRY(read_data(rq, &list, reg, &v));
    *ret = (struct own_data){.event = v.event ? ush_arena_copy(rq->arena, v.event->event.slug)
                                              : USH_T(""),
                             .registration = r,
                             .people = {reg->people, reg->people_count},
                             .mails = v.mails,
                             .history = v.history};
    if (position > 0 && (size_t)position < reg->people_count) {
        ret->people = (struct ush_rows){reg->people + position, 1};
        ret->mails = (struct ush_rows){0};
        r->phone = r->answers = USH_NONE;
    }
    return 0;
}

#define PERSON_DATA_FIELDS(F, R)                                                                   \
    F(R, LIST, registrations, .of = &own_data_record, .doc = "Where the address stands")
USH_RECORD(person_data, PERSON_DATA_FIELDS)
USH_RECORD_DEFINE(person_data, PERSON_DATA_FIELDS)

int reply_person_file(struct ush_request *rq, const struct ush_rows *places)
{
    const struct place_of *p = places->at;
    struct registration_view reg;
    struct own_data *all = USH_NEW_N(rq->arena, struct own_data, places->count + 1);
    if (!all)
        return USH_ELIMIT;
    for (size_t i = 0; i < places->count; i++) {
        USH_TRY(registration_read(web_of(rq)->fest.db, p[i].registration_id, rq->arena, &reg));
        USH_TRY(own_data_of(rq, &reg, p[i].position, &all[i]));
    }
    const struct person_data out = {.registrations = {all, places->count}};
    ush_reply_header(rq, "Content-Disposition", USH_T("attachment; filename=\"person.json\""));
    return ush_reply_json(rq, 200, &person_data_record, &out);
}

int reply_data_file(struct ush_request *rq, const struct registration_view *reg,
                    const char *file_name)
{
    struct own_data out;
    USH_TRY(own_data_of(rq, reg, 0, &out));
    ush_reply_header(rq, "Content-Disposition",
                     ush_arena_printf(rq->arena, "attachment; filename=\"%s.json\"", file_name));
    return ush_reply_json(rq, 200, &own_data_record, &out);
}

int web_data_json(struct ush_request *rq)
{
    struct registration_view reg;
    USH_TRY(open_link(rq, &reg));
    return reply_data_file(rq, &reg, "my-data");
}

/* ---- deleting -------------------------------------------------------------------------------- */

int web_delete(struct ush_request *rq)
{
    struct registration_view reg;
    USH_TRY(open_link(rq, &reg));
    return reply_delete(rq, &(struct data_view){.registration = &reg, .link = own_link(rq)});
}

int web_delete_post(struct ush_request *rq)
{
    struct registration_view reg;
    struct change_result result;
    USH_TRY(check_origin(rq));
    USH_TRY(open_link(rq, &reg));
    const struct erase in = {
        .registration = reg.registration.id, .position = -1, .actor = USH_T("student")};
    USH_TRY(registration_erase(&web_of(rq)->fest, &in, &result, rq->arena));
    return reply_notice(
        rq, &(struct notice_view){.title = "Deleted",
                                  .text = USH_T("Everything you typed is erased. The link and the "
                                                "ticket are no longer valid."),
                                  .link = USH_T("/"),
                                  .link_text = USH_T("All events"),
                                  .status = 200});
}

/* ---- for whoever has no link ----------------------------------------------------------------- */

USH_RECORD_DEFINE(find_form, FIND_FORM_FIELDS)

int web_find(struct ush_request *rq)
{
    return reply_find(rq, &(struct find_view){0});
}

int web_find_post(struct ush_request *rq)
{
    struct web *w = web_of(rq);
    const struct find_form *in = rq->input;
    const struct ush_faults *faults = rq->faults;
    USH_TRY(check_origin(rq));
    struct find_view v = {.email = in->email, .is_done = true};
    if (faults && faults->count) {
        v.fault = faults->list[0].msg;
        v.is_done = false;
        return reply_find(rq, &v);
    }
    int64_t now_ms = ush_wall_ms(), wait_ms = 0;
    if (!is_local(rq->client))
        wait_ms = limits_spend(w->limits, LIMIT_ADDRESS, network_of(rq->client), now_ms);
    if (wait_ms)
        return reply_limited(rq, wait_ms);
    USH_TRY(registrations_resend_to(&w->fest, in->email, rq->arena));
    return reply_find(rq, &v);
}

int web_privacy(struct ush_request *rq)
{
    return reply_privacy(
        rq, &(struct privacy_view){.retention_days = web_of(rq)->settings->retention_days});
}
