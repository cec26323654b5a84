/*
 * lost.c - work that nobody waits for.
 *
 * lost-work   Students are answered at once, and their mails go out behind: as tasks that nobody
 *             waits for, or as rows of the job table, written with the registration. In the middle
 *             the process is killed and started again. What is only in memory is gone.
 * swallowed   Every third call fails. In threads that nobody joins the errors go nowhere; a scope
 *             hands the first one to whoever opened it, and counts.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "domain/fest.h"
#include "lab/scenes.h"

LAB_SOURCE(lost);

static struct lab *lab;

/* figures: 0 answered, 1 mails sent, 2 the owner of the claims, 3 mails sent twice */
enum { ANSWERED, SENT, OWNER, TWICE };

static int send_mail(uint32_t student)
{
    lab_note(lab, student, LAB_RUNS, 0);
    lab_note(lab, student, LAB_WAITS, 0);
    int r = lab_mail_task(lab, student);
    if (r == 0) {
        lab_note(lab, student, LAB_ENDS, 0);
        atomic_fetch_add(&lab->book->figures[SENT], 1);
        atomic_fetch_add(&lab->book->figures[TWICE], lab->book->saved[student] == 2);
        lab->book->saved[student] = 2;
    }
    return r;
}

/* ---- fire and forget ------------------------------------------------------------------------- */

enum { AT_ONCE = 4 }; /* mails, so that there is a middle to be killed in */
static struct ush_semaphore lines;

static int mail_behind(void *arg)
{
    USH_TRY(ush_semaphore_take(&lines));
    (void)send_mail((uint32_t)(uintptr_t)arg);
    ush_semaphore_give(&lines);
    return 0;
}

static int answer_and_forget(void *unused __attribute__((unused)))
{
    ush_semaphore_init(&lines, "lines", AT_ONCE);
    for (uintptr_t i = 0; i < (uintptr_t)lab->p.students; i++) {
        lab_save(lab, (uint32_t)i);
        ush_spawn(ush_root_scope(), mail_behind, (void *)i);
        atomic_fetch_add(&lab->book->figures[ANSWERED], 1); /* "201 Created" */
    }
    return 0;
}

static int forgetful(struct lab *l)
{
    lab = l;
    if (l->book->figures[ANSWERED] > 0)
        return 0; /* started again: there is nothing that it could know */
    return ush_run(&(struct ush_loop_options){0}, answer_and_forget, NULL);
}

/* ---- a row for each mail --------------------------------------------------------------------- */

static char database[64];

static int run_accept(struct ush_tx *tx, const void *in, void *out __attribute__((unused)))
{
    return ush_jobs_put(tx, in, 1); /* and the registration, in the same transaction */
}
static const struct ush_operation op_accept = {
    .name = "accept", .in = &ush_job_new_record, .run = run_accept};
static const struct ush_operation *const operations[] = {USH_JOBS_OPERATIONS, &op_accept, NULL};

static int run_mail(struct ush_job *job, void *ctx __attribute__((unused)))
{
    return send_mail((uint32_t)job->subject);
}

static int accept_students(struct ush_db *db)
{
    for (uint32_t i = 0; i < (uint32_t)lab->p.students; i++) {
        struct ush_job_new job = {.kind = USH_T("mail"),
                                  .lane = USH_T("mail"),
                                  .subject = i,
                                  .payload = USH_T("-"),
                                  .due_at = ush_wall_ms(),
                                  .created_at = ush_wall_ms()};
        USH_SET(&job, ush_job_new_subject);
        USH_TRY(ush_change(db, &op_accept, &job, NULL, ush_task_arena()));
        lab_save(lab, i);
        atomic_fetch_add(&lab->book->figures[ANSWERED], 1);
    }
    return 0;
}

static int stop_when_done(void *arg)
{
    while (lab->book->figures[SENT] - lab->book->figures[TWICE] < lab->p.students)
        USH_TRY(ush_sleep(2 * USH_MS));
    ush_jobs_stop(*(struct ush_jobs **)arg);
    return 0;
}

static int keep_rows(void *unused __attribute__((unused)))
{
    static const struct ush_job_kind kind = {.name = "mail", .run = run_mail};
    static const char *const lanes[] = {"mail", NULL};
    const struct ush_db_options o = {
        .url = database, .role = USH_DB_LOCAL, .operations = operations};
    struct ush_jobs *jobs = NULL;
    struct ush_scope scope;
    int r;
    struct ush_db *db = ush_db_open(&o, &r);
    if (!db)
        return r;
    r = ush_migrate(db, &fest_migrations);
    if (r >= 0 && lab->book->figures[OWNER] != 0)
        r = ush_jobs_release(db, lab->book->figures[OWNER]); /* whose process has died */
    else if (r >= 0)
        r = accept_students(db);
    lab->book->figures[OWNER] = ush_job_owner();
    ush_scope_open(&scope, NULL);
    ush_spawn(&scope, stop_when_done, &jobs);
    if (r >= 0)
        r = ush_jobs_run(&(struct ush_jobs_options){.db = db,
                                                    .kinds = &kind,
                                                    .kind_count = 1,
                                                    .lanes = lanes,
                                                    .at_once = AT_ONCE,
                                                    .wake_fd = -1,
                                                    .owner = lab->book->figures[OWNER]},
                         &jobs);
    if (r < 0)
        ush_scope_cancel(&scope, USH_CANCEL_ASKED);
    (void)ush_scope_close(&scope);
    ush_db_close(db);
    return r;
}

