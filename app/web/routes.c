/*
 * routes.c - every address of this program, one row each.
 *
 * A row says who answers, what the body is decoded into, which problems it can answer with, and
 * who may ask, and what it is for. /openapi.json and /docs are made from these rows. `.is_page`
 * rows are for people.
 */
#include "web/access.h"
#include "web/admin.h"
#include "web/form.h"
#include "web/handlers.h"
#include "web/pages.h"

#define PROBLEMS(...)                                                                              \
    (const struct ush_problem *const[])                                                            \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

#define REGISTER_PROBLEMS                                                                          \
    PROBLEMS(&ush_problem_malformed, &problem_key_invalid, &problem_no_event, &problem_sold_out,   \
             &problem_already_registered, &problem_team_taken, &problem_school_limit,              \
             &problem_not_open, &problem_closed, &problem_event_cancelled, &ush_problem_too_large, \
             &ush_problem_media_type, &ush_problem_validation, &problem_key_reused,                \
             &ush_problem_rate_limited, &ush_problem_overloaded)

#define REGISTER_DOC                                                                               \
    "The answer comes when the place is stored durably: `confirmed`, or `waitlisted` with the "    \
    "position. With an `Idempotency-Key` the same request may be sent again at any time and gets " \
    "the same answer, also after the event has filled up, marked `Idempotent-Replayed: true`."

static const struct ush_route_header register_headers[] = {
    {"Idempotency-Key",
     "Any 8 to 255 visible characters that are new for each registration, best random. A request "
     "that is sent again with the same key gets the first answer.",
     8, 255},
    {0}};
static const struct ush_route_bearer private_link = {
    "private_link", "The token of the private link: the last part of `manage_url`."};

/* Who may ask (access.h); a row without is for nobody. */
#define FOR(who) .access = ACCESS_##who
#define FEST(who) .access = ACCESS_##who | ACCESS_FEST
#define ALL FOR(ALL)

/* Percent-encoding makes a text longer, up to three times. */
enum { IMPORT_BODY_MAX = 6 << 20, EVENT_BODY_MAX = 512 << 10 };

