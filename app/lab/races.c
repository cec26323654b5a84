/*
 * races.c - read, wait, write: four ways to lose, and what helps.
 *
 * lost-update   100, and two threads add one each: 101. Real threads, a thousand rounds.
 * await-race    The same between two tasks of one thread, because a wait lies in between. The
 *               explorer finds the schedule and tells it.
 * deadlock      Two locks, taken in two orders.
 * oversell      Look whether a seat is free, then insert: on a real database, under the explorer.
 *
 * Each has its defences, put under the same test, with what they cost: share nothing; one atomic
 * step; a lock; a transaction.
 */
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "lab/scenes.h"

LAB_SOURCE(races);

enum { ROUNDS = 1000, TIMED = 1000000 };

/* ---- lost-update: two threads ---------------------------------------------------------------- */

static _Atomic int counter;
static volatile int own[2];
static _Atomic int64_t timed_ns; /* of both threads */
static int64_t began_ns[2], ended_ns[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t gate;

static void add_bare(int me __attribute__((unused)), bool is_slow)
{
    int seen = atomic_load_explicit(&counter, memory_order_relaxed);
    if (is_slow)
        sched_yield(); /* the scheduler may come at any moment; here it comes now */
    atomic_store_explicit(&counter, seen + 1, memory_order_relaxed);
}
static void add_atomic(int me __attribute__((unused)), bool is_slow __attribute__((unused)))
{
    atomic_fetch_add(&counter, 1);
}
static void add_locked(int me, bool is_slow)
{
    pthread_mutex_lock(&lock);
    add_bare(me, is_slow);
    pthread_mutex_unlock(&lock);
}
static void add_own(int me, bool is_slow __attribute__((unused)))
{
    own[me]++; /* nobody else looks at it until both are done */
}

static void (*add)(int me, bool is_slow);

static void *adder(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(&gate);
        began_ns[me] = lab_clock_ns();
        add(me, true);
        ended_ns[me] = lab_clock_ns();
        pthread_barrier_wait(&gate);
    }
    pthread_barrier_wait(&gate);
    int64_t start = lab_clock_ns();
    for (int i = 0; i < TIMED; i++)
        add(me, false);
    atomic_fetch_add(&timed_ns, lab_clock_ns() - start);
    return NULL;
}

/* The round that has just been lost, for the picture. */
static void show_round(struct lab *l)
{
    int64_t zero_ns = began_ns[0] < began_ns[1] ? began_ns[0] : began_ns[1];
    for (uint32_t i = 0; i < 2; i++) {
        lab_note_at(l, i, LAB_RUNS, i, began_ns[i] - zero_ns);
        lab_note_at(l, i, LAB_ENDS, i, ended_ns[i] - zero_ns);
    }
}

static int two_threads(struct lab *l)
{
    pthread_t threads[2];
    int lost = 0, low = 102;
    pthread_barrier_init(&gate, NULL, 3);
    for (intptr_t i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, adder, (void *)i) != 0)
            return -EAGAIN;
    for (int i = 0; i < ROUNDS; i++) {
        counter = 100;
        own[0] = own[1] = 0;
        pthread_barrier_wait(&gate); /* both begin */
        pthread_barrier_wait(&gate); /* both are done */
        int now = counter + own[0] + own[1];
        if (now != 102 && lost++ == 0)
            show_round(l);
        low = now < low ? now : low;
    }
    pthread_barrier_wait(&gate);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    l->book->figures[0] = low;
    l->book->figures[1] = lost;
    l->book->figures[2] = timed_ns * 10 / (2 * TIMED);
    return 0;
}

int lab_run_lost_update(struct lab *l)
{
    static const struct {
        const char *label;
        void (*add)(int me, bool is_slow);
    } ways[] = {{"read, add, write", add_bare},
                {"share nothing: a counter each", add_own},
                {"one atomic step", add_atomic},
                {"a lock around the three steps", add_locked}};
    static const char *const columns[] = {"100 becomes", "rounds lost", "ns per add"};
    double values[USH_COUNT(ways)][USH_COUNT(columns)];
    lab_columns(l, columns, USH_COUNT(columns));
    l->axis.rows = "thread";
    l->axis.unit = "us";
    l->axis.unit_ns = 1000;
    for (size_t i = USH_COUNT(ways); i-- > 0;) { /* the picture is that of the first */
        add = ways[i].add;
        USH_TRY(lab_process(l, two_threads));
        values[i][0] = (double)l->book->figures[0];
        values[i][1] = (double)l->book->figures[1];
        values[i][2] = (double)l->book->figures[2] / 10;
    }
    for (size_t i = 0; i < USH_COUNT(ways); i++)
        lab_row(l, ways[i].label, values[i]);
    lab_say(l,
            "Two threads add one each, %d times over; the first column is the worst that came out. "
            "The picture is the first round that was lost: from before the read to behind the "
            "write, both at once.",
            ROUNDS);
    return 0;
}

