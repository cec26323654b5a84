/*
 * waits.c - what the runtime is measured and probed with.
 *
 *     build/examples/waits --port 8080 --workers 4
 *
 *     GET  /plain        "Hello, World!"
 *     GET  /json         a small record
 *     GET  /wait?ms=N    waits on the runtime's timer: costs a parked task and nothing else
 *     GET  /events?ms=N  a number every so often, as an event stream
 *     POST /hash         argon2id of the body, about 50 ms of one core, in the cpu pool
 *     GET  /, POST /     "OK"; the body back
 *     /echo, /cookie     what arrived: a line per header field, a line per cookie
 *
 * A master and N workers, as in service; only the limits are wider, since here one machine plays
 * thousands of clients.
 */
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "usher/usher.h"

enum { WAIT_MS_MAX = 600000, HASH_BYTES = 32, HASH_PASSES = 3, HASH_MEMORY = 32 << 20 };

#define MESSAGE_FIELDS(F, R) F(R, TEXT, message, .doc = "A greeting")
USH_RECORD(message, MESSAGE_FIELDS)
USH_RECORD_DEFINE(message, MESSAGE_FIELDS)

/* ---- handlers ------------------------------------------------------------------------------- */

static int plain(struct ush_request *rq)
{
    return ush_reply(rq, 200, "text/plain", USH_T("Hello, World!"));
}

static int json(struct ush_request *rq)
{
    struct message m = {.has = 1, .message = USH_T("Hello, World!")};
    return ush_reply_json(rq, 200, &message_record, &m);
}

static int ms_of(struct ush_request *rq, int64_t *ret_ms)
{
    if (ush_text_i64(ush_query(rq, "ms"), ret_ms) < 0 || *ret_ms < 0 || *ret_ms > WAIT_MS_MAX)
        return ush_problem(rq, &ush_problem_malformed, "ms is a number from 0 to %d", WAIT_MS_MAX);
    return 0;
}

static int wait_a_while(struct ush_request *rq)
{
    int64_t ms;
    USH_TRY(ms_of(rq, &ms));
    USH_TRY(ush_sleep(ms * USH_MS));
    return ush_reply(rq, 200, "text/plain", USH_T("waited\n"));
}

static int events(struct ush_request *rq)
{
    int64_t ms;
    USH_TRY(ms_of(rq, &ms));
    USH_TRY(ush_events_begin(rq));
    for (int i = 1;; i++) { /* until the client leaves or the worker does */
        char number[16];
        snprintf(number, sizeof(number), "%d", i);
        USH_TRY(ush_events_send(rq, NULL, ush_text_of(number)));
        USH_TRY(ush_sleep(ms * USH_MS));
    }
}

struct hash_job {
    ush_text password;
    unsigned char out[HASH_BYTES];
};

static int run_hash(void *arg)
{
    struct hash_job *job = arg;
    static const unsigned char salt[crypto_pwhash_SALTBYTES] = "waits.c, no salt";
    int r = crypto_pwhash(job->out, HASH_BYTES, job->password.at, job->password.len, salt,
                          HASH_PASSES, HASH_MEMORY, crypto_pwhash_ALG_ARGON2ID13);
    return r == 0 ? 0 : -ENOMEM;
}

static int hash(struct ush_request *rq)
{
    struct hash_job job = {.password = rq->body};
    USH_TRY(ush_offload(ush_cpu_pool(), run_hash, &job));
    char *hex = ush_arena_alloc(rq->arena, HASH_BYTES * 2 + 1);
    if (!hex)
        return -ENOMEM;
    sodium_bin2hex(hex, HASH_BYTES * 2 + 1, job.out, HASH_BYTES);
    return ush_reply(rq, 200, "text/plain", ush_text_of(hex));
}

static int send_back(struct ush_request *rq)
{
    return ush_reply(rq, 200, "application/octet-stream", rq->body);
}

/* Replies with what was added to `b`, kept in the request's arena. */
static int reply_lines(struct ush_request *rq, struct ush_buf *b)
{
    ush_text text = ush_arena_copy(rq->arena, ush_buf_text(b));
    ush_buf_fini(b);
    return text.at ? ush_reply(rq, 200, "text/plain", text) : USH_ELIMIT;
}

static int echo(struct ush_request *rq)
{
    struct ush_buf b;
    ush_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < rq->head->header_count; i++) {
        const struct ush_header *f = &rq->head->headers[i];
        ush_buf_printf(&b, "%.*s: %.*s\n", USH_PR(f->name), USH_PR(f->value));
    }
    return reply_lines(rq, &b);
}

