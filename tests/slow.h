/*
 * slow.h - for tests that also run under sanitizers and Valgrind, where all takes ten to fifty
 * times as long. tools/test then sets TESTS_ARE_SLOW to what rounds are divided by.
 */
#ifndef TESTS_SLOW_H
#define TESTS_SLOW_H

#include <stdint.h>
#include <stdlib.h>

/* Of n rounds, seeds or mutations, as many as there is time for; at least one. */
static inline int fewer(int n)
{
    const char *by = getenv("TESTS_ARE_SLOW");
    int divisor = by ? atoi(by) : 1;
    return divisor > 1 && n > divisor ? n / divisor : divisor > 1 ? 1 : n;
}

/* For what is not to take long on a quiet machine of today; tools/test says in TESTS_PATIENCE how
 * far this one is from that. */
static inline int64_t allow(int64_t ms)
{
    const char *patience = getenv("TESTS_PATIENCE");
    double times = patience ? atof(patience) : 1;
    return (int64_t)(times * (double)(getenv("TESTS_ARE_SLOW") ? 10 * ms : ms));
}

#endif
