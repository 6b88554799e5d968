/* SPDX-License-Identifier: MIT */
/* Which photographs there are: in a folder and those below it, in a list, in an archive, or a
 * single file; and of which class they are. Nothing is decoded here. */
#ifndef US_DATA_FILE_SET_H
#define US_DATA_FILE_SET_H

#include <time.h>

#include "data/labels.h"

typedef enum us_file_set_kind {
    US_FILE_SET_FOLDER,
    US_FILE_SET_LIST,
    US_FILE_SET_ARCHIVE,
    US_FILE_SET_SINGLE,
} us_file_set_kind;

typedef struct us_set_file {
    char *name; /* in the folder or archive, or as the list has it; heap */
    char *of;   /* the name of the image that it is the mask of; heap; NULL: it is no mask */
    int64_t size;
    struct timespec modified;
    int64_t place; /* in the archive, among all that it holds */
} us_set_file;

typedef struct us_file_set {
    us_file_set_kind kind;
    const char *path;   /* as the user gave it; borrowed */
    char *base;         /* what names are relative to; NULL: nothing */
    us_set_file *files; /* sorted by the bytes of their names; lists keep their order */
    int64_t count, room;
    int64_t skipped; /* that are no photographs */
    char first_skipped[128];
    us_labels labels; /* count 0: none */
} us_file_set;

/* Which rows and columns of a list matter. */
typedef struct us_list_request {
    const char *label_column; /* NULL: told by its name */
    const char *split;        /* where there is a column of splits: "train" or "test"; NULL: all */
    const char *object;       /* in the column "object", which there is then; NULL: all */
    bool masks;               /* the files of the column "mask", where a row has one */
} us_list_request;

/* How a set is read. */
typedef struct us_file_set_request {
    us_file_set_kind kind;
    us_list_request list;
} us_file_set_request;

/* Folders: files and folders whose names begin with a dot are left out, links are followed but to
 * where they lie themselves, and what is no photograph is counted. The class of a file is the
 * folder of the set that it is in. No photograph at all is UNSEEN_BAD_INPUT. */
unseen_status us_file_set_open(const char *path, const us_file_set_request *request,
                               us_file_set *set, unseen_error *error);
void us_file_set_close(us_file_set *set);

/* The names, of masks in lists those of their images, as ids; ids->path is set->path. */
unseen_status us_file_set_ids(const us_file_set *set, const char *what, us_ids *ids,
                              unseen_error *error);

/* The path of a file that is in no archive. Heap; NULL: no memory. */
char *us_file_set_path(const us_file_set *set, int64_t i);

/* ---- for those that fill a set ---- */

unseen_status us_file_set_add(us_file_set *set, const us_set_file *file, unseen_error *error);
void us_file_set_skip(us_file_set *set, const char *name);
unseen_status us_file_set_from_folder(us_file_set *set, unseen_error *error);
unseen_status us_file_set_from_list(us_file_set *set, const us_list_request *request,
                                    unseen_error *error);

#endif
