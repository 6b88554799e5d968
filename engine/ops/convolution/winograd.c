/* SPDX-License-Identifier: MIT */
/* Winograd's minimal filtering of tiles of output pixels, on CPUs. It saves multiplications: 2.6
 * times fewer with tiles of 4 x 4 outputs for a kernel of 4 x 4 and stride 2, 3.2 times with 3 x 3
 * for one of 3 x 3. Twin of cl_kernels/winograd.cl and winograd_pack.cl. */
#include "ops/convolution/winograd.h"

#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/convolution/algorithm.h"

typedef struct winograd {
    int outputs;      /* of a tile along one side: 2 to 4 */
    int channels;     /* output channels of a block of sums, at most all */
    int vectors;      /* of the batch of a block of sums */
    int item_vectors; /* of the batch of an item, a multiple of `vectors` */
    int inputs;       /* input channels transformed at a time, a divisor of all */
} winograd;

enum { MOST_SUMS = 48, MOST_CHANNELS = 32, MOST_VECTORS = 8, MOST_ITEM_VECTORS = 16 };

/* Taps of a phase along one side. */
static int count_taps(const us_convolution_problem *problem) {
    return us_divide_up(problem->kernel[0], problem->stride[0]);
}

static int count_points(const us_convolution_problem *problem, const winograd *w) {
    return w->outputs + count_taps(problem) - 1;
}

static size_t count_products(const us_convolution_problem *problem, const winograd *w) {
    size_t points = (size_t)count_points(problem, w);
    return points * points;
}

static int count_phases(const us_convolution_problem *problem) {
    return problem->stride[0] * problem->stride[0];
}

static bool is_up(const us_convolution_problem *problem) {
    return problem->pass == US_CONVOLUTION_UP;
}

/* Rounded up to an odd number of cache lines: what lies that far apart falls into all sets of a
 * cache. */
static size_t odd_lines(int64_t floats) {
    return ((size_t)us_divide_up(floats, US_CACHE_LINE) | 1) * US_CACHE_LINE;
}

/* Terms of the sums that an item adds up at a time. */
static int block_terms(const us_convolution_problem *problem, const winograd *w) {
    return w->inputs * (is_up(problem) ? 1 : count_phases(problem));
}

/* Vectors of an item's intermediate values of a product, `channels` of them, and bytes of those of
 * all products. */
static size_t value_vectors(const us_device_facts *device, const winograd *w, int channels) {
    int64_t lanes = (int64_t)us_device_lanes(device) * w->item_vectors;
    return odd_lines(channels * lanes) / (size_t)device->vector_width;
}
static size_t value_bytes(const us_device_facts *device, const us_convolution_problem *problem,
                          const winograd *w, int channels) {
    return count_products(problem, w) * value_vectors(device, w, channels) *
           (size_t)device->vector_width * sizeof(float);
}
static size_t input_bytes(const us_device_facts *device, const us_convolution_problem *problem,
                          const winograd *w) {
    return value_bytes(device, problem, w, block_terms(problem, w));
}

/* Tiles of channels of an item: all of them, or as many as leave a half of a second cache. */
static int count_item_tiles(const us_device_facts *device, const us_convolution_problem *problem,
                            const winograd *w) {
    enum { SUM_BYTES = 512 * 1024 };
    int all = us_divide_up(us_convolution_out(problem).channels, w->channels);
    int parts = 1, of_item;
    do
        of_item = us_divide_up(all, parts++);
    while (of_item > 1 && value_bytes(device, problem, w, of_item * w->channels) > SUM_BYTES);
    return of_item;
}

/* Bytes of transformed inputs and of products; twin of the arrays of the kernel. */
static size_t local_bytes(const us_device_facts *device, const us_convolution_problem *problem,
                          const winograd *w) {
    int channels = count_item_tiles(device, problem, w) * w->channels;
    return input_bytes(device, problem, w) + value_bytes(device, problem, w, channels);
}

/* Whether the algorithm can compute the problem with some parameters. */
static bool is_possible(const us_device_facts *device, const us_convolution_problem *problem) {
    return problem->pass != US_CONVOLUTION_WEIGHTS && device->execution == US_EXECUTION_VECTOR &&
           us_convolution_is_square(problem) && count_taps(problem) >= 2;
}

