/*
 * problem.c - what went wrong, told to a program (RFC 9457) or to a person.
 *
 * A problem is a constant: code, status, title. What belongs to one occurrence (a sentence, further
 * members, the faults of a form) is kept with the exchange and written only when the reply is. The
 * type is a link to the place in /docs where the code is explained.
 *
 *     {"type":"/docs#problem-sold_out","title":"No places left","status":409,
 *      "detail":"Robo Race is full.","instance":"/register","code":"sold_out",
 *      "request_id":"01J...","event":"robo-race"}
 *
 * A person, that is a client that prefers HTML, gets the page that o.problem_page renders.
 *
 * Negative results of handlers become problems by one table. Whatever is not in it is our fault
 * and says so without internals: the log has the error beside the request's id.
 */
#include <stdio.h>

#include "http/http.h"

#define PROBLEM(name, code, status, title, doc)                                                    \
    const struct ush_problem ush_problem_##name = {code, status, title, doc}

PROBLEM(malformed, "malformed_request", 400, "The request cannot be read",
        "Its head or body is not well-formed.");
PROBLEM(validation, "validation_error", 422, "Some fields are not valid",
        "`errors` lists every fault: where (pointer, loc), what (msg) and its kind (type).");
PROBLEM(not_found, "not_found", 404, "There is nothing here", "Check the address.");
PROBLEM(method, "method_not_allowed", 405, "This cannot be done here",
        "The Allow field names what can.");
PROBLEM(too_large, "payload_too_large", 413, "The request is too large", "Send less at once.");
PROBLEM(media_type, "unsupported_media_type", 415, "This kind of content is not taken",
        "Send the Content-Type that the documentation names, not compressed.");
PROBLEM(overloaded, "overloaded", 503, "Too busy just now",
        "Nothing was done. Try again after the time in Retry-After.");
PROBLEM(unavailable, "unavailable", 503, "Something needed for this is away",
        "Try again after the time in Retry-After.");
PROBLEM(internal, "internal_error", 500, "Something went wrong on our side",
        "It has been logged under request_id.");
PROBLEM(rate_limited, "rate_limited", 429, "Too many requests",
        "Wait for the time in Retry-After.");

/* Refusals of the protocol, which no route declares. */
static const struct ush_problem refusals[] = {
    {"request_timeout", 408, "The request took too long to arrive"},
    {"uri_too_long", 414, "The address is too long"},
    {"expectation_failed", 417, "This expectation cannot be met"},
    {"header_too_large", 431, "The header fields are too large"},
    {"not_implemented", 501, "This method or coding is not known here"},
    {"version_not_supported", 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here"},
};

const struct ush_problem *ush__problem_of_status(int status)
{
    static const struct ush_problem *const shared[] = {
        &ush_problem_malformed,  &ush_problem_not_found,  &ush_problem_method,
        &ush_problem_too_large,  &ush_problem_media_type, &ush_problem_rate_limited,
        &ush_problem_overloaded,
    };
    for (size_t i = 0; i < USH_COUNT(shared); i++)
        if (shared[i]->status == status)
            return shared[i];
    for (size_t i = 0; i < USH_COUNT(refusals); i++)
        if (refusals[i].status == status)
            return &refusals[i];
    return &ush_problem_internal;
}

const struct ush_problem *ush__problem_of(int error)
{
    switch (error) {
    case -ETIMEDOUT:
    case USH_EFULL:
        return &ush_problem_overloaded;
    case -ECANCELED: /* of a request that is not the client's own doing: the worker drains */
    case USH_EUNAVAILABLE:
    case USH_ESTORAGE:
    case USH_EUNKNOWN:
        return &ush_problem_unavailable;
    case USH_ENOTFOUND:
        return &ush_problem_not_found;
    case USH_EINVAL:
    case USH_EPROTO:
        return &ush_problem_malformed;
    case USH_ELIMIT:
        return &ush_problem_too_large;
    default:
        return &ush_problem_internal;
    }
}

/* ---- what handlers call --------------------------------------------------------------------- */

int ush_problem(struct ush_request *rq, const struct ush_problem *p, const char *fmt, ...)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    x->problem = p;
    x->detail = USH_NONE;
    if (fmt && *fmt) {
        char text[512];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        x->detail = ush_arena_copy(rq->arena, ush_text_of(text));
    }
    return USH_EPROBLEM;
}

void ush_problem_member(struct ush_request *rq, const char *name, ush_text json)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    struct ush__field *f = USH_NEW(rq->arena, struct ush__field);
    if (!f)
        return;
    *f = (struct ush__field){.name = ush_text_of(name), .value = json};
    *x->last_member = f;
    x->last_member = &f->next;
}

int ush_problem_faults(struct ush_request *rq, const struct ush_faults *faults)
{
    struct ush_buf json;
    ush_buf_init(&json, USH__TEXT_BYTES);
    ush_faults_json(faults, &json);
    ush_problem_member(rq, "errors", ush_arena_copy(rq->arena, ush_buf_text(&json)));
    ush_buf_fini(&json);
    return ush_problem(rq, &ush_problem_validation, "%zu %s not valid", faults->count,
                       faults->count == 1 ? "field is" : "fields are");
}

/* ---- the reply ------------------------------------------------------------------------------ */

static void add_member(struct ush_buf *b, const char *name, ush_text text)
{
    ush_buf_printf(b, ",\"%s\":", name);
    ush_buf_add_json(b, text);
}

static void write_document(struct ush__exchange *x, struct ush_buf *b)
{
    const struct ush_problem *p = x->problem;
    ush_buf_printf(b, "{\"type\":\"" USH_PROBLEM_BASE "%s\"", p->code);
    add_member(b, "title", ush_text_of(p->title));
    ush_buf_printf(b, ",\"status\":%d", p->status);
    if (x->detail.at)
        add_member(b, "detail", x->detail);
    if (x->rq.path.at)
        add_member(b, "instance", x->rq.path);
    add_member(b, "code", ush_text_of(p->code));
    if (x->rq.id[0])
        add_member(b, "request_id", ush_text_of(x->rq.id));
    for (const struct ush__field *f = x->members; f; f = f->next) {
        ush_buf_printf(b, ",\"%.*s\":", USH_PR(f->name));
        ush_buf_add(b, f->value.at ? f->value : USH_T("null"));
    }
    ush_buf_add(b, USH_T("}\n"));
}

void ush__problem_reply(struct ush__exchange *x)
{
    const struct ush_http_options *o = &x->rq.conn->http->o;
    x->reply = USH__NO_REPLY;
    if (o->problem_page && ush_wants_html(&x->rq)) {
        char detail[512];
        snprintf(detail, sizeof(detail), "%.*s", USH_PR(x->detail));
        ush_no_suspend_begin();
        int r = o->problem_page(&x->rq, x->problem, x->detail.at ? detail : NULL);
        ush_no_suspend_end();
        if (r >= 0 && x->reply == USH__REPLIED)
            return;
    }
    struct ush_buf *text = ush__exchange_text(x);
    write_document(x, text);
    ush_reply(&x->rq, x->problem->status, "application/problem+json", ush_buf_text(text));
}
