/* SPDX-License-Identifier: MIT */
/* Convolutions as matrix products by tiles in local memory, on GPUs, for many channels. Twin of
 * cl_kernels/convolution_tiles.cl. */
#include <math.h>
#include <stdio.h>

#include "base/arithmetic.h"
#include "ops/convolution/tiled.h"

static us_tile tile_of(const us_device_facts *device, const us_convolution_problem *p,
                       const us_tiled *t) {
    enum { REGISTERS = 72 }; /* of an item beside its sums: quads of both factors, addresses */
    (void)device, (void)p;
    return (us_tile){t->rows,   t->columns, t->slab, t->item_rows, t->item_columns, 1,
                     REGISTERS, 0,          1};
}

/* Whether each item copies the same quads of all lines that it copies. */
static bool copies_evenly(const us_convolution_problem *p, const us_tiled *t, int items) {
    int quads = (us_tiled_layout(p).row_stride == 1 ? t->rows : t->slab) / 4;
    return items % quads == 0 && items % (t->columns / 4) == 0;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    enum { ROOM = 4 }; /* floats that keep terms of weights in other banks */
    const us_convolution_problem *p = problem;
    const us_tiled *t = parameters;
    const us_tile tile = tile_of(device, p, t);
    return us_tiled_valid(device, p, t) && us_tile_valid(device, &tile) && t->item_rows % 4 == 0 &&
           t->item_columns % 4 == 0 && copies_evenly(p, t, us_tile_items(&tile)) &&
           us_tile_local_bytes(&tile, 0) + 2 * ROOM * sizeof(float) * (size_t)t->slab <=
               device->local_bytes;
}

/* Shapes that are good somewhere: 8 x 8 sums where local memory is as slow as on NVIDIA's, fewer
 * where registers are; narrow ones for few channels. */
static const us_tiled shapes[] = {
    {128, 128, 8, 8, 8, 0, 0}, {64, 128, 8, 8, 8, 0, 0}, {128, 64, 8, 8, 8, 0, 0},
    {64, 64, 16, 8, 8, 0, 0},  {64, 128, 4, 8, 8, 0, 0}, {48, 128, 8, 8, 8, 0, 0},
    {32, 128, 8, 8, 8, 0, 0},  {128, 64, 8, 8, 4, 0, 0}, {64, 64, 8, 8, 4, 0, 0},
    {48, 64, 8, 8, 4, 0, 0},   {64, 32, 16, 8, 4, 0, 0}, {32, 64, 16, 4, 8, 0, 0},
    {32, 32, 16, 4, 4, 0, 0},  {8, 128, 16, 8, 4, 0, 0}, {4, 128, 8, 4, 4, 0, 0},
};

/* Sums of an item: what the registers hold. Of 64, Intel's compiler puts some in memory; of unknown
 * vendors few registers are expected. */
static int most_sums(const us_device_facts *device) {
    return device->vendor == US_VENDOR_NVIDIA || device->vendor == US_VENDOR_AMD ? 64 : 32;
}

static int sum_entries(const us_device_facts *device, const us_tiled *t) {
    (void)device;
    return t->columns / t->item_columns;
}

static const us_tiled_kind kind = {
    .kernel = "convolution_tiles",
    .tile_of = tile_of,
    .valid = valid,
    .cycles = us_tile_cycles,
    .shapes = shapes,
    .shape_count = sizeof shapes / sizeof *shapes,
    .most_sums = most_sums,
    .sum_entries = sum_entries,
};

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    return us_device_is_gpu(device) &&
           isfinite(us_tiled_fastest(&kind, device, problem, parameters));
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    return us_tiled_cycles(&kind, device, problem, parameters);
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    return us_device_is_gpu(device) && us_tiled_start(&kind, device, problem, index, parameters);
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    static const int sides[] = {4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256};
    int count = 0;
    switch (offset) {
    case offsetof(us_tiled, rows):
    case offsetof(us_tiled, columns):
        for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
            count = us_choices_add(list, count, sides[i]);
        return count;
    case offsetof(us_tiled, slab):
        for (int slab = 4; slab <= 32; slab *= 2)
            count = us_choices_add(list, count, slab);
        return count;
    case offsetof(us_tiled, item_rows):
    case offsetof(us_tiled, item_columns):
        for (int side = 4; side <= 16; side += 4)
            count = us_choices_add(list, count, side);
        return count;
    default:
        return us_tiled_choices(device, problem, parameters, offset, list);
    }
}

static unseen_status create(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **state, unseen_error *error) {
    char options[US_TILED_OPTIONS];
    snprintf(options, sizeof options, "-DFEW_REGISTERS=%d",
             build->device->facts.vendor == US_VENDOR_AMD /* whose compiler reads far ahead */);
    return us_tiled_create(&kind, build, problem, parameters, options, state, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_tiled_destroy,
    .packed_bytes = us_tiled_packed_bytes,
    .pack = us_tiled_pack,
    .run = us_tiled_run,
};

const us_algorithm us_convolution_tiles = {
    .name = "tiles",
    .sources = {"convolution_tiles"},
    .parameters = US_TILED_PARAMETERS,
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
