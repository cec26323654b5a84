/*
 * print.c - what commands print: sentences, records, tables, progress.
 *
 * Widths are counted in characters, not bytes, so that names in any script keep a table straight
 * (as far as a terminal shows one character in one column).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "usher/task.h"

enum { TABLE_COLUMNS_MAX = 24, CELL_MAX = 48, PROGRESS_AFTER_MS = 1000, PROGRESS_EVERY_MS = 200 };

static int USH_PRINTF(2, 0) complain(int code, const char *fmt, va_list ap)
{
    fflush(stdout);
    fputs("usher: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    return code;
}

int cli_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(CLI_FAILED, fmt, ap);
    va_end(ap);
    return CLI_FAILED;
}

int cli_usage(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(CLI_USAGE, fmt, ap);
    va_end(ap);
    return CLI_USAGE;
}

int cli_fail_code(int code, const char *fmt, ...)
{
    char what[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    return cli_fail("%s: %s", what, ush_error_text(code));
}

void cli_say(const struct cli *cli, const char *fmt, ...)
{
    if (cli->json)
        return;
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
}

static void print_buf(struct ush_buf *b)
{
    fwrite(b->at, 1, b->len, stdout);
    putchar('\n');
    ush_buf_fini(b);
}

/* A file of somebody else is shown too, and a terminal obeys control characters. */
static void add_shown(struct ush_buf *out, ush_text t)
{
    while (t.len) {
        const char *at = t.at;
        int32_t c = ush_utf8_next(&t);
        bool is_obeyed = c < 0 || (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0);
        ush_buf_add(out, is_obeyed ? USH_T("\xef\xbf\xbd") : (ush_text){at, (size_t)(t.at - at)});
    }
}

/* One field as people read it. */
static void add_cell(struct ush_buf *out, const struct ush_field *f, const void *value,
                     bool is_there)
{
    const void *at = (const char *)value + f->offset;
    char when[32];
    if (!is_there) {
        ush_buf_add(out, USH_T("-"));
        return;
    }
    switch (f->type) {
    case USH_TYPE_TEXT:
    case USH_TYPE_JSON:
        add_shown(out, *(const ush_text *)at);
        break;
    case USH_TYPE_I64:
        ush_buf_add_i64(out, *(const int64_t *)at);
        break;
    case USH_TYPE_BOOL:
        ush_buf_add(out, *(const bool *)at ? USH_T("yes") : USH_T("no"));
        break;
    case USH_TYPE_TIME:
        ush_time_format(*(const int64_t *)at, 0, when);
        ush_buf_add(out, ush_text_of(when));
        break;
    case USH_TYPE_BYTES:
        ush_buf_add_base64(out, ((const ush_text *)at)->at, ((const ush_text *)at)->len);
        break;
    case USH_TYPE_LIST:
        ush_buf_printf(out, "%zu", ((const struct ush_rows *)at)->count);
        break;
    case USH_TYPE_ONE:
        ush_buf_add(out, USH_T("…"));
        break;
    }
}

/* As the encoders see it: a text or list is there when it is not NULL, a number unless it is
 * optional and not marked in `has`. */
static bool has_field(const void *value, const struct ush_record *r, size_t i)
{
    const struct ush_field *f = &r->fields[i];
    const void *at = (const char *)value + f->offset;
    switch (f->type) {
    case USH_TYPE_I64:
    case USH_TYPE_BOOL:
    case USH_TYPE_TIME:
        return !f->optional || (*(const uint64_t *)value >> i & 1);
    case USH_TYPE_ONE:
        return *(void *const *)at != NULL;
    case USH_TYPE_LIST:
        return ((const struct ush_rows *)at)->count > 0;
    default:
        return ((const ush_text *)at)->at != NULL;
    }
}

void cli_print_record(const struct cli *cli, const struct ush_record *r, const void *value)
{
    struct ush_buf b;
    ush_buf_init(&b, 16 << 20);
    if (cli->json) {
        ush_record_encode_json(r, value, &b);
        print_buf(&b);
        return;
    }
    size_t widest = 0;
    for (size_t i = 0; i < r->count; i++)
        if (strlen(r->fields[i].name) > widest)
            widest = strlen(r->fields[i].name);
    for (size_t i = 0; i < r->count; i++) {
        if (!has_field(value, r, i))
            continue;
        ush_buf_reset(&b);
        add_cell(&b, &r->fields[i], value, true);
        printf("%-*s  %.*s\n", (int)widest, r->fields[i].name, USH_PR(ush_buf_text(&b)));
    }
    ush_buf_fini(&b);
}

/* Prints one cell, cut to the table's limit and padded to `width` characters. The last of a row has
 * width 0 and is whole: there stands what a person has to read. */
