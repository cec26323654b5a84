/*
 * questions.h - what an event asks beyond name, address and school.
 *
 * Organisers write a question a line:
 *
 *     T-shirt size: S | M | L          one of these
 *     Allergies (optional)             a short text that may be left out
 *     Name of your robot               a short text
 *
 * Answers are kept with the registration as text too, a line for each: "T-shirt size: M". So an
 * export shows them as they are, a question that is reworded later does not change what somebody
 * has answered, and erasing is one column.
 */
#ifndef DOMAIN_QUESTIONS_H
#define DOMAIN_QUESTIONS_H

#include "usher/base.h"
#include "usher/record.h"

enum { QUESTIONS_MAX = 10, QUESTION_CHARS = 160, CHOICES_MAX = 20, ANSWER_CHARS = 300 };

struct question {
    ush_text text;
    ush_text *choices; /* NULL = a short text */
    size_t choice_count;
    bool is_optional;
};

/* As it comes from a form or a program. */
#define ANSWER_FIELDS(F, R)                                                                        \
    F(R, TEXT, question, .max = 160, .doc = "As the event asks it")                                \
    F(R, TEXT, answer, .max = 300, .optional = true, .doc = "One of the choices, or a short text")
USH_RECORD(answer, ANSWER_FIELDS)

/* Array of struct question into the arena. USH_EINVAL with a sentence in *ret_problem (may be NULL)
 * for too many lines, a line that is too long, or a single choice. */
int questions_parse(ush_text lines, struct ush_arena *arena, struct ush_rows *ret,
                    const char **ret_problem);
/* What the stored answers say to this question; USH_NONE if nothing. */
ush_text answer_kept(ush_text answers, ush_text question);

#endif
