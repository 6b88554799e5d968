/* SPDX-License-Identifier: MIT */
/* Defects drawn into images. engine/ops/defects.h says which there are, and by which random numbers
 * and formulas; three kernels run one after the other:
 *
 *     defects_plan       what each defect is: plans[defect][value][BATCH]
 *     defects_boundary   image less patch at the points around each patch:
 *                        boundary[defect][y, x, channels][point][BATCH]
 *     defects_apply      out, the image with its defects, and mask, how much each pixel changed
 *
 * x and out are [CHANNELS][HEIGHT][WIDTH][BATCH], mask [HEIGHT][WIDTH][BATCH]. defects_plan has an
 * element for each defect, defects_boundary for each defect's point; the work-groups of
 * defects_apply are (lane groups, rows), and an item has one row of all channels:
 *
 *                 lanes
 *     pixel 0     n0 n1 n2 ..      first the row is copied, vector by vector; then each lane's
 *     pixel 1     n0 n1 n2 ..      defects that cross it are drawn, down a column
 *     ..
 *
 * Options
 *     CHANNELS, HEIGHT, WIDTH, BATCH   of the images in memory
 *     KINDS               of defects (7)
 *     DEFECTS             of an image, at most (3)
 *     POINTS, LINE_POINTS around a patch (32) and of a line, at most (9)
 *     SIDE                root of HEIGHT x WIDTH
 *     SHARE, MORE, SMALLEST, LARGEST, VISIBLE   see us_defects_settings
 *     UNTIL               a kind's share and those before it, of 1: the first that exceeds a number
 *                         is drawn ((0.5f, 1.0f))
 *     DEFECT_STREAM       of random numbers (us_stream)
 *     VECTORS             of the batch of an item (all on CPUs, 1 on GPUs)
 *
 * Twin of engine/ops/defects.c. */

#include "random.cl"

#define CUT_PASTE 0
#define SCAR 1
#define PATCH 2
#define SEAMLESS 3
#define LINE_DEFECT 4
#define BLOB 5
#define SHADE 6

#define RECTANGLE 0
#define ELLIPSE 1
#define RAGGED 2

#define TWO_PI 6.28318530718f

/* Values of a plan. Whole numbers are exact as floats: images have fewer than 2^24 pixels a side.
 */
enum {
    KIND, /* -1: there is none */
    OUTLINE,
    CENTRE_Y,
    CENTRE_X,
    COSINE, /* of the tilt */
    SINE,
    RADIUS_Y,
    RADIUS_X,
    EDGE,
    REACH, /* beyond so many pixels from the centre, up or to the side, nothing changes */
    STRENGTH,
    OFFSET,
    MATCHED, /* 1: the mean difference at the boundary is added */
    SOURCE,
    SOURCE_Y,
    SOURCE_X,
    QUARTERS,
    PHASES,              /* three, of a ragged outline */
    LINE_COUNT = PHASES, /* or the points of a line, y and x */
    LINE_Y,
    GAINS = LINE_Y + 2 * LINE_POINTS,
    PLAN = GAINS + CHANNELS,
};

/* ---- what is drawn ---- */

static inline float unit(uint word) {
    return (float)(word >> 8) * 0x1p-24f;
}

static inline int below(uint word, int count) {
    return (int)mul_hi(word, (uint)count);
}

static inline float between(uint word, float low, float high) {
    return low + (high - low) * unit(word);
}

static inline float on_log_scale(uint word, float low, float high) {
    return low * exp(log(high / low) * unit(word));
}

static void draw_words(ulong seed, uint substream, int defect, uint w[32]) {
    for (int i = 0; i < 8; i++)
        us_random_words(seed, DEFECT_STREAM, substream, 8 * (ulong)defect + i, w + 4 * i);
}

static inline int draw_kind(uint word) {
    const float until[] = UNTIL;
    const float u = unit(word);
    int kind = 0;
    while (kind < KINDS - 1 && u >= until[kind]) kind++;
    return kind;
}

