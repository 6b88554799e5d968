/* SPDX-License-Identifier: MIT */
/* Matrix products on matrix units by tiles in local memory (ops/tiles.h): what the algorithms that
 * compute convolutions this way share. A warp of 32 items multiplies 8 * item_rows x 4 *
 * item_columns. Twin of cl_kernels/matrix_unit.cl. */
#ifndef US_OPS_MATRIX_UNITS_H
#define US_OPS_MATRIX_UNITS_H

#include "ops/precision.h"
#include "ops/tiles.h"
#include "tuning/tunable.h"

/* Products for each multiply-add: floats take three. */
int us_matrix_products(us_precision precision);

/* Whether the units can compute a tile, of any integers, from local memory. Devices without units
 * can, too: slowly, for tests. */
bool us_matrix_tile_valid(const us_device_facts *device, const us_tile *tile,
                          us_precision precision);

/* Sums of an item that registers hold on every device, so of a default. */
int us_matrix_most_sums(const us_device_facts *device);

/* The model of tiles with products. */
us_tile_model us_matrix_cycles;

/* As us_algorithm.choices. */
int us_matrix_side_choices(int list[US_TUNABLE_CHOICES]);
int us_matrix_slab_choices(us_precision precision, int list[US_TUNABLE_CHOICES]);
int us_matrix_item_choices(bool of_rows, int list[US_TUNABLE_CHOICES]);

enum { US_MATRIX_OPTIONS = 64 };
void us_matrix_options(const us_device_facts *device, us_precision precision,
                       char options[US_MATRIX_OPTIONS]);

#endif
