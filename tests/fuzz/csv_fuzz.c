/*
 * csv_fuzz.c - any bytes as a CSV file with a header row.
 */
#include "record_check.h"

EXAMPLE_DEFINE

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* A row that was decoded is written, and reads back as the same. */
static void check_row(const struct sample *value, struct ush_arena *arena)
{
    struct ush_buf file, again;
    struct ush_faults faults;
    struct ush_csv c;
    ush_text *header, *cells;
    size_t columns, count;
    struct sample back;
    ush_buf_init(&file, 1 << 20);
    ush_buf_init(&again, 1 << 20);
    ush_faults_init(&faults, arena);
    ush_record_csv_header(&sample_record, &file);
    ush_record_csv_row(&sample_record, value, &file);
    MUST(ush_csv_open(&c, ush_buf_text(&file)) == 0);
    MUST(ush_csv_read(&c, arena, &header, &columns) == 1);
    MUST(ush_csv_read(&c, arena, &cells, &count) == 1 && count == columns);
    MUST(ush_record_decode_csv(&sample_record, header, columns, cells, count, arena, &back,
                               &faults) == 0);
    MUST(ush_csv_read(&c, arena, &cells, &count) == 0);
    ush_record_csv_header(&sample_record, &again);
    ush_record_csv_row(&sample_record, &back, &again);
    MUST(ush_text_equal(ush_buf_text(&file), ush_buf_text(&again)));
    ush_buf_fini(&file);
    ush_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ush_arena arena;
    struct ush_csv c;
    ush_text *header, *cells;
    size_t columns, count, last_line = 0;
    ush_arena_init(&arena, NULL, 0, 8 << 20);
    if (ush_csv_open(&c, (ush_text){(const char *)bytes, n}) == 0 &&
        ush_csv_read(&c, &arena, &header, &columns) == 1) {
        struct ush_faults faults;
        struct sample value;
        for (int rows = 0; rows < 100 && ush_csv_read(&c, &arena, &cells, &count) == 1; rows++) {
            MUST(c.line > last_line);
            last_line = c.line;
            ush_faults_init(&faults, &arena);
            int result = ush_record_decode_csv(&sample_record, header, columns, cells, count,
                                               &arena, &value, &faults);
            check_outcome(result, &faults);
            if (result == 0)
                check_row(&value, &arena);
        }
    }
    ush_arena_fini(&arena);
    return 0;
}
