/*
 * body.c - bodies of requests: how long they are, when they are whole, and what they mean.
 *
 * Three questions, asked in this order and never later than they can be answered:
 *
 *   check   from the head alone: is a body of this kind and announced size welcome? (413, 415)
 *   take    as bytes arrive, on the loop: is it whole? (400 for bad chunks, 413 for too many)
 *   decode  in the handler's task: is it a valid record? (400 not JSON at all, 422 with all faults)
 *
 * A body lies behind its head in the same block. Chunks are decoded in place, so what follows the
 * decoded bytes is either nothing or, once the body is whole, the next request.
 *
 * A route without a record takes any body within its limit and gives the bytes to its handler; a
 * body where none is expected is read too, since leaving it would desynchronise the connection.
 * Compressed bodies are refused: nobody sends them to forms, and they defeat every limit.
 */
#include "http/http.h"

static const ush_text multipart = {"multipart/form-data", 19};

int ush__body_check(const struct ush__row *row, const struct ush_head *head)
{
    if (head->content_length > (int64_t)row->body_bytes)
        return 413;
    ush_text coding = ush__head_get(head, "content-encoding");
    if (coding.at && !ush_text_equal_nocase(coding, USH_T("identity")))
        return 415;
    const struct ush_route *route = row->route;
    if (!route->body || route->raw_body)
        return 0;
    ush_text type = ush__head_get(head, "content-type");
    if (route->takes_files && ush__media_type_is(type, multipart))
        return 0;
    ush_text wanted =
        route->takes_form ? USH_T("application/x-www-form-urlencoded") : USH_T("application/json");
    return ush__media_type_is(type, wanted) ? 0 : 415;
}

int ush__body_take(struct ush__input *in)
{
    size_t body_at = in->at + in->head_len;
    if (in->length >= 0) {
        size_t there = in->len - body_at, length = (size_t)in->length;
        bool is_whole = there >= length;
        in->body_len = (uint32_t)(is_whole ? length : there);
        in->used = in->head_len + in->body_len;
        return is_whole;
    }
    size_t raw_at = body_at + in->body_len, used = 0, data = 0;
    if (raw_at == in->len)
        return 0;
    int r = ush_chunks_decode(&in->chunks, in->bytes + raw_at, in->len - raw_at, &used, &data);
    in->body_len += (uint32_t)data;
    /* A chunk says how long it will be: what cannot fit is not waited for. */
    if (in->body_len > in->body_max || ush__chunks_left(&in->chunks) > in->body_max - in->body_len)
        return -413;
    if (r < 0)
        return r;
    if (r == 0)
        in->len = (uint32_t)(raw_at + data);
    else
        in->used = (uint32_t)(raw_at + used) - in->at;
    return r;
}

/* What a decoder said, for the client or for a handler that wants to know. */
static int judge(struct ush__exchange *x, int result, void *input, const struct ush_faults *faults)
{
    struct ush_request *rq = &x->rq;
    if (result == USH_EINVAL && x->row->route->faults_to_handler) {
        rq->faults = USH_NEW(rq->arena, struct ush_faults);
        if (!rq->faults)
            return USH_ELIMIT;
        *rq->faults = *faults;
        result = 0;
    }
    if (result == 0)
        rq->input = input;
    else if (result == USH_EINVAL)
        result = ush_problem_faults(rq, faults);
    else if (result == USH_EPROTO)
        result = ush_problem(rq, &ush_problem_malformed, "%.*s",
                             USH_PR(faults->count ? faults->list[0].msg : USH_NONE));
    else if (result == USH_ELIMIT)
        result = ush_problem(rq, &ush_problem_too_large, "it has too many parts");
    return result;
}

static int decode_parts(struct ush_request *rq, const struct ush_record *record, ush_text type,
                        void *input, struct ush_faults *faults)
{
    struct ush_multipart m;
    struct ush_part part;
    size_t n = 0;
    int r = ush_multipart_open(&m, type, rq->body);
    while (r == 0 && (r = ush_multipart_next(&m, &part)) == 1) {
        n++;
        r = 0;
    }
    if (r < 0)
        ush_faults_add(faults, "", "multipart_invalid", "it is not multipart/form-data (RFC 7578)");
    USH_TRY(r);
    struct ush_pair *pairs = USH_NEW_N(rq->arena, struct ush_pair, n + 1);
    if (!pairs)
        return USH_ELIMIT;
    ush_multipart_open(&m, type, rq->body);
    for (size_t i = 0; i < n && ush_multipart_next(&m, &part) == 1; i++)
        pairs[i] = (struct ush_pair){part.name, part.content};
    return ush_record_decode_pairs(record, pairs, n, rq->arena, input, faults);
}

int ush__body_decode(struct ush__exchange *x)
{
    struct ush_request *rq = &x->rq;
    const struct ush_route *route = x->row->route;
    const struct ush_record *record = route->body ? route->body : route->query;
    if (!record)
        return 0;
    void *input = ush_arena_alloc(rq->arena, record->bytes);
    /* 2 KiB, needed only until here, so not on a stack that may wait. */
    struct ush_faults *faults = &rq->conn->http->faults;
    if (!input)
        return USH_ELIMIT;
    ush_faults_init(faults, rq->arena);
    ush_text type = ush__head_get(rq->head, "content-type");
    int r;
    if (!route->body && route->is_page) {
        r = ush_record_decode_query(record, rq->head->query, rq->arena, input, faults);
    } else if (!route->body) { /* a program that mistypes a name is told */
        faults->in = "query";
        r = ush_record_decode_form(record, rq->head->query, rq->arena, input, faults);
    } else if (route->takes_files && ush__media_type_is(type, multipart)) {
        r = decode_parts(rq, record, type, input, faults);
    } else if (route->takes_form) {
        r = ush_record_decode_form(record, rq->body, rq->arena, input, faults);
    } else {
        r = ush_record_decode_json(record, rq->body, rq->arena, input, faults);
    }
    return judge(x, r, input, faults);
}
