/*
 * csv.c - CSV files (RFC 4180) as people really have them.
 *
 * Reading takes what spreadsheets write: a byte-order mark, commas or semicolons or tabs, CRLF or
 * LF, line ends inside quotes, blank lines. What it does not guess at: a quote that does not close
 * and text behind a closing quote are errors, with the line they began on.
 *
 * Writing guards against formulas: a cell that a spreadsheet would compute (=HYPERLINK(...)) gets
 * an apostrophe in front, which spreadsheets show as "this is text". So that a guarded file reads
 * back as what was written, a text that already looks guarded gets one more, and the reader takes
 * one off: ush__is_formula says for both sides whether a cell, behind any apostrophes, begins with
 * a sign of formulas. Numbers, times and truth values are ours and written bare.
 *
 * Invariants
 * 1. Cells are slices of the file, or of the arena where doubled quotes were undone.
 * 2. Every read takes at least one byte, so reading ends.
 */
#include "record/record.h"

int ush_csv_open(struct ush_csv *c, ush_text file)
{
    if (!ush_utf8_valid(file))
        return USH_EINVAL;
    if (ush_text_starts(file, USH_T("\xef\xbb\xbf"))) {
        file.at += 3;
        file.len -= 3;
    }
    /* The sign that occurs most in the first line, outside quotes; a comma if there is none. */
    static const char signs[] = ",;\t";
    size_t seen[sizeof signs - 1] = {0}, best = 0;
    bool quoted = false;
    for (size_t i = 0; i < file.len && (quoted || file.at[i] != '\n'); i++) {
        quoted ^= file.at[i] == '"';
        const char *sign = file.at[i] && !quoted ? strchr(signs, file.at[i]) : NULL;
        if (sign)
            seen[sign - signs]++;
    }
    for (size_t k = 1; k < sizeof signs - 1; k++)
        best = seen[k] > seen[best] ? k : best;
    *c = (struct ush_csv){.rest = file, .delimiter = signs[best], .next_line = 1};
    return 0;
}

/* Whether a row ends here, at a line end or at the end of the file. */
static bool at_row_end(ush_text rest)
{
    return rest.len == 0 || rest.at[0] == '\n' ||
           (rest.at[0] == '\r' && (rest.len == 1 || rest.at[1] == '\n'));
}

static void skip(ush_text *rest, size_t n)
{
    rest->at += n;
    rest->len -= n;
}

static void skip_row_end(ush_text *rest)
{
    if (rest->len && rest->at[0] == '\r')
        skip(rest, 1);
    if (rest->len && rest->at[0] == '\n')
        skip(rest, 1);
}

/* A cell in quotes; c->rest stands behind the opening one. */
static int read_quoted(struct ush_csv *c, struct ush_arena *arena, ush_text *ret)
{
    const char *from = c->rest.at;
    size_t doubled = 0;
    for (; c->rest.len; skip(&c->rest, 1)) {
        c->next_line += c->rest.at[0] == '\n';
        if (c->rest.at[0] != '"')
            continue;
        if (c->rest.len < 2 || c->rest.at[1] != '"')
            break;
        doubled++;
        skip(&c->rest, 1);
    }
    if (c->rest.len == 0)
        return USH_EPROTO;
    *ret = (ush_text){from, (size_t)(c->rest.at - from)};
    skip(&c->rest, 1);
    if (!at_row_end(c->rest) && c->rest.at[0] != c->delimiter)
        return USH_EPROTO;
    if (doubled == 0)
        return 0;
    char *plain = ush_arena_alloc(arena, ret->len - doubled + 1);
    if (!plain)
        return USH_ELIMIT;
    size_t n = 0;
    for (size_t i = 0; i < ret->len; i++) {
        plain[n++] = ret->at[i];
        i += ret->at[i] == '"';
    }
    *ret = (ush_text){plain, n};
    return 0;
}

/* One cell; c->rest stands behind it, at a delimiter or the row's end. */
static int read_cell(struct ush_csv *c, struct ush_arena *arena, ush_text *ret)
{
    if (c->rest.len && c->rest.at[0] == '"') {
        skip(&c->rest, 1);
        return read_quoted(c, arena, ret);
    }
    const char *from = c->rest.at;
    while (!at_row_end(c->rest) && c->rest.at[0] != c->delimiter)
        skip(&c->rest, 1);
    *ret = (ush_text){from, (size_t)(c->rest.at - from)};
    return 0;
}

enum { CELLS_MAX = 1000 };

