/* SPDX-License-Identifier: MIT */
/* BatchNorm: each channel's mean is taken away, and it is divided by its standard deviation,
 *
 *     y = a((x - mean) / sqrt(variance + epsilon) * weight + bias)
 *
 * over the images and pixels of x and y, [channel][pixel][batch]. The kernels in their order:
 *
 *     forward, training     batchnorm_moments, batchnorm_apply
 *     forward, scoring      batchnorm_apply
 *     backward              batchnorm_gradient_sums, batchnorm_input_gradient
 *     before scoring        batchnorm_fold
 *
 * Sums over a channel come in parts, one of each work-group of the first kernel of a pass. Every
 * work-group of the second one adds the parts of its channel up again, which takes less time than a
 * launch in between; the first of a channel also writes what the channel is to keep. Parts are few:
 * [channel][value][part], `stride` floats to a value, whole vectors; those after the last part are
 * zeros. The layer that computes x or dy may have taken the parts already.
 *
 * Vectors (CPUs): a work-group is one item, with all `vectors` of the batch of `rows` pixels, one
 * after the other for `item_channels` channels. Work-groups are (lane groups, splits of the pixels,
 * channels):
 *
 *     channel c      <- vectors ->
 *                   +------+------+
 *      rows pixels  | part | part |
 *                   +------+------+
 *      rows pixels  | part | part |
 *                   +------+------+
 *
 * Lanes (GPUs): a work-group of ITEMS items has `rows` pixels of a channel with the whole batch, a
 * run of memory, whose quads (four floats) its items take alternately. Work-groups are (1, splits
 * of the pixels, channels):
 *
 *     channel c   | rows pixels x batch              | rows pixels x batch              |
 *     quad         0  1  2 .. ITEMS-1 ITEMS ..         0  1  2 ..
 *     item         0  1  2 .. ITEMS-1   0   ..         0  1  2 ..
 *
 * Parts are combined as in Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for
 * computing sample variances" (1979). Within a part deviations are taken from its mean (vectors) or
 * from one of its values (lanes, which so read x once), so a mean that is large beside the
 * deviation loses no precision.
 *
 * saved[4][channels] is us_backward_fusion.statistics: mean, 1 / deviation, scale and shift, with
 * y = a((x - mean) * scale + shift).
 *
 * Options
 *     STEP    vectors taken at a time, each with sums of its own; divides `vectors` (1, 2, 4, 8)
 *     ITEMS   work-items of a work-group: 1 for vectors, a power of two for lanes (256)
 *     ACTIVATION, SLOPE, INPUT_ACTIVATION, INPUT_SLOPE   see common.cl
 *
 * Arguments, not options, so that all layers share their kernels: channels, pixels and batch (its
 * lanes in memory); `vectors` of the batch (not of lanes), `rows` pixels and `item_channels`
 * channels of an item.
 *
 * Twin of engine/ops/batchnorm.c, whose SHAPE_TYPES are SHAPE here. */

#define ITEMS_ATTRIBUTE __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
#define SHAPE int channels, int pixels, int batch, int vectors, int rows, int item_channels
#define FIRST_ROW ((int)get_group_id(1) * rows)
#define END_ROW min(FIRST_ROW + rows, pixels)
#define FOR_CHANNELS                                                                               \
    for (int c = (int)get_group_id(2) * item_channels, end = min(c + item_channels, channels);     \
         c < end; c++)
/* Images whose values a work-group has. */
#if LANES
#define GROUP_IMAGES n
#else
#define GROUP_IMAGES                                                                               \
    clamp(n - (int)get_group_id(0) * vectors * LANE_STRIDE, 0, vectors * LANE_STRIDE)
#endif
/* The item that writes what a channel keeps. */
#define KEEPS (get_group_id(0) == 0 && get_group_id(1) == 0 && get_local_id(0) == 0)

/* Writes a value of the work-group's part. */
#define PUT(parts, values, value, number)                                                          \
    ((parts)[((size_t)c * (values) + (value)) * stride + get_group_id(1) * get_num_groups(0) +     \
             get_group_id(0)] = (number))

