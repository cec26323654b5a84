/*
 * questions.c - lines of questions, lines of answers.
 *
 * A line is read from its end: "(optional)" goes first, then what stands behind the last ": " is a
 * list of choices if it has a '|'. So a question may hold colons of its own.
 */
#include "domain/questions.h"

USH_RECORD_DEFINE(answer, ANSWER_FIELDS)

static ush_text without_end(ush_text t, ush_text end, bool *ret_had)
{
    *ret_had = ush_text_ends(t, end);
    return *ret_had ? ush_text_trim((ush_text){t.at, t.len - end.len}) : t;
}

/* Where the choices begin, behind the last ": " before the first '|'; 0 = none. */
static size_t choices_at(ush_text line)
{
    ssize_t bar = ush_text_find(line, '|');
    for (ssize_t i = bar; i > 1; i--)
        if (line.at[i - 2] == ':' && line.at[i - 1] == ' ')
            return (size_t)i;
    return 0;
}

static const char *read_choices(ush_text list, struct ush_arena *arena, struct question *q)
{
    q->choices = USH_NEW_N(arena, ush_text, CHOICES_MAX);
    while (q->choices && list.len) {
        ush_text one = ush_text_trim(ush_text_cut(&list, '|'));
        if (q->choice_count == CHOICES_MAX)
            return "A question has at most 20 choices";
        if (one.len)
            q->choices[q->choice_count++] = one;
    }
    return q->choice_count == 1 ? "A single choice is none; write at least two" : NULL;
}

static const char *read_line(ush_text line, struct ush_arena *arena, struct question *q)
{
    bool is_optional;
    line = without_end(line, USH_T("(optional)"), &is_optional);
    size_t at = choices_at(line);
    *q = (struct question){.text = line, .is_optional = is_optional};
    if (at) {
        q->text = ush_text_trim((ush_text){line.at, at - 2});
        const char *problem = read_choices((ush_text){line.at + at, line.len - at}, arena, q);
        if (problem)
            return problem;
    }
    return !q->text.len                   ? "A line has choices and no question"
           : q->text.len > QUESTION_CHARS ? "A question has at most 160 characters"
                                          : NULL;
}

int questions_parse(ush_text lines, struct ush_arena *arena, struct ush_rows *ret,
                    const char **ret_problem)
{
    struct question *list = USH_NEW_N(arena, struct question, QUESTIONS_MAX);
    const char *problem = NULL;
    size_t n = 0;
    if (!list)
        return USH_ELIMIT;
    while (lines.len && !problem) {
        ush_text line = ush_text_trim(ush_text_cut(&lines, '\n'));
        if (!line.len)
            continue;
        problem = n == QUESTIONS_MAX ? "An event asks at most 10 questions"
                                     : read_line(line, arena, &list[n]);
        for (size_t i = 0; i < n && !problem; i++)
            if (ush_text_equal(list[i].text, list[n].text))
                problem = "A question is asked twice";
        n++;
    }
    if (ret_problem)
        *ret_problem = problem;
    *ret = (struct ush_rows){list, problem ? 0 : n};
    return arena->failed ? USH_ELIMIT : problem ? USH_EINVAL : 0;
}

ush_text answer_kept(ush_text answers, ush_text question)
{
    while (answers.len) {
        ush_text line = ush_text_cut(&answers, '\n');
        if (line.len > question.len + 2 && ush_text_starts(line, question) &&
            line.at[question.len] == ':')
            return (ush_text){line.at + question.len + 2, line.len - question.len - 2};
    }
    return USH_NONE;
}
