/*
 * http.c - one HTTP request as a call that waits.
 *
 * Any status is a reply; an error is that there was none. Redirects are not followed: where a
 * request goes is decided by the settings and not by the other side. Only http and https. Field
 * values with a line end in them are refused, so nothing that a user typed can add a header.
 */
#include "fetch/fetch.h"

enum { REPLY_MAX = 1 << 20 };

static size_t on_body(char *bytes, size_t one, size_t n, void *ctx)
{
    struct ush_buf *body = ctx;
    ush_buf_add(body, (ush_text){bytes, one * n});
    return body->error ? 0 : one * n; /* less than all ends the transfer */
}

static int set_headers(CURL *easy, const struct ush_fetch_request *rq, struct curl_slist **list)
{
    for (const char *const *h = rq->headers; h && *h; h++) {
        struct curl_slist *longer = ush__is_one_line(*h) ? curl_slist_append(*list, *h) : NULL;
        if (!longer)
            return ush__is_one_line(*h) ? -ENOMEM : USH_EINVAL;
        *list = longer;
    }
    /* Nothing is asked in advance: bodies here are small, and the question costs a round trip. */
    struct curl_slist *longer = curl_slist_append(*list, "Expect:");
    if (!longer)
        return -ENOMEM;
    *list = longer;
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, *list);
    return 0;
}

static void set_request(CURL *easy, const struct ush_fetch_request *rq, struct ush_buf *body)
{
    curl_easy_setopt(easy, CURLOPT_URL, rq->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
    bool is_head = rq->method && strcmp(rq->method, "HEAD") == 0;
    if (is_head)
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (rq->body.at) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body.len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, rq->body.at);
    }
    if (rq->method && !is_head)
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, rq->method);
}

int ush_fetch_http(struct ush_fetch *f, const struct ush_fetch_request *rq,
                   struct ush_fetch_reply *ret)
{
    struct ush__transfer t;
    struct curl_slist *list = NULL;
    struct ush_buf body;
    ret->was_sent = false;
    ush_text scheme = {rq->url, strcspn(rq->url, ":")};
    if (!ush_text_equal_nocase(scheme, USH_T("http")) &&
        !ush_text_equal_nocase(scheme, USH_T("https")))
        return USH_EINVAL;
    if (rq->method && !ush__is_one_line(rq->method))
        return USH_EINVAL;
    USH_TRY(ush_semaphore_take(&f->places));
    int r = ush__transfer_open(f, &t);
    if (r < 0)
        goto give;
    ush_buf_init(&body, rq->reply_max_bytes ? rq->reply_max_bytes : REPLY_MAX);
    r = set_headers(t.easy, rq, &list);
    if (r < 0)
        goto out;
    set_request(t.easy, rq, &body);
    r = ush__transfer_run(f, &t);
    long sent_bytes = 0;
    curl_easy_getinfo(t.easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
    ret->was_sent = sent_bytes > 0;
    if (r < 0)
        goto out;
    if (t.code != CURLE_OK) {
        r = body.error ? body.error : ush__transfer_error(&t);
        goto out;
    }
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(t.easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t.easy, CURLINFO_RETRY_AFTER, &retry_after);
    *ret = (struct ush_fetch_reply){
        .status = (int)status,
        .body = body,
        .retry_after_ms = retry_after > 0 ? retry_after * 1000 : -1,
        .was_sent = true,
    };
out:
    if (r < 0)
        ush_buf_fini(&body);
    ush__transfer_close(f, &t);
    curl_slist_free_all(list);
give:
    ush_semaphore_give(&f->places);
    return r;
}
