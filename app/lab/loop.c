/*
 * loop.c - who computes on the loop stops everybody; and what waiting and computing want.
 *
 * blocked-loop   A small request comes every 10 ms and wants 5 ms of waiting. Three times a big
 *                one computes for 200 ms: on the loop itself, in the pool of threads, or in
 *                another process, as a job would. The measured time of the small ones begins when
 *                they were to come, so that being late counts.
 * cook           Dishes in one oven make progress together; onions want as many cooks. Eight
 *                waits and eight computations, by one process and by two.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab/scenes.h"

LAB_SOURCE(loop);

enum { BIG = 3, SMALL = 97, EVERY_MS = 10, WANT_MS = 5, BIG_MS = 200, BIG_EVERY_MS = 300 };
enum mode { ON_LOOP, IN_POOL, IN_JOB, MODES };

static enum mode mode;
static struct lab *lab;
static int64_t took_ns[SMALL];
static int job_fds[2];

static int compute(void *ms)
{
    int64_t end = lab_clock_ns() + *(int64_t *)ms * USH_MS;
    while (lab_clock_ns() < end)
        ;
    return 0;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int small_request(void *arg)
{
    uint32_t n = (uint32_t)(uintptr_t)arg;
    int64_t due_ns = (int64_t)n * EVERY_MS * USH_MS;
    lab_note_at(lab, BIG + n, LAB_COMES, 0, due_ns);
    lab_note(lab, BIG + n, LAB_RUNS, 0);
    lab_note(lab, BIG + n, LAB_WAITS, 0);
    int r = ush_sleep(WANT_MS * USH_MS);
    lab_note(lab, BIG + n, LAB_ENDS, 0);
    took_ns[n] = lab_clock_ns() - lab->book->zero_ns - due_ns;
    return r;
}

static int make_report(void *number)
{
    int64_t ms = BIG_MS;
    char byte = 1;
    uint32_t n = (uint32_t)(uintptr_t)number;
    lab_note_at(lab, n, LAB_COMES, 1, lab_clock_ns() - lab->book->zero_ns);
    lab_note(lab, n, mode == ON_LOOP ? LAB_RUNS : LAB_WAITS, 1);
    if (mode == ON_LOOP)
        compute(&ms); /* nobody else runs */
    else if (mode == IN_POOL)
        USH_TRY(ush_offload(ush_cpu_pool(), compute, &ms));
    else if (ush_send(job_fds[0], &byte, 1) != 1 || ush_recv(job_fds[0], &byte, 1) != 1)
        return -EPIPE;
    lab_note(lab, n, LAB_ENDS, 1);
    return 0;
}

static int make_reports(void *unused __attribute__((unused)))
{
    for (uintptr_t i = 0; i < BIG; i++) {
        struct ush_scope scope;
        USH_TRY(ush_sleep(100 * USH_MS));
        ush_scope_open(&scope, NULL);
        ush_spawn(&scope, make_report, (void *)i);
        USH_TRY(ush_sleep((BIG_EVERY_MS - 100) * USH_MS));
        USH_TRY(ush_scope_close(&scope));
    }
    return 0;
}

static int serve(void *unused __attribute__((unused)))
{
    struct ush_scope scope;
    if (mode == IN_JOB)
        USH_TRY(ush_fd_open(job_fds[0]));
    (void)ush_watchdog_start(&(struct ush_watchdog_options){.limit_ns = 50 * USH_MS});
    lab->book->zero_ns = lab_clock_ns();
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, make_reports, NULL);
    for (uintptr_t i = 0; i < SMALL; i++) {
        int64_t left_ns = lab->book->zero_ns + (int64_t)i * EVERY_MS * USH_MS - lab_clock_ns();
        if (left_ns > 0)
            USH_TRY(ush_sleep(left_ns));
        ush_spawn(&scope, small_request, (void *)i);
    }
    int r = ush_scope_close(&scope);
    ush_watchdog_stop();
    return r;
}

/* ---- around it ------------------------------------------------------------------------------- */

