#include "ops/winograd.h"

#include <stdlib.h>

#include "base/arithmetic.h"

struct us_winograd {
    us_gather_spec spec;
    us_kernel *pack, *winograd;
    int tile_channels;
    int block_terms;
    size_t tiles, items, groups, packed_bytes; /* items: of the same channels */
    bool takes_moments;
    us_parts parts; /* of moments, or of sums */
};

/* Taps of a phase along one side. */
static int count_taps(const us_gather_spec *spec) {
    return us_divide_up(spec->kernel[0], spec->stride[0]);
}

static size_t count_products(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    size_t points = (size_t)(tiles->outputs + count_taps(spec) - 1);
    return points * points;
}

static size_t count_phases(const us_gather_spec *spec) {
    return (size_t)spec->stride[0] * (size_t)spec->stride[0];
}

/* Twin of ODD_LINES in common.cl. */
static size_t odd_lines(int64_t floats) {
    return ((size_t)us_divide_up(floats, US_CACHE_LINE) | 1) * US_CACHE_LINE;
}

/* Of a block of inputs: an item takes so many channels at a time. */
static int block_channels(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    return tiles->staged > 0 ? tiles->staged : spec->in.channels;
}
static int block_terms(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    return block_channels(spec, tiles) * (spec->up ? 1 : (int)count_phases(spec));
}

/* Of an item's intermediate values, `channels` of each product. */
static size_t value_bytes(const us_gather_spec *spec, const us_gather_tiles *tiles, int channels) {
    int64_t lanes = (int64_t)us_device_lanes(spec->device) * tiles->run;
    return count_products(spec, tiles) * odd_lines(channels * lanes) * sizeof(float);
}
static size_t input_bytes(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    return value_bytes(spec, tiles, block_terms(spec, tiles));
}

/* Tiles of channels of an item: all of them, or as many as leave a half of a second cache. */
static int count_item_tiles(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    enum { SUM_BYTES = 512 * 1024 };
    int all = us_divide_up(spec->out.channels, tiles->channels), parts = 1, of_item;
    do
        of_item = us_divide_up(all, parts++);
    while (of_item > 1 && value_bytes(spec, tiles, of_item * tiles->channels) > SUM_BYTES);
    return of_item;
}

/* Of transformed inputs and of products; twin of the arrays of the kernel. */
static size_t local_bytes(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    return input_bytes(spec, tiles) +
           value_bytes(spec, tiles, count_item_tiles(spec, tiles) * tiles->channels);
}

bool us_winograd_fits(const us_gather_spec *spec, const us_gather_tiles *tiles) {
    int points = tiles->outputs + count_taps(spec) - 1;
    const us_device *device = spec->device;
    size_t lanes = (size_t)us_device_lanes(device) * (size_t)tiles->run;
    return spec->device->execution == US_EXECUTION_VECTOR && tiles->outputs >= 2 && points >= 3 &&
           points <= 5 && count_taps(spec) >= 2 && spec->kernel[0] == spec->kernel[1] &&
           spec->stride[0] == spec->stride[1] && spec->padding[0] == spec->padding[1] &&
           tiles->channels >= 1 && tiles->channels <= spec->out.channels && tiles->vectors >= 1 &&
           tiles->run % tiles->vectors == 0 && tiles->staged <= spec->in.channels &&
           spec->in.channels % block_channels(spec, tiles) == 0 &&
           lanes <= (size_t)us_device_occupied(device, spec->batch) &&
           local_bytes(spec, tiles) <= device->local_bytes / 4 * 3;
}

int us_winograd_outputs(int kernel, int stride, int rows, int columns, double *savings) {
    enum { POINTS = 5 };
    int taps = us_divide_up(kernel, stride), best = 0;
    *savings = 0;
    if (taps < 2) return 0;
    for (int outputs = POINTS + 1 - taps; outputs >= 2; outputs--) {
        double tiles = (double)us_divide_up(rows, outputs) * us_divide_up(columns, outputs);
        double products = (outputs + taps - 1) * (outputs + taps - 1) * stride * stride;
        double saved = (double)rows * columns * kernel * kernel / (tiles * products);
        if (saved <= *savings) continue;
        *savings = saved;
        best = outputs;
    }
    return best;
}

/* Channels of a block: few enough for what all tiles of channels read to stay in a first cache, or
 * near, and enough for the sums to come and go seldom. 0: all of them. */
static int default_block(const us_gather_spec *spec) {
    enum { LEAST_TERMS = 24, MOST_TERMS = 64 };
    int phases = spec->up ? 1 : (int)count_phases(spec), channels = spec->in.channels;
    int block = us_smaller(channels, us_divide_up(MOST_TERMS, phases));
    while (channels % block != 0)
        block--;
    while (block < channels && (channels % block != 0 || block * phases < LEAST_TERMS))
        block++;
    return block < channels ? block : 0;
}

/* So many vectors of the batch for an item; twelve registers hold sums, in two vectors where the
 * item has them. (24 of AVX-512's 32 are slower.) */
