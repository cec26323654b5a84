/*
 * faulty_vfs.h - SQLite's own way to the disk, with faults on demand: as the default VFS of the
 * process that installs it. The switches lie in memory shared over fork.
 */
#ifndef TESTS_SQL_FAULTY_VFS_H
#define TESTS_SQL_FAULTY_VFS_H

#include <check.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

struct faulty {
    _Atomic bool fails_sync;
    _Atomic int syncs; /* that went well */
};
static struct faulty *faulty;

static sqlite3_vfs faulty_vfs;
/* SQLite has a table of methods for each kind of file; ours differ from it in xSync alone. */
static struct faulty_methods {
    const sqlite3_io_methods *real;
    sqlite3_io_methods ours;
} faulty_methods[4];

static int faulty_sync(sqlite3_file *file, int flags)
{
    if (faulty->fails_sync)
        return SQLITE_IOERR_FSYNC;
    faulty->syncs++;
    return ((const struct faulty_methods *)((const char *)file->pMethods -
                                            offsetof(struct faulty_methods, ours)))
        ->real->xSync(file, flags);
}

static int faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags,
                       int *ret_flags)
{
    sqlite3_vfs *real = vfs->pAppData;
    int rc = real->xOpen(real, name, file, flags, ret_flags);
    if (rc != SQLITE_OK || !file->pMethods)
        return rc;
    struct faulty_methods *m = faulty_methods;
    while (m->real && m->real != file->pMethods)
        m++;
    if (!m->real) {
        m->real = file->pMethods;
        m->ours = *file->pMethods;
        m->ours.xSync = faulty_sync;
    }
    file->pMethods = &m->ours;
    return rc;
}

static inline void faulty_vfs_prepare(void)
{
    faulty = mmap(NULL, sizeof *faulty, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(faulty, MAP_FAILED);
}

static inline void faulty_vfs_install(void)
{
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    faulty_vfs = *real;
    faulty_vfs.zName = "faulty";
    faulty_vfs.pAppData = real;
    faulty_vfs.xOpen = faulty_open;
    ck_assert_int_eq(sqlite3_vfs_register(&faulty_vfs, 1), SQLITE_OK);
}

#endif
