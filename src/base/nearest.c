/*
 * nearest.c - "did you mean": the known word nearest to a mistyped one.
 *
 * The distance is that of Damerau and Levenshtein in its simple form (optimal string alignment):
 * one letter inserted, left out, replaced, or swapped with its neighbour counts one. Letters are
 * compared without case, and '-' is '_', since the words are options, variables and subcommands.
 *
 * Three rows of the table are kept, so words are limited to WORD_MAX bytes; a longer one is near
 * to nothing.
 */
#include "base/base.h"

enum { WORD_MAX = 80 };

static char fold(char c)
{
    return c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned ush__distance(ush_text a, ush_text b)
{
    if (a.len > WORD_MAX || b.len > WORD_MAX)
        return UINT32_MAX;
    unsigned rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            char x = fold(a.at[i - 1]), y = fold(b.at[j - 1]);
            unsigned best = smaller(last[j - 1] + (x != y), smaller(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && x == fold(b.at[j - 2]) && fold(a.at[i - 2]) == y)
                best = smaller(best, before[j - 2] + 1);
            now[j] = best;
        }
        unsigned *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.len];
}

const char *ush_nearest(ush_text word, const char *const *words)
{
    const char *nearest = NULL;
    /* A third of the letters may be wrong; beyond that a suggestion confuses. */
    unsigned best = (unsigned)(word.len < 3 ? 1 : word.len / 3) + 1;
    for (; *words; words++) {
        unsigned d = ush__distance(word, ush_text_of(*words));
        if (d < best) {
            best = d;
            nearest = *words;
        }
    }
    return nearest;
}
