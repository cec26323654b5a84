/* hello.c - a server in one file: build/examples/hello 127.0.0.1:8080, then open /docs. */
#include <stdio.h>

#include "usher/usher.h"

static int greet(struct ush_request *rq)
{
    USH_TRY(ush_sleep(100 * USH_MS)); /* reads like blocking; meanwhile others are served */
    ush_text name = ush_param(rq, "name");
    ush_text text = ush_arena_printf(rq->arena, "Hello, %.*s!\n", USH_PR(name));
    return ush_reply(rq, 200, "text/plain; charset=utf-8", text);
}

static const struct ush_route routes[] = {
    {"GET", "/hello/{name}", greet, .doc = "Greets whoever is named, after a moment."},
    {"GET", "/openapi.json", ush_openapi_handler, .doc = "This description, for programs."},
    {"GET", "/docs", ush_docs_handler, .doc = "This description.", .is_page = true},
};

static int serve(void *listener)
{
    struct ush_http_options o = {
        .title = "Hello", .version = "1", .listeners = listener, .listener_count = 1};
    o.routes = routes;
    o.route_count = USH_COUNT(routes);
    int r = 0;
    return ush_http_start(&o, &r) ? ush_park_until_cancelled() : r;
}

int main(int argc, char **argv)
{
    struct ush_address at;
    int r = ush_address_parse(ush_text_of(argc > 1 ? argv[1] : "127.0.0.1:8080"), &at);
    int listener = r < 0 ? r : ush_listen_at(&at);
    if (listener < 0)
        return fprintf(stderr, "hello: %s\n", ush_error_text(listener)), 1;
    dprintf(1, "hello: http://127.0.0.1:%d\n", ush_listener_port(listener));
    return ush_run(&(struct ush_loop_options){0}, serve, &listener);
}
