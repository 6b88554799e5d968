/* SPDX-License-Identifier: MIT */
#include "ops/convolution/tiled.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "ops/activation.h"
#include "ops/convolution/channel_sums.h"

/* ---- what is possible ---- */

us_weight_layout us_tiled_layout(const us_convolution_problem *p) {
    const size_t in_stride = us_convolution_in_stride(p), out_stride = us_convolution_out_stride(p);
    const int in = us_convolution_in(p).channels, out = us_convolution_out(p).channels;
    const size_t taps = (size_t)p->kernel[0] * (size_t)p->kernel[1], quad = 4;
    if (p->tap_stride % quad == 0 || taps == 1) {
        if (out_stride == 1 && in_stride % quad == 0 && out % 4 == 0)
            return (us_weight_layout){in_stride, p->tap_stride, out_stride, false};
        if (in_stride == 1 && (out_stride % quad == 0 || out == 1) && in % 4 == 0)
            return (us_weight_layout){in_stride, p->tap_stride, out == 1 ? (size_t)in : out_stride,
                                      false};
    }
    const size_t rows = (size_t)us_divide_up(out, 4) * quad;
    return (us_weight_layout){taps * rows, rows, 1, true};
}

static bool is_possible(const us_convolution_problem *p) {
    return p->pass != US_CONVOLUTION_WEIGHTS && p->batch % 4 == 0;
}

static bool valid_splits(const us_device_facts *device, const us_convolution_problem *p,
                         int splits) {
    if (splits < 1 || splits > US_TILE_MOST_SPLITS) return false;
    size_t bytes = us_shape_size(us_convolution_out(p)) * (size_t)p->batch * sizeof(float);
    return splits == 1 || bytes <= device->largest_allocation_bytes / 4 / (size_t)splits;
}

bool us_tiled_valid(const us_device_facts *device, const us_convolution_problem *p,
                    const us_tiled *t) {
    if (!is_possible(p) || t->pixels < 1 || t->columns < 1 || t->columns % t->pixels != 0)
        return false;
    int images = t->columns / t->pixels;
    return images % 4 == 0 && us_device_occupied(device, p->batch) % images == 0 &&
           valid_splits(device, p, t->splits);
}

/* ---- what is fast ---- */

static int phases_of(const us_convolution_problem *p, int axis) {
    return p->pass == US_CONVOLUTION_UP ? p->stride[axis] : 1;
}

