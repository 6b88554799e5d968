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
    double cache_floats;  /* that the second cache keeps near a unit */
    int busy_items;       /* that hide latencies */
    double launch_cycles;
} unit_facts;

static const unit_facts units[] = {
    [US_VENDOR_OTHER] = {1, 8, 65536, 32768, 8, 4, 1 << 18, 32, 20000},
    [US_VENDOR_AMD] = {1, 64, 131072, 65536, 32, 8, 1 << 20, 256, 10000},
    [US_VENDOR_INTEL] = {16, 128, 131072, 65536, 32, 16, 1 << 20, 512, 10000},
    [US_VENDOR_NVIDIA] = {1, 128, 65536, 98304, 32, 16, 6 << 20, 256, 4000},
};

size_t us_tile_local_bytes(const us_tile *tile, int padding) {
    return 2 * ((size_t)tile->rows + (size_t)tile->columns) * (size_t)(tile->slab + padding) *
           sizeof(float);
}

bool us_tile_valid(const us_device_facts *device, const us_tile *tile) {
    enum { MOST_ROWS = 256, MOST_SLAB = 64, MOST_ITEM = 32, MOST_SUMS = 128, MOST_SLICES = 8 };
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

/* How long a work-group takes for a slab: where others keep the unit busy meanwhile, and alone. */
typedef struct slab_cycles {
    double busy, alone;
} slab_cycles;

static slab_cycles cycles_of_slab(const us_device_facts *device, const us_tile *t, double inputs) {
    /* Instructions for each float that is copied, for addresses, load and store, and of the loop; a
     * read of four floats from local memory is one, too. */
    const double copy = 3.2, loop = 55;
    const double share = 0.74; /* of the cycles in which an instruction can start */
    /* Of the time that loads take, what products do not hide: more if the second cache is too small
     * for the inputs. */
    const double from_cache = 0.45, from_memory = 0.95;
    const double latency = 950; /* of a slab on its way */
    const double barrier = 120; /* at which a group waits for the slowest of its items */
    const unit_facts *unit = &units[device->vendor];
    const double items = us_tile_items(t), sums = t->item_rows * t->item_columns;
    const double sides = t->item_rows + t->item_columns, copied = t->slab * (t->rows + t->columns);
    const double instructions =
        t->slab * (sums + sides / 4) / t->slices + copy * copied / items + loop;
    const double issue = instructions * items / unit->lanes / share;
    const double local = t->slab * sides * items / t->slices / unit->local_floats;
    const double missed = fmin(1, inputs / unit->cache_floats);
    const double exposed = from_cache + (from_memory - from_cache) * missed;
    const double in_turn =
        instructions * fmax(us_instruction_cycles(device), items / unit->lanes) / share;
    return (slab_cycles){fmax(issue, local) + exposed * copied / unit->global_floats,
                         fmax(in_turn, latency) + barrier};
}

/* Work-groups that a unit has room for. */
static double count_resident(const us_device_facts *device, const us_tile *tile) {
    const unit_facts *unit = &units[device->vendor];
    const double told = (double)device->registers * unit->compute_units;
    double sums = tile->item_rows * tile->item_columns;
    double registers = us_tile_items(tile) * (sums + tile->registers);
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

double us_split_cycles(const us_device_facts *device, int splits, double outputs) {
    const double latency = 950, at_a_time = 16;
    const unit_facts *unit = &units[device->vendor];
    if (splits == 1) return 0;
    double memory = 2 * splits * outputs / (unit->global_floats / 4) / count_units(device, unit);
    return unit->launch_cycles + fmax(memory, splits / at_a_time * latency);
}

/* Groups come to a unit in rounds of as many as it has room for. The one that is done last has the
 * most work of all in its last round: a tile with the most slabs, and others. */
double us_tile_cycles(const us_device_facts *device, const us_tile *tile,
                      const us_tiled_product *product) {
    const unit_facts *unit = &units[device->vendor];
    const slab_cycles slab = cycles_of_slab(device, tile, product->inputs);
    double count = count_units(device, unit), resident = count_resident(device, tile);
    double slabs = product->slabs / product->splits, most = product->most_slabs / product->splits;
    if (most < slabs) most = slabs;
    if (most < 1) most = slabs = 1;
    double groups = (double)product->tiles * product->splits / count;
    double rounds = floor(groups / resident), rest = ceil(groups - rounds * resident);
    double total = US_START_CYCLES + rounds * slabs * fmax(resident * slab.busy, slab.alone);
    if (rest > 0)
        total += fmax((rest * slabs + most - slabs) * slab.busy, most * slab.alone);
    else
        total += (most - slabs) * slab.busy;
    return total + us_split_cycles(device, product->splits, product->outputs);
}

double us_direct_cycles(const us_device_facts *device, double multiply_adds, double items,
                        double terms) {
    const double share = 0.22;      /* of multiply-adds among its cycles, as on an H100 */
    const double term_latency = 50; /* a load from the second cache, of which a few are under way */
    const unit_facts *unit = &units[device->vendor];
    double count = count_units(device, unit), groups = items / device->group_size;
    double used = groups < count ? (groups < 1 ? 1 : groups) : count;
    double busy = fmin(1, sqrt(items / used / unit->busy_items));
    double cycles = multiply_adds / (used * unit->lanes * share * busy);
    return US_START_CYCLES + fmax(cycles, terms * term_latency);
}

double us_tile_best_splits(us_tile_model *cycles_of, const us_device_facts *device,
                           const us_tile *tile, us_tiled_product *product, int most_splits) {
    const double alike = 1.03; /* within what the model can tell: fewer take less memory */
    double cycles[US_TILE_MOST_SPLITS], best = INFINITY;
    us_tiled_product tried = *product;
    int count = 0;
    if (most_splits > US_TILE_MOST_SPLITS) most_splits = US_TILE_MOST_SPLITS;
    for (tried.splits = 1; tried.splits <= most_splits; tried.splits++) {
        if (tried.splits > 1 && tried.splits > product->slabs) break;
        cycles[count] = cycles_of(device, tile, &tried);
        best = fmin(best, cycles[count++]);
    }
    for (int i = count; i > 0; i--)
        if (cycles[i - 1] <= alike * best) product->splits = i;
    return count ? cycles[product->splits - 1] : INFINITY;
}
