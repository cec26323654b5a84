/*
 * stage.c - the stage on which a model plays: shared memory, processes, and what is measured.
 *
 *   lab                    the process that was started; draws afterwards
 *    +- mail server        answers each call after two seconds
 *    +- model              runs the lesson; counts itself as it ends
 *        +- workers        if the model has several processes; each counts itself
 *
 * Memory is what a process has at its end beyond what it had when it was forked, so that the lab's
 * own megabytes do not count. Switches are those of getrusage, voluntary and not. Both are summed
 * over the model's processes; the mail server is not counted.
 */
#include "lab/lab.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

const struct lab_params lab_defaults = {
    .students = 100, .mail_ms = 2000, .workers = 4, .threads = 20, .cap = 10, .scale = 10};

/* ---- the book -------------------------------------------------------------------------------- */

void lab_note_at(struct lab *l, uint32_t student, enum lab_what what, uint32_t lane, int64_t at_ns)
{
    uint32_t i = atomic_fetch_add(&l->book->events, 1);
    if (i >= LAB_EVENTS_MAX)
        return;
    l->book->event[i] = (struct lab_event){
        .at_ns = at_ns, .student = student, .lane = (uint16_t)lane, .what = (uint8_t)what};
    if (what == LAB_ENDS)
        atomic_fetch_add(&l->book->done, 1);
}

void lab_note(struct lab *l, uint32_t student, enum lab_what what, uint32_t lane)
{
    lab_note_at(l, student, what, lane, lab_clock_ns() - l->book->zero_ns);
}

void lab_fail(struct lab *l, const char *what, int error)
{
    if (atomic_fetch_add(&l->book->failed, 1) == 0)
        snprintf(l->book->reason, sizeof l->book->reason, "%s: %s", what, ush_error_text(error));
}

void lab_say(struct lab *l, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ush_buf_printf(&l->notes, "%s\n", text);
}

int lab_validate(uint32_t student)
{
    char address[48];
    int n = snprintf(address, sizeof address, "student%u@school.in", student);
    return n > 0 && ush_text_find((ush_text){address, (size_t)n}, '@') > 0 ? 0 : -EINVAL;
}

void lab_save(struct lab *l, uint32_t student)
{
    l->book->saved[student] = 1;
}

/* ---- processes ------------------------------------------------------------------------------- */

static int64_t resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int64_t resident_at_start_kib;

void lab_count_self(struct lab *l, uint32_t threads)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    atomic_fetch_add(&l->book->switches, u.ru_nvcsw + u.ru_nivcsw);
    int64_t more = u.ru_maxrss - resident_at_start_kib;
    atomic_fetch_add(&l->book->memory_kib, more > 0 ? more : 0);
    atomic_fetch_add(&l->book->threads, threads);
    atomic_fetch_add(&l->book->processes, 1);
}

/* A child that ends with its parent. */
static pid_t fork_child(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    alarm(2 * LAB_REAL_S_MAX); /* whatever hangs ends */
    resident_at_start_kib = resident_kib();
    return 0;
}

