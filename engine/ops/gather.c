#include "ops/gather.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/activation.h"
#include "ops/winograd.h"

struct us_gather {
    us_device *device;
    us_winograd *winograd; /* does it all where there is one */
    us_kernel *pack, *gather;
    us_buffer *kept; /* packed weights, for us_reuse; NULL until asked for */
    size_t groups, tiles, in_channels;
    size_t packed_bytes; /* 0: the weights already lie as the kernel reads them */
    us_errors errors;    /* of comparisons; none: it makes none */
};

/* The tile of at most `most` that divides `size` with the least left over. */
static int even_tile(int size, int most) {
    return us_divide_up(size, us_divide_up(size, most));
}

static int window_taps(const us_gather_spec *spec) {
    int h = spec->up ? us_divide_up(spec->kernel[0], spec->stride[0]) : spec->kernel[0];
    int w = spec->up ? us_divide_up(spec->kernel[1], spec->stride[1]) : spec->kernel[1];
    return h * w;
}

/* Copying pays where several tiles of output channels read it, and is needed where a pixel's inputs
 * are many. Sizes fit an L2 cache of 512 KiB, and leave what others need of the local memory. */
static void stage(const us_gather_spec *spec, us_gather_tiles *tiles) {
    enum { LEAST_TILES = 5, LEAST_CHANNELS = 32, CACHE_BYTES = 512 * 1024 };
    const us_device *device = spec->device;
    int output_tiles = us_divide_up(spec->out.channels, tiles->channels);
    if (output_tiles < LEAST_TILES || spec->in.channels < LEAST_CHANNELS) return;
    int lanes = us_device_lanes(device);
    int chunks = us_divide_up(us_device_vectors(device, spec->batch), tiles->vectors);
    size_t pixels = (size_t)spec->out.height * (size_t)spec->out.width;
    size_t limit = device->local_bytes / 4 * 3 < CACHE_BYTES ? (size_t)device->local_bytes / 4 * 3
                                                             : CACHE_BYTES;
    for (int run = us_smaller(chunks, 8); run >= 1; run--) {
        bool busy = pixels * (size_t)us_divide_up(chunks, run) >= 8 * (size_t)device->compute_units;
        if (!busy && run > 1) continue;
        size_t chunk = (size_t)(run * tiles->vectors * lanes) * sizeof(float);
        size_t sums = chunk * (size_t)output_tiles * (size_t)tiles->channels;
        size_t window = chunk * (size_t)window_taps(spec);
        if (sums + 4 * window > limit) continue;
        size_t channels = (limit / 2 < limit - sums ? limit / 2 : limit - sums) / window;
        tiles->run = run;
        tiles->staged = even_tile(spec->in.channels, channels < 4096 ? (int)channels : 4096);
        return;
    }
}

/* Few channels of an UP gather: all phases of a row together. */
static bool by_phases(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    enum { MOST_SUMS = 6 };
    return spec->up && spec->stride[1] > 1 && tiles->staged == 0 &&
           spec->device->execution == US_EXECUTION_VECTOR &&
           tiles->channels * spec->stride[1] <= MOST_SUMS;
}

/* Of pixels of a row, one of each phase, that are computed together; twin of ROW_GROUPS in
 * gather.cl. */
static int row_groups(const us_gather_spec *spec) {
    int stride = spec->stride[1], padding = spec->padding[1];
    return (spec->out.width - 1 + padding) / stride + 1 - padding / stride;
}

us_gather_tiles us_gather_default_direct(const us_gather_spec *spec) {
    us_gather_tiles tiles = {.vectors = 1, .run = 1};
    if (spec->device->execution == US_EXECUTION_LANES) {
        tiles.channels = even_tile(spec->out.channels, 8);
        return tiles;
    }
    /* Of AVX-512's 32 registers 24 hold sums, of 16 twelve: in two vectors, as every channel's
     * weight has to be loaded for each of its vectors. */
    bool wide = spec->device->vector_width >= 16;
    tiles.channels = even_tile(spec->out.channels, wide ? 12 : 6);
    int vectors = us_device_vectors(spec->device, spec->batch);
    int sums = tiles.channels * (by_phases(spec, &tiles) ? spec->stride[1] : 1);
    tiles.vectors = even_tile(vectors, us_smaller((wide ? 24 : 12) / sums, 8));
    /* Few channels make small work-items; with all phases at once the next pixel finds part of its
     * inputs in the caches, so that an item is a row, or as much of it as leaves work for all. */
    if (by_phases(spec, &tiles)) {
        enum { ITEMS_PER_UNIT = 16 };
        int64_t rows = (int64_t)spec->out.height * us_divide_up(spec->out.channels, tiles.channels);
        int64_t items = (int64_t)ITEMS_PER_UNIT * spec->device->compute_units;
        tiles.run = us_divide_up(row_groups(spec), us_divide_up(items, rows));
        if (tiles.run < 1) tiles.run = 1;
    } else if (tiles.channels < 6)
        tiles.run = us_smaller(spec->out.width, 16);
    stage(spec, &tiles);
    return tiles;
}

