/* SPDX-License-Identifier: MIT */
/* The definition of a convolution, item by item, for any device and shape: an item keeps the sums
 * of some output channels and images of a pixel in registers. Twin of cl_kernels/convolution.cl. */
#include "ops/tiles.h"

#include "base/arithmetic.h"
#include "ops/convolution/gather.h"

typedef struct direct {
    int channels; /* output channels of an item, at most all */
    int vectors;  /* of the batch of an item, at most all; by phases: at a time, of all */
    int pixels;   /* of a row of the output that an item computes one after the other; by phases:
                     so many times the stride */
} direct;

static bool is_gather(const us_convolution_problem *problem) {
    return problem->pass != US_CONVOLUTION_WEIGHTS;
}

/* Pixels of few channels have too few sums to keep a CPU busy. UP, whose neighbouring pixels read
 * the same ones, an item then computes one of each phase of a row together. */
static bool by_phases(const us_device_facts *device, const us_convolution_problem *problem,
                      int channels) {
    enum { MOST_SUMS = 6 };
    return problem->pass == US_CONVOLUTION_UP && problem->stride[1] > 1 &&
           device->execution == US_EXECUTION_VECTOR && channels * problem->stride[1] <= MOST_SUMS;
}

/* What an item counts along a row: pixels, or groups of one of each phase. */
static int row_length(const us_device_facts *device, const us_convolution_problem *problem,
                      int channels) {
    int width = us_convolution_out(problem).width;
    int stride = problem->stride[1], padding = problem->padding[1];
    if (!by_phases(device, problem, channels)) return width;
    return (width - 1 + padding) / stride + 1 - padding / stride;
}

void us_direct_default_sums(const us_device_facts *device, const us_convolution_problem *problem,
                            int *channels, int *vectors) {
    const int out = us_convolution_out(problem).channels;
    if (device->execution == US_EXECUTION_LANES) {
        *channels = us_tiles_even(out, 8);
        *vectors = 1;
        return;
    }
    /* AVX-512 has 32 registers, of which 24 hold sums; others have 16, of which twelve do: in two
     * vectors, as every channel's weight has to be loaded for each of its vectors. */
    bool wide = device->vector_width >= 16;
    *channels = us_tiles_even(out, wide ? 12 : 6);
    int sums = *channels * (by_phases(device, problem, *channels) ? problem->stride[1] : 1);
    *vectors = us_tiles_even(us_device_vectors(device, problem->batch),
                             us_smaller((wide ? 24 : 12) / sums, 8));
}

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    const us_convolution_problem *p = problem;
    direct *d = parameters;
    if (!is_gather(p)) return false;
    us_direct_default_sums(device, p, &d->channels, &d->vectors);
    d->pixels = 1;
    if (device->execution == US_EXECUTION_LANES) return true;
    /* Few channels make small items. With all phases at once the next pixel finds part of its
     * inputs in the caches, so that an item is a row, or as much of it as leaves work for all. */
    const us_shape out = us_convolution_out(p);
    if (by_phases(device, p, d->channels)) {
        enum { ITEMS_PER_UNIT = 16 };
        int64_t rows = (int64_t)out.height * us_divide_up(out.channels, d->channels);
        int64_t items = (int64_t)ITEMS_PER_UNIT * device->compute_units;
        d->pixels = us_divide_up(row_length(device, p, d->channels), us_divide_up(items, rows));
        if (d->pixels < 1) d->pixels = 1;
    } else if (d->channels < 6) {
        d->pixels = us_smaller(out.width, 16);
    }
    return true;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const direct *d = parameters;
    return is_gather(p) && us_gather_valid_sums(device, p, d->channels, d->vectors) &&
           d->pixels >= 1 && d->pixels <= us_convolution_out(p).width;
}

/* The default, and blocks of sums that are good on some device or other. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    static const int sums[][2] = {{12, 2}, {8, 3}, {6, 4}};
    const us_convolution_problem *p = problem;
    direct *d = parameters;
    if (index == 0) return defaults(device, problem, parameters);
    if (!is_gather(p) || index > (int)(sizeof sums / sizeof *sums)) return false;
    *d = (direct){.channels = us_tiles_even(us_convolution_out(p).channels, sums[index - 1][0]),
                  .vectors = us_tiles_even(us_device_vectors(device, p->batch), sums[index - 1][1]),
                  .pixels = 1};
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    (void)parameters;
    switch (offset) {
    case offsetof(direct, channels):
        return us_gather_channels_choices(problem, list);
    case offsetof(direct, vectors):
        return us_gather_vectors_choices(device, problem, list);
    default:
        return us_powers_choices(us_smaller(us_convolution_out(problem).width, US_GATHER_MOST_RUN),
                                 list);
    }
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const direct *d = parameters;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    const double pairs = (double)us_convolution_pairs(p, 0) * (double)us_convolution_pairs(p, 1);
    const double terms = pairs / out.height / out.width * in.channels;
    const double lanes = us_device_occupied(device, p->batch);
    const double items = (double)out.height * us_divide_up(out.channels, d->channels) *
                         us_divide_up(row_length(device, p, d->channels), d->pixels) * lanes /
                         d->vectors;
    return us_direct_cycles(device, pairs * in.channels * out.channels * lanes, items,
                            terms * d->pixels);
}

/* Parts of the errors of a comparison, as PUT_ERRORS in convolution.cl has them; 0: it would not
 * pay. */
static int count_errors(const us_device_facts *device, const us_convolution_problem *problem,
                        int channels, int64_t runs) {
    enum { MOST = 1024 };
    const us_shape out = us_convolution_out(problem);
    if (!problem->compared || device->execution != US_EXECUTION_VECTOR ||
        out.channels % channels != 0)
        return 0;
    int64_t parts = out.height * runs * out.channels / channels;
    return parts <= MOST ? (int)parts : 0;
}

static unseen_status create(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **state, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const direct *d = parameters;
    const us_shape out = us_convolution_out(problem);
    const bool phases = by_phases(device, problem, d->channels);
    const int length = row_length(device, problem, d->channels);
    int runs = us_divide_up(length, d->pixels);
    int chunks = us_divide_up(us_device_vectors(device, problem->batch), d->vectors);
    const us_gather_cut cut = {
        .channels = d->channels,
        .vectors = d->vectors,
        .run = d->pixels,
        .row_groups = phases ? length : 0,
        .groups = (size_t)out.height * (size_t)us_divide_up(out.channels, d->channels) *
                  (size_t)runs * (phases ? 1 : (size_t)chunks),
        .error_parts = count_errors(device, problem, d->channels, runs),
    };
    return us_gather_create(build, problem, &cut, state, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_gather_destroy,
    .packed_bytes = us_gather_packed_bytes,
    .pack = us_gather_pack,
    .run = us_gather_run,
};

const us_algorithm us_convolution_direct = {
    .name = "direct",
    .sources = {"convolution"},
    .parameters = {US_PARAMETER(direct, channels), US_PARAMETER(direct, vectors),
                   US_PARAMETER(direct, pixels)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
