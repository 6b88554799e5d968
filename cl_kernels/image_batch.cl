/* SPDX-License-Identifier: MIT */
/* Stored images, in bytes or floats, become a normalised batch:
 *
 *     out[c][y][x][n] = scale * pixels[image][y][x][c] + offset     image = chosen[at + n]
 *
 * resized or padded, and of other channels on the way. image_batch_choose decides which image a
 * lane gets, for many batches at once; image_batch_gather moves the pixels, which is a
 * transposition: in storage an image's values lie side by side, in a batch those of one pixel.
 *
 *     storage                  tile, in registers or L1         batch
 *     image 0  rgbrgbrgb..     r: n0 n1 n2 ..                   [c][y][x][n]
 *     image 1  rgbrgbrgb..     g: n0 n1 n2 ..
 *              STRIP pixels    ..
 *
 * An item fills the tile from a strip of each of its lanes' images, one lane after the other, and
 * then writes whole vectors, so that both sides touch memory in runs. Work-groups are (lane groups,
 * strips of a row, rows).
 *
 * Options
 *     BATCH                lanes of the batch in memory
 *     FLOATS               1: pixels are floats, else bytes
 *     SOURCE_CHANNELS, SOURCE_HEIGHT, SOURCE_WIDTH   of a stored image (3, 64, 64)
 *     CHANNELS, HEIGHT, WIDTH   of the batch
 *     PADDED               1: images of another size are put in the middle
 *     CROPPED              1: the largest window in the middle that has the batch's proportions is
 *                          resized; where both are 0, the whole image
 *     PARTIAL              1: the pixels at hand may lack images, whose lanes are left as they are
 *     IN_ORDER             1: the pixels at hand are those of the batch, in its order
 *     PLANAR               1: stored as [image][channel][height][width]; may be absent
 *     LEAST, GREATEST      present if some values are beyond them, which then count as these
 *     SHUFFLE_STREAM       of random numbers (us_stream)
 *     VECTORS, STRIP       vectors of the batch and pixels of a row of an item (8, 16)
 *
 * Twin of engine/ops/image_batch.c. */

#include "random.cl"

#define DIRECT (CHANNELS == SOURCE_CHANNELS && HEIGHT == SOURCE_HEIGHT && WIDTH == SOURCE_WIDTH)
/* Rows and columns around an image in the middle; negative ones are cut off. */
#define ABOVE ((HEIGHT - SOURCE_HEIGHT) / 2)
#define BEFORE ((WIDTH - SOURCE_WIDTH) / 2)
#define BLACK -1.0f
#define IMAGE ((size_t)SOURCE_CHANNELS * SOURCE_HEIGHT * SOURCE_WIDTH)

#ifndef PLANAR
#define PLANAR 0
#endif
/* How far apart pixels, and the channels of a pixel, lie. */
#if PLANAR
#define PIXEL_STRIDE 1
#define CHANNEL_STRIDE (SOURCE_HEIGHT * SOURCE_WIDTH)
#else
#define PIXEL_STRIDE SOURCE_CHANNELS
#define CHANNEL_STRIDE 1
#endif
#ifdef GREATEST
#define VALUE(v) clamp((float)(v), LEAST, GREATEST)
#else
#define VALUE(v) ((float)(v))
#endif

#if FLOATS
typedef float pixel;
#else
typedef uchar pixel;
#endif

/* If nothing needs computing the tile holds bytes, else it holds results. */
#if DIRECT && !FLOATS && !PARTIAL && !defined(GREATEST)
#define BYTE_TILE 1
typedef uchar cell;
#else
#define BYTE_TILE 0
typedef float cell;
#endif

/* Whole vectors of bytes are transposed in registers. */
#define QUICK                                                                                      \
    (BYTE_TILE && !PLANAR && VECTOR_WIDTH > 1 && WIDTH % STRIP == 0 &&                             \
     STRIP * CHANNELS % VECTOR_WIDTH == 0)

#if VECTOR_WIDTH == 1
#define vec_from_bytes(p) ((float)(p)[0])
#else
#define vec_from_bytes(p) WIDE(convert_float)(WIDE(vload)(0, p))
#endif

/* chosen: the stored image of each place from `first` on. selection may be NULL. */
__kernel GROUP_ATTRIBUTE void image_batch_choose(__global const uint *restrict selection,
                                                 __global uint *restrict chosen, uint selected,
                                                 uint first, int n, int shuffle, ulong seed,
                                                 uint epoch) {
    const int i = (int)get_group_id(0) * GROUP_SIZE + (int)get_local_id(0);
    if (i >= n) return;
    const uint place = first + (uint)i;
    uint index = place;
    if (shuffle) index = us_random_permute(seed, SHUFFLE_STREAM, epoch, selected, place);
    chosen[i] = selection ? selection[index] : index;
}

