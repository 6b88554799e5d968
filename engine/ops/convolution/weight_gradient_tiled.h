/* SPDX-License-Identifier: MIT */
/* Weight gradients as matrix products by tiles in local memory, for GPUs: what the algorithms that
 * multiply by items and by matrix units share. Twin of cl_kernels/weight_gradient_product.cl. */
#ifndef US_OPS_CONVOLUTION_WEIGHT_GRADIENT_TILED_H
#define US_OPS_CONVOLUTION_WEIGHT_GRADIENT_TILED_H

#include "ops/convolution/weight_gradient.h"
#include "ops/tiles.h"

/* The parameters of both. */
typedef struct us_gradient_tiles {
    int rows, columns, slab, item_rows, item_columns, slices; /* as of us_tile */
    int splits;                                               /* of the slabs */
} us_gradient_tiles;

/* How the two differ. */
typedef struct us_gradient_kind {
    us_tile (*tile_of)(const us_device_facts *device, const us_convolution_problem *problem,
                       const us_gradient_tiles *t);
    bool (*valid)(const us_device_facts *device, const void *problem, const void *parameters);
    /* Makes a shape fit; NULL: shapes stay as they are. */
    void (*fit)(const us_device_facts *device, const us_convolution_problem *problem,
                us_gradient_tiles *t);
    us_tile_model *cycles;
    const us_gradient_tiles *shapes; /* that are good somewhere, without splits */
    int shape_count;
    int (*most_sums)(const us_device_facts *device); /* of an item, for defaults */
} us_gradient_kind;

/* Whether the problem can be cut into such slabs and splits, and each item copies the same quads of
 * all rows. */
bool us_gradient_tile_valid(const us_device_facts *device, const us_convolution_problem *problem,
                            const us_tile *tile, int splits);

/* Fills the fastest shape with its best splits; the cycles that it takes, which are infinite where
 * none will do. */
double us_gradient_fastest(const us_gradient_kind *kind, const us_device_facts *device,
                           const us_convolution_problem *problem, us_gradient_tiles *to);

/* As us_algorithm.start, on devices that it is offered to, and as us_algorithm.cycles. */
bool us_gradient_start(const us_gradient_kind *kind, const us_device_facts *device,
                       const us_convolution_problem *problem, int index, us_gradient_tiles *t);
double us_gradient_cycles(const us_gradient_kind *kind, const us_device_facts *device,
                          const us_convolution_problem *problem, const us_gradient_tiles *t);

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
