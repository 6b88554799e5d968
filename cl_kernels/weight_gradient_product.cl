/* SPDX-License-Identifier: MIT */
/* Included by kernels that compute the gradient of a convolution's weights (formula and order of
 * indices in weight_gradient.cl) as a matrix product, for GPUs:
 *
 *     w[row][s] = sum over terms of large[row][term] small[s][term]
 *
 * Rows are pairs of a large channel and a tap, so that any channels and taps fill tiles. Where
 * tiles divide the channels, each is of one tap, and leaves out the pixels where that is beyond the
 * border. Terms are pairs of a pixel of the small side and an image, images innermost: both factors
 * have them side by side. A work-group computes GROUP_ROWS x GROUP_COLUMNS weights of a split of
 * the terms, from slabs of SLAB images of a pixel.
 *
 * Options
 *     LARGE_*, SMALL_*, KERNEL_*, STRIDE_*, PADDING_*   the problem, and where weights lie
 *     BATCH, OCCUPIED    lanes of the batch in memory, and those that images may lie in (128, 128)
 *     GROUP_ROWS, GROUP_COLUMNS   of a work-group (128, 128)
 *     SLAB               images copied at a time (16)
 *     SPLITS             parts that the slabs are summed in (1 to 256): sum_splits.cl
 *     WEIGHTS            floats of the gradient
 *
 * The kernel defines GROUP_ITEMS and which rows, and columns, of a slab an item copies a quad of:
 * LARGE_COPIES and SMALL_COPIES of them, FIRST_COPY(item) + NEXT_COPY(i), each as many as
 * COPIED_AT_ONCE by all items; quad item % QUADS. Launched with tiles x splits work-groups. */
#define KERNEL_TAPS (KERNEL_H * KERNEL_W)
#define MATRIX_ROWS (LARGE_CHANNELS * KERNEL_TAPS)
#define ROW_GROUPS CEIL_DIV(MATRIX_ROWS, GROUP_ROWS)
#define PIXELS (SMALL_HEIGHT * SMALL_WIDTH)
#define PIXEL_SLABS (OCCUPIED / SLAB)
#define QUADS (SLAB / 4)

#define FOR_LARGE_COPIES UNROLL_FOR (int i = 0; i < LARGE_COPIES; i++)
#define FOR_SMALL_COPIES UNROLL_FOR (int i = 0; i < SMALL_COPIES; i++)

#define QUAD(address) (*(__global const float4 *)(address))

/* The large channel and the tap of a row: in the order of the weights in memory, or, for tiles of
 * one tap, channels innermost. */
#define ONE_TAP (LARGE_CHANNELS % GROUP_ROWS == 0)
#if ONE_TAP || LARGE_STRIDE == 1
#define CHANNEL_OF(row) ((row) % LARGE_CHANNELS)
#define TAP_OF(row) ((row) / LARGE_CHANNELS)
#else
#define CHANNEL_OF(row) ((row) / KERNEL_TAPS)
#define TAP_OF(row) ((row) % KERNEL_TAPS)
#endif

/* The small pixels that a tile needs. */
typedef struct region {
    int y, x, width, height;
} region;

INLINE region region_of(int first_row) {
    region r = {0, 0, SMALL_WIDTH, SMALL_HEIGHT};
#if ONE_TAP
    const int tap = TAP_OF(first_row);
    const int from_y = PADDING_Y - tap / KERNEL_W, from_x = PADDING_X - tap % KERNEL_W;
    r.y = max(0, CEIL_DIV(from_y, STRIDE_Y));
    r.x = max(0, CEIL_DIV(from_x, STRIDE_X));
    /* The first pixels that meet the large side's end. */
    r.height = max(0, min(SMALL_HEIGHT, CEIL_DIV(LARGE_HEIGHT + from_y, STRIDE_Y)) - r.y);
    r.width = max(0, min(SMALL_WIDTH, CEIL_DIV(LARGE_WIDTH + from_x, STRIDE_X)) - r.x);
#endif
    return r;
}

/* The rows of the large side that an item copies: where each lies for small pixel 0, and the pixel
 * of it that its tap meets there. */
