/*
 * accounts_test.c - who may work for the fest: users, sessions and devices.
 *
 * Sessions end with whatever took their rights away, also one that is being opened at that moment.
 */
#include "both.h"
#include "domain/accounts.h"

/* ---- accounts -------------------------------------------------------------------------------- */

static struct change_result store(struct fixture *x, struct user_put put)
{
    struct change_result result;
    put.actor = USH_T("test");
    ck_assert_int_eq(user_store(&x->fest, &put, &result, &x->arena), 0);
    return result;
}

static struct user_put new_user(const char *email, const char *role)
{
    static char hashes[4][PASSWORD_HASH_MAX]; /* each is another, as in service */
    static unsigned next;
    char *hash = hashes[next++ % 4];
    ck_assert_int_eq(password_hash(USH_T("correct horse"), hash), 0);
    return (struct user_put){.email = ush_text_of(email),
                             .name = USH_T("Somebody"),
                             .role = ush_text_of(role),
                             .password = ush_text_of(hash)};
}

static int accounts(void *arg)
{
    struct fixture *x = arg;
    struct fest *f = &x->fest;
    struct user owner, desk;
    struct account a;
    char token[SESSION_TOKEN_CHARS + 1], second[SESSION_TOKEN_CHARS + 1];
    fixture_open(x);
    struct user_put first = new_user("Owner@School.example", "owner");
    first.is_first = 1;
    ck_assert_int_eq(store(x, first).outcome, CHANGE_DONE);
    ck_assert_int_eq(store(x, first).outcome, CHANGE_DONE); /* its answer was lost */
    first.email = USH_T("second@school.example");
    ck_assert_int_eq(store(x, first).outcome, CHANGE_REFUSED); /* not the first any more */
    ck_assert_int_eq(store(x, new_user("owner@school.example", "desk")).outcome, CHANGE_DUPLICATE);
    ck_assert_int_eq(store(x, new_user("desk@school.example", "desk")).outcome, CHANGE_DONE);
    ck_assert_int_eq(user_by_email(f, USH_T("OWNER@school.example"), &x->arena, &owner), 0);
    ck_assert_int_eq(user_by_email(f, USH_T("desk@school.example"), &x->arena, &desk), 0);
    ck_assert(password_fits(USH_T("correct horse"), owner.password));
    ck_assert(!password_fits(USH_T("correct house"), owner.password));
    ck_assert(!password_fits(USH_T("correct horse"), USH_T("")));
    ck_assert_int_eq(ush_yield(), 0); /* the hashes have stopped the loop's clock for long */
    /* A role and a password end sessions, and so does logging in again with the old cookie. */
    ck_assert_int_eq(session_open(f, &desk, USH_NONE, token, &x->arena), 0);
    ck_assert_int_eq(session_read(f, ush_text_of(token), &x->arena, &a), 0);
    ck_assert_int_eq(role_of(a.role), ROLE_DESK);
    ck_assert_int_eq(session_open(f, &desk, ush_text_of(token), second, &x->arena), 0);
    ck_assert_int_eq(session_read(f, ush_text_of(token), &x->arena, &a), USH_ENOTFOUND);
    store(x, (struct user_put){.id = desk.id, .role = USH_T("viewer"), .events = USH_T("[1,3]")});
    ck_assert_int_eq(session_read(f, ush_text_of(second), &x->arena, &a), USH_ENOTFOUND);
    ck_assert_int_eq(session_open(f, &desk, USH_NONE, token, &x->arena), 0);
    ck_assert_int_eq(session_read(f, ush_text_of(token), &x->arena, &a), 0);
    ck_assert(events_allow(a.events, 1) && events_allow(a.events, 3));
    ck_assert(!events_allow(a.events, 2) && !events_allow(a.events, 13));
    ck_assert_int_eq(session_close(f, ush_text_of(token), &x->arena), 0);
    ck_assert_int_eq(session_read(f, ush_text_of(token), &x->arena, &a), USH_ENOTFOUND);
    /* Somebody who may do everything stays. */
    struct user_put off = {.id = owner.id, .is_active = 0};
    USH_SET(&off, user_put_is_active);
    ck_assert_int_eq(store(x, off).outcome, CHANGE_REFUSED);
    store(x, (struct user_put){.id = desk.id, .role = USH_T("owner"), .events = USH_T("[]")});
    ck_assert_int_eq(store(x, off).outcome, CHANGE_DONE);
    ck_assert_int_eq(session_open(f, &owner, USH_NONE, token, &x->arena), USH_ENOTFOUND);
    fixture_close(x);
    return 0;
}

