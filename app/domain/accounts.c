/*
 * accounts.c - users, sessions and devices: three small operations and the reads beside them.
 *
 * Invariants:
 *  1. No token, code or password is stored or sent to the writer: only keyed hashes of random bits,
 *     and argon2id of passwords, made before the operation.
 *  2. There is always an active owner of the whole fest once there was one: changes of users
 *     take turns, so what one has counted stays true until it is stored.
 *  3. Whatever takes rights away ends the sessions in the same transaction: password, role, events
 *     and switching off a user, revoking a device. A login whose password was checked before that
 *     is refused behind it: it hands in the hash that fitted, which has to be the user's still.
 *  4. A one-time code becomes NULL by the statement that uses it, so it works once.
 *  5. What is run again because its answer was lost knows itself by random bits that were made
 *     before: a new user by the hash of the password, a session by its token, a device by its code.
 *     A change of a user that changes nothing more does nothing, so sessions end once.
 */
#include "domain/accounts.h"

#include <sodium.h>
#include <stdio.h>

#include "domain/places.h"
#include "gen/sql.h"

enum { TOKEN_BYTES = 32, TOUCH_EVERY_MS = 5 * 60 * 1000 };

USH_RECORD_DEFINE(account, ACCOUNT_FIELDS)
USH_RECORD_DEFINE(user, USER_FIELDS)
USH_RECORD_DEFINE(user_put, USER_PUT_FIELDS)
USH_RECORD_DEFINE(device, DEVICE_FIELDS)

/* Opens, pairs, touches or ends. */
#define SESSION_FIELDS(F, R)                                                                       \
    F(R, TEXT, what, .choices = "open|pair|touch|close")                                           \
    F(R, BYTES, token_key, .max = 16)                                                              \
    F(R, BYTES, other_key, .max = 16, .optional = true, .doc = "The old token, or the pair code")  \
    F(R, I64, user)                                                                                \
    F(R, TEXT, password, .max = 128, .optional = true, .secret = true,                             \
      .doc = "The hash that fitted")
USH_RECORD(session_change, SESSION_FIELDS)
USH_RECORD_DEFINE(session_change, SESSION_FIELDS)

#define DEVICE_CHANGE_FIELDS(F, R)                                                                 \
    F(R, I64, id, .doc = "0 = a new one; else it is revoked")                                      \
    F(R, TEXT, name, .max = 60, .optional = true)                                                  \
    F(R, TEXT, events, .max = 4000, .optional = true)                                              \
    F(R, BYTES, pair_key, .max = 16, .optional = true)                                             \
    F(R, TIME, expires_at)                                                                         \
    F(R, TEXT, actor, .max = 300)
USH_RECORD(device_change, DEVICE_CHANGE_FIELDS)
USH_RECORD_DEFINE(device_change, DEVICE_CHANGE_FIELDS)

/* ---- small parts ----------------------------------------------------------------------------- */

enum role role_of(ush_text name)
{
    static const struct {
        const char *name;
        enum role role;
    } roles[] = {{"owner", ROLE_OWNER},
                 {"organiser", ROLE_ORGANISER},
                 {"desk", ROLE_DESK},
                 {"viewer", ROLE_VIEWER},
                 {"device", ROLE_DEVICE}};
    for (size_t i = 0; i < USH_COUNT(roles); i++)
        if (ush_text_equal(name, ush_text_of(roles[i].name)))
            return roles[i].role;
    return 0;
}

int password_hash(ush_text password, char out[PASSWORD_HASH_MAX])
{
    static_assert(PASSWORD_HASH_MAX >= crypto_pwhash_STRBYTES, "libsodium's own size");
    return crypto_pwhash_str(out, password.at, password.len, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                             crypto_pwhash_MEMLIMIT_INTERACTIVE) < 0
               ? -ENOMEM
               : 0;
}

