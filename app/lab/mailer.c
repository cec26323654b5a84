/*
 * mailer.c - the slow peer of all scenes: a mail server in a process of its own.
 *
 * A call is a connection: four bytes in (the student), after `mail_ms` one byte out ("Y", or "N" at
 * once if more calls are under way than it allows), end. It counts how many calls it has at once,
 * because that is what a peer suffers from. It is written on the library, so that ten thousand
 * calls at once are no trouble to it.
 */
#include "lab/lab.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct lab *lab; /* of this process */

static int take_call(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct lab_book *b = lab->book;
    uint32_t student, now = atomic_fetch_add(&b->at_peer, 1) + 1;
    char answer = 'Y';
    if (ush_recv(fd, &student, sizeof student) == sizeof student) {
        if (lab->mail_limit && now > (uint32_t)lab->mail_limit) {
            answer = 'N';
            atomic_fetch_add(&b->refused, 1);
        } else {
            if (now > atomic_load(&b->at_peer_most))
                atomic_store(&b->at_peer_most, now);
            (void)ush_sleep(lab_mail_ns(lab));
        }
        atomic_fetch_sub(&b->at_peer, 1);
        (void)ush_send(fd, &answer, 1);
    } else {
        atomic_fetch_sub(&b->at_peer, 1);
    }
    ush_close(fd);
    return 0;
}

static int take_calls(void *unused __attribute__((unused)))
{
    struct ush_scope scope;
    USH_TRY(ush_fd_open(lab->mail_listener));
    ush_scope_open(&scope, &(struct ush_scope_options){.keep_going = true});
    for (;;) {
        int fd = ush_accept(lab->mail_listener, NULL);
        if (fd == -EMFILE || fd == -ENFILE) /* the caller waits, and is served when one is free */
            USH_TRY(ush_sleep(USH_MS));
        else if (fd < 0 || ush_spawn(&scope, take_call, (void *)(intptr_t)fd) < 0)
            break;
    }
    return ush_scope_close(&scope);
}

int lab_mail_start(struct lab *l)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    l->mail_at.len = sizeof at;
    l->mail_listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (l->mail_listener < 0 || bind(l->mail_listener, (struct sockaddr *)&at, sizeof at) < 0 ||
        listen(l->mail_listener, 4096) < 0 ||
        getsockname(l->mail_listener, (struct sockaddr *)&l->mail_at.storage, &l->mail_at.len) < 0)
        return -errno;
    pid_t parent = getpid();
    l->mail_pid = fork();
    if (l->mail_pid < 0)
        return -errno;
    if (l->mail_pid > 0)
        return 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    lab = l;
    if (getppid() == parent)
        (void)ush_run(&(struct ush_loop_options){0}, take_calls, NULL);
    _exit(0);
}

void lab_mail_stop(struct lab *l)
{
    if (l->mail_listener >= 0)
        close(l->mail_listener);
    l->mail_listener = -1;
    if (l->mail_pid <= 0)
        return;
    kill(l->mail_pid, SIGKILL);
    while (waitpid(l->mail_pid, NULL, 0) < 0 && errno == EINTR)
        ;
    l->mail_pid = 0;
}

int lab_mail_verdict(char answer)
{
    return answer == 'Y' ? 0 : -EBUSY;
}

int lab_mail(const struct lab *l, uint32_t student)
{
    char answer = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&l->mail_at.storage, l->mail_at.len) < 0 ||
        write(fd, &student, sizeof student) != sizeof student || read(fd, &answer, 1) != 1)
        r = errno ? -errno : -EPIPE;
    close(fd);
    return r < 0 ? r : lab_mail_verdict(answer);
}
