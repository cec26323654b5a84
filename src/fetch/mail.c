/*
 * mail.c - one message to one server (RFC 5321), and the truth about what became of it.
 *
 * libcurl makes the connection: name, TCP, TLS, greeting, EHLO, STARTTLS, login. The message is
 * handed over here, in straight lines, because the moment that matters is the final dot, and
 * because libcurl waits for the answer to it with the whole loop standing still.
 *
 *     MAIL, RCPT, DATA, all lines
 *         |
 *     before_dot()           stores a mark; the last moment at which nothing can have happened
 *         |
 *     "."  past_dot ---250--> 0      ---4xx, 5xx--> refused      ---nothing--> USH_EUNKNOWN
 *
 *   what is known                                        result
 *   2xx after the dot                                    0
 *   5xx to MAIL, RCPT, DATA or the dot                   USH_EINVAL
 *   4xx to them, or 5xx that means a full mailbox
 *   (5.2.2 of RFC 3463) or a sender's quota; no
 *   connection, no TLS; lost before the dot; nonsense
 *   for an answer                                        -EAGAIN
 *   login refused                                        -EACCES
 *   no answer after the dot, for whatever reason         USH_EUNKNOWN
 *   before_dot() refused                                 what it returned
 *
 * A session (a connection with its login) that has delivered a message waits for the next one, at
 * most IDLE_MAX. Any failure closes it. If a kept one turns out to be closed by the server before
 * it has answered anything, a new one is made, once.
 *
 * Lines must end in CR LF and no CR or LF may stand alone: servers differ in what they make of
 * those, and that difference is how one message is smuggled into another.
 */
#include <stdio.h>
#include <stdlib.h>

#include "fetch/fetch.h"

#define IDLE_MAX_NS (60 * USH_SECOND)

struct session {
    struct ush__transfer t; /* has the connection */
    struct ush_link link;   /* in f->sessions while nobody uses it */
    char *key;              /* owned: what it is connected to, and as whom */
    int fd;
    int64_t idle_since_ns;
    struct ush__reply reply; /* the last one, and what was received behind it */
};

/* ---- bytes ---------------------------------------------------------------------------------- */

struct bytes {
    struct session *s;
    void *at;
    size_t n, moved;
};

static int recv_now(void *arg)
{
    struct bytes *b = arg;
    CURLcode code = curl_easy_recv(b->s->t.easy, b->at, b->n, &b->moved);
    return code == CURLE_OK ? 0 : code == CURLE_AGAIN ? -EAGAIN : -ECONNRESET;
}

static int send_now(void *arg)
{
    struct bytes *b = arg;
    CURLcode code = curl_easy_send(b->s->t.easy, b->at, b->n, &b->moved);
    return code == CURLE_OK ? 0 : code == CURLE_AGAIN ? -EAGAIN : -ECONNRESET;
}

static int send_all(struct session *s, ush_text t)
{
    while (t.len) {
        struct bytes b = {.s = s, .at = (void *)t.at, .n = t.len};
        int r = ush_on_loop_stack(send_now, &b);
        if (r == -EAGAIN)
            r = ush_wait_fd(s->fd, USH_WRITABLE);
        USH_TRY(r);
        t = (ush_text){t.at + b.moved, t.len - b.moved};
    }
    return 0;
}

static int recv_some(struct session *s)
{
    for (;;) {
        struct ush__reply *in = &s->reply;
        struct bytes b = {.s = s, .at = in->in + in->len, .n = sizeof in->in - in->len};
        int r = ush_on_loop_stack(recv_now, &b);
        if (r == -EAGAIN) {
            USH_TRY(ush_wait_fd(s->fd, USH_READABLE));
            continue;
        }
        in->len += b.moved;
        return r < 0 ? r : b.moved ? 0 : -ECONNRESET;
    }
}

/* ---- replies -------------------------------------------------------------------------------- */

/* The code of the next reply. */
static int receive(struct session *s)
{
    for (;;) {
        int code = ush__reply_take(&s->reply);
        if (code)
            return code;
        USH_TRY(recv_some(s));
    }
}

static int judge(const struct session *s, int code, int wanted)
{
    if (code < 0)
        return code;
    if (code / 100 == wanted)
        return 0;
    bool is_for_now = ush__reply_is_enough(code, s->reply.text) || strstr(s->reply.text, " 5.2.2 ");
    return code / 100 == 5 && !is_for_now ? USH_EINVAL : -EAGAIN;
}

