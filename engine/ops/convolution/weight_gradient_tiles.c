/* SPDX-License-Identifier: MIT */
/* Weight gradients as matrix products by tiles in local memory, on GPUs. Twin of
 * cl_kernels/weight_gradient_tiles.cl. */
#include <math.h>
#include <stdio.h>

#include "base/arithmetic.h"
#include "ops/convolution/weight_gradient_tiled.h"

static us_tile tile_of(const us_device_facts *device, const us_convolution_problem *p,
                       const us_gradient_tiles *t) {
    enum { REGISTERS = 104 }; /* of an item beside its sums: quads of both factors, addresses */
    (void)device, (void)p;
    return (us_tile){t->rows,   t->columns, t->slab, t->item_rows, t->item_columns, t->slices,
                     REGISTERS, 0,          1};
}

/* ---- what is possible ---- */

static size_t local_bytes(const us_gradient_tiles *t) {
    enum { ROOM = 4 }; /* floats that keep rows in other banks */
    const us_tile tile = tile_of(NULL, NULL, t);
    size_t slabs = us_tile_local_bytes(&tile, ROOM);
    size_t sums = t->slices > 1 ? (size_t)t->rows * (size_t)t->columns * sizeof(float) : 0;
    return slabs > sums ? slabs : sums;
}

/* Each item has the same quads of all slices. */
static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_gradient_tiles *t = parameters;
    const us_tile tile = tile_of(device, problem, t);
    return us_gradient_tile_valid(device, problem, &tile, t->splits) &&
           t->slab % (4 * t->slices) == 0 && local_bytes(t) <= device->local_bytes;
}

/* ---- what is fast ---- */

static void fit(const us_device_facts *device, const us_convolution_problem *p,
                us_gradient_tiles *t) {
    const int occupied = us_device_occupied(device, p->batch);
    while (t->slab > 4 * t->slices &&
           (occupied % t->slab != 0 || local_bytes(t) > device->local_bytes))
        t->slab /= 2;
}

/* Shapes that are good somewhere: see tiles.c. Rows need not be a power of two, as those of 3
 * channels and 25 taps. */
static const us_gradient_tiles shapes[] = {
    {128, 128, 16, 8, 8, 1, 0}, {64, 128, 16, 8, 8, 1, 0}, {128, 64, 16, 8, 8, 1, 0},
    {64, 64, 16, 8, 8, 1, 0},   {64, 64, 32, 8, 8, 4, 0},  {80, 64, 16, 5, 8, 1, 0},
    {80, 64, 16, 5, 8, 2, 0},   {64, 48, 16, 8, 6, 2, 0},  {48, 24, 32, 6, 6, 4, 0},
    {48, 12, 32, 6, 6, 4, 0},   {128, 64, 16, 8, 4, 1, 0}, {64, 64, 16, 8, 4, 1, 0},
    {64, 32, 16, 8, 4, 1, 0},   {32, 32, 16, 4, 4, 1, 0},  {48, 24, 16, 6, 4, 2, 0},
    {64, 4, 32, 4, 4, 4, 0},    {48, 12, 64, 6, 6, 8, 0},
};

/* Sums of an item: what the registers hold, beside quads of both factors. Of AMD's wavefronts of
 * 32, compilers give an item 128 only. */
static int most_sums(const us_device_facts *device) {
    if (device->vendor == US_VENDOR_AMD) return device->group_size == 32 ? 48 : 64;
    return device->vendor == US_VENDOR_NVIDIA ? 64 : 32;
}

static const us_gradient_kind kind = {
    .tile_of = tile_of,
    .valid = valid,
    .fit = fit,
    .cycles = us_tile_cycles,
    .shapes = shapes,
    .shape_count = sizeof shapes / sizeof *shapes,
    .most_sums = most_sums,
};

/* Fewer channels than the narrowest tile has columns leave nothing to share. That tiles are better
 * for few weights, too, was measured on NVIDIA's GPUs alone. */
static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum { LEAST_COLUMNS = 4 };
    const us_convolution_problem *p = problem;
    const bool suits = device->vendor == US_VENDOR_NVIDIA
                           ? p->small.channels >= LEAST_COLUMNS
                           : us_convolution_weights(p) > US_GRADIENT_FEW_WEIGHTS;
    return us_device_is_gpu(device) && p->pass == US_CONVOLUTION_WEIGHTS && suits &&
           isfinite(us_gradient_fastest(&kind, device, p, parameters));
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    return us_gradient_cycles(&kind, device, problem, parameters);
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    return us_device_is_gpu(device) && us_gradient_start(&kind, device, problem, index, parameters);
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    static const int sides[] = {4, 8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 128, 192, 256};
    static const int item_sides[] = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16};
    int count = 0;
    (void)parameters;
    switch (offset) {
    case offsetof(us_gradient_tiles, rows):
    case offsetof(us_gradient_tiles, columns):
        for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
            count = us_choices_add(list, count, sides[i]);
        return count;
    case offsetof(us_gradient_tiles, item_rows):
    case offsetof(us_gradient_tiles, item_columns):
        for (size_t i = 0; i < sizeof item_sides / sizeof *item_sides; i++)
            count = us_choices_add(list, count, item_sides[i]);
        return count;
    case offsetof(us_gradient_tiles, slab):
        for (int slab = 4; slab <= 32; slab *= 2)
            count = us_choices_add(list, count, slab);
        return count;
    case offsetof(us_gradient_tiles, slices):
        return us_powers_choices(8, list);
    default:
        return us_gradient_split_choices(device, problem, list);
    }
}

/* ---- running ---- */

static unseen_status create(const us_build *build, const us_convolution_problem *p,
                            const void *parameters, void **state, unseen_error *error) {
    const us_gradient_tiles *t = parameters;
    char options[32];
    snprintf(options, sizeof options, "-DSLICES=%d", t->slices);
    const us_gradient_tiling tiling = {"weight_gradient_tiles", options,
                                       tile_of(&build->device->facts, p, t), t->splits};
    return us_gradient_tile_create(build, p, &tiling, state, error);
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
    .parameters = {US_PARAMETER(us_gradient_tiles, rows), US_PARAMETER(us_gradient_tiles, columns),
                   US_PARAMETER(us_gradient_tiles, slab),
                   US_PARAMETER(us_gradient_tiles, item_rows),
                   US_PARAMETER(us_gradient_tiles, item_columns),
                   US_PARAMETER(us_gradient_tiles, slices),
                   US_PARAMETER(us_gradient_tiles, splits)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