/* Whether a kernel can be built: of 3 to 5 points, with intermediate values that fit. */
static bool fits(const us_device_facts *device, const us_convolution_problem *problem,
                 const winograd *w) {
    const int in = us_convolution_in(problem).channels, out = us_convolution_out(problem).channels;
    if (!is_possible(device, problem) || w->outputs < 2 || count_points(problem, w) > 5)
        return false;
    if (w->channels < 1 || w->channels > out || w->vectors < 1 || w->item_vectors < 1 ||
        w->item_vectors % w->vectors != 0 || w->inputs < 1 || w->inputs > in || in % w->inputs != 0)
        return false;
    return w->item_vectors <= us_device_vectors(device, problem->batch) &&
           local_bytes(device, problem, w) <= device->local_bytes / 4 * 3;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const winograd *w = parameters;
    return w->channels <= MOST_CHANNELS && w->vectors <= MOST_VECTORS &&
           (int64_t)w->channels * w->vectors <= MOST_SUMS && fits(device, problem, w);
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

/* Input channels of a block: few enough for what all tiles of channels read to stay in a first
 * cache, or near, and enough for the sums to come and go seldom. */
static int default_inputs(const us_convolution_problem *problem) {
    enum { LEAST_TERMS = 24, MOST_TERMS = 64 };
    int phases = is_up(problem) ? 1 : count_phases(problem);
    int channels = us_convolution_in(problem).channels;
    int block = us_smaller(channels, us_divide_up(MOST_TERMS, phases));
    while (channels % block != 0)
        block--;
    while (block < channels && (channels % block != 0 || block * phases < LEAST_TERMS))
        block++;
    return block;
}

/* Twelve registers hold sums, in two vectors where the item has them. (24 of AVX-512's 32 are
 * slower.) */
static void set_item_vectors(const us_convolution_problem *problem, winograd *w, int item_vectors) {
    enum { SUMS = 12 };
    w->item_vectors = item_vectors;
    w->vectors = us_smaller(item_vectors, 2);
    w->channels = us_tiles_even(us_convolution_out(problem).channels, SUMS / w->vectors);
}

/* Whole cache lines of the batch for which all intermediate values stay in a first cache, if that
 * can be. Else the vectors share what the weights cost: two of them, or four as long as transformed
 * inputs are near: up, they are fewer, and the weights come once for each phase. */
static bool choose_item_vectors(const us_device_facts *device,
                                const us_convolution_problem *problem, winograd *w) {
    enum { MOST_LANES = 32, FIRST_CACHE = 48 * 1024, NEAR = 80 * 1024, NEAR_UP = 160 * 1024 };
    int width = device->vector_width, vectors = us_device_vectors(device, problem->batch);
    int most = us_smaller(MOST_LANES / width, 4);
    for (int item = most; item * width >= US_CACHE_LINE; item /= 2) {
        set_item_vectors(problem, w, item);
        if (vectors % item == 0 && local_bytes(device, problem, w) <= FIRST_CACHE &&
            fits(device, problem, w))
            return true;
    }
    for (int item = most; item >= 1; item /= 2) {
        set_item_vectors(problem, w, item);
        if (vectors % item != 0) continue;
        if (item > 2 && input_bytes(device, problem, w) > (is_up(problem) ? NEAR_UP : NEAR))
            continue;
        if (fits(device, problem, w)) return true;
    }
    return false;
}

/* Parameters that suit a CPU's registers and caches, for tiles of so many outputs; false where they
 * are not possible. */
static bool suit(const us_device_facts *device, const us_convolution_problem *problem, int outputs,
                 winograd *w) {
    *w = (winograd){.outputs = outputs, .inputs = default_inputs(problem)};
    return outputs > 0 && is_possible(device, problem) && choose_item_vectors(device, problem, w);
}

/* False also where the multiplications saved would not pay for the transforms. */
static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    /* More weights than this come from memory again for every tile, which more savings have to pay.
     * With fewer channels than this, transforms cost what they save (up, each phase has its own).
     */
    enum { WEIGHT_BYTES = 16 * 1024 * 1024, LEAST_CHANNELS = 3, LEAST_CHANNELS_UP = 4 };
    const us_convolution_problem *p = problem;
    winograd *w = parameters;
    if (!is_possible(device, p)) return false;
    const us_shape out = us_convolution_out(p);
    int stride = p->stride[0], grid = is_up(p) ? stride : 1;
    if (out.channels < (grid > 1 ? LEAST_CHANNELS_UP : LEAST_CHANNELS)) return false;
    double savings, least_savings = device->vector_width >= 16 ? 1.5 : 1.4;
    int outputs = us_winograd_outputs(p->kernel[0], stride, us_divide_up(out.height, grid),
                                      us_divide_up(out.width, grid), &savings);
    if (!suit(device, p, outputs, w)) return false;
    size_t weight_bytes = count_products(p, w) * (size_t)count_phases(p) *
                          (size_t)us_convolution_in(p).channels * (size_t)out.channels *
                          sizeof(float);
    return savings >= (weight_bytes > WEIGHT_BYTES ? 2.5 : least_savings);
}

