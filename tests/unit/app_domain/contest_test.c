/*
 * contest_test.c - several servers on one PostgreSQL, all at everything at once.
 *
 * Processes that know nothing of each other register, cancel, promote, change capacities, cancel
 * events, import, correct, erase, send again, count mails, and claim and end the jobs of it all,
 * over a few events and addresses, so that they meet all the time. Afterwards:
 *
 *  1. nobody has been in a circle of waits (the server counts deadlocks and logs each), and no
 *     operation has ended with an error: what meets waits its turn;
 *  2. every counter agrees with its rows, nobody was overtaken, every registration has its mail:
 *     what `usher verify` looks at;
 *  3. no job has ended twice;
 *  4. nobody has read a whole table, or a whole index, to find a key in it: what is asked here was
 *     planned by the server when there was nothing in the tables;
 *  5. no address has had more mails than are allowed.
 */
#include "../../slow.h"
#include "fixture.h"

#include "../sql/pg.h"
#include "domain/announce.h"
#include "domain/checkin.h"
#include "domain/erase.h"
#include "domain/mails.h"
#include "jobs/jobs.h"

enum { PROCESSES = 3, TASKS = 40, EVENTS = 12, DOOMED = 4, PEOPLE = 30000, ADDRESSES = 3 };
enum { ALLOWED = 50 }; /* mails per hour and address */

struct tallies {
    int64_t operations, jobs_ended, mails_allowed;
};

struct contest {
    struct fixture *x;
    uint64_t seed;
    int64_t owner, left;
    struct tallies done;
};

static uint64_t dice(struct contest *c, uint64_t sides)
{
    c->seed ^= c->seed << 13;
    c->seed ^= c->seed >> 7;
    c->seed ^= c->seed << 17;
    return (c->seed >> 11) % sides;
}

