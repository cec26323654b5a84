/*
 * record.h - one table of fields per record, and everything that follows from it.
 *
 * A record is a C struct that is described once, as an X-macro list of fields with their limits
 * and documentation. From the list come the struct itself, the decoders for JSON and forms (which
 * report every error, not the first), the JSON encoder, the binary form that travels to the
 * writer, the columns of SQL rows and of CSV, and the JSON Schema in /openapi.json.
 *
 *     #define POINT_FIELDS(F, R)                                          \
 *         F(R, TEXT, name, .max = 20, .doc = "What people call it")       \
 *         F(R, I64, x, .min = 0, .max = 100, .doc = "Metres to the east") \
 *         F(R, BOOL, hidden, .optional = true, .doc = "Not on the map")
 *     USH_RECORD(point, POINT_FIELDS)          // in a header: struct point, point_record
 *     USH_RECORD_DEFINE(point, POINT_FIELDS)   // in one .c file
 *
 * gives `struct point { uint64_t has; ush_text name; int64_t x; bool hidden; }`, the constants
 * point_name, point_x, point_hidden (positions in the table) and `const struct ush_record
 * point_record`. Bit i of `has` says that field i is present; a decoder leaves absent fields zero.
 * Who fills a record by hand sets the bit (USH_SET) only for optional numbers, bools and times:
 * required ones are always there, and texts, lists and records are there when not NULL.
 * At most 64 fields.
 *
 * Nothing here suspends or keeps state. All memory is the caller's arena.
 */
#ifndef USHER_RECORD_H
#define USHER_RECORD_H

#include "usher/base.h"

enum ush_type {
    USH_TYPE_TEXT,  /* ush_text, valid UTF-8 */
    USH_TYPE_BYTES, /* ush_text, any bytes; base64 in JSON */
    USH_TYPE_I64,   /* int64_t */
    USH_TYPE_BOOL,  /* bool */
    USH_TYPE_TIME,  /* int64_t, ms since 1970; RFC 3339 in JSON, forms and CSV */
    USH_TYPE_JSON,  /* ush_text, one JSON value, kept as compact text */
    USH_TYPE_LIST,  /* struct ush_rows of the record `of` */
    USH_TYPE_ONE,   /* pointer to one record `of`, NULL when absent; then null in JSON */
};

struct ush_rows {
    void *at; /* array of structs, arena */
    size_t count;
};

#define USH_CTYPE_TEXT ush_text
#define USH_CTYPE_BYTES ush_text
#define USH_CTYPE_I64 int64_t
#define USH_CTYPE_BOOL bool
#define USH_CTYPE_TIME int64_t
#define USH_CTYPE_JSON ush_text
#define USH_CTYPE_LIST struct ush_rows
#define USH_CTYPE_ONE void *

enum ush_format {
    USH_LINE,  /* one line: control characters are errors; trimmed; not blank (see record/text.c) */
    USH_PROSE, /* several lines: LF and tab allowed, CRLF becomes LF */
    USH_EMAIL, /* an address that mail can reach: local@domain, domain in ASCII form or IDN */
    USH_SLUG,  /* [a-z0-9-]{1,60}, no '-' at either end */
    USH_PHONE, /* 5 to 20 of digits, space, + ( ) - */
    USH_TOKEN, /* visible ASCII without spaces: codes, keys */
};

struct ush_record;

struct ush_field {
    const char *name;
    enum ush_type type;
    size_t offset;
    const char *doc;
    enum ush_format format;      /* for TEXT */
    int64_t min, max;            /* TEXT: characters; I64: value; LIST: rows; BYTES, JSON: bytes.
                                    max below min or both 0: TEXT 120 (EMAIL 254, SLUG 60, PHONE
                                    20), BYTES and JSON 8 KiB, others unbounded */
    const char *choices;         /* TEXT: "a|b|c", the only values */
    const struct ush_record *of; /* LIST, ONE */
    bool optional;               /* may be absent, null or blank, which is absent. A text that is
                                    not optional is never blank */
    bool secret;                 /* never echoed in an error or shown in docs' examples */
    const char *example;         /* for the docs; JSON text */
};

struct ush_record {
    const char *name;
    size_t bytes; /* sizeof the struct */
    const struct ush_field *fields;
    size_t count;
};

