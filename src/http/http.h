/*
 * http.h - what the files of the server share: a connection, what it holds of its input and its
 * output, the exchange of one request and its reply, and the server. Not public.
 *
 *   server.c    start, drain, accepting, the table of connections, time-outs
 *   conn.c      the life of a connection: which bytes are a request, what becomes of it
 *   input.c     bytes that wait: for the rest of their request, for the task of it
 *   body.c      bodies: length, chunks, limits; decoding them into records
 *   multipart.c the parts of a form with a file
 *   route.c     from a path to a row of the table
 *   exchange.c  one request in its task (or on the loop's stack): handler, deadline, verdict
 *   reply.c     replies as handlers describe them, and the bytes that they become
 *   output.c    bytes on their way out: one buffer per worker, a box per slow reader
 *   stream.c, problem.c, asset.c, docs.c, openapi.c    kinds of replies
 *   request.c   what a handler asks of its request by name
 *   parse.h     the pure readers of the protocol: head.c, chunks.c, path.c, header.c, origin.c
 *
 *               accept
 *                 |            first byte              head whole, body not
 *   (none) --> [HEAD] <------------------------[IDLE]      +--> [BODY] --+
 *                 |  \                            ^        |             | body whole
 *                 |   +---- head whole -----------+--------+             v
 *                 |                               |                  [HANDLER] task + stack
 *    framing error, time-out, limit               +--- reply sent -------+
 *                 |                               |                      |
 *                 v                               +---- drained ----[WRITING] client reads slowly
 *     [LINGER] --> closed
 *
 * A large body is asked for first: HEAD --> HANDLER, which runs o.admit only --welcome--> BODY.
 *
 * Invariants:
 *  1. Only HANDLER has a task. IDLE has no memory but struct ush_conn.
 *  2. Requests of a connection are answered one after the other, in order; nothing is read from the
 *     socket in HANDLER and WRITING, so a client that does not read is not read from either.
 *  3. A connection is freed only on the loop side of a step (ush__conn_pump, a time-out, an event),
 *     and never while it is in HANDLER.
 *  4. A reply goes out only after the body has been read, or the connection closes after it.
 *  5. Replies of a connection leave in order: a part in the worker's output buffer is the last that
 *     there is of it, and what does not fit its socket waits in its box before anything follows.
 */
#ifndef USH_HTTP_HTTP_H
#define USH_HTTP_HTTP_H

#include <stdatomic.h>

#include "http/parse.h"
#include "usher/http.h"
#include "usher/net.h"

enum {
    USH__SCRATCH_BYTES = 32768,  /* one receive at most */
    USH__PARTS = 32,             /* connections whose replies are sent one after the other */
    USH__OUTPUT_BYTES = 65536,   /* replies of one connection gathered for one send */
    USH__FIELDS_BYTES = 16384,   /* header fields that a handler adds */
    USH__TEXT_BYTES = 16 << 20,  /* a body that is encoded here */
    USH__LINGER_MS = 2000,       /* for reading and dropping what a refused client still sends */
    USH__ADDRESS_BUCKETS = 1024, /* power of two */
};

/* ---- routes (route.c) ----------------------------------------------------------------------- */

/* A row of the table, with what is worked out once. */
struct ush__row {
    const struct ush_route *route;
    char *name; /* "GET /events/{slug}"; owned; names tasks in dumps */
    enum ush_method method;
    ush_text path;
    ush_text params[USH_PARAMS_MAX]; /* names in the pattern */
    uint32_t deadline_ms, body_bytes;
};

struct ush__routes {
    struct ush__row *rows; /* owned */
    size_t count;
    const struct ush__row **literals; /* owned: a hash table of the rows without parameters */
    size_t literal_mask;
    struct ush__node *root; /* owned */
};

/* What a path means: offsets are into the normalised path. */
struct ush__match {
    const struct ush__row *row;
    uint32_t allowed; /* set of enum ush_method: what the path can do, for 405 and OPTIONS */
    struct {
        uint16_t at, len;
    } params[USH_PARAMS_MAX];
};