/* ---- with the explorer ----------------------------------------------------------------------- */

/* A run that is only timed says nothing of what it breaks. */
static bool is_timed;
static int64_t spent_ns; /* of timed runs, if a scenario leaves out what it sets up */

/* What tasks do in the schedule that is drawn: a step of any of them is one further to the right.
 */
static struct lab *drawn;
static void step(const void *who, enum lab_what what)
{
    uint32_t n = (uint32_t)(uintptr_t)who;
    if (drawn)
        lab_note_at(drawn, n, what, n, drawn->book->events);
}
static void first_step(void)
{
    if (drawn)
        lab_book_reset(drawn);
}

static int two(ush_fn a, const char *name_a, ush_fn b, const char *name_b)
{
    struct ush_scope scope;
    first_step();
    ush_scope_open(&scope, NULL);
    ush_spawn_with(&scope, &(struct ush_spawn_options){.name = name_a, .site = USH_SITE}, a,
                   (void *)0);
    ush_spawn_with(&scope, &(struct ush_spawn_options){.name = name_b, .site = USH_SITE}, b,
                   (void *)1);
    return ush_scope_close(&scope);
}

/* ---- await-race: two tasks, one thread --------------------------------------------------------
 */

static USH_SHARED(int) account;
static struct ush_mutex account_lock, ledger_lock;

static int ask_the_bank(void)
{
    return ush_sleep(20 * USH_MS); /* a query, a mail: any wait */
}

static int deposit(void *who)
{
    step(who, LAB_RUNS);
    int seen = USH_SHARED_READ(account);
    step(who, LAB_WAITS);
    USH_TRY(ask_the_bank());
    step(who, LAB_RUNS);
    USH_SHARED_WRITE(account, seen + 1);
    step(who, LAB_ENDS);
    return 0;
}
static int deposit_at_once(void *unused __attribute__((unused)))
{
    USH_TRY(ask_the_bank());
    USH_SHARED_WRITE(account, USH_SHARED_READ(account) + 1); /* no wait in between */
    return 0;
}
static int deposit_locked(void *who)
{
    USH_TRY(ush_mutex_lock(&account_lock));
    int r = deposit(who);
    ush_mutex_unlock(&account_lock);
    return r;
}

static int deposits(ush_fn fn)
{
    account.value = 100;
    ush_mutex_init(&account_lock, "account");
    USH_TRY(two(fn, "asha", fn, "ravi"));
    if (!is_timed)
        USH_HOLDS(account.value == 102);
    return 0;
}
/* ---- deadlock -------------------------------------------------------------------------------- */

static int lock_both(struct ush_mutex *first, struct ush_mutex *second, void *who)
{
    step(who, LAB_WAITS);
    USH_TRY(ush_mutex_lock(first));
    step(who, LAB_RUNS);
    step(who, LAB_WAITS);
    int r = ush_mutex_lock(second);
    if (r == 0) {
        step(who, LAB_RUNS);
        ush_mutex_unlock(second);
    }
    ush_mutex_unlock(first);
    step(who, LAB_ENDS);
    return r;
}
static int pay(void *who)
{
    return lock_both(&account_lock, &ledger_lock, who);
}
static int refund(void *who)
{
    return lock_both(&ledger_lock, &account_lock, who);
}

static int both_ways(ush_fn other)
{
    ush_mutex_init(&account_lock, "account");
    ush_mutex_init(&ledger_lock, "ledger");
    return two(pay, "pay", other, "refund");
}

/* ---- oversell: a real database --------------------------------------------------------------- */

