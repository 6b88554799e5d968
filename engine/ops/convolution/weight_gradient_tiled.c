/* SPDX-License-Identifier: MIT */
#include "ops/convolution/weight_gradient_tiled.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "base/arithmetic.h"

/* Of the matrix: large channels and taps. */
static int64_t count_rows(const us_convolution_problem *p) {
    return (int64_t)p->large.channels * p->kernel[0] * p->kernel[1];
}

static int64_t count_tiles(const us_convolution_problem *p, const us_tile *t) {
    return (int64_t)us_divide_up(count_rows(p), t->rows) *
           us_divide_up(p->small.channels, t->columns);
}

/* ---- what is possible ---- */

/* The kernel counts floats of a side, and of channels that pad a tile, in an int. */
static bool counts_in_int(us_shape side, int batch) {
    enum { PADDED = 256 };
    double pixels = (double)side.height * side.width * batch;
    return (side.channels + PADDED) * pixels <= INT_MAX;
}

static int64_t count_slabs(const us_device_facts *device, const us_convolution_problem *p,
                           const us_tile *t) {
    return (int64_t)p->small.height * p->small.width *
           (us_device_occupied(device, p->batch) / t->slab);
}

bool us_gradient_tile_valid(const us_device_facts *device, const us_convolution_problem *p,
                            const us_tile *t, int splits) {
    if (p->pass != US_CONVOLUTION_WEIGHTS || p->batch % 4 != 0 ||
        !counts_in_int(p->large, p->batch) || !counts_in_int(p->small, p->batch))
        return false;
    return us_tile_valid(device, t) && us_device_occupied(device, p->batch) % t->slab == 0 &&
           us_tile_items(t) % (t->slab / 4) == 0 && splits <= count_slabs(device, p, t) &&
           us_weight_gradient_valid_splits(device, p, splits);
}

/* ---- what is fast ---- */

/* Of a tile's slabs, those that the kernel goes through: it leaves out pixels where the one tap of
 * a tile is beyond the border. Twin of ONE_TAP in the kernel. */
static double share_of_slabs(const us_convolution_problem *p, const us_tile *t) {
    if (p->large.channels % t->rows != 0) return 1;
    double taps = (double)us_convolution_pairs(p, 0) * (double)us_convolution_pairs(p, 1);
    return taps / p->kernel[0] / p->kernel[1] / p->small.height / p->small.width;
}

static us_tiled_product product_of(const us_device_facts *device, const us_convolution_problem *p,
                                   const us_tile *t, int splits) {
    const double slabs = (double)count_slabs(device, p, t);
    return (us_tiled_product){
        .tiles = count_tiles(p, t),
        .slabs = slabs * share_of_slabs(p, t),
        .most_slabs = slabs,
        .outputs = (double)us_convolution_weights(p),
        .inputs = (double)(us_shape_size(p->large) + us_shape_size(p->small)) * p->batch,
        .splits = splits,
    };
}

double us_gradient_cycles(const us_gradient_kind *kind, const us_device_facts *device,
                          const us_convolution_problem *p, const us_gradient_tiles *t) {
    const us_tile tile = kind->tile_of(device, p, t);
    const us_tiled_product product = product_of(device, p, &tile, t->splits);
    return kind->cycles(device, &tile, &product);
}

static us_gradient_tiles shape_of(const us_gradient_kind *kind, const us_device_facts *device,
                                  const us_convolution_problem *p, int index) {
    us_gradient_tiles t = kind->shapes[index];
    if (kind->fit) kind->fit(device, p, &t);
    return t;
}

/* The best splits of a shape, and the cycles that it takes then, which are infinite where the
 * device cannot compute it. */
static double complete(const us_gradient_kind *kind, const us_device_facts *device,
                       const us_convolution_problem *p, us_gradient_tiles *t) {
    t->splits = 1;
    if (!kind->valid(device, p, t)) return INFINITY;
    const us_tile tile = kind->tile_of(device, p, t);
    us_tiled_product product = product_of(device, p, &tile, 1);
    int most = US_TILE_MOST_SPLITS;
    while (most > 1 && !us_weight_gradient_valid_splits(device, p, most))
        most /= 2;
    const double cycles = us_tile_best_splits(kind->cycles, device, &tile, &product, most);
    t->splits = product.splits;
    return cycles;
}

double us_gradient_fastest(const us_gradient_kind *kind, const us_device_facts *device,
                           const us_convolution_problem *p, us_gradient_tiles *to) {
    double best = INFINITY;
    for (int i = 0; i < kind->shape_count; i++) {
        us_gradient_tiles t = shape_of(kind, device, p, i);
        if (t.item_rows * t.item_columns > kind->most_sums(device)) continue;
        const double cycles = complete(kind, device, p, &t);
        if (cycles >= best) continue;
        best = cycles;
        *to = t;
    }
    return best;
}

