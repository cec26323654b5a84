/*
 * email.c - addresses that mail can reach.
 *
 * RFC 5321 allows more than the world uses. What is taken here is what an ordinary mail system
 * delivers: one dot-atom, an at sign, and a host name of two labels or more.
 *
 *     local part   RFC 5322 dot-atom in ASCII, at most 64 bytes. Refused though valid: quoted
 *                  parts, comments, and letters outside ASCII (they need SMTPUTF8 all the way).
 *     domain       letters, digits, hyphens; labels of 1 to 63; at most 253 in ASCII form; the
 *                  last label is no number. Labels outside ASCII become "xn--" (RFC 3492) in
 *                  lower case. IP literals are refused.
 *
 * The address is stored as it was typed; ush_email_ascii gives what SMTP and comparisons need.
 *
 * Invariants
 * 1. Linear time, fixed memory: the length is looked at before anything else.
 * 2. ush_email_ascii and ush_email_key succeed for every address that passed.
 * 3. A domain that we could only turn into a wrong name is refused, not guessed: letters with
 *    separate accents (U+0300 to U+036F) would need Unicode normalisation, joiners a context.
 *
 * Not here: whether the domain exists or the mailbox does.
 */
#include "record/record.h"

#include "base/base.h"

enum { LOCAL_MAX = 64, LABEL_MAX = 63, DOMAIN_MAX = 253, ADDRESS_MAX = 254 };

/* ---- punycode (RFC 3492) ------------------------------------------------------------------ */

enum { BASE = 36, TMIN = 1, TMAX = 26, SKEW = 38, DAMP = 700, INITIAL_BIAS = 72, INITIAL_N = 128 };

static uint32_t adapt(uint32_t delta, uint32_t points, bool first)
{
    delta = first ? delta / DAMP : delta / 2;
    delta += delta / points;
    uint32_t k = 0;
    for (; delta > (BASE - TMIN) * TMAX / 2; k += BASE)
        delta /= BASE - TMIN;
    return k + (BASE - TMIN + 1) * delta / (delta + SKEW);
}

/* Writes delta as a generalised variable-length integer. False when it does not fit. */
static bool put_delta(uint32_t delta, uint32_t bias, char *out, size_t *len, size_t room)
{
    for (uint32_t k = BASE;; k += BASE) {
        uint32_t t = k <= bias ? TMIN : k >= bias + TMAX ? TMAX : k - bias;
        uint32_t digit = delta < t ? delta : t + (delta - t) % (BASE - t);
        if (*len == room)
            return false;
        out[(*len)++] = (char)(digit < 26 ? 'a' + digit : '0' + digit - 26);
        if (delta < t)
            return true;
        delta = (delta - t) / (BASE - t);
    }
}

/* Encodes n <= LABEL_MAX code points. The bytes written, or 0 if they do not fit. With so few
 * points no delta passes 64 * 0x110000, so nothing overflows. */
static size_t punycode(const uint32_t *points, size_t n, char *out, size_t room)
{
    size_t len = 0, done = 0;
    for (size_t i = 0; i < n; i++)
        if (points[i] < 0x80) {
            if (len + 1 >= room)
                return 0;
            out[len++] = (char)points[i];
        }
    size_t basic = done = len;
    if (basic)
        out[len++] = '-';
    uint32_t current = INITIAL_N, delta = 0, bias = INITIAL_BIAS;
    while (done < n) {
        uint32_t next = UINT32_MAX;
        for (size_t i = 0; i < n; i++)
            if (points[i] >= current && points[i] < next)
                next = points[i];
        delta += (next - current) * (uint32_t)(done + 1);
        current = next;
        for (size_t i = 0; i < n; i++) {
            delta += points[i] < current;
            if (points[i] != current)
                continue;
            if (!put_delta(delta, bias, out, &len, room))
                return 0;
            bias = adapt(delta, (uint32_t)done + 1, done == basic);
            delta = 0;
            done++;
        }
        delta++;
        current++;
    }
    return len;
}

/* ---- domains ------------------------------------------------------------------------------ */

static bool is_dot(uint32_t c)
{
    return c == '.' || c == 0x3002 || c == 0xff0e || c == 0xff61; /* RFC 3490 §3.1 */
}

/* Whether c may stand in a label, already in lower case. */
static bool is_label_char(uint32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
    bool accent = c >= 0x300 && c <= 0x36f;
    bool sign = c < 0xc0 ? c != 0xb7 : c == 0xd7 || c == 0xf7 || (c >= 0x2000 && c <= 0x2bff);
    bool form = (c >= 0xfb00 && c <= 0xfb06) || (c >= 0xff00 && c <= 0xffef); /* compatibility */
    bool none = (c >= 0xe000 && c <= 0xf8ff) || c >= 0xe0000 || (c & 0xfffe) == 0xfffe;
    return !accent && !sign && !form && !none && !ush__is_blank(c) && !ush__is_invisible(c);
}

/* One label of n code points to ASCII at out, which has room for LABEL_MAX. 0 if it is none. */
static size_t label_ascii(const uint32_t *points, size_t n, char *out)
{
    if (n == 0 || points[0] == '-' || points[n - 1] == '-' || ush__is_mark(points[0]))
        return 0;
    bool ascii = true;
    for (size_t i = 0; i < n; i++)
        ascii &= points[i] < 0x80;
    if (ascii) {
        for (size_t i = 0; i < n; i++)
            out[i] = (char)points[i];
        return n;
    }
    if (n >= 4 && points[2] == '-' && points[3] == '-')
        return 0; /* "xn--" and the like are for encoded labels */
    memcpy(out, "xn--", 4);
    size_t len = punycode(points, n, out + 4, LABEL_MAX - 4);
    return len ? len + 4 : 0;
}