/* Each number of outputs, whether or not the default thinks that it pays. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    if (index > 2 || !is_possible(device, problem)) return false;
    if (!suit(device, problem, 2 + index, parameters)) *(winograd *)parameters = (winograd){0};
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    const us_convolution_problem *p = problem;
    const int vectors = us_device_vectors(device, p->batch), in = us_convolution_in(p).channels;
    (void)parameters;
    int count = 0;
    switch (offset) {
    case offsetof(winograd, outputs):
        for (int outputs = 2; outputs <= 4; outputs++)
            list[count++] = outputs;
        return count;
    case offsetof(winograd, channels):
        return us_tiles_choices(us_convolution_out(p).channels, MOST_CHANNELS, list);
    case offsetof(winograd, vectors):
        return us_tiles_choices(vectors, MOST_VECTORS, list);
    case offsetof(winograd, item_vectors):
        return us_powers_choices(us_smaller(vectors, MOST_ITEM_VECTORS), list);
    default:
        for (int most = 4; most < 2 * in && most <= 1 << 16; most *= 2)
            count = us_choices_add(list, count, us_tiles_even(in, most));
        return count;
    }
}

/* ---- running ---- */

typedef struct state {
    us_convolution_problem problem;
    us_kernel *pack, *winograd;
    int tile_channels, block_terms;
    size_t tiles, items, groups, packed_bytes; /* items: of the same channels */
    bool takes_moments;
    us_parts parts; /* of moments, or of sums */
} state;

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
static unseen_status build_kernels(const us_build *build, state *made, const winograd *w,
                                   unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const us_convolution_problem *p = &made->problem;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    US_TRY(us_kernel_create(build, "winograd_pack", "winograd_pack", &made->pack, error,
                            "-DTAPS=%d -DOUTPUTS=%d", count_taps(p), w->outputs));
    us_activation own = p->activation, input = p->input_activation;
    return us_kernel_create(
        build, "winograd", "winograd", &made->winograd, error,
        "-DUP=%d -DIN_CHANNELS=%d -DIN_HEIGHT=%d -DIN_WIDTH=%d -DOUT_CHANNELS=%d -DOUT_HEIGHT=%d "
        "-DOUT_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DSTRIDE=%d -DPADDING=%d -DTAPS=%d "
        "-DACTIVATION=%d "
        "-DINPUT_ACTIVATION=%d -DOUTPUTS=%d -DTILE_CHANNELS=%d -DTILE_VECTORS=%d "
        "-DITEM_VECTORS=%d -DITEM_TILES=%d -DIN_BLOCK=%d "
        "-DINPUT_STEP=%zu -DSUM_STEP=%zu -DMOMENTS=%d",
        is_up(p), in.channels, in.height, in.width, out.channels, out.height, out.width, p->batch,
        us_device_occupied(device, p->batch), p->stride[0], p->padding[0], count_taps(p),
        is_bent(own) ? 0 : own.kind, is_bent(input) ? 0 : input.kind, w->outputs, w->channels,
        w->vectors, w->item_vectors, count_item_tiles(device, p, w), w->inputs,
        value_vectors(device, w, block_terms(p, w)),
        value_vectors(device, w, count_item_tiles(device, p, w) * w->channels),
        made->takes_moments);
}