/* Kinds of the same size and outline are drawn alike. */
static inline bool is_patch(int kind) {
    return kind == CUT_PASTE || kind == SCAR || kind == PATCH || kind == SEAMLESS;
}

static void plan_outline(const uint w[32], int kind, float *plan) {
    float area = 0.5f * SIDE * on_log_scale(w[4], SMALLEST, LARGEST);
    float aspect = exp(between(w[5], -1.2f, 1.2f));
    if (kind == BLOB) {
        area = 0.5f * SIDE * on_log_scale(w[4], 0.012f, 0.1f);
        aspect = exp(between(w[5], -0.9f, 0.9f));
    }
    float ry = area * sqrt(aspect), rx = area / sqrt(aspect);
    if (kind == SCAR) {
        ry = SIDE * between(w[4], 0.02f, 0.06f);
        rx = SIDE * between(w[5], 0.004f, 0.02f);
    }
    ry = max(ry, 0.5f);
    rx = max(rx, 0.5f);
    int outline = RECTANGLE;
    if (kind == SEAMLESS) outline = below(w[7], 2);
    if (kind == PATCH || kind == SHADE) outline = below(w[7], 3);
    if (kind == BLOB) outline = ELLIPSE;
    float tilt = 0.5f * TWO_PI * unit(w[6]);
    if (kind == CUT_PASTE || (kind != SCAR && kind != BLOB && !(w[7] & 1u))) tilt = 0.0f;
    const float r = min(ry, rx);
    float edge = 1.0f;
    if (kind == PATCH || kind == SEAMLESS) edge = on_log_scale(w[8], 1.0f, max(1.01f, 0.25f * r));
    if (kind == BLOB || kind == SHADE) edge = on_log_scale(w[8], 1.0f, max(1.01f, r));
    plan[OUTLINE] = outline;
    plan[COSINE] = cos(tilt);
    plan[SINE] = sin(tilt);
    plan[RADIUS_Y] = ry;
    plan[RADIUS_X] = rx;
    plan[EDGE] = edge;
    /* A ragged outline reaches 1.54 of the radius; a rectangle's corner is 1.42 of its sides away.
     */
    plan[REACH] = (1.6f + 0.5f * edge / r) * max(ry, rx) + 1.0f;
    for (int i = 0; i < 3; i++) plan[PHASES + i] = TWO_PI * unit(w[20 + i]);
}

static void plan_line(const uint w[32], float *plan) {
    const int segments = 2 + below(w[20], LINE_POINTS - 2);
    const float length = SIDE * between(w[5], 0.015f, 0.06f);
    float y = plan[CENTRE_Y], x = plan[CENTRE_X], direction = TWO_PI * unit(w[21]);
    plan[RADIUS_X] = max(0.4f, SIDE * between(w[4], 0.001f, 0.004f));
    plan[EDGE] = 1.0f;
    plan[REACH] = segments * length + plan[RADIUS_X] + 1.0f;
    plan[LINE_COUNT] = segments + 1;
    plan[LINE_Y] = y;
    plan[LINE_Y + 1] = x;
    for (int i = 1; i <= segments; i++) {
        if (i > 1) direction += between(w[20 + i], -0.7f, 0.7f);
        y += length * sin(direction);
        x += length * cos(direction);
        plan[LINE_Y + 2 * i] = y;
        plan[LINE_Y + 2 * i + 1] = x;
    }
}

static void plan_source(const uint w[32], int kind, int image, int n, float *plan) {
    int source = image;
    if ((kind == PATCH || kind == SEAMLESS) && n > 1 && unit(w[13]) < 0.7f)
        source = (image + 1 + below(w[19], n - 1)) % n;
    plan[SOURCE] = source;
    plan[SOURCE_Y] = below(w[14], HEIGHT);
    plan[SOURCE_X] = below(w[15], WIDTH);
    plan[QUARTERS] = max(below(w[16], 8) - 4, 0);
}

