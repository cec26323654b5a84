/*
 * export.c - registrations to CSV and JSON as a stream.
 *
 * The database hands over one participant at a time; the rows of one registration are gathered in a
 * small arena and written when the next one begins. So memory does not grow with the export, and
 * the view it reads is one moment: nobody is missing and nobody is in it twice.
 */
#include "domain/export.h"

#include "domain/places.h"
#include "gen/sql.h"

USH_RECORD_DEFINE(export_row, EXPORT_FIELDS)

enum { PIECE = 32 << 10, ROW_MAX = 256 << 10 };

/* A row per participant: the export's columns, of which members and code are made here. */
#define PERSON_ROW_FIELDS(F, R)                                                                    \
    EXPORT_FIELDS(F, R)                                                                            \
    F(R, I64, id)
USH_RECORD(person_row, PERSON_ROW_FIELDS)
USH_RECORD_DEFINE(person_row, PERSON_ROW_FIELDS)
static_assert(offsetof(struct person_row, cancelled_at) ==
                  offsetof(struct export_row, cancelled_at),
              "person_row begins with a struct export_row");

struct exporting {
    const struct fest *fest;
    const struct export_options *o;
    int (*write)(void *ctx, ush_text piece);
    void *ctx;
    struct ush_arena arena; /* of the registration at hand */
    struct ush_buf out, members;
    struct export_row row;
    char code[SHORT_CODE_CHARS + 1];
    int64_t id; /* of the registration at hand; 0 = none */
    int rows;
};

static int flush(struct exporting *x, size_t from)
{
    if (x->out.error)
        return x->out.error;
    if (x->out.len <= from)
        return 0;
    int rc = x->write(x->ctx, ush_buf_text(&x->out));
    ush_buf_reset(&x->out);
    return rc < 0 ? rc : 0;
}

/* Writes the registration at hand, if there is one. */
static int finish_row(struct exporting *x)
{
    if (!x->id)
        return 0;
    if (x->arena.failed || x->members.error)
        return USH_ELIMIT;
    x->row.members = x->members.len ? ush_buf_text(&x->members) : USH_NONE;
    if (x->o->format == EXPORT_CSV) {
        ush_record_csv_row(&export_row_record, &x->row, &x->out);
    } else {
        ush_buf_add(&x->out, x->rows ? USH_T(",\n") : USH_T("\n"));
        ush_record_encode_json(&export_row_record, &x->row, &x->out);
    }
    x->rows++;
    x->id = 0;
    return flush(x, PIECE);
}

static int begin_row(struct exporting *x, const struct person_row *p)
{
    ush_arena_reset(&x->arena);
    ush_buf_reset(&x->members);
    short_code_format(&x->fest->keys, p->id, x->code);
    x->id = p->id;
    memcpy(&x->row, p, sizeof x->row);
    x->row.has &= ~(UINT64_C(1) << person_row_id);
    x->row.code = ush_text_of(x->code);
    return row_keep(&export_row_record, &x->row, &x->arena);
}

static int take_person(void *ctx, const void *row)
{
    struct exporting *x = ctx;
    const struct person_row *p = row;
    if (p->id != x->id) {
        USH_TRY(finish_row(x));
        return begin_row(x, p);
    }
    ush_buf_printf(&x->members, "%s%.*s", x->members.len ? "; " : "", USH_PR(p->name));
    if (p->email.len)
        ush_buf_printf(&x->members, " <%.*s>", USH_PR(p->email));
    return 0;
}

static int read_all(struct ush_tx *view, void *arg)
{
    struct exporting *x = arg;
    int64_t event = x->o->event;
    if (x->o->format == EXPORT_CSV) {
        ush_buf_add(&x->out, USH_T("\xef\xbb\xbf")); /* so that Excel takes it for UTF-8 */
        ush_record_csv_header(&export_row_record, &x->out);
    } else {
        ush_buf_add_byte(&x->out, '[');
    }
    USH_TRY(
        ush_each(view, &sql_export_rows, &person_row_record, take_person, x,
                 USH_VALUES(event ? registration_make_id(event, 0) : 0,
                            event ? registration_make_id(event + 1, 0) : INT64_MAX, x->o->status)));
    USH_TRY(finish_row(x));
    if (x->o->format == EXPORT_JSON)
        ush_buf_add(&x->out, USH_T("\n]\n"));
    USH_TRY(flush(x, 0));
    return x->rows;
}

int export_registrations(struct fest *f, const struct export_options *o,
                         int (*write)(void *ctx, ush_text piece), void *ctx)
{
    struct exporting x = {.fest = f, .o = o, .write = write, .ctx = ctx};
    ush_arena_init(&x.arena, NULL, 0, ROW_MAX);
    ush_buf_init(&x.out, PIECE + ROW_MAX);
    ush_buf_init(&x.members, ROW_MAX);
    int rc = ush_read(f->db, read_all, &x);
    ush_arena_fini(&x.arena);
    ush_buf_fini(&x.out);
    ush_buf_fini(&x.members);
    return rc;
}
