/*
 * gather.c - a hundred mail calls of two seconds each: one by one, all together, ten at a time.
 *
 * Each call is a wait and not work, so one loop can hold all of them at once. The loop here is a
 * simulated one: its clock is virtual and jumps to the next timer, so this ends in milliseconds
 * and prints the same every time. Under ush_run the same functions take the real time.
 */
#include <stdio.h>

#include "usher/usher.h"

enum { STUDENTS = 100, AT_ONCE = 10 };

struct mail {
    int student;
    bool is_sent;
};

static int send_mail(void *arg)
{
    struct mail *m = arg;
    USH_TRY(ush_sleep(2 * USH_SECOND)); /* in place of a mail server */
    m->is_sent = true;
    return 0;
}

static int one_by_one(struct mail *mails)
{
    for (int i = 0; i < STUDENTS; i++)
        USH_TRY(send_mail(&mails[i]));
    return 0;
}

static int together(struct mail *mails)
{
    return ush_gather(STUDENTS, 0, send_mail, mails, sizeof *mails);
}

/* As many as the mail server likes, and no more. */
static int with_a_cap(struct mail *mails)
{
    return ush_gather(STUDENTS, AT_ONCE, send_mail, mails, sizeof *mails);
}

static int try(const char *name, int (*way)(struct mail *))
{
    struct mail mails[STUDENTS] = {0};
    int64_t start_ns = ush_now_ns(), sent = 0;
    USH_TRY(way(mails));
    for (int i = 0; i < STUDENTS; i++)
        sent += mails[i].is_sent;
    printf("%-14s %3d mails in %5.1f s\n", name, (int)sent,
           (double)(ush_now_ns() - start_ns) / 1e9);
    return 0;
}

static int run(void *unused __attribute__((unused)))
{
    USH_TRY(try("one by one", one_by_one));
    USH_TRY(try("together", together));
    return try("ten at a time", with_a_cap);
}

int main(void)
{
    return ush_sim_run(&(struct ush_sim_options){.seed = 1}, run, NULL, NULL) < 0;
}