static int64_t count_tiles(const us_device_facts *device, const us_convolution_problem *p,
                           const us_tiled *t) {
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
                                   const us_tiled *t) {
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

double us_tiled_cycles(const us_tiled_kind *kind, const us_device_facts *device,
                       const us_convolution_problem *p, const us_tiled *t) {
    const us_tile tile = kind->tile_of(device, p, t);
    const us_tiled_product product = product_of(device, p, t);
    return kind->cycles(device, &tile, &product);
}

static us_tiled shape_of(const us_tiled_kind *kind, const us_device_facts *device,
                         const us_convolution_problem *p, int index) {
    us_tiled t = kind->shapes[index];
    if (kind->fit) kind->fit(device, p, &t);
    return t;
}

/* Pixels and splits for a tile; false: the device cannot compute it. cycles: what it takes. */
static bool complete(const us_tiled_kind *kind, const us_device_facts *device,
                     const us_convolution_problem *p, us_tiled *t, double *cycles) {
    const int occupied = us_device_occupied(device, p->batch);
    t->pixels = 1;
    while (t->pixels * 4 <= t->columns &&
           (t->columns % t->pixels != 0 || t->columns / t->pixels % 4 != 0 ||
            occupied % (t->columns / t->pixels) != 0))
        t->pixels++;
    t->splits = 1;
    if (!kind->valid(device, p, t)) return false;
    const us_tile tile = kind->tile_of(device, p, t);
    us_tiled_product product = product_of(device, p, t);
    int most = US_TILE_MOST_SPLITS;
    while (most > 1 && !valid_splits(device, p, most))
        most /= 2;
    *cycles = us_tile_best_splits(kind->cycles, device, &tile, &product, most);
    t->splits = product.splits;
    return isfinite(*cycles);
}

double us_tiled_fastest(const us_tiled_kind *kind, const us_device_facts *device,
                        const us_convolution_problem *p, us_tiled *to) {
    double best = INFINITY, cycles;
    for (int i = 0; is_possible(p) && i < kind->shape_count; i++) {
        us_tiled t = shape_of(kind, device, p, i);
        if (t.item_rows * t.item_columns > kind->most_sums(device) ||
            !complete(kind, device, p, &t, &cycles) || cycles >= best)
            continue;
        best = cycles;
        *to = t;
    }
    return best;
}

bool us_tiled_start(const us_tiled_kind *kind, const us_device_facts *device,
                    const us_convolution_problem *p, int index, us_tiled *t) {
    double cycles;
    if (!is_possible(p) || index > kind->shape_count) return false;
    if (index == 0) return isfinite(us_tiled_fastest(kind, device, p, t));
    *t = shape_of(kind, device, p, index - 1);
    if (!complete(kind, device, p, t, &cycles)) *t = (us_tiled){0};
    return true;
}

int us_tiled_choices(const us_device_facts *device, const us_convolution_problem *p,
                     const us_tiled *t, size_t offset, int list[US_TUNABLE_CHOICES]) {
    if (offset == offsetof(us_tiled, pixels))
        return us_powers_choices(us_smaller(us_convolution_out(p).width, t->columns / 4), list);
    int count = us_powers_choices(US_TILE_MOST_SPLITS, list);
    while (count > 1 && !valid_splits(device, p, list[count - 1]))
        count--;
    return count;
}

/* ---- running ---- */

/* What to create kernels with. */
typedef struct recipe {
    us_build build;
    const char *source;
    char options[US_TILED_OPTIONS]; /* of the source alone */
    us_tiled t;
} recipe;

typedef struct state {
    recipe recipe;
    us_convolution_problem problem;
    /* summing: tiles with channel sums, of one split. Of these one is NULL until it is needed,
     * others that are not needed at all are. */
    us_kernel *tiles, *summing, *pack, *finish, *finish_sums;
    size_t groups, items, finish_items, pack_items;
    us_channel_sums sums; /* that the last launch takes */
    int part_pixels;      /* of finish_sums */
    us_buffer *partial;   /* sums of splits, where the scratch has the packed weights; else NULL */
} state;

static unseen_status create_kernel(const state *made, const char *name, bool sums,
                                   us_kernel **kernel, unseen_error *error) {
    const recipe *r = &made->recipe;
    const us_convolution_problem *p = &made->problem;
    const us_tiled *t = &r->t;
    const us_shape in = us_convolution_in(p), out = us_convolution_out(p);
    const us_weight_layout weights = us_tiled_layout(p);
    char activations[US_ACTIVATION_OPTIONS];
    us_activation_options(activations, p->activation, p->input_activation);
    return us_kernel_create(
        &r->build, r->source, name, kernel, error,
        "-DUP=%d -DIN_CHANNELS=%d -DIN_HEIGHT=%d -DIN_WIDTH=%d -DOUT_CHANNELS=%d -DOUT_HEIGHT=%d "
        "-DOUT_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DKERNEL_H=%d -DKERNEL_W=%d -DSTRIDE_Y=%d "
        "-DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DBIAS=%d %s -DTERM_STRIDE=%zu "
        "-DTAP_STRIDE=%zu -DROW_STRIDE=%zu -DIN_STRIDE=%zu -DWEIGHT_TAP_STRIDE=%zu "
        "-DOUT_STRIDE=%zu -DGROUP_ROWS=%d -DGROUP_COLUMNS=%d -DGROUP_PIXELS=%d -DSLAB=%d "
        "-DTILE_ROWS=%d -DTILE_COLUMNS=%d %s -DSPLITS=%d -DCHANNEL_SUMS=%d",
        p->pass == US_CONVOLUTION_UP, in.channels, in.height, in.width, out.channels, out.height,
        out.width, p->batch, us_device_occupied(&r->build.device->facts, p->batch), p->kernel[0],
        p->kernel[1], p->stride[0], p->stride[1], p->padding[0], p->padding[1], p->bias,
        activations, weights.term_stride, weights.tap_stride, weights.row_stride,
        us_convolution_in_stride(p), p->tap_stride, us_convolution_out_stride(p), t->rows,
        t->columns, t->pixels, t->slab, t->item_rows, t->item_columns, r->options, t->splits, sums);
}

/* Of the partial sums; 0: there is one split. */
static size_t partial_bytes(const state *made) {
    if (made->recipe.t.splits == 1) return 0;
    return us_shape_size(us_convolution_out(&made->problem)) * (size_t)made->problem.batch *
           (size_t)made->recipe.t.splits * sizeof(float);
}

/* What takes channel sums: a tile, of its columns; with several splits what adds them, some quads
 * for each item of a group, but few parts. */
static void plan_sums(const us_tiled_kind *kind, state *made) {
    enum { ITEM_QUADS = 4, MOST_PARTS = 32 };
    const us_device_facts *device = &made->recipe.build.device->facts;
    const us_tiled *t = &made->recipe.t;
    const us_convolution_problem *p = &made->problem;
    const us_shape out = us_convolution_out(p);
    const int pixels = out.height * out.width;
    const int some = us_divide_up(ITEM_QUADS * (int64_t)device->group_size,
                                  us_device_occupied(device, p->batch) / 4);
    const int least = us_divide_up(pixels, MOST_PARTS);
    made->part_pixels = some > least ? some : least;
    if (t->splits > 1) {
        us_channel_sums_plan(device, p, us_divide_up(pixels, made->part_pixels), 0, &made->sums);
        return;
    }
    const int64_t parts = (int64_t)made->groups / us_divide_up(out.channels, t->rows);
    const size_t entries = (size_t)t->rows * (size_t)kind->sum_entries(device, t);
    us_channel_sums_plan(device, p, parts, (2 * entries + (size_t)t->rows) * sizeof(float),
                         &made->sums);
}

/* What adds the splits. */
static unseen_status create_finish(state *made, unseen_error *error) {
    const us_convolution_problem *p = &made->problem;
    us_device *device = made->recipe.build.device;
    made->finish_items = us_shape_size(us_convolution_out(p)) *
                         (size_t)us_device_occupied(&device->facts, p->batch) / 4;
    US_TRY(create_kernel(made, "convolution_product_finish", false, &made->finish, error));
    if (made->sums.parts.stride)
        US_TRY(create_kernel(made, "convolution_product_finish_sums", false, &made->finish_sums,
                             error));
    us_buffer *scratch;
    if (!made->pack) return us_device_scratch(device, partial_bytes(made), &scratch, error);
    return us_buffer_create(device, partial_bytes(made), "partial sums of a convolution",
                            &made->partial, error);
}

unseen_status us_tiled_create(const us_tiled_kind *kind, const us_build *build,
                              const us_convolution_problem *problem, const us_tiled *t,
                              const char options[US_TILED_OPTIONS], void **to,
                              unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const us_tile tile = kind->tile_of(device, problem, t);
    const us_weight_layout layout = us_tiled_layout(problem);
    state *made = calloc(1, sizeof *made);
    *to = made;
    if (!made) return us_fail_memory(error, "a convolution");
    made->recipe = (recipe){.build = *build, .source = kind->kernel, .t = *t};
    memcpy(made->recipe.options, options, US_TILED_OPTIONS);
    made->problem = *problem;
    made->groups = (size_t)count_tiles(device, problem, t);
    made->items = (size_t)us_tile_items(&tile);
    plan_sums(kind, made);
    const bool sums = made->sums.parts.stride > 0 && t->splits == 1;
    US_TRY(create_kernel(made, kind->kernel, sums, sums ? &made->summing : &made->tiles, error));
    if (layout.packed) {
        made->pack_items = (size_t)us_convolution_in(problem).channels * layout.term_stride;
        US_TRY(create_kernel(made, "convolution_product_pack", sums, &made->pack, error));
    }
    return t->splits > 1 ? create_finish(made, error) : UNSEEN_OK;
}

void us_tiled_destroy(void *pointer) {
    state *s = pointer;
    if (!s) return;
    us_kernel_destroy(s->tiles);
    us_kernel_destroy(s->summing);
    us_kernel_destroy(s->finish);
    us_kernel_destroy(s->finish_sums);
    us_channel_sums_release(&s->sums);
    us_kernel_destroy(s->pack);
    us_buffer_destroy(s->partial);
    free(s);
}

size_t us_tiled_packed_bytes(const void *pointer) {
    return ((const state *)pointer)->pack_items * sizeof(float);
}

unseen_status us_tiled_pack(void *pointer, us_buffer *weights, us_buffer *packed,
                            unseen_error *error) {
    const state *s = pointer;
    return us_kernel_run_elements(s->pack, s->pack_items, error, "bb", weights, packed);
}

/* Adds the splits of y. */
static unseen_status run_finish(const state *s, us_buffer *partial, const us_convolution_args *args,
                                us_channel_sums_args sums, unseen_error *error) {
    const us_shape out = us_convolution_out(&s->problem);
    us_buffer *y = us_convolution_y(&s->problem, args);
    if (!sums.parts)
        return us_kernel_run_elements(s->finish, s->finish_items, error, "bbbb", partial,
                                      args->bias, args->input, y);
    const size_t groups[3] = {1, (size_t)us_divide_up(out.height * out.width, s->part_pixels),
                              (size_t)out.channels};
    return us_kernel_run(s->finish_sums, groups, error, "bbbb" US_CHANNEL_SUMS_TYPES "i", partial,
                         args->bias, args->input, y, US_CHANNEL_SUMS(sums), s->part_pixels);
}

unseen_status us_tiled_run(void *pointer, us_buffer *weights, const us_convolution_args *args,
                           unseen_error *error) {
    state *s = pointer;
    us_device *device = s->recipe.build.device;
    const int splits = s->recipe.t.splits;
    us_buffer *x = us_convolution_x(&s->problem, args), *y = us_convolution_y(&s->problem, args);
    us_buffer *to = s->partial ? s->partial : y;
    us_channel_sums_args sums;
    if (splits > 1 && !s->partial) US_TRY(us_device_scratch(device, partial_bytes(s), &to, error));
    US_TRY(us_channel_sums_take(&s->sums, device, &s->problem, args, &sums, error));
    const bool takes = sums.parts && splits == 1;
    us_kernel **kernel = takes ? &s->summing : &s->tiles;
    if (!*kernel) US_TRY(create_kernel(s, s->recipe.source, takes, kernel, error));
    const size_t groups[3] = {s->groups, (size_t)splits, 1};
    US_TRY(us_kernel_run_groups(*kernel, groups, s->items, error, "bbbbb" US_CHANNEL_SUMS_TYPES, x,
                                weights, args->bias, args->input, to, US_CHANNEL_SUMS(sums)));
    return splits > 1 ? run_finish(s, to, args, sums, error) : UNSEEN_OK;
}
