/*
 * fd.c - who waits for a descriptor, what is known of it, and the calls that try before they wait.
 *
 * Readiness is reported on edges: once when bytes arrive, and not again while they lie there. So
 * what an event said is remembered in the slot until a call has found that nothing is left:
 *
 *                   event
 *   drained  ----------------->  readable   recv moves all it was asked for: stays
 *       ^                            |
 *       +---- recv moves less than --+      (a stream that gave less than asked is empty; after
 *             asked, or -EAGAIN              a hang-up it is not, for the end is still to be read)
 *
 * While drained, recv does not even ask the kernel. For sending it is the same, except that a new
 * descriptor counts as writable: there is room, and trying tells.
 *
 * Invariants:
 *  1. `reader` and `writer` are PARKED tasks or NULL: a cancelled task leaves its slot at once.
 *  2. An event goes to the waiting task of its direction; only what no task waits for goes to the
 *     watch, and READABLE is remembered in both cases.
 *  3. A watch that is set on a descriptor that is ready already is owed a call: it gets one from
 *     the loop, never from inside ush_fd_watch.
 *  4. A slot never moves and is never freed while the loop runs, so it may be held over a wait; but
 *     the descriptor may be closed meanwhile, so `generation` is looked at afterwards.
 */
#include "task/fd.h"

#include <stdlib.h>

enum { CHUNK = 256 }; /* slots, 10 KiB */

struct ush__fds {
    struct ush__fd **chunks; /* owned */
    int chunk_count;
    int *owed; /* owned; descriptor numbers */
    uint32_t owed_count, owed_room;
};

int ush__fds_start(struct ush_loop *l)
{
    l->fds = calloc(1, sizeof *l->fds);
    return l->fds ? 0 : -ENOMEM;
}

void ush__fds_stop(struct ush_loop *l)
{
    if (!l->fds)
        return;
    for (int i = 0; i < l->fds->chunk_count; i++)
        free(l->fds->chunks[i]);
    free(l->fds->chunks);
    free(l->fds->owed);
    free(l->fds);
}

struct ush__fd *ush__fd_slot(int fd)
{
    struct ush__fds *f = ush__loop->fds;
    int chunk = fd / CHUNK;
    if (USH_UNLIKELY(chunk >= f->chunk_count)) {
        int count = chunk + 16;
        struct ush__fd **chunks = realloc(f->chunks, (size_t)count * sizeof *chunks);
        if (!chunks)
            return NULL;
        memset(chunks + f->chunk_count, 0, (size_t)(count - f->chunk_count) * sizeof *chunks);
        f->chunks = chunks;
        f->chunk_count = count;
    }
    if (USH_UNLIKELY(!f->chunks[chunk]))
        f->chunks[chunk] = calloc(CHUNK, sizeof **f->chunks);
    return f->chunks[chunk] ? &f->chunks[chunk][fd % CHUNK] : NULL;
}

struct ush__fd *ush__fd_find(int fd)
{
    struct ush__fds *f = ush__loop->fds;
    if (USH_UNLIKELY(fd < 0 || fd / CHUNK >= f->chunk_count || !f->chunks[fd / CHUNK]))
        return NULL;
    struct ush__fd *slot = &f->chunks[fd / CHUNK][fd % CHUNK];
    return slot->flags & USH__FD_OPEN ? slot : NULL;
}

struct ush__fd *ush__fd_begin(int fd, uint32_t flags)
{
    struct ush__fd *slot = ush__fd_slot(fd);
    if (!slot)
        return NULL;
    assert(!(slot->flags & USH__FD_OPEN));
    *slot = (struct ush__fd){.generation = slot->generation, .flags = flags | USH__FD_OPEN};
    return slot;
}

void ush__fd_end(int fd)
{
    struct ush__fd *slot = ush__fd_slot(fd);
    struct ush_task *reader = slot->reader, *writer = slot->writer;
    *slot = (struct ush__fd){.generation = slot->generation + 1};
    if (reader)
        ush__wake(reader, -EBADF);
    if (writer)
        ush__wake(writer, -EBADF);
}

/* ---- events ---------------------------------------------------------------------------------- */

