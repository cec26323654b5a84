/*
 * postgres_connect.c - from a URL to a connection in pipeline mode, without holding up the loop.
 *
 * libpq 15 connects without blocking, but for two things, which are done here instead:
 *
 *   names       it asks the resolver and waits. So each name is resolved in the blocking pool and
 *               handed over as `hostaddr`, beside the `host` that certificates are checked for.
 *   hosts       it tries the next one only when the kernel has given up on the last, which takes
 *               minutes for a host that is silently gone; connect_timeout counts for blocking calls
 *               only. So each address of each host gets an attempt and a deadline of its own.
 *
 *     host 1 --refused, silent, standby--> host 2 --> ... --> USH_EUNAVAILABLE and why
 *        |
 *        +--answers, takes writes--> connection
 *
 *  1. The host that answered last is asked first the next time; that is a hint and no more.
 *  2. With several hosts target_session_attrs is read-write unless the URL says otherwise, so a
 *     standby is passed over and a promoted one is found.
 *  3. A peer that vanishes is noticed within VANISHED_MS: keep-alives while it is quiet,
 *     tcp_user_timeout while bytes are on their way. The URL may say otherwise.
 *  4. A server that we vanish from must let go of our locks: on one hot event everybody waits for
 *     them. So it is asked to look whether we are still there, and to end a transaction in which
 *     nothing is asked: ours never wait for anything but the server.
 *  5. Behind a pooler (?unnamed=1) nothing is set for the session, because the next transaction
 *     may run in another one.
 *  6. In a process that serves, whole tables are read only where there is no other way. A plan that
 *     is made while a table holds a page of rows would read all of it, and the server keeps that
 *     plan while the table grows by a hundred thousand rows in a minute.
 *
 * The steps of libpq run on the loop's own stack: TLS and GSSAPI go deep.
 */
#include <stdio.h>

#include "sql/postgres.h"
#include "usher/net.h"

enum {
    HOSTS_MAX = 16,
    PARAMETERS_MAX = 64,
    SESSION_MAX = 1024,
    IDLE_MS = 2000,       /* in a transaction of a process that serves */
    IDLE_TOOL_MS = 10000, /* of a command, which may compute between two questions */
};
#define CONNECT_MAX_NS (3 * USH_SECOND)
#define VANISHED_MS "5000"
/* The server's side of VANISHED_MS, also while it waits for a lock or runs a statement for us. */
#define STILL_THERE                                                                                \
    "-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2 "             \
    "-c client_connection_check_interval=500"

struct host {
    char name[256], address[64], port[8];
};

struct plan {
    const struct ush__session_options *o;
    PQconninfoOption *parsed, *defaults; /* owned */
    struct host hosts[HOSTS_MAX];
    size_t host_count;
    bool is_unnamed;
};

/* Which host answered last, of all connections of this process. */
static size_t last_good;

/* ---- the URL -------------------------------------------------------------------------------- */

static const char *value_of(const PQconninfoOption *list, const char *keyword)
{
    for (const PQconninfoOption *o = list; o && o->keyword; o++) {
        if (strcmp(o->keyword, keyword) == 0)
            return o->val && *o->val ? o->val : NULL;
    }
    return NULL;
}

/* What the URL says, else the environment (PGHOST and the like), else libpq. */
static const char *option_of(const struct plan *p, const char *keyword)
{
    const char *said = value_of(p->parsed, keyword);
    return said ? said : value_of(p->defaults, keyword);
}

/* Copies the URL without our own parameter, which libpq would refuse. */
static bool take_unnamed(const char *url, char *ret_rest, size_t room)
{
    snprintf(ret_rest, room, "%s", url);
    static const char parameter[] = "unnamed=1";
    enum { N = sizeof parameter - 1 };
    for (char *at = strchr(ret_rest, '?'); at; at = strchr(at + 1, '&')) {
        if (strncmp(at + 1, parameter, N) == 0 && (!at[1 + N] || at[1 + N] == '&')) {
            const char *rest = at + 1 + N + (at[1 + N] == '&');
            memmove(at + 1, rest, strlen(rest) + 1);
            size_t end = strlen(ret_rest);
            if (end && (ret_rest[end - 1] == '?' || ret_rest[end - 1] == '&'))
                ret_rest[end - 1] = 0;
            return true;
        }
    }
    return false;
}

