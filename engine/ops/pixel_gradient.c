/* SPDX-License-Identifier: MIT */
#include "ops/pixel_gradient.h"

#include <stdlib.h>

#include "ops/activation.h"

enum {
    ROWS = 16 /* pixels of an item */,
    RATES = 4 /* numbers that tell all weights of an image */
};

struct us_pixel_gradient {
    us_device *device;
    us_kernel *errors, *rates, *gradients;
    size_t lane_groups, row_groups;
    us_buffer *error_buffer, *rate_buffer;
};

static unseen_status create_kernels(us_pixel_gradient *gradient, us_pixel_score_kind kind,
                                    int top_k, us_shape shape, int batch, us_activation activation,
                                    unseen_error *error) {
    const size_t pixels = (size_t)shape.height * (size_t)shape.width;
    const size_t top = kind == US_PIXEL_SCORE_MAXIMUM ? 1 : (size_t)top_k;
    const char *const names[] = {"pixel_gradient_errors", "pixel_gradient_rates", "pixel_gradient"};
    us_kernel **const kernels[] = {&gradient->errors, &gradient->rates, &gradient->gradients};
    const us_build build = {.device = gradient->device, .label.pass = US_PASS_SCORE};
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, (us_activation){US_ACTIVATION_NONE, 0}, activation);
    for (int i = 0; i < 3; i++)
        US_TRY(us_kernel_create(&build, "pixel_gradient", names[i], kernels[i], error,
                                "-DKIND=%d -DCHANNELS=%d -DPIXELS=%zu -DBATCH=%d -DTOP=%zu "
                                "-DROWS=%d %s",
                                kind, shape.channels, pixels, batch, top < pixels ? top : pixels,
                                ROWS, activations));
    return UNSEEN_OK;
}

unseen_status us_pixel_gradient_create(us_device *device, us_pixel_score_kind kind, int top_k,
                                       us_shape shape, int batch, us_activation activation,
                                       us_pixel_gradient **out, unseen_error *error) {
    *out = NULL;
    us_pixel_gradient *gradient = calloc(1, sizeof *gradient);
    if (!gradient) return us_fail_memory(error, "a gradient");
    const size_t pixels = (size_t)shape.height * (size_t)shape.width;
    const size_t lane_bytes = (size_t)batch * sizeof(float);
    gradient->device = device;
    gradient->lane_groups = (size_t)us_device_vectors(&device->facts, batch);
    gradient->row_groups = (pixels + ROWS - 1) / ROWS;
    unseen_status status = us_buffer_create(device, pixels * lane_bytes, "errors of pixels",
                                            &gradient->error_buffer, error);
    if (status == UNSEEN_OK)
        status = us_buffer_create(device, RATES * lane_bytes, "rates of scores",
                                  &gradient->rate_buffer, error);
    if (status == UNSEEN_OK)
        status = create_kernels(gradient, kind, top_k, shape, batch, activation, error);
    if (status == UNSEEN_OK)
        *out = gradient;
    else
        us_pixel_gradient_destroy(gradient);
    return status;
}

void us_pixel_gradient_destroy(us_pixel_gradient *gradient) {
    if (!gradient) return;
    us_kernel_destroy(gradient->errors);
    us_kernel_destroy(gradient->rates);
    us_kernel_destroy(gradient->gradients);
    us_buffer_destroy(gradient->error_buffer);
    us_buffer_destroy(gradient->rate_buffer);
    free(gradient);
}

unseen_status us_pixel_gradient_run(us_pixel_gradient *gradient, const us_pixel_gradient_args *args,
                                    unseen_error *error) {
    us_buffer *errors = gradient->error_buffer, *rates = gradient->rate_buffer;
    const size_t rows[3] = {gradient->lane_groups, gradient->row_groups, 1};
    const size_t lanes[3] = {gradient->lane_groups, 1, 1};
    US_TRY(us_kernel_run(gradient->errors, rows, error, "bbb", args->x, args->y, errors));
    US_TRY(us_kernel_run(gradient->rates, lanes, error, "bbb", args->x, errors, rates));
    return us_kernel_run(gradient->gradients, rows, error, "bbbbbbbii", args->x, args->y, errors,
                         rates, args->slopes, args->dx, args->dy, args->n, args->accumulate);
}
