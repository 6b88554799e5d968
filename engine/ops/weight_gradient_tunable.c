/* Tuning of the weights' gradient: see weight_gradient.h for what its tiles mean. */
#include <stdio.h>

#include "base/arithmetic.h"
#include "device/tuning.h"
#include "ops/weight_gradient.h"
#include "ops/winograd.h"
#include "ops/winograd_gradient.h"

enum { SMALL, LARGE, TAPS, SPLITS, OUTPUTS, ITEM_SMALL, ITEM_LARGE, VECTORS };
enum { LARGE_SIDE, SMALL_SIDE, WEIGHTS, BIAS };
enum { MOST_SUMS = 48, MOST_CHANNELS = 24, MOST_ITEM = 256, MOST_VECTORS = 64, MOST_SPLITS = 4096 };

static us_weight_gradient_tiles tiles_of(const int *values) {
    return (us_weight_gradient_tiles){.small = values[SMALL],
                                      .large = values[LARGE],
                                      .taps = values[TAPS],
                                      .splits = values[SPLITS],
                                      .outputs = values[OUTPUTS],
                                      .item_small = values[ITEM_SMALL],
                                      .item_large = values[ITEM_LARGE],
                                      .vectors = values[VECTORS]};
}

static void values_of(us_weight_gradient_tiles tiles, int *values) {
    values[SMALL] = tiles.small;
    values[LARGE] = tiles.large;
    values[TAPS] = tiles.taps;
    values[SPLITS] = tiles.splits;
    values[OUTPUTS] = tiles.outputs;
    values[ITEM_SMALL] = tiles.item_small;
    values[ITEM_LARGE] = tiles.item_large;
    values[VECTORS] = tiles.vectors;
}

unseen_status us_weight_gradient_choose(const us_weight_gradient_spec *spec,
                                        us_weight_gradient_tiles *tiles, unseen_error *error) {
    int values[US_TUNABLE_PARAMETERS];
    US_TRY(us_tuning_choose(&us_weight_gradient_tunable, spec, values, error));
    *tiles = tiles_of(values);
    return UNSEEN_OK;
}

/* Whether the bias is computed as well makes no difference to the tiles. */
static void key(const void *spec, char text[US_TUNABLE_TEXT]) {
    us_weight_gradient_options(spec, text);
}

static void label(const void *spec, char text[US_TUNABLE_TEXT]) {
    const us_weight_gradient_spec *s = spec;
    snprintf(text, US_TUNABLE_TEXT,
             "%s, %dx%dx%d and %dx%dx%d, kernel %dx%d, stride %dx%d, batch %d",
             s->bias_of_large ? "transposed" : "convolution", s->large.channels, s->large.height,
             s->large.width, s->small.channels, s->small.height, s->small.width, s->kernel[0],
             s->kernel[1], s->stride[0], s->stride[1], s->batch);
}

static void defaults(const void *spec, int *values) {
    values_of(us_weight_gradient_default(spec), values);
}

/* ---- which tiles there are ---- */

static size_t count_weights(const us_weight_gradient_spec *spec) {
    return (size_t)spec->large.channels * (size_t)spec->small.channels * (size_t)spec->kernel[0] *
           (size_t)spec->kernel[1];
}

/* Of the direct kernel; Winograd's parameters are 0 there. */
static bool valid_direct(const us_weight_gradient_spec *s, const int *values) {
    int small = values[SMALL], large = values[LARGE], taps = values[TAPS];
    if (small > s->small.channels || large > s->large.channels) return false;
    if (values[ITEM_SMALL] != 0 || values[ITEM_LARGE] != 0 || values[VECTORS] != 0) return false;
    if (taps < 1 || taps > s->kernel[1] || values[SPLITS] > s->small.height) return false;
    size_t local =
        (size_t)(small * large * taps) * (size_t)(s->device->group_size + 1) * sizeof(float);
    return small * large * taps <= MOST_SUMS &&
           (s->device->execution == US_EXECUTION_VECTOR || local <= s->device->local_bytes);
}

/* Of Winograd's filtering, whose taps are 0 and whose items' channels are bounded so that products
 * of them stay small numbers. */
static bool valid_winograd(const us_weight_gradient_spec *s, const int *values) {
    us_weight_gradient_tiles tiles = tiles_of(values);
    return values[TAPS] == 0 && values[ITEM_SMALL] <= MOST_ITEM &&
           values[ITEM_LARGE] <= MOST_ITEM && values[VECTORS] <= MOST_VECTORS &&
           us_winograd_gradient_fits(s, &tiles);
}

