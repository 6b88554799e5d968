/* SPDX-License-Identifier: MIT */
/* Matrix products on matrix units by tiles in local memory (ops/tiles.h): what the algorithms that
 * compute convolutions this way share. A warp multiplies items_high * item_rows x items_wide *
 * item_columns (device/matrix_units.h). Twin of cl_kernels/matrix_unit.cl. */
#ifndef US_OPS_MATRIX_UNITS_H
#define US_OPS_MATRIX_UNITS_H

#include "ops/precision.h"
#include "ops/tiles.h"
#include "tuning/tunable.h"

/* A tile of such rows, columns, slab, item_rows and item_columns, for a precision. */
us_tile us_matrix_tile(const us_device_facts *device, us_precision precision, us_tile tile);

/* Whether the units can compute such a tile, of any integers, from local memory. */
bool us_matrix_tile_valid(const us_device_facts *device, const us_tile *tile);

/* Makes a shape, on devices with units, one whose item_rows and item_columns are those of an item,
 * from those of a warp, which registers hold; 0: they are smaller than a fragment. */
void us_matrix_fit(const us_device_facts *device, us_precision precision, int *slab, int *item_rows,
                   int *item_columns);

/* Sums of an item that registers hold on every device, so of a default. */
int us_matrix_most_sums(const us_device_facts *device);

/* The model of tiles with products. */
us_tile_model us_matrix_cycles;

/* As us_algorithm.choices. */
int us_matrix_side_choices(int list[US_TUNABLE_CHOICES]);
int us_matrix_slab_choices(us_precision precision, int list[US_TUNABLE_CHOICES]);
int us_matrix_item_choices(const us_device_facts *device, bool of_rows,
                           int list[US_TUNABLE_CHOICES]);

enum { US_MATRIX_OPTIONS = 64 };
void us_matrix_options(const us_device_facts *device, us_precision precision,
                       char options[US_MATRIX_OPTIONS]);

#endif