void ush__fd_ready(int fd, uint32_t events)
{
    struct ush__fd *slot = ush__fd_slot(fd);
    if (events & USH_HANGUP)
        events |= USH_READABLE | USH_WRITABLE;
    slot->flags |= events;
    struct ush_task *reader = slot->reader, *writer = slot->writer;
    uint32_t left = events;
    if (reader && (events & USH_READABLE)) {
        slot->reader = NULL;
        left &= ~(uint32_t)(USH_READABLE | USH_HANGUP);
        if (writer == reader)
            slot->writer = writer = NULL;
        ush__wake(reader, (int)events);
    }
    if (writer && (events & USH_WRITABLE)) {
        slot->writer = NULL;
        left &= ~(uint32_t)USH_WRITABLE;
        if (reader == writer)
            slot->reader = NULL;
        ush__wake(writer, (int)events);
    }
    if (left && slot->watch)
        slot->watch(slot->watch_ctx, left);
}

int ush__fd_set_watch(int fd, ush_ready_fn fn, void *ctx)
{
    struct ush__fd *slot = ush__fd_find(fd);
    if (!slot)
        return -EBADF;
    slot->watch = fn;
    slot->watch_ctx = ctx;
    uint32_t ready = slot->flags & (USH_READABLE | USH_HANGUP);
    if (!fn || !ready || (slot->flags & USH__FD_OWED))
        return 0;
    struct ush__fds *f = ush__loop->fds;
    if (f->owed_count == f->owed_room) {
        uint32_t room = f->owed_room ? f->owed_room * 2 : 64;
        int *owed = realloc(f->owed, room * sizeof *owed);
        if (!owed)
            return -ENOMEM;
        f->owed = owed;
        f->owed_room = room;
    }
    f->owed[f->owed_count++] = fd;
    slot->flags |= USH__FD_OWED;
    return 0;
}

bool ush__fds_owes(const struct ush_loop *l)
{
    return l->fds->owed_count > 0;
}

void ush__fds_pay(struct ush_loop *l)
{
    struct ush__fds *f = l->fds;
    uint32_t count = f->owed_count; /* those that callbacks add are for the next turn */
    if (!count)
        return; /* the array may not exist yet */
    for (uint32_t i = 0; i < count; i++) {
        struct ush__fd *slot = ush__fd_slot(f->owed[i]);
        if (!(slot->flags & USH__FD_OWED))
            continue; /* closed since */
        slot->flags &= ~(uint32_t)USH__FD_OWED;
        uint32_t ready = slot->flags & (USH_READABLE | USH_HANGUP);
        if (slot->watch && ready && !slot->reader)
            slot->watch(slot->watch_ctx, ready);
    }
    f->owed_count -= count;
    memmove(f->owed, f->owed + count, f->owed_count * sizeof *f->owed);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool leave_slot(struct ush_task *t)
{
    struct ush__fd *slot = ush__fd_slot(ush__fd_of_object(t->wait_object));
    if (slot->reader == t)
        slot->reader = NULL;
    if (slot->writer == t)
        slot->writer = NULL;
    return true;
}

int ush__fd_wait(int fd, struct ush__fd *slot, unsigned events, enum ush__wait wait)
{
    struct ush_task *t = ush__self();
    if (events & USH_READABLE) {
        assert(!slot->reader); /* one task per direction */
        slot->reader = t;
    }
    if (events & USH_WRITABLE) {
        assert(!slot->writer);
        slot->writer = t;
    }
    return ush__park(wait, ush__object_of_fd(fd), leave_slot);
}

ssize_t ush__fd_recv(int fd, void *ret_bytes, size_t n)
{
    const struct ush__backend *door = ush__loop->backend;
    for (;;) {
        ssize_t got = door->recv_now(fd, ret_bytes, n);
        if (got != -EAGAIN)
            return got;
        int result = ush__fd_wait(fd, ush__fd_slot(fd), USH_READABLE, USH__WAIT_READ);
        if (result < 0)
            return result;
    }
}

ssize_t ush__fd_send(int fd, const void *bytes, size_t n)
{
    const struct ush__backend *door = ush__loop->backend;
    size_t sent = 0;
    do {
        ssize_t part = door->send_now(fd, (const char *)bytes + sent, n - sent);
        if (part >= 0) {
            sent += (size_t)part;
            continue;
        }
        if (part != -EAGAIN)
            return part;
        int result = ush__fd_wait(fd, ush__fd_slot(fd), USH_WRITABLE, USH__WAIT_WRITE);
        if (result < 0)
            return result;
    } while (sent < n);
    return (ssize_t)sent;
}

int ush__fd_accept(int listener, struct ush_address *ret_peer)
{
    const struct ush__backend *door = ush__loop->backend;
    for (;;) {
        int fd = door->accept_now(listener, ret_peer);
        if (fd != -EAGAIN)
            return fd;
        int result = ush__fd_wait(listener, ush__fd_slot(listener), USH_READABLE, USH__WAIT_ACCEPT);
        if (result < 0)
            return result;
    }
}
