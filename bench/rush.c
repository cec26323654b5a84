/*
 * rush.c - the students: many connections that register at once, and a journal of what each heard.
 *
 *     build/bench/rush --port 8080 --connections 256 --total 20000 --event robo-race \
 *         --repeat 10 --journal journal.txt
 *
 * One thread, one epoll, plain system calls: this program shares no code with the server it
 * measures. Every request is one person. `--repeat P` makes P percent of the requests repeats of an
 * earlier person: half of them the same click again (same Idempotency-Key, must hear the same
 * answer), half from another device (other key, must hear "already registered").
 *
 * The journal is the evidence for the checks that follow. Before a request is sent first, a line
 * "? key email event" is written; when its answer has arrived whole, "= key status word id". A line
 * is written with write(2) before the next step, so a reader sees no answer without its question.
 *
 * A connection that breaks, and an answer 503 with Retry-After, are met as a careful client would:
 * the same request with the same key again, after `--retry-ms`. So the server may be killed at any
 * time during a run.
 *
 * SIGTERM says that it is enough: nobody clicks any more, and all who have clicked are answered.
 *
 * The result is one line of JSON: counts by answer, requests per second, percentiles of the time
 * from the first sending to the answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REPLY_MAX = 16384, REQUEST_MAX = 1024, EVENTS_MAX = 64, SILENCE_S = 30 };

struct click {
    uint32_t person; /* email student<person>@… */
    uint32_t key;
    uint32_t event;
};

struct client {
    int fd; /* -1: to be connected at `retry_at` */
    bool busy;
    struct click click;
    int64_t first_ns, retry_at;
    char request[REQUEST_MAX];
    uint32_t request_len, sent;
    char reply[REPLY_MAX];
    uint32_t got;
};

static struct {
    int port, connections, repeat, retry_ms, seconds;
    long total;
    const char *events[EVENTS_MAX];
    int event_count;
    const char *journal, *prefix;
} opt = {.port = 8080, .connections = 64, .total = 1000, .retry_ms = 200, .prefix = "s"};

static struct {
    long sent, answered, confirmed, waitlisted, replayed, full, already, limited, overloaded, other,
        broken;
} count;

static int journal_fd = -1, poll_fd;
static int64_t end_ns;
static volatile sig_atomic_t is_enough;
static struct click *clicks; /* all sent so far, for repeats */
static int64_t *took_ns;
static uint64_t random_state = 88172645463325252u;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 16) % n;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void note(const char *line, int n)
{
    if (journal_fd >= 0 && write(journal_fd, line, (size_t)n) != n)
        die("rush: journal");
}

/* Who clicks next: somebody new, or (repeat percent) somebody again. */
static struct click next_click(void)
{
    struct click c = {(uint32_t)count.sent, (uint32_t)count.sent,
                      random_below((uint32_t)opt.event_count)};
    if (count.sent > 0 && (int)random_below(100) < opt.repeat) {
        struct click before = clicks[random_below((uint32_t)count.sent)];
        c.person = before.person;
        c.event = before.event;
        if (random_below(2))
            c.key = before.key;
    }
    clicks[count.sent++] = c;
    return c;
}

static void build_request(struct client *c)
{
    char body[512], line[256];
    const char *event = opt.events[c->click.event];
    int n = snprintf(body, sizeof body,
                     "{\"event\":\"%s\",\"name\":\"Student %u\",\"email\":\"%s%u@school.example\","
                     "\"school\":\"School %u\"}",
                     event, c->click.person, opt.prefix, c->click.person, c->click.person % 40);
    c->request_len = (uint32_t)snprintf(
        c->request, sizeof c->request,
        "POST /register HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        "Idempotency-Key: %s-key-%08u\r\nContent-Length: %d\r\n\r\n%s",
        opt.prefix, c->click.key, n, body);
    n = snprintf(line, sizeof line, "? %s-key-%08u %s%u@school.example %s\n", opt.prefix,
                 c->click.key, opt.prefix, c->click.person, event);
    note(line, n);
}

static void disconnect(struct client *c, int wait_ms)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    c->sent = c->got = 0;
    c->retry_at = now_ns() + (int64_t)wait_ms * 1000000;
}

static void lose(struct client *c)
{
    count.broken++;
    disconnect(c, opt.retry_ms + (int)random_below(50));
}

static void connect_client(struct client *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("rush: socket");
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)opt.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) {
        lose(c);
        return;
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &e);
    c->sent = c->got = 0;
}