/* The sums of a pair over the items of a work-group, in a fixed order; each of them receives them.
 */
#define ROOM_OF_PAIRS __local float2 *
#if ITEMS == 1
#define ALL(pair, room) (pair)
#else
INLINE float2 add_all(float2 own, ROOM_OF_PAIRS room) {
    const int i = get_local_id(0);
    room[i] = own;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int width = ITEMS / 2; width > 0; width /= 2) {
        if (i < width) room[i] += room[i + width];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    const float2 sum = room[0];
    barrier(CLK_LOCAL_MEM_FENCE);
    return sum;
}
#define ALL(pair, room) add_all(pair, room)
#endif

/* ---- passes over the values of a work-group ---- */

/* 1 / the standard deviation. */
#define PER_DEVIATION(variance, epsilon) (1.0f / sqrt((variance) + (epsilon)))

/* What dx is made of: see write_gradient. */
typedef struct gradient_terms {
    float mean, scale, sum, product;
} gradient_terms;

#if LANES
/* An item's quads of a group's run, some loads under way at once. */
#define FOR_QUADS(unrolled)                                                                        \
    _Pragma(unrolled) for (int i = get_local_id(0); i < count * (batch / 4); i += ITEMS)
#define QUADS(p) ((__global float4 *)(p))
#define CONST_QUADS(p) ((__global const float4 *)(p))
#define START(c) (((size_t)(c)*pixels + FIRST_ROW) * batch)

/* v, with 0 for padded lanes. The branch is the same for all items. */
INLINE float4 quad_mask(float4 v, int i, int batch, int n) {
    if (n == batch) return v;
    const int4 lane = (int4)(i % (batch / 4) * 4) + (int4)(0, 1, 2, 3);
    return select((float4)(0.0f), v, lane < (int4)(n));
}

static inline float quad_sum(float4 v) {
    return (v.x + v.y) + (v.z + v.w);
}

/* The mean of a work-group's part of `values` values, and its sum of squared deviations. `origin`,
 * from which deviations are taken, is a value of the first image. */
INLINE float2 part_moments(__global const float *x, int count, int batch, int vectors, int n,
                           int values, ROOM_OF_PAIRS room) {
    const float origin = x[0];
    float4 sums = (float4)(0.0f), squares = (float4)(0.0f);
    FOR_QUADS("unroll 8") {
        const float4 d = quad_mask(CONST_QUADS(x)[i] - origin, i, batch, n);
        sums += d;
        squares += d * d;
    }
    const float2 all = ALL((float2)(quad_sum(sums), quad_sum(squares)), room);
    const float mean = all.x / (float)max(values, 1), rest = all.y - all.x * mean;
    return (float2)(origin + mean, rest < 0.0f ? 0.0f : rest); /* a NaN stays one */
}

INLINE void normalise(__global const float *x, float mean, float scale, float shift,
                      __global float *y, int count, int batch, int vectors) {
    FOR_QUADS("unroll 8") {
        const float4 v = (CONST_QUADS(x)[i] - mean) * scale + shift;
        QUADS(y)[i] = (float4)(activate(v.x), activate(v.y), activate(v.z), activate(v.w));
    }
}

/* The sums of dy and of dy (x - mean) of a work-group; dy is 0 in padded lanes. */
INLINE float2 part_sums(__global const float *x, __global const float *dy, float mean, int count,
                        int batch, int vectors, ROOM_OF_PAIRS room) {
    float4 sums = (float4)(0.0f), products = (float4)(0.0f);
    FOR_QUADS("unroll 4") {
        const float4 d = CONST_QUADS(dy)[i];
        sums += d;
        products += d * (CONST_QUADS(x)[i] - mean);
    }
    return ALL((float2)(quad_sum(sums), quad_sum(products)), room);
}

/* dx = scale (dy - sum - (x - mean) product), times the derivative of the activation that produced
 * x; 0 in padded lanes. */