/* A domain in ASCII form and lower case. The length, or 0 if it is no host name. */
static size_t domain_ascii(ush_text domain, char out[DOMAIN_MAX + 1])
{
    size_t len = 0, labels = 0;
    while (domain.at) {
        uint32_t points[LABEL_MAX];
        size_t n = 0;
        bool end = true;
        while (domain.len) {
            int32_t code = ush__utf8_step(&domain);
            uint32_t c = code < 0 ? 0 : ush__lower((uint32_t)code);
            end = !is_dot(c);
            if (!end)
                break;
            if (n == LABEL_MAX || !is_label_char(c))
                return 0;
            points[n++] = c;
        }
        char label[LABEL_MAX];
        size_t label_len = label_ascii(points, n, label);
        if (label_len == 0 || len + label_len + 1 > DOMAIN_MAX + 1)
            return 0;
        memcpy(out + len, label, label_len);
        len += label_len;
        labels++;
        if (end) {
            bool number = strspn(label, "0123456789") >= label_len;
            return labels >= 2 && !number && len <= DOMAIN_MAX ? len : 0;
        }
        out[len++] = '.';
    }
    return 0;
}

/* ---- addresses ---------------------------------------------------------------------------- */

static bool is_atom_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static const char *local_problem(ush_text local)
{
    if (local.len == 0 || local.len > LOCAL_MAX)
        return "Please check the part before the @: it has 1 to 64 characters";
    for (size_t i = 0; i < local.len; i++) {
        if ((unsigned char)local.at[i] >= 0x80)
            return "This mail system cannot deliver to that address: before the @ it can use only "
                   "unaccented letters";
        bool inner_dot = local.at[i] == '.' && i > 0 && i + 1 < local.len && local.at[i - 1] != '.';
        if (!is_atom_char(local.at[i]) && !inner_dot)
            return "Please check the part before the @: quotes, brackets and double dots are not "
                   "taken";
    }
    return NULL;
}

/* Splits at the only '@'. */
static bool split(ush_text email, ush_text *ret_local, ush_text *ret_domain)
{
    ush_text rest = email;
    *ret_local = ush_text_cut(&rest, '@');
    *ret_domain = rest;
    return rest.at && ush_text_find(rest, '@') < 0;
}

const char *ush__email_problem(ush_text clean)
{
    if (clean.len > 2 * ADDRESS_MAX)
        return "Please check the address: it is too long";
    ush_text local, domain;
    size_t ats = 0;
    for (size_t i = 0; i < clean.len; i++) {
        ats += clean.at[i] == '@';
        if (strchr(",; \t", clean.at[i]))
            return "Please enter one address only, without spaces";
    }
    if (ats > 1)
        return "Please enter one address only";
    if (!split(clean, &local, &domain))
        return "Please enter an address such as name@example.org";
    const char *problem = local_problem(local);
    if (problem)
        return problem;
    if (domain.len && domain.at[0] == '[')
        return "Please use a domain name behind the @, not a network address";
    char ascii[DOMAIN_MAX + 1];
    size_t len = domain_ascii(domain, ascii);
    if (len == 0 || local.len + 1 + len > ADDRESS_MAX)
        return "Please check the part behind the @: it is a domain such as example.org";
    return NULL;
}

/* local@domain with the domain in ASCII form. */
static ush_text join(ush_text local, ush_text domain, struct ush_arena *arena)
{
    char ascii[DOMAIN_MAX + 1];
    size_t len = domain_ascii(domain, ascii);
    return len ? ush_arena_printf(arena, "%.*s@%.*s", USH_PR(local), (int)len, ascii) : USH_NONE;
}

ush_text ush_email_ascii(ush_text email, struct ush_arena *arena)
{
    ush_text local, domain;
    return split(email, &local, &domain) ? join(local, domain, arena) : USH_NONE;
}

ush_text ush_email_key(ush_text email, const struct ush_email_options *o, struct ush_arena *arena)
{
    ush_text local, domain;
    if (!split(email, &local, &domain))
        return USH_NONE;
    ssize_t plus = o && o->fold_plus ? ush_text_find(local, '+') : -1;
    if (plus > 0)
        local.len = (size_t)plus;
    char lower[LOCAL_MAX];
    if (local.len > sizeof lower)
        return USH_NONE;
    for (size_t i = 0; i < local.len; i++)
        lower[i] = (char)ush__lower((unsigned char)local.at[i]);
    return join((ush_text){lower, local.len}, domain, arena);
}

ush_text ush_email_suggestion(ush_text email)
{
    /* The first ones are suggested; the rest are near them and right as they are. */
    static const char *const known[] = {
        "gmail.com",  "yahoo.com",     "hotmail.com",    "outlook.com",    "icloud.com",
        "yahoo.in",   "yahoo.co.in",   "rediffmail.com", "protonmail.com", "googlemail.com",
        "mail.com",   "email.com",     "ymail.com",      "gmx.com",        "live.com",
        "hotmail.co", "hotmail.co.uk", "yahoo.co.uk",    "yahoo.ca",       "yahoo.co",
        "yahoo.cn",   "yahoo.it",      "outlook.co",     "iname.com",
    };
    enum { SUGGESTED = 10 };
    ush_text local, domain;
    if (!split(email, &local, &domain) || domain.len > 32)
        return USH_NONE;
    for (size_t i = 0; i < USH_COUNT(known); i++)
        if (ush_text_equal_nocase(domain, ush_text_of(known[i])))
            return USH_NONE;
    for (size_t i = 0; i < SUGGESTED; i++)
        if (ush__distance(domain, ush_text_of(known[i])) == 1)
            return ush_text_of(known[i]);
    return USH_NONE;
}
