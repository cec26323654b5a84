/*
 * tickets.c - the secret file, the keyed hashes, and codes as data.
 *
 * Each use has a key of its own, derived from the one secret, and each signed or hashed message
 * begins with what it is, so nothing made for one use can serve another.
 *
 *   ticket (75 bytes)   1 version | 8 registration id | 2 ticket_rev | 64 Ed25519 signature
 *   public id (16)      8 id | 8 MAC
 *   manage token (24)   8 id | 16 MAC over id and manage_rev
 *   short code (5)      Feistel network over (event 16 bits, seq 24 bits) as two halves of 20 bits
 *
 * Numbers are big-endian. The short code is a permutation: it collides with nothing, tells nothing
 * of the order of arrival, and every code belongs to some (event, seq), so only the database can
 * say whether there is such a registration.
 */
#include "domain/tickets.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(PUBLIC_ID_CHARS == (16 * 8 + 4) / 5, "16 bytes");
static_assert(MANAGE_TOKEN_CHARS == (24 * 8 + 4) / 5, "24 bytes");
static_assert(TICKET_CHARS == (75 * 8 + 4) / 5, "75 bytes");
static_assert(crypto_sign_SEEDBYTES == 32 && crypto_sign_SECRETKEYBYTES == 64, "Ed25519");

/* ---- keys ------------------------------------------------------------------------------------ */

void keys_derive(struct keys *k, const uint8_t master[32])
{
    uint8_t seed[32];
    const struct {
        uint8_t *key;
        const char *use; /* 8 characters */
    } derived[] = {
        {k->public_mac, "publicid"}, {k->manage_mac, "managetk"}, {k->code, "shortcod"},
        {k->mail_mac, "mailmsid"},   {k->hash, "rowhashs"},       {k->web, "webforms"},
        {seed, "ticketsg"},
    };
    int rc = sodium_init();
    assert(rc >= 0);
    memcpy(k->master, master, 32);
    for (size_t i = 0; i < USH_COUNT(derived); i++) {
        rc = crypto_kdf_derive_from_key(derived[i].key, 32, 1, derived[i].use, master);
        assert(rc == 0);
    }
    crypto_sign_seed_keypair(k->verify, k->sign_secret, seed);
    sodium_memzero(seed, sizeof seed);
}

enum { SECRET_CHARS = 52 }; /* 32 bytes in base 32 */

static int read_secret(int fd, uint8_t master[32])
{
    char text[256];
    ssize_t n = read(fd, text, sizeof text);
    if (n < 0)
        return -errno;
    return ush_base32_parse(ush_text_trim((ush_text){text, (size_t)n}), master, 32);
}

/* Makes the file under a name of its own and links it into place: whoever links first has made the
 * secret, and nobody ever sees half of one. */
