/*
 * dump_test.c - what ush_dump says about tasks, waits, holders and circles.
 */
#include <semaphore.h>

#include "both.h"

static struct {
    struct ush_mutex door, till;
    struct ush_semaphore seats;
    struct ush_event whistle;
    struct ush_channel pipe;
    struct ush_scope *gate;
    char slots[2];
    char text[16384];
} x;

static void begin(void)
{
    memset(&x, 0, sizeof x);
    ush_mutex_init(&x.door, "door");
    ush_mutex_init(&x.till, "till");
    ush_semaphore_init(&x.seats, "seats", 1);
    ck_assert(ush_semaphore_try(&x.seats));
    ush_event_init(&x.whistle, "whistle");
    ush_channel_init(&x.pipe, "pipe", x.slots, 1, 2);
}

static void settle(void)
{
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(ush_yield(), 0);
}

static void dump(void)
{
    struct ush_buf b;
    ush_buf_init(&b, sizeof x.text - 1);
    ush_dump(&b);
    ck_assert_int_eq(b.error, 0);
    memcpy(x.text, ush_buf_text(&b).at, b.len);
    x.text[b.len] = '\0';
    ush_buf_fini(&b);
}

#define says(part)                                                                                 \
    ck_assert_msg(strstr(x.text, (part)) != NULL, "no \"%s\" in:\n%s", (part), x.text)
#define says_not(part)                                                                             \
    ck_assert_msg(strstr(x.text, (part)) == NULL, "\"%s\" in:\n%s", (part), x.text)

static int wait_door(void *arg)
{
    (void)arg;
    return ush_mutex_lock(&x.door);
}

static int wait_seats(void *arg)
{
    (void)arg;
    return ush_semaphore_take(&x.seats);
}

static int wait_whistle(void *arg)
{
    (void)arg;
    return ush_event_wait(&x.whistle);
}

static int wait_pipe(void *arg)
{
    char c;
    (void)arg;
    return ush_channel_recv(&x.pipe, &c);
}

static int wait_long(void *arg)
{
    (void)arg;
    return ush_sleep(100 * USH_SECOND);
}

static int hold_and_open(void *arg)
{
    (void)arg;
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.name = "rush"});
    int r = ush_spawn(&s, wait_whistle, NULL);
    if (r == 0)
        r = ush_scope_close(&s);
    return r;
}

BOTH_TEST(every_task_is_named_with_its_wait)
{
    begin();
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.name = "hall"});
    ck_assert_int_eq(ush_mutex_lock(&x.door), 0);
    ck_assert_int_eq(ush_spawn(&s, wait_door, NULL), 0);
    ck_assert_int_eq(ush_spawn(&s, wait_seats, NULL), 0);
    ck_assert_int_eq(ush_spawn(&s, wait_pipe, NULL), 0);
    ck_assert_int_eq(ush_spawn(&s, wait_long, NULL), 0);
    ck_assert_int_eq(ush_spawn(&s, hold_and_open, NULL), 0);
    settle();
    dump();
    says("scope \"hall\"");
    says("\"wait_door\" tests/unit/task/dump_test.c:");
    says("waits for mutex \"door\" held by task 1 ");
    says("waits for semaphore \"seats\" (0 of 1 free)");
    says("waits for a message from \"pipe\" (0 of 2 full)");
    says("waits for a moment in ");
    says("waits for the children of scope \"rush\"");
    /* The tree: root, main, hall, its task, that one's scope, and the task in it. */
    says("\n        scope \"rush\"\n          task 7 \"wait_whistle\"");
    says("waits for event \"whistle\"");
    says_not("deadlock");
    ush_scope_cancel(&s, USH_CANCEL_SHUTDOWN);
    dump();
    says("scope \"hall\" cancelled: shutdown");
    ush_scope_close(&s);
    ush_mutex_unlock(&x.door);
    return 0;
}

static int flush_at_the_whistle(void *ctx, struct ush_batch_item **items, size_t n)
{
    (void)ctx, (void)items, (void)n;
    return ush_event_wait(&x.whistle);
}