bool password_fits(ush_text password, ush_text hash)
{
    char text[PASSWORD_HASH_MAX] = {0};
    if (!hash.len || hash.len >= sizeof text) {
        password_hash(password, text);
        return false;
    }
    memcpy(text, hash.at, hash.len);
    return crypto_pwhash_str_verify(text, password.at, password.len) == 0;
}

bool events_allow(ush_text events, int64_t event)
{
    int64_t id;
    if (!events.at)
        return true;
    if (events.len < 2)
        return false;
    for (ush_text rest = {events.at + 1, events.len - 2}; rest.at;)
        if (ush_text_i64(ush_text_trim(ush_text_cut(&rest, ',')), &id) == 0 && id == event)
            return true;
    return false;
}

ush_text account_actor(const struct account *a, struct ush_arena *arena)
{
    return ush_arena_printf(arena, "%s:%.*s", USH_HAS(a, account_device_id) ? "device" : "user",
                            USH_PR(a->name));
}

static ush_text hash_of(const struct fest *f, enum hash_use use, ush_text t, uint8_t out[KEY_BYTES])
{
    keys_hash(&f->keys, use, 0, &t, 1, out);
    return (ush_text){(const char *)out, KEY_BYTES};
}

static void new_token(char out[SESSION_TOKEN_CHARS + 1])
{
    uint8_t bytes[TOKEN_BYTES];
    ush_random(bytes, sizeof bytes);
    ush_base32_format(bytes, sizeof bytes, out);
    sodium_memzero(bytes, sizeof bytes);
}

/* ---- sessions -------------------------------------------------------------------------------- */

int session_read(struct fest *f, ush_text token, struct ush_arena *arena, struct account *ret)
{
    uint8_t key[KEY_BYTES];
    int64_t now = ush_wall_ms();
    if (token.len != SESSION_TOKEN_CHARS)
        return USH_ENOTFOUND;
    const struct ush_value values[] = {USH_BYTES(hash_of(f, HASH_SESSION, token, key)), USH_V(now),
                                       USH_V(now - SESSION_IDLE_MS)};
    const struct asking r = {
        &sql_session_one, &account_record, values, USH_COUNT(values), arena, ret, NULL};
    return rows_read(f->db, &r);
}

static int pair(struct ush_tx *tx, const struct session_change *in, struct change_result *out)
{
    struct device d;
    int found = ush_one(tx, &sql_device_by_code, &device_record, &d,
                        USH_VALUES(USH_BYTES(in->other_key), tx->now_ms));
    USH_TRY(found);
    int paired =
        found ? ush_exec(tx, &sql_device_pair, USH_VALUES(USH_BYTES(in->other_key), tx->now_ms))
              : 0;
    USH_TRY(paired);
    out->outcome = paired ? CHANGE_DONE : CHANGE_NOT_FOUND;
    if (!paired) {
        struct account same; /* the phone that was faster may be this one */
        int before = ush_one(tx, &sql_session_one, &account_record, &same,
                             USH_VALUES(USH_BYTES(in->token_key), tx->now_ms, 0));
        out->outcome = before > 0 ? CHANGE_DONE : CHANGE_NOT_FOUND;
        return before < 0 ? before : 0;
    }
    USH_TRY(
        ush_exec(tx, &sql_session_insert,
                 USH_VALUES(USH_BYTES(in->token_key), USH_NULL, d.id, tx->now_ms, d.expires_at)));
    return audit(tx, &(struct audit_entry){USH_T("device"), "device_pair", 0, 0, d.name});
}

