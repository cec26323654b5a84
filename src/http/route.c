/*
 * route.c - from a path to the row that answers it.
 *
 * The rows of the table make a tree of segments. A path is walked down it, a literal segment
 * before a parameter, with a step back where a literal led nowhere for this method:
 *
 *     GET  /events            (root) --"events"--+-- GET
 *     GET  /events/{slug}                        +--"new"----- POST
 *     POST /events/new                           +--{slug}---- GET
 *
 *     GET /events/new finds {slug} = "new"; POST /events/new finds the literal.
 *
 * Every step looks at one child for the literal and one for the parameter, so a path of k segments
 * costs at most 2^k looks, and k is bounded by the depth of the table's deepest row.
 *
 * Rules:
 *  1. A segment is what lies between slashes; "/a" and "/a/" are different paths, "/" is one empty
 *     segment. A parameter takes one segment that is not empty.
 *  2. HEAD is answered by the row of GET unless it has its own. OPTIONS is answered by the server.
 *  3. The table is checked when the server starts: two rows for one method and path, a row without
 *     documentation, two parameter names in one place are faults of the program and assert.
 */
#include <stdio.h>
#include <stdlib.h>

#include "http/http.h"

struct ush__node {
    ush_text segment;       /* of the row's path; for a parameter its name */
    struct ush__node *next; /* sibling; owned, as the two below */
    struct ush__node *literals;
    struct ush__node *param;
    const struct ush__row *rows[USH_METHOD_OTHER];
    uint32_t allowed;
};

const char *const ush__method_names[USH_METHOD_OTHER] = {"GET",   "HEAD",   "POST",   "PUT",
                                                         "PATCH", "DELETE", "OPTIONS"};

static enum ush_method method_of(const char *name)
{
    for (int m = 0; m < USH_METHOD_OTHER; m++)
        if (strcmp(name, ush__method_names[m]) == 0)
            return (enum ush_method)m;
    return USH_METHOD_OTHER;
}

static bool is_param(ush_text segment)
{
    return segment.len > 2 && segment.at[0] == '{' && segment.at[segment.len - 1] == '}';
}

static struct ush__node *node_new(ush_text segment)
{
    struct ush__node *n = calloc(1, sizeof(*n));
    if (n)
        n->segment = segment;
    return n;
}

static void node_free(struct ush__node *n)
{
    while (n) {
        struct ush__node *next = n->next;
        node_free(n->literals);
        node_free(n->param);
        free(n);
        n = next;
    }
}

static struct ush__node *child_for(struct ush__node *n, ush_text segment)
{
    struct ush__node **place = &n->literals;
    if (is_param(segment)) {
        segment = (ush_text){segment.at + 1, segment.len - 2};
        assert(!n->param || ush_text_equal(n->param->segment, segment));
        place = &n->param;
    }
    while (*place && !ush_text_equal((*place)->segment, segment))
        place = &(*place)->next;
    if (!*place)
        *place = node_new(segment);
    return *place;
}

static int add(struct ush__routes *r, struct ush__row *row)
{
    ush_text rest = row->path;
    assert(rest.len > 0 && rest.at[0] == '/');
    ush_text_cut(&rest, '/');
    struct ush__node *n = r->root;
    size_t params = 0;
    while (rest.at && n) {
        ush_text segment = ush_text_cut(&rest, '/');
        n = child_for(n, segment);
        if (is_param(segment)) {
            assert(params < USH_PARAMS_MAX);
            row->params[params++] = (ush_text){segment.at + 1, segment.len - 2};
        }
    }
    if (!n)
        return -ENOMEM;
    if (n->rows[row->method]) {
        ush_error("route.twice", "%s stands twice in the table of routes", row->name);
        assert(!"a route stands twice");
    }
    n->rows[row->method] = row;
    n->allowed |= 1u << row->method | 1u << USH_OPTIONS;
    if (row->method == USH_GET)
        n->allowed |= 1u << USH_HEAD;
    return 0;
}

static void check(const struct ush_route *route)
{
    const char *fault = !route->method || method_of(route->method) == USH_METHOD_OTHER
                            ? "needs a method that the server knows"
                        : !route->handler == !route->asset ? "needs either a handler or an asset"
                        : !route->doc                      ? "needs documentation"
                        : route->body && method_of(route->method) == USH_GET
                            ? "cannot have a body with GET"
                            : NULL;
    if (!fault)
        return;
    ush_error("route.bad", "route %s %s %s", route->method ? route->method : "?", route->path,
              fault);
    assert(!"a fault in the table of routes");
}

static size_t place_of(const struct ush__routes *r, enum ush_method method, ush_text path)
{
    return ush_hash(path.at, path.len, method) & r->literal_mask;
}

