/*
 * db.h - what db.c offers to the other files of this folder.
 */
#ifndef USH_SQL_DB_H
#define USH_SQL_DB_H

#include "sql/driver.h"

/* Runs fn alone with the session that commits; -EBUSY if that is another process's. May suspend. */
int ush__db_alone(struct ush_db *db,
                  int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg), void *arg);

#endif
