/*
 * tickets.h - the fest's secret, and everything that follows from it and an id.
 *
 * Nothing here is stored: given the secret, a registration's id and two revisions, each link and
 * code can be made again, and a forged one is told apart before the database is asked.
 *
 *   public id     id and an 8-byte MAC                            26 characters   in API paths
 *   manage token  id and a 16-byte MAC over (id, manage_rev)      39 characters   private link
 *   short code    a keyed permutation of (event, seq)             K7QF-2M9D       typed at a door
 *   ticket        version, id, ticket_rev and an Ed25519 signature                in the QR
 *
 * All are Crockford base 32: either case, O is 0, I and L are 1, dashes and spaces ignored. The
 * ticket holds no personal data and is an upper-case link, so a QR code needs only its
 * alphanumeric mode and any phone's camera opens it. The manage token is never put into a QR:
 * people photograph tickets.
 *
 * Signing takes about 25 microseconds, so the answer to a registration carries short code and
 * links, and the signed ticket is made when page, mail or ticket.json ask for it.
 */
#ifndef DOMAIN_TICKETS_H
#define DOMAIN_TICKETS_H

#include "usher/base.h"

enum { KEY_BYTES = 16 }; /* of the keyed hashes that are stored and compared */

struct keys {
    uint8_t master[32];
    uint8_t public_mac[32], manage_mac[32], code[32], mail_mac[32];
    uint8_t hash[32];                    /* for stored keys: request, person, school, team */
    uint8_t web[32];                     /* for app/web's own use: cookies, forms */
    uint8_t sign_secret[64], verify[32]; /* Ed25519 */
};

/* Derives all keys from a 32-byte secret. */
void keys_derive(struct keys *k, const uint8_t master[32]);
/* Reads the secret file; makes it (mode 600, synced) when there is none. Several processes may
 * start at once: one makes it, all read the same. -EINVAL (contents), -EPERM (readable by others),
 * other negated errno, with a sentence. Blocking; for start-up. */
int keys_load(struct keys *k, const char *path, struct ush_buf *ret_problem);

enum hash_use {
    HASH_REQUEST,
    HASH_FINGERPRINT,
    HASH_PERSON,
    HASH_SCHOOL,
    HASH_TEAM,
    HASH_ADDRESS,
    HASH_SESSION, /* of a cookie's token */
    HASH_FORM,    /* of a token, for the hidden field of its forms */
    HASH_PAIR,    /* of a device's one-time code */
    HASH_SETUP,
    HASH_SCAN,
};
/* Keyed hash of an event id (0 = the whole fest) and texts; lengths are hashed too. */
void keys_hash(const struct keys *k, enum hash_use use, int64_t event, const ush_text *parts,
               size_t n, uint8_t ret[KEY_BYTES]);

enum { PUBLIC_ID_CHARS = 26, MANAGE_TOKEN_CHARS = 39, SHORT_CODE_CHARS = 9, TICKET_CHARS = 120 };

void public_id_format(const struct keys *k, int64_t id, char out[PUBLIC_ID_CHARS + 1]);
/* -EINVAL for anything that was not made with this secret. */
int public_id_parse(const struct keys *k, ush_text t, int64_t *ret_id);

struct manage_token {
    int64_t id;
    uint8_t mac[16];
};
void manage_token_format(const struct keys *k, int64_t id, int64_t manage_rev,
                         char out[MANAGE_TOKEN_CHARS + 1]);
int manage_token_parse(ush_text t, struct manage_token *ret);
/* In constant time. False after the revision was raised. */
bool manage_token_fits(const struct keys *k, const struct manage_token *t, int64_t manage_rev);

/* The local part of a mail's Message-ID: job id and MAC, the same for every attempt. */
void mail_id_format(const struct keys *k, int64_t job_id, int64_t created_at,
                    char out[PUBLIC_ID_CHARS + 1]);

/* "K7QF-2M9D". Unique while event ids are below 2^16 and seqs below 2^24; else out is "". */
void short_code_format(const struct keys *k, int64_t id, char out[SHORT_CODE_CHARS + 1]);
/* The id that has this code, whether or not such a registration exists. */
int short_code_parse(const struct keys *k, ush_text t, int64_t *ret_id);

void ticket_format(const struct keys *k, int64_t id, int64_t ticket_rev,
                   char out[TICKET_CHARS + 1]);
/* Takes the bare ticket or any link that ends in "/T/<ticket>". -EINVAL (not a ticket, forged). */
int ticket_parse(const struct keys *k, ush_text t, int64_t *ret_id, int64_t *ret_rev);
/* The upper-case link for the QR: base_url "/T/" ticket. */
void ticket_link(const struct keys *k, const char *base_url, int64_t id, int64_t ticket_rev,
                 struct ush_buf *out);

/* A QR code of `text` with a quiet zone of 4, error correction M. The SVG has no size, a
 * viewBox and role="img" with `label`; the PNG has `scale` pixels per module (0 = 8), 1 bit deep.
 * USH_ELIMIT when the text does not fit, -ENOMEM. */
int qr_svg(ush_text text, ush_text label, struct ush_buf *out);
int qr_png(ush_text text, int scale, struct ush_buf *out);

#endif
