/* SPDX-License-Identifier: MIT */
/* Patches of normalised images as features of a grid of cells: engine/ops/patches.h has the
 * formulas.
 *
 *     patch_intensity   parts[split][n], sums of intensities
 *     patch_log         x -> a, the logarithm of relative intensities, or intensities
 *     patch_mean        a -> b, the mean along one axis; along y it is taken from a: b = a - mean
 *     patch_squares     parts[split][n], sums of squares
 *     patch_gather      b -> features [CHANNELS][SIDE][SIDE][cells][n]
 *     patch_add         map += scale * distances
 *     texture_halve     a -> a of the next octave
 *     texture_measure   a of an octave -> its part of cells [CHANNELS][1 + 2 OCTAVES][cells][n]
 *     texture_gather    cells -> features [CHANNELS][1 + 2 OCTAVES][SIDE][SIDE][cells][n]
 *
 * Images are [CHANNELS][HEIGHT][WIDTH][BATCH], cells [ROWS_OF_CELLS][COLUMNS_OF_CELLS]. Work-groups
 * are (lane groups, splits of rows of the batch), and an item has ROWS rows, each a vector wide:
 *
 *                 <- vector ->
 *     ROWS rows  | item       |  ->  parts[split][n]
 *     ROWS rows  | item       |  ->  parts[split][n]
 *
 * Options
 *     CHANNELS, HEIGHT, WIDTH, BATCH   of the images in memory
 *     ROWS      rows of the batch (pixels of all channels, features, cells) of an item (64)
 *     RADIUS    of the local mean, 2 RADIUS + 1 pixels wide (8)
 *     LOGARITHM 1: relative intensities, 0: intensities
 *     SIDE, STEP, DILATION, ROWS_OF_CELLS, COLUMNS_OF_CELLS   of the patches
 *     OCTAVES   of textures; 0: none are measured
 *     LEAST_ENERGY   is added to mean squares before their logarithm (1e-5)
 *
 * Twin of engine/ops/patches.c. */

#define PIXELS (HEIGHT * WIDTH)
#define VALUES (CHANNELS * PIXELS)
#define SPLITS CEIL_DIV(VALUES, ROWS)
#define CELLS (ROWS_OF_CELLS * COLUMNS_OF_CELLS)
#define ITEM_LANE LANE_BASE(get_group_id(0), 1)
#define FOR_ROWS(row, count)                                                                       \
    for (int row = (int)get_group_id(1) * ROWS, end = min(row + ROWS, (count)); row < end; row++)

/* Pixel i of an axis of `size`, mirrored at both ends as often as it takes. */
INLINE int mirrored(int i, const int size) {
    const int period = max(2 * (size - 1), 1), place = abs(i) % period;
    return size == 1 ? 0 : place < size ? place : period - place;
}

/* The mean of what has been summed up in parts. */
INLINE vec mean_of(__global const float *parts, int lane) {
    vec sum = (vec)(0.0f);
    for (int s = 0; s < SPLITS; s++) sum += vec_load(parts + (size_t)s * BATCH + lane);
    return sum * (1.0f / VALUES);
}

/* From 0, black, to 1. */
INLINE vec intensity(const vec x) {
    const vec i = 0.5f * x + 0.5f;
    return vec_choose(i, (vec)(0.0f), i < (vec)(0.0f));
}

__kernel GROUP_ATTRIBUTE void patch_intensity(__global const float *restrict x,
                                              __global float *restrict parts) {
    const int lane = ITEM_LANE;
    vec sum = (vec)(0.0f);
    FOR_ROWS(row, VALUES) sum += intensity(vec_load(x + (size_t)row * BATCH + lane));
    vec_store(sum, parts + get_group_id(1) * BATCH + lane);
}

