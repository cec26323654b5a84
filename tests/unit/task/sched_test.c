/*
 * sched_test.c - spawning, taking turns, sleeping, and what a task can ask about itself.
 */
#include "both.h"

#include <fenv.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "../../slow.h"
#include "task/task.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- order ----------------------------------------------------------------------------------- */

struct log {
    char text[64];
    size_t len;
};

struct entry {
    struct log *log;
    char letter;
};

static int write_twice(void *arg)
{
    struct entry *e = arg;
    e->log->text[e->log->len++] = e->letter;
    ush_yield();
    e->log->text[e->log->len++] = e->letter;
    return 0;
}

static int take_turns(void *unused)
{
    (void)unused;
    struct log log = {0};
    struct entry entries[] = {{&log, 'a'}, {&log, 'b'}, {&log, 'c'}};
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (int i = 0; i < 3; i++)
        ush_spawn(&s, write_twice, &entries[i]);
    ck_assert_str_eq(log.text, ""); /* a task never runs inside the spawn */
    ush_yield();
    ck_assert_str_eq(log.text, "abc"); /* a yield lets every other ready task run once */
    ush_scope_close(&s);
    ck_assert_str_eq(log.text, "abcabc");
    return 0;
}

START_TEST(order_of_service)
{
    ck_assert_int_eq(both_run(_i, take_turns), 0);
}
END_TEST

static int spin(void *arg)
{
    int *turns = arg;
    while (ush_yield() == 0)
        ++*turns;
    return 0;
}

/* A task that is always ready keeps neither a timer nor a new task from running. */
BOTH_TEST(nobody_starves)
{
    struct ush_scope s;
    int turns = 0;
    int64_t ms = ush_is_sim() ? 200 : allow(200); /* a simulated clock knows no slow machine */
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + ms * USH_MS});
    ush_spawn(&s, spin, &turns);
    ush_spawn(&s, spin, &turns);
    ck_assert_int_eq(ush_sleep(USH_MS), 0);
    ck_assert_int_eq(ush_spawn(&s, nothing, NULL), 0);
    ck_assert_int_eq(ush_sleep(3600 * USH_SECOND), -ETIMEDOUT);
    ck_assert_int_eq(ush_scope_close(&s), -ETIMEDOUT);
    ck_assert_int_gt(turns, 10);
    return 0;
}

struct rally {
    struct ush_event mine, *other;
    bool *is_over;
};

static int hit_back(void *arg)
{
    struct rally *r = arg;
    while (!*r->is_over) {
        ush_event_set(r->other);
        USH_TRY(ush_event_wait(&r->mine));
        ush_event_reset(&r->mine);
    }
    ush_event_set(r->other);
    return 0;
}

static int end_it(void *arg)
{
    *(bool *)arg = true;
    return 0;
}

/* Woken tasks come first, but two that wake each other for ever do not keep a new one out. */
BOTH_TEST(new_tasks_get_their_share)
{
    bool is_over = false;
    struct rally a = {.is_over = &is_over}, b = {.is_over = &is_over, .other = &a.mine};
    a.other = &b.mine;
    ush_event_init(&a.mine, "a");
    ush_event_init(&b.mine, "b");
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, hit_back, &a);
    ush_spawn(&s, hit_back, &b);
    ush_sleep(USH_MS);
    ck_assert_int_eq(ush_spawn(&s, end_it, &is_over), 0);
    return ush_scope_close(&s);
}

static int compute(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        int64_t until = ush__loop->backend->now_ns(ush__loop) + 600000;
        while (ush__loop->backend->now_ns(ush__loop) < until)
            ;
        ush_yield();
    }
    return 0;
}

static int slices(void *unused)
{
    (void)unused;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (int i = 0; i < 8; i++)
        ush_spawn(&s, compute, NULL);
    uint64_t turns = ush_loop_stats().turns;
    ck_assert_int_eq(ush_scope_close(&s), 0);
    /* 80 runs, each longer than a slice: soon every one is followed by a look at the world. */
    ck_assert_uint_ge(ush_loop_stats().turns - turns, 60);
    return 0;
}

