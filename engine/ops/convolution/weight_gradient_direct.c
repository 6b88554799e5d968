/* SPDX-License-Identifier: MIT */
/* The definition of a weight gradient, for any device and shape: an item keeps the sums of some
 * small and large channels and taps in registers. Twin of cl_kernels/weight_gradient.cl. */
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/convolution/weight_gradient.h"

typedef struct direct {
    int small, large; /* channels of an item, at most those of the side */
    int taps;         /* of a kernel row of an item, at most all */
    int splits;       /* parts that the small rows are summed in, at most as many as there are */
} direct;

enum { MOST_SUMS = 48, MOST_CHANNELS = 24 };

/* Items of a split. */
static size_t count_items(const us_convolution_problem *p, const direct *d) {
    return (size_t)us_divide_up(p->small.channels, d->small) *
           (size_t)us_divide_up(p->large.channels, d->large) * (size_t)p->kernel[0] *
           (size_t)us_divide_up(p->kernel[1], d->taps);
}

/* Enough splits to keep the device busy, and for what work-items of the same split read to stay in
 * a cache. Partial sums are traffic too: no more of it than an eighth of reading the small side for
 * every large channel. */
static int default_splits(const us_device_facts *device, const us_convolution_problem *p,
                          const direct *d) {
    enum { CACHE_BYTES = 256 * 1024 };
    size_t items = count_items(p, d), weights = us_convolution_weights(p);
    size_t wanted = ((size_t)us_weight_gradient_wanted_groups(device) + items - 1) / items;
    size_t pixel_bytes = (size_t)p->batch * sizeof(float);
    size_t row_bytes = ((size_t)d->small * (size_t)p->small.width +
                        (size_t)d->large * (size_t)p->large.width * (size_t)p->stride[0]) *
                       pixel_bytes;
    size_t cached = (row_bytes * (size_t)p->small.height + CACHE_BYTES - 1) / CACHE_BYTES;
    if (device->execution == US_EXECUTION_VECTOR && wanted < cached) wanted = cached;
    size_t most =
        us_shape_size(p->small) * (size_t)p->batch / 8 * (size_t)p->large.channels / weights;
    if (wanted > most) wanted = most;
    if (wanted > (size_t)p->small.height) wanted = (size_t)p->small.height;
    return wanted < 1 ? 1 : (int)wanted;
}

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    const us_convolution_problem *p = problem;
    direct *d = parameters;
    if (p->pass != US_CONVOLUTION_WEIGHTS) return false;
    /* Sums of an item: what the registers hold. */
    bool wide = device->vector_width >= 16 || device->execution == US_EXECUTION_LANES;
    int sums = wide ? 24 : 12, kernel = p->kernel[1];
    d->large = 1;
    d->taps = us_tiles_even(kernel, 5);
    d->small = us_smaller(p->small.channels, sums / d->taps);
    if (d->taps < 4 || d->small < 4) {
        int most = us_smaller(p->large.channels, 6);
        d->small = us_smaller(p->small.channels, us_smaller(6, sums / d->taps));
        d->large = us_smaller(most, sums / (d->taps * d->small));
        if (d->large < 1) d->large = 1;
    }
    d->small = us_tiles_even(p->small.channels, d->small);
    d->large = us_tiles_even(p->large.channels, d->large);
    d->splits = default_splits(device, p, d);
    return true;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const direct *d = parameters;
    if (p->pass != US_CONVOLUTION_WEIGHTS) return false;
    if (d->small < 1 || d->small > MOST_CHANNELS || d->small > p->small.channels) return false;
    if (d->large < 1 || d->large > MOST_CHANNELS || d->large > p->large.channels) return false;
    if (d->taps < 1 || d->taps > p->kernel[1] || d->small * d->large * d->taps > MOST_SUMS)
        return false;
    if (d->splits > p->small.height || !us_weight_gradient_valid_splits(device, p, d->splits))
        return false;
    size_t local =
        (size_t)(d->small * d->large * d->taps) * (size_t)(device->group_size + 1) * sizeof(float);
    return device->execution == US_EXECUTION_VECTOR || local <= device->local_bytes;
}

