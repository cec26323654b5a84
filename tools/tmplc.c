/*
 * tmplc.c - compiles HTML templates into C functions at build time. docs/templates.md is the
 * reference of the language.
 *
 *     tmplc OUT FILE...        OUT.c and OUT.h: one function per file
 *
 * A template is HTML with pieces in double braces: C expressions, printed by their type, and a few
 * directives around C conditions and arrays. So the names in a template are checked by the C
 * compiler, which reports a mistake in the template's own line (#line), and a page costs what
 * appending its parts to a buffer costs.
 *
 * Safe by default: the compiler follows the HTML around every expression and chooses what to do:
 *
 *     text, quoted attribute                      escaped as HTML
 *     start of href, src, action, formaction...   checked to be no script, then escaped as HTML
 *     later in such an attribute                  percent-encoded
 *     on..., style, srcset, srcdoc; script,       refused: no escape makes those safe
 *     style; comment; tag; unquoted value
 *
 * For that it knows where in a tag it is, not which tags HTML has. Both ways through an {{#if}}
 * must end in the same place.
 *
 *     TEXT --<--> TAG --name--> ATTRIBUTE --=--> EQUALS --"--> VALUE --"--> TAG --> TEXT
 *       |           \--!--> COMMENT                         (or ')        |
 *       +----<--------------------------------------------- SCRIPT <------+ (script, style)
 */
#include "host.h"

/* ---- where in the HTML ----------------------------------------------------------------------- */

enum place { TEXT, OPEN, TAG_NAME, TAG, ATTRIBUTE, EQUALS, VALUE, DECLARATION, COMMENT, SCRIPT };
enum kind { PLAIN, URL, CODE };

struct html {
    enum place place;
    enum kind kind; /* of the attribute we are in */
    char quote;
    bool started;  /* something of the value came already */
    char tag[16];  /* lower case, cut; "/" first for an end tag */
    char name[16]; /* of the attribute, the same */
    char last[10]; /* what was read last, for the ends of comments and scripts */
};

static bool is_one_of(const char *word, const char *list)
{
    const char *at = list;
    size_t n = strlen(word);
    while (n && (at = strstr(at, word)))
        if ((at == list || at[-1] == ' ') && (at[n] == ' ' || !at[n]))
            return true;
        else
            at++;
    return false;
}

static void name_add(char name[16], char c)
{
    size_t n = strlen(name);
    if (n < 15)
        name[n] = (char)tolower((unsigned char)c);
}

static void last_add(struct html *h, char c)
{
    memmove(h->last, h->last + 1, sizeof h->last - 2);
    h->last[sizeof h->last - 2] = (char)tolower((unsigned char)c);
}

static bool last_is(const struct html *h, const char *word)
{
    return strcmp(h->last + sizeof h->last - 1 - strlen(word), word) == 0;
}

static enum kind kind_of(const char *name)
{
    if (strncmp(name, "on", 2) == 0 || is_one_of(name, "style srcset srcdoc"))
        return CODE;
    if (is_one_of(name, "href src action formaction poster cite data ping xlink:href"))
        return URL;
    return PLAIN;
}

static void tag_close(struct html *h)
{
    h->place = is_one_of(h->tag, "script style") ? SCRIPT : TEXT;
    memset(h->last, ' ', sizeof h->last - 1);
}

/* One character inside "<...>". What is wrong with it, or NULL. */
static const char *tag_feed(struct html *h, char c)
{
    bool is_space = isspace((unsigned char)c);
    switch (h->place) {
    case OPEN:
        if (c == '!')
            h->place = DECLARATION;
        else if (isalpha((unsigned char)c) || c == '/')
            h->place = TAG_NAME;
        else
            return "a '<' that begins no tag; write &lt;";
        memset(h->last, ' ', sizeof h->last - 1);
        name_add(h->tag, c);
        return NULL;
    case EQUALS:
        if (c != '"' && c != '\'')
            return "an attribute value without quotes";
        h->quote = c;
        h->started = false;
        h->kind = kind_of(h->name);
        h->place = VALUE;
        return NULL;
    case VALUE:
        h->started = true;
        h->place = c == h->quote ? TAG : VALUE;
        return NULL;
    default: /* TAG_NAME, TAG, ATTRIBUTE */
        if (c == '>') {
            tag_close(h);
        } else if (is_space || c == '/') {
            h->place = TAG;
        } else if (c == '=') {
            if (h->place != ATTRIBUTE)
                return "a '=' without an attribute before it";
            h->place = EQUALS;
        } else if (h->place == TAG_NAME) {
            name_add(h->tag, c);
        } else {
            if (h->place == TAG)
                memset(h->name, 0, sizeof h->name);
            h->place = ATTRIBUTE;
            name_add(h->name, c);
        }
        return NULL;
    }
}