typedef struct copied {
    int at[LARGE_COPIES], y[LARGE_COPIES], x[LARGE_COPIES];
} copied;

#define OUTSIDE (-(1 << 24)) /* at any pixel */

/* Where a slab is: the pixel, and the first of its images. */
typedef struct place {
    int y, x, image;
} place;

INLINE place place_of(region r, int slab) {
    const int pixel = slab / PIXEL_SLABS, width = max(1, r.width);
    const place at = {r.y + pixel / width, r.x + pixel % width, slab % PIXEL_SLABS * SLAB};
    return at;
}

INLINE place next_place(region r, place at) {
    at.image += SLAB;
    if (at.image == OCCUPIED) {
        at.image = 0;
        if (++at.x == r.x + r.width) {
            at.x = r.x;
            at.y++;
        }
    }
    return at;
}

/* The slabs of a split: of a tile's pixels, from the first one. */
typedef struct share {
    region pixels;
    int first, slabs;
} share;

INLINE share share_of(int first_row, int split) {
    share s;
    s.pixels = region_of(first_row);
    const long all = (long)s.pixels.height * s.pixels.width * PIXEL_SLABS;
    s.first = (int)(all * split / SPLITS);
    s.slabs = (int)(all * (split + 1) / SPLITS) - s.first;
    return s;
}

INLINE void find_rows(int first_row, int item, copied *rows) {
    FOR_LARGE_COPIES {
        const int of_tile = FIRST_COPY(item) + NEXT_COPY(i), row = first_row + of_tile;
        const int tap = TAP_OF(row);
        rows->y[i] = tap / KERNEL_W - PADDING_Y;
        rows->x[i] = tap % KERNEL_W - PADDING_X;
        rows->at[i] =
            ((CHANNEL_OF(row) * LARGE_HEIGHT + rows->y[i]) * LARGE_WIDTH + rows->x[i]) * BATCH +
            item % QUADS * 4;
        if (of_tile >= GROUP_ROWS || row >= MATRIX_ROWS) rows->y[i] = OUTSIDE;
    }
}

/* An item's share of a slab, to registers. What is beyond the problem is 0. */
INLINE void load_large(__global const float *large, const copied *rows, place at, float4 *to) {
    const int step = (at.y * STRIDE_Y * LARGE_WIDTH + at.x * STRIDE_X) * BATCH + at.image;
    FOR_LARGE_COPIES {
        const uint y = at.y * STRIDE_Y + rows->y[i], x = at.x * STRIDE_X + rows->x[i];
        to[i] = (float4)(0.0f);
        if (ONE_TAP ? GROUP_ROWS % COPIED_AT_ONCE == 0 || rows->y[i] > OUTSIDE
                    : y < LARGE_HEIGHT && x < LARGE_WIDTH)
            to[i] = QUAD(large + (rows->at[i] + step));
    }
}

INLINE void load_small(__global const float *small, int first_column, place at, int item,
                       float4 *to) {
    const int column = FIRST_COPY(item);
    __global const float *from =
        small + ((first_column + column) * PIXELS + at.y * SMALL_WIDTH + at.x) * BATCH + at.image +
        item % QUADS * 4;
    FOR_SMALL_COPIES {
        const int on = NEXT_COPY(i);
        to[i] = (float4)(0.0f);
        if ((GROUP_COLUMNS % COPIED_AT_ONCE == 0 || column + on < GROUP_COLUMNS) &&
            (SMALL_CHANNELS % GROUP_COLUMNS == 0 || first_column + column + on < SMALL_CHANNELS))
            to[i] = QUAD(from + on * PIXELS * BATCH);
    }
}

/* partial is [SPLITS][weights in their own order]; with one split it is the gradient itself, and
 * `accumulate` adds to it. */
INLINE void write_sum(float sum, int row, int column, __global float *partial, int accumulate) {
    if (row >= MATRIX_ROWS || column >= SMALL_CHANNELS) return;
    __global float *to = partial + (size_t)CHANNEL_OF(row) * LARGE_STRIDE +
                         (size_t)TAP_OF(row) * TAP_STRIDE + (size_t)column * SMALL_STRIDE;
    *to = accumulate ? *to + sum : sum;
}