INLINE void write_gradient(__global const float *x, __global const float *dy, gradient_terms g,
                           __global float *dx, int count, int batch, int vectors, int n) {
    FOR_QUADS("unroll 4") {
        const float4 v = CONST_QUADS(x)[i];
        float4 d = g.scale * (CONST_QUADS(dy)[i] - g.sum - (v - g.mean) * g.product);
        d = (float4)(input_activation_backward(d.x, v.x), input_activation_backward(d.y, v.y),
                     input_activation_backward(d.z, v.z), input_activation_backward(d.w, v.w));
        QUADS(dx)[i] = quad_mask(d, i, batch, n);
    }
}

#else
#define FIRST_LANE LANE_BASE(get_group_id(0), vectors)
#define START(c) (((size_t)(c)*pixels + FIRST_ROW) * batch + FIRST_LANE)
#define FOR_STEP UNROLL_FOR (int k = 0; k < STEP; k++)

/* The sums of d and d^2 over an item's part of a channel, where d = value - shift. */
static inline float2 deviation_sums(__global const float *x, int count, int batch, int vectors,
                                    int n, float shift) {
    vec sums[STEP], squares[STEP];
    FOR_STEP sums[k] = squares[k] = (vec)(0.0f);
    for (int r = 0; r < count; r++, x += batch)
        for (int j = 0; j < vectors; j += STEP) FOR_STEP {
                const int lane = (j + k) * LANE_STRIDE;
                const vec d = vec_mask(vec_load(x + lane) - shift, FIRST_LANE + lane, n);
                sums[k] += d;
                squares[k] += d * d;
            }
    UNROLL_FOR (int k = 1; k < STEP; k++) {
        sums[0] += sums[k];
        squares[0] += squares[k];
    }
    return (float2)(vec_sum(sums[0]), vec_sum(squares[0]));
}

static inline float2 part_moments(__global const float *x, int count, int batch, int vectors, int n,
                                  int values, ROOM_OF_PAIRS room) {
    const float scale = 1.0f / (float)max(values, 1);
    vec sums[STEP];
    FOR_STEP sums[k] = (vec)(0.0f);
    __global const float *row = x;
    for (int r = 0; r < count; r++, row += batch)
        for (int j = 0; j < vectors; j += STEP) FOR_STEP {
                const int lane = (j + k) * LANE_STRIDE;
                sums[k] += vec_mask(vec_load(row + lane), FIRST_LANE + lane, n);
            }
    UNROLL_FOR (int k = 1; k < STEP; k++) sums[0] += sums[k];
    const float guess = vec_sum(sums[0]) * scale;
    const float2 d = deviation_sums(x, count, batch, vectors, n, guess);
    return (float2)(guess + d.x * scale, d.y - d.x * d.x * scale);
}

static inline void normalise(__global const float *x, float mean, float scale, float shift,
                             __global float *y, int count, int batch, int vectors) {
    for (int r = 0; r < count; r++, x += batch, y += batch)
        for (int j = 0; j < vectors; j += STEP) FOR_STEP {
                const int lane = (j + k) * LANE_STRIDE;
                vec_stream(activate((vec_load(x + lane) - mean) * scale + shift), y + lane);
            }
}

static inline float2 part_sums(__global const float *x, __global const float *dy, float mean,
                               int count, int batch, int vectors, ROOM_OF_PAIRS room) {
    vec sums[STEP], products[STEP];
    FOR_STEP sums[k] = products[k] = (vec)(0.0f);
    for (int r = 0; r < count; r++, x += batch, dy += batch)
        for (int j = 0; j < vectors; j += STEP) FOR_STEP {
                const int lane = (j + k) * LANE_STRIDE;
                const vec d = vec_load(dy + lane);
                sums[k] += d;
                products[k] += d * (vec_load(x + lane) - mean);
            }
    UNROLL_FOR (int k = 1; k < STEP; k++) {
        sums[0] += sums[k];
        products[0] += products[k];
    }
    return (float2)(vec_sum(sums[0]), vec_sum(products[0]));
}