/* Most requests are for a path without parameters: one look instead of a walk. The walk would find
 * the same row, since it tries literals first. */
static int add_literals(struct ush__routes *r)
{
    size_t room = 8;
    while (room < 2 * r->count)
        room *= 2;
    r->literal_mask = room - 1;
    r->literals = calloc(room, sizeof(struct ush__row *));
    for (size_t i = 0; r->literals && i < r->count; i++) {
        const struct ush__row *row = &r->rows[i];
        size_t place = place_of(r, row->method, row->path);
        while (r->literals[place])
            place = (place + 1) & r->literal_mask;
        if (!row->params[0].at)
            r->literals[place] = row;
    }
    return r->literals ? 0 : -ENOMEM;
}

const struct ush__row *ush__route_literal(const struct ush__routes *r, enum ush_method method,
                                          ush_text path)
{
    const struct ush__row *row;
    for (size_t place = place_of(r, method, path); (row = r->literals[place]);
         place = (place + 1) & r->literal_mask)
        if (row->method == method && ush_text_equal(row->path, path))
            return row;
    return NULL;
}

int ush__routes_init(struct ush__routes *r, const struct ush_route *rows, size_t n,
                     const struct ush_http_limits *limits)
{
    *r = (struct ush__routes){.rows = calloc(n ? n : 1, sizeof(*r->rows)),
                              .root = node_new(USH_NONE)};
    if (!r->rows || !r->root)
        goto no_memory;
    for (; r->count < n; r->count++) {
        const struct ush_route *route = &rows[r->count];
        struct ush__row *row = &r->rows[r->count];
        check(route);
        *row = (struct ush__row){
            .route = route,
            .path = ush_text_of(route->path),
            .method = method_of(route->method),
            .deadline_ms = route->deadline_ms ? route->deadline_ms : limits->handler_ms,
            .body_bytes = route->body_bytes ? route->body_bytes : limits->body_bytes,
        };
        if (asprintf(&row->name, "%s %s", route->method, route->path) < 0) {
            row->name = NULL;
            goto no_memory;
        }
        if (add(r, row) < 0) {
            r->count++;
            goto no_memory;
        }
    }
    if (add_literals(r) < 0)
        goto no_memory;
    return 0;
no_memory:
    ush__routes_fini(r);
    return -ENOMEM;
}

void ush__routes_fini(struct ush__routes *r)
{
    for (size_t i = 0; r->rows && i < r->count; i++)
        free(r->rows[i].name);
    free(r->rows);
    free(r->literals);
    node_free(r->root);
    *r = (struct ush__routes){0};
}

struct walk {
    ush_text path;
    enum ush_method method;
    struct ush__match *match;
};

/* Whether the segments from `at` on lead to a row; `n` is the node of those before. */
static bool walk_down(const struct walk *w, const struct ush__node *n, size_t at, size_t params)
{
    if (at > w->path.len) {
        const struct ush__row *row = n->rows[w->method];
        if (!row && w->method == USH_HEAD)
            row = n->rows[USH_GET];
        w->match->allowed |= n->allowed;
        w->match->row = row;
        return row != NULL;
    }
    const char *from = w->path.at + at, *slash = memchr(from, '/', w->path.len - at);
    ush_text segment = {from, slash ? (size_t)(slash - from) : w->path.len - at};
    size_t behind = at + segment.len + 1;
    for (const struct ush__node *l = n->literals; l; l = l->next)
        if (ush_text_equal(l->segment, segment)) {
            if (walk_down(w, l, behind, params))
                return true;
            break;
        }
    if (!n->param || segment.len == 0)
        return false;
    w->match->params[params].at = (uint16_t)at;
    w->match->params[params].len = (uint16_t)segment.len;
    return walk_down(w, n->param, behind, params + 1);
}

int ush__route_find(const struct ush__routes *r, enum ush_method method, ush_text path,
                    struct ush__match *ret)
{
    *ret = (struct ush__match){0};
    if (path.len == 0 || path.len > UINT16_MAX || path.at[0] != '/')
        return -404;
    struct walk w = {.path = path, .method = method, .match = ret};
    if (walk_down(&w, r->root, 1, 0))
        return 0;
    return ret->allowed ? -405 : -404;
}

void ush__allow_format(uint32_t allowed, char out[64])
{
    *out = 0;
    for (int m = 0; m < USH_METHOD_OTHER; m++)
        if (allowed & (1u << m))
            snprintf(out + strlen(out), 64 - strlen(out), "%s%s", *out ? ", " : "",
                     ush__method_names[m]);
}
