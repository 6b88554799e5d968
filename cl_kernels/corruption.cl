/* SPDX-License-Identifier: MIT */
/* Images made wrong on purpose: each is one of base, a noise image, or an image of x corrupted in a
 * way drawn for it. engine/ops/corruption.h says what each kind does and which random numbers
 * decide it.
 *
 * x, base and out are [CHANNELS][HEIGHT][WIDTH][BATCH]. Work-groups are (lane groups, rows of all
 * channels), and an item has one row of VECTORS vectors of images:
 *
 *                 lanes
 *     pixel 0     n0 n1 n2 ..      every lane may do something else, so an item does one lane
 *     pixel 1     n0 n1 n2 ..      after the other (down a column); meanwhile the row of a vector
 *     ..                           of lanes stays in the cache
 *
 * Options
 *     CHANNELS, HEIGHT, WIDTH, BATCH   of the images in memory
 *     KINDS, KIND_COUNT   the kinds to draw from (us_corruption_kind), four bits each (0x54u, 2)
 *     NORMAL_NOISE        1: noise images are normally distributed, 0: uniformly
 *     CORRUPTION_STREAM   of random numbers (us_stream)
 *     VECTORS             of the batch of an item (all on CPUs, 1 on GPUs)
 *
 * Twin of engine/ops/corruption.c. */

#include "random.cl"

#define NOISE 0
#define CUTOUT 1
#define PASTE 2
#define CROP 3
#define ROTATE 4
#define BLUR 5

#define SMALLER_SIDE (HEIGHT < WIDTH ? HEIGHT : WIDTH)
#define LARGEST_RADIUS (SMALLER_SIDE < 24 ? 1 : SMALLER_SIDE / 12)

/* One row of one image's channel. */
typedef struct {
    __global const float *plane; /* the lane of the channel's first pixel */
    __global float *out;         /* the lane of the row's first pixel */
    int y;
} row;

static inline float pixel(__global const float *plane, int y, int x) {
    return plane[((size_t)y * WIDTH + x) * BATCH];
}

static inline float unit(uint word) {
    return (float)(word >> 8) * 0x1p-24f;
}

/* One of 0 .. count - 1. */
static inline int below(uint word, int count) {
    return (int)mul_hi(word, (uint)count);
}

/* The length of a rectangle's side within `size` pixels. */
static inline int side(uint word, int size) {
    const int least = max(size / 8, 1);
    return least + below(word, max(size / 2, least) - least + 1);
}

static inline float within_range(float v) {
    return clamp(v, -1.0f, 1.0f);
}

static inline void noise_image(row r, ulong seed, uint substream, ulong first) {
    for (int x = 0; x < WIDTH; x++) {
#if NORMAL_NOISE
        const float v =
            within_range(us_random_normal(seed, CORRUPTION_STREAM, substream, first + x));
#else
        const float v =
            us_random_uniform(seed, CORRUPTION_STREAM, substream, first + x) * 2.0f - 1.0f;
#endif
        r.out[(size_t)x * BATCH] = v;
    }
}

static inline void add_noise(row r, float scale, ulong seed, uint substream, ulong first) {
    for (int x = 0; x < WIDTH; x++) {
        const float v = us_random_normal(seed, CORRUPTION_STREAM, substream, first + x);
        r.out[(size_t)x * BATCH] = within_range(pixel(r.plane, r.y, x) + scale * v);
    }
}

/* Pastes a rectangle of `other`, or of `grey` if that is NULL. */
static inline void paste(row r, const uint a[4], const uint b[4], __global const float *other,
                         float grey) {
    const int height = side(a[1], HEIGHT), width = side(a[2], WIDTH);
    const int top = below(a[3], HEIGHT - height + 1), left = below(b[0], WIDTH - width + 1);
    const int down = below(b[2], HEIGHT - height + 1) - top;
    const int right = below(b[3], WIDTH - width + 1) - left;
    const bool crossed = r.y >= top && r.y < top + height;
    for (int x = 0; x < WIDTH; x++) {
        float v;
        if (!crossed || x < left || x >= left + width)
            v = pixel(r.plane, r.y, x);
        else
            v = other ? pixel(other, r.y + down, x + right) : grey;
        r.out[(size_t)x * BATCH] = v;
    }
}

/* Where pixel i of `size` lies in a window of that share of the side, `first` pixels from its
 * start. */
static inline float window_position(int i, float share, float first, int size) {
    return clamp(first + ((float)i + 0.5f) * share - 0.5f, 0.0f, (float)(size - 1));
}

