/* SPDX-License-Identifier: MIT */
/* Shared by density.c, which asks, and density_learn.c. */
#ifndef US_OPS_DENSITY_INTERNAL_H
#define US_OPS_DENSITY_INTERNAL_H

#include "ops/convolution/table.h"
#include "ops/density.h"

typedef struct us_density_lesson us_density_lesson;

struct us_density {
    us_device *device;
    us_density_settings settings;
    us_shape shape; /* of x */
    int d, batch, pixels;
    size_t lane_groups;
    us_kernel *centre, *extend, *length, *search, *result;
    us_convolution *projection; /* NULL: none */
    us_convolution *matrix;     /* with W, or with the points of a chunk */
    us_buffer *shift, *projected, *centred, *z, *y, *best, *weights, *bias;
    us_buffer **chunk_weights, **chunk_bias; /* views */
    int chunk, chunks;                       /* points of a product, and how many products */
    us_density_lesson *lesson;               /* NULL: nothing is being learned */
    bool ready;
    /* On the host, as files have them. */
    float *host_shift, *host_matrix, *host_mean, bandwidth;
    int points;
};

static inline bool us_density_is_gaussian(const us_density *density) {
    return density->settings.kind == US_DENSITY_GAUSSIAN;
}

/* z of a batch, and with it 1 and |z|^2. */
unseen_status us_density_prepare(us_density *density, us_buffer *x, int n, unseen_error *error);

/* A product of d channels and others, for each pixel; or, where the pass is WEIGHTS, of z with
 * itself over all pixels. */
unseen_status us_density_product(const us_density *density, us_convolution_pass pass, int in,
                                 int out, bool bias, us_convolution **product, unseen_error *error);

/* Brings to the device what the host's tensors hold. */
unseen_status us_density_take(us_density *density, unseen_error *error);
void us_density_forget(us_density *density);
void us_density_end_lesson(us_density *density);

#endif
