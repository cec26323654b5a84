/*
 * http.h - HTTP/1.1 and 1.0 for servers: routes, requests, replies.
 *
 * A server is a table of routes. A row names the method, the path, the handler, its deadline, the
 * record its body is decoded into, and its documentation; /openapi.json and /docs are made from
 * the same rows, so nothing registers itself and nothing can be undocumented.
 *
 * Life of a request: head and body are received on the loop's own stack; a connection that is idle
 * or still sending owns no stack. A whole head finds its row, which says whether the body is
 * welcome. A whole request gets a task with the row's deadline as its scope; there the body is
 * decoded and checked, and the handler starts. It calls one ush_reply... (of several the last
 * counts) or returns a negative code, which becomes a problem document (RFC 9457), or a page if
 * the client is a browser. Bytes are made when it has returned.
 *
 * What is not here: TLS and HTTP/2, which are a proxy's job.
 *
 * RFC 9110 (semantics), RFC 9112 (HTTP/1.1; nothing marked obsolete is accepted), RFC 9457.
 */
#ifndef USHER_HTTP_H
#define USHER_HTTP_H

#include "usher/record.h"
#include "usher/task.h"

/* ---- limits (reliability rules; each has a test) -------------------------------------------- */

struct ush_http_limits {
    uint32_t request_line_bytes;      /* 8 KiB: 414 beyond */
    uint32_t header_bytes;            /* one field line; 8 KiB: 431 */
    uint32_t head_bytes;              /* all of the head; 16 KiB: 431 */
    uint32_t header_count;            /* 64: 431 */
    uint32_t body_bytes;              /* 64 KiB; a route may say otherwise: 413 */
    uint32_t head_ms;                 /* 10 s for a whole head: 408 */
    uint32_t body_gap_ms;             /* 10 s between pieces of a body: 408 */
    uint32_t body_bytes_per_s;        /* 1 KiB/s after the first 5 s: 408 */
    uint32_t write_gap_ms;            /* 15 s without progress of a reply: closed */
    uint32_t idle_ms;                 /* 15 s between requests: closed */
    uint32_t requests_per_connection; /* 1000 */
    uint32_t connection_age_ms;       /* 1 h */
    uint32_t connections;             /* 4096 per worker: not accepted beyond */
    /* 64; 0 = no limit. A school is one address with hundreds of phones behind it: connections
     * beyond are served, one request each and no keep-alive, up to USH_ADDRESS_SHARES times as
     * many; then 429. Not for this machine itself, trusted proxies and Unix sockets. */
    uint32_t connections_per_address;
    uint32_t handlers;      /* requests in handlers at once per worker; 10,000: 503 beyond */
    uint32_t handler_ms;    /* 10 s where a route says nothing: 503 */
    bool drops_underscores; /* a field name with '_' is dropped instead of refused (400) */
};
enum { USH_ADDRESS_SHARES = 16 };
extern const struct ush_http_limits ush_http_limits_direct;  /* the values above */
extern const struct ush_http_limits ush_http_limits_proxied; /* from a trusted proxy */

/* ---- the head, as a pure function ----------------------------------------------------------- */

enum ush_method {
    USH_GET,
    USH_HEAD,
    USH_POST,
    USH_PUT,
    USH_PATCH,
    USH_DELETE,
    USH_OPTIONS,
    USH_METHOD_OTHER, /* a valid token that we do not serve: 405 or 501 */
};

struct ush_header {
    ush_text name, value; /* as received; value without white space at its ends */
};

enum { USH_HEADERS_MAX = 100 };
struct ush_head {
    enum ush_method method;
    ush_text method_name, target;
    ush_text path, query; /* raw parts of an origin-form or absolute-form target */
    ush_text host;
    uint8_t minor; /* HTTP/1.x: 0 or 1 */
    bool keep_alive;
    bool expects_continue;
    bool is_chunked;
    int64_t content_length; /* -1 when absent */
    size_t header_count;
    struct ush_header headers[USH_HEADERS_MAX];
};

/*
 * Parses one head at the start of `bytes`. Pure: no allocation, no state, slices into `bytes`.
 * Returns the length of the head with its empty line; 0 if it is not complete yet; or minus the
 * HTTP status to refuse it with (-400, -414, -417, -431, -501, -505). *scanned is 0 at first and
 * belongs to the parser while the same head grows, so that feeding it byte by byte stays linear;
 * the bytes may move in between. *ret is scratch until the result is positive. Time O(n), nothing
 * obsolete, never more lenient than llhttp in strict mode. RFC 9112 §2 to §6, RFC 9110 §5.
 */
