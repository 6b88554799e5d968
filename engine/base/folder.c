/* SPDX-License-Identifier: MIT */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static const char mark_name[] = ".unseen";

/* What each kind is called, what its mark says, and what files it holds. Those of a run in the
 * order in which they are removed: results before what they were made from. */
static const struct {
    const char *name, *mark, *option; /* that names the folder */
    const char *const *files;
} kinds[] = {
    [US_FOLDER_RUN] = {"run", "unseen run 1\n", "--out",
                       (const char *const[]){US_RUN_REPORT, US_RUN_PICTURES, US_RUN_METRICS,
                                             US_RUN_SCORES, US_RUN_PREDICTION, US_RUN_MODEL,
                                             US_RUN_FAILURE, US_RUN_CHECKPOINT, US_RUN_LOG,
                                             US_RUN_CONFIG, NULL}},
    [US_FOLDER_SWEEP] = {"sweep", "unseen sweep 1\n", "--out",
                         (const char *const[]){US_SWEEP_LEADERBOARD, US_SWEEP_DOCUMENT,
                                               US_SWEEP_FINAL, US_RUN_REPORT, NULL}},
    [US_FOLDER_MAPS] = {"set of maps", "unseen maps 1\n", "--maps",
                        (const char *const[]){US_MAPS_ARRAY, NULL}},
};
enum { KINDS = sizeof kinds / sizeof *kinds, UNKNOWN = -1 };

/* ---- recognising ---- */

static bool starts_with(const char *folder, const char *name, const char *text) {
    char *path = us_path_join(folder, name), head[64] = "";
    size_t length = strlen(text);
    int descriptor = path ? open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    bool same = descriptor >= 0 && read(descriptor, head, sizeof head) >= (ssize_t)length &&
                memcmp(head, text, length) == 0;
    if (descriptor >= 0) close(descriptor);
    free(path);
    return same;
}

static bool holds(const char *folder, const char *name) {
    struct stat about;
    char *path = us_path_join(folder, name);
    bool there = path && stat(path, &about) == 0 && S_ISREG(about.st_mode);
    free(path);
    return there;
}

/* Folders of versions that left no mark are known by files that come together nowhere else. */
static int kind_of(const char *folder) {
    for (int kind = 0; kind < KINDS; kind++)
        if (starts_with(folder, mark_name, kinds[kind].mark)) return kind;
    if (holds(folder, US_RUN_CONFIG) && holds(folder, US_RUN_LOG) &&
        (holds(folder, US_RUN_CHECKPOINT) || holds(folder, US_RUN_MODEL)))
        return US_FOLDER_RUN;
    if (holds(folder, US_SWEEP_DOCUMENT) &&
        starts_with(folder, US_SWEEP_LEADERBOARD, "rank,out,status,held_out_loss,loss,auc,"))
        return US_FOLDER_SWEEP;
    return UNKNOWN;
}

/* The first file, of those that the job writes, that somebody else has put there; NULL: none. */
static unseen_status find_stranger(const us_claim *claim, const char **stranger,
                                   unseen_error *error) {
    *stranger = NULL;
    for (const char *const *name = kinds[claim->kind].files; *name && !*stranger; name++) {
        struct stat about;
        char *path = us_path_join(claim->path, *name);
        if (!path) return us_fail_memory(error, "a path");
        if (lstat(path, &about) == 0) *stranger = *name;
        free(path);
    }
    return UNSEEN_OK;
}

static unseen_status check_contents(us_claim *claim, bool overwrite, unseen_error *error) {
    int found = kind_of(claim->path);
    claim->ours = found == (int)claim->kind;
    if (found != UNKNOWN && !claim->ours)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "%s holds a %s, so it cannot hold a %s, too: give another folder with %s",
                       claim->path, kinds[found].name, kinds[claim->kind].name,
                       kinds[claim->kind].option);
    if (claim->ours || overwrite) return UNSEEN_OK;
    const char *stranger;
    US_TRY(find_stranger(claim, &stranger, error));
    if (!stranger) return UNSEEN_OK;
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s holds \"%s\", which no %s of unseen has written: give another folder with "
                   "%s, or replace it with --overwrite",
                   claim->path, stranger, kinds[claim->kind].name, kinds[claim->kind].option);
}

