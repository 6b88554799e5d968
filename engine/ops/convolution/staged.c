/* SPDX-License-Identifier: MIT */
/* The definition of a convolution for many channels, on CPUs: an item first copies the inputs of a
 * pixel, some input channels at a time, to where they lie side by side, and then computes all
 * output channels from the copy. Twin of cl_kernels/convolution.cl. */
#include "base/arithmetic.h"
#include "ops/convolution/gather.h"

typedef struct staged {
    int channels; /* output channels of a block of sums, at most all */
    int vectors;  /* of the batch of a block of sums, at most all */
    int inputs;   /* input channels copied at a time, at most all */
    int chunks;   /* of `vectors` vectors of an item */
} staged;

static bool is_possible(const us_device_facts *device, const us_convolution_problem *problem) {
    return problem->pass != US_CONVOLUTION_WEIGHTS && device->execution == US_EXECUTION_VECTOR;
}

static int count_chunks(const us_device_facts *device, const us_convolution_problem *problem,
                        int vectors) {
    return us_divide_up(us_device_vectors(device, problem->batch), vectors);
}

/* Most taps of a phase. */
static int window_taps(const us_convolution_problem *problem) {
    bool up = problem->pass == US_CONVOLUTION_UP;
    int h = up ? us_divide_up(problem->kernel[0], problem->stride[0]) : problem->kernel[0];
    int w = up ? us_divide_up(problem->kernel[1], problem->stride[1]) : problem->kernel[1];
    return h * w;
}

/* Copying pays where several tiles of output channels read it, and is needed where a pixel's inputs
 * are many. Sizes fit an L2 cache of 512 KiB, and leave what others need of the local memory. */
static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    enum { LEAST_TILES = 5, LEAST_CHANNELS = 32, CACHE_BYTES = 512 * 1024 };
    const us_convolution_problem *p = problem;
    staged *s = parameters;
    if (!is_possible(device, p)) return false;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    us_direct_default_sums(device, p, &s->channels, &s->vectors);
    int output_tiles = us_divide_up(out.channels, s->channels);
    if (output_tiles < LEAST_TILES || in.channels < LEAST_CHANNELS) return false;
    int lanes = us_device_lanes(device), all = count_chunks(device, p, s->vectors);
    size_t pixels = (size_t)out.height * (size_t)out.width;
    size_t local = (size_t)device->local_bytes / 4 * 3;
    size_t limit = local < CACHE_BYTES ? local : CACHE_BYTES;
    for (int chunks = us_smaller(all, 8); chunks >= 1; chunks--) {
        bool busy = pixels * (size_t)us_divide_up(all, chunks) >= 8 * (size_t)device->compute_units;
        if (!busy && chunks > 1) continue;
        size_t chunk = (size_t)(chunks * s->vectors * lanes) * sizeof(float);
        size_t sums = chunk * (size_t)output_tiles * (size_t)s->channels;
        size_t window = chunk * (size_t)window_taps(p);
        if (sums + 4 * window > limit) continue;
        size_t channels = (limit / 2 < limit - sums ? limit / 2 : limit - sums) / window;
        s->chunks = chunks;
        s->inputs = us_tiles_even(in.channels, channels < 4096 ? (int)channels : 4096);
        return true;
    }
    return false;
}

/* Bytes of local memory for the copy, and for sums that wait between two copies; see
 * convolution.cl. */
static size_t local_bytes(const us_device_facts *device, const us_convolution_problem *problem,
                          const staged *s) {
    size_t chunk =
        (size_t)s->chunks * (size_t)s->vectors * (size_t)us_device_lanes(device) * sizeof(float);
    size_t bytes = chunk * (size_t)s->inputs * (size_t)window_taps(problem);
    if (s->inputs < us_convolution_in(problem).channels)
        bytes += chunk * (size_t)us_divide_up(us_convolution_out(problem).channels, s->channels) *
                 (size_t)s->channels;
    return bytes;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_convolution_problem *p = problem;
    const staged *s = parameters;
    return is_possible(device, p) && us_gather_valid_sums(device, p, s->channels, s->vectors) &&
           s->inputs >= 1 && s->inputs <= us_convolution_in(p).channels && s->chunks >= 1 &&
           s->chunks <= count_chunks(device, p, s->vectors) &&
           local_bytes(device, p, s) <= device->local_bytes / 4 * 3;
}

/* The default, or the direct algorithm's sums where that is not to be staged. */
static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    const us_convolution_problem *p = problem;
    staged *s = parameters;
    if (index > 0 || !is_possible(device, p)) return false;
    if (!defaults(device, problem, parameters)) {
        us_direct_default_sums(device, p, &s->channels, &s->vectors);
        s->inputs = us_tiles_even(us_convolution_in(p).channels, 8);
        s->chunks = 1;
    }
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    const staged *s = parameters;
    const int inputs = us_convolution_in(problem).channels;
    int count = 0;
    switch (offset) {
    case offsetof(staged, channels):
        return us_gather_channels_choices(problem, list);
    case offsetof(staged, vectors):
        return us_gather_vectors_choices(device, problem, list);
    case offsetof(staged, inputs):
        for (int most = 4; most < 2 * inputs && most <= 1 << 16; most *= 2)
            count = us_choices_add(list, count, us_tiles_even(inputs, most));
        return count;
    default:
        return us_powers_choices(
            us_smaller(count_chunks(device, problem, s->vectors), US_GATHER_MOST_RUN), list);
    }
}

static unseen_status create(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **state, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const staged *s = parameters;
    const us_shape out = us_convolution_out(problem);
    int groups = us_divide_up(count_chunks(device, problem, s->vectors), s->chunks);
    const us_gather_cut cut = {
        .channels = s->channels,
        .vectors = s->vectors,
        .run = s->chunks,
        .staged = s->inputs,
        .groups = (size_t)out.height * (size_t)out.width * (size_t)groups,
    };
    return us_gather_create(build, problem, &cut, state, error);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = us_gather_destroy,
    .packed_bytes = us_gather_packed_bytes,
    .pack = us_gather_pack,
    .run = us_gather_run,
};

const us_algorithm us_convolution_staged = {
    .name = "staged",
    .sources = {"convolution"},
    .parameters = {US_PARAMETER(staged, channels), US_PARAMETER(staged, vectors),
                   US_PARAMETER(staged, inputs), US_PARAMETER(staged, chunks)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .implementation = &implementation,
};
