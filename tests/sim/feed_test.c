/*
 * feed_test.c - jobs announced over a Redis that is wiped, restored, slow, away and forgetful, to
 * workers that die, under seeds.
 *
 *   trouble    of Redis                              fate      of a worker
 *   WIPE       everything in it is gone              STOP      ends in order
 *   RESTORE    an old snapshot comes back            KILL      dies in whatever it does: what it
 * had AWAY       for up to ten minutes                           claimed is released by its master,
 * or SLOW       each command takes up to half a                 when its lease is over second
 *   FORGET     a tenth of the announcements vanish
 *   TWICE      a half of them come twice
 *   MOVE       somebody moves a group to its end   CUT_OFF   nothing it says to the database
 *                                                            arrives, for up to twenty seconds
 *   NONSENSE   every twentieth reply is of a
 *              wrong shape
 *
 * In half of the runs only Redis has troubles, and workers have room. Then
 *
 *  1. no job waits for more than two seconds, also while Redis is away.
 *
 * In all of them, afterwards,
 *
 *  2. every job is done, or ended three workers, and each of its claims ran at most once;
 *  3. once Redis is well, workers are fed, and nothing is left in the streams.
 */
#include "../unit/jobs/queue.h"
#include "redis_peer.h"

enum {
    SEEDS = 120,
    JOBS = 40,
    JOBS_MAX = JOBS + 100,
    WORKERS = 3,
    CLAIMS_MAX = 64,
    LATE_MS = 2000
};
enum trouble { WIPE, SAVE, RESTORE, AWAY, SLOW, FORGET, TWICE, MOVE, NONSENSE, TROUBLES };

static uint64_t seed;
#define HOLDS(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            ck_abort_msg("seed %llu: %s", (unsigned long long)seed, #cond);                        \
    } while (0)

struct place {
    struct ush_scope *scope; /* NULL: no process */
    struct ush_jobs *jobs;
    int64_t owner;
};

static struct world {
    struct ush_db *db;
    struct ush_hints *hints;
    struct place places[WORKERS];
    int64_t put_ns[JOBS_MAX], began_ns[JOBS_MAX];
    bool ran[JOBS_MAX][CLAIMS_MAX];
    int put;
    uint32_t per_minute;
    bool is_over, has_deaths;
} w;

static int pause_up_to_ms(uint32_t ms)
{
    return ush_sleep(ush_sim_choose(ms) * (int64_t)USH_MS);
}

/* ---- jobs and processes ---------------------------------------------------------------------- */

static int mail(struct ush_job *job, void *ctx __attribute__((unused)))
{
    HOLDS(job->id < JOBS_MAX && job->claim < CLAIMS_MAX && !w.ran[job->id][job->claim]);
    w.ran[job->id][job->claim] = true;
    if (!w.began_ns[job->id])
        w.began_ns[job->id] = ush_now_ns();
    return pause_up_to_ms(w.has_deaths ? 2000 : 200);
}

static const struct ush_job_kind kinds[] = {{.name = "mail", .run = mail}};

static int work(void *arg)
{
    static const char *const lanes[] = {"mail", "bulk", NULL};
    struct place *p = arg;
    struct ush_jobs_options o = {.db = w.db,
                                 .kinds = kinds,
                                 .kind_count = 1,
                                 .lanes = lanes,
                                 .at_once = w.has_deaths ? 2 : 8,
                                 .per_minute = w.per_minute,
                                 .wake_fd = -1,
                                 .owner = p->owner,
                                 .redis_url = "redis://sim"};
    return ush_jobs_run(&o, &p->jobs);
}

/* A process after the other, until all is over. */
static int keep_staffed(void *arg)
{
    struct place *p = arg;
    while (!w.is_over && ush_cancelled() == 0) {
        struct ush_scope scope;
        p->owner = ush_job_owner();
        p->jobs = NULL;
        ush_scope_open(&scope, &(struct ush_scope_options){.name = "process"});
        p->scope = &scope;
        ush_spawn(&scope, work, p);
        ush_scope_close(&scope);
        p->scope = NULL;
    }
    return 0;
}

/* Nothing of it reaches the database any more, so it hands nothing back. */
static void kill_worker(struct place *p)
{
    struct ush__jobs_owner in = {.owner = p->owner};
    if (!p->scope)
        return;
    cut_off(w.db, in.owner);
    if (p->scope && p->owner == in.owner)
        ush_scope_cancel(p->scope, USH_CANCEL_SHUTDOWN);
    while (p->scope && p->owner == in.owner)
        ush_sleep(USH_MS);
    join_again(w.db, in.owner);
    if (ush_sim_choose(4))
        ck_assert_int_ge(ush_jobs_release(w.db, in.owner), 0);
}

