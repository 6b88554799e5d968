/* SPDX-License-Identifier: MIT */
#include "ops/convolution/table.h"

#include <stdlib.h>

/* Rows: where nothing was tuned, the first one that has defaults for a problem computes it. */
#define ALGORITHMS(ROW)                                                                            \
    ROW(convolution_winograd)                                                                      \
    ROW(convolution_matrix_units)                                                                  \
    ROW(convolution_quads)                                                                         \
    ROW(convolution_tiles)                                                                         \
    ROW(convolution_staged)                                                                        \
    ROW(convolution_direct)                                                                        \
    ROW(weight_gradient_winograd)                                                                  \
    ROW(weight_gradient_matrix_units)                                                              \
    ROW(weight_gradient_quads)                                                                     \
    ROW(weight_gradient_tiles)                                                                     \
    ROW(weight_gradient_direct)

#define DECLARATION(name) extern const us_algorithm us_##name;
#define ENTRY(name) &us_##name,

ALGORITHMS(DECLARATION)

const us_algorithm *const us_convolution_algorithms[] = {ALGORITHMS(ENTRY) NULL};

struct us_convolution {
    us_device *device;
    const us_convolution_implementation *by;
    void *state;
    size_t packed_bytes;
    us_buffer *kept; /* packed weights, for us_reuse; NULL until asked for */
};

unseen_status us_convolution_create(const us_build *build, const us_convolution_problem *problem,
                                    const us_choice *choice, us_convolution **convolution,
                                    unseen_error *error) {
    *convolution = NULL;
    us_convolution *made = calloc(1, sizeof *made);
    if (!made) return us_fail_memory(error, "a convolution");
    made->device = build->device;
    made->by = us_convolution_algorithms[choice->algorithm]->implementation;
    unseen_status status =
        made->by->create(build, problem, choice->parameters, &made->state, error);
    if (status == UNSEEN_OK && made->by->packed_bytes)
        made->packed_bytes = made->by->packed_bytes(made->state);
    us_buffer *scratch;
    if (status == UNSEEN_OK && made->packed_bytes > 0)
        status = us_device_scratch(build->device, made->packed_bytes, &scratch, error);
    if (status == UNSEEN_OK)
        *convolution = made;
    else
        us_convolution_destroy(made);
    return status;
}

void us_convolution_destroy(us_convolution *convolution) {
    if (!convolution) return;
    convolution->by->destroy(convolution->state);
    us_buffer_destroy(convolution->kept);
    free(convolution);
}

static unseen_status pack(us_convolution *convolution, const us_convolution_args *args,
                          us_buffer **packed, unseen_error *error) {
    *packed = args->weights;
    if (convolution->packed_bytes == 0) return UNSEEN_OK;
    if (args->reuse == US_REUSE_NONE) {
        US_TRY(us_device_scratch(convolution->device, convolution->packed_bytes, packed, error));
    } else {
        bool is_new = !convolution->kept;
        if (is_new)
            US_TRY(us_buffer_create(convolution->device, convolution->packed_bytes,
                                    "packed weights", &convolution->kept, error));
        *packed = convolution->kept;
        if (args->reuse == US_REUSE_NOW && !is_new) return UNSEEN_OK;
    }
    return convolution->by->pack(convolution->state, args->weights, *packed, error);
}

unseen_status us_convolution_run(us_convolution *convolution, const us_convolution_args *args,
                                 unseen_error *error) {
    us_buffer *weights;
    US_TRY(pack(convolution, args, &weights, error));
    return convolution->by->run(convolution->state, weights, args, error);
}

size_t us_convolution_parts(const us_convolution *convolution, us_split_gradient split[2]) {
    return convolution->by->parts ? convolution->by->parts(convolution->state, split) : 0;
}
