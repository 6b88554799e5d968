/* SPDX-License-Identifier: MIT */
#include "training/single.h"

#include <math.h>
#include <stdlib.h>

#include "ops/image_batch.h"

struct us_single {
    us_detector *detector;
    us_image_store *store;
    us_image_loader *loader;
    us_buffer *columns[US_DETECTOR_MAX_COLUMNS];
    float *scores; /* of a batch */
};

unseen_status us_single_create(us_detector *detector, const us_image_source *source,
                               us_single **out, unseen_error *error) {
    us_image_source changing = *source;
    changing.changing = true;
    *out = NULL;
    us_single *single = calloc(1, sizeof *single);
    if (!single) return us_fail_memory(error, "scoring");
    single->detector = detector;
    unseen_status status =
        us_image_store_create(detector->device, &changing, &single->store, error);
    if (status == UNSEEN_OK)
        status = us_image_loader_create(single->store, NULL, source->count, detector->spec->input,
                                        detector->padded, &single->loader, error);
    const size_t bytes = (size_t)detector->padded * sizeof(float);
    if (status == UNSEEN_OK && !(single->scores = malloc(bytes)))
        status = us_fail_memory(error, "scores");
    for (int c = 0; status == UNSEEN_OK && c < us_detector_column_count(detector->spec); c++)
        status = us_buffer_create(detector->device, bytes, "scores", &single->columns[c], error);
    if (status == UNSEEN_OK)
        *out = single;
    else
        us_single_destroy(single);
    return status;
}

void us_single_destroy(us_single *single) {
    if (!single) return;
    for (int c = 0; c < US_DETECTOR_MAX_COLUMNS; c++)
        us_buffer_destroy(single->columns[c]);
    us_image_loader_destroy(single->loader);
    us_image_store_destroy(single->store);
    free(single->scores);
    free(single);
}

unseen_status us_single_score(us_single *single, int n,
                              double *const columns[US_DETECTOR_MAX_COLUMNS], unseen_error *error) {
    us_detector *detector = single->detector;
    const us_image_batch_args batch = {.out = detector->x, .n = n};
    US_TRY(us_image_batch_load(single->loader, &batch, error));
    US_TRY(us_detector_score(detector, detector->x, n, single->columns, error));
    us_detector_next_batch(detector);
    for (int c = 0; c < us_detector_column_count(detector->spec); c++) {
        const struct us_detector_column column = us_detector_column(detector->spec, c);
        US_TRY(us_buffer_read(single->columns[c], 0, single->scores, (size_t)n * sizeof(float),
                              error));
        for (int i = 0; i < n; i++) {
            if (!isfinite(single->scores[i]))
                return us_fail(error, UNSEEN_FAILURE, "the %s score, by the %s, is not finite",
                               column.name, column.network);
            columns[c][i] = column.sign * (double)single->scores[i];
        }
    }
    return UNSEEN_OK;
}
