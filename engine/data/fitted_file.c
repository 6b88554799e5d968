/* SPDX-License-Identifier: MIT */
#include "data/fitted_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

enum { DAYS_KEPT = 30 };

static void set_name(const us_digest_text *key, us_fitted_file *file) {
    *file = (us_fitted_file){.folder.descriptor = -1, .writer.descriptor = -1};
    snprintf(file->name, sizeof file->name, "%s.npy", key->text);
}

bool us_fitted_find(const us_digest_text *key, us_fitted_file *file) {
    set_name(key, file);
    if (us_private_cache("images", false, &file->folder, NULL) != UNSEEN_OK) return false;
    int found = openat(file->folder.descriptor, file->name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat about;
    bool ours = found >= 0 && fstat(found, &about) == 0 && S_ISREG(about.st_mode) &&
                about.st_uid == geteuid() && !(about.st_mode & (S_IWGRP | S_IWOTH));
    if (ours) file->path = us_path_join(file->folder.path, file->name);
    if (file->path) futimens(found, NULL);
    if (found >= 0) close(found);
    if (file->path) return true;
    us_fitted_close(file);
    return false;
}

/* Removes what nobody has used for long. */
static void sweep(const us_private_folder *folder) {
    int descriptor = openat(folder->descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    if (!list && descriptor >= 0) close(descriptor);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        struct stat about;
        if (fstatat(folder->descriptor, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(about.st_mode) && about.st_mtime < time(NULL) - DAYS_KEPT * 24 * 3600)
            unlinkat(folder->descriptor, entry->d_name, 0);
    }
    if (list) closedir(list);
}

static unseen_status begin_in_memory(us_fitted_file *file, unseen_error *error) {
    file->writer.descriptor = memfd_create("unseen", MFD_CLOEXEC);
    if (file->writer.descriptor >= 0) return UNSEEN_OK;
    return us_fail_memory(error, "images");
}

unseen_status us_fitted_begin(const us_digest_text *key, size_t bytes, us_fitted_file *file,
                              unseen_error *error) {
    set_name(key, file);
    if (us_private_cache("images", true, &file->folder, NULL) == UNSEEN_OK &&
        us_private_begin(&file->folder, &file->writer, NULL) == UNSEEN_OK)
        sweep(&file->folder);
    else {
        us_private_close(&file->folder);
        US_TRY(begin_in_memory(file, error));
    }
    int code = bytes ? posix_fallocate(file->writer.descriptor, 0, (off_t)bytes) : 0;
    if (code == 0 || code == EINVAL || code == EOPNOTSUPP) return UNSEEN_OK;
    us_fail(error, UNSEEN_FAILURE, "%s: no room for %zu bytes of fitted images: %s",
            us_fitted_is_kept(file) ? file->folder.path : "memory", bytes, strerror(code));
    us_fitted_abandon(file);
    return UNSEEN_FAILURE;
}

unseen_status us_fitted_commit(us_fitted_file *file, unseen_error *error) {
    if (us_fitted_is_kept(file)) {
        unseen_status status = us_private_commit(&file->folder, file->name, &file->writer, error);
        file->writer.descriptor = -1; /* closed either way */
        US_TRY(status);
        file->path = us_path_join(file->folder.path, file->name);
    } else if (asprintf(&file->path, "/proc/self/fd/%d", file->writer.descriptor) < 0) {
        file->path = NULL;
    }
    return file->path ? UNSEEN_OK : us_fail_memory(error, "a path");
}

void us_fitted_abandon(us_fitted_file *file) {
    if (us_fitted_is_kept(file) && file->writer.descriptor >= 0) {
        us_private_abandon(&file->folder, &file->writer);
        file->writer.descriptor = -1;
    }
    us_fitted_close(file);
}

void us_fitted_close(us_fitted_file *file) {
    if (!*file->name) return;
    if (file->writer.descriptor >= 0) close(file->writer.descriptor);
    us_private_close(&file->folder);
    free(file->path);
    *file = (us_fitted_file){0};
}
