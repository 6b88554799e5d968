/* SPDX-License-Identifier: MIT */
/* Images varied at random, each in a way drawn for it; engine/ops/augmentation.h says what is done
 * and which random numbers decide it.
 *
 *     augmentation_draw        parameters of every image
 *     augmentation_all         everything, where no image is blurred; else these three, of which
 *     augmentation_window      the first is left out where all windows are the image itself
 *     augmentation_blur_rows
 *     augmentation_rest        blurs columns, and all that follows
 *
 * x and out are [CHANNELS][HEIGHT][WIDTH][BATCH]. Work-groups are (lane groups, strips of a row,
 * rows); an item has a strip of STRIP pixels, all channels, of VECTORS vectors of images:
 *
 *                 lanes
 *     pixel 0     n0 n1 n2 ..      every lane looks elsewhere for its pixel: coordinates and
 *     pixel 1     n0 n1 n2 ..      interpolation are vectors, the loads between them are not
 *
 * Options
 *     CHANNELS, HEIGHT, WIDTH, BATCH   of the images in memory
 *     ALTERNATIVES        rows of settings, of which an image draws one (1)
 *     WINDOWED            1: images are mirrored, turned, zoomed or shifted
 *     RADIUS              of the widest blur (6); 0: there is none
 *     COLOURED, NOISY, CUT   1: colours change, noise is added, rectangles are cut out
 *     AUGMENTATION_STREAM    of random numbers (us_stream)
 *     VECTORS, STRIP      vectors of the batch (all on CPUs, 1 on GPUs) and pixels of an item (8)
 *
 * Twin of engine/ops/augmentation.c. */

#include "random.cl"

/* Columns of the settings. */
#define FLIP 0
#define QUARTER_TURNS 1
#define LEAST_ROTATION 2
#define ROTATION 3
#define LEAST_SHARE 4
#define MORE_SHARE 5
#define LEAST_SHIFT 6
#define SHIFT 7
#define LEAST_STEP_Y 8
#define STEP_Y 9
#define LEAST_STEP_X 10
#define STEP_X 11
#define BLUR 12
#define COLOUR 13
#define BRIGHTNESS 14
#define CONTRAST 15
#define SATURATION 16
#define HUE 17
#define GREY 18
#define NOISE 19
#define CUTOUT 20
#define SETTINGS 21

/* Rows of the parameters, a column for each image. A pixel (y, x) is taken from FROM_Y (y, x, 1)
 * down and FROM_X (y, x, 1) to the right; the colour c becomes MATRIX c + OFFSET, of other numbers
 * of channels than 3 MATRIX[0] c + OFFSET; a tap of the blur i pixels away has the weight
 * exp(-RATE i^2). */
#define FROM_Y 0
#define FROM_X 3
#define RATE 6
#define MATRIX 7
#define OFFSET 16
#define DEVIATION 17
#define TOP 18
#define BOTTOM 19
#define LEFT 20
#define RIGHT 21

#define WORDS 20

static inline float unit(uint word) {
    return (float)(word >> 8) * 0x1p-24f;
}

static inline float either_way(uint word) {
    return unit(word) * 2.0f - 1.0f;
}

/* One of 0 .. count - 1. */
static inline int below(uint word, int count) {
    return (int)mul_hi(word, (uint)count);
}

static inline float between(uint word, float least, float most) {
    const float t = either_way(word), size = least + fabs(t) * (most - least);
    return t < 0.0f ? -size : size;
}

static inline float whole_steps(uint word, int least, int most) {
    if (least == 0) return (float)(below(word, 2 * most + 1) - most);
    const int d = below(word, 2 * (most - least + 1)), size = least + d / 2;
    return (float)(d & 1 ? -size : size);
}

/* How far the window moves along a side. */
static inline float offset_along(uint word, __global const float *settings, bool whole, float share,
                                 int size, int least_step, int step) {
    if (whole) return whole_steps(word, (int)settings[least_step], (int)settings[step]);
    const float room = settings[SHIFT] + fmax(1.0f - share, 0.0f) * 0.5f;
    return between(word, settings[LEAST_SHIFT] * (float)size, room * (float)size);
}

