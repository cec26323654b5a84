/*
 * sample.c - the sample fest, as a file for the importer with dates counted from now.
 *
 * It goes the same way as an organiser's file, so whatever the importer checks holds for it too.
 * Events that exist are left alone: running `usher init` again changes nothing.
 */
#include "domain/sample.h"

#include "domain/events.h"

enum { MINUTE_MS = 60000, HOUR_MS = 60 * MINUTE_MS, DAY_MS = 24 * HOUR_MS };

static const struct sample {
    const char *slug, *title, *category, *venue, *kind, *summary, *description;
    int start_day, start_hour, hours; /* days from today, hour of the day in UTC */
    int opens_in_min;                 /* registration; 0 = at once */
    int capacity, team_min, team_max;
    const char *waitlist;
} samples[] = {
    {"coding-competition", "Coding Competition", "Computing", "Computer Lab 1", "individual",
     "Five problems, two hours, any language.",
     "Bring nothing but yourself: machines and snacks are there.\nProblems range from a warm-up to "
     "one that nobody solved last year.",
     21, 4, 2, 0, 500, 1, 1, "100"},
    {"robotics-challenge", "Robotics Challenge", "Robotics", "Main Hall", "individual",
     "Steer a line follower through the maze. Few robots, so few places.",
     "Robots are provided. You get twenty minutes to tune yours and three runs on the clock.", 21,
     7, 3, 0, 12, 1, 1, "20"},
    {"tech-quiz", "Tech Quiz", "Quiz", "Auditorium", "team",
     "Teams of two or three, four rounds, one buzzer.",
     "One person registers the whole team. Rounds: history, code, gadgets, guess the sound.", 22, 5,
     2, 0, 40, 2, 3, "10"},
    {"drone-workshop", "Drone Workshop", "Workshop", "Sports Ground", "individual",
     "Build and fly. Registration opens later today.",
     "Thirty places. You take home what you build. Wear closed shoes.", 22, 9, 3, 120, 30, 1, 1,
     "unlimited"},
};

static void add_time(struct ush_buf *out, const char *name, int64_t ms)
{
    char text[32];
    ush_time_format(ms, 0, text);
    ush_buf_printf(out, ",\"%s\":\"%s\"", name, text);
}

static void add_text(struct ush_buf *out, const char *name, const char *text)
{
    ush_buf_printf(out, ",\"%s\":", name);
    ush_buf_add_json(out, ush_text_of(text));
}

static void add_event(struct ush_buf *out, const struct sample *s, const char *tz, int64_t now_ms)
{
    int64_t starts = (now_ms / DAY_MS + s->start_day) * DAY_MS + s->start_hour * (int64_t)HOUR_MS;
    ush_buf_printf(out, "%s{\"slug\":\"%s\"", out->len > 1 ? "," : "", s->slug);
    add_text(out, "title", s->title);
    add_text(out, "category", s->category);
    add_text(out, "venue", s->venue);
    add_text(out, "kind", s->kind);
    add_text(out, "summary", s->summary);
    add_text(out, "description", s->description);
    add_text(out, "tz", tz);
    add_text(out, "waitlist", s->waitlist);
    add_time(out, "starts", starts);
    add_time(out, "ends", starts + s->hours * (int64_t)HOUR_MS);
    if (s->opens_in_min)
        add_time(out, "opens", now_ms / MINUTE_MS * MINUTE_MS + s->opens_in_min * MINUTE_MS);
    ush_buf_printf(out, ",\"capacity\":%d", s->capacity);
    if (s->team_max > 1)
        ush_buf_printf(out, ",\"team_min\":%d,\"team_max\":%d", s->team_min, s->team_max);
    ush_buf_add_byte(out, '}');
}

int sample_fest(struct ush_db *db, const char *tz, struct ush_arena *arena,
                struct import_result *ret)
{
    struct ush_rows stored;
    struct ush_buf file;
    USH_TRY(events_read(db, arena, &stored));
    ush_buf_init(&file, 64 << 10);
    ush_buf_add_byte(&file, '[');
    for (size_t i = 0; i < USH_COUNT(samples); i++) {
        bool is_there = false;
        for (size_t k = 0; k < stored.count; k++)
            is_there |= ush_text_equal(((struct event_entry *)stored.at)[k].event.slug,
                                       ush_text_of(samples[i].slug));
        if (!is_there)
            add_event(&file, &samples[i], tz, ush_wall_ms());
    }
    ush_buf_add_byte(&file, ']');
    int rc = file.error;
    if (rc == 0)
        rc = import_events(
            db, ush_buf_text(&file),
            &(struct import_options){.format = IMPORT_JSON, .tz = tz, .actor = USH_T("init")},
            arena, ret);
    ush_buf_fini(&file);
    return rc;
}
