/*
 * form.c - what the template of the registration form asks: faults by field, rows for members.
 */
#include "web/form.h"

#include <stdio.h>

const int64_t member_numbers[MEMBERS_MAX] = {1,  2,  3,  4,  5,  6,  7,  8,  9, 10,
                                             11, 12, 13, 14, 15, 16, 17, 18, 19};

/* "members.0.name" of a form is "#/members/0/name" of a fault. */
static bool is_about(const struct ush_fault *fault, const char *name)
{
    ush_text pointer = fault->pointer;
    if (pointer.len < 2 || pointer.len - 2 != strlen(name))
        return false;
    for (size_t i = 0; i + 2 < pointer.len; i++)
        if (name[i] != (pointer.at[i + 2] == '/' ? '.' : pointer.at[i + 2]))
            return false;
    return true;
}

ush_text field_fault(const struct field_view *i)
{
    const struct ush_faults *faults = i->form->faults;
    for (size_t k = 0; faults && k < faults->count; k++)
        if (is_about(&faults->list[k], i->name))
            return faults->list[k].msg;
    return USH_NONE;
}

ush_text fault_id(struct ush_arena *arena, const struct ush_fault *fault)
{
    ush_text pointer = fault->pointer;
    if (pointer.len < 3)
        return USH_T("content");
    ush_text id = ush_arena_copy(arena, (ush_text){pointer.at + 2, pointer.len - 2});
    char *at = (char *)(uintptr_t)id.at; /* our own copy */
    for (size_t i = 0; i < id.len; i++)
        if (at[i] == '/')
            at[i] = '.';
    return id;
}

/* The name of a field as the form labels it. */
static const char *label_of(ush_text id)
{
    static const struct {
        const char *name, *label;
    } labels[] = {{"name", "Your name"}, {"email", "Email address"}, {"school", "School"},
                  {"grade", "Grade"},    {"phone", "Phone"},         {"team", "Name of the team"},
                  {"members", "Members"}};
    for (size_t i = 0; i < USH_COUNT(labels); i++)
        if (ush_text_equal(id, ush_text_of(labels[i].name)))
            return labels[i].label;
    return NULL;
}

ush_text fault_words(struct ush_arena *arena, const struct ush_fault *fault)
{
    ush_text id = fault_id(arena, fault), rest = id;
    int64_t number;
    const char *label = label_of(id);
    if (label)
        return ush_arena_printf(arena, "%s: %.*s", label, USH_PR(fault->msg));
    if (ush_text_equal(ush_text_cut(&rest, '.'), USH_T("members")) &&
        ush_text_i64(ush_text_cut(&rest, '.'), &number) == 0)
        return ush_arena_printf(arena, "Member %lld, %.*s: %.*s", (long long)number + 1,
                                USH_PR(rest), USH_PR(fault->msg));
    return fault->msg;
}

struct ush_rows schools_of(const struct settings *s, struct ush_arena *arena)
{
    size_t n = 0;
    ush_text *names = USH_NEW_N(arena, ush_text, settings_schools(s)), name;
    for (ush_text rest = ush_text_of(s->schools); names && rest.at;)
        if ((name = ush_text_trim(ush_text_cut(&rest, ';'))).len)
            names[n++] = name;
    return (struct ush_rows){names, n};
}

ush_text grade_text(struct ush_arena *arena, const struct register_form *f)
{
    return f->grade ? ush_arena_printf(arena, "%lld", (long long)f->grade) : USH_T("");
}

size_t member_rows(const struct form_view *v)
{
    int64_t n = v->event->event.team_max - 1;
    return n < 0 ? 0 : n > MEMBERS_MAX ? MEMBERS_MAX : (size_t)n;
}

const char *member_field(struct ush_arena *arena, int64_t number, const char *part)
{
    return ush_arena_printf(arena, "members.%lld.%s", (long long)number - 1, part).at;
}

static const struct desk_person *member_of(const struct form_view *v, int64_t number)
{
    const struct ush_rows *rows = &v->form->members;
    const struct desk_person *people = rows->at;
    return (size_t)number <= rows->count ? &people[number - 1] : NULL;
}

ush_text member_name(const struct form_view *v, int64_t number)
{
    const struct desk_person *p = member_of(v, number);
    return p ? p->name : USH_NONE;
}

ush_text member_email(const struct form_view *v, int64_t number)
{
    const struct desk_person *p = member_of(v, number);
    return p ? p->email : USH_NONE;
}

const char *answer_field(struct ush_arena *arena, size_t i, const char *part)
{
    return ush_arena_printf(arena, "answers.%zu.%s", i, part).at;
}

ush_text answer_typed(const struct form_view *v, const struct question *q)
{
    const struct answer *answers = v->form->answers.at;
    for (size_t i = 0; i < v->form->answers.count; i++)
        if (ush_text_equal(answers[i].question, q->text))
            return answers[i].answer;
    return USH_NONE;
}
