/* SPDX-License-Identifier: MIT */
/* Included by kernels that compute a convolution down or up (engine/ops/convolution/problem.h)
 * output pixel by output pixel: the taps that meet the input at one, along an axis,
 *
 *     k = phase + j * PHASES    for j from first to last - 1
 *
 * where tap j meets input position input + j * TAP_DIRECTION. Up, output position o has the taps
 * with o + padding - k divisible by the stride; neighbouring positions have other ones:
 *
 *     UP 1, stride 2, kernel 4, padding 1, input of 3
 *     output    0    1    2    3    4    5
 *     phase     1    0    1    0    1    0
 *     input     0    1    1    2    2    3
 *     j         0    0,1  0,1  0,1  0,1  1         of taps 1,3 or 0,2
 *
 * Options
 *     UP, IN_HEIGHT, IN_WIDTH, KERNEL_*, STRIDE_*, PADDING_*   the problem */
#if UP
#define PHASES_Y STRIDE_Y
#define PHASES_X STRIDE_X
#define TAP_DIRECTION (-1)
#else
#define PHASES_Y 1
#define PHASES_X 1
#define TAP_DIRECTION 1
#endif
#define KERNEL_TAPS (KERNEL_H * KERNEL_W)

/* Taps of a phase. */
static inline int phase_taps(int phase, int phases, int kernel_size) {
    return (kernel_size + phases - 1 - phase) / phases;
}

typedef struct tap_range {
    int first, last; /* taps of the phase that meet the input */
    int input;       /* where tap 0 does */
    int phase, taps;
} tap_range;

static inline tap_range taps_of(int out, int in_size, int kernel_size, int stride, int padding) {
    tap_range r;
#if UP
    const int position = out + padding;
    r.phase = position % stride;
    r.taps = phase_taps(r.phase, stride, kernel_size);
    r.input = position / stride;
    r.first = max(0, r.input - in_size + 1);
    r.last = min(r.taps, r.input + 1);
#else
    r.phase = 0;
    r.taps = kernel_size;
    r.input = out * stride - padding;
    r.first = max(0, -r.input);
    r.last = min(r.taps, in_size - r.input);
#endif
    return r;
}
#define ROW_TAPS(oy) taps_of(oy, IN_HEIGHT, KERNEL_H, STRIDE_Y, PADDING_Y)
#define COLUMN_TAPS(ox) taps_of(ox, IN_WIDTH, KERNEL_W, STRIDE_X, PADDING_X)
