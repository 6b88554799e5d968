/* SPDX-License-Identifier: MIT */
/* Archives: tar and zip (which .npz is), plain or compressed. "data.tar.gz:images.npy" is a file in
 * one; so is an archive that holds a single array. */
#ifndef US_DATA_ARCHIVE_H
#define US_DATA_ARCHIVE_H

#include "data/file_set.h"
#include "data/fitted_file.h"

/* The path of the file on disk that a path of data leads to: itself, or the archive. Heap; NULL: no
 * memory. */
char *us_archive_file(const char *path);

/* Whether its content is that of an archive. */
bool us_archive_is(const char *path);

/* Adds the photographs of the archive set->path. */
unseen_status us_archive_photographs(us_file_set *set, unseen_error *error);

/* What an archive holds; UNSEEN_BAD_INPUT without libarchive. */
typedef struct us_archive_content {
    int64_t photographs, arrays;
} us_archive_content;
unseen_status us_archive_look(const char *path, us_archive_content *content, unseen_error *error);

/* What is in an archive, or is one that holds a single array, is unpacked to the cache once, and
 * file->path is there. It is NULL where `path` is a plain file itself. */
unseen_status us_archive_unpack(const char *path, us_fitted_file *file, unseen_error *error);

/* Reading an archive from its beginning to its end. */
typedef struct us_archive us_archive;
typedef struct us_member {
    const char *name; /* good until the next call */
    int64_t place, size;
    int64_t modified;
} us_member;
unseen_status us_archive_open(const char *path, us_archive **archive, unseen_error *error);
void us_archive_close(us_archive *archive);

/* The next regular file; false in *found: there is none. */
unseen_status us_archive_next(us_archive *archive, us_member *member, bool *found,
                              unseen_error *error);

/* The next piece of its content; *got 0: it has ended. */
unseen_status us_archive_piece(us_archive *archive, void *bytes, size_t room, size_t *got,
                               unseen_error *error);

/* Its whole content, of at most `limit` bytes; heap. */
unseen_status us_archive_read(us_archive *archive, size_t limit, char **bytes, size_t *size,
                              unseen_error *error);

#endif