static bool valid(const void *spec, const int *values) {
    const us_weight_gradient_spec *s = spec;
    int small = values[SMALL], large = values[LARGE], splits = values[SPLITS];
    if (small < 1 || small > MOST_CHANNELS || large < 1 || large > MOST_CHANNELS) return false;
    if (small * large > MOST_SUMS || splits < 1 || splits > MOST_SPLITS || values[OUTPUTS] < 0)
        return false;
    size_t partial = splits > 1 ? count_weights(s) * (size_t)splits * sizeof(float) : 0;
    if (partial > s->device->largest_allocation_bytes / 4) return false;
    return values[OUTPUTS] ? valid_winograd(s, values) : valid_direct(s, values);
}

/* Of an item: powers of 2 and all. */
static int item_choices(int size, int *choices) {
    int count = us_powers_choices(size < MOST_ITEM ? size : MOST_ITEM, choices);
    return us_choices_add(choices, count, size);
}

static int splits_choices(const us_weight_gradient_spec *s, const int *values, int *choices) {
    us_weight_gradient_tiles tiles = tiles_of(values);
    size_t most =
        values[OUTPUTS] ? us_winograd_gradient_blocks(s, &tiles) : (size_t)s->small.height;
    return us_powers_choices(most < MOST_SPLITS ? (int)most : MOST_SPLITS, choices);
}

/* From one implementation to the other only starts lead, as nearly everything differs. */
static int choices_of(const void *spec, const int *values, int parameter,
                      int choices[US_TUNABLE_CHOICES]) {
    const us_weight_gradient_spec *s = spec;
    bool winograd = values[OUTPUTS] > 0;
    int vectors = us_device_vectors(s->device, s->batch);
    int item_vectors = us_divide_up(values[ITEM_SMALL], s->device->vector_width);
    int item_rows = values[ITEM_LARGE] * s->stride[0] * s->stride[1];
    switch (parameter) {
    case SMALL:
        return us_tiles_choices(winograd ? item_vectors : s->small.channels, MOST_CHANNELS,
                                choices);
    case LARGE:
        return us_tiles_choices(winograd ? item_rows : s->large.channels, MOST_CHANNELS, choices);
    case TAPS:
        return winograd ? 0 : us_tiles_choices(s->kernel[1], s->kernel[1], choices);
    case SPLITS:
        return splits_choices(s, values, choices);
    case OUTPUTS:
        for (int i = 0; winograd && i < 3; i++)
            choices[i] = i + 2;
        return winograd ? 3 : 0;
    case ITEM_SMALL:
        return winograd ? item_choices(s->small.channels, choices) : 0;
    case ITEM_LARGE:
        return winograd ? item_choices(s->large.channels, choices) : 0;
    default:
        return winograd
                   ? us_powers_choices(vectors < MOST_VECTORS ? vectors : MOST_VECTORS, choices)
                   : 0;
    }
}

/* One of each implementation; then blocks of sums that are good on some device or other, with the
 * splits of the default. */
static bool start(const void *spec, int index, int *values) {
    enum { DIRECT, WINOGRAD, BLOCKS = WINOGRAD + 3 };
    static const int winograds[][2] = {{48, 64}, {24, 48}, {64, 32}};
    static const int sums[][3] = {{6, 1, 4}, {4, 6, 1}, {6, 2, 2}};
    const us_weight_gradient_spec *s = spec;
    us_weight_gradient_tiles tiles = us_weight_gradient_default_direct(s);
    if (index >= WINOGRAD && index < BLOCKS) {
        const int *items = winograds[index - WINOGRAD];
        double savings;
        int outputs = us_winograd_outputs(s->kernel[0], s->stride[0], s->small.height,
                                          s->small.width, &savings);
        tiles = us_winograd_gradient_tiles(s, outputs, items[0], items[1]);
    } else if (index >= BLOCKS) {
        int block = index - BLOCKS;
        if (block >= (int)(sizeof sums / sizeof *sums)) return false;
        tiles.small = us_tiles_even(s->small.channels, sums[block][0]);
        tiles.large = us_tiles_even(s->large.channels, sums[block][1]);
        tiles.taps = us_tiles_even(s->kernel[1], sums[block][2]);
    }
    values_of(tiles, values);
    return true;
}

/* ---- trials ---- */

static us_shape biased(const us_weight_gradient_spec *spec) {
    return spec->bias_of_large ? spec->large : spec->small;
}