START_TEST(long_runs_end_the_slice)
{
    ck_assert_int_eq(both_run(BOTH_EPOLL, slices), 0);
}
END_TEST

static int take_often(void *arg)
{
    struct ush_semaphore *sem = arg;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(ush_semaphore_take(sem), 0); /* never has to wait */
        ush_semaphore_give(sem);
    }
    return 0;
}

/* Calls that complete at once are charged all the same. */
BOTH_TEST(budget_makes_a_busy_task_yield)
{
    struct ush_semaphore sem;
    struct ush_scope s;
    ush_semaphore_init(&sem, "sem", 8);
    ush_scope_open(&s, NULL);
    ush_spawn(&s, take_often, &sem);
    uint64_t before = ush_loop_stats().resumes;
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_uint_ge(ush_loop_stats().resumes - before, 1000 / 128);
    before = ush_loop_stats().resumes;
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ush_spend(64), 0);
    ck_assert_uint_ge(ush_loop_stats().resumes - before, 100 * 64 / 128);
    return 0;
}

/* ---- spawning -------------------------------------------------------------------------------- */

static int fill_up(void *unused)
{
    (void)unused;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (int i = 0; i < 9; i++)
        ck_assert_int_eq(ush_spawn(&s, nothing, NULL), 0);
    ck_assert_int_eq(ush_spawn(&s, nothing, NULL), USH_EFULL);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_uint_eq(ush_loop_stats().tasks_peak, 10);
    return 42;
}

START_TEST(tasks_have_a_limit)
{
    struct ush_loop_options o = {.tasks_max = 10};
    ck_assert_int_eq(ush_run(&o, fill_up, NULL), 42);
    o.stack_bytes = 100000; /* not a power of two */
    ck_assert_int_eq(ush_run(&o, fill_up, NULL), -EINVAL);
}
END_TEST

static int outlive_root(void *arg)
{
    ush_sleep(2 * USH_MS);
    *(bool *)arg = true;
    return -EIO; /* the root scope keeps going, and the result is that of the root task */
}

BOTH_TEST(root_scope_is_waited_for)
{
    static bool ended;
    ended = false;
    ck_assert_int_eq(ush_spawn(ush_root_scope(), outlive_root, &ended), 0);
    return 0;
}

struct parcel {
    int number;
    char text[60];
    int *sum;
};

static int read_parcel(void *arg)
{
    struct parcel *l = arg;
    ck_assert_str_eq(l->text, "by value");
    *l->sum += l->number;
    return 0;
}

/* The argument is the task's own: it outlives the place that it was copied from. */
BOTH_TEST(argument_is_copied)
{
    int sum = 0;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (int i = 1; i <= 10; i++) {
        struct parcel l = {.number = i, .text = "by value", .sum = &sum};
        const struct ush_spawn_options o = {.copy_bytes = sizeof(l)};
        ck_assert_int_eq(ush_spawn_with(&s, &o, read_parcel, &l), 0);
        memset(&l, 0xee, sizeof(l));
    }
    ck_assert_int_eq(ush_scope_close(&s), 0);
    ck_assert_int_eq(sum, 55);
    return 0;
}

BOTH_TEST(a_task_knows_itself)
{
    ck_assert(ush_is_task());
    ck_assert_str_eq(ush_task_name(), "root");
    char *first = ush_arena_alloc(ush_task_arena(), 100);
    char here;
    ck_assert_int_lt(labs(first - &here), 4096); /* on the task's own first page */
    ck_assert_ptr_nonnull(ush_arena_alloc(ush_task_arena(), 100000));
    return 0;
}

static int on_loop_stack(void *arg)
{
    ck_assert(!ush_is_task());
    ck_assert_str_eq(ush_task_name(), "loop");
    char deep[400000]; /* more than a task's whole stack */
    memset(deep, *(char *)arg, sizeof deep);
    return deep[sizeof deep / 2];
}

BOTH_TEST(leaf_code_on_the_loops_stack)
{
    char x = 7;
    ck_assert_int_eq(ush_on_loop_stack(on_loop_stack, &x), 7);
    ck_assert(ush_is_task());
    return 0;
}

/* ---- sleeping -------------------------------------------------------------------------------- */

