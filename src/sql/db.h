/*
 * db.h - what db.c offers to the other files of this folder.
 */
#ifndef USH_SQL_DB_H
#define USH_SQL_DB_H

#include "sql/driver.h"

/* Waits until the event is set, whatever is cancelled meanwhile. May suspend. */
static inline void ush__wait_shielded(struct ush_event *e)
{
    while (!e->is_set) {
        struct ush_scope shield;
        struct ush_scope_options o = {.name = e->name, .shield = true, .deadline_ns = USH_NEVER};
        ush_scope_open(&shield, &o);
        ush_event_wait(e);
        ush_scope_close(&shield);
    }
}

/* Runs fn alone with the session that commits; -EBUSY if that is another process's. May suspend. */
int ush__db_alone(struct ush_db *db,
                  int (*fn)(struct ush__session *s, struct ush_arena *arena, void *arg), void *arg);

#endif