static int be_the_job(struct lab *l __attribute__((unused)))
{
    char byte;
    int64_t ms = BIG_MS;
    close(job_fds[0]);
    while (read(job_fds[1], &byte, 1) == 1)
        if (compute(&ms) < 0 || write(job_fds[1], &byte, 1) != 1)
            break;
    return 0;
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* What the watchdog wrote, if anything. */
static void keep_words(struct lab *l, int log)
{
    char text[sizeof l->book->words];
    ssize_t n = pread(log, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *line = strstr(text, "task.slow");
    if (line)
        snprintf(l->book->words, sizeof l->book->words, "%.*s", (int)strcspn(line, "\n"), line);
}

static int one_mode(struct lab *l)
{
    struct ush_beat beat = {0};
    int log = memfd_create("log", MFD_CLOEXEC), pid = 0;
    lab = l;
    ush_log_init(&(struct ush_log_options){.fd = log, .level = USH_LOG_WARN});
    if (mode == IN_JOB) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, job_fds) < 0)
            return -errno;
        pid = lab_process_start(l, be_the_job);
        close(job_fds[1]);
        fcntl(job_fds[0], F_SETFL, O_NONBLOCK);
    }
    int r = ush_run(&(struct ush_loop_options){.beat = &beat}, serve, NULL);
    if (pid > 0) {
        close(job_fds[0]);
        lab_process_wait(pid);
    }
    qsort(took_ns, SMALL, sizeof *took_ns, by_size);
    l->book->figures[0] = took_ns[SMALL / 2];
    l->book->figures[1] = took_ns[SMALL * 99 / 100]; /* the worst */
    keep_words(l, log);
    return r;
}

int lab_run_blocked_loop(struct lab *l)
{
    static const char *const labels[] = {"200 ms of computing on the loop",
                                         "200 ms in the pool for computing",
                                         "200 ms in another process, as a job"};
    static const char *const columns[] = {"p50, ms", "p99, ms", "warnings"};
    lab_columns(l, columns, USH_COUNT(columns));
    for (int i = MODES - 1; i >= 0; i--) { /* the picture is that of the last */
        mode = (enum mode)i;
        USH_TRY(lab_process(l, one_mode));
        lab_row(l, labels[i],
                (double[]){(double)l->book->figures[0] / USH_MS,
                           (double)l->book->figures[1] / USH_MS, l->book->words[0] != 0});
        if (l->book->words[0])
            lab_say(l, "The watchdog says: %s", l->book->words);
    }
    lab_say(
        l,
        "Times are those of the %d small requests, which want %d ms each. The picture is of the "
        "last row: first the three big requests, then the small ones.",
        SMALL, WANT_MS);
    return 0;
}

/* ---- cook ------------------------------------------------------------------------------------ */

enum { DISHES = 8, DISH_MS = 100 };
static bool dishes_wait;
static int cooks;

static int dish(void *arg)
{
    uint32_t n = (uint32_t)(uintptr_t)arg;
    int64_t ms = DISH_MS;
    lab_note(lab, n, LAB_RUNS, n % (uint32_t)cooks);
    if (dishes_wait) {
        lab_note(lab, n, LAB_WAITS, n % (uint32_t)cooks);
        USH_TRY(ush_sleep(ms * USH_MS));
    } else {
        compute(&ms);
    }
    lab_note(lab, n, LAB_ENDS, n % (uint32_t)cooks);
    return 0;
}

static int own_dishes(void *arg)
{
    struct ush_scope scope;
    ush_scope_open(&scope, NULL);
    for (uintptr_t i = (uintptr_t) * (int *)arg; i < DISHES; i += (uintptr_t)cooks)
        ush_spawn(&scope, dish, (void *)i);
    return ush_scope_close(&scope);
}

static int be_a_cook(struct lab *l, int number)
{
    lab = l;
    return ush_run(&(struct ush_loop_options){0}, own_dishes, &number);
}

static int kitchen(struct lab *l)
{
    int64_t start = lab_clock_ns();
    l->book->zero_ns = start;
    int r = lab_fork_each(l, cooks, be_a_cook);
    l->book->figures[0] = lab_clock_ns() - start;
    return r;
}

int lab_run_cook(struct lab *l)
{
    static const char *const columns[] = {"total, ms", "cooks"};
    lab_columns(l, columns, USH_COUNT(columns));
    for (int i = 0; i < 4; i++) {
        char label[56];
        dishes_wait = i < 2;
        cooks = 1 + i % 2;
        snprintf(label, sizeof label, "%d dishes that %s %d ms, %d cook%s", DISHES,
                 dishes_wait ? "wait" : "compute", DISH_MS, cooks, cooks > 1 ? "s" : "");
        USH_TRY(lab_process(l, kitchen));
        lab_row(l, label, (double[]){(double)l->book->figures[0] / USH_MS, cooks});
    }
    lab_say(l, "This machine has %ld processors. The picture is of the last row.",
            sysconf(_SC_NPROCESSORS_ONLN));
    return 0;
}
