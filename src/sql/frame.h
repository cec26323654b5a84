/*
 * frame.h - what workers and the writer say to each other.
 *
 *     worker                                 writer
 *       | HELLO: the shapes of its operations  |
 *       |------------------------------------->|
 *       |   HELLO: for each, whether it knows it
 *       |<-------------------------------------|
 *       | request, request, request            |     each answered once, in any order
 *       |------------------------------------->|
 *       |             answer, answer, request…  |
 *       |<-------------------------------------|
 *
 * A frame is 16 bytes of head and a body. Both ends are processes of one host and of builds that
 * may differ (an upgrade is under way), so numbers are in native order and operations are agreed
 * by name and shape: a request names an operation by its place in the worker's own list, and the
 * writer refuses those whose fields it knows otherwise.
 *
 * What comes in is checked as if a stranger had sent it. A frame that breaks a rule closes the
 * connection; nothing of it is run.
 */
#ifndef USH_SQL_FRAME_H
#define USH_SQL_FRAME_H

#include "usher/sql.h"

enum {
    USH__FRAME_MAX = 8 << 20,  /* body */
    USH__OPERATIONS_MAX = 256, /* of one program */
    USH__HELLO = 0x31687375,   /* "ush1": code of both HELLO frames; changes with the protocol */
};

struct ush__frame {
    uint32_t bytes; /* of the body */
    int32_t code;   /* request: place of the operation; answer: its result */
    uint64_t id;    /* the worker's; 0 for HELLO */
};
static_assert(sizeof(struct ush__frame) == 16, "heads lie in the stream as they are");

/* Takes the first frame off *rest. 1; 0 if it is not there as a whole; USH_EPROTO if too large. */
int ush__frame_take(ush_text *rest, struct ush__frame *ret, ush_text *ret_body);
/* Begins a frame at the end of `out`; what is added then is its body. Returns its place. */
size_t ush__frame_begin(struct ush_buf *out, int32_t code, uint64_t id);
/* 0; or USH_ELIMIT, and then the frame is gone from `out`. */
int ush__frame_end(struct ush_buf *out, size_t place);
/* Receives behind what is in `in`. Bytes, 0 at the end, or negative. May suspend. */
ssize_t ush__frames_receive(int fd, struct ush_buf *in);

/* The worker's HELLO, and what the writer makes of it: ret_known[i] is the operation that the
 * worker means by i, NULL if the writer has none of that name and shape. The number of operations
 * or USH_EPROTO. */
void ush__hello_add(struct ush_buf *out, const struct ush_operation *const *operations);
int ush__hello_match(ush_text body, const struct ush_operation *const *operations,
                     const struct ush_operation *ret_known[USH__OPERATIONS_MAX]);

/* Reads a request into the arena. 0; USH_EPROTO if there is no such operation; USH_EINVAL if the
 * body is not its input (a text that is not UTF-8, say: one caller's fault, not the peer's);
 * USH_ELIMIT. */
int ush__request_read(const struct ush__frame *f, ush_text body,
                      const struct ush_operation *const *known, size_t known_count,
                      struct ush_arena *arena, const struct ush_operation **ret_op,
                      const void **ret_in);

/* FNV-1a: a fingerprint that stays the same over versions; it detects changes, not attacks. */
uint64_t ush__fingerprint(uint64_t so_far, const void *bytes, size_t n);
#define USH__FINGERPRINT_BEGIN UINT64_C(0xcbf29ce484222325)

#endif