#define USH_RECORD_MEMBER_(record, type, name, ...) USH_CTYPE_##type name;
#define USH_RECORD_POSITION_(record, type, name, ...) record##_##name,
#define USH_RECORD(record, LIST)                                                                   \
    struct record {                                                                                \
        uint64_t has;                                                                              \
        LIST(USH_RECORD_MEMBER_, record)                                                           \
    };                                                                                             \
    enum { LIST(USH_RECORD_POSITION_, record) };                                                   \
    extern const struct ush_record record##_record;

#define USH_RECORD_FIELD_(record, ftype, fname, ...)                                               \
    {.name = #fname,                                                                               \
     .type = USH_TYPE_##ftype,                                                                     \
     .offset = offsetof(struct record, fname),                                                     \
     __VA_ARGS__},
#define USH_RECORD_DEFINE(record, LIST)                                                            \
    static const struct ush_field record##_fields_[] = {LIST(USH_RECORD_FIELD_, record)};          \
    const struct ush_record record##_record = {#record, sizeof(struct record), record##_fields_,   \
                                               USH_COUNT(record##_fields_)};

/* Whether a value has a field: USH_HAS(p, point_hidden); and setting it. */
#define USH_HAS(value, position) (((value)->has >> (position)) & 1)
#define USH_SET(value, position) ((value)->has |= UINT64_C(1) << (position))

/* ---- errors of input ---------------------------------------------------------------------- */

/* RFC 9457 leaves the shape open; ours carries a JSON pointer and FastAPI's loc, msg and type. */
struct ush_fault {
    ush_text pointer; /* "#/members/0/email"; "#" for the whole body */
    const char *type; /* "missing", "string_too_long", "extra_forbidden", ...; static */
    ush_text msg;     /* a sentence for people */
};

enum { USH_FAULTS_MAX = 50 };
struct ush_faults {
    struct ush_arena *arena; /* for pointers and messages */
    const char *in;          /* "body" or "query": where loc begins; static */
    size_t count;
    bool more; /* there were more than USH_FAULTS_MAX */
    struct ush_fault list[USH_FAULTS_MAX];
};
void ush_faults_init(struct ush_faults *f, struct ush_arena *arena);
/* For checks that a handler makes itself: "capacity" or "members/0/email". */
void ush_faults_add(struct ush_faults *f, const char *path, const char *type, const char *fmt, ...)
    USH_PRINTF(4, 5);
/* The fault of a path, or NULL. */
const struct ush_fault *ush_faults_of(const struct ush_faults *f, const char *path);
/* Writes `[{"pointer":…,"loc":["body",…],"msg":…,"type":…},…]`. */
void ush_faults_json(const struct ush_faults *f, struct ush_buf *out);

/* ---- decoding and encoding ---------------------------------------------------------------- */

/*
 * Decodes into *ret (record->bytes of the caller's memory, zeroed first); texts live in `arena`.
 * 0; USH_EINVAL with at least one fault; USH_EPROTO when it is not JSON at all (one fault whose
 * message gives line and column); USH_ELIMIT when the arena's cap was reached. Unknown fields,
 * duplicate keys and depths over 16 are faults. On USH_EINVAL the good fields of *ret are filled,
 * and texts hold what was typed even where they are at fault, so a form can be shown again.
 */
int ush_record_decode_json(const struct ush_record *r, ush_text body, struct ush_arena *arena,
                           void *ret, struct ush_faults *faults);
/* How deep brackets nest outside strings: jansson recurses that far, on a task's small stack. */
unsigned ush_json_depth(ush_text json);
/* application/x-www-form-urlencoded. Lists are "members.0.name", rows without a gap; rows at the
 * end that are blank throughout are left out. Inside a ONE: "leader.name". A BOOL that is not there
 * is false (an unticked box). The same name twice is a fault. Names that start with '_' are
 * ignored. At most 1,000 names. */
int ush_record_decode_form(const struct ush_record *r, ush_text body, struct ush_arena *arena,
                           void *ret, struct ush_faults *faults);
/* As a form, of names and values that something else has cut out: the parts of a multipart body.
 */
struct ush_pair {
    ush_text name, value;
};
int ush_record_decode_pairs(const struct ush_record *r, const struct ush_pair *pairs, size_t n,
                            struct ush_arena *arena, void *ret, struct ush_faults *faults);
/* Query strings: as a form, but unknown names are ignored (links get "fbclid" added). */
int ush_record_decode_query(const struct ush_record *r, ush_text query, struct ush_arena *arena,
                            void *ret, struct ush_faults *faults);

/* A JSON object, also safe inside a script element. Absent optional fields are left out; ONE that
 * is NULL is written as null. */
void ush_record_encode_json(const struct ush_record *r, const void *value, struct ush_buf *out);
/* A JSON array of `n` of them. */
void ush_record_encode_json_list(const struct ush_record *r, const void *values, size_t n,
                                 struct ush_buf *out);

/* Compact binary, native byte order: for processes of one host only. */
void ush_record_pack(const struct ush_record *r, const void *value, struct ush_buf *out);
/* Takes exactly `bytes`; texts point into it or the arena. USH_EPROTO on anything else. */
int ush_record_unpack(const struct ush_record *r, ush_text bytes, struct ush_arena *arena,
                      void *ret);

/* JSON Schema 2020-12 of the record, as it stands under components/schemas of OpenAPI 3.1. Nested
 * records are referred to by "#/components/schemas/<name>". */
void ush_record_schema(const struct ush_record *r, struct ush_buf *out);

/* ---- text rules, also for use alone --------------------------------------------------------- */

/*
 * Brings typed text into the stored form of its format: trims, removes direction overrides
 * (U+202A-202E, U+2066-2069), CRLF to LF, strips "mailto:". Returns 0 or a negative code and a
 * static type ("missing", "string_too_long", "value_error") and message in the arena.
 */
int ush_text_clean(ush_text typed, const struct ush_field *f, struct ush_arena *arena,
                   ush_text *ret_clean, struct ush_fault *ret_fault);
/* The form for comparing: ASCII case folded, domain as "xn--", "+tag" cut if `fold_plus`. For an
 * address that passed USH_EMAIL. USH_NONE when the arena is full. */
struct ush_email_options {
    bool fold_plus;
};
ush_text ush_email_key(ush_text email, const struct ush_email_options *o, struct ush_arena *arena);
/* The address with its domain in ASCII form (RFC 3492), for SMTP. */
ush_text ush_email_ascii(ush_text email, struct ush_arena *arena);
/* "gmail.com" for "gmial.com" and the like, or USH_NONE. */
ush_text ush_email_suggestion(ush_text email);
/* Case and white space folded, punctuation dropped: for "ST. MARYS" against "St Mary's". */
ush_text ush_text_fold(ush_text t, struct ush_arena *arena);

/* ---- CSV (RFC 4180) ------------------------------------------------------------------------- */

/* Reading: a byte-order mark is skipped; the delimiter (comma, semicolon, tab) is taken from the
 * first line; CRLF, LF and quoted line ends are taken. Not UTF-8: USH_EINVAL. */
struct ush_csv {
    ush_text rest;
    char delimiter;
    size_t line;      /* where the row read last begins, from 1 */
    size_t next_line; /* private */
};
int ush_csv_open(struct ush_csv *c, ush_text file);
/* Cells of the next row that is not blank, unquoted; slices of the file or in the arena. 1; 0 at
 * the end; USH_EPROTO for a quote that does not close or has text behind it; USH_ELIMIT, also for
 * a row of more than 1,000 cells. */
int ush_csv_read(struct ush_csv *c, struct ush_arena *arena, struct ush_text **ret_cells,
                 size_t *ret_count);
/* Decodes the cells of a row by a header row into a record, as a form does. Column names are taken
 * without case and with spaces or hyphens for '_'. A guard's apostrophe is taken off again; lists,
 * ONE and JSON are read from JSON text. */
int ush_record_decode_csv(const struct ush_record *r, const ush_text *header, size_t header_count,
                          const ush_text *cells, size_t count, struct ush_arena *arena, void *ret,
                          struct ush_faults *faults);
/* Writing: CRLF rows without a byte-order mark; cells that a spreadsheet would read as a formula (=
 * + - @ tab CR and their full-width forms) get a leading apostrophe. Lists, ONE and JSON are
 * written as JSON text. */
void ush_record_csv_header(const struct ush_record *r, struct ush_buf *out);
void ush_record_csv_row(const struct ush_record *r, const void *value, struct ush_buf *out);

#endif
