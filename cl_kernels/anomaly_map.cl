/* SPDX-License-Identifier: MIT */
/* Where images are anomalous: a map [HEIGHT][WIDTH][BATCH] of images [CHANNELS][HEIGHT][WIDTH]
 * [BATCH].
 *
 *     anomaly_map_error    e[p] = sum over channels of (x[c][p] - y[c][p])^2
 *                          (y may be NULL: then of x alone, of gradients by the image)
 *     anomaly_map_stretch  e[p] = a value for each cell of a grid, bilinear between their middles
 *     anomaly_map_smooth   s[p] = sum of w[k] e[p + k] / sum of w[k],  k from -RADIUS to RADIUS
 *
 * Smoothing goes along one axis, over the pixels p + k that there are: what is beyond the image has
 * no part. Work-groups are (lane groups, splits of the pixels), as those of pixel_score.cl:
 *
 *                   <- VECTORS ->
 *     ROWS pixels  | item        |        smooth, along x, of the pixel p:
 *     ROWS pixels  | item        |            e  . . [ . . p . . ] . .      RADIUS 2
 *     ROWS pixels  | item        |                w  2 1 0 1 2
 *
 * Options
 *     CHANNELS, HEIGHT, WIDTH, BATCH   of the images in memory
 *     VECTORS   vectors of the batch of an item (all on CPUs, 1 on GPUs)
 *     ROWS      pixels of an item (64)
 *     RADIUS    pixels to each side that smoothing looks at (6); 0: none
 *
 * Twin of engine/ops/anomaly_map.c. */

#define PIXELS (HEIGHT * WIDTH)

__kernel GROUP_ATTRIBUTE void anomaly_map_error(__global const float *restrict x,
                                                __global const float *restrict y,
                                                __global float *restrict map) {
    const int first = LANE_BASE(get_group_id(0), VECTORS), first_row = get_group_id(1) * ROWS;
    const int end_row = min(first_row + ROWS, PIXELS);
    for (int p = first_row; p < end_row; p++)
        for (int j = 0; j < VECTORS; j++) {
            const int lane = first + j * LANE_STRIDE;
            vec e = (vec)(0.0f);
            for (int c = 0; c < CHANNELS; c++) {
                const size_t i = ((size_t)c * PIXELS + p) * BATCH + lane;
                const vec d = vec_load(x + i) - (y ? vec_load(y + i) : (vec)(0.0f));
                e += d * d;
            }
            vec_store(e, map + (size_t)p * BATCH + lane);
        }
}

/* The cells at both sides of a pixel, as far as there are any, and its place between their middles.
 */
INLINE float between_cells(int pixel, int pixels, int cells, int *low, int *high) {
    const float place = ((float)pixel + 0.5f) * (float)cells / (float)pixels - 0.5f;
    const int below = (int)floor(place);
    *low = clamp(below, 0, cells - 1);
    *high = clamp(below + 1, 0, cells - 1);
    return place - (float)below;
}

__kernel GROUP_ATTRIBUTE void anomaly_map_stretch(__global const float *restrict cells, int rows,
                                                  int columns, __global float *restrict map) {
    const int first = LANE_BASE(get_group_id(0), VECTORS), first_row = get_group_id(1) * ROWS;
    const int end_row = min(first_row + ROWS, PIXELS);
    for (int p = first_row; p < end_row; p++) {
        int top, bottom, left, right;
        const float down = between_cells(p / WIDTH, HEIGHT, rows, &top, &bottom);
        const float across = between_cells(p % WIDTH, WIDTH, columns, &left, &right);
        for (int j = 0; j < VECTORS; j++) {
            __global const float *at = cells + first + j * LANE_STRIDE;
            const vec a = vec_load(at + (size_t)(top * columns + left) * BATCH);
            const vec b = vec_load(at + (size_t)(top * columns + right) * BATCH);
            const vec c = vec_load(at + (size_t)(bottom * columns + left) * BATCH);
            const vec d = vec_load(at + (size_t)(bottom * columns + right) * BATCH);
            const vec above = a + across * (b - a), below = c + across * (d - c);
            vec_store(above + down * (below - above),
                      map + (size_t)p * BATCH + first + j * LANE_STRIDE);
        }
    }
}

#if RADIUS > 0
/* step: 1 along x, WIDTH along y; weights: w[0] to w[RADIUS], the same to both sides. */
__kernel GROUP_ATTRIBUTE void anomaly_map_smooth(__global const float *restrict map,
                                                 __global const float *restrict weights, int step,
                                                 __global float *restrict smooth) {
    const int first = LANE_BASE(get_group_id(0), VECTORS), first_row = get_group_id(1) * ROWS;
    const int end_row = min(first_row + ROWS, PIXELS);
    const int extent = step == 1 ? WIDTH : HEIGHT;
    for (int p = first_row; p < end_row; p++) {
        const int place = step == 1 ? p % WIDTH : p / WIDTH;
        const int low = max(-RADIUS, -place), high = min(RADIUS, extent - 1 - place);
        float total = 0.0f;
        for (int k = low; k <= high; k++) total += weights[abs(k)];
        for (int j = 0; j < VECTORS; j++) {
            const int lane = first + j * LANE_STRIDE;
            vec sum = (vec)(0.0f);
            for (int k = low; k <= high; k++)
                sum += weights[abs(k)] * vec_load(map + (size_t)(p + k * step) * BATCH + lane);
            vec_store(sum / total, smooth + (size_t)p * BATCH + lane);
        }
    }
}
#endif
