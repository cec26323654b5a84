/*
 * text.c - what a typed text may contain, and the form it is stored in.
 *
 * Names are what people say they are: any script, one word or five, "Null", emoji. So nothing is
 * forbidden because it looks odd, only what harms somebody else later:
 *
 *     direction overrides and isolates      removed: they make "gpj.exe" out of an export
 *     control characters, NUL, bad UTF-8    refused: PostgreSQL cannot store NUL, terminals obey
 *     line ends in a single line            refused: they end mail headers and log lines
 *     more than MARKS_MAX marks in a row    refused: "Zalgo" covers the lines around it
 *     nothing visible                       missing
 *
 * Joiners (ZWJ, ZWNJ) stay, also at the end: in Indic and Persian words they are spelling. Length
 * is counted in code points of the stored form. Text is not normalised; HTML, SQL, "%s" and CSV
 * formulas are text, escaped where they are written (base/escape.c, csv.c), never here.
 *
 * Invariants
 * 1. One pass, linear. A text beyond any length that could pass is refused before it is read.
 * 2. The clean form is never longer than what was typed, and cleaning it again changes nothing.
 */
#include "record/record.h"

#include "base/base.h"

enum { MARKS_MAX = 8, SLACK_BYTES = 256 /* blanks around the text, not counted */ };

void ush__limits(const struct ush_field *f, int64_t *ret_min, int64_t *ret_max)
{
    static const int of_format[] = {[USH_EMAIL] = 254, [USH_SLUG] = 60, [USH_PHONE] = 20};
    *ret_min = f->min;
    *ret_max = f->max;
    if (f->max >= f->min && f->max != 0)
        return;
    switch (f->type) {
    case USH_TYPE_TEXT:
        *ret_max =
            f->format < USH_COUNT(of_format) && of_format[f->format] ? of_format[f->format] : 120;
        break;
    case USH_TYPE_BYTES:
    case USH_TYPE_JSON:
        *ret_max = 8 << 10;
        break;
    default:
        *ret_min = f->min || f->max ? f->min : INT64_MIN;
        *ret_max = INT64_MAX;
    }
}

static bool is_override(int32_t c)
{
    return (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

static bool is_control(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

static bool ends_line(int32_t c)
{
    return c == '\n' || c == '\r' || c == 0x2028 || c == 0x2029;
}

/* NULL, or why a character may not stand here. `is_end`: only blanks before it or behind it. */
static const char *refusal(int32_t c, bool prose, bool is_end)
{
    if (ends_line(c))
        return prose ? NULL : "Please write this on one line";
    if (c < 0 || (is_control(c) && !(c == '\t' && (prose || is_end))))
        return "Please remove the characters that cannot be shown";
    return NULL;
}

struct cleaned {
    char *at;
    size_t len;    /* without blanks at the end */
    int64_t count; /* code points of that */
    bool is_visible;
};

/* One pass: what is allowed goes to c->at, which has room for all of `typed`. NULL or why not. */
static const char *filter(ush_text typed, bool prose, struct cleaned *c)
{
    size_t len = 0, marks = 0;
    int64_t count = 0;
    ush_text core = ush_text_trim(typed);
    while (typed.len) {
        unsigned char byte = (unsigned char)*typed.at;
        if (byte > ' ' && byte < 0x7f) { /* the letter that most letters are */
            typed.at++, typed.len--;
            c->at[len++] = (char)byte;
            c->len = len;
            c->count = ++count;
            c->is_visible = true;
            marks = 0;
            continue;
        }
        bool is_end = len == 0 || typed.at >= core.at + core.len;
        int32_t code = ush__utf8_step(&typed);
        if (is_override(code) || (prose && code == '\r' && typed.len && *typed.at == '\n'))
            continue;
        const char *wrong = refusal(code, prose, is_end);
        if (wrong)
            return wrong;
        if (code == '\r')
            code = '\n';
        bool blank = ush__is_blank((uint32_t)code);
        if (len == 0 && blank)
            continue;
        bool invisible = ush__is_invisible((uint32_t)code);
        bool mark = !invisible && ush__is_mark((uint32_t)code);
        marks = mark ? marks + 1 : invisible ? marks : 0;
        if (marks > MARKS_MAX)
            return "Please use fewer marks on one letter";
        len += ush_utf8_put(c->at + len, (uint32_t)code);
        count++;
        c->is_visible |= !blank && !invisible && !mark;
        if (!blank) {
            c->len = len;
            c->count = count;
        }
    }
    return NULL;
}

static bool is_slug(ush_text t)
{
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              (c == '-' && i > 0 && i + 1 < t.len)))
            return false;
    }
    return true;
}

static bool is_phone(ush_text t)
{
    size_t digits = 0;
    for (size_t i = 0; i < t.len; i++) {
        bool digit = t.at[i] >= '0' && t.at[i] <= '9';
        if (!digit && !memchr(" +()-", t.at[i], 5))
            return false;
        digits += digit;
    }
    return digits >= 5;
}

static bool is_token(ush_text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] <= ' ' || t.at[i] > '~')
            return false;
    return true;
}