static inline void draw_window(const uint *w, __global const float *settings,
                               __global float *parameters) {
    const float angle = between(w[4], settings[LEAST_ROTATION], settings[ROTATION]);
    const float share = settings[LEAST_SHARE] + unit(w[5]) * settings[MORE_SHARE];
    const bool whole = share == 1.0f && angle == 0.0f;
    const float down = offset_along(w[6], settings, whole, share, HEIGHT, LEAST_STEP_Y, STEP_Y);
    const float right = offset_along(w[7], settings, whole, share, WIDTH, LEAST_STEP_X, STEP_X);
    int quarters = 0;
    if (unit(w[2]) < settings[QUARTER_TURNS]) quarters = HEIGHT == WIDTH ? 1 + below(w[3], 3) : 2;
    float c = share * cos(angle), s = share * sin(angle);
    if (quarters & 1) {
        const float was = c;
        c = -s;
        s = was;
    }
    if (quarters & 2) {
        c = -c;
        s = -s;
    }
    const float middle_y = (HEIGHT - 1) * 0.5f, middle_x = (WIDTH - 1) * 0.5f;
    const float side = unit(w[1]) < settings[FLIP] ? -1.0f : 1.0f;
    parameters[(FROM_Y + 0) * BATCH] = c;
    parameters[(FROM_Y + 1) * BATCH] = s;
    parameters[(FROM_Y + 2) * BATCH] = middle_y + down - c * middle_y - s * middle_x;
    parameters[(FROM_X + 0) * BATCH] = -s * side;
    parameters[(FROM_X + 1) * BATCH] = c * side;
    parameters[(FROM_X + 2) * BATCH] = middle_x + side * (right + s * middle_y - c * middle_x);
}

#if CHANNELS == 3
/* Luma of R, G and B, and what a quarter turn of the chroma does: with T from RGB to YIQ, the
 * inverse of T times (0 0 0; 0 0 -1; 0 1 0) times T. */
__constant float luma[3] = {0.299f, 0.587f, 0.114f};
__constant float turned[9] = {0.1677397f, 0.3293095f, -0.4970492f, -0.3281131f, 0.0354670f,
                              0.2926461f, 1.2495459f, -1.0463392f, -0.2032067f};
#endif

static inline void draw_colours(const uint *w, __global const float *settings,
                                __global float *parameters) {
    const float amount = unit(w[8]) < settings[COLOUR] ? 1.0f : 0.0f;
    const float brightness = 1.0f + amount * either_way(w[9]) * settings[BRIGHTNESS];
    const float contrast = 1.0f + amount * either_way(w[10]) * settings[CONTRAST];
    const float gain = brightness * contrast;
#if CHANNELS == 3
    const float angle = amount * either_way(w[12]) * settings[HUE];
    float saturation = 1.0f + amount * either_way(w[11]) * settings[SATURATION];
    if (unit(w[13]) < settings[GREY]) saturation = 0.0f;
    const float c = saturation * cos(angle), s = saturation * sin(angle);
    for (int i = 0; i < 9; i++) {
        const float itself = i % 4 == 0 ? 1.0f : 0.0f;
        parameters[(MATRIX + i) * BATCH] =
            gain * (luma[i % 3] + c * (itself - luma[i % 3]) + s * turned[i]);
    }
#else
    parameters[MATRIX * BATCH] = gain;
#endif
    parameters[OFFSET * BATCH] = contrast * (brightness - 1.0f);
}

/* Each element draws for its image. Parameters of parts that are not wanted are not read. */
__kernel void augmentation_draw(__global const float *restrict settings,
                                __global float *restrict parameters, ulong seed, uint substream,
                                ulong first) {
    const int lane = (int)get_global_id(0);
    if (lane >= BATCH) return;
    uint w[WORDS];
    for (int i = 0; i < WORDS; i += 4)
        us_random_words(seed, AUGMENTATION_STREAM, substream, first + 8 * (ulong)lane + i / 4,
                        w + i);
    settings += below(w[0], ALTERNATIVES) * SETTINGS;
    parameters += lane;
    draw_window(w, settings, parameters);
    draw_colours(w, settings, parameters);
    const float blur = fmax(unit(w[14]) * settings[BLUR], 0.05f); /* a neighbour weighs e^-200 */
    parameters[RATE * BATCH] = 0.5f / (blur * blur);
    parameters[DEVIATION * BATCH] = 2.0f * unit(w[15]) * settings[NOISE];
    const float half_height = unit(w[16]) * settings[CUTOUT] * (HEIGHT * 0.5f);
    const float half_width = unit(w[17]) * settings[CUTOUT] * (WIDTH * 0.5f);
    const float y = unit(w[18]) * HEIGHT - 0.5f, x = unit(w[19]) * WIDTH - 0.5f;
    parameters[TOP * BATCH] = y - half_height;
    parameters[BOTTOM * BATCH] = y + half_height;
    parameters[LEFT * BATCH] = x - half_width;
    parameters[RIGHT * BATCH] = x + half_width;
}

/* ---- the window ---- */

#define PIXEL(y, x) (((size_t)(y)*WIDTH + (x)) * BATCH)
#define PLANE ((size_t)HEIGHT * WIDTH * BATCH)
#define PARAMETER(p) vec_load(parameters + (size_t)(p)*BATCH)

typedef WIDE(int) places;
#if VECTOR_WIDTH == 1
#define places_store(v, p) (*(p) = (v))
#else
#define places_store(v, p) WIDE(vstore)(v, 0, p)
#endif

