/* SPDX-License-Identifier: MIT */
/* BatchNorm: each channel's mean is taken away, and it is divided by its standard deviation,
 *
 *     y = a((x - mean) / sqrt(variance + epsilon) * weight + bias)
 *
 * over the images and pixels of x and y, [channel][pixel][batch]. The kernels in their order:
 *
 *     forward, training     batchnorm_moments, batchnorm_statistics, batchnorm_apply
 *     forward, scoring      batchnorm_running_statistics, batchnorm_apply
 *     backward              batchnorm_gradient_sums, batchnorm_gradients, batchnorm_input_gradient
 *     before scoring        batchnorm_running_statistics, batchnorm_fold
 *
 * Kernels that read x or dy have work-groups (lane groups, splits of the pixels, channels):
 *
 *     channel c      <- vectors ->                sums over a channel come in parts, one of each
 *                   +------+------+               work-group: [channel][value][part]. A value has
 *      rows pixels  | part | part |               `stride` floats, whole vectors; those after the
 *                   +------+------+               last part are zeros. The layer that computes x or
 *      rows pixels  | part | part |               dy may have taken the parts already.
 *                   +------+------+
 *
 * Parts are combined, by one work-group per channel, as in Chan, Golub, LeVeque, "Updating formulae
 * and a pairwise algorithm for computing sample variances" (1979). Within a part the mean is taken
 * first, so a mean that is large beside the deviation loses no precision.
 *
 * saved[4][channels] is us_backward_fusion.statistics: mean, 1 / deviation, scale and shift, with
 * y = a((x - mean) * scale + shift).
 *
 * Options
 *     STEP    vectors taken at a time, each with sums of its own; divides `vectors` (1, 2, 4, 8)
 *     ACTIVATION, SLOPE, INPUT_ACTIVATION, INPUT_SLOPE   see common.cl
 *
 * Arguments, not options, so that all layers share their kernels: channels, pixels and batch (its
 * lanes in memory); `vectors` of the batch (all of them on CPUs, 1 on GPUs), `rows` pixels and
 * `item_channels` channels of an item.
 *
 * Twin of engine/ops/batchnorm.c, whose SHAPE_TYPES are SHAPE here. */

#define SHAPE int channels, int pixels, int batch, int vectors, int rows, int item_channels
#define FIRST_ROW ((int)get_group_id(1) * rows)
#define END_ROW min(FIRST_ROW + rows, pixels)
#define FIRST_LANE LANE_BASE(get_group_id(0), vectors)
#define START (((size_t)c * pixels + FIRST_ROW) * batch + FIRST_LANE) /* of channel c */
#define FOR_CHANNELS                                                                               \
    for (int c = (int)get_group_id(2) * item_channels, end = min(c + item_channels, channels);     \
         c < end; c++)
#define FOR_STEP UNROLL_FOR (int k = 0; k < STEP; k++)

/* Writes a value of the work-group's part. */
#define PUT(parts, values, value, number)                                                          \
    ((parts)[((size_t)c * (values) + (value)) * stride + get_group_id(1) * get_num_groups(0) +     \
             get_group_id(0)] = (number))

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

/* The mean of a work-group's part of `values` values, and its sum of squared deviations. */
static inline float2 part_moments(__global const float *x, int count, int batch, int vectors, int n,
                                  int values, __local float *room) {
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
    const float guess = group_sum(vec_sum(sums[0]), room) * scale;
    float2 d = deviation_sums(x, count, batch, vectors, n, guess);
    d.x = group_sum(d.x, room);
    d.y = group_sum(d.y, room);
    return (float2)(guess + d.x * scale, d.y - d.x * d.x * scale);
}

/* Values of a part: its count, mean and sum of squared deviations. */
__kernel GROUP_ATTRIBUTE void batchnorm_moments(__global const float *restrict x,
                                                __global float *restrict parts, int stride, int n,
                                                SHAPE) {
    __local float room[GROUP_SIZE];
    const int group_lanes = vectors * LANE_STRIDE;
    const int count = END_ROW - FIRST_ROW;
    const int values = count * clamp(n - (int)get_group_id(0) * group_lanes, 0, group_lanes);
    FOR_CHANNELS {
        const float2 moments = part_moments(x + START, count, batch, vectors, n, values, room);
        if (get_local_id(0) == 0) {
            PUT(parts, 3, 0, (float)values);
            PUT(parts, 3, 1, moments.x);
            PUT(parts, 3, 2, moments.y);
        }
    }
}

