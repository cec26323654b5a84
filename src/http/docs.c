/*
 * docs.c - placeholder
 */
#include "http/http.h"
void ush_openapi(const struct ush_http_options *o, struct ush_buf *out){(void)o;(void)out;}
int ush_openapi_handler(struct ush_request *rq){return ush_reply(rq,200,"application/json",USH_T("{}"));}
int ush_docs_handler(struct ush_request *rq){return ush_reply(rq,200,"text/html",USH_T(""));}
