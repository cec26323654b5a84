/*
 * sample.h - a fest to try things on: a coding competition with many places, a robotics challenge
 * with few and a waitlist, a quiz for teams, and a workshop that opens later. All dates follow from
 * the moment it is made.
 */
#ifndef DOMAIN_SAMPLE_H
#define DOMAIN_SAMPLE_H

#include "domain/import.h"

/* Stores the sample's events (those that exist already are left as they are). May suspend. */
int sample_fest(struct ush_db *db, const char *tz, struct ush_arena *arena,
                struct import_result *ret);

#endif
