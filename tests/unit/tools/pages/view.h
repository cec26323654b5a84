/* What the templates of the test show. */
#ifndef TESTS_TOOLS_VIEW_H
#define TESTS_TOOLS_VIEW_H

#include "usher/base.h"

struct view_row {
    ush_text name;
    const char *link;
    bool chosen;
};

struct view {
    ush_text title;
    const char *word;
    char array[8];
    int64_t number;
    uint8_t small;
    const struct view_row *rows;
    size_t count;
};

#endif