BOTH_TEST(sleep_is_never_too_short)
{
    for (int64_t ms = 0; ms < 4; ms++) {
        int64_t start = ush_now_ns();
        ck_assert_int_eq(ush_sleep(ms * USH_MS), 0);
        ck_assert_int_ge(ush_now_ns() - start, ms * USH_MS);
    }
    return 0;
}

static int sleep_after_work(void *unused)
{
    (void)unused;
    struct ush_loop *l = ush__loop;
    int64_t until = ush_now_ns() + 3 * USH_MS; /* the loop's clock is that old then */
    while (l->backend->now_ns(l) < until)
        ;
    int64_t start = l->backend->now_ns(l);
    ck_assert_int_eq(ush_sleep(2 * USH_MS), 0);
    ck_assert_int_ge(l->backend->now_ns(l) - start, 2 * USH_MS);
    return 0;
}

START_TEST(sleep_is_not_shortened_by_an_old_clock)
{
    ck_assert_int_eq(both_run(BOTH_EPOLL, sleep_after_work), 0);
}
END_TEST

/* ---- the switch keeps what a call must keep -------------------------------------------------- */

static int round_up(void *arg)
{
    (void)arg;
    fesetround(FE_UPWARD);
    for (int i = 0; i < 10; i++) {
        ush_yield();
        ck_assert_int_eq(fegetround(), FE_UPWARD);
    }
    return 0;
}

BOTH_TEST(control_words_belong_to_the_task)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, round_up, NULL);
    for (int i = 0; i < 10; i++) {
        ush_yield();
        ck_assert_int_eq(fegetround(), FE_TONEAREST);
    }
    ck_assert_int_eq(ush_scope_close(&s), 0);
    return 0;
}

/* More live values than there are registers, over many switches. */
static int keep_values(void *arg)
{
    uint64_t a = (uintptr_t)arg, b = a * 3, c = a * 5, d = a * 7, e = a * 11, f = a * 13,
             g = a * 17;
    double x = (double)a, y = x * 3, z = x * 5;
    for (int i = 0; i < 50; i++) {
        ush_yield();
        a++, b += 3, c += 5, d += 7, e += 11, f += 13, g += 17;
        x += 1, y += 3, z += 5;
    }
    ck_assert(b == a * 3 && c == a * 5 && d == a * 7 && e == a * 11 && f == a * 13 && g == a * 17);
    ck_assert(x == (double)a && y == x * 3 && z == x * 5);
    return 0;
}

BOTH_TEST(registers_are_kept)
{
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    for (uintptr_t i = 1; i <= 20; i++)
        ush_spawn(&s, keep_values, (void *)(i * 1000));
    return ush_scope_close(&s);
}

/* ---- posts from other threads ---------------------------------------------------------------- */

enum { POSTS = 2000, THREADS = 4 };

static struct mailbox {
    struct ush_loop *loop;
    struct ush_event all;
    int received, last[THREADS];
    struct letter {
        struct ush__post post;
        int thread, number;
    } letters[THREADS][POSTS];
} mailbox;

static void on_letter(struct ush__post *post)
{
    struct letter *letter = USH_CONTAINER(post, struct letter, post);
    ck_assert_int_eq(letter->number, mailbox.last[letter->thread]++); /* in order per thread */
    if (++mailbox.received == POSTS * THREADS)
        ush_event_set(&mailbox.all);
}

static void *post_all(void *arg)
{
    int thread = (int)(intptr_t)arg;
    for (int i = 0; i < POSTS; i++) {
        struct letter *letter = &mailbox.letters[thread][i];
        *letter = (struct letter){.post.fn = on_letter, .thread = thread, .number = i};
        ush__post(mailbox.loop, &letter->post);
    }
    return NULL;
}

static int receive_letters(void *unused)
{
    (void)unused;
    pthread_t threads[THREADS];
    mailbox.loop = ush__loop;
    ush_event_init(&mailbox.all, "letters");
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, post_all, (void *)i);
    int r = ush_event_wait(&mailbox.all);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return r;
}

START_TEST(threads_wake_the_loop)
{
    ck_assert_int_eq(both_run(BOTH_EPOLL, receive_letters), 0);
}
END_TEST