int ush_head_parse(ush_text bytes, const struct ush_http_limits *limits, size_t *scanned,
                   struct ush_head *ret);

/* Incremental decoder of a chunked body (RFC 9112 §7.1). Trailers are read and dropped. */
struct ush_chunks {
    uint64_t left;        /* bytes of the current chunk still to come */
    uint32_t line_bytes;  /* of the size line or trailer so far */
    uint32_t extra_bytes; /* of extensions and trailers in total */
    uint8_t state;
};
void ush_chunks_init(struct ush_chunks *c);
/* Decodes in place from `bytes`: *ret_used bytes were taken, *ret_data of them are body, moved to
 * the front. 0 = more to come; 1 = the body is complete; -400 = refuse and close. */
int ush_chunks_decode(struct ush_chunks *c, char *bytes, size_t n, size_t *ret_used,
                      size_t *ret_data);

/* Decodes percent escapes and removes dot segments of a path into the arena. USH_EINVAL for bad
 * escapes, NUL, control bytes, encoded slashes, or a way out of the root. (RFC 3986 §5.2.4) */
int ush_path_normal(ush_text raw, struct ush_arena *arena, ush_text *ret_path);

/* ---- problems ------------------------------------------------------------------------------- */

/* A kind of failure that the API can answer with. Its `type` is a link to where /docs explains it.
 */
#define USH_PROBLEM_BASE "/docs#problem-"
struct ush_problem {
    const char *code; /* "sold_out": stable, for machines */
    int status;
    const char *title;
    const char *doc; /* for /docs */
};
/* The library's own. */
extern const struct ush_problem ush_problem_malformed, ush_problem_validation,
    ush_problem_not_found, ush_problem_method, ush_problem_too_large, ush_problem_media_type,
    ush_problem_overloaded, ush_problem_unavailable, ush_problem_internal, ush_problem_rate_limited;

/* ---- requests ------------------------------------------------------------------------------- */

enum { USH_PARAMS_MAX = 6 };

struct ush_request {
    const struct ush_head *head; /* valid until the handler returns, like all below */
    const struct ush_route *route;
    struct ush_arena *arena;         /* of the request: 4 MiB, and for a body larger than
                                        limits.body_bytes twelve times as much */
    ush_text path;                   /* normalised */
    ush_text params[USH_PARAMS_MAX]; /* decoded path parameters, in order of the pattern */
    ush_text body;                   /* whole, decoded from chunks; at most the route's limit.
                                        USH_NONE while it has not come: for .admit */
    void *input;               /* the decoded record of route->body or route->query, or NULL */
    struct ush_faults *faults; /* what is wrong with it; only for .faults_to_handler */
    ush_text client;           /* address of the client, behind trusted proxies the real one */
    char id[27];               /* X-Request-Id: the client's if sane, else made here */
    bool is_https;             /* by the trusted proxy's word */
    void *app;                 /* ush_http_options.app */
    void *caller;              /* who asks: set by ush_http_options.admit, for the handler */
    struct ush_conn *conn;     /* private */
};

/* By name; USH_NONE when absent. Header and cookie values are as received; a query value is
 * decoded into the arena. Names of headers compare without case. Never suspend. */
ush_text ush_param(const struct ush_request *rq, const char *name);
ush_text ush_header(const struct ush_request *rq, const char *name);
ush_text ush_query(struct ush_request *rq, const char *name);
ush_text ush_cookie(const struct ush_request *rq, const char *name);
/* True if a proxy handed it on that trusted_proxies does not name: then `client` is that proxy, and
 * who asks is not known. */
bool ush_is_forwarded(const struct ush_request *rq);
/* True if the client prefers text/html to application/json (RFC 9110 §12.5.1). */
bool ush_wants_html(const struct ush_request *rq);

/* ---- forms with files ----------------------------------------------------------------------- */

/* A part of a multipart/form-data body (RFC 7578): slices of it. */
struct ush_part {
    ush_text name;
    ush_text filename; /* what the client calls it, never a path; absent where it is no file */
    ush_text content;  /* any bytes */
};
struct ush_multipart { /* private */
    ush_text rest;
    size_t len, count;
    char delimiter[76];
};
/* Reads a whole body by the Content-Type that it came with. 0 or USH_EPROTO. The decoder of rows
 * that say .takes_files, and for whoever looks at a body before that. Never suspend. */
