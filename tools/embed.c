/*
 * embed.c - turns files into C at build time: SQL statements, migrations, and assets.
 *
 *     embed sql OUT FILE...          OUT.c, OUT.h: const struct ush_statement sql_NAME
 *     embed migrations OUT FILE...   OUT.c, OUT.h: const struct ush_migration migrations[]
 *     embed assets OUT FILE...       OUT.c, OUT.h, OUT.S and the gzip files beside them:
 *                                    const struct ush_asset asset_NAME, and all of them in assets[]
 *
 * SQL: NAME.sql serves both databases; NAME.sqlite.sql and NAME.postgresql.sql belong together.
 * Comment lines at the top say what the statement is for and stay out of the program.
 *
 * Migrations: DIALECT/NNNN_name.sql, in the order of their numbers, with the same names for both
 * dialects once a folder for the second exists. Their text is embedded as it is, since checksums
 * are taken of it.
 *
 * Assets: app/assets/site.css is served as /assets/site.<hash>.css, so it may be cached for ever
 * and a change is a new name; its symbol is asset_site_css. What has to keep its name (robots.txt,
 * favicon.ico) lies in app/assets/root/ and is served as /robots.txt. The bytes come in by .incbin;
 * gzip is kept when it saves a tenth.
 *
 * Any mistake ends the build with a message of the form FILE: what is wrong. A header is written
 * only when it changes, so that editing a statement compiles one file.
 */
#include <zlib.h>

#include "host.h"

/* Cuts `suffix` off `name` if it ends so. */
static bool cut_suffix(char *name, const char *suffix)
{
    size_t n = strlen(name), k = strlen(suffix);
    if (n <= k || strcmp(name + n - k, suffix) != 0)
        return false;
    name[n - k] = 0;
    return true;
}

