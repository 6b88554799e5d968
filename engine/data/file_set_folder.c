/* SPDX-License-Identifier: MIT */
/* The photographs of a folder and those below it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "data/file_set.h"
#include "data/photograph.h"

/* A folder on the way from the set's own to the one that is being read. */
typedef struct level {
    const struct level *above;
    const char *name; /* from the set's folder, ending in '/'; empty for that itself */
    dev_t device;
    ino_t inode;
    int descriptor;
    int depth;
} level;

enum { DEEPEST = 64 };

static unseen_status read_folder(us_file_set *set, level *here, unseen_error *error);

static bool is_above(const level *here, const struct stat *about) {
    for (; here; here = here->above)
        if (here->device == about->st_dev && here->inode == about->st_ino) return true;
    return false;
}

/* Whether a file of another name is a photograph all the same. */
static bool looks_like_one(int folder, const char *name) {
    unsigned char head[US_PHOTOGRAPH_HEAD];
    int descriptor = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return false;
    ssize_t size = read(descriptor, head, sizeof head);
    close(descriptor);
    return size > 0 && us_photograph_find(head, (size_t)size) != US_PHOTOGRAPH_NONE;
}

static unseen_status enter(us_file_set *set, const level *above, const char *entry,
                           const char *name, const struct stat *about, unseen_error *error) {
    char *path = NULL;
    if (is_above(above, about)) {
        us_file_set_skip(set, name);
        return UNSEEN_OK;
    }
    if (above->depth == DEEPEST)
        return us_fail(error, UNSEEN_BAD_INPUT, "%s/%s: more than %d folders within one another",
                       set->path, name, DEEPEST);
    if (asprintf(&path, "%s/", name) < 0) return us_fail_memory(error, "a path");
    level here = {.above = above,
                  .name = path,
                  .device = about->st_dev,
                  .inode = about->st_ino,
                  .depth = above->depth + 1};
    here.descriptor = openat(above->descriptor, entry, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    unseen_status status = here.descriptor < 0 ? us_fail_errno(error, name, "cannot open")
                                               : read_folder(set, &here, error);
    if (here.descriptor < 0) us_error_context(error, "%s", set->path);
    free(path);
    return status;
}

static unseen_status read_entry(us_file_set *set, const level *here, const char *entry,
                                unseen_error *error) {
    struct stat about;
    char *name = NULL;
    if (asprintf(&name, "%s%s", here->name, entry) < 0) return us_fail_memory(error, "a path");
    unseen_status status = UNSEEN_OK;
    if (fstatat(here->descriptor, entry, &about, 0) != 0) {
        status = us_fail_errno(error, name, "cannot inspect");
        us_error_context(error, "%s", set->path);
    } else if (S_ISDIR(about.st_mode)) {
        status = enter(set, here, entry, name, &about, error);
    } else if (S_ISREG(about.st_mode) && (us_photograph_is_name(entry, strlen(entry)) ||
                                          looks_like_one(here->descriptor, entry))) {
        const us_set_file file = {.name = name, .size = about.st_size, .modified = about.st_mtim};
        status = us_file_set_add(set, &file, error);
    } else {
        us_file_set_skip(set, name);
    }
    free(name);
    return status;
}

static unseen_status read_folder(us_file_set *set, level *here, unseen_error *error) {
    unseen_status status = UNSEEN_OK;
    DIR *folder = fdopendir(here->descriptor);
    if (!folder) {
        close(here->descriptor);
        return us_fail_errno(error, set->path, "cannot read");
    }
    errno = 0;
    for (struct dirent *entry; status == UNSEEN_OK && (entry = readdir(folder)); errno = 0)
        if (entry->d_name[0] != '.') status = read_entry(set, here, entry->d_name, error);
    if (status == UNSEEN_OK && errno != 0) status = us_fail_errno(error, set->path, "cannot read");
    closedir(folder);
    return status;
}

unseen_status us_file_set_from_folder(us_file_set *set, unseen_error *error) {
    struct stat about;
    set->base = strdup(set->path);
    if (!set->base) return us_fail_memory(error, "a path");
    level top = {.name = ""};
    top.descriptor = open(set->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top.descriptor < 0) return us_fail_errno(error, set->path, "cannot open");
    if (fstat(top.descriptor, &about) != 0) {
        close(top.descriptor);
        return us_fail_errno(error, set->path, "cannot inspect");
    }
    top.device = about.st_dev;
    top.inode = about.st_ino;
    return read_folder(set, &top, error);
}
