/*
 * seats_test.c - the decision about places: a table of single cases, and 100,000 random sequences
 * beside a naive model that keeps a plain list of registrations and counts it anew each time.
 */
#include <check.h>
#include <stdlib.h>

#include "../../slow.h"
#include "domain/seats.h"

enum { NOW = 1000 };

static struct seats row(int64_t capacity, int64_t waitlist, int64_t taken, int64_t waiting)
{
    struct seats s = {.event_id = 1,
                      .capacity = capacity,
                      .waitlist_capacity = waitlist,
                      .taken = taken,
                      .waiting = waiting,
                      .next_seq = taken + waiting + 1,
                      .opens_at = 0,
                      .closes_at = 2 * NOW,
                      .gate = GATE_OPEN};
    if (capacity >= 0)
        USH_SET(&s, seats_capacity);
    if (waitlist >= 0)
        USH_SET(&s, seats_waitlist_capacity);
    return s;
}

static const struct one_case {
    const char *name;
    int64_t capacity, waitlist, taken, waiting;
    int64_t opens_at, closes_at;
    int gate;
    uint32_t request; /* state of the request key in the book */
    bool claimed;
    int64_t school_limit, school_taken; /* limit 0 = none */
    enum seats_outcome expected;
    int64_t position;
} cases[] = {
    {"a free place", 10, 0, 9, 0, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0, SEATS_CONFIRMED},
    {"unlimited", -1, 0, 999, 0, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0, SEATS_CONFIRMED},
    {"no place", 10, 0, 10, 0, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0, SEATS_FULL},
    {"capacity 0", 0, 0, 0, 0, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0, SEATS_FULL},
    {"waitlist", 10, 5, 10, 4, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0, SEATS_WAITLISTED, 5},
    {"waitlist full", 10, 5, 10, 5, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0, SEATS_FULL},
    {"waitlist without end", 1, -1, 1, 99, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0,
     SEATS_WAITLISTED, 100},
    {"free places, but somebody waits", 10, 5, 8, 1, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0,
     SEATS_WAITLISTED, 2},
    {"free places, the waitlist full", 10, 1, 8, 1, 0, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0,
     SEATS_FULL},
    {"before opening", 10, 0, 0, 0, 1001, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0, SEATS_NOT_OPEN},
    {"the opening instant", 10, 0, 0, 0, 1000, 2000, GATE_OPEN, SEATS_NONE, false, 0, 0,
     SEATS_CONFIRMED},
    {"the closing instant", 10, 0, 0, 0, 0, 1000, GATE_OPEN, SEATS_NONE, false, 0, 0, SEATS_CLOSED},
    {"the last millisecond", 10, 0, 0, 0, 0, 1001, GATE_OPEN, SEATS_NONE, false, 0, 0,
     SEATS_CONFIRMED},
    {"switched off", 10, 0, 0, 0, 0, 2000, GATE_CLOSED, SEATS_NONE, false, 0, 0, SEATS_CLOSED},
    {"cancelled", 10, 0, 0, 0, 0, 2000, GATE_CANCELLED, SEATS_NONE, false, 0, 0,
     SEATS_EVENT_CANCELLED},
    {"replay of a full event", 10, 0, 10, 0, 0, 2000, GATE_OPEN, SEATS_STORED, true, 0, 0,
     SEATS_REPLAYED},
    {"replay after closing", 10, 0, 1, 0, 0, 1000, GATE_OPEN, SEATS_STORED, true, 0, 0,
     SEATS_REPLAYED},
    {"replay of a cancelled event", 10, 0, 1, 0, 0, 2000, GATE_CANCELLED, SEATS_STORED, true, 0, 0,
     SEATS_REPLAYED},
    {"the same person", 10, 0, 1, 0, 0, 2000, GATE_OPEN, SEATS_NONE, true, 0, 0,
     SEATS_ALREADY_REGISTERED},
    {"the same person, full", 10, 0, 10, 0, 0, 2000, GATE_OPEN, SEATS_NONE, true, 0, 0,
     SEATS_ALREADY_REGISTERED},
    {"the same person, closed", 10, 0, 1, 0, 0, 1000, GATE_OPEN, SEATS_NONE, true, 0, 0,
     SEATS_CLOSED},
    {"a school's last place", 10, 0, 1, 0, 0, 2000, GATE_OPEN, SEATS_NONE, false, 3, 2,
     SEATS_CONFIRMED},
    {"a school at its limit", 10, 0, 3, 0, 0, 2000, GATE_OPEN, SEATS_NONE, false, 3, 3,
     SEATS_SCHOOL_LIMIT},
    {"full goes before the school", 10, 0, 10, 0, 0, 2000, GATE_OPEN, SEATS_NONE, false, 3, 3,
     SEATS_FULL},
    {"a school's limit holds for the waitlist", 1, 5, 1, 2, 0, 2000, GATE_OPEN, SEATS_NONE, false,
     3, 3, SEATS_SCHOOL_LIMIT},
};

