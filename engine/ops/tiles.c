/* SPDX-License-Identifier: MIT */
#include "ops/tiles.h"

#include <math.h>

/* What shares registers and local memory, by vendor: an SM, a compute unit, a Xe core. */
typedef struct unit_facts {
    int compute_units;    /* of OpenCL's count */
    int lanes;            /* multiply-adds of a cycle */
    int registers;        /* floats, where the device does not tell */
    int local_bytes;      /* of all work-groups on it */
    int local_floats;     /* read from local memory in a cycle */
    double global_floats; /* from memory, or the second cache */
    int busy_items;       /* that hide latencies, if each has tens of sums */
    double launch_cycles;
} unit_facts;

static const unit_facts units[] = {
    [US_VENDOR_OTHER] = {1, 8, 65536, 32768, 8, 4, 32, 20000},
    [US_VENDOR_AMD] = {1, 64, 131072, 65536, 32, 8, 256, 10000},
    [US_VENDOR_INTEL] = {16, 128, 131072, 65536, 32, 16, 512, 10000},
    [US_VENDOR_NVIDIA] = {1, 128, 65536, 98304, 32, 16, 256, 7000},
};

size_t us_tile_local_bytes(const us_tile *tile, int padding) {
    return 2 * ((size_t)tile->rows + (size_t)tile->columns) * (size_t)(tile->slab + padding) *
           sizeof(float);
}

bool us_tile_valid(const us_device_facts *device, const us_tile *tile) {
    enum { MOST_ROWS = 256, MOST_SLAB = 64, MOST_ITEM = 16, MOST_SUMS = 128, MOST_SLICES = 8 };
    const us_tile *t = tile;
    if (t->rows < 1 || t->rows > MOST_ROWS || t->columns < 1 || t->columns > MOST_ROWS ||
        t->slab < 4 || t->slab > MOST_SLAB || t->slab % 4 != 0 || t->item_rows < 1 ||
        t->item_rows > MOST_ITEM || t->item_columns < 1 || t->item_columns > MOST_ITEM ||
        t->slices < 1 || t->slices > MOST_SLICES)
        return false;
    return t->rows % t->item_rows == 0 && t->columns % t->item_columns == 0 &&
           t->item_rows * t->item_columns <= MOST_SUMS &&
           (size_t)us_tile_items(t) <= device->max_group_size;
}

/* The speed that so many items on a unit reach, of its full one. */
static double latency_share(const unit_facts *unit, double items) {
    return items >= unit->busy_items ? 1 : sqrt(items / unit->busy_items);
}

/* Cycles of a work-group that has a busy unit for itself, for each term. */
static double cycles_of_term(const unit_facts *unit, const us_tile *t) {
    /* Multiply-adds take a cycle of an item's lane, as do a read of four floats, and what copying a
     * slab costs: three instructions for four floats, some more for each slab. */
    const double copy = 3.0 / 4, slab = 24, spread = 0.92, overlap = 0.25;
    double items = us_tile_items(t), sums = t->item_rows * t->item_columns;
    double sides = t->item_rows + t->item_columns, copied = t->rows + t->columns;
    double issued = (sums + sides / 4) / t->slices + copy * copied / items + slab / t->slab;
    double issue = issued * items / unit->lanes / spread;
    double local = sides * items / t->slices / unit->local_floats;
    return (issue > local ? issue : local) + overlap * copied / unit->global_floats;
}

/* Work-groups that a unit has room for. */
static double count_resident(const us_device_facts *device, const us_tile *tile) {
    const unit_facts *unit = &units[device->vendor];
    const double told = (double)device->registers * unit->compute_units;
    const double other_registers = 96; /* of an item, beside its sums */
    double registers =
        us_tile_items(tile) * (tile->item_rows * (double)tile->item_columns + other_registers);
    double by_registers = floor((told > 0 ? told : unit->registers) / registers);
    double by_local = floor(unit->local_bytes / (double)us_tile_local_bytes(tile, 0));
    double fewer = by_registers < by_local ? by_registers : by_local;
    return fewer < 1 ? 1 : fewer;
}

static double count_units(const us_device_facts *device, const unit_facts *unit) {
    return device->compute_units > unit->compute_units
               ? floor((double)device->compute_units / unit->compute_units)
               : 1;
}

double us_tile_cycles(const us_device_facts *device, const us_tile *tile,
                      const us_tiled_product *product) {
    const double group_cycles = 2000; /* to begin and to write */
    const unit_facts *unit = &units[device->vendor];
    double count = count_units(device, unit), resident = count_resident(device, tile);
    double items = us_tile_items(tile), groups = (double)product->tiles * product->splits;
    double slabs = ceil(product->slabs / product->splits);
    double cycles = slabs * tile->slab * cycles_of_term(unit, tile) + group_cycles;
    double rounds = floor(groups / (count * resident));
    double total = rounds * resident * cycles / latency_share(unit, resident * items);
    double rest = ceil((groups - rounds * count * resident) / count);
    if (rest > 0) total += rest * cycles / latency_share(unit, rest * items);
    if (product->splits > 1)
        total += unit->launch_cycles +
                 2 * product->splits * product->outputs / (unit->global_floats / 4) / count;
    return total;
}

double us_direct_cycles(const us_device_facts *device, double multiply_adds, double items,
                        double terms) {
    const double share = 0.3;       /* of multiply-adds among its instructions */
    const double term_latency = 50; /* a load from the second cache, of which a few are under way */
    const unit_facts *unit = &units[device->vendor];
    double count = count_units(device, unit), groups = items / device->group_size;
    double used = groups < count ? (groups < 1 ? 1 : groups) : count;
    double cycles =
        multiply_adds / (used * unit->lanes * share * latency_share(unit, items / used));
    return cycles > terms * term_latency ? cycles : terms * term_latency;
}

double us_tile_best_splits(us_tile_model *cycles_of, const us_device_facts *device,
                           const us_tile *tile, us_tiled_product *product, int most_splits) {
    us_tiled_product tried = *product;
    double best = INFINITY;
    if (most_splits > US_TILE_MOST_SPLITS) most_splits = US_TILE_MOST_SPLITS;
    for (tried.splits = 1; tried.splits <= most_splits; tried.splits++) {
        if (tried.splits > 1 && tried.splits > product->slabs) break;
        double cycles = cycles_of(device, tile, &tried);
        if (cycles >= best) continue;
        best = cycles;
        product->splits = tried.splits;
    }
    return best;
}
