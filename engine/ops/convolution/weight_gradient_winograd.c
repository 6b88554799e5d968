/* SPDX-License-Identifier: MIT */
/* A weight gradient by Winograd's minimal filtering, on CPUs: the transformed values of both sides
 * are multiplied and summed over tiles and images, and the sums are transformed once. Twin of
 * cl_kernels/winograd_gradient.cl. */
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/convolution/weight_gradient.h"
#include "ops/convolution/winograd.h"

/* A row is a pair of a phase of the stride and a large channel. */
typedef struct winograd {
    int outputs;      /* small pixels of a tile along one side: 2 to 4 */
    int small, large; /* of an item's vectors of small channels and of its rows, those that
                         registers hold the sums of: divisors of either */
    int item_small, item_large; /* channels of an item */
    int vectors;                /* of the batch at a time */
    int splits;                 /* parts that the blocks are summed in: see count_blocks */
} winograd;

enum { MOST_SUMS = 48, MOST_CHANNELS = 24, MOST_ITEM = 256, MOST_VECTORS = 64 };

static int count_taps(const us_convolution_problem *p) {
    return us_divide_up(p->kernel[0], p->stride[0]);
}

static int count_points(const us_convolution_problem *p, const winograd *w) {
    return w->outputs + count_taps(p) - 1;
}

static int count_phases(const us_convolution_problem *p) {
    return p->stride[0] * p->stride[1];
}

/* Rows of an item. */
static int count_rows(const us_convolution_problem *p, const winograd *w) {
    return count_phases(p) * w->item_large;
}

/* Vectors of small channels of an item. */
static int count_small(const us_device_facts *device, const winograd *w) {
    return us_divide_up(w->item_small, device->vector_width);
}

/* Bytes of both sides' transformed values and of the sums. */
static size_t local_bytes(const us_device_facts *device, const us_convolution_problem *p,
                          const winograd *w) {
    size_t points = (size_t)count_points(p, w), width = (size_t)device->vector_width;
    size_t rows = (size_t)count_rows(p, w), small = (size_t)count_small(device, w);
    size_t images = (size_t)w->vectors * width;
    return points * points * (rows * ((size_t)w->vectors + small) + small * images) *
           (size_t)us_device_lanes(device) * sizeof(float);
}

/* Blocks of work that the splits share: a tile of small pixels for `vectors` of the batch. */
static size_t count_blocks(const us_device_facts *device, const us_convolution_problem *p,
                           const winograd *w) {
    return (size_t)us_divide_up(p->small.height, w->outputs) *
           (size_t)us_divide_up(p->small.width, w->outputs) *
           (size_t)us_divide_up(us_device_vectors(device, p->batch), w->vectors);
}

/* Items of a split. */
static size_t count_items(const us_convolution_problem *p, const winograd *w) {
    return (size_t)us_divide_up(p->small.channels, w->item_small) *
           (size_t)us_divide_up(p->large.channels, w->item_large);
}

static bool is_possible(const us_device_facts *device, const us_convolution_problem *p) {
    return p->pass == US_CONVOLUTION_WEIGHTS && device->execution == US_EXECUTION_VECTOR &&
           us_convolution_is_square(p) && count_taps(p) >= 2;
}

static bool fits(const us_device_facts *device, const us_convolution_problem *p,
                 const winograd *w) {
    if (!is_possible(device, p) || w->outputs < 2 || count_points(p, w) > 5) return false;
    if (w->item_small < 1 || w->item_small > p->small.channels || w->item_large < 1 ||
        w->item_large > p->large.channels)
        return false;
    if (w->small < 1 || count_small(device, w) % w->small != 0) return false;
    if (w->large < 1 || count_rows(p, w) % w->large != 0) return false;
    if (w->vectors < 1 || w->vectors > us_device_vectors(device, p->batch)) return false;
    return w->splits >= 1 && (size_t)w->splits <= count_blocks(device, p, w) &&
           local_bytes(device, p, w) <= device->local_bytes / 4 * 3;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const winograd *w = parameters;
    return w->small <= MOST_CHANNELS && w->large <= MOST_CHANNELS &&
           (int64_t)w->small * w->large <= MOST_SUMS && w->item_small <= MOST_ITEM &&
           w->item_large <= MOST_ITEM && w->vectors <= MOST_VECTORS && fits(device, problem, w) &&
           us_weight_gradient_valid_splits(device, problem, w->splits);
}

