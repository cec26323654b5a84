/*
 * draw.c - what a run has written down, as lines for a terminal, as SVG, and as JSON.
 *
 * A timeline has a row per student (of many, some spread evenly), and time runs to the right:
 *
 *     queued    .   pressed the button, nobody has begun
 *     runs      #   somebody works on it: a process, a thread or a task
 *     waits     -   its call is under way
 *     fails     x   that is how it ended
 *
 * A row's pieces come from the events of that student and nothing else. A piece that is too short
 * to be seen is drawn one unit wide: most work is so short.
 */
#include "lab/lab.h"

#include <math.h>
#include <stdlib.h>

enum { TEXT_ROWS = 20, SVG_ROWS = 100, CELLS = 64, WIDTH = 860, LEFT = 70, HEIGHT = 540 };

struct piece {
    uint32_t student, lane;
    uint8_t what; /* enum lab_what; LAB_ENDS: queued */
    int64_t from_ns, to_ns;
};

struct timeline {
    struct piece *pieces; /* owned; by student, in order */
    size_t count;
    int64_t end_ns;
    uint32_t step; /* every so manieth student is shown */
    uint32_t rows;
};

static const char scaled[] = "Run %lld times faster than told; the times are multiplied again, and "
                             "with them what the model itself costs.";

static double moment(const struct lab *l, int64_t ns)
{
    return (double)ns / l->axis.unit_ns;
}
static int digits(const struct lab *l)
{
    return l->axis.unit_ns > 1 ? 2 : 0;
}

static uint32_t event_count(const struct lab *l)
{
    return l->book->events < LAB_EVENTS_MAX ? l->book->events : LAB_EVENTS_MAX;
}

static void add_pieces(const struct lab *l, struct timeline *t, uint32_t student)
{
    struct piece p = {.student = student, .what = LAB_ENDS};
    uint32_t n = event_count(l);
    for (uint32_t i = 0; i < n; i++) {
        const struct lab_event *e = &l->book->event[i];
        if (e->student != student)
            continue;
        if (e->what == LAB_COMES) {
            p.from_ns = e->at_ns;
            continue;
        }
        p.to_ns = e->at_ns;
        t->pieces[t->count++] = p;
        p = (struct piece){.student = student,
                           .lane = e->lane,
                           .what = e->what,
                           .from_ns = e->at_ns,
                           .to_ns = e->at_ns};
        if (e->what == LAB_FAILS)
            t->pieces[t->count++] = p;
    }
}

/* False if nobody has written anything, or there is no memory. */
static bool timeline_init(const struct lab *l, uint32_t rows, struct timeline *ret)
{
    uint32_t n = event_count(l), students = 0;
    *ret = (struct timeline){.step = 1};
    for (uint32_t i = 0; i < n; i++) {
        const struct lab_event *e = &l->book->event[i];
        students = e->student >= students ? e->student + 1 : students;
        ret->end_ns = e->at_ns > ret->end_ns ? e->at_ns : ret->end_ns;
    }
    if (students == 0)
        return false;
    ret->step = (students + rows - 1) / rows;
    ret->pieces = calloc(2 * (size_t)n, sizeof *ret->pieces);
    if (!ret->pieces)
        return false;
    for (uint32_t s = 0; s < students; s += ret->step, ret->rows++)
        add_pieces(l, ret, s);
    return true;
}

/* ---- text ------------------------------------------------------------------------------------ */

static void draw_value(double v, struct ush_buf *out)
{
    if (isnan(v))
        ush_buf_printf(out, " %12s", "-");
    else
        ush_buf_printf(out, v == floor(v) && v < 1e9 ? " %12.0f" : " %12.3f", v);
}

static void draw_table(const struct lab_table *t, struct ush_buf *out)
{
    ush_buf_printf(out, "\n%-36s", "");
    for (size_t c = 0; c < t->column_count; c++)
        ush_buf_printf(out, " %12s", t->columns[c]);
    for (size_t r = 0; r < t->row_count; r++) {
        ush_buf_printf(out, "\n%-36s", t->rows[r].label);
        for (size_t c = 0; c < t->column_count; c++)
            draw_value(t->rows[r].values[c], out);
    }
    ush_buf_add(out, USH_T("\n"));
}

static void fill_cells(const struct piece *p, int64_t end_ns, char cells[CELLS + 1])
{
    static const char marks[] = {
        [LAB_RUNS] = '#', [LAB_WAITS] = '-', [LAB_ENDS] = '.', [LAB_FAILS] = 'x'};
    int64_t from = p->from_ns * CELLS / (end_ns + 1), to = p->to_ns * CELLS / (end_ns + 1);
    for (int64_t i = from; i <= to && i < CELLS; i++)
        if (cells[i] == ' ' || p->what == LAB_RUNS || p->what == LAB_FAILS || cells[i] == '.')
            cells[i] = marks[p->what];
}