/* The place within an image that mirrored ones follow on both sides. */
static inline vec mirrored(vec at, int size) {
    if (size == 1) return (vec)(0.0f);
    const float period = 2.0f * (float)(size - 1);
    at = fabs(at - period * floor(at / period));
    return fmin(at, fabs(period - at));
}

/* v: all channels of pixel (y, x) of a vector of images. */
static inline void look(__global const float *x, __global const float *parameters, int row,
                        int column, vec v[CHANNELS]) {
    const float r = (float)row, c = (float)column;
    const vec from_y =
        mirrored(PARAMETER(FROM_Y) * r + PARAMETER(FROM_Y + 1) * c + PARAMETER(FROM_Y + 2), HEIGHT);
    const vec from_x =
        mirrored(PARAMETER(FROM_X) * r + PARAMETER(FROM_X + 1) * c + PARAMETER(FROM_X + 2), WIDTH);
    const vec low_y = floor(from_y), low_x = floor(from_x);
    const places y0 = min(WIDE(convert_int)(low_y), HEIGHT - 1), y1 = min(y0 + 1, HEIGHT - 1);
    const places x0 = min(WIDE(convert_int)(low_x), WIDTH - 1), x1 = min(x0 + 1, WIDTH - 1);
    const vec down = from_y - low_y, right = from_x - low_x;
    int corner[4][VECTOR_WIDTH];
    places_store(y0 * WIDTH + x0, corner[0]);
    places_store(y0 * WIDTH + x1, corner[1]);
    places_store(y1 * WIDTH + x0, corner[2]);
    places_store(y1 * WIDTH + x1, corner[3]);
    UNROLL_FOR (int k = 0; k < CHANNELS; k++) {
        vec value[4];
        UNROLL_FOR (int i = 0; i < 4; i++) {
            float each[VECTOR_WIDTH];
            UNROLL_FOR (int l = 0; l < VECTOR_WIDTH; l++)
                each[l] = x[k * PLANE + (size_t)corner[i][l] * BATCH + l];
            value[i] = vec_load(each);
        }
        const vec above = value[0] + right * (value[1] - value[0]);
        const vec under = value[2] + right * (value[3] - value[2]);
        v[k] = above + down * (under - above);
    }
}

/* ---- the blur ---- */

#if RADIUS
static inline int mirrored_pixel(int i, int size) {
    if (size == 1) return 0;
    i = abs(i) % (2 * (size - 1));
    return min(i, 2 * (size - 1) - i);
}

/* weights[i]: of the taps i pixels away, which add up to 1 on both sides together. */
static inline void find_weights(__global const float *parameters, vec weights[RADIUS + 1]) {
    const vec rate = PARAMETER(RATE);
    vec sum = (vec)(1.0f);
    weights[0] = (vec)(1.0f);
    for (int i = 1; i <= RADIUS; i++) {
        weights[i] = exp(-rate * (float)(i * i));
        sum += 2.0f * weights[i];
    }
    for (int i = 0; i <= RADIUS; i++) weights[i] /= sum;
}
#endif

/* ---- the rest ---- */

#if NOISY
/* The normal numbers of a vector of images at one value, that of the first being `index`. */
static inline vec normals(ulong seed, uint substream, ulong index) {
    float each[VECTOR_WIDTH];
    for (int l = 0; l < VECTOR_WIDTH; l++)
        each[l] = us_random_normal(seed, AUGMENTATION_STREAM, substream,
                                   index + (ulong)l * (CHANNELS * HEIGHT * WIDTH));
    return vec_load(each);
}
#endif

static inline vec within_range(vec v) {
    return clamp(v, -1.0f, 1.0f);
}

/* Colours, noise and cut-out of a pixel. index: of its first channel's random number. */
static inline void finish(__global const float *parameters, int y, int x, ulong seed,
                          uint substream, ulong index, vec v[CHANNELS]) {
#if COLOURED && CHANNELS == 3
    const vec red = v[0], green = v[1], blue = v[2], offset = PARAMETER(OFFSET);
    UNROLL_FOR (int k = 0; k < 3; k++)
        v[k] =
            within_range(PARAMETER(MATRIX + 3 * k) * red + PARAMETER(MATRIX + 3 * k + 1) * green +
                         PARAMETER(MATRIX + 3 * k + 2) * blue + offset);
#elif COLOURED
    UNROLL_FOR (int k = 0; k < CHANNELS; k++)
        v[k] = within_range(PARAMETER(MATRIX) * v[k] + PARAMETER(OFFSET));
#endif
#if NOISY
    for (int k = 0; k < CHANNELS; k++)
        v[k] = within_range(v[k] + PARAMETER(DEVIATION) *
                                       normals(seed, substream, index + k * HEIGHT * WIDTH));
#endif
#if CUT
    const vec row = (vec)((float)y), column = (vec)((float)x);
    UNROLL_FOR (int k = 0; k < CHANNELS; k++)
        v[k] = vec_choose(v[k], (vec)(0.0f),
                          (row > PARAMETER(TOP)) & (row < PARAMETER(BOTTOM)) &
                              (column > PARAMETER(LEFT)) & (column < PARAMETER(RIGHT)));
#endif
}

