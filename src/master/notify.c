/*
 * notify.c - what the service manager is told: sd_notify(3), the protocol of Type=notify.
 *
 *     the stage                         is told once
 *     first start                       nothing
 *     running                           READY=1
 *     settings tried, workers rolled    RELOADING=1, then READY=1 as for any other running
 *     draining, stopping                STOPPING=1
 *
 * and WATCHDOG=1 twice in each time that WATCHDOG_USEC names, as long as somebody serves. So a
 * manager with WatchdogSec= starts the service anew when the master hangs, and when no worker
 * serves any more and none that is started gets so far. Workers that hang are the master's own
 * affair (watch.c).
 *
 *  1. What is told follows from the state, after every event; no other file says anything.
 *  2. Without NOTIFY_SOCKET nothing is done. A manager that cannot be reached changes nothing.
 *  3. The variables are the master's: they are taken out of the environment.
 *
 * A word is a datagram; it is sent without waiting and not again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "master/master.h"

void ush__notify_init(struct ush__master *m)
{
    struct ush__notify *n = &m->notify;
    const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");
    size_t len = path ? strlen(path) : 0;
    if (len > 1 && len < sizeof n->to.sun_path && (*path == '/' || *path == '@')) {
        n->to.sun_family = AF_UNIX;
        memcpy(n->to.sun_path, path, len);
        n->to_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
        if (*path == '@') /* a name, and no file */
            n->to.sun_path[0] = 0;
    }
    if (usec && (!pid || atol(pid) == m->pid))
        n->ping_ns = atoll(usec) * 1000 / 2;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static void say(struct ush__notify *n, const char *text)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&n->to, n->to_bytes);
    close(fd);
}

static bool does_anybody_serve(struct ush__master *m)
{
    USH__EACH_PLACE (m, p)
        if (p->state == USH__SERVING && !p->role->is_last)
            return true;
    return false;
}

static enum ush__told told_by(const struct ush__master *m)
{
    if (m->stage == USH__FIRST_START)
        return USH__TOLD_NOTHING;
    if (m->stage >= USH__DRAINING)
        return USH__TOLD_STOPPING;
    return m->trial_pid || m->is_rolling || m->hup_again ? USH__TOLD_RELOADING : USH__TOLD_READY;
}

void ush__notify(struct ush__master *m)
{
    struct ush__notify *n = &m->notify;
    int64_t now = ush_now_ns();
    if (!n->to_bytes)
        return;
    enum ush__told told = told_by(m);
    if (told != n->told) {
        char reloading[64];
        snprintf(reloading, sizeof reloading, "RELOADING=1\nMONOTONIC_USEC=%lld",
                 (long long)(now / 1000));
        static const char *const words[] = {
            [USH__TOLD_READY] = "READY=1", [USH__TOLD_STOPPING] = "STOPPING=1"};
        n->told = told;
        say(n, told == USH__TOLD_RELOADING ? reloading : words[told]);
    }
    if (n->ping_ns > 0 && now >= n->next_ping_ns &&
        (m->stage != USH__RUNNING || does_anybody_serve(m))) {
        n->next_ping_ns = now + n->ping_ns;
        say(n, "WATCHDOG=1");
    }
}
