/* SPDX-License-Identifier: MIT */
#include "ops/positions.h"

#include <math.h>
#include <stdlib.h>

#include "ops/activation.h"
#include "ops/pixel_score.h"

/* How `count` positions or pixels are cut into work-groups. */
typedef struct split {
    int vectors, rows;
    size_t groups[3];
} split;

static split split_of(const us_device_facts *facts, int count, int batch) {
    const bool lanes = facts->execution == US_EXECUTION_LANES;
    split s = {.vectors = lanes ? 1 : us_device_vectors(facts, batch)};
    /* Some items for each compute unit, more where each works on a part of the batch alone. */
    int64_t splits = (int64_t)facts->compute_units * 8;
    if (lanes) splits = splits * 64 / batch + 1;
    s.rows = (int)((count + splits - 1) / splits);
    s.groups[0] = (size_t)(us_device_vectors(facts, batch) / s.vectors);
    s.groups[1] = ((size_t)count + (size_t)s.rows - 1) / (size_t)s.rows;
    s.groups[2] = 1;
    return s;
}

/* ---- the loss ---- */

struct us_position_loss {
    us_kernel *each, *sum;
    us_buffer *parts;
    split split;
    double positions;
};

unseen_status us_position_loss_create(us_device *device, const us_position_loss_settings *settings,
                                      us_shape grid, us_shape image, int batch,
                                      us_activation activation, us_position_loss **out,
                                      unseen_error *error) {
    *out = NULL;
    us_position_loss *loss = calloc(1, sizeof *loss);
    if (!loss) return us_fail_memory(error, "a loss");
    loss->split = split_of(&device->facts, grid.height * grid.width, batch);
    loss->positions = (double)grid.height * grid.width;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, (us_activation){US_ACTIVATION_NONE, 0}, activation);
    const char *const names[] = {"position_loss", "position_loss_sum"};
    us_kernel **const kernels[] = {&loss->each, &loss->sum};
    const us_build build = {
        .device = device, .purpose = US_PURPOSE_TRAINING, .label.pass = US_PASS_LOSS};
    unseen_status status =
        us_buffer_create(device, loss->split.groups[1] * (size_t)batch * sizeof(float),
                         "parts of a loss", &loss->parts, error);
    for (int i = 0; i < 2 && status == UNSEEN_OK; i++)
        status = us_kernel_create(
            &build, "positions", names[i], kernels[i], error,
            "-DGRID_HEIGHT=%d -DGRID_WIDTH=%d -DHEIGHT=%d -DWIDTH=%d -DBATCH=%d -DCOVERAGE=%.9ef "
            "-DPOSITIVE_WEIGHT=%.9ef -DFOCUSING=%.9ef -DRIM=0 -DVECTORS=%d -DROWS=%d %s",
            grid.height, grid.width, image.height, image.width, batch, settings->coverage,
            settings->positive_weight, settings->focusing, loss->split.vectors, loss->split.rows,
            activations);
    if (status == UNSEEN_OK)
        *out = loss;
    else
        us_position_loss_destroy(loss);
    return status;
}

void us_position_loss_destroy(us_position_loss *loss) {
    if (!loss) return;
    us_kernel_destroy(loss->each);
    us_kernel_destroy(loss->sum);
    us_buffer_destroy(loss->parts);
    free(loss);
}

unseen_status us_position_loss_run(us_position_loss *loss, const us_position_loss_args *args,
                                   unseen_error *error) {
    const double scale = 1 / (loss->positions * args->n);
    US_TRY(us_kernel_run(loss->each, loss->split.groups, error, "bbbbif", args->y, args->mask,
                         args->dy, loss->parts, args->n, scale));
    return us_kernel_run(loss->sum, (size_t[]){1, 1, 1}, error, "bbiif", loss->parts, args->losses,
                         args->slot, args->n, scale);
}

/* ---- scores and maps ---- */

struct us_position_score {
    us_kernel *evidence, *map;
    us_pixel_score *top; /* of values of each position instead of a pixel's error */
    us_buffer *values;   /* [inner positions][batch] */
    split inner, pixels;
};

static int inner_rim(us_shape grid, int rim) {
    const int side = grid.height < grid.width ? grid.height : grid.width;
    return rim < (side - 1) / 2 ? rim : (side - 1) / 2;
}

static unseen_status create_kernels(us_device *device, us_shape grid, us_shape image, int rim,
                                    int batch, us_position_score *score, unseen_error *error) {
    const char *const names[] = {"position_evidence", "position_map"};
    us_kernel **const kernels[] = {&score->evidence, &score->map};
    const split *const splits[] = {&score->inner, &score->pixels};
    const us_build build = {.device = device, .label.pass = US_PASS_SCORE};
    for (int i = 0; i < 2; i++)
        US_TRY(us_kernel_create(&build, "positions", names[i], kernels[i], error,
                                "-DGRID_HEIGHT=%d -DGRID_WIDTH=%d -DHEIGHT=%d -DWIDTH=%d "
                                "-DBATCH=%d -DRIM=%d -DVECTORS=%d -DROWS=%d",
                                grid.height, grid.width, image.height, image.width, batch, rim,
                                splits[i]->vectors, splits[i]->rows));
    return UNSEEN_OK;
}

unseen_status us_position_score_create(us_device *device, us_shape grid, us_shape image, int rim,
                                       double top, int batch, us_position_score **out,
                                       unseen_error *error) {
    *out = NULL;
    us_position_score *score = calloc(1, sizeof *score);
    if (!score) return us_fail_memory(error, "scores of positions");
    rim = inner_rim(grid, rim);
    const us_shape inner = {1, grid.height - 2 * rim, grid.width - 2 * rim};
    const int count = inner.height * inner.width, top_k = (int)ceil(top * count);
    score->inner = split_of(&device->facts, count, batch);
    score->pixels = split_of(&device->facts, image.height * image.width, batch);
    unseen_status status = create_kernels(device, grid, image, rim, batch, score, error);
    if (status == UNSEEN_OK)
        status = us_pixel_score_create(device, US_PIXEL_SCORE_TOP_K, top_k > 1 ? top_k : 1, inner,
                                       batch, &score->top, error);
    if (status == UNSEEN_OK)
        status = us_buffer_create(device, (size_t)count * (size_t)batch * sizeof(float),
                                  "evidence of defects", &score->values, error);
    if (status == UNSEEN_OK)
        *out = score;
    else
        us_position_score_destroy(score);
    return status;
}

void us_position_score_destroy(us_position_score *score) {
    if (!score) return;
    us_kernel_destroy(score->evidence);
    us_kernel_destroy(score->map);
    us_pixel_score_destroy(score->top);
    us_buffer_destroy(score->values);
    free(score);
}

unseen_status us_position_score_run(us_position_score *score, us_buffer *y, us_buffer *scores,
                                    unseen_error *error) {
    US_TRY(us_kernel_run(score->evidence, score->inner.groups, error, "bb", y, score->values));
    const us_errors values = {.buffer = score->values, .count = 1};
    return us_pixel_score_run(score->top, NULL, NULL, &values, scores, error);
}

unseen_status us_position_score_map(us_position_score *score, us_buffer *out, unseen_error *error) {
    return us_kernel_run(score->map, score->pixels.groups, error, "bb", score->values, out);
}