static void set_run(const us_gather_spec *spec, us_gather_tiles *tiles, int run) {
    enum { SUMS = 12 };
    int channels = spec->out.channels;
    tiles->run = run;
    tiles->vectors = us_smaller(run, 2);
    tiles->channels = us_divide_up(channels, us_divide_up(channels, SUMS / tiles->vectors));
}

/* Whole cache lines of the batch for which all intermediate values stay in a first cache, if that
 * can be. Else the vectors share what the weights cost: two of them, or four as long as transformed
 * inputs are near: up, they are fewer, and the weights come once for each phase. */
static bool choose_run(const us_gather_spec *spec, us_gather_tiles *tiles) {
    enum { MOST_LANES = 32, FIRST_CACHE = 48 * 1024, NEAR = 80 * 1024, NEAR_UP = 160 * 1024 };
    int width = spec->device->vector_width, vectors = us_device_vectors(spec->device, spec->batch);
    int most = us_smaller(MOST_LANES / width, 4);
    for (int run = most; run * width >= US_CACHE_LINE; run /= 2) {
        set_run(spec, tiles, run);
        if (vectors % run == 0 && local_bytes(spec, tiles) <= FIRST_CACHE &&
            us_winograd_fits(spec, tiles))
            return true;
    }
    for (int run = most; run >= 1; run /= 2) {
        set_run(spec, tiles, run);
        if (vectors % run != 0) continue;
        if (run > 2 && input_bytes(spec, tiles) > (spec->up ? NEAR_UP : NEAR)) continue;
        if (us_winograd_fits(spec, tiles)) return true;
    }
    return false;
}

bool us_winograd_tiles(const us_gather_spec *spec, int outputs, us_gather_tiles *tiles) {
    *tiles = (us_gather_tiles){.outputs = outputs, .staged = default_block(spec)};
    return outputs > 0 && choose_run(spec, tiles);
}

bool us_winograd_default(const us_gather_spec *spec, us_gather_tiles *tiles) {
    /* More weights than this come from memory again for every tile, which more savings have to pay.
     * With fewer channels than this transforms cost what they save: up, every phase needs its own.
     */
    enum { WEIGHT_BYTES = 16 * 1024 * 1024, LEAST_CHANNELS = 3, LEAST_CHANNELS_UP = 4 };
    int stride = spec->stride[0], grid = spec->up ? stride : 1;
    int least = grid > 1 ? LEAST_CHANNELS_UP : LEAST_CHANNELS;
    if (spec->out.channels < least || spec->kernel[0] != spec->kernel[1] ||
        spec->stride[0] != spec->stride[1])
        return false;
    double savings, least_savings = spec->device->vector_width >= 16 ? 1.5 : 1.4;
    int outputs = us_winograd_outputs(spec->kernel[0], stride, us_divide_up(spec->out.height, grid),
                                      us_divide_up(spec->out.width, grid), &savings);
    if (!us_winograd_tiles(spec, outputs, tiles)) return false;
    size_t weight_bytes = count_products(spec, tiles) * count_phases(spec) *
                          (size_t)spec->in.channels * (size_t)spec->out.channels * sizeof(float);
    return savings >= (weight_bytes > WEIGHT_BYTES ? 2.5 : least_savings);
}

/* Whether it is linear on either side of 0. */
static bool is_bent(us_activation activation) {
    return activation.kind <= US_ACTIVATION_LEAKY_RELU;
}

/* The slope on the negative side. */
static double slope_of(us_activation activation) {
    if (activation.kind == US_ACTIVATION_NONE) return 1;
    return activation.kind == US_ACTIVATION_LEAKY_RELU ? (double)activation.slope : 0;
}

/* The options name nothing that can be an argument without loss of speed: every kernel that layers
 * share is one less to compile. A convolution's input gradient and the forward pass of the
 * transposed convolution that mirrors it share theirs. */
static unseen_status build(us_winograd *winograd, const us_gather_tiles *tiles,
                           unseen_error *error) {
    const us_gather_spec *spec = &winograd->spec;
    US_TRY(us_kernel_create(spec->device, "winograd_pack", "winograd_pack", &winograd->pack, error,
                            "-DTAPS=%d -DOUTPUTS=%d", count_taps(spec), tiles->outputs));
    us_activation own = spec->activation, input = spec->input_activation;
    return us_kernel_create(
        spec->device, "winograd", "winograd", &winograd->winograd, error,
        "-DUP=%d -DIN_CHANNELS=%d -DIN_HEIGHT=%d -DIN_WIDTH=%d -DOUT_CHANNELS=%d -DOUT_HEIGHT=%d "
        "-DOUT_WIDTH=%d -DBATCH=%d -DSTRIDE=%d -DPADDING=%d -DTAPS=%d -DACTIVATION=%d "
        "-DINPUT_ACTIVATION=%d -DOUTPUTS=%d -DTILE_CHANNELS=%d -DTILE_VECTORS=%d "
        "-DITEM_VECTORS=%d -DITEM_TILES=%d -DIN_BLOCK=%d -DMOMENTS=%d",
        spec->up, spec->in.channels, spec->in.height, spec->in.width, spec->out.channels,
        spec->out.height, spec->out.width, spec->batch, spec->stride[0], spec->padding[0],
        count_taps(spec), is_bent(own) ? 0 : own.kind, is_bent(input) ? 0 : input.kind,
        tiles->outputs, tiles->channels, tiles->vectors, tiles->run, count_item_tiles(spec, tiles),
        block_channels(spec, tiles), winograd->takes_moments);
}

