/*
 * net_test.c - addresses as text, listening sockets, resolving, accepting.
 */
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../task/both.h"
#include "usher/net.h"

static const struct {
    const char *text, *back, *host; /* back NULL: not an address */
} addresses[] = {
    {"127.0.0.1:8080", "127.0.0.1:8080", "127.0.0.1"},
    {"0.0.0.0:0", "0.0.0.0:0", "0.0.0.0"},
    {":8080", "0.0.0.0:8080", "0.0.0.0"},
    {"[::1]:80", "[::1]:80", "::1"},
    {"[::]:65535", "[::]:65535", "::"},
    {"[::ffff:10.0.0.1]:1", "10.0.0.1:1", "10.0.0.1"},
    {"unix:/run/usher.sock", "unix:/run/usher.sock", "unix"},
    {"unix:relative", "unix:relative", "unix"},
    {"", NULL},
    {"8080", NULL},
    {"127.0.0.1", NULL},
    {"127.0.0.1:", NULL},
    {"127.0.0.1:65536", NULL},
    {"127.0.0.1:-1", NULL},
    {"127.0.0.1:80x", NULL},
    {"localhost:80", NULL},
    {"::1:80", NULL},
    {"[::1]", NULL},
    {"[]:80", NULL},
    {"[127.0.0.1]:80", NULL},
    {"1.2.3:80", NULL},
    {"unix:", NULL},
    {"unix:@name", NULL},
    {"unix:/"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaa",
     NULL},
};

START_TEST(address_as_text)
{
    struct ush_address a;
    char text[128] = "", host[64] = "";
    int r = ush_address_parse(ush_text_of(addresses[_i].text), &a);
    ck_assert_int_eq(r, addresses[_i].back ? 0 : -EINVAL);
    if (r < 0)
        return;
    ush_address_format(&a, text);
    ck_assert_str_eq(text, addresses[_i].back);
    ush_address_host(&a, host);
    ck_assert_str_eq(host, addresses[_i].host);
}
END_TEST

START_TEST(listener_has_its_port)
{
    struct ush_address a;
    ck_assert_int_eq(ush_address_parse(USH_T("127.0.0.1:0"), &a), 0);
    int fd = ush_listen_at(&a), port = ush_listener_port(fd);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_gt(port, 0);
    char text[32];
    snprintf(text, sizeof(text), "127.0.0.1:%d", port);
    ck_assert_int_eq(ush_address_parse(ush_text_of(text), &a), 0);
    ck_assert_int_eq(ush_listen_at(&a), -EADDRINUSE);
    close(fd);
    fd = ush_listen_at(&a); /* at once again */
    ck_assert_int_ge(fd, 0);
    close(fd);
}
END_TEST

/* The file of a dead server is replaced, that of a live one and any other file are not. */
START_TEST(unix_path_is_replaced_only_when_dead)
{
    char folder[] = "/tmp/usher-net-XXXXXX", path[64], text[80];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
    snprintf(text, sizeof(text), "unix:%s", path);
    struct ush_address a;
    ck_assert_int_eq(ush_address_parse(ush_text_of(text), &a), 0);
    int fd = ush_listen_at(&a);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(ush_listener_port(fd), 0);
    ck_assert_int_eq(ush_listen_at(&a), -EADDRINUSE);
    close(fd);
    fd = ush_listen_at(&a);
    ck_assert_int_ge(fd, 0);
    close(fd);
    unlink(path);
    FILE *f = fopen(path, "w");
    fclose(f);
    ck_assert_int_eq(ush_listen_at(&a), -EEXIST);
    unlink(path);
    rmdir(folder);
}
END_TEST

BOTH_TEST(names_are_resolved)
{
    struct ush_address a[USH_ADDRESSES_MAX];
    char text[128];
    ck_assert_int_eq(ush_resolve("127.0.0.2", 25, a), 1);
    ush_address_format(a, text);
    ck_assert_str_eq(text, ush_is_sim() ? "127.0.0.1:25" : "127.0.0.2:25");
    int n = ush_resolve("localhost", 25, a), of_four = 0;
    ck_assert(n >= 1 && n <= USH_ADDRESSES_MAX);
    for (int i = 0; i < n; i++) {
        ush_address_format(&a[i], text);
        of_four += strcmp(text, "127.0.0.1:25") == 0;
        ck_assert(of_four || strcmp(text, "[::1]:25") == 0);
    }
    ck_assert_int_eq(of_four, 1); /* which of the two comes first is the host's affair */
    ck_assert_int_eq(ush_resolve("name.invalid", 25, a) < 0, !ush_is_sim());
    return 0;
}

struct door {
    struct ush_acceptor acceptor;
    int accepted, asked;
};

static void on_accepted(void *ctx, int fd, const struct ush_address *peer __attribute__((unused)))
{
    struct door *d = ctx;
    d->accepted++;
    ush_close(fd);
}

