/* SPDX-License-Identifier: MIT */
#include "ops/matrix_units.h"

#include <math.h>
#include <stdio.h>

#include "base/arithmetic.h"
#include "device/matrix_units.h"

enum { WORDS = 8 };

/* Terms of a word of local memory. */
static int word_terms(us_precision precision) {
    return precision == US_PRECISION_BF16 ? 2 : 1;
}

us_tile us_matrix_tile(const us_device_facts *device, us_precision precision, us_tile tile) {
    tile.slices = 1;
    tile.products = us_precision_products(device, precision);
    tile.word_terms = word_terms(precision);
    return tile;
}

/* Of AMD's wavefronts of 32, compilers give an item 128 only; Intel's smallest sub-groups have as
 * many. */
static bool has_few_registers(const us_device_facts *device) {
    return device->matrix_units == US_MATRIX_UNITS_WMMA ||
           device->matrix_units == US_MATRIX_UNITS_DPAS ||
           device->matrix_units == US_MATRIX_UNITS_DPAS16;
}

int us_matrix_most_sums(const us_device_facts *device) {
    return has_few_registers(device) ? 32 : 64;
}

bool us_matrix_tile_valid(const us_device_facts *device, const us_tile *t) {
    const us_matrix_unit *unit = us_matrix_unit_of(device->matrix_units);
    if (t->products == 0 || !us_tile_valid(device, t) || t->slices != 1) return false;
    const int rows = unit->items_high * t->item_rows, columns = unit->items_wide * t->item_columns;
    return rows % unit->lines == 0 && columns % unit->lines == 0 && t->rows % rows == 0 &&
           t->columns % columns == 0 && t->slab % (WORDS * t->word_terms) == 0 &&
           us_tile_local_bytes(t, 0) / (size_t)t->word_terms <= device->local_bytes;
}

/* ---- what is fast ---- */

typedef struct unit_speed {
    double multiply_adds;   /* in a cycle, beside what follows */
    double copy;            /* cycles for a float to come to local memory */
    double fragment;        /* and from there to a warp */
    double busy_items;      /* that hide latencies */
    double other_registers; /* of an item, beside its sums */
    double local_bytes;     /* of all groups; on the smallest */
    int compute_units;      /* of OpenCL's count, which share local memory */
} unit_speed;

/* Of NVIDIA's, with three products and with one, what fits the times measured on an H200 with tiles
 * of 64 x 64 to 128 x 128. Of the others, the makers' numbers, with copying by the
 * instructions of compiled kernels, of Intel's twice as many: nothing was measured. */
static const unit_speed three_products = {169, 0.047, 0.0254, 280, 96, 98304, 1};
static const unit_speed speeds[US_MATRIX_UNITS_COUNT] = {
    [US_MATRIX_UNITS_MMA] = {3000, 0.2, 0.0313, 410, 64, 98304, 1},
    [US_MATRIX_UNITS_WMMA] = {1600, 0.15, 0.0157, 512, 96, 131072, 1},
    [US_MATRIX_UNITS_MFMA] = {1600, 0.2, 0.0313, 512, 96, 65536, 1},
    [US_MATRIX_UNITS_DPAS] = {1600, 0.1, 0.0157, 512, 64, 131072, 16},
    [US_MATRIX_UNITS_DPAS16] = {1600, 0.1, 0.0157, 512, 64, 131072, 8},
};

/* Multiply-adds in a cycle, of what shares local memory. */
static double most_multiply_adds(const us_device_facts *device, const us_tile *tile,
                                 const unit_speed *speed) {
    const int factor = tile->word_terms == 2 ? device->matrix_bf16_factor : 1;
    return (double)device->matrix_multiply_adds * speed->compute_units * factor;
}

