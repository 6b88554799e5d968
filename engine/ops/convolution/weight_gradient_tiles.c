/* SPDX-License-Identifier: MIT */
/* Weight gradients as matrix products by tiles in local memory, on GPUs. Twin of
 * cl_kernels/weight_gradient_tiles.cl. */
#include "ops/tiles.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/convolution/weight_gradient.h"

typedef struct tiles {
    int rows, columns, slab, item_rows, item_columns, slices; /* as of us_tile */
    int splits;                                               /* of the slabs */
} tiles;

static us_tile tile_of(const tiles *t) {
    enum { REGISTERS = 104 }; /* of an item beside its sums: quads of both factors, addresses */
    return (us_tile){t->rows,         t->columns, t->slab,  t->item_rows,
                     t->item_columns, t->slices,  REGISTERS};
}

/* Of the matrix: large channels and taps. */
static int64_t count_rows(const us_convolution_problem *p) {
    return (int64_t)p->large.channels * p->kernel[0] * p->kernel[1];
}

static int64_t count_tiles(const us_convolution_problem *p, const tiles *t) {
    return (int64_t)us_divide_up(count_rows(p), t->rows) *
           us_divide_up(p->small.channels, t->columns);
}

/* ---- what is possible ---- */

/* The kernel counts floats of a side, and of channels that pad a tile, in an int. */
static bool counts_in_int(us_shape side, int batch) {
    enum { PADDED = 256 };
    double pixels = (double)side.height * side.width * batch;
    return (side.channels + PADDED) * pixels <= INT_MAX;
}

static bool is_possible(const us_convolution_problem *p) {
    return p->pass == US_CONVOLUTION_WEIGHTS && p->batch % 4 == 0 &&
           counts_in_int(p->large, p->batch) && counts_in_int(p->small, p->batch);
}

static size_t local_bytes(const tiles *t) {
    enum { ROOM = 4 }; /* floats that keep rows in other banks */
    const us_tile tile = tile_of(t);
    size_t slabs = us_tile_local_bytes(&tile, ROOM);
    size_t sums = t->slices > 1 ? (size_t)t->rows * (size_t)t->columns * sizeof(float) : 0;
    return slabs > sums ? slabs : sums;
}

static int64_t count_slabs(const us_device_facts *device, const us_convolution_problem *p,
                           const tiles *t) {
    return (int64_t)p->small.height * p->small.width *
           (us_device_occupied(device, p->batch) / t->slab);
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const tiles *t = parameters;
    const us_tile tile = tile_of(t);
    if (!is_possible(p) || !us_tile_valid(device, &tile) ||
        us_device_occupied(device, p->batch) % t->slab != 0)
        return false;
    /* Each item copies the same quads of all rows, and has the same of all slices. */
    if (us_tile_items(&tile) % (t->slab / 4) != 0 || t->slab % (4 * t->slices) != 0) return false;
    return local_bytes(t) <= device->local_bytes && t->splits <= count_slabs(device, p, t) &&
           us_weight_gradient_valid_splits(device, p, t->splits);
}

/* ---- what is fast ---- */

/* Of a tile's slabs, those that the kernel goes through: it leaves out pixels where the one tap of
 * a tile is beyond the border. Twin of ONE_TAP in the kernel. */
static double share_of_slabs(const us_convolution_problem *p, const tiles *t) {
    if (p->large.channels % t->rows != 0) return 1;
    double taps = (double)us_convolution_pairs(p, 0) * (double)us_convolution_pairs(p, 1);
    return taps / p->kernel[0] / p->kernel[1] / p->small.height / p->small.width;
}

static us_tiled_product product_of(const us_device_facts *device, const us_convolution_problem *p,
                                   const tiles *t) {
    const double slabs = (double)count_slabs(device, p, t);
    return (us_tiled_product){
        .tiles = count_tiles(p, t),
        .slabs = slabs * share_of_slabs(p, t),
        .most_slabs = slabs,
        .outputs = (double)us_convolution_weights(p),
        .inputs = (double)(us_shape_size(p->large) + us_shape_size(p->small)) * p->batch,
        .splits = t->splits,
    };
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_tile tile = tile_of(parameters);
    const us_tiled_product product = product_of(device, problem, parameters);
    return us_tile_cycles(device, &tile, &product);
}