static int64_t always_hold(void *ctx)
{
    ((struct door *)ctx)->asked++;
    return 2 * USH_MS;
}

static int open_listener(struct ush_address *at)
{
    if (ush_is_sim()) {
        *at = ush_sim_address(80);
        return ush_listen(at, 64);
    }
    char text[32];
    ush_address_parse(USH_T("127.0.0.1:0"), at);
    int fd = ush_listen_at(at);
    snprintf(text, sizeof(text), "127.0.0.1:%d", ush_listener_port(fd));
    ush_address_parse(ush_text_of(text), at);
    return fd;
}

/* More than one wake-up takes; and a worker that always holds off delays but refuses nothing. */
BOTH_TEST(all_connections_are_accepted)
{
    struct ush_address at;
    int listener = open_listener(&at), c[40];
    for (int with_hold = 0; with_hold < 2; with_hold++) {
        struct door d = {0};
        ck_assert_int_eq(ush_acceptor_start(&d.acceptor,
                                            &(struct ush_acceptor_options){
                                                .listener = listener,
                                                .accepted = on_accepted,
                                                .hold_ns = with_hold ? always_hold : NULL,
                                                .ctx = &d}),
                         0);
        for (int i = 0; i < 40; i++)
            ck_assert_int_ge((c[i] = ush_connect(&at)), 0);
        while (d.accepted < 40)
            ush_sleep(USH_MS);
        ck_assert(!!d.asked == with_hold);
        /* Paused it takes nothing; resumed what has waited. */
        ush_acceptor_pause(&d.acceptor);
        int late = ush_connect(&at);
        ush_sleep(5 * USH_MS);
        ck_assert_int_eq(d.accepted, 40);
        ush_acceptor_resume(&d.acceptor);
        while (d.accepted < 41)
            ush_sleep(USH_MS);
        ush_close(late);
        for (int i = 0; i < 40; i++)
            ush_close(c[i]);
        ush_acceptor_pause(&d.acceptor);
    }
    if (ush_is_sim())
        ush_close(listener);
    else
        close(listener);
    return 0;
}

/* At once, more than a wake-up takes, and in spite of its share. */
static int last_call_body(void *unused __attribute__((unused)))
{
    struct ush_address at;
    struct door d = {0};
    int listener = open_listener(&at), c[40];
    ck_assert_int_eq(
        ush_acceptor_start(&d.acceptor, &(struct ush_acceptor_options){.listener = listener,
                                                                       .accepted = on_accepted,
                                                                       .hold_ns = always_hold,
                                                                       .ctx = &d}),
        0);
    for (int i = 0; i < 40; i++)
        ck_assert_int_ge((c[i] = ush_connect(&at)), 0);
    ush_acceptor_take_waiting(&d.acceptor);
    ck_assert_int_eq(d.accepted, 40);
    ush_acceptor_pause(&d.acceptor);
    for (int i = 0; i < 40; i++)
        ush_close(c[i]);
    close(listener);
    return 0;
}

START_TEST(last_call_takes_all_who_wait)
{
    struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};
    ck_assert_int_eq(ush_run(&o, last_call_body, NULL), 0);
}
END_TEST

/* What cannot be watched now is tried again: here its number is nobody's for a while. */
static int unwatchable_body(void *unused __attribute__((unused)))
{
    struct ush_address at;
    struct door d = {0};
    int listener = open_listener(&at), aside = dup(listener);
    struct ush_acceptor_options o = {.listener = listener, .accepted = on_accepted, .ctx = &d};
    ck_assert_int_eq(ush_acceptor_start(&d.acceptor, &o), 0);
    ush_acceptor_pause(&d.acceptor);
    close(listener);
    ush_acceptor_resume(&d.acceptor);
    ck_assert(!d.acceptor.is_watching);
    ck_assert_int_eq(dup2(aside, listener), listener);
    int c = ush_connect(&at);
    ck_assert_int_ge(c, 0);
    while (d.accepted < 1)
        ush_sleep(USH_MS);
    ush_acceptor_pause(&d.acceptor);
    ush_close(c);
    close(listener);
    close(aside);
    return 0;
}

START_TEST(a_listener_that_cannot_be_watched_is_tried_again)
{
    struct ush_loop_options o = {.backend = USH_BACKEND_EPOLL};
    ck_assert_int_eq(ush_run(&o, unwatchable_body, NULL), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("net");
    TCase *tc = tcase_create("net");
    tcase_add_loop_test(tc, address_as_text, 0, USH_COUNT(addresses));
    tcase_add_test(tc, listener_has_its_port);
    tcase_add_test(tc, unix_path_is_replaced_only_when_dead);
    both_add(tc, names_are_resolved);
    both_add(tc, all_connections_are_accepted);
    tcase_add_test(tc, last_call_takes_all_who_wait);
    tcase_add_test(tc, a_listener_that_cannot_be_watched_is_tried_again);
    suite_add_tcase(s, tc);
    return both_main(s);
}