/* One character of literal HTML, anywhere. */
static const char *html_feed(struct html *h, char c)
{
    switch (h->place) {
    case TEXT:
        if (c == '<') {
            h->place = OPEN;
            memset(h->tag, 0, sizeof h->tag);
        }
        return NULL;
    case DECLARATION:
    case COMMENT:
    case SCRIPT:
        last_add(h, c);
        if (h->place == DECLARATION && last_is(h, " --"))
            h->place = COMMENT;
        else if (h->place == DECLARATION ? c == '>'
                 : h->place == COMMENT   ? last_is(h, "-->")
                                         : last_is(h, "</script>") || last_is(h, "</style>"))
            h->place = TEXT;
        return NULL;
    default:
        return tag_feed(h, c);
    }
}

/* ---- the compiler ---------------------------------------------------------------------------- */

enum block { IF, ELSE, EACH, EACH_ELSE };

struct template
{
    const char *file;
    struct bytes text;
    size_t at;
    FILE *c, *h;
    char *name, *parameters; /* of the function; parameters with a leading comma or "" */
    bool is_layout, had_body;
    char *in; /* the call of the layout: "site(a, b)"; NULL for none */
    struct html html;
    struct {
        enum block block;
        size_t line;
        struct html before, met; /* at the start; where the ways so far have ended */
        int ways;
        char *count;   /* of an each */
    } stack[16], *top; /* top: the innermost block, NULL outside */
};

static size_t line_at(const struct template *t, size_t at)
{
    size_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += t->text.at[i] == '\n';
    return line;
}

#define FAIL(t, ...) die(format("%s:%zu", (t)->file, line_at((t), (t)->at)), __VA_ARGS__)

static void literal(struct template *t, size_t start, size_t end)
{
    for (size_t i = start; i < end; i++) {
        const char *wrong = html_feed(&t->html, t->text.at[i]);
        t->at = wrong ? i : t->at;
        if (wrong)
            FAIL(t, "%s", wrong);
    }
    if (start == end)
        return;
    fputs("    ush_buf_add(out, USH_T(", t->c);
    put_literal(t->c, (struct bytes){t->text.at + start, end - start});
    fputs("));\n", t->c);
}

static void __attribute__((format(printf, 2, 3))) emit(struct template *t, const char *fmt, ...)
{
    va_list ap;
    fprintf(t->c, "#line %zu \"%s\"\n    ", line_at(t, t->at), t->file);
    va_start(ap, fmt);
    vfprintf(t->c, fmt, ap);
    va_end(ap);
    fputc('\n', t->c);
}