us_gather_tiles us_gather_default(const us_gather_spec *spec) {
    us_gather_tiles winograd;
    return us_winograd_default(spec, &winograd) ? winograd : us_gather_default_direct(spec);
}

void us_gather_options(const us_gather_spec *spec, char text[US_TUNABLE_TEXT]) {
    snprintf(
        text, US_TUNABLE_TEXT,
        "-DUP=%d -DIN_CHANNELS=%d -DIN_HEIGHT=%d -DIN_WIDTH=%d -DOUT_CHANNELS=%d -DOUT_HEIGHT=%d "
        "-DOUT_WIDTH=%d -DBATCH=%d -DKERNEL_H=%d -DKERNEL_W=%d -DSTRIDE_Y=%d -DSTRIDE_X=%d "
        "-DPADDING_Y=%d -DPADDING_X=%d -DIN_STRIDE=%zu -DTAP_STRIDE=%zu -DOUT_STRIDE=%zu",
        spec->up, spec->in.channels, spec->in.height, spec->in.width, spec->out.channels,
        spec->out.height, spec->out.width, spec->batch, spec->kernel[0], spec->kernel[1],
        spec->stride[0], spec->stride[1], spec->padding[0], spec->padding[1], spec->in_stride,
        spec->tap_stride, spec->out_stride);
}

/* Runs of a row. */
static int count_runs(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    return us_divide_up(by_phases(spec, tiles) ? row_groups(spec) : spec->out.width, tiles->run);
}

/* Parts of the errors of a comparison; 0: it would not pay. Twin of PUT_ERRORS in gather.cl. */
static int count_errors(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    enum { MOST = 1024 };
    if (!spec->compared || tiles->staged > 0 || tiles->outputs > 0 ||
        spec->device->execution != US_EXECUTION_VECTOR || spec->out.channels % tiles->channels != 0)
        return 0;
    int64_t parts =
        (int64_t)spec->out.height * count_runs(spec, tiles) * spec->out.channels / tiles->channels;
    return parts <= MOST ? (int)parts : 0;
}

static unseen_status build(const us_gather_spec *spec, const us_gather_tiles *tiles,
                           const char *name, us_kernel **kernel, unseen_error *error) {
    const bool compared = count_errors(spec, tiles) > 0;
    char shape[US_TUNABLE_TEXT], activations[US_ACTIVATION_OPTIONS];
    us_gather_options(spec, shape);
    us_activation_options(activations, spec->activation,
                          compared ? spec->activation : spec->input_activation);
    return us_kernel_create(spec->device, "gather", name, kernel, error,
                            "%s -DBIAS=%d %s -DTILE_CHANNELS=%d -DTILE_VECTORS=%d -DTILE_RUN=%d "
                            "-DSTAGED=%d -DBY_PHASES=%d -DCOMPARED=%d",
                            shape, spec->bias, activations, tiles->channels, tiles->vectors,
                            tiles->run, tiles->staged, by_phases(spec, tiles), compared);
}

/* 0 where the kernel reads the weights as they are. */
static size_t count_packed_bytes(const us_gather_spec *spec, const us_gather_tiles *tiles,
                                 size_t count) {
    size_t taps = (size_t)spec->kernel[0] * (size_t)spec->kernel[1];
    size_t channels = (size_t)tiles->channels;
    bool one_phase = !spec->up || (spec->stride[0] == 1 && spec->stride[1] == 1);
    if (one_phase && count == 1 && spec->out_stride == 1 &&
        (taps == 1 || spec->tap_stride == channels) && spec->in_stride == taps * channels)
        return 0;
    return count * (size_t)spec->in.channels * taps * channels * sizeof(float);
}

