#include "ops/weight_gradient.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/winograd_gradient.h"

struct us_weight_gradient {
    us_weight_gradient_spec spec;
    us_kernel *weights, *bias, *sum; /* bias: NULL where none is wanted or `weights` takes it */
    bool winograd, takes_bias;
    int splits, bias_splits;
    size_t groups, weight_count, bias_count;
};

/* Enough work-groups for every compute unit to stay busy until the end. */
static int wanted_groups(const us_device *device) {
    return device->compute_units * (device->execution == US_EXECUTION_LANES ? 16 : 8);
}

static size_t count_weights(const us_weight_gradient_spec *spec) {
    return (size_t)spec->large.channels * (size_t)spec->small.channels * (size_t)spec->kernel[0] *
           (size_t)spec->kernel[1];
}

static int count_bias_splits(const us_weight_gradient_spec *spec) {
    us_shape biased = spec->bias_of_large ? spec->large : spec->small;
    return us_smaller(us_divide_up(wanted_groups(spec->device), biased.channels),
                      biased.height * biased.width);
}

static size_t count_items(const us_weight_gradient_spec *spec,
                          const us_weight_gradient_tiles *tiles) {
    return (size_t)us_divide_up(spec->small.channels, tiles->small) *
           (size_t)us_divide_up(spec->large.channels, tiles->large) * (size_t)spec->kernel[0] *
           (size_t)us_divide_up(spec->kernel[1], tiles->taps);
}

/* Enough splits to keep the device busy, and for what work-items of the same split read to stay in
 * a cache. Partial sums are traffic too: no more of it than an eighth of reading the small side for
 * every large channel. */
static int count_splits(const us_weight_gradient_spec *spec,
                        const us_weight_gradient_tiles *tiles) {
    enum { CACHE_BYTES = 256 * 1024 };
    size_t items = count_items(spec, tiles), weights = count_weights(spec);
    size_t wanted = ((size_t)wanted_groups(spec->device) + items - 1) / items;
    size_t pixel_bytes = (size_t)spec->batch * sizeof(float);
    size_t row_bytes =
        ((size_t)tiles->small * (size_t)spec->small.width +
         (size_t)tiles->large * (size_t)spec->large.width * (size_t)spec->stride[0]) *
        pixel_bytes;
    size_t cached = (row_bytes * (size_t)spec->small.height + CACHE_BYTES - 1) / CACHE_BYTES;
    if (spec->device->execution == US_EXECUTION_VECTOR && wanted < cached) wanted = cached;
    size_t most = us_shape_size(spec->small) * (size_t)spec->batch / 8 *
                  (size_t)spec->large.channels / weights;
    if (wanted > most) wanted = most;
    if (wanted > (size_t)spec->small.height) wanted = (size_t)spec->small.height;
    return wanted < 1 ? 1 : (int)wanted;
}

/* Of Winograd's filtering, whose work-items end with a transform of all their sums: the fewest that
 * give every compute unit as many as any other, or enough of them that it hardly matters. */
static int count_winograd_splits(const us_weight_gradient_spec *spec,
                                 const us_weight_gradient_tiles *tiles) {
    size_t items = us_winograd_gradient_items(spec, tiles);
    size_t units = (size_t)spec->device->compute_units;
    size_t most = us_winograd_gradient_blocks(spec, tiles) / 4;
    size_t enough = (4 * units + items - 1) / items;
    if (most > enough) most = enough;
    size_t splits = 1;
    while (splits < most && splits * items % units != 0)
        splits++;
    return (int)splits;
}

us_weight_gradient_tiles us_weight_gradient_default(const us_weight_gradient_spec *spec) {
    us_weight_gradient_tiles winograd;
    if (!us_winograd_gradient_default(spec, &winograd))
        return us_weight_gradient_default_direct(spec);
    winograd.splits = count_winograd_splits(spec, &winograd);
    return winograd;
}

