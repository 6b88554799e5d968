#include "ops/winograd_gradient.h"

#include "base/arithmetic.h"
#include "ops/winograd.h"

static int count_taps(const us_weight_gradient_spec *spec) {
    return us_divide_up(spec->kernel[0], spec->stride[0]);
}

static int count_points(const us_weight_gradient_spec *spec,
                        const us_weight_gradient_tiles *tiles) {
    return tiles->outputs + count_taps(spec) - 1;
}

/* Of an item, (phase, large channel). */
static int count_rows(const us_weight_gradient_spec *spec, const us_weight_gradient_tiles *tiles) {
    return spec->stride[0] * spec->stride[1] * tiles->item_large;
}

/* Of an item, vectors of small channels. */
static int count_small(const us_weight_gradient_spec *spec, const us_weight_gradient_tiles *tiles) {
    return us_divide_up(tiles->item_small, spec->device->vector_width);
}

/* Of both sides' transformed values and of the sums, in vectors. */
static size_t local_vectors(const us_weight_gradient_spec *spec,
                            const us_weight_gradient_tiles *tiles) {
    size_t points = (size_t)count_points(spec, tiles);
    size_t width = (size_t)spec->device->vector_width;
    size_t rows = (size_t)count_rows(spec, tiles), small = (size_t)count_small(spec, tiles);
    size_t vectors = (size_t)tiles->vectors;
    return points * points * (rows * (vectors + small) + small * vectors * width);
}

bool us_winograd_gradient_fits(const us_weight_gradient_spec *spec,
                               const us_weight_gradient_tiles *tiles) {
    int points = count_points(spec, tiles), lanes = us_device_lanes(spec->device);
    bool square = spec->kernel[0] == spec->kernel[1] && spec->stride[0] == spec->stride[1] &&
                  spec->padding[0] == spec->padding[1];
    bool items = tiles->item_small >= 1 && tiles->item_small <= spec->small.channels &&
                 tiles->item_large >= 1 && tiles->item_large <= spec->large.channels;
    if (spec->device->execution != US_EXECUTION_VECTOR || !square || !items) return false;
    if (tiles->small < 1 || count_small(spec, tiles) % tiles->small != 0) return false;
    if (tiles->large < 1 || count_rows(spec, tiles) % tiles->large != 0) return false;
    if (tiles->outputs < 2 || count_taps(spec) < 2 || points > 5) return false;
    if (tiles->vectors < 1 || tiles->vectors > us_device_vectors(spec->device, spec->batch))
        return false;
    if (tiles->splits < 1 || (size_t)tiles->splits > us_winograd_gradient_blocks(spec, tiles))
        return false;
    return local_vectors(spec, tiles) * (size_t)lanes * sizeof(float) <=
           spec->device->local_bytes / 4 * 3;
}

/* The largest divisor of `size` up to `most`. */
static int divisor(int size, int most) {
    int found = most < size ? most : size;
    while (size % found != 0)
        found--;
    return found;
}

/* About `most` of the small channels: whole vectors of them, if those can be shared out evenly. */
static int item_small_channels(const us_weight_gradient_spec *spec, int most) {
    int channels = spec->small.channels, width = spec->device->vector_width;
    int vectors = us_divide_up(most, width);
    int item = divisor(us_divide_up(channels, width), vectors);
    return 2 * item > vectors ? us_smaller(item * width, channels) : us_tiles_even(channels, most);
}

us_weight_gradient_tiles us_winograd_gradient_tiles(const us_weight_gradient_spec *spec,
                                                    int outputs, int item_small, int item_rows) {
    enum { LEAST_IMAGES = 16, MOST_VECTORS = 4 };
    us_weight_gradient_tiles tiles = {.splits = 1, .outputs = outputs, .vectors = 1};
    int phases = spec->stride[0] * spec->stride[1];
    tiles.item_small = item_small_channels(spec, item_small);
    tiles.item_large = us_tiles_even(spec->large.channels, us_divide_up(item_rows, phases));
    /* Of 16 registers twelve hold sums, and of AVX-512's 32 sixteen where that makes a square. */
    bool wide = spec->device->vector_width >= 16;
    tiles.small = divisor(count_small(spec, &tiles), wide ? 4 : 3);
    tiles.large = divisor(count_rows(spec, &tiles), tiles.small == 4 ? 4 : 12 / tiles.small);
    /* Many images amortise the sums' way to registers and back, as long as all stays in a cache:
     * some are worth more of it than more are. */
    int lanes = us_device_lanes(spec->device);
    int most_vectors = us_device_vectors(spec->device, spec->batch);
    while (tiles.vectors < MOST_VECTORS && 2 * tiles.vectors <= most_vectors) {
        size_t most = tiles.vectors * lanes < LEAST_IMAGES ? 384 * 1024 : 256 * 1024;
        tiles.vectors *= 2;
        if (local_vectors(spec, &tiles) * (size_t)lanes * sizeof(float) <= most) continue;
        tiles.vectors /= 2;
        break;
    }
    return tiles;
}

