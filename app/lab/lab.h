/*
 * lab.h - the lab: ways to serve a rush, side by side, each really run and measured.
 *
 *     scenes.c     the table of scenes                    loop.c    computing on the loop
 *     stage.c      shared memory, processes, figures      waits.c   many calls of one request
 *     mailer.c     the slow peer: a mail server           races.c   lost updates, locks, seats
 *     blocking.c   one process; several processes         lost.c    work that nobody waits for
 *     threads.c    a thread each; a pool of threads       draw.c    table, timeline, SVG, JSON
 *     callbacks.c  an event loop by hand                  page.c    all of it in a browser
 *     tasks.c      tasks that read like blocking code
 *
 * One workload for all models: register a student = validate, save, call the mail server (two
 * seconds), reply. All students press the button at moment 0.
 *
 * Rules
 *  1. A scene uses its own mechanism, written out in its file, short enough to read as a lesson.
 *  2. Nothing that is shown is computed from a formula. A timeline is drawn from the events that
 * the run has written into shared memory (who, on which worker, runs or waits), figures come from
 *     the clock and from getrusage.
 *  3. A run has its own processes and leaves none behind.
 *  4. With `scale` all waits are so many times shorter. Times are shown multiplied again, and say
 * so; what a model costs by itself is then magnified, too.
 */
#ifndef LAB_LAB_H
#define LAB_LAB_H

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "usher/usher.h"

enum { LAB_STUDENTS_MAX = 10000, LAB_EVENTS_MAX = 8 * LAB_STUDENTS_MAX, LAB_REAL_S_MAX = 120 };

struct lab_params {
    int64_t students, mail_ms, workers, threads, cap, scale;
};
extern const struct lab_params lab_defaults;

/* ---- what a run writes down ------------------------------------------------------------------ */

/* LAB_COMES: the button is pressed; without it that was moment 0. LAB_FAILS is an end, too. */
enum lab_what { LAB_RUNS, LAB_WAITS, LAB_ENDS, LAB_COMES, LAB_FAILS };
struct lab_event {
    int64_t at_ns; /* since moment 0, real time */
    uint32_t student;
    uint16_t lane; /* worker, thread or loop, from 0 */
    uint8_t what;  /* enum lab_what */
};

/* Shared by all processes of a run. */
struct lab_book {
    int64_t zero_ns; /* moment 0 on the monotonic clock */
    _Atomic uint32_t events, done, failed, threads, processes;
    _Atomic uint32_t at_peer, at_peer_most, refused; /* calls at the mail server */
    _Atomic int64_t switches, memory_kib;
    char reason[128];            /* of the first that failed */
    _Atomic int64_t figures[16]; /* of a scene's own, and its words */
    char words[4096];
    uint8_t saved[LAB_STUDENTS_MAX]; /* the table of registrations: 1 = stored */
    struct lab_event event[LAB_EVENTS_MAX];
};

enum { LAB_COLUMNS_MAX = 8, LAB_ROWS_MAX = 10 };
struct lab_table {
    const char *columns[LAB_COLUMNS_MAX]; /* with the unit: "last, s" */
    size_t column_count, row_count;
    struct {
        char label[56];
        double values[LAB_COLUMNS_MAX]; /* NAN: the model cannot */
    } rows[LAB_ROWS_MAX];
};

struct lab {
    struct lab_params p;
    struct lab_book *book; /* owned; shared memory */
    struct lab_table table;
    struct ush_buf notes; /* lines for people: reasons, reports */
    int64_t real_s_max;   /* for one row */
    struct {
        const char *rows, *unit; /* "student", "s" */
        double unit_ns;
    } axis; /* of the timeline */
    /* The mail server of this run. */
    int mail_listener;
    struct ush_address mail_at;
    int mail_limit; /* calls at once; refused beyond; 0 = no limit */
    int mail_pid;
};

/* ---- scenes ---------------------------------------------------------------------------------- */

enum lab_uses { LAB_STUDENTS = 1, LAB_MAIL = 2, LAB_WORKERS = 4, LAB_THREADS = 8, LAB_CAP = 16 };
struct lab_scene {
    const char *name, *title;
    const char *idea; /* a few plain sentences */
    unsigned uses;    /* parameters that change it: enum lab_uses */
    const char *source;
    int64_t students;  /* unless somebody says otherwise; 0 = 100 */
    const char *begin; /* of its part of the source; NULL = the first line behind LAB_SOURCE */
    int (*run)(struct lab *l); /* fills the table, the events and the notes; 0 or negative */
    int64_t scale, cap;        /* unless somebody says otherwise; 0 = as usual */
};
extern const struct lab_scene lab_scenes[]; /* ended by a NULL name */
const struct lab_scene *lab_scene_find(const char *name);

