/*
 * admin.c - usher admin: the people who work for the fest, from the machine that serves.
 *
 * The first owner is made here, or by the link that `admin link` prints; there is no default
 * password. A password is typed without echo, or is the first line of standard input when that is
 * no terminal; it never stands in the list of processes.
 */
#include <sodium.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"
#include "domain/accounts.h"

/* One line, without echo on a terminal. */
static int read_password(char out[PASSWORD_MAX + 2])
{
    struct termios shown, hidden;
    bool asks = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &shown) == 0;
    if (asks) {
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        fputs("Password: ", stderr);
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    }
    bool got = fgets(out, PASSWORD_MAX + 2, stdin) != NULL;
    if (asks) {
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
        fputc('\n', stderr);
    }
    if (!got)
        return cli_usage("a password is expected on standard input");
    out[strcspn(out, "\r\n")] = '\0';
    if (ush_utf8_count(ush_text_of(out)) < PASSWORD_MIN)
        return cli_usage("a password has at least %d characters", PASSWORD_MIN);
    return 0;
}

/* Reads a password into a hash in the arena. 0 or an exit code. */
static int ask_hash(struct cli *cli, ush_text *ret)
{
    char password[PASSWORD_MAX + 2], hash[PASSWORD_HASH_MAX];
    int r = read_password(password);
    if (r)
        return r;
    r = password_hash(ush_text_of(password), hash);
    sodium_memzero(password, sizeof password);
    if (r < 0)
        return cli_fail("there is not enough memory for a password's hash");
    *ret = ush_arena_copy(cli->arena, ush_text_of(hash));
    return 0;
}

static int store(struct cli *cli, struct user_put *put)
{
    struct change_result result;
    put->actor = cli_actor(cli);
    int r = user_store(&cli->fest, put, &result, cli->arena);
    if (r < 0)
        return cli_fail_code(r, "the user cannot be stored");
    if (result.outcome == CHANGE_DUPLICATE)
        return cli_fail("there is a user with this address already");
    if (result.outcome == CHANGE_REFUSED)
        return cli_fail("%.*s", USH_PR(result.text));
    cli_say(cli, "done");
    if (cli->json)
        printf("{\"done\":true}\n");
    return CLI_OK;
}

static int create(struct cli *cli)
{
    const char *name = cli_option(cli, "name"), *role = cli_option(cli, "role");
    struct ush_field field = {.name = "email", .type = USH_TYPE_TEXT, .format = USH_EMAIL};
    struct ush_fault fault;
    struct user_put put = {.role = ush_text_of(role ? role : "owner")};
    if (ush_text_clean(ush_text_of(cli->arguments[0]), &field, cli->arena, &put.email, &fault) < 0)
        return cli_usage("\"%s\" is no address", cli->arguments[0]);
    enum role r = role_of(put.role);
    if (!r || r == ROLE_DEVICE)
        return cli_usage("--role is one of " ROLE_NAMES);
    put.name = name ? ush_text_of(name) : put.email;
    int code = ask_hash(cli, &put.password);
    return code ? code : store(cli, &put);
}

static int find_user(struct cli *cli, struct user_put *put)
{
    struct user u;
    int r = user_by_email(&cli->fest, ush_text_of(cli->arguments[0]), cli->arena, &u);
    if (r < 0)
        return r == USH_ENOTFOUND ? cli_fail("there is no user \"%s\"", cli->arguments[0])
                                  : cli_fail_code(r, "the users cannot be read");
    put->id = u.id;
    return 0;
}

static int passwd(struct cli *cli)
{
    struct user_put put = {0};
    int code = find_user(cli, &put);
    if (code == 0)
        code = ask_hash(cli, &put.password);
    return code ? code : store(cli, &put);
}

static int disable(struct cli *cli)
{
    struct user_put put = {.is_active = 0};
    USH_SET(&put, user_put_is_active);
    int code = find_user(cli, &put);
    return code ? code : store(cli, &put);
}

static int list(struct cli *cli)
{
    struct ush_rows users;
    USH_TRY(users_list(&cli->fest, cli->arena, &users));
    cli_print_rows(cli, &user_record, &users);
    return CLI_OK;
}

static int link_out(struct cli *cli)
{
    struct ush_rows users;
    char token[SETUP_TOKEN_CHARS + 1];
    USH_TRY(users_list(&cli->fest, cli->arena, &users));
    if (users.count)
        return cli_fail("there are users already; usher admin passwd sets a new password");
    setup_token_format(&cli->fest.keys, ush_wall_ms(), token);
    printf(cli->json ? "{\"url\":\"%s/admin/setup/%s\"}\n" : "%s/admin/setup/%s\n",
           cli->settings.base_url, token);
    return CLI_OK;
}

const struct cli_command cli_admin_commands[] = {
    {.name = "admin create",
     .arguments = "EMAIL",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "make a user who may log in at /admin",
     .help = "Makes a user; the password is asked for, or read from standard input.\n\n"
             "  usher admin create asha@school.example --name \"Asha Rao\" --role organiser",
     .options = {{"name", "NAME", "shown to others; default the address"},
                 {"role", "ROLE", ROLE_NAMES "; default owner"}},
     .needs_db = true,
     .run = create},
    {.name = "admin passwd",
     .arguments = "EMAIL",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "set a new password",
     .help = "Sets a new password and ends the user's sessions.",
     .needs_db = true,
     .run = passwd},
    {.name = "admin disable",
     .arguments = "EMAIL",
     .min_arguments = 1,
     .max_arguments = 1,
     .summary = "switch a user off",
     .help = "The user cannot log in any more, and running sessions end. The last owner stays.",
     .needs_db = true,
     .run = disable},
    {.name = "admin list",
     .summary = "list the users",
     .help = "Lists address, name, role and state of every user.",
     .needs_db = true,
     .run = list},
    {.name = "admin link",
     .summary = "print a link that makes the first owner",
     .help = "The link works for half an hour, from this machine, while there is no user.",
     .needs_db = true,
     .run = link_out},
    {0}};