int ush_multipart_open(struct ush_multipart *m, ush_text content_type, ush_text body);
/* 1; 0 at the end; USH_EPROTO for what is not exactly as in RFC 7578, or for too many. */
int ush_multipart_next(struct ush_multipart *m, struct ush_part *ret);

/* ---- replies -------------------------------------------------------------------------------- */

/* Adds a field to the reply that follows; the value is borrowed until the handler returns. What the
 * server would add by itself ("Cache-Control") is replaced, or with USH_NONE left out. Names and
 * values with CR, LF or NUL assert. At most 16 KiB in all, else the reply is 500. */
void ush_reply_header(struct ush_request *rq, const char *name, ush_text value);
/*
 * Exactly one of these answers the request. They return 0, or a negative code if the client is
 * gone (to be returned by the handler). `body` is borrowed until the handler returns. Content-
 * Length, Date, X-Request-Id, Cache-Control: no-store (unless set) and security headers are added.
 * A HEAD request gets the head only. None suspends except ush_stream_write.
 */
int ush_reply(struct ush_request *rq, int status, const char *content_type, ush_text body);
int ush_reply_json(struct ush_request *rq, int status, const struct ush_record *r,
                   const void *value);
/* 303 (or 301, 302, 307, 308) with Location. */
int ush_reply_redirect(struct ush_request *rq, int status, ush_text location);
/* An embedded file: ETag and If-None-Match, gzip when accepted, immutable caching when the asset's
 * name carries its hash. */
struct ush_asset {
    const char *path; /* "/assets/site.3f2a9c1b.css" */
    const char *content_type;
    const char *etag;     /* quoted */
    ush_text plain, gzip; /* gzip may be USH_NONE */
    bool is_hashed;
};
int ush_reply_asset(struct ush_request *rq, const struct ush_asset *asset);
/* Describes a failure and returns USH_EPROBLEM, so that a handler says
 * `return ush_problem(rq, &sold_out, "%s is full", title);` Members are added before it. */
int ush_problem(struct ush_request *rq, const struct ush_problem *p, const char *fmt, ...)
    USH_PRINTF(3, 4);
/* A further member of the problem that follows; `json` is one JSON value. */
void ush_problem_member(struct ush_request *rq, const char *name, ush_text json);
/* 422 with the faults (RFC 9457 "errors"). Returns USH_EPROBLEM. */
int ush_problem_faults(struct ush_request *rq, const struct ush_faults *faults);

/* A body of unknown length: chunked, or until close for HTTP/1.0. Write suspends while the client
 * is slow. An end without ush_stream_end tells the client that it is cut short. */
int ush_stream_begin(struct ush_request *rq, int status, const char *content_type);
int ush_stream_write(struct ush_request *rq, ush_text part);
int ush_stream_end(struct ush_request *rq);
/* Server-sent events (WHATWG HTML §9.2) over a stream: begin with ush_events_begin. The scope has
 * no deadline from then on; it is cancelled when the client leaves or the worker drains. Send
 * something every ten seconds: a proxy takes a longer silence for death (deploy/nginx.conf: 15). */
int ush_events_begin(struct ush_request *rq);
int ush_events_send(struct ush_request *rq, const char *event, ush_text data);

/* ---- routes --------------------------------------------------------------------------------- */

typedef int (*ush_handler)(struct ush_request *rq);

enum ush_runs_on {
    USH_TASK,   /* a task on the loop: may wait, must not block (the default) */
    USH_THREAD, /* plain blocking code in the blocking pool: must not call what may suspend */
    USH_LOOP,   /* on the loop's own stack, at once: must not wait at all */
};

/* A header field that a handler looks at, for the docs. */
struct ush_route_header {
    const char *name, *doc;
    uint32_t min, max; /* length; 0 = not said */
};
/* The token that a handler wants as `Authorization: Bearer` (RFC 6750), for the docs. */
struct ush_route_bearer {
    const char *name, *doc; /* the name is an identifier, one per kind of token */
};