/* Runs a scene with fresh memory. The lab is then drawn, and given up with lab_fini. */
int lab_run(struct lab *l, const struct lab_scene *scene, const struct lab_params *p);
void lab_fini(struct lab *l);

/* ---- for scenes (stage.c, mailer.c) -----------------------------------------------------------
 */

static inline int64_t lab_clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * USH_SECOND + t.tv_nsec;
}
/* Any thread or process of the run. */
void lab_note(struct lab *l, uint32_t student, enum lab_what what, uint32_t lane);
/* The same for a moment that the caller knows better. */
void lab_note_at(struct lab *l, uint32_t student, enum lab_what what, uint32_t lane, int64_t at_ns);
/* A student whose call did not come about, and why. */
void lab_fail(struct lab *l, const char *what, int error);
void lab_say(struct lab *l, const char *fmt, ...) USH_PRINTF(2, 3);

/* The workload's two quick steps: 0 or -EINVAL. Neither waits. */
int lab_validate(uint32_t student);
void lab_save(struct lab *l, uint32_t student);
/* The third, for models that block: the whole call, as plain socket code. 0, or a negative error.
 */
int lab_mail(const struct lab *l, uint32_t student);
/* One answer of the mail server: 0 if it took the mail. */
int lab_mail_verdict(char answer);

/*
 * Plays one model: starts the mail server, runs `model` in a process of its own (so that its memory
 * and its switches can be told from ours), waits, and adds a row `label` to the table. A model that
 * would take longer than `real_s_max` is not run, and the notes say why. `at_once` is how many
 * calls the model has under way at most.
 */
int lab_play(struct lab *l, const char *label, int64_t at_once, int (*model)(struct lab *l));
/* fork and wait for models that have several processes. The child runs fn(l, number) and exits. */
int lab_fork_each(struct lab *l, int n, int (*fn)(struct lab *l, int number));
/* Counts this process's memory, switches and `threads` into the book, as it ends. */
void lab_count_self(struct lab *l, uint32_t threads);

/* True, and a note says why, if so many calls would take longer than `real_s_max`. */
bool lab_is_too_long(struct lab *l, const char *label, int64_t calls, int64_t at_once);

/* Runs fn in a process of its own and waits: 0, or -EIO if it failed or died. The book is fresh. */
int lab_process(struct lab *l, int (*fn)(struct lab *l));
/* The same without waiting: its process id. */
int lab_process_start(struct lab *l, int (*fn)(struct lab *l));
int lab_process_wait(int pid);
void lab_book_reset(struct lab *l);
/* The mail call for tasks: parks the task (tasks.c). */
int lab_mail_task(const struct lab *l, uint32_t student);

/* Starts and stops the mail server by hand, for scenes that do not use lab_play. */
int lab_mail_start(struct lab *l);
void lab_mail_stop(struct lab *l);
/* A row with `n` values; columns are set with the first. */
void lab_columns(struct lab *l, const char *const *columns, size_t n);
void lab_row(struct lab *l, const char *label, const double *values);
static inline int64_t lab_mail_ns(const struct lab *l)
{
    return l->p.mail_ms * USH_MS / l->p.scale;
}
/* Real nanoseconds as the seconds that they stand for. */
static inline double lab_s(const struct lab *l, int64_t ns)
{
    return (double)ns * (double)l->p.scale / 1e9;
}

/* The text of a file, for the page, compiled into itself. */
#define LAB_SOURCE(name)                                                                           \
    __asm__(".section .rodata\n.global lab_source_" #name "\nlab_source_" #name                    \
            ":\n.incbin \"" __FILE__ "\"\n.byte 0\n.previous\n")

/* Explores the scenario that o->name says: as ush_explore, or USH_ENOTFOUND. */
int lab_explore(const struct ush_explore_options *o, struct ush_explore_report *ret_report);
/* The names of those, by number; NULL behind the last. */
const char *lab_explorable(size_t i);

/* ---- drawing (draw.c) and the page (page.c) ---------------------------------------------------
 */

void lab_draw_text(const struct lab *l, const struct lab_scene *s, struct ush_buf *out);
void lab_draw_svg(const struct lab *l, const struct lab_scene *s, struct ush_buf *out);
/* SVG, table and notes as a part of a page. */
void lab_draw_html(const struct lab *l, const struct lab_scene *s, struct ush_buf *out);
void lab_draw_json(const struct lab *l, const struct lab_scene *s, struct ush_buf *out);
/* Serves the page on a listening socket until the process is ended. */
int lab_serve(int listener);

#endif