static void cut_worker_off(struct place *p)
{
    int64_t owner = p->owner;
    cut_off(w.db, owner);
    pause_up_to_ms(20000);
    join_again(w.db, owner);
}

/* ---- trouble --------------------------------------------------------------------------------- */

static void move_groups(void)
{
    for (int i = 0; i < STREAMS; i++) {
        struct stream *s = &peer.now.streams[i];
        s->delivered_ms = s->last_ms;
        s->delivered_seq = s->last_seq;
    }
}

static void strike(void)
{
    switch ((enum trouble)ush_sim_choose(TROUBLES)) {
    case WIPE:
        memset(&peer.now, 0, sizeof peer.now);
        break;
    case SAVE:
        peer.old = peer.now;
        break;
    case RESTORE:
        peer.now = peer.old;
        break;
    case AWAY:
        peer_down();
        pause_up_to_ms(ush_sim_choose(10) ? 10000 : 600000);
        if (ush_sim_choose(2))
            memset(&peer.now, 0, sizeof peer.now);
        peer_up();
        break;
    case SLOW:
        peer.slow_ms = 20 + ush_sim_choose(480);
        pause_up_to_ms(5000);
        peer.slow_ms = 0;
        break;
    case FORGET:
        peer.lose = peer.lose ? 0 : 10;
        break;
    case TWICE:
        peer.doubles = peer.doubles ? 0 : 50;
        break;
    case NONSENSE:
        peer.nonsense = peer.nonsense ? 0 : 5;
        break;
    default:
        move_groups();
    }
}

static int bad_luck(void *unused __attribute__((unused)))
{
    for (int i = 0; i < 12; i++) {
        pause_up_to_ms(3000);
        struct place *p = &w.places[ush_sim_choose(WORKERS)];
        if (!w.has_deaths || ush_sim_choose(2))
            strike();
        else if (ush_sim_choose(2))
            kill_worker(p);
        else if (ush_sim_choose(2))
            cut_worker_off(p);
        else if (p->jobs && p->scope)
            ush_jobs_stop(p->jobs);
    }
    return 0;
}

static void put_one(void)
{
    struct ush_job_new job = new_job("mail", ush_sim_choose(3) ? "mail" : "bulk");
    ck_assert_int_eq(put_job(w.db, &job), 1);
    w.put_ns[++w.put] = ush_now_ns();
    if (ush_sim_choose(8)) /* or its process dies in between */
        ush_hints_raise(w.hints);
}

static int put_jobs(void *unused __attribute__((unused)))
{
    for (int i = 0; i < JOBS; i++) {
        pause_up_to_ms(ush_sim_choose(10) ? (w.has_deaths ? 50 : 800) : 8000);
        put_one();
    }
    return 0;
}

/* ---- the run --------------------------------------------------------------------------------- */

static bool is_done(void)
{
    for (int id = 1; id <= w.put; id++) {
        struct row row = job_row(w.db, id);
        bool is_dead = row.state == USH_JOB_DEAD && row.crashes == USH_JOB_CRASHES_MAX;
        if (row.state != USH_JOB_DONE && !is_dead)
            return false;
    }
    return true;
}

static bool is_well(void)
{
    for (int i = 0; i < WORKERS; i++)
        if (!w.places[i].scope || !w.places[i].jobs || !w.places[i].jobs->is_fed ||
            w.places[i].jobs->is_away)
            return false;
    for (int i = 0; i < STREAMS; i++)
        if (peer.now.streams[i].has_group && peer.now.streams[i].count)
            return false;
    return true;
}

static void wait_until(bool (*holds)(void), int64_t most_s)
{
    int64_t limit = ush_now_ns() + most_s * USH_SECOND;
    while (!holds()) {
        HOLDS(ush_now_ns() < limit);
        ush_sleep(50 * USH_MS);
    }
}

static void begin(struct ush_scope *tasks, uint32_t per_minute)
{
    int error = 0;
    memset(&w, 0, sizeof w);
    w.per_minute = per_minute;
    memset(&peer, 0, sizeof peer);
    ush_event_init(&peer.changed, "redis");
    w.has_deaths = seed % 2;
    w.db = queue_open();
    w.hints = ush_hints_new(&(struct ush_hints_options){.url = "redis://sim"}, &error);
    peer_up();
    ush_scope_open(tasks, &(struct ush_scope_options){.name = "world", .keep_going = true});
    ush_spawn(tasks, ush_hints_send, w.hints);
    for (int i = 0; i < WORKERS; i++)
        ush_spawn(tasks, keep_staffed, &w.places[i]);
    wait_until(is_well, 10);
}