/* Of a black image every pixel is 0. */
__kernel GROUP_ATTRIBUTE void patch_log(__global const float *restrict x,
                                        __global const float *restrict parts,
                                        __global float *restrict a) {
    const int lane = ITEM_LANE;
#if LOGARITHM
    const vec mean = mean_of(parts, lane) + 1e-6f;
#endif
    FOR_ROWS(row, VALUES) {
        const size_t i = (size_t)row * BATCH + lane;
#if LOGARITHM
        vec_store(log(intensity(vec_load(x + i)) / mean + DARKEST), a + i);
#else
        vec_store(intensity(vec_load(x + i)), a + i);
#endif
    }
}

/* along: 1 along y, where b becomes `from` less the mean, else b is the mean. Sums are of what values
 * lie above that of the pixel itself, so that nothing is left of an image of one colour: of what
 * rounding left, patch_gather would make a pattern. */
__kernel GROUP_ATTRIBUTE void patch_mean(__global const float *restrict a,
                                         __global const float *restrict from, int along,
                                         __global float *restrict b) {
    const int lane = ITEM_LANE;
    FOR_ROWS(row, VALUES) {
        const int pixel = row % PIXELS, y = pixel / WIDTH, x = pixel % WIDTH;
        __global const float *plane = a + (size_t)(row - pixel) * BATCH + lane;
        const size_t i = (size_t)row * BATCH + lane;
        const vec own = vec_load((along ? from : a) + i);
        vec sum = (vec)(0.0f);
        for (int k = -RADIUS; k <= RADIUS; k++) {
            const int at =
                along ? mirrored(y + k, HEIGHT) * WIDTH + x : y * WIDTH + mirrored(x + k, WIDTH);
            sum += vec_load(plane + (size_t)at * BATCH) - own;
        }
        sum *= 1.0f / (2 * RADIUS + 1);
        vec_store(along ? -sum : own + sum, b + i);
    }
}

__kernel GROUP_ATTRIBUTE void patch_squares(__global const float *restrict b,
                                            __global float *restrict parts) {
    const int lane = ITEM_LANE;
    vec sum = (vec)(0.0f);
    FOR_ROWS(row, VALUES) {
        const vec value = vec_load(b + (size_t)row * BATCH + lane);
        sum += value * value;
    }
    vec_store(sum, parts + get_group_id(1) * BATCH + lane);
}

#ifdef SIDE
__kernel GROUP_ATTRIBUTE void patch_gather(__global const float *restrict b,
                                           __global const float *restrict parts,
                                           __global float *restrict features) {
    const int lane = ITEM_LANE;
    const vec scale = 1.0f / sqrt(mean_of(parts, lane) + 1e-12f);
    /* The middle of a patch is that of its cell, or half a pixel before. */
    const int first = (STEP - 1 - (SIDE - 1) * DILATION) >> 1;
    FOR_ROWS(row, CHANNELS * SIDE * SIDE * CELLS) {
        const int cell = row % CELLS, tap = row / CELLS % (SIDE * SIDE);
        const int channel = row / (CELLS * SIDE * SIDE);
        const int y = cell / COLUMNS_OF_CELLS * STEP + first + tap / SIDE * DILATION;
        const int x = cell % COLUMNS_OF_CELLS * STEP + first + tap % SIDE * DILATION;
        const int at = channel * PIXELS + mirrored(y, HEIGHT) * WIDTH + mirrored(x, WIDTH);
        vec_store(scale * vec_load(b + (size_t)at * BATCH + lane),
                  features + (size_t)row * BATCH + lane);
    }
}

__kernel GROUP_ATTRIBUTE void patch_add(__global const float *restrict distances, float scale,
                                        __global float *restrict map, int begins) {
    const int lane = ITEM_LANE;
    FOR_ROWS(row, CELLS) {
        const size_t i = (size_t)row * BATCH + lane;
        const vec before = begins ? (vec)(0.0f) : vec_load(map + i);
        vec_store(before + scale * vec_load(distances + i), map + i);
    }
}

