/*
 * client.c - the worker's side: changes go to the writer process and come back as answers.
 *
 * One connection per process carries all requests. What tasks submit between two turns of the
 * loop leaves in one send, and requests do not wait for answers.
 *
 *   a change:  WAITING --packed and sent--> SENT --answer--> settled
 *                 |  ^                       |
 *     cancelled,  |  +--- connection lost ---+
 *     no writer   v
 *              settled
 *
 *  1. A change that has never been sent may be withdrawn: -ECANCELED and -ETIMEDOUT mean that
 *     nothing happened. Once sent it may be on the disk, so its task stays for the truth. But not
 *     for ever, for the writer may hang: LAST_WORD after the end of its scope the change ends with
 *     USH_EUNAVAILABLE, and an answer that still comes is dropped.
 *  2. When the connection is lost, unanswered changes go back to the front of the queue in the
 *     order in which they were sent, and are sent again; by its keys an operation knows its own
 *     earlier effect.
 *  3. While no writer answers HELLO a change waits at most writer_wait_ms, counted from its
 *     submission or from the loss of the connection; then it ends with USH_EUNAVAILABLE. It does
 *     so too after TRIES_MAX lost connections: it may be what ends the writer.
 *  4. `in` is packed anew for each sending. It lies in the memory of the waiting task, so nothing
 *     is copied to be kept.
 *
 * The connection lives in a task of its own under a shield, so that a process that drains can
 * still store what its last requests decide; only ush__client_free ends it.
 */
#include <stdlib.h>

#include "sql/frame.h"
#include "sql/sql.h"
#include "task/task.h"

enum {
    TRIES_MAX = 5,
    SEND_BYTES = 64 << 10, /* one send carries about this much at most */
};
#define LAST_WORD_NS (2 * USH_SECOND)
#define PAUSE_MIN_NS (5 * (int64_t)USH_MS)
#define PAUSE_MAX_NS (200 * (int64_t)USH_MS)

struct request {
    struct ush_link link; /* in waiting or sent */
    struct ush_task *task;
    const struct ush_operation *op;
    int32_t place; /* of op in the list */
    const void *in;
    void *ret_out;
    struct ush_arena *arena;
    uint64_t id;
    int64_t give_up_ns;   /* while WAITING and no writer is there; ascending along the queue */
    int64_t last_word_ns; /* set when the scope of a change that was sent has ended */
    uint32_t tries;       /* times it was sent */
};

struct ush__client {
    struct ush__client_options o;
    struct ush_link waiting, sent; /* oldest first */
    uint32_t count;                /* in both */
    uint64_t last_id;
    struct ush_event work;   /* something waits to be sent */
    struct ush_event answer; /* never set: what a waiting task shows in a dump */
    struct ush_event ended;
    struct ush_alarm patience; /* set while there is no writer and something waits */
    struct ush_alarm last_word;
    uint32_t unclaimed;      /* answers on this connection that nobody waits for any more */
    struct ush_scope *scope; /* of the connecting task; NULL before it began and after its end */
    bool is_up, is_closing, is_lost; /* lost: said so in the log */
    int fd;
    struct ush_buf in, out;
    bool is_known[USH__OPERATIONS_MAX]; /* by the writer */
};

static struct request *request_of(struct ush_link *l)
{
    return USH_CONTAINER(l, struct request, link);
}

static void settle(struct ush__client *c, struct request *r, int result)
{
    ush_list_del(&r->link);
    c->count--;
    c->o.stats->waiting = c->count;
    c->o.stats->conflicts += result == USH_ECONFLICT;
    c->o.stats->refused += result == USH_ESTORAGE;
    ush__wake(r->task, result);
}

/* ---- patience ------------------------------------------------------------------------------- */

static void give_up(struct ush_alarm *alarm)
{
    struct ush__client *c = USH_CONTAINER(alarm, struct ush__client, patience);
    int64_t now_ns = ush_now_ns();
    while (!ush_list_is_empty(&c->waiting)) {
        struct request *oldest = request_of(c->waiting.next);
        if (oldest->give_up_ns > now_ns) {
            ush_alarm_set(alarm, oldest->give_up_ns, give_up);
            return;
        }
        settle(c, oldest, USH_EUNAVAILABLE);
    }
}

static void arm_patience(struct ush__client *c)
{
    if (c->is_up || ush_list_is_empty(&c->waiting))
        ush_alarm_clear(&c->patience);
    else if (!c->patience.id)
        ush_alarm_set(&c->patience, request_of(c->waiting.next)->give_up_ns, give_up);
}

/* ---- changes -------------------------------------------------------------------------------- */

