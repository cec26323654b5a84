/*
 * form.c - from what a student typed to the input of an operation.
 *
 * Fields have been decoded and cleaned one by one (record.h); here they are seen together and
 * beside their event. The keys made here are the only things that are ever compared in the
 * database: keyed hashes, so that neither an address nor a school's name can be tried out against
 * a stolen file without the secret.
 *
 *   request key   the client's key, or random: then nothing can repeat it but a resent operation.
 *                 Keys of forms are ours and never those of the API, which a program may count up:
 *                 who has a form's key is shown the place that it made
 *   fingerprint   of everything that is asked, to tell a repetition from a key used twice
 *   person key    address folded by ush_email_key, and the folded name where a class or family
 *                 shares one address
 */
#include <stdio.h>

#include "domain/form.h"

static ush_text hash(const struct fest *f, enum hash_use use, int64_t event, const ush_text *parts,
                     size_t n, struct ush_arena *arena)
{
    uint8_t *key = ush_arena_alloc(arena, KEY_BYTES);
    if (!key)
        return USH_NONE;
    keys_hash(&f->keys, use, event, parts, n, key);
    return (ush_text){(char *)key, KEY_BYTES};
}

ush_text form_person_key(const struct fest *f, const struct event *e, ush_text name, ush_text email,
                         struct ush_arena *arena)
{
    const struct ush_email_options fold = {.fold_plus = f->settings->plus_fold};
    if (!email.at || ush_text_equal(e->dedupe, USH_T("none")))
        return USH_NONE;
    ush_text parts[2] = {ush_email_key(email, &fold, arena)};
    ush_text key = hash(f, HASH_PERSON, e->id, parts, 1, arena);
    if (!key.at || !ush_text_equal(e->dedupe, USH_T("email_name")))
        return key;
    parts[1] = ush_text_fold(name, arena);
    ush_text both = hash(f, HASH_PERSON, e->id, parts, 2, arena);
    if (!both.at)
        return USH_NONE;
    memcpy((char *)both.at, key.at, KEY_BYTES / 2);
    return both;
}

static int person(const struct fest *f, const struct event_entry *e, ush_text name, ush_text email,
                  struct ush_arena *arena, struct desk_place *ret)
{
    *ret = (struct desk_place){.name = name, .email = email};
    ret->dedupe_key = form_person_key(f, &e->event, name, email, arena);
    return arena->failed ? USH_ELIMIT : 0;
}

static int people(const struct fest *f, const struct event_entry *e, const struct desk_request *rq,
                  struct ush_arena *arena, struct register_in *ret)
{
    struct desk_place *places = USH_NEW_N(arena, struct desk_place, rq->member_count + 1);
    if (!places || rq->member_count >= DESK_PEOPLE_MAX)
        return USH_ELIMIT;
    USH_TRY(person(f, e, rq->name, rq->email, arena, &places[0]));
    for (size_t i = 0; i < rq->member_count; i++)
        USH_TRY(person(f, e, rq->members[i].name, rq->members[i].email, arena, &places[i + 1]));
    ret->people = (struct ush_rows){places, rq->member_count + 1};
    return 0;
}

static ush_text answer_of(const struct desk_request *rq, ush_text question)
{
    for (size_t i = 0; i < rq->answer_count; i++)
        if (ush_text_equal(rq->answers[i].question, question))
            return rq->answers[i].answer;
    return USH_NONE;
}

/* What was answered to what the event asks, in its order; USH_NONE if nothing. */
static int answers_text(const struct event *e, const struct desk_request *rq,
                        struct ush_arena *arena, ush_text *ret)
{
    struct ush_rows rows;
    *ret = USH_NONE;
    if (!e->questions.len || !rq->answer_count)
        return 0;
    USH_TRY(questions_parse(e->questions, arena, &rows, NULL));
    const struct question *questions = rows.at;
    for (size_t i = 0; i < rows.count; i++) {
        ush_text answer = answer_of(rq, questions[i].text);
        if (answer.len)
            *ret = ush_arena_printf(arena, "%.*s%s%.*s: %.*s", USH_PR(*ret), ret->len ? "\n" : "",
                                    USH_PR(questions[i].text), USH_PR(answer));
    }
    return arena->failed ? USH_ELIMIT : 0;
}