static bool is_choice(ush_text t, const char *choices)
{
    for (ush_text rest = ush_text_of(choices); rest.at;)
        if (ush_text_equal(ush_text_cut(&rest, '|'), t))
            return true;
    return false;
}

/* NULL, or what is wrong with a clean text by its format. */
static const char *format_problem(ush_text t, const struct ush_field *f)
{
    switch (f->format) {
    case USH_EMAIL:
        return ush__email_problem(t);
    case USH_SLUG:
        return is_slug(t) ? NULL : "Please use small letters a to z, digits and hyphens only";
    case USH_PHONE:
        return is_phone(t) ? NULL : "Please use at least 5 digits; only + ( ) - and spaces besides";
    case USH_TOKEN:
        return is_token(t) ? NULL : "Please use letters, digits and signs without spaces";
    case USH_LINE:
    case USH_PROSE:
        break;
    }
    return NULL;
}

/* What is pasted around an address: the scheme of a link, the full stop of a sentence. */
static void strip_address(struct cleaned *c)
{
    static const char scheme[] = "mailto:";
    enum { SCHEME = sizeof scheme - 1 };
    ush_text t = {c->at, c->len};
    if (t.len >= SCHEME && ush_text_equal_nocase((ush_text){t.at, SCHEME}, USH_T("mailto:"))) {
        c->at += SCHEME;
        c->len -= SCHEME;
        c->count -= SCHEME;
        while (c->len && *c->at == ' ')
            c->at++, c->len--, c->count--;
    }
    if (c->len && c->at[c->len - 1] == '.')
        c->len--, c->count--;
}

static int refuse(struct ush_fault *fault, const char *type, ush_text msg)
{
    fault->type = type;
    fault->msg = msg;
    return USH_EINVAL;
}

int ush_text_clean(ush_text typed, const struct ush_field *f, struct ush_arena *arena,
                   ush_text *ret_clean, struct ush_fault *ret_fault)
{
    int64_t min, max;
    ush__limits(f, &min, &max);
    if (typed.len / 4 > (uint64_t)max + SLACK_BYTES)
        return refuse(
            ret_fault, "string_too_long",
            ush_arena_printf(arena, "Please use at most %lld characters", (long long)max));
    struct cleaned c = {.at = ush_arena_alloc(arena, typed.len + 1)};
    if (!c.at)
        return USH_ELIMIT;
    const char *wrong = filter(typed, f->format == USH_PROSE, &c);
    if (wrong)
        return refuse(ret_fault, "value_error", ush_text_of(wrong));
    if (f->format == USH_EMAIL)
        strip_address(&c);
    if (!c.is_visible || c.len == 0)
        return refuse(ret_fault, "missing", USH_T("Please enter some text"));
    if (c.count > max)
        return refuse(ret_fault, "string_too_long",
                      ush_arena_printf(arena, "Please use at most %lld characters; this has %lld",
                                       (long long)max, (long long)c.count));
    if (c.count < min)
        return refuse(ret_fault, "string_too_short",
                      ush_arena_printf(arena, "Please use at least %lld characters; this has %lld",
                                       (long long)min, (long long)c.count));
    ush_text clean = {c.at, c.len};
    if (f->choices && !is_choice(clean, f->choices))
        return refuse(ret_fault, "literal_error",
                      ush_arena_printf(arena, "Please choose one of: %s", f->choices));
    wrong = format_problem(clean, f);
    if (wrong)
        return refuse(ret_fault, "value_error", ush_text_of(wrong));
    c.at[c.len] = 0;
    *ret_clean = clean;
    return 0;
}

/* What separates words, what is dropped, and what is kept when texts are compared. */
enum part { LETTER, SEPARATOR, NOTHING };

static enum part part_of(uint32_t c)
{
    if (c == '.' || c == '\'' || c == '`' || c == 0xb4 || c == 0x2018 || c == 0x2019 ||
        c == 0x2bc || c == 0xff07 || ush__is_invisible(c))
        return NOTHING;
    bool ascii_sign = c < 0x80 && !(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z');
    bool sign = (c >= 0xa0 && c < 0xc0 && c != 0xaa && c != 0xb5 && c != 0xba) || c == 0xd7 ||
                c == 0xf7 || (c >= 0x2010 && c <= 0x205e) || (c >= 0x3000 && c <= 0x3004) ||
                (c >= 0x3008 && c <= 0x3020);
    return ascii_sign || sign || ush__is_blank(c) ? SEPARATOR : LETTER;
}

ush_text ush_text_fold(ush_text t, struct ush_arena *arena)
{
    /* A byte that is no UTF-8 becomes U+FFFD, which has three; lower case grows by less. */
    char *at = ush_arena_alloc(arena, t.len * 3 + 1);
    if (!at)
        return USH_NONE;
    size_t len = 0;
    bool pending = false;
    while (t.len) {
        int32_t code = ush__utf8_step(&t);
        uint32_t c = code < 0 ? 0xfffd : ush__lower((uint32_t)code);
        enum part part = part_of(c);
        pending |= part == SEPARATOR;
        if (part != LETTER)
            continue;
        if (pending && len)
            at[len++] = ' ';
        pending = false;
        len += ush_utf8_put(at + len, c);
    }
    return (ush_text){at, len};
}
