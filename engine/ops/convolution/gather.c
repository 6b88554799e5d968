/* SPDX-License-Identifier: MIT */
#include "ops/convolution/gather.h"

#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/activation.h"

typedef struct gather {
    us_convolution_problem problem;
    us_kernel *pack, *gather;
    size_t groups, tiles;
    size_t packed_bytes; /* 0: the weights already lie as the kernel reads them */
    us_errors errors;    /* of comparisons */
} gather;

bool us_gather_valid_sums(const us_device_facts *device, const us_convolution_problem *problem,
                          int channels, int vectors) {
    return channels >= 1 && channels <= us_convolution_out(problem).channels &&
           channels <= US_GATHER_MOST_CHANNELS && vectors >= 1 &&
           vectors <= us_device_vectors(device, problem->batch) &&
           vectors <= US_GATHER_MOST_VECTORS && channels * vectors <= US_GATHER_MOST_SUMS;
}

int us_gather_channels_choices(const us_convolution_problem *problem, int *choices) {
    return us_tiles_choices(us_convolution_out(problem).channels, US_GATHER_MOST_CHANNELS, choices);
}

int us_gather_vectors_choices(const us_device_facts *device, const us_convolution_problem *problem,
                              int *choices) {
    return us_tiles_choices(us_device_vectors(device, problem->batch), US_GATHER_MOST_VECTORS,
                            choices);
}

static unseen_status create_kernel(const us_build *build, const us_convolution_problem *p,
                                   const us_gather_cut *cut, const char *name, us_kernel **kernel,
                                   unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const bool compared = cut->error_parts > 0;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, p->activation,
                          compared ? p->activation : p->input_activation);
    return us_kernel_create(
        build, "convolution", name, kernel, error,
        "-DUP=%d -DIN_CHANNELS=%d -DIN_HEIGHT=%d -DIN_WIDTH=%d -DOUT_CHANNELS=%d -DOUT_HEIGHT=%d "
        "-DOUT_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DKERNEL_H=%d -DKERNEL_W=%d -DSTRIDE_Y=%d "
        "-DSTRIDE_X=%d "
        "-DPADDING_Y=%d -DPADDING_X=%d -DIN_STRIDE=%zu -DTAP_STRIDE=%zu -DOUT_STRIDE=%zu "
        "-DBIAS=%d %s -DTILE_CHANNELS=%d -DTILE_VECTORS=%d -DTILE_RUN=%d -DSTAGED=%d "
        "-DBY_PHASES=%d -DROW_GROUPS=%d -DCOMPARED=%d",
        p->pass == US_CONVOLUTION_UP, in.channels, in.height, in.width, out.channels, out.height,
        out.width, p->batch, us_device_occupied(device, p->batch), p->kernel[0], p->kernel[1],
        p->stride[0], p->stride[1], p->padding[0], p->padding[1], us_convolution_in_stride(p),
        p->tap_stride, us_convolution_out_stride(p), p->bias, activations, cut->channels,
        cut->vectors, cut->run, cut->staged, cut->row_groups > 0, cut->row_groups, compared);
}

/* 0 where the kernel reads the weights as they are. */
static size_t count_packed_bytes(const us_device_facts *device,
                                 const us_convolution_problem *problem, size_t channels,
                                 size_t tiles) {
    if (device->execution == US_EXECUTION_LANES) return 0;
    size_t taps = (size_t)problem->kernel[0] * (size_t)problem->kernel[1];
    bool one_phase = problem->pass == US_CONVOLUTION_DOWN ||
                     (problem->stride[0] == 1 && problem->stride[1] == 1);
    if (one_phase && tiles == 1 && us_convolution_out_stride(problem) == 1 &&
        (taps == 1 || problem->tap_stride == channels) &&
        us_convolution_in_stride(problem) == taps * channels)
        return 0;
    return tiles * (size_t)us_convolution_in(problem).channels * taps * channels * sizeof(float);
}

unseen_status us_gather_create(const us_build *build, const us_convolution_problem *problem,
                               const us_gather_cut *cut, void **state, unseen_error *error) {
    gather *made = calloc(1, sizeof *made);
    *state = made;
    if (!made) return us_fail_memory(error, "a convolution");
    made->problem = *problem;
    made->groups = cut->groups;
    made->tiles = (size_t)us_divide_up(us_convolution_out(problem).channels, cut->channels);
    made->packed_bytes =
        count_packed_bytes(&build->device->facts, problem, (size_t)cut->channels, made->tiles);
    US_TRY(create_kernel(build, problem, cut, "convolution_gather", &made->gather, error));
    if (made->packed_bytes > 0)
        US_TRY(create_kernel(build, problem, cut, "convolution_pack", &made->pack, error));
    made->errors.count = cut->error_parts;
    if (cut->error_parts == 0) return UNSEEN_OK;
    return us_buffer_create(build->device,
                            (size_t)cut->error_parts * (size_t)problem->batch * sizeof(float),
                            "errors of a comparison", &made->errors.buffer, error);
}

void us_gather_destroy(void *state) {
    gather *g = state;
    if (!g) return;
    us_kernel_destroy(g->pack);
    us_kernel_destroy(g->gather);
    us_buffer_destroy(g->errors.buffer);
    free(g);
}

size_t us_gather_packed_bytes(const void *state) {
    return ((const gather *)state)->packed_bytes;
}

unseen_status us_gather_pack(void *state, us_buffer *weights, us_buffer *packed,
                             unseen_error *error) {
    const gather *g = state;
    const size_t groups[3] = {(size_t)us_convolution_in(&g->problem).channels, g->tiles, 1};
    return us_kernel_run(g->pack, groups, error, "bb", weights, packed);
}

unseen_status us_gather_run(void *state, us_buffer *weights, const us_convolution_args *args,
                            unseen_error *error) {
    const gather *g = state;
    us_target none = {0}, *target = &none;
    if (args->target && args->target->image && g->errors.count > 0) {
        target = args->target;
        target->errors = g->errors;
    }
    us_buffer *x = us_convolution_x(&g->problem, args), *y = us_convolution_y(&g->problem, args);
    const size_t groups[3] = {g->groups, 1, 1};
    return us_kernel_run(g->gather, groups, error, "bbbbbbbfi", x, weights, args->bias, args->input,
                         target->image ? target->dy : y, target->image, target->errors.buffer,
                         target->scale, args->n);
}