START_TEST(decides)
{
    const struct one_case *c = &cases[_i];
    struct seats s = row(c->capacity, c->waitlist, c->taken, c->waiting);
    s.opens_at = c->opens_at;
    s.closes_at = c->closes_at;
    s.gate = c->gate;
    if (c->school_limit) {
        s.school_limit = c->school_limit;
        USH_SET(&s, seats_school_limit);
    }
    struct seats before = s;
    uint32_t request = c->request, claim = 0;
    int64_t school = c->school_taken;
    bool claimed = c->claimed;
    struct seats_book book = {&request, &claimed, &school};
    struct application a = {
        .claims = &claim, .claim_count = 1, .school = c->school_limit ? 0 : SEATS_NONE};
    struct seats_decision d;
    seats_decide(&s, &book, NOW, &a, 1, &d);
    ck_assert_msg(d.outcome == c->expected, "%s: %s", c->name, seats_outcome_name(d.outcome));
    ck_assert_msg(d.position == c->position, "%s: position %ld", c->name, (long)d.position);
    bool made = d.outcome == SEATS_CONFIRMED || d.outcome == SEATS_WAITLISTED;
    ck_assert_int_eq(s.next_seq, before.next_seq + made);
    ck_assert_int_eq(s.taken, before.taken + (d.outcome == SEATS_CONFIRMED));
    ck_assert_int_eq(s.waiting, before.waiting + (d.outcome == SEATS_WAITLISTED));
    ck_assert_int_eq(school, c->school_taken + (made && c->school_limit));
    ck_assert(!made || (claimed && request == 0));
}
END_TEST

/* Two clicks of one student and a team with a member of an earlier one, all in one batch. */
START_TEST(the_desk_is_bound_by_places_alone)
{
    static const struct {
        int64_t opens_at, closes_at, taken;
        int gate;
        enum seats_outcome expected;
    } at_desk[] = {
        {NOW + 1, 2 * NOW, 0, GATE_OPEN, SEATS_CONFIRMED},
        {0, NOW, 0, GATE_OPEN, SEATS_CONFIRMED},
        {0, 2 * NOW, 0, GATE_CLOSED, SEATS_CONFIRMED},
        {0, NOW, 1, GATE_CLOSED, SEATS_FULL},
        {0, 2 * NOW, 0, GATE_CANCELLED, SEATS_EVENT_CANCELLED},
    };
    for (size_t i = 0; i < USH_COUNT(at_desk); i++) {
        struct seats s = row(1, 0, at_desk[i].taken, 0);
        uint32_t requests[] = {SEATS_NONE};
        struct seats_book book = {.requests = requests};
        const struct application a = {.at_desk = true, .school = SEATS_NONE};
        struct seats_decision d;
        s.opens_at = at_desk[i].opens_at;
        s.closes_at = at_desk[i].closes_at;
        s.gate = at_desk[i].gate;
        seats_decide(&s, &book, NOW, &a, 1, &d);
        ck_assert_int_eq(d.outcome, at_desk[i].expected);
    }
}
END_TEST

START_TEST(knows_its_own_batch)
{
    struct seats s = row(2, 1, 0, 0);
    uint32_t requests[] = {SEATS_NONE, SEATS_NONE, SEATS_NONE, SEATS_NONE};
    bool claims[6] = {false};
    struct seats_book book = {requests, claims, NULL};
    const uint32_t first[] = {0, 1, 2}, second[] = {3, 1, 4}, third[] = {5, 2};
    const struct application a[] = {
        {0, first, 3, true, SEATS_NONE},  {0, first, 3, true, SEATS_NONE},
        {1, second, 3, true, SEATS_NONE}, {2, third, 2, true, SEATS_NONE},
        {3, third, 1, false, SEATS_NONE},
    };
    struct seats_decision d[5];
    seats_decide(&s, &book, NOW, a, 5, d);
    ck_assert_int_eq(d[0].outcome, SEATS_CONFIRMED);
    ck_assert_int_eq(d[1].outcome, SEATS_REPLAYED);
    ck_assert_uint_eq(d[1].made_by, 0);
    ck_assert_int_eq(d[2].outcome, SEATS_ALREADY_REGISTERED);
    ck_assert_uint_eq(d[2].claim, 1);
    ck_assert_int_eq(d[3].outcome, SEATS_TEAM_TAKEN);
    ck_assert_int_eq(d[4].outcome, SEATS_CONFIRMED);
    ck_assert_int_eq(d[4].seq, d[0].seq + 1);
}
END_TEST

/* ---- the naive model ------------------------------------------------------------------------- */