/* Prints `e` in the way its place needs; `as` is NULL or the way the author chose. */
static void expression(struct template *t, const char *as, const char *e)
{
    struct html *h = &t->html;
    if (h->place == VALUE && h->kind == CODE)
        FAIL(t, "{{%s}} in the attribute %s, where no escape is safe", e, h->name);
    if (h->place != TEXT && h->place != VALUE)
        FAIL(t, "{{%s}} may stand in text and in quoted attribute values only", e);
    if (!as && h->place == VALUE && h->kind == URL)
        as = h->started ? "percent" : "url";
    emit(t, "PUT(%s, (%s));", as ? as : "html", e);
    h->started = true;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void block_open(struct template *t, enum block block)
{
    t->top = t->top ? t->top + 1 : t->stack;
    if (t->top == t->stack + sizeof t->stack / sizeof *t->stack)
        FAIL(t, "blocks too deep in each other");
    t->top->block = block;
    t->top->line = line_at(t, t->at);
    t->top->before = t->html;
    t->top->ways = 0;
}

static bool is_in_tag(enum place p)
{
    return p == TAG_NAME || p == TAG || p == ATTRIBUTE;
}

/* All ways through a block must arrive at the same place of the HTML. A value counts as started
 * only if it is on every way. */
static void way_ends(struct template *t)
{
    const struct html *h = &t->html;
    struct html *met = &t->top->met;
    if (t->top->ways++ == 0)
        *met = *h;
    else if (is_in_tag(h->place) && is_in_tag(met->place))
        met->place = TAG; /* <p{{#if x}} class="y"{{/if}}> */
    else if (h->place != met->place ||
             (h->place == VALUE && (h->kind != met->kind || h->quote != met->quote)))
        FAIL(t, "the ways through the block of line %zu end in different places of the HTML",
             t->top->line);
    met->started = met->started && h->started;
    t->html = t->top->before;
}

static void each(struct template *t, char *what)
{
    char *in = strstr(what, " in "), *colon = NULL;
    for (char *p = what; (p = strstr(p, " : ")); p++)
        colon = p;
    if (!in || !colon || colon < in)
        FAIL(t, "{{#each NAME in ARRAY : COUNT}} is the form");
    *in = *colon = 0;
    block_open(t, EACH);
    t->top->count = colon + 3;
    emit(t, "for (size_t %s_index = 0; %s_index < (size_t)(%s); %s_index++) {", what, what,
         colon + 3, what);
    emit(t, "    __auto_type %s = &(%s)[%s_index];", what, in + 4, what);
}

static void otherwise(struct template *t, const char *condition)
{
    if (!t->top || (t->top->block != IF && (t->top->block != EACH || condition)))
        FAIL(t, "an {{else}} without its {{#if}} or {{#each}}");
    way_ends(t);
    if (t->top->block == EACH)
        emit(t, "}\n    if ((%s) == 0) {", t->top->count);
    else if (condition)
        emit(t, "} else if (%s) {", condition);
    else
        emit(t, "} else {");
    if (!condition)
        t->top->block = t->top->block == IF ? ELSE : EACH_ELSE;
}

static void block_close(struct template *t, bool is_if)
{
    if (!t->top || (t->top->block == IF || t->top->block == ELSE) != is_if)
        FAIL(t, "an end without its beginning");
    way_ends(t);
    if (t->top->block != ELSE)
        way_ends(t); /* past it, or around again */
    t->html = t->top->met;
    t->top = t->top == t->stack ? NULL : t->top - 1;
    emit(t, "}");
}

/* ---- directives ------------------------------------------------------------------------------ */

/* Behind `word` and white space in `s`; NULL if it does not begin so. */
static char *behind(char *s, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(s, word, n) != 0 || (isalnum((unsigned char)word[n - 1]) && s[n] && s[n] != ' '))
        return NULL;
    return s + n + strspn(s + n, " ");
}

/* "name(a, b)" as name, SUFFIX, "(out, a, b)". */
static char *call(struct template *t, const char *c, const char *suffix)
{
    size_t name = strcspn(c, "(");
    const char *arguments = c + name + 1;
    if (!c[name] || c[strlen(c) - 1] != ')')
        FAIL(t, "\"%s\" is no call: NAME(ARGUMENTS)", c);
    return format("%.*s%s(out%s%s", (int)name, c, suffix, *arguments == ')' ? "" : ", ", arguments);
}

static void function_open(struct template *t, const char *suffix)
{
    fprintf(t->h, "void %s%s(struct ush_buf *out%s);\n", t->name, suffix, t->parameters);
    fprintf(t->c, "\nvoid %s%s(struct ush_buf *out%s)\n{\n", t->name, suffix, t->parameters);
}

/* {{page NAME(PARAMETERS)}}, {{layout ...}}, {{use "header.h"}}, {{in LAYOUT(ARGUMENTS)}}: what
 * stands before the HTML. The function begins with the first thing that is none of these. */
static bool heading(struct template *t, char *d)
{
    char *rest;
    bool is_layout = behind(d, "layout") != NULL;
    if ((rest = behind(d, "use"))) {
        fprintf(t->h, "#include %s\n", rest);
    } else if ((rest = is_layout ? behind(d, "layout") : behind(d, "page"))) {
        size_t name = strcspn(rest, "("), n = strlen(rest);
        if (t->name || name == n || rest[n - 1] != ')')
            FAIL(t, "{{page NAME(PARAMETERS)}}, once, is the form");
        const char *p = rest + name + 1;
        t->is_layout = is_layout;
        t->name = format("%.*s", (int)name, rest);
        t->parameters = *p == ')' ? "" : format(", %.*s", (int)(n - name - 2), p);
    } else if ((rest = behind(d, "in"))) {
        t->in = rest;
    } else {
        return false;
    }
    return true;
}