/* Everything that is asked, in one order. */
static ush_text fingerprint(const struct fest *f, const struct desk_request *rq, ush_text answers,
                            int64_t event, struct ush_arena *arena)
{
    ush_text parts[7 + 2 * DESK_PEOPLE_MAX] = {
        rq->name,   rq->email,
        rq->school, rq->phone,
        rq->team,   ush_arena_printf(arena, "%lld %d", (long long)rq->grade, rq->guardian_ok)};
    size_t n = 6;
    for (size_t i = 0; i < rq->member_count; i++) {
        parts[n++] = rq->members[i].name;
        parts[n++] = rq->members[i].email;
    }
    if (answers.len)
        parts[n++] = answers;
    return hash(f, HASH_FINGERPRINT, event, parts, n, arena);
}

int form_keys(const struct fest *f, const struct event_entry *e, const struct desk_request *rq,
              struct ush_arena *arena, struct register_in *ret)
{
    ush_text random = {(char *)ush_arena_alloc(arena, KEY_BYTES), KEY_BYTES};
    ush_text folded = ush_text_fold(rq->school.at ? rq->school : USH_T(""), arena);
    ush_text team = ush_text_fold(rq->team.at ? rq->team : USH_T(""), arena);
    int64_t event = e->event.id;
    *ret = (struct register_in){.event_id = event,
                                .version = e->event.version,
                                .guardian_ok = rq->guardian_ok,
                                .source = rq->source,
                                .school = rq->school,
                                .phone = rq->phone,
                                .grade = rq->grade,
                                .team_name = rq->team};
    USH_TRY(people(f, e, rq, arena, ret));
    USH_TRY(answers_text(&e->event, rq, arena, &ret->answers));
    if (!random.at)
        return USH_ELIMIT;
    if (!rq->key.at)
        ush_random((char *)random.at, KEY_BYTES);
    ush_text key[] = {rq->key, USH_T("form")};
    size_t parts = rq->source == SOURCE_API ? 1 : 2;
    ret->request_key = rq->key.at ? hash(f, HASH_REQUEST, event, key, parts, arena) : random;
    ret->request_fp = fingerprint(f, rq, ret->answers, event, arena);
    if (folded.len)
        ret->school_key = hash(f, HASH_SCHOOL, event, &folded, 1, arena);
    if (team.len)
        ret->team_key = hash(f, HASH_TEAM, event, &team, 1, arena);
    if (rq->grade)
        USH_SET(ret, register_in_grade);
    return arena->failed ? USH_ELIMIT : 0;
}

/* ---- checks ---------------------------------------------------------------------------------- */

/* Adds a fault, unless decoding found one there, inside it or around it: then what stands there is
 * not what was meant, and one sentence is enough. */
static void fault(struct ush_faults *faults, const char *path, const char *type, const char *fmt,
                  ...) USH_PRINTF(4, 5);
static void fault(struct ush_faults *faults, const char *path, const char *type, const char *fmt,
                  ...)
{
    size_t length = strlen(path);
    for (size_t i = 0; i < faults->count; i++) {
        ush_text at = faults->list[i].pointer; /* "#" or "#/members/0" */
        at = at.len > 2 ? (ush_text){at.at + 2, at.len - 2} : USH_T("");
        size_t same = at.len < length ? at.len : length;
        bool ends = same == 0 || at.len == length ||
                    (at.len > length ? at.at[length] : path[at.len]) == '/';
        if (ends && memcmp(at.at, path, same) == 0)
            return;
    }
    va_list ap;
    va_start(ap, fmt);
    ush_text msg = ush_arena_vprintf(faults->arena, fmt, ap);
    va_end(ap);
    ush_faults_add(faults, path, type, "%.*s", USH_PR(msg));
}

/* Letters beyond ASCII before the @ need SMTPUTF8, which most schools' servers lack. */
static bool is_mailable(ush_text email)
{
    ssize_t at = ush_text_find(email, '@');
    for (ssize_t i = 0; i < at; i++)
        if ((unsigned char)email.at[i] >= 0x80)
            return false;
    return true;
}