/* ck_assert longjmps, and a child of a test may not go on with the test's own story. */
#define MUST(what, r)                                                                              \
    do {                                                                                           \
        int must_ = (r);                                                                           \
        if (must_ < 0) {                                                                           \
            fprintf(stderr, "%s: %s\n", what, ush_error_text(must_));                              \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* ---- events ---------------------------------------------------------------------------------- */

static ush_text slug_of(struct ush_arena *arena, uint64_t n)
{
    return ush_arena_printf(arena, "event-%llu", (unsigned long long)n);
}

/* Some of the events, in any order; `doomed` is the number of one that is made to be cancelled. */
static ush_text events_file(struct contest *c, struct ush_arena *arena, uint64_t doomed)
{
    ush_text list = USH_T("");
    for (uint64_t i = 0, first = dice(c, EVENTS); i < 3; i++) {
        uint64_t n = (first + i * 5) % EVENTS;
        list = ush_arena_printf(
            arena,
            "%.*s{\"slug\":\"event-%llu\",\"title\":\"Title %llu\",\"starts\":\"2030-03-14 10:00\","
            "\"capacity\":100000,\"waitlist\":\"100\"%s},",
            USH_PR(list), (unsigned long long)n, (unsigned long long)dice(c, 1000),
            n % 2 ? ",\"school_limit\":1000" : "");
    }
    return ush_arena_printf(
        arena,
        "[%.*s{\"slug\":\"event-%llu\",\"title\":\"Doomed\",\"starts\":\"2030-03-14 10:00\"}]",
        USH_PR(list), (unsigned long long)(EVENTS + doomed));
}

static int import_some(struct contest *c, struct ush_arena *arena)
{
    const struct import_options o = {
        .format = IMPORT_JSON, .tz = "Asia/Kolkata", .actor = USH_T("test")};
    struct import_result result;
    /* A row may be refused: the event was cancelled, or has more taken than the file allows. */
    return import_events(c->x->fest.db, events_file(c, arena, dice(c, DOOMED)), &o, arena, &result);
}

/* ---- what students and organisers do --------------------------------------------------------- */

static int submit(struct contest *c, struct ush_arena *arena)
{
    struct ush_faults faults;
    struct desk_answer a = {0};
    uint64_t who = dice(c, PEOPLE), event = dice(c, EVENTS + 2);
    ush_faults_init(&faults, arena);
    const struct desk_request rq = {
        .event = slug_of(arena, event < EVENTS ? event : 0), /* one is hot */
        .key = ush_arena_printf(arena, "%llu-%llu", (unsigned long long)who,
                                (unsigned long long)event),
        .name = USH_T("Asha"),
        .email = ush_arena_printf(arena, "s%llu@x.in", (unsigned long long)who),
        .school = ush_arena_printf(arena, "School %llu", (unsigned long long)dice(c, 40)),
        .source = SOURCE_API,
    };
    int r = desk_submit(&c->x->fest, &rq, arena, &faults, &a);
    c->done.operations -= a.from_memory;
    return r;
}

static int64_t any_registration(struct contest *c)
{
    return registration_make_id(1 + (int64_t)dice(c, EVENTS), 1 + (int64_t)dice(c, 4000));
}

static int change_registration(struct contest *c, struct ush_arena *arena)
{
    struct change_result out;
    if (dice(c, 20) == 0)
        return registrations_resend_to(
            &c->x->fest, ush_arena_printf(arena, "s%llu@x.in", (unsigned long long)dice(c, PEOPLE)),
            arena);
    if (dice(c, 3) == 0) {
        const struct resend in = {.registration = any_registration(c),
                                  .once = (int64_t)dice(c, 1ull << 50),
                                  .actor = USH_T("test")};
        return fest_change(&c->x->fest, &op_resend, &in, &out, arena);
    }
    const struct cancel in = {
        .registration = any_registration(c), .reason = USH_T("by_student"), .actor = USH_T("test")};
    return fest_change(&c->x->fest, &op_cancel, &in, &out, arena);
}

static int forget_somebody(struct contest *c, struct ush_arena *arena)
{
    struct change_result out;
    const struct erase in = {
        .registration = any_registration(c), .position = EVERYBODY, .actor = USH_T("test")};
    return registration_erase(&c->x->fest, &in, &out, arena);
}

static int correct(struct contest *c, struct ush_arena *arena)
{
    struct ush_faults faults;
    struct change_result out;
    ush_faults_init(&faults, arena);
    const struct edit_request rq = {
        .registration = any_registration(c),
        .form = {.name = USH_T("Corrected"),
                 .email =
                     ush_arena_printf(arena, "s%llu@x.in", (unsigned long long)dice(c, PEOPLE)),
                 .school = USH_T("Another school")},
        .actor = USH_T("test"),
    };
    return registration_edit(&c->x->fest, &rq, arena, &faults, &out);
}

static int change_event(struct contest *c, struct ush_arena *arena)
{
    struct fest *f = &c->x->fest;
    struct change_result out;
    ush_text actor = USH_T("test"), slug = slug_of(arena, dice(c, EVENTS));
    if (dice(c, 3) == 0) {
        const struct promote in = {
            .slug = slug, .count = 5, .once = (int64_t)dice(c, 1ull << 50), .actor = actor};
        return fest_change(f, &op_promote, &in, &out, arena);
    }
    if (dice(c, 40) == 0) {
        const struct event_cancel in = {.slug = slug_of(arena, EVENTS + dice(c, DOOMED)),
                                        .once = (int64_t)dice(c, 1ull << 50),
                                        .actor = actor};
        return fest_change(f, &op_event_cancel, &in, &out, arena);
    }
    struct seats_change in = {
        .slug = slug, .capacity = 500 + (int64_t)dice(c, 4000), .waitlist = 200, .actor = actor};
    USH_SET(&in, seats_change_capacity);
    USH_SET(&in, seats_change_waitlist);
    return fest_change(f, &op_seats, &in, &out, arena);
}

/* ---- what job workers do --------------------------------------------------------------------- */

static int work(struct contest *c, struct ush_arena *arena)
{
    struct ush_db *db = c->x->fest.db;
    const struct ush__jobs_claim in = {
        .owner = c->owner,
        .lanes = USH_T("mail,bulk"),
        .limit = 12,
        .limit_rest = 6,
        .per_day = dice(c, 2) ? 1000000 : 0}; /* some are counted, others not */
    /* Of any process: who is declared dead may live. */
    const struct ush__jobs_owner somebody = {.owner = 2 + (int64_t)dice(c, PROCESSES)};
    struct ush__jobs_claimed claimed;
    USH_TRY(ush_change(db, &ush_op_jobs_claim, &in, &claimed, arena));
    if (dice(c, 2) == 0)
        USH_TRY(ush__jobs_change(db, &ush_op_jobs_renew, &somebody));
    if (dice(c, 10) == 0)
        USH_TRY(ush_jobs_release(db, somebody.owner));
    /* Backwards: the order of ends is not the order of ids. */
    for (size_t i = claimed.rows.count; i-- > 0;) {
        const struct ush__job_row *row = (struct ush__job_row *)claimed.rows.at + i;
        const struct ush__job_mark mark = {.id = row->id, .claim = row->claim, .mark = 1};
        const struct ush__job_end end = {.id = row->id, .claim = row->claim, .state = USH_JOB_DONE};
        if (i % 4 == 0)
            USH_TRY(ush__jobs_change(db, &ush_op_job_mark, &mark));
        int ended = ush__jobs_change(db, &ush_op_job_end, &end);
        USH_TRY(ended);
        c->done.jobs_ended += ended;
        c->done.operations++;
    }
    return 0;
}

static int allow_mail(struct contest *c, struct ush_arena *arena)
{
    const char key[16] = {[0] = (char)dice(c, ADDRESSES)};
    const struct mail_allow in = {
        .address_key = {key, sizeof key}, .per_hour = ALLOWED, .per_day = ALLOWED};
    struct change_result out;
    USH_TRY(ush_change(c->x->fest.db, &op_mail_allow, &in, &out, arena));
    c->done.mails_allowed += out.outcome == CHANGE_DONE;
    return 0;
}

/* ---- the contest ----------------------------------------------------------------------------- */

static const struct act {
    const char *name;
    int (*run)(struct contest *c, struct ush_arena *arena);
    unsigned of_1000;
} acts[] = {
    {"register", submit, 855},       {"change a registration", change_registration, 50},
    {"correct", correct, 10},        {"change an event", change_event, 20},
    {"import", import_some, 2},      {"work", work, 50},
    {"allow a mail", allow_mail, 8}, {"forget", forget_somebody, 5},
};

static int contestant(void *arg)
{
    struct contest *c = *(struct contest **)arg;
    while (c->done.operations < c->left) {
        unsigned at = (unsigned)dice(c, 1000);
        size_t i = 0;
        for (; at >= acts[i].of_1000; i++)
            at -= acts[i].of_1000;
        struct ush_arena arena;
        ush_arena_init(&arena, NULL, 0, 16 << 20);
        c->done.operations++;
        int r = acts[i].run(c, &arena);
        ush_arena_fini(&arena);
        /* No such registration (yet). */
        MUST(acts[i].name, r == USH_ENOTFOUND || r == USH_EINVAL ? 0 : r);
    }
    return 0;
}

static int compete(void *arg)
{
    struct contest *c = arg, *same[TASKS];
    struct fixture x;
    c->x = &x;
    fixture_open(&x);
    if (c->left == 0) {
        struct contest make = *c;
        for (int i = 0; i < EVENTS; i++)
            MUST("make events", import_some(&make, &x.arena));
    }
    for (int i = 0; i < TASKS; i++)
        same[i] = c;
    int r = ush_gather(TASKS, TASKS, contestant, same, sizeof same[0]);
    fixture_close(&x);
    return r;
}

/* A process that does `operations` and writes what came of it into the pipe. */
static pid_t start(int to, uint64_t seed, int64_t operations)
{
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid > 0)
        return pid;
    struct contest c = {
        .seed = seed * 0x9e3779b97f4a7c15, .owner = (int64_t)seed, .left = operations};
    int r = ush_run(&(struct ush_loop_options){.backend = USH_BACKEND_EPOLL}, compete, &c);
    _exit(r < 0 || write(to, &c.done, sizeof c.done) != sizeof c.done);
}

/* A look-up by key finds one row or none, and a batch of them counts as many. */
static const char read_wholly[] =
    "SELECT string_agg(name, ', ') FROM (SELECT relname AS name FROM pg_stat_user_tables"
    " WHERE relname IN ('registrations', 'participants', 'jobs', 'event_seats')"
    " AND seq_tup_read > 0 UNION ALL SELECT indexrelname FROM pg_stat_user_indexes"
    " WHERE indexrelname IN ('registrations_request_key', 'participants_dedupe_key', 'jobs_pkey')"
    " AND idx_tup_read > 3 * idx_scan) w";

static int look(void *arg)
{
    struct fixture *x = arg;
    fixture_open(x);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

START_TEST(everything_at_once_from_several_processes)
{
    int64_t operations = fewer(102000);
    int ends[2], status;
    struct tallies all = {0}, one;
    char sql[128];
    pid_t pids[PROCESSES];
    const char *database = pg_database();
    /* What is asked here is who waits for whom, and not what a power cut leaves. */
    snprintf(sql, sizeof sql, "ALTER DATABASE %s SET synchronous_commit = off", database);
    pg_ask("postgres", sql);
    fixture_url = pg_url(database);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(waitpid(start(ends[1], 1, 0), &status, 0) > 0 && status == 0, 1);
    ck_assert_int_eq(read(ends[0], &one, sizeof one), sizeof one);
    for (int i = 0; i < PROCESSES; i++)
        pids[i] = start(ends[1], (uint64_t)i + 2, operations / PROCESSES);
    for (int i = 0; i < PROCESSES; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
        ck_assert_int_eq(read(ends[0], &one, sizeof one), sizeof one);
        all.operations += one.operations;
        all.jobs_ended += one.jobs_ended;
        all.mails_allowed += one.mails_allowed;
    }
    ck_assert_int_ge(all.operations, operations - 100);
    ck_assert_str_eq(pg_ask(database, read_wholly), "");
    fixture_run(look);
    snprintf(sql, sizeof sql,
             "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()");
    ck_assert_str_eq(pg_ask(database, sql), "0");
    /* Erasing ends a job too, and takes what another has ended. */
    ck_assert_int_ge(atoll(pg_ask(database, "SELECT count(*) FROM jobs WHERE state = 2")),
                     all.jobs_ended);
    ck_assert_int_le(atoll(pg_ask(database, "SELECT count(*) FROM jobs WHERE state = 2"
                                            " AND note IS DISTINCT FROM 'erased'")),
                     all.jobs_ended);
    ck_assert_int_gt(all.jobs_ended, 0);
    ck_assert_int_le(all.mails_allowed, ADDRESSES * ALLOWED);
    if (operations > 100000) { /* then everything has happened */
        ck_assert_int_eq(all.mails_allowed, ADDRESSES * ALLOWED);
        ck_assert_str_eq(pg_ask(database, "SELECT count(*) FROM events WHERE status = 'cancelled'"),
                         "4");
    }
    fprintf(stderr, "%lld operations, %lld jobs ended, %s registrations\n",
            (long long)all.operations, (long long)all.jobs_ended,
            pg_ask(database, "SELECT count(*) FROM registrations"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contest");
    TCase *t = tcase_create("contest");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, everything_at_once_from_several_processes);
    pg_make();
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
