/*
 * record.h (internal) - the table of contents of src/record, and what its files share.
 *
 *     faults.c   what is wrong with an input, and where      text.c     what a text may contain
 *     json.c     JSON in                                     email.c    addresses, IDN domains
 *     form.c     forms and queries in, rows of CSV in        unicode.c  marks, blanks, lower case
 *     value.c    one typed text into one field               encode.c   JSON out
 *     pack.c     the binary form                             schema.c   JSON Schema out
 *     csv.c      CSV files: cells in, rows out
 *
 * All decoders share one shape: they walk the field table, put what is right into the struct and
 * add a fault for what is not, and go on. None of them stops early, so none returns a code; the
 * outcome is read off the fault list and the arena at the end (ush__decode_end).
 */
#ifndef USHER_RECORD_RECORD_H
#define USHER_RECORD_RECORD_H

#include "usher/record.h"

enum { USH__DEPTH_MAX = 16 };

/* Where a decoder stands. A chain on the stack, written out only when there is a fault. */
struct ush__place {
    const struct ush__place *up; /* NULL: this is the whole body, name and index mean nothing */
    ush_text name;               /* absent: a row, see index */
    size_t index;
};

struct ush__decoder {
    struct ush_arena *arena;
    struct ush_faults *faults;
    size_t faults_before;
    bool ignore_unknown; /* queries */
    bool nested_as_json; /* CSV: a cell holds a whole list or record */
};

struct ush__decoder ush__decode_begin(const struct ush_record *r, struct ush_arena *arena,
                                      void *ret, struct ush_faults *faults);
int ush__decode_end(const struct ush__decoder *d);

void ush__fault(struct ush__decoder *d, const struct ush__place *place, const char *type,
                const char *fmt, ...) USH_PRINTF(4, 5);
/* For a required field that is not there. */
void ush__fault_missing(struct ush__decoder *d, const struct ush__place *place,
                        const struct ush_field *f);

static inline void *ush__field(const struct ush_field *f, const void *value)
{
    return (char *)value + f->offset;
}
/* Every record begins with it. */
static inline uint64_t *ush__has(void *value)
{
    return value;
}
/* Whether field i has a value to write; see the essay of the public header. */
bool ush__is_present(const struct ush_record *r, size_t i, const void *value);
/* The limits of f with the defaults put in. */
void ush__limits(const struct ush_field *f, int64_t *ret_min, int64_t *ret_max);
const struct ush_field *ush__find_field(const struct ush_record *r, ush_text name);

/* Each puts what was sent into one field, or adds faults. True when the field has a value now:
 * not when it was blank, nor when it is at fault, but for a text, which is kept as it was typed. */
bool ush__decode_typed(struct ush__decoder *d, const struct ush__place *place,
                       const struct ush_field *f, ush_text typed, void *value);
/* From JSON text, for any type. */
bool ush__decode_json_text(struct ush__decoder *d, const struct ush__place *place,
                           const struct ush_field *f, ush_text json, void *value);
bool ush__decode_i64(struct ush__decoder *d, const struct ush__place *place,
                     const struct ush_field *f, int64_t number, void *value);
/* Whether n rows are within the limits of a list; adds a fault if not. */
bool ush__check_rows(struct ush__decoder *d, const struct ush__place *place,
                     const struct ush_field *f, size_t n);

/* Undoes percent-encoding, and '+' for a space if asked; a '%' without two hex digits stays. `out`
 * has room for t.len bytes; returns the bytes written. */
enum ush__plus { USH__PLUS_IS_PLUS, USH__PLUS_IS_SPACE };
size_t ush__percent_decode(ush_text t, enum ush__plus plus, char *out);

/* Whether a cell's leading apostrophe is, or must be, the guard against formulas. */
bool ush__is_formula(ush_text cell);

/* NULL, or why the cleaned text is not an address: static text. */
const char *ush__email_problem(ush_text clean);

bool ush__is_mark(uint32_t c);      /* combining, takes no place of its own (Mn, Me) */
bool ush__is_blank(uint32_t c);     /* white space */
bool ush__is_invisible(uint32_t c); /* shows nothing by itself: joiners, fillers, selectors */
uint32_t ush__lower(uint32_t c);

#endif