static bool may_start(void)
{
    return !is_enough && count.sent < opt.total && (end_ns == 0 || now_ns() < end_ns);
}

static void send_request(struct client *c)
{
    while (c->fd >= 0 && c->sent < c->request_len) {
        ssize_t n = send(c->fd, c->request + c->sent, c->request_len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return;
        if (n < 0)
            lose(c);
        else
            c->sent += (uint32_t)n;
    }
}

static void start_request(struct client *c)
{
    c->click = next_click();
    c->busy = true;
    c->first_ns = now_ns();
    c->got = c->sent = 0;
    build_request(c);
    send_request(c);
}

/* The text after `"name":"` up to the next quote, or "-". */
static void member(const char *body, const char *name, char out[64])
{
    char want[32];
    snprintf(want, sizeof want, "\"%s\":\"", name);
    const char *at = strstr(body, want);
    size_t n = at ? strcspn(at + strlen(want), "\"") : 1;
    snprintf(out, 64, "%.*s", (int)(n < 63 ? n : 63), at ? at + strlen(want) : "-");
}

/* Counts an answer. False if the request must be tried again. */
static bool take_answer(struct client *c, int status, const char *head, const char *body)
{
    char word[64], id[64], line[256];
    member(body, status < 300 ? "status" : "code", word);
    member(body, "id", id);
    if (status == 503 && strcasestr(head, "\r\nretry-after:")) {
        count.overloaded++;
        return false;
    }
    int n = snprintf(line, sizeof line, "= %s-key-%08u %d %s %s\n", opt.prefix, c->click.key,
                     status, word, id);
    note(line, n);
    took_ns[count.answered++] = now_ns() - c->first_ns;
    if (strcasestr(head, "\r\nidempotent-replayed:"))
        count.replayed++;
    else if (status == 201 && !strcmp(word, "confirmed"))
        count.confirmed++;
    else if (status == 201 && !strcmp(word, "waitlisted"))
        count.waitlisted++;
    else if (!strcmp(word, "sold_out"))
        count.full++;
    else if (!strcmp(word, "already_registered"))
        count.already++;
    else if (status == 429)
        count.limited++;
    else if (count.other++ == 0)
        fprintf(stderr, "rush: unexpected answer %d: %.300s\n", status, body);
    return true;
}

enum outcome { MORE, ANSWERED, ANSWERED_AND_CLOSED, AGAIN, LOST };

static enum outcome read_reply(struct client *c)
{
    for (;;) {
        ssize_t n = recv(c->fd, c->reply + c->got, sizeof c->reply - 1 - c->got, 0);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN))
            return MORE;
        if (n <= 0)
            return LOST;
        c->got += (uint32_t)n;
        c->reply[c->got] = '\0';
        char *end = strstr(c->reply, "\r\n\r\n");
        if (!end)
            continue;
        char *length = strcasestr(c->reply, "\r\ncontent-length:");
        if (!length || length > end)
            return LOST;
        size_t want = (size_t)(end + 4 - c->reply) + strtoul(length + 17, NULL, 10);
        if (c->got < want)
            continue;
        *end = '\0';
        bool closes = strcasestr(c->reply, "\r\nconnection: close") != NULL;
        if (!take_answer(c, atoi(c->reply + 9), c->reply, end + 4))
            return AGAIN;
        c->busy = false;
        return closes ? ANSWERED_AND_CLOSED : ANSWERED;
    }
}

