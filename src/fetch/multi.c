/*
 * multi.c - libcurl's multi interface in our loop.
 *
 *     libcurl's sockets --> an epoll of their own --> one descriptor in the loop's
 *     libcurl's timer   --> an alarm
 *
 * libcurl says which socket to watch for what, changes its mind often and expects to be asked again
 * while there is something to read (level-triggered), which is not how the loop watches. So its
 * sockets live in an epoll instance of their own, and the loop watches that one descriptor: when it
 * becomes ready, a callback asks it for events and hands them to libcurl until there are none.
 *
 * Rules
 *  1. All of libcurl runs on the loop's own stack: from the alarm, from that callback, or by
 *     ush_on_loop_stack from a task. TLS wants more stack than a task has, and libcurl may not be
 *     entered a second time, which one stack makes obvious.
 *  2. libcurl's callbacks run in a no-suspend section and touch only their transfer.
 *  3. A finished transfer leaves the multi handle in `collect`, before its task is woken, so the
 *     task may free it at once. One whose connection is to be used on stays in it, because libcurl
 *     closes the connection when it goes.
 *
 * No time-out is set in libcurl: the scope owns it. What libcurl would set by itself is set out of
 * the way. Proxies from the environment are not used: a server's way out is in its settings.
 *
 * Real sockets only: not under sim.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "fetch/fetch.h"

enum { CONNECTIONS = 64, EVENTS = 64, ROUNDS = 16, FAR_AWAY_S = 7 * 24 * 3600 };

/* ---- libcurl speaks ------------------------------------------------------------------------- */

static int on_socket(CURL *easy __attribute__((unused)), curl_socket_t fd, int what, void *ctx,
                     void *unused __attribute__((unused)))
{
    struct ush_fetch *f = ctx;
    struct epoll_event e = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(f->epoll, EPOLL_CTL_DEL, fd, NULL); /* it may be closed already */
        return 0;
    }
    e.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    if (epoll_ctl(f->epoll, EPOLL_CTL_MOD, fd, &e) == 0)
        return 0;
    return epoll_ctl(f->epoll, EPOLL_CTL_ADD, fd, &e) == 0 ? 0 : -1;
}

static void on_alarm(struct ush_alarm *a);

static int on_timer(CURLM *multi __attribute__((unused)), long ms, void *ctx)
{
    struct ush_fetch *f = ctx;
    if (ms < 0)
        ush_alarm_clear(&f->alarm);
    else
        ush_alarm_set(&f->alarm, ush_now_ns() + ms * (int64_t)USH_MS, on_alarm);
    return 0;
}

/* ---- the loop speaks ------------------------------------------------------------------------ */

static void collect(struct ush_fetch *f)
{
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(f->multi, &left))) {
        struct ush__transfer *t;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        t->code = msg->data.result;
        t->is_done = true;
        if (!t->keeps)
            curl_multi_remove_handle(f->multi, t->easy);
        t->is_added = t->keeps;
        ush_event_set(&t->event);
    }
}

static void act(struct ush_fetch *f, curl_socket_t fd, int what)
{
    int running;
    ush_no_suspend_begin();
    curl_multi_socket_action(f->multi, fd, what, &running);
    collect(f);
    ush_no_suspend_end();
}

static void on_sockets(void *ctx, unsigned ready __attribute__((unused)))
{
    struct ush_fetch *f = ctx;
    for (int round = 0; round < ROUNDS; round++) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(f->epoll, events, EVENTS, 0);
        if (n <= 0)
            return;
        for (int i = 0; i < n; i++) {
            uint32_t e = events[i].events;
            act(f, events[i].data.fd,
                (e & EPOLLIN ? CURL_CSELECT_IN : 0) | (e & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (e & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
        }
    }
    /* Others want to run too; the alarm comes back here. */
    ush_alarm_set(&f->alarm, ush_now_ns(), on_alarm);
}

static void on_alarm(struct ush_alarm *a)
{
    struct ush_fetch *f = USH_CONTAINER(a, struct ush_fetch, alarm);
    act(f, CURL_SOCKET_TIMEOUT, 0);
    on_sockets(f, 0);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void init_library(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static int end(void *arg)
{
    struct ush_fetch *f = arg;
    curl_multi_cleanup(f->multi);
    return 0;
}

struct ush_fetch *ush_fetch_new(const struct ush_fetch_options *o)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_library);
    struct ush_fetch *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    uint32_t connections = o->connections ? o->connections : CONNECTIONS;
    ush_semaphore_init(&f->places, "connections", connections);
    f->epoll = epoll_create1(EPOLL_CLOEXEC);
    f->multi = curl_multi_init();
    f->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
    if (f->epoll < 0 || !f->multi || (o->ca_file && !f->ca_file) || ush_fd_open(f->epoll) < 0) {
        if (f->epoll >= 0)
            close(f->epoll);
        curl_multi_cleanup(f->multi);
        free(f->ca_file);
        free(f);
        return NULL;
    }
    ush_fd_watch(f->epoll, on_sockets, f);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, (long)connections);
    ush_list_init(&f->sessions);
    return f;
}

void ush_fetch_free(struct ush_fetch *f)
{
    if (!f)
        return;
    assert(f->places.free == f->places.limit);
    ush__sessions_close(f, USH_NEVER);
    ush_on_loop_stack(end, f);
    ush_alarm_clear(&f->alarm);
    ush_close(f->epoll);
    free(f->ca_file);
    free(f);
}

/* ---- a transfer ----------------------------------------------------------------------------- */

int ush__transfer_open(struct ush_fetch *f, struct ush__transfer *t)
{
    *t = (struct ush__transfer){.easy = curl_easy_init()};
    if (!t->easy)
        return -ENOMEM;
    ush_event_init(&t->event, "a transfer");
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT, (long)FAR_AWAY_S);
    curl_easy_setopt(t->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)FAR_AWAY_S);
    if (f->ca_file)
        curl_easy_setopt(t->easy, CURLOPT_CAINFO, f->ca_file);
    return 0;
}

struct both {
    struct ush_fetch *f;
    struct ush__transfer *t;
};

static int add_easy(void *arg)
{
    struct both *b = arg;
    b->t->is_added = curl_multi_add_handle(b->f->multi, b->t->easy) == CURLM_OK;
    return b->t->is_added ? 0 : -ENOMEM;
}

static int free_easy(void *arg)
{
    struct both *b = arg;
    ush_no_suspend_begin();
    if (b->t->is_added)
        curl_multi_remove_handle(b->f->multi, b->t->easy);
    curl_easy_cleanup(b->t->easy);
    ush_no_suspend_end();
    return 0;
}

void ush__transfer_close(struct ush_fetch *f, struct ush__transfer *t)
{
    ush_on_loop_stack(free_easy, &(struct both){f, t});
}

int ush__transfer_run(struct ush_fetch *f, struct ush__transfer *t)
{
    USH_TRY(ush_on_loop_stack(add_easy, &(struct both){f, t}));
    int r = ush_event_wait(&t->event);
    return t->is_done ? 0 : r; /* a result that comes together with a cancellation wins */
}

int ush__transfer_error(const struct ush__transfer *t)
{
    switch (t->code) {
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    case CURLE_URL_MALFORMAT:
        return USH_EINVAL;
    case CURLE_COULDNT_RESOLVE_HOST:
        return USH_ENOTFOUND;
    case CURLE_COULDNT_CONNECT:
        return -ECONNREFUSED;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return -ECONNRESET;
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    default:
        return USH_EPROTO;
    }
}

bool ush__is_one_line(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}