/* Cycles for a term of a tile: on GPUs with few units, those bound it. */
static double cycles_of_term(const us_device_facts *device, const us_tile *t,
                             const unit_speed *speed) {
    const us_matrix_unit *unit = us_matrix_unit_of(device->matrix_units);
    const double busy = 0.9; /* of the units */
    const double products = t->rows * (double)t->columns;
    const double read = products / (unit->items_high * (double)t->item_rows) +
                        products / (unit->items_wide * (double)t->item_columns);
    const double issued = products / speed->multiply_adds + (t->rows + t->columns) * speed->copy +
                          read * speed->fragment;
    return fmax(issued, t->products * products / (busy * most_multiply_adds(device, t, speed)));
}

/* Work-groups that there is room for. */
static double count_resident(const us_device_facts *device, const us_tile *tile,
                             const unit_speed *speed) {
    double registers = us_tile_items(tile) *
                       (tile->item_rows * (double)tile->item_columns + speed->other_registers);
    double by_registers = floor((double)device->registers * speed->compute_units / registers);
    double by_local = floor(speed->local_bytes / (double)us_tile_local_bytes(tile, 0));
    double fewer = by_registers < by_local ? by_registers : by_local;
    return fewer < 1 ? 1 : fewer;
}

double us_matrix_cycles(const us_device_facts *device, const us_tile *tile,
                        const us_tiled_product *product) {
    const double group_cycles = 2000, launch_cycles = 7000, written_floats = 4; /* in a cycle */
    const double slab_latency = 500; /* of a group that waits for the next one */
    const unit_speed *speed = tile->products > 1 ? &three_products : &speeds[device->matrix_units];
    double count = fmax(1, floor((double)device->compute_units / speed->compute_units));
    double items = us_tile_items(tile), resident = count_resident(device, tile, speed);
    double slabs = ceil(product->slabs / product->splits);
    double cycles = slabs * tile->slab * cycles_of_term(device, tile, speed) + group_cycles;
    double groups = (double)product->tiles * product->splits;
    double rounds = floor(groups / (count * resident));
    double rest = ceil((groups - rounds * count * resident) / count);
    double total = US_START_CYCLES +
                   rounds * resident * cycles * fmax(1, speed->busy_items / (resident * items));
    if (rest > 0) total += rest * cycles * fmax(1, speed->busy_items / (rest * items));
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

int us_matrix_item_choices(const us_device_facts *device, bool of_rows,
                           int list[US_TUNABLE_CHOICES]) {
    enum { MOST_ROWS = 80, MOST_COLUMNS = 64 }; /* of a warp */
    const us_matrix_unit *unit = us_matrix_unit_of(device->matrix_units);
    const int items = of_rows ? unit->items_high : unit->items_wide;
    const int step = unit->lines / items, most = (of_rows ? MOST_ROWS : MOST_COLUMNS) / items;
    int count = 0;
    for (int side = step; side <= most; side += step)
        count = us_choices_add(list, count, side);
    return count;
}

/* Where registers are few, warps are halved until an item's hold their sums, and slabs are those of
 * a step. Of BF16, twice as many terms of a slab wait in registers: for sub-groups of 16, some of
 * Intel's compilers then spill, unless there are half as many sums. */
void us_matrix_fit(const us_device_facts *device, us_precision precision, int *slab, int *item_rows,
                   int *item_columns) {
    const us_matrix_unit *unit = us_matrix_unit_of(device->matrix_units);
    const bool narrow =
        device->matrix_units == US_MATRIX_UNITS_DPAS16 && precision == US_PRECISION_BF16;
    const int sums = us_matrix_most_sums(device) / (narrow ? 2 : 1);
    const int most = sums * unit->items_high * unit->items_wide;
    if (has_few_registers(device)) {
        *slab = WORDS * word_terms(precision);
        while (*item_rows * *item_columns > most)
            *(*item_rows > *item_columns ? item_rows : item_columns) /= 2;
    }
    *item_rows /= unit->items_high;
    *item_columns /= unit->items_wide;
}

void us_matrix_options(const us_device_facts *device, us_precision precision,
                       char options[US_MATRIX_OPTIONS]) {
    snprintf(options, US_MATRIX_OPTIONS, "-DMATRIX_UNITS=%d -DMATRIX_EMULATED=%d -DPRECISION=%d",
             device->matrix_units, device->matrix_emulated, precision);
}