/* Refuses a pipe, a device or a folder in the place of a file that will be written. */
static unseen_status check_places(const us_claim *claim, unseen_error *error) {
    for (const char *const *name = kinds[claim->kind].files; *name; name++) {
        struct stat about;
        char *path = us_path_join(claim->path, *name);
        if (!path) return us_fail_memory(error, "a path");
        bool wrong = stat(path, &about) == 0 && !S_ISREG(about.st_mode);
        if (wrong) us_fail(error, UNSEEN_BAD_INPUT, "%s: not a regular file", path);
        free(path);
        if (wrong) return UNSEEN_BAD_INPUT;
    }
    return UNSEEN_OK;
}

/* ---- claiming ---- */

/* The length of the longest part of a path that is there. */
static size_t existing_part(const char *path) {
    char *prefix = strdup(path);
    size_t length = strlen(path);
    while (prefix && length && access(prefix, F_OK) != 0) {
        while (length && prefix[length - 1] == '/')
            length--;
        while (length && prefix[length - 1] != '/')
            length--;
        prefix[length] = '\0';
    }
    free(prefix);
    return length;
}

/* Another claim may have been withdrawn, and its folder removed, before the lock was taken. */
static bool is_still_there(const char *path, int descriptor) {
    struct stat named, locked;
    return stat(path, &named) == 0 && fstat(descriptor, &locked) == 0 &&
           named.st_dev == locked.st_dev && named.st_ino == locked.st_ino;
}

