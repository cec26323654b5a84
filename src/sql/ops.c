/*
 * ops.c - a batch of operations in one transaction.
 *
 *     BEGIN IMMEDIATE
 *       run of the same .run_many operation        one call for all
 *       operation                                  in a savepoint of its own
 *       ...
 *     COMMIT                                       one fsync
 *
 *  1. Operations run in the order of the batch, which is the order in which they came.
 *  2. An operation that ends negative leaves no effect; those before and after it are unharmed.
 *  3. When a .run_many call for several ends negative it is undone and each is called alone, so one
 *     bad input spoils nothing but itself.
 *  4. Either every result that is not negative is durable, or the whole batch has one negative
 *     result. A constraint that is checked at COMMIT does not say whose it is: then each operation
 *     gets a transaction of its own.
 *  5. Output records are packed after the COMMIT, from the arena of the batch, and unpacked into
 *     that of each submitter.
 *
 * The first call of a transaction needs no savepoint: to undo it is to begin anew. So a batch of
 * one kind of operation, as in a rush, sets none at all (a savepoint makes SQLite keep a copy of
 * every page that is changed after it).
 */
#include "sql/sql.h"

struct transaction {
    const struct ush__driver *driver;
    struct ush_tx tx;
    bool has_effects;
};

static int begin(struct transaction *t)
{
    t->has_effects = false;
    t->tx.now_ms = ush_wall_ms();
    return t->driver->begin(t->tx.session, USH__WRITE);
}

static int call(struct transaction *t, const struct ush_operation *op, struct ush_call *calls,
                size_t n)
{
    if (op->run_many)
        return op->run_many(&t->tx, calls, n);
    assert(n == 1);
    calls->result = op->run(&t->tx, calls->in, calls->out);
    return calls->result;
}

/*
 * Runs n calls so that a negative result, put into *ret_result, leaves no effect of them. Negative
 * if the transaction is gone.
 */
static int call_undoably(struct transaction *t, const struct ush_operation *op,
                         struct ush_call *calls, size_t n, int *ret_result)
{
    struct ush__session *s = t->tx.session;
    bool is_first = !t->has_effects;
    if (!is_first)
        USH_TRY(t->driver->savepoint(s, USH__SET));
    int r = call(t, op, calls, n);
    /* A full disk or lack of memory may have undone everything, told or not. */
    if (!t->driver->has_transaction(s))
        return r < 0 ? r : USH_ESTORAGE;
    *ret_result = r;
    if (!is_first) {
        int end = t->driver->savepoint(s, r < 0 ? USH__UNDO : USH__KEEP);
        if (end < 0 && r >= 0 && t->driver->has_transaction(s)) {
            *ret_result = end; /* of a statement that was not waited for: it is undone */
            end = 0;
        }
        return end;
    }
    if (r >= 0) {
        t->has_effects = true;
        return 0;
    }
    t->driver->rollback(s);
    return begin(t);
}

static void clear(const struct ush_operation *op, struct ush_call *call, const void *in)
{
    call->in = in;
    call->result = 0;
    if (op->out)
        memset(call->out, 0, op->out->bytes);
}

/* Runs items[0] to items[n-1], all of one operation. */
static int run_group(struct transaction *t, struct ush_batch_item **items, size_t n)
{
    const struct ush_operation *op = ush__change_of(items[0])->op;
    struct ush_call *calls = USH_NEW_N(t->tx.arena, struct ush_call, n);
    if (!calls)
        return USH_ELIMIT;
    for (size_t i = 0; i < n; i++) {
        calls[i].out = op->out ? ush_arena_alloc(t->tx.arena, op->out->bytes) : NULL;
        if (op->out && !calls[i].out)
            return USH_ELIMIT;
        ush__change_of(items[i])->out = calls[i].out;
        clear(op, &calls[i], ush__change_of(items[i])->in);
    }
    int r = -1;
    if (op->run_many)
        USH_TRY(call_undoably(t, op, calls, n, &r));
    if (r < 0 && (n > 1 || !op->run_many)) {
        for (size_t i = 0; i < n; i++) {
            clear(op, &calls[i], calls[i].in);
            USH_TRY(call_undoably(t, op, &calls[i], 1, &r));
            if (r < 0)
                calls[i].result = r;
        }
    } else if (r < 0) {
        calls[0].result = r;
    }
    for (size_t i = 0; i < n; i++)
        ush__change_of(items[i])->result = calls[i].result;
    return 0;
}