static void directive(struct template *t, char *d)
{
    char *rest;
    if (strcmp(d, "else") == 0)
        otherwise(t, NULL);
    else if ((rest = behind(d, "else if")))
        otherwise(t, rest);
    else if (strcmp(d, "/if") == 0 || strcmp(d, "/each") == 0)
        block_close(t, d[1] == 'i');
    else if ((rest = behind(d, "#each")))
        each(t, rest);
    else if ((rest = behind(d, "#if"))) {
        block_open(t, IF);
        emit(t, "if (%s) {", rest);
    } else if ((rest = behind(d, "let"))) {
        emit(t, "__auto_type %s;", rest);
    } else if ((rest = behind(d, ">"))) {
        emit(t, "%s;", call(t, rest, ""));
    } else if (strcmp(d, "body") == 0) {
        if (!t->is_layout || t->had_body || t->top || t->html.place != TEXT)
            FAIL(t, "{{body}} stands once in a layout, in its text and in no block");
        t->had_body = true;
        fputs("}\n", t->c);
        function_open(t, "_end");
    } else if (d[0] != '!') {
        FAIL(t, "there is no {{%s}}", d);
    }
}

/* Words that begin a directive; anything else is an expression. */
static bool is_directive(char *d)
{
    return strchr("#/>!", d[0]) || strcmp(d, "else") == 0 || strcmp(d, "body") == 0 ||
           behind(d, "else if") || behind(d, "let");
}

/* ---- a file ---------------------------------------------------------------------------------- */

/* Whether nothing but white space stands before `start` and behind `end` in their lines; then
 * *ret_start and *ret_end take all of these lines in. */
static bool is_alone(const struct template *t, size_t start, size_t end, size_t *ret_start,
                     size_t *ret_end)
{
    const char *s = t->text.at;
    while (start > 0 && (s[start - 1] == ' ' || s[start - 1] == '\t'))
        start--;
    while (s[end] == ' ' || s[end] == '\t')
        end++;
    if ((start > 0 && s[start - 1] != '\n') || (s[end] && s[end] != '\n'))
        return false;
    *ret_start = start;
    *ret_end = end + (s[end] == '\n');
    return true;
}

static void body_open(struct template *t)
{
    if (!t->name)
        FAIL(t, "{{page NAME(PARAMETERS)}} or {{layout NAME(PARAMETERS)}} comes first");
    function_open(t, t->is_layout ? "_begin" : "");
    if (t->in)
        emit(t, "%s;", call(t, t->in, "_begin"));
}

/* What stands in braces at t->at: its text without white space around; *ret_end is behind them. */
static char *braces(struct template *t, bool is_raw, size_t *ret_end)
{
    const char *start = t->text.at + t->at + (is_raw ? 3 : 2);
    const char *end = strstr(start, is_raw ? "}}}" : "}}");
    if (!end)
        FAIL(t, "braces that do not end");
    *ret_end = (size_t)(end - t->text.at) + (is_raw ? 3 : 2);
    while (start < end && isspace((unsigned char)*start))
        start++;
    while (end > start && isspace((unsigned char)end[-1]))
        end--;
    if (start == end)
        FAIL(t, "empty braces");
    return format("%.*s", (int)(end - start), start);
}

