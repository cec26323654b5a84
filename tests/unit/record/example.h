/*
 * example.h - the records that the tests of src/record share: every type, required and optional,
 * nested in a list and alone. EXAMPLE_DEFINE once per program.
 */
#ifndef RECORD_EXAMPLE_H
#define RECORD_EXAMPLE_H

#include "usher/record.h"

#define MEMBER_FIELDS(F, R)                                                                        \
    F(R, TEXT, name, .max = 60, .doc = "What people call them")                                    \
    F(R, TEXT, email, .format = USH_EMAIL, .optional = true, .doc = "Where mail goes")             \
    F(R, I64, grade, .min = 1, .max = 13, .optional = true, .doc = "School year")
USH_RECORD(member, MEMBER_FIELDS)

#define SAMPLE_FIELDS(F, R)                                                                        \
    F(R, TEXT, name, .max = 120, .doc = "Full name", .example = "\"Ann\"")                         \
    F(R, TEXT, note, .format = USH_PROSE, .max = 200, .optional = true, .doc = "Remarks")          \
    F(R, TEXT, kind, .choices = "solo|team", .doc = "How they take part")                          \
    F(R, TEXT, slug, .format = USH_SLUG, .optional = true, .doc = "Short name")                    \
    F(R, TEXT, phone, .format = USH_PHONE, .optional = true, .doc = "Telephone")                   \
    F(R, TEXT, code, .format = USH_TOKEN, .optional = true, .secret = true, .doc = "Code")         \
    F(R, I64, count, .min = -5, .max = 100, .doc = "How many")                                     \
    F(R, I64, any, .optional = true, .doc = "Any number")                                          \
    F(R, BOOL, consent, .doc = "Agreed")                                                           \
    F(R, BOOL, flag, .optional = true, .doc = "Perhaps")                                           \
    F(R, TIME, at, .optional = true, .doc = "When")                                                \
    F(R, BYTES, key, .max = 64, .optional = true, .doc = "Raw bytes")                              \
    F(R, JSON, answers, .max = 500, .optional = true, .doc = "Free answers")                       \
    F(R, LIST, members, .of = &member_record, .max = 4, .optional = true, .doc = "The team")       \
    F(R, ONE, leader, .of = &member_record, .optional = true, .doc = "Who leads")
USH_RECORD(sample, SAMPLE_FIELDS)

/* A list that must have rows. */
#define TEAM_FIELDS(F, R)                                                                          \
    F(R, LIST, members, .of = &member_record, .min = 1, .max = 3, .doc = "The team")               \
    F(R, ONE, leader, .of = &member_record, .doc = "Who leads")
USH_RECORD(team, TEAM_FIELDS)

#define EXAMPLE_DEFINE                                                                             \
    USH_RECORD_DEFINE(member, MEMBER_FIELDS)                                                       \
    USH_RECORD_DEFINE(sample, SAMPLE_FIELDS)                                                       \
    USH_RECORD_DEFINE(team, TEAM_FIELDS)

#endif
