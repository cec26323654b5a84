/*
 * mailer.c - a route that awaits a slow mail API itself, which is the costly way, and costs little.
 *
 *     build/examples/mailer --api http://127.0.0.1:9000/v1/submit --port 8080 --workers 4
 *
 *     POST /mails/{to}   sends a mail to that address through the API and answers "sent"
 *
 * A request that waits for the API is a parked task and a socket, so one worker holds thousands of
 * them: a hundred requests to an API that takes two seconds take two seconds together. Where the
 * sender need not know what became of the mail, put a job instead (jobs.c): then it does not even
 * wait for that.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "usher/usher.h"

enum { AT_ONCE = 2000 };

#define MAIL_FIELDS(F, R)                                                                          \
    F(R, JSON, envelope, .doc = "Who from, and to whom")                                           \
    F(R, BYTES, raw, .doc = "The message")
USH_RECORD(mail, MAIL_FIELDS)
USH_RECORD_DEFINE(mail, MAIL_FIELDS)

static struct {
    const char *api;
    int port, workers, listener;
} options = {.port = 8080, .workers = 1};

static int send_mail(struct ush_request *rq)
{
    ush_text to = ush_param(rq, "to");
    struct ush_buf address, body;
    ush_buf_init(&address, 1024);
    ush_buf_init(&body, 4096);
    ush_buf_add_json(&address, to);
    struct mail m = {
        .envelope = ush_arena_printf(rq->arena, "{\"from\":\"desk@example.org\",\"to\":[%.*s]}",
                                     USH_PR(ush_buf_text(&address))),
        .raw = USH_T("Subject: Hello\r\nMessage-ID: <hello@example.org>\r\n\r\nHello!\r\n")};
    ush_record_encode_json(&mail_record, &m, &body);
    const char *const headers[] = {"Content-Type: application/json", NULL};
    const struct ush_fetch_request call = {
        .url = options.api, .headers = headers, .body = ush_buf_text(&body)};
    struct ush_fetch_reply reply = {0};
    int r = address.error || body.error ? USH_EINVAL : ush_fetch_http(rq->app, &call, &reply);
    ush_buf_fini(&address);
    ush_buf_fini(&body);
    ush_buf_fini(&reply.body);
    if (r < 0 || reply.status / 100 != 2)
        return ush_problem(rq, &ush_problem_unavailable, "The mail was not taken: %d.",
                           reply.status);
    return ush_reply(rq, 200, "text/plain", USH_T("sent\n"));
}

static const struct ush_route routes[] = {
    {"POST", "/mails/{to}", send_mail, .doc = "Sends a mail and says so when it was taken."},
    {"GET", "/openapi.json", ush_openapi_handler, .doc = "This, for programs."},
    {"GET", "/docs", ush_docs_handler, .doc = "This.", .is_page = true},
};

static int run_worker(struct ush_worker *w, void *ctx __attribute__((unused)))
{
    struct ush_http_limits limits = ush_http_limits_direct;
    limits.connections_per_address = 0; /* one machine plays all clients */
    struct ush_fetch *fetch = ush_fetch_new(&(struct ush_fetch_options){.connections = AT_ONCE});
    const struct ush_http_options o = {
        .routes = routes,
        .route_count = USH_COUNT(routes),
        .limits = &limits,
        .title = "mailer",
        .version = "1",
        .listeners = &options.listener,
        .listener_count = 1,
        .app = fetch,
        .stats = ush_worker_shared(w),
        .siblings = ush_worker_shared_at(w, 0),
        .sibling_count = USH_PLACES_MAX,
    };
    int r = -ENOMEM;
    struct ush_http *h = fetch ? ush_http_start(&o, &r) : NULL;
    if (h) {
        ush_worker_ready(w);
        r = ush_http_drain(h, ush_worker_wait_drain(w));
    }
    ush_fetch_free(fetch);
    return r;
}

static void say_ready(void *ctx __attribute__((unused)))
{
    printf("mailer: http://127.0.0.1:%d sends through %s\n", ush_listener_port(options.listener),
           options.api);
    fflush(stdout);
}

static void read_options(int argc, char **argv)
{
    static const struct option known[] = {{"api", required_argument, NULL, 'a'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"workers", required_argument, NULL, 'w'},
                                          {0}};
    for (int c; (c = getopt_long(argc, argv, "a:p:w:", known, NULL)) != -1;) {
        if (c == 'a')
            options.api = optarg;
        else if (c == 'p')
            options.port = atoi(optarg);
        else if (c == 'w')
            options.workers = atoi(optarg);
    }
    if (optind == argc && options.api && options.workers >= 1 && options.workers <= USH_WORKERS_MAX)
        return;
    fprintf(stderr, "usage: mailer --api URL [--port P] [--workers N]\n");
    exit(2);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    char text[32];
    struct ush_address at;
    snprintf(text, sizeof text, "127.0.0.1:%d", options.port);
    options.listener = ush_address_parse(ush_text_of(text), &at) < 0 ? -EINVAL : ush_listen_at(&at);
    if (options.listener < 0)
        return fprintf(stderr, "mailer: %s: %s\n", text, ush_error_text(options.listener)), 1;
    const struct ush_role role = {
        .name = "web", .count = (uint32_t)options.workers, .scales = true, .run = run_worker};
    const struct ush_master_options o = {.roles = &role,
                                         .role_count = 1,
                                         .ready = say_ready,
                                         .shared_bytes = sizeof(struct ush_http_stats)};
    return ush_master_run(&o) >= 0 ? 0 : 1;
}