bool us_winograd_gradient_default(const us_weight_gradient_spec *spec,
                                  us_weight_gradient_tiles *tiles) {
    enum { LEAST_PRODUCTS = 144, LEAST_OF_LANE = 36, ITEM_ROWS = 64 };
    int width = spec->device->vector_width, channels = spec->small.channels;
    if (spec->kernel[0] != spec->kernel[1] || spec->stride[0] != spec->stride[1]) return false;
    /* Vectors are of small channels: where these do not fill one, more large ones are needed. */
    int least = channels < width ? LEAST_OF_LANE * width : LEAST_PRODUCTS;
    if (spec->stride[0] * spec->stride[1] * spec->large.channels * channels < least) return false;
    double savings;
    int outputs = us_winograd_outputs(spec->kernel[0], spec->stride[0], spec->small.height,
                                      spec->small.width, &savings);
    if (savings < 1.4) return false;
    *tiles = us_winograd_gradient_tiles(spec, outputs, width >= 16 ? 64 : 48, ITEM_ROWS);
    return us_winograd_gradient_fits(spec, tiles);
}

size_t us_winograd_gradient_blocks(const us_weight_gradient_spec *spec,
                                   const us_weight_gradient_tiles *tiles) {
    int vectors = us_device_vectors(spec->device, spec->batch);
    return (size_t)us_divide_up(spec->small.height, tiles->outputs) *
           (size_t)us_divide_up(spec->small.width, tiles->outputs) *
           (size_t)us_divide_up(vectors, tiles->vectors);
}

size_t us_winograd_gradient_items(const us_weight_gradient_spec *spec,
                                  const us_weight_gradient_tiles *tiles) {
    return (size_t)us_divide_up(spec->small.channels, tiles->item_small) *
           (size_t)us_divide_up(spec->large.channels, tiles->item_large);
}

bool us_winograd_gradient_takes_bias(const us_weight_gradient_spec *spec,
                                     const us_weight_gradient_tiles *tiles) {
    if (!spec->bias_of_large) return spec->bias;
    /* Windows begin at their own pixels, or one before, and together have all of them. */
    int step = tiles->outputs * spec->stride[0];
    return spec->bias && spec->padding[0] <= spec->stride[0] &&
           us_divide_up(spec->small.height, tiles->outputs) * step >= spec->large.height &&
           us_divide_up(spec->small.width, tiles->outputs) * step >= spec->large.width;
}

unseen_status us_winograd_gradient_build(const us_weight_gradient_spec *spec,
                                         const us_weight_gradient_tiles *tiles, us_kernel **kernel,
                                         unseen_error *error) {
    int bias = 0;
    if (us_winograd_gradient_takes_bias(spec, tiles)) bias = spec->bias_of_large ? 2 : 1;
    return us_kernel_create(
        spec->device, "winograd_gradient", "winograd_gradient", kernel, error,
        "-DLARGE_CHANNELS=%d -DLARGE_HEIGHT=%d -DLARGE_WIDTH=%d -DSMALL_CHANNELS=%d "
        "-DSMALL_HEIGHT=%d -DSMALL_WIDTH=%d -DBATCH=%d -DSTRIDE=%d -DPADDING=%d -DTAPS=%d "
        "-DOUTPUTS=%d -DTILE_SMALL=%d -DTILE_LARGE=%d -DITEM_SMALL=%d -DITEM_LARGE=%d "
        "-DITEM_VECTORS=%d -DSPLITS=%d -DBIAS=%d",
        spec->large.channels, spec->large.height, spec->large.width, spec->small.channels,
        spec->small.height, spec->small.width, spec->batch, spec->stride[0], spec->padding[0],
        count_taps(spec), tiles->outputs, tiles->small, tiles->large, tiles->item_small,
        tiles->item_large, tiles->vectors, tiles->splits, bias);
}

unseen_status us_winograd_gradient_run(const us_weight_gradient_spec *spec, us_kernel *kernel,
                                       const size_t groups[3], us_buffer *large, us_buffer *small,
                                       us_buffer *to, us_buffer *bias, bool accumulate,
                                       unseen_error *error) {
    return us_kernel_run(kernel, groups, error, "bbbbiiiii", large, small, to, bias,
                         (int32_t)accumulate, spec->kernel[0], (int32_t)spec->large_stride,
                         (int32_t)spec->tap_stride, (int32_t)spec->small_stride);
}
