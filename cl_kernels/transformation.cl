/* SPDX-License-Identifier: MIT */
/* Geometric transformations of images, [CHANNELS][HEIGHT][WIDTH][BATCH]: flips, shifts and
 * rotations, numbered as engine/ops/transformation.h says.
 *
 *     transformation_draw    labels[n], the transformation of image n
 *     transformation_each    out: each image by its own transformation
 *     transformation_all     out: all images by the same one
 *     transformation_adjoint     dx: the gradient of images, from that of transformation_all's out
 *
 * The latter three have work-groups (lane groups, rows of all channels): an item has one row of
 * VECTORS vectors of images.
 *
 * Options
 *     CHANNELS, HEIGHT, WIDTH, BATCH   of the images in memory
 *     FLIPS, SHIFTS       how many there are (1 or 2; 1 or 9)
 *     SHIFT_Y, SHIFT_X    length of a shift in pixels (8)
 *     TRANSFORMATIONS     how many there are in all (72)
 *     NOISE_STREAM        of random numbers (us_stream)
 *     VECTORS             of the batch of an item (all on CPUs, 1 on GPUs)
 *
 * Twin of engine/ops/transformation.c. */

#include "random.cl"

/* Each element draws its image's transformation, or takes `fixed` if that is not negative. */
__kernel void transformation_draw(__global int *restrict labels, int fixed, ulong seed,
                                  uint substream) {
    const int lane = (int)get_global_id(0);
    if (lane >= BATCH) return;
    uint words[4];
    us_random_words(seed, NOISE_STREAM, substream, (ulong)lane, words);
    labels[lane] = fixed < 0 ? (int)mul_hi(words[0], (uint)TRANSFORMATIONS) : fixed;
}

/* Beyond an edge follows the mirror image, without repeating the edge's pixels. */
static inline int reflect(int i, int size) {
    if (i < 0) i = -i;
    return i < size ? i : 2 * (size - 1) - i;
}

/* The pixel that pixel (y, x) of the transformed image is taken from: the steps in reverse. */
static inline int source_pixel(int t, int y, int x) {
    const int shift = t % SHIFTS, flip = t / SHIFTS % FLIPS, quarters = t / (SHIFTS * FLIPS);
    int from_y = y, from_x = x;
    if (quarters == 2) {
        from_y = HEIGHT - 1 - y;
        from_x = WIDTH - 1 - x;
    } else if (quarters == 1) {
        from_y = x;
        from_x = HEIGHT - 1 - y;
    } else if (quarters == 3) {
        from_y = WIDTH - 1 - x;
        from_x = y;
    }
    if (shift) {
        from_y = reflect(from_y - (shift / 3 == 2 ? -SHIFT_Y : shift / 3 * SHIFT_Y), HEIGHT);
        from_x = reflect(from_x - (shift % 3 == 2 ? -SHIFT_X : shift % 3 * SHIFT_X), WIDTH);
    }
    if (flip) from_x = WIDTH - 1 - from_x;
    return from_y * WIDTH + from_x;
}

/* Transforms each image by its own transformation. Every lane reads elsewhere, so an item does one
 * lane after the other; the row of a vector of lanes stays in the cache meanwhile. */
__kernel GROUP_ATTRIBUTE void transformation_each(__global const float *restrict x,
                                                  __global const int *restrict labels,
                                                  __global float *restrict out, int n) {
    const int channel = (int)get_group_id(1) / HEIGHT, y = (int)get_group_id(1) % HEIGHT;
    const size_t plane = (size_t)channel * HEIGHT * WIDTH * BATCH, row = (size_t)y * WIDTH * BATCH;
    for (int j = 0; j < VECTORS; j++)
        for (int l = 0; l < VECTOR_WIDTH; l++) {
            const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE + l;
            const int t = labels[lane];
            for (int i = 0; i < WIDTH; i++)
                out[plane + row + (size_t)i * BATCH + lane] =
                    lane < n ? x[plane + (size_t)source_pixel(t, y, i) * BATCH + lane] : 0.0f;
        }
}

/* Transforms all images by the same transformation. */
__kernel GROUP_ATTRIBUTE void transformation_all(__global const float *restrict x,
                                                 __global float *restrict out, int t, int n) {
    const int channel = (int)get_group_id(1) / HEIGHT, y = (int)get_group_id(1) % HEIGHT;
    const size_t plane = (size_t)channel * HEIGHT * WIDTH * BATCH, row = (size_t)y * WIDTH * BATCH;
    for (int i = 0; i < WIDTH; i++) {
        const size_t from = plane + (size_t)source_pixel(t, y, i) * BATCH;
        for (int j = 0; j < VECTORS; j++) {
            const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
            vec_store(vec_mask(vec_load(x + from + lane), lane, n),
                      out + plane + row + (size_t)i * BATCH + lane);
        }
    }
}

/* The places along an axis that a shift by `by` takes pixel i to: its own, and those of its mirror
 * images beyond both edges, which an edge's pixel does not have. */
static inline int shifted_places(int i, int by, int size, int places[3]) {
    int count = 0;
    const int candidates[3] = {i + by, by - i, 2 * (size - 1) - i + by};
    for (int k = 0; k < 3; k++) {
        const bool twice = (k == 1 && i == 0) || (k == 2 && i == size - 1);
        if (!twice && candidates[k] >= 0 && candidates[k] < size) places[count++] = candidates[k];
    }
    return count;
}

/* The pixel of the transformed image that a rotation takes pixel (y, x) to. */
static inline int rotated_pixel(int quarters, int y, int x) {
    if (quarters == 1) return (HEIGHT - 1 - x) * WIDTH + y;
    if (quarters == 2) return (HEIGHT - 1 - y) * WIDTH + WIDTH - 1 - x;
    if (quarters == 3) return x * WIDTH + WIDTH - 1 - y;
    return y * WIDTH + x;
}

/* dx becomes, or is increased by (accumulate), the gradient with respect to the images, where g is
 * that with respect to what transformation t makes of them: a pixel's is the sum over all pixels
 * that are taken from it. */
__kernel GROUP_ATTRIBUTE void transformation_adjoint(__global const float *restrict g,
                                                     __global float *restrict dx, int t,
                                                     int accumulate) {
    const int channel = (int)get_group_id(1) / HEIGHT, y = (int)get_group_id(1) % HEIGHT;
    const size_t plane = (size_t)channel * HEIGHT * WIDTH * BATCH, row = (size_t)y * WIDTH * BATCH;
    const int shift = t % SHIFTS, flip = t / SHIFTS % FLIPS, quarters = t / (SHIFTS * FLIPS);
    const int down = shift / 3 == 2 ? -SHIFT_Y : shift / 3 * SHIFT_Y;
    const int right = shift % 3 == 2 ? -SHIFT_X : shift % 3 * SHIFT_X;
    int rows[3], columns[3];
    const int row_count = shifted_places(y, shift ? down : 0, HEIGHT, rows);
    for (int i = 0; i < WIDTH; i++) {
        const int x = flip ? WIDTH - 1 - i : i;
        const int column_count = shifted_places(x, shift ? right : 0, WIDTH, columns);
        for (int j = 0; j < VECTORS; j++) {
            const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
            __global float *to = dx + plane + row + (size_t)i * BATCH + lane;
            vec sum = accumulate ? vec_load(to) : (vec)(0.0f);
            for (int r = 0; r < row_count; r++)
                for (int c = 0; c < column_count; c++) {
                    const int from = rotated_pixel(quarters, rows[r], columns[c]);
                    sum += vec_load(g + plane + (size_t)from * BATCH + lane);
                }
            vec_store(sum, to);
        }
    }
}
