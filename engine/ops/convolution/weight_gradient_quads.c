/* SPDX-License-Identifier: MIT */
/* The definition of a weight gradient for few channels on GPUs: an item keeps the sums of some
 * small and large channels and taps, over quads of images, in registers. Twin of
 * cl_kernels/weight_gradient_quads.cl. */
#include "ops/tiles.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/convolution/weight_gradient.h"

typedef struct quads {
    int small, large; /* channels of an item, at most those of the side */
    int taps;         /* of a kernel row of an item, at most all */
    int quads;        /* of the batch of a work-group, which divide those of the batch */
    int tiles;        /* of a work-group */
    int slices;       /* of the terms of a work-group */
    int splits;       /* parts that the terms are summed in */
} quads;

enum { IMAGES = 4, MOST_SUMS = 64, MOST_CHANNELS = 24, MOST_QUADS = 32, MOST_TILES = 128 };

static int count_tiles(const us_convolution_problem *p, const quads *q) {
    return us_divide_up(p->small.channels, q->small) * us_divide_up(p->large.channels, q->large) *
           p->kernel[0] * us_divide_up(p->kernel[1], q->taps);
}

static int batch_quads(const us_device_facts *device, const us_convolution_problem *p) {
    return us_device_occupied(device, p->batch) / IMAGES;
}

/* Pixels, as often as a work-group's quads fit into the batch. */
static int64_t count_cells(const us_device_facts *device, const us_convolution_problem *p,
                           const quads *q) {
    return (int64_t)p->small.height * p->small.width * (batch_quads(device, p) / q->quads);
}

static int group_items(const quads *q) {
    return q->quads * q->tiles * q->slices;
}

/* Sums of each item that are in local memory at a time. */
static int shared_sums(const quads *q) {
    return us_smaller(q->small * q->large * q->taps, 8);
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const quads *q = parameters;
    if (p->pass != US_CONVOLUTION_WEIGHTS) return false;
    const int all = us_device_occupied(device, p->batch);
    if (all % IMAGES != 0 || p->batch % IMAGES != 0) return false;
    if (q->small < 1 || q->small > MOST_CHANNELS || q->small > p->small.channels) return false;
    if (q->large < 1 || q->large > MOST_CHANNELS || q->large > p->large.channels) return false;
    if (q->taps < 1 || q->taps > p->kernel[1] || q->small * q->large * q->taps > MOST_SUMS)
        return false;
    if (q->quads < 1 || q->quads > MOST_QUADS || all / IMAGES % q->quads != 0) return false;
    if (q->tiles < 1 || q->tiles > MOST_TILES || q->slices < 1 || q->slices > MOST_TILES)
        return false;
    if (!us_weight_gradient_valid_splits(device, p, q->splits)) return false;
    const int64_t cells = count_cells(device, p, q);
    const size_t local = (size_t)shared_sums(q) * (size_t)group_items(q) * sizeof(float);
    return cells <= INT_MAX / 2 && (int64_t)q->splits * q->slices <= cells &&
           (size_t)group_items(q) <= device->max_group_size && local <= device->local_bytes;
}

/* ---- defaults ---- */

/* Sums of an item, for which it loads the fewest quads; tiles that do not fit count whole. */
static void choose_sums(const us_device_facts *device, const us_convolution_problem *p, quads *q) {
    const int most = device->vendor == US_VENDOR_INTEL ? 24
                     : device->vendor == US_VENDOR_AMD ? 32
                                                       : 48;
    double least = 0;
    quads best = {0};
    q->taps = us_tiles_even(p->kernel[1], 5);
    for (q->large = 1; q->large <= us_smaller(p->large.channels, 8); q->large++) {
        const int sums = q->large * q->taps;
        if (sums > most) break;
        q->small = us_tiles_even(p->small.channels, most / sums);
        double loads =
            (double)count_tiles(p, q) * (q->small + sums + 2.0 * q->small * sums / IMAGES);
        if (best.small > 0 && loads >= least) continue;
        best = *q;
        least = loads;
    }
    *q = best;
}

static int largest_power(int of, int most) {
    int power = 1;
    while (2 * power <= most && of % (2 * power) == 0)
        power *= 2;
    return power;
}

