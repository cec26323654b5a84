/*
 * redis_peer.h - a Redis of the simulation: as much of it as the queue's announcements need, on
 * simulated sockets, with every trouble that a real one can have.
 *
 * What it stores is one struct, so a snapshot is a copy, a wipe zeroes it, and an old snapshot that
 * comes back is a copy the other way. Time is the simulation's.
 *
 *   is_down     connections are refused and broken
 *   slow_ms     each command is answered so much later
 *   lose        of 100 added entries so many vanish, as when a replica takes over
 *   doubles     of 100 so many are there twice
 *   nonsense    of 100 commands so many are answered, and not run, with a reply of any other shape
 *
 * Deliberately not here: anything that the queue does not say. An unknown command ends the test.
 */
#ifndef TESTS_SIM_REDIS_PEER_H
#define TESTS_SIM_REDIS_PEER_H

#include <check.h>
#include <stdio.h>

#include "redis/redis.h"
#include "usher/sim.h"

enum { REDIS_PORT = 6379, STREAMS = 3, ENTRIES = 1024, ADDED_MAX = 100 };

struct entry {
    int64_t ms, seq, job;
    int64_t delivered_ms; /* 0 = not, or acknowledged */
};
struct stream {
    char key[48]; /* empty: this place is free */
    bool has_group;
    int64_t last_ms, last_seq;           /* of the last entry added */
    int64_t delivered_ms, delivered_seq; /* of the last one delivered */
    struct entry entries[ENTRIES];
    int count;
};
struct store {
    struct stream streams[STREAMS];
    char holder[24];
    int64_t holder_until_ms, epoch;
};

static struct peer {
    struct store now, old;
    struct ush_event changed;
    int listener;
    bool is_down;
    int64_t slow_ms;
    uint32_t lose, doubles, nonsense;
} peer;

/* ---- streams --------------------------------------------------------------------------------- */

static struct stream *stream_of(ush_text key, bool make)
{
    for (int i = 0; i < STREAMS; i++)
        if (ush_text_equal(ush_text_of(peer.now.streams[i].key), key))
            return &peer.now.streams[i];
    for (int i = 0; make && i < STREAMS; i++) {
        struct stream *s = &peer.now.streams[i];
        if (s->key[0])
            continue;
        *s = (struct stream){0};
        snprintf(s->key, sizeof s->key, "%.*s", USH_PR(key));
        return s;
    }
    ck_assert(!make);
    return NULL;
}

static bool is_after(int64_t ms, int64_t seq, int64_t than_ms, int64_t than_seq)
{
    return ms != than_ms ? ms > than_ms : seq > than_seq;
}

static void drop(struct stream *s, int i)
{
    s->count--;
    memmove(&s->entries[i], &s->entries[i + 1], sizeof *s->entries * (size_t)(s->count - i));
}

static void add(struct stream *s, int64_t job, int64_t keep)
{
    int64_t now = ush_wall_ms();
    bool is_new = now > s->last_ms;
    s->last_seq = is_new ? 0 : s->last_seq + 1;
    s->last_ms = is_new ? now : s->last_ms;
    ck_assert_int_lt(s->count, ENTRIES);
    s->entries[s->count++] = (struct entry){.ms = s->last_ms, .seq = s->last_seq, .job = job};
    while (s->count > keep)
        drop(s, 0);
    ush_event_set(&peer.changed);
    ush_event_reset(&peer.changed);
}

static void say_entry(struct ush_buf *to, const struct entry *e)
{
    char name[48], job[24];
    snprintf(name, sizeof name, "%lld-%lld", (long long)e->ms, (long long)e->seq);
    snprintf(job, sizeof job, "%lld", (long long)e->job);
    ush_buf_printf(to, "*2\r\n$%zu\r\n%s\r\n*2\r\n$3\r\njob\r\n$%zu\r\n%s\r\n", strlen(name), name,
                   strlen(job), job);
}

static void say_text(struct ush_buf *to, const char *text)
{
    ush_buf_printf(to, "$%zu\r\n%s\r\n", strlen(text), text);
}

/* ---- commands -------------------------------------------------------------------------------- */

struct call {
    const struct ush_redis_reply *args;
    size_t n;
    struct ush_buf *out;
};

static ush_text arg(const struct call *c, size_t i)
{
    ck_assert_uint_lt(i, c->n);
    return c->args[i].text;
}

static int64_t number(const struct call *c, size_t i)
{
    int64_t v = 0;
    ck_assert_int_eq(ush_text_i64(arg(c, i), &v), 0);
    return v;
}

