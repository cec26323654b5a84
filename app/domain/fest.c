/*
 * fest.c - opening a fest, and the list of everything that may be sent to the writer.
 *
 * The list is written out by hand: an operation that is not in it cannot be run, and this is the
 * place to see them all.
 */
#include "domain/fest.h"

#include <stdlib.h>
#include <sys/eventfd.h>

#include "domain/desk.h"
#include "domain/events.h"
#include "gen/migrations.h"

enum { WAKE_EVERY_MS = 20 };

const struct ush_operation *const fest_operations[] = {
    &op_register,   &op_cancel,   &op_seats,         &op_promote,         &op_event_cancel,
    &op_events_put, &op_edit,     &op_resend,        &op_mail_allow,      &op_probe,
    &op_user_put,   &op_session,  &op_device,        &op_checkin,         &op_audit_note,
    &op_erase,      &op_announce, &op_announce_undo, USH_JOBS_OPERATIONS, NULL,
};

const struct ush_migrate_options fest_migrations = {.list = migrations, .count = MIGRATION_COUNT};

const char *registration_status_name(int64_t status)
{
    switch (status) {
    case REGISTRATION_CONFIRMED:
        return "confirmed";
    case REGISTRATION_WAITLISTED:
        return "waitlisted";
    default:
        return "cancelled";
    }
}

int fest_open(struct fest *f, const struct settings *settings, struct ush_db *db,
              struct ush_buf *ret_problem)
{
    *f = (struct fest){.db = db, .settings = settings, .wake_fd = -1};
    USH_TRY(keys_load(&f->keys, settings->secret_file, ret_problem));
    f->events = events_cache_new(db);
    f->desk = desk_new();
    f->shared = f->alone = calloc(1, sizeof *f->alone);
    if (f->events && f->desk && f->alone)
        return 0;
    fest_close(f);
    return -ENOMEM;
}

void fest_close(struct fest *f)
{
    events_cache_free(f->events);
    desk_free(f->desk);
    free(f->alone);
    *f = (struct fest){0};
}

void fest_share(struct fest *f, struct fest_shared *shared)
{
    f->shared = shared;
}

int fest_store(struct fest *f, const struct ush_operation *op, const void *in, void *ret,
               struct ush_arena *arena)
{
    int64_t from_ns = ush_now_ns();
    int r = ush_change(f->db, op, in, ret, arena);
    int64_t now_ns = ush_now_ns();
    ush_times_add(&f->shared->storing, now_ns, now_ns - from_ns);
    return r;
}

int fest_change(struct fest *f, const struct ush_operation *op, const void *in,
                struct change_result *ret, struct ush_arena *arena)
{
    int rc = fest_store(f, op, in, ret, arena);
    events_forget(f);
    fest_wake_jobs(f);
    return rc;
}

void fest_wake_jobs(struct fest *f)
{
    int64_t now_ns = ush_now_ns();
    if (now_ns - f->woke_ns < WAKE_EVERY_MS * (int64_t)USH_MS)
        return;
    f->woke_ns = now_ns;
    if (f->wake_fd >= 0)
        eventfd_write(f->wake_fd, 1); /* a full counter wakes as well */
    if (f->hints)
        ush_hints_raise(f->hints);
}