static ush_text nth(const char *list, size_t n)
{
    ush_text rest = ush_text_of(list ? list : "");
    for (size_t i = 0; i < n; i++)
        ush_text_cut(&rest, ',');
    return ush_text_cut(&rest, ',');
}

static size_t count_of(const char *list)
{
    size_t n = 1;
    for (const char *c = list; (c = strchr(c, ',')); c++)
        n++;
    return n;
}

/* The lists of the URL, name by name. One port, or none, counts for all hosts. */
static int read_hosts(struct plan *p, char ret_trouble[USH__TROUBLE_MAX])
{
    const char *names = option_of(p, "host"), *addresses = option_of(p, "hostaddr"),
               *ports = option_of(p, "port");
    const char *list = addresses ? addresses : names ? names : "";
    size_t n = count_of(list);
    bool one_port = !ports || !strchr(ports, ',');
    if (n > HOSTS_MAX || (!one_port && count_of(ports) != n) ||
        (names && addresses && count_of(names) != n)) {
        snprintf(ret_trouble, USH__TROUBLE_MAX,
                 n > HOSTS_MAX ? "more than 16 hosts"
                               : "lists of hosts, addresses and ports are not of one length");
        return USH_EINVAL;
    }
    while (p->host_count < n) {
        struct host *h = &p->hosts[p->host_count];
        ush_text port = nth(ports, one_port ? 0 : p->host_count);
        snprintf(h->name, sizeof h->name, "%.*s", USH_PR(nth(names, p->host_count)));
        snprintf(h->address, sizeof h->address, "%.*s", USH_PR(nth(addresses, p->host_count)));
        snprintf(h->port, sizeof h->port, "%.*s", USH_PR(port));
        p->host_count++;
        if (strchr(h->name, '@') > h->name) { /* it may begin the name of an abstract socket */
            snprintf(ret_trouble, USH__TROUBLE_MAX,
                     "a host has an @ in it; in a password it is written %%40");
            return USH_EINVAL;
        }
    }
    return 0;
}

static void first_line(const char *text, char ret[USH__TROUBLE_MAX])
{
    snprintf(ret, USH__TROUBLE_MAX, "%.*s", (int)strcspn(text, "\n"), text);
}

/* The same of what is wrong with the URL. What libpq quotes from it may be a password in which a
 * character was not escaped: only names of parameters are shown. */
static void first_line_masked(const struct plan *p, const char *text, char ret[USH__TROUBLE_MAX])
{
    size_t n = 0;
    char line[USH__URL_MAX * 2], *rest = line;
    snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
    ret[0] = 0;
    for (bool is_quoted = false; rest && n < USH__TROUBLE_MAX; is_quoted = !is_quoted) {
        const char *part = strsep(&rest, "\"");
        bool is_shown = !is_quoted;
        for (const PQconninfoOption *o = p->defaults; o && o->keyword && !is_shown; o++)
            is_shown = strcmp(o->keyword, part) == 0;
        n += (size_t)snprintf(ret + n, USH__TROUBLE_MAX - n, "%s%s", is_shown ? part : "...",
                              rest ? "\"" : "");
    }
}

static int read_url(struct plan *p, char ret_trouble[USH__TROUBLE_MAX])
{
    char url[USH__URL_MAX], *error = NULL;
    p->is_unnamed = take_unnamed(p->o->url, url, sizeof url);
    p->parsed = PQconninfoParse(url, &error);
    p->defaults = PQconndefaults();
    int r = p->parsed ? read_hosts(p, ret_trouble) : USH_EINVAL;
    if (!p->parsed)
        first_line_masked(p, error ? error : "no memory", ret_trouble);
    PQfreemem(error);
    return r;
}

/* ---- one host ------------------------------------------------------------------------------- */

/* A name in a file system, or none, is a Unix socket. */
static bool is_to_be_resolved(const struct host *h)
{
    return !h->address[0] && h->name[0] && h->name[0] != '/' && h->name[0] != '@';
}

struct parameters {
    const char *keywords[PARAMETERS_MAX + 1], *values[PARAMETERS_MAX + 1];
    size_t n;
};

static void add(struct parameters *to, const char *keyword, const char *value)
{
    assert(to->n < PARAMETERS_MAX);
    to->keywords[to->n] = keyword;
    to->values[to->n++] = value;
}

