/* SPDX-License-Identifier: MIT */
/* The gradient of a convolution's weights (engine/ops/convolution/problem.h) by its definition:
 *
 *     w[l][ky][kx][s] = sum over sy, sx, n of large[l][ly][lx][n] small[s][sy][sx][n]
 *     ly = sy * STRIDE_Y - PADDING_Y + ky, and lx alike
 *
 * Which side is x and which dy is for the host to say. Padded lanes of dy are zero, those of x
 * finite, so that they add nothing. Sides are [channel][height][width][BATCH]; weight (l, tap, s)
 * is at l * LARGE_STRIDE + tap * TAP_STRIDE + s * SMALL_STRIDE.
 *
 * A work-group has a block of weights of one kernel row and a split of the small rows:
 *
 *     large channels              taps kx of row ky
 *     TILE_LARGE  +---------+     TILE_TAPS  [..]        sums[i][j][k] are vectors over the batch,
 *                 |  sums   |  x                         whose lanes are added up at the end
 *                 +---------+
 *                 TILE_SMALL small channels
 *
 * Options
 *     LARGE_*, SMALL_*, KERNEL_*, STRIDE_*, PADDING_*   the problem
 *     BATCH, OCCUPIED          lanes of the batch in memory, and those that images may lie in
 *     TILE_SMALL, TILE_LARGE   channels of an item (6, 1)
 *     TILE_TAPS                taps of a kernel row of an item (4)
 *     SPLITS                   parts that the small rows are summed in (1 to 16): sum_splits.cl
 *     WEIGHTS                  floats of the gradient
 *     BIAS_SPLITS              above 0: more work-groups after those of the weights, which take the
 *                              bias's gradient (bias_sum.cl); with BIAS_CHANNELS, BIAS_PIXELS
 *     BIAS_OF_LARGE            1: dy is the large side
 *
 * Twin of engine/ops/convolution/weight_gradient_direct.c. */
#if BIAS_SPLITS
#include "bias_sum.cl"
#endif

#define KERNEL_TAPS (KERNEL_H * KERNEL_W)
#define WEIGHT_GROUPS                                                                              \
    (CEIL_DIV(KERNEL_W, TILE_TAPS) * KERNEL_H * CEIL_DIV(SMALL_CHANNELS, TILE_SMALL) *             \
     CEIL_DIV(LARGE_CHANNELS, TILE_LARGE) * SPLITS)
#define SUMS (TILE_SMALL * TILE_LARGE * TILE_TAPS)

#define FOR_SMALL UNROLL_FOR (int i = 0; i < TILE_SMALL; i++)
#define FOR_LARGE UNROLL_FOR (int j = 0; j < TILE_LARGE; j++)
#define FOR_TAPS UNROLL_FOR (int k = 0; k < TILE_TAPS; k++)

/* The work of a work-group: a tile of small channels, of large channels and of taps of kernel row
 * ky, with the first of each, and a split of the small rows. */
typedef struct piece {
    int small_tile, large_tile, tap_tile, s0, l0, kx0, ky, split;
} piece;

INLINE piece piece_of(size_t group) {
    piece p;
    p.tap_tile = group % CEIL_DIV(KERNEL_W, TILE_TAPS);
    group /= CEIL_DIV(KERNEL_W, TILE_TAPS);
    p.ky = group % KERNEL_H;
    group /= KERNEL_H;
    p.small_tile = group % CEIL_DIV(SMALL_CHANNELS, TILE_SMALL);
    group /= CEIL_DIV(SMALL_CHANNELS, TILE_SMALL);
    p.large_tile = group % CEIL_DIV(LARGE_CHANNELS, TILE_LARGE);
    p.split = group / CEIL_DIV(LARGE_CHANNELS, TILE_LARGE);
    p.s0 = FIRST_OF_TILE(p.small_tile, TILE_SMALL, SMALL_CHANNELS);
    p.l0 = FIRST_OF_TILE(p.large_tile, TILE_LARGE, LARGE_CHANNELS);
    p.kx0 = FIRST_OF_TILE(p.tap_tile, TILE_TAPS, KERNEL_W);
    return p;
}

