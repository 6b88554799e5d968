/* SPDX-License-Identifier: MIT */
#include "base/private_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"

enum { OTHERS_WRITE = S_IWGRP | S_IWOTH };

/* ---- folders ---- */

static unseen_status fail_reach(unseen_error *error, const char *path, const char *what) {
    return us_fail(error, UNSEEN_FAILURE, "%s: %s: %s", path, what, strerror(errno));
}

static unseen_status check_owner(const char *path, const struct stat *about, unseen_error *error) {
    if (about->st_uid == geteuid()) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s belongs to another user (number %lu, and this process runs as number %lu)",
                   path, (unsigned long)about->st_uid, (unsigned long)geteuid());
}

/* `ours` is a folder that only unseen makes: where it belongs to us, others lose their right to
 * write to it. What they left there has another owner. */
static unseen_status check_folder(int descriptor, const char *path, bool ours,
                                  unseen_error *error) {
    struct stat about;
    if (fstat(descriptor, &about) != 0) return fail_reach(error, path, "cannot inspect");
    US_TRY(check_owner(path, &about, error));
    if (!(about.st_mode & OTHERS_WRITE)) return UNSEEN_OK;
    if (ours && fchmod(descriptor, about.st_mode & 07777 & ~(mode_t)OTHERS_WRITE) == 0)
        return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s may be written to by other users (mode %04o): `chmod go-w` ends that", path,
                   (unsigned)about.st_mode & 07777);
}

static unseen_status fail_open(const char *path, int parent, const char *name,
                               unseen_error *error) {
    int code = errno;
    struct stat about;
    if ((code == ENOTDIR || code == ELOOP) &&
        fstatat(parent, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(about.st_mode))
        return us_fail(error, UNSEEN_BAD_INPUT, "%s is %s, not a folder", path,
                       S_ISLNK(about.st_mode) ? "a link" : "a file");
    errno = code;
    return fail_reach(error, path, "cannot open");
}

static unseen_status open_folder(int parent, const char *name, const char *path, int flags,
                                 bool ours, us_private_folder *folder, unseen_error *error) {
    *folder = (us_private_folder){.descriptor = -1};
    int descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    if (descriptor < 0) return fail_open(path, parent, name, error);
    unseen_status status = check_folder(descriptor, path, ours, error);
    if (status == UNSEEN_OK && !(folder->path = strdup(path)))
        status = us_fail_memory(error, "a path");
    if (status == UNSEEN_OK)
        folder->descriptor = descriptor;
    else
        close(descriptor);
    return status;
}

/* Makes what is absent of a path. Whether that served shows when it is opened. */
static void make_folders(const char *path) {
    char *prefix = strdup(path);
    for (char *slash = prefix ? strchr(prefix + 1, '/') : NULL; slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(prefix, 0700);
        *slash = '/';
    }
    if (prefix) mkdir(prefix, 0700);
    free(prefix);
}

void us_private_close(us_private_folder *folder) {
    if (folder->path && folder->descriptor >= 0) close(folder->descriptor);
    free(folder->path);
    *folder = (us_private_folder){.descriptor = -1};
}

/* A user may name a link, or lend a folder for a cache; the default one is ours. */
static unseen_status open_base(const char *path, bool named, bool create, us_private_folder *folder,
                               unseen_error *error) {
    if (create) make_folders(path);
    return open_folder(AT_FDCWD, path, path, named ? 0 : O_NOFOLLOW, !named, folder, error);
}

static unseen_status enter(const us_private_folder *parent, const char *name, bool create,
                           us_private_folder *folder, unseen_error *error) {
    *folder = (us_private_folder){.descriptor = -1};
    char *path = us_path_join(parent->path, name);
    if (!path) return us_fail_memory(error, "a path");
    if (create) mkdirat(parent->descriptor, name, 0700);
    unseen_status status =
        open_folder(parent->descriptor, name, path, O_NOFOLLOW, true, folder, error);
    free(path);
    return status;
}

unseen_status us_private_below(const us_private_folder *parent, const char *name,
                               us_private_folder *folder, unseen_error *error) {
    return enter(parent, name, true, folder, error);
}

/* The base, and a folder in it where a name is given. */
static unseen_status open_below(const char *path, bool named, const char *name, bool create,
                                us_private_folder *folder, unseen_error *error) {
    us_private_folder base;
    US_TRY(open_base(path, named, create, name ? &base : folder, error));
    if (!name) return UNSEEN_OK;
    unseen_status status = enter(&base, name, create, folder, error);
    us_private_close(&base);
    return status;
}

unseen_status us_private_cache(const char *name, bool create, us_private_folder *folder,
                               unseen_error *error) {
    *folder = (us_private_folder){.descriptor = -1};
    const char *own = getenv("UNSEEN_CACHE_DIR");
    char *path = us_cache_folder();
    if (!path)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "there is no folder for caches: set UNSEEN_CACHE_DIR");
    unseen_status status = open_below(path, own && *own, name, create, folder, error);
    free(path);
    return status;
}

static bool allows_code(const us_private_folder *folder) {
    struct statvfs about;
    return fstatvfs(folder->descriptor, &about) != 0 || !(about.f_flag & ST_NOEXEC);
}

/* The folders besides the cache; NULL: not known. Heap. */
static char *other_place(int which) {
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char *path = NULL;
    if (which == 0) return runtime && *runtime == '/' ? us_path_join(runtime, "unseen") : NULL;
    return asprintf(&path, "/tmp/unseen-%lu", (unsigned long)geteuid()) < 0 ? NULL : path;
}

