/* SPDX-License-Identifier: MIT */
/* Folders, lists and archives of photographs as images: decoded and fitted once, on all cores, into
 * one array that the cache keeps. From there on it is an array as any other. */
#ifndef US_DATA_PHOTOGRAPHS_H
#define US_DATA_PHOTOGRAPHS_H

#include "base/event.h"
#include "base/fit.h"
#include "data/file_set.h"
#include "data/images.h"

typedef struct us_photographs_request {
    int height, width;
    int channels; /* other than 1 and 3: as most of the photographs have */
    us_fit fit;
    double overlap;       /* of US_FIT_TILE, see us_tile_form */
    us_list_request list; /* masks: of folders, archives and single ones, too, they become 255
                             where they are white, see us_photograph_form */
    const unseen_events *events;
} us_photographs_request;

/* Whether a path is of photographs, and not of an array: a folder, a list (.csv, .tsv or .txt), an
 * archive that holds some, a single one. UNSEEN_BAD_INPUT where that cannot be told. */
unseen_status us_photographs_are(const char *path, bool *are, unseen_error *error);

/* Which there are. Nothing is decoded; of the request, ->list matters. */
unseen_status us_photographs_list(const char *path, const us_photographs_request *request,
                                  us_file_set *set, unseen_error *error);

/* images->names and ->labels are set; messages say what was found and where it is kept. Photographs
 * that cannot be read are UNSEEN_BAD_INPUT that counts them and names the first three. */
unseen_status us_photographs_open(const char *path, const us_photographs_request *request,
                                  us_images *images, unseen_error *error);

#endif