/* Splits for a tile; false: the device cannot compute it. fewest: cycles that it takes. */
static bool complete(const us_device_facts *device, const us_convolution_problem *p, tiles *t,
                     double *fewest) {
    const int occupied = us_device_occupied(device, p->batch);
    while (t->slab > 4 * t->slices &&
           (occupied % t->slab != 0 || local_bytes(t) > device->local_bytes))
        t->slab /= 2;
    t->splits = 1;
    if (!valid(device, p, t)) return false;
    const us_tile tile = tile_of(t);
    us_tiled_product product = product_of(device, p, t);
    int most = US_TILE_MOST_SPLITS;
    while (most > 1 && !us_weight_gradient_valid_splits(device, p, most))
        most /= 2;
    *fewest = us_tile_best_splits(device, &tile, &product, most);
    t->splits = product.splits;
    return isfinite(*fewest);
}

/* Shapes that are good somewhere: see tiles.c. Rows need not be a power of two, as those of 3
 * channels and 25 taps. */
static const tiles shapes[] = {
    {128, 128, 16, 8, 8, 1, 0}, {64, 128, 16, 8, 8, 1, 0}, {128, 64, 16, 8, 8, 1, 0},
    {64, 64, 16, 8, 8, 1, 0},   {64, 64, 32, 8, 8, 4, 0},  {80, 64, 16, 5, 8, 1, 0},
    {80, 64, 16, 5, 8, 2, 0},   {64, 48, 16, 8, 6, 2, 0},  {48, 24, 32, 6, 6, 4, 0},
    {48, 12, 32, 6, 6, 4, 0},   {128, 64, 16, 8, 4, 1, 0}, {64, 64, 16, 8, 4, 1, 0},
    {64, 32, 16, 8, 4, 1, 0},   {32, 32, 16, 4, 4, 1, 0},  {48, 24, 16, 6, 4, 2, 0},
    {64, 4, 32, 4, 4, 4, 0},    {48, 12, 64, 6, 6, 8, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Sums of an item: what the registers hold, beside quads of both factors. Of AMD's wavefronts of
 * 32, compilers give an item 128 only. */
static int most_sums(const us_device_facts *device) {
    if (device->vendor == US_VENDOR_AMD) return device->group_size == 32 ? 48 : 64;
    return device->vendor == US_VENDOR_NVIDIA ? 64 : 32;
}

static double fastest(const us_device_facts *device, const us_convolution_problem *p, tiles *to) {
    double best = INFINITY, fewest;
    for (int i = 0; i < SHAPES; i++) {
        tiles t = shapes[i];
        if (t.item_rows * t.item_columns > most_sums(device) || !complete(device, p, &t, &fewest) ||
            fewest >= best)
            continue;
        best = fewest;
        *to = t;
    }
    return best;
}

/* Fewer channels than the narrowest tile has columns leave nothing to share. That tiles are better
 * for few weights, too, was measured on NVIDIA's GPUs alone. */
static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum { LEAST_COLUMNS = 4 };
    const us_convolution_problem *p = problem;
    const bool suits = device->vendor == US_VENDOR_NVIDIA
                           ? p->small.channels >= LEAST_COLUMNS
                           : us_convolution_weights(p) > US_GRADIENT_FEW_WEIGHTS;
    return us_device_is_gpu(device) && is_possible(p) && suits &&
           isfinite(fastest(device, p, parameters));
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    const us_convolution_problem *p = problem;
    tiles *t = parameters;
    double fewest;
    if (!us_device_is_gpu(device) || !is_possible(p) || index > SHAPES) return false;
    if (index == 0) return isfinite(fastest(device, p, t));
    *t = shapes[index - 1];
    if (!complete(device, p, t, &fewest)) *t = (tiles){0};
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    static const int sides[] = {4, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256};
    static const int item_sides[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16};
    const us_convolution_problem *p = problem;
    int count = 0;
    (void)parameters;
    switch (offset) {
    case offsetof(tiles, rows):
    case offsetof(tiles, columns):
        for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
            count = us_choices_add(list, count, sides[i]);
        return count;
    case offsetof(tiles, item_rows):
    case offsetof(tiles, item_columns):
        for (size_t i = 0; i < sizeof item_sides / sizeof *item_sides; i++)
            count = us_choices_add(list, count, item_sides[i]);
        return count;
    case offsetof(tiles, slab):
        for (int slab = 4; slab <= 32; slab *= 2)
            count = us_choices_add(list, count, slab);
        return count;
    case offsetof(tiles, slices):
        return us_powers_choices(8, list);
    default:
        count = us_powers_choices(us_smaller((int64_t)p->small.height * p->small.width *
                                                 us_device_occupied(device, p->batch) / 4,
                                             US_GRADIENT_MOST_SPLITS),
                                  list);
        while (count > 1 && !us_weight_gradient_valid_splits(device, p, list[count - 1]))
            count--;
        return count;
    }
}

/* ---- running ---- */

static unseen_status create(const us_build *build, const us_convolution_problem *p,
                            const void *parameters, void **state, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const tiles *t = parameters;
    const us_tile tile = tile_of(t);
    us_weight_gradient *made = calloc(1, sizeof *made);
    *state = made;
    if (!made) return us_fail_memory(error, "a convolution's gradient");
    made->problem = *p;
    made->groups = (size_t)count_tiles(p, t);
    made->items = (size_t)us_tile_items(&tile);
    made->splits = t->splits;
    made->launch = us_weight_gradient_launch_groups;
    char bias[US_BIAS_OPTIONS];
    made->bias_groups = us_bias_options(device, p, made->items, bias);
    US_TRY(us_kernel_create(
        build, "weight_gradient_tiles", "weight_gradient_tiles", &made->kernel, error,
        "-DLARGE_CHANNELS=%d -DLARGE_HEIGHT=%d -DLARGE_WIDTH=%d -DSMALL_CHANNELS=%d "
        "-DSMALL_HEIGHT=%d -DSMALL_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DKERNEL_H=%d -DKERNEL_W=%d "
        "-DSTRIDE_Y=%d -DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DLARGE_STRIDE=%zu "
        "-DTAP_STRIDE=%zu -DSMALL_STRIDE=%zu -DWEIGHTS=%zu -DGROUP_ROWS=%d -DGROUP_COLUMNS=%d "
        "-DSLAB=%d -DTILE_ROWS=%d -DTILE_COLUMNS=%d -DSLICES=%d -DSPLITS=%d %s",
        p->large.channels, p->large.height, p->large.width, p->small.channels, p->small.height,
        p->small.width, p->batch, us_device_occupied(device, p->batch), p->kernel[0], p->kernel[1],
        p->stride[0], p->stride[1], p->padding[0], p->padding[1], p->large_stride, p->tap_stride,
        p->small_stride, us_convolution_weights(p), t->rows, t->columns, t->slab, t->item_rows,
        t->item_columns, t->slices, t->splits, bias));
    return us_weight_gradient_prepare(build, made, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_weight_gradient_destroy,
    .parts = us_weight_gradient_parts,
    .run = us_weight_gradient_run,
};

const us_algorithm us_weight_gradient_tiles = {
    .name = "weight_gradient_tiles",
    .sources = {"weight_gradient_tiles"},
    .parameters = {US_PARAMETER(tiles, rows), US_PARAMETER(tiles, columns),
                   US_PARAMETER(tiles, slab), US_PARAMETER(tiles, item_rows),
                   US_PARAMETER(tiles, item_columns), US_PARAMETER(tiles, slices),
                   US_PARAMETER(tiles, splits)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
