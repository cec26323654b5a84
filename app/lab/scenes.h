/*
 * scenes.h - what the files of the scenes give to the table in scenes.c.
 */
#ifndef LAB_SCENES_H
#define LAB_SCENES_H

#include "lab/lab.h"

int lab_run_blocking(struct lab *l);
int lab_run_workers(struct lab *l);
int lab_run_thread_each(struct lab *l);
int lab_run_thread_pool(struct lab *l);
int lab_run_callbacks(struct lab *l);
int lab_run_tasks(struct lab *l);
int lab_run_task_workers(struct lab *l);
int lab_run_models(struct lab *l);
int lab_run_ten_thousand(struct lab *l);
int lab_run_blocked_loop(struct lab *l);
int lab_run_cook(struct lab *l);
int lab_run_gather(struct lab *l);
int lab_run_fan_out(struct lab *l);
int lab_run_lost_update(struct lab *l);
int lab_run_await_race(struct lab *l);
int lab_run_deadlock(struct lab *l);
int lab_run_oversell(struct lab *l);
int lab_run_lost_work(struct lab *l);
int lab_run_swallowed(struct lab *l);

extern const char lab_source_blocking[], lab_source_threads[], lab_source_callbacks[],
    lab_source_tasks[], lab_source_loop[], lab_source_waits[], lab_source_races[],
    lab_source_lost[];

#endif