static bool is_word(const struct call *c, size_t i, const char *word)
{
    return i < c->n && ush_text_equal(c->args[i].text, ush_text_of(word));
}

/* The place behind a word. */
static size_t behind(const struct call *c, const char *word)
{
    size_t i = 0;
    while (!is_word(c, i, word))
        ck_assert_uint_lt(++i, c->n);
    return i + 1;
}

static void moment(ush_text name, int64_t *ms, int64_t *seq)
{
    *ms = *seq = 0;
    ush_text_i64(ush_text_cut(&name, '-'), ms);
    ush_text_i64(name, seq);
}

static int find(const struct stream *s, ush_text name)
{
    int64_t ms, seq;
    moment(name, &ms, &seq);
    for (int i = 0; s && i < s->count; i++)
        if (s->entries[i].ms == ms && s->entries[i].seq == seq)
            return i;
    return -1;
}

static void run_key(const struct call *c)
{
    struct store *st = &peer.now;
    if (st->holder_until_ms <= ush_wall_ms())
        st->holder[0] = 0;
    bool is_epoch = strstr(arg(c, 1).at, ":epoch:") != NULL;
    char text[24];
    if (is_word(c, 0, "SET")) {
        bool is_free = !st->holder[0];
        if (is_free) {
            snprintf(st->holder, sizeof st->holder, "%.*s", USH_PR(arg(c, 2)));
            st->holder_until_ms = ush_wall_ms() + number(c, 5);
        }
        ush_buf_add(c->out, is_free ? USH_T("+OK\r\n") : USH_T("$-1\r\n"));
    } else if (is_word(c, 0, "PEXPIRE")) {
        if (st->holder[0])
            st->holder_until_ms = ush_wall_ms() + number(c, 2);
        ush_buf_add(c->out, USH_T(":1\r\n"));
    } else if (is_word(c, 0, "INCR")) {
        ush_buf_printf(c->out, ":%lld\r\n", (long long)++st->epoch);
    } else if (is_epoch ? st->epoch == 0 : !st->holder[0]) {
        ush_buf_add(c->out, USH_T("$-1\r\n"));
    } else {
        snprintf(text, sizeof text, "%lld", (long long)st->epoch);
        say_text(c->out, is_epoch ? text : st->holder);
    }
}

static void run_group(const struct call *c)
{
    struct stream *s = stream_of(arg(c, 2), is_word(c, 1, "CREATE"));
    if (is_word(c, 1, "CREATE") && s->has_group) {
        ush_buf_add(c->out, USH_T("-BUSYGROUP it exists\r\n"));
        return;
    }
    if (s) {
        s->has_group = true;
        s->delivered_ms = s->delivered_seq = 0;
    }
    ush_buf_add(c->out, USH_T("+OK\r\n"));
}

static void run_info(const struct call *c)
{
    const struct stream *s = stream_of(arg(c, 2), false);
    char last[48];
    int pending = 0;
    for (int i = 0; s && i < s->count; i++)
        pending += s->entries[i].delivered_ms > 0;
    if (!s || !s->has_group) {
        ush_buf_add(c->out, USH_T("*0\r\n"));
        return;
    }
    snprintf(last, sizeof last, "%lld-%lld", (long long)s->delivered_ms,
             (long long)s->delivered_seq);
    ush_buf_add(c->out, USH_T("*1\r\n*6\r\n"));
    say_text(c->out, "name");
    say_text(c->out, "workers");
    say_text(c->out, "pending");
    ush_buf_printf(c->out, ":%d\r\n", pending);
    say_text(c->out, "last-delivered-id");
    say_text(c->out, last);
}

static void run_autoclaim(const struct call *c)
{
    struct stream *s = stream_of(arg(c, 1), false);
    int64_t now = ush_wall_ms(), idle_ms = number(c, 4), most = number(c, 7);
    int idle[ENTRIES], n = 0;
    for (int i = 0; s && i < s->count && n < most; i++)
        if (s->entries[i].delivered_ms && now - s->entries[i].delivered_ms >= idle_ms)
            idle[n++] = i;
    if (!s || !s->has_group) {
        ush_buf_add(c->out, USH_T("-NOGROUP none\r\n"));
        return;
    }
    ush_buf_printf(c->out, "*3\r\n$3\r\n0-0\r\n*%d\r\n", n);
    for (int k = 0; k < n; k++) {
        s->entries[idle[k]].delivered_ms = now;
        say_entry(c->out, &s->entries[idle[k]]);
    }
    ush_buf_add(c->out, USH_T("*0\r\n"));
}

