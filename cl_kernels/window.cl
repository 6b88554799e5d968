/* SPDX-License-Identifier: MIT */
/* Included by winograd.cl and winograd_gradient.cl: windows of pixels of planes, which are
 * [channel][height][width][BATCH], and asking the cache for those to come.
 *
 * Options: BATCH, lanes of the batch in memory. */

/* Whether pixel i of one side of a window, at first + i * step, is one of `size` pixels. `least`
 * and `most` bound `first` and, like step and size, are constants, so that no test is compiled for
 * pixels that cannot be beyond the border. */
#define IS_THERE(first, i, step, size, least, most)                                                \
    (((least) + (i) * (step) >= 0 || (first) + (i) * (step) >= 0) &&                               \
     ((most) + (i) * (step) < (size) || (first) + (i) * (step) < (size)))

/* Reads a window of `side` x `side` pixels, `step` apart, from (top, left) on, of a plane of height
 * x width for one vector, with zeros beyond the plane. All but plane, top and left are constants,
 * some of which bound these two. */
INLINE void load_window(__global const float *plane, const int height, const int width, int top,
                        const int least_top, const int most_top, int left, const int least_left,
                        const int most_left, const int side, const int step, vec *d) {
    __global const float *first = plane + ((long)top * width + left) * BATCH;
    UNROLL_FOR (int i = 0; i < side * side; i++) {
        d[i] = (vec)(0.0f);
        if (IS_THERE(top, i / side, step, height, least_top, most_top) &&
            IS_THERE(left, i % side, step, width, least_left, most_left))
            d[i] = vec_load(first + (i / side * width + i % side) * step * (long)BATCH);
    }
}

/* A kernel that works on windows, a few images wide, reads and writes memory in short pieces far
 * from each other, which hardware cannot predict, so it prefetches the next windows while it
 * computes. To keep that cheap, the prefetched window is moved inside its plane, and no pixel of it
 * is tested. */

/* The first pixel of a window of rows x columns pixels, `step` apart, from (top, left) on, of a
 * plane of height x width; the window is moved inside if it is beyond the border. All but x, top
 * and left are constants. */
INLINE __global const float *window_inside(__global const float *x, const int height,
                                           const int width, int top, int left, const int rows,
                                           const int columns, const int step) {
    const int y = clamp(top, 0, max(height - ((rows - 1) * step + 1), 0));
    return x +
           ((size_t)y * width + clamp(left, 0, max(width - ((columns - 1) * step + 1), 0))) * BATCH;
}

/* Prefetches a share of such a window, `part` of `parts`, into the second cache: for each of
 * `channels` planes, `floats` images of each pixel. written: the window will be written. All but
 * first and part are constants. */
INLINE void prefetch_window(__global const float *first, const int channels, const int height,
                            const int width, const int rows, const int columns, const int step,
                            const int floats, int part, const int parts, const bool written) {
    const int there = min(rows, CEIL_DIV(height, step)), all = channels * there;
    const int share = CEIL_DIV(all, parts);
    for (int row = part * share; row < min(part * share + share, all); row++) {
        __global const float *at =
            first + ((size_t)(row / there) * height + row % there * step) * width * BATCH;
        UNROLL_FOR (int i = 0; i < min(columns, CEIL_DIV(width, step)); i++)
            for (int image = 0; image < floats; image += LINE) {
                if (written)
                    prefetch_line(at + (size_t)i * step * BATCH + image, 1, 2);
                else
                    prefetch_line(at + (size_t)i * step * BATCH + image, 0, 2);
            }
    }
}