/* The parts that an item adds up, in a work-group that has one channel. */
#define FOR_PARTS                                                                                  \
    for (int i = (int)get_local_id(0) * VECTOR_WIDTH; i < stride; i += GROUP_SIZE * VECTOR_WIDTH)

static inline void save(__global float *saved, int c, int channels, float mean, float variance,
                        float epsilon, __global const float *weight, __global const float *bias) {
    const float per_deviation = 1.0f / sqrt(variance + epsilon);
    saved[c] = mean;
    saved[channels + c] = per_deviation;
    saved[2 * channels + c] = per_deviation * (weight ? weight[c] : 1.0f);
    saved[3 * channels + c] = bias ? bias[c] : 0.0f;
}

/* Saves a channel's statistics. The running ones move by `momentum` towards the mean and the
 * unbiased variance (biased if there is a single value). weight and bias may be NULL, which means 1
 * and 0. */
__kernel GROUP_ATTRIBUTE void batchnorm_statistics(__global const float *restrict parts, int stride,
                                                   __global const float *restrict weight,
                                                   __global const float *restrict bias,
                                                   __global float *restrict saved,
                                                   __global float *restrict running_mean,
                                                   __global float *restrict running_variance,
                                                   float momentum, float epsilon) {
    __local float room[GROUP_SIZE];
    const int c = get_group_id(0), channels = get_num_groups(0);
    __global const float *counts = parts + (size_t)c * 3 * stride, *means = counts + stride,
                         *squares = means + stride;
    vec counted = (vec)(0.0f), sum = (vec)(0.0f), square = (vec)(0.0f);
    FOR_PARTS {
        counted += vec_load(counts + i);
        sum += vec_load(counts + i) * vec_load(means + i);
    }
    const float count = group_sum(vec_sum(counted), room);
    const float mean = group_sum(vec_sum(sum), room) / count;
    FOR_PARTS {
        const vec away = vec_load(means + i) - mean;
        square += vec_load(squares + i) + vec_load(counts + i) * away * away;
    }
    const float all = group_sum(vec_sum(square), room);
    if (get_local_id(0) != 0) return;
    save(saved, c, channels, mean, all / count, epsilon, weight, bias);
    if (momentum == 0.0f) return; /* unchanged, even if there are values that are not finite */
    running_mean[c] += momentum * (mean - running_mean[c]);
    running_variance[c] += momentum * (all / max(count - 1.0f, 1.0f) - running_variance[c]);
}

/* For scoring: the same from the running statistics. */
__kernel void batchnorm_running_statistics(__global const float *restrict running_mean,
                                           __global const float *restrict running_variance,
                                           __global const float *restrict weight,
                                           __global const float *restrict bias,
                                           __global float *restrict saved, float epsilon,
                                           int channels) {
    const int c = get_global_id(0);
    if (c < channels)
        save(saved, c, channels, running_mean[c], running_variance[c], epsilon, weight, bias);
}

__kernel GROUP_ATTRIBUTE void batchnorm_apply(__global const float *restrict x,
                                              __global const float *restrict saved,
                                              __global float *restrict y, SHAPE) {
    FOR_CHANNELS {
        const float mean = saved[c];
        const float scale = saved[2 * channels + c], shift = saved[3 * channels + c];
        size_t start = START;
        for (int r = FIRST_ROW; r < END_ROW; r++, start += batch)
            for (int j = 0; j < vectors; j += STEP) FOR_STEP {
                    const size_t i = start + (j + k) * LANE_STRIDE;
                    vec_stream(activate((vec_load(x + i) - mean) * scale + shift), y + i);
                }
    }
}

/* Values of a part: the sums of dy and of dy (x - mean); dy is 0 in padded lanes. Launched only if
 * the layer that computed dy has not taken them. */
