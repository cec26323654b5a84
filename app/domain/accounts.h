/*
 * accounts.h - who works for the fest: users, their sessions, and paired devices.
 *
 * A *user* has an address, a password (argon2id) and a role, and works for the whole fest or for
 * some events. A *device* is a phone at the door that was paired by a one-time code; it may check
 * in and nothing else, and may be revoked by itself. Either is known by a *session*: 256 random
 * bits in a cookie, of which only a keyed hash is stored.
 *
 *   session   ends 12 hours after its last use (a device's: not before the device), 7 days after
 *             its beginning at the latest, when its user logs out, gets another password or role,
 *             or is switched off, and when its device is revoked
 *
 * Roles are bits, so that a set of roles is one number. Who may do what is the floor above's table.
 *
 * There is no default password: the first owner comes from the command line, or from a set-up link
 * that works for half an hour, on this machine, while there is no user.
 */
#ifndef DOMAIN_ACCOUNTS_H
#define DOMAIN_ACCOUNTS_H

#include "domain/fest.h"

enum role {
    ROLE_OWNER = 1 << 0,     /* users, erasure, everything */
    ROLE_ORGANISER = 1 << 1, /* events, registrations, mails, export */
    ROLE_DESK = 1 << 2,      /* search, check-in, entry at the desk */
    ROLE_VIEWER = 1 << 3,    /* numbers */
    ROLE_DEVICE = 1 << 4,    /* check-in */
};
#define ROLE_NAMES "owner|organiser|desk|viewer"
/* By the stored name ("device" too); 0 for any other. */
enum role role_of(ush_text name);

enum {
    SESSION_TOKEN_CHARS = 52,
    SESSION_IDLE_MS = 12 * 3600 * 1000,
    SESSION_MS = 7 * 24 * 3600 * 1000,
    SETUP_MS = 30 * 60 * 1000,
    PAIR_MS = 15 * 60 * 1000,
    PASSWORD_MIN = 10,
    PASSWORD_MAX = 200,
    PASSWORD_HASH_MAX = 128,
};

/* ---- passwords: slow on purpose, so only in a thread ------------------------------------------
 */

/* An argon2id hash as text. 0 or -ENOMEM. Blocking: some 60 ms and 64 MiB. */
int password_hash(ush_text password, char out[PASSWORD_HASH_MAX]);
/* Also takes its time when `hash` is empty, so that an unknown address answers as late as a known
 * one. Blocking. */
bool password_fits(ush_text password, ush_text hash);

/* ---- who asks -------------------------------------------------------------------------------- */

#define ACCOUNT_FIELDS(F, R)                                                                       \
    F(R, I64, user_id, .optional = true)                                                           \
    F(R, I64, device_id, .optional = true)                                                         \
    F(R, TEXT, name, .max = 254, .doc = "Address of a user, name of a device")                     \
    F(R, TEXT, role, .max = 20)                                                                    \
    F(R, TEXT, events, .max = 4000, .optional = true, .doc = "JSON list of ids; absent = all")     \
    F(R, TIME, seen_at) F(R, TIME, expires_at)
USH_RECORD(account, ACCOUNT_FIELDS)

/* Whoever has this session now, into the arena. USH_ENOTFOUND when it is over. May suspend. */
int session_read(struct fest *f, ush_text token, struct ush_arena *arena, struct account *ret);
/* Whether `events` of an account or device has the event. */
bool events_allow(ush_text events, int64_t event);
/* "user:name" or "device:name", for the audit. */
ush_text account_actor(const struct account *a, struct ush_arena *arena);

struct user;
/* A new session of a user as user_by_email gave it; the token for the cookie is made here. Logging
 * in with `old` ends that session. USH_ENOTFOUND when the user has another password since, or was
 * switched off. May suspend. */
int session_open(struct fest *f, const struct user *user, ush_text old, char ret_token[],
                 struct ush_arena *arena);
/* Ends one. May suspend. */
int session_close(struct fest *f, ush_text token, struct ush_arena *arena);
/* Notes that it was used; at most every few minutes. May suspend. */
int session_touch(struct fest *f, ush_text token, const struct account *a, struct ush_arena *arena);

/* ---- users ----------------------------------------------------------------------------------- */

