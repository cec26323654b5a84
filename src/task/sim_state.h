/*
 * sim_state.h - what sim.c (time, order, chance) and sim_net.c (sockets) share.
 */
#ifndef USH_TASK_SIM_STATE_H
#define USH_TASK_SIM_STATE_H

#include "task/fd.h"

/* Each kind of chance draws from a stream of its own, so that adding a fault to a run does not
 * shuffle the order of its tasks. */
enum {
    SIM_STREAM_ORDER,
    SIM_STREAM_FAULT,
    SIM_STREAM_DELAY,
    SIM_STREAM_USER,
    SIM_STREAM_BYTES,
    SIM_STREAMS
};

/*
 * What the explorer (src/explore) lays beside a run. Every choice between two or more things has a
 * natural one, number 0: the task that runs goes on, then the order of service; no fault; no delay.
 * So a schedule is a seed and a short list of deviations.
 */
struct ush__deviation {
    uint32_t at;     /* the how manieth choice of the run, from 0 */
    uint32_t choice; /* not 0 */
};
struct ush__choice {
    uint32_t n, choice;
};
struct ush__script {
    /* If it plays, these are the choices made, in ascending order of `at`; else the seed's. */
    const struct ush__deviation *played; /* borrowed */
    size_t played_count, played_next;
    bool plays;
    /* Every choice that was made, up to `room`. */
    struct ush__choice *choices; /* owned by the explorer */
    size_t count, room;
    /* Optional, to tell the story: at a deviation; at a suspension, on the task's stack; at every
     * resume. */
    void (*on_deviation)(struct ush__script *s, enum ush__decision kind, uint32_t choice);
    void (*on_enter)(struct ush__script *s, struct ush_task *t);
    void (*on_park)(struct ush__script *s, struct ush_task *t);
    void (*on_pick)(struct ush__script *s, struct ush_task *t, bool is_forced);
};

struct ush__sim_state {
    struct ush_sim_options o;
    struct ush_sim_report *report; /* borrowed; may be NULL */
    uint64_t stream[SIM_STREAMS];
    int64_t now_ns;
    uint64_t hash, decisions, suspensions;
    uint64_t picks;        /* tasks resumed */
    struct ush_task *kept; /* only passed a suspension point: the natural next; NULL if none */
    uint32_t kept_in_a_row;
    uint64_t pct_change[8]; /* picks at which the first in line goes to the end of it */
    struct ush__sim_net *net;
};

/* True once in `permille` of 1,000 times; not a decision when permille is 0. */
bool ush__sim_chance(enum ush__decision kind, uint32_t permille);

int ush__sim_net_start(struct ush__sim_state *s);
void ush__sim_net_stop(struct ush__sim_state *s);
int ush__sim_connect(const struct ush_address *to);
int ush__sim_fd_open(int fd);
void ush__sim_close(int fd);
ssize_t ush__sim_recv_now(int fd, void *ret_bytes, size_t n);
ssize_t ush__sim_send_now(int fd, const void *bytes, size_t n);
int ush__sim_accept_now(int listener, struct ush_address *ret_peer);
int ush__sim_listen(const struct ush_address *at, int backlog);
int ush__sim_socketpair(int ret_fds[2]);
int ush__sim_shutdown_write(int fd);
int ush__sim_listener_watch(int fd, ush_ready_fn fn, void *ctx);
void ush__sim_listener_unwatch(int fd);

#endif