static void compile(const char *file, FILE *c, FILE *h)
{
    struct template t = {.file = file, .text = read_file(file), .c = c, .h = h};
    size_t from = 0; /* literal text that is not written yet begins here */
    bool is_open = false;
    while (t.at < t.text.len) {
        const char *next = strstr(t.text.at + t.at, "{{");
        if (!next)
            break;
        t.at = (size_t)(next - t.text.at);
        bool is_raw = next[2] == '{';
        size_t start = t.at, end;
        char *d = braces(&t, is_raw, &end), *rest;
        size_t literal_end = start, behind_it = end;
        bool is_head = !is_open && !is_raw && (d[0] == '!' || heading(&t, d));
        if (!is_raw && (is_head || is_directive(d)))
            is_alone(&t, start, end, &literal_end, &behind_it);
        if (!is_open && !is_head) {
            body_open(&t);
            is_open = true;
        }
        if (is_open)
            literal(&t, from, literal_end);
        else if (strspn(t.text.at + from, " \t\n") < literal_end - from)
            FAIL(&t, "text before the end of the heading");
        if (is_raw)
            emit(&t, "PUT(raw, (%s));", d);
        else if (is_open && is_directive(d))
            directive(&t, d);
        else if (is_open && (rest = behind(d, "html")))
            expression(&t, "html", rest);
        else if (is_open)
            expression(&t, NULL, d);
        t.at = from = behind_it;
    }
    if (!is_open)
        body_open(&t);
    literal(&t, from, t.text.len);
    t.at = t.text.len;
    if (t.top)
        FAIL(&t, "the block of line %zu does not end", t.top->line);
    if (t.html.place != TEXT)
        FAIL(&t, "a tag, comment or script does not end");
    if (t.is_layout && !t.had_body)
        FAIL(&t, "a layout without {{body}}");
    if (t.in)
        emit(&t, "%s;", call(&t, t.in, "_end"));
    fputs("}\n", c);
}

/* What the functions print with. A type that is missing here does not compile: a bool wants an
 * {{#if}}, and nobody wants to print a pointer. */
static const char prelude[] =
    "#pragma GCC diagnostic ignored \"-Wunused-parameter\"\n"
    "#pragma GCC diagnostic ignored \"-Wunused-function\"\n"
    "\n"
    "static void text_html(struct ush_buf *out, ush_text t)\n"
    "{\n    ush_buf_add_html(out, t);\n}\n"
    "static void text_percent(struct ush_buf *out, ush_text t)\n"
    "{\n    ush_buf_add_percent(out, t);\n}\n"
    "static void text_raw(struct ush_buf *out, ush_text t)\n"
    "{\n    ush_buf_add(out, t);\n}\n"
    "/* An address that could run a script becomes \"#\". */\n"
    "static void text_url(struct ush_buf *out, ush_text t)\n"
    "{\n"
    "    static const char *const starts[] = {\"/\", \"#\", \"?\", \"https://\", \"http://\",\n"
    "                                         \"mailto:\", \"tel:\"};\n"
    "    for (size_t i = 0; i < USH_COUNT(starts); i++)\n"
    "        if (ush_text_starts(t, ush_text_of(starts[i]))) {\n"
    "            ush_buf_add_html(out, t);\n"
    "            return;\n"
    "        }\n"
    "    ush_buf_add_byte(out, '#');\n"
    "}\n"
    "#define STRING(as)                                                 \\\n"
    "    static void string_##as(struct ush_buf *out, const char *s)    \\\n"
    "    {                                                              \\\n"
    "        text_##as(out, ush_text_of(s));                            \\\n"
    "    }\n"
    "STRING(html)\nSTRING(percent)\nSTRING(raw)\nSTRING(url)\n"
    "#define PUT(as, x)                                                 \\\n"
    "    _Generic((x), ush_text: text_##as, char *: string_##as,        \\\n"
    "             const char *: string_##as, short: ush_buf_add_i64,    \\\n"
    "             unsigned short: ush_buf_add_i64, int: ush_buf_add_i64,\\\n"
    "             unsigned: ush_buf_add_i64, long: ush_buf_add_i64,     \\\n"
    "             unsigned long: ush_buf_add_i64,                       \\\n"
    "             long long: ush_buf_add_i64,                           \\\n"
    "             unsigned long long: ush_buf_add_i64,                  \\\n"
    "             unsigned char: ush_buf_add_i64)(out, (x))\n";

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: tmplc OUT FILE...\n", stderr);
        return 2;
    }
    struct out c, h;
    pair_open(argv[1], "usher/base.h", &c, &h);
    fputs(prelude, c.f);
    for (int i = 2; i < argc; i++)
        compile(argv[i], c.f, h.f);
    write_if_changed(format("%s.h", argv[1]), out_close(&h));
    write_file(format("%s.c", argv[1]), out_close(&c));
    return 0;
}