/* Asserts on faults of the table (ush_http_start). 0 or -ENOMEM. */
int ush__routes_init(struct ush__routes *r, const struct ush_route *rows, size_t n,
                     const struct ush_http_limits *limits);
void ush__routes_fini(struct ush__routes *r);
/* The row of a path as it was sent, if it is one without parameters and the path is written as in
 * the table; NULL says nothing. */
const struct ush__row *ush__route_literal(const struct ush__routes *r, enum ush_method method,
                                          ush_text path);
/* 0, -404 or -405 for a normalised path. HEAD is served by the row of GET. */
int ush__route_find(const struct ush__routes *r, enum ush_method method, ush_text path,
                    struct ush__match *ret);
/* "GET, HEAD, OPTIONS" in `out`. */
void ush__allow_format(uint32_t allowed, char out[64]);
extern const char *const ush__method_names[USH_METHOD_OTHER];

/* ---- input (conn.c, body.c) ----------------------------------------------------------------- */

/*
 * Bytes received and not answered, and how far the request at their front has been understood.
 * The worker has one over its scratch buffer; a connection gets one of its own only for what is
 * left over: an incomplete request, requests behind the one in the handler, or the bytes of the
 * request itself while its task runs.
 *
 *   bytes: [ done | head | body | not yet decoded or next request | free ]
 *                 ^at    ^+head_len   ^+body_len                  ^len   ^cap
 */
struct ush__input {
    char *bytes;
    uint32_t cap, at, len;
    uint32_t head_len; /* 0 until the head is whole */
    uint32_t body_len; /* of the body so far, decoded */
    uint32_t used;     /* of the whole request as it was sent, once it is whole */
    uint32_t body_max; /* the route's limit */
    size_t scanned;    /* of ush_head_parse */
    int64_t length;    /* Content-Length; -1 = chunked */
    int64_t since_ns;  /* when waiting for the body began; 0 = it has not */
    bool asks_first;   /* a large body, and o.admit has not said yet that it is welcome */
    struct ush_chunks chunks;
    bool is_fresh;  /* `bytes` hold something that nobody has looked at */
    bool is_pooled; /* the block goes back to the pool */
    /* The parsed head of the request at the front, while that is in its task and did not move in:
     */
    struct ush_head *head; /* behind cap, in the block; slices into `bytes` */
    uint32_t head_room;
};

/*
 * A whole request on its way into a task. Nearly every one is small: its head and bytes move along,
 * into the task's own first page, so that a request that waits costs that page and the record of
 * its connection. Larger ones, and those with others behind them, stay in a block.
 */
enum { USH__SMALL_BYTES = 640 }; /* parsed head, bytes of head and body */
struct ush__parcel {
    struct ush_conn *conn;
    const struct ush_head *head; /* in `room`, or in conn->in */
    ush_text body;               /* USH_NONE: asks only whether it may come */
    struct ush__match match;
    const char *here; /* where this parcel was when its slices were made */
    size_t bytes;     /* of the parcel, with what it uses of `room` */
    char room[USH__SMALL_BYTES] __attribute__((aligned(16)));
};

enum ush__step {
    USH__WAIT, /* settled: an event or a time-out goes on */
    USH__RUN,  /* a whole request needs a task: take ush__conn_parcel at once */
    USH__GONE, /* the connection is closed or lingers; do not touch it */
};

/* ---- connection ----------------------------------------------------------------------------- */

enum ush__conn_state {
    USH__HEAD, /* new, or part of a head is there */
    USH__IDLE,
    USH__BODY,
    USH__HANDLER,
    USH__WRITING,
    USH__LINGER,
};

struct ush_conn {
    union {
        struct ush_timeout timeout; /* in the list that its state says, or in none */
        struct ush_conn *next_free; /* while it is in nobody's hands */
    };
    struct ush_link in_bucket; /* of its address */
    struct ush_http *http;
    struct ush__input *in;   /* owned; NULL = nothing held */
    struct ush__box *box;    /* owned; reply bytes that the socket had no room for; NULL = none */
    struct ush__exchange *x; /* on the task's stack; in HANDLER */
    struct ush__ip ip;       /* of the peer; zero for a Unix socket */
    union {
        int64_t born_ns;
        int64_t linger_ns; /* when LINGER began */
    };
    int fd;
    uint32_t requests;

