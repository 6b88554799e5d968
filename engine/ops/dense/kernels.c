/* SPDX-License-Identifier: MIT */
#include "ops/dense/kernels.h"

#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/activation.h"

us_product_size us_product_sizes(const us_device_facts *device,
                                 const us_convolution_problem *problem) {
    const int lanes = us_device_occupied(device, problem->batch);
    const int in = problem->large.channels, out = problem->small.channels;
    switch (problem->pass) {
    case US_CONVOLUTION_DOWN:
        return (us_product_size){out, in, lanes};
    case US_CONVOLUTION_UP:
        return (us_product_size){in, out, lanes};
    default:
        return (us_product_size){in, lanes, out};
    }
}

int us_product_rows_per_tile(int rows, int most) {
    if (rows <= most) return rows;
    int best = most;
    int64_t best_cost = INT64_MAX;
    for (int i = most; 3 * i > 2 * most; i--) {
        const int64_t cost = (int64_t)us_divide_up(rows, i) * (i + 1);
        if (cost < best_cost) {
            best = i;
            best_cost = cost;
        }
    }
    return best;
}

int us_product_row_vectors(const us_device_facts *device, int width) {
    return us_divide_up(width, us_device_lanes(device));
}

/* ---- what is possible ---- */

bool us_product_valid_tile(const us_device_facts *device, const us_convolution_problem *problem,
                           int tile_rows, int tile_vectors) {
    const us_product_size size = us_product_sizes(device, problem);
    if (tile_rows < 1 || tile_rows > US_PRODUCT_MOST_ROWS || tile_rows > size.rows ||
        tile_vectors < 1 || tile_vectors > US_PRODUCT_MOST_VECTORS ||
        tile_rows * tile_vectors > US_PRODUCT_MOST_SUMS)
        return false;
    /* Only the weights' gradients may end within a tile. */
    return problem->pass == US_CONVOLUTION_WEIGHTS ||
           us_product_row_vectors(device, size.width) % tile_vectors == 0;
}

bool us_product_valid_slice(const us_device_facts *device, const us_convolution_problem *problem,
                            int slice) {
    const us_product_size size = us_product_sizes(device, problem);
    if (slice < 1 || slice > size.terms) return false;
    /* The weights' gradients are not combined. */
    if (slice == size.terms || problem->pass == US_CONVOLUTION_WEIGHTS) return slice == size.terms;
    const uint64_t sums = (uint64_t)size.rows * (uint64_t)size.width * sizeof(float);
    return (uint64_t)us_divide_up(size.terms, slice) * sums <= device->largest_allocation_bytes / 4;
}

int us_product_slice_choices(const us_convolution_problem *problem, int terms, int *choices) {
    int count = us_choices_add(choices, 0, terms);
    for (int parts = 2; problem->pass != US_CONVOLUTION_WEIGHTS && parts <= 64; parts *= 2)
        if (terms / parts >= US_PRODUCT_LEAST_SLICE)
            count = us_choices_add(choices, count, us_divide_up(terms, parts));
    return count;
}

/* ---- kernels ---- */

/* Columns of whole tiles. */
static int count_columns(const us_device_facts *device, const us_convolution_problem *problem,
                         const us_product_cut *cut) {
    const int tile = cut->tile_vectors * us_device_lanes(device);
    return us_divide_up(us_product_sizes(device, problem).width, tile) * tile;
}

unseen_status us_product_build(const us_build *build, const us_convolution_problem *problem,
                               const us_product_cut *cut, bool compared, const char *name,
                               us_kernel **kernel, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const us_product_size size = us_product_sizes(device, problem);
    const us_convolution_pass pass = problem->pass;
    const bool forward = pass == US_CONVOLUTION_DOWN;
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, problem->activation,
                          compared ? problem->activation : problem->input_activation);
    /* weight is [in][out]; x of the weight's gradient [in][batch] */
    const int a_row = forward                     ? 1
                      : pass == US_CONVOLUTION_UP ? problem->small.channels
                                                  : problem->batch;
    const int a_step = forward ? problem->small.channels : 1;
    const int columns = count_columns(device, problem, cut);
    const bool vectors = device->execution == US_EXECUTION_VECTOR;
    return us_kernel_create(
        build, "dense", name, kernel, error,
        "-DFORM=%d -DM=%d -DR=%d -DCOLUMNS=%d -DL=%d -DBATCH=%d -DA_ROW=%d -DA_STEP=%d "
        "-DBIAS=%d -DTILE_ROWS=%d -DTILE_VECTORS=%d -DSLICE=%d -DITEM_COLUMNS=%d "
        "-DITEM_CHUNKS=%d -DCHUNK_TILES=%d -DBLOCK=%d -DITEM_VECTORS=%d -DBIAS_ROWS=%d "
        "-DCOMPARED=%d %s",
        pass, size.rows, size.terms, columns, size.width, problem->batch, a_row, a_step,
        problem->bias, cut->tile_rows, cut->tile_vectors, cut->slice, cut->item_columns,
        cut->item_chunks, cut->chunk_tiles, cut->block,
        vectors ? columns / us_device_lanes(device) : 1, US_PRODUCT_BIAS_ROWS, compared,
        activations);
}