static void draw_rows(const struct lab *l, struct ush_buf *out)
{
    struct timeline t;
    if (!timeline_init(l, TEXT_ROWS, &t))
        return;
    ush_buf_printf(out, "\n%-14s %-7s 0 %*.*f %s\n", l->axis.rows, "worker", CELLS - 3, digits(l),
                   moment(l, t.end_ns), l->axis.unit);
    for (size_t i = 0; i < t.count;) {
        char cells[CELLS + 1] = {0};
        uint32_t student = t.pieces[i].student, lane = 0;
        memset(cells, ' ', CELLS);
        for (; i < t.count && t.pieces[i].student == student; i++) {
            fill_cells(&t.pieces[i], t.end_ns, cells);
            lane = t.pieces[i].lane;
        }
        ush_buf_printf(out, "%7u %13u  %s\n", student + 1, lane + 1, cells);
    }
    ush_buf_add(out, USH_T("                        . queued   # runs   - waits   x fails"));
    if (t.step > 1)
        ush_buf_printf(out, "   (one of %u is shown)", t.step);
    ush_buf_add(out, USH_T("\n"));
    free(t.pieces);
}

void lab_draw_text(const struct lab *l, const struct lab_scene *s, struct ush_buf *out)
{
    ush_buf_printf(out, "%s\n%s\n", s->title, s->idea);
    if (l->p.scale != 1) {
        ush_buf_printf(out, scaled, (long long)l->p.scale);
        ush_buf_add(out, USH_T("\n"));
    }
    draw_table(&l->table, out);
    draw_rows(l, out);
    if (l->notes.len)
        ush_buf_printf(out, "\n%.*s", USH_PR(ush_buf_text(&l->notes)));
}

/* ---- SVG ------------------------------------------------------------------------------------- */

static double row_height(const struct timeline *t)
{
    double h = (double)HEIGHT / t->rows;
    return h > 30 ? 30 : h;
}

static void draw_piece(const struct piece *p, const struct timeline *t, uint32_t row,
                       struct ush_buf *out)
{
    /* Colours that tell workers apart on light and dark paper. */
    static const char *const lanes[] = {"#2f7bd8", "#c2410c", "#16803c", "#9333ea",
                                        "#b45309", "#0e7490", "#be185d", "#64748b"};
    double scale = (double)(WIDTH - LEFT - 10) / (double)(t->end_ns + 1);
    double x = LEFT + (double)p->from_ns * scale, w = (double)(p->to_ns - p->from_ns) * scale;
    const char *fill = p->what == LAB_ENDS ? "#9aa4af" : lanes[p->lane % USH_COUNT(lanes)];
    if (p->what == LAB_FAILS)
        fill = "#dc2626";
    const char *opacity = p->what == LAB_ENDS ? "0.35" : p->what == LAB_WAITS ? "0.45" : "1";
    double least = p->what == LAB_FAILS  ? 5
                   : p->what == LAB_RUNS ? 1.5
                                         : 0.1,
           h = row_height(t) * 0.8;
    double y = 24 + row * row_height(t);
    ush_buf_printf(out,
                   "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" "
                   "fill-opacity=\"%s\"/>\n",
                   x, y + (p->what == LAB_ENDS ? h * 0.35 : 0), w > least ? w : least,
                   p->what == LAB_ENDS ? h * 0.3 : h, fill, opacity);
}

static const char legend[] = "Grey: queued. Pale: waits. Full: runs. A red end: failed. "
                             "A colour is a worker.";
static const char some[] = " Some of them are shown.";

void lab_draw_svg(const struct lab *l, const struct lab_scene *s, struct ush_buf *out)
{
    struct timeline t;
    if (!timeline_init(l, SVG_ROWS, &t))
        return;
    uint32_t height = 24 + (uint32_t)(t.rows * row_height(&t)) + 22, row = 0;
    uint32_t every = t.rows > 40 ? 10 : t.rows > 10 ? 5 : 1;
    ush_buf_printf(out,
                   "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %u\" role=\"img\" "
                   "aria-label=\"",
                   WIDTH, height);
    ush_buf_add_html(out, ush_text_of(s->title));
    ush_buf_printf(out,
                   ": timeline of %.2f %s\" font-family=\"system-ui, sans-serif\" font-size=\"11\" "
                   "fill=\"currentColor\">\n<text class=\"rows\" x=\"%d\" y=\"14\" "
                   "text-anchor=\"end\">%s</text>\n",
                   moment(l, t.end_ns), l->axis.unit, LEFT - 8, l->axis.rows);
    int parts = digits(l) ? 4 : 1; /* steps are whole */
    for (int i = 0; i <= parts; i++) {
        int x = LEFT + (WIDTH - LEFT - 10) * i / parts;
        ush_buf_printf(out,
                       "<line x1=\"%d\" y1=\"20\" x2=\"%d\" y2=\"%u\" stroke=\"currentColor\" "
                       "stroke-opacity=\"0.2\"/>\n"
                       "<text x=\"%d\" y=\"14\" text-anchor=\"%s\">%.*f %s</text>\n",
                       x, x, height - 20, x,
                       i == 0       ? "start"
                       : i == parts ? "end"
                                    : "middle",
                       digits(l), moment(l, t.end_ns) * i / parts, i < parts ? "" : l->axis.unit);
    }
    for (size_t i = 0; i < t.count; i++) {
        if (i > 0 && t.pieces[i].student != t.pieces[i - 1].student)
            row++;
        bool is_first = i == 0 || t.pieces[i].student != t.pieces[i - 1].student;
        if (is_first && row % every == 0)
            ush_buf_printf(out, "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%u</text>\n",
                           LEFT - 8, 26 + (row + 0.5) * row_height(&t), t.pieces[i].student + 1);
        draw_piece(&t.pieces[i], &t, row, out);
    }
    ush_buf_printf(out, "<text class=\"legend\" x=\"%d\" y=\"%u\">%s%s</text>\n</svg>\n", LEFT,
                   height - 6, legend, t.step > 1 ? some : "");
    free(t.pieces);
}

