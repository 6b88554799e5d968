/* SPDX-License-Identifier: MIT */
/* Arrays that took long to make, kept in the folder "images" of the cache: fitted photographs, and
 * arrays out of archives. Where there is no such folder, they are kept in memory. */
#ifndef US_DATA_FITTED_FILE_H
#define US_DATA_FITTED_FILE_H

#include "base/digest.h"
#include "base/private_file.h"

typedef struct us_fitted_file {
    us_private_folder folder; /* descriptor -1: in memory */
    us_private_writer writer;
    char name[48];
    char *path; /* of the whole file, once committed */
} us_fitted_file;

/* The file of that key, if it is there: its path is set, and it counts as used. */
bool us_fitted_find(const us_digest_text *key, us_fitted_file *file);

/* Begins it with room for so many bytes, which are written to file->writer.descriptor. bytes 0: how
 * many is not known. Commit or abandon ends it. */
unseen_status us_fitted_begin(const us_digest_text *key, size_t bytes, us_fitted_file *file,
                              unseen_error *error);
unseen_status us_fitted_commit(us_fitted_file *file, unseen_error *error);
void us_fitted_abandon(us_fitted_file *file);

static inline bool us_fitted_is_kept(const us_fitted_file *file) {
    return file->folder.descriptor >= 0;
}

/* What is in memory ends with it. Zeroed files are fine. */
void us_fitted_close(us_fitted_file *file);

#endif
