/* SPDX-License-Identifier: MIT */
/* Dense layers as the convolutions that they are, of images of one pixel with a kernel of one tap:
 * matrix products. What the algorithms of ops/convolution/table.c that are made for these alone
 * share: the kernels of cl_kernels/dense.cl. */
#ifndef US_OPS_DENSE_KERNELS_H
#define US_OPS_DENSE_KERNELS_H

#include "ops/convolution/algorithm.h"

/* It is a product of rows x terms by terms x width. */
typedef struct us_product_size {
    int rows, terms, width;
} us_product_size;
us_product_size us_product_sizes(const us_device_facts *device,
                                 const us_convolution_problem *problem);

/* How the work is cut; see cl_kernels/dense.cl. */
typedef struct us_product_cut {
    int tile_rows, tile_vectors, slice;
    int item_columns, item_chunks, chunk_tiles, block;
} us_product_cut;

enum {
    US_PRODUCT_MOST_SUMS = 48,   /* that a tuner tries, of a tile */
    US_PRODUCT_MOST_ROWS = 24,   /* of a tile */
    US_PRODUCT_MOST_VECTORS = 6, /* of a tile */
    US_PRODUCT_LEAST_SLICE = 32, /* terms */
    US_PRODUCT_BIAS_ROWS = 32,   /* of an item of the kernel bias_gradient */
};

/* A tile's count of rows, at most `most` and not much below, that leaves the fewest of a last tile
 * unused; a tile costs as much as its rows and one more. */
int us_product_rows_per_tile(int rows, int most);

/* Vectors, or lanes of a work-group, in a row of the product. */
int us_product_row_vectors(const us_device_facts *device, int width);

/* Whether a tile, and slices of the sums, are possible; and the choices of slices. */
bool us_product_valid_tile(const us_device_facts *device, const us_convolution_problem *problem,
                           int tile_rows, int tile_vectors);
bool us_product_valid_slice(const us_device_facts *device, const us_convolution_problem *problem,
                            int slice);
int us_product_slice_choices(const us_convolution_problem *problem, int terms, int *choices);

/* A kernel of dense.cl. compared: it can compare its output. */
unseen_status us_product_build(const us_build *build, const us_convolution_problem *problem,
                               const us_product_cut *cut, bool compared, const char *name,
                               us_kernel **kernel, unseen_error *error);

/* Work-groups of the kernel "dense_combine". */
void us_product_combine_groups(const us_device_facts *device, const us_convolution_problem *problem,
                               const us_product_cut *cut, size_t groups[3]);

/* As of us_convolution_implementation, by the kernels "dense_product" and, where needed,
 * "dense_combine". columns, rows: work-groups. error_parts: of comparisons; 0:
 * it makes none. */
typedef struct us_product_launch {
    us_product_cut cut;
    size_t columns, rows;
    int error_parts;
} us_product_launch;
unseen_status us_product_kernels_create(const us_build *build,
                                        const us_convolution_problem *problem,
                                        const us_product_launch *launch, void **state,
                                        unseen_error *error);
void us_product_kernels_destroy(void *state);
unseen_status us_product_kernels_run(void *state, us_buffer *weights,
                                     const us_convolution_args *args, unseen_error *error);

#endif
