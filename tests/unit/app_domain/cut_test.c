/*
 * cut_test.c - the desk's batch on PostgreSQL, message by message of the protocol.
 *
 *   round trips   a batch is two of them and one commit, whatever its size and whatever is decided;
 *                 the first in an event asks once more
 *   cuts          the connection is cut in front of every message of a batch, in either direction,
 *                 on a connection that has its statements prepared and on a new one. Whatever was
 *                 lost (a statement, the COMMIT, the word that it is done), the students hear what
 *                 the database holds, and each is in it once.
 */
#include "fixture.h"

#include "../sql/proxy.h"
#include "domain/accounts.h"
#include "domain/erase.h"
#include "domain/form.h"

enum { STUDENTS = 3 };

static const char fest[] =
    "[{\"slug\":\"quiz\",\"title\":\"Quiz\",\"starts\":\"2030-03-14 10:00\",\"capacity\":1000,"
    "\"school_limit\":500},"
    "{\"slug\":\"full\",\"title\":\"Full\",\"starts\":\"2030-03-14 10:00\",\"capacity\":1,"
    "\"waitlist\":\"100000\"},"
    "{\"slug\":\"race\",\"title\":\"Race\",\"kind\":\"team\",\"starts\":\"2030-03-14 "
    "10:00\",\"team_max\":3}]";

struct student {
    struct fixture *x;
    struct register_in in;
    struct desk_answer answer;
    int result;
};

static const char *const slugs[] = {"quiz", "race", "full"};
static struct event_entry entries[USH_COUNT(slugs)];

/* What the server of the test knows of its events; after this only the desk speaks to PostgreSQL.
 */
static void open_fest(struct fixture *x)
{
    fixture_url = proxy_url(pg_database());
    fixture_open(x);
    fixture_import(x, fest);
    for (size_t i = 0; i < USH_COUNT(slugs); i++)
        ck_assert_int_eq(event_read(x->fest.db, ush_text_of(slugs[i]), &x->arena, &entries[i]), 0);
}

/* The operation of a student, as the desk makes it. */
static void prepare(struct fixture *x, struct student *s, const char *event, int64_t who)
{
    const struct event_entry *e = entries;
    while (!ush_text_equal(e->event.slug, ush_text_of(event)))
        e++;
    const struct desk_request rq = {
        .event = ush_text_of(event),
        .key = ush_arena_printf(&x->arena, "%s-%lld", event, (long long)who),
        .name = USH_T("Asha"),
        .email = ush_arena_printf(&x->arena, "s%lld@x.in", (long long)who),
        .school = ush_arena_printf(&x->arena, "School %lld", (long long)(who % 3)),
        .team = strcmp(event, "race") == 0
                    ? ush_arena_printf(&x->arena, "Team %lld", (long long)who)
                    : USH_NONE,
        .source = SOURCE_API,
    };
    *s = (struct student){.x = x};
    ck_assert_int_eq(form_keys(&x->fest, e, &rq, &x->arena, &s->in), 0);
    ush_random(&s->in.submit_id, sizeof s->in.submit_id);
}

static int ask(void *arg)
{
    struct student *s = arg;
    s->result = ush_change(s->x->fest.db, &op_register, &s->in, &s->answer, &s->x->arena);
    return 0;
}

static void ask_all(struct student *s, size_t n)
{
    ck_assert_int_eq(ush_gather(n, 0, ask, s, sizeof *s), 0);
}

/* ---- round trips ----------------------------------------------------------------------------- */