/* sums[small][large][tap], of the lanes from `lane` on. */
PART void add_up(__global const float *restrict large, __global const float *restrict small,
                 piece p, int lane, vec *sums) {
    const int ky = p.ky, kx0 = p.kx0, s0 = p.s0, l0 = p.l0, split = p.split;
    vec sum[TILE_SMALL][TILE_LARGE][TILE_TAPS];
    FOR_SMALL FOR_LARGE FOR_TAPS sum[i][j][k] = (vec)(0.0f);

    const int last = (split + 1) * SMALL_HEIGHT / SPLITS;
    for (int sy = split * SMALL_HEIGHT / SPLITS; sy < last; sy++) {
        const int ly = sy * STRIDE_Y - PADDING_Y + ky;
        if (ly < 0 || ly >= LARGE_HEIGHT) continue;
        for (int sx = 0; sx < SMALL_WIDTH; sx++) {
            const int lx = sx * STRIDE_X - PADDING_X + kx0;
            if (lx <= -TILE_TAPS || lx >= LARGE_WIDTH) continue;
            __global const float *s =
                small + (((size_t)s0 * SMALL_HEIGHT + sy) * SMALL_WIDTH + sx) * BATCH + lane;
            __global const float *l = large +
                                      (((size_t)l0 * LARGE_HEIGHT + ly) * LARGE_WIDTH) * BATCH +
                                      lane + (long)lx * BATCH;
            if (lx >= 0 && lx + TILE_TAPS <= LARGE_WIDTH) {
                for (int n = 0; n < OCCUPIED; n += LANE_STRIDE) {
                    vec v[TILE_LARGE][TILE_TAPS];
                    FOR_LARGE FOR_TAPS v[j][k] =
                        vec_load(l + (size_t)j * (LARGE_HEIGHT * LARGE_WIDTH) * BATCH +
                                 (size_t)k * BATCH + n);
                    FOR_SMALL {
                        const vec d =
                            vec_load(s + (size_t)i * (SMALL_HEIGHT * SMALL_WIDTH) * BATCH + n);
                        FOR_LARGE FOR_TAPS sum[i][j][k] = fma(d, v[j][k], sum[i][j][k]);
                    }
                }
            } else {
                for (int n = 0; n < OCCUPIED; n += LANE_STRIDE) {
                    vec v[TILE_LARGE][TILE_TAPS];
                    FOR_LARGE FOR_TAPS {
                        v[j][k] = (vec)(0.0f);
                        if (lx + k >= 0 && lx + k < LARGE_WIDTH)
                            v[j][k] =
                                vec_load(l + (size_t)j * (LARGE_HEIGHT * LARGE_WIDTH) * BATCH +
                                         (size_t)k * BATCH + n);
                    }
                    FOR_SMALL {
                        const vec d =
                            vec_load(s + (size_t)i * (SMALL_HEIGHT * SMALL_WIDTH) * BATCH + n);
                        FOR_LARGE FOR_TAPS sum[i][j][k] = fma(d, v[j][k], sum[i][j][k]);
                    }
                }
            }
        }
    }
    FOR_SMALL FOR_LARGE FOR_TAPS sums[(i * TILE_LARGE + j) * TILE_TAPS + k] = sum[i][j][k];
}

/* The last tile of a dimension is moved back to fit and does not write what the tile before it
 * writes. partial is [SPLITS][weights in their own order]; with one split it may be the gradient
 * itself. `accumulate` adds to what is there. */
INLINE void write_weight(piece p, int a, float total, __global float *partial, int accumulate) {
    const int s = p.s0 + a / (TILE_LARGE * TILE_TAPS);
    const int l = p.l0 + a / TILE_TAPS % TILE_LARGE;
    const int kx = p.kx0 + a % TILE_TAPS;
    if (s < p.small_tile * TILE_SMALL || l < p.large_tile * TILE_LARGE ||
        kx < p.tap_tile * TILE_TAPS)
        return;
    __global float *to = partial + (size_t)p.split * WEIGHTS + (size_t)l * LARGE_STRIDE +
                         (size_t)s * SMALL_STRIDE + (size_t)(p.ky * KERNEL_W + kx) * TAP_STRIDE;
    *to = accumulate ? *to + total : total;
}

__kernel GROUP_ATTRIBUTE void weight_gradient(__global const float *restrict large,
                                              __global const float *restrict small,
                                              __global float *restrict partial, int accumulate
#if BIAS_SPLITS
                                              ,
                                              BIAS_ARGUMENTS
#endif
) {
#if BIAS_SPLITS
    __local float room[GROUP_SIZE];
    if (get_group_id(0) >= WEIGHT_GROUPS) {
        BIAS_GROUP((int)get_group_id(0) - WEIGHT_GROUPS, room);
        return;
    }
#endif
    const piece p = piece_of(get_group_id(0));
    vec sums[SUMS];
    add_up(large, small, p, LANE_BASE(0, 0), sums);
#if LANES
    __local float lanes[SUMS][GROUP_SIZE + 1];
    UNROLL_FOR (int a = 0; a < SUMS; a++) lanes[a][get_local_id(0)] = vec_sum(sums[a]);
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int a = get_local_id(0); a < SUMS; a += GROUP_SIZE) {
        float total = 0.0f;
        for (int item = 0; item < GROUP_SIZE; item++) total += lanes[a][item];
        write_weight(p, a, total, partial, accumulate);
    }
#else
    for (int a = 0; a < SUMS; a++) write_weight(p, a, vec_sum(sums[a]), partial, accumulate);
#endif
}