unseen_status us_gather_create(const us_gather_spec *spec, const us_gather_tiles *tiles,
                               us_gather **gather, unseen_error *error) {
    *gather = NULL;
    us_gather_tiles chosen;
    if (tiles)
        chosen = *tiles;
    else
        US_TRY(us_gather_choose(spec, &chosen, error));
    us_gather *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a convolution");
    made->device = spec->device;
    made->in_channels = (size_t)spec->in.channels;
    made->tiles = (size_t)us_divide_up(spec->out.channels, chosen.channels);
    int vectors = us_device_vectors(spec->device, spec->batch);
    int chunks = us_divide_up(vectors, chosen.vectors);
    made->groups = (size_t)spec->out.height;
    if (chosen.staged > 0)
        made->groups *= (size_t)spec->out.width * (size_t)us_divide_up(chunks, chosen.run);
    else
        made->groups *= made->tiles * (size_t)count_runs(spec, &chosen) *
                        (by_phases(spec, &chosen) ? 1 : (size_t)chunks);

    unseen_status status;
    if (chosen.outputs > 0) {
        US_CHECK(us_winograd_create(spec, &chosen, &made->winograd, error));
        made->packed_bytes = us_winograd_packed_bytes(made->winograd);
    } else {
        made->packed_bytes = count_packed_bytes(spec, &chosen, made->tiles);
        US_CHECK(build(spec, &chosen, "gather", &made->gather, error));
        if (made->packed_bytes > 0)
            US_CHECK(build(spec, &chosen, "gather_pack", &made->pack, error));
    }
    made->errors.count = count_errors(spec, &chosen);
    if (made->errors.count > 0)
        US_CHECK(us_buffer_create(spec->device,
                                  (size_t)made->errors.count * (size_t)spec->batch * sizeof(float),
                                  "errors of a comparison", &made->errors.buffer, error));
    us_buffer *scratch;
    if (made->packed_bytes > 0)
        US_CHECK(us_device_scratch(spec->device, made->packed_bytes, &scratch, error));
    *gather = made;
    return UNSEEN_OK;

done:
    us_gather_destroy(made);
    return status;
}

void us_gather_destroy(us_gather *gather) {
    if (!gather) return;
    us_winograd_destroy(gather->winograd);
    us_kernel_destroy(gather->pack);
    us_kernel_destroy(gather->gather);
    us_buffer_destroy(gather->kept);
    us_buffer_destroy(gather->errors.buffer);
    free(gather);
}

static unseen_status pack(us_gather *gather, const us_gather_args *args, us_buffer **packed,
                          unseen_error *error) {
    *packed = args->weights;
    if (gather->packed_bytes == 0) return UNSEEN_OK;
    if (args->reuse == US_REUSE_NONE) {
        US_TRY(us_device_scratch(gather->device, gather->packed_bytes, packed, error));
    } else {
        bool is_new = !gather->kept;
        if (is_new)
            US_TRY(us_buffer_create(gather->device, gather->packed_bytes, "packed weights",
                                    &gather->kept, error));
        *packed = gather->kept;
        if (args->reuse == US_REUSE_NOW && !is_new) return UNSEEN_OK;
    }
    if (gather->winograd) return us_winograd_pack(gather->winograd, args->weights, *packed, error);
    const size_t groups[3] = {gather->in_channels, gather->tiles, 1};
    return us_kernel_run(gather->pack, groups, error, "bb", args->weights, *packed);
}

unseen_status us_gather_run(us_gather *gather, const us_gather_args *args, unseen_error *error) {
    us_buffer *packed;
    US_TRY(pack(gather, args, &packed, error));
    if (gather->winograd) return us_winograd_run(gather->winograd, packed, args, error);
    us_target none = {0}, *target = &none;
    if (args->target && args->target->image && gather->errors.count > 0) {
        target = args->target;
        target->errors = gather->errors;
    }
    const size_t groups[3] = {gather->groups, 1, 1};
    return us_kernel_run(gather->gather, groups, error, "bbbbbbbfi", args->x, packed, args->bias,
                         args->input, target->image ? target->dy : args->y, target->image,
                         target->errors.buffer, target->scale, args->n);
}