static int session_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct session_change *in = input;
    struct change_result *out = output;
    out->outcome = CHANGE_DONE;
    if (ush_text_equal(in->what, USH_T("pair")))
        return pair(tx, in, out);
    if (ush_text_equal(in->what, USH_T("touch"))) {
        int n = ush_exec(tx, &sql_session_touch, USH_VALUES(USH_BYTES(in->token_key), tx->now_ms));
        return n < 0 ? n : 0;
    }
    bool opens = ush_text_equal(in->what, USH_T("open"));
    int64_t user = 0; /* locked before any session, as by whoever changes users */
    if (opens)
        USH_TRY(number_read(tx, &sql_user_as_read, &user, USH_VALUES(in->user, in->password)));
    if (opens && !user) {
        out->outcome = CHANGE_NOT_FOUND;
        return 0;
    }
    ush_text ends = opens ? in->other_key : in->token_key;
    USH_TRY(ush_exec(tx, &sql_session_end, USH_VALUES(USH_BYTES(ends), tx->now_ms)));
    if (!opens)
        return 0;
    int n = ush_exec(
        tx, &sql_session_insert,
        USH_VALUES(USH_BYTES(in->token_key), user, USH_NULL, tx->now_ms, tx->now_ms + SESSION_MS));
    return n < 0 ? n : 0;
}

const struct ush_operation op_session = {
    .name = "session",
    .in = &session_change_record,
    .out = &change_result_record,
    .run = session_run,
};

/* `user` is NULL but for opening one. */
static int session_change(struct fest *f, const char *what, const struct user *user, ush_text token,
                          ush_text other, struct ush_arena *arena)
{
    uint8_t key[KEY_BYTES], second[KEY_BYTES];
    struct change_result result;
    struct session_change in = {.what = ush_text_of(what)};
    if (user) {
        in.user = user->id;
        in.password = user->password;
    }
    in.token_key = hash_of(f, HASH_SESSION, token, key);
    bool pairs = !strcmp(what, "pair");
    in.other_key = hash_of(f, pairs ? HASH_PAIR : HASH_SESSION, other, second);
    USH_TRY(fest_store(f, &op_session, &in, &result, arena));
    return result.outcome == CHANGE_DONE ? 0 : USH_ENOTFOUND;
}

int session_open(struct fest *f, const struct user *user, ush_text old, char ret_token[],
                 struct ush_arena *arena)
{
    new_token(ret_token);
    return session_change(f, "open", user, ush_text_of(ret_token), old, arena);
}

int session_close(struct fest *f, ush_text token, struct ush_arena *arena)
{
    return session_change(f, "close", NULL, token, USH_NONE, arena);
}

int session_touch(struct fest *f, ush_text token, const struct account *a, struct ush_arena *arena)
{
    if (ush_wall_ms() - a->seen_at < TOUCH_EVERY_MS)
        return 0;
    return session_change(f, "touch", NULL, token, USH_NONE, arena);
}

/* ---- users ----------------------------------------------------------------------------------- */

static int count_users(struct ush_tx *view, void *ret)
{
    return number_read(view, &sql_users_count, ret, USH_NO_VALUES);
}

int users_exist(struct ush_db *db)
{
    int64_t users = 0;
    USH_TRY(ush_read(db, count_users, &users));
    return users > 0;
}

int users_list(struct fest *f, struct ush_arena *arena, struct ush_rows *ret)
{
    const struct asking r = {&sql_users_all, &user_record, NULL, 0, arena, NULL, ret};
    return rows_read(f->db, &r);
}

static ush_text key_of(ush_text email, struct ush_arena *arena)
{
    return ush_email_key(email, &(struct ush_email_options){0}, arena);
}

int user_by_email(struct fest *f, ush_text email, struct ush_arena *arena, struct user *ret)
{
    const struct ush_value values[] = {USH_V(key_of(email, arena))};
    const struct asking r = {&sql_user_by_email, &user_record, values, 1, arena, ret, NULL};
    return rows_read(f->db, &r);
}

/* The stored events of what was asked for: an empty list is the whole fest. */
static ush_text events_stored(ush_text asked, ush_text old)
{
    return !asked.at ? old : ush_text_equal(asked, USH_T("[]")) ? USH_NONE : asked;
}

static int refuse(struct change_result *out, const char *why)
{
    out->outcome = CHANGE_REFUSED;
    out->text = ush_text_of(why);
    return 0;
}

