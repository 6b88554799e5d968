/* SPDX-License-Identifier: MIT */
/* GroupNorm: the channels of an image are cut into groups, and of each group the mean is taken
 * away, and it is divided by its standard deviation,
 *
 *     y = a((x - mean) / sqrt(variance + epsilon) * weight + bias)
 *
 * over the channels and pixels of a group of one image: x and y are [CHANNELS][PIXELS][BATCH],
 * weight and bias [CHANNELS]. saved [2][groups][BATCH] holds mean and 1 / deviation, for the pass
 * backward:
 *
 *     groupnorm_forward, groupnorm_input_gradient   work-groups (lane groups, groups of channels):
 *
 *                                   <- vector ->
 *         GROUP_CHANNELS x PIXELS  |  item      |
 *         GROUP_CHANNELS x PIXELS  |  item      |
 *
 *     groupnorm_gradients           a work-group for each channel, with all of its values
 *
 * The variance is that of deviations from the mean, in a second pass over x: a mean that is large
 * beside them loses no precision.
 *
 * Options
 *     CHANNELS, PIXELS, BATCH   of the tensors in memory
 *     GROUP_CHANNELS            channels of a group
 *     VECTORS                   vectors of the batch, over all items, that images lie in
 *     AFFINE                    0: there are no weight and bias
 *     ACTIVATION, SLOPE, INPUT_ACTIVATION, INPUT_SLOPE   see common.cl
 *
 * Twin of engine/ops/groupnorm.c. */

#define GROUPS (CHANNELS / GROUP_CHANNELS)
#define VALUES (GROUP_CHANNELS * PIXELS) /* of a group */

__kernel GROUP_ATTRIBUTE void groupnorm_forward(__global const float *restrict x,
                                                __global const float *restrict weight,
                                                __global const float *restrict bias, float epsilon,
                                                __global float *restrict y,
                                                __global float *restrict saved) {
    const int lane = LANE_BASE(get_group_id(0), 1), group = (int)get_group_id(1);
    const size_t first = (size_t)group * VALUES * BATCH + lane;
    vec mean = (vec)(0.0f), variance = (vec)(0.0f);
    for (int i = 0; i < VALUES; i++) mean += vec_load(x + first + (size_t)i * BATCH);
    mean *= 1.0f / VALUES;
    for (int i = 0; i < VALUES; i++) {
        const vec away = vec_load(x + first + (size_t)i * BATCH) - mean;
        variance += away * away;
    }
    const vec inverse = 1.0f / sqrt(variance * (1.0f / VALUES) + epsilon);
    if (saved) {
        vec_store(mean, saved + (size_t)group * BATCH + lane);
        vec_store(inverse, saved + (size_t)(GROUPS + group) * BATCH + lane);
    }
    for (int c = 0; c < GROUP_CHANNELS; c++) {
        const int channel = group * GROUP_CHANNELS + c;
        const vec scale = AFFINE ? inverse * weight[channel] : inverse;
        const vec shift = (vec)(AFFINE ? bias[channel] : 0.0f);
        for (int p = 0; p < PIXELS; p++) {
            const size_t i = first + (size_t)(c * PIXELS + p) * BATCH;
            vec_store(activate((vec_load(x + i) - mean) * scale + shift), y + i);
        }
    }
}

__kernel GROUP_ATTRIBUTE void groupnorm_input_gradient(__global const float *restrict x,
                                                       __global const float *restrict dy,
                                                       __global const float *restrict weight,
                                                       __global const float *restrict saved,
                                                       __global float *restrict dx) {
    const int lane = LANE_BASE(get_group_id(0), 1), group = (int)get_group_id(1);
    const size_t first = (size_t)group * VALUES * BATCH + lane;
    const vec mean = vec_load(saved + (size_t)group * BATCH + lane);
    const vec inverse = vec_load(saved + (size_t)(GROUPS + group) * BATCH + lane);
    vec sum = (vec)(0.0f), product = (vec)(0.0f);
    for (int c = 0; c < GROUP_CHANNELS; c++) {
        const float factor = AFFINE ? weight[group * GROUP_CHANNELS + c] : 1.0f;
        for (int p = 0; p < PIXELS; p++) {
            const size_t i = first + (size_t)(c * PIXELS + p) * BATCH;
            const vec d = factor * vec_load(dy + i);
            sum += d;
            product += d * ((vec_load(x + i) - mean) * inverse);
        }
    }
    sum *= 1.0f / VALUES;
    product *= 1.0f / VALUES;
    for (int c = 0; c < GROUP_CHANNELS; c++) {
        const float factor = AFFINE ? weight[group * GROUP_CHANNELS + c] : 1.0f;
        for (int p = 0; p < PIXELS; p++) {
            const size_t i = first + (size_t)(c * PIXELS + p) * BATCH;
            const vec value = vec_load(x + i), normal = (value - mean) * inverse;
            const vec d = (factor * vec_load(dy + i) - sum - normal * product) * inverse;
            vec_store(input_activation_backward(d, value), dx + i);
        }
    }
}

#if AFFINE
/* dy is 0 in padded lanes. */
__kernel GROUP_ATTRIBUTE void groupnorm_gradients(__global const float *restrict x,
                                                  __global const float *restrict dy,
                                                  __global const float *restrict saved,
                                                  __global float *restrict dweight,
                                                  __global float *restrict dbias, int accumulate) {
    __local float room[GROUP_SIZE];
    const int channel = (int)get_group_id(0), group = channel / GROUP_CHANNELS;
    vec sum = (vec)(0.0f), product = (vec)(0.0f);
    for (int j = 0; j < VECTORS; j++) {
        const int lane = LANE_BASE(0, 1) + j * LANE_STRIDE;
        const vec mean = vec_load(saved + (size_t)group * BATCH + lane);
        const vec inverse = vec_load(saved + (size_t)(GROUPS + group) * BATCH + lane);
        for (int p = 0; p < PIXELS; p++) {
            const size_t i = (size_t)(channel * PIXELS + p) * BATCH + lane;
            const vec d = vec_load(dy + i);
            sum += d;
            product += d * ((vec_load(x + i) - mean) * inverse);
        }
    }
    const float weights = group_sum(vec_sum(product), room), biases = group_sum(vec_sum(sum), room);
    if (get_local_id(0) == 0) {
        dweight[channel] = weights + (accumulate ? dweight[channel] : 0.0f);
        dbias[channel] = biases + (accumulate ? dbias[channel] : 0.0f);
    }
}
#endif