static int round_trips_story(void *arg)
{
    struct fixture *x = arg;
    static struct student s[256];
    open_fest(x);
    /* Everybody is new, then everybody again; then the same persons with another key. */
    static const struct {
        const char *event;
        size_t n;
        enum seats_outcome first, again, other;
        int more; /* round trips, for the first in the event */
    } runs[] = {
        {"quiz", 1, SEATS_CONFIRMED, SEATS_REPLAYED, SEATS_ALREADY_REGISTERED, 0},
        {"quiz", 10, SEATS_CONFIRMED, SEATS_REPLAYED, SEATS_ALREADY_REGISTERED, 0},
        {"race", 10, SEATS_CONFIRMED, SEATS_REPLAYED, SEATS_ALREADY_REGISTERED, 1},
        {"full", 1, SEATS_CONFIRMED, SEATS_REPLAYED, SEATS_ALREADY_REGISTERED, 1},
        {"full", 250, SEATS_WAITLISTED, SEATS_REPLAYED, SEATS_ALREADY_REGISTERED, 0},
    };
    int64_t who = 1000;
    prepare(x, s, "quiz", 1);
    ask_all(s, 1); /* the end of the last view is on its way until here */
    for (size_t i = 0; i < USH_COUNT(runs); i++) {
        for (int step = 0; step < 3; step++) {
            const enum seats_outcome want[] = {runs[i].first, runs[i].again, runs[i].other};
            for (size_t k = 0; k < runs[i].n; k++) {
                prepare(x, &s[k], runs[i].event, who + (int64_t)k);
                if (step == 2)
                    ush_random((char *)s[k].in.request_key.at, s[k].in.request_key.len);
            }
            proxy_arm(0, 0);
            ask_all(s, runs[i].n);
            for (size_t k = 0; k < runs[i].n; k++) {
                ck_assert_int_eq(s[k].result, 0);
                ck_assert_int_eq(s[k].answer.outcome, want[step]);
                if (step < 2 && runs[i].first == SEATS_WAITLISTED)
                    ck_assert_int_eq(s[k].answer.position, (int64_t)k + 1);
                ck_assert_int_eq(s[k].answer.resent, step == 2);
            }
            ck_assert_int_eq(atomic_load(&proxy.syncs), 2 + (step == 0 ? runs[i].more : 0));
            ck_assert_int_eq(atomic_load(&proxy.commits), 1);
        }
        who += 1000;
    }
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

START_TEST(a_batch_is_two_round_trips)
{
    proxy_start();
    fixture_run(round_trips_story);
    proxy_stop();
}
END_TEST

/* ---- cuts ------------------------------------------------------------------------------------ */

/* One batch of new students, cut at message `at`. False when it has fewer messages. */
static bool one_cut(struct fixture *x, int way, int at, bool is_new, int64_t *who)
{
    struct student s[STUDENTS];
    for (int i = 0; i < STUDENTS; i++)
        prepare(x, &s[i], "quiz", (*who)++);
    if (is_new)
        proxy_cut_all();
    else
        ask_all(s, 1);
    proxy_arm(way, at);
    ask_all(s, STUDENTS);
    bool was_cut = atomic_load(&proxy.was_cut);
    proxy_arm(0, 0);
    for (int i = 0; i < STUDENTS; i++) {
        struct registration_view v;
        ck_assert_msg(s[i].result == 0, "cut at %d, way %d: %s", at, way,
                      ush_error_text(s[i].result));
        /* To repeat the operation is not to repeat the request: nobody hears "replayed". */
        ck_assert_int_eq(s[i].answer.outcome, SEATS_CONFIRMED);
        ck_assert_int_eq(registration_read(x->fest.db, s[i].answer.registration, &x->arena, &v), 0);
        ck_assert_int_eq(v.registration.status, REGISTRATION_CONFIRMED);
        const struct desk_place *lead = s[i].in.people.at;
        ck_assert(ush_text_equal(v.people[0].email, lead->email));
    }
    return was_cut;
}

/* The same for an operation that is not gathered: one student's cancellation. */
static bool one_cancelling_cut(struct fixture *x, int way, int at, int64_t *who)
{
    struct student s;
    struct change_result out;
    struct registration_view v;
    prepare(x, &s, "quiz", (*who)++);
    ask_all(&s, 1);
    const struct cancel in = {.registration = s.answer.registration,
                              .reason = USH_T("by_student"),
                              .actor = USH_T("student")};
    proxy_arm(way, at);
    int r = ush_change(x->fest.db, &op_cancel, &in, &out, &x->arena);
    bool was_cut = atomic_load(&proxy.was_cut);
    proxy_arm(0, 0);
    ck_assert_msg(r == 0, "cut at %d, way %d: %s", at, way, ush_error_text(r));
    /* Run again, it finds what it did. */
    ck_assert(out.outcome == CHANGE_DONE || (was_cut && out.outcome == CHANGE_NOTHING));
    ck_assert_int_eq(registration_read(x->fest.db, in.registration, &x->arena, &v), 0);
    ck_assert_int_eq(v.registration.status, REGISTRATION_CANCELLED);
    return was_cut;
}

/* An organiser's promotion, which only a mark tells from the next one. */
static bool one_promoting_cut(struct fixture *x, int way, int at, int64_t *taken)
{
    struct change_result out;
    struct promote in = {.slug = USH_T("full"), .count = 2, .actor = USH_T("organiser")};
    ush_random(&in.once, sizeof in.once);
    proxy_arm(way, at);
    int r = ush_change(x->fest.db, &op_promote, &in, &out, &x->arena);
    bool was_cut = atomic_load(&proxy.was_cut);
    proxy_arm(0, 0);
    ck_assert_msg(r == 0, "cut at %d, way %d: %s", at, way, ush_error_text(r));
    ck_assert_int_eq(out.outcome, CHANGE_DONE);
    ck_assert_int_eq(out.promoted, 2);
    ck_assert_int_eq(out.taken, *taken += 2);
    return was_cut;
}

static void promoting_cuts(struct fixture *x)
{
    enum { WAITING = 200 };
    static struct student s[WAITING];
    int64_t taken = 1;
    for (int i = 0; i < WAITING; i++)
        prepare(x, &s[i], "full", i + 1);
    ask_all(s, WAITING);
    /* There is room by now, and the waitlist no longer moves by itself. */
    pg_ask(pg_database(), "UPDATE event_seats SET capacity = 1000, promote_until = 0"
                          " WHERE event_id = (SELECT id FROM events WHERE slug = 'full')");
    for (int way = TO_SERVER; way <= TO_CLIENT; way++) {
        int at = 1;
        while (one_promoting_cut(x, way, at, &taken))
            at++;
        ck_assert_int_gt(at, 15);
    }
}

/* ---- operations that know themselves when they are run again --------------------------------- */

enum knowing {
    SEND_AGAIN,
    CORRECT,
    ERASE_MEMBER,
    ADD_USER,
    CHANGE_USER,
    ADD_DEVICE,
    PAIR,
    KNOWING
};

static int correct_school(struct fixture *x, int64_t registration, int at,
                          struct change_result *out)
{
    struct ush_faults faults;
    const struct edit_request rq = {.registration = registration,
                                    .form = {.name = USH_T("Asha"),
                                             .email = ush_arena_printf(&x->arena, "new%d@x.in", at),
                                             .school = USH_T("Another")},
                                    .actor = USH_T("organiser")};
    ush_faults_init(&faults, &x->arena);
    return registration_edit(&x->fest, &rq, &x->arena, &faults, out);
}

/* Something new each time, so whoever is not told that it is done is told wrong. */
static int do_knowing(struct fixture *x, enum knowing what, const void *of, int at)
{
    struct fest *f = &x->fest;
    struct change_result out = {0};
    char token[SESSION_TOKEN_CHARS + 1];
    const struct device_new gate = {
        .name = USH_T("Gate"), .expires_at = ush_wall_ms() + 3600000, .actor = USH_T("test")};
    struct resend again = {.registration = *(const int64_t *)of, .actor = USH_T("student")};
    struct user_put user = {.email = ush_arena_printf(&x->arena, "u%d@x.in", at),
                            .name = USH_T("Somebody"),
                            .role = USH_T("viewer"),
                            .password = ush_arena_printf(&x->arena, "hash %d", at),
                            .actor = USH_T("owner")};
    const struct erase erase = {
        .registration = again.registration, .position = 1, .actor = USH_T("organiser"), .once = at};
    int r = USH_EINVAL;
    if (what == CHANGE_USER)
        user = (struct user_put){
            .id = 1, .name = ush_arena_printf(&x->arena, "Name %d", at), .actor = user.actor};
    if (what == SEND_AGAIN)
        r = registration_resend(f, &again, &x->arena, &out);
    else if (what == CORRECT)
        r = correct_school(x, again.registration, at, &out);
    else if (what == ERASE_MEMBER)
        r = ush_change(f->db, &op_erase, &erase, &out, &x->arena);
    else if (what == ADD_USER || what == CHANGE_USER)
        r = user_store(f, &user, &out, &x->arena);
    else if (what == ADD_DEVICE)
        r = device_add(f, &gate, token, &x->arena);
    else
        r = device_pair(f, ush_text_of(of), token, &x->arena);
    ck_assert_msg(r == 0 && out.outcome == CHANGE_DONE, "%d of %d: %s, outcome %d", at, what,
                  ush_error_text(r), (int)out.outcome);
    return r;
}

static const char *lines_of(const char *action)
{
    char sql[96];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM audit WHERE action = '%s'", action);
    return pg_ask(pg_database(), sql);
}

static const char *told(struct fixture *x, int n)
{
    return ush_arena_printf(&x->arena, "%d", n).at;
}

static void knowing_cuts(struct fixture *x, int64_t *who)
{
    int done[KNOWING] = {0};
    struct event_list *list;
    ck_assert_int_eq(events_take(&x->fest, &list), 0); /* from now on it is there */
    events_give(list);
    for (int what = 0, n = 0; what < KNOWING; what++) {
        for (int way = TO_SERVER; way <= TO_CLIENT; way++) {
            bool was_cut = true;
            for (int at = 1; was_cut; at++) {
                struct student s;
                char code[SESSION_TOKEN_CHARS + 1];
                const struct device_new gate = {.name = USH_T("Gate"),
                                                .expires_at = ush_wall_ms() + 3600000,
                                                .actor = USH_T("test")};
                prepare(x, &s, "quiz", (*who)++);
                ask_all(&s, 1);
                ck_assert_int_eq(device_add(&x->fest, &gate, code, &x->arena), 0);
                proxy_arm(way, at);
                do_knowing(x, what, what == PAIR ? (void *)code : &s.answer.registration, ++n);
                done[what]++;
                was_cut = atomic_load(&proxy.was_cut);
                proxy_arm(0, 0);
                ck_assert(was_cut || at > 10);
            }
        }
    }
    /* Each has left one line, whatever was lost on the way. */
    ck_assert_str_eq(lines_of("resend"), told(x, done[SEND_AGAIN]));
    ck_assert_str_eq(lines_of("edit"), told(x, done[CORRECT]));
    ck_assert_str_eq(lines_of("erase"), told(x, done[ERASE_MEMBER]));
    ck_assert_str_eq(lines_of("user_add"), told(x, done[ADD_USER]));
    ck_assert_str_eq(lines_of("user_change"), told(x, done[CHANGE_USER]));
    ck_assert_str_eq(pg_ask(pg_database(), "SELECT (SELECT count(*) FROM devices) = count(*)"
                                           " FROM audit WHERE action = 'device_add'"),
                     "t");
    ck_assert_str_eq(pg_ask(pg_database(), "SELECT count(*) FROM jobs WHERE kind = 'resend'"),
                     told(x, done[SEND_AGAIN] + done[CORRECT]));
}

static int cuts_story(void *arg)
{
    struct fixture *x = arg;
    static const char *const ways[] = {"to the server", "to the client"};
    int64_t who = 1;
    int cancelled = 0;
    open_fest(x);
    for (int is_new = 0; is_new < 2; is_new++) {
        for (int way = TO_SERVER; way <= TO_CLIENT; way++) {
            int at = 1;
            while (one_cut(x, way, at, is_new, &who))
                at++;
            fprintf(stderr, "%d cuts %s of a %s connection\n", at - 1, ways[way],
                    is_new ? "new" : "used");
            ck_assert_int_gt(at, 20);
        }
    }
    for (int way = TO_SERVER; way <= TO_CLIENT; way++) {
        int at = 1;
        for (cancelled++; one_cancelling_cut(x, way, at, &who); cancelled++)
            at++;
        ck_assert_int_gt(at, 15);
    }
    ck_assert_int_eq(atoll(pg_ask(pg_database(), "SELECT count(*) FROM registrations")), who - 1);
    ck_assert_int_eq(
        atoll(pg_ask(pg_database(), "SELECT count(*) FROM jobs WHERE kind = 'cancelled'")),
        cancelled);
    promoting_cuts(x);
    knowing_cuts(x, &who);
    ck_assert_str_eq(fixture_verify(x), "");
    fixture_close(x);
    return 0;
}

START_TEST(cut_at_every_message_the_answer_is_true)
{
    proxy_start();
    fixture_run(cuts_story);
    proxy_stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cut");
    TCase *t = tcase_create("cut");
    suite_add_tcase(suite, t);
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_batch_is_two_round_trips);
    tcase_add_test(t, cut_at_every_message_the_answer_is_true);
    pg_make();
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