/* The default, and with its splits blocks of sums that are good on some device or other. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    static const int sums[][3] = {{6, 1, 4}, {4, 6, 1}, {6, 2, 2}};
    const us_convolution_problem *p = problem;
    direct *d = parameters;
    if (index > (int)(sizeof sums / sizeof *sums) || !defaults(device, problem, parameters))
        return false;
    if (index == 0) return true;
    d->small = us_tiles_even(p->small.channels, sums[index - 1][0]);
    d->large = us_tiles_even(p->large.channels, sums[index - 1][1]);
    d->taps = us_tiles_even(p->kernel[1], sums[index - 1][2]);
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    const us_convolution_problem *p = problem;
    (void)device;
    (void)parameters;
    switch (offset) {
    case offsetof(direct, small):
        return us_tiles_choices(p->small.channels, MOST_CHANNELS, list);
    case offsetof(direct, large):
        return us_tiles_choices(p->large.channels, MOST_CHANNELS, list);
    case offsetof(direct, taps):
        return us_tiles_choices(p->kernel[1], p->kernel[1], list);
    default:
        return us_powers_choices(us_smaller(p->small.height, US_GRADIENT_MOST_SPLITS), list);
    }
}

static unseen_status launch(const us_weight_gradient *gradient, const us_convolution_args *args,
                            us_buffer *to, us_buffer *bias, bool accumulate, unseen_error *error) {
    const size_t groups[3] = {gradient->groups + gradient->bias_groups, 1, 1};
    if (gradient->bias_groups > 0)
        return us_kernel_run(gradient->kernel, groups, error, "bbbibli", args->large, args->small,
                             to, (int32_t)accumulate, bias, (int64_t)gradient->bias_first,
                             (int32_t)us_bias_accumulates(args));
    return us_kernel_run(gradient->kernel, groups, error, "bbbi", args->large, args->small, to,
                         (int32_t)accumulate);
}

static unseen_status create(const us_build *build, const us_convolution_problem *p,
                            const void *parameters, void **state, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const direct *d = parameters;
    us_weight_gradient *made = calloc(1, sizeof *made);
    *state = made;
    if (!made) return us_fail_memory(error, "a convolution's gradient");
    made->problem = *p;
    made->groups = count_items(p, d) * (size_t)d->splits;
    made->splits = d->splits;
    made->launch = launch;
    char bias[US_BIAS_OPTIONS] = "";
    if (device->execution == US_EXECUTION_LANES)
        made->bias_groups = us_bias_options(device, p, 0, bias);
    US_TRY(us_kernel_create(
        build, "weight_gradient", "weight_gradient", &made->kernel, error,
        "-DLARGE_CHANNELS=%d -DLARGE_HEIGHT=%d -DLARGE_WIDTH=%d -DSMALL_CHANNELS=%d "
        "-DSMALL_HEIGHT=%d -DSMALL_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DKERNEL_H=%d -DKERNEL_W=%d "
        "-DSTRIDE_Y=%d "
        "-DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DLARGE_STRIDE=%zu -DTAP_STRIDE=%zu "
        "-DSMALL_STRIDE=%zu -DWEIGHTS=%zu -DTILE_SMALL=%d -DTILE_LARGE=%d -DTILE_TAPS=%d "
        "-DSPLITS=%d %s",
        p->large.channels, p->large.height, p->large.width, p->small.channels, p->small.height,
        p->small.width, p->batch, us_device_occupied(device, p->batch), p->kernel[0], p->kernel[1],
        p->stride[0], p->stride[1], p->padding[0], p->padding[1], p->large_stride, p->tap_stride,
        p->small_stride, us_convolution_weights(p), d->small, d->large, d->taps, d->splits, bias));
    return us_weight_gradient_prepare(build, made, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_weight_gradient_destroy,
    .parts = us_weight_gradient_parts,
    .run = us_weight_gradient_run,
};

const us_algorithm us_weight_gradient_direct = {
    .name = "weight_gradient_direct",
    .sources = {"weight_gradient", "bias_gradient"},
    .parameters = {US_PARAMETER(direct, small), US_PARAMETER(direct, large),
                   US_PARAMETER(direct, taps), US_PARAMETER(direct, splits)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .implementation = &implementation,
};
