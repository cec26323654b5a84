/*
 * settings.c - one table of settings: environment, file, options and help from the same rows.
 *
 *     defaults  ->  file  ->  environment  ->  options           a later one wins
 *
 * The file holds KEY=value lines as systemd's EnvironmentFile= does: '#' and ';' begin a comment
 * line, a value may stand in single or double quotes, a backslash takes the next character as it
 * is (and joins lines when it is the last). So the same file serves a unit and a shell's `set -a`.
 *
 * Invariants
 * 1. A name with our prefix that no row knows is an error, wherever it stands. The nearest known
 *    name is suggested.
 * 2. A value is checked when it is read, whatever it came from; nothing is clamped.
 * 3. A secret's value appears in no message. It may come from the file named by PREFIX_KEY_FILE
 *    instead; both at one place is an error, since one of them would be ignored.
 * 4. Text values are never freed: settings are read a few times in the life of a process, and a
 *    pointer to an old one may be held anywhere.
 *
 * Foreign names in the file (PGPASSWORD, TZ) are left alone, unless they are ours without the
 * prefix: that is a slip.
 */
#include "base/base.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

enum {
    FILE_MAX_BYTES = 64 << 10,
    SECRET_MAX_BYTES = 4 << 10,
    NAME_MAX_BYTES = 80,
    WORDS_MAX = 256
};

struct loading {
    const struct ush_setting *table;
    size_t n;
    const char *prefix;
    void *settings;
    struct ush_buf *problem;
};

/* ---- one value ---------------------------------------------------------------------------- */

static int parse_int(const struct ush_setting *s, ush_text value, int64_t *ret)
{
    int64_t unit = 1;
    if (s->type == USH_SET_BYTES && value.len) {
        const char *units = "KMG", *found = strchr(units, toupper(value.at[value.len - 1]));
        if (found && *found) {
            unit = INT64_C(1) << (10 * (found - units + 1));
            value.len--;
        }
    }
    int64_t parsed;
    if (ush_text_i64(value, &parsed) < 0 || __builtin_mul_overflow(parsed, unit, &parsed) ||
        (s->type == USH_SET_BYTES && parsed < 0))
        return -EINVAL;
    if ((s->min || s->max) && (parsed < s->min || parsed > s->max))
        return -ERANGE;
    *ret = parsed;
    return 0;
}

static int parse_choice(ush_text choices, ush_text value, int *ret)
{
    for (int i = 0; choices.at; i++)
        if (ush_text_equal_nocase(ush_text_cut(&choices, '|'), value)) {
            *ret = i;
            return 0;
        }
    return -EINVAL;
}

/* Writes the value into its field. -EINVAL or -ERANGE. */
static int put(const struct ush_setting *s, ush_text value, void *settings)
{
    void *field = (char *)settings + s->offset;
    int choice;
    switch (s->type) {
    case USH_SET_TEXT: {
        if (memchr(value.at, 0, value.len))
            return -EINVAL;
        char *copy = strndup(value.at, value.len);
        assert(copy);
        *(const char **)field = copy;
        return 0;
    }
    case USH_SET_INT:
    case USH_SET_BYTES:
        return parse_int(s, value, field);
    case USH_SET_BOOL:
        /* Pairs: even is no, odd is yes. */
        USH_TRY(parse_choice(USH_T("0|1|no|yes|off|on|false|true"), value, &choice));
        *(bool *)field = choice % 2;
        return 0;
    case USH_SET_CHOICE:
        return parse_choice(ush_text_of(s->choices), value, field);
    }
    return -EINVAL;
}

static void add_bounds(const struct ush_setting *s, struct ush_buf *b)
{
    if (s->type == USH_SET_BOOL)
        ush_buf_printf(b, "yes or no");
    else if (s->type == USH_SET_CHOICE)
        ush_buf_printf(b, "one of %s", s->choices);
    else if (s->type == USH_SET_TEXT)
        ush_buf_printf(b, "text without a NUL byte");
    else
        ush_buf_printf(b,
                       s->type == USH_SET_BYTES ? "a size such as 512K or 5M" : "a whole number");
    if (s->min || s->max)
        ush_buf_printf(b, ", from %lld to %lld", (long long)s->min, (long long)s->max);
}