enum { KEYS = 12, SCHOOLS = 3, LIVE_MAX = 64 };
struct live {
    uint32_t request, person, school;
    bool is_confirmed;
};
struct model {
    struct live list[LIVE_MAX];
    size_t count;
};

static size_t counted(const struct model *m, bool confirmed)
{
    size_t n = 0;
    for (size_t i = 0; i < m->count; i++)
        n += m->list[i].is_confirmed == confirmed;
    return n;
}

static enum seats_outcome expected(struct model *m, const struct seats *s, struct live who)
{
    size_t of_school = 0;
    bool is_live = false;
    for (size_t i = 0; i < m->count; i++) {
        if (m->list[i].request == who.request)
            return SEATS_REPLAYED;
        of_school += m->list[i].school == who.school;
        is_live |= m->list[i].person == who.person;
    }
    if (s->gate == GATE_CANCELLED)
        return SEATS_EVENT_CANCELLED;
    if (s->gate == GATE_CLOSED || NOW >= s->closes_at)
        return SEATS_CLOSED;
    if (NOW < s->opens_at)
        return SEATS_NOT_OPEN;
    if (is_live)
        return SEATS_ALREADY_REGISTERED;
    bool free = counted(m, false) == 0 && (int64_t)counted(m, true) < s->capacity;
    if (!free && (int64_t)counted(m, false) >= s->waitlist_capacity)
        return SEATS_FULL;
    if (USH_HAS(s, seats_school_limit) && (int64_t)of_school >= s->school_limit)
        return SEATS_SCHOOL_LIMIT;
    who.is_confirmed = free;
    m->list[m->count++] = who;
    return free ? SEATS_CONFIRMED : SEATS_WAITLISTED;
}

static uint64_t state;
static uint32_t choose(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static void one_sequence(void)
{
    struct seats s = row(choose(8), choose(5), 0, 0);
    s.gate = choose(10) ? GATE_OPEN : (int)choose(3);
    s.opens_at = choose(20) ? 0 : NOW + 1;
    if (choose(2)) {
        s.school_limit = 1 + choose(4);
        USH_SET(&s, seats_school_limit);
    }
    uint32_t requests[KEYS];
    bool claims[KEYS] = {false};
    int64_t schools[SCHOOLS] = {0};
    for (size_t i = 0; i < KEYS; i++)
        requests[i] = SEATS_NONE;
    struct model m = {.count = 0};
    for (uint32_t left = 1 + choose(24); left > 0;) {
        uint32_t n = 1 + choose(left), persons[24];
        struct application a[24];
        struct seats_decision d[24];
        for (uint32_t i = 0; i < n; i++) {
            persons[i] = choose(KEYS);
            a[i] = (struct application){choose(KEYS), &persons[i], 1, false, choose(SCHOOLS)};
        }
        seats_decide(&s, &(struct seats_book){requests, claims, schools}, NOW, a, n, d);
        for (uint32_t i = 0; i < n; i++) {
            struct live who = {a[i].request, persons[i], a[i].school, false};
            enum seats_outcome e = expected(&m, &s, who);
            ck_assert_msg(d[i].outcome == e, "%s, expected %s", seats_outcome_name(d[i].outcome),
                          seats_outcome_name(e));
        }
        for (size_t i = 0; i < KEYS; i++)
            requests[i] = requests[i] == SEATS_NONE ? SEATS_NONE : SEATS_STORED;
        ck_assert_int_eq(s.taken, (int64_t)counted(&m, true));
        ck_assert_int_eq(s.waiting, (int64_t)counted(&m, false));
        ck_assert_int_eq(s.next_seq, (int64_t)m.count + 1);
        ck_assert_int_le(s.taken, s.capacity);
        left -= n;
    }
}

START_TEST(agrees_with_the_naive_model)
{
    uint64_t seeds = (uint64_t)fewer(100000);
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        state = seed;
        one_sequence();
    }
}
END_TEST

START_TEST(promotes_no_more_than_fit)
{
    struct seats s = row(10, -1, 8, 5);
    ck_assert_int_eq(seats_promotable(&s), 2);
    s = row(10, -1, 10, 5);
    ck_assert_int_eq(seats_promotable(&s), 0);
    s = row(-1, -1, 10, 5);
    ck_assert_int_eq(seats_promotable(&s), 5);
    s = row(10, -1, 2, 1);
    ck_assert_int_eq(seats_promotable(&s), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seats");
    TCase *t = tcase_create("decisions");
    suite_add_tcase(suite, t);
    tcase_add_loop_test(t, decides, 0, (int)USH_COUNT(cases));
    tcase_add_test(t, the_desk_is_bound_by_places_alone);
    tcase_add_test(t, knows_its_own_batch);
    tcase_add_test(t, agrees_with_the_naive_model);
    tcase_add_test(t, promotes_no_more_than_fit);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