static void end_waits(struct ush_alarm *alarm)
{
    struct ush__client *c = USH_CONTAINER(alarm, struct ush__client, last_word);
    struct ush_link *const lists[] = {&c->waiting, &c->sent};
    int64_t now_ns = ush_now_ns(), next_ns = USH_NEVER;
    for (size_t i = 0; i < USH_COUNT(lists); i++) {
        USH_EACH_SAFE (lists[i], l) {
            struct request *r = request_of(l);
            if (r->last_word_ns > now_ns)
                next_ns = r->last_word_ns < next_ns ? r->last_word_ns : next_ns;
            if (!r->last_word_ns || r->last_word_ns > now_ns)
                continue;
            c->unclaimed += lists[i] == &c->sent;
            settle(c, r, USH_EUNAVAILABLE);
        }
    }
    if (next_ns != USH_NEVER)
        ush_alarm_set(alarm, next_ns, end_waits);
}

static bool withdraw(struct ush_task *t)
{
    struct request *r = t->wait_data;
    struct ush__client *c = USH_CONTAINER(t->wait_object, struct ush__client, answer);
    if (r->tries > 0) {
        r->last_word_ns = ush_now_ns() + LAST_WORD_NS;
        if (!c->last_word.id)
            ush_alarm_set(&c->last_word, r->last_word_ns, end_waits);
        return false;
    }
    ush_list_del(&r->link);
    c->o.stats->waiting = --c->count;
    return true;
}

static int32_t place_of(const struct ush__client *c, const struct ush_operation *op)
{
    int32_t i = 0;
    while (c->o.operations[i] && c->o.operations[i] != op)
        i++;
    assert(c->o.operations[i]); /* an operation that is not in ush_db_options.operations */
    return i;
}

int ush__client_change(struct ush__client *c, const struct ush_operation *op, const void *in,
                       void *ret_out, struct ush_arena *arena)
{
    USH_TRY(ush__enter());
    if (c->count >= c->o.queue_max)
        return USH_EFULL;
    struct request r = {
        .task = ush__self(),
        .op = op,
        .place = place_of(c, op),
        .in = in,
        .ret_out = ret_out,
        .arena = arena,
        .give_up_ns = ush_now_ns() + (int64_t)c->o.writer_wait_ms * USH_MS,
    };
    ush_list_push(&c->waiting, &r.link);
    c->o.stats->waiting = ++c->count;
    c->o.stats->changes++;
    ush_event_set(&c->work);
    arm_patience(c);
    r.task->wait_data = &r;
    return ush__park(USH__WAIT_EVENT, &c->answer, withdraw);
}

/* ---- sending -------------------------------------------------------------------------------- */

/* Packs requests from the front of the queue. */
static void pack(struct ush__client *c)
{
    uint32_t n = 0;
    ush_buf_reset(&c->out);
    while (!ush_list_is_empty(&c->waiting) && c->out.len < SEND_BYTES) {
        struct request *r = request_of(c->waiting.next);
        if (!c->is_known[r->place]) { /* an upgrade is under way: the writer is of another build */
            settle(c, r, USH_EUNAVAILABLE);
            continue;
        }
        r->id = ++c->last_id;
        size_t place = ush__frame_begin(&c->out, r->place, r->id);
        ush_record_pack(r->op->in, r->in, &c->out);
        if (ush__frame_end(&c->out, place) < 0) {
            settle(c, r, USH_ELIMIT);
            continue;
        }
        r->tries++;
        n++;
        ush_list_del(&r->link);
        ush_list_push(&c->sent, &r->link);
    }
    c->o.stats->batches += n > 0;
    if (n > c->o.stats->batch_largest)
        c->o.stats->batch_largest = n;
}

