/* SPDX-License-Identifier: MIT */
/* Dense products on GPUs: an item adds up a few rows of a column. Twin of cl_kernels/dense.cl. */
#include "base/arithmetic.h"
#include "ops/dense/kernels.h"

typedef struct lanes {
    int tile_rows;    /* of the product of an item, at most all */
    int tile_vectors; /* columns of an item, a work-group's size apart */
    int slice;        /* terms of the sums that an item adds up, at most all */
} lanes;

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum {
        TILE_ROWS = 8,
        ITEMS = 1024, /* wanted per compute unit, to hide its latencies */
        LEAST_SLICE = 64
    };
    const us_product_problem *p = problem;
    lanes *l = parameters;
    if (device->execution != US_EXECUTION_LANES) return false;
    const us_product_size size = us_product_sizes(device, p);
    l->tile_rows = us_product_rows_per_tile(size.rows, TILE_ROWS);
    l->tile_vectors = 1;
    l->slice = size.terms;
    if (p->form == US_PRODUCT_WEIGHT) return true;
    /* Where rows and columns make too few items, the sums are cut. */
    const int64_t items = (int64_t)us_divide_up(size.rows, l->tile_rows) * size.width;
    int64_t slices = (int64_t)device->compute_units * ITEMS / items;
    if (slices < 1) slices = 1;
    const int slice = us_divide_up(size.terms, (int)slices);
    l->slice = us_smaller(size.terms, slice > LEAST_SLICE ? slice : LEAST_SLICE);
    return true;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const lanes *l = parameters;
    return device->execution == US_EXECUTION_LANES &&
           us_product_valid_tile(device, problem, l->tile_rows, l->tile_vectors) &&
           us_product_valid_slice(device, problem, l->slice);
}

/* The default, and tiles of shapes that are good on some device or other. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    static const int tiles[][2] = {{12, 2}, {8, 3}, {6, 4}, {8, 1}};
    lanes *l = parameters;
    if (index > (int)(sizeof tiles / sizeof *tiles) || !defaults(device, problem, parameters))
        return false;
    if (index == 0) return true;
    const us_product_size size = us_product_sizes(device, problem);
    l->tile_rows = us_tiles_even(size.rows, tiles[index - 1][0]);
    l->tile_vectors =
        us_tiles_even(us_product_row_vectors(device, size.width), tiles[index - 1][1]);
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    const us_product_size size = us_product_sizes(device, problem);
    (void)parameters;
    switch (offset) {
    case offsetof(lanes, tile_rows):
        return us_tiles_choices(size.rows, US_PRODUCT_MOST_ROWS, list);
    case offsetof(lanes, tile_vectors):
        return us_tiles_choices(us_product_row_vectors(device, size.width), US_PRODUCT_MOST_VECTORS,
                                list);
    default:
        return us_product_slice_choices(problem, size.terms, list);
    }
}

static unseen_status create(const us_build *build, const us_product_problem *problem,
                            const void *parameters, void **state, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const lanes *l = parameters;
    const us_product_size size = us_product_sizes(device, problem);
    const us_product_launch launch = {
        .cut = {.tile_rows = l->tile_rows, .tile_vectors = l->tile_vectors, .slice = l->slice},
        .columns =
            (size_t)us_divide_up(us_product_row_vectors(device, size.width), l->tile_vectors),
        .rows = (size_t)us_divide_up(size.rows, l->tile_rows),
    };
    return us_product_kernels_create(build, problem, &launch, state, error);
}

static const us_product_implementation implementation = {
    .create = create,
    .destroy = us_product_kernels_destroy,
    .run = us_product_kernels_run,
};

const us_algorithm us_product_lanes = {
    .name = "lanes",
    .sources = {"dense"},
    .parameters = {US_PARAMETER(lanes, tile_rows), US_PARAMETER(lanes, tile_vectors),
                   US_PARAMETER(lanes, slice)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .implementation = &implementation,
};
