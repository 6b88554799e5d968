/* SPDX-License-Identifier: MIT */
/* Convolutions as matrix products by tiles in local memory, on GPUs, for many channels. Twin of
 * cl_kernels/convolution_tiles.cl. */
#include "ops/tiles.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"
#include "ops/activation.h"
#include "ops/convolution/algorithm.h"

typedef struct tiles {
    int rows, columns, slab, item_rows, item_columns; /* as of us_tile */
    int pixels;                                       /* of an output row that columns are of */
    int splits;                                       /* of the terms */
} tiles;

static us_tile tile_of(const tiles *t) {
    enum { REGISTERS = 72 }; /* of an item beside its sums: quads of both factors, addresses */
    return (us_tile){t->rows, t->columns, t->slab, t->item_rows, t->item_columns, 1, REGISTERS};
}

/* Where the kernel finds its weights. */
typedef struct weight_layout {
    size_t term_stride, tap_stride, row_stride;
    bool packed;
} weight_layout;

/* Rows or terms lie side by side, in quads that are aligned and end with the channels. */
static weight_layout layout_of(const us_convolution_problem *p) {
    const size_t in_stride = us_convolution_in_stride(p), out_stride = us_convolution_out_stride(p);
    const int in = us_convolution_in(p).channels, out = us_convolution_out(p).channels;
    const size_t taps = (size_t)p->kernel[0] * (size_t)p->kernel[1], quad = 4;
    if (p->tap_stride % quad == 0) {
        if (out_stride == 1 && in_stride % quad == 0 && out % 4 == 0)
            return (weight_layout){in_stride, p->tap_stride, out_stride, false};
        if (in_stride == 1 && out_stride % quad == 0 && in % 4 == 0)
            return (weight_layout){in_stride, p->tap_stride, out_stride, false};
    }
    const size_t rows = (size_t)us_divide_up(out, 4) * quad;
    return (weight_layout){taps * rows, rows, 1, true};
}

/* ---- what is possible ---- */

static bool is_possible(const us_convolution_problem *p) {
    return p->pass != US_CONVOLUTION_WEIGHTS && p->batch % 4 == 0;
}

static bool valid_splits(const us_device_facts *device, const us_convolution_problem *p,
                         int splits) {
    if (splits < 1 || splits > US_TILE_MOST_SPLITS) return false;
    size_t bytes = us_shape_size(us_convolution_out(p)) * (size_t)p->batch * sizeof(float);
    return splits == 1 || bytes <= device->largest_allocation_bytes / 4 / (size_t)splits;
}

/* Whether each item copies the same quads of all lines that it copies. */
static bool copies_evenly(const us_convolution_problem *p, const tiles *t, int items) {
    int quads = (layout_of(p).row_stride == 1 ? t->rows : t->slab) / 4;
    return items % quads == 0 && items % (t->columns / 4) == 0;
}

static bool valid(const us_device_facts *device, const void *problem, const void *parameters) {
    enum { ROOM = 4 }; /* floats that keep terms of weights in other banks */
    const us_convolution_problem *p = problem;
    const tiles *t = parameters;
    const us_tile tile = tile_of(t);
    if (!is_possible(p) || !us_tile_valid(device, &tile) || t->item_rows % 4 != 0 ||
        t->item_columns % 4 != 0 || !copies_evenly(p, t, us_tile_items(&tile)))
        return false;
    if (t->pixels < 1 || t->columns % t->pixels != 0) return false;
    int images = t->columns / t->pixels;
    return images % 4 == 0 && us_device_occupied(device, p->batch) % images == 0 &&
           us_tile_local_bytes(&tile, 0) + 2 * ROOM * sizeof(float) * (size_t)t->slab <=
               device->local_bytes &&
           valid_splits(device, p, t->splits);
}

/* ---- what is fast ---- */

static int phases_of(const us_convolution_problem *p, int axis) {
    return p->pass == US_CONVOLUTION_UP ? p->stride[axis] : 1;
}