/* An item's work. */
typedef struct {
    int y, x, pixels; /* its strip: row, first column, length */
    float scale, offset;
} strip;

/* One channel of one stored pixel, in the output's channels. */
static inline float sample(__global const pixel *image, int y, int x, int channel) {
    __global const pixel *p = image + ((size_t)y * SOURCE_WIDTH + x) * PIXEL_STRIDE;
#if CHANNELS == SOURCE_CHANNELS
    return VALUE(p[channel * CHANNEL_STRIDE]);
#elif SOURCE_CHANNELS == 1
    return VALUE(p[0]);
#else
    return 0.299f * VALUE(p[0]) + 0.587f * VALUE(p[CHANNEL_STRIDE]) +
           0.114f * VALUE(p[2 * CHANNEL_STRIDE]);
#endif
}

/* Where the output's pixel i of `size` lies among `source` ones, of which `size * ratio` in the
 * middle are used. */
static inline float2 source_position(int i, int size, int source, float ratio) {
    const float before = CROPPED ? ((float)source - (float)size * ratio) * 0.5f : 0.0f;
    const float position = fmax(before + ((float)i + 0.5f) * ratio - 0.5f, 0.0f);
    const float whole = floor(position);
    return (float2)(whole, position - whole);
}

/* Column `lane` of the tile from one image. */
static inline void fill(cell *tile, int lane, __global const pixel *image, strip s) {
#if DIRECT
    UNROLL_FOR (int p = 0; p < STRIP; p++) {
        if (WIDTH % STRIP && p >= s.pixels) break;
        __global const pixel *from = image + (s.y * WIDTH + s.x + p) * PIXEL_STRIDE;
        UNROLL_FOR (int c = 0; c < CHANNELS; c++)
#if BYTE_TILE
            tile[(p * CHANNELS + c) * VECTOR_WIDTH + lane] = from[c * CHANNEL_STRIDE];
#else
            tile[(p * CHANNELS + c) * VECTOR_WIDTH + lane] =
                VALUE(from[c * CHANNEL_STRIDE]) * s.scale + s.offset;
#endif
    }
#elif PADDED
    const int y = s.y - ABOVE;
    for (int p = 0; p < s.pixels; p++) {
        const int x = s.x + p - BEFORE;
        const bool inside = y >= 0 && y < SOURCE_HEIGHT && x >= 0 && x < SOURCE_WIDTH;
        for (int c = 0; c < CHANNELS; c++)
            tile[(p * CHANNELS + c) * VECTOR_WIDTH + lane] =
                inside ? sample(image, y, x, c) * s.scale + s.offset : BLACK;
    }
#else
    const float down = (float)SOURCE_HEIGHT / (float)HEIGHT;
    const float across = (float)SOURCE_WIDTH / (float)WIDTH, least = fmin(down, across);
    const float2 row = source_position(s.y, HEIGHT, SOURCE_HEIGHT, CROPPED ? least : down);
    const int y0 = (int)row.x, y1 = min(y0 + 1, SOURCE_HEIGHT - 1);
    for (int p = 0; p < s.pixels; p++) {
        const float2 column =
            source_position(s.x + p, WIDTH, SOURCE_WIDTH, CROPPED ? least : across);
        const int x0 = (int)column.x, x1 = min(x0 + 1, SOURCE_WIDTH - 1);
        for (int c = 0; c < CHANNELS; c++) {
            const float top = mix(sample(image, y0, x0, c), sample(image, y0, x1, c), column.y);
            const float low = mix(sample(image, y1, x0, c), sample(image, y1, x1, c), column.y);
            tile[(p * CHANNELS + c) * VECTOR_WIDTH + lane] =
                mix(top, low, row.y) * s.scale + s.offset;
        }
    }
#endif
}

/* Fills column `lane` of the tile with what memory holds already, or with 0. */
static inline void fill_other(cell *tile, int lane, __global const float *out, bool keep, strip s) {
    for (int p = 0; p < s.pixels; p++)
        for (int c = 0; c < CHANNELS; c++)
            tile[(p * CHANNELS + c) * VECTOR_WIDTH + lane] =
                keep ? (cell)out[((size_t)(c * HEIGHT + s.y) * WIDTH + s.x + p) * BATCH] : (cell)0;
}

#define OUT_PIXEL(c, p) (out + ((size_t)(HEIGHT * (c) + s.y) * WIDTH + s.x + (p)) * BATCH)

#if QUICK
typedef WIDE(uchar) bytes;

/* Bytes anywhere, which vload may take apart. */
typedef struct {
    bytes v;
} __attribute__((packed, aligned(1))) loose_bytes;

/* Where the strip of a lane's image begins. */
static inline __global const uchar *strip_of(__global const uchar *pixels,
                                             __global const uint *chosen, int lane, uint low,
                                             strip s) {
    const uint index = IN_ORDER ? (uint)lane : chosen[lane] - low;
    return pixels + (size_t)index * IMAGE + (s.y * WIDTH + s.x) * CHANNELS;
}

