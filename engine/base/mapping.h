/* SPDX-License-Identifier: MIT */
/* Files mapped into memory. A file that loses pages while it is mapped, as when another program
 * truncates it, raises SIGBUS in the thread that reads them, which may be a driver's. Here the lost
 * pages become zeros instead, and us_mapping_check reports them: the reader of a mapping calls it
 * before it uses a result.
 *
 * Signals have no owner but the process, so a handler of SIGBUS and a small table of mappings are
 * the library's one global state. The handler is there while a file is mapped. What it does not
 * know goes on to the handler that was there before. */
#ifndef US_BASE_MAPPING_H
#define US_BASE_MAPPING_H

#include <sys/stat.h>
#include <time.h>

#include "base/error.h"

typedef struct us_mapping {
    const unsigned char *bytes; /* NULL: none */
    size_t size;
    int descriptor; /* of the file, while it is mapped */
    int place;      /* in the table; -1: not guarded, as the table was full */
    struct timespec modified;
} us_mapping;

/* A read-only mapping of a regular file; one without bytes is an error that names it as empty. */
unseen_status us_file_map(const char *path, us_mapping *mapping, unseen_error *error);
void us_file_unmap(us_mapping *mapping);

/* UNSEEN_FAILURE where a part of the file is gone: what was read from it may have been zeros. All
 * is well with a mapping of nothing. It also puts the handler of SIGBUS back on top of those that
 * drivers have installed meanwhile, so it is asked before a driver's threads read, too. Cheap
 * enough for every batch. */
unseen_status us_mapping_check(const us_mapping *mapping, const char *path, unseen_error *error);

/* Whether the file has been written to since it was mapped. */
bool us_mapping_changed(const us_mapping *mapping);

#endif