__kernel GROUP_ATTRIBUTE void batchnorm_gradient_sums(__global const float *restrict x,
                                                      __global const float *restrict dy,
                                                      __global const float *restrict saved,
                                                      __global float *restrict parts, int stride,
                                                      SHAPE) {
    __local float room[GROUP_SIZE];
    FOR_CHANNELS {
        const float mean = saved[c];
        size_t start = START;
        vec sums[STEP], products[STEP];
        FOR_STEP sums[k] = products[k] = (vec)(0.0f);
        for (int r = FIRST_ROW; r < END_ROW; r++, start += batch)
            for (int j = 0; j < vectors; j += STEP) FOR_STEP {
                    const size_t i = start + (j + k) * LANE_STRIDE;
                    const vec d = vec_load(dy + i);
                    sums[k] += d;
                    products[k] += d * (vec_load(x + i) - mean);
                }
        UNROLL_FOR (int k = 1; k < STEP; k++) {
            sums[0] += sums[k];
            products[0] += products[k];
        }
        const float sum = group_sum(vec_sum(sums[0]), room);
        const float product = group_sum(vec_sum(products[0]), room);
        if (get_local_id(0) == 0) {
            PUT(parts, 2, 0, sum);
            PUT(parts, 2, 1, product);
        }
    }
}

/* means: [mean of dy][mean of dy xhat, divided by the deviation], over `count` values. The
 * gradients may be NULL. */
__kernel GROUP_ATTRIBUTE void batchnorm_gradients(__global const float *restrict parts, int stride,
                                                  __global const float *restrict saved,
                                                  __global float *restrict means,
                                                  __global float *restrict weight_gradient,
                                                  __global float *restrict bias_gradient,
                                                  float count, int accumulate) {
    __local float room[GROUP_SIZE];
    const int c = get_group_id(0), channels = get_num_groups(0);
    parts += (size_t)c * 2 * stride;
    vec sums = (vec)(0.0f), products = (vec)(0.0f);
    FOR_PARTS {
        sums += vec_load(parts + i);
        products += vec_load(parts + stride + i);
    }
    const float deviation = saved[channels + c];
    const float sum = group_sum(vec_sum(sums), room);
    const float product = group_sum(vec_sum(products), room) * deviation;
    if (get_local_id(0) != 0) return;
    means[c] = sum / count;
    means[channels + c] = product * deviation / count;
    if (weight_gradient) weight_gradient[c] = (accumulate ? weight_gradient[c] : 0.0f) + product;
    if (bias_gradient) bias_gradient[c] = (accumulate ? bias_gradient[c] : 0.0f) + sum;
}

/* dx = weight / deviation (dy - mean(dy) - xhat mean(dy xhat)), times the derivative of the
 * activation that produced x; 0 in padded lanes. */
__kernel GROUP_ATTRIBUTE void batchnorm_input_gradient(__global const float *restrict x,
                                                       __global const float *restrict dy,
                                                       __global const float *restrict saved,
                                                       __global const float *restrict means,
                                                       __global float *restrict dx, int n, SHAPE) {
    FOR_CHANNELS {
        const float mean = saved[c], sum = means[c], product = means[channels + c];
        const float scale = saved[2 * channels + c];
        size_t start = START;
        for (int r = FIRST_ROW; r < END_ROW; r++, start += batch)
            for (int j = 0; j < vectors; j += STEP) FOR_STEP {
                    const int lane = (j + k) * LANE_STRIDE;
                    const size_t i = start + lane;
                    const vec value = vec_load(x + i);
                    const vec d = scale * (vec_load(dy + i) - sum - (value - mean) * product);
                    vec_stream(vec_mask(input_activation_backward(d, value), FIRST_LANE + lane, n),
                               dx + i);
                }
    }
}

/* For scoring: the layer before and this one become one layer with other weights and another bias.
 * A work-group has a row of the weights, and the first one also computes the bias. from_bias may be
 * NULL, which means 0. */
__kernel GROUP_ATTRIBUTE void batchnorm_fold(__global const float *restrict saved,
                                             __global const float *restrict from,
                                             __global const float *restrict from_bias,
                                             __global float *restrict to,
                                             __global float *restrict to_bias, int channels) {
    const size_t row = (size_t)get_group_id(0) * channels;
    for (int c = get_local_id(0); c < channels; c += GROUP_SIZE) {
        const float scale = saved[2 * channels + c];
        to[row + c] = from[row + c] * scale;
        if (row > 0) continue;
        const float shift = (from_bias ? from_bias[c] : 0.0f) - saved[c];
        to_bias[c] = shift * scale + saved[3 * channels + c];
    }
}