void us_product_combine_groups(const us_device_facts *device, const us_convolution_problem *problem,
                               const us_product_cut *cut, size_t groups[3]) {
    const int vectors = count_columns(device, problem, cut) / us_device_lanes(device);
    groups[0] = device->execution == US_EXECUTION_LANES ? (size_t)vectors : 1;
    groups[1] = (size_t)us_product_sizes(device, problem).rows;
    groups[2] = 1;
}

/* ---- running ---- */

typedef struct kernels {
    us_device *device;
    us_convolution_pass pass;
    bool bias;
    us_kernel *multiply;
    us_kernel *combine; /* adds slices up and finishes the sums; NULL: there is one slice */
    size_t groups[3], combine_groups[3];
    size_t scratch_bytes; /* of slices; 0: there is one */
    us_errors errors;     /* of comparisons */
} kernels;

/* Slices' sums are combined in [slice][row][column]; those of weight gradients are whole. */
static unseen_status create_kernels(kernels *k, const us_build *build,
                                    const us_convolution_problem *problem,
                                    const us_product_cut *cut, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const us_product_size size = us_product_sizes(device, problem);
    const bool compared = k->errors.count > 0;
    us_buffer *scratch;
    US_TRY(us_product_build(build, problem, cut, compared, "dense_product", &k->multiply, error));
    if (k->groups[2] == 1) return UNSEEN_OK;
    k->scratch_bytes = k->groups[2] * (size_t)size.rows * (size_t)problem->batch * sizeof(float);
    us_product_combine_groups(device, problem, cut, k->combine_groups);
    US_TRY(us_device_scratch(build->device, k->scratch_bytes, &scratch, error));
    return us_product_build(build, problem, cut, compared, "dense_combine", &k->combine, error);
}

unseen_status us_product_kernels_create(const us_build *build,
                                        const us_convolution_problem *problem,
                                        const us_product_launch *launch, void **state,
                                        unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    kernels *k = calloc(1, sizeof *k);
    *state = k;
    if (!k) return us_fail_memory(error, "a dense layer");
    k->device = build->device;
    k->pass = problem->pass;
    k->bias = problem->bias;
    k->groups[0] = launch->columns;
    k->groups[1] = launch->rows;
    k->groups[2] = (size_t)us_divide_up(us_product_sizes(device, problem).terms, launch->cut.slice);
    k->errors.count = launch->error_parts;
    if (k->errors.count > 0)
        US_TRY(us_buffer_create(build->device,
                                (size_t)k->errors.count * (size_t)problem->batch * sizeof(float),
                                "errors of a comparison", &k->errors.buffer, error));
    return create_kernels(k, build, problem, &launch->cut, error);
}

void us_product_kernels_destroy(void *state) {
    kernels *k = state;
    if (!k) return;
    us_kernel_destroy(k->multiply);
    us_kernel_destroy(k->combine);
    us_buffer_destroy(k->errors.buffer);
    free(k);
}

/* c = a b, finished with `extra`. */
static unseen_status multiply(const kernels *k, us_buffer *a, us_buffer *b, us_buffer *extra,
                              us_buffer *c, const us_convolution_args *args, unseen_error *error) {
    us_target none = {0}, *target = &none;
    us_buffer *slices = NULL;
    if (args->target && args->target->image && k->errors.count > 0) {
        target = args->target;
        target->errors = k->errors;
        c = target->dy;
    }
    if (k->combine) US_TRY(us_device_scratch(k->device, k->scratch_bytes, &slices, error));
    US_TRY(us_kernel_run(k->multiply, k->groups, error, "bbbbbbibbfi", a, b, extra, c, slices, NULL,
                         false, target->image, target->errors.buffer, target->scale, args->n));
    if (!k->combine) return UNSEEN_OK;
    return us_kernel_run(k->combine, k->combine_groups, error, "bbb", slices, extra, c);
}

unseen_status us_product_kernels_run(void *state, us_buffer *weights,
                                     const us_convolution_args *args, unseen_error *error) {
    const kernels *k = state;
    if (k->pass == US_CONVOLUTION_DOWN)
        return multiply(k, weights, args->large, args->bias, args->small, args, error);
    if (k->pass == US_CONVOLUTION_UP)
        return multiply(k, weights, args->small, args->input, args->large, args, error);
    return us_kernel_run(k->multiply, k->groups, error, "bbbbbbibbfi", args->large, args->small,
                         NULL, weights, NULL, k->bias ? args->bias : NULL, args->accumulate, NULL,
                         NULL, 0.0, 0);
}