static int add_user(struct ush_tx *tx, const struct user_put *in, struct change_result *out)
{
    struct user old;
    int64_t users = 0;
    USH_TRY(number_read(tx, &sql_users_count, &users, USH_NO_VALUES));
    int found = ush_one(tx, &sql_user_by_email, &user_record, &old, USH_VALUES(in->email_key));
    USH_TRY(found);
    bool is_ours = found && ush_text_equal(old.password, in->password);
    if (in->is_first && users > 0 && !is_ours)
        return refuse(out, "There are users already. An owner can add others.");
    out->outcome = found && !is_ours ? CHANGE_DUPLICATE : CHANGE_DONE;
    if (found)
        return 0;
    USH_TRY(ush_exec(tx, &sql_user_insert,
                     USH_VALUES(in->email, in->email_key, in->name, in->role,
                                events_stored(in->events, USH_NONE), in->password, tx->now_ms)));
    return audit(tx, &(struct audit_entry){in->actor, "user_add", 0, 0,
                                           ush_arena_printf(tx->arena, "%.*s: %.*s",
                                                            USH_PR(in->email), USH_PR(in->role))});
}

/* An owner of some events cannot make users. */
static bool may_all(ush_text role, ush_text events, int64_t is_active)
{
    return is_active && !events.at && ush_text_equal(role, USH_T("owner"));
}

static int change_user(struct ush_tx *tx, const struct user_put *in, struct change_result *out)
{
    struct user u;
    int64_t owners = 0;
    int found = ush_one(tx, &sql_user_one, &user_record, &u, USH_VALUES(in->id));
    USH_TRY(found);
    out->outcome = found ? CHANGE_DONE : CHANGE_NOT_FOUND;
    if (!found)
        return 0;
    int64_t is_active = USH_HAS(in, user_put_is_active) ? in->is_active : u.is_active;
    ush_text role = in->role.at ? in->role : u.role, events = events_stored(in->events, u.events);
    ush_text name = in->name.at ? in->name : u.name;
    ush_text password = in->password.at ? in->password : u.password;
    if (ush_text_equal(name, u.name) && ush_text_equal(role, u.role) && is_active == u.is_active &&
        ush_text_equal(password, u.password) && !events.at == !u.events.at &&
        ush_text_equal(events, u.events))
        return 0; /* it is so, perhaps by this very change: its answer was lost */
    USH_TRY(number_read(tx, &sql_owners_other, &owners, USH_VALUES(in->id)));
    if (!owners && may_all(u.role, u.events, u.is_active) && !may_all(role, events, is_active))
        return refuse(out, "Nobody would be left who may do everything. Make another owner first.");
    USH_TRY(ush_exec(tx, &sql_user_update,
                     USH_VALUES(in->id, name, role, events, password, is_active, tx->now_ms)));
    USH_TRY(ush_exec(tx, &sql_sessions_end_user, USH_VALUES(in->id)));
    return audit(
        tx, &(struct audit_entry){in->actor, "user_change", 0, 0,
                                  ush_arena_printf(tx->arena, "%.*s: %.*s%s%s", USH_PR(u.email),
                                                   USH_PR(role), is_active ? "" : ", switched off",
                                                   in->password.at ? ", new password" : "")});
}

static int user_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct user_put *in = input;
    int64_t turn;
    USH_TRY(number_read(tx, &sql_users_turn, &turn, USH_NO_VALUES));
    return in->id ? change_user(tx, in, output) : add_user(tx, in, output);
}

const struct ush_operation op_user_put = {
    .name = "user_put",
    .in = &user_put_record,
    .out = &change_result_record,
    .run = user_run,
};

int user_store(struct fest *f, struct user_put *in, struct change_result *ret,
               struct ush_arena *arena)
{
    if (in->email.at)
        in->email_key = key_of(in->email, arena);
    return ush_change(f->db, &op_user_put, in, ret, arena);
}

