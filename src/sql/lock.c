/*
 * lock.c - the files beside an SQLite database, and who may commit to it.
 *
 *     usher.db          the database
 *     usher.db-wal      SQLite's write-ahead log, its index in usher.db-shm
 *     usher.db-lock     locked by the process that commits; holds its process id as text
 *     usher.db-writer   Unix socket of the server's writer process
 *
 *  1. At most one process commits and checkpoints, because at most one holds an exclusive flock(2)
 *     on the lock file. SQLite before 3.51.3 can damage a database when one connection resets the
 *     write-ahead log while another checkpoints it; with one such connection that cannot happen.
 *  2. The kernel gives the lock back when its holder ends, however it ends, so there is no stale
 *     lock to clean up. The file stays; its content is for messages only.
 *  3. flock and SQLite's shared memory work between processes of one host. On a file system shared
 *     by hosts they promise nothing, so such a one is refused.
 *
 * The lock file is a file of its own because closing any descriptor of the database file would
 * drop the locks that SQLite holds on it in this process (fcntl(2)).
 */
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "sql/sql.h"

const char *ush__sqlite_path(const char *url)
{
    const char *path = url + strlen(ush__sqlite.scheme);
    return strcmp(path, ":memory:") == 0 ? NULL : path;
}

bool ush__is_remote(long f_type)
{
    static const uint32_t remote[] = {
        0x6969,     /* NFS */
        0x517b,     /* SMB */
        0xff534d42, /* CIFS */
        0xfe534d42, /* SMB2 */
        0x01021997, /* 9P */
        0x5346414f, /* AFS */
        0x73757245, /* Coda */
        0x00c36400, /* Ceph */
        0x0bd00bd0, /* Lustre */
        0x47504653, /* GPFS */
    };
    for (size_t i = 0; i < USH_COUNT(remote); i++) {
        if ((uint32_t)f_type == remote[i])
            return true;
    }
    return false;
}

int ush__refuse_remote(const char *path)
{
    char copy[USH__PATH_MAX];
    if ((size_t)snprintf(copy, sizeof copy, "%s", path) >= sizeof copy)
        return -ENAMETOOLONG;
    struct statfs fs;
    if (statfs(dirname(copy), &fs) < 0)
        return -errno;
    if (!ush__is_remote(fs.f_type))
        return 0;
    ush_error("database.remote",
              "%s lies on a network file system, where locks are not reliable: move it to a local "
              "disk, or use PostgreSQL",
              path);
    return -EREMOTE;
}

static int holder_of(int fd)
{
    char text[16] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    int64_t pid;
    ush_text digits = ush_text_trim((ush_text){text, n > 0 ? (size_t)n : 0});
    return ush_text_i64(digits, &pid) == 0 && pid > 0 && pid <= INT32_MAX ? (int)pid : 0;
}

int ush__lock_take(const char *url, int *ret_holder)
{
    char path[USH__PATH_MAX];
    if ((size_t)snprintf(path, sizeof path, "%s-lock", ush__sqlite_path(url)) >= sizeof path)
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = -errno;
        *ret_holder = holder_of(fd);
        close(fd);
        return error;
    }
    char text[16];
    int n = snprintf(text, sizeof text, "%d\n", getpid());
    /* On a full disk the lock holds all the same; only a message misses the number. */
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)n, 0) < 0)
        ush_debug("database.lock", "cannot write %s", path);
    return fd;
}

int ush_writer_socket(const char *url, char out[108])
{
    const char *path = ush__sqlite_path(url);
    if (!path)
        return USH_EINVAL;
    enum { ROOM = sizeof(((struct sockaddr_un *)0)->sun_path) };
    static_assert(ROOM == 108, "the size that the header promises");
    return snprintf(out, ROOM, "%s-writer", path) < ROOM ? 0 : -ENAMETOOLONG;
}