/* `name` is what the user wrote; `where` is "" or the file and line, with ": ". */
static int put_checked(const struct ush_setting *s, const char *where, const char *name,
                       ush_text value, void *settings, struct ush_buf *problem)
{
    if (!value.at)
        value = USH_T("");
    if (put(s, value, settings) == 0)
        return 0;
    ush_buf_printf(problem, "%s%s", where, name);
    if (!s->secret)
        ush_buf_printf(problem, "=%.*s", (int)(value.len < 100 ? value.len : 100), value.at);
    ush_buf_printf(problem, ": must be ");
    add_bounds(s, problem);
    return -EINVAL;
}

/* ---- names -------------------------------------------------------------------------------- */

static char fold(char c)
{
    return c == '-' ? '_' : (char)toupper((unsigned char)c);
}

static bool same_name(ush_text typed, const char *key)
{
    size_t i = 0;
    while (i < typed.len && key[i] && fold(typed.at[i]) == key[i])
        i++;
    return i == typed.len && !key[i];
}

/* Finds the row of a name behind the prefix; *ret_from_file when it is KEY_FILE of a secret. */
static const struct ush_setting *find(const struct ush_setting *table, size_t n, ush_text key,
                                      bool *ret_from_file)
{
    for (size_t i = 0; i < n; i++) {
        if (ush_text_equal(key, ush_text_of(table[i].key))) {
            *ret_from_file = false;
            return &table[i];
        }
        if (table[i].secret && ush_text_ends(key, USH_T("_FILE")) &&
            ush_text_equal((ush_text){key.at, key.len - 5}, ush_text_of(table[i].key))) {
            *ret_from_file = true;
            return &table[i];
        }
    }
    return NULL;
}

static const char *nearest_key(const struct ush_setting *table, size_t n, ush_text key)
{
    const char *words[WORDS_MAX + 1];
    assert(n <= WORDS_MAX);
    for (size_t i = 0; i < n; i++)
        words[i] = table[i].key;
    words[n] = NULL;
    return ush_nearest(key, words);
}

/* ---- sources ------------------------------------------------------------------------------ */

/* Reads a whole small file into b. */
static int read_file(const char *path, struct ush_buf *b)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = 0;
    for (;;) {
        /* One byte more than may be: that it can be read is how a file too long is seen. */
        size_t want = b->max_bytes - b->len;
        char spare, *room = want ? ush_buf_room(b, want) : &spare;
        ssize_t got = read(fd, room, want ? want : 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || !want) {
            result = got < 0 ? -errno : got ? -EFBIG : 0;
            break;
        }
        b->len += (size_t)got;
    }
    close(fd);
    return result;
}

static int put_secret_from_file(struct loading *l, const struct ush_setting *s, const char *where,
                                const char *name, const char *path)
{
    struct ush_buf b;
    ush_buf_init(&b, SECRET_MAX_BYTES);
    int result = read_file(path, &b);
    if (result < 0) {
        ush_buf_printf(l->problem, "%s%s: cannot read %s: %s", where, name, path,
                       ush_error_text(result));
        result = -EINVAL;
    } else {
        while (b.len && (b.at[b.len - 1] == '\n' || b.at[b.len - 1] == '\r'))
            b.len--;
        result = put_checked(s, where, name, ush_buf_text(&b), l->settings, l->problem);
        explicit_bzero(b.at, b.cap_bytes);
    }
    ush_buf_fini(&b);
    return result;
}

