/* SPDX-License-Identifier: MIT */
#include "ops/score_slopes.h"

#include <stdlib.h>

struct us_score_slopes {
    us_kernel *kernel;
    us_buffer *columns, *factors, *offsets, *slopes; /* [count][batch], [count] */
    int count, batch;
};

static unseen_status create_buffers(us_device *device, const us_score_parts *parts,
                                    us_score_slopes *slopes, unseen_error *error) {
    float factors[US_SCORE_PARTS_MOST], offsets[US_SCORE_PARTS_MOST];
    const size_t bytes = (size_t)parts->count * sizeof(float);
    for (int c = 0; c < parts->count; c++) {
        factors[c] = (float)parts->factors[c];
        offsets[c] = (float)parts->offsets[c];
    }
    US_TRY(us_buffer_create(device, bytes, "factors of scores", &slopes->factors, error));
    US_TRY(us_buffer_create(device, bytes, "offsets of scores", &slopes->offsets, error));
    US_TRY(
        us_buffer_create(device, bytes * (size_t)slopes->batch, "scores", &slopes->columns, error));
    US_TRY(us_buffer_create(device, bytes * (size_t)slopes->batch, "slopes of scores",
                            &slopes->slopes, error));
    US_TRY(us_buffer_write(slopes->factors, 0, factors, bytes, error));
    return us_buffer_write(slopes->offsets, 0, offsets, bytes, error);
}

unseen_status us_score_slopes_create(us_device *device, const us_score_parts *parts, int batch,
                                     us_score_slopes **out, unseen_error *error) {
    *out = NULL;
    us_score_slopes *slopes = calloc(1, sizeof *slopes);
    if (!slopes) return us_fail_memory(error, "slopes of scores");
    slopes->count = parts->count;
    slopes->batch = batch;
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    unseen_status status = create_buffers(device, parts, slopes, error);
    if (status == UNSEEN_OK)
        status = us_kernel_create(&build, "score_slopes", "score_slopes", &slopes->kernel, error,
                                  "-DCOLUMNS=%d -DBATCH=%d -DMAXIMUM=%d", parts->count, batch,
                                  parts->maximum);
    if (status == UNSEEN_OK)
        *out = slopes;
    else
        us_score_slopes_destroy(slopes);
    return status;
}

void us_score_slopes_destroy(us_score_slopes *slopes) {
    if (!slopes) return;
    us_kernel_destroy(slopes->kernel);
    us_buffer_destroy(slopes->columns);
    us_buffer_destroy(slopes->factors);
    us_buffer_destroy(slopes->offsets);
    us_buffer_destroy(slopes->slopes);
    free(slopes);
}

unseen_status us_score_slopes_run(us_score_slopes *slopes, us_buffer *const *columns, int n,
                                  us_buffer *const *out, unseen_error *error) {
    const size_t row = (size_t)slopes->batch * sizeof(float);
    for (int c = 0; c < slopes->count; c++)
        US_TRY(us_buffer_copy(slopes->columns, (size_t)c * row, columns[c], 0, row, error));
    US_TRY(us_kernel_run_elements(slopes->kernel, (size_t)slopes->batch, error, "bbbbi",
                                  slopes->columns, slopes->factors, slopes->offsets, slopes->slopes,
                                  n));
    for (int c = 0; c < slopes->count; c++)
        US_TRY(us_buffer_copy(out[c], 0, slopes->slopes, (size_t)c * row, row, error));
    return UNSEEN_OK;
}
