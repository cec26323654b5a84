/*
 * notes.c - a backend in one file: a record, an operation, a read, routes, SQLite.
 *
 *     build/examples/notes 127.0.0.1:8080 sqlite:notes.db, then open /docs
 *
 * One process, so changes run in it (USH_DB_LOCAL). With several workers the role is USH_DB_WORKER
 * and a writer process runs beside them; records, operation and handlers stay as they are.
 */
#include <stdio.h>

#include "usher/usher.h"

#define NOTE_BODY_FIELDS(F, R) F(R, TEXT, text, .max = 200, .doc = "What to remember")
#define NOTE_NEW_FIELDS(F, R) F(R, I64, key) NOTE_BODY_FIELDS(F, R)
#define NOTE_FIELDS(F, R)                                                                          \
    F(R, I64, id, .doc = "Its number")                                                             \
    NOTE_BODY_FIELDS(F, R)                                                                         \
    F(R, TIME, written, .doc = "When it was stored")
USH_RECORD(note_body, NOTE_BODY_FIELDS)
USH_RECORD(note_new, NOTE_NEW_FIELDS)
USH_RECORD(note, NOTE_FIELDS)
USH_RECORD_DEFINE(note_body, NOTE_BODY_FIELDS)
USH_RECORD_DEFINE(note_new, NOTE_NEW_FIELDS)
USH_RECORD_DEFINE(note, NOTE_FIELDS)

static const char tables[] = "CREATE TABLE notes (id INTEGER PRIMARY KEY, key BIGINT UNIQUE,"
                             " text TEXT NOT NULL, written BIGINT NOT NULL)";
static const struct ush_migration migrations[] = {{1, "notes", tables, NULL}};
/* The key was made before the first try: an operation that is sent again finds its own row. */
static const struct ush_statement
    add = {"add",
           "INSERT INTO notes (key, text, written) VALUES ($1, $2, $3)"
           " ON CONFLICT (key) DO UPDATE SET key = excluded.key RETURNING id, text, written"},
    newest = {"newest", "SELECT id, text, written FROM notes ORDER BY id DESC LIMIT 20"};

static int run_add(struct ush_tx *tx, const void *in, void *out)
{
    const struct note_new *n = in;
    return ush_one(tx, &add, &note_record, out, USH_VALUES(n->key, n->text, tx->now_ms));
}
static const struct ush_operation op_add = {"add", &note_new_record, &note_record, .run = run_add};
static const struct ush_operation *const operations[] = {&op_add, NULL};

static int read_newest(struct ush_tx *view, void *out)
{
    struct ush_rows rows;
    USH_TRY(ush_all(view, &newest, &note_record, 20, &rows, USH_NO_VALUES));
    ush_record_encode_json_list(&note_record, rows.at, rows.count,
                                out); /* rows end with the view */
    return 0;
}

static int post_note(struct ush_request *rq)
{
    const struct note_body *body = rq->input; /* decoded and checked */
    struct note_new in = {.text = body->text};
    struct note stored;
    ush_random(&in.key, sizeof in.key);
    USH_TRY(ush_change(rq->app, &op_add, &in, &stored, rq->arena)); /* returns after the commit */
    return ush_reply_json(rq, 201, &note_record, &stored);
}

static int get_notes(struct ush_request *rq)
{
    struct ush_buf json;
    ush_buf_init(&json, 64 << 10);
    int r = ush_read(rq->app, read_newest, &json);
    ush_text text = ush_arena_copy(rq->arena, ush_buf_text(&json));
    ush_buf_fini(&json);
    return r < 0 ? r : ush_reply(rq, 200, "application/json", text);
}

static const struct ush_route routes[] = {
    {"POST", "/notes", post_note, .doc = "Keep a note.", .body = &note_body_record,
     .reply = &note_record, .reply_status = 201},
    {"GET", "/notes", get_notes, .doc = "The newest twenty."},
    {"GET", "/openapi.json", ush_openapi_handler, .doc = "This description, for programs."},
    {"GET", "/docs", ush_docs_handler, .doc = "This description.", .is_page = true},
};

struct server {
    int listener;
    const char *url;
};

static int serve(void *arg)
{
    const struct server *s = arg;
    int r = 0;
    struct ush_db *db = ush_db_open(
        &(struct ush_db_options){.url = s->url, .role = USH_DB_LOCAL, .operations = operations},
        &r);
    if (!db)
        return r;
    const struct ush_http_options o = {.routes = routes,
                                       .route_count = USH_COUNT(routes),
                                       .title = "Notes",
                                       .version = "1",
                                       .listeners = &s->listener,
                                       .listener_count = 1,
                                       .app = db};
    r = ush_migrate(db, &(struct ush_migrate_options){.list = migrations, .count = 1});
    if (r >= 0 && ush_http_start(&o, &r))
        r = ush_park_until_cancelled();
    ush_db_close(db);
    return r;
}

int main(int argc, char **argv)
{
    struct ush_address at;
    int r = ush_address_parse(ush_text_of(argc > 1 ? argv[1] : "127.0.0.1:8080"), &at);
    struct server s = {r < 0 ? r : ush_listen_at(&at), argc > 2 ? argv[2] : "sqlite:notes.db"};
    if (s.listener < 0)
        return fprintf(stderr, "notes: %s\n", ush_error_text(s.listener)), 1;
    dprintf(1, "notes: http://127.0.0.1:%d\n", ush_listener_port(s.listener));
    return ush_run(&(struct ush_loop_options){0}, serve, &s) < 0;
}