static void check_addresses(const struct register_in *in, struct ush_faults *faults)
{
    const struct desk_place *p = in->people.at;
    for (size_t i = 0; i < in->people.count; i++) {
        char path[40] = "email";
        if (i > 0)
            snprintf(path, sizeof path, "members/%zu/email", i - 1);
        if (p[i].email.at && !is_mailable(p[i].email))
            fault(faults, path, "value_error",
                  "This mail system cannot deliver to an address with such letters "
                  "before the @");
        for (size_t k = 0; p[i].dedupe_key.at && k < i; k++)
            if (p[k].dedupe_key.at && ush_text_equal(p[i].dedupe_key, p[k].dedupe_key)) {
                fault(faults, path, "value_error", "This person is in the team twice");
                break;
            }
    }
}

static void check_team(const struct event *e, const struct desk_request *rq,
                       const struct register_in *in, struct ush_faults *faults)
{
    int64_t size = (int64_t)in->people.count;
    if (!ush_text_equal(e->kind, USH_T("team"))) {
        if (size > 1)
            fault(faults, "members", "extra_forbidden", "This event is for single people");
        if (rq->team.at)
            fault(faults, "team", "extra_forbidden", "This event is for single people");
        return;
    }
    if (!rq->team.at)
        fault(faults, "team", "missing", "Please give the team a name");
    else if (!in->team_key.at)
        fault(faults, "team", "value_error", "The team's name needs letters or digits");
    if (size < e->team_min)
        fault(faults, "members", "too_short", "A team has at least %lld people, you included",
              (long long)e->team_min);
    if (size > e->team_max)
        fault(faults, "members", "too_long", "A team has at most %lld people, you included",
              (long long)e->team_max);
}

static void check_grade(const struct event *e, int64_t grade, struct ush_faults *faults)
{
    bool has_min = USH_HAS(e, event_grade_min), has_max = USH_HAS(e, event_grade_max);
    if (!has_min && !has_max)
        return;
    if (!grade)
        fault(faults, "grade", "missing", "Please say which grade you are in");
    else if ((has_min && grade < e->grade_min) || (has_max && grade > e->grade_max))
        fault(faults, "grade", "value_error", "This event is for other grades");
}

static bool is_choice(const struct question *q, ush_text answer)
{
    for (size_t i = 0; i < q->choice_count; i++)
        if (ush_text_equal(q->choices[i], answer))
            return true;
    return !q->choice_count;
}

static void check_answers(const struct event *e, const struct desk_request *rq,
                          struct ush_faults *faults)
{
    struct ush_rows rows = {0};
    if (e->questions.len && questions_parse(e->questions, faults->arena, &rows, NULL) < 0)
        return; /* stored questions can be read */
    const struct question *questions = rows.at;
    for (size_t i = 0; i < rows.count; i++) {
        char path[40];
        snprintf(path, sizeof path, "answers/%zu/answer", i);
        ush_text answer = answer_of(rq, questions[i].text);
        if (!answer.len && !questions[i].is_optional && rq->source != SOURCE_DESK)
            fault(faults, path, "missing", "Please answer: %.*s", USH_PR(questions[i].text));
        else if (answer.len && !is_choice(&questions[i], answer))
            fault(faults, path, "value_error", "%.*s: this is not one of the choices",
                  USH_PR(questions[i].text));
    }
    for (size_t i = 0; i < rq->answer_count; i++) {
        bool is_asked = false;
        for (size_t k = 0; k < rows.count && !is_asked; k++)
            is_asked = ush_text_equal(questions[k].text, rq->answers[i].question);
        if (!is_asked)
            fault(faults, "answers", "extra_forbidden", "This event does not ask: %.*s",
                  USH_PR(rq->answers[i].question));
    }
}

int form_check(const struct event_entry *e, const struct desk_request *rq,
               const struct register_in *in, struct ush_faults *faults)
{
    check_team(&e->event, rq, in, faults);
    check_grade(&e->event, rq->grade, faults);
    check_addresses(in, faults);
    check_answers(&e->event, rq, faults);
    if (USH_HAS(&e->seats, seats_school_limit) && !in->school_key.at)
        fault(faults, "school", "missing",
              "Please say which school you are from: places are counted by school");
    return faults->count > 0 ? USH_EINVAL : 0;
}