/* All of them in one transaction. */
static int attempt(struct ush__batch_run *b, struct ush_batch_item **items, size_t n)
{
    struct transaction t = {
        .driver = b->session->driver,
        .tx = {.arena = b->arena, .session = b->session},
    };
    int r = begin(&t);
    for (size_t i = 0, group; i < n && r >= 0; i += group) {
        const struct ush_operation *op = ush__change_of(items[i])->op;
        group = 1;
        while (op->run_many && i + group < n && ush__change_of(items[i + group])->op == op)
            group++;
        r = run_group(&t, items + i, group);
    }
    if (r >= 0)
        r = t.driver->commit(b->session);
    if (r < 0)
        t.driver->rollback(b->session);
    return r;
}

static int pack_answers(struct ush__batch_run *b)
{
    ush_buf_reset(b->answers);
    for (size_t i = 0; i < b->n; i++) {
        struct ush__change *c = ush__change_of(b->items[i]);
        size_t start = b->answers->len;
        c->answer = USH_NONE;
        if (!c->op->out || c->result < 0)
            continue;
        ush_record_pack(c->op->out, c->out, b->answers);
        if (b->answers->error) {
            /* Committed all the same; its keys will find it. */
            ush_error("database.answer", "the output of %s is too large", c->op->name);
            c->result = USH_EUNKNOWN;
            b->answers->len = start;
            b->answers->error = 0;
        }
        c->answer.len = b->answers->len - start;
    }
    /* The buffer moves while it grows, so the places are known only now. */
    const char *at = ush_buf_text(b->answers).at;
    for (size_t i = 0; i < b->n; i++) {
        struct ush__change *c = ush__change_of(b->items[i]);
        c->answer.at = at;
        at += c->answer.len;
    }
    return 0;
}

int ush__batch_once(struct ush__batch_run *b)
{
    int r = attempt(b, b->items, b->n);
    return r < 0 ? r : pack_answers(b);
}

int ush__batch_run(struct ush__batch_run *b)
{
    int r = attempt(b, b->items, b->n);
    if (r == USH_ECONFLICT && b->n > 1) {
        for (size_t i = 0; i < b->n && !b->session->is_broken; i++) {
            int one = attempt(b, &b->items[i], 1);
            if (one < 0)
                ush__change_of(b->items[i])->result = one;
        }
        r = b->session->is_broken ? USH_EUNKNOWN : 0;
    }
    return r < 0 ? r : pack_answers(b);
}

static int result_of(struct ush__change *c)
{
    if (c->result < 0 || !c->ret_out || !c->op->out)
        return c->result;
    ush_text packed = ush_arena_copy(c->arena, c->answer);
    int r = packed.at ? ush_record_unpack(c->op->out, packed, c->arena, c->ret_out) : USH_ELIMIT;
    return r < 0 ? USH_EUNKNOWN : c->result; /* it is stored, but the caller cannot be told what */
}

void ush__changes_settle(struct ush_batch_item **items, size_t n, int all,
                         struct ush_db_stats *stats)
{
    for (size_t i = 0; i < n; i++) {
        struct ush__change *c = ush__change_of(items[i]);
        c->result = c->item.result = all < 0 ? all : result_of(c);
        stats->conflicts += c->result == USH_ECONFLICT;
        stats->refused += c->result == USH_ESTORAGE;
    }
}
