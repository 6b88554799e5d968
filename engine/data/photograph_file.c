/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/file.h"
#include "data/photograph.h"

unseen_status us_photograph_read(char *path, us_photograph_file *file, unseen_error *error) {
    char *bytes = NULL;
    *file = (us_photograph_file){.path = path};
    if (!path) return us_fail_memory(error, "a path");
    US_TRY(us_file_read(path, US_PHOTOGRAPH_LARGEST, &bytes, &file->size, error));
    file->bytes = bytes;
    return UNSEEN_OK;
}

void us_photograph_release(us_photograph_file *file) {
    free((void *)file->bytes);
    free((void *)file->path);
    *file = (us_photograph_file){0};
}
