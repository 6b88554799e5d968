/* SPDX-License-Identifier: MIT */
/* Matrix products by tiles in local memory, as GPUs want them: what the algorithms that compute
 * convolutions this way share. A work-group computes a tile of rows x columns of the result and
 * goes through the terms a slab at a time; an item has some of the sums in registers. */
#ifndef US_OPS_TILES_H
#define US_OPS_TILES_H

#include "device/facts.h"

typedef struct us_tile {
    int rows, columns;           /* of a work-group */
    int slab;                    /* terms in local memory at a time */
    int item_rows, item_columns; /* of an item's sums, divisors of those of the group */
    int slices;     /* of items that share a tile's terms, so that small tiles have enough items */
    int registers;  /* of an item, beside those of its sums */
    int products;   /* of matrix units for each multiply-add; 0: items multiply themselves */
    int word_terms; /* in 32 bits of local memory, for matrix units */
} us_tile;

enum { US_TILE_MOST_SPLITS = 256 };

/* Work-items of a group. */
static inline int us_tile_items(const us_tile *tile) {
    return tile->rows / tile->item_rows * (tile->columns / tile->item_columns) * tile->slices;
}

/* Bytes of the slabs in local memory, of which there are two. `padding`: floats between the runs
 * that items copy. */
size_t us_tile_local_bytes(const us_tile *tile, int padding);

/* Whether a tile of any integers is one that fits: sums in registers, items in a work-group. */
bool us_tile_valid(const us_device_facts *device, const us_tile *tile);

/* A product as it is cut. */
typedef struct us_tiled_product {
    int64_t tiles;     /* of the result */
    double slabs;      /* of a tile's terms, on average */
    double most_slabs; /* of the tile with the most terms; 0: all have as many */
    double outputs;    /* floats of the result */
    double inputs;     /* floats that they are made of */
    int splits; /* parts of the slabs, which other work-groups sum, and another launch adds */
} us_tiled_product;

/* A model of how long it takes, in cycles. */
typedef double us_tile_model(const us_device_facts *device, const us_tile *tile,
                             const us_tiled_product *product);

/* How long it takes, in cycles of the device, by a model: how many multiply-adds there are among
 * the instructions, how fast local memory is, how evenly the work-groups spread, and whether there
 * are enough of them to work while others wait. Good for comparisons. Its constants were fitted to
 * some 200 measurements on an NVIDIA H200, of which it misses one by a sixth. */
us_tile_model us_tile_cycles;

/* Cycles in which an item alone starts one instruction: wavefronts of 64 share units of 16 lanes.
 */
static inline double us_instruction_cycles(const us_device_facts *device) {
    return device->vendor == US_VENDOR_AMD && device->group_size == 64 ? 4 : 1;
}

/* Of these, what passes before and after all multiply-adds: code comes from memory, the first loads
 * and the last stores wait. */
enum { US_START_CYCLES = 6500 };

/* What adding up splits of so many sums takes: a launch, or more work for one that comes anyway,
 * whose items read some splits at a time. */
double us_split_cycles(const us_device_facts *device, int splits, double outputs);

/* The same for a kernel whose items compute some sums each, of so many terms, straight from memory.
 */
double us_direct_cycles(const us_device_facts *device, double multiply_adds, double items,
                        double terms);

/* The splits with the fewest cycles by a model, to `product`, and these, which are infinite where
 * none will do; at most `most_splits`. */
double us_tile_best_splits(us_tile_model *cycles_of, const us_device_facts *device,
                           const us_tile *tile, us_tiled_product *product, int most_splits);

#endif
