/*
 * accept.c - taking connections from a listener that several workers share.
 *
 * The kernel wakes one sleeping worker per connection (EPOLLEXCLUSIVE), but always asks them in
 * the order in which they joined the queue, so without help the first one gets nearly all of a
 * light load. Three rules keep the shares even and the worker healthy:
 *
 *  1. A wake-up accepts only a few; what is left wakes somebody else, or us again.
 *  2. After some connections the worker joins the queue again at its end (task/epoll.c).
 *  3. A worker that holds clearly more than its share waits a few milliseconds before it takes
 *     more (o.hold_ns). It is a delay and never a refusal: having waited, it takes what there
 *     is. So it still serves when the others are dead or stuck.
 *
 * When the process is out of descriptors or memory, accepting stops for a moment instead of
 * spinning on a listener that stays readable; the connections wait in the backlog.
 *
 *   watching --pause--> paused --resume--> watching
 *      |  ^
 *      |  +-- alarm --+
 *      +-- hold, no descriptors --> holding off
 */
#include "usher/net.h"

enum {
    PER_WAKE = 8,
    SHORTAGE_MS = 100,
    COMPLAINT_S = 10,
};

static void on_ready(void *ctx, unsigned events);
static void on_alarm(struct ush_alarm *alarm);

/* A worker that does not watch accepts nobody, so it is tried until it succeeds. */
static void watch(struct ush_acceptor *a)
{
    if (a->is_watching || a->paused)
        return;
    int r = ush_listener_watch(a->o.listener, on_ready, a);
    if (r < 0) {
        ush_error("accept.watch", "cannot watch listener %d: %s", a->o.listener, ush_error_text(r));
        ush_alarm_set(&a->alarm, ush_now_ns() + SHORTAGE_MS * (int64_t)USH_MS, on_alarm);
    }
    a->is_watching = r >= 0;
}

static void unwatch(struct ush_acceptor *a)
{
    if (a->is_watching)
        ush_listener_unwatch(a->o.listener);
    a->is_watching = false;
}

static void on_alarm(struct ush_alarm *alarm)
{
    struct ush_acceptor *a = USH_CONTAINER(alarm, struct ush_acceptor, alarm);
    a->has_waited = true;
    watch(a);
}

static void hold_off(struct ush_acceptor *a, int64_t ns)
{
    unwatch(a);
    ush_alarm_set(&a->alarm, ush_now_ns() + ns, on_alarm);
}

static void short_of(struct ush_acceptor *a, int error)
{
    int64_t now = ush_now_ns();
    if (a->complained_ns == 0 || now - a->complained_ns > COMPLAINT_S * USH_SECOND) {
        a->complained_ns = now;
        ush_warn("accept.short", "cannot accept: %s. Raise the limit of open files (ulimit -n)",
                 ush_error_text(error));
    }
    hold_off(a, SHORTAGE_MS * (int64_t)USH_MS);
}

static void on_ready(void *ctx, unsigned events __attribute__((unused)))
{
    struct ush_acceptor *a = ctx;
    for (int i = 0; i < PER_WAKE && a->is_watching; i++) {
        int64_t hold = a->o.hold_ns && !a->has_waited ? a->o.hold_ns(a->o.ctx) : 0;
        if (hold > 0) {
            hold_off(a, hold);
            return;
        }
        struct ush_address peer;
        int fd = ush_accept_now(a->o.listener, &peer);
        if (fd == -EAGAIN)
            break;
        if (fd == -EMFILE || fd == -ENFILE || fd == -ENOBUFS || fd == -ENOMEM) {
            short_of(a, fd);
            return;
        }
        if (fd < 0) /* the client left while it waited in the backlog */
            continue;
        a->o.accepted(a->o.ctx, fd, &peer);
    }
    a->has_waited = false;
}

int ush_acceptor_start(struct ush_acceptor *a, const struct ush_acceptor_options *o)
{
    a->o = *o;
    int r = ush_listener_watch(o->listener, on_ready, a);
    a->is_watching = r >= 0;
    return r;
}

void ush_acceptor_take_waiting(struct ush_acceptor *a)
{
    watch(a); /* it may hold off just now */
    struct ush_address peer;
    int fd;
    while (!a->paused && (fd = ush_accept_now(a->o.listener, &peer)) >= 0)
        a->o.accepted(a->o.ctx, fd, &peer);
}

void ush_acceptor_pause(struct ush_acceptor *a)
{
    a->paused = true;
    ush_alarm_clear(&a->alarm);
    unwatch(a);
}

void ush_acceptor_resume(struct ush_acceptor *a)
{
    a->paused = false;
    watch(a);
}
