/*
 * doctor_redis.c - `usher doctor` about the Redis that gives mails to workers on all hosts.
 *
 * It holds nothing that is lost with it: the jobs are rows of the database, and workers look there
 * when it is away. So nothing here is an error. A warning is a Redis that would not do what it is
 * there for: one that cannot be reached, cannot be written to, or throws away what it was given.
 */
#include "cli/doctor.h"
#include "usher/redis.h"

enum {
    REDIS_S = 3,
    REPLY_BYTES = 256 << 10,
    VERSION_MAJOR = 6,
    VERSION_MINOR = 2,
    FULL_PERCENT = 90
};

/* The value of a `name:value` line of INFO; "" when there is none. */
static ush_text value_of(ush_text info, const char *name)
{
    while (info.len > 0) {
        ush_text line = ush_text_cut(&info, '\n'), value = line;
        if (value.len > 0 && value.at[value.len - 1] == '\r')
            value.len--;
        if (ush_text_equal(ush_text_cut(&value, ':'), ush_text_of(name)))
            return value.at ? value : USH_T("");
    }
    return USH_T("");
}

static int64_t number_of(ush_text text)
{
    int64_t n = 0;
    return ush_text_i64(text, &n) == 0 ? n : 0;
}

static bool is_too_old(ush_text version)
{
    int64_t major = number_of(ush_text_cut(&version, '.'));
    return major < VERSION_MAJOR ||
           (major == VERSION_MAJOR && number_of(ush_text_cut(&version, '.')) < VERSION_MINOR);
}

static void judge(struct doctor *d, ush_text info)
{
    ush_text version = value_of(info, "redis_version"), policy = value_of(info, "maxmemory_policy");
    int64_t most = number_of(value_of(info, "maxmemory"));
    int64_t used = number_of(value_of(info, "used_memory"));
    if (is_too_old(version))
        doctor_say(d, "redis", WARN, "version %.*s is too old; it takes %d.%d or later",
                   USH_PR(version), VERSION_MAJOR, VERSION_MINOR);
    else if (ush_text_equal(value_of(info, "role"), USH_T("slave")))
        doctor_say(d, "redis", WARN,
                   "it is a replica, which takes no writes: USHER_REDIS_URL must name its master");
    else if (most > 0 && !ush_text_equal(policy, USH_T("noeviction")))
        doctor_say(
            d, "redis", WARN,
            "maxmemory-policy is %.*s: it throws away what it holds when memory is short, and "
            "mails wait until their rows are looked for; set maxmemory-policy noeviction",
            USH_PR(policy));
    else if (most > 0 && used > most / 100 * FULL_PERCENT)
        doctor_say(
            d, "redis", WARN,
            "%lld of %lld MiB are used, and when it is full it takes nothing: raise maxmemory",
            (long long)(used >> 20), (long long)(most >> 20));
    else if (ush_text_equal(value_of(info, "rdb_last_bgsave_status"), USH_T("err")))
        doctor_say(d, "redis", WARN,
                   "its last snapshot failed, and then it takes no writes: free its disk, or set "
                   "save \"\", "
                   "for nothing that Usher gives it need be kept");
    else
        doctor_say(d, "redis", OK,
                   "version %.*s, maxmemory-policy %.*s%s; what it keeps on disk does not matter",
                   USH_PR(version), USH_PR(policy), most > 0 ? "" : ", no limit");
}

void doctor_check_redis(struct doctor *d)
{
    const char *url = d->s->redis_url;
    if (!*url)
        return;
    if (strncmp(d->s->database_url, "sqlite:", 7) == 0) {
        doctor_say(d, "redis", WARN,
                   "it has no use on SQLite, where all workers are on this host: take "
                   "USHER_REDIS_URL away");
        return;
    }
    int error = 0;
    struct ush_redis *redis = ush_redis_new(
        &(struct ush_redis_options){.url = url, .reply_bytes_max = REPLY_BYTES}, &error);
    if (!redis) {
        doctor_say(d, "redis", ERROR,
                   "USHER_REDIS_URL is no address, so the server does not start; it takes "
                   "redis://:password@host:6379/0 or unix:/path");
        return;
    }
    struct ush_scope scope;
    struct ush_redis_reply reply = {0};
    ush_scope_open(&scope,
                   &(struct ush_scope_options){.name = "redis",
                                               .deadline_ns = ush_now_ns() + REDIS_S * USH_SECOND});
    int r = ush_redis_do(redis, USH_REDIS(USH_T("INFO")), &reply, d->cli->arena);
    ush_scope_close(&scope);
    if (r == 0)
        judge(d, reply.text);
    else
        doctor_say(d, "redis", WARN,
                   "it does not answer (%s): mail workers ask the database once a second "
                   "instead; start it, or check USHER_REDIS_URL",
                   reply.text.len > 0 ? reply.text.at
                   : r == -EACCES     ? "the login or the database number is refused"
                                      : ush_error_text(r));
    ush_redis_free(redis);
}
