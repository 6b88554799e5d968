/* A kernel that works on windows of pixels, a few images wide, reads and writes memory in short pieces far
 * from each other, which no hardware foresees: it has to say itself what will be next, while it still
 * computes. The layout is [channel][height][width][BATCH]. */

/* Asks for a share of a window, `part` of `parts`, for a second cache: rows x columns pixels, `step` apart,
 * from (top, left) on, of each of `channels` planes of height x width, `floats` images of each. Pixels
 * that do not exist are left out. All but x, top, left and part are constants; `written`: what for. */
INLINE void prefetch_window(const __global float *x, const int channels, const int height,
                            const int width, int top, int left, const int rows, const int columns,
                            const int step, const int floats, int part, const int parts,
                            const bool written) {
    const int last = (part + 1) * channels * rows / parts;
    for (int row = part * channels * rows / parts; row < last; row++) {
        const int y = top + row % rows * step;
        if (y < 0 || y >= height) continue;
        const __global float *at = x + ((size_t)(row / rows) * height + y) * width * BATCH;
        UNROLL for (int i = 0; i < columns; i++) {
            const __global float *pixel = at + (size_t)clamp(left + i * step, 0, width - 1) * BATCH;
            for (int first = 0; first < floats; first += LINE) {
                if (written)
                    prefetch_line(pixel + first, 1, 2);
                else
                    prefetch_line(pixel + first, 0, 2);
            }
        }
    }
}
