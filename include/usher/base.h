/*
 * base.h - the small tools that everything else stands on: text slices, arenas, buffers, lists,
 * a map, calendar arithmetic, the log and the settings table.
 *
 * Nothing here suspends, knows a socket or starts a thread. All of it may be used before the
 * runtime is up and from any thread, as long as one object is used by one thread at a time (the
 * log may be used by all at once).
 *
 * Errors: functions return 0 or a count on success and a negative code otherwise. The code is a
 * negated errno value or one of the negative USH_E... below; `errno` itself is never an output.
 */
#ifndef USHER_BASE_H
#define USHER_BASE_H

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

/* ---- errors ------------------------------------------------------------------------------- */

/* name, value, text. Values lie below every negated errno, so the two families never meet. */
#define USH_ERRORS(E)                                                                              \
    E(USH_EFULL, -5001, "a bounded queue is full")                                                 \
    E(USH_ELIMIT, -5002, "a limit on size or number was exceeded")                                 \
    E(USH_EPROTO, -5003, "the peer broke the protocol")                                            \
    E(USH_EINVAL, -5004, "the input is not valid")                                                 \
    E(USH_ENOTFOUND, -5005, "there is no such thing")                                              \
    E(USH_ECONFLICT, -5006, "a constraint in the database forbids it")                             \
    E(USH_ESTORAGE, -5007, "the database cannot store: disk full, read-only or failing")           \
    E(USH_EUNKNOWN, -5008, "the outcome is unknown")                                               \
    E(USH_EUNAVAILABLE, -5009, "the service needed for this is away")                              \
    E(USH_EDEADLOCK, -5010, "nothing can run: every task waits for another")                       \
    E(USH_EPROBLEM, -5011, "the handler described a problem for the client")

enum {
#define E(name, value, text) name = (value),
    USH_ERRORS(E)
#undef E
};

/* The sentence for a negative code of either family. Never NULL. Static storage. */
const char *ush_error_text(int error);

/* Return a negative result to the caller. Only where everything held has a cleanup attribute. */
#define USH_TRY(expr)                                                                              \
    do {                                                                                           \
        int ush_try_ = (expr);                                                                     \
        if (ush_try_ < 0)                                                                          \
            return ush_try_;                                                                       \
    } while (0)

#define USH_COUNT(array) (sizeof(array) / sizeof *(array))
#define USH_CONTAINER(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define USH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define USH_MUST_CHECK __attribute__((warn_unused_result))
#define USH_LIKELY(x) __builtin_expect(!!(x), 1)
#define USH_UNLIKELY(x) __builtin_expect(!!(x), 0)

enum { USH_MS = 1000000 }; /* nanoseconds in a millisecond */
#define USH_SECOND INT64_C(1000000000)
#define USH_NEVER INT64_MAX /* a moment or deadline that does not come */

/* ---- text --------------------------------------------------------------------------------- */

/*
 * A slice of bytes, not owned. `at` may be NULL only with len 0; NULL means "absent", an empty
 * string has a non-NULL `at`. Text made by us is followed by a NUL byte by courtesy, text cut out
 * of a buffer is not.
 */
typedef struct ush_text {
    const char *at;
    size_t len;
} ush_text;

#define USH_T(literal) ((ush_text){"" literal, sizeof(literal) - 1})
#define USH_NONE ((ush_text){NULL, 0})
/* For printf: "%.*s" with USH_PR(text). */
#define USH_PR(t) (int)(t).len, ((t).at ? (t).at : "")

static inline ush_text ush_text_of(const char *s)
{
    return s ? (ush_text){s, strlen(s)} : USH_NONE;
}