struct ush_route {
    const char *method;
    const char *path; /* "/events/{slug}"; a literal beats a parameter; "{name}" is one segment */
    ush_handler handler;
    enum ush_runs_on runs_on;
    const char *doc; /* required; first line is the summary */
    const char *group;
    const struct ush_record *body;  /* decoded into rq->input */
    const struct ush_record *query; /* decoded into rq->input when there is no body record */
    const struct ush_record *reply; /* for the docs */
    const struct ush_route_header *headers; /* for the docs; ended by one without a name */
    const struct ush_route_bearer *bearer;  /* for the docs */
    int reply_status;                       /* for the docs; 0 = 200 */
    bool takes_form;                        /* application/x-www-form-urlencoded instead of JSON */
    bool takes_files;       /* beside takes_form: multipart/form-data, too; a file is a field */
    bool raw_body;          /* any content type, as bytes in rq->body */
    bool faults_to_handler; /* an invalid body still calls the handler, with rq->faults */
    bool is_page;           /* for people: left out of the OpenAPI document */
    uint32_t deadline_ms;   /* 0 = limits.handler_ms */
    uint32_t body_bytes;    /* 0 = limits.body_bytes */
    const struct ush_problem *const *problems; /* NULL-terminated: what it can answer */
    const struct ush_asset *asset;             /* instead of a handler: serves this file */
    const char *cache; /* Cache-Control of its good answers; NULL = no-store */
    uint32_t access;   /* who may ask; for ush_http_options.admit, which knows what it means */
};

/* ---- the server ----------------------------------------------------------------------------- */

struct ush_http; /* opaque */

struct ush_http_options {
    const struct ush_route *routes;
    size_t route_count;
    const struct ush_http_limits *limits; /* NULL = direct */
    const char *trusted_proxies;          /* "127.0.0.0/8 ::1 unix"; NULL = nobody */
    const char *title, *version;          /* of the API, for the documents */
    void *app;                            /* rq->app */
    /* Lets a request in, or not: called before its body is decoded, for every row but assets. 0 =
     * go on; 1 = it has answered; negative = as of a handler. May suspend, except for USH_LOOP.
     * A body larger than limits.body_bytes, which a row has to allow, is not even received before:
     * then this is called twice, first with rq->body absent. So who may not ask costs no memory. */
    int (*admit)(struct ush_request *rq);
    /* Renders a problem for a browser; NULL = problem documents for everybody. Calls ush_reply;
     * must not suspend (it may run on the loop's stack). */
    int (*problem_page)(struct ush_request *rq, const struct ush_problem *p, const char *detail);
    const int *listeners; /* listening sockets, shared or not; borrowed for ever */
    size_t listener_count;
    /* Of all processes that may share the listeners, `stats` among them: a worker that holds more
     * than its share of the connections lets others accept. Those that do not serve do not count.
     * NULL = no balance. */
    const struct ush_http_stats *siblings;
    size_t sibling_count;
    bool is_minimal;              /* no security headers, no request id: for measuring */
    struct ush_http_stats *stats; /* shared memory to count in; NULL = private */
};

struct ush_http_stats {
    _Atomic uint64_t connections_total, requests_total, refused_total, shed_total;
    _Atomic uint64_t status_total[6]; /* by first digit */
    _Atomic uint32_t connections, handlers;
    _Atomic uint32_t serving; /* 1 from ush_http_start to ush_http_drain */
} __attribute__((aligned(64)));

/* Checks the table (asserts on a duplicate, a missing doc, a handler without a method), then
 * serves in the running loop's root scope until ush_http_drain. NULL and *ret_error otherwise. */
struct ush_http *ush_http_start(const struct ush_http_options *o, int *ret_error);
/* Takes everybody who waits in the listeners' backlogs, up to the limit on connections: before a
 * drain, when no other process will. Never suspends. */
void ush_http_accept_waiting(struct ush_http *h);
/* Stops accepting, says `Connection: close`, closes idle connections, ends event streams, and waits
 * until all requests have ended or `deadline_ns`; what is left then is cancelled. The server is
 * freed. 0, or -ETIMEDOUT if something had to be cancelled. May suspend, not cancellable. */
int ush_http_drain(struct ush_http *h, int64_t deadline_ns);
/* Serves one connection that somebody else accepted (tests, sim). Never suspends. */
int ush_http_serve(struct ush_http *h, int fd, const struct ush_address *peer);

/* The OpenAPI 3.1 document of a table (routes, title and version of `o`). */
void ush_openapi(const struct ush_http_options *o, struct ush_buf *out);
/* For rows GET /openapi.json and GET /docs: this document, and a page of the same for people. Made
 * once, on first use. */
int ush_openapi_handler(struct ush_request *rq);
int ush_docs_handler(struct ush_request *rq);

#endif