/* Each letter is sent when the one before it has been read: mostly the loop sleeps. */
static struct {
    struct ush_loop *loop;
    struct ush__post post;
    sem_t is_read;
    struct ush_event all;
} pen_friend;

static void on_answer(struct ush__post *post)
{
    (void)post;
    sem_post(&pen_friend.is_read);
}

static void on_last(struct ush__post *post)
{
    (void)post;
    ush_event_set(&pen_friend.all);
}

static void *write_letters(void *unused)
{
    for (int i = 0; i < 300; i++) {
        pen_friend.post.fn = on_answer;
        ush__post(pen_friend.loop, &pen_friend.post);
        sem_wait(&pen_friend.is_read);
    }
    pen_friend.post.fn = on_last;
    ush__post(pen_friend.loop, &pen_friend.post);
    return unused;
}

static int read_letters(void *unused)
{
    (void)unused;
    pthread_t thread;
    pen_friend.loop = ush__loop;
    sem_init(&pen_friend.is_read, 0, 0);
    ush_event_init(&pen_friend.all, "last letter");
    pthread_create(&thread, NULL, write_letters, NULL);
    int r = ush_event_wait(&pen_friend.all);
    pthread_join(thread, NULL);
    return r;
}

START_TEST(a_post_wakes_the_sleeper)
{
    ck_assert_int_eq(both_run(BOTH_EPOLL, read_letters), 0);
}
END_TEST

/* ---- bugs that end the process --------------------------------------------------------------- */

static int suspend_inside(void *unused)
{
    (void)unused;
    ush_no_suspend_begin();
    int r = ush_sleep(0);
    ush_no_suspend_end();
    return r;
}

START_TEST(suspension_where_it_is_forbidden_is_a_bug)
{
    both_run(BOTH_EPOLL, suspend_inside);
}
END_TEST

static int sleep_there(void *unused)
{
    (void)unused;
    return ush_sleep(0);
}

static int suspend_on_loop_stack(void *unused)
{
    (void)unused;
    return ush_on_loop_stack(sleep_there, NULL);
}

START_TEST(suspension_on_the_loops_stack_is_a_bug)
{
    both_run(BOTH_EPOLL, suspend_on_loop_stack);
}
END_TEST

START_TEST(outside_of_a_loop)
{
    ck_assert_str_eq(ush_task_name(), "thread");
    ck_assert(!ush_is_task());
    ck_assert(!ush_is_sim());
    ck_assert_ptr_null(ush_task_arena());
    ck_assert_int_gt(ush_now_ns(), 0);
    ck_assert_int_gt(ush_wall_ms(), INT64_C(1700000000000));
    uint64_t a = 0, b = 0;
    ush_random(&a, sizeof a);
    ush_random(&b, sizeof b);
    ck_assert_uint_ne(a, b);
    ush_no_suspend_begin();
    ush_no_suspend_end();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sched");
    TCase *tc = tcase_create("sched");
    tcase_add_loop_test(tc, order_of_service, BOTH_EPOLL, BOTH_SIM_FIFO + 1);
    both_add(tc, nobody_starves);
    both_add(tc, new_tasks_get_their_share);
    tcase_add_test(tc, long_runs_end_the_slice);
    both_add(tc, budget_makes_a_busy_task_yield);
    tcase_add_test(tc, tasks_have_a_limit);
    both_add(tc, root_scope_is_waited_for);
    both_add(tc, argument_is_copied);
    both_add(tc, a_task_knows_itself);
    both_add(tc, leaf_code_on_the_loops_stack);
    both_add(tc, sleep_is_never_too_short);
    tcase_add_test(tc, sleep_is_not_shortened_by_an_old_clock);
    both_add(tc, control_words_belong_to_the_task);
    both_add(tc, registers_are_kept);
    tcase_add_test(tc, threads_wake_the_loop);
    tcase_add_test(tc, a_post_wakes_the_sleeper);
    tcase_add_test_raise_signal(tc, suspension_where_it_is_forbidden_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(tc, suspension_on_the_loops_stack_is_a_bug, SIGABRT);
    tcase_add_test(tc, outside_of_a_loop);
    suite_add_tcase(s, tc);
    return both_main(s);
}
