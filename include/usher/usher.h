/*
 * usher.h - the whole library in one include, for programs. Start with examples/hello.c.
 *
 * Floors, from the bottom: base (no waiting), task (waiting costs nothing), record and net, http,
 * sql and fetch, jobs and master. A header includes only what lies below it.
 */
#ifndef USHER_USHER_H
#define USHER_USHER_H

#include "usher/base.h"
#include "usher/explore.h"
#include "usher/fetch.h"
#include "usher/http.h"
#include "usher/jobs.h"
#include "usher/master.h"
#include "usher/net.h"
#include "usher/record.h"
#include "usher/sim.h"
#include "usher/sql.h"
#include "usher/task.h"

#endif
