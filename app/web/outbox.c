/*
 * outbox.c - the mails that were written to files, for trying things out.
 *
 * With the default USHER_MAIL_URL=file:outbox no mail leaves the machine; this shows what would
 * have. Mails hold private links, so only a browser on this machine sees them. Files are read in
 * a thread of the pool.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "web/access.h"
#include "web/handlers.h"
#include "web/pages.h"

enum { LINES_MAX = 200, HEAD_BYTES = 4096, MAIL_BYTES_MAX = 512 << 10, NAME_MAX_ = 200 };

static const char *folder_of(struct ush_request *rq)
{
    const char *folder = settings_outbox(web_of(rq)->settings);
    return is_operator(rq) && !ush_text_equal(rq->client, USH_T("unix")) ? folder : NULL;
}

static int hidden(struct ush_request *rq)
{
    return ush_problem(rq, &ush_problem_not_found,
                       "There is no outbox here: mail is sent, or you are not on this machine.");
}

/* The first `limit` bytes of a file in the arena; USH_NONE when it cannot be read. */
static ush_text read_file(struct ush_arena *arena, const char *folder, const char *name,
                          size_t limit)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *at = fd >= 0 ? ush_arena_alloc(arena, limit) : NULL;
    ssize_t n = at ? read(fd, at, limit) : -1;
    if (fd >= 0)
        close(fd);
    return n < 0 ? USH_NONE : (ush_text){at, (size_t)n};
}

/* A header field of a mail's head, without unfolding. */
static ush_text field_of(ush_text mail, ush_text name)
{
    while (mail.len > 0) {
        ush_text line = ush_text_trim(ush_text_cut(&mail, '\n'));
        if (line.len == 0)
            break;
        if (line.len > name.len && line.at[name.len] == ':' &&
            ush_text_equal_nocase((ush_text){line.at, name.len}, name))
            return ush_text_trim((ush_text){line.at + name.len + 1, line.len - name.len - 1});
    }
    return USH_T("");
}

struct found {
    char name[NAME_MAX_];
    struct timespec at;
    int64_t size;
};

static int newest_first(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->at.tv_sec != y->at.tv_sec)
        return x->at.tv_sec < y->at.tv_sec ? 1 : -1;
    return x->at.tv_nsec < y->at.tv_nsec ? 1 : x->at.tv_nsec > y->at.tv_nsec ? -1 : 0;
}

/* The newest LINES_MAX mails of the folder, into found[2 * LINES_MAX]. */
static size_t scan(const char *folder, struct found *found)
{
    DIR *d = opendir(folder);
    size_t n = 0;
    for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
        struct stat st;
        if (!ush_text_ends(ush_text_of(e->d_name), USH_T(".eml")) ||
            strlen(e->d_name) >= NAME_MAX_ ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        memcpy(found[n].name, e->d_name, strlen(e->d_name) + 1);
        found[n].at = st.st_mtim;
        found[n++].size = st.st_size;
        if (n == 2 * LINES_MAX) {
            qsort(found, n, sizeof *found, newest_first);
            n = LINES_MAX;
        }
    }
    if (d)
        closedir(d);
    qsort(found, n, sizeof *found, newest_first);
    return n < LINES_MAX ? n : LINES_MAX;
}

int web_outbox(struct ush_request *rq)
{
    const char *folder = folder_of(rq);
    if (!folder)
        return hidden(rq);
    struct found *found = calloc(2 * LINES_MAX, sizeof *found);
    struct outbox_line *lines = USH_NEW_N(rq->arena, struct outbox_line, LINES_MAX);
    size_t n = found && lines ? scan(folder, found) : 0, shown = 0;
    for (size_t i = 0; i < n; i++) {
        struct ush_arena_mark mark = ush_arena_mark(rq->arena);
        ush_text head = read_file(rq->arena, folder, found[i].name, HEAD_BYTES);
        char to[256], subject[512];
        snprintf(to, sizeof to, "%.*s", USH_PR(field_of(head, USH_T("To"))));
        snprintf(subject, sizeof subject, "%.*s", USH_PR(field_of(head, USH_T("Subject"))));
        ush_arena_rewind(rq->arena, mark);
        lines[shown++] =
            (struct outbox_line){.file = ush_arena_copy(rq->arena, ush_text_of(found[i].name)),
                                 .to = ush_arena_copy(rq->arena, ush_text_of(to)),
                                 .subject = ush_arena_copy(rq->arena, ush_text_of(subject)),
                                 .size = found[i].size};
    }
    free(found);
    return reply_outbox(rq, lines, shown);
}

int web_outbox_mail(struct ush_request *rq)
{
    const char *folder = folder_of(rq);
    ush_text file = ush_param(rq, "file");
    if (!folder || !ush_text_ends(file, USH_T(".eml")) || ush_text_find(file, '/') >= 0 ||
        file.at[0] == '.' || file.len >= NAME_MAX_)
        return hidden(rq);
    ush_text name = ush_arena_copy(rq->arena, file);
    ush_text mail = name.at ? read_file(rq->arena, folder, name.at, MAIL_BYTES_MAX) : USH_NONE;
    if (!mail.at)
        return ush_problem(rq, &ush_problem_not_found, "There is no such mail.");
    return ush_reply(rq, 200, "text/plain; charset=utf-8", mail);
}