#define TEXTURES (1 + 2 * OCTAVES)

/* height, width: of a. */
__kernel GROUP_ATTRIBUTE void texture_halve(__global const float *restrict a, int height, int width,
                                            __global float *restrict b) {
    const int lane = ITEM_LANE, rows = (height + 1) / 2, columns = (width + 1) / 2;
    FOR_ROWS(row, CHANNELS * rows * columns) {
        const int y = row / columns % rows * 2, x = row % columns * 2;
        const int plane = row / (rows * columns) * height;
        const int below = min(y + 1, height - 1), right = min(x + 1, width - 1);
        const vec sum = vec_load(a + (size_t)((plane + y) * width + x) * BATCH + lane) +
                        vec_load(a + (size_t)((plane + y) * width + right) * BATCH + lane) +
                        vec_load(a + (size_t)((plane + below) * width + x) * BATCH + lane) +
                        vec_load(a + (size_t)((plane + below) * width + right) * BATCH + lane);
        vec_store(0.25f * sum, b + (size_t)row * BATCH + lane);
    }
}

/* height, width: of a in this octave. */
__kernel GROUP_ATTRIBUTE void texture_measure(__global const float *restrict a, int octave,
                                              int height, int width,
                                              __global float *restrict cells) {
    const int lane = ITEM_LANE, step = STEP >> octave;
    FOR_ROWS(row, CHANNELS * CELLS) {
        const int cell = row % CELLS, channel = row / CELLS;
        const int top = cell / COLUMNS_OF_CELLS * step, left = cell % COLUMNS_OF_CELLS * step;
        const int bottom = min(top + step, height), right = min(left + step, width);
        __global const float *plane = a + (size_t)channel * height * width * BATCH + lane;
        vec mean = (vec)(0.0f), along_x = (vec)(0.0f), along_y = (vec)(0.0f);
        for (int y = top; y < bottom; y++)
            for (int x = left; x < right; x++) {
                const vec value = vec_load(plane + (size_t)(y * width + x) * BATCH);
                const int next = min(x + 1, width - 1), below = min(y + 1, height - 1);
                const vec dx = vec_load(plane + (size_t)(y * width + next) * BATCH) - value;
                const vec dy = vec_load(plane + (size_t)(below * width + x) * BATCH) - value;
                mean += value;
                along_x += dx * dx;
                along_y += dy * dy;
            }
        const float share = 1.0f / (float)((bottom - top) * (right - left));
        __global float *out = cells + ((size_t)channel * TEXTURES * CELLS + cell) * BATCH + lane;
        const size_t first = (size_t)(1 + 2 * octave) * CELLS * BATCH;
        if (octave == 0) vec_store(mean * share, out);
        vec_store(0.5f * log(along_x * share + LEAST_ENERGY), out + first);
        vec_store(0.5f * log(along_y * share + LEAST_ENERGY), out + first + (size_t)CELLS * BATCH);
    }
}

__kernel GROUP_ATTRIBUTE void texture_gather(__global const float *restrict cells,
                                             __global float *restrict features) {
    const int lane = ITEM_LANE, reach = (SIDE - 1) / 2;
    FOR_ROWS(row, CHANNELS * TEXTURES * SIDE * SIDE * CELLS) {
        const int cell = row % CELLS, tap = row / CELLS % (SIDE * SIDE);
        const int value = row / (CELLS * SIDE * SIDE);
        const int y = mirrored(cell / COLUMNS_OF_CELLS + tap / SIDE - reach, ROWS_OF_CELLS);
        const int x = mirrored(cell % COLUMNS_OF_CELLS + tap % SIDE - reach, COLUMNS_OF_CELLS);
        vec_store(
            vec_load(cells + (size_t)(value * CELLS + y * COLUMNS_OF_CELLS + x) * BATCH + lane),
            features + (size_t)row * BATCH + lane);
    }
}
#endif