static void run_range(const struct call *c)
{
    const struct stream *s = stream_of(arg(c, 1), false);
    int64_t most = number(c, 5), have = s ? s->count : 0, n = have < most ? have : most;
    ush_buf_printf(c->out, "*%lld\r\n", (long long)n);
    for (int64_t i = 0; i < n; i++)
        say_entry(c->out, &s->entries[is_word(c, 0, "XRANGE") ? i : have - 1 - i]);
}

static void run_add(const struct call *c)
{
    struct stream *s = stream_of(arg(c, 1), true);
    size_t keep = is_word(c, 3, "~") ? 4 : 3;
    int64_t job = number(c, c->n - 1);
    bool is_lost = ush_sim_choose(100) < peer.lose, is_twice = ush_sim_choose(100) < peer.doubles;
    for (int i = 0; !is_lost && i <= is_twice; i++)
        add(s, job, number(c, keep));
    say_text(c->out, "1-0");
}

static void run_done(const struct call *c)
{
    struct stream *s = stream_of(arg(c, 1), false);
    bool is_ack = is_word(c, 0, "XACK");
    int i = find(s, arg(c, is_ack ? 3 : 2));
    if (i >= 0 && is_ack)
        s->entries[i].delivered_ms = 0;
    else if (i >= 0)
        drop(s, i);
    ush_buf_printf(c->out, ":%d\r\n", i >= 0);
}

/* What a group has not been given, up to `most`, is given: how many. */
static int deliver(struct stream *s, int64_t most, struct ush_buf *to)
{
    int first = 0, n = 0;
    while (first < s->count && !is_after(s->entries[first].ms, s->entries[first].seq,
                                         s->delivered_ms, s->delivered_seq))
        first++;
    while (first + n < s->count && n < most)
        n++;
    if (n == 0)
        return 0;
    ush_buf_add(to, USH_T("*2\r\n"));
    say_text(to, s->key);
    ush_buf_printf(to, "*%d\r\n", n);
    for (int i = first; i < first + n; i++) {
        s->entries[i].delivered_ms = ush_wall_ms();
        s->delivered_ms = s->entries[i].ms;
        s->delivered_seq = s->entries[i].seq;
        say_entry(to, &s->entries[i]);
    }
    return n;
}

/* One try of XREADGROUP: 1 = answered. */
static int try_group(const struct call *c, size_t first, size_t streams)
{
    struct ush_buf found;
    int count = 0, given = 0;
    for (size_t i = 0; i < streams; i++) {
        struct stream *s = stream_of(arg(c, first + i), false);
        if (s && s->has_group)
            continue;
        ush_buf_add(c->out, USH_T("-NOGROUP none\r\n"));
        return 1;
    }
    ush_buf_init(&found, 1 << 20);
    for (size_t i = 0; i < streams; i++) {
        struct stream *s = stream_of(arg(c, first + i), false);
        int n = deliver(s, number(c, behind(c, "COUNT")), &found);
        given += n;
        count += n > 0;
    }
    if (given) {
        ush_buf_printf(c->out, "*%d\r\n", count);
        ush_buf_add(c->out, ush_buf_text(&found));
    }
    ush_buf_fini(&found);
    return given > 0;
}

static int try_read(const struct call *c, size_t first)
{
    const struct stream *s = stream_of(arg(c, first), false);
    int64_t ms, seq;
    moment(arg(c, first + 1), &ms, &seq);
    if (!s || !s->count)
        return 0;
    const struct entry *last = &s->entries[s->count - 1];
    if (!is_after(last->ms, last->seq, ms, seq))
        return 0;
    ush_buf_add(c->out, USH_T("*1\r\n*2\r\n"));
    say_text(c->out, s->key);
    ush_buf_add(c->out, USH_T("*1\r\n"));
    say_entry(c->out, last);
    return 1;
}

static void run_read(const struct call *c)
{
    size_t first = behind(c, "STREAMS");
    int64_t until = ush_now_ns() + number(c, behind(c, "BLOCK")) * USH_MS;
    for (;;) {
        bool is_group = is_word(c, 0, "XREADGROUP");
        if (is_group ? try_group(c, first, (c->n - first) / 2) : try_read(c, first))
            return;
        struct ush_scope scope;
        ush_scope_open(&scope, &(struct ush_scope_options){.name = "BLOCK", .deadline_ns = until});
        int r = ush_event_wait(&peer.changed);
        ush_scope_close(&scope);
        if (r < 0 || peer.is_down)
            break;
    }
    ush_buf_add(c->out, USH_T("*-1\r\n"));
}