us_weight_gradient_tiles us_weight_gradient_default_direct(const us_weight_gradient_spec *spec) {
    /* Sums per item: what the registers hold. */
    bool wide = spec->device->vector_width >= 16 || spec->device->execution == US_EXECUTION_LANES;
    int sums = wide ? 24 : 12;
    us_weight_gradient_tiles tiles = {.large = 1};
    int kernel = spec->kernel[1];
    tiles.taps = kernel <= 5 ? kernel : us_divide_up(kernel, us_divide_up(kernel, 5));
    tiles.small = us_smaller(spec->small.channels, sums / tiles.taps);
    if (tiles.taps < 4 || tiles.small < 4) {
        int most = us_smaller(spec->large.channels, 6);
        tiles.small = us_smaller(spec->small.channels, us_smaller(6, sums / tiles.taps));
        tiles.large = us_smaller(most, sums / (tiles.taps * tiles.small));
        if (tiles.large < 1) tiles.large = 1;
    }
    tiles.small =
        us_divide_up(spec->small.channels, us_divide_up(spec->small.channels, tiles.small));
    tiles.large =
        us_divide_up(spec->large.channels, us_divide_up(spec->large.channels, tiles.large));

    tiles.splits = count_splits(spec, &tiles);
    return tiles;
}

void us_weight_gradient_options(const us_weight_gradient_spec *spec, char text[US_TUNABLE_TEXT]) {
    us_shape biased = spec->bias_of_large ? spec->large : spec->small;
    snprintf(
        text, US_TUNABLE_TEXT,
        "-DLARGE_CHANNELS=%d -DLARGE_HEIGHT=%d -DLARGE_WIDTH=%d -DSMALL_CHANNELS=%d "
        "-DSMALL_HEIGHT=%d -DSMALL_WIDTH=%d -DBATCH=%d -DKERNEL_H=%d -DKERNEL_W=%d -DSTRIDE_Y=%d "
        "-DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DLARGE_STRIDE=%zu -DTAP_STRIDE=%zu "
        "-DSMALL_STRIDE=%zu -DWEIGHTS=%zu -DBIAS_CHANNELS=%d -DBIAS_PIXELS=%d -DBIAS_SPLITS=%d",
        spec->large.channels, spec->large.height, spec->large.width, spec->small.channels,
        spec->small.height, spec->small.width, spec->batch, spec->kernel[0], spec->kernel[1],
        spec->stride[0], spec->stride[1], spec->padding[0], spec->padding[1], spec->large_stride,
        spec->tap_stride, spec->small_stride, count_weights(spec), biased.channels,
        biased.height * biased.width, count_bias_splits(spec));
}

static unseen_status build(const us_weight_gradient_spec *spec,
                           const us_weight_gradient_tiles *tiles, const char *name,
                           us_kernel **kernel, unseen_error *error) {
    char options[US_TUNABLE_TEXT];
    us_weight_gradient_options(spec, options);
    return us_kernel_create(spec->device, "weight_gradient", name, kernel, error,
                            "%s -DTILE_SMALL=%d -DTILE_LARGE=%d -DTILE_TAPS=%d -DSPLITS=%d",
                            options, tiles->small, tiles->large, tiles->taps, tiles->splits);
}

static size_t scratch_bytes(const us_weight_gradient *gradient) {
    size_t split = gradient->weight_count + (gradient->takes_bias ? gradient->bias_count : 0);
    size_t weights = gradient->splits > 1 ? split * (size_t)gradient->splits : 0;
    size_t bias = gradient->bias ? gradient->bias_count * (size_t)gradient->bias_splits : 0;
    return (weights > bias ? weights : bias) * sizeof(float);
}

