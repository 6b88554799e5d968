/* SPDX-License-Identifier: MIT */
/* Weight gradients as matrix products on matrix units, on devices that have some. Twin of
 * cl_kernels/weight_gradient_matrix_units.cl. */
#include "ops/matrix_units.h"

#include <math.h>
#include <stdio.h>

#include "ops/convolution/weight_gradient_tiled.h"

static us_tile tile_of(const us_device_facts *device, const us_convolution_problem *p,
                       const us_gradient_tiles *t) {
    return us_matrix_tile(device, p->precision,
                          (us_tile){.rows = t->rows,
                                    .columns = t->columns,
                                    .slab = t->slab,
                                    .item_rows = t->item_rows,
                                    .item_columns = t->item_columns});
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const us_gradient_tiles *t = parameters;
    const us_tile tile = tile_of(device, p, t);
    return us_gradient_tile_valid(device, p, &tile, t->splits) &&
           us_matrix_tile_valid(device, &tile);
}

/* Shapes that are good somewhere: see matrix_units.c. Rows need not be a power of two, as those of
 * 3 channels and 25 taps. */
static const us_gradient_tiles shapes[] = {
    {128, 128, 16, 64, 32, 0, 0}, {64, 128, 16, 64, 32, 0, 0}, {128, 64, 16, 64, 32, 0, 0},
    {64, 64, 16, 64, 32, 0, 0},   {64, 64, 16, 32, 32, 0, 0},  {64, 32, 16, 32, 32, 0, 0},
    {32, 64, 16, 32, 32, 0, 0},   {32, 32, 16, 32, 16, 0, 0},  {48, 64, 16, 48, 32, 0, 0},
    {128, 32, 16, 64, 32, 0, 0},  {80, 64, 16, 80, 16, 0, 0},  {128, 128, 32, 64, 32, 0, 0},
    {64, 128, 32, 64, 32, 0, 0},  {64, 64, 32, 32, 32, 0, 0},  {128, 128, 16, 64, 64, 0, 0},
};

static void fit(const us_device_facts *device, const us_convolution_problem *p,
                us_gradient_tiles *t) {
    us_matrix_fit(device, p->precision, &t->slab, &t->item_rows, &t->item_columns);
}

static const us_gradient_kind kind = {
    .tile_of = tile_of,
    .valid = valid,
    .fit = fit,
    .cycles = us_matrix_cycles,
    .shapes = shapes,
    .shape_count = sizeof shapes / sizeof *shapes,
    .most_sums = us_matrix_most_sums,
};

static bool is_offered(const us_device_facts *device, const us_convolution_problem *p) {
    return us_precision_products(device, p->precision) > 0 && p->pass == US_CONVOLUTION_WEIGHTS;
}

/* Of fewer weights, the kernel for few channels is the faster, unless they fill tiles. */
static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum { LEAST_WEIGHTS = 48 * 64 * 16, LEAST_COLUMNS = 64, LEAST_ROWS = 64 };
    const us_convolution_problem *p = problem;
    const int columns = p->small.channels;
    const int rows = p->large.channels * p->kernel[0] * p->kernel[1];
    return is_offered(device, p) &&
           (us_convolution_weights(p) > LEAST_WEIGHTS ||
            (rows >= LEAST_ROWS && columns >= LEAST_COLUMNS)) &&
           isfinite(us_gradient_fastest(&kind, device, p, parameters));
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    return is_offered(device, problem) &&
           us_gradient_start(&kind, device, problem, index, parameters);
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    (void)parameters;
    switch (offset) {
    case offsetof(us_gradient_tiles, rows):
    case offsetof(us_gradient_tiles, columns):
        return us_matrix_side_choices(list);
    case offsetof(us_gradient_tiles, slab):
        return us_matrix_slab_choices(((const us_convolution_problem *)problem)->precision, list);
    case offsetof(us_gradient_tiles, item_rows):
    case offsetof(us_gradient_tiles, item_columns):
        return us_matrix_item_choices(device, offset == offsetof(us_gradient_tiles, item_rows),
                                      list);
    default:
        return us_gradient_split_choices(device, problem, list);
    }
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    return us_gradient_cycles(&kind, device, problem, parameters);
}

static unseen_status create(const us_build *build, const us_convolution_problem *p,
                            const void *parameters, void **state, unseen_error *error) {
    const us_gradient_tiles *t = parameters;
    char options[US_MATRIX_OPTIONS];
    us_matrix_options(&build->device->facts, p->precision, options);
    const us_gradient_tiling tiling = {"weight_gradient_matrix_units", options,
                                       tile_of(&build->device->facts, p, t), t->splits};
    return us_gradient_tile_create(build, p, &tiling, state, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_weight_gradient_destroy,
    .parts = us_weight_gradient_parts,
    .run = us_weight_gradient_run,
};

const us_algorithm us_weight_gradient_matrix_units = {
    .name = "weight_gradient_matrix_units",
    .sources = {"weight_gradient_matrix_units"},
    .parameters = {US_PARAMETER(us_gradient_tiles, rows), US_PARAMETER(us_gradient_tiles, columns),
                   US_PARAMETER(us_gradient_tiles, slab),
                   US_PARAMETER(us_gradient_tiles, item_rows),
                   US_PARAMETER(us_gradient_tiles, item_columns),
                   US_PARAMETER(us_gradient_tiles, splits)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