/* Items, with their registers, that a compute unit holds. */
static int held_items(const us_device_facts *device) {
    switch (device->vendor) {
    case US_VENDOR_NVIDIA:
    case US_VENDOR_AMD:
        return 512;
    default:
        return 64;
    }
}

/* Multiply-adds that a compute unit does at a time. */
static int count_lanes(const us_device_facts *device) {
    return device->vendor == US_VENDOR_NVIDIA ? 128 : device->vendor == US_VENDOR_AMD ? 64 : 8;
}

static int count_held(const us_device_facts *device, const quads *q) {
    return held_items(device) > group_items(q) ? held_items(device) / group_items(q) : 1;
}

/* A pixel after the other, of which each has to be loaded first, and the more quads it takes, the
 * less compilers have all of them on their way at once. Fitted to measurements on an H200. */
static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    enum { OTHERS = 45 /* instructions of a pixel */, LATENCY = 900, AT_ONCE = 4, SUMMING = 50 };
    const double share = 0.74 /* as in tiles.c */, in_turn = 0.2;
    const us_convolution_problem *p = problem;
    const quads *q = parameters;
    const int sums = q->small * q->large * q->taps, late = q->small - AT_ONCE;
    const double items = group_items(q), lanes = count_lanes(device), held = count_held(device, q);
    const double instructions = (IMAGES * sums + OTHERS) / share;
    const double waits = LATENCY * (1 + in_turn * (late > 0 ? late : 0));
    const double alone = instructions * fmax(us_instruction_cycles(device), items / lanes) + waits;
    const double pixels = (double)count_cells(device, p, q) / ((double)q->splits * q->slices);
    const double groups = (double)us_divide_up(count_tiles(p, q), q->tiles) * q->splits;
    double left = ceil(groups / device->compute_units), total = US_START_CYCLES + SUMMING * sums;
    for (; left > 0; left -= held)
        total += pixels * fmax(alone, fmin(left, held) * items * instructions / lanes);
    return total + us_split_cycles(device, q->splits, (double)us_convolution_weights(p));
}

/* Tiles of 8 quads, 128 bytes of a row, fill work-groups of up to 256 items. Slices make small ones
 * larger, as those cost less than splits, of which there are as many as the device holds at a time.
 * Parts of fewer terms than LEAST are not worth their sums. */
static void choose(const us_device_facts *device, const us_convolution_problem *p, quads *q) {
    enum { GROUP = 256, SLICED_GROUP = 384, LEAST = 4, MOST_SPLITS = 256 };
    const int most =
        (int)(device->max_group_size < SLICED_GROUP ? device->max_group_size : SLICED_GROUP);
    choose_sums(device, p, q);
    q->quads = largest_power(batch_quads(device, p), 8);
    q->slices = q->splits = 1;
    const int tiles = count_tiles(p, q);
    q->tiles = us_tiles_even(tiles, us_smaller(us_smaller(most, GROUP) / q->quads, MOST_TILES));
    const int64_t parts = count_cells(device, p, q) / LEAST;
    const int groups = us_divide_up(tiles, q->tiles);
    q->slices = us_smaller(parts, most / group_items(q));
    if (q->slices < 1) q->slices = 1;
    int64_t splits = (int64_t)device->compute_units * count_held(device, q) / groups;
    if (splits > parts / q->slices) splits = parts / q->slices;
    q->splits = us_smaller(splits > 1 ? splits : 1, MOST_SPLITS);
    while (q->splits > 1 && !valid(device, p, q))
        q->splits--;
}

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    const us_convolution_problem *p = problem;
    if (p->pass != US_CONVOLUTION_WEIGHTS || !us_device_is_gpu(device) ||
        us_convolution_weights(p) > US_GRADIENT_FEW_WEIGHTS)
        return false;
    choose(device, p, parameters);
    return valid(device, p, parameters);
}

