/* Sums of two tensors of the same shape. Options: COUNT (floats of a tensor with its padded lanes),
 * VECTORS (per item), INPUT_ACTIVATION (of add_gradient). */

#define FOR_VECTORS(i)                                                                             \
    for (int i = LANE_BASE(get_group_id(0), VECTORS), end = min(i + VECTORS * LANE_STRIDE, COUNT); \
         i < end; i += LANE_STRIDE)

/* y + scale d, kept within the limits by comparisons that a NaN fails. */
__kernel GROUP_ATTRIBUTE void step_within(__global float *restrict y, __global const float *restrict d,
                                          float scale, float low, float high) {
    FOR_VECTORS(i) {
        vec v = vec_load(y + i) + scale * vec_load(d + i);
        v = vec_choose(v, (vec)(low), v < (vec)(low));
        vec_store(vec_choose(v, (vec)(high), v > (vec)(high)), y + i);
    }
}

/* dy + d, times the derivative of the activation whose output x is. */
__kernel GROUP_ATTRIBUTE void add_gradient(__global float *restrict dy,
                                           __global const float *restrict d,
                                           __global const float *restrict x) {
    FOR_VECTORS(i) {
        const vec sum = vec_load(dy + i) + vec_load(d + i);
        vec_store(input_activation_backward(sum, vec_load(x + i)), dy + i);
    }
}