static float draw_gain(const uint w[32], int kind) {
    const float u = unit(w[10]);
    if (kind == CUT_PASTE) return between(w[10], 0.9f, 1.1f);
    if (kind == SCAR) return between(w[10], 0.8f, 1.2f);
    if (kind == LINE_DEFECT)
        return u < 0.8f ? between(w[11], 0.3f, 0.85f) : between(w[11], 1.15f, 1.6f);
    if (kind == BLOB) return u < 0.8f ? between(w[11], 0.25f, 0.85f) : between(w[11], 1.15f, 1.7f);
    if (kind == SHADE) return u < 0.65f ? between(w[11], 0.4f, 0.88f) : between(w[11], 1.12f, 1.6f);
    return 1.0f;
}

static void plan_change(const uint w[32], int kind, int defect, ulong seed, uint substream,
                        float *plan) {
    const float gain = draw_gain(w, kind);
    const bool tinted = CHANNELS > 1 && !is_patch(kind) && unit(w[17]) < 0.5f;
    for (int c = 0; c < CHANNELS; c++) {
        float tint = 1.0f;
        if (tinted)
            tint = 0.8f + 0.4f * us_random_uniform(seed, DEFECT_STREAM, substream,
                                                   (1ul << 32) + (ulong)defect * CHANNELS + c);
        plan[GAINS + c] = gain * tint;
    }
    float offset = 0.0f;
    if (kind == CUT_PASTE) offset = between(w[12], -0.2f, 0.2f);
    if (kind == SCAR) offset = between(w[12], -0.3f, 0.3f);
    if (kind == PATCH) offset = between(w[12], -0.25f, 0.25f);
    plan[OFFSET] = offset;
    plan[MATCHED] = kind == PATCH && unit(w[11]) < 0.6f ? 1.0f : 0.0f;
    plan[STRENGTH] = kind == PATCH ? between(w[9], 0.5f, 1.0f) : 1.0f;
}

/* Element i: defect i / BATCH of the image in lane i mod BATCH. */
__kernel void defects_plan(__global float *restrict plans, int n, ulong seed, uint substream) {
    const int element = (int)get_global_id(0);
    if (element >= DEFECTS * BATCH) return;
    const int slot = element / BATCH, image = element % BATCH, defect = DEFECTS * image + slot;
    __global float *to = plans + (size_t)slot * PLAN * BATCH + image;
    uint w[32];
    draw_words(seed, substream, DEFECTS * image, w);
    bool exists = image < n && unit(w[0]) < SHARE;
    if (slot > 0) {
        draw_words(seed, substream, defect, w);
        exists = exists && unit(w[0]) < MORE;
    }
    to[KIND * BATCH] = -1.0f;
    if (!exists) return;
    float plan[PLAN] = {0.0f};
    const int kind = draw_kind(w[1]);
    plan[KIND] = kind;
    plan[CENTRE_Y] = below(w[2], HEIGHT);
    plan[CENTRE_X] = below(w[3], WIDTH);
    if (kind == LINE_DEFECT)
        plan_line(w, plan);
    else
        plan_outline(w, kind, plan);
    if (is_patch(kind)) plan_source(w, kind, image, n, plan);
    plan_change(w, kind, defect, seed, substream, plan);
    for (int i = 0; i < PLAN; i++) to[i * BATCH] = plan[i];
}

/* ---- pixels of images ---- */

/* Beyond an edge follows the mirror image, without repeating the edge's pixels. */
static inline int reflect(int i, int size) {
    if (size == 1) return 0;
    const int period = 2 * (size - 1);
    i %= period;
    if (i < 0) i += period;
    return i < size ? i : period - i;
}

/* plane: the lane of a channel's first pixel. */
static inline float pixel(__global const float *plane, int y, int x) {
    return plane[((size_t)reflect(y, HEIGHT) * WIDTH + reflect(x, WIDTH)) * BATCH];
}