/* A part per work-item and phase of the output. */
static unseen_status create_parts(us_winograd *winograd, unseen_error *error) {
    enum { MOST_VALUES = 3 };
    const us_gather_spec *spec = &winograd->spec;
    int width = spec->device->vector_width;
    size_t items = winograd->items * (spec->up ? count_phases(spec) : 1);
    int parts = us_divide_up((int64_t)items, width) * width;
    if (winograd->parts.stride) return UNSEEN_OK;
    US_TRY(us_buffer_create(
        spec->device, (size_t)spec->out.channels * MOST_VALUES * (size_t)parts * sizeof(float),
        "moments of activations", &winograd->parts.buffer, error));
    winograd->parts.stride = parts;
    return UNSEEN_OK;
}

unseen_status us_winograd_create(const us_gather_spec *spec, const us_gather_tiles *tiles,
                                 us_winograd **winograd, unseen_error *error) {
    *winograd = NULL;
    us_winograd *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a convolution");
    made->spec = *spec;
    made->tile_channels = tiles->channels;
    made->block_terms = block_terms(spec, tiles);
    made->tiles = (size_t)us_divide_up(spec->out.channels, tiles->channels);
    made->packed_bytes = count_products(spec, tiles) * count_phases(spec) *
                         (size_t)spec->in.channels * made->tiles * (size_t)tiles->channels *
                         sizeof(float);
    int step = (spec->up ? spec->stride[0] : 1) * tiles->outputs;
    int chunks = us_divide_up(us_device_vectors(spec->device, spec->batch), tiles->run);
    made->items = (size_t)us_divide_up(spec->out.height, step) *
                  (size_t)us_divide_up(spec->out.width, step) * (size_t)chunks;
    made->groups =
        made->items * (size_t)us_divide_up((int64_t)made->tiles, count_item_tiles(spec, tiles));
    /* Not where work-items overlap. */
    made->takes_moments =
        spec->moments && us_device_vectors(spec->device, spec->batch) % tiles->run == 0;
    unseen_status status = build(made, tiles, error);
    if (status == UNSEEN_OK)
        *winograd = made;
    else
        us_winograd_destroy(made);
    return status;
}

void us_winograd_destroy(us_winograd *winograd) {
    if (!winograd) return;
    us_kernel_destroy(winograd->pack);
    us_kernel_destroy(winograd->winograd);
    us_buffer_destroy(winograd->parts.buffer);
    free(winograd);
}

size_t us_winograd_packed_bytes(const us_winograd *winograd) {
    return winograd->packed_bytes;
}

unseen_status us_winograd_pack(us_winograd *winograd, us_buffer *weights, us_buffer *packed,
                               unseen_error *error) {
    const us_gather_spec *spec = &winograd->spec;
    const size_t groups[3] = {(size_t)spec->in.channels, winograd->tiles, 1};
    return us_kernel_run(winograd->pack, groups, error, "bbiiiiiiiii", weights, packed,
                         (int32_t)spec->up, spec->kernel[0], spec->stride[0], spec->out.channels,
                         winograd->tile_channels, (int32_t)spec->in_stride,
                         (int32_t)spec->tap_stride, (int32_t)spec->out_stride,
                         winograd->block_terms);
}

unseen_status us_winograd_run(us_winograd *winograd, us_buffer *packed, const us_gather_args *args,
                              unseen_error *error) {
    const us_gather_spec *spec = &winograd->spec;
    const size_t groups[3] = {winograd->groups, 1, 1};
    bool derives = spec->input_activation.kind != US_ACTIVATION_NONE;
    us_activation bent = derives ? spec->input_activation : spec->activation;
    bool sums = args->sums && is_bent(spec->input_activation);
    us_parts *taken = sums ? args->sums : args->moments, parts = {0};
    if (taken && winograd->takes_moments) {
        US_TRY(create_parts(winograd, error));
        parts = *taken = winograd->parts;
    }
    sums = sums && parts.stride;
    us_buffer *input = sums ? args->normalized : derives ? args->input : NULL;
    return us_kernel_run(winograd->winograd, groups, error, "bbbbbbfbii", args->x, packed,
                         spec->bias ? args->bias : NULL, input, sums ? args->statistics : NULL,
                         args->y, slope_of(bent), parts.buffer, parts.stride, args->n);
}