static const char *const nonsense[] = {
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    ":7\r\n",
    "+OK\r\n",
    "-READONLY a replica\r\n",
    "$3\r\n\xff\x01 \r\n",
    "*1\r\n$-1\r\n",
    "*2\r\n:1\r\n*1\r\n:5\r\n",
    "*3\r\n*0\r\n*2\r\n*0\r\n*1\r\n$3\r\na b\r\n$-1\r\n",
    "*1\r\n*2\r\n$24\r\n1 2 2 2 2 2 2 2 2 2 2-0x\r\n*2\r\n$3\r\njob\r\n$1\r\n1\r\n",
    "*1\r\n*2\r\n$1\r\nx\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*1\r\n$1\r\nx\r\n",
    "*1\r\n*4\r\n$4\r\nname\r\n$7\r\nworkers\r\n$7\r\npending\r\n$1\r\nx\r\n",
};

static void run_command(const struct call *c)
{
    if (ush_sim_choose(100) < peer.nonsense) {
        ush_buf_add(c->out, ush_text_of(nonsense[ush_sim_choose(USH_COUNT(nonsense))]));
        return;
    }
    static const struct {
        const char *name;
        void (*run)(const struct call *c);
    } commands[] = {
        {"SET", run_key},         {"GET", run_key},      {"PEXPIRE", run_key},
        {"INCR", run_key},        {"XGROUP", run_group}, {"XAUTOCLAIM", run_autoclaim},
        {"XINFO", run_info},      {"XRANGE", run_range}, {"XREVRANGE", run_range},
        {"XADD", run_add},        {"XACK", run_done},    {"XDEL", run_done},
        {"XREADGROUP", run_read}, {"XREAD", run_read},
    };
    for (size_t i = 0; i < USH_COUNT(commands); i++)
        if (is_word(c, 0, commands[i].name)) {
            commands[i].run(c);
            return;
        }
    ck_abort_msg("the peer does not know %.*s", USH_PR(arg(c, 0)));
}

/* ---- connections ------------------------------------------------------------------------------
 */

static int serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    struct ush__replies in;
    struct ush_redis_reply command;
    struct ush_arena arena;
    struct ush_buf out;
    char bytes[512];
    ssize_t n;
    ush_arena_init(&arena, NULL, 0, 1 << 30);
    ush_buf_init(&out, 4 << 20);
    ck_assert_int_eq(ush__replies_open(&in, 4 << 20), 0);
    ush__replies_begin(&in, &arena);
    while (!peer.is_down && (n = ush_recv(fd, bytes, sizeof bytes)) > 0) {
        ck_assert_int_eq(ush__replies_feed(&in, bytes, (size_t)n), 0);
        ush_buf_reset(&out);
        while (!peer.is_down && ush__replies_take(&in, &command) == 1) {
            struct call c = {.args = command.items, .n = command.count, .out = &out};
            if (peer.slow_ms)
                ush_sleep(peer.slow_ms * USH_MS);
            run_command(&c);
            ush__replies_begin(&in, &arena);
        }
        if (out.len && ush_send(fd, ush_buf_text(&out).at, out.len) < 0)
            break;
    }
    ush__replies_close(&in);
    ush_arena_fini(&arena);
    ush_buf_fini(&out);
    ush_close(fd);
    return 0;
}

static int accept_all(void *unused __attribute__((unused)))
{
    int fd;
    while ((fd = ush_accept(peer.listener, NULL)) >= 0 || fd == -ECONNRESET) {
        if (fd >= 0)
            ck_assert_int_ge(ush_spawn(ush_root_scope(), serve_one, (void *)(intptr_t)fd), 0);
    }
    return 0;
}

/* In the root's scope, which the seed cannot cancel. */
static void peer_up(void)
{
    struct ush_address at = ush_sim_address(REDIS_PORT);
    peer.is_down = false;
    ck_assert_int_ge(peer.listener = ush_listen(&at, 100), 0);
    ck_assert_int_ge(ush_spawn(ush_root_scope(), accept_all, NULL), 0);
}

/* Connections end as soon as they say something. */
static void peer_down(void)
{
    peer.is_down = true;
    ush_close(peer.listener);
    ush_event_set(&peer.changed);
    ush_event_reset(&peer.changed);
}

#endif