static void check_symbol(const char *file, const char *name)
{
    if (!islower((unsigned char)name[0]) ||
        name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")])
        die(file, "\"%s\" is no C name: [a-z][a-z0-9_]*", name);
}

/* ---- SQL statements -------------------------------------------------------------------------- */

struct statement {
    char *name;
    const char *file[3]; /* for both, SQLite, PostgreSQL */
};

/* Without comment lines and blank lines at the top, and a semicolon and white space at the end. */
static struct bytes statement_read(const char *path)
{
    struct bytes b = read_file(path);
    if (memchr(b.at, 0, b.len))
        die(path, "there is a NUL byte in it");
    for (;;) {
        while (isspace((unsigned char)*b.at))
            b.at++, b.len--;
        if (strncmp(b.at, "--", 2) != 0)
            break;
        size_t line = strcspn(b.at, "\n");
        b.at += line;
        b.len -= line;
    }
    while (b.len && (isspace((unsigned char)b.at[b.len - 1]) || b.at[b.len - 1] == ';'))
        b.at[--b.len] = 0;
    if (b.len == 0)
        die(path, "there is no statement in it");
    return b;
}

static void statement_add(struct statement *all, size_t *count, const char *path)
{
    char *name = format("%s", base_name(path));
    if (!cut_suffix(name, ".sql"))
        die(path, "its name does not end in .sql");
    int dialect = cut_suffix(name, ".sqlite") ? 1 : cut_suffix(name, ".postgresql") ? 2 : 0;
    check_symbol(path, name);
    size_t i = 0;
    while (i < *count && strcmp(all[i].name, name) != 0)
        i++;
    if (i == *count)
        all[(*count)++] = (struct statement){.name = name};
    if (all[i].file[dialect])
        die(path, "%s is the same statement", all[i].file[dialect]);
    all[i].file[dialect] = path;
}

static void embed_sql(const char *out, char **files, int n)
{
    struct statement *all = must(calloc((size_t)n + 1, sizeof *all));
    size_t count = 0;
    for (int i = 0; i < n; i++)
        statement_add(all, &count, files[i]);
    struct out c, h;
    pair_open(out, "usher/sql.h", &c, &h);
    for (size_t i = 0; i < count; i++) {
        const struct statement *s = &all[i];
        if (s->file[0] && (s->file[1] || s->file[2]))
            die(s->file[0], "%s is the same statement for one database",
                s->file[1] ? s->file[1] : s->file[2]);
        if (!s->file[0] && (!s->file[1] || !s->file[2]))
            die(s->file[1] ? s->file[1] : s->file[2], "%s.%s.sql is missing", s->name,
                s->file[1] ? "postgresql" : "sqlite");
        fprintf(h.f, "extern const struct ush_statement sql_%s;\n", s->name);
        fprintf(c.f, "\nconst struct ush_statement sql_%s = {\n    \"%s\",\n    ", s->name,
                s->name);
        put_literal(c.f, statement_read(s->file[0] ? s->file[0] : s->file[1]));
        fputs(",\n    ", c.f);
        if (s->file[2])
            put_literal(c.f, statement_read(s->file[2]));
        else
            fputs("NULL", c.f);
        fputs(",\n};\n", c.f);
    }
    write_if_changed(format("%s.h", out), out_close(&h));
    write_file(format("%s.c", out), out_close(&c));
}

/* ---- migrations ------------------------------------------------------------------------------ */

enum { MIGRATIONS_MAX = 9999 };

struct migration {
    char *name;
    const char *file[2]; /* SQLite, PostgreSQL */
};

static int migration_add(struct migration *all, const char *path)
{
    char *folder = folder_name(path);
    int dialect = strcmp(folder, "sqlite") == 0 ? 0 : strcmp(folder, "postgresql") == 0 ? 1 : -1;
    if (dialect < 0)
        die(path, "a migration lies in a folder sqlite or postgresql");
    char *name = format("%s", base_name(path));
    if (!cut_suffix(name, ".sql") || strspn(name, "0123456789") != 4 || name[4] != '_')
        die(path, "a migration is called NNNN_name.sql");
    int number = atoi(name);
    check_symbol(path, name + 5);
    struct migration *m = &all[number];
    if (m->file[dialect])
        die(path, "%s has the same number", m->file[dialect]);
    if (m->name && strcmp(m->name, name + 5) != 0)
        die(path, "%s has the same number and another name", m->file[!dialect]);
    m->name = name + 5;
    m->file[dialect] = path;
    return number;
}

static void embed_migrations(const char *out, char **files, int n)
{
    static struct migration all[MIGRATIONS_MAX + 1];
    int last = 0;
    bool has[2] = {false, false};
    for (int i = 0; i < n; i++) {
        int number = migration_add(all, files[i]);
        last = number > last ? number : last;
    }
    for (int i = 0; i <= last; i++)
        for (int d = 0; d < 2; d++)
            has[d] |= all[i].file[d] != NULL;
    if (all[0].name)
        die(all[0].file[0] ? all[0].file[0] : all[0].file[1], "numbers begin at 0001");
    struct out c, h;
    pair_open(out, "usher/sql.h", &c, &h);
    int count = 0;
    for (int i = 1; i <= last; i++)
        count += all[i].name != NULL;
    fprintf(h.f, "enum { MIGRATION_COUNT = %d };\n", count);
    fputs("extern const struct ush_migration migrations[];\n", h.f);
    fputs("\nconst struct ush_migration migrations[] = {\n", c.f);
    for (int i = 1; i <= last; i++) {
        if (!all[i].name)
            continue; /* branches take numbers ahead; only the order counts */
        fprintf(c.f, "    {%d, \"%s\",\n    ", i, all[i].name);
        for (int d = 0; d < 2; d++) {
            if (all[i].file[d])
                put_literal(c.f, read_file(all[i].file[d]));
            else if (has[d])
                die(all[i].file[!d], "its counterpart for %s is missing",
                    d ? "PostgreSQL" : "SQLite");
            else
                fputs("NULL", c.f);
            fputs(d ? "},\n" : ",\n    ", c.f);
        }
    }
    fputs("};\n", c.f);
    write_if_changed(format("%s.h", out), out_close(&h));
    write_file(format("%s.c", out), out_close(&c));
}

/* ---- assets ---------------------------------------------------------------------------------- */

static const char *content_type(const char *file)
{
    static const char *const types[][2] = {
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".ico", "image/x-icon"},
        {".txt", "text/plain; charset=utf-8"},
        {".html", "text/html; charset=utf-8"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".woff2", "font/woff2"},
    };
    const char *dot = strrchr(base_name(file), '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    die(file, "no content type is known for it; tools/embed.c has the list");
}

/* FNV-1a: tells versions of one file apart. It is no secret and no signature. */
static uint64_t hash_of(struct bytes b)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < b.len; i++)
        h = (h ^ (unsigned char)b.at[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* Always the same bytes for the same file: level 9, no time and no name in the header. */
static struct bytes gzip(const char *file, struct bytes plain)
{
    z_stream z = {0};
    if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        die(file, "zlib does not start");
    size_t room = deflateBound(&z, plain.len);
    struct bytes b = {must(malloc(room + 1)), 0};
    z.next_in = (unsigned char *)plain.at;
    z.avail_in = (unsigned)plain.len;
    z.next_out = (unsigned char *)b.at;
    z.avail_out = (unsigned)room;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        die(file, "zlib does not finish");
    b.len = z.total_out;
    deflateEnd(&z);
    return b;
}

static void put_bytes(FILE *s, const char *symbol, const char *kind, const char *file)
{
    fprintf(s, "    .global %s_%s\n    .balign 16\n%s_%s:\n    .incbin \"%s\"\n", symbol, kind,
            symbol, kind, file);
}

struct asset_files {
    struct out code, table, header, bytes;
};

static void asset_put(struct asset_files *to, const char *out, const char *file)
{
    const char *type = content_type(file), *name = base_name(file), *dot = strrchr(name, '.');
    char *symbol = format("asset_%s", name);
    for (char *p = symbol; *p; p++)
        *p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '_';
    struct bytes plain = read_file(file);
    struct bytes zipped = gzip(file, plain);
    bool has_gzip = zipped.len < plain.len - plain.len / 10;
    bool is_hashed = strcmp(folder_name(file), "root") != 0;
    uint64_t hash = hash_of(plain);

    put_bytes(to->bytes.f, symbol, "plain", file);
    if (has_gzip) {
        char *gzip_file = format("%s.%s.gz", out, name);
        write_file(gzip_file, zipped);
        put_bytes(to->bytes.f, symbol, "gzip", gzip_file);
    }
    FILE *c = to->code.f;
    fprintf(c, "\nextern const char %s_plain[], %s_gzip[];\n", symbol, symbol);
    fprintf(c, "const struct ush_asset %s = {\n", symbol);
    if (is_hashed)
        fprintf(c, "    .path = \"/assets/%.*s.%08x%s\",\n", (int)(dot - name), name,
                (unsigned)(hash >> 32), dot);
    else
        fprintf(c, "    .path = \"/%s\",\n", name);
    fprintf(c, "    .content_type = \"%s\",\n", type);
    fprintf(c, "    .etag = \"\\\"%016llx\\\"\",\n", (unsigned long long)hash);
    fprintf(c, "    .plain = {%s_plain, %zu},\n", symbol, plain.len);
    if (has_gzip)
        fprintf(c, "    .gzip = {%s_gzip, %zu},\n", symbol, zipped.len);
    fprintf(c, "    .is_hashed = %s,\n};\n", is_hashed ? "true" : "false");
    fprintf(to->table.f, "    &%s,\n", symbol);
    fprintf(to->header.f, "extern const struct ush_asset %s; /* %s */\n", symbol, file);
}

static void embed_assets(const char *out, char **files, int n)
{
    struct asset_files to;
    pair_open(out, "usher/http.h", &to.code, &to.header);
    out_open(&to.table);
    out_open(&to.bytes);
    fputs("\nconst struct ush_asset *const assets[] = {\n", to.table.f);
    fputs("/* Made at build time. */\n    .section .rodata\n", to.bytes.f);
    for (int i = 0; i < n; i++)
        asset_put(&to, out, files[i]);
    fprintf(to.header.f, "\nenum { ASSET_COUNT = %d };\n", n);
    fputs("extern const struct ush_asset *const assets[];\n", to.header.f);
    fputs("    .section .note.GNU-stack,\"\",%progbits\n", to.bytes.f);
    fprintf(to.code.f, "%s};\n", out_close(&to.table).at);
    write_if_changed(format("%s.h", out), out_close(&to.header));
    write_file(format("%s.S", out), out_close(&to.bytes));
    write_file(format("%s.c", out), out_close(&to.code));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *kind;
        void (*embed)(const char *out, char **files, int n);
    } kinds[] = {{"sql", embed_sql}, {"migrations", embed_migrations}, {"assets", embed_assets}};
    for (size_t i = 0; argc > 3 && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(argv[1], kinds[i].kind) == 0) {
            kinds[i].embed(argv[2], argv + 3, argc - 3);
            return 0;
        }
    }
    fputs("usage: embed sql|migrations|assets OUT FILE...\n", stderr);
    return 2;
}