static int64_t count_tiles(const us_device_facts *device, const us_convolution_problem *p,
                           const tiles *t) {
    const us_shape out = us_convolution_out(p);
    int phases = phases_of(p, 1), images = t->columns / t->pixels;
    int64_t runs = us_divide_up(us_divide_up(out.width, phases), t->pixels) * (int64_t)phases;
    return runs * out.height * us_divide_up(out.channels, t->rows) *
           (us_device_occupied(device, p->batch) / images);
}

/* Taps of an output pixel that meet the input, on average. */
static double mean_taps(const us_convolution_problem *p) {
    const us_shape out = us_convolution_out(p);
    return (double)us_convolution_pairs(p, 0) / out.height * (double)us_convolution_pairs(p, 1) /
           out.width;
}

/* Those of the pixel with the most. */
static double most_taps(const us_convolution_problem *p) {
    const us_shape in = us_convolution_in(p);
    return (double)us_smaller(us_divide_up(p->kernel[0], phases_of(p, 0)), in.height) *
           us_smaller(us_divide_up(p->kernel[1], phases_of(p, 1)), in.width);
}

static us_tiled_product product_of(const us_device_facts *device, const us_convolution_problem *p,
                                   const tiles *t) {
    const double slabs = us_divide_up(us_convolution_in(p).channels, t->slab);
    return (us_tiled_product){
        .tiles = count_tiles(device, p, t),
        .slabs = slabs * mean_taps(p),
        .most_slabs = slabs * most_taps(p),
        .outputs = (double)us_shape_size(us_convolution_out(p)) * p->batch,
        .inputs = (double)us_shape_size(us_convolution_in(p)) * p->batch,
        .splits = t->splits,
    };
}

static double cycles(const us_device_facts *device, const void *problem, const void *parameters) {
    const us_tile tile = tile_of(parameters);
    const us_tiled_product product = product_of(device, problem, parameters);
    return us_tile_cycles(device, &tile, &product);
}

/* Splits and pixels for a tile; false: the device cannot compute it. fewest: cycles that it takes.
 */
static bool complete(const us_device_facts *device, const us_convolution_problem *p, tiles *t,
                     double *fewest) {
    const int occupied = us_device_occupied(device, p->batch);
    t->pixels = 1;
    while (t->pixels * 4 <= t->columns &&
           (t->columns % t->pixels != 0 || t->columns / t->pixels % 4 != 0 ||
            occupied % (t->columns / t->pixels) != 0))
        t->pixels++;
    t->splits = 1;
    if (!valid(device, p, t)) return false;
    const us_tile tile = tile_of(t);
    us_tiled_product product = product_of(device, p, t);
    int most = US_TILE_MOST_SPLITS;
    while (most > 1 && !valid_splits(device, p, most))
        most /= 2;
    *fewest = us_tile_best_splits(device, &tile, &product, most);
    t->splits = product.splits;
    return isfinite(*fewest);
}

/* Shapes that are good somewhere: 8 x 8 sums where local memory is as slow as on NVIDIA's, fewer
 * where registers are; narrow ones for few channels. */