enum { SEATS = 2, BUYERS = 3, TIMED_SALES = 30 };
#define SEAT_FIELDS(F, R) F(R, I64, n)
USH_RECORD(seat, SEAT_FIELDS)
USH_RECORD_DEFINE(seat, SEAT_FIELDS)

static const struct ush_statement
    count = {"count", "SELECT count(*) AS n FROM sold", NULL},
    insert = {"insert", "INSERT INTO sold (student) VALUES ($1)", NULL},
    insert_if = {"insert_if",
                 "INSERT INTO sold (student) SELECT $1 WHERE (SELECT count(*) FROM sold) < $2",
                 NULL};

/* Enough for all when it is timed: a sold-out sale costs less. */
static int64_t seats(void)
{
    return is_timed ? TIMED_SALES * BUYERS : SEATS;
}

static int count_sold(struct ush_tx *view, void *n)
{
    return ush_one(view, &count, &seat_record, n, USH_NO_VALUES);
}
static int run_insert(struct ush_tx *tx, const void *in, void *out __attribute__((unused)))
{
    return ush_exec(tx, &insert, USH_VALUES(((const struct seat *)in)->n));
}
static int run_insert_if(struct ush_tx *tx, const void *in, void *out __attribute__((unused)))
{
    return ush_exec(tx, &insert_if, USH_VALUES(((const struct seat *)in)->n, seats()));
}
static int run_both(struct ush_tx *tx, const void *in, void *out)
{
    struct seat sold = {0};
    USH_TRY(count_sold(tx, &sold));
    return sold.n < seats() ? run_insert(tx, in, out) : 0;
}
static const struct ush_operation op_insert = {.name = "insert",
                                               .in = &seat_record,
                                               .run = run_insert},
                                  op_if = {.name = "if", .in = &seat_record, .run = run_insert_if},
                                  op_both = {.name = "both", .in = &seat_record, .run = run_both};
static const struct ush_operation *const operations[] = {&op_insert, &op_if, &op_both, NULL};

static struct ush_db *db;

static int change(const struct ush_operation *op, int64_t student)
{
    return ush_change(db, op, &(struct seat){.n = student}, NULL, ush_task_arena());
}

/* The mistake: what was true when it was read need not be true when it is used. */
static int check_then_insert(void *student)
{
    const void *who = (const void *)(uintptr_t)(*(int64_t *)student - 1);
    struct seat sold = {0};
    step(who, LAB_WAITS);
    USH_TRY(ush_read(db, count_sold, &sold));
    step(who, LAB_RUNS);
    step(who, LAB_WAITS);
    int r = sold.n < seats() ? change(&op_insert, *(int64_t *)student) : 0;
    step(who, LAB_ENDS);
    return r;
}
static int insert_with_condition(void *student)
{
    return change(&op_if, *(int64_t *)student);
}
static int in_one_transaction(void *student)
{
    return change(&op_both, *(int64_t *)student);
}
static int behind_a_lock(void *student)
{
    USH_TRY(ush_mutex_lock(&account_lock));
    int r = check_then_insert(student);
    ush_mutex_unlock(&account_lock);
    return r;
}

static int sale(ush_fn buy)
{
    static const struct ush_migration table = {
        1, "sold", "CREATE TABLE sold (student INTEGER PRIMARY KEY)", NULL};
    const struct ush_db_options o = {
        .url = "sqlite::memory:", .role = USH_DB_LOCAL, .operations = operations};
    int64_t students[BUYERS] = {1, 2, 3};
    struct seat sold = {0};
    int r = 0, sales = is_timed ? TIMED_SALES : 1;
    db = ush_db_open(&o, &r);
    if (!db)
        return r;
    ush_mutex_init(&account_lock, "seats");
    r = ush_migrate(db, &(struct ush_migrate_options){.list = &table, .count = 1});
    first_step();
    int64_t start_ns = lab_clock_ns();
    for (int i = 0; i < sales && r >= 0; i++) {
        r = ush_gather(BUYERS, 0, buy, students, sizeof *students);
        for (int b = 0; b < BUYERS; b++)
            students[b] += BUYERS;
    }
    spent_ns += (lab_clock_ns() - start_ns) / sales;
    if (r >= 0)
        r = ush_read(db, count_sold, &sold);
    if (!is_timed)
        USH_HOLDS(sold.n <= SEATS);
    ush_db_close(db);
    return r < 0 ? r : 0;
}
/* ---- all of them ----------------------------------------------------------------------------- */

