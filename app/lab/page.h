/*
 * page.h - what the template of the lab's page shows.
 */
#ifndef LAB_PAGE_H
#define LAB_PAGE_H

#include "lab/lab.h"

struct lab_scene_view {
    const struct lab_scene *scene;
    const char *code;   /* of its file, behind the essay */
    const char *result; /* HTML made by a run of this request; "" = the script asks for it */
};
struct lab_view {
    const char *sheet, *lab_sheet, *icon, *script;
    struct lab_params p; /* in the forms */
    const struct lab_scene_view *scenes;
    size_t count;
};

#endif