static inline float value_at(__global const float *plane, float y, float x) {
    const int y0 = (int)floor(y), x0 = (int)floor(x);
    const float across = x - (float)x0;
    const float above = mix(pixel(plane, y0, x0), pixel(plane, y0, x0 + 1), across);
    const float under = mix(pixel(plane, y0 + 1, x0), pixel(plane, y0 + 1, x0 + 1), across);
    return mix(above, under, y - (float)y0);
}

/* (y, x), turned by quarters. */
static inline float2 turned(float y, float x, int quarters) {
    if (quarters == 1) return (float2)(x, -y);
    if (quarters == 2) return (float2)(-y, -x);
    if (quarters == 3) return (float2)(-x, y);
    return (float2)(y, x);
}

/* ---- around patches ---- */

/* Point i on the outline of a square or circle of radius 1. */
static inline float2 around(int i, bool circle) {
    if (circle) {
        const float angle = TWO_PI * (float)i / (float)POINTS;
        return (float2)(sin(angle), cos(angle));
    }
    const int a_side = POINTS / 4, side = i / a_side;
    const float t = 2.0f * (float)(i % a_side) / (float)a_side - 1.0f;
    if (side == 0) return (float2)(-1.0f, t);
    if (side == 1) return (float2)(t, 1.0f);
    if (side == 2) return (float2)(1.0f, -t);
    return (float2)(-t, -1.0f);
}

#define AROUND_Y 0 /* places of the points, from the defect's centre */
#define AROUND_X 1
#define DIFFERENCES 2

/* Element i: lane i mod BATCH, point i / BATCH mod POINTS of defect i / BATCH / POINTS. */
__kernel void defects_boundary(__global const float *restrict x,
                               __global const float *restrict plans,
                               __global float *restrict boundary) {
    const int element = (int)get_global_id(0);
    if (element >= DEFECTS * POINTS * BATCH) return;
    const int image = element % BATCH, point = element / BATCH % POINTS,
              slot = element / BATCH / POINTS;
    __global const float *plan = plans + (size_t)slot * PLAN * BATCH + image;
    const int kind = (int)plan[KIND * BATCH];
    if (kind != PATCH && kind != SEAMLESS) return;
    const float ry = plan[RADIUS_Y * BATCH], rx = plan[RADIUS_X * BATCH];
    const float enlarged = 1.0f + (0.5f * plan[EDGE * BATCH] + 1.5f) / min(ry, rx);
    const float2 place =
        around(point, plan[OUTLINE * BATCH] != RECTANGLE) * (float2)(ry, rx) * enlarged;
    const float cosine = plan[COSINE * BATCH], sine = plan[SINE * BATCH];
    const float dy = place.x * cosine - place.y * sine, dx = place.x * sine + place.y * cosine;
    const float2 from = turned(dy, dx, (int)plan[QUARTERS * BATCH]);
    __global float *to =
        boundary + ((size_t)slot * (DIFFERENCES + CHANNELS) * POINTS + point) * BATCH + image;
    to[AROUND_Y * POINTS * BATCH] = dy;
    to[AROUND_X * POINTS * BATCH] = dx;
    for (int c = 0; c < CHANNELS; c++) {
        __global const float *plane = x + (size_t)c * HEIGHT * WIDTH * BATCH;
        const float own =
            value_at(plane + image, plan[CENTRE_Y * BATCH] + dy, plan[CENTRE_X * BATCH] + dx);
        const float other =
            value_at(plane + (int)plan[SOURCE * BATCH], plan[SOURCE_Y * BATCH] + from.x,
                     plan[SOURCE_X * BATCH] + from.y);
        to[(DIFFERENCES + c) * POINTS * BATCH] = own - other;
    }
}

/* The tangent of half the angle between two directions. */
static inline float half_tangent(float2 a, float2 b, float la, float lb) {
    return fabs(a.x * b.y - a.y * b.x) / (la * lb + a.x * b.x + a.y * b.y);
}