static void end(struct ush_scope *tasks)
{
    w.is_over = true;
    ush_scope_cancel(tasks, USH_CANCEL_SHUTDOWN);
    ush_scope_close(tasks);
    ush_hints_free(w.hints);
    ush_db_close(w.db);
    ush_close(peer.listener);
}

static void check_delays(void)
{
    for (int id = 1; id <= w.put; id++)
        if (w.began_ns[id] - w.put_ns[id] > LATE_MS * (int64_t)USH_MS)
            ck_abort_msg("seed %llu: job %d waited %lld ms", (unsigned long long)seed, id,
                         (long long)((w.began_ns[id] - w.put_ns[id]) / USH_MS));
}

static int scenario(void *unused __attribute__((unused)))
{
    struct ush_scope tasks, storm;
    begin(&tasks, 0);
    ush_scope_open(&storm, NULL);
    ush_spawn(&storm, put_jobs, NULL);
    ush_spawn(&storm, bad_luck, NULL);
    HOLDS(ush_scope_close(&storm) == 0);
    peer.lose = peer.doubles = peer.nonsense = 0;
    wait_until(is_done, w.has_deaths ? 200 : 5); /* three leases */
    wait_until(is_well, 10);
    end(&tasks);
    if (!w.has_deaths)
        check_delays();
    return 0;
}

/* Who waits is told within a moment; when Redis is back it carries announcements again. */
static int long_outage(void *unused __attribute__((unused)))
{
    struct ush_scope tasks;
    begin(&tasks, 0);
    peer_down();
    int64_t until = ush_now_ns() + 600 * USH_SECOND;
    while (ush_now_ns() < until) {
        put_one();
        pause_up_to_ms(30000);
    }
    wait_until(is_done, 5);
    peer_up();
    wait_until(is_well, 5);
    put_one();
    wait_until(is_done, 1);
    end(&tasks);
    check_delays();
    return 0;
}

/* Lanes rest between two claims, and what was announced meanwhile is announced again. */
static int limited(void *unused __attribute__((unused)))
{
    struct ush_scope tasks;
    begin(&tasks, 120);
    int64_t began = ush_now_ns();
    for (int i = 0; i < 100; i++)
        put_one();
    wait_until(is_done, 100);
    int64_t took_s = (ush_now_ns() - began) / USH_SECOND;
    HOLDS(took_s >= 47 && took_s <= 55); /* at a rate of two a second, and 1.5 s of it at once */
    wait_until(is_well, 10);
    end(&tasks);
    return 0;
}

static uint64_t run_seed(uint64_t s)
{
    struct ush_sim_report report;
    seed = s;
    struct ush_sim_options o = {
        .seed = s,
        .order = s % 3 == 0 ? USH_SIM_FIFO : USH_SIM_RANDOM,
        .reset_permille = s % 4 == 0,
        .short_permille = s % 5 == 0 ? 100 : 0,
        .delay_ns_max = s % 3 * 5 * USH_MS,
    };
    int r = ush_sim_run(&o, scenario, NULL, &report);
    ck_assert_msg(r == 0, "seed %llu: %s\n%s", (unsigned long long)s, ush_error_text(r),
                  report.text);
    return report.hash;
}

START_TEST(no_job_is_lost_or_late)
{
    int level = getenv("SHOW") ? USH_LOG_DEBUG : -1;
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = (enum ush_log_level)level});
    uint64_t from = (uint64_t)_i * SEEDS / 4, to = from + SEEDS / 4;
    if (getenv("TESTS_ARE_SLOW"))
        to = from + SEEDS / 40;
    if (getenv("SEED")) {
        from = strtoull(getenv("SEED"), NULL, 10);
        to = from + 1;
    }
    for (uint64_t s = from; s < to; s++) {
        uint64_t hash = run_seed(s);
        if (s % 50 == 7)
            ck_assert_msg(run_seed(s) == hash, "seed %llu decides differently",
                          (unsigned long long)s);
    }
}
END_TEST

START_TEST(ten_minutes_without_redis)
{
    for (seed = 0; seed < 10; seed += 2) {
        struct ush_sim_options o = {.seed = seed, .order = USH_SIM_RANDOM};
        ck_assert_int_eq(ush_sim_run(&o, long_outage, NULL, NULL), 0);
    }
}
END_TEST

START_TEST(a_rate_is_kept)
{
    for (seed = 0; seed < 6; seed += 2) {
        struct ush_sim_options o = {.seed = seed, .order = USH_SIM_RANDOM};
        ck_assert_int_eq(ush_sim_run(&o, limited, NULL, NULL), 0);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sim/feed");
    TCase *t = tcase_create("feed");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, ten_minutes_without_redis);
    tcase_add_test(t, a_rate_is_kept);
    tcase_add_loop_test(t, no_job_is_lost_or_late, 0, 4);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed != 0;
}
