/*
 * master.h (internal) - the table of contents of src/master, and what its files share.
 *
 *     master.c  the run: signals, the stages of a stop, what to do next
 *     place.c   one process: fork, talk, drain, exit; one post: back-off and staffing
 *     roll.c    HUP: the trial of the settings, then one post after the other
 *     watch.c   beats and time limits
 *     notify.c  what the service manager is told
 *     worker.c  the child's side of it all
 *     crash.c   the last words of a process that got a fatal signal
 *
 * A *post* is a job to be done ("web 2"). A *place* is a process that does one, with a line on the
 * scoreboard. During a roll a post has two places: the one that serves and its successor. A place
 * that leaves belongs to no post any more, so the post can be given anew.
 *
 * The master is one thread that looks at this state after every event and does what is due, again
 * and again; nothing is remembered in the shape of a callback. So any order of events is good.
 *
 * Master and worker talk over a SOCK_SEQPACKET pair. Its end in the worker is how the worker sees
 * that the master is gone: therefore no other process may hold the master's end (place.c).
 */
#ifndef USH_MASTER_MASTER_H
#define USH_MASTER_MASTER_H

#include <stdatomic.h>
#include <sys/un.h>

#include "usher/master.h"

enum {
    USH__READY_MS = 30000, /* a worker that is not ready by then is killed */
    USH__FAST_MS = 2000,   /* what a fast stop leaves, and a drain past its limit */
    USH__ABORT_MS = 5000,  /* from SIGABRT to SIGKILL */
    USH__SAMPLE_MS = 1000, /* between two looks at the beats, at most */
    USH__GAP_MS = 5000,    /* a master that did not look for this long has slept itself */
    USH__EARLY_MS = 1000,  /* a death this soon after being ready is an early one */
    USH__RETRY_MS = 100,   /* wait after the first death */
    USH__RETRY_MAX_MS = 10000,
    USH__DEATHS = 5,             /* so many deaths ... */
    USH__DEATHS_MS = 30000,      /* ... within this make a post degraded */
    USH__TRIAL_MS = 30000,       /* the settings must be judged by then */
    USH__TRIAL_TEXT = 4096,      /* bytes of its complaint that are logged */
    USH__POSTS_MAX = 96,         /* the other places are for those that leave */
    USH__ENDED = USH_PLACES_MAX, /* identities waiting to be told */
};

/* ---- shared by all processes ---------------------------------------------------------------- */

struct ush__board {
    struct ush_beat beats[USH_PLACES_MAX];
    _Atomic uint64_t started, died, hung;
    _Atomic uint32_t serving, degraded;
    atomic_bool is_stopping;
    size_t block_bytes; /* of each place's block; they follow */
    char blocks[] __attribute__((aligned(64)));
};

/* ---- messages ------------------------------------------------------------------------------- */

enum ush__word {
    USH__DRAIN = 1, /* to the worker; value: ush_now_ns by which it must be done */
    USH__QUIT,      /* to the worker: stop fast */
    USH__DUMP,      /* to the worker: reopen the log and write the tasks to it */
    USH__REOPEN,    /* to the worker: reopen the log */
    USH__PEER,      /* to the worker: a process has ended; value: its identity */
    USH__SERVES,    /* to the master: ready */
    USH__LEAVE,     /* to the master: this worker asks to be drained */
    USH__SETTLED,   /* to the master: what the ended process left has been seen to; its identity */
};
struct ush__message {
    int64_t word, value;
};

/* ---- the master's own ----------------------------------------------------------------------- */

enum ush__place_state { USH__FREE, USH__STARTING, USH__SERVING, USH__LEAVING };

struct ush__place {
    enum ush__place_state state;
    const struct ush_role *role;
    int index;
    struct ush__post *post; /* NULL while LEAVING */
    pid_t pid;
    int control; /* owned; -1 once the worker has closed its end */
    int64_t owner;
    uint32_t generation; /* of the settings it was started with */
    int64_t ready_ns;
    int64_t limit_ns; /* killed at that moment; USH_NEVER */
    bool is_hurried, is_aborted, is_killed;
    uint64_t turns;   /* the beat as seen last ... */
    int64_t moved_ns; /* ... and when it was another */
};