static void add_unless_said(struct parameters *to, const struct plan *p, const char *keyword,
                            const char *value)
{
    if (!value_of(p->parsed, keyword))
        add(to, keyword, value);
}

/* The later of two equal keywords wins with libpq unless it is empty, so what the URL says comes
 * first, without its hosts, and what must be so comes last. */
static void fill(struct parameters *to, const struct plan *p, const struct host *h,
                 char session[SESSION_MAX])
{
    for (const PQconninfoOption *o = p->parsed; o->keyword; o++) {
        bool is_list = strcmp(o->keyword, "host") == 0 || strcmp(o->keyword, "hostaddr") == 0 ||
                       strcmp(o->keyword, "port") == 0;
        if (o->val && *o->val && !is_list)
            add(to, o->keyword, o->val);
    }
    add(to, "host", h->name);
    add(to, "hostaddr", h->address);
    add(to, "port", h->port);
    add(to, "client_encoding", "UTF8");
    add_unless_said(to, p, "fallback_application_name", "usher");
    add_unless_said(to, p, "keepalives_idle", "2");
    add_unless_said(to, p, "keepalives_interval", "1");
    add_unless_said(to, p, "keepalives_count", "3");
    add_unless_said(to, p, "tcp_user_timeout", VANISHED_MS);
    if (p->host_count > 1)
        add_unless_said(to, p, "target_session_attrs", "read-write");
    if (p->is_unnamed)
        return;
    const char *said = option_of(p, "options");
    snprintf(session, SESSION_MAX,
             STILL_THERE " %s -c statement_timeout=%lld "
                         "-c idle_in_transaction_session_timeout=%d -c jit=off%s",
             said ? said : "", (long long)p->o->limit_ms, p->o->limit_ms ? IDLE_MS : IDLE_TOOL_MS,
             p->o->limit_ms ? " -c enable_seqscan=off -c plan_cache_mode=force_generic_plan" : "");
    add(to, "options", session);
}

static int step(void *arg)
{
    return (int)PQconnectPoll(arg);
}

/* Follows libpq until it is connected or gives up. */
static int follow(PGconn *conn)
{
    if (PQstatus(conn) == CONNECTION_BAD)
        return USH_EUNAVAILABLE;
    /* "Behave as if PQconnectPoll had last returned PGRES_POLLING_WRITING" */
    for (int want = PGRES_POLLING_WRITING; want != PGRES_POLLING_OK;) {
        int ready = ush_wait_fd(PQsocket(conn),
                                want == PGRES_POLLING_READING ? USH_READABLE : USH_WRITABLE);
        USH_TRY(ready);
        want = ush_on_loop_stack(step, conn);
        if (want == PGRES_POLLING_FAILED)
            return USH_EUNAVAILABLE;
    }
    return 0;
}

static void ignore_notice(void *arg __attribute__((unused)),
                          const PGresult *result __attribute__((unused)))
{
}

struct starting {
    const struct parameters *parameters;
    PGconn *conn;
};

static int start(void *arg)
{
    struct starting *s = arg;
    s->conn = PQconnectStartParams(s->parameters->keywords, s->parameters->values, 0);
    return 0;
}

/* libpq judges the parameters when it starts, and only then looks for the server. So it is started
 * with a host where none can be; whatever is about a server begins with these words. */
static int judge(const struct plan *p, const struct host *of, char ret_trouble[USH__TROUBLE_MAX])
{
    static const char server[] = "connection to server";
    struct host nowhere = *of;
    strcpy(nowhere.name, "/dev/null");
    nowhere.address[0] = 0;
    char session[SESSION_MAX];
    struct parameters parameters = {.n = 0};
    fill(&parameters, p, &nowhere, session);
    struct starting starting = {&parameters, NULL};
    ush_on_loop_stack(start, &starting);
    if (!starting.conn)
        return -ENOMEM;
    const char *said = PQerrorMessage(starting.conn);
    bool is_good = strncmp(said, server, sizeof server - 1) == 0;
    if (!is_good)
        first_line_masked(p, said, ret_trouble);
    PQfinish(starting.conn);
    return is_good ? 0 : USH_EINVAL;
}