static int cookies(struct ush_request *rq)
{
    struct ush_buf b;
    ush_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < rq->head->header_count; i++) {
        ush_text rest = rq->head->headers[i].value;
        if (!ush_text_equal_nocase(rq->head->headers[i].name, USH_T("Cookie")))
            continue;
        while (rest.at) {
            ush_text pair = ush_text_trim(ush_text_cut(&rest, ';'));
            if (ush_text_find(pair, '=') > 0)
                ush_buf_printf(&b, "%.*s\n", USH_PR(pair));
        }
    }
    return reply_lines(rq, &b);
}

static const struct ush_asset ok = {
    .path = "/", .content_type = "text/plain", .etag = "\"ok\"", .plain = {"OK", 2}};

static const struct ush_route routes[] = {
    {"GET", "/plain", plain, USH_LOOP, "A constant."},
    {"GET", "/json", json, USH_LOOP, "A record.", .reply = &message_record},
    {"GET", "/wait", wait_a_while, .doc = "Waits.", .deadline_ms = WAIT_MS_MAX + 1000},
    {"GET", "/events", events, .doc = "Counts."},
    {"POST", "/hash", hash, .doc = "Hashes.", .raw_body = true, .deadline_ms = 60000},
    {"GET", "/", .asset = &ok, .doc = "OK."},
    {"POST", "/", send_back, .doc = "The body back.", .raw_body = true},
    {"GET", "/echo", echo, .doc = "The header fields."},
    {"POST", "/echo", echo, .doc = "The header fields.", .raw_body = true},
    {"GET", "/cookie", cookies, .doc = "The cookies."},
    {"GET", "/task", plain, .doc = "/plain in a task."},
    {"GET", "/thread", plain, USH_THREAD, "/plain in a thread."},
    {"GET", "/openapi.json", ush_openapi_handler, .doc = "This, for programs."},
    {"GET", "/docs", ush_docs_handler, .doc = "This.", .is_page = true},
};

/* ---- process -------------------------------------------------------------------------------- */

static struct {
    int port, workers, listener;
} waits = {.port = 8080, .workers = 1};

static int run_worker(struct ush_worker *w, void *ctx __attribute__((unused)))
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.connections = limits.handlers = 200000;
    limits.connections_per_address = 0;
    limits.requests_per_connection = UINT32_MAX;
    const struct ush_http_options o = {
        .routes = routes,
        .route_count = USH_COUNT(routes),
        .limits = &limits,
        .title = "waits",
        .version = "1",
        .listeners = &waits.listener,
        .listener_count = 1,
        .is_minimal = true,
        .stats = ush_worker_shared(w),
        .siblings = ush_worker_shared_at(w, 0), /* the blocks lie side by side */
        .sibling_count = USH_PLACES_MAX,
    };
    int error = 0;
    struct ush_http *h = ush_http_start(&o, &error);
    if (!h)
        return error;
    ush_worker_ready(w);
    return ush_http_drain(h, ush_worker_wait_drain(w));
}

static void say_ready(void *ctx __attribute__((unused)))
{
    printf("waits: http://127.0.0.1:%d with %d worker%s\n", ush_listener_port(waits.listener),
           waits.workers, waits.workers == 1 ? "" : "s");
    fflush(stdout);
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'}, {"workers", required_argument, NULL, 'w'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "p:w:", options, NULL)) != -1;) {
        if (c == 'p')
            waits.port = atoi(optarg);
        else if (c == 'w')
            waits.workers = atoi(optarg);
    }
    if (optind == argc && waits.workers >= 1 && waits.workers <= USH_WORKERS_MAX)
        return;
    fprintf(stderr, "usage: waits [--port P] [--workers N]    (N from 1 to %d)\n", USH_WORKERS_MAX);
    exit(2);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    char text[32];
    struct ush_address at;
    snprintf(text, sizeof(text), "127.0.0.1:%d", waits.port);
    if (sodium_init() < 0 || ush_address_parse(ush_text_of(text), &at) < 0 ||
        (waits.listener = ush_listen_at(&at)) < 0) {
        fprintf(stderr, "waits: cannot listen at %s: %s\n", text, ush_error_text(waits.listener));
        return 1;
    }
    const struct ush_role role = {
        .name = "web", .count = (uint32_t)waits.workers, .scales = true, .run = run_worker};
    const struct ush_master_options o = {.roles = &role,
                                         .role_count = 1,
                                         .ready = say_ready,
                                         .shared_bytes = sizeof(struct ush_http_stats)};
    return ush_master_run(&o) >= 0 ? 0 : 1;
}