struct ush__post {
    const struct ush_role *role; /* NULL: no such post */
    int index;
    struct ush__place *place;       /* NULL while nobody does it */
    struct ush__place *successor;   /* STARTING, in a roll */
    int64_t retry_ns;               /* not to be given before */
    uint32_t early;                 /* early deaths in a row */
    int64_t deaths_ns[USH__DEATHS]; /* of the last ones, a ring */
    uint32_t death_count;
    bool is_degraded;
};

enum ush__stage { USH__FIRST_START, USH__RUNNING, USH__DRAINING, USH__STOPPING };

enum ush__told { USH__TOLD_NOTHING, USH__TOLD_READY, USH__TOLD_RELOADING, USH__TOLD_STOPPING };

struct ush__notify {
    struct sockaddr_un to;
    socklen_t to_bytes; /* 0: nobody wants to know */
    enum ush__told told;
    int64_t ping_ns, next_ping_ns; /* 0: no watchdog */
};

struct ush__master {
    const struct ush_master_options *o;
    enum ush__stage stage;
    int result;
    pid_t pid;
    int signals; /* signalfd, owned */
    int log_fd;  /* owned; -1 without a log file */
    struct ush__board *board;
    struct ush__place places[USH_PLACES_MAX];
    struct ush__post posts[USH__POSTS_MAX];
    int64_t stop_by_ns; /* when drained workers must be done */
    int64_t looked_ns;  /* at the beats */
    int64_t hang_ns;
    struct ush__notify notify;
    /* the roll */
    uint32_t generation;
    bool is_rolling, hup_again;
    pid_t trial_pid; /* 0: none */
    int trial_out;   /* owned; -1 */
    int64_t trial_limit_ns;
    char trial_text[USH__TRIAL_TEXT];
    size_t trial_len;
    /* Ended processes of which nobody has said yet that it saw to what they left; oldest first. */
    struct {
        int64_t owner;
        pid_t told; /* which worker has been told; 0 = none, or one that has ended since */
    } ended[USH__ENDED];
    size_t ended_count;
};

#define USH__EACH_PLACE(m, p)                                                                      \
    for (struct ush__place *p = (m)->places; p < (m)->places + USH_PLACES_MAX; p++)                \
        if (p->state != USH__FREE)
#define USH__EACH_POST(m, p)                                                                       \
    for (struct ush__post *p = (m)->posts; p < (m)->posts + USH__POSTS_MAX; p++)                   \
        if (p->role)

/* "web 2", for the log; static storage. */
const char *ush__place_name(const struct ush__place *p);
/* Forks a worker for the post. NULL when there is no free place or no process to be had. */
struct ush__place *ush__place_start(struct ush__master *m, struct ush__post *post);
void ush__place_tell(struct ush__place *p, enum ush__word word, int64_t value);
/* Asks it to end, takes it off its post and sets its limit. */
void ush__place_leave(struct ush__master *m, struct ush__place *p);
/* Reads what the worker has to say. */
void ush__place_hear(struct ush__master *m, struct ush__place *p);
void ush__place_kill(struct ush__place *p);
/* The process of this pid has ended; false if it was none of the places. */
bool ush__place_ended(struct ush__master *m, pid_t pid, int status);

/* Fills every post that has nobody and whose time has come. */
void ush__posts_staff(struct ush__master *m);
/* A new post in the role, with the lowest free index. False beyond the bounds. */
bool ush__post_add(struct ush__master *m, const struct ush_role *role);
/* Takes away the post with the highest index. False if only one is left. */
bool ush__post_drop(struct ush__master *m, const struct ush_role *role);

void ush__roll_ask(struct ush__master *m);
void ush__roll_step(struct ush__master *m);
void ush__trial_hear(struct ush__master *m);
bool ush__trial_ended(struct ush__master *m, pid_t pid, int status);

/* Looks at beats and limits. */
void ush__watch(struct ush__master *m);

/* Reads who wants to know; then tells what has changed. */
void ush__notify_init(struct ush__master *m);
void ush__notify(struct ush__master *m);

/* In the child: plays the role, never returns. */
void ush__worker_main(struct ush__master *m, struct ush__place *p, int control)
    __attribute__((noreturn));
/* In any child of the master: default signals, nothing of the master's kept open. */
void ush__child_begin(struct ush__master *m);

/* Installs the reports of fatal signals. The strings and the beat are borrowed for ever. */
void ush__crash_watch(const char *name, const struct ush_beat *beat, int log_fd);

static inline void ush__sooner(int64_t *moment, int64_t other)
{
    if (other < *moment)
        *moment = other;
}

#endif