/* The largest divisor of `size` up to `most`. */
static int divisor(int size, int most) {
    int found = most < size ? most : size;
    while (size % found != 0)
        found--;
    return found;
}

/* About `most` of the small channels: whole vectors of them, if those can be shared out evenly. */
static int item_small_channels(const us_device_facts *device, const us_convolution_problem *p,
                               int most) {
    int channels = p->small.channels, width = device->vector_width;
    int vectors = us_divide_up(most, width);
    int item = divisor(us_divide_up(channels, width), vectors);
    return 2 * item > vectors ? us_smaller(item * width, channels) : us_tiles_even(channels, most);
}

/* What suits a CPU's registers and caches, for items of about so many small channels and rows. One
 * split. */
static winograd suit(const us_device_facts *device, const us_convolution_problem *p, int outputs,
                     int item_small, int item_rows) {
    enum { LEAST_IMAGES = 16, MOST_TOGETHER = 4 };
    winograd w = {.splits = 1, .outputs = outputs, .vectors = 1};
    w.item_small = item_small_channels(device, p, item_small);
    w.item_large = us_tiles_even(p->large.channels, us_divide_up(item_rows, count_phases(p)));
    /* Twelve of 16 registers hold sums, and 16 of AVX-512's 32 where that makes a square. */
    bool wide = device->vector_width >= 16;
    w.small = divisor(count_small(device, &w), wide ? 4 : 3);
    w.large = divisor(count_rows(p, &w), w.small == 4 ? 4 : 12 / w.small);
    /* Many images amortise the sums' way to registers and back, as long as all stays in a cache:
     * some are worth more of it than more are. */
    int most_vectors = us_device_vectors(device, p->batch);
    while (w.vectors < MOST_TOGETHER && 2 * w.vectors <= most_vectors) {
        bool few = w.vectors * us_device_lanes(device) < LEAST_IMAGES;
        w.vectors *= 2;
        if (local_bytes(device, p, &w) <= (few ? 384 * 1024 : 256 * 1024)) continue;
        w.vectors /= 2;
        break;
    }
    return w;
}

/* Items end with a transform of all their sums, so the fewest splits that give every compute unit
 * as many items as any other, or enough of them that it hardly matters. */
static int default_splits(const us_device_facts *device, const us_convolution_problem *p,
                          const winograd *w) {
    size_t items = count_items(p, w), units = (size_t)device->compute_units;
    size_t most = count_blocks(device, p, w) / 4, enough = (4 * units + items - 1) / items;
    if (most > enough) most = enough;
    size_t splits = 1;
    while (splits < most && splits * items % units != 0)
        splits++;
    return (int)splits;
}

/* False also where multiplications saved would not pay for the transforms. */
static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum { LEAST_PRODUCTS = 144, LEAST_OF_LANE = 36, ITEM_ROWS = 64 };
    const us_convolution_problem *p = problem;
    winograd *w = parameters;
    if (!is_possible(device, p)) return false;
    /* Vectors are of small channels: where these do not fill one, more large ones are needed. */
    int width = device->vector_width, channels = p->small.channels;
    int least = channels < width ? LEAST_OF_LANE * width : LEAST_PRODUCTS;
    if (count_phases(p) * p->large.channels * channels < least) return false;
    double savings;
    int outputs =
        us_winograd_outputs(p->kernel[0], p->stride[0], p->small.height, p->small.width, &savings);
    if (savings < 1.4) return false;
    *w = suit(device, p, outputs, width >= 16 ? 64 : 48, ITEM_ROWS);
    if (!fits(device, p, w)) return false;
    w->splits = default_splits(device, p, w);
    return true;
}