static int send_requests(void *arg)
{
    struct ush__client *c = arg;
    for (;;) {
        USH_TRY(ush_event_wait(&c->work));
        ush_event_reset(&c->work);
        while (!ush_list_is_empty(&c->waiting)) {
            pack(c);
            if (c->out.len > 0)
                USH_TRY((int)ush_send(c->fd, c->out.at, c->out.len));
        }
    }
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* Answers come nearly in the order of the requests, so the first look finds it. */
static struct request *find_sent(struct ush__client *c, uint64_t id)
{
    USH_EACH (&c->sent, l) {
        if (request_of(l)->id == id)
            return request_of(l);
    }
    return NULL;
}

static int take_answer(struct ush__client *c, const struct ush__frame *f, ush_text body)
{
    struct request *r = find_sent(c, f->id);
    if (!r) {
        if (c->unclaimed == 0)
            return USH_EPROTO;
        c->unclaimed--;
        return 0;
    }
    int result = f->code;
    if (result >= 0 && r->op->out && r->ret_out) {
        ush_text packed = ush_arena_copy(r->arena, body);
        if (!packed.at || ush_record_unpack(r->op->out, packed, r->arena, r->ret_out) < 0)
            result = USH_EUNKNOWN; /* it is stored, but the caller cannot be told what */
    }
    settle(c, r, result);
    return 0;
}

static int take_hello(struct ush__client *c, const struct ush__frame *f, ush_text body)
{
    if (f->code != USH__HELLO || f->id != 0)
        return USH_EPROTO;
    for (size_t i = 0; c->o.operations[i]; i++) {
        c->is_known[i] = i < body.len && body.at[i];
        if (!c->is_known[i])
            ush_warn("writer.other", "the writer is of another build: it does not know %s",
                     c->o.operations[i]->name);
    }
    c->is_up = true;
    arm_patience(c);
    if (c->is_lost)
        ush_info("writer.back", "the writer answers again");
    c->is_lost = false;
    return 0;
}

/* Receives frames and gives them to `take`: for ever, or until one has been taken. */
static int receive(struct ush__client *c, bool (*enough)(const struct ush__client *),
                   int (*take)(struct ush__client *, const struct ush__frame *, ush_text))
{
    for (;;) {
        ush_text rest = ush_buf_text(&c->in), body;
        struct ush__frame f;
        int r = 0;
        while (!enough(c) && (r = ush__frame_take(&rest, &f, &body)) > 0)
            USH_TRY(take(c, &f, body));
        USH_TRY(r);
        ush_buf_drop(&c->in, c->in.len - rest.len);
        if (enough(c))
            return 0;
        ssize_t n = ush__frames_receive(c->fd, &c->in);
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
}

static bool is_up(const struct ush__client *c)
{
    return c->is_up;
}

static bool is_never(const struct ush__client *c __attribute__((unused)))
{
    return false;
}

/* ---- the connection ------------------------------------------------------------------------- */

/* Speaks with the writer until one of both ends it. */
static int converse(struct ush__client *c)
{
    c->unclaimed = 0;
    ush_buf_reset(&c->in);
    ush_buf_reset(&c->out);
    ush__hello_add(&c->out, c->o.operations);
    USH_TRY((int)ush_send(c->fd, c->out.at, c->out.len));
    USH_TRY(receive(c, is_up, take_hello));
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){.name = "writer connection"});
    int r = ush_spawn(&scope, send_requests, c);
    if (r == 0)
        r = receive(c, is_never, take_answer);
    ush_scope_cancel(&scope, USH_CANCEL_ASKED);
    ush_scope_close(&scope);
    return r;
}

/* Invariant 2. */
static void put_back(struct ush__client *c)
{
    c->is_up = false;
    int64_t give_up_ns = ush_now_ns() + (int64_t)c->o.writer_wait_ms * USH_MS;
    USH_EACH_SAFE (&c->sent, l) {
        if (request_of(l)->tries >= TRIES_MAX)
            settle(c, request_of(l), USH_EUNAVAILABLE);
    }
    ush_list_move_all(&c->sent, &c->waiting);
    ush_list_move_all(&c->waiting, &c->sent);
    USH_EACH (&c->waiting, l) {
        request_of(l)->give_up_ns = give_up_ns;
    }
    ush_event_set(&c->work);
    arm_patience(c);
}

static int keep_connected(void *arg)
{
    struct ush__client *c = arg;
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){
                               .name = "writer", .shield = true, .deadline_ns = USH_NEVER});
    c->scope = &scope;
    for (int64_t pause_ns = PAUSE_MIN_NS; !c->is_closing && ush_cancelled() == 0;) {
        int r = c->fd = ush_connect(&c->o.at);
        if (r >= 0) {
            r = converse(c);
            ush_close(c->fd);
            if (c->is_up) {
                put_back(c);
                pause_ns = PAUSE_MIN_NS;
            }
        }
        if (c->is_closing)
            break;
        if (!c->is_lost)
            ush_warn("writer.lost", "no writer answers (%s); changes wait for it",
                     ush_error_text(r));
        c->is_lost = true;
        ush_sleep(pause_ns);
        pause_ns = pause_ns * 2 < PAUSE_MAX_NS ? pause_ns * 2 : PAUSE_MAX_NS;
    }
    c->scope = NULL;
    ush_scope_close(&scope);
    ush_event_set(&c->ended);
    return 0;
}

/* ---- life ----------------------------------------------------------------------------------- */

struct ush__client *ush__client_new(const struct ush__client_options *o)
{
    struct ush__client *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->o = *o;
    ush_list_init(&c->waiting);
    ush_list_init(&c->sent);
    ush_event_init(&c->work, "changes");
    ush_event_init(&c->answer, "the writer's answer");
    ush_event_init(&c->ended, "end of the connection");
    size_t frame_max = sizeof(struct ush__frame) + USH__FRAME_MAX;
    ush_buf_init(&c->in, 2 * frame_max);
    ush_buf_init(&c->out, 2 * frame_max);
    if (ush_spawn(ush_root_scope(), keep_connected, c) < 0) {
        free(c);
        return NULL;
    }
    return c;
}

void ush__client_free(struct ush__client *c)
{
    assert(c->count == 0);
    c->is_closing = true;
    if (c->scope)
        ush_scope_cancel(c->scope, USH_CANCEL_ASKED);
    ush__wait_shielded(&c->ended);
    ush_alarm_clear(&c->patience);
    ush_alarm_clear(&c->last_word);
    ush_buf_fini(&c->in);
    ush_buf_fini(&c->out);
    free(c);
}