static unseen_status check_writable(us_private_folder *folder, unseen_error *error) {
    if (faccessat(folder->descriptor, ".", W_OK | X_OK, AT_EACCESS) == 0) return UNSEEN_OK;
    unseen_status status = fail_reach(error, folder->path, "cannot write");
    us_private_close(folder);
    return status;
}

unseen_status us_private_make(const char *path, us_private_folder *folder, unseen_error *error) {
    US_TRY(open_base(path, true, true, folder, error));
    return check_writable(folder, error);
}

static unseen_status open_place(int which, const char *name, us_private_folder *folder,
                                unseen_error *error) {
    if (which == 0) {
        US_TRY(us_private_cache(name, true, folder, error));
    } else {
        char *path = other_place(which - 1);
        if (!path) return us_fail(error, UNSEEN_FAILURE, "no folder is known");
        unseen_status status = open_below(path, false, name, true, folder, error);
        free(path);
        US_TRY(status);
    }
    return check_writable(folder, error);
}

unseen_status us_private_place(const char *name, bool executable, us_private_folder *folder,
                               unseen_error *error) {
    enum { PLACES = 3 };
    for (int strict = executable; strict >= 0; strict--)
        for (int which = 0; which < PLACES; which++) {
            if (open_place(which, name, folder, NULL) != UNSEEN_OK) continue;
            if (!strict || allows_code(folder)) return UNSEEN_OK;
            us_private_close(folder);
        }
    return open_place(0, name, folder, error);
}

void us_private_cache_fault(char *why, size_t room) {
    static const char *const parts[] = {NULL, "programs", "tuning"};
    *why = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        us_private_folder folder;
        unseen_error error;
        unseen_status status = us_private_cache(parts[i], false, &folder, &error);
        us_private_close(&folder);
        if (status != UNSEEN_BAD_INPUT) continue;
        snprintf(why, room,
                 "no cache is used: %.300s; a folder that is yours alone serves "
                 "(UNSEEN_CACHE_DIR names it)",
                 error.message);
        return;
    }
}

/* ---- files ---- */

static unseen_status check_file(int descriptor, const char *path, struct stat *about,
                                unseen_error *error) {
    if (fstat(descriptor, about) != 0) return fail_reach(error, path, "cannot inspect");
    if (!S_ISREG(about->st_mode))
        return us_fail(error, UNSEEN_BAD_INPUT, "%s: not a regular file", path);
    US_TRY(check_owner(path, about, error));
    if (about->st_mode & OTHERS_WRITE)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s may be written to by other users", path);
    if (about->st_nlink > 1)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s has other names, too", path);
    return UNSEEN_OK;
}

unseen_status us_private_read(const us_private_folder *folder, const char *name, size_t limit,
                              char **bytes, size_t *size, unseen_error *error) {
    *bytes = NULL;
    *size = 0;
    char *path = us_path_join(folder->path, name);
    if (!path) return us_fail_memory(error, "a path");
    struct stat about;
    int descriptor =
        openat(folder->descriptor, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    unseen_status status = descriptor < 0 ? fail_reach(error, path, "cannot open")
                                          : check_file(descriptor, path, &about, error);
    if (status == UNSEEN_OK)
        status = us_file_read_open(descriptor, &about, path, limit, bytes, size, error);
    if (descriptor >= 0) close(descriptor);
    free(path);
    return status;
}

static bool write_all(int descriptor, const us_private_part *part) {
    const char *bytes = part->bytes;
    for (size_t done = 0; done < part->size;) {
        ssize_t wrote = write(descriptor, bytes + done, part->size - done);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return false;
        done += (size_t)wrote;
    }
    return true;
}

static int open_temporary(const us_private_folder *folder, char name[64]) {
    for (int attempt = 0; attempt < 10000; attempt++) {
        snprintf(name, 64, ".unseen-%ld-%d.tmp", (long)getpid(), attempt);
        int descriptor = openat(folder->descriptor, name,
                                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (descriptor >= 0 || errno != EEXIST) return descriptor;
    }
    return -1;
}

unseen_status us_private_begin(const us_private_folder *folder, us_private_writer *writer,
                               unseen_error *error) {
    writer->descriptor = open_temporary(folder, writer->temporary);
    return writer->descriptor < 0 ? fail_reach(error, folder->path, "cannot write") : UNSEEN_OK;
}

void us_private_abandon(const us_private_folder *folder, us_private_writer *writer) {
    close(writer->descriptor);
    unlinkat(folder->descriptor, writer->temporary, 0);
}

unseen_status us_private_commit(const us_private_folder *folder, const char *name,
                                us_private_writer *writer, unseen_error *error) {
    if (fsync(writer->descriptor) == 0 &&
        renameat(folder->descriptor, writer->temporary, folder->descriptor, name) == 0 &&
        close(writer->descriptor) == 0)
        return UNSEEN_OK;
    unseen_status status = fail_reach(error, folder->path, "cannot write");
    us_private_abandon(folder, writer);
    return status;
}

unseen_status us_private_write(const us_private_folder *folder, const char *name,
                               const us_private_part *parts, int count, unseen_error *error) {
    us_private_writer writer;
    US_TRY(us_private_begin(folder, &writer, error));
    bool written = true;
    for (int i = 0; written && i < count; i++)
        written = write_all(writer.descriptor, &parts[i]);
    if (written) return us_private_commit(folder, name, &writer, error);
    unseen_status status = fail_reach(error, folder->path, "cannot write");
    us_private_abandon(folder, &writer);
    return status;
}

void us_private_remove(const us_private_folder *folder, const char *name) {
    if (unlinkat(folder->descriptor, name, 0) != 0)
        unlinkat(folder->descriptor, name, AT_REMOVEDIR);
}
