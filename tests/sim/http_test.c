/*
 * http_test.c - a server and hostile circumstances, under many seeds.
 *
 * Clients send pipelines of requests in pieces of any size, wait, leave in the middle, or stop
 * reading; sockets move few bytes at a time, are late, and are reset. The promise that is checked:
 *
 *   - replies come in the order of the requests, each whole and for its own request, until the
 *     connection ends; a reply that is not whole is always the last thing of its connection;
 *   - a handler runs at most once for each request, and has run for each reply that says so;
 *   - when the clients have gone, nothing is left: no task, no connection, no handler.
 */
#include <stdlib.h>

#include "../slow.h"
#include "../unit/http/site.h"
#include "explored.h"

enum { PARTS = 8, CLIENTS = 5, ROUNDS = 4, DEPTH = 6, IDS = CLIENTS * ROUNDS * DEPTH };

static uint8_t ran[IDS];
static struct site site;

static int answer_id(struct ush_request *rq)
{
    int64_t id = -1;
    ush_text_i64(ush_param(rq, "id"), &id);
    USH_HOLDS(id >= 0 && id < IDS);
    USH_HOLDS(ran[id]++ == 0);
    return ush_reply(rq, 200, "text/plain", ush_arena_printf(rq->arena, "id %lld", (long long)id));
}
static int answer_late(struct ush_request *rq)
{
    USH_TRY(ush_sleep(ush_sim_choose(30) * USH_MS));
    return answer_id(rq);
}
static int send_back(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/plain", rq->body);
}
static int answer_stream(struct ush_request *rq)
{
    USH_TRY(ush_stream_begin(rq, 200, "text/plain"));
    for (int i = 0; i < 3; i++)
        USH_TRY(ush_stream_write(rq, USH_T("part ")));
    return ush_stream_end(rq);
}
static int answer_large(struct ush_request *rq)
{
    static const char large[40000];
    return ush_reply(rq, 200, "text/plain", (ush_text){large, sizeof(large)});
}

static const struct ush_route routes[] = {
    {"GET", "/loop/{id}", answer_id, USH_LOOP, "On the loop."},
    {"GET", "/task/{id}", answer_id, .doc = "In a task."},
    {"GET", "/thread/{id}", answer_id, USH_THREAD, "In a thread."},
    {"GET", "/late/{id}", answer_late, .doc = "Later.", .deadline_ms = 20},
    {"POST", "/back", send_back, .doc = "Back.", .raw_body = true},
    {"GET", "/stream", answer_stream, .doc = "Stream."},
    {"GET", "/large", answer_large, .doc = "Large."},
};

/* ---- a client -------------------------------------------------------------------------------- */

enum kind { LOOP, TASK, THREAD, LATE, LENGTH, CHUNKS, STREAM, LARGE, KINDS };

struct sent {
    enum kind kind;
    int id;
};

static int write_request(const struct sent *q, char *to, size_t max)
{
    static const char *const paths[] = {"loop", "task", "thread", "late"};
    if (q->kind <= LATE)
        return snprintf(to, max, "GET /%s/%d HTTP/1.1\r\nHost: x\r\n\r\n", paths[q->kind], q->id);
    if (q->kind == LENGTH)
        return snprintf(to, max,
                        "POST /back HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
                        "body %04d",
                        q->id);
    if (q->kind == CHUNKS)
        return snprintf(to, max,
                        "POST /back HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "5\r\nbody \r\n4\r\n%04d\r\n0\r\n\r\n",
                        q->id);
    return snprintf(to, max, "GET /%s HTTP/1.1\r\nHost: x\r\n\r\n",
                    q->kind == STREAM ? "stream" : "large");
}

