/* BatchNorm over [CHANNELS][PIXELS][BATCH], one mean and variance per channel.
 *
 * Options: CHANNELS, PIXELS, BATCH, AFFINE, ACTIVATION, INPUT_ACTIVATION, and how the work is cut:
 * VECTORS per item side by side in the batch (taken STEP at a time, which divides them), ROWS pixels
 * and ITEM_CHANNELS channels per item. Work-groups are (lane groups, splits of the pixels, channels).
 *
 * Where a channel is cut into parts, each part's mean and sum of squared deviations are combined as in
 * Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
 * (1979); within a part the mean is taken first, so a mean far beyond the deviation does no harm. */

#define GROUP_LANES (VECTORS * LANE_STRIDE)
#define LANE_GROUPS (BATCH / GROUP_LANES)
#define SPLITS ((PIXELS + ROWS - 1) / ROWS)
#define PARTS (SPLITS * LANE_GROUPS)

#define PART_INDEX(channel)                                                                        \
    (((channel) * SPLITS + (int)get_group_id(1)) * LANE_GROUPS + (int)get_group_id(0))
#define FIRST_ROW ((int)get_group_id(1) * ROWS)
#define END_ROW min(FIRST_ROW + ROWS, PIXELS)
#define FOR_CHANNELS                                                                               \
    for (int c = (int)get_group_id(2) * ITEM_CHANNELS,                                             \
             end = min(c + ITEM_CHANNELS, CHANNELS);                                               \
         c < end; c++)

/* How many values the part at (split, lane group) holds. */
static inline int part_count(int split, int lane_group, int n) {
    const int rows = min(split * ROWS + ROWS, PIXELS) - split * ROWS;
    return rows * clamp(n - lane_group * GROUP_LANES, 0, GROUP_LANES);
}

/* The sums of d and d^2 over an item's part of a channel, where d = value - shift. */
static inline float2 deviation_sums(__global const float *x, int rows, int first, int n, float shift) {
    vec sums[STEP], squares[STEP];
    UNROLL for (int k = 0; k < STEP; k++) sums[k] = squares[k] = (vec)(0.0f);
    for (int r = 0; r < rows; r++, x += BATCH)
        for (int j = 0; j < VECTORS; j += STEP)
            UNROLL for (int k = 0; k < STEP; k++) {
                const int lane = (j + k) * LANE_STRIDE;
                const vec d = vec_mask(vec_load(x + lane) - shift, first + lane, n);
                sums[k] += d;
                squares[k] += d * d;
            }
    UNROLL for (int k = 1; k < STEP; k++) {
        sums[0] += sums[k];
        squares[0] += squares[k];
    }
    return (float2)(vec_sum(sums[0]), vec_sum(squares[0]));
}

/* The mean of a work-group's part and its sum of squared deviations. */
static inline float2 part_moments(__global const float *x, int rows, int first, int n, int count,
                           __local float *room) {
    const float scale = 1.0f / (float)max(count, 1);
    vec sums[STEP];
    UNROLL for (int k = 0; k < STEP; k++) sums[k] = (vec)(0.0f);
    __global const float *row = x;
    for (int r = 0; r < rows; r++, row += BATCH)
        for (int j = 0; j < VECTORS; j += STEP)
            UNROLL for (int k = 0; k < STEP; k++) {
                const int lane = (j + k) * LANE_STRIDE;
                sums[k] += vec_mask(vec_load(row + lane), first + lane, n);
            }
    UNROLL for (int k = 1; k < STEP; k++) sums[0] += sums[k];
    const float guess = group_sum(vec_sum(sums[0]), room) * scale;
    float2 d = deviation_sums(x, rows, first, n, guess);
    d.x = group_sum(d.x, room);
    d.y = group_sum(d.y, room);
    return (float2)(guess + d.x * scale, d.y - d.x * d.x * scale);
}

__kernel GROUP_ATTRIBUTE void statistics(__global const float *restrict x,
                                         __global float *restrict parts, int n) {
    __local float room[GROUP_SIZE];
    const int first = LANE_BASE(get_group_id(0), VECTORS);
    const int count = part_count(get_group_id(1), get_group_id(0), n);
    FOR_CHANNELS {
        const float2 moments =
            part_moments(x + ((size_t)c * PIXELS + FIRST_ROW) * BATCH + first, END_ROW - FIRST_ROW,
                         first, n, count, room);
        if (get_local_id(0) == 0) vstore2(moments, PART_INDEX(c), parts);
    }
}

/* One item per channel: saved = [means][1 / standard deviations], and the running statistics move by
 * `momentum` towards the mean and the unbiased variance (biased where there is a single value). */
__kernel void finish_statistics(__global const float *restrict parts, __global float *restrict saved,
                                __global float *restrict running_mean,
                                __global float *restrict running_variance, int n, float momentum,
                                float epsilon) {
    const int c = get_global_id(0);
    if (c >= CHANNELS) return;
    float mean = 0.0f, squares = 0.0f, count = 0.0f;
    for (int part = 0; part < PARTS; part++) {
        const float more = (float)part_count(part / LANE_GROUPS, part % LANE_GROUPS, n);
        if (more == 0.0f) continue;
        const float2 moments = vload2(c * PARTS + part, parts);
        const float total = count + more, away = moments.x - mean;
        mean += away * (more / total);
        squares += moments.y + away * away * (count * (more / total));
        count = total;
    }
    const float variance = squares / count;
    saved[c] = mean;
    saved[CHANNELS + c] = 1.0f / sqrt(variance + epsilon);
    if (momentum == 0.0f) return; /* they stay, even beside values that are not finite */
    running_mean[c] += momentum * (mean - running_mean[c]);
    running_variance[c] += momentum * (squares / max(count - 1.0f, 1.0f) - running_variance[c]);
}

