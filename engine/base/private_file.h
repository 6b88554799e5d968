/* SPDX-License-Identifier: MIT */
/* Folders and files that are ours alone: what lies in caches is believed when it is read, so nobody
 * else may have written it, and writing must not reach anything else through a link.
 *
 * A folder is used only if it is a real one that belongs to the effective user and that nobody else
 * may write to; a file only if, besides, it is a regular one under a single name. UNSEEN_BAD_INPUT
 * says that something is there and is not ours alone, UNSEEN_FAILURE that it is absent or cannot be
 * reached. Nothing here waits for a pipe. */
#ifndef US_BASE_PRIVATE_FILE_H
#define US_BASE_PRIVATE_FILE_H

#include "base/error.h"

typedef struct us_private_folder {
    int descriptor; /* -1: not open */
    char *path;
} us_private_folder;

/* Opens the folder NAME of the cache (us_cache_folder), or the cache itself where name is NULL.
 * With `create` it is made where it is absent, for us alone. */
unseen_status us_private_cache(const char *name, bool create, us_private_folder *folder,
                               unseen_error *error);

/* The same, and where the cache does not serve in XDG_RUNTIME_DIR/unseen or /tmp/unseen-UID, for
 * what a process cannot do without. `executable`: rather where code may be loaded from. */
unseen_status us_private_place(const char *name, bool executable, us_private_folder *folder,
                               unseen_error *error);

/* A folder within an open one, made where it is absent. */
unseen_status us_private_below(const us_private_folder *parent, const char *name,
                               us_private_folder *folder, unseen_error *error);

void us_private_close(us_private_folder *folder);

/* Opens any folder, made where it is absent, if it is ours alone and we may write to it; links are
 * followed. */
unseen_status us_private_make(const char *path, us_private_folder *folder, unseen_error *error);

/* Why the cache, or a part of it, is not used although it is there; empty where all is well. */
void us_private_cache_fault(char *why, size_t room);

/* Reads a whole file of at most `limit` bytes; *bytes is NUL-terminated, freed with free. */
unseen_status us_private_read(const us_private_folder *folder, const char *name, size_t limit,
                              char **bytes, size_t *size, unseen_error *error);

/* Puts a file in the place of whatever has the name, whole: links are replaced, not followed. */
typedef struct us_private_part {
    const void *bytes;
    size_t size;
} us_private_part;
unseen_status us_private_write(const us_private_folder *folder, const char *name,
                               const us_private_part *parts, int count, unseen_error *error);

/* The same for what is written piece by piece, to writer.descriptor. Commit or abandon ends it. */
typedef struct us_private_writer {
    int descriptor;
    char temporary[64]; /* the file's name until it is whole */
} us_private_writer;
unseen_status us_private_begin(const us_private_folder *folder, us_private_writer *writer,
                               unseen_error *error);
unseen_status us_private_commit(const us_private_folder *folder, const char *name,
                                us_private_writer *writer, unseen_error *error);
void us_private_abandon(const us_private_folder *folder, us_private_writer *writer);

/* A file, or an empty folder; nothing happens where it is absent. */
void us_private_remove(const us_private_folder *folder, const char *name);

#endif