    uint8_t state; /* enum ush__conn_state */
    bool is_unix;
    bool is_trusted; /* a proxy: its forwarded fields are believed */
    bool unread;     /* the socket may have bytes */
    bool hung_up;    /* the client has sent its last byte */
    bool gone;       /* nothing can be sent any more */
    bool closing;    /* no further request */
    bool has_part;   /* in the worker's output buffer */
    bool is_brief;   /* its address holds many connections: this one gets no keep-alive */
    bool linger;     /* the client may be sending still: read it out before closing */
};
/* With the 40 bytes of its descriptor (task/fd.h) all that an idle connection costs. */
static_assert(sizeof(struct ush_conn) <= 192, "an idle connection costs at most 256 bytes");

/* ---- exchange ------------------------------------------------------------------------------- */

struct ush__field {
    struct ush__field *next; /* arena */
    ush_text name, value;
};

enum ush__reply_state { USH__NO_REPLY, USH__REPLIED, USH__STREAMING, USH__STREAMED };

/* Fields that the server adds unless the handler sets them itself. */
enum {
    USH__OWN_CACHE = 1,
    USH__OWN_CSP = 2,
    USH__OWN_REFERRER = 4,
    USH__OWN_NOSNIFF = 8,
    USH__OWN_RETRY = 16,
    USH__OWN_PERMISSIONS = 32,
};

struct ush__exchange {
    struct ush_request rq;      /* rq.conn leads back to the connection, this to the exchange */
    const struct ush__row *row; /* NULL where no row was found */
    struct ush_scope *scope;    /* of the request; NULL on the loop's stack */
    uint8_t reply;              /* enum ush__reply_state */
    bool is_head, keep_alive;
    bool is_chunked; /* the stream is */
    bool is_event_stream;
    bool is_static; /* `body` lives for ever */
    uint8_t own;    /* USH__OWN_... that the handler has set */
    int status;
    ush_text content_type; /* USH_NONE: none */
    ush_text body;
    struct ush__field *fields, **last_field; /* arena */
    uint32_t fields_bytes;
    struct ush_buf text; /* owned: an encoded body */
    const struct ush_problem *problem;
    ush_text detail;
    struct ush__field *members, **last_member; /* arena */
    struct ush_event drained;                  /* the box is empty, or the client gone */
    char client[46];
};

static inline struct ush__exchange *ush__exchange_of(const struct ush_request *rq)
{
    return USH_CONTAINER((struct ush_request *)rq, struct ush__exchange, rq);
}

/* exchange.c: the task of a request, and of those behind it. */
int ush__exchange_main(void *parcel);
/* Answers the request at the front of `in` without a task: its row's handler or asset, or
 * `problem`. server->head is its head. */
void ush__exchange_inline(struct ush_conn *c, struct ush__input *in, const struct ush__match *match,
                          const struct ush_problem *problem);
/* An empty buffer of the exchange for a body; what it held before is gone. */
struct ush_buf *ush__exchange_text(struct ush__exchange *x);

/* ---- output (output.c) ---------------------------------------------------------------------- */

/* Reply bytes that a slow reader has not taken: a copy, and behind it what lives for ever. */
struct ush__box {
    uint32_t at, len, cap;
    ush_text tail;
    char bytes[];
};

/* Room for n <= USH__OUTPUT_BYTES bytes of this connection in the worker's buffer, and taking what
 * was written there. */
char *ush__output_room(struct ush_conn *c, size_t n);
void ush__output_add(struct ush_conn *c, size_t n);
/* The connection ends: its part goes nowhere. */
void ush__output_forget(struct ush_conn *c);
/* Sends the buffer, whoever's it is. */
void ush__output_flush(struct ush_http *h);
/* Sends bytes behind all that went before; what the socket does not take is copied into the box,
 * or referred to when `is_static`. */