static const tiles shapes[] = {
    {128, 128, 8, 8, 8, 0, 0}, {64, 128, 8, 8, 8, 0, 0}, {128, 64, 8, 8, 8, 0, 0},
    {64, 64, 16, 8, 8, 0, 0},  {64, 128, 4, 8, 8, 0, 0}, {48, 128, 8, 8, 8, 0, 0},
    {32, 128, 8, 8, 8, 0, 0},  {128, 64, 8, 8, 4, 0, 0}, {64, 64, 8, 8, 4, 0, 0},
    {48, 64, 8, 8, 4, 0, 0},   {64, 32, 16, 8, 4, 0, 0}, {32, 64, 16, 4, 8, 0, 0},
    {32, 32, 16, 4, 4, 0, 0},  {8, 128, 16, 8, 4, 0, 0}, {4, 128, 8, 4, 4, 0, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Sums of an item: what the registers hold; of unknown vendors few are expected. */
static int most_sums(const us_device_facts *device) {
    return device->vendor == US_VENDOR_OTHER ? 32 : 64;
}

/* Fills the fastest shape; its cycles. */
static double fastest(const us_device_facts *device, const us_convolution_problem *p, tiles *to) {
    double best = INFINITY, fewest;
    for (int i = 0; i < SHAPES; i++) {
        tiles t = shapes[i];
        if (t.item_rows * t.item_columns > most_sums(device) || !complete(device, p, &t, &fewest) ||
            fewest >= best)
            continue;
        best = fewest;
        *to = t;
    }
    return best;
}

static bool defaults(const us_device_facts *device, const void *problem, void *parameters) {
    return us_device_is_gpu(device) && is_possible(problem) &&
           isfinite(fastest(device, problem, parameters));
}

static bool start(const us_device_facts *device, const void *problem, int index, void *parameters) {
    const us_convolution_problem *p = problem;
    tiles *t = parameters;
    double fewest;
    if (!us_device_is_gpu(device) || !is_possible(p) || index > SHAPES) return false;
    if (index == 0) return isfinite(fastest(device, p, t));
    *t = shapes[index - 1];
    if (!complete(device, p, t, &fewest)) *t = (tiles){0};
    return true;
}

static int choices(const us_device_facts *device, const void *problem, const void *parameters,
                   size_t offset, int list[US_TUNABLE_CHOICES]) {
    static const int sides[] = {4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256};
    const us_convolution_problem *p = problem;
    const tiles *t = parameters;
    int count = 0;
    switch (offset) {
    case offsetof(tiles, rows):
    case offsetof(tiles, columns):
        for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
            count = us_choices_add(list, count, sides[i]);
        return count;
    case offsetof(tiles, slab):
        for (int slab = 4; slab <= 32; slab *= 2)
            count = us_choices_add(list, count, slab);
        return count;
    case offsetof(tiles, item_rows):
    case offsetof(tiles, item_columns):
        for (int side = 4; side <= 16; side += 4)
            count = us_choices_add(list, count, side);
        return count;
    case offsetof(tiles, pixels):
        return us_powers_choices(us_smaller(us_convolution_out(p).width, t->columns / 4), list);
    default:
        count = us_powers_choices(US_TILE_MOST_SPLITS, list);
        while (count > 1 && !valid_splits(device, p, list[count - 1]))
            count--;
        return count;
    }
}

/* ---- running ---- */

typedef struct state {
    us_convolution_problem problem;
    us_kernel *tiles, *finish, *pack; /* the last two NULL where not needed */
    size_t groups, items, finish_items, pack_items;
    int splits;
    us_buffer *partial; /* sums of splits, where the scratch has the packed weights; else NULL */
} state;

static unseen_status create_kernel(const us_build *build, const state *made, const tiles *t,
                                   const char *name, us_kernel **kernel, unseen_error *error) {
    const us_convolution_problem *p = &made->problem;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    const weight_layout weights = layout_of(p);
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, p->activation, p->input_activation);
    return us_kernel_create(
        build, "convolution_tiles", name, kernel, error,
        "-DUP=%d -DIN_CHANNELS=%d -DIN_HEIGHT=%d -DIN_WIDTH=%d -DOUT_CHANNELS=%d -DOUT_HEIGHT=%d "
        "-DOUT_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DKERNEL_H=%d -DKERNEL_W=%d -DSTRIDE_Y=%d "
        "-DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DBIAS=%d %s -DTERM_STRIDE=%zu "
        "-DTAP_STRIDE=%zu -DROW_STRIDE=%zu -DIN_STRIDE=%zu -DWEIGHT_TAP_STRIDE=%zu "
        "-DOUT_STRIDE=%zu -DGROUP_ROWS=%d -DGROUP_COLUMNS=%d -DGROUP_PIXELS=%d -DSLAB=%d "
        "-DTILE_ROWS=%d -DTILE_COLUMNS=%d -DFEW_REGISTERS=%d -DSPLITS=%d",
        p->pass == US_CONVOLUTION_UP, in.channels, in.height, in.width, out.channels, out.height,
        out.width, p->batch, us_device_occupied(&build->device->facts, p->batch), p->kernel[0],
        p->kernel[1], p->stride[0], p->stride[1], p->padding[0], p->padding[1], p->bias,
        activations, weights.term_stride, weights.tap_stride, weights.row_stride,
        us_convolution_in_stride(p), p->tap_stride, us_convolution_out_stride(p), t->rows,
        t->columns, t->pixels, t->slab, t->item_rows, t->item_columns,
        build->device->facts.vendor == US_VENDOR_AMD /* whose compiler reads far ahead */,
        t->splits);
}

/* Of the partial sums; 0: there is one split. */
static size_t partial_bytes(const state *made) {
    if (made->splits == 1) return 0;
    return us_shape_size(us_convolution_out(&made->problem)) * (size_t)made->problem.batch *
           (size_t)made->splits * sizeof(float);
}

static unseen_status create(const us_build *build, const us_convolution_problem *problem,
                            const void *parameters, void **to, unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const tiles *t = parameters;
    const us_tile tile = tile_of(t);
    state *made = calloc(1, sizeof *made);
    *to = made;
    if (!made) return us_fail_memory(error, "a convolution");
    made->problem = *problem;
    made->groups = (size_t)count_tiles(device, problem, t);
    made->items = (size_t)us_tile_items(&tile);
    made->splits = t->splits;
    US_TRY(create_kernel(build, made, t, "convolution_tiles", &made->tiles, error));
    if (layout_of(problem).packed) {
        made->pack_items =
            (size_t)us_convolution_in(problem).channels * layout_of(problem).term_stride;
        US_TRY(create_kernel(build, made, t, "convolution_tiles_pack", &made->pack, error));
    }
    if (made->splits == 1) return UNSEEN_OK;
    made->finish_items = us_shape_size(us_convolution_out(problem)) *
                         (size_t)us_device_occupied(device, problem->batch) / 4;
    US_TRY(create_kernel(build, made, t, "convolution_tiles_finish", &made->finish, error));
    us_buffer *scratch;
    if (!made->pack) return us_device_scratch(build->device, partial_bytes(made), &scratch, error);
    return us_buffer_create(build->device, partial_bytes(made), "partial sums of a convolution",
                            &made->partial, error);
}

static void destroy(void *pointer) {
    state *s = pointer;
    if (!s) return;
    us_kernel_destroy(s->tiles);
    us_kernel_destroy(s->finish);
    us_kernel_destroy(s->pack);
    us_buffer_destroy(s->partial);
    free(s);
}

static size_t packed_bytes(const void *pointer) {
    return ((const state *)pointer)->pack_items * sizeof(float);
}

static unseen_status pack(void *pointer, us_buffer *weights, us_buffer *packed,
                          unseen_error *error) {
    const state *s = pointer;
    return us_kernel_run_elements(s->pack, s->pack_items, error, "bb", weights, packed);
}

static unseen_status run(void *pointer, us_buffer *weights, const us_convolution_args *args,
                         unseen_error *error) {
    const state *s = pointer;
    us_buffer *x = us_convolution_x(&s->problem, args), *y = us_convolution_y(&s->problem, args);
    us_buffer *to = s->partial ? s->partial : y;
    if (s->splits > 1 && !s->partial)
        US_TRY(us_device_scratch(y->device, partial_bytes(s), &to, error));
    const size_t groups[3] = {s->groups, (size_t)s->splits, 1};
    US_TRY(us_kernel_run_groups(s->tiles, groups, s->items, error, "bbbbb", x, weights, args->bias,
                                args->input, to));
    if (s->splits == 1) return UNSEEN_OK;
    return us_kernel_run_elements(s->finish, s->finish_items, error, "bbbb", to, args->bias,
                                  args->input, y);
}

static const us_convolution_implementation implementation = {
    .create = create,
    .destroy = destroy,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .run = run,
};

const us_algorithm us_convolution_tiles = {
    .name = "tiles",
    .sources = {"convolution_tiles"},
    .parameters = {US_PARAMETER(tiles, rows), US_PARAMETER(tiles, columns),
                   US_PARAMETER(tiles, slab), US_PARAMETER(tiles, item_rows),
                   US_PARAMETER(tiles, item_columns), US_PARAMETER(tiles, pixels),
                   US_PARAMETER(tiles, splits)},
    .defaults = defaults,
    .valid = valid,
    .start = start,
    .choices = choices,
    .cycles = cycles,
    .implementation = &implementation,
};
