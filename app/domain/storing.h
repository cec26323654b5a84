/*
 * storing.h - how long it took in the last minute until something was stored: from the moment a
 * handler asks to the moment it knows, so with the wait for the writer, the batch and the disk. The
 * dashboard and /metrics show it.
 *
 * The counts lie in memory that the workers of a host share. A slot counts ten seconds in steps of
 * a quarter of an octave, so a time is told too high by at most a quarter. Who finds a slot of a
 * minute ago empties it; what another worker counts in that instant may be lost, which nobody
 * notices in a picture of a minute.
 */
#ifndef DOMAIN_STORING_H
#define DOMAIN_STORING_H

#include <stdatomic.h>

#include "usher/sql.h"

struct fest;

enum { STORING_SLOTS = 7, STORING_STEPS = 104 }; /* up to 2^27 us: two minutes */
struct storing {
    struct {
        _Atomic int64_t turn; /* which ten seconds these are */
        _Atomic uint32_t counts[STORING_STEPS];
    } slots[STORING_SLOTS];
};

void storing_add(struct storing *s, int64_t now_ns, int64_t took_ns);

struct storing_times {
    uint64_t count;
    int64_t half_us, most_us, all_us; /* what 50, 99 and 100 of a hundred did not exceed */
};
struct storing_times storing_last_minute(const struct storing *s, int64_t now_ns);

/* ush_change of a process that serves, with its time. */
int storing_change(struct fest *f, const struct ush_operation *op, const void *in, void *ret,
                   struct ush_arena *arena);

#endif