static void print_cell(ush_text cell, size_t width)
{
    size_t chars = ush_utf8_count(cell), shown = 0;
    ush_text rest = cell;
    while (shown < CELL_MAX - 1 && rest.len > 0) {
        ush_utf8_next(&rest);
        shown++;
    }
    bool cut = width > 0 && rest.len > 0 && chars > CELL_MAX;
    if (!cut)
        shown = chars;
    fwrite(cell.at, 1, cut ? cell.len - rest.len : cell.len, stdout);
    if (cut) {
        fputs("…", stdout);
        shown++;
    }
    for (; shown < width; shown++)
        putchar(' ');
}

static void print_table(const struct ush_record *r, const struct ush_rows *rows)
{
    size_t columns = r->count < TABLE_COLUMNS_MAX ? r->count : TABLE_COLUMNS_MAX;
    size_t width[TABLE_COLUMNS_MAX];
    struct ush_buf b;
    ush_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < columns; i++)
        width[i] = strlen(r->fields[i].name);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            for (size_t i = 0; i < columns; i++)
                printf("%-*s%s", i + 1 < columns ? (int)width[i] : 0, r->fields[i].name,
                       i + 1 < columns ? "  " : "\n");
        }
        for (size_t row = 0; row < rows->count; row++) {
            const char *value = (const char *)rows->at + row * r->bytes;
            for (size_t i = 0; i < columns; i++) {
                ush_buf_reset(&b);
                add_cell(&b, &r->fields[i], value, has_field(value, r, i));
                size_t chars = ush_utf8_count(ush_buf_text(&b));
                if (pass == 0 && chars > width[i])
                    width[i] = chars < CELL_MAX ? chars : CELL_MAX;
                if (pass == 1) {
                    print_cell(ush_buf_text(&b), i + 1 < columns ? width[i] : 0);
                    fputs(i + 1 < columns ? "  " : "\n", stdout);
                }
            }
        }
    }
    ush_buf_fini(&b);
}

void cli_print_rows(const struct cli *cli, const struct ush_record *r, const struct ush_rows *rows)
{
    if (!cli->json) {
        if (rows->count == 0)
            printf("none\n");
        else
            print_table(r, rows);
        return;
    }
    struct ush_buf b;
    ush_buf_init(&b, 512 << 20);
    ush_record_encode_json_list(r, rows->at, rows->count, &b);
    print_buf(&b);
}

void cli_progress(struct cli *cli, const char *what, size_t done, size_t total)
{
    cli->progress_done = done;
    cli->progress_total = total;
    cli->progress_what = what;
}

int cli_progress_show(void *arg)
{
    struct cli *cli = arg;
    bool shown = false;
    if (!isatty(2))
        return 0;
    int r = ush_sleep(PROGRESS_AFTER_MS * (int64_t)USH_MS);
    for (size_t tenths = PROGRESS_AFTER_MS / 100; r == 0; tenths += PROGRESS_EVERY_MS / 100) {
        const char *what = cli->progress_what;
        size_t done = cli->progress_done, total = cli->progress_total;
        shown = true;
        if (!what)
            fprintf(stderr, "\rusher %s: %zu.%zu s\033[K", cli->command->name, tenths / 10,
                    tenths % 10);
        else if (total)
            fprintf(stderr, "\r%s %zu of %zu (%zu %%)\033[K", what, done, total,
                    done * 100 / total);
        else
            fprintf(stderr, "\r%s %zu\033[K", what, done);
        r = ush_sleep(PROGRESS_EVERY_MS * (int64_t)USH_MS);
    }
    if (shown)
        fprintf(stderr, "\r\033[K");
    return 0;
}

bool cli_confirm(const struct cli *cli, const char *fmt, ...)
{
    if (cli_option(cli, "yes"))
        return true;
    char question[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(question, sizeof question, fmt, ap);
    va_end(ap);
    if (!isatty(0)) {
        cli_fail("%s Nothing was done: say --yes, there is no terminal to ask on", question);
        return false;
    }
    fprintf(stderr, "%s [y/N] ", question);
    char answer[16];
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int cli_read_file(struct cli *cli, const char *path, size_t max_bytes, ush_text *ret)
{
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : 0;
    if (fd < 0)
        return cli_fail("%s: %s", path, strerror(errno)), -EIO;
    char *at = ush_arena_alloc(cli->arena, max_bytes + 1);
    size_t len = 0;
    ssize_t n = at ? 1 : -1;
    while (n > 0 && len <= max_bytes) {
        n = read(fd, at + len, max_bytes + 1 - len);
        len += n > 0 ? (size_t)n : 0;
    }
    if (fd > 0)
        close(fd);
    if (n < 0)
        return cli_fail("%s: %s", path, at ? strerror(errno) : "no memory"), -EIO;
    if (len > max_bytes)
        return cli_fail("%s: larger than %zu bytes", path, max_bytes), USH_ELIMIT;
    *ret = (ush_text){at, len};
    return 0;
}