/* Items that are good on some device or other. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    static const int items[][2] = {{48, 64}, {24, 48}, {64, 32}};
    const us_convolution_problem *p = problem;
    double savings;
    if (index >= (int)(sizeof items / sizeof *items) || !is_possible(device, p)) return false;
    int outputs =
        us_winograd_outputs(p->kernel[0], p->stride[0], p->small.height, p->small.width, &savings);
    *(winograd *)parameters = suit(device, p, outputs, items[index][0], items[index][1]);
    return true;
}

/* Channels of an item: powers of 2 and all. */
static int item_choices(int size, int *list) {
    int count = us_powers_choices(us_smaller(size, MOST_ITEM), list);
    return us_choices_add(list, count, size);
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    const us_convolution_problem *p = problem;
    const winograd *w = parameters;
    switch (offset) {
    case offsetof(winograd, outputs):
        for (int i = 0; i < 3; i++)
            list[i] = i + 2;
        return 3;
    case offsetof(winograd, small):
        return us_tiles_choices(count_small(device, w), MOST_CHANNELS, list);
    case offsetof(winograd, large):
        return us_tiles_choices(count_rows(p, w), MOST_CHANNELS, list);
    case offsetof(winograd, item_small):
        return item_choices(p->small.channels, list);
    case offsetof(winograd, item_large):
        return item_choices(p->large.channels, list);
    case offsetof(winograd, vectors):
        return us_powers_choices(us_smaller(us_device_vectors(device, p->batch), MOST_VECTORS),
                                 list);
    default:
        return us_powers_choices(
            us_smaller((int64_t)count_blocks(device, p, w), US_GRADIENT_MOST_SPLITS), list);
    }
}

static bool takes_bias(const us_convolution_problem *p, const winograd *w) {
    if (!p->bias_of_large) return p->bias;
    /* Windows begin at their own pixels, or one before, and together have all of them. */
    int step = w->outputs * p->stride[0];
    return p->bias && p->padding[0] <= p->stride[0] &&
           us_divide_up(p->small.height, w->outputs) * step >= p->large.height &&
           us_divide_up(p->small.width, w->outputs) * step >= p->large.width;
}

static unseen_status launch(const us_weight_gradient *gradient, const us_convolution_args *args,
                            us_buffer *to, us_buffer *bias, bool accumulate, unseen_error *error) {
    const us_convolution_problem *p = &gradient->problem;
    const size_t groups[3] = {gradient->groups, 1, 1};
    return us_kernel_run(gradient->kernel, groups, error, "bbbbiiiii", args->large, args->small, to,
                         bias, (int32_t)accumulate, p->kernel[0], (int32_t)p->large_stride,
                         (int32_t)p->tap_stride, (int32_t)p->small_stride);
}

static unseen_status create(const us_build *build, const us_convolution_problem *p,
                            const void *parameters, void **state, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const winograd *w = parameters;
    us_weight_gradient *made = calloc(1, sizeof *made);
    *state = made;
    if (!made) return us_fail_memory(error, "a convolution's gradient");
    made->problem = *p;
    made->groups = count_items(p, w) * (size_t)w->splits;
    made->splits = w->splits;
    made->takes_bias = takes_bias(p, w);
    made->launch = launch;
    int bias = !made->takes_bias ? 0 : p->bias_of_large ? 2 : 1;
    US_TRY(us_kernel_create(
        build, "winograd_gradient", "winograd_gradient", &made->kernel, error,
        "-DLARGE_CHANNELS=%d -DLARGE_HEIGHT=%d -DLARGE_WIDTH=%d -DSMALL_CHANNELS=%d "
        "-DSMALL_HEIGHT=%d -DSMALL_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DSTRIDE=%d -DPADDING=%d "
        "-DTAPS=%d "
        "-DOUTPUTS=%d -DTILE_SMALL=%d -DTILE_LARGE=%d -DITEM_SMALL=%d -DITEM_LARGE=%d "
        "-DITEM_VECTORS=%d -DSPLITS=%d -DBIAS=%d",
        p->large.channels, p->large.height, p->large.width, p->small.channels, p->small.height,
        p->small.width, p->batch, us_device_occupied(device, p->batch), p->stride[0], p->padding[0],
        count_taps(p), w->outputs, w->small, w->large, w->item_small, w->item_large, w->vectors,
        w->splits, bias));
    return us_weight_gradient_prepare(build, made, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_weight_gradient_destroy,
    .run = us_weight_gradient_run,
};

const us_algorithm us_weight_gradient_winograd = {
    .name = "weight_gradient_winograd",
    .sources = {"winograd_gradient", "bias_gradient"},
    .parameters = {US_PARAMETER(winograd, outputs), US_PARAMETER(winograd, small),
                   US_PARAMETER(winograd, large), US_PARAMETER(winograd, item_small),
                   US_PARAMETER(winograd, item_large), US_PARAMETER(winograd, vectors),
                   US_PARAMETER(winograd, splits)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .implementation = &implementation,
};
