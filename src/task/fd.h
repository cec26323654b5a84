/*
 * fd.h - descriptors of the backends that learn of readiness (epoll and sim).
 *
 * One slot of 40 bytes per descriptor number is all the state that the runtime keeps of an open
 * descriptor: an idle connection has no buffer and no task here.
 */
#ifndef USH_TASK_FD_H
#define USH_TASK_FD_H

#include "task/task.h"

/* What is known of a descriptor. READABLE and WRITABLE mean "may be, try it": they are set by an
 * event and cleared by a call that found nothing more. HANGUP stays, and keeps READABLE set. */
enum {
    USH__FD_READABLE = USH_READABLE,
    USH__FD_WRITABLE = USH_WRITABLE,
    USH__FD_HANGUP = USH_HANGUP,
    USH__FD_OPEN = 8,      /* ush_fd_open or one of our own sockets */
    USH__FD_LISTENER = 16, /* level-triggered and shared: always tried */
    USH__FD_FOREIGN = 32,  /* known to the kernel's set through ush_wait_fd */
    USH__FD_OUT = 64,      /* room is reported too; asked for at the first full send */
    USH__FD_OWED = 128,    /* its watch is to be called at the next poll */
};

struct ush__fd {
    struct ush_task *reader, *writer; /* PARKED for it, or NULL */
    ush_ready_fn watch;
    void *watch_ctx;
    uint32_t generation; /* raised at close: events of an earlier owner of the number are dropped */
    uint32_t flags;
};
static_assert(sizeof(struct ush__fd) <= 40, "an idle connection pays this");

int ush__fds_start(struct ush_loop *l);
void ush__fds_stop(struct ush_loop *l);

/* The slot of any descriptor number; NULL without memory. Slots never move. */
struct ush__fd *ush__fd_slot(int fd);
/* The slot of an open descriptor or NULL. */
struct ush__fd *ush__fd_find(int fd);

/* Begins and ends the life of a descriptor. Ending wakes its waiters with -EBADF. */
struct ush__fd *ush__fd_begin(int fd, uint32_t flags);
void ush__fd_end(int fd);

/* Something was heard of fd: remembers it, wakes who waits, else calls the watch. */
void ush__fd_ready(int fd, uint32_t events);
/* Calls the watches that were set on descriptors that were ready already. */
void ush__fds_pay(struct ush_loop *l);
bool ush__fds_owes(const struct ush_loop *l);
int ush__fd_set_watch(int fd, ush_ready_fn fn, void *ctx);

/* Parks until one of `events` or hang-up; returns the set. `slot` is that of fd. */
int ush__fd_wait(int fd, struct ush__fd *slot, unsigned events, enum ush__wait wait);

/* The suspending operations of ush__backend over its `_now` calls. */
ssize_t ush__fd_recv(int fd, void *ret_bytes, size_t n);
ssize_t ush__fd_send(int fd, const void *bytes, size_t n);
int ush__fd_accept(int listener, struct ush_address *ret_peer);

#endif