static int make_secret(const char *path)
{
    uint8_t master[32];
    char text[SECRET_CHARS + 2], temp[4096];
    if ((size_t)snprintf(temp, sizeof temp, "%s.new-%ld", path, (long)getpid()) >= sizeof temp)
        return -ENAMETOOLONG;
    randombytes_buf(master, sizeof master);
    ush_base32_format(master, sizeof master, text);
    text[SECRET_CHARS] = '\n';
    sodium_memzero(master, sizeof master);
    int fd = open(temp, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = write(fd, text, SECRET_CHARS + 1) != SECRET_CHARS + 1 || fsync(fd) < 0 ? -EIO : 0;
    close(fd);
    if (rc == 0 && link(temp, path) < 0 && errno != EEXIST)
        rc = -errno;
    unlink(temp);
    sodium_memzero(text, sizeof text);
    return rc;
}

int keys_load(struct keys *k, const char *path, struct ush_buf *ret_problem)
{
    uint8_t master[32];
    struct stat st;
    if (sodium_init() < 0)
        return -EIO;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0 && errno == ENOENT) {
        rc = make_secret(path);
        if (rc < 0) {
            ush_buf_printf(ret_problem, "the secret file %s cannot be made: %s", path,
                           ush_error_text(rc));
            return rc;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0 || fstat(fd, &st) < 0) {
        rc = -errno;
        ush_buf_printf(ret_problem, "the secret file %s cannot be read: %s", path,
                       ush_error_text(rc));
    } else if (st.st_mode & 077) {
        rc = -EPERM;
        ush_buf_printf(ret_problem, "others may read the secret file %s: chmod 600 %s", path, path);
    } else if ((rc = read_secret(fd, master)) < 0) {
        ush_buf_printf(ret_problem, "the secret file %s holds no secret (%d base 32 characters)",
                       path, SECRET_CHARS);
    } else {
        keys_derive(k, master);
        sodium_memzero(master, sizeof master);
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

static void put64(uint8_t *out, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static uint64_t get64(const uint8_t *at)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | at[i];
    return v;
}

void keys_hash(const struct keys *k, enum hash_use use, int64_t event, const ush_text *parts,
               size_t n, uint8_t ret[KEY_BYTES])
{
    crypto_generichash_state state;
    uint8_t number[9] = {(uint8_t)use};
    put64(number + 1, (uint64_t)event);
    crypto_generichash_init(&state, k->hash, sizeof k->hash, KEY_BYTES);
    crypto_generichash_update(&state, number, sizeof number);
    for (size_t i = 0; i < n; i++) {
        /* An absent part differs from an empty one. */
        put64(number, parts[i].at ? parts[i].len : UINT64_MAX);
        crypto_generichash_update(&state, number, 8);
        crypto_generichash_update(&state, (const uint8_t *)parts[i].at, parts[i].len);
    }
    crypto_generichash_final(&state, ret, KEY_BYTES);
}

static void mac(const uint8_t key[32], int64_t id, int64_t rev, uint8_t ret[16])
{
    uint8_t message[16];
    put64(message, (uint64_t)id);
    put64(message + 8, (uint64_t)rev);
    crypto_generichash(ret, 16, message, sizeof message, key, 32);
}

/* ---- public id and manage token -------------------------------------------------------------- */

void public_id_format(const struct keys *k, int64_t id, char out[PUBLIC_ID_CHARS + 1])
{
    uint8_t bytes[8 + 16];
    put64(bytes, (uint64_t)id);
    mac(k->public_mac, id, 0, bytes + 8);
    ush_base32_format(bytes, 16, out);
}

int public_id_parse(const struct keys *k, ush_text t, int64_t *ret_id)
{
    uint8_t bytes[16], expected[16];
    if (t.len > 2 * PUBLIC_ID_CHARS || ush_base32_parse(t, bytes, sizeof bytes) < 0)
        return -EINVAL;
    int64_t id = (int64_t)get64(bytes);
    mac(k->public_mac, id, 0, expected);
    if (sodium_memcmp(bytes + 8, expected, 8) != 0)
        return -EINVAL;
    *ret_id = id;
    return 0;
}

void mail_id_format(const struct keys *k, int64_t job_id, int64_t created_at,
                    char out[PUBLIC_ID_CHARS + 1])
{
    uint8_t bytes[8 + 16];
    put64(bytes, (uint64_t)job_id);
    mac(k->mail_mac, job_id, created_at, bytes + 8);
    ush_base32_format(bytes, 16, out);
}

void manage_token_format(const struct keys *k, int64_t id, int64_t manage_rev,
                         char out[MANAGE_TOKEN_CHARS + 1])
{
    uint8_t bytes[24];
    put64(bytes, (uint64_t)id);
    mac(k->manage_mac, id, manage_rev, bytes + 8);
    ush_base32_format(bytes, sizeof bytes, out);
}

int manage_token_parse(ush_text t, struct manage_token *ret)
{
    uint8_t bytes[24];
    if (t.len > 2 * MANAGE_TOKEN_CHARS || ush_base32_parse(t, bytes, sizeof bytes) < 0)
        return -EINVAL;
    ret->id = (int64_t)get64(bytes);
    memcpy(ret->mac, bytes + 8, 16);
    return ret->id > 0 ? 0 : -EINVAL;
}

bool manage_token_fits(const struct keys *k, const struct manage_token *t, int64_t manage_rev)
{
    uint8_t expected[16];
    mac(k->manage_mac, t->id, manage_rev, expected);
    return sodium_memcmp(t->mac, expected, sizeof expected) == 0;
}

/* ---- short code ------------------------------------------------------------------------------ */

enum { HALF_BITS = 20, HALF_MASK = (1 << HALF_BITS) - 1, ROUNDS = 8 };

static uint32_t round_of(const struct keys *k, int round, uint32_t half)
{
    uint8_t message[5] = {(uint8_t)round, (uint8_t)(half >> 16), (uint8_t)(half >> 8),
                          (uint8_t)half};
    uint8_t hash[crypto_shorthash_BYTES];
    crypto_shorthash(hash, message, sizeof message, k->code);
    return ((uint32_t)hash[0] << 16 | (uint32_t)hash[1] << 8 | hash[2]) & HALF_MASK;
}

void short_code_format(const struct keys *k, int64_t id, char out[SHORT_CODE_CHARS + 1])
{
    uint64_t event = (uint64_t)id >> 32, seq = (uint64_t)id & 0xffffffff;
    char text[9];
    out[0] = '\0';
    if (event >> 16 || seq >> 24)
        return;
    uint32_t left = (uint32_t)(event << 4 | seq >> HALF_BITS), right = seq & HALF_MASK;
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t next = left ^ round_of(k, i, right);
        left = right;
        right = next;
    }
    uint8_t bytes[8];
    put64(bytes, (uint64_t)left << HALF_BITS | right);
    ush_base32_format(bytes + 3, 5, text);
    snprintf(out, SHORT_CODE_CHARS + 1, "%.4s-%.4s", text, text + 4);
}

int short_code_parse(const struct keys *k, ush_text t, int64_t *ret_id)
{
    uint8_t bytes[8] = {0};
    if (t.len > 2 * SHORT_CODE_CHARS || ush_base32_parse(t, bytes + 3, 5) < 0)
        return -EINVAL;
    uint64_t code = get64(bytes);
    uint32_t left = (uint32_t)(code >> HALF_BITS), right = code & HALF_MASK;
    for (int i = ROUNDS - 1; i >= 0; i--) {
        uint32_t before = right ^ round_of(k, i, left);
        right = left;
        left = before;
    }
    uint64_t pair = (uint64_t)left << HALF_BITS | right;
    *ret_id = (int64_t)(pair >> 24 << 32 | (pair & 0xffffff));
    return 0;
}

/* ---- ticket ---------------------------------------------------------------------------------- */

enum { TICKET_VERSION = 1, TICKET_IDS = 11, TICKET_BYTES = TICKET_IDS + crypto_sign_BYTES };

/* What is signed: a name for the use, then the ids. */
struct signed_part {
    char use[16];
    uint8_t ids[TICKET_IDS];
};
static const char ticket_use[16] = "usher ticket v1";

void ticket_format(const struct keys *k, int64_t id, int64_t ticket_rev, char out[TICKET_CHARS + 1])
{
    struct signed_part part = {.ids = {TICKET_VERSION}};
    uint8_t bytes[TICKET_BYTES];
    memcpy(part.use, ticket_use, sizeof part.use);
    put64(part.ids + 1, (uint64_t)id);
    part.ids[9] = (uint8_t)(ticket_rev >> 8);
    part.ids[10] = (uint8_t)ticket_rev;
    memcpy(bytes, part.ids, TICKET_IDS);
    crypto_sign_detached(bytes + TICKET_IDS, NULL, (const uint8_t *)&part, sizeof part,
                         k->sign_secret);
    ush_base32_format(bytes, sizeof bytes, out);
}

int ticket_parse(const struct keys *k, ush_text t, int64_t *ret_id, int64_t *ret_rev)
{
    struct signed_part part;
    uint8_t bytes[TICKET_BYTES];
    if (t.len > 1024)
        return -EINVAL;
    for (size_t i = t.len; i >= 3; i--) {
        if (!ush_text_equal_nocase((ush_text){t.at + i - 3, 3}, USH_T("/T/")))
            continue;
        t = (ush_text){t.at + i, t.len - i};
        break;
    }
    if (ush_base32_parse(t, bytes, sizeof bytes) < 0 || bytes[0] != TICKET_VERSION)
        return -EINVAL;
    memcpy(part.use, ticket_use, sizeof part.use);
    memcpy(part.ids, bytes, TICKET_IDS);
    if (crypto_sign_verify_detached(bytes + TICKET_IDS, (const uint8_t *)&part, sizeof part,
                                    k->verify) != 0)
        return -EINVAL;
    *ret_id = (int64_t)get64(bytes + 1);
    *ret_rev = bytes[9] << 8 | bytes[10];
    return 0;
}

void ticket_link(const struct keys *k, const char *base_url, int64_t id, int64_t ticket_rev,
                 struct ush_buf *out)
{
    char ticket[TICKET_CHARS + 1];
    ticket_format(k, id, ticket_rev, ticket);
    for (const char *c = base_url; *c; c++)
        ush_buf_add_byte(out, *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c);
    ush_buf_add(out, USH_T("/T/"));
    ush_buf_add(out, ush_text_of(ticket));
}