static int careful(struct lab *l)
{
    lab = l;
    ush_log_init(&(struct ush_log_options){.fd = 2, .level = USH_LOG_ERROR});
    return ush_run(&(struct ush_loop_options){0}, keep_rows, NULL);
}

/* ---- killed in the middle -------------------------------------------------------------------- */

static int kill_in_the_middle(struct lab *l, const char *label, int (*server)(struct lab *l))
{
    lab_book_reset(l);
    USH_TRY(lab_mail_start(l));
    l->book->zero_ns = lab_clock_ns();
    int64_t limit_ns = lab_clock_ns() + LAB_REAL_S_MAX * USH_SECOND;
    int pid = lab_process_start(l, server);
    while (pid > 0 && l->book->figures[SENT] < l->p.students / 2 && lab_clock_ns() < limit_ns)
        usleep(200); /* the lab watches from outside, as a power cut would */
    if (pid > 0) {
        kill(pid, SIGKILL);
        (void)lab_process_wait(pid);
    }
    int r = lab_process_start(l, server);
    if (r > 0)
        r = lab_process_wait(r);
    lab_mail_stop(l);
    double sent = (double)(l->book->figures[SENT] - l->book->figures[TWICE]);
    lab_row(l, label,
            (double[]){(double)l->book->figures[ANSWERED], sent,
                       (double)l->book->figures[ANSWERED] - sent, (double)l->book->figures[TWICE]});
    return r;
}

int lab_run_lost_work(struct lab *l)
{
    static const char *const columns[] = {"answered", "mails sent", "lost", "sent twice"};
    char folder[] = "/tmp/usher-lab-XXXXXX", command[80];
    lab_columns(l, columns, USH_COUNT(columns));
    if (lab_is_too_long(l, "fire and forget", l->p.students, AT_ONCE))
        return 0;
    USH_TRY(kill_in_the_middle(l, "fire and forget", forgetful));
    if (!mkdtemp(folder))
        return -errno;
    /* Removes the folder when its input ends: with pclose, or when we are killed with our group. */
    snprintf(command, sizeof command, "exec setsid sh -c 'cat; rm -r %s'", folder);
    FILE *cleaner = popen(command, "we");
    snprintf(database, sizeof database, "sqlite:%s/lab.db", folder);
    int r = kill_in_the_middle(l, "a row in the same transaction", careful);
    if (!cleaner || pclose(cleaner) != 0)
        lab_say(l, "%s is left behind", folder);
    lab_say(l,
            "Killed when half of the mails had gone, and started again. A mail that was under way "
            "at that moment goes out again: for that the queue has marks (docs/operate.md).");
    return r;
}

/* ---- swallowed ------------------------------------------------------------------------------- */

enum { CALLS = 30 };

static int call(uint32_t n)
{
    return n % 3 == 2 ? -EIO : 0; /* every third fails */
}

/* For the picture only: nobody else is told. */
static int told_call(uint32_t n)
{
    lab_note(lab, n, LAB_RUNS, 0);
    int r = call(n);
    lab_note(lab, n, r < 0 ? LAB_FAILS : LAB_ENDS, 0);
    return r;
}

static void *call_in_thread(void *n)
{
    intptr_t r = told_call((uint32_t)(uintptr_t)n);
    if (r < 0)
        atomic_fetch_add(&lab->book->figures[0], 1);
    return (void *)r; /* to nobody: it is detached */
}

static int detached(struct lab *l)
{
    lab = l;
    l->book->zero_ns = lab_clock_ns();
    for (uintptr_t i = 0; i < CALLS; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, call_in_thread, (void *)i) == 0)
            pthread_detach(thread);
    }
    pthread_exit(NULL); /* lets them end; the process is fine, says its status */
}

static int call_in_task(void *n)
{
    int r = told_call((uint32_t)(uintptr_t)n);
    if (r < 0)
        atomic_fetch_add(&lab->book->figures[0], 1);
    return r;
}

static int in_a_scope(void *unused __attribute__((unused)))
{
    struct ush_scope scope;
    lab->book->zero_ns = lab_clock_ns();
    ush_scope_open(&scope, &(struct ush_scope_options){.keep_going = true});
    for (uintptr_t i = 0; i < CALLS; i++)
        ush_spawn(&scope, call_in_task, (void *)i);
    int r = ush_scope_close(&scope); /* the first failure, which the caller cannot overlook */
    lab->book->figures[1] = scope.failed;
    snprintf(lab->book->words, sizeof lab->book->words, "%s", ush_error_text(r));
    return 0;
}

static int scoped(struct lab *l)
{
    lab = l;
    return ush_run(&(struct ush_loop_options){0}, in_a_scope, NULL);
}

int lab_run_swallowed(struct lab *l)
{
    static const char *const columns[] = {"errors", "seen"};
    lab_columns(l, columns, USH_COUNT(columns));
    l->axis.rows = "call";
    l->axis.unit = "us";
    l->axis.unit_ns = 1000;
    USH_TRY(lab_process(l, detached));
    lab_row(l, "threads that nobody joins",
            (double[]){(double)l->book->figures[0], (double)l->book->figures[1]});
    USH_TRY(lab_process(l, scoped));
    lab_row(l, "tasks in a scope",
            (double[]){(double)l->book->figures[0], (double)l->book->figures[1]});
    lab_say(l, "The scope says: %s", l->book->words);
    return 0;
}
