#include "ops/winograd_gradient.h"

#include "base/arithmetic.h"

static int count_taps(const us_weight_gradient_spec *spec) {
    return us_divide_up(spec->kernel[0], spec->stride[0]);
}

static int count_points(const us_weight_gradient_spec *spec,
                        const us_weight_gradient_tiles *tiles) {
    return tiles->outputs + count_taps(spec) - 1;
}

/* Of both sides' transformed values and of the sums, in vectors. */
static size_t local_vectors(const us_weight_gradient_spec *spec,
                            const us_weight_gradient_tiles *tiles) {
    size_t points = (size_t)count_points(spec, tiles);
    size_t phases = (size_t)spec->stride[0] * (size_t)spec->stride[0];
    size_t large = (size_t)tiles->item_large, small = (size_t)tiles->item_small;
    size_t vectors = (size_t)tiles->vectors;
    return points * points * (phases * large * (vectors + small) + small * vectors);
}

bool us_winograd_gradient_fits(const us_weight_gradient_spec *spec,
                               const us_weight_gradient_tiles *tiles) {
    int points = count_points(spec, tiles), lanes = us_device_lanes(spec->device);
    bool square = spec->kernel[0] == spec->kernel[1] && spec->stride[0] == spec->stride[1] &&
                  spec->padding[0] == spec->padding[1];
    bool whole = tiles->small >= 1 && tiles->large >= 1 && tiles->item_small >= tiles->small &&
                 tiles->item_large >= tiles->large && tiles->item_small % tiles->small == 0 &&
                 tiles->item_large % tiles->large == 0 &&
                 tiles->item_small <= spec->small.channels &&
                 tiles->item_large <= spec->large.channels;
    if (spec->device->execution != US_EXECUTION_VECTOR || !square || !whole) return false;
    if (tiles->outputs < 2 || count_taps(spec) < 2 || points > 5) return false;
    if (tiles->vectors < 1 || tiles->vectors * lanes > spec->batch) return false;
    if (tiles->splits < 1 || (size_t)tiles->splits > us_winograd_gradient_blocks(spec, tiles))
        return false;
    return local_vectors(spec, tiles) * (size_t)lanes * sizeof(float) <=
           spec->device->local_bytes / 4 * 3;
}

/* The largest multiple of `tile` within `size` of at most `most`, or that which leaves least over.
 */
static int item_size(int size, int tile, int most) {
    int items = us_divide_up(size, most);
    int item = us_divide_up(us_divide_up(size, items), tile) * tile;
    return item <= size ? item : size / tile * tile;
}

bool us_winograd_gradient_default(const us_weight_gradient_spec *spec,
                                  us_weight_gradient_tiles *tiles) {
    enum { LEAST_PRODUCTS = 36, CACHE_BYTES = 384 * 1024, LEAST_VECTORS = 4 };
    int large = spec->large.channels, small = spec->small.channels;
    int lanes = us_device_lanes(spec->device), vectors = spec->batch / lanes;
    if (large * small < LEAST_PRODUCTS || spec->stride[0] < 2 || count_taps(spec) != 2)
        return false;
    /* Sums of 24 or 12 vectors in registers. */
    int most = spec->device->vector_width >= 16 ? 8 : 4;
    *tiles = (us_weight_gradient_tiles){.splits = 1, .outputs = 2};
    tiles->large = large < 3 ? large : 3;
    tiles->small = small < most ? small : most;
    tiles->item_large = item_size(large, tiles->large, 6);
    tiles->item_small = item_size(small, tiles->small, 24);
    tiles->vectors = vectors < 8 ? vectors : 8;
    /* Many vectors amortise the sums' way to a second cache and back, as long as all stays there.
     */
    while (local_vectors(spec, tiles) * (size_t)lanes * sizeof(float) > CACHE_BYTES) {
        if (tiles->vectors > LEAST_VECTORS)
            tiles->vectors /= 2;
        else if (tiles->item_small > tiles->small)
            tiles->item_small = item_size(small, tiles->small, tiles->item_small / 2);
        else
            break;
    }
    return us_winograd_gradient_fits(spec, tiles);
}

size_t us_winograd_gradient_blocks(const us_weight_gradient_spec *spec,
                                   const us_weight_gradient_tiles *tiles) {
    int vectors = spec->batch / us_device_lanes(spec->device);
    return (size_t)us_divide_up(spec->small.height, tiles->outputs) *
           (size_t)us_divide_up(spec->small.width, tiles->outputs) *
           (size_t)us_divide_up(vectors, tiles->vectors);
}

size_t us_winograd_gradient_items(const us_weight_gradient_spec *spec,
                                  const us_weight_gradient_tiles *tiles) {
    return (size_t)us_divide_up(spec->small.channels, tiles->item_small) *
           (size_t)us_divide_up(spec->large.channels, tiles->item_large);
}

unseen_status us_winograd_gradient_build(const us_weight_gradient_spec *spec,
                                         const us_weight_gradient_tiles *tiles, us_kernel **kernel,
                                         unseen_error *error) {
    return us_kernel_create(
        spec->device, "winograd_gradient", "winograd_gradient", kernel, error,
        "-DLARGE_CHANNELS=%d -DLARGE_HEIGHT=%d -DLARGE_WIDTH=%d -DSMALL_CHANNELS=%d "
        "-DSMALL_HEIGHT=%d -DSMALL_WIDTH=%d -DBATCH=%d -DSTRIDE=%d -DPADDING=%d -DTAPS=%d "
        "-DOUTPUTS=%d -DTILE_SMALL=%d -DTILE_LARGE=%d -DITEM_SMALL=%d -DITEM_LARGE=%d "
        "-DITEM_VECTORS=%d -DSPLITS=%d",
        spec->large.channels, spec->large.height, spec->large.width, spec->small.channels,
        spec->small.height, spec->small.width, spec->batch, spec->stride[0], spec->padding[0],
        count_taps(spec), tiles->outputs, tiles->small, tiles->large, tiles->item_small,
        tiles->item_large, tiles->vectors, tiles->splits);
}

unseen_status us_winograd_gradient_run(const us_weight_gradient_spec *spec, us_kernel *kernel,
                                       const size_t groups[3], us_buffer *large, us_buffer *small,
                                       us_buffer *partial, bool accumulate, unseen_error *error) {
    return us_kernel_run(kernel, groups, error, "bbbiiiii", large, small, partial,
                         (int32_t)accumulate, spec->kernel[0], (int32_t)spec->large_stride,
                         (int32_t)spec->tap_stride, (int32_t)spec->small_stride);
}