static inline float2 point_from(__global const float *boundary, int i, float dy, float dx) {
    return (float2)(boundary[(AROUND_Y * POINTS + i) * BATCH] - dy,
                    boundary[(AROUND_X * POINTS + i) * BATCH] - dx);
}

/* Adds to each channel the differences at the boundary, by mean value coordinates of (dy, dx). */
static void add_membrane(__global const float *boundary, float dy, float dx,
                         float content[CHANNELS]) {
    float sums[CHANNELS] = {0.0f}, total = 0.0f;
    float2 here = point_from(boundary, 0, dy, dx);
    float2 last = point_from(boundary, POINTS - 1, dy, dx);
    float length = sqrt(here.x * here.x + here.y * here.y);
    float before = half_tangent(last, here, sqrt(last.x * last.x + last.y * last.y), length);
    for (int i = 0; i < POINTS; i++) {
        const float2 next = point_from(boundary, i + 1 < POINTS ? i + 1 : 0, dy, dx);
        const float next_length = sqrt(next.x * next.x + next.y * next.y);
        const float after = half_tangent(here, next, length, next_length);
        const float weight = (before + after) / length;
        for (int c = 0; c < CHANNELS; c++)
            sums[c] += weight * boundary[((DIFFERENCES + c) * POINTS + i) * BATCH];
        total += weight;
        here = next;
        length = next_length;
        before = after;
    }
    for (int c = 0; c < CHANNELS; c++) content[c] += sums[c] / total;
}

static void add_mean(__global const float *boundary, float content[CHANNELS]) {
    for (int c = 0; c < CHANNELS; c++) {
        float sum = 0.0f;
        for (int i = 0; i < POINTS; i++) sum += boundary[((DIFFERENCES + c) * POINTS + i) * BATCH];
        content[c] += sum / (float)POINTS;
    }
}

/* ---- drawing ---- */

static float distance_from_line(__global const float *plan, float y, float x) {
    const int count = (int)plan[LINE_COUNT * BATCH];
    __global const float *at = plan + LINE_Y * BATCH;
    float least = INFINITY;
    for (int i = 0; i + 1 < count; i++, at += 2 * BATCH) {
        const float2 v = (float2)(at[2 * BATCH] - at[0], at[3 * BATCH] - at[BATCH]);
        const float2 p = (float2)(y - at[0], x - at[BATCH]);
        const float along = clamp((p.x * v.x + p.y * v.y) / (v.x * v.x + v.y * v.y), 0.0f, 1.0f);
        const float2 away = p - along * v;
        least = min(least, away.x * away.x + away.y * away.y);
    }
    return sqrt(least) - plan[RADIUS_X * BATCH];
}

static float distance_from_outline(__global const float *plan, float dy, float dx) {
    const float cosine = plan[COSINE * BATCH], sine = plan[SINE * BATCH];
    const float p = dy * cosine + dx * sine, q = dx * cosine - dy * sine;
    const float ry = plan[RADIUS_Y * BATCH], rx = plan[RADIUS_X * BATCH];
    const int outline = (int)plan[OUTLINE * BATCH];
    if (outline == RECTANGLE) return max(fabs(p) - ry, fabs(q) - rx);
    const float r = min(ry, rx), a = p / ry, b = q / rx;
    const float d = (sqrt(a * a + b * b) - 1.0f) * r;
    if (outline == ELLIPSE) return d;
    __global const float *phases = plan + PHASES * BATCH;
    return d +
           0.2f * r *
               (sin(3.0f * a + 2.0f * b + phases[0]) + sin(3.0f * b - 2.0f * a + phases[BATCH]) +
                0.7f * sin(7.0f * a - 5.0f * b + phases[2 * BATCH]));
}