/* Runs the statement for each vector of the item, whose first image is `lane`; its pixels are
 * begin .. end - 1 of row y. */
#define FOR_VECTORS                                                                                \
    const int y = (int)get_group_id(2), begin = (int)get_group_id(1) * STRIP;                      \
    const int end = min(begin + STRIP, WIDTH);                                                     \
    for (int j = 0, lane = LANE_BASE(get_group_id(0), VECTORS); j < VECTORS;                       \
         j++, lane += LANE_STRIDE)

#define NOISE_INDEX(lane, y, x)                                                                    \
    ((1ul << 63) + first + (ulong)(lane) * (CHANNELS * HEIGHT * WIDTH) + (y)*WIDTH + (x))

__kernel GROUP_ATTRIBUTE void augmentation_all(__global const float *restrict x,
                                               __global const float *restrict parameters,
                                               __global float *restrict out, int n, ulong seed,
                                               uint substream, ulong first) {
    FOR_VECTORS {
        for (int i = begin; i < end; i++) {
            vec v[CHANNELS];
#if WINDOWED
            look(x + lane, parameters + lane, y, i, v);
#else
            UNROLL_FOR (int k = 0; k < CHANNELS; k++)
                v[k] = vec_load(x + k * PLANE + PIXEL(y, i) + lane);
#endif
            finish(parameters + lane, y, i, seed, substream, NOISE_INDEX(lane, y, i), v);
            UNROLL_FOR (int k = 0; k < CHANNELS; k++)
                vec_store(vec_mask(v[k], lane, n), out + k * PLANE + PIXEL(y, i) + lane);
        }
    }
}

__kernel GROUP_ATTRIBUTE void augmentation_window(__global const float *restrict x,
                                                  __global const float *restrict parameters,
                                                  __global float *restrict out) {
    FOR_VECTORS {
        for (int i = begin; i < end; i++) {
            vec v[CHANNELS];
            look(x + lane, parameters + lane, y, i, v);
            UNROLL_FOR (int k = 0; k < CHANNELS; k++)
                vec_store(v[k], out + k * PLANE + PIXEL(y, i) + lane);
        }
    }
}

#if RADIUS
__kernel GROUP_ATTRIBUTE void augmentation_blur_rows(__global const float *restrict x,
                                                     __global const float *restrict parameters,
                                                     __global float *restrict out) {
    FOR_VECTORS {
        vec weights[RADIUS + 1];
        find_weights(parameters + lane, weights);
        for (int k = 0; k < CHANNELS; k++)
            for (int i = begin; i < end; i++) {
                __global const float *row = x + k * PLANE + PIXEL(y, 0) + lane;
                vec sum = weights[0] * vec_load(row + (size_t)i * BATCH);
                for (int d = 1; d <= RADIUS; d++)
                    sum +=
                        weights[d] * (vec_load(row + (size_t)mirrored_pixel(i - d, WIDTH) * BATCH) +
                                      vec_load(row + (size_t)mirrored_pixel(i + d, WIDTH) * BATCH));
                vec_store(sum, out + k * PLANE + PIXEL(y, i) + lane);
            }
    }
}

__kernel GROUP_ATTRIBUTE void augmentation_rest(__global const float *restrict x,
                                                __global const float *restrict parameters,
                                                __global float *restrict out, int n, ulong seed,
                                                uint substream, ulong first) {
    FOR_VECTORS {
        vec weights[RADIUS + 1];
        find_weights(parameters + lane, weights);
        for (int i = begin; i < end; i++) {
            vec v[CHANNELS];
            for (int k = 0; k < CHANNELS; k++) {
                __global const float *column = x + k * PLANE + lane;
                v[k] = weights[0] * vec_load(column + PIXEL(y, i));
                for (int d = 1; d <= RADIUS; d++)
                    v[k] +=
                        weights[d] * (vec_load(column + PIXEL(mirrored_pixel(y - d, HEIGHT), i)) +
                                      vec_load(column + PIXEL(mirrored_pixel(y + d, HEIGHT), i)));
            }
            finish(parameters + lane, y, i, seed, substream, NOISE_INDEX(lane, y, i), v);
            UNROLL_FOR (int k = 0; k < CHANNELS; k++)
                vec_store(vec_mask(v[k], lane, n), out + k * PLANE + PIXEL(y, i) + lane);
        }
    }
}
#endif
