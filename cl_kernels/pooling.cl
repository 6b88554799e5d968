/* SPDX-License-Identifier: MIT */
/* Average and maximum pooling of [CHANNELS][height][width][BATCH], forward and backward:
 *
 *     average    y = sum of the window's pixels / (KERNEL_H KERNEL_W), pixels of the padding being
 * 0 maximum    y = the largest of the window's pixels, which are those of the image alone
 *
 * Output pixel (oy, ox) has the window of input pixels (oy STRIDE_Y - PADDING_Y + ky, ...).
 * Forward, an item gathers the windows of one output pixel; backward, one input pixel gathers the
 * outputs whose windows it is in, so that nothing is added twice or out of order. Work-groups are
 * (lane groups, pixels of all channels):
 *
 *                     <- VECTORS ->
 *     a pixel        |  item       |      a row of the batch
 *
 * The maximum saves the tap that it took, ky KERNEL_W + kx, as a float: the first of the largest,
 * and a NaN before any number, as PyTorch does.
 *
 * Options
 *     CHANNELS, IN_HEIGHT, IN_WIDTH, OUT_HEIGHT, OUT_WIDTH, BATCH   of the tensors in memory
 *     KERNEL_H, KERNEL_W, STRIDE_Y, STRIDE_X, PADDING_Y, PADDING_X  (2, 2, 2, 2, 0, 0)
 *     MAXIMUM          1, or 0 for the average
 *     VECTORS          vectors of the batch of an item (all on CPUs, 1 on GPUs)
 *     INPUT_ACTIVATION, INPUT_SLOPE   of the activation that produced x, see common.cl
 *
 * Twin of engine/ops/pooling.c. */

#define IN_PIXELS (IN_HEIGHT * IN_WIDTH)
#define OUT_PIXELS (OUT_HEIGHT * OUT_WIDTH)

/* Steps between neighbouring pixels of a row, and of a column, in floats. */
#define AT(y, x, width) (((long)(y) * (width) + (x)) * BATCH)

__kernel GROUP_ATTRIBUTE void pooling_forward(__global const float *restrict x,
                                              __global float *restrict y,
                                              __global float *restrict taken) {
    const int pixel = get_group_id(1), channel = pixel / OUT_PIXELS, at = pixel % OUT_PIXELS;
    const int top = at / OUT_WIDTH * STRIDE_Y - PADDING_Y;
    const int left = at % OUT_WIDTH * STRIDE_X - PADDING_X;
    const int first_ky = max(0, -top), end_ky = min(KERNEL_H, IN_HEIGHT - top);
    const int first_kx = max(0, -left), end_kx = min(KERNEL_W, IN_WIDTH - left);
    x += (long)channel * IN_PIXELS * BATCH;
    for (int j = 0; j < VECTORS; j++) {
        const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
#if MAXIMUM
        vec best = (vec)(-INFINITY), tap = (vec)((float)(first_ky * KERNEL_W + first_kx));
#else
        vec best = (vec)(0.0f);
#endif
        for (int ky = first_ky; ky < end_ky; ky++)
            for (int kx = first_kx; kx < end_kx; kx++) {
                const vec value = vec_load(x + AT(top + ky, left + kx, IN_WIDTH) + lane);
#if MAXIMUM
                /* False where the best is a NaN already. */
                const WIDE(int) better = (value > best) | ((value != value) & (best == best));
                best = vec_choose(best, value, better);
                tap = vec_choose(tap, (vec)((float)(ky * KERNEL_W + kx)), better);
#else
                best += value;
#endif
            }
        const size_t to = (size_t)pixel * BATCH + lane;
#if MAXIMUM
        vec_store(best, y + to);
        if (taken) vec_store(tap, taken + to);
#else
        vec_store(best * (1.0f / (KERNEL_H * KERNEL_W)), y + to);
#endif
    }
}

/* The output pixels whose windows an input pixel is in, along one axis: from *first to before *end.
 * position: the pixel's, with the padding. */
INLINE void windows_of(int position, const int kernel_size, const int stride, const int out_size,
                       int *first, int *end) {
    *first = max(0, (position - kernel_size + stride) / stride);
    if (position < kernel_size) *first = 0;
    *end = min(out_size, position / stride + 1);
}

__kernel GROUP_ATTRIBUTE void pooling_backward(__global const float *restrict x,
                                               __global const float *restrict dy,
                                               __global const float *restrict taken,
                                               __global float *restrict dx) {
    const int pixel = get_group_id(1), channel = pixel / IN_PIXELS, at = pixel % IN_PIXELS;
    const int row = at / IN_WIDTH + PADDING_Y, column = at % IN_WIDTH + PADDING_X;
    int first_y, end_y, first_x, end_x;
    windows_of(row, KERNEL_H, STRIDE_Y, OUT_HEIGHT, &first_y, &end_y);
    windows_of(column, KERNEL_W, STRIDE_X, OUT_WIDTH, &first_x, &end_x);
    const long plane = (long)channel * OUT_PIXELS * BATCH;
    for (int j = 0; j < VECTORS; j++) {
        const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
        vec sum = (vec)(0.0f);
        for (int oy = first_y; oy < end_y; oy++)
            for (int ox = first_x; ox < end_x; ox++) {
                const long from = plane + AT(oy, ox, OUT_WIDTH) + lane;
                const vec gradient = vec_load(dy + from);
#if MAXIMUM
                const int tap = (row - oy * STRIDE_Y) * KERNEL_W + column - ox * STRIDE_X;
                sum += vec_choose((vec)(0.0f), gradient, vec_load(taken + from) == (vec)(float)tap);
#else
                sum += gradient;
#endif
            }
#if !MAXIMUM
        sum *= 1.0f / (KERNEL_H * KERNEL_W);
#endif
        const size_t to = (size_t)pixel * BATCH + lane;
        vec_store(input_activation_backward(sum, vec_load(x + to)), dx + to);
    }
}