static const struct race {
    const char *name, *label;
    int (*play)(ush_fn fn);
    ush_fn fn;
} races[] = {
    {"await-race", "read, wait, write", deposits, deposit},
    {"await-race-late-read", "no wait between read and write", deposits, deposit_at_once},
    {"await-race-locked", "a lock around the wait", deposits, deposit_locked},
    {"deadlock", "account then ledger; ledger then account", both_ways, refund},
    {"deadlock-ordered", "one order everywhere", both_ways, pay},
    {"oversell", "check, then insert", sale, check_then_insert},
    {"oversell-statement", "one statement with the condition in it", sale, insert_with_condition},
    {"oversell-transaction", "both in one transaction", sale, in_one_transaction},
    {"oversell-locked", "a lock around both", sale, behind_a_lock},
};

static int play(void *race)
{
    const struct race *r = race;
    return r->play(r->fn);
}

int lab_explore(const struct ush_explore_options *o, struct ush_explore_report *ret_report)
{
    for (size_t i = 0; i < USH_COUNT(races); i++)
        if (!strcmp(races[i].name, o->name))
            return ush_explore(o, play, (void *)&races[i], ret_report);
    return USH_ENOTFOUND;
}

const char *lab_explorable(size_t i)
{
    return i < USH_COUNT(races) ? races[i].name : NULL;
}

/* The failing schedule once more. */
static void draw(struct lab *l, const struct race *race, const char *schedule)
{
    static struct ush_explore_report again;
    drawn = l;
    l->axis.rows = "task";
    l->axis.unit = "steps";
    l->axis.unit_ns = 1;
    (void)lab_explore(
        &(struct ush_explore_options){.name = race->name, .replay = schedule, .quiet = true},
        &again);
    drawn = NULL;
}

/* Explores, tells and draws the failure, and measures what the scenario costs when nobody shuffles
 * it: computing, and the time that its waits take. */
static int explore_row(struct lab *l, const struct race *race)
{
    static struct ush_explore_report report;
    struct ush_sim_report sim = {0};
    enum { TURNS = 200 };
    int r = lab_explore(
        &(struct ush_explore_options){.name = race->name, .schedules = 300, .quiet = true},
        &report);
    USH_TRY(r);
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    is_timed = true;
    spent_ns = 0;
    int64_t start = lab_clock_ns();
    for (int i = 0; i < TURNS; i++)
        (void)ush_sim_run(&(struct ush_sim_options){.seed = 1}, play, (void *)race, &sim);
    double us = (double)(spent_ns ? spent_ns : lab_clock_ns() - start) / TURNS / 1000;
    is_timed = false;
    lab_row(l, race->label,
            (double[]){(double)report.schedules, r ? (double)report.schedules : NAN, us,
                       (double)sim.virtual_ns / USH_MS});
    if (r) {
        draw(l, race, report.schedule);
        ush_buf_printf(&l->notes, "%.*s\n", (int)(strstr(report.text, "to see it") - report.text),
                       report.text);
    }
    return 0;
}

/* All that are played as `first` is. */
static int explore_rows(struct lab *l, int (*first)(ush_fn fn), size_t columns, const char *words)
{
    static const char *const names[] = {"schedules", "first failure", "us per turn",
                                        "both take, ms"};
    lab_columns(l, names, columns);
    for (size_t i = 0; i < USH_COUNT(races); i++)
        if (races[i].play == first)
            USH_TRY(explore_row(l, &races[i]));
    lab_say(l, "%s", words);
    return 0;
}

int lab_run_await_race(struct lab *l)
{
    return explore_rows(l, deposits, 4,
                        "The wait takes 20 ms. With a lock around it one waits for the other's "
                        "wait, too; the fifth would wait for four.");
}

int lab_run_deadlock(struct lab *l)
{
    return explore_rows(l, both_ways, 3, "The picture ends where the explorer ends the program.");
}

int lab_run_oversell(struct lab *l)
{
    return explore_rows(l, sale, 3,
                        "Two seats, three buyers, SQLite in memory; a turn is one sale to three. "
                        "The lock helps in one process only, and nobody else reads while it is "
                        "held.");
}
