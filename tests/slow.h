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

/* For what is not to take long on a machine of today. */
static inline int64_t allow(int64_t ms)
{
    return getenv("TESTS_ARE_SLOW") ? 10 * ms : ms;
}

#endif