static inline void write_gradient(__global const float *x, __global const float *dy,
                                  gradient_terms g, __global float *dx, int count, int batch,
                                  int vectors, int n) {
    for (int r = 0; r < count; r++, x += batch, dy += batch, dx += batch)
        for (int j = 0; j < vectors; j += STEP) FOR_STEP {
                const int lane = (j + k) * LANE_STRIDE;
                const vec value = vec_load(x + lane);
                const vec d =
                    g.scale * (vec_load(dy + lane) - g.sum - (value - g.mean) * g.product);
                vec_stream(vec_mask(input_activation_backward(d, value), FIRST_LANE + lane, n),
                           dx + lane);
            }
}
#endif

/* ---- parts ---- */

/* The parts that an item adds up; on GPUs several loads are under way at once. */
#if LANES
#define PARTS_AT_A_TIME _Pragma("unroll 4")
#else
#define PARTS_AT_A_TIME
#endif
#define FOR_PARTS                                                                                  \
    PARTS_AT_A_TIME for (int i = (int)get_local_id(0) * VECTOR_WIDTH; i < stride;                  \
                         i += ITEMS * VECTOR_WIDTH)

/* Of a channel. */
typedef struct moments {
    float count, mean, squares;
} moments;

INLINE moments combine_moments(__global const float *parts, int stride, ROOM_OF_PAIRS room) {
    __global const float *counts = parts, *means = counts + stride, *squares = means + stride;
    vec counted = (vec)(0.0f), sum = (vec)(0.0f), square = (vec)(0.0f);
    FOR_PARTS {
        counted += vec_load(counts + i);
        sum += vec_load(counts + i) * vec_load(means + i);
    }
    const float2 all = ALL((float2)(vec_sum(counted), vec_sum(sum)), room);
    moments m = {all.x, all.y / all.x, 0.0f};
    FOR_PARTS {
        const vec away = vec_load(means + i) - m.mean;
        square += vec_load(squares + i) + vec_load(counts + i) * away * away;
    }
    m.squares = ALL((float2)(vec_sum(square), 0.0f), room).x;
    return m;
}

INLINE float2 combine_sums(__global const float *parts, int stride, ROOM_OF_PAIRS room) {
    vec sums = (vec)(0.0f), products = (vec)(0.0f);
    FOR_PARTS {
        sums += vec_load(parts + i);
        products += vec_load(parts + stride + i);
    }
    return ALL((float2)(vec_sum(sums), vec_sum(products)), room);
}

/* ---- kernels ---- */

/* Values of a part: its count, mean and sum of squared deviations. */
__kernel ITEMS_ATTRIBUTE void batchnorm_moments(__global const float *restrict x,
                                                __global float *restrict parts, int stride, int n,
                                                SHAPE) {
    __local float2 room[ITEMS];
    const int count = END_ROW - FIRST_ROW, values = count * GROUP_IMAGES;
    FOR_CHANNELS {
        const float2 found = part_moments(x + START(c), count, batch, vectors, n, values, room);
        if (get_local_id(0) == 0) {
            PUT(parts, 3, 0, (float)values);
            PUT(parts, 3, 1, found.x);
            PUT(parts, 3, 2, found.y);
        }
    }
}

/* Without parts the running statistics take their place. Else the running ones move by `momentum`
 * towards the mean and the unbiased variance (biased if there is a single value). weight and bias
 * may be NULL, which means 1 and 0; so may saved. */
__kernel ITEMS_ATTRIBUTE void batchnorm_apply(
    __global const float *restrict x, __global const float *restrict parts, int stride,
    __global const float *restrict weight, __global const float *restrict bias,
    __global float *restrict saved, __global float *restrict running_mean,
    __global float *restrict running_variance, float momentum, float epsilon,
    __global float *restrict y, SHAPE) {
    __local float2 room[ITEMS];
    FOR_CHANNELS {
        moments m = {1.0f, 0.0f, 0.0f};
        if (parts) {
            m = combine_moments(parts + (size_t)c * 3 * stride, stride, room);
        } else {
            m.mean = running_mean[c];
            m.squares = running_variance[c];
        }
        const float per_deviation = PER_DEVIATION(m.squares / m.count, epsilon);
        const float scale = per_deviation * (weight ? weight[c] : 1.0f);
        const float shift = bias ? bias[c] : 0.0f;
        if (saved && KEEPS) {
            saved[c] = m.mean;
            saved[channels + c] = per_deviation;
            saved[2 * channels + c] = scale;
            saved[3 * channels + c] = shift;
        }
        /* With 0 they are unchanged, even if there are values that are not finite. */
        if (parts && momentum != 0.0f && KEEPS) {
            running_mean[c] += momentum * (m.mean - running_mean[c]);
            running_variance[c] +=
                momentum * (m.squares / max(m.count - 1.0f, 1.0f) - running_variance[c]);
        }
        normalise(x + START(c), m.mean, scale, shift, y + START(c), END_ROW - FIRST_ROW, batch,
                  vectors);
    }
}