/* Sends a command and returns 0 when the reply is of the wanted class. */
static int command(struct session *s, int wanted, const char *fmt, ...) USH_PRINTF(3, 4);
static int command(struct session *s, int wanted, const char *fmt, ...)
{
    char line[320];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    assert(n < (int)sizeof line);
    s->reply.code = 0;
    USH_TRY(send_all(s, (ush_text){line, (size_t)n}));
    return judge(s, receive(s), wanted);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void session_close(struct ush_fetch *f, struct session *s)
{
    ush__transfer_close(f, &s->t);
    free(s->key);
    free(s);
}

void ush__sessions_close(struct ush_fetch *f, int64_t idle_since_ns)
{
    USH_EACH_SAFE (&f->sessions, l) {
        struct session *s = USH_CONTAINER(l, struct session, link);
        if (s->idle_since_ns > idle_since_ns)
            return; /* the others are younger */
        ush_list_del(l);
        struct bytes b = {.s = s, .at = "QUIT\r\n", .n = 6};
        ush_on_loop_stack(send_now, &b); /* a courtesy; the answer is not waited for */
        session_close(f, s);
    }
}

static char *key_of(const struct ush_mail_server *server)
{
    char *key;
    int n = asprintf(&key, "%s\n%s\n%d", server->url, server->user ? server->user : "",
                     server->starttls);
    return n < 0 ? NULL : key;
}

/* A kept session that is still open, or NULL. */
static struct session *session_reuse(struct ush_fetch *f, const char *key)
{
    ush__sessions_close(f, ush_now_ns() - IDLE_MAX_NS);
    USH_EACH_SAFE (&f->sessions, l) {
        struct session *s = USH_CONTAINER(l, struct session, link);
        if (strcmp(s->key, key) != 0)
            continue;
        ush_list_del(l);
        struct bytes b = {.s = s, .at = s->reply.in, .n = 1};
        if (s->reply.len == 0 && ush_on_loop_stack(recv_now, &b) == -EAGAIN)
            return s;
        session_close(f, s); /* the server has hung up, or said something unasked */
    }
    return NULL;
}

static size_t on_reply(char *line, size_t one, size_t n, void *session)
{
    struct session *s = session;
    ush__reply_line(&s->reply, (ush_text){line, one * n});
    return one * n;
}

static void set_server(struct session *s, const struct ush_mail_server *server)
{
    CURL *easy = s->t.easy;
    s->t.keeps = true;
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_URL, server->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    curl_easy_setopt(easy, CURLOPT_USE_SSL,
                     (long)(server->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (server->user) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, server->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, server->password ? server->password : "");
    }
    if (server->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, server->ca_file);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_reply);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, s);
}

/* Connects and logs in. A session in any case but -ENOMEM: its text says what went wrong. */
static int session_new(struct ush_fetch *f, const struct ush_mail_server *server,
                       struct session **ret)
{
    struct session *s = calloc(1, sizeof *s);
    char *key = key_of(server);
    if (!s || !key || ush__transfer_open(f, &s->t) < 0) {
        free(key);
        free(s);
        return -ENOMEM;
    }
    s->key = key;
    *ret = s;
    set_server(s, server);
    USH_TRY(ush__transfer_run(f, &s->t));
    curl_socket_t fd = -1;
    if (s->t.code == CURLE_OK)
        curl_easy_getinfo(s->t.easy, CURLINFO_ACTIVESOCKET, &fd);
    s->fd = fd;
    if (fd >= 0)
        return 0;
    if (s->t.error[0] && s->reply.code < 400)
        snprintf(s->reply.text, sizeof s->reply.text, "%.199s", s->t.error);
    return s->t.code == CURLE_LOGIN_DENIED ? -EACCES : -EAGAIN;
}

/* ---- a message ------------------------------------------------------------------------------ */

static bool is_address(ush_text a)
{
    for (size_t i = 0; i < a.len; i++)
        if (a.at[i] <= 0x20 || a.at[i] >= 0x7f || a.at[i] == '<' || a.at[i] == '>')
            return false;
    return a.len > 0 && a.len <= 254;
}

static bool is_message(ush_text m)
{
    for (size_t i = 0; i < m.len; i++) {
        bool ends = m.at[i] == '\r' && i + 1 < m.len && m.at[i + 1] == '\n';
        if (!m.at[i] || m.at[i] == '\n' || (m.at[i] == '\r' && !ends))
            return false;
        i += ends;
    }
    return ush_text_ends(m, USH_T("\r\n"));
}

