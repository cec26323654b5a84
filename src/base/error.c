/*
 * error.c - one sentence for every negative code that a function of ours may return.
 *
 * Two families share the negative numbers: negated errno values and the USH_E... of base.h, which
 * lie far below. Both give static text, so the answer may be kept, logged from any thread and
 * never freed.
 */
#include "usher/base.h"

#include <string.h>

/* The families must not meet: Linux keeps errno values below 4096. */
#define E(name, value, text) static_assert((value) < -4095, #name " collides with errno");
USH_ERRORS(E)
#undef E

const char *ush_error_text(int error)
{
    switch (error) {
#define E(name, value, text)                                                                       \
    case name:                                                                                     \
        return text;
        USH_ERRORS(E)
#undef E
    case 0:
        return "no error";
    default:
        break;
    }
    /* strerrordesc_np, unlike strerror, is static and untranslated. */
    const char *text = error < 0 && error > -4096 ? strerrordesc_np(-error) : NULL;
    return text ? text : "an error without a name";
}