static void check_reply(const struct heard *h, const struct sent *q)
{
    char want[32];
    if (h->status == 503) /* too many handlers, or too late */
        return;
    USH_HOLDS(h->status == 200);
    snprintf(want, sizeof(want), q->kind <= LATE ? "id %d" : "body %04d", q->id);
    if (q->kind <= LATE)
        USH_HOLDS(ran[q->id] == 1);
    if (q->kind <= CHUNKS)
        USH_HOLDS(strcmp(h->body, want) == 0);
    else if (q->kind == STREAM)
        USH_HOLDS(strcmp(h->body, "part part part ") == 0);
    else
        USH_HOLDS(h->body_len == 40000);
}

/* Sends in pieces that the seed chooses, until the connection ends. */
static void send_pieces(int c, const char *bytes, size_t n)
{
    while (n > 0) {
        size_t part = ush_sim_choose(3) ? n : 1 + ush_sim_choose((uint32_t)n);
        if (ush_send(c, bytes, part) < 0)
            return;
        bytes += part;
        n -= part;
        if (ush_sim_choose(4) == 0)
            ush_sleep(ush_sim_choose(5) * USH_MS);
    }
}

static void one_connection(int first_id)
{
    struct sent sent[DEPTH];
    char bytes[DEPTH * 160];
    size_t n = 0;
    int depth = 1 + (int)ush_sim_choose(DEPTH);
    for (int i = 0; i < depth; i++) {
        sent[i] = (struct sent){.kind = ush_sim_choose(KINDS), .id = first_id + i};
        n += (size_t)write_request(&sent[i], bytes + n, sizeof(bytes) - n);
    }
    bool leaves = ush_sim_choose(5) == 0;
    if (leaves)
        n = 1 + ush_sim_choose((uint32_t)n);
    int c = site_connect(&site);
    bool open = true; /* also after a failed send there are replies to be read */
    send_pieces(c, bytes, n);
    if (ush_sim_choose(8) == 0)
        ush_shutdown_write(c);
    static struct heard heard[CLIENTS];
    struct heard *h = &heard[first_id / (ROUNDS * DEPTH)];
    for (int i = 0; i < depth && open && !leaves; i++) {
        hear_into(c, h, false);
        open = h->is_whole;
        if (open)
            check_reply(h, &sent[i]);
    }
    if (!open && !leaves)
        USH_HOLDS(ush_recv(c, bytes, 1) <= 0);
    ush_close(c);
}

static int run_client(void *arg)
{
    int number = *(int *)arg;
    for (int round = 0; round < ROUNDS; round++)
        one_connection((number * ROUNDS + round) * DEPTH);
    return 0;
}

/* ---- a run ----------------------------------------------------------------------------------- */

static int run_site(void *arg __attribute__((unused)))
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.handlers = 1 + ush_sim_choose(6);
    limits.requests_per_connection = 3 + ush_sim_choose(100);
    memset(ran, 0, sizeof(ran));
    site_open(&site, routes, USH_COUNT(routes), &(struct ush_http_options){.limits = &limits});
    uint32_t tasks = ush_loop_stats().tasks;
    int numbers[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        numbers[i] = i;
    USH_TRY(ush_gather(CLIENTS, 0, run_client, numbers, sizeof(*numbers)));
    USH_HOLDS(ush_http_drain(site.http, ush_now_ns() + 30 * USH_SECOND) == 0);
    USH_HOLDS(site.stats.connections == 0);
    USH_HOLDS(site.stats.handlers == 0);
    while (ush_loop_stats().tasks > tasks)
        USH_HOLDS(ush_sleep(USH_MS) == 0);
    return 0;
}

START_TEST(every_reply_is_whole_and_in_order)
{
    ush_log_init(&(struct ush_log_options){.fd = -1});
    const struct ush_explore_options o = {
        .name = "http",
        .schedules = 2000 / PARTS,
        .seed = 1 + (uint64_t)_i * 2000 / PARTS,
        .sim = {.short_permille = 200, .reset_permille = 2, .delay_ns_max = 3 * USH_MS},
    };
    explored(&o, run_site, NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http under seeds");
    TCase *tc = tcase_create("seeds");
    tcase_add_loop_test(tc, every_reply_is_whole_and_in_order, 0, PARTS);
    suite_add_tcase(s, tc);
    return both_main(s);
}