/* x, out: the lane of the image's first pixel. */
static void draw_pixel(__global const float *x, __global const float *plan,
                       __global const float *boundary, __global float *out, __global float *mask,
                       int image, int y, int i) {
    const float dy = (float)y - plan[CENTRE_Y * BATCH], dx = (float)i - plan[CENTRE_X * BATCH];
    const int kind = (int)plan[KIND * BATCH];
    const float d = kind == LINE_DEFECT ? distance_from_line(plan, (float)y, (float)i)
                                        : distance_from_outline(plan, dy, dx);
    const float alpha = plan[STRENGTH * BATCH] * clamp(0.5f - d / plan[EDGE * BATCH], 0.0f, 1.0f);
    if (alpha <= 0.0f) return;
    const size_t plane = (size_t)HEIGHT * WIDTH * BATCH, at = ((size_t)y * WIDTH + i) * BATCH;
    float content[CHANNELS];
    const float2 from = turned(dy, dx, (int)plan[QUARTERS * BATCH]);
    const int from_y = (int)plan[SOURCE_Y * BATCH] + (int)from.x,
              from_x = (int)plan[SOURCE_X * BATCH] + (int)from.y;
    for (int c = 0; c < CHANNELS; c++)
        content[c] = is_patch(kind)
                         ? pixel(x + c * plane + (int)plan[SOURCE * BATCH] - image, from_y, from_x)
                         : out[c * plane + at];
    if (kind == SEAMLESS) add_membrane(boundary, dy, dx, content);
    if (plan[MATCHED * BATCH] > 0.0f) add_mean(boundary, content);
    float change = 0.0f;
    for (int c = 0; c < CHANNELS; c++) {
        const float v = out[c * plane + at];
        const float wanted =
            (content[c] + 1.0f) * plan[(GAINS + c) * BATCH] - 1.0f + plan[OFFSET * BATCH];
        const float drawn = v + alpha * (clamp(wanted, -1.0f, 1.0f) - v);
        out[c * plane + at] = drawn;
        change += fabs(drawn - x[c * plane + at]);
    }
    mask[at] = min(change / (CHANNELS * VISIBLE), 1.0f);
}

/* The defects of one image in one row. */
static void draw_row(__global const float *x, __global const float *plans,
                     __global const float *boundary, __global float *out, __global float *mask,
                     int image, int y) {
    for (int slot = 0; slot < DEFECTS; slot++) {
        __global const float *plan = plans + (size_t)slot * PLAN * BATCH + image;
        if (plan[KIND * BATCH] < 0.0f) continue;
        const float reach = plan[REACH * BATCH], centre = plan[CENTRE_X * BATCH];
        if (fabs((float)y - plan[CENTRE_Y * BATCH]) > reach) continue;
        const int first = max((int)(centre - reach), 0),
                  last = min((int)(centre + reach), WIDTH - 1);
        for (int i = first; i <= last; i++)
            draw_pixel(x, plan,
                       boundary + (size_t)slot * (DIFFERENCES + CHANNELS) * POINTS * BATCH + image,
                       out, mask, image, y, i);
    }
}

__kernel GROUP_ATTRIBUTE void defects_apply(__global const float *restrict x,
                                            __global const float *restrict plans,
                                            __global const float *restrict boundary,
                                            __global float *restrict out,
                                            __global float *restrict mask, int n) {
    const int y = (int)get_group_id(1), first = LANE_BASE(get_group_id(0), VECTORS);
    const size_t row = (size_t)y * WIDTH * BATCH, plane = (size_t)HEIGHT * WIDTH * BATCH;
    for (int i = 0; i < WIDTH; i++)
        for (int j = 0; j < VECTORS; j++) {
            const int lane = first + j * LANE_STRIDE;
            const size_t at = row + (size_t)i * BATCH + lane;
            for (int c = 0; c < CHANNELS; c++)
                vec_store(vec_mask(vec_load(x + c * plane + at), lane, n), out + c * plane + at);
            vec_store((vec)(0.0f), mask + at);
        }
    for (int j = 0; j < VECTORS; j++)
        for (int l = 0; l < VECTOR_WIDTH; l++) {
            const int image = first + j * LANE_STRIDE + l;
            if (image < n)
                draw_row(x + image, plans, boundary, out + image, mask + image, image, y);
        }
}