static int submit(void *arg)
{
    struct ush_batch_item item;
    return ush_batch_submit(arg, &item);
}

BOTH_TEST(a_batch_is_named_with_what_waits_in_it)
{
    begin();
    struct ush_batch batch;
    struct ush_scope home;
    ush_scope_open(&home, &(struct ush_scope_options){.name = "home"});
    struct ush_batch_options o = {
        .name = "sales", .max = 4, .queue_max = 4, .flush = flush_at_the_whistle};
    ck_assert_int_eq(ush_batch_init(&batch, &home, &o), 0);
    ck_assert_int_eq(ush_spawn(&home, submit, &batch), 0);
    settle();
    ck_assert_int_eq(ush_spawn(&home, submit, &batch), 0);
    settle();
    dump();
    says("\"submit\" tests/unit/task/dump_test.c:");
    says("waits for the flush of \"sales\" (1 waiting)");
    says("task 3 \"sales\" src/task/batch.c:");
    ush_event_set(&x.whistle);
    ck_assert_int_eq(ush_scope_close(&home), 0);
    ush_batch_fini(&batch);
    return 0;
}

static int wait_for_post(void *arg)
{
    sem_wait(arg);
    return 0;
}

static int offload(void *arg)
{
    return ush_offload(ush_cpu_pool(), wait_for_post, arg);
}

static int pool_body(void *arg)
{
    sem_t post;
    sem_init(&post, 0, 0);
    struct ush_scope s;
    (void)arg;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn(&s, offload, &post), 0);
    while (ush_pool_stats(ush_cpu_pool()).running == 0)
        ush_yield();
    dump();
    says("waits for a thread of pool \"cpu\" (1 running, 0 waiting)");
    sem_post(&post);
    return ush_scope_close(&s);
}

START_TEST(a_pool_is_named_with_its_load)
{
    ck_assert_int_eq(both_run(BOTH_EPOLL, pool_body), 0);
}
END_TEST

/* ---- circles ------------------------------------------------------------------------------ */

static int door_then_till(void *arg)
{
    (void)arg;
    USH_TRY(ush_mutex_lock(&x.door));
    int r = ush_event_wait(&x.whistle);
    if (r == 0)
        r = ush_mutex_lock(&x.till);
    if (r == 0)
        ush_mutex_unlock(&x.till);
    ush_mutex_unlock(&x.door);
    return r;
}

static int till_then_door(void *arg)
{
    (void)arg;
    USH_TRY(ush_mutex_lock(&x.till));
    int r = ush_event_wait(&x.whistle);
    if (r == 0)
        r = ush_mutex_lock(&x.door);
    if (r == 0)
        ush_mutex_unlock(&x.door);
    ush_mutex_unlock(&x.till);
    return r;
}

BOTH_TEST(two_mutexes_in_the_wrong_order_are_a_circle)
{
    begin();
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn(&s, door_then_till, NULL), 0);
    ck_assert_int_eq(ush_spawn(&s, till_then_door, NULL), 0);
    settle();
    ck_assert_int_eq(ush_spawn(&s, wait_door, NULL), 0); /* waits, but is not in the circle */
    settle();
    dump();
    says_not("deadlock");
    ush_event_set(&x.whistle);
    settle();
    for (int twice = 0; twice < 2; twice++) { /* the marks of the search are put back */
        dump();
        ck_assert_ptr_eq(strstr(x.text, "deadlock: task"), x.text);
        ck_assert_ptr_null(strstr(x.text + 1, "deadlock:"));
        char *tree = strstr(x.text, "\nscope");
        ck_assert_ptr_nonnull(tree);
        *tree = '\0';
        says(
            "task 2 \"door_then_till\" waits for mutex \"till\" held by task 3 \"till_then_door\"");
        says(
            "task 3 \"till_then_door\" waits for mutex \"door\" held by task 2 \"door_then_till\"");
        says_not("wait_door");
    }
    ush_scope_cancel(&s, USH_CANCEL_ASKED);
    ush_scope_close(&s);
    return 0;
}