static inline void crop(row r, const uint a[4], const uint b[4]) {
    const float share = 0.4f + 0.4f * unit(a[1]);
    const float top = unit(a[3]) * (1.0f - share) * (float)HEIGHT;
    const float left = unit(b[0]) * (1.0f - share) * (float)WIDTH;
    const float y = window_position(r.y, share, top, HEIGHT);
    const int y0 = (int)y, y1 = min(y0 + 1, HEIGHT - 1);
    for (int i = 0; i < WIDTH; i++) {
        const float x = window_position(i, share, left, WIDTH);
        const int x0 = (int)x, x1 = min(x0 + 1, WIDTH - 1);
        const float above = mix(pixel(r.plane, y0, x0), pixel(r.plane, y0, x1), x - (float)x0);
        const float under = mix(pixel(r.plane, y1, x0), pixel(r.plane, y1, x1), x - (float)x0);
        r.out[(size_t)i * BATCH] = mix(above, under, y - (float)y0);
    }
}

static inline void rotate_image(row r, uint word) {
#if HEIGHT == WIDTH
    const int quarters = 1 + below(word, 3);
#endif
    for (int x = 0; x < WIDTH; x++) {
        int from_y = HEIGHT - 1 - r.y, from_x = x;
#if HEIGHT == WIDTH
        if (quarters == 2) from_x = WIDTH - 1 - x;
        if (quarters == 1) {
            from_x = HEIGHT - 1 - r.y;
            from_y = x;
        }
        if (quarters == 3) {
            from_x = r.y;
            from_y = WIDTH - 1 - x;
        }
#endif
        r.out[(size_t)x * BATCH] = pixel(r.plane, from_y, from_x);
    }
}

static inline float column_sum(__global const float *plane, int top, int bottom, int x) {
    float sum = 0.0f;
    for (int y = top; y <= bottom; y++) sum += pixel(plane, y, x);
    return sum;
}

/* The mean of the pixels within a box that lie within the image; the box moves along the row. */
static inline void blur(row r, int radius) {
    const int top = max(r.y - radius, 0), bottom = min(r.y + radius, HEIGHT - 1);
    float sum = 0.0f;
    for (int x = 0; x < min(radius, WIDTH); x++) sum += column_sum(r.plane, top, bottom, x);
    for (int x = 0; x < WIDTH; x++) {
        if (x + radius < WIDTH) sum += column_sum(r.plane, top, bottom, x + radius);
        if (x - radius > 0) sum -= column_sum(r.plane, top, bottom, x - radius - 1);
        const int columns = min(x + radius, WIDTH - 1) - max(x - radius, 0) + 1;
        r.out[(size_t)x * BATCH] = sum / (float)((bottom - top + 1) * columns);
    }
}

static inline void corrupt_row(row r, int lane, int n, ulong seed, uint substream, ulong first) {
    uint a[4], b[4];
    us_random_words(seed, CORRUPTION_STREAM, substream, 2 * (ulong)lane, a);
    us_random_words(seed, CORRUPTION_STREAM, substream, 2 * (ulong)lane + 1, b);
    switch (((uint)KINDS >> (4 * below(a[0], KIND_COUNT))) & 15u) {
    case NOISE:
        add_noise(r, 0.1f + 0.4f * unit(a[1]), seed, substream + 1, first);
        break;
    case CUTOUT:
        paste(r, a, b, 0, unit(b[1]) * 2.0f - 1.0f);
        break;
    case PASTE: {
        int image = lane;
        if (n > 1 && (b[1] & 1u)) image = (lane + 1 + below(b[1], n - 1)) % n;
        paste(r, a, b, r.plane + (image - lane), 0.0f);
        break;
    }
    case CROP:
        crop(r, a, b);
        break;
    case ROTATE:
        rotate_image(r, a[1]);
        break;
    default:
        blur(r, 1 + below(a[1], LARGEST_RADIUS));
    }
}

/* base may be NULL where noise_begin is 0. */
__kernel GROUP_ATTRIBUTE void corruption_apply(__global const float *restrict x,
                                               __global const float *restrict base,
                                               __global float *restrict out, int n, int noise_begin,
                                               int corrupted_begin, ulong seed, uint substream) {
    const int channel = (int)get_group_id(1) / HEIGHT, y = (int)get_group_id(1) % HEIGHT;
    const size_t plane = (size_t)channel * HEIGHT * WIDTH * BATCH,
                 start = (size_t)y * WIDTH * BATCH;
    for (int j = 0; j < VECTORS; j++)
        for (int l = 0; l < VECTOR_WIDTH; l++) {
            const int lane = LANE_BASE(get_group_id(0), VECTORS) + j * LANE_STRIDE + l;
            const ulong first = (((ulong)lane * CHANNELS + channel) * HEIGHT + y) * WIDTH;
            const row r = {x + plane + lane, out + plane + start + lane, y};
            if (lane >= corrupted_begin && lane < n)
                corrupt_row(r, lane, n, seed, substream, first);
            else if (lane >= noise_begin && lane < n)
                noise_image(r, seed, substream + 1, first);
            else
                for (int i = 0; i < WIDTH; i++)
                    r.out[(size_t)i * BATCH] = lane < n ? pixel(base + plane + lane, y, i) : 0.0f;
        }
}
