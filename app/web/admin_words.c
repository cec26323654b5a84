/*
 * admin_words.c - what the organisers' pages say in words: times, places, outcomes, small charts.
 */
#include <stdio.h>

#include "web/admin_events.h"

ush_text time_words(struct ush_arena *arena, const struct event *e, int64_t wall_ms, int64_t now_ms)
{
    static const char *const days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                       "Thursday", "Friday", "Saturday"};
    static const char *const months[] = {"January",   "February", "March",    "April",
                                         "May",       "June",     "July",     "August",
                                         "September", "October",  "November", "December"};
    static const struct {
        int64_t ms;
        const char *one;
    } units[] = {{86400000, "day"}, {3600000, "hour"}, {60000, "minute"}};
    struct ush_civil c = ush_civil_from_ms(wall_ms, (int)e->utc_offset_min);
    int64_t away = wall_ms > now_ms ? wall_ms - now_ms : now_ms - wall_ms;
    ush_text distance = USH_T("now");
    for (size_t i = 0; i < USH_COUNT(units); i++) {
        int64_t n = away / units[i].ms;
        if (n < 1)
            continue;
        distance =
            ush_arena_printf(arena, "%s%lld %s%s%s", wall_ms > now_ms ? "in " : "", (long long)n,
                             units[i].one, n == 1 ? "" : "s", wall_ms > now_ms ? "" : " ago");
        break;
    }
    return ush_arena_printf(arena, "%s %d %s %d, %02d:%02d (%.*s), %.*s", days[c.weekday], c.day,
                            months[c.month - 1], c.year, c.hour, c.minute, USH_PR(e->tz),
                            USH_PR(distance));
}

ush_text seats_words(struct ush_arena *arena, const struct seats *s)
{
    return USH_HAS(s, seats_capacity)
               ? ush_arena_printf(arena, "%lld of %lld", (long long)s->taken,
                                  (long long)s->capacity)
               : ush_arena_printf(arena, "%lld, unlimited", (long long)s->taken);
}

ush_text optional_number(struct ush_arena *arena, bool is_there, int64_t value)
{
    return is_there ? ush_arena_printf(arena, "%lld", (long long)value) : USH_T("");
}

/* ---- outcomes -------------------------------------------------------------------------------- */

const struct notice admin_notices[] = {
    {"saved", "good", "Saved."},
    {"out", "good", "You are logged out."},
    {"cancelled", "good", "Cancelled."},
    {"announced", "good", "Everybody will be told."},
    {"undone", "good", "Taken back. No mail was sent."},
    {"imported", "good", "The events are stored."},
    {"promoted", "good", "The longest waiting moved up; they get a mail."},
    {"resent", "good", "The mail is on its way again."},
    {"reissued", "good", "The ticket is made anew; the old QR code is no longer valid."},
    {"erased", "good", "Erased."},
    {"retried", "good", "The mails are queued again."},
    {"paused", "good", "Paused. What is being sent at this moment is finished."},
    {"resumed", "good", "Mails go out again."},
    {"revoked", "good", "The device is revoked."},
    {"nothing", "wait", "Nothing had to be changed."},
    {"number", "bad",
     "Places are a number, or empty for as many as come; the waitlist is a number, or: unlimited. "
     "Nothing is changed."},
    {"not_found", "bad", "It is not there any more. Nothing is changed."},
    {"too_late", "bad", "It is too late for that. Nothing is changed."},
    {"too_soon", "bad", "That was done less than an hour ago. Nothing is changed."},
    {"below", "bad",
     "More places are taken than that, and nobody is ever dropped. Nothing is changed."},
    {"duplicate", "bad", "There is one already. Nothing is changed."},
    {"dead", "bad", "It is cancelled. Nothing is changed."},
    {"refused", "bad", "That is refused. Nothing is changed."},
    {"owner", "bad", "Nobody would be left who may do everything. Make another owner first."},
};
const size_t admin_notice_count = USH_COUNT(admin_notices);

const char *outcome_code(int64_t outcome, const char *done)
{
    switch (outcome) {
    case CHANGE_DONE:
        return done;
    case CHANGE_NOTHING:
        return "nothing";
    case CHANGE_NOT_FOUND:
        return "not_found";
    case CHANGE_TOO_LATE:
        return "too_late";
    case CHANGE_TOO_SOON:
        return "too_soon";
    case CHANGE_BELOW_TAKEN:
        return "below";
    case CHANGE_DUPLICATE:
        return "duplicate";
    case CHANGE_DEAD:
        return "dead";
    default:
        return "refused";
    }
}