static void handle(struct client *c, uint32_t events)
{
    if (c->busy)
        send_request(c);
    while (c->fd >= 0) {
        switch (read_reply(c)) {
        case MORE:
            if (events & (EPOLLHUP | EPOLLERR))
                lose(c);
            return;
        case ANSWERED:
            if (!may_start())
                return;
            start_request(c);
            break;
        case ANSWERED_AND_CLOSED:
            disconnect(c, 0);
            return;
        case AGAIN:
            disconnect(c, opt.retry_ms + (int)random_below((uint32_t)opt.retry_ms + 1));
            return;
        case LOST:
            if (c->busy)
                lose(c);
            else
                disconnect(c, 0);
            return;
        }
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile_ms(double share)
{
    return count.answered ? (double)took_ns[(long)((double)(count.answered - 1) * share)] / 1e6 : 0;
}

static void report(double seconds)
{
    qsort(took_ns, (size_t)count.answered, sizeof *took_ns, compare);
    printf("{\"sent\":%ld,\"answered\":%ld,\"confirmed\":%ld,\"waitlisted\":%ld,\"replayed\":%ld,"
           "\"full\":%ld,\"already\":%ld,\"rate_limited\":%ld,\"overloaded\":%ld,\"other\":%ld,"
           "\"broken\":%ld,\"seconds\":%.3f,\"per_second\":%.0f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,"
           "\"p999_ms\":%.2f}\n",
           count.sent, count.answered, count.confirmed, count.waitlisted, count.replayed,
           count.full, count.already, count.limited, count.overloaded, count.other, count.broken,
           seconds, (double)count.answered / seconds, percentile_ms(0.50), percentile_ms(0.99),
           percentile_ms(0.999));
}

/* Brings back those without a connection whose time has come. */
static void revive(struct client *clients)
{
    int64_t now = now_ns();
    for (int i = 0; i < opt.connections; i++) {
        struct client *c = &clients[i];
        if (c->fd >= 0 || now < c->retry_at || (!c->busy && !may_start()))
            continue;
        if (!c->busy)
            start_request(c);
        connect_client(c);
    }
}

static void run(void)
{
    struct client *clients = calloc((size_t)opt.connections, sizeof *clients);
    clicks = calloc((size_t)opt.total, sizeof *clicks);
    took_ns = calloc((size_t)opt.total, sizeof *took_ns);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || !clicks || !took_ns || poll_fd < 0)
        die("rush");
    for (int i = 0; i < opt.connections; i++)
        clients[i].fd = -1;
    int64_t start = now_ns(), last_progress = start;
    if (opt.seconds)
        end_ns = start + opt.seconds * INT64_C(1000000000);
    revive(clients);
    for (long last = -1; count.answered < count.sent || may_start();) {
        struct epoll_event events[512];
        int n = epoll_wait(poll_fd, events, 512, 20);
        for (int i = 0; i < n; i++)
            handle(events[i].data.ptr, events[i].events);
        revive(clients);
        if (count.answered != last) {
            last = count.answered;
            last_progress = now_ns();
        } else if (now_ns() - last_progress > SILENCE_S * INT64_C(1000000000)) {
            fprintf(stderr, "rush: no answer for %d s, %ld open\n", SILENCE_S,
                    count.sent - count.answered);
            break;
        }
    }
    report((double)(now_ns() - start) / 1e9);
}

static void usage(void)
{
    fprintf(stderr, "usage: rush --port P --event SLUG [--event SLUG...] [--connections N]\n"
                    "            [--total N] [--seconds S] [--repeat PERCENT] [--retry-ms MS]\n"
                    "            [--journal FILE] [--prefix WORD] [--seed N]\n");
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {{"port", 1, 0, 'p'},
                                            {"connections", 1, 0, 'c'},
                                            {"total", 1, 0, 'n'},
                                            {"event", 1, 0, 'e'},
                                            {"repeat", 1, 0, 'r'},
                                            {"journal", 1, 0, 'j'},
                                            {"seed", 1, 0, 'S'},
                                            {"retry-ms", 1, 0, 'w'},
                                            {"seconds", 1, 0, 's'},
                                            {"prefix", 1, 0, 'x'},
                                            {0}};
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        int64_t number = optarg ? atoll(optarg) : 0;
        if (o == 'p')
            opt.port = (int)number;
        else if (o == 'c')
            opt.connections = (int)number;
        else if (o == 'n')
            opt.total = number;
        else if (o == 'e' && opt.event_count < EVENTS_MAX)
            opt.events[opt.event_count++] = optarg;
        else if (o == 'r')
            opt.repeat = (int)number;
        else if (o == 'j')
            opt.journal = optarg;
        else if (o == 'w')
            opt.retry_ms = (int)number;
        else if (o == 's')
            opt.seconds = (int)number;
        else if (o == 'x')
            opt.prefix = optarg;
        else if (o == 'S')
            random_state += (uint64_t)number * 2654435761u;
        else
            usage();
    }
    if (opt.event_count == 0 || opt.connections < 1 || opt.total < 1)
        usage();
}

static void on_term(int signal __attribute__((unused)))
{
    is_enough = 1;
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_term}, NULL);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (opt.journal) {
        journal_fd = open(opt.journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (journal_fd < 0)
            die(opt.journal);
    }
    run();
    return count.answered == count.sent ? 0 : 1;
}