struct ush__output_options {
    bool is_static;
};
void ush__output_send(struct ush_conn *c, ush_text bytes, const struct ush__output_options *o);
/* There is room again. */
void ush__output_writable(struct ush_conn *c);
/* Nothing more can be sent: forgets what waits. */
void ush__output_drop(struct ush_conn *c);

/* ---- request.c ------------------------------------------------------------------------------ */

ush_text ush__head_get(const struct ush_head *head, const char *name);
/* Address of the peer as text, in `out` or constant. */
ush_text ush__client_format(const struct ush_conn *c, char out[46]);
/* ush__origin_of for the peer of a connection. */
int ush__origin_by(const struct ush_conn *c, const struct ush_head *head, struct ush__origin *ret);
/* The client's X-Request-Id, or a new one. */
void ush__request_name(struct ush_http *h, const struct ush_head *head, char out[27]);

/* ---- conn.c --------------------------------------------------------------------------------- */

void ush__conn_ready(void *conn, unsigned events);
/* Goes on with whatever the connection holds or the socket has, until a task is needed or there is
 * nothing left to do. Never suspends; runs on the loop's stack and at the end of a request's task.
 */
enum ush__step ush__conn_pump(struct ush_conn *c);
/* Pumps, and gives the request that needs it a task. On the loop's stack. */
void ush__conn_go_on(struct ush_conn *c);
/* Lets other connections go first: the pump continues in the next turn. */
void ush__conn_give_way(struct ush_conn *c);
/* The path of the head, normalised: in place where it can be, else in the arena. 0 or negative. */
int ush__path_of(const struct ush_head *head, struct ush_arena *arena, ush_text *ret);
/* A refusal on the level of framing: a reply without a request, then closed. `in` begins with what
 * was refused; NULL = nothing was read. */
void ush__conn_refuse(struct ush_conn *c, const struct ush__input *in, int status);
/* Sends what waits and closes; when the client may be sending still, reads that out first. */
void ush__conn_end(struct ush_conn *c);
/* The client is known to have left: cancels what runs for it, if that has no side effects. */
void ush__conn_left(struct ush_conn *c);

/* ---- input.c -------------------------------------------------------------------------------- */

/* Puts what `from` has left into a block of the connection with `room` free bytes behind it; frees
 * the one before. -ENOMEM. */
int ush__input_hold(struct ush_conn *c, const struct ush__input *from, size_t room);
/* Room to receive into behind what the connection's block holds. -ENOMEM. */
int ush__input_make_room(struct ush_conn *c);
/* The request at the front has been answered. */
void ush__input_next(struct ush__input *in);
void ush__input_free(struct ush_conn *c);
/* The request that the pump has just answered RUN for; good until the next step. NULL without
 * memory: then the connection has been ended. */
const struct ush__parcel *ush__conn_parcel(struct ush_conn *c);
/* Bytes of a head with the fields that it has, and a copy of it whose slices, which lie in the n
 * bytes at `base`, are moved by `by`. */
size_t ush__head_bytes(const struct ush_head *head);
void ush__head_move(struct ush_head *to, const struct ush_head *from, const char *base, size_t n,
                    ptrdiff_t by);

/* ---- body.c --------------------------------------------------------------------------------- */

/* Is the body that this head announces acceptable? 0 or the HTTP status. */
int ush__body_check(const struct ush__row *row, const struct ush_head *head);
/* Takes in what is there. 1 = whole, in->used set; 0 = more to come; or minus an HTTP status. */
int ush__body_take(struct ush__input *in);
/* Decodes body or query into rq->input. 0; USH_EPROBLEM with the problem described. */
int ush__body_decode(struct ush__exchange *x);

/* ---- reply.c, problem.c, asset.c ------------------------------------------------------------ */

/* Turns the described reply into bytes in the output. */
void ush__reply_write(struct ush__exchange *x);
/* Status line and header fields of x, up to and with the empty line; the end of what was written.
 * `length` < 0: a stream. */