/* Until when, and a MAC over that. */
static void setup_token(const struct keys *k, int64_t until_ms, char out[SETUP_TOKEN_CHARS + 1])
{
    uint8_t bytes[8 + KEY_BYTES];
    memcpy(bytes, &until_ms, 8);
    keys_hash(k, HASH_SETUP, until_ms, NULL, 0, bytes + 8);
    ush_base32_format(bytes, sizeof bytes, out);
}

void setup_token_format(const struct keys *k, int64_t now_ms, char out[SETUP_TOKEN_CHARS + 1])
{
    setup_token(k, now_ms + SETUP_MS, out);
}

bool setup_token_fits(const struct keys *k, ush_text t, int64_t now_ms)
{
    uint8_t bytes[8 + KEY_BYTES];
    char right[SETUP_TOKEN_CHARS + 1];
    int64_t until_ms;
    if (t.len != SETUP_TOKEN_CHARS || ush_base32_parse(t, bytes, sizeof bytes) < 0)
        return false;
    memcpy(&until_ms, bytes, 8);
    setup_token(k, until_ms, right);
    return sodium_memcmp(right, t.at, SETUP_TOKEN_CHARS) == 0 && now_ms < until_ms;
}

/* ---- devices --------------------------------------------------------------------------------- */

int devices_list(struct fest *f, struct ush_arena *arena, struct ush_rows *ret)
{
    const struct asking r = {&sql_devices_all, &device_record, NULL, 0, arena, NULL, ret};
    return rows_read(f->db, &r);
}

static int device_run(struct ush_tx *tx, const void *input, void *output)
{
    const struct device_change *in = input;
    struct change_result *out = output;
    out->outcome = CHANGE_DONE;
    if (!in->id) {
        int made = ush_exec(tx, &sql_device_insert,
                            USH_VALUES(in->name, in->events, USH_BYTES(in->pair_key),
                                       tx->now_ms + PAIR_MS, in->expires_at, tx->now_ms));
        if (made <= 0)
            return made;
        return audit(tx, &(struct audit_entry){in->actor, "device_add", 0, 0, in->name});
    }
    int n = ush_exec(tx, &sql_device_revoke, USH_VALUES(in->id, tx->now_ms));
    USH_TRY(n);
    out->outcome = n ? CHANGE_DONE : CHANGE_NOTHING;
    if (!n)
        return 0;
    USH_TRY(ush_exec(tx, &sql_sessions_end_device, USH_VALUES(in->id)));
    return audit(
        tx, &(struct audit_entry){in->actor, "device_revoke", 0, 0,
                                  ush_arena_printf(tx->arena, "device %lld", (long long)in->id)});
}

const struct ush_operation op_device = {
    .name = "device",
    .in = &device_change_record,
    .out = &change_result_record,
    .run = device_run,
};

int device_add(struct fest *f, const struct device_new *d, char ret_code[SESSION_TOKEN_CHARS + 1],
               struct ush_arena *arena)
{
    uint8_t key[KEY_BYTES];
    struct change_result result;
    new_token(ret_code);
    const struct device_change in = {.name = d->name,
                                     .events = d->events,
                                     .pair_key = hash_of(f, HASH_PAIR, ush_text_of(ret_code), key),
                                     .expires_at = d->expires_at,
                                     .actor = d->actor};
    return ush_change(f->db, &op_device, &in, &result, arena);
}

int device_pair(struct fest *f, ush_text code, char ret_token[SESSION_TOKEN_CHARS + 1],
                struct ush_arena *arena)
{
    new_token(ret_token);
    return session_change(f, "pair", NULL, ush_text_of(ret_token), code, arena);
}

int device_revoke(struct fest *f, int64_t id, ush_text actor, struct change_result *ret,
                  struct ush_arena *arena)
{
    const struct device_change in = {.id = id, .actor = actor};
    return ush_change(f->db, &op_device, &in, ret, arena);
}
