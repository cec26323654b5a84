/*
 * asset.c - files that are part of the program.
 *
 * An asset never changes while the program runs, so it is sent from where it lies: no copy is made
 * even for a reader so slow that most of it has to wait. A name that carries a hash of the content
 * may be kept for ever; any other is asked about again and usually answered with 304.
 *
 * The compressed form is another representation, so it has another entity tag ("x" and "x-gz",
 * RFC 9110 §8.8.3.3); both are accepted in If-None-Match, where comparison is weak (§13.1.2).
 */
#include "http/http.h"

int ush_reply_asset(struct ush_request *rq, const struct ush_asset *asset)
{
    struct ush__exchange *x = ush__exchange_of(rq);
    ush_text tag = ush_text_of(asset->etag), body = asset->plain;
    ush_text known = ush_header(rq, "if-none-match");
    bool has_gzip = asset->gzip.at != NULL;
    bool gzip = has_gzip && ush__takes_gzip(ush_header(rq, "accept-encoding"));
    assert(tag.len >= 2 && tag.at[0] == '"' && tag.at[tag.len - 1] == '"');
    bool is_known = ush__etag_is_listed(known, tag);
    if (has_gzip) {
        ush_text other = ush_arena_printf(rq->arena, "%.*s-gz\"", (int)tag.len - 1, tag.at);
        is_known |= ush__etag_is_listed(known, other);
        tag = gzip ? other : tag;
    }
    if (gzip) {
        body = asset->gzip;
        ush_reply_header(rq, "Content-Encoding", USH_T("gzip"));
    }
    if (has_gzip)
        ush_reply_header(rq, "Vary", USH_T("Accept-Encoding"));
    ush_reply_header(rq, "ETag", tag);
    if (!(x->own & USH__OWN_CACHE) && !(rq->route && rq->route->cache))
        ush_reply_header(rq, "Cache-Control",
                         asset->is_hashed ? USH_T("public, max-age=31536000, immutable")
                                          : USH_T("no-cache"));
    if (is_known)
        return ush_reply(rq, 304, NULL, USH_NONE);
    ush_reply(rq, 200, asset->content_type, body);
    x->is_static = true;
    return 0;
}