/* On a file system without locks, the folder is used unlocked. */
static unseen_status create_and_lock(us_claim *claim, unseen_error *error) {
    for (int attempt = 0; attempt < 100; attempt++) {
        US_TRY(us_folder_create(claim->path, error));
        claim->lock = open(claim->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (claim->lock < 0 && errno == ENOENT) continue; /* removed since it was created */
        if (claim->lock < 0) return UNSEEN_OK;
        claim->busy = flock(claim->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        if (claim->busy) break;
        if (is_still_there(claim->path, claim->lock)) return UNSEEN_OK;
        close(claim->lock);
        claim->lock = -1;
    }
    return us_fail(error, UNSEEN_BAD_INPUT,
                   "%s: another job is under way in this folder: wait for it, or give another "
                   "folder with %s",
                   claim->path, kinds[claim->kind].option);
}

static unseen_status put_mark(us_claim *claim, unseen_error *error) {
    const char *mark = kinds[claim->kind].mark;
    if (starts_with(claim->path, mark_name, mark)) return UNSEEN_OK;
    char *path = us_path_join(claim->path, mark_name);
    unseen_status status =
        path ? us_file_write(path, mark, strlen(mark), error) : us_fail_memory(error, "a path");
    free(path);
    claim->marked = status == UNSEEN_OK;
    return status;
}

static void sweep_temporaries(const us_claim *claim) {
    char *checkpoints = us_path_join(claim->path, US_RUN_CHECKPOINTS);
    us_file_sweep(claim->path);
    if (checkpoints) us_file_sweep(checkpoints);
    free(checkpoints);
}

static void leave(us_claim *claim) {
    const bool busy = claim->busy;
    us_folder_release(claim);
    claim->busy = busy;
}

unseen_status us_folder_claim(const char *path, us_folder_kind kind, bool overwrite,
                              us_claim *claim, unseen_error *error) {
    *claim = (us_claim){.kind = kind, .lock = -1, .existing = existing_part(path)};
    if (!(claim->path = strdup(path))) return us_fail_memory(error, "a path");
    unseen_status status = create_and_lock(claim, error);
    bool held = status == UNSEEN_OK;
    if (status == UNSEEN_OK) status = check_contents(claim, overwrite, error);
    if (status == UNSEEN_OK) status = check_places(claim, error);
    if (status == UNSEEN_OK) status = put_mark(claim, error);
    if (status == UNSEEN_OK)
        sweep_temporaries(claim);
    else if (held)
        us_folder_withdraw(claim);
    else
        leave(claim); /* it is another job's, which may be about to write */
    return status;
}

void us_folder_release(us_claim *claim) {
    if (claim->path && claim->lock >= 0) close(claim->lock);
    free(claim->path);
    *claim = (us_claim){.lock = -1};
}

bool us_folder_is_held(const char *path) {
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return false;
    bool held = flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(descriptor);
    return held;
}

void us_folder_withdraw(us_claim *claim) {
    char *path = claim->path;
    char *mark = path && claim->marked ? us_path_join(path, mark_name) : NULL;
    if (mark) unlink(mark);
    free(mark);
    /* Folders that somebody has put something into stay: rmdir leaves them. */
    for (size_t length = path ? strlen(path) : 0; length > claim->existing;) {
        path[length] = '\0';
        if (rmdir(path) != 0 && errno != ENOENT) break;
        while (length > claim->existing && path[length - 1] == '/')
            length--;
        while (length > claim->existing && path[length - 1] != '/')
            length--;
    }
    us_folder_release(claim);
}

static unseen_status remove_files(const char *folder, us_folder_kind kind, unseen_error *error) {
    for (const char *const *name = kinds[kind].files; *name; name++) {
        char *path = us_path_join(folder, *name);
        if (!path) return us_fail_memory(error, "a path");
        bool failed = unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR;
        if (failed)
            us_fail(error, UNSEEN_FAILURE, "%s: cannot remove it: %s", path, strerror(errno));
        free(path);
        if (failed) return UNSEEN_FAILURE;
    }
    return UNSEEN_OK;
}

/* A member's run, with its mark and its folders, where nothing else is in them. */
static unseen_status remove_member(const char *folder, unseen_error *error) {
    if (kind_of(folder) != US_FOLDER_RUN) return UNSEEN_OK;
    US_TRY(remove_files(folder, US_FOLDER_RUN, error));
    char *mark = us_path_join(folder, mark_name);
    char *checkpoints = us_path_join(folder, US_RUN_CHECKPOINTS);
    if (mark) unlink(mark);
    if (checkpoints) rmdir(checkpoints);
    free(mark);
    free(checkpoints);
    rmdir(folder);
    return UNSEEN_OK;
}

static unseen_status remove_members(const char *folder, unseen_error *error) {
    char *members = us_path_join(folder, US_RUN_MEMBERS);
    if (!members) return us_fail_memory(error, "a path");
    DIR *list = opendir(members);
    unseen_status status = UNSEEN_OK;
    for (const struct dirent *entry; status == UNSEEN_OK && list && (entry = readdir(list));) {
        if (entry->d_name[0] == '.') continue;
        char *member = us_path_join(members, entry->d_name);
        status = member ? remove_member(member, error) : us_fail_memory(error, "a path");
        free(member);
    }
    if (list) closedir(list);
    rmdir(members);
    free(members);
    return status;
}

unseen_status us_folder_clear(const us_claim *claim, unseen_error *error) {
    if (!claim->ours) return UNSEEN_OK;
    US_TRY(remove_files(claim->path, claim->kind, error));
    return claim->kind == US_FOLDER_RUN ? remove_members(claim->path, error) : UNSEEN_OK;
}

/* ---- whose a file is ---- */

unseen_status us_folder_spares(const char *folder, us_folder_kind kind, const char *what,
                               const char *path, unseen_error *error) {
    for (const char *const *name = kinds[kind].files; path && *name; name++) {
        char *own = us_path_join(folder, *name);
        if (!own) return us_fail_memory(error, "a path");
        bool same = us_same_file(own, path);
        free(own);
        if (same)
            return us_fail(error, UNSEEN_BAD_INPUT,
                           "%s (%s) is a file that a %s in %s writes itself: give another one",
                           path, what, kinds[kind].name, folder);
    }
    return UNSEEN_OK;
}

unseen_status us_folder_path(const char *folder, const char *name, char **path,
                             unseen_error *error) {
    *path = us_path_join(folder, name);
    return *path ? UNSEEN_OK : us_fail_memory(error, "a path");
}

unseen_status us_folder_holds(const char *folder, const char *name, bool *there,
                              unseen_error *error) {
    char *path;
    US_TRY(us_folder_path(folder, name, &path, error));
    *there = us_file_exists(path);
    free(path);
    return UNSEEN_OK;
}

static bool ends_with(const char *path, const char *name, size_t *rest) {
    size_t length = strlen(path), tail = strlen(name);
    if (length <= tail || path[length - tail - 1] != '/' || strcmp(path + length - tail, name) != 0)
        return false;
    *rest = length - tail;
    return true;
}

bool us_folder_keeps(const char *path) {
    char *real = us_path_resolve(path);
    bool kept = false;
    for (int kind = 0; real && !kept && kind < KINDS; kind++)
        for (const char *const *name = kinds[kind].files; !kept && *name; name++) {
            size_t rest;
            if (!ends_with(real, *name, &rest)) continue;
            char *folder = strndup(real, rest);
            kept = folder && kind_of(folder) == kind;
            free(folder);
        }
    free(real);
    return kept;
}
