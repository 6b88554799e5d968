/* Windows of pixels of an image's planes; the layout is [channel][height][width][BATCH]. */

/* Whether pixel i of one side of a window is there: at first + i * step, of `size` pixels. `least`
 * and `most` bound `first` and, like step and size, are constants, so that pixels that cannot be
 * beyond the border are not asked for it. */
#define IS_THERE(first, i, step, size, least, most)                                                \
    (((least) + (i) * (step) >= 0 || (first) + (i) * (step) >= 0) &&                               \
     ((most) + (i) * (step) < (size) || (first) + (i) * (step) < (size)))

/* Reads a window of `side` x `side` pixels, `step` apart, from (top, left) on, of a plane of height
 * x width for one vector; zeros beyond it. All but plane, top and left are constants, and bound
 * these two. */
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
 * from each other, which no hardware foresees: it has to say itself what will be next, while it
 * still computes. That is to cost little beside the computing, so a window of what will be next is
 * moved inside its plane, and no pixel of it is asked for its place. */

/* The first pixel of a window of rows x columns pixels, `step` apart, from (top, left) on, of a
 * plane of height x width; moved inside where it is beyond the border. All but x, top and left are
 * constants. */
INLINE __global const float *window_inside(__global const float *x, const int height,
                                           const int width, int top, int left, const int rows,
                                           const int columns, const int step) {
    const int y = clamp(top, 0, max(height - ((rows - 1) * step + 1), 0));
    return x +
           ((size_t)y * width + clamp(left, 0, max(width - ((columns - 1) * step + 1), 0))) * BATCH;
}

/* Asks for a share of such a window, `part` of `parts`, for a second cache: of each of `channels`
 * planes, `floats` images of each pixel. All but first and part are constants.
 * written: they will be written. */
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