/* The cells up to the row's end into a new array. */
static int read_row(struct ush_csv *c, struct ush_arena *arena, struct ush_text **ret_cells,
                    size_t *ret_count)
{
    struct ush_text *cells = NULL;
    size_t count = 0, room = 0;
    for (;;) {
        if (count == CELLS_MAX)
            return USH_ELIMIT;
        if (count == room) {
            struct ush_text *more = USH_NEW_N(arena, struct ush_text, room * 2 + 16);
            if (!more)
                return USH_ELIMIT;
            if (count)
                memcpy(more, cells, count * sizeof *cells);
            cells = more;
            room = room * 2 + 16;
        }
        USH_TRY(read_cell(c, arena, &cells[count++]));
        if (at_row_end(c->rest))
            break;
        skip(&c->rest, 1);
    }
    skip_row_end(&c->rest);
    c->next_line++;
    *ret_cells = cells;
    *ret_count = count;
    return 0;
}

int ush_csv_read(struct ush_csv *c, struct ush_arena *arena, struct ush_text **ret_cells,
                 size_t *ret_count)
{
    while (c->rest.len) {
        struct ush_text *cells;
        size_t count;
        c->line = c->next_line;
        USH_TRY(read_row(c, arena, &cells, &count));
        /* Spreadsheets end with rows of nothing but delimiters. */
        for (size_t i = 0; i < count; i++)
            if (ush_text_trim(cells[i]).len) {
                *ret_cells = cells;
                *ret_count = count;
                return 1;
            }
    }
    return 0;
}

/* ---- writing ------------------------------------------------------------------------------ */

bool ush__is_formula(ush_text cell)
{
    static const char *const signs[] = {"=",  "+",  "-",  "@",  "\t", "\r",
                                        "\n", "＝", "＋", "－", "＠"};
    while (cell.len && cell.at[0] == '\'')
        skip(&cell, 1);
    for (size_t i = 0; i < USH_COUNT(signs); i++)
        if (ush_text_starts(cell, ush_text_of(signs[i])))
            return true;
    return false;
}

static void add_cell(struct ush_buf *out, ush_text cell)
{
    bool guard = ush__is_formula(cell), quote = guard;
    for (size_t i = 0; i < cell.len && !quote; i++)
        quote = memchr(",;\t\"\r\n", cell.at[i], 6) != NULL;
    quote |= cell.len && (cell.at[0] == ' ' || cell.at[cell.len - 1] == ' ');
    if (!quote) {
        ush_buf_add(out, cell);
        return;
    }
    ush_buf_add(out, guard ? USH_T("\"'") : USH_T("\""));
    while (cell.at) {
        ush_buf_add(out, ush_text_cut(&cell, '"'));
        if (cell.at)
            ush_buf_add(out, USH_T("\"\""));
    }
    ush_buf_add_byte(out, '"');
}

void ush_record_csv_header(const struct ush_record *r, struct ush_buf *out)
{
    for (size_t i = 0; i < r->count; i++) {
        if (i)
            ush_buf_add_byte(out, ',');
        add_cell(out, ush_text_of(r->fields[i].name));
    }
    ush_buf_add(out, USH_T("\r\n"));
}

static void add_field(struct ush_buf *out, const struct ush_field *f, const void *at)
{
    struct ush_buf inner;
    char when[32];
    ush_buf_init(&inner, out->max_bytes);
    switch (f->type) {
    case USH_TYPE_I64:
        ush_buf_add_i64(out, *(const int64_t *)at);
        break;
    case USH_TYPE_BOOL:
        ush_buf_add(out, *(const bool *)at ? USH_T("true") : USH_T("false"));
        break;
    case USH_TYPE_TIME:
        ush_time_format(*(const int64_t *)at, 0, when);
        ush_buf_add(out, ush_text_of(when));
        break;
    case USH_TYPE_TEXT:
    case USH_TYPE_JSON:
        add_cell(out, *(const ush_text *)at);
        break;
    case USH_TYPE_BYTES:
        ush_buf_add_base64(&inner, ((const ush_text *)at)->at, ((const ush_text *)at)->len);
        add_cell(out, ush_buf_text(&inner));
        break;
    case USH_TYPE_LIST:
        ush_record_encode_json_list(f->of, ((const struct ush_rows *)at)->at,
                                    ((const struct ush_rows *)at)->count, &inner);
        add_cell(out, ush_buf_text(&inner));
        break;
    case USH_TYPE_ONE:
        ush_record_encode_json(f->of, *(void *const *)at, &inner);
        add_cell(out, ush_buf_text(&inner));
        break;
    }
    if (inner.error)
        out->error = inner.error;
    ush_buf_fini(&inner);
}

void ush_record_csv_row(const struct ush_record *r, const void *value, struct ush_buf *out)
{
    for (size_t i = 0; i < r->count; i++) {
        if (i)
            ush_buf_add_byte(out, ',');
        if (ush__is_present(r, i, value))
            add_field(out, &r->fields[i], ush__field(&r->fields[i], value));
    }
    ush_buf_add(out, USH_T("\r\n"));
}
