/* SPDX-License-Identifier: MIT */
/* Weight gradients as matrix products by tiles in local memory, for GPUs: what the algorithms that
 * multiply by items and by matrix units share. Twin of cl_kernels/weight_gradient_product.cl. */
#ifndef US_OPS_CONVOLUTION_WEIGHT_GRADIENT_TILED_H
#define US_OPS_CONVOLUTION_WEIGHT_GRADIENT_TILED_H

#include "ops/convolution/weight_gradient.h"
#include "ops/tiles.h"

/* Whether the problem can be cut into such slabs and splits, and each item copies the same quads of
 * all rows. */
bool us_gradient_tile_valid(const us_device_facts *device, const us_convolution_problem *problem,
                            const us_tile *tile, int splits);

/* The best splits by a model, and the cycles that it takes then; infinite: the device cannot
 * compute it. */
double us_gradient_tile_cycles(const us_device_facts *device, const us_convolution_problem *problem,
                               const us_tile *tile, us_tile_model *cycles_of, int *splits);

/* The values of splits worth trying. */
int us_gradient_split_choices(const us_device_facts *device, const us_convolution_problem *problem,
                              int list[US_TUNABLE_CHOICES]);

/* As of us_convolution_implementation. name: of the kernel and its file; options: what it takes
 * besides. */
typedef struct us_gradient_tiling {
    const char *name, *options;
    us_tile tile;
    int splits;
} us_gradient_tiling;
unseen_status us_gradient_tile_create(const us_build *build, const us_convolution_problem *problem,
                                      const us_gradient_tiling *tiling, void **state,
                                      unseen_error *error);

#endif
