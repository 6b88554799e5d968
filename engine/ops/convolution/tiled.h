/* SPDX-License-Identifier: MIT */
/* Convolutions down and up as matrix products by tiles in local memory, for GPUs: what the
 * algorithms that multiply by items and by matrix units share. Twin of
 * cl_kernels/convolution_product.cl. */
#ifndef US_OPS_CONVOLUTION_TILED_H
#define US_OPS_CONVOLUTION_TILED_H

#include "ops/convolution/algorithm.h"
#include "ops/tiles.h"

/* The parameters of both. */
typedef struct us_tiled {
    int rows, columns, slab, item_rows, item_columns; /* as of us_tile */
    int pixels;                                       /* of an output row that columns are of */
    int splits;                                       /* of the terms */
} us_tiled;

#define US_TILED_PARAMETERS                                                                        \
    {                                                                                              \
        US_PARAMETER(us_tiled, rows), US_PARAMETER(us_tiled, columns),                             \
            US_PARAMETER(us_tiled, slab), US_PARAMETER(us_tiled, item_rows),                       \
            US_PARAMETER(us_tiled, item_columns), US_PARAMETER(us_tiled, pixels),                  \
            US_PARAMETER(us_tiled, splits)                                                         \
    }

/* How the two differ. */
typedef struct us_tiled_kind {
    const char *kernel; /* its name, and that of its file */
    us_tile (*tile_of)(const us_device_facts *device, const us_convolution_problem *problem,
                       const us_tiled *t);
    bool (*valid)(const us_device_facts *device, const void *problem, const void *parameters);
    /* Makes a shape fit the device; NULL: shapes stay as they are. */
    void (*fit)(const us_device_facts *device, const us_convolution_problem *problem, us_tiled *t);
    us_tile_model *cycles;
    const us_tiled *shapes; /* that are good somewhere, without pixels and splits */
    int shape_count;
    int (*most_sums)(const us_device_facts *device); /* of an item, for defaults */
    /* Of a row of a group's tile, how many items take channel sums. */
    int (*sum_entries)(const us_device_facts *device, const us_tiled *t);
} us_tiled_kind;

/* Where a kernel finds its weights, in floats. */
typedef struct us_weight_layout {
    size_t term_stride, tap_stride, row_stride;
    bool packed;
} us_weight_layout;

/* Rows or terms lie side by side, in quads that are aligned and end with the channels. */
us_weight_layout us_tiled_layout(const us_convolution_problem *problem);

/* What holds for both: the problem can be cut this way, and the device has room for the splits. */
bool us_tiled_valid(const us_device_facts *device, const us_convolution_problem *problem,
                    const us_tiled *t);

/* As us_algorithm.cycles. */
double us_tiled_cycles(const us_tiled_kind *kind, const us_device_facts *device,
                       const us_convolution_problem *problem, const us_tiled *t);

/* Fills the fastest shape; the cycles that it takes, which are infinite where none will do. */
double us_tiled_fastest(const us_tiled_kind *kind, const us_device_facts *device,
                        const us_convolution_problem *problem, us_tiled *to);

/* As us_algorithm.start, on devices that it is offered to. */
bool us_tiled_start(const us_tiled_kind *kind, const us_device_facts *device,
                    const us_convolution_problem *problem, int index, us_tiled *t);

/* As us_algorithm.choices, for columns, pixels and splits. */
int us_tiled_choices(const us_device_facts *device, const us_convolution_problem *problem,
                     const us_tiled *t, size_t offset, int list[US_TUNABLE_CHOICES]);

/* As of us_convolution_implementation; options: what the kernel takes besides. */
enum { US_TILED_OPTIONS = 64 };
unseen_status us_tiled_create(const us_tiled_kind *kind, const us_build *build,
                              const us_convolution_problem *problem, const us_tiled *t,
                              const char options[US_TILED_OPTIONS], void **state,
                              unseen_error *error);
void us_tiled_destroy(void *state);
size_t us_tiled_packed_bytes(const void *state);
unseen_status us_tiled_pack(void *state, us_buffer *weights, us_buffer *packed,
                            unseen_error *error);
unseen_status us_tiled_run(void *state, us_buffer *weights, const us_convolution_args *args,
                           unseen_error *error);

#endif