struct stepping_down {
    struct fixture *x;
    int64_t user;
    int64_t outcome;
};

static int step_down(void *arg)
{
    struct stepping_down *s = arg;
    s->outcome = store(s->x, (struct user_put){.id = s->user, .role = USH_T("viewer")}).outcome;
    return 0;
}

/* Both at the same moment, in transactions of their own where there can be two. */
static int last_owners(void *arg)
{
    enum { ROUNDS = 10 };
    struct fixture *x = arg;
    struct user u[2];
    fixture_open(x);
    store(x, new_user("a@school.example", "owner"));
    store(x, new_user("b@school.example", "owner"));
    ck_assert_int_eq(user_by_email(&x->fest, USH_T("a@school.example"), &x->arena, &u[0]), 0);
    ck_assert_int_eq(user_by_email(&x->fest, USH_T("b@school.example"), &x->arena, &u[1]), 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct stepping_down s[2] = {{x, u[0].id, 0}, {x, u[1].id, 0}};
        ck_assert_int_eq(ush_gather(2, 2, step_down, s, sizeof *s), 0);
        int refused = s[1].outcome == CHANGE_REFUSED;
        ck_assert_int_eq(s[!refused].outcome, CHANGE_DONE);
        ck_assert_int_eq(s[refused].outcome, CHANGE_REFUSED);
        store(x, (struct user_put){.id = u[!refused].id, .role = USH_T("owner")});
    }
    /* An owner of one event is not enough, and may have a new password all the same. */
    struct user_put some = {.id = u[0].id, .events = USH_T("[1]")};
    ck_assert_int_eq(store(x, some).outcome, CHANGE_DONE);
    some.id = u[1].id;
    ck_assert_int_eq(store(x, some).outcome, CHANGE_REFUSED);
    some.events = USH_NONE;
    some.password = USH_T("hash");
    ck_assert_int_eq(store(x, some).outcome, CHANGE_DONE);
    some.id = u[0].id;
    ck_assert_int_eq(store(x, some).outcome, CHANGE_DONE);
    fixture_close(x);
    return 0;
}

static int setup_links(void *arg)
{
    struct fixture *x = arg;
    char token[SETUP_TOKEN_CHARS + 1];
    fixture_open(x);
    setup_token_format(&x->fest.keys, 1000, token);
    ck_assert(setup_token_fits(&x->fest.keys, ush_text_of(token), 1000 + SETUP_MS - 1));
    ck_assert(!setup_token_fits(&x->fest.keys, ush_text_of(token), 1000 + SETUP_MS));
    token[20] = token[20] == '0' ? '1' : '0';
    ck_assert(!setup_token_fits(&x->fest.keys, ush_text_of(token), 1000));
    fixture_close(x);
    return 0;
}

static int devices(void *arg)
{
    struct fixture *x = arg;
    struct fest *f = &x->fest;
    char code[SESSION_TOKEN_CHARS + 1], token[SESSION_TOKEN_CHARS + 1];
    struct account a;
    struct change_result result;
    struct ush_rows rows;
    fixture_open(x);
    const struct device_new gate = {.name = USH_T("Gate B"),
                                    .events = USH_T("[2]"),
                                    .expires_at = ush_wall_ms() + 3600000,
                                    .actor = USH_T("test")};
    ck_assert_int_eq(device_add(f, &gate, code, &x->arena), 0);
    ck_assert_int_eq(device_pair(f, ush_text_of(code), token, &x->arena), 0);
    ck_assert_int_eq(session_read(f, ush_text_of(token), &x->arena, &a), 0);
    ck_assert_int_eq(role_of(a.role), ROLE_DEVICE);
    ck_assert(events_allow(a.events, 2) && !events_allow(a.events, 1));
    char other[SESSION_TOKEN_CHARS + 1];
    ck_assert_int_eq(device_pair(f, ush_text_of(code), other, &x->arena), USH_ENOTFOUND);
    ck_assert_int_eq(devices_list(f, &x->arena, &rows), 0);
    ck_assert_int_eq(rows.count, 1);
    const struct device *d = rows.at;
    ck_assert_int_eq(device_revoke(f, d->id, USH_T("test"), &result, &x->arena), 0);
    ck_assert_int_eq(session_read(f, ush_text_of(token), &x->arena, &a), USH_ENOTFOUND);
    fixture_close(x);
    return 0;
}