char *ush__reply_head(struct ush__exchange *x, int64_t length, char *to);
size_t ush__reply_head_max(const struct ush__exchange *x);
/* "Not Found". */
const char *ush__reason(int status);
/* Describes the reply for x->problem. */
void ush__problem_reply(struct ush__exchange *x);
/* What a negative result of a handler means for the client. */
const struct ush_problem *ush__problem_of(int error);
const struct ush_problem *ush__problem_of_status(int status);

/* ---- the server (server.c) ------------------------------------------------------------------ */

struct ush_http {
    struct ush_http_options o;
    struct ush_http_limits limits;
    struct ush__routes routes;
    struct ush_http_stats own_stats, *stats;
    uint32_t connections, handlers; /* held now; the statistics have copies */
    struct ush__networks trusted;
    struct ush_acceptor *acceptors; /* owned: o.listener_count */
    bool is_draining, is_full;
    bool is_cut; /* the drain's time is over: what goes on is cancelled, nothing begins */
    struct ush_event ended; /* while draining: no connection is left */

    /* One request at a time is parsed; it is here until a task has taken it over. */
    struct ush_head head;
    struct ush__match match;
    ush_text path; /* of the head, normalised; in the arena where it had to be */
    struct ush__input scratch;
    struct ush__input *whole; /* holds the request that a RUN is about: scratch or conn->in */
    struct ush__parcel parcel;
    struct ush_arena arena;   /* for requests on the loop's stack; reset before each */
    const char *arena_start;  /* its `at` when nothing is in it */
    struct ush_faults faults; /* of the body that is being decoded */

    /* Replies of one turn: `output` holds those of parts[0], parts[1], ... side by side. */
    struct {
        struct ush_conn *conn; /* NULL: it has ended meanwhile */
        uint32_t len;
    } parts[USH__PARTS];
    uint32_t part_count;
    size_t output_len;
    struct ush_alarm soon; /* flushes and goes on with `again` in the next turn */
    struct ush_link again; /* conn->timeout.link: has more to read, after the others */

    struct ush_timeouts head_time, idle_time, body_time, write_time, linger_time;
    struct ush_link buckets[USH__ADDRESS_BUCKETS];
    struct ush_conn *free_conns;
    struct ush__slab *slabs;      /* owned: connections come from these */
    void *free_inputs;            /* pooled blocks */
    struct ush_buf openapi, docs; /* owned: made on first use (docs.c) */
    uint64_t bucket_seed, id_seed, id_count;
    int64_t date_until_ns;
    struct ush__ip client_ip; /* of the request before, and as text: often the same again */
    char client[46], client_len;
    char date[40]; /* "Date: Fri, 13 Mar 2026 12:30:00 GMT\r\n" */
    char scratch_bytes[USH__SCRATCH_BYTES];
    char arena_first[16384];
    char output[USH__OUTPUT_BYTES];
};

void ush__conn_free(struct ush_conn *c);
/* Starts the time-out of a state, or stops it. */
void ush__conn_enter(struct ush_conn *c, enum ush__conn_state state);
/* The output is flushed in the next turn at the latest. */
void ush__http_soon(struct ush_http *h);
/* Called when a handler or a connection has ended: a drain may be waiting for it. */
void ush__http_left(struct ush_http *h);
/* "Date: ...\r\n", 37 characters. */
const char *ush__date(struct ush_http *h);
/* A number that differs from one reply to the next: 0 to n-1. */
uint32_t ush__spread(struct ush_http *h, uint32_t n);

/* Statistics have one writer each, so no locked instruction is needed. Only while a worker drains
 * its successor may use the same ones, which is why nothing is decided by them. */
#define USH__COUNT(h, member, by)                                                                  \
    atomic_store_explicit(&(h)->stats->member,                                                     \
                          atomic_load_explicit(&(h)->stats->member, memory_order_relaxed) + (by),  \
                          memory_order_relaxed)
#define USH__HOLD(h, member, by)                                                                   \
    atomic_store_explicit(&(h)->stats->member, (h)->member += (uint32_t)(by), memory_order_relaxed)

#endif