#define USER_FIELDS(F, R)                                                                          \
    F(R, I64, id, .doc = "Number")                                                                 \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254, .doc = "Logs in with it")                   \
    F(R, TEXT, name, .max = 120, .doc = "Shown to others")                                         \
    F(R, TEXT, role, .choices = ROLE_NAMES, .doc = "What they may do")                             \
    F(R, TEXT, events, .max = 4000, .optional = true, .doc = "Event ids as JSON; absent = all")    \
    F(R, I64, is_active, .doc = "0 = cannot log in")                                               \
    F(R, TEXT, password, .max = 128, .optional = true, .secret = true, .doc = "argon2id")          \
    F(R, TIME, created_at, .doc = "Since when")
USH_RECORD(user, USER_FIELDS)

/* 1 when there is any, else 0. May suspend. */
int users_exist(struct ush_db *db);
/* Array of struct user by address, without hashes. May suspend. */
int users_list(struct fest *f, struct ush_arena *arena, struct ush_rows *ret);
/* With the hash. USH_ENOTFOUND. May suspend. */
int user_by_email(struct fest *f, ush_text email, struct ush_arena *arena, struct user *ret);

/* Makes a user (id 0) or changes one: what is absent stays. CHANGE_DUPLICATE for an address that
 * is taken; CHANGE_REFUSED when no active owner would be left, or is_first and there is a user. */
#define USER_PUT_FIELDS(F, R)                                                                      \
    F(R, I64, id)                                                                                  \
    F(R, TEXT, email, .format = USH_EMAIL, .max = 254, .optional = true)                           \
    F(R, TEXT, email_key, .max = 300, .optional = true)                                            \
    F(R, TEXT, name, .max = 120, .optional = true)                                                 \
    F(R, TEXT, role, .choices = ROLE_NAMES, .optional = true)                                      \
    F(R, TEXT, events, .max = 4000, .optional = true, .doc = "[] = the whole fest")                \
    F(R, I64, is_active, .optional = true)                                                         \
    F(R, TEXT, password, .max = 128, .optional = true, .secret = true)                             \
    F(R, I64, is_first)                                                                            \
    F(R, TEXT, actor, .max = 300)
USH_RECORD(user_put, USER_PUT_FIELDS)
/* The key is made here. May suspend. */
int user_store(struct fest *f, struct user_put *in, struct change_result *ret,
               struct ush_arena *arena);

enum { SETUP_TOKEN_CHARS = 39 };
/* The path part of a set-up link that is good until SETUP_MS from now. */
void setup_token_format(const struct keys *k, int64_t now_ms, char out[SETUP_TOKEN_CHARS + 1]);
bool setup_token_fits(const struct keys *k, ush_text t, int64_t now_ms);

/* ---- devices --------------------------------------------------------------------------------- */

#define DEVICE_FIELDS(F, R)                                                                        \
    F(R, I64, id)                                                                                  \
    F(R, TEXT, name, .max = 60)                                                                    \
    F(R, TEXT, events, .max = 4000, .optional = true)                                              \
    F(R, TIME, pair_until)                                                                         \
    F(R, TIME, paired_at, .optional = true)                                                        \
    F(R, TIME, expires_at)                                                                         \
    F(R, TIME, revoked_at, .optional = true)                                                       \
    F(R, TIME, created_at)                                                                         \
    F(R, TIME, seen_at, .optional = true)
USH_RECORD(device, DEVICE_FIELDS)

/* Array of struct device, newest first. May suspend. */
int devices_list(struct fest *f, struct ush_arena *arena, struct ush_rows *ret);

struct device_new {
    ush_text name, events; /* events absent = all */
    int64_t expires_at;
    ush_text actor;
};
/* Stores it; its one-time code goes into the QR code. May suspend. */
int device_add(struct fest *f, const struct device_new *d, char ret_code[SESSION_TOKEN_CHARS + 1],
               struct ush_arena *arena);
/* Uses up the code: a session of the device. USH_ENOTFOUND when it was used or is too old. */
int device_pair(struct fest *f, ush_text code, char ret_token[SESSION_TOKEN_CHARS + 1],
                struct ush_arena *arena);
/* Ends its sessions at once. May suspend. */
int device_revoke(struct fest *f, int64_t id, ush_text actor, struct change_result *ret,
                  struct ush_arena *arena);

#endif