/* The lines, each with a dot more where it begins with one (RFC 5321 §4.5.2). */
static int send_lines(struct session *s, ush_text m)
{
    while (m.len) {
        if (m.at[0] == '.')
            USH_TRY(send_all(s, USH_T(".")));
        const char *dot = memmem(m.at, m.len, "\n.", 2);
        size_t n = dot ? (size_t)(dot + 1 - m.at) : m.len;
        USH_TRY(send_all(s, (ush_text){m.at, n}));
        m = (ush_text){m.at + n, m.len - n};
    }
    return 0;
}

/* Nothing is to come from the server now. If something has, it is a refusal or the end, and then
 * the dot is better not sent: so fewer messages are of unknown fate. */
static int is_still_there(struct session *s)
{
    struct ush__reply *in = &s->reply;
    struct bytes b = {.s = s, .at = in->in, .n = sizeof in->in};
    int r = in->len ? 0 : ush_on_loop_stack(recv_now, &b);
    if (r == -EAGAIN)
        return 0;
    in->len += b.moved;
    if (r < 0 || in->len == 0)
        return -ECONNRESET;
    r = judge(s, receive(s), 0);
    return r < 0 ? r : USH_EPROTO;
}

static int deliver(struct session *s, const struct ush_mail_message *m, bool *ret_past_dot)
{
    USH_TRY(command(s, 2, "MAIL FROM:<%.*s>\r\n", USH_PR(m->from)));
    USH_TRY(command(s, 2, "RCPT TO:<%.*s>\r\n", USH_PR(m->to)));
    USH_TRY(command(s, 3, "DATA\r\n"));
    USH_TRY(send_lines(s, m->bytes));
    if (m->before_dot)
        USH_TRY(m->before_dot(m->ctx));
    USH_TRY(ush_cancelled());
    USH_TRY(is_still_there(s));
    *ret_past_dot = true;
    s->reply.code = 0;
    s->reply.text[0] = 0;
    int r = send_all(s, USH_T(".\r\n"));
    if (r >= 0)
        r = receive(s);
    return r < 0 ? USH_EUNKNOWN : judge(s, r, 2);
}

/* Whether it is the fault of a connection that was kept for too long. */
static bool was_stale(const struct session *s, int r)
{
    return r < 0 && r != -ECANCELED && r != -ETIMEDOUT &&
           (s->reply.code == 0 || s->reply.code == 421);
}

static int deliver_anyhow(struct ush_fetch *f, const struct ush_mail_server *server,
                          const struct ush_mail_message *m, struct ush_mail_reply *ret,
                          struct session **ret_session)
{
    char *key = key_of(server);
    if (!key)
        return -ENOMEM;
    struct session *s = session_reuse(f, key);
    free(key);
    if (s) {
        *ret_session = s;
        s->reply.text[0] = 0;
        int r = deliver(s, m, &ret->past_dot);
        if (ret->past_dot || !was_stale(s, r))
            return r;
        session_close(f, s);
        *ret_session = NULL;
    }
    int r = session_new(f, server, ret_session);
    ret->no_session = r < 0;
    return r < 0 ? r : deliver(*ret_session, m, &ret->past_dot);
}

/* Errors of the connection are one thing to the caller: not now. */
static int result_of(int r)
{
    bool is_plain = r == -ECONNRESET || r == USH_EPROTO || r == -EBADF || r == -EPIPE;
    return is_plain ? -EAGAIN : r;
}

int ush_fetch_mail(struct ush_fetch *f, const struct ush_mail_server *server,
                   const struct ush_mail_message *m, struct ush_mail_reply *ret)
{
    *ret = (struct ush_mail_reply){0};
    if (!is_address(m->from) || !is_address(m->to) || !is_message(m->bytes)) {
        snprintf(ret->text, sizeof ret->text, "%s",
                 is_message(m->bytes) ? "not an address" : "a line does not end in CR LF");
        return USH_EINVAL;
    }
    USH_TRY(ush_semaphore_take(&f->places));
    struct session *s = NULL;
    int why = deliver_anyhow(f, server, m, ret, &s), r = result_of(why);
    if (s) {
        ret->code = s->reply.code;
        ret->has_enough = r == -EAGAIN && ush__reply_is_enough(ret->code, s->reply.text);
        static_assert(sizeof ret->text == sizeof s->reply.text, "copied whole");
        memcpy(ret->text, s->reply.text, sizeof ret->text);
    }
    if (r < 0 && (!ret->text[0] || why == -ECONNRESET)) /* the last answer is not the reason */
        snprintf(ret->text, sizeof ret->text, "%s", ush_error_text(why));
    if (s && r == 0) {
        s->idle_since_ns = ush_now_ns();
        ush_list_push(&f->sessions, &s->link);
    } else if (s) {
        session_close(f, s);
    }
    ush_semaphore_give(&f->places);
    return r;
}