/* ---- HTML ------------------------------------------------------------------------------------ */

void lab_draw_html(const struct lab *l, const struct lab_scene *s, struct ush_buf *out)
{
    const struct lab_table *t = &l->table;
    size_t before = out->len;
    lab_draw_svg(l, s, out);
    if (out->len > before) /* within the picture it would be too small for a phone */
        ush_buf_printf(out, "<p class=\"legend\">%s</p>\n", legend);
    if (l->p.scale != 1 && s->uses & LAB_MAIL) {
        ush_buf_add(out, USH_T("<p>"));
        ush_buf_printf(out, scaled, (long long)l->p.scale);
        ush_buf_add(out, USH_T("</p>\n"));
    }
    ush_buf_add(out, USH_T("<div class=\"wide\" tabindex=\"0\"><table><thead><tr><td></td>"));
    for (size_t c = 0; c < t->column_count; c++)
        ush_buf_printf(out, "<th scope=\"col\">%s</th>", t->columns[c]);
    ush_buf_add(out, USH_T("</tr></thead><tbody>\n"));
    for (size_t r = 0; r < t->row_count; r++) {
        ush_buf_add(out, USH_T("<tr><th scope=\"row\">"));
        ush_buf_add_html(out, ush_text_of(t->rows[r].label));
        ush_buf_add(out, USH_T("</th>"));
        for (size_t c = 0; c < t->column_count; c++) {
            ush_buf_add(out, USH_T("<td>"));
            draw_value(t->rows[r].values[c], out);
            ush_buf_add(out, USH_T("</td>"));
        }
        ush_buf_add(out, USH_T("</tr>\n"));
    }
    ush_buf_add(out, USH_T("</tbody></table></div>\n"));
    if (l->notes.len) {
        ush_buf_add(out, USH_T("<pre>"));
        ush_buf_add_html(out, ush_buf_text(&l->notes));
        ush_buf_add(out, USH_T("</pre>\n"));
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void draw_json_rows(const struct lab_table *t, struct ush_buf *out)
{
    for (size_t r = 0; r < t->row_count; r++) {
        ush_buf_add(out, r ? USH_T(",{\"label\":") : USH_T("{\"label\":"));
        ush_buf_add_json(out, ush_text_of(t->rows[r].label));
        for (size_t c = 0; c < t->column_count; c++) {
            ush_buf_add_byte(out, ',');
            ush_buf_add_json(out, ush_text_of(t->columns[c]));
            if (isnan(t->rows[r].values[c]))
                ush_buf_add(out, USH_T(":null"));
            else
                ush_buf_printf(out, ":%.6g", t->rows[r].values[c]);
        }
        ush_buf_add_byte(out, '}');
    }
}

void lab_draw_json(const struct lab *l, const struct lab_scene *s, struct ush_buf *out)
{
    static const char *const whats[] = {"runs", "waits", "queued", "", "fails"};
    struct timeline t;
    ush_buf_printf(out,
                   "{\"scene\":\"%s\",\"students\":%lld,\"mail_ms\":%lld,\"workers\":%lld,"
                   "\"threads\":%lld,\"cap\":%lld,\"scale\":%lld,\"events\":%u,\"rows\":[",
                   s->name, (long long)l->p.students, (long long)l->p.mail_ms,
                   (long long)l->p.workers, (long long)l->p.threads, (long long)l->p.cap,
                   (long long)l->p.scale, event_count(l));
    draw_json_rows(&l->table, out);
    ush_buf_printf(out, "],\"unit\":\"%s\",\"timeline\":[", l->axis.unit);
    if (timeline_init(l, SVG_ROWS, &t)) {
        for (size_t i = 0; i < t.count; i++)
            ush_buf_printf(out,
                           "%s{\"student\":%u,\"worker\":%u,\"what\":\"%s\",\"from\":%.6f,"
                           "\"to\":%.6f}",
                           i ? "," : "", t.pieces[i].student + 1, t.pieces[i].lane + 1,
                           whats[t.pieces[i].what], moment(l, t.pieces[i].from_ns),
                           moment(l, t.pieces[i].to_ns));
        free(t.pieces);
    }
    ush_buf_add(out, USH_T("],\"notes\":"));
    ush_buf_add_json(out, ush_buf_text(&l->notes));
    ush_buf_add(out, USH_T("}\n"));
}