int lab_process_wait(int pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int lab_process_start(struct lab *l, int (*fn)(struct lab *l))
{
    pid_t pid = fork_child();
    if (pid == 0)
        _exit(fn(l) < 0);
    return pid < 0 ? -errno : pid;
}

int lab_process(struct lab *l, int (*fn)(struct lab *l))
{
    lab_book_reset(l);
    int pid = lab_process_start(l, fn);
    return pid < 0 ? pid : lab_process_wait(pid);
}

int lab_fork_each(struct lab *l, int n, int (*fn)(struct lab *l, int number))
{
    pid_t pids[64];
    int started = 0, result = 0;
    for (; started < n && started < (int)USH_COUNT(pids); started++) {
        pids[started] = fork_child();
        if (pids[started] == 0)
            _exit(fn(l, started) < 0);
        if (pids[started] < 0)
            break;
    }
    for (int i = 0; i < started; i++)
        if (lab_process_wait(pids[i]) < 0)
            result = -EIO;
    return started < n ? -EAGAIN : result;
}

/* ---- playing --------------------------------------------------------------------------------- */

void lab_columns(struct lab *l, const char *const *columns, size_t n)
{
    for (size_t i = 0; i < n && i < LAB_COLUMNS_MAX; i++)
        l->table.columns[i] = columns[i];
    l->table.column_count = n;
}

void lab_row(struct lab *l, const char *label, const double *values)
{
    if (l->table.row_count == LAB_ROWS_MAX)
        return;
    size_t i = l->table.row_count++;
    snprintf(l->table.rows[i].label, sizeof l->table.rows[i].label, "%s", label);
    memcpy(l->table.rows[i].values, values, l->table.column_count * sizeof *values);
}

void lab_book_reset(struct lab *l)
{
    memset(l->book, 0, offsetof(struct lab_book, event));
    l->book->zero_ns = lab_clock_ns();
}

static void add_row(struct lab *l, const char *label)
{
    int64_t first = INT64_MAX, last = 0;
    const struct lab_book *b = l->book;
    uint32_t n = b->events < LAB_EVENTS_MAX ? b->events : LAB_EVENTS_MAX;
    for (uint32_t i = 0; i < n; i++) {
        if (b->event[i].what != LAB_ENDS)
            continue;
        first = b->event[i].at_ns < first ? b->event[i].at_ns : first;
        last = b->event[i].at_ns > last ? b->event[i].at_ns : last;
    }
    bool is_done = b->done == (uint32_t)l->p.students && b->failed == 0;
    lab_row(l, label,
            (double[]){is_done ? lab_s(l, last) : NAN, b->done ? lab_s(l, first) : NAN,
                       b->done ? lab_s(l, last) : NAN, b->threads, b->processes,
                       (double)b->switches, (double)b->memory_kib});
    if (b->failed)
        lab_say(l, "%s: it cannot. %u of %lld students got no mail (%s)", label, b->failed,
                (long long)l->p.students, b->reason);
    else if (!is_done)
        lab_say(l, "%s: %u of %lld students were answered", label, b->done,
                (long long)l->p.students);
}

bool lab_is_too_long(struct lab *l, const char *label, int64_t calls, int64_t at_once)
{
    int64_t rounds = (calls + at_once - 1) / at_once, told_ms = rounds * l->p.mail_ms;
    if (rounds * lab_mail_ns(l) <= l->real_s_max * USH_SECOND)
        return false;
    lab_say(l,
            "%s: not run. %lld calls, %lld at once, are %lld times %lld ms: %.1f hours. With a "
            "larger scale (times faster) it runs.",
            label, (long long)calls, (long long)at_once, (long long)rounds, (long long)l->p.mail_ms,
            (double)told_ms / 3600000);
    return true;
}

int lab_play(struct lab *l, const char *label, int64_t at_once, int (*model)(struct lab *l))
{
    static const char *const columns[] = {"total, s",  "first, s", "last, s",    "threads",
                                          "processes", "switches", "memory, KiB"};
    static const double none[LAB_COLUMNS_MAX] = {NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    lab_columns(l, columns, USH_COUNT(columns));
    if (lab_is_too_long(l, label, l->p.students, at_once)) {
        lab_row(l, label, none);
        return 0;
    }
    lab_book_reset(l);
    USH_TRY(lab_mail_start(l));
    l->book->zero_ns = lab_clock_ns();
    int pid = lab_process_start(l, model);
    int r = pid < 0 ? pid : lab_process_wait(pid);
    lab_mail_stop(l);
    if (r < 0)
        lab_say(l, "%s: it did not come to its end", label);
    add_row(l, label);
    return 0;
}

int lab_run(struct lab *l, const struct lab_scene *scene, const struct lab_params *p)
{
    struct rlimit files;
    *l = (struct lab){.p = *p, .mail_listener = -1, .real_s_max = LAB_REAL_S_MAX};
    if (!(scene->uses & LAB_MAIL))
        l->p.scale = 1; /* it computes; that cannot be hastened */
    l->axis.rows = "student";
    l->axis.unit = "s";
    l->axis.unit_ns = 1e9 / (double)l->p.scale;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* each call is a descriptor */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    ush_buf_init(&l->notes, 64 << 10);
    l->book =
        mmap(NULL, sizeof *l->book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (l->book == MAP_FAILED)
        return -ENOMEM;
    lab_book_reset(l);
    return scene->run(l);
}

void lab_fini(struct lab *l)
{
    ush_buf_fini(&l->notes);
    munmap(l->book, sizeof *l->book);
}