/* The default, and its kind of cut where another algorithm is to be the default. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    const us_convolution_problem *p = problem;
    if (index > 0 || p->pass != US_CONVOLUTION_WEIGHTS || !us_device_is_gpu(device)) return false;
    choose(device, p, parameters);
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    const us_convolution_problem *p = problem;
    const quads *q = parameters;
    int count = 0;
    switch (offset) {
    case offsetof(quads, small):
        return us_tiles_choices(p->small.channels, MOST_CHANNELS, list);
    case offsetof(quads, large):
        return us_tiles_choices(p->large.channels, MOST_CHANNELS, list);
    case offsetof(quads, taps):
        return us_tiles_choices(p->kernel[1], us_smaller(p->kernel[1], US_TUNABLE_CHOICES), list);
    case offsetof(quads, quads):
        for (int most = 1; most <= MOST_QUADS; most *= 2)
            if (batch_quads(device, p) % most == 0) count = us_choices_add(list, count, most);
        return count;
    case offsetof(quads, tiles):
        for (int most = 1; most <= MOST_TILES; most *= 2)
            count = us_choices_add(list, count, us_tiles_even(count_tiles(p, q), most));
        return count;
    case offsetof(quads, slices):
        return us_powers_choices(MOST_TILES, list);
    default:
        return us_powers_choices(us_smaller(count_cells(device, p, q), US_GRADIENT_MOST_SPLITS),
                                 list);
    }
}

/* ---- kernel ---- */

static unseen_status launch(const us_weight_gradient *gradient, const us_convolution_args *args,
                            us_buffer *to, us_buffer *bias, bool accumulate, unseen_error *error) {
    size_t groups[3] = {gradient->groups, (size_t)gradient->splits, 1};
    if (gradient->bias_groups > 0) {
        groups[1] += (gradient->bias_groups + groups[0] - 1) / groups[0];
        return us_kernel_run_groups(gradient->kernel, groups, gradient->items, error, "bbbibli",
                                    args->large, args->small, to, (int32_t)accumulate, bias,
                                    (int64_t)gradient->bias_first,
                                    (int32_t)us_bias_accumulates(args));
    }
    return us_kernel_run_groups(gradient->kernel, groups, gradient->items, error, "bbbi",
                                args->large, args->small, to, (int32_t)accumulate);
}

static unseen_status create(const us_build *build, const us_convolution_problem *p,
                            const void *parameters, void **state, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const quads *q = parameters;
    us_weight_gradient *made = calloc(1, sizeof *made);
    *state = made;
    if (!made) return us_fail_memory(error, "a convolution's gradient");
    made->problem = *p;
    made->groups = (size_t)us_divide_up(count_tiles(p, q), q->tiles);
    made->items = (size_t)group_items(q);
    made->splits = q->splits;
    made->launch = launch;
    char bias[US_BIAS_OPTIONS];
    made->bias_groups = us_bias_options(device, p, made->items, bias);
    US_TRY(us_kernel_create(
        build, "weight_gradient_quads", "weight_gradient_quads", &made->kernel, error,
        "-DLARGE_CHANNELS=%d -DLARGE_HEIGHT=%d -DLARGE_WIDTH=%d -DSMALL_CHANNELS=%d "
        "-DSMALL_HEIGHT=%d -DSMALL_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DKERNEL_H=%d -DKERNEL_W=%d "
        "-DSTRIDE_Y=%d -DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DLARGE_STRIDE=%zu "
        "-DTAP_STRIDE=%zu -DSMALL_STRIDE=%zu -DWEIGHTS=%zu -DTILE_SMALL=%d -DTILE_LARGE=%d "
        "-DTILE_TAPS=%d -DQUADS=%d -DGROUP_TILES=%d -DSLICES=%d -DSPLITS=%d -DSHARED_SUMS=%d %s",
        p->large.channels, p->large.height, p->large.width, p->small.channels, p->small.height,
        p->small.width, p->batch, us_device_occupied(device, p->batch), p->kernel[0], p->kernel[1],
        p->stride[0], p->stride[1], p->padding[0], p->padding[1], p->large_stride, p->tap_stride,
        p->small_stride, us_convolution_weights(p), q->small, q->large, q->taps, q->quads, q->tiles,
        q->slices, q->splits, shared_sums(q), bias));
    return us_weight_gradient_prepare(build, made, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_weight_gradient_destroy,
    .parts = us_weight_gradient_parts,
    .run = us_weight_gradient_run,
};

const us_algorithm us_weight_gradient_quads = {
    .name = "weight_gradient_quads",
    .sources = {"weight_gradient_quads"},
    .parameters = {US_PARAMETER(quads, small), US_PARAMETER(quads, large),
                   US_PARAMETER(quads, taps), US_PARAMETER(quads, quads),
                   US_PARAMETER(quads, tiles), US_PARAMETER(quads, slices),
                   US_PARAMETER(quads, splits)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