static int connect_to(const struct plan *p, const struct host *h, PGconn **ret,
                      char ret_trouble[USH__TROUBLE_MAX])
{
    char session[SESSION_MAX];
    struct parameters parameters = {.n = 0};
    fill(&parameters, p, h, session);
    struct starting starting = {&parameters, NULL};
    ush_on_loop_stack(start, &starting);
    if (!starting.conn)
        return -ENOMEM;
    int r = follow(starting.conn);
    if (r == 0 && (PQsetnonblocking(starting.conn, 1) < 0 || !PQenterPipelineMode(starting.conn)))
        r = USH_EUNAVAILABLE;
    if (r < 0) {
        if (r == USH_EUNAVAILABLE)
            first_line(PQerrorMessage(starting.conn), ret_trouble);
        PQfinish(starting.conn);
        return r;
    }
    PQsetNoticeReceiver(starting.conn, ignore_notice, NULL);
    *ret = starting.conn;
    return 0;
}

/* Gives one address its time. */
static int try_address(const struct plan *p, const struct host *h, PGconn **ret,
                       char ret_trouble[USH__TROUBLE_MAX])
{
    struct ush_scope scope;
    ush_scope_open(&scope, &(struct ush_scope_options){
                               .name = "connect", .deadline_ns = ush_now_ns() + CONNECT_MAX_NS});
    int r = connect_to(p, h, ret, ret_trouble);
    ush_scope_close(&scope);
    if (r == -ETIMEDOUT && ush_cancelled() == 0) {
        snprintf(ret_trouble, USH__TROUBLE_MAX, "%.80s does not answer",
                 h->name[0] ? h->name : h->address);
        r = USH_EUNAVAILABLE;
    }
    return r;
}

/* One name after the other of its addresses: a server may listen on the last of them only. */
static int try_host(const struct plan *p, const struct host *h, PGconn **ret,
                    char ret_trouble[USH__TROUBLE_MAX])
{
    if (!is_to_be_resolved(h))
        return try_address(p, h, ret, ret_trouble);
    struct ush_address found[USH_ADDRESSES_MAX];
    struct host at = *h;
    int n = ush_resolve(h->name, 1, found), r = n;
    for (int i = 0; i < n; i++) {
        ush_address_host(&found[i], at.address);
        r = try_address(p, &at, ret, ret_trouble);
        if (r != USH_EUNAVAILABLE)
            return r;
    }
    if (n > 0 || r == -ECANCELED || r == -ETIMEDOUT)
        return r;
    snprintf(ret_trouble, USH__TROUBLE_MAX, "%.80s: %s", h->name, ush_error_text(r));
    return USH_EUNAVAILABLE;
}

/* Reads the URL. The plan goes to plan_free, whatever the result is. */
static int plan_new(const struct ush__session_options *o, struct plan **ret,
                    char ret_trouble[USH__TROUBLE_MAX])
{
    struct plan *p = *ret = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    p->o = o;
    ret_trouble[0] = 0;
    return read_url(p, ret_trouble);
}

static void plan_free(struct plan *p)
{
    if (p) {
        PQconninfoFree(p->parsed);
        PQconninfoFree(p->defaults);
    }
    free(p);
}

int ush__pg_judge(const char *url, char ret_trouble[USH__TROUBLE_MAX])
{
    struct plan *p;
    int r = plan_new(&(struct ush__session_options){.url = url}, &p, ret_trouble);
    for (size_t i = 0; r == 0 && i < p->host_count; i++)
        r = judge(p, &p->hosts[i], ret_trouble);
    plan_free(p);
    return r;
}

int ush__pg_connect(const struct ush__session_options *o, struct ush__pg_link *ret,
                    char ret_trouble[USH__TROUBLE_MAX])
{
    struct plan *p;
    int r = plan_new(o, &p, ret_trouble);
    size_t from = last_good;
    for (size_t i = 0; r >= 0 && i < p->host_count; i++) {
        size_t host = (from + i) % p->host_count;
        r = try_host(p, &p->hosts[host], &ret->conn, ret_trouble);
        if (r == 0)
            last_good = host;
        if (r != USH_EUNAVAILABLE)
            break;
        r = i + 1 < p->host_count ? 0 : r;
    }
    ret->is_unnamed = r == 0 && p->is_unnamed;
    plan_free(p);
    return r;
}