static unseen_status create(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **out, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const winograd *w = parameters;
    state *made = calloc(1, sizeof *made);
    *out = made;
    if (!made) return us_fail_memory(error, "a convolution");
    const us_shape to = us_convolution_out(problem);
    made->problem = *problem;
    made->tile_channels = w->channels;
    made->block_terms = block_terms(problem, w);
    made->tiles = (size_t)us_divide_up(to.channels, w->channels);
    made->packed_bytes = count_products(problem, w) * (size_t)count_phases(problem) *
                         (size_t)us_convolution_in(problem).channels * made->tiles *
                         (size_t)w->channels * sizeof(float);
    int step = (is_up(problem) ? problem->stride[0] : 1) * w->outputs;
    int vectors = us_device_vectors(device, problem->batch);
    made->items = (size_t)us_divide_up(to.height, step) * (size_t)us_divide_up(to.width, step) *
                  (size_t)us_divide_up(vectors, w->item_vectors);
    made->groups = made->items *
                   (size_t)us_divide_up((int64_t)made->tiles, count_item_tiles(device, problem, w));
    /* Not where work-items overlap. */
    made->takes_moments = problem->moments && vectors % w->item_vectors == 0;
    return build_kernels(build, made, w, error);
}

static void destroy(void *pointer) {
    state *s = pointer;
    if (!s) return;
    us_kernel_destroy(s->pack);
    us_kernel_destroy(s->winograd);
    us_buffer_destroy(s->parts.buffer);
    free(s);
}

static size_t packed_bytes(const void *pointer) {
    return ((const state *)pointer)->packed_bytes;
}

static unseen_status pack(void *pointer, us_buffer *weights, us_buffer *packed,
                          unseen_error *error) {
    const state *s = pointer;
    const us_convolution_problem *p = &s->problem;
    const size_t groups[3] = {(size_t)us_convolution_in(p).channels, s->tiles, 1};
    return us_kernel_run(s->pack, groups, error, "bbiiiiiiiii", weights, packed, (int32_t)is_up(p),
                         p->kernel[0], p->stride[0], us_convolution_out(p).channels,
                         s->tile_channels, (int32_t)us_convolution_in_stride(p),
                         (int32_t)p->tap_stride, (int32_t)us_convolution_out_stride(p),
                         s->block_terms);
}

/* A part per work-item and phase of the output. */
static unseen_status create_parts(state *s, us_device *device, unseen_error *error) {
    enum { MOST_VALUES = 3 };
    const us_convolution_problem *p = &s->problem;
    int width = device->facts.vector_width;
    size_t items = s->items * (is_up(p) ? (size_t)count_phases(p) : 1);
    int parts = us_divide_up((int64_t)items, width) * width;
    if (s->parts.stride) return UNSEEN_OK;
    US_TRY(us_buffer_create(device,
                            (size_t)us_convolution_out(p).channels * MOST_VALUES * (size_t)parts *
                                sizeof(float),
                            "moments of activations", &s->parts.buffer, error));
    s->parts.stride = parts;
    return UNSEEN_OK;
}

static unseen_status run(void *pointer, us_buffer *packed, const us_convolution_args *args,
                         unseen_error *error) {
    state *s = pointer;
    const us_convolution_problem *p = &s->problem;
    bool derives = p->input_activation.kind != US_ACTIVATION_NONE;
    us_activation bent = derives ? p->input_activation : p->activation;
    bool sums = args->sums && is_bent(p->input_activation);
    us_parts *taken = sums ? args->sums : args->moments, parts = {0};
    if (taken && s->takes_moments) {
        US_TRY(create_parts(s, packed->device, error));
        parts = *taken = s->parts;
    }
    sums = sums && parts.stride;
    us_buffer *input = sums ? args->normalized : derives ? args->input : NULL;
    const size_t groups[3] = {s->groups, 1, 1};
    return us_kernel_run(s->winograd, groups, error, "bbbbbbfbii", us_convolution_x(p, args),
                         packed, p->bias ? args->bias : NULL, input, sums ? args->statistics : NULL,
                         us_convolution_y(p, args), slope_of(bent), parts.buffer, parts.stride,
                         args->n);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = destroy,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .run = run,
};

const us_algorithm us_convolution_winograd = {
    .name = "winograd",
    .sources = {"winograd", "winograd_pack"},
    .parameters = {US_PARAMETER(winograd, outputs), US_PARAMETER(winograd, channels),
                   US_PARAMETER(winograd, vectors), US_PARAMETER(winograd, item_vectors),
                   US_PARAMETER(winograd, inputs)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .implementation = &implementation,
};