/* ---- a login beside a new password ----------------------------------------------------------- */

struct login {
    struct fixture *x;
    const struct user *user; /* as its password was checked */
    char token[SESSION_TOKEN_CHARS + 1];
    int result;
    bool is_over;
};

static int log_in(void *arg)
{
    struct login *l = arg;
    l->result = session_open(&l->x->fest, l->user, USH_NONE, l->token, &l->x->arena);
    l->is_over = true;
    return 0;
}

/* The old password fitted, and then there was a new one: whoever has the old one stays out. */
static int a_password_changes_while_it_is_checked(void *arg)
{
    struct fixture *x = arg;
    struct user before, after;
    struct account a;
    struct user_put change = new_user("desk@school.example", "desk");
    fixture_open(x);
    store(x, change);
    ck_assert_int_eq(user_by_email(&x->fest, change.email, &x->arena, &before), 0);
    change = (struct user_put){.id = before.id, .password = new_user("", "").password};
    ck_assert_int_eq(store(x, change).outcome, CHANGE_DONE);
    struct login old = {.x = x, .user = &before}, new = {.x = x, .user = &after};
    log_in(&old);
    ck_assert_int_eq(old.result, USH_ENOTFOUND);
    ck_assert_int_eq(session_read(&x->fest, ush_text_of(old.token), &x->arena, &a), USH_ENOTFOUND);
    ck_assert_int_eq(user_by_email(&x->fest, USH_T("desk@school.example"), &x->arena, &after), 0);
    log_in(&new);
    ck_assert_int_eq(new.result, 0);
    ck_assert_int_eq(session_read(&x->fest, ush_text_of(new.token), &x->arena, &a), 0);
    fixture_close(x);
    return 0;
}

/* Both transactions are under way: the one that began second waits for the other. */
static int a_password_changes_while_the_session_is_stored(void *arg)
{
    struct fixture *x = arg;
    struct ush_scope scope;
    struct user u;
    fixture_open(x);
    store(x, new_user("desk@school.example", "desk"));
    ck_assert_int_eq(user_by_email(&x->fest, USH_T("desk@school.example"), &x->arena, &u), 0);
    struct login l = {.x = x, .user = &u};
    PGconn *other = PQconnectdb(fixture_url);
    ck_assert(other_does(other, "BEGIN"));
    ck_assert(other_does(other, "UPDATE users SET password = 'new'"));
    ck_assert(other_does(other, "DELETE FROM sessions WHERE user_id = 1"));
    ush_scope_open(&scope, NULL);
    ck_assert_int_eq(ush_spawn(&scope, log_in, &l), 0);
    while (!l.is_over && !other_does(other, "SELECT 1 FROM pg_locks WHERE NOT granted"))
        ck_assert_int_eq(ush_sleep(USH_MS), 0);
    ck_assert(other_does(other, "COMMIT"));
    ck_assert_int_eq(ush_scope_close(&scope), 0);
    ck_assert_int_eq(l.result, USH_ENOTFOUND);
    ck_assert(!other_does(other, "SELECT 1 FROM sessions"));
    PQfinish(other);
    fixture_close(x);
    return 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

static int (*const stories[])(void *) = {
    accounts, last_owners, setup_links, devices, a_password_changes_while_it_is_checked,
};

START_TEST(story)
{
    fixture_on(_i % DATABASES);
    fixture_run(stories[_i / DATABASES]);
}
END_TEST

START_TEST(story_of_two_transactions)
{
    fixture_on(ON_POSTGRESQL);
    fixture_run(a_password_changes_while_the_session_is_stored);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("accounts");
    TCase *t = tcase_create("stories");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, story, 0, (int)USH_COUNT(stories) * DATABASES);
    tcase_add_test(t, story_of_two_transactions);
    return stories_main(suite);
}