static int close_around_a_lock(void *arg)
{
    (void)arg;
    USH_TRY(ush_mutex_lock(&x.door));
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.name = "inside"});
    x.gate = &s;
    ush_spawn(&s, wait_door, NULL);
    int r = ush_scope_close(&s);
    ush_mutex_unlock(&x.door);
    return r;
}

BOTH_TEST(a_child_that_waits_for_its_parents_mutex_is_a_circle)
{
    begin();
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.keep_going = true});
    ck_assert_int_eq(ush_spawn(&s, close_around_a_lock, NULL), 0);
    settle();
    dump();
    says("deadlock: task 2 \"close_around_a_lock\" waits for the children of scope \"inside\";\n"
         "          task 3 \"wait_door\" waits for mutex \"door\" held by task 2 "
         "\"close_around_a_lock\"\n");
    ush_scope_cancel(x.gate, USH_CANCEL_ASKED);
    ush_scope_close(&s);
    return 0;
}

/* ---- deep, and since when ----------------------------------------------------------------- */

static int nest(void *arg)
{
    intptr_t depth = (intptr_t)arg;
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    int r = depth > 0 ? ush_spawn(&s, nest, (void *)(depth - 1)) : ush_event_wait(&x.whistle);
    int closed = ush_scope_close(&s);
    return r ? r : closed;
}

BOTH_TEST(a_text_that_does_not_fit_is_cut_not_overrun)
{
    begin();
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ck_assert_int_eq(ush_spawn(&s, nest, (void *)300), 0);
    for (int i = 0; i < 700; i++)
        settle();
    struct ush_buf b;
    ush_buf_init(&b, 1000);
    ush_dump(&b);
    ck_assert_uint_le(b.len, 1000);
    ck_assert_int_eq(b.error, USH_ELIMIT);
    ush_buf_fini(&b);
    ush_event_set(&x.whistle);
    ck_assert_int_eq(ush_scope_close(&s), 0);
    return 0;
}

static int since_when_body(void *arg)
{
    (void)arg;
    begin();
    struct ush_scope s;
    ush_scope_open(&s, &(struct ush_scope_options){.deadline_ns = ush_now_ns() + 2 * USH_SECOND});
    ck_assert_int_eq(ush_spawn(&s, wait_whistle, NULL), 0);
    ck_assert_int_eq(ush_sleep(1234 * (int64_t)USH_MS), 0);
    dump();
    says("waits for event \"whistle\" for 1.234 s");
    says("deadline in 0.766 s");
    ck_assert_int_eq(ush_scope_close(&s), -ETIMEDOUT);
    return 0;
}

START_TEST(since_when)
{
    ck_assert_int_eq(both_run(BOTH_SIM_FIFO, since_when_body), 0);
}
END_TEST

static int stuck(void *arg)
{
    (void)arg;
    begin();
    struct ush_scope s;
    ush_scope_open(&s, NULL);
    ush_spawn(&s, door_then_till, NULL);
    ush_spawn(&s, till_then_door, NULL);
    settle();
    ush_event_set(&x.whistle);
    return ush_scope_close(&s);
}

START_TEST(sim_reports_the_circle)
{
    struct ush_sim_options o = {.seed = 1, .order = USH_SIM_RANDOM};
    struct ush_sim_report report;
    ck_assert_int_eq(ush_sim_run(&o, stuck, NULL, &report), USH_EDEADLOCK);
    memcpy(x.text, report.text, sizeof report.text);
    says("deadlock: task");
    says("waits for mutex \"till\" held by task 3 \"till_then_door\"");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dump");
    TCase *tc = tcase_create("dump");
    both_add(tc, every_task_is_named_with_its_wait);
    both_add(tc, a_batch_is_named_with_what_waits_in_it);
    tcase_add_test(tc, a_pool_is_named_with_its_load);
    both_add(tc, two_mutexes_in_the_wrong_order_are_a_circle);
    both_add(tc, a_child_that_waits_for_its_parents_mutex_is_a_circle);
    both_add(tc, a_text_that_does_not_fit_is_cut_not_overrun);
    tcase_add_test(tc, since_when);
    tcase_add_test(tc, sim_reports_the_circle);
    suite_add_tcase(s, tc);
    return both_main(s);
}