/* One assignment from file or environment. `seen` has a mark per row and source. */
static int assign(struct loading *l, const char *where, ush_text name, const char *value,
                  bool *seen)
{
    size_t prefix_len = strlen(l->prefix);
    bool ours = name.len > prefix_len && name.at[prefix_len] == '_' &&
                memcmp(name.at, l->prefix, prefix_len) == 0;
    ush_text key = ours ? (ush_text){name.at + prefix_len + 1, name.len - prefix_len - 1} : name;
    bool from_file;
    const struct ush_setting *s = find(l->table, l->n, key, &from_file);
    if (!ours) {
        if (!s || !*where)
            return 0;
        ush_buf_printf(l->problem, "%s%.*s: did you mean %s_%.*s?", where, USH_PR(name), l->prefix,
                       USH_PR(name));
        return -EINVAL;
    }
    if (!s) {
        const char *near = nearest_key(l->table, l->n, key);
        ush_buf_printf(l->problem, "%s%.*s: there is no such setting", where, USH_PR(name));
        if (near)
            ush_buf_printf(l->problem, "; did you mean %s_%s?", l->prefix, near);
        return -EINVAL;
    }
    bool *mark = &seen[s - l->table];
    if (*mark && s->secret) {
        ush_buf_printf(l->problem, "%s%.*s: given twice, or both as itself and as _FILE", where,
                       USH_PR(name));
        return -EINVAL;
    }
    *mark = true;
    char full[2 * NAME_MAX_BYTES];
    snprintf(full, sizeof full, "%.*s", USH_PR(name));
    if (from_file)
        return put_secret_from_file(l, s, where, full, value);
    return put_checked(s, where, full, ush_text_of(value), l->settings, l->problem);
}

/*
 * Takes the value of one assignment off *rest, up to its end of line, and unquotes it in place.
 * Returns the value, NUL-terminated, or NULL for a quote that does not end.
 */
static char *take_value(char **rest, unsigned *line)
{
    char *in = *rest, *value = in, *out = in, *keep = in, quote = 0;
    while (*in == ' ' || *in == '\t')
        in++;
    for (; *in && (quote || *in != '\n'); in++) {
        *line += *in == '\n';
        if (!quote && (*in == '"' || *in == '\'')) {
            quote = *in;
        } else if (quote && *in == quote) {
            quote = 0;
            keep = out; /* blanks inside quotes are wanted */
        } else if (*in == '\\' && quote != '\'' && in[1]) {
            in++;
            *line += *in == '\n';
            if (*in != '\n')
                *out++ = *in;
            keep = out;
        } else {
            *out++ = *in;
            if (*in != ' ' && *in != '\t' && *in != '\r')
                keep = out;
        }
    }
    *rest = *in ? in + 1 : in;
    *line += *in == '\n';
    *keep = 0;
    return quote ? NULL : value;
}

static int load_lines(struct loading *l, const char *file, char *rest, bool *seen)
{
    for (unsigned line = 1; *rest;) {
        char where[512];
        snprintf(where, sizeof where, "%.400s line %u: ", file, line);
        rest += strspn(rest, " \t\r");
        size_t length = strcspn(rest, "=\n");
        if (*rest == '#' || *rest == ';' || rest[length] != '=') {
            length = strcspn(rest, "\n");
            ush_text text = ush_text_trim((ush_text){rest, length});
            if (text.len && *text.at != '#' && *text.at != ';') {
                ush_buf_printf(l->problem, "%sneither KEY=value nor a comment", where);
                return -EINVAL;
            }
            rest += length + (rest[length] == '\n');
            line++;
            continue;
        }
        ush_text name = ush_text_trim((ush_text){rest, length});
        rest += length + 1;
        char *value = take_value(&rest, &line);
        if (!value) {
            ush_buf_printf(
                l->problem,
                "%sthe quote is not closed; a value with ' in it stands in double quotes", where);
            return -EINVAL;
        }
        USH_TRY(assign(l, where, name, value, seen));
    }
    return 0;
}

static int load_file(struct loading *l, const char *file)
{
    struct ush_buf b;
    ush_buf_init(&b, FILE_MAX_BYTES);
    bool seen[WORDS_MAX] = {false};
    int result = read_file(file, &b);
    if (result == 0 && b.len && memchr(b.at, 0, b.len))
        result = -EILSEQ;
    if (result < 0) {
        ush_buf_printf(l->problem, "cannot read the settings in %s: %s", file,
                       ush_error_text(result));
        result = -EINVAL;
    } else if (b.len) {
        b.at[b.len] = 0;
        result = load_lines(l, file, b.at, seen);
        explicit_bzero(b.at, b.cap_bytes);
    }
    ush_buf_fini(&b);
    return result;
}

