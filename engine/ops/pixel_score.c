/* SPDX-License-Identifier: MIT */
#include "ops/pixel_score.h"

#include <stdlib.h>

typedef struct us_pixel_score_tuning {
    int vectors; /* of the batch per work-item: all of them, or 1 for LANES */
    int rows;    /* pixels per work-item */
} us_pixel_score_tuning;

struct us_pixel_score {
    us_device *device;
    us_pixel_score_kind kind;
    us_kernel *errors, *combine;
    int splits;
    size_t error_groups[3], combine_groups[3], scratch_bytes;
};

static us_pixel_score_tuning pixel_score_tuning_default(const us_device_facts *device,
                                                        us_shape shape, int batch) {
    const int pixels = shape.height * shape.width;
    us_pixel_score_tuning tuning = {.vectors = 1};
    int64_t splits = (int64_t)device->compute_units * 8;
    if (device->execution == US_EXECUTION_LANES)
        splits = splits * 64 / batch + 1;
    else
        tuning.vectors = us_device_vectors(device, batch);
    tuning.rows = (int)((pixels + splits - 1) / splits);
    return tuning;
}

unseen_status us_pixel_score_create(us_device *device, us_pixel_score_kind kind, int top_k,
                                    us_shape shape, int batch, us_pixel_score **out,
                                    unseen_error *error) {
    *out = NULL;
    const size_t pixels = (size_t)shape.height * (size_t)shape.width;
    if (kind == US_PIXEL_SCORE_TOP_K && top_k < 1)
        return us_fail(error, UNSEEN_BAD_INPUT,
                       "a score of the %d largest errors: there must be at least 1", top_k);
    us_pixel_score *score = calloc(1, sizeof *score);
    if (!score) return us_fail_memory(error, "a score");
    score->device = device;
    score->kind = kind;
    const us_pixel_score_tuning tuning = pixel_score_tuning_default(&device->facts, shape, batch);
    const size_t splits = (pixels + (size_t)tuning.rows - 1) / (size_t)tuning.rows;
    score->splits = (int)splits;
    const size_t vectors = (size_t)us_device_vectors(&device->facts, batch);
    score->error_groups[0] = vectors / (size_t)tuning.vectors;
    score->error_groups[1] = splits;
    score->combine_groups[0] = vectors;
    score->error_groups[2] = score->combine_groups[1] = score->combine_groups[2] = 1;
    /* Every pixel's error is kept, to choose among them, or one part per split, or two. */
    size_t kept = kind == US_PIXEL_SCORE_TOP_K ? pixels : splits;
    if (kind == US_PIXEL_SCORE_RELATIVE) kept *= 2;
    score->scratch_bytes = kept * (size_t)batch * sizeof(float);
    const char *const names[] = {"pixel_score_errors", "pixel_score_combine"};
    us_kernel **const kernels[] = {&score->errors, &score->combine};
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    us_buffer *scratch;
    unseen_status status = us_device_scratch(device, score->scratch_bytes, &scratch, error);
    for (int i = 0; i < 2 && status == UNSEEN_OK; i++)
        status = us_kernel_create(&build, "pixel_score", names[i], kernels[i], error,
                                  "-DKIND=%d -DCHANNELS=%d -DPIXELS=%zu -DBATCH=%d -DTOP=%zu "
                                  "-DVECTORS=%d -DROWS=%d",
                                  kind, shape.channels, pixels, batch,
                                  (size_t)top_k < pixels ? (size_t)top_k : pixels, tuning.vectors,
                                  tuning.rows);
    if (status != UNSEEN_OK) {
        us_pixel_score_destroy(score);
        return status;
    }
    *out = score;
    return UNSEEN_OK;
}

void us_pixel_score_destroy(us_pixel_score *score) {
    if (!score) return;
    us_kernel_destroy(score->errors);
    us_kernel_destroy(score->combine);
    free(score);
}

us_target us_pixel_score_target(const us_pixel_score *score, us_buffer *x) {
    bool adds = score->kind == US_PIXEL_SCORE_ROOT_SUM || score->kind == US_PIXEL_SCORE_MEAN ||
                score->kind == US_PIXEL_SCORE_SUM;
    return (us_target){.image = adds ? x : NULL};
}

unseen_status us_pixel_score_run(us_pixel_score *score, us_buffer *x, us_buffer *y,
                                 const us_errors *errors, us_buffer *scores, unseen_error *error) {
    if (errors && errors->count > 0)
        return us_kernel_run(score->combine, score->combine_groups, error, "bib", errors->buffer,
                             errors->count, scores);
    us_buffer *parts;
    US_TRY(us_device_scratch(score->device, score->scratch_bytes, &parts, error));
    US_TRY(us_kernel_run(score->errors, score->error_groups, error, "bbb", x, y, parts));
    return us_kernel_run(score->combine, score->combine_groups, error, "bib", parts, score->splits,
                         scores);
}