unseen_status us_weight_gradient_create(const us_weight_gradient_spec *spec,
                                        const us_weight_gradient_tiles *tiles,
                                        us_weight_gradient **gradient, unseen_error *error) {
    *gradient = NULL;
    us_weight_gradient_tiles chosen;
    if (tiles)
        chosen = *tiles;
    else
        US_TRY(us_weight_gradient_choose(spec, &chosen, error));
    us_weight_gradient *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a convolution's gradient");
    us_shape biased = spec->bias_of_large ? spec->large : spec->small;
    made->spec = *spec;
    made->winograd = chosen.outputs > 0;
    made->takes_bias = made->winograd && us_winograd_gradient_takes_bias(spec, &chosen);
    made->splits = chosen.splits;
    size_t items =
        made->winograd ? us_winograd_gradient_items(spec, &chosen) : count_items(spec, &chosen);
    made->groups = items * (size_t)chosen.splits;
    made->weight_count = count_weights(spec);
    made->bias_count = (size_t)biased.channels;
    made->bias_splits = count_bias_splits(spec);

    unseen_status status;
    if (made->winograd)
        US_CHECK(us_winograd_gradient_build(spec, &chosen, &made->weights, error));
    else
        US_CHECK(build(spec, &chosen, "weight_gradient", &made->weights, error));
    if (spec->bias && !made->takes_bias)
        US_CHECK(build(spec, &chosen, "bias_gradient", &made->bias, error));
    if (made->bias || chosen.splits > 1)
        US_CHECK(
            us_kernel_create(spec->device, "sum_splits", "sum_splits", &made->sum, error, " "));
    if (scratch_bytes(made) > 0) {
        us_buffer *scratch;
        US_CHECK(us_device_scratch(spec->device, scratch_bytes(made), &scratch, error));
    }
    *gradient = made;
    return UNSEEN_OK;

done:
    us_weight_gradient_destroy(made);
    return status;
}

void us_weight_gradient_destroy(us_weight_gradient *gradient) {
    if (!gradient) return;
    us_kernel_destroy(gradient->weights);
    us_kernel_destroy(gradient->bias);
    us_kernel_destroy(gradient->sum);
    free(gradient);
}

/* To two buffers, of which the second may be missing. */
static unseen_status sum_splits(us_weight_gradient *gradient, us_buffer *partial, int splits,
                                size_t count, us_buffer *to, size_t bias_count, us_buffer *bias,
                                bool accumulate, unseen_error *error) {
    return us_kernel_run_elements(gradient->sum, count + bias_count, error, "billibb", partial,
                                  (int32_t)splits, (int64_t)count, (int64_t)bias_count,
                                  (int32_t)accumulate, to, bias_count > 0 ? bias : NULL);
}

unseen_status us_weight_gradient_run(us_weight_gradient *gradient, us_buffer *large,
                                     us_buffer *small, us_buffer *weights, us_buffer *bias,
                                     bool accumulate, unseen_error *error) {
    us_buffer *scratch = NULL;
    if (scratch_bytes(gradient) > 0)
        US_TRY(us_device_scratch(gradient->spec.device, scratch_bytes(gradient), &scratch, error));
    const size_t groups[3] = {gradient->groups, 1, 1};
    bool direct = gradient->splits == 1;
    us_buffer *to = direct ? weights : scratch;
    if (gradient->winograd)
        US_TRY(us_winograd_gradient_run(&gradient->spec, gradient->weights, groups, large, small,
                                        to, gradient->takes_bias && direct ? bias : NULL,
                                        direct && accumulate, error));
    else
        US_TRY(us_kernel_run(gradient->weights, groups, error, "bbbi", large, small, to,
                             (int32_t)(direct && accumulate)));
    if (!direct)
        US_TRY(sum_splits(gradient, scratch, gradient->splits, gradient->weight_count, weights,
                          gradient->takes_bias ? gradient->bias_count : 0, bias, accumulate,
                          error));
    if (!gradient->bias) return UNSEEN_OK;
    const size_t bias_groups[3] = {gradient->bias_count, (size_t)gradient->bias_splits, 1};
    US_TRY(us_kernel_run(gradient->bias, bias_groups, error, "bb",
                         gradient->spec.bias_of_large ? large : small, scratch));
    return sum_splits(gradient, scratch, gradient->bias_splits, gradient->bias_count, bias, 0, NULL,
                      accumulate, error);
}
