/* SPDX-License-Identifier: MIT */
/* Weight gradients as matrix products on matrix units, on devices that have some. Twin of
 * cl_kernels/weight_gradient_matrix_units.cl. */
#include "ops/matrix_units.h"

#include <math.h>
#include <stdio.h>

#include "ops/convolution/weight_gradient_tiled.h"

typedef struct tiles {
    int rows, columns, slab, item_rows, item_columns; /* as of us_tile */
    int splits;                                       /* of the slabs */
} tiles;

static us_tile tile_of(const us_convolution_problem *p, const tiles *t) {
    return (us_tile){t->rows,         t->columns, t->slab, t->item_rows,
                     t->item_columns, 1,          0,       us_matrix_products(p->precision)};
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const tiles *t = parameters;
    const us_tile tile = tile_of(p, t);
    return us_gradient_tile_valid(device, p, &tile, t->splits) &&
           us_matrix_tile_valid(device, &tile, p->precision);
}

/* Splits for a tile; the cycles that it takes, which are infinite where the device cannot compute
 * it. */
static double complete(const us_device_facts *device, const us_convolution_problem *p, tiles *t) {
    t->splits = 1;
    if (!valid(device, p, t)) return INFINITY;
    const us_tile tile = tile_of(p, t);
    return us_gradient_tile_best(device, p, &tile, us_matrix_cycles, &t->splits);
}

/* Shapes that are good somewhere: see matrix_units.c. Rows need not be a power of two, as those of
 * 3 channels and 25 taps. */
static const tiles shapes[] = {
    {128, 128, 16, 8, 8, 0}, {64, 128, 16, 8, 8, 0}, {128, 64, 16, 8, 8, 0},
    {64, 64, 16, 8, 8, 0},   {64, 64, 16, 4, 8, 0},  {64, 32, 16, 4, 8, 0},
    {32, 64, 16, 4, 8, 0},   {32, 32, 16, 4, 4, 0},  {48, 64, 16, 6, 8, 0},
    {128, 32, 16, 8, 8, 0},  {80, 64, 16, 10, 4, 0}, {128, 128, 32, 8, 8, 0},
    {64, 128, 32, 8, 8, 0},  {64, 64, 32, 4, 8, 0},  {128, 128, 16, 8, 16, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static double fastest(const us_device_facts *device, const us_convolution_problem *p, tiles *to) {
    double best = INFINITY;
    for (int i = 0; i < SHAPES; i++) {
        tiles t = shapes[i];
        if (t.item_rows * t.item_columns > us_matrix_most_sums(device)) continue;
        double cycles = complete(device, p, &t);
        if (cycles >= best) continue;
        best = cycles;
        *to = t;
    }
    return best;
}

static bool is_offered(const us_device_facts *device, const us_convolution_problem *p) {
    return device->matrix_units != US_MATRIX_UNITS_NONE && p->pass == US_CONVOLUTION_WEIGHTS;
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
           isfinite(fastest(device, p, parameters));
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    const us_convolution_problem *p = problem;
    tiles *t = parameters;
    if (!is_offered(device, p) || index > SHAPES) return false;
    if (index == 0) return isfinite(fastest(device, p, t));
    *t = shapes[index - 1];
    if (isinf(complete(device, p, t))) *t = (tiles){0};
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    (void)parameters;
    switch (offset) {
    case offsetof(tiles, rows):
    case offsetof(tiles, columns):
        return us_matrix_side_choices(list);
    case offsetof(tiles, slab):
        return us_matrix_slab_choices(((const us_convolution_problem *)problem)->precision, list);
    case offsetof(tiles, item_rows):
    case offsetof(tiles, item_columns):
        return us_matrix_item_choices(offset == offsetof(tiles, item_rows), list);
    default:
        return us_gradient_split_choices(device, problem, list);
    }
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    const tiles *t = parameters;
    const us_tile tile = tile_of(problem, t);
    return us_gradient_tile_cycles(device, problem, &tile, us_matrix_cycles, t->splits);
}

static unseen_status create(const us_build *build, const us_convolution_problem *p,
                            const void *parameters, void **state, unseen_error *error) {
    const tiles *t = parameters;
    char options[US_MATRIX_OPTIONS];
    us_matrix_options(&build->device->facts, p->precision, options);
    const us_gradient_tiling tiling = {"weight_gradient_matrix_units", options, tile_of(p, t),
                                       t->splits};
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
    .parameters = {US_PARAMETER(tiles, rows), US_PARAMETER(tiles, columns),
                   US_PARAMETER(tiles, slab), US_PARAMETER(tiles, item_rows),
                   US_PARAMETER(tiles, item_columns), US_PARAMETER(tiles, splits)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
