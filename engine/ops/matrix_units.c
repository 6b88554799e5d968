/* SPDX-License-Identifier: MIT */
#include "ops/matrix_units.h"

#include <math.h>
#include <stdio.h>

enum { WARP = 32, LINES = 16, WORDS = 8, MOST_SUMS = 64 };

/* Terms of a word of local memory. */
static int word_terms(us_precision precision) {
    return precision == US_PRECISION_BF16 ? 2 : 1;
}

int us_matrix_products(us_precision precision) {
    return precision == US_PRECISION_FP32 ? 3 : 1;
}

int us_matrix_most_sums(const us_device_facts *device) {
    (void)device;
    return MOST_SUMS;
}

bool us_matrix_tile_valid(const us_device_facts *device, const us_tile *t, us_precision precision) {
    if (!us_tile_valid(device, t) || t->slices != 1) return false;
    return 8 * t->item_rows % LINES == 0 && 4 * t->item_columns % LINES == 0 &&
           t->rows % (8 * t->item_rows) == 0 && t->columns % (4 * t->item_columns) == 0 &&
           t->slab % (WORDS * word_terms(precision)) == 0 &&
           us_tile_local_bytes(t, 0) / (size_t)word_terms(precision) <= device->local_bytes;
}

/* ---- what is fast ---- */

/* What fits the times measured on an H200 with tiles of 64 x 64 to 128 x 128. */
typedef struct unit_speed {
    double multiply_adds;   /* in a cycle */
    double copy;            /* cycles for a float to come to local memory */
    double fragment;        /* and from there to a warp */
    double busy_items;      /* that hide latencies */
    double other_registers; /* of an item, beside its sums */
} unit_speed;

static unit_speed speed_of(int products) {
    return products > 1 ? (unit_speed){169, 0.047, 0.0254, 280, 96}
                        : (unit_speed){3000, 0.2, 0.0313, 410, 64};
}

/* Cycles of a compute unit for a term of a tile: on GPUs with few units, those bound it. */
static double cycles_of_term(const us_device_facts *device, const us_tile *t,
                             const unit_speed *speed) {
    const double busy = 0.9; /* of the units */
    const double products = t->rows * (double)t->columns;
    const double read = products / (8.0 * t->item_rows) + products / (4.0 * t->item_columns);
    const double issued = products / speed->multiply_adds + (t->rows + t->columns) * speed->copy +
                          read * speed->fragment;
    return fmax(issued, t->products * products / (busy * device->matrix_multiply_adds));
}

/* Work-groups that a compute unit has room for. */
static double count_resident(const us_device_facts *device, const us_tile *tile,
                             const unit_speed *speed) {
    const double local_bytes = 98304; /* of all groups, on the smallest */
    double registers = us_tile_items(tile) *
                       (tile->item_rows * (double)tile->item_columns + speed->other_registers);
    double by_registers = floor(device->registers / registers);
    double by_local = floor(local_bytes / (double)us_tile_local_bytes(tile, 0));
    double fewer = by_registers < by_local ? by_registers : by_local;
    return fewer < 1 ? 1 : fewer;
}

double us_matrix_cycles(const us_device_facts *device, const us_tile *tile,
                        const us_tiled_product *product) {
    const double group_cycles = 2000, launch_cycles = 7000, written_floats = 4; /* in a cycle */
    const double slab_latency = 500; /* of a group that waits for the next one */
    const unit_speed speed = speed_of(tile->products);
    double count = device->compute_units, items = us_tile_items(tile);
    double resident = count_resident(device, tile, &speed);
    double slabs = ceil(product->slabs / product->splits);
    double cycles = slabs * tile->slab * cycles_of_term(device, tile, &speed) + group_cycles;
    double groups = (double)product->tiles * product->splits;
    double rounds = floor(groups / (count * resident));
    double rest = ceil((groups - rounds * count * resident) / count);
    double total = US_START_CYCLES +
                   rounds * resident * cycles * fmax(1, speed.busy_items / (resident * items));
    if (rest > 0) total += rest * cycles * fmax(1, speed.busy_items / (rest * items));
    total = fmax(total, slabs * slab_latency + group_cycles);
    if (product->splits > 1)
        total += launch_cycles + 2 * product->splits * product->outputs / written_floats / count;
    return total;
}

/* ---- what to try ---- */

int us_matrix_side_choices(int list[US_TUNABLE_CHOICES]) {
    static const int sides[] = {16, 32, 48, 64, 96, 128, 192, 256};
    int count = 0;
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        count = us_choices_add(list, count, sides[i]);
    return count;
}

int us_matrix_slab_choices(us_precision precision, int list[US_TUNABLE_CHOICES]) {
    int count = 0;
    for (int words = WORDS; words <= 4 * WORDS; words *= 2)
        count = us_choices_add(list, count, words * word_terms(precision));
    return count;
}

int us_matrix_item_choices(bool of_rows, int list[US_TUNABLE_CHOICES]) {
    const int step = of_rows ? 2 : 4; /* of 16 lines */
    const int most = of_rows ? 10 : 16;
    int count = 0;
    for (int side = step; side <= most; side += step)
        count = us_choices_add(list, count, side);
    return count;
}

void us_matrix_options(const us_device_facts *device, us_precision precision,
                       char options[US_MATRIX_OPTIONS]) {
    snprintf(options, US_MATRIX_OPTIONS, "-DMATRIX_UNITS=%d -DPRECISION=%d",
             device->matrix_units == US_MATRIX_UNITS_NVIDIA, precision);
}
