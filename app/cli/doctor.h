/*
 * doctor.h - what the checks of `usher doctor` share. Each says one or more lines with doctor_say.
 *
 *     doctor.c         the command; addresses, secret, clock, files, mail
 *     doctor_store.c   the database, its disk or server, the secret that fits it
 *     doctor_redis.c   the Redis
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "cli/cli.h"
#include "domain/fest.h"

#define DIAGNOSIS_FIELDS(F, R)                                                                     \
    F(R, TEXT, check, .max = 40)                                                                   \
    F(R, TEXT, level, .max = 10)                                                                   \
    F(R, TEXT, text, .max = 500)
USH_RECORD(diagnosis, DIAGNOSIS_FIELDS)

enum { DIAGNOSES_MAX = 40 };

extern const char OK[], WARN[], ERROR[];

struct doctor {
    struct cli *cli;
    const struct settings *s;
    struct diagnosis found[DIAGNOSES_MAX];
    size_t count, errors;
    bool is_public;
};

/* `level` is OK, WARN or ERROR. */
void doctor_say(struct doctor *d, const char *check, const char *level, const char *fmt, ...)
    USH_PRINTF(4, 5);

/* May suspend. */
void doctor_check_store(struct doctor *d);
void doctor_check_redis(struct doctor *d);

#endif