const struct ush_route web_routes[] = {
    /* ---- the main job ---- */
    {"POST", "/register", web_register, ALL, .group = "Registering",
     .doc = "Register for an event.\n" REGISTER_DOC, .headers = register_headers,
     .body = &register_body_record, .reply = &registration_reply_record, .reply_status = 201,
     .faults_to_handler = true, .problems = REGISTER_PROBLEMS},
    {"POST", "/api/v1/events/{slug}/registrations", web_register_here, ALL, .group = "Registering",
     .doc = "Register for the event of the path.\n" REGISTER_DOC, .headers = register_headers,
     .body = &register_here_record, .reply = &registration_reply_record, .reply_status = 201,
     .faults_to_handler = true, .problems = REGISTER_PROBLEMS},
    {"GET", "/e/{slug}/register", web_form, ALL, .is_page = true, .doc = "The form."},
    {"POST", "/e/{slug}/register", web_form_post, ALL, .is_page = true,
     .doc = "The form as it is sent.", .body = &register_form_record, .takes_form = true,
     .faults_to_handler = true},

    /* ---- events ---- */
    {"GET", "/", web_home, ALL, .is_page = true, .doc = "All events.",
     .query = &events_query_record},
    {"GET", "/e/{slug}", web_event, ALL, .is_page = true, .doc = "One event."},
    {"GET", "/e/{slug}/event.ics", web_event_ics, ALL, .is_page = true, .doc = "A calendar file."},
    {"GET", "/api/v1/events", web_api_events, ALL, .group = "Events",
     .doc = "List events.\nSorted by start. `next` is the cursor of the next page.",
     .query = &events_query_record, .reply = &events_reply_record, .cache = "public, max-age=5",
     .problems = PROBLEMS(&ush_problem_validation)},
    {"GET", "/api/v1/events/{slug}", web_api_event, ALL, .group = "Events",
     .doc = "Read one event.", .reply = &event_reply_record, .cache = "public, max-age=5",
     .problems = PROBLEMS(&problem_no_event)},
    {"GET", "/api/v1/events/{slug}/availability", web_api_availability, ALL, .group = "Events",
     .doc = "Ask what a newcomer would meet now.\nAt most a second old.",
     .reply = &availability_record, .cache = "public, max-age=1",
     .problems = PROBLEMS(&problem_no_event)},

    /* ---- one registration ---- */
    {"GET", "/api/v1/registrations/{id}", web_api_registration, ALL, .group = "Registrations",
     .doc = "Read a registration.", .bearer = &private_link, .reply = &registration_reply_record,
     .problems = PROBLEMS(&problem_unauthenticated, &problem_no_registration)},
    {"POST", "/api/v1/registrations/{id}/cancel", web_api_cancel, ALL, .group = "Registrations",
     .doc = "Cancel a registration.\nThe longest waiting moves up at once. Cancelling twice is the "
            "same as once.",
     .bearer = &private_link, .reply = &registration_reply_record,
     .problems =
         PROBLEMS(&problem_unauthenticated, &problem_no_registration, &problem_deadline_passed)},
    {"POST", "/api/v1/registrations/{id}/resend", web_api_resend, ALL, .group = "Registrations",
     .doc = "Mail the ticket and the private link again.\nAt most once an hour.",
     .bearer = &private_link, .reply = &registration_reply_record, .reply_status = 202,
     .problems = PROBLEMS(&problem_unauthenticated, &problem_no_registration, &problem_too_soon)},
    {"GET", "/r/{token}", web_ticket, ALL, .is_page = true, .doc = "The ticket."},
    {"GET", "/r/{token}/ticket.svg", web_ticket_svg, ALL, .is_page = true, .doc = "Its QR code."},
    {"GET", "/r/{token}/ticket.png", web_ticket_png, ALL, .is_page = true, .doc = "Its QR code."},
    {"GET", "/r/{token}/event.ics", web_ticket_ics, ALL, .is_page = true,
     .doc = "A calendar file."},
    {"GET", "/r/{token}/cancel", web_ticket_cancel_form, ALL, .is_page = true,
     .doc = "Cancel? Asks."},
    {"POST", "/r/{token}/cancel", web_ticket_cancel, ALL, .is_page = true, .doc = "Cancels."},
    {"POST", "/r/{token}/resend", web_ticket_resend, ALL, .is_page = true,
     .doc = "Mails it again."},
    {"GET", "/r/{token}/edit", web_edit, ALL, .is_page = true, .doc = "The form, to correct."},
    {"POST", "/r/{token}/edit", web_edit_post, ALL, .is_page = true, .doc = "Corrects.",
     .body = &register_form_record, .takes_form = true, .faults_to_handler = true},
    {"GET", "/r/{token}/data", web_data, ALL, .is_page = true, .doc = "What is stored."},
    {"GET", "/r/{token}/data.json", web_data_json, ALL, .is_page = true,
     .doc = "The same to take along."},
    {"GET", "/r/{token}/delete", web_delete, ALL, .is_page = true, .doc = "Delete? Asks."},
    {"POST", "/r/{token}/delete", web_delete_post, ALL, .is_page = true, .doc = "Deletes."},
    {"GET", "/find", web_find, ALL, .is_page = true, .doc = "Lost your ticket?"},
    {"POST", "/find", web_find_post, ALL, .is_page = true, .doc = "Mails the links again.",
     .body = &find_form_record, .takes_form = true, .faults_to_handler = true},
    {"GET", "/privacy", web_privacy, ALL, .is_page = true, .doc = "What is stored, and why."},
    {"GET", "/t/{ticket}", web_ticket_scan, ALL, .is_page = true, .doc = "What a QR code opens."},
    {"GET", "/T/{ticket}", web_ticket_scan, ALL, .is_page = true, .doc = "The same in capitals."},

    /* ---- for organisers ---- */
    {"GET", "/admin/login", web_login, ALL, .is_page = true, .doc = "Login."},
    {"POST", "/admin/login", web_login_post, ALL, .is_page = true, .doc = "Logs in.",
     .body = &login_form_record, .takes_form = true, .faults_to_handler = true},
    {"POST", "/admin/logout", web_logout, FOR(ANY), .is_page = true, .doc = "Logs out."},
    {"GET", "/admin/setup/{token}", web_setup, ALL, .is_page = true, .doc = "The first owner."},
    {"POST", "/admin/setup/{token}", web_setup_post, ALL, .is_page = true,
     .doc = "Makes the first owner.", .body = &setup_form_record, .takes_form = true,
     .faults_to_handler = true},
    {"GET", "/admin/pair/{code}", web_pair, ALL, .is_page = true, .doc = "Pair this phone? Asks."},
    {"POST", "/admin/pair/{code}", web_pair_post, ALL, .is_page = true, .doc = "Pairs it."},
    {"GET", "/admin", web_admin, FOR(LOOK), .is_page = true, .doc = "Dashboard."},
    {"GET", "/admin/stream", web_admin_stream, FOR(LOOK), .is_page = true,
     .doc = "Its numbers as events."},
    {"GET", "/admin/events", web_admin_events, FOR(LOOK), .is_page = true, .doc = "Their events."},
    {"GET", "/admin/events/new", web_admin_event_new, FEST(ORGANISER), .is_page = true,
     .doc = "The form of a new event."},
    {"POST", "/admin/events/new", web_admin_event_post, FEST(ORGANISER), .is_page = true,
     .doc = "Previews or stores it.", .body = &event_form_record, .takes_form = true,
     .faults_to_handler = true, .body_bytes = EVENT_BODY_MAX},
    {"GET", "/admin/events/import", web_admin_import, FEST(ORGANISER), .is_page = true,
     .doc = "A file of events."},
    {"POST", "/admin/events/import", web_admin_import_post, FEST(ORGANISER), .is_page = true,
     .doc = "Checks or stores it.", .body = &import_form_record, .takes_form = true,
     .takes_files = true, .faults_to_handler = true, .body_bytes = IMPORT_BODY_MAX},
    {"GET", "/admin/events/{slug}", web_admin_event, FOR(LOOK), .is_page = true, .doc = "One."},
    {"GET", "/admin/events/{slug}/edit", web_admin_event_edit, FOR(ORGANISER), .is_page = true,
     .doc = "Its form."},
    {"POST", "/admin/events/{slug}/edit", web_admin_event_post, FOR(ORGANISER), .is_page = true,
     .doc = "Previews or stores it.", .body = &event_form_record, .takes_form = true,
     .faults_to_handler = true, .body_bytes = EVENT_BODY_MAX},
    {"POST", "/admin/events/{slug}/seats", web_admin_seats, FOR(ORGANISER), .is_page = true,
     .doc = "Places, open, close.", .body = &seats_form_record, .takes_form = true},
    {"POST", "/admin/events/{slug}/promote", web_admin_promote, FOR(ORGANISER), .is_page = true,
     .doc = "Moves the waitlist.", .body = &promote_form_record, .takes_form = true},
    {"GET", "/admin/events/{slug}/cancel", web_admin_event_cancel_form, FOR(ORGANISER),
     .is_page = true, .doc = "Cancel it? Asks."},
    {"POST", "/admin/events/{slug}/cancel", web_admin_event_cancel, FOR(ORGANISER), .is_page = true,
     .doc = "Cancels it and tells everybody."},
    {"GET", "/admin/events/{slug}/announce", web_admin_event_announce_form, FOR(ORGANISER),
     .is_page = true, .doc = "Tell everybody? Asks."},
    {"POST", "/admin/events/{slug}/announce", web_admin_event_announce, FOR(ORGANISER),
     .is_page = true, .doc = "Tells everybody how it stands now."},
    {"POST", "/admin/events/{slug}/undo", web_admin_event_undo, FOR(ORGANISER), .is_page = true,
     .doc = "Takes back what is not mailed yet."},
    {"GET", "/admin/events/{slug}/people", web_admin_people, FOR(DESK), .is_page = true,
     .doc = "Its people.", .query = &people_query_record},
    {"GET", "/admin/events/{slug}/entry", web_admin_entry, FOR(DESK), .is_page = true,
     .doc = "The form for somebody at the desk."},
    {"POST", "/admin/events/{slug}/entry", web_admin_entry_post, FOR(DESK), .is_page = true,
     .doc = "Enters somebody.", .body = &person_form_record, .takes_form = true,
     .faults_to_handler = true},
    {"GET", "/admin/events/{slug}/export", web_admin_export, FOR(ORGANISER), .is_page = true,
     .doc = "Export? Asks what for."},
    {"POST", "/admin/events/{slug}/export", web_admin_export_post, FOR(ORGANISER), .is_page = true,
     .doc = "Its people as a file.", .body = &export_form_record, .takes_form = true,
     .deadline_ms = 60000},
    {"GET", "/admin/people", web_admin_people, FEST(DESK), .is_page = true, .doc = "All people.",
     .query = &people_query_record},
    {"GET", "/admin/people/{registration}", web_admin_person, FOR(DESK), .is_page = true,
     .doc = "One, with history."},
    {"GET", "/admin/people/{registration}/edit", web_admin_person_edit, FOR(ORGANISER),
     .is_page = true, .doc = "The form that corrects it."},
    {"POST", "/admin/people/{registration}/edit", web_admin_person_edit_post, FOR(ORGANISER),
     .is_page = true, .doc = "Corrects it.", .body = &person_form_record, .takes_form = true,
     .faults_to_handler = true},
    {"POST", "/admin/people/{registration}/cancel", web_admin_person_cancel, FOR(ORGANISER),
     .is_page = true, .doc = "Cancels it."},
    {"POST", "/admin/people/{registration}/resend", web_admin_person_resend, FOR(ORGANISER),
     .is_page = true, .doc = "Mails it again."},
    {"POST", "/admin/people/{registration}/reissue", web_admin_person_reissue, FOR(ORGANISER),
     .is_page = true, .doc = "A new ticket; the old one dies."},
    {"POST", "/admin/people/{registration}/export", web_admin_person_export, FOR(ORGANISER),
     .is_page = true, .doc = "All that is stored about it, as a file."},
    {"POST", "/admin/people/{registration}/erase", web_admin_person_erase, FOR(OWNER),
     .is_page = true, .doc = "Forgets it."},
    {"GET", "/admin/scan", web_admin_scan, FOR(SCAN), .is_page = true, .doc = "The door.",
     .query = &scan_query_record},
    {"GET", "/admin/scan/{ticket}", web_admin_scan_code, FOR(SCAN), .is_page = true,
     .doc = "The door with a ticket: asks."},
    {"POST", "/admin/scan", web_admin_scan_post, FOR(SCAN), .is_page = true, .doc = "A scan.",
     .body = &scan_form_record, .takes_form = true, .faults_to_handler = true},
    {"GET", "/admin/mail", web_admin_mail, FEST(ORGANISER), .is_page = true, .doc = "Mails."},
    {"POST", "/admin/mail/retry", web_admin_mail_retry, FEST(ORGANISER), .is_page = true,
     .doc = "Sends failed ones again.", .body = &id_form_record, .takes_form = true},
    {"POST", "/admin/mail/pause", web_admin_mail_pause, FEST(ORGANISER), .is_page = true,
     .doc = "Pauses a lane.", .body = &id_form_record, .takes_form = true},
    {"POST", "/admin/mail/resume", web_admin_mail_resume, FEST(ORGANISER), .is_page = true,
     .doc = "Lets it go on.", .body = &id_form_record, .takes_form = true},
    {"GET", "/admin/devices", web_admin_devices, FEST(ORGANISER), .is_page = true,
     .doc = "Phones at the door."},
    {"POST", "/admin/devices", web_admin_device_post, FEST(ORGANISER), .is_page = true,
     .doc = "A new one, with its code.", .body = &device_form_record, .takes_form = true,
     .faults_to_handler = true},
    {"POST", "/admin/devices/revoke", web_admin_device_revoke, FEST(ORGANISER), .is_page = true,
     .doc = "Ends one.", .body = &id_form_record, .takes_form = true},
    {"GET", "/admin/users", web_admin_users, FEST(OWNER), .is_page = true, .doc = "Users."},
    {"POST", "/admin/users", web_admin_user_post, FEST(OWNER), .is_page = true, .doc = "A new one.",
     .body = &user_form_record, .takes_form = true, .faults_to_handler = true},
    {"POST", "/admin/users/{id}", web_admin_user_post, FEST(OWNER), .is_page = true,
     .doc = "Changes one.", .body = &user_form_record, .takes_form = true,
     .faults_to_handler = true},
    {"GET", "/admin/audit", web_admin_audit, FEST(ORGANISER), .is_page = true,
     .doc = "What was done.", .query = &audit_query_record},
    {"GET", "/admin/privacy", web_admin_privacy, FEST(OWNER), .is_page = true,
     .doc = "Retention and erasure."},
    {"POST", "/admin/privacy/person", web_admin_privacy_person, FEST(OWNER), .is_page = true,
     .doc = "Forgets a person.", .body = &person_erase_form_record, .takes_form = true,
     .faults_to_handler = true, .deadline_ms = 60000},
    {"POST", "/admin/privacy/export", web_admin_privacy_export, FEST(OWNER), .is_page = true,
     .doc = "All that is stored about a person, as a file.", .body = &person_erase_form_record,
     .takes_form = true, .faults_to_handler = true, .deadline_ms = 60000},
    {"POST", "/admin/privacy/due", web_admin_privacy_due, FEST(OWNER), .is_page = true,
     .doc = "Forgets those whose time is over.", .deadline_ms = 600000},

    /* ---- about the program ---- */
    {"GET", "/openapi.json", ush_openapi_handler, ALL, .group = "About",
     .doc = "This API as OpenAPI 3.1.", .cache = "public, max-age=300"},
    {"GET", "/docs", ush_docs_handler, ALL, .is_page = true, .doc = "This API for people.",
     .cache = "public, max-age=300"},
    {"GET", "/healthz", web_healthz, ALL, .group = "About", .doc = "Is this process alive?",
     .runs_on = USH_LOOP},
    {"GET", "/readyz", web_readyz, ALL, .group = "About", .doc = "Can it read and store?",
     .problems = PROBLEMS(&ush_problem_unavailable)},
    {"GET", "/metrics", web_metrics, ALL, .group = "About",
     .doc = "Counters in Prometheus' text format, for this machine only.",
     .problems = PROBLEMS(&ush_problem_not_found)},
    {"GET", "/outbox", web_outbox, ALL, .is_page = true, .runs_on = USH_THREAD,
     .doc = "Mails written to files, for trying out."},
    {"GET", "/outbox/{file}", web_outbox_mail, ALL, .is_page = true, .runs_on = USH_THREAD,
     .doc = "One of them."},
    {"GET", "/assets/{file}", web_asset, ALL, .is_page = true, .doc = "Style sheet and icon."},
};
const size_t web_route_count = USH_COUNT(web_routes);

struct ush_http_options web_http_options(struct web *w)
{
    return (struct ush_http_options){
        .routes = web_routes,
        .route_count = web_route_count,
        .trusted_proxies = w ? w->settings->trusted_proxies : NULL,
        .title = w && w->settings->name[0] ? w->settings->name : "Usher",
        .version = USHER_VERSION,
        .app = w,
        .admit = web_admit,
        .problem_page = reply_problem_page,
    };
}
