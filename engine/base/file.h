/* SPDX-License-Identifier: MIT */
/* Files: read whole, or replaced whole. Those that are mapped: mapping.h. */
#ifndef US_BASE_FILE_H
#define US_BASE_FILE_H

#include <stdio.h>
#include <sys/stat.h>

#include "base/error.h"

/* Reads a whole file of at most `limit` bytes; *bytes is NUL-terminated, freed with free. Besides
 * regular files a pipe is read that this process was given (/dev/stdin, /dev/fd/N). What would only
 * be waited for, or never ends, is refused: named pipes, devices, folders. */
unseen_status us_file_read(const char *path, size_t limit, char **bytes, size_t *size,
                           unseen_error *error);

/* The same for a file that is open already; `about` is what fstat said of it. */
unseen_status us_file_read_open(int descriptor, const struct stat *about, const char *path,
                                size_t limit, char **bytes, size_t *size, unseen_error *error);

/* For mapping.c: opens a regular file for reading. */
unseen_status us_file_open_regular(const char *path, int *descriptor, struct stat *about,
                                   unseen_error *error);

/* "PATH: WHAT: " and errno's text; bad input where the path cannot be what the user meant. */
unseen_status us_fail_errno(unseen_error *error, const char *path, const char *what);

/* Writing so that readers see the old file or the new one, whole: a temporary beside it, fsync,
 * rename, fsync of the folder. us_file_commit or us_file_abandon ends it (both accept a writer that
 * failed to open). Write with stdio on writer.stream; errors are found by commit at the latest. */
typedef struct us_file_writer {
    FILE *stream;
    char *path, *temporary;
} us_file_writer;
unseen_status us_file_begin(const char *path, us_file_writer *writer, unseen_error *error);
unseen_status us_file_commit(us_file_writer *writer, unseen_error *error);
void us_file_abandon(us_file_writer *writer);

/* Fails as us_file_begin would, and leaves nothing: for results that take long to compute. */
unseen_status us_file_check(const char *path, unseen_error *error);

/* Removes the temporaries that processes which were killed have left in a folder. us_file_begin
 * does so, too. */
void us_file_sweep(const char *folder);

/* Writes a whole file from bytes in memory: begin, write and commit in one call. */
unseen_status us_file_write(const char *path, const void *bytes, size_t size, unseen_error *error);

/* Creates a folder and its parents; an existing folder is fine. Fails when it is not writable. */
unseen_status us_folder_create(const char *path, unseen_error *error);

bool us_file_exists(const char *path);

/* Where what can be made again may be kept: UNSEEN_CACHE_DIR, else XDG_CACHE_HOME/unseen, else
 * ~/.cache/unseen. It need not exist. Heap; NULL where none of these is set, or no memory. */
char *us_cache_folder(void);

/* folder/name on the heap; NULL: no memory. */
char *us_path_join(const char *folder, const char *name);

/* The absolute path without links of a file that is there or could be created; heap, NULL: its
 * folder is not there, or no memory. */
char *us_path_resolve(const char *path);

/* Whether two paths lead to one file, whatever their names, or would if it were created. The null
 * device is no file. */
bool us_same_file(const char *a, const char *b);

#endif