/* Values of a part: the sums of dy and of dy (x - mean). Launched only if the layer that computed
 * dy has not taken them. */
__kernel ITEMS_ATTRIBUTE void batchnorm_gradient_sums(__global const float *restrict x,
                                                      __global const float *restrict dy,
                                                      __global const float *restrict saved,
                                                      __global float *restrict parts, int stride,
                                                      SHAPE) {
    __local float2 room[ITEMS];
    FOR_CHANNELS {
        const float2 sums = part_sums(x + START(c), dy + START(c), saved[c], END_ROW - FIRST_ROW,
                                      batch, vectors, room);
        if (get_local_id(0) == 0) {
            PUT(parts, 2, 0, sums.x);
            PUT(parts, 2, 1, sums.y);
        }
    }
}

/* dx = weight / deviation (dy - mean(dy) - xhat mean(dy xhat)), the means over `values` values.
 * weight_gradient, bias_gradient and dx may be NULL; without dx, the first work-group of each
 * channel is enough. */
__kernel ITEMS_ATTRIBUTE void batchnorm_input_gradient(
    __global const float *restrict x, __global const float *restrict dy,
    __global const float *restrict saved, __global const float *restrict parts, int stride,
    __global float *restrict weight_gradient, __global float *restrict bias_gradient,
    __global float *restrict dx, float values, int accumulate, int n, SHAPE) {
    __local float2 room[ITEMS];
    FOR_CHANNELS {
        const float2 sums = combine_sums(parts + (size_t)c * 2 * stride, stride, room);
        const float deviation = saved[channels + c];
        const float sum = sums.x, product = sums.y * deviation;
        if (weight_gradient && KEEPS)
            weight_gradient[c] = (accumulate ? weight_gradient[c] : 0.0f) + product;
        if (bias_gradient && KEEPS) bias_gradient[c] = (accumulate ? bias_gradient[c] : 0.0f) + sum;
        if (!dx) continue;
        const gradient_terms terms = {saved[c], saved[2 * channels + c], sum / values,
                                      product * deviation / values};
        write_gradient(x + START(c), dy + START(c), terms, dx + START(c), END_ROW - FIRST_ROW,
                       batch, vectors, n);
    }
}

/* For scoring: the layer before and this one become one layer with other weights and another bias.
 * A work-group has a row of the weights, and the first one also computes the bias. from_bias may be
 * NULL, which means 0. */
__kernel GROUP_ATTRIBUTE void batchnorm_fold(
    __global const float *restrict running_mean, __global const float *restrict running_variance,
    __global const float *restrict weight, __global const float *restrict bias, float epsilon,
    __global const float *restrict from, __global const float *restrict from_bias,
    __global float *restrict to, __global float *restrict to_bias, int channels) {
    const size_t row = (size_t)get_group_id(0) * channels;
    for (int c = get_local_id(0); c < channels; c += GROUP_SIZE) {
        const float per_deviation = PER_DEVIATION(running_variance[c], epsilon);
        const float scale = per_deviation * (weight ? weight[c] : 1.0f);
        to[row + c] = from[row + c] * scale;
        if (row > 0) continue;
        const float shift = (from_bias ? from_bias[c] : 0.0f) - running_mean[c];
        to_bias[c] = shift * scale + (bias ? bias[c] : 0.0f);
    }
}