/* rows[value of the strip], for lanes first .., from their images' strips in stored order. */
static inline void load_strips(bytes *rows, __global const uchar *pixels,
                               __global const uint *chosen, int first, int n, uint low, strip s) {
    __global const uchar *from[VECTOR_WIDTH];
    for (int l = 0; l < VECTOR_WIDTH; l++)
        from[l] = strip_of(pixels, chosen, min(first + l, n - 1), low, s);
    /* Images lie anywhere in memory: prefetch the strip after the next of each. */
    UNROLL_FOR (int l = 0; l < VECTOR_WIDTH; l++)
        prefetch_line(from[l] + 3 * STRIP * CHANNELS - 1, 0, 2);
    for (int k = 0; k < STRIP * CHANNELS; k += VECTOR_WIDTH) {
        bytes part[VECTOR_WIDTH];
        UNROLL_FOR (int l = 0; l < VECTOR_WIDTH; l++)
            part[l] = ((__global const loose_bytes *)(from[l] + k))->v;
        /* Interleaving rows i and i + half, once per bit of the width, transposes. */
        UNROLL_FOR (int width = 1; width < VECTOR_WIDTH; width *= 2) {
            bytes turned[VECTOR_WIDTH];
            UNROLL_FOR (int i = 0; i < VECTOR_WIDTH / 2; i++) {
                turned[2 * i].even = part[i].lo;
                turned[2 * i].odd = part[i + VECTOR_WIDTH / 2].lo;
                turned[2 * i + 1].even = part[i].hi;
                turned[2 * i + 1].odd = part[i + VECTOR_WIDTH / 2].hi;
            }
            UNROLL_FOR (int i = 0; i < VECTOR_WIDTH; i++) part[i] = turned[i];
        }
        UNROLL_FOR (int l = 0; l < VECTOR_WIDTH; l++) rows[k + l] = part[l];
    }
}

/* Vectors whose strips are kept in the L1 cache, so that each of their pixels is then written in
 * one run. */
#define SIDE_BY_SIDE 16

static inline void gather_strips(__global const uchar *pixels, __global const uint *chosen,
                                 __global float *out, int base, int vectors, int n, uint low,
                                 strip s) {
    bytes rows[SIDE_BY_SIDE][STRIP * CHANNELS];
    for (int j = 0; j < vectors; j++) {
        const int first = base + j * LANE_STRIDE;
        load_strips(rows[j], pixels, chosen, first, n, low, s);
    }
    for (int p = 0; p < STRIP; p++)
        for (int c = 0; c < CHANNELS; c++)
            for (int j = 0; j < vectors; j++) {
                const int first = base + j * LANE_STRIDE;
                const vec v = WIDE(convert_float)(rows[j][p * CHANNELS + c]) * s.scale + s.offset;
                vec_stream(vec_mask(v, first, n), OUT_PIXEL(c, p) + first);
            }
}
#endif

/* pixels: the stored images low .. low + count - 1; the tile becomes value * scale + offset. */
__kernel GROUP_ATTRIBUTE void image_batch_gather(__global const pixel *restrict pixels,
                                                 __global const uint *restrict chosen, int at,
                                                 __global float *restrict out, int n, uint low,
                                                 uint count, float scale, float offset) {
    strip s;
    chosen += at;
    s.x = (int)get_group_id(1) * STRIP;
    s.y = (int)get_group_id(2);
    s.pixels = min(STRIP, WIDTH - s.x);
    s.scale = scale;
    s.offset = offset;
#if !QUICK
    cell tile[STRIP * CHANNELS * VECTOR_WIDTH];
#endif
#if QUICK
    for (int j = 0; j < VECTORS; j += SIDE_BY_SIDE)
        gather_strips(pixels, chosen, out, LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE,
                      min(SIDE_BY_SIDE, VECTORS - j), n, low, s);
#else
    for (int j = 0; j < VECTORS; j++) {
        const int first = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE;
        for (int l = 0; l < VECTOR_WIDTH; l++) {
            const int lane = first + l;
            const uint index = lane >= n ? 0 : IN_ORDER ? (uint)lane : chosen[lane] - low;
            if (lane < n && (!PARTIAL || index < count))
                fill(tile, l, pixels + (size_t)index * IMAGE, s);
            else
                fill_other(tile, l, out + lane, lane < n, s);
        }
        for (int p = 0; p < s.pixels; p++)
            UNROLL_FOR (int c = 0; c < CHANNELS; c++) {
                const cell *row = tile + (p * CHANNELS + c) * VECTOR_WIDTH;
#if BYTE_TILE
                const vec v = vec_mask(vec_from_bytes(row) * scale + offset, first, n);
#else
                const vec v = vec_load(row);
#endif
                vec_store(v, OUT_PIXEL(c, p) + first);
            }
    }
#endif
}
