/*
 * slots.h - what a session knows of a statement, found by the statement's address.
 *
 * A `struct ush_statement` is static in every program, so its address is its name. Open addressing
 * over the addresses; the table is kept at most half full, and nothing is ever taken out of it.
 * What a place points to begins with the statement's address.
 */
#ifndef USH_SQL_SLOTS_H
#define USH_SQL_SLOTS_H

#include <stdlib.h>

#include "usher/sql.h"

struct ush__slot_head {
    const struct ush_statement *statement; /* borrowed for ever */
};

struct ush__slots {
    struct ush__slot_head **at; /* owned */
    uint32_t room, count;
};

static inline struct ush__slot_head **ush__slots_find(const struct ush__slots *s,
                                                      const struct ush_statement *st)
{
    uint32_t i = (uint32_t)(((uintptr_t)st >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 40);
    for (;; i++) {
        struct ush__slot_head **place = &s->at[i & (s->room - 1)];
        if (!*place || (*place)->statement == st)
            return place;
    }
}

/* The place of a statement: what is known of it, or NULL to be filled in and counted by
 * ush__slots_fill. NULL without memory. */
static inline struct ush__slot_head **ush__slots_place(struct ush__slots *s,
                                                       const struct ush_statement *st)
{
    if (s->count * 2 >= s->room) {
        struct ush__slots old = *s;
        uint32_t room = old.room ? old.room * 2 : 64;
        struct ush__slot_head **at = (struct ush__slot_head **)calloc(room, sizeof *at);
        if (!at)
            return NULL;
        *s = (struct ush__slots){at, room, old.count};
        for (uint32_t i = 0; i < old.room; i++) {
            if (old.at[i])
                *ush__slots_find(s, old.at[i]->statement) = old.at[i];
        }
        free(old.at);
    }
    return ush__slots_find(s, st);
}

static inline void ush__slots_fill(struct ush__slots *s, struct ush__slot_head **place,
                                   struct ush__slot_head *what)
{
    *place = what;
    s->count++;
}

/* Empties the table after `end` was called with each. */
static inline void ush__slots_fini(struct ush__slots *s, void (*end)(struct ush__slot_head *))
{
    for (uint32_t i = 0; i < s->room; i++) {
        if (s->at[i])
            end(s->at[i]);
    }
    free(s->at);
    *s = (struct ush__slots){0};
}

#endif
