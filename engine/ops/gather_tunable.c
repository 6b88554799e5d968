/* Tuning of the gather: see gather.h for what its tiles mean. */
#include <stdio.h>

#include "device/tuning.h"
#include "ops/gather.h"
#include "ops/activation.h"
#include "ops/winograd.h"

enum { CHANNELS, VECTORS, STAGED, RUN, OUTPUTS };
enum { X, WEIGHTS, BIAS, INPUT, Y };
enum { MOST_SUMS = 48, MOST_CHANNELS = 32, MOST_VECTORS = 8, MOST_RUN = 16 };

static us_gather_tiles tiles_of(const int *values) {
    return (us_gather_tiles){.channels = values[CHANNELS],
                             .vectors = values[VECTORS],
                             .staged = values[STAGED],
                             .run = values[RUN],
                             .outputs = values[OUTPUTS]};
}

static void values_of(us_gather_tiles tiles, int *values) {
    values[CHANNELS] = tiles.channels;
    values[VECTORS] = tiles.vectors;
    values[STAGED] = tiles.staged;
    values[RUN] = tiles.run;
    values[OUTPUTS] = tiles.outputs;
}

unseen_status us_gather_choose(const us_gather_spec *spec, us_gather_tiles *tiles,
                               unseen_error *error) {
    int values[US_TUNABLE_PARAMETERS];
    US_TRY(us_tuning_choose(&us_gather_tunable, spec, values, error));
    *tiles = tiles_of(values);
    return UNSEEN_OK;
}

static void key(const void *spec, char text[US_TUNABLE_TEXT]) {
    us_gather_options(spec, text);
}

static void label(const void *spec, char text[US_TUNABLE_TEXT]) {
    const us_gather_spec *s = spec;
    bool forward =
        s->out_stride == 1; /* the weights are the layer's, whose outputs are innermost */
    snprintf(text, US_TUNABLE_TEXT,
             "%s %s, %dx%dx%d to %dx%dx%d, kernel %dx%d, stride %dx%d, batch %d",
             s->up == forward ? "transposed" : "convolution", forward ? "forward" : "backward",
             s->in.channels, s->in.height, s->in.width, s->out.channels, s->out.height,
             s->out.width, s->kernel[0], s->kernel[1], s->stride[0], s->stride[1], s->batch);
}

static void defaults(const void *spec, int *values) {
    values_of(us_gather_default(spec), values);
}

/* ---- which tiles there are ---- */

static int batch_vectors(const us_gather_spec *spec) {
    return us_device_vectors(spec->device, spec->batch);
}

/* Bytes of local memory that staging takes; see cl_kernels/gather.cl. */
static size_t staged_bytes(const us_gather_spec *spec, const int *values) {
    int up = spec->up;
    size_t taps_y =
        (size_t)(up ? us_tiles_count(spec->kernel[0], spec->stride[0]) : spec->kernel[0]);
    size_t taps_x =
        (size_t)(up ? us_tiles_count(spec->kernel[1], spec->stride[1]) : spec->kernel[1]);
    size_t chunk = (size_t)values[RUN] * (size_t)values[VECTORS] *
                   (size_t)us_device_lanes(spec->device) * sizeof(float);
    size_t bytes = chunk * (size_t)values[STAGED] * taps_y * taps_x;
    if (values[STAGED] < spec->in.channels)
        bytes += chunk * (size_t)us_tiles_count(spec->out.channels, values[CHANNELS]) *
                 (size_t)values[CHANNELS];
    return bytes;
}

static bool valid(const void *spec, const int *values) {
    const us_gather_spec *s = spec;
    int channels = values[CHANNELS], vectors = values[VECTORS], staged = values[STAGED];
    if (channels < 1 || channels > s->out.channels || channels > MOST_CHANNELS) return false;
    if (vectors < 1 || vectors > batch_vectors(s) || vectors > MOST_VECTORS) return false;
    if (channels * vectors > MOST_SUMS || values[RUN] < 1 || values[OUTPUTS] < 0) return false;
    us_gather_tiles tiles = tiles_of(values);
    if (values[OUTPUTS] > 0)
        return staged >= 0 && values[RUN] <= batch_vectors(s) && us_winograd_fits(s, &tiles);
    if (staged == 0) return values[RUN] <= s->out.width;
    if (s->device->execution != US_EXECUTION_VECTOR || staged < 0 || staged > s->in.channels)
        return false;
    return values[RUN] <= us_tiles_count(batch_vectors(s), vectors) &&
           staged_bytes(s, values) <= s->device->local_bytes / 4 * 3;
}

static int staged_choices(const us_gather_spec *spec, int *choices) {
    int count = us_choices_add(choices, 0, 0);
    if (spec->device->execution != US_EXECUTION_VECTOR) return count;
    for (int most = 4; most < 2 * spec->in.channels && most <= 1 << 16; most *= 2)
        count = us_choices_add(choices, count, us_tiles_even(spec->in.channels, most));
    return count;
}

static int outputs_choices(int *choices) {
    int count = us_choices_add(choices, 0, 0);
    for (int outputs = 2; outputs <= 4; outputs++)
        count = us_choices_add(choices, count, outputs);
    return count;
}

static int choices_of(const void *spec, const int *values, int parameter,
                      int choices[US_TUNABLE_CHOICES]) {
    const us_gather_spec *s = spec;
    int chunks = us_tiles_count(batch_vectors(s), values[VECTORS]);
    int run = values[OUTPUTS] ? batch_vectors(s) : values[STAGED] ? chunks : s->out.width;
    switch (parameter) {
    case CHANNELS:
        return us_tiles_choices(s->out.channels, MOST_CHANNELS, choices);
    case VECTORS:
        return us_tiles_choices(batch_vectors(s), MOST_VECTORS, choices);
    case STAGED:
        return staged_choices(s, choices);
    case OUTPUTS:
        return outputs_choices(choices);
    default:
        return us_powers_choices(run < MOST_RUN ? run : MOST_RUN, choices);
    }
}

