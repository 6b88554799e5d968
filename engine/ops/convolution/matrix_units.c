/* SPDX-License-Identifier: MIT */
/* Convolutions as matrix products on matrix units, on devices that have some, for many channels.
 * Twin of cl_kernels/convolution_matrix_units.cl. */
#include "ops/matrix_units.h"

#include <math.h>
#include <stdio.h>

#include "device/matrix_units.h"
#include "ops/convolution/tiled.h"

static us_tile tile_of(const us_device_facts *device, const us_convolution_problem *p,
                       const us_tiled *t) {
    return us_matrix_tile(device, p->precision,
                          (us_tile){.rows = t->rows,
                                    .columns = t->columns,
                                    .slab = t->slab,
                                    .item_rows = t->item_rows,
                                    .item_columns = t->item_columns});
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const us_tile tile = tile_of(device, p, parameters);
    return us_tiled_valid(device, p, parameters) && us_matrix_tile_valid(device, &tile);
}

/* Shapes that are good somewhere, with rows and columns of a warp for those of an item: warps of 64
 * x 32, fewer sums for few channels, and twice as many which read less of local memory. Slabs are
 * of 16 words at first. */
static const us_tiled shapes[] = {
    {128, 128, 16, 64, 32, 0, 0}, {64, 128, 16, 64, 32, 0, 0},  {128, 64, 16, 64, 32, 0, 0},
    {64, 64, 16, 64, 32, 0, 0},   {64, 64, 16, 32, 32, 0, 0},   {48, 128, 16, 48, 32, 0, 0},
    {32, 128, 16, 32, 32, 0, 0},  {32, 64, 16, 32, 32, 0, 0},   {32, 32, 16, 32, 16, 0, 0},
    {16, 128, 16, 16, 32, 0, 0},  {128, 128, 32, 64, 32, 0, 0}, {64, 128, 32, 64, 32, 0, 0},
    {64, 64, 32, 32, 32, 0, 0},   {128, 128, 16, 64, 64, 0, 0},
};

static void fit(const us_device_facts *device, const us_convolution_problem *p, us_tiled *t) {
    us_matrix_fit(device, p->precision, &t->slab, &t->item_rows, &t->item_columns);
}

static int sum_entries(const us_device_facts *device, const us_tiled *t) {
    const us_matrix_unit *unit = us_matrix_unit_of(device->matrix_units);
    return t->columns / (unit->items_wide * t->item_columns) * (unit->lines / 4);
}

static const us_tiled_kind kind = {
    .kernel = "convolution_matrix_units",
    .tile_of = tile_of,
    .valid = valid,
    .fit = fit,
    .cycles = us_matrix_cycles,
    .shapes = shapes,
    .shape_count = sizeof shapes / sizeof *shapes,
    .most_sums = us_matrix_most_sums,
    .sum_entries = sum_entries,
};

static bool is_offered(const us_device_facts *device, const us_convolution_problem *p) {
    return us_precision_products(device, p->precision) > 0 && p->pass != US_CONVOLUTION_WEIGHTS;
}

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum { LEAST_ROWS = 16 }; /* of which the units take as many */
    const us_convolution_problem *p = problem;
    return is_offered(device, p) && us_convolution_out(p).channels >= LEAST_ROWS &&
           isfinite(us_tiled_fastest(&kind, device, p, parameters));
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    return is_offered(device, problem) && us_tiled_start(&kind, device, problem, index, parameters);
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    switch (offset) {
    case offsetof(us_tiled, rows):
    case offsetof(us_tiled, columns):
        return us_matrix_side_choices(list);
    case offsetof(us_tiled, slab):
        return us_matrix_slab_choices(((const us_convolution_problem *)problem)->precision, list);
    case offsetof(us_tiled, item_rows):
    case offsetof(us_tiled, item_columns):
        return us_matrix_item_choices(device, offset == offsetof(us_tiled, item_rows), list);
    default:
        return us_tiled_choices(device, problem, parameters, offset, list);
    }
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    return us_tiled_cycles(&kind, device, problem, parameters);
}

static unseen_status create(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **state, unseen_error *error) {
    _Static_assert((int)US_MATRIX_OPTIONS == (int)US_TILED_OPTIONS, "options fit");
    char options[US_TILED_OPTIONS];
    us_matrix_options(&build->device->facts, problem->precision, options);
    return us_tiled_create(&kind, build, problem, parameters, options, state, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_tiled_destroy,
    .packed_bytes = us_tiled_packed_bytes,
    .pack = us_tiled_pack,
    .run = us_tiled_run,
};

const us_algorithm us_convolution_matrix_units = {
    .name = "matrix_units",
    .sources = {"convolution_matrix_units"},
    .parameters = US_TILED_PARAMETERS,
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