bool us_gradient_start(const us_gradient_kind *kind, const us_device_facts *device,
                       const us_convolution_problem *p, int index, us_gradient_tiles *t) {
    if (p->pass != US_CONVOLUTION_WEIGHTS || index > kind->shape_count) return false;
    if (index == 0) return isfinite(us_gradient_fastest(kind, device, p, t));
    *t = shape_of(kind, device, p, index - 1);
    if (isinf(complete(kind, device, p, t))) *t = (us_gradient_tiles){0};
    return true;
}

int us_gradient_split_choices(const us_device_facts *device, const us_convolution_problem *p,
                              int list[US_TUNABLE_CHOICES]) {
    const int64_t quads =
        (int64_t)p->small.height * p->small.width * us_device_occupied(device, p->batch) / 4;
    int count = us_powers_choices(us_smaller(quads, US_GRADIENT_MOST_SPLITS), list);
    while (count > 1 && !us_weight_gradient_valid_splits(device, p, list[count - 1]))
        count--;
    return count;
}

/* ---- running ---- */

/* Whether tiles see every pixel of the side whose bias it is. */
static bool takes_bias(const us_convolution_problem *p) {
    return p->bias && !p->bias_of_large && p->padding[0] == 0 && p->padding[1] == 0;
}

/* Where they do not, more work-groups take the bias along. */
static unseen_status launch(const us_weight_gradient *gradient, const us_convolution_args *args,
                            us_buffer *to, us_buffer *bias, bool accumulate, unseen_error *error) {
    size_t groups[3] = {gradient->groups, (size_t)gradient->splits, 1};
    if (gradient->bias_groups > 0) {
        groups[1] += (gradient->bias_groups + groups[0] - 1) / groups[0];
        return us_kernel_run_groups(gradient->kernel, groups, gradient->items, error, "bbbbili",
                                    args->large, args->small, to, bias, (int32_t)accumulate,
                                    (int64_t)gradient->bias_first,
                                    (int32_t)us_bias_accumulates(args));
    }
    return us_kernel_run_groups(gradient->kernel, groups, gradient->items, error, "bbbbi",
                                args->large, args->small, to, bias, (int32_t)accumulate);
}

unseen_status us_gradient_tile_create(const us_build *build, const us_convolution_problem *p,
                                      const us_gradient_tiling *tiling, void **state,
                                      unseen_error *error) {
    const us_device_facts *device = &build->device->facts;
    const us_tile *t = &tiling->tile;
    us_weight_gradient *made = calloc(1, sizeof *made);
    *state = made;
    if (!made) return us_fail_memory(error, "a convolution's gradient");
    made->problem = *p;
    made->groups = (size_t)count_tiles(p, t);
    made->items = (size_t)us_tile_items(t);
    made->splits = tiling->splits;
    made->takes_bias = takes_bias(p);
    made->launch = launch;
    char bias[US_BIAS_OPTIONS] = "";
    if (!made->takes_bias) made->bias_groups = us_bias_options(device, p, made->items, bias);
    US_TRY(us_kernel_create(
        build, tiling->name, tiling->name, &made->kernel, error,
        "-DLARGE_CHANNELS=%d -DLARGE_HEIGHT=%d -DLARGE_WIDTH=%d -DSMALL_CHANNELS=%d "
        "-DSMALL_HEIGHT=%d -DSMALL_WIDTH=%d -DBATCH=%d -DOCCUPIED=%d -DKERNEL_H=%d -DKERNEL_W=%d "
        "-DSTRIDE_Y=%d -DSTRIDE_X=%d -DPADDING_Y=%d -DPADDING_X=%d -DLARGE_STRIDE=%zu "
        "-DTAP_STRIDE=%zu -DSMALL_STRIDE=%zu -DWEIGHTS=%zu -DGROUP_ROWS=%d -DGROUP_COLUMNS=%d "
        "-DSLAB=%d -DTILE_ROWS=%d -DTILE_COLUMNS=%d %s -DSPLITS=%d -DTAKES_BIAS=%d %s",
        p->large.channels, p->large.height, p->large.width, p->small.channels, p->small.height,
        p->small.width, p->batch, us_device_occupied(device, p->batch), p->kernel[0], p->kernel[1],
        p->stride[0], p->stride[1], p->padding[0], p->padding[1], p->large_stride, p->tap_stride,
        p->small_stride, us_convolution_weights(p), t->rows, t->columns, t->slab, t->item_rows,
        t->item_columns, tiling->options, tiling->splits, made->takes_bias, bias));
    return us_weight_gradient_prepare(build, made, error);
}