/* One of each implementation, as these are far from each other; then blocks of sums that are good
 * on some device or other. */
static bool start(const void *spec, int index, int *values) {
    enum { DIRECT, TOGGLED, WINOGRAD, BLOCKS = WINOGRAD + 3 };
    static const int sums[][2] = {{12, 2}, {8, 3}, {6, 4}};
    const us_gather_spec *s = spec;
    us_gather_tiles tiles = us_gather_default_direct(s);
    if (index == TOGGLED) {
        bool staged = tiles.staged > 0 || s->device->execution == US_EXECUTION_LANES;
        tiles.staged = staged ? 0 : us_tiles_even(s->in.channels, 8);
        tiles.run = 1;
    } else if (index >= WINOGRAD && index < BLOCKS) {
        us_gather_tiles filtered; /* whether or not the default thinks that it pays */
        if (us_winograd_tiles(s, 2 + index - WINOGRAD, &filtered)) tiles = filtered;
    } else if (index >= BLOCKS) {
        if (index - BLOCKS >= (int)(sizeof sums / sizeof *sums)) return false;
        tiles =
            (us_gather_tiles){.channels = us_tiles_even(s->out.channels, sums[index - BLOCKS][0]),
                              .vectors = us_tiles_even(batch_vectors(s), sums[index - BLOCKS][1]),
                              .run = 1};
    }
    values_of(tiles, values);
    return true;
}

/* ---- trials ---- */

static size_t weight_count(const us_gather_spec *spec) {
    return (size_t)spec->in.channels * (size_t)spec->out.channels * (size_t)spec->kernel[0] *
           (size_t)spec->kernel[1];
}

static void operands(const void *spec, us_operand operands[US_TUNABLE_OPERANDS]) {
    const us_gather_spec *s = spec;
    operands[X] = (us_operand){us_shape_size(s->in) * (size_t)s->batch, false, s->batch};
    operands[WEIGHTS].floats = weight_count(s);
    operands[BIAS].floats = s->bias ? (size_t)s->out.channels : 0;
    operands[Y] = (us_operand){us_shape_size(s->out) * (size_t)s->batch, true, s->batch};
    if (s->input_activation.kind != US_ACTIVATION_NONE)
        operands[INPUT] = (us_operand){operands[Y].floats, false, s->batch};
}

/* The input position that a tap meets at an output position, or -1. */
static int input_position(bool up, int out, int tap, int stride, int padding, int size) {
    int at = up ? out + padding - tap : out * stride - padding + tap;
    if (up && at % stride != 0) return -1;
    if (up) at /= stride;
    return at >= 0 && at < size ? at : -1;
}

static double expected(const void *spec, const float *const *operands, int output, size_t index) {
    const us_gather_spec *s = spec;
    size_t batch = (size_t)s->batch, n = index % batch, pixel = index / batch;
    int ox = (int)(pixel % (size_t)s->out.width);
    int oy = (int)(pixel / (size_t)s->out.width % (size_t)s->out.height);
    size_t channel = pixel / ((size_t)s->out.width * (size_t)s->out.height);
    double sum = s->bias ? (double)operands[BIAS][channel] : 0;
    (void)output;
    for (int ky = 0; ky < s->kernel[0]; ky++) {
        int iy = input_position(s->up, oy, ky, s->stride[0], s->padding[0], s->in.height);
        for (int kx = 0; iy >= 0 && kx < s->kernel[1]; kx++) {
            int ix = input_position(s->up, ox, kx, s->stride[1], s->padding[1], s->in.width);
            if (ix < 0) continue;
            const float *x =
                operands[X] + ((size_t)iy * (size_t)s->in.width + (size_t)ix) * batch + n;
            const float *w = operands[WEIGHTS] + (size_t)(ky * s->kernel[1] + kx) * s->tap_stride +
                             channel * s->out_stride;
            size_t plane = (size_t)s->in.height * (size_t)s->in.width * batch;
            for (size_t c = 0; c < (size_t)s->in.channels; c++)
                sum += (double)x[c * plane] * (double)w[c * s->in_stride];
        }
    }
    if (s->input_activation.kind == US_ACTIVATION_NONE) return us_activate(s->activation, sum);
    return sum * us_activation_slope(s->input_activation, (double)operands[INPUT][index]);
}

static unseen_status create(const void *spec, const int *values, void **operation,
                            unseen_error *error) {
    us_gather_tiles tiles = tiles_of(values);
    us_gather *gather;
    unseen_status status = us_gather_create(spec, &tiles, &gather, error);
    *operation = gather;
    return status;
}

static unseen_status run(void *operation, us_buffer *const *operands, unseen_error *error) {
    us_gather_args args = {.x = operands[X],
                           .weights = operands[WEIGHTS],
                           .bias = operands[BIAS],
                           .input = operands[INPUT],
                           .y = operands[Y]};
    return us_gather_run(operation, &args, error);
}

static void destroy(void *operation) {
    us_gather_destroy(operation);
}

const us_tunable us_gather_tunable = {
    .name = "gather",
    .sources = {"gather", "winograd"},
    .parameters = {[CHANNELS] = "channels",
                   [VECTORS] = "vectors",
                   [STAGED] = "staged",
                   [RUN] = "run",
                   [OUTPUTS] = "outputs"},
    .spec_size = sizeof(us_gather_spec),
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