static void operands(const void *spec, us_operand operands[US_TUNABLE_OPERANDS]) {
    const us_weight_gradient_spec *s = spec;
    operands[LARGE_SIDE] =
        (us_operand){us_shape_size(s->large) * (size_t)s->batch, false, s->batch};
    operands[SMALL_SIDE] =
        (us_operand){us_shape_size(s->small) * (size_t)s->batch, false, s->batch};
    operands[WEIGHTS] = (us_operand){count_weights(s), true, 0};
    if (s->bias) operands[BIAS] = (us_operand){(size_t)biased(s).channels, true, 0};
}

static double expected_bias(const us_weight_gradient_spec *s, const float *const *operands,
                            size_t channel) {
    us_shape side = biased(s);
    size_t count = (size_t)side.height * (size_t)side.width * (size_t)s->batch;
    const float *dy = operands[s->bias_of_large ? LARGE_SIDE : SMALL_SIDE] + channel * count;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)dy[i];
    return sum;
}

/* The sum over small pixels and the batch of what the tap (ky, kx) brings together. */
static double expected_weight(const us_weight_gradient_spec *s, const float *large,
                              const float *small, int ky, int kx) {
    size_t batch = (size_t)s->batch;
    double sum = 0;
    for (int sy = 0; sy < s->small.height; sy++) {
        int ly = sy * s->stride[0] - s->padding[0] + ky;
        if (ly < 0 || ly >= s->large.height) continue;
        for (int sx = 0; sx < s->small.width; sx++) {
            int lx = sx * s->stride[1] - s->padding[1] + kx;
            if (lx < 0 || lx >= s->large.width) continue;
            const float *a = small + ((size_t)sy * (size_t)s->small.width + (size_t)sx) * batch;
            const float *b = large + ((size_t)ly * (size_t)s->large.width + (size_t)lx) * batch;
            for (size_t n = 0; n < batch; n++)
                sum += (double)a[n] * (double)b[n];
        }
    }
    return sum;
}

static double expected(const void *spec, const float *const *operands, int output, size_t index) {
    const us_weight_gradient_spec *s = spec;
    if (output == BIAS) return expected_bias(s, operands, index);
    /* Weights are [outer][tap][inner]; strides are alike only where a side has one channel. */
    bool large_outer = s->large_stride > s->small_stride ||
                       (s->large_stride == s->small_stride && s->small.channels == 1);
    size_t outer_stride = large_outer ? s->large_stride : s->small_stride;
    size_t outer = index / outer_stride, rest = index % outer_stride;
    size_t tap = rest / s->tap_stride, inner = rest % s->tap_stride;
    size_t l = large_outer ? outer : inner, c = large_outer ? inner : outer;
    return expected_weight(s,
                           operands[LARGE_SIDE] + l * (size_t)s->large.height *
                                                      (size_t)s->large.width * (size_t)s->batch,
                           operands[SMALL_SIDE] + c * (size_t)s->small.height *
                                                      (size_t)s->small.width * (size_t)s->batch,
                           (int)tap / s->kernel[1], (int)tap % s->kernel[1]);
}

static unseen_status create(const void *spec, const int *values, void **operation,
                            unseen_error *error) {
    us_weight_gradient_tiles tiles = tiles_of(values);
    us_weight_gradient *gradient;
    unseen_status status = us_weight_gradient_create(spec, &tiles, &gradient, error);
    *operation = gradient;
    return status;
}

static unseen_status run(void *operation, us_buffer *const *operands, unseen_error *error) {
    return us_weight_gradient_run(operation, operands[LARGE_SIDE], operands[SMALL_SIDE],
                                  operands[WEIGHTS], operands[BIAS], false, error);
}

static void destroy(void *operation) {
    us_weight_gradient_destroy(operation);
}

const us_tunable us_weight_gradient_tunable = {
    .name = "weight_gradient",
    .sources = {"weight_gradient", "winograd_gradient"},
    .parameters = {[SMALL] = "small",
                   [LARGE] = "large",
                   [TAPS] = "taps",
                   [SPLITS] = "splits",
                   [OUTPUTS] = "outputs",
                   [ITEM_SMALL] = "item_small",
                   [ITEM_LARGE] = "item_large",
                   [VECTORS] = "vectors"},
    .spec_size = sizeof(us_weight_gradient_spec),
    .key = key,
    .label = label,
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices_of,
    .operands = operands,
    .expected = expected,
    .create = create,
    .run = run,
    .destroy = destroy,
};