/* For scoring: the same from the running statistics. */
__kernel void running_statistics(__global const float *restrict running_mean,
                                 __global const float *restrict running_variance,
                                 __global float *restrict saved, float epsilon) {
    const int c = get_global_id(0);
    if (c >= CHANNELS) return;
    saved[c] = running_mean[c];
    saved[CHANNELS + c] = 1.0f / sqrt(running_variance[c] + epsilon);
}

__kernel GROUP_ATTRIBUTE void apply(__global const float *restrict x,
                                        __global const float *restrict saved,
                                        __global const float *restrict weight,
                                        __global const float *restrict bias,
                                        __global float *restrict y) {
    const int first = LANE_BASE(get_group_id(0), VECTORS);
    FOR_CHANNELS {
        const float mean = saved[c];
        float scale = saved[CHANNELS + c], shift = 0.0f;
        if (AFFINE) {
            scale *= weight[c];
            shift = bias[c];
        }
        const size_t start = ((size_t)c * PIXELS + FIRST_ROW) * BATCH + first;
        for (int r = 0; r < END_ROW - FIRST_ROW; r++)
            for (int j = 0; j < VECTORS; j += STEP)
                UNROLL for (int k = 0; k < STEP; k++) {
                    const size_t i = start + (size_t)r * BATCH + (j + k) * LANE_STRIDE;
                    vec_store(activate((vec_load(x + i) - mean) * scale + shift), y + i);
                }
    }
}

/* The sums of dy and dy (x - mean); dy is 0 in padded lanes. */
__kernel GROUP_ATTRIBUTE void gradient_sums(__global const float *restrict x,
                                            __global const float *restrict dy,
                                            __global const float *restrict saved,
                                            __global float *restrict parts) {
    __local float room[GROUP_SIZE];
    const int first = LANE_BASE(get_group_id(0), VECTORS);
    FOR_CHANNELS {
        const float mean = saved[c];
        const size_t start = ((size_t)c * PIXELS + FIRST_ROW) * BATCH + first;
        vec sums[STEP], products[STEP];
        UNROLL for (int k = 0; k < STEP; k++) sums[k] = products[k] = (vec)(0.0f);
        for (int r = 0; r < END_ROW - FIRST_ROW; r++)
            for (int j = 0; j < VECTORS; j += STEP)
                UNROLL for (int k = 0; k < STEP; k++) {
                    const size_t i = start + (size_t)r * BATCH + (j + k) * LANE_STRIDE;
                    const vec d = vec_load(dy + i);
                    sums[k] += d;
                    products[k] += d * (vec_load(x + i) - mean);
                }
        UNROLL for (int k = 1; k < STEP; k++) {
            sums[0] += sums[k];
            products[0] += products[k];
        }
        const float sum = group_sum(vec_sum(sums[0]), room);
        const float product = group_sum(vec_sum(products[0]), room);
        if (get_local_id(0) == 0) vstore2((float2)(sum, product), PART_INDEX(c), parts);
    }
}

/* One item per channel. means: [mean of dy][mean of dy xhat, divided by the deviation]. The gradients
 * may be NULL. */
__kernel void finish_gradients(__global const float *restrict parts,
                               __global const float *restrict saved, __global float *restrict means,
                               __global float *restrict weight_gradient,
                               __global float *restrict bias_gradient, int n, int accumulate) {
    const int c = get_global_id(0);
    if (c >= CHANNELS) return;
    float sum = 0.0f, product = 0.0f;
    for (int part = 0; part < PARTS; part++) {
        const float2 more = vload2(c * PARTS + part, parts);
        sum += more.x;
        product += more.y;
    }
    const float deviation = saved[CHANNELS + c], count = (float)n * (float)PIXELS;
    product *= deviation;
    means[c] = sum / count;
    means[CHANNELS + c] = product * deviation / count;
    if (weight_gradient) weight_gradient[c] = (accumulate ? weight_gradient[c] : 0.0f) + product;
    if (bias_gradient) bias_gradient[c] = (accumulate ? bias_gradient[c] : 0.0f) + sum;
}

/* dx = weight / deviation (dy - mean(dy) - xhat mean(dy xhat)), times the derivative of the
 * activation that produced x; 0 in padded lanes. */
__kernel GROUP_ATTRIBUTE void input_gradient(__global const float *restrict x,
                                             __global const float *restrict dy,
                                             __global const float *restrict saved,
                                             __global const float *restrict means,
                                             __global const float *restrict weight,
                                             __global float *restrict dx, int n) {
    const int first = LANE_BASE(get_group_id(0), VECTORS);
    FOR_CHANNELS {
        const float mean = saved[c], sum = means[c], product = means[CHANNELS + c];
        const float scale = saved[CHANNELS + c] * (AFFINE ? weight[c] : 1.0f);
        const size_t start = ((size_t)c * PIXELS + FIRST_ROW) * BATCH + first;
        for (int r = 0; r < END_ROW - FIRST_ROW; r++)
            for (int j = 0; j < VECTORS; j += STEP)
                UNROLL for (int k = 0; k < STEP; k++) {
                    const int lane = (j + k) * LANE_STRIDE;
                    const size_t i = start + (size_t)r * BATCH + lane;
                    const vec value = vec_load(x + i);
                    const vec d =
                        scale * (vec_load(dy + i) - sum - (value - mean) * product);
                    vec_store(vec_mask(input_activation_backward(d, value), first + lane, n),
                              dx + i);
                }
    }
}