static inline bool ush_text_equal(ush_text a, ush_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* Compares ASCII letters without case; other bytes exactly. */
bool ush_text_equal_nocase(ush_text a, ush_text b);
bool ush_text_starts(ush_text t, ush_text prefix);
bool ush_text_ends(ush_text t, ush_text suffix);
/* Without ASCII space and tab, CR and LF at both ends. */
ush_text ush_text_trim(ush_text t);
/* First `sep` splits *rest: returns what lies before it and leaves what lies behind; without a
 * `sep` returns all and leaves USH_NONE. */
ush_text ush_text_cut(ush_text *rest, char sep);
/* Index of the first `c`, or -1. */
ssize_t ush_text_find(ush_text t, char c);
/* Decimal, optional leading '-', nothing else, the whole text. -EINVAL or -ERANGE. */
int ush_text_i64(ush_text t, int64_t *ret_value);

/* True when the bytes are well-formed UTF-8 (RFC 3629: no overlong form, no surrogate). */
bool ush_utf8_valid(ush_text t);
/* Number of code points of valid UTF-8. */
size_t ush_utf8_count(ush_text t);
/* Decodes one code point of valid UTF-8 and advances; -1 at the end. */
int32_t ush_utf8_next(ush_text *rest);
/* Writes one code point, returns the bytes written (1 to 4). */
size_t ush_utf8_put(char out[4], uint32_t code_point);

/* ---- arena -------------------------------------------------------------------------------- */

/*
 * Memory that is given back all at once. Chunks come from malloc after the first, which the
 * caller may supply. An arena never holds more than `cap_bytes`; beyond it the answer is NULL and
 * `failed` stays set, so a caller may check once at the end.
 */
struct ush_arena {
    char *at, *end;                 /* free part of the current chunk */
    struct ush_arena_chunk *chunks; /* owned, newest first */
    char *first;                    /* the caller's chunk, borrowed; NULL if none */
    size_t first_bytes;
    size_t held_bytes, cap_bytes;
    bool failed;
};

struct ush_arena_mark {
    char *at, *end;
    struct ush_arena_chunk *chunks;
};

void ush_arena_init(struct ush_arena *a, void *first, size_t first_bytes, size_t cap_bytes);
void ush_arena_fini(struct ush_arena *a);
/* Forgets everything but keeps the first chunk. */
void ush_arena_reset(struct ush_arena *a);
/* `bytes` of zeroed memory aligned to 16, or NULL beyond the cap. */
void *ush_arena_alloc(struct ush_arena *a, size_t bytes);
#define USH_NEW(arena, type) ((type *)ush_arena_alloc((arena), sizeof(type)))
/* NULL also when n elements cannot be counted. */
#define USH_NEW_N(arena, type, n) ((type *)ush_arena_alloc_n((arena), sizeof(type), (size_t)(n)))
static inline void *ush_arena_alloc_n(struct ush_arena *a, size_t element_bytes, size_t n)
{
    size_t bytes;
    return ush_arena_alloc(a, __builtin_mul_overflow(element_bytes, n, &bytes) ? SIZE_MAX : bytes);
}
/* A copy with a NUL byte behind it; USH_NONE beyond the cap. */
ush_text ush_arena_copy(struct ush_arena *a, ush_text t);
ush_text ush_arena_printf(struct ush_arena *a, const char *fmt, ...) USH_PRINTF(2, 3);
ush_text ush_arena_vprintf(struct ush_arena *a, const char *fmt, va_list ap) USH_PRINTF(2, 0);
struct ush_arena_mark ush_arena_mark(const struct ush_arena *a);
void ush_arena_rewind(struct ush_arena *a, struct ush_arena_mark mark);

/* ---- buffer ------------------------------------------------------------------------------- */

/*
 * Bytes that grow up to a limit. An addition that would pass `max_bytes` (or finds no memory)
 * adds nothing and sets `error`, and so does every later one; a chain is checked once at its end.
 */
struct ush_buf {
    char *at; /* owned; followed by a NUL byte once anything was added */
    size_t len, cap_bytes, max_bytes;
    int error; /* 0 or USH_ELIMIT */
};

void ush_buf_init(struct ush_buf *b, size_t max_bytes);
void ush_buf_fini(struct ush_buf *b);
/* len = 0 and error = 0; the memory stays. */
void ush_buf_reset(struct ush_buf *b);
/* Room for `bytes` more behind len, with a NUL behind them; NULL when that passes the limit.
 * Commit with len +=. */
char *ush_buf_room(struct ush_buf *b, size_t bytes);
void ush_buf_add(struct ush_buf *b, ush_text t);
void ush_buf_add_byte(struct ush_buf *b, char c);
void ush_buf_add_i64(struct ush_buf *b, int64_t value);
void ush_buf_printf(struct ush_buf *b, const char *fmt, ...) USH_PRINTF(2, 3);
/* Removes `bytes` from the front. */
void ush_buf_drop(struct ush_buf *b, size_t bytes);
static inline ush_text ush_buf_text(const struct ush_buf *b)
{
    return (ush_text){b->at ? b->at : "", b->len};
}

/* Escapes, each for one context. HTML and JSON take any bytes; malformed UTF-8 becomes U+FFFD, and
 * the JSON may stand inside a script element. */
void ush_buf_add_html(struct ush_buf *b, ush_text t);    /* element content and quoted attribute */
void ush_buf_add_json(struct ush_buf *b, ush_text t);    /* with the quotes (RFC 8259) */
void ush_buf_add_percent(struct ush_buf *b, ush_text t); /* all but RFC 3986 "unreserved" */
void ush_buf_add_base64(struct ush_buf *b, const void *bytes, size_t n); /* RFC 4648 §4 */

/* Crockford base 32, upper case, most significant bit first, no padding. */
void ush_base32_format(const void *bytes, size_t n, char *out /* (n*8+4)/5 + 1 */);
/* Takes either case, O for 0, I and L for 1, ignores '-' and ' '. Exactly n bytes with zero
 * left-over bits, or -EINVAL. */
int ush_base32_parse(ush_text t, void *ret_bytes, size_t n);

/* ---- list --------------------------------------------------------------------------------- */

/* Doubly linked, circular, intrusive. The head is a link too; a link that is in no list points to
 * itself, so removing it again is harmless. */
struct ush_link {
    struct ush_link *prev, *next;
};

static inline void ush_list_init(struct ush_link *l)
{
    l->prev = l->next = l;
}
static inline bool ush_list_is_empty(const struct ush_link *head)
{
    return head->next == head;
}
static inline void ush_list_add_before(struct ush_link *place, struct ush_link *l)
{
    l->prev = place->prev;
    l->next = place;
    place->prev->next = l;
    place->prev = l;
}
static inline void ush_list_push(struct ush_link *head, struct ush_link *l)
{
    ush_list_add_before(head, l);
}
static inline void ush_list_push_front(struct ush_link *head, struct ush_link *l)
{
    ush_list_add_before(head->next, l);
}
static inline void ush_list_del(struct ush_link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    ush_list_init(l);
}
/* First link, removed; NULL when empty. */
static inline struct ush_link *ush_list_pop(struct ush_link *head)
{
    struct ush_link *l = head->next;
    if (l == head)
        return NULL;
    ush_list_del(l);
    return l;
}
/* Moves all of `from` behind the last of `to`. */
static inline void ush_list_move_all(struct ush_link *to, struct ush_link *from)
{
    if (ush_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ush_list_init(from);
}
#define USH_EACH(head, l) for (struct ush_link *l = (head)->next; l != (head); l = l->next)
#define USH_EACH_SAFE(head, l)                                                                     \
    for (struct ush_link *l = (head)->next, *l##_next = l->next; l != (head);                      \
         l = l##_next, l##_next = l->next)

/* ---- map ---------------------------------------------------------------------------------- */

/*
 * Open addressing from text to pointer, at most `max_entries`. Keys are borrowed and must live as
 * long as their entry. The hash is keyed with `seed`, so strangers cannot choose collisions.
 */
struct ush_map {
    struct ush_map_slot *slots; /* owned */
    size_t count, slot_count, max_entries;
    uint64_t seed;
};

void ush_map_init(struct ush_map *m, size_t max_entries, uint64_t seed);
void ush_map_fini(struct ush_map *m);
void *ush_map_get(const struct ush_map *m, ush_text key);
/* Adds or replaces. 0 or USH_EFULL. `value` is not NULL. */
int ush_map_set(struct ush_map *m, ush_text key, void *value);
/* The value that was there, or NULL. */
void *ush_map_del(struct ush_map *m, ush_text key);
/* Walks in no order: start with *cursor = 0; NULL at the end. Adding or deleting ends the walk's
 * promise. `ret_key` may be NULL. */
void *ush_map_next(const struct ush_map *m, size_t *cursor, ush_text *ret_key);
/* Keyed 64-bit hash of bytes (wyhash-like, not cryptographic). */
uint64_t ush_hash(const void *bytes, size_t n, uint64_t seed);

/* ---- time as data ------------------------------------------------------------------------- */

/* Instants are signed milliseconds since 1970-01-01T00:00:00Z, without leap seconds. The clock
 * itself is behind the runtime's door: see ush_now_ns and ush_wall_ms in task.h. */
struct ush_civil {
    int year, month, day; /* month 1 to 12, day 1 to 31 */
    int hour, minute, second, ms;
    int weekday; /* 0 is Sunday */
};

struct ush_civil ush_civil_from_ms(int64_t wall_ms, int utc_offset_min);
/* The instant, or -EINVAL for a date that does not exist. */
int ush_civil_to_ms(const struct ush_civil *c, int utc_offset_min, int64_t *ret_wall_ms);
/* "2026-03-13T18:00:00Z" or with "+05:30" and milliseconds when not zero (RFC 3339). The texts
 * have four-digit years: an instant outside them is written as the nearest inside. */
void ush_time_format(int64_t wall_ms, int utc_offset_min, char out[32]);
/* Takes RFC 3339 with an offset; no leap second. -EINVAL otherwise. */
int ush_time_parse(ush_text t, int64_t *ret_wall_ms);
/* "Fri, 13 Mar 2026 12:30:00 GMT" (RFC 9110 §5.6.7); 29 characters and NUL. */
void ush_time_format_http(int64_t wall_ms, char out[30]);
/* Takes that and the two obsolete forms that RFC 9110 asks for. -EINVAL otherwise. */
int ush_time_parse_http(ush_text t, int64_t *ret_wall_ms);

/* ---- how long it took ----------------------------------------------------------------------- */

/* Times of the last minute, zeroed at first; in shared memory any number of processes count. */
enum { USH_TIMES_SLOTS = 7, USH_TIMES_STEPS = 104 }; /* up to 2^27 us: two minutes */
struct ush_times {
    struct {
        _Atomic int64_t turn; /* which ten seconds these are */
        _Atomic uint32_t counts[USH_TIMES_STEPS];
    } slots[USH_TIMES_SLOTS];
};
struct ush_times_told {
    uint64_t count;
    int64_t half_us, most_us, all_us; /* what 50, 99 and 100 of a hundred did not exceed */
};
/* `now_ns` is ush_now_ns of any process of the host. Neither waits nor locks. */
void ush_times_add(struct ush_times *t, int64_t now_ns, int64_t took_ns);
struct ush_times_told ush_times_last_minute(const struct ush_times *t, int64_t now_ns);

/* ---- log ---------------------------------------------------------------------------------- */

enum ush_log_level { USH_LOG_ERROR, USH_LOG_WARN, USH_LOG_INFO, USH_LOG_DEBUG };

struct ush_log_options {
    int fd;                   /* default 2; borrowed */
    enum ush_log_level level; /* lines above are dropped */
    bool json;                /* JSON lines; else a line for people */
    const char *role;         /* "master", "web 2": on every line; borrowed for ever */
};
void ush_log_init(const struct ush_log_options *o);
void ush_log_set_fd(int fd);
void ush_log_set_role(const char *role); /* borrowed for ever */
/*
 * One line, written with one write(2). `event` is a stable dotted name for machines
 * ("worker.exit"), the rest a sentence for people. Never put names of people, addresses, tokens or
 * query strings in it. Control bytes are escaped. Longer than 2 KiB is cut.
 */
void ush_log(enum ush_log_level level, const char *event, const char *fmt, ...) USH_PRINTF(3, 4);
void ush_log_v(enum ush_log_level level, const char *event, const char *fmt, va_list ap)
    USH_PRINTF(3, 0);
#define ush_error(...) ush_log(USH_LOG_ERROR, __VA_ARGS__)
#define ush_warn(...) ush_log(USH_LOG_WARN, __VA_ARGS__)
#define ush_info(...) ush_log(USH_LOG_INFO, __VA_ARGS__)
#define ush_debug(...) ush_log(USH_LOG_DEBUG, __VA_ARGS__)

/* ---- settings ----------------------------------------------------------------------------- */

/*
 * A program's settings are one struct and one table of fields. The table yields the environment
 * variables (PREFIX_KEY), the options (--key), the file (the same KEY=value lines that systemd's
 * EnvironmentFile= reads) and the help text, so they cannot drift apart. Order of precedence:
 * default, file, environment, option.
 */
enum ush_setting_type {
    USH_SET_TEXT,  /* const char *, never NULL; owned by the settings for ever */
    USH_SET_INT,   /* int64_t with bounds */
    USH_SET_BYTES, /* int64_t; takes 64, 64K, 5M, 1G */
    USH_SET_BOOL,  /* bool; takes 1/0, yes/no, on/off, true/false */
    USH_SET_CHOICE /* int: index into `choices` */
};

struct ush_setting {
    const char *key; /* "MAIL_URL": variable PREFIX_MAIL_URL, option --mail-url */
    enum ush_setting_type type;
    size_t offset;       /* of the field in the settings struct */
    const char *initial; /* the default, as text; NULL means empty, 0, no or the first choice */
    int64_t min, max;    /* for INT and BYTES; both 0 = no bounds; BYTES are never negative */
    const char *choices; /* for CHOICE: "a|b|c" */
    const char *doc;     /* one line for --help */
    bool secret;         /* never printed; also read from the file that PREFIX_KEY_FILE names */
    bool at_start;       /* a reload cannot change it */
};

/* Fills *settings from defaults, `file` (NULL: none) and the environment. An unknown PREFIX_ name
 * is an error, so that a slip of the pen is not silently ignored. On an error returns -EINVAL and
 * adds a sentence to *ret_problem that names the key, the value (never a secret's) and what to
 * do. `prefix` is "USHER", without the underscore. */
int ush_settings_load(const struct ush_setting *table, size_t n, const char *prefix,
                      const char *file, void *settings, struct ush_buf *ret_problem);
/* Sets one from an option: `key` as typed after "--" ("mail-url"). USH_ENOTFOUND if unknown,
 * -EINVAL for a value that is not allowed; both add a sentence. */
int ush_settings_set(const struct ush_setting *table, size_t n, ush_text key, ush_text value,
                     void *settings, struct ush_buf *ret_problem);
/* The first key marked at_start whose value differs between the two, or NULL. */
const char *ush_settings_needs_restart(const struct ush_setting *table, size_t n,
                                       const void *running, const void *loaded);
/* The options part of a --help text. */
void ush_settings_help(const struct ush_setting *table, size_t n, const char *prefix,
                       struct ush_buf *out);
/* The entry of `words` (NULL-terminated) that is nearest to `word`, or NULL if none is near. */
const char *ush_nearest(ush_text word, const char *const *words);

#endif