int ush_settings_load(const struct ush_setting *table, size_t n, const char *prefix,
                      const char *file, void *settings, struct ush_buf *ret_problem)
{
    struct loading l = {table, n, prefix, settings, ret_problem};
    assert(n <= WORDS_MAX);
    for (size_t i = 0; i < n; i++) {
        const char *initial = table[i].initial;
        if (!initial && table[i].type != USH_SET_TEXT)
            memset((char *)settings + table[i].offset, 0,
                   table[i].type == USH_SET_BOOL     ? sizeof(bool)
                   : table[i].type == USH_SET_CHOICE ? sizeof(int)
                                                     : sizeof(int64_t));
        else if (put(&table[i], ush_text_of(initial ? initial : ""), settings) < 0)
            assert(!"a default must be a value that its own row allows");
    }
    if (file)
        USH_TRY(load_file(&l, file));
    bool seen[WORDS_MAX] = {false};
    for (char **e = environ; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        if (equals)
            USH_TRY(assign(&l, "", (ush_text){*e, (size_t)(equals - *e)}, equals + 1, seen));
    }
    return 0;
}

int ush_settings_set(const struct ush_setting *table, size_t n, ush_text key, ush_text value,
                     void *settings, struct ush_buf *ret_problem)
{
    char name[NAME_MAX_BYTES + 3];
    snprintf(name, sizeof name, "--%.*s", USH_PR(key));
    for (size_t i = 0; i < n; i++)
        if (same_name(key, table[i].key))
            return put_checked(&table[i], "", name, value, settings, ret_problem);
    ush_buf_printf(ret_problem, "%s: there is no such option", name);
    const char *near = nearest_key(table, n, key);
    if (near) {
        ush_buf_printf(ret_problem, "; did you mean --");
        for (; *near; near++)
            ush_buf_add_byte(ret_problem, *near == '_' ? '-' : (char)tolower(*near));
        ush_buf_add_byte(ret_problem, '?');
    }
    return USH_ENOTFOUND;
}

const char *ush_settings_needs_restart(const struct ush_setting *table, size_t n,
                                       const void *running, const void *loaded)
{
    static const size_t bytes[] = {[USH_SET_INT] = sizeof(int64_t),
                                   [USH_SET_BYTES] = sizeof(int64_t),
                                   [USH_SET_BOOL] = sizeof(bool),
                                   [USH_SET_CHOICE] = sizeof(int)};
    for (size_t i = 0; i < n; i++) {
        const void *a = (const char *)running + table[i].offset;
        const void *b = (const char *)loaded + table[i].offset;
        bool same = table[i].type == USH_SET_TEXT
                        ? strcmp(*(const char *const *)a, *(const char *const *)b) == 0
                        : memcmp(a, b, bytes[table[i].type]) == 0;
        if (table[i].at_start && !same)
            return table[i].key;
    }
    return NULL;
}

void ush_settings_help(const struct ush_setting *table, size_t n, const char *prefix,
                       struct ush_buf *out)
{
    static const char *const values[] = {[USH_SET_TEXT] = "TEXT",
                                         [USH_SET_INT] = "N",
                                         [USH_SET_BYTES] = "SIZE",
                                         [USH_SET_BOOL] = "yes|no"};
    for (size_t i = 0; i < n; i++) {
        const struct ush_setting *s = &table[i];
        ush_buf_printf(out, "  --");
        for (const char *k = s->key; *k; k++)
            ush_buf_add_byte(out, *k == '_' ? '-' : (char)tolower(*k));
        ush_buf_printf(out, "=%s\n      %s\n      %s_%s",
                       s->type == USH_SET_CHOICE ? s->choices : values[s->type], s->doc, prefix,
                       s->key);
        if (s->secret)
            ush_buf_add(out, USH_T("[_FILE]"));
        if (s->initial && *s->initial)
            ush_buf_printf(out, ", default %s", s->initial);
        if (s->at_start)
            ush_buf_printf(out, ", read at start only");
        ush_buf_add_byte(out, '\n');
    }
}
